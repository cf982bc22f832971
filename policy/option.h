/* Options: what the operator may write in the ini, a row each.
 *
 * A row says everything about its key: name, type, unit, default, range, help, and where the value goes. The parser,
 * `postern check`, the printed default file and the manual postern.ini(5) all read these rows; nothing about a key is
 * written twice. The proxy has its rows in proxy/config_rows.c; each check of the policy brings its own.
 */
#ifndef POLICY_OPTION_H
#define POLICY_OPTION_H

#include <stdint.h>

#include "address.h"
#include "domain_set.h"
#include "str.h"

enum option_type {
    OPTION_BOOL,        /* bool: yes | no */
    OPTION_NUMBER,      /* uint64_t, `unit` says of what; min..max */
    OPTION_BYTES,       /* uint64_t octets; the ini takes k, M, G (powers of 1024) */
    OPTION_SECONDS,     /* uint64_t milliseconds; the ini takes s, m, h, d, ms (bare number: seconds) */
    OPTION_CHOICE,      /* int: an index into `choices` */
    OPTION_TEXT,        /* struct str: any printable text */
    OPTION_NAME,        /* struct str: a domain name */
    OPTION_FILE,        /* struct str: a path that must be readable when the configuration is loaded */
    OPTION_NETWORKS,    /* struct network_list */
    OPTION_DOMAINS,     /* struct domain_set, "*.example.org" allowed */
    OPTION_DOMAIN_FILE, /* the same domain set as the row before it: a file with one name a line, '#' comments */
    OPTION_ENDPOINTS, /* struct endpoint_list, addresses only; `min` is the default port, 0 when a port must be given */
    OPTION_WORDS,     /* struct str_list */
    OPTION_SET,       /* unsigned: a bit for each of `choices` that is given */
    OPTION_LIST_CODES /* struct list_codes: return codes of a block list */
};

struct network_list {
    const struct network *item;
    size_t n;
};

struct endpoint_list {
    const struct endpoint *item;
    size_t n;
};

struct str_list {
    const struct str *item;
    size_t n;
};

/* Addresses a block list answers with: each octet within its range. "127.0.0.2-11:4" */
struct list_code {
    uint8_t low[4], high[4];
    uint8_t points; /* 0: those of the list */
};

struct list_codes {
    const struct list_code *item;
    size_t n;
};

struct option {
    const char *section; /* "limits"; for repeated sections the word before the name: "route" */
    const char *key;
    enum option_type type;
    size_t offset;      /* of the value in the section's struct */
    const char *preset; /* the default as the ini would say it; NULL: no default, may stay empty; see `required` */
    uint64_t min, max;  /* NUMBER, BYTES, SECONDS (in ms); lists: max items, 0 for any number */
    const char *const *choices; /* CHOICE, SET: NULL-terminated */
    bool required;
    const char *unit; /* NUMBER: "sessions", "octets", ...; may be NULL */
    const char *help; /* one or two plain sentences */
};

bool network_list_holds(const struct network_list *, const struct address *);

#endif
