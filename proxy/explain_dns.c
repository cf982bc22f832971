/* Answers from the DNS, for one judgement: the resolver with poll(2) for a loop. */
#include <poll.h>
#include <time.h>

#include "explain_parts.h"
#include "resolver.h"

enum { SOCKETS_MAX = 64, ASKER = 1 };

struct live {
    struct resolver *resolver;
    struct dns_settings dns;
    struct endpoint server[DNS_SERVERS_MAX]; /* the system's, when the ini names none */
    uint64_t now;                            /* ms */
    struct pollfd fd[SOCKETS_MAX];
    nfds_t n;
    size_t asked; /* facts before this one have been asked for */
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A socket beyond the table is not watched: its query times out and another one is tried. */
static void on_watch(void *owner, int fd, bool readable, bool writable)
{
    struct live *live = owner;
    nfds_t at = 0;

    while (at < live->n && live->fd[at].fd != fd)
        at++;
    if (!readable && !writable) {
        if (at < live->n)
            live->fd[at] = live->fd[--live->n];
        return;
    }
    if (at == SOCKETS_MAX)
        return;
    live->n += at == live->n;
    live->fd[at] = (struct pollfd){ .fd = fd, .events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)) };
}

static void ask_new(struct live *live, struct judge *j)
{
    for (; live->asked < j->facts.n; live->asked++) {
        const struct fact *fact = &j->facts.fact[live->asked];

        if (fact->state != FACT_UNKNOWN)
            continue;
        if (!resolver_is_for(fact->q.kind) || !resolver_ask(live->resolver, ASKER, fact->q))
            judge_miss(j, live->asked);
    }
}

static bool take_answers(struct live *live, struct judge *j)
{
    struct resolver_answer answer;
    bool any = false;

    while (resolver_next(live->resolver, &answer)) {
        facts_answer(&j->facts, answer.question, answer.state, answer.value, answer.n);
        any = true;
    }
    return any;
}

static void wait_for_sockets(struct live *live, uint64_t until)
{
    uint64_t deadline = resolver_deadline(live->resolver);
    struct pollfd ready[SOCKETS_MAX];
    nfds_t n = live->n;
    int wait;

    if (deadline > until)
        deadline = until;
    live->now = now_ms();
    wait = deadline > live->now ? (int)(deadline - live->now) : 0;
    memcpy(ready, live->fd, sizeof ready); /* the resolver may change the table while it is told */
    if (poll(ready, n, wait) < 0)
        n = 0;
    live->now = now_ms();
    for (nfds_t i = 0; i < n; i++)
        if (ready[i].revents != 0)
            resolver_ready(live->resolver, ready[i].fd, (ready[i].revents & ~POLLOUT) != 0,
                           (ready[i].revents & POLLOUT) != 0);
    resolver_tick(live->resolver);
}

/* Until an answer has come, or the time is over. */
static void get_answers(struct live *live, struct explanation *e, uint64_t until)
{
    size_t missing = live->asked;

    ask_new(live, &e->judge);
    for (; missing < live->asked; missing++)
        if (e->judge.is_missing[missing])
            return;
    while (!take_answers(live, &e->judge)) {
        if (now_ms() >= until) {
            e->is_late = true;
            facts_close(&e->judge.facts);
            return;
        }
        wait_for_sockets(live, until);
    }
}

static void find_servers(struct live *live)
{
    bool found;

    if (live->dns.servers.n == 0)
        live->dns.servers = (struct endpoint_list){ live->server, resolver_system_servers(live->server, &found) };
}

bool explain_judge_live(struct explanation *e)
{
    struct live live = { .now = now_ms(), .dns = e->config->dns };
    uint64_t until = live.now + e->config->timeouts.verdict;

    find_servers(&live);
    live.resolver = resolver_new(&live.dns, &live.now, on_watch, &live);
    if (live.resolver == NULL)
        return false;
    while (judge_run(&e->judge) == JUDGE_ASKS)
        get_answers(&live, e, until);
    resolver_free(live.resolver);
    return true;
}
