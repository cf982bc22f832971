/* Rows: header sections, and what comes of each with `strict = yes`: the one author domain, or a refusal. The classes are those of
 * ATTACKS E; the victim is legitimate.example.
 */
#include "policy/author.h"
#include "policy/policy.h"

#include "test.h"

static char memory[4096];
static struct outcome outcome;

static struct policy strict_policy(void)
{
    static struct network ours;
    struct policy policy = { .author.strict = true, .relay.networks = { &ours, 1 } };

    CHECK(network_parse(STR("192.0.2.0/24"), &ours));
    return policy;
}

static struct envelope envelope_from(const char *client)
{
    struct envelope envelope = { .is_esmtp = true };

    CHECK(address_parse(str_of(client), &envelope.client.address));
    return envelope;
}

static void judge(const struct policy *policy, const struct envelope *envelope, enum stage stage, struct str header)
{
    static const struct check *const table[] = { &check_author };
    struct message message = { .header = header, .size = header.n };
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 1, policy, stage, envelope, &message, NULL, &arena, &outcome);
    CHECK(outcome.decided);
}

/* clang-format off */
#define E "From: a@attack.example\r\n"
#define L "From: b@legitimate.example\r\n"
static const struct row {
    const char *what;
    struct str header;
    const char *enhanced; /* of the 550; "" when the message is let through */
    const char *says;     /* author domain, or the reason */
} rows[] = {
#define ROW(what, header, enhanced, says) { what, STR_INIT(header), enhanced, says }
#define PASS(what, header, domain) ROW(what, header, "", domain)
#define FORM(what, header, reason) ROW(what, header, "5.6.0", reason)
#define NONE(what, header, reason) ROW(what, header, "5.7.26", reason)
    /* what real mail looks like */
    PASS("plain", E, "attack.example"),
    PASS("all fields", "Date: x\r\n" E "To: v@local.example\r\nSubject: y\r\nMessage-ID: <z@attack.example>\r\n", "attack.example"),
    PASS("no Date, no Message-ID", "Subject: x\r\n" E, "attack.example"),
    PASS("any case", "FROM: a@Attack.EXAMPLE\r\n", "attack.example"),
    PASS("no blank after the colon", "from:a@attack.example\r\n", "attack.example"),
    PASS("folded", "From:\r\n\tA\r\n <a@attack.example>\r\n", "attack.example"),
    PASS("dots in the display name", "From: John Q. Public <a@attack.example>\r\n", "attack.example"),
    PASS("a quoted address as display name", "From: \"b@legitimate.example\" <a@attack.example>\r\n", "attack.example"),
    PASS("a raw UTF-8 display name", "From: J\xc3\xbcrgen <a@attack.example>\r\n", "attack.example"),
    PASS("an encoded display name", "From: =?utf-8?q?J=C3=BCrgen?= <a@attack.example>\r\n", "attack.example"),
    PASS("comments", "From: (x) A (y) <a@attack.example> (z)\r\n", "attack.example"),
    PASS("the old form", "From: a@attack.example (A. Tack)\r\n", "attack.example"),
    PASS("two authors of one domain", "From: a@attack.example, B <b@ATTACK.example>\r\n", "attack.example"),
    PASS("an address as its own display name", "From: a@attack.example <a@attack.example>\r\n", "attack.example"),
    PASS("a group of one domain (RFC 6854)", "From: Team: a@attack.example, b@attack.example;\r\n", "attack.example"),
    PASS("a group with a domain for a name", "From: legitimate.example: a@attack.example;\r\n", "attack.example"),
    PASS("U-labels", "From: a@m\xc3\xbcnchen.example\r\n", "xn--mnchen-3ya.example"),
    PASS("U-labels and A-labels", "From: a@m\xc3\xbcnchen.example, b@XN--mnchen-3ya.example\r\n", "xn--mnchen-3ya.example"),
    PASS("a dot behind the domain", "From: a@attack.example.\r\n", "attack.example"),
    PASS("odd dots in the local part", "From: a..b.@attack.example\r\n", "attack.example"),
    PASS("a percent hack", "From: b%legitimate.example@attack.example\r\n", "attack.example"),
    PASS("a UUCP path", "From: legitimate.example!b@attack.example\r\n", "attack.example"),
    PASS("a domain below", "From: b@legitimate.example.attack.example\r\n", "legitimate.example.attack.example"),
    PASS("a single label", "From: root@localhost\r\n", "localhost"),
    PASS("a Sender is no author", "Sender: b@legitimate.example\r\n" E, "attack.example"),
    PASS("nor is Reply-To", E "Reply-To: b@legitimate.example\r\n", "attack.example"),
    PASS("nor a Resent-From, nor two", "Resent-From: b@legitimate.example\r\nResent-From: c@legitimate.example\r\n" E, "attack.example"),
    PASS("fields whose names hold ours", "X-From: b@legitimate.example\r\n" E "From-X: b@legitimate.example\r\n", "attack.example"),
    PASS("a blank before another colon (obsolete)", "Subject : x\r\n" E "X-Y\t: z\r\n", "attack.example"),
    PASS("a folded line of blanks in another field", "Subject: x\r\n \r\n y\r\n" E, "attack.example"),
    PASS("From within a fold of another field", "DKIM-Signature: h=To:\r\n\tFrom:Subject\r\n" E, "attack.example"),
    PASS("repeated fields that decide nothing", "Received: x\r\nReceived: y\r\nReferences: x\r\nReferences: y\r\n"
         "Bcc: x\r\nBcc: y\r\nMIME-Version: 1.0\r\nMIME-Version: 1.0\r\n" E, "attack.example"),
    PASS("a Subject in a charset of old", "Subject: \x1b$B%F\x1b(B \x85 \xfc\r\n" E, "attack.example"),
    PASS("a letter whose last octet is 0x85", "Subject: \xd1\x85" "from: x\r\n" E, "attack.example"),

    /* several From, in any order and dress */
    FORM("two From, the victim first", L E, "repeated: From"),
    FORM("two From, the victim last", E L, "repeated: From"),
    FORM("two From, apart", E "Subject: x\r\nTo: y\r\n" L, "repeated: From"),
    FORM("two From, the same", E E, "repeated: From"),
    FORM("two From in other cases", E "fRoM: b@legitimate.example\r\n", "repeated: From"),
    FORM("two From, one with a blank", E "From : b@legitimate.example\r\n", "repeated: From"),
    FORM("two From, one with a tab", "From\t: b@legitimate.example\r\n" E, "repeated: From"),
    FORM("two From, one empty", E "From:\r\n", "repeated: From"),
    FORM("two From, one malformed", "From: <\r\n" E, "repeated: From"),
    FORM("three From", E L E, "repeated: From"),
    FORM("the only From with a blank", "From : a@attack.example\r\n", "blank"),
    FORM("the only From with a tab", "From\t: a@attack.example\r\n", "blank"),

    /* lines that are no fields */
    FORM("a line without a colon", "no field\r\n" E, "no-field"),
    FORM("at the end", E "no field\r\n", "no-field"),
    FORM("between two From", E "no field\r\n" L, "no-field"),
    FORM("From only behind it", "Subject: x\r\nno field\r\n" E, "no-field"),
    FORM("nothing before the colon", ": x\r\n" E, "no-field"),
    FORM("a first line that is a continuation", " From: b@legitimate.example\r\n" E, "no-field"),
    FORM("a first line of blanks", " \r\n" E, "no-field"),
    FORM("a name that is folded", "From\r\n : b@legitimate.example\r\n" E, "no-field"),
    FORM("a name folded before a blank line", "From\r\n \r\n: b@legitimate.example\r\n" E, "no-field"),
    FORM("a blank within the name", "Fr om: b@legitimate.example\r\n" E, "no-field"),
    FORM("mbox's line on top", "From b@legitimate.example Sun Nov 22 12:00:00 2026\r\n" E, "no-field"),
    FORM("mbox's line, escaped", ">From b@legitimate.example Sun Nov 22 12:00:00 2026\r\n" E, "no-field"),
    FORM("a no-break space before the colon", "From\xc2\xa0: b@legitimate.example\r\n" E, "no-field"),
    FORM("the same as Latin-1", "From\xa0: b@legitimate.example\r\n" E, "no-field"),
    FORM("a zero width space in the name", "From\xe2\x80\x8b: b@legitimate.example\r\n" E, "no-field"),
    FORM("a byte order mark before the name", "\xef\xbb\xbf" L E, "no-field"),
    FORM("a fullwidth colon", "From\xef\xbc\x9a b@legitimate.example\r\n" E, "no-field"),
    FORM("a vertical tab before the colon", "From\x0b: b@legitimate.example\r\n" E, "no-field"),
    FORM("a form feed before the name", "\x0c" "From: b@legitimate.example\r\n" E, "false-line-end"),
    FORM("a backspace in the name", "Froo\bm: b@legitimate.example\r\n" E, "no-field"),

    /* line ends of others */
    FORM("a bare LF (BINARYMIME)", "Subject: x\n" L E, "false-line-end"),
    FORM("a bare CR", "Subject: x\r" L E, "false-line-end"),
    FORM("a NUL", "Subject: x\0\r\n" E, "false-line-end"),
    FORM("a vertical tab", "Subject: x\x0b" L E, "false-line-end"),
    FORM("a form feed", "Subject: x\x0c" "fRom : b@legitimate.example\r\n" E, "false-line-end"),
    FORM("a file separator", "Subject: x\x1c" L E, "false-line-end"),
    FORM("NEL in UTF-8", "Subject: x\xc2\x85" L E, "false-line-end"),
    FORM("NEL in ISO 8859", "Subject: x\x85" L E, "false-line-end"),
    FORM("a line separator", "Subject: x\xe2\x80\xa8" L E, "false-line-end"),
    FORM("a paragraph separator", "Subject: x\xe2\x80\xa9" "From\t : b@legitimate.example\r\n" E, "false-line-end"),

    /* singletons (RFC 5322 3.6) */
    FORM("two Senders", E "Sender: x@y.example\r\nSender: x@y.example\r\n", "repeated: Sender"),
    FORM("two Reply-Tos", "Reply-To: x@y.example\r\n" E "reply-to: z@y.example\r\n", "repeated: Reply-To"),
    FORM("two Subjects", "Subject: x\r\n" E "Subject: y\r\n", "repeated: Subject"),
    FORM("two Subjects, one with a blank", "Subject: x\r\n" E "Subject : y\r\n", "repeated: Subject"),
    FORM("two Tos", "To: x\r\nTO: y\r\n" E, "repeated: To"),
    FORM("two Ccs", "Cc: x\r\nCc: y\r\n" E, "repeated: Cc"),
    FORM("two Dates", "Date: x\r\nDate: y\r\n" E, "repeated: Date"),
    FORM("two Message-IDs", "Message-Id: <x@y>\r\nMessage-ID: <z@y>\r\n" E, "repeated: Message-ID"),
    FORM("two Content-Types", "Content-Type: text/plain\r\nContent-Type: text/html\r\n" E, "repeated: Content-Type"),
    FORM("two encodings", "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n" E, "repeated: Content-Transfer-Encoding"),
    FORM("the first of them is told", "Subject: x\r\nSubject: y\r\n" E L, "repeated: Subject"),

    /* one From with two readings; test_mailbox.c has every form */
    FORM("two bracketed addresses", "From: <b@legitimate.example> <a@attack.example>\r\n", "malformed: not an address list"),
    FORM("an address before the brackets' one", "From: b@legitimate.example a@attack.example <a@attack.example>\r\n", "malformed: not an address list"),
    FORM("words behind the brackets", "From: <a@attack.example> b@legitimate.example\r\n", "malformed: not an address list"),
    FORM("brackets that are missing", "From: B b@legitimate.example\r\n", "malformed: not an address list"),
    FORM("two @", "From: a@attack.example@legitimate.example\r\n", "malformed: not an address list"),
    FORM("a route", "From: <@legitimate.example:a@attack.example>\r\n", "malformed: a source route"),
    FORM("a quoted local part that is an address", "From: \"b@legitimate.example\"@attack.example\r\n",
         "malformed: a quoted string that does not end, or looks like an address"),
    FORM("a quoted local part that ends one", "From: <\"b@legitimate.example>\"@attack.example>\r\n",
         "malformed: a quoted string that does not end, or looks like an address"),
    FORM("a quote that does not end", "From: \"B <b@legitimate.example>, <a@attack.example>\r\n",
         "malformed: a quoted string that does not end, or looks like an address"),
    FORM("a comment that does not end", "From: b@legitimate.example (, a@attack.example\r\n",
         "malformed: a comment that does not end, or is mixed with an address"),
    FORM("an address in a comment", "From: a@attack.example (<b@legitimate.example>)\r\n",
         "malformed: a comment that does not end, or is mixed with an address"),
    FORM("a comment within the domain", "From: a@legitimate.example(.attack.example\r\n )\\.x\r\n", "malformed: not an address list"),
    FORM("a comment before the domain", "From: a@(legitimate.example)attack.example\r\n",
         "malformed: a comment that does not end, or is mixed with an address"),
    FORM("a quoted pair in the domain", "From: a@legitimate\\.example\r\n", "malformed: not an address list"),
    FORM("an encoded local part", "From: =?utf-8?q?b=40legitimate.example?=@attack.example\r\n", "malformed: an encoded word in an address"),
    FORM("an encoded domain", "From: b@=?utf-8?q?legitimate.example?=\r\n", "malformed: an encoded word in an address"),
    FORM("an encoded word that cuts", "From: =?utf-8?q?b=40legitimate.example=00?= <a@attack.example>\r\n",
         "malformed: an encoded word that hides an address, a line end or a NUL"),
    FORM("an encoded address in brackets", "From: =?utf-8?b?PGJAbGVnaXRpbWF0ZS5leGFtcGxlPg==?= <a@attack.example>\r\n",
         "malformed: an encoded word that hides an address, a line end or a NUL"),
    FORM("a blank line in the fold", "From: b@legitimate.example,\r\n \r\n a@legitimate.example\r\n", "malformed: a folded line of blanks alone"),
    FORM("a control character", "From: a@attack.example\x0b, b@legitimate.example\r\n", "malformed: a control character"),
    FORM("not UTF-8", "From: \xfc <a@attack.example>\r\n", "malformed: octets that are not UTF-8"),
    FORM("a fullwidth @", "From: b\xef\xbc\xa0legitimate.example@attack.example\r\n", "malformed: not an address list"),
    FORM("a zero width space", "From: a\xe2\x80\x8b@attack.example\r\n", "malformed: not an address list"),
    FORM("a group that does not end", "From: Team: a@attack.example\r\n", "malformed: a group without an end or a proper beginning"),
    FORM("a malformed list with several domains", "From: a@attack.example, b@legitimate.example, <\r\n", "malformed: not an address list"),

    /* what follows the @ */
    FORM("a dot in front", "From: b@.legitimate.example\r\n", "bad-domain"),
    FORM("two dots", "From: b@legitimate..example\r\n", "bad-domain"),
    FORM("two dots behind", "From: b@legitimate.example..\r\n", "bad-domain"),
    FORM("a dot alone", "From: b@.\r\n", "bad-domain"),
    FORM("percent encoding", "From: b@legitimate%2eexample\r\n", "bad-domain"),
    FORM("an ideographic full stop", "From: b@legitimate\xe3\x80\x82" "example\r\n", "bad-domain"),
    FORM("a fullwidth full stop", "From: b@legitimate\xef\xbc\x8e" "example\r\n", "bad-domain"),
    FORM("a zero width space in the domain", "From: b@legit\xe2\x80\x8bimate.example\r\n", "bad-domain"),
    FORM("a soft hyphen in the domain", "From: b@legit\xc2\xadimate.example\r\n", "bad-domain"),
    FORM("fullwidth letters", "From: b@\xef\xbd\x8c" "egitimate.example\r\n", "bad-domain"),
    FORM("Cyrillic capitals, which nobody looks up as such", "From: b@\xd0\x9f\xd0\xa0\xd0\x98.example\r\n", "bad-domain"),
    FORM("a letter and a mark that joins it", "From: b@cafe\xcc\x81.example\r\n", "bad-domain"),
    FORM("a hyphen in front", "From: b@-legitimate.example\r\n", "bad-domain"),
    FORM("a slash", "From: b@legitimate.example/attack.example\r\n", "bad-domain"),
    FORM("a label over 63", "From: b@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example\r\n", "bad-domain"),

    /* no domain, or several */
    NONE("no field at all", "", "missing"),
    NONE("no From", "Subject: x\r\n", "missing"),
    NONE("a Sender alone", "Sender: b@legitimate.example\r\n", "missing"),
    NONE("a Resent-From alone", "Resent-From: b@legitimate.example\r\nReply-To: b@legitimate.example\r\n", "missing"),
    NONE("an empty From", "From:\r\n", "no-domain"),
    NONE("a From of blanks", "From:  \t \r\n", "no-domain"),
    NONE("a From of comments", "From: (b) (legitimate.example)\r\n", "no-domain"),
    NONE("a group of nobody", "From: undisclosed:;\r\n", "no-domain"),
    NONE("the null address", "From: <>\r\n", "no-domain"),
    NONE("a display name and the null address", "From: B <>\r\n", "no-domain"),
    NONE("a user without a domain", "From: MAILER-DAEMON (Mail Delivery System)\r\n", "no-domain"),
    NONE("the same in brackets", "From: Mail Delivery System <MAILER-DAEMON>\r\n", "no-domain"),
    NONE("a comma in the display name", "From: Public, John <a@attack.example>\r\n", "no-domain"),
    NONE("an encoded address", "From: =?utf-8?q?b=40legitimate.example?=\r\n", "no-domain"),
    NONE("an address literal", "From: b@[192.0.2.1]\r\n", "literal"),
    NONE("an IPv6 literal", "From: b@[IPv6:2001:db8::1]\r\n", "literal"),
    NONE("a domain in brackets", "From: b@[legitimate.example]\r\n", "literal"),
    NONE("two domains", "From: a@attack.example, b@legitimate.example\r\n", "several"),
    NONE("two domains, the other way", "From: B <b@legitimate.example>, A <a@attack.example>\r\n", "several"),
    NONE("a domain and one below", "From: b@legitimate.example, a@x.legitimate.example\r\n", "several"),
    NONE("two domains in a group", "From: T: a@attack.example, b@legitimate.example;\r\n", "several"),
    NONE("two groups", "From: T: a@attack.example;, U: b@legitimate.example;\r\n", "several"),
    NONE("a domain in and one outside of a group", "From: T: a@attack.example;, b@legitimate.example\r\n", "several"),
    NONE("an address for a display name", "From: b@legitimate.example <a@attack.example>\r\n", "several"),
    NONE("a domain and a literal", "From: b@legitimate.example, b@[192.0.2.1]\r\n", "literal"),
    NONE("a domain and none", "From: b@legitimate.example, b\r\n", "no-domain"),
#undef ROW
};
/* clang-format on */

/* A refusal is a whole reply: printable, one line, and never from the wire (ORACLE P-7, F-7). */
static void check_reply(const struct verdict *verdict)
{
    CHECK(verdict->action == ACTION_REJECT);
    CHECK(strcmp(verdict->check, "author") == 0);
    CHECK(verdict->text.n > 20 && verdict->text.n < 200);
    for (size_t i = 0; i < verdict->text.n; i++)
        CHECK(verdict->text.p[i] >= ' ' && verdict->text.p[i] <= '~');
}

static void check_row(const struct row *row)
{
    const struct verdict *verdict = &outcome.verdict;
    bool passes = row->enhanced[0] == '\0';

    CHECK_EQ_INT(verdict->code, passes ? 0 : 550);
    CHECK_EQ_STR(verdict->enhanced, strlen(verdict->enhanced), row->enhanced);
    if (passes) {
        CHECK_EQ_STR(outcome.auth.author.p, outcome.auth.author.n, row->says);
    } else {
        CHECK_EQ_STR(verdict->reason.p, verdict->reason.n, row->says);
        check_reply(verdict);
    }
    CHECK_EQ_INT(outcome.findings, 1);
    CHECK(!outcome.auth.is_exempt);
}

static void each_form_has_one_reading_or_none(void)
{
    struct policy policy = strict_policy();
    struct envelope envelope = envelope_from("198.51.100.7");

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].what);
        judge(&policy, &envelope, AT_HEADERS, rows[i].header);
        check_row(&rows[i]);
        judge(&policy, &envelope, AT_END, rows[i].header);
        check_row(&rows[i]);
    }
}

/* Every order of two From fields and one more line: with the victim's anywhere, nobody else is the author. */
static void no_order_of_fields_hides_the_victim(void)
{
    static const char *const lines[] = { E,
                                         L,
                                         "from: b@legitimate.example\r\n",
                                         "FROM:\r\n b@legitimate.example\r\n",
                                         "From : b@legitimate.example\r\n",
                                         "Subject: x\r\n",
                                         "no field\r\n",
                                         " fold\r\n",
                                         "Sender: a@attack.example\r\n" };
    enum { LINES = sizeof lines / sizeof *lines };
    struct policy policy = strict_policy();
    struct envelope envelope = envelope_from("198.51.100.7");

    for (size_t i = 0; i < (size_t)LINES * LINES * LINES; i++) {
        const char *line[] = { lines[i % LINES], lines[i / LINES % LINES], lines[i / LINES / LINES] };
        char header[200];
        int n = snprintf(header, sizeof header, "%s%s%s", line[0], line[1], line[2]);

        CHECK_ROW(header);
        judge(&policy, &envelope, AT_END, str_from(header, (size_t)n));
        if (outcome.verdict.code == 0)
            CHECK_EQ_INT(strstr(header, "b@legitimate") != NULL,
                         str_eq(outcome.auth.author, STR("legitimate.example")));
    }
}

static void our_own_mail_is_not_judged(void)
{
    struct policy policy = strict_policy();
    struct envelope relay = envelope_from("192.0.2.25"), user = envelope_from("198.51.100.7");

    user.is_authenticated = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].what);
        judge(&policy, &relay, AT_END, rows[i].header);
        CHECK_EQ_INT(outcome.verdict.code, 0);
        CHECK(outcome.auth.is_exempt);
        judge(&policy, &user, AT_HEADERS, rows[i].header);
        CHECK_EQ_INT(outcome.verdict.code, 0);
        CHECK(outcome.auth.is_exempt);
        if (rows[i].enhanced[0] == '\0')
            CHECK_EQ_STR(outcome.auth.author.p, outcome.auth.author.n, rows[i].says);
    }
}

/* The operator's word: nothing is refused, and what has no one author domain has none. */
static void turned_off_it_refuses_nothing(void)
{
    struct policy policy = { .author.strict = false };
    struct envelope envelope = envelope_from("198.51.100.7");

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].what);
        judge(&policy, &envelope, AT_END, rows[i].header);
        CHECK_EQ_INT(outcome.verdict.code, 0);
        CHECK(!outcome.auth.is_exempt);
        if (rows[i].enhanced[0] == '\0')
            CHECK_EQ_STR(outcome.auth.author.p, outcome.auth.author.n, rows[i].says);
    }
    judge(&policy, &envelope, AT_END, STR(E L));
    CHECK_EQ_INT(outcome.auth.author.n, 0);
    judge(&policy, &envelope, AT_END, STR("From: a@attack.example, b@legitimate.example\r\n"));
    CHECK_EQ_INT(outcome.auth.author.n, 0);
    judge(&policy, &envelope, AT_END, STR("no field\r\nSubject: x\r\nSubject: y\r\n" L)); /* From itself is in order */
    CHECK_EQ_STR(outcome.auth.author.p, outcome.auth.author.n, "legitimate.example");
}

/* Without room for the author DMARC would see none: that is our trouble, and no pass. */
static void a_full_arena_is_no_pass(void)
{
    static const struct check *const table[] = { &check_author };
    struct policy policy = strict_policy();
    struct envelope stranger = envelope_from("198.51.100.7"), relay = envelope_from("192.0.2.25");
    struct message message = { .header = STR(E) };

    for (size_t size = 1; size <= sizeof memory; size *= 2) {
        struct arena arena;

        arena_init(&arena, memory, size);
        policy_evaluate_with(table, 1, &policy, AT_END, &stranger, &message, NULL, &arena, &outcome);
        CHECK(outcome.verdict.code == 451 || outcome.auth.author.n > 0);
        CHECK_EQ_INT(outcome.verdict.code, size <= PATH_DOMAIN_MAX ? 451 : 0);
        arena_init(&arena, memory, size);
        policy_evaluate_with(table, 1, &policy, AT_END, &relay, &message, NULL, &arena, &outcome);
        CHECK_EQ_INT(outcome.verdict.code, 0);
    }
}

/* A message without room for the reason is refused all the same. */
static void the_reply_does_not_need_the_arena(void)
{
    static const struct check *const table[] = { &check_author };
    struct policy policy = strict_policy();
    struct envelope envelope = envelope_from("198.51.100.7");
    struct message message = { .header = STR(E L) };
    struct arena arena;

    arena_init(&arena, memory, PATH_DOMAIN_MAX + 1 + 16);
    policy_evaluate_with(table, 1, &policy, AT_END, &envelope, &message, NULL, &arena, &outcome);
    CHECK_EQ_INT(outcome.verdict.code, 550);
    CHECK_EQ_STR(outcome.verdict.text.p, outcome.verdict.text.n, "Header field must not be repeated (RFC 5322 3.6)");
}

/* J07: a From of a million addresses; and header sections as big as they may be. */
static void a_huge_from_is_refused_at_once(void)
{
    static char header[1 << 20];
    struct policy policy = strict_policy();
    struct envelope envelope = envelope_from("198.51.100.7");

    memcpy(header, "From:   ", 8);
    for (size_t at = 8; at + 4 <= sizeof header; at += 4)
        memcpy(header + at, "a@x,", 4);
    judge(&policy, &envelope, AT_END, str_from(header, sizeof header));
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "malformed: too many words");
    for (size_t at = 0; at + 5 <= sizeof header; at += 5)
        memcpy(header + at, "a:b\r\n", 5);
    judge(&policy, &envelope, AT_END, str_from(header, sizeof header / 5 * 5));
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "missing");
    memset(header, '\x0b', sizeof header);
    judge(&policy, &envelope, AT_END, str_from(header, sizeof header));
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "no-field");
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_form_has_one_reading_or_none),
    TEST(no_order_of_fields_hides_the_victim),
    TEST(our_own_mail_is_not_judged),
    TEST(turned_off_it_refuses_nothing),
    TEST(a_full_arena_is_no_pass),
    TEST(the_reply_does_not_need_the_arena),
    TEST(a_huge_from_is_refused_at_once),
};
/* clang-format on */
TEST_MAIN(tests)
