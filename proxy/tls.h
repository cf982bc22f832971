/* TLS (mbedTLS 3.6) without sockets: ciphertext in, ciphertext out, plaintext in between. The only user of mbedtls/ssl.h
 * beside it is stream.c.
 *
 * Settings are explicit (PLATFORM.md): TLS 1.2 and 1.3; suites AES-256-GCM, CHACHA20, AES-128-GCM with ECDHE only; groups
 * X25519, P-256, P-384; no renegotiation, no compression, no early data; tickets off unless configured; ALPN smtp.
 */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include "chain.h"
#include "config.h"
#include "tls_facts.h"

struct tls_server;  /* all certificates of the ini, and the settings; immutable; shared by the sessions of a process */
struct tls_client;  /* settings of one route: CA, fingerprint, name */
struct tls;         /* one connection */

/* Loads every [certificate]; NULL and a line in `error` (file, what is wrong) when a pair is missing, does not match,
 * or cannot be parsed. Expired ones load and are warned of by tls_server_expiry.
 */
struct tls_server *tls_server_new(const struct config *, char *error, size_t size);
void tls_server_free(struct tls_server *);
/* The earliest end of validity among the certificates, seconds since the epoch, and its name. */
int64_t tls_server_expiry(const struct tls_server *, struct str *name);
/* Changes when any certificate or key file changed on disk (device, inode, size, mtime): reload then. */
uint64_t tls_files_stamp(const struct config *);

struct tls_client *tls_client_new(const struct config *, const struct route *, char *error, size_t size);
void tls_client_free(struct tls_client *);

struct tls *tls_accept(struct tls_server *);
struct tls *tls_connect(struct tls_client *);
void tls_free(struct tls *);

enum tls_result {
    TLS_OK,
    TLS_WANT,   /* more ciphertext needed */
    TLS_CLOSED, /* close_notify received */
    TLS_FAILED  /* tls_error() says why; send what is pending (the alert), then close */
};

/* Ciphertext that arrived; it is copied to `tls` (bounded by one record and a bit): returns how much was taken. */
size_t tls_feed(struct tls *, struct str ciphertext);
enum tls_result tls_handshake(struct tls *);
/* Reads plaintext into `room`. TLS_OK with *n > 0, else TLS_WANT, TLS_CLOSED or TLS_FAILED. */
enum tls_result tls_read(struct tls *, char *room, size_t size, size_t *n);
/* Encrypts from the front of `plain`, up to one record; `*n` octets were taken. */
enum tls_result tls_write(struct tls *, struct str plain, size_t *n);
void tls_close(struct tls *); /* close_notify into the pending output */
/* Ciphertext to be sent, and its removal. */
struct str tls_pending(const struct tls *);
void tls_sent(struct tls *, size_t n);

void tls_describe(const struct tls *, struct tls_facts *);
const char *tls_error(const struct tls *);

/* Key log lines for captures (NSS format) go to this file; only in builds with POSTERN_KEYLOG. */
#ifdef POSTERN_KEYLOG
void tls_keylog_open(const char *path);
#endif

#endif
