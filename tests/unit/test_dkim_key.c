/* Key records, from the question to a key that is fit or a reason (RFC 6376 3.6.1, 6.1.2; ATTACKS H03 to H05, H10). */
#include "dkim_kit.h"
#include "test.h"

static struct policy policy = { .dkim = { .signatures = 5, .min_bits = 1024 } };
static struct outcome outcome;
static struct fact table[FACTS_ROOM_MAX];
static char memory[2 * FACTS_ROOM_BYTES];
static struct facts facts;
static struct pass pass;

static void begin(void)
{
    facts_init(&facts, table, FACTS_ROOM_MAX, memory, sizeof memory);
    outcome.questions = 0;
    pass = (struct pass){ .policy = &policy, .facts = &facts, .arena = kit_arena(), .outcome = &outcome };
}

static struct dkim_signature signature_of(enum signature_algorithm algorithm)
{
    return (struct dkim_signature){ .algorithm = algorithm, .domain = STR("Sender.example"), .selector = STR("S1") };
}

static struct question question(void)
{
    return (struct question){ ASK_TXT, STR("s1._domainkey.sender.example") };
}

static enum auth_result read(enum signature_algorithm algorithm, const struct str *records, size_t n,
                             struct dkim_key *key, const char **reason)
{
    struct dkim_signature s = signature_of(algorithm);

    begin();
    facts_answer(&facts, question(), FACT_OK, records, n);
    *reason = "";
    return dkim_key_ask(&pass, &s, key, reason);
}

static struct str rsa_record(const char *before, struct str der)
{
    struct str text = base64_print(der, kit_arena());

    return arena_printf(kit_arena(), "%sp=%.*s", before, STR_ARG(text));
}

/* ---- one record ---- */

/* clang-format off */
static const struct row {
    const char *label;
    enum signature_algorithm algorithm;
    const char *record;
    enum auth_result result;
    const char *reason;
} rows[] = {
    { "RSA", ALGORITHM_RSA_SHA256, "v=DKIM1; k=rsa; p=" KIT_RSA_KEY, AUTH_PASS, "" },
    { "the least there is", ALGORITHM_RSA_SHA256, "p=" KIT_RSA_KEY, AUTH_PASS, "" },
    { "Ed25519", ALGORITHM_ED25519_SHA256, "v=DKIM1; k=ed25519; p=" KIT_ED_KEY, AUTH_PASS, "" },
    { "white space in p=", ALGORITHM_ED25519_SHA256, "k=ed25519; p= 11qYAYKxCrfVS/7TyWQH Og7hcvPapiMlrwIaaPcHURo =",
      AUTH_PASS, "" },
    { "unknown tags", ALGORITHM_ED25519_SHA256, "v=DKIM1; k=ed25519; g=joe; n=caf\xc3\xa9; x=; p=" KIT_ED_KEY,
      AUTH_PASS, "" },
    { "hashes with SHA-256 among them", ALGORITHM_ED25519_SHA256, "k=ed25519; h=sha1 : sha256; p=" KIT_ED_KEY,
      AUTH_PASS, "" },
    { "for any service", ALGORITHM_ED25519_SHA256, "k=ed25519; s=*; p=" KIT_ED_KEY, AUTH_PASS, "" },
    { "for mail among others", ALGORITHM_ED25519_SHA256, "k=ed25519; s=tlsrpt:email; p=" KIT_ED_KEY, AUTH_PASS, "" },
    { "revoked", ALGORITHM_RSA_SHA256, "v=DKIM1; p=", AUTH_PERMERROR, "key is revoked" },
    { "revoked, with folds", ALGORITHM_RSA_SHA256, "v=DKIM1; p= ;", AUTH_PERMERROR, "key is revoked" },
    { "no key", ALGORITHM_RSA_SHA256, "v=DKIM1; k=rsa", AUTH_PERMERROR, "key record has no key" },
    { "empty", ALGORITHM_RSA_SHA256, " ", AUTH_PERMERROR, "key record has no key" },
    { "SPF", ALGORITHM_RSA_SHA256, "v=spf1 -all", AUTH_PERMERROR, "key record is not of DKIM1" },
    { "DKIM2", ALGORITHM_RSA_SHA256, "v=DKIM2; p=" KIT_RSA_KEY, AUTH_PERMERROR, "key record is not of DKIM1" },
    { "dkim1", ALGORITHM_RSA_SHA256, "v=dkim1; p=" KIT_RSA_KEY, AUTH_PERMERROR, "key record is not of DKIM1" },
    { "a version that does not come first", ALGORITHM_RSA_SHA256, "p=" KIT_RSA_KEY "; v=DKIM1", AUTH_PERMERROR,
      "key record is not of DKIM1" },
    { "a tag twice", ALGORITHM_RSA_SHA256, "p=" KIT_RSA_KEY "; t=y; t=y", AUTH_PERMERROR, "key record is malformed" },
    { "no list", ALGORITHM_RSA_SHA256, "the key is on our web page", AUTH_PERMERROR, "key record is malformed" },
    { "the other type", ALGORITHM_ED25519_SHA256, "p=" KIT_RSA_KEY, AUTH_PERMERROR,
      "key is not of the signature's type" },
    { "the other type the other way", ALGORITHM_RSA_SHA256, "k=ed25519; p=" KIT_ED_KEY, AUTH_PERMERROR,
      "key is not of the signature's type" },
    { "an unknown type", ALGORITHM_RSA_SHA256, "k=x; p=" KIT_RSA_KEY, AUTH_PERMERROR,
      "key is not of the signature's type" },
    { "for SHA-1 alone", ALGORITHM_RSA_SHA256, "h=sha1; p=" KIT_RSA_KEY, AUTH_PERMERROR, "key is not for SHA-256" },
    { "for another service", ALGORITHM_RSA_SHA256, "s=tlsrpt; p=" KIT_RSA_KEY, AUTH_PERMERROR,
      "key is not for mail" },
    { "broken base64", ALGORITHM_RSA_SHA256, "p=" KIT_RSA_KEY "=", AUTH_PERMERROR, "key is not base64" },
    { "an Ed25519 key where RSA is said", ALGORITHM_RSA_SHA256, "p=" KIT_ED_KEY, AUTH_PERMERROR,
      "key is not an RSA key" },
    { "an RSA key where Ed25519 is said", ALGORITHM_ED25519_SHA256, "k=ed25519; p=" KIT_RSA_KEY, AUTH_PERMERROR,
      "key is not an Ed25519 key" },
    { "Ed25519 of 31 octets", ALGORITHM_ED25519_SHA256, "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ==",
      AUTH_PERMERROR, "key is not an Ed25519 key" },
    { "Ed25519 of 33 octets", ALGORITHM_ED25519_SHA256, "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQAA",
      AUTH_PERMERROR, "key is not an Ed25519 key" },
};
/* clang-format on */

static void each_record_has_one_reading(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str record = str_of(rows[i].record);
        struct dkim_key key;
        const char *reason;

        CHECK_ROW(rows[i].label);
        CHECK_EQ_INT(read(rows[i].algorithm, &record, 1, &key, &reason), rows[i].result);
        CHECK_EQ_STR(reason, strlen(reason), rows[i].reason);
    }
}

static void flags_are_read(void)
{
    struct str records[] = { STR("k=ed25519; t=y:s; p=" KIT_ED_KEY), STR("k=ed25519; t= s ; p=" KIT_ED_KEY),
                             STR("k=ed25519; t=x; p=" KIT_ED_KEY) };
    struct dkim_key key;
    const char *reason;

    CHECK(read(ALGORITHM_ED25519_SHA256, &records[0], 1, &key, &reason) == AUTH_PASS);
    CHECK(key.is_testing && key.is_strict && key.is_ed25519 && key.octets.n == 32);
    CHECK(read(ALGORITHM_ED25519_SHA256, &records[1], 1, &key, &reason) == AUTH_PASS);
    CHECK(!key.is_testing && key.is_strict);
    CHECK(read(ALGORITHM_ED25519_SHA256, &records[2], 1, &key, &reason) == AUTH_PASS);
    CHECK(!key.is_testing && !key.is_strict);
}

/* ---- sizes and exponents ---- */

static const struct size_row {
    const char *label;
    unsigned bits, min_bits;
    struct str exponent;
    enum auth_result result;
    const char *reason;
} size_rows[] = {
    { "512 bits", 512, 1024, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too short" },
    { "1023 bits", 1023, 1024, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too short" },
    { "1023 bits, whatever is configured", 1023, 0, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too short" },
    { "1024 bits", 1024, 1024, STR_INIT("\x01\x00\x01"), AUTH_PASS, "" },
    { "1024 bits where 2048 are wanted", 1024, 2048, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too short" },
    { "2048 bits", 2048, 2048, STR_INIT("\x01\x00\x01"), AUTH_PASS, "" },
    { "4096 bits", 4096, 1024, STR_INIT("\x00\xff\xff\xff\xff"), AUTH_PASS, "" },
    { "4097 bits", 4097, 1024, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too long" },
    { "8192 bits", 8192, 1024, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too long" },
    { "16384 bits", 16384, 1024, STR_INIT("\x01\x00\x01"), AUTH_POLICY, "key is too long" },
    { "an exponent of 3", 2048, 1024, STR_INIT("\x03"), AUTH_PASS, "" },
    { "an exponent of 1", 2048, 1024, STR_INIT("\x01"), AUTH_POLICY, "key has an unusual exponent" },
    { "an even exponent", 2048, 1024, STR_INIT("\x01\x00\x00"), AUTH_POLICY, "key has an unusual exponent" },
    { "an exponent of 33 bits", 2048, 1024, STR_INIT("\x01\x00\x00\x00\x01"), AUTH_POLICY,
      "key has an unusual exponent" },
};

static void sizes_are_judged_before_any_mathematics(void)
{
    for (size_t i = 0; i < sizeof size_rows / sizeof *size_rows; i++) {
        const struct size_row *row = &size_rows[i];
        struct str key_info = kit_key_info(KIT_RSA_OID, kit_bare_key(row->bits, row->exponent));
        struct str record = rsa_record("v=DKIM1; ", key_info);
        struct dkim_key key;
        const char *reason;

        CHECK_ROW(row->label);
        policy.dkim.min_bits = row->min_bits;
        CHECK_EQ_INT(read(ALGORITHM_RSA_SHA256, &record, 1, &key, &reason), row->result);
        CHECK_EQ_STR(reason, strlen(reason), row->reason);
        CHECK_EQ_INT(key.bits, row->bits);
        CHECK(row->result != AUTH_PASS || key.octets.n <= RSA_DER_MAX);
    }
    policy.dkim.min_bits = 1024;
}

/* ATTACKS H04: 8192 bits and an exponent as long. */
static void a_huge_exponent_is_refused(void)
{
    struct str record = rsa_record("", kit_der(0x30, kit_modulus(8192), kit_modulus(8191)));
    struct dkim_key key;
    const char *reason;

    CHECK_EQ_INT(read(ALGORITHM_RSA_SHA256, &record, 1, &key, &reason), AUTH_POLICY);
    record = rsa_record("", kit_der(0x30, kit_modulus(2048), kit_modulus(2047)));
    CHECK_EQ_INT(read(ALGORITHM_RSA_SHA256, &record, 1, &key, &reason), AUTH_POLICY);
}

static void keys_with_trimmings_are_none(void)
{
    struct str good = kit_key(2048), e = STR("\x01\x00\x01");
    struct str records[] = {
        rsa_record("", str_from(good.p, good.n - 1)),
        rsa_record("", kit_key_info(STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), kit_bare_key(2048, e))),
        rsa_record("", kit_der(0x30, good, STR("\x05\x00"))),
    };
    struct dkim_key key;
    const char *reason;

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        CHECK_EQ_INT(read(ALGORITHM_RSA_SHA256, &records[i], 1, &key, &reason), AUTH_PERMERROR);
        CHECK_EQ_STR(reason, strlen(reason), "key is not an RSA key");
    }
}

/* ---- several records ---- */

/* All orders of up to three records: the DNS shuffles. */
static void check_records(const char *label, const struct str *r, size_t n, enum auth_result result, const char *want)
{
    static const size_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

    CHECK_ROW(label);
    for (size_t i = 0; i < 6; i++) {
        struct str shuffled[3];
        struct dkim_key key;
        const char *reason;
        size_t k = 0;

        for (size_t j = 0; j < 3; j++)
            if (orders[i][j] < n)
                shuffled[k++] = r[orders[i][j]];
        CHECK_EQ_INT(read(ALGORITHM_RSA_SHA256, shuffled, n, &key, &reason), result);
        if (result == AUTH_PASS)
            CHECK(key.bits == 1024 && !key.is_testing && key.octets.p != NULL);
        else
            CHECK_EQ_STR(reason, strlen(reason), want);
    }
}

static void one_fit_record_among_several_is_taken(void)
{
    struct str rsa = STR("v=DKIM1; p=" KIT_RSA_KEY), spf = STR("v=spf1 -all"), revoked = STR("v=DKIM1; t=y; p=");
    struct str ed = STR("v=DKIM1; k=ed25519; t=y; p=" KIT_ED_KEY), small = rsa_record("t=y;", kit_key(512));

    check_records("beside SPF and an Ed25519 key", (struct str[]){ rsa, spf, ed }, 3, AUTH_PASS, "");
    check_records("beside a short and a revoked one", (struct str[]){ rsa, small, revoked }, 3, AUTH_PASS, "");
    check_records("the same twice", (struct str[]){ rsa, rsa }, 2, AUTH_PERMERROR, "several key records");
    check_records("two keys", (struct str[]){ rsa, rsa_record("", kit_key(2048)), spf }, 3, AUTH_PERMERROR,
                  "several key records");
    check_records("none fit", (struct str[]){ spf, small, revoked }, 3, AUTH_PERMERROR,
                  "several key records, none fit for use");
}

/* ---- the answer of the DNS ---- */

static void check_state(enum fact_state state, enum auth_result result)
{
    struct dkim_signature s = signature_of(ALGORITHM_RSA_SHA256);
    struct dkim_key key;
    const char *reason = "";

    begin();
    facts_answer(&facts, question(), state, NULL, 0);
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), result);
    CHECK(reason[0] != '\0');
    CHECK_EQ_INT(key.is_unasked, state == FACT_LIMIT);
}

static void dns_errors_are_told_apart(void)
{
    check_state(FACT_NODATA, AUTH_PERMERROR);
    check_state(FACT_NXDOMAIN, AUTH_PERMERROR);
    check_state(FACT_TEMP, AUTH_TEMPERROR);
    check_state(FACT_LIMIT, AUTH_PERMERROR);
}

static void one_name_is_asked(void)
{
    struct dkim_signature s = signature_of(ALGORITHM_RSA_SHA256);
    struct dkim_key key;
    const char *reason;

    begin();
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), AUTH_PENDING);
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), AUTH_PENDING);
    CHECK(pass.pending);
    CHECK_EQ_INT(outcome.questions, 1);
    CHECK_EQ_STR(outcome.question[0].key.p, outcome.question[0].key.n, "s1._domainkey.sender.example");
    s.domain = STR("b\xc3\xbc"
                   "cher.example");
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), AUTH_PENDING);
    CHECK_EQ_STR(outcome.question[1].key.p, outcome.question[1].key.n, "s1._domainkey.xn--bcher-kva.example");
}

#define LABEL60 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"

/* ATTACKS H14: selector and domain are names each, and too long together. */
static void a_name_beyond_253_octets_is_not_asked(void)
{
    struct dkim_signature s = signature_of(ALGORITHM_RSA_SHA256);
    struct dkim_key key;
    const char *reason;

    begin();
    s.domain = STR(LABEL60 "." LABEL60 "." LABEL60 ".example");
    s.selector = STR(LABEL60);
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), AUTH_PERMERROR);
    CHECK_EQ_INT(outcome.questions, 0);
    CHECK(!pass.pending);
}

static void no_room_is_no_key(void)
{
    struct str record = STR("v=DKIM1; p=" KIT_RSA_KEY);
    struct dkim_signature s = signature_of(ALGORITHM_RSA_SHA256);
    struct dkim_key key;
    const char *reason;
    char little[64];
    struct arena arena;

    begin();
    arena_init(&arena, little, sizeof little);
    pass.arena = &arena;
    facts_answer(&facts, question(), FACT_OK, &record, 1);
    CHECK_EQ_INT(dkim_key_ask(&pass, &s, &key, &reason), AUTH_PERMERROR);
    CHECK_EQ_STR(reason, strlen(reason), "the key is beyond our limits");
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_record_has_one_reading),
    TEST(flags_are_read),
    TEST(sizes_are_judged_before_any_mathematics),
    TEST(a_huge_exponent_is_refused),
    TEST(keys_with_trimmings_are_none),
    TEST(one_fit_record_among_several_is_taken),
    TEST(dns_errors_are_told_apart),
    TEST(one_name_is_asked),
    TEST(a_name_beyond_253_octets_is_not_asked),
    TEST(no_room_is_no_key),
};
/* clang-format on */
TEST_MAIN(tests)
