/* Facts: set once, capped, closed, and the same after a trip through text. */
#include "policy/facts.h"

#include "test.h"

enum { FACTS = 8, MEMORY = 2048 };

static struct {
    struct fact table[FACTS];
    char memory[MEMORY];
    struct facts facts;
} a, b;

static struct facts *fresh(void)
{
    facts_init(&a.facts, a.table, FACTS, a.memory, MEMORY);
    return &a.facts;
}

static struct question txt(const char *name)
{
    return (struct question){ ASK_TXT, str_of(name) };
}

static void an_unknown_question_can_be_asked_once(void)
{
    struct facts *facts = fresh();

    CHECK(facts_find(facts, txt("x")) == NULL);
    CHECK_EQ_INT(facts_state(facts, txt("x")), FACT_UNKNOWN);
    CHECK(facts_ask(facts, txt("x")));
    CHECK(!facts_ask(facts, txt("x")));
    CHECK(facts_find(facts, txt("x")) != NULL);
    CHECK_EQ_INT(facts_state(facts, txt("x")), FACT_UNKNOWN);
    CHECK(facts_ask(facts, (struct question){ ASK_MX, STR("x") }));
    CHECK(facts_ask(facts, txt("X")));
}

static void an_answer_is_set_once_and_copied(void)
{
    struct facts *facts = fresh();
    char key[] = "x", text[] = "v=spf1";
    struct str value[] = { str_of(text), STR("") };
    const struct fact *fact;

    facts_answer(facts, (struct question){ ASK_TXT, str_of(key) }, FACT_OK, value, 2);
    key[0] = text[0] = '?';
    facts_answer(facts, txt("x"), FACT_NXDOMAIN, NULL, 0);
    fact = facts_find(facts, txt("x"));
    CHECK(fact != NULL && fact->state == FACT_OK && fact->n == 2);
    CHECK_EQ_STR(fact->value[0].p, fact->value[0].n, "v=spf1");
    CHECK_EQ_INT(fact->value[1].n, 0);
    CHECK(!facts_ask(facts, txt("x")));
}

static void answers_are_brought_into_one_form(void)
{
    struct facts *facts = fresh();
    struct str value[] = { STR("v") };

    facts_answer(facts, txt("empty"), FACT_OK, NULL, 0);
    facts_answer(facts, txt("gone"), FACT_NXDOMAIN, value, 1);
    facts_answer(facts, txt("none"), FACT_UNKNOWN, value, 1);
    CHECK_EQ_INT(facts_state(facts, txt("empty")), FACT_NODATA);
    CHECK_EQ_INT(facts_find(facts, txt("gone"))->n, 0);
    CHECK(facts_find(facts, txt("none")) == NULL);
}

static void closing_makes_every_unknown_temp(void)
{
    struct facts *facts = fresh();
    struct str value[] = { STR("v") };

    facts_ask(facts, txt("asked"));
    facts_answer(facts, txt("known"), FACT_OK, value, 1);
    facts_close(facts);
    CHECK_EQ_INT(facts_state(facts, txt("asked")), FACT_TEMP);
    CHECK_EQ_INT(facts_state(facts, txt("later")), FACT_TEMP);
    CHECK_EQ_INT(facts_state(facts, txt("known")), FACT_OK);
    facts_answer(facts, txt("asked"), FACT_OK, value, 1);
    facts_answer(facts, txt("later"), FACT_OK, value, 1);
    CHECK_EQ_INT(facts_state(facts, txt("asked")), FACT_TEMP);
    CHECK_EQ_INT(facts_state(facts, txt("later")), FACT_TEMP);
    CHECK(!facts_ask(facts, txt("later")));
}

static void a_full_table_limits_what_is_not_in_it(void)
{
    static const char *const name[FACTS] = { "1", "2", "3", "4", "5", "6", "7", "8" };
    struct facts *facts = fresh();

    for (size_t i = 0; i < FACTS; i++)
        CHECK(facts_ask(facts, txt(name[i])));
    CHECK(!facts_ask(facts, txt("9")));
    CHECK_EQ_INT(facts_state(facts, txt("9")), FACT_LIMIT);
    CHECK_EQ_INT(facts_state(facts, txt("1")), FACT_UNKNOWN);
    facts_answer(facts, txt("9"), FACT_NODATA, NULL, 0);
    facts_answer(facts, txt("1"), FACT_NODATA, NULL, 0);
    CHECK_EQ_INT(facts_state(facts, txt("9")), FACT_LIMIT);
    CHECK_EQ_INT(facts_state(facts, txt("1")), FACT_NODATA);
    facts_close(facts);
    CHECK_EQ_INT(facts_state(facts, txt("9")), FACT_LIMIT);
    CHECK_EQ_INT(facts_state(facts, txt("2")), FACT_TEMP);
}

static void an_answer_too_long_is_limited_and_ends_asking(void)
{
    static char text[MEMORY];
    struct facts *facts = fresh();
    struct str value[] = { { text, sizeof text } };

    facts_ask(facts, txt("long"));
    facts_ask(facts, txt("other"));
    facts_answer(facts, txt("long"), FACT_OK, value, 1);
    CHECK_EQ_INT(facts_state(facts, txt("long")), FACT_LIMIT);
    CHECK_EQ_INT(facts_find(facts, txt("long"))->n, 0);
    CHECK_EQ_INT(facts_state(facts, txt("new")), FACT_LIMIT);
    CHECK(!facts_ask(facts, txt("new")));
    facts_answer(facts, txt("other"), FACT_NODATA, NULL, 0);
    CHECK_EQ_INT(facts_state(facts, txt("other")), FACT_NODATA);
}

static void a_key_too_long_is_limited(void)
{
    static char text[MEMORY + 1];
    struct facts *facts = fresh();
    struct question q = { ASK_SIG, { text, sizeof text } };

    CHECK(!facts_ask(facts, q));
    CHECK_EQ_INT(facts_state(facts, q), FACT_LIMIT);
    CHECK_EQ_INT(facts->n, 0);
}

static void too_many_values_do_not_wrap_around(void)
{
    struct facts *facts = fresh();
    struct str value[] = { STR("v") };

    facts_answer(facts, txt("x"), FACT_OK, value, (size_t)-1 / sizeof(struct str) + 2);
    CHECK_EQ_INT(facts_state(facts, txt("x")), FACT_LIMIT);
}

/* ---- text ---- */

static char room[4 * MEMORY];

static struct str dump(const struct facts *facts)
{
    struct arena arena;

    arena_init(&arena, room, sizeof room);
    return facts_dump(facts, &arena);
}

static void dumps_one_line_an_answer(void)
{
    struct facts *facts = fresh();
    struct str value[] = { STR("v=spf1 -all"), STR(""), STR("\"\\\r\n\0\x7f\xc3\xa4") };
    struct str text;

    facts_answer(facts, txt("example.org"), FACT_OK, value, 3);
    facts_answer(facts, (struct question){ ASK_SEEN, STR("per day 192.0.2.1") }, FACT_TEMP, NULL, 0);
    facts_answer(facts, (struct question){ ASK_SIG, STR("") }, FACT_NXDOMAIN, NULL, 0);
    facts_ask(facts, (struct question){ ASK_AAAA, STR("#\n") });
    text = dump(facts);
    /* clang-format off */
    CHECK_EQ_STR(text.p, text.n,
                 "TXT example.org OK \"v=spf1 -all\" \"\" \"\\\"\\\\\\x0d\\x0a\\x00\\x7f\\xc3\\xa4\"\n"
                 "SEEN \"per day 192.0.2.1\" TEMP\n"
                 "SIG \"\" NXDOMAIN\n"
                 "AAAA \"#\\x0a\" UNKNOWN\n");
    /* clang-format on */
}

static void a_dump_says_how_the_rest_reads(void)
{
    struct facts *facts = fresh();
    struct str text = dump(facts);

    CHECK(text.p != NULL && text.n == 0);
    facts_close(facts);
    text = dump(facts);
    CHECK_EQ_STR(text.p, text.n, "* TEMP\n");
    facts_init(facts, a.table, 0, a.memory, MEMORY);
    text = dump(facts);
    CHECK_EQ_STR(text.p, text.n, "* LIMIT\n");
}

static void a_dump_that_does_not_fit_is_empty(void)
{
    struct facts *facts = fresh();
    struct arena arena;

    facts_ask(facts, txt("example.org"));
    arena_init(&arena, room, 10);
    CHECK(facts_dump(facts, &arena).p == NULL);
}

static const char whole[] = "TXT example.org OK \"a b\" \"\\x00\\xff\\\"\\\\\"\n"
                            "MX example.org OK \"10 mx.example.org\"\n"
                            "A \"\" NODATA\n"
                            "PTR \"a b\" TEMP\n"
                            "GEO 192.0.2.1 LIMIT\n"
                            "SIG 0 UNKNOWN\n"
                            "* TEMP\n";

/* What was asked and not answered is TEMP behind "* TEMP": that is what closing a table means. */
static void loads_what_it_dumps(void)
{
    struct facts *facts = fresh();
    struct str text;

    CHECK_EQ_INT(facts_load(facts, str_of(whole)), 0);
    CHECK_EQ_INT(facts->n, 6);
    CHECK_EQ_INT(facts_find(facts, txt("example.org"))->value[1].n, 4);
    CHECK_EQ_INT(facts_state(facts, (struct question){ ASK_SIG, STR("0") }), FACT_TEMP);
    text = dump(facts);
    facts_init(&b.facts, b.table, FACTS, b.memory, MEMORY);
    CHECK_EQ_INT(facts_load(&b.facts, text), 0);
    CHECK_EQ_INT(b.facts.n, 6);
    for (size_t i = 0; i < b.facts.n; i++) {
        CHECK_EQ_INT(b.facts.fact[i].state, facts->fact[i].state);
        CHECK(str_eq(b.facts.fact[i].q.key, facts->fact[i].q.key));
    }
    CHECK(str_eq(b.facts.fact[0].value[1], STR("\0\xff\"\\")));
    CHECK_EQ_INT(facts_state(&b.facts, txt("z")), FACT_TEMP);
}

static void loads_hand_written_lines(void)
{
    struct facts *facts = fresh();

    CHECK_EQ_INT(facts_load(facts, STR("# a zone\r\n\r\n   \t\n  A\tmx.example.org \t OK 192.0.2.1   192.0.2.2  \r\n"
                                       " # more\nTXT x NXDOMAIN")),
                 0);
    CHECK_EQ_INT(facts->n, 2);
    CHECK_EQ_INT(facts->fact[0].n, 2);
    CHECK_EQ_STR(facts->fact[0].value[1].p, facts->fact[0].value[1].n, "192.0.2.2");
    CHECK_EQ_INT(facts_state(facts, txt("y")), FACT_UNKNOWN);
    CHECK_EQ_INT(facts_load(facts, str_from(NULL, 0)), 0);
}

static void an_answer_may_follow_its_question(void)
{
    struct facts *facts = fresh();

    facts_ask(facts, txt("x"));
    CHECK_EQ_INT(facts_load(facts, STR("TXT x OK v\n* LIMIT\n")), 0);
    CHECK_EQ_INT(facts_state(facts, txt("x")), FACT_OK);
    CHECK_EQ_INT(facts_state(facts, txt("y")), FACT_LIMIT);
}

static void refuses_lines_it_cannot_read(void)
{
    /* clang-format off */
    static const char *const rows[] = {
        "TXT", "TXT x", "TXT x MAYBE", "TXT x OK", "TXT x NODATA v", "TXT x UNKNOWN v", "txt x NODATA", "FOO x NODATA",
        "TXT x ok v", "TXT x OK v\"", "TXT x OK \"v", "TXT x OK \"v\\", "TXT x OK \"v\\\"", "TXT x OK \"\\n\"",
        "TXT x OK \"\\x0\"", "TXT x OK \"\\x0g\"", "TXT x OK \"v\"w", "TXT x OK \"a\"\"b\"", "TXT x OK a\\x20b",
        "TXT x OK \x01", "TXT x OK \"\t\"", "TXT x OK \xc3\xa4", "TXT x OK \"\xc3\xa4\"", "TXT \"x OK v", "\"TXT\" x OK v",
        "*", "* TEMP x", "* OK", "* TEMP \"", "**", "TXT x OK v\r", "TXT x OK \rv", "\"",
        "TXT known NODATA", "TXT known OK other",
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[100];
        int n = snprintf(text, sizeof text, "TXT known OK v\n\n%s\r\nTXT y TEMP\n", rows[i]);

        CHECK_ROW(rows[i]);
        CHECK_EQ_INT(facts_load(fresh(), str_from(text, (size_t)n)), 3);
    }
}

static void refuses_what_does_not_fit(void)
{
    struct facts *facts = fresh();

    facts_init(facts, a.table, 2, a.memory, MEMORY);
    CHECK_EQ_INT(facts_load(facts, STR("TXT a TEMP\nTXT b TEMP\nTXT c TEMP\n")), 3);
    facts_init(facts, a.table, 2, a.memory, 40);
    CHECK_EQ_INT(facts_load(facts, STR("TXT a OK 0123456789012345678901234567890123456789\n")), 1);
    facts = fresh();
    CHECK_EQ_INT(facts_load(facts, STR("* TEMP\nTXT a TEMP\n")), 2);
}

/* Whatever memory there is: a line either loads whole or is named, and then the table knows that it is full. */
static void refuses_what_memory_does_not_hold(void)
{
    struct facts *facts = fresh();
    struct str value[] = { STR("one"), STR("two") };
    unsigned failed = 1;

    for (size_t size = 0; size < MEMORY; size++) {
        unsigned line;

        facts_init(facts, a.table, FACTS, a.memory, size);
        line = facts_load(facts, str_of(whole));
        CHECK(line == 0 ? !facts->limited : facts->limited && line >= failed);
        failed = line;
        facts_init(facts, a.table, FACTS, a.memory, size);
        facts_answer(facts, txt("x"), FACT_OK, value, 2);
        CHECK_EQ_INT(facts_state(facts, txt("x")), facts->limited ? FACT_LIMIT : FACT_OK);
        if (line == 0)
            break;
    }
    CHECK_EQ_INT(failed, 0);
}

static void names_every_kind_and_state(void)
{
    CHECK(strcmp(ask_name(ASK_TXT), "TXT") == 0 && strcmp(ask_name(ASK_SIG), "SIG") == 0);
    CHECK(strcmp(ask_name(ASK_KINDS), "?") == 0);
    CHECK(strcmp(fact_state_name(FACT_LIMIT), "LIMIT") == 0);
    for (int i = 0; i < ASK_KINDS; i++)
        CHECK(ask_name((enum ask)i) != NULL);
    for (int i = 0; i <= FACT_LIMIT; i++)
        CHECK(fact_state_name((enum fact_state)i) != NULL);
}

static const struct test_case tests[] = {
    TEST(an_unknown_question_can_be_asked_once),
    TEST(an_answer_is_set_once_and_copied),
    TEST(answers_are_brought_into_one_form),
    TEST(closing_makes_every_unknown_temp),
    TEST(a_full_table_limits_what_is_not_in_it),
    TEST(an_answer_too_long_is_limited_and_ends_asking),
    TEST(a_key_too_long_is_limited),
    TEST(too_many_values_do_not_wrap_around),
    TEST(dumps_one_line_an_answer),
    TEST(a_dump_says_how_the_rest_reads),
    TEST(a_dump_that_does_not_fit_is_empty),
    TEST(loads_what_it_dumps),
    TEST(loads_hand_written_lines),
    TEST(an_answer_may_follow_its_question),
    TEST(refuses_lines_it_cannot_read),
    TEST(refuses_what_does_not_fit),
    TEST(refuses_what_memory_does_not_hold),
    TEST(names_every_kind_and_state),
};
TEST_MAIN(tests)
