/* What protocol a client speaks, from its first octets: a word for the log, nothing is decided by it. */
#ifndef PROXY_PROTOCOL_H
#define PROXY_PROTOCOL_H

#include "../policy/str.h"

/* "SMTP", "TLS", "HTTP", ...; else "text" or "binary". A constant. */
const char *protocol_guess(struct str start);

#endif
