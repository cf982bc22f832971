#include "counts.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { PROBES = 16 /* places an address may have in a row: four cache lines */, PLACES_MIN = 256 /* a page */ };

#define NO_PLACE UINT32_MAX

/* Atomics with a hidden lock would be private to each process. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be free of locks");

/* Free when `n` is 0, whatever the key says: then no place needs to be marked as deleted. */
struct place {
    _Atomic uint64_t key;
    _Atomic uint32_t n;
};

struct row {
    _Atomic uint32_t total;
    _Atomic uint32_t held;
    _Atomic uint32_t listener[COUNTS_LISTENERS];
};

struct counts {
    struct place *place; /* row after row: a mapping of its own */
    uint32_t mask;       /* places of a row - 1 */
    uint64_t seed;       /* so that nobody can aim addresses at one place */
    uint64_t listener_name[COUNTS_LISTENERS];
    _Atomic unsigned rows; /* the first so many have been used: sums stop there */
    struct row row[COUNTS_ROWS];
};

static uint32_t places_for(uint64_t sessions)
{
    uint32_t n = PLACES_MIN;

    while (n < sessions && n < (1u << 20))
        n *= 2;
    return n;
}

/* Zeroed, and shared with the processes forked later. Pages are taken when first touched: rows nobody uses cost nothing. */
static void *map_shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static size_t row_size(const struct counts *c)
{
    return ((size_t)c->mask + 1) * sizeof(struct place);
}

struct counts *counts_new(uint64_t sessions)
{
    struct counts *c = map_shared(sizeof *c);

    if (c == NULL)
        return NULL;
    c->mask = places_for(sessions) - 1;
    c->place = map_shared(COUNTS_ROWS * row_size(c));
    if (c->place == NULL || getrandom(&c->seed, sizeof c->seed, 0) != (ssize_t)sizeof c->seed) {
        counts_free(c);
        return NULL;
    }
    return c;
}

void counts_free(struct counts *c)
{
    if (c == NULL)
        return;
    if (c->place != NULL)
        munmap(c->place, COUNTS_ROWS * row_size(c));
    munmap(c, sizeof *c);
}

/* ---- listeners ---- */

static uint64_t name_hash(struct str name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 0x100000001b3u;
    return h | 1; /* 0 marks a number that is free */
}

static uint64_t listener_sum(const struct counts *c, unsigned listener)
{
    uint64_t n = 0;

    for (unsigned r = 0; r < atomic_load(&c->rows); r++)
        n += atomic_load(&c->row[r].listener[listener]);
    return n;
}

static bool is_among(unsigned n, const unsigned *number, size_t numbers)
{
    for (size_t i = 0; i < numbers; i++)
        if (number[i] == n)
            return true;
    return false;
}

static unsigned number_of(const struct counts *c, uint64_t hash)
{
    for (unsigned i = 0; i < COUNTS_LISTENERS; i++)
        if (c->listener_name[i] == hash)
            return i;
    return COUNTS_LISTENERS;
}

/* One that nobody has, or whose listener is gone and has no sessions left; failing that, one whose last sessions will be
 * counted to the wrong listener until they end.
 */
static unsigned free_number(const struct counts *c, const unsigned *number, size_t numbers)
{
    unsigned other = 0;

    for (unsigned i = 0; i < COUNTS_LISTENERS; i++) {
        if (is_among(i, number, numbers))
            continue;
        if (c->listener_name[i] == 0 || listener_sum(c, i) == 0)
            return i;
        other = i;
    }
    return other;
}

void counts_listeners(struct counts *c, const struct str *name, size_t n, unsigned *number)
{
    for (size_t i = 0; i < n; i++)
        number[i] = number_of(c, name_hash(name[i]));
    for (size_t i = 0; i < n; i++)
        if (number[i] == COUNTS_LISTENERS) {
            number[i] = free_number(c, number, n);
            c->listener_name[number[i]] = name_hash(name[i]);
        }
}

/* ---- addresses ---- */

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* IPv6 clients own a /64 as a rule. The key of an IPv4 address is a prefix within ::/8, where no client lives. */
static uint64_t address_key(const struct address *a)
{
    return address_is_v4(a) ? 0xffff00000000u | big_endian(a->byte + 12, 4) : big_endian(a->byte, 8);
}

/* The finaliser of splitmix64. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t place_of(const struct counts *c, uint64_t key, unsigned probe)
{
    return (uint32_t)(mixed(key ^ c->seed) + probe) & c->mask;
}

static size_t row_start(const struct counts *c, unsigned row)
{
    return (size_t)row * ((size_t)c->mask + 1);
}

/* Counts `key` in the row; where it stands, or NO_PLACE. Only the row's owner writes there. */
static uint32_t address_add(struct counts *c, unsigned row, uint64_t key)
{
    struct place *places = c->place + row_start(c, row);
    uint32_t found = NO_PLACE;

    for (unsigned probe = 0; probe < PROBES; probe++) {
        uint32_t at = place_of(c, key, probe);
        bool is_used = atomic_load(&places[at].n) > 0;

        if (is_used && atomic_load(&places[at].key) == key) {
            found = at;
            break;
        }
        if (!is_used && found == NO_PLACE)
            found = at;
    }
    if (found != NO_PLACE) {
        atomic_store(&places[found].key, key);
        atomic_fetch_add(&places[found].n, 1);
    }
    return found;
}

static uint64_t address_sum(const struct counts *c, uint64_t key)
{
    uint64_t n = 0;

    for (unsigned r = 0; r < atomic_load(&c->rows); r++) {
        const struct place *places = c->place + row_start(c, r);

        if (atomic_load(&c->row[r].total) == 0)
            continue; /* and its pages stay untouched */
        for (unsigned probe = 0; probe < PROBES; probe++) {
            uint32_t at = place_of(c, key, probe);
            uint32_t here = atomic_load(&places[at].n);

            if (here > 0 && atomic_load(&places[at].key) == key)
                n += here;
        }
    }
    return n;
}

/* ---- sessions ---- */

static bool is_over(uint64_t n, uint64_t limit)
{
    return limit > 0 && n > limit;
}

static void use_row(struct counts *c, unsigned row)
{
    unsigned rows = atomic_load(&c->rows);

    while (row >= rows && !atomic_compare_exchange_weak(&c->rows, &rows, row + 1))
        continue;
}

void counts_leave_address(struct counts *c, unsigned row, struct counted *counted)
{
    if (counted->place != NO_PLACE)
        atomic_fetch_sub(&c->place[row_start(c, row) + counted->place].n, 1);
    counted->place = NO_PLACE;
}

enum admission counts_enter(struct counts *c, unsigned row, unsigned listener, const struct address *address,
                            const struct counts_limits *limits, struct counted *counted)
{
    uint64_t key = address_key(address);
    enum admission answer = ADMIT;

    use_row(c, row);
    atomic_fetch_add(&c->row[row].total, 1);
    atomic_fetch_add(&c->row[row].listener[listener], 1);
    *counted = (struct counted){ listener, address_add(c, row, key) };
    if (is_over(counts_total(c), limits->sessions) || is_over(listener_sum(c, listener), limits->listener))
        answer = ADMIT_TOO_MANY;
    else if (counted->place != NO_PLACE && is_over(address_sum(c, key), limits->address))
        answer = ADMIT_TOO_MANY_FROM_ADDRESS;
    if (answer != ADMIT)
        counts_leave(c, row, counted);
    return answer;
}

void counts_leave(struct counts *c, unsigned row, struct counted *counted)
{
    counts_leave_address(c, row, counted);
    atomic_fetch_sub(&c->row[row].listener[counted->listener], 1);
    atomic_fetch_sub(&c->row[row].total, 1);
}

void counts_clear(struct counts *c, unsigned row)
{
    struct place *places = c->place + row_start(c, row);

    /* Gives the pages back, which zeroes them. Pages larger than a row are cleared by hand. */
    if (madvise(places, row_size(c), MADV_REMOVE) != 0)
        for (uint32_t i = 0; i <= c->mask; i++)
            atomic_store(&places[i].n, 0);
    for (unsigned i = 0; i < COUNTS_LISTENERS; i++)
        atomic_store(&c->row[row].listener[i], 0);
    atomic_store(&c->row[row].held, 0);
    atomic_store(&c->row[row].total, 0);
}

bool counts_hold(struct counts *c, unsigned row, uint64_t limit)
{
    uint64_t n = 0;

    use_row(c, row);
    atomic_fetch_add(&c->row[row].held, 1);
    for (unsigned r = 0; r < atomic_load(&c->rows); r++)
        n += atomic_load(&c->row[r].held);
    if (n > limit)
        counts_unhold(c, row);
    return n <= limit;
}

void counts_unhold(struct counts *c, unsigned row)
{
    atomic_fetch_sub(&c->row[row].held, 1);
}

uint64_t counts_total(const struct counts *c)
{
    uint64_t n = 0;

    for (unsigned r = 0; r < atomic_load(&c->rows); r++)
        n += atomic_load(&c->row[r].total);
    return n;
}

uint64_t counts_of_address(const struct counts *c, const struct address *address)
{
    return address_sum(c, address_key(address));
}
