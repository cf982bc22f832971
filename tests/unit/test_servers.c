/* What is known of the back ends: who is tried, and what EHLO may show. */
#include "proxy/servers.h"

#include "test.h"

static struct endpoint endpoint[3];
static struct route routes[2];
static struct config config;
static struct servers servers;

/* The default route has two servers, another route one. */
static void set_up(void)
{
    for (size_t i = 0; i < 3; i++)
        endpoint[i].port = (uint16_t)(25 + i);
    routes[0] = (struct route){ .servers = { endpoint, 2 } };
    routes[1] = (struct route){ .servers = { endpoint + 2, 1 } };
    config = (struct config){ .routes = routes, .routes_n = 2 };
    CHECK(servers_init(&servers, &config));
    CHECK_EQ_INT(servers.n, 3);
}

static const struct backend_caps full = { .known = true, .bits = ~0U, .size = 1000, .rcpt_max = 50, .auth = "PLAIN" };

static struct server *pick(size_t from, bool try_down)
{
    size_t index;

    return servers_pick(&servers, &routes[0], from, try_down, &index);
}

static void the_first_that_is_up_is_tried(void)
{
    set_up();
    CHECK(pick(0, false) == &servers.server[0]);
    servers_down(&servers, &servers.server[0], "gone", 0, 30000);
    CHECK(pick(0, false) == &servers.server[1]);
    CHECK(pick(0, true) == &servers.server[0]);
    servers_down(&servers, &servers.server[1], "gone", 0, 30000);
    CHECK(pick(0, false) == NULL);
    CHECK(pick(1, true) == &servers.server[1]);
    CHECK(pick(2, true) == NULL);
    CHECK(servers_all_down(&servers, &routes[0]));
    CHECK(!servers_all_down(&servers, &routes[1]));
    servers_free(&servers);
}

static void only_a_change_is_news(void)
{
    set_up();
    CHECK(servers_up(&servers.server[0], &full, 0, 30000));
    CHECK(!servers_up(&servers.server[0], &full, 0, 30000));
    CHECK(servers_down(&servers, &servers.server[0], "gone", 0, 30000));
    CHECK(!servers_down(&servers, &servers.server[0], "gone", 0, 30000));
    CHECK(servers_up(&servers.server[0], &full, 0, 30000));
    servers_free(&servers);
}

/* A restart takes seconds: the first probes come fast, later ones at the usual pace. */
static void probes_slow_down_to_their_pace(void)
{
    static const uint64_t pauses[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000 };

    set_up();
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        servers_down(&servers, &servers.server[0], "gone", 7, 30000);
        CHECK_EQ_INT(servers.server[0].next_probe, 7 + pauses[i]);
    }
    servers_up(&servers.server[0], &full, 7, 30000);
    CHECK_EQ_INT(servers.server[0].next_probe, 30007);
    servers.next_probe = 30007;
    servers_down(&servers, &servers.server[0], "gone", 7, 30000);
    CHECK_EQ_INT(servers.server[0].next_probe, 1007);
    CHECK_EQ_INT(servers.next_probe, 1007); /* and the worker wakes up for it */
    servers_free(&servers);
}

/* P-11: a message may come to any route, so only what all of them offer is shown. */
static void what_all_routes_offer_is_offered(void)
{
    struct backend_caps some = { .known = true, .bits = CAP_8BITMIME | CAP_SIZE, .size = 400 };
    struct backend_caps common;

    set_up();
    servers_common(&servers, &config, &common);
    CHECK_EQ_INT(common.bits, 0); /* nothing is known yet */
    servers_up(&servers.server[0], &full, 0, 1);
    servers_up(&servers.server[2], &some, 0, 1);
    servers_common(&servers, &config, &common);
    CHECK_EQ_INT(common.bits, CAP_8BITMIME | CAP_SIZE);
    CHECK_EQ_INT(common.size, 400);
    CHECK_EQ_INT(common.rcpt_max, 50);
    CHECK_EQ_STR(common.auth, strlen(common.auth), "PLAIN");
    servers_free(&servers);
}

static void the_server_that_would_get_the_mail_counts(void)
{
    struct backend_caps plain = { .known = true, .bits = CAP_PIPELINING };
    struct backend_caps common;

    set_up();
    config.routes_n = 1;
    servers_up(&servers.server[0], &full, 0, 1);
    servers_up(&servers.server[1], &plain, 0, 1);
    servers_down(&servers, &servers.server[0], "gone", 0, 1);
    servers_common(&servers, &config, &common);
    CHECK_EQ_INT(common.bits, CAP_PIPELINING);
    servers_free(&servers);
}

/* ---- how long they take ---- */

static void answer(enum server_task task, uint64_t ms, uint64_t now)
{
    servers_took(&servers.server[0], task, ms, true, now);
}

static void an_answer_counts_an_eighth(void)
{
    set_up();
    CHECK_EQ_INT(servers_reply_time(&servers, 0), 0);
    answer(TASK_END, 8000, 1000);
    CHECK_EQ_INT(servers_reply_time(&servers, 1000), 1000);
    answer(TASK_END, 8000, 1000);
    CHECK_EQ_INT(servers_reply_time(&servers, 1000), 1875);
    answer(TASK_END, 3600000, 1000); /* as much as a minute */
    CHECK_EQ_INT(servers_reply_time(&servers, 1000), (1875 * 7 + 60000) / 8);
    for (int i = 0; i < 100; i++)
        answer(TASK_END, 20000, 1000);
    CHECK(servers_reply_time(&servers, 1000) > 19900 && servers_reply_time(&servers, 1000) <= 20000);
    servers_free(&servers);
}

static void it_halves_in_a_minute_without_any(void)
{
    set_up();
    answer(TASK_OPEN, 8000, 5000);
    CHECK_EQ_INT(servers_reply_time(&servers, 4000), 1000); /* a clock that lags */
    CHECK_EQ_INT(servers_reply_time(&servers, 5000 + 30000), 750);
    CHECK_EQ_INT(servers_reply_time(&servers, 5000 + 60000), 500);
    CHECK_EQ_INT(servers_reply_time(&servers, 5000 + 180000), 125);
    CHECK_EQ_INT(servers_reply_time(&servers, 5000 + 63 * 60000), 0);
    CHECK_EQ_INT(servers_reply_time(&servers, UINT64_MAX), 0);
    answer(TASK_OPEN, 0, 5000 + 60000);
    CHECK_EQ_INT(servers_reply_time(&servers, 5000 + 60000), 437);
    servers_free(&servers);
}

/* Quick answers of one kind do not hide slow ones of another, nor one server's another's. */
static void the_slowest_counts(void)
{
    set_up();
    answer(TASK_COMMAND, 80, 0);
    answer(TASK_END, 800, 0);
    servers_took(&servers.server[2], TASK_OPEN, 1600, true, 0);
    CHECK_EQ_INT(servers_reply_time(&servers, 0), 200);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    servers_took(&servers.server[2], TASK_OPEN, 0, true, 0);
    CHECK_EQ_INT(servers_reply_time(&servers, 0), 100);
    servers_free(&servers);
}

/* A connection that is refused at once is no quick answer; one that times out is a slow one. */
static void no_answer_makes_it_slower_only(void)
{
    set_up();
    answer(TASK_OPEN, 8000, 0);
    servers_took(&servers.server[0], TASK_OPEN, 0, false, 0);
    CHECK_EQ_INT(servers_reply_time(&servers, 0), 1000);
    servers_took(&servers.server[0], TASK_OPEN, 30000, false, 0);
    CHECK_EQ_INT(servers_reply_time(&servers, 0), (7000 + 30000) / 8);
    servers_free(&servers);
}

/* Four sessions wait and nobody is heard: their mean age counts, or how long nobody was heard. */
static void a_standstill_is_slow(void)
{
    set_up();
    servers_wait(&servers, 1000);
    servers_wait(&servers, 2000);
    servers_wait(&servers, 3000);
    CHECK_EQ_INT(servers_reply_time(&servers, 100000), 0); /* three are none */
    servers_wait(&servers, 6000);
    CHECK_EQ_INT(servers_reply_time(&servers, 6000), 3000);
    CHECK_EQ_INT(servers_reply_time(&servers, 103000), 100000);
    servers_heard(&servers, 100000); /* it goes on with others */
    CHECK_EQ_INT(servers_reply_time(&servers, 103000), 3000);
    CHECK_EQ_INT(servers_reply_time(&servers, 203000), 103000);
    CHECK_EQ_INT(servers_reply_time(&servers, 220000), 120000);
    CHECK_EQ_INT(servers_reply_time(&servers, 220001), 0); /* of connections that are dead? */
    answer(TASK_END, 60000, 203000);
    CHECK_EQ_INT(servers_reply_time(&servers, 203000), 103000); /* the larger one */
    servers_wait_over(&servers, 2000);
    CHECK_EQ_INT(servers_reply_time(&servers, 203000), 7500);
    servers_wait_over(&servers, 6000);
    servers_wait_over(&servers, 1000);
    servers_wait_over(&servers, 3000);
    CHECK_EQ_INT(servers.waiting, 0);
    CHECK_EQ_INT(servers.waiting_since, 0);
    servers_free(&servers);
}

static const struct test_case tests[] = {
    TEST(an_answer_counts_an_eighth),
    TEST(it_halves_in_a_minute_without_any),
    TEST(the_slowest_counts),
    TEST(no_answer_makes_it_slower_only),
    TEST(a_standstill_is_slow),
    TEST(the_first_that_is_up_is_tried),
    TEST(only_a_change_is_news),
    TEST(probes_slow_down_to_their_pace),
    TEST(what_all_routes_offer_is_offered),
    TEST(the_server_that_would_get_the_mail_counts),
};
TEST_MAIN(tests)
