/* Refusals for an SPF result, the same AT_RCPT (check_spf.c) and with the message (check_spf_alone.c). RFC 7372 3.2. */
#ifndef POLICY_CHECK_SPF_H
#define POLICY_CHECK_SPF_H

#include "policy.h"

void spf_refuse_fail(struct pass *, const struct check *, const struct spf_result *);      /* 550 5.7.23 */
void spf_refuse_temperror(struct pass *, const struct check *, const struct spf_result *); /* 451 4.7.24 */
void spf_refuse_permerror(struct pass *, const struct check *, const struct spf_result *); /* 550 5.7.24 */

#endif
