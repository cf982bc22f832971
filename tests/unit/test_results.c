/* The trace fields and the line for the log: RFC 8601, RFC 7208 9.1, RFC 6008, and ATTACKS E and M03: text of a stranger
 * stays text. tests/fuzz/fuzz_results.c reads the same fields back.
 */
#include "policy/results.h"

#include "test.h"

static char memory[1 << 15];
static struct arena arena;
static struct policy policy;
static struct envelope envelope;
static struct outcome outcome;
static struct path mail_from;

/* A message from user@example.org at 192.0.2.1, of which nothing is known yet. */
static void begin(void)
{
    arena_init(&arena, memory, sizeof memory);
    policy = (struct policy){ .hostname = STR_INIT("mx.example.net"),
                              .authserv_id = STR_INIT("mx.example.net"),
                              .dkim.check = true };
    mail_from = (struct path){ .text = STR_INIT("user@example.org"),
                               .unquoted = STR_INIT("user"),
                               .local = STR_INIT("user"),
                               .domain = STR_INIT("example.org") };
    envelope = (struct envelope){ .mail_from = &mail_from, .helo = STR_INIT("mail.example.org") };
    CHECK(address_parse(STR("192.0.2.1"), &envelope.client.address));
    outcome.auth = (struct authentication){ 0 };
    outcome.verdict = (struct verdict){ .enhanced = "", .check = "" };
}

static struct authentication *auth(void)
{
    return &outcome.auth;
}

static void set_spf(enum auth_result result)
{
    auth()->mail_from = (struct spf_result){ .result = result,
                                             .identity = "mailfrom",
                                             .domain = STR_INIT("example.org"),
                                             .sender = STR_INIT("user@example.org"),
                                             .mechanism = STR_INIT("include:_spf.example.org") };
}

static struct dkim_result *add_dkim(enum auth_result result)
{
    struct dkim_result *dkim = &auth()->dkim[auth()->dkim_n++];

    *dkim = (struct dkim_result){ .result = result,
                                  .domain = STR_INIT("example.org"),
                                  .selector = STR_INIT("s1"),
                                  .algorithm = STR_INIT("rsa-sha256"),
                                  .b = STR_INIT("oINEO8/=") };
    return dkim;
}

static void set_dmarc(enum auth_result result, const char *asked)
{
    auth()->dmarc = (struct dmarc_result){ .result = result,
                                           .domain = STR_INIT("example.org"),
                                           .policy = asked,
                                           .disposition = "",
                                           .aligned = "",
                                           .override = "" };
}

static struct str fields(void)
{
    return results_fields(&policy, &envelope, &outcome, &arena);
}

static void expect(const char *want)
{
    struct str got = fields();

    CHECK_EQ_STR(got.p, got.n, want);
}

/* The same with one blank for each fold. */
static void expect_unfolded(const char *want)
{
    static char flat[1 << 14];
    struct str got = fields();
    size_t n = 0;

    CHECK(got.n < sizeof flat);
    for (size_t i = 0; i < got.n; i++) {
        if (got.p[i] == '\r' && i + 2 < got.n)
            i += 9;
        flat[n++] = got.p[i];
    }
    CHECK_EQ_STR(flat, n, want);
}

/* ---- what is written about ordinary mail ---- */

static void says_nothing_where_nothing_ran(void)
{
    begin();
    expect("");
    CHECK(fields().p != NULL);
    set_spf(AUTH_PENDING);
    expect("");
}

static void says_nothing_of_what_is_off(void)
{
    begin();
    policy.dkim.check = false;
    set_spf(AUTH_PASS);
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=pass smtp.mailfrom=user@example.org\r\n");
}

static void says_none_where_nothing_can_be_told(void)
{
    begin();
    auth()->arc.result = AUTH_NONE;
    expect("Authentication-Results: mx.example.net; none\r\n");
}

static void reports_all_methods(void)
{
    begin();
    set_spf(AUTH_PASS);
    auth()->helo =
        (struct spf_result){ .result = AUTH_NONE, .identity = "helo", .domain = STR_INIT("mail.example.org") };
    add_dkim(AUTH_PASS);
    add_dkim(AUTH_FAIL)->reason = STR("body hash did not verify");
    auth()->dkim_ignored = 12;
    auth()->arc = (struct arc_result){ .result = AUTH_PASS, .sets = 2 };
    set_dmarc(AUTH_PASS, "reject");
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=pass smtp.mailfrom=user@example.org;\r\n"
           "        spf=none smtp.helo=mail.example.org;\r\n"
           "        dkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256\r\n"
           "        header.b=\"oINEO8/=\";\r\n"
           "        dkim=fail reason=\"body hash did not verify\" header.d=example.org\r\n"
           "        header.s=s1 header.a=rsa-sha256 header.b=\"oINEO8/=\";\r\n"
           "        dkim=policy reason=\"signatures beyond the limit: 12\";\r\n"
           "        arc=pass (i=2) smtp.remote-ip=192.0.2.1;\r\n"
           "        dmarc=pass header.from=example.org policy.dmarc=reject\r\n");
}

static void unsigned_mail_without_records(void)
{
    begin();
    set_spf(AUTH_NONE);
    set_dmarc(AUTH_NONE, "");
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=none smtp.mailfrom=user@example.org;\r\n"
           "        dkim=none;\r\n"
           "        dmarc=none header.from=example.org\r\n");
}

/* RFC 7208 2.4: the null path stands for postmaster at the HELO name. */
static void bounces_name_the_postmaster(void)
{
    begin();
    mail_from = (struct path){ .is_null = true };
    set_spf(AUTH_PASS);
    auth()->mail_from.sender = STR("postmaster@example.org");
    policy.spf.received_spf = true;
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=pass smtp.mailfrom=postmaster@example.org;\r\n"
           "        dkim=none\r\n"
           "Received-SPF: pass (the domain designates the client as permitted sender)\r\n"
           "        receiver=mx.example.net; identity=mailfrom; client-ip=192.0.2.1;\r\n"
           "        envelope-from=\"<>\"; mechanism=\"include:_spf.example.org\";\r\n"
           "        helo=mail.example.org\r\n");
    auth()->mail_from.identity = "helo";
    policy.spf.received_spf = false;
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=pass smtp.helo=example.org;\r\n"
           "        dkim=none\r\n");
}

static void errors_tell_why(void)
{
    begin();
    set_spf(AUTH_PERMERROR);
    auth()->mail_from.reason = STR("no \"all\"");
    set_dmarc(AUTH_TEMPERROR, "");
    auth()->dmarc.reason = STR("no answer");
    policy.spf.received_spf = true;
    CHECK(address_parse(STR("2001:db8::1"), &envelope.client.address));
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=permerror reason=\"no \\\"all\\\"\" smtp.mailfrom=user@example.org;\r\n"
           "        dkim=none;\r\n"
           "        dmarc=temperror reason=\"no answer\" header.from=example.org\r\n"
           "Received-SPF: permerror (the record of the domain cannot be interpreted)\r\n"
           "        receiver=mx.example.net; identity=mailfrom; client-ip=\"2001:db8::1\";\r\n"
           "        envelope-from=\"user@example.org\";\r\n"
           "        mechanism=\"include:_spf.example.org\"; problem=\"no \\\"all\\\"\";\r\n"
           "        helo=mail.example.org\r\n");
}

static void test_mode_shows_the_policy_that_applies(void)
{
    static const struct {
        const char *asked, *want;
    } rows[] = { { "reject", "quarantine" }, { "quarantine", "none" }, { "none", "none" } };

    for (size_t i = 0; i < 3; i++) {
        char want[200];

        begin();
        set_dmarc(AUTH_FAIL, rows[i].asked);
        auth()->dmarc.is_testing = true;
        snprintf(want, sizeof want,
                 "Authentication-Results: mx.example.net;\r\n        dkim=none;\r\n"
                 "        dmarc=fail header.from=example.org policy.dmarc=%s\r\n",
                 rows[i].want);
        expect(want);
    }
}

/* ---- X-Postern-Verdict ---- */

static const char *verdict_field(void)
{
    static char text[1000];
    struct str all = fields();
    const char *at;

    snprintf(text, sizeof text, "%.*s", STR_ARG(all));
    at = strstr(text, "X-Postern-Verdict");
    return at != NULL ? at : "";
}

static void quarantine_is_marked(void)
{
    begin();
    set_dmarc(AUTH_FAIL, "quarantine");
    outcome.verdict = (struct verdict){ .action = ACTION_QUARANTINE,
                                        .check = "dmarc",
                                        .reason = STR_INIT("SPF fail (not aligned), DKIM none") };
    CHECK_EQ_STR(verdict_field(), strlen(verdict_field()),
                 "X-Postern-Verdict: quarantine; check=dmarc; dmarc=fail;\r\n"
                 "        reason=\"SPF fail (not aligned), DKIM none\"\r\n");
}

static void overrides_say_what_would_have_been(void)
{
    begin();
    set_dmarc(AUTH_FAIL, "reject");
    auth()->dmarc.override = "monitor";
    auth()->dmarc.reason = STR("SPF fail");
    expect("Authentication-Results: mx.example.net;\r\n"
           "        dkim=none;\r\n"
           "        dmarc=fail reason=\"overridden: monitor\" header.from=example.org\r\n"
           "        policy.dmarc=reject\r\n"
           "X-Postern-Verdict: accept; check=dmarc; dmarc=fail; would=reject;\r\n"
           "        override=monitor; reason=\"SPF fail\"\r\n");
    policy.dmarc.quarantine = QUARANTINE_REJECT;
    auth()->dmarc.policy = "quarantine";
    CHECK(strstr(verdict_field(), "would=reject") != NULL);
    policy.dmarc.quarantine = QUARANTINE_REDIRECT;
    CHECK(strstr(verdict_field(), "would=quarantine") != NULL);
}

static void nothing_to_say_of_what_is_accepted(void)
{
    begin();
    set_dmarc(AUTH_PASS, "reject");
    CHECK_EQ_STR(verdict_field(), strlen(verdict_field()), "");
}

/* ---- hostile text ---- */

/* clang-format off */
static const struct address_row {
    const char *why;
    struct str local, domain;
    bool is_utf8;
    const char *want; /* behind "smtp.mailfrom=" */
} address_rows[] = {
    { "plain", STR_INIT("user"), STR_INIT("example.org"), false, "user@example.org" },
    { "signs that an atom may have", STR_INIT("a+b=c/d?e{f}"), STR_INIT("example.org"), false, "a+b=c/d?e{f}@example.org" },
    { "dots in a row", STR_INIT("a..b"), STR_INIT("example.org"), false, "\"a..b\"@example.org" },
    { "a dot in front", STR_INIT(".a"), STR_INIT("example.org"), false, "\".a\"@example.org" },
    { "a dot behind", STR_INIT("a."), STR_INIT("example.org"), false, "\"a.\"@example.org" },
    { "a blank", STR_INIT("a b"), STR_INIT("example.org"), false, "\"a b\"@example.org" },
    { "quotes", STR_INIT("a\"b"), STR_INIT("example.org"), false, "\"a\\\"b\"@example.org" },
    { "a backslash at the end", STR_INIT("a\\"), STR_INIT("example.org"), false, "\"a\\\\\"@example.org" },
    { "a result of its own", STR_INIT("x; dkim=pass header.d=bank.example"), STR_INIT("example.org"), false,
      "\"x; dkim=pass header.d=bank.example\"@example.org" },
    { "a comment", STR_INIT("x (evil"), STR_INIT("example.org"), false, "\"x (evil\"@example.org" },
    { "a second @", STR_INIT("a@b"), STR_INIT("example.org"), false, "\"a@b\"@example.org" },
    { "a line end", STR_INIT("a\r\nX-Evil: yes\r\n"), STR_INIT("example.org"), false, "\"a??X-Evil: yes??\"@example.org" },
    { "NUL and escape", STR_INIT("a\0\x1b[2J"), STR_INIT("example.org"), false, "\"a??[2J\"@example.org" },
    { "a tab", STR_INIT("a\tb"), STR_INIT("example.org"), false, "\"a?b\"@example.org" },
    { "UTF-8 where it may not be", STR_INIT("j\xc3\xbcrgen"), STR_INIT("example.org"), false, "\"j??rgen\"@example.org" },
    { "UTF-8 where it may", STR_INIT("j\xc3\xbcrgen"), STR_INIT("example.org"), true, "\"j\xc3\xbcrgen\"@example.org" },
    { "a broken character", STR_INIT("j\xc3(\xff"), STR_INIT("example.org"), true, "\"j?(?\"@example.org" },
    { "C1 controls and line separators", STR_INIT("a\xc2\x85" "b\xe2\x80\xa8" "c"), STR_INIT("example.org"), true,
      "\"a??b???c\"@example.org" },
    { "an underscore in the domain", STR_INIT("a"), STR_INIT("my_host.example"), false, "\"a@my_host.example\"" },
    { "a literal", STR_INIT("a"), STR_INIT("[192.0.2.1]"), false, "\"a@[192.0.2.1]\"" },
    { "no domain name at all", STR_INIT("a"), STR_INIT("x y;(\"\r\n"), false, "\"a@x y;(\\\"??\"" },
    { "no local part", STR_INIT(""), STR_INIT("example.org"), false, "example.org" },
};
/* clang-format on */

static void senders_stay_text(void)
{
    for (size_t i = 0; i < sizeof address_rows / sizeof *address_rows; i++) {
        const struct address_row *row = &address_rows[i];
        char want[400];

        CHECK_ROW(row->why);
        begin();
        set_spf(AUTH_PASS);
        mail_from.unquoted = row->local;
        auth()->mail_from.domain = row->domain;
        envelope.is_smtputf8 = row->is_utf8;
        snprintf(want, sizeof want, "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=%s; dkim=none\r\n",
                 row->want);
        expect_unfolded(want);
    }
}

/* clang-format off */
static const struct value_row {
    const char *why;
    struct str value;
    const char *want;
} value_rows[] = {
    { "a token", STR_INIT("s1._x-y"), "s1._x-y" },
    { "a slash", STR_INIT("a/b"), "\"a/b\"" },
    { "blanks and equal signs", STR_INIT("a=b c"), "\"a=b c\"" },
    { "semicolon", STR_INIT("x; spf=pass"), "\"x; spf=pass\"" },
    { "parentheses", STR_INIT("(x)"), "\"(x)\"" },
    { "an open comment", STR_INIT("x("), "\"x(\"" },
    { "a quote to leave by", STR_INIT("x\"; dmarc=pass header.from=\"bank.example"),
      "\"x\\\"; dmarc=pass header.from=\\\"bank.example\"" },
    { "a backslash before our quote", STR_INIT("x\\"), "\"x\\\\\"" },
    { "a new field", STR_INIT("x\r\nSubject: hello"), "\"x??Subject: hello\"" },
    { "a bare LF, a bare CR, NUL", STR_INIT("x\ny\rz\0"), "\"x?y?z?\"" },
    { "a fold", STR_INIT("x\r\n y"), "\"x?? y\"" },
    { "8-bit", STR_INIT("\xff\xfe"), "\"\?\?\"" },
    { "a format", STR_INIT("%s%n"), "%s%n" },
};
/* clang-format on */

/* d=, s=, a=, b= and the reason of a signature that is no domain name, no selector and no base64. */
static void signatures_stay_text(void)
{
    for (size_t i = 0; i < sizeof value_rows / sizeof *value_rows; i++) {
        const struct value_row *row = &value_rows[i];
        char want[600];

        CHECK_ROW(row->why);
        begin();
        *add_dkim(AUTH_PERMERROR) = (struct dkim_result){ .result = AUTH_PERMERROR,
                                                          .domain = row->value,
                                                          .selector = row->value,
                                                          .algorithm = row->value,
                                                          .b = row->value,
                                                          .reason = row->value };
        snprintf(want, sizeof want,
                 "Authentication-Results: mx.example.net; dkim=permerror reason=%s header.d=%s header.s=%s header.a=%s "
                 "header.b=%s\r\n",
                 row->want, row->want, row->want, row->want, row->want);
        expect_unfolded(want);
    }
}

static void helo_stays_text(void)
{
    begin();
    set_spf(AUTH_FAIL);
    policy.spf.received_spf = true;
    envelope.helo = STR("a\";\r\nX: (y");
    auth()->mail_from.mechanism = STR("");
    expect("Authentication-Results: mx.example.net;\r\n"
           "        spf=fail smtp.mailfrom=user@example.org;\r\n"
           "        dkim=none\r\n"
           "Received-SPF: fail (the domain does not designate the client as permitted\r\n"
           "        sender) receiver=mx.example.net; identity=mailfrom;\r\n"
           "        client-ip=192.0.2.1; envelope-from=\"user@example.org\";\r\n"
           "        helo=\"a\\\";??X: (y\"\r\n");
}

/* Whatever the length of a value, no line is longer than 998, and each ends in CRLF. */
static void long_values_are_cut(void)
{
    static char text[100000];
    struct str got;
    size_t column = 0, longest = 0;

    begin();
    memset(text, '"', sizeof text);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX; i++) {
        struct str value = str_from(text, i * 400 + 255);

        *add_dkim(AUTH_FAIL) = (struct dkim_result){
            .result = AUTH_FAIL, .domain = value, .selector = value, .b = value, .reason = value
        };
    }
    set_spf(AUTH_TEMPERROR);
    auth()->mail_from.reason = auth()->mail_from.domain = mail_from.unquoted = envelope.helo =
        str_from(text, sizeof text);
    policy.spf.received_spf = true;
    got = fields();
    CHECK(got.p != NULL);
    for (size_t i = 0; i < got.n; i++) {
        column = got.p[i] == '\n' ? 0 : column + 1;
        longest = column > longest ? column : longest;
        CHECK((got.p[i] == '\n') == (i > 0 && got.p[i - 1] == '\r'));
    }
    CHECK(longest <= 998);
    CHECK(got.n <= 20000); /* what a caller's arena should have room for */
}

static void a_full_arena_writes_nothing(void)
{
    struct str got;

    for (size_t size = 0; size < 400; size++) {
        begin();
        set_spf(AUTH_PASS);
        add_dkim(AUTH_PASS);
        set_dmarc(AUTH_PASS, "reject");
        arena_init(&arena, memory, size);
        got = fields();
        CHECK(got.p == NULL ? arena.used == 0 : got.n > 200 && got.n <= size);
    }
}

/* ---- the log ---- */

static void summary_is(const char *want)
{
    struct str got = results_summary(auth(), &arena);

    CHECK_EQ_STR(got.p, got.n, want);
}

static void summaries_are_one_line(void)
{
    begin();
    summary_is("");
    set_spf(AUTH_PASS);
    auth()->helo.result = AUTH_NONE;
    summary_is("spf=pass/example.org helo_spf=none dkim=none");
    add_dkim(AUTH_PASS);
    add_dkim(AUTH_FAIL)->domain = STR("evil.example");
    auth()->arc.result = AUTH_NONE;
    set_dmarc(AUTH_FAIL, "reject");
    auth()->dmarc.disposition = "none";
    auth()->dmarc.override = "list";
    summary_is(
        "spf=pass/example.org helo_spf=none dkim=pass/example.org,fail/evil.example arc=none dmarc=fail/example.org "
        "policy=reject disposition=none override=list");
}

static void summaries_escape_what_is_no_name(void)
{
    static char longer[1000];

    begin();
    add_dkim(AUTH_FAIL)->domain = STR("a b=\"c\",\r\n\x1b\0/\xff");
    summary_is("dkim=fail/a%20b%3d%22c%22%2c%0d%0a%1b%00%2f%ff");
    memset(longer, 'a', sizeof longer);
    auth()->dkim[0].domain = str_from(longer, sizeof longer);
    CHECK(results_summary(auth(), &arena).n < 120);
    arena_init(&arena, memory, 20);
    CHECK(results_summary(auth(), &arena).p == NULL);
}

static const struct test_case tests[] = {
    TEST(says_nothing_where_nothing_ran),
    TEST(says_nothing_of_what_is_off),
    TEST(says_none_where_nothing_can_be_told),
    TEST(reports_all_methods),
    TEST(unsigned_mail_without_records),
    TEST(bounces_name_the_postmaster),
    TEST(errors_tell_why),
    TEST(test_mode_shows_the_policy_that_applies),
    TEST(quarantine_is_marked),
    TEST(overrides_say_what_would_have_been),
    TEST(nothing_to_say_of_what_is_accepted),
    TEST(senders_stay_text),
    TEST(signatures_stay_text),
    TEST(helo_stays_text),
    TEST(long_values_are_cut),
    TEST(a_full_arena_writes_nothing),
    TEST(summaries_are_one_line),
    TEST(summaries_escape_what_is_no_name),
};
TEST_MAIN(tests)
