/* What tls.c, tls_server.c and tls_client.c share: the library's start, and settings common to both sides.
 * Nobody else includes this.
 */
#ifndef PROXY_TLS_SETTINGS_H
#define PROXY_TLS_SETTINGS_H

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "tls.h"

struct tls_certificate {
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    char name[64]; /* of its section */
    int64_t until; /* end of validity of the first in the chain, seconds since the epoch */
};

struct tls_server {
    mbedtls_ssl_config conf;
    size_t n;
    struct tls_certificate certificate[];
};

enum { TLS_PIN = 32 /* octets of a SHA-256 */, TLS_NAME_MAX = 253 };

struct tls_client {
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
    bool has_ca, has_pin;
    uint8_t pin[TLS_PIN];
    char name[TLS_NAME_MAX + 1];
};

/* Starts mbedTLS once per process. */
bool tls_library_start(void);
int tls_random(void *unused, unsigned char *out, size_t n);

/* Everything that does not depend on certificates; `endpoint` is MBEDTLS_SSL_IS_SERVER or _CLIENT. False
 * without memory.
 */
bool tls_settings(mbedtls_ssl_config *, int endpoint, bool tls13_only);
/* IANA's name of a suite; "unknown" for one we never offer. */
const char *tls_suite_name(int id);

enum { TLS_PATH_MAX = 4096 };
/* A path of the ini as a C string; false (and a text in `error`) when it is too long. */
bool tls_path(struct str path, char out[TLS_PATH_MAX], char *error, size_t size);
/* Prints to `error` and returns false. */
bool tls_complain(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Loads the certificates of a PEM file; false with the file and what is wrong in `error`. */
bool tls_load_certificates(mbedtls_x509_crt *, const char *path, char *error, size_t size);

#ifdef POSTERN_KEYLOG
/* Has the secrets of this connection written to the key log, when one is open. */
void tls_keylog_attach(mbedtls_ssl_context *);
#endif

#endif
