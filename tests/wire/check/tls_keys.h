/* The suites that can be read, and the keys of one direction of a connection.
 *
 *     struct tls_cipher *c = tls_cipher_13(suite, secret);
 *     if (c != NULL && tls_cipher_open(c, &record, &type, &plain)) ...
 *     tls_cipher_free(c);
 */
#ifndef WIRE_TLS_KEYS_H
#define WIRE_TLS_KEYS_H

#include "flow.h"
#include "tls_records.h"

struct tls_suite;
struct tls_cipher;

/* NULL: this suite cannot be read here. */
const struct tls_suite *tls_suite_find(uint16_t id);
bool tls_suite_is_13(const struct tls_suite *s);
/* Octets of its hash function, so of a Finished in TLS 1.3. */
size_t tls_suite_hash(const struct tls_suite *s);

/* TLS 1.2 keys of what `side` sends, from the master secret (RFC 5246 6.3). NULL: the secret is not of this suite. */
struct tls_cipher *tls_cipher_12(const struct tls_suite *s, struct slice master, const uint8_t client_random[32],
                                 const uint8_t server_random[32], enum side side);
/* TLS 1.3 keys from a traffic secret (RFC 8446 7.3). */
struct tls_cipher *tls_cipher_13(const struct tls_suite *s, struct slice secret);
/* The keys after a KeyUpdate (RFC 8446 7.2). */
struct tls_cipher *tls_cipher_updated(const struct tls_cipher *c);
/* Opens the next record of this direction. `plain` gets the text, `type` what it is (in 1.3 that is hidden, and
 * padding goes). False: it does not authenticate, and the next call tries the same sequence number again. */
bool tls_cipher_open(struct tls_cipher *c, const struct tls_record *record, uint8_t *type, struct buffer *plain);
/* No record was opened yet. */
bool tls_cipher_is_unused(const struct tls_cipher *c);
void tls_cipher_free(struct tls_cipher *c);

#endif
