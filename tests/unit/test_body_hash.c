/* Body hashes: every small body, every cut, both forms, any limit (RFC 6376 3.4.3 to 3.4.5; ATTACKS H01, H07, H09). */
#include "policy/body_hash.h"

#include "body_hash_oracle.h"
#include "test.h"

#define FIELD(tags) \
    "DKIM-Signature: v=1;a=rsa-sha256;d=a.example;s=x;h=from;b=Zm9v;" \
    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;" tags "\r\n"
#define AMS(i, tags) \
    "ARC-Message-Signature: i=" i ";a=rsa-sha256;d=a.example;s=x;h=from;b=Zm9v;" \
    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;" tags "\r\n"

static struct facts facts;
static struct fact table[16];
static char memory[4096];
static struct canonical room;

static void end(struct body_hashes *hashes)
{
    facts_init(&facts, table, 16, memory, sizeof memory);
    body_hashes_end(hashes, &facts);
}

/* ---- the canonical forms ---- */

static const struct {
    const char *label;
    struct str body, relaxed, simple;
} forms[] = {
    { "the example of 3.4.5", STR_INIT(" C \r\nD \t E\r\n\r\n\r\n"), STR_INIT(" C\r\nD E\r\n"),
      STR_INIT(" C \r\nD \t E\r\n") },
    { "empty", STR_INIT(""), STR_INIT(""), STR_INIT("\r\n") },
    { "one empty line", STR_INIT("\r\n"), STR_INIT(""), STR_INIT("\r\n") },
    { "white space alone", STR_INIT(" \t\r\n"), STR_INIT(""), STR_INIT(" \t\r\n") },
    { "white space alone, without an end", STR_INIT(" "), STR_INIT(""), STR_INIT(" \r\n") },
    { "no line end", STR_INIT("a"), STR_INIT("a\r\n"), STR_INIT("a\r\n") },
    { "no line end and white space", STR_INIT("a "), STR_INIT("a\r\n"), STR_INIT("a \r\n") },
    { "empty lines in front", STR_INIT("\r\n\r\na\r\n"), STR_INIT("\r\n\r\na\r\n"), STR_INIT("\r\n\r\na\r\n") },
    { "lines of white space at the end", STR_INIT("a\r\n \r\n\t\r\n"), STR_INIT("a\r\n"),
      STR_INIT("a\r\n \r\n\t\r\n") },
    { "a bare CR and a bare LF are content", STR_INIT("a\rb\n\r\n\r"), STR_INIT("a\rb\n\r\n\r\r\n"),
      STR_INIT("a\rb\n\r\n\r\r\n") },
    { "white space before a bare CR stays", STR_INIT("a \r b \n\r\n"), STR_INIT("a \r b \n\r\n"),
      STR_INIT("a \r b \n\r\n") },
    { "CR CR LF", STR_INIT("a\r\r\n"), STR_INIT("a\r\r\n"), STR_INIT("a\r\r\n") },
};

static void check_body(struct str header, struct str body, size_t cut, bool in_octets)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, header, 5);
    if (in_octets) {
        for (size_t i = 0; i < body.n; i++)
            body_hashes_add(&hashes, str_from(body.p + i, 1));
    } else {
        body_hashes_add(&hashes, str_from(body.p, cut));
        body_hashes_add(&hashes, str_skip(body, cut));
    }
    end(&hashes);
    for (int form = 0; form < 2; form++) {
        struct str canonical = canonical_body(&room, body, form == 1);

        CHECK(body_hash_is(&facts, form == 1, false, 0, canonical));
        CHECK(body_hash_is(&facts, form == 1, true, 3, canonical));
    }
}

#define BOTH FIELD("") FIELD("l=3") FIELD("c=simple/relaxed") FIELD("c=simple/relaxed;l=3")

static void forms_are_those_of_the_rfc(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct str relaxed = canonical_body(&room, forms[i].body, true), simple;

        CHECK_ROW(forms[i].label);
        CHECK(str_eq(relaxed, forms[i].relaxed));
        simple = canonical_body(&room, forms[i].body, false);
        CHECK(str_eq(simple, forms[i].simple));
        for (size_t cut = 0; cut <= forms[i].body.n; cut++)
            check_body(STR(BOTH), forms[i].body, cut, false);
        check_body(STR(BOTH), forms[i].body, 0, true);
    }
}

/* Every body of up to five of these, cut everywhere. */
static void every_small_body_is_hashed_right(void)
{
    static const char *const parts[] = { "a", " ", "\t", "\r\n", "\r", "\n" };
    enum { PARTS = 6, DEPTH = 5 };

    for (unsigned code = 0; code < 7776; code += 7776 / TEST_LESS(7776)) {
        char body[16];
        size_t n = 0;
        unsigned rest = code;

        for (int i = 0; i < DEPTH; i++, rest /= PARTS) {
            memcpy(body + n, parts[rest % PARTS], strlen(parts[rest % PARTS]));
            n += strlen(parts[rest % PARTS]);
        }
        for (size_t cut = 0; cut <= n; cut += 1 + code % 2)
            check_body(STR(BOTH), str_from(body, n), cut, false);
        check_body(STR(BOTH), str_from(body, n), 0, true);
    }
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16 & 0x7fff;
}

/* Long lines and blocks, where the relaxed form looks at 64 octets at a time. */
static void long_bodies_are_hashed_right(void)
{
    static const char *const parts[] = {
        "word",     " ",
        " ",        " ",
        "  ",       "\t",
        "\r\n",     " \r\n",
        "\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    unsigned state = 7;

    for (int round = 0; round < TEST_LESS(2000); round++) {
        static char body[4096];
        size_t n = 0, want = next_random(&state) % 1200;

        while (n < want) {
            const char *part = parts[next_random(&state) % (round % 2 ? 10 : 5)];

            memcpy(body + n, part, strlen(part));
            n += strlen(part);
        }
        check_body(STR(BOTH), str_from(body, n), n > 0 ? next_random(&state) % n : 0, false);
    }
}

/* ---- limits ---- */

static void every_limit_is_a_hash_of_its_own(void)
{
    struct str body = STR("a  b\r\n\r\nc\r\n\r\n");
    struct str relaxed;

    for (unsigned limit = 0; limit < 20; limit++) {
        char header[2048];
        struct body_hashes hashes;

        snprintf(header, sizeof header, FIELD("c=simple/relaxed;l=%u") FIELD("c=simple/relaxed;l=%u") FIELD("l=%u"),
                 limit, limit + 1, limit);
        body_hashes_begin(&hashes, str_of(header), 5);
        CHECK_EQ_INT(hashes.n, 3);
        for (size_t i = 0; i < body.n; i += 3)
            body_hashes_add(&hashes, str_from(body.p + i, body.n - i < 3 ? body.n - i : 3));
        end(&hashes);
        relaxed = canonical_body(&room, body, true);
        CHECK(body_hash_is(&facts, true, true, limit, relaxed));
        CHECK(body_hash_is(&facts, true, true, limit + 1, relaxed));
        CHECK(body_hash_is(&facts, false, true, limit, canonical_body(&room, body, false)));
    }
}

static void names_say_form_and_limit(void)
{
    char name[BODY_HASH_NAME_MAX];
    struct str s = body_hash_name(true, false, 0, name);

    CHECK_EQ_STR(s.p, s.n, "relaxed");
    s = body_hash_name(false, true, 100, name);
    CHECK_EQ_STR(s.p, s.n, "simple 100");
    s = body_hash_name(true, true, UINT64_MAX, name);
    CHECK_EQ_STR(s.p, s.n, "relaxed 18446744073709551615");
}

/* ---- which hashes ---- */

static size_t wanted(const char *header, size_t signatures)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, str_of(header), signatures);
    return hashes.n;
}

static void hashes_are_those_of_the_signatures(void)
{
    CHECK_EQ_INT(wanted("From: a@a.example\r\n", 5), 0);
    CHECK_EQ_INT(wanted(FIELD(""), 5), 1);
    CHECK_EQ_INT(wanted(FIELD("") FIELD("c=simple") FIELD("c=relaxed"), 5), 1);
    CHECK_EQ_INT(wanted(FIELD("") FIELD("l=1") FIELD("l=2"), 5), 3);
    CHECK_EQ_INT(wanted(FIELD("") FIELD("l=1") FIELD("l=2"), 2), 2);
    CHECK_EQ_INT(wanted(FIELD("v=1"), 5), 0); /* refused: it has v= twice */
    CHECK_EQ_INT(wanted("DKIM-Signature: v=1;a=rsa-sha1;d=a.example;s=x;h=from;b=Zm9v;bh=Zm9v\r\n", 5), 0);
    CHECK_EQ_INT(wanted(FIELD("") "\r\n" FIELD("l=1"), 5), 1);
    CHECK_EQ_INT(wanted(FIELD("") AMS("1", "c=relaxed/relaxed"), 5), 2);
    CHECK_EQ_INT(wanted(AMS("1", "l=1") AMS("3", "l=3") AMS("2", "l=2"), 0), 1);
    CHECK_EQ_INT(wanted(FIELD("l=1") FIELD("l=2") FIELD("l=3") FIELD("l=4") FIELD("l=5") FIELD("l=6") AMS("1", ""), 9),
                 6);
}

static void the_newest_arc_signature_counts(void)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, STR(AMS("1", "l=1") AMS("3", "l=3") AMS("2", "l=2")), 5);
    CHECK(hashes.hash[0].has_limit && hashes.hash[0].limit == 3);
}

/* ---- size ---- */

enum { MEGABYTE = 1 << 20, EMPTY = TEST_LESS(100 * MEGABYTE), BLANKS = TEST_LESS(10 * MEGABYTE) };

static void feed(struct body_hashes *hashes, const char *pattern, size_t octets)
{
    static char piece[65536];
    size_t n = strlen(pattern);

    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = pattern[i % n];
    for (; octets > 0; octets -= octets < sizeof piece ? octets : sizeof piece)
        body_hashes_add(hashes, str_from(piece, octets < sizeof piece ? octets : sizeof piece));
}

static const char *length_of(bool is_relaxed)
{
    char name[BODY_HASH_NAME_MAX];
    const struct fact *fact =
        facts_find(&facts, (struct question){ ASK_BODY, body_hash_name(is_relaxed, false, 0, name) });
    static char text[32];

    snprintf(text, sizeof text, "%.*s", STR_ARG(fact->value[1]));
    return text;
}

/* With the line of "a" or "b" at either end, and the CRLF that the last line lacks. */
static const char *plus_six(unsigned octets)
{
    static char text[32];

    snprintf(text, sizeof text, "%u", octets + 6);
    return text;
}

/* ATTACKS H07: 100 MB of empty lines, then nothing; and then something after all. */
static void empty_lines_cost_no_memory_and_no_time(void)
{
    struct body_hashes hashes, more;

    body_hashes_begin(&hashes, STR(FIELD("") FIELD("c=simple/relaxed")), 5);
    body_hashes_add(&hashes, STR("a\r\n"));
    feed(&hashes, "\r\n", EMPTY);
    more = hashes;
    end(&hashes);
    CHECK_EQ_STR(length_of(false), strlen(length_of(false)), "3");
    CHECK_EQ_STR(length_of(true), strlen(length_of(true)), "3");
    body_hashes_add(&more, STR("b"));
    end(&more);
    CHECK_EQ_STR(length_of(false), strlen(length_of(false)), plus_six(EMPTY));
    CHECK_EQ_STR(length_of(true), strlen(length_of(true)), plus_six(EMPTY));
}

static void white_space_costs_no_memory_and_no_time(void)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, STR(FIELD("") FIELD("c=simple/relaxed")), 5);
    body_hashes_add(&hashes, STR("a"));
    feed(&hashes, " \t", BLANKS);
    body_hashes_add(&hashes, STR("b\r\n"));
    feed(&hashes, " \r\n", BLANKS);
    feed(&hashes, "\r\n ", BLANKS);
    feed(&hashes, "a \r\n", BLANKS);
    feed(&hashes, "\r", BLANKS);
    end(&hashes);
    CHECK_EQ_STR(length_of(false), strlen(length_of(false)), plus_six(5 * BLANKS));
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(forms_are_those_of_the_rfc),
    TEST(every_small_body_is_hashed_right),
    TEST(long_bodies_are_hashed_right),
    TEST(every_limit_is_a_hash_of_its_own),
    TEST(names_say_form_and_limit),
    TEST(hashes_are_those_of_the_signatures),
    TEST(the_newest_arc_signature_counts),
    TEST(empty_lines_cost_no_memory_and_no_time),
    TEST(white_space_costs_no_memory_and_no_time),
};
/* clang-format on */
TEST_MAIN(tests)
