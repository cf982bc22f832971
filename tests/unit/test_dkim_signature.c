/* Signature fields: each tag right, wrong and missing (RFC 6376 3.5, 6.1.1; ATTACKS H01, H06, H14). */
#include "dkim_kit.h"
#include "test.h"

#define BH "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;"
#define ALL_BUT_H "v=1;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;"
#define BASE ALL_BUT_H "h=from;"
#define DIGITS38 "12345678901234567890123456789012345678"
#define LABEL63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static struct str with_name(const char *name, struct str value)
{
    return arena_printf(kit_arena(), "%s:%.*s\r\n", name, STR_ARG(value));
}

static const char *read_as(enum signature_kind kind, struct str value, struct dkim_signature *s)
{
    struct str text = with_name("DKIM-Signature", value);
    struct header_field field;

    CHECK(header_next(&text, &field));
    return dkim_signature_read(&field, kind, s);
}

static const char *read(struct str value, struct dkim_signature *s)
{
    return read_as(SIGNATURE_DKIM, value, s);
}

/* clang-format off */
static const struct row {
    const char *label;
    struct str value;
    const char *why; /* NULL: well-formed */
} rows[] = {
    { "the least there is", STR_INIT(BASE), NULL },
    { "unknown tags", STR_INIT(BASE "zz=1;y_1="), NULL },
    { "nothing", STR_INIT(""), "a= is missing" },
    { "no v=", STR_INIT("a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from"), "v= is missing" },
    { "no a=", STR_INIT("v=1;d=a.example;s=x;" BH "b=Zm9v;h=from"), "a= is missing" },
    { "no b=", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;" BH "h=from"), "b= is missing" },
    { "no bh=", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;b=Zm9v;h=from"), "bh= is missing" },
    { "no d=", STR_INIT("v=1;a=rsa-sha256;s=x;" BH "b=Zm9v;h=from"), "d= is missing" },
    { "no s=", STR_INIT("v=1;a=rsa-sha256;d=a.example;" BH "b=Zm9v;h=from"), "s= is missing" },
    { "no h=", STR_INIT(ALL_BUT_H), "h= is missing" },
    { "v=2", STR_INIT("v=2;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from"), "v= is not 1" },
    { "v=01", STR_INIT("v=01;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from"), "v= is not 1" },
    { "a tag twice", STR_INIT(BASE "h=from"), "a tag appears twice" },
    { "an unknown tag twice", STR_INIT(BASE "x_=1;x_=1"), "a tag appears twice" },
    { "no list", STR_INIT(BASE ";"), "not a tag list" },
    { "an upper-case algorithm", STR_INIT("v=1;a=RSA-SHA256;d=a.example;s=x;" BH "b=Zm9v;h=from"),
      "a= is not an algorithm we know" },
    { "an unknown algorithm", STR_INIT("v=1;a=rsa-md5;d=a.example;s=x;" BH "b=Zm9v;h=from"),
      "a= is not an algorithm we know" },
    { "SHA-1 with its shorter hash", STR_INIT("v=1;a=rsa-sha1;d=a.example;s=x;bh=Zm9v;b=Zm9v;h=from"), NULL },

    { "d= with one label", STR_INIT("v=1;a=rsa-sha256;d=com;s=x;" BH "b=Zm9v;h=from"), "d= is not a domain name" },
    { "d= empty", STR_INIT("v=1;a=rsa-sha256;d=;s=x;" BH "b=Zm9v;h=from"), "d= is not a domain name" },
    { "d= with a dot behind", STR_INIT("v=1;a=rsa-sha256;d=a.example.;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "d= with an empty label", STR_INIT("v=1;a=rsa-sha256;d=a..example;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "d= with a wildcard", STR_INIT("v=1;a=rsa-sha256;d=*.example;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "d= with a fold", STR_INIT("v=1;a=rsa-sha256;d=a.\r\n example;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "d= with a bracket, which other readers take for a comment",
      STR_INIT("v=1;a=rsa-sha256;d=a.example(.b.example;s=x;" BH "b=Zm9v;h=from"), "d= is not a domain name" },
    { "d= with NUL", STR_INIT("v=1;a=rsa-sha256;d=a.example\0.b.example;s=x;" BH "b=Zm9v;h=from"), "not a tag list" },
    { "d= with an underscore", STR_INIT("v=1;a=rsa-sha256;d=_a.example;s=x;" BH "b=Zm9v;h=from"), NULL },
    { "d= with U-labels", STR_INIT("v=1;a=rsa-sha256;d=b\xc3\xbc" "cher.example;s=x;" BH "b=Zm9v;h=from"), NULL },
    { "d= that is not UTF-8", STR_INIT("v=1;a=rsa-sha256;d=b\xfc.example;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "a label of 63", STR_INIT("v=1;a=rsa-sha256;d=" LABEL63 ".example;s=x;" BH "b=Zm9v;h=from"), NULL },
    { "a label of 64", STR_INIT("v=1;a=rsa-sha256;d=" LABEL63 "l.example;s=x;" BH "b=Zm9v;h=from"),
      "d= is not a domain name" },
    { "a name over 255", STR_INIT("v=1;a=rsa-sha256;d=" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ".x;s=x;" BH
      "b=Zm9v;h=from"), "d= is not a domain name" },
    { "s= of two labels", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x.y;" BH "b=Zm9v;h=from"), NULL },
    { "s= of digits and underscores", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=2024_1;" BH "b=Zm9v;h=from"), NULL },
    { "s= empty", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=;" BH "b=Zm9v;h=from"), "s= is not a selector" },
    { "s= with a wildcard", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=*;" BH "b=Zm9v;h=from"), "s= is not a selector" },
    { "s= with a dot in front", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=.x;" BH "b=Zm9v;h=from"),
      "s= is not a selector" },
    { "s= with a label of 64", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=" LABEL63 "l;" BH "b=Zm9v;h=from"),
      "s= is not a selector" },

    { "i= in d=", STR_INIT(BASE "i=joe@a.example"), NULL },
    { "i= without a local part", STR_INIT(BASE "i=@a.example"), NULL },
    { "i= below d=", STR_INIT(BASE "i=@x.y.A.Example"), NULL },
    { "i= quoted", STR_INIT(BASE "i=a=20b@a.example"), NULL },
    { "i= with two @", STR_INIT(BASE "i=\"a@b\"@a.example"), NULL },
    { "i= above d=", STR_INIT(BASE "i=@example"), "i= is not within d=" },
    { "i= elsewhere", STR_INIT(BASE "i=@b.example"), "i= is not within d=" },
    { "i= that only ends the same", STR_INIT(BASE "i=@xa.example"), "i= is not within d=" },
    { "i= without @", STR_INIT(BASE "i=a.example"), "i= is not an identity" },
    { "i= empty", STR_INIT(BASE "i="), "i= is not an identity" },
    { "i= with an empty domain", STR_INIT(BASE "i=joe@"), "i= is not an identity" },
    { "i= in A-labels, d= in U-labels", STR_INIT("v=1;a=rsa-sha256;d=b\xc3\xbc" "cher.example;s=x;" BH
      "b=Zm9v;h=from;i=@xn--bcher-kva.example"), NULL },

    { "h= with folds", STR_INIT(ALL_BUT_H "h= to \r\n\t:\r\n  From : X-Absent"), NULL },
    { "h= without from", STR_INIT(ALL_BUT_H "h=to:subject"), "h= lacks from" },
    { "h= with something like from", STR_INIT(ALL_BUT_H "h=xfrom:fromx"), "h= lacks from" },
    { "h= empty", STR_INIT(ALL_BUT_H "h="), "h= is not a list of header fields" },
    { "h= with an empty name", STR_INIT(ALL_BUT_H "h=from::to"), "h= is not a list of header fields" },
    { "h= with a colon behind", STR_INIT(ALL_BUT_H "h=from:"), "h= is not a list of header fields" },
    { "h= with a blank in a name", STR_INIT(ALL_BUT_H "h=from:a b"), "h= is not a list of header fields" },
    { "h= with a name that is not ASCII", STR_INIT(ALL_BUT_H "h=from:caf\xc3\xa9"),
      "h= is not a list of header fields" },

    { "bh= of 31 octets", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==;"
      "b=Zm9v;h=from"), "bh= is not a SHA-256 hash" },
    { "bh= empty", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;bh=;b=Zm9v;h=from"), "bh= is not a SHA-256 hash" },
    { "b= empty", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;" BH "b=;h=from"), "b= is not base64" },
    { "b= of something else", STR_INIT("v=1;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v*;h=from"), "b= is not base64" },

    { "c=relaxed", STR_INIT(BASE "c=relaxed"), NULL },
    { "c=simple/relaxed", STR_INIT(BASE "c=simple/relaxed"), NULL },
    { "c=nowsp", STR_INIT(BASE "c=nowsp"), "c= is not a canonicalization" },
    { "c=relaxed/", STR_INIT(BASE "c=relaxed/"), "c= is not a canonicalization" },
    { "c=/relaxed", STR_INIT(BASE "c=/relaxed"), "c= is not a canonicalization" },
    { "c= empty", STR_INIT(BASE "c="), "c= is not a canonicalization" },
    { "c= of three", STR_INIT(BASE "c=relaxed/relaxed/relaxed"), "c= is not a canonicalization" },
    { "q=dns/txt", STR_INIT(BASE "q=dns/txt"), NULL },
    { "q= of several", STR_INIT(BASE "q=x-new/way : dns/txt"), NULL },
    { "q= of another", STR_INIT(BASE "q=x-new/way"), "q= lacks dns/txt" },
    { "q= empty", STR_INIT(BASE "q="), "q= lacks dns/txt" },

    { "l=0", STR_INIT(BASE "l=0"), NULL },
    { "l= beyond 64 bits", STR_INIT(BASE "l=99999999999999999999"), NULL },
    { "l= of 76 digits", STR_INIT(BASE "l=" DIGITS38 DIGITS38),
      NULL },
    { "l= of 77 digits", STR_INIT(BASE "l=" DIGITS38 DIGITS38 "0"),
      "l= is not a length" },
    { "l=-1", STR_INIT(BASE "l=-1"), "l= is not a length" },
    { "l= empty", STR_INIT(BASE "l="), "l= is not a length" },
    { "l= in hex", STR_INIT(BASE "l=0x10"), "l= is not a length" },

    { "t= and x=", STR_INIT(BASE "t=1;x=2"), NULL },
    { "t= of 12 digits", STR_INIT(BASE "t=999999999999"), NULL },
    { "t= of 13 digits", STR_INIT(BASE "t=1000000000000"), "t= is not a time" },
    { "t= empty", STR_INIT(BASE "t="), "t= is not a time" },
    { "t= with a sign", STR_INIT(BASE "t=+1"), "t= is not a time" },
    { "x= in words", STR_INIT(BASE "x=tomorrow"), "x= is not a time" },
    { "x= before t=", STR_INIT(BASE "t=2;x=1"), "x= is not later than t=" },
    { "x= at t=", STR_INIT(BASE "t=2;x=2"), "x= is not later than t=" },
};
/* clang-format on */

static void each_rule_has_its_reason(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dkim_signature s;
        const char *why = read(rows[i].value, &s), *want = rows[i].why != NULL ? rows[i].why : "(none)";

        CHECK_ROW(rows[i].label);
        why = why != NULL ? why : "(none)";
        CHECK_EQ_STR(why, strlen(why), want);
    }
}

static void check_forms(const char *c, bool header, bool body)
{
    struct dkim_signature s;

    CHECK_ROW(c);
    CHECK(read(arena_printf(kit_arena(), "%s%s", BASE, c), &s) == NULL);
    CHECK_EQ_INT(s.header_relaxed, header);
    CHECK_EQ_INT(s.body_relaxed, body);
}

static void simple_is_what_c_does_not_say(void)
{
    check_forms("", false, false);
    check_forms("c=simple", false, false);
    check_forms("c=relaxed", true, false);
    check_forms("c=simple/relaxed", false, true);
    check_forms("c= relaxed/simple ", true, false);
    check_forms("c=relaxed/relaxed", true, true);
}

static void everything_is_read(void)
{
    struct dkim_signature s;

    CHECK(read(STR(" v=1; a=ed25519-sha256; b= Zm\r\n 9v ; c=relaxed/relaxed; d=A.example; s=x.y; h=from:to; "
                   "i=j@A.example;"
                   " l=12; t=3; x=4;" BH),
               &s) == NULL);
    CHECK(s.algorithm == ALGORITHM_ED25519_SHA256);
    CHECK_EQ_STR(s.domain.p, s.domain.n, "A.example");
    CHECK_EQ_STR(s.selector.p, s.selector.n, "x.y");
    CHECK_EQ_STR(s.identity.p, s.identity.n, "j@A.example");
    CHECK_EQ_STR(s.header_names.p, s.header_names.n, "from:to");
    CHECK_EQ_STR(s.signature.p, s.signature.n, "Zm\r\n 9v");
    CHECK_EQ_STR(s.b_text.p, s.b_text.n, " Zm\r\n 9v ");
    CHECK(s.has_limit && s.limit == 12 && s.has_time && s.time == 3 && s.has_expiry && s.expiry == 4);
    CHECK(read(STR(BASE "l=18446744073709551615"), &s) == NULL && s.limit == UINT64_MAX);
    CHECK(read(STR(BASE "l=18446744073709551616"), &s) == NULL && s.limit == UINT64_MAX);
}

/* The report names a signature that is no good, too. */
static void what_can_be_read_is_there_all_the_same(void)
{
    struct dkim_signature s;

    CHECK(read(STR("v=2;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from"), &s) != NULL);
    CHECK_EQ_STR(s.domain.p, s.domain.n, "a.example");
    CHECK_EQ_STR(s.selector.p, s.selector.n, "x");
    CHECK_EQ_STR(s.algorithm_text.p, s.algorithm_text.n, "rsa-sha256");
}

/* ATTACKS H06 */
static void h_names_a_thousand_fields_at_most(void)
{
    static char text[1 << 16];
    struct dkim_signature s;
    struct str value;

    for (unsigned names = 1000; names <= 10000; names += 9000) {
        size_t n = sizeof(ALL_BUT_H) - 1;

        memcpy(text, ALL_BUT_H, n);
        memcpy(text + n, "h=from", 6);
        n += 6;
        for (unsigned i = 1; i < names; i++, n += 2)
            memcpy(text + n, ":x", 2);
        value = str_from(text, n);
        CHECK((read(value, &s) == NULL) == (names == 1000));
    }
}

/* ---- ARC ---- */

#define AMS "i=1;a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from;"
#define SEAL "i=1;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=none;"

static const struct arc_row {
    const char *label;
    enum signature_kind kind;
    struct str value;
    bool is_good;
} arc_rows[] = {
    { "a message signature", SIGNATURE_AMS, STR_INIT(AMS), true },
    { "a version is ignored", SIGNATURE_AMS, STR_INIT(AMS "v=7"), true },
    { "no instance", SIGNATURE_AMS, STR_INIT("a=rsa-sha256;d=a.example;s=x;" BH "b=Zm9v;h=from"), false },
    { "a seal", SIGNATURE_SEAL, STR_INIT(SEAL "t=5"), true },
    { "a seal with h=", SIGNATURE_SEAL, STR_INIT(SEAL "h=from"), false },
    { "a seal with t= empty", SIGNATURE_SEAL, STR_INIT(SEAL "t="), false },
    { "a seal with another cv=", SIGNATURE_SEAL, STR_INIT("i=1;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=Pass"), false },
    { "instance 0", SIGNATURE_SEAL, STR_INIT("i=0;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=none"), false },
    { "instance 50", SIGNATURE_SEAL, STR_INIT("i=50;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=none"), true },
    { "instance 51", SIGNATURE_SEAL, STR_INIT("i=51;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=none"), false },
    { "instance 01", SIGNATURE_SEAL, STR_INIT("i=01;a=rsa-sha256;d=a.example;s=x;b=Zm9v;cv=none"), false },
};

static void arc_has_its_own_tags(void)
{
    for (size_t i = 0; i < sizeof arc_rows / sizeof *arc_rows; i++) {
        struct dkim_signature s;

        CHECK_ROW(arc_rows[i].label);
        CHECK((read_as(arc_rows[i].kind, arc_rows[i].value, &s) == NULL) == arc_rows[i].is_good);
        if (arc_rows[i].is_good && arc_rows[i].kind == SIGNATURE_SEAL)
            CHECK(s.header_relaxed && s.instance > 0 && str_eq(s.chain, STR("none")));
    }
}

static void past_keys_tell_signatures_apart(void)
{
    static const char b[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/0";
    struct dkim_signature one = { .signature = str_from(b, sizeof b - 1) }, other = one;
    struct str key = dkim_past_key(&one, kit_arena());

    CHECK_EQ_STR(key.p, key.n, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/");
    other.signature = STR("0123456789abcdefghijklmnopqrstuvwxyz\r\n\tABCDEFGHIJKLMNOPQRSTUVWXYZ+ /1");
    CHECK(str_eq(key, dkim_past_key(&other, kit_arena()))); /* folds are none */
    other.signature = STR("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ++0");
    CHECK(!str_eq(key, dkim_past_key(&other, kit_arena())));
    other.signature = STR("");
    CHECK_EQ_INT(dkim_past_key(&other, kit_arena()).n, 0);
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_rule_has_its_reason),
    TEST(simple_is_what_c_does_not_say),
    TEST(everything_is_read),
    TEST(what_can_be_read_is_there_all_the_same),
    TEST(h_names_a_thousand_fields_at_most),
    TEST(arc_has_its_own_tags),
    TEST(past_keys_tell_signatures_apart),
};
/* clang-format on */
TEST_MAIN(tests)
