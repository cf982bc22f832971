#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* "@name" is a socket in the abstract namespace: its name begins with NUL and has no end but its length. */
static socklen_t address_of(const char *path, struct sockaddr_un *address)
{
    size_t n = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || path[1] == '\0' || n >= sizeof address->sun_path)
        return 0;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(address->sun_path, path, n);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
}

/* Twice as often as asked for. WATCHDOG_PID names who is meant, when it is set. */
static uint64_t watchdog_interval(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 2000;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t n = path != NULL ? address_of(path, &address) : 0;

    *notify = (struct notify){ .fd = -1 };
    if (n == 0)
        return;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd >= 0 && connect(notify->fd, (const struct sockaddr *)&address, n) != 0)
        notify_close(notify);
    if (notify->fd >= 0)
        notify->watchdog_ms = watchdog_interval();
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    *notify = (struct notify){ .fd = -1 };
}

void notify_say(const struct notify *notify, const char *state)
{
    /* Nothing can be done when systemd does not take it; it has time-outs of its own. */
    if (notify->fd >= 0 && send(notify->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

void notify_reloading(const struct notify *notify)
{
    struct timespec now;
    char text[80];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify_say(notify, text);
}
