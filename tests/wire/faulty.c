/* System calls and allocations that fail on demand (ATTACKS O5, O6): linked into the gateway with -Wl,--wrap, which makes
 * the program postern-faulty. Two ways to ask for a failure:
 *
 *   POSTERN_FAULT=write:17:ENOBUFS   the 17th write of a worker fails so, counted from its first accepted client on
 *   POSTERN_FAULTS=FILE              a file mapped by parts/faulty.py, which asks for one failure after the other
 *
 * "short" in the place of an errno lets a call transfer one octet. Counted is in the process that the file names, so that
 * the supervisor goes about its business. What a call that fails leaves undone is left undone: nothing is read or written.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KINDS_MAX = 32, NAME_MAX_ = 16, SHORT = -1 };

/* One kind may stand for several functions: malloc, calloc and realloc are "alloc". */
enum kind {
    ALLOC,
    SOCKET,
    ACCEPT,
    CONNECT,
    READ,
    WRITE,
    RECV,
    SEND,
    EPOLL_CTL,
    EPOLL_WAIT,
    EPOLL_CREATE,
    EVENTFD,
    PIPE,
    OPEN,
    FSTAT,
    RANDOM,
    SOCKET_OPTION,
    SOCKET_NAME,
    FCNTL,
    BIND,
    KINDS
};

static const char *const names[KINDS] = { "alloc", "socket",    "accept",     "connect", "read",  "write", "recv",
                                          "send",  "epoll_ctl", "epoll_wait", "epoll",   "event", "pipe",  "open",
                                          "fstat", "random",    "option",     "name",    "fcntl", "bind" };

struct control {
    char magic[8];
    int32_t pid;    /* of the process concerned; 0: any but the one that began, -2: that one, -1: none */
    uint32_t kind;  /* what fails, or KINDS_MAX for nothing */
    uint32_t at;    /* 1: the next one */
    int32_t fate;   /* an errno, or SHORT */
    uint32_t fired; /* 1, or 2 when it was a transfer to or from a client */
    uint32_t kinds;
    uint32_t count[KINDS_MAX];
    char name[KINDS_MAX][NAME_MAX_];
};

static struct control own = { .kind = KINDS_MAX }, *control = &own;
static pid_t began, self;
static bool waits_for_client; /* with POSTERN_FAULT */

static in_port_t north_port; /* of the port at which clients were let in */

static void know_self(void)
{
    self = getpid();
}

static const struct {
    const char *name;
    int fate;
} fates[] = {
    { "short", SHORT },           { "EINTR", EINTR },   { "EAGAIN", EAGAIN }, { "ENOMEM", ENOMEM },
    { "ENOBUFS", ENOBUFS },       { "EMFILE", EMFILE }, { "ENFILE", ENFILE }, { "EIO", EIO },
    { "ECONNRESET", ECONNRESET }, { "EPIPE", EPIPE },   { "ENOSPC", ENOSPC }, { "ENOSYS", ENOSYS },
};

/* KIND:K:FATE; what cannot be read ends the program, for a test that tests nothing is none. */
static void read_wish(char *wish)
{
    char *k = strchr(wish, ':'), *fate = k != NULL ? strchr(k + 1, ':') : NULL;

    if (fate == NULL)
        abort();
    *k++ = *fate++ = '\0';
    for (uint32_t i = 0; i < KINDS; i++)
        if (strcmp(names[i], wish) == 0)
            own.kind = i;
    own.at = (uint32_t)strtoul(k, NULL, 10);
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++)
        if (strcmp(fates[i].name, fate) == 0)
            own.fate = fates[i].fate;
    if (own.kind == KINDS_MAX || own.at == 0 || own.fate == 0)
        abort();
    waits_for_client = true;
}

static void map_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (map == MAP_FAILED)
        abort();
    close(fd);
    control = map;
    control->kinds = KINDS;
    for (size_t i = 0; i < KINDS; i++)
        snprintf(control->name[i], NAME_MAX_, "%s", names[i]);
    memcpy(control->magic, "PFAULTS1", sizeof control->magic);
}

__attribute__((constructor)) static void begin(void)
{
    char *wish = getenv("POSTERN_FAULT");
    const char *path = getenv("POSTERN_FAULTS");

    began = self = getpid();
    pthread_atfork(NULL, NULL, know_self);
    if (wish != NULL)
        read_wish(wish);
    if (path != NULL)
        map_file(path);
}

void __sanitizer_print_stack_trace(void) __attribute__((weak)); /* who asked, for the log */

static bool is_concerned(int32_t pid)
{
    return pid == 0 ? self != began : pid == -2 ? self == began : pid == self;
}

/* 0: the call is made. Else what becomes of it. */
static int fate_of(enum kind kind)
{
    struct control *c = control;

    if (self == 0 || waits_for_client || !is_concerned(c->pid))
        return 0;
    c->count[kind]++;
    if (c->kind != kind || c->at == 0 || --c->at != 0)
        return 0;
    c->fired++;
    if (__sanitizer_print_stack_trace != NULL) {
        pid_t me = self;

        self = 0; /* its own calls succeed */
        __sanitizer_print_stack_trace();
        self = me;
    }
    return c->fate;
}

int __real_getsockname(int fd, struct sockaddr *address, socklen_t *n);

/* Our own end of the socket; both families have the port in the same place. */
static in_port_t port_of(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t n = sizeof address;
    int before = errno;
    bool ok = __real_getsockname(fd, (struct sockaddr *)&address, &n) == 0;

    errno = before;
    return ok && (address.ss_family == AF_INET || address.ss_family == AF_INET6)
               ? ((struct sockaddr_in *)&address)->sin_port
               : 0;
}

static int fate_of_transfer(enum kind kind, int fd)
{
    uint32_t fired = control->fired;
    int fate = fate_of(kind);

    if (control->fired != fired && north_port != 0 && port_of(fd) == north_port)
        control->fired = 2;
    return fate;
}

static bool fails(enum kind kind)
{
    int fate = fate_of(kind);

    if (fate > 0)
        errno = fate;
    return fate > 0;
}

/* ---- plain calls: they fail, or not ---- */

#define PLAIN(type, function, kind, failure, parameters, arguments) \
    type __real_##function parameters; \
    type __wrap_##function parameters; \
    type __wrap_##function parameters \
    { \
        return fails(kind) ? (failure) : __real_##function arguments; \
    }

PLAIN(void *, malloc, ALLOC, NULL, (size_t n), (n))
PLAIN(void *, calloc, ALLOC, NULL, (size_t n, size_t size), (n, size))
PLAIN(void *, realloc, ALLOC, NULL, (void *p, size_t n), (p, n))
PLAIN(int, socket, SOCKET, -1, (int domain, int type, int protocol), (domain, type, protocol))
PLAIN(int, connect, CONNECT, -1, (int fd, const struct sockaddr *address, socklen_t n), (fd, address, n))
PLAIN(int, bind, BIND, -1, (int fd, const struct sockaddr *address, socklen_t n), (fd, address, n))
PLAIN(int, epoll_ctl, EPOLL_CTL, -1, (int fd, int op, int of, struct epoll_event *event), (fd, op, of, event))
PLAIN(int, epoll_create1, EPOLL_CREATE, -1, (int flags), (flags))
PLAIN(int, epoll_pwait, EPOLL_WAIT, -1, (int fd, struct epoll_event *e, int n, int timeout, const sigset_t *mask),
      (fd, e, n, timeout, mask))
PLAIN(int, eventfd, EVENTFD, -1, (unsigned initial, int flags), (initial, flags))
PLAIN(int, pipe2, PIPE, -1, (int fd[2], int flags), (fd, flags))
PLAIN(int, fstat, FSTAT, -1, (int fd, struct stat *stat), (fd, stat))
PLAIN(int, fstat64, FSTAT, -1, (int fd, struct stat64 *stat), (fd, stat))
PLAIN(int, getentropy, RANDOM, -1, (void *p, size_t n), (p, n))
PLAIN(int, setsockopt, SOCKET_OPTION, -1, (int fd, int level, int name, const void *value, socklen_t n),
      (fd, level, name, value, n))
PLAIN(int, getsockopt, SOCKET_OPTION, -1, (int fd, int level, int name, void *value, socklen_t *n),
      (fd, level, name, value, n))
PLAIN(int, getsockname, SOCKET_NAME, -1, (int fd, struct sockaddr *address, socklen_t *n), (fd, address, n))
PLAIN(int, getpeername, SOCKET_NAME, -1, (int fd, struct sockaddr *address, socklen_t *n), (fd, address, n))
PLAIN(int, shutdown, SOCKET_OPTION, -1, (int fd, int how), (fd, how))
PLAIN(FILE *, fopen, OPEN, NULL, (const char *path, const char *mode), (path, mode))
PLAIN(FILE *, fopen64, OPEN, NULL, (const char *path, const char *mode), (path, mode))

/* ---- calls that transfer octets ---- */

#define TRANSFER(function, kind, parameters, arguments, one_octet) \
    ssize_t __real_##function parameters; \
    ssize_t __wrap_##function parameters; \
    ssize_t __wrap_##function parameters \
    { \
        int fate = fate_of_transfer(kind, fd); \
\
        if (fate > 0) { \
            errno = fate; \
            return -1; \
        } \
        return fate == SHORT ? __real_##function one_octet : __real_##function arguments; \
    }

static size_t one_of(size_t n)
{
    return n > 0;
}

/* The first octet of several pieces. Not for a header of pieces that are all empty. */
static struct iovec first_of(const struct iovec *iov)
{
    return (struct iovec){ iov->iov_base, one_of(iov->iov_len) };
}

TRANSFER(read, READ, (int fd, void *p, size_t n), (fd, p, n), (fd, p, one_of(n)))
TRANSFER(__read_chk, READ, (int fd, void *p, size_t n, size_t room), (fd, p, n, room), (fd, p, one_of(n), room))
TRANSFER(pread64, READ, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at), (fd, p, one_of(n), at))
TRANSFER(write, WRITE, (int fd, const void *p, size_t n), (fd, p, n), (fd, p, one_of(n)))
TRANSFER(recv, RECV, (int fd, void *p, size_t n, int flags), (fd, p, n, flags), (fd, p, one_of(n), flags))
TRANSFER(recvfrom, RECV, (int fd, void *p, size_t n, int flags, struct sockaddr *from, socklen_t *from_n),
         (fd, p, n, flags, from, from_n), (fd, p, one_of(n), flags, from, from_n))
TRANSFER(send, SEND, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags), (fd, p, one_of(n), flags))
TRANSFER(sendto, SEND, (int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t to_n),
         (fd, p, n, flags, to, to_n), (fd, p, one_of(n), flags, to, to_n))

ssize_t __real_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    int fate = fate_of(RANDOM);

    if (fate > 0) {
        errno = fate;
        return -1;
    }
    return __real_getrandom(p, fate == SHORT ? one_of(n) : n, flags);
}

#define PIECES(function, kind) \
    ssize_t __real_##function(int fd, const struct iovec *iov, int n); \
    ssize_t __wrap_##function(int fd, const struct iovec *iov, int n); \
    ssize_t __wrap_##function(int fd, const struct iovec *iov, int n) \
    { \
        int fate = fate_of_transfer(kind, fd); \
        struct iovec first; \
\
        if (fate > 0) { \
            errno = fate; \
            return -1; \
        } \
        if (fate == 0 || n == 0) \
            return __real_##function(fd, iov, n); \
        first = first_of(iov); \
        return __real_##function(fd, &first, 1); \
    }

PIECES(readv, READ)
PIECES(writev, WRITE)

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    int fate = fate_of_transfer(SEND, fd);
    struct msghdr cut = *message;
    struct iovec first;

    if (fate > 0) {
        errno = fate;
        return -1;
    }
    if (fate == SHORT && message->msg_iovlen > 0) {
        first = first_of(message->msg_iov);
        cut.msg_iov = &first;
        cut.msg_iovlen = 1;
    }
    return __real_sendmsg(fd, &cut, flags);
}

PLAIN(ssize_t, recvmsg, RECV, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))
PLAIN(int, recvmmsg, RECV, -1, (int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t),
      (fd, m, n, flags, t))
PLAIN(int, sendmmsg, SEND, -1, (int fd, struct mmsghdr *m, unsigned n, int flags), (fd, m, n, flags))

/* ---- the client from whom POSTERN_FAULT counts ---- */

int __real_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
    int accepted;

    if (fails(ACCEPT))
        return -1;
    accepted = __real_accept4(fd, address, n, flags);
    if (accepted >= 0) {
        waits_for_client = false;
        north_port = port_of(accepted);
    }
    return accepted;
}

/* ---- calls with a varying last argument ---- */

#define VARYING(function, kind, type) \
    int __real_##function(type first, int second, ...); \
    int __wrap_##function(type first, int second, ...); \
    int __wrap_##function(type first, int second, ...) \
    { \
        va_list rest; \
        void *third; \
\
        va_start(rest, second); \
        third = va_arg(rest, void *); /* an int is passed alike here */ \
        va_end(rest); \
        return fails(kind) ? -1 : __real_##function(first, second, third); \
    }

VARYING(open, OPEN, const char *)
VARYING(open64, OPEN, const char *)
VARYING(fcntl, FCNTL, int)
VARYING(fcntl64, FCNTL, int)
