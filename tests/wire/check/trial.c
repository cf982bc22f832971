/* Reading a run: captures, log, keys and configuration. join.c makes sessions of them. */
#include "trial.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- whose end is whose ---- */

static bool is_any(const struct endpoint *e)
{
    static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff }, any6[16] = { 0 };

    return memcmp(e->address, any4, 16) == 0 || memcmp(e->address, any6, 16) == 0;
}

bool endpoint_is_among(const struct endpoint *list, size_t n, const struct endpoint *called)
{
    for (size_t i = 0; i < n; i++)
        if (endpoint_equal(&list[i], called) || (is_any(&list[i]) && list[i].port == called->port))
            return true;
    return false;
}

static bool is_back_end(const struct settings *s, const struct endpoint *called)
{
    return endpoint_is_among(s->backend, s->backend_n, called);
}

/* A listener on all addresses is whoever has its port and is no back end. */
static bool is_listener(const struct settings *s, const struct endpoint *called)
{
    return endpoint_is_among(s->listener, s->listener_n, called) && !is_back_end(s, called);
}

typedef bool whose(const struct settings *s, const struct endpoint *called);

/* The connections that are called so go over to another list. */
static struct flows take(struct flows *from, const struct settings *s, whose *is_ours)
{
    struct flows taken = { .connection = fresh((from->n + 1) * sizeof *taken.connection) };
    size_t left = 0;

    for (size_t i = 0; i < from->n; i++) {
        if (is_ours(s, &from->connection[i].end[SERVER]))
            taken.connection[taken.n++] = from->connection[i];
        else
            from->connection[left++] = from->connection[i];
    }
    from->n = left;
    return taken;
}

/* ---- captures ---- */

/* A capture of a live gateway holds what else went over the wire, too. Where the configuration names our ends, only
 * these are read; when none of them is there (addresses were translated on the way), everything is. */
static void wire_read(struct wire *w, const char *path, const struct settings *s, whose *is_ours)
{
    struct flows all;

    capture_read(&w->capture, path, true);
    flows_read(&all, &w->capture, 0);
    w->flows = take(&all, s, is_ours);
    w->is_present = true;
    if (w->flows.n > 0) {
        flows_free(&all);
        return;
    }
    flows_free(&w->flows);
    w->flows = all;
}

/* ---- where a capture ends ---- */

static bool is_over(const struct connection *c)
{
    return c->is_refused || c->stream[CLIENT].is_reset || c->stream[SERVER].is_reset ||
           (c->stream[CLIENT].is_ended && c->stream[SERVER].is_ended);
}

static int64_t last_time(const struct capture *c)
{
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < c->n; i++)
        if (c->packet[i].time > last)
            last = c->packet[i].time;
    return last;
}

/* A capture that stops before the other wire's does not show how its open connections went on: silence there means
 * nothing. (What came to its end on the wire is not touched by it.) */
static void doubt_open_ends(struct wire *w, int64_t until)
{
    if (last_time(&w->capture) >= until)
        return;
    for (size_t i = 0; i < w->flows.n; i++)
        if (!is_over(&w->flows.connection[i])) {
            w->open_end = last_time(&w->capture);
            if (w->flows.connection[i].doubt == NULL)
                w->flows.connection[i].doubt = "it is open when the capture ends, and the other wire's goes on";
        }
}

static void compare_ends(struct trial *t)
{
    if (!t->north.is_present || !t->south.is_present || t->has_one_capture)
        return;
    doubt_open_ends(&t->north, last_time(&t->south.capture));
    doubt_open_ends(&t->south, last_time(&t->north.capture));
}

/* One capture of both wires, as of a gateway with one interface. A wire of which it has nothing was not captured. */
static void wires_read(struct trial *t, const char *path)
{
    struct capture capture;
    struct flows all;

    if (!t->settings.is_given)
        die(64, "%s: for one capture of both wires --config has to say who is called on which", path);
    capture_read(&capture, path, true);
    flows_read(&all, &capture, 0);
    t->south.flows = take(&all, &t->settings, is_back_end);
    t->north.flows = take(&all, &t->settings, is_listener);
    flows_free(&all);
    t->north.is_present = t->north.flows.n > 0;
    t->south.is_present = t->south.flows.n > 0;
    if (!t->north.is_present && !t->south.is_present)
        die(65, "%s: no connection in it is to a listener or a back end of the configuration", path);
    if (t->north.is_present)
        t->north.capture = capture;
    if (t->south.is_present)
        t->south.capture = capture;
    t->has_one_capture = t->north.is_present && t->south.is_present;
}

static bool is_one_file(const char *a, const char *b)
{
    struct stat first, second;

    return a != NULL && b != NULL && stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static void read_captures(struct trial *t, const struct trial_files *files)
{
    if (is_one_file(files->north, files->south)) {
        wires_read(t, files->north);
        return;
    }
    if (files->north != NULL)
        wire_read(&t->north, files->north, &t->settings, is_listener);
    if (files->south != NULL)
        wire_read(&t->south, files->south, &t->settings, is_back_end);
}

/* ---- dialogues ---- */

/* Towards the back end. */
static bool may_announce(const struct settings *s)
{
    return !s->is_given || strncmp(s->client_info, "proxy", 5) == 0;
}

static void read_north(struct trial *t)
{
    t->north.dialogue = fresh((t->north.flows.n + 1) * sizeof *t->north.dialogue);
    for (size_t i = 0; i < t->north.flows.n; i++) {
        const struct connection *c = &t->north.flows.connection[i];
        struct dialogue_hints hints = {
            .is_implicit_tls = settings_is_implicit(&t->settings, &c->end[SERVER]),
            .may_have_proxy_header = settings_may_announce(&t->settings, &c->end[CLIENT]),
            .keys = t->keys,
        };
        dialogue_read(&t->north.dialogue[i], c, &hints);
    }
}

static void read_south(struct trial *t)
{
    struct dialogue_hints hints = { .may_have_proxy_header = may_announce(&t->settings), .keys = t->keys };

    t->south.dialogue = fresh((t->south.flows.n + 1) * sizeof *t->south.dialogue);
    for (size_t i = 0; i < t->south.flows.n; i++)
        dialogue_read(&t->south.dialogue[i], &t->south.flows.connection[i], &hints);
}

void trial_read(struct trial *t, const struct trial_files *files)
{
    *t = (struct trial){ 0 };
    settings_read(&t->settings, files->config);
    if (files->keylog != NULL)
        t->keys = keylog_read(files->keylog);
    if (files->log != NULL) {
        records_read(&t->records, files->log);
        t->has_log = true;
    }
    read_captures(t, files);
    compare_ends(t);
    read_north(t);
    read_south(t);
    if (files->east != NULL) {
        capture_read(&t->east, files->east, true);
        t->has_east = true;
    }
    trial_join(t);
}

static void wire_free(struct wire *w)
{
    for (size_t i = 0; i < w->flows.n; i++)
        dialogue_free(&w->dialogue[i]);
    free(w->dialogue);
    flows_free(&w->flows);
}

static void session_free(struct session *s)
{
    free(s->south);
    free(s->pair);
    free(s->stray);
    free(s->refusal);
}

void trial_free(struct trial *t)
{
    for (size_t i = 0; i < t->session_n; i++)
        session_free(&t->session[i]);
    free(t->session);
    free(t->probe);
    free(t->orphan);
    free(t->unexplained);
    free(t->unread_north.life);
    free(t->unread_south.life);
    wire_free(&t->north);
    wire_free(&t->south);
    capture_free(&t->north.capture);
    if (!t->has_one_capture)
        capture_free(&t->south.capture);
    capture_free(&t->east);
    records_free(&t->records);
    settings_free(&t->settings);
    keylog_free(t->keys);
    *t = (struct trial){ 0 };
}

static int64_t number(struct slice s)
{
    int64_t value = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        value = 10 * value + (s.p[i] - '0');
    }
    return s.n > 0 ? value : -1;
}

/* "2026-11-22T12:00:00.123Z" */
int64_t record_time(const struct record *r)
{
    static const size_t from[] = { 0, 5, 8, 11, 14, 17, 20 }, length[] = { 4, 2, 2, 2, 2, 2, 3 };
    struct slice text = record_value(r, "time");
    int64_t part[7];

    if (text.n != 24)
        return 0;
    for (size_t i = 0; i < 7; i++) {
        part[i] = number(slice_part(text, from[i], from[i] + length[i]));
        if (part[i] < 0)
            return 0;
    }
    if (part[0] < 1970 || part[0] > 2200) /* what ns in 64 bits can tell */
        return 0;
    struct tm tm = { .tm_year = (int)part[0] - 1900,
                     .tm_mon = (int)part[1] - 1,
                     .tm_mday = (int)part[2],
                     .tm_hour = (int)part[3],
                     .tm_min = (int)part[4],
                     .tm_sec = (int)part[5] };
    return ((int64_t)timegm(&tm) * 1000 + part[6]) * 1000000;
}

bool record_endpoint(const struct record *r, const char *key, struct endpoint *e)
{
    struct slice text = record_value(r, key);

    return text.p != NULL && endpoint_parse(e, text);
}

bool record_client(const struct record *r, struct endpoint *e)
{
    return record_endpoint(r, "peer", e) || record_endpoint(r, "client", e);
}
