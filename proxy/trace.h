/* Trace information: the Received field Postern puts in front (RFC 5321 4.4), and the header section as it goes on. */
#ifndef PROXY_TRACE_H
#define PROXY_TRACE_H

#include "../policy/address.h"
#include "../policy/str.h"
#include "chain.h"
#include "tls_facts.h"

struct trace {
    struct str hostname;
    struct str helo; /* as given; checked by the command parser */
    struct endpoint client;
    bool is_esmtp, is_utf8, is_authenticated;
    const struct tls_facts *tls; /* NULL in clear */
    struct str id;
    struct str only_recipient; /* printed as "for" when not empty: more than one would tell on blind copies */
    int64_t now;               /* seconds since the epoch */
};

enum { TRACE_MAX = 2048 };

/* Prints the Received field with its CRLF; returns its length (always below TRACE_MAX). */
size_t trace_received(const struct trace *, char out[TRACE_MAX]);

/* "Sun, 22 Nov 2026 12:00:00 +0000" (RFC 5322 3.3). `out` takes 32 bytes with the NUL; returns the length. */
size_t trace_date(int64_t unix_seconds, char out[32]);

/* How often the message was received before (RFC 5321 6.3). */
unsigned trace_hops(struct str header);

/* Puts the header section into `out` for the back end, dots stuffed unless `is_raw`, leaving out the fields that only we may
 * write (results_is_ours), wherever a lenient reader might find them. `*removed` counts them. False when the pool has no
 * room.
 */
bool trace_put_header(struct str header, struct str authserv_id, bool is_raw, struct chain *out, struct pool *,
                      unsigned *removed);

#endif
