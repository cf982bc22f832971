/* IP addresses and networks, as plain bytes: no sockets here. */
#ifndef POLICY_ADDRESS_H
#define POLICY_ADDRESS_H

#include <stdint.h>

#include "str.h"

/* An IP address. IPv4 is held as its IPv4-mapped IPv6 form (::ffff:a.b.c.d), so that one comparison serves
 * both and a mapped address on a dual-stack socket equals its IPv4 self (RFC 4291 2.5.5.2).
 */
struct address {
    uint8_t byte[16];
};

struct endpoint {
    struct address address;
    uint16_t port;
};

struct network {
    struct address address;
    uint8_t bits; /* 0..128, of the mapped form: an IPv4 /24 is 120 */
};

enum {
    ADDRESS_TEXT_MAX = 46,     /* longest text with its NUL */
    NETWORK_TEXT_MAX = 46 + 4, /* "address/128" with its NUL */
    ENDPOINT_TEXT_MAX = 46 + 8 /* "[address]:port" with its NUL */
};

bool address_is_v4(const struct address *);
bool address_eq(const struct address *, const struct address *);
bool address_is_loopback(const struct address *);

/* Dotted quad or any RFC 4291 form; no zone, no brackets. Strict: no leading zeros, exactly four decimal
 * parts.
 */
bool address_parse(struct str, struct address *out);

/* RFC 5952 text (dotted quad for IPv4). Returns the length; `out` is NUL-terminated. */
size_t address_print(const struct address *, char out[ADDRESS_TEXT_MAX]);

/* The network an address is in: "192.0.2.0/24", "2001:db8::/64"; without the slash when it is the whole address. `v4_bits` at
 * most 32, `v6_bits` at most 128. Returns the length; `out` is NUL-terminated.
 */
size_t address_print_network(const struct address *, unsigned v4_bits, unsigned v6_bits, char out[NETWORK_TEXT_MAX]);

/* "192.0.2.1:25" or "[2001:db8::1]:25"; without a port `default_port` is used (0: a port is required). IPv6
 * stands in brackets, with or without a port; IPv4 never does. Port 0 is read as written: a listener may want
 * it, a caller may not.
 */
bool endpoint_parse(struct str, uint16_t default_port, struct endpoint *out);
size_t endpoint_print(const struct endpoint *, char out[ENDPOINT_TEXT_MAX]);

/* "192.0.2.0/24", "2001:db8::/32" or a single address; host bits must be zero. */
bool network_parse(struct str, struct network *out);

/* An IPv4 address is held only by IPv4 networks (and mapped ones): "::/0" means every IPv6 address. */
bool network_holds(const struct network *, const struct address *);

#endif
