#include "alloc.h"

#include "world.h"

static size_t count, fails_at;
static bool fails_on;

void alloc_fail_at(size_t k, bool all_after)
{
    count = 0;
    fails_at = k;
    fails_on = all_after;
}

size_t alloc_count(void)
{
    return count;
}

static bool fails(void)
{
    if (world_in_product == 0)
        return false;
    count++;
    return fails_at != 0 && (count == fails_at || (fails_on && count > fails_at));
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}
