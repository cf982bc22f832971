/* `postern explain`: one message judged as the proxy would judge it, and why. */
#ifndef PROXY_EXPLAIN_H
#define PROXY_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

enum { EXPLAIN_RCPTS_MAX = 100 };

/* As given on the command line; NULL: not given. */
struct explain_options {
    const char *config; /* NULL: /etc/postern/postern.ini, or the presets where there is none */
    const char *ip, *helo, *mail_from;
    const char *rcpt[EXPLAIN_RCPTS_MAX];
    size_t rcpts;
    const char *facts, *save_facts, *now;
    bool is_tls, is_authenticated, json;
    const char *message; /* a file, or "-" */
};

/* Prints what it finds on stdout. Returns the exit status: 0 accept or quarantine, 1 reject, 2 tempfail, 64 usage, 65 bad input, 78
 * bad configuration, 71 the system refuses something.
 */
int explain_run(const struct explain_options *, const char *default_config);

#endif
