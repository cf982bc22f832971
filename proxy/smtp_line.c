/* Command lines out of a stream: see smtp_command.h. */
#include "smtp_command.h"

#include <stdlib.h>

enum { HELD_FIRST = 256 }; /* most lines that arrive in pieces fit */

void line_init(struct line_reader *r, size_t max)
{
    *r = (struct line_reader){ .max = max };
}

/* What was held may have been a password (AUTH). */
static void free_held(struct line_reader *r)
{
    if (r->held != NULL)
        explicit_bzero(r->held, r->held_size);
    free(r->held);
}

void line_free(struct line_reader *r)
{
    free_held(r);
    line_init(r, r->max);
}

bool line_is_partial(const struct line_reader *r)
{
    return r->held_n > 0 || r->swallowed > 0;
}

/* What was read of the line before this input ended in CR. */
static bool ended_in_cr(const struct line_reader *r)
{
    return r->swallowed > 0 ? r->saw_cr : r->held_n > 0 && r->held[r->held_n - 1] == '\r';
}

/* The position behind the first CRLF, or 0. A CR of the input before counts. */
static size_t find_line_end(const struct line_reader *r, struct str in)
{
    size_t at = str_find(in, '\n');

    while (at < in.n && !(at > 0 ? in.p[at - 1] == '\r' : ended_in_cr(r)))
        at += 1 + str_find(str_skip(in, at + 1), '\n');
    return at < in.n ? at + 1 : 0;
}

/* `n` octets of the line have been read and none is kept. */
static void swallow(struct line_reader *r, size_t n, char last)
{
    free_held(r);
    r->held = NULL;
    r->held_n = r->held_size = 0;
    r->swallowed = n;
    r->saw_cr = last == '\r';
}

/* A line of `max` octets is held with its CR: max + 1 is the most that is ever asked for. */
static bool hold(struct line_reader *r, struct str in)
{
    size_t need = r->held_n + in.n;

    if (need > r->held_size) {
        size_t size = r->held_size > 0 ? r->held_size : HELD_FIRST;
        char *held;

        while (size < need)
            size *= 2;
        if (size > r->max + 1)
            size = r->max + 1;
        held = realloc(r->held, size);
        if (held == NULL)
            return false;
        r->held = held;
        r->held_size = size;
    }
    if (in.n > 0)
        memcpy(r->held + r->held_n, in.p, in.n);
    r->held_n += in.n;
    return true;
}

/* The input ends within the line. */
static void take_part(struct line_reader *r, struct str in)
{
    size_t n = r->held_n + r->swallowed + in.n;
    char last = in.p[in.n - 1];

    if (r->swallowed > 0 || n > r->max + (last == '\r')) {
        swallow(r, n, last);
    } else if (!hold(r, in)) {
        r->no_memory = true;
        swallow(r, n, last);
    }
}

/* The input up to and with its first CRLF. A line that lies in one segment is not copied. */
static enum line_event take_end(struct line_reader *r, struct str in)
{
    size_t n = r->held_n + r->swallowed + in.n - 2;
    bool is_held = r->held_n > 0;

    if (r->swallowed > 0 || n > r->max) {
        swallow(r, 0, '\0');
        return LINE_TOO_LONG;
    }
    if (is_held && in.n > 2 && !hold(r, str_from(in.p, in.n - 2))) {
        r->no_memory = true;
        swallow(r, 0, '\0');
        return LINE_TOO_LONG;
    }
    r->line = str_from(is_held ? r->held : in.p, n);
    r->held_n = 0;
    return LINE_READY;
}

/* The buffer of a line handed out before is not needed any more. */
static void drop_line(struct line_reader *r)
{
    r->line = str_from(NULL, 0);
    if (r->held_n == 0 && r->held != NULL)
        swallow(r, r->swallowed, r->saw_cr ? '\r' : '\0');
}

enum line_event line_read(struct line_reader *r, struct str in, size_t *used)
{
    size_t before = r->held_n + r->swallowed;
    size_t end = find_line_end(r, in);

    drop_line(r);
    *used = end > 0 ? end : in.n;
    if (before + *used - (end > 0) >= LINE_FLOOD_MAX) {
        *used = before < LINE_FLOOD_MAX ? LINE_FLOOD_MAX - before : 0;
        swallow(r, LINE_FLOOD_MAX, '\0');
        return LINE_FLOOD;
    }
    if (end > 0)
        return take_end(r, str_from(in.p, end));
    if (in.n > 0)
        take_part(r, in);
    return LINE_NONE;
}
