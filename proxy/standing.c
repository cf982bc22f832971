#include "standing.h"

#include <stdlib.h>

#include "shared_table.h"
#include "standing_parts.h"

struct standing *standing_new(const struct standing_policy *policy)
{
    struct standing *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->table = shared_table_new(policy->memory);
    if (s->table == NULL) {
        free(s);
        return NULL;
    }
    standing_set(s, policy);
    return s;
}

void standing_free(struct standing *s)
{
    if (s != NULL)
        shared_table_free(s->table);
    free(s);
}

void standing_set(struct standing *s, const struct standing_policy *policy)
{
    s->policy = *policy;
}

/* ---- one record ---- */

static struct standing_record unpack(uint64_t value)
{
    return (struct standing_record){ value >> 28 & 0xff, value >> 20 & 0xff, value & STANDING_HOURS };
}

static uint64_t pack(struct standing_record r)
{
    return r.good << 28 | r.bad << 20 | r.hour;
}

struct now {
    uint64_t hour, half_life; /* hours */
    bool is_good;
};

static struct now now_of(const struct standing *s, uint64_t now_s)
{
    return (struct now){ .hour = now_s / 3600 & STANDING_HOURS, .half_life = s->policy.half_life / 3600000 };
}

/* The counts as they are now; `hour` is when they were halved last. */
static struct standing_record aged(uint64_t value, const struct now *now)
{
    struct standing_record r = unpack(value);
    uint64_t halvings;

    if (r.hour > now->hour || now->half_life == 0) {
        r.hour = now->hour;
        return r;
    }
    halvings = (now->hour - r.hour) / now->half_life;
    r.hour += halvings * now->half_life;
    if (halvings > 8)
        halvings = 8;
    r.good >>= halvings;
    r.bad >>= halvings;
    return r;
}

static uint64_t noted(uint64_t value, const void *context)
{
    const struct now *now = context;
    struct standing_record r = aged(value, now);
    uint64_t *count = now->is_good ? &r.good : &r.bad;

    if (r.good + r.bad == 0)
        r.hour = now->hour;
    if (*count == STANDING_COUNT_MAX) {
        r.good /= 2;
        r.bad /= 2;
    }
    ++*count;
    return pack(r);
}

/* The one with the fewest messages; of those the one that was halved longest ago. */
static size_t least(const uint64_t value[SHARED_WAYS], uint64_t added, const void *context)
{
    const struct now *now = context;
    struct standing_record best = aged(value[0], now);
    size_t at = 0;

    (void)added;
    for (size_t i = 1; i < SHARED_WAYS; i++) {
        struct standing_record r = aged(value[i], now);

        if (r.good + r.bad < best.good + best.bad || (r.good + r.bad == best.good + best.bad && r.hour < best.hour)) {
            best = r;
            at = i;
        }
    }
    return at;
}

void standing_note(struct standing *s, struct str key, bool is_good, uint64_t now_s)
{
    struct now now;

    if (s == NULL)
        return;
    now = now_of(s, now_s);
    now.is_good = is_good;
    shared_table_change(s->table, key, &(struct shared_change){ noted, least, &now });
}

struct standing_counts standing_read(const struct standing *s, struct str key, uint64_t now_s)
{
    struct standing_record r = { 0 };
    uint64_t value = s != NULL ? shared_table_read(s->table, key) : 0;
    struct now now;

    if (value != 0) {
        now = now_of(s, now_s);
        r = aged(value, &now);
    }
    return (struct standing_counts){ r.good, r.bad };
}

enum client_standing standing_of(const struct standing *s, const struct address *address, uint64_t now_s)
{
    char room[NETWORK_TEXT_MAX];

    if (s == NULL)
        return STANDING_UNKNOWN;
    return standing_judge(&s->policy, standing_read(s, standing_client_key(address, room), now_s));
}

bool standing_is_good(const struct standing *s, const struct address *address, uint64_t now_s)
{
    return standing_of(s, address, now_s) == STANDING_GOOD;
}

bool standing_value_is_valid(uint64_t value)
{
    struct standing_record r = unpack(value);

    return r.good + r.bad > 0;
}
