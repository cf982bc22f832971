/* P-7, P-8 and P-10: each with what holds, every form of breach, and what captures leave in doubt. */
#include "play.h"
#include "play_text.h"
#include "relaying.h"

/* The client's recipient, what the back end said of it and what the client heard. */
#define ANSWER(path, south, north) \
    NORTH "N> RCPT TO:<" path ">\n" SOUTH "S> RCPT TO:<" path ">\nS< " south "\nN< " north "\n"
#define REPLY(text) NORTH "N> RCPT TO:<v@local.example>\nN< " text "\n"

static const struct play_row rows[] = {
    { "a session", "P-7", HELD, INI, MESSAGE(TEXT, RECEIVED TEXT) },
    { "refusals of the table", "P-7", HELD, INI,
      REPLY("550 5.7.1 Relaying denied") "N> X\nN< 500 5.5.2 what\nN> HELP\nN< 502 5.5.1 no\nN> DATA\nN< 503 5.5.1 "
                                         "no\n" },
    { "class digits that differ", "P-7", VIOLATED, INI, REPLY("550 4.7.1 no") },
    { "a code that is in no table", "P-7", VIOLATED, INI, REPLY("571 5.7.1 no") },
    { "an enhanced code that is not the code's", "P-7", VIOLATED, INI, REPLY("550 5.3.4 no") },
    { "no enhanced code", "P-7", VIOLATED, INI, REPLY("550 no") },
    { "250 without an enhanced code", "P-7", VIOLATED, INI, HELLO "N> RSET\nN< 250 OK\n" },
    { "354 with an enhanced code", "P-7", VIOLATED, INI, ACCEPTED "N> DATA\nN< 354 2.0.0 go on\n" },
    { "421 at the end", "P-7", HELD, INI, HELLO "N< 421 4.4.2 Timeout\n" },
    { "421 with another code", "P-7", VIOLATED, INI, HELLO "N< 421 4.9.9 Timeout\n" },
    { "a code of the back end's", "P-7", HELD, INI, ANSWER("v@local.example", "551 5.9.9 no", "551 5.9.9 no") },
    { "a code of the back end's without an enhanced one", "P-7", HELD, INI,
      ANSWER("v@local.example", "551 no", "551 5.0.0 no") },
    { "the back end's contradicts itself", "P-7", HELD, INI,
      ANSWER("v@local.example", "551 4.1.1 no", "551 5.0.0 no") },
    { "251 becomes 250", "P-7", HELD, INI, ANSWER("v@local.example", "251 2.9.9 OK", "250 2.9.9 OK") },
    { "the back end gave another", "P-7", VIOLATED, INI, ANSWER("v@local.example", "551 5.9.9 no", "551 5.9.8 no") },
    { "5.0.0 that the back end did not give", "P-7", VIOLATED, INI,
      ANSWER("v@local.example", "550 5.1.1 no", "551 5.0.0 no") },
    { "a connection of nobody's gave it", "P-7", UNSURE, INI,
      REPLY("551 5.9.9 no") "O< 220 b\nO> MAIL FROM:<z@b.example>\nO< 551 5.9.9 no\n" },
    { "the refusal of a message", "P-7", VIOLATED, INI, ACCEPTED NORTH_DATA(TEXT) "N< 550 5.9.9 no\n" },

    { "the postmaster", "P-10", HELD, INI, RECIPIENT("Postmaster") },
    { "the postmaster of a local domain", "P-10", HELD, INI, RECIPIENT("postmaster@local.example") },
    { "nobody wrote to the postmaster", "P-10", NOTHING, INI, RECIPIENT("v@local.example") },
    { "the postmaster of another domain", "P-10", NOTHING, INI,
      NORTH "N> RCPT TO:<postmaster@other.example>\nN< 550 5.7.1 Relaying denied\n" },
    { "the postmaster is refused", "P-10", VIOLATED, INI, NORTH "N> RCPT TO:<postmaster>\nN< 550 5.7.1 listed\n" },
    { "the postmaster of a local domain is refused", "P-10", VIOLATED, INI,
      NORTH "N> RCPT TO:<POSTMASTER@LOCAL.example>\nN< 450 4.7.1 later\n" },
    { "the postmaster is refused for SPF", "P-10", VIOLATED, INI,
      NORTH "N> RCPT TO:<postmaster>\nN< 550 5.7.23 SPF\n" },
    { "the postmaster is put off for want of a server", "P-10", HELD, INI,
      NORTH "N> RCPT TO:<postmaster>\nN< 451 4.4.1 not available\n" },
    { "TLS is required of everybody", "P-10", HELD, INI, NORTH "N> RCPT TO:<postmaster>\nN< 530 5.7.0 STARTTLS\n" },
    { "the back end refuses the postmaster", "P-10", HELD, INI, ANSWER("postmaster", "550 5.7.1 no", "550 5.7.1 no") },
    { "a message to the postmaster fails SPF", "P-10", VIOLATED, INI,
      RECIPIENT("postmaster") NORTH_DATA(TEXT) "N< 550 5.7.23 SPF\n" },
    { "a message to the postmaster has no author", "P-10", UNSURE, INI,
      RECIPIENT("postmaster") NORTH_DATA(TEXT) "N< 550 5.7.26 no From\n" },
    { "a message to others, too", "P-10", HELD, INI,
      RECIPIENT("postmaster") "N> RCPT TO:<v@local.example>\nN< 250 2.1.5 OK\n" NORTH_DATA(
          TEXT) "N< 550 5.7.23 SPF\n" },
};

static void judges_replies(void)
{
    PLAY_ROWS(rows, relaying_invariants);
}

static void without_the_south_wire(void)
{
    struct play p;

    CHECK_ROW("a code that may be the back end's");
    play_start(&p, REPLY("551 5.9.9 no"), INI);
    play_ready(&p);
    p.t.south.is_present = false;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-7"), UNSURE);
    play_end(&p);

    CHECK_ROW("class digits that differ are nobody's");
    play_start(&p, REPLY("551 4.9.9 no"), INI);
    play_ready(&p);
    p.t.south.is_present = false;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-7"), VIOLATED);
    play_end(&p);

    CHECK_ROW("the back end's in TLS");
    play_start(&p, ANSWER("v@local.example", "551 5.9.9 no", "551 5.9.8 no"), INI);
    play_ready(&p);
    p.dialogue[2].tls = &p.hidden;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-7"), UNSURE);
    p.dialogue[2].tls = NULL;
    play_end(&p);
}

/* ---- with a log ---- */

static enum verdict judge_with(const char *script, const char *id, const char *check, const char *result)
{
    struct field fields[] = { { slice_of("check"), slice_of(check) }, { slice_of(check), slice_of(result) } };
    struct record record = { .line = 1, .text = slice_of("event=transaction"), .field = fields, .n = 2 };
    struct play p;
    enum verdict verdict;

    play_start(&p, script, INI);
    play_ready(&p);
    p.t.has_log = true;
    p.session[0].pair[0].record = &record;
    verdict = play_judge(&p, relaying_invariants, id);
    play_end(&p);
    return verdict;
}

static void judges_with_the_log(void)
{
    static const struct {
        const char *id, *check, *result, *script;
        enum verdict want;
    } table[] = {
        { "P-8", "spf", "temperror/a.example", ACCEPTED NORTH_DATA(TEXT) "N< 451 4.7.24 SPF\n", HELD },
        { "P-8", "spf", "temperror/a.example", ACCEPTED NORTH_DATA(TEXT) "N< 550 5.7.24 SPF\n", VIOLATED },
        { "P-8", "dmarc", "temperror/a.example", ACCEPTED NORTH_DATA(TEXT) "N< 550 5.7.26 DMARC\n", VIOLATED },
        { "P-8", "dmarc", "fail/a.example", ACCEPTED NORTH_DATA(TEXT) "N< 550 5.7.26 DMARC\n", NOTHING },
        { "P-10", "dmarc", "fail/a.example", RECIPIENT("postmaster") NORTH_DATA(TEXT) "N< 550 5.7.26 DMARC\n",
          VIOLATED },
        { "P-10", "author", "missing", RECIPIENT("postmaster") NORTH_DATA(TEXT) "N< 550 5.7.26 no From\n", HELD },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_ROW(table[i].script);
        CHECK_EQ_INT(judge_with(table[i].script, table[i].id, table[i].check, table[i].result), table[i].want);
    }
}

static void knows_the_table(void)
{
    CHECK(replies_table_holds(220, "", true));
    CHECK(!replies_table_holds(220, "", false));
    CHECK(replies_table_holds(354, "", false));
    CHECK(replies_table_holds(550, "5.7.26", false));
    CHECK(!replies_table_holds(550, "5.7.2", false)); /* no prefix of a code is one */
    CHECK(!replies_table_holds(550, "", true));
    CHECK(!replies_table_holds(599, "5.0.0", false));
}

static const struct test_case tests[] = { TEST(judges_replies), TEST(without_the_south_wire), TEST(judges_with_the_log),
                                          TEST(knows_the_table) };
TEST_MAIN(tests)
