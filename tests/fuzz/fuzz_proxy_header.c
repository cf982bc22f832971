/* The first bytes of a connection. Every way to cut them in two agrees; what was read prints and reads as the
 * same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return address_eq(&a->address, &b->address) && a->port == b->port;
}

static void must_read_back(const struct endpoint *source, const struct endpoint *target)
{
    for (int version = 1; version <= 2; version++) {
        struct endpoint source_back, target_back;
        char out[PROXY_HEADER_MAX];
        size_t n = proxy_header_print(version, source, target, out), used = 0;

        must(proxy_header_parse(str_from(out, n), &used, &source_back, &target_back) == PROXY_READY);
        must(used == n);
        must(endpoint_eq(source, &source_back) && endpoint_eq(target, &target_back));
    }
}

/* A prefix says NEED, or already what the whole says, and never READY before the header's last byte. */
static void must_agree_with_prefixes(struct str in, enum proxy_event event, size_t used)
{
    for (size_t n = 0; n < in.n; n++) {
        struct endpoint source, target;
        size_t prefix_used = 0;
        enum proxy_event prefix = proxy_header_parse(str_from(in.p, n), &prefix_used, &source, &target);

        must(prefix == PROXY_NEED || (prefix == event && prefix_used == used));
        must(used == 0 || (prefix == PROXY_NEED) == (n < used));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_from((const char *)data, size < 1024 ? size : 1024);
    struct endpoint source, target;
    size_t used = 0;
    enum proxy_event event = proxy_header_parse(in, &used, &source, &target);

    must(used <= in.n && used <= PROXY_HEADER_MAX);
    must((used > 0) == (event == PROXY_READY || event == PROXY_LOCAL));
    must(event != PROXY_NEED || in.n < PROXY_HEADER_MAX);
    must_agree_with_prefixes(in, event, used);
    if (event == PROXY_READY)
        must_read_back(&source, &target);
    return 0;
}
