/* SPF (RFC 7208): check_host() as one run over the facts.
 *
 * A run reads the records from the top, in their order. What it meets unknown it asks for and reads past as if it did
 * not match, so that questions of one record go out together; whatever it comes to behind an unknown is AUTH_PENDING.
 * What is counted for the limits of RFC 7208 4.6.4 lives in the run and follows the order of the records, so neither a
 * cache nor the order of answers can change a result.
 *
 * Where the RFC leaves a choice:
 * - A void lookup (4.6.4) is counted once per term, when the term did not match: the RFC counts "terms". Of "ptr" only
 *   the PTR lookup counts, since names behind it belong to the client.
 * - %{p} is a term with a lookup of its own (4.6.4: "the ptr mechanism or the %{p} macro"); in exp it is not counted.
 * - More than 10 MX names are a permerror before any is looked at; of PTR names the first 10 count.
 * - Any address of any MX host decides "mx" before a temporary error of another host does (5.4), so that the order of
 *   the hosts in the answer means nothing.
 * - A target name that is no DNS name (4.8) does not match; as that of include or redirect it is a permerror (4.3,
 *   6.1).
 * - Over a cap of ours (FACT_LIMIT) a lookup is a permerror, also where an error of the DNS would be none.
 * - Terms with %{s} or %{l} match nothing when the local part is not ASCII (RFC 8616 4).
 */
#ifndef POLICY_SPF_H
#define POLICY_SPF_H

#include "policy.h"

enum {
    SPF_LOOKUPS_MAX = 10, /* terms that ask the DNS; RFC 7208 4.6.4, as the next three */
    SPF_VOID_LOOKUPS_MAX = 2,
    SPF_MX_MAX = 10,
    SPF_PTR_MAX = 10,
    SPF_ASKED_AHEAD_MAX = 24, /* facts of the transaction up to which a run asks past an unknown; ours */
    SPF_EXPLANATION_MAX = 256 /* octets of an explanation; a longer one is as none (RFC 7208 6.2: "MAY limit") */
};

struct spf_query {
    struct address client;
    struct str domain; /* canonical */
    struct str sender; /* local@domain, the local part unquoted, the domain canonical; "postmaster@" the HELO name for
                        * HELO and the null reverse-path (RFC 7208 2.4) */
    struct str helo;
    struct str receiver; /* %{r} */
    int64_t now;         /* %{t} */
    bool explain;        /* fetch exp= on fail */
};

/* Evaluates one identity into `*out` (result, domain, sender, mechanism, explanation, reason, counts; the identity is
 * the caller's). AUTH_PENDING when an unknown stands in the way; pass->pending is set then. A domain that is none has
 * the result AUTH_NONE (RFC 7208 4.3). `mechanism` lies in the facts and may be as long as a record.
 */
void spf_check_host(struct pass *, const struct spf_query *, struct spf_result *out);

#endif
