/* The supervisor: holds the ports, the signals, the configuration and the certificates, and runs the workers. Plain POSIX,
 * no event loop library; it never reads a byte from a client.
 *
 *     SIGHUP           read the configuration again; new workers serve new sessions, the old ones finish theirs.
 *                      A bad file is logged and changes nothing.
 *     SIGTERM, SIGINT  stop: let sessions finish for timeouts.drain, then exit 0. Again: stop now.
 *
 * Certificate files that change are picked up in the same way as a new configuration. A worker that dies costs its
 * own sessions and is replaced within a second.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

/* Serves in the foreground until it is told to stop; returns the exit status. `keylog` (or NULL) is the file TLS secrets go
 * to; builds without POSTERN_KEYLOG do not look at it.
 */
int server_run(const char *config_path, const char *keylog);

#endif
