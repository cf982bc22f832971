/* Carries out what a session wants, and tells it what happened: the only place where session and streams meet. */
#include "worker_parts.h"

#include <stdlib.h>

/* ---- wires ---- */

/* Lets a wire finish by itself. What is left to write goes with it, since the session may be gone before that. */
static void wire_close(struct wire **wire, struct leg *leg)
{
    struct wire *w = *wire;

    chain_move(&w->rest, &leg->out);
    stream_write(w->stream, &w->rest);
    w->connection = NULL;
    *wire = NULL;
    stream_close(w->stream);
}

static void wire_reset(struct wire **wire, struct leg *leg)
{
    struct wire *w = *wire;

    w->connection = NULL;
    *wire = NULL;
    stream_reset(w->stream);
    if (leg != NULL)
        chain_clear(&leg->out);
}

static void wire_end(struct wire **wire, struct leg *leg)
{
    if (*wire == NULL)
        chain_clear(&leg->out);
    else if (leg->end == LEG_CLOSE)
        wire_close(wire, leg);
    else
        wire_reset(wire, leg);
}

static void wire_free(struct wire *w)
{
    chain_clear(&w->rest);
    free(w);
}

/* ---- what the session wants ---- */

static void open_south(struct connection *c, const struct session_wants *wants)
{
    struct worker *w = c->worker;

    c->south = calloc(1, sizeof *c->south);
    if (c->south != NULL) {
        c->south->connection = c;
        c->south->stream = stream_connect(&w->streams, wants->target, wire_event, c->south);
    }
    if (c->south == NULL || c->south->stream == NULL) {
        free(c->south);
        c->south = NULL;
        session_south_failed(c->session, "out of descriptors or memory");
    }
}

static void write_leg(struct wire *wire, struct leg *leg)
{
    if (wire == NULL)
        return;
    if (leg->out.n > 0)
        stream_write(wire->stream, &leg->out);
    stream_read(wire->stream, leg->read);
}

/* The first record may have come right behind the PROXY header, in the same segment. */
static void feed_read_ahead(struct stream *stream, struct tls *tls)
{
    stream_consume(stream, tls_feed(tls, stream_input(stream)));
}

static void start_north_tls(struct connection *c)
{
    struct tls *tls = tls_accept(c->worker->start->tls);

    if (tls == NULL) {
        session_north_gone(c->session, "out of memory");
        wire_reset(&c->north, &session_wants(c->session)->north);
        return;
    }
    if (c->port->listener->tls == LISTEN_TLS_IMPLICIT)
        feed_read_ahead(c->north->stream, tls);
    stream_start_tls(c->north->stream, tls);
}

static void start_south_tls(struct connection *c, const struct route *route)
{
    struct tls *tls = tls_connect(worker_tls_client(c->worker, route));

    if (tls != NULL) {
        stream_start_tls(c->south->stream, tls);
        return;
    }
    session_south_failed(c->session, "out of memory");
    if (c->south != NULL)
        wire_reset(&c->south, &session_wants(c->session)->south);
}

static bool wants_tls(const struct wire *wire, struct leg *leg)
{
    if (wire == NULL || !leg->start_tls || leg->out.n > 0)
        return false;
    leg->start_tls = false;
    return true;
}

/* Step 1 of the order of work in session.h. */
static void carry_out(struct connection *c)
{
    struct session_wants *wants = session_wants(c->session);

    if (wants->south.end != LEG_OPEN) {
        wire_end(&c->south, &wants->south);
        wants->south.end = LEG_OPEN;
    }
    if (wants->open_south) {
        wants->open_south = false;
        open_south(c, wants);
    }
    write_leg(c->south, &wants->south);
    if (wants_tls(c->south, &wants->south))
        start_south_tls(c, wants->route);
    write_leg(c->north, &wants->north); /* last, so that what failed above is told, too */
    if (wants_tls(c->north, &wants->north))
        start_north_tls(c);
    if (wants->north.end != LEG_OPEN)
        wire_end(&c->north, &wants->north);
}

/* Step 2; true when something was consumed. */
static bool offer(struct session *session, struct wire *wire, const struct leg *leg,
                  size_t take(struct session *, struct str))
{
    struct str in;
    size_t used;

    if (wire == NULL || !leg->read)
        return false;
    in = stream_input(wire->stream);
    if (in.n == 0)
        return false;
    used = take(session, in);
    stream_consume(wire->stream, used);
    return used > 0;
}

static bool has_open_wishes(const struct connection *c, const struct session_wants *wants)
{
    return wants->open_south || wants->south.end != LEG_OPEN || (wants->north.end != LEG_OPEN && c->north != NULL);
}

static void serve(struct connection *c)
{
    struct session_wants *wants = session_wants(c->session);
    bool goes_on;

    do {
        carry_out(c);
        goes_on = offer(c->session, c->south, &wants->south, session_south_input);
        goes_on |= offer(c->session, c->north, &wants->north, session_north_input);
    } while (goes_on || has_open_wishes(c, wants));
    if (session_is_over(c->session))
        connection_end(c);
    else
        connection_arm(c, wants->deadline);
}

/* ---- what happened ---- */

static void north_event(struct connection *c, struct stream *stream, enum stream_event event)
{
    struct tls_facts facts;

    if (event == STREAM_SECURED && stream_tls_facts(stream, &facts))
        session_north_secured(c->session, &facts);
    else if (event == STREAM_WRITTEN)
        session_north_written(c->session);
    else if (event == STREAM_END)
        session_north_end(c->session);
    else if (event == STREAM_FAILED) {
        session_north_gone(c->session, stream_why(stream));
        wire_reset(&c->north, &session_wants(c->session)->north);
    }
}

static void south_event(struct connection *c, struct stream *stream, enum stream_event event)
{
    struct tls_facts facts;

    if (event == STREAM_CONNECTED)
        session_south_connected(c->session);
    else if (event == STREAM_SECURED && stream_tls_facts(stream, &facts))
        session_south_secured(c->session, &facts);
    else if (event == STREAM_WRITTEN)
        session_south_written(c->session);
    else if (event == STREAM_END || event == STREAM_FAILED) {
        session_south_failed(c->session, event == STREAM_END ? "connection closed" : stream_why(stream));
        wire_reset(&c->south, &session_wants(c->session)->south);
    }
}

void wire_event(void *owner, struct stream *stream, enum stream_event event)
{
    struct wire *wire = owner;
    struct connection *c = wire->connection;

    if (event == STREAM_CLOSED)
        wire_free(wire);
    if (event == STREAM_CLOSED || c == NULL)
        return;
    worker_clock(c->worker);
    if (c->session == NULL) {
        if (event == STREAM_INPUT_READY)
            connection_header(c);
        else if (event == STREAM_END || event == STREAM_FAILED)
            connection_end(c);
        return;
    }
    if (wire == c->north)
        north_event(c, stream, event);
    else
        south_event(c, stream, event);
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
    struct wire *north = calloc(1, sizeof *north);

    if (c == NULL || north == NULL) {
        free(c);
        free(north);
        return NULL;
    }
    *c = (struct connection){ .worker = w, .north = north, .port = port, .timer_at = UINT64_MAX };
    north->connection = c;
    uv_timer_init(&w->loop, &c->timer);
    c->timer.data = c;
    c->next = w->connections;
    c->link = &w->connections;
    if (c->next != NULL)
        c->next->link = &c->next;
    w->connections = c;
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
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

void connection_end(struct connection *c)
{
    struct worker *w = c->worker;

    if (c->south != NULL)
        wire_reset(&c->south, NULL);
    if (c->north != NULL)
        wire_reset(&c->north, NULL);
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

void connections_end(struct worker *w)
{
    struct connection *next;

    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        connection_end(c);
    }
}
