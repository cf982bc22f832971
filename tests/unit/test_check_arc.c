/* The ARC check (RFC 8617 5.2, ATTACKS H11): keys, signatures and bodies are facts here, so each row tells what is known and
 * what must come of it. That the right octets are signed is tests/suites/arc.py's to show.
 */
#include "policy/policy.h"

#include "arc_header.h"
#include "test.h"

#define RSA_2048 \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAo+hi4lKkSArUE5oY/3qrbPIAUEoMG9rnPNOv3Fb6h3gVuPzYxuPW" \
    "DRWkI14q2jVsOcUih4r4ESh+YbEzRYK7ExTblrgCD8acfBDryVVaEIb9uv8nHb/a4l2kK4zvQsZk5KumsIYG2n9M4hozv2gQ" \
    "MHX9+lbFnSrUDff/Z8C1BXVz9bNjy7v56QQssH1Cu/pHD34eAvvcxY8KaYgkHlDdN7FkGh8kzhbV2VNoDJ6zTTwGbCCsu+rJ" \
    "SMiR+Os5yIWYmSMKiDbUzdax9GabadWhR5H4tMmWsVfta5kOVss05dKhUqGoEDckN+asV21sjYEX9d+IdbtyURDe4zXVCHuS" \
    "wwIDAQAB"

enum { ROUNDS_MAX = 40, ORDERS = 30 };

/* ---- a world in which all is well, but for the facts that a test gives ---- */

static struct {
    char header_room[1 << 17], memory[1 << 17], fact_memory[FACTS_ROOM_BYTES], given_memory[1 << 16];
    struct fact table[FACTS_ROOM_MAX], given_table[64];
    struct facts facts, given;
    struct outcome outcome;
    struct envelope envelope;
    struct policy policy;
    struct domain_entry sealers[2];
    struct str header, key;
    unsigned random, rounds;
    unsigned keys, signatures; /* asked for */
    size_t arena_size;
} world;

/* What the checks before ARC found. */
static struct {
    struct str author;
    bool is_exempt;
} before;

static void run_before(struct pass *pass)
{
    pass->outcome->auth.author = before.author;
    pass->outcome->auth.is_exempt = before.is_exempt;
}

static const struct check check_before = { .name = "before",
                                           .stages = 1u << AT_HEADERS | 1u << AT_END,
                                           .run = run_before };

static void begin(struct str header)
{
    static const struct domain_entry sealers[] = { { STR_INIT("s2.example"), false },
                                                   { STR_INIT("example.net"), true } };

    memcpy(world.sealers, sealers, sizeof sealers);
    world.policy = (struct policy){ .dkim = { .signatures = DKIM_SIGNATURES_MAX, .min_bits = 1024 },
                                    .arc = { .check = true, .trusted_sealers = { world.sealers, 2 } } };
    world.envelope = (struct envelope){ .now = 1700000000 };
    world.header = header;
    world.key = STR("k=rsa; p=" RSA_2048);
    world.arena_size = sizeof world.memory;
    domain_set_sort(&world.policy.arc.trusted_sealers);
    before.author = STR("author.example");
    before.is_exempt = false;
    facts_init(&world.given, world.given_table, 64, world.given_memory, sizeof world.given_memory);
}

static void begin_sets(const char *sets)
{
    begin(arc_header(sets, world.header_room, sizeof world.header_room));
}

static void give(const char *facts)
{
    CHECK_EQ_INT(facts_load(&world.given, str_of(facts)), 0);
}

/* What is given, else a key that is fit, a signature that holds, and no memory of the past. */
static void answer(struct question q)
{
    const struct fact *given = facts_find(&world.given, q);
    struct str pass = STR("pass");

    if (given != NULL)
        facts_answer(&world.facts, q, given->state, given->value, given->n);
    else if (q.kind == ASK_TXT || q.kind == ASK_SIG)
        facts_answer(&world.facts, q, FACT_OK, q.kind == ASK_TXT ? &world.key : &pass, 1);
    else
        facts_answer(&world.facts, q, FACT_NODATA, NULL, 0);
}

static void evaluate(enum stage stage)
{
    static const struct check *const table[] = { &check_before, &check_arc };
    struct message message = { .header = world.header };
    struct arena arena;

    arena_init(&arena, world.memory, world.arena_size);
    policy_evaluate_with(table, 2, &world.policy, stage, &world.envelope, &message, &world.facts, &arena,
                         &world.outcome);
    world.rounds++;
}

static void ask(void)
{
    for (size_t i = 0; i < world.outcome.questions; i++)
        world.keys += facts_ask(&world.facts, world.outcome.question[i]) && world.outcome.question[i].kind == ASK_TXT;
    for (size_t i = 0; i < world.outcome.jobs; i++)
        world.signatures += facts_ask(&world.facts, (struct question){ ASK_SIG, world.outcome.job[i].name });
}

/* Answers everything that is open, or one thing drawn at random when `world.random` is set. */
static bool answer_open(void)
{
    size_t open[FACTS_ROOM_MAX], n = 0;

    for (size_t i = 0; i < world.facts.n; i++)
        if (world.facts.fact[i].state == FACT_UNKNOWN)
            open[n++] = i;
    if (n > 0 && world.random != 0) {
        world.random = world.random * 1664525 + 1013904223;
        answer(world.facts.fact[open[(world.random >> 8) % n]].q);
    }
    for (size_t i = 0; i < n && world.random == 0; i++)
        answer(world.facts.fact[open[i]].q);
    return n > 0;
}

static const struct arc_result *decide(enum stage stage)
{
    world.rounds = 0;
    evaluate(stage);
    while (!world.outcome.decided && world.rounds < 10 * ROUNDS_MAX) {
        ask();
        if (!answer_open())
            facts_close(&world.facts);
        evaluate(stage);
    }
    CHECK(world.outcome.decided);
    CHECK(world.outcome.verdict.action == ACTION_ACCEPT);
    return &world.outcome.auth.arc;
}

static void forget(void)
{
    facts_init(&world.facts, world.table, FACTS_ROOM_MAX, world.fact_memory, sizeof world.fact_memory);
    world.keys = world.signatures = 0;
}

static void give_body(const char *hash)
{
    struct str value[] = { str_of(hash), STR("0") };

    facts_answer(&world.facts, (struct question){ ASK_BODY, STR("relaxed") }, FACT_OK, value, 2);
}

/* From nothing known to the end of the message. */
static const struct arc_result *play(void)
{
    forget();
    give_body(ARC_BH);
    return decide(AT_END);
}

static void check_result(const struct arc_result *arc, const char *want)
{
    const char *name = auth_result_name(arc->result);
    char got[300];
    int n = snprintf(got, sizeof got, arc->reason.n > 0 ? "%s, %.*s" : "%s", name, STR_ARG(arc->reason));

    CHECK_EQ_STR(got, (size_t)n, want);
}

/* ---- chains ---- */

#define NEWEST "R1 M1 S1n R2 M2 S2p R3 M3 S3p"
#define AMS "ARC-Message-Signature"

/* clang-format off */
static const struct {
    const char *sets, *facts, *want;
    unsigned keys; /* asked for */
} rows[] = {
    { "", "", "none", 0 },
    { "R1 M1 S1n", "", "pass", 1 },
    { NEWEST, "", "pass", 3 },

    /* step 3: nobody is asked about a chain that is none */
    { "R1 M1 S1p", "", "fail, ARC-Seal i=1: the first seal must say cv=none", 0 },
    { "R1 M1 S1n R2 M2 S2f", "", "fail, ARC-Seal i=2: says that the chain was broken before (cv=fail)", 0 },
    { "R1 M1 S1n R3 M3 S3p", "", "fail, ARC-Authentication-Results i=2: is missing", 0 },
    { "R1 M1 S1n S1n", "", "fail, ARC-Seal i=1: is there twice", 0 },
    { "R1 M1 S1n R51 M51 S51p", "", "fail, ARC-Authentication-Results: no instance from 1 to 50 (i=)", 0 },

    /* step 4: the newest message signature */
    { NEWEST, "SIG \"ams 3\" OK fail", "fail, " AMS " i=3: signature did not verify", 1 },
    { NEWEST, "TXT k._domainkey.s3.example NXDOMAIN", "fail, " AMS " i=3: no key", 1 },
    { NEWEST, "TXT k._domainkey.s3.example OK \"p=\"", "fail, " AMS " i=3: key is revoked", 1 },
    { NEWEST, "TXT k._domainkey.s3.example TEMP", "temperror, " AMS " i=3: no answer to the query for the key", 1 },
    { NEWEST, "TXT k._domainkey.s3.example LIMIT", "temperror, " AMS " i=3: the key is beyond our limits", 1 },
    { NEWEST, "SIG \"ams 3\" TEMP", "temperror, " AMS " i=3: signature was not verified", 1 },
    { NEWEST, "SIG \"ams 3\" LIMIT", "temperror, " AMS " i=3: signature was not verified", 1 },
    { NEWEST, "SIG \"ams 2\" OK fail\nSIG \"ams 1\" OK fail", "pass", 3 }, /* older ones may be broken */

    /* step 6: the seals, newest first; no key of an older one before the newer ones hold */
    { NEWEST, "SIG \"as 3\" OK fail", "fail, ARC-Seal i=3: signature did not verify", 1 },
    { NEWEST, "SIG \"as 2\" OK fail", "fail, ARC-Seal i=2: signature did not verify", 3 },
    { NEWEST, "SIG \"as 1\" OK fail", "fail, ARC-Seal i=1: signature did not verify", 3 },
    { NEWEST, "TXT k._domainkey.s1.example NODATA", "fail, ARC-Seal i=1: no key", 3 },
    { NEWEST, "TXT k._domainkey.s1.example TEMP", "temperror, ARC-Seal i=1: no answer to the query for the key", 3 },
    { NEWEST, "TXT k._domainkey.s2.example LIMIT", "temperror, ARC-Seal i=2: the key is beyond our limits", 3 },

    /* the first that does not hold decides */
    { NEWEST, "SIG \"ams 3\" OK fail\nTXT k._domainkey.s2.example TEMP", "fail, " AMS " i=3: signature did not verify", 1 },
    { NEWEST, "SIG \"as 2\" TEMP\nSIG \"as 1\" OK fail", "temperror, ARC-Seal i=2: signature was not verified", 3 },
    { NEWEST, "SIG \"as 2\" OK fail\nSIG \"as 1\" TEMP", "fail, ARC-Seal i=2: signature did not verify", 3 },
};
/* clang-format on */

static void each_chain_has_one_result(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].sets);
        begin_sets(rows[i].sets);
        give(rows[i].facts);
        check_result(play(), rows[i].want);
        CHECK_EQ_INT(world.keys, rows[i].keys);
        CHECK(rows[i].keys > 0 || world.signatures == 0);
    }
}

static void the_order_of_answers_changes_nothing(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].sets);
        begin_sets(rows[i].sets);
        give(rows[i].facts);
        for (world.random = 1; world.random <= ORDERS; world.random++) {
            unsigned order = world.random;

            check_result(play(), rows[i].want);
            world.random = order;
        }
        world.random = 0;
    }
}

/* Three keys and four signatures make a pass; a deadline before the last of them decides at once. */
static void the_deadline_is_doubt(void)
{
    for (unsigned answered = 0; answered < 7; answered++) {
        begin_sets(NEWEST);
        forget();
        give_body(ARC_BH);
        evaluate(AT_END);
        world.random = 1;
        for (unsigned i = 0; i < answered && !world.outcome.decided; i++) {
            ask();
            answer_open();
            evaluate(AT_END);
        }
        world.random = 0;
        CHECK_EQ_INT(world.outcome.auth.arc.result, AUTH_PENDING);
        facts_close(&world.facts);
        evaluate(AT_END);
        CHECK(world.outcome.decided);
        CHECK_EQ_INT(world.outcome.auth.arc.result, AUTH_TEMPERROR);
        CHECK(!world.outcome.auth.arc.is_trusted);
    }
}

/* ---- long chains ---- */

static void fifty_sealers_are_asked_in_six_rounds(void)
{
    begin_sets(arc_sets(50));
    check_result(play(), "pass");
    CHECK_EQ_INT(world.keys, 50);
    CHECK_EQ_INT(world.signatures, 51);
    CHECK(world.rounds <= 2 * 6 + 2);
    CHECK_EQ_INT(world.outcome.auth.arc.sealers, 50);
    CHECK(world.outcome.findings <= 4);
}

/* Our own cap, so doubt: the answers of 50 long keys are more than a transaction may hold. */
static void more_answers_than_we_hold_are_doubt(void)
{
    static char long_key[1200];

    begin_sets(arc_sets(50));
    snprintf(long_key, sizeof long_key, "k=rsa; n=%0700d; p=" RSA_2048, 0);
    world.key = str_of(long_key);
    CHECK_EQ_INT(play()->result, AUTH_TEMPERROR);
    CHECK(world.facts.limited);
}

/* RFC 8617 9.2: who writes chains in other people's names gets three questions out of us, not fifty. */
static void a_chain_in_other_names_asks_few(void)
{
    char facts[4096];
    size_t n = 0;

    for (int i = 1; i <= 49; i++)
        n += (size_t)snprintf(facts + n, sizeof facts - n, "SIG \"as %d\" OK fail\n", i);
    begin_sets(arc_sets(50));
    give(facts);
    check_result(play(), "fail, ARC-Seal i=49: signature did not verify");
    CHECK_EQ_INT(world.keys, 3);
    give("SIG \"ams 50\" OK fail");
    check_result(play(), "fail, ARC-Message-Signature i=50: signature did not verify");
    CHECK_EQ_INT(world.keys, 1);
}

/* ---- the newest message signature ---- */

#define R1 "ARC-Authentication-Results: i=1; mx.s2.example; dmarc=pass\r\n"
#define S1 "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=s2.example; s=k; b=" ARC_B "\r\n"
#define M1(tags) "ARC-Message-Signature: i=1; d=s2.example; s=k; bh=" ARC_BH "; b=" ARC_B "; " tags "\r\n"
#define RSA "a=rsa-sha256; c=relaxed/relaxed; "

/* clang-format off */
static const struct {
    struct str header;
    const char *want;
} signatures[] = {
    { STR_INIT(R1 M1(RSA "h=from") S1), "pass" },
    { STR_INIT(R1 M1(RSA "h=from:arc-authentication-results:arc-message-signature") S1), "pass" },
    { STR_INIT(R1 M1(RSA "h=from:ARC-Seal") S1), "fail, " AMS " i=1: h= names ARC-Seal" },
    { STR_INIT(R1 M1(RSA "h=from : \r\n arc-seal : to") S1), "fail, " AMS " i=1: h= names ARC-Seal" },
    { STR_INIT(R1 M1(RSA "h=to:subject") S1), "fail, " AMS " i=1: h= lacks from" },
    { STR_INIT(R1 M1(RSA) S1), "fail, " AMS " i=1: h= is missing" },
    { STR_INIT(R1 M1("a=rsa-sha1; c=relaxed/relaxed; h=from") S1), "fail, " AMS " i=1: is signed with rsa-sha1" },
    { STR_INIT(R1 M1("a=rsa-sha256; c=relaxed/loose; h=from") S1), "fail, " AMS " i=1: c= is not a canonicalization" },
    { STR_INIT(R1 M1("c=relaxed/relaxed; h=from") S1), "fail, " AMS " i=1: a= is missing" },
    { STR_INIT(R1 M1(RSA "h=from; x=1699999699") S1), "fail, " AMS " i=1: has expired" },
    { STR_INIT(R1 M1(RSA "h=from; x=1699999700") S1), "pass" },
    { STR_INIT(R1 M1(RSA "h=from; t=1700000301") S1), "fail, " AMS " i=1: is from the future" },
    { STR_INIT(R1 M1(RSA "h=from; t=1700000300") S1), "pass" },
    { STR_INIT(R1 M1(RSA "h=from; v=2") S1), "pass" },
    { STR_INIT(R1 M1("a=ed25519-sha256; c=relaxed/relaxed; h=from") S1), "fail, " AMS " i=1: key is not of the signature's type" },
};
/* clang-format on */

static void each_message_signature_has_one_result(void)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        CHECK_ROW(signatures[i].header.p);
        begin(signatures[i].header);
        check_result(play(), signatures[i].want);
    }
}

/* RFC 8463, which RFC 8617 takes over with DKIM's a=. */
static void ed25519_signs_chains_too(void)
{
    begin(STR(R1
              "ARC-Message-Signature: i=1; a=ed25519-sha256; c=relaxed/relaxed; d=s2.example; s=e; h=from; bh=" ARC_BH
              "; b=QUJDREVG\r\n" S1));
    give("TXT e._domainkey.s2.example OK \"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"");
    forget();
    give_body(ARC_BH);
    evaluate(AT_END);
    ask();
    answer_open();
    evaluate(AT_END);
    CHECK_EQ_INT(world.outcome.jobs, 2);
    CHECK(world.outcome.job[0].is_ed25519 && world.outcome.job[0].key.n == 32);
    CHECK(!world.outcome.job[1].is_ed25519);
    check_result(decide(AT_END), "pass");
}

/* ---- the body ---- */

static void a_wrong_body_asks_nobody(void)
{
    begin_sets(NEWEST);
    forget();
    give_body("AAAApj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA=");
    check_result(decide(AT_END), "fail, ARC-Message-Signature i=3: body hash did not verify");
    CHECK_EQ_INT(world.keys, 0);
    CHECK_EQ_INT(world.outcome.effects, 0);
}

static void a_body_nobody_hashed_is_doubt(void)
{
    begin_sets(NEWEST);
    forget();
    facts_answer(&world.facts, (struct question){ ASK_BODY, STR("relaxed") }, FACT_LIMIT, NULL, 0);
    check_result(decide(AT_END), "temperror, ARC-Message-Signature i=3: the body was not hashed");
}

static void l_beyond_the_body_fails(void)
{
    struct str value[] = { STR(ARC_BH), STR("0") };

    begin(STR(R1 M1(RSA "h=from; l=1") S1));
    forget();
    facts_answer(&world.facts, (struct question){ ASK_BODY, STR("relaxed 1") }, FACT_OK, value, 2);
    check_result(decide(AT_END), "fail, ARC-Message-Signature i=1: l= is longer than the body");
}

static void before_the_end_the_body_is_presumed(void)
{
    begin_sets("R1 M1 S1n R2 M2 S2p");
    forget();
    check_result(decide(AT_HEADERS), "pass");
    CHECK(world.outcome.auth.arc.is_presumed);
    CHECK(world.outcome.auth.arc.is_trusted && world.outcome.auth.arc.said_dmarc_pass);
    give_body(ARC_BH);
    check_result(decide(AT_END), "pass");
    CHECK(!world.outcome.auth.arc.is_presumed);
    CHECK_EQ_INT(world.keys, 2); /* nothing is asked twice */
    CHECK_EQ_INT(world.outcome.effects, 0);
}

/* What is broken without its body is not presumed. */
static void what_is_certain_is_not_presumed(void)
{
    begin_sets("R1 M1 S1n R2 M2 S2p");
    give("SIG \"as 1\" OK fail");
    forget();
    check_result(decide(AT_HEADERS), "fail, ARC-Seal i=1: signature did not verify");
    CHECK(!world.outcome.auth.arc.is_presumed);
}

static struct question find_past(void)
{
    struct question none = { ASK_KINDS, STR("") };

    for (size_t i = 0; i < world.facts.n; i++)
        if (world.facts.fact[i].q.kind == ASK_PAST)
            return world.facts.fact[i].q;
    return none;
}

static void a_body_that_contradicts_is_remembered(void)
{
    struct str fail = STR("fail");
    struct question past;

    begin_sets("R1 M1 S1n R2 M2 S2p");
    forget();
    decide(AT_HEADERS);
    past = find_past();
    CHECK_EQ_INT(past.kind, ASK_PAST);
    give_body("AAAApj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA=");
    check_result(decide(AT_END), "fail, ARC-Message-Signature i=2: body hash did not verify");
    CHECK_EQ_INT(world.outcome.effects, 1);
    CHECK(world.outcome.effect[0].kind == ASK_PAST && str_eq(world.outcome.effect[0].key, past.key));
    CHECK_EQ_INT(world.outcome.effect[0].units, 1);

    /* the retry: "fail" is written first, and it may still turn out right */
    facts_answer(&world.given, past, FACT_OK, &fail, 1);
    forget();
    check_result(decide(AT_HEADERS), "fail, ARC-Message-Signature i=2: body hash did not verify");
    CHECK(world.outcome.auth.arc.is_presumed);
    CHECK(!world.outcome.auth.arc.is_trusted);
    CHECK_EQ_STR(world.outcome.auth.arc.trusted.p, world.outcome.auth.arc.trusted.n, "s2.example");
    give_body(ARC_BH);
    check_result(decide(AT_END), "pass");
    CHECK_EQ_INT(world.outcome.effects, 1);
    CHECK_EQ_INT(world.outcome.effect[0].units, 0);
}

/* Also where a seal is in doubt, and that is known first. */
static void a_wrong_memory_is_forgotten_whatever_the_order(void)
{
    struct str fail = STR("fail");

    begin_sets("R1 M1 S1n R2 M2 S2p");
    forget();
    decide(AT_HEADERS);
    facts_answer(&world.given, find_past(), FACT_OK, &fail, 1);
    give("SIG \"as 2\" TEMP");
    for (unsigned order = 1; order <= ORDERS; order++) {
        forget();
        world.random = order;
        check_result(decide(AT_HEADERS), "temperror, ARC-Seal i=2: signature was not verified");
        give_body(ARC_BH);
        check_result(decide(AT_END), "temperror, ARC-Seal i=2: signature was not verified");
        CHECK_EQ_INT(world.outcome.effects, 1);
    }
    world.random = 0;
}

/* ---- trust ---- */

/* The newest set is the second, of s2.example, which is listed. */
#define OLD \
    "ARC-Authentication-Results: i=1; mx.s1.example; dmarc=pass\r\n" \
    "ARC-Message-Signature: i=1; a=rsa-sha256; h=from; d=s1.example; s=k; bh=" ARC_BH "; b=" ARC_B "\r\n" \
    "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=s1.example; s=k; b=" ARC_B "\r\n"
#define SEAL(domain) "ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=" domain "; s=k; b=" ARC_B "\r\n"
#define SIGN(tags) \
    "ARC-Message-Signature: i=2; a=rsa-sha256; c=relaxed/relaxed; h=from; d=any.example; s=k; bh=" ARC_BH \
    "; b=" ARC_B tags "\r\n"
#define SAY(results) "ARC-Authentication-Results: i=2; mx.any.example; " results "\r\n"

/* clang-format off */
static const struct {
    const char *label;
    struct str header;
    const char *facts;
    bool is_trusted, said_pass;
} trusts[] = {
    { "listed", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass")), "", true, true },
    { "in another case", STR_INIT(OLD SEAL("S2.Example") SIGN("") SAY("dmarc=pass")), "", true, true },
    { "by a wildcard", STR_INIT(OLD SEAL("a.example.net") SIGN("") SAY("dmarc=pass")), "", true, true },
    { "for this author", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass header.from=Author.Example")), "", true, true },
    { "not above the wildcard", STR_INIT(OLD SEAL("example.net") SIGN("") SAY("dmarc=pass")), "", false, false },
    { "not listed", STR_INIT(OLD SEAL("s1.example") SIGN("") SAY("dmarc=pass")), "", false, false },
    { "below one that is listed", STR_INIT(OLD SEAL("a.s2.example") SIGN("") SAY("dmarc=pass")), "", false, false },
    { "only the message signature is of a listed one", STR_INIT(OLD SEAL("s3.example")
      "ARC-Message-Signature: i=2; a=rsa-sha256; c=relaxed/relaxed; h=from; d=s2.example; s=k; bh=" ARC_BH "; b=" ARC_B "\r\n"
      SAY("dmarc=pass")), "", false, false },
    { "dmarc failed there", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=fail")), "", true, false },
    { "nothing said", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("none")), "", true, false },
    { "two things said", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass; dmarc=fail")), "", true, false },
    { "of another author", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass header.from=other.example")), "", true, false },
    { "broken", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass")), "SIG \"as 1\" OK fail", false, false },
    { "in doubt", STR_INIT(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass")), "SIG \"as 1\" TEMP", false, false },
};
/* clang-format on */

static void only_listed_sealers_are_trusted(void)
{
    for (size_t i = 0; i < sizeof trusts / sizeof *trusts; i++) {
        const struct arc_result *arc;

        CHECK_ROW(trusts[i].label);
        begin(trusts[i].header);
        give(trusts[i].facts);
        arc = play();
        CHECK_EQ_INT(arc->is_trusted, trusts[i].is_trusted);
        CHECK_EQ_INT(arc->said_dmarc_pass, trusts[i].said_pass);
        CHECK(arc->result == AUTH_PASS || !arc->is_trusted);
        CHECK(!arc->said_dmarc_pass || arc->trusted.n > 0);
    }
}

/* A list that is slow to answer is no reason to refuse what it forwards: DMARC sees whom it is about. */
static void doubt_names_the_sealer_it_is_about(void)
{
    const struct arc_result *arc;

    begin(trusts[0].header);
    give("SIG \"as 1\" TEMP");
    arc = play();
    CHECK_EQ_INT(arc->result, AUTH_TEMPERROR);
    CHECK_EQ_STR(arc->trusted.p, arc->trusted.n, "s2.example");
    begin(trusts[0].header);
    give("SIG \"as 1\" OK fail");
    CHECK_EQ_INT(play()->trusted.n, 0);
}

static void a_part_of_the_body_is_not_the_message(void)
{
    struct str value[] = { STR(ARC_BH), STR("100") };

    for (int accept = 0; accept < 2; accept++) {
        begin(STR(OLD SEAL("s2.example") SIGN("; l=0") SAY("dmarc=pass")));
        world.policy.dkim.accept_partial = accept;
        forget();
        facts_answer(&world.facts, (struct question){ ASK_BODY, STR("relaxed 0") }, FACT_OK, value, 2);
        check_result(decide(AT_END), "pass");
        CHECK_EQ_INT(world.outcome.auth.arc.is_trusted, accept);
    }
}

/* Without one author nothing that names one is about this message. */
static void without_an_author_nothing_is_said_of_one(void)
{
    begin(STR(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass header.from=author.example")));
    before.author = STR("");
    CHECK(!play()->said_dmarc_pass);
    begin(STR(OLD SEAL("s2.example") SIGN("") SAY("dmarc=pass header.from=..")));
    before.author = STR("");
    CHECK(!play()->said_dmarc_pass);
}

static void our_own_users_mail_is_not_looked_at(void)
{
    begin_sets(NEWEST);
    before.is_exempt = true;
    CHECK_EQ_INT(play()->result, AUTH_ABSENT);
    CHECK_EQ_INT(world.keys, 0);
    CHECK_EQ_INT(world.outcome.findings, 0);
}

/* ---- the trace ---- */

static void findings_tell_the_steps(void)
{
    static const char *const want[] = { "sets: 3 sets, sealed by s3.example, s2.example, s1.example",
                                        "pass: ", "unlisted: s3.example" };

    begin_sets(NEWEST);
    play();
    CHECK_EQ_INT(world.outcome.findings, 3);
    for (size_t i = 0; i < 3 && i < world.outcome.findings; i++) {
        const struct finding *f = &world.outcome.finding[i];
        char text[200];
        int n = snprintf(text, sizeof text, "%s: %.*s", f->result, STR_ARG(f->detail));

        CHECK_EQ_STR(text, (size_t)n, want[i]);
    }
    CHECK_EQ_INT(world.outcome.auth.arc.sealers, 3);
    CHECK_EQ_STR(world.outcome.auth.arc.sealer[2].p, world.outcome.auth.arc.sealer[2].n, "s3.example");
}

/* Too little memory never breaks a chain, and never makes one. */
static void a_full_arena_is_doubt(void)
{
    unsigned passes = 0;

    begin(trusts[0].header);
    play(); /* all is known now */
    for (world.arena_size = 0; world.arena_size < 6000; world.arena_size += 8) {
        const struct arc_result *arc = &world.outcome.auth.arc;

        evaluate(AT_END);
        CHECK(arc->result != AUTH_FAIL && arc->result != AUTH_NONE);
        CHECK(!arc->is_trusted || arc->result == AUTH_PASS);
        passes += arc->result == AUTH_PASS;
    }
    CHECK(passes > 0 && passes < 6000 / 8);
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_chain_has_one_result),
    TEST(the_order_of_answers_changes_nothing),
    TEST(the_deadline_is_doubt),
    TEST(fifty_sealers_are_asked_in_six_rounds),
    TEST(more_answers_than_we_hold_are_doubt),
    TEST(a_chain_in_other_names_asks_few),
    TEST(each_message_signature_has_one_result),
    TEST(ed25519_signs_chains_too),
    TEST(a_wrong_body_asks_nobody),
    TEST(a_body_nobody_hashed_is_doubt),
    TEST(l_beyond_the_body_fails),
    TEST(before_the_end_the_body_is_presumed),
    TEST(what_is_certain_is_not_presumed),
    TEST(a_body_that_contradicts_is_remembered),
    TEST(a_wrong_memory_is_forgotten_whatever_the_order),
    TEST(only_listed_sealers_are_trusted),
    TEST(doubt_names_the_sealer_it_is_about),
    TEST(a_part_of_the_body_is_not_the_message),
    TEST(without_an_author_nothing_is_said_of_one),
    TEST(our_own_users_mail_is_not_looked_at),
    TEST(findings_tell_the_steps),
    TEST(a_full_arena_is_doubt),
};
/* clang-format on */
TEST_MAIN(tests)
