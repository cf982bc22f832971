#include "sink.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "../policy/address.h"
#include "sink_session.h"

enum { SEATS = 512, IN_OCTETS = 32768 };

struct seat {
    int fd;
    bool at_end; /* the guest has sent its last byte */
    size_t in_n;
    char in[IN_OCTETS];
    struct guest guest;
};

struct sink {
    const struct sink_options *options;
    unsigned messages;
    struct seat *seat[SEATS]; /* the first `n` are taken */
    size_t n;
};

static volatile sig_atomic_t is_told_to_stop;

static void on_signal(int signal)
{
    (void)signal;
    is_told_to_stop = 1;
}

/* ---- guests ---- */

static void welcome(struct sink *sink, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    struct seat *seat = fd >= 0 ? malloc(sizeof *seat) : NULL;

    if (seat == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    seat->fd = fd;
    seat->at_end = false;
    seat->in_n = 0;
    guest_init(&seat->guest, sink->options, &sink->messages);
    sink->seat[sink->n++] = seat;
}

static void see_off(struct sink *sink, size_t i)
{
    struct seat *seat = sink->seat[i];

    close(seat->fd);
    guest_free(&seat->guest);
    free(seat);
    sink->seat[i] = sink->seat[--sink->n];
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* False when the connection is broken. */
static bool read_some(struct seat *seat)
{
    ssize_t n = 1;

    if (seat->in_n < sizeof seat->in)
        n = recv(seat->fd, seat->in + seat->in_n, sizeof seat->in - seat->in_n, 0);
    if (n < 0)
        return would_block();
    if (n == 0)
        seat->at_end = true;
    else if (seat->in_n < sizeof seat->in)
        seat->in_n += (size_t)n;
    return true;
}

static void serve(struct seat *seat)
{
    size_t used = guest_feed(&seat->guest, str_from(seat->in, seat->in_n));

    seat->in_n -= used;
    memmove(seat->in, seat->in + used, seat->in_n);
}

static bool write_some(struct seat *seat)
{
    struct guest *g = &seat->guest;
    ssize_t n = g->out_n > 0 ? send(seat->fd, g->out, g->out_n, MSG_NOSIGNAL) : 0;

    if (n < 0)
        return would_block();
    g->out_n -= (size_t)n;
    memmove(g->out, g->out + n, g->out_n);
    return true;
}

/* False when the guest is gone, or has been told good-bye. */
static bool attend(struct seat *seat, short revents)
{
    if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !seat->at_end && !read_some(seat))
        return false;
    serve(seat);
    if (!write_some(seat))
        return false;
    return seat->guest.out_n > 0 || (seat->guest.phase != GUEST_LEAVING && !seat->at_end);
}

static short events_of(const struct seat *seat)
{
    short events = 0;

    if (!seat->at_end && seat->in_n < sizeof seat->in)
        events |= POLLIN;
    if (seat->guest.out_n > 0)
        events |= POLLOUT;
    return events;
}

/* ---- loop ---- */

static void turn(struct sink *sink, int listener)
{
    struct pollfd fd[SEATS + 1];
    size_t n = sink->n;

    for (size_t i = 0; i < n; i++)
        fd[i] = (struct pollfd){ .fd = sink->seat[i]->fd, .events = events_of(sink->seat[i]) };
    fd[n] = (struct pollfd){ .fd = n < SEATS ? listener : -1, .events = POLLIN };
    if (poll(fd, n + 1, -1) <= 0)
        return;
    /* Backwards: a seat that is given up is filled with the last one, which has had its turn. */
    for (size_t i = n; i-- > 0;)
        if (fd[i].revents != 0 && !attend(sink->seat[i], fd[i].revents))
            see_off(sink, i);
    if (fd[n].revents != 0)
        welcome(sink, listener);
}

static int open_listener(const struct endpoint *endpoint, const char *where)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
    int fd, on = 1, off = 0;

    address.sin6_port = htons(endpoint->port);
    memcpy(&address.sin6_addr, endpoint->address.byte, 16);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 &&
        bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, SEATS) == 0)
        return fd;
    fprintf(stderr, "postern sink: cannot listen on %s: %s\n", where, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static void serve_all(struct sink *sink, int listener)
{
    const struct sigaction action = { .sa_handler = on_signal };

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    printf("listening on %s\n", sink->options->listen);
    fflush(stdout);
    while (!is_told_to_stop)
        turn(sink, listener);
    while (sink->n > 0)
        see_off(sink, sink->n - 1);
}

int sink_run(const struct sink_options *options)
{
    struct endpoint endpoint;
    struct sink *sink;
    int listener;

    if (!endpoint_parse(str_of(options->listen), 2525, &endpoint)) {
        fprintf(stderr, "postern sink: '%s' is not ADDRESS:PORT\n", options->listen);
        return EX_USAGE;
    }
    listener = open_listener(&endpoint, options->listen);
    if (listener < 0)
        return EX_OSERR;
    sink = calloc(1, sizeof *sink);
    if (sink != NULL) {
        sink->options = options;
        serve_all(sink, listener);
    }
    free(sink);
    close(listener);
    return sink != NULL ? EXIT_SUCCESS : EX_OSERR;
}
