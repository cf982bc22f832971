#include "socket_address.h"

#include <netinet/in.h>
#include <string.h>

socklen_t socket_address(const struct endpoint *endpoint, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(endpoint->port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(endpoint->port) };

    *out = (struct sockaddr_storage){ 0 };
    if (address_is_v4(&endpoint->address)) {
        memcpy(&v4.sin_addr, endpoint->address.byte + 12, 4);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    memcpy(&v6.sin6_addr, endpoint->address.byte, 16);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}
