/* Names and addresses of hosts, for the checks that compare them: reverse names, and what address records say. */
#ifndef POLICY_HOST_H
#define POLICY_HOST_H

#include "policy.h"

enum { HOST_NAME_MAX = 253 };

/* The name that PTR is asked for: "9.113.0.203.in-addr.arpa" (RFC 1035 3.5), or in ip6.arpa (RFC 3596 2.5). */
struct str host_reverse_name(const struct address *, char room[HOST_NAME_MAX + 1]);

/* `domain` in canonical form when it is a name that the DNS can be asked for, else empty. */
struct str host_canonical(struct str domain, char room[PATH_DOMAIN_MAX + 1]);

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). False when it is no address. */
bool host_literal(struct str, struct address *);

/* What A and AAAA say of a name. Both are asked, so that the order of answers changes nothing. */
enum host_finding {
    HOST_PENDING,   /* the check is pending */
    HOST_NONE,      /* there is no such name, or it has no address */
    HOST_EXISTS,    /* it has some */
    HOST_NO_ANSWER, /* TEMP or LIMIT, where it matters */
};

/* Whether it has an address at all. One that only means "this machine" is none. */
enum host_finding host_exists(struct pass *, struct str name);

/* EXISTS: one of its addresses, of the client's kind, is the client's. NONE: it has none of this kind, or others. */
enum host_finding host_is_client(struct pass *, struct str name);

#endif
