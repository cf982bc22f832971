/* One log line as it grows: fields in logfmt or JSON, escaped, within a fixed room. No time, no sink: log.c has
 * those.
 *
 * What a reader gets back from a value is the same text in both formats: printable ASCII as it is, every other
 * octet and the backslash itself as \xNN, so that no two inputs look alike.
 */
#ifndef PROXY_LOG_LINE_H
#define PROXY_LOG_LINE_H

#include "log.h"

enum {
    LOG_VALUE_MAX = 1000 /* octets of one printed value: a long one must not push the others off the line */
};

struct log_line {
    enum log_format format;
    size_t n;
    bool cut; /* a field found no room: the line ends in truncated=true */
    char text[LOG_LINE_MAX];
};

void log_line_begin(struct log_line *, enum log_format);
void log_line_str(struct log_line *, const char *key, struct str value);
void log_line_num(struct log_line *, const char *key, int64_t value);
/* Closes the line, newline included; it is LOG_LINE_MAX octets at most. */
struct str log_line_end(struct log_line *);

#endif
