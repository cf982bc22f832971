/* What a key log has for a session; see tls.h for how it is read. */
#ifndef WIRE_KEYLOG_H
#define WIRE_KEYLOG_H

#include "tls.h"

enum secret_kind {
    SECRET_MASTER,           /* TLS 1.2: CLIENT_RANDOM */
    SECRET_CLIENT_HANDSHAKE, /* TLS 1.3, and the rest */
    SECRET_SERVER_HANDSHAKE,
    SECRET_CLIENT_TRAFFIC,
    SECRET_SERVER_TRAFFIC
};

/* The secret of the session that began with this client random; n = 0 and p = NULL when there is none. `k` may be
 * NULL. */
struct slice keylog_find(const struct keylog *k, const uint8_t client_random[32], enum secret_kind kind);

#endif
