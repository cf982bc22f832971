/* One TLS connection. mbedTLS pulls ciphertext through take() and pushes it through put(); both see only
 * memory.
 *
 * take() hands out at most one record per call into mbedTLS, so that each record can be counted by what came
 * of it: the library itself reads on past records that carry nothing.
 */
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>

#include <mbedtls/error.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>

#include "tls_settings.h"

enum {
    RECORD_HEADER = 5,
    RECORD_ALERT = 21,
    RECORD_CHANGE_CIPHER = 20,
    RECORDS_COUNTED = 1000, /* the window of the cap on records without data; and the most a handshake may take */
    RECORDS_IDLE = 32,
    ALERT_HANDSHAKE_FAILURE = MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE
};

struct tls {
    mbedtls_ssl_context ssl;
    const struct tls_client *client; /* NULL on the server side */
    struct str *in;                  /* the caller's ciphertext, during a call */
    struct chain out;
    uint8_t header[RECORD_HEADER]; /* of the record that take() is in */
    size_t header_n, body_left;
    unsigned finished;      /* records completed in this call into mbedTLS */
    unsigned records, idle; /* counted so far */
    unsigned answered;      /* records sent in answer to one received, after the handshake */
    bool reading, established, failed;
    char error[128];
};

/* Chunks of every connection's output. How much a connection may have there is bounded by who writes:
 * stream.c.
 */
static struct pool output_pool;

/* --- Between mbedTLS and memory
 * ------------------------------------------------------------------------------------
 */

/* Notes `n` octets of the record in hand (RFC 8446 5.1); they do not go beyond what record_wants() said. */
static void record_take(struct tls *t, const char *p, size_t n)
{
    if (t->header_n < RECORD_HEADER) {
        memcpy(t->header + t->header_n, p, n);
        t->header_n += n;
        t->body_left = (size_t)t->header[3] << 8 | t->header[4];
        if (t->header_n < RECORD_HEADER)
            return;
    } else {
        t->body_left -= n;
    }
    if (t->body_left == 0) {
        t->header_n = 0;
        t->finished++;
    }
}

static size_t record_wants(const struct tls *t)
{
    return t->header_n < RECORD_HEADER ? RECORD_HEADER - t->header_n : t->body_left;
}

static int take(void *arg, unsigned char *to, size_t n)
{
    struct tls *t = arg;

    if (n > record_wants(t))
        n = record_wants(t);
    if (n > t->in->n)
        n = t->in->n;
    if (n == 0 || (t->finished > 0 && t->header_n == 0))
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(to, t->in->p, n);
    record_take(t, t->in->p, n);
    *t->in = str_skip(*t->in, n);
    return (int)n;
}

/* What mbedTLS sends while it reads is an alert: a fatal one, or its refusal of a renegotiation. It would
 * refuse again for each request; the second is the last (RFC 5246 7.2.2 leaves the choice to us).
 */
static int put(void *arg, const unsigned char *p, size_t n)
{
    struct tls *t = arg;

    if (t->reading && t->answered++ > 0)
        return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
    if (!chain_put(&t->out, &output_pool, str_from((const char *)p, n), CHAIN_FORCE))
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    return (int)n;
}

struct chain *tls_output(struct tls *t)
{
    return &t->out;
}

/* --- Failure
 * ------------------------------------------------------------------------------------------------------
 */

static enum tls_result fail(struct tls *t, const char *why)
{
    t->failed = true;
    snprintf(t->error, sizeof(t->error), "%s", why);
    return TLS_FAILED;
}

static enum tls_result fail_with_alert(struct tls *t, const char *why, unsigned char alert)
{
    t->reading = false;
    (void)mbedtls_ssl_send_alert_message(&t->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, alert);
    return fail(t, why);
}

static enum tls_result fail_verify(struct tls *t)
{
    char why[200], text[sizeof(t->error)];

    if (mbedtls_x509_crt_verify_info(why, sizeof(why), "", mbedtls_ssl_get_verify_result(&t->ssl)) < 0)
        return fail(t, "certificate verification failed");
    why[strcspn(why, "\n")] = '\0';
    snprintf(text, sizeof(text), "certificate verification failed: %.90s", why);
    return fail(t, text);
}

/* RFC 8446 6: an error is told to the peer. mbedTLS did for those it knows an alert for (`sent`). */
static enum tls_result fail_code(struct tls *t, int code, bool sent)
{
    char why[100], text[sizeof(t->error)];

    if (t->answered > 1)
        return fail(t, "renegotiation asked for again after it was refused");
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        return fail_verify(t);
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        snprintf(text, sizeof(text), "the peer sent alert %u", t->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
        return fail(t, text);
    }
    mbedtls_strerror(code, why, sizeof(why));
    if (sent)
        return fail(t, why);
    return fail_with_alert(t, why,
                           code == MBEDTLS_ERR_SSL_INVALID_RECORD ? MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR
                                                                  : MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
}

const char *tls_error(const struct tls *t)
{
    return t->error;
}

/* --- Counting
 * -----------------------------------------------------------------------------------------------------
 */

/* Counts the records of the last call. False when too many carried nothing: floods of empty records, alerts,
 * key updates and the like cost us more than the peer.
 */
static bool count_records(struct tls *t, bool useful)
{
    t->records += t->finished;
    if (!useful)
        t->idle += t->finished;
    if (t->idle > RECORDS_IDLE)
        return false;
    if (t->records >= RECORDS_COUNTED && t->established)
        t->records = t->idle = 0;
    return t->records < RECORDS_COUNTED;
}

/* --- Handshake
 * ----------------------------------------------------------------------------------------------------
 */

/* The certificate is known only now; nothing of ours has been sent but the handshake. */
static bool pin_holds(const struct tls *t)
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&t->ssl);
    uint8_t digest[TLS_PIN];

    return peer != NULL && mbedtls_sha256(peer->raw.p, peer->raw.len, digest, 0) == 0 &&
           memcmp(digest, t->client->pin, TLS_PIN) == 0;
}

static enum tls_result handshake_done(struct tls *t)
{
    if (t->client != NULL && t->client->has_pin && !pin_holds(t))
        return fail_with_alert(t, "the certificate is not the one of tls_fingerprint", MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
    t->established = true;
    t->records = t->idle = 0;
    return TLS_OK;
}

static bool record_is_silent(const struct tls *t)
{
    return t->header[0] == RECORD_ALERT || t->header[0] == RECORD_CHANGE_CIPHER;
}

enum tls_result tls_handshake(struct tls *t, struct str *ciphertext)
{
    if (t->failed)
        return TLS_FAILED;
    t->in = ciphertext;
    for (;;) {
        size_t before = t->out.n;
        int ret;

        t->finished = 0;
        ret = mbedtls_ssl_handshake(&t->ssl);
        if (ret == 0)
            return handshake_done(t);
        if (ret != MBEDTLS_ERR_SSL_WANT_READ)
            return fail_code(t, ret, t->out.n > before);
        if (!count_records(t, !record_is_silent(t)))
            return fail_with_alert(t, "too many records in the handshake", ALERT_HANDSHAKE_FAILURE);
        if (t->in->n == 0)
            return TLS_WANT;
    }
}

/* --- Data
 * ---------------------------------------------------------------------------------------------------------
 */

/* What a return value of mbedtls_ssl_read() other than "data" means; TLS_OK: go on. */
static enum tls_result read_outcome(struct tls *t, int ret, bool sent)
{
    if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return TLS_CLOSED;
    if (ret != 0 && ret != MBEDTLS_ERR_SSL_WANT_READ && ret != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
        return fail_code(t, ret, sent);
    if (!count_records(t, false))
        return fail_with_alert(t, "too many records without data", MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE);
    return t->in->n == 0 && ret == MBEDTLS_ERR_SSL_WANT_READ ? TLS_WANT : TLS_OK;
}

enum tls_result tls_read(struct tls *t, struct str *ciphertext, char *room, size_t size, size_t *n)
{
    enum tls_result result;

    *n = 0;
    if (t->failed || !t->established)
        return TLS_FAILED;
    t->in = ciphertext;
    do {
        size_t before = t->out.n;
        int ret;

        t->finished = 0;
        t->reading = true;
        ret = mbedtls_ssl_read(&t->ssl, (unsigned char *)room, size);
        t->reading = false;
        if (ret > 0) {
            *n = (size_t)ret;
            (void)count_records(t, true);
            return TLS_OK;
        }
        result = read_outcome(t, ret, t->out.n > before);
    } while (result == TLS_OK);
    return result;
}

enum tls_result tls_write(struct tls *t, struct str plain, size_t *n)
{
    int ret;

    *n = 0;
    if (t->failed || !t->established)
        return TLS_FAILED;
    ret = mbedtls_ssl_write(&t->ssl, (const unsigned char *)plain.p, plain.n);
    if (ret < 0)
        return fail_code(t, ret, true);
    *n = (size_t)ret;
    return TLS_OK;
}

void tls_close(struct tls *t)
{
    if (t->established && !t->failed)
        (void)mbedtls_ssl_close_notify(&t->ssl);
}

void tls_describe(const struct tls *t, struct tls_facts *facts)
{
    bool is13 = mbedtls_ssl_get_version_number(&t->ssl) == MBEDTLS_SSL_VERSION_TLS1_3;

    facts->version = is13 ? "TLS1_3" : "TLS1_2";
    facts->cipher = tls_suite_name(mbedtls_ssl_get_ciphersuite_id_from_ssl(&t->ssl));
}

/* --- Beginning and end
 * --------------------------------------------------------------------------------------------
 */

static struct tls *tls_new(const mbedtls_ssl_config *conf)
{
    struct tls *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    mbedtls_ssl_init(&t->ssl);
    if (mbedtls_ssl_setup(&t->ssl, conf) != 0) {
        tls_free(t);
        return NULL;
    }
    mbedtls_ssl_set_bio(&t->ssl, t, put, take, NULL);
#ifdef POSTERN_KEYLOG
    tls_keylog_attach(&t->ssl);
#endif
    return t;
}

struct tls *tls_accept(struct tls_server *server)
{
    struct tls *t = tls_new(&server->conf);

    if (t != NULL)
        mbedtls_ssl_set_user_data_p(&t->ssl, server);
    return t;
}

struct tls *tls_connect(struct tls_client *client)
{
    struct tls *t = tls_new(&client->conf);

    if (t == NULL)
        return NULL;
    t->client = client;
    if (mbedtls_ssl_set_hostname(&t->ssl, client->name[0] != '\0' ? client->name : NULL) != 0) {
        tls_free(t);
        return NULL;
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    mbedtls_ssl_free(&t->ssl);
    chain_clear(&t->out);
    free(t);
}
