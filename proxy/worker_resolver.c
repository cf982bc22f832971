/* Answers for sessions: between their facts and the resolver, and between the resolver and the loop.
 *
 * A session's questions are handed over as far as its share of queries reaches, the next when an answer has come. The
 * resolver knows connections by number alone: an answer for one that has ended finds nobody. Answers only mark the session;
 * it goes on once a turn of the loop, however many came.
 */
#include <stdlib.h>

#include "worker_parts.h"

/* ---- sockets of the resolver ---- */

struct dns_socket {
    uv_poll_t poll;
    struct worker *worker;
    int fd;
    struct dns_socket *next;
};

/* A free place for `fd` at the end of its chain, or the one it has. */
static struct dns_socket **socket_place(struct worker *w, int fd)
{
    struct dns_socket **place = &w->dns_socket[(unsigned)fd % SOCKET_CHAINS];

    while (*place != NULL && (*place)->fd != fd)
        place = &(*place)->next;
    return place;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *socket = poll->data;
    struct worker *w = socket->worker;

    worker_clock(w);
    resolver_ready(w->resolver, socket->fd, status < 0 || (events & UV_READABLE) != 0,
                   status < 0 || (events & UV_WRITABLE) != 0);
    lookups_collect(w);
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* At once, since the descriptor is about to be closed; the handle goes with the next turn. */
static void socket_leave(struct dns_socket **place)
{
    struct dns_socket *socket = *place;

    if (socket == NULL)
        return;
    *place = socket->next;
    uv_poll_stop(&socket->poll);
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

static struct dns_socket *socket_new(struct worker *w, int fd)
{
    struct dns_socket *socket = calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    if (uv_poll_init(&w->loop, &socket->poll, fd) != 0) {
        free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    socket->worker = w;
    socket->fd = fd;
    return socket;
}

/* A socket that cannot be watched for want of memory answers nothing: its query times out. */
static void on_watch(void *owner, int fd, bool readable, bool writable)
{
    struct worker *w = owner;
    struct dns_socket **place = socket_place(w, fd);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

    if (events == 0) {
        socket_leave(place);
        return;
    }
    if (*place == NULL)
        *place = socket_new(w, fd);
    if (*place != NULL)
        uv_poll_start(&(*place)->poll, events, on_ready);
}

/* ---- connections by number ---- */

static struct connection **chain_of(struct worker *w, uint64_t number)
{
    return &w->by_number[number % NUMBER_CHAINS];
}

static struct connection *find(struct worker *w, uint64_t number)
{
    struct connection *c = *chain_of(w, number);

    while (c != NULL && c->number != number)
        c = c->same_chain;
    return c;
}

void lookups_admit(struct connection *c)
{
    struct connection **chain;

    c->number = ++c->worker->last_number;
    chain = chain_of(c->worker, c->number);
    c->same_chain = *chain;
    *chain = c;
}

static void unmark(struct connection *c)
{
    if (c->is_answered)
        TAILQ_REMOVE(&c->worker->answered, c, place_answered);
    c->is_answered = false;
}

void lookups_forget(struct connection *c)
{
    struct connection **place = chain_of(c->worker, c->number);

    while (*place != c)
        place = &(*place)->same_chain;
    *place = c->same_chain;
    unmark(c);
    if (c->worker->resolver != NULL && c->asked > 0)
        resolver_forget(c->worker->resolver, c->number);
}

/* ---- questions ---- */

static void mark(struct connection *c)
{
    if (!c->is_answered)
        TAILQ_INSERT_TAIL(&c->worker->answered, c, place_answered);
    c->is_answered = true;
}

/* As many of the session's questions as its share of queries has room for. What nobody can tell reads TEMP. */
static void hand_over(struct connection *c)
{
    struct resolver *resolver = c->worker->resolver;
    struct question q;

    while (c->asked < c->worker->start->dns->in_flight_session && session_next_question(c->session, &q)) {
        if (resolver != NULL && resolver_ask(resolver, c->number, q)) {
            c->asked++;
            continue;
        }
        facts_answer(session_facts(c->session), q, FACT_TEMP, NULL, 0);
        mark(c);
    }
}

/* The facts may be others by now than those it was asked for: what is not asked any more is not added to them. */
static void deliver(struct worker *w, const struct resolver_answer *answer)
{
    struct connection *c = find(w, answer->asker);
    struct facts *facts;
    const struct fact *fact;

    if (answer->asker == LISTS_ASKER)
        lists_answered(w, answer);
    if (c == NULL || c->session == NULL)
        return;
    c->asked--;
    mark(c);
    facts = session_facts(c->session);
    fact = facts != NULL ? facts_find(facts, answer->question) : NULL;
    if (fact != NULL && fact->state == FACT_UNKNOWN)
        facts_answer(facts, answer->question, answer->state, answer->value, answer->n);
}

void lookups_collect(struct worker *w)
{
    struct resolver_answer answer;

    while (resolver_next(w->resolver, &answer))
        deliver(w, &answer);
}

bool lookups_ask(struct connection *c)
{
    bool is_answered = c->is_answered;

    do { /* an answer that was known makes room for the next question */
        unmark(c);
        hand_over(c);
        if (c->worker->resolver != NULL)
            lookups_collect(c->worker);
        is_answered = is_answered || c->is_answered;
    } while (c->is_answered);
    return is_answered;
}

/* ---- turns of the loop ---- */

static void on_due(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    resolver_tick(w->resolver);
    lookups_collect(w);
}

static void arm(struct worker *w)
{
    uint64_t deadline = resolver_deadline(w->resolver);

    if (deadline == UINT64_MAX)
        uv_timer_stop(&w->dns_due);
    else
        uv_timer_start(&w->dns_due, on_due, deadline > w->env.now ? deadline - w->env.now : 0, 0);
}

void lookups_go_on(struct worker *w)
{
    struct connection *c;

    if (w->resolver == NULL)
        return;
    worker_clock(w);
    while ((c = TAILQ_FIRST(&w->answered)) != NULL) {
        unmark(c);
        connection_answered(c);
    }
    if (w->resolver != NULL) /* the last session may have ended the worker */
        arm(w);
}

/* ---- life ---- */

void lookups_open(struct worker *w)
{
    w->resolver = resolver_new(w->start->dns, &w->env.now, on_watch, w);
    if (w->resolver == NULL)
        log_say(w->env.log, LOG_WARN, "worker",
                "the resolver cannot start: DNS fails, and what depends on it is put off");
}

void lookups_close(struct worker *w)
{
    resolver_free(w->resolver);
    w->resolver = NULL;
}
