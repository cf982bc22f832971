/* ARC chains: the sets of a header and their structure (RFC 8617 5.2, ATTACKS H11), and what a sealer said of DMARC. */
#include "policy/arc.h"

#include "arc_header.h"
#include "test.h"

static char header_room[1 << 17], memory[1 << 14];
static struct arc_chain chain;

/* "none", "sound" or why not. */
static struct str judge_header(struct str header)
{
    struct arc_fault fault;
    struct arena arena;

    arena_init(&arena, memory, sizeof memory);
    if (!arc_collect(header, &chain, &fault))
        return arc_fault_print(&fault, &arena);
    if (chain.sets == 0)
        return STR("none");
    return arc_structure(&chain, &fault) ? STR("sound") : arc_fault_print(&fault, &arena);
}

#define AAR "ARC-Authentication-Results"
#define AMS "ARC-Message-Signature"

/* clang-format off */
static const struct row {
    const char *sets, *want;
} rows[] = {
    { "", "none" },
    { "R1 M1 S1n", "sound" },
    { "S1n M1 R1", "sound" },
    { "R1 M1 S1n R2 M2 S2p", "sound" },
    { "S2p R1 M2 S1n R2 M1", "sound" },
    { "R1 M1 S1n R2 M2 S2p R3 M3 S3p", "sound" },

    /* 5.2 step 2: given up before; goes before all that is missing */
    { "R1 M1 S1f", "ARC-Seal i=1: says that the chain was broken before (cv=fail)" },
    { "R1 M1 S1n R2 M2 S2f", "ARC-Seal i=2: says that the chain was broken before (cv=fail)" },
    { "S3f", "ARC-Seal i=3: says that the chain was broken before (cv=fail)" },

    /* step 3 A: one of each */
    { "M1 S1n", AAR " i=1: is missing" },
    { "R1 S1n", AMS " i=1: is missing" },
    { "R1 M1", "ARC-Seal i=1: is missing" },
    { "R1", AMS " i=1: is missing" },
    { "R1 M1 S1n R2", AMS " i=2: is missing" },
    { "R1 M1 S1n R1", AAR " i=1: is there twice" },
    { "R1 M1 S1n M1", AMS " i=1: is there twice" },
    { "R1 M1 S1n S1n", "ARC-Seal i=1: is there twice" },
    { "R1 M1 S1n R2 M2 S2p S2f", "ARC-Seal i=2: is there twice" },

    /* step 3 B: 1..N without gaps; 4.2.1: up to 50 */
    { "R2 M2 S2p", AAR " i=1: is missing" },
    { "R1 M1 S1n R3 M3 S3p", AAR " i=2: is missing" },
    { "R50 M50 S50p", AAR " i=1: is missing" },
    { "R0 M0 S0n", AAR ": no instance from 1 to 50 (i=)" },
    { "M0", AMS ": no instance from 1 to 50 (i=)" },
    { "R1 M1 S1n S0p", "ARC-Seal: no instance from 1 to 50 (i=)" },
    { "R1 M1 S1n R51 M51 S51p", AAR ": no instance from 1 to 50 (i=)" },
    { "R1 M1 S1n S51f", "ARC-Seal: no instance from 1 to 50 (i=)" },
    { "R1 M1 S1n R257 M257 S257p", AAR ": no instance from 1 to 50 (i=)" },
    { "R1 M1 S1n R4294967295 M1 S1p", AAR ": no instance from 1 to 50 (i=)" },

    /* step 3 C: what the seals say */
    { "R1 M1 S1p", "ARC-Seal i=1: the first seal must say cv=none" },
    { "R1 M1 S1n R2 M2 S2n", "ARC-Seal i=2: must say cv=pass" },
    { "R1 M1 S1p R2 M2 S2p", "ARC-Seal i=1: the first seal must say cv=none" },
    { "R1 M1 S1f R2 M2 S2p", "ARC-Seal i=1: the first seal must say cv=none" },
    { "R1 M1 S1n R2 M2 S2f R3 M3 S3p", "ARC-Seal i=2: must say cv=pass" },
    { "R1 M1 S1x", "ARC-Seal i=1: cv= is not none, pass or fail" },
    { "R1 M1 S1-", "ARC-Seal i=1: cv= is missing" },
};
/* clang-format on */

static void each_structure_has_one_answer(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str got = judge_header(arc_header(rows[i].sets, header_room, sizeof header_room));

        CHECK_ROW(rows[i].sets);
        CHECK_EQ_STR(got.p, got.n, rows[i].want);
    }
}

static void fifty_sets_are_a_chain(void)
{
    struct str got = judge_header(arc_header(arc_sets(50), header_room, sizeof header_room));

    CHECK_EQ_STR(got.p, got.n, "sound");
    CHECK_EQ_INT(chain.sets, 50);
    CHECK_EQ_STR(chain.set[50].seal.domain.p, chain.set[50].seal.domain.n, "s50.example");
    got = judge_header(arc_header(arc_sets(51), header_room, sizeof header_room));
    CHECK_EQ_STR(got.p, got.n, "ARC-Authentication-Results: no instance from 1 to 50 (i=)");
}

/* ---- fields in odd forms ---- */

#define TAGS "a=rsa-sha256; d=s1.example; s=k; b=QUJD"
#define MORE "h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define R1 "ARC-Authentication-Results: i=1; mx.example; none\r\n"
#define M1 "ARC-Message-Signature: i=1; " MORE "; " TAGS "\r\n"
#define S1 "ARC-Seal: i=1; cv=none; " TAGS "\r\n"
#define NO_INSTANCE ": no instance from 1 to 50 (i=)"

/* clang-format off */
static const struct {
    const char *label;
    struct str header;
    const char *want;
} forms[] = {
    { "as everybody writes them", STR_INIT(R1 M1 S1), "sound" },
    { "names in any case", STR_INIT("arc-authentication-RESULTS: i=1; mx.example; none\r\n"
      "ARC-MESSAGE-SIGNATURE: i=1; " MORE "; " TAGS "\r\narc-seal: i=1; cv=none; " TAGS "\r\n"), "sound" },
    { "blanks before the colon", STR_INIT("ARC-Authentication-Results : i=1; mx.example; none\r\n"
      "ARC-Message-Signature\t \t: i=1; " MORE "; " TAGS "\r\nARC-Seal : i=1; cv=none; " TAGS "\r\n"), "sound" },
    { "nothing after the colon", STR_INIT("ARC-Authentication-Results:i=1;mx.example;none\r\n"
      "ARC-Message-Signature:i=1;" MORE ";" TAGS "\r\nARC-Seal:i=1;cv=none;" TAGS "\r\n"), "sound" },
    { "folded everywhere", STR_INIT("ARC-Authentication-Results:\r\n\ti\r\n =\r\n 1\r\n ;\r\n mx.example; none\r\n"
      "ARC-Message-Signature:\r\n i\r\n\t=\r\n  1\r\n ; " MORE ";\r\n " TAGS "\r\n"
      "ARC-Seal:\r\n\t \r\n i=1;\r\n\tcv\r\n =\r\n none;\r\n " TAGS "\r\n"), "sound" },
    { "the instance at the end", STR_INIT(R1 "ARC-Message-Signature: " MORE "; " TAGS "; i=1\r\n"
      "ARC-Seal: " TAGS "; cv=none; i=1;\r\n"), "sound" },
    { "between other fields", STR_INIT("Received: x\r\n" S1 "From: a@b\r\n" R1 "\tand more\r\nTo: c@d\r\n" M1 "Subject: s\r\n"),
      "sound" },
    { "comments in the results", STR_INIT("ARC-Authentication-Results: (a (b)\\) i=7;) i (c) = (d) 1 (e) ; mx.example\r\n" M1 S1),
      "sound" },
    { "behind a line that is no field", STR_INIT(R1 M1 "no field\r\n" S1), "sound" },
    { "the last line without its end", STR_INIT(R1 M1 "ARC-Seal: i=1; cv=none; " TAGS), "sound" },
    { "a version in the signature is ignored", STR_INIT(R1 "ARC-Message-Signature: i=1; v=7; " MORE "; " TAGS "\r\n" S1), "sound" },

    { "behind the header", STR_INIT("From: a@b\r\n\r\n" R1 M1 S1), "none" },
    { "one behind the header", STR_INIT(R1 M1 "\r\n" S1), "ARC-Seal i=1: is missing" },
    { "names that only begin so", STR_INIT("ARC-Seals: i=1\r\nX-ARC-Seal: i=1\r\nARC: i=1\r\nARC-Sea: i=1\r\n"), "none" },
    { "as a continuation", STR_INIT("Subject: s\r\n ARC-Seal: i=1; cv=none; " TAGS "\r\n"), "none" },
    { "behind a bare LF", STR_INIT("Subject: s\n" S1), "none" },

    { "no instance", STR_INIT("ARC-Seal: cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "an empty one", STR_INIT("ARC-Seal: i=; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "an instance of DKIM", STR_INIT("ARC-Seal: i=a@b.example; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "in capitals", STR_INIT("ARC-Seal: I=1; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "a leading zero", STR_INIT("ARC-Seal: i=01; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "a sign", STR_INIT("ARC-Seal: i=+1; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "two numbers", STR_INIT("ARC-Seal: i=1 2; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "beyond 64 bits", STR_INIT("ARC-Seal: i=18446744073709551617; cv=none; " TAGS "\r\n"), "ARC-Seal" NO_INSTANCE },
    { "two instances", STR_INIT("ARC-Seal: i=1; i=1; cv=none; " TAGS "\r\n"), "ARC-Seal: a tag appears twice" },
    { "two chain states", STR_INIT(R1 M1 "ARC-Seal: i=1; cv=none; cv=fail; " TAGS "\r\n"), "ARC-Seal: a tag appears twice" },
    { "no tag list", STR_INIT("ARC-Seal: i=1; cv\r\n"), "ARC-Seal: not a tag list" },
    { "empty", STR_INIT("ARC-Seal:\r\n"), "ARC-Seal" NO_INSTANCE },
    { "results without an instance", STR_INIT("ARC-Authentication-Results: mx.example; i=1\r\n" M1 S1), AAR NO_INSTANCE },
    { "results with nothing behind", STR_INIT("ARC-Authentication-Results: i=1\r\n" M1 S1), AAR NO_INSTANCE },
    { "results whose comment does not end", STR_INIT("ARC-Authentication-Results: i=1 (x; mx.example\r\n" M1 S1), AAR NO_INSTANCE },
    { "results in capitals", STR_INIT("ARC-Authentication-Results: I=1; mx.example; none\r\n" M1 S1), AAR NO_INSTANCE },
    { "results with a leading zero", STR_INIT("ARC-Authentication-Results: i=01; mx.example; none\r\n" M1 S1), AAR NO_INSTANCE },

    { "h= in a seal", STR_INIT(R1 M1 "ARC-Seal: i=1; cv=none; h=from; " TAGS "\r\n"), "ARC-Seal i=1: h= in a seal" },
    { "cv=None", STR_INIT(R1 M1 "ARC-Seal: i=1; cv=None; " TAGS "\r\n"), "ARC-Seal i=1: cv= is not none, pass or fail" },
    { "rsa-sha1", STR_INIT(R1 M1 "ARC-Seal: i=1; cv=none; a=rsa-sha1; d=s1.example; s=k; b=QUJD\r\n"),
      "ARC-Seal i=1: is signed with rsa-sha1" },
};
/* clang-format on */

static void fields_are_found_in_every_form(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct str got = judge_header(forms[i].header);

        CHECK_ROW(forms[i].label);
        CHECK_EQ_STR(got.p, got.n, forms[i].want);
    }
}

/* However many fields there are, no more are read than a chain can have: the one behind them is not seen. */
static void a_flood_of_fields_is_not_read(void)
{
    size_t n = 0;

    while (n < sizeof header_room - 200)
        n += (size_t)snprintf(header_room + n, 200, "ARC-Seal: i=7; cv=none; " TAGS "\r\n");
    CHECK_EQ_STR(judge_header(str_from(header_room, n)).p, judge_header(str_from(header_room, n)).n,
                 "ARC-Seal i=7: is there twice");
    CHECK_EQ_INT(chain.sets, 7);
}

/* ---- what the seals sign ---- */

/* 5.1.1 by hand: sets in order, results, signature, seal; the last seal without its b=. */
static void a_seal_signs_all_sets_up_to_its_own(void)
{
    static const char header[] =
        "ARC-Seal: i=2; cv=pass;  " TAGS "\r\n" R1 "From: a@b\r\n" S1 "ARC-Message-Signature: i=2; " MORE "; " TAGS
        "\r\n" M1 "ARC-Authentication-Results:  i=2;\r\n\tmx.example \r\n";
    static const char *const signed_text[] = {
        "arc-authentication-results:i=1; mx.example; none\r\narc-message-signature:i=1; " MORE "; " TAGS "\r\n"
        "arc-seal:i=1; cv=none; a=rsa-sha256; d=s1.example; s=k; b=",
        "arc-authentication-results:i=1; mx.example; none\r\narc-message-signature:i=1; " MORE "; " TAGS "\r\n"
        "arc-seal:i=1; cv=none; " TAGS "\r\n"
        "arc-authentication-results:i=2; mx.example\r\narc-message-signature:i=2; " MORE "; " TAGS "\r\n"
        "arc-seal:i=2; cv=pass; a=rsa-sha256; d=s1.example; s=k; b=",
    };
    uint8_t got[2][SHA256_SIZE], again[SHA256_SIZE], want[SHA256_SIZE];
    struct str sound = judge_header(STR(header));
    struct arc_hash hash;
    struct sha256 sha;

    CHECK_EQ_STR(sound.p, sound.n, "sound");
    arc_hash_begin(&hash);
    arc_hash_seal(&hash, &chain, 1, got[0]);
    arc_hash_seal(&hash, &chain, 2, got[1]);
    for (size_t i = 0; i < 2; i++) {
        sha256_begin(&sha);
        sha256_add(&sha, str_of(signed_text[i]));
        sha256_end(&sha, want);
        CHECK(memcmp(got[i], want, sizeof want) == 0);
    }
    arc_hash_begin(&hash);
    arc_hash_seal(&hash, &chain, 2, again);
    CHECK(memcmp(again, got[1], sizeof again) == 0);
}

/* ---- what a sealer said ---- */

/* clang-format off */
static const struct {
    const char *value, *from; /* NULL: it did not say that DMARC passed */
} results[] = {
    { "i=1; mx.example; dmarc=pass", "" },
    { "i=1; mx.example; dmarc=pass;", "" },
    { "i=1; mx.example; dmarc=pass; ", "" },
    { "i=1; mx.example; dmarc=pass header.from=a.example", "a.example" },
    { " i=1; mx.google.example;\r\n\tdkim=pass header.i=@a.example header.s=s header.b=abc/+=;\r\n\tspf=pass (google.com: "
      "domain of x@a.example designates 192.0.2.1 as permitted sender) smtp.mailfrom=x@a.example;\r\n\tdmarc=pass "
      "(p=NONE sp=QUARANTINE dis=NONE) header.from=a.example", "a.example" },
    { "i=2; mx.microsoft.example 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=b.example smtp.mailfrom=a.example;"
      " dmarc=pass (p=none sp=none pct=100) action=none header.from=a.example; dkim=pass (signature was verified) "
      "header.d=a.example; arc=pass (0 oda=1 ltdi=1 spf=[1,1,smtp.mailfrom=a.example] dmarc=[1,1,header.from=a.example])",
      "a.example" },
    { "i=1;mx.example;DMARC=PASS HEADER.FROM=a.example", "a.example" },
    { "i=1; mx.example; dmarc (c) / (c) 1 (c) = (c) pass (c) header (c) . (c) from (c) = (c) a.example (c)", "a.example" },
    { "i=1; \"mx example;\" ; dmarc=pass", "" },
    { "i=1; mx.example (dmarc=fail;) ; dmarc=pass", "" },
    { "i=1; mx.example; dmarc=pass reason=\"a;b dmarc=fail\" header.from=a.example", "a.example" },
    { "i=1; mx.example; spf=fail smtp.mailfrom=\"x;dmarc=fail\"@a.example; dmarc=pass", "" },
    { "i=1; mx.example; x-vendor_1=pass; dmarc=pass", "" },
    { "i=1; mx.example; dmarc=pass polrec.p=none header.from=x@a.example", "x@a.example" },

    /* it says something else, or nothing */
    { "i=1; mx.example; none", NULL },
    { "i=1; mx.example", NULL },
    { "i=1; mx.example;", NULL },
    { "i=1; mx.example; dmarc=fail", NULL },
    { "i=1; mx.example; dmarc=none", NULL },
    { "i=1; mx.example; dmarc=bestguesspass", NULL },
    { "i=1; mx.example; dmarc=pass-ish", NULL },
    { "i=1; mx.example; spf=pass; dkim=pass", NULL },
    { "i=1; mx.example; x-dmarc=pass", NULL },
    { "i=1; mx.example; dmarcx=pass", NULL },
    { "i=1; mx.example; spf=pass dmarc=pass", NULL },
    { "i=1; dmarc=fail; dmarc=pass", NULL }, /* for somebody who does not miss the authserv-id */
    { "i=1; dmarc=pass", NULL },
    { "mx.example; dmarc=pass", NULL },

    /* in comments and quoted strings */
    { "i=1; mx.example; spf=pass (; dmarc=pass ;)", NULL },
    { "i=1; mx.example; spf=pass (a (b) ; dmarc=pass ;)", NULL },
    { "i=1; mx.example; spf=pass (\\) ; dmarc=pass ;)", NULL },
    { "i=1; mx.example; spf=pass reason=\"; dmarc=pass ;\"", NULL },
    { "i=1; mx.example; spf=pass reason=\"\\\"; dmarc=pass ;\"", NULL },
    { "i=1; \"mx.example; dmarc=pass\"", NULL },

    /* it says two things, or has two readings */
    { "i=1; mx.example; dmarc=pass; dmarc=fail", NULL },
    { "i=1; mx.example; dmarc=fail; dmarc=pass", NULL },
    { "i=1; mx.example; dmarc=pass; dmarc=pass", NULL },
    { "i=1; mx.example; dmarc=pass header.from=a.example header.from=b.example", NULL },
    { "i=1; mx.example; dmarc=pass (unending", NULL },
    { "i=1; mx.example; dmarc=pass; spf=pass (unending", NULL },
    { "i=1; mx.example; dmarc=pass; spf=pass reason=\"unending", NULL },
    { "i=1; mx.example; dmarc=pass; spf=pass reason=\"unending\\\"", NULL },
    { "i=1; mx.example; dmarc=pass )", NULL },
    { "i=1; mx.example; dmarc=pass \\", NULL },
    { "i=1; mx.example; dmarc=pass@evil.example", NULL },
    { "i=1; mx.example; spf=fail smtp.mailfrom=x;dmarc=pass@evil.example; dmarc=fail", NULL },
    { "i=1; mx.example; dmarc=pass,fail", NULL },
    { "i=1; mx.example; dmarc=\"pass\"", NULL },
    { "i=1; mx.example; dmarc=pass header.from=", NULL },
    { "i=1; mx.example; dmarc=pass header.from", NULL },
    { "i=1; mx.example; dmarc=pass what is this", NULL },
    { "i=1; mx.example;; dmarc=pass", NULL },
    { "i=1; mx.example; ; dmarc=pass", NULL },
    { "i=1; mx.example and more; dmarc=pass", NULL },
    { "i=1; mx.example; dmarc/=pass", NULL },
    { "i=1; mx.example; dmarc/x=pass", NULL },
    { "i=1; mx.example; =pass; dmarc=pass", NULL },
    { "i=1; mx.example; spf; dmarc=pass", NULL },
    { "i=1; mx.example; dmarc=pass \x01", NULL },
    { "i=51; mx.example; dmarc=pass", NULL },
    { "", NULL },
};
/* clang-format on */

static void a_pass_is_said_clearly_or_not_at_all(void)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        struct str from;
        bool said = arc_said_dmarc_pass(str_of(results[i].value), &from);

        CHECK_ROW(results[i].value);
        CHECK_EQ_INT(said, results[i].from != NULL);
        if (said && results[i].from != NULL)
            CHECK_EQ_STR(from.p, from.n, results[i].from);
    }
}

/* Cut anywhere, a field says nothing that the whole one does not. */
static void a_field_cut_short_says_nothing_new(void)
{
    static const char value[] = "i=1; mx.example; spf=fail (dmarc=pass; ) reason=\"; dmarc=pass; \"; dmarc=fail";
    struct str from;

    for (size_t n = 0; n < sizeof value; n++)
        CHECK(!arc_said_dmarc_pass(str_from(value, n), &from));
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_structure_has_one_answer),
    TEST(fifty_sets_are_a_chain),
    TEST(fields_are_found_in_every_form),
    TEST(a_flood_of_fields_is_not_read),
    TEST(a_seal_signs_all_sets_up_to_its_own),
    TEST(a_pass_is_said_clearly_or_not_at_all),
    TEST(a_field_cut_short_says_nothing_new),
};
/* clang-format on */
TEST_MAIN(tests)
