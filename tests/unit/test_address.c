/* Rows: addresses, endpoints and networks as people and headers write them. */
#include "policy/address.h"

#include <arpa/inet.h>

#include "test.h"

#define IN(literal) STR_INIT(literal)

static struct address address_of(const char *text)
{
    struct address address = { { 0 } };

    CHECK(address_parse(str_of(text), &address));
    return address;
}

static void addresses_and_their_text(void)
{
    static const struct {
        const char *claim, *in, *out;
    } rows[] = {
        /* clang-format off */
        { "a dotted quad", "192.0.2.1", "192.0.2.1" },
        { "the smallest quad", "0.0.0.0", "0.0.0.0" },
        { "the largest quad", "255.255.255.255", "255.255.255.255" },
        { "a mapped address is IPv4 (RFC 4291 2.5.5.2)", "::ffff:192.0.2.1", "192.0.2.1" },
        { "a mapped address in hexadecimal", "::FFFF:c000:201", "192.0.2.1" },
        { "all eight groups", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6" },
        { "lower case (RFC 5952 4.3)", "2001:DB8::ABCD", "2001:db8::abcd" },
        { "no leading zeros (RFC 5952 4.1)", "2001:0db8::0001", "2001:db8::1" },
        { "the longest run is shortened (RFC 5952 4.2.3)", "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
        { "of equal runs the first (RFC 5952 4.2.3)", "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
        { "a single zero is not shortened (RFC 5952 4.2.2)", "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        { "nothing but zeros", "0:0:0:0:0:0:0:0", "::" },
        { "zeros at the front", "0:0:0:0:0:0:0:1", "::1" },
        { "zeros at the end", "2001:db8:0:0:0:0:0:0", "2001:db8::" },
        { "an IPv4 tail is printed as groups (RFC 5952 5)", "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
        { "an IPv4 tail after six groups", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
        { "a gap for one group", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
        { "a gap for the first group", "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
        { "no IPv4 below a zero tail", "::192.0.2.1", "::c000:201" },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address = address_of(rows[i].in);
        char text[ADDRESS_TEXT_MAX];
        size_t n = address_print(&address, text);

        CHECK_ROW(rows[i].claim);
        CHECK_EQ_STR(text, n, rows[i].out);
        CHECK_EQ_INT(strlen(text), n);
    }
}

static void what_is_no_address(void)
{
    static const struct {
        const char *claim;
        struct str in;
    } rows[] = {
        /* clang-format off */
        { "nothing", IN("") },
        { "a name", IN("localhost") },
        { "three parts", IN("192.0.2") },
        { "five parts", IN("192.0.2.1.1") },
        { "an empty part", IN("192..2.1") },
        { "a dot at the end", IN("192.0.2.1.") },
        { "256", IN("192.0.2.256") },
        { "a number too large for any word", IN("192.0.2.18446744073709551617") },
        { "leading zeros, octal to some", IN("192.0.2.010") },
        { "two zeros", IN("192.0.2.00") },
        { "a sign", IN("192.0.2.+1") },
        { "hexadecimal, inet_aton's habit", IN("0xC0.0.2.1") },
        { "one number, inet_aton's habit", IN("3221225985") },
        { "a blank in front", IN(" 192.0.2.1") },
        { "a blank behind", IN("192.0.2.1 ") },
        { "NUL behind", IN("192.0.2.1\0") },
        { "brackets", IN("[::1]") },
        { "a zone (RFC 4007)", IN("fe80::1%eth0") },
        { "a prefix length", IN("2001:db8::/32") },
        { "one colon", IN(":") },
        { "three colons", IN(":::") },
        { "two gaps", IN("1::2::3") },
        { "nine groups", IN("1:2:3:4:5:6:7:8:9") },
        { "seven groups", IN("1:2:3:4:5:6:7") },
        { "eight groups and a gap (RFC 4291 2.2: one or more)", IN("1:2:3:4::5:6:7:8") },
        { "eight groups and a gap at the end", IN("1:2:3:4:5:6:7:8::") },
        { "a colon in front", IN(":1:2:3:4:5:6:7:8") },
        { "a colon at the end", IN("1:2:3:4:5:6:7:8:") },
        { "a group of five digits", IN("2001:0db80::1") },
        { "a letter beyond f", IN("2001:dbg::1") },
        { "an IPv4 part in the middle", IN("::192.0.2.1:1") },
        { "an IPv4 tail after seven groups", IN("1:2:3:4:5:6:7:1.2.3.4") },
        { "an IPv4 tail of three parts", IN("::192.0.2") },
        { "an IPv4 tail with leading zeros", IN("::ffff:192.0.2.01") },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address;

        CHECK_ROW(rows[i].claim);
        CHECK(!address_parse(rows[i].in, &address));
    }
}

static void kinds_of_addresses(void)
{
    static const struct {
        const char *in;
        bool is_v4, is_loopback;
    } rows[] = {
        /* clang-format off */
        { "127.0.0.1", true, true },        { "127.255.0.1", true, true },  { "128.0.0.1", true, false },
        { "::ffff:127.0.0.1", true, true }, { "::1", false, true },         { "::2", false, false },
        { "::7f00:1", false, false },       { "2001:db8::1", false, false }, { "0.0.0.0", true, false },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address = address_of(rows[i].in);

        CHECK_ROW(rows[i].in);
        CHECK_EQ_INT(address_is_v4(&address), rows[i].is_v4);
        CHECK_EQ_INT(address_is_loopback(&address), rows[i].is_loopback);
    }
}

static void one_address_in_two_spellings_is_equal(void)
{
    struct address a = address_of("192.0.2.1"), b = address_of("::ffff:c000:201");
    struct address c = address_of("::c000:201");

    CHECK(address_eq(&a, &b));
    CHECK(!address_eq(&a, &c));
}

static void endpoints(void)
{
    static const struct {
        const char *claim;
        struct str in;
        uint16_t default_port;
        const char *out; /* NULL: refused */
    } rows[] = {
        /* clang-format off */
        { "IPv4 and port", IN("192.0.2.1:25"), 0, "192.0.2.1:25" },
        { "IPv4 with the default port", IN("192.0.2.1"), 25, "192.0.2.1:25" },
        { "IPv6 and port", IN("[2001:db8::1]:65535"), 0, "[2001:db8::1]:65535" },
        { "IPv6 with the default port", IN("[2001:db8::1]"), 25, "[2001:db8::1]:25" },
        { "a mapped address is IPv4", IN("[::ffff:192.0.2.1]:25"), 0, "192.0.2.1:25" },
        { "the longest text", IN("[2001:db81:1111:2222:3333:4444:5555:6666]:65535"), 0,
          "[2001:db81:1111:2222:3333:4444:5555:6666]:65535" },
        { "port 0, for a listener that does not care", IN("127.0.0.1:0"), 0, "127.0.0.1:0" },
        { "a port is required", IN("192.0.2.1"), 0, NULL },
        { "a port is required behind brackets", IN("[::1]"), 0, NULL },
        { "nothing", IN(""), 25, NULL },
        { "a port alone", IN(":25"), 25, NULL },
        { "an empty port", IN("192.0.2.1:"), 25, NULL },
        { "port 65536", IN("192.0.2.1:65536"), 0, NULL },
        { "a port with leading zeros", IN("192.0.2.1:025"), 0, NULL },
        { "a port with a sign", IN("192.0.2.1:+25"), 0, NULL },
        { "two ports", IN("192.0.2.1:25:26"), 0, NULL },
        { "IPv6 without brackets (which colon is the port's?)", IN("2001:db8::1:25"), 0, NULL },
        { "IPv6 without brackets and port", IN("::1"), 25, NULL },
        { "IPv4 in brackets", IN("[192.0.2.1]:25"), 0, NULL },
        { "brackets that never close", IN("[::1"), 25, NULL },
        { "empty brackets", IN("[]:25"), 0, NULL },
        { "text behind the brackets", IN("[::1]25"), 0, NULL },
        { "a name", IN("localhost:25"), 0, NULL },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct endpoint endpoint;
        char text[ENDPOINT_TEXT_MAX];
        bool ok = endpoint_parse(rows[i].in, rows[i].default_port, &endpoint);

        CHECK_ROW(rows[i].claim);
        CHECK_EQ_INT(ok, rows[i].out != NULL);
        if (ok && rows[i].out != NULL)
            CHECK_EQ_STR(text, endpoint_print(&endpoint, text), rows[i].out);
    }
}

static void networks_and_who_is_in_them(void)
{
    static const struct {
        const char *network, *address;
        bool holds;
    } rows[] = {
        /* clang-format off */
        { "192.0.2.0/24", "192.0.2.255", true },    { "192.0.2.0/24", "192.0.3.0", false },
        { "192.0.2.0/24", "::ffff:192.0.2.9", true }, { "192.0.2.4/30", "192.0.2.7", true },
        { "192.0.2.4/30", "192.0.2.8", false },     { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },        { "192.0.2.1/32", "192.0.2.0", false },
        { "128.0.0.0/1", "255.0.0.1", true },       { "128.0.0.0/1", "127.0.0.1", false },
        { "0.0.0.0/0", "203.0.113.9", true },       { "0.0.0.0/0", "2001:db8::1", false },
        { "0.0.0.0/0", "::1", false },              { "::/0", "2001:db8::1", true },
        { "::/0", "192.0.2.1", false },             { "::/80", "192.0.2.1", false },
        { "::ffff:0:0/96", "192.0.2.1", true },     { "::ffff:192.0.2.0/120", "192.0.2.7", true },
        { "2001:db8::/32", "2001:db8:ffff::1", true }, { "2001:db8::/32", "2001:db9::", false },
        { "2001:db8::/33", "2001:db8:8000::", false }, { "2001:db8::1", "2001:db8::1", true },
        { "2001:db8::1", "2001:db8::2", false },    { "2001:db8::1/128", "2001:db8::", false },
        { "fe80::/10", "febf::1", true },           { "fe80::/10", "fec0::1", false },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address = address_of(rows[i].address);
        struct network network;

        CHECK_ROW(rows[i].network);
        CHECK(network_parse(str_of(rows[i].network), &network));
        CHECK_EQ_INT(network_holds(&network, &address), rows[i].holds);
    }
}

static void what_is_no_network(void)
{
    static const char *const rows[] = {
        /* clang-format off */
        "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/024", "192.0.2.0/24/24",
        "192.0.2.0/255.255.255.0", "192.0.2.1/24", "192.0.2/24", "10.0.0.0/6", "0.0.0.1/0", "2001:db8::1/64",
        "2001:db8::/129", "2001:db8::/ 32", "[2001:db8::]/32", "2001:db8::/28", "::ffff:192.0.2.0/24",
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct network network;

        CHECK_ROW(rows[i]);
        CHECK(!network_parse(str_of(rows[i]), &network));
    }
}

/* The C library's reading, of which ours is the same: strict in the same places. */
static bool libc_reads(const char *text, struct address *out)
{
    struct in_addr v4;

    if (inet_pton(AF_INET6, text, out->byte) == 1)
        return true;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return false;
    *out = (struct address){ { [10] = 0xFF, [11] = 0xFF } };
    memcpy(out->byte + 12, &v4, 4);
    return true;
}

static void check_like_libc(const char *text)
{
    struct address ours, theirs, back;
    char printed[ADDRESS_TEXT_MAX];
    bool ok = address_parse(str_of(text), &ours);

    if (ok != libc_reads(text, &theirs) || (ok && !address_eq(&ours, &theirs)))
        CHECK_EQ_STR(text, strlen(text), "as the C library reads it");
    if (!ok)
        return;
    CHECK(address_parse(str_from(printed, address_print(&ours, printed)), &back) && address_eq(&ours, &back));
    CHECK(libc_reads(printed, &theirs) && address_eq(&ours, &theirs));
}

static void every_prefix_and_mutation_is_read_as_libc_reads_it(void)
{
    static const char *const samples[] = {
        /* clang-format off */
        "192.0.2.1", "255.25.100.0", "2001:db8::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:1.2.3.4",
        "::", "1::", "fe80::a:b:c:d", "0:0:0:1::", "1:2:3::5:6:7:8", "10.20.30.40.50",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        /* clang-format on */
    };

    for (size_t s = 0; s < sizeof samples / sizeof samples[0]; s++)
        for (size_t n = 0; n <= strlen(samples[s]); n++)
            for (int byte = 1; byte < 256; byte++) {
                char text[64];

                memcpy(text, samples[s], n);
                text[n] = '\0';
                if (n > 0)
                    text[n - 1] = (char)byte;
                check_like_libc(text);
                memcpy(text, samples[s], strlen(samples[s]) + 1);
                if (n > 0)
                    text[n - 1] = (char)byte;
                check_like_libc(text);
            }
}

/* Every pattern of zero and other groups: where the "::" goes. */
static void every_pattern_of_zeros_is_read_back(void)
{
    for (unsigned pattern = 0; pattern < 6561; pattern++) {
        static const uint16_t GROUP[] = { 0, 1, 0xFFFF };
        struct address address, back;
        char text[ADDRESS_TEXT_MAX];
        unsigned rest = pattern;

        for (int i = 0; i < 8; i++, rest /= 3) {
            address.byte[2 * i] = (uint8_t)(GROUP[rest % 3] >> 8);
            address.byte[2 * i + 1] = (uint8_t)GROUP[rest % 3];
        }
        CHECK(address_parse(str_from(text, address_print(&address, text)), &back));
        CHECK(address_eq(&address, &back));
        CHECK(libc_reads(text, &back) && address_eq(&address, &back));
    }
}

static const struct {
    const char *address;
    unsigned v4_bits, v6_bits;
    const char *network;
} in_networks[] = {
    { "192.0.2.129", 24, 64, "192.0.2.0/24" },
    { "192.0.2.129", 25, 64, "192.0.2.128/25" },
    { "192.0.2.129", 32, 64, "192.0.2.129" },
    { "192.0.2.129", 0, 64, "0.0.0.0/0" },
    { "255.255.255.255", 31, 64, "255.255.255.254/31" },
    { "::ffff:192.0.2.129", 24, 64, "192.0.2.0/24" },
    { "2001:db8:1:2:3:4:5:6", 24, 64, "2001:db8:1:2::/64" },
    { "2001:db8:1:2:3:4:5:6", 24, 63, "2001:db8:1:2::/63" },
    { "2001:db8:1:3:3:4:5:6", 24, 63, "2001:db8:1:2::/63" },
    { "2001:db8:1:2:3:4:5:6", 24, 128, "2001:db8:1:2:3:4:5:6" },
    { "2001:db8::1", 24, 0, "::/0" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 24, 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
};

static void an_address_and_the_network_it_is_in(void)
{
    for (size_t i = 0; i < sizeof in_networks / sizeof *in_networks; i++) {
        char text[NETWORK_TEXT_MAX];
        struct address address;
        struct network network;
        size_t n;

        CHECK_ROW(in_networks[i].network);
        CHECK(address_parse(str_of(in_networks[i].address), &address));
        n = address_print_network(&address, in_networks[i].v4_bits, in_networks[i].v6_bits, text);
        CHECK_EQ_STR(text, n, in_networks[i].network);
        CHECK(n == strlen(text) && network_parse(str_from(text, n), &network) && network_holds(&network, &address));
    }
}

static const struct test_case tests[] = {
    TEST(addresses_and_their_text),
    TEST(what_is_no_address),
    TEST(kinds_of_addresses),
    TEST(one_address_in_two_spellings_is_equal),
    TEST(endpoints),
    TEST(networks_and_who_is_in_them),
    TEST(what_is_no_network),
    TEST(an_address_and_the_network_it_is_in),
    TEST(every_prefix_and_mutation_is_read_as_libc_reads_it),
    TEST(every_pattern_of_zeros_is_read_back),
};
TEST_MAIN(tests)
