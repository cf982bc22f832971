/* TLS 1.2 and 1.3 records of a captured connection: what they show in clear, and with a key log what they hide.
 *
 * Our own record layer on mbedTLS' AEAD functions, not tshark: it keeps the frame and time of each octet, judges the
 * records themselves (ORACLE T), needs no 300 MB package, and reads a campaign's capture in one pass. A test
 * compares it with tshark's. Suites: AES-128/256-GCM and ChaCha20-Poly1305, which is all that Postern offers. */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include "flow.h"

struct keylog; /* NSS key log lines, by client random */

struct keylog *keylog_read(const char *path); /* ends the program when it cannot be read; strange lines are left out */
size_t keylog_count(const struct keylog *k);
void keylog_free(struct keylog *k);

struct tls_alert {
    enum side by;
    uint8_t level, description;
    uint32_t frame;
    int64_t time;
};

struct tls_session {
    size_t start[2]; /* where TLS begins in the connection's streams */
    bool has_client_hello, has_server_hello;
    uint8_t client_random[32];
    uint16_t version; /* negotiated: 0x0303, 0x0304; 0 when there was no ServerHello */
    uint16_t suite;
    uint16_t group; /* of the key share (1.3) or ServerKeyExchange (1.2); 0 unknown */
    uint8_t compression;
    bool has_ems, has_renegotiation_info; /* of the ServerHello (1.2) */
    bool offers_ems,
        offers_renegotiation_info; /* of the first ClientHello; the latter also as a suite (RFC 5746 3.3) */
    bool offers_early_data;        /* in EncryptedExtensions or NewSessionTicket, if readable */
    unsigned tickets;              /* NewSessionTicket messages, if readable (1.2: in clear, always readable) */
    bool is_resumed;               /* pre_shared_key selected (1.3), session id echoed with no certificate (1.2) */
    unsigned client_hellos;        /* more than one after HelloRetryRequest is right; see is_hrr */
    unsigned renegotiations;       /* ClientHello records after the handshake that could be read */
    bool is_renegotiated;          /* the server answered one of them with a ServerHello */
    unsigned hello_requests;
    bool is_hrr;
    char server_name[256]; /* SNI, "" for none */
    bool is_established;   /* both Finished were seen (encrypted ones by their place) */
    int64_t established_time;
    uint32_t established_frame;
    size_t records[2];
    struct tls_alert *alert; /* those that could be read; in order */
    size_t alert_n;
    bool has_close_notify[2];
    /* The first octet that is no TLS record: NULL none. Offset into that side's stream. */
    const char *breach[2];
    size_t breach_at[2];
    /* The key log had it and every protected record authenticated, on both sides. So, too, when the handshake failed
     * before anything was protected: nothing is hidden then. A breach is judged apart. */
    bool is_decrypted;
    const char *why_not;    /* else the reason in a few words */
    struct stream plain[2]; /* application data; empty unless is_decrypted. is_ended: close_notify */
};

/* Reads TLS from these offsets on. `keys` may be NULL. */
void tls_read(struct tls_session *t, const struct connection *c, const size_t start[2], const struct keylog *keys);
void tls_free(struct tls_session *t);
/* "TLS 1.3", "TLS_AES_256_GCM_SHA384", "x25519"; a number in hexadecimal when unknown. Static memory. */
const char *tls_version_name(uint16_t version);
const char *tls_suite_name(uint16_t suite);
const char *tls_group_name(uint16_t group);
const char *tls_alert_name(uint8_t description);

#endif
