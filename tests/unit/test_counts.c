#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counts.h"

static const struct counts_limits none = { 0, 0, 0 };

static struct address address(const char *text)
{
    struct address a = { { 0 } };

    CHECK(address_parse(str_of(text), &a));
    return a;
}

static enum admission enter(struct counts *c, unsigned row, const char *from, const struct counts_limits *limits,
                            struct counted *counted)
{
    struct address a = address(from);

    return counts_enter(c, row, 0, &a, limits, counted);
}

static uint64_t open_from(struct counts *c, const char *from)
{
    struct address a = address(from);

    return counts_of_address(c, &a);
}

static void counts_in_and_out(void)
{
    struct counts *c = counts_new(100);
    struct counted one, two;

    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &none, &one), ADMIT);
    CHECK_EQ_INT(enter(c, 1, "192.0.2.1", &none, &two), ADMIT);
    CHECK_EQ_INT(counts_total(c), 2);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 2);
    CHECK_EQ_INT(open_from(c, "192.0.2.2"), 0);
    counts_leave(c, 0, &one);
    counts_leave(c, 1, &two);
    CHECK_EQ_INT(counts_total(c), 0);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 0);
    counts_free(c);
}

static void tarpit_is_bounded_over_all_workers(void)
{
    struct counts *c = counts_new(100);

    CHECK(!counts_hold(c, 0, 0));
    CHECK(counts_hold(c, 0, 3));
    CHECK(counts_hold(c, 1, 3));
    CHECK(counts_hold(c, 2, 3));
    CHECK(!counts_hold(c, 1, 3));
    CHECK(!counts_hold(c, 5, 3));
    counts_unhold(c, 2);
    CHECK(counts_hold(c, 5, 3));
    counts_clear(c, 0); /* a worker was killed */
    CHECK(counts_hold(c, 6, 3));
    CHECK(!counts_hold(c, 6, 3));
    counts_free(c);
}

static void total_is_limited_over_all_workers(void)
{
    struct counts_limits limits = { 2, 0, 0 };
    struct counts *c = counts_new(100);
    struct counted counted;

    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &counted), ADMIT);
    CHECK_EQ_INT(enter(c, 1, "192.0.2.2", &limits, &counted), ADMIT);
    CHECK_EQ_INT(enter(c, 2, "192.0.2.3", &limits, &counted), ADMIT_TOO_MANY);
    CHECK_EQ_INT(counts_total(c), 2);
    CHECK_EQ_INT(open_from(c, "192.0.2.3"), 0);
    counts_free(c);
}

static void an_address_is_limited_over_all_workers(void)
{
    struct counts_limits limits = { 0, 0, 2 };
    struct counts *c = counts_new(100);
    struct counted counted;

    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &counted), ADMIT);
    CHECK_EQ_INT(enter(c, 1, "192.0.2.1", &limits, &counted), ADMIT);
    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &counted), ADMIT_TOO_MANY_FROM_ADDRESS);
    CHECK_EQ_INT(enter(c, 0, "192.0.2.2", &limits, &counted), ADMIT);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 2);
    counts_free(c);
}

/* ATTACKS K11: a client walks through its /64. */
static void ipv6_is_counted_by_network(void)
{
    struct counts_limits limits = { 0, 0, 1 };
    struct counts *c = counts_new(100);
    struct counted counted;

    CHECK_EQ_INT(enter(c, 0, "2001:db8:0:1::1", &limits, &counted), ADMIT);
    CHECK_EQ_INT(enter(c, 0, "2001:db8:0:1:ffff::2", &limits, &counted), ADMIT_TOO_MANY_FROM_ADDRESS);
    CHECK_EQ_INT(enter(c, 0, "2001:db8:0:2::1", &limits, &counted), ADMIT);
    counts_free(c);
}

static void each_listener_has_its_own_limit(void)
{
    struct counts_limits limits = { 0, 1, 0 };
    struct counts *c = counts_new(100);
    struct address a = address("192.0.2.1");
    struct counted counted;
    const struct str name[] = { STR("mx"), STR("submission") };
    unsigned number[2];

    counts_listeners(c, name, 2, number);
    CHECK(number[0] != number[1]);
    CHECK_EQ_INT(counts_enter(c, 0, number[0], &a, &limits, &counted), ADMIT);
    CHECK_EQ_INT(counts_enter(c, 0, number[0], &a, &limits, &counted), ADMIT_TOO_MANY);
    CHECK_EQ_INT(counts_enter(c, 0, number[1], &a, &limits, &counted), ADMIT);
    counts_free(c);
}

static void a_listener_keeps_its_number_over_reloads(void)
{
    struct counts *c = counts_new(100);
    struct address a = address("192.0.2.1");
    struct str name[2] = { STR("mx"), STR("first") };
    struct counted counted;
    unsigned mx, number[2];
    char text[24];

    counts_listeners(c, name, 2, number);
    mx = number[0];
    CHECK_EQ_INT(counts_enter(c, 0, mx, &a, &none, &counted), ADMIT);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "other%d", i);
        name[1] = str_of(text);
        counts_listeners(c, name + 1, 1, number);
        CHECK(number[0] != mx);
        counts_listeners(c, name, 2, number);
        CHECK_EQ_INT(number[0], mx);
        CHECK(number[1] != mx);
    }
    counts_free(c);
}

static void a_client_that_left_may_come_again(void)
{
    struct counts_limits limits = { 2, 0, 1 };
    struct counts *c = counts_new(100);
    struct counted first, second;

    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &first), ADMIT);
    counts_leave_address(c, 0, &first);
    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &second), ADMIT);
    CHECK_EQ_INT(counts_total(c), 2);
    counts_leave(c, 0, &first);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 1);
    CHECK_EQ_INT(counts_total(c), 1);
    counts_free(c);
}

/* What a worker counted before it died is gone, what others counted stays. */
static void a_dead_workers_row_is_cleared(void)
{
    struct counts *c = counts_new(100);
    struct counted counted;
    pid_t child = fork();

    if (child == 0) {
        for (int i = 0; i < 50; i++)
            if (enter(c, 3, "192.0.2.1", &none, &counted) != ADMIT)
                _exit(1);
        _exit(0);
    }
    CHECK_EQ_INT(enter(c, 4, "192.0.2.1", &none, &counted), ADMIT);
    CHECK_EQ_INT(waitpid(child, NULL, 0), child);
    CHECK_EQ_INT(counts_total(c), 51);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 51);
    counts_clear(c, 3);
    CHECK_EQ_INT(counts_total(c), 1);
    CHECK_EQ_INT(open_from(c, "192.0.2.1"), 1);
    counts_free(c);
}

/* More addresses than places: all are let in, the total is right, and all come out again. */
static void a_full_table_skips_the_limit_of_the_address(void)
{
    enum { MANY = 5000 };
    struct counts_limits limits = { MANY, 0, 1 };
    struct counts *c = counts_new(1);
    struct counted *counted = calloc(MANY, sizeof *counted), last;
    unsigned uncounted = 0;
    char name[ADDRESS_TEXT_MAX];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "10.0.%u.%u", i / 256, i % 256);
        CHECK_EQ_INT(enter(c, 0, name, &limits, &counted[i]), ADMIT);
        uncounted += open_from(c, name) == 0;
    }
    CHECK(uncounted >= MANY - 256);
    CHECK_EQ_INT(counts_total(c), MANY);
    CHECK_EQ_INT(enter(c, 0, "192.0.2.1", &limits, &last), ADMIT_TOO_MANY);
    for (unsigned i = 0; i < MANY; i++)
        counts_leave(c, 0, &counted[i]);
    CHECK_EQ_INT(counts_total(c), 0);
    CHECK_EQ_INT(open_from(c, "10.0.0.1"), 0);
    free(counted);
    counts_free(c);
}

static const struct test_case tests[] = {
    TEST(counts_in_and_out),
    TEST(total_is_limited_over_all_workers),
    TEST(tarpit_is_bounded_over_all_workers),
    TEST(an_address_is_limited_over_all_workers),
    TEST(ipv6_is_counted_by_network),
    TEST(each_listener_has_its_own_limit),
    TEST(a_listener_keeps_its_number_over_reloads),
    TEST(a_client_that_left_may_come_again),
    TEST(a_dead_workers_row_is_cleared),
    TEST(a_full_table_skips_the_limit_of_the_address),
};

TEST_MAIN(tests)
