/* Tests of proxy/smtp_command.c and smtp_param.c: what a line means, and what is printed from it (RFC 5321
 * 4.1.1, 4.1.2; ORACLE P-4, P-5; ATTACKS B, D). A row reads: this line is this command, and goes to the back
 * end like this.
 */
#include "../../proxy/smtp_command.h"

#include "test.h"

#define S STR_INIT

enum { ALL = ~0 };

/* ---- verbs ---- */

struct verb_sample {
    struct str line;
    enum verb verb;
    enum command_error error;
    struct str argument;
};

static const struct verb_sample verb_samples[] = {
    /* RFC 5321 4.1.1.1: EHLO, HELO */
    { S("EHLO mail.example.org"), VERB_EHLO, COMMAND_OK, S("mail.example.org") },
    { S("ehlo Mail.Example.ORG"), VERB_EHLO, COMMAND_OK, S("Mail.Example.ORG") },
    { S("HELO localhost"), VERB_HELO, COMMAND_OK, S("localhost") },
    { S("EHLO [192.0.2.1]"), VERB_EHLO, COMMAND_OK, S("[192.0.2.1]") },
    { S("EHLO [IPv6:2001:db8::1]"), VERB_EHLO, COMMAND_OK, S("[IPv6:2001:db8::1]") },
    { S("EHLO mail.example.org."), VERB_EHLO, COMMAND_OK, S("mail.example.org") },
    { S("EHLO mail.example.org.."), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO ."), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO my_pc"), VERB_EHLO, COMMAND_OK, S("my_pc") },
    { S("EHLO a.example \t"), VERB_EHLO, COMMAND_OK, S("a.example") },
    { S("EHLO"), VERB_EHLO, COMMAND_SYNTAX, S("") },
    { S("EHLO "), VERB_EHLO, COMMAND_SYNTAX, S("") },
    { S("HELO a b"), VERB_HELO, COMMAND_BAD_HELO, S("") },
    { S("EHLO  a.example"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO a\tb"), VERB_EHLO, COMMAND_BAD_BYTES, S("") },
    { S("EHLO \"a\""), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO a(b"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO %s%n%x"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO ;drop"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO [127.0.0.1"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO [127.0.0.256]"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO a..example"), VERB_EHLO, COMMAND_BAD_HELO, S("") },
    { S("EHLO a\0.example"), VERB_EHLO, COMMAND_BAD_BYTES, S("") },
    { S("EHLO \xc3\xbc.example"), VERB_EHLO, COMMAND_BAD_BYTES, S("") },
    /* RFC 5321 4.1.1.4 to 4.1.1.10 */
    { S("DATA"), VERB_DATA, COMMAND_OK, S("") },
    { S("data  "), VERB_DATA, COMMAND_OK, S("") },
    { S("DATA x"), VERB_DATA, COMMAND_SYNTAX, S("") },
    { S("RSET"), VERB_RSET, COMMAND_OK, S("") },
    { S("RSET x"), VERB_RSET, COMMAND_SYNTAX, S("") },
    { S("QUIT"), VERB_QUIT, COMMAND_OK, S("") },
    { S("QUIT now"), VERB_QUIT, COMMAND_SYNTAX, S("") },
    { S("NOOP"), VERB_NOOP, COMMAND_OK, S("") },
    { S("NOOP any string"), VERB_NOOP, COMMAND_OK, S("any string") },
    { S("HELP"), VERB_HELP, COMMAND_OK, S("") },
    { S("HELP MAIL"), VERB_HELP, COMMAND_OK, S("MAIL") },
    { S("VRFY joe"), VERB_VRFY, COMMAND_OK, S("joe") },
    { S("VRFY"), VERB_VRFY, COMMAND_SYNTAX, S("") },
    { S("VRFY j\xc3\xb6"), VERB_VRFY, COMMAND_BAD_BYTES, S("") },
    { S("EXPN staff"), VERB_EXPN, COMMAND_OK, S("staff") },
    { S("EXPN"), VERB_EXPN, COMMAND_SYNTAX, S("") },
    { S("ETRN example.org"), VERB_ETRN, COMMAND_OK, S("example.org") },
    { S("TURN"), VERB_TURN, COMMAND_OK, S("") },
    /* RFC 3207 4: "no parameters" */
    { S("STARTTLS"), VERB_STARTTLS, COMMAND_OK, S("") },
    { S("StartTls "), VERB_STARTTLS, COMMAND_OK, S("") },
    { S("STARTTLS x"), VERB_STARTTLS, COMMAND_SYNTAX, S("") },
    /* what is no command */
    { S(""), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S(" NOOP"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("NOOPS"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("NOO"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("XCLIENT ADDR=127.0.0.1"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("XFORWARD NAME=x"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("XEXCH50 1 2"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("SEND FROM:<a@b.example>"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("MAILFROM:<a@b.example>"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    /* ATTACKS A, B04: octets that no command has */
    { S("\x16\x03\x01\x02"), VERB_UNKNOWN, COMMAND_BAD_BYTES, S("") },
    { S("\x80\x2e\x01"), VERB_UNKNOWN, COMMAND_BAD_BYTES, S("") },
    { S("NOOP\0"), VERB_UNKNOWN, COMMAND_BAD_BYTES, S("") },
    { S("NOOP \0"), VERB_NOOP, COMMAND_BAD_BYTES, S("") },
    { S("NOOP a\nQUIT"), VERB_NOOP, COMMAND_BAD_BYTES, S("") },
    { S("NOOP a\rQUIT"), VERB_NOOP, COMMAND_BAD_BYTES, S("") },
    { S("NOOP \x1b[2J"), VERB_NOOP, COMMAND_BAD_BYTES, S("") },
    { S("NOOP \x7f"), VERB_NOOP, COMMAND_BAD_BYTES, S("") },
    { S("DATA\r"), VERB_UNKNOWN, COMMAND_BAD_BYTES, S("") },
    { S("NOOP\ta"), VERB_UNKNOWN, COMMAND_BAD_BYTES, S("") },
    /* ATTACKS B03: other protocols */
    { S("GET / HTTP/1.1"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("get /"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("POST / HTTP/1.1"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("POST /\xff\0"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("PUT /x"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("HEAD /"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("CONNECT a:25"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("OPTIONS * HTTP/1.1"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("PRI * HTTP/2.0"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("Host: x"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("host:x"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("User-Agent: x"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("SSH-2.0-OpenSSH_9.9"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("INVITE sip:a@b SIP/2.0"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("PROXY TCP4 127.0.0.1 127.0.0.1 1 25"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("PROPFIND / HTTP/1.1"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("ANNOUNCE rtsp://x RTSP/1.0"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("SUBSCRIBE sip:a@b SIP/2.0"), VERB_FOREIGN, COMMAND_OK, S("") },
    { S("GETTING"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
    { S("Hosts"), VERB_UNKNOWN, COMMAND_UNKNOWN, S("") },
};

static void knows_verbs(void)
{
    for (size_t i = 0; i < sizeof verb_samples / sizeof *verb_samples; i++) {
        const struct verb_sample *s = &verb_samples[i];
        struct command c;

        CHECK_ROW(s->line.p);
        CHECK_EQ_INT(command_parse(s->line, false, &c), s->error);
        CHECK_EQ_INT(c.verb, s->verb);
        CHECK(s->error != COMMAND_OK || str_eq(c.argument, s->argument));
    }
}

/* ---- MAIL ---- */

struct envelope_sample {
    struct str line;
    enum command_error error;
    const char *printed; /* with every parameter offered by the back end; NULL after an error */
};

#define LETTERS_10 "abcdefghij"
#define LETTERS_40 LETTERS_10 LETTERS_10 LETTERS_10 LETTERS_10
#define LETTERS_50 LETTERS_40 LETTERS_10
#define LETTERS_100 LETTERS_50 LETTERS_50

static const struct envelope_sample mail_samples[] = {
    /* RFC 5321 4.1.1.2 */
    { S("MAIL FROM:<a@b.example>"), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("mail from:<a@b.example>"), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("MAIL FROM:<>"), COMMAND_OK, "MAIL FROM:<>" },
    { S("MAIL FROM: <a@b.example>"), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("MAIL FROM:<a@b.example> \t "), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("MAIL FROM:<@r.example:a@b.example>"), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("MAIL FROM:<\"a\"@b.example>"), COMMAND_OK, "MAIL FROM:<a@b.example>" },
    { S("MAIL"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:"), COMMAND_SYNTAX, NULL },
    { S("MAIL TO:<a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:a@b.example"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM <a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM :<a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:  <a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL  FROM:<a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<a@b.example"), COMMAND_BAD_SENDER, NULL },
    { S("MAIL FROM:<a b@b.example>"), COMMAND_BAD_SENDER, NULL },
    { S("MAIL FROM:<a@b@c.example>"), COMMAND_BAD_SENDER, NULL },
    { S("MAIL FROM:<a@b.example>x"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<a@b.example><c@d.example>"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<a@b.example>SIZE=1"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<a@b.example\r\nRCPT TO:<x>>"), COMMAND_BAD_BYTES, NULL },
    { S("MAIL FROM:<a\0@b.example>"), COMMAND_BAD_BYTES, NULL },
    { S("MAIL FROM:<a@b.example>\0"), COMMAND_BAD_BYTES, NULL },
    /* RFC 1870 */
    { S("MAIL FROM:<a@b.example> SIZE=1000"), COMMAND_OK, "MAIL FROM:<a@b.example> SIZE=1000" },
    { S("MAIL FROM:<a@b.example> size=0"), COMMAND_OK, "MAIL FROM:<a@b.example> SIZE=0" },
    { S("MAIL FROM:<> SIZE=00000000000000000012"), COMMAND_OK, "MAIL FROM:<> SIZE=12" },
    { S("MAIL FROM:<> SIZE=9223372036854775807"), COMMAND_OK, "MAIL FROM:<> SIZE=9223372036854775807" },
    { S("MAIL FROM:<> SIZE=9223372036854775808"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=99999999999999999999"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=000000000000000000012"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=-1"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=+1"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=1e3"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE="), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=1 SIZE=2"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE=1 size=1"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> SIZE =1"), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 6152, RFC 3030 */
    { S("MAIL FROM:<> BODY=7BIT"), COMMAND_OK, "MAIL FROM:<> BODY=7BIT" },
    { S("MAIL FROM:<> body=8bitmime"), COMMAND_OK, "MAIL FROM:<> BODY=8BITMIME" },
    { S("MAIL FROM:<> BODY=BINARYMIME"), COMMAND_OK, "MAIL FROM:<> BODY=BINARYMIME" },
    { S("MAIL FROM:<> BODY=X"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> BODY=8BIT"), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 6531 3.4, 3.5 */
    { S("MAIL FROM:<a@b.example> SMTPUTF8"), COMMAND_OK, "MAIL FROM:<a@b.example> SMTPUTF8" },
    { S("MAIL FROM:<j\xc3\xb6@b.example> SMTPUTF8"), COMMAND_OK, "MAIL FROM:<j\xc3\xb6@b.example> SMTPUTF8" },
    { S("MAIL FROM:<j\xc3\xb6@b.example> SIZE=1 SMTPUTF8"), COMMAND_OK,
      "MAIL FROM:<j\xc3\xb6@b.example> SIZE=1 SMTPUTF8" },
    { S("MAIL FROM:<j\xc3\xb6@b.example>"), COMMAND_NEEDS_UTF8, NULL },
    { S("MAIL FROM:<j\xf6@b.example> SMTPUTF8"), COMMAND_BAD_SENDER, NULL },
    { S("MAIL FROM:<a@b.example> SMTPUTF8=1"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<a@b.example> SMTPUTF8="), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<a@b.example> \xc3\xb6"), COMMAND_SYNTAX, NULL },
    { S("MAIL \xc3\xb6:<a@b.example>"), COMMAND_SYNTAX, NULL },
    /* RFC 3461 4.3, 4.4 */
    { S("MAIL FROM:<> RET=FULL"), COMMAND_OK, "MAIL FROM:<> RET=FULL" },
    { S("MAIL FROM:<> ret=hdrs ENVID=QQ314159"), COMMAND_OK, "MAIL FROM:<> RET=HDRS ENVID=QQ314159" },
    { S("MAIL FROM:<> RET="), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> RET=BODY"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+2Bb+3D+20"), COMMAND_OK, "MAIL FROM:<> ENVID=a+2Bb+3D+20" },
    { S("MAIL FROM:<> ENVID=" LETTERS_100), COMMAND_OK, "MAIL FROM:<> ENVID=" LETTERS_100 },
    { S("MAIL FROM:<> ENVID=" LETTERS_100 "a"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+00b"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+0D+0Ab"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+1F"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+2G"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+7F"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+C3+B6"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+2b"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+2"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a+"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=a=b"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID=j\xc3\xb6 SMTPUTF8"), COMMAND_BAD_PARAMETER, NULL },
    { S("MAIL FROM:<> ENVID="), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 4954 5 */
    { S("MAIL FROM:<> AUTH=<>"), COMMAND_OK, "MAIL FROM:<> AUTH=<>" },
    { S("MAIL FROM:<> AUTH=e+3Dmc2@example.com"), COMMAND_OK, "MAIL FROM:<> AUTH=e+3Dmc2@example.com" },
    { S("MAIL FROM:<> AUTH=a=b"), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 5321 4.1.1.11, 4.1.2 */
    { S("MAIL FROM:<>  SIZE=1   BODY=7BIT"), COMMAND_OK, "MAIL FROM:<> SIZE=1 BODY=7BIT" },
    { S("MAIL FROM:<> XYZ=1"), COMMAND_UNKNOWN_PARAMETER, NULL },
    { S("MAIL FROM:<> XYZ"), COMMAND_UNKNOWN_PARAMETER, NULL },
    { S("MAIL FROM:<> NOTIFY=NEVER"), COMMAND_UNKNOWN_PARAMETER, NULL },
    { S("MAIL FROM:<> MT-PRIORITY=3"), COMMAND_UNKNOWN_PARAMETER, NULL },
    { S("MAIL FROM:<> =1"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<> -X=1"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<> (comment)"), COMMAND_SYNTAX, NULL },
    { S("MAIL FROM:<> SIZ\0E=1"), COMMAND_BAD_BYTES, NULL },
};

static void check_printed(const struct command *c, unsigned use, const char *want)
{
    char out[COMMAND_LINE_MAX];
    size_t n = c->verb == VERB_MAIL ? command_print_mail(&c->mail, use, out, sizeof out)
                                    : command_print_rcpt(&c->rcpt, use, out, sizeof out);

    CHECK(n >= 2 && out[n - 2] == '\r' && out[n - 1] == '\n');
    CHECK_EQ_STR(out, n < 2 ? 0 : n - 2, want);
}

static void check_envelope(const struct envelope_sample *s, enum verb verb, bool smtputf8)
{
    struct command c;

    CHECK_ROW(s->line.p);
    CHECK_EQ_INT(command_parse(s->line, smtputf8, &c), s->error);
    CHECK_EQ_INT(c.verb, verb);
    if (s->printed != NULL)
        check_printed(&c, (unsigned)ALL, s->printed);
}

static void reads_mail(void)
{
    for (size_t i = 0; i < sizeof mail_samples / sizeof *mail_samples; i++)
        check_envelope(&mail_samples[i], VERB_MAIL, false);
}

/* The transaction's SMTPUTF8 is the one of this MAIL: what was said before does not count. */
static void mail_looks_at_its_own_smtputf8(void)
{
    struct command c;

    CHECK_EQ_INT(command_parse(STR("MAIL FROM:<j\xc3\xb6@b.example>"), true, &c), COMMAND_NEEDS_UTF8);
}

static void fills_the_mail_command(void)
{
    struct command c;
    struct str line = STR("MAIL FROM:<a@B.example> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=x AUTH=<>");

    CHECK_EQ_INT(command_parse(line, false, &c), COMMAND_OK);
    CHECK_EQ_INT(c.mail.has, HAS_SIZE | HAS_BODY | HAS_RET | HAS_ENVID | HAS_AUTH);
    CHECK_EQ_INT(c.mail.size, 7);
    CHECK_EQ_INT(c.mail.body, BODY_8BITMIME);
    CHECK_EQ_INT(c.mail.ret, RET_HDRS);
    CHECK_EQ_STR(c.mail.envid.p, c.mail.envid.n, "x");
    CHECK_EQ_STR(c.mail.auth.p, c.mail.auth.n, "<>");
    CHECK_EQ_STR(c.mail.path.domain.p, c.mail.path.domain.n, "B.example");
    CHECK(c.mail.path.text.p >= c.room && c.mail.path.text.p < c.room + sizeof c.room);
}

/* ---- RCPT ---- */

#define LETTERS_450 LETTERS_100 LETTERS_100 LETTERS_100 LETTERS_100 LETTERS_50

static const struct envelope_sample rcpt_samples[] = {
    /* RFC 5321 4.1.1.3; ATTACKS D */
    { S("RCPT TO:<a@b.example>"), COMMAND_OK, "RCPT TO:<a@b.example>" },
    { S("rcpt to: <a@b.example>"), COMMAND_OK, "RCPT TO:<a@b.example>" },
    { S("RCPT TO:<postmaster>"), COMMAND_OK, "RCPT TO:<postmaster>" },
    { S("RCPT TO:<>"), COMMAND_BAD_RECIPIENT, NULL },
    { S("RCPT TO:<a>"), COMMAND_OK, "RCPT TO:<a>" }, /* the relay check judges names without a domain */
    { S("RCPT TO:< a@b.example >"), COMMAND_BAD_RECIPIENT, NULL },
    { S("RCPT TO:<a@b.example,c@d.example>"), COMMAND_BAD_RECIPIENT, NULL },
    { S("RCPT TO:<a@b.example>,<c@d.example>"), COMMAND_SYNTAX, NULL },
    { S("RCPT TO:a@b.example c@d.example"), COMMAND_SYNTAX, NULL },
    { S("RCPT FROM:<a@b.example>"), COMMAND_SYNTAX, NULL },
    { S("RCPT TO:<a@b.example\0.c.example>"), COMMAND_BAD_BYTES, NULL },
    { S("RCPT TO:<j\xc3\xb6@b.example>"), COMMAND_NEEDS_UTF8, NULL },
    { S("RCPT TO:<a@b.example> SIZE=1"), COMMAND_UNKNOWN_PARAMETER, NULL },
    /* RFC 3461 4.1 */
    { S("RCPT TO:<a@b.example> NOTIFY=NEVER"), COMMAND_OK, "RCPT TO:<a@b.example> NOTIFY=NEVER" },
    { S("RCPT TO:<a@b.example> notify=delay,Success"), COMMAND_OK, "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY" },
    { S("RCPT TO:<a@b.example> NOTIFY=FAILURE,FAILURE"), COMMAND_OK, "RCPT TO:<a@b.example> NOTIFY=FAILURE" },
    { S("RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY"), COMMAND_OK,
      "RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY" },
    { S("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> NOTIFY=DELAY,"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> NOTIFY=,DELAY"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> NOTIFY="), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> NOTIFY=ALWAYS"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> NOTIFY=DELAY NOTIFY=NEVER"), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 3461 4.2 */
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;v@other.example"), COMMAND_OK,
      "RCPT TO:<a@b.example> ORCPT=rfc822;v@other.example" },
    { S("RCPT TO:<a@b.example> ORCPT=x400;/S=a"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=x400;/S+3Da"), COMMAND_OK, "RCPT TO:<a@b.example> ORCPT=x400;/S+3Da" },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;+21" LETTERS_450 LETTERS_40), COMMAND_OK,
      "RCPT TO:<a@b.example> ORCPT=rfc822;+21" LETTERS_450 LETTERS_40 },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;+21x" LETTERS_450 LETTERS_40), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;a+00"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;a+0D+0ARCPT"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=;a"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc(822;a"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;a ORCPT=rfc822;a"), COMMAND_BAD_PARAMETER, NULL },
    /* RFC 6533 3 */
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j\\x{F6}@b.example"), COMMAND_OK,
      "RCPT TO:<a@b.example> ORCPT=utf-8;j\\x{F6}@b.example" },
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j\xc3\xb6@b.example"), COMMAND_BAD_PARAMETER, NULL },
};

static const struct envelope_sample utf8_rcpt_samples[] = {
    { S("RCPT TO:<j\xc3\xb6@b.example>"), COMMAND_OK, "RCPT TO:<j\xc3\xb6@b.example>" },
    { S("RCPT TO:<j\xf6@b.example>"), COMMAND_BAD_RECIPIENT, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=UTF-8;j\xc3\xb6+3D@b.example"), COMMAND_OK,
      "RCPT TO:<a@b.example> ORCPT=UTF-8;j\xc3\xb6+3D@b.example" },
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j\xf6@b.example"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j\xc2\x85@b.example"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j\xe2\x80\xa8@b.example"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=utf-8;j=a"), COMMAND_BAD_PARAMETER, NULL },
    { S("RCPT TO:<a@b.example> ORCPT=rfc822;j\xc3\xb6@b.example"), COMMAND_BAD_PARAMETER, NULL },
};

static void reads_rcpt(void)
{
    for (size_t i = 0; i < sizeof rcpt_samples / sizeof *rcpt_samples; i++)
        check_envelope(&rcpt_samples[i], VERB_RCPT, false);
}

static void reads_rcpt_with_smtputf8(void)
{
    for (size_t i = 0; i < sizeof utf8_rcpt_samples / sizeof *utf8_rcpt_samples; i++)
        check_envelope(&utf8_rcpt_samples[i], VERB_RCPT, true);
}

/* ---- BDAT ---- */

struct bdat_sample {
    struct str line;
    enum command_error error;
    uint64_t size;
    bool last;
};

/* RFC 3030 2; ATTACKS A */
static const struct bdat_sample bdat_samples[] = {
    { S("BDAT 86 LAST"), COMMAND_OK, 86, true },
    { S("bdat 86 last"), COMMAND_OK, 86, true },
    { S("BDAT 0"), COMMAND_OK, 0, false },
    { S("BDAT 0 LAST"), COMMAND_OK, 0, true },
    { S("BDAT 000012"), COMMAND_OK, 12, false },
    { S("BDAT 12 "), COMMAND_OK, 12, false },
    { S("BDAT 4294967296"), COMMAND_OK, 4294967296, false },
    { S("BDAT 9223372036854775807"), COMMAND_OK, INT64_MAX, false },
    { S("BDAT 9223372036854775808"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 18446744073709551615"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 18446744073709551616"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 18446744073709551617"), COMMAND_SYNTAX, 0, false },
    { S("BDAT"), COMMAND_SYNTAX, 0, false },
    { S("BDAT LAST"), COMMAND_SYNTAX, 0, false },
    { S("BDAT +1"), COMMAND_SYNTAX, 0, false },
    { S("BDAT -1"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 1e3"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 0x10"), COMMAND_SYNTAX, 0, false },
    { S("BDAT  1"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 1  LAST"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 1 LAST LAST"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 1 LASTS"), COMMAND_SYNTAX, 0, false },
    { S("BDAT 1 FIRST"), COMMAND_SYNTAX, 0, false },
};

static void reads_bdat(void)
{
    for (size_t i = 0; i < sizeof bdat_samples / sizeof *bdat_samples; i++) {
        const struct bdat_sample *s = &bdat_samples[i];
        struct command c;

        CHECK_ROW(s->line.p);
        CHECK_EQ_INT(command_parse(s->line, false, &c), s->error);
        CHECK_EQ_INT(c.verb, VERB_BDAT);
        CHECK(s->error != COMMAND_OK || (c.bdat.size == s->size && c.bdat.last == s->last));
    }
}

/* ---- AUTH ---- */

struct auth_sample {
    struct str line;
    enum command_error error;
    const char *mechanism;
    const char *initial; /* NULL when there is none */
};

/* RFC 4954 4, RFC 4422 3.1, RFC 4648 4 */
static const struct auth_sample auth_samples[] = {
    { S("AUTH PLAIN"), COMMAND_OK, "PLAIN", NULL },
    { S("auth login"), COMMAND_OK, "login", NULL },
    { S("AUTH SCRAM-SHA-256 biwsbj11c2Vy"), COMMAND_OK, "SCRAM-SHA-256", "biwsbj11c2Vy" },
    { S("AUTH PLAIN AHRlc3QAMTIzNA=="), COMMAND_OK, "PLAIN", "AHRlc3QAMTIzNA==" },
    { S("AUTH PLAIN ="), COMMAND_OK, "PLAIN", "" },
    { S("AUTH ABCDEFGHIJKLMNOPQRST"), COMMAND_OK, "ABCDEFGHIJKLMNOPQRST", NULL },
    { S("AUTH ABCDEFGHIJKLMNOPQRSTU"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN!"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN abc"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN ab=c"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN a==="), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN =="), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN ab-_"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH PLAIN abcd efgh"), COMMAND_SYNTAX, NULL, NULL },
    { S("AUTH  PLAIN"), COMMAND_SYNTAX, NULL, NULL },
};

static void reads_auth(void)
{
    for (size_t i = 0; i < sizeof auth_samples / sizeof *auth_samples; i++) {
        const struct auth_sample *s = &auth_samples[i];
        struct command c;

        CHECK_ROW(s->line.p);
        CHECK_EQ_INT(command_parse(s->line, false, &c), s->error);
        CHECK_EQ_INT(c.verb, VERB_AUTH);
        if (s->error != COMMAND_OK)
            continue;
        CHECK_EQ_STR(c.argument.p, c.argument.n, s->mechanism);
        CHECK_EQ_INT(c.initial.p != NULL, s->initial != NULL);
        if (s->initial != NULL)
            CHECK_EQ_STR(c.initial.p, c.initial.n, s->initial);
    }
}

/* ---- printing ---- */

static void prints_only_what_the_back_end_offers(void)
{
    struct command c;

    command_parse(STR("MAIL FROM:<a@b.example> SIZE=1 BODY=8BITMIME RET=FULL ENVID=x"), false, &c);
    check_printed(&c, HAS_SIZE, "MAIL FROM:<a@b.example> SIZE=1");
    check_printed(&c, HAS_BODY | HAS_SMTPUTF8, "MAIL FROM:<a@b.example> BODY=8BITMIME");
    check_printed(&c, 0, "MAIL FROM:<a@b.example>");
    command_parse(STR("RCPT TO:<a@b.example> NOTIFY=NEVER ORCPT=rfc822;a"), false, &c);
    check_printed(&c, HAS_ORCPT, "RCPT TO:<a@b.example> ORCPT=rfc822;a");
    check_printed(&c, 0, "RCPT TO:<a@b.example>");
}

/* P-5: UTF-8 only under SMTPUTF8. */
static void prints_no_utf8_without_smtputf8(void)
{
    struct command c;
    char out[COMMAND_LINE_MAX];

    command_parse(STR("MAIL FROM:<j\xc3\xb6@b.example> SMTPUTF8"), false, &c);
    CHECK_EQ_INT(command_print_mail(&c.mail, HAS_SIZE, out, sizeof out), 0);
}

static void prints_all_or_nothing(void)
{
    struct command c;
    char out[64];

    command_parse(STR("MAIL FROM:<a@b.example> SIZE=12"), false, &c);
    for (size_t size = 0; size < 33; size++)
        CHECK_EQ_INT(command_print_mail(&c.mail, HAS_SIZE, out, size), 0);
    CHECK_EQ_INT(command_print_mail(&c.mail, HAS_SIZE, out, 33), 33);
    command_parse(STR("RCPT TO:<a@b.example>"), false, &c);
    CHECK_EQ_INT(command_print_rcpt(&c.rcpt, 0, out, 22), 0);
    CHECK_EQ_INT(command_print_rcpt(&c.rcpt, 0, out, 23), 23);
}

/* The longest path and the longest parameters together (RFC 5321 4.5.3.1.4). */
static void the_longest_commands_fit(void)
{
#define LABEL_60 LETTERS_50 LETTERS_10 "."
    static const char line[] =
        "MAIL FROM:<" LETTERS_50 LETTERS_10 "abcd@" LABEL_60 LABEL_60 LABEL_60 LABEL_60 "a.example>"
        " SIZE=9223372036854775807 BODY=BINARYMIME SMTPUTF8 RET=FULL ENVID=" LETTERS_100
        " AUTH=" LETTERS_450 LETTERS_50;
    char out[COMMAND_LINE_MAX];
    struct command c;
    size_t n;

    CHECK_EQ_INT(command_parse(str_of(line), false, &c), COMMAND_OK);
    CHECK_EQ_INT(command_print_mail(&c.mail, (unsigned)ALL, out, sizeof out), sizeof line - 1 + 2);
    n = command_print_mail(&c.mail, HAS_SIZE | HAS_BODY | HAS_SMTPUTF8 | HAS_RET, out, sizeof out);
    CHECK(n > 0 && n <= 512);
}

/* ---- the rest ---- */

struct xtext_sample {
    struct str plain;
    const char *xtext;
};

/* RFC 3461 4 */
static const struct xtext_sample xtext_samples[] = {
    { S(""), "" },
    { S("a@b.example"), "a@b.example" },
    { S("a+b=c"), "a+2Bb+3Dc" },
    { S("a b~!"), "a+20b~!" },
};

static void writes_xtext(void)
{
    char out[32];

    for (size_t i = 0; i < sizeof xtext_samples / sizeof *xtext_samples; i++) {
        const struct xtext_sample *s = &xtext_samples[i];
        size_t n = xtext_print(s->plain, out, sizeof out);

        CHECK_ROW(s->xtext);
        CHECK_EQ_STR(out, n, s->xtext);
        CHECK(xtext_is_valid(str_from(out, n)));
        CHECK_EQ_INT(n > 0 ? xtext_print(s->plain, out, n - 1) : 0, 0);
    }
}

/* RFC 3463 2: the class of the enhanced code is that of the reply; F-7: one line of printable ASCII. */
static void every_error_has_a_reply(void)
{
    for (int i = 0; i < COMMAND_ERRORS; i++) {
        const struct command_error_reply *r = &command_errors[i];

        CHECK(r->code >= 250 && r->code <= 599);
        CHECK(r->enhanced != NULL && r->enhanced[0] - '0' == r->code / 100);
        CHECK(r->text != NULL && strlen(r->text) > 0 && strchr(r->text, '\n') == NULL);
    }
}

static const struct test_case tests[] = {
    TEST(knows_verbs),
    TEST(reads_mail),
    TEST(mail_looks_at_its_own_smtputf8),
    TEST(fills_the_mail_command),
    TEST(reads_rcpt),
    TEST(reads_rcpt_with_smtputf8),
    TEST(reads_bdat),
    TEST(reads_auth),
    TEST(prints_only_what_the_back_end_offers),
    TEST(prints_no_utf8_without_smtputf8),
    TEST(prints_all_or_nothing),
    TEST(the_longest_commands_fit),
    TEST(writes_xtext),
    TEST(every_error_has_a_reply),
};
TEST_MAIN(tests)
