/* Key records: the input is one TXT record, or several with a line end between them.
 *
 * The order of several must not matter, what is fit must keep the bounds of crypto.h, and the mathematics must stand
 * whatever key passes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/dkim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 4 };

static void must(bool claim)
{
    if (!claim)
        abort();
}

static enum auth_result ask(const struct str *records, size_t n, enum signature_algorithm algorithm,
                            struct dkim_key *key, struct arena *arena)
{
    static const struct policy policy = { .dkim = { .signatures = 5, .min_bits = 1024 } };
    static struct outcome outcome;
    static struct fact room[4];
    static char memory[32768];
    struct dkim_signature s = { .algorithm = algorithm, .domain = STR("a.example"), .selector = STR("s") };
    const char *reason = "";
    struct facts facts;
    struct pass pass = { .policy = &policy, .facts = &facts, .arena = arena, .outcome = &outcome };
    enum auth_result result;

    outcome.questions = 0;
    facts_init(&facts, room, 4, memory, sizeof memory);
    facts_answer(&facts, (struct question){ ASK_TXT, STR("s._domainkey.a.example") }, FACT_OK, records, n);
    result = dkim_key_ask(&pass, &s, key, &reason);
    must(outcome.questions == 0);
    must(result == AUTH_PASS || result == AUTH_PERMERROR || result == AUTH_POLICY);
    must((result == AUTH_PASS) == (reason[0] == '\0') || n > 1);
    return result;
}

static void must_be_fit(const struct dkim_key *key, bool is_ed25519)
{
    static const char zero[RSA_SIGNATURE_MAX] = { 0 };
    uint8_t digest[SHA256_SIZE] = { 0 };
    struct rsa_key rsa;
    bool no_memory;

    must(key->is_ed25519 == is_ed25519);
    if (is_ed25519) {
        must(key->octets.n == ED25519_KEY);
        must(!ed25519_verify(key->octets, digest, str_from(zero, ED25519_SIGNATURE)));
        return;
    }
    must(key->octets.n <= RSA_DER_MAX && rsa_key_read(key->octets, &rsa));
    must(rsa.bits == key->bits && rsa.bits >= RSA_BITS_MIN && rsa.bits <= RSA_BITS_MAX);
    must(rsa.exponent >= 3 && rsa.exponent % 2 == 1);
    must(!rsa_verify(&rsa, digest, str_from(zero, rsa.modulus.n), &no_memory));
}

static void read_records(const struct str *records, size_t n, enum signature_algorithm algorithm)
{
    static char memory[2][32768];
    struct str reversed[RECORDS];
    struct dkim_key key[2];
    struct arena arena[2];
    enum auth_result result[2];

    for (size_t i = 0; i < n; i++)
        reversed[i] = records[n - 1 - i];
    for (int i = 0; i < 2; i++) {
        arena_init(&arena[i], memory[i], sizeof memory[i]);
        result[i] = ask(i == 0 ? records : reversed, n, algorithm, &key[i], &arena[i]);
    }
    must(result[0] == result[1]);
    if (result[0] != AUTH_PASS)
        return;
    must(str_eq(key[0].octets, key[1].octets) && key[0].is_testing == key[1].is_testing);
    must_be_fit(&key[0], algorithm == ALGORITHM_ED25519_SHA256);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str rest = { size > 0 ? (const char *)data : nothing, size < 8000 ? size : 8000 }, records[RECORDS];
    size_t n = 0;
    struct rsa_key rsa;

    rsa_key_read(rest, &rsa);
    while (rest.n > 0 && n < RECORDS) {
        records[n] = str_from(rest.p, str_find(rest, '\n'));
        rest = str_skip(rest, records[n].n < rest.n ? records[n].n + 1 : rest.n);
        n++;
    }
    if (n == 0)
        return 0;
    read_records(records, n, ALGORITHM_RSA_SHA256);
    read_records(records, n, ALGORITHM_ED25519_SHA256);
    return 0;
}
