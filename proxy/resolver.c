#include "resolver.h"

#include <stdlib.h>

#include "budget.h"
#include "resolver_parts.h"

enum { ASKER_CHAINS = 1024 /* a power of two */ };

/* One asker waiting for one lookup. */
struct request {
    uint64_t asker;
    struct dns_lookup *lookup;
    TAILQ_ENTRY(request) of_lookup;
    TAILQ_ENTRY(request) of_chain;
};

/* A question nobody else asks costs both, each with what malloc adds. */
_Static_assert(sizeof(struct dns_lookup) + DNS_NAME_MAX + sizeof(struct request) + 2 * 2 * sizeof(size_t) <=
                   BUDGET_QUESTION,
               "BUDGET_QUESTION covers a question and who waits for it");

TAILQ_HEAD(lookup_list, dns_lookup);

struct resolver {
    const struct dns_settings *settings;
    const uint64_t *now;
    resolver_watch *watch;
    void *owner;
    struct ares_channeldata *channel; /* the two ways to the wire */
    struct dns_raw *raw;
    struct dns_table under_way;
    struct dns_cache cache;
    struct lookup_list list[LOOKUP_STATES];
    TAILQ_HEAD(request_chain, request) askers[ASKER_CHAINS]; /* requests by the number of their asker */
    size_t in_flight, waiting;                               /* lookups on their way; in the queue */
    struct dns_lookup *told; /* the one whose answer was given last: its values are still being looked at */
    struct resolver_counts counts;
};

/* ---- lookups ---- */

static void move(struct dns_lookup *lookup, enum lookup_state state)
{
    struct resolver *r = lookup->resolver;

    TAILQ_REMOVE(&r->list[lookup->state], lookup, place);
    TAILQ_INSERT_TAIL(&r->list[state], lookup, place);
    lookup->state = state;
}

static struct dns_lookup *lookup_new(struct resolver *r, struct question q, enum lookup_state state)
{
    struct dns_lookup *lookup = malloc(sizeof *lookup + q.key.n);

    if (lookup == NULL)
        return NULL;
    *lookup = (struct dns_lookup){ .resolver = r, .state = state, .keep = UINT64_MAX };
    if (q.key.n > 0)
        memcpy(lookup->name, q.key.p, q.key.n);
    lookup->key.q = (struct question){ q.kind, str_from(lookup->name, q.key.n) };
    TAILQ_INIT(&lookup->requests);
    TAILQ_INSERT_TAIL(&r->list[state], lookup, place);
    return lookup;
}

/* Nobody can join it any more. */
static void unlist(struct dns_lookup *lookup)
{
    if (lookup->is_listed)
        dns_table_remove(&lookup->resolver->under_way, &lookup->key);
    lookup->is_listed = false;
}

static struct request_chain *chain_of(struct resolver *r, uint64_t asker)
{
    return &r->askers[asker & (ASKER_CHAINS - 1)];
}

static void request_free(struct request *request)
{
    TAILQ_REMOVE(&request->lookup->requests, request, of_lookup);
    TAILQ_REMOVE(chain_of(request->lookup->resolver, request->asker), request, of_chain);
    free(request);
}

static void lookup_free(struct dns_lookup *lookup)
{
    struct resolver *r = lookup->resolver;
    struct request *request;

    unlist(lookup);
    while ((request = TAILQ_FIRST(&lookup->requests)) != NULL)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
        request_free(request);
    if (lookup->state == LOOKUP_QUEUED)
        r->waiting--;
    TAILQ_REMOVE(&r->list[lookup->state], lookup, place);
    dns_answer_drop(lookup->answer);
    free(lookup->target);
    free(lookup);
}

static bool request_new(struct dns_lookup *lookup, uint64_t asker)
{
    struct request *request = malloc(sizeof *request);

    if (request == NULL)
        return false;
    *request = (struct request){ .asker = asker, .lookup = lookup };
    TAILQ_INSERT_TAIL(&lookup->requests, request, of_lookup);
    TAILQ_INSERT_TAIL(chain_of(lookup->resolver, asker), request, of_chain);
    return true;
}

/* ---- sending ---- */

/* The end of all tries at all servers. It bounds what they lead to as well: TCP after a truncated answer, and CNAMEs. */
static uint64_t patience(const struct resolver *r)
{
    return r->settings->timeout * r->settings->tries * r->settings->servers.n;
}

static void send_lookup(struct dns_lookup *lookup)
{
    struct resolver *r = lookup->resolver;
    char name[DNS_NAME_MAX + 1];
    enum dns_name how = dns_name_write(lookup->target != NULL ? str_of(lookup->target) : lookup->key.q.key, name);

    lookup->is_out = true;
    r->in_flight++;
    r->counts.queries++;
    if (how == DNS_NAME_ODD)
        raw_send(r->raw, name, lookup);
    else
        dns_send(r->channel, name, lookup);
}

static void start_queued(struct resolver *r)
{
    struct dns_lookup *lookup;

    while (r->in_flight < r->settings->in_flight && (lookup = TAILQ_FIRST(&r->list[LOOKUP_QUEUED])) != NULL) {
        r->waiting--;
        move(lookup, LOOKUP_SENT);
        lookup->deadline = *r->now + patience(r);
        send_lookup(lookup);
    }
}

/* ---- what comes back ---- */

/* `target` could not be copied when an answer that leads on gets here. */
static struct dns_answer *answer_of(const struct dns_reading *reading)
{
    if (reading->state == FACT_UNKNOWN)
        return dns_answer_new(FACT_TEMP, 0, NULL, 0);
    return dns_answer_new(reading->state, reading->keep, reading->value, reading->n);
}

void dns_came_back(struct dns_lookup *lookup, const struct dns_reading *reading)
{
    lookup->is_out = false;
    lookup->resolver->in_flight--;
    if (lookup->state == LOOKUP_ANSWERED) /* given up, and not everybody was told yet */
        return;
    lookup->links = reading->links;
    lookup->keep = reading->keep;
    free(lookup->target);
    lookup->target = reading->state == FACT_UNKNOWN ? strdup(reading->target) : NULL;
    if (lookup->state == LOOKUP_SENT && lookup->target == NULL)
        lookup->answer = answer_of(reading);
    move(lookup, LOOKUP_BACK);
}

/* Nobody waits for it any more. */
static void lookup_end(struct dns_lookup *lookup)
{
    if (lookup->is_out)
        move(lookup, LOOKUP_GIVEN_UP);
    else
        lookup_free(lookup);
}

/* It has its answer; without one there was no memory for it. */
static void settle(struct dns_lookup *lookup)
{
    struct resolver *r = lookup->resolver;

    if (lookup->answer != NULL)
        dns_cache_put(&r->cache, lookup->key.q, lookup->answer, *r->now);
    unlist(lookup);
    if (TAILQ_EMPTY(&lookup->requests))
        lookup_end(lookup);
    else
        move(lookup, LOOKUP_ANSWERED);
}

static void look_at(struct dns_lookup *lookup)
{
    if (lookup->is_given_up) {
        lookup_free(lookup);
    } else if (lookup->target != NULL) {
        move(lookup, LOOKUP_SENT);
        send_lookup(lookup);
    } else {
        settle(lookup);
    }
}

/* What has come back, and what may be sent now that less is under way. Either may lead to more of the other. */
static void go_on(struct resolver *r)
{
    struct dns_lookup *lookup;

    do {
        while ((lookup = TAILQ_FIRST(&r->list[LOOKUP_BACK])) != NULL)
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
            look_at(lookup);
        start_queued(r);
    } while (!TAILQ_EMPTY(&r->list[LOOKUP_BACK]));
}

/* At most `in_flight` of them are looked through, once a tick. */
static void give_up_late(struct resolver *r)
{
    struct dns_lookup *lookup, *next;

    for (lookup = TAILQ_FIRST(&r->list[LOOKUP_SENT]); lookup != NULL; lookup = next) {
        next = TAILQ_NEXT(lookup, place);
        if (*r->now < lookup->deadline)
            continue;
        lookup->is_given_up = true;
        lookup->answer = dns_answer_new(FACT_TEMP, DNS_TEMP_MS, NULL, 0);
        settle(lookup);
    }
}

/* ---- asking ---- */

static bool answer_at_once(struct resolver *r, uint64_t asker, struct question q, struct dns_answer *answer)
{
    struct dns_lookup *lookup = answer != NULL ? lookup_new(r, q, LOOKUP_ANSWERED) : NULL;

    if (lookup == NULL) {
        dns_answer_drop(answer);
        return false;
    }
    lookup->answer = answer;
    if (request_new(lookup, asker))
        return true;
    lookup_free(lookup);
    return false;
}

static bool look_up(struct resolver *r, uint64_t asker, struct question q)
{
    struct dns_lookup *lookup = lookup_new(r, q, LOOKUP_QUEUED);

    if (lookup == NULL)
        return false;
    r->waiting++;
    if (!request_new(lookup, asker)) {
        lookup_free(lookup);
        return false;
    }
    dns_table_add(&r->under_way, &lookup->key);
    lookup->is_listed = true;
    go_on(r);
    return true;
}

bool resolver_ask(struct resolver *r, uint64_t asker, struct question q)
{
    char name[DNS_NAME_MAX + 1];
    struct dns_answer *known;
    struct dns_lookup *same;

    r->counts.questions++;
    if (dns_name_write(q.key, name) == DNS_NAME_BAD) /* D-3: it does not exist */
        return answer_at_once(r, asker, q, dns_answer_new(FACT_NXDOMAIN, 0, NULL, 0));
    known = dns_cache_find(&r->cache, q, *r->now);
    if (known != NULL) {
        r->counts.hits++;
        return answer_at_once(r, asker, q, dns_answer_hold(known));
    }
    same = (struct dns_lookup *)dns_table_find(&r->under_way, q);
    if (same != NULL) {
        r->counts.shared++;
        return request_new(same, asker);
    }
    return look_up(r, asker, q);
}

static void request_forget(struct request *request)
{
    struct dns_lookup *lookup = request->lookup;

    request_free(request);
    if (!TAILQ_EMPTY(&lookup->requests) || lookup == lookup->resolver->told)
        return;
    if (lookup->state == LOOKUP_QUEUED || lookup->state == LOOKUP_ANSWERED)
        lookup_end(lookup); /* what was sent goes on: its answer may be kept */
}

void resolver_forget(struct resolver *r, uint64_t asker)
{
    struct request *request, *next;

    for (request = TAILQ_FIRST(chain_of(r, asker)); request != NULL; request = next) {
        next = TAILQ_NEXT(request, of_chain);
        if (request->asker == asker)
            request_forget(request);
    }
}

/* ---- answers ---- */

static void let_go_of_told(struct resolver *r)
{
    struct dns_lookup *told = r->told;

    r->told = NULL;
    if (told != NULL && TAILQ_EMPTY(&told->requests))
        lookup_end(told);
}

bool resolver_next(struct resolver *r, struct resolver_answer *out)
{
    struct dns_lookup *lookup;
    struct request *request;

    let_go_of_told(r);
    lookup = TAILQ_FIRST(&r->list[LOOKUP_ANSWERED]);
    if (lookup == NULL)
        return false;
    request = TAILQ_FIRST(&lookup->requests);
    *out = (struct resolver_answer){ .asker = request->asker, .question = lookup->key.q, .state = FACT_TEMP };
    if (lookup->answer != NULL) {
        out->state = lookup->answer->state;
        out->value = lookup->answer->value;
        out->n = lookup->answer->n;
    }
    request_free(request);
    r->told = lookup;
    return true;
}

/* ---- the driver's side ---- */

static void on_socket(void *owner, int fd, int readable, int writable)
{
    struct resolver *r = owner;

    r->watch(r->owner, fd, readable != 0, writable != 0);
}

static void process(struct resolver *r, int readable, int writable)
{
    dns_process(r->channel, readable, writable);
    raw_process(r->raw, readable, writable);
}

void resolver_ready(struct resolver *r, int fd, bool readable, bool writable)
{
    process(r, readable ? fd : -1, writable ? fd : -1);
    go_on(r);
}

void resolver_tick(struct resolver *r)
{
    process(r, -1, -1);
    give_up_late(r);
    go_on(r);
}

uint64_t resolver_deadline(const struct resolver *r)
{
    uint64_t ares = dns_timeout(r->channel), raw = raw_timeout(r->raw), left = ares < raw ? ares : raw;
    uint64_t deadline = left == UINT64_MAX ? left : *r->now + left;
    const struct dns_lookup *lookup;

    TAILQ_FOREACH(lookup, &r->list[LOOKUP_SENT], place)
    if (lookup->deadline < deadline)
        deadline = lookup->deadline;
    return deadline;
}

struct resolver_counts resolver_counts(const struct resolver *r)
{
    struct resolver_counts counts = r->counts;

    counts.in_flight = r->in_flight;
    counts.waiting = r->waiting;
    counts.cached_octets = r->cache.octets;
    return counts;
}

/* ---- life ---- */

struct resolver *resolver_new(const struct dns_settings *settings, const uint64_t *now, resolver_watch *watch,
                              void *owner)
{
    struct resolver *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->settings = settings;
    r->now = now;
    r->watch = watch;
    r->owner = owner;
    for (size_t i = 0; i < LOOKUP_STATES; i++)
        TAILQ_INIT(&r->list[i]);
    for (size_t i = 0; i < ASKER_CHAINS; i++)
        TAILQ_INIT(&r->askers[i]);
    if (dns_table_init(&r->under_way) && dns_cache_init(&r->cache, (size_t)settings->cache_size, settings->cache_ttl))
        r->channel = dns_open(settings, on_socket, r);
    if (r->channel != NULL)
        r->raw = raw_open(settings, now, on_socket, r);
    if (r->raw != NULL)
        return r;
    resolver_free(r);
    return NULL;
}

void resolver_free(struct resolver *r)
{
    struct dns_lookup *lookup;

    if (r == NULL)
        return;
    raw_close(r->raw);
    if (r->channel != NULL)
        dns_close(r->channel);
    for (size_t i = 0; i < LOOKUP_STATES; i++)
        while ((lookup = TAILQ_FIRST(&r->list[i])) != NULL)
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
            lookup_free(lookup);
    dns_cache_free(&r->cache);
    dns_table_free(&r->under_way);
    free(r);
}
