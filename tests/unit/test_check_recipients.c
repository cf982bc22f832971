/* Recipients that the mail server did not know a short while ago. */
#include "proxy/config.h"

#include "test.h"

#define BASE \
    "[server]\nhostname = mx.example.org\n" \
    "[backend]\nservers = 192.0.2.1\ntls = off\n" \
    "[listen a]\naddress = 127.0.0.1:25\ntls = off\n" \
    "[relay]\ndomains = local.example\nnetworks = 203.0.113.0/24\n"

static const struct row {
    const char *name, *ini, *client, *rcpt;
    bool is_authenticated;
    struct known_recipient known;
    int code;
} rows[] = {
    { "dead", "", "192.0.2.7", "<v@local.example>", false, { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" }, 550 },
    { "as it was said", "", "192.0.2.7", "<v@local.example>", false, { RECIPIENT_UNKNOWN_THERE, 553, "5.1.10" }, 553 },
    { "nothing known", "", "192.0.2.7", "<v@local.example>", false, { RECIPIENT_NOT_KNOWN, 0, "" }, 0 },
    { "there", "", "192.0.2.7", "<v@local.example>", false, { RECIPIENT_ACCEPTED_THERE, 0, "" }, 0 },
    { "off",
      "[recipients]\nmode = off\n",
      "192.0.2.7",
      "<v@local.example>",
      false,
      { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" },
      0 },
    { "monitor",
      "[recipients]\nmode = monitor\n",
      "192.0.2.7",
      "<v@local.example>",
      false,
      { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" },
      0 },
    { "relay client", "", "203.0.113.1", "<v@local.example>", false, { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" }, 0 },
    { "authenticated", "", "192.0.2.7", "<v@local.example>", true, { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" }, 0 },
    { "postmaster",
      "",
      "192.0.2.7",
      "<PostMaster@local.example>",
      false,
      { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" },
      0 },
    { "excepted",
      "[except a]\nchecks = recipients\nrecipients = local.example\n",
      "192.0.2.7",
      "<v@local.example>",
      false,
      { RECIPIENT_UNKNOWN_THERE, 550, "5.1.1" },
      0 },
    { "relaying goes before",
      "",
      "192.0.2.7",
      "<v@other.example>",
      false,
      { RECIPIENT_UNKNOWN_THERE, 553, "5.1.1" },
      550 },
};

static struct outcome outcome;
static char memory[POLICY_ARENA_SIZE];

static struct config *operator_says(const char *ini)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "%s%s", BASE, ini);
    struct config *config = config_parse(str_from(text, (size_t)n), "test", stderr);

    CHECK(config != NULL);
    return config;
}

static void judge(const struct config *config, const struct row *row)
{
    static const struct check *const table[] = { &check_relay, &check_recipients, &check_score };
    struct envelope envelope = { .is_authenticated = row->is_authenticated, .known_recipient = row->known };
    char room[PATH_ROOM];
    struct path rcpt;
    struct arena arena;

    CHECK(path_parse(str_of(row->rcpt), PATH_FORWARD, 0, room, &rcpt, NULL) == PATH_OK);
    CHECK(address_parse(str_of(row->client), &envelope.client.address));
    envelope.rcpt = &rcpt;
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 3, &config->policy, AT_RCPT, &envelope, NULL, NULL, &arena, &outcome);
    CHECK(outcome.decided);
}

static void is_refused_as_before(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *config = operator_says(rows[i].ini);

        CHECK_ROW(rows[i].name);
        judge(config, &rows[i]);
        CHECK_EQ_INT(outcome.verdict.code, rows[i].code);
        if (strcmp(outcome.verdict.check, "recipients") == 0)
            CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), rows[i].known.enhanced);
        config_free(config);
    }
}

static void the_reason_says_that_it_is_remembered(void)
{
    struct config *config = operator_says("");

    judge(config, &rows[0]);
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n,
                 "v@local.example: remembered, the mail server said 550 5.1.1");
    config_free(config);
}

static const struct test_case tests[] = {
    TEST(is_refused_as_before),
    TEST(the_reason_says_that_it_is_remembered),
};
TEST_MAIN(tests)
