/* The PROXY protocol's header, which a load balancer puts in front of a client's octets. */
#ifndef WIRE_PROXY_HEADER_H
#define WIRE_PROXY_HEADER_H

#include "bytes.h"

/* How many octets of it `s` begins with: version 2 (binary, with its length) or 1 (a line of at most 107 octets);
 * 0 none. */
size_t proxy_header_length(struct slice s);

#endif
