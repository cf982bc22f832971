/* TLS (mbedTLS 3.6) without sockets: ciphertext in, ciphertext out, plaintext in between. The tls*.c files
 * alone know mbedtls/ssl.h and x509.
 *
 * Settings are explicit (PLATFORM.md): TLS 1.2 and 1.3; suites AES-256-GCM, CHACHA20, AES-128-GCM with ECDHE
 * only; groups X25519, P-256, P-384; no renegotiation, no compression, no early data, no tickets (mbedTLS
 * tells the ticket functions neither the connection nor the name, so tickets could not be bound to them:
 * T-6). The server speaks ALPN smtp: a client that offers only other protocols is refused (RFC 7301 3.2).
 * Back ends may be old: the client side also takes the CBC and RSA key exchange suites of TLS 1.2, last, and
 * offers no ALPN.
 *
 * Random numbers are reseeded in the child after fork(), so a tls_server made before serves all workers.
 */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include "chain.h"
#include "config.h"
#include "tls_facts.h"

struct tls_server; /* all certificates of the ini, and the settings; immutable; outlives its connections */
struct tls_client; /* settings of one route: CA, fingerprint, name; outlives its connections */
struct tls;        /* one connection */

/* Loads every [certificate]; NULL and a line in `error` (file, what is wrong) when a pair is missing, does
 * not match, or cannot be parsed. Expired ones load and are warned of by tls_server_expiry.
 */
struct tls_server *tls_server_new(const struct config *, char *error, size_t size);
void tls_server_free(struct tls_server *);
/* The earliest end of validity among the certificates, seconds since the epoch, and its name. */
int64_t tls_server_expiry(const struct tls_server *, struct str *name);
/* Changes when any certificate or key file changed on disk (device, inode, size, mtime): reload then. */
uint64_t tls_files_stamp(const struct config *);

/* What is configured is verified: tls_ca (needs tls_name), tls_fingerprint, or both. Neither: encryption to
 * whoever answers.
 */
struct tls_client *tls_client_new(const struct config *, const struct route *, char *error, size_t size);
void tls_client_free(struct tls_client *);

struct tls *tls_accept(struct tls_server *); /* NULL without memory */
struct tls *tls_connect(struct tls_client *);
void tls_free(struct tls *);

enum tls_result {
    TLS_OK,
    TLS_WANT,   /* more ciphertext needed; all that was given has been taken */
    TLS_CLOSED, /* close_notify received */
    TLS_FAILED  /* tls_error() says why; send what is in tls_output (the alert), then close */
};

/* Both take what they need from the front of `ciphertext`. It may be cut anywhere: an unfinished record is
 * kept inside.
 */
enum tls_result tls_handshake(struct tls *, struct str *ciphertext);
/* Reads plaintext into `room`. TLS_OK with *n > 0, else TLS_WANT, TLS_CLOSED or TLS_FAILED. Records that
 * carry no data are counted: more than 32 among 1000, or a second renegotiation request, is TLS_FAILED.
 */
enum tls_result tls_read(struct tls *, struct str *ciphertext, char *room, size_t size, size_t *n);
/* Encrypts from the front of `plain`, up to one record; `*n` octets were taken. */
enum tls_result tls_write(struct tls *, struct str plain, size_t *n);
void tls_close(struct tls *); /* close_notify into the output */
/* Ciphertext to be sent; the caller drops what it sent. All the other calls may add to it. */
struct chain *tls_output(struct tls *);

void tls_describe(const struct tls *, struct tls_facts *);
const char *tls_error(const struct tls *);

/* Key log lines for captures (NSS format) go to this file; only in builds with POSTERN_KEYLOG. */
#ifdef POSTERN_KEYLOG
bool tls_keylog_open(const char *path);
#endif

#endif
