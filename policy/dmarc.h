/* The parts of DMARC (RFC 9989) that only read: the record, the tree walk, alignment. check_dmarc.c judges.
 *
 *     struct dmarc_walk walk;
 *     dmarc_walk(pass, author, &walk);
 *     policy = dmarc_walk_policy(&walk, &answer);          whose record applies, RFC 9989 4.10.1
 *     dmarc_aligned(pass, &walk, is_strict, identifier)    RFC 9989 4.10.2
 *
 * All of it is a pure reading of the facts. Names are canonical (domain_canonical); slices point into the name walked
 * and into the facts.
 */
#ifndef POLICY_DMARC_H
#define POLICY_DMARC_H

#include "policy.h"

/* ---- the record, RFC 9989 4.7 and 4.8 (dmarc_record.c) ---- */

/* The domain owner's wish, the milder one first. */
enum dmarc_request { DMARC_UNSTATED, DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };

enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_record {
    enum dmarc_request p, sp, np; /* UNSTATED: absent, or not one of the words */
    enum dmarc_psd psd;
    bool strict_dkim, strict_spf; /* adkim=s, aspf=s */
    bool is_testing;              /* t=y */
    bool is_broken;               /* p is missing or no word of it, or sp or np is there and no word of it (4.10.1) */
    bool has_uri;                 /* rua holds a reporting URI, which makes a broken record p=none */
};

/* False when `text` is no DMARC record: "v" must come first and its value be "DMARC1", in capitals. Behind that nothing
 * is fatal: what is unknown (pct, rf and ri of RFC 7489 too) or malformed is passed over, and of a repeated tag the first
 * counts. Names and words are read in any case of letters. One pass over the text.
 */
bool dmarc_record_read(struct str text, struct dmarc_record *);

/* What the record asks for mail of its own domain, of an existing subdomain, of one that does not exist. A broken
 * record with a reporting URI asks for nothing; UNSTATED: a broken one without, which is no policy at all (4.10.1).
 */
enum dmarc_request dmarc_record_request(const struct dmarc_record *, bool is_subdomain, bool exists);

const char *dmarc_request_name(enum dmarc_request); /* "reject"; "" for UNSTATED */

/* ---- the tree walk, RFC 9989 4.10 (dmarc_walk.c) ---- */

enum { DMARC_QUERIES_MAX = 8 };

enum dmarc_answer {
    DMARC_NO_RECORD, /* none, or several (4.10 step 2) */
    DMARC_RECORD,
    DMARC_UNSURE, /* a temporary error, or a cap was reached */
    DMARC_PENDING /* not known yet */
};

struct dmarc_step {
    struct str name;
    enum dmarc_answer answer;
    struct str text; /* of the record */
    struct dmarc_record record;
};

struct dmarc_walk {
    struct str domain; /* where it started */
    struct dmarc_step step[DMARC_QUERIES_MAX];
    size_t n;
    enum dmarc_answer state;   /* RECORD: the walk is complete; UNSURE, PENDING: it is not */
    struct str organizational; /* of `domain`, when complete */
};

/* Walks up from `domain`: at most 8 questions, however many labels it has. All that may be needed are asked at once. */
void dmarc_walk(struct pass *, struct str domain, struct dmarc_walk *);

/* The step whose record applies to mail of walk->domain, with `*answer` RECORD; else NULL and why. */
const struct dmarc_step *dmarc_walk_policy(const struct dmarc_walk *, enum dmarc_answer *answer);

/* Does `identifier` align with the author domain that was walked? YES: RECORD; no: NO_RECORD; else UNSURE or PENDING. In
 * relaxed mode the identifier is walked too, unless the names alone tell: an organizational domain is always an end of
 * the name, so one that does not end in the author's cannot have the same.
 */
enum dmarc_answer dmarc_aligned(struct pass *, const struct dmarc_walk *author, bool is_strict, struct str identifier);

/* How many labels at the end two names share. */
size_t dmarc_shared_labels(struct str a, struct str b);

/* ---- what becomes of a fail (check_dmarc.c) ---- */

/* The policy that applies after t=y has taken it down by one step (RFC 9989 4.7): "none", "quarantine", "reject"; "" when
 * no policy was found.
 */
const char *dmarc_applied_policy(const struct dmarc_result *);

/* What the operator's configuration makes of a message that fails, overrides left aside: "none", "quarantine" or
 * "reject"; "" when no policy was found.
 */
const char *dmarc_consequence(const struct dmarc_policy *, const struct dmarc_result *);

#endif
