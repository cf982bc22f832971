/* Paths in MAIL and RCPT, as the oracle reads them: the parts by the last @ that is not quoted, and whether RFC 5321
 * has such a path. */
#include "dialogue.h"
#include "test.h"

static void check_slice(struct slice got, const char *want)
{
    CHECK_EQ_STR((const char *)got.p, got.n, want);
}

static void finds_local_part_and_domain(void)
{
    static const struct {
        const char *argument, *path, *local, *domain, *parameters;
        unsigned ats;
    } rows[] = {
        { "FROM:<ann@example.org>", "ann@example.org", "ann", "example.org", "", 1 },
        { "TO:<ann@example.org.>", "ann@example.org.", "ann", "example.org", "", 1 },
        { "FROM:<>", "", "", "", "", 0 },
        { "FROM:<> SIZE=12 BODY=8BITMIME", "", "", "", "SIZE=12 BODY=8BITMIME", 0 },
        { "to:<a@b@c>", "a@b@c", "a@b", "c", "", 2 },
        { "TO:<\"a@b\"@c>", "\"a@b\"@c", "\"a@b\"", "c", "", 1 },
        { "TO:<\"a\\\"@b\"@c>", "\"a\\\"@b\"@c", "\"a\\\"@b\"", "c", "", 1 },
        { "TO:<\"a>b\"@c> NOTIFY=NEVER", "\"a>b\"@c", "\"a>b\"", "c", "NOTIFY=NEVER", 1 },
        { "TO:<@r1,@r2:a@b>", "@r1,@r2:a@b", "a", "b", "", 1 },
        { "TO:<\"a@b>", "\"a@b", "\"a", "b", "", 1 },
        { "TO:<a%b@c>", "a%b@c", "a%b", "c", "", 1 },
        { "TO:<postmaster>", "postmaster", "postmaster", "", "", 0 },
        { "TO:a@b SIZE=1", "a@b", "a", "b", "SIZE=1", 1 },
        { "TO: <a@b>  X=1 ", "a@b", "a", "b", "X=1", 1 },
        { "TO:<a@b", "a@b", "a", "b", "", 1 },
        { "TO:<a@[192.0.2.1]>", "a@[192.0.2.1]", "a", "[192.0.2.1]", "", 1 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;

        CHECK_ROW(rows[i].argument);
        CHECK(address_read(&a, slice_of(rows[i].argument)));
        check_slice(a.path, rows[i].path);
        check_slice(a.local, rows[i].local);
        check_slice(a.domain, rows[i].domain);
        check_slice(a.parameters, rows[i].parameters);
        CHECK_EQ_INT(a.ats, rows[i].ats);
    }
}

static void knows_the_strict_grammar(void)
{
    static const struct {
        const char *argument;
        bool is_valid;
    } rows[] = {
        { "FROM:<ann@example.org>", true },
        { "FROM:<a.b+c=d!e%f@x-1.example>", true },
        { "FROM:<>", true },
        { "TO:<>", false },
        { "TO:<Postmaster>", true },
        { "FROM:<postmaster>", false },
        { "TO:<ann>", false },
        { "TO:<@a.example,@b.example:c@d.example>", true },
        { "TO:<@a.example:>", false },
        { "TO:<@a.example>", false },
        { "TO:<@a,b:c@d>", false },
        { "TO:<\"quoted string\"@x>", true },
        { "TO:<\"\"@x>", true },
        { "TO:<\"a\\\"b\"@x>", true },
        { "TO:<\"a\x01\"@x>", false },
        { "TO:<\"a\"b@x>", false },
        { "TO:<\"a@x>", false },
        { "TO:<.a@x>", false },
        { "TO:<a.@x>", false },
        { "TO:<a..b@x>", false },
        { "TO:<a b@x>", false },
        { "TO:<a@b@x>", false },
        { "TO:<a@>", false },
        { "TO:<@x>", false },
        { "TO:<a@-x>", false },
        { "TO:<a@x->", false },
        { "TO:<a@x.>", false },
        { "TO:<a@x..y>", false },
        { "TO:<a@x_y>", false },
        { "TO:<a@[192.0.2.1]>", true },
        { "TO:<a@[192.0.2.256]>", false },
        { "TO:<a@[IPv6:2001:db8::1]>", true },
        { "TO:<a@[IPv6:2001:db8::g]>", false },
        { "TO:<a@[tag:content]>", true },
        { "TO:<a@[tag:]>", false },
        { "TO:<a@[x]", false },
        { "TO:<j\xC3\xBCrgen@b\xC3\xBC"
          "cher.example>",
          true },
        { "TO:<j\xFC@x>", false },
        { "TO:<j\xC3@x>", false },
        { "TO:<a@\xED\xA0\x80>", false },
        { "TO:a@b", false },
        { "TO:<a@b", false },
        { "TO:a@b>", false },
        { "TO:<a@b>x", false },
        { "TO:<<a@b>>", false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;

        CHECK_ROW(rows[i].argument);
        address_read(&a, slice_of(rows[i].argument));
        CHECK_EQ_INT(a.is_valid, rows[i].is_valid);
    }
}

static void says_what_a_legacy_server_may_read_otherwise(void)
{
    struct address a;

    CHECK(address_read(&a, SLICE("TO:<@relay.example:a@b.example>")));
    CHECK(a.has_route && !a.has_quotes);
    CHECK(address_read(&a, SLICE("TO:<\"a%b\"@c>")));
    CHECK(!a.has_route && a.has_quotes);
    CHECK(address_read(&a, SLICE("TO:<@a@b>")));
    CHECK(!a.has_route);
    CHECK_EQ_INT(a.ats, 2);
}

static void refuses_what_is_no_path(void)
{
    static const char *const rows[] = { "", "FROM", "FROM:", "TO:  ", "<a@b>", "FRM:<a@b>", "TO <a@b>" };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;

        CHECK_ROW(rows[i]);
        CHECK(!address_read(&a, slice_of(rows[i])));
        CHECK(!a.is_valid);
    }
}

static const struct test_case tests[] = { TEST(finds_local_part_and_domain), TEST(knows_the_strict_grammar),
                                          TEST(says_what_a_legacy_server_may_read_otherwise),
                                          TEST(refuses_what_is_no_path) };
TEST_MAIN(tests)
