/* The log: one line per connection and one per transaction, key=value (logfmt) or JSON, in a fixed vocabulary.
 *
 * Lines are built in memory and handed to the sink in one write, once per loop turn, so that logging never waits
 * for a disk and a session without I/O can log. A line never holds a raw byte from a wire: everything outside
 * printable ASCII, and the backslash itself, is escaped \xNN (L-2), and a line is at most LOG_LINE_MAX octets
 * (over-long values end in "..."). Bodies and secrets have no place here (L-3). When the sink is stuck, lines are
 * dropped and counted, mail is not (L-5).
 *
 *     log_begin(log, LOG_INFO, "transaction");
 *     log_str(log, "id", id); log_num(log, "rcpt", 3); log_str(log, "from", path.text);
 *     log_end(log);
 */
#ifndef PROXY_LOG_H
#define PROXY_LOG_H

#include <stdint.h>

#include "../policy/address.h"
#include "../policy/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

enum { LOG_LINE_MAX = 4000 /* below PIPE_BUF, so that lines of several workers never mix */, LOG_BUFFER = 65536 };

struct log;

/* `fd` takes the lines (a non-blocking write is tried; never blocks): stderr, or a datagram socket to /dev/log for
 * syslog, one line per datagram with its priority. The log owns neither. NULL without memory. `fd` -1 keeps lines
 * in the buffer for log_peek (tests).
 */
struct log *log_new(enum log_format, enum log_target, enum log_level threshold, int fd);
void log_free(struct log *);

/* Opens the sink of `target`; -1 and errno on failure. */
int log_open_sink(enum log_target);

/* Time stamp printed on each line ("time=2026-11-22T12:00:00.123Z"), set once per loop turn: no clock is read
 * here.
 */
void log_set_time(struct log *, int64_t unix_ms);

bool log_enabled(const struct log *, enum log_level);
void log_begin(struct log *, enum log_level, const char *event);
void log_str(struct log *, const char *key, struct str value);
void log_text(struct log *, const char *key, const char *value);
void log_num(struct log *, const char *key, int64_t value);
void log_endpoint(struct log *, const char *key, const struct endpoint *);
void log_end(struct log *);

/* A whole plain message: event and one text, printf-like. For start, stop and operator trouble, not for wire data. */
void log_say(struct log *, enum log_level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Writes out what is buffered; returns false while some of it is left because the sink would block. */
bool log_flush(struct log *);
/* What is buffered, and drops it (tests). */
struct str log_peek(const struct log *);
void log_clear(struct log *);
uint64_t log_dropped(const struct log *);

#endif
