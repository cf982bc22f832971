/* Points and their sum. */
#ifndef POLICY_SCORE_H
#define POLICY_SCORE_H

#include "policy.h"

/* Each check once, with the most it has said, for or against. */
void score_add(struct score_list *, const struct score *);
void score_sum(const struct score_list *before, const struct score_list *now, struct score_list *sum);
int64_t score_total(const struct score_list *);

enum { SCORE_PARTS_MAX = SCORES_MAX * 40 /* octets: a check's name and its points */ };

/* "dnsbl:8,rdns:4,lists:-3"; checks without points are left out. */
struct str score_parts(const struct score_list *, struct arena *);

#endif
