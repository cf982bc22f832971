/* Brown-out: who has to wait, by how slow the mail server is and what the client was like before. */
#include "policy/policy.h"

#include "test.h"

static struct outcome outcome;
static char memory[4096];
static struct network relays, friends;
static struct exception exceptions[] = { { .name = STR_INIT("friends"), .networks = { &friends, 1 } } };

static void judge(const struct policy *policy, enum stage stage, const struct envelope *envelope)
{
    static const struct check *const brownout[] = { &check_brownout };
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(brownout, 1, policy, stage, envelope, NULL, NULL, &arena, &outcome);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 0);
}

static struct policy make_policy(enum rule_mode mode)
{
    struct policy policy = { .brownout = { { (int)mode, 2 }, 15000, 40000 } };

    CHECK(network_parse(STR("192.0.2.0/24"), &relays));
    CHECK(network_parse(STR("203.0.113.0/24"), &friends));
    policy.relay.networks = (struct network_list){ &relays, 1 };
    policy.exceptions = (struct section_list){ exceptions, 1 };
    return policy;
}

static const struct row {
    const char *about;
    uint64_t ms;
    struct str client;
    enum client_standing standing;
    bool is_authenticated;
    int at_connect, at_mail; /* codes */
} rows[] = {
    { "nothing known", 0, STR_INIT("198.51.100.7"), STANDING_BAD, false, 0, 0 },
    { "bad, below", 14999, STR_INIT("198.51.100.7"), STANDING_BAD, false, 0, 0 },
    { "bad, slow", 15000, STR_INIT("198.51.100.7"), STANDING_BAD, false, 421, 451 },
    { "unknown, slow", 15000, STR_INIT("198.51.100.7"), STANDING_UNKNOWN, false, 421, 0 },
    { "good, slow", 39999, STR_INIT("198.51.100.7"), STANDING_GOOD, false, 0, 0 },
    { "bad, very slow", 40000, STR_INIT("198.51.100.7"), STANDING_BAD, false, 421, 451 },
    { "unknown, very slow", 40000, STR_INIT("198.51.100.7"), STANDING_UNKNOWN, false, 421, 451 },
    { "good, very slow", 40000, STR_INIT("198.51.100.7"), STANDING_GOOD, false, 421, 0 },
    { "may relay, slow", 15000, STR_INIT("192.0.2.1"), STANDING_UNKNOWN, false, 0, 0 },
    { "may relay, very slow", 40000, STR_INIT("192.0.2.1"), STANDING_BAD, false, 421, 0 },
    { "logged in, very slow", 40000, STR_INIT("198.51.100.7"), STANDING_UNKNOWN, true, 421, 0 },
    { "excepted, very slow", 60000, STR_INIT("203.0.113.1"), STANDING_BAD, false, 0, 0 },
};

static void judges_each(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct policy policy = make_policy(RULE_REJECT);
        struct envelope envelope = { .reply_ms = r->ms,
                                     .standing = r->standing,
                                     .is_authenticated = r->is_authenticated };

        CHECK_ROW(r->about);
        CHECK(address_parse(r->client, &envelope.client.address));
        judge(&policy, AT_CONNECT, &envelope);
        CHECK_EQ_INT(outcome.verdict.code, r->at_connect);
        judge(&policy, AT_MAIL, &envelope);
        CHECK_EQ_INT(outcome.verdict.code, r->at_mail);
    }
}

static void other_modes(void)
{
    struct envelope envelope = { .reply_ms = 40000, .standing = STANDING_BAD };
    struct policy policy = make_policy(RULE_OFF);

    judge(&policy, AT_MAIL, &envelope);
    CHECK_EQ_INT(outcome.findings, 0);
    policy = make_policy(RULE_MONITOR);
    judge(&policy, AT_CONNECT, &envelope);
    CHECK_EQ_INT(outcome.verdict.code, 0);
    CHECK_EQ_INT(outcome.findings, 1);
    policy = make_policy(RULE_SCORE);
    judge(&policy, AT_CONNECT, &envelope);
    CHECK_EQ_INT(outcome.scores.n, 0);
    judge(&policy, AT_MAIL, &envelope);
    CHECK_EQ_INT(outcome.scores.n, 1);
    CHECK_EQ_INT(outcome.scores.item[0].points, 2);
}

static void the_words(void)
{
    struct envelope envelope = { .reply_ms = 21345, .standing = STANDING_UNKNOWN };
    struct policy policy = make_policy(RULE_REJECT);

    judge(&policy, AT_CONNECT, &envelope);
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "4.3.2");
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n,
                 "the mail server takes 21345 ms to answer, which is slow; standing unknown");
}

static const struct test_case tests[] = { TEST(judges_each), TEST(other_modes), TEST(the_words) };

TEST_MAIN(tests)
