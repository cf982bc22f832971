/* Slices: comparisons, words and numbers. */
#include "policy/str.h"

#include <limits.h>

#include "test.h"

#define IN(literal) STR_INIT(literal)

static void comparisons(void)
{
    static const struct {
        struct str a, b;
        bool eq, ieq, istarts, iends;
    } rows[] = {
        /* clang-format off */
        { IN("abc"), IN("abc"), true, true, true, true },
        { IN("aBc"), IN("AbC"), false, true, true, true },
        { IN("abc"), IN("AB"), false, false, true, false },
        { IN("abc"), IN("BC"), false, false, false, true },
        { IN("ab"), IN("abc"), false, false, false, false },
        { IN(""), IN(""), true, true, true, true },
        { { NULL, 0 }, IN(""), true, true, true, true },
        { { NULL, 0 }, { NULL, 0 }, true, true, true, true },
        { IN("a"), { NULL, 0 }, false, false, true, true },
        { IN("a\0b"), IN("a\0c"), false, false, false, false },
        { IN("[{"), IN("{["), false, false, false, false },
        { IN("@"), IN("`"), false, false, false, false },
        { IN("\xC4"), IN("\xE4"), false, false, false, false },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].a.p);
        CHECK_EQ_INT(str_eq(rows[i].a, rows[i].b), rows[i].eq);
        CHECK_EQ_INT(str_ieq(rows[i].a, rows[i].b), rows[i].ieq);
        CHECK_EQ_INT(str_istarts(rows[i].a, rows[i].b), rows[i].istarts);
        CHECK_EQ_INT(str_iends(rows[i].a, rows[i].b), rows[i].iends);
    }
}

static void only_ascii_letters_have_a_case(void)
{
    for (int c = CHAR_MIN; c <= CHAR_MAX; c++)
        CHECK_EQ_INT(ascii_lower((char)c), c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void finds_the_first(void)
{
    CHECK_EQ_INT(str_find(STR("a@b@c"), '@'), 1);
    CHECK_EQ_INT(str_find(STR("abc"), '@'), 3);
    CHECK_EQ_INT(str_find(STR("a\0b"), '\0'), 1);
    CHECK_EQ_INT(str_find(str_from(NULL, 0), '@'), 0);
}

static void trims_blanks(void)
{
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        /* clang-format off */
        { IN(" \t a b\t"), "a b" }, { IN("ab"), "ab" },       { IN(" \t "), "" },
        { IN(""), "" },             { { NULL, 0 }, "" },      { IN("\r\na "), "\r\na" },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str s = str_trim(rows[i].in);

        CHECK_EQ_STR(s.p, s.n, rows[i].out);
    }
}

static void cuts_words(void)
{
    struct str rest = STR(" one,two\t, three ,");
    struct str word;

    CHECK(str_word(&rest, &word));
    CHECK_EQ_STR(word.p, word.n, "one");
    CHECK(str_word(&rest, &word));
    CHECK_EQ_STR(word.p, word.n, "two");
    CHECK(str_word(&rest, &word));
    CHECK_EQ_STR(word.p, word.n, "three");
    CHECK(!str_word(&rest, &word));
    CHECK_EQ_INT(rest.n, 0);
    rest = str_from(NULL, 0);
    CHECK(!str_word(&rest, &word));
}

static void reads_numbers(void)
{
    static const struct {
        struct str in;
        unsigned long long max, value;
        bool ok;
    } rows[] = {
        /* clang-format off */
        { IN("0"), 0, 0, true },
        { IN("255"), 255, 255, true },
        { IN("256"), 255, 0, false },
        { IN("9"), 5, 0, false },
        { IN("007"), 255, 7, true },
        { IN("18446744073709551615"), ULLONG_MAX, ULLONG_MAX, true },
        { IN("18446744073709551616"), ULLONG_MAX, 0, false },
        { IN("99999999999999999999"), ULLONG_MAX, 0, false },
        { IN("00000000000000000000000001"), 1, 1, true },
        { IN(""), 255, 0, false },
        { { NULL, 0 }, 255, 0, false },
        { IN("-1"), 255, 0, false },
        { IN("+1"), 255, 0, false },
        { IN(" 1"), 255, 0, false },
        { IN("1 "), 255, 0, false },
        { IN("1\0"), 255, 0, false },
        { IN("1e3"), 2000, 0, false },
        { IN("0x1"), 255, 0, false },
        { IN("\xB2"), 255, 0, false },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned long long value = 0;

        CHECK_ROW(rows[i].in.p);
        CHECK_EQ_INT(str_to_u64(rows[i].in, rows[i].max, &value), rows[i].ok);
        if (rows[i].ok)
            CHECK(value == rows[i].value);
    }
}

/* Against plain arithmetic, for every small maximum. */
static void reads_every_small_number_up_to_its_maximum(void)
{
    for (unsigned max = 0; max < 130; max++)
        for (unsigned n = 0; n < 150; n++) {
            char text[3] = { (char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10) };
            unsigned long long value = 0;
            bool ok = str_to_u64(str_from(text, 3), max, &value);

            CHECK_EQ_INT(ok, n <= max);
            CHECK(!ok || value == n);
        }
}

static const struct test_case tests[] = {
    TEST(comparisons),
    TEST(only_ascii_letters_have_a_case),
    TEST(finds_the_first),
    TEST(trims_blanks),
    TEST(cuts_words),
    TEST(reads_numbers),
    TEST(reads_every_small_number_up_to_its_maximum),
};
TEST_MAIN(tests)
