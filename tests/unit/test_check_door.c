/* The door: early talkers and pipelining, by mode, client and stage. */
#include "policy/policy.h"

#include "test.h"

static struct outcome outcome;
static char memory[4096];
static struct network relays, friends;
static struct exception exceptions[] = { { .name = STR_INIT("friends"), .networks = { &friends, 1 } } };

/* The check alone. */
static void judge(const struct policy *policy, enum stage stage, const struct envelope *envelope)
{
    static const struct check *const door[] = { &check_door };
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(door, 1, policy, stage, envelope, NULL, NULL, &arena, &outcome);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 0);
}

static struct policy make_policy(enum rule_mode talk, enum rule_mode pipelining)
{
    struct policy policy = { .door = { .rule = { (int)talk, 4 }, .pipelining = { (int)pipelining, 2 } } };

    CHECK(network_parse(STR("192.0.2.0/24"), &relays));
    CHECK(network_parse(STR("203.0.113.0/24"), &friends));
    policy.relay.networks = (struct network_list){ &relays, 1 };
    policy.exceptions = (struct section_list){ exceptions, 1 };
    return policy;
}

static const struct row {
    const char *about;
    enum rule_mode talk, pipelining;
    enum stage stage;
    struct str client;
    bool talked, pipelined;
    int code;   /* of the verdict */
    int points; /* -1: no score at all */
} rows[] = {
    { "quiet", RULE_REJECT, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), false, false, 0, -1 },
    { "talks", RULE_REJECT, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), true, false, 554, -1 },
    { "talks, IPv6", RULE_REJECT, RULE_REJECT, AT_CONNECT, STR_INIT("2001:db8::1"), true, false, 554, -1 },
    { "a relay client", RULE_REJECT, RULE_REJECT, AT_CONNECT, STR_INIT("192.0.2.1"), true, false, 0, -1 },
    { "an excepted one", RULE_REJECT, RULE_REJECT, AT_CONNECT, STR_INIT("203.0.113.9"), true, false, 0, -1 },
    { "off", RULE_OFF, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), true, false, 0, -1 },
    { "score, too early", RULE_SCORE, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), true, false, 0, -1 },
    { "score", RULE_SCORE, RULE_REJECT, AT_RCPT, STR_INIT("198.51.100.7"), true, false, 0, 4 },
    { "monitor", RULE_MONITOR, RULE_REJECT, AT_RCPT, STR_INIT("198.51.100.7"), true, false, 0, 0 },
    { "score, excepted", RULE_SCORE, RULE_REJECT, AT_RCPT, STR_INIT("203.0.113.9"), true, false, 0, -1 },
    { "off at RCPT", RULE_OFF, RULE_OFF, AT_RCPT, STR_INIT("198.51.100.7"), true, true, 0, -1 },
    { "pipelining", RULE_REJECT, RULE_SCORE, AT_RCPT, STR_INIT("198.51.100.7"), false, true, 0, 2 },
    { "pipelining told", RULE_REJECT, RULE_MONITOR, AT_RCPT, STR_INIT("198.51.100.7"), false, true, 0, 0 },
};

static void judges_each(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct policy policy = make_policy(r->talk, r->pipelining);
        struct envelope envelope = { .talked_early = r->talked ? STR("SMTP") : STR(""), .pipelined = r->pipelined };

        CHECK_ROW(r->about);
        CHECK(address_parse(r->client, &envelope.client.address));
        judge(&policy, r->stage, &envelope);
        CHECK_EQ_INT(outcome.verdict.code, r->code);
        CHECK_EQ_INT(outcome.scores.n > 0 ? (int)outcome.scores.item[0].points : -1, r->points);
    }
}

static void the_reason_names_what_was_spoken(void)
{
    struct policy policy = make_policy(RULE_REJECT, RULE_REJECT);
    struct envelope envelope = { .talked_early = STR("TLS") };

    CHECK(address_parse(STR("198.51.100.7"), &envelope.client.address));
    judge(&policy, AT_CONNECT, &envelope);
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "5.5.1");
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "spoke before the greeting was complete: TLS");
    CHECK_EQ_STR(outcome.verdict.check, strlen(outcome.verdict.check), "door");
}

static const struct test_case tests[] = { TEST(judges_each), TEST(the_reason_names_what_was_spoken) };

TEST_MAIN(tests)
