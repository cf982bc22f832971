/* What the oracle needs to know of the gateway's postern.ini. A reader of its own on inih: the oracle must not
 * believe what the product made of its file. Without a file the product's documented defaults hold, and what needs
 * more is not judged. */
#ifndef WIRE_SETTINGS_H
#define WIRE_SETTINGS_H

#include "capture.h"

struct network {
    struct endpoint base; /* port 0 */
    unsigned bits;        /* of 128: an IPv4 /24 is 120 */
};

/* A key of the file. */
struct setting {
    char *section; /* "relay", "listen smtp" */
    char *key, *value;
    unsigned line;
};

struct settings {
    bool is_given; /* a file was read */
    char **domain; /* [relay] domains and domains_file, folded (names.h); "*.x" stays as it is */
    size_t domain_n;
    struct network *trusted; /* [relay] networks */
    size_t trusted_n;
    struct network *balancer; /* [listen] proxy_from */
    size_t balancer_n;
    bool may_route, may_percent, may_bang; /* [relay] exceptions of P-2 */
    struct endpoint *implicit;             /* listeners with tls = implicit */
    size_t implicit_n;
    struct endpoint *listener; /* all */
    size_t listener_n;
    struct endpoint *backend; /* [backend], [route *] servers */
    size_t backend_n;
    struct network *normalise; /* networks whose framing is normalised; ::/0 with [framing] mode = normalise */
    size_t normalise_n;
    bool requires_tls;         /* every listener does */
    struct endpoint *tls_only; /* listeners with require_tls */
    size_t tls_only_n;
    char client_info[16]; /* of [backend]: none, xclient, proxy-v1, proxy-v2 */
    uint64_t max_message, hold, max_recipients;
    int64_t command_timeout, data_timeout, handshake_timeout, verdict_timeout, greeting_timeout; /* ns */
    int64_t connect_timeout, backend_timeout, backend_end_timeout;                               /* ns */
    int64_t stress_timeout;        /* ns; in place of command_timeout once so many sessions are in use: */
    unsigned stress, max_sessions; /* per cent of max_sessions; 0 never */
    unsigned min_data_rate;        /* octets a second, 0 none */
    struct endpoint *resolver;     /* [dns] servers */
    size_t resolver_n;
    unsigned max_facts;           /* [limits] facts */
    char quarantine_mailbox[256]; /* "" unless [dmarc] quarantine = redirect */
    char hostname[256];           /* "" when the file leaves it to the system */
    struct setting *setting;      /* the whole file, for what has no field here */
    size_t setting_n;
};

/* path NULL: defaults. Ends the program with file and line when it cannot be read. */
void settings_read(struct settings *s, const char *path);
void settings_free(struct settings *s);
/* Is the domain local to this gateway? `domain` in any case. */
bool settings_is_local(const struct settings *s, struct slice domain);
/* May a PROXY header come from there ([listen] proxy_from of any listener)? Without a file: from anywhere. */
bool settings_may_announce(const struct settings *s, const struct endpoint *client);
bool settings_trusts(const struct settings *s, const struct endpoint *client);
bool settings_is_implicit(const struct settings *s, const struct endpoint *listener);
bool settings_is_tls_only(const struct settings *s, const struct endpoint *listener);
/* The value of [section] key, NULL when the file does not say. The text belongs to the settings. */
const char *settings_value(const struct settings *s, const char *section, const char *key);

#endif
