/* Carries out what a session wants, and tells it what happened: the only place where session and streams meet. */
#include "worker_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what the session wants ---- */

/* What is left to write on an orderly end goes with the stream: the session may be gone before it is written. */
static void end_leg(struct stream **stream, struct leg *leg)
{
    struct stream *s = *stream;

    *stream = NULL;
    if (s != NULL && leg->end == LEG_CLOSE) {
        stream_write(s, &leg->out);
        stream_close(s);
    } else if (s != NULL) {
        stream_reset(s);
    }
    chain_clear(&leg->out);
}

static void open_south(struct connection *c, const struct session_wants *wants)
{
    c->south = stream_connect(&c->worker->streams, wants->target, connection_event, c);
    c->south_reads = true;
    if (c->south == NULL)
        session_south_short(c->session, "out of descriptors or memory");
}

/* True when something of it has left. */
static bool write_leg(struct stream *stream, struct leg *leg)
{
    size_t before = leg->out.n;

    if (stream == NULL || before == 0 || leg->end == LEG_RESET || leg->is_held)
        return false;
    stream_write(stream, &leg->out);
    return leg->out.n < before;
}

static void set_reading(struct stream *stream, const struct leg *leg, bool *reads)
{
    if (stream == NULL || leg->read == *reads)
        return;
    *reads = leg->read;
    stream_read(stream, leg->read);
}

static void start_north_tls(struct connection *c)
{
    struct tls *tls = tls_accept(c->worker->start->tls);

    if (tls == NULL)
        session_north_gone(c->session, "out of memory");
    else if (c->port->listener->tls == LISTEN_TLS_IMPLICIT)
        stream_start_tls_at_once(c->north, tls);
    else
        stream_start_tls(c->north, tls);
}

static void start_south_tls(struct connection *c, const struct route *route)
{
    struct tls *tls = tls_connect(worker_tls_client(c->worker, route));

    if (tls == NULL)
        session_south_short(c->session, "out of memory");
    else
        stream_start_tls(c->south, tls);
}

static bool wants_tls(const struct stream *stream, struct leg *leg)
{
    if (stream == NULL || !leg->start_tls || leg->out.n > 0)
        return false;
    leg->start_tls = false;
    return true;
}

/* Both return whether something moved on: then there may be more to do. */
static bool carry_out_south(struct connection *c, struct session_wants *wants)
{
    bool moved = wants->open_south || wants->south.end != LEG_OPEN;

    if (wants->south.end != LEG_OPEN) {
        end_leg(&c->south, &wants->south);
        wants->south.end = LEG_OPEN;
    }
    if (wants->open_south) {
        wants->open_south = false;
        open_south(c, wants);
    }
    if (write_leg(c->south, &wants->south)) {
        session_south_written(c->session);
        moved = true;
    }
    if (wants_tls(c->south, &wants->south))
        start_south_tls(c, wants->route);
    return moved;
}

static bool carry_out_north(struct connection *c, struct session_wants *wants)
{
    bool moved = false;

    if (write_leg(c->north, &wants->north)) {
        session_north_written(c->session, stream_is_sent(c->north));
        moved = true;
    }
    if (wants_tls(c->north, &wants->north))
        start_north_tls(c);
    if (wants->north.end != LEG_OPEN && c->north != NULL) {
        end_leg(&c->north, &wants->north);
        if (wants->north.end == LEG_CLOSE)
            connection_uncount_address(c);
    }
    return moved;
}

/* Step 1 of the order of work in session.h. One wish may lead to another: a server that cannot be reached to the next, room
 * in a socket to more of a message.
 */
static bool carry_out(struct connection *c)
{
    struct session_wants *wants = session_wants(c->session);
    bool moved, has_moved = false;

    do {
        moved = carry_out_south(c, wants);
        moved = carry_out_north(c, wants) || moved;
        has_moved = has_moved || moved;
    } while (moved || wants->open_south || wants->south.end != LEG_OPEN);
    return has_moved;
}

/* True when something it needs to know was there at once. */
static bool answer(struct connection *c, struct session_wants *wants)
{
    if (!wants->ask)
        return false;
    wants->ask = false;
    if (!lookups_ask(c))
        return false;
    session_answered(c->session);
    return true;
}

/* Step 2; true when something was consumed. */
static bool offer(struct session *session, struct stream *stream, const struct leg *leg,
                  size_t take(struct session *, struct str))
{
    struct str in;
    size_t used;

    if (stream == NULL || !leg->read)
        return false;
    in = stream_input(stream);
    if (in.n == 0)
        return false;
    used = take(session, in);
    stream_consume(stream, used);
    return used > 0;
}

static bool offer_both(struct connection *c, const struct session_wants *wants)
{
    bool south = offer(c->session, c->south, &wants->south, session_south_input);

    return offer(c->session, c->north, &wants->north, session_north_input) || south;
}

static void serve(struct connection *c)
{
    struct session_wants *wants = session_wants(c->session);

    do /* an offer of which nothing was taken may still have led to something: a stream begun for want of memory */
        carry_out(c);
    while (answer(c, wants) || offer_both(c, wants) || carry_out(c));
    if (session_is_over(c->session)) {
        connection_end(c);
        return;
    }
    set_reading(c->south, &wants->south, &c->south_reads);
    set_reading(c->north, &wants->north, &c->north_reads);
    connection_arm(c, wants->deadline);
}

/* ---- what happened ---- */

static void north_event(struct connection *c, enum stream_event event)
{
    struct stream *stream = c->north;
    struct tls_facts facts;

    if (event == STREAM_SECURED && stream_tls_facts(stream, &facts))
        session_north_secured(c->session, &facts);
    else if (event == STREAM_WRITTEN)
        session_north_written(c->session, stream_is_sent(stream));
    else if (event == STREAM_END)
        session_north_end(c->session);
    else if (event == STREAM_FAILED) {
        c->north = NULL;
        stream_close(stream); /* first: `out` is the stream's until then; and an alert is still to be sent */
        session_north_gone(c->session, stream_why(stream));
    }
}

static void south_gone(struct connection *c, const char *why, void end(struct stream *))
{
    struct stream *stream = c->south;

    snprintf(c->south_why, sizeof c->south_why, "%s", why);
    c->south = NULL;
    end(stream);
    session_south_failed(c->session, c->south_why);
}

static void south_connected(struct connection *c)
{
    struct endpoint server, own;

    session_south_connected(c->session, stream_addresses(c->south, &server, &own) ? &own : NULL);
}

static void south_event(struct connection *c, enum stream_event event)
{
    if (event == STREAM_CONNECTED)
        south_connected(c);
    else if (event == STREAM_SECURED)
        session_south_secured(c->session);
    else if (event == STREAM_WRITTEN)
        session_south_written(c->session);
    else if (event == STREAM_END)
        south_gone(c, "connection closed", stream_reset);
    else if (event == STREAM_FAILED)
        south_gone(c, stream_why(c->south), stream_close);
}

/* Before there is a session, only the PROXY header is waited for. */
static void header_event(struct connection *c, enum stream_event event)
{
    if (event == STREAM_INPUT_READY)
        connection_header(c);
    else if (event == STREAM_END || event == STREAM_FAILED)
        connection_end(c);
}

void connection_event(void *owner, struct stream *stream, enum stream_event event)
{
    struct connection *c = owner;

    worker_clock(c->worker);
    if (c->session == NULL) {
        header_event(c, event);
        return;
    }
    if (stream == c->north)
        north_event(c, event);
    else
        south_event(c, event);
    serve(c);
}

void connection_answered(struct connection *c)
{
    lookups_ask(c); /* there is room for more of its questions */
    session_answered(c->session);
    serve(c);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    uint64_t deadline = c->session == NULL ? c->header_deadline : session_wants(c->session)->deadline;

    worker_clock(c->worker);
    c->timer_at = UINT64_MAX;
    if (c->worker->env.now < deadline)
        connection_arm(c, deadline);
    else if (c->session == NULL)
        connection_late(c);
    else {
        session_tick(c->session);
        serve(c);
    }
}

/* Deadlines move with nearly every event, and mostly further away: the timer is left running then, and looks again. */
void connection_arm(struct connection *c, uint64_t deadline)
{
    uint64_t now = c->worker->env.now;

    if (deadline >= c->timer_at)
        return;
    c->timer_at = deadline;
    uv_timer_start(&c->timer, on_timer, deadline > now ? deadline - now : 0, 0);
}

/* ---- life ---- */

struct connection *connection_new(struct worker *w, const struct worker_port *port)
{
    struct connection *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    *c = (struct connection){ .worker = w, .port = port, .timer_at = UINT64_MAX, .north_reads = true };
    uv_timer_init(&w->loop, &c->timer);
    c->timer.data = c;
    c->next = w->connections;
    c->link = &w->connections;
    if (c->next != NULL)
        c->next->link = &c->next;
    w->connections = c;
    worker_counts_one_more(w);
    lookups_admit(c);
    return c;
}

static void on_timer_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void connection_begin(struct connection *c, enum admission admission)
{
    c->peer.admission = admission;
    c->session = session_new(&c->worker->env, &c->peer);
    if (c->session == NULL)
        connection_end(c);
    else
        serve(c);
}

void connection_remove(struct connection *c)
{
    connection_uncount(c);
    lookups_forget(c);
    free(c->header_start);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    worker_counts_one_less(c->worker);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

void connection_end(struct connection *c)
{
    struct worker *w = c->worker;

    if (c->south != NULL)
        stream_reset(c->south);
    if (c->north != NULL)
        stream_reset(c->north);
    if (c->session != NULL)
        session_free(c->session);
    connection_remove(c);
    doors_retry(w);
    worker_check_end(w);
}

void connections_drain(struct worker *w)
{
    struct connection *next;

    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        if (c->session == NULL) {
            connection_end(c);
            continue;
        }
        session_drain(c->session);
        serve(c);
    }
}

void connections_stressed(struct worker *w)
{
    struct connection *next;

    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        if (c->session == NULL)
            continue;
        session_stressed(c->session);
        serve(c);
    }
}

void connections_end(struct worker *w)
{
    struct connection *next;

    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        connection_end(c);
    }
}
