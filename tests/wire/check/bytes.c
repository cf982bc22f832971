/* Slices, buffers and growing arrays: the floor that the rest of wirecheck stands on. See bytes.h. */
#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OURSELVES = 70, FIRST_ROOM = 8 };

const char *die_name = "wirecheck";

struct slice slice_of(const char *text)
{
    return (struct slice){ (const uint8_t *)text, strlen(text) };
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* tolower() would ask the locale, which has no say on a wire. */
static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

size_t slice_find(struct slice s, struct slice what, size_t from)
{
    if (from > s.n || what.n > s.n - from)
        return s.n;
    if (what.n == 0)
        return from;
    /* GNU's: the standard has none, and a naive search is quadratic on "aaaa...b". */
    const uint8_t *found = memmem(s.p + from, s.n - from, what.p, what.n);
    return found ? (size_t)(found - s.p) : s.n;
}

struct slice slice_part(struct slice s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return (struct slice){ s.p ? s.p + from : NULL, to - from };
}

/* Room for `more` octets behind those that are there. */
static void buffer_reserve(struct buffer *b, size_t more)
{
    if (more <= b->size - b->n)
        return;
    if (more > SIZE_MAX / 2 - b->n)
        die(EXIT_OURSELVES, "out of memory");
    size_t size = b->size ? b->size : 64;
    while (size < b->n + more)
        size *= 2;
    uint8_t *p = realloc(b->p, size);
    if (!p)
        die(EXIT_OURSELVES, "out of memory");
    b->p = p;
    b->size = size;
}

void buffer_add(struct buffer *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    buffer_reserve(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        die(EXIT_OURSELVES, "a format that printf does not understand: %s", format);
    buffer_reserve(b, (size_t)n + 1); /* vsnprintf() ends with a NUL, which does not count */
    va_start(args, format);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

void buffer_free(struct buffer *b)
{
    free(b->p);
    *b = (struct buffer){ 0 };
}

struct slice buffer_slice(const struct buffer *b)
{
    return (struct slice){ b->p, b->n };
}

/* The array's room follows from its length: FIRST_ROOM, then the next power of two. */
void *array_grow(void *array, size_t n, size_t size)
{
    bool is_full = n == 0 || (n >= FIRST_ROOM && (n & (n - 1)) == 0);

    if (!is_full)
        return array;
    size_t room = n ? 2 * n : FIRST_ROOM;
    if (room < n || room > SIZE_MAX / size)
        die(EXIT_OURSELVES, "out of memory");
    array = realloc(array, room * size);
    if (!array)
        die(EXIT_OURSELVES, "out of memory");
    return array;
}

void *fresh(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        die(EXIT_OURSELVES, "out of memory");
    return p;
}

void die(int status, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: ", die_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

static void add_escaped(struct buffer *b, uint8_t c)
{
    static const char letters[] = "\\\\\"\"\rr\nn\tt"; /* octet, its letter */

    for (const char *l = letters; *l; l += 2)
        if (c == (uint8_t)*l) {
            buffer_printf(b, "\\%c", l[1]);
            return;
        }
    if (c >= ' ' && c <= '~')
        buffer_add(b, &c, 1);
    else
        buffer_printf(b, "\\x%02x", c);
}

void buffer_add_quoted(struct buffer *b, struct slice s, size_t max)
{
    buffer_add(b, "\"", 1);
    for (size_t i = 0; i < s.n && i < max; i++)
        add_escaped(b, s.p[i]);
    buffer_add(b, "\"", 1);
    if (s.n > max)
        buffer_add(b, "...", 3);
}
