/* Header fields: what is one, where it ends, and what stays out of it. */
#include "policy/header.h"

#include <stdlib.h>

#include "test.h"

/* Fields as "name=value|name=value|", then what is left of the text. */
/* clang-format off */
static const struct {
    const char *claim;
    struct str in;
    const char *names;
    size_t left;
} rows[] = {
    { "two fields and the empty line", STR_INIT("From: a\r\nTo:b\r\n\r\nbody"), "From= a|To=b|", 6 },
    { "a folded field is one", STR_INIT("S: a\r\n b\r\n\tc\r\nT: d\r\n\r\n"), "S= a\r\n b\r\n\tc|T= d|", 2 },
    { "a line of blanks continues (obs-FWS)", STR_INIT("S: a\r\n \t\r\n b\r\n\r\n"), "S= a\r\n \t\r\n b|", 2 },
    { "a line of blanks can end a field", STR_INIT("S: a\r\n  \r\nT:b\r\n\r\n"), "S= a\r\n  |T=b|", 2 },
    { "blanks before the colon (RFC 5322 4.5)", STR_INIT("From \t: a\r\n\r\n"), "From= a|", 2 },
    { "an empty value", STR_INIT("From:\r\n\r\n"), "From=|", 2 },
    { "a value of a fold alone", STR_INIT("From:\r\n \r\n\r\n"), "From=\r\n |", 2 },
    { "colons in a value", STR_INIT("S: a:b: c\r\n\r\n"), "S= a:b: c|", 2 },
    { "a name of odd but legal octets", STR_INIT("X!\"#()/;<>@[\\]^`{|}~9: v\r\n\r\n"), "X!\"#()/;<>@[\\]^`{|}~9= v|", 2 },
    { "nothing but the empty line", STR_INIT("\r\n"), "", 2 },
    { "a bare LF is content", STR_INIT("S: a\nT: b\r\n\r\n"), "S= a\nT: b|", 2 },
    { "a bare CR is content", STR_INIT("S: a\rT: b\r\n\r\n"), "S= a\rT: b|", 2 },
    { "LF LF is no empty line", STR_INIT("S: a\n\nbody\r\n\r\n"), "S= a\n\nbody|", 2 },
    { "LF CR is no line end", STR_INIT("S: a\n\rT: b\r\n\r\n"), "S= a\n\rT: b|", 2 },
    { "CR CR LF ends a line with a CR in it", STR_INIT("S: a\r\r\nT: b\r\n\r\n"), "S= a\r|T= b|", 2 },
    { "NUL in a value is content", STR_INIT("S: \0\r\nT: b\r\n\r\n"), NULL, 2 },
    { "a first line that continues nothing", STR_INIT(" x: y\r\nFrom: a\r\n\r\n"), "", 18 },
    { "a first line of blanks", STR_INIT("\t\r\nFrom: a\r\n\r\n"), "", 14 },
    { "a line without a colon", STR_INIT("From: a\r\nhello\r\nTo: b\r\n\r\n"), "From= a|", 16 },
    { "an empty name", STR_INIT(": a\r\n\r\n"), "", 7 },
    { "blanks and a colon", STR_INIT(" : a\r\n\r\n"), "", 8 },
    { "a blank in the name", STR_INIT("Fr om: a\r\n\r\n"), "", 12 },
    { "a fold before the colon", STR_INIT("From\r\n : a\r\n\r\n"), "", 14 },
    { "NUL in the name", STR_INIT("Fr\0om: a\r\n\r\n"), "", 12 },
    { "NUL before the colon", STR_INIT("From\0: a\r\n\r\n"), "", 12 },
    { "a control in the name", STR_INIT("From\x01: a\r\n\r\n"), "", 12 },
    { "DEL in the name", STR_INIT("From\x7f: a\r\n\r\n"), "", 12 },
    { "8-bit in the name (RFC 6532 3.2)", STR_INIT("Fr\xc3\xb6m: a\r\n\r\n"), "", 12 },
    { "a bare CR in the name", STR_INIT("From\r: a\r\n\r\n"), "", 12 },
    { "a mailbox separator line", STR_INIT("From a@b Mon\r\nFrom: a\r\n\r\n"), "", 25 },
    { "cut before the empty line", STR_INIT("From: a\r\n"), "From= a|", 0 },
    { "cut in the empty line", STR_INIT("From: a\r\n\r"), "From= a|", 1 },
    { "cut in a value: still a field", STR_INIT("From: a"), "From= a|", 0 },
    { "cut in a line end", STR_INIT("From: a\r"), "From= a\r|", 0 },
    { "cut in a fold", STR_INIT("From: a\r\n b"), "From= a\r\n b|", 0 },
    { "cut in a name", STR_INIT("From: a\r\nTo"), "From= a|", 2 },
    { "cut before the colon", STR_INIT("From: a\r\nTo "), "From= a|", 3 },
    { "a CR that begins no empty line", STR_INIT("From: a\r\n\rx"), "From= a|", 2 },
    { "a LF is no empty line", STR_INIT("From: a\r\n\nx"), "From= a|", 2 },
    { "nothing", { NULL, 0 }, "", 0 },
};
/* clang-format on */

static void append(char *out, struct str s)
{
    strncat(out, s.p, s.n);
}

static void reads_fields(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str rest = rows[i].in;
        struct header_field field;
        char names[200] = "";

        CHECK_ROW(rows[i].claim);
        while (header_next(&rest, &field)) {
            append(names, field.name);
            append(names, STR("="));
            append(names, field.value);
            append(names, STR("|"));
        }
        if (rows[i].names != NULL)
            CHECK_EQ_STR(names, strlen(names), rows[i].names);
        CHECK_EQ_INT(rest.n, rows[i].left);
    }
}

static void the_raw_fields_are_the_whole_section(void)
{
    struct str text = STR("A : 1\r\nB:\r\n 2\r\n\t\r\nC:3\r\n\r\nx"), rest = text;
    struct header_field field;
    size_t n = 0;

    while (header_next(&rest, &field)) {
        CHECK(field.raw.p == text.p + n);
        n += field.raw.n;
    }
    CHECK_EQ_INT(n, text.n - 3);
    CHECK_EQ_STR(rest.p, rest.n, "\r\nx");
}

/* clang-format off */
static const struct {
    const char *claim;
    struct str in;
    size_t length;
    bool complete;
} lengths[] = {
    { "up to the empty line", STR_INIT("A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n"), 12, true },
    { "nothing before it", STR_INIT("\r\nbody"), 0, true },
    { "a line that is no field is in between", STR_INIT("A: 1\r\nno field\r\nB: 2\r\n\r\n"), 22, true },
    { "so is a line of blanks", STR_INIT("A: 1\r\n \r\n\r\n"), 9, true },
    { "bare LF LF is no empty line", STR_INIT("A: 1\n\nB\r\n\r\n"), 9, true },
    { "no empty line yet", STR_INIT("A: 1\r\nB: 2\r\n"), 12, false },
    { "the last line goes on", STR_INIT("A: 1\r\nB: 2"), 6, false },
    { "the last line ends in half a CRLF", STR_INIT("A: 1\r\nB: 2\r"), 6, false },
    { "half an empty line", STR_INIT("A: 1\r\n\r"), 6, false },
    { "nothing", { NULL, 0 }, 0, false },
};
/* clang-format on */

static void finds_the_empty_line(void)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bool complete;

        CHECK_ROW(lengths[i].claim);
        CHECK_EQ_INT(header_length(lengths[i].in, &complete), lengths[i].length);
        CHECK_EQ_INT(complete, lengths[i].complete);
    }
}

/* Text that comes in pieces: the search goes on from where it stopped, and ends where it would have in one go. */
static void finds_it_in_two_goes(void)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CHECK_ROW(lengths[i].claim);
        for (size_t n = 0; n < lengths[i].in.n; n++) {
            bool complete;
            size_t at = header_length(str_from(lengths[i].in.p, n), &complete);

            if (!complete)
                at += header_length(str_skip(lengths[i].in, at), &complete);
            CHECK_EQ_INT(at, lengths[i].length);
            CHECK_EQ_INT(complete, lengths[i].complete);
        }
    }
}

static void passes_over_what_is_no_field(void)
{
    struct str rest = STR(" x\r\nA: 1\r\nno field\r\n\tfold\r\nB: 2\r\n 3\r\n: x\r\nC: 4\r\n\r\nD: 5\r\n");
    struct header_field field;
    char names[8] = "";

    while (header_next_anywhere(&rest, &field))
        append(names, field.name);
    CHECK_EQ_STR(names, strlen(names), "ABC");
    CHECK_EQ_STR(rest.p, rest.n, "\r\nD: 5\r\n");
}

static void compares_names_without_case(void)
{
    struct header_field field = { .name = STR("FROM") };

    CHECK(header_is(&field, STR("From")));
    CHECK(!header_is(&field, STR("Fro")));
    CHECK(!header_is(&field, STR("From:")));
}

enum { HUGE_FIELD = 1 << 20 };

/* One field of a million folds, and a name of a million octets: time in proportion, no recursion. */
static void huge_fields_are_fields(void)
{
    char *text = malloc(3 * HUGE_FIELD + 5);
    struct str rest = { text, 3 * HUGE_FIELD + 5 };
    struct header_field field;

    if (text == NULL)
        SKIP("no memory");
    memcpy(text, "S:", 2);
    for (size_t i = 0; i < HUGE_FIELD; i++)
        memcpy(text + 2 + 3 * i, "\r\n ", 3);
    memcpy(text + 2 + 3 * HUGE_FIELD, "x\r\n", 3);
    CHECK(header_next(&rest, &field));
    CHECK_EQ_INT(field.value.n, 3 * HUGE_FIELD + 1);
    CHECK_EQ_INT(rest.n, 0);

    memset(text, 'n', HUGE_FIELD);
    text[HUGE_FIELD] = ':';
    rest = str_from(text, HUGE_FIELD + 1);
    CHECK(header_next(&rest, &field));
    CHECK_EQ_INT(field.name.n, HUGE_FIELD);
    CHECK_EQ_INT(field.value.n, 0);
    free(text);
}

static void skips_comments_and_white_space(void)
{
    /* clang-format off */
    static const struct {
        const char *in, *out;
    } cfws[] = {
        { "", "" }, { "x", "x" }, { " \t x", "x" }, { "(c)x", "x" }, { " (c) (d)\t(e) x", "x" }, { "(a(b)c)x", "x" },
        { "(a\\)b)x", "x" }, { "(a\\(b)x", "x" }, { "(\\\\)x", "x" }, { "(\"))x", ")x" }, { "\r\n x", "x" },
        { "(a\r\n b)\r\n\tx", "x" }, { "(a", "" }, { "((a)", "" }, { "(a\\)", "" }, { "(a\\", "" }, { "\r\nx", "\r\nx" },
        { "\nx", "\nx" }, { "\rx", "\rx" }, { "\\(a)x", "\\(a)x" }, { "x(c)", "x(c)" }, { "\r\n", "\r\n" },
        { " \r\n \r\n x", "x" }, { "()", "" },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof cfws / sizeof *cfws; i++) {
        struct str rest = header_skip_cfws(str_of(cfws[i].in));

        CHECK_ROW(cfws[i].in);
        CHECK_EQ_STR(rest.p, rest.n, cfws[i].out);
    }
    CHECK_EQ_INT(header_skip_cfws(str_from(NULL, 0)).n, 0);
}

enum { DEEP = 10000 };

static void comments_nest_as_deep_as_they_like(void)
{
    static char text[2 * DEEP + 1];
    struct str rest;

    memset(text, '(', DEEP);
    memset(text + DEEP, ')', DEEP);
    text[2 * DEEP] = 'x';
    rest = header_skip_cfws(str_from(text, sizeof text));
    CHECK_EQ_STR(rest.p, rest.n, "x");
    CHECK_EQ_INT(header_skip_cfws(str_from(text, 2 * DEEP - 1)).n, 0);
}

static void reads_authserv_ids(void)
{
    /* clang-format off */
    static const struct {
        const char *in, *id; /* NULL: none */
    } ids[] = {
        { " mx.local.example; spf=pass", "mx.local.example" }, { "mx.local.example 1; none", "mx.local.example" },
        { "mx.local.example", "mx.local.example" },           { "(c) mx (c) 1;", "mx" },
        { "\r\n (c)\r\n\tmx;", "mx" },                        { "mx(c);", "mx" },
        { "\"mx.local.example\"; x", "mx.local.example" },    { "\"m\\x\\\"\";", "mx\"" },
        { "\"m\r\n x\"", "m x" },                             { "MX;", "MX" },
        { "\xc3\xa4.example;", "\xc3\xa4.example" },          { "mx/1;", "mx" },
        { "mx=1;", "mx" },                                    { "12345678901234567890", "12345678901234567890" },
        { "123456789012345678901", NULL },                    { "\"123456789012345678901\"", NULL },
        { "", NULL },                                         { ";", NULL },
        { "(mx", NULL },                                      { "\"mx", NULL },
        { "\"mx\\", NULL },                                   { "\"\"", NULL },
        { "\"mx\\\"", NULL },                                 { "\x01mx", NULL },
    };
    /* clang-format on */
    char out[20];
    size_t n;

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        bool found = header_authserv_id(str_of(ids[i].in), out, sizeof out, &n);

        CHECK_ROW(ids[i].in);
        CHECK_EQ_INT(found, ids[i].id != NULL);
        if (found && ids[i].id != NULL)
            CHECK_EQ_STR(out, n, ids[i].id);
    }
}

static const struct test_case tests[] = {
    TEST(reads_fields),           TEST(the_raw_fields_are_the_whole_section), TEST(finds_the_empty_line),
    TEST(finds_it_in_two_goes),   TEST(passes_over_what_is_no_field),         TEST(compares_names_without_case),
    TEST(huge_fields_are_fields), TEST(skips_comments_and_white_space),       TEST(comments_nest_as_deep_as_they_like),
    TEST(reads_authserv_ids),
};
TEST_MAIN(tests)
