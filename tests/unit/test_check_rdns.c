/* Reverse DNS: RFC 8601 2.7.3 (iprev), RFC 7208 5.5 (ten names), RFC 7372 3.3 (the code). */
#include "names_kit.h"

#define PTR "PTR 9.113.0.203.in-addr.arpa "
#define STRICT "[rdns]\nmode = reject\nunconfirmed = reject\n"

/* clang-format off */
static const struct row {
    const char *label, *known;
    const char *reason; /* of a refusal; NULL: none */
    const char *finding;
} rows[] = {
    { "its name has its address", PTR "OK host.example\nA host.example OK 203.0.113.9\n", NULL, "pass" },
    { "among others", PTR "OK host.example\nA host.example OK 203.0.113.8 203.0.113.9\n", NULL, "pass" },
    { "the name in capitals and with its dot", PTR "OK Host.Example.\nA host.example OK 203.0.113.9\n", NULL, "pass" },
    { "the second of two names", PTR "OK a.example b.example\nA a.example OK 203.0.113.8\nA b.example OK 203.0.113.9\n", NULL, "pass" },
    { "the tenth name", PTR "OK 1.x 2.x 3.x 4.x 5.x 6.x 7.x 8.x 9.x 10.x 11.x\nA 10.x OK 203.0.113.9\n", NULL, "pass" },
    { "a name beside one without answer", PTR "OK a.example b.example\nA a.example TEMP\nA b.example OK 203.0.113.9\n", NULL, "pass" },
    { "no name", PTR "NXDOMAIN\n", "203.0.113.9 has no PTR record", "refused" },
    { "no record", PTR "NODATA\n", "203.0.113.9 has no PTR record", "refused" },
    { "another address", PTR "OK host.example\nA host.example OK 203.0.113.8\n",
      "PTR of 203.0.113.9 is host.example, which has other addresses or none", "refused" },
    { "a name that is none", PTR "OK host.example\n", "PTR of 203.0.113.9 is host.example, which has other addresses or none", "refused" },
    { "the eleventh name", PTR "OK 1.x 2.x 3.x 4.x 5.x 6.x 7.x 8.x 9.x 10.x 11.x\nA 11.x OK 203.0.113.9\n",
      "PTR of 203.0.113.9 is 1.x, which has other addresses or none", "refused" },
    { "the root", PTR "OK .\n", "PTR of 203.0.113.9 is no host name, which has other addresses or none", "refused" },
    { "bytes that are no name", PTR "OK \"a b\\x00\\xff\"\n", "PTR of 203.0.113.9 is no host name, which has other addresses or none",
      "refused" },
    { "the address of its mapped form only in AAAA", PTR "OK host.example\nAAAA host.example OK ::ffff:203.0.113.9\n",
      "PTR of 203.0.113.9 is host.example, which has other addresses or none", "refused" },
    { "no answer for PTR", PTR "TEMP\n", NULL, "no-answer" },
    { "no answer for its address", PTR "OK host.example\nA host.example TEMP\n", NULL, "no-answer" },
    { "no answer for one, another address for the other", PTR "OK a.example b.example\nA a.example TEMP\nA b.example OK 203.0.113.8\n",
      NULL, "no-answer" },
    { "over a cap", PTR "LIMIT\n", NULL, "no-answer" },
};
/* clang-format on */

static void confirms(void)
{
    kit_operator(STRICT);
    kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        const struct row *row = &rows[i / 2];
        const struct verdict *v = kit_judge(&check_rdns, AT_RCPT, row->known, i % 2 != 0);

        CHECK_ROW(row->label);
        CHECK_EQ_INT(v->code, row->reason != NULL ? 550 : 0);
        CHECK_EQ_STR(v->reason.p, v->reason.n, row->reason != NULL ? row->reason : "");
        CHECK_EQ_STR(v->enhanced, strlen(v->enhanced), row->reason != NULL ? "5.7.25" : "");
        CHECK(kit_found(row->finding));
    }
}

static void asks_for_no_more_than_ten_names(void)
{
    kit_operator(STRICT);
    kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
    kit_judge(&check_rdns, AT_RCPT, PTR "OK 1.x 2.x 3.x 4.x 5.x 6.x 7.x 8.x 9.x 10.x 11.x\n", false);
    CHECK_EQ_INT(kit.facts.n, 11);
    CHECK(kit_asked(ASK_A, "10.x") && !kit_asked(ASK_A, "11.x"));
}

static void an_ipv6_client_needs_aaaa(void)
{
    static const char ptr[] =
        "PTR 9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa OK six.example\n"
        "AAAA six.example OK 2001:db8::9\n";

    kit_operator(STRICT);
    kit_client("2001:db8::9", "helo.example", "<a@sender.example>", "<b@local.example>");
    CHECK_EQ_INT(kit_judge(&check_rdns, AT_RCPT, ptr, false)->code, 0);
    CHECK(kit_found("pass") && !kit_asked(ASK_A, "six.example"));
    CHECK_EQ_INT(kit_judge(&check_rdns, AT_RCPT, "", false)->code, 550);
}

static void asks_ahead_and_waits_at_rcpt_only(void)
{
    kit_operator("");
    kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
    kit_facts("");
    for (enum stage stage = AT_CONNECT; stage < AT_RCPT; stage++) {
        kit_pass(&check_rdns, stage);
        CHECK_EQ_INT(kit.outcome.decided, true);
        CHECK_EQ_INT(kit.outcome.questions, stage == AT_CONNECT ? 0 : 1); /* ORACLE D-7 */
    }
    kit_pass(&check_rdns, AT_RCPT);
    CHECK_EQ_INT(kit.outcome.decided, false);
    facts_close(&kit.facts);
    kit_pass(&check_rdns, AT_RCPT);
    CHECK(kit.outcome.decided && kit.outcome.verdict.code == 0 && kit_points() == -1);
}

/* clang-format off */
static const struct mode_row {
    const char *label, *ini, *known;
    int code, points;
} mode_rows[] = {
    { "by default, no name", "", "", 0, 3 },
    { "by default, unconfirmed", "", PTR "OK host.example\n", 0, 2 },
    { "weights of one's own", "[rdns]\nweight = 7\n", "", 0, 7 },
    { "of unconfirmed names", "[rdns]\nunconfirmed_weight = 8\n", PTR "OK host.example\n", 0, 8 },
    { "monitor", "[rdns]\nmode = monitor\n", "", 0, 0 },
    { "reject no name, and no more", "[rdns]\nmode = reject\n", PTR "OK host.example\n", 0, 2 },
    { "unconfirmed is off", "[rdns]\nunconfirmed = off\n", PTR "OK host.example\n", 0, -1 },
    { "no name is off", "[rdns]\nmode = off\nunconfirmed = reject\n", "", 0, -1 },
    { "but unconfirmed is not", "[rdns]\nmode = off\nunconfirmed = reject\n", PTR "OK host.example\n", 550, -1 },
    { "an exception", "[rdns]\nmode = reject\n[except friend]\nnetworks = 203.0.113.0/24\nchecks = rdns\n", "", 0, -1 },
};
/* clang-format on */

static void takes_it_as_the_operator_says(void)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof *mode_rows; i++) {
        const struct mode_row *row = &mode_rows[i];

        CHECK_ROW(row->label);
        kit_operator(row->ini);
        kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
        CHECK_EQ_INT(kit_judge(&check_rdns, AT_RCPT, row->known, false)->code, row->code);
        CHECK_EQ_INT(kit_points(), row->points);
    }
}

static void nobody_is_asked_about_these(void)
{
    static const char *const clients[] = { "198.51.100.7", "127.0.0.1", "10.1.2.3", "::1", "fe80::1", "fd00::1" };

    kit_operator(STRICT);
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        CHECK_ROW(clients[i]);
        kit_client(clients[i], "helo.example", "<a@sender.example>", "<b@local.example>");
        CHECK_EQ_INT(kit_judge(&check_rdns, AT_RCPT, "", false)->code, 0);
        CHECK_EQ_INT(kit.facts.n, 0);
    }
    kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<b@local.example>");
    kit.envelope.is_authenticated = true;
    kit_judge(&check_rdns, AT_RCPT, "", false);
    CHECK_EQ_INT(kit.facts.n, 0);
}

static void the_postmaster_hears_them(void)
{
    kit_operator(STRICT);
    kit_client("203.0.113.9", "helo.example", "<a@sender.example>", "<postmaster@local.example>");
    CHECK_EQ_INT(kit_judge(&check_rdns, AT_RCPT, "", false)->code, 0);
    CHECK(kit_found("postmaster"));
    config_free(kit.config);
    kit.config = NULL;
}

static const struct test_case tests[] = {
    TEST(confirms),
    TEST(asks_for_no_more_than_ten_names),
    TEST(an_ipv6_client_needs_aaaa),
    TEST(asks_ahead_and_waits_at_rcpt_only),
    TEST(takes_it_as_the_operator_says),
    TEST(nobody_is_asked_about_these),
    TEST(the_postmaster_hears_them),
};

TEST_MAIN(tests)
