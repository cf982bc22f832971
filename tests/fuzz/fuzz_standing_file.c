/* The record of senders from a file: what is read is either refused, or comes back the same. The sum at the end is made right
 * in half of the tries, so that what stands before it is looked at as well.
 */
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "policy/crypto.h"
#include "proxy/standing.h"

enum { ROOM = 8192, NOW = 1795348800 };

static const struct standing_policy policy = {
    .good_from = 10, .bad_from = 5, .half_life = UINT64_C(30) * 86400000, .memory = 1024
};

static void make_sum_right(char *octets, size_t n)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    if (n < sizeof digest)
        return;
    sha256_begin(&sha);
    sha256_add(&sha, str_from(octets, n - sizeof digest));
    sha256_end(&sha, digest);
    memcpy(octets + n - sizeof digest, digest, sizeof digest);
}

/* The writer wants a name: a file that lives for a moment. */
static size_t save(const struct standing *s, char *out)
{
    static char path[64];
    FILE *file;
    size_t n;

    if (path[0] == '\0')
        snprintf(path, sizeof path, "/tmp/fuzz-standing.%d", (int)getpid());
    REQUIRE(standing_save(s, path, NOW) == NULL);
    file = fopen(path, "rb");
    REQUIRE(file != NULL);
    n = fread(out, 1, ROOM, file);
    fclose(file);
    unlink(path);
    return n;
}

/* Seed and words, behind the time of writing. Entries from the future are as old as the first file that is written: it is the
 * second one that says the same.
 */
static void comes_back(const struct standing *s)
{
    static char first[ROOM], second[ROOM];
    struct standing *again = standing_new(&policy);
    size_t n = save(s, first);

    REQUIRE(n == standing_file_size(&policy) && again != NULL);
    REQUIRE(standing_take(again, str_from(first, n)) == NULL && save(again, first) == n);
    REQUIRE(standing_take(again, str_from(first, n)) == NULL && save(again, second) == n);
    REQUIRE(memcmp(first + 40, second + 40, n - 40 - SHA256_SIZE) == 0);
    standing_free(again);
}

static void is_usable(struct standing *s)
{
    struct standing_counts counts;

    for (unsigned i = 0; i < 300; i++) { /* every place, full ones too */
        char key[16];

        snprintf(key, sizeof key, "key %u", i);
        standing_note(s, str_of(key), i % 2 == 0, NOW);
        counts = standing_read(s, str_of(key), NOW);
        REQUIRE(counts.good + counts.bad > 0 && counts.good <= STANDING_COUNT_MAX && counts.bad <= STANDING_COUNT_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char octets[ROOM];
    struct standing *s;

    if (size < 1 || size > ROOM)
        return 0;
    memcpy(octets, data + 1, size - 1);
    if (data[0] & 1)
        make_sum_right(octets, size - 1);
    s = standing_new(&policy);
    REQUIRE(s != NULL);
    if (standing_take(s, str_from(octets, size - 1)) == NULL) {
        comes_back(s);
        is_usable(s);
    }
    standing_free(s);
    return 0;
}
