/* Key log for captures (the NSS format that Wireshark reads). In builds with POSTERN_KEYLOG only: whoever
 * reads the file reads the mail.
 */
#include "tls_settings.h"

#ifdef POSTERN_KEYLOG

#    include <fcntl.h>
#    include <stdio.h>
#    include <unistd.h>

enum { RANDOM = 32, SECRET_MAX = 64, LINE_MAX_ = 40 + 2 * (RANDOM + SECRET_MAX) };

static int keylog = -1;

static const char *label_of(mbedtls_ssl_key_export_type type)
{
    switch (type) {
    case MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET: return "CLIENT_RANDOM";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET: return "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_HANDSHAKE_TRAFFIC_SECRET: return "SERVER_HANDSHAKE_TRAFFIC_SECRET";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET: return "CLIENT_TRAFFIC_SECRET_0";
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET: return "SERVER_TRAFFIC_SECRET_0";
    default: return NULL; /* early data: never used here */
    }
}

static size_t print_hex(char *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    return 2 * n;
}

/* One write a line: several workers share the file. */
static void log_secret(void *unused, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t secret_n,
                       const unsigned char client_random[32], const unsigned char server_random[32],
                       mbedtls_tls_prf_types prf)
{
    const char *label = label_of(type);
    char line[LINE_MAX_];
    size_t n;

    (void)unused;
    (void)server_random;
    (void)prf;
    if (label == NULL || secret_n > SECRET_MAX)
        return;
    n = (size_t)snprintf(line, sizeof(line), "%s ", label);
    n += print_hex(line + n, client_random, RANDOM);
    line[n++] = ' ';
    n += print_hex(line + n, secret, secret_n);
    line[n++] = '\n';
    (void)!write(keylog, line, n);
}

bool tls_keylog_open(const char *path)
{
    keylog = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return keylog >= 0;
}

void tls_keylog_attach(mbedtls_ssl_context *ssl)
{
    if (keylog >= 0)
        mbedtls_ssl_set_export_keys_cb(ssl, log_secret, NULL);
}

#endif
