/* Evaluates SPF for tests/suites/spf.py and spf_random.py: zones and cases as lines, a result a line.
 *
 * In:   zone                  an empty zone
 *       TXT example.org OK "v=spf1 -all"        facts as facts_load reads them; what a zone does not list is NXDOMAIN,
 *       * example.net TEMP                      but TEMP for a name with such a line
 *       check ADDRESS HELO SENDER               words as in facts; the sender as it came in MAIL FROM
 * Out:  pass MECHANISM LOOKUPS VOIDS "explanation" "reason"
 *
 * Each case is evaluated with the whole zone known, and again with the answers coming one by one in many orders. It is
 * an error of ours, told and counted at the end, when an order changes the result, when an unknown is left without a
 * question, or when a deadline at any moment is not decided at once.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/spf.h"

/* 1 for the domain, 10 for its terms, 100 for hosts, 1 explanation; and those asked ahead (ORACLE D-1). */
enum { MOST_QUESTIONS = 112 + SPF_ASKED_AHEAD_MAX };
enum { ZONE_FACTS = 4096, RUN_FACTS = 512, ARENA = 1 << 16, LINE = 1 << 20 };

static struct fact zone_table[ZONE_FACTS];
static char zone_memory[1 << 22];
static struct facts zone;
static struct str dead[ZONE_FACTS]; /* names whose every question times out */
static size_t dead_n;
static char dead_memory[1 << 18];
static struct arena dead_arena;
static unsigned orders = 12, errors;
static uint32_t seed = 7208;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* ---- the zone ---- */

static void clear_zone(void)
{
    facts_init(&zone, zone_table, ZONE_FACTS, zone_memory, sizeof zone_memory);
    arena_init(&dead_arena, dead_memory, sizeof dead_memory);
    dead_n = 0;
}

static bool is_dead(struct str name)
{
    for (size_t i = 0; i < dead_n; i++)
        if (str_eq(dead[i], name))
            return true;
    return false;
}

static bool name_exists(struct str name)
{
    for (size_t i = 0; i < zone.n; i++)
        if (str_eq(zone.fact[i].q.key, name))
            return true;
    return false;
}

static void answer(struct facts *facts, struct question q)
{
    const struct fact *fact = facts_find(&zone, q);

    if (fact != NULL)
        facts_answer(facts, q, fact->state, fact->value, fact->n);
    else
        facts_answer(facts, q, is_dead(q.key) ? FACT_TEMP : name_exists(q.key) ? FACT_NODATA : FACT_NXDOMAIN, NULL, 0);
}

/* ---- one evaluation ---- */

struct room {
    struct fact table[RUN_FACTS];
    char memory[1 << 20], arena[ARENA];
    struct facts facts;
    struct outcome outcome;
    struct spf_result result;
};

static void evaluate(struct room *room, const struct spf_query *query)
{
    static const struct policy policy;
    static const struct envelope envelope;
    static struct arena arena;
    struct pass pass = { .policy = &policy,
                         .stage = AT_END,
                         .envelope = &envelope,
                         .facts = &room->facts,
                         .arena = &arena,
                         .outcome = &room->outcome };

    arena_init(&arena, room->arena, sizeof room->arena);
    room->outcome.questions = 0;
    spf_check_host(&pass, query, &room->result);
    if (pass.pending != (room->result.result == AUTH_PENDING)) {
        printf("# pending and result differ\n");
        errors++;
    }
}

static void begin(struct room *room)
{
    facts_init(&room->facts, room->table, RUN_FACTS, room->memory, sizeof room->memory);
}

static void fail(const char *why, const struct spf_query *query)
{
    printf("# %s: %.*s\n", why, STR_ARG(query->sender));
    errors++;
}

/* Answers `how_many` of the open questions at random; asks all new ones. False when nothing was open. */
static bool answer_some(struct room *room, size_t how_many)
{
    size_t open = 0;

    for (size_t i = 0; i < room->outcome.questions; i++)
        facts_ask(&room->facts, room->outcome.question[i]);
    for (size_t i = 0; i < room->facts.n; i++)
        open += room->facts.fact[i].state == FACT_UNKNOWN;
    if (open == 0)
        return false;
    for (; how_many > 0 && open > 0; how_many--, open--) {
        size_t pick = next_random((uint32_t)open), i = 0;

        while (room->facts.fact[i].state != FACT_UNKNOWN || pick-- > 0)
            i++;
        answer(&room->facts, room->facts.fact[i].q);
    }
    return true;
}

/* All answers of a round at once: the fewest rounds. */
static unsigned evaluate_in_rounds(struct room *room, const struct spf_query *query)
{
    unsigned rounds = 0;

    begin(room);
    for (evaluate(room, query); room->result.result == AUTH_PENDING; evaluate(room, query)) {
        rounds++;
        if (!answer_some(room, RUN_FACTS)) {
            fail("undecided without a question", query);
            break;
        }
    }
    return rounds;
}

static bool same(const struct spf_result *a, const struct spf_result *b)
{
    return a->result == b->result && a->lookups == b->lookups && a->void_lookups == b->void_lookups &&
           str_eq(a->mechanism, b->mechanism) && str_eq(a->explanation, b->explanation) && str_eq(a->reason, b->reason);
}

/* One answer (or a few) at a time; at a random moment the deadline is tried on a copy. */
static void evaluate_in_random_order(struct room *room, const struct spf_query *query, const struct spf_result *want)
{
    static struct room late;
    size_t at_once = 1 + next_random(3);

    begin(room);
    for (evaluate(room, query); room->result.result == AUTH_PENDING; evaluate(room, query)) {
        if (next_random(4) == 0) { /* the facts of the copy lie in the memory of the first; only its table changes */
            late.facts = room->facts;
            memcpy(late.table, room->table, sizeof late.table);
            late.facts.fact = late.table;
            facts_close(&late.facts);
            evaluate(&late, query);
            if (late.result.result == AUTH_PENDING)
                fail("undecided after the deadline", query);
        }
        if (!answer_some(room, at_once)) {
            fail("undecided without a question", query);
            return;
        }
    }
    if (room->facts.n > MOST_QUESTIONS)
        fail("more questions than ten terms have", query);
    if (!same(&room->result, want))
        fail("the order of answers changed the result", query);
}

/* ---- lines ---- */

static void print_quoted(struct str s)
{
    putchar('"');
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '"' || s.p[i] == '\\')
            printf("\\%c", s.p[i]);
        else if (s.p[i] >= ' ' && s.p[i] <= '~')
            putchar(s.p[i]);
        else
            printf("\\x%02x", (unsigned char)s.p[i]);
    putchar('"');
}

/* RFC 7208 2.4: the domain of MAIL FROM, or the HELO name when it has none. The identity as the checks build it. */
static void make_query(struct spf_query *query, struct str sender, char domain_room[PATH_DOMAIN_MAX + 1],
                       struct arena *arena)
{
    size_t at = sender.n;
    struct str local = STR("postmaster"), domain = query->helo;

    while (at > 0 && sender.p[at - 1] != '@')
        at--;
    if (sender.n > 0)
        domain = str_skip(sender, at);
    if (at > 1)
        local = str_from(sender.p, at - 1);
    query->domain = domain_canonical(domain, domain_room);
    query->sender = arena_printf(arena, "%.*s@%.*s", STR_ARG(local), STR_ARG(query->domain));
}

static void check(struct str client, struct str helo, struct str sender)
{
    static struct room first, other;
    char domain_room[PATH_DOMAIN_MAX + 1], text_room[2048];
    struct spf_query query = { .helo = helo, .receiver = STR("receiver.example"), .now = 1700000000, .explain = true };
    struct arena arena;
    unsigned rounds;

    arena_init(&arena, text_room, sizeof text_room);
    if (!address_parse(client, &query.client)) {
        printf("# no address: %.*s\n", STR_ARG(client));
        errors++;
        return;
    }
    make_query(&query, sender, domain_room, &arena);
    rounds = evaluate_in_rounds(&first, &query);
    printf("%s ", auth_result_name(first.result.result));
    print_quoted(first.result.mechanism);
    printf(" %u %u %u %zu ", first.result.lookups, first.result.void_lookups, rounds, first.facts.n);
    print_quoted(first.result.explanation);
    putchar(' ');
    print_quoted(first.result.reason);
    putchar('\n');
    for (unsigned i = 0; i < orders; i++)
        evaluate_in_random_order(&other, &query, &first.result);
}

/* A line of facts may hold a "*" for every kind of question, which facts do not know. */
static bool read_zone_line(struct str line)
{
    struct str rest = line, star, name, state;

    if (!str_word(&rest, &star) || !str_eq(star, STR("*")))
        return facts_load(&zone, line) == 0;
    if (!str_word(&rest, &name) || !str_word(&rest, &state) || !str_eq(state, STR("TEMP")) || dead_n == ZONE_FACTS)
        return false;
    dead[dead_n] = arena_copy(&dead_arena, name);
    return dead[dead_n++].p != NULL;
}

/* The words of a check come as the values of a fact, so that they may hold anything. */
static bool read_check(struct str line)
{
    static struct fact table[1];
    static char memory[1 << 16];
    struct facts facts;

    facts_init(&facts, table, 1, memory, sizeof memory);
    if (facts_load(&facts, line) != 0 || facts.n != 1 || table[0].n != 3)
        return false;
    check(table[0].value[0], table[0].value[1], table[0].value[2]);
    return true;
}

int main(int argc, char **argv)
{
    static char buffer[LINE];
    unsigned number = 0;

    if (argc > 1)
        orders = (unsigned)strtoul(argv[1], NULL, 10);
    clear_zone();
    while (fgets(buffer, sizeof buffer, stdin) != NULL) {
        struct str line = str_of(buffer);

        number++;
        if (line.n > 0 && line.p[line.n - 1] == '\n')
            line.n--;
        if (str_eq(line, STR("zone"))) {
            clear_zone();
        } else if (str_istarts(line, STR("GEO check "))) {
            if (!read_check(line))
                return fprintf(stderr, "line %u: no check\n", number), 2;
        } else if (!read_zone_line(line)) {
            return fprintf(stderr, "line %u: no fact\n", number), 2;
        }
    }
    printf("# %u errors\n", errors);
    return errors > 0;
}
