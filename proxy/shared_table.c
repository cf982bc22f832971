#include "shared_table.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "../policy/crypto.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be free of locks");

/* An entry that so many others changed meanwhile is left as they made it. */
enum { ATTEMPTS = 64 };

struct shared_table {
    uint64_t octets; /* of the mapping */
    uint64_t places;
    uint8_t seed[KEYED_HASH_KEY];
    uint8_t unused[64 - 16 - KEYED_HASH_KEY]; /* a place is one line of the cache */
    _Atomic uint64_t word[];
};

_Static_assert(sizeof(struct shared_table) == 64 && (int)SHARED_SEED == (int)KEYED_HASH_KEY, "one line, and one seed");

struct shared_table *shared_table_new(uint64_t octets)
{
    struct shared_table *table;
    uint64_t places = octets / (SHARED_WAYS * sizeof(uint64_t));

    if (places < 2 || octets > SIZE_MAX)
        return NULL;
    table = mmap(NULL, (size_t)octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        return NULL;
    table->octets = octets;
    table->places = places - 1; /* one is the head */
    if (getrandom(table->seed, sizeof table->seed, 0) != (ssize_t)sizeof table->seed) {
        shared_table_free(table);
        return NULL;
    }
    return table;
}

void shared_table_free(struct shared_table *table)
{
    if (table != NULL)
        munmap(table, (size_t)table->octets);
}

/* ---- finding ---- */

/* Where a key may stand, and its bits of the word. */
struct spot {
    size_t at; /* of the first of its ways */
    uint64_t tag;
};

static struct spot spot_of(const struct shared_table *table, struct str key)
{
    uint64_t hash = keyed_hash(table->seed, key);

    return (struct spot){ (size_t)(((hash >> 32) * table->places) >> 32) * SHARED_WAYS, hash << SHARED_VALUE_BITS };
}

static uint64_t word_at(const struct shared_table *table, size_t i)
{
    return atomic_load_explicit(&table->word[i], memory_order_relaxed);
}

/* The way that holds it, or SHARED_WAYS. `value` gets all of them. */
static size_t look(const struct shared_table *table, struct spot spot, uint64_t word[SHARED_WAYS])
{
    size_t found = SHARED_WAYS;

    for (size_t i = SHARED_WAYS; i-- > 0;) {
        word[i] = word_at(table, spot.at + i);
        if (word[i] != 0 && (word[i] & ~SHARED_VALUE) == spot.tag)
            found = i;
    }
    return found;
}

uint64_t shared_table_read(const struct shared_table *table, struct str key)
{
    uint64_t word[SHARED_WAYS];
    size_t way;

    if (table == NULL)
        return 0;
    way = look(table, spot_of(table, key), word);
    return way < SHARED_WAYS ? word[way] & SHARED_VALUE : 0;
}

/* ---- changing ---- */

/* The way that a new entry takes: an unused one, or the one whose entry makes room. */
static size_t room_for(const uint64_t word[SHARED_WAYS], uint64_t added, const struct shared_change *change)
{
    uint64_t value[SHARED_WAYS];

    for (size_t i = 0; i < SHARED_WAYS; i++) {
        if (word[i] == 0)
            return i;
        value[i] = word[i] & SHARED_VALUE;
    }
    return change->victim(value, added, change->context);
}

/* True when it is done; false when another worker was faster. */
static bool try_change(struct shared_table *table, struct spot spot, const struct shared_change *change)
{
    uint64_t word[SHARED_WAYS], value;
    size_t way = look(table, spot, word);
    bool is_new = way == SHARED_WAYS;

    value = change->next(is_new ? 0 : word[way] & SHARED_VALUE, change->context) & SHARED_VALUE;
    if (is_new && value == 0)
        return true;
    if (is_new)
        way = room_for(word, value, change);
    return atomic_compare_exchange_strong(&table->word[spot.at + way], &word[way], value == 0 ? 0 : spot.tag | value);
}

void shared_table_change(struct shared_table *table, struct str key, const struct shared_change *change)
{
    struct spot spot;

    if (table == NULL)
        return;
    spot = spot_of(table, key);
    for (int i = 0; i < ATTEMPTS && !try_change(table, spot, change); i++)
        continue;
}

void shared_table_clear(struct shared_table *table)
{
    for (size_t i = 0; i < shared_table_words(table); i++)
        atomic_store_explicit(&table->word[i], 0, memory_order_relaxed);
}

/* ---- the raw table ---- */

size_t shared_table_words(const struct shared_table *table)
{
    return table != NULL ? (size_t)table->places * SHARED_WAYS : 0;
}

uint64_t shared_table_word(const struct shared_table *table, size_t i)
{
    return word_at(table, i);
}

void shared_table_put_word(struct shared_table *table, size_t i, uint64_t word)
{
    atomic_store_explicit(&table->word[i], word, memory_order_relaxed);
}

void shared_table_seed(const struct shared_table *table, uint8_t out[SHARED_SEED])
{
    memcpy(out, table->seed, SHARED_SEED);
}

void shared_table_set_seed(struct shared_table *table, const uint8_t seed[SHARED_SEED])
{
    memcpy(table->seed, seed, SHARED_SEED);
}
