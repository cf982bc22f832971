/* Self-tests of block lists: what passes and what fails, who does them and when, and what all workers know of it. */
#include "../../proxy/list_states.h"

#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static struct list_states *states;
static struct list_code code;

static struct list_policy list_of(const char *zone, unsigned of, bool ipv6)
{
    CHECK(list_code_parse(STR("127.0.0.2"), &code));
    return (struct list_policy){ .name = str_of(zone),
                                 .zone = str_of(zone),
                                 .of = of,
                                 .codes = { &code, 1 },
                                 .addresses = 1u << LIST_IPV4 | (unsigned)ipv6 << LIST_IPV6,
                                 .self_test = true };
}

static void begin(void)
{
    list_states_free(states);
    states = list_states_new();
    CHECK(states != NULL);
}

/* ---- what is asked ---- */

static void check_questions(const struct list_policy *list, const char *const *names)
{
    char out[LIST_NAME_MAX + 1];

    for (unsigned i = 0; i < LIST_TESTS; i++)
        CHECK_EQ_STR(out, list_test_name(list, i, out), names[i]);
}

static void asks_as_the_rfc_says(void)
{
    struct list_policy client = list_of("z.example", 1u << LIST_CLIENT, false),
                       six = list_of("z.example", 1u << LIST_CLIENT, true),
                       domain = list_of("z.example", 1u << LIST_FROM, true), off = client;

#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
    check_questions(&client, (const char *const[]){ "2.0.0.127.z.example", "1.0.0.127.z.example", "", "", "", "" });
    check_questions(&six, (const char *const[]){ "2.0.0.127.z.example", "1.0.0.127.z.example",
                                                 "2.0.0.0.0.0.f.7.f.f.f.f." ZEROS "z.example",
                                                 "1.0.0.0.0.0.f.7.f.f.f.f." ZEROS "z.example", "", "" });
    check_questions(&domain, (const char *const[]){ "", "", "", "", "test.z.example", "invalid.z.example" });
    off.self_test = false;
    check_questions(&off, (const char *const[]){ "", "", "", "", "", "" });
    begin();
    CHECK(list_test_due(states, &off) == UINT64_MAX);
    CHECK(list_test_due(states, &client) == 0);
}

/* ---- what the answers mean ---- */

struct answer {
    enum fact_state state;
    const char *value; /* one address, or two with a blank between */
};

static bool give(struct list_test *test, unsigned i, struct answer answer)
{
    struct str value[2], rest = str_of(answer.value);
    size_t n = 0;

    while (n < 2 && str_word(&rest, &value[n]))
        n++;
    return list_test_answer(test, i, answer.state, value, n);
}

/* clang-format off */
static const struct verdict_row {
    const char *label;
    struct answer listed, unlisted;
    const char *why; /* "": it passes; NULL: nothing is known */
} verdict_rows[] = {
    { "in order", { FACT_OK, "127.0.0.2" }, { FACT_NXDOMAIN, "" }, "" },
    { "in order, no data", { FACT_OK, "127.0.0.2" }, { FACT_NODATA, "" }, "" },
    { "a code that is not ours", { FACT_OK, "127.0.10.0" }, { FACT_NXDOMAIN, "" }, "" },
    { "several codes", { FACT_OK, "127.0.0.2 127.0.0.10" }, { FACT_NXDOMAIN, "" }, "" },
    { "dead: no entries", { FACT_NXDOMAIN, "" }, { FACT_NXDOMAIN, "" }, "it does not list 127.0.0.2" },
    { "empty", { FACT_NODATA, "" }, { FACT_NODATA, "" }, "it does not list 127.0.0.2" },
    { "wildcard", { FACT_OK, "127.0.0.2" }, { FACT_OK, "127.0.0.2" }, "it lists 127.0.0.1" },
    { "sold", { FACT_OK, "198.51.100.80" }, { FACT_OK, "198.51.100.80" }, "it answers 198.51.100.80" },
    { "refuses our questions", { FACT_OK, "127.255.255.254" }, { FACT_OK, "127.255.255.254" }, "it answers 127.255.255.254" },
    { "refuses one of them", { FACT_OK, "127.0.0.2" }, { FACT_OK, "127.255.255.255" }, "it answers 127.255.255.255" },
    { "a listing and an alarm", { FACT_OK, "127.0.0.2 127.255.255.254" }, { FACT_NXDOMAIN, "" }, "it answers 127.255.255.254" },
    { "no answer", { FACT_TEMP, "" }, { FACT_TEMP, "" }, NULL },
    { "one answer of two", { FACT_OK, "127.0.0.2" }, { FACT_TEMP, "" }, NULL },
    { "too many addresses", { FACT_LIMIT, "" }, { FACT_NXDOMAIN, "" }, NULL },
    { "a fault and no answer", { FACT_TEMP, "" }, { FACT_OK, "127.0.0.2" }, "it lists 127.0.0.1" },
};
/* clang-format on */

static void answers_decide(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false);

    for (size_t i = 0; i < 2 * (sizeof verdict_rows / sizeof *verdict_rows); i++) {
        const struct verdict_row *row = &verdict_rows[i / 2];
        bool first = i % 2 != 0; /* in both orders */
        bool fails = row->why != NULL && row->why[0] != '\0';
        struct list_test test;

        CHECK_ROW(row->label);
        begin();
        CHECK(list_test_take(states, &list, 1000, &test));
        CHECK(!give(&test, first, first ? row->unlisted : row->listed));
        CHECK(!give(&test, first, (struct answer){ FACT_OK, "1.2.3.4" })); /* a second answer is none */
        CHECK(give(&test, !first, first ? row->listed : row->unlisted));
        if (!first && fails)
            CHECK_EQ_STR(test.why, strlen(test.why), row->why);
        CHECK_EQ_INT(list_test_end(states, &list, &test, 2000), fails ? LIST_SWITCHED_OFF : LIST_AS_BEFORE);
        CHECK_EQ_INT(list_is_broken(states, &list), fails);
        CHECK_EQ_INT(list_states_have_broken(states), fails);
        CHECK_EQ_INT(list_test_due(states, &list), 2000 + (row->why == NULL ? LIST_AGAIN_MS
                                                           : fails          ? LIST_BROKEN_MS
                                                                            : LIST_DAILY_MS));
    }
}

/* ---- who tests, and when ---- */

enum result { PASSES, FAILS, SAYS_NOTHING };

static enum list_change test_it(const struct list_policy *list, uint64_t now, enum result result)
{
    static const struct answer listed = { FACT_OK, "127.0.0.2" }, nobody = { FACT_NXDOMAIN, "" },
                               none = { FACT_TEMP, "" };
    struct list_test test;

    CHECK(list_test_take(states, list, now, &test));
    give(&test, 0, result == SAYS_NOTHING ? none : listed);
    give(&test, 1, result == SAYS_NOTHING ? none : result == FAILS ? listed : nobody);
    return list_test_end(states, list, &test, now);
}

static void tells_changes_once(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false);
    uint64_t now = 1000;

    begin();
    CHECK_EQ_INT(test_it(&list, now, SAYS_NOTHING), LIST_AS_BEFORE);
    CHECK_EQ_INT(test_it(&list, now += LIST_AGAIN_MS, PASSES), LIST_AS_BEFORE);
    CHECK_EQ_INT(test_it(&list, now += LIST_DAILY_MS, FAILS), LIST_SWITCHED_OFF);
    CHECK_EQ_INT(test_it(&list, now += LIST_BROKEN_MS, FAILS), LIST_AS_BEFORE);
    CHECK_EQ_INT(test_it(&list, now += LIST_BROKEN_MS, SAYS_NOTHING), LIST_AS_BEFORE);
    CHECK(list_is_broken(states, &list));
    CHECK_EQ_INT(test_it(&list, now += LIST_AGAIN_MS, PASSES), LIST_SWITCHED_ON);
    CHECK(!list_is_broken(states, &list));
    CHECK_EQ_INT(test_it(&list, now + LIST_DAILY_MS, PASSES), LIST_AS_BEFORE);
}

static void one_tests_for_all(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false);
    struct list_test test;

    begin();
    CHECK(list_test_take(states, &list, 1000, &test));
    CHECK(!list_test_take(states, &list, 1000, &test));
    CHECK(!list_test_take(states, &list, 1000 + LIST_TEST_MS - 1, &test));
    CHECK(list_test_take(states, &list, 1000 + LIST_TEST_MS, &test)); /* the first one was killed */
}

static void all_workers_know(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false);
    int status = 1;
    pid_t worker;

    begin();
    worker = fork();
    if (worker == 0)
        _exit(test_it(&list, 1000, FAILS) == LIST_SWITCHED_OFF ? 0 : 1);
    CHECK(waitpid(worker, &status, 0) == worker && status == 0);
    CHECK(list_is_broken(states, &list));
}

/* The same zone with other tests is another list; the same list in a new configuration is the same. */
static void a_list_is_known_by_its_tests(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false), same = list,
                       six = list_of("z.example", 1u << LIST_CLIENT, true),
                       other = list_of("y.example", 1u << LIST_CLIENT, false);

    begin();
    test_it(&list, 1000, FAILS);
    same.name = STR("another name");
    CHECK(list_is_broken(states, &same));
    CHECK(!list_is_broken(states, &six) && !list_is_broken(states, &other));
}

static void the_oldest_makes_room(void)
{
    char zone[32];

    begin();
    for (unsigned i = 0; i <= LIST_STATES_MAX; i++) {
        struct list_policy list;

        snprintf(zone, sizeof zone, "z%u.example", i);
        list = list_of(zone, 1u << LIST_CLIENT, false);
        test_it(&list, 1000 + i, FAILS);
        CHECK(list_is_broken(states, &list));
    }
    for (unsigned i = 0; i <= LIST_STATES_MAX; i++) {
        struct list_policy list;

        snprintf(zone, sizeof zone, "z%u.example", i);
        list = list_of(zone, 1u << LIST_CLIENT, false);
        CHECK_EQ_INT(list_is_broken(states, &list), i > 0);
    }
}

/* ---- the log ---- */

static void is_told_once_a_day(void)
{
    struct list_policy list = list_of("z.example", 1u << LIST_CLIENT, false),
                       other = list_of("y.example", 1u << LIST_CLIENT, false);

    begin();
    CHECK(list_may_be_told(states, &list, LIST_ALARMED, 1000));
    CHECK(!list_may_be_told(states, &list, LIST_ALARMED, 1000));
    CHECK(list_may_be_told(states, &list, LIST_SILENT, 1000));
    CHECK(list_may_be_told(states, &other, LIST_ALARMED, 1000));
    CHECK(!list_may_be_told(states, &list, LIST_ALARMED, 1000 + LIST_DAILY_MS - 1));
    CHECK(list_may_be_told(states, &list, LIST_ALARMED, 1000 + LIST_DAILY_MS));
}

static const struct test_case tests[] = {
    TEST(asks_as_the_rfc_says),
    TEST(answers_decide),
    TEST(tells_changes_once),
    TEST(one_tests_for_all),
    TEST(all_workers_know),
    TEST(the_oldest_makes_room),
    TEST(a_list_is_known_by_its_tests),
    TEST(is_told_once_a_day),
};
TEST_MAIN(tests)
