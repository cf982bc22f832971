/* The certificates of the ini, and which of them a client is shown. */
#include "tls_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>

enum {
    CHAIN_CERTIFICATES = 10,
    CHAIN_OCTETS =
        15000 /* a Certificate message must fit one buffer of 16 kB, with 5 octets per certificate and a header */
};

/* --- Names
 * --------------------------------------------------------------------------------------------------------
 */

static struct str str_of_asn1(const mbedtls_asn1_buf *buf)
{
    return str_from((const char *)buf->p, buf->len);
}

/* RFC 6125 6.4.3: a wildcard is the whole left-most label, and stands for exactly one. */
static bool name_matches(struct str pattern, struct str name)
{
    size_t dot;

    if (!str_istarts(pattern, STR("*.")))
        return pattern.n > 0 && str_ieq(pattern, name);
    dot = str_find(name, '.');
    return dot > 0 && dot < name.n && str_ieq(str_skip(pattern, 2), str_skip(name, dot + 1));
}

static struct str common_name(const mbedtls_x509_crt *crt)
{
    for (const mbedtls_x509_name *part = &crt->subject; part != NULL; part = part->next)
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0)
            return str_of_asn1(&part->val);
    return (struct str){ NULL, 0 };
}

static const mbedtls_x509_sequence *next_dns_name(const mbedtls_x509_sequence *at)
{
    while (at != NULL &&
           (at->buf.p == NULL || (at->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != MBEDTLS_X509_SAN_DNS_NAME))
        at = at->next;
    return at;
}

/* RFC 6125 6.4.4: the common name counts only when there is no DNS name beside it. */
static bool crt_has_name(const mbedtls_x509_crt *crt, struct str name)
{
    const mbedtls_x509_sequence *at = next_dns_name(&crt->subject_alt_names);

    if (at == NULL)
        return name_matches(common_name(crt), name);
    for (; at != NULL; at = next_dns_name(at->next))
        if (name_matches(str_of_asn1(&at->buf), name))
            return true;
    return false;
}

static bool crts_share_name(const mbedtls_x509_crt *a, const mbedtls_x509_crt *b)
{
    const mbedtls_x509_sequence *at = next_dns_name(&a->subject_alt_names);

    if (at == NULL)
        return crt_has_name(b, common_name(a));
    for (; at != NULL; at = next_dns_name(at->next))
        if (crt_has_name(b, str_of_asn1(&at->buf)))
            return true;
    return false;
}

/* Offers every certificate that has the name the client asked for (RFC 6066 3); mbedTLS takes the one whose
 * key suits the client. When none has it, the default certificates stay in force: a mail client rarely checks
 * the name.
 */
static int choose_certificates(mbedtls_ssl_context *ssl)
{
    struct tls_server *server = mbedtls_ssl_get_user_data_p(ssl);
    struct str name = { NULL, 0 };

    name.p = (const char *)mbedtls_ssl_get_hs_sni(ssl, &name.n);
    if (name.p == NULL || name.n == 0)
        return 0;
    for (size_t i = 0; i < server->n; i++) {
        struct tls_certificate *c = &server->certificate[i];

        if (crt_has_name(&c->chain, name) && mbedtls_ssl_set_hs_own_cert(ssl, &c->chain, &c->key) != 0)
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return 0;
}

/* Default certificates: the first, and those that share a name with it (RSA beside ECDSA). */
static bool set_defaults(struct tls_server *server)
{
    for (size_t i = 0; i < server->n; i++) {
        struct tls_certificate *c = &server->certificate[i];

        if (i > 0 && !crts_share_name(&server->certificate[0].chain, &c->chain))
            continue;
        if (mbedtls_ssl_conf_own_cert(&server->conf, &c->chain, &c->key) != 0)
            return false;
    }
    return true;
}

/* --- Loading
 * ------------------------------------------------------------------------------------------------------
 */

static bool check_chain(const mbedtls_x509_crt *chain, const char *path, char *error, size_t size)
{
    size_t certificates = 0, octets = 0;

    for (const mbedtls_x509_crt *crt = chain; crt != NULL; crt = crt->next) {
        certificates++;
        octets += crt->raw.len;
    }
    if (certificates > CHAIN_CERTIFICATES || octets > CHAIN_OCTETS)
        return tls_complain(error, size, "%s: the chain is too long: %zu certificates of %zu octets (at most %d, %d)",
                            path, certificates, octets, CHAIN_CERTIFICATES, CHAIN_OCTETS);
    return true;
}

static bool check_key(const mbedtls_pk_context *key, const char *path, char *error, size_t size)
{
    size_t bits = mbedtls_pk_get_bitlen(key);

    if (mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA) {
        if (bits >= 2048 && bits <= 4096)
            return true;
    } else if (mbedtls_pk_get_type(key) == MBEDTLS_PK_ECKEY) {
        mbedtls_ecp_group_id group = mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key));

        if (group == MBEDTLS_ECP_DP_SECP256R1 || group == MBEDTLS_ECP_DP_SECP384R1)
            return true;
    }
    return tls_complain(error, size,
                        "%s: a %zu bit %s key cannot be used: RSA of 2048 to 4096 bits, P-256 or P-384 can", path, bits,
                        mbedtls_pk_get_name(key));
}

static bool load_key(mbedtls_pk_context *key, const char *path, char *error, size_t size)
{
    int ret = mbedtls_pk_parse_keyfile(key, path, NULL, tls_random, NULL);
    char why[100];

    if (ret == MBEDTLS_ERR_PK_FILE_IO_ERROR)
        return tls_complain(error, size, "%s: %s", path, strerror(errno));
    if (ret != 0) {
        mbedtls_strerror(ret, why, sizeof(why));
        return tls_complain(error, size, "%s: no PEM private key (%s)", path, why);
    }
    return check_key(key, path, error, size);
}

static int64_t epoch_of(const mbedtls_x509_time *t)
{
    struct tm tm = { .tm_year = t->year - 1900,
                     .tm_mon = t->mon - 1,
                     .tm_mday = t->day,
                     .tm_hour = t->hour,
                     .tm_min = t->min,
                     .tm_sec = t->sec };

    return (int64_t)timegm(&tm);
}

static bool load_pair(struct tls_certificate *c, const struct certificate *from, char *error, size_t size)
{
    char chain[TLS_PATH_MAX], key[TLS_PATH_MAX];

    mbedtls_x509_crt_init(&c->chain);
    mbedtls_pk_init(&c->key);
    snprintf(c->name, sizeof(c->name), "%.*s", STR_ARG(from->name));
    if (!tls_path(from->chain, chain, error, size) || !tls_path(from->key, key, error, size))
        return false;
    if (!tls_load_certificates(&c->chain, chain, error, size) || !check_chain(&c->chain, chain, error, size) ||
        !load_key(&c->key, key, error, size))
        return false;
    if (mbedtls_pk_check_pair(&c->chain.pk, &c->key, tls_random, NULL) != 0)
        return tls_complain(error, size, "%s: is not the private key of the first certificate in %s", key, chain);
    c->until = epoch_of(&c->chain.valid_to);
    return true;
}

static bool load_all(struct tls_server *server, const struct config *config, char *error, size_t size)
{
    for (size_t i = 0; i < config->certificates_n; i++) {
        server->n++; /* also freed when it is half loaded */
        if (!load_pair(&server->certificate[i], &config->certificates[i], error, size))
            return false;
    }
    return true;
}

static bool set_up(struct tls_server *server, const struct config *config, char *error, size_t size)
{
    static const char *alpn[] = { "smtp", NULL };

    if (!tls_settings(&server->conf, MBEDTLS_SSL_IS_SERVER, config->tls_min > 0) ||
        mbedtls_ssl_conf_alpn_protocols(&server->conf, alpn) != 0)
        return tls_complain(error, size, "no memory for TLS");
    mbedtls_ssl_conf_cert_cb(&server->conf, choose_certificates);
    if (!load_all(server, config, error, size))
        return false;
    return set_defaults(server) || tls_complain(error, size, "no memory for TLS");
}

struct tls_server *tls_server_new(const struct config *config, char *error, size_t size)
{
    struct tls_server *server;

    if (config->certificates_n == 0) {
        tls_complain(error, size, "TLS needs a [certificate NAME] section");
        return NULL;
    }
    server = calloc(1, sizeof(*server) + config->certificates_n * sizeof(server->certificate[0]));
    if (server == NULL || !tls_library_start()) {
        tls_complain(error, size, "TLS cannot start: no memory or no random numbers");
        free(server);
        return NULL;
    }
    if (!set_up(server, config, error, size)) {
        tls_server_free(server);
        return NULL;
    }
    return server;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    mbedtls_ssl_config_free(&server->conf);
    for (size_t i = 0; i < server->n; i++) {
        mbedtls_x509_crt_free(&server->certificate[i].chain);
        mbedtls_pk_free(&server->certificate[i].key);
    }
    free(server);
}

/* --- Watching
 * -----------------------------------------------------------------------------------------------------
 */

int64_t tls_server_expiry(const struct tls_server *server, struct str *name)
{
    const struct tls_certificate *first = &server->certificate[0];

    for (size_t i = 1; i < server->n; i++)
        if (server->certificate[i].until < first->until)
            first = &server->certificate[i];
    *name = str_of(first->name);
    return first->until;
}

/* One step of FNV-1a over the octets of `value`. */
static uint64_t stamp_add(uint64_t stamp, uint64_t value)
{
    for (unsigned shift = 0; shift < 64; shift += 8)
        stamp = (stamp ^ (value >> shift & 0xff)) * 1099511628211u;
    return stamp;
}

static uint64_t stamp_file(uint64_t stamp, struct str name)
{
    char path[TLS_PATH_MAX], error[1];
    struct stat st;

    if (!tls_path(name, path, error, sizeof(error)) || stat(path, &st) != 0)
        return stamp_add(stamp, 0);
    stamp = stamp_add(stamp, (uint64_t)st.st_dev);
    stamp = stamp_add(stamp, (uint64_t)st.st_ino);
    stamp = stamp_add(stamp, (uint64_t)st.st_size);
    stamp = stamp_add(stamp, (uint64_t)st.st_mtim.tv_sec);
    return stamp_add(stamp, (uint64_t)st.st_mtim.tv_nsec);
}

uint64_t tls_files_stamp(const struct config *config)
{
    uint64_t stamp = 14695981039346656037u;

    for (size_t i = 0; i < config->certificates_n; i++) {
        stamp = stamp_file(stamp, config->certificates[i].chain);
        stamp = stamp_file(stamp, config->certificates[i].key);
    }
    return stamp;
}
