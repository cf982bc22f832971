/* DNS for the policy: questions in, answers out, later. c-ares does the protocol, and resolver_raw.c for the few names
 * that c-ares does not send; this file's subject is who waits for what, what is remembered, and how much may be under
 * way (ORACLE D-1 to D-7, ATTACKS L).
 *
 * It never sees the loop: whoever drives it (worker_resolver.c with libuv, explain.c with poll) watches the sockets it
 * names and calls back in. Askers are numbers, so an answer for one that has left finds nobody.
 *
 *     resolver_ask(r, number, question)                any number of times
 *     resolver_ready(r, fd, ...) / resolver_tick(r)    when a socket is ready / at resolver_deadline()
 *     while (resolver_next(r, &answer)) ...            after each of the three
 *     resolver_forget(r, number)                       the asker is gone, or does not care any more
 *
 * Equal questions under way are one query. Answers are kept for their TTL, negative ones too (RFC 2308), within
 * `cache_size` octets. Keys are names as the facts have them, dots between their labels: any octets but NUL are asked
 * for as they are. One that is no name for the DNS (D-3: labels of 1 to 63 octets, 253 in all) reads NXDOMAIN without a
 * query.
 *
 * `in_flight` queries are out at once; what is above waits its turn, first come, first served. That is fair as long as no
 * asker has more than its share waiting: drivers with several askers hand over `in_flight_session` questions of one, and
 * the next when an answer has come.
 */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include "../policy/facts.h"
#include "dns_settings.h"

struct resolver_answer {
    uint64_t asker;
    struct question question; /* its key: valid until the next call, as the values are */
    enum fact_state state;
    const struct str *value;
    size_t n;
};

struct resolver;

/* Which readiness of `fd` to wait for; neither: it is about to be closed. */
typedef void resolver_watch(void *owner, int fd, bool readable, bool writable);

/* NULL without memory or servers. `settings` outlives the resolver. `*now` (ms, monotonic) is read at each call. */
struct resolver *resolver_new(const struct dns_settings *, const uint64_t *now, resolver_watch *, void *owner);
/* Closes its sockets; whoever still waits is told nothing. */
void resolver_free(struct resolver *);

/* One of the five kinds that are DNS; resolver_is_for tells. False without memory: then no answer comes. */
bool resolver_is_for(enum ask);
bool resolver_ask(struct resolver *, uint64_t asker, struct question);
void resolver_forget(struct resolver *, uint64_t asker);
void resolver_ready(struct resolver *, int fd, bool readable, bool writable);
void resolver_tick(struct resolver *);
uint64_t resolver_deadline(const struct resolver *); /* ms; UINT64_MAX: none */
bool resolver_next(struct resolver *, struct resolver_answer *);

/* For tests and the log. */
struct resolver_counts {
    uint64_t questions;     /* asked */
    uint64_t queries;       /* sent; not counting tries */
    uint64_t hits, shared;  /* answered from the cache; by a query of somebody else */
    uint64_t in_flight;     /* now */
    uint64_t waiting;       /* for their turn, now */
    uint64_t cached_octets; /* now */
};
struct resolver_counts resolver_counts(const struct resolver *);

/* The servers of /etc/resolv.conf: the first DNS_SERVERS_MAX lines "nameserver ADDRESS", addresses with a zone passed over.
 * 127.0.0.1 when there are none, as the C library has it; then `*found` is false. Returns how many.
 */
size_t resolver_system_servers(struct endpoint out[DNS_SERVERS_MAX], bool *found);
/* The same from the file's text; 0 when there are none. */
size_t resolver_servers_of(struct str text, struct endpoint out[DNS_SERVERS_MAX]);

#endif
