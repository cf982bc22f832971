/* Where clients may come from: [origin NAME] sections, and what their mistakes are called. */
#include "policy/rule.h"
#include "proxy/config.h"

#include <stdlib.h>

#include "test.h"

#define BASE \
    "[server]\nhostname = mx.example.org\n" \
    "[backend]\nservers = 192.0.2.1\ntls = off\n" \
    "[listen mx]\naddress = 127.0.0.1:25\ntls = off\n" \
    "[listen inside]\naddress = 127.0.0.1:26\ntls = off\n" \
    "[relay]\ndomains = local.example other.example\nnetworks = 198.51.100.0/24\n"
#define BOTH "[geo]\ncountry_database = tests/scenario/origins.mmdb\nasn_database = tests/scenario/systems.mmdb\n"
#define TEMPFAIL BOTH "missing = tempfail\n"
#define DENY "[origin far]\ndeny = FR continent:AS AS64501\n"
#define ALLOW "[origin near]\nallow = DE continent:NA AS64500\n"

static struct config *config;
static struct outcome outcome;
static struct envelope envelope;
static struct path mail_from, rcpt;
static char from_room[PATH_ROOM], rcpt_room[PATH_ROOM], memory[POLICY_ARENA_SIZE], fact_memory[4096];
static struct fact fact_table[8];
static struct facts facts;

static const struct check *const table[] = { &check_geo };

static struct config *read_config(const char *ini, FILE *errors)
{
    char text[8192];
    int n = snprintf(text, sizeof text, "%s%s", BASE, ini);

    return config_parse(str_from(text, (size_t)n), "test", errors);
}

static void operator_says(const char *ini)
{
    config_free(config);
    config = read_config(ini, stderr);
    CHECK(config != NULL);
}

static void client_is(const char *address, const char *to)
{
    size_t used;

    envelope = (struct envelope){ .mail_from = &mail_from, .rcpt = &rcpt, .listener = STR_INIT("mx") };
    CHECK(address_parse(str_of(address), &envelope.client.address));
    CHECK(path_parse(STR("<a@sender.example>"), PATH_REVERSE, 0, from_room, &mail_from, &used) == PATH_OK);
    CHECK(path_parse(str_of(to), PATH_FORWARD, 0, rcpt_room, &rcpt, &used) == PATH_OK);
}

static void evaluate(enum stage stage)
{
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 1, &config->policy, stage, &envelope, NULL, &facts, &arena, &outcome);
}

/* `known`: the values of the client's GEO, or its state; "*..." for the table's. */
static const struct verdict *judge(enum stage stage, const char *known)
{
    char line[256], text[ADDRESS_TEXT_MAX];
    int n;

    address_print(&envelope.client.address, text);
    n = known[0] == '*' ? snprintf(line, sizeof line, "%s\n", known)
                        : snprintf(line, sizeof line, "GEO %s %s\n", text, known);
    facts_init(&facts, fact_table, 8, fact_memory, sizeof fact_memory);
    CHECK_EQ_INT(facts_load(&facts, str_from(line, (size_t)n)), 0);
    evaluate(stage);
    CHECK(outcome.decided);
    return &outcome.verdict;
}

static bool has_finding(const char *result)
{
    return outcome.findings == 1 && strcmp(outcome.finding[0].check, "geo") == 0 &&
           strcmp(outcome.finding[0].result, result) == 0;
}

/* ---- lists ---- */

/* clang-format off */
static const struct row {
    const char *label, *ini, *known;
    int code;
    const char *reason;
} rows[] = {
    { "country denied", BOTH DENY, "OK FR EU 64502 \"Example Net\"", 550, "far: 203.0.113.9 (FR, EU, AS64502 Example Net)" },
    { "continent denied", BOTH DENY, "OK CN AS \"\" \"\"", 550, "far: 203.0.113.9 (CN, AS)" },
    { "system denied", BOTH DENY, "OK \"\" \"\" 64501 \"\"", 550, "far: 203.0.113.9 (AS64501)" },
    { "in none of the denied", BOTH DENY, "OK DE EU 64500 x", 0, "" },
    { "a country is no continent", BOTH "[origin far]\ndeny = AS\n", "OK CN AS 64500 x", 0, "" }, /* AS: American Samoa */
    { "a continent is no country", BOTH "[origin far]\ndeny = continent:SA\n", "OK SA AS \"\" \"\"", 0, "" },
    { "case", BOTH "[origin far]\ndeny = fr Continent:as as64501\n", "OK FR EU \"\" \"\"", 550, "far: 203.0.113.9 (FR, EU)" },
    { "one digit less", BOTH "[origin far]\ndeny = AS6450\n", "OK FR EU 64501 x", 0, "" },
    { "in no database, denied", BOTH DENY, "NODATA", 0, "" },
    { "in no database, allowed", BOTH ALLOW, "NODATA", 550, "near: 203.0.113.9 (in no database)" },
    { "country allowed", BOTH ALLOW, "OK DE EU 1 x", 0, "" },
    { "continent allowed", BOTH ALLOW, "OK US NA 1 x", 0, "" },
    { "system allowed", BOTH ALLOW, "OK FR EU 64500 x", 0, "" },
    { "none of them allowed", BOTH ALLOW, "OK FR EU 1 x", 550, "near: 203.0.113.9 (FR, EU, AS1 x)" },
    { "denied goes before allowed", BOTH ALLOW "deny = US\n", "OK US NA 64500 x", 550, "near: 203.0.113.9 (US, NA, AS64500 x)" },

    { "no database, accept", BOTH ALLOW, "TEMP", 0, "" },
    { "no database, tempfail", TEMPFAIL ALLOW, "TEMP", 451, "near: 203.0.113.9 (no database to look into)" },
    { "no database, tempfail, denied", TEMPFAIL DENY, "TEMP", 451, "far: 203.0.113.9 (no database to look into)" },
    { "no database of systems, accept", BOTH ALLOW, "OK FR EU ? \"\"", 0, "" },
    { "no database of systems, tempfail", TEMPFAIL ALLOW, "OK FR EU ? \"\"", 451, "near: 203.0.113.9 (FR, EU)" },
    { "no database of systems, allowed all the same", TEMPFAIL ALLOW, "OK DE EU ? \"\"", 0, "" },
    { "no database of systems, denied all the same", TEMPFAIL DENY, "OK FR EU ? \"\"", 550, "far: 203.0.113.9 (FR, EU)" },
    { "no database of systems, which nobody needs", TEMPFAIL "[origin near]\nallow = DE\n", "OK FR EU ? \"\"", 550,
      "near: 203.0.113.9 (FR, EU)" },
    { "no database of countries, which nobody needs", TEMPFAIL "[origin near]\nallow = AS64500\n", "OK ? \"\" 64501 x", 550,
      "near: 203.0.113.9 (AS64501 x)" },
    { "a cap lets nobody in", BOTH ALLOW, "* LIMIT", 451, "near: 203.0.113.9 (no database to look into)" },
    { "the deadline", BOTH ALLOW, "* TEMP", 0, "" },

    { "for another recipient", BOTH DENY "recipients = other.example\n", "OK FR EU 1 x", 0, "" },
    { "for this recipient", BOTH DENY "recipients = LOCAL.example\n", "OK FR EU 1 x", 550, "far: 203.0.113.9 (FR, EU, AS1 x)" },
    { "at another listener", BOTH DENY "listeners = inside\n", "OK FR EU 1 x", 0, "" },
    { "at this listener", BOTH DENY "listeners = inside mx\n", "OK FR EU 1 x", 550, "far: 203.0.113.9 (FR, EU, AS1 x)" },
    { "the first section judges", BOTH "[origin fair]\nallow = FR\nrecipients = local.example\n" DENY, "OK FR EU 1 x", 0, "" },
    { "the first that fits", BOTH "[origin fair]\nallow = FR\nrecipients = other.example\n" DENY, "OK FR EU 1 x", 550,
      "far: 203.0.113.9 (FR, EU, AS1 x)" },
    { "off is as good as none", BOTH "[origin fair]\nallow = FR\nmode = off\n" DENY, "OK FR EU 1 x", 550,
      "far: 203.0.113.9 (FR, EU, AS1 x)" },

    { "monitor", BOTH DENY "mode = monitor\n", "OK FR EU 1 x", 0, "" },
    { "score", BOTH DENY "mode = score\n", "OK FR EU 1 x", 0, "" },
    { "score, no database", TEMPFAIL DENY "mode = score\n", "TEMP", 0, "" },
    { "excepted", BOTH DENY "[except friends]\nnetworks = 203.0.113.9\nchecks = geo\n", "OK FR EU 1 x", 0, "" },
    { "excepted by its country", BOTH DENY "[except friends]\ncountries = FR\n", "OK FR EU 1 x", 0, "" },
    { "not excepted while it is unread", BOTH DENY "[except friends]\nasns = AS64500\n", "OK FR EU ? \"\"", 550,
      "far: 203.0.113.9 (FR, EU)" },
};
/* clang-format on */

static void judges(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].label);
        operator_says(rows[i].ini);
        client_is("203.0.113.9", "<b@local.example>");
        CHECK_EQ_INT(judge(AT_RCPT, rows[i].known)->code, rows[i].code);
        CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, rows[i].reason);
    }
}

static void says_what_it_found(void)
{
    operator_says(BOTH DENY);
    client_is("203.0.113.9", "<b@local.example>");
    judge(AT_RCPT, "OK FR EU 1 \"A Net\"");
    CHECK_EQ_STR(outcome.verdict.text.p, outcome.verdict.text.n,
                 "Mail from your network is not accepted here: 203.0.113.9 (FR, EU, AS1 A Net)");
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "5.7.1");
    operator_says(BOTH DENY "mode = score\nweight = 7\n");
    judge(AT_RCPT, "OK FR EU 1 x");
    CHECK(has_finding("score"));
    CHECK(outcome.scores.n == 1 && outcome.scores.item[0].points == 7);
    operator_says(BOTH DENY "mode = monitor\n");
    judge(AT_RCPT, "OK FR EU 1 x");
    CHECK(has_finding("monitor"));
    CHECK(outcome.scores.n == 1 && outcome.scores.item[0].points == 0);
    operator_says(BOTH DENY "[except friends]\nnetworks = 203.0.113.9\n");
    judge(AT_RCPT, "OK FR EU 1 x");
    CHECK(has_finding("excepted"));
}

/* ---- who is judged, and when ---- */

static void hears_some_in_any_case(void)
{
    operator_says(BOTH DENY);
    client_is("203.0.113.9", "<postmaster@local.example>");
    CHECK_EQ_INT(judge(AT_RCPT, "OK FR EU 1 x")->code, 0);
    CHECK(has_finding("postmaster"));
    client_is("198.51.100.9", "<b@local.example>"); /* [relay] networks */
    CHECK_EQ_INT(judge(AT_RCPT, "OK FR EU 1 x")->code, 0);
    client_is("203.0.113.9", "<b@local.example>");
    envelope.is_authenticated = true;
    CHECK_EQ_INT(judge(AT_RCPT, "OK FR EU 1 x")->code, 0);
    CHECK_EQ_INT(outcome.findings, 0);
}

static void check_asks(const char *label, enum stage stage, size_t questions)
{
    CHECK_ROW(label);
    facts_init(&facts, fact_table, 8, fact_memory, sizeof fact_memory);
    evaluate(stage);
    CHECK_EQ_INT(outcome.questions, questions);
    CHECK_EQ_INT(outcome.decided, questions == 0);
}

static void asks_nothing_in_vain(void)
{
    client_is("203.0.113.9", "<b@local.example>");
    operator_says(BOTH);
    check_asks("no section", AT_RCPT, 0);
    operator_says(BOTH DENY "mode = off\n");
    check_asks("off", AT_RCPT, 0);
    operator_says(BOTH DENY "recipients = other.example\n");
    check_asks("for others", AT_RCPT, 0);
    operator_says(BOTH DENY);
    check_asks("not early", AT_CONNECT, 0);
    check_asks("at last", AT_RCPT, 1);
    envelope.is_authenticated = true;
    check_asks("exempt", AT_RCPT, 0);
}

static void refuses_early(void)
{
    static const struct row early_rows[] = {
        { "early", BOTH DENY "early = yes\n", "", 554, "" },
        { "not early", BOTH DENY, "", 0, "" },
        { "at another listener", BOTH DENY "early = yes\nlisteners = inside\n", "", 0, "" },
        { "behind one that is for this listener",
          BOTH "[origin fair]\nallow = FR\nlisteners = mx\n" DENY "early = yes\n", "", 0, "" },
        { "behind one that is for another", BOTH "[origin fair]\nallow = FR\nlisteners = inside\n" DENY "early = yes\n",
          "", 554, "" },
        { "behind one for some recipients",
          BOTH "[origin fair]\nallow = FR\nrecipients = other.example\n" DENY "early = yes\n", "", 0, "" },
        { "excepted", BOTH DENY "early = yes\n[except friends]\nnetworks = 203.0.113.0/24\n", "", 0, "" },
    };

    for (size_t i = 0; i < sizeof early_rows / sizeof *early_rows; i++) {
        CHECK_ROW(early_rows[i].label);
        operator_says(early_rows[i].ini);
        client_is("203.0.113.9", "<b@local.example>");
        envelope.mail_from = envelope.rcpt = NULL;
        CHECK_EQ_INT(judge(AT_CONNECT, "OK FR EU 1 x")->code, early_rows[i].code);
    }
    CHECK_ROW("without a database nobody knows yet");
    operator_says(TEMPFAIL DENY "early = yes\n");
    CHECK_EQ_INT(judge(AT_CONNECT, "TEMP")->code, 0);
    client_is("203.0.113.9", "<b@local.example>");
    CHECK_EQ_INT(judge(AT_RCPT, "TEMP")->code, 451);
}

/* ---- mistakes ---- */

/* clang-format off */
static const struct { const char *ini, *says; } mistakes[] = {
    { BOTH "[origin a]\ndeny = Germany\n", "test:19: [origin a] deny: \"Germany\": expected DE, continent:EU or AS64500" },
    { BOTH "[origin a]\nallow = D1\n", "test:19: [origin a] allow: \"D1\"" },
    { BOTH "[origin a]\nallow = DE continent:Europe\n", "\"continent:Europe\": expected" },
    { BOTH "[origin a]\nallow = continent:XX\n", "\"continent:XX\": expected" },
    { BOTH "[origin a]\nallow = continent:\n", "\"continent:\": expected" },
    { BOTH "[origin a]\nallow = 64500\n", "\"64500\": expected" },
    { BOTH "[origin a]\nallow = AS4294967296\n", "\"AS4294967296\": expected" },
    { BOTH "[origin a]\nallow = AS064500\n", "\"AS064500\": expected" },
    { BOTH "[origin a]\nallow = AS0\n", "\"AS0\": expected" },
    { BOTH "[origin a]\n", "names no place; expected deny or allow" },
    { BOTH "[origin a]\ndeny = DE\nlisteners = mx outside\n", "test:20: [origin a] listeners: there is no [listen outside]" },
    { BOTH "[origin a]\ndeny = DE\nearly = yes\nmode = score\n", "test:20: [origin a] early: needs mode = reject" },
    { BOTH "[origin a]\ndeny = DE\nearly = yes\nrecipients = local.example\n", "needs mode = reject and no recipients" },
    { BOTH "[origin a]\ndeny = DE\nmode = refuse\n", "mode" },
    { "[origin a]\ndeny = DE\n", "\"DE\" needs [geo] country_database" },
    { "[geo]\nasn_database = tests/scenario/systems.mmdb\n[origin a]\ndeny = continent:EU\n", "needs [geo] country_database" },
    { "[geo]\ncountry_database = tests/scenario/origins.mmdb\n[origin a]\ndeny = AS1\n", "\"AS1\" needs [geo] asn_database" },
    { BOTH "refresh = 999ms\n", "refresh" },
    { BOTH "missing = refuse\n", "missing" },
};
/* clang-format on */

static void mistakes_are_told(void)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char *said = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&said, &n);
        struct config *none = f != NULL ? read_config(mistakes[i].ini, f) : NULL;

        CHECK_ROW(mistakes[i].ini);
        CHECK(none == NULL && f != NULL && fclose(f) == 0);
        CHECK(said != NULL && strstr(said, mistakes[i].says) != NULL);
        if (said == NULL || strstr(said, mistakes[i].says) == NULL)
            printf("    %s", said);
        config_free(none);
        free(said);
    }
}

/* What is good, and yet not what the operator meant. */
/* clang-format off */
static const struct { const char *ini, *says; } doubts[] = {
    { BOTH "[origin a]\nallow = DE continent:EU UK\n", "test:19: [origin a] allow: warning: \"UK\" is no country of ISO 3166\n" },
    { BOTH "[origin a]\ndeny = ru XK AN\n", "" },
    { BOTH "[except a]\ncountries = zz\n", "test:19: [except a] countries: warning: \"zz\" is no country of ISO 3166\n" },
    { "[except a]\ncountries = DE\n", "test:16: [except a] countries: warning: never holds without [geo] country_database\n" },
    { "[except a]\nasns = AS1\n", "test:16: [except a] asns: warning: never holds without [geo] asn_database\n" },
    { BOTH "[except a]\ncountries = DE\nasns = 1\n", "" },
};
/* clang-format on */

static void doubts_are_told(void)
{
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        char *said = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&said, &n);
        struct config *some = f != NULL ? read_config(doubts[i].ini, f) : NULL;

        CHECK_ROW(doubts[i].ini);
        CHECK(some != NULL && f != NULL && fclose(f) == 0);
        CHECK_EQ_STR(said, n, doubts[i].says);
        config_free(some);
        free(said);
    }
}

static void bounds_are_kept(void)
{
    operator_says(BOTH "refresh = 1s\n[origin a]\nallow = AS4294967295\n");
    CHECK_EQ_INT(config->policy.geo.refresh, 1000);
    client_is("203.0.113.9", "<b@local.example>");
    CHECK_EQ_INT(judge(AT_RCPT, "OK FR EU 4294967295 x")->code, 0);
    CHECK_EQ_INT(judge(AT_RCPT, "OK FR EU 4294967294 x")->code, 550);
    operator_says(BOTH);
    CHECK_EQ_INT(config->policy.geo.refresh, 60000);
    CHECK_EQ_INT(config->policy.geo.missing, GEO_ACCEPT);
    config_free(config);
    config = NULL;
}

static const struct test_case tests[] = {
    TEST(judges),        TEST(says_what_it_found), TEST(hears_some_in_any_case), TEST(asks_nothing_in_vain),
    TEST(refuses_early), TEST(mistakes_are_told),  TEST(doubts_are_told),        TEST(bounds_are_kept),
};
TEST_MAIN(tests)
