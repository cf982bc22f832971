#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log_line.h"
#include "log_sink.h"

struct log {
    enum log_format format;
    enum log_level threshold;
    struct log_sink sink;
    int64_t now_ms;
    int64_t printed_second; /* what `printed` shows; many lines are of the same one */
    char printed[64];
    size_t printed_n;
    enum log_level level;      /* of the line being built */
    bool skipped;              /* the line being built is below the threshold */
    uint64_t dropped;          /* lines lost since the start */
    uint64_t dropped_reported; /* of these, told in a log_dropped line */
    struct log_line line;
    size_t start, end; /* what of `buffer` waits for the sink */
    char buffer[LOG_BUFFER];
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"
};

struct log *log_new(enum log_format format, enum log_target target, enum log_level threshold, int fd)
{
    struct log *log = calloc(1, sizeof *log);

    if (log == NULL)
        return NULL;
    log->format = format;
    log->threshold = threshold;
    log->skipped = true; /* no line is open */
    log_sink_init(&log->sink, target, fd);
    tzset(); /* now: later a sandbox may hide the zone file from localtime_r() */
    return log;
}

void log_free(struct log *log)
{
    free(log);
}

void log_set_time(struct log *log, int64_t unix_ms)
{
    log->now_ms = unix_ms;
}

bool log_enabled(const struct log *log, enum log_level level)
{
    return level <= log->threshold;
}

static void print_second(struct log *log, int64_t second)
{
    time_t seconds = (time_t)second;
    struct tm tm = { 0 };
    int n;

    gmtime_r(&seconds, &tm);
    n = snprintf(log->printed, sizeof log->printed, "%04d-%02d-%02dT%02d:%02d:%02d.000Z", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    log->printed_n = (size_t)n;
    log->printed_second = second;
}

/* RFC 3339, UTC, with milliseconds. Years beyond four digits cannot come from a sane clock and are shown as they
 * are.
 */
static void put_time(struct log *log)
{
    int64_t ms = log->now_ms % 1000;
    char *digits;

    if (log->printed_n == 0 || log->printed_second != log->now_ms / 1000)
        print_second(log, log->now_ms / 1000);
    digits = log->printed + log->printed_n - 4;
    ms = ms < 0 ? 0 : ms;
    digits[0] = (char)('0' + ms / 100);
    digits[1] = (char)('0' + ms / 10 % 10);
    digits[2] = (char)('0' + ms % 10);
    log_line_str(&log->line, "time", str_from(log->printed, log->printed_n));
}

void log_begin(struct log *log, enum log_level level, const char *event)
{
    log->skipped = !log_enabled(log, level);
    if (log->skipped)
        return;
    log->level = level;
    log_line_begin(&log->line, log->format);
    put_time(log);
    log_line_str(&log->line, "level", str_of(level_names[level]));
    log_line_str(&log->line, "event", str_of(event));
}

void log_str(struct log *log, const char *key, struct str value)
{
    if (!log->skipped)
        log_line_str(&log->line, key, value);
}

void log_text(struct log *log, const char *key, const char *value)
{
    log_str(log, key, str_of(value));
}

void log_num(struct log *log, const char *key, int64_t value)
{
    if (!log->skipped)
        log_line_num(&log->line, key, value);
}

void log_endpoint(struct log *log, const char *key, const struct endpoint *endpoint)
{
    char text[ENDPOINT_TEXT_MAX];

    if (!log->skipped)
        log_line_str(&log->line, key, str_from(text, endpoint_print(endpoint, text)));
}

/* Appends to the buffer; false when it is full. */
static bool keep(struct log *log, struct str head, struct str line)
{
    size_t n = head.n + line.n;

    if (n > LOG_BUFFER - (log->end - log->start))
        return false;
    if (n > LOG_BUFFER - log->end) {
        memmove(log->buffer, log->buffer + log->start, log->end - log->start);
        log->end -= log->start;
        log->start = 0;
    }
    if (head.n > 0)
        memcpy(log->buffer + log->end, head.p, head.n);
    memcpy(log->buffer + log->end + head.n, line.p, line.n);
    log->end += n;
    return true;
}

void log_end(struct log *log)
{
    char head[LOG_SYSLOG_HEAD];
    struct str prefix = { head, 0 };

    if (log->skipped)
        return;
    log->skipped = true; /* until the next log_begin: fields that come late belong to no line */
    if (log->sink.target == LOG_TO_SYSLOG)
        prefix.n = log_syslog_head(head, log->level, log->now_ms);
    if (!keep(log, prefix, log_line_end(&log->line)))
        log->dropped++;
}

void log_say(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
    char text[LOG_VALUE_MAX];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_begin(log, level, event);
    if (n > 0)
        log_str(log, "text", str_from(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
    log_end(log);
}

static bool write_out(struct log *log)
{
    while (log->start < log->end) {
        size_t taken = log_sink_write(&log->sink, log_peek(log));

        if (taken == 0)
            return false;
        log->start += taken;
    }
    log_clear(log);
    return true;
}

/* The sink takes lines again: say how many it missed. A warning, whatever the threshold: an operator who reads
 * errors alone must know that some are missing.
 */
static void report_dropped(struct log *log)
{
    enum log_level threshold = log->threshold;

    log->threshold = LOG_DEBUG;
    log_begin(log, LOG_WARN, "log_dropped");
    log_num(log, "lines", (int64_t)(log->dropped - log->dropped_reported));
    log_end(log);
    log->threshold = threshold;
    log->dropped_reported = log->dropped;
}

bool log_flush(struct log *log)
{
    if (log->sink.fd < 0 || !write_out(log))
        return false;
    if (log->dropped == log->dropped_reported)
        return true;
    report_dropped(log);
    return write_out(log);
}

struct str log_peek(const struct log *log)
{
    return str_from(log->buffer + log->start, log->end - log->start);
}

void log_clear(struct log *log)
{
    log->start = log->end = 0;
}

uint64_t log_dropped(const struct log *log)
{
    return log->dropped;
}
