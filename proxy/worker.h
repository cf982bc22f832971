/* A worker: one process, one libuv loop, its share of the sessions. It accepts connections, drives the session machines
 * (session.h), connects them to back ends, and probes the back-end servers.
 *
 * All it needs is handed in: it opens no file (but GeoIP databases, geoip.h) and binds no port, so it can run with no privileges
 * in an empty root.
 *
 *     SIGUSR1  retire: accept nothing more, let the sessions go on, exit when the last one has ended (reload)
 *     SIGUSR2  append what was recorded to the file of [record]
 *     SIGTERM  drain: the same, but ask sessions to end, and end those left after timeouts.drain
 *     SIGTERM  again: end now
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "config.h"
#include "counts.h"
#include "geoip.h"
#include "greylist.h"
#include "list_states.h"
#include "past.h"
#include "rates.h"
#include "recipients.h"
#include "standing.h"
#include "tls.h"

struct worker_port {
    int fd; /* bound and listening; the worker closes it */
    const struct listener *listener;
    unsigned counted_as; /* counts_listeners */
};

/* Everything outlives worker_run. */
struct worker_start {
    const struct config *config;
    const struct dns_settings *dns;       /* with servers, which the configuration may lack */
    struct tls_server *tls;               /* NULL without certificates */
    struct tls_client *const *tls_client; /* one per route; NULL where TLS is off */
    struct counts *counts;
    struct past *past;
    struct list_states *lists;
    struct standing *standing;
    struct shared_table *greylist;
    struct rates *rates;
    struct shared_table *recipients;
    struct geoip *geo; /* NULL: no database is configured */
    unsigned row;      /* of `counts` */
    unsigned workers;  /* processes that share limits.message_memory */
    const struct worker_port *port;
    size_t ports;
    int log_fd;
    int record_fd; /* where SIGUSR2 writes what was recorded; -1: nowhere */
    int ready_fd;  /* gets one octet once connections are accepted, and is closed then; or -1 */
};

/* Returns the exit status: 0 after a retreat in order. */
int worker_run(const struct worker_start *);

#endif
