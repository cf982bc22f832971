/* Domains that resemble another one, as somebody would register them to be taken for it.
 *
 *     struct lookalike_name theirs, ours;
 *     lookalike_read(STR("examp1e-login.net"), &theirs);
 *     lookalike_read(STR("example.org"), &ours);
 *     lookalike_compare(&theirs, &ours, &terms)   // LOOKALIKE_WORDS
 *
 * Names are compared by their main labels: what somebody registers. There is no public suffix list in Postern; the main label is
 * the last but one, or the one before that under a country's "co", "com", "ac" and the like. Letters are compared by their
 * skeletons (confusables.h), so that a digit or a letter of another script in place of one of ours changes nothing.
 *
 * Nobody resembles himself: names with the same main label and ending are of one house, whatever stands before. Bounded by the
 * length of names; no memory but the caller's.
 */
#ifndef POLICY_LOOKALIKE_H
#define POLICY_LOOKALIKE_H

#include "confusables.h"
#include "option.h"
#include "punycode.h"

enum resemblance {
    LOOKALIKE_NONE,
    LOOKALIKE_LETTERS, /* examp1e.org, exarnple.org, xn--xample-2of.org */
    LOOKALIKE_ENDING,  /* example.net */
    LOOKALIKE_TYPING,  /* exmaple.org, exampl.org, examplee.org, exanple.org: one edit (Damerau) */
    LOOKALIKE_WORDS,   /* example-support.org, login-example.com, examplelogin.org */
    LOOKALIKE_PREFIX,  /* example.org.attacker.com, example-org.attacker.com */
    LOOKALIKE_KINDS
};

enum {
    /* A label has at most as many characters as octets, and each is at most SKELETON_MAX in its skeleton. Longer skeletons
     * than this are of nobody who wants to be taken for somebody: they are cut.
     */
    LOOKALIKE_LETTERS_MAX = 640,
    LOOKALIKE_SHORT = 3 /* characters of a main label: shorter ones resemble too much to be compared */
};

struct lookalike_name {
    struct str text;                         /* canonical */
    struct str main, ending;                 /* within the text; the ending may be empty ("localhost") */
    uint32_t letter[LOOKALIKE_LETTERS_MAX];  /* skeletons of all labels, with the dots between them */
    size_t letters;
    size_t main_at, main_letters;            /* of the main label within them */
    uint32_t character[PUNYCODE_MAX];        /* the main label itself */
    size_t characters;
};

struct lookalike_terms {
    struct str_list words;  /* that attackers add, in lower case ASCII */
    uint64_t min_length;    /* characters of a main label of ours, below which only LETTERS, PREFIX, and WORDS of the list */
};

/* `name` must be canonical (path.h) and outlive *out. */
void lookalike_read(struct str name, struct lookalike_name *out);

/* How `theirs` resembles `ours`. */
enum resemblance lookalike_compare(const struct lookalike_name *theirs, const struct lookalike_name *ours,
                                   const struct lookalike_terms *);

const char *resemblance_name(enum resemblance); /* "letters", "ending", ... */

#endif
