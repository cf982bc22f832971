/* The supervisor: holds the ports, the signals, the configuration and the certificates, and runs the workers. Plain POSIX,
 * no event loop library; it never reads a byte from a client.
 *
 *     SIGHUP           read the configuration again; new workers serve new sessions, the old ones finish theirs.
 *                      A bad file is logged and changes nothing.
 *     SIGUSR2          the workers append what they have recorded to [record] file
 *     SIGTERM, SIGINT  stop: let sessions finish for timeouts.drain, then exit 0. Again: stop now.
 *
 * Certificate files that change are picked up in the same way as a new configuration. A worker that dies costs its
 * own sessions and is replaced within a second.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

struct server_options {
    const char *config;
    const char *keylog;      /* the file TLS secrets go to, or NULL; builds without POSTERN_KEYLOG do not look at it */
    const char *record;      /* a number that goes before [record] transactions, or NULL */
    const char *record_file; /* goes before [record] file, or NULL */
};

/* Serves in the foreground until it is told to stop; returns the exit status. */
int server_run(const struct server_options *);

#endif
