/* Where an address is: country, continent and autonomous system, from databases in MaxMind's format (libmaxminddb).
 *
 * A database is mapped into memory, not read: workers share its pages, and a look costs about a microsecond. It is replaced at
 * run time by renaming a new file over the old one, which every worker notices within `refresh`; a new one that cannot be read
 * leaves the old one in use. Never write into a mapped file or cut it short: whoever looks into what is no longer there gets
 * SIGBUS, and the worker with its sessions is lost (nothing else is; ORACLE A-12).
 *
 * Databases are strangers' data: only MMDB_lookup_sockaddr and MMDB_aget_value on fixed paths are used, whose work is bounded by
 * the depth of the tree and of a record, and what they give is checked before it is believed (ATTACKS M01).
 */
#ifndef PROXY_GEOIP_H
#define PROXY_GEOIP_H

#include "../policy/address.h"
#include "../policy/facts.h"
#include "log.h"

enum { GEOIP_OWNER_MAX = 64 /* octets of an autonomous system's owner; longer names are cut */ };

struct geoip_origin {
    char country[3];   /* "DE"; "" unknown */
    char continent[3]; /* "EU" */
    char asn[11];      /* "64500" */
    char owner[GEOIP_OWNER_MAX + 1];
};

enum geoip_state {
    GEOIP_FOUND,   /* at least one of them is known */
    GEOIP_NOWHERE, /* the address is in no database, or none is configured */
    GEOIP_BROKEN   /* a database that is configured cannot be used, and no other knows the address */
};

struct geoip;

/* Paths may be empty: no such database. Trouble is logged once for each file that is found there, and changes nothing else.
 * NULL without memory. `refresh` and `now`: ms, monotonic.
 */
struct geoip *geoip_new(struct str country_path, struct str asn_path, uint64_t refresh, struct log *, uint64_t now);
void geoip_free(struct geoip *);

/* Looks, once in `refresh`, whether a file was replaced. */
void geoip_refresh(struct geoip *, uint64_t now);

/* No I/O but of pages that are not in memory yet. */
enum geoip_state geoip_lookup(struct geoip *, const struct address *, struct geoip_origin *);

/* The answer to a question for GEO (facts.h). `geo` may be NULL: nobody knows. */
void geo_answer(struct facts *, const struct question *, struct geoip *geo);

#endif
