#include "geoip.h"

#include <errno.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_ROOM_MAX = 4096 };

/* Which file a path led to: one that was renamed over it differs in at least one of these. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    int error; /* errno of stat; 0: it is there */
};

struct database {
    const char *what; /* for the log */
    char path[PATH_ROOM_MAX];
    struct identity identity; /* of the file looked at last, good or not */
    MMDB_s mmdb;
    bool is_open;
};

enum { COUNTRY, ASN, DATABASES };

struct geoip {
    struct database database[DATABASES];
    struct log *log;
    uint64_t refresh, next; /* ms */
};

/* ---- opening ---- */

static struct identity identify(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return (struct identity){ .error = errno };
    if (!S_ISREG(st.st_mode))
        return (struct identity){ .error = EINVAL };
    return (struct identity){ st.st_dev, st.st_ino, st.st_size, st.st_ctim, 0 };
}

static bool same_file(const struct identity *a, const struct identity *b)
{
    return a->error == b->error && a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void close_database(struct database *d)
{
    if (d->is_open)
        MMDB_close(&d->mmdb);
    d->is_open = false;
}

static const char *open_file(const struct database *d, MMDB_s *mmdb)
{
    int status;

    if (d->identity.error == EINVAL)
        return "not a regular file";
    if (d->identity.error != 0)
        return strerror(d->identity.error);
    status = MMDB_open(d->path, MMDB_MODE_MMAP, mmdb);
    return status == MMDB_SUCCESS ? NULL : MMDB_strerror(status);
}

/* Opens what the path leads to now; an old database stays in use when that cannot be read. Once per file, so that the log has
 * one line for it.
 */
static void look_at(struct geoip *geo, struct database *d)
{
    struct identity identity = identify(d->path);
    MMDB_s fresh;
    const char *why;

    if (same_file(&identity, &d->identity))
        return;
    d->identity = identity;
    why = open_file(d, &fresh);
    if (why != NULL) {
        log_say(geo->log, LOG_WARN, "geoip", "%s %s: %s%s", d->what, d->path, why,
                d->is_open ? "; the one before stays in use" : "");
        return;
    }
    log_say(geo->log, LOG_INFO, "geoip", "%s %s: %.60s, %s", d->what, d->path, fresh.metadata.database_type,
            d->is_open ? "replaced" : "in use");
    close_database(d);
    d->mmdb = fresh;
    d->is_open = true;
}

void geoip_refresh(struct geoip *geo, uint64_t now)
{
    if (now < geo->next)
        return;
    geo->next = now + geo->refresh;
    for (size_t i = 0; i < DATABASES; i++)
        if (geo->database[i].path[0] != '\0')
            look_at(geo, &geo->database[i]);
}

struct geoip *geoip_new(struct str country_path, struct str asn_path, uint64_t refresh_ms, struct log *log,
                        uint64_t now)
{
    struct geoip *geo = calloc(1, sizeof *geo);

    if (geo == NULL)
        return NULL;
    *geo = (struct geoip){ .log = log, .refresh = refresh_ms, .next = now };
    geo->database[COUNTRY].what = "country database";
    geo->database[ASN].what = "ASN database";
    snprintf(geo->database[COUNTRY].path, PATH_ROOM_MAX, "%.*s", STR_ARG(country_path));
    snprintf(geo->database[ASN].path, PATH_ROOM_MAX, "%.*s", STR_ARG(asn_path));
    for (size_t i = 0; i < DATABASES; i++)
        geo->database[i].identity.error = -1; /* no file's: the first look is never skipped */
    geoip_refresh(geo, now);
    return geo;
}

void geoip_free(struct geoip *geo)
{
    for (size_t i = 0; geo != NULL && i < DATABASES; i++)
        close_database(&geo->database[i]);
    free(geo);
}

/* ---- values ---- */

/* Country and continent in the databases that are around: MaxMind's and DB-IP's nested, ip-location-db's flat. */
static const char *const country_paths[][3] = { { "country", "iso_code", NULL },
                                                { "country_code", NULL, NULL },
                                                { "registered_country", "iso_code", NULL } };
static const char *const continent_paths[][3] = { { "continent", "code", NULL }, { "continent_code", NULL, NULL } };
static const char *const number_paths[][3] = { { "autonomous_system_number", NULL, NULL }, { "asn", NULL, NULL } };
static const char *const owner_paths[][3] = { { "autonomous_system_organization", NULL, NULL },
                                              { "organization", NULL, NULL } };

static bool get(MMDB_entry_s *entry, const char *const *path, uint32_t type, MMDB_entry_data_s *data)
{
    return MMDB_aget_value(entry, data, path) == MMDB_SUCCESS && data->has_data && data->type == type;
}

/* Two letters, in capitals; anything else is no code. */
static void take_code(MMDB_entry_s *entry, const char *const (*path)[3], size_t paths, char out[3])
{
    MMDB_entry_data_s data;

    for (size_t i = 0; i < paths && out[0] == '\0'; i++)
        if (get(entry, path[i], MMDB_DATA_TYPE_UTF8_STRING, &data) && data.data_size == 2 &&
            ascii_is_letter(data.utf8_string[0]) && ascii_is_letter(data.utf8_string[1])) {
            out[0] = (char)(ascii_lower(data.utf8_string[0]) - 'a' + 'A');
            out[1] = (char)(ascii_lower(data.utf8_string[1]) - 'a' + 'A');
        }
}

static void take_number(MMDB_entry_s *entry, char out[11])
{
    MMDB_entry_data_s data;

    for (size_t i = 0; i < sizeof number_paths / sizeof *number_paths && out[0] == '\0'; i++)
        if (get(entry, number_paths[i], MMDB_DATA_TYPE_UINT32, &data) && data.uint32 > 0)
            snprintf(out, 11, "%u", (unsigned)data.uint32);
}

/* For people, in the log and in replies: printable ASCII, the rest as '?'. */
static void take_owner(MMDB_entry_s *entry, char out[GEOIP_OWNER_MAX + 1])
{
    MMDB_entry_data_s data;
    size_t n;

    for (size_t i = 0; i < sizeof owner_paths / sizeof *owner_paths && out[0] == '\0'; i++) {
        if (!get(entry, owner_paths[i], MMDB_DATA_TYPE_UTF8_STRING, &data))
            continue;
        n = data.data_size < GEOIP_OWNER_MAX ? data.data_size : GEOIP_OWNER_MAX;
        for (size_t k = 0; k < n; k++)
            out[k] = data.utf8_string[k] >= ' ' && data.utf8_string[k] <= '~' ? data.utf8_string[k] : '?';
        out[n] = '\0';
    }
}

/* ---- lookups ---- */

static enum geoip_state find(struct database *d, const struct sockaddr *address, MMDB_entry_s *entry)
{
    MMDB_lookup_result_s result;
    int error = MMDB_SUCCESS;

    if (d->path[0] == '\0')
        return GEOIP_NOWHERE;
    if (!d->is_open)
        return GEOIP_BROKEN;
    result = MMDB_lookup_sockaddr(&d->mmdb, address, &error);
    if (error == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR)
        return GEOIP_NOWHERE;
    if (error != MMDB_SUCCESS)
        return GEOIP_BROKEN;
    *entry = result.entry;
    return result.found_entry ? GEOIP_FOUND : GEOIP_NOWHERE;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void to_socket_address(const struct address *address, union any_address *out)
{
    memset(out, 0, sizeof *out);
    if (address_is_v4(address)) {
        out->v4.sin_family = AF_INET;
        memcpy(&out->v4.sin_addr, address->byte + 12, 4);
    } else {
        out->v6.sin6_family = AF_INET6;
        memcpy(&out->v6.sin6_addr, address->byte, 16);
    }
}

enum geoip_state geoip_lookup(struct geoip *geo, const struct address *address, struct geoip_origin *origin)
{
    union any_address client;
    MMDB_entry_s entry;
    enum geoip_state country, asn;

    *origin = (struct geoip_origin){ .country = "" };
    to_socket_address(address, &client);
    country = find(&geo->database[COUNTRY], &client.any, &entry);
    if (country == GEOIP_FOUND) {
        take_code(&entry, country_paths, sizeof country_paths / sizeof *country_paths, origin->country);
        take_code(&entry, continent_paths, sizeof continent_paths / sizeof *continent_paths, origin->continent);
    }
    asn = find(&geo->database[ASN], &client.any, &entry);
    if (asn == GEOIP_FOUND) {
        take_number(&entry, origin->asn);
        take_owner(&entry, origin->owner);
    }
    if (origin->country[0] != '\0' || origin->continent[0] != '\0' || origin->asn[0] != '\0')
        return GEOIP_FOUND;
    return country == GEOIP_BROKEN || asn == GEOIP_BROKEN ? GEOIP_BROKEN : GEOIP_NOWHERE;
}

void geo_answer(struct facts *facts, const struct question *q, struct geoip *geo)
{
    struct geoip_origin origin;
    struct address address;
    enum geoip_state state = GEOIP_NOWHERE;

    if (geo != NULL && address_parse(q->key, &address))
        state = geoip_lookup(geo, &address, &origin);
    if (state == GEOIP_FOUND) {
        const struct str values[] = { str_of(origin.country), str_of(origin.continent), str_of(origin.asn),
                                      str_of(origin.owner) };

        facts_answer(facts, *q, FACT_OK, values, sizeof values / sizeof *values);
    } else {
        facts_answer(facts, *q, state == GEOIP_BROKEN ? FACT_TEMP : FACT_NODATA, NULL, 0);
    }
}
