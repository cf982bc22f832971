/* The two checks of SPF: what is found out, about whom, and what is made of it under each wish of the operator. DMARC
 * and its results are set by a check of our own that stands where theirs does.
 */
#include "policy/policy.h"

#include "test.h"

enum { FACTS = 64 };

static const char zone[] = "TXT pass.example OK \"v=spf1 ip4:192.0.2.0/24 -all\"\n"
                           "TXT fail.example OK \"v=spf1 -all exp=e.fail.example\"\n"
                           "TXT e.fail.example OK \"%{i} is not ours, see http://fail.example/\"\n"
                           "TXT soft.example OK \"v=spf1 ~all\"\n"
                           "TXT temp.example TEMP\n"
                           "TXT perm.example OK \"v=spf1 moo\"\n"
                           "TXT none.example NODATA\n"
                           "TXT xn--mnchen-3ya.example OK \"v=spf1 exists:%{o}.q.example -all\"\n"
                           "A xn--mnchen-3ya.example.q.example OK 127.0.0.2\n";

static struct outcome outcome;
static char memory[1 << 15], facts_memory[1 << 15];
static struct fact table[FACTS];
static struct facts facts;

/* ---- the stand-in for DMARC ---- */

static enum auth_result dmarc_says;
static bool dmarc_may_pass;

static void say_dmarc(struct pass *pass)
{
    pass->outcome->auth.dmarc.result = dmarc_says;
    pass->outcome->auth.dmarc.best_is_pass = dmarc_may_pass;
    pass->pending = dmarc_says == AUTH_PENDING;
}

static const struct check fake_dmarc = { .name = "dmarc", .stages = 1u << AT_HEADERS | 1u << AT_END, .run = say_dmarc };
static const struct check *const checks[] = { &check_spf, &fake_dmarc, &check_spf_alone };

/* ---- a transaction ---- */

static struct network trusted, skipped;
static struct path rcpt_path = { .unquoted = STR_INIT("user"), .domain = STR_INIT("local.example") };
static struct path postmaster_path = { .unquoted = STR_INIT("PostMaster"), .domain = STR_INIT("local.example") };

static struct policy make_policy(void)
{
    CHECK(network_parse(STR("198.51.100.0/24"), &trusted) && network_parse(STR("203.0.113.0/24"), &skipped));
    return (struct policy){
        .hostname = STR("gw.example"),
        .relay.networks = { &trusted, 1 },
        .spf = { .check = true,
                 .fail = SPF_FAIL_WITHOUT_DMARC,
                 .temperror = TEMPERROR_TEMPFAIL,
                 .skip = { &skipped, 1 } },
    };
}

static void load_facts(void)
{
    facts_init(&facts, table, FACTS, facts_memory, sizeof facts_memory);
    CHECK_EQ_INT(facts_load(&facts, str_from(zone, sizeof zone - 1)), 0);
}

static void evaluate(const struct policy *policy, enum stage stage, const struct envelope *envelope)
{
    static const struct message message = { .header = STR_INIT("From: a@x.example\r\n\r\n") };
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(checks, sizeof checks / sizeof *checks, policy, stage, envelope,
                         stage >= AT_HEADERS ? &message : NULL, &facts, &arena, &outcome);
}

struct mail {
    const char *from, *helo, *client;
    bool authenticated, only_postmaster;
};

/* Everything is known, or does not exist. */
static void judge(const struct policy *policy, enum stage stage, const struct mail *mail, const struct path *rcpt)
{
    char room[PATH_ROOM];
    struct path from;
    struct envelope envelope = { .helo = str_of(mail->helo),
                                 .is_authenticated = mail->authenticated,
                                 .only_postmaster = mail->only_postmaster,
                                 .mail_from = &from,
                                 .rcpt = stage == AT_RCPT ? rcpt : NULL };

    CHECK(address_parse(str_of(mail->client), &envelope.client.address));
    CHECK_EQ_INT(path_parse(str_of(mail->from), PATH_REVERSE, PATH_UTF8, room, &from, NULL), PATH_OK);
    load_facts();
    for (evaluate(policy, stage, &envelope); outcome.questions > 0; evaluate(policy, stage, &envelope))
        for (size_t i = 0; i < outcome.questions; i++)
            facts_answer(&facts, outcome.question[i], FACT_NXDOMAIN, NULL, 0);
}

static void check_reply(int code, const char *enhanced)
{
    const struct verdict *verdict = &outcome.verdict;

    CHECK_EQ_INT(verdict->code, code);
    CHECK_EQ_STR(verdict->enhanced, strlen(verdict->enhanced), enhanced);
    CHECK_EQ_INT(verdict->action, code == 0 ? ACTION_ACCEPT : code < 500 ? ACTION_TEMPFAIL : ACTION_REJECT);
    CHECK_EQ_INT(verdict->text.n > 0, code != 0);
    CHECK(verdict->text.n <= 200);
    for (size_t i = 0; i < verdict->text.n; i++)
        CHECK(verdict->text.p[i] >= ' ' && verdict->text.p[i] <= '~');
}

/* No colon with nothing behind it. */
static void check_findings_end_well(void)
{
    for (size_t i = 0; i < outcome.findings; i++) {
        struct str detail = outcome.finding[i].detail;

        CHECK(detail.n == 0 || (detail.p[detail.n - 1] != ' ' && detail.p[detail.n - 1] != ':'));
    }
}

/* ---- what is found out ---- */

/* clang-format off */
static const struct {
    const char *says;
    struct mail mail;
    enum auth_result helo, mail_from;
    const char *domain, *sender;
} identities[] = {
    { "both identities", { "<a@fail.example>", "pass.example", "192.0.2.1", false, false },
      AUTH_PASS, AUTH_FAIL, "fail.example", "a@fail.example" },
    { "the null path stands for postmaster at HELO", { "<>", "fail.example", "192.0.2.1", false, false },
      AUTH_FAIL, AUTH_FAIL, "fail.example", "postmaster@fail.example" },
    { "a literal is no HELO name", { "<a@pass.example>", "[192.0.2.1]", "192.0.2.1", false, false },
      AUTH_ABSENT, AUTH_PASS, "pass.example", "a@pass.example" },
    { "a null path and no HELO name", { "<>", "[192.0.2.1]", "192.0.2.1", false, false },
      AUTH_ABSENT, AUTH_NONE, "", "postmaster@" },
    { "a HELO of one label", { "<a@soft.example>", "localhost", "192.0.2.1", false, false },
      AUTH_NONE, AUTH_SOFTFAIL, "soft.example", "a@soft.example" },
    { "junk in HELO", { "<a@soft.example>", "a b\"(", "192.0.2.1", false, false },
      AUTH_ABSENT, AUTH_SOFTFAIL, "soft.example", "a@soft.example" },
    { "HELO with a dot at its end", { "<a@soft.example>", "PASS.example.", "192.0.2.1", false, false },
      AUTH_PASS, AUTH_SOFTFAIL, "soft.example", "a@soft.example" },
    { "U-labels are asked for as A-labels (RFC 8616)",
      { "<a@m\xc3\xbcnchen.example>", "none.example", "192.0.2.1", false, false },
      AUTH_NONE, AUTH_PASS, "xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example" },
    { "a domain in capitals, a quoted local part", { "<\"a b\"@PASS.Example>", "none.example", "192.0.2.1", false, false },
      AUTH_NONE, AUTH_PASS, "pass.example", "a b@pass.example" },
    { "a literal in MAIL FROM", { "<a@[192.0.2.1]>", "none.example", "192.0.2.1", false, false },
      AUTH_NONE, AUTH_NONE, "[192.0.2.1]", "a@[192.0.2.1]" },
    { "an authenticated client", { "<a@fail.example>", "fail.example", "192.0.2.1", true, false },
      AUTH_ABSENT, AUTH_ABSENT, "", "" },
    { "a client that may relay", { "<a@fail.example>", "fail.example", "198.51.100.1", false, false },
      AUTH_ABSENT, AUTH_ABSENT, "", "" },
    { "a forwarder of ours", { "<a@fail.example>", "fail.example", "203.0.113.1", false, false },
      AUTH_ABSENT, AUTH_ABSENT, "", "" },
};
/* clang-format on */

static void helo_and_mail_from_are_evaluated(void)
{
    struct policy policy = make_policy();

    dmarc_says = AUTH_PASS;
    for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
        const struct spf_result *mail_from = &outcome.auth.mail_from;

        CHECK_ROW(identities[i].says);
        judge(&policy, AT_END, &identities[i].mail, NULL);
        CHECK(outcome.decided);
        CHECK_EQ_INT(outcome.auth.helo.result, identities[i].helo);
        CHECK_EQ_INT(mail_from->result, identities[i].mail_from);
        CHECK_EQ_STR(mail_from->domain.p, mail_from->domain.n, identities[i].domain);
        CHECK_EQ_STR(mail_from->sender.p, mail_from->sender.n, identities[i].sender);
        CHECK(outcome.findings > 0);
        check_findings_end_well();
        check_reply(0, "");
    }
}

static void who_is_not_asked_about_is_told(void)
{
    struct policy policy = make_policy();

    judge(&policy, AT_END, &identities[10].mail, NULL);
    CHECK_EQ_STR(outcome.finding[0].result, strlen(outcome.finding[0].result), "exempt");
    judge(&policy, AT_END, &identities[12].mail, NULL);
    CHECK_EQ_STR(outcome.finding[0].result, strlen(outcome.finding[0].result), "skipped");
}

/* ---- what is made of it ---- */

#define FROM(domain) \
    { \
        "<a@" domain ">", "none.example", "192.0.2.1", false, false \
    }

/* clang-format off */
static const struct judgement {
    const char *says;
    struct mail mail;
    int fail, temperror;
    bool permerror_rejects;
    enum auth_result dmarc;
    int at_rcpt, at_end;
    const char *enhanced;
} judgements[] = {
    { "a fail without DMARC", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_NONE, 0, 550, "5.7.23" },
    { "where DMARC is off", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_ABSENT, 0, 550, "5.7.23" },
    { "DMARC passed", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_PASS, 0, 0, "" },
    { "DMARC decides for itself", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_FAIL, 0, 0, "" },
    { "DMARC could not", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_TEMPERROR, 0, 451, "4.7.0" },
    { "DMARC could not, recorded", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, TEMPERROR_RECORD, false, AUTH_TEMPERROR, 0, 0, "" },
    { "DMARC could not, and nothing hangs on it", FROM("soft.example"), SPF_FAIL_WITHOUT_DMARC, 0, true, AUTH_TEMPERROR, 0, 0, "" },
    { "DMARC could not, a broken record refused", FROM("perm.example"), SPF_FAIL_WITHOUT_DMARC, 0, true, AUTH_TEMPERROR, 0, 451, "4.7.0" },
    { "DMARC found an error", FROM("fail.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_PERMERROR, 0, 0, "" },
    { "a fail that is only recorded", FROM("fail.example"), SPF_FAIL_RECORD, 0, false, AUTH_NONE, 0, 0, "" },
    { "a fail refused at once", FROM("fail.example"), SPF_FAIL_REJECT, 0, false, AUTH_PASS, 550, 550, "5.7.23" },
    { "softfail", FROM("soft.example"), SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
    { "none", FROM("none.example"), SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
    { "pass", FROM("pass.example"), SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
    { "no answer", FROM("temp.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_NONE, 0, 451, "4.7.24" },
    { "no answer, refusing at once", FROM("temp.example"), SPF_FAIL_REJECT, 0, false, AUTH_NONE, 451, 451, "4.7.24" },
    { "no answer, DMARC failed", FROM("temp.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_FAIL, 0, 451, "4.7.24" },
    { "no answer, but DMARC passed", FROM("temp.example"), SPF_FAIL_WITHOUT_DMARC, 0, false, AUTH_PASS, 0, 0, "" },
    { "no answer, recorded", FROM("temp.example"), SPF_FAIL_REJECT, TEMPERROR_RECORD, false, AUTH_NONE, 0, 0, "" },
    { "a broken record", FROM("perm.example"), SPF_FAIL_REJECT, 0, false, AUTH_NONE, 0, 0, "" },
    { "a broken record refused", FROM("perm.example"), SPF_FAIL_REJECT, 0, true, AUTH_NONE, 550, 550, "5.7.24" },
    { "without DMARC", FROM("perm.example"), SPF_FAIL_WITHOUT_DMARC, 0, true, AUTH_NONE, 0, 550, "5.7.24" },
    { "with DMARC", FROM("perm.example"), SPF_FAIL_WITHOUT_DMARC, 0, true, AUTH_PASS, 0, 0, "" },
    { "a fail of HELO alone", { "<a@pass.example>", "fail.example", "192.0.2.1", false, false },
      SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
    { "no answer for HELO alone", { "<a@pass.example>", "temp.example", "192.0.2.1", false, false },
      SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
    { "a bounce of a HELO name that fails", { "<>", "fail.example", "192.0.2.1", false, false },
      SPF_FAIL_REJECT, 0, false, AUTH_NONE, 550, 550, "5.7.23" },
    { "a client that may relay", { "<a@fail.example>", "fail.example", "198.51.100.1", false, false },
      SPF_FAIL_REJECT, 0, true, AUTH_ABSENT, 0, 0, "" },
    { "an authenticated client", { "<a@temp.example>", "temp.example", "192.0.2.1", true, false },
      SPF_FAIL_REJECT, 0, true, AUTH_ABSENT, 0, 0, "" },
    { "a forwarder of ours", { "<a@fail.example>", "fail.example", "203.0.113.1", false, false },
      SPF_FAIL_REJECT, 0, true, AUTH_NONE, 0, 0, "" },
};
/* clang-format on */

static struct policy policy_of(const struct judgement *judgement)
{
    struct policy policy = make_policy();

    policy.spf.fail = judgement->fail;
    policy.spf.temperror = judgement->temperror;
    policy.spf.permerror_rejects = judgement->permerror_rejects;
    return policy;
}

static void each_result_has_its_reply(void)
{
    for (size_t i = 0; i < sizeof judgements / sizeof *judgements; i++) {
        const struct judgement *row = &judgements[i];
        struct policy policy = policy_of(row);

        CHECK_ROW(row->says);
        dmarc_says = row->dmarc;
        judge(&policy, AT_RCPT, &row->mail, &rcpt_path);
        check_reply(row->at_rcpt, row->at_rcpt != 0 ? row->enhanced : "");
        for (enum stage stage = AT_HEADERS; stage <= AT_END; stage++) {
            judge(&policy, stage, &row->mail, NULL);
            check_reply(row->at_end, row->enhanced);
        }
    }
}

/* ORACLE P-10 */
static void the_postmaster_hears_everybody(void)
{
    for (size_t i = 0; i < sizeof judgements / sizeof *judgements; i++) {
        struct policy policy = policy_of(&judgements[i]);
        struct mail mail = judgements[i].mail;

        CHECK_ROW(judgements[i].says);
        dmarc_says = judgements[i].dmarc;
        mail.only_postmaster = true;
        judge(&policy, AT_RCPT, &mail, &postmaster_path);
        check_reply(0, "");
        judge(&policy, AT_END, &mail, NULL);
        check_reply(0, "");
    }
}

static void at_rcpt_nothing_is_asked_that_decides_nothing(void)
{
    struct policy policy = make_policy();
    struct envelope envelope = { .helo = STR("x.example"), .rcpt = &rcpt_path };
    struct path from = { .unquoted = STR("a"), .domain = STR("unknown.example") };

    CHECK(address_parse(STR("192.0.2.1"), &envelope.client.address));
    envelope.mail_from = &from;
    load_facts();
    evaluate(&policy, AT_RCPT, &envelope);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions + outcome.findings, 0);
    policy.spf.fail = SPF_FAIL_REJECT;
    evaluate(&policy, AT_RCPT, &envelope);
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.questions, 1); /* not HELO's */
    envelope.rcpt = &postmaster_path;
    evaluate(&policy, AT_RCPT, &envelope);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 0);
}

static void at_data_it_looks_ahead_and_waits_for_nothing(void)
{
    struct policy policy = make_policy();
    struct envelope envelope = { .helo = STR("helo.example") };
    struct path from = { .unquoted = STR("a"), .domain = STR("unknown.example") };

    policy.spf.fail = SPF_FAIL_REJECT;
    CHECK(address_parse(STR("192.0.2.1"), &envelope.client.address));
    envelope.mail_from = &from;
    load_facts();
    evaluate(&policy, AT_DATA, &envelope);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 2);
    check_reply(0, "");
    from.domain = STR("fail.example");
    evaluate(&policy, AT_DATA, &envelope);
    CHECK(outcome.decided);
    check_reply(0, "");
    evaluate(&policy, AT_HEADERS, &envelope); /* HELO is not known yet */
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.auth.helo.result, AUTH_PENDING);
    CHECK_EQ_INT(outcome.auth.mail_from.result, AUTH_FAIL);
    facts_close(&facts);
    evaluate(&policy, AT_HEADERS, &envelope);
    CHECK(outcome.decided);
    check_reply(550, "5.7.23");
}

/* A signature that a streamed body contradicted before: AT_HEADERS DMARC failed, AT_END it may pass (RFC 9989 5.4). */
static void what_dmarc_may_still_pass_is_not_deferred_by_its_header(void)
{
    struct policy policy = make_policy();
    static const struct mail mail = FROM("temp.example");

    dmarc_says = AUTH_FAIL;
    dmarc_may_pass = true;
    judge(&policy, AT_HEADERS, &mail, NULL);
    check_reply(0, "");
    dmarc_may_pass = false;
    judge(&policy, AT_END, &mail, NULL);
    check_reply(451, "4.7.24");
}

static void while_dmarc_is_pending_nothing_is_refused(void)
{
    struct policy policy = make_policy();
    static const struct mail mail = FROM("fail.example");

    dmarc_says = AUTH_PENDING;
    judge(&policy, AT_END, &mail, NULL);
    CHECK(!outcome.decided);
    CHECK_EQ_STR(outcome.verdict.check, strlen(outcome.verdict.check), "");
}

static void the_reply_names_domain_and_client(void)
{
    struct policy policy = make_policy();
    static const struct mail fail = FROM("fail.example"), perm = FROM("perm.example"), temp = FROM("temp.example");
    const struct verdict *verdict = &outcome.verdict;

    dmarc_says = AUTH_NONE;
    policy.spf.permerror_rejects = true;
    judge(&policy, AT_END, &fail, NULL);
    CHECK_EQ_STR(verdict->text.p, verdict->text.n, "SPF: fail.example does not permit 192.0.2.1 to send its mail");
    CHECK_EQ_STR(verdict->reason.p, verdict->reason.n, "fail: mailfrom fail.example: -all");
    CHECK_EQ_STR(verdict->check, strlen(verdict->check), "spf_alone");
    judge(&policy, AT_END, &perm, NULL);
    CHECK_EQ_STR(verdict->text.p, verdict->text.n,
                 "SPF: permanent error for perm.example: syntax error in the record of perm.example: moo");
    judge(&policy, AT_END, &temp, NULL);
    CHECK_EQ_STR(verdict->text.p, verdict->text.n, "SPF: the DNS does not answer for temp.example, try again later");
    policy.spf.explanation = true; /* RFC 7208 6.2: attributed */
    judge(&policy, AT_END, &fail, NULL);
    CHECK_EQ_STR(verdict->text.p, verdict->text.n,
                 "SPF forbids 192.0.2.1; fail.example explained: 192.0.2.1 is not ours, see http://fail.example/");
}

/* Without memory a result is our trouble, never a none or a pass. */
static void a_full_arena_is_no_result(void)
{
    struct policy policy = make_policy();
    struct envelope envelope = { .helo = STR("pass.example") };
    struct path from = { .unquoted = STR("a"), .domain = STR("fail.example") };

    dmarc_says = AUTH_NONE;
    CHECK(address_parse(STR("192.0.2.1"), &envelope.client.address));
    envelope.mail_from = &from;
    load_facts();
    facts_close(&facts);
    for (size_t size = 0; size < 400; size++) {
        struct arena arena;
        static const struct message message = { .header = STR_INIT("\r\n") };

        arena_init(&arena, memory, size);
        policy_evaluate_with(checks, sizeof checks / sizeof *checks, &policy, AT_END, &envelope, &message, &facts,
                             &arena, &outcome);
        CHECK(outcome.decided);
        CHECK(outcome.verdict.code == 451 || outcome.verdict.code == 550);
        CHECK(outcome.verdict.text.n > 0);
    }
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(helo_and_mail_from_are_evaluated),
    TEST(who_is_not_asked_about_is_told),
    TEST(each_result_has_its_reply),
    TEST(the_postmaster_hears_everybody),
    TEST(at_rcpt_nothing_is_asked_that_decides_nothing),
    TEST(at_data_it_looks_ahead_and_waits_for_nothing),
    TEST(what_dmarc_may_still_pass_is_not_deferred_by_its_header),
    TEST(while_dmarc_is_pending_nothing_is_refused),
    TEST(the_reply_names_domain_and_client),
    TEST(a_full_arena_is_no_result),
};
/* clang-format on */
TEST_MAIN(tests)
