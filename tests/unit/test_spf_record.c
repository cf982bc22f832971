/* SPF records: the grammar of RFC 7208 12, a term a row. */
#include "policy/spf_record.h"

#include "test.h"

/* clang-format off */
static const struct {
    struct str text;
    bool is_record;
} versions[] = {
    { STR_INIT("v=spf1"), true },
    { STR_INIT("v=spf1 "), true },
    { STR_INIT("V=sPf1 -all"), true },
    { STR_INIT("v=spf1 \xff"), true }, /* a record, if a broken one */
    { STR_INIT("v=spf10"), false },
    { STR_INIT("v=spf1-all"), false },
    { STR_INIT("v=spf1\t-all"), false },
    { STR_INIT(" v=spf1"), false },
    { STR_INIT("v=spf"), false },
    { STR_INIT("v=spf2.0/mfrom -all"), false },
    { STR_INIT(""), false },
};

static const struct {
    struct str record;
    bool is_valid;
} records[] = {
    { STR_INIT("v=spf1"), true },
    { STR_INIT("v=spf1   -all  "), true },
    { STR_INIT("v=spf1 A MX PTR Include:x.example EXISTS:x.example IP4:192.0.2.1 Ip6:2001:db8::1 ALL"), true },
    { STR_INIT("v=spf1 +a -a ~a ?a"), true },
    { STR_INIT("v=spf1 ++a"), false },
    { STR_INIT("v=spf1 !a"), false },
    { STR_INIT("v=spf1 b"), false },
    { STR_INIT("v=spf1 ipv4:192.0.2.1"), false },
    { STR_INIT("v=spf1 -all\tx"), false },
    { STR_INIT("v=spf1 -all\r\n"), false },
    { STR_INIT("v=spf1 -all\xc2\xa0"), false },
    { STR_INIT("v=spf1 a,mx"), false },
    { STR_INIT("v=spf1 -"), false },
    { STR_INIT("v=spf1 all:x.example"), false },
    { STR_INIT("v=spf1 all/24"), false },
    { STR_INIT("v=spf1 all."), false },

    { STR_INIT("v=spf1 a/0 a/32 a//0 a//128 a/0//0 a:x.example/24//64"), true },
    { STR_INIT("v=spf1 a/33"), false },
    { STR_INIT("v=spf1 a//129"), false },
    { STR_INIT("v=spf1 a/024"), false },
    { STR_INIT("v=spf1 a//064"), false },
    { STR_INIT("v=spf1 a/24/64"), false },
    { STR_INIT("v=spf1 a/"), false },
    { STR_INIT("v=spf1 a//"), false },
    { STR_INIT("v=spf1 a/24//"), false },
    { STR_INIT("v=spf1 a///64"), false },
    { STR_INIT("v=spf1 a/-1"), false },
    { STR_INIT("v=spf1 a/4294967296"), false },
    { STR_INIT("v=spf1 a:"), false },
    { STR_INIT("v=spf1 a:/24"), false },
    { STR_INIT("v=spf1 mx:/24//64"), false },
    { STR_INIT("v=spf1 mx//64"), true },
    { STR_INIT("v=spf1 a=x.example"), true }, /* an unknown modifier by the grammar: its name is no modifier we know */
    { STR_INIT("v=spf1 a:192.0.2.1"), false },
    { STR_INIT("v=spf1 ptr/24"), false },
    { STR_INIT("v=spf1 ptr:x.example"), true },
    { STR_INIT("v=spf1 ptr:"), false },

    { STR_INIT("v=spf1 ip4:192.0.2.1/0 ip4:192.0.2.1/32"), true },
    { STR_INIT("v=spf1 ip4:192.0.2.1/33"), false },
    { STR_INIT("v=spf1 ip4:192.0.2.1/032"), false },
    { STR_INIT("v=spf1 ip4:192.0.2.1//32"), false },
    { STR_INIT("v=spf1 ip4:192.0.2.1:25"), false },
    { STR_INIT("v=spf1 ip4:192.0.2"), false },
    { STR_INIT("v=spf1 ip4:999.0.2.1"), false },
    { STR_INIT("v=spf1 ip4:192.0.02.1"), false },
    { STR_INIT("v=spf1 ip4"), false },
    { STR_INIT("v=spf1 ip4:"), false },
    { STR_INIT("v=spf1 ip4:2001:db8::1"), false },
    { STR_INIT("v=spf1 ip6:2001:db8::1/128 ip6:::/0 ip6:::ffff:192.0.2.1"), true },
    { STR_INIT("v=spf1 ip6:2001:db8::1/129"), false },
    { STR_INIT("v=spf1 ip6:192.0.2.1"), false },
    { STR_INIT("v=spf1 ip6:2001:db8::1::2"), false },
    { STR_INIT("v=spf1 ip6:[2001:db8::1]"), false },

    { STR_INIT("v=spf1 include"), false },
    { STR_INIT("v=spf1 include:"), false },
    { STR_INIT("v=spf1 include:x.example/24"), false },
    { STR_INIT("v=spf1 exists"), false },
    { STR_INIT("v=spf1 exists:%{i}.100/86400.x.example"), true },
    { STR_INIT("v=spf1 exists:%{x}.example"), false },

    { STR_INIT("v=spf1 redirect=x.example exp=y.example"), true },
    { STR_INIT("v=spf1 redirect="), false },
    { STR_INIT("v=spf1 redirect:x.example"), false },
    { STR_INIT("v=spf1 -redirect=x.example"), false },
    { STR_INIT("v=spf1 redirect=x.example ReDirect=x.example"), false },
    { STR_INIT("v=spf1 exp=x.example exp=y.example"), false },
    { STR_INIT("v=spf1 exp="), false },
    { STR_INIT("v=spf1 exp=-all"), false },
    { STR_INIT("v=spf1 exp=%{c}.example"), false },
    { STR_INIT("v=spf1 moo= moo=%{d}/x% moo=1"), false },
    { STR_INIT("v=spf1 moo= moo=%{d}/x%% a-b_c.d9=1"), true },
    { STR_INIT("v=spf1 moo=%{t}"), false },
    { STR_INIT("v=spf1 1up=foo"), false },
    { STR_INIT("v=spf1 =all"), false },
    { STR_INIT("v=spf1 +moo=x"), false },
};
/* clang-format on */

static void a_version_ends_in_a_blank(void)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        CHECK_ROW(versions[i].text.p);
        CHECK_EQ_INT(spf_record_is(versions[i].text), versions[i].is_record);
    }
}

static void a_record_is_well_formed_or_not(void)
{
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct spf_record record;
        struct str bad;

        CHECK_ROW(records[i].record.p);
        CHECK_EQ_INT(spf_record_parse(records[i].record, &record, &bad), records[i].is_valid);
        CHECK_EQ_INT(bad.n == 0, records[i].is_valid);
    }
}

static void a_term_tells_what_it_says(void)
{
    struct str rest = STR(" ~a:x.example/24//64  -ip6:2001:db8::/32 exp=%{d}");
    struct spf_term term;

    CHECK_EQ_INT(spf_term_next(&rest, &term), SPF_TERM);
    CHECK_EQ_INT(term.kind, SPF_A);
    CHECK_EQ_INT(term.qualifier, AUTH_SOFTFAIL);
    CHECK_EQ_STR(term.text.p, term.text.n, "~a:x.example/24//64");
    CHECK_EQ_STR(term.spec.p, term.spec.n, "x.example");
    CHECK_EQ_INT(term.bits4, 24);
    CHECK_EQ_INT(term.bits6, 64);
    CHECK_EQ_INT(spf_term_next(&rest, &term), SPF_TERM);
    CHECK_EQ_INT(term.kind, SPF_IP6);
    CHECK_EQ_INT(term.qualifier, AUTH_FAIL);
    CHECK_EQ_INT(term.bits6, 32);
    CHECK_EQ_INT(spf_term_next(&rest, &term), SPF_TERM);
    CHECK_EQ_INT(term.kind, SPF_EXP);
    CHECK_EQ_STR(term.spec.p, term.spec.n, "%{d}");
    CHECK_EQ_INT(spf_term_next(&rest, &term), SPF_END);
}

static void the_modifiers_are_found_wherever_they_stand(void)
{
    struct spf_record record;
    struct str bad;

    CHECK(spf_record_parse(STR("v=spf1 exp=e.example redirect=r.example a -all"), &record, &bad));
    CHECK_EQ_STR(record.exp.p, record.exp.n, "e.example");
    CHECK_EQ_STR(record.redirect.p, record.redirect.n, "r.example");
    CHECK(record.has_all);
    CHECK(!spf_record_parse(STR("v=spf1 a -all moo"), &record, &bad));
    CHECK_EQ_STR(bad.p, bad.n, "moo");
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(a_version_ends_in_a_blank),
    TEST(a_record_is_well_formed_or_not),
    TEST(a_term_tells_what_it_says),
    TEST(the_modifiers_are_found_wherever_they_stand),
};
/* clang-format on */
TEST_MAIN(tests)
