/* Memory worth counting: what one thing costs at worst, in octets. `postern check` multiplies these with the limits of
 * the ini and proves that the sum fits [limits] memory. Each figure is a bound kept by the code named beside it.
 */
#ifndef PROXY_BUDGET_H
#define PROXY_BUDGET_H

enum {
    BUDGET_WORKER = 4 << 20,     /* a worker without sessions: program, loop, read buffer, pools (tests/bench) */
    BUDGET_SUPERVISOR = 3 << 20, /* (tests/bench) */
    BUDGET_SESSION =
        104 << 10, /* session, transaction, both streams, command line, replies, a stream's reserve (session.c) */
    BUDGET_INPUT = 17 << 10, /* input that the session does not take yet; the client's leg alone has any (stream.c) */
    BUDGET_TLS = 68 << 10,   /* one TLS connection in its handshake, and a chunk of output (mbedTLS as in Debian) */
    BUDGET_DNS_ANSWER = 1536 << 10, /* a message from a resolver, taken apart (resolver_ares.c refuses to need more) */
    BUDGET_DNS_QUERY = 4 << 10,     /* one under way: c-ares or resolver_raw.c, its handle (worker_resolver.c) */
    BUDGET_QUESTION =
        512, /* of a session, under way or waiting for its turn: its name, and who waits for it (resolver.c) */
    BUDGET_ADDRESS_ENTRY = 32 /* in the row of each worker, a power of two of 16-octet places (counts.c) */
};

#endif
