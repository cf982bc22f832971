/* Display names of listed people and addresses of ours as display names; what resembles our domains in MAIL FROM, From and
 * Reply-To. Each row is a message, judged as the session would when its header section is there.
 */
#include "policy/display_name.h"
#include "policy/mailbox.h"
#include "policy/policy.h"
#include "test.h"

/* ---- the operator ---- */

static struct domain_entry local[] = { { STR_INIT("local.example"), false } };
static struct domain_entry protected[] = { { STR_INIT("acme-works.de"), false }, { STR_INIT("below.test"), true } };
static struct domain_entry allowed[] = { { STR_INIT("acme-works.ch"), false } };

static const struct str erika[] = { STR_INIT("Erika"), STR_INIT("Mustermann") };
static const struct str erika_too[] = { STR_INIT("E."), STR_INIT("Mustermann") };
static const struct str erika_from[] = { STR_INIT("erika@home.test"), STR_INIT("lists.test"), STR_INIT("@sub.test") };
static const struct str juergen[] = { STR_INIT("J\xc3\xbcrgen"), STR_INIT("O'M\xc3\xbcller-Lang") };
static const struct str ivan[] = { STR_INIT("\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd"),
                                   STR_INIT("\xd0\x9d\xd0\xb5\xd1\x81\xd1\x82\xd0\xbe\xd1\x80") };
static const struct str payroll[] = { STR_INIT("Payroll") };

#define WORDS(list) \
    { \
        (list), sizeof(list) / sizeof *(list) \
    }

static struct person people[] = {
    { STR_INIT("erika"), WORDS(erika), WORDS(erika_too), WORDS(erika_from) },
    { .name = STR_INIT("juergen"), .spelled = WORDS(juergen) },
    { .name = STR_INIT("ivan"), .spelled = WORDS(ivan) },
    { .name = STR_INIT("payroll"), .spelled = WORDS(payroll) },
};

static struct policy make_policy(enum rule_mode mode)
{
    return (struct policy){
        .relay.domains = { local, 1 },
        .lookalike = { .rule = { (int)mode, 5 },
                       .protected = { protected, 2 },
                       .allow = { allowed, 1 },
                       .min_length = 6 },
        .impersonation = { .rule = { (int)mode, 5 }, .persons = { people, sizeof people / sizeof *people } },
    };
}

/* ---- one pass ---- */

static struct outcome outcome;
static char memory[POLICY_ARENA_SIZE];

static void judge_stage(const struct policy *policy, enum stage stage, const struct envelope *envelope,
                        struct str header, size_t room)
{
    static const struct check *const table[] = { &check_author, &check_lookalike, &check_impersonation };
    struct message message = { .header = header };
    struct arena arena;

    arena_init(&arena, memory, room);
    policy_evaluate_with(table, 3, policy, stage, envelope, stage < AT_HEADERS ? NULL : &message, NULL, &arena,
                         &outcome);
    CHECK(outcome.decided);
}

static void judge(const struct policy *policy, struct str header)
{
    static const struct envelope envelope = { .rcpt_accepted = 1 };

    judge_stage(policy, AT_HEADERS, &envelope, header, sizeof memory);
}

static void judge_from(const struct policy *policy, const char *from)
{
    char header[4096];
    int n = snprintf(header, sizeof header, "From: %s\r\n\r\n", from);

    judge(policy, str_from(header, (size_t)n));
}

static void expect_reason(const char *want)
{
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, want);
    CHECK_EQ_INT(outcome.verdict.code, *want == '\0' ? 0 : 550);
    CHECK(*want == '\0' || strcmp(outcome.verdict.enhanced, "5.7.1") == 0);
}

/* ---- people ---- */

#define ERIKA "name of erika at x.test"
#define JUERGEN "name of juergen at x.test"
#define IVAN "name of ivan at x.test"

/* clang-format off */
static const struct row {
    const char *from, *reason;
} rows[] = {
    { "Erika Mustermann <e@x.test>", ERIKA },
    { "\"Erika Mustermann\" <e@x.test>", ERIKA },
    { "\"Mustermann, Erika\" <e@x.test>", ERIKA },
    { "ERIKA MUSTERMANN <e@x.test>", ERIKA },
    { "erika  mustermann <e@x.test>", ERIKA },
    { "Erika.Mustermann <e@x.test>", ERIKA },
    { "ErikaMustermann <e@x.test>", ERIKA },
    { "\"E r i k a Mustermann\" <e@x.test>", ERIKA },
    { "\"Dr. Erika Mustermann (CEO)\" <e@x.test>", ERIKA },
    { "\"Erika Mustermann via Docs\" <e@x.test>", ERIKA },
    { "Erika\r\n Mustermann <e@x.test>", ERIKA },
    { "\"Er\\ika Muster\\mann\" <e@x.test>", ERIKA },
    { "e@x.test (Erika Mustermann)", ERIKA },
    { "<e@x.test> (Erika Mustermann)", ERIKA },
    { "Er1ka Musterrnann <e@x.test>", ERIKA },
    { "Er\xc3\xadka Must\xc3\xa9rmann <e@x.test>", ERIKA },
    { "\xd0\x95rik\xd0\xb0 Mustermann <e@x.test>", ERIKA },                    /* Cyrillic letters */
    { "Eri\xe2\x80\x8bka Muster\xc2\xadmann <e@x.test>", ERIKA },              /* zero width space, soft hyphen */
    { "Erika\xc2\xa0Mustermann <e@x.test>", ERIKA },                           /* no-break space */
    { "\xf0\x9d\x90\x84\xf0\x9d\x90\xab\xf0\x9d\x90\xa2\xf0\x9d\x90\xa4\xf0\x9d\x90\x9a Mustermann <e@x.test>", ERIKA },
    { "E. Mustermann <e@x.test>", ERIKA },
    { "\"Mustermann, E\" <e@x.test>", ERIKA },
    { "Erika Mustermann <erika@elsewhere.home.test>", "name of erika at elsewhere.home.test" },
    { "Erika Mustermann <other@home.test>", "name of erika at home.test" },

    /* encoded words */
    { "=?utf-8?q?Erika_Mustermann?= <e@x.test>", ERIKA },
    { "=?UTF-8?B?RXJpa2EgTXVzdGVybWFubg==?= <e@x.test>", ERIKA },
    { "=?utf-8?q?Eri?= =?utf-8?q?ka_Muster?=\r\n =?utf-8?q?mann?= <e@x.test>", ERIKA },
    { "=?utf-8?q?Erika?= Mustermann <e@x.test>", ERIKA },
    { "\"=?utf-8?q?Erika_Mustermann?=\" <e@x.test>", ERIKA },                  /* RFC 2047 5 forbids it, programs show it */
    { "=?utf-8*de?q?Erika_Mustermann?= <e@x.test>", ERIKA },                   /* RFC 2231 5 */
    { "=?iso-8859-1?q?Er=EDka_Mustermann?= <e@x.test>", ERIKA },
    { "=?windows-1251?q?=C5rik=E0_Mustermann?= <e@x.test>", ERIKA },
    { "=?iso-8859-5?q?=B5rik=D0_Mustermann?= <e@x.test>", ERIKA },
    { "=?koi8-r?q?=E5rik=C1_Mustermann?= <e@x.test>", ERIKA },
    { "=?iso-8859-7?q?=C5rika_Mustermann?= <e@x.test>", ERIKA },
    { "=?utf-8?q?=D0?= =?utf-8?q?=95rika_Mustermann?= <e@x.test>", ERIKA },    /* cut within a letter */
    { "=?x-none?q?Erika_Mustermann?= <e@x.test>", ERIKA },
    { "=?x-none?q?=C5rika_Mustermann?= <e@x.test>", "" },
    { "=?utf-8?x?Erika_Mustermann?= <e@x.test>", ERIKA },                       /* no encoded word, and shown as it is */
    { "=?utf-8?q?=45=72=69=6B=61=20Mustermann?= <e@x.test>", ERIKA },

    { "J\xc3\xbcrgen O'M\xc3\xbcller-Lang <j@x.test>", JUERGEN },
    { "JURGEN OMULLER LANG <j@x.test>", JUERGEN },
    { "=?iso-8859-1?q?J=FCrgen_O=92M=FCller-Lang?= <j@x.test>", JUERGEN },
    { "=?iso-8859-15?q?J=FCrgen_O'M=FCller-Lang?= <j@x.test>", JUERGEN },
    { "\"Lang, Jurgen O\xe2\x80\x99Muller\" <j@x.test>", JUERGEN },
    { "J\xc3\xbcrgen M\xc3\xbcller <j@x.test>", "" },

    { "\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd \xd0\x9d\xd0\xb5\xd1\x81\xd1\x82\xd0\xbe\xd1\x80 <i@x.test>", IVAN },
    { "\xd0\x98\xd0\x92\xd0\x90\xd0\x9d \xd0\x9d\xd0\x95\xd0\xa1\xd0\xa2\xd0\x9e\xd0\xa0 <i@x.test>", IVAN },
    { "=?koi8-r?b?6dfBziDuxdPUz9I=?= <i@x.test>", IVAN },

    /* one word must be all there is */
    { "Payroll <p@x.test>", "name of payroll at x.test" },
    { "PAYR0LL <p@x.test>", "name of payroll at x.test" },
    { "Payroll Services <p@x.test>", "" },

    /* where they may write from */
    { "Erika Mustermann <erika@local.example>", "" },
    { "Erika Mustermann <anybody@LOCAL.example>", "" },
    { "Erika Mustermann <erika@home.test>", "" },
    { "Erika Mustermann <ERIKA@Home.Test>", "" },
    { "\"Erika Mustermann via Talk\" <talk@lists.test>", "" },
    { "Erika Mustermann <e@a.lists.test>", "" },
    { "Erika Mustermann <e@sub.test>", "" },

    /* somebody else */
    { "Erika Musterfrau <e@x.test>", "" },
    { "Erik Mustermann <e@x.test>", "" },
    { "Erika <e@x.test>", "" },
    { "Mustermann <e@x.test>", "" },
    { "Mustermann GmbH <e@x.test>", "" },
    { "Erikas Mustermann <e@x.test>", "" },
    { "Erika Erika <e@x.test>", "" },
    { "e@x.test", "" },
    { "<e@x.test>", "" },
    { "\"\" <e@x.test>", "" },

    /* addresses of ours */
    { "\"erika@local.example\" <e@x.test>", "address at local.example named, at x.test" },
    { "\"Erika (erika@local.example)\" <e@x.test>", "address at local.example named, at x.test" },
    { "=?utf-8?q?erika=40local=2Eexample?= <e@x.test>", "address at local.example named, at x.test" },
    { "\"write to erika@local.example.\" <e@x.test>", "address at local.example named, at x.test" },
    { "\"erika@LOCAL.example\" <e@x.test>", "address at local.example named, at x.test" },
    { "\"erika@local.example\" <e@local.example>", "" },
    { "\"erika@other.test\" <e@x.test>", "" },
    { "\"e@x.test\" <e@x.test>", "" },
    { "\"e@x.test\" <e@mail.x.test>", "" },
    { "\"Erika @ Home\" <e@x.test>", "" },
    { "\"@\" <e@x.test>", "" },
    { "\"e@[192.0.2.1]\" <e@x.test>", "" },
};
/* clang-format on */

static void knows_people(void)
{
    struct policy policy = make_policy(RULE_REJECT);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].from);
        judge_from(&policy, rows[i].from);
        expect_reason(rows[i].reason);
    }
}

/* A finding, and nothing held against it. */
static void tells_other_addresses(void)
{
    struct policy policy = make_policy(RULE_REJECT);
    bool found = false;

    judge_from(&policy, "\"a@other.test\" <e@x.test>");
    for (size_t i = 0; i < outcome.findings; i++)
        found = found || strcmp(outcome.finding[i].result, "other-address") == 0;
    CHECK(found);
    expect_reason("");
}

/* ---- domains ---- */

static void knows_domains(void)
{
    static const struct row table[] = {
        { "a@acme-w0rks.de", "From domain acme-w0rks.de resembles acme-works.de (letters)" },
        { "a@mail.acme-w0rks.de", "From domain mail.acme-w0rks.de resembles acme-works.de (letters)" },
        { "a@acme-works.com", "From domain acme-works.com resembles acme-works.de (ending)" },
        { "a@acme-work.de", "From domain acme-work.de resembles acme-works.de (typing)" },
        { "a@acme-works-jobs.de", "From domain acme-works-jobs.de resembles acme-works.de (words)" },
        { "a@acme-works.de.x.test", "From domain acme-works.de.x.test resembles acme-works.de (prefix)" },
        { "a@xn--cme-works-zyh.de", "From domain xn--cme-works-zyh.de resembles acme-works.de (letters)" },
        { "a@acme-works.de", "" },
        { "a@mail.acme-works.de", "" },
        { "a@acme-works.ch", "" },
        { "a@mail.acme-works.ch", "" },
        { "a@local.example", "" },
        { "a@bel0w.test", "" }, /* a wildcard is no name */
        { "a@x.below.test", "" },
        { "a@x.test", "" },
        { "a@x.test\r\nReply-To: b@acme-w0rks.de", "Reply-To domain acme-w0rks.de resembles acme-works.de (letters)" },
        { "a@x.test\r\nReply-To: b@x.test, B <b@acme-w0rks.de>",
          "Reply-To domain acme-w0rks.de resembles acme-works.de (letters)" },
        { "a@x.test\r\nReply-To: b@acme-works.de", "" },
        { "a@x.test\r\nReply-To: b@[192.0.2.1], <>, b", "" },
    };
    struct policy policy = make_policy(RULE_REJECT);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_ROW(table[i].from);
        judge_from(&policy, table[i].from);
        expect_reason(table[i].reason);
    }
}

static void judge_sender(const struct policy *policy, const char *sender)
{
    static char room[PATH_ROOM];
    struct path path;
    struct envelope envelope = { .mail_from = &path };
    size_t used;

    CHECK_EQ_INT(path_parse(str_of(sender), PATH_REVERSE, PATH_UTF8, room, &path, &used), PATH_OK);
    judge_stage(policy, AT_RCPT, &envelope, STR(""), sizeof memory);
}

static void judges_the_envelope(void)
{
    static const struct row table[] = {
        { "<a@acme-w0rks.de>", "MAIL FROM domain acme-w0rks.de resembles acme-works.de (letters)" },
        { "<a@ACME-W0RKS.de>", "MAIL FROM domain acme-w0rks.de resembles acme-works.de (letters)" },
        { "<a@\xc3\xa4"
          "cme-works.de>",
          "MAIL FROM domain xn--cme-works-u2a.de resembles acme-works.de (letters)" },
        { "<a@acme-works.de>", "" },
        { "<a@x.test>", "" },
        { "<>", "" },
        { "<a@[192.0.2.1]>", "" },
    };
    struct policy policy = make_policy(RULE_REJECT);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_ROW(table[i].from);
        judge_sender(&policy, table[i].from);
        expect_reason(table[i].reason);
    }
}

/* Left out, the local domains are protected; more than 500 are not. */
static void protects_local_domains(void)
{
    static struct domain_entry many[501];
    struct policy policy = make_policy(RULE_REJECT);

    policy.lookalike.protected.n = 0;
    policy.relay.domains = (struct domain_set){ protected, 1 };
    judge_from(&policy, "a@acme-w0rks.de");
    expect_reason("From domain acme-w0rks.de resembles acme-works.de (letters)");

    for (size_t i = 0; i < 501; i++)
        many[i] = protected[0];
    policy.relay.domains = (struct domain_set){ many, 500 };
    judge_from(&policy, "a@acme-w0rks.de");
    expect_reason("From domain acme-w0rks.de resembles acme-works.de (letters)");
    policy.relay.domains.n = 501;
    judge_from(&policy, "a@acme-w0rks.de");
    expect_reason("");
}

/* ---- modes ---- */

static void scores(void)
{
    struct policy policy = make_policy(RULE_SCORE);

    judge(&policy, STR("From: Erika Mustermann <a@acme-w0rks.de>\r\nReply-To: b@acme-works.com\r\n\r\n"));
    expect_reason("");
    CHECK_EQ_INT(outcome.scores.n, 2);
    CHECK_EQ_STR(outcome.scores.item[0].check, strlen(outcome.scores.item[0].check), "lookalike");
    CHECK_EQ_INT(outcome.scores.item[0].points, 5);
    CHECK_EQ_STR(outcome.scores.item[1].check, strlen(outcome.scores.item[1].check), "impersonation");
}

static void is_off(void)
{
    struct policy policy = make_policy(RULE_OFF);

    judge_from(&policy, "Erika Mustermann <a@acme-w0rks.de>");
    expect_reason("");
    CHECK_EQ_INT(outcome.scores.n, 0);
    CHECK_EQ_INT(outcome.findings, 1); /* the author's */
}

static void lets_others_through(void)
{
    static const struct envelope authenticated = { .is_authenticated = true }, postmaster = { .only_postmaster = true };
    struct policy policy = make_policy(RULE_REJECT);
    struct str header = STR("From: Erika Mustermann <a@acme-w0rks.de>\r\n\r\n");

    judge_stage(&policy, AT_HEADERS, &authenticated, header, sizeof memory);
    expect_reason("");
    judge_stage(&policy, AT_HEADERS, &postmaster, header, sizeof memory);
    expect_reason("");
}

/* However little there is: a refusal, for now or for good. */
static void bears_short_memory(void)
{
    static const struct envelope envelope = { .rcpt_accepted = 1 };
    struct policy policy = make_policy(RULE_REJECT);

    for (size_t room = 0; room < 20000; room += 97) {
        judge_stage(&policy, AT_HEADERS, &envelope, STR("From: Erika Mustermann <a@acme-w0rks.de>\r\n\r\n"), room);
        CHECK(outcome.verdict.code == 451 || outcome.verdict.code == 550);
    }
}

/* ---- the parts ---- */

static void reads_names(void)
{
    static const struct {
        const char *raw, *text;
    } table[] = {
        { "", "" },
        { "a b", "a b" },
        { "\"a \\\"b\\\" c\"", "a \"b\" c" },
        { "=?utf-8?q?a=20b_c?=", "a b c" },
        { "=?utf-8?q?a?=  =?utf-8?q?b?=", "ab" },
        { "=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c" },
        { "=?utf-8?b?YWJj?=", "abc" },
        { "=?utf-8?b?YW Jj?=", "abc" },
        { "=?utf-8?q?a=?=", "a=" },
        { "=?utf-8?q?=4?=", "=4" },
        { "=?utf-8?q?a", "=?utf-8?q?a" },
        { "=?utf-8?q", "=?utf-8?q" },
        { "=?", "=?" },
        { "=", "=" },
        { "=?=?utf-8?q?a?=", "=?a" },
        { "=?utf-8??a?=", "=?utf-8??a?=" },
        { "=?windows-1252?q?=8A=9E=80?=", "\xc5\xa0\xc5\xbe\xef\xbf\xbd" },
        { "=?iso-8859-15?q?=A6=BE?=", "\xc5\xa0\xc5\xb8" },
        { "=?koi8-r?q?=C1=E1=A3=B3=DF?=", "\xd0\xb0\xd0\x90\xd1\x91\xd0\x81\xd1\x8a" },
        { "=?windows-1251?q?=E0=C0=B8=A8?=", "\xd0\xb0\xd0\x90\xd1\x91\xd0\x81" },
        { "=?iso-8859-5?q?=D0=B0=F1=A1?=", "\xd0\xb0\xd0\x90\xd1\x91\xd0\x81" },
        { "=?iso-8859-7?q?=E1=C1?=", "\xce\xb1\xce\x91" },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char room[DISPLAY_NAME_MAX];
        struct str text = display_name_read(str_of(table[i].raw), room);

        CHECK_ROW(table[i].raw);
        CHECK_EQ_STR(text.p, text.n, table[i].text);
    }
}

/* At the bound. */
static void cuts_long_names(void)
{
    static char raw[DISPLAY_NAME_MAX + 2], room[DISPLAY_NAME_MAX];

    memset(raw, 'a', sizeof raw);
    CHECK_EQ_INT(display_name_read(str_from(raw, DISPLAY_NAME_MAX), room).n, DISPLAY_NAME_MAX);
    CHECK_EQ_INT(display_name_read(str_from(raw, DISPLAY_NAME_MAX + 1), room).n, DISPLAY_NAME_MAX);
}

static void finds_names_of_mailboxes(void)
{
    static const struct {
        const char *field, *first, *second;
    } table[] = {
        { "a@b", "", NULL },
        { "<a@b>", "", NULL },
        { "A <a@b>", "A", NULL },
        { "A\t< a@b >", "A", NULL },
        { "\"A, B\" <a@b> (c), D <d@e>", "\"A, B\"", "D" },
        { "a@b (A), <d@e> (D)", "(A)", "(D)" },
        { "a@b <a@b>", "", "a@b" },
        { "g: A <a@b>, d@e;", "A", "" },
        { "(x) A <a@b>", "A", NULL },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct mailbox_list list;
        struct mailbox mailbox;
        struct str name;

        CHECK_ROW(table[i].field);
        mailbox_list_init(&list, str_of(table[i].field));
        CHECK(mailbox_next(&list, &mailbox));
        name = mailbox_name(&mailbox);
        CHECK_EQ_STR(name.p, name.n, table[i].first);
        CHECK_EQ_INT(mailbox_next(&list, &mailbox), table[i].second != NULL);
        if (table[i].second == NULL)
            continue;
        name = mailbox_name(&mailbox);
        CHECK_EQ_STR(name.p, name.n, table[i].second);
    }
}

static const struct test_case tests[] = {
    TEST(knows_people),
    TEST(tells_other_addresses),
    TEST(knows_domains),
    TEST(judges_the_envelope),
    TEST(protects_local_domains),
    TEST(scores),
    TEST(is_off),
    TEST(lets_others_through),
    TEST(bears_short_memory),
    TEST(reads_names),
    TEST(cuts_long_names),
    TEST(finds_names_of_mailboxes),
};

TEST_MAIN(tests)
