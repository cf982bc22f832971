#include "tls_settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <psa/crypto.h>

/* In order of preference; the first SERVER_SUITES are all that the server side takes. */
static const struct suite {
    int id;
    const char *name;
} suites[] = {
    { MBEDTLS_TLS1_3_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256" },
    { MBEDTLS_TLS1_3_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
    /* For back ends of before 2015 (Exchange on Windows 2008 R2 and 2012 has no AEAD suite with an RSA
     * certificate).
     */
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" },
    { MBEDTLS_TLS_RSA_WITH_AES_256_GCM_SHA384, "TLS_RSA_WITH_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, "TLS_RSA_WITH_AES_128_GCM_SHA256" },
    { MBEDTLS_TLS_RSA_WITH_AES_256_CBC_SHA256, "TLS_RSA_WITH_AES_256_CBC_SHA256" },
    { MBEDTLS_TLS_RSA_WITH_AES_128_CBC_SHA256, "TLS_RSA_WITH_AES_128_CBC_SHA256" },
    { MBEDTLS_TLS_RSA_WITH_AES_256_CBC_SHA, "TLS_RSA_WITH_AES_256_CBC_SHA" },
    { MBEDTLS_TLS_RSA_WITH_AES_128_CBC_SHA, "TLS_RSA_WITH_AES_128_CBC_SHA" },
};

enum { SERVER_SUITES = 9, CLIENT_SUITES = sizeof(suites) / sizeof(suites[0]) };

/* mbedTLS keeps pointers to these: lists that end in 0. */
static int server_suites[SERVER_SUITES + 1], client_suites[CLIENT_SUITES + 1];
static const uint16_t groups[] = { MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                   MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE };

/* Two processes with one generator state would draw the same keys. Should the system's entropy fail here, PSA
 * stays unstarted and every handshake of this process fails.
 */
static void reseed_after_fork(void)
{
    mbedtls_psa_crypto_free();
    (void)psa_crypto_init();
}

bool tls_library_start(void)
{
    static bool started;

    if (started)
        return true;
    for (size_t i = 0; i < CLIENT_SUITES; i++) {
        client_suites[i] = suites[i].id;
        if (i < SERVER_SUITES)
            server_suites[i] = suites[i].id;
    }
    started = psa_crypto_init() == PSA_SUCCESS && pthread_atfork(NULL, NULL, reseed_after_fork) == 0;
    return started;
}

int tls_random(void *unused, unsigned char *out, size_t n)
{
    (void)unused;
    return mbedtls_psa_get_random(MBEDTLS_PSA_RANDOM_STATE, out, n);
}

bool tls_settings(mbedtls_ssl_config *conf, int endpoint, bool tls13_only)
{
    bool server = endpoint == MBEDTLS_SSL_IS_SERVER;

    mbedtls_ssl_config_init(conf);
    if (mbedtls_ssl_config_defaults(conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return false;
    mbedtls_ssl_conf_rng(conf, tls_random, NULL);
    mbedtls_ssl_conf_min_tls_version(conf, tls13_only ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(conf, server ? server_suites : client_suites);
    mbedtls_ssl_conf_groups(conf, groups);
    mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    mbedtls_ssl_conf_session_tickets(conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    if (server)
        mbedtls_ssl_conf_new_session_tickets(conf, 0);
    return true;
}

const char *tls_suite_name(int id)
{
    for (size_t i = 0; i < CLIENT_SUITES; i++)
        if (suites[i].id == id)
            return suites[i].name;
    return "unknown";
}

bool tls_path(struct str path, char out[TLS_PATH_MAX], char *error, size_t size)
{
    if (path.n == 0 || path.n >= TLS_PATH_MAX)
        return tls_complain(error, size, "a file name is %s", path.n == 0 ? "missing" : "too long");
    memcpy(out, path.p, path.n);
    out[path.n] = '\0';
    return true;
}

bool tls_complain(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

bool tls_load_certificates(mbedtls_x509_crt *chain, const char *path, char *error, size_t size)
{
    int ret = mbedtls_x509_crt_parse_file(chain, path);
    char why[100];

    if (ret == 0)
        return true;
    if (ret == MBEDTLS_ERR_PK_FILE_IO_ERROR || ret == MBEDTLS_ERR_X509_FILE_IO_ERROR)
        return tls_complain(error, size, "%s: %s", path, strerror(errno));
    if (ret > 0)
        return tls_complain(error, size, "%s: %d certificates in it cannot be parsed", path, ret);
    mbedtls_strerror(ret, why, sizeof(why));
    return tls_complain(error, size, "%s: no PEM certificate (%s)", path, why);
}
