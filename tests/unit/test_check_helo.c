/* Names in HELO: RFC 5321 2.3.5, 4.1.1.1, 4.1.3, 4.1.4. */
#include "names_kit.h"

#define STRICT \
    "[helo]\nimpostor = reject\nliteral = reject\nunqualified = reject\nunresolvable = reject\nmismatch = reject\n" \
    "addresses = 198.18.7.0/24\n"

/* clang-format off */
static const struct row {
    const char *client, *helo, *known;
    const char *what; /* what the refusal says of the name; NULL: none */
    size_t asked;
} rows[] = {
    { "203.0.113.9", "host.example", "A host.example OK 203.0.113.9\n", NULL, 2 },
    { "203.0.113.9", "host.example", "A host.example OK 203.0.113.8 203.0.113.9\nAAAA host.example TEMP\n", NULL, 2 },
    { "203.0.113.9", "HOST.Example", "A host.example OK 203.0.113.9\n", NULL, 2 },
    { "2001:db8::9", "host.example", "AAAA host.example OK 2001:db8::9\n", NULL, 2 },
    { "203.0.113.9", "[203.0.113.9]", "", NULL, 0 },
    { "2001:db8::9", "[IPv6:2001:db8:0:0::9]", "", NULL, 0 },
    { "203.0.113.9", "[ipv6:::ffff:203.0.113.9]", "", NULL, 0 },
    { "203.0.113.9", "mx.below.local.example", "A mx.below.local.example OK 203.0.113.9\n", NULL, 2 }, /* of *.local.example */
    { "203.0.113.9", "mx.example.org.example", "A mx.example.org.example OK 203.0.113.9\n", NULL, 2 },

    { "203.0.113.9", "mx.example.org", "", "is our own name", 0 },
    { "203.0.113.9", "MX.EXAMPLE.ORG", "", "is our own name", 0 },
    { "203.0.113.9", "local.example", "A local.example OK 203.0.113.9\n", "is our own name", 0 },
    { "203.0.113.9", "[192.0.2.25]", "", "is our own address", 0 },
    { "203.0.113.9", "192.0.2.25", "", "is our own address", 0 },
    { "203.0.113.9", "[IPv6:2001:db8:25::25]", "", "is our own address", 0 },
    { "203.0.113.9", "[IPv6:::ffff:192.0.2.25]", "", "is our own address", 0 },
    { "203.0.113.9", "[127.0.0.1]", "", "is our own address", 0 },
    { "203.0.113.9", "[127.255.0.1]", "", "is our own address", 0 },
    { "203.0.113.9", "[IPv6:::1]", "", "is our own address", 0 },
    { "203.0.113.9", "[198.18.7.99]", "", "is our own address", 0 },
    { "127.0.0.1", "mx.example.org", "A mx.example.org OK 127.0.0.1\n", NULL, 2 },
    { "192.0.2.25", "[192.0.2.25]", "", NULL, 0 },
    { "198.18.7.1", "local.example", "A local.example OK 198.18.7.1\n", NULL, 2 },

    { "203.0.113.9", "[203.0.113.8]", "", "is not the client's address", 0 },
    { "203.0.113.9", "[IPv6:2001:db8::9]", "", "is not the client's address", 0 },
    { "203.0.113.9", "203.0.113.9", "", "is an address without brackets", 0 },
    { "203.0.113.9", "localhost", "A localhost OK 203.0.113.9\n", "is not a full name", 0 },
    { "203.0.113.9", "x", "", "is not a full name", 0 },
    { "203.0.113.9", "a_b.example", "A a_b.example OK 203.0.113.9\n", "is no host name", 0 },

    { "203.0.113.9", "gone.example", "", "has no address", 2 },
    { "203.0.113.9", "gone.example", "A gone.example NODATA\nAAAA gone.example NODATA\n", "has no address", 2 },
    { "203.0.113.9", "gone.example", "A gone.example OK 127.0.0.1 0.0.0.0\nAAAA gone.example OK ::1 ::\n", "has no address", 2 },
    { "203.0.113.9", "other.example", "A other.example OK 203.0.113.8\n", "does not lead to the client's address", 2 },
    { "203.0.113.9", "other.example", "A other.example OK 203.0.113.8\nAAAA other.example TEMP\n",
      "does not lead to the client's address", 2 },
    { "203.0.113.9", "six.example", "AAAA six.example OK 2001:db8::1\n", "does not lead to the client's address", 2 },

    { "203.0.113.9", "t.example", "A t.example TEMP\n", NULL, 2 },
    { "203.0.113.9", "t.example", "A t.example TEMP\nAAAA t.example OK 2001:db8::1\n", NULL, 2 },
    { "203.0.113.9", "t.example", "A t.example LIMIT\nAAAA t.example LIMIT\n", NULL, 2 },
};
/* clang-format on */

static void judges_names(void)
{
    kit_operator(STRICT);
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        const struct row *row = &rows[i / 2];
        const struct verdict *v;
        char reason[128] = "";

        CHECK_ROW(row->helo);
        if (row->what != NULL)
            snprintf(reason, sizeof reason, "HELO %s %s", row->helo, row->what);
        kit_client(row->client, row->helo, "<a@sender.example>", "<b@local.example>");
        v = kit_judge(&check_helo, AT_RCPT, row->known, i % 2 != 0);
        CHECK_EQ_INT(v->code, row->what != NULL ? 550 : 0);
        CHECK_EQ_STR(v->reason.p, v->reason.n, reason);
        CHECK_EQ_STR(v->text.p, v->text.n, reason);
        CHECK_EQ_INT(kit.facts.n, row->asked);
    }
}

static void no_answer_half_way_is_no_absence(void)
{
    kit_operator("[helo]\nunresolvable = reject\nmismatch = off\n");
    kit_client("203.0.113.9", "t.example", "<a@sender.example>", "<b@local.example>");
    CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "A t.example NODATA\nAAAA t.example TEMP\n", false)->code, 0);
    CHECK(kit_found("no-answer"));
    CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "A t.example NODATA\nAAAA t.example NODATA\n", false)->code, 550);
}

/* clang-format off */
static const struct mode_row {
    const char *helo, *ini;
    int code, points;
    size_t asked;
} mode_rows[] = {
    { "mx.example.org", "", 550, -1, 0 },
    { "[203.0.113.8]", "", 0, 3, 0 },
    { "x", "", 0, 2, 0 },
    { "gone.example", "", 0, 2, 2 },
    { "other.example", "", 0, 0, 2 }, /* told */
    { "mx.example.org", "[helo]\nimpostor = score\n", 0, 5, 0 },
    { "mx.example.org", "[helo]\nimpostor = score\nimpostor_weight = 9\n", 0, 9, 0 },
    { "[127.0.0.1]", "[helo]\nimpostor = off\n", 0, 3, 0 }, /* which is not its address either */
    { "x", "[helo]\nunqualified = off\n", 0, 2, 2 },        /* nor is there such a name */
    { "[203.0.113.8]", "[helo]\nliteral = off\n", 0, -1, 0 },
    { "gone.example", "[helo]\nunresolvable = off\nmismatch = off\n", 0, -1, 0 },
    { "gone.example", "[helo]\nunresolvable = off\n", 0, 0, 1 },
    { "other.example", "[helo]\nmismatch = off\n", 0, -1, 2 },
    { "other.example", "[helo]\nmismatch = score\nmismatch_weight = 6\n", 0, 6, 2 },
    { "mx.example.org", "[except friend]\nnetworks = 203.0.113.0/24\nchecks = helo\n", 0, -1, 0 },
    { "mx.example.org", "[except friend]\nnetworks = 203.0.113.0/24\nchecks = rdns\n", 550, -1, 0 },
};
/* clang-format on */

static void takes_it_as_the_operator_says(void)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof *mode_rows; i++) {
        const struct mode_row *row = &mode_rows[i];

        CHECK_ROW(row->helo);
        kit_operator(row->ini);
        kit_client("203.0.113.9", row->helo, "<a@sender.example>", "<b@local.example>");
        CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "A other.example OK 203.0.113.8\n", false)->code, row->code);
        CHECK_EQ_INT(kit_points(), row->points);
        CHECK_EQ_INT(kit.facts.n, row->asked);
    }
}

static void asks_ahead_and_waits_at_rcpt_only(void)
{
    kit_operator("");
    kit_client("203.0.113.9", "host.example", "<a@sender.example>", "<b@local.example>");
    kit_facts("");
    for (enum stage stage = AT_CONNECT; stage < AT_RCPT; stage++) {
        kit_pass(&check_helo, stage);
        CHECK_EQ_INT(kit.outcome.decided, true);
        CHECK_EQ_INT(kit.outcome.questions, stage == AT_CONNECT ? 0 : 2);
    }
    kit_pass(&check_helo, AT_RCPT);
    CHECK_EQ_INT(kit.outcome.decided, false);
    facts_close(&kit.facts);
    kit_pass(&check_helo, AT_RCPT);
    CHECK(kit.outcome.decided && kit.outcome.verdict.code == 0 && kit_points() == -1);
}

static void some_are_never_objected_to(void)
{
    kit_operator(STRICT);
    kit_client("198.51.100.7", "mx.example.org", "<a@sender.example>", "<b@local.example>"); /* [relay] networks */
    CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "", false)->code, 0);
    kit_client("203.0.113.9", "mx.example.org", "<a@sender.example>", "<b@local.example>");
    kit.envelope.is_authenticated = true;
    CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "", false)->code, 0);
    kit_client("203.0.113.9", "mx.example.org", "<a@sender.example>", "<Postmaster>");
    CHECK_EQ_INT(kit_judge(&check_helo, AT_RCPT, "", false)->code, 0);
    CHECK(kit_found("postmaster"));
    config_free(kit.config);
    kit.config = NULL;
}

static const struct test_case tests[] = {
    TEST(judges_names),
    TEST(no_answer_half_way_is_no_absence),
    TEST(takes_it_as_the_operator_says),
    TEST(asks_ahead_and_waits_at_rcpt_only),
    TEST(some_are_never_objected_to),
};

TEST_MAIN(tests)
