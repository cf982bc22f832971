#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *must_grow(void *p, size_t n)
{
    void *q = realloc(p, n > 0 ? n : 1);

    if (q == NULL)
        abort();
    return q;
}

char *must_copy(struct str s)
{
    char *copy = must_grow(NULL, s.n + 1);

    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

static void reserve(struct bytes *b, size_t more)
{
    if (b->start == b->n)
        b->start = b->n = 0;
    if (b->n + more <= b->size)
        return;
    b->size = 2 * (b->n + more);
    b->p = must_grow(b->p, b->size);
}

void bytes_put(struct bytes *b, struct str s)
{
    if (s.n == 0)
        return;
    reserve(b, s.n);
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

void bytes_printf(struct bytes *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        abort();
    reserve(b, (size_t)n + 1);
    va_start(args, format);
    vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

struct str bytes_all(const struct bytes *b)
{
    return b->p == NULL ? STR("") : str_from(b->p + b->start, b->n - b->start);
}

void bytes_drop(struct bytes *b, size_t n)
{
    b->start += n;
}

void bytes_clear(struct bytes *b)
{
    b->start = b->n = 0;
}

void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ 0 };
}

size_t str_search(struct str s, struct str needle)
{
    const char *found = NULL;

    if (needle.n > 0 && s.n >= needle.n)
        found = memmem(s.p, s.n, needle.p, needle.n);
    return found == NULL ? s.n : (size_t)(found - s.p);
}

/* How many characters of `pattern` at `j` stand for the single byte `c`: "\\*" is a star. 0: it is another
 * byte.
 */
static size_t glob_byte(struct str pattern, size_t j, char c)
{
    if (j + 1 < pattern.n && pattern.p[j] == '\\' && pattern.p[j + 1] == '*')
        return c == '*' ? 2 : 0;
    return j < pattern.n && pattern.p[j] == c;
}

/* Linear: on a mismatch only the last '*' is tried again, one byte further. */
bool str_glob(struct str s, struct str pattern)
{
    size_t i = 0, j = 0, star = pattern.n, from = 0;

    while (i < s.n) {
        if (j < pattern.n && pattern.p[j] == '*') {
            star = j++;
            from = i;
        } else if (glob_byte(pattern, j, s.p[i]) > 0) {
            j += glob_byte(pattern, j, s.p[i++]);
        } else if (star < pattern.n) {
            j = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (j < pattern.n && pattern.p[j] == '*')
        j++;
    return j == pattern.n;
}

void bytes_put_escaped(struct bytes *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '\r')
            bytes_put(b, STR("\\r"));
        else if (c == '\n')
            bytes_put(b, STR("\\n"));
        else if (c >= ' ' && c <= '~')
            bytes_put(b, str_from(&c, 1));
        else
            bytes_printf(b, "\\x%02x", (unsigned char)c);
    }
}
