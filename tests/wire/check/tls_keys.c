/* Key schedules and record protection of TLS 1.2 and 1.3, receiving side only. See tls_keys.h.
 *
 * Every function of mbedTLS may fail for want of memory: that ends the program as everywhere here. */
#include "tls_keys.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/md.h>
#include <mbedtls/ssl.h>

enum {
    TAG = 16,
    NONCE = 12,
    KEY_MAX = 32,
    HASH_MAX = 48,
    GCM_SALT = 4,     /* RFC 5288 3: of the nonce, from the key block */
    GCM_EXPLICIT = 8, /* the rest of it, in front of each record */
    EXIT_OURSELVES = 70
};

enum aead { AES_GCM, CHACHA20_POLY1305 };

struct tls_suite {
    uint16_t id;
    bool is_13;
    enum aead aead;
    size_t key_n, hash_n;
};

static const struct tls_suite suites[] = {
    { 0x1301, true, AES_GCM, 16, 32 },
    { 0x1302, true, AES_GCM, 32, 48 },
    { 0x1303, true, CHACHA20_POLY1305, 32, 32 },
    { 0xC02B, false, AES_GCM, 16, 32 },
    { 0xC02C, false, AES_GCM, 32, 48 },
    { 0xCCA9, false, CHACHA20_POLY1305, 32, 32 },
    { 0xC02F, false, AES_GCM, 16, 32 },
    { 0xC030, false, AES_GCM, 32, 48 },
    { 0xCCA8, false, CHACHA20_POLY1305, 32, 32 },
};

struct tls_cipher {
    const struct tls_suite *suite;
    uint8_t secret[HASH_MAX]; /* 1.3: of this generation */
    uint8_t iv[NONCE];        /* GCM in 1.2: the salt only */
    uint64_t sequence;
    union {
        mbedtls_gcm_context gcm;
        mbedtls_chachapoly_context chachapoly;
    };
};

const struct tls_suite *tls_suite_find(uint16_t id)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

bool tls_suite_is_13(const struct tls_suite *s)
{
    return s->is_13;
}

size_t tls_suite_hash(const struct tls_suite *s)
{
    return s->hash_n;
}

static void must(int ret)
{
    if (ret != 0)
        die(EXIT_OURSELVES, "mbedTLS: error -0x%04x", (unsigned)-ret);
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

static struct tls_cipher *cipher_new(const struct tls_suite *s, const uint8_t *key)
{
    struct tls_cipher *c = fresh(sizeof *c);

    c->suite = s;
    if (s->aead == AES_GCM) {
        mbedtls_gcm_init(&c->gcm);
        must(mbedtls_gcm_setkey(&c->gcm, MBEDTLS_CIPHER_ID_AES, key, (unsigned)(8 * s->key_n)));
    } else {
        mbedtls_chachapoly_init(&c->chachapoly);
        must(mbedtls_chachapoly_setkey(&c->chachapoly, key));
    }
    return c;
}

void tls_cipher_free(struct tls_cipher *c)
{
    if (c == NULL)
        return;
    if (c->suite->aead == AES_GCM)
        mbedtls_gcm_free(&c->gcm);
    else
        mbedtls_chachapoly_free(&c->chachapoly);
    free(c);
}

/* RFC 5246 6.3: both write keys, then both write IVs; AEAD suites have no MAC keys. */
struct tls_cipher *tls_cipher_12(const struct tls_suite *s, struct slice master, const uint8_t client_random[32],
                                 const uint8_t server_random[32], enum side side)
{
    uint8_t randoms[64], block[2 * (KEY_MAX + NONCE)];
    size_t iv_n = s->aead == AES_GCM ? GCM_SALT : NONCE;

    if (s->is_13 || master.n != 48)
        return NULL;
    memcpy(randoms, server_random, 32);
    memcpy(randoms + 32, client_random, 32);
    must(mbedtls_ssl_tls_prf(s->hash_n == 48 ? MBEDTLS_SSL_TLS_PRF_SHA384 : MBEDTLS_SSL_TLS_PRF_SHA256, master.p,
                             master.n, "key expansion", randoms, sizeof randoms, block, 2 * (s->key_n + iv_n)));
    struct tls_cipher *c = cipher_new(s, block + (side == SERVER ? s->key_n : 0));
    memcpy(c->iv, block + 2 * s->key_n + (side == SERVER ? iv_n : 0), iv_n);
    return c;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1). */
static void expand_label(const struct tls_suite *s, const uint8_t *secret, const char *label, uint8_t *out, size_t n)
{
    mbedtls_md_type_t md = s->hash_n == 48 ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256;
    size_t label_n = strlen(label);
    uint8_t info[32] = { 0, (uint8_t)n, (uint8_t)(6 + label_n), 't', 'l', 's', '1', '3', ' ' };

    memcpy(info + 9, label, label_n); /* the context's length, 0, follows */
    must(mbedtls_hkdf_expand(mbedtls_md_info_from_type(md), secret, s->hash_n, info, 9 + label_n + 1, out, n));
}

struct tls_cipher *tls_cipher_13(const struct tls_suite *s, struct slice secret)
{
    uint8_t key[KEY_MAX];

    if (!s->is_13 || secret.n != s->hash_n)
        return NULL;
    expand_label(s, secret.p, "key", key, s->key_n);
    struct tls_cipher *c = cipher_new(s, key);
    expand_label(s, secret.p, "iv", c->iv, NONCE);
    memcpy(c->secret, secret.p, secret.n);
    return c;
}

struct tls_cipher *tls_cipher_updated(const struct tls_cipher *c)
{
    uint8_t next[HASH_MAX];

    expand_label(c->suite, c->secret, "traffic upd", next, c->suite->hash_n);
    return tls_cipher_13(c->suite, (struct slice){ next, c->suite->hash_n });
}

bool tls_cipher_is_unused(const struct tls_cipher *c)
{
    return c->sequence == 0;
}

/* --- Records ----------------------------------------------------------------------------------------------------- */

static void put_sequence(uint8_t *to, uint64_t sequence)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(sequence >> (56 - 8 * i));
}

/* RFC 8446 5.3, RFC 7905 2: the IV, with the sequence number over its end. */
static void make_nonce(const struct tls_cipher *c, uint8_t nonce[NONCE])
{
    put_sequence(nonce + (NONCE - 8), c->sequence);
    memset(nonce, 0, NONCE - 8);
    for (int i = 0; i < NONCE; i++)
        nonce[i] ^= c->iv[i];
}

/* `sealed` is the text with its tag behind it. Exactly sealed.n - TAG octets are written when it authenticates. */
static bool unseal(struct tls_cipher *c, const uint8_t nonce[NONCE], struct slice extra, struct slice sealed,
                   uint8_t *out)
{
    size_t n = sealed.n - TAG;

    if (c->suite->aead == AES_GCM)
        return mbedtls_gcm_auth_decrypt(&c->gcm, n, nonce, NONCE, extra.p, extra.n, sealed.p + n, TAG, sealed.p, out) ==
               0;
    return mbedtls_chachapoly_auth_decrypt(&c->chachapoly, n, nonce, extra.p, extra.n, sealed.p + n, sealed.p, out) ==
           0;
}

static bool open_12(struct tls_cipher *c, const struct tls_record *r, uint8_t *out, size_t *n)
{
    size_t explicit_n = c->suite->aead == AES_GCM ? GCM_EXPLICIT : 0;
    uint8_t nonce[NONCE], extra[13];

    if (r->body.n < explicit_n + TAG)
        return false;
    make_nonce(c, nonce);
    if (explicit_n) {
        memcpy(nonce, c->iv, GCM_SALT);
        memcpy(nonce + GCM_SALT, r->body.p, GCM_EXPLICIT);
    }
    *n = r->body.n - explicit_n - TAG;
    put_sequence(extra, c->sequence); /* RFC 5246 6.2.3.3: with the length of the plain text */
    memcpy(extra + 8, r->header.p, 3);
    extra[11] = (uint8_t)(*n >> 8);
    extra[12] = (uint8_t)*n;
    return unseal(c, nonce, (struct slice){ extra, sizeof extra }, slice_part(r->body, explicit_n, r->body.n), out);
}

static bool open_13(struct tls_cipher *c, const struct tls_record *r, uint8_t *out, size_t *n)
{
    uint8_t nonce[NONCE];

    if (r->type != CONTENT_DATA || r->body.n < TAG)
        return false;
    make_nonce(c, nonce);
    *n = r->body.n - TAG;
    return unseal(c, nonce, r->header, r->body, out);
}

/* RFC 8446 5.4: zeros behind the content type are padding. 0: there is nothing but zeros, so no type. */
static uint8_t strip_padding(const uint8_t *text, size_t *n)
{
    while (*n > 0 && text[*n - 1] == 0)
        (*n)--;
    return *n > 0 ? text[--*n] : 0;
}

bool tls_cipher_open(struct tls_cipher *c, const struct tls_record *record, uint8_t *type, struct buffer *plain)
{
    uint8_t text[TLS_BODY_MAX_12];
    size_t n = 0;

    if (record->body.n > sizeof text)
        return false;
    if (!(c->suite->is_13 ? open_13(c, record, text, &n) : open_12(c, record, text, &n)))
        return false;
    c->sequence++;
    *type = c->suite->is_13 ? strip_padding(text, &n) : record->type;
    plain->n = 0;
    buffer_add(plain, text, n);
    return true;
}
