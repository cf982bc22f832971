/* The DKIM check from header to result, as a session would run it (RFC 6376 6; ATTACKS H01, H02, H06, H10, H12). */
#include "policy/body_hash.h"
#include "policy/policy.h"

#include "dkim_kit.h"
#include "test.h"

enum { NOW = 1600000000 };

static const struct check *const checks[] = { &check_dkim };
static struct policy policy = { .dkim = { .check = true, .signatures = 5, .min_bits = 1024 } };
static struct outcome outcome;
static struct fact table[FACTS_ROOM_MAX];
static char facts_memory[FACTS_ROOM_BYTES], memory[65536];
static struct facts facts;
static int64_t now;
static size_t arena_size;

static void begin(void)
{
    facts_init(&facts, table, FACTS_ROOM_MAX, facts_memory, sizeof facts_memory);
    now = NOW;
    arena_size = sizeof memory;
}

static void know(enum ask kind, struct str key, enum fact_state state, const char *value)
{
    struct str values[] = { str_of(value != NULL ? value : "") };

    facts_answer(&facts, (struct question){ kind, key }, state, values, value != NULL ? 1 : 0);
}

static void know_keys(void)
{
    know(ASK_TXT, STR("brisbane._domainkey.football.example.com"), FACT_OK, "v=DKIM1; k=ed25519; p=" KIT_ED_KEY);
    know(ASK_TXT, STR("test._domainkey.football.example.com"), FACT_OK, "v=DKIM1; k=rsa; p=" KIT_RSA_KEY);
}

static void pass_once(enum stage stage, struct str header)
{
    struct envelope envelope = { .now = now };
    struct message message = { .header = header, .size = header.n };
    struct arena arena;

    arena_init(&arena, memory, arena_size);
    policy_evaluate_with(checks, 1, &policy, stage, &envelope, &message, &facts, &arena, &outcome);
}

static void verify_jobs(void)
{
    for (size_t i = 0; i < outcome.jobs; i++)
        know(ASK_SIG, outcome.job[i].name, FACT_OK, signature_verify(&outcome.job[i]));
}

/* Rounds until it is decided; what is not known by then does not exist. */
static void evaluate(enum stage stage, struct str header)
{
    for (int round = 0; round < 10; round++) {
        pass_once(stage, header);
        if (outcome.decided)
            return;
        verify_jobs();
        for (size_t i = 0; i < outcome.questions; i++)
            know(outcome.question[i].kind, outcome.question[i].key, FACT_NXDOMAIN, NULL);
    }
    CHECK(outcome.decided);
}

static void hash(struct str header, struct str body)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, header, (size_t)policy.dkim.signatures);
    body_hashes_add(&hashes, body);
    body_hashes_end(&hashes, &facts);
}

static void check_result(size_t i, enum auth_result result, const char *reason)
{
    const struct dkim_result *r = &outcome.auth.dkim[i];

    CHECK(i < outcome.auth.dkim_n);
    CHECK_EQ_STR(auth_result_name(r->result), strlen(auth_result_name(r->result)), auth_result_name(result));
    CHECK_EQ_STR(r->reason.p, r->reason.n, reason);
    CHECK(outcome.verdict.action == ACTION_ACCEPT || !outcome.decided); /* it finds out, and refuses nothing */
}

static bool has_effect(size_t i, struct str key, uint64_t units)
{
    return i < outcome.effects && outcome.effect[i].kind == ASK_PAST && str_eq(outcome.effect[i].key, key) &&
           outcome.effect[i].units == units;
}

#define BOTH STR(KIT_ED_FIELD KIT_RSA_FIELD KIT_FIELDS)

/* ---- the example of RFC 8463 ---- */

static void the_example_of_rfc_8463_passes(void)
{
    begin();
    know_keys();
    evaluate(AT_HEADERS, BOTH);
    for (size_t i = 0; i < 2; i++) {
        check_result(i, AUTH_PASS, "");
        CHECK(outcome.auth.dkim[i].is_presumed && outcome.auth.dkim[i].best_is_pass);
    }
    hash(BOTH, STR(KIT_BODY));
    evaluate(AT_END, BOTH);
    for (size_t i = 0; i < 2; i++) {
        check_result(i, AUTH_PASS, "");
        CHECK(!outcome.auth.dkim[i].is_presumed && !outcome.auth.dkim[i].is_partial);
    }
    CHECK_EQ_INT(outcome.auth.dkim_n, 2);
    CHECK_EQ_INT(outcome.effects, 0);
}

static void the_report_says_who_signed(void)
{
    const struct dkim_result *r = &outcome.auth.dkim[1];

    the_example_of_rfc_8463_passes();
    CHECK_EQ_STR(r->domain.p, r->domain.n, "football.example.com");
    CHECK_EQ_STR(r->selector.p, r->selector.n, "test");
    CHECK_EQ_STR(r->algorithm.p, r->algorithm.n, "rsa-sha256");
    CHECK_EQ_STR(r->b.p, r->b.n, "F45dVWDf");
    CHECK_EQ_INT(r->key_bits, 1024);
    CHECK_EQ_INT(outcome.findings, 2);
    CHECK_EQ_STR(outcome.finding[1].detail.p, outcome.finding[1].detail.n,
                 "signature 2 by football.example.com, selector test, 1024 bits");
}

/* One name is asked for each, all in the first pass; then come the jobs, all in the second, and with them what a running
 * gateway remembers of each signature, so that no pass is for that alone; each is asked once.
 */
static void questions_go_out_together(void)
{
    begin();
    pass_once(AT_HEADERS, BOTH);
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.questions, 2);
    CHECK_EQ_INT(outcome.jobs, 0);
    check_result(0, AUTH_PENDING, "");
    know_keys();
    pass_once(AT_HEADERS, BOTH);
    CHECK_EQ_INT(outcome.jobs, 2);
    CHECK_EQ_STR(outcome.job[0].name.p, outcome.job[0].name.n, "dkim 1");
    CHECK_EQ_STR(outcome.job[1].name.p, outcome.job[1].name.n, "dkim 2");
    CHECK_EQ_INT(outcome.questions, 2);
    CHECK(outcome.question[0].kind == ASK_PAST && outcome.question[1].kind == ASK_PAST);
    verify_jobs();
    pass_once(AT_HEADERS, BOTH);
    CHECK_EQ_INT(outcome.jobs, 0);
    CHECK_EQ_INT(outcome.questions, 2);
}

static void two_signatures_by_one_key_ask_once(void)
{
    begin();
    pass_once(AT_HEADERS, STR(KIT_ED_FIELD KIT_ED_FIELD KIT_FIELDS));
    CHECK_EQ_INT(outcome.questions, 1);
}

static void a_changed_header_fails(void)
{
    begin();
    know_keys();
    evaluate(AT_HEADERS, STR(KIT_ED_FIELD KIT_RSA_FIELD "Subject: Another\r\n" KIT_FIELDS));
    check_result(0, AUTH_FAIL, "signature did not verify"); /* Subject is signed once more than it was there */
    evaluate(AT_HEADERS, STR(KIT_ED_FIELD KIT_RSA_FIELD "Received: by us\r\n" KIT_FIELDS));
    CHECK_EQ_INT(outcome.auth.dkim_n, 2);
}

static void what_is_not_signed_may_change(void)
{
    begin();
    know_keys();
    evaluate(AT_HEADERS, STR("Received: by us\r\n" KIT_ED_FIELD KIT_RSA_FIELD KIT_FIELDS "List-Id: <l.example>\r\n"));
    check_result(0, AUTH_PASS, "");
    check_result(1, AUTH_PASS, "");
}

static void a_message_without_signatures_says_so(void)
{
    begin();
    evaluate(AT_END, STR(KIT_FIELDS));
    CHECK_EQ_INT(outcome.auth.dkim_n, 0);
    CHECK_EQ_INT(outcome.findings, 1);
    CHECK_EQ_STR(outcome.finding[0].result, strlen(outcome.finding[0].result), "none");
}

/* ---- the body ---- */

static struct str past_key(struct str header, const char *suffix)
{
    struct dkim_signature s;
    struct header_field field;
    struct str key;

    CHECK(header_next(&header, &field));
    CHECK(dkim_signature_read(&field, SIGNATURE_DKIM, &s) == NULL);
    key = dkim_past_key(&s, kit_arena());
    return arena_printf(kit_arena(), "%.*s%s", STR_ARG(key), suffix);
}

#define ONE STR(KIT_ED_FIELD KIT_FIELDS)

static void a_changed_body_fails_and_is_remembered(void)
{
    begin();
    know_keys();
    evaluate(AT_HEADERS, ONE);
    hash(ONE, STR(KIT_BODY "PS: buy this\r\n"));
    evaluate(AT_END, ONE);
    check_result(0, AUTH_FAIL, "body hash did not verify");
    CHECK_EQ_INT(outcome.effects, 1);
    CHECK(has_effect(0, past_key(ONE, ""), 1));
}

static void what_was_remembered_is_presumed(void)
{
    begin();
    know_keys();
    know(ASK_PAST, past_key(ONE, ""), FACT_OK, "fail");
    evaluate(AT_HEADERS, ONE);
    check_result(0, AUTH_FAIL, "body hash did not verify");
    CHECK(outcome.auth.dkim[0].is_presumed && outcome.auth.dkim[0].best_is_pass);
    hash(ONE, STR(KIT_BODY));
    evaluate(AT_END, ONE);
    check_result(0, AUTH_PASS, ""); /* a memory that was wrong is forgotten */
    CHECK_EQ_INT(outcome.effects, 1);
    CHECK(has_effect(0, past_key(ONE, ""), 0));
}

static void without_a_memory_the_body_is_taken_for_right(void)
{
    static const enum fact_state states[] = { FACT_NODATA, FACT_TEMP, FACT_LIMIT };

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        begin();
        know_keys();
        know(ASK_PAST, past_key(ONE, ""), states[i], NULL);
        evaluate(AT_HEADERS, ONE);
        check_result(0, AUTH_PASS, "");
    }
}

static void a_body_nobody_hashed_is_a_temporary_error(void)
{
    begin();
    know_keys();
    evaluate(AT_HEADERS, ONE);
    pass_once(AT_END, ONE);
    CHECK(!outcome.decided);
    facts_close(&facts);
    pass_once(AT_END, ONE);
    CHECK(outcome.decided);
    check_result(0, AUTH_TEMPERROR, "body hash is not known");
}

/* The mathematics of the rows below is given: what is asked here is what follows from it. */
#define FIELD(tags) \
    "DKIM-Signature: v=1;a=rsa-sha256;d=football.example.com;s=test;h=from;b=Zm9v;c=simple/relaxed;" \
    "bh=" KIT_BODY_HASH ";" tags "\r\n"

static void given(struct str header, const char *math, struct str body)
{
    begin();
    know_keys();
    know(ASK_SIG, STR("dkim 1"), FACT_OK, math);
    hash(header, body);
    evaluate(AT_END, header);
}

/* ATTACKS H01. The canonical body has 54 octets. */
static void l_says_how_much_is_signed(void)
{
    struct str whole = STR(FIELD("l=54")), beyond = STR(FIELD("l=55")), huge = STR(FIELD("l=99999999999999999999"));
    struct str nothing = STR("DKIM-Signature: v=1;a=rsa-sha256;d=football.example.com;s=test;h=from;b=Zm9v;l=0;"
                             "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n");

    given(whole, "pass", STR(KIT_BODY));
    check_result(0, AUTH_PASS, "");
    CHECK(!outcome.auth.dkim[0].is_partial);
    CHECK_EQ_INT(outcome.effects, 0);
    given(whole, "pass", STR(KIT_BODY "PS: buy this\r\n"));
    check_result(0, AUTH_PASS, "");
    CHECK(outcome.auth.dkim[0].is_partial);
    CHECK_EQ_INT(outcome.effects, 1);
    CHECK(has_effect(0, past_key(whole, " whole"), 1));
    given(beyond, "pass", STR(KIT_BODY));
    check_result(0, AUTH_PERMERROR, "l= is longer than the body");
    given(huge, "pass", STR(KIT_BODY));
    check_result(0, AUTH_PERMERROR, "l= is longer than the body");
    given(nothing, "pass", STR(KIT_BODY));
    check_result(0, AUTH_PASS, "");
    CHECK(outcome.auth.dkim[0].is_partial);
}

/* That l= leaves something out is seen at the end only; the second time it is known before. */
static void a_partial_signature_is_remembered_as_one(void)
{
    struct str header = STR(FIELD("l=54") KIT_FIELDS);

    begin();
    know_keys();
    know(ASK_SIG, STR("dkim 1"), FACT_OK, "pass");
    pass_once(AT_HEADERS, header);
    CHECK_EQ_INT(outcome.questions, 2);
    evaluate(AT_HEADERS, header);
    CHECK(!outcome.auth.dkim[0].is_partial);
    begin();
    know_keys();
    know(ASK_SIG, STR("dkim 1"), FACT_OK, "pass");
    know(ASK_PAST, past_key(header, " whole"), FACT_OK, "fail");
    evaluate(AT_HEADERS, header);
    check_result(0, AUTH_PASS, "");
    CHECK(outcome.auth.dkim[0].is_partial);
    hash(header, STR(KIT_BODY));
    evaluate(AT_END, header);
    CHECK(!outcome.auth.dkim[0].is_partial);
    CHECK(has_effect(0, past_key(header, " whole"), 0));
}

/* ---- times ---- */

static const struct time_row {
    const char *label;
    struct str header;
    enum auth_result result;
    const char *reason;
} time_rows[] = {
    { "x= to come", STR_INIT(FIELD("x=1600000001")), AUTH_PASS, "" },
    { "x= within the skew of clocks", STR_INIT(FIELD("x=1599999700")), AUTH_PASS, "" },
    { "x= past", STR_INIT(FIELD("x=1599999699")), AUTH_FAIL, "signature has expired" },
    { "x= of 12 digits", STR_INIT(FIELD("x=999999999999")), AUTH_PASS, "" },
    { "t= past", STR_INIT(FIELD("t=0")), AUTH_PASS, "" },
    { "t= within the skew", STR_INIT(FIELD("t=1600000300")), AUTH_PASS, "" },
    { "t= in the future", STR_INIT(FIELD("t=1600000301")), AUTH_POLICY, "signature is from the future" },
    { "x= before t=", STR_INIT(FIELD("t=3;x=2")), AUTH_PERMERROR, "x= is not later than t=" },
};

static void times_are_judged(void)
{
    for (size_t i = 0; i < sizeof time_rows / sizeof *time_rows; i++) {
        CHECK_ROW(time_rows[i].label);
        given(time_rows[i].header, "pass", STR(KIT_BODY));
        check_result(0, time_rows[i].result, time_rows[i].reason);
    }
}

/* ---- what needs no mathematics ---- */

static void check_header(struct str header, enum auth_result result, const char *reason)
{
    begin();
    know_keys();
    pass_once(AT_HEADERS, header);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.jobs, 0);
    check_result(0, result, reason);
}

static void some_fields_need_no_question(void)
{
    check_header(STR("DKIM-Signature: v=1;a=rsa-sha1;d=football.example.com;s=test;h=from;b=Zm9v;bh=Zm9v\r\n"),
                 AUTH_FAIL, "rsa-sha1 is not valid any more"); /* H12 */
    check_header(STR("DKIM-Signature: \r\n"), AUTH_PERMERROR, "a= is missing");
    check_header(STR(FIELD("h=from")), AUTH_PERMERROR, "a tag appears twice");
    check_header(STR(FIELD("l=")), AUTH_PERMERROR, "l= is not a length");
    CHECK_EQ_INT(outcome.questions, 0);
}

static void a_strict_key_wants_d_itself(void)
{
    struct str name = STR("test._domainkey.football.example.com");

    begin();
    know(ASK_TXT, name, FACT_OK, "t=s; p=" KIT_RSA_KEY);
    pass_once(AT_HEADERS, STR(FIELD("i=joe@sub.football.example.com")));
    check_result(0, AUTH_PERMERROR, "i= is below d=, which the key does not allow");
    begin();
    know(ASK_TXT, name, FACT_OK, "t=s:y; p=" KIT_RSA_KEY);
    pass_once(AT_HEADERS, STR(FIELD("i=joe@Football.example.com")));
    check_result(0, AUTH_PENDING, "");
    CHECK(outcome.auth.dkim[0].is_testing);
    pass_once(AT_HEADERS, STR(FIELD("")));
    check_result(0, AUTH_PENDING, "");
}

/* ATTACKS H10 */
static void keys_that_cannot_be_had(void)
{
    static const struct {
        enum fact_state state;
        enum auth_result result;
        const char *reason;
    } rows[] = {
        { FACT_NODATA, AUTH_PERMERROR, "no key" },
        { FACT_NXDOMAIN, AUTH_PERMERROR, "no key" },
        { FACT_TEMP, AUTH_TEMPERROR, "no answer to the query for the key" },
        { FACT_LIMIT, AUTH_PERMERROR, "the key is beyond our limits" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        know(ASK_TXT, STR("test._domainkey.football.example.com"), rows[i].state, NULL);
        evaluate(AT_HEADERS, STR(FIELD("")));
        check_result(0, rows[i].result, rows[i].reason);
    }
    begin();
    facts_close(&facts);
    pass_once(AT_HEADERS, STR(FIELD("")));
    check_result(0, AUTH_TEMPERROR, "no answer to the query for the key");
}

static void mathematics_nobody_did_is_a_temporary_error(void)
{
    begin();
    know_keys();
    know(ASK_SIG, STR("dkim 1"), FACT_TEMP, NULL);
    evaluate(AT_HEADERS, STR(FIELD("")));
    check_result(0, AUTH_TEMPERROR, "signature was not verified in time");
    given(STR(FIELD("")), "fail", STR(KIT_BODY));
    check_result(0, AUTH_FAIL, "signature did not verify");
}

/* b= of a size that no key of ours has makes no job. */
static void a_signature_of_any_length_is_bounded(void)
{
    static char text[1 << 20];
    size_t n = (size_t)snprintf(text, sizeof text,
                                "DKIM-Signature: v=1;a=rsa-sha256;d=football.example.com;s=test;"
                                "h=from;bh=" KIT_BODY_HASH ";b=");

    for (; n < sizeof text - 8; n += 4)
        memcpy(text + n, n % 80 < 4 ? "\r\n  " : "Zm9v", 4);
    memcpy(text + n, "\r\n", 2);
    check_header(str_from(text, n + 2), AUTH_FAIL, "signature did not verify");
}

/* ---- many ---- */

/* ATTACKS H02 */
static void of_a_hundred_thousand_signatures_five_are_looked_at(void)
{
    static char header[100000 * (sizeof(KIT_ED_FIELD) - 1)];
    static const char field[] = KIT_ED_FIELD;
    size_t n = sizeof field - 1, selector = (size_t)(strstr(field, "brisbane") - field);

    for (size_t i = 0; i < 100000; i++) {
        memcpy(header + i * n, KIT_ED_FIELD, n);
        if (i < 1000)
            header[i * n + selector] = (char)('a' + i % 26);
    }
    begin();
    pass_once(AT_HEADERS, str_from(header, sizeof header));
    CHECK_EQ_INT(outcome.questions, 5);
    CHECK_EQ_INT(outcome.auth.dkim_n, 5);
    CHECK_EQ_INT(outcome.auth.dkim_ignored, 99995);
    policy.dkim.signatures = 2;
    pass_once(AT_HEADERS, str_from(header, sizeof header));
    CHECK_EQ_INT(outcome.auth.dkim_n, 2);
    CHECK_EQ_INT(outcome.auth.dkim_ignored, 99998);
    policy.dkim.signatures = 1000;
    pass_once(AT_HEADERS, str_from(header, 1000 * n));
    CHECK_EQ_INT(outcome.auth.dkim_n, DKIM_SIGNATURES_MAX);
    policy.dkim.signatures = 5;
}

/* ---- robustness ---- */

/* Whatever the room, it ends, nothing passes that would not, and what is refused is nothing. */
static void a_small_arena_passes_nothing_falsely(void)
{
    struct str bad = STR(KIT_ED_FIELD KIT_RSA_FIELD "Subject: Another\r\n" KIT_FIELDS);

    for (size_t size = 0; size < 4000; size += 7) {
        begin();
        know_keys();
        arena_size = size;
        for (int round = 0; round < 4; round++) {
            pass_once(AT_HEADERS, bad);
            verify_jobs();
        }
        for (size_t i = 0; i < outcome.auth.dkim_n; i++)
            CHECK(outcome.auth.dkim[i].result != AUTH_PASS);
        CHECK(outcome.verdict.action == ACTION_ACCEPT || !outcome.decided);
    }
}

static void only_names_reach_the_trace(void)
{
    begin();
    pass_once(AT_HEADERS,
              STR("DKIM-Signature: v=1;a=rsa-sha256;d=\xff\x1b[31m.example;s=caf\xe9;h=from;b=Zm9v;bh=x\r\n"));
    CHECK(outcome.decided);
    CHECK_EQ_STR(outcome.finding[0].detail.p, outcome.finding[0].detail.n, "signature 1: not a tag list");
    pass_once(AT_HEADERS, STR("DKIM-Signature: v=1;a=rsa-sha256;d=\xff.example;s=caf\xe9;h=from;b=Zm9v;bh=x\r\n"));
    CHECK_EQ_STR(outcome.finding[0].detail.p, outcome.finding[0].detail.n, "signature 1: d= is not a domain name");
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(the_example_of_rfc_8463_passes),
    TEST(the_report_says_who_signed),
    TEST(questions_go_out_together),
    TEST(two_signatures_by_one_key_ask_once),
    TEST(a_changed_header_fails),
    TEST(what_is_not_signed_may_change),
    TEST(a_message_without_signatures_says_so),
    TEST(a_changed_body_fails_and_is_remembered),
    TEST(what_was_remembered_is_presumed),
    TEST(without_a_memory_the_body_is_taken_for_right),
    TEST(a_body_nobody_hashed_is_a_temporary_error),
    TEST(l_says_how_much_is_signed),
    TEST(a_partial_signature_is_remembered_as_one),
    TEST(times_are_judged),
    TEST(some_fields_need_no_question),
    TEST(a_strict_key_wants_d_itself),
    TEST(keys_that_cannot_be_had),
    TEST(mathematics_nobody_did_is_a_temporary_error),
    TEST(a_signature_of_any_length_is_bounded),
    TEST(of_a_hundred_thousand_signatures_five_are_looked_at),
    TEST(a_small_arena_passes_nothing_falsely),
    TEST(only_names_reach_the_trace),
};
/* clang-format on */
TEST_MAIN(tests)
