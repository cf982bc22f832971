/* Tells systemd how things are (sd_notify(3)), by hand: one datagram to $NOTIFY_SOCKET. Without one, nothing happens. */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

#include <stdint.h>

struct notify {
    int fd;               /* -1: nobody listens */
    uint64_t watchdog_ms; /* WATCHDOG=1 is due this often; 0: never */
};

void notify_open(struct notify *);
void notify_close(struct notify *);
/* "READY=1", "STOPPING=1", "WATCHDOG=1", with "\nSTATUS=..." as one likes. */
void notify_say(const struct notify *, const char *state);
void notify_reloading(const struct notify *);

#endif
