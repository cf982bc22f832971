/* The copy of the record on disk: there and back, and whatever becomes of it in between. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/crypto.h"
#include "proxy/standing.h"

#include "test.h"

enum { AT_VERSION = 16, AT_WORDS = 24, AT_TIME = 32, AT_SEED = 40, AT_FIRST = 56, ROOM = 1 << 16 };

static const uint64_t t0 = UINT64_C(1795348800);
static const struct standing_policy policy = {
    .good_from = 10, .bad_from = 5, .half_life = UINT64_C(48) * 3600000, .memory = 4096
};
static char folder[64], path[128], fresh[128];
static char octets[ROOM];
static size_t octets_n;

static struct standing *standing_with(int keys)
{
    struct standing *s = standing_new(&policy);
    char key[24];

    CHECK(s != NULL);
    for (int i = 0; i < keys; i++)
        for (int k = 0; k <= i; k++) {
            snprintf(key, sizeof key, "key %d", i);
            standing_note(s, str_of(key), k % 3 != 0, t0);
        }
    return s;
}

static void keys_are_known(const struct standing *s, int keys)
{
    char key[24];

    for (int i = 0; i < keys; i++) {
        struct standing_counts counts;

        snprintf(key, sizeof key, "key %d", i);
        counts = standing_read(s, str_of(key), t0);
        CHECK_EQ_INT(counts.good + counts.bad, i + 1);
        CHECK_EQ_INT(counts.bad, (i + 3) / 3);
    }
}

static void read_octets(void)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, octets, sizeof octets);

    CHECK(fd >= 0 && n > 0);
    octets_n = (size_t)n;
    close(fd);
}

static void begin(void)
{
    struct standing *s = standing_with(20);

    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "/tmp/postern-test.XXXXXX");
        CHECK(mkdtemp(folder) != NULL);
        snprintf(path, sizeof path, "%s/standing", folder);
        snprintf(fresh, sizeof fresh, "%s/standing.new", folder);
    }
    CHECK(standing_save(s, path, t0) == NULL);
    standing_free(s);
    read_octets();
}

static const char *load(struct standing *s)
{
    bool is_missing;
    const char *fault = standing_load(s, path, &is_missing);

    CHECK(!is_missing);
    return fault;
}

static void comes_back_whole(void)
{
    struct standing *s = standing_with(0);
    struct stat stat;

    begin();
    CHECK(load(s) == NULL);
    keys_are_known(s, 20);
    CHECK(lstat(path, &stat) == 0 && S_ISREG(stat.st_mode) && (stat.st_mode & 0777) == 0600);
    CHECK_EQ_INT(stat.st_size, standing_file_size(&policy));
    CHECK(lstat(fresh, &stat) != 0 && errno == ENOENT);
    standing_note(s, STR("key 1"), true, t0);
    CHECK(standing_save(s, path, t0) == NULL); /* over the old one */
    standing_free(s);
    s = standing_with(0);
    CHECK(load(s) == NULL);
    CHECK_EQ_INT(standing_read(s, STR("key 1"), t0).good, 2);
    standing_free(s);
}

static void a_missing_file_is_no_error(void)
{
    struct standing *s = standing_with(1);
    bool is_missing;

    begin();
    CHECK(unlink(path) == 0);
    CHECK(standing_load(s, path, &is_missing) == NULL && is_missing);
    keys_are_known(s, 1);
    standing_free(s);
}

/* Nothing of a file that is not right is taken over. */
static void no_cut_and_no_flip_passes(void)
{
    struct standing *s = standing_with(3);

    begin();
    for (size_t n = 0; n < octets_n; n++)
        CHECK(standing_take(s, str_from(octets, n)) != NULL);
    CHECK(standing_take(s, str_from(octets, octets_n + 1)) != NULL);
    for (size_t i = 0; i < octets_n; i++) {
        octets[i] = (char)(octets[i] ^ 1 << i % 8);
        CHECK(standing_take(s, str_from(octets, octets_n)) != NULL);
        octets[i] = (char)(octets[i] ^ 1 << i % 8);
    }
    keys_are_known(s, 3);
    CHECK(standing_take(s, str_from(octets, octets_n)) == NULL);
    keys_are_known(s, 20);
    standing_free(s);
}

static void put_u64(size_t at, uint64_t n)
{
    for (size_t i = 0; i < 8; i++)
        octets[at + i] = (char)(n >> 8 * i & 0xff);
}

static void sign(void)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, str_from(octets, octets_n - SHA256_SIZE));
    sha256_end(&sha, digest);
    memcpy(octets + octets_n - SHA256_SIZE, digest, sizeof digest);
}

static const struct row {
    const char *name;
    size_t at;
    uint64_t value;
    const char *fault; /* a part of what is said */
} rows[] = {
    { "version", AT_VERSION, 2, "version" },
    { "number of words", AT_WORDS, 503, "another size" },
    { "a number that is none", AT_WORDS, UINT64_MAX, "another size" },
    { "time", AT_TIME, UINT64_C(1) << 20, "time" },
    { "an entry without messages", AT_FIRST, UINT64_C(1) << 40 | 5, "says nothing" },
};

/* Each field is checked, also when the sum over all is right. */
static void each_field_is_checked(void)
{
    struct standing *s = standing_with(3);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *fault;

        CHECK_ROW(rows[i].name);
        begin();
        put_u64(rows[i].at, rows[i].value);
        sign();
        fault = standing_take(s, str_from(octets, octets_n));
        CHECK(fault != NULL && strstr(fault, rows[i].fault) != NULL);
    }
    keys_are_known(s, 3);
    standing_free(s);
}

static void no_entry_is_younger_than_its_file(void)
{
    struct standing *s = standing_with(1);

    CHECK(standing_save(s, path, t0 - 90 * 86400) == NULL); /* by a clock that was put right later */
    CHECK(load(s) == NULL);
    CHECK_EQ_INT(standing_read(s, STR("key 0"), t0 - 90 * 86400).bad, 1);
    CHECK_EQ_INT(standing_read(s, STR("key 0"), t0).bad, 0);
    standing_free(s);
}

static void another_size_is_not_read(void)
{
    struct standing_policy larger = policy;
    struct standing *s;

    begin();
    larger.memory = 8192;
    s = standing_new(&larger);
    CHECK(s != NULL && load(s) != NULL);
    standing_free(s);
}

static void only_the_owners_own_file_is_read(void)
{
    struct standing *s = standing_with(1);
    char other[160];
    bool is_missing;

    begin();
    CHECK(chmod(path, 0644) == 0 && load(s) != NULL);
    CHECK(chmod(path, 0600) == 0 && load(s) == NULL);
    snprintf(other, sizeof other, "%s/link", folder);
    CHECK(symlink(path, other) == 0);
    CHECK(standing_load(s, other, &is_missing) != NULL && !is_missing);
    CHECK(unlink(other) == 0 && mkfifo(other, 0600) == 0);
    CHECK(standing_load(s, other, &is_missing) != NULL && !is_missing);
    CHECK(unlink(other) == 0);
    CHECK(standing_load(s, folder, &is_missing) != NULL && !is_missing);
    standing_free(s);
}

/* What lies in the way of the new file is a leftover, and is not written through. */
static void writes_a_file_of_its_own(void)
{
    struct standing *s = standing_with(5);
    struct stat stat;
    char other[160];

    begin();
    snprintf(other, sizeof other, "%s/victim", folder);
    CHECK(symlink(other, fresh) == 0);
    CHECK(standing_save(s, path, t0) == NULL);
    CHECK(lstat(other, &stat) != 0);
    CHECK(load(s) == NULL);
    keys_are_known(s, 5);
    CHECK(standing_save(s, "/nonexistent/standing", t0) != NULL);
    standing_free(s);
    unlink(path);
    CHECK(rmdir(folder) == 0);
}

static const struct test_case tests[] = {
    TEST(comes_back_whole),
    TEST(a_missing_file_is_no_error),
    TEST(no_cut_and_no_flip_passes),
    TEST(each_field_is_checked),
    TEST(no_entry_is_younger_than_its_file),
    TEST(another_size_is_not_read),
    TEST(only_the_owners_own_file_is_read),
    TEST(writes_a_file_of_its_own),
};
TEST_MAIN(tests)
