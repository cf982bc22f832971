/* TLS read from captured streams: sessions that mbedTLS holds with itself, cut anyhow, damaged anyhow. */
#include "tls.h"

#include <mbedtls/gcm.h>
#include <mbedtls/hkdf.h>

#include "test.h"
#include "tls_talk.h"

enum { V12 = 0x0303, V13 = 0x0304, MUTANTS = 6000 };

static const size_t from_start[2] = { 0, 0 };

static const struct {
    const char *label;
    struct talk_plan plan;
} plans[] = {
    { "1.3 AES-128-GCM", { .version = V13, .suite = 0x1301 } },
    { "1.3 AES-256-GCM, RSA", { .version = V13, .suite = 0x1302, .is_rsa = true } },
    { "1.3 ChaCha20", { .version = V13, .suite = 0x1303 } },
    { "1.3 with tickets", { .version = V13, .suite = 0x1301, .has_tickets = true } },
    { "1.3 with HelloRetryRequest", { .version = V13, .suite = 0x1302, .groups = { { 0x001d, 0x0017 }, { 0x0017 } } } },
    { "1.2 ECDSA AES-128-GCM", { .version = V12, .suite = 0xC02B } },
    { "1.2 ECDSA AES-256-GCM", { .version = V12, .suite = 0xC02C } },
    { "1.2 ECDSA ChaCha20", { .version = V12, .suite = 0xCCA9 } },
    { "1.2 RSA AES-128-GCM", { .version = V12, .suite = 0xC02F, .is_rsa = true } },
    { "1.2 RSA AES-256-GCM", { .version = V12, .suite = 0xC030, .is_rsa = true } },
    { "1.2 RSA ChaCha20", { .version = V12, .suite = 0xCCA8, .is_rsa = true } },
    { "1.2 with tickets", { .version = V12, .suite = 0xC02C, .has_tickets = true } },
};

enum { PLANS = sizeof plans / sizeof *plans };

static void converse(struct talk *t)
{
    static char large[40001];

    memset(large, 'm', sizeof large - 1);
    talk_say(t, SERVER, "220 mx ESMTP\r\n");
    talk_say(t, CLIENT, "EHLO client.example\r\n");
    talk_say(t, SERVER, "250-mx\r\n250 8BITMIME\r\n");
    (void)talk_listen(t, CLIENT);
    talk_say(t, CLIENT, large);
    talk_say(t, CLIENT, "\r\n.\r\n");
    talk_say(t, SERVER, "250 2.0.0 queued\r\n");
}

/* A whole session by this plan, closed by both. */
static void hold(struct talk *t, const struct talk_plan *plan)
{
    talk_start(t, plan);
    CHECK(talk_handshake(t));
    converse(t);
    CHECK_EQ_INT(talk_listen(t, SERVER), MBEDTLS_ERR_SSL_WANT_READ);
    talk_close(t, CLIENT);
    CHECK_EQ_INT(talk_listen(t, SERVER), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
    talk_close(t, SERVER);
    CHECK_EQ_INT(talk_listen(t, CLIENT), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
}

static bool is_prefix(struct slice part, struct slice whole)
{
    return part.n <= whole.n && slice_equal(part, slice_part(whole, 0, part.n));
}

static bool says_all(const struct tls_session *s, const struct talk *t)
{
    return slice_equal(buffer_slice(&s->plain[CLIENT].octets), buffer_slice(&t->said[CLIENT])) &&
           slice_equal(buffer_slice(&s->plain[SERVER].octets), buffer_slice(&t->said[SERVER]));
}

static bool says_nothing_false(const struct tls_session *s, const struct talk *t)
{
    if (!s->is_decrypted && (s->why_not == NULL || s->plain[CLIENT].octets.n || s->plain[SERVER].octets.n))
        return false;
    return is_prefix(buffer_slice(&s->plain[CLIENT].octets), buffer_slice(&t->said[CLIENT])) &&
           is_prefix(buffer_slice(&s->plain[SERVER].octets), buffer_slice(&t->said[SERVER]));
}

/* The frame that holds this octet, looked for in the simplest way. */
static uint32_t frame_of(const struct stream *s, size_t at)
{
    uint32_t frame = 0;

    for (size_t i = 0; i < s->span_n && s->span[i].at <= at; i++)
        frame = s->span[i].frame;
    return frame;
}

static void check_frames(const struct tls_session *s, const struct connection *c, const struct talk *t)
{
    for (size_t i = 0; i < t->say_n; i++) {
        const struct talk_said *said = &t->say[i];
        uint32_t frame = frame_of(&c->stream[said->by], said->end - 1);
        const struct span *span = s->plain[said->by].span;
        size_t n = s->plain[said->by].span_n, at = 0;

        while (at < n && span[at].at != said->at)
            at++;
        CHECK(at < n);
        if (at < n) {
            CHECK_EQ_INT(span[at].frame, frame);
            CHECK_EQ_INT(span[at].time, (int64_t)frame * 1000);
        }
    }
}

static void reads_every_suite(void)
{
    for (size_t i = 0; i < PLANS; i++) {
        struct talk t;
        CHECK_ROW(plans[i].label);
        hold(&t, &plans[i].plan);
        struct keylog *keys = keylog_of(buffer_slice(&t.keylog));
        CHECK_EQ_INT(keylog_count(keys), 1);
        for (uint32_t seed = 1; seed <= 12; seed++) {
            static const size_t most[] = { 0, 1, 2, 7, 100, 1448, 5000 };
            struct connection c;
            struct tls_session s;
            talk_capture(&t, &c, seed, most[seed % 7]);
            tls_read(&s, &c, from_start, keys);
            CHECK(s.is_decrypted);
            CHECK(s.why_not == NULL);
            CHECK(says_all(&s, &t));
            check_frames(&s, &c, &t);
            CHECK_EQ_INT(s.version, plans[i].plan.version);
            CHECK_EQ_INT(s.suite, plans[i].plan.suite);
            CHECK(s.is_established && s.established_frame > 0 && !s.is_resumed);
            CHECK(s.has_close_notify[CLIENT] && s.has_close_notify[SERVER]);
            CHECK(s.plain[CLIENT].is_ended && s.plain[SERVER].is_ended);
            CHECK_EQ_INT(s.alert_n, 2);
            CHECK(s.breach[CLIENT] == NULL && s.breach[SERVER] == NULL);
            CHECK_EQ_INT(s.client_hellos, s.is_hrr ? 2 : 1);
            CHECK_EQ_INT(s.renegotiations + s.hello_requests, 0);
            tls_free(&s);
            connection_clear(&c);
        }
        keylog_free(keys);
        talk_end(&t);
    }
}

/* One reading of a talk as it was sent. */
static void read_talk(struct tls_session *s, const struct talk *t, const struct keylog *keys)
{
    struct connection c;

    talk_capture(t, &c, 7, 1448);
    tls_read(s, &c, from_start, keys);
    connection_clear(&c);
}

static void read_with_keys(struct tls_session *s, const struct talk *t)
{
    struct keylog *keys = keylog_of(buffer_slice(&t->keylog));

    read_talk(s, t, keys);
    keylog_free(keys);
}

static void tells_what_hellos_say(void)
{
    struct talk t;
    struct tls_session s;

    hold(&t, &(struct talk_plan){ .version = V13, .groups = { { 0x001d, 0x0018 }, { 0x0018 } }, .name = "mx.example" });
    read_with_keys(&s, &t);
    CHECK(s.is_hrr && s.has_client_hello && s.has_server_hello);
    CHECK_EQ_INT(s.client_hellos, 2);
    CHECK_EQ_INT(s.group, 0x0018);
    CHECK_EQ_STR(s.server_name, strlen(s.server_name), "mx.example");
    CHECK_EQ_INT(s.compression, 0);
    tls_free(&s);
    talk_end(&t);

    hold(&t, &(struct talk_plan){ .version = V12, .suite = 0xC02B, .groups = { { 0x001d, 0x0017 }, { 0x001d } } });
    read_talk(&s, &t, NULL);
    CHECK_EQ_INT(s.group, 0x001d);
    CHECK(s.has_ems && s.has_renegotiation_info && !s.is_hrr);
    CHECK(s.offers_ems && s.offers_renegotiation_info);
    CHECK_EQ_STR(s.server_name, strlen(s.server_name), "");
    tls_free(&s);
    talk_end(&t);
}

static void counts_tickets_and_sees_resumption(void)
{
    static const uint16_t versions[] = { V12, V13 };

    for (size_t i = 0; i < 2; i++) {
        struct talk_plan plan = { .version = versions[i], .has_tickets = true };
        struct talk first, second;
        mbedtls_ssl_session session;
        struct tls_session s;

        CHECK_ROW(tls_version_name(versions[i]));
        mbedtls_ssl_session_init(&session);
        hold(&first, &plan);
        CHECK_EQ_INT(mbedtls_ssl_get_session(&first.ssl[CLIENT], &session), 0);
        read_with_keys(&s, &first);
        CHECK_EQ_INT(s.tickets, 1);
        CHECK(!s.is_resumed && !s.offers_early_data);
        tls_free(&s);

        plan.session = &session;
        talk_start(&second, &plan);
        talk_share_tickets(&second, &first);
        CHECK(talk_handshake(&second));
        converse(&second);
        read_with_keys(&s, &second);
        CHECK(s.is_resumed && s.is_established && s.is_decrypted);
        CHECK(says_all(&s, &second));
        CHECK(!s.plain[CLIENT].is_ended);
        tls_free(&s);
        mbedtls_ssl_session_free(&session);
        talk_end(&second);
        talk_end(&first);
    }
}

/* --- Keys that are not there, or wrong --------------------------------------------------------------------------- */

/* The key log without its line number `without`, or with one digit of that line's secret changed. */
static struct keylog *spoilt_keylog(struct slice text, size_t without, bool is_left_out)
{
    struct buffer b = { 0 };

    for (size_t line = 0; text.n > 0; line++) {
        size_t end = slice_find(text, SLICE("\n"), 0);
        if (line != without) {
            buffer_add(&b, text.p, end + 1);
        } else if (!is_left_out) {
            buffer_add(&b, text.p, end + 1);
            b.p[b.n - 2] = b.p[b.n - 2] == '0' ? '1' : '0';
        }
        text = slice_part(text, end + 1, text.n);
    }
    struct keylog *k = keylog_of(buffer_slice(&b));
    buffer_free(&b);
    return k;
}

static void says_why_without_keys(void)
{
    for (size_t i = 0; i < PLANS; i++) {
        struct talk t;
        struct tls_session s;
        size_t lines = plans[i].plan.version == V13 ? 4 : 1;

        CHECK_ROW(plans[i].label);
        hold(&t, &plans[i].plan);
        read_talk(&s, &t, NULL);
        CHECK(!s.is_decrypted && s.is_established && says_nothing_false(&s, &t));
        CHECK_EQ_STR(s.why_not, strlen(s.why_not), "no key log was given");
        CHECK_EQ_INT(s.suite, plans[i].plan.suite);
        tls_free(&s);
        for (size_t line = 0; line < lines; line++)
            for (int is_left_out = 0; is_left_out < 2; is_left_out++) {
                struct keylog *keys = spoilt_keylog(buffer_slice(&t.keylog), line, is_left_out);
                read_talk(&s, &t, keys);
                CHECK(!s.is_decrypted && s.is_established && says_nothing_false(&s, &t));
                CHECK_EQ_STR(s.why_not, strlen(s.why_not),
                             is_left_out ? "the key log does not have this session" : "a record does not authenticate");
                tls_free(&s);
                keylog_free(keys);
            }
        talk_end(&t);
    }
}

static void leaves_strange_lines_out(void)
{
    struct buffer b = { 0 };
    const char *digits = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    buffer_printf(&b, "# comment\n\nCLIENT_RANDOM\nCLIENT_RANDOM %s\n", digits);
    buffer_printf(&b, "CLIENT_RANDOM %s 0\nEXPORTER_SECRET %s %s\n", digits, digits, digits);
    buffer_printf(&b, "CLIENT_RANDOM %s %sx\nCLIENT_RANDOM %s0 %s\n", digits, digits, digits, digits);
    buffer_printf(&b, "CLIENT_RANDOM %s %s%s\n", digits, digits, digits); /* 64 octets */
    struct keylog *keys = keylog_of(buffer_slice(&b));
    CHECK_EQ_INT(keylog_count(keys), 0);
    keylog_free(keys);
    buffer_printf(&b, "SERVER_TRAFFIC_SECRET_0 %s\t%s \r\nCLIENT_TRAFFIC_SECRET_0 %s %s", digits, digits, digits,
                  digits);
    keys = keylog_of(buffer_slice(&b));
    CHECK_EQ_INT(keylog_count(keys), 1);
    keylog_free(keys);
    buffer_free(&b);
}

/* --- Handshakes that fail, and what comes too late --------------------------------------------------------------- */

static bool has_alert(const struct tls_session *s, enum side by, int description)
{
    for (size_t i = 0; i < s->alert_n; i++)
        if (s->alert[i].by == by && s->alert[i].description == description)
            return true;
    return false;
}

static void hears_alerts_of_failed_handshakes(void)
{
    static const uint16_t versions[] = { V12, V13 };

    for (size_t i = 0; i < 2; i++) {
        struct talk t;
        struct tls_session s;

        CHECK_ROW(tls_version_name(versions[i]));
        talk_start(&t, &(struct talk_plan){ .version = versions[i], .is_strict = true, .name = "mx.local.example" });
        CHECK(!talk_handshake(&t));
        read_with_keys(&s, &t);
        CHECK(!s.is_established && s.is_decrypted);
        CHECK(has_alert(&s, CLIENT, MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA));
        tls_free(&s);
        read_talk(&s, &t, NULL);
        CHECK(!s.is_established);
        CHECK_EQ_INT(s.is_decrypted, versions[i] == V12); /* where all was in clear */
        CHECK_EQ_INT(s.alert_n, 1);                       /* mbedTLS' client sends it in clear in 1.3, too */
        tls_free(&s);
        talk_end(&t);
    }
    /* No suite in common: an alert instead of a ServerHello. */
    struct talk t;
    struct tls_session s;
    static const int other[] = { 0xC02F, 0 };
    CHECK_ROW("no suite in common");
    talk_start(&t, &(struct talk_plan){ .version = V12, .suite = 0xC02B });
    mbedtls_ssl_conf_ciphersuites(&t.conf[CLIENT], other);
    CHECK(!talk_handshake(&t));
    read_talk(&s, &t, NULL);
    CHECK(s.has_client_hello && !s.has_server_hello && s.is_decrypted && !s.is_established);
    CHECK(has_alert(&s, SERVER, MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE));
    tls_free(&s);
    talk_end(&t);
}

static void sees_renegotiation(void)
{
    struct talk t;
    struct tls_session s;

    CHECK_ROW("asked for by the client, refused");
    talk_start(&t, &(struct talk_plan){ .version = V12 });
    mbedtls_ssl_conf_renegotiation(&t.conf[CLIENT], MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    CHECK(talk_handshake(&t));
    talk_say(&t, CLIENT, "EHLO a\r\n");
    (void)mbedtls_ssl_renegotiate(&t.ssl[CLIENT]);
    (void)talk_listen(&t, SERVER);
    read_with_keys(&s, &t);
    CHECK_EQ_INT(s.renegotiations, 1);
    CHECK_EQ_INT(s.client_hellos, 1);
    CHECK(s.is_decrypted && !s.is_renegotiated && has_alert(&s, SERVER, MBEDTLS_SSL_ALERT_MSG_NO_RENEGOTIATION));
    tls_free(&s);
    talk_end(&t);

    CHECK_ROW("asked for by the server, done");
    talk_start(&t, &(struct talk_plan){ .version = V12, .may_renegotiate = true });
    CHECK(talk_handshake(&t));
    talk_say(&t, CLIENT, "EHLO a\r\n");
    (void)talk_listen(&t, SERVER);
    (void)mbedtls_ssl_renegotiate(&t.ssl[SERVER]);
    for (int i = 0; i < 8; i++) {
        (void)talk_listen(&t, CLIENT);
        (void)talk_listen(&t, SERVER);
    }
    talk_say(&t, CLIENT, "MAIL FROM:<a@b>\r\n");
    talk_say(&t, SERVER, "250 fine\r\n");
    read_with_keys(&s, &t);
    CHECK_EQ_INT(s.hello_requests, 1);
    CHECK_EQ_INT(s.renegotiations, 1);
    CHECK(s.is_renegotiated && s.is_decrypted && says_all(&s, &t) && !s.is_resumed);
    tls_free(&s);
    talk_end(&t);
}

/* --- Records made by hand ---------------------------------------------------------------------------------------- */

static void add_record(struct stream *s, int type, struct slice body, uint32_t frame)
{
    uint8_t header[] = { (uint8_t)type, 3, 3, (uint8_t)(body.n >> 8), (uint8_t)body.n };

    stream_append(s, (struct slice){ header, sizeof header }, frame);
    stream_append(s, body, frame);
}

/* HKDF-Expand-Label, written again from RFC 8446 7.1 */
static void expand(const uint8_t secret[32], const char *label, uint8_t *out, uint8_t n)
{
    struct buffer info = { 0 };
    uint8_t head[] = { 0, n, (uint8_t)(6 + strlen(label)) };

    buffer_add(&info, head, sizeof head);
    buffer_printf(&info, "tls13 %s", label);
    buffer_add(&info, "\0", 1);
    CHECK_EQ_INT(mbedtls_hkdf_expand(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), secret, 32, info.p, info.n, out, n),
                 0);
    buffer_free(&info);
}

/* Adds a record of TLS_AES_128_GCM_SHA256 under this traffic secret. */
static void seal(struct stream *s, const uint8_t secret[32], uint8_t sequence, uint8_t type, struct slice text,
                 size_t padding, uint32_t frame)
{
    uint8_t key[16], iv[12], inner[600] = { 0 }, sealed[600];
    size_t n = text.n + 1 + padding;
    uint8_t header[] = { 23, 3, 3, (uint8_t)((n + 16) >> 8), (uint8_t)(n + 16) };
    mbedtls_gcm_context gcm;

    memcpy(inner, text.p, text.n);
    inner[text.n] = type;
    expand(secret, "key", key, sizeof key);
    expand(secret, "iv", iv, sizeof iv);
    iv[11] ^= sequence;
    mbedtls_gcm_init(&gcm);
    CHECK_EQ_INT(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 128), 0);
    CHECK_EQ_INT(
        mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, iv, 12, header, 5, inner, sealed, 16, sealed + n), 0);
    mbedtls_gcm_free(&gcm);
    add_record(s, 23, (struct slice){ sealed, n + 16 }, frame);
}

/* The secret of the line with this label. */
static void find_secret(const struct talk *t, const char *label, uint8_t secret[32])
{
    struct slice log = buffer_slice(&t->keylog);
    size_t at = slice_find(log, slice_of(label), 0) + strlen(label) + 1 + 64 + 1;

    CHECK(at + 64 <= log.n);
    for (size_t i = 0; i < 32 && at + 64 <= log.n; i++) {
        char digits[3] = { (char)log.p[at + 2 * i], (char)log.p[at + 2 * i + 1], '\0' };
        secret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* A session of TLS_AES_128_GCM_SHA256 after whose handshake nothing was said yet. */
static void begin_13(struct talk *t, struct connection *c, struct keylog **keys, uint8_t secret[32])
{
    talk_start(t, &(struct talk_plan){ .version = V13, .suite = 0x1301 });
    CHECK(talk_handshake(t));
    talk_capture(t, c, 3, 0);
    *keys = keylog_of(buffer_slice(&t->keylog));
    find_secret(t, "CLIENT_TRAFFIC_SECRET_0", secret);
}

static void follows_key_updates(void)
{
    struct talk t;
    struct connection c;
    struct keylog *keys;
    struct tls_session s;
    uint8_t secret[32], next[32];
    struct stream *client = &c.stream[CLIENT];

    begin_13(&t, &c, &keys, secret);
    seal(client, secret, 0, 23, SLICE("one "), 0, 100);
    seal(client, secret, 1, 22, SLICE("\x18\0\0\1\0"), 3, 101);
    expand(secret, "traffic upd", next, 32);
    seal(client, next, 0, 23, SLICE("two "), 200, 102);
    seal(client, next, 1, 22, SLICE("\x18\0\0"), 0, 103); /* in two records */
    seal(client, next, 2, 22, SLICE("\1\1"), 0, 104);
    expand(next, "traffic upd", secret, 32);
    seal(client, secret, 0, 23, SLICE(""), 0, 105);
    seal(client, secret, 1, 23, SLICE("three"), 0, 106);
    seal(client, secret, 2, 21, SLICE("\1\0"), 0, 107);
    seal(client, secret, 3, 23, SLICE("behind the end"), 0, 108);
    tls_read(&s, &c, from_start, keys);
    CHECK(s.is_decrypted);
    CHECK_EQ_STR((char *)s.plain[CLIENT].octets.p, s.plain[CLIENT].octets.n, "one two three");
    CHECK_EQ_INT(s.plain[CLIENT].span_n, 3);
    CHECK_EQ_INT(s.plain[CLIENT].span[2].frame, 106);
    CHECK_EQ_INT(s.plain[CLIENT].end_frame, 107);
    CHECK(s.plain[CLIENT].is_ended);
    tls_free(&s);
    connection_clear(&c);
    keylog_free(keys);
    talk_end(&t);
}

/* A server may echo the session id and begin anew all the same: only a handshake without Certificate takes a session
 * up. */
static void knows_resumption_by_the_certificate(void)
{
    static const uint8_t id[] = "0123456789abcdef0123456789abcdef";
    struct slice certificate = SLICE("\x0b\0\0\3\0\0\0");

    for (int has_certificate = 0; has_certificate < 2; has_certificate++)
        for (int is_echoed = 0; is_echoed < 2; is_echoed++) {
            struct connection c = { .has_start = true };
            struct tls_session s;
            struct buffer client = { 0 }, server = { 0 };

            buffer_add(&client, "\1\0\0\x49\3\3", 6);
            buffer_add(&client, id, 32); /* as a random */
            buffer_add(&client, "\x20", 1);
            buffer_add(&client, id, 32);
            buffer_add(&client, "\0\2\xc0\x2b\1\0", 6);
            buffer_add(&server, "\2\0\0\x46\3\3", 6);
            buffer_add(&server, id, 32);
            buffer_add(&server, "\x20", 1);
            buffer_add(&server, is_echoed ? id : id + 1, 32);
            buffer_add(&server, "\xc0\x2b\0", 3);
            add_record(&c.stream[CLIENT], 22, buffer_slice(&client), 4);
            add_record(&c.stream[SERVER], 22, buffer_slice(&server), 5);
            if (has_certificate)
                add_record(&c.stream[SERVER], 22, certificate, 6);
            add_record(&c.stream[SERVER], 20, SLICE("\1"), 7);
            tls_read(&s, &c, from_start, NULL);
            CHECK(s.has_client_hello && s.has_server_hello);
            CHECK_EQ_INT(s.version, V12);
            CHECK_EQ_INT(s.is_resumed, is_echoed && !has_certificate);
            tls_free(&s);
            connection_clear(&c);
            buffer_free(&client);
            buffer_free(&server);
        }
}

/* What authenticates and yet makes no sense is in doubt; what does not authenticate even more so. */
static void doubts_strange_records(void)
{
    const struct {
        const char *label;
        uint8_t type;
        struct slice text;
        const char *why;
    } rows[] = {
        { "no content type", 0, SLICE("\0\0"), "a record without a known content type" },
        { "an unknown one", 24, SLICE("beat"), "a record without a known content type" },
        { "a second ServerHello", 22, SLICE("\x18\0\0\1\0\x18\0\0\1\0"),
          "a record that goes on behind a change of keys" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct talk t;
        struct connection c;
        struct keylog *keys;
        struct tls_session s;
        uint8_t secret[32];

        CHECK_ROW(rows[i].label);
        begin_13(&t, &c, &keys, secret);
        seal(&c.stream[CLIENT], secret, 0, 23, SLICE("lost"), 0, 100);
        seal(&c.stream[CLIENT], secret, 1, rows[i].type, rows[i].text, 0, 101);
        tls_read(&s, &c, from_start, keys);
        CHECK(!s.is_decrypted && s.plain[CLIENT].octets.n == 0 && s.plain[CLIENT].span == NULL);
        CHECK(s.why_not != NULL);
        if (s.why_not != NULL)
            CHECK_EQ_STR(s.why_not, strlen(s.why_not), rows[i].why);
        tls_free(&s);
        connection_clear(&c);
        keylog_free(keys);
        talk_end(&t);
    }
}

static void doubts_clear_records_among_protected_ones(void)
{
    static const int types[] = { 20, 21, 22 };

    for (size_t i = 0; i < 3; i++) {
        struct talk t;
        struct connection c;
        struct keylog *keys;
        struct tls_session s;
        uint8_t secret[32];

        begin_13(&t, &c, &keys, secret);
        seal(&c.stream[CLIENT], secret, 0, 23, SLICE("said"), 0, 100);
        add_record(&c.stream[CLIENT], types[i], SLICE("\1\0"), 101);
        tls_read(&s, &c, from_start, keys);
        CHECK(!s.is_decrypted && !s.has_close_notify[CLIENT] && s.breach[CLIENT] == NULL);
        CHECK_EQ_STR(s.why_not, strlen(s.why_not), "an unprotected record among protected ones");
        tls_free(&s);
        connection_clear(&c);
        keylog_free(keys);
        talk_end(&t);
    }
}

/* A Finished in clear is none: whoever sends it has no keys. */
static void believes_no_finished_in_clear(void)
{
    struct talk t;
    struct connection c, cut = { .has_start = true };
    struct keylog *keys;
    struct tls_session s;
    uint8_t secret[32];
    struct slice finished = SLICE("\x14\0\0\x20"
                                  "0123456789abcdef0123456789abcdef");

    begin_13(&t, &c, &keys, secret);
    struct slice hello = buffer_slice(&c.stream[CLIENT].octets), server = buffer_slice(&c.stream[SERVER].octets);
    stream_append(&cut.stream[CLIENT], slice_part(hello, 0, 5 + ((size_t)hello.p[3] << 8 | hello.p[4])), 4);
    stream_append(&cut.stream[SERVER], server, 5);
    add_record(&cut.stream[CLIENT], 22, finished, 6);
    tls_read(&s, &cut, from_start, keys);
    CHECK(s.has_server_hello && !s.is_established);
    tls_free(&s);
    connection_clear(&cut);
    connection_clear(&c);
    keylog_free(keys);
    talk_end(&t);
}

/* --- Breaches ---------------------------------------------------------------------------------------------------- */

static void finds_the_first_octet_that_is_no_record(void)
{
    const struct {
        const char *label;
        struct slice octets;
        bool is_breach;
    } rows[] = {
        { "nothing", SLICE(""), false },
        { "a reply", SLICE("554 5.5.1 no\r\n"), true },
        { "one octet of a reply", SLICE("5"), true },
        { "type 0x13", SLICE("\x13"), true },
        { "type 0x18", SLICE("\x18\3\3\0\1"), true },
        { "one octet of a record", SLICE("\x14"), false },
        { "version 2.x", SLICE("\x16\2"), true },
        { "SSLv2", SLICE("\x80\x2e\1"), true },
        { "version 3.15", SLICE("\x16\3\x0f"), false },
        { "version 3.16", SLICE("\x16\3\x10"), true },
        { "2^14 + 2048", SLICE("\x16\3\1\x48\0"), false },
        { "one more", SLICE("\x16\3\1\x48\1"), true },
        { "a header cut", SLICE("\x16\3\1\xff"), false },
        { "a body cut", SLICE("\x16\3\1\0\4\1\0\0"), false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t before = 0; before < 3; before++) {
            struct connection c = { .has_start = true };
            struct tls_session s;
            const size_t start[2] = { 4, 0 };

            CHECK_ROW(rows[i].label);
            stream_append(&c.stream[CLIENT], SLICE("NOOP"), 1);
            for (size_t n = 0; n < before; n++)
                add_record(&c.stream[CLIENT], 21, SLICE("\2\x28"), 2);
            stream_append(&c.stream[CLIENT], rows[i].octets, 3);
            tls_read(&s, &c, start, NULL);
            CHECK_EQ_INT(s.breach[CLIENT] != NULL, rows[i].is_breach);
            CHECK_EQ_INT(s.breach_at[CLIENT], rows[i].is_breach ? 4 + 7 * before : 0);
            CHECK_EQ_INT(s.records[CLIENT], before);
            CHECK_EQ_INT(s.alert_n, before);
            CHECK(s.breach[SERVER] == NULL && s.is_decrypted);
            tls_free(&s);
            connection_clear(&c);
        }
}

/* TLS 1.3 allows less; and what follows a whole session is seen, too. */
static void finds_breaches_behind_a_session(void)
{
    struct talk t;
    struct connection c;
    struct keylog *keys;
    struct tls_session s;
    uint8_t secret[32];

    begin_13(&t, &c, &keys, secret);
    size_t end = c.stream[SERVER].octets.n;
    stream_append(&c.stream[SERVER], SLICE("\x17\3\3\x41\1"), 200);
    tls_read(&s, &c, from_start, keys);
    CHECK(s.breach[SERVER] != NULL && s.is_established);
    CHECK_EQ_INT(s.breach_at[SERVER], end);
    tls_free(&s);
    connection_clear(&c);
    keylog_free(keys);
    talk_end(&t);
}

/* --- Damage ------------------------------------------------------------------------------------------------------ */

static void stream_copy(struct stream *to, const struct stream *from, size_t n)
{
    for (size_t i = 0; i < from->span_n; i++) {
        size_t end = i + 1 < from->span_n ? from->span[i + 1].at : from->octets.n;
        stream_append(to, slice_part(buffer_slice(&from->octets), from->span[i].at, end < n ? end : n),
                      from->span[i].frame);
    }
}

static void connection_copy(struct connection *to, const struct connection *from, size_t client_n, size_t server_n)
{
    *to = (struct connection){ .has_start = true };
    stream_copy(&to->stream[CLIENT], &from->stream[CLIENT], client_n);
    stream_copy(&to->stream[SERVER], &from->stream[SERVER], server_n);
}

/* A short session, so that each of its octets can be the last. */
static void hold_short(struct talk *t, const struct talk_plan *plan)
{
    talk_start(t, plan);
    CHECK(talk_handshake(t));
    talk_say(t, SERVER, "250 mx\r\n");
    talk_say(t, CLIENT, "MAIL FROM:<a@b.example>\r\n");
    (void)talk_listen(t, CLIENT);
    talk_close(t, CLIENT);
    talk_close(t, SERVER);
}

static void survives_truncation_at_each_octet(void)
{
    for (size_t i = 0; i < PLANS; i++) {
        struct talk t;
        struct connection whole;

        CHECK_ROW(plans[i].label);
        hold_short(&t, &plans[i].plan);
        talk_capture(&t, &whole, 5, 600);
        struct keylog *keys = keylog_of(buffer_slice(&t.keylog));
        for (enum side side = CLIENT; side <= SERVER; side++)
            for (size_t n = 0; n < whole.stream[side].octets.n; n++) {
                struct connection c;
                struct tls_session s;

                connection_copy(&c, &whole, side == CLIENT ? n : SIZE_MAX, side == SERVER ? n : SIZE_MAX);
                tls_read(&s, &c, from_start, keys);
                CHECK(says_nothing_false(&s, &t));
                CHECK(s.breach[CLIENT] == NULL && s.breach[SERVER] == NULL);
                CHECK(!s.plain[side].is_ended);
                tls_free(&s);
                connection_clear(&c);
            }
        keylog_free(keys);
        connection_clear(&whole);
        talk_end(&t);
    }
}

/* Where record `n` of a stream begins; the stream's length when it has fewer. */
static size_t record_at(struct slice octets, size_t n)
{
    size_t at = 0;

    while (n-- > 0 && at + 5 <= octets.n)
        at += 5 + ((size_t)octets.p[at + 3] << 8 | octets.p[at + 4]);
    return at < octets.n ? at : octets.n;
}

/* Takes octets out of the stream and puts others in. */
static void splice(struct stream *s, size_t from, size_t to, struct slice instead)
{
    struct stream made = { .has_hole = false };
    struct slice octets = buffer_slice(&s->octets);

    stream_append(&made, slice_part(octets, 0, from), 4);
    stream_append(&made, instead, 5);
    stream_append(&made, slice_part(octets, to, octets.n), 6);
    free(s->span);
    buffer_free(&s->octets);
    *s = made;
}

static void repeat_or_drop_record(struct stream *s, uint32_t *random)
{
    size_t n = talk_random(random) % 12;
    struct slice octets = buffer_slice(&s->octets);
    size_t from = record_at(octets, n), to = record_at(octets, n + 1);

    if (talk_random(random) % 2)
        splice(s, from, to, (struct slice){ NULL, 0 });
    else
        splice(s, to, to, slice_part(octets, from, to));
}

/* Swaps a record's header for one of another type or length. */
static void spoil_header(struct stream *s, uint32_t *random)
{
    size_t at = record_at(buffer_slice(&s->octets), talk_random(random) % 12) + talk_random(random) % 5;

    if (at < s->octets.n)
        s->octets.p[at] = (uint8_t)(s->octets.p[at] + 1 + talk_random(random) % 3);
}

static void damage(struct connection *c, uint32_t *random)
{
    struct stream *s = &c->stream[talk_random(random) % 2];
    size_t at = talk_random(random) % s->octets.n, n = talk_random(random) % 40;

    switch (talk_random(random) % 6) {
    case 0: s->octets.p[at] ^= (uint8_t)(1U << talk_random(random) % 8); break;
    case 1: s->octets.p[at] = (uint8_t)talk_random(random); break;
    case 2: splice(s, at, at + n < s->octets.n ? at + n : s->octets.n, (struct slice){ NULL, 0 }); break;
    case 3: splice(s, at, at, slice_part(buffer_slice(&s->octets), n, 2 * n)); break;
    case 4: repeat_or_drop_record(s, random); break;
    default: spoil_header(s, random);
    }
}

static void believes_no_mutant(void)
{
    uint32_t random = 20261122;
    size_t decrypted = 0;

    for (size_t i = 0; i < PLANS; i++) {
        struct talk t;
        struct connection whole;

        CHECK_ROW(plans[i].label);
        hold_short(&t, &plans[i].plan);
        talk_capture(&t, &whole, 9, 400);
        struct keylog *keys = keylog_of(buffer_slice(&t.keylog));
        for (size_t n = 0; n < TEST_LESS(MUTANTS) / PLANS; n++) {
            struct connection c;
            struct tls_session s;

            connection_copy(&c, &whole, SIZE_MAX, SIZE_MAX);
            for (size_t wounds = 1 + talk_random(&random) % 3; wounds > 0; wounds--)
                damage(&c, &random);
            tls_read(&s, &c, from_start, talk_random(&random) % 8 ? keys : NULL);
            CHECK(says_nothing_false(&s, &t));
            decrypted += s.is_decrypted;
            tls_free(&s);
            connection_clear(&c);
        }
        keylog_free(keys);
        connection_clear(&whole);
        talk_end(&t);
    }
    CHECK(decrypted > 0 && decrypted < MUTANTS / 2);
}

/* Messages in records of one octet each, and one that claims 16 MB. */
static void puts_messages_together(void)
{
    struct talk t;
    struct connection whole, c = { .has_start = true };
    struct tls_session s;

    hold_short(&t, &plans[0].plan);
    talk_capture(&t, &whole, 9, 0);
    struct slice octets = buffer_slice(&whole.stream[CLIENT].octets);
    size_t hello_end = record_at(octets, 1);
    for (size_t i = 5; i < hello_end; i++)
        add_record(&c.stream[CLIENT], 22, slice_part(octets, i, i + 1), 4);
    stream_append(&c.stream[CLIENT], slice_part(octets, hello_end, octets.n), 50);
    stream_append(&c.stream[SERVER], buffer_slice(&whole.stream[SERVER].octets), 20);
    struct keylog *keys = keylog_of(buffer_slice(&t.keylog));
    tls_read(&s, &c, from_start, keys);
    CHECK(s.is_decrypted && s.is_established && says_all(&s, &t));
    tls_free(&s);
    connection_clear(&c);
    connection_clear(&whole);
    keylog_free(keys);
    talk_end(&t);

    add_record(&c.stream[CLIENT], 22, SLICE("\1\xff\xff\xff\3\3"), 4);
    for (int i = 0; i < 100000; i++)
        add_record(&c.stream[CLIENT], 22, SLICE("xx"), 5);
    tls_read(&s, &c, from_start, NULL);
    CHECK(!s.has_client_hello && s.is_decrypted);
    CHECK_EQ_INT(s.records[CLIENT], 100001);
    tls_free(&s);
    connection_clear(&c);
}

static void names_numbers(void)
{
    CHECK_EQ_STR(tls_version_name(0x0304), strlen(tls_version_name(0x0304)), "TLS 1.3");
    CHECK_EQ_STR(tls_suite_name(0x1302), strlen(tls_suite_name(0x1302)), "TLS_AES_256_GCM_SHA384");
    CHECK_EQ_STR(tls_suite_name(0xFFFE), strlen(tls_suite_name(0xFFFE)), "0xFFFE");
    CHECK_EQ_STR(tls_group_name(0x001d), strlen(tls_group_name(0x001d)), "x25519");
    CHECK_EQ_STR(tls_alert_name(100), strlen(tls_alert_name(100)), "no_renegotiation");
    CHECK_EQ_STR(tls_alert_name(9), strlen(tls_alert_name(9)), "0x09");
}

static const struct test_case tests[] = {
    TEST(reads_every_suite),
    TEST(tells_what_hellos_say),
    TEST(counts_tickets_and_sees_resumption),
    TEST(says_why_without_keys),
    TEST(leaves_strange_lines_out),
    TEST(hears_alerts_of_failed_handshakes),
    TEST(sees_renegotiation),
    TEST(follows_key_updates),
    TEST(knows_resumption_by_the_certificate),
    TEST(doubts_strange_records),
    TEST(doubts_clear_records_among_protected_ones),
    TEST(believes_no_finished_in_clear),
    TEST(finds_the_first_octet_that_is_no_record),
    TEST(finds_breaches_behind_a_session),
    TEST(survives_truncation_at_each_octet),
    TEST(believes_no_mutant),
    TEST(puts_messages_together),
    TEST(names_numbers),
};
TEST_MAIN(tests)
