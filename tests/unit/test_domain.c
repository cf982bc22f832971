/* Rows: domain names and address-literals, the form they are compared in, and UTF-8. */
#include <stdint.h>

#include "policy/path.h"
#include "policy/utf8.h"
#include "test.h"

#define SIXTY "012345678901234567890123456789012345678901234567890123456789"
#define LABEL63 SIXTY "abc"
#define THREE63 LABEL63 "." LABEL63 "." LABEL63

static void canonical_names(void)
{
    static const struct {
        const char *claim, *in, *out;
    } rows[] = {
        /* clang-format off */
        { "case does not matter (RFC 4343)", "Example.ORG", "example.org" },
        { "a trailing dot does not matter (RFC 1034 3.1)", "example.org.", "example.org" },
        { "an A-label is compared as its letters", "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
        { "underscores and digits stay", "_DMARC.192.example", "_dmarc.192.example" },
        { "other printable characters are DNS, if not mail (RFC 2181 11)", "a b/c.x", "a b/c.x" },
        { "a U-label becomes its A-label (RFC 5890 2.3.2.1)", "bücher.example", "xn--bcher-kva.example" },
        { "the ASCII letters of a U-label fold", "BüCHER.example", "xn--bcher-kva.example" },
        { "sharp s is a letter of its own (IDNA2008)", "faß.example", "xn--fa-hia.example" },
        { "final sigma is a letter of its own (IDNA2008)", "βόλος.example", "xn--nxasmm1c.example" },
        { "a name without ASCII", "пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f" },
        { "a character above U+FFFF", "𠮷.example", "xn--7l3i.example" },
        { "RFC 3492 7.1 (A) Arabic", "ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn" },
        { "RFC 3492 7.1 (B) Chinese, simplified", "他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye" },
        { "RFC 3492 7.1 (C) Chinese, traditional", "他們爲什麽不說中文", "xn--ihqwctvzc91f659drss3x8bo0yb" },
        { "RFC 3492 7.1 (D) Czech", "pročprostěnemluvíčesky", "xn--proprostnemluvesky-uyb24dma41a" },
        { "RFC 3492 7.1 (E) Hebrew", "למההםפשוטלאמדבריםעברית", "xn--4dbcagdahymbxekheh6e0a7fei0b" },
        { "RFC 3492 7.1 (F) Hindi", "यहलोगहिन्दीक्योंनहींबोलसकतेहैं",
          "xn--i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd" },
        { "RFC 3492 7.1 (G) Japanese", "なぜみんな日本語を話してくれないのか", "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa" },
        { "RFC 3492 7.1 (I) Russian", "почемужеонинеговорятпорусски",
          "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l" },
        { "RFC 3492 7.1 (J) Spanish", "porquénopuedensimplementehablarenespañol",
          "xn--porqunopuedensimplementehablarenespaol-fmd56a" },
        { "RFC 3492 7.1 (K) Vietnamese", "tạisaohọkhôngthểchỉnóitiếngviệt",
          "xn--tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g" },
        { "RFC 3492 7.1 (L) Japanese with digits", "3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b" },
        { "a label of 63 octets", LABEL63 ".x", LABEL63 ".x" },
        { "a name of 253 octets", THREE63 "." SIXTY "a", THREE63 "." SIXTY "a" },
        { "a name of 253 octets and its dot", THREE63 "." SIXTY "a.", THREE63 "." SIXTY "a" },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PATH_DOMAIN_MAX + 1];
        struct str name = domain_canonical(str_of(rows[i].in), out);

        CHECK_ROW(rows[i].claim);
        CHECK_EQ_STR(name.p, name.n, rows[i].out);
        name = domain_canonical(name, out);
        CHECK_EQ_STR(name.p, name.n, rows[i].out);
    }
}

#define IN(literal) STR_INIT(literal)

static void what_has_no_canonical_form(void)
{
    static const struct {
        const char *claim;
        struct str in;
    } rows[] = {
        /* clang-format off */
        { "nothing", IN("") },
        { "the root", IN(".") },
        { "an empty label", IN("a..b") },
        { "a leading dot", IN(".a") },
        { "two trailing dots", IN("a..") },
        { "a label of 64 octets (RFC 1035 2.3.4)", IN(LABEL63 "d") },
        { "a name of 254 octets (RFC 1035 2.3.4)", IN(THREE63 "." SIXTY "ab") },
        { "a U-label whose A-label has 64 octets", IN(SIXTY "\xC3\xBC") },
        { "a U-label of very many characters", IN(SIXTY SIXTY SIXTY "\xC3\xBC") },
        { "NUL", IN("a\0b") },
        { "a line end", IN("a\r\nb") },
        { "a tab in a U-label", IN("\xC3\xBC\t") },
        { "Latin-1", IN("b\xFC" "cher") },
        { "half a character", IN("b\xC3") },
        { "an overlong dot (RFC 3629 3)", IN("a\xC0\xAE" "b") },
        { "a surrogate (RFC 3629 3)", IN("a\xED\xA0\x80") },
        { "U+3002, a dot to some (RFC 5892)", IN("a\xE3\x80\x82" "b") },
        { "U+FF0E, a full-width dot", IN("a\xEF\xBC\x8E" "b") },
        { "U+FF61, a half-width dot", IN("a\xEF\xBD\xA1" "b") },
        { "U+FF4C, a full-width l", IN("\xEF\xBD\x8C" "ocal") },
        { "U+017F, a long s", IN("\xC5\xBF" "ecure") },
        { "U+212A, the Kelvin sign", IN("\xE2\x84\xAA" "elvin") },
        { "U+00C4, a capital letter (RFC 5892: A-labels have none)", IN("\xC3\x84rger") },
        { "U+00AD, which nobody sees", IN("a\xC2\xAD" "b") },
        { "U+200B, which nobody sees", IN("a\xE2\x80\x8B" "b") },
        { "U+2028, a line end to some", IN("a\xE2\x80\xA8" "b") },
        { "U+0085, a line end to some", IN("a\xC2\x85" "b") },
        { "a U-label that begins as an A-label (RFC 5891 4.2.3.1)", IN("xn--b\xC3\xBC" "cher") },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PATH_DOMAIN_MAX + 1];
        struct str name = domain_canonical(rows[i].in, out);

        CHECK_ROW(rows[i].claim);
        CHECK(name.p == NULL && name.n == 0);
    }
}

static void domains_of_mail(void)
{
    static const struct {
        const char *claim;
        enum path_error without_utf8, with_utf8;
        struct str in;
    } rows[] = {
        /* clang-format off */
        { "letters, digits and hyphens (RFC 5321 4.1.2)", PATH_OK, PATH_OK, IN("mx-1.Example.org") },
        { "one label", PATH_OK, PATH_OK, IN("localhost") },
        { "digits alone", PATH_OK, PATH_OK, IN("192.0.2.1") },
        { "two hyphens", PATH_OK, PATH_OK, IN("a--b") },
        { "an A-label", PATH_OK, PATH_OK, IN("xn--bcher-kva") },
        { "underscores, as names in use have them", PATH_OK, PATH_OK, IN("_a._b_.c_") },
        { "255 octets (RFC 5321 4.5.3.1.2)", PATH_OK, PATH_OK, IN(THREE63 "." LABEL63) },
        { "a U-label, with SMTPUTF8 only (RFC 6531 3.3)", PATH_NEEDS_UTF8, PATH_OK,
          IN("b\xC3\xBC" "cher.example") },
        { "nothing", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("") },
        { "a trailing dot (the caller drops it)", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a.") },
        { "an empty label", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a..b") },
        { "a leading hyphen (Let-dig)", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("-a") },
        { "a trailing hyphen (Ldh-str)", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a-.b") },
        { "a trailing hyphen of a U-label", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("\xC3\xBC-") },
        { "a blank", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a b") },
        { "a slash", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a/b") },
        { "NUL", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("a\0b") },
        { "a literal", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("[192.0.2.1]") },
        { "malformed UTF-8", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN("b\xFC") },
        { "a label of 64 octets", PATH_DOMAIN_TOO_LONG, PATH_DOMAIN_TOO_LONG, IN(LABEL63 "d") },
        { "a U-label whose A-label is too long", PATH_DOMAIN_TOO_LONG, PATH_DOMAIN_TOO_LONG,
          IN(SIXTY "\xC3\xBC") },
        { "256 octets", PATH_DOMAIN_TOO_LONG, PATH_DOMAIN_TOO_LONG, IN(THREE63 "." SIXTY ".abc") },
        { "long and bad is bad", PATH_BAD_DOMAIN, PATH_BAD_DOMAIN, IN(LABEL63 "d..a") },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].claim);
        CHECK_EQ_INT(domain_check(rows[i].in, 0), rows[i].without_utf8);
        CHECK_EQ_INT(domain_check(rows[i].in, PATH_UTF8), rows[i].with_utf8);
        CHECK_EQ_INT(domain_is_valid(rows[i].in), rows[i].without_utf8 == PATH_OK);
    }
}

static void address_literals(void)
{
    static const struct {
        const char *claim;
        bool is_valid;
        struct str in;
    } rows[] = {
        /* clang-format off */
        { "IPv4 (RFC 5321 4.1.3)", true, IN("[192.0.2.1]") },
        { "IPv6", true, IN("[IPv6:2001:db8::1]") },
        { "the tag in any case (RFC 5234 2.3)", true, IN("[ipv6:::1]") },
        { "IPv6 with an IPv4 tail (IPv6v4-full)", true, IN("[IPv6:::ffff:192.0.2.1]") },
        { "no brackets", false, IN("192.0.2.1") },
        { "one bracket", false, IN("[192.0.2.1") },
        { "brackets alone", false, IN("[]") },
        { "half a pair", false, IN("[") },
        { "a tag alone", false, IN("[IPv6:]") },
        { "IPv6 without its tag", false, IN("[::1]") },
        { "the tag before IPv4", false, IN("[IPv6:192.0.2.1]") },
        { "a tag nobody registered", false, IN("[x-net:1]") },
        { "three parts", false, IN("[192.0.2]") },
        { "an octet of 256", false, IN("[192.0.2.256]") },
        { "leading zeros, octal to some", false, IN("[192.0.2.010]") },
        { "a blank", false, IN("[192.0.2.1 ]") },
        { "a zone (RFC 4007)", false, IN("[IPv6:fe80::1%eth0]") },
        { "NUL", false, IN("[192.0.2.1\0]") },
        { "text behind it", false, IN("[192.0.2.1].") },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].claim);
        CHECK_EQ_INT(address_literal_is_valid(rows[i].in), rows[i].is_valid);
    }
}

/* RFC 3629 3, written by its arithmetic rather than by the decoder's table. */
static size_t encode(uint32_t c, char out[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t LEAD[] = { 0, 0, 0xC0, 0xE0, 0xF0 };

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(LEAD[n] | c);
    return n;
}

static void every_code_point_is_decoded(void)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint32_t point;
        char text[4];
        size_t n = encode(c, text);
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;

        if (utf8_decode(str_from(text, n), &point) != (is_surrogate ? 0 : n) || (!is_surrogate && point != c))
            CHECK_EQ_INT(point, c);
        if (n > 1 && utf8_decode(str_from(text, n - 1), &point) != 0)
            CHECK_EQ_INT(0, c);
    }
}

static void only_shortest_forms_are_decoded(void)
{
    size_t good = 0;
    uint32_t point;

    for (uint32_t three = 0; three < 0x1000000; three++) {
        char text[4] = { (char)(three >> 16), (char)(three >> 8), (char)three, (char)0x80 };
        char back[4];
        size_t n = utf8_decode(str_from(text, 4), &point);

        if (n == 0)
            continue;
        good++;
        if (encode(point, back) != n || memcmp(text, back, n) != 0)
            CHECK_EQ_INT(three, -1);
    }
    CHECK(good > 0);
}

static void whole_slices_of_utf8(void)
{
    CHECK(utf8_is_valid(str_from(NULL, 0)));
    CHECK(utf8_is_valid(STR("a\0b\xC3\xBC")));
    CHECK(!utf8_is_valid(STR("a\xC3")));
    CHECK(!utf8_is_valid(STR("\x80")));
    CHECK(!utf8_is_valid(STR("\xFF\xFE")));
}

static void check_any(const char *p, size_t n)
{
    char first[PATH_DOMAIN_MAX + 1], second[PATH_DOMAIN_MAX + 1];
    struct str name = domain_canonical(str_from(p, n), first);
    struct str again;

    if (domain_check(str_from(p, n), PATH_UTF8) == PATH_OK && n <= 200)
        CHECK(name.n > 0);
    if (name.p == NULL)
        return;
    again = domain_canonical(name, second);
    CHECK(str_eq(name, again));
    for (size_t i = 0; i < name.n; i++)
        CHECK(name.p[i] >= 0x20 && name.p[i] < 0x7F && ascii_lower(name.p[i]) == name.p[i]);
}

static void every_prefix_and_mutation_is_safe(void)
{
    static const struct str samples[] = {
        IN("Example.org."),
        IN("b\xC3\xBC"
           "cher.example"),
        IN("\xF0\xA0\xAE\xB7.\xE6\x97\xA5\xE6\x9C\xAC"),
        IN("xn--bcher-kva._a"),
        IN("[IPv6:2001:db8::192.0.2.1]"),
        IN("a\xE3\x80\x82"
           "b"),
        IN(LABEL63 ".x"),
    };
    char mutant[128];

    for (size_t s = 0; s < sizeof samples / sizeof samples[0]; s++)
        for (size_t n = 0; n <= samples[s].n; n++)
            for (int byte = 0; byte < 256; byte++) {
                char *end = mutant + sizeof mutant - n;

                memcpy(end, samples[s].p, n);
                if (n > 0)
                    end[n - 1] = (char)byte;
                check_any(end, n);
                (void)address_literal_is_valid(str_from(end, n));
            }
}

static void one_name_lies_within_another_at_a_dot(void)
{
    static const struct {
        const char *name, *domain;
        bool want;
    } rows[] = {
        { "example.com", "example.com", true },
        { "a.example.com", "example.com", true },
        { "example.com", "a.example.com", false },
        { "badexample.com", "example.com", false },
        { "example.com", "com", true },
        { "example.com", "", false },
        { "", "", false },
        { ".example.com", "example.com", true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].name);
        CHECK_EQ_INT(domain_is_within(str_of(rows[i].name), str_of(rows[i].domain)), rows[i].want);
    }
}

static const struct test_case tests[] = {
    TEST(canonical_names),      TEST(what_has_no_canonical_form),        TEST(domains_of_mail),
    TEST(address_literals),     TEST(every_code_point_is_decoded),       TEST(only_shortest_forms_are_decoded),
    TEST(whole_slices_of_utf8), TEST(every_prefix_and_mutation_is_safe), TEST(one_name_lies_within_another_at_a_dot),
};
TEST_MAIN(tests)
