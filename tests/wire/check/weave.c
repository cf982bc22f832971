/* See weave.h. */
#include "weave.h"

#include <stdlib.h>
#include <string.h>

static const int64_t start = 1700000000000000000, millisecond = 1000000;

static uint32_t next_frame(struct weave *w)
{
    w->time += millisecond;
    w->connection.last_time = w->time;
    w->connection.packets++;
    return ++w->frame;
}

static struct endpoint end(uint8_t last, uint16_t port)
{
    return (struct endpoint){ { [10] = 0xFF, [11] = 0xFF, [12] = 192, [13] = 0, [14] = 2, [15] = last }, port };
}

void weave_begin(struct weave *w)
{
    *w = (struct weave){ .time = start };
    w->connection.end[CLIENT] = end(1, 40000);
    w->connection.end[SERVER] = end(25, 25);
    w->connection.frame = next_frame(w);
    w->connection.time = w->time;
    next_frame(w);
    w->connection.accepted_time = w->time;
    w->connection.has_start = true;
}

static void add_frame(struct weave *w, enum side by, const uint8_t *p, size_t n)
{
    struct stream *s = &w->connection.stream[by];

    if (s->has_hole)
        return;
    s->span = array_grow(s->span, s->span_n, sizeof *s->span);
    s->span[s->span_n++] = (struct span){ s->octets.n, next_frame(w), w->time };
    buffer_add(&s->octets, p, n);
}

void weave_octets(struct weave *w, enum side by, const void *p, size_t n)
{
    size_t step = w->segment > 0 ? w->segment : n;

    for (size_t at = 0; at < n; at += step)
        add_frame(w, by, (const uint8_t *)p + at, step < n - at ? step : n - at);
}

void weave_say(struct weave *w, enum side by, const char *text)
{
    weave_octets(w, by, text, strlen(text));
}

void weave_wait(struct weave *w, int64_t ns)
{
    w->time += ns;
}

static struct stream *finish(struct weave *w, enum side by)
{
    struct stream *s = &w->connection.stream[by];

    if (s->end_frame == 0) {
        s->end_frame = next_frame(w);
        s->end_time = w->time;
    }
    return s;
}

void weave_close(struct weave *w, enum side by)
{
    struct stream *s = finish(w, by);

    s->is_ended = !s->has_hole;
}

void weave_reset(struct weave *w, enum side by)
{
    finish(w, by)->is_reset = true;
}

void weave_lose(struct weave *w, enum side by)
{
    w->connection.stream[by].has_hole = true;
    w->connection.doubt = "octets were lost on purpose";
}

void weave_free(struct weave *w)
{
    for (enum side side = CLIENT; side <= SERVER; side++) {
        buffer_free(&w->connection.stream[side].octets);
        free(w->connection.stream[side].span);
    }
    *w = (struct weave){ .frame = 0 };
}
