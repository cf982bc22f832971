/* The relay check: ATTACKS D, row by row, through the parser and the policy as a session would. */
#include "policy/policy.h"

#include "test.h"

/* ---- the operator: local.example, and its sub-domain with an umlaut ---- */

static struct domain_entry domains[] = {
    { STR_INIT("local.example"), false },
    { STR_INIT("xn--mnchen-3ya.example"), false },
    { STR_INIT("below.example"), true },
};
static struct network trusted;

enum who { STRANGER, RELAY_CLIENT, AUTHENTICATED };

static struct policy make_policy(void)
{
    struct policy policy = { .relay.domains = { domains, sizeof domains / sizeof *domains } };

    domain_set_sort(&policy.relay.domains);
    CHECK(network_parse(STR("192.0.2.0/24"), &trusted));
    policy.relay.networks = (struct network_list){ &trusted, 1 };
    return policy;
}

static struct envelope make_envelope(enum who who, const struct path *rcpt)
{
    struct envelope envelope = { .rcpt = rcpt, .is_authenticated = who == AUTHENTICATED };
    struct str from = who == RELAY_CLIENT ? STR("192.0.2.25") : STR("198.51.100.7");

    CHECK(address_parse(from, &envelope.client.address));
    return envelope;
}

/* ---- what comes of a recipient ---- */

enum { SYNTAX = -1 /* the parser refuses it: 501 or 553 by the session */ };

static struct outcome outcome;
static char memory[4096];

static int judge_path(const struct policy *policy, enum who who, const struct path *path)
{
    struct envelope envelope = make_envelope(who, path);
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate(policy, AT_RCPT, &envelope, NULL, NULL, &arena, &outcome);
    CHECK(outcome.decided);
    return outcome.verdict.code;
}

static int judge(const struct policy *policy, enum who who, struct str rcpt)
{
    char room[PATH_ROOM];
    struct path path;
    size_t used;

    if (path_parse(rcpt, PATH_FORWARD, PATH_UTF8, room, &path, &used) != PATH_OK || used != rcpt.n)
        return SYNTAX;
    return judge_path(policy, who, &path);
}

/* clang-format off */
static const struct row {
    struct str rcpt;
    int stranger, relay_client, percent; /* the last: a stranger where allow_percent is on */
} rows[] = {
    { STR_INIT("<v@local.example>"), 0, 0, 0 },
    { STR_INIT("<v@LOCAL.EXAMPLE>"), 0, 0, 0 },
    { STR_INIT("<v@local.example.>"), 0, 0, 0 },
    { STR_INIT("<\"v\"@local.example>"), 0, 0, 0 },
    { STR_INIT("<\"v w\"@local.example>"), 0, 0, 0 },
    { STR_INIT("<postmaster>"), 0, 0, 0 },
    { STR_INIT("<PostMaster>"), 0, 0, 0 },
    { STR_INIT("<postmaster@local.example>"), 0, 0, 0 },
    { STR_INIT("<v@m\xc3\xbcnchen.example>"), 0, 0, 0 },
    { STR_INIT("<v@xn--mnchen-3ya.example>"), 0, 0, 0 },
    { STR_INIT("<v@XN--MNCHEN-3YA.example>"), 0, 0, 0 },
    { STR_INIT("<v@x.below.example>"), 0, 0, 0 },
    { STR_INIT("<v@y.x.below.example>"), 0, 0, 0 },

    { STR_INIT("<v@other.example>"), 550, 0, 550 },
    { STR_INIT("<postmaster@other.example>"), 550, 0, 550 },
    { STR_INIT("<v@localhost>"), 550, 0, 550 },
    { STR_INIT("<v@local.example.other.example>"), 550, 0, 550 },
    { STR_INIT("<v@xlocal.example>"), 550, 0, 550 },
    { STR_INIT("<v@mx.local.example>"), 550, 0, 550 },
    { STR_INIT("<v@example>"), 550, 0, 550 },
    { STR_INIT("<v@below.example>"), 550, 0, 550 },
    { STR_INIT("<v@xn--bcher-kva.example>"), 550, 0, 550 },
    { STR_INIT("<v@b\xc3\xbc" "cher.example>"), 550, 0, 550 },

    { STR_INIT("<v@[192.0.2.1]>"), 550, 0, 550 },
    { STR_INIT("<v@[127.0.0.1]>"), 550, 0, 550 },
    { STR_INIT("<postmaster@[127.0.0.1]>"), 550, 0, 550 },
    { STR_INIT("<v@[IPv6:::1]>"), 550, 0, 550 },

    { STR_INIT("<v%other.example@local.example>"), 550, 550, 0 },
    { STR_INIT("<other.example!v@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"v@other.example\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"v%other.example\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"v\\@other.example\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"v\\%other.example\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"other.example!v\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<\"@local.example:v@other.example\"@local.example>"), 550, 550, 0 },
    { STR_INIT("<%@local.example>"), 550, 550, 0 },
    { STR_INIT("<v%local.example@other.example>"), 550, 550, 550 },
    { STR_INIT("<v%x@[192.0.2.1]>"), 550, 550, 550 },

    { STR_INIT("<@local.example:v@other.example>"), 550, 550, 550 },
    { STR_INIT("<@other.example:v@local.example>"), 550, 550, 550 },
    { STR_INIT("<@local.example,@local.example:v@local.example>"), 550, 550, 550 },

    { STR_INIT("<\"v@other.example\">"), 550, 550, 553 },
    { STR_INIT("<v@other.example@local.example>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@local.example@other.example>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@local.example\0.other.example>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@other.example,v@local.example>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("v@local.example v@other.example"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("< v@local.example >"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@local.example..>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@local.example>>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@local\xef\xbc\x8e" "example>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@[local.example]>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<v@>"), SYNTAX, SYNTAX, SYNTAX },
    { STR_INIT("<@local.example>"), SYNTAX, SYNTAX, SYNTAX },
};
/* clang-format on */

/* A refusal is a whole reply: class digits agree, the text is one printable line (ORACLE P-7, F-7). */
static void check_reply(const struct verdict *verdict)
{
    CHECK(verdict->code < 500 ? verdict->enhanced[0] == '4' : verdict->enhanced[0] == '5');
    CHECK(verdict->action == ACTION_REJECT);
    CHECK(strcmp(verdict->check, "relay") == 0);
    CHECK(verdict->reason.n > 0 && verdict->text.n > 0);
    for (size_t i = 0; i < verdict->text.n; i++)
        CHECK(verdict->text.p[i] >= ' ' && verdict->text.p[i] <= '~');
}

static void each_form_of_recipient_has_one_answer(void)
{
    struct policy policy = make_policy(), percent = policy;

    percent.relay.allow_percent = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].rcpt.p);
        CHECK_EQ_INT(judge(&policy, STRANGER, rows[i].rcpt), rows[i].stranger);
        if (rows[i].stranger > 0)
            check_reply(&outcome.verdict);
        CHECK_EQ_INT(judge(&policy, RELAY_CLIENT, rows[i].rcpt), rows[i].relay_client);
        CHECK_EQ_INT(judge(&policy, AUTHENTICATED, rows[i].rcpt), rows[i].relay_client);
        CHECK_EQ_INT(judge(&percent, STRANGER, rows[i].rcpt), rows[i].percent);
    }
}

static void check_verdict(enum who who, struct str rcpt, const char *enhanced, const char *text, const char *reason)
{
    struct policy policy = make_policy();
    const struct verdict *verdict = &outcome.verdict;

    judge(&policy, who, rcpt);
    CHECK_EQ_STR(verdict->enhanced, strlen(verdict->enhanced), enhanced);
    CHECK_EQ_STR(verdict->text.p, verdict->text.n, text);
    CHECK_EQ_INT(outcome.findings, 1);
    CHECK_EQ_STR(outcome.finding[0].detail.p, outcome.finding[0].detail.n, reason);
}

static void the_reason_names_the_rule_and_the_domain(void)
{
    check_verdict(STRANGER, STR("<v@Other.example>"), "5.7.1", "Relaying denied", "not-local: Other.example");
    check_verdict(STRANGER, STR("<v@local.example>"), "", "", "local: local.example");
    check_verdict(RELAY_CLIENT, STR("<v@other.example>"), "", "", "relay-client: other.example");
    check_verdict(AUTHENTICATED, STR("<v@[192.0.2.1]>"), "", "", "authenticated: [192.0.2.1]");
    check_verdict(STRANGER, STR("<v@[192.0.2.1]>"), "5.7.1", "Relaying denied to an address literal",
                  "address-literal: [192.0.2.1]");
    check_verdict(STRANGER, STR("<@a.example:v@local.example>"), "5.7.1", "Source routes are not accepted",
                  "source-route: local.example");
    check_verdict(STRANGER, STR("<v%x@local.example>"), "5.7.1", "Recipient address holds a route to another host",
                  "rerouted: local.example");
    check_verdict(STRANGER, STR("<postmaster>"), "", "", "postmaster: postmaster");
}

/* <user> is no forward-path of RFC 5321, so the path comes by hand here. */
static struct path unqualified(const char *local)
{
    return (struct path){ .text = str_of(local), .local = str_of(local), .unquoted = str_of(local) };
}

static void only_postmaster_goes_without_a_domain(void)
{
    struct policy policy = make_policy();
    struct path user = unqualified("user"), master = unqualified("POSTMASTER");
    struct path percent = unqualified("user%other.example");

    CHECK_EQ_INT(judge_path(&policy, STRANGER, &user), 553);
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "5.1.3");
    CHECK_EQ_INT(judge_path(&policy, RELAY_CLIENT, &user), 553);
    CHECK_EQ_INT(judge_path(&policy, STRANGER, &master), 0);
    policy.relay.allow_unqualified = true;
    CHECK_EQ_INT(judge_path(&policy, STRANGER, &user), 0);
    CHECK_EQ_INT(judge_path(&policy, STRANGER, &percent), 550);
}

static void no_recipient_is_refused(void)
{
    struct policy policy = make_policy();
    struct path null = { .is_null = true };

    CHECK_EQ_INT(judge_path(&policy, AUTHENTICATED, NULL), 553);
    CHECK_EQ_INT(judge_path(&policy, AUTHENTICATED, &null), 553);
}

static void without_local_domains_nothing_is_local(void)
{
    struct policy policy = { .relay.allow_percent = true };

    CHECK_EQ_INT(judge(&policy, STRANGER, STR("<v@local.example>")), 550);
    CHECK_EQ_INT(judge(&policy, RELAY_CLIENT, STR("<v@local.example>")), 550);
    CHECK_EQ_INT(judge(&policy, STRANGER, STR("<postmaster>")), 0);
}

/* Without room for the reason the verdict stays what it is. */
static void a_full_arena_changes_no_verdict(void)
{
    struct policy policy = make_policy();
    char room[PATH_ROOM], none[1];
    struct envelope envelope;
    struct arena arena;
    struct path path;

    CHECK_EQ_INT(path_parse(STR("<v@other.example>"), PATH_FORWARD, 0, room, &path, NULL), PATH_OK);
    envelope = make_envelope(STRANGER, &path);
    arena_init(&arena, none, sizeof none);
    policy_evaluate(&policy, AT_RCPT, &envelope, NULL, NULL, &arena, &outcome);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.verdict.code, 550);
    CHECK_EQ_INT(outcome.verdict.reason.n, 0);
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_form_of_recipient_has_one_answer),
    TEST(the_reason_names_the_rule_and_the_domain),
    TEST(only_postmaster_goes_without_a_domain),
    TEST(no_recipient_is_refused),
    TEST(without_local_domains_nothing_is_local),
    TEST(a_full_arena_changes_no_verdict),
};
/* clang-format on */
TEST_MAIN(tests)
