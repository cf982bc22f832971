/* Domain sets: exact names, wildcards, and sorting whatever comes. */
#include "policy/domain_set.h"

#include <stdint.h>
#include <stdlib.h>

#include "test.h"

/* "*.x" is a wildcard entry, as the configuration has it. */
static struct domain_entry entry(const char *text)
{
    struct str name = str_of(text);

    if (str_istarts(name, STR("*.")))
        return (struct domain_entry){ str_skip(name, 2), true };
    return (struct domain_entry){ name, false };
}

static struct domain_set set_of(struct domain_entry *item, const char *const *text, size_t n)
{
    struct domain_set set = { item, n };

    for (size_t i = 0; i < n; i++)
        item[i] = entry(text[i]);
    domain_set_sort(&set);
    return set;
}

static void holds_names_and_names_below_wildcards(void)
{
    static const char *const in[] = { "example.org", "*.example.net", "local.example", "*.local.example", "a.b.c.d" };
    /* clang-format off */
    static const struct {
        const char *name;
        bool held;
    } rows[] = {
        { "example.org", true },      { "www.example.org", false },    { "org", false },
        { "example.net", false },     { "a.example.net", true },       { "a.b.c.example.net", true },
        { "net", false },             { "xexample.net", false },       { "a.xexample.net", false },
        { "local.example", true },    { "mx.local.example", true },    { "xlocal.example", false },
        { "local.example.org", false }, { "a.b.c.d", true },           { "b.c.d", false },
        { "x.a.b.c.d", false },       { "", false },                   { ".", false },
        { ".example.net", true },     { "example.net.", false },       { "*.example.net", true },
        { "local.exampl", false },    { "local.examplf", false },      { "local.exampld", false },
    };
    /* clang-format on */
    struct domain_entry item[5];
    struct domain_set set = set_of(item, in, 5);

    CHECK_EQ_INT(set.n, 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].name);
        CHECK_EQ_INT(domain_set_holds(&set, str_of(rows[i].name)), rows[i].held);
    }
}

static void compares_all_octets(void)
{
    struct domain_entry item[] = { { STR_INIT("a\0b"), false }, { STR_INIT("\xff.x"), false } };
    struct domain_set set = { item, 2 };

    domain_set_sort(&set);
    CHECK(domain_set_holds(&set, STR("a\0b")));
    CHECK(domain_set_holds(&set, STR("\xff.x")));
    CHECK(!domain_set_holds(&set, STR("a")));
    CHECK(!domain_set_holds(&set, STR("a\0c")));
}

static void drops_repeated_entries(void)
{
    static const char *const in[] = { "b", "a", "*.a", "b", "a", "*.a", "*.b", "b" };
    struct domain_entry item[8];
    struct domain_set set = set_of(item, in, 8);

    CHECK_EQ_INT(set.n, 4);
    CHECK_EQ_STR(set.item[0].name.p, set.item[0].name.n, "a");
    CHECK(!set.item[0].is_wildcard && set.item[1].is_wildcard);
    CHECK(!set.item[2].is_wildcard && set.item[3].is_wildcard);
}

static void an_empty_set_holds_nothing(void)
{
    struct domain_set set = { NULL, 0 };

    domain_set_sort(&set);
    CHECK(!domain_set_holds(&set, STR("a")));
    CHECK(!domain_set_holds(&set, STR("a.b")));
}

enum { MANY = 3000 };

static bool is_sorted(const struct domain_set *set)
{
    for (size_t i = 1; i < set->n; i++)
        if (memcmp(set->item[i - 1].name.p, set->item[i].name.p, 6) >= 0)
            return false;
    return true;
}

/* Sizes around powers of two are where a heap goes wrong. */
static void sorts_any_number_of_names(void)
{
    static char text[MANY][8];
    static struct domain_entry item[MANY];
    uint32_t random = 1;

    for (size_t n = 1; n <= MANY; n = n < 40 ? n + 1 : n * 3) {
        struct domain_set set = { item, n };

        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            snprintf(text[i], sizeof text[i], "%06u", (unsigned)(random >> 12) % 900000);
            item[i] = (struct domain_entry){ str_from(text[i], 6), false };
        }
        domain_set_sort(&set);
        CHECK(is_sorted(&set));
        for (size_t i = 0; i < n; i++)
            CHECK(domain_set_holds(&set, str_from(text[i], 6)));
    }
}

static const struct test_case tests[] = {
    TEST(holds_names_and_names_below_wildcards),
    TEST(compares_all_octets),
    TEST(drops_repeated_entries),
    TEST(an_empty_set_holds_nothing),
    TEST(sorts_any_number_of_names),
};
TEST_MAIN(tests)
