/* The memory of signatures that streamed bodies contradicted: bounded, and it forgets. */
#include "../../proxy/past.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { SECOND = 1000 };

static struct past *past;

static void begin(void)
{
    past_free(past);
    past = past_new();
    CHECK(past != NULL);
}

static struct str key_of(unsigned n, char out[32])
{
    return str_from(out, (size_t)snprintf(out, 32, "dkim example.org %u", n));
}

static void knows_what_it_was_told(void)
{
    begin();
    CHECK(!past_holds(past, STR("a"), 1));
    CHECK(!past_holds(past, STR(""), 1));
    past_remember(past, STR("a"), 1);
    CHECK(past_holds(past, STR("a"), 1));
    CHECK(!past_holds(past, STR("b"), 1));
    CHECK(!past_holds(past, STR(""), 1));
}

static void forgets_what_was_wrong(void)
{
    begin();
    past_remember(past, STR("a"), 1);
    past_remember(past, STR("b"), 1);
    past_remember(past, STR("a"), 2); /* once more makes no second entry that would survive */
    past_forget(past, STR("a"));
    past_forget(past, STR("unheard of"));
    CHECK(!past_holds(past, STR("a"), 3));
    CHECK(past_holds(past, STR("b"), 3));
}

static void forgets_with_time(void)
{
    begin();
    past_remember(past, STR("a"), SECOND);
    CHECK(past_holds(past, STR("a"), SECOND + PAST_FOR_MS - 1));
    CHECK(!past_holds(past, STR("a"), SECOND + PAST_FOR_MS));
    past_remember(past, STR("a"), 2 * SECOND);
    CHECK(past_holds(past, STR("a"), SECOND + PAST_FOR_MS));
}

static void the_oldest_makes_room(void)
{
    char room[32];

    begin();
    for (unsigned i = 0; i < PAST_ENTRIES; i++)
        past_remember(past, key_of(i, room), (1 + i) * SECOND);
    for (unsigned i = 0; i < PAST_ENTRIES; i++)
        CHECK(past_holds(past, key_of(i, room), PAST_ENTRIES * SECOND));
    past_remember(past, key_of(0, room), 6000 * SECOND); /* the oldest is remembered anew, so the next one goes */
    past_remember(past, STR("one more"), 6001 * SECOND);
    CHECK(past_holds(past, STR("one more"), 6001 * SECOND));
    CHECK(past_holds(past, key_of(0, room), 6001 * SECOND));
    CHECK(!past_holds(past, key_of(1, room), 6001 * SECOND));
    CHECK(past_holds(past, key_of(2, room), 6001 * SECOND));
}

static void is_one_for_all_workers(void)
{
    pid_t worker;
    int status = 1;

    begin();
    worker = fork();
    if (worker == 0) {
        past_remember(past, STR("a"), 1);
        _exit(0);
    }
    CHECK(waitpid(worker, &status, 0) == worker && status == 0);
    CHECK(past_holds(past, STR("a"), 1));
}

static const struct test_case tests[] = {
    TEST(knows_what_it_was_told), TEST(forgets_what_was_wrong), TEST(forgets_with_time),
    TEST(the_oldest_makes_room),  TEST(is_one_for_all_workers),
};
TEST_MAIN(tests)
