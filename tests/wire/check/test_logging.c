/* Each invariant of the log on runs that keep it, that break it, and that leave it in doubt. */
#include "stage.h"
#include "test.h"

#define TOKEN "00112233445566778899aabbccddeeff"
#define SENDER TOKEN "@sender.example"
#define HELLO "north\n< 220 mx.local.example ESMTP\n> EHLO client.example\n< 250 mx.local.example\n"
#define BACK_HELLO "south\n] 220 back.local.example\n[ EHLO mx.local.example\n] 250 back.local.example\n"
#define ENVELOPE \
    HELLO "> MAIL FROM:<" SENDER ">\n< 250 2.1.0 Ok\n> RCPT TO:<bob@local.example>\n" BACK_HELLO \
          "[ MAIL FROM:<" SENDER ">\n] 250 2.1.0 Ok\n[ RCPT TO:<bob@local.example>\n] 250 2.1.5 Ok\n< 250 2.1.5 Ok\n"
#define BODY(x) "Subject: hello\n" x " \n" x " A line to be carried over.\n" x " " TOKEN "\n" x " .\n"
#define MESSAGE ENVELOPE "> DATA\n< 354 Go ahead\n> " BODY(">") "[ DATA\n] 354 Go ahead\n[ " BODY("[")
#define BYE \
    "> QUIT\n< 221 2.0.0 Bye\ngateway closes north\nclient closes\n[ QUIT\n] 221 Bye\nback closes\ngateway closes " \
    "south\n"
#define OF_TX "id=s1 tx=1 client={client} helo=client.example from=" SENDER " to=bob@local.example "
#define TX(outcome, reply) \
    "log event=transaction " OF_TX "outcome=" outcome " reply=\"" reply "\" backend={backend} via={via} ms=3\n"
#define CONNECTION "log event=connection id=s1 client={client} listener=smtp transactions=1 end=quit ms=9\n"
#define ACCEPTED MESSAGE "] 250 stored\n< 250 stored\n"
#define GOOD ACCEPTED TX("accepted", "250 stored") BYE CONNECTION

#define BYE_NORTH "> QUIT\n< 221 2.0.0 Bye\ngateway closes north\nclient closes\n"

enum verdict { NOTHING, HELD, UNSURE, VIOLATED };

struct row {
    const char *label, *id, *script;
    enum verdict want;
};

static void try_rows(const struct row *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct stage p;
        stage_begin(&p);
        stage_play(&p, row[i].script);
        struct tally t = stage_judge(&p, row[i].id);
        enum verdict got = t.violated > 0 ? VIOLATED : t.inconclusive > 0 ? UNSURE : t.checked > 0 ? HELD : NOTHING;
        CHECK_ROW(row[i].label);
        CHECK_EQ_INT(got, row[i].want);
        tally_free(&t);
        stage_free(&p);
    }
}

#define TRY(rows) try_rows(rows, sizeof(rows) / sizeof(rows)[0])

static void lines_of_connections(void)
{
    static const struct row rows[] = {
        { "one", "L-1", GOOD, HELD },
        { "two", "L-1", GOOD CONNECTION, VIOLATED },
        { "none", "L-1", HELLO BYE_NORTH "north\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION,
          VIOLATED },
        { "none, and the log says that lines are missing", "L-1",
          HELLO BYE_NORTH "north\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION
                          "log event=log_dropped lines=3\n",
          UNSURE },
        { "none, and the process died", "L-1",
          HELLO "gateway resets north\nnorth\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION, UNSURE },
        { "none, and the log says that a worker died", "L-1",
          HELLO BYE_NORTH "log event=worker text=\"worker 1 (process 9) died of signal 9\"\n"
                          "north\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION,
          UNSURE },
        { "none, and the supervisor began anew", "L-1",
          "log event=serving\n" HELLO BYE_NORTH "log event=serving\n"
          "north\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION,
          UNSURE },
        { "none, and it was the first to serve", "L-1",
          "log event=serving\nlog event=stopped\nlog event=serving\n" HELLO BYE_NORTH
          "north\n< 220 x\n> QUIT\n< 221 x\ngateway closes north\n" CONNECTION,
          VIOLATED },
        { "none, and the log is another's", "L-1",
          HELLO BYE_NORTH "log event=connection id=z client=198.51.100.99:1 end=quit\n", UNSURE },
        { "not over", "L-1", HELLO "log event=start\n", NOTHING },
    };

    TRY(rows);
}

static void lines_of_transactions(void)
{
    static const struct row rows[] = {
        { "none", "L-1", ACCEPTED BYE CONNECTION, VIOLATED },
        { "accepted, says the log", "L-1", MESSAGE "] 451 no\n< 451 no\n" TX("accepted", "451 no") BYE CONNECTION,
          VIOLATED },
        { "rejected, says the log", "L-1", ACCEPTED TX("rejected", "250 stored") BYE CONNECTION, VIOLATED },
        { "no outcome", "L-1", ACCEPTED "log event=transaction " OF_TX "backend={backend} via={via}\n" BYE CONNECTION,
          VIOLATED },
        { "two", "L-1", ACCEPTED TX("accepted", "250 stored") TX("accepted", "250 stored") BYE CONNECTION, VIOLATED },
        { "one that nobody saw", "L-1",
          GOOD "log event=transaction id=s1 tx=2 client={client} from=x@y.example outcome=accepted\n", VIOLATED },
        { "one that fits no transaction", "L-1",
          ACCEPTED "log event=transaction id=s1 tx=1 client={client} outcome=accepted\n" BYE CONNECTION, VIOLATED },
        { "one that fits no transaction, of another outcome", "L-1",
          ACCEPTED "log event=transaction id=s1 tx=1 client={client} outcome=aborted\n" BYE CONNECTION, UNSURE },
        { "two ends of one session", "L-1", "log event=connection id=s1 end=quit\n" GOOD, VIOLATED },
        { "aborted", "L-1", ENVELOPE TX("aborted", "") BYE CONNECTION, HELD },
        { "X1", "L-1",
          MESSAGE "client resets\n] 250 stored\n" TX("\"accepted, reply undeliverable\"", "250 stored") CONNECTION,
          HELD },
        { "another's in the log", "L-1",
          GOOD "log event=transaction id=q tx=1 client=198.51.100.9:9 from=x@y outcome=accepted\n", HELD },
    };

    TRY(rows);
}

static void raw_octets(void)
{
    static const struct row rows[] = {
        { "none", "L-2", GOOD, HELD },
        { "an escape", "L-2", GOOD "log event=refused id=s1 reason=\"\x1b[2J\"\n", VIOLATED },
        { "C1 in UTF-8", "L-2",
          GOOD "log event=refused id=s1 reason=\"\xc2\x9b"
               "2J\"\n",
          VIOLATED },
        { "no UTF-8", "L-2", GOOD "log event=refused id=s1 reason=\"\xff\"\n", VIOLATED },
        { "a letter", "L-2", GOOD "log event=refused id=s1 reason=\"\xc3\xbc\"\n", HELD },
        { "surrogates", "L-2", GOOD "log event=refused id=s1 reason=\"\xed\xa0\x80\"\n", VIOLATED },
        { "half a line", "L-2", GOOD "log ==12==\nlog event=start\n", UNSURE },
    };
    struct stage p;

    TRY(rows);
    stage_begin(&p);
    stage_play(&p, GOOD);
    buffer_printf(&p.log, "event=x reason=%09000d\n", 1);
    struct tally t = stage_judge(&p, "L-2");
    CHECK_EQ_INT(t.violated, 1);
    tally_free(&t);
    stage_free(&p);
}

/* A gateway that ends at once, since another one still has the port: its words are no log line, and expected. */
static void refused_starts(void)
{
    static const struct {
        const char *line;
        int violated, inconclusive;
    } rows[] = {
        { "cannot listen on 127.0.0.1:25: Address already in use\n", 0, 0 },
        { "cannot listen on \x1b[2J: Address already in use\n", 1, 0 },
        { "cannot listen on 127.0\n", 0, 1 },
        { "cannot dance: no music\n", 0, 1 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stage p;

        stage_begin(&p);
        stage_play(&p, GOOD);
        buffer_printf(&p.log, "%s", rows[i].line);
        stage_play(&p, "log event=start\n");
        struct tally t = stage_judge(&p, "L-2");
        CHECK_EQ_INT(t.violated, rows[i].violated);
        CHECK_EQ_INT(t.inconclusive, rows[i].inconclusive);
        tally_free(&t);
        stage_free(&p);
    }
}

/* "AUTH PLAIN" of user "user" with the password "secret-words". */
#define PLAIN "AHVzZXIAc2VjcmV0LXdvcmRz"
#define AUTH(reply) HELLO "> AUTH PLAIN " PLAIN "\n< " reply "\n"

static void private_things(void)
{
    static const struct row rows[] = {
        { "nothing", "L-3", GOOD, HELD },
        { "a line of a body", "L-3", GOOD "log event=debug id=s1 text=\"A line to be carried over.\"\n", VIOLATED },
        { "in nobody's line", "L-3", GOOD "log event=debug text=\"saw: A line to be carried over.\"\n", VIOLATED },
        { "in another's line", "L-3", GOOD "log event=debug id=s2 text=\"A line to be carried over.\"\n", HELD },
        { "the envelope's words", "L-3", GOOD "log event=debug id=s1 text=\"" TOKEN "\"\n", HELD },
        { "a password", "L-3",
          AUTH("235 Ok") "> QUIT\n< 221 x\n" CONNECTION "log event=debug id=s1 text=secret-words\n", VIOLATED },
        { "an encoded one", "L-3", AUTH("535 no") CONNECTION "log event=debug id=s1 text=" PLAIN "\n", VIOLATED },
        { "LOGIN", "L-3",
          HELLO "> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> dXNlcm5hbWU=\n< 334 UGFzc3dvcmQ6\n> c2VjcmV0LXdvcmRz\n< 235 "
                "Ok\n" CONNECTION "log event=authenticated id=s1 user=username\n",
          HELD },
        { "LOGIN told", "L-3",
          HELLO "> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> dXNlcm5hbWU=\n< 334 UGFzc3dvcmQ6\n> c2VjcmV0LXdvcmRz\n< 235 "
                "Ok\n" CONNECTION "log event=authenticated id=s1 user=secret-words\n",
          VIOLATED },
        { "nobody's session", "L-3", ACCEPTED BYE "log event=start id=none\n", NOTHING },
    };

    TRY(rows);
}

static void joins(void)
{
    static const struct row rows[] = {
        { "agree", "L-4", GOOD, HELD },
        { "another connection south", "L-4",
          "south\n] 220 b\n" ACCEPTED "log event=transaction " OF_TX
          "outcome=accepted reply=\"250 stored\" backend={backend} via=192.0.2.25:50000\n" BYE CONNECTION,
          VIOLATED },
        { "one that is nowhere", "L-4",
          ACCEPTED "log event=transaction " OF_TX
                   "outcome=accepted reply=\"250 stored\" backend={backend} via=10.9.9.9:1\n" BYE CONNECTION,
          VIOLATED },
        { "another reply", "L-4", ACCEPTED TX("accepted", "251 stored") BYE CONNECTION, VIOLATED },
        { "lost", "L-4", ACCEPTED TX("accepted", "250 stored") "lost: client\n> QUIT\n< 221 x\n", UNSURE },
        { "no log of it", "L-4", ACCEPTED BYE "log event=start\n", NOTHING },
    };

    TRY(rows);
}

static const struct test_case tests[] = {
    TEST(lines_of_connections), TEST(lines_of_transactions), TEST(raw_octets),
    TEST(refused_starts),       TEST(private_things),        TEST(joins),
};

TEST_MAIN(tests)
