/* Who has come before: the memory of greylisting (policy/check_greylist.c), a table of its own for all workers together.
 *
 * A sender came, and is remembered with the second it came first; or it has passed, with the second it came last. In a full
 * table those who came make room before those who have passed, the oldest first. Time is seconds since the epoch.
 */
#ifndef PROXY_GREYLIST_H
#define PROXY_GREYLIST_H

#include "../policy/policy.h"
#include "shared_table.h"

/* False when it was never heard of. `*seconds` since then; 0 for a clock that went back. */
bool greylist_seen(const struct shared_table *, struct str key, uint64_t now_s, bool *has_passed, uint64_t *seconds);
/* Comes for the first time, again or anew. */
void greylist_came(struct shared_table *, struct str key, uint64_t now_s);
void greylist_passed(struct shared_table *, struct str key, uint64_t now_s);

#endif
