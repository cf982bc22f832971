/* The mathematics of signatures: SHA-256, RSA and Ed25519. The only door to mbedTLS and libsodium in policy/. */
#ifndef POLICY_CRYPTO_H
#define POLICY_CRYPTO_H

#include <stdint.h>

#include "str.h"

enum {
    SHA256_SIZE = 32,
    RSA_BITS_MIN = 1024, /* RFC 8301 3.2 */
    RSA_BITS_MAX = 4096,
    RSA_DER_MAX = 600,
    RSA_SIGNATURE_MAX = RSA_BITS_MAX / 8,
    ED25519_KEY = 32,
    ED25519_SIGNATURE = 64
};

/* A SHA-256 under way; plain data that may be copied to go two ways from one beginning. */
struct sha256 {
    uint64_t room[16];
};

void sha256_begin(struct sha256 *);
void sha256_add(struct sha256 *, struct str octets);
void sha256_end(struct sha256 *, uint8_t digest[SHA256_SIZE]);

enum { KEYED_HASH_KEY = 16 /* octets */ };

/* SipHash-2-4: for tables whose keys strangers choose. Without the key nobody can choose which ones collide. */
uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY], struct str octets);

/* Reads an RSA public key: SubjectPublicKeyInfo (RFC 6376 3.6.1 as everybody publishes it), or RSAPublicKey alone
 * (as its text has it). Nothing may follow it. False when it is neither. Sizes are judged by the caller before any
 * mathematics (ATTACKS H04): `bits` of the modulus; `exponent` 0 when it does not fit 32 bits.
 */
struct rsa_key {
    struct str modulus; /* big-endian, without leading zeros; within the DER */
    unsigned bits;
    uint32_t exponent;
};
bool rsa_key_read(struct str der, struct rsa_key *);

/* RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2). False for any key outside 1024..4096 bits, an even exponent or one
 * below 3, whatever the caller forgot. `*no_memory`: it was not found out, and false says nothing about the signature.
 */
bool rsa_verify(const struct rsa_key *, const uint8_t digest[SHA256_SIZE], struct str signature, bool *no_memory);

/* Ed25519 (RFC 8032) over the digest as its message (RFC 8463 3). Keys of low order are refused. */
bool ed25519_verify(struct str key, const uint8_t digest[SHA256_SIZE], struct str signature);

#endif
