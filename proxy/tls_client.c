/* How a back end is verified: settings of one route. */
#include "tls_settings.h"

#include <stdlib.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_pin(struct str hex, uint8_t pin[TLS_PIN])
{
    if (hex.n != 2 * TLS_PIN)
        return false;
    for (size_t i = 0; i < TLS_PIN; i++) {
        int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        pin[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool set_ca(struct tls_client *client, const struct route *route, char *error, size_t size)
{
    char path[TLS_PATH_MAX];

    /* Any certificate of a public CA would do otherwise. */
    if (client->name[0] == '\0')
        return tls_complain(error, size, "tls_ca needs tls_name: the name that the certificate must be for");
    if (!tls_path(route->tls_ca, path, error, size) || !tls_load_certificates(&client->ca, path, error, size))
        return false;
    client->has_ca = true;
    mbedtls_ssl_conf_ca_chain(&client->conf, &client->ca, NULL);
    mbedtls_ssl_conf_authmode(&client->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    return true;
}

static bool set_up(struct tls_client *client, const struct route *route, char *error, size_t size)
{
    if (!tls_settings(&client->conf, MBEDTLS_SSL_IS_CLIENT, false))
        return tls_complain(error, size, "no memory for TLS");
    mbedtls_ssl_conf_authmode(&client->conf, MBEDTLS_SSL_VERIFY_NONE);
    if (route->tls_name.n > TLS_NAME_MAX)
        return tls_complain(error, size, "tls_name is too long");
    if (route->tls_name.n > 0)
        memcpy(client->name, route->tls_name.p, route->tls_name.n);
    if (route->tls_fingerprint.n > 0) {
        client->has_pin = read_pin(route->tls_fingerprint, client->pin);
        if (!client->has_pin)
            return tls_complain(error, size, "tls_fingerprint is not 64 hexadecimal digits");
    }
    return route->tls_ca.n == 0 || set_ca(client, route, error, size);
}

struct tls_client *tls_client_new(const struct config *config, const struct route *route, char *error, size_t size)
{
    struct tls_client *client = calloc(1, sizeof(*client));

    (void)config;
    if (client == NULL || !tls_library_start()) {
        tls_complain(error, size, "TLS cannot start: no memory or no random numbers");
        free(client);
        return NULL;
    }
    mbedtls_x509_crt_init(&client->ca);
    if (!set_up(client, route, error, size)) {
        tls_client_free(client);
        return NULL;
    }
    return client;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL)
        return;
    mbedtls_ssl_config_free(&client->conf);
    mbedtls_x509_crt_free(&client->ca);
    free(client);
}
