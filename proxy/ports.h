/* The ports that the configuration listens on, each as one socket per worker (SO_REUSEPORT).
 *
 * The supervisor binds them as root, listens, and keeps them: worker i of any generation accepts from socket i. So a connection
 * that waits in the kernel while a worker is replaced, or restarted after a crash, is served by the next one.
 */
#ifndef PROXY_PORTS_H
#define PROXY_PORTS_H

#include "config.h"
#include "counts.h"
#include "worker.h"

struct ports {
    struct bound_port *item;
    size_t n;
    unsigned sockets; /* per port: one per worker */
};

/* Binds what `config` names. Ports that `old` (may be NULL) has open already are taken over from it; on failure `old` is as
 * before. False and a line in `errors` when one cannot be bound.
 */
bool ports_open(struct ports *, const struct config *config, unsigned sockets, const struct ports *old, FILE *errors);
/* Closes the sockets that `in_use` (may be NULL) has not taken over, and forgets all. */
void ports_close(struct ports *, const struct ports *in_use);

/* In a child: closes all sockets but those of worker `slot`, and lists these in `out` (of `max`), with their listeners.
 * Returns how many.
 */
size_t ports_of_worker(const struct ports *, unsigned slot, const struct config *, const unsigned *counted_as,
                       struct worker_port *out, size_t max);

#endif
