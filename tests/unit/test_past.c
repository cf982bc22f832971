/* The memory of signatures that streamed bodies contradicted: bounded, and it forgets. */
#include "../../proxy/past.h"

#include <stdio.h>

#include "test.h"

static struct past past;

static struct str key_of(unsigned n, char out[32])
{
    return str_from(out, (size_t)snprintf(out, 32, "dkim example.org %u", n));
}

static void knows_what_it_was_told(void)
{
    past = (struct past){ 0 };
    CHECK(!past_holds(&past, STR("a"), 1));
    CHECK(!past_holds(&past, STR(""), 1));
    past_remember(&past, STR("a"), 1);
    CHECK(past_holds(&past, STR("a"), 1));
    CHECK(!past_holds(&past, STR("b"), 1));
    CHECK(!past_holds(&past, STR(""), 1));
}

static void forgets_what_was_wrong(void)
{
    past = (struct past){ 0 };
    past_remember(&past, STR("a"), 1);
    past_remember(&past, STR("b"), 1);
    past_remember(&past, STR("a"), 2); /* once more makes no second entry that would survive */
    past_forget(&past, STR("a"));
    past_forget(&past, STR("unheard of"));
    CHECK(!past_holds(&past, STR("a"), 3));
    CHECK(past_holds(&past, STR("b"), 3));
}

static void forgets_with_time(void)
{
    past = (struct past){ 0 };
    past_remember(&past, STR("a"), 1000);
    CHECK(past_holds(&past, STR("a"), 1000 + PAST_FOR_MS - 1));
    CHECK(!past_holds(&past, STR("a"), 1000 + PAST_FOR_MS));
    past_remember(&past, STR("a"), 2000);
    CHECK(past_holds(&past, STR("a"), 1000 + PAST_FOR_MS));
}

static void the_oldest_makes_room(void)
{
    char room[32];

    past = (struct past){ 0 };
    for (unsigned i = 0; i < PAST_ENTRIES; i++)
        past_remember(&past, key_of(i, room), 1 + i);
    for (unsigned i = 0; i < PAST_ENTRIES; i++)
        CHECK(past_holds(&past, key_of(i, room), 5000));
    past_remember(&past, key_of(0, room), 6000); /* the oldest is remembered anew, so the next one goes */
    past_remember(&past, STR("one more"), 6001);
    CHECK(past_holds(&past, STR("one more"), 6001));
    CHECK(past_holds(&past, key_of(0, room), 6001));
    CHECK(!past_holds(&past, key_of(1, room), 6001));
    CHECK(past_holds(&past, key_of(2, room), 6001));
}

static const struct test_case tests[] = {
    TEST(knows_what_it_was_told),
    TEST(forgets_what_was_wrong),
    TEST(forgets_with_time),
    TEST(the_oldest_makes_room),
};
TEST_MAIN(tests)
