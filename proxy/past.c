#include "past.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* Of an entry: the upper bits are the key's, the lower ones the second in which it is forgotten (8 years after the start of the
 * machine this begins anew). 0: unused.
 */
enum { SECOND_BITS = 28 };
#define SECONDS ((UINT64_C(1) << SECOND_BITS) - 1)

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be free of locks");

struct past {
    _Atomic uint64_t entry[PAST_ENTRIES];
};

struct past *past_new(void)
{
    void *p = mmap(NULL, sizeof(struct past), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void past_free(struct past *past)
{
    if (past != NULL)
        munmap(past, sizeof *past);
}

/* The key's bits of an entry. */
static uint64_t digest_of(struct str key)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;
    uint64_t bits;

    sha256_begin(&sha);
    sha256_add(&sha, key);
    sha256_end(&sha, digest);
    memcpy(&bits, digest, sizeof bits);
    return bits & ~SECONDS;
}

/* The place of `digest`, or PAST_ENTRIES. About a microsecond, for a message that has a signature. */
static size_t find(const struct past *past, uint64_t digest)
{
    for (size_t i = 0; i < PAST_ENTRIES; i++) {
        uint64_t entry = atomic_load_explicit(&past->entry[i], memory_order_relaxed);

        if (entry != 0 && (entry & ~SECONDS) == digest)
            return i;
    }
    return PAST_ENTRIES;
}

/* Unused entries end first of all. */
static size_t oldest(const struct past *past)
{
    uint64_t least = UINT64_MAX;
    size_t oldest = 0;

    for (size_t i = 0; i < PAST_ENTRIES; i++) {
        uint64_t second = atomic_load_explicit(&past->entry[i], memory_order_relaxed) & SECONDS;

        if (second < least) {
            least = second;
            oldest = i;
        }
    }
    return oldest;
}

bool past_holds(const struct past *past, struct str key, uint64_t now)
{
    size_t i = find(past, digest_of(key));

    return i < PAST_ENTRIES && (now / 1000 & SECONDS) < (atomic_load(&past->entry[i]) & SECONDS);
}

void past_remember(struct past *past, struct str key, uint64_t now)
{
    uint64_t digest = digest_of(key);
    size_t i = find(past, digest);

    atomic_store(&past->entry[i < PAST_ENTRIES ? i : oldest(past)], digest | ((now + PAST_FOR_MS) / 1000 & SECONDS));
}

void past_forget(struct past *past, struct str key)
{
    size_t i = find(past, digest_of(key));

    if (i < PAST_ENTRIES)
        atomic_store(&past->entry[i], 0);
}
