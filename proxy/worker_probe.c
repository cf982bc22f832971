/* Looks at the back-end servers: what they offer, and whether they are up (servers.h). A probe is a session of the south
 * machine without a client: connect, EHLO, STARTTLS where the route says so, EHLO, QUIT.
 */
#include "worker_parts.h"

#include <stdlib.h>

enum { SOON_MS = 1000 };

/* One look at one server. */
struct probe {
    struct worker *worker;
    struct server *server;
    struct stream *stream;
    struct backend backend;
    struct chain out;
    bool is_reported; /* up or down is known */
    uv_timer_t timer;
};

static size_t server_index(const struct probe *p)
{
    return (size_t)(p->server - p->worker->servers.server);
}

/* ---- the end of a look ---- */

static void on_timer_closed(uv_handle_t *timer)
{
    struct probe *p = timer->data;

    chain_clear(&p->out);
    free(p);
}

static void log_change(const struct worker *w, const struct server *server)
{
    log_begin(w->env.log, server->is_down ? LOG_WARN : LOG_INFO, server->is_down ? "backend_down" : "backend_up");
    log_endpoint(w->env.log, "backend", server->endpoint);
    if (server->route->name.n > 0)
        log_str(w->env.log, "route", server->route->name);
    if (server->is_down)
        log_text(w->env.log, "reason", server->why);
    log_end(w->env.log);
}

static void report(struct probe *p, bool is_up)
{
    struct worker *w = p->worker;
    uint64_t interval = w->config->timeouts.probe;
    bool changed;

    if (p->is_reported)
        return;
    p->is_reported = true;
    if (is_up)
        changed = servers_up(p->server, &p->backend.caps, w->env.now, interval);
    else
        changed = servers_down(&w->servers, p->server, p->backend.why, w->env.now, interval);
    if (changed)
        log_change(w, p->server);
    if (--w->probes_out == 0)
        worker_serve(w);
}

static void leave(struct probe *p, void end(struct stream *))
{
    p->worker->probe[server_index(p)] = NULL;
    end(p->stream);
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

/* ---- the look ---- */

static void on_timer(uv_timer_t *);

static void go_on(struct probe *p, enum backend_event event)
{
    struct backend *b = &p->backend;

    if (event == BACKEND_OPENED) {
        report(p, true);
        backend_quit(b, p->worker->env.now);
    }
    if (event == BACKEND_UNUSABLE || event == BACKEND_LOST)
        report(p, false);
    if (p->out.n > 0)
        stream_write(p->stream, &p->out);
    if (b->state == BACKEND_CLOSED || event == BACKEND_REPLIED) { /* only QUIT is ever answered */
        leave(p, event == BACKEND_REPLIED ? stream_close : stream_reset);
        return;
    }
    if (b->deadline != UINT64_MAX)
        uv_timer_start(&p->timer, on_timer, b->deadline > p->worker->env.now ? b->deadline - p->worker->env.now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *p = timer->data;

    worker_clock(p->worker);
    go_on(p, backend_expired(&p->backend, p->worker->env.now));
}

static enum backend_event read_input(struct probe *p)
{
    enum backend_event event = BACKEND_IDLE;
    size_t used = 1;

    while (event == BACKEND_IDLE && used > 0 && stream_input(p->stream).n > 0) {
        event = backend_input(&p->backend, stream_input(p->stream), &used, p->worker->env.now);
        stream_consume(p->stream, used);
    }
    return event;
}

static enum backend_event translate(struct probe *p, enum stream_event event)
{
    uint64_t now = p->worker->env.now;

    switch (event) {
    case STREAM_CONNECTED: return backend_connected(&p->backend, now);
    case STREAM_INPUT_READY: return read_input(p);
    case STREAM_SECURED: return backend_secured(&p->backend, now);
    case STREAM_END: return backend_failed(&p->backend, "connection closed");
    case STREAM_FAILED: return backend_failed(&p->backend, stream_why(p->stream));
    default: return BACKEND_IDLE;
    }
}

static void start_tls(struct probe *p)
{
    struct tls *tls = tls_connect(worker_tls_client(p->worker, p->server->route));

    p->backend.start_tls = false;
    if (tls != NULL)
        stream_start_tls(p->stream, tls);
    else
        go_on(p, backend_failed(&p->backend, "out of memory"));
}

static void on_event(void *owner, struct stream *stream, enum stream_event event)
{
    struct probe *p = owner;

    (void)stream;
    worker_clock(p->worker);
    go_on(p, translate(p, event));
    if (p->worker->probe[server_index(p)] == p && p->backend.start_tls && p->out.n == 0)
        start_tls(p);
}

static void look_at(struct worker *w, struct server *server)
{
    struct probe *p = calloc(1, sizeof *p);

    server->next_probe = w->env.now + w->config->timeouts.probe;
    if (p == NULL)
        return;
    *p = (struct probe){ .worker = w, .server = server };
    p->stream = stream_connect(&w->streams, server->endpoint, on_event, p);
    if (p->stream == NULL) {
        free(p);
        return;
    }
    uv_timer_init(&w->loop, &p->timer);
    p->timer.data = p;
    w->probe[server_index(p)] = p;
    w->probes_out++;
    backend_open(&p->backend, w->config, server->route, server->endpoint, NULL, &p->out, &w->env.control, w->env.now);
    go_on(p, BACKEND_IDLE);
}

/* ---- all servers ---- */

bool probes_init(struct worker *w)
{
    w->probe = calloc(w->servers.n > 0 ? w->servers.n : 1, sizeof *w->probe);
    w->probe_at = w->servers.next_probe = UINT64_MAX;
    return w->probe != NULL;
}

static void on_due(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    w->probe_at = UINT64_MAX;
    probes_look(w);
}

void probes_look(struct worker *w)
{
    uint64_t now = w->env.now;

    w->servers.next_probe = UINT64_MAX;
    for (size_t i = 0; i < w->servers.n; i++) {
        struct server *server = &w->servers.server[i];

        if (server->next_probe <= now && w->probe[i] == NULL)
            look_at(w, server);
        else if (server->next_probe <= now) /* one is out, which may have seen it up before it went down */
            server->next_probe = now + (server->is_down ? SOON_MS : w->config->timeouts.probe);
        if (server->next_probe < w->servers.next_probe)
            w->servers.next_probe = server->next_probe;
    }
    probes_arm(w);
}

/* Sessions and probes find out between two looks that a server is down. */
void probes_arm(struct worker *w)
{
    uint64_t now = w->env.now, next = w->servers.next_probe;

    if (next >= w->probe_at)
        return;
    w->probe_at = next;
    uv_timer_start(&w->next_probe, on_due, next > now ? next - now : 0, 0);
}

void probes_stop(struct worker *w)
{
    for (size_t i = 0; w->probe != NULL && i < w->servers.n; i++)
        if (w->probe[i] != NULL)
            leave(w->probe[i], stream_reset);
}
