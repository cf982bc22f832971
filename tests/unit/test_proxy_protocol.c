/* Rows: PROXY headers, good and bad. Sections are those of the HAProxy document (2.1: version 1, 2.2: version
 * 2).
 */
#include "proxy/proxy_protocol.h"

#include "test.h"

#define IN(literal) STR_INIT(literal)
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xC0\x00\x02\x01\xC6\x33\x64\x02\xDD\xD5\x00\x19"
#define V6 \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01" \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x02" \
    "\xDD\xD5\x00\x19"
#define ZEROS16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS128 ZEROS16 ZEROS16 ZEROS16 ZEROS16 ZEROS16 ZEROS16 ZEROS16 ZEROS16
#define X16 "xxxxxxxxxxxxxxxx"
#define X80 X16 X16 X16 X16 X16
#define LONG6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static const struct row {
    const char *claim;
    enum proxy_event event;
    struct str in;
    size_t used;
    const char *source, *target;
} rows[] = {
    /* clang-format off */
    { "TCP over IPv4 (2.1)", PROXY_READY,
      IN("PROXY TCP4 192.0.2.1 198.51.100.2 56789 25\r\n"), 44, "192.0.2.1:56789", "198.51.100.2:25" },
    { "TCP over IPv6 (2.1)", PROXY_READY,
      IN("PROXY TCP6 2001:db8::1 2001:db8::2 56789 25\r\n"), 45, "[2001:db8::1]:56789", "[2001:db8::2]:25" },
    { "a mapped client is an IPv4 client", PROXY_READY,
      IN("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n"), 38, "192.0.2.1:1", "[::1]:25" },
    { "the longest line of IPv6 (2.1)", PROXY_READY,
      IN("PROXY TCP6 " LONG6 " " LONG6 " 65535 65535\r\n"), 104, "[" LONG6 "]:65535", "[" LONG6 "]:65535" },
    { "SMTP behind the header stays there", PROXY_READY,
      IN("PROXY TCP4 192.0.2.1 198.51.100.2 0 25\r\nEHLO x\r\n"), 40, "192.0.2.1:0", "198.51.100.2:25" },
    { "UNKNOWN, a health check (2.1)", PROXY_LOCAL, IN("PROXY UNKNOWN\r\n"), 15, NULL, NULL },
    { "UNKNOWN with addresses, which are ignored (2.1)", PROXY_LOCAL,
      IN("PROXY UNKNOWN " LONG6 " " LONG6 " 65535 65535\r\n"), 107, NULL, NULL },

    { "another letter", PROXY_INVALID, IN("PROXZ"), 0, NULL, NULL },
    { "SMTP at once", PROXY_INVALID, IN("EHLO x\r\n"), 0, NULL, NULL },
    { "TLS at once", PROXY_INVALID, IN("\x16\x03\x01"), 0, NULL, NULL },
    { "small letters", PROXY_INVALID, IN("proxy TCP4"), 0, NULL, NULL },
    { "a family nobody knows", PROXY_INVALID,
      IN("PROXY TCP5 192.0.2.1 198.51.100.2 1 25\r\n"), 0, NULL, NULL },
    { "UDP", PROXY_INVALID, IN("PROXY UDP4 192.0.2.1 198.51.100.2 1 25\r\n"), 0, NULL, NULL },
    { "no family", PROXY_INVALID, IN("PROXY \r\n"), 0, NULL, NULL },
    { "a family alone", PROXY_INVALID, IN("PROXY TCP4\r\n"), 0, NULL, NULL },
    { "UNKNOWN with something stuck to it", PROXY_INVALID, IN("PROXY UNKNOWNX\r\n"), 0, NULL, NULL },
    { "IPv6 called TCP4", PROXY_INVALID, IN("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"), 0, NULL, NULL },
    { "a mapped address called TCP4", PROXY_INVALID,
      IN("PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 25\r\n"), 0, NULL, NULL },
    { "IPv4 called TCP6", PROXY_INVALID, IN("PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"), 0, NULL, NULL },
    { "two blanks (2.1: exactly one space)", PROXY_INVALID,
      IN("PROXY TCP4 192.0.2.1  198.51.100.2 1 25\r\n"), 0, NULL, NULL },
    { "a tab", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1\t198.51.100.2 1 25\r\n"), 0, NULL, NULL },
    { "a blank at the end", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 25 \r\n"), 0, NULL, NULL },
    { "a field too many", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 25 x\r\n"), 0, NULL, NULL },
    { "a port too few", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n"), 0, NULL, NULL },
    { "port 65536", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), 0, NULL, NULL },
    { "a port with leading zeros (2.1)", PROXY_INVALID,
      IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 025\r\n"), 0, NULL, NULL },
    { "a quad with leading zeros (2.1)", PROXY_INVALID,
      IN("PROXY TCP4 192.0.2.01 198.51.100.2 1 25\r\n"), 0, NULL, NULL },
    { "NUL behind a port", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\0\r\n"), 0, NULL, NULL },
    { "a bare LF", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\n"), 0, NULL, NULL },
    { "a bare CR", PROXY_INVALID, IN("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\rE"), 0, NULL, NULL },
    { "a bare LF in what UNKNOWN ignores", PROXY_INVALID, IN("PROXY UNKNOWN a\nb\r\n"), 0, NULL, NULL },
    { "no CRLF within 107 bytes (2.1)", PROXY_INVALID,
      IN("PROXY UNKNOWN " X80 "xxxxxxxxxxxx\r\n"), 0, NULL, NULL },

    { "TCP over IPv4 (2.2)", PROXY_READY,
      IN(SIGNATURE "\x21\x11\x00\x0C" V4), 28, "192.0.2.1:56789", "198.51.100.2:25" },
    { "TCP over IPv6 (2.2)", PROXY_READY,
      IN(SIGNATURE "\x21\x21\x00\x24" V6), 52, "[2001:db8::1]:56789", "[2001:db8::2]:25" },
    { "SMTP behind a binary header stays there", PROXY_READY,
      IN(SIGNATURE "\x21\x11\x00\x0C" V4 "EHLO x\r\n"), 28, "192.0.2.1:56789", "198.51.100.2:25" },
    { "TLVs are read past (2.2)", PROXY_READY, IN(SIGNATURE "\x21\x11\x00\x10" V4 "\x04\x00\x01\x00" "EHLO"),
      32,
      "192.0.2.1:56789", "198.51.100.2:25" },
    { "the longest header we read", PROXY_READY,
      IN(SIGNATURE "\x21\x11\x02\x08" V4 ZEROS128 ZEROS128 ZEROS128 ZEROS128 "\0\0\0\0\0\0\0\0"), 536,
      "192.0.2.1:56789",
      "198.51.100.2:25" },
    { "LOCAL, a health check (2.2)", PROXY_LOCAL, IN(SIGNATURE "\x20\x00\x00\x00"), 16, NULL, NULL },
    { "LOCAL with addresses, which are ignored (2.2)", PROXY_LOCAL,
      IN(SIGNATURE "\x20\x11\x00\x0C" V4), 28, NULL, NULL },
    { "LOCAL of a family nobody knows (2.2: ignored)", PROXY_LOCAL,
      IN(SIGNATURE "\x20\xFF\x00\x02xx"), 18, NULL, NULL },
    { "PROXY of family UNSPEC (2.2: at our choice)", PROXY_LOCAL,
      IN(SIGNATURE "\x21\x00\x00\x00"), 16, NULL, NULL },
    { "version 1 in binary", PROXY_INVALID, IN(SIGNATURE "\x11"), 0, NULL, NULL },
    { "version 3", PROXY_INVALID, IN(SIGNATURE "\x31"), 0, NULL, NULL },
    { "a third command (2.2)", PROXY_INVALID, IN(SIGNATURE "\x22"), 0, NULL, NULL },
    { "UDP over IPv4", PROXY_INVALID, IN(SIGNATURE "\x21\x12"), 0, NULL, NULL },
    { "a unix socket", PROXY_INVALID, IN(SIGNATURE "\x21\x31"), 0, NULL, NULL },
    { "too short for two IPv4 addresses", PROXY_INVALID, IN(SIGNATURE "\x21\x11\x00\x0B"), 0, NULL, NULL },
    { "too short for two IPv6 addresses", PROXY_INVALID, IN(SIGNATURE "\x21\x21\x00\x23"), 0, NULL, NULL },
    { "longer than we read", PROXY_INVALID, IN(SIGNATURE "\x21\x11\x02\x09"), 0, NULL, NULL },
    { "LOCAL longer than we read", PROXY_INVALID, IN(SIGNATURE "\x20\x00\xFF\xFF"), 0, NULL, NULL },
    { "the signature in text (its NUL missing)", PROXY_INVALID, IN("\r\n\r\n\r\nQUIT\n"), 0, NULL, NULL },
    /* clang-format on */
};

static void headers(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint source, target;
        char text[ENDPOINT_TEXT_MAX];
        size_t used = 0;

        CHECK_ROW(rows[i].claim);
        CHECK_EQ_INT(proxy_header_parse(rows[i].in, &used, &source, &target), rows[i].event);
        CHECK_EQ_INT(used, rows[i].used);
        if (rows[i].source == NULL)
            continue;
        CHECK_EQ_STR(text, endpoint_print(&source, text), rows[i].source);
        CHECK_EQ_STR(text, endpoint_print(&target, text), rows[i].target);
    }
}

/* However a header is cut into pieces: NEED until its last byte is there, or invalid once and for all. */
static void check_every_split(struct str in)
{
    enum proxy_event last = PROXY_NEED;
    size_t first_used = 0;

    for (size_t n = 0; n <= in.n; n++) {
        char copy[1024];
        char *exact = copy + sizeof copy - n;
        struct endpoint source, target;
        size_t used = 0;
        enum proxy_event event;

        memcpy(exact, in.p, n);
        event = proxy_header_parse(str_from(exact, n), &used, &source, &target);
        CHECK(last == PROXY_NEED || event == last);
        CHECK(used <= n && used <= PROXY_HEADER_MAX);
        CHECK((used > 0) == (event == PROXY_READY || event == PROXY_LOCAL));
        if (last == PROXY_NEED && used > 0)
            CHECK_EQ_INT(used, n);
        if (last != PROXY_NEED)
            CHECK_EQ_INT(used, first_used);
        last = event;
        first_used = used;
    }
    CHECK(last != PROXY_NEED || in.n < PROXY_HEADER_MAX);
}

static void every_split_of_a_header_reads_the_same(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].claim);
        check_every_split(rows[i].in);
    }
}

static void every_mutation_of_a_header_reads_the_same_however_split(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = rows[i].in.n < 120 ? rows[i].in.n : 20;
        char mutant[128];

        CHECK_ROW(rows[i].claim);
        for (size_t at = 0; at < n; at++)
            for (int byte = 0; byte < 256; byte += at < 20 ? 1 : 7) {
                memcpy(mutant, rows[i].in.p, n);
                mutant[at] = (char)byte;
                check_every_split(str_from(mutant, n));
            }
    }
}

static struct endpoint endpoint_of(const char *text)
{
    struct endpoint endpoint = { .port = 0 };

    CHECK(endpoint_parse(str_of(text), 0, &endpoint));
    return endpoint;
}

static void printed_headers(void)
{
    static const struct {
        const char *claim, *source, *target;
        struct str v1, v2;
    } prints[] = {
        /* clang-format off */
        { "IPv4", "192.0.2.1:56789", "198.51.100.2:25", IN("PROXY TCP4 192.0.2.1 198.51.100.2 56789 25\r\n"),
          IN(SIGNATURE "\x21\x11\x00\x0C" V4) },
        { "IPv6", "[2001:db8::1]:56789", "[2001:db8::2]:25",
          IN("PROXY TCP6 2001:db8::1 2001:db8::2 56789 25\r\n"),
          IN(SIGNATURE "\x21\x21\x00\x24" V6) },
        { "an IPv4 client of an IPv6 server", "192.0.2.1:1", "[::1]:25",
          IN("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n"),
          IN(SIGNATURE "\x21\x21\x00\x24\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xC0\0\x02\x01"
             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x19") },
        { "the longest line", "[" LONG6 "]:65535", "[" LONG6 "]:65535",
          IN("PROXY TCP6 " LONG6 " " LONG6 " 65535 65535\r\n"),
          IN(SIGNATURE "\x21\x21\x00\x24" "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
             "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF") },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof prints / sizeof prints[0]; i++)
        for (int version = 1; version <= 2; version++) {
            struct endpoint source = endpoint_of(prints[i].source), target = endpoint_of(prints[i].target);
            struct endpoint source_back, target_back;
            char out[PROXY_HEADER_MAX];
            size_t n = proxy_header_print(version, &source, &target, out), used = 0;

            CHECK_ROW(prints[i].claim);
            CHECK(str_eq(str_from(out, n), version == 1 ? prints[i].v1 : prints[i].v2));
            CHECK_EQ_INT(proxy_header_parse(str_from(out, n), &used, &source_back, &target_back), PROXY_READY);
            CHECK_EQ_INT(used, n);
            CHECK(address_eq(&source.address, &source_back.address) && source.port == source_back.port);
            CHECK(address_eq(&target.address, &target_back.address) && target.port == target_back.port);
        }
}

static const struct test_case tests[] = {
    TEST(headers),
    TEST(every_split_of_a_header_reads_the_same),
    TEST(every_mutation_of_a_header_reads_the_same_however_split),
    TEST(printed_headers),
};
TEST_MAIN(tests)
