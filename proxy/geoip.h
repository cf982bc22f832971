/* Where an address is: country, continent and autonomous system, from databases in MaxMind's format (libmaxminddb).
 *
 * A database is mapped into memory, not read: workers share its pages, and a look costs about a microsecond. It is replaced at
 * run time by renaming a new file over the old one, which every worker notices within `refresh`; a new one that cannot be read
 * leaves the old one in use. Never write into a mapped file or cut it short: whoever looks into what is no longer there gets
 * SIGBUS, and the worker with its sessions is lost (nothing else is; ORACLE A-12). Every lookup asks first whether that was
 * done, so that it must happen within the same few microseconds; the database then counts as missing until it can be read.
 *
 * Workers may live in an empty root, where no path leads to a file: geoip_new opens the folders of the databases before that, and
 * what lies there under the given name is opened later with the worker's own rights. So a worker keeps a way out of its root, to
 * files that its user may read: the databases should have a folder of their own.
 *
 * Databases are strangers' data (ATTACKS M01). Of libmaxminddb only MMDB_open and MMDB_lookup_sockaddr are used: the first after
 * the metadata were found to be small, the second does at most 128 steps. Records are read by mmdb_value.h, whose work is
 * bounded, and what it gives is checked before it is believed.
 */
#ifndef PROXY_GEOIP_H
#define PROXY_GEOIP_H

#include "../policy/address.h"
#include "../policy/policy.h"
#include "log.h"

enum { GEOIP_OWNER_MAX = 64 /* octets of an autonomous system's owner; longer names are cut */ };

struct geoip_origin {
    char country[3];   /* "DE"; "" unknown */
    char continent[3]; /* "EU" */
    char asn[11];      /* "64500" */
    char owner[GEOIP_OWNER_MAX + 1];
    bool no_country, no_asn; /* the database that could tell is configured and cannot be used */
};

enum geoip_state {
    GEOIP_FOUND,   /* at least one of them is known, or one database says nothing and the other cannot be used */
    GEOIP_NOWHERE, /* the address is in no database, or none is configured */
    GEOIP_BROKEN   /* no database that is configured can be used */
};

struct geoip;

/* Opens the folders of the databases. NULL without memory. */
struct geoip *geoip_new(const struct geo_policy *);
/* The first look at the databases themselves. Trouble is logged once for each file that is found there, and changes nothing else.
 * `now`: ms, monotonic.
 */
void geoip_begin(struct geoip *, struct log *, uint64_t now);
/* Both for a command, which looks once: trouble goes to stderr. NULL when no database is configured, or without memory. */
struct geoip *geoip_open(const struct geo_policy *);
bool geoip_is_configured(const struct geo_policy *);
void geoip_free(struct geoip *);

/* Looks, once in `refresh`, whether a file was replaced. */
void geoip_refresh(struct geoip *, uint64_t now);

/* Asks for the files' state. No I/O else but of pages that are not in memory yet. */
enum geoip_state geoip_lookup(struct geoip *, const struct address *, struct geoip_origin *);

/* The answer to a question for GEO (facts.h). `geo` may be NULL: nobody knows. */
void geo_answer(struct facts *, const struct question *, struct geoip *geo);

#endif
