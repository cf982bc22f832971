/* Senders that cannot be answered (RFC 5321 5.1, RFC 7505), and bounces. */
#include "names_kit.h"

#define STRICT "[sender]\ntemperror = tempfail\n"

/* clang-format off */
static const struct row {
    const char *from, *known;
    int code;
    const char *enhanced, *reason;
    size_t asked;
} rows[] = {
    { "<a@s.example>", "MX s.example OK \"10 mx.s.example\"\n", 0, "", "", 1 },
    { "<a@S.Example.>", "MX s.example OK \"10 mx.s.example\"\n", 0, "", "", 1 },
    { "<a@b\xc3\xbc" "cher.example>", "MX xn--bcher-kva.example OK \"10 mx.s.example\"\n", 0, "", "", 1 },
    { "<a@s.example>", "MX s.example NODATA\nA s.example OK 192.0.2.1\n", 0, "", "", 3 },
    { "<a@s.example>", "MX s.example NODATA\nAAAA s.example OK 2001:db8::1\n", 0, "", "", 3 },
    { "<a@s.example>", "MX s.example NODATA\nA s.example TEMP\nAAAA s.example OK 2001:db8::1\n", 0, "", "", 3 },

    { "<a@s.example>", "", 550, "5.1.8", "sender domain s.example does not exist", 1 },
    { "<a@s.example>", "MX s.example NODATA\nA s.example NODATA\nAAAA s.example NODATA\n", 550, "5.1.8",
      "sender domain s.example has no MX, A or AAAA record", 3 },
    { "<a@s.example>", "MX s.example NODATA\nA s.example OK 127.0.0.1 0.0.0.0\nAAAA s.example OK ::1\n", 550, "5.1.8",
      "sender domain s.example has no MX, A or AAAA record", 3 },
    { "<a@localhost>", "", 550, "5.1.8", "sender domain localhost does not exist", 1 },

    { "<a@s.example>", "MX s.example OK \"0 .\"\n", 550, "5.7.27", "sender domain s.example takes no mail (null MX)", 1 },
    { "<a@s.example>", "MX s.example OK \"0 .\"\nA s.example OK 192.0.2.1\n", 550, "5.7.27",
      "sender domain s.example takes no mail (null MX)", 1 },
    { "<a@s.example>", "MX s.example OK \"0 .\" \"10 mx.s.example\"\n", 0, "", "", 1 },
    { "<a@s.example>", "MX s.example OK \"0 mx.\"\n", 0, "", "", 1 },
    { "<a@s.example>", "MX s.example OK \".\"\n", 0, "", "", 1 }, /* no MX as we write it */

    { "<a@s.example>", "MX s.example TEMP\n", 451, "4.4.3", "sender domain s.example cannot be looked up now, try again later", 1 },
    { "<a@s.example>", "MX s.example NODATA\nA s.example NODATA\nAAAA s.example TEMP\n", 451, "4.4.3",
      "sender domain s.example cannot be looked up now, try again later", 3 },
    { "<a@s.example>", "MX s.example LIMIT\n", 451, "4.4.3", "sender domain s.example cannot be looked up now, try again later", 1 },

    { "<a@local.example>", "", 0, "", "", 0 },
    { "<a@below.local.example>", "", 0, "", "", 0 },
    { "<a@[192.0.2.1]>", "", 0, "", "", 0 },
    { "<>", "", 0, "", "", 0 },
};
/* clang-format on */

static void judges_domains(void)
{
    kit_operator(STRICT);
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        const struct row *row = &rows[i / 2];
        const struct verdict *v;

        CHECK_ROW(row->from);
        kit_client("203.0.113.9", "host.example", row->from, "<b@local.example>");
        v = kit_judge(&check_sender, AT_RCPT, row->known, i % 2 != 0);
        CHECK_EQ_INT(v->code, row->code);
        CHECK_EQ_STR(v->enhanced, strlen(v->enhanced), row->enhanced);
        CHECK_EQ_STR(v->reason.p, v->reason.n, row->reason);
        CHECK_EQ_INT(kit.facts.n, row->asked);
    }
}

/* RFC 5321 allows 255 octets, the DNS 253. */
static void a_domain_that_is_too_long_is_none(void)
{
    char from[300], label[64];

    memset(label, 'x', 63);
    label[63] = '\0';
    kit_operator("");
    snprintf(from, sizeof from, "<a@%s.%s.%s.%.61s>", label, label, label, label);
    kit_client("203.0.113.9", "host.example", from, "<b@local.example>");
    CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "* TEMP\n", false)->code, 0);
    CHECK_EQ_INT(kit.facts.n, 1);
    snprintf(from, sizeof from, "<a@%s.%s.%s.%.62s>", label, label, label, label);
    kit_client("203.0.113.9", "host.example", from, "<b@local.example>");
    CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "* TEMP\n", false)->code, 550);
    CHECK_EQ_STR(kit.outcome.verdict.reason.p, kit.outcome.verdict.reason.n,
                 "sender domain in MAIL FROM does not exist");
    CHECK_EQ_INT(kit.facts.n, 0);
}

#define NULL_MX "MX s.example OK \"0 .\"\n"
#define ALIEN "MX s.example TEMP\n"

/* clang-format off */
static const struct mode_row {
    const char *label, *ini, *known;
    int code, points;
    size_t asked;
} mode_rows[] = {
    { "by default, none", "", "", 550, -1, 1 },
    { "by default, null MX", "", NULL_MX, 550, -1, 1 },
    { "by default, no answer", "", ALIEN, 0, -1, 1 },
    { "exists scores", "[sender]\nexists = score\n", "", 0, 4, 1 },
    { "and a null MX refuses", "[sender]\nexists = score\n", NULL_MX, 550, -1, 1 },
    { "a weight of its own", "[sender]\nexists = score\nexists_weight = 7\n", "", 0, 7, 1 },
    { "null MX scores", "[sender]\nnull_mx = score\nnull_mx_weight = 6\n", NULL_MX, 0, 6, 1 },
    { "exists monitors", "[sender]\nexists = monitor\n", "", 0, 0, 1 },
    { "exists is off, none", "[sender]\nexists = off\n", "", 0, -1, 1 },
    { "exists is off, no MX", "[sender]\nexists = off\n", "MX s.example NODATA\n", 0, -1, 1 },
    { "exists is off, null MX", "[sender]\nexists = off\n", NULL_MX, 550, -1, 1 },
    { "null_mx is off", "[sender]\nnull_mx = off\n", NULL_MX, 0, -1, 1 },
    { "both are off", "[sender]\nnull_mx = off\nexists = off\n", NULL_MX, 0, -1, 0 },
    { "tempfail needs reject", "[sender]\nexists = score\ntemperror = tempfail\n", ALIEN, 0, -1, 1 },
    { "an exception", "[except friend]\nsenders = s.example\n", "", 0, -1, 1 },
};
/* clang-format on */

static void takes_it_as_the_operator_says(void)
{
    for (size_t i = 0; i < sizeof mode_rows / sizeof *mode_rows; i++) {
        const struct mode_row *row = &mode_rows[i];

        CHECK_ROW(row->label);
        kit_operator(row->ini);
        kit_client("203.0.113.9", "host.example", "<a@s.example>", "<b@local.example>");
        CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, row->known, false)->code, row->code);
        CHECK_EQ_INT(kit_points(), row->points);
        CHECK_EQ_INT(kit.facts.n, row->asked);
    }
}

static void asks_ahead_and_waits_at_rcpt_only(void)
{
    kit_operator("");
    kit_client("203.0.113.9", "host.example", "<a@s.example>", "<b@local.example>");
    kit_facts("");
    kit_pass(&check_sender, AT_MAIL);
    CHECK(kit.outcome.decided && kit.outcome.questions == 1);
    facts_answer(&kit.facts, kit.outcome.question[0], FACT_NODATA, NULL, 0);
    kit_pass(&check_sender, AT_MAIL);
    CHECK(kit.outcome.decided && kit.outcome.questions == 2);
    kit_pass(&check_sender, AT_RCPT);
    CHECK(!kit.outcome.decided);
}

static void some_are_never_objected_to(void)
{
    kit_operator(STRICT);
    kit_client("198.51.100.7", "host.example", "<a@s.example>", "<b@local.example>"); /* [relay] networks */
    CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "", false)->code, 0);
    CHECK_EQ_INT(kit.facts.n, 0);
    kit_client("203.0.113.9", "host.example", "<a@s.example>", "<b@local.example>");
    kit.envelope.is_authenticated = true;
    CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "", false)->code, 0);
    CHECK_EQ_INT(kit.facts.n, 0);
    kit_client("203.0.113.9", "host.example", "<a@s.example>", "<postmaster@local.example>");
    CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "", false)->code, 0);
    CHECK(kit_found("postmaster"));
}

/* ---- bounces ---- */

/* clang-format off */
static const struct bounce_row {
    const char *label, *ini, *from, *to;
    size_t accepted;
    int code, points;
} bounce_rows[] = {
    { "the first recipient", "", "<>", "<b@local.example>", 0, 0, -1 },
    { "the second", "", "<>", "<b@local.example>", 1, 550, -1 },
    { "the hundredth", "", "<>", "<b@local.example>", 99, 550, -1 },
    { "the second is the postmaster", "", "<>", "<postmaster@local.example>", 1, 0, -1 },
    { "of another sender", "", "<a@local.example>", "<b@local.example>", 1, 0, -1 },
    { "off", "[sender]\nbounces = off\nreceive_only = b@local.example\n", "<>", "<b@local.example>", 1, 0, -1 },
    { "monitor", "[sender]\nbounces = monitor\n", "<>", "<b@local.example>", 1, 0, 0 },
    { "score", "[sender]\nbounces = score\n", "<>", "<b@local.example>", 1, 0, 3 },
    { "an address that sends nothing", "[sender]\nreceive_only = b@local.example\n", "<>", "<b@local.example>", 0, 550, -1 },
    { "in other letters", "[sender]\nreceive_only = B@Local.example\n", "<>", "<b@LOCAL.example>", 0, 550, -1 },
    { "in quotes", "[sender]\nreceive_only = b@local.example\n", "<>", "<\"b\"@local.example>", 0, 550, -1 },
    { "a domain that sends nothing", "[sender]\nreceive_only = local.example\n", "<>", "<b@local.example>", 0, 550, -1 },
    { "no name below it", "[sender]\nreceive_only = local.example\n", "<>", "<b@x.local.example>", 0, 0, -1 },
    { "another address there", "[sender]\nreceive_only = a@local.example\n", "<>", "<b@local.example>", 0, 0, -1 },
    { "a longer one", "[sender]\nreceive_only = b@local.example\n", "<>", "<bb@local.example>", 0, 0, -1 },
    { "the same elsewhere", "[sender]\nreceive_only = b@local.example\n", "<>", "<b@x.local.example>", 0, 0, -1 },
    { "mail that is no bounce", "[sender]\nreceive_only = local.example\n", "<a@local.example>", "<b@local.example>", 0, 0, -1 },
    { "the postmaster there", "[sender]\nreceive_only = local.example\n", "<>", "<postmaster@local.example>", 0, 0, -1 },
    { "<postmaster> has no domain", "[sender]\nreceive_only = local.example\n", "<>", "<postmaster>", 0, 0, -1 },
};
/* clang-format on */

static void judges_bounces(void)
{
    for (size_t i = 0; i < sizeof bounce_rows / sizeof *bounce_rows; i++) {
        const struct bounce_row *row = &bounce_rows[i];

        CHECK_ROW(row->label);
        kit_operator(row->ini);
        kit_client("203.0.113.9", "host.example", row->from, row->to);
        kit.envelope.rcpt_accepted = row->accepted;
        CHECK_EQ_INT(kit_judge(&check_sender, AT_RCPT, "", false)->code, row->code);
        CHECK_EQ_INT(kit_points(), row->points);
        CHECK_EQ_INT(kit.facts.n, 0);
    }
}

static bool is_taken(const char *ini)
{
    char *said = NULL;
    size_t n = 0;
    FILE *errors = open_memstream(&said, &n);
    char text[512];
    int length = snprintf(text, sizeof text,
                          "[server]\nhostname = mx.example.org\n[backend]\nservers = 192.0.2.1\ntls = off\n"
                          "[listen a]\naddress = 127.0.0.1:25\ntls = off\n[relay]\ndomains = local.example\n%s",
                          ini);
    struct config *config = config_parse(str_from(text, (size_t)length), "test", errors);
    bool ok = config != NULL;

    fclose(errors);
    free(said);
    config_free(config);
    return ok;
}

static void reads_receive_only(void)
{
    static const char *const wrong[] = { "@local.example", "a@", "a@b@c", "a b@", "-.example", "a@[192.0.2.1]" };

    CHECK(is_taken("[sender]\nreceive_only = sales@local.example, local.example\n"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char ini[128];

        CHECK_ROW(wrong[i]);
        snprintf(ini, sizeof ini, "[sender]\nreceive_only = %s\n", wrong[i]);
        CHECK(!is_taken(ini));
    }
    config_free(kit.config);
    kit.config = NULL;
}

static const struct test_case tests[] = {
    TEST(judges_domains),
    TEST(a_domain_that_is_too_long_is_none),
    TEST(takes_it_as_the_operator_says),
    TEST(asks_ahead_and_waits_at_rcpt_only),
    TEST(some_are_never_objected_to),
    TEST(judges_bounces),
    TEST(reads_receive_only),
};

TEST_MAIN(tests)
