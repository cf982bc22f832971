/* Who is joined to whom: by token, by log, by envelope and time; and who is not, or may not be. */
#include "stage.h"
#include "test.h"

#define TOKEN_A "00112233445566778899aabbccddeeff"
#define TOKEN_B "ffeeddccbbaa99887766554433221100"
#define FROM_A "<" TOKEN_A "@sender.example>"
#define FROM_B "<" TOKEN_B "@sender.example>"

#define HELLO "north\n< 220 mx ESMTP\n> EHLO client.example\n< 250 mx\n"
#define BACK_HELLO "south\n] 220 back\n[ EHLO mx\n] 250 back\n"
#define MAIL_NORTH(from) "> MAIL FROM:" from "\n< 250 ok\n"
#define MAIL_SOUTH(from) "[ MAIL FROM:" from "\n] 250 ok\n"
#define RCPT_NORTH "> RCPT TO:<bob@local.example>\n"
#define RCPT_SOUTH "[ RCPT TO:<bob@local.example>\n] 250 ok\n"
#define OK "< 250 ok\n"
#define MESSAGE_NORTH "> DATA\n< 354 go\n> S: x\n> .\n"
#define MESSAGE_SOUTH "[ DATA\n] 354 go\n[ S: x\n[ .\n] 250 stored\n"
#define ENVELOPE(from) \
    MAIL_NORTH(from) RCPT_NORTH BACK_HELLO MAIL_SOUTH(from) \
    RCPT_SOUTH OK
#define WHOLE(from) \
    HELLO ENVELOPE(from) \
    MESSAGE_NORTH MESSAGE_SOUTH OK
#define LOG(id, from) \
    "log event=transaction id=" id " tx=1 client={client} from=" from \
    " outcome=accepted reply=\"250 ok\" via={via} backend={backend}\n"
#define LOG_END(id) "log event=connection id=" id " client={client}\n"

static const struct trial *stage_of(struct stage *s, const char *script)
{
    stage_begin(s);
    stage_play(s, script);
    return stage_trial(s);
}

static bool has_only(const struct session *s, const struct dialogue *south)
{
    return s->south_n == 1 && s->south[0] == south;
}

static void joins_by_token(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, WHOLE(FROM_A) WHOLE(FROM_B));

    CHECK_EQ_INT(t->session_n, 2);
    for (size_t i = 0; i < 2; i++) {
        CHECK(has_only(&t->session[i], &t->south.dialogue[i]));
        CHECK_EQ_INT(t->session[i].pair_n, 1);
        CHECK(t->session[i].pair[0].south == &t->south.dialogue[i].transaction[0]);
        CHECK(t->session[i].pair[0].is_joined_by_token);
        CHECK(!t->session[i].pair[0].is_joined_by_log);
        CHECK(t->session[i].doubt == NULL && t->session[i].breach == NULL);
    }
    CHECK_EQ_INT(t->orphan_n + t->probe_n + t->unexplained_n, 0);
    stage_free(&s);
}

/* Sessions that are woven into each other, the same sender in both: only the log tells which connection is whose. */
#define WOVEN \
    HELLO MAIL_NORTH("<>") HELLO MAIL_NORTH("<>") RCPT_NORTH "north 1\n" RCPT_NORTH BACK_HELLO MAIL_SOUTH("<>") \
        RCPT_SOUTH OK

static void joins_by_log(void)
{
    struct stage s;
    const struct trial *t = stage_of(
        &s, WOVEN BACK_HELLO MAIL_SOUTH("<>") RCPT_SOUTH "north 2\n" OK MESSAGE_NORTH MESSAGE_SOUTH OK LOG("b", "\"\"")
                LOG_END("b") "north 1\nsouth 1\n" MESSAGE_NORTH MESSAGE_SOUTH OK LOG("a", "\"\"") LOG_END("a"));

    for (size_t i = 0; i < 2; i++) {
        CHECK(has_only(&t->session[i], &t->south.dialogue[i]));
        CHECK(t->session[i].pair[0].is_joined_by_log);
        CHECK(t->session[i].pair[0].record != NULL);
        CHECK(t->session[i].record != NULL);
        CHECK(t->session[i].doubt == NULL);
    }
    stage_free(&s);
}

static void doubts_where_two_sessions_fit(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, WOVEN "north 2\n" OK);

    CHECK(t->session[0].doubt != NULL || t->session[1].doubt != NULL);
    CHECK_EQ_INT(t->orphan_n, 0);
    stage_free(&s);
}

static void joins_by_envelope_and_time(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, WHOLE("<a@sender.example>") WHOLE("<a@sender.example>") WHOLE("<>"));

    for (size_t i = 0; i < 3; i++) {
        CHECK(has_only(&t->session[i], &t->south.dialogue[i]));
        CHECK(t->session[i].doubt == NULL);
        CHECK(!t->session[i].pair[0].is_joined_by_token);
    }
    stage_free(&s);
}

static void tells_when_joins_disagree(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, WHOLE(FROM_A) LOG("a", TOKEN_A "@sender.example") LOG_END("a"));

    CHECK(t->session[0].breach == NULL);
    stage_free(&s);
    t = stage_of(&s, HELLO WHOLE(FROM_A) "north 1\n" LOG("x", TOKEN_A "@sender.example") LOG_END("x"));
    CHECK(t->session[0].breach != NULL && t->session[1].breach != NULL);
    CHECK(has_only(&t->session[1], &t->south.dialogue[0])); /* the token goes first */
    stage_free(&s);
}

static void keeps_the_order_of_a_session(void)
{
    struct stage s;
    const struct trial *t = stage_of(
        &s, WHOLE(FROM_A) MAIL_NORTH(FROM_B) RCPT_NORTH "[ RSET\n] 250 ok\n" MAIL_SOUTH(FROM_B)
                RCPT_SOUTH OK MESSAGE_NORTH MESSAGE_SOUTH OK MAIL_NORTH("<>") "> RSET\n< 250 ok\n" MAIL_NORTH("<>")
                    RCPT_NORTH MAIL_SOUTH("<>") RCPT_SOUTH OK);
    const struct session *session = &t->session[0];

    CHECK_EQ_INT(session->pair_n, 4);
    CHECK_EQ_INT(session->stray_n, 0);
    CHECK(session->pair[0].south == &t->south.dialogue[0].transaction[0]);
    CHECK(session->pair[1].south == &t->south.dialogue[0].transaction[1]);
    CHECK(session->pair[2].south == NULL);
    CHECK(session->pair[3].south == &t->south.dialogue[0].transaction[2]);
    stage_free(&s);
}

/* The gateway's answers to what was pipelined may leave it only when all of it has gone south. */
static void follows_pipelining(void)
{
    struct stage s;
    const struct trial *t =
        stage_of(&s, HELLO "> MAIL FROM:" FROM_A "\n" RCPT_NORTH "> RSET\n> MAIL FROM:" FROM_B
                           "\n" RCPT_NORTH BACK_HELLO "[ MAIL FROM:" FROM_A "\n] 250 ok\n" RCPT_SOUTH
                           "[ RSET\n] 250 ok\n[ MAIL FROM:" FROM_B "\n] 250 ok\n" RCPT_SOUTH OK OK OK OK OK);

    CHECK_EQ_INT(t->session[0].pair_n, 2);
    CHECK_EQ_INT(t->session[0].south_n, 1);
    for (size_t i = 0; i < t->session[0].pair_n; i++)
        CHECK(t->session[0].pair[i].south == &t->south.dialogue[0].transaction[i]);
    CHECK_EQ_INT(t->session[0].stray_n, 0);
    stage_free(&s);
}

static void a_mail_refused_south_was_there(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, HELLO MAIL_NORTH(FROM_A) RCPT_NORTH BACK_HELLO "[ MAIL FROM:" FROM_A
                                                                                        "\n] 451 later\n< 451 later\n");

    CHECK(has_only(&t->session[0], &t->south.dialogue[0]));
    CHECK(t->session[0].pair[0].south_dialogue == &t->south.dialogue[0]);
    CHECK(t->session[0].pair[0].south == NULL);
    stage_free(&s);
}

static void tells_strays_orphans_and_probes(void)
{
    struct stage s;
    const struct trial *t =
        stage_of(&s, WHOLE(FROM_A) MAIL_SOUTH(FROM_A) RCPT_SOUTH MESSAGE_SOUTH BACK_HELLO
                 "[ QUIT\n] 221 bye\n" BACK_HELLO MAIL_SOUTH("<stranger@x.example>") RCPT_SOUTH MESSAGE_SOUTH);

    CHECK_EQ_INT(t->session[0].stray_n, 1);
    CHECK(t->probe_n == 1 && t->probe[0] == &t->south.dialogue[1]);
    CHECK(t->orphan_n == 1 && t->orphan[0] == &t->south.dialogue[2]);
    stage_free(&s);
}

static void no_orphans_while_somebody_cannot_be_read(void)
{
    struct stage s;
    const struct trial *t = stage_of(&s, HELLO "lost: client\n" BACK_HELLO MAIL_SOUTH("<stranger@x.example>") RCPT_SOUTH
                                     "north 1\n< 250 ok\n");
    const struct connection *c = t->south.dialogue[0].connection;

    CHECK_EQ_INT(t->orphan_n, 0);
    CHECK_EQ_INT(t->unexplained_n, 1);
    CHECK(!north_is_clear(t, c->time, c->last_time));
    stage_free(&s);

    t = stage_of(&s, BACK_HELLO MAIL_SOUTH("<stranger@x.example>") RCPT_SOUTH); /* with no wire north at all */
    CHECK_EQ_INT(t->orphan_n, 0);
    CHECK_EQ_INT(t->unexplained_n, 1);
    stage_free(&s);
}

static void a_connection_in_doubt_may_have_carried_it(void)
{
    struct stage s;
    const struct trial *t =
        stage_of(&s, HELLO "south\nlost: back\n] 220 back\n" MAIL_NORTH(FROM_A) RCPT_NORTH OK "[ EHLO mx\n");
    const struct connection *c = t->north.dialogue[0].connection;

    CHECK(!south_is_clear(t, c->time, c->last_time));
    CHECK(south_is_clear(t, c->last_time + 1000000000, c->last_time + 2000000000));
    stage_free(&s);
}

/* The client tries again with the same token while its first session still waits. */
static void attempts_with_one_token(void)
{
    struct stage s;
    const struct trial *t =
        stage_of(&s, HELLO ENVELOPE(FROM_A) MESSAGE_NORTH WHOLE(FROM_A) "south 1\n" MESSAGE_SOUTH "north 1\n" OK);

    for (size_t i = 0; i < 2; i++)
        CHECK(has_only(&t->session[i], &t->south.dialogue[i]));
    CHECK(t->session[0].doubt == NULL && t->session[1].doubt == NULL);
    stage_free(&s);
}

static void log_lines_find_their_transactions(void)
{
    struct stage s;
    const struct trial *t =
        stage_of(&s, WHOLE(FROM_A) "log event=refused id=a client={client} reply=\"550 no\"\n"
                                   "log event=transaction id=a tx=1 client={client} from=x@y.example outcome=rejected\n"
                                   "log event=transaction id=a tx=2 client={client} from=" TOKEN_A
                                   "@sender.example outcome=accepted reply=\"250 ok\"\n"
                                   "log event=transaction id=other tx=1 client=203.0.113.9:1 from=x@y.example "
                                   "outcome=accepted\n" LOG_END("a"));

    CHECK_EQ_INT(t->session[0].refusal_n, 1);
    CHECK(t->session[0].record == &t->records.record[4]);
    CHECK(t->session[0].pair[0].record == &t->records.record[2]);
    stage_free(&s);
}

static void reads_the_time_of_a_line(void)
{
    static const struct {
        const char *text;
        int64_t time;
    } rows[] = {
        { "time=1970-01-01T00:00:01.500Z event=x", 1500000000 },
        { "time=2026-11-22T12:00:00.123Z event=x", INT64_C(1795348800123000000) },
        { "time=2026-11-22T12:00:00Z event=x", 0 },
        { "time=2026-11-2xT12:00:00.123Z event=x", 0 },
        { "event=x y", 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice text = slice_of(rows[i].text);
        size_t equals = slice_find(text, SLICE("="), 0), blank = slice_find(text, SLICE(" "), 0);
        struct field field = { slice_part(text, 0, equals), slice_part(text, equals + 1, blank) };
        struct record r = { .field = &field, .n = 1 };
        CHECK_ROW(rows[i].text);
        CHECK_EQ_INT(record_time(&r), rows[i].time);
    }
}

static const struct test_case tests[] = {
    TEST(joins_by_token),
    TEST(joins_by_log),
    TEST(doubts_where_two_sessions_fit),
    TEST(joins_by_envelope_and_time),
    TEST(tells_when_joins_disagree),
    TEST(keeps_the_order_of_a_session),
    TEST(follows_pipelining),
    TEST(a_mail_refused_south_was_there),
    TEST(tells_strays_orphans_and_probes),
    TEST(no_orphans_while_somebody_cannot_be_read),
    TEST(a_connection_in_doubt_may_have_carried_it),
    TEST(attempts_with_one_token),
    TEST(log_lines_find_their_transactions),
    TEST(reads_the_time_of_a_line),
};
TEST_MAIN(tests)
