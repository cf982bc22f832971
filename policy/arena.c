#include "arena.h"

#include <stdarg.h>
#include <stdint.h>

void arena_init(struct arena *arena, void *memory, size_t size)
{
    arena->base = memory;
    arena->size = size;
    arena_reset(arena);
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    arena->overflowed = false;
}

/* The next `n` bytes as they lie, or NULL. The one place that compares with the end: by subtraction, which
 * cannot wrap.
 */
static char *take_bytes(struct arena *arena, size_t n)
{
    if (arena->base == NULL || n > arena->size - arena->used) {
        arena->overflowed = true;
        return NULL;
    }
    arena->used += n;
    return arena->base + arena->used - n;
}

/* The padding is computed on the address, because the caller's memory need not be aligned itself. */
void *arena_take(struct arena *arena, size_t n)
{
    uintptr_t next = (uintptr_t)arena->base + arena->used;
    size_t padding = -next % _Alignof(max_align_t);
    size_t before = arena->used;
    char *p = take_bytes(arena, padding);

    p = p != NULL ? take_bytes(arena, n) : NULL;
    if (p == NULL) {
        arena->used = before;
        return NULL;
    }
    memset(p, 0, n);
    return p;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *p = take_bytes(arena, s.n);

    if (p == NULL)
        return str_from(NULL, 0);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return str_from(p, s.n);
}

/* ---- arena_printf: a printer of our own, for libc's may allocate and knows locales ---- */

static bool put(struct arena *arena, struct str s)
{
    char *p = take_bytes(arena, s.n);

    if (p != NULL && s.n > 0)
        memcpy(p, s.p, s.n);
    return p != NULL || s.n == 0;
}

static bool put_number(struct arena *arena, unsigned long long value, bool is_negative)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (is_negative)
        digits[--at] = '-';
    return put(arena, str_from(digits + at, sizeof digits - at));
}

static bool put_int(struct arena *arena, int value)
{
    return put_number(arena, value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value, value < 0);
}

/* Prints one conversion, which starts behind its '%'; `*p` is moved behind it. False on an unknown one too. */
static bool put_conversion(struct arena *arena, const char **p, va_list *arguments)
{
    static const struct {
        const char *text;
        char kind;
    } kinds[] = {
        { "s", 's' }, { ".*s", 'n' }, { "d", 'd' }, { "u", 'u' }, { "llu", 'l' }, { "%", '%' },
    };
    size_t i = 0;
    int n;

    while (i < sizeof kinds / sizeof *kinds && strncmp(*p, kinds[i].text, strlen(kinds[i].text)) != 0)
        i++;
    if (i == sizeof kinds / sizeof *kinds)
        return false;
    *p += strlen(kinds[i].text);
    switch (kinds[i].kind) {
    case 's': return put(arena, str_of(va_arg(*arguments, const char *)));
    case 'd': return put_int(arena, va_arg(*arguments, int));
    case 'u': return put_number(arena, va_arg(*arguments, unsigned), false);
    case 'l': return put_number(arena, va_arg(*arguments, unsigned long long), false);
    case 'n': n = va_arg(*arguments, int); return put(arena, str_from(va_arg(*arguments, const char *), (size_t)n));
    default: return put(arena, STR("%"));
    }
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    size_t before = arena->used;
    bool fits = true;
    va_list arguments;

    va_start(arguments, format);
    while (fits && *format != '\0') {
        size_t plain = strcspn(format, "%");

        fits = put(arena, str_from(format, plain));
        format += plain;
        if (fits && *format == '%') {
            format++;
            fits = put_conversion(arena, &format, &arguments);
        }
    }
    va_end(arguments);
    if (!fits) {
        arena->used = before;
        arena->overflowed = true;
        return str_from(NULL, 0);
    }
    return str_from(arena->base + before, arena->used - before);
}
