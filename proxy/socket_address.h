/* Endpoints as the kernel has them. */
#ifndef PROXY_SOCKET_ADDRESS_H
#define PROXY_SOCKET_ADDRESS_H

#include <sys/socket.h>

#include "../policy/address.h"

/* Fills in `*out` and returns how much of it is the address: AF_INET for IPv4, else AF_INET6. */
socklen_t socket_address(const struct endpoint *, struct sockaddr_storage *out);

#endif
