/* Ask and replay: the verdict is that of the first check in table order that refuses, whatever the order of
 * the answers.
 */
#include "policy/policy.h"

#include <stdint.h>
#include <stdlib.h>

#include "test.h"

/* ---- scripted checks ----
 *
 * What a check does is a line of words, so that a test shows its table:
 *     ?key    asks for a TXT record, and goes on whether it is known or not
 *     !key    refuses with 550 if the answer to key is NXDOMAIN, 451 if it is TEMP, 452 if it is LIMIT
 *     no      refuses with 550
 *     +x      an effect
 *     x       a finding
 */
enum { CHECKS = 3 };

static struct {
    const char *line[CHECKS];
    int runs[CHECKS];
} script;

static const struct check scripted[CHECKS];

static void refuse(struct pass *pass, size_t i, int code, const char *enhanced, struct str why)
{
    pass_refuse(pass, &scripted[i], code, enhanced, STR("Refused"), arena_copy(pass->arena, why));
}

static void refuse_on(struct pass *pass, size_t i, struct str key)
{
    const struct fact *fact = pass_ask(pass, ASK_TXT, key);

    if (fact != NULL && fact->state == FACT_NXDOMAIN)
        refuse(pass, i, 550, "5.7.1", key);
    if (fact != NULL && fact->state == FACT_TEMP)
        refuse(pass, i, 451, "4.7.1", key);
    if (fact != NULL && fact->state == FACT_LIMIT)
        refuse(pass, i, 452, "4.3.1", key);
}

static void run_script(struct pass *pass, size_t i)
{
    struct str rest = str_of(script.line[i]), word;

    script.runs[i]++;
    while (str_word(&rest, &word)) {
        if (word.p[0] == '?')
            pass_ask(pass, ASK_TXT, str_skip(word, 1));
        else if (word.p[0] == '!')
            refuse_on(pass, i, str_skip(word, 1));
        else if (word.p[0] == '+')
            pass_effect(pass, ASK_SEEN, str_skip(word, 1), 7);
        else if (str_eq(word, STR("no")))
            refuse(pass, i, 550, "5.7.1", word);
        else
            pass_find(pass, &scripted[i], "found", word);
    }
}

static void run_0(struct pass *pass)
{
    run_script(pass, 0);
}

static void run_1(struct pass *pass)
{
    run_script(pass, 1);
}

static void run_2(struct pass *pass)
{
    run_script(pass, 2);
}

static const struct check scripted[CHECKS] = {
    { .name = "first", .stages = 1u << AT_MAIL | 1u << AT_END, .run = run_0 },
    { .name = "second", .stages = 1u << AT_MAIL, .run = run_1 },
    { .name = "third", .stages = 1u << AT_MAIL, .run = run_2 },
};
static const struct check *const table[CHECKS] = { &scripted[0], &scripted[1], &scripted[2] };

/* ---- a session's side of it ---- */

enum { FACTS = 256, MEMORY = 1 << 16 };

static struct {
    struct fact table[FACTS];
    char fact_memory[MEMORY], memory[MEMORY];
    struct facts facts;
    struct arena arena;
    struct outcome outcome;
    struct envelope envelope;
    struct policy policy;
} s;

static void start(size_t facts_max, size_t arena_size)
{
    facts_init(&s.facts, s.table, facts_max, s.fact_memory, sizeof s.fact_memory);
    arena_init(&s.arena, s.memory, arena_size);
}

static void evaluate(enum stage stage)
{
    arena_reset(&s.arena);
    policy_evaluate_with(table, CHECKS, &s.policy, stage, &s.envelope, NULL, &s.facts, &s.arena, &s.outcome);
}

static void begin(const char *first, const char *second, const char *third)
{
    script.line[0] = first;
    script.line[1] = second;
    script.line[2] = third;
    memset(script.runs, 0, sizeof script.runs);
    start(FACTS, MEMORY);
}

static void answer(const char *key, enum fact_state state)
{
    struct str value[] = { STR("v") };

    facts_answer(&s.facts, (struct question){ ASK_TXT, str_of(key) }, state, value, 1);
}

/* "first 550 5.7.1 why", "accept", or the questions of an undecided outcome: "? a b". */
static void check_outcome(const char *want)
{
    char got[400] = "?";
    const struct verdict *v = &s.outcome.verdict;
    size_t n = 1;

    if (s.outcome.decided && v->action == ACTION_ACCEPT)
        n = (size_t)snprintf(got, sizeof got, "accept%s", v->code == 0 && v->check[0] == '\0' ? "" : " with a reply");
    else if (s.outcome.decided)
        n = (size_t)snprintf(got, sizeof got, "%s %d %s %.*s", v->check, v->code, v->enhanced, STR_ARG(v->reason));
    for (size_t i = 0; !s.outcome.decided && i < s.outcome.questions; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, " %.*s", STR_ARG(s.outcome.question[i].key));
    CHECK_EQ_STR(got, n, want);
}

static void accepts_when_no_check_objects(void)
{
    begin("", "x", "");
    evaluate(AT_MAIL);
    check_outcome("accept");
    CHECK_EQ_INT(s.outcome.findings, 1);
    CHECK_EQ_STR(s.outcome.finding[0].check, strlen(s.outcome.finding[0].check), "second");
    CHECK_EQ_STR(s.outcome.finding[0].detail.p, s.outcome.finding[0].detail.n, "x");
}

static void the_first_refusal_in_table_order_stands(void)
{
    begin("", "!a no", "no");
    answer("a", FACT_TEMP);
    evaluate(AT_MAIL);
    check_outcome("second 451 4.7.1 a");
    CHECK_EQ_INT(s.outcome.verdict.action, ACTION_TEMPFAIL);
    CHECK_EQ_INT(script.runs[2], 0);
    answer("b", FACT_NXDOMAIN);
    begin("", "", "no");
    evaluate(AT_MAIL);
    check_outcome("third 550 5.7.1 no");
    CHECK_EQ_INT(s.outcome.verdict.action, ACTION_REJECT);
}

static void only_checks_of_the_stage_run(void)
{
    begin("?a", "no", "no");
    evaluate(AT_END);
    check_outcome("? a");
    evaluate(AT_RCPT);
    check_outcome("accept");
    CHECK_EQ_INT(script.runs[0], 1);
    CHECK_EQ_INT(script.runs[1], 0);
}

static void all_checks_ask_in_one_pass(void)
{
    begin("?a ?b", "?b ?c", "?a ?d");
    evaluate(AT_MAIL);
    check_outcome("? a b c d");
}

static void an_undecided_outcome_is_no_accept(void)
{
    begin("?a", "", "");
    evaluate(AT_MAIL);
    CHECK(!s.outcome.decided);
    CHECK_EQ_INT(s.outcome.verdict.action, ACTION_TEMPFAIL);
    CHECK_EQ_INT(s.outcome.verdict.code, 451);
}

static void a_refusal_before_every_pending_check_decides(void)
{
    begin("!a", "?b", "?c");
    answer("a", FACT_NXDOMAIN);
    evaluate(AT_MAIL);
    check_outcome("first 550 5.7.1 a");
    CHECK_EQ_INT(s.outcome.questions, 0);
    CHECK_EQ_INT(script.runs[1], 0);
}

static void a_refusal_behind_a_pending_check_waits(void)
{
    begin("!a", "no", "?c");
    evaluate(AT_MAIL);
    check_outcome("? a");
    CHECK_EQ_INT(script.runs[2], 0); /* whatever a is, c will not matter */
    answer("a", FACT_NODATA);
    evaluate(AT_MAIL);
    check_outcome("second 550 5.7.1 no");
    begin("!a", "no", "");
    answer("a", FACT_NXDOMAIN);
    evaluate(AT_MAIL);
    check_outcome("first 550 5.7.1 a");
}

static void a_refusal_past_an_unknown_is_pending(void)
{
    begin("!a !b", "?c", "");
    answer("b", FACT_NXDOMAIN);
    evaluate(AT_MAIL);
    check_outcome("? a c");
    answer("a", FACT_TEMP);
    evaluate(AT_MAIL);
    check_outcome("first 451 4.7.1 a");
}

static void a_refusal_before_an_unknown_of_its_own_stands(void)
{
    begin("", "no ?a", "");
    evaluate(AT_MAIL);
    check_outcome("second 550 5.7.1 no");
    CHECK_EQ_INT(s.outcome.questions, 0);
}

static void what_is_in_flight_is_not_asked_again(void)
{
    begin("?a ?b", "?b", "");
    evaluate(AT_MAIL);
    CHECK(facts_ask(&s.facts, s.outcome.question[0]));
    evaluate(AT_MAIL);
    check_outcome("? b");
    CHECK(facts_ask(&s.facts, s.outcome.question[0]));
    evaluate(AT_MAIL);
    check_outcome("?");
    answer("a", FACT_OK);
    answer("b", FACT_OK);
    evaluate(AT_MAIL);
    check_outcome("accept");
}

static void the_deadline_decides(void)
{
    begin("?a", "!b !c", "no");
    answer("b", FACT_OK);
    evaluate(AT_MAIL);
    check_outcome("? a c");
    facts_close(&s.facts);
    evaluate(AT_MAIL);
    check_outcome("second 451 4.7.1 c");
}

static void without_facts_every_unknown_is_temp(void)
{
    begin("!a", "", "");
    policy_evaluate_with(table, CHECKS, &s.policy, AT_MAIL, &s.envelope, NULL, NULL, &s.arena, &s.outcome);
    check_outcome("first 451 4.7.1 a");
}

static void over_the_cap_an_unknown_is_limit(void)
{
    begin("?a ?b", "!c", "");
    start(2, MEMORY);
    evaluate(AT_MAIL);
    check_outcome("? a b c");
    CHECK(facts_ask(&s.facts, s.outcome.question[0]));
    CHECK(facts_ask(&s.facts, s.outcome.question[1]));
    CHECK(!facts_ask(&s.facts, s.outcome.question[2]));
    evaluate(AT_MAIL);
    check_outcome("?");
    answer("a", FACT_OK);
    answer("b", FACT_OK);
    evaluate(AT_MAIL);
    check_outcome("second 452 4.3.1 c");
}

/* Words "PREFIX000 PREFIX001 ..." */
static const char *words(const char *prefix, size_t n)
{
    static char text[2000];
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%03d ", prefix, (int)i);
    return text;
}

static void questions_over_the_cap_wait_for_a_later_pass(void)
{
    begin(words("?", 100), "", "");
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.questions, OUTCOME_QUESTIONS_MAX);
    for (size_t i = 0; i < s.outcome.questions; i++)
        CHECK(facts_ask(&s.facts, s.outcome.question[i]));
    evaluate(AT_MAIL);
    CHECK(!s.outcome.decided);
    CHECK_EQ_INT(s.outcome.questions, 100 - OUTCOME_QUESTIONS_MAX);
    CHECK_EQ_STR(s.outcome.question[0].key.p, s.outcome.question[0].key.n, "064");
}

static void questions_that_do_not_fit_the_arena_wait_too(void)
{
    begin(words("?", 20), "", "");
    start(FACTS, 30);
    evaluate(AT_MAIL);
    CHECK(!s.outcome.decided);
    CHECK_EQ_INT(s.outcome.questions, 10);
    for (size_t i = 0; i < s.outcome.questions; i++)
        CHECK(facts_ask(&s.facts, s.outcome.question[i]));
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.questions, 10);
    start(FACTS, 0);
    evaluate(AT_MAIL);
    check_outcome("?");
    facts_close(&s.facts);
    evaluate(AT_MAIL);
    check_outcome("accept");
}

static void keys_and_details_outlive_the_check(void)
{
    begin("?key", "", "");
    evaluate(AT_MAIL);
    CHECK(s.outcome.question[0].key.p != script.line[0] + 1);
    CHECK(s.outcome.question[0].key.p >= s.memory && s.outcome.question[0].key.p < s.memory + MEMORY);
}

static void effects_belong_to_the_deciding_pass(void)
{
    begin("+a", "?x", "+b");
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.effects, 0);
    answer("x", FACT_OK);
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.effects, 2);
    CHECK_EQ_STR(s.outcome.effect[1].key.p, s.outcome.effect[1].key.n, "b");
    CHECK_EQ_INT(s.outcome.effect[1].units, 7);
    CHECK_EQ_INT(s.outcome.effect[1].kind, ASK_SEEN);
}

static void findings_and_effects_have_a_cap(void)
{
    begin(words("x", 200), "", "");
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.findings, OUTCOME_FINDINGS_MAX);
    begin(words("+", 200), "", "");
    evaluate(AT_MAIL);
    CHECK_EQ_INT(s.outcome.effects, OUTCOME_EFFECTS_MAX);
    check_outcome("accept");
}

/* ---- random answer orders ----
 *
 * Each check walks a tree of names as SPF walks includes: a name leads to up to three others, in record
 * order; NXDOMAIN refuses. Names lead to greater ones only, so a tree ends.
 */
enum { NAMES = 40, DEPTH = 4, ZONES = 600, ORDERS = 20 };

struct zone {
    enum fact_state state[NAMES];
    size_t n[NAMES];
    struct str to[NAMES][3];
};

static struct zone zone;
static char name_text[NAMES][4];
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

static struct str name_of(size_t i)
{
    return str_from(name_text[i], 3);
}

static size_t index_of(struct str name)
{
    return (size_t)(name.p[0] - '0') * 10 + (size_t)(name.p[1] - '0');
}

static void make_zone(void)
{
    for (size_t i = 0; i < NAMES; i++) {
        uint32_t kind = random_below(20);

        snprintf(name_text[i], sizeof name_text[i], "%02u.", (unsigned)i % 100);
        zone.state[i] = kind == 0 ? FACT_NXDOMAIN : kind == 1 ? FACT_TEMP : kind < 5 ? FACT_NODATA : FACT_OK;
        zone.n[i] = zone.state[i] == FACT_OK && i + 1 < NAMES ? 1 + random_below(3) : 0;
    }
    for (size_t i = 0; i < NAMES; i++)
        for (size_t k = 0; k < zone.n[i]; k++)
            zone.to[i][k] = name_of(i + 1 + random_below((uint32_t)(NAMES - i - 1)));
}

static void walk(struct pass *pass, const struct check *self, struct str name, int depth)
{
    const struct fact *fact = pass_ask(pass, ASK_TXT, name);

    name = name_of(index_of(name)); /* outlives the session's facts */
    if (fact == NULL || depth == DEPTH)
        return;
    if (fact->state == FACT_NXDOMAIN)
        pass_refuse(pass, self, 550, "5.7.23", STR("Refused"), name);
    if (fact->state == FACT_TEMP)
        pass_refuse(pass, self, 451, "4.7.24", STR("Not now"), name);
    if (fact->state == FACT_LIMIT)
        pass_refuse(pass, self, 550, "5.7.24", STR("Too much"), STR("limit"));
    for (size_t i = 0; i < fact->n; i++)
        walk(pass, self, fact->value[i], depth + 1);
}

static const struct check walkers[CHECKS];

static void walk_0(struct pass *pass)
{
    walk(pass, &walkers[0], name_of(0), 0);
}

static void walk_1(struct pass *pass)
{
    walk(pass, &walkers[1], name_of(1), 0);
}

static void walk_2(struct pass *pass)
{
    walk(pass, &walkers[2], name_of(0), 2);
    walk(pass, &walkers[2], name_of(2), 1);
}

static const struct check walkers[CHECKS] = {
    { .name = "first", .stages = 1u << AT_MAIL, .run = walk_0 },
    { .name = "second", .stages = 1u << AT_MAIL, .run = walk_1 },
    { .name = "third", .stages = 1u << AT_MAIL, .run = walk_2 },
};
static const struct check *const walker_table[CHECKS] = { &walkers[0], &walkers[1], &walkers[2] };

static void pass_over_zone(void)
{
    arena_reset(&s.arena);
    policy_evaluate_with(walker_table, CHECKS, &s.policy, AT_MAIL, &s.envelope, NULL, &s.facts, &s.arena, &s.outcome);
}

struct flight {
    struct str name[NAMES];
    size_t n;
};

static void take_off(struct flight *flight)
{
    for (size_t i = 0; i < s.outcome.questions; i++)
        if (facts_ask(&s.facts, s.outcome.question[i]))
            flight->name[flight->n++] = name_of(index_of(s.outcome.question[i].key));
}

static void land_one(struct flight *flight)
{
    size_t at = random_below((uint32_t)flight->n), i = index_of(flight->name[at]);

    facts_answer(&s.facts, (struct question){ ASK_TXT, name_of(i) }, zone.state[i], zone.to[i], zone.n[i]);
    flight->name[at] = flight->name[--flight->n];
}

/* Plays a session: answers land in random order and in random bunches; `deadline` answers, then the table is
 * closed.
 */
static struct verdict play(size_t facts_max, unsigned deadline)
{
    struct flight flight = { .n = 0 };

    start(facts_max, MEMORY);
    for (pass_over_zone(); !s.outcome.decided; pass_over_zone()) {
        take_off(&flight);
        if (flight.n == 0 || deadline == 0) {
            facts_close(&s.facts);
            continue;
        }
        for (uint32_t bunch = 1 + random_below(3); bunch > 0 && flight.n > 0 && deadline > 0; bunch--, deadline--)
            land_one(&flight);
    }
    return s.outcome.verdict;
}

static bool same_verdict(const struct verdict *a, const struct verdict *b)
{
    return a->action == b->action && a->code == b->code && a->check == b->check && str_eq(a->reason, b->reason);
}

static void the_order_of_answers_never_changes_a_verdict(void)
{
    int refused = 0;

    for (int z = 0; z < ZONES; z++) {
        struct verdict first, next;

        make_zone();
        first = play(FACTS, NAMES + 1);
        refused += first.code != 0;
        for (int order = 1; order < ORDERS; order++) {
            next = play(FACTS, NAMES + 1);
            CHECK(same_verdict(&first, &next));
        }
    }
    CHECK(refused > ZONES / 10 && refused < ZONES * 9 / 10);
}

static void every_deadline_and_cap_ends_in_a_verdict(void)
{
    for (int z = 0; z < ZONES; z++) {
        make_zone();
        for (unsigned deadline = 0; deadline < 8; deadline++) {
            play(FACTS, deadline);
            CHECK(s.outcome.decided);
        }
        for (size_t max = 0; max < 12; max++) {
            play(max, NAMES + 1);
            CHECK(s.outcome.decided);
            CHECK(s.facts.n <= max);
        }
    }
}

/* What a session asked, written down and read again, gives the same verdict in one pass. */
static void recorded_facts_replay_to_the_same_verdict(void)
{
    static char room[MEMORY];

    for (int z = 0; z < ZONES; z++) {
        size_t max = z % 2 == 0 ? FACTS : (size_t)random_below(12);
        struct verdict live, replayed;
        struct arena arena;
        struct str text;

        make_zone();
        live = play(max, z % 3 == 0 ? random_below(10) : NAMES + 1);
        facts_close(&s.facts);
        arena_init(&arena, room, sizeof room);
        text = facts_dump(&s.facts, &arena);
        start(FACTS, MEMORY);
        CHECK_EQ_INT(facts_load(&s.facts, text), 0);
        pass_over_zone();
        replayed = s.outcome.verdict;
        CHECK(s.outcome.decided && same_verdict(&live, &replayed));
    }
}

/* ---- tables ---- */

static void every_check_is_whole(void)
{
    CHECK(policy_checks_n > 0);
    for (size_t i = 0; i < policy_checks_n; i++) {
        const struct check *check = policy_checks[i];

        CHECK_ROW(check->name);
        CHECK(check->run != NULL && (check->stages != 0 || check->lists_n > 0) && check->stages < 1u << STAGES);
        for (size_t k = 0; k < check->options_n; k++) {
            const struct option *option = &check->options[k];

            CHECK_EQ_STR(option->section, strlen(option->section), check->name);
            CHECK(option->key != NULL && option->help != NULL && option->offset < sizeof(struct policy));
        }
    }
}

static void names_every_stage_and_action(void)
{
    for (int i = 0; i < STAGES; i++)
        CHECK(stage_name((enum stage)i) != NULL && strcmp(stage_name((enum stage)i), "?") != 0);
    CHECK(strcmp(stage_name(AT_HEADERS), "headers") == 0);
    CHECK(strcmp(stage_name(STAGES), "?") == 0);
    CHECK(strcmp(action_name(ACTION_ACCEPT), "accept") == 0 && strcmp(action_name(ACTION_REJECT), "reject") == 0);
    CHECK(strcmp(action_name(ACTION_QUARANTINE), "quarantine") == 0);
    CHECK(strcmp(action_name(ACTION_TEMPFAIL), "tempfail") == 0);
}

static const struct test_case tests[] = {
    TEST(accepts_when_no_check_objects),
    TEST(the_first_refusal_in_table_order_stands),
    TEST(only_checks_of_the_stage_run),
    TEST(all_checks_ask_in_one_pass),
    TEST(an_undecided_outcome_is_no_accept),
    TEST(a_refusal_before_every_pending_check_decides),
    TEST(a_refusal_behind_a_pending_check_waits),
    TEST(a_refusal_past_an_unknown_is_pending),
    TEST(a_refusal_before_an_unknown_of_its_own_stands),
    TEST(what_is_in_flight_is_not_asked_again),
    TEST(the_deadline_decides),
    TEST(without_facts_every_unknown_is_temp),
    TEST(over_the_cap_an_unknown_is_limit),
    TEST(questions_over_the_cap_wait_for_a_later_pass),
    TEST(questions_that_do_not_fit_the_arena_wait_too),
    TEST(keys_and_details_outlive_the_check),
    TEST(effects_belong_to_the_deciding_pass),
    TEST(findings_and_effects_have_a_cap),
    TEST(the_order_of_answers_never_changes_a_verdict),
    TEST(every_deadline_and_cap_ends_in_a_verdict),
    TEST(recorded_facts_replay_to_the_same_verdict),
    TEST(every_check_is_whole),
    TEST(names_every_stage_and_action),
};
TEST_MAIN(tests)
