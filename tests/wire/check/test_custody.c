/* Each invariant of custody on conversations that keep it, that break it, and that leave it in doubt. */
#include "stage.h"
#include "test.h"

#define TOKEN "00112233445566778899aabbccddeeff"
#define SENDER "<" TOKEN "@sender.example>"

#define HELLO \
    "north\n< 220 mx.local.example ESMTP\n> EHLO client.example\n" \
    "< 250-mx.local.example\n< 250-SIZE 1000\n< 250-8BITMIME\n< 250-DSN\n< 250 CHUNKING\n"
#define BACK_HELLO \
    "south\n] 220 back.local.example\n[ EHLO mx.local.example\n" \
    "] 250-back.local.example\n] 250-SIZE 1000\n] 250-8BITMIME\n] 250 DSN\n"
#define MAIL_NORTH "> MAIL FROM:" SENDER "\n< 250 2.1.0 Ok\n"
#define RCPT_NORTH(who) "> RCPT TO:<" who "@local.example>\n"
#define MAIL_SOUTH "[ MAIL FROM:" SENDER "\n] 250 2.1.0 Ok\n"
#define RCPT_SOUTH(who) "[ RCPT TO:<" who "@local.example>\n] 250 2.1.5 Ok\n"
#define RCPT_OK "< 250 2.1.5 Ok\n"
#define ENVELOPE HELLO MAIL_NORTH RCPT_NORTH("bob") BACK_HELLO MAIL_SOUTH RCPT_SOUTH("bob") RCPT_OK
#define DATA_NORTH "> DATA\n< 354 Go ahead\n> Subject: hello\n> \n> A line\n"
#define DATA_SOUTH \
    "[ DATA\n] 354 Go ahead\n[ Received: from c by mx.local.example; now\n[ Subject: hello\n[ \n[ A line\n"
#define END_NORTH "> .\n"
#define END_SOUTH "[ .\n"
#define MESSAGE ENVELOPE DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH
#define QUIT \
    "> QUIT\n< 221 2.0.0 Bye\ngateway closes north\nclient closes\n[ QUIT\n] 221 2.0.0 Bye\nback closes\ngateway " \
    "closes south\n"
#define WHOLE MESSAGE "] 250 stored\n< 250 stored\n" QUIT
/* Of a message of the test's own: what the client sends between its 354 and the dot, and what goes south. */
#define CARRIED(north, south) \
    ENVELOPE "> DATA\n< 354 Go ahead\n" north "> .\n[ DATA\n] 354 Go ahead\n" south \
             "[ .\n] 250 stored\n< 250 stored\n" QUIT
#define OURS "[ Received: from c by mx.local.example; now\n[ Authentication-Results: mx.local.example; spf=pass\n"

struct row {
    const char *label, *script;
    size_t checked, violated, inconclusive;
};

static void try_with(const char *id, const struct row *row, size_t n, const char *ini)
{
    for (size_t i = 0; i < n; i++) {
        struct stage p;
        stage_begin(&p);
        if (ini != NULL)
            stage_config(&p, ini);
        stage_play(&p, row[i].script);
        struct tally t = stage_judge(&p, id);
        CHECK_ROW(row[i].label);
        CHECK_EQ_INT(t.checked, row[i].checked);
        CHECK_EQ_INT(t.violated, row[i].violated);
        CHECK_EQ_INT(t.inconclusive, row[i].inconclusive);
        CHECK(t.violated == 0 || t.violation[0].evidence_n > 0);
        tally_free(&t);
        stage_free(&p);
    }
}

#define TRY(id, rows) try_with(id, rows, sizeof(rows) / sizeof(rows)[0], NULL)

static void accepted_only_after_the_back_end(void)
{
    static const struct row rows[] = {
        { "good", WHOLE, 1, 0, 0 },
        { "refused", MESSAGE "] 550 no\n< 550 no\n" QUIT, 0, 0, 0 },
        { "too early", MESSAGE "< 250 stored\n] 250 stored\n" QUIT, 1, 1, 0 },
        { "back end refuses", MESSAGE "] 550 no\n< 250 stored\n" QUIT, 1, 1, 0 },
        { "back end says nothing", MESSAGE "< 250 stored\n" QUIT, 1, 1, 0 },
        { "never sent", ENVELOPE DATA_NORTH END_NORTH "< 250 stored\n" QUIT, 1, 1, 0 },
        { "no connection south", HELLO MAIL_NORTH RCPT_NORTH("bob") RCPT_OK DATA_NORTH END_NORTH "< 250 stored\n", 1, 1,
          0 },
        { "sent twice",
          MESSAGE "] 250 stored\n< 250 stored\n" MAIL_SOUTH RCPT_SOUTH("bob") DATA_SOUTH END_SOUTH "] 250 again\n", 1,
          1, 0 },
        { "south lost",
          ENVELOPE DATA_NORTH END_NORTH "lost: back\n" DATA_SOUTH END_SOUTH "] 250 stored\n< 250 stored\n", 0, 0, 1 },
        { "north lost",
          ENVELOPE DATA_NORTH "lost: client\n" END_NORTH DATA_SOUTH END_SOUTH "] 250 stored\n< 250 stored\n", 0, 0, 1 },
    };

    TRY("A-1", rows);
}

static void the_message_is_the_same(void)
{
    static const struct row rows[] = {
        { "good", WHOLE, 1, 0, 0 },
        { "dots", CARRIED("> S: x\n> \n> ..a\n> ...\n", OURS "[ S: x\n[ \n[ ..a\n[ ...\n"), 1, 0, 0 },
        { "client's own trace",
          CARRIED("> Received: from a by b\n> S: x\n> \n> a\n", OURS "[ Received: from a by b\n[ S: x\n[ \n[ a\n"), 1,
          0, 0 },
        { "others' results stay",
          CARRIED("> Authentication-Results: b.example; spf=pass\n> \n> a\n",
                  OURS "[ Authentication-Results: b.example; spf=pass\n[ \n[ a\n"),
          1, 0, 0 },
        { "forged results go",
          CARRIED("> Authentication-Results: mx.local.example; spf=pass\n> S: x\n> \n> a\n", OURS "[ S: x\n[ \n[ a\n"),
          1, 0, 0 },
        { "forged verdict goes",
          CARRIED("> S: x\n> X-Postern-Verdict: accept\n> T: y\n> \n> a\n", OURS "[ S: x\n[ T: y\n[ \n[ a\n"), 1, 0,
          0 },
        { "forged results of many spellings",
          CARRIED("> Authentication-Results: \"mx.local.example\" 1; spf=pass\n> \n> a\n", OURS "[ \n[ a\n"), 1, 0, 0 },
        { "no header", CARRIED("> \n> a\n", OURS "[ \n[ a\n"), 1, 0, 0 },
        { "no body", CARRIED("> S: x\n", OURS "[ S: x\n"), 1, 0, 0 },
        { "nothing", CARRIED("", OURS), 1, 0, 0 },
        { "octet changed", CARRIED("> S: x\n> \n> a\n", OURS "[ S: x\n[ \n[ b\n"), 1, 1, 0 },
        { "octet added", CARRIED("> S: x\n> \n> a\n", OURS "[ S: x\n[ \n[ a \n"), 1, 1, 0 },
        { "end cut off", CARRIED("> S: x\n> \n> a\n> b\n", OURS "[ S: x\n[ \n[ a\n"), 1, 1, 0 },
        { "field lost", CARRIED("> S: x\n> T: y\n> \n> a\n", OURS "[ S: x\n[ \n[ a\n"), 1, 1, 0 },
        { "field folded anew", CARRIED("> S: x\n>  y\n> \n> a\n", OURS "[ S: x y\n[ \n[ a\n"), 1, 1, 0 },
        { "fields change places", CARRIED("> S: x\n> T: y\n> \n> a\n", OURS "[ T: y\n[ S: x\n[ \n[ a\n"), 1, 1, 0 },
        { "a field of nobody's", CARRIED("> S: x\n> \n> a\n", OURS "[ X-Spam: no\n[ S: x\n[ \n[ a\n"), 1, 1, 0 },
        { "ours in the middle",
          CARRIED("> S: x\n> T: y\n> \n> a\n", OURS "[ S: x\n[ Received: again\n[ T: y\n[ \n[ a\n"), 1, 1, 0 },
        { "forged results stay in the middle",
          CARRIED("> S: x\n> Authentication-Results: mx.local.example; spf=fail\n> \n> a\n",
                  OURS "[ S: x\n[ Authentication-Results: mx.local.example; spf=fail\n[ \n[ a\n"),
          1, 1, 0 },
        { "forged results stay on top",
          CARRIED("> Authentication-Results: mx.local.example; spf=fail\n> \n> a\n",
                  OURS "[ Authentication-Results: mx.local.example; spf=fail\n[ \n[ a\n"),
          1, 1, 0 },
        { "others' results go", CARRIED("> Authentication-Results: b.example; spf=pass\n> \n> a\n", OURS "[ \n[ a\n"),
          1, 1, 0 },
        { "an empty line in front", CARRIED("> S: x\n> \n> a\n", OURS "[ \n[ S: x\n[ \n[ a\n"), 1, 1, 0 },
        { "south lost",
          ENVELOPE DATA_NORTH END_NORTH "lost: gateway south\n" DATA_SOUTH END_SOUTH "] 250 stored\n< 250 stored\n", 0,
          0, 1 },
    };

    try_with("A-2", rows, sizeof rows / sizeof rows[0], "[server]\nhostname = mx.local.example\n");
}

static void results_of_an_unknown_name(void)
{
    static const struct row rows[] = {
        { "removed", CARRIED("> Authentication-Results: b.example; spf=pass\n> \n> a\n", OURS "[ \n[ a\n"), 0, 0, 1 },
        { "kept",
          CARRIED("> Authentication-Results: b.example; spf=pass\n> \n> a\n",
                  OURS "[ Authentication-Results: b.example; spf=pass\n[ \n[ a\n"),
          1, 0, 0 },
        { "the greeting's",
          CARRIED("> Authentication-Results: mx.local.example; spf=pass\n> \n> a\n", OURS "[ \n[ a\n"), 1, 0, 0 },
    };

    TRY("A-2", rows);
}

static void normalised_where_configured(void)
{
    static const struct row rows[] = {
        { "bare LF", CARRIED("> S: x\n> \n> a\\nb\n", OURS "[ S: x\n[ \n[ a\n[ b\n"), 1, 0, 0 },
        { "bare CR", CARRIED("> S: x\n> \n> a\\rb\n", OURS "[ S: x\n[ \n[ a\n[ b\n"), 1, 0, 0 },
        { "NUL", CARRIED("> S: x\n> \n> a\\0b\n", OURS "[ S: x\n[ \n[ ab\n"), 1, 0, 0 },
        { "as it was", CARRIED("> S: x\n> \n> a\\0b\n", OURS "[ S: x\n[ \n[ a\\0b\n"), 1, 1, 0 },
        { "dropped", CARRIED("> S: x\n> \n> a\\nb\n", OURS "[ S: x\n[ \n[ ab\n"), 1, 1, 0 },
    };
    static const struct row rejected[] = {
        { "bare LF", CARRIED("> S: x\n> \n> a\\nb\n", OURS "[ S: x\n[ \n[ a\n[ b\n"), 1, 1, 0 },
    };

    try_with("A-2", rows, sizeof rows / sizeof rows[0],
             "[server]\nhostname = mx.local.example\n[framing]\nmode = normalise\n");
    try_with("A-2", rows, sizeof rows / sizeof rows[0],
             "[server]\nhostname = mx.local.example\n[framing]\nnormalise = 192.0.2.0/28\n");
    try_with("A-2", rejected, 1, "[server]\nhostname = mx.local.example\n[framing]\nnormalise = 198.51.100.0/24\n");
}

static void chunks_are_carried(void)
{
    struct stage p;

    stage_begin(&p);
    stage_play(&p, ENVELOPE);
    /* "S: x" CRLF CRLF "a", without an end of line: DATA south gets one */
    struct weave *w = &p.wire[NORTH].leg[0];
    w->time = p.clock;
    weave_say(w, CLIENT, "BDAT 9 LAST\r\nS: x\r\n\r\na");
    p.clock = w->time;
    stage_play(&p, "[ DATA\n] 354 go\n" OURS "[ S: x\n[ \n[ a\n[ .\n] 250 stored\n< 250 stored\n" QUIT);
    struct tally t = stage_judge(&p, "A-2");
    CHECK_EQ_INT(t.checked, 1);
    CHECK_EQ_INT(t.violated, 0);
    tally_free(&t);
    stage_free(&p);
}

static void the_answer_is_the_back_ends(void)
{
    static const struct row rows[] = {
        { "2xx", WHOLE, 1, 0, 0 },
        { "4xx", MESSAGE "] 452 full\n< 452 full\n" QUIT, 1, 0, 0 },
        { "5xx", MESSAGE "] 554 no\n< 554 no\n" QUIT, 1, 0, 0 },
        { "4xx made 5xx", MESSAGE "] 452 full\n< 552 full\n" QUIT, 1, 1, 0 },
        { "5xx made 4xx", MESSAGE "] 554 no\n< 451 no\n" QUIT, 1, 1, 0 },
        { "2xx made 4xx", MESSAGE "] 250 stored\n< 451 lost\n" QUIT, 1, 1, 0 },
        { "2xx made 5xx", MESSAGE "] 250 stored\n< 554 no\n" QUIT, 1, 1, 0 },
        { "X2: its answer lost with a reset", MESSAGE "] 250 stored\nback resets\n< 451 4.4.2 lost\n", 1, 0, 0 },
        { "X2: no answer", MESSAGE "back closes\n< 451 4.4.2 lost\n", 1, 0, 0 },
        { "X2: no answer made 5xx", MESSAGE "back closes\n< 554 lost\n", 1, 1, 0 },
        { "X3: late", MESSAGE "wait 580000\ngateway closes south\n< 451 4.4.2 late\nwait 10\n] 250 stored\n", 1, 0, 0 },
        { "answer of another kind", MESSAGE "] 354 go on\n< 451 4.3.0 what\n" QUIT, 1, 0, 0 },
        { "answer of another kind made 250", MESSAGE "] 354 go on\n< 250 stored\n" QUIT, 1, 1, 0 },
        { "answer before the end",
          ENVELOPE DATA_NORTH DATA_SOUTH "] 250 stored\n" END_NORTH "gateway resets south\n< 451 4.3.0 desync\n", 1, 0,
          0 },
        { "X4: lost in data", ENVELOPE DATA_NORTH DATA_SOUTH "back resets\n" END_NORTH "< 451 4.4.2 lost\n", 1, 0, 0 },
        { "X4: lost in data made 5xx", ENVELOPE DATA_NORTH DATA_SOUTH "back resets\n" END_NORTH "< 554 lost\n", 1, 1,
          0 },
        { "own refusal", ENVELOPE DATA_NORTH DATA_SOUTH END_NORTH "gateway resets south\n< 550 5.7.1 no\n", 1, 0, 0 },
        { "X5: DATA deferred", ENVELOPE DATA_NORTH END_NORTH "[ DATA\n] 451 later\n< 451 later\n" QUIT, 1, 0, 0 },
        { "X5: DATA deferred made 5xx", ENVELOPE DATA_NORTH END_NORTH "[ DATA\n] 451 later\n< 554 no\n" QUIT, 1, 1, 0 },
        { "south lost", ENVELOPE DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH "lost: back\n] 250 stored\n< 451 lost\n", 0,
          0, 1 },
    };

    TRY("A-3", rows);
}

static void what_is_refused_never_ends(void)
{
    static const struct row rows[] = {
        { "accepted", WHOLE, 0, 0, 0 },
        { "refused by the back end", MESSAGE "] 550 no\n< 550 no\n" QUIT, 0, 0, 0 },
        { "held back", ENVELOPE DATA_NORTH END_NORTH "< 550 5.7.1 no\n" QUIT, 1, 0, 0 },
        { "streamed and cut", ENVELOPE DATA_NORTH DATA_SOUTH END_NORTH "gateway resets south\n< 550 5.7.1 no\n", 1, 0,
          0 },
        { "ended", MESSAGE "] 250 stored\n< 550 5.7.1 no\n" QUIT, 1, 1, 0 },
        { "ended, unanswered", MESSAGE "< 550 5.7.1 no\n" QUIT, 1, 1, 0 },
        { "in doubt", ENVELOPE "lost: gateway south\n" DATA_NORTH END_NORTH "< 550 5.7.1 no\n", 0, 0, 1 },
    };

    TRY("A-4", rows);
}

static void the_end_goes_south_after_it_came(void)
{
    static const struct row rows[] = {
        { "good", WHOLE, 1, 0, 0 },
        { "too early", ENVELOPE DATA_NORTH DATA_SOUTH END_SOUTH END_NORTH "] 250 stored\n< 250 stored\n" QUIT, 1, 1,
          0 },
        { "in doubt", ENVELOPE DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH "lost: back\n] 250 stored\n< 250 stored\n", 0,
          0, 1 },
    };

    TRY("A-5", rows);
}

static void broken_off_never_ends(void)
{
    static const struct row rows[] = {
        { "whole", WHOLE, 0, 0, 0 },
        { "broken off", ENVELOPE DATA_NORTH DATA_SOUTH "client closes\ngateway resets south\n", 1, 0, 0 },
        { "ended", ENVELOPE DATA_NORTH DATA_SOUTH "client closes\n" END_SOUTH "] 250 stored\n", 1, 1, 0 },
        { "ended after RSET", ENVELOPE "> RSET\n< 250 ok\n" DATA_SOUTH END_SOUTH "] 250 stored\n" QUIT, 1, 1, 0 },
        { "in doubt", ENVELOPE "lost: client\n" DATA_NORTH DATA_SOUTH END_SOUTH "] 250 stored\n", 0, 0, 1 },
    };

    TRY("A-6", rows);
}

static void recipients_are_the_same(void)
{
#define TWO(south_too) \
    HELLO MAIL_NORTH RCPT_NORTH("bob") BACK_HELLO MAIL_SOUTH RCPT_SOUTH("bob") RCPT_OK RCPT_NORTH("eve") south_too
#define REST DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH "] 250 stored\n< 250 stored\n" QUIT
    static const struct row rows[] = {
        { "one", WHOLE, 1, 0, 0 },
        { "two", TWO(RCPT_SOUTH("eve") RCPT_OK) REST, 1, 0, 0 },
        { "the same twice", TWO(RCPT_SOUTH("eve") RCPT_OK RCPT_NORTH("bob") RCPT_SOUTH("bob") RCPT_OK) REST, 1, 0, 0 },
        { "one refused", TWO("[ RCPT TO:<eve@local.example>\n] 550 who\n< 550 who\n") REST, 1, 0, 0 },
        { "one lost", TWO(RCPT_OK) REST, 1, 1, 0 },
        { "refused, but told 250", TWO("[ RCPT TO:<eve@local.example>\n] 550 who\n< 250 ok\n") REST, 1, 1, 0 },
        { "one too many", TWO(RCPT_SOUTH("eve") RCPT_SOUTH("mal") RCPT_OK) REST, 1, 1, 0 },
        { "another", TWO(RCPT_SOUTH("mal") RCPT_OK) REST, 1, 1, 0 },
        { "upper case", TWO(RCPT_SOUTH("EVE") RCPT_OK) REST, 1, 1, 0 },
        { "none, refused",
          HELLO MAIL_NORTH RCPT_NORTH("bob") BACK_HELLO MAIL_SOUTH
          "[ RCPT TO:<bob@local.example>\n] 550 who\n< 550 who\n> DATA\n< 503 5.5.1 no recipients\n" QUIT,
          1, 0, 0 },
        { "none, taken",
          HELLO MAIL_NORTH RCPT_NORTH("bob") BACK_HELLO MAIL_SOUTH
          "[ RCPT TO:<bob@local.example>\n] 550 who\n< 550 who\n> DATA\n< 354 go\n" QUIT,
          1, 1, 0 },
        { "perhaps to the quarantine",
          ENVELOPE DATA_NORTH END_NORTH
          "[ RSET\n] 250 ok\n" MAIL_SOUTH RCPT_SOUTH("jail") "[ DATA\n] 354 go\n[ X-Postern-Verdict: quarantine; "
                                                             "check=dmarc\n[ Subject: hello\n[ \n[ A line\n[ .\n"
                                                             "] 250 stored\n< 250 stored\n" QUIT,
          0, 0, 1 },
        { "in doubt", ENVELOPE "lost: back\n" DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH, 0, 0, 1 },
    };
    static const struct row quarantine[] = {
        { "to the quarantine",
          ENVELOPE DATA_NORTH END_NORTH "[ RSET\n] 250 ok\n" MAIL_SOUTH RCPT_SOUTH("jail") DATA_SOUTH END_SOUTH
          "] 250 stored\n< 250 stored\n" QUIT,
          1, 0, 0 },
        { "to somebody else",
          ENVELOPE DATA_NORTH END_NORTH "[ RSET\n] 250 ok\n" MAIL_SOUTH RCPT_SOUTH("mal") DATA_SOUTH END_SOUTH
          "] 250 stored\n< 250 stored\n" QUIT,
          1, 1, 0 },
    };

    TRY("A-7", rows);
    try_with("A-7", quarantine, 2, "[dmarc]\nquarantine = redirect\nquarantine_mailbox = jail@local.example\n");
}

static void the_sender_is_the_same(void)
{
#define FROM(north, south) \
    HELLO "> MAIL FROM:" north "\n< 250 ok\n" RCPT_NORTH("bob") BACK_HELLO "[ MAIL FROM:" south \
                                                                           "\n] 250 ok\n" RCPT_SOUTH("bob") RCPT_OK
#define TO(north, south) \
    HELLO MAIL_NORTH "> RCPT TO:" north "\n" BACK_HELLO MAIL_SOUTH "[ RCPT TO:" south "\n] 250 ok\n< 250 ok\n"
    static const struct row rows[] = {
        { "good", WHOLE, 1, 0, 0 },
        { "null", FROM("<>", "<>"), 1, 0, 0 },
        { "route", FROM("<@a.example,@b.example:" TOKEN "@c.example>", "<" TOKEN "@c.example>"), 1, 0, 0 },
        { "route kept", FROM("<@a.example:" TOKEN "@c.example>", "<@a.example:" TOKEN "@c.example>"), 1, 1, 0 },
        { "needless quotes", FROM("<\"" TOKEN "\"@c.example>", "<" TOKEN "@c.example>"), 1, 0, 0 },
        { "needed quotes", FROM("<\"" TOKEN " x\"@c.example>", "<\"" TOKEN " x\"@c.example>"), 1, 0, 0 },
        { "needless backslash", FROM("<\"" TOKEN "\\ x\"@c.example>", "<\"" TOKEN " x\"@c.example>"), 1, 0, 0 },
        { "trailing dot", FROM("<" TOKEN "@c.example.>", "<" TOKEN "@c.example>"), 1, 0, 0 },
        { "case changed", FROM("<" TOKEN "@C.example>", "<" TOKEN "@c.example>"), 1, 1, 0 },
        { "made null",
          FROM("<" TOKEN "@c.example>", "<>") "log event=connection id=a client={client}\n"
                                              "log event=transaction id=a client={client} from=" TOKEN
                                              "@c.example via={via} backend={backend}\n",
          1, 1, 0 },
        { "parameters", FROM(SENDER " SIZE=100 BODY=8BITMIME", SENDER " SIZE=100 BODY=8BITMIME"), 1, 0, 0 },
        { "fewer", FROM(SENDER " SIZE=100 BODY=8BITMIME", SENDER " SIZE=100"), 1, 0, 0 },
        { "of another value", FROM(SENDER " SIZE=100", SENDER " SIZE=200"), 1, 1, 0 },
        { "one too many", FROM(SENDER, SENDER " SIZE=100"), 1, 1, 0 },
        { "not offered", FROM(SENDER " SMTPUTF8", SENDER " SMTPUTF8"), 1, 1, 0 },
        { "of a recipient", TO("<bob@local.example> NOTIFY=NEVER", "<bob@local.example> NOTIFY=NEVER"), 1, 0, 0 },
        { "of a recipient, one too many", TO("<bob@local.example>", "<bob@local.example> NOTIFY=NEVER"), 1, 1, 0 },
        { "in doubt", ENVELOPE "lost: back\n] 250 ok\n", 0, 0, 1 },
    };

    TRY("A-8", rows);
}

static void every_acceptance_is_accounted_for(void)
{
#define LOGGED(outcome) \
    "log event=transaction id=a tx=1 client={client} from=" TOKEN "@sender.example outcome=" outcome \
    " via={via} backend={backend}\n" \
    "log event=connection id=a client={client}\n"
    static const struct row rows[] = {
        { "heard", WHOLE, 1, 0, 0 },
        { "refused", MESSAGE "] 550 no\n< 550 no\n" QUIT, 0, 0, 0 },
        { "X1", MESSAGE "client resets\n] 250 stored\n", 1, 0, 0 },
        { "X1, logged", MESSAGE "client resets\n] 250 stored\n" LOGGED("\"accepted, reply undeliverable\""), 1, 0, 0 },
        { "X1, not logged", MESSAGE "client resets\n] 250 stored\nlog event=start\n", 1, 1, 0 },
        { "X2", MESSAGE "] 250 stored\nback resets\n< 451 4.4.2 lost\n", 1, 0, 0 },
        { "X2, logged", MESSAGE "] 250 stored\nback resets\n< 451 4.4.2 lost\n" LOGGED("unknown"), 1, 0, 0 },
        { "X2, logged as another", MESSAGE "] 250 stored\nback resets\n< 451 4.4.2 lost\n" LOGGED("tempfailed"), 1, 1,
          0 },
        { "X3", MESSAGE "< 451 4.4.2 late\n] 250 stored\n", 1, 0, 0 },
        { "X11", MESSAGE "] 250 stored\ngateway resets north\n", 1, 0, 0 },
        { "told otherwise", MESSAGE "] 250 stored\n< 451 4.3.0 what\n" QUIT, 1, 1, 0 },
        { "refused for good", MESSAGE "] 250 stored\n< 550 no\n" QUIT, 1, 1, 0 },
        { "invented",
          WHOLE BACK_HELLO "[ MAIL FROM:<>\n] 250 ok\n" RCPT_SOUTH("bob") DATA_SOUTH END_SOUTH "] 250 stored\n", 2, 1,
          0 },
        { "a second one in the session",
          MESSAGE "] 250 stored\n< 250 stored\n[ MAIL FROM:<>\n] 250 ok\n" RCPT_SOUTH("eve") DATA_SOUTH END_SOUTH
          "] 250 stored\n",
          2, 1, 0 },
        { "the capture ends", MESSAGE "] 250 stored\n", 0, 0, 1 },
        { "perhaps of a session that is lost",
          HELLO "lost: client\n" BACK_HELLO "[ MAIL FROM:<>\n] 250 ok\n" RCPT_SOUTH("bob") DATA_SOUTH END_SOUTH
          "] 250 stored\nnorth 1\n< 250 stored\n",
          0, 0, 2 },
    };

    TRY("A-9", rows);
}

static void no_message_twice(void)
{
#define AGAIN \
    HELLO MAIL_NORTH RCPT_NORTH("bob") BACK_HELLO MAIL_SOUTH RCPT_SOUTH("bob") \
        RCPT_OK DATA_NORTH END_NORTH DATA_SOUTH END_SOUTH
    static const struct row rows[] = {
        { "once", WHOLE, 2, 0, 0 },
        { "client tries again", MESSAGE "client resets\n] 250 stored\n" AGAIN "] 250 stored\n< 250 stored\n", 3, 0, 0 },
        { "gateway tries again",
          MESSAGE "] 250 stored\n< 250 stored\n" QUIT BACK_HELLO MAIL_SOUTH RCPT_SOUTH("bob") DATA_SOUTH END_SOUTH
          "] 250 stored\n",
          2, 2, 0 },
        { "perhaps tried in a session that is lost",
          MESSAGE "] 250 stored\n< 250 stored\n" QUIT HELLO "lost: client\n< 250 ok\n" BACK_HELLO MAIL_SOUTH RCPT_SOUTH(
              "bob") DATA_SOUTH END_SOUTH "] 250 stored\n",
          1, 1, 2 },
    };

    TRY("A-10", rows);
}

static const struct test_case tests[] = {
    TEST(accepted_only_after_the_back_end),
    TEST(the_message_is_the_same),
    TEST(results_of_an_unknown_name),
    TEST(normalised_where_configured),
    TEST(chunks_are_carried),
    TEST(the_answer_is_the_back_ends),
    TEST(what_is_refused_never_ends),
    TEST(the_end_goes_south_after_it_came),
    TEST(broken_off_never_ends),
    TEST(recipients_are_the_same),
    TEST(the_sender_is_the_same),
    TEST(every_acceptance_is_accounted_for),
    TEST(no_message_twice),
};
TEST_MAIN(tests)
