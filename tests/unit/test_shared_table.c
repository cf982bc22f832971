/* The table that all workers share: against a plain one, with writers that are killed, and when it is full. */
#include "proxy/shared_table.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { HEAD = 64, PLACE = 64 };

static uint64_t set_to(uint64_t value, const void *context)
{
    (void)value;
    return *(const uint64_t *)context;
}

static uint64_t add_one(uint64_t value, const void *context)
{
    (void)context;
    return value + 1;
}

static size_t smallest(const uint64_t value[SHARED_WAYS], uint64_t added, const void *context)
{
    size_t at = 0;

    (void)added;
    (void)context;
    for (size_t i = 1; i < SHARED_WAYS; i++)
        if (value[i] < value[at])
            at = i;
    return at;
}

static void set(struct shared_table *table, struct str key, uint64_t value)
{
    shared_table_change(table, key, &(struct shared_change){ set_to, smallest, &value });
}

static struct str key_of(unsigned n, char room[16])
{
    return str_from(room, (size_t)snprintf(room, 16, "key %u", n));
}

static void a_plain_table_says_the_same(void)
{
    enum { KEYS = 300 };
    struct shared_table *table = shared_table_new(1 << 20); /* so large that none makes room for another */
    uint64_t plain[KEYS] = { 0 };
    unsigned random = 1;
    char room[16];

    CHECK(table != NULL);
    for (int i = 0; i < TEST_LESS(200000); i++) {
        unsigned key = (random = random * 1103515245 + 12345) >> 8 & 0xffff;
        uint64_t value = (random >> 7 & 3) == 0 ? 0 : (uint64_t)random << 4 | 1;

        key %= KEYS;
        if (random >> 30 == 0) {
            CHECK_EQ_INT(shared_table_read(table, key_of(key, room)), plain[key]);
            continue;
        }
        plain[key] = value & SHARED_VALUE;
        set(table, key_of(key, room), value);
    }
    for (unsigned key = 0; key < KEYS; key++)
        CHECK_EQ_INT(shared_table_read(table, key_of(key, room)), plain[key]);
    shared_table_clear(table);
    for (unsigned key = 0; key < KEYS; key++)
        CHECK_EQ_INT(shared_table_read(table, key_of(key, room)), 0);
    shared_table_free(table);
}

/* One place: the smallest of nine makes room. */
static void who_makes_room_is_the_callers_word(void)
{
    struct shared_table *table = shared_table_new(HEAD + PLACE);
    char room[16];

    CHECK(table != NULL);
    CHECK_EQ_INT(shared_table_words(table), SHARED_WAYS);
    for (unsigned i = 0; i < SHARED_WAYS; i++)
        set(table, key_of(i, room), 10 + (i + 3) % SHARED_WAYS);
    for (unsigned i = 0; i < SHARED_WAYS; i++)
        CHECK_EQ_INT(shared_table_read(table, key_of(i, room)), 10 + (i + 3) % SHARED_WAYS);
    set(table, key_of(8, room), 100);
    CHECK_EQ_INT(shared_table_read(table, key_of(8, room)), 100);
    CHECK_EQ_INT(shared_table_read(table, key_of(5, room)), 0); /* had 10 */
    CHECK_EQ_INT(shared_table_read(table, key_of(6, room)), 11);
    set(table, key_of(9, room), 0); /* nothing to remember takes no room */
    CHECK_EQ_INT(shared_table_read(table, key_of(6, room)), 11);
    shared_table_free(table);
}

static void two_tables_hash_differently(void)
{
    struct shared_table *a = shared_table_new(1 << 16), *b = shared_table_new(1 << 16);
    uint8_t seed_a[SHARED_SEED], seed_b[SHARED_SEED];
    size_t same = 0;

    CHECK(a != NULL && b != NULL);
    set(a, STR("x"), 1);
    set(b, STR("x"), 1);
    shared_table_seed(a, seed_a);
    shared_table_seed(b, seed_b);
    CHECK(memcmp(seed_a, seed_b, SHARED_SEED) != 0);
    for (size_t i = 0; i < shared_table_words(a); i++)
        same += shared_table_word(a, i) != 0 && shared_table_word(a, i) == shared_table_word(b, i);
    CHECK_EQ_INT(same, 0);
    shared_table_set_seed(b, seed_a);
    CHECK_EQ_INT(shared_table_read(b, STR("x")), 0);
    for (size_t i = 0; i < shared_table_words(a); i++)
        shared_table_put_word(b, i, shared_table_word(a, i));
    CHECK_EQ_INT(shared_table_read(b, STR("x")), 1);
    shared_table_free(a);
    shared_table_free(b);
}

static void no_table_remembers_nothing(void)
{
    CHECK(shared_table_new(0) == NULL);
    CHECK(shared_table_new(HEAD + PLACE - 1) == NULL);
    CHECK(shared_table_new(UINT64_MAX) == NULL);
    set(NULL, STR("x"), 1);
    CHECK_EQ_INT(shared_table_read(NULL, STR("x")), 0);
    CHECK_EQ_INT(shared_table_words(NULL), 0);
    shared_table_clear(NULL);
    shared_table_free(NULL);
}

/* Counts its keys up until it is killed; `done` holds how often it did, which may be one less than what the table says. */
static void count_up(struct shared_table *table, uint64_t *done, unsigned first)
{
    char room[16];

    for (;;)
        for (unsigned i = 0; i < 16; i++) {
            shared_table_change(table, key_of(first + i, room), &(struct shared_change){ add_one, smallest, NULL });
            shared_table_change(table, STR("all"), &(struct shared_change){ add_one, smallest, NULL });
            done[i]++;
        }
}

/* No lock stays held, no entry is torn, and no count of a worker that lives is lost. */
static void workers_may_be_killed(void)
{
    enum { WORKERS = 3, KEYS = 16 };
    struct shared_table *table = shared_table_new(1 << 16);
    uint64_t(*done)[KEYS] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = 0, all;
    pid_t pid[WORKERS];
    char room[16];

    NEEDS_SHARED_ATOMICS();
    CHECK(table != NULL && done != MAP_FAILED);
    set(table, STR("all"), 1); /* before: two who add a key at once may both do it */
    for (unsigned i = 0; i < WORKERS; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            count_up(table, done[i], KEYS * i);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        usleep(30000);
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned k = 0; k < KEYS; k++) {
            uint64_t value = shared_table_read(table, key_of(KEYS * i + k, room));

            CHECK(value == done[i][k] || value == done[i][k] + 1);
            sum += done[i][k];
        }
    all = shared_table_read(table, STR("all"));
    CHECK(sum > 0 && all >= 1 + sum && all <= 1 + sum + WORKERS);
    munmap(done, 4096);
    shared_table_free(table);
}

static const struct test_case tests[] = {
    TEST(a_plain_table_says_the_same), TEST(who_makes_room_is_the_callers_word),
    TEST(two_tables_hash_differently), TEST(no_table_remembers_nothing),
    TEST(workers_may_be_killed),
};
TEST_MAIN(tests)
