/* `postern sink`: a tiny mail server for trials and tests. It takes every message, tells of it on standard output, and may
 * keep it as a file. It speaks PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES and CHUNKING.
 */
#ifndef PROXY_SINK_H
#define PROXY_SINK_H

#include <stddef.h>

enum { SINK_REFUSED_MAX = 16 };

struct sink_options {
    const char *listen;                    /* ADDRESS:PORT */
    const char *dir;                       /* NULL: messages are only told of */
    const char *refused[SINK_REFUSED_MAX]; /* recipients answered 550 */
    size_t refused_n;
};

/* Serves until SIGTERM or SIGINT; returns the exit status. */
int sink_run(const struct sink_options *);

#endif
