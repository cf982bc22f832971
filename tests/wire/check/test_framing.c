/* F-1 to F-9: each with what holds, every form of breach, and what captures leave in doubt. */
#include "ends.h"
#include "play.h"
#include "play_text.h"

#define SOUTH_ONLY(text) ACCEPTED SOUTH_DATA(text)
#define REPAIR INI "[framing]\nmode = normalise\n"
#define UTF8(text) MESSAGE(text, RECEIVED text)
#define A900 "\\{900a}"
#define A998 "\\{998a}"
#define LINE "\\{98a}\\r\\n"
#define SMALL "[relay]\ndomains = local.example\n[backend]\nservers = 192.0.2.10:25\n[limits]\nmessage_size = 64k\n"
#define FAKE "a\\n.\\r\\nMAIL FROM:<x@y.example>\\r\\nRCPT TO:<v@local.example>\\r\\nb\\r\\n"

static const struct play_row rows[] = {
    { "a clean message", "F-1", HELD, INI, UTF8(TEXT) },
    { "a bare LF", "F-1", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\nb\\r\\n") },
    { "a bare CR", "F-1", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\rb\\r\\n") },
    { "CR CR LF", "F-1", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\r\\r\\n") },
    { "NUL", "F-1", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\0b\\r\\n") },
    { "LF first of all", "F-1", VIOLATED, INI, SOUTH_ONLY("\\n" RECEIVED) },
    { "a message cut off behind a CR", "F-1", HELD, INI, ACCEPTED "S> DATA\nS< 354 go on\nS} " RECEIVED "a\\r\n" },
    { "a bare LF in a message that was cut off", "F-1", VIOLATED, INI, ACCEPTED "S> DATA\nS< 354 go on\nS} a\\nb\n" },
    { "octets of BDAT", "F-1", NOTHING, INI, ACCEPTED "S> BDAT 3 LAST\nS} a\\nb\nS< 250 2.0.0 OK\n" },

    { "one end", "F-2", HELD, INI, UTF8(TEXT) },
    { "dots that are doubled", "F-2", HELD, INI, SOUTH_ONLY(RECEIVED "..\\r\\n...\\r\\n..a\\r\\n") },
    { "a dot that is not doubled", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED ".a\\r\\nb\\r\\n") },
    { "a dot that is not doubled, first of all", "F-2", VIOLATED, INI, SOUTH_ONLY(".a\\r\\nb\\r\\n") },
    { "a message cut off behind a dot", "F-2", HELD, INI, ACCEPTED "S> DATA\nS< 354 go on\nS} a\\r\\n.\n" },
    { "LF . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\n.\\r\\nb\\r\\n") },
    { "LF . LF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\n.\\nb\\r\\n") },
    { "CR . CR", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\r.\\rb\\r\\n") },
    { "CRLF . CR", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\r\\n.\\rb\\r\\n") },
    { "CR CR LF . CR CR LF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\r\\r\\n.\\r\\r\\nb\\r\\n") },
    { "NUL . NUL", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\0.\\0b\\r\\n") },
    { "VT . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\x0b.\\r\\nb\\r\\n") },
    { "FF . FF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\x0c.\\x0cb\\r\\n") },
    { "SUB . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\x1a.\\r\\nb\\r\\n") },
    { "NEL . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\x85.\\r\\nb\\r\\n") },
    { "U+0085 . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\xc2\\x85.\\r\\nb\\r\\n") },
    { "U+2028 . CRLF", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\xe2\\x80\\xa8.\\r\\nb\\r\\n") },
    { "U+2029 . U+2029", "F-2", VIOLATED, INI,
      SOUTH_ONLY(RECEIVED "a\\xe2\\x80\\xa9.\\xe2\\x80\\xa9"
                          "b\\r\\n") },
    { "a letter whose last octet is 0x85", "F-2", HELD, INI, SOUTH_ONLY(RECEIVED "a\\xc3\\x85.\\r\\nb\\r\\n") },
    { "a long letter whose last octet is 0x85", "F-2", HELD, INI,
      SOUTH_ONLY(RECEIVED "a\\xf0\\x9f\\x98\\x85.\\r\\nb\\r\\n") },
    { "half a letter, and 0x85", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\xe3\\x85.\\r\\nb\\r\\n") },
    { "an overlong letter with 0x85", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\xc1\\x85.\\r\\nb\\r\\n") },
    { "Windows-1252: an ellipsis in a line", "F-2", HELD, INI, SOUTH_ONLY(RECEIVED "so\\x85 it goes.\\r\\n") },
    { "Windows-1252: an ellipsis, and a line of one dot", "F-2", HELD, INI,
      SOUTH_ONLY(RECEIVED "so\\x85\\r\\n..\\r\\nb\\r\\n") },
    { "Windows-1252: an ellipsis and a dot end a line", "F-2", VIOLATED, INI,
      SOUTH_ONLY(RECEIVED "so\\x85.\\r\\nb\\r\\n") },
    { "Windows-1252: a dot and text behind an ellipsis", "F-2", HELD, INI, SOUTH_ONLY(RECEIVED "so\\x85.b\\r\\n") },
    { "VT . CRLF, at the end of the message", "F-2", VIOLATED, INI, SOUTH_ONLY(RECEIVED "a\\x0b.\\r\\n") },
    { "octets of BDAT", "F-2", NOTHING, INI, ACCEPTED "S> BDAT 6 LAST\nS} a\\n.\\n.\\n\nS< 250 2.0.0 OK\n" },

    { "a clean message", "F-3", NOTHING, INI, UTF8(TEXT) },
    { "a bare LF is refused", "F-3", HELD, INI, ACCEPTED NORTH_DATA("a\\nb\\r\\n") REFUSED },
    { "a bare LF is refused, and the connection south is cut", "F-3", HELD, INI,
      ACCEPTED NORTH_DATA("a\\nb\\r\\n") "S> DATA\nS< 354 go on\nS} " RECEIVED "\nN< 550 5.5.2 no\n" },
    { "a bare CR is accepted", "F-3", VIOLATED, INI, MESSAGE("a\\rb\\r\\n", RECEIVED "a\\r\\nb\\r\\n") },
    { "a NUL is accepted", "F-3", VIOLATED, INI, MESSAGE("a\\0b\\r\\n", RECEIVED "ab\\r\\n") },
    { "a bare LF goes through", "F-3", VIOLATED, REPAIR, MESSAGE("a\\nb\\r\\n", RECEIVED "a\\nb\\r\\n") },
    { "a bare LF is refused, but the back end has the message", "F-3", VIOLATED, INI,
      ACCEPTED NORTH_DATA("a\\nb\\r\\n") SOUTH_DATA(RECEIVED "a\\r\\n") "S< 250 2.0.0 OK\n" REFUSED },
    { "a bare LF is repaired", "F-3", HELD, REPAIR, MESSAGE("a\\nb\\r\\n", RECEIVED "a\\r\\nb\\r\\n") },
    { "a bare LF is repaired, no configuration", "F-3", UNSURE, NULL,
      MESSAGE("a\\nb\\r\\n", RECEIVED "a\\r\\nb\\r\\n") },
    { "a bare LF in a BDAT is accepted", "F-3", VIOLATED, INI,
      ACCEPTED "N> BDAT 5 LAST\nN} a\\nb\\r\\n\n" SOUTH_DATA(RECEIVED "a\\r\\nb\\r\\n") TAKEN },
    { "a binary message", "F-3", NOTHING, INI,
      HELLO "N> MAIL FROM:<a@sender.example> BODY=BINARYMIME\nN< 250 2.1.0 OK\nN> RCPT TO:<v@local.example>\n"
            "N< 250 2.1.5 OK\nN> BDAT 5 LAST\nN} a\\nb\\r\\n\nN< 250 2.0.0 OK\n" },

    { "no false end", "F-4", NOTHING, INI, UTF8(TEXT) },
    { "a false end, one refusal", "F-4", HELD, INI, ACCEPTED NORTH_DATA(FAKE) REFUSED QUIT },
    { "a false end, two replies", "F-4", VIOLATED, INI, ACCEPTED NORTH_DATA(FAKE) REFUSED "N< 250 2.1.0 OK\n" },
    { "a false end, and the reply to QUIT is another", "F-4", VIOLATED, INI,
      ACCEPTED NORTH_DATA(FAKE) "N< 250 2.0.0 OK\nN> QUIT\nN< 250 2.1.0 OK\n" },
    { "a false end is answered at once", "F-4", VIOLATED, INI,
      ACCEPTED "N> DATA\nN< 354 go on\nN} a\\n.\\r\\n\nN< 550 5.5.2 no\nN} b\\r\\n.\\r\\n\n" },
    { "commands behind a false end are executed", "F-4", VIOLATED, INI,
      ACCEPTED NORTH_DATA(FAKE) SOUTH_DATA(RECEIVED "a\\r\\n") "S< 250 2.0.0 OK\n" SOUTH_MAIL "N< 250 2.0.0 OK\n" },
    { "a dot behind VT", "F-4", HELD, INI, ACCEPTED NORTH_DATA("a\\x0b.\\r\\nb\\r\\n") REFUSED QUIT },

    { "our fields in front", "F-5", HELD, INI, UTF8(TEXT) },
    { "several of them", "F-5", HELD, INI,
      MESSAGE(TEXT, RECEIVED
              "Authentication-Results: mx.local.example;\\r\\n\\tspf=none\\r\\nX-Postern-Verdict: ok\\r\\n" TEXT) },
    { "an empty message", "F-5", HELD, INI, MESSAGE("", RECEIVED) },
    { "a message that begins with a dot", "F-5", HELD, INI, MESSAGE("..a\\r\\n", RECEIVED "..a\\r\\n") },
    { "a message that begins with a colon", "F-5", HELD, INI, MESSAGE(":a\\r\\n", RECEIVED ":a\\r\\n") },
    { "a message that begins with an empty line", "F-5", HELD, INI,
      MESSAGE("\\r\\na\\r\\n", RECEIVED "\\r\\na\\r\\n") },
    { "nothing of ours", "F-5", VIOLATED, INI, MESSAGE(TEXT, TEXT) },
    { "ours behind the client's", "F-5", VIOLATED, INI,
      MESSAGE(TEXT, "Subject: x\\r\\n" RECEIVED "\\r\\nhello\\r\\n") },
    { "a field that is not allowed", "F-5", VIOLATED, INI, MESSAGE(TEXT, RECEIVED "X-Other: y\\r\\n" TEXT) },
    { "a block that does not end in CRLF", "F-5", VIOLATED, INI, MESSAGE(TEXT, "Received: from c.example; " TEXT) },
    { "a continuation line first, refused", "F-5", HELD, INI,
      ACCEPTED NORTH_DATA(" a\\r\\nb\\r\\n") "N< 550 5.6.0 no\n" },
    { "a continuation line first, joined", "F-5", VIOLATED, INI,
      MESSAGE(" a\\r\\nb\\r\\n", RECEIVED " a\\r\\nb\\r\\n") },
    { "a continuation line first, separated", "F-5", HELD, INI,
      MESSAGE(" a\\r\\nb\\r\\n", RECEIVED "\\r\\n a\\r\\nb\\r\\n") },
    { "a message cut off in its first line", "F-5", NOTHING, INI, ACCEPTED "S> DATA\nS< 354 go on\nS} Recei\n" },

    { "short lines", "F-6", HELD, INI, UTF8(TEXT) },
    { "a line of 998 octets", "F-6", HELD, INI, UTF8(A998 "\\r\\n") },
    { "a long line, unchanged", "F-6", HELD, INI, UTF8(A998 "a\\r\\n") },
    { "a long line, split", "F-6", VIOLATED, INI, MESSAGE(A998 "bb\\r\\n", RECEIVED A998 "\\r\\nbb\\r\\n") },
    { "a long line, split in long ones", "F-6", VIOLATED, INI,
      MESSAGE(A998 A998 "\\r\\n", RECEIVED A998 "a\\r\\n\\{997a}\\r\\n") },
    { "a line that became long", "F-6", VIOLATED, INI,
      MESSAGE(A900 "\\r\\n" A900 "\\r\\n", RECEIVED A900 A900 "\\r\\n") },
    { "a long line, refused", "F-6", NOTHING, INI, ACCEPTED NORTH_DATA(A998 "a\\r\\n") "N< 500 5.5.2 no\n" },

    { "replies", "F-7", HELD, INI, UTF8(TEXT) },
    { "codes that differ", "F-7", VIOLATED, INI, HELLO "N> X\nN< 250-a\\r\\n251 b\n" },
    { "a control character", "F-7", VIOLATED, INI, HELLO "N> X\nN< 500 5.5.2 a\\x1b[0m\n" },
    { "an octet above 127", "F-7", VIOLATED, INI, HELLO "N> X\nN< 500 5.5.2 a\\xe4\n" },
    { "a bare LF", "F-7", VIOLATED, INI, HELLO "N> X\nN< 500 5.5.2 a\\n500 5.5.2 b\n" },
    { "a long line", "F-7", VIOLATED, INI, HELLO "N> X\nN< 500 5.5.2 " A900 "\n" },
    { "an alert of TLS", "F-7", NOTHING, INI, "N> EHLO x\nN{ \\x15\\x03\\x03\\x00\\x02\\x02\\x32\n" },
    { "no code", "F-7", VIOLATED, INI, HELLO "N> X\nN< OK\n" },

    { "replies", "F-8", NOTHING, INI, UTF8(TEXT) },
    { "a control character is cleaned", "F-8", NOTHING, INI,
      ACCEPTED "S> NOOP\nS< 250 2.0.0 \\x1b[0m\nS> NOOP\nS< 250 OK\n" },
    { "a broken reply, and no more", "F-8", HELD, INI,
      ACCEPTED NORTH_DATA(TEXT) SOUTH_DATA(RECEIVED TEXT) "S< 250-a\\r\\n251 b\nN< 451 4.4.2 lost\n" },
    { "a broken reply that is believed", "F-8", VIOLATED, INI,
      ACCEPTED NORTH_DATA(TEXT) SOUTH_DATA(RECEIVED TEXT) "S< 250-a\\r\\n251 b\nN< 250 2.0.0 OK\n" },
    { "a broken reply that becomes 5xx", "F-8", VIOLATED, INI,
      ACCEPTED NORTH_DATA(TEXT) SOUTH_DATA(RECEIVED TEXT) "S< 550" A900 "\nN< 550 5.0.0 no\n" },
    { "on behind a broken reply", "F-8", VIOLATED, INI,
      NORTH "N> RCPT TO:<v@local.example>\nS< 220-b\\r\\n221 b\nS> EHLO mx.local.example\nS< 250 b\n" },
    { "QUIT behind a broken reply", "F-8", HELD, INI,
      NORTH "N> RCPT TO:<v@local.example>\nS< 220-b\\r\\n221 b\nS> QUIT\nS< 221 b\n" },

    { "a small message", "F-9", HELD, SMALL, UTF8(TEXT) },
};

static void judges_framing(void)
{
    PLAY_ROWS(rows, framing_invariants);
}

/* ---- F-9, with messages too long for a script ---- */

static enum verdict judge_size(size_t north, size_t south, const char *answer, const char *ini)
{
    struct buffer script = { 0 };
    struct play p;
    enum verdict verdict;

    buffer_printf(&script, "%s", ACCEPTED "N> DATA\nN< 354 go on\nN} ");
    for (size_t i = 0; i < north; i += 100)
        buffer_printf(&script, "%s", LINE);
    buffer_printf(&script, "%s",
                  ".\\r\\n\n"
                  "S> DATA\nS< 354 go on\nS} " RECEIVED);
    for (size_t i = 0; i < south; i += 100)
        buffer_printf(&script, "%s", LINE);
    buffer_printf(&script, ".\\r\\n\nS< 250 2.0.0 OK\nN< %s\n", answer);
    buffer_add(&script, "", 1);
    play_start(&p, (const char *)script.p, ini);
    play_ready(&p);
    verdict = play_judge(&p, framing_invariants, "F-9");
    play_end(&p);
    buffer_free(&script);
    return verdict;
}

static void judges_sizes(void)
{
    enum { LIMIT = 65536 };

    CHECK_EQ_INT(judge_size(LIMIT - 100, LIMIT - 100, "250 2.0.0 OK", SMALL), HELD);
    CHECK_EQ_INT(judge_size(LIMIT - 100, LIMIT + 200, "250 2.0.0 OK", SMALL), VIOLATED);
    CHECK_EQ_INT(judge_size(LIMIT + 200, LIMIT - 100, "250 2.0.0 OK", SMALL), VIOLATED);
    CHECK_EQ_INT(judge_size(LIMIT + 200, LIMIT - 100, "552 5.3.4 Too big", SMALL), HELD);
    CHECK_EQ_INT(judge_size(20 << 20, 100, "552 5.3.4 Too big", SMALL), VIOLATED); /* read far beyond the limit */
}

/* ---- F-2 beside a slow reading of the same rule ---- */

/* Replaces every lenient line end by '\n', then looks for lines of one dot. */
static size_t count_slowly(struct slice raw)
{
    static const struct {
        const char *octets;
        size_t n;
    } line_ends[] = { { "\r\n", 2 }, { "\xe2\x80\xa8", 3 }, { "\xe2\x80\xa9", 3 }, { "\xc2\x85", 2 }, { "\r", 1 },
                      { "\n", 1 },   { "\0", 1 },           { "\v", 1 },           { "\f", 1 },       { "\x1a", 1 } };
    struct buffer text = { 0 };
    size_t n = 0, at = 0;

    buffer_add(&text, "\n", 1);
    while (at < raw.n) {
        size_t length = 0;

        for (size_t i = 0; i < sizeof line_ends / sizeof *line_ends && length == 0; i++)
            if (raw.n - at >= line_ends[i].n && memcmp(raw.p + at, line_ends[i].octets, line_ends[i].n) == 0)
                length = line_ends[i].n;
        /* 0x85 alone, when the octet before begins no letter of two with it; the alphabet below has no longer ones */
        if (length == 0 && raw.p[at] == 0x85 && (at == 0 || raw.p[at - 1] != 0xc3))
            length = 1;
        buffer_add(&text, length > 0 ? "\n" : (const char *)raw.p + at, 1);
        at += length > 0 ? length : 1;
    }
    for (size_t i = 0; i + 2 < text.n; i++)
        n += memcmp(text.p + i, "\n.\n", 3) == 0;
    buffer_free(&text);
    return n;
}

/* Texts of an alphabet of pieces, all of them up to a length, then a CRLF as in every ended message. */
static void reads_ends_as_the_rule_says(void)
{
    static const char *const pieces[] = { ".", "\r", "\n", "\v", "\x85", "\xc3", "\xc2", "\xe2\x80\xa8", "a" };
    enum { PIECES = sizeof pieces / sizeof *pieces, LENGTH = 5 };
    size_t texts = 1, wrong = 0;

    for (int i = 0; i < LENGTH; i++)
        texts *= PIECES;
    for (size_t i = 0; i < texts; i++) {
        struct buffer text = { 0 };
        size_t number = i;

        for (int k = 0; k < LENGTH; k++, number /= PIECES)
            buffer_printf(&text, "%s", pieces[number % PIECES]);
        buffer_add(&text, "\r\n", 2);
        wrong += ends_read(buffer_slice(&text), true).lone_n != count_slowly(buffer_slice(&text));
        buffer_free(&text);
    }
    CHECK_EQ_INT(wrong, 0);
}

static void reads_ends_at_the_edges(void)
{
    struct ends e = ends_read((struct slice){ 0 }, true);

    CHECK(e.unstuffed == SIZE_MAX && e.lone == SIZE_MAX && e.lone_n == 0);
    CHECK_EQ_INT(ends_read(SLICE("a\r\n.\r"), false).unstuffed, SIZE_MAX); /* may become the real end */
    CHECK_EQ_INT(ends_read(SLICE("a\r\n.\r"), false).lone_n, 0);
    CHECK_EQ_INT(ends_read(SLICE("a\r\n.b"), false).unstuffed, 3);
    CHECK_EQ_INT(ends_read(SLICE("a\v."), false).lone_n, 0);
    CHECK_EQ_INT(ends_read(SLICE("a\v.\v.\v.\r\n"), true).lone_n, 3);
    CHECK_EQ_INT(ends_read(SLICE("a\xe2\x80"), true).lone_n, 0);
}

static const struct test_case tests[] = { TEST(judges_framing), TEST(judges_sizes), TEST(reads_ends_as_the_rule_says),
                                          TEST(reads_ends_at_the_edges) };
TEST_MAIN(tests)
