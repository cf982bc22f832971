/* DMARC's record, tree walk and alignment: RFC 9989 4.7, 4.8, 4.10, appendix B.4, and ATTACKS I01 to I03, I07, I08. */
#include "policy/dmarc.h"

#include "test.h"

/* ---- a zone in the text form of facts; a name that is not in it does not exist ---- */

static char memory[1 << 16], zone_memory[1 << 17], fact_memory[1 << 17];
static struct fact zone_table[64], fact_table[128];
static struct facts zone, facts;
static struct outcome outcome;
static struct arena arena;
static struct pass pass;
static size_t asked;

static void load_zone(const char *text)
{
    facts_init(&zone, zone_table, 64, zone_memory, sizeof zone_memory);
    CHECK_EQ_INT(facts_load(&zone, str_of(text)), 0);
    facts_init(&facts, fact_table, 128, fact_memory, sizeof fact_memory);
    asked = 0;
}

static void begin_pass(void)
{
    arena_init(&arena, memory, sizeof memory);
    outcome.questions = 0;
    pass = (struct pass){ .facts = &facts, .arena = &arena, .outcome = &outcome };
}

static void answer(struct question q)
{
    const struct fact *known = facts_find(&zone, q);

    asked++;
    if (known != NULL)
        facts_answer(&facts, q, known->state, known->value, known->n);
    else
        facts_answer(&facts, q, FACT_NXDOMAIN, NULL, 0);
}

/* Answers what the last pass asked; false when it asked nothing. */
static bool answer_all(void)
{
    for (size_t i = 0; i < outcome.questions; i++)
        answer(outcome.question[i]);
    return outcome.questions > 0;
}

static void walk_from(const char *zone_text, struct str domain, struct dmarc_walk *walk)
{
    load_zone(zone_text);
    do {
        begin_pass();
        dmarc_walk(&pass, domain, walk);
    } while (answer_all());
}

/* ---- the record ---- */

static const char *letter(bool claim, const char *yes)
{
    return claim ? yes : "";
}

/* "p=reject sp=none psd=n adkim=s aspf=s t broken rua", what is not the default. */
static void describe(const struct dmarc_record *r, char out[160])
{
    static const char *const psd[] = { "", " psd=y", " psd=n" };

    snprintf(out, 160, "p=%s%s%s%s%s%s%s%s%s%s%s", dmarc_request_name(r->p), letter(r->sp != DMARC_UNSTATED, " sp="),
             dmarc_request_name(r->sp), letter(r->np != DMARC_UNSTATED, " np="), dmarc_request_name(r->np), psd[r->psd],
             letter(r->strict_dkim, " adkim"), letter(r->strict_spf, " aspf"), letter(r->is_testing, " t"),
             letter(r->is_broken, " broken"), letter(r->has_uri, " rua"));
}

/* clang-format off */
static const struct record_row {
    struct str text;
    const char *want; /* NULL: no DMARC record */
} record_rows[] = {
    { STR_INIT("v=DMARC1;p=reject"), "p=reject" },
    { STR_INIT("v=DMARC1; p=reject;"), "p=reject" },
    { STR_INIT("v=DMARC1 ; p = reject ; sp\t=\tnone "), "p=reject sp=none" },
    { STR_INIT("v = DMARC1;p=none"), "p=none" },
    { STR_INIT("V=DMARC1;P=Reject;ADKIM=S"), "p=reject adkim" },
    { STR_INIT("v=DMARC1;p=quarantine;adkim=s;aspf=s;t=y"), "p=quarantine adkim aspf t" },
    { STR_INIT("v=DMARC1;p=quarantine;adkim=x;aspf=r;t=maybe"), "p=quarantine" },
    { STR_INIT("v=DMARC1;aspf=s;np=reject;p=none;sp=quarantine"), "p=none sp=quarantine np=reject aspf" },
    { STR_INIT("v=DMARC1;p=none;psd=y"), "p=none psd=y" },
    { STR_INIT("v=DMARC1;p=none;psd=N"), "p=none psd=n" },
    { STR_INIT("v=DMARC1;p=none;psd=u"), "p=none" },
    { STR_INIT("v=DMARC1;p=none;psd=yes"), "p=none" },
    /* RFC 7489's tags, unknown ones and what is no tag are passed over */
    { STR_INIT("v=DMARC1;p=reject;pct=0;rf=afrf;ri=86400;fo=1:d;ruf=mailto:f@example.org"), "p=reject" },
    { STR_INIT("v=DMARC1;p=reject;x-y=1;;=;;garbage;\xff=\x00"), "p=reject" },
    { STR_INIT("v=DMARC1;;;;p=reject"), "p=reject" },
    /* the version: first, alone, in capitals */
    { STR_INIT("v=DMARC1"), "p= broken" },
    { STR_INIT("v=DMARC1;"), "p= broken" },
    { STR_INIT("v=DMARC1p=reject"), NULL },
    { STR_INIT("v=DMARC1,p=reject"), NULL },
    { STR_INIT("v=dmarc1;p=reject"), NULL },
    { STR_INIT("v=DMARC2;p=reject"), NULL },
    { STR_INIT("v=DMARC10;p=reject"), NULL },
    { STR_INIT("v=DMARC1\0;p=reject"), NULL },
    { STR_INIT("v=\"DMARC1\";p=reject"), NULL },
    { STR_INIT(" v=DMARC1;p=reject"), NULL },
    { STR_INIT("p=reject;v=DMARC1"), NULL },
    { STR_INIT(";v=DMARC1;p=reject"), NULL },
    { STR_INIT("vv=DMARC1;p=reject"), NULL },
    { STR_INIT("DMARC1;p=reject"), NULL },
    { STR_INIT("v=spf1 -all"), NULL },
    { STR_INIT(""), NULL },
    { STR_INIT(";"), NULL },
    { STR_INIT("="), NULL },
    /* p, sp, np that are no words (RFC 9989 4.10.1), with and without a reporting URI */
    { STR_INIT("v=DMARC1;rua=mailto:a@example.org"), "p= broken rua" },
    { STR_INIT("v=DMARC1;p=rejct;rua=mailto:a@example.org"), "p= broken rua" },
    { STR_INIT("v=DMARC1;p=;rua=mailto:a@example.org!10m"), "p= broken rua" },
    { STR_INIT("v=DMARC1;p=reject;sp=nope;rua=x, mailto:a@example.org"), "p=reject broken rua" },
    { STR_INIT("v=DMARC1;p=reject;np=;rua=example.org"), "p=reject broken" },
    { STR_INIT("v=DMARC1;p=re ject;rua=mailto:"), "p= broken" },
    { STR_INIT("v=DMARC1;p=reject\x01;rua=!10m"), "p= broken" },
    { STR_INIT("v=DMARC1;rua=1x:y"), "p= broken" },
    { STR_INIT("v=DMARC1;rua=mailto:a b@example.org"), "p= broken" },
    { STR_INIT("v=DMARC1;rua=mailto:a\x80@example.org"), "p= broken" },
    { STR_INIT("v=DMARC1;rua=,,,https://example.org/r?a=b"), "p= broken rua" },
    /* the first of a repeated tag counts */
    { STR_INIT("v=DMARC1;p=none;p=reject"), "p=none" },
    { STR_INIT("v=DMARC1;p=x;p=reject"), "p= broken" },
    { STR_INIT("v=DMARC1;p=reject;v=DMARC2"), "p=reject" },
};
/* clang-format on */

static void records_are_read(void)
{
    char text[160];
    struct dmarc_record record;

    for (size_t i = 0; i < sizeof record_rows / sizeof *record_rows; i++) {
        const struct record_row *row = &record_rows[i];

        CHECK_ROW(row->text.p);
        CHECK_EQ_INT(dmarc_record_read(row->text, &record), row->want != NULL);
        if (row->want == NULL)
            continue;
        describe(&record, text);
        CHECK_EQ_STR(text, strlen(text), row->want);
    }
}

/* I03: 64 KB of separators, of one tag, of reporting URIs. */
static void long_records_are_read(void)
{
    static char text[1 << 16];
    static const char fills[] = { ';', 'x', ',', ' ', '=', '\0' };
    struct dmarc_record record;

    for (size_t i = 0; i < sizeof fills; i++) {
        memset(text, fills[i], sizeof text);
        memcpy(text, "v=DMARC1;rua=;", 14);
        memcpy(text + sizeof text - 10, ";p=reject;", 10);
        CHECK(dmarc_record_read(str_from(text, sizeof text), &record));
        CHECK_EQ_INT(record.p, DMARC_REJECT);
        CHECK(!record.has_uri);
    }
}

/* clang-format off */
static const struct request_row {
    const char *text;
    const char *own, *existing, *missing; /* asked of the domain itself, of subdomains that exist or do not */
} request_rows[] = {
    { "v=DMARC1;p=reject", "reject", "reject", "reject" },
    { "v=DMARC1;p=reject;sp=none", "reject", "none", "none" },
    { "v=DMARC1;p=none;np=reject", "none", "none", "reject" },
    { "v=DMARC1;p=none;sp=quarantine;np=reject", "none", "quarantine", "reject" },
    { "v=DMARC1;p=reject;sp=quarantine;np=none", "reject", "quarantine", "none" },
    { "v=DMARC1;rua=mailto:a@b.example", "none", "none", "none" },
    { "v=DMARC1;p=reject;np=x;rua=mailto:a@b.example", "none", "none", "none" },
    { "v=DMARC1;sp=reject", "", "", "" },
    { "v=DMARC1;p=reject;sp=x", "", "", "" },
};
/* clang-format on */

static void requests_are_chosen(void)
{
    for (size_t i = 0; i < sizeof request_rows / sizeof *request_rows; i++) {
        const struct request_row *row = &request_rows[i];
        struct dmarc_record record;
        const char *own, *existing, *missing;

        CHECK_ROW(row->text);
        CHECK(dmarc_record_read(str_of(row->text), &record));
        own = dmarc_request_name(dmarc_record_request(&record, false, true));
        existing = dmarc_request_name(dmarc_record_request(&record, true, true));
        missing = dmarc_request_name(dmarc_record_request(&record, true, false));
        CHECK_EQ_STR(own, strlen(own), row->own);
        CHECK_EQ_STR(existing, strlen(existing), row->existing);
        CHECK_EQ_STR(missing, strlen(missing), row->missing);
    }
}

/* ---- the walk ---- */

#define RECORD(name, tags) "TXT _dmarc." name " OK \"v=DMARC1;p=none" tags "\"\n"

/* clang-format off */
static const struct walk_row {
    const char *why, *zone, *domain;
    const char *organizational; /* "?": not to be told */
    const char *policy;         /* whose record; "" none; "?" not to be told */
    size_t queries;
} walk_rows[] = {
    /* RFC 9989 B.4.1, 4.10.2 */
    { "a domain with a record", RECORD("example.com", ""), "example.com", "example.com", "example.com", 2 },
    { "a subdomain with its own", RECORD("signing.example.com", "") RECORD("example.com", ""), "signing.example.com",
      "example.com", "signing.example.com", 3 },
    { "a subdomain without", RECORD("example.com", ""), "a.mail.example.com", "example.com", "example.com", 4 },
    { "the highest record is the organization's", RECORD("mail.example.com", "") RECORD("example.com", ""),
      "a.mail.example.com", "example.com", "example.com", 4 },
    { "psd=n ends the walk", RECORD("mail.example.com", ";psd=n") RECORD("example.com", ""), "a.mail.example.com",
      "mail.example.com", "mail.example.com", 2 },
    { "psd=n at the start", RECORD("example.com", ";psd=n") RECORD("com", ""), "example.com", "example.com",
      "example.com", 1 },
    { "a top-level domain with psd=y", RECORD("com", ";psd=y"), "a.mail.example.com", "example.com", "com", 4 },
    { "no record at all", "", "a.mail.example.com", "a.mail.example.com", "", 4 },
    /* B.4.2 */
    { "twelve labels", RECORD("example.com", "") RECORD("signing.example.com", ""),
      "a.b.c.d.e.f.g.h.i.j.k.example.com", "example.com", "example.com", 8 },
    { "eight labels", RECORD("example.com", ""), "a.b.c.d.e.f.example.com", "example.com", "example.com", 8 },
    { "nine labels skip one", RECORD("b.c.d.e.f.g.example.com", ""), "a.b.c.d.e.f.g.example.com",
      "a.b.c.d.e.f.g.example.com", "", 8 },
    { "nine labels with their own record", RECORD("a.b.c.d.e.f.g.example.com", ";psd=n"),
      "a.b.c.d.e.f.g.example.com", "a.b.c.d.e.f.g.example.com", "a.b.c.d.e.f.g.example.com", 1 },
    { "psd=y behind the skip: one label below, which nobody asked for", RECORD("d.e.f.g.h.example.com", ";psd=y"),
      "a.b.c.d.e.f.g.h.example.com", "c.d.e.f.g.h.example.com", "d.e.f.g.h.example.com", 2 },
    /* B.4.3 */
    { "a bank below its public suffix", RECORD("giant.bank.example", "") RECORD("bank.example", ";psd=y"),
      "giant.bank.example", "giant.bank.example", "giant.bank.example", 2 },
    { "its mail host", RECORD("giant.bank.example", "") RECORD("bank.example", ";psd=y"), "mail.giant.bank.example",
      "giant.bank.example", "giant.bank.example", 3 },
    { "a bank without a record", RECORD("giant.bank.example", "") RECORD("bank.example", ";psd=y"),
      "mail.mega.bank.example", "mega.bank.example", "bank.example", 3 },
    /* I07 */
    { "psd=y where the walk starts is no suffix of itself", RECORD("bank.example", ";psd=y"), "bank.example",
      "bank.example", "bank.example", 1 },
    { "a top-level domain writes mail", RECORD("com", ";psd=y"), "com", "com", "com", 1 },
    { "a top-level domain that forgets psd=y claims all below it", RECORD("com", "") RECORD("example.com", ""),
      "example.com", "com", "example.com", 2 },
    { "so does one with psd=n", RECORD("com", ";psd=n"), "mail.example.com", "com", "com", 3 },
    { "psd=n below defends itself", RECORD("com", ";psd=n") RECORD("example.com", ";psd=n"), "mail.example.com",
      "example.com", "example.com", 2 },
    { "psd=y beats records below it", RECORD("a.b.example.com", "") RECORD("b.example.com", "") RECORD("com", ";psd=y"),
      "a.b.example.com", "example.com", "a.b.example.com", 4 },
    { "a record between is not the policy", RECORD("b.example.com", "") RECORD("com", ";psd=y"), "a.b.example.com",
      "example.com", "com", 4 },
    { "psd=n above psd=y is never seen", RECORD("example.com", ";psd=y") RECORD("com", ";psd=n"), "mail.example.com",
      "mail.example.com", "example.com", 2 },
    /* I02: several records, and other TXT beside one */
    { "two records are none", "TXT _dmarc.example.com OK \"v=DMARC1;p=none\" \"v=DMARC1;p=reject\"\n" RECORD("com", ""),
      "example.com", "com", "com", 2 },
    { "three, one of them psd=n", "TXT _dmarc.example.com OK \"v=DMARC1;p=none;psd=n\" \"x\" \"v=DMARC1\"\n",
      "example.com", "example.com", "", 2 },
    { "one among other text", "TXT _dmarc.example.com OK \"v=spf1 -all\" \"v=DMARC1;p=none\" \"\"\n", "example.com",
      "example.com", "example.com", 2 },
    { "text alone", "TXT _dmarc.example.com OK \"v=DMARC2;p=reject\"\n", "example.com", "example.com", "", 2 },
    { "no data", "TXT _dmarc.example.com NODATA\n", "example.com", "example.com", "", 2 },
    { "a record without p counts for the walk", "TXT _dmarc.com OK \"v=DMARC1; psd=y\"\n", "mail.example.com",
      "example.com", "com", 3 },
    /* temporary errors and caps hide what may end the walk */
    { "no answer for the domain itself", "TXT _dmarc.example.com TEMP\n", "example.com", "?", "?", 1 },
    { "no answer above a record", RECORD("example.com", "") "TXT _dmarc.com TEMP\n", "example.com", "?", "example.com",
      2 },
    { "no answer on the way up", RECORD("com", ";psd=y") "TXT _dmarc.example.com LIMIT\n", "mail.example.com", "?", "?",
      2 },
    { "no answer beyond the end of the walk", RECORD("example.com", ";psd=n") "TXT _dmarc.com TEMP\n", "example.com",
      "example.com", "example.com", 1 },
    { "one label", "", "localhost", "localhost", "", 1 },
};
/* clang-format on */

static void walks_find_organizations(void)
{
    struct dmarc_walk walk;

    for (size_t i = 0; i < sizeof walk_rows / sizeof *walk_rows; i++) {
        const struct walk_row *row = &walk_rows[i];
        const struct dmarc_step *step;
        enum dmarc_answer told;

        CHECK_ROW(row->why);
        walk_from(row->zone, str_of(row->domain), &walk);
        CHECK_EQ_INT(walk.n, row->queries);
        CHECK_EQ_INT(walk.state, strcmp(row->organizational, "?") == 0 ? DMARC_UNSURE : DMARC_RECORD);
        if (walk.state == DMARC_RECORD)
            CHECK_EQ_STR(walk.organizational.p, walk.organizational.n, row->organizational);
        step = dmarc_walk_policy(&walk, &told);
        CHECK_EQ_INT(told, strcmp(row->policy, "?") == 0 ? DMARC_UNSURE
                           : row->policy[0] == '\0'      ? DMARC_NO_RECORD
                                                         : DMARC_RECORD);
        CHECK(step == NULL || told == DMARC_RECORD);
        if (step != NULL)
            CHECK_EQ_STR(step->name.p, step->name.n, row->policy);
    }
}

/* I01: 127 labels, the most a name can have. All questions go out in one pass, and are the ones of RFC 9989 4.10. */
static void long_names_ask_eight_questions(void)
{
    static char name[253];
    struct dmarc_walk walk;

    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 2 == 0 ? 'a' : '.';
    walk_from("", str_from(name, sizeof name), &walk);
    CHECK_EQ_INT(walk.n, 8);
    CHECK_EQ_INT(asked, 7); /* "_dmarc." and 253 octets are no name: nothing can stand there */
    CHECK_EQ_STR(walk.step[1].name.p, walk.step[1].name.n, "a.a.a.a.a.a.a");
    CHECK_EQ_STR(walk.step[7].name.p, walk.step[7].name.n, "a");
    walk_from("", str_from(name + 8, sizeof name - 8), &walk);
    CHECK_EQ_INT(asked, 8);
}

static void questions_go_out_together(void)
{
    struct dmarc_walk walk;

    load_zone("");
    begin_pass();
    dmarc_walk(&pass, STR("a.b.c.example.com"), &walk);
    CHECK_EQ_INT(walk.state, DMARC_PENDING);
    CHECK_EQ_INT(outcome.questions, 5);
    CHECK(pass.pending);
}

/* ---- alignment ---- */

#define BANKS RECORD("giant.bank.example", "") RECORD("bank.example", ";psd=y")

/* clang-format off */
static const struct alignment_row {
    const char *zone, *author, *identifier;
    enum dmarc_answer relaxed, strict;
    size_t questions; /* of both walks; those beyond an end of the walk went out before it was known */
} alignment_rows[] = {
    { RECORD("example.com", ""), "example.com", "example.com", DMARC_RECORD, DMARC_RECORD, 2 },
    { RECORD("example.com", ""), "news.example.com", "foo.example.com", DMARC_RECORD, DMARC_NO_RECORD, 4 },
    { RECORD("example.com", ""), "news.example.com", "example.com", DMARC_RECORD, DMARC_NO_RECORD, 3 },
    { RECORD("example.com", ""), "example.com", "a.b.example.com", DMARC_RECORD, DMARC_NO_RECORD, 4 },
    /* names alone tell: nothing is asked for the identifier */
    { RECORD("example.com", ""), "example.com", "foo.example.net", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    { RECORD("example.com", ""), "example.com", "other.com", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    { RECORD("example.com", ""), "example.com", "badexample.com", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    { RECORD("example.com", ""), "example.com", "com", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    { RECORD("example.com", ""), "example.com", "example.com.evil.example", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    { RECORD("example.com", ""), "example.com", "", DMARC_NO_RECORD, DMARC_NO_RECORD, 2 },
    /* no record anywhere: each domain is its own organization */
    { "", "example.com", "mail.example.com", DMARC_NO_RECORD, DMARC_NO_RECORD, 3 },
    /* departments on their own */
    { RECORD("example.com", "") RECORD("dept.example.com", ";psd=n"), "example.com", "x.dept.example.com",
      DMARC_NO_RECORD, DMARC_NO_RECORD, 4 },
    { RECORD("example.com", "") RECORD("dept.example.com", ";psd=n"), "x.dept.example.com", "example.com",
      DMARC_NO_RECORD, DMARC_NO_RECORD, 4 },
    { RECORD("example.com", "") RECORD("dept.example.com", ";psd=n"), "x.dept.example.com", "y.dept.example.com",
      DMARC_RECORD, DMARC_NO_RECORD, 5 },
    /* RFC 9989 B.4.3 */
    { BANKS, "giant.bank.example", "mail.giant.bank.example", DMARC_RECORD, DMARC_NO_RECORD, 4 },
    { BANKS, "giant.bank.example", "mail.mega.bank.example", DMARC_NO_RECORD, DMARC_NO_RECORD, 3 },
    { BANKS, "giant.bank.example", "bank.example", DMARC_NO_RECORD, DMARC_NO_RECORD, 3 },
    { BANKS, "bank.example", "giant.bank.example", DMARC_NO_RECORD, DMARC_NO_RECORD, 3 },
    /* temporary errors */
    { RECORD("example.com", "") "TXT _dmarc.com TEMP\n", "example.com", "mail.example.com", DMARC_UNSURE,
      DMARC_NO_RECORD, 2 },
    { RECORD("example.com", "") "TXT _dmarc.com TEMP\n", "example.com", "example.com", DMARC_RECORD, DMARC_RECORD, 2 },
    { RECORD("example.com", "") "TXT _dmarc.com TEMP\n", "example.com", "example.net", DMARC_NO_RECORD,
      DMARC_NO_RECORD, 2 },
    { RECORD("example.com", "") "TXT _dmarc.mail.example.com LIMIT\n", "example.com", "mail.example.com", DMARC_UNSURE,
      DMARC_NO_RECORD, 3 },
};
/* clang-format on */

static void domains_align(void)
{
    for (size_t i = 0; i < sizeof alignment_rows / sizeof *alignment_rows; i++) {
        const struct alignment_row *row = &alignment_rows[i];
        struct str identifier = str_of(row->identifier);
        enum dmarc_answer relaxed, strict;
        struct dmarc_walk walk;

        CHECK_ROW(row->identifier);
        load_zone(row->zone);
        do {
            begin_pass();
            dmarc_walk(&pass, str_of(row->author), &walk);
            relaxed = dmarc_aligned(&pass, &walk, false, identifier);
            strict = dmarc_aligned(&pass, &walk, true, identifier);
        } while (answer_all());
        CHECK_EQ_INT(relaxed, row->relaxed);
        CHECK_EQ_INT(strict, row->strict);
        CHECK_EQ_INT(asked, row->questions);
    }
}

/* I08: names are compared in the one form that domain_canonical gives them. */
static void names_align_in_any_spelling(void)
{
    static const char *const spellings[] = { "m\xc3\xbcnchen.example", "xn--mnchen-3ya.example.",
                                             "XN--MNCHEN-3YA.EXAMPLE" };
    struct dmarc_walk walk;

    load_zone("");
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            char a[PATH_DOMAIN_MAX + 1], b[PATH_DOMAIN_MAX + 1];
            struct str author = domain_canonical(str_of(spellings[i]), a);

            begin_pass();
            dmarc_walk(&pass, author, &walk);
            CHECK_EQ_INT(dmarc_aligned(&pass, &walk, true, domain_canonical(str_of(spellings[k]), b)), DMARC_RECORD);
        }
}

/* clang-format off */
static const struct shared_row {
    const char *a, *b;
    size_t labels;
} shared_rows[] = {
    { "a.example.com", "b.example.com", 2 }, { "example.com", "example.com", 2 }, { "com", "com", 1 },
    { "example.com", "com", 1 }, { "com", "xcom", 0 }, { "x.com", "y.net", 0 }, { "ab.c", "b.c", 1 }, { "", "com", 0 },
    { "a.com", "a.xcom", 0 },
};
/* clang-format on */

static void shared_labels_are_counted(void)
{
    for (size_t i = 0; i < sizeof shared_rows / sizeof *shared_rows; i++) {
        CHECK_ROW(shared_rows[i].a);
        CHECK_EQ_INT(dmarc_shared_labels(str_of(shared_rows[i].a), str_of(shared_rows[i].b)), shared_rows[i].labels);
        CHECK_EQ_INT(dmarc_shared_labels(str_of(shared_rows[i].b), str_of(shared_rows[i].a)), shared_rows[i].labels);
    }
}

static const struct test_case tests[] = {
    TEST(records_are_read),
    TEST(long_records_are_read),
    TEST(requests_are_chosen),
    TEST(walks_find_organizations),
    TEST(long_names_ask_eight_questions),
    TEST(questions_go_out_together),
    TEST(domains_align),
    TEST(names_align_in_any_spelling),
    TEST(shared_labels_are_counted),
};
TEST_MAIN(tests)
