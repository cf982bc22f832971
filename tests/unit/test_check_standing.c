/* Who a sender is, and what his record comes to: the checks [standing] and [greylist], which both ask that. */
#include "policy/rule.h"
#include "policy/standing.h"
#include "proxy/config.h"

#include "test.h"

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

/* ---- what the methods found ---- */

static struct authentication found;

static void run_found(struct pass *pass)
{
    pass->outcome->auth = found;
}

static const struct check check_found = { .name = "found", .stages = ~0u, .run = run_found };
static const struct check *const table[] = { &check_found, &check_standing, &check_greylist, &check_score };

static void vouched_by_dkim(const char *domain)
{
    found.dkim[found.dkim_n++] = (struct dkim_result){ .result = AUTH_PASS, .domain = str_of(domain) };
}

static void vouched_by_spf(const char *domain)
{
    found.mail_from = (struct spf_result){ .result = AUTH_PASS, .domain = str_of(domain) };
}

static void passes_dmarc(const char *domain)
{
    found.author = str_of(domain);
    found.dmarc = (struct dmarc_result){ .result = AUTH_PASS, .domain = str_of(domain) };
}

/* ---- a message ---- */

static struct outcome outcome;
static struct envelope envelope;
static struct facts facts;
static struct fact fact_table[8];
static char memory[POLICY_ARENA_SIZE], fact_memory[4096];

static void client_is(const char *address)
{
    found = (struct authentication){ .is_exempt = false };
    envelope = (struct envelope){ .rcpt_accepted = 1 };
    CHECK(address_parse(str_of(address), &envelope.client.address));
    facts_init(&facts, fact_table, 8, fact_memory, sizeof fact_memory);
}

static void is_fact(enum ask kind, const char *key, const char *first, const char *second)
{
    const struct str values[] = { str_of(first), str_of(second) };

    facts_answer(&facts, (struct question){ kind, str_of(key) }, FACT_OK, values, second[0] != '\0' ? 2 : 1);
}

static void is_nothing(enum ask kind, const char *key)
{
    facts_answer(&facts, (struct question){ kind, str_of(key) }, FACT_NODATA, NULL, 0);
}

static void comes_from_as(const char *address, const char *asn)
{
    const struct str values[] = { STR("DE"), STR("EU"), str_of(asn), STR("Example") };

    facts_answer(&facts, (struct question){ ASK_GEO, str_of(address) }, FACT_OK, values, 4);
}

static void judge(enum stage stage)
{
    const struct message message = { STR_INIT(""), 0 };
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 4, &config->policy, stage, &envelope, &message, &facts, &arena, &outcome);
}

static void asks(enum ask kind, const char *key)
{
    CHECK(!outcome.decided);
    for (size_t i = 0; i < outcome.questions; i++)
        if (outcome.question[i].kind == kind && str_eq(outcome.question[i].key, str_of(key)))
            return;
    printf("no question %s %s\n", ask_name(kind), key);
    CHECK(false);
}

/* ---- who a sender is ---- */

static void a_domain_and_its_network(void)
{
    operator_says("[standing]\nmode = score\n");
    client_is("192.0.2.1");
    vouched_by_dkim("example.org");
    judge(AT_END);
    asks(ASK_GEO, "192.0.2.1");
    comes_from_as("192.0.2.1", "64500");
    judge(AT_END);
    asks(ASK_STANDING, "example.org 64500");
    is_nothing(ASK_STANDING, "example.org 64500");
    judge(AT_END);
    CHECK(outcome.decided && outcome.scores.n == 0);
    CHECK_EQ_INT(outcome.effects, 1);
    CHECK_EQ_INT(outcome.effect[0].kind, ASK_STANDING);
    CHECK_EQ_STR(outcome.effect[0].key.p, outcome.effect[0].key.n, "example.org 64500");
}

/* Until the end a body may belie its signature: nobody is to answer for that. */
static void a_header_alone_is_no_message(void)
{
    operator_says("[standing]\nmode = score\n");
    client_is("192.0.2.1");
    vouched_by_dkim("example.org");
    comes_from_as("192.0.2.1", "64500");
    is_nothing(ASK_STANDING, "example.org 64500");
    judge(AT_HEADERS);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.effects, 0);
}

static void a_client_where_nothing_vouches(void)
{
    operator_says("[standing]\nmode = score\n");
    client_is("2001:db8:1:2:3::4");
    judge(AT_END);
    asks(ASK_STANDING, "2001:db8:1:2::/64");
    is_nothing(ASK_STANDING, "2001:db8:1:2::/64");
    judge(AT_END);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.effects, 0); /* the session notes its client by itself */
}

static void which_domain_vouches(void)
{
    struct str domain;
    bool aligned;

    found = (struct authentication){ .author = STR_INIT("author.example") };
    CHECK(sender_domain(&found, &domain, &aligned) && domain.n == 0);
    vouched_by_spf("bounces.example");
    CHECK(sender_domain(&found, &domain, &aligned));
    CHECK_EQ_STR(domain.p, domain.n, "bounces.example");
    vouched_by_dkim("esp.example");
    CHECK(sender_domain(&found, &domain, &aligned));
    CHECK_EQ_STR(domain.p, domain.n, "esp.example");
    vouched_by_dkim("mail.author.example");
    CHECK(sender_domain(&found, &domain, &aligned) && !aligned);
    CHECK_EQ_STR(domain.p, domain.n, "mail.author.example");
    found.dkim[1].is_testing = true; /* RFC 6376 3.6.1: as if it were not signed */
    CHECK(sender_domain(&found, &domain, &aligned));
    CHECK_EQ_STR(domain.p, domain.n, "esp.example");
    found.dkim[0].result = AUTH_FAIL;
    CHECK(sender_domain(&found, &domain, &aligned));
    CHECK_EQ_STR(domain.p, domain.n, "bounces.example");
    found.mail_from.result = AUTH_SOFTFAIL;
    CHECK(sender_domain(&found, &domain, &aligned) && domain.n == 0);
    passes_dmarc("author.example");
    CHECK(sender_domain(&found, &domain, &aligned) && aligned);
    CHECK_EQ_STR(domain.p, domain.n, "author.example");
    found.dkim[0].result = AUTH_PENDING;
    CHECK(!sender_domain(&found, &domain, &aligned));
}

/* ---- what a record comes to ---- */

static const struct row {
    const char *name, *mode, *good, *bad;
    int code;
    int points; /* of the check, when it spoke */
    const char *finding;
} rows[] = {
    { "nothing known", "score", "0", "0", 0, 0, "" },
    { "few", "score", "9", "0", 0, 0, "" },
    { "good", "score", "10", "0", 0, -2, "score" },
    { "bad", "score", "0", "5", 0, 3, "score" },
    { "bad, told only", "monitor", "1", "50", 0, 0, "monitor" },
    { "good, told only", "monitor", "50", "1", 0, 0, "good" },
    { "bad, refused", "reject", "4", "5", 550, 0, "refused" },
    { "good, with reject", "reject", "10", "0", 0, 0, "good" },
    { "both, with reject", "reject", "9", "9", 0, 0, "" },
    { "off", "off", "0", "200", 0, 0, "" },
};

static const struct finding *finding_of(const char *check)
{
    for (size_t i = 0; i < outcome.findings; i++)
        if (strcmp(outcome.finding[i].check, check) == 0)
            return &outcome.finding[i];
    return NULL;
}

static void a_record_speaks(void)
{
    char ini[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        const struct finding *f;

        CHECK_ROW(row->name);
        snprintf(ini, sizeof ini, "[standing]\nmode = %s\n", row->mode);
        operator_says(ini);
        client_is("192.0.2.1");
        is_fact(ASK_STANDING, "192.0.2.1", row->good, row->bad);
        judge(AT_END);
        CHECK(outcome.decided);
        CHECK_EQ_INT(outcome.verdict.code, row->code);
        f = finding_of("standing");
        CHECK((f == NULL) == (row->finding[0] == '\0'));
        if (f != NULL)
            CHECK_EQ_STR(f->result, strlen(f->result), row->finding);
        CHECK_EQ_INT(outcome.scores.n > 0 ? outcome.scores.item[0].points : 0, row->points);
    }
}

static void the_reason_names_the_record(void)
{
    operator_says("[standing]\nmode = reject\n");
    client_is("192.0.2.1");
    vouched_by_spf("example.org");
    comes_from_as("192.0.2.1", "64500");
    is_fact(ASK_STANDING, "example.org 64500", "1", "7");
    judge(AT_END);
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "5.7.1");
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n,
                 "example.org 64500: 1 good, 7 bad messages lately");
}

/* Without a database of networks, and whatever goes wrong with the memory. */
static void what_is_not_known_is_no_record(void)
{
    operator_says("[standing]\nmode = reject\n");
    client_is("192.0.2.1");
    vouched_by_spf("example.org");
    facts_answer(&facts, (struct question){ ASK_GEO, STR("192.0.2.1") }, FACT_TEMP, NULL, 0);
    judge(AT_END);
    asks(ASK_STANDING, "example.org -");
    facts_answer(&facts, (struct question){ ASK_STANDING, STR("example.org -") }, FACT_TEMP, NULL, 0);
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0);
    client_is("192.0.2.1");
    is_fact(ASK_STANDING, "192.0.2.1", "x", "99999999999999999999");
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0);
}

static void some_are_never_asked(void)
{
    operator_says("[standing]\nmode = reject\n[greylist]\nmode = reject\n");
    client_is("203.0.113.1"); /* [relay] networks */
    judge(AT_END);
    CHECK(outcome.decided && outcome.questions == 0 && outcome.verdict.code == 0 && outcome.effects == 0);
    client_is("192.0.2.1");
    envelope.is_authenticated = true;
    judge(AT_END);
    CHECK(outcome.decided && outcome.questions == 0 && outcome.verdict.code == 0 && outcome.effects == 0);
    operator_says("[standing]\nmode = off\n");
    client_is("192.0.2.1");
    judge(AT_END);
    CHECK(outcome.decided && outcome.questions == 0 && outcome.effects == 0);
}

static void the_postmaster_hears_everybody(void)
{
    operator_says("[standing]\nmode = reject\n[greylist]\nmode = reject\n");
    client_is("192.0.2.1");
    envelope.only_postmaster = true;
    is_fact(ASK_STANDING, "192.0.2.1", "0", "100");
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0);
}

static void an_exception_speaks_for_him(void)
{
    operator_says("[standing]\nmode = reject\n[except partner]\nchecks = standing\nnetworks = 192.0.2.0/24\n");
    client_is("192.0.2.1");
    is_fact(ASK_STANDING, "192.0.2.1", "0", "100");
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0);
}

/* ---- the greylist ---- */

#define GREY "[standing]\nmode = off\n[greylist]\nmode = reject\ndelay = 5m\nwindow = 2d\nlifetime = 36d\n"

static const struct grey {
    const char *name, *seconds, *passed;
    int code;
    int effect; /* units, or -1: none */
} greys[] = {
    { "never heard of", "", "", 451, GREYLIST_CAME },
    { "at once again", "0", "", 451, -1 },
    { "too early", "299", "", 451, -1 },
    { "just in time", "300", "", 0, GREYLIST_PASSED },
    { "a day later", "86400", "", 0, GREYLIST_PASSED },
    { "at the end of the window", "172799", "", 0, GREYLIST_PASSED },
    { "too late: anew", "172800", "", 451, GREYLIST_CAME },
    { "known, at once", "0", "passed", 0, GREYLIST_PASSED },
    { "known, a month later", "3110399", "passed", 0, GREYLIST_PASSED },
    { "forgotten", "3110400", "passed", 451, GREYLIST_CAME },
};

static void grey_client(const struct grey *row, const char *key)
{
    is_nothing(ASK_STANDING, "192.0.2.1");
    if (row->seconds[0] == '\0')
        is_nothing(ASK_SEEN, key);
    else
        is_fact(ASK_SEEN, key, row->seconds, row->passed);
}

static void comes_again_in_time(void)
{
    operator_says(GREY);
    for (size_t i = 0; i < sizeof greys / sizeof *greys; i++) {
        const struct grey *row = &greys[i];

        CHECK_ROW(row->name);
        client_is("192.0.2.1");
        grey_client(row, "192.0.2.0/24");
        judge(AT_END);
        CHECK(outcome.decided);
        CHECK_EQ_INT(outcome.verdict.code, row->code);
        CHECK_EQ_INT(outcome.effects, row->effect >= 0);
        if (outcome.effects > 0) {
            CHECK_EQ_INT(outcome.effect[0].kind, ASK_SEEN);
            CHECK_EQ_INT(outcome.effect[0].units, row->effect);
            CHECK_EQ_STR(outcome.effect[0].key.p, outcome.effect[0].key.n, "192.0.2.0/24");
        }
        client_is("192.0.2.1");
        grey_client(row, "192.0.2.0/24");
        judge(AT_HEADERS); /* the same, but nobody has passed before the end */
        CHECK_EQ_INT(outcome.verdict.code, row->code);
        CHECK_EQ_INT(outcome.effects, row->effect == GREYLIST_CAME);
    }
}

static void the_key_is_what_passed(void)
{
    operator_says(GREY);
    client_is("2001:db8:1:2:3::4");
    is_nothing(ASK_STANDING, "2001:db8:1:2::/64");
    judge(AT_HEADERS);
    asks(ASK_SEEN, "2001:db8:1:2::/64");
    client_is("192.0.2.1");
    comes_from_as("192.0.2.1", "64500");
    vouched_by_spf("example.org");
    is_nothing(ASK_STANDING, "example.org 64500");
    judge(AT_HEADERS);
    asks(ASK_SEEN, "example.org");
    is_nothing(ASK_SEEN, "example.org");
    judge(AT_HEADERS);
    CHECK_EQ_INT(outcome.verdict.code, 451);
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "4.7.1");
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "example.org comes for the first time");
}

static void some_need_not_come_again(void)
{
    operator_says(GREY);
    client_is("192.0.2.1"); /* DMARC */
    comes_from_as("192.0.2.1", "64500");
    passes_dmarc("example.org");
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0 && outcome.questions == 0);
    client_is("192.0.2.1"); /* a good record */
    comes_from_as("192.0.2.1", "64500");
    vouched_by_spf("example.org");
    is_fact(ASK_STANDING, "example.org 64500", "10", "1");
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0);
    client_is("192.0.2.1"); /* a memory that fails */
    is_nothing(ASK_STANDING, "192.0.2.1");
    facts_answer(&facts, (struct question){ ASK_SEEN, STR("192.0.2.0/24") }, FACT_TEMP, NULL, 0);
    judge(AT_END);
    CHECK(outcome.decided && outcome.verdict.code == 0 && outcome.effects == 0);
}

static void is_off_unless_asked_for(void)
{
    operator_says("");
    CHECK_EQ_INT(config->policy.greylist.rule.mode, RULE_OFF);
    CHECK_EQ_INT(config->policy.standing.rule.mode, RULE_SCORE);
    CHECK_EQ_INT(config->policy.standing.checkpoint.n, 0);
    CHECK_EQ_INT(config->policy.recipients.rule.mode, RULE_REJECT);
    config_free(config);
    config = NULL;
}

static const struct test_case tests[] = {
    TEST(a_domain_and_its_network),
    TEST(a_header_alone_is_no_message),
    TEST(a_client_where_nothing_vouches),
    TEST(which_domain_vouches),
    TEST(a_record_speaks),
    TEST(the_reason_names_the_record),
    TEST(what_is_not_known_is_no_record),
    TEST(some_are_never_asked),
    TEST(the_postmaster_hears_everybody),
    TEST(an_exception_speaks_for_him),
    TEST(comes_again_in_time),
    TEST(the_key_is_what_passed),
    TEST(some_need_not_come_again),
    TEST(is_off_unless_asked_for),
};
TEST_MAIN(tests)
