/* Whole messages through the whole policy, at all stages, with DNS answers that come in any order or not at all (DESIGN 2):
 * what is said of a message and what becomes of it is a matter of the answers, never of their order; at the deadline it is
 * said at once, and nobody gains by it.
 */
#include "policy/body_hash.h"

#include "arc_header.h"
#include "dkim_kit.h"
#include "test.h"
#include "transaction.h"

enum { ORDERS = TEST_LESS(200), DEADLINE_ORDERS = 6, ANSWERS_MAX = 200, TEXT_MAX = 4096 };

/* ---- zones ---- */

#define TXT(name, text) "TXT " name " OK \"" text "\"\n"
#define DMARC(name, text) TXT("_dmarc." name, "v=DMARC1; " text)
#define KEY(name) TXT(name, "p=" KIT_RSA_KEY)
#define ED(name) TXT(name, "k=ed25519; p=" KIT_ED_KEY)

/* The world of RFC 8463 A. */
#define FOOTBALL \
    ED("brisbane._domainkey.football.example.com") \
    KEY("test._domainkey.football.example.com") DMARC("football.example.com", "p=reject")
#define FOOTBALL_SPF TXT("football.example.com", "v=spf1 ip4:192.0.2.0/24 -all")

#define NO_ANSWER(name) "TXT " name " TEMP\n"

/* A signature of somebody; whether it is right is told by a SIG fact. */
#define SIGNED(d, s, more) \
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" d "; s=" s ";" more " h=from; bh=" KIT_BODY_HASH \
    ";\r\n b=" ARC_B "\r\n"
#define FROM(who) "From: " who "\r\nSubject: s\r\n"

/* ---- messages ---- */

/* `arc` is a shorthand of arc_header.h, for mail of a@author.example that then has no body. `options`: "monitor",
 * "remembered" (a body was streamed under these signatures and contradicted them), "record".
 */
/* clang-format off */
static const struct row {
    const char *why, *mail_from, *header, *arc, *zone, *options, *want;
} rows[] = {
    { "an honest message", "<joe@football.example.com>", KIT_ED_FIELD KIT_RSA_FIELD KIT_FIELDS, NULL, FOOTBALL FOOTBALL_SPF, "",
      "accept; spf=pass/football.example.com helo_spf=none dkim=pass/football.example.com,pass/football.example.com arc=none "
      "dmarc=pass/football.example.com policy=reject aligned=spf+dkim" },
    { "forwarded by somebody", "<fan@forwarder.example>", KIT_ED_FIELD KIT_FIELDS, NULL, FOOTBALL TXT("forwarder.example", "v=spf1 -all"), "",
      "accept; spf=fail/forwarder.example helo_spf=none dkim=pass/football.example.com arc=none dmarc=pass/football.example.com "
      "policy=reject aligned=dkim" },
    { "changed on its way", "<fan@forwarder.example>", KIT_ED_FIELD KIT_RSA_FIELD "From: Joe <jo@football.example.com>\r\n", NULL, FOOTBALL, "",
      "550 5.7.26; spf=none/forwarder.example helo_spf=none dkim=fail/football.example.com,fail/football.example.com arc=none "
      "dmarc=fail/football.example.com policy=reject disposition=reject" },
    { "written by somebody else", "<x@evil.example>", FROM("joe@football.example.com"), NULL, FOOTBALL TXT("evil.example", "v=spf1 +all"), "",
      "550 5.7.26; spf=pass/evil.example helo_spf=none dkim=none arc=none dmarc=fail/football.example.com policy=reject disposition=reject" },
    { "the key is not to be had", "<fan@forwarder.example>", KIT_RSA_FIELD KIT_FIELDS, NULL,
      NO_ANSWER("test._domainkey.football.example.com") DMARC("football.example.com", "p=reject"), "",
      "451 4.7.0; spf=none/forwarder.example helo_spf=none dkim=temperror/football.example.com arc=none "
      "dmarc=temperror/football.example.com policy=reject" },
    { "through a list whose seal is trusted", "<l@list.example>", "", "R1 M1 S1n R2 M2 S2p",
      DMARC("author.example", "p=reject") KEY("k._domainkey.s1.example") KEY("k._domainkey.s2.example")
      "SIG \"ams 2\" OK pass\nSIG \"as 1\" OK pass\nSIG \"as 2\" OK pass\n", "",
      "accept; spf=none/list.example helo_spf=none dkim=none arc=pass/s2.example dmarc=fail/author.example policy=reject "
      "disposition=none override=arc" },
    { "through a list whose chain is broken", "<l@list.example>", "", "R1 M1 S1n R2 M2 S2p",
      DMARC("author.example", "p=reject") KEY("k._domainkey.s1.example") KEY("k._domainkey.s2.example")
      "SIG \"ams 2\" OK pass\nSIG \"as 1\" OK fail\nSIG \"as 2\" OK pass\n", "",
      "550 5.7.26; spf=none/list.example helo_spf=none dkim=none arc=fail dmarc=fail/author.example policy=reject disposition=reject" },
    { "through a list, and a key of the chain is not to be had", "<l@list.example>", "", "R1 M1 S1n R2 M2 S2p",
      DMARC("author.example", "p=reject") NO_ANSWER("k._domainkey.s1.example") KEY("k._domainkey.s2.example")
      "SIG \"ams 2\" OK pass\nSIG \"as 2\" OK pass\n", "",
      "451 4.7.0; spf=none/list.example helo_spf=none dkim=none arc=temperror dmarc=fail/author.example policy=reject disposition=none" },
    { "a fail of SPF, and nobody publishes DMARC", "<a@a.example>", FROM("a@a.example"), NULL, TXT("a.example", "v=spf1 mx -all")
      "MX a.example OK \"10 m1.example\" \"20 m2.example\"\nA m1.example OK 198.51.100.1\nA m2.example NODATA\n", "",
      "550 5.7.23; spf=fail/a.example helo_spf=none dkim=none arc=none dmarc=none/a.example" },
    { "SPF in many steps, of a subdomain", "<bounce@m.a.example>", FROM("Nan <a@news.a.example>"), NULL,
      DMARC("a.example", "p=none; sp=quarantine; np=reject") "A news.a.example NODATA\n"
      TXT("m.a.example", "v=spf1 include:i.example a:n.example exists:%{ir}.%{l}.e.example redirect=r.example")
      TXT("i.example", "v=spf1 a:gone.example ?mx -all") "MX i.example OK \"0 m1.example\"\nA m1.example OK 198.51.100.1\n"
      "A n.example OK 198.51.100.2\n" TXT("r.example", "v=spf1 ip6:2001:db8::/32 a:c.example/24 -all") "A c.example OK 192.0.2.99\n", "",
      "accept; spf=pass/m.a.example helo_spf=none dkim=none arc=none dmarc=pass/news.a.example policy=quarantine aligned=spf" },
    { "a name that does not exist", "<>", FROM("a@no.a.example"), NULL,
      DMARC("a.example", "p=none; sp=quarantine; np=reject") TXT("mx.client.example", "v=spf1 a -all") "A mx.client.example OK 192.0.2.1\n", "",
      "550 5.7.26; spf=pass/mx.client.example helo_spf=pass dkim=none arc=none dmarc=fail/no.a.example policy=reject disposition=reject" },
    { "a bounce that its host vouches for", "<>", FROM("MAILER-DAEMON@mx.client.example"), NULL,
      DMARC("client.example", "p=quarantine") TXT("mx.client.example", "v=spf1 a -all") "A mx.client.example OK 192.0.2.1\n", "",
      "accept; spf=pass/mx.client.example helo_spf=pass dkim=none arc=none dmarc=pass/mx.client.example policy=quarantine aligned=spf" },
    { "to be put aside", "<a@a.example>", SIGNED("b.example", "x", "") FROM("a@a.example"), NULL,
      DMARC("a.example", "p=quarantine") TXT("a.example", "v=spf1 ~all") KEY("x._domainkey.b.example") "SIG \"dkim 1\" OK pass\n", "",
      "quarantine; spf=softfail/a.example helo_spf=none dkim=pass/b.example arc=none dmarc=fail/a.example policy=quarantine "
      "disposition=quarantine" },
    { "six signatures, of which the fourth helps", "<x@evil.example>",
      SIGNED("b.example", "x", "") SIGNED("c.example", "x", "") SIGNED("a.example", "y", " x=1;") SIGNED("n.a.example", "x", "")
      SIGNED("a.example", "x", " l=0;") SIGNED("a.example", "z", "") FROM("a@a.example"), NULL,
      DMARC("a.example", "p=reject") KEY("x._domainkey.b.example") NO_ANSWER("x._domainkey.c.example") KEY("x._domainkey.n.a.example")
      KEY("x._domainkey.a.example") "SIG \"dkim 1\" OK fail\nSIG \"dkim 4\" OK pass\nSIG \"dkim 5\" OK pass\n", "",
      "accept; spf=none/evil.example helo_spf=none dkim=fail/b.example,temperror/c.example,fail/a.example,pass/n.a.example,fail/a.example "
      "arc=none dmarc=pass/a.example policy=reject aligned=dkim" },
    { "two authors", "<a@a.example>", "From: a@a.example, b@b.example\r\n", NULL, DMARC("a.example", "p=none"), "",
      "550 5.7.26; " }, /* before anything was asked */
    { "watched, while the DNS says nothing about the record", "<a@b.example>", FROM("a@a.example"), NULL,
      NO_ANSWER("_dmarc.a.example") TXT("b.example", "v=spf1 -all"), "monitor",
      "451 4.7.0; spf=fail/b.example helo_spf=none dkim=none arc=none dmarc=temperror/a.example" },
    { "said to have had another body, and SPF is in doubt", "<a@a.example>", SIGNED("a.example", "x", "") FROM("a@a.example"), NULL,
      DMARC("a.example", "p=reject") NO_ANSWER("a.example") KEY("x._domainkey.a.example") "SIG \"dkim 1\" OK pass\n", "remembered",
      "accept; spf=temperror/a.example helo_spf=none dkim=pass/a.example arc=none dmarc=pass/a.example policy=reject aligned=dkim" },
    { "said to have had another body, and nothing else speaks for it", "<x@evil.example>", SIGNED("a.example", "x", "") FROM("a@a.example"), NULL,
      DMARC("a.example", "p=reject") TXT("evil.example", "v=spf1 -all") KEY("x._domainkey.a.example") "SIG \"dkim 1\" OK pass\n", "remembered",
      "accept; spf=fail/evil.example helo_spf=none dkim=pass/a.example arc=none dmarc=pass/a.example policy=reject aligned=dkim" },
    { "doubts are only recorded", "<a@a.example>", FROM("a@a.example"), NULL, DMARC("a.example", "p=reject") NO_ANSWER("a.example"), "record",
      "accept; spf=temperror/a.example helo_spf=none dkim=none arc=none dmarc=temperror/a.example policy=reject" },
};
/* clang-format on */

/* ---- the gateway ---- */

static struct {
    struct policy policy;
    struct domain_entry local[1], sealers[1];
    struct envelope envelope;
    struct path mail_from, rcpt;
    char mail_from_room[PATH_ROOM], rcpt_room[PATH_ROOM], header_room[1 << 14], memory[1 << 16];
    struct str header, body;
    struct fact table[64];
    struct facts zone;
    bool is_remembered;
} world;

static void read_paths(const struct row *row)
{
    CHECK_EQ_INT(path_parse(str_of(row->mail_from), PATH_REVERSE, 0, world.mail_from_room, &world.mail_from, NULL),
                 PATH_OK);
    CHECK_EQ_INT(path_parse(STR("<v@local.example>"), PATH_FORWARD, 0, world.rcpt_room, &world.rcpt, NULL), PATH_OK);
    world.envelope = (struct envelope){
        .helo = STR("mx.client.example"), .is_esmtp = true, .mail_from = &world.mail_from, .now = 1600000000
    };
    CHECK(address_parse(STR("192.0.2.1"), &world.envelope.client.address));
}

static void set_up(const struct row *row)
{
    int temperror = strstr(row->options, "record") != NULL ? TEMPERROR_RECORD : TEMPERROR_TEMPFAIL;

    CHECK_ROW(row->why);
    world.local[0] = (struct domain_entry){ STR_INIT("local.example"), false };
    world.sealers[0] = (struct domain_entry){ STR_INIT("s2.example"), false };
    world.policy = (struct policy){
        .hostname = STR("gw.local.example"),
        .authserv_id = STR("gw.local.example"),
        .relay.domains = { world.local, 1 },
        .author.strict = true,
        .spf = { .check = true, .fail = SPF_FAIL_WITHOUT_DMARC, .temperror = temperror, .received_spf = true },
        .dkim = { .check = true, .signatures = DKIM_SIGNATURES_MAX, .min_bits = 1024 },
        .arc = { .check = true, .trusted_sealers = { world.sealers, 1 } },
        .dmarc = { .mode = strstr(row->options, "monitor") != NULL ? DMARC_MONITOR : DMARC_ENFORCE,
                   .temperror = temperror },
    };
    world.is_remembered = strstr(row->options, "remembered") != NULL;
    read_paths(row);
    world.header =
        row->arc == NULL ? str_of(row->header) : arc_header(row->arc, world.header_room, sizeof world.header_room);
    world.body = row->arc == NULL ? STR(KIT_BODY) : STR("");
    facts_init(&world.zone, world.table, 64, world.memory, sizeof world.memory);
    CHECK_EQ_INT(facts_load(&world.zone, str_of(row->zone)), 0);
}

/* ---- answers ---- */

/* Signatures that no fact tells about are verified when the job comes by: it does so once. */
static void do_jobs(const struct transaction *t)
{
    const struct outcome *outcome = &t->outcome[t->stage];

    for (size_t i = 0; i < outcome->jobs; i++) {
        const struct question q = { ASK_SIG, outcome->job[i].name };
        struct str word = str_of(signature_verify(&outcome->job[i]));

        facts_answer(&world.zone, q, FACT_OK, &word, 1);
    }
}

static void answer(struct facts *facts, struct question q)
{
    const struct fact *known = facts_find(&world.zone, q);
    struct str fail = STR("fail");

    CHECK(q.kind != ASK_BODY); /* given unasked, all that is needed */
    if (known != NULL)
        facts_answer(facts, q, known->state, known->value, known->n);
    else if (q.kind == ASK_PAST && world.is_remembered)
        facts_answer(facts, q, FACT_OK, &fail, 1);
    else
        facts_answer(facts, q, q.kind == ASK_PAST ? FACT_NODATA : FACT_NXDOMAIN, NULL, 0);
}

static void give_body(struct facts *facts)
{
    bool was_closed = facts->closed;
    struct body_hashes hashes;

    facts->closed = false; /* the deadline was for those who have to be waited for */
    body_hashes_begin(&hashes, world.header, DKIM_SIGNATURES_MAX);
    body_hashes_add(&hashes, world.body);
    body_hashes_end(&hashes, facts);
    facts->closed = was_closed;
}

static void answer_one(struct facts *facts, unsigned *random)
{
    size_t open[FACTS_ROOM_MAX], n = 0;

    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].state == FACT_UNKNOWN)
            open[n++] = i;
    *random = *random * 1664525 + 1013904223;
    CHECK(n > 0);
    if (n > 0)
        answer(facts, facts->fact[open[(*random >> 8) % n]].q);
}

/* One answer at a time, in an order of its own for each `random`; nobody waits for more than `most`. Returns how many came. */
static unsigned play(struct transaction *t, unsigned random, unsigned most)
{
    enum transaction_event event;
    unsigned answers = 0;

    transaction_start(t, &world.policy, &world.envelope, &world.rcpt, world.header);
    if (most == 0)
        facts_close(&t->facts);
    while ((event = transaction_run(t)) != TRANSACTION_DONE) {
        if (event == TRANSACTION_BODY) {
            give_body(&t->facts);
            continue;
        }
        CHECK(!t->facts.closed); /* then nothing is waited for */
        if (t->facts.closed)
            break;
        do_jobs(t);
        answer_one(&t->facts, &random);
        if (++answers == most)
            facts_close(&t->facts);
    }
    CHECK(!t->is_stuck);
    CHECK(!t->facts.limited);
    return answers;
}

/* ---- what was said ---- */

static struct str fields_of(const struct transaction *t, struct arena *arena)
{
    static char room[2][1 << 15];
    static int which;

    which = !which;
    arena_init(arena, room[which], sizeof room[which]);
    return results_fields(&world.policy, &world.envelope, &t->outcome[AT_END], arena);
}

/* "550 5.7.26; spf=..." */
static const char *summary(const struct transaction *t)
{
    static char text[TEXT_MAX];
    const struct verdict *v = &t->outcome[AT_END].verdict;
    struct arena arena;
    struct str said;

    fields_of(t, &arena);
    said = results_summary(&t->outcome[AT_END].auth, &arena);
    if (v->code != 0)
        snprintf(text, sizeof text, "%d %s; %.*s", v->code, v->enhanced, STR_ARG(said));
    else
        snprintf(text, sizeof text, "%s; %.*s", action_name(v->action), STR_ARG(said));
    return text;
}

static struct transaction whole, other;

static void messages_are_judged(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_up(&rows[i]);
        play(&whole, 1, ANSWERS_MAX);
        CHECK_EQ_STR(summary(&whole), strlen(summary(&whole)), rows[i].want);
    }
}

static void any_order_of_answers_gives_the_same_verdict(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct str fields;

        set_up(&rows[i]);
        play(&whole, 1, ANSWERS_MAX);
        fields = fields_of(&whole, &arena);
        CHECK(fields.p != NULL);
        for (unsigned order = 2; order < 2 + ORDERS; order++) {
            const char *differ;
            struct str others;

            play(&other, order * 2654435761u, ANSWERS_MAX);
            differ = transactions_differ(&whole, &other);
            CHECK_EQ_STR(differ == NULL ? "" : differ, differ == NULL ? 0 : strlen(differ), "");
            others = fields_of(&other, &arena);
            CHECK(str_eq(fields, others));
            fields = fields_of(&whole, &arena); /* the two rooms take turns */
        }
    }
}

/* A refusal by the header alone holds, whatever the body turns out to be. */
static void what_the_header_is_refused_for_is_refused_at_the_end(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_up(&rows[i]);
        play(&whole, 1, ANSWERS_MAX);
        if (is_refusal(&whole.outcome[AT_HEADERS].verdict))
            CHECK(is_refusal(&whole.outcome[AT_END].verdict));
    }
}

/* The deadline after each single answer: everything is said at once (play), and nothing that the answers would not say. */
static void nobody_gains_by_the_deadline(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool is_recorded = strstr(rows[i].options, "record") != NULL;
        unsigned answers;

        set_up(&rows[i]);
        answers = play(&whole, 1, ANSWERS_MAX);
        CHECK(answers < ANSWERS_MAX);
        for (unsigned most = 0; most <= answers; most++)
            for (unsigned order = 1; order <= DEADLINE_ORDERS; order++) {
                const struct authentication *late = &other.outcome[AT_END].auth, *full = &whole.outcome[AT_END].auth;

                play(&other, order * 2654435761u, most);
                CHECK(result_is_better(late, full) == NULL);
                CHECK(is_recorded || verdict_is_better(&other, &whole) == NULL);
            }
    }
}

static const struct test_case tests[] = {
    TEST(messages_are_judged),
    TEST(any_order_of_answers_gives_the_same_verdict),
    TEST(what_the_header_is_refused_for_is_refused_at_the_end),
    TEST(nobody_gains_by_the_deadline),
};
TEST_MAIN(tests)
