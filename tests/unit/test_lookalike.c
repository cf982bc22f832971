/* Domains that resemble ours, and those that do not; the skeletons of characters, and Punycode. */
#include "policy/lookalike.h"

#include "policy/path.h"
#include "test.h"

/* ---- domains ---- */

static const struct str words[] = { STR_INIT("login"), STR_INIT("support"), STR_INIT("secure"), STR_INIT("mail"),
                                    STR_INIT("365") };

static const struct lookalike_terms terms = { { words, sizeof words / sizeof *words }, 6 };

enum { NONE, LETTERS, ENDING, TYPING, WORDS, PREFIX };

/* clang-format off */
static const struct row {
    const char *theirs, *ours;
    int want; /* enum resemblance */
} rows[] = {
    /* the domain itself, what is below it, and its house */
    { "example.org", "example.org", NONE },
    { "mail.example.org", "example.org", NONE },
    { "a.b.c.example.org", "example.org", NONE },
    { "example.org", "mail.example.org", NONE },
    { "news.example.org", "mail.example.org", NONE },
    { "example.co.uk", "example.co.uk", NONE },
    { "shop.example.co.uk", "example.co.uk", NONE },
    { "example.co.uk", "www.example.co.uk", NONE },

    /* letters that look alike, in ASCII */
    { "examp1e.org", "example.org", LETTERS },
    { "exampie.org", "example.org", LETTERS },
    { "exarnple.org", "example.org", LETTERS },
    { "exarnp1e.org", "example.org", LETTERS },
    { "rnicrosoft.com", "microsoft.com", LETTERS },
    { "micr0soft.com", "microsoft.com", LETTERS },
    { "rnicr0s0ft.com", "microsoft.com", LETTERS },
    { "paypa1.com", "paypal.com", LETTERS },
    { "paypai.com", "paypal.com", LETTERS },
    { "vvikipedia.org", "wikipedia.org", LETTERS },
    { "wikipedia.org", "vvikipedia.org", LETTERS },
    { "g00gle.com", "google.com", LETTERS },
    { "goog1e.com", "google.com", LETTERS },
    { "1inkedin.com", "linkedin.com", LETTERS },
    { "iinkedin.com", "linkedin.com", LETTERS },
    { "examp1e.net", "example.org", LETTERS },
    { "mail.examp1e.org", "example.org", LETTERS },
    { "examp1e.org", "www.example.org", LETTERS },
    { "examp1e.co.uk", "example.co.uk", LETTERS },
    { "examp1e.com", "example.co.uk", LETTERS },
    { "brnw.de", "bmw.de", LETTERS },
    { "s1e.de", "sle.de", LETTERS },

    /* letters of other scripts, as A-labels */
    { "xn--xample-2of.org", "example.org", LETTERS },     /* Cyrillic ie */
    { "xn--exmple-4nf.org", "example.org", LETTERS },     /* Cyrillic a */
    { "xn--exampl-8of.org", "example.org", LETTERS },
    { "xn--exmple-cua.org", "example.org", LETTERS },     /* a with diaeresis */
    { "xn--exampe-7db.org", "example.org", LETTERS },     /* l with stroke */
    { "xn--80ak6aa92e.com", "apple.com", LETTERS },       /* all of it Cyrillic; short names, too, with the same ending */
    { "xn--80ak6aa92e.net", "apple.com", NONE },
    { "xn--googe-q4a.com", "google.com", LETTERS },       /* dotless i */
    { "xn--pypal-4ve.com", "paypal.com", LETTERS },
    { "xn--gogle-sce.com", "google.com", LETTERS },       /* Greek omicron */
    { "xn--mnchen-3ya.de", "muenchen.de", TYPING },       /* ue is no u */
    { "xn--mnchen-3ya.de", "munchen.de", LETTERS },
    { "munchen.de", "xn--mnchen-3ya.de", LETTERS },
    { "xn--mnchen-3ya.de", "xn--mnchen-3ya.de", NONE },
    { "xn--mnchen-3ya.com", "xn--mnchen-3ya.de", ENDING },
    { "xn--mnch-0ra.de", "xn--mnchen-3ya.de", NONE },
    { "xn--.org", "example.org", NONE },                  /* no Punycode: letters as they stand */
    { "xn--example.org", "example.org", NONE },
    { "xn--99999999.org", "example.org", NONE },

    /* another top level */
    { "example.net", "example.org", ENDING },
    { "example.co", "example.org", ENDING },
    { "example.co.uk", "example.org", ENDING },
    { "example.com.br", "example.co.uk", ENDING },
    { "www.example.net", "example.org", ENDING },
    { "example", "example.org", ENDING },
    { "examp.net", "examp.org", NONE },                   /* five letters: coincidence */
    { "bmw.com", "bmw.de", NONE },

    /* one typing error */
    { "exmaple.org", "example.org", TYPING },
    { "xeample.org", "example.org", TYPING },
    { "exampel.org", "example.org", TYPING },
    { "exampl.org", "example.org", TYPING },
    { "xample.org", "example.org", TYPING },
    { "exaple.org", "example.org", TYPING },              /* the m left out: two letters of its skeleton */
    { "examplee.org", "example.org", TYPING },
    { "examples.org", "example.org", TYPING },
    { "eexample.org", "example.org", TYPING },
    { "exxample.org", "example.org", TYPING },
    { "exanple.org", "example.org", TYPING },
    { "wxample.org", "example.org", TYPING },
    { "examplr.org", "example.org", TYPING },
    { "exam-ple.org", "example.org", TYPING },
    { "exmaple.com", "example.org", TYPING },
    { "xeamp1e.com", "example.org", TYPING },
    { "mail.exmaple.org", "example.org", TYPING },
    { "my-company.com", "mycompany.com", TYPING },
    { "mycompany.com", "my-company.com", TYPING },
    { "exmalpe.org", "example.org", NONE },               /* two */
    { "eaxmlpe.org", "example.org", NONE },
    { "exampless.org", "example.org", NONE },
    { "samples.org", "example.org", NONE },
    { "temple.org", "example.org", NONE },
    { "exam.org", "example.org", NONE },
    { "apples.com", "apple.com", NONE },                  /* five letters */
    { "bnw.de", "bmw.de", NONE },
    { "heise.de", "weise.de", NONE },

    /* words */
    { "example-support.org", "example.org", WORDS },
    { "example-support.com", "example.org", WORDS },
    { "login-example.com", "example.org", WORDS },
    { "examplelogin.com", "example.org", WORDS },
    { "loginexample.com", "example.org", WORDS },
    { "secure-example-login.com", "example.org", WORDS },
    { "secureexample.com", "example.org", WORDS },
    { "example365.com", "example.org", WORDS },
    { "examp1e-login.com", "example.org", WORDS },
    { "example-anything.com", "example.org", WORDS },
    { "the-example.com", "example.org", WORDS },
    { "my-example-company.com", "example.org", WORDS },
    { "mail.example-support.org", "example.org", WORDS },
    { "xn--exmple-login-hcb.org", "example.org", WORDS },
    { "examplemail-login.com", "example.org", WORDS },
    { "example--login.com", "example.org", WORDS },
    { "deutsche-bank-login.de", "deutsche-bank.de", WORDS },
    { "bmw-login.com", "bmw.de", WORDS },
    { "login-bmw.com", "bmw.de", WORDS },
    { "bmw-secure-login.com", "bmw.de", WORDS },
    { "bmw-fans.com", "bmw.de", NONE },
    { "bmwlogin.com", "bmw.de", NONE },
    { "exampleton.com", "example.org", NONE },
    { "counterexample.com", "example.org", NONE },
    { "example2-x.com", "example.org", NONE },
    { "deutsche-post.de", "deutsche-bank.de", NONE },
    { "loginexamples.com", "example.org", NONE },

    /* the whole name in front */
    { "example.org.attacker.com", "example.org", PREFIX },
    { "example.org-login.attacker.com", "example.org", PREFIX },
    { "example-org.attacker.com", "example.org", PREFIX },
    { "login.example.org.attacker.com", "example.org", PREFIX },
    { "examp1e.org.attacker.com", "example.org", PREFIX },
    { "login-example-org.attacker.com", "example.org", PREFIX },
    { "bmw.de.attacker.com", "bmw.de", PREFIX },
    { "example.attacker.com", "example.org", NONE },      /* half of the Internet's services name their customers so */
    { "example.zendesk.com", "example.org", NONE },
    { "notexample.org.attacker.com", "example.org", NONE },
    { "example.organic.com", "example.org", NONE },
    { "example.org.com", "example.org", PREFIX },

    /* strangers */
    { "attacker.com", "example.org", NONE },
    { "a.b", "example.org", NONE },
    { "org", "example.org", NONE },
    { "co.uk", "example.co.uk", NONE },
    { "gmail.com", "example.com", NONE },
    { "example.org", "ab.org", NONE },
    { "ab.net", "ab.org", NONE },
    { "a6.org", "ab.org", NONE },
    { "localhost", "example.org", NONE },
    { "example.org", "localhost", NONE },
};
/* clang-format on */

static enum resemblance compare(const char *theirs, const char *ours, uint64_t min_length)
{
    static struct lookalike_name a, b;
    struct lookalike_terms with = terms;

    with.min_length = min_length;
    lookalike_read(str_of(theirs), &a);
    lookalike_read(str_of(ours), &b);
    return lookalike_compare(&a, &b, &with);
}

static void compares_domains(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char claim[160];
        const char *got;

        snprintf(claim, sizeof claim, "%s for %s", rows[i].theirs, rows[i].ours);
        CHECK_ROW(claim);
        got = resemblance_name(compare(rows[i].theirs, rows[i].ours, 6));
        CHECK_EQ_STR(got, strlen(got), resemblance_name((enum resemblance)rows[i].want));
    }
}

/* At the bound, and below it. */
static void keeps_min_length(void)
{
    CHECK_EQ_INT(compare("xn--80ak6aa92e.com", "apple.com", 5), LOOKALIKE_LETTERS);
    CHECK_EQ_INT(compare("appel.com", "apple.com", 5), LOOKALIKE_TYPING);
    CHECK_EQ_INT(compare("appel.com", "apple.com", 6), LOOKALIKE_NONE);
    CHECK_EQ_INT(compare("apple.net", "apple.com", 5), LOOKALIKE_ENDING);
    CHECK_EQ_INT(compare("apple.net", "apple.com", 6), LOOKALIKE_NONE);
    CHECK_EQ_INT(compare("xn--mnch-0ra.de", "munch.com", 5), LOOKALIKE_LETTERS);
    CHECK_EQ_INT(compare("xn--mnch-0ra.de", "munch.com", 6), LOOKALIKE_NONE);
    CHECK_EQ_INT(compare("abx.com", "abc.com", 3), LOOKALIKE_TYPING);
    CHECK_EQ_INT(compare("ax.com", "ab.com", 2), LOOKALIKE_NONE); /* LOOKALIKE_SHORT */
}

#define SIXTY "mmmmmmmmmmwwwwwwwwwwmmmmmmmmmmwwwwwwwwwwmmmmmmmmmmwwwwwwwwww"

/* 253 octets of letters with the longest skeletons there are in ASCII. */
static void reads_the_longest_name(void)
{
    static struct lookalike_name name;
    const char *text = SIXTY "mmm." SIXTY "mmm." SIXTY "mmm." SIXTY "m";

    lookalike_read(str_of(text), &name);
    CHECK_EQ_INT(name.characters, 63);
    CHECK_EQ_INT(name.main_letters, 126);
    CHECK_EQ_INT(name.letters, 3 * 126 + 122 + 3);
    CHECK_EQ_INT(compare(text, text, 6), LOOKALIKE_NONE);
    CHECK_EQ_INT(compare(text, "example.org", 6), LOOKALIKE_NONE);
    CHECK_EQ_INT(compare("example.org", text, 6), LOOKALIKE_NONE);
}

/* ---- skeletons ---- */

static void maps_characters(void)
{
    static const struct {
        uint32_t from;
        const char *to;
    } map[] = {
        { 'a', "a" },    { 'A', "a" },   { 'I', "l" },    { 'i', "l" },    { '1', "l" },    { '|', "l" },
        { 'm', "rn" },   { 'M', "rn" },  { 'w', "vv" },   { '0', "o" },    { 'O', "o" },    { '-', "-" },
        { '.', "." },    { 'z', "z" },   { '9', "9" },    { 0x430, "a" },  { 0x410, "a" },  { 0x435, "e" },
        { 0x43E, "o" },  { 0x440, "p" }, { 0x441, "c" },  { 0x443, "y" },  { 0x445, "x" },  { 0x456, "l" },
        { 0x455, "s" },  { 0x3BF, "o" }, { 0x3B1, "a" },  { 0x3BD, "v" },  { 0x131, "l" },  { 0xE4, "a" },
        { 0xF6, "o" },   { 0xFC, "u" },  { 0xE9, "e" },   { 0xE7, "c" },   { 0xF1, "n" },   { 0x142, "l" },
        { 0xF8, "o" },   { 0x111, "d" }, { 0x1EA1, "a" }, { 0xFF41, "a" }, { 0xFF21, "a" }, { 0x1D41A, "a" },
        { 0x2170, "l" }, { 0xE6, "ae" }, { 0x200B, "" },  { 0x200D, "" },  { 0xAD, "" },    { 0x301, "" },
        { 0x202E, "" },  { 0xFE0F, "" },
    };

    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        uint32_t out[SKELETON_MAX];
        size_t n = skeleton_of(map[i].from, out);
        char text[SKELETON_MAX + 1] = "";

        CHECK_ROW(map[i].to);
        for (size_t k = 0; k < n; k++)
            text[k] = out[k] < 0x80 ? (char)out[k] : '?';
        CHECK_EQ_STR(text, n, map[i].to);
    }
}

/* A skeleton is its own skeleton; and every character has one. */
static void maps_to_the_end(void)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        uint32_t once[SKELETON_MAX], twice[SKELETON_MAX];
        size_t n = skeleton_of(c, once);

        CHECK(n <= SKELETON_MAX);
        for (size_t i = 0; i < n; i++) {
            CHECK(skeleton_of(once[i], twice) == 1);
            CHECK_EQ_INT(twice[0], once[i]);
        }
        if (test_now.failed) {
            printf("    of U+%04X\n", (unsigned)c);
            return;
        }
    }
}

static void folds_case(void)
{
    static const uint32_t map[][2] = {
        { 'A', 'a' },         { 'Z', 'z' },           { 'a', 'a' },     { '[', '[' },     { 0xC4, 0xE4 },
        { 0xD7, 0xD7 },       { 0x100, 0x101 },       { 0x101, 0x101 }, { 0x178, 0xFF },  { 0x391, 0x3B1 },
        { 0x3C2, 0x3C3 },     { 0x410, 0x430 },       { 0x42F, 0x44F }, { 0x1E9E, 0xDF }, { 0x10400, 0x10428 },
        { 0x1E921, 0x1E943 }, { 0x10FFFF, 0x10FFFF }, { 0, 0 },
    };

    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        CHECK_EQ_INT(case_fold(map[i][0]), map[i][1]);
}

/* ---- Punycode ---- */

/* What domain.c makes of U-labels comes back; test_domain.c has the rows of RFC 3492 7.1 for the way there. */
static void decodes(void)
{
    static const struct {
        const char *text;
        uint32_t want[24];
        size_t n;
    } table[] = {
        { "mnchen-3ya", { 'm', 0xFC, 'n', 'c', 'h', 'e', 'n' }, 7 },
        { "MNCHEN-3YA", { 'm', 0xFC, 'n', 'c', 'h', 'e', 'n' }, 7 },
        { "bcher-kva", { 'b', 0xFC, 'c', 'h', 'e', 'r' }, 6 },
        { "e1afmkfd", { 0x43F, 0x440, 0x438, 0x43C, 0x435, 0x440 }, 6 },
        { "7l3i", { 0x20BB7 }, 1 },
        { "ihqwcrb4cv8a8dqg056pqjye", { 0x4ED6, 0x4EEC, 0x4E3A, 0x4EC0, 0x4E48, 0x4E0D, 0x8BF4, 0x4E2D, 0x6587 }, 9 },
        { "-> $1.00 <--", { '-', '>', ' ', '$', '1', '.', '0', '0', ' ', '<', '-' }, 11 }, /* RFC 3492 7.1 (S) */
        { "", { 0 }, 0 },
        { "abc-", { 'a', 'b', 'c' }, 3 },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint32_t out[PUNYCODE_MAX];
        size_t n = 0;

        CHECK_ROW(table[i].text);
        CHECK(punycode_decode(str_of(table[i].text), out, &n));
        CHECK_EQ_INT(n, table[i].n);
        CHECK(n == table[i].n && memcmp(out, table[i].want, n * sizeof *out) == 0);
    }
}

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void refuses_what_is_no_punycode(void)
{
    static const char *const bad[] = {
        "mnchen-3y",    /* a number without an end */
        "mnchen-3y!",   /* no digit */
        "a\x80-3ya",    /* not basic */
        "99999999",     /* overflow */
        "a-i023p",      /* past U+10FFFF */
        "ib9b",         /* a surrogate */
        LABEL63 "-3ya", /* the 64th */
        LABEL63 "a-",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t out[PUNYCODE_MAX];
        size_t n = 0;

        CHECK_ROW(bad[i]);
        CHECK(!punycode_decode(str_of(bad[i]), out, &n));
    }
}

static const struct test_case tests[] = {
    TEST(compares_domains),
    TEST(keeps_min_length),
    TEST(reads_the_longest_name),
    TEST(maps_characters),
    TEST(maps_to_the_end),
    TEST(folds_case),
    TEST(decodes),
    TEST(refuses_what_is_no_punycode),
};

TEST_MAIN(tests)
