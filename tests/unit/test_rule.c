/* What comes of an objection: modes, exceptions, those who are never objected to, and the sum of points. */
#include "policy/rule.h"
#include "policy/score.h"
#include "proxy/config.h"

#include "test.h"

/* ---- an operator and his ini ---- */

#define BASE \
    "[server]\nhostname = mx.example.org\n" \
    "[backend]\nservers = 192.0.2.1\ntls = off\n" \
    "[listen a]\naddress = 127.0.0.1:25\ntls = off\n" \
    "[relay]\ndomains = local.example\nnetworks = 203.0.113.0/24\n"

static struct config *config;

static void operator_says(const char *ini)
{
    char text[4096];
    int n = snprintf(text, sizeof text, "%s%s", BASE, ini);

    config_free(config);
    config = config_parse(str_from(text, (size_t)n), "test", stderr);
    CHECK(config != NULL);
}

/* ---- a check that always objects, and one behind it ---- */

static struct rule rules[2];
static struct objection objections[2];

static void object(struct pass *pass, size_t i);

static void run_first(struct pass *pass)
{
    object(pass, 0);
}

static void run_second(struct pass *pass)
{
    object(pass, 1);
}

static const struct check check_first = { .name = "spf", .stages = ~0u, .run = run_first };
static const struct check check_second = { .name = "dkim", .stages = ~0u, .run = run_second };
static const struct check *const table[] = { &check_first, &check_second, &check_score };

static void object(struct pass *pass, size_t i)
{
    pass_object(pass, i == 0 ? &check_first : &check_second, &rules[i], &objections[i]);
}

/* ---- a client ---- */

static struct outcome outcome;
static struct envelope envelope;
static struct path mail_from, rcpt;
static char from_room[PATH_ROOM], rcpt_room[PATH_ROOM];
static char memory[POLICY_ARENA_SIZE], fact_memory[4096];
static struct fact fact_table[8];
static struct facts facts;

static void client_is(const char *address, const char *from, const char *to)
{
    size_t used;

    envelope = (struct envelope){ .mail_from = &mail_from, .rcpt = &rcpt };
    CHECK(address_parse(str_of(address), &envelope.client.address));
    CHECK(path_parse(str_of(from), PATH_REVERSE, 0, from_room, &mail_from, &used) == PATH_OK);
    CHECK(path_parse(str_of(to), PATH_FORWARD, 0, rcpt_room, &rcpt, &used) == PATH_OK);
    facts_init(&facts, fact_table, 8, fact_memory, sizeof fact_memory);
}

static void comes_from(const char *address, const char *country, const char *asn)
{
    const struct str values[] = { str_of(country), STR("EU"), str_of(asn), STR("Example") };

    facts_answer(&facts, (struct question){ ASK_GEO, str_of(address) }, FACT_OK, values, 4);
}

static const struct verdict *judged(enum stage stage)
{
    struct arena arena;
    struct message message = { STR_INIT(""), 0 };

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 3, &config->policy, stage, &envelope, &message, &facts, &arena, &outcome);
    return &outcome.verdict;
}

static void objections_are(int first_mode, int second_mode)
{
    rules[0] = (struct rule){ first_mode, 4 };
    rules[1] = (struct rule){ second_mode, 6 };
    objections[0] =
        (struct objection){ .code = 550, .enhanced = "5.7.1", .text = STR_INIT("No"), .reason = STR_INIT("one") };
    objections[1] =
        (struct objection){ .code = 451, .enhanced = "4.7.1", .text = STR_INIT("Later"), .reason = STR_INIT("two") };
}

/* ---- modes ---- */

static void a_mode_says_what_comes_of_it(void)
{
    operator_says("");
    client_is("192.0.2.7", "<a@sender.example>", "<b@local.example>");
    objections_are(RULE_REJECT, RULE_OFF);
    CHECK_EQ_INT(judged(AT_RCPT)->code, 550);
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "one");
    objections_are(RULE_OFF, RULE_REJECT);
    CHECK_EQ_INT(judged(AT_RCPT)->code, 451);
    CHECK_EQ_INT(outcome.verdict.action, ACTION_TEMPFAIL);
    objections_are(RULE_MONITOR, RULE_OFF);
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    CHECK_EQ_INT(outcome.scores.n, 1);
    CHECK_EQ_INT(outcome.scores.item[0].points, 0);
    objections_are(RULE_SCORE, RULE_OFF);
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    CHECK_EQ_INT(outcome.scores.item[0].points, 4);
    objections_are(RULE_OFF, RULE_OFF);
    judged(AT_RCPT);
    CHECK_EQ_INT(outcome.scores.n, 0);
    CHECK_EQ_INT(outcome.findings, 0);
}

static void points_add_up_to_a_refusal(void)
{
    operator_says("");
    client_is("192.0.2.7", "<a@sender.example>", "<b@local.example>");
    objections_are(RULE_SCORE, RULE_SCORE);
    CHECK_EQ_INT(judged(AT_RCPT)->code, 550);
    CHECK(strcmp(outcome.verdict.check, "score") == 0);
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "10 points of 10: spf:4,dkim:6");
    rules[0].weight = 3;
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    operator_says("[score]\nreject = 0\nquarantine = 9\n");
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    CHECK_EQ_INT(judged(AT_END)->action, ACTION_QUARANTINE);
    objections[1].points = -6;
    CHECK_EQ_INT(judged(AT_END)->action, ACTION_ACCEPT);
}

static void a_check_counts_once_in_all_stages(void)
{
    struct score_list before = { .item = { { .check = "spf", .points = 4 }, { .check = "else", .points = 5 } },
                                 .n = 2 };

    operator_says("");
    client_is("192.0.2.7", "<a@sender.example>", "<b@local.example>");
    objections_are(RULE_SCORE, RULE_OFF);
    envelope.scores = &before;
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT); /* 4 + 5, not 4 + 4 + 5 */
    rules[0].weight = 5;
    CHECK_EQ_INT(judged(AT_RCPT)->code, 550);
}

/* What is found after the front of a message went south refuses it, or nothing. */
static void a_message_under_way_is_not_marked(void)
{
    operator_says("[score]\nreject = 20\nquarantine = 4\n");
    client_is("192.0.2.7", "<a@sender.example>", "<b@local.example>");
    objections_are(RULE_SCORE, RULE_OFF);
    envelope.front_sent = true;
    CHECK_EQ_INT(judged(AT_END)->action, ACTION_ACCEPT);
    operator_says("[score]\nreject = 4\n");
    CHECK_EQ_INT(judged(AT_END)->code, 550);
}

/* ---- who is not objected to ---- */

static void some_are_never_objected_to(void)
{
    operator_says("");
    objections_are(RULE_REJECT, RULE_SCORE);
    rules[1].weight = 50;
    client_is("203.0.113.5", "<a@sender.example>", "<b@local.example>");
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    client_is("192.0.2.7", "<a@sender.example>", "<b@local.example>");
    envelope.is_authenticated = true;
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    client_is("192.0.2.7", "<a@sender.example>", "<postmaster>");
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    client_is("192.0.2.7", "<a@sender.example>", "<PostMaster@local.example>");
    CHECK_EQ_INT(judged(AT_RCPT)->action, ACTION_ACCEPT);
    envelope.rcpt = NULL;
    envelope.only_postmaster = true;
    CHECK_EQ_INT(judged(AT_END)->action, ACTION_ACCEPT);
    objections[0].is_load = true;
    CHECK_EQ_INT(judged(AT_END)->code, 550);
}

/* clang-format off */
static const struct row {
    const char *except;
    const char *address, *from, *to, *country, *asn;
    bool is_excepted;
} rows[] = {
    { "networks = 192.0.2.0/24", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "64500", true },
    { "networks = 192.0.2.0/24", "192.0.3.7", "<a@s.example>", "<b@local.example>", "DE", "64500", false },
    { "countries = at de", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "64500", true },
    { "countries = at de", "192.0.2.7", "<a@s.example>", "<b@local.example>", "FR", "64500", false },
    { "countries = at de", "192.0.2.7", "<a@s.example>", "<b@local.example>", "", "", false },
    { "asns = AS64500", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "64500", true },
    { "asns = 64500", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "64500", true },
    { "asns = AS64500", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "6450", false },
    { "senders = s.example", "192.0.2.7", "<a@S.example>", "<b@local.example>", "DE", "64500", true },
    { "senders = *.s.example", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "64500", false },
    { "senders = s.example", "192.0.2.7", "<>", "<b@local.example>", "DE", "64500", false },
    { "recipients = local.example", "192.0.2.7", "<>", "<b@local.example>", "DE", "64500", true },
    { "recipients = local.example", "192.0.2.7", "<>", "<b@other.example>", "DE", "64500", false },
    { "networks = 192.0.2.0/24\nsenders = s.example", "192.0.2.7", "<a@s.example>", "<b@local.example>", "DE", "1", true },
    { "networks = 192.0.2.0/24\nsenders = s.example", "192.0.2.7", "<a@t.example>", "<b@local.example>", "DE", "1", false },
    { "networks = 192.0.2.0/24\nsenders = s.example", "192.0.3.7", "<a@s.example>", "<b@local.example>", "DE", "1", false },
    { "checks = spf\nnetworks = 192.0.2.0/24", "192.0.2.7", "<>", "<b@local.example>", "DE", "1", true },
    { "checks = dkim\nnetworks = 192.0.2.0/24", "192.0.2.7", "<>", "<b@local.example>", "DE", "1", false },
};
/* clang-format on */

static void an_exception_needs_all_it_names(void)
{
    objections_are(RULE_REJECT, RULE_OFF);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char ini[256];

        CHECK_ROW(rows[i].except);
        snprintf(ini, sizeof ini, "[except partner]\n%s\n", rows[i].except);
        operator_says(ini);
        client_is(rows[i].address, rows[i].from, rows[i].to);
        comes_from(rows[i].address, rows[i].country, rows[i].asn);
        CHECK_EQ_INT(judged(AT_RCPT)->code, rows[i].is_excepted ? 0 : 550);
        if (rows[i].is_excepted)
            CHECK_EQ_STR(outcome.finding[0].detail.p, outcome.finding[0].detail.n, "partner: one");
    }
}

static void an_exception_by_country_waits_for_it(void)
{
    operator_says("[except partner]\ncountries = DE\n");
    objections_are(RULE_REJECT, RULE_OFF);
    client_is("192.0.2.7", "<a@s.example>", "<b@local.example>");
    judged(AT_RCPT);
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.questions, 1);
    CHECK_EQ_INT(outcome.question[0].kind, ASK_GEO);
    CHECK_EQ_STR(outcome.question[0].key.p, outcome.question[0].key.n, "192.0.2.7");
    facts_close(&facts); /* nobody knows: then there is no exception */
    CHECK_EQ_INT(judged(AT_RCPT)->code, 550);
}

/* clang-format off */
static const struct wrong {
    const char *ini, *says;
} wrongs[] = {
    { "[except all]\nchecks = spf\n", "[except all]: names nobody" },
    { "[except a]\nchecks = scoer\nnetworks = 192.0.2.1\n", "did you mean \"score\"" },
    { "[except a]\ncountries = Germany\n", "two letters" },
    { "[except a]\nasns = AS64500x\n", "AS64500" },
};
/* clang-format on */

static void exceptions_are_checked(void)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        FILE *errors = tmpfile();
        char ini[1024], said[512] = "";
        int n = snprintf(ini, sizeof ini, "%s%s", BASE, wrongs[i].ini);

        CHECK_ROW(wrongs[i].ini);
        CHECK(errors != NULL);
        CHECK(config_parse(str_from(ini, (size_t)n), "test", errors) == NULL);
        rewind(errors);
        CHECK(fgets(said, sizeof said, errors) != NULL && strstr(said, wrongs[i].says) != NULL);
        fclose(errors);
    }
}

static const struct test_case tests[] = {
    TEST(a_mode_says_what_comes_of_it),         TEST(points_add_up_to_a_refusal),
    TEST(a_check_counts_once_in_all_stages),    TEST(a_message_under_way_is_not_marked),
    TEST(some_are_never_objected_to),           TEST(an_exception_needs_all_it_names),
    TEST(an_exception_by_country_waits_for_it), TEST(exceptions_are_checked),
};

int main(void)
{
    int failed = test_main(tests, sizeof tests / sizeof *tests);

    config_free(config);
    return failed;
}
