/* SPF records in a world of their own making: octet 1 is a seed, line 1 the record of x.example, then lines of facts.
 * What is asked beyond those is answered from the name alone: there is nothing, or the same record again, or the
 * client's address, or no answer. In every order of answers the result is the same, within the limits of RFC 7208
 * 4.6.4, and every name asked for is one that the DNS takes.
 */
#include "fuzz.h"
#include "policy/spf.h"
#include "policy/spf_record.h"

enum { FACTS = 256, ROOM = 1 << 17 };

struct world {
    struct fact table[FACTS];
    char memory[ROOM], arena[1 << 15];
    struct facts facts;
    struct outcome outcome;
    struct spf_result result;
    bool pending;
};

static struct str record;
static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

static uint32_t hash(struct question q)
{
    uint32_t h = (uint32_t)q.kind + 1;

    for (size_t i = 0; i < q.key.n; i++)
        h = h * 31 + (unsigned char)q.key.p[i];
    return h >> 4;
}

static void answer(struct facts *facts, struct question q)
{
    struct str a = STR("192.0.2.1"), mx = STR("10 mx.x.example"), ptr = STR("mail.x.example");
    uint32_t h = hash(q) % 8;

    if (h < 2)
        facts_answer(facts, q, h == 0 ? FACT_NXDOMAIN : FACT_NODATA, NULL, 0);
    else if (h == 2)
        facts_answer(facts, q, FACT_TEMP, NULL, 0);
    else
        facts_answer(facts, q, FACT_OK,
                     q.kind == ASK_TXT   ? &record
                     : q.kind == ASK_MX  ? &mx
                     : q.kind == ASK_PTR ? &ptr
                                         : &a,
                     1);
}

static void must_be_name(struct str name)
{
    char room[PATH_DOMAIN_MAX + 1];

    REQUIRE(name.n > 0 && name.n <= 253);
    REQUIRE(str_eq(domain_canonical(name, room), name));
}

static void evaluate(struct world *w)
{
    static const struct policy policy;
    static const struct envelope envelope;
    struct arena arena;
    struct pass pass = {
        .policy = &policy, .envelope = &envelope, .facts = &w->facts, .arena = &arena, .outcome = &w->outcome
    };
    struct spf_query query = {
        .domain = STR("x.example"), .sender = STR("strong-bad@x.example"), .helo = STR("Mail.[x]"), .explain = true
    };

    address_parse(STR("192.0.2.1"), &query.client);
    arena_init(&arena, w->arena, sizeof w->arena);
    w->outcome.questions = 0;
    spf_check_host(&pass, &query, &w->result);
    w->pending = pass.pending;
    REQUIRE(w->pending == (w->result.result == AUTH_PENDING));
    REQUIRE(w->result.lookups <= SPF_LOOKUPS_MAX && w->result.void_lookups <= SPF_VOID_LOOKUPS_MAX + 1);
    for (size_t i = 0; i < w->outcome.questions; i++)
        must_be_name(w->outcome.question[i].key);
}

static void must_be_printable(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        REQUIRE(text.p[i] >= ' ' && text.p[i] <= '~');
}

/* Until it is decided: all open questions at once, or one at a time. False when the given facts do not load. */
static void run(struct world *w, struct str given, bool one_by_one)
{
    struct question txt = { ASK_TXT, STR("x.example") };

    facts_init(&w->facts, w->table, FACTS, w->memory, sizeof w->memory);
    facts_answer(&w->facts, txt, FACT_OK, &record, 1);
    facts_load(&w->facts, given);
    for (evaluate(w); w->pending; evaluate(w)) {
        size_t n = w->outcome.questions;
        size_t pick = n > 0 && one_by_one ? next_random((uint32_t)n) : 0;

        if (n == 0) /* a listed question without an answer */
            facts_close(&w->facts);
        for (size_t i = 0; i < n; i++)
            if (!one_by_one || i == pick)
                answer(&w->facts, w->outcome.question[i]);
    }
    must_be_printable(w->result.mechanism);
    must_be_printable(w->result.explanation);
    must_be_printable(w->result.reason);
    REQUIRE(w->result.result >= AUTH_NONE && w->result.result <= AUTH_PERMERROR && w->result.result != AUTH_POLICY);
}

/* A record is valid exactly when its terms can be read to the end and no known modifier comes twice. */
static void read_terms(void)
{
    struct spf_record parsed;
    struct spf_term term;
    struct str bad, rest;
    enum spf_reading reading;
    bool valid;

    if (!spf_record_is(record))
        return;
    valid = spf_record_parse(record, &parsed, &bad);
    rest = str_skip(record, 6);
    while ((reading = spf_term_next(&rest, &term)) == SPF_TERM)
        REQUIRE(term.text.n > 0 && term.bits4 <= 32 && term.bits6 <= 128);
    REQUIRE(reading == SPF_END || !valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world first, second;
    struct str rest;

    if (size < 1 || size > 8192)
        return 0;
    rest = str_from((const char *)data, size);
    seed = (unsigned char)rest.p[0];
    rest = str_skip(rest, 1);
    record = take_line(&rest);
    read_terms();
    run(&first, rest, false);
    run(&second, rest, true);
    if (first.facts.closed || second.facts.closed || first.facts.limited || second.facts.limited)
        return 0;
    REQUIRE(first.result.result == second.result.result && first.result.lookups == second.result.lookups);
    REQUIRE(first.result.void_lookups == second.result.void_lookups);
    REQUIRE(str_eq(first.result.mechanism, second.result.mechanism) &&
            str_eq(first.result.reason, second.result.reason));
    REQUIRE(str_eq(first.result.explanation, second.result.explanation));
    return 0;
}
