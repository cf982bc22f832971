/* See remarks.h. */
#include "remarks.h"

#include "tls.h"

#include <stdarg.h>
#include <string.h>

enum { GREETINGS = 32 }; /* connections of a wire that are asked for names */

struct remarks {
    FILE *out;
    size_t n;
};

static void note(struct remarks *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct remarks *r, const char *format, ...)
{
    va_list arguments;

    fprintf(r->out, "%s: note: ", die_name);
    va_start(arguments, format);
    vfprintf(r->out, format, arguments);
    va_end(arguments);
    putc('\n', r->out);
    r->n++;
}

/* ---- one capture ---- */

static void remark_capture(struct remarks *r, const struct capture *c)
{
    if (c->path == NULL)
        return;
    if (c->frames == 0)
        note(r, "%s: no packet in it; was it the right interface and filter?", c->path);
    if (c->ends_early)
        note(r, "%s: its last packet is cut off; what came after it is not known", c->path);
    if (c->cut > 0)
        note(r, "%s: the snap length has cut %zu packets; capture with tcpdump -s 0", c->path, c->cut);
    if (c->fragments > 0)
        note(r, "%s: %zu IP fragments, which are not put together", c->path, c->fragments);
}

/* `key` says where the ini has these ends. */
static void remark_wire(struct remarks *r, const struct wire *w, const char *key, const struct endpoint *list, size_t n)
{
    size_t ours = 0;

    if (!w->is_present || w->capture.frames == 0)
        return;
    if (w->flows.n == 0)
        note(r, "%s: no TCP connection in it", w->capture.path);
    for (size_t i = 0; i < w->flows.n; i++)
        ours += endpoint_is_among(list, n, &w->flows.connection[i].end[SERVER]);
    if (w->flows.n > 0 && n > 0 && ours == 0) /* n: none without an ini */
        note(r, "%s: nobody calls an address of %s; all of the capture was read", w->capture.path, key);
}

/* ---- the wires in the wrong order ---- */

/* "mx.example" of "220 mx.example ESMTP": how a server calls itself. */
static struct slice server_name(const struct dialogue *d)
{
    const struct reply *r = d->greeting;

    if (r == NULL || r->code != 220)
        return (struct slice){ NULL, 0 };
    struct slice text = slice_part(r->octets, 4, slice_find(r->octets, SLICE("\r"), 0));
    return slice_part(text, 0, slice_find(text, SLICE(" "), 0));
}

/* How a client calls itself. */
static struct slice client_name(const struct dialogue *d)
{
    for (size_t i = 0; i < d->command_n; i++)
        if (d->command[i].verb == VERB_EHLO || d->command[i].verb == VERB_HELO)
            return d->command[i].argument;
    return (struct slice){ NULL, 0 };
}

/* Do those who call on the wire `callers` have the name of those who are called on `called`? All who were looked at. */
static bool is_one_host(const struct wire *callers, const struct wire *called)
{
    struct slice name = { NULL, 0 };
    size_t same = 0;

    for (size_t i = 0; i < called->flows.n && i < GREETINGS && name.n == 0; i++)
        name = server_name(&called->dialogue[i]);
    for (size_t i = 0; name.n > 0 && i < callers->flows.n && i < GREETINGS; i++) {
        struct slice said = client_name(&callers->dialogue[i]);
        if (said.n > 0 && !slice_equal_nocase(said, name))
            return false;
        same += said.n > 0;
    }
    return same > 0;
}

/* The gateway says the same name in its greeting north and in its EHLO south. */
static void remark_order(struct remarks *r, const struct trial *t)
{
    if (!t->north.is_present || !t->south.is_present)
        return;
    if (is_one_host(&t->north, &t->south) && !is_one_host(&t->south, &t->north))
        note(r, "%s looks like the south wire and %s like the north one: NORTH, the clients' side, comes first",
             t->north.capture.path, t->south.capture.path);
}

static bool has_connection(const struct wire *w, const struct connection *c)
{
    for (size_t i = 0; i < w->flows.n; i++)
        if (endpoint_equal(&w->flows.connection[i].end[CLIENT], &c->end[CLIENT]) &&
            endpoint_equal(&w->flows.connection[i].end[SERVER], &c->end[SERVER]))
            return true;
    return false;
}

/* Postern is called on one wire and calls on the other: no connection is on both. */
static void remark_overlap(struct remarks *r, const struct trial *t)
{
    for (size_t i = 0; i < t->south.flows.n && i < GREETINGS; i++)
        if (has_connection(&t->north, &t->south.flows.connection[i])) {
            note(r, "%s and %s hold the same connection: each capture should have its own wire only",
                 t->north.capture.path, t->south.capture.path);
            return;
        }
}

/* ---- the other files ---- */

static bool has_session(const struct trial *t)
{
    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].record != NULL)
            return true;
    return false;
}

static void remark_log(struct remarks *r, const struct trial *t, const char *path)
{
    size_t ours = 0;

    for (size_t i = 0; i < t->records.n; i++)
        ours += record_is(&t->records.record[i], "connection") || record_is(&t->records.record[i], "transaction");
    if (ours == 0)
        note(r, "%s: no line of Postern's about a connection or transaction", path);
    else if (t->north.flows.n > 0 && !has_session(t))
        note(r, "%s: none of its lines is about a client of this capture", path);
}

static void remark_config(struct remarks *r, const struct settings *s, const char *path)
{
    if (s->backend_n == 0 && s->domain_n == 0)
        note(r, "%s: neither [backend] servers nor [relay] domains; is it the gateway's ini?", path);
}

static void remark_keys(struct remarks *r, const struct trial *t, const char *path)
{
    if (keylog_count(t->keys) == 0)
        note(r, "%s: no TLS secrets in it", path);
}

/* Without keys a session in TLS is judged by what is in clear: its handshake and its end. */
static void remark_sealed(struct remarks *r, const struct trial *t)
{
    size_t sealed = 0;

    for (size_t i = 0; i < t->session_n; i++)
        sealed += t->session[i].north != NULL && session_is_sealed(t, &t->session[i]);
    if (sealed > 0)
        note(r, "%zu of %zu sessions are in TLS and there is no --keylog: they are judged by T only", sealed,
             t->session_n);
}

size_t remarks_tell(const struct trial *t, const struct trial_files *files, FILE *out)
{
    struct remarks r = { .out = out };
    const struct settings *s = &t->settings;

    remark_capture(&r, &t->north.capture);
    if (t->south.capture.path != t->north.capture.path) /* else both wires are in one */
        remark_capture(&r, &t->south.capture);
    remark_capture(&r, &t->east);
    remark_wire(&r, &t->north, "[listen]", s->listener, s->is_given ? s->listener_n : 0);
    remark_wire(&r, &t->south, "[backend] and [route]", s->backend, s->backend_n);
    remark_order(&r, t);
    remark_overlap(&r, t);
    if (files->log != NULL)
        remark_log(&r, t, files->log);
    if (files->config != NULL)
        remark_config(&r, s, files->config);
    if (files->keylog != NULL)
        remark_keys(&r, t, files->keylog);
    remark_sealed(&r, t);
    return r.n;
}
