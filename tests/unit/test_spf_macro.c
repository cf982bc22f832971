/* SPF macros: the examples of RFC 7208 7.4, what is a syntax error, and what comes of names that are none. */
#include "policy/spf_macro.h"

#include "test.h"

static struct spf_macros macros(void)
{
    struct spf_macros m = { 0 };

    m.value['s' - 'a'] = STR("strong-bad@email.example.com");
    m.value['l' - 'a'] = STR("strong-bad");
    m.value['o' - 'a'] = STR("email.example.com");
    m.value['d' - 'a'] = STR("email.example.com");
    m.value['i' - 'a'] = STR("192.0.2.3");
    m.value['p' - 'a'] = STR("mx.example.org");
    m.value['v' - 'a'] = STR("in-addr");
    m.value['h' - 'a'] = STR("mx.example.org");
    m.value['c' - 'a'] = STR("192.0.2.3");
    m.value['r' - 'a'] = STR("receiver.example");
    m.value['t' - 'a'] = STR("1700000000");
    return m;
}

/* clang-format off */
static const struct {
    const char *text, *expanded;
} expansions[] = {
    /* RFC 7208 7.4 */
    { "%{s}", "strong-bad@email.example.com" },
    { "%{o}", "email.example.com" },
    { "%{d}", "email.example.com" },
    { "%{d4}", "email.example.com" },
    { "%{d3}", "email.example.com" },
    { "%{d2}", "example.com" },
    { "%{d1}", "com" },
    { "%{dr}", "com.example.email" },
    { "%{d2r}", "example.email" },
    { "%{l}", "strong-bad" },
    { "%{l-}", "strong.bad" },
    { "%{lr}", "strong-bad" },
    { "%{lr-}", "bad.strong" },
    { "%{l1r-}", "strong" },
    { "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com" },
    { "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
    { "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com" },
    { "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com" },
    /* 7.1, 7.3 */
    { "%%.%_.%-", "%. .%20" },
    { "%{D2}", "example.com" },
    { "%{S}", "strong-bad%40email.example.com" },
    { "%{s@}", NULL },
    { "%{d1000000000}", "email.example.com" },
    { "%{d4294967297}", "email.example.com" },
    { "%{d4294967295r}", "com.example.email" },
    { "%{d18446744073709551617R}", "com.example.email" },
    { "%{ir.=+/_,-}", "3.2.0.192" },
    { "%{d-}", "email.example.com" },
    { "%{s.-}", "strong.bad@email.example.com" },
    { "%{c}/%{r}/%{t}", "192.0.2.3/receiver.example/1700000000" },
    { "%{d01}", "com" },
    { "", "" },
};
/* clang-format on */

static void macros_expand_as_the_rfc_shows(void)
{
    struct spf_macros m = macros();
    char out[512];

    for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++) {
        struct str text = str_of(expansions[i].text), got;

        CHECK_ROW(expansions[i].text);
        CHECK_EQ_INT(spf_macro_string_is_valid(text, SPF_IN_EXPLANATION), expansions[i].expanded != NULL);
        if (expansions[i].expanded == NULL)
            continue;
        got = spf_macro_expand(text, &m, out, sizeof out);
        CHECK_EQ_STR(got.p, got.n, expansions[i].expanded);
    }
}

/* clang-format off */
static const struct {
    struct str spec;
    bool valid;
} specs[] = {
    { STR_INIT("example.com"), true },
    { STR_INIT("example.com."), true },
    { STR_INIT("foo:bar/baz.example.com"), true },
    { STR_INIT("%{d}"), true },
    { STR_INIT("%{d}.com"), true },
    { STR_INIT("foo.%{d}"), true },
    { STR_INIT("%%"), true },
    { STR_INIT("a.b%-"), true },
    { STR_INIT("x.xn--zckzah"), true },
    { STR_INIT("x.1a"), true },
    { STR_INIT("x..com"), true }, /* grammar; no name (4.8) */
    { STR_INIT(""), false },
    { STR_INIT("museum"), false },
    { STR_INIT("museum."), false },
    { STR_INIT(".com"), true },
    { STR_INIT("a.com.."), false },
    { STR_INIT("%{d}com"), false },
    { STR_INIT("%{d}."), false },
    { STR_INIT("abc.123"), false },
    { STR_INIT("example.-com"), false },
    { STR_INIT("example.com-"), false },
    { STR_INIT("example.c_m"), false },
    { STR_INIT("example.com:8080"), false },
    { STR_INIT("example.com/24"), false },
    { STR_INIT("%"), false },
    { STR_INIT("%{"), false },
    { STR_INIT("%{d"), false },
    { STR_INIT("%{}"), false },
    { STR_INIT("%{x}"), false },
    { STR_INIT("%{dd}"), false },
    { STR_INIT("%{d0}"), false },
    { STR_INIT("%{d00}"), false },
    { STR_INIT("%{dr2}"), false },
    { STR_INIT("%{d-2}"), false },
    { STR_INIT("%{d*}"), false },
    { STR_INIT("%(d)"), false },
    { STR_INIT("%a.com"), false },
    { STR_INIT("%{c}.com"), false }, /* 7.2: only in exp text */
    { STR_INIT("%{r}.com"), false },
    { STR_INIT("%{T}.com"), false },
    { STR_INIT("%{h}.com"), true },
    { STR_INIT("foo.example.com\0"), false },
    { STR_INIT("f\xc3\xb6.example.com"), false },
    { STR_INIT("a b.example.com"), false },
    { STR_INIT("a\tb.example.com"), false },
};
/* clang-format on */

static void a_domain_spec_ends_in_a_toplabel_or_a_macro(void)
{
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        CHECK_ROW(specs[i].spec.p);
        CHECK_EQ_INT(spf_domain_spec_is_valid(specs[i].spec), specs[i].valid);
    }
}

static void blanks_and_crt_are_for_explanations(void)
{
    CHECK(spf_macro_string_is_valid(STR("see %{c} at %{t}"), SPF_IN_EXPLANATION));
    CHECK(!spf_macro_string_is_valid(STR("see %{i}"), SPF_IN_TERM));
    CHECK(!spf_macro_string_is_valid(STR("%{t}"), SPF_IN_TERM));
    CHECK(!spf_macro_string_is_valid(STR("see\r\n%{i}"), SPF_IN_EXPLANATION));
    CHECK(!spf_macro_string_is_valid(STR("\xef\xbb\xbfx"), SPF_IN_EXPLANATION));
    CHECK(!spf_macro_string_is_valid(STR("The %{x}-files."), SPF_IN_EXPLANATION));
}

static void a_macro_is_found_in_both_cases(void)
{
    CHECK(spf_macro_uses(STR("a.%{P1r}.b"), 'p'));
    CHECK(spf_macro_uses(STR("%%%{p}"), 'p'));
    CHECK(!spf_macro_uses(STR("%%{p}p"), 'p'));
    CHECK(!spf_macro_uses(STR("%{d}.p.example"), 'p'));
}

static struct str target(const char *spec, struct str local, char out[PATH_DOMAIN_MAX + 1])
{
    struct spf_macros m = macros();

    m.value['l' - 'a'] = local;
    return spf_target_name(str_of(spec), &m, out);
}

/* RFC 7208 7.3: the left side goes, label by label, until 253 octets are left. */
static void long_names_are_cut_at_a_label(void)
{
    char local[300], out[PATH_DOMAIN_MAX + 1], want[300];
    struct str name;

    memset(local, 'a', sizeof local);
    for (size_t i = 49; i < sizeof local; i += 50)
        local[i] = '.';
    name = target("%{l}x.example.com", str_from(local, 300), out); /* 300 + 13; labels of 49 */
    CHECK_EQ_INT(name.n, 313 - 2 * 50);
    memcpy(want, local, 200);
    memcpy(want + 200, "x.example.com", 14);
    CHECK_EQ_STR(name.p, name.n, want);
    name = target("%{l}.com", str_from(local, 249), out); /* exactly 253 */
    CHECK_EQ_INT(name.n, 253);
    name = target("b%{l}.com", str_from(local, 249), out);
    CHECK_EQ_INT(name.n, 254 - 51);
}

static void what_is_no_name_is_no_target(void)
{
    char octets[300], out[PATH_DOMAIN_MAX + 1];
    static char many[SPF_EXPANSION_MAX];
    struct str name;

    memset(octets, 'a', sizeof octets);
    CHECK_EQ_INT(target("%{l}.com", str_from(octets, 63), out).n, 67);
    CHECK(target("%{l}.com", str_from(octets, 64), out).p == NULL);
    CHECK(target("%{l}", str_from(octets, 254), out).p == NULL);
    CHECK(target("%{l}.com", STR("a..b"), out).p == NULL);
    CHECK(target("%{l}.com", STR(""), out).p == NULL);
    CHECK(target("%{l}.com", STR("a."), out).p == NULL);
    CHECK(target("%{l}.com", STR("a\0b"), out).p == NULL);
    CHECK(target("%{l}.com", STR("a\nb"), out).p == NULL);
    name = target("%{l}.COM.", STR("A b"), out);
    CHECK_EQ_STR(name.p, name.n, "a b.com");
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = '\0';
    memcpy(many + sizeof many - 13, ".example.com", 12);
    CHECK_EQ_INT(target(many, STR("a"), out).n, 11);
    memcpy(many, "%{s}", 4); /* now it expands to more than the limit */
    CHECK(target(many, STR("a"), out).p == NULL);
}

/* ATTACKS G06: the shape of CVE-2021-33912/3. Octets are escaped as three, whatever their sign. */
static void upper_case_escapes_each_octet_as_three(void)
{
    struct spf_macros m = macros();
    char octets[64], out[3 * 64], small[3 * 64 - 1];
    struct str got;

    memset(octets, '\xff', sizeof octets);
    m.value['l' - 'a'] = str_from(octets, sizeof octets);
    got = spf_macro_expand(STR("%{L}"), &m, out, sizeof out);
    CHECK_EQ_INT(got.n, 3 * 64);
    for (size_t i = 0; i < got.n; i += 3)
        CHECK(memcmp(got.p + i, "%FF", 3) == 0);
    CHECK(spf_macro_expand(STR("%{L}"), &m, small, sizeof small).p == NULL);
    m.value['l' - 'a'] = STR("a=b%c-._~!");
    got = spf_macro_expand(STR("%{L}"), &m, out, sizeof out);
    CHECK_EQ_STR(got.p, got.n, "a%3Db%25c-._~%21");
    got = spf_macro_expand(STR("%{L1r=}"), &m, out, sizeof out);
    CHECK_EQ_STR(got.p, got.n, "a");
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(macros_expand_as_the_rfc_shows),
    TEST(a_domain_spec_ends_in_a_toplabel_or_a_macro),
    TEST(blanks_and_crt_are_for_explanations),
    TEST(a_macro_is_found_in_both_cases),
    TEST(long_names_are_cut_at_a_label),
    TEST(what_is_no_name_is_no_target),
    TEST(upper_case_escapes_each_octet_as_three),
};
/* clang-format on */
TEST_MAIN(tests)
