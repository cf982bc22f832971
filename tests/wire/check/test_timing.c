/* Each invariant of time on runs that keep it, that break it, and that leave it in doubt. */
#include "stage.h"
#include "test.h"

#include <stdlib.h>

#define TOKEN "00112233445566778899aabbccddeeff"
#define HELLO "north\n< 220 mx.local.example ESMTP\n> EHLO client.example\n< 250-mx.local.example\n< 250 STARTTLS\n"
#define BACK_HELLO "south\n] 220 back.local.example\n[ EHLO mx.local.example\n] 250 back.local.example\n"
#define MAIL_NORTH "> MAIL FROM:<" TOKEN "@sender.example>\n< 250 2.1.0 Ok\n"
#define MAIL_SOUTH "[ MAIL FROM:<" TOKEN "@sender.example>\n] 250 2.1.0 Ok\n"
#define RCPT_SOUTH "[ RCPT TO:<bob@local.example>\n] 250 2.1.5 Ok\n"
#define ENVELOPE HELLO MAIL_NORTH "> RCPT TO:<bob@local.example>\n" BACK_HELLO MAIL_SOUTH RCPT_SOUTH "< 250 2.1.5 Ok\n"
#define DATA_NORTH "> DATA\n< 354 Go ahead\n> Subject: hello\n> \n> A line\n"
#define DATA_SOUTH "[ DATA\n] 354 Go ahead\n[ Subject: hello\n[ \n[ A line\n[ .\n"
#define QUIT \
    "> QUIT\n< 221 2.0.0 Bye\ngateway closes north\nclient closes\n[ QUIT\n] 221 Bye\nback closes\ngateway closes " \
    "south\n"
#define STORED "] 250 stored\n< 250 stored\n" QUIT
#define WHOLE ENVELOPE DATA_NORTH "> .\n" DATA_SOUTH STORED
#define TIMEOUT "< 421 4.4.2 Timeout, closing connection\ngateway closes north\nclient closes\n"

enum verdict { NOTHING, HELD, UNSURE, VIOLATED };

struct row {
    const char *label, *id, *script;
    enum verdict want;
};

static enum verdict verdict_of(const struct tally *t)
{
    if (t->violated > 0)
        return VIOLATED;
    return t->inconclusive > 0 ? UNSURE : t->checked > 0 ? HELD : NOTHING;
}

static void check_stage(struct stage *p, const char *id, enum verdict want)
{
    struct tally t = stage_judge(p, id);

    CHECK_EQ_INT(verdict_of(&t), want);
    CHECK(t.violated == 0 || t.violation[0].what[0] != '\0');
    tally_free(&t);
    stage_free(p);
}

static void try_rows(const struct row *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct stage p;
        stage_begin(&p);
        stage_play(&p, row[i].script);
        CHECK_ROW(row[i].label);
        check_stage(&p, row[i].id, row[i].want);
    }
}

#define TRY(rows) try_rows(rows, sizeof(rows) / sizeof(rows)[0])

/* An octet of the client's that ends no line. */
static void dribble(struct stage *p, const char *octets)
{
    struct weave *w = &p->wire[NORTH].leg[0];

    w->time = p->clock;
    weave_say(w, CLIENT, octets);
    p->clock = w->time;
}

static void idle_clients(void)
{
    static const struct row rows[] = {
        { "at its time", "Z-1", HELLO "wait 300000\n" TIMEOUT, HELD },
        { "2 % late", "Z-1", HELLO "wait 305000\n" TIMEOUT, HELD },
        { "early", "Z-1", HELLO "wait 100000\n" TIMEOUT, VIOLATED },
        { "late", "Z-1", HELLO "wait 900000\n" TIMEOUT, VIOLATED },
        { "never, and another session shows the time", "Z-1", HELLO "north\nwait 400000\n< 220 x\nnorth 1\n",
          VIOLATED },
        { "a word after the time", "Z-1", HELLO "wait 400000\n> NOOP\n< 250 Ok\n", VIOLATED },
        { "closed without a word", "Z-1", HELLO "wait 300000\ngateway closes north\n", VIOLATED },
        { "the client leaves", "Z-1", HELLO "wait 200000\nclient closes\ngateway closes north\n", HELD },
        { "a hole", "Z-1", HELLO "lost: gateway north\nwait 900000\n< 421 4.4.2 x\n> NOOP\n", VIOLATED },
        { "a hole, and no more", "Z-1", HELLO "lost: client\n> NOOP\nwait 900000\n< 250 Ok\n", UNSURE },
        { "stopping is no timeout", "Z-1", HELLO "wait 9000\n< 421 4.3.2 Service shutting down\ngateway closes north\n",
          HELD },
    };

    TRY(rows);
}

static void requests_in_pieces(void)
{
    static const struct {
        const char *label;
        int64_t seconds;
        bool is_told, has_hole;
        enum verdict want;
    } rows[] = {
        { "cut at the deadline", 100, true, false, HELD },
        { "waited for", 250, true, false, VIOLATED },
        { "cut early", 40, true, false, VIOLATED },
        { "lost", 100, false, true, UNSURE },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stage p;
        stage_begin(&p);
        stage_play(&p, HELLO);
        for (int k = 0; k < 3; k++) {
            dribble(&p, k == 0 ? "N" : "O");
            p.clock += rows[i].seconds * 1000000000;
        }
        if (rows[i].has_hole)
            weave_lose(&p.wire[NORTH].leg[0], CLIENT);
        stage_play(&p, rows[i].is_told ? TIMEOUT : "< 250 what\n");
        CHECK_ROW(rows[i].label);
        check_stage(&p, "Z-2", rows[i].want);
    }
}

static void messages_in_pieces(void)
{
    static const struct row rows[] = {
        { "a message in time", "Z-2", WHOLE, HELD },
        { "slower than allowed", "Z-2",
          ENVELOPE DATA_NORTH "wait 200000\n> a\nwait 200000\n> b\n> .\n" DATA_SOUTH STORED, VIOLATED },
        { "while it streams", "Z-2", ENVELOPE DATA_NORTH DATA_SOUTH "wait 200000\n> a\nwait 200000\n> b\n> .\n" STORED,
          UNSURE },
        { "cut at its deadline", "Z-2", ENVELOPE DATA_NORTH "wait 300000\n" TIMEOUT, HELD },
        { "cut too late", "Z-2", ENVELOPE DATA_NORTH "wait 600000\n" TIMEOUT, VIOLATED },
    };

    TRY(rows);
}

static void back_ends(void)
{
    static const struct row rows[] = {
        { "prompt", "Z-3", WHOLE, HELD },
        { "a greeting late, given up", "Z-3",
          HELLO MAIL_NORTH "> RCPT TO:<b@local.example>\nsouth\nwait 60000\ngateway resets south\n< 451 4.4.1 x\n",
          HELD },
        { "a greeting waited for", "Z-3", "south\nwait 700000\n] 220 back\n[ EHLO x\n] 250 x\n", VIOLATED },
        { "RCPT waited for", "Z-3", BACK_HELLO MAIL_SOUTH "[ RCPT TO:<b@local.example>\nwait 200000\n] 250 Ok\n",
          VIOLATED },
        { "each of a group has its time", "Z-3",
          BACK_HELLO "[ MAIL FROM:<>\n[ RCPT TO:<b@x>\nwait 110000\n] 250 a\nwait 110000\n] 250 b\n", HELD },
        { "no reply to the end, given up", "Z-3",
          BACK_HELLO MAIL_SOUTH RCPT_SOUTH DATA_SOUTH "wait 580000\ngateway resets south\n", HELD },
        { "a reply to the end waited for", "Z-3",
          BACK_HELLO MAIL_SOUTH RCPT_SOUTH DATA_SOUTH "wait 700000\n] 250 stored\n", VIOLATED },
        { "a hole", "Z-3", BACK_HELLO "lost: back\n[ MAIL FROM:<>\nwait 700000\n] 250 x\n[ RSET\n", UNSURE },
    };

    TRY(rows);
}

static void connections_tried(void)
{
    for (int late = 0; late < 2; late++) {
        struct stage p;
        stage_begin(&p);
        stage_play(&p, "south\n");
        p.wire[SOUTH].leg[0].connection.is_refused = true;
        p.wire[SOUTH].leg[0].connection.has_start = false;
        p.wire[SOUTH].leg[0].connection.last_time += late * INT64_C(60000000000);
        check_stage(&p, "Z-3", late ? VIOLATED : HELD);
    }
}

static void answers_in_time(void)
{
    static const struct row rows[] = {
        { "soon", "Z-4", WHOLE, HELD },
        { "just in time", "Z-4", ENVELOPE DATA_NORTH "> .\n" DATA_SOUTH "wait 589000\n" STORED, HELD },
        { "too late", "Z-4", ENVELOPE DATA_NORTH "> .\n" DATA_SOUTH "wait 595000\n" STORED, VIOLATED },
        { "none", "Z-4", ENVELOPE DATA_NORTH "> .\n" DATA_SOUTH "wait 700000\ngateway closes north\n", VIOLATED },
        { "lost", "Z-4", ENVELOPE DATA_NORTH "> .\nlost: gateway north\n" DATA_SOUTH "wait 700000\n> NOOP\n", UNSURE },
    };

    TRY(rows);
}

static void greetings(void)
{
    static const struct row rows[] = {
        { "at once", "Z-5", HELLO, HELD },
        { "slow", "Z-5", "north\nwait 4000\n< 220 x\n", HELD },
        { "late", "Z-5", "north\nwait 8000\n< 220 x\n", VIOLATED },
        { "never", "Z-5", "north\nwait 20000\nclient closes\n", VIOLATED },
        { "the client leaves first", "Z-5", "north\nwait 2000\nclient closes\n", HELD },
        { "lost", "Z-5", "north\nlost: gateway north\nwait 9000\n> EHLO x\n", UNSURE },
    };

    TRY(rows);
}

/* Two of a hundred and twenty may not be slow, one may; with more slack more may. */
static void most_greetings(void)
{
    for (size_t slow = 1; slow <= 3; slow++) {
        static struct weave leg[120];
        struct dialogue *d = fresh(120 * sizeof *d);
        struct session *s = fresh(120 * sizeof *s);
        struct trial t = { .session = s, .session_n = 120 };
        struct tally y = { 0 };

        for (size_t i = 0; i < 120; i++) {
            weave_begin(&leg[i]);
            weave_wait(&leg[i], i < slow ? INT64_C(3000000000) : 1000);
            weave_say(&leg[i], SERVER, "220 mx ESMTP\r\n");
            dialogue_read(&d[i], &leg[i].connection, &(struct dialogue_hints){ 0 });
            s[i].north = &d[i];
        }
        timing_tolerate(slow < 3 ? INT64_C(1000000000) : INT64_C(5000000000));
        for (const struct invariant *z = timing_invariants; z->id != NULL; z++)
            if (strcmp(z->id, "Z-5") == 0)
                z->judge(&t, &y);
        timing_tolerate(INT64_C(1000000000));
        CHECK_EQ_INT(y.violated, slow == 2);
        CHECK_EQ_INT(y.checked, 121);
        tally_free(&y);
        for (size_t i = 0; i < 120; i++) {
            dialogue_free(&d[i]);
            weave_free(&leg[i]);
        }
        free(d);
        free(s);
    }
}

static void handshakes(void)
{
    static const struct row rows[] = {
        { "given up in time", "Z-6", HELLO "> STARTTLS\n< 220 Go\nwait 30000\ngateway closes north\n", HELD },
        { "kept", "Z-6", HELLO "> STARTTLS\n< 220 Go\nwait 120000\ngateway closes north\n", VIOLATED },
        { "none", "Z-6", HELLO, NOTHING },
        { "lost", "Z-6", HELLO "> STARTTLS\n< 220 Go\nlost: client\nwait 120000\n> x\n< x\n", UNSURE },
    };

    TRY(rows);
}

static void policies(void)
{
    static const struct row rows[] = {
        { "no time at all", "Z-7", WHOLE, HELD },
        { "at its limit", "Z-7", ENVELOPE DATA_NORTH "> .\nwait 20000\n" DATA_SOUTH STORED, HELD },
        { "a minute", "Z-7", ENVELOPE DATA_NORTH "> .\nwait 60000\n" DATA_SOUTH STORED, VIOLATED },
        { "twice 15 s", "Z-7",
          HELLO
          "> MAIL FROM:<" TOKEN
          "@sender.example>\nwait 15000\n< 250 Ok\n> RCPT TO:<bob@local.example>\nwait 15000\n" BACK_HELLO MAIL_SOUTH
              RCPT_SOUTH "< 250 Ok\n" DATA_NORTH "> .\n" DATA_SOUTH STORED,
          VIOLATED },
        { "the back end's time", "Z-7", ENVELOPE DATA_NORTH "> .\n" DATA_SOUTH "wait 60000\n" STORED, HELD },
        { "a connection that came to nothing", "Z-7",
          HELLO MAIL_NORTH "> RCPT TO:<bob@local.example>\nsouth\nwait 55000\ngateway resets south\n< 451 4.4.1 x\n> "
                           "QUIT\n< 221 x\nclient closes\ngateway closes north\n",
          UNSURE },
        { "no south wire", "Z-7", HELLO MAIL_NORTH "> RCPT TO:<bob@local.example>\nwait 55000\n< 451 4.4.1 x\n",
          UNSURE },
    };

    TRY(rows);
}

static void active_sessions(void)
{
    static const struct row rows[] = {
        { "at work", "Z-8", HELLO "wait 290000\n> NOOP\n< 250 Ok\nwait 290000\n> NOOP\n< 250 Ok\n", HELD },
        { "idle in the end", "Z-8", HELLO "wait 200000\n> NOOP\n< 250 Ok\nwait 300000\n" TIMEOUT, HELD },
        { "timed out at work", "Z-8", HELLO "wait 200000\n> NOOP\n< 250 Ok\nwait 100000\n" TIMEOUT, VIOLATED },
        { "a message cut early", "Z-8", ENVELOPE DATA_NORTH "wait 100000\n" TIMEOUT, VIOLATED },
        { "a message cut at its time", "Z-8", ENVELOPE DATA_NORTH "wait 300000\n" TIMEOUT, HELD },
        { "lost", "Z-8", HELLO "> NOOP\n< 250 Ok\nlost: client\n> NOOP\n< 250 Ok\n", UNSURE },
    };

    TRY(rows);
}

static const struct test_case tests[] = {
    TEST(idle_clients),      TEST(requests_in_pieces), TEST(messages_in_pieces), TEST(back_ends),
    TEST(connections_tried), TEST(answers_in_time),    TEST(greetings),          TEST(most_greetings),
    TEST(handshakes),        TEST(policies),           TEST(active_sessions),
};

TEST_MAIN(tests)
