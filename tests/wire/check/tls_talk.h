/* TLS sessions made in memory for tests: mbedTLS talks to itself, and what it sent becomes a captured connection.
 *
 *     struct talk t;
 *     talk_start(&t, &(struct talk_plan){ .version = 0x0304 });
 *     talk_handshake(&t);
 *     talk_say(&t, CLIENT, "EHLO a\r\n");
 *     talk_capture(&t, &connection, 1);
 *     ... connection_clear(&connection); talk_end(&t);
 */
#ifndef WIRE_TLS_TALK_H
#define WIRE_TLS_TALK_H

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>

#include "flow.h"
#include "tls.h"

#include "certificates.h"

struct talk_plan {
    uint16_t version;      /* 0x0303, 0x0304 */
    int suite;             /* 0: any */
    bool is_rsa;           /* the certificate; else P-256 */
    uint16_t groups[2][4]; /* that a side takes, 0 ends; none: its defaults */
    bool has_tickets;
    bool may_renegotiate;         /* the server may (1.2) */
    bool is_strict;               /* the client trusts nobody: the handshake fails by its alert */
    const char *name;             /* SNI */
    mbedtls_ssl_session *session; /* to be resumed */
};

/* One call of a side's send function. */
struct talk_write {
    enum side by;
    size_t end; /* in that side's octets */
};

/* One call of mbedtls_ssl_write(). */
struct talk_said {
    enum side by;
    size_t at;  /* in what that side said */
    size_t end; /* of its record in that side's octets */
};

struct talk_end {
    struct talk *talk;
    enum side side;
};

struct talk {
    mbedtls_ssl_config conf[2];
    mbedtls_ssl_context ssl[2];
    mbedtls_ssl_ticket_context tickets;
    struct talk_end end[2];
    struct buffer octets[2]; /* all that a side sent */
    size_t taken[2];         /* of it by the other */
    struct buffer said[2];   /* plain */
    struct talk_write *write;
    size_t write_n;
    struct talk_said *say;
    size_t say_n;
    struct buffer keylog; /* as text */
};

/* Deterministic: a test that fails fails again. */
static inline uint32_t talk_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline int talk_send(void *arg, const unsigned char *p, size_t n)
{
    struct talk_end *e = arg;
    struct talk *t = e->talk;

    buffer_add(&t->octets[e->side], p, n);
    t->write = array_grow(t->write, t->write_n, sizeof *t->write);
    t->write[t->write_n++] = (struct talk_write){ e->side, t->octets[e->side].n };
    return (int)n;
}

static inline int talk_receive(void *arg, unsigned char *p, size_t n)
{
    struct talk_end *e = arg;
    enum side from = e->side == CLIENT ? SERVER : CLIENT;
    struct slice left = slice_part(buffer_slice(&e->talk->octets[from]), e->talk->taken[from], SIZE_MAX);

    if (left.n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > left.n)
        n = left.n;
    memcpy(p, left.p, n);
    e->talk->taken[from] += n;
    return (int)n;
}

static inline void talk_log_hex(struct buffer *b, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_printf(b, "%02x", p[i]);
}

static inline void talk_log(void *arg, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t n,
                            const unsigned char client[32], const unsigned char server[32], mbedtls_tls_prf_types prf)
{
    static const struct {
        mbedtls_ssl_key_export_type type;
        const char *label;
    } labels[] = {
        { MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET, "CLIENT_RANDOM" },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET, "CLIENT_HANDSHAKE_TRAFFIC_SECRET" },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_HANDSHAKE_TRAFFIC_SECRET, "SERVER_HANDSHAKE_TRAFFIC_SECRET" },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET, "CLIENT_TRAFFIC_SECRET_0" },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET, "SERVER_TRAFFIC_SECRET_0" },
    };
    struct talk *t = arg;

    (void)server;
    (void)prf;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (labels[i].type == type) {
            buffer_printf(&t->keylog, "%s ", labels[i].label);
            talk_log_hex(&t->keylog, client, 32);
            buffer_printf(&t->keylog, " ");
            talk_log_hex(&t->keylog, secret, n);
            buffer_printf(&t->keylog, "\n");
        }
}

/* Certificates take time to make: one of each kind for the whole program. */
static inline mbedtls_x509_crt *talk_certificate(bool is_rsa, mbedtls_pk_context **key)
{
    static struct cert *made[2];
    static mbedtls_x509_crt parsed[2];

    if (made[is_rsa] == NULL) {
        made[is_rsa] = cert_make(&(struct cert_spec){ .common_name = "mx.local.example",
                                                      .dns = { "mx.local.example" },
                                                      .key = is_rsa ? CERT_RSA2048 : CERT_P256 });
        mbedtls_x509_crt_init(&parsed[is_rsa]);
        cert_must(mbedtls_x509_crt_parse_file(&parsed[is_rsa], made[is_rsa]->chain), "chain");
    }
    *key = &made[is_rsa]->pk;
    return &parsed[is_rsa];
}

static inline void talk_configure(struct talk *t, enum side s, const struct talk_plan *plan)
{
    mbedtls_ssl_config *conf = &t->conf[s];
    static int suites[2][2];
    mbedtls_pk_context *key;

    mbedtls_ssl_config_init(conf);
    cert_must(mbedtls_ssl_config_defaults(conf, s == CLIENT ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                                          MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
              "defaults");
    mbedtls_ssl_conf_rng(conf, cert_random, NULL);
    mbedtls_ssl_conf_min_tls_version(conf, (mbedtls_ssl_protocol_version)plan->version);
    mbedtls_ssl_conf_max_tls_version(conf, (mbedtls_ssl_protocol_version)plan->version);
    mbedtls_ssl_conf_authmode(conf,
                              s == CLIENT && plan->is_strict ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    suites[s][0] = plan->suite;
    if (plan->suite != 0)
        mbedtls_ssl_conf_ciphersuites(conf, suites[s]);
    if (plan->groups[s][0] != 0)
        mbedtls_ssl_conf_groups(conf, plan->groups[s]);
    if (plan->may_renegotiate)
        mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    mbedtls_ssl_conf_session_tickets(conf, plan->has_tickets ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                             : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    if (s == CLIENT) {
        mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(conf,
                                                                 MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
        return;
    }
    mbedtls_x509_crt *chain = talk_certificate(plan->is_rsa, &key);
    cert_must(mbedtls_ssl_conf_own_cert(conf, chain, key), "own certificate");
    if (plan->has_tickets)
        mbedtls_ssl_conf_session_tickets_cb(conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &t->tickets);
}

static inline void talk_start(struct talk *t, const struct talk_plan *plan)
{
    *t = (struct talk){ .write = NULL };
    mbedtls_ssl_ticket_init(&t->tickets);
    for (enum side s = CLIENT; s <= SERVER; s++)
        talk_configure(t, s, plan);
    cert_must(mbedtls_ssl_ticket_setup(&t->tickets, cert_random, NULL, MBEDTLS_CIPHER_AES_256_GCM, 86400), "tickets");
    for (enum side s = CLIENT; s <= SERVER; s++) {
        t->end[s] = (struct talk_end){ t, s };
        mbedtls_ssl_init(&t->ssl[s]);
        cert_must(mbedtls_ssl_setup(&t->ssl[s], &t->conf[s]), "setup");
        mbedtls_ssl_set_bio(&t->ssl[s], &t->end[s], talk_send, talk_receive, NULL);
    }
    mbedtls_ssl_set_export_keys_cb(&t->ssl[SERVER], talk_log, t);
    cert_must(mbedtls_ssl_set_hostname(&t->ssl[CLIENT], plan->name), "name");
    if (plan->session != NULL)
        cert_must(mbedtls_ssl_set_session(&t->ssl[CLIENT], plan->session), "session");
}

/* The same server again: its tickets can be read. */
static inline void talk_share_tickets(struct talk *t, struct talk *first)
{
    mbedtls_ssl_conf_session_tickets_cb(&t->conf[SERVER], mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                        &first->tickets);
}

/* True when both sides finished it. */
static inline bool talk_handshake(struct talk *t)
{
    int ret[2] = { MBEDTLS_ERR_SSL_WANT_READ, MBEDTLS_ERR_SSL_WANT_READ };

    for (int turns = 0; turns < 50; turns++)
        for (enum side s = CLIENT; s <= SERVER; s++)
            if (ret[s] == MBEDTLS_ERR_SSL_WANT_READ)
                ret[s] = mbedtls_ssl_handshake(&t->ssl[s]);
    return ret[CLIENT] == 0 && ret[SERVER] == 0;
}

static inline void talk_say(struct talk *t, enum side s, const char *text)
{
    size_t n = strlen(text), at = 0;

    while (at < n) {
        int ret = mbedtls_ssl_write(&t->ssl[s], (const unsigned char *)text + at, n - at);

        if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            continue; /* a client hears of its tickets first */
        cert_must(ret > 0 ? 0 : ret - (ret == 0), "write");
        t->say = array_grow(t->say, t->say_n, sizeof *t->say);
        t->say[t->say_n++] = (struct talk_said){ s, t->said[s].n, t->octets[s].n };
        buffer_add(&t->said[s], text + at, (size_t)ret);
        at += (size_t)ret;
    }
}

/* Lets a side read until there is nothing more. Returns how that ended. */
static inline int talk_listen(struct talk *t, enum side s)
{
    unsigned char text[4096];
    int ret;

    do
        ret = mbedtls_ssl_read(&t->ssl[s], text, sizeof text);
    while (ret > 0 || ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    return ret;
}

static inline void talk_close(struct talk *t, enum side s)
{
    cert_must(mbedtls_ssl_close_notify(&t->ssl[s]), "close_notify");
}

static inline void talk_end(struct talk *t)
{
    for (enum side s = CLIENT; s <= SERVER; s++) {
        mbedtls_ssl_free(&t->ssl[s]);
        mbedtls_ssl_config_free(&t->conf[s]);
        buffer_free(&t->octets[s]);
        buffer_free(&t->said[s]);
    }
    mbedtls_ssl_ticket_free(&t->tickets);
    buffer_free(&t->keylog);
    free(t->write);
    free(t->say);
}

/* --- What a capture would hold ----------------------------------------------------------------------------------- */

static inline void stream_append(struct stream *s, struct slice octets, uint32_t frame)
{
    if (octets.n == 0)
        return;
    s->span = array_grow(s->span, s->span_n, sizeof *s->span);
    s->span[s->span_n++] = (struct span){ s->octets.n, frame, (int64_t)frame * 1000 };
    buffer_add(&s->octets, octets.p, octets.n);
}

static inline void connection_clear(struct connection *c)
{
    for (enum side s = CLIENT; s <= SERVER; s++) {
        buffer_free(&c->stream[s].octets);
        free(c->stream[s].span);
    }
    *c = (struct connection){ .has_start = false };
}

/* All writes in their order, cut into segments of up to `most` octets at random; 0: not cut. */
static inline void talk_capture(const struct talk *t, struct connection *c, uint32_t seed, size_t most)
{
    uint32_t frame = 3;
    size_t at[2] = { 0, 0 };

    *c = (struct connection){ .has_start = true };
    for (size_t i = 0; i < t->write_n; i++) {
        enum side s = t->write[i].by;

        while (at[s] < t->write[i].end) {
            size_t n = t->write[i].end - at[s];
            size_t part = most ? 1 + talk_random(&seed) % most : n;

            if (part > n)
                part = n;
            stream_append(&c->stream[s], slice_part(buffer_slice(&t->octets[s]), at[s], at[s] + part), ++frame);
            at[s] += part;
        }
    }
}

static inline struct keylog *keylog_of(struct slice text)
{
    char path[] = "/tmp/wire-keylog-XXXXXX";
    int fd = mkstemp(path);

    cert_must(fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n, path);
    close(fd);
    struct keylog *k = keylog_read(path);
    unlink(path);
    return k;
}

#endif
