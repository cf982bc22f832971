/* Memory worth counting: what one thing costs at worst, in octets. `postern check` multiplies these with the limits of
 * the ini and proves that the sum fits [limits] memory. Each figure is a bound kept by the code named beside it; a test
 * measures them (tests/unit/test_budget.c).
 */
#ifndef PROXY_BUDGET_H
#define PROXY_BUDGET_H

enum {
    BUDGET_WORKER = 4 << 20,         /* a worker without sessions: program, loop, read buffer, pools (tests/bench) */
    BUDGET_SUPERVISOR = 3 << 20,
    BUDGET_SESSION = 24 << 10,       /* session, both streams, line buffer, back-end reader, output of both legs (session.c) */
    BUDGET_INPUT = 32 << 10,         /* unconsumed input of one leg (stream.c); two legs */
    BUDGET_TLS = 56 << 10,           /* one TLS connection in its handshake (mbedTLS, Debian's configuration) */
    BUDGET_ADDRESS_ENTRY = 64        /* shared table of addresses (counts.c) */
};

#endif
