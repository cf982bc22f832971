/* SPF (RFC 7208): check_host() as one run over the facts. */
#ifndef POLICY_SPF_H
#define POLICY_SPF_H

#include "policy.h"

struct spf_query {
    struct address client;
    struct str domain; /* canonical */
    struct str sender; /* local@domain; "postmaster@" the HELO name for HELO and the null reverse-path (RFC 7208 2.4) */
    struct str helo;
    struct str receiver; /* %{r} */
    int64_t now;         /* %{t} */
    bool explain;        /* fetch exp= on fail */
};

/* Evaluates one identity into `*out` (result, domain, sender, mechanism, explanation, reason, counts; the identity is the caller's).
 * Limits of RFC 7208 4.6.4 are locals of this call: they count what was consulted in record order. AUTH_PENDING when an
 * unknown stands in the way; pass->pending is set then.
 */
void spf_check_host(struct pass *, const struct spf_query *, struct spf_result *out);

#endif
