#include "greylist.h"

/* A value is the second (32 bits: until 2106), and a bit for those who have passed. A value of 0 would
 * be no entry: the second 0 is nobody's.
 */
#define PASSED (UINT64_C(1) << 32)
#define SECONDS (PASSED - 1)

bool greylist_seen(const struct shared_table *table, struct str key, uint64_t now_s, bool *has_passed,
                   uint64_t *seconds)
{
    uint64_t value = shared_table_read(table, key), then = value & SECONDS;

    *has_passed = (value & PASSED) != 0;
    *seconds = now_s > then ? now_s - then : 0;
    return value != 0;
}

static uint64_t noted(uint64_t value, const void *context)
{
    (void)value;
    return *(const uint64_t *)context;
}

/* The smallest value: those who have passed have the higher bit. */
static size_t least(const uint64_t value[SHARED_WAYS], uint64_t added, const void *context)
{
    size_t at = 0;

    (void)added;
    (void)context;
    for (size_t i = 1; i < SHARED_WAYS; i++)
        if (value[i] < value[at])
            at = i;
    return at;
}

static void note(struct shared_table *table, struct str key, uint64_t value)
{
    shared_table_change(table, key, &(struct shared_change){ noted, least, &value });
}

void greylist_came(struct shared_table *table, struct str key, uint64_t now_s)
{
    note(table, key, now_s & SECONDS);
}

void greylist_passed(struct shared_table *table, struct str key, uint64_t now_s)
{
    note(table, key, PASSED | (now_s & SECONDS));
}
