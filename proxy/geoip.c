#include "geoip.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../policy/continent.h"
#include "mmdb_value.h"

enum { NAME_ROOM = 256, PATH_ROOM_MAX = 4096, NOT_LOOKED = -1 /* no file's error: the next look is never skipped */ };

/* Which file a path led to: one that was renamed over it differs in at least one of these. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    int error; /* errno; 0: it is there */
};

struct database {
    const char *what;         /* for the log */
    char path[PATH_ROOM_MAX]; /* the same */
    int folder;               /* where it lies; -1: nowhere */
    char name[NAME_ROOM];     /* in the folder */
    int folder_error;         /* errno of opening it */
    struct identity identity; /* of the file looked at last, good or not */
    struct identity mapped;   /* of the one in use */
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

static struct identity identify(const struct database *d)
{
    struct stat st;

    if (d->folder < 0)
        return (struct identity){ .error = d->folder_error };
    if (fstatat(d->folder, d->name, &st, 0) != 0)
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

static const char *metadata_trouble(int fd, off_t size)
{
    size_t n = size < MMDB_METADATA_MAX ? (size_t)size : MMDB_METADATA_MAX;
    char *tail = malloc(n + 1);
    ssize_t got = tail != NULL ? pread(fd, tail, n, size - (off_t)n) : -1;
    const char *why = got < 0 ? strerror(errno) : mmdb_metadata_trouble(str_from(tail, (size_t)got));

    free(tail);
    return why;
}

/* Before libmaxminddb sees it. */
static const char *file_trouble(const struct database *d)
{
    int fd = openat(d->folder, d->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = fd < 0 ? strerror(errno) : metadata_trouble(fd, d->identity.size);

    if (fd >= 0)
        close(fd);
    return why;
}

/* libmaxminddb takes paths alone, and in a worker's empty root none leads out: for this moment we go where the file lies. */
static const char *open_in_folder(const struct database *d, MMDB_s *mmdb)
{
    int home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), status;
    const char *why;

    if (home < 0 || fchdir(d->folder) != 0) {
        why = strerror(errno);
    } else {
        status = MMDB_open(d->name, MMDB_MODE_MMAP, mmdb);
        why = status == MMDB_SUCCESS ? NULL : MMDB_strerror(status);
        if (fchdir(home) != 0 && why == NULL) {
            why = strerror(errno);
            MMDB_close(mmdb);
        }
    }
    if (home >= 0)
        close(home);
    return why;
}

static const char *open_file(const struct database *d, MMDB_s *mmdb)
{
    const char *why;

    if (d->identity.error == EINVAL)
        return "not a regular file";
    if (d->identity.error != 0)
        return strerror(d->identity.error);
    why = file_trouble(d);
    return why != NULL ? why : open_in_folder(d, mmdb);
}

/* Of ours, and not for long: then the file is looked at again. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* Not renamed, but written into: what was there when it was opened is there no more. */
static bool is_overwritten(const struct database *d, const struct identity *now)
{
    return d->is_open && now->error == 0 && now->device == d->mapped.device && now->inode == d->mapped.inode &&
           !same_file(now, &d->mapped);
}

/* Opens what the path leads to now; an old database stays in use when that cannot be read. Once per file, so that the log has
 * one line for it.
 */
static void look_at(struct geoip *geo, struct database *d)
{
    struct identity identity = identify(d);
    MMDB_s fresh = { .flags = 0 };
    const char *why;

    if (same_file(&identity, &d->identity))
        return;
    if (is_overwritten(d, &identity)) {
        log_say(geo->log, LOG_WARN, "geoip", "%s %s: was written into while in use; rename a new one over it", d->what,
                d->path);
        close_database(d);
    }
    d->identity = identity;
    errno = 0;
    why = open_file(d, &fresh);
    if (why != NULL) {
        if (is_shortage(errno))
            d->identity.error = NOT_LOOKED;
        log_say(geo->log, LOG_WARN, "geoip", "%s %s: %s%s", d->what, d->path, why,
                d->is_open ? "; the one before stays in use" : "");
        return;
    }
    log_say(geo->log, LOG_INFO, "geoip", "%s %s: %.60s, %s", d->what, d->path, fresh.metadata.database_type,
            d->is_open ? "replaced" : "in use");
    close_database(d);
    d->mmdb = fresh;
    d->mapped = identity;
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

/* ---- beginning and end ---- */

static void open_folder(struct database *d, const char *path)
{
    d->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    d->folder_error = errno;
}

/* Splits the path; one that is too long is told as such. */
static void set_path(struct database *d, struct str path)
{
    char *slash;
    int n = snprintf(d->path, sizeof d->path, "%.*s", STR_ARG(path));

    if (path.n == 0)
        return;
    slash = strrchr(d->path, '/');
    n = (size_t)n < sizeof d->path ? snprintf(d->name, sizeof d->name, "%s", slash != NULL ? slash + 1 : d->path) : n;
    if ((size_t)n >= sizeof d->name) {
        d->folder_error = ENAMETOOLONG;
        return;
    }
    if (slash == NULL || slash == d->path) {
        open_folder(d, slash == NULL ? "." : "/");
        return;
    }
    *slash = '\0';
    open_folder(d, d->path);
    *slash = '/';
}

struct geoip *geoip_new(const struct geo_policy *policy)
{
    struct geoip *geo = calloc(1, sizeof *geo);

    if (geo == NULL)
        return NULL;
    *geo = (struct geoip){ .database = { { .what = "country database" }, { .what = "ASN database" } },
                           .refresh = policy->refresh };
    for (size_t i = 0; i < DATABASES; i++) {
        geo->database[i].folder = -1;
        geo->database[i].identity.error = NOT_LOOKED;
    }
    set_path(&geo->database[COUNTRY], policy->country_database);
    set_path(&geo->database[ASN], policy->asn_database);
    return geo;
}

void geoip_begin(struct geoip *geo, struct log *log, uint64_t now)
{
    geo->log = log;
    geo->next = now;
    geoip_refresh(geo, now);
}

bool geoip_is_configured(const struct geo_policy *policy)
{
    return policy->country_database.n + policy->asn_database.n > 0;
}

struct geoip *geoip_open(const struct geo_policy *policy)
{
    struct geoip *geo = geoip_is_configured(policy) ? geoip_new(policy) : NULL;
    struct log *log = geo != NULL ? log_new(LOG_LOGFMT, LOG_TO_STDERR, LOG_WARN, STDERR_FILENO) : NULL;

    if (log == NULL) {
        geoip_free(geo);
        return NULL;
    }
    geoip_begin(geo, log, 0);
    log_flush(log);
    log_free(log);
    geo->log = NULL;
    return geo;
}

void geoip_free(struct geoip *geo)
{
    for (size_t i = 0; geo != NULL && i < DATABASES; i++) {
        close_database(&geo->database[i]);
        if (geo->database[i].folder >= 0)
            close(geo->database[i].folder);
    }
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

/* Where libmaxminddb's search in the tree ended. */
struct record {
    struct str section;
    size_t at;
};

static bool get(const struct record *record, const char *const *path, unsigned type, struct mmdb_value *value)
{
    return mmdb_find(record->section, record->at, path, value) && value->type == type;
}

/* Two letters, in capitals; anything else is no code. */
static void take_code(const struct record *record, const char *const (*path)[3], size_t paths, char out[3])
{
    struct mmdb_value v;

    for (size_t i = 0; i < paths && out[0] == '\0'; i++)
        if (get(record, path[i], MMDB_STRING, &v) && v.text.n == 2 && ascii_is_letter(v.text.p[0]) &&
            ascii_is_letter(v.text.p[1])) {
            out[0] = (char)(ascii_lower(v.text.p[0]) - 'a' + 'A');
            out[1] = (char)(ascii_lower(v.text.p[1]) - 'a' + 'A');
        }
}

/* What the database does not say follows from the country. */
static void take_continent(const struct record *record, struct geoip_origin *origin)
{
    struct str known;

    take_code(record, continent_paths, sizeof continent_paths / sizeof *continent_paths, origin->continent);
    if (origin->continent[0] != '\0')
        return;
    known = continent_of(str_of(origin->country));
    memcpy(origin->continent, known.p, known.n);
}

static void take_number(const struct record *record, char out[11])
{
    struct mmdb_value v;

    for (size_t i = 0; i < sizeof number_paths / sizeof *number_paths && out[0] == '\0'; i++)
        if (get(record, number_paths[i], MMDB_UINT32, &v) && v.number > 0)
            snprintf(out, 11, "%u", (unsigned)v.number);
}

/* For people, in the log and in replies: printable ASCII, the rest as '?'. */
static void take_owner(const struct record *record, char out[GEOIP_OWNER_MAX + 1])
{
    struct mmdb_value v;
    size_t n;

    for (size_t i = 0; i < sizeof owner_paths / sizeof *owner_paths && out[0] == '\0'; i++) {
        if (!get(record, owner_paths[i], MMDB_STRING, &v))
            continue;
        n = v.text.n < GEOIP_OWNER_MAX ? v.text.n : GEOIP_OWNER_MAX;
        for (size_t k = 0; k < n; k++)
            out[k] = v.text.p[k] >= ' ' && v.text.p[k] <= '~' ? v.text.p[k] : '?';
        out[n] = '\0';
    }
}

/* ---- lookups ---- */

/* A file that was cut short kills whoever reads on; this look leaves only a moment for that. A command looks at files once. */
static void check_mapping(struct geoip *geo, struct database *d)
{
    struct identity now = identify(d);

    if (!is_overwritten(d, &now))
        return;
    if (geo->log != NULL)
        look_at(geo, d);
    else
        close_database(d);
}

static enum geoip_state find(struct geoip *geo, struct database *d, const struct sockaddr *address,
                             struct record *record)
{
    MMDB_lookup_result_s result;
    int error = MMDB_SUCCESS;

    if (d->path[0] == '\0')
        return GEOIP_NOWHERE;
    if (d->is_open)
        check_mapping(geo, d);
    if (!d->is_open)
        return GEOIP_BROKEN;
    result = MMDB_lookup_sockaddr(&d->mmdb, address, &error);
    if (error == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR)
        return GEOIP_NOWHERE;
    if (error != MMDB_SUCCESS)
        return GEOIP_BROKEN;
    if (!result.found_entry)
        return GEOIP_NOWHERE;
    *record = (struct record){ { (const char *)d->mmdb.data_section, d->mmdb.data_section_size }, result.entry.offset };
    return GEOIP_FOUND;
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

static bool is_configured(const struct database *d)
{
    return d->path[0] != '\0';
}

/* One that is broken makes only its own part unknown, as long as the other can be asked. */
static enum geoip_state sum_up(const struct geoip *geo, const struct geoip_origin *o)
{
    bool country_answers = is_configured(&geo->database[COUNTRY]) && !o->no_country;
    bool asn_answers = is_configured(&geo->database[ASN]) && !o->no_asn;

    if (o->country[0] != '\0' || o->continent[0] != '\0' || o->asn[0] != '\0')
        return GEOIP_FOUND;
    if (!o->no_country && !o->no_asn)
        return GEOIP_NOWHERE;
    return country_answers || asn_answers ? GEOIP_FOUND : GEOIP_BROKEN;
}

enum geoip_state geoip_lookup(struct geoip *geo, const struct address *address, struct geoip_origin *origin)
{
    union any_address client;
    struct record record;
    enum geoip_state country, asn;

    *origin = (struct geoip_origin){ .country = "" };
    to_socket_address(address, &client);
    country = find(geo, &geo->database[COUNTRY], &client.any, &record);
    if (country == GEOIP_FOUND) {
        take_code(&record, country_paths, sizeof country_paths / sizeof *country_paths, origin->country);
        take_continent(&record, origin);
    }
    asn = find(geo, &geo->database[ASN], &client.any, &record);
    if (asn == GEOIP_FOUND) {
        take_number(&record, origin->asn);
        take_owner(&record, origin->owner);
    }
    origin->no_country = country == GEOIP_BROKEN;
    origin->no_asn = asn == GEOIP_BROKEN;
    return sum_up(geo, origin);
}

void geo_answer(struct facts *facts, const struct question *q, struct geoip *geo)
{
    struct geoip_origin origin;
    struct address address;
    enum geoip_state state = GEOIP_NOWHERE;

    if (geo != NULL && address_parse(q->key, &address))
        state = geoip_lookup(geo, &address, &origin);
    if (state == GEOIP_FOUND) {
        const struct str values[] = { str_of(origin.no_country ? GEO_UNREAD : origin.country), str_of(origin.continent),
                                      str_of(origin.no_asn ? GEO_UNREAD : origin.asn), str_of(origin.owner) };

        facts_answer(facts, *q, FACT_OK, values, sizeof values / sizeof *values);
    } else {
        facts_answer(facts, *q, state == GEOIP_BROKEN ? FACT_TEMP : FACT_NODATA, NULL, 0);
    }
}
