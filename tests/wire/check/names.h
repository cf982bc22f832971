/* Domain names as the oracle compares them (ORACLE P-1). */
#ifndef WIRE_NAMES_H
#define WIRE_NAMES_H

#include "bytes.h"

/* Appends `domain` in lower case, without a trailing dot, U-labels as A-labels (RFC 5890, 3492; letters that are not
 * US-ASCII are taken as they are). A label that is no UTF-8 stays. */
void name_fold(struct buffer *to, struct slice domain);
/* Is the folded `name` the folded `pattern`, or below it when that begins with "*."? */
bool name_matches(struct slice name, struct slice pattern);

#endif
