/* Domain names as the oracle compares them. */
#include "names.h"

#include "test.h"

static void folds_names(void)
{
    static const struct {
        const char *name, *folded;
    } rows[] = {
        { "Example.ORG.", "example.org" },
        { "", "" },
        { ".", "" },
        { "a..b", "a..b" },
        { "B\xC3\xBC"
          "cher.example",
          "xn--bcher-kva.example" },
        { "m\xC3\xBCnchen.x", "xn--mnchen-3ya.x" },
        { "\xE4\xBE\x8B\xE3\x81\x88.\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88", "xn--r8jz45g.xn--zckzah" },
        { "\xF0\x9F\x98\x80.x", "xn--e28h.x" },
        { "bad\xFF.X", "bad\xFF.x" },
        { "bad\xC3", "bad\xC3" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer folded = { 0 };

        CHECK_ROW(rows[i].name);
        name_fold(&folded, slice_of(rows[i].name));
        CHECK_EQ_STR((const char *)folded.p, folded.n, rows[i].folded);
        buffer_free(&folded);
    }
}

static void matches_patterns(void)
{
    CHECK(name_matches(SLICE("a.org"), SLICE("a.org")));
    CHECK(!name_matches(SLICE("b.a.org"), SLICE("a.org")));
    CHECK(name_matches(SLICE("b.a.org"), SLICE("*.a.org")));
    CHECK(!name_matches(SLICE("a.org"), SLICE("*.a.org")));
    CHECK(!name_matches(SLICE(".a.org"), SLICE("*.a.org")));
    CHECK(!name_matches(SLICE("ba.org"), SLICE("*.a.org")));
    CHECK(!name_matches(SLICE(""), SLICE("")));
}

static const struct test_case tests[] = { TEST(folds_names), TEST(matches_patterns) };
TEST_MAIN(tests)
