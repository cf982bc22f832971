/* Sliding windows in shared memory: never too little, not for a moment, whatever else happens. */
#include "proxy/rates.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { HEAD = 64, BUCKET = RATES_WAYS * RATES_ENTRY };

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

static struct str key_of(unsigned n, char room[16])
{
    return str_from(room, (size_t)snprintf(room, 16, "key %u", n));
}

/* ---- the window ---- */

enum { EVENTS_MAX = 40000 };

static struct event {
    uint64_t time, units;
} events[EVENTS_MAX];

/* What a list of all events says about the time since `from`. */
static uint64_t plain_sum(size_t n, uint64_t from)
{
    uint64_t sum = 0;

    while (n-- > 0 && events[n].time >= from)
        sum += events[n].units;
    return sum;
}

/* Whatever the sum was, it is at least what came within the window, and at most what came within a ninth more. */
static void plays_window(uint64_t window, uint64_t start, uint64_t step)
{
    struct rates *rates = rates_new(HEAD + BUCKET);
    uint64_t width = (window + RATES_SLOTS - 1) / RATES_SLOTS, now = start;

    CHECK(rates != NULL);
    for (size_t n = 0; n < TEST_LESS(EVENTS_MAX); n++) {
        uint64_t sum;

        now += draw(50) == 0 ? draw(2 * window) : draw(step);
        events[n] = (struct event){ now, 1 + draw(3) };
        sum = rates_add(rates, STR("key"), window, events[n].units, now);
        CHECK(sum >= plain_sum(n + 1, now > window ? now - window + 1 : 0));
        CHECK(sum <= plain_sum(n + 1, now > 9 * width ? now - 9 * width + 1 : 0));
        CHECK_EQ_INT(rates_read(rates, STR("key"), window, now), sum);
    }
    rates_free(rates);
}

static void the_sum_covers_the_window(void)
{
    static const struct {
        const char *about;
        uint64_t window, start, step;
    } rows[] = {
        { "a second", 1000, 1000000, 20 },
        { "a minute", 60000, 1000000, 900 },
        { "a day", 86400000, 100000000, 2000000 },
        { "no multiple of eight", 1001, 5, 20 },
        { "seven milliseconds", 7, 0, 3 },
        { "slot numbers wrap", 1000, (UINT64_C(1) << 24) * 125 - 60000, 20 },
        { "and wrap again", 1000, (UINT64_C(7) << 24) * 125 - 60000, 20 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].about);
        plays_window(rows[i].window, rows[i].start, rows[i].step);
    }
}

/* As it is used: what is told to be above the limit is refused. No window, wherever it begins, has more than the limit. */
static void no_window_has_more_than_the_limit(void)
{
    enum { LIMIT = 20, WINDOW = 1000 };
    struct rates *rates = rates_new(HEAD + BUCKET);
    uint64_t now = 1234567;
    size_t accepted = 0, refused = 0;

    for (int i = 0; i < TEST_LESS(200000) && accepted < EVENTS_MAX; i++) {
        now += draw(100) == 0 ? draw(3 * WINDOW) : draw(60);
        if (rates_add(rates, STR("key"), WINDOW, 1, now) > LIMIT) {
            refused++;
            continue;
        }
        events[accepted++].time = now;
        if (accepted > LIMIT)
            CHECK(now - events[accepted - 1 - LIMIT].time >= WINDOW);
    }
    CHECK(accepted > 100 && refused > 100);
    rates_free(rates);
}

static void at_the_bound(void)
{
    struct rates *rates = rates_new(HEAD + BUCKET);

    for (uint64_t i = 1; i <= 100; i++)
        CHECK_EQ_INT(rates_add(rates, STR("key"), 8000, 1, 1000), i);
    CHECK_EQ_INT(rates_read(rates, STR("key"), 8000, 1000 + 7999), 100);
    CHECK_EQ_INT(rates_read(rates, STR("key"), 8000, 1000 + 9000), 0);
    CHECK_EQ_INT(rates_add(rates, STR("key"), 8000, 7, 1000 + 9000), 7);
    CHECK_EQ_INT(rates_read(rates, STR("another"), 8000, 1000), 0);
    rates_free(rates);
}

static void counts_end(void)
{
    struct rates *rates = rates_new(HEAD + BUCKET);

    CHECK_EQ_INT(rates_add(rates, STR("key"), 1000, RATES_COUNT_MAX - 1, 1000), RATES_COUNT_MAX - 1);
    CHECK_EQ_INT(rates_add(rates, STR("key"), 1000, 5, 1000), RATES_COUNT_MAX);
    CHECK_EQ_INT(rates_add(rates, STR("key"), 1000, UINT64_MAX, 1000), RATES_COUNT_MAX);
    CHECK_EQ_INT(rates_read(rates, STR("key"), 1000, 3000), 0);
    rates_free(rates);
}

/* Of two workers one may look at its clock a little earlier: nothing of what the other counted is lost. */
static void a_clock_that_lags_counts_right(void)
{
    struct rates *rates = rates_new(HEAD + BUCKET);

    rates_add(rates, STR("key"), 8000, 1, 17000);
    CHECK_EQ_INT(rates_add(rates, STR("key"), 8000, 1, 16999), 2);
    CHECK_EQ_INT(rates_add(rates, STR("key"), 8000, 1, 14000), 3);
    CHECK_EQ_INT(rates_read(rates, STR("key"), 8000, 17000), 3);
    rates_free(rates);
}

/* ---- room ---- */

static void as_large_as_it_is_made(void)
{
    struct rates *rates = rates_new(HEAD + BUCKET);

    CHECK_EQ_INT(rates_entries(rates), RATES_WAYS);
    rates_free(rates);
    rates = rates_new(HEAD + 3 * BUCKET + BUCKET - 1);
    CHECK_EQ_INT(rates_entries(rates), 3 * RATES_WAYS);
    rates_free(rates);
    CHECK(rates_new(HEAD + BUCKET - 1) == NULL);
    CHECK(rates_new(UINT64_MAX) == NULL);
    rates_free(NULL);
    CHECK_EQ_INT(rates_add(NULL, STR("key"), 1000, 1, 0), 0);
    CHECK_EQ_INT(rates_read(NULL, STR("key"), 1000, 0), 0);
    CHECK_EQ_INT(rates_entries(NULL), 0);
    CHECK_EQ_INT(rates_hash(NULL, STR("key")), 0);
}

/* One bucket: of nine keys the one that was used least recently is gone, and begins anew without others' counts. */
static void the_oldest_makes_room(void)
{
    struct rates *rates = rates_new(HEAD + BUCKET);
    char room[16];

    for (unsigned i = 0; i < RATES_WAYS; i++)
        rates_add(rates, key_of(i, room), 3600000, 10 + i, 1000000 + i * 1000);
    rates_add(rates, key_of(0, room), 3600000, 1, 1020000); /* the second is the oldest now */
    CHECK_EQ_INT(rates_add(rates, key_of(8, room), 3600000, 100, 1021000), 100);
    CHECK_EQ_INT(rates_read(rates, key_of(0, room), 3600000, 1021000), 11);
    CHECK_EQ_INT(rates_read(rates, key_of(1, room), 3600000, 1021000), 0);
    for (unsigned i = 2; i < RATES_WAYS; i++)
        CHECK_EQ_INT(rates_read(rates, key_of(i, room), 3600000, 1021000), 10 + i);
    rates_free(rates);
}

/* Connections cost nothing, and make keys of a minute: those of an hour stay, however full it is. */
static void a_flood_of_short_windows_leaves_long_ones(void)
{
    enum { HOURS = RATES_WAYS / 2, FLOOD = 1000 };
    struct rates *rates = rates_new(HEAD + BUCKET);
    char room[16];

    for (unsigned i = 0; i < HOURS; i++)
        rates_add(rates, key_of(i, room), 3600000, 30, 1000000);
    for (unsigned i = 0; i < FLOOD; i++)
        rates_add(rates, key_of(HOURS + i, room), 60000, 1, 1001000 + i);
    for (unsigned i = 0; i < HOURS; i++)
        CHECK_EQ_INT(rates_read(rates, key_of(i, room), 3600000, 1002000), 30);
    CHECK_EQ_INT(rates_read(rates, key_of(HOURS + FLOOD - 1, room), 60000, 1002000), 1);
    for (unsigned i = 0; i < FLOOD; i++) /* once they are over they are the first to go */
        rates_add(rates, key_of(HOURS + i, room), 60000, 1, 1000000 + 3600000 + 450000 + i);
    CHECK_EQ_INT(rates_read(rates, key_of(0, room), 3600000, 1000000 + 3600000 + 450000 + FLOOD), 0);
    rates_free(rates);
}

/* Nothing is cleared when an entry goes to another key; all the same that key begins at nothing. */
static void a_flood_leaves_no_counts_behind(void)
{
    struct rates *rates = rates_new(HEAD + 16 * BUCKET);
    unsigned wrong = 0;
    char room[16];

    for (unsigned i = 0; i < TEST_LESS(200000); i++)
        wrong += rates_add(rates, key_of(i, room), 60000, 3, 5000000 + i / 100) != 3;
    CHECK(wrong < 20); /* one is to be expected */
    rates_free(rates);
}

/* ---- several workers ---- */

enum { WORKERS = 4 };

static void start_workers(pid_t pid[WORKERS], struct rates *rates, int n,
                          void work(struct rates *, unsigned worker, int n))
{
    for (unsigned i = 0; i < WORKERS; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            work(rates, i, n);
            _exit(0);
        }
        CHECK(pid[i] > 0);
    }
}

static void await_workers(const pid_t pid[WORKERS])
{
    for (unsigned i = 0; i < WORKERS; i++) {
        int status = -1;

        CHECK(waitpid(pid[i], &status, 0) == pid[i]);
        CHECK_EQ_INT(status, 0);
    }
}

static void hammer(struct rates *rates, unsigned worker, int n)
{
    (void)worker;
    for (int i = 0; i < n; i++)
        rates_add(rates, STR("key"), 60000, 1, 1000000 + (unsigned)i / 20);
}

static void together_they_count_each_once(void)
{
    enum { N = 100000 };
    struct rates *rates = rates_new(HEAD + 4 * BUCKET);
    pid_t pid[WORKERS];

    NEEDS_SHARED_ATOMICS();
    start_workers(pid, rates, TEST_LESS(N), hammer);
    await_workers(pid);
    CHECK_EQ_INT(rates_read(rates, STR("key"), 60000, 1000000 + N / 20), WORKERS * TEST_LESS(N));
    rates_free(rates);
}

/* Whoever is let in says so here. */
static _Atomic int *let_in;

static void try_to_get_in(struct rates *rates, unsigned worker, int n)
{
    char room[16];

    (void)worker;
    for (int i = 0; i < n; i++)
        if (rates_add(rates, key_of((unsigned)i, room), 60000, 1, 1000000) <= 3)
            let_in[i]++;
}

/* All four want to get in under each of many new keys, three are allowed: never four, though keys are entered at once. The
 * tables are so large that hardly ever (in one of 100,000 runs) nine keys want the same eight places, of which one would lose its
 * counts.
 */
static void compete(int *too_many, int *too_few)
{
    enum { KEYS = 5000 };
    struct rates *rates = rates_new(1 << 23);
    pid_t pid[WORKERS];

    let_in = mmap(NULL, KEYS * sizeof *let_in, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(let_in != MAP_FAILED);
    start_workers(pid, rates, KEYS, try_to_get_in);
    await_workers(pid);
    for (int i = 0; i < KEYS; i++) {
        *too_many += let_in[i] > 3;
        *too_few += let_in[i] < 2; /* two may each see the other, and both be refused */
    }
    munmap(let_in, KEYS * sizeof *let_in);
    rates_free(rates);
}

static void no_two_slip_through_together(void)
{
    int too_many = 0, too_few = 0;

    NEEDS_SHARED_ATOMICS();
    for (int round = 0; round < 4; round++)
        compete(&too_many, &too_few);
    CHECK_EQ_INT(too_many, 0);
    CHECK_EQ_INT(too_few, 0);
}

/* One key that is in use all the time, and a flood of others in the same eight places. */
static void flood(struct rates *rates, unsigned worker, int n)
{
    char room[16];

    for (int i = 0; i < n; i++)
        if (worker == 0)
            rates_add(rates, STR("key"), 60000, 1, 1000000 + (unsigned)i);
        else
            rates_add(rates, key_of((unsigned)i * WORKERS + worker, room), 60000, 1, 1000000);
}

static void one_in_use_outlasts_a_flood(void)
{
    enum { N = 20000 };
    struct rates *rates = rates_new(HEAD + BUCKET);
    pid_t pid[WORKERS];

    NEEDS_SHARED_ATOMICS();
    rates_add(rates, STR("key"), 60000, 1, 1000000);
    start_workers(pid, rates, TEST_LESS(N), flood);
    await_workers(pid);
    CHECK(rates_read(rates, STR("key"), 60000, 1000000 + N) > 0);
    rates_free(rates);
}

static void forever(struct rates *rates, unsigned worker, int n)
{
    char room[16];

    (void)n;
    for (unsigned i = 0;; i++)
        rates_add(rates, key_of(i % 40 + worker, room), 1000, 1, 1000000 + i);
}

/* Killed at any instant: what is left is a table that counts as before. */
static void a_killed_worker_leaves_it_working(void)
{
    for (int round = 0; round < 20; round++) {
        struct rates *rates = rates_new(HEAD + 2 * BUCKET);
        pid_t pid[WORKERS];

        start_workers(pid, rates, 1, forever);
        usleep(2000 + (useconds_t)draw(3000));
        for (unsigned i = 0; i < WORKERS; i++) {
            kill(pid[i], SIGKILL);
            waitpid(pid[i], NULL, 0);
        }
        for (uint64_t i = 1; i <= 50; i++)
            CHECK_EQ_INT(rates_add(rates, STR("after"), 1000, 1, UINT64_C(1) << 40), i);
        rates_free(rates);
    }
}

static void a_secret_has_a_hash_of_this_table(void)
{
    struct rates *one = rates_new(HEAD + BUCKET), *other = rates_new(HEAD + BUCKET);

    CHECK(rates_hash(one, STR("joe")) == rates_hash(one, STR("joe")));
    CHECK(rates_hash(one, STR("joe")) != rates_hash(one, STR("jim")));
    CHECK(rates_hash(one, STR("joe")) != rates_hash(other, STR("joe")));
    rates_free(one);
    rates_free(other);
}

static const struct test_case tests[] = {
    TEST(the_sum_covers_the_window),
    TEST(no_window_has_more_than_the_limit),
    TEST(at_the_bound),
    TEST(counts_end),
    TEST(a_clock_that_lags_counts_right),
    TEST(as_large_as_it_is_made),
    TEST(the_oldest_makes_room),
    TEST(a_flood_of_short_windows_leaves_long_ones),
    TEST(a_flood_leaves_no_counts_behind),
    TEST(together_they_count_each_once),
    TEST(no_two_slip_through_together),
    TEST(one_in_use_outlasts_a_flood),
    TEST(a_killed_worker_leaves_it_working),
    TEST(a_secret_has_a_hash_of_this_table),
};

TEST_MAIN(tests)
