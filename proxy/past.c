#include "past.h"

static void digest_of(struct str key, uint8_t digest[SHA256_SIZE])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, key);
    sha256_end(&sha, digest);
}

/* The entry of `digest`, or PAST_ENTRIES. 1024 comparisons that end in their first octets: some microseconds, for a message
 * that has a signature.
 */
static size_t find(const struct past *past, const uint8_t digest[SHA256_SIZE])
{
    size_t i = 0;

    while (i < PAST_ENTRIES && (past->entry[i].until == 0 || memcmp(past->entry[i].digest, digest, SHA256_SIZE) != 0))
        i++;
    return i;
}

/* Unused entries end first of all. */
static size_t oldest(const struct past *past)
{
    size_t oldest = 0;

    for (size_t i = 1; i < PAST_ENTRIES; i++)
        if (past->entry[i].until < past->entry[oldest].until)
            oldest = i;
    return oldest;
}

bool past_holds(const struct past *past, struct str key, uint64_t now)
{
    uint8_t digest[SHA256_SIZE];
    size_t i;

    digest_of(key, digest);
    i = find(past, digest);
    return i < PAST_ENTRIES && now < past->entry[i].until;
}

void past_remember(struct past *past, struct str key, uint64_t now)
{
    struct past_entry entry = { .until = now + PAST_FOR_MS };
    size_t i;

    digest_of(key, entry.digest);
    i = find(past, entry.digest);
    past->entry[i < PAST_ENTRIES ? i : oldest(past)] = entry;
}

void past_forget(struct past *past, struct str key)
{
    uint8_t digest[SHA256_SIZE];
    size_t i;

    digest_of(key, digest);
    i = find(past, digest);
    if (i < PAST_ENTRIES)
        past->entry[i].until = 0;
}
