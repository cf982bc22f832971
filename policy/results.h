/* Prints what was found: trace fields for the message, words for the log. Nothing from the wire reaches a field
 * unquoted or a reply unprintable (ATTACKS E, ORACLE F-7).
 */
#ifndef POLICY_RESULTS_H
#define POLICY_RESULTS_H

#include "header.h"
#include "policy.h"

/* The fields that stand below our Received: Authentication-Results (RFC 8601), Received-SPF when configured, and
 * X-Postern-Verdict (only when there is something to say: quarantine, monitor, an override). Whole lines with CRLF, folded below
 * 78 columns where words allow and below 998 always. Empty when no method was run; { NULL, 0 } when the arena is full.
 */
struct str results_fields(const struct policy *, const struct envelope *, const struct outcome *, struct arena *);

/* One line for the log: "spf=pass helo_spf=none dkim=pass/example.org arc=none dmarc=pass/example.org policy=reject". */
struct str results_summary(const struct authentication *, struct arena *);

/* True for fields that only we may write, in any case or obsolete form (RFC 8601 5, RFC 7208 9.1): Received-SPF,
 * X-Postern-*, and Authentication-Results with our authserv-id or one that cannot be read. Such fields of the sender are
 * removed before the message goes on.
 */
bool results_is_ours(const struct header_field *, struct str authserv_id);

#endif
