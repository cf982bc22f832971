/* The record of senders: counts that age, who is good and who is bad, and what a flood of names can do. */
#include "proxy/standing.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { HOUR = 3600, HALF_LIFE_H = 48 };

static const uint64_t t0 = UINT64_C(1795348800);
static const struct standing_policy policy = {
    .good_from = 10, .bad_from = 5, .half_life = HALF_LIFE_H * UINT64_C(3600000), .memory = 1 << 16
};
static struct standing *standing;

static void begin(uint64_t memory)
{
    struct standing_policy p = policy;

    p.memory = memory;
    standing_free(standing);
    standing = standing_new(&p);
    CHECK(standing != NULL);
}

static void note(const char *key, int good, int bad, uint64_t now)
{
    for (int i = 0; i < good; i++)
        standing_note(standing, str_of(key), true, now);
    for (int i = 0; i < bad; i++)
        standing_note(standing, str_of(key), false, now);
}

static void reads(const char *key, uint64_t now, uint64_t good, uint64_t bad)
{
    struct standing_counts counts = standing_read(standing, str_of(key), now);

    CHECK_EQ_INT(counts.good, good);
    CHECK_EQ_INT(counts.bad, bad);
}

static void counts_what_it_is_told(void)
{
    begin(policy.memory);
    reads("a 1", t0, 0, 0);
    note("a 1", 3, 2, t0);
    reads("a 1", t0, 3, 2);
    reads("a 2", t0, 0, 0);
    reads("", t0, 0, 0);
}

static void is_halved_with_each_half_life(void)
{
    begin(policy.memory);
    note("a", 9, 4, t0);
    reads("a", t0 + HALF_LIFE_H * HOUR - 1, 9, 4);
    reads("a", t0 + HALF_LIFE_H * HOUR, 4, 2);
    reads("a", t0 + 2 * HALF_LIFE_H * HOUR, 2, 1);
    note("a", 1, 0, t0 + 2 * HALF_LIFE_H * HOUR + HOUR);
    reads("a", t0 + 2 * HALF_LIFE_H * HOUR + HOUR, 3, 1);
    reads("a", t0 + 3 * HALF_LIFE_H * HOUR, 1, 0); /* not counted anew from the last message on */
    reads("a", t0 + 300 * HALF_LIFE_H * HOUR, 0, 0);
    note("a", 0, 1, t0 + 300 * HALF_LIFE_H * HOUR + HOUR);
    reads("a", t0 + 301 * HALF_LIFE_H * HOUR, 0, 1);
}

/* Boards without a clock of their own begin in 1970, and are put right later. */
static void a_clock_may_jump(void)
{
    begin(policy.memory);
    note("a", 4, 0, t0);
    reads("a", 0, 4, 0);
    note("a", 1, 0, 0);
    reads("a", 0, 5, 0);
    reads("a", HALF_LIFE_H * HOUR, 2, 0); /* it ages from the new time on */
    reads("a", t0, 0, 0);
}

static void keeps_the_ratio_at_its_bound(void)
{
    begin(policy.memory);
    note("a", STANDING_COUNT_MAX, 100, t0);
    reads("a", t0, STANDING_COUNT_MAX, 100);
    note("a", 1, 0, t0);
    reads("a", t0, STANDING_COUNT_MAX / 2 + 1, 50);
    note("b", 0, 1000, t0);
    CHECK(standing_read(standing, STR("b"), t0).bad > STANDING_COUNT_MAX / 2);
}

/* A model of one key: counts, and the hour in which they were halved last. */
struct model {
    uint64_t good, bad, hour;
};

static void model_age(struct model *m, uint64_t hour)
{
    if (m->hour > hour)
        m->hour = hour;
    for (; hour - m->hour >= HALF_LIFE_H; m->hour += HALF_LIFE_H) {
        m->good /= 2;
        m->bad /= 2;
    }
}

static void model_note(struct model *m, bool is_good, uint64_t hour)
{
    uint64_t *count = is_good ? &m->good : &m->bad;

    model_age(m, hour);
    if (m->good + m->bad == 0)
        m->hour = hour;
    if (*count == STANDING_COUNT_MAX) {
        m->good /= 2;
        m->bad /= 2;
    }
    ++*count;
}

static void a_plain_record_says_the_same(void)
{
    enum { KEYS = 50 };
    struct model model[KEYS] = { 0 };
    uint64_t now = t0;
    unsigned random = 7;
    char key[16];

    begin(policy.memory);
    for (int i = 0; i < TEST_LESS(100000); i++) {
        unsigned k = (random = random * 1103515245 + 12345) >> 8;
        bool is_good = (random >> 5 & 7) != 0;
        struct model m;

        k = k % KEYS * (k >> 9 & 1); /* every other time the first, which reaches its bound */
        now += random >> 28 == 0 ? HOUR * (random >> 20 & 63) : random >> 22 & 15;
        snprintf(key, sizeof key, "key %u", k);
        model_note(&model[k], is_good, now / HOUR);
        standing_note(standing, str_of(key), is_good, now);
        m = model[(k + 1) % KEYS];
        model_age(&m, now / HOUR);
        snprintf(key, sizeof key, "key %u", (k + 1) % KEYS);
        reads(key, now, m.good, m.bad);
        reads("nobody", now, 0, 0);
    }
}

/* 100 known senders, and more new names than the table has room for. */
static void a_flood_pushes_out_its_own(void)
{
    char key[24];
    int left = 0;

    begin(8192); /* 127 places of 8 */
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "known %d", i);
        note(key, 2, 0, t0);
    }
    for (int i = 0; i < TEST_LESS(40000); i++) {
        snprintf(key, sizeof key, "invented %d", i);
        note(key, 0, 1, t0 + (uint64_t)i);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "known %d", i);
        left += standing_read(standing, str_of(key), t0).good == 2;
    }
    CHECK_EQ_INT(left, 100);
    reads("invented 1", t0, 0, 0);
    for (int i = 0; i < TEST_LESS(40000); i++) { /* but those who are silent for long make room in the end */
        snprintf(key, sizeof key, "later %d", i);
        note(key, 0, 1, t0 + 3 * HALF_LIFE_H * HOUR);
    }
    reads("known 1", t0, 0, 0);
}

/* ---- good and bad ---- */

static const struct row {
    const char *name;
    uint64_t good, bad;
    enum client_standing is;
} rows[] = {
    { "nobody", 0, 0, STANDING_UNKNOWN },
    { "new", 9, 0, STANDING_UNKNOWN },
    { "good enough", 10, 0, STANDING_GOOD },
    { "ten for one", 10, 1, STANDING_GOOD },
    { "fewer than ten for one", 19, 2, STANDING_UNKNOWN },
    { "again ten for one", 20, 2, STANDING_GOOD },
    { "not bad yet", 0, 4, STANDING_UNKNOWN },
    { "bad", 0, 5, STANDING_BAD },
    { "as good as bad", 5, 5, STANDING_UNKNOWN },
    { "worse than good", 5, 6, STANDING_BAD },
    { "much of both", 100, 101, STANDING_BAD },
};

static void is_good_or_bad(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].name);
        CHECK_EQ_INT(standing_judge(&policy, (struct standing_counts){ rows[i].good, rows[i].bad }), rows[i].is);
    }
}

static struct address address(const char *text)
{
    struct address a;

    CHECK(address_parse(str_of(text), &a));
    return a;
}

static void knows_clients(void)
{
    struct address v4 = address("192.0.2.1"), other = address("192.0.2.2"), v6 = address("2001:db8:1:2::7"),
                   same = address("2001:db8:1:2:ffff::1"), another = address("2001:db8:1:3::7");
    char room[NETWORK_TEXT_MAX];
    struct str key = standing_client_key(&v6, room);

    CHECK_EQ_STR(key.p, key.n, "2001:db8:1:2::/64");
    begin(policy.memory);
    note("192.0.2.1", 10, 0, t0);
    note("2001:db8:1:2::/64", 0, 5, t0);
    CHECK(standing_is_good(standing, &v4, t0));
    CHECK(!standing_is_good(standing, &other, t0));
    CHECK(!standing_is_good(standing, &v4, t0 + HALF_LIFE_H * HOUR));
    CHECK_EQ_INT(standing_of(standing, &v6, t0), STANDING_BAD);
    CHECK_EQ_INT(standing_of(standing, &same, t0), STANDING_BAD);
    CHECK_EQ_INT(standing_of(standing, &another, t0), STANDING_UNKNOWN);
    CHECK_EQ_INT(standing_of(NULL, &v4, t0), STANDING_UNKNOWN);
}

static void other_thresholds_hold_at_once(void)
{
    struct standing_policy p = policy;
    struct address v4 = address("192.0.2.1");

    begin(policy.memory);
    note("192.0.2.1", 10, 0, t0);
    p.good_from = 11;
    standing_set(standing, &p);
    CHECK(!standing_is_good(standing, &v4, t0));
}

static void is_one_for_all_workers(void)
{
    pid_t worker;
    int status = 1;

    begin(policy.memory);
    worker = fork();
    if (worker == 0) {
        note("a", 1, 2, t0);
        _exit(0);
    }
    CHECK(waitpid(worker, &status, 0) == worker && status == 0);
    reads("a", t0, 1, 2);
    standing_note(NULL, STR("a"), true, t0);
    CHECK_EQ_INT(standing_read(NULL, STR("a"), t0).good, 0);
    standing_free(standing);
    standing = NULL;
}

static const struct test_case tests[] = {
    TEST(counts_what_it_is_told),
    TEST(is_halved_with_each_half_life),
    TEST(a_clock_may_jump),
    TEST(keeps_the_ratio_at_its_bound),
    TEST(a_plain_record_says_the_same),
    TEST(a_flood_pushes_out_its_own),
    TEST(is_good_or_bad),
    TEST(knows_clients),
    TEST(other_thresholds_hold_at_once),
    TEST(is_one_for_all_workers),
};
TEST_MAIN(tests)
