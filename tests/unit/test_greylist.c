/* The memory of greylisting. What it means is in test_check_greylist.c. */
#include "proxy/greylist.h"

#include "test.h"

static void sees(struct shared_table *table, const char *key, uint64_t now, bool passed, uint64_t seconds)
{
    bool has_passed;
    uint64_t since;

    CHECK(greylist_seen(table, str_of(key), now, &has_passed, &since));
    CHECK_EQ_INT(has_passed, passed);
    CHECK_EQ_INT(since, seconds);
}

static bool is_known(struct shared_table *table, const char *key)
{
    bool has_passed;
    uint64_t since;

    return greylist_seen(table, str_of(key), 2000, &has_passed, &since);
}

static void remembers_when(void)
{
    struct shared_table *table = shared_table_new(4096);

    CHECK(!is_known(table, "a"));
    greylist_came(table, STR("a"), 1000);
    sees(table, "a", 1000, false, 0);
    sees(table, "a", 1300, false, 300);
    sees(table, "a", 900, false, 0); /* a clock that went back */
    CHECK(!is_known(table, "b"));
    greylist_passed(table, STR("a"), 1400);
    sees(table, "a", 1500, true, 100);
    greylist_came(table, STR("a"), 9000); /* anew */
    sees(table, "a", 9000, false, 0);
    CHECK(!is_known(NULL, "a"));
    greylist_came(NULL, STR("a"), 1);
    shared_table_free(table);
}

static void who_has_passed_stays_longest(void)
{
    struct shared_table *table = shared_table_new(4096);
    int left = 0;
    char key[16];

    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "old %d", i);
        greylist_passed(table, str_of(key), 100);
    }
    for (int i = 0; i < TEST_LESS(20000); i++) {
        snprintf(key, sizeof key, "new %d", i);
        greylist_came(table, str_of(key), 1000 + (uint64_t)i);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "old %d", i);
        left += is_known(table, key);
    }
    CHECK_EQ_INT(left, 50);
    CHECK(!is_known(table, "new 0"));
    snprintf(key, sizeof key, "new %d", TEST_LESS(20000) - 1);
    CHECK(is_known(table, key));
    shared_table_free(table);
}

static const struct test_case tests[] = { TEST(remembers_when), TEST(who_has_passed_stays_longest) };
TEST_MAIN(tests)
