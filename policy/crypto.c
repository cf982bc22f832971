/* The cryptography libraries behind crypto.h.
 *
 * SHA-256 is libsodium's: 54 instructions an octet against mbedTLS's 61 on amd64, both in plain C. RSA is mbedTLS's:
 * its low level needs no random numbers to verify. What a stranger's key may cost is decided here before any
 * mathematics: at most 4096 bits and an exponent of 32 (ATTACKS H03, H04: with a huge exponent one operation takes 266
 * ms).
 */
#include "crypto.h"

#include <limits.h>
#include <mbedtls/rsa.h>
#include <sodium.h>

/* ---- SHA-256 ---- */

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256), "struct sha256 has room for libsodium's");
_Static_assert(_Alignof(crypto_hash_sha256_state) <= _Alignof(struct sha256), "and is aligned for it");
_Static_assert(crypto_hash_sha256_BYTES == SHA256_SIZE, "RFC 6234");

static crypto_hash_sha256_state *sha256_state(struct sha256 *sha)
{
    return (void *)sha;
}

void sha256_begin(struct sha256 *sha)
{
    crypto_hash_sha256_init(sha256_state(sha));
}

void sha256_add(struct sha256 *sha, struct str octets)
{
    if (octets.n > 0)
        crypto_hash_sha256_update(sha256_state(sha), (const unsigned char *)octets.p, octets.n);
}

void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_SIZE])
{
    crypto_hash_sha256_final(sha256_state(sha), digest);
}

/* ---- SipHash ---- */

_Static_assert(crypto_shorthash_KEYBYTES == KEYED_HASH_KEY && crypto_shorthash_BYTES == sizeof(uint64_t),
               "SipHash-2-4");

uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY], struct str octets)
{
    uint64_t hash;
    unsigned char out[sizeof hash];

    crypto_shorthash(out, (const unsigned char *)octets.p, octets.n, key);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

/* ---- DER (X.690), as much as a public key needs ---- */

enum { DER_INTEGER = 0x02, DER_BIT_STRING = 0x03, DER_NULL = 0x05, DER_OID = 0x06, DER_SEQUENCE = 0x30 };

/* The length octets at the front (8.1.3), in their shortest form (10.1) and below 64 KB. */
static bool der_length(struct str *der, size_t *n)
{
    size_t octets = 0;

    if (der->n == 0)
        return false;
    *n = (unsigned char)der->p[0];
    *der = str_skip(*der, 1);
    if (*n < 0x80)
        return true;
    octets = *n - 0x80;
    if (octets < 1 || octets > 2 || der->n < octets)
        return false;
    *n = (unsigned char)der->p[0];
    if (octets == 2)
        *n = *n << 8 | (unsigned char)der->p[1];
    *der = str_skip(*der, octets);
    return *n >= (octets == 1 ? 0x80u : 0x100u);
}

/* Takes the element at the front, which must be of this kind. */
static bool der_take(struct str *der, int kind, struct str *content)
{
    size_t n;

    if (der->n == 0 || (unsigned char)der->p[0] != kind)
        return false;
    *der = str_skip(*der, 1);
    if (!der_length(der, &n) || n > der->n)
        return false;
    *content = str_from(der->p, n);
    *der = str_skip(*der, n);
    return true;
}

/* A positive INTEGER in its shortest form (8.3), without the zero octet that keeps it positive. */
static bool der_take_positive(struct str *der, struct str *number)
{
    if (!der_take(der, DER_INTEGER, number) || number->n == 0 || (unsigned char)number->p[0] >= 0x80)
        return false;
    if (number->p[0] != 0)
        return true;
    *number = str_skip(*number, 1);
    return number->n > 0 && (unsigned char)number->p[0] >= 0x80;
}

/* SubjectPublicKeyInfo (RFC 5280 4.1.2.7) around the RSAPublicKey: the algorithm is rsaEncryption, with NULL or nothing
 * as its parameters (RFC 3279 2.3.1 wants the NULL; some leave it out). False when it is none.
 */
static bool unwrap_public_key_info(struct str der, struct str *key)
{
    static const char rsa_encryption[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    struct str info, algorithm, oid, null, bits;

    if (!der_take(&der, DER_SEQUENCE, &info) || der.n > 0)
        return false;
    if (!der_take(&info, DER_SEQUENCE, &algorithm) || !der_take(&info, DER_BIT_STRING, &bits) || info.n > 0)
        return false;
    if (!der_take(&algorithm, DER_OID, &oid) || !str_eq(oid, str_from(rsa_encryption, sizeof rsa_encryption - 1)))
        return false;
    if (algorithm.n > 0 && (!der_take(&algorithm, DER_NULL, &null) || null.n > 0 || algorithm.n > 0))
        return false;
    if (bits.n == 0 || bits.p[0] != 0) /* unused bits */
        return false;
    *key = str_skip(bits, 1);
    return true;
}

/* ---- RSA ---- */

static unsigned bit_length(struct str number)
{
    unsigned first = (unsigned char)number.p[0], bits = 0;

    for (; first > 0; first >>= 1)
        bits++;
    return (unsigned)(number.n - 1) * CHAR_BIT + bits;
}

static uint32_t small_number(struct str number)
{
    uint32_t value = 0;

    if (number.n > sizeof value)
        return 0;
    for (size_t i = 0; i < number.n; i++)
        value = value << CHAR_BIT | (unsigned char)number.p[i];
    return value;
}

bool rsa_key_read(struct str der, struct rsa_key *key)
{
    struct str sequence, exponent;

    unwrap_public_key_info(der, &der);
    if (!der_take(&der, DER_SEQUENCE, &sequence) || der.n > 0)
        return false;
    if (!der_take_positive(&sequence, &key->modulus) || !der_take_positive(&sequence, &exponent) || sequence.n > 0)
        return false;
    key->bits = bit_length(key->modulus);
    key->exponent = small_number(exponent);
    return true;
}

static bool rsa_key_is_fit(const struct rsa_key *key)
{
    return key->bits >= RSA_BITS_MIN && key->bits <= RSA_BITS_MAX && key->exponent >= 3 && key->exponent % 2 == 1;
}

static int load_key(mbedtls_rsa_context *rsa, const struct rsa_key *key)
{
    unsigned char e[4] = { (unsigned char)(key->exponent >> 24), (unsigned char)(key->exponent >> 16),
                           (unsigned char)(key->exponent >> 8), (unsigned char)key->exponent };
    const unsigned char *n = (const unsigned char *)key->modulus.p;

    int error = mbedtls_rsa_import_raw(rsa, n, key->modulus.n, NULL, 0, NULL, 0, NULL, 0, e, sizeof e);

    return error != 0 ? error : mbedtls_rsa_complete(rsa);
}

/* An error of mbedTLS is the sum of a high part, a multiple of 128 that tells of the operation, and a low one that tells of
 * its cause (mbedtls/error.h).
 */
static bool is_shortage(int error)
{
    return -error % 128 == -MBEDTLS_ERR_MPI_ALLOC_FAILED;
}

bool rsa_verify(const struct rsa_key *key, const uint8_t digest[SHA256_SIZE], struct str signature, bool *no_memory)
{
    mbedtls_rsa_context rsa;
    int error;

    *no_memory = false;
    if (!rsa_key_is_fit(key) || signature.n != key->modulus.n)
        return false;
    mbedtls_rsa_init(&rsa);
    error = load_key(&rsa, key);
    if (error == 0)
        error =
            mbedtls_rsa_pkcs1_verify(&rsa, MBEDTLS_MD_SHA256, SHA256_SIZE, digest, (const unsigned char *)signature.p);
    mbedtls_rsa_free(&rsa);
    *no_memory = is_shortage(error);
    return error == 0;
}

/* ---- Ed25519 ---- */

/* libsodium refuses keys of low order, keys that are not in canonical form, and an S beyond the group's order. */
bool ed25519_verify(struct str key, const uint8_t digest[SHA256_SIZE], struct str signature)
{
    return key.n == ED25519_KEY && signature.n == ED25519_SIGNATURE &&
           crypto_sign_verify_detached((const unsigned char *)signature.p, digest, SHA256_SIZE,
                                       (const unsigned char *)key.p) == 0;
}
