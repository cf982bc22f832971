#include "log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const struct sockaddr_un dev_log = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };

static int open_syslog(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&dev_log, sizeof dev_log) != 0) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* A pipe or terminal is opened anew, so that O_NONBLOCK becomes ours alone: set on the inherited description it
 * would change the descriptors of our parent, too. Files do not block, sockets are asked not to at each call.
 */
static int open_stderr(void)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDERR_FILENO, &st) != 0)
        return -1;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

int log_open_sink(enum log_target target)
{
    return target == LOG_TO_SYSLOG ? open_syslog() : open_stderr();
}

void log_sink_init(struct log_sink *sink, enum log_target target, int fd)
{
    struct stat st = { 0 };
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

    *sink = (struct log_sink){ .fd = fd, .target = target };
    if (fd >= 0 && fstat(fd, &st) != 0)
        st.st_mode = 0;
    sink->is_nonblocking = (flags >= 0 && (flags & O_NONBLOCK) != 0) || S_ISREG(st.st_mode);
    sink->is_socket = S_ISSOCK(st.st_mode);
}

/* The system's logger may have been restarted since: the socket is connected again, once a call. */
static bool send_datagram(const struct log_sink *sink, struct str line)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

    if (send(sink->fd, line.p, line.n, flags) >= 0)
        return true;
    if (errno != ECONNREFUSED && errno != ENOTCONN && errno != ECONNRESET)
        return false;
    return connect(sink->fd, (const struct sockaddr *)&dev_log, sizeof dev_log) == 0 &&
           send(sink->fd, line.p, line.n, flags) >= 0;
}

/* The first line is taken whole or not at all, and counted with its newline, which does not travel. */
static size_t write_syslog(const struct log_sink *sink, struct str lines)
{
    size_t n = str_find(lines, '\n');

    return send_datagram(sink, str_from(lines.p, n)) ? n + 1 : 0;
}

static bool would_block(const struct log_sink *sink)
{
    struct pollfd poll_fd = { .fd = sink->fd, .events = POLLOUT };

    return !sink->is_nonblocking && (poll(&poll_fd, 1, 0) != 1 || (poll_fd.revents & POLLOUT) == 0);
}

/* At most PIPE_BUF octets in whole lines: a pipe takes those in one piece, so that two workers' lines never mix. */
static size_t piece_of(struct str lines)
{
    size_t n = lines.n;

    if (n > PIPE_BUF)
        n = PIPE_BUF;
    while (n > 0 && lines.p[n - 1] != '\n')
        n--;
    return n > 0 ? n : str_find(lines, '\n') + 1;
}

static size_t write_stream(const struct log_sink *sink, struct str lines)
{
    size_t n = piece_of(lines);
    ssize_t taken;

    if (sink->is_socket)
        taken = send(sink->fd, lines.p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        taken = would_block(sink) ? -1 : write(sink->fd, lines.p, n);
    return taken > 0 ? (size_t)taken : 0;
}

size_t log_sink_write(const struct log_sink *sink, struct str lines)
{
    return sink->target == LOG_TO_SYSLOG ? write_syslog(sink, lines) : write_stream(sink, lines);
}

/* As glibc's syslog() writes it (RFC 3164 4.1): facility mail (2), local time. */
size_t log_syslog_head(char out[LOG_SYSLOG_HEAD], enum log_level level, int64_t unix_ms)
{
    static const int severity[] = { [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7 };
    static const char month[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm = { 0 };
    int n;

    localtime_r(&seconds, &tm);
    n = snprintf(out, LOG_SYSLOG_HEAD, "<%d>%s %2d %02d:%02d:%02d postern[%ld]: ", 2 * 8 + severity[level],
                 month[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid());
    return n < LOG_SYSLOG_HEAD ? (size_t)n : LOG_SYSLOG_HEAD - 1;
}
