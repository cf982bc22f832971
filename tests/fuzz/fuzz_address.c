/* Addresses, endpoints and networks from text. What is read prints, and what is printed reads as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "policy/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_address(struct str in)
{
    struct address address, back;
    char text[ADDRESS_TEXT_MAX];
    size_t n;

    if (!address_parse(in, &address))
        return;
    n = address_print(&address, text);
    must(n < ADDRESS_TEXT_MAX && text[n] == '\0');
    must(address_parse(str_from(text, n), &back) && address_eq(&address, &back));
    must((str_find(str_from(text, n), ':') == n) == address_is_v4(&address));
}

static void try_endpoint(struct str in)
{
    struct endpoint endpoint, back;
    char text[ENDPOINT_TEXT_MAX];
    size_t n;

    if (!endpoint_parse(in, 25, &endpoint))
        return;
    n = endpoint_print(&endpoint, text);
    must(n < ENDPOINT_TEXT_MAX && text[n] == '\0');
    must(endpoint_parse(str_from(text, n), 0, &back) && back.port == endpoint.port);
    must(address_eq(&endpoint.address, &back.address));
}

static void try_network(struct str in)
{
    struct network network;

    if (!network_parse(in, &network))
        return;
    must(network.bits <= 128);
    must(network_holds(&network, &network.address) || (address_is_v4(&network.address) && network.bits < 96));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_from((const char *)data, size);

    try_address(in);
    try_endpoint(in);
    try_network(in);
    return 0;
}
