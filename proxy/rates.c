#include "rates.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "../policy/crypto.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be free of locks");

enum {
    RING = RATES_SLOTS + 1,
    SLOT_BITS = 24,
    COUNT_BITS = 64 - SLOT_BITS,
    TIME_SHIFT = 7, /* until when an entry counts, in 128 ms: 24 bits of that are 24 days */
    RESTARTS = 16   /* an entry that was evicted so often while it was added to: the memory is far too small */
};

#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

/* `owner`: 40 bits of tag, then 24 of time; 0: unused. `slot`: 24 bits of number, shifted by the tag, then 40 of count. */
struct entry {
    _Atomic uint64_t owner;
    _Atomic uint64_t slot[RING];
};

struct rates {
    uint64_t octets; /* of the mapping */
    uint64_t buckets;
    uint8_t seed[KEYED_HASH_KEY];
    uint8_t unused[64 - 16 - KEYED_HASH_KEY];
    struct entry entry[];
};

_Static_assert(sizeof(struct entry) == RATES_ENTRY && sizeof(struct rates) == 64, "no octet is unused");
_Static_assert((UINT64_C(1) << COUNT_BITS) - 1 == RATES_COUNT_MAX, "the rest of a slot is its count");

struct rates *rates_new(uint64_t octets)
{
    struct rates *rates;

    if (octets < sizeof *rates + (size_t)RATES_WAYS * RATES_ENTRY || octets > SIZE_MAX)
        return NULL;
    rates = mmap(NULL, (size_t)octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rates == MAP_FAILED)
        return NULL;
    rates->octets = octets;
    rates->buckets = (octets - sizeof *rates) / ((size_t)RATES_WAYS * RATES_ENTRY);
    if (getrandom(rates->seed, sizeof rates->seed, 0) != (ssize_t)sizeof rates->seed) {
        rates_free(rates);
        return NULL;
    }
    return rates;
}

void rates_free(struct rates *rates)
{
    if (rates != NULL)
        munmap(rates, (size_t)rates->octets);
}

uint64_t rates_entries(const struct rates *rates)
{
    return rates != NULL ? rates->buckets * RATES_WAYS : 0;
}

uint64_t rates_hash(const struct rates *rates, struct str secret)
{
    return rates != NULL ? keyed_hash(rates->seed, secret) : 0;
}

/* ---- where and when ---- */

struct spot {
    size_t bucket;       /* the first of its entries */
    uint64_t tag;        /* in the upper bits; never 0 */
    uint64_t slot;       /* of now */
    uint64_t now, until; /* what is added now counts until then */
};

static struct spot spot_of(const struct rates *rates, struct str key, uint64_t window, uint64_t now)
{
    uint64_t hash = keyed_hash(rates->seed, key), width = (window + RATES_SLOTS - 1) / RATES_SLOTS;
    uint64_t tag = hash << SLOT_BITS;

    return (struct spot){ .bucket = (size_t)(((hash >> 32) * rates->buckets) >> 32) * RATES_WAYS,
                          .tag = tag != 0 ? tag : UINT64_C(1) << SLOT_BITS,
                          .slot = now / (width > 0 ? width : 1),
                          .now = now >> TIME_SHIFT & SLOT_MASK,
                          .until = (now + window) >> TIME_SHIFT & SLOT_MASK };
}

static bool is_of(uint64_t owner, const struct spot *spot)
{
    return (owner & ~SLOT_MASK) == spot->tag;
}

/* The number of a slot as this key writes it. */
static uint64_t number_of(const struct spot *spot, uint64_t slot)
{
    return (slot + (spot->tag >> SLOT_BITS)) & SLOT_MASK;
}

/* How many slots a word is behind now: 0..8 are within the window. Those ahead of now (of a worker whose clock is) have
 * the largest values.
 */
static uint64_t age_of(const struct spot *spot, uint64_t word)
{
    return (number_of(spot, spot->slot) - (word >> COUNT_BITS)) & SLOT_MASK;
}

static bool is_ahead(uint64_t age)
{
    return age > SLOT_MASK - RING;
}

static uint64_t sum_of(const struct entry *entry, const struct spot *spot)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < RING; i++) {
        uint64_t word = atomic_load(&entry->slot[i]), age = age_of(spot, word);

        if (age < RING || is_ahead(age))
            sum += word & RATES_COUNT_MAX;
    }
    return sum;
}

/* Of all entries that this key has: two workers may have made one each. */
static uint64_t sum_of_all(const struct rates *rates, const struct spot *spot)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < RATES_WAYS; i++) {
        const struct entry *entry = &rates->entry[spot->bucket + i];

        if (is_of(atomic_load(&entry->owner), spot))
            sum += sum_of(entry, spot);
    }
    return sum;
}

/* ---- adding ---- */

/* Unused before used, then the one that is over first, or has been for longest. So keys with a window of a minute, which connections
 * make for nothing, do not push out those of an hour; among keys with one window it is the one that was used least recently.
 */
static size_t victim_of(const uint64_t owner[RATES_WAYS], const struct spot *spot)
{
    uint64_t longest = 0;
    size_t at = 0;

    for (size_t i = 0; i < RATES_WAYS; i++) {
        uint64_t over = (spot->now - owner[i] + SLOT_MASK / 2) & SLOT_MASK; /* what is over now lies in the middle */

        if (owner[i] == 0)
            return i;
        if (over > longest) {
            longest = over;
            at = i;
        }
    }
    return at;
}

/* The entry of this key, made if need be. */
static struct entry *entry_for(struct rates *rates, const struct spot *spot)
{
    for (;;) {
        uint64_t owner[RATES_WAYS];
        struct entry *entry = &rates->entry[spot->bucket];
        size_t way = 0;

        for (; way < RATES_WAYS; way++) {
            owner[way] = atomic_load(&entry[way].owner);
            if (is_of(owner[way], spot))
                break;
        }
        if (way < RATES_WAYS) {
            if ((owner[way] & SLOT_MASK) != spot->until) /* whoever was faster has done the same, or evicted it */
                atomic_compare_exchange_strong(&entry[way].owner, &owner[way], spot->tag | spot->until);
            return &entry[way];
        }
        way = victim_of(owner, spot);
        if (atomic_compare_exchange_strong(&entry[way].owner, &owner[way], spot->tag | spot->until))
            return &entry[way];
    }
}

static uint64_t added(uint64_t word, const struct spot *spot, uint64_t units)
{
    uint64_t age = age_of(spot, word), count = word & RATES_COUNT_MAX;

    if (age != 0 && !is_ahead(age)) /* over, or another key's */
        return number_of(spot, spot->slot) << COUNT_BITS | units;
    return (word & ~RATES_COUNT_MAX) | (units < RATES_COUNT_MAX - count ? count + units : RATES_COUNT_MAX);
}

/* False when the entry went to another key meanwhile. The owner is looked at between reading a word and replacing it: if it was
 * ours still, the word was none of the new owner's; and if he has written it since, replacing it fails.
 */
static bool try_add(struct entry *entry, const struct spot *spot, uint64_t units)
{
    _Atomic uint64_t *slot = &entry->slot[spot->slot % RING];
    uint64_t word = atomic_load(slot);

    do {
        if (!is_of(atomic_load(&entry->owner), spot))
            return false;
    } while (!atomic_compare_exchange_strong(slot, &word, added(word, spot, units)));
    return true;
}

/* An entry that is gone when all is told may have gone before it was added to: then once more, which at worst is too much. */
uint64_t rates_add(struct rates *rates, struct str key, uint64_t window, uint64_t units, uint64_t now)
{
    struct spot spot;
    uint64_t sum = 0;

    if (rates == NULL)
        return 0;
    if (units > RATES_COUNT_MAX)
        units = RATES_COUNT_MAX;
    spot = spot_of(rates, key, window, now);
    for (int i = 0; i < RESTARTS; i++) {
        struct entry *entry = entry_for(rates, &spot);

        if (!try_add(entry, &spot, units))
            continue;
        sum = sum_of_all(rates, &spot);
        if (is_of(atomic_load(&entry->owner), &spot))
            break;
    }
    return sum > units ? sum : units;
}

uint64_t rates_read(const struct rates *rates, struct str key, uint64_t window, uint64_t now)
{
    struct spot spot;

    if (rates == NULL)
        return 0;
    spot = spot_of(rates, key, window, now);
    return sum_of_all(rates, &spot);
}
