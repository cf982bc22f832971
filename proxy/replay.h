/* `postern replay`: recorded transactions (record.h) judged again under another configuration. */
#ifndef PROXY_REPLAY_H
#define PROXY_REPLAY_H

#include <stdbool.h>

struct replay_options {
    const char *config;
    const char *records; /* a file, or "-" */
    bool all, json;
};

/* Prints what changes on stdout. Returns the exit status: 0 nothing changes, 1 something does, 65 bad records, 78 bad
 * configuration, 71 out of memory.
 */
int replay_run(const struct replay_options *);

#endif
