/* Handshake messages: put together from records, and what the oracle wants to know of them (RFC 8446 4, RFC 5246
 * 7.4). */
#ifndef WIRE_TLS_HANDSHAKE_H
#define WIRE_TLS_HANDSHAKE_H

#include "bytes.h"

enum handshake_type {
    MESSAGE_HELLO_REQUEST = 0,
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_SERVER_HELLO = 2,
    MESSAGE_NEW_SESSION_TICKET = 4,
    MESSAGE_ENCRYPTED_EXTENSIONS = 8,
    MESSAGE_CERTIFICATE = 11,
    MESSAGE_SERVER_KEY_EXCHANGE = 12,
    MESSAGE_FINISHED = 20,
    MESSAGE_KEY_UPDATE = 24
};

/* Octets of handshake records that have not become messages yet. {0} is empty. */
struct handshake_queue {
    struct buffer octets;
    size_t at;
};

struct handshake_message {
    uint8_t type;
    struct slice body; /* valid until octets are added */
};

void handshake_add(struct handshake_queue *q, struct slice octets);
/* Takes the next whole message; false when there is none. */
bool handshake_next(struct handshake_queue *q, struct handshake_message *m);
/* No message has begun. */
bool handshake_is_idle(const struct handshake_queue *q);

struct client_hello {
    uint8_t random[32];
    struct slice session_id;
    char server_name[256];
    bool has_early_data, has_ems, has_renegotiation_info;
};

struct server_hello {
    uint16_t version; /* from supported_versions where that is */
    uint8_t random[32];
    struct slice session_id;
    uint16_t suite, group;
    uint8_t compression;
    bool is_retry; /* HelloRetryRequest */
    bool has_ems, has_renegotiation_info, has_psk;
};

/* False when not even the fixed fields are there; what is wrong behind them is left out. */
bool client_hello_read(struct client_hello *h, struct slice body);
bool server_hello_read(struct server_hello *h, struct slice body);
/* The named curve of an ECDHE ServerKeyExchange; 0: it has none. */
uint16_t key_exchange_group(struct slice body);
/* Is early_data among the extensions of EncryptedExtensions, or of a TLS 1.3 NewSessionTicket? */
bool extensions_have_early_data(struct slice body);
bool ticket_has_early_data(struct slice body);

#endif
