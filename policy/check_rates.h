/* What the counters (proxy/session_rates.c) and the check of rates (check_rates.c) must see alike. */
#ifndef POLICY_CHECK_RATES_H
#define POLICY_CHECK_RATES_H

#include "policy.h"

/* Whether a section's count is held against a client at this stage. */
bool rate_is_judged(enum rate_count, enum stage);

/* Whether an attempt is counted before it is judged. What is only known afterwards (a refusal, octets) is counted when it
 * happens, and read.
 */
bool rate_is_attempt(enum rate_count);

/* The networks that count as one client: in bits of an IPv4 and an IPv6 address. */
void rate_network_bits(enum rate_per, unsigned *v4_bits, unsigned *v6_bits);

#endif
