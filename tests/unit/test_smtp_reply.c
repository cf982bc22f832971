/* Tests of proxy/smtp_reply.c: replies read from the back end and printed to the client (RFC 5321 4.2, RFC
 * 2034 4; ORACLE F-7, F-8, P-7; ATTACKS N01, N02). Each sample is read whole, cut at every offset, and octet
 * by octet.
 */
#include "../../proxy/smtp_reply.h"

#include "test.h"

#define S STR_INIT

/* ---- reading ---- */

struct read_sample {
    const char *sentence;
    struct str in;
    enum reply_event event;
    int code;
    const char *enhanced, *text;
    size_t rest; /* octets behind the reply */
};

static const struct read_sample read_samples[] = {
    /* RFC 5321 4.2 */
    { "one line", S("250 OK\r\n"), REPLY_READY, 250, "", "OK", 0 },
    { "three lines", S("250-a\r\n250-b\r\n250 c\r\n"), REPLY_READY, 250, "", "a\nb\nc", 0 },
    { "a code alone", S("250\r\n"), REPLY_READY, 250, "", "", 0 },
    { "a code and a blank", S("250 \r\n"), REPLY_READY, 250, "", "", 0 },
    { "a code alone at the end", S("250-a\r\n250\r\n"), REPLY_READY, 250, "", "a\n", 0 },
    { "empty lines are kept", S("250-\r\n250-\r\n250 a\r\n"), REPLY_READY, 250, "", "\n\na", 0 },
    { "the next reply is left alone", S("250 OK\r\n354 Go\r\n"), REPLY_READY, 250, "", "OK", 8 },
    { "a code this document does not know", S("299 x\r\n"), REPLY_READY, 299, "", "x", 0 },
    { "a line without its end", S("250 OK\r"), REPLY_NONE, 0, "", "", 0 },
    { "a reply without its last line", S("250-OK\r\n"), REPLY_NONE, 0, "", "", 0 },
    { "control octets are the printer's affair", S("250 a\x1b[2Jb\xff\r\n"), REPLY_READY, 250, "", "a\x1b[2Jb\xff", 0 },
    /* RFC 2034 4 */
    { "an enhanced code", S("250 2.1.0 Sender ok\r\n"), REPLY_READY, 250, "2.1.0", "Sender ok", 0 },
    { "an enhanced code on each line", S("550-5.7.1 a\r\n550 5.7.1 b\r\n"), REPLY_READY, 550, "5.7.1", "a\nb", 0 },
    { "an enhanced code alone", S("451 4.4.2\r\n"), REPLY_READY, 451, "4.4.2", "", 0 },
    { "an enhanced code of three digits", S("550 5.123.999 x\r\n"), REPLY_READY, 550, "5.123.999", "x", 0 },
    { "a code on the second line only", S("550-a\r\n550 5.1.1 b\r\n"), REPLY_READY, 550, "5.1.1", "a\nb", 0 },
    { "two codes: the first counts", S("550-5.1.1 a\r\n550 5.7.1 b\r\n"), REPLY_READY, 550, "5.1.1", "a\nb", 0 },
    { "a code of another class is dropped", S("550 2.0.0 x\r\n"), REPLY_READY, 550, "", "x", 0 },
    { "a code of another class, then a right one", S("550-4.0.0 a\r\n550 5.0.0 b\r\n"), REPLY_READY, 550, "5.0.0",
      "a\nb", 0 },
    { "too many digits are text", S("550 5.1234.1 x\r\n"), REPLY_READY, 550, "", "5.1234.1 x", 0 },
    { "an address is text", S("550 5.1.2.3 x\r\n"), REPLY_READY, 550, "", "5.1.2.3 x", 0 },
    { "a number glued to a word is text", S("550 5.1.2x\r\n"), REPLY_READY, 550, "", "5.1.2x", 0 },
    { "a number cut short is text", S("550 5.1. x\r\n"), REPLY_READY, 550, "", "5.1. x", 0 },
    { "class 3 does not exist", S("354 3.0.0 x\r\n"), REPLY_READY, 354, "", "3.0.0 x", 0 },
    { "an EHLO keyword is text", S("250-a.example\r\n250 SIZE 10\r\n"), REPLY_READY, 250, "", "a.example\nSIZE 10", 0 },
    { "only one code is split off", S("250 2.0.0 2.1.0 x\r\n"), REPLY_READY, 250, "2.0.0", "2.1.0 x", 0 },
    /* F-8, N01 */
    { "codes mixed", S("250-a\r\n251 b\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a code of two digits", S("25 a\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a code of two digits alone", S("25\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a code of four digits", S("2500 x\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a code and NUL", S("250\0\r\n"), REPLY_BROKEN, 0, "", "", 2 },
    { "NUL in the text", S("250 a\0b\r\n"), REPLY_BROKEN, 0, "", "", 3 },
    { "a first digit of 1", S("150 x\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a first digit of 6", S("600 x\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "999", S("999\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "letters", S("2a0 x\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "an empty line", S("\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "an empty line within", S("250-a\r\n\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "a bare LF", S("250 a\n250 b\r\n"), REPLY_BROKEN, 0, "", "", 7 },
    { "a bare CR", S("250 a\r250 b\r\n"), REPLY_BROKEN, 0, "", "", 6 },
    { "a tab behind the code", S("250\ta\r\n"), REPLY_BROKEN, 0, "", "", 0 },
    { "another banner", S("SSH-2.0-x\r\n"), REPLY_BROKEN, 0, "", "", 0 },
};

/* Reads in two segments, cut at `cut`, or octet by octet with cut > in.n. `*taken` is how much was consumed
 * in all.
 */
static enum reply_event read_cut(struct reply_reader *r, struct str in, size_t cut, size_t *taken)
{
    enum reply_event event = REPLY_NONE;

    reply_reader_init(r);
    for (*taken = 0; event == REPLY_NONE && *taken < in.n;) {
        size_t n = cut > in.n ? 1 : *taken < cut ? cut - *taken : in.n - *taken;
        size_t used;

        event = reply_read(r, str_from(in.p + *taken, n), &used);
        CHECK(used <= n);
        CHECK(event != REPLY_NONE || used == n);
        *taken += used;
    }
    return event;
}

static void reads_samples_however_cut(void)
{
    static struct reply_reader r;

    for (size_t i = 0; i < sizeof read_samples / sizeof *read_samples; i++) {
        const struct read_sample *s = &read_samples[i];

        CHECK_ROW(s->sentence);
        for (size_t cut = 0; cut <= s->in.n + 1; cut++) {
            size_t taken;
            struct reply reply;

            CHECK_EQ_INT(read_cut(&r, s->in, cut, &taken), s->event);
            CHECK_EQ_INT(s->in.n - taken, s->rest);
            for (int times = 0; s->event == REPLY_READY && times < 2; times++) { /* twice, the same */
                reply = reply_take(&r);
                CHECK_EQ_INT(reply.code, s->code);
                CHECK_EQ_STR(reply.enhanced.p, reply.enhanced.n, s->enhanced);
                CHECK_EQ_STR(reply.text.p, reply.text.n, s->text);
            }
        }
    }
}

static void reads_one_reply_after_the_other(void)
{
    static struct reply_reader r;
    struct str in = STR("250-2.0.0 a\r\n250 2.0.0 b\r\n354 go\r\n");
    size_t used;

    reply_reader_init(&r);
    CHECK_EQ_INT(reply_read(&r, in, &used), REPLY_READY);
    CHECK_EQ_INT(used, 26);
    CHECK_EQ_INT(reply_take(&r).code, 250);
    CHECK_EQ_INT(reply_read(&r, str_skip(in, used), &used), REPLY_READY);
    CHECK_EQ_INT(reply_take(&r).code, 354);
    CHECK_EQ_STR(reply_take(&r).text.p, reply_take(&r).text.n, "go");
    CHECK_EQ_INT(reply_take(&r).enhanced.n, 0);
}

static void stays_broken(void)
{
    static struct reply_reader r;
    size_t used;

    reply_reader_init(&r);
    CHECK_EQ_INT(reply_read(&r, STR("x\r\n"), &used), REPLY_BROKEN);
    CHECK_EQ_INT(reply_read(&r, STR("250 OK\r\n"), &used), REPLY_BROKEN);
    CHECK_EQ_INT(used, 0);
    reply_reader_init(&r);
    CHECK_EQ_INT(reply_read(&r, STR("250 OK\r\n"), &used), REPLY_READY);
}

/* ---- bounds ---- */

/* `lines` lines of `line_n` octets each, CRLF included. */
static size_t make_reply(char *out, unsigned lines, size_t line_n)
{
    size_t n = 0;

    for (unsigned i = 1; i <= lines; i++) {
        memset(out + n, 'x', line_n);
        memcpy(out + n, i < lines ? "250-" : "250 ", 4);
        memcpy(out + n + line_n - 2, "\r\n", 2);
        n += line_n;
    }
    return n;
}

struct bound_sample {
    const char *sentence;
    unsigned lines;
    size_t line_n;
    enum reply_event event;
    size_t kept; /* of the text */
};

static const struct bound_sample bound_samples[] = {
    { "a line of 512 octets", 1, 512, REPLY_READY, 506 },
    { "a line of 513 octets", 1, 513, REPLY_BROKEN, 0 },
    { "a second line of 513 octets", 2, 513, REPLY_BROKEN, 0 },
    { "100 lines", 100, 10, REPLY_READY, 499 },
    { "101 lines", 101, 10, REPLY_BROKEN, 0 },
    { "100 lines of 512 octets: eight whole ones are kept", 100, 512, REPLY_READY, 8 * 507 - 1 },
    { "a line of 1 MB", 1, 1000000, REPLY_BROKEN, 0 },
};

static void keeps_to_the_bounds(void)
{
    static struct reply_reader r;
    static char in[1000000];

    for (size_t i = 0; i < sizeof bound_samples / sizeof *bound_samples; i++) {
        const struct bound_sample *s = &bound_samples[i];
        size_t n = make_reply(in, s->lines, s->line_n), taken;

        CHECK_ROW(s->sentence);
        CHECK_EQ_INT(read_cut(&r, str_from(in, n), n + 1, &taken), s->event);
        CHECK_EQ_INT(read_cut(&r, str_from(in, n), 0, &taken), s->event);
        if (s->event == REPLY_READY)
            CHECK_EQ_INT(reply_take(&r).text.n, s->kept);
    }
}

/* Of lines that do not all fit, none is kept in part, and none behind the first that is dropped. */
static void keeps_whole_lines_only(void)
{
    static struct reply_reader r;
    static char in[8192];
    size_t n = make_reply(in, 9, 512), used;
    struct reply reply;

    memcpy(in + 8 * 512, "250-", 4);
    memcpy(in + n, "250 SIZE 1000\r\n", 15);
    reply_reader_init(&r);
    CHECK_EQ_INT(reply_read(&r, str_from(in, n + 15), &used), REPLY_READY);
    reply = reply_take(&r);
    CHECK_EQ_INT(reply.text.n, 8 * 507 - 1);
    CHECK_EQ_INT(reply.text.p[reply.text.n - 1], 'x');
}

/* ---- printing ---- */

struct print_sample {
    const char *sentence;
    int code;
    const char *enhanced;
    struct str text;
    const char *id, *out;
};

static const struct print_sample print_samples[] = {
    { "one line", 250, "2.0.0", S("OK"), "", "250 2.0.0 OK\r\n" },
    { "one line with the session's id", 550, "5.7.1", S("No"), "a1b2", "550 5.7.1 No (a1b2)\r\n" },
    { "no enhanced code", 354, "", S("Go ahead"), "", "354 Go ahead\r\n" },
    { "the enhanced code leads each line (RFC 2034 4)", 550, "5.7.1", S("a\nb"), "", "550-5.7.1 a\r\n550 5.7.1 b\r\n" },
    { "the id is on the last line", 550, "5.7.1", S("a\nb"), "x", "550-5.7.1 a\r\n550 5.7.1 b (x)\r\n" },
    { "an EHLO reply", 250, "", S("mx.example\nSIZE 10\nPIPELINING"), "",
      "250-mx.example\r\n250-SIZE 10\r\n250 PIPELINING\r\n" },
    { "no text at all (RFC 5321 4.2.1: the blank is there)", 250, "", S(""), "", "250 \r\n" },
    { "an enhanced code alone", 250, "2.0.0", S(""), "", "250 2.0.0\r\n" },
    { "a final line end is no line", 250, "", S("a\n"), "", "250 a\r\n" },
    { "empty lines within are lines", 250, "", S("a\n\nb"), "", "250-a\r\n250-\r\n250 b\r\n" },
    { "CR LF from the back end makes no line of its own", 550, "5.0.0", S("a\r\n250 b"), "",
      "550-5.0.0 a?\r\n550 5.0.0 250 b\r\n" },
    { "what is not printable ASCII is not printed", 550, "5.0.0", S("\x1b[2J\0\t\x7f\x85\xc3\xb6~ "), "",
      "550 5.0.0 ?[2J??????~ \r\n" },
};

static void prints_replies(void)
{
    char out[256];

    for (size_t i = 0; i < sizeof print_samples / sizeof *print_samples; i++) {
        const struct print_sample *s = &print_samples[i];
        struct reply r = { s->code, str_of(s->enhanced), s->text };
        size_t n = reply_print(&r, str_of(s->id), out, sizeof out);

        CHECK_ROW(s->sentence);
        CHECK_EQ_STR(out, n, s->out);
    }
}

/* F-7: whatever the text and the room, whole lines, all bounded, with one code, and only the last with a
 * blank.
 */
static bool is_sound(struct str out, int code)
{
    char digits[4];
    unsigned lines = 0;

    snprintf(digits, sizeof digits, "%d", code);
    while (out.n > 0) {
        size_t n = str_find(out, '\n') + 1;

        if (n > out.n || n < 6 || n > REPLY_LINE_MAX || out.p[n - 2] != '\r' || memcmp(out.p, digits, 3) != 0)
            return false;
        if (out.p[3] != (n == out.n ? ' ' : '-') || ++lines > REPLY_LINES_MAX)
            return false;
        for (size_t i = 0; i < n - 2; i++)
            if (out.p[i] < ' ' || out.p[i] > '~')
                return false;
        out = str_skip(out, n);
    }
    return true;
}

static void cuts_long_lines_and_drops_late_ones(void)
{
    static char text[REPLY_BYTES_MAX], out[REPLY_BYTES_MAX];
    struct reply r = { 550, STR("5.7.26"), { text, 0 } };
    size_t n;

    memset(text, 'x', sizeof text);
    for (size_t i = 600; i < sizeof text; i += 300)
        text[i] = '\n';
    for (r.text.n = 0; r.text.n <= sizeof text; r.text.n += 977) {
        n = reply_print(&r, STR("id"), out, sizeof out);
        CHECK(is_sound(str_from(out, n), 550));
        CHECK(n > 8 && memcmp(out + n - 7, " (id)\r\n", 7) == 0);
    }
}

static void a_printed_line_has_at_most_512_octets(void)
{
    static char text[600], out[1024];

    memset(text, 'x', sizeof text);
    for (size_t n = 480; n <= sizeof text; n++) {
        struct reply r = { 550, STR("5.7.1"), { text, n } };
        size_t printed = reply_print(&r, STR("id"), out, sizeof out);

        CHECK(is_sound(str_from(out, printed), 550));
        CHECK_EQ_INT(printed, n + 17 < 512 ? n + 17 : 512);
    }
}

static void prints_whole_lines_into_any_room(void)
{
    struct reply r = { 250, STR(""), STR("first\nsecond\nthird") };
    char out[64];

    for (size_t size = 0; size <= sizeof out; size++) {
        size_t n = reply_print(&r, STR("id"), out, size);

        CHECK(n <= size);
        CHECK(is_sound(str_from(out, n), 250));
        CHECK_EQ_INT(n, size < 11 ? 0 : size < 23 ? 11 : size < 39 ? 23 : 39);
    }
}

/* F-8: what a back end said, read and printed again, is what F-7 allows. */
static void what_was_read_can_be_printed(void)
{
    static struct reply_reader r;
    static char in[52000], out[REPLY_BYTES_MAX];
    size_t n = make_reply(in, 100, 512), used;
    struct reply reply;

    reply_reader_init(&r);
    CHECK_EQ_INT(reply_read(&r, str_from(in, n), &used), REPLY_READY);
    reply = reply_take(&r);
    CHECK(is_sound(str_from(out, reply_print(&reply, STR("id"), out, sizeof out)), 250));
}

static const struct test_case tests[] = {
    TEST(reads_samples_however_cut),
    TEST(reads_one_reply_after_the_other),
    TEST(stays_broken),
    TEST(keeps_to_the_bounds),
    TEST(keeps_whole_lines_only),
    TEST(prints_replies),
    TEST(cuts_long_lines_and_drops_late_ones),
    TEST(a_printed_line_has_at_most_512_octets),
    TEST(prints_whole_lines_into_any_room),
    TEST(what_was_read_can_be_printed),
};
TEST_MAIN(tests)
