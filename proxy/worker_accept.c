/* Ports and admission: who is let in, and as whom. */
#include "worker_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy_protocol.h"

enum {
    BACKLOG = 1024,     /* K12: bursts wait in the kernel */
    HEADER_MS = 5000,   /* for the PROXY header, which a load balancer sends at once */
    RETRY_MS = 100,     /* while descriptors are short */
    UNCOUNTED_MAX = 256 /* at once: connections being refused, or not introduced yet */
};

/* ---- session ids ---- */

static uint64_t random_id(struct worker *w)
{
    if (w->session_ids == 0) {
        /* At most 256 bytes and after boot, so it is complete (getrandom(2)); else the id is merely less random. */
        if (getrandom(w->session_id, sizeof w->session_id, 0) < 0)
            for (size_t i = 0; i < SESSION_IDS; i++)
                w->session_id[i] = w->session_id[i] * 6364136223846793005u + w->env.now;
        w->session_ids = SESSION_IDS;
    }
    return w->session_id[--w->session_ids];
}

/* 13 digits of 5 bits, without the letters that look like others. */
static void print_id(uint64_t id, char out[SESSION_ID_MAX])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    size_t n = 13;

    out[n] = '\0';
    while (n-- > 0) {
        out[n] = digits[id & 31];
        id >>= 5;
    }
}

/* ---- admission ---- */

void connection_uncount(struct connection *c)
{
    if (c->is_counted)
        counts_leave(c->worker->start->counts, c->worker->start->row, &c->counted);
    else
        c->worker->uncounted--;
}

void connection_uncount_address(struct connection *c)
{
    if (c->is_counted)
        counts_leave_address(c->worker->start->counts, c->worker->start->row, &c->counted);
}

static enum admission count_in(struct connection *c)
{
    const struct worker *w = c->worker;
    const struct counts_limits limits = {
        .sessions = w->config->limits.sessions,
        .listener = c->port->listener->sessions,
        .address = w->config->limits.sessions_per_address,
    };

    return counts_enter(w->start->counts, w->start->row, c->port->counted_as, &c->peer.client.address, &limits,
                        &c->counted);
}

/* The client is known. Refused ones get a session, too, which tells them why. */
static void admit(struct connection *c)
{
    enum admission admission = count_in(c);

    if (c->worker->env.geo != NULL)
        geoip_refresh(c->worker->env.geo, c->worker->env.now);
    if (admission == ADMIT) {
        c->is_counted = true;
        c->worker->uncounted--;
    }
    connection_begin(c, admission);
}

static void log_header_trouble(const struct connection *c, const char *why)
{
    struct log *log = c->worker->env.log;

    log_begin(log, LOG_WARN, "proxy_header");
    log_text(log, "id", c->peer.id);
    log_endpoint(log, "peer", &c->peer.client);
    log_text(log, "why", why);
    log_end(log);
}

void connection_late(struct connection *c)
{
    log_header_trouble(c, "none in time");
    connection_end(c);
}

/* A stream reads on only when its input is consumed (stream.h), so the start of a header that comes in pieces moves here. */
struct header_start {
    size_t n;
    char octet[PROXY_HEADER_MAX];
};

static bool keep_start(struct connection *c, struct str piece)
{
    struct header_start *start = c->header_start != NULL ? c->header_start : calloc(1, sizeof *start);

    c->header_start = start;
    if (start == NULL || piece.n > sizeof start->octet - start->n)
        return false;
    memcpy(start->octet + start->n, piece.p, piece.n);
    start->n += piece.n;
    return true;
}

/* All of the header that is here: the kept start, and as much of the new input as can belong to it. */
static struct str header_so_far(struct connection *c, struct str in, size_t *kept)
{
    struct header_start *start = c->header_start;

    *kept = start != NULL ? start->n : 0;
    if (start == NULL)
        return in;
    in.n = in.n < sizeof start->octet - *kept ? in.n : sizeof start->octet - *kept;
    memcpy(start->octet + *kept, in.p, in.n);
    return str_from(start->octet, *kept + in.n);
}

static void header_done(struct connection *c, enum proxy_event event, const struct endpoint *source,
                        const struct endpoint *target)
{
    free(c->header_start);
    c->header_start = NULL;
    if (event == PROXY_READY) {
        c->peer.client = *source;
        c->peer.server = *target;
    }
    admit(c);
}

void connection_header(struct connection *c)
{
    struct str in = stream_input(c->north);
    struct endpoint source, target;
    size_t used = 0, kept;
    enum proxy_event event = proxy_header_parse(header_so_far(c, in, &kept), &used, &source, &target);

    if (event == PROXY_NEED && keep_start(c, in)) {
        stream_consume(c->north, in.n);
    } else if (event == PROXY_READY || event == PROXY_LOCAL) {
        stream_consume(c->north, used - kept);
        header_done(c, event, &source, &target);
    } else {
        log_header_trouble(c, event == PROXY_NEED ? "out of memory" : "not a PROXY header");
        connection_end(c);
    }
}

static void await_header(struct connection *c)
{
    c->header_deadline = c->worker->env.now + HEADER_MS;
    connection_arm(c, c->header_deadline);
}

/* Who is behind an accepted connection? */
static void introduce(struct connection *c)
{
    struct worker *w = c->worker;

    c->peer.listener = c->port->listener;
    print_id(random_id(w), c->peer.id);
    if (w->uncounted > UNCOUNTED_MAX || !stream_addresses(c->north, &c->peer.peer, &c->peer.address)) {
        connection_end(c);
        return;
    }
    c->peer.client = c->peer.peer;
    c->peer.server = c->peer.address;
    if (network_list_holds(&c->peer.listener->proxy_from, &c->peer.client.address))
        await_header(c);
    else
        admit(c);
}

/* ---- ports ---- */

static void on_retry(uv_timer_t *timer)
{
    doors_retry(timer->data);
}

/* libuv does not look at a port again until its waiting connection was taken: nothing spins meanwhile. */
static void wait_at(struct door *door)
{
    struct worker *w = door->worker;

    if (!door->has_waiting)
        log_say(w->env.log, LOG_WARN, "accept", "out of descriptors or memory");
    door->has_waiting = true;
    uv_timer_start(&w->retry_accept, on_retry, RETRY_MS, 0);
}

static void on_connection(uv_stream_t *tcp, int status);

/* A connection that could not be taken is gone. libuv looks at a port whose connection waited only when the next was taken,
 * and here none will be: uv_listen makes it look again.
 */
static void look_again(struct door *door)
{
    log_say(door->worker->env.log, LOG_WARN, "accept", "out of descriptors or memory, a client was turned away");
    uv_listen((uv_stream_t *)&door->tcp, BACKLOG, on_connection);
}

static void take_one(struct door *door)
{
    struct worker *w = door->worker;
    struct connection *c = connection_new(w, door->port);
    bool is_lost;

    if (c == NULL) {
        wait_at(door);
        return;
    }
    w->uncounted++;
    c->north = stream_accept(&w->streams, &door->tcp, connection_event, c, &is_lost);
    if (c->north != NULL) {
        introduce(c);
        return;
    }
    connection_remove(c);
    if (is_lost)
        look_again(door);
    else
        wait_at(door);
}

static void on_connection(uv_stream_t *tcp, int status)
{
    struct door *door = tcp->data;

    worker_clock(door->worker);
    if (status == 0)
        take_one(door);
    else
        log_say(door->worker->env.log, LOG_WARN, "accept", "%s", uv_strerror(status));
}

void doors_retry(struct worker *w)
{
    for (size_t i = 0; w->door != NULL && i < w->start->ports; i++)
        if (w->door[i].has_waiting) {
            w->door[i].has_waiting = false;
            take_one(&w->door[i]);
        }
}

static bool door_open(struct door *door, struct worker *w, const struct worker_port *port)
{
    int err;

    *door = (struct door){ .worker = w, .port = port };
    uv_tcp_init(&w->loop, &door->tcp);
    door->tcp.data = door;
    err = uv_tcp_open(&door->tcp, port->fd);
    if (err == 0)
        err = uv_listen((uv_stream_t *)&door->tcp, BACKLOG, on_connection);
    if (err != 0)
        log_say(w->env.log, LOG_ERROR, "listen", "%s", uv_strerror(err));
    return err == 0;
}

bool doors_open(struct worker *w)
{
    bool ok = true;

    w->door = calloc(w->start->ports > 0 ? w->start->ports : 1, sizeof *w->door);
    if (w->door == NULL)
        return false;
    for (size_t i = 0; i < w->start->ports; i++)
        ok = door_open(&w->door[i], w, &w->start->port[i]) && ok;
    return ok;
}

void doors_close(struct worker *w)
{
    for (size_t i = 0; w->door != NULL && i < w->start->ports; i++) {
        w->door[i].has_waiting = false;
        if (!uv_is_closing((uv_handle_t *)&w->door[i].tcp))
            uv_close((uv_handle_t *)&w->door[i].tcp, NULL);
    }
}
