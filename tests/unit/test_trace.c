/* The Received field, dates, hops, and the header on its way south. */
#include "../../proxy/trace.h"

#include "../../policy/results.h"

#include <time.h>

#include "test.h"

static struct trace plain_trace(void)
{
    struct trace t = {
        .hostname = STR("gw.local.example"),
        .helo = STR("client.example"),
        .is_esmtp = true,
        .id = STR("ABC.1"),
        .now = 1795348800,
    };

    CHECK(address_parse(STR("192.0.2.1"), &t.client.address));
    return t;
}

static void received_says_who_what_and_when(void)
{
    char out[TRACE_MAX];
    struct trace t = plain_trace();
    size_t n = trace_received(&t, out);

    CHECK_EQ_STR(out, n,
                 "Received: from client.example ([192.0.2.1])\r\n\tby gw.local.example (Postern) with ESMTP\r\n"
                 "\tid ABC.1;\r\n\tSun, 22 Nov 2026 12:00:00 +0000\r\n");
}

static void received_names_tls_and_the_only_recipient(void)
{
    struct tls_facts tls = { "TLS1_3", "TLS_AES_256_GCM_SHA384" };
    char out[TRACE_MAX];
    struct trace t = plain_trace();
    size_t n;

    t.tls = &tls;
    t.is_authenticated = true;
    t.only_recipient = STR("v@local.example");
    CHECK(address_parse(STR("2001:db8::1"), &t.client.address));
    n = trace_received(&t, out);
    CHECK_EQ_STR(
        out, n,
        "Received: from client.example ([IPv6:2001:db8::1])\r\n\tby gw.local.example (Postern) with ESMTPSA\r\n"
        "\t(version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384)\r\n\tid ABC.1\r\n\tfor <v@local.example>;\r\n"
        "\tSun, 22 Nov 2026 12:00:00 +0000\r\n");
}

/* RFC 3848, RFC 6531 4.3. */
static void received_names_the_protocol(void)
{
    static const struct {
        bool esmtp, utf8, tls, auth;
        const char *with;
    } rows[] = {
        { false, false, false, false, " with SMTP\r\n" },   { true, false, false, false, " with ESMTP\r\n" },
        { true, false, true, false, " with ESMTPS\r\n" },   { true, false, false, true, " with ESMTPA\r\n" },
        { true, false, true, true, " with ESMTPSA\r\n" },   { true, true, false, false, " with UTF8SMTP\r\n" },
        { true, true, true, false, " with UTF8SMTPS\r\n" }, { true, true, true, true, " with UTF8SMTPSA\r\n" },
    };
    struct tls_facts tls = { "TLS1_2", "X" };
    char out[TRACE_MAX + 1];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct trace t = plain_trace();

        t.is_esmtp = rows[i].esmtp;
        t.is_utf8 = rows[i].utf8;
        t.is_authenticated = rows[i].auth;
        t.tls = rows[i].tls ? &tls : NULL;
        out[trace_received(&t, out)] = '\0';
        CHECK_ROW(rows[i].with);
        CHECK(strstr(out, rows[i].with) != NULL);
    }
}

static void the_longest_names_fit(void)
{
    char helo[255], host[255], rcpt[320], out[TRACE_MAX];
    struct tls_facts tls = { "TLS1_3", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" };
    struct trace t = plain_trace();
    size_t n;

    memset(helo, 'h', sizeof helo);
    memset(host, 'o', sizeof host);
    memset(rcpt, 'r', sizeof rcpt);
    t.helo = str_from(helo, sizeof helo);
    t.hostname = str_from(host, sizeof host);
    t.only_recipient = str_from(rcpt, sizeof rcpt);
    t.tls = &tls;
    n = trace_received(&t, out);
    CHECK(n > 830 && n < TRACE_MAX);
    CHECK(memcmp(out + n - 2, "\r\n", 2) == 0);
}

static void dates_are_those_of_the_c_library(void)
{
    char ours[32], theirs[64];

    for (int64_t day = -20000; day < 60000; day += 13) {
        int64_t now = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        time_t when = (time_t)now;
        struct tm tm;

        gmtime_r(&when, &tm);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S +0000", &tm);
        CHECK_EQ_STR(ours, trace_date(now, ours), theirs);
    }
}

static void hops_are_received_fields(void)
{
    CHECK_EQ_INT(trace_hops(STR("")), 0);
    CHECK_EQ_INT(trace_hops(STR("Received: a\r\nRECEIVED : b\r\n\tfold\r\nX-Received: c\r\nreceived:d\r\n")), 3);
}

struct rewrite {
    const char *what;
    const char *header;
    const char *out;
    unsigned removed;
};

/* RFC 8601 5: in any case, fold or comment form. */
static const struct rewrite rewrites[] = {
    { "nothing of ours", "A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n", 0 },
    { "ours goes", "A: 1\r\nAuthentication-Results: gw.local.example; spf=pass\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n", 1 },
    { "in any case", "AUTHENTICATION-results: GW.Local.Example; none\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "folded", "Authentication-Results:\r\n\tgw.local.example;\r\n spf=pass\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "behind a comment", "Authentication-Results: (a (b) \\) ) gw.local.example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "quoted", "Authentication-Results: \"gw.local.example\"; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "with a version", "Authentication-Results: gw.local.example 1; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "blank before the colon", "Authentication-Results : gw.local.example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "not readable", "Authentication-Results: (never closed gw.local.example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "another's stays", "Authentication-Results: mx.other.example; x\r\n",
      "Authentication-Results: mx.other.example; x\r\n", 0 },
    { "two at the ends",
      "Authentication-Results: gw.local.example; x\r\nA: 1\r\nAuthentication-Results: gw.local.example\r\n", "A: 1\r\n",
      2 },
    { "behind a line that is no field", "A: 1\r\nno field\r\nAuthentication-Results: gw.local.example; x\r\n",
      "A: 1\r\nno field\r\n", 1 },
    { "behind a first line that is a fold", " x\r\nAuthentication-Results: gw.local.example; x\r\n", " x\r\n", 1 },
    { "a comment within", "Authentication-Results: gw.local(x).example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "a fold within", "Authentication-Results: gw.local\r\n .example 1; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "quotes within", "Authentication-Results: gw.\"local\".example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "quoted pairs", "Authentication-Results: \"gw\\.local.example\"; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "a control before it", "Authentication-Results: \x0bgw.local.example; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "a dot behind it", "Authentication-Results: gw.local.example.; x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "a comment and a version", "Authentication-Results: gw.local.example(x)1(y); x\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "empty", "Authentication-Results:\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "only comments", "Authentication-Results: (a)\r\n (b)\r\nB: 2\r\n", "B: 2\r\n", 1 },
    { "our name in a value of another's", "Authentication-Results: mx.other.example; x=gw.local.example\r\n",
      "Authentication-Results: mx.other.example; x=gw.local.example\r\n", 0 },
    { "a name that ours begins", "Authentication-Results: gw.local.example.org; x\r\n",
      "Authentication-Results: gw.local.example.org; x\r\n", 0 },
    { "a name of nobody", "Authentication-Results: spf=pass (x) smtp.mailfrom=y; dkim=none\r\n",
      "Authentication-Results: spf=pass (x) smtp.mailfrom=y; dkim=none\r\n", 0 },
    { "Received-SPF", "A: 1\r\nReceived-SPF: pass (x) client-ip=192.0.2.1;\r\n\thelo=y\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n",
      1 },
    { "Received-SPF in any form", "RECEIVED-spf \t: pass\r\nreceived-SPF:\r\n (x) pass\r\nB: 2\r\n", "B: 2\r\n", 2 },
    { "X-Postern fields",
      "X-Postern-Verdict: accept\r\nx-postern-:\r\nX-POSTERN-Later : (x)\r\n\ty\r\nX-Posterny: 1\r\nX-Postern: 2\r\n",
      "X-Posterny: 1\r\nX-Postern: 2\r\n", 3 },
    { "results in a chain stay", "ARC-Authentication-Results: i=1; gw.local.example; spf=pass\r\n",
      "ARC-Authentication-Results: i=1; gw.local.example; spf=pass\r\n", 0 },
    { "results under another name stay", "X-Authentication-Results: gw.local.example; x\r\nX-Received-SPF: pass\r\n",
      "X-Authentication-Results: gw.local.example; x\r\nX-Received-SPF: pass\r\n", 0 },
    { "a field that begins with a dot is stuffed", "A: 1\r\n.x: 2\r\n", "A: 1\r\n..x: 2\r\n", 0 },
};

static void forged_results_do_not_go_south(void)
{
    for (size_t i = 0; i < sizeof rewrites / sizeof *rewrites; i++) {
        struct pool pool;
        struct chain out = { 0 };
        unsigned removed;

        CHECK_ROW(rewrites[i].what);
        pool_init(&pool, 1 << 20);
        CHECK(trace_put_header(str_of(rewrites[i].header), STR("gw.local.example"), false, &out, &pool, &removed));
        CHECK_EQ_STR(chain_front(&out).p, chain_front(&out).n, rewrites[i].out);
        CHECK_EQ_INT(removed, rewrites[i].removed);
        chain_clear(&out);
        pool_free(&pool);
    }
}

/* RFC 8616 4: an authserv-id may be written in U-labels. */
static void our_name_is_ours_in_either_form(void)
{
    static const struct {
        const char *value;
        bool is_ours;
    } rows[] = {
        { "m\xc3\xbcnchen.example; x", true },
        { "xn--mnchen-3ya.example; x", true },
        { "XN--MNCHEN-3YA.Example.; x", true },
        { "munchen.example; x", false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct header_field field = { .name = STR("Authentication-Results"), .value = str_of(rows[i].value) };

        CHECK_ROW(rows[i].value);
        CHECK_EQ_INT(results_is_ours(&field, STR("m\xc3\xbcnchen.example")), rows[i].is_ours);
        CHECK_EQ_INT(results_is_ours(&field, STR("xn--mnchen-3ya.example")), rows[i].is_ours);
    }
}

/* The longest value costs one walk, whatever it is full of. */
static void names_longer_than_ours_can_be_are_others(void)
{
    static char value[100000];
    struct header_field field = { .name = STR("Authentication-Results"), .value = str_from(value, sizeof value) };

    memset(value, 'a', sizeof value);
    CHECK(results_is_ours(&field, STR("gw.local.example"))); /* not readable: longer than any name */
    memset(value, '(', sizeof value);
    CHECK(results_is_ours(&field, STR("gw.local.example")));
    memset(value, 'a', 5);
    value[5] = ';';
    CHECK(!results_is_ours(&field, STR("gw.local.example")));
}

static const struct test_case tests[] = {
    TEST(received_says_who_what_and_when),
    TEST(received_names_tls_and_the_only_recipient),
    TEST(received_names_the_protocol),
    TEST(the_longest_names_fit),
    TEST(dates_are_those_of_the_c_library),
    TEST(hops_are_received_fields),
    TEST(forged_results_do_not_go_south),
    TEST(our_name_is_ours_in_either_form),
    TEST(names_longer_than_ours_can_be_are_others),
};
TEST_MAIN(tests)
