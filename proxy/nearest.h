/* The name somebody probably meant: for "did you mean" after a misspelt key, section or command. */
#ifndef PROXY_NEAREST_H
#define PROXY_NEAREST_H

#include "../policy/str.h"

/* The one of `names` that takes the fewest typing errors (a letter wrong, missing, too many, or two swapped) to
 * become `wrong`; NULL when even that is not near: more than a third of its letters, at least one, are wrong.
 */
const char *nearest_name(struct str wrong, const char *const *names, size_t n);

#endif
