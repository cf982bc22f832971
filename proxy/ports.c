#include "ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket_address.h"

enum { BACKLOG = 1024 };

struct bound_port {
    struct endpoint endpoint;
    size_t listener; /* its index in the configuration */
    int *fd;         /* one per worker */
};

static bool set_option(int fd, int level, int option)
{
    int on = 1;

    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* -1 and errno on failure. */
static int bind_one(const struct endpoint *endpoint, bool shared)
{
    struct sockaddr_storage address;
    socklen_t n = socket_address(endpoint, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        return -1;
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) && (!shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT)) &&
        (address.ss_family == AF_INET || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
        bind(fd, (const struct sockaddr *)&address, n) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

static bool complain(const struct endpoint *endpoint, FILE *errors)
{
    char text[ENDPOINT_TEXT_MAX];
    const char *why = strerror(errno);

    endpoint_print(endpoint, text);
    fprintf(errors, "cannot listen on %s: %s\n", text, why);
    return false;
}

/* SO_REUSEPORT would let a second Postern of the same user share our ports in silence: one socket without it finds out. */
static bool is_free(const struct endpoint *endpoint)
{
    int fd = bind_one(endpoint, false);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool all_are_free(const struct config *config, FILE *errors)
{
    for (size_t i = 0; i < config->listeners_n; i++) {
        const struct endpoint_list *list = &config->listeners[i].address;

        for (size_t j = 0; j < list->n; j++)
            if (!is_free(&list->item[j]))
                return complain(&list->item[j], errors);
    }
    return true;
}

/* ---- taking over ---- */

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && address_eq(&a->address, &b->address);
}

static const struct bound_port *find(const struct ports *ports, const struct endpoint *endpoint)
{
    for (size_t i = 0; ports != NULL && i < ports->n; i++)
        if (is_same(&ports->item[i].endpoint, endpoint))
            return &ports->item[i];
    return NULL;
}

static bool bind_all(struct bound_port *port, unsigned sockets)
{
    for (unsigned i = 0; i < sockets; i++)
        port->fd[i] = -1;
    for (unsigned i = 0; i < sockets; i++) {
        port->fd[i] = bind_one(&port->endpoint, true);
        if (port->fd[i] < 0)
            return false;
    }
    return true;
}

static bool open_port(struct ports *ports, const struct endpoint *endpoint, size_t listener, const struct ports *old)
{
    const struct bound_port *before = find(old, endpoint);
    struct bound_port *port = &ports->item[ports->n];

    *port = (struct bound_port){ .endpoint = *endpoint, .listener = listener };
    port->fd = malloc(ports->sockets * sizeof *port->fd);
    if (port->fd == NULL)
        return false;
    ports->n++;
    if (before == NULL)
        return bind_all(port, ports->sockets);
    memcpy(port->fd, before->fd, ports->sockets * sizeof *port->fd);
    return true;
}

static size_t count_addresses(const struct config *config)
{
    size_t n = 0;

    for (size_t i = 0; i < config->listeners_n; i++)
        n += config->listeners[i].address.n;
    return n;
}

static bool open_all(struct ports *ports, const struct config *config, const struct ports *old, FILE *errors)
{
    for (size_t i = 0; i < config->listeners_n; i++) {
        const struct endpoint_list *list = &config->listeners[i].address;

        for (size_t j = 0; j < list->n; j++)
            if (!open_port(ports, &list->item[j], i, old))
                return complain(&list->item[j], errors);
    }
    return true;
}

bool ports_open(struct ports *ports, const struct config *config, unsigned sockets, const struct ports *old,
                FILE *errors)
{
    size_t n = count_addresses(config);

    *ports = (struct ports){ .item = calloc(n > 0 ? n : 1, sizeof *ports->item), .sockets = sockets };
    if (ports->item == NULL || (old == NULL && !all_are_free(config, errors)) ||
        !open_all(ports, config, old, errors)) {
        ports_close(ports, old);
        return false;
    }
    return true;
}

void ports_close(struct ports *ports, const struct ports *in_use)
{
    for (size_t i = 0; i < ports->n; i++) {
        struct bound_port *port = &ports->item[i];
        bool keep = find(in_use, &port->endpoint) != NULL;

        for (unsigned j = 0; !keep && j < ports->sockets; j++)
            if (port->fd[j] >= 0)
                close(port->fd[j]);
        free(port->fd);
    }
    free(ports->item);
    *ports = (struct ports){ 0 };
}

size_t ports_of_worker(const struct ports *ports, unsigned slot, const struct config *config,
                       const unsigned *counted_as, struct worker_port *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < ports->n; i++) {
        const struct bound_port *port = &ports->item[i];

        for (unsigned j = 0; j < ports->sockets; j++)
            if (j != slot)
                close(port->fd[j]);
        if (n < max)
            out[n++] =
                (struct worker_port){ port->fd[slot], &config->listeners[port->listener], counted_as[port->listener] };
    }
    return n;
}
