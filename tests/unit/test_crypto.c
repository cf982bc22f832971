/* SHA-256, RSA and Ed25519: right answers, and what is refused before any mathematics (ATTACKS H03, H04, H05). */
#include "policy/crypto.h"

#include "dkim_kit.h"
#include "policy/signature.h"
#include "test.h"

/* ---- SHA-256, FIPS 180-4 examples ---- */

static void check_sha256(struct str text, const char *hex)
{
    uint8_t digest[SHA256_SIZE];
    char got[2 * SHA256_SIZE + 1];

    for (size_t cut = 0; cut <= text.n; cut++) {
        struct sha256 sha, twin;

        sha256_begin(&sha);
        sha256_add(&sha, str_from(text.p, cut));
        twin = sha; /* may go its own way */
        sha256_add(&twin, STR("something else"));
        sha256_add(&sha, str_skip(text, cut));
        sha256_end(&sha, digest);
        for (size_t i = 0; i < SHA256_SIZE; i++)
            snprintf(got + 2 * i, 3, "%02x", digest[i]);
        CHECK_EQ_STR(got, 2 * SHA256_SIZE, hex);
    }
}

static void sha256_knows_the_examples(void)
{
    check_sha256(STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256(STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* ---- RSA: signatures over SHA-256("a message"), made elsewhere ---- */

/* clang-format off */
static const struct rsa_row {
    const char *label;
    unsigned bits;
    uint32_t exponent;
    const char *key; /* the second is an RSAPublicKey alone */
    const char *signature;
} rsa_rows[] = {
    { "1024 bits, e = 65537", 1024, 65537,
      "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCx01CdxreDrIMYctQ0fqtCrFMwUVM2dd6O1LkgYKT7jXSbZ5hn"
      "tIfjYlbY88S1WF3cBd+YBIFJaSFTE+yNz9I21+eVrS8YIPcjQ80oM0aSDQTWlc9T5UD76ZF1KDffTOxyU06IqK+0"
      "zDnDXReZKo4aXZoAOicRe8dOPnzQrDkUowIDAQAB",
      "WhaDXdmo6LDrPPgQde9Ld17K/B6+1KDHt/Av6ZEYig6p3qL4EdV0y4Usj+qIScFacCtKBY2Nc4S/2uoaTq9CLv2/"
      "d58+HC8ZWACwdbH0rS43RZdGG4OzN6LpxeS3FcYTViQILEWgsm5Vn8vYw3bFXO1hecMsY0n7DAspdrwdrIw=" },
    { "2048 bits, e = 3", 2048, 3,
      "MIIBCAKCAQEA9UEf3sRx6W2gEwRm7eDsO4szEZgMj4BcLST/1Jk+js+JYmPYMh8N3jrGg3I0325KBW8ImzvirqHb"
      "hDfuy2TITbHGg+LDgD3OoEx5s6CBU211ruKfaP9lK6Pyy8Z6wgOUZJwMdAFLFtV+6npKo0fnt+mYsPXOKHWkpjBP"
      "m2+y9UgrLAESl54JPMPsELe+dd6yHAtBPfuS8LM/C+LEftwvbVBtWKsDY3qoXVhuhrkgxe+LxYKH+0rT9LEM7oiQ"
      "d0BtSvE3L5aEUVBW5DVp9WldEqyOe32AILoa83ZFePi/e83tHsGkNwUxMbyG8O38ALXdlclxJAs2Bz1G7VngL4eB"
      "+QIBAw==",
      "mua3ggQOA/9L359Qc1n+yGKrOgwVocWL6TYo0i0qvVudYYiHEbuYFpXeQ+9eTGVmNuZ0rD/zF8pwqq7oKKygZHmn"
      "eGKnzb8iEklUuNID98pA1hVE+ReDnUh7rkP/Z5ROatm1i3lGuFh8EXlwB92PNFc1S4Ex1o5GIK6OSOpWaRsY0nVv"
      "Vmm/2b2QsRF2DAP5+UxEfb0JikV+/4nJMwbQ7pY4eYfSBdDbNsJBnEfhH0l/xAmKjKmBV9mzz/fEUkHKy0pPwy3D"
      "LxDX93WZ84+ldKe0v6u6egaV0a6wgm5R6hHMrZdg2C+DoLpW6MVYdGfmnLt7QuGsgcm+AA1WQNJBZA==" },
    { "4096 bits, e = 65537", 4096, 65537,
      "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAwYJsG5mcdi0oYcqELLrX/M397eT4ycrnvuDjP84ChUcf"
      "nxnOSvpFBTT72GGu9bTE6DhkGRNYH2q0jpj3NU+wpW86O/pRyL0LUn60BRSVQHx/lLrmqKU7iEzMZXMuFbDvlujN"
      "NXqUQFdIplVc1Whnvojh7Jx38TS5nmA4qzwQKM237cR8JbW1algjS0wAyk8oyv62U9W73iCVyVMCGIjasYy0BhJ0"
      "PeeCZ+wnESxoWi/UGxWADug8rEnyYM71uG7eI0sxS8mxwfrKDbjXH8RowjNL9JLF/RJCMJ/iKwvTxjMHBQkd5lw4"
      "zSQK31iobrKnHKxZHZQwNAeeQfnr7O+J+Ru688PzPZ3r6PeYHwwQVWAv2FFRh0pJATal0p6uychW1+IAWpg4QinI"
      "Q2AZCWBpS92q2EuOf1JwmGklAJYUYEZMhlVHXNsaeMm/1EELcLNw19gBf1VkZKfI2TUAMWYnY74NpUOn23FZqz3r"
      "agKYl3j5Z50vfqX/8ewWXKWi8x30oiKJ985CVvn1LrSGvFzcCLvWw1QiHk0msZrOyZJx6rdJ24OjsrdIjBfq7XcO"
      "Cdc0Bzg0876cqImx6VyR+gBqsmU1nayfZpKHxrmTJyApkkOdwE9PbDTbCRIKrvc1csvUYqFOx5oONlHV6Steer5E"
      "hHHPIZ2lYyDcp+ir/J/M2VcCAwEAAQ==",
      "pfWhXKDq6qNWVQLw9ZXMNdlLxoqTTXiurYKxNt5LV7vL+Vq3zH3Fm3W0R8ltJqxagFvPgs6P6EnEd+nK+0pqjmUr"
      "O+eb2rMHFFJPmjmjb7IQFbKIbOwNJZBVskJ+RUIWlB613/WShYA6kQUnl+/UomJ7yFSPF9yzZJqc6PrCD1wm0Fz1"
      "n4wgyxmZkyqmwoJZg0P0pgstKqDZu49itGEnZFaytLUFzljcGUrl9PIGeZRlqx2B6qnB8ofSTYlUWFW7Uuo/ciKF"
      "f1T3HoETPOv+2BwHx1uiPOLtW41UZeYZ47DQ3uDUgrun3ZWnKrrJsMQ9yCZc5fgTUTXXPe1Ob47xqiLcSZrH+EI5"
      "dxlt+XPnXlkz9FWm81K6c8BVZLtCu2NLi5FXKtNCYBdR55ChEBg0UgqThQvOZqwtH58dCT+V5UXGXQWgcLNOwK7c"
      "CYJxydAv61W49k+ZTgN7seGDGmeL4UswQOh2AAUt8AfdE4vtsEM35R8D/Aze53H7etNz56Z7jnPA0SN9lk5vALTV"
      "v4LX/VE1CyldNW76YKyn8wyl7+CqDp2Rsd2B+LOD5rZJj4IVRBk0ZHI0+XEaUsgQSIFJm8lJr6KezrEPlhSIvp2s"
      "XjqSRjWyHVYFutpDPyAORXqY95GJxJvAVWTtoTPHEHjrKsLu/MtAw6N3v6Bnc05tbWo=" },
};
/* clang-format on */

static void hash_message(const char *text, uint8_t digest[SHA256_SIZE])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, str_of(text));
    sha256_end(&sha, digest);
}

static bool verify(struct str der, const char *text, struct str signature)
{
    struct signature_job job = { .key = der, .signature = signature };

    hash_message(text, job.digest);
    return strcmp(signature_verify(&job), "pass") == 0;
}

static void rsa_verifies_what_was_signed_and_nothing_else(void)
{
    for (size_t i = 0; i < sizeof rsa_rows / sizeof *rsa_rows; i++) {
        struct str der = kit_octets(rsa_rows[i].key), signature = kit_octets(rsa_rows[i].signature);
        struct rsa_key key;
        char *changed;

        CHECK_ROW(rsa_rows[i].label);
        CHECK(rsa_key_read(der, &key));
        CHECK_EQ_INT(key.bits, rsa_rows[i].bits);
        CHECK_EQ_INT(key.exponent, rsa_rows[i].exponent);
        CHECK(verify(der, "a message", signature));
        CHECK(!verify(der, "A message", signature));
        CHECK(!verify(der, "a message", str_from(signature.p, signature.n - 1)));
        CHECK(!verify(der, "a message", STR("")));
        changed = arena_take(kit_arena(), signature.n + 1);
        memcpy(changed, signature.p, signature.n);
        CHECK(!verify(der, "a message", str_from(changed, signature.n + 1)));
        changed[signature.n / 2] ^= 1;
        CHECK(!verify(der, "a message", str_from(changed, signature.n)));
        memset(changed, 0xff, signature.n); /* a number beyond the modulus */
        CHECK(!verify(der, "a message", str_from(changed, signature.n)));
        memset(changed, 0, signature.n);
        CHECK(!verify(der, "a message", str_from(changed, signature.n)));
    }
}

/* ---- reading keys ---- */

static struct str joined(struct str a, struct str b)
{
    char *p = arena_take(kit_arena(), a.n + b.n);

    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    return str_from(p, a.n + b.n);
}

static const struct size_row {
    const char *label;
    unsigned bits;
} size_rows[] = {
    { "512", 512 },   { "1023", 1023 }, { "1024", 1024 }, { "1025", 1025 },   { "2047", 2047 },
    { "4096", 4096 }, { "4097", 4097 }, { "8192", 8192 }, { "16384", 16384 },
};

static void keys_of_any_size_are_read(void)
{
    for (size_t i = 0; i < sizeof size_rows / sizeof *size_rows; i++) {
        struct rsa_key key;

        CHECK_ROW(size_rows[i].label);
        CHECK(rsa_key_read(kit_key(size_rows[i].bits), &key));
        CHECK_EQ_INT(key.bits, size_rows[i].bits);
        CHECK_EQ_INT(key.exponent, 65537);
        CHECK(rsa_key_read(kit_bare_key(size_rows[i].bits, STR("\x03")), &key));
        CHECK_EQ_INT(key.bits, size_rows[i].bits);
        CHECK_EQ_INT(key.exponent, 3);
    }
}

static void exponents_beyond_32_bits_read_as_zero(void)
{
    static const struct {
        struct str octets;
        uint32_t exponent;
    } rows[] = {
        { STR_INIT("\x01"), 1 },
        { STR_INIT("\x02"), 2 },
        { STR_INIT("\x00\xff\xff\xff\xff"), UINT32_MAX },
        { STR_INIT("\x01\x00\x00\x00\x01"), 0 },
        { STR_INIT("\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rsa_key key;

        CHECK(rsa_key_read(kit_bare_key(2048, rows[i].octets), &key));
        CHECK_EQ_INT(key.exponent, rows[i].exponent);
    }
}

static void what_is_no_key_is_refused(void)
{
    struct str e = STR("\x01\x00\x01"), bare = kit_bare_key(1024, e), good = kit_key_info(KIT_RSA_OID, bare);
    struct str two = joined(kit_der(0x02, STR("\x03"), STR("")), STR("\x02\x01\x03"));
    const struct {
        const char *label;
        struct str der;
    } rows[] = {
        { "nothing", STR("") },
        { "octets behind the key info", joined(good, STR("\0")) },
        { "octets behind the bare key", joined(bare, STR("\0")) },
        { "a third number", kit_der(0x30, kit_modulus(1024), two) },
        { "OID of RSASSA-PSS", kit_key_info(STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), bare) },
        { "OID of elliptic curves", kit_key_info(STR("\x2a\x86\x48\xce\x3d\x02\x01"), bare) },
        { "a modulus alone", kit_der(0x30, kit_modulus(1024), STR("")) },
        { "a negative modulus", kit_der(0x30, STR("\x02\x01\x80"), kit_der(0x02, e, STR(""))) },
        { "a modulus of zero", kit_der(0x30, STR("\x02\x01\x00"), kit_der(0x02, e, STR(""))) },
        { "an empty modulus", kit_der(0x30, STR("\x02\x00"), kit_der(0x02, e, STR(""))) },
        { "a modulus with a zero too many", kit_der(0x30, STR("\x02\x02\x00\x01"), kit_der(0x02, e, STR(""))) },
        { "a negative exponent", kit_bare_key(1024, STR("\xff")) },
        { "an octet string", kit_der(0x04, bare, STR("")) },
        { "a length that runs over", STR("\x30\x82\xff\xff\x02\x01\x03") },
        { "a length in a longer form than needed", STR("\x30\x81\x06\x02\x01\x03\x02\x01\x03") },
        { "a length without an end", STR("\x30\x80\x02\x01\x03\x02\x01\x03\x00\x00") },
        { "a length of 4 octets", STR("\x30\x84\x00\x00\x00\x06\x02\x01\x03\x02\x01\x03") },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rsa_key key;

        CHECK_ROW(rows[i].label);
        CHECK(!rsa_key_read(rows[i].der, &key));
    }
    for (size_t n = 0; n < good.n; n++) {
        struct rsa_key key;

        CHECK_ROW("cut short");
        CHECK(!rsa_key_read(str_from(good.p, n), &key));
    }
}

static void unfit_keys_are_never_calculated_with(void)
{
    static const struct {
        const char *label;
        unsigned bits;
        struct str exponent;
    } rows[] = {
        { "1023 bits", 1023, STR_INIT("\x01\x00\x01") },         { "4097 bits", 4097, STR_INIT("\x01\x00\x01") },
        { "an even exponent", 2048, STR_INIT("\x04") },          { "an exponent of 1", 2048, STR_INIT("\x01") },
        { "a huge exponent", 2048, STR_INIT("\x01\0\0\0\x01") },
    };
    uint8_t digest[SHA256_SIZE] = { 0 };
    char zero[1024] = { 0 };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rsa_key key;
        bool no_memory = true;

        CHECK_ROW(rows[i].label);
        CHECK(rsa_key_read(kit_bare_key(rows[i].bits, rows[i].exponent), &key));
        CHECK(!rsa_verify(&key, digest, str_from(zero, key.modulus.n), &no_memory));
        CHECK(!no_memory);
    }
}

/* ---- Ed25519 ---- */

static struct str ed_signature(void)
{
    return kit_octets("/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

static void ed25519_takes_whole_keys_and_signatures_alone(void)
{
    struct str key = kit_octets(KIT_ED_KEY), signature = ed_signature();
    uint8_t digest[SHA256_SIZE] = { 0 };

    CHECK(!ed25519_verify(key, digest, signature));
    CHECK(!ed25519_verify(str_from(key.p, 31), digest, signature));
    CHECK(!ed25519_verify(joined(key, STR("\0")), digest, signature));
    CHECK(!ed25519_verify(key, digest, str_from(signature.p, 63)));
    CHECK(!ed25519_verify(key, digest, joined(signature, STR("\0"))));
    CHECK(!ed25519_verify(key, digest, STR("")));
}

/* Under a key of low order one signature fits every message: R of the same kind, S zero. */
static void keys_of_low_order_are_refused(void)
{
    static const char *const keys[] = {
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "7P///////////////////////////////////////38=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA=",
        "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o=", "JuiViDAqwZG2QzFzq7GaXXbZOBXV7vGTm0bFE6SHNvs=",
    };
    char signature[ED25519_SIGNATURE] = { 1 };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct str key = kit_octets(keys[i]);

        CHECK_ROW(keys[i]);
        CHECK_EQ_INT(key.n, ED25519_KEY);
        for (uint8_t n = 0; n < 32; n++) {
            uint8_t digest[SHA256_SIZE] = { n };

            CHECK(!ed25519_verify(key, digest, str_from(signature, sizeof signature)));
        }
    }
}

/* clang-format off */
/* The vectors of SipHash's authors: the key 00 01 .. 0f, the octets 00 01 .. of so many. */
static void keyed_hash_knows_the_examples(void)
{
    static const uint64_t hashes[] = { UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd),
                                       UINT64_C(0x0d6c8009d9a94f5a) };
    uint8_t key[KEYED_HASH_KEY];
    char octets[15];

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)i;
    for (size_t n = 0; n < 3; n++)
        CHECK(keyed_hash(key, str_from(octets, n)) == hashes[n]);
    CHECK(keyed_hash(key, str_from(octets, 15)) == UINT64_C(0xa129ca6149be45e5));
}

static const struct test_case tests[] = {
    TEST(keyed_hash_knows_the_examples),
    TEST(sha256_knows_the_examples),
    TEST(rsa_verifies_what_was_signed_and_nothing_else),
    TEST(keys_of_any_size_are_read),
    TEST(exponents_beyond_32_bits_read_as_zero),
    TEST(what_is_no_key_is_refused),
    TEST(unfit_keys_are_never_calculated_with),
    TEST(ed25519_takes_whole_keys_and_signatures_alone),
    TEST(keys_of_low_order_are_refused),
};
/* clang-format on */
TEST_MAIN(tests)
