/* One TLS connection, read from outside. See tls.h.
 *
 * Each side's stream is cut into records (tls_records.c). Records go through three phases: in clear; protected up to
 * the Finished; and application data. Who passes into which phase follows from what was read: in TLS 1.3 the
 * ServerHello protects both sides from there on, the Finished and each KeyUpdate changes the sender's keys; in TLS 1.2
 * a side's ChangeCipherSpec protects what it sends. The sides are read in the order of their frames, except that a side
 * waits for the other where it needs what that says: order in a capture is not to be trusted for more than the order of
 * events told.
 *
 * A side whose keys are missing or whose record does not authenticate goes blind: its records are still counted and
 * searched for a breach, the place of its Finished is still found by its shape, and nothing of the session's plain
 * text is handed out. */
#include "tls.h"

#include <stdlib.h>
#include <string.h>

#include "keylog.h"
#include "tls_handshake.h"
#include "tls_keys.h"
#include "tls_records.h"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304, ALERT_CLOSE_NOTIFY = 0, SEALED_ALERT_13 = 3 + 16 };

enum phase { IN_CLEAR, UNTIL_FINISHED, APPLICATION };

struct direction {
    enum side side;
    struct tls_reader reader;
    struct tls_record record; /* the next one, while has_record */
    bool has_record;
    enum phase phase;
    struct tls_cipher *cipher;   /* NULL: no keys; `missing` says why */
    struct tls_cipher *previous; /* 1.3: of the handshake, until a record was opened by the keys behind it */
    const char *missing;
    bool is_blind;
    struct handshake_queue queue;
    bool is_open;       /* what is being taken was protected and authenticated */
    bool queue_is_open; /* so was what the queue holds */
    bool has_certificate, has_finished;
    uint32_t finished_frame;
    int64_t finished_time;
};

struct reading {
    struct tls_session *t;
    const struct connection *connection;
    const struct keylog *keys;
    struct direction direction[2];
    uint8_t client_random[32], server_random[32]; /* of the handshake in hand */
    struct buffer session_id;                     /* the client's */
    uint16_t version;
    const struct tls_suite *suite; /* NULL: none yet, or none that is read here */
    bool echoes_session_id;        /* of a TLS 1.2 ServerHello */
    bool has_junk;                 /* the client sent data in clear: nobody takes it, unless a handshake goes on */
    bool early_is_offered;         /* by the client; what it sends early is thrown away by a server that refuses it */
    bool early_is_accepted, early_was_left_out;
    struct buffer text; /* of one record */
};

static enum side other(enum side s)
{
    return s == CLIENT ? SERVER : CLIENT;
}

/* The first reason is kept: the others follow from it. */
static void doubt(struct reading *r, const char *why)
{
    if (r->t->why_not == NULL)
        r->t->why_not = why;
}

static void go_blind(struct reading *r, struct direction *d, const char *why)
{
    d->is_blind = true;
    doubt(r, why);
}

/* --- Keys -------------------------------------------------------------------------------------------------------- */

static void set_cipher(struct direction *d, struct tls_cipher *c, const char *missing)
{
    tls_cipher_free(d->cipher);
    d->cipher = c;
    d->missing = c ? NULL : missing;
}

/* Why there are no keys although the suite is known. */
static const char *why_no_keys(const struct reading *r, struct slice secret)
{
    if (r->keys == NULL)
        return "no key log was given";
    return secret.n > 0 ? "the key log's secret does not fit the suite" : "the key log does not have this session";
}

/* The suite of the ServerHello, if it is one of its version. */
static const struct tls_suite *suite_in_use(const struct reading *r)
{
    if (r->suite == NULL || tls_suite_is_13(r->suite) != (r->version == TLS_1_3))
        return NULL;
    return r->suite;
}

static struct tls_cipher *cipher_of(const struct reading *r, enum side side, enum secret_kind kind,
                                    const char **missing)
{
    struct slice secret = keylog_find(r->keys, r->client_random, kind);

    if (suite_in_use(r) == NULL) {
        *missing = "a version or suite that is not read here";
        return NULL;
    }
    *missing = why_no_keys(r, secret);
    if (secret.n == 0)
        return NULL;
    return kind == SECRET_MASTER ? tls_cipher_12(r->suite, secret, r->client_random, r->server_random, side)
                                 : tls_cipher_13(r->suite, secret);
}

static void use_keys(struct reading *r, struct direction *d, enum secret_kind kind)
{
    const char *missing;
    struct tls_cipher *c = cipher_of(r, d->side, kind, &missing);

    set_cipher(d, c, missing);
}

/* RFC 8446 4.4.4: what follows a side's Finished is under its traffic secret. */
static void use_traffic_keys(struct reading *r, struct direction *d)
{
    tls_cipher_free(d->previous);
    d->previous = d->cipher;
    d->cipher = NULL;
    use_keys(r, d, d->side == CLIENT ? SECRET_CLIENT_TRAFFIC : SECRET_SERVER_TRAFFIC);
}

/* --- What the session shows --------------------------------------------------------------------------------------- */

static void note_alert(struct reading *r, const struct direction *d, struct slice body)
{
    struct tls_session *t = r->t;

    for (size_t i = 0; i + 2 <= body.n; i += 2) {
        t->alert = array_grow(t->alert, t->alert_n, sizeof *t->alert);
        t->alert[t->alert_n++] =
            (struct tls_alert){ d->side, body.p[i], body.p[i + 1], d->record.frame, d->record.time };
        if (body.p[i + 1] == ALERT_CLOSE_NOTIFY && !t->has_close_notify[d->side]) {
            t->has_close_notify[d->side] = true;
            t->plain[d->side].end_frame = d->record.frame;
            t->plain[d->side].end_time = d->record.time;
        }
    }
}

/* RFC 8446 6.1: what comes behind close_notify is ignored. */
static void note_data(struct reading *r, const struct direction *d, struct slice text)
{
    struct stream *plain = &r->t->plain[d->side];

    if (text.n == 0 || r->t->has_close_notify[d->side])
        return;
    plain->span = array_grow(plain->span, plain->span_n, sizeof *plain->span);
    plain->span[plain->span_n++] = (struct span){ plain->octets.n, d->record.frame, d->record.time };
    buffer_add(&plain->octets, text.p, text.n);
}

static void note_established(struct reading *r)
{
    struct tls_session *t = r->t;
    const struct direction *client = &r->direction[CLIENT], *server = &r->direction[SERVER];

    if (t->is_established || !client->has_finished || !server->has_finished)
        return;
    const struct direction *last = client->finished_frame > server->finished_frame ? client : server;
    t->is_established = true;
    t->established_frame = last->finished_frame;
    t->established_time = last->finished_time;
}

static void note_finished(struct reading *r, struct direction *d)
{
    d->phase = APPLICATION;
    if (d->has_finished)
        return; /* a renegotiation's */
    d->has_finished = true;
    d->finished_frame = d->record.frame;
    d->finished_time = d->record.time;
    note_established(r);
}

/* A TLS 1.3 client sends its Finished only when it has the server's, wherever that is hidden. */
static void note_client_finished_13(struct reading *r)
{
    struct direction *server = &r->direction[SERVER];

    if (server->is_blind && !server->has_finished) {
        server->has_finished = true;
        server->finished_frame = r->direction[CLIENT].record.frame;
        server->finished_time = r->direction[CLIENT].record.time;
    }
    note_finished(r, &r->direction[CLIENT]);
}

/* --- Handshake messages ------------------------------------------------------------------------------------------ */

static void take_client_hello(struct reading *r, const struct direction *d, struct slice body)
{
    struct tls_session *t = r->t;
    struct client_hello h;

    if (d->phase == APPLICATION)
        t->renegotiations++;
    else
        t->client_hellos++;
    if (!client_hello_read(&h, body))
        return;
    if (!t->has_client_hello) {
        t->has_client_hello = true;
        memcpy(t->client_random, h.random, sizeof t->client_random);
        memcpy(t->server_name, h.server_name, sizeof t->server_name);
        t->offers_ems = h.has_ems;
        t->offers_renegotiation_info = h.has_renegotiation_info;
    }
    memcpy(r->client_random, h.random, sizeof r->client_random);
    r->session_id.n = 0;
    buffer_add(&r->session_id, h.session_id.p, h.session_id.n);
    r->early_is_offered = r->early_is_offered || h.has_early_data;
}

static void show_server_hello(struct reading *r, const struct server_hello *h)
{
    struct tls_session *t = r->t;

    t->has_server_hello = true;
    t->version = h->version;
    t->suite = h->suite;
    t->group = h->group;
    t->compression = h->compression;
    t->has_ems = h->has_ems;
    t->has_renegotiation_info = h->has_renegotiation_info;
    t->is_resumed = h->version == TLS_1_3 && h->has_psk;
}

static void protect_13(struct reading *r)
{
    for (enum side s = CLIENT; s <= SERVER; s++) {
        struct direction *d = &r->direction[s];

        d->phase = UNTIL_FINISHED;
        d->reader.body_max = TLS_BODY_MAX_13;
        use_keys(r, d, s == CLIENT ? SECRET_CLIENT_HANDSHAKE : SECRET_SERVER_HANDSHAKE);
    }
}

/* From here on the keys are those of this handshake. */
static void begin_keys(struct reading *r, const struct direction *d, const struct server_hello *h)
{
    memcpy(r->server_random, h->random, sizeof r->server_random);
    r->version = h->version;
    r->suite = tls_suite_find(h->suite);
    r->echoes_session_id = h->session_id.n > 0 && slice_equal(buffer_slice(&r->session_id), h->session_id);
    if (r->version == TLS_1_3 && d->phase == IN_CLEAR)
        protect_13(r);
}

static void take_server_hello(struct reading *r, const struct direction *d, struct slice body)
{
    struct server_hello h;

    if (!server_hello_read(&h, body))
        return;
    if (!r->t->has_server_hello && h.is_retry) {
        r->t->is_hrr = true;
    } else if (!r->t->has_server_hello) {
        show_server_hello(r, &h);
        begin_keys(r, d, &h);
    } else if (d->phase == APPLICATION && r->version == h.version && h.version != TLS_1_3) {
        r->t->is_renegotiated = true;
        begin_keys(r, d, &h);
    } else {
        doubt(r, "a second ServerHello"); /* the first one stands */
    }
}

/* RFC 5077 3.3, RFC 8446 4.6.1 */
static void take_ticket(struct reading *r, struct slice body)
{
    r->t->tickets++;
    if (r->version == TLS_1_3 && ticket_has_early_data(body))
        r->t->offers_early_data = true;
}

static void take_finished(struct reading *r, struct direction *d)
{
    if (d->phase != UNTIL_FINISHED || !d->is_open)
        return; /* in clear, or again: no TLS peer would take it */
    if (r->version == TLS_1_3)
        use_traffic_keys(r, d);
    if (r->version == TLS_1_3 && d->side == CLIENT)
        note_client_finished_13(r);
    else
        note_finished(r, d);
}

static void take_key_update(struct reading *r, struct direction *d)
{
    if (r->version == TLS_1_3 && d->phase == APPLICATION && d->cipher != NULL)
        set_cipher(d, tls_cipher_updated(d->cipher), "no keys after a KeyUpdate");
}

static void take_encrypted_extensions(struct reading *r, struct slice body)
{
    if (r->version != TLS_1_3 || !extensions_have_early_data(body))
        return;
    r->t->offers_early_data = true;
    r->early_is_accepted = true;
}

static void take_server_message(struct reading *r, struct direction *d, const struct handshake_message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO_REQUEST: r->t->hello_requests++; break;
    case MESSAGE_SERVER_HELLO: take_server_hello(r, d, m->body); break;
    case MESSAGE_NEW_SESSION_TICKET: take_ticket(r, m->body); break;
    case MESSAGE_ENCRYPTED_EXTENSIONS: take_encrypted_extensions(r, m->body); break;
    case MESSAGE_CERTIFICATE: d->has_certificate = true; break;
    case MESSAGE_SERVER_KEY_EXCHANGE:
        if (r->version != TLS_1_3 && d->phase == IN_CLEAR)
            r->t->group = key_exchange_group(m->body);
        break;
    default: break;
    }
}

static bool changes_keys(const struct reading *r, const struct handshake_message *m)
{
    if (m->type == MESSAGE_SERVER_HELLO)
        return r->version == TLS_1_3;
    return r->version == TLS_1_3 && (m->type == MESSAGE_FINISHED || m->type == MESSAGE_KEY_UPDATE);
}

static void take_message(struct reading *r, struct direction *d, const struct handshake_message *m)
{
    if (m->type == MESSAGE_FINISHED)
        take_finished(r, d);
    else if (m->type == MESSAGE_KEY_UPDATE)
        take_key_update(r, d);
    else if (d->side == SERVER)
        take_server_message(r, d, m);
    else if (m->type == MESSAGE_CLIENT_HELLO)
        take_client_hello(r, d, m->body);
    /* RFC 8446 5.1: keys change between records. */
    if (changes_keys(r, m) && !handshake_is_idle(&d->queue))
        doubt(r, "a record that goes on behind a change of keys");
}

static void take_handshake(struct reading *r, struct direction *d, struct slice octets)
{
    struct handshake_message m;

    if (!handshake_is_idle(&d->queue) && d->queue_is_open != d->is_open)
        doubt(r, "a handshake message half in clear");
    d->queue_is_open = d->is_open;
    handshake_add(&d->queue, octets);
    while (handshake_next(&d->queue, &m))
        take_message(r, d, &m);
}

/* --- Records ----------------------------------------------------------------------------------------------------- */

/* RFC 5246 7.1; keys that were not agreed upon yet are no keys (CVE-2014-0224). */
static void take_change_cipher(struct reading *r, struct direction *d)
{
    if (!r->t->has_server_hello || r->version == TLS_1_3)
        return; /* RFC 8446 D.4: for middleboxes' sake, without meaning */
    if (d->side == SERVER && !d->has_finished)
        r->t->is_resumed = r->echoes_session_id && !d->has_certificate;
    d->phase = UNTIL_FINISHED;
    use_keys(r, d, SECRET_MASTER);
}

static void take_clear(struct reading *r, struct direction *d)
{
    switch (d->record.type) {
    case CONTENT_CHANGE_CIPHER: take_change_cipher(r, d); break;
    case CONTENT_ALERT: note_alert(r, d, d->record.body); break;
    case CONTENT_HANDSHAKE: take_handshake(r, d, d->record.body); break;
    default:
        r->has_junk = r->has_junk || (d->side == CLIENT && !r->early_is_offered);
        if (d->side == SERVER)
            doubt(r, "data before there were keys");
    }
}

/* What a record holds, once it is open. */
static void take_opened(struct reading *r, struct direction *d, uint8_t type)
{
    struct slice text = buffer_slice(&r->text);

    d->is_open = true;
    if (type == CONTENT_ALERT)
        note_alert(r, d, text);
    else if (type == CONTENT_HANDSHAKE)
        take_handshake(r, d, text);
    else if (type == CONTENT_DATA && d->phase == APPLICATION)
        note_data(r, d, text);
    else if (type == CONTENT_CHANGE_CIPHER && r->version != TLS_1_3)
        take_change_cipher(r, d);
    else
        doubt(r, type == CONTENT_DATA ? "data before the Finished" : "a record without a known content type");
}

/* Alerts about the peer's Finished may still come under the keys of the handshake. */
static bool open_by_previous(struct reading *r, struct direction *d, uint8_t *type)
{
    if (d->previous == NULL || (d->cipher != NULL && !tls_cipher_is_unused(d->cipher)))
        return false;
    return tls_cipher_open(d->previous, &d->record, type, &r->text) && *type == CONTENT_ALERT;
}

/* RFC 8446 4.2.10: a server that refuses early data passes over what it cannot open until the client's Finished. */
static bool is_refused_early_data(const struct reading *r, const struct direction *d)
{
    return r->version == TLS_1_3 && d->side == CLIENT && r->early_is_offered && d->phase == UNTIL_FINISHED &&
           d->cipher != NULL && tls_cipher_is_unused(d->cipher);
}

static void take_protected(struct reading *r, struct direction *d)
{
    uint8_t type;

    if ((d->cipher != NULL && tls_cipher_open(d->cipher, &d->record, &type, &r->text)) || open_by_previous(r, d, &type))
        take_opened(r, d, type);
    else if (is_refused_early_data(r, d))
        r->early_was_left_out = true;
    else
        go_blind(r, d, d->cipher == NULL ? d->missing : "a record does not authenticate");
}

/* The first handshake record behind a ChangeCipherSpec is the Finished, and it is alone there. */
static void take_blind_12(struct reading *r, struct direction *d)
{
    if (d->phase == UNTIL_FINISHED && d->record.type == CONTENT_HANDSHAKE)
        note_finished(r, d);
}

/* All that a TLS 1.3 client sends before its Finished is an alert, which is shorter. (A client that was asked for a
 * certificate is taken for finished a record early.) */
static void take_blind_13(struct reading *r, struct direction *d)
{
    size_t finished = SEALED_ALERT_13 + 2 + (r->suite ? tls_suite_hash(r->suite) : 32);

    if (d->phase != UNTIL_FINISHED || d->side != CLIENT || d->record.type != CONTENT_DATA)
        return;
    if (d->record.body.n >= finished && r->direction[SERVER].is_blind)
        note_client_finished_13(r);
    else if (d->record.body.n >= finished && r->direction[SERVER].has_finished)
        note_finished(r, d);
}

static void take_blind(struct reading *r, struct direction *d)
{
    if (r->version == TLS_1_3)
        take_blind_13(r, d);
    else
        take_blind_12(r, d);
}

/* TLS 1.3 records that are not protected although there are keys. */
static void take_unprotected_13(struct reading *r, struct direction *d)
{
    bool is_early = d->phase == UNTIL_FINISHED && (d->cipher == NULL || tls_cipher_is_unused(d->cipher));

    if (d->record.type == CONTENT_CHANGE_CIPHER && d->phase == UNTIL_FINISHED)
        return; /* RFC 8446 D.4 */
    if (d->record.type == CONTENT_ALERT && is_early)
        note_alert(r, d, d->record.body); /* of a peer that got no keys out of the ServerHello */
    else if (d->record.type == CONTENT_HANDSHAKE && is_early && d->side == CLIENT)
        take_handshake(r, d, d->record.body); /* the second ClientHello, behind early data */
    else
        doubt(r, "an unprotected record among protected ones");
}

static void take_record(struct reading *r, struct direction *d)
{
    r->t->records[d->side]++;
    d->is_open = false;
    if (d->phase == IN_CLEAR)
        take_clear(r, d);
    else if (r->version == TLS_1_3 && d->record.type != CONTENT_DATA)
        take_unprotected_13(r, d);
    else if (!d->is_blind)
        take_protected(r, d);
    if (d->is_blind)
        take_blind(r, d);
}

/* --- Both sides in turn ------------------------------------------------------------------------------------------ */

static void fetch(struct direction *d)
{
    d->has_record = tls_reader_next(&d->reader, &d->record);
}

/* Does this side's next record mean nothing without what the other side says? */
static bool must_wait(const struct reading *r, const struct direction *d)
{
    if (d->side == SERVER)
        return !r->t->has_client_hello;
    if (!r->t->has_server_hello)
        return d->record.type == CONTENT_DATA || d->record.type == CONTENT_CHANGE_CIPHER;
    return false;
}

static struct direction *next_direction(struct reading *r)
{
    struct direction *client = &r->direction[CLIENT], *server = &r->direction[SERVER];

    if (!client->has_record || !server->has_record)
        return client->has_record ? client : server->has_record ? server : NULL;
    struct direction *first = client->record.frame <= server->record.frame ? client : server;
    return must_wait(r, first) ? &r->direction[other(first->side)] : first;
}

static void read_records(struct reading *r)
{
    struct direction *d;

    fetch(&r->direction[CLIENT]);
    fetch(&r->direction[SERVER]);
    while ((d = next_direction(r)) != NULL) {
        take_record(r, d);
        fetch(d);
    }
    if (r->has_junk && r->t->is_established)
        doubt(r, "data before there were keys");
}

static void stream_empty(struct stream *s)
{
    buffer_free(&s->octets);
    free(s->span);
    s->span = NULL;
    s->span_n = 0;
}

/* What the plain streams are to be believed of. */
static void finish_side(struct reading *r, const struct direction *d)
{
    const struct stream *carrier = &r->connection->stream[d->side];
    struct stream *plain = &r->t->plain[d->side];

    r->t->breach[d->side] = d->reader.breach;
    r->t->breach_at[d->side] = d->reader.breach ? d->reader.at : 0;
    if (!r->t->is_decrypted)
        stream_empty(plain);
    plain->has_hole = carrier->has_hole;
    plain->is_reset = carrier->is_reset;
    plain->is_ended = r->t->is_decrypted && r->t->has_close_notify[d->side];
    if (!r->t->has_close_notify[d->side]) {
        plain->end_frame = carrier->end_frame;
        plain->end_time = carrier->end_time;
    }
}

static void direction_free(struct direction *d)
{
    tls_cipher_free(d->cipher);
    tls_cipher_free(d->previous);
    buffer_free(&d->queue.octets);
}

/* What was left out as early data that the server refused may have been something else. */
static void judge_early_data(struct reading *r)
{
    if (r->early_was_left_out && r->early_is_accepted)
        doubt(r, "early data was accepted, which is not read here");
    else if (r->early_was_left_out && !r->direction[CLIENT].has_finished)
        doubt(r, "a record does not authenticate");
}

void tls_read(struct tls_session *t, const struct connection *c, const size_t start[2], const struct keylog *keys)
{
    struct reading r = { .t = t, .connection = c, .keys = keys };

    *t = (struct tls_session){ .start = { start[CLIENT], start[SERVER] } };
    for (enum side s = CLIENT; s <= SERVER; s++) {
        r.direction[s].side = s;
        tls_reader_start(&r.direction[s].reader, &c->stream[s], start[s]);
    }
    read_records(&r);
    judge_early_data(&r);
    t->is_decrypted = t->why_not == NULL;
    for (enum side s = CLIENT; s <= SERVER; s++) {
        finish_side(&r, &r.direction[s]);
        direction_free(&r.direction[s]);
    }
    buffer_free(&r.session_id);
    buffer_free(&r.text);
}

void tls_free(struct tls_session *t)
{
    stream_empty(&t->plain[CLIENT]);
    stream_empty(&t->plain[SERVER]);
    free(t->alert);
    *t = (struct tls_session){ 0 };
}
