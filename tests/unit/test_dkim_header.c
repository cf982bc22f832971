/* Header hashes: canonical forms and the choice of fields (RFC 6376 3.4.1, 3.4.2, 5.4.2; ATTACKS H06, H08, H13). */
#include "dkim_kit.h"
#include "test.h"

/* ---- one field ---- */

static void check_hash(struct header_hash *hash, const char *want)
{
    uint8_t got[SHA256_SIZE], expected[SHA256_SIZE];
    struct sha256 sha;

    sha256_end(&hash->sha, got);
    sha256_begin(&sha);
    sha256_add(&sha, str_of(want));
    sha256_end(&sha, expected);
    CHECK(memcmp(got, expected, SHA256_SIZE) == 0);
}

static void check_field(const char *text, const char *relaxed, const char *simple)
{
    struct str rest = str_of(text);
    struct header_field field;

    CHECK_ROW(text);
    CHECK(header_next(&rest, &field));
    for (int form = 0; form < 2; form++) {
        struct header_hash hash = { .is_relaxed = form == 1 };

        sha256_begin(&hash.sha);
        header_hash_add(&hash, &field);
        check_hash(&hash, form == 1 ? relaxed : simple);
    }
}

static void fields_have_two_canonical_forms(void)
{
    check_field("A: X\r\n", "a:X\r\n", "A: X\r\n"); /* 3.4.5 */
    check_field("B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", "B : Y\t\r\n\tZ  \r\n");
    check_field("Subject:\r\n", "subject:\r\n", "Subject:\r\n");
    check_field("Subject: \t \r\n", "subject:\r\n", "Subject: \t \r\n");
    check_field("Subject:\r\n \r\n\t\r\n x\r\n", "subject:x\r\n", "Subject:\r\n \r\n\t\r\n x\r\n");
    check_field("Subject: a\r\n \r\n", "subject:a\r\n", "Subject: a\r\n \r\n");
    check_field("Subject:a\r\n b\r\n", "subject:a b\r\n", "Subject:a\r\n b\r\n");
    check_field("X-Y: a:b  :c \r\n", "x-y:a:b :c\r\n", "X-Y: a:b  :c \r\n");
    check_field("X: a\rb\nc\r\n", "x:a\rb\nc\r\n", "X: a\rb\nc\r\n");
    check_field("X: caf\xc3\xa9\r\n", "x:caf\xc3\xa9\r\n", "X: caf\xc3\xa9\r\n");
    check_field("X: cut off", "x:cut off\r\n", "X: cut off\r\n");
    check_field("A-Name-Of-More-Than-Sixty-Four-Octets-Which-Nobody-Would-Ever-Write-In-Mail-Really: x\r\n",
                "a-name-of-more-than-sixty-four-octets-which-nobody-would-ever-write-in-mail-really:x\r\n",
                "A-Name-Of-More-Than-Sixty-Four-Octets-Which-Nobody-Would-Ever-Write-In-Mail-Really: x\r\n");
}

static void check_signature(const char *text, const char *relaxed, const char *simple)
{
    struct str rest = str_of(text);
    struct header_field field;
    struct dkim_signature s;

    CHECK_ROW(text);
    CHECK(header_next(&rest, &field));
    dkim_signature_read(&field, SIGNATURE_DKIM, &s);
    for (int form = 0; form < 2; form++) {
        struct header_hash hash = { .is_relaxed = form == 1 };

        sha256_begin(&hash.sha);
        header_hash_add_signature(&hash, &field, &s);
        check_hash(&hash, form == 1 ? relaxed : simple);
    }
}

/* 3.7: b= with the white space around its value is left empty; no CRLF at the end. bh= is another tag. */
static void a_signature_is_hashed_without_its_value(void)
{
    check_signature("DKIM-Signature: bh=x; b=abc\r\n", "dkim-signature:bh=x; b=", "DKIM-Signature: bh=x; b=");
    check_signature("DKIM-Signature: b=a b\r\n c ; bh=x\r\n", "dkim-signature:b=; bh=x", "DKIM-Signature: b=; bh=x");
    check_signature("DKIM-Signature: b\t = abc ;v=1 \r\n", "dkim-signature:b =;v=1", "DKIM-Signature: b\t =;v=1 ");
    check_signature("DKIM-Signature: a=b; b=\r\n abc\r\n", "dkim-signature:a=b; b=", "DKIM-Signature: a=b; b=");
    check_signature("DKIM-Signature:b=abc", "dkim-signature:b=", "DKIM-Signature:b=");
}

/* ---- the choice of fields ---- */

static void digest_of(const char *header, const char *names, uint8_t digest[SHA256_SIZE])
{
    struct dkim_signature s = { .header_names = str_of(names) };
    struct str rest = STR("DKIM-Signature: b=x\r\n");
    struct header_field self;

    CHECK(header_next(&rest, &self));
    s.b_text = str_skip(self.value, self.value.n - 1);
    dkim_header_digest(str_of(header), &self, &s, digest);
}

static void check_choice(const char *header, const char *names, const char *want)
{
    uint8_t got[SHA256_SIZE], expected[SHA256_SIZE];
    struct sha256 sha;

    CHECK_ROW(names);
    digest_of(header, names, got);
    sha256_begin(&sha);
    sha256_add(&sha, str_of(want));
    sha256_add(&sha, STR("DKIM-Signature: b="));
    sha256_end(&sha, expected);
    CHECK(memcmp(got, expected, SHA256_SIZE) == 0);
}

/* ATTACKS H13 */
static void fields_are_taken_bottom_up(void)
{
    const char *header = "A:1\r\nB:1\r\na:2\r\nC:1\r\nA:3\r\n";

    check_choice(header, "a", "A:3\r\n");
    check_choice(header, "a:a", "A:3\r\na:2\r\n");
    check_choice(header, "a:A:a", "A:3\r\na:2\r\nA:1\r\n");
    check_choice(header, "a:a:a:a:a", "A:3\r\na:2\r\nA:1\r\n"); /* oversigned: as if they were there and empty */
    check_choice(header, "c:a:b:a", "C:1\r\nA:3\r\nB:1\r\na:2\r\n");
    check_choice(header, "x:c:y", "C:1\r\n");
    check_choice(header, " C \r\n :\r\n\tb", "C:1\r\nB:1\r\n");
    check_choice("", "a:b", "");
    check_choice("A:1\r\nno field\r\nA:2\r\n", "a:a", "A:2\r\nA:1\r\n");
    check_choice("A:1\r\n\r\nA:2\r\n", "a:a", "A:1\r\n");
    check_choice("A :1\r\nAB:1\r\nABC:1\r\n", "ab:a:abc", "AB:1\r\nA :1\r\nABC:1\r\n");
}

/* 3.5: the signature that is verified is not among the fields of h=; others are. */
static void a_signature_does_not_sign_itself(void)
{
    struct str text = STR("DKIM-Signature: b=y\r\nDKIM-Signature: b=x\r\n"), rest = text;
    uint8_t got[SHA256_SIZE], expected[SHA256_SIZE];
    struct dkim_signature s = { .header_names = STR("dkim-signature:dkim-signature") };
    struct header_field self;
    struct sha256 sha;

    CHECK(header_next(&rest, &self) && header_next(&rest, &self));
    s.b_text = str_skip(self.value, self.value.n - 1);
    dkim_header_digest(text, &self, &s, got);
    sha256_begin(&sha);
    sha256_add(&sha, STR("DKIM-Signature: b=y\r\nDKIM-Signature: b="));
    sha256_end(&sha, expected);
    CHECK(memcmp(got, expected, SHA256_SIZE) == 0);
}

/* ---- against a naive reading ---- */

/* 5.4.2 as it is written: strike the lowest field of that name that is left. */
static void naive(struct str header, struct str names, struct sha256 *sha)
{
    static struct str left[64];
    struct header_field field;
    struct str name;
    size_t n = 0;

    while (header_next(&header, &field))
        left[n++] = field.raw;
    while (colon_list_next(&names, &name))
        for (size_t i = n; i > 0; i--) {
            struct str raw = left[i - 1];

            if (raw.n == 0 || !header_next(&raw, &field) || !header_is(&field, name))
                continue;
            sha256_add(sha, left[i - 1]);
            left[i - 1].n = 0;
            break;
        }
    sha256_add(sha, STR("DKIM-Signature: b="));
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16 & 0x7fff;
}

static void any_list_over_any_header_is_read_so(void)
{
    static const char *const words[] = { "a", "A", "b", "ab", "Ab", "from", "FROM", "x-1", "x-2", "zz" };
    unsigned state = 1;

    for (int round = 0; round < 3000; round++) {
        char header[1024], names[512];
        uint8_t got[SHA256_SIZE], expected[SHA256_SIZE];
        size_t header_n = 0, names_n = 0, fields = next_random(&state) % 40, places = next_random(&state) % 40;
        struct sha256 sha;

        for (size_t i = 0; i < fields; i++)
            header_n += (size_t)snprintf(header + header_n, sizeof header - header_n, "%s:%zu\r\n",
                                         words[next_random(&state) % 10], i);
        for (size_t i = 0; i <= places; i++)
            names_n += (size_t)snprintf(names + names_n, sizeof names - names_n, "%s%s", i > 0 ? ":" : "",
                                        words[next_random(&state) % 10]);
        header[header_n] = '\0';
        digest_of(header, names, got);
        sha256_begin(&sha);
        naive(str_from(header, header_n), str_from(names, names_n), &sha);
        sha256_end(&sha, expected);
        CHECK(memcmp(got, expected, SHA256_SIZE) == 0);
    }
}

/* ---- size ---- */

static char big[1 << 20];

static size_t fill(const char *line)
{
    size_t length = strlen(line), n = 0;

    for (; n + length < sizeof big; n += length)
        memcpy(big + n, line, length);
    big[n] = '\0';
    return n;
}

/* A megabyte of short fields under a thousand names: quadratic work would take minutes here. */
static void a_big_header_under_a_long_list_is_cheap(void)
{
    static char names[4096];
    uint8_t digest[SHA256_SIZE], again[SHA256_SIZE];
    size_t n = 0;

    for (int i = 0; i < HEADER_NAMES_MAX; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%sa%c", i > 0 ? ":" : "", 'a' + i % 26);
    names[n] = '\0';
    fill("ab:\r\n");
    digest_of(big, names, digest);
    fill("a:\r\n");
    for (int i = 0; i < 5; i++)
        digest_of(big, "a:a:a:from", again);
    CHECK(memcmp(digest, again, SHA256_SIZE) != 0);
}

/* ATTACKS H08: a megabyte in one field, by one fold or by a hundred thousand. */
static void a_big_field_is_cheap(void)
{
    static const char *const lines[] = { "x", " ", "\r\n x", "\r\n \t" };
    uint8_t digest[SHA256_SIZE];

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct dkim_signature s = { .header_names = STR("a:a"), .header_relaxed = true };
        struct str rest = STR("DKIM-Signature: b=x\r\n");
        struct header_field self;

        CHECK(header_next(&rest, &self));
        s.b_text = str_skip(self.value, self.value.n - 1);
        fill(lines[i]);
        memcpy(big, "a:", 2);
        if (i >= 2)
            memcpy(big + 2, "\r\n ", 3);
        dkim_header_digest(str_of(big), &self, &s, digest);
    }
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(fields_have_two_canonical_forms),
    TEST(a_signature_is_hashed_without_its_value),
    TEST(fields_are_taken_bottom_up),
    TEST(a_signature_does_not_sign_itself),
    TEST(any_list_over_any_header_is_read_so),
    TEST(a_big_header_under_a_long_list_is_cheap),
    TEST(a_big_field_is_cheap),
};
/* clang-format on */
TEST_MAIN(tests)
