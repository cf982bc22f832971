#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

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

/* vsnprintf writes a NUL that the slice does not count: the text fits only when that fits too, and the next
 * request starts on it.
 */
struct str arena_printf(struct arena *arena, const char *format, ...)
{
    size_t room = arena->size - arena->used;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(room > 0 ? arena->base + arena->used : NULL, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room) {
        arena->overflowed = true;
        return str_from(NULL, 0);
    }
    return str_from(take_bytes(arena, (size_t)n), (size_t)n);
}
