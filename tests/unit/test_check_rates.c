/* Rates: which counts are held against whom, when, and in which words. */
#include "policy/check_rates.h"

#include "test.h"

static struct outcome outcome;
static char memory[8192];
static struct network friends;
static struct exception exceptions[] = { { .name = STR_INIT("friends"), .networks = { &friends, 1 } } };

/* The check alone, with what is known of AS numbers. */
static void judge(const struct policy *policy, enum stage stage, const struct envelope *envelope)
{
    static const struct check *const rates[] = { &check_rates };
    static const struct str geo[] = { STR_INIT("DE"), STR_INIT("EU"), STR_INIT("64500"), STR_INIT("Example") };
    struct fact table[2];
    char texts[256];
    struct facts facts;
    struct arena arena;

    facts_init(&facts, table, 2, texts, sizeof texts);
    facts_answer(&facts, (struct question){ ASK_GEO, STR("198.51.100.7") }, FACT_OK, geo, 4);
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(rates, 1, policy, stage, envelope, NULL, &facts, &arena, &outcome);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 0);
}

static const struct row {
    const char *about;
    enum rate_count count;
    enum rate_per per;
    enum rule_mode mode;
    enum stage stage;
    struct str client;
    uint64_t used; /* 30 are allowed */
    int code;
    const char *enhanced;
    int points;         /* -1: no score at all */
    struct str finding; /* its text; empty: none */
} rows[] = {
    { "below", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), 29, 0, "", -1,
      STR_INIT("") },
    { "the last one", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), 30, 0, "", -1,
      STR_INIT("") },
    { "one too many", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), 31, 421,
      "4.7.0", -1, STR_INIT("r: 31 connections of 198.51.100.7 in 60s, 30 allowed") },
    { "not counted", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), RATE_NOT_KNOWN,
      0, "", -1, STR_INIT("") },
    { "an excepted client", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("203.0.113.9"), 31, 0, "",
      -1, STR_INIT("friends: r: 31 connections of 203.0.113.9 in 60s, 30 allowed") },
    { "off", RATE_CONNECTIONS, RATE_ADDRESS, RULE_OFF, AT_CONNECT, STR_INIT("198.51.100.7"), 31, 0, "", -1,
      STR_INIT("") },
    { "connections at MAIL", RATE_CONNECTIONS, RATE_ADDRESS, RULE_REJECT, AT_MAIL, STR_INIT("198.51.100.7"), 31, 0, "",
      -1, STR_INIT("") },
    { "monitor", RATE_CONNECTIONS, RATE_NETWORK, RULE_MONITOR, AT_CONNECT, STR_INIT("198.51.100.7"), 31, 0, "", 0,
      STR_INIT("r: 31 connections of 198.51.100.0/24 in 60s, 30 allowed") },
    { "score is no connection's", RATE_CONNECTIONS, RATE_ADDRESS, RULE_SCORE, AT_CONNECT, STR_INIT("198.51.100.7"), 31,
      0, "", -1, STR_INIT("") },
    { "score at MAIL", RATE_CONNECTIONS, RATE_ADDRESS, RULE_SCORE, AT_MAIL, STR_INIT("198.51.100.7"), 31, 0, "", 3,
      STR_INIT("r: 31 connections of 198.51.100.7 in 60s, 30 allowed") },
    { "messages", RATE_MESSAGES, RATE_SENDER, RULE_REJECT, AT_MAIL, STR_INIT("198.51.100.7"), 31, 451, "4.7.1", -1,
      STR_INIT("r: 31 messages of sender.example in 60s, 30 allowed") },
    { "an autonomous system", RATE_MESSAGES, RATE_ASN, RULE_REJECT, AT_MAIL, STR_INIT("198.51.100.7"), 31, 451, "4.7.1",
      -1, STR_INIT("r: 31 messages of AS64500 in 60s, 30 allowed") },
    { "a user", RATE_MESSAGES, RATE_USER, RULE_REJECT, AT_MAIL, STR_INIT("198.51.100.7"), 31, 451, "4.7.1", -1,
      STR_INIT("r: 31 messages of this user in 60s, 30 allowed") },
    { "recipients", RATE_RECIPIENTS, RATE_NETWORK, RULE_REJECT, AT_RCPT, STR_INIT("2001:db8:1:2::3"), 31, 450, "4.7.1",
      -1, STR_INIT("r: 31 recipients of 2001:db8:1:2::/64 in 60s, 30 allowed") },
    { "a site", RATE_RECIPIENTS, RATE_SITE, RULE_REJECT, AT_RCPT, STR_INIT("2001:db8:1:2::3"), 31, 450, "4.7.1", -1,
      STR_INIT("r: 31 recipients of 2001:db8:1::/48 in 60s, 30 allowed") },
    { "not used up", RATE_UNKNOWN_RECIPIENTS, RATE_ADDRESS, RULE_REJECT, AT_RCPT, STR_INIT("198.51.100.7"), 29, 0, "",
      -1, STR_INIT("") },
    { "used up", RATE_UNKNOWN_RECIPIENTS, RATE_ADDRESS, RULE_REJECT, AT_RCPT, STR_INIT("198.51.100.7"), 30, 450,
      "4.7.1", -1, STR_INIT("r: 30 unknown recipients of 198.51.100.7 in 60s, 30 allowed") },
    { "used up, at connect", RATE_UNKNOWN_RECIPIENTS, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"),
      30, 421, "4.7.0", -1, STR_INIT("r: 30 unknown recipients of 198.51.100.7 in 60s, 30 allowed") },
    { "refusals", RATE_REFUSALS, RATE_ADDRESS, RULE_REJECT, AT_MAIL, STR_INIT("198.51.100.7"), 30, 451, "4.7.1", -1,
      STR_INIT("r: 30 refusals of 198.51.100.7 in 60s, 30 allowed") },
    { "octets", RATE_BYTES, RATE_ADDRESS, RULE_REJECT, AT_CONNECT, STR_INIT("198.51.100.7"), 30, 421, "4.7.0", -1,
      STR_INIT("r: 30 octets of 198.51.100.7 in 60s, 30 allowed") },
};

static void judges_each(void)
{
    CHECK(network_parse(STR("203.0.113.0/24"), &friends));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct rate rate = { STR_INIT("r"), (int)r->count, (int)r->per, 30, 60000, { (int)r->mode, 3 } };
        struct policy policy = { .rates = { .list = { &rate, 1 } }, .exceptions = { exceptions, 1 } };
        struct path sender = { .text = STR_INIT("a@sender.example"), .domain = STR_INIT("sender.example") };
        struct envelope envelope = { .usage = &r->used, .mail_from = r->stage >= AT_MAIL ? &sender : NULL };

        CHECK_ROW(r->about);
        CHECK(address_parse(r->client, &envelope.client.address));
        judge(&policy, r->stage, &envelope);
        CHECK_EQ_INT(outcome.verdict.code, r->code);
        CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), r->enhanced);
        CHECK_EQ_INT(outcome.scores.n > 0 ? (int)outcome.scores.item[0].points : -1, r->points);
        CHECK_EQ_INT(outcome.findings, r->finding.n > 0 ? 1 : 0);
        if (outcome.findings > 0)
            CHECK(str_eq(outcome.finding[0].detail, r->finding));
    }
}

/* How much it is does not depend on for whom it is (rule.h, is_load). */
static void the_postmaster_is_counted(void)
{
    struct rate rate = { STR_INIT("r"), RATE_RECIPIENTS, RATE_ADDRESS, 1, 60000, { RULE_REJECT, 3 } };
    struct policy policy = { .rates = { .list = { &rate, 1 } } };
    struct path postmaster = { .text = STR_INIT("postmaster"), .local = STR_INIT("postmaster") };
    struct envelope envelope = { .usage = &(uint64_t){ 2 }, .rcpt = &postmaster };

    judge(&policy, AT_RCPT, &envelope);
    CHECK_EQ_INT(outcome.verdict.code, 450);
}

static void windows_in_words(void)
{
    static const struct {
        uint64_t ms;
        struct str text;
    } windows[] = {
        { 86400000, STR_INIT("r: 2 messages of :: in 1d, 1 allowed") },
        { 7200000, STR_INIT("r: 2 messages of :: in 2h, 1 allowed") },
        { 90000, STR_INIT("r: 2 messages of :: in 90s, 1 allowed") },
        { 1500, STR_INIT("r: 2 messages of :: in 1500ms, 1 allowed") },
    };

    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct rate rate = { STR_INIT("r"), RATE_MESSAGES, RATE_ADDRESS, 1, windows[i].ms, { RULE_REJECT, 3 } };
        struct policy policy = { .rates = { .list = { &rate, 1 } } };
        struct envelope envelope = { .usage = &(uint64_t){ 2 } };

        judge(&policy, AT_MAIL, &envelope);
        CHECK(str_eq(outcome.verdict.reason, windows[i].text));
    }
}

/* The first section that refuses gives the reply; nothing is known where nothing was counted. */
static void several_sections(void)
{
    struct rate rates[] = { { STR_INIT("a"), RATE_MESSAGES, RATE_ADDRESS, 5, 60000, { RULE_MONITOR, 3 } },
                            { STR_INIT("b"), RATE_MESSAGES, RATE_NETWORK, 5, 60000, { RULE_REJECT, 3 } },
                            { STR_INIT("c"), RATE_MESSAGES, RATE_SITE, 5, 60000, { RULE_REJECT, 3 } } };
    struct policy policy = { .rates = { .list = { rates, 3 } } };
    struct envelope envelope = { .usage = (const uint64_t[]){ 6, 6, 6 } };

    judge(&policy, AT_MAIL, &envelope);
    CHECK(str_istarts(outcome.verdict.reason, STR("b: 6 ")));
    envelope.usage = NULL;
    judge(&policy, AT_MAIL, &envelope);
    CHECK_EQ_INT(outcome.verdict.code, 0);
}

static const struct test_case tests[] = { TEST(judges_each), TEST(the_postmaster_is_counted), TEST(windows_in_words),
                                          TEST(several_sections) };

TEST_MAIN(tests)
