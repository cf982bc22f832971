/* PROXY protocol v1 and v2 (haproxy.org/download/3.0/doc/proxy-protocol.txt): the address of the real client.
 *
 * North it is read from listed addresses only, before anything else on the connection; south it can be written so that
 * the back end logs the real client.
 */
#ifndef PROXY_PROXY_PROTOCOL_H
#define PROXY_PROXY_PROTOCOL_H

#include "../policy/address.h"
#include "../policy/str.h"

enum { PROXY_HEADER_MAX = 536 /* v1: 107; v2: 16 + 12..36 + TLVs, which we read past up to this bound */ };

enum proxy_event {
    PROXY_NEED,   /* so far a prefix of a header */
    PROXY_READY,  /* header read; `*used` bytes consumed */
    PROXY_LOCAL,  /* header read; LOCAL or UNKNOWN: keep the connection's own addresses */
    PROXY_INVALID /* not a header: close */
};

/* `in` is everything received so far on the connection (at most PROXY_HEADER_MAX bytes are looked at). */
enum proxy_event proxy_header_parse(struct str in, size_t *used, struct endpoint *source, struct endpoint *target);

/* Prints a header of `version` 1 or 2 for TCP from `source` to `target` into `out`; returns its length. Mixed families
 * are printed as IPv6 with mapped addresses.
 */
size_t proxy_header_print(int version, const struct endpoint *source, const struct endpoint *target,
                          char out[PROXY_HEADER_MAX]);

#endif
