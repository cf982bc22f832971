/* Everything a start or a reload needs from disk: the configuration and its certificates, loaded and checked as a whole.
 * What is wrong is written to `errors`, a line each, and then there is no setup: the old one stays in force.
 */
#ifndef PROXY_SETUP_H
#define PROXY_SETUP_H

#include "config.h"
#include "privileges.h"
#include "tls.h"

struct setup {
    struct config *config;
    struct tls_server *tls;                      /* NULL without certificates */
    struct tls_client **tls_client;              /* one per route; NULL where TLS is off */
    struct identity identity;                    /* of the workers */
    uint64_t stamp;                              /* tls_files_stamp when they were loaded */
    struct endpoint dns_server[DNS_SERVERS_MAX]; /* the system's, when the ini names none */
    size_t dns_servers;
};

/* `record`: what the command line says about [record], or NULL. */
struct record_wish {
    bool has_transactions;
    uint64_t transactions;
    const char *file; /* NULL: as in the ini */
};

bool setup_load(struct setup *, const char *path, const struct record_wish *, FILE *errors);
/* Certificates anew for the same configuration: on success the old ones are replaced. */
bool setup_reload_tls(struct setup *, FILE *errors);
void setup_free(struct setup *);

/* [dns] with servers in any case. Points into the setup. */
struct dns_settings setup_dns(const struct setup *);

#endif
