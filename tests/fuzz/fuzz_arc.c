/* ARC chains: recorded facts, an empty line, a header section. Whatever they hold: the same facts give the same result, a
 * closed table decides, a pass is one by a second reading of header and facts, and trust needs both a pass and a listed
 * sealer.
 */
#include "fuzz.h"
#include "policy/arc.h"
#include "policy/header.h"

enum { FACTS = 160, MEMORY = 1 << 16 };

static struct str take_block(struct str *rest)
{
    struct str block = { rest->p, 0 };

    while (rest->n > 0) {
        size_t n = str_find(*rest, '\n');
        bool is_empty = n == 0;

        *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
        if (is_empty)
            break;
        block.n = (size_t)(rest->p - block.p);
    }
    return block;
}

static size_t count_fields(struct str header, struct str name)
{
    struct header_field field;
    size_t n = 0;

    while (header_next_anywhere(&header, &field))
        n += header_is(&field, name);
    return n;
}

static bool is_verified(const struct facts *facts, const char *kind, unsigned instance)
{
    const struct fact *fact;
    struct arena arena;
    char room[64];

    arena_init(&arena, room, sizeof room);
    fact = facts_find(facts, (struct question){ ASK_SIG, arena_printf(&arena, "%s %u", kind, instance) });
    return fact != NULL && fact->state == FACT_OK && str_eq(fact->value[0], STR("pass"));
}

/* Each set whole and each signature good, counted in another way. */
static void require_pass(const struct arc_result *arc, struct str header, const struct facts *facts)
{
    REQUIRE(arc->sets >= 1 && arc->sets <= ARC_SETS_MAX && arc->sealers == arc->sets);
    REQUIRE(count_fields(header, STR("ARC-Seal")) == arc->sets);
    REQUIRE(count_fields(header, STR("ARC-Message-Signature")) == arc->sets);
    REQUIRE(count_fields(header, STR("ARC-Authentication-Results")) == arc->sets);
    REQUIRE(is_verified(facts, "ams", arc->sets));
    for (unsigned i = 1; i <= arc->sets; i++)
        REQUIRE(is_verified(facts, "as", i));
}

static void require_sense(const struct outcome *outcome, const struct policy *policy, struct str header,
                          const struct facts *facts)
{
    const struct arc_result *arc = &outcome->auth.arc;
    size_t fields = count_fields(header, STR("ARC-Seal")) + count_fields(header, STR("ARC-Message-Signature")) +
                    count_fields(header, STR("ARC-Authentication-Results"));

    REQUIRE((arc->result == AUTH_NONE) == (fields == 0));
    REQUIRE(arc->result == AUTH_NONE || arc->result == AUTH_PASS || arc->result == AUTH_FAIL ||
            arc->result == AUTH_TEMPERROR || arc->result == AUTH_PENDING);
    REQUIRE((arc->result == AUTH_PENDING) == !outcome->decided);
    REQUIRE(arc->result != AUTH_FAIL || arc->reason.n > 0);
    if (arc->result == AUTH_PASS)
        require_pass(arc, header, facts);
    if (arc->is_trusted)
        REQUIRE(arc->result == AUTH_PASS && domain_set_holds(&policy->arc.trusted_sealers, arc->trusted));
    REQUIRE(!arc->said_dmarc_pass || arc->is_trusted);
    REQUIRE(outcome->findings <= 3 && outcome->effects <= 1 && outcome->verdict.code == (outcome->decided ? 0 : 451));
    for (size_t i = 0; i < outcome->questions; i++)
        REQUIRE(outcome->question[i].key.n > 0 && outcome->question[i].key.n <= PATH_DOMAIN_MAX);
}

static void evaluate(enum stage stage, struct str header, const struct facts *facts, bool must_decide)
{
    static const struct check *const table[] = { &check_arc };
    static struct domain_entry sealers[] = { { STR_INIT("example.net"), true }, { STR_INIT("s2.example"), false } };
    static char memory[2][MEMORY];
    static struct outcome outcome[2];
    struct policy policy = { .dkim.min_bits = 1024, .arc.trusted_sealers = { sealers, 2 } };
    struct envelope envelope = { .now = 1700000000 };
    struct message message = { .header = header };
    struct arena arena;

    domain_set_sort(&policy.arc.trusted_sealers);
    for (int i = 0; i < 2; i++) {
        arena_init(&arena, memory[i], MEMORY);
        policy_evaluate_with(table, 1, &policy, stage, &envelope, &message, facts, &arena, &outcome[i]);
        require_sense(&outcome[i], &policy, header, facts);
    }
    REQUIRE(outcome[0].decided || !must_decide);
    REQUIRE(outcome[0].auth.arc.result == outcome[1].auth.arc.result);
    REQUIRE(str_eq(outcome[0].auth.arc.reason, outcome[1].auth.arc.reason));
    REQUIRE(outcome[0].jobs == outcome[1].jobs && outcome[0].questions == outcome[1].questions);
    for (size_t i = 0; i < outcome[0].jobs; i++)
        REQUIRE(memcmp(outcome[0].job[i].digest, outcome[1].job[i].digest, SHA256_SIZE) == 0);
}

/* A field that says pass holds both words, and says it with anything harmless before it. */
static void read_results(struct str value)
{
    struct str from;

    if (!arc_said_dmarc_pass(value, &from))
        return;
    REQUIRE(value.n >= strlen("i=1;x;dmarc=pass"));
    REQUIRE(from.n == 0 || (from.p >= value.p && from.p + from.n <= value.p + value.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    static struct fact table[FACTS];
    static char memory[MEMORY];
    struct str rest = { size > 0 ? (const char *)data : nothing, size }, given = take_block(&rest);
    struct header_field field;
    struct facts facts;

    facts_init(&facts, table, FACTS, memory, MEMORY);
    facts_load(&facts, given);
    evaluate(AT_HEADERS, rest, &facts, false);
    evaluate(AT_END, rest, &facts, false);
    facts_close(&facts);
    evaluate(AT_HEADERS, rest, &facts, true);
    evaluate(AT_END, rest, &facts, true);
    for (struct str header = rest; header_next_anywhere(&header, &field);)
        read_results(field.value);
    read_results(rest);
    return 0;
}
