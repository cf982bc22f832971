/* Names of people, to be recognised however they are written: any case, marks and letters of other scripts that look the same
 * (confusables.h), words in any order, any punctuation.
 */
#ifndef POLICY_PERSON_NAME_H
#define POLICY_PERSON_NAME_H

#include "confusables.h"
#include "str.h"

enum { PERSON_LETTERS_MAX = 256, PERSON_WORDS_MAX = 32 /* of one name; what follows is not looked at */ };

/* Skeletons go by the letter as it is shown. Some letters look like other ones when small: names are compared both ways, as they
 * are written and in small letters.
 */
enum person_case { PERSON_AS_WRITTEN, PERSON_SMALL };

struct person_name {
    enum person_case as;
    uint32_t letter[PERSON_LETTERS_MAX]; /* of all words, nothing between */
    size_t letters;
    size_t end[PERSON_WORDS_MAX]; /* of each word within them */
    size_t words;
};

void person_name_init(struct person_name *, enum person_case);

/* Adds the words of `text` (UTF-8; what is none ends a word). */
void person_name_add(struct person_name *, struct str text);

/* Whether a name as shown is, or holds, that of the person: the same letters, or, when the person has two words or more, all of
 * them in any order, with any others ("Mustermann, Erika (CEO)").
 */
bool person_name_is(const struct person_name *shown, const struct person_name *person);

#endif
