/* Reading a run: captures, log, keys and configuration. join.c makes sessions of them. */
#include "trial.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool endpoint_is_among(const struct endpoint *list, size_t n, const struct endpoint *called)
{
    static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff }, any6[16] = { 0 };

    for (size_t i = 0; i < n; i++) {
        bool is_any = memcmp(list[i].address, any4, 16) == 0 || memcmp(list[i].address, any6, 16) == 0;
        if (endpoint_equal(&list[i], called) || (is_any && list[i].port == called->port))
            return true;
    }
    return false;
}

/* A capture of a live gateway holds what else went over the wire, too. Where the configuration names our ends, only
 * these are read; when none of them is there (addresses were translated on the way), everything is. */
static void keep_ours(struct flows *f, const struct endpoint *list, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->n; i++)
        kept += endpoint_is_among(list, n, &f->connection[i].end[SERVER]);
    if (kept == 0 || kept == f->n)
        return;
    struct flows others = { 0 }, ours = { 0 };
    others.connection = fresh((f->n - kept) * sizeof *others.connection);
    ours.connection = fresh(kept * sizeof *ours.connection);
    for (size_t i = 0; i < f->n; i++) {
        struct flows *to = endpoint_is_among(list, n, &f->connection[i].end[SERVER]) ? &ours : &others;
        to->connection[to->n++] = f->connection[i];
    }
    free(f->connection);
    flows_free(&others);
    *f = ours;
}

static void wire_read(struct wire *w, const char *path, const struct endpoint *called, size_t called_n)
{
    capture_read(&w->capture, path, true);
    flows_read(&w->flows, &w->capture, 0);
    keep_ours(&w->flows, called, called_n);
    w->dialogue = fresh((w->flows.n + 1) * sizeof *w->dialogue);
    w->is_present = true;
}

static void read_north(struct trial *t, const char *path)
{
    wire_read(&t->north, path, t->settings.listener, t->settings.listener_n);
    for (size_t i = 0; i < t->north.flows.n; i++) {
        const struct connection *c = &t->north.flows.connection[i];
        struct dialogue_hints hints = {
            .is_implicit_tls = settings_is_implicit(&t->settings, &c->end[SERVER]),
            .may_have_proxy_header = true,
            .keys = t->keys,
        };
        dialogue_read(&t->north.dialogue[i], c, &hints);
    }
}

static void read_south(struct trial *t, const char *path)
{
    struct dialogue_hints hints = { .may_have_proxy_header = true, .keys = t->keys };

    wire_read(&t->south, path, t->settings.backend, t->settings.backend_n);
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
    if (files->north != NULL)
        read_north(t, files->north);
    if (files->south != NULL)
        read_south(t, files->south);
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
    capture_free(&w->capture);
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
