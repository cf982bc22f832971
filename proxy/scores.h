/* The points of a transaction, kept from one stage to the next: a pass's own lie in its arena and are gone with it. */
#ifndef PROXY_SCORES_H
#define PROXY_SCORES_H

#include "../policy/policy.h"
#include "log.h"

enum { SCORE_REASON_MAX = 120 /* octets kept of each */ };

struct scores {
    struct score_list list; /* its reasons lie below */
    char reason[SCORES_MAX][SCORE_REASON_MAX];
};

/* Adds what a pass found; each check stays once, with the most it has said. */
void scores_keep(struct scores *, const struct score_list *);

/* score=7 points=dnsbl:4,rdns:3 noted="dnsbl: 192.0.2.1 is listed by ...; rdns: ..." when there is something to tell. */
void scores_log(const struct scores *, struct log *);

#endif
