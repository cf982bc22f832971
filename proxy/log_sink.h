/* Where log lines go: a file, a terminal, a pipe, a stream socket (the journal), or /dev/log.
 *
 * A sink never blocks: what it does not take at once stays with the caller. It does not own its descriptor.
 */
#ifndef PROXY_LOG_SINK_H
#define PROXY_LOG_SINK_H

#include "log.h"

struct log_sink {
    int fd;
    enum log_target target;
    bool is_socket;      /* asked not to block call by call */
    bool is_nonblocking; /* its descriptor never blocks; else it is polled before each write */
};

void log_sink_init(struct log_sink *, enum log_target, int fd);

/* Offers whole lines; returns how many octets were taken, 0 when it would block or fails. Syslog takes one line a
 * call.
 */
size_t log_sink_write(const struct log_sink *, struct str lines);

/* Room for what syslog wants in front of a line: "<22>Nov 22 12:00:00 postern[123]: ". */
enum { LOG_SYSLOG_HEAD = 64 };
size_t log_syslog_head(char out[LOG_SYSLOG_HEAD], enum log_level, int64_t unix_ms);

#endif
