/* Rows: envelope addresses as they come, and the one reading Postern has of each. Sections are those of RFC
 * 5321 unless another RFC is named.
 */
#include "policy/path.h"
#include "policy/utf8.h"
#include "test.h"

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define LABEL63 SIXTY "abc"
#define DOMAIN255 LABEL63 "." LABEL63 "." LABEL63 "." LABEL63

/* ---- what a path is read as ---- */

static const struct good {
    const char *claim;
    enum path_kind kind;
    unsigned flags;
    const char *in;
    const char *text, *local, *unquoted, *domain;
} good[] = {
    /* clang-format off */
    { "a plain path keeps its case (2.4)", PATH_FORWARD, 0,
      "<John.Doe@Example.org>", "John.Doe@Example.org", "John.Doe", "John.Doe", "Example.org" },
    { "the trailing dot of a domain is dropped", PATH_FORWARD, 0,
      "<v@local.example.>", "v@local.example", "v", "v", "local.example" },
    { "every atext may stand in a local part (RFC 5322 3.2.3)", PATH_FORWARD, 0,
      "<!#$%&'*+-/=?^_`{|}~@x>", "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "!#$%&'*+-/=?^_`{|}~", "x" },
    { "percent and bang are letters here, and the relay check's affair", PATH_FORWARD, 0,
      "<other.example!v%x@local.example>", "other.example!v%x@local.example", "other.example!v%x",
      "other.example!v%x", "local.example" },

    { "needless quotes are removed (4.1.2)", PATH_FORWARD, 0, "<\"v\"@x>", "v@x", "v", "v", "x" },
    { "needless quotes around dots are removed", PATH_FORWARD, 0, "<\"a.b\"@x>", "a.b@x", "a.b", "a.b", "x" },
    { "a needless backslash is removed and with it the quotes", PATH_FORWARD, 0,
      "<\"\\v\\.w\"@x>", "v.w@x", "v.w", "v.w", "x" },
    { "a blank needs quotes", PATH_FORWARD, 0, "<\"a b\"@x>", "\"a b\"@x", "\"a b\"", "a b", "x" },
    { "an escaped blank needs quotes but no backslash", PATH_FORWARD, 0,
      "<\"a\\ b\"@x>", "\"a b\"@x", "\"a b\"", "a b", "x" },
    { "a quoted @ is part of the local part (D: one reading)", PATH_FORWARD, 0,
      "<\"v@other.example\"@local.example>", "\"v@other.example\"@local.example", "\"v@other.example\"",
      "v@other.example", "local.example" },
    { "a quoted > does not end the path", PATH_FORWARD, 0,
      "<\"a>b\"@x>", "\"a>b\"@x", "\"a>b\"", "a>b", "x" },
    { "a quote is escaped and stays so", PATH_FORWARD, 0,
      "<\"\\\"\"@x>", "\"\\\"\"@x", "\"\\\"\"", "\"", "x" },
    { "a backslash is escaped and stays so", PATH_FORWARD, 0,
      "<\"\\\\\"@x>", "\"\\\\\"@x", "\"\\\\\"", "\\", "x" },
    { "an empty quoted string is a local part", PATH_FORWARD, 0, "<\"\"@x>", "\"\"@x", "\"\"", "", "x" },
    { "a leading dot needs quotes", PATH_FORWARD, 0, "<\".a\"@x>", "\".a\"@x", "\".a\"", ".a", "x" },
    { "a trailing dot in a local part needs quotes", PATH_FORWARD, 0,
      "<\"a.\"@x>", "\"a.\"@x", "\"a.\"", "a.", "x" },
    { "a double dot needs quotes", PATH_FORWARD, 0, "<\"a..b\"@x>", "\"a..b\"@x", "\"a..b\"", "a..b", "x" },
    { "a comment inside quotes is no comment", PATH_FORWARD, 0,
      "<\"a(b)\"@x>", "\"a(b)\"@x", "\"a(b)\"", "a(b)", "x" },

    { "an IPv4 literal is a domain (4.1.3)", PATH_FORWARD, 0,
      "<v@[192.0.2.1]>", "v@[192.0.2.1]", "v", "v", "[192.0.2.1]" },
    { "an IPv6 literal is a domain (4.1.3)", PATH_FORWARD, 0,
      "<v@[IPv6:2001:db8::1]>", "v@[IPv6:2001:db8::1]", "v", "v", "[IPv6:2001:db8::1]" },
    { "an address without brackets is a name of digits (4.1.2)", PATH_FORWARD, 0,
      "<v@192.0.2.1>", "v@192.0.2.1", "v", "v", "192.0.2.1" },
    { "underscores are tolerated in a domain", PATH_FORWARD, 0,
      "<v@_a.b_c.d_>", "v@_a.b_c.d_", "v", "v", "_a.b_c.d_" },

    { "a source route is dropped (4.1.1.3, appendix C)", PATH_FORWARD, 0, "<@a:v@x>", "v@x", "v", "v", "x" },
    { "a source route over several hosts is dropped", PATH_REVERSE, 0,
      "<@a.example,@b.example.:v@x>", "v@x", "v", "v", "x" },

    { "<> is the null reverse-path (4.5.5)", PATH_REVERSE, 0, "<>", "", "", "", "" },
    { "<postmaster> needs no domain as a recipient (4.1.1.3)", PATH_FORWARD, 0,
      "<postmaster>", "postmaster", "postmaster", "postmaster", "" },
    { "<PostMaster> is postmaster in any case (4.5.1)", PATH_FORWARD, 0,
      "<PostMaster>", "PostMaster", "PostMaster", "PostMaster", "" },
    { "a recipient without a domain is left to the relay check", PATH_FORWARD, 0, "<v>", "v", "v", "v", "" },
    { "a quoted address alone is a local part (P-2 refuses it)", PATH_FORWARD, 0,
      "<\"v@other.example\">", "\"v@other.example\"", "\"v@other.example\"", "v@other.example", "" },
    { "postmaster alone behind a route (P-2 refuses it)", PATH_FORWARD, 0,
      "<@a:postmaster>", "postmaster", "postmaster", "postmaster", "" },
    { "postmaster with a domain is a path like others", PATH_REVERSE, 0,
      "<postmaster@x>", "postmaster@x", "postmaster", "postmaster", "x" },
    { "what follows the > is left to the caller", PATH_FORWARD, 0, "<v@x>c SIZE=1", "v@x", "v", "v", "x" },

    { "UTF-8 in both halves with SMTPUTF8 (RFC 6531 3.3)", PATH_FORWARD, PATH_UTF8,
      "<d\xC3\xB6rte@s\xC3\xB6rensen.example>", "d\xC3\xB6rte@s\xC3\xB6rensen.example", "d\xC3\xB6rte",
      "d\xC3\xB6rte", "s\xC3\xB6rensen.example" },
    { "needless quotes around UTF-8 are removed", PATH_FORWARD, PATH_UTF8,
      "<\"\xE7\x94\xA8\xE6\x88\xB7\"@x>", "\xE7\x94\xA8\xE6\x88\xB7@x", "\xE7\x94\xA8\xE6\x88\xB7",
      "\xE7\x94\xA8\xE6\x88\xB7", "x" },
    { "UTF-8 in a dropped route leaves an ASCII path", PATH_FORWARD, PATH_UTF8,
      "<@\xC3\xB6:v@x>", "v@x", "v", "v", "x" },
    { "the longest local part is 64 octets (4.5.3.1.1)", PATH_FORWARD, 0,
      "<" SIXTY "abcd@x>", SIXTY "abcd@x", SIXTY "abcd", SIXTY "abcd", "x" },
    { "the longest domain is 255 octets (4.5.3.1.2)", PATH_FORWARD, 0,
      "<v@" DOMAIN255 ">", "v@" DOMAIN255, "v", "v", DOMAIN255 },
    { "the dot that is dropped does not count", PATH_FORWARD, 0,
      "<v@" DOMAIN255 ".>", "v@" DOMAIN255, "v", "v", DOMAIN255 },
    /* clang-format on */
};

static void reads_paths(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct good *row = &good[i];
        char room[PATH_ROOM];
        struct path path;

        CHECK_ROW(row->claim);
        CHECK_EQ_INT(path_parse(str_of(row->in), row->kind, row->flags, room, &path, NULL), PATH_OK);
        CHECK_EQ_STR(path.text.p, path.text.n, row->text);
        CHECK_EQ_STR(path.local.p, path.local.n, row->local);
        CHECK_EQ_STR(path.unquoted.p, path.unquoted.n, row->unquoted);
        CHECK_EQ_STR(path.domain.p, path.domain.n, row->domain);
    }
}

static void tells_what_kind_of_path(void)
{
    static const struct {
        const char *in;
        bool is_null, is_literal, had_route, is_utf8;
    } rows[] = {
        { "<>", true, false, false, false },
        { "<v@x>", false, false, false, false },
        { "<v@[127.0.0.1]>", false, true, false, false },
        { "<@a:v@x>", false, false, true, false },
        { "<@\xC3\xB6:v@x>", false, false, true, false },
        { "<\xC3\xB6@x>", false, false, false, true },
        { "<v@\xC3\xB6>", false, false, false, true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char room[PATH_ROOM];
        struct path path;

        CHECK_ROW(rows[i].in);
        CHECK_EQ_INT(path_parse(str_of(rows[i].in), PATH_REVERSE, PATH_UTF8, room, &path, NULL), PATH_OK);
        CHECK_EQ_INT(path.is_null, rows[i].is_null);
        CHECK_EQ_INT(path.is_literal, rows[i].is_literal);
        CHECK_EQ_INT(path.had_route, rows[i].had_route);
        CHECK_EQ_INT(path.is_utf8, rows[i].is_utf8);
    }
}

static void consumes_up_to_the_closing_bracket(void)
{
    struct path path;
    char room[PATH_ROOM];
    size_t used = 0;

    CHECK_EQ_INT(path_parse(STR("<\"a>b\"@x.> SIZE=1"), PATH_REVERSE, 0, room, &path, &used), PATH_OK);
    CHECK_EQ_INT(used, 10);
    CHECK_EQ_INT(path_parse(STR("<>"), PATH_REVERSE, 0, room, &path, &used), PATH_OK);
    CHECK_EQ_INT(used, 2);
    CHECK_EQ_INT(path_parse(STR("<v@x"), PATH_REVERSE, 0, room, &path, &used), PATH_SYNTAX);
    CHECK_EQ_INT(used, 2);
}

/* ---- what is no path, and why ---- */

#define IN(literal) STR_INIT(literal)

static const struct bad {
    const char *claim;
    enum path_error error;
    enum path_kind kind;
    unsigned flags;
    struct str in;
} bad[] = {
    /* clang-format off */
    { "nothing at all", PATH_SYNTAX, PATH_FORWARD, 0, IN("") },
    { "no brackets (4.1.2)", PATH_SYNTAX, PATH_FORWARD, 0, IN("v@x") },
    { "a bracket that never closes", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x") },
    { "a blank before the bracket", PATH_SYNTAX, PATH_FORWARD, 0, IN(" <v@x>") },
    { "two opening brackets", PATH_SYNTAX, PATH_FORWARD, 0, IN("<<v@x>>") },
    { "blanks inside the brackets", PATH_SYNTAX, PATH_FORWARD, 0, IN("< v@local.example >") },
    { "a blank before the closing bracket", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x >") },
    { "a blank between the brackets", PATH_SYNTAX, PATH_REVERSE, 0, IN("< >") },
    { "a blank beside the @", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v @x>") },
    { "a second @ after the local domain", PATH_SYNTAX, PATH_FORWARD, 0,
      IN("<v@local.example@other.example>") },
    { "a second @ before the local domain", PATH_SYNTAX, PATH_FORWARD, 0,
      IN("<v@other.example@local.example>") },
    { "two mailboxes in one path", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@other.example,v@local.example>") },
    { "two mailboxes and a blank", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@other.example v@local.example>") },
    { "a display name inside", PATH_SYNTAX, PATH_FORWARD, 0, IN("<Joe <v@x>>") },
    { "a comment before the local part", PATH_SYNTAX, PATH_FORWARD, 0, IN("<(c)v@x>") },
    { "a comment after the domain", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x(c)>") },
    { "a list separator inside the domain", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x;y>") },
    { "an escape inside the domain", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x\\>>") },

    { "an empty local part", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@x>") },
    { "a leading dot (Dot-string)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<.v@x>") },
    { "a trailing dot (Dot-string)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v.@x>") },
    { "a double dot (Dot-string)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<a..b@x>") },
    { "an escape outside quotes (RFC 821 had it)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<a\\@b@x>") },
    { "quotes that never close", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"v@x>") },
    { "quotes closed only by an escaped quote", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"v\\\"@x>") },
    { "quotes around a part of the local part (obs-local-part)", PATH_SYNTAX, PATH_FORWARD, 0,
      IN("<a.\"b\"@x>") },
    { "text after the closing quote", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"a\"b@x>") },
    { "a backslash at the end of input", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"a\\") },

    { "NUL in a domain", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@local.example\0.other.example>") },
    { "NUL in a local part", PATH_SYNTAX, PATH_FORWARD, 0, IN("<a\0@x>") },
    { "NUL in a quoted string", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"a\0\"@x>") },
    { "NUL in a quoted pair (RFC 822 had it)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<\"a\\\0\"@x>") },
    { "CRLF and a command", PATH_SYNTAX, PATH_REVERSE, 0, IN("<a@b\r\nRCPT TO:<x>>") },
    { "CRLF in a quoted string", PATH_SYNTAX, PATH_REVERSE, 0, IN("<\"a\r\nb\"@x>") },
    { "an escaped LF", PATH_SYNTAX, PATH_REVERSE, 0, IN("<\"a\\\nb\"@x>") },
    { "a tab in a quoted string (qtextSMTP)", PATH_SYNTAX, PATH_REVERSE, 0, IN("<\"a\tb\"@x>") },
    { "DEL in a local part", PATH_SYNTAX, PATH_REVERSE, 0, IN("<a\x7F@x>") },

    { "a route without a colon", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@a>") },
    { "a route without a mailbox", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@a:>") },
    { "a route whose second hop lacks the @", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@a,b:v@x>") },
    { "a route behind the mailbox", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@x:@a>") },
    { "two routes", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@a:@b:v@x>") },
    { "a blank inside a route", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@a, @b:v@x>") },
    { "a literal as a hop (At-domain)", PATH_SYNTAX, PATH_FORWARD, 0, IN("<@[192.0.2.1]:v@x>") },
    { "an empty hop", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<@:v@x>") },
    { "a hop that is no domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<@a..b:v@x>") },

    { "a local part alone as the sender", PATH_NO_DOMAIN, PATH_REVERSE, 0, IN("<v>") },
    { "postmaster alone as the sender", PATH_NO_DOMAIN, PATH_REVERSE, 0, IN("<postmaster>") },
    { "the null path as a recipient (4.1.1.3)", PATH_NULL, PATH_FORWARD, 0, IN("<>") },

    { "an empty domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@>") },
    { "the root as a domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@.>") },
    { "two dots at the end", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@x..>") },
    { "an empty label", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@a..b>") },
    { "a leading dot in the domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@.a>") },
    { "a hyphen at the start of a label (Let-dig)", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@-a.b>") },
    { "a hyphen at the end of a label (Ldh-str)", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@a-.b>") },
    { "a sign in the domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@a!b>") },
    { "an IPv4 literal out of range", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@[192.0.2.256]>") },
    { "an IPv6 literal without its tag", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@[2001:db8::1]>") },
    { "an empty literal", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<v@[]>") },
    { "a literal with a dot behind it", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@[192.0.2.1].>") },
    { "a literal that never closes", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@[192.0.2.1>") },
    { "a blank inside a literal", PATH_SYNTAX, PATH_FORWARD, 0, IN("<v@[192.0.2.1 ]>") },

    { "65 octets of local part (4.5.3.1.1)", PATH_LOCAL_TOO_LONG, PATH_FORWARD, 0, IN("<" SIXTY "abcde@x>") },
    { "65 octets of local part by its quotes: counted as sent", PATH_LOCAL_TOO_LONG, PATH_FORWARD, 0,
      IN("<\"" SIXTY "abc\"@x>") },
    { "65 octets of local part by its backslashes", PATH_LOCAL_TOO_LONG, PATH_FORWARD, 0,
      IN("<\"" SIXTY "\\a\\b\"@x>") },
    { "a label of 64 octets (RFC 1035 2.3.4)", PATH_DOMAIN_TOO_LONG, PATH_FORWARD, 0,
      IN("<v@" LABEL63 "d.x>") },
    { "a domain of 256 octets (4.5.3.1.2)", PATH_DOMAIN_TOO_LONG, PATH_FORWARD, 0,
      IN("<v@" LABEL63 "." LABEL63 "." LABEL63 "." SIXTY ".xyz>") },

    { "UTF-8 in the local part without SMTPUTF8 (RFC 6531 3.5)", PATH_NEEDS_UTF8, PATH_FORWARD, 0,
      IN("<\xC3\xB6@x>") },
    { "UTF-8 in quotes without SMTPUTF8", PATH_NEEDS_UTF8, PATH_FORWARD, 0, IN("<\"\xC3\xB6 \"@x>") },
    { "UTF-8 in the domain without SMTPUTF8", PATH_NEEDS_UTF8, PATH_FORWARD, 0, IN("<v@\xC3\xB6.example>") },
    { "UTF-8 in a route without SMTPUTF8", PATH_NEEDS_UTF8, PATH_FORWARD, 0, IN("<@\xC3\xB6:v@x>") },
    { "SMTPUTF8 is not asked for what is no path anyway", PATH_SYNTAX, PATH_FORWARD, 0,
      IN("<\xC3\xB6@x@y>") },
    { "SMTPUTF8 is not asked for what has no domain anyway", PATH_NO_DOMAIN, PATH_REVERSE, 0,
      IN("<\xC3\xB6>") },
    { "SMTPUTF8 is not asked for a bad domain", PATH_BAD_DOMAIN, PATH_FORWARD, 0, IN("<\xC3\xB6@a..b>") },
    { "UTF-8 behind a backslash (RFC 6531 3.3 has none)", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8,
      IN("<\"\\\xC3\xB6\"@x>") },
    { "Latin-1 is not UTF-8", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xF6@x>") },
    { "an overlong slash (RFC 3629 3)", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xC0\xAF@x>") },
    { "half a character", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xC3@x>") },
    { "a surrogate (RFC 3629 3)", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xED\xA0\x80@x>") },
    { "a code point above U+10FFFF", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xF4\x90\x80\x80@x>") },
    { "U+0085, a line end to some", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<a\xC2\x85" "b@x>") },
    { "U+2028, a line end to some", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\"a\xE2\x80\xA8" "b\"@x>") },
    { "U+202E, which turns the text round", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8,
      IN("<a\xE2\x80\xAE" "b@x>") },
    { "U+200B, which nobody sees", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<a\xE2\x80\x8B" "b@x>") },
    { "the byte order mark", PATH_SYNTAX, PATH_FORWARD, PATH_UTF8, IN("<\xEF\xBB\xBF" "b@x>") },
    { "U+3002, a dot to some (RFC 5892)", PATH_BAD_DOMAIN, PATH_FORWARD, PATH_UTF8,
      IN("<v@a\xE3\x80\x82" "b>") },
    { "a full-width letter in the domain", PATH_BAD_DOMAIN, PATH_FORWARD, PATH_UTF8,
      IN("<v@\xEF\xBD\x8C" "ocal.example>") },
    /* clang-format on */
};

static void refuses_what_is_no_path(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char room[PATH_ROOM];
        struct path path;

        CHECK_ROW(bad[i].claim);
        CHECK_EQ_INT(path_parse(bad[i].in, bad[i].kind, bad[i].flags, room, &path, NULL), bad[i].error);
        CHECK(path.text.p == NULL && path.domain.p == NULL);
        CHECK(path.local.p == NULL && path.unquoted.p == NULL);
    }
}

/* ---- what holds for every input ---- */

/* "<" text ">" back into the parser: the canonical form is its own canonical form. */
static void check_fixed_point(const struct path *path, enum path_kind kind)
{
    char again[PATH_ROOM + 2], room[PATH_ROOM];
    struct path second;
    size_t used = 0;

    again[0] = '<';
    memcpy(again + 1, path->text.p, path->text.n);
    again[path->text.n + 1] = '>';
    CHECK_EQ_INT(path_parse(str_from(again, path->text.n + 2), kind, PATH_UTF8, room, &second, &used), PATH_OK);
    CHECK_EQ_INT(used, path->text.n + 2);
    CHECK(str_eq(second.text, path->text) && str_eq(second.local, path->local));
    CHECK(str_eq(second.domain, path->domain) && str_eq(second.unquoted, path->unquoted));
    CHECK(second.is_null == path->is_null && second.is_literal == path->is_literal);
    CHECK(second.is_utf8 == path->is_utf8 && !second.had_route);
}

static void check_no_control(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        CHECK((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7F);
}

/* `in` is read from a copy of just its length, so that ASan sees one byte too many. */
static void check_any(const char *in, size_t n)
{
    char copy[1024], room[PATH_ROOM];
    char *exact = copy + sizeof copy - n;
    struct path path;

    memcpy(exact, in, n);
    for (int kind = PATH_REVERSE; kind <= PATH_FORWARD; kind++)
        if (path_parse(str_from(exact, n), (enum path_kind)kind, PATH_UTF8, room, &path, NULL) == PATH_OK) {
            CHECK(path.text.p >= room && path.text.p + path.text.n <= room + PATH_ROOM);
            CHECK(utf8_is_valid(path.text));
            check_no_control(path.text);
            check_fixed_point(&path, (enum path_kind)kind);
        }
}

static void check_prefixes(struct str sample)
{
    for (size_t n = 0; n <= sample.n; n++)
        check_any(sample.p, n);
}

static void check_mutations(struct str sample)
{
    char mutant[512];

    memcpy(mutant, sample.p, sample.n);
    for (size_t i = 0; i < sample.n; i++) {
        for (int byte = 0; byte < 256; byte++) {
            mutant[i] = (char)byte;
            check_any(mutant, sample.n);
        }
        mutant[i] = sample.p[i];
    }
}

static void every_prefix_of_a_sample_is_safe(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        check_prefixes(str_of(good[i].in));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_prefixes(bad[i].in);
}

static void every_mutation_of_a_sample_is_safe_and_reads_one_way(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        check_mutations(str_of(good[i].in));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_mutations(bad[i].in);
}

/* The fullest room: 64 octets of quoted local part, all of it escapes, printed and unquoted, and 255 of
 * domain.
 */
static void the_largest_path_fits_the_room(void)
{
    char in[512] = "<\"", room[PATH_ROOM];
    struct path path;
    size_t n = 2;

    for (int i = 0; i < 31; i++, n += 2)
        memcpy(in + n, "\\\"", 2);
    memcpy(in + n, "\"@" DOMAIN255 ">", sizeof "\"@" DOMAIN255 ">");
    CHECK_EQ_INT(path_parse(str_of(in), PATH_FORWARD, 0, room, &path, NULL), PATH_OK);
    CHECK_EQ_INT(path.text.n, 64 + 1 + 255);
    CHECK_EQ_INT(path.unquoted.n, 31);
}

static const struct test_case tests[] = {
    TEST(reads_paths),
    TEST(tells_what_kind_of_path),
    TEST(consumes_up_to_the_closing_bracket),
    TEST(refuses_what_is_no_path),
    TEST(every_prefix_of_a_sample_is_safe),
    TEST(every_mutation_of_a_sample_is_safe_and_reads_one_way),
    TEST(the_largest_path_fits_the_room),
};
TEST_MAIN(tests)
