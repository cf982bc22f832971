/* Two ends of TLS that talk in memory. One end is proxy/tls.c; the other is proxy/tls.c too, or mbedTLS
 * itself where the peer has to be old, odd or hostile.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* a client that renegotiates twice has to be forced to */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>

#include "../../proxy/tls.h"
#include "certificates.h"

/* --- Fixtures
 * -----------------------------------------------------------------------------------------------------
 */

static const struct cert *ca, *mx, *mx_rsa, *other, *wild;

static void make_certificates(void)
{
    if (ca != NULL)
        return;
    ca = cert_make(&(struct cert_spec){ "Test CA", { NULL }, CERT_P256, NULL, NULL });
    mx = cert_make(&(struct cert_spec){ "mx", { "mx.example.org", "mail.example.org" }, CERT_P256, ca, NULL });
    mx_rsa = cert_make(&(struct cert_spec){ "mx", { "mx.example.org" }, CERT_RSA2048, ca, NULL });
    other = cert_make(&(struct cert_spec){ "other.example.net", { NULL }, CERT_P256, ca, "20300101000000" });
    wild = cert_make(&(struct cert_spec){ "wild", { "*.example.com" }, CERT_P384, ca, NULL });
}

static struct config config_of(struct certificate *list, size_t n)
{
    return (struct config){ .certificates = list, .certificates_n = n };
}

static struct certificate section(const char *name, const struct cert *from)
{
    return (struct certificate){ str_of(name), str_of(from->chain), str_of(from->key) };
}

static struct tls_server *server_of(const struct cert *a, const struct cert *b, const struct cert *c)
{
    struct certificate list[3];
    struct config config = config_of(list, 0);
    struct tls_server *server;
    char error[200] = "";

    if (a != NULL)
        list[config.certificates_n++] = section("a", a);
    if (b != NULL)
        list[config.certificates_n++] = section("b", b);
    if (c != NULL)
        list[config.certificates_n++] = section("c", c);
    server = tls_server_new(&config, error, sizeof(error));
    CHECK_EQ_STR(error, strlen(error), "");
    return server;
}

static struct tls_client *client_of(const char *ca_file, const char *name, const char *pin)
{
    struct route route = { .tls_ca = str_of(ca_file), .tls_name = str_of(name), .tls_fingerprint = str_of(pin) };
    struct tls_client *client;
    char error[200] = "";

    client = tls_client_new(NULL, &route, error, sizeof(error));
    CHECK_EQ_STR(error, strlen(error), "");
    return client;
}

/* --- Wires
 * --------------------------------------------------------------------------------------------------------
 */

/* Bytes on their way in one direction. */
struct wire {
    char p[1 << 18];
    size_t n;
};

static struct wire to_server, to_client;

static void wires_clear(void)
{
    to_server.n = to_client.n = 0;
}

static void wire_put(struct wire *w, const void *p, size_t n)
{
    CHECK(n <= sizeof(w->p) - w->n);
    if (n > sizeof(w->p) - w->n)
        return;
    memcpy(w->p + w->n, p, n);
    w->n += n;
}

static void wire_drop(struct wire *w, size_t n)
{
    memmove(w->p, w->p + n, w->n - n);
    w->n -= n;
}

static void wire_collect(struct wire *w, struct tls *t)
{
    struct chain *out = tls_output(t);

    while (out->n > 0) {
        struct str front = chain_front(out);

        wire_put(w, front.p, front.n);
        chain_drop(out, front.n);
    }
}

/* Gives all of `in` to the handshake, `step` octets at a time. */
static enum tls_result shake(struct tls *t, struct wire *in, struct wire *out, size_t step)
{
    enum tls_result result = TLS_WANT;
    struct str nothing = { NULL, 0 };

    if (in->n == 0)
        result = tls_handshake(t, &nothing);
    while (in->n > 0 && result == TLS_WANT) {
        struct str part = str_from(in->p, in->n < step ? in->n : step);
        size_t given = part.n;

        result = tls_handshake(t, &part);
        CHECK(result != TLS_WANT || part.n == 0);
        wire_drop(in, given - part.n);
    }
    wire_collect(out, t);
    return result;
}

struct both {
    enum tls_result client, server;
};

static struct both connect_both(struct tls *client, struct tls *server, size_t step)
{
    struct both o = { TLS_WANT, TLS_WANT };

    wires_clear();
    for (int round = 0; round < 10 && (o.client == TLS_WANT || o.server == TLS_WANT); round++) {
        if (o.client == TLS_WANT)
            o.client = shake(client, &to_client, &to_server, step);
        if (o.server == TLS_WANT)
            o.server = shake(server, &to_server, &to_client, step);
    }
    return o;
}

/* Reads plaintext from all that is on `in`, `step` octets of ciphertext at a time; the result is the last
 * one.
 */
static enum tls_result read_all(struct tls *t, struct wire *in, size_t step, char *room, size_t size, size_t *n)
{
    enum tls_result result = TLS_WANT;

    *n = 0;
    do {
        struct str part = str_from(in->p, in->n < step ? in->n : step);
        size_t given = part.n, got;

        result = tls_read(t, &part, room + *n, size - *n, &got);
        *n += got;
        wire_drop(in, given - part.n);
    } while (result == TLS_OK || (result == TLS_WANT && in->n > 0));
    return result;
}

static void say(struct tls *t, struct wire *out, const char *text)
{
    struct str rest = str_of(text);

    while (rest.n > 0) {
        size_t n;

        CHECK_EQ_INT(tls_write(t, rest, &n), TLS_OK);
        if (n == 0)
            return;
        rest = str_skip(rest, n);
    }
    wire_collect(out, t);
}

static void check_hears(struct tls *t, struct wire *in, const char *text)
{
    static char room[65536];
    size_t n;

    CHECK_EQ_INT(read_all(t, in, in->n, room, sizeof(room), &n), TLS_WANT);
    CHECK_EQ_STR(room, n, text);
}

/* --- A peer that is mbedTLS itself
 * --------------------------------------------------------------------------------
 */

struct raw {
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt chain;
    struct wire *in, *out;
};

static int raw_take(void *arg, unsigned char *to, size_t n)
{
    struct raw *raw = arg;

    if (raw->in->n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > raw->in->n)
        n = raw->in->n;
    memcpy(to, raw->in->p, n);
    wire_drop(raw->in, n);
    return (int)n;
}

static int raw_put(void *arg, const unsigned char *p, size_t n)
{
    wire_put(((struct raw *)arg)->out, p, n);
    return (int)n;
}

/* Then the test sets what is special, and raw_start() goes on. */
static void raw_init(struct raw *raw, int endpoint)
{
    bool client = endpoint == MBEDTLS_SSL_IS_CLIENT;

    wires_clear();
    raw->in = client ? &to_client : &to_server;
    raw->out = client ? &to_server : &to_client;
    mbedtls_x509_crt_init(&raw->chain);
    mbedtls_ssl_init(&raw->ssl);
    mbedtls_ssl_config_init(&raw->conf);
    CHECK(mbedtls_ssl_config_defaults(&raw->conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) ==
          0);
    mbedtls_ssl_conf_authmode(&raw->conf, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&raw->conf, cert_random, NULL);
}

static void raw_start(struct raw *raw, const char *name)
{
    CHECK_EQ_INT(mbedtls_ssl_setup(&raw->ssl, &raw->conf), 0);
    mbedtls_ssl_set_hostname(&raw->ssl, name);
    mbedtls_ssl_set_bio(&raw->ssl, raw, raw_put, raw_take, NULL);
}

static void raw_free(struct raw *raw)
{
    mbedtls_ssl_free(&raw->ssl);
    mbedtls_ssl_config_free(&raw->conf);
    mbedtls_x509_crt_free(&raw->chain);
}

static void raw_only_tls12(struct raw *raw)
{
    mbedtls_ssl_conf_max_tls_version(&raw->conf, MBEDTLS_SSL_VERSION_TLS1_2);
}

/* The results of both ends; mbedTLS's code for the raw one. */
static enum tls_result raw_connect(struct raw *raw, struct tls *t, int *code)
{
    enum tls_result result = TLS_WANT;

    *code = MBEDTLS_ERR_SSL_WANT_READ;
    for (int round = 0; round < 10; round++) {
        if (*code == MBEDTLS_ERR_SSL_WANT_READ)
            *code = mbedtls_ssl_handshake(&raw->ssl);
        if (result == TLS_WANT)
            result = shake(t, raw->out, raw->in, 100000);
    }
    return result;
}

static bool raw_shows(const struct raw *raw, const struct cert *cert)
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&raw->ssl);
    unsigned char digest[32];
    char hex[65];

    if (peer == NULL || mbedtls_sha256(peer->raw.p, peer->raw.len, digest, 0) != 0)
        return false;
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return strcmp(hex, cert->sha256) == 0;
}

/* --- Handshake and data
 * -------------------------------------------------------------------------------------------
 */

static void talks_both_ways(void)
{
    static const size_t steps[] = { 1, 5, 7, 100000 };
    struct tls_server *server;
    struct tls_client *client;

    make_certificates();
    server = server_of(mx, NULL, NULL);
    client = client_of("", "mx.example.org", "");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct tls *c = tls_connect(client), *s = tls_accept(server);
        struct tls_facts facts;
        struct both o = connect_both(c, s, steps[i]);

        CHECK_EQ_INT(o.client, TLS_OK);
        CHECK_EQ_INT(o.server, TLS_OK);
        tls_describe(s, &facts);
        CHECK_EQ_STR(facts.version, strlen(facts.version), "TLS1_3");
        CHECK_EQ_STR(facts.cipher, strlen(facts.cipher), "TLS_AES_256_GCM_SHA384");
        say(c, &to_server, "EHLO client.example\r\n");
        check_hears(s, &to_server, "EHLO client.example\r\n");
        say(s, &to_client, "250 mx.example.org\r\n");
        check_hears(c, &to_client, "250 mx.example.org\r\n");
        tls_free(c);
        tls_free(s);
    }
    tls_client_free(client);
    tls_server_free(server);
}

static void reads_across_any_cut(void)
{
    static char text[40001], room[50000];
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls_client *client = client_of("", "", "");
    struct tls *c = tls_connect(client), *s = tls_accept(server);
    size_t n;

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = (char)('a' + i % 26);
    connect_both(c, s, 100000);
    for (size_t step = 1; step < 40000; step = step * 5 + 1) {
        say(c, &to_server, text);
        CHECK_EQ_INT(read_all(s, &to_server, step, room, sizeof(room), &n), TLS_WANT);
        CHECK_EQ_STR(room, n, text);
    }
    tls_free(c);
    tls_free(s);
    tls_client_free(client);
    tls_server_free(server);
}

static void gives_small_readers_their_data(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls_client *client = client_of("", "", "");
    struct tls *c = tls_connect(client), *s = tls_accept(server);
    struct str part;
    char room[4];
    size_t n;

    connect_both(c, s, 100000);
    say(c, &to_server, "abcdefg");
    part = str_from(to_server.p, to_server.n);
    CHECK_EQ_INT(tls_read(s, &part, room, sizeof(room), &n), TLS_OK);
    CHECK_EQ_STR(room, n, "abcd");
    CHECK_EQ_INT(part.n, 0);
    CHECK_EQ_INT(tls_read(s, &part, room, sizeof(room), &n), TLS_OK);
    CHECK_EQ_STR(room, n, "efg");
    CHECK_EQ_INT(tls_read(s, &part, room, sizeof(room), &n), TLS_WANT);
    tls_free(c);
    tls_free(s);
    tls_client_free(client);
    tls_server_free(server);
}

static void says_goodbye(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls_client *client = client_of("", "", "");
    struct tls *c = tls_connect(client), *s = tls_accept(server);
    char room[100];
    size_t n;

    connect_both(c, s, 100000);
    say(c, &to_server, "QUIT\r\n");
    tls_close(c);
    wire_collect(&to_server, c);
    CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_CLOSED);
    CHECK_EQ_STR(room, n, "QUIT\r\n");
    tls_free(c);
    tls_free(s);
    tls_client_free(client);
    tls_server_free(server);
}

/* --- What the server agrees to (T-5)
 * ------------------------------------------------------------------------------
 */

struct choice {
    const char *label;
    bool tls12;
    int suite;    /* the only one offered; 0: mbedTLS's own list */
    uint16_t sig; /* the only signature algorithm offered; 0: all */
    const char *alpn;
    const char *result; /* "version cipher", or "" when the handshake fails */
};

static const struct choice choices[] = {
    /* In 1.3 mbedTLS takes the first of the client's suites that is in our list. */
    { "1.3", false, 0, 0, NULL, "TLS1_3 TLS_CHACHA20_POLY1305_SHA256" },
    { "1.3 with one suite", false, MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, 0, NULL,
      "TLS1_3 TLS_CHACHA20_POLY1305_SHA256" },
    { "1.3 CCM", false, MBEDTLS_TLS1_3_AES_128_CCM_SHA256, 0, NULL, "" },
    { "1.2", true, 0, 0, NULL, "TLS1_2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
    { "1.2 RSA certificate", true, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0, NULL,
      "TLS1_2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
    { "1.2 CBC", true, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, 0, NULL, "" },
    { "1.2 RSA key exchange", true, MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, 0, NULL, "" },
    { "1.2 DHE", true, MBEDTLS_TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, 0, NULL, "" },
    { "1.3 RSA signatures only", false, 0, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256, NULL,
      "TLS1_3 TLS_CHACHA20_POLY1305_SHA256" },
    { "ALPN smtp", false, 0, 0, "smtp", "TLS1_3 TLS_CHACHA20_POLY1305_SHA256" },
    { "ALPN of the web", false, 0, 0, "http/1.1", "" },
    { "ALPN of the web in 1.2", true, 0, 0, "http/1.1", "" },
};

static void check_choice(struct tls_server *server, const struct choice *row)
{
    uint16_t sigs[2] = { row->sig, MBEDTLS_TLS1_3_SIG_NONE };
    const char *alpn[2] = { row->alpn, NULL };
    int suites[2] = { row->suite, 0 }, code;
    struct tls *s = tls_accept(server);
    struct tls_facts facts;
    char text[100];
    struct raw raw;

    raw_init(&raw, MBEDTLS_SSL_IS_CLIENT);
    if (row->tls12)
        raw_only_tls12(&raw);
    if (row->suite != 0)
        mbedtls_ssl_conf_ciphersuites(&raw.conf, suites);
    if (row->sig != 0)
        mbedtls_ssl_conf_sig_algs(&raw.conf, sigs);
    if (row->alpn != NULL)
        mbedtls_ssl_conf_alpn_protocols(&raw.conf, alpn);
    raw_start(&raw, NULL);
    if (raw_connect(&raw, s, &code) == TLS_OK) {
        tls_describe(s, &facts);
        snprintf(text, sizeof(text), "%s %s", facts.version, facts.cipher);
        CHECK_EQ_STR(text, strlen(text), row->result);
    } else {
        CHECK_EQ_STR("", 0, row->result);
        CHECK_EQ_INT(code, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE);
        CHECK(tls_error(s)[0] != '\0');
    }
    raw_free(&raw);
    tls_free(s);
}

static void agrees_only_to_its_list(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, mx_rsa, NULL));

    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        CHECK_ROW(choices[i].label);
        check_choice(server, &choices[i]);
    }
    tls_server_free(server);
}

static void takes_only_13_when_told(void)
{
    struct certificate list[] = { (make_certificates(), section("a", mx)) };
    struct config config = config_of(list, 1);
    struct tls_server *server;
    struct tls *s;
    struct raw raw;
    char error[200];
    int code;

    config.tls_min = 1;
    server = tls_server_new(&config, error, sizeof(error));
    s = tls_accept(server);
    raw_init(&raw, MBEDTLS_SSL_IS_CLIENT);
    raw_only_tls12(&raw);
    raw_start(&raw, NULL);
    CHECK_EQ_INT(raw_connect(&raw, s, &code), TLS_FAILED);
    raw_free(&raw);
    tls_free(s);
    tls_server_free(server);
}

/* --- Names
 * --------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *label, *name;
    const struct cert **shown;
} names[] = {
    { "first name", "mx.example.org", &mx },
    { "second name", "mail.example.org", &mx },
    { "another case", "MX.Example.ORG", &mx },
    { "another certificate, by its common name", "other.example.net", &other },
    { "wildcard", "a.example.com", &wild },
    { "a wildcard is one label", "a.b.example.com", &mx },
    { "a wildcard is not none", "example.com", &mx },
    { "common name beside DNS names", "wild", &mx },
    { "unknown", "nowhere.example", &mx },
    { "none", NULL, &mx },
};

static void shows_the_certificate_asked_for(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, other, wild));

    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
        struct tls *s = tls_accept(server);
        struct raw raw;
        int code;

        CHECK_ROW(names[i / 2].label);
        raw_init(&raw, MBEDTLS_SSL_IS_CLIENT);
        if (i % 2 == 1)
            raw_only_tls12(&raw);
        raw_start(&raw, names[i / 2].name);
        CHECK_EQ_INT(raw_connect(&raw, s, &code), TLS_OK);
        CHECK(raw_shows(&raw, *names[i / 2].shown));
        raw_free(&raw);
        tls_free(s);
    }
    tls_server_free(server);
}

static void shows_rsa_to_those_without_ecdsa(void)
{
    static const uint16_t rsa_only[] = { MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
                                         MBEDTLS_TLS1_3_SIG_NONE };
    static const char *const asked[] = { NULL, "mx.example.org" };
    struct tls_server *server = (make_certificates(), server_of(mx, mx_rsa, wild));

    for (size_t i = 0; i < 8; i++) {
        struct tls *s = tls_accept(server);
        struct raw raw;
        int code;

        raw_init(&raw, MBEDTLS_SSL_IS_CLIENT);
        if (i & 1)
            raw_only_tls12(&raw);
        if (i & 2)
            mbedtls_ssl_conf_sig_algs(&raw.conf, rsa_only);
        raw_start(&raw, asked[i >> 2]);
        CHECK_EQ_INT(raw_connect(&raw, s, &code), TLS_OK);
        CHECK(raw_shows(&raw, i & 2 ? mx_rsa : mx));
        raw_free(&raw);
        tls_free(s);
    }
    tls_server_free(server);
}

/* --- Loading
 * ------------------------------------------------------------------------------------------------------
 */

static void check_refused(struct certificate with, const char *reason)
{
    struct config config = config_of(&with, 1);
    char error[300] = "";

    CHECK(tls_server_new(&config, error, sizeof(error)) == NULL);
    if (strstr(error, reason) == NULL)
        CHECK_EQ_STR(error, strlen(error), reason);
}

static void write_copies(const char *path, const char *of, int times)
{
    char text[4096];
    FILE *from = fopen(of, "r"), *to = fopen(path, "w");
    size_t n = fread(text, 1, sizeof(text), from);

    while (times-- > 0)
        fwrite(text, 1, n, to);
    fclose(from);
    fclose(to);
}

static void refuses_bad_files(void)
{
    const struct cert *weak, *odd;
    char long_chain[80];

    make_certificates();
    weak = cert_make(&(struct cert_spec){ "weak", { NULL }, CERT_RSA1024, NULL, NULL });
    odd = cert_make(&(struct cert_spec){ "odd", { NULL }, CERT_P521, NULL, NULL });
    check_refused((struct certificate){ STR("a"), str_of(mx->chain), str_of(other->key) }, "is not the private key");
    check_refused((struct certificate){ STR("a"), str_of(mx->chain), str_of(mx_rsa->key) }, mx_rsa->key);
    check_refused((struct certificate){ STR("a"), str_of(mx->key), str_of(mx->key) }, "no PEM certificate");
    check_refused((struct certificate){ STR("a"), str_of(mx->chain), str_of(mx->chain) }, "no PEM private key");
    check_refused((struct certificate){ STR("a"), STR("/nowhere/x.pem"), str_of(mx->key) },
                  "/nowhere/x.pem: No such file or directory");
    check_refused((struct certificate){ STR("a"), str_of(mx->chain), STR("/nowhere/k") }, "/nowhere/k: No such file");
    check_refused((struct certificate){ STR("a"), str_of(mx->chain), STR("") }, "missing");
    check_refused(section("a", weak), "1024 bit RSA key cannot be used");
    check_refused(section("a", odd), "521 bit EC key cannot be used");
    snprintf(long_chain, sizeof(long_chain), "%s.long", mx->chain);
    write_copies(long_chain, mx->chain, 11);
    check_refused((struct certificate){ STR("a"), str_of(long_chain), str_of(mx->key) }, "too long: 11 certificates");
    unlink(long_chain);
}

static void knows_the_earliest_expiry(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, other, wild));
    struct str name;

    CHECK_EQ_INT(tls_server_expiry(server, &name), 1893456000);
    CHECK_EQ_STR(name.p, name.n, "b");
    tls_server_free(server);
}

static void notices_changed_files(void)
{
    struct certificate list[] = { (make_certificates(), section("a", mx)), section("b", other) };
    struct config config = config_of(list, 2);
    struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    uint64_t before = tls_files_stamp(&config);

    CHECK(tls_files_stamp(&config) == before);
    CHECK_EQ_INT(utimensat(AT_FDCWD, other->key, times, 0), 0);
    CHECK(tls_files_stamp(&config) != before);
}

/* --- Verification of back ends (T-8)
 * ------------------------------------------------------------------------------
 */

struct verification {
    const char *label;
    const char *ca, *name, *pin;
    const char *error; /* NULL: passes */
};

static void check_verification(struct tls_server *server, const struct verification *row)
{
    struct tls_client *client = client_of(row->ca, row->name, row->pin);
    struct tls *c = tls_connect(client), *s = tls_accept(server);
    struct both o = connect_both(c, s, 100000);

    CHECK_ROW(row->label);
    CHECK_EQ_INT(o.client, row->error == NULL ? TLS_OK : TLS_FAILED);
    if (row->error != NULL && strstr(tls_error(c), row->error) == NULL)
        CHECK_EQ_STR(tls_error(c), strlen(tls_error(c)), row->error);
    tls_free(c);
    tls_free(s);
    tls_client_free(client);
}

static void verifies_back_ends(void)
{
    const struct cert *self = (make_certificates(), mx);
    const struct verification rows[] = {
        { "nothing configured", "", "", "", NULL },
        { "a name alone is for SNI", "", "wrong.example", "", NULL },
        { "CA and name", ca->chain, "mx.example.org", "", NULL },
        { "another name", ca->chain, "mx.example.com", "", "does not match" },
        { "another CA", other->chain, "mx.example.org", "", "certificate verification failed" },
        { "pin", "", "", self->sha256, NULL },
        { "another pin", "", "", other->sha256, "not the one of tls_fingerprint" },
        { "CA and pin", ca->chain, "mx.example.org", self->sha256, NULL },
        { "CA and another pin", ca->chain, "mx.example.org", other->sha256, "tls_fingerprint" },
    };
    struct tls_server *server = server_of(mx, NULL, NULL);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_verification(server, &rows[i]);
    tls_server_free(server);
}

static void refuses_expired_back_ends(void)
{
    const struct cert *old =
        (make_certificates(),
         cert_make(&(struct cert_spec){ "old", { "old.example" }, CERT_P256, ca, "20210101000000" }));
    struct tls_server *server = server_of(old, NULL, NULL);

    check_verification(server, &(struct verification){ "expired", ca->chain, "old.example", "", "expired" });
    check_verification(server, &(struct verification){ "expired, unverified", "", "old.example", "", NULL });
    tls_server_free(server);
}

static void refuses_half_a_verification(void)
{
    struct route no_name = { .tls_ca = (make_certificates(), str_of(ca->chain)) };
    struct route short_pin = { .tls_fingerprint = STR("abcd") };
    char error[200];

    CHECK(tls_client_new(NULL, &no_name, error, sizeof(error)) == NULL);
    CHECK(strstr(error, "tls_name") != NULL);
    CHECK(tls_client_new(NULL, &short_pin, error, sizeof(error)) == NULL);
    CHECK(strstr(error, "tls_fingerprint") != NULL);
}

static void speaks_to_old_back_ends(void)
{
    static const int cbc[] = { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, 0 };
    static const int rsa[] = { MBEDTLS_TLS_RSA_WITH_AES_128_CBC_SHA, 0 };
    struct tls_client *client = (make_certificates(), client_of("", "", ""));
    mbedtls_pk_context key;

    mbedtls_pk_init(&key);
    CHECK_EQ_INT(mbedtls_pk_parse_keyfile(&key, mx_rsa->key, NULL, cert_random, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct tls *c = tls_connect(client);
        struct raw raw;
        int code;

        raw_init(&raw, MBEDTLS_SSL_IS_SERVER);
        raw_only_tls12(&raw);
        mbedtls_ssl_conf_ciphersuites(&raw.conf, i == 0 ? cbc : rsa);
        CHECK_EQ_INT(mbedtls_x509_crt_parse_file(&raw.chain, mx_rsa->chain), 0);
        CHECK_EQ_INT(mbedtls_ssl_conf_own_cert(&raw.conf, &raw.chain, &key), 0);
        raw_start(&raw, NULL);
        CHECK_EQ_INT(raw_connect(&raw, c, &code), TLS_OK);
        CHECK_EQ_INT(code, 0);
        raw_free(&raw);
        tls_free(c);
    }
    mbedtls_pk_free(&key);
    tls_client_free(client);
}

/* --- Hostile peers
 * ------------------------------------------------------------------------------------------------
 */

/* Only TLS records may answer garbage, and an alert should (T-1). */
static void answers_garbage_with_an_alert(void)
{
    static const struct {
        const char *label;
        struct str bytes;
    } rows[] = {
        { "SMTP", STR_INIT("EHLO client.example\r\n") },
        { "HTTP", STR_INIT("GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n") },
        { "SSL 2", STR_INIT("\x80\x2e\x01\x00\x02") },
        { "data", STR_INIT("\x17\x03\x03\x00\x05hello") },
        { "empty handshake record", STR_INIT("\x16\x03\x01\x00\x00") },
        { "not a hello", STR_INIT("\x16\x03\x01\x00\x05\x0b\x00\x00\x01\x00") },
        { "too long a record", STR_INIT("\x16\x03\x01\xff\xff") },
    };
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls *s = tls_accept(server);
        enum tls_result result;

        CHECK_ROW(rows[i].label);
        wires_clear();
        wire_put(&to_server, rows[i].bytes.p, rows[i].bytes.n);
        result = shake(s, &to_server, &to_client, 100000);
        CHECK_EQ_INT(result, TLS_FAILED);
        CHECK(to_client.n == 7 && memcmp(to_client.p, "\x15\x03", 2) == 0);
        CHECK(tls_error(s)[0] != '\0');
        CHECK_EQ_INT(shake(s, &to_server, &to_client, 100000), TLS_FAILED);
        tls_free(s);
    }
    tls_server_free(server);
}

static void notices_a_changed_record(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls_client *client = client_of("", "", "");
    struct tls *c = tls_connect(client), *s = tls_accept(server);
    char room[100];
    size_t n;

    connect_both(c, s, 100000);
    say(c, &to_server, "EHLO x\r\n");
    to_server.p[8] ^= 1;
    CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_FAILED);
    CHECK_EQ_INT(n, 0);
    CHECK(tls_output(s)->n > 0);
    tls_free(c);
    tls_free(s);
    tls_client_free(client);
    tls_server_free(server);
}

/* A raw TLS 1.2 or 1.3 client connected to `s`. */
static void raw_client(struct raw *raw, struct tls *s, bool tls12)
{
    int code;

    raw_init(raw, MBEDTLS_SSL_IS_CLIENT);
    if (tls12)
        raw_only_tls12(raw);
    mbedtls_ssl_conf_renegotiation(&raw->conf, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    raw_start(raw, NULL);
    CHECK_EQ_INT(raw_connect(raw, s, &code), TLS_OK);
    wires_clear();
}

static void refuses_renegotiation_once(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls *s = tls_accept(server);
    char room[100];
    struct raw raw;
    size_t n;

    raw_client(&raw, s, true);
    CHECK_EQ_INT(mbedtls_ssl_renegotiate(&raw.ssl), MBEDTLS_ERR_SSL_WANT_READ);
    CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_WANT);
    CHECK(tls_output(s)->n > 0); /* no_renegotiation, a warning */
    wire_collect(&to_client, s);

    raw.ssl.renego_status = 0;
    raw.ssl.state = MBEDTLS_SSL_HANDSHAKE_OVER;
    (void)mbedtls_ssl_renegotiate(&raw.ssl);
    CHECK(to_server.n > 0);
    CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_FAILED);
    CHECK(strstr(tls_error(s), "renegotiation") != NULL);
    CHECK_EQ_INT(tls_output(s)->n, 0);
    raw_free(&raw);
    tls_free(s);
    tls_server_free(server);
}

static void lets_old_clients_go_on_after_a_refusal(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls *s = tls_accept(server);
    char room[100];
    struct raw raw;
    size_t n;

    raw_client(&raw, s, true);
    (void)mbedtls_ssl_renegotiate(&raw.ssl);
    raw.ssl.state = MBEDTLS_SSL_HANDSHAKE_OVER;
    CHECK_EQ_INT(mbedtls_ssl_write(&raw.ssl, (const unsigned char *)"NOOP\r\n", 6), 6);
    CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_WANT);
    CHECK_EQ_STR(room, n, "NOOP\r\n");
    raw_free(&raw);
    tls_free(s);
    tls_server_free(server);
}

/* 32 records without data are borne, 33 among 1000 are not: neither in a row nor between data (K07). */
static enum tls_result flood(struct tls *s, struct raw *raw, int idle, bool with_data, bool empty)
{
    char room[1000];
    size_t n;

    wires_clear();
    for (int i = 0; i < idle; i++) {
        if (empty)
            CHECK_EQ_INT(mbedtls_ssl_write(&raw->ssl, (const unsigned char *)"", 0), 0);
        else
            CHECK_EQ_INT(mbedtls_ssl_send_alert_message(&raw->ssl, 1, MBEDTLS_SSL_ALERT_MSG_USER_CANCELED), 0);
        if (with_data)
            CHECK_EQ_INT(mbedtls_ssl_write(&raw->ssl, (const unsigned char *)"x", 1), 1);
    }
    return read_all(s, &to_server, 100000, room, sizeof(room), &n);
}

static void bears_no_floods(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));

    for (int i = 0; i < 8; i++) {
        struct tls *s = tls_accept(server);
        bool with_data = i & 1, empty = i & 4;
        struct raw raw;

        raw_client(&raw, s, i & 2);
        if (with_data || !empty) /* mbedTLS itself takes no more than three empty records in a row */
            CHECK_EQ_INT(flood(s, &raw, 32, with_data, empty), TLS_WANT);
        CHECK_EQ_INT(flood(s, &raw, with_data || !empty ? 1 : 33, with_data, empty), TLS_FAILED);
        CHECK(tls_error(s)[0] != '\0');
        CHECK(tls_output(s)->n > 0);
        raw_free(&raw);
        tls_free(s);
    }
    tls_server_free(server);
}

static void counts_floods_by_the_thousand(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls *s = tls_accept(server);
    static char room[4096];
    struct raw raw;
    size_t n;

    raw_client(&raw, s, false);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ_INT(flood(s, &raw, 30, true, false), TLS_WANT);
        for (int k = 0; k < 940; k++)
            CHECK_EQ_INT(mbedtls_ssl_write(&raw.ssl, (const unsigned char *)"y", 1), 1);
        CHECK_EQ_INT(read_all(s, &to_server, 100000, room, sizeof(room), &n), TLS_WANT);
        CHECK_EQ_INT(n, 940);
    }
    raw_free(&raw);
    tls_free(s);
    tls_server_free(server);
}

/* Sends the hello of a 1.3 client again, in records of `piece` octets. */
static void fragment_hello(size_t piece)
{
    static struct wire hello;

    hello = to_server;
    to_server.n = 0;
    for (size_t at = 5; at < hello.n; at += piece) {
        size_t n = hello.n - at < piece ? hello.n - at : piece;
        char header[] = { 22, 3, 1, 0, (char)n };

        wire_put(&to_server, header, sizeof(header));
        wire_put(&to_server, hello.p + at, n);
    }
}

/* RFC 8446 5.1. mbedTLS wants the first four octets of a message in one record. */
static void takes_a_fragmented_hello(void)
{
    static const size_t pieces[] = { 4, 5, 100 };
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct tls *s = tls_accept(server);
        struct raw raw;

        raw_init(&raw, MBEDTLS_SSL_IS_CLIENT);
        raw_start(&raw, NULL);
        (void)mbedtls_ssl_handshake(&raw.ssl);
        fragment_hello(pieces[i]);
        CHECK_EQ_INT(shake(s, &to_server, &to_client, 100000), TLS_WANT);
        CHECK(to_client.n > 100);
        raw_free(&raw);
        tls_free(s);
    }
    tls_server_free(server);
}

static void bounds_the_records_of_a_handshake(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    struct tls *s = tls_accept(server);
    static const char start[] = { 22, 3, 1, 0, 4, 1, 0, 0x3f, 0 }, one[] = { 22, 3, 1, 0, 1, 0 };
    static const char ccs[] = { 20, 3, 3, 0, 1, 1 };

    wires_clear();
    for (int i = 0; i < 33; i++)
        wire_put(&to_server, ccs, sizeof(ccs));
    CHECK_EQ_INT(shake(s, &to_server, &to_client, 100000), TLS_FAILED);
    CHECK(strstr(tls_error(s), "too many records") != NULL);
    tls_free(s);

    s = tls_accept(server);
    wires_clear();
    wire_put(&to_server, start, sizeof(start));
    for (int i = 0; i < 1100; i++)
        wire_put(&to_server, one, sizeof(one));
    CHECK_EQ_INT(shake(s, &to_server, &to_client, 100000), TLS_FAILED);
    CHECK(strstr(tls_error(s), "too many records") != NULL);
    tls_free(s);
    tls_server_free(server);
}

/* --- Processes
 * ----------------------------------------------------------------------------------------------------
 */

/* Two children of one parent must not draw the same numbers. */
static void draws_other_numbers_after_fork(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    unsigned char drawn[3][16];

    for (int i = 0; i < 2; i++) {
        int ends[2], status;
        pid_t child;

        CHECK_EQ_INT(pipe(ends), 0);
        child = fork();
        if (child == 0) {
            cert_random(NULL, drawn[i], sizeof(drawn[i]));
            _exit(write(ends[1], drawn[i], sizeof(drawn[i])) != (ssize_t)sizeof(drawn[i]));
        }
        CHECK_EQ_INT(read(ends[0], drawn[i], sizeof(drawn[i])), (int)sizeof(drawn[i]));
        CHECK_EQ_INT(waitpid(child, &status, 0), child);
        CHECK_EQ_INT(status, 0);
        close(ends[0]);
        close(ends[1]);
    }
    cert_random(NULL, drawn[2], sizeof(drawn[2]));
    CHECK(memcmp(drawn[0], drawn[1], sizeof(drawn[0])) != 0);
    CHECK(memcmp(drawn[0], drawn[2], sizeof(drawn[0])) != 0);
    tls_server_free(server);
}

#ifdef POSTERN_KEYLOG
static void logs_keys(void)
{
    struct tls_server *server = (make_certificates(), server_of(mx, NULL, NULL));
    char path[80], text[4096];
    struct tls *s;
    struct raw raw;
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), "%s.keylog", mx->chain);
    CHECK(tls_keylog_open(path));
    for (int i = 0; i < 2; i++) {
        s = tls_accept(server);
        raw_client(&raw, s, i == 0);
        raw_free(&raw);
        tls_free(s);
    }
    file = fopen(path, "r");
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    CHECK(strncmp(text, "CLIENT_RANDOM ", 14) == 0);
    CHECK(strchr(text, '\n') == text + 14 + 64 + 1 + 96);
    CHECK(strstr(text, "\nCLIENT_HANDSHAKE_TRAFFIC_SECRET ") != NULL);
    CHECK(strstr(text, "\nSERVER_HANDSHAKE_TRAFFIC_SECRET ") != NULL);
    CHECK(strstr(text, "\nCLIENT_TRAFFIC_SECRET_0 ") != NULL);
    CHECK(strstr(text, "\nSERVER_TRAFFIC_SECRET_0 ") != NULL);
    unlink(path);
    tls_server_free(server);
}
#endif

static const struct test_case tests[] = {
    TEST(talks_both_ways),
    TEST(reads_across_any_cut),
    TEST(gives_small_readers_their_data),
    TEST(says_goodbye),
    TEST(agrees_only_to_its_list),
    TEST(takes_only_13_when_told),
    TEST(shows_the_certificate_asked_for),
    TEST(shows_rsa_to_those_without_ecdsa),
    TEST(refuses_bad_files),
    TEST(knows_the_earliest_expiry),
    TEST(notices_changed_files),
    TEST(verifies_back_ends),
    TEST(refuses_expired_back_ends),
    TEST(refuses_half_a_verification),
    TEST(speaks_to_old_back_ends),
    TEST(answers_garbage_with_an_alert),
    TEST(notices_a_changed_record),
    TEST(refuses_renegotiation_once),
    TEST(lets_old_clients_go_on_after_a_refusal),
    TEST(bears_no_floods),
    TEST(counts_floods_by_the_thousand),
    TEST(takes_a_fragmented_hello),
    TEST(bounds_the_records_of_a_handshake),
    TEST(draws_other_numbers_after_fork),
#ifdef POSTERN_KEYLOG
    TEST(logs_keys),
#endif
};
TEST_MAIN(tests)
