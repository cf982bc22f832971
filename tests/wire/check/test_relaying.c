/* P-1, P-2, P-3 and P-6: each with what holds, every form of breach, and what captures leave in doubt. */
#include "play.h"
#include "play_text.h"

#define OPEN_NORTH \
    "[server]\nhostname = mx.local.example\n[relay]\ndomains = local.example\nallow_percent = yes\n[backend]\n" \
    "servers = 192.0.2.10:25\n"
#define LOGIN "N> AUTH PLAIN AGEAYg==\n" BACK_END "S> AUTH PLAIN AGEAYg==\nS< 235 2.7.0 OK\nN< 235 2.7.0 OK\n"
#define REDIRECT INI "[dmarc]\nquarantine = redirect\nquarantine_mailbox = q@local.example\n"

static const struct play_row rows[] = {
    { "a local recipient", "P-1", HELD, INI, ACCEPTED },
    { "a local recipient in capitals with a dot", "P-1", HELD, INI, RECIPIENT("v@LOCAL.example.") },
    { "a name below a local one", "P-1", HELD, INI, RECIPIENT("v@mx.sub.example") },
    { "the postmaster without a domain", "P-1", HELD, INI, RECIPIENT("postmaster") },
    { "A-label of a local name", "P-1", HELD, INI, RECIPIENT("v@xn--mller-kva.example") },
    { "U-label of a local name", "P-1", HELD, INI, RECIPIENT("v@m\xc3\xbcller.example") },
    { "a recipient elsewhere", "P-1", VIOLATED, INI, RECIPIENT("v@other.example") },
    { "an address literal", "P-1", VIOLATED, INI, RECIPIENT("v@[192.0.2.1]") },
    { "a local name in front of another", "P-1", VIOLATED, INI, RECIPIENT("v@local.example.other.example") },
    { "a local name behind other letters", "P-1", VIOLATED, INI, RECIPIENT("v@xlocal.example") },
    { "two @, the last of them elsewhere", "P-1", VIOLATED, INI, RECIPIENT("v@local.example@other.example") },
    { "a local name in quotes", "P-1", VIOLATED, INI, RECIPIENT("\"v@local.example\"@other.example") },
    { "an @ in quotes, a local name behind", "P-1", HELD, INI, RECIPIENT("\"v@other.example\"@local.example") },
    { "elsewhere, logged in", "P-1", HELD, INI,
      HELLO LOGIN SENDER "N> RCPT TO:<v@other.example>\n" SOUTH_MAIL
                         "S> RCPT TO:<v@other.example>\nS< 250 2.1.5 OK\nN< 250 2.1.5 OK\n" },
    { "elsewhere, logged in only later", "P-1", VIOLATED, INI,
      RECIPIENT("v@other.example") "N> RSET\nN< 250 2.0.0 OK\nN> AUTH PLAIN AGEAYg==\nN< 235 2.7.0 OK\n" },
    { "elsewhere, login refused", "P-1", VIOLATED, INI,
      HELLO "N> AUTH PLAIN AGEAYg==\nN< 535 5.7.8 no\n" SENDER "N> RCPT TO:<v@other.example>\n" SOUTH
            "S> RCPT TO:<v@other.example>\nS< 250 2.1.5 OK\nN< 250 2.1.5 OK\n" },
    { "a recipient elsewhere, the connection is nobody's", "P-1", UNSURE, INI,
      "O< 220 b\nO> EHLO mx.local.example\nO< 250 b\nO> MAIL FROM:<a@b.example>\nO< 250 OK\nO> RCPT "
      "TO:<v@other.example>\n" },
    { "a client behind a balancer, trusted", "P-1", HELD, INI,
      "N> PROXY TCP4 198.51.100.8 192.0.2.1 4000 25\n" RECIPIENT("v@other.example") },
    { "a client behind a balancer that is not trusted", "P-1", VIOLATED, INI,
      "N> PROXY TCP4 192.0.2.99 192.0.2.1 4000 25\n" RECIPIENT("v@other.example") },

    { "a client that plays the balancer", "P-1", VIOLATED, INI,
      "N< 220 mx ESMTP\nN> PROXY TCP4 198.51.100.8 192.0.2.1 4000 25\n" SENDER "N> RCPT TO:<v@other.example>\n" SOUTH
      "S> RCPT TO:<v@other.example>\nS< 250 2.1.5 OK\nN< 250 2.1.5 OK\n" },
    { "a plain recipient", "P-2", HELD, INI, ACCEPTED },
    { "a source route", "P-2", VIOLATED, INI, RECIPIENT("@a.example:v@local.example") },
    { "the percent hack", "P-2", VIOLATED, INI, RECIPIENT("v%other.example@local.example") },
    { "a bang path", "P-2", VIOLATED, INI, RECIPIENT("other.example!v@local.example") },
    { "a second @", "P-2", VIOLATED, INI, RECIPIENT("v@other.example@local.example") },
    { "@ in quotes", "P-2", VIOLATED, INI, RECIPIENT("\"v@other.example\"@local.example") },
    { "% in quotes", "P-2", VIOLATED, INI, RECIPIENT("\"v%other.example\"@local.example") },
    { "! in quotes", "P-2", VIOLATED, INI, RECIPIENT("\"other.example!v\"@local.example") },
    { "% without a domain", "P-2", VIOLATED, INI, RECIPIENT("v%other.example") },
    { "% where it is allowed", "P-2", HELD, OPEN_NORTH, RECIPIENT("v%other.example@local.example") },
    { "a source route where % is allowed", "P-2", VIOLATED, OPEN_NORTH, RECIPIENT("@a.example:v@local.example") },
    { "% without a configuration", "P-2", UNSURE, NULL, RECIPIENT("v%other.example@local.example") },

    { "a session that is accepted", "P-3", HELD, INI, ACCEPTED },
    { "refused at connect, no connection", "P-3", HELD, INI, "N< 421 4.7.0 Too many connections\n" },
    { "refused at connect, a connection", "P-3", VIOLATED, INI, "N< 421 4.7.0 Too many connections\n" BACK_END },
    { "refused at EHLO, a connection", "P-3", VIOLATED, INI,
      "N< 220 mx ESMTP\nN> EHLO c.example\n" BACK_END "N< 550 5.7.1 no\n" },
    { "a connection before RCPT", "P-3", VIOLATED, INI, NORTH BACK_END },
    { "a connection for a refused recipient", "P-3", VIOLATED, INI,
      NORTH "N> RCPT TO:<v@other.example>\n" BACK_END "N< 550 5.7.1 Relaying denied\n" },
    { "a recipient refused without a connection", "P-3", HELD, INI,
      NORTH "N> RCPT TO:<v@other.example>\nN< 550 5.7.1 Relaying denied\n" },
    { "a recipient refused by the back end", "P-3", HELD, INI,
      NORTH "N> RCPT TO:<u@local.example>\n" SOUTH "S> RCPT TO:<u@local.example>\nS< 550 5.1.1 Unknown\n"
            "N< 550 5.1.1 Unknown\n" },
    { "a back end that greets with 554", "P-3", HELD, INI,
      NORTH "N> RCPT TO:<u@local.example>\nS< 554 no\nN< 451 4.4.1 Not available\n" },
    { "RCPT without MAIL opens a connection", "P-3", VIOLATED, INI,
      HELLO "N> RCPT TO:<u@local.example>\n" BACK_END "N< 503 5.5.1 Need MAIL\n" },
    { "a refused recipient at the back end", "P-3", VIOLATED, INI,
      RECIPIENT("v@local.example") "N> RCPT TO:<w@other.example>\nS> RCPT TO:<w@other.example>\nS< 250 2.1.5 OK\nN< "
                                   "550 5.7.1 Relaying denied\n" },
    { "the same in another spelling", "P-3", VIOLATED, INI,
      RECIPIENT("v@local.example") "N> RCPT TO:<\"w\"@OTHER.example.>\nS> RCPT TO:<w@other.example>\nS< 250 2.1.5 "
                                   "OK\nN< 550 5.7.1 Relaying denied\n" },
    { "a refused sender at the back end", "P-3", VIOLATED, INI,
      HELLO "N> MAIL FROM:<evil@sender.example>\nN< 550 5.7.23 no\n" SENDER "N> RCPT TO:<v@local.example>\n" BACK_END
            "S> MAIL FROM:<evil@sender.example>\nS< 250 2.1.0 OK\nS> RCPT TO:<v@local.example>\nS< 250 2.1.5 OK\n"
            "N< 250 2.1.5 OK\n" },
    { "a login opens a connection", "P-3", HELD, INI, HELLO LOGIN },
    { "a login refused by the back end", "P-3", HELD, INI,
      HELLO "N> AUTH PLAIN AGEAYg==\n" BACK_END "S> AUTH PLAIN AGEAYg==\nS< 535 5.7.8 no\nN< 535 5.7.8 no\n" },
    { "a login refused here opens a connection", "P-3", VIOLATED, INI,
      HELLO "N> AUTH CRAM-MD5\n" BACK_END "N< 504 5.5.4 Unrecognized\n" },

    { "one for one", "P-6", HELD, INI, ACCEPTED },
    { "one for none", "P-6", VIOLATED, INI, HELLO "N> RCPT TO:<v@local.example>\nN< 503 5.5.1 no\n" SOUTH },
    { "two for one", "P-6", VIOLATED, INI, ACCEPTED "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL },
    { "two for one on two connections", "P-6", VIOLATED, INI,
      ACCEPTED "R< 220 b\nR> MAIL FROM:<a@sender.example>\nR< 250 OK\n" },
    { "two for one, the second for the quarantine", "P-6", HELD, REDIRECT,
      ACCEPTED "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL "S> RCPT TO:<q@local.example>\nS< 250 2.1.5 OK\n" },
    { "two for one, the second on its way to the quarantine", "P-6", HELD, REDIRECT,
      ACCEPTED "S> RSET\nS< 250 2.0.0 OK\nS> MAIL FROM:<a@sender.example>\nS< 500 5.5.1 What\n" },
    { "three for one, two of them for the quarantine", "P-6", VIOLATED, REDIRECT,
      ACCEPTED "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL },
    { "two for one, the second not for the quarantine", "P-6", VIOLATED, REDIRECT,
      ACCEPTED "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL "S> RCPT TO:<v@local.example>\nS< 250 2.1.5 OK\n" },
    { "two for one, and no configuration", "P-6", UNSURE, NULL, ACCEPTED "S> RSET\nS< 250 2.0.0 OK\n" SOUTH_MAIL },
    { "the answer to MAIL was lost", "P-6", UNSURE, INI, HELLO "N> MAIL FROM:<a@sender.example>\n" SOUTH },
    { "a transaction of nobody's", "P-6", VIOLATED, INI,
      ACCEPTED "O< 220 b\nO> EHLO mx.local.example\nO< 250 b\nO> MAIL FROM:<z@b.example>\nO< 250 OK\n" },
};

static void judges_relaying(void)
{
    PLAY_ROWS(rows, relaying_invariants);
}

/* What has no words in a script. */
static void doubts(void)
{
    struct play p;

    CHECK_ROW("a trusted client");
    play_start(&p, RECIPIENT("v@other.example"), INI);
    endpoint_parse(&p.connection[0].end[CLIENT], slice_of("198.51.100.7:5000"));
    play_ready(&p);
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-1"), HELD);
    play_end(&p);

    CHECK_ROW("TLS north that hides a login");
    play_start(&p, RECIPIENT("v@other.example"), INI);
    play_ready(&p);
    p.dialogue[0].tls = &p.hidden;
    p.dialogue[0].is_readable = false;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-1"), UNSURE);
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-3"), UNSURE); /* of before: it looks at nothing more */
    CHECK_EQ_INT(p.tally.checked, 0);
    p.dialogue[0].tls = NULL;
    play_end(&p);

    CHECK_ROW("a hole south");
    play_start(&p, ACCEPTED, INI);
    play_ready(&p);
    p.connection[2].doubt = "octets are missing";
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-1"), UNSURE);
    CHECK_EQ_INT(p.tally.checked, 1);
    p.connection[2].doubt = NULL;
    play_end(&p);

    CHECK_ROW("a breach in front of a hole");
    play_start(&p, RECIPIENT("v@other.example"), INI);
    play_ready(&p);
    p.connection[2].doubt = "octets are missing";
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-1"), VIOLATED);
    play_end(&p);

    CHECK_ROW("a join in doubt");
    play_start(&p, NORTH BACK_END, INI);
    play_ready(&p);
    p.session[0].doubt = "two sessions fit";
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-3"), UNSURE);
    play_end(&p);

    CHECK_ROW("the start of the connection was not captured");
    play_start(&p, NORTH BACK_END, INI);
    play_ready(&p);
    p.connection[2].has_start = false;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-3"), UNSURE);
    play_end(&p);
}

static void shared_connection(void)
{
    struct play p;

    play_start(&p,
               ACCEPTED "M< 220 mx ESMTP\nM> EHLO d.example\nM< 250 mx\nM> MAIL FROM:<b@sender.example>\n"
                        "M< 250 2.1.0 OK\nM> RCPT TO:<w@local.example>\nM< 250 2.1.5 OK\n",
               INI);
    play_ready(&p);
    p.south[1][0] = &p.dialogue[2];
    p.session[1].south_n = 1;
    CHECK_EQ_INT(play_judge(&p, relaying_invariants, "P-6"), VIOLATED);
    play_end(&p);
}

static const struct test_case tests[] = { TEST(judges_relaying), TEST(doubts), TEST(shared_connection) };
TEST_MAIN(tests)
