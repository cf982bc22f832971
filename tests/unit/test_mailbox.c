/* Rows: the value of a From field, and the mailboxes in it ("local|domain", in order) or what is wrong with it. Sections are
 * those of RFC 5322 unless another RFC is named.
 */
#include "policy/encoded_word.h"
#include "policy/mailbox.h"

#include <stdlib.h>

#include "test.h"

enum { TEXT_MAX = 1024 };

static void add(char *text, struct str s)
{
    size_t n = strlen(text);

    if (n + s.n < TEXT_MAX) {
        memcpy(text + n, s.p, s.n);
        text[n + s.n] = '\0';
    }
}

static enum mailbox_error read(struct str value, char text[TEXT_MAX])
{
    struct mailbox_list list;
    struct mailbox mailbox;

    text[0] = '\0';
    mailbox_list_init(&list, value);
    while (mailbox_next(&list, &mailbox)) {
        if (text[0] != '\0')
            add(text, STR(" "));
        add(text, mailbox.local);
        add(text, STR("|"));
        add(text, mailbox.domain);
    }
    return list.error;
}

/* clang-format off */
static const struct {
    const char *value, *mailboxes;
} good[] = {
    /* 3.4: name-addr and addr-spec */
    { "a@x.example", "a|x.example" },
    { " a@x.example", "a|x.example" },
    { "\ta@x.example \t", "a|x.example" },
    { "<a@x.example>", "a|x.example" },
    { "John <a@x.example>", "a|x.example" },
    { "John<a@x.example>", "a|x.example" },
    { "John Q. Public <a@x.example>", "a|x.example" },
    { "\"Public, John\" <a@x.example>", "a|x.example" },
    { "\"b@y.example\" <a@x.example>", "a|x.example" },
    { "\"<b@y.example>\" <a@x.example>", "a|x.example" },
    { "\"\\\"b@y.example\" <a@x.example>", "a|x.example" },
    { "\"John\" 'Q.' \"Public\" <a@x.example>", "a|x.example" },
    { "\"\" <a@x.example>", "a|x.example" },
    { "[Tracker] John <a@x.example>", "a|x.example" },
    { "John [Sales] <a@x.example>", "a|x.example" },
    { "J\xc3\xbcrgen <a@x.example>", "a|x.example" },
    { "\"\xe6\x97\xa5\xe6\x9c\xac\" <a@x.example>", "a|x.example" },
    { "=?utf-8?q?J=C3=BCrgen?= <a@x.example>", "a|x.example" },
    { "=?UTF-8?B?SsO8cmdlbg==?= =?utf-8?q?_M?= <a@x.example>", "a|x.example" },
    { "=?utf-8?q?b=40y.example?= <a@x.example>", "a|x.example" },
    { "=?utf-8?q?M=C3=BCller=2C_Hans?= <a@x.example>", "a|x.example" },
    { "\r\n a@x.example", "a|x.example" },
    { "John\r\n\tPublic\r\n <a@x.example>", "a|x.example" },
    { "\"John\r\n Public\" <a@x.example>", "a|x.example" },
    { "< a@x.example >", "a|x.example" },
    { "John <\r\n a@x.example>", "a|x.example" },
    { "j\xc3\xbcrgen@m\xc3\xbcnchen.example", "j\xc3\xbcrgen|m\xc3\xbcnchen.example" },
    { "a+b=c@x.example", "a+b=c|x.example" },
    { "b%y.example@x.example", "b%y.example|x.example" },
    { "y.example!b@x.example", "y.example!b|x.example" },

    /* dots that RFC 5322 does not know and telephones write */
    { "a..b@x.example", "a..b|x.example" },
    { "a.@x.example", "a.|x.example" },
    { ".a@x.example", ".a|x.example" },
    { "\"a..b\"@x.example", "\"a..b\"|x.example" },
    { "\"a b\"@x.example", "\"a b\"|x.example" },
    { "<\"a b\"@x.example>", "\"a b\"|x.example" },

    /* 3.2.2: comments around addresses and in display names */
    { "a@x.example (John)", "a|x.example" },
    { "(John) a@x.example", "a|x.example" },
    { "(a(b)\\(c) <a@x.example> (d)\r\n (e)", "a|x.example" },
    { "John (\"Q) Public <a@x.example>", "a|x.example" },
    { "a@x.example(John)", "a|x.example" },

    /* lists, 3.6.2 and 4.4 */
    { "a@x.example, b@y.example", "a|x.example b|y.example" },
    { "A <a@x.example>,\r\n B <b@y.example>", "a|x.example b|y.example" },
    { "a@x.example,", "a|x.example" },
    { ",,a@x.example, ,b@y.example", "a|x.example b|y.example" },
    { "a@x.example <b@y.example>", "a|x.example b|y.example" },
    { "a@x.example (c) <b@y.example>, c@z.example", "a|x.example b|y.example c|z.example" },

    /* groups: 3.4, RFC 6854 */
    { "undisclosed:;", "" },
    { "undisclosed: ;", "" },
    { "Team: a@x.example, B <b@y.example>;", "a|x.example b|y.example" },
    { "\"Team\" one (x): a@x.example ; (y)", "a|x.example" },
    { "T: a@x.example;, U: b@y.example;, c@z.example", "a|x.example b|y.example c|z.example" },
    { "T:;,U:;", "" },

    /* no domain; what that means is not for the reader to say */
    { "", "" },
    { " (only) (comments)", "" },
    { "root", "|" },
    { "<>", "|" },
    { "<root>", "root|" },
    { "MAILER-DAEMON (Mail Delivery System)", "|" },
    { "Mail Delivery System <MAILER-DAEMON>", "MAILER-DAEMON|" },
    { "Public, John <a@x.example>", "| a|x.example" },
    { "=?utf-8?q?a=40x.example?=", "|" },

    /* domains as they stand; whether they are names is asked elsewhere */
    { "a@[192.0.2.1]", "a|[192.0.2.1]" },
    { "a@[IPv6:2001:db8::1]", "a|[IPv6:2001:db8::1]" },
    { "a@x.example.", "a|x.example." },
    { "a@.x..example", "a|.x..example" },
    { "a@x%2eexample", "a|x%2eexample" },
    { "a@x\xe3\x80\x82" "example", "a|x\xe3\x80\x82" "example" },
};

static const struct {
    struct str value;
    enum mailbox_error error;
} bad[] = {
#define ROW(value, error) { STR_INIT(value), error }
    ROW("a@x.example\0", MAILBOX_CONTROL),
    ROW("a@x.example\x0b", MAILBOX_CONTROL),
    ROW("John\x0c <a@x.example>", MAILBOX_CONTROL),
    ROW("John\x1b <a@x.example>", MAILBOX_CONTROL),
    ROW("\"John\x7f\" <a@x.example>", MAILBOX_CONTROL),
    ROW("a@x.example\r", MAILBOX_CONTROL),
    ROW("a@x.example\nFrom: b@y.example", MAILBOX_CONTROL),
    ROW("a@x.example\r\nFrom: b@y.example", MAILBOX_CONTROL), /* no fold: no blank behind it */
    ROW("John\xc2\x85 <a@x.example>", MAILBOX_CONTROL),
    ROW("John\xe2\x80\xa8 <a@x.example>", MAILBOX_CONTROL),
    ROW("J\xfcrgen <a@x.example>", MAILBOX_NOT_UTF8),
    ROW("\x83\x40 <a@x.example>", MAILBOX_NOT_UTF8),  /* Shift-JIS: the "@" is half a letter */
    ROW("\xc0\xbc" "b@y.example> <a@x.example>", MAILBOX_NOT_UTF8), /* an overlong "<" */
    ROW("\r\n \r\n a@x.example", MAILBOX_BLANK_LINE),
    ROW("a@x.example,\r\n\t \r\n b@x.example", MAILBOX_BLANK_LINE),
    ROW("a@x.example\r\n ", MAILBOX_BLANK_LINE),

    ROW("=?utf-8?q?b@y.example=00?= <a@x.example>", MAILBOX_HIDING),
    ROW("=?utf-8?Q?b=0d=0A?= <a@x.example>", MAILBOX_HIDING),
    ROW("=?utf-8?b?cG90dXNAd2hpdGVob3VzZS5nb3YA?= <a@x.example>", MAILBOX_HIDING),
    ROW("\"=?utf-8?b?Ygo=?=\" <a@x.example>", MAILBOX_HIDING),

    ROW("=?utf-8?q?b=40y.example=2C?= <a@x.example>", MAILBOX_HIDING), /* for whoever decodes first, here and below */
    ROW("=?utf-8?q?=3cb=40y.example=3E?= <a@x.example>", MAILBOX_HIDING),
    ROW("=?utf-8?b?PGI=?= =?utf-8?q?=40y.example>?= <a@x.example>", MAILBOX_HIDING),

    ROW("a@x.example (never ends", MAILBOX_COMMENT),
    ROW("a@x.example (never (ends)", MAILBOX_COMMENT),
    ROW("a@x.example (ends\\)", MAILBOX_COMMENT),
    ROW("a@x.example (\\", MAILBOX_COMMENT),
    ROW("<a@x.example> (<b@y.example>)", MAILBOX_COMMENT),
    ROW("(b@y.example) <a@x.example>", MAILBOX_COMMENT),
    ROW("(b\\@y.example) <a@x.example>", MAILBOX_COMMENT),
    ROW("John (x > y) <a@x.example>", MAILBOX_COMMENT),
    ROW("<a@x.example(.y.example)>", MAILBOX_COMMENT),
    ROW("<a(b)@x.example>", MAILBOX_COMMENT),
    ROW("<(b)a@x.example>", MAILBOX_COMMENT),
    ROW("a@(b)x.example", MAILBOX_COMMENT),
    ROW("<a@(b)x.example>", MAILBOX_COMMENT),

    ROW("\"a@x.example", MAILBOX_QUOTED),
    ROW("\"a\\", MAILBOX_QUOTED),
    ROW("\"a\\\" <a@x.example>", MAILBOX_QUOTED),
    ROW("\"b@y.example\"@x.example", MAILBOX_QUOTED),
    ROW("<\"b@y.example>\"@x.example>", MAILBOX_QUOTED),
    ROW("\"b>\"@x.example", MAILBOX_QUOTED),
    ROW("\"b,c\"@x.example", MAILBOX_QUOTED),
    ROW("\"b\\c\"@x.example", MAILBOX_QUOTED),
    ROW("\"b\r\n c\"@x.example", MAILBOX_QUOTED),
    ROW("\"\"@x.example", MAILBOX_QUOTED),
    ROW("\"b\r\n b@y.example\" <a@x.example>", MAILBOX_QUOTED), /* quotes that end at the CR for some, here and below */
    ROW("\"b@y.example\r\n b\" <a@x.example>", MAILBOX_QUOTED),
    ROW("\"b\r\n c\" \"b@y.example\" <a@x.example>", MAILBOX_QUOTED),
    ROW("\"b@y.example\" (c\r\n \") <a@x.example>", MAILBOX_QUOTED),
    ROW("(c\r\n \") \"b@y.example\" <a@x.example>", MAILBOX_QUOTED),
    ROW("<a@x.example>, \"b\r\n c\" <a@x.example>, \"b@y.example\" <a@x.example>", MAILBOX_QUOTED),
    ROW("<\"b@x.example>", MAILBOX_QUOTED),

    ROW("=?utf-8?q?b=40y.example?=@x.example", MAILBOX_WORD),
    ROW("<=?utf-8?q?b?=@x.example>", MAILBOX_WORD),
    ROW("\"=?utf-8?q?b=40y.example?=\"@x.example", MAILBOX_WORD),
    ROW("a@=?utf-8?q?x.example?=", MAILBOX_WORD),

    ROW("<@y.example:a@x.example>", MAILBOX_ROUTE),
    ROW("<@y.example,@z.example:a@x.example>", MAILBOX_ROUTE),
    ROW("John < @y.example:a@x.example>", MAILBOX_ROUTE),

    ROW("Team: a@x.example", MAILBOX_GROUP),
    ROW("Team:", MAILBOX_GROUP),
    ROW("a@x.example;", MAILBOX_GROUP),
    ROW(";", MAILBOX_GROUP),
    ROW("A: B: a@x.example;;", MAILBOX_GROUP),
    ROW("A:; b@y.example", MAILBOX_GROUP),
    ROW("\"<b@y.example>\": a@x.example;", MAILBOX_GROUP),
    ROW("A: a@x.example;;", MAILBOX_GROUP),

    ROW("a@x.example b@y.example", MAILBOX_SYNTAX),
    ROW("a@x.example@y.example", MAILBOX_SYNTAX),
    ROW("<a@x.example@y.example>", MAILBOX_SYNTAX),
    ROW("a@@x.example", MAILBOX_SYNTAX),
    ROW("@x.example", MAILBOX_SYNTAX),
    ROW("a@", MAILBOX_SYNTAX),
    ROW("<a@>", MAILBOX_SYNTAX),
    ROW("<a@x.example> <b@y.example>", MAILBOX_SYNTAX),
    ROW("<a@x.example><b@y.example>", MAILBOX_SYNTAX),
    ROW("<a@x.example> John", MAILBOX_SYNTAX),
    ROW("<a@x.example>.y.example", MAILBOX_SYNTAX),
    ROW("John <a@x.example", MAILBOX_SYNTAX),
    ROW("John a@x.example>", MAILBOX_SYNTAX),
    ROW("John a@x.example", MAILBOX_SYNTAX),
    ROW("John b@y.example <a@x.example>", MAILBOX_SYNTAX),
    ROW("John @ Home <a@x.example>", MAILBOX_SYNTAX),
    ROW("<<a@x.example>>", MAILBOX_SYNTAX),
    ROW("<a@x.example,b@y.example>", MAILBOX_SYNTAX),
    ROW("John \\<b@y.example\\> <a@x.example>", MAILBOX_SYNTAX),
    ROW("\"b@y.example\" [<a@x.example>", MAILBOX_SYNTAX), /* Python's readers see the quoted address */
    ROW("[=?utf-8?q?b=40y.example?=] <a@x.example>", MAILBOX_SYNTAX),
    ROW("a @x.example", MAILBOX_SYNTAX),
    ROW("a@ x.example", MAILBOX_SYNTAX),
    ROW("a@x.\r\n example", MAILBOX_SYNTAX),
    ROW("<a@x. example>", MAILBOX_SYNTAX),
    ROW("a(b)@x.example", MAILBOX_SYNTAX),
    ROW("a@x(b).example", MAILBOX_SYNTAX),
    ROW("a@x\\.example", MAILBOX_SYNTAX),
    ROW("a@\"x.example\"", MAILBOX_SYNTAX),
    ROW("a.\"b\"@x.example", MAILBOX_SYNTAX),
    ROW("\"a\".b@x.example", MAILBOX_SYNTAX),
    ROW("a@[192.0.2.1", MAILBOX_SYNTAX),
    ROW("a@[192.0.2.1].x.example", MAILBOX_SYNTAX),
    ROW("a@[192.0.2.1 ]", MAILBOX_SYNTAX),
    ROW("a\xe2\x80\x8b@x.example", MAILBOX_SYNTAX),  /* zero width space */
    ROW("b\xef\xbc\xa0y.example@x.example", MAILBOX_SYNTAX), /* fullwidth "@" */
    ROW("b\xef\xb9\xaby.example@x.example", MAILBOX_SYNTAX), /* small "@" */
    ROW("b\xef\xbc\x9e@x.example", MAILBOX_SYNTAX),  /* fullwidth ">" */
    ROW(")", MAILBOX_SYNTAX),
    ROW(":;", MAILBOX_SYNTAX),
#undef ROW
};
/* clang-format on */

static void what_all_readers_read_alike_is_taken(void)
{
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_ROW(good[i].value);
        CHECK_EQ_INT(read(str_of(good[i].value), text), MAILBOX_OK);
        CHECK_EQ_STR(text, strlen(text), good[i].mailboxes);
    }
}

static void what_they_read_differently_is_refused(void)
{
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ROW(bad[i].value.p);
        CHECK_EQ_STR(mailbox_error_name(read(bad[i].value, text)), strlen(mailbox_error_name(read(bad[i].value, text))),
                     mailbox_error_name(bad[i].error));
    }
}

/* No reading beyond the end: each front of each value, in a block of its own size. */
static void no_octet_behind_the_value_is_read(void)
{
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t n = 1; n <= bad[i].value.n; n++) {
            char *copy = malloc(n);

            memcpy(copy, bad[i].value.p, n);
            read(str_from(copy, n), text);
            free(copy);
        }
}

/* ATTACKS J07. */
static void a_million_addresses_are_too_many(void)
{
    static char value[1 << 20];
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof value / 4; i++)
        memcpy(value + 4 * i, "a@x,", 4);
    CHECK_EQ_INT(read(str_from(value, sizeof value), text), MAILBOX_TOO_LONG);
    CHECK_EQ_INT(read(str_from(value, (size_t)4 * MAILBOX_TOKENS_MAX / 2), text), MAILBOX_OK);
    CHECK_EQ_INT(read(str_from(value, (size_t)4 * MAILBOX_TOKENS_MAX / 2 + 3), text), MAILBOX_TOO_LONG);
}

/* However long the list, each octet is looked at a few times: these would take hours otherwise. */
static void hostile_values_take_one_walk(void)
{
    static const char *const fillings[] = { "(", "\"", "=?", "=?a?q?", "<",  "a",   "(a)",
                                            "[", "\\", "a.", "\"a\"",  "?=", "A:;," };
    static char value[1 << 18];
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof fillings / sizeof *fillings; i++) {
        size_t n = strlen(fillings[i]);

        for (size_t at = 0; at + n <= sizeof value; at += n)
            memcpy(value + at, fillings[i], n);
        CHECK_ROW(fillings[i]);
        CHECK(read(str_from(value, sizeof value / n * n), text) < MAILBOX_ERRORS);
    }
}

static void errors_are_told_in_words(void)
{
    for (int error = MAILBOX_OK; error < MAILBOX_ERRORS; error++)
        CHECK(strlen(mailbox_error_name((enum mailbox_error)error)) > 5);
    CHECK_EQ_STR(mailbox_error_name(MAILBOX_ERRORS), 1, "?");
}

static void encoded_words_are_found_and_looked_into(void)
{
    CHECK(encoded_word_is_in(STR("=?a?q?b?=")));
    CHECK(encoded_word_is_in(STR("x=?utf-8?q?b?=y")));
    CHECK(!encoded_word_is_in(STR("a=?b")));
    CHECK(!encoded_word_is_in(STR("a?=b")));
    CHECK(!encoded_word_is_in(STR("=?=")));
    CHECK(!encoded_words_mislead(STR("=?utf-8?q?=C3=BC=20=0?=")));
    CHECK(!encoded_words_mislead(STR("=?utf-8?q?=0x=zz?= =?utf-8?x?=00?=")));
    CHECK(!encoded_words_mislead(STR("=?utf-8?b?w7zDvA==?=")));
    CHECK(encoded_words_mislead(STR("=?a?b?c?= =?utf-8*en?q?x=0Ay?=")));
    CHECK(encoded_words_mislead(STR("=?utf-8?B?QUJD\tRAA=?=")));
    CHECK(!encoded_words_mislead(STR("=?utf-8?q?M=C3=BCller=2C_Hans?= <hans@x.example>, b@x.example")));
    CHECK(!encoded_words_mislead(STR("=?utf-8?q?hans=40x.example_via_list?=")));
    CHECK(encoded_words_mislead(STR("=?utf-8?q?hans=40x.example?=, =?utf-8?b?LA==?=")));
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(what_all_readers_read_alike_is_taken),
    TEST(what_they_read_differently_is_refused),
    TEST(no_octet_behind_the_value_is_read),
    TEST(a_million_addresses_are_too_many),
    TEST(hostile_values_take_one_walk),
    TEST(errors_are_told_in_words),
    TEST(encoded_words_are_found_and_looked_into),
};
/* clang-format on */
TEST_MAIN(tests)
