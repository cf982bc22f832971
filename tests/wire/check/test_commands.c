/* P-4, P-5, P-11, P-12 and P-13: each with what holds, every form of breach, and what captures leave in doubt. */
#include "play.h"
#include "play_text.h"
#include "relaying.h"

#define XCLIENT_INI INI "[backend]\nclient_info = xclient\n"
#define PROBE(lines) \
    "P< 220 b ESMTP\nP> EHLO mx.local.example\nP< 250-b\\r\\n" lines "250 PIPELINING\nP> QUIT\nP< 221 2.0.0 Bye\n"
#define OFFER(lines) "N< 220 mx ESMTP\nN> EHLO c.example\nN< 250-mx.local.example\\r\\n" lines "250 PIPELINING\n"
#define THIRD(command) ACCEPTED "S> " command "\nS< 250 2.0.0 OK\n"

static const struct play_row rows[] = {
    { "a transaction", "P-4", HELD, INI,
      MESSAGE(TEXT, RECEIVED TEXT) "S> RSET\nS< 250 OK\nS> NOOP\nS< 250 OK\nS> QUIT\nS< 221 x\n" },
    { "HELO and STARTTLS", "P-4", HELD, INI,
      "P< 220 b\nP> HELO mx.local.example\nP< 250 b\nP> STARTTLS\nP< 454 4.7.0 no\n" },
    { "VRFY", "P-4", VIOLATED, INI, THIRD("VRFY v") },
    { "EXPN", "P-4", VIOLATED, INI, THIRD("EXPN v") },
    { "HELP", "P-4", VIOLATED, INI, THIRD("HELP") },
    { "ETRN", "P-4", VIOLATED, INI, THIRD("ETRN x") },
    { "TURN", "P-4", VIOLATED, INI, THIRD("TURN") },
    { "SAML", "P-4", VIOLATED, INI, THIRD("SAML FROM:<a@b.example>") },
    { "a verb that nobody knows", "P-4", VIOLATED, INI, THIRD("XEXCH50 1 2") },
    { "XFORWARD", "P-4", VIOLATED, XCLIENT_INI, THIRD("XFORWARD ADDR=192.0.2.1") },
    { "XCLIENT", "P-4", VIOLATED, INI, THIRD("XCLIENT ADDR=192.0.2.1") },
    { "XCLIENT as configured", "P-4", HELD, XCLIENT_INI, THIRD("XCLIENT ADDR=192.0.2.1") },
    { "XCLIENT without a configuration", "P-4", UNSURE, NULL, THIRD("XCLIENT ADDR=192.0.2.1") },
    { "AUTH that the client asked for", "P-4", HELD, INI,
      HELLO "N> AUTH PLAIN AGEAYg==\n" BACK_END "S> AUTH PLAIN AGEAYg==\nS< 235 2.7.0 OK\nN< 235 2.7.0 OK\n" },
    { "AUTH that nobody asked for", "P-4", VIOLATED, INI, ACCEPTED "S> AUTH PLAIN AGEAYg==\nS< 235 2.7.0 OK\n" },
    { "AUTH on a connection of nobody's", "P-4", UNSURE, INI, "P< 220 b\nP> AUTH PLAIN AGEAYg==\nP< 235 2.7.0 OK\n" },

    { "a transaction", "P-5", HELD, INI, MESSAGE(TEXT, RECEIVED TEXT) "S> QUIT\nS< 221 x\n" },
    { "another name in EHLO", "P-5", VIOLATED, INI, "P< 220 b\nP> EHLO c.example\nP< 250 b\n" },
    { "another name, no configuration", "P-5", HELD, NULL, "P< 220 b\nP> EHLO c.example\nP< 250 b\n" },
    { "UTF-8 with SMTPUTF8", "P-5", HELD, INI,
      BACK_END
      "S> MAIL FROM:<a@sender.example> SMTPUTF8\nS< 250 OK\nS> RCPT TO:<v\xc3\xa4@local.example>\nS< 250 OK\n" NORTH },
    { "UTF-8 in a transaction behind one with SMTPUTF8", "P-5", VIOLATED, INI,
      BACK_END "S> MAIL FROM:<a@sender.example> SMTPUTF8\nS< 250 OK\nS> RSET\nS< 250 OK\n" SOUTH_MAIL
               "S> RCPT TO:<v\xc3\xa4@local.example>\nS< 250 OK\n" NORTH },
    { "a recipient without a domain", "P-5", VIOLATED, INI, RECIPIENT("v") },
    { "a recipient without a domain, allowed", "P-5", HELD, INI "[relay]\nallow_unqualified = yes\n", RECIPIENT("v") },
    { "two recipients in one, allowed to lack domains", "P-5", VIOLATED, INI "[relay]\nallow_unqualified = yes\n",
      RECIPIENT("v,w") },
    { "a command cut off with its connection", "P-5", HELD, INI, ACCEPTED "S} DA\n" },

    { "what a back end offers", "P-11", HELD, INI,
      PROBE("250-8BITMIME\\r\\n250-DSN\\r\\n") OFFER("250-8BITMIME\\r\\n250-DSN\\r\\n") },
    { "our own", "P-11", HELD, INI,
      PROBE("") OFFER("250-CHUNKING\\r\\n250-STARTTLS\\r\\n250-ENHANCEDSTATUSCODES\\r\\n250-LIMITS RCPTMAX=10\\r\\n") },
    { "8BITMIME that no back end offers", "P-11", VIOLATED, INI, PROBE("") OFFER("250-8BITMIME\\r\\n") },
    { "SMTPUTF8 that no back end offers", "P-11", VIOLATED, INI,
      PROBE("250-8BITMIME\\r\\n") OFFER("250-SMTPUTF8\\r\\n") },
    { "DSN that no back end offers", "P-11", VIOLATED, INI, PROBE("") OFFER("250-DSN\\r\\n") },
    { "BINARYMIME that no back end offers", "P-11", VIOLATED, INI, PROBE("") OFFER("250-BINARYMIME\\r\\n") },
    { "8BITMIME that is offered only later", "P-11", UNSURE, INI,
      PROBE("") OFFER("250-8BITMIME\\r\\n") "O< 220 b\nO> EHLO mx.local.example\nO< 250-b\\r\\n250 8BITMIME\n" },
    { "8BITMIME, and no back end was seen", "P-11", UNSURE, INI, OFFER("250-8BITMIME\\r\\n") },
    { "XCLIENT", "P-11", VIOLATED, INI, PROBE("250-XCLIENT ADDR\\r\\n") OFFER("250-XCLIENT ADDR\\r\\n") },
    { "VRFY", "P-11", VIOLATED, INI, PROBE("250-VRFY\\r\\n") OFFER("250-VRFY\\r\\n") },
    { "ETRN", "P-11", VIOLATED, INI, PROBE("250-ETRN\\r\\n") OFFER("250-ETRN\\r\\n") },
    { "AUTH in clear", "P-11", VIOLATED, INI, PROBE("250-AUTH PLAIN\\r\\n") OFFER("250-AUTH PLAIN\\r\\n") },
    { "SIZE as configured", "P-11", HELD, INI, PROBE("250-SIZE 2000000\\r\\n") OFFER("250-SIZE 1024000\\r\\n") },
    { "SIZE above the configuration", "P-11", VIOLATED, INI,
      PROBE("250-SIZE 2000000\\r\\n") OFFER("250-SIZE 2000000\\r\\n") },
    { "SIZE above the back end's", "P-11", VIOLATED, INI,
      PROBE("250-SIZE 1000\\r\\n") OFFER("250-SIZE 1024000\\r\\n") },
    { "SIZE where the back end names none", "P-11", HELD, INI,
      PROBE("250-SIZE\\r\\n") OFFER("250-SIZE 1024000\\r\\n") },

    { "a client that plays the balancer", "P-12", UNSURE, INI,
      "N< 220 mx ESMTP\nN> PROXY TCP4 198.51.100.8 192.0.2.1 4000 25\nN< 500 5.5.2 what\n" QUIT },
    { "one by one", "P-12", HELD, INI, MESSAGE(TEXT, RECEIVED TEXT) },
    { "a group", "P-12", HELD, INI,
      HELLO "N> MAIL FROM:<a@sender.example>\nN+ RCPT TO:<v@local.example>\nN+ DATA\nN< 250 2.1.0 OK\nN< 250 2.1.5 OK\n"
            "N< 354 go on\nN} x\\r\\n.\\r\\n\nN< 250 2.0.0 OK\n" QUIT },
    { "a group with NOOP in the middle, refused", "P-12", HELD, INI,
      HELLO "N> NOOP\nN+ MAIL FROM:<a@sender.example>\nN< 554 5.5.0 Improper use\n" },
    { "QUIT in the same segment as the one before", "P-12", HELD, INI,
      HELLO "N> RSET\nN+ QUIT\nN< 250 2.0.0 OK\nN< 221 2.0.0 Bye\n" },
    { "a reply too many", "P-12", VIOLATED, INI, HELLO "N> RSET\nN< 250 2.0.0 OK\nN< 250 2.0.0 OK\n" },
    { "a reply before its command", "P-12", VIOLATED, INI, HELLO "N< 250 2.0.0 OK\nN> RSET\n" },
    { "a BDAT that is refused before its octets", "P-12", HELD, INI,
      ACCEPTED "N> BDAT 99999999999\nN< 552 5.3.4 Too big\nN} abc\n" },
    { "354 to RCPT", "P-12", VIOLATED, INI, NORTH "N> RCPT TO:<v@local.example>\nN< 354 go on\n" },
    { "250 to DATA", "P-12", VIOLATED, INI, NORTH "N> DATA\nN< 250 2.0.0 OK\n" },
    { "250 to QUIT", "P-12", VIOLATED, INI, HELLO "N> QUIT\nN< 250 2.0.0 OK\n" },
    { "354 to the end of a message", "P-12", VIOLATED, INI, ACCEPTED NORTH_DATA(TEXT) "N< 354 go on\n" },
    { "MAIL taken behind NOOP", "P-12", VIOLATED, INI,
      HELLO "N> NOOP\nN+ MAIL FROM:<a@sender.example>\nN< 250 2.0.0 OK\nN< 250 2.1.0 OK\n" },
    { "MAIL taken behind EHLO", "P-12", VIOLATED, INI,
      "N< 220 mx ESMTP\nN> EHLO c.example\nN+ MAIL FROM:<a@sender.example>\nN< 250 mx\nN< 250 2.1.0 OK\n" },
    { "RSET taken behind VRFY", "P-12", VIOLATED, INI, HELLO "N> VRFY v\nN+ RSET\nN< 252 2.0.0 OK\nN< 250 2.0.0 OK\n" },
    { "a message taken behind DATA", "P-12", VIOLATED, INI,
      ACCEPTED "N> DATA\nN+ Subject: x\nN< 354 go on\nN} \\r\\n.\\r\\n\nN< 250 2.0.0 OK\n" },
    { "MAIL behind NOOP, in a segment of its own", "P-12", HELD, INI,
      HELLO "N> NOOP\nN> MAIL FROM:<a@sender.example>\nN< 250 2.0.0 OK\nN< 250 2.1.0 OK\n" },
    { "MAIL behind NOOP, and the server was still at work", "P-12", HELD, INI,
      HELLO "N> RSET\nN> NOOP\nN+ MAIL FROM:<a@sender.example>\nN< 250 2.0.0 OK\nN< 250 2.0.0 OK\nN< 250 2.1.0 OK\n" },

    { "two transactions", "P-13", HELD, INI, MESSAGE(TEXT, RECEIVED TEXT) },
    { "503 to RCPT behind a message", "P-13", HELD, INI,
      ACCEPTED NORTH_DATA(TEXT) "N< 250 2.0.0 OK\nN> RCPT TO:<w@local.example>\nN< 503 5.5.1 Need MAIL\n" },
    { "RCPT behind a message", "P-13", VIOLATED, INI,
      ACCEPTED NORTH_DATA(TEXT) "N< 250 2.0.0 OK\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind a refused message", "P-13", VIOLATED, INI,
      ACCEPTED NORTH_DATA(TEXT) REFUSED "N> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "DATA behind a refused message", "P-13", VIOLATED, INI,
      ACCEPTED NORTH_DATA(TEXT) REFUSED "N> DATA\nN< 354 go on\n" },
    { "RCPT behind RSET", "P-13", VIOLATED, INI,
      ACCEPTED "N> RSET\nN< 250 2.0.0 OK\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind EHLO", "P-13", VIOLATED, INI,
      ACCEPTED "N> EHLO c.example\nN< 250 mx\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind HELO", "P-13", VIOLATED, INI,
      ACCEPTED "N> HELO c.example\nN< 250 mx\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind EHLO that was refused", "P-13", HELD, INI,
      ACCEPTED "N> EHLO (\nN< 501 5.5.4 Syntax\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind a failed BDAT", "P-13", VIOLATED, INI,
      ACCEPTED "N> BDAT 2\nN} ab\nN< 552 5.3.4 Too big\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind BDAT LAST", "P-13", VIOLATED, INI,
      ACCEPTED "N> BDAT 2 LAST\nN} ab\nN< 250 2.0.0 OK\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "chunks", "P-13", HELD, INI,
      ACCEPTED "N> BDAT 2\nN} ab\nN< 250 2.0.0 OK\nN> BDAT 2 LAST\nN} ab\nN< 250 2.0.0 OK\n" },
    { "RCPT without MAIL", "P-13", VIOLATED, INI, HELLO "N> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "RCPT behind a refused MAIL", "P-13", VIOLATED, INI,
      HELLO "N> MAIL FROM:<a@b.example>\nN< 550 5.7.1 no\nN> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
    { "DATA without RCPT", "P-13", VIOLATED, INI, NORTH "N> DATA\nN< 354 go on\n" },
    { "a new MAIL", "P-13", HELD, INI,
      ACCEPTED "N> RSET\nN< 250 2.0.0 OK\n" SENDER "N> RCPT TO:<w@local.example>\nN< 250 2.1.5 OK\n" },
};

static void judges_commands(void)
{
    PLAY_ROWS(rows, relaying_invariants);
}

/* ---- P-5, line by line ---- */

static const struct {
    enum verb verb;
    const char *line;
    bool is_right;
} lines[] = {
    { VERB_EHLO, "EHLO mx.local.example", true },
    { VERB_EHLO, "EHLO [192.0.2.1]", true },
    { VERB_HELO, "HELO mx.local.example", true },
    { VERB_EHLO, "EHLO", false },
    { VERB_EHLO, "EHLO  mx", false },
    { VERB_EHLO, "EHLO mx ", false },
    { VERB_EHLO, "EHLO a b", false },
    { VERB_EHLO, "EHLO a(b", false },
    { VERB_MAIL, "MAIL FROM:<>", true },
    { VERB_MAIL, "MAIL FROM:<a@b.example>", true },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+3Db AUTH=<>", true },
    { VERB_MAIL, "MAIL FROM:<\"a b\"@b.example> BODY=7BIT", true },
    { VERB_MAIL, "MAIL FROM:<a\xc3\xa4@b.example> SMTPUTF8", true },
    { VERB_MAIL, "MAIL FROM:<a\xc3\xa4@b.example>", false },
    { VERB_MAIL, "MAIL FROM:<a\xc3@b.example> SMTPUTF8", false },
    { VERB_MAIL, "MAIL FROM: <a@b.example>", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example", false },
    { VERB_MAIL, "MAIL FROM:a@b.example", false },
    { VERB_MAIL, "MAIL FROM:<a>", false },
    { VERB_MAIL, "MAIL  FROM:<a@b.example>", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example>SIZE=1", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example>  SIZE=1", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> ", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SIZE=1 SIZE=2", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SIZE=-1", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SIZE=", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SIZE", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> BODY=X", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> RET=X", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> ENVID=a+0", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> ENVID=a=b", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> SMTPUTF8=1", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> X=1", false },
    { VERB_MAIL, "MAIL FROM:<a@b.example> NOTIFY=NEVER", false },
    { VERB_MAIL, "MAIL FROM:<a\tb@b.example>", false },
    { VERB_RCPT, "RCPT TO:<a@b.example>", true },
    { VERB_RCPT, "RCPT TO:<postmaster>", true },
    { VERB_RCPT, "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example", true },
    { VERB_RCPT, "RCPT TO:<a@b.example> NOTIFY=NEVER", true },
    { VERB_RCPT, "RCPT TO:<>", false },
    { VERB_RCPT, "RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", false },
    { VERB_RCPT, "RCPT TO:<a@b.example> NOTIFY=DELAY,DELAY", false },
    { VERB_RCPT, "RCPT TO:<a@b.example> NOTIFY=", false },
    { VERB_RCPT, "RCPT TO:<a@b.example> ORCPT=a@b.example", false },
    { VERB_RCPT, "RCPT TO:<a@b.example> SIZE=1", false },
    { VERB_DATA, "DATA", true },
    { VERB_DATA, "DATA ", false },
    { VERB_RSET, "RSET x", false },
    { VERB_QUIT, "QUIT", true },
    { VERB_NOOP, "NOOP", true },
    { VERB_STARTTLS, "STARTTLS", true },
    { VERB_BDAT, "BDAT 100", true },
    { VERB_BDAT, "BDAT 100 LAST", true },
    { VERB_BDAT, "BDAT", false },
    { VERB_BDAT, "BDAT +1", false },
    { VERB_BDAT, "BDAT 1e3", false },
    { VERB_BDAT, "BDAT 1 LAST ", false },
    { VERB_BDAT, "BDAT 123456789012345678901", false },
    { VERB_AUTH, "AUTH PLAIN", true },
    { VERB_AUTH, "AUTH PLAIN AGEAYg==", true },
    { VERB_AUTH, "AUTH PLAIN =", true },
    { VERB_AUTH, "AUTH PLAIN x", false },
    { VERB_AUTH, "AUTH ", false },
    { VERB_AUTH_LINE, "AGEAYg==", true },
    { VERB_AUTH_LINE, "*", true },
    { VERB_AUTH_LINE, "", true },
    { VERB_AUTH_LINE, "MAIL FROM:<a@b.example>", false },
    { VERB_XCLIENT, "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 HELO=c.example", true },
    { VERB_XCLIENT, "XCLIENT ADDR=IPV6:2001:db8::1 PORT=25", true },
    { VERB_XCLIENT, "XCLIENT", false },
    { VERB_XCLIENT, "XCLIENT ADDR=", false },
    { VERB_XCLIENT, "XCLIENT ADDR=1  PORT=2", false },
    { VERB_NONE, "GET / HTTP/1.1", false },
};

static struct command command_of(enum verb verb, struct slice line)
{
    size_t blank = slice_find(line, SLICE(" "), 0);

    return (struct command){
        .verb = verb, .line = line, .argument = slice_part(line, blank + 1, line.n), .is_complete = true
    };
}

static void knows_the_shape_of_lines(void)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct command c = command_of(lines[i].verb, slice_of(lines[i].line));

        CHECK_ROW(lines[i].line);
        CHECK_EQ_INT(line_breach(&c, &(struct line_rules){ .is_utf8 = strstr(lines[i].line, "SMTPUTF8") != NULL,
                                                           .hostname = "" }) == NULL,
                     lines[i].is_right);
    }
}

static void strange_octets(void)
{
    struct command c = command_of(VERB_DATA, SLICE("DATA"));

    CHECK(line_breach(&c, &(struct line_rules){ .hostname = "" }) == NULL);
    c.has_strange_octets = true;
    CHECK(line_breach(&c, &(struct line_rules){ .hostname = "" }) != NULL);
}

/* `n` octets with CRLF, out of the parts that make a line long. */
static bool is_right_at(size_t n, const char *front, const char *back)
{
    struct buffer line = { 0 };
    struct command c;
    bool is_right;

    buffer_printf(&line, "%s", front);
    while (line.n + strlen(back) + 2 < n)
        buffer_add(&line, "a", 1);
    buffer_printf(&line, "%s", back);
    c = command_of(front[0] == 'M' ? VERB_MAIL : VERB_RCPT, buffer_slice(&line));
    is_right = line_breach(&c, &(struct line_rules){ .hostname = "" }) == NULL;
    buffer_free(&line);
    return is_right;
}

static void knows_how_long_lines_may_be(void)
{
    CHECK(is_right_at(512, "RCPT TO:<a@", ".example>"));
    CHECK(!is_right_at(513, "RCPT TO:<a@", ".example>"));
    CHECK(is_right_at(1000, "RCPT TO:<a@", ".example> NOTIFY=NEVER"));
    CHECK(!is_right_at(1001, "RCPT TO:<a@", ".example> NOTIFY=NEVER"));
    CHECK(is_right_at(1000, "MAIL FROM:<a@", ".example> SIZE=1"));
    CHECK(is_right_at(1074, "MAIL FROM:<a@", ".example> SIZE=1 BODY=7BIT AUTH=x RET=FULL ENVID=x")); /* the RFCs' sum */
    CHECK(!is_right_at(1200, "MAIL FROM:<a@", ".example> SIZE=1 BODY=7BIT AUTH=x RET=FULL ENVID=x"));
}

/* Two servers, of which one was never heard. */
static void a_silent_server(void)
{
    struct play p;

    play_start(&p, PROBE("250-SIZE 1000\\r\\n") OFFER("250-SIZE 1024000\\r\\n"),
               "[relay]\ndomains = local.example\n[backend]\nservers = 192.0.2.10:25, 192.0.2.11:25\n"
               "[limits]\nmessage_size = 1000k\n");
    endpoint_parse(&p.connection[5].end[SERVER], slice_of("192.0.2.11:25"));
    play_ready(&p);
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-11"), UNSURE);
    play_end(&p);
}

static const struct test_case tests[] = { TEST(judges_commands), TEST(a_silent_server), TEST(knows_the_shape_of_lines),
                                          TEST(strange_octets), TEST(knows_how_long_lines_may_be) };
TEST_MAIN(tests)
