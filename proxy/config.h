/* The configuration: one ini, read once, checked as a whole, then immutable.
 *
 * One row per key (policy/option.h) feeds the parser, `postern check`, the printed default file and
 * postern.ini(5). All errors of a file are reported in one go, each with file, line, key, what was expected, and
 * the nearest known name. A reload builds a new struct config; a bad file changes nothing.
 */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include <stdio.h>

#include "../policy/option.h"
#include "../policy/policy.h"
#include "dns_settings.h"
#include "log.h"

enum {
    CONFIG_LISTENERS_MAX = 32,
    CONFIG_ROUTES_MAX = 256,
    CONFIG_CERTIFICATES_MAX = 32,
    CONFIG_SERVERS_MAX = 8,        /* per route */
    CONFIG_LINE_MAX = 4096,        /* octets of an ini line; a longer one is an error, never cut */
    CONFIG_COMMAND_LINE_MAX = 4096 /* limits.command_line at most; the session has room for as much */
};

enum listen_tls { LISTEN_TLS_OFF, LISTEN_TLS_STARTTLS, LISTEN_TLS_IMPLICIT };
enum south_tls { SOUTH_TLS_OFF, SOUTH_TLS_OPPORTUNISTIC, SOUTH_TLS_REQUIRED };
enum client_info { CLIENT_INFO_NONE, CLIENT_INFO_XCLIENT, CLIENT_INFO_PROXY_V1, CLIENT_INFO_PROXY_V2 };
enum framing_mode { FRAMING_REJECT, FRAMING_NORMALISE };

/* [listen NAME] */
struct listener {
    struct str name;
    struct endpoint_list address;   /* several addresses, IPv4 and IPv6 */
    int tls;                        /* enum listen_tls */
    bool require_tls;               /* MAIL in clear is answered 530 5.7.0 */
    bool auth;                      /* offer AUTH (after TLS only) */
    struct network_list proxy_from; /* peers that must speak the PROXY protocol first */
    uint64_t sessions;              /* at once on this listener, over all workers; 0: only limits.sessions */
};

/* [backend] is the default route; [route example.org] or [route *.example.org] says otherwise for a recipient
 * domain.
 */
struct route {
    struct str name; /* "" for [backend], else the domain pattern, canonical */
    bool is_wildcard;
    struct endpoint_list servers; /* in order of priority */
    int tls;                      /* enum south_tls */
    struct str tls_ca;            /* PEM file; empty: no CA check */
    struct str tls_name;          /* name expected in the certificate, and SNI */
    struct str tls_fingerprint;   /* SHA-256 of the certificate, 64 lower-case hex digits; empty: none */
    int client_info;              /* enum client_info */
};

/* [certificate NAME] */
struct certificate {
    struct str name;
    struct str chain; /* PEM files */
    struct str key;
};

struct limits {
    uint64_t sessions, sessions_per_address;
    uint64_t memory, message_memory; /* over all workers; message_memory is shared evenly */
    uint64_t message_size, header_size, hold;
    uint64_t recipients, transactions; /* per transaction; per session */
    uint64_t hops;
    uint64_t command_line;
    uint64_t errors, junk; /* refused commands; commands that lead nowhere */
    uint64_t stress;       /* per cent of `sessions` in use, from which on the next two count; 0: never */
    uint64_t stress_errors, stress_junk;
    uint64_t facts, passes; /* per transaction: questions and answers kept; rounds of questions */
};

/* All in milliseconds. */
struct timeouts {
    uint64_t command, tls_handshake, data_cap;
    uint64_t stress; /* in place of the first two, under limits.stress */
    uint64_t connect, greeting, south_command, south_data_start, south_block, south_end;
    uint64_t wait;    /* longest a client waits for the answer to a command (back end and verdict) */
    uint64_t verdict; /* longest a client waits for answers to the policy, over a whole transaction */
    uint64_t drain;
    uint64_t probe; /* interval of back-end probes */
};

/* [tarpit] */
struct tarpit_settings {
    uint64_t sessions;       /* held at once, over all workers; 0: none */
    uint64_t delay, longest; /* ms */
    uint64_t after;          /* refusals that are answered at once */
};

/* [record] */
struct record_settings {
    uint64_t transactions; /* per worker; 0: none are kept */
    uint64_t memory;       /* octets, over all workers */
    struct str file;       /* what SIGUSR2 writes; empty: none */
};

struct config {
    struct str path;
    /* [server] */
    struct str hostname;    /* as written; greeting, EHLO south, Received */
    struct str authserv_id; /* default: hostname */
    uint64_t workers;       /* at least 1: "0" in the ini is settled when it is read */
    struct str user;        /* dropped to after the ports are bound, when started as root */
    /* [tls] */
    int tls_min; /* 0: TLS 1.2, 1: TLS 1.3 */
    /* [framing] */
    int framing;                   /* enum framing_mode */
    struct network_list normalise; /* clients whose framing is normalised whatever `framing` says */
    uint64_t min_data_rate;        /* octets per second */
    /* [auth] */
    struct str_list auth_mechanisms; /* upper case */
    /* [log] */
    int log_format, log_target, log_level;
    struct limits limits;
    struct timeouts timeouts;
    struct tarpit_settings tarpit;
    struct dns_settings dns;
    struct record_settings record;
    struct policy policy;
    struct listener *listeners;
    size_t listeners_n;
    struct route *routes; /* [0] is [backend] */
    size_t routes_n;
    struct certificate *certificates;
    size_t certificates_n;
    void *memory; /* everything the slices point to */
};

/* Reads and checks `path` ("-": standard input). Errors are printed to `errors`, one a line, all of them; NULL
 * when there was any. Warnings go there, too, and change nothing. Whether the limits fit the memory is asked with
 * config_prove_memory.
 */
struct config *config_load(const char *path, FILE *errors);
/* The same from text in memory, `name` standing for the file's name (tests, fuzzing, the demo). */
struct config *config_parse(struct str text, const char *name, FILE *errors);
void config_free(struct config *);

/* All keys with defaults and help, as an ini file (`postern check --defaults`), or as the whole page
 * postern.ini(5), of which proxy/man/postern.ini.5 is a copy.
 */
void config_print_defaults(FILE *);
void config_print_manual(FILE *);
/* The values in force, as an ini file that says the same again (`postern check`). */
void config_print(const struct config *, FILE *);

/* Which checks there are, when they judge, in which mode and with which bounds; in lines that an ini takes for comments. */
void config_print_checks(const struct config *, FILE *);

/* The memory proof, in lines that an ini takes for comments: one per item, and the sum against limits.memory.
 * False when it does not fit; a last line then says what would.
 */
bool config_prove_memory(const struct config *, FILE *);

/* The route for a recipient domain (canonical; empty for <postmaster>): exact name first, then the longest
 * wildcard, else routes[0].
 */
const struct route *config_route(const struct config *, struct str domain);

#endif
