/* Tests of proxy/smtp_data.c: the end of data, dot-stuffing and smuggling (RFC 5321 4.1.1.4, 4.5.2; ORACLE
 * F-1 to F-4; ATTACKS A). Each sample is read whole, cut at every offset, cut at every pair of offsets, and
 * octet by octet.
 */
#include "../../proxy/smtp_data.h"

#include "data_oracle.h"
#include "test.h"

/* ---- reading with cuts ---- */

enum mode { REJECT, NORMALISE, BDAT, BDAT_NORMALISE, BINARY };

static struct data_decoder decoder_for(enum mode mode)
{
    struct data_decoder d;

    data_init(&d, mode >= BDAT, mode == BINARY, mode == NORMALISE || mode == BDAT_NORMALISE);
    return d;
}

/* Reads one segment; false when the end of data was found. Each chunk must tell where it starts and must not
 * be empty.
 */
static bool read_segment(struct data_decoder *d, struct str in, struct data_result *out)
{
    while (in.n > 0) {
        bool at_line_start = out->body.n == 0 || (out->body.n >= 2 && out->body.p[out->body.n - 1] == '\n');
        size_t used = 0;
        enum data_event event = data_read(d, in, &used);

        CHECK(used <= in.n);
        CHECK(event != DATA_NEED || used == in.n);
        out->used += used;
        in = str_skip(in, used);
        if (event == DATA_END) {
            out->is_ended = true;
            return false;
        }
        if (event == DATA_CHUNK) {
            CHECK(d->chunk.n > 0);
            CHECK(d->binary || d->chunk_at_line_start == at_line_start);
            bytes_add(&out->body, d->chunk);
            CHECK_EQ_INT(d->bytes, out->body.n);
        }
    }
    return true;
}

/* Reads `in` in segments that end at the offsets `cuts`, and at its end. */
static void read_cut(enum mode mode, struct str in, const size_t *cuts, size_t n, struct data_result *out)
{
    struct data_decoder d = decoder_for(mode);
    size_t from = 0;
    bool more = true;

    out->body.n = 0;
    out->is_ended = false;
    out->used = 0;
    for (size_t i = 0; i <= n && more; i++) {
        size_t to = i < n ? cuts[i] : in.n;

        more = read_segment(&d, str_from(in.p + from, to - from), out);
        from = to;
    }
    if (mode >= BDAT)
        data_finish(&d);
    out->fault = d.fault;
    out->fault_offset = (size_t)d.fault_offset;
}

static bool same_result(const struct data_result *a, const struct data_result *b)
{
    return a->fault == b->fault && (a->fault == DATA_CLEAN || a->fault_offset == b->fault_offset) &&
           a->is_ended == b->is_ended && a->used == b->used && str_eq(bytes_str(&a->body), bytes_str(&b->body));
}

static void check_all_cuts(enum mode mode, struct str in, const struct data_result *whole)
{
    static struct data_result cut;
    size_t every[ORACLE_MAX];

    for (size_t i = 0; i <= in.n; i++) {
        for (size_t j = i; j <= (in.n <= 64 ? in.n : i); j++) {
            read_cut(mode, in, (size_t[]){ i, j }, 2, &cut);
            CHECK(same_result(whole, &cut));
        }
    }
    for (size_t i = 0; i < in.n; i++)
        every[i] = i + 1;
    read_cut(mode, in, every, in.n, &cut);
    CHECK(same_result(whole, &cut));
}

/* ---- samples ---- */

struct sample {
    const char *sentence;
    enum mode mode;
    struct str in, body; /* after a fault: the octets before it */
    enum data_fault fault;
    size_t rest; /* octets behind the end of data; NO_END when it was not found */
};

enum { NO_END = 9999 };

#define S STR_INIT

static const struct sample samples[] = {
    /* RFC 5321 4.1.1.4: the end */
    { "CRLF.CRLF ends the data and its first CRLF is body", REJECT, S("a\r\n.\r\n"), S("a\r\n"), 0, 0 },
    { "the empty message is a dot at once", REJECT, S(".\r\n"), S(""), 0, 0 },
    { "what follows the end is not touched", REJECT, S("a\r\n.\r\nQUIT\r\n"), S("a\r\n"), 0, 6 },
    { "a second end belongs to the next reader", REJECT, S(".\r\n.\r\n"), S(""), 0, 3 },
    { "an empty line is body", REJECT, S("\r\n.\r\n"), S("\r\n"), 0, 0 },
    { "without CRLF.CRLF there is no end", REJECT, S("a\r\n.\r"), S("a\r\n"), 0, NO_END },
    { "a dot at the end of a line is no end", REJECT, S("a.\r\n.\r\n"), S("a.\r\n"), 0, 0 },
    { "blanks around the dot make it text", REJECT, S(" .\r\n. \r\n.\r\n"), S(" .\r\n \r\n"), 0, 0 },
    { "a tab behind the dot makes it text", REJECT, S(".\t\r\n.\r\n"), S("\t\r\n"), 0, 0 },
    /* RFC 5321 4.5.2: the dots */
    { "a doubled dot is one", REJECT, S("..\r\n.\r\n"), S(".\r\n"), 0, 0 },
    { "a doubled dot in front of text is one", REJECT, S("a\r\n..b\r\n.\r\n"), S("a\r\n.b\r\n"), 0, 0 },
    { "three dots are two", REJECT, S("...\r\n.\r\n"), S("..\r\n"), 0, 0 },
    { "a dot that was not doubled is deleted all the same", REJECT, S(".x\r\n.\r\n"), S("x\r\n"), 0, 0 },
    { "only the first dot of a line is deleted", REJECT, S("a.b\r\n.c.d\r\n.\r\n"), S("a.b\r\nc.d\r\n"), 0, 0 },
    { "dot lines in a row", REJECT, S("..\r\n..\r\n..\r\n.\r\n"), S(".\r\n.\r\n.\r\n"), 0, 0 },
    { "a first line that starts with a blank is kept", REJECT, S(" a\r\n.\r\n"), S(" a\r\n"), 0, 0 },
    /* F-3, F-4: bare CR, bare LF and NUL, rejected after the real end */
    { "LF.LF is no end", REJECT, S("a\n.\nQUIT\r\n.\r\n"), S("a"), DATA_BARE_LF, 0 },
    { "LF.CRLF is no end (CVE-2023-51764)", REJECT, S("a\n.\r\nb\r\n.\r\n"), S("a"), DATA_BARE_LF, 0 },
    { "CRLF.LF is no end", REJECT, S("a\r\n.\nb\r\n.\r\n"), S("a\r\n"), DATA_BARE_LF, 0 },
    { "CR.CR is no end", REJECT, S("a\r.\rb\r\n.\r\n"), S("a"), DATA_BARE_CR, 0 },
    { "CR.CRLF is no end", REJECT, S("a\r.\r\nb\r\n.\r\n"), S("a"), DATA_BARE_CR, 0 },
    { "CRLF.CR is no end", REJECT, S("a\r\n.\rb\r\n.\r\n"), S("a\r\n"), DATA_BARE_CR, 0 },
    { "CRLF.CRCRLF is no end", REJECT, S("a\r\n.\r\r\nb\r\n.\r\n"), S("a\r\n"), DATA_BARE_CR, 0 },
    { "CRCRLF.CRLF is an end behind a bare CR", REJECT, S("a\r\r\n.\r\nb"), S("a"), DATA_BARE_CR, 1 },
    { "CRLF.NUL CRLF is no end", REJECT, S("a\r\n.\0\r\nb\r\n.\r\n"), S("a\r\n"), DATA_NUL, 0 },
    { "CRLF NUL.CRLF is no end", REJECT, S("a\r\n\0.\r\nb\r\n.\r\n"), S("a\r\n"), DATA_NUL, 0 },
    { "CR NUL LF.CRLF is no end", REJECT, S("a\r\0\n.\r\nb\r\n.\r\n"), S("a"), DATA_BARE_CR, 0 },
    { "LF CR.CRLF is no end", REJECT, S("a\n\r.\r\nb\r\n.\r\n"), S("a"), DATA_BARE_LF, 0 },
    { "the first fault is the one reported", REJECT, S("a\0\n\r.\r\n.\r\n"), S("a"), DATA_NUL, 0 },
    { "a fault in the very first octet", REJECT, S("\n.\r\n\r\n.\r\n"), S(""), DATA_BARE_LF, 0 },
    { "a bare CR as the last octet before the end", REJECT, S("a\r\r\n.\r\n"), S("a"), DATA_BARE_CR, 0 },
    /* the normal form */
    { "a bare LF becomes CRLF", NORMALISE, S("a\nb\r\n.\r\n"), S("a\r\nb\r\n"), 0, 0 },
    { "a bare CR becomes CRLF", NORMALISE, S("a\rb\r\n.\r\n"), S("a\r\nb\r\n"), 0, 0 },
    { "NUL is dropped", NORMALISE, S("a\0b\r\n.\r\n"), S("ab\r\n"), 0, 0 },
    { "CR CR LF is CRLF CRLF", NORMALISE, S("a\r\r\n.\r\n"), S("a\r\n\r\n"), 0, 0 },
    { "LF CR is two line ends", NORMALISE, S("a\n\rb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), 0, 0 },
    { "a dot behind a bare LF is neither stuffing nor the end", NORMALISE, S("a\n.\r\nb\r\n.\r\n"),
      S("a\r\n.\r\nb\r\n"), 0, 0 },
    { "a dot behind a bare CR is neither stuffing nor the end", NORMALISE, S("a\r.\r\nb\r\n.\r\n"),
      S("a\r\n.\r\nb\r\n"), 0, 0 },
    { "two dots behind a bare LF stay two", NORMALISE, S("a\n..b\r\n.\r\n"), S("a\r\n..b\r\n"), 0, 0 },
    { "LF.LF is content", NORMALISE, S("a\n.\nb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), 0, 0 },
    { "the dot of CRLF.LF was stuffing", NORMALISE, S("a\r\n.\nb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), 0, 0 },
    { "the dot of CRLF.CR was stuffing", NORMALISE, S("a\r\n.\rb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), 0, 0 },
    { "CRLF.CRCRLF is two empty lines", NORMALISE, S("a\r\n.\r\r\n.\r\n"), S("a\r\n\r\n\r\n"), 0, 0 },
    { "a dot behind a dropped NUL is text", NORMALISE, S("a\r\n\0.\r\n.\r\n"), S("a\r\n.\r\n"), 0, 0 },
    { "NUL between CR and LF leaves two line ends", NORMALISE, S("a\r\0\n.\r\n.\r\n"), S("a\r\n\r\n.\r\n"), 0, 0 },
    { "a message that ends in a bare LF goes on", NORMALISE, S("a\n.\r\n"), S("a\r\n.\r\n"), 0, NO_END },
    /* F-2: the lone dot */
    { "VT.CRLF is a fault", REJECT, S("a\v.\r\n.\r\n"), S("a\v."), DATA_LONE_DOT, 0 },
    { "FF.CRLF is a fault", REJECT, S("a\f.\r\n.\r\n"), S("a\f."), DATA_LONE_DOT, 0 },
    { "SUB.CRLF is a fault", REJECT, S("a\x1a.\r\n.\r\n"), S("a\x1a."), DATA_LONE_DOT, 0 },
    { "NEL as one octet.CRLF is a fault", REJECT, S("a\x85.\r\n.\r\n"), S("a\x85."), DATA_LONE_DOT, 0 },
    { "U+0085.CRLF is a fault", REJECT, S("a\xc2\x85.\r\n.\r\n"), S("a\xc2\x85."), DATA_LONE_DOT, 0 },
    { "U+2028.CRLF is a fault", REJECT, S("a\xe2\x80\xa8.\r\n.\r\n"), S("a\xe2\x80\xa8."), DATA_LONE_DOT, 0 },
    { "U+2029.CRLF is a fault", REJECT, S("a\xe2\x80\xa9.\r\n.\r\n"), S("a\xe2\x80\xa9."), DATA_LONE_DOT, 0 },
    { "CRLF.VT is a fault, the dot doubled", REJECT, S("..\vb\r\n.\r\n"), S("."), DATA_LONE_DOT, 0 },
    { "CRLF.U+2028 is a fault", REJECT, S("..\xe2\x80\xa8\r\n.\r\n"), S(".\xe2\x80"), DATA_LONE_DOT, 0 },
    { "CRLF.U+0085 is a fault", REJECT, S("..\xc2\x85\r\n.\r\n"), S(".\xc2"), DATA_LONE_DOT, 0 },
    { "VT.VT is a fault", REJECT, S("a\v.\v\r\n.\r\n"), S("a\v."), DATA_LONE_DOT, 0 },
    { "NEL.FF is a fault", REJECT, S("a\x85.\f\r\n.\r\n"), S("a\x85."), DATA_LONE_DOT, 0 },
    { "it is one in normalise mode too", NORMALISE, S("a\v.\r\n.\r\n"), S("a\v."), DATA_LONE_DOT, 0 },
    { "VT.LF is one when LF is mended", NORMALISE, S("a\v.\n.\r\n\r\n.\r\n"), S("a\v."), DATA_LONE_DOT, 0 },
    { "VT NUL.CRLF is one when NUL is dropped", NORMALISE, S("a\v\0.\r\n.\r\n"), S("a\v."), DATA_LONE_DOT, 0 },
    { "LF.VT is one when LF is mended", NORMALISE, S("a\n.\v\r\n.\r\n"), S("a\r\n."), DATA_LONE_DOT, 0 },
    { "CRLF.VT with an undoubled dot leaves no dot", REJECT, S(".\v\r\n.\r\n"), S("\v\r\n"), 0, 0 },
    { "a lone VT is body", REJECT, S("a\vb\r\n.\r\n"), S("a\vb\r\n"), 0, 0 },
    { "a page break before a sentence is body", REJECT, S("\fA.\r\n.\r\n"), S("\fA.\r\n"), 0, 0 },
    { "two dots between lenient ends are body", REJECT, S("\v..\v\r\n.\r\n"), S("\v..\v\r\n"), 0, 0 },
    { "a stuffed dot between CRLFs is body", REJECT, S("\v\r\n..\r\n\v\r\n.\r\n"), S("\v\r\n.\r\n\v\r\n"), 0, 0 },
    { "U+0445 ends in 0x85 and is a letter", REJECT, S("\xd1\x85.\r\n.\r\n"), S("\xd1\x85.\r\n"), 0, 0 },
    { "U+5145 ends in 0x85 and is a letter", REJECT, S("\xe5\x85\x85.\r\n.\r\n"), S("\xe5\x85\x85.\r\n"), 0, 0 },
    { "U+1F605 ends in 0x85 and is a face", REJECT, S("\xf0\x9f\x98\x85.\r\n.\r\n"), S("\xf0\x9f\x98\x85.\r\n"), 0, 0 },
    { "U+07C5 ends in 0x85 and is a letter", REJECT, S("\xdf\x85.\r\n.\r\n"), S("\xdf\x85.\r\n"), 0, 0 },
    { "0x85 behind F5, which is no lead octet, is NEL", REJECT, S("\xf5\x80\x80\x85.\r\n.\r\n"), S("\xf5\x80\x80\x85."),
      DATA_LONE_DOT, 0 },
    { "e acute ends in 0xa9 and is a letter", REJECT, S("\xc3\xa9.\r\n.\r\n"), S("\xc3\xa9.\r\n"), 0, 0 },
    { "0x85 in a cut-off character is NEL", REJECT, S("\xe5\x85.\r\n.\r\n"), S("\xe5\x85."), DATA_LONE_DOT, 0 },
    { "0x85 in an overlong form is NEL", REJECT, S("\xe0\x81\x85.\r\n.\r\n"), S("\xe0\x81\x85."), DATA_LONE_DOT, 0 },
    { "0x85 in an overlong form of two is NEL", REJECT, S("\xc1\x85.\r\n.\r\n"), S("\xc1\x85."), DATA_LONE_DOT, 0 },
    { "0x85 in an overlong form of four is NEL", REJECT, S("\xf0\x8f\x80\x85.\r\n.\r\n"), S("\xf0\x8f\x80\x85."),
      DATA_LONE_DOT, 0 },
    { "0x85 in a surrogate is NEL", REJECT, S("\xed\xa0\x85.\r\n.\r\n"), S("\xed\xa0\x85."), DATA_LONE_DOT, 0 },
    { "0x85 above U+10FFFF is NEL", REJECT, S("\xf4\x90\x80\x85.\r\n.\r\n"), S("\xf4\x90\x80\x85."), DATA_LONE_DOT, 0 },
    { "C2 without its 0x85 is nothing", REJECT, S("\xc2.\xc2\r\n.\r\n"), S("\xc2.\xc2\r\n"), 0, 0 },
    { "NUL within U+0085 is dropped first", NORMALISE, S("\xc2\0\x85.\r\n.\r\n"), S("\xc2\x85."), DATA_LONE_DOT, 0 },
    /* RFC 3030: BDAT */
    { "BDAT has no end of data", BDAT, S("a\r\n.\r\nb\r\n"), S("a\r\n.\r\nb\r\n"), 0, NO_END },
    { "BDAT has no stuffing", BDAT, S("..a\r\n.b\r\n"), S("..a\r\n.b\r\n"), 0, NO_END },
    { "BDAT need not end in CRLF", BDAT, S("a"), S("a"), 0, NO_END },
    { "a bare LF is a fault in BDAT", BDAT, S("a\n.\r\n"), S("a"), DATA_BARE_LF, NO_END },
    { "a CR as the last octet of all is bare", BDAT, S("a\r"), S("a"), DATA_BARE_CR, NO_END },
    { "a CR as the last octet of all is dropped", BDAT_NORMALISE, S("a\r"), S("a"), 0, NO_END },
    { "a lone dot in BDAT", BDAT, S("a\v.\r\nb"), S("a\v."), DATA_LONE_DOT, NO_END },
    { "a lone dot at the end of BDAT, where a CRLF will be put", BDAT, S("a\v."), S("a\v."), DATA_LONE_DOT, NO_END },
    { "a last dot line without CRLF will be stuffed", BDAT, S("a\r\n."), S("a\r\n."), 0, NO_END },
    { "a bare CR is mended in BDAT", BDAT_NORMALISE, S("a\r.\rb"), S("a\r\n.\r\nb"), 0, NO_END },
    { "BINARYMIME is not looked at", BINARY, S("a\0\r\r\n.\r\n\n\v.\r\n"), S("a\0\r\r\n.\r\n\n\v.\r\n"), 0, NO_END },
};

static void reads_samples_however_cut(void)
{
    static struct data_result whole;

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];

        CHECK_ROW(s->sentence);
        read_cut(s->mode, s->in, NULL, 0, &whole);
        CHECK(str_eq(bytes_str(&whole.body), s->body));
        CHECK_EQ_INT(whole.fault, s->fault);
        CHECK_EQ_INT(whole.is_ended, s->rest != NO_END);
        CHECK_EQ_INT(s->in.n - whole.used, s->rest == NO_END ? 0 : s->rest);
        if (whole.fault != DATA_CLEAN)
            CHECK_EQ_INT(whole.fault_offset, s->body.n);
        check_all_cuts(s->mode, s->in, &whole);
    }
}

/* ---- chunks ---- */

/* The sizes of the chunks that `in` is handed out in. */
static size_t chunk_sizes(enum mode mode, struct str in, size_t *sizes, size_t max)
{
    struct data_decoder d = decoder_for(mode);
    size_t n = 0;

    while (in.n > 0) {
        size_t used;
        enum data_event event = data_read(&d, in, &used);

        if (event == DATA_CHUNK && n < max)
            sizes[n++] = d.chunk.n;
        in = str_skip(in, used);
        if (event == DATA_END)
            break;
    }
    return n;
}

static void hands_out_many_lines_at_once(void)
{
    size_t sizes[4];

    CHECK_EQ_INT(chunk_sizes(REJECT, STR("From: a\r\n\r\nb.\r\nc\r\n.\r\n"), sizes, 4), 1);
    CHECK_EQ_INT(sizes[0], 18);
    CHECK_EQ_INT(chunk_sizes(REJECT, STR("a\r\n..b\r\nc\r\n.\r\n"), sizes, 4), 2);
    CHECK_EQ_INT(sizes[0], 3);
    CHECK_EQ_INT(sizes[1], 7);
    CHECK_EQ_INT(chunk_sizes(BDAT, STR("a\r\n.\r\n\v.b\r\n\xd1\x85.\r\n"), sizes, 4), 1);
    CHECK_EQ_INT(chunk_sizes(NORMALISE, STR("a\nb\r\n.\r\n"), sizes, 4), 3);
}

static void handing_out_points_into_the_input(void)
{
    struct str in = STR("a\r\n..b\r\n.\r\n");
    struct data_decoder d = decoder_for(REJECT);
    size_t used;

    CHECK_EQ_INT(data_read(&d, in, &used), DATA_CHUNK);
    CHECK(d.chunk.p == in.p);
    CHECK_EQ_INT(data_read(&d, str_skip(in, used), &used), DATA_CHUNK);
    CHECK(d.chunk.p == in.p + 4);
}

static void check_end(const struct data_result *read, size_t used, size_t body_n)
{
    CHECK(read->is_ended);
    CHECK_EQ_INT(read->fault, DATA_CLEAN);
    CHECK_EQ_INT(read->used, used);
    CHECK_EQ_INT(read->body.n, body_n);
}

/* ATTACKS A: `.CRLF` right after every power-of-two buffer edge (and 512, 998, 1000) +-2; lines of any
 * length.
 */
static void finds_the_end_behind_every_edge(void)
{
    static const size_t edges[] = { 8, 16, 32, 64, 128, 256, 512, 998, 1000, 1024, 2048, 4096 };
    static struct data_result result;
    static char in[5000];

    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        for (size_t n = edges[i] - 4; n <= edges[i] + 4; n++) {
            memset(in, 'x', n);
            memcpy(in + n, "\r\n.\r\nQUIT", 9);
            read_cut(REJECT, str_from(in, n + 9), &n, 1, &result);
            check_end(&result, n + 5, n + 2);
            read_cut(REJECT, str_from(in, n + 9), &edges[i], 1, &result);
            check_end(&result, n + 5, n + 2);
        }
    }
}

/* ATTACKS A: dot lines of 1 to 2000 dots. */
static void reads_lines_of_many_dots(void)
{
    static struct data_result result;
    static char in[2100];

    for (size_t n = 2; n <= 2000; n++) {
        memset(in, '.', n);
        memcpy(in + n, "\r\n.\r\n", 5);
        read_cut(REJECT, str_from(in, n + 5), NULL, 0, &result);
        check_end(&result, n + 5, n + 1);
    }
}

struct odd_sample {
    struct str odd;
    enum data_fault fault;
};

static const struct odd_sample odd_samples[] = {
    { S("\n"), DATA_BARE_LF },
    { S("\r"), DATA_BARE_CR },
    { S("\0"), DATA_NUL },
    { S("\v."), DATA_LONE_DOT },
    { S("\x85."), DATA_LONE_DOT },
    { S("\xc2\x85."), DATA_LONE_DOT },
    { S("\xe2\x80\xa8."), DATA_LONE_DOT },
    { S("\xe2\x80\xa9."), DATA_LONE_DOT },
    { S("\x85.\x85 and on"), DATA_LONE_DOT },
    { S("\xe2\x80\xa8.\xe2\x80\xa9 and on"), DATA_LONE_DOT },
    { S("\t."), DATA_CLEAN },
};

/* Text is passed over eight octets at a time, ASCII and 8-bit alike: nothing odd may hide there. */
static void misses_nothing_in_long_text(void)
{
    static const struct str letters[] = { S("a"), S("\xe9"), S("\xd1\x8f"), S("\xe5\xad\x97") };
    static struct bytes in;
    static struct data_result result;

    for (size_t i = 0; i < sizeof odd_samples / sizeof *odd_samples; i++) {
        for (size_t j = 0; j < 4 * 40; j++) {
            in.n = 0;
            for (size_t n = 0; n < j / 4; n++)
                bytes_add(&in, letters[j % 4]);
            bytes_add(&in, odd_samples[i].odd);
            bytes_add(&in, STR("\r\nand on it goes, for a while\r\n.\r\n"));
            read_cut(REJECT, bytes_str(&in), NULL, 0, &result);
            CHECK_EQ_INT(result.fault, odd_samples[i].fault);
            CHECK(result.is_ended && result.used == in.n);
        }
    }
}

static void tells_whether_normalising_changed_something(void)
{
    struct data_decoder clean = decoder_for(NORMALISE), mended = decoder_for(NORMALISE);
    static struct data_result result;

    read_segment(&clean, STR("a\r\n"), &result);
    result.body.n = 0;
    read_segment(&mended, STR("a\n"), &result);
    CHECK(!clean.was_mended);
    CHECK(mended.was_mended);
}

static void names_faults(void)
{
    CHECK_EQ_STR(data_fault_name(DATA_CLEAN), strlen(data_fault_name(DATA_CLEAN)), "clean");
    CHECK_EQ_STR(data_fault_name(DATA_LONE_DOT), strlen(data_fault_name(DATA_LONE_DOT)), "lone_dot");
}

/* ---- stuffing ---- */

static bool put_bytes(void *to, struct str run)
{
    bytes_add(to, run);
    return true;
}

static bool put_nothing(void *to, struct str run)
{
    (void)run;
    ++*(int *)to;
    return false;
}

struct stuffing {
    struct str in, out;
};

/* RFC 5321 4.5.2 */
static const struct stuffing stuffings[] = {
    { S(""), S("") },
    { S("a\r\n"), S("a\r\n") },
    { S("."), S("..") },
    { S(".\r\n.\r\n"), S("..\r\n..\r\n") },
    { S("a.\r\n.b\r\n"), S("a.\r\n..b\r\n") },
    { S("..\r\n"), S("...\r\n") },
    { S("\r\n\r\n.a"), S("\r\n\r\n..a") },
};

static void doubles_dots_however_cut(void)
{
    static struct bytes out;

    for (size_t i = 0; i < sizeof stuffings / sizeof *stuffings; i++) {
        struct str in = stuffings[i].in;

        for (size_t cut = 0; cut <= in.n; cut++) {
            bool at_line_start = true;

            out.n = 0;
            CHECK(data_stuff(str_from(in.p, cut), &at_line_start, put_bytes, &out));
            CHECK(data_stuff(str_skip(in, cut), &at_line_start, put_bytes, &out));
            CHECK(str_eq(bytes_str(&out), stuffings[i].out));
            CHECK_EQ_INT(at_line_start, in.n == 0 || in.p[in.n - 1] == '\n');
        }
    }
}

static void stops_stuffing_when_told(void)
{
    bool at_line_start = true;
    int calls = 0;

    CHECK(!data_stuff(STR("a\r\n.b\r\n.c\r\n"), &at_line_start, put_nothing, &calls));
    CHECK_EQ_INT(calls, 1);
}

/* ---- random messages ---- */

/* xorshift64*: the same strings on every machine */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t random_below(size_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static size_t random_message(char *p, size_t max)
{
    static const char *const pieces[] = {
        "\r\n", "\r\n", "\r\n.",     ".\r\n", "\r\n.\r\n",    "\r",       "\n",
        ".",    ".",    ".",         "\v",    "\f",           "\x1a",     "\x85",
        "\xc2", "\xe2", "\x80",      "\xa8",  "\xe2\x80\xa8", "\xc2\x85", "\xd1\x85",
        " ",    "a",    "aaaaaaaaa", "",
    };
    size_t n = 0, want = 1 + random_below(10);

    for (size_t i = 0; i < want; i++) {
        const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
        size_t piece_n = *piece != '\0' ? strlen(piece) : 1; /* "" stands for NUL */

        if (n + piece_n > max)
            break;
        memcpy(p + n, piece, piece_n);
        n += piece_n;
    }
    return n;
}

/* What the back end would read of a clean body. */
static void stuff_again(const struct data_result *read, struct bytes *out)
{
    bool at_line_start = true;
    size_t cut = random_below(read->body.n + 1);

    out->n = 0;
    bytes_add(out, STR("\r\n"));
    data_stuff(str_from(read->body.p, cut), &at_line_start, put_bytes, out);
    data_stuff(str_skip(bytes_str(&read->body), cut), &at_line_start, put_bytes, out);
    bytes_add(out, at_line_start ? STR(".\r\n") : STR("\r\n.\r\n"));
}

static bool is_as_modelled(enum mode mode, struct str in, const struct data_result *read)
{
    static struct data_result model;
    bool is_bdat = mode >= BDAT;

    memset(&model, 0, sizeof model);
    data_model(in, is_bdat, mode == NORMALISE || mode == BDAT_NORMALISE, &model);
    if (!model.is_ended)
        model.used = in.n;
    return same_result(&model, read);
}

/* Each string is closed by an end of data, so that nothing of it is left open. */
static void a_million_nasty_messages_have_one_end(void)
{
    static struct data_result read;
    static struct bytes stream;
    size_t clean = 0;

    for (int i = 0; i < 1000000; i++) {
        enum mode mode = (enum mode)random_below(BINARY);
        char in[128];
        size_t n = random_message(in, sizeof in - 8), cuts[2];

        if (mode < BDAT) {
            memcpy(in + n, "\r\n.\r\n", 5);
            n += 5;
        }
        while (mode >= BDAT && n > 0 && in[n - 1] == '\r')
            n--; /* two rows above have that */
        cuts[0] = random_below(n + 1);
        cuts[1] = cuts[0] + random_below(n - cuts[0] + 1);
        read_cut(mode, str_from(in, n), cuts, 2, &read);
        if (!is_as_modelled(mode, str_from(in, n), &read)) {
            test_print("model differs for", in, n);
            CHECK(false);
            return;
        }
        if (read.fault != DATA_CLEAN)
            continue;
        clean++;
        stuff_again(&read, &stream);
        if (!data_is_framed(bytes_str(&stream))) {
            test_print("a second end in", in, n);
            CHECK(false);
            return;
        }
    }
    CHECK(clean > 100000); /* the oracle had something to judge */
}

static const struct test_case tests[] = {
    TEST(reads_samples_however_cut),
    TEST(hands_out_many_lines_at_once),
    TEST(handing_out_points_into_the_input),
    TEST(finds_the_end_behind_every_edge),
    TEST(reads_lines_of_many_dots),
    TEST(misses_nothing_in_long_text),
    TEST(tells_whether_normalising_changed_something),
    TEST(names_faults),
    TEST(doubles_dots_however_cut),
    TEST(stops_stuffing_when_told),
    TEST(a_million_nasty_messages_have_one_end),
};
TEST_MAIN(tests)
