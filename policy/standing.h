/* What is known of senders from their mail before: who they are called, and when a record of good and bad messages makes them
 * a good or a bad sender. The counts are the proxy's (proxy/standing.h).
 */
#ifndef POLICY_STANDING_H
#define POLICY_STANDING_H

#include "policy.h"

struct standing_counts {
    uint64_t good, bad; /* messages lately */
};

/* Bad: enough bad messages, and more of them than good ones. Good: enough good ones, and ten for each bad one. */
enum client_standing standing_judge(const struct standing_policy *, struct standing_counts);

/* Whose mail it is: the domain that authenticated it and the client's AS number ("example.org 64500", "-" where that is not
 * known), or else the client ("192.0.2.1", "2001:db8::/64"). `domain` is empty for the second.
 */
struct sender {
    struct str key; /* in the pass's arena */
    struct str domain;
    bool is_aligned; /* passes DMARC: the domain is the author's */
};

/* The domain that authenticates the message so far: the author's when DMARC passes, else the first with a valid DKIM signature,
 * one that is aligned before others, else that of SPF. Empty: none. False while a method is pending.
 */
bool sender_domain(const struct authentication *, struct str *domain, bool *is_aligned);

/* False while something is not known yet: then the check is pending, or one before it is. */
bool pass_sender(struct pass *, struct sender *);

/* The record of a key; false while it is not known yet (the check is pending then). What cannot be known is no record. */
bool pass_standing(struct pass *, struct str key, struct standing_counts *);

/* The key of a client: its address, of IPv6 the /64 that a client has as a rule. */
struct str standing_client_key(const struct address *, char out[NETWORK_TEXT_MAX]);

#endif
