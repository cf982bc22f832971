/* DNS for the policy: questions in, answers out, later. c-ares does the protocol; this file's subject is who waits for
 * what, what is remembered, and how much may be under way (ORACLE D-1 to D-7, ATTACKS L).
 *
 * It never sees the loop: whoever drives it (worker_resolver.c with libuv, explain.c with poll) watches the sockets it
 * names and calls back in. Askers are numbers, so an answer for one that has left finds nobody.
 *
 *     resolver_ask(r, number, question)        any number of times
 *     resolver_ready(r, fd, ...) / resolver_tick(r)    when a socket is ready / at resolver_deadline()
 *     while (resolver_next(r, &answer)) ...    after each of the three
 *     resolver_forget(r, number)               the asker is gone, or does not care any more
 *
 * Equal questions under way are one query. Answers are kept for their TTL, negative ones too (RFC 2308), within
 * `cache_size` octets. Keys are names as the facts have them; one that is no name for the DNS (D-3) reads NXDOMAIN without
 * a query.
 */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include "../policy/facts.h"
#include "../policy/option.h"

/* [dns] */
struct dns_settings {
    struct endpoint_list servers; /* empty: those of /etc/resolv.conf */
    uint64_t timeout;             /* ms, for one try at one server */
    uint64_t tries;               /* per server */
    uint64_t in_flight;           /* queries at once, per worker */
    uint64_t in_flight_session;   /* of one session; what is above waits its turn */
    uint64_t cache_size;          /* octets, per worker */
    uint64_t cache_ttl;           /* ms, the longest an answer is kept whatever it says */
};

struct resolver_answer {
    uint64_t asker;
    struct question question;
    enum fact_state state;
    const struct str *value; /* valid until the next call */
    size_t n;
};

struct resolver;

/* Which readiness of `fd` to wait for; neither: it is about to be closed. */
typedef void resolver_watch(void *owner, int fd, bool readable, bool writable);

/* NULL without memory or usable servers. `settings` outlives the resolver. `*now` (ms, monotonic) is read at each call. */
struct resolver *resolver_new(const struct dns_settings *, const uint64_t *now, resolver_watch *, void *owner);
void resolver_free(struct resolver *);

void resolver_ask(struct resolver *, uint64_t asker, struct question);
void resolver_forget(struct resolver *, uint64_t asker);
void resolver_ready(struct resolver *, int fd, bool readable, bool writable);
void resolver_tick(struct resolver *);
uint64_t resolver_deadline(const struct resolver *); /* ms; UINT64_MAX: none */
bool resolver_next(struct resolver *, struct resolver_answer *);

/* Queries sent since the start, and answers found in the cache; for tests and the log. */
struct resolver_counts {
    uint64_t questions, queries, hits, shared, in_flight, cached_octets;
};
struct resolver_counts resolver_counts(const struct resolver *);

#endif
