/* What the files of the configuration share; everybody else includes config.h.
 *
 *     config.c        reads the ini, line by line, section by section
 *     config_store.c  the memory of a configuration, and files read whole
 *     config_rows.c   the rows: every section and key
 *     config_value.c  one parser and one printer per type of value
 *     config_check.c  what no single key can tell: defaults that depend on others, contradictions
 *     config_check_policy.c the same of the checks who may talk to us
 *     config_memory.c the memory proof
 *     config_checks.c what is judged, in short
 *     config_print.c  sample, effective configuration, manual
 */
#ifndef PROXY_CONFIG_PARTS_H
#define PROXY_CONFIG_PARTS_H

#include "config.h"

/* ---- sections (config_rows.c) ---- */

/* Which struct the rows' offsets are into. */
enum config_place {
    PLACE_CONFIG,
    PLACE_POLICY,
    PLACE_LISTENER,
    PLACE_CERTIFICATE,
    PLACE_BACKEND, /* config.routes[0] */
    PLACE_ROUTE,
    PLACE_LIST /* an item of the policy's list `list` */
};

struct config_section {
    const char *name;
    enum config_place place;
    const char *sample; /* repeated sections are written [name NAME]: a NAME for the sample; NULL: not repeated */
    const struct option *rows;
    size_t rows_n;
    const char *help;            /* NULL: none */
    const struct repeated *list; /* PLACE_LIST */
};

/* The proxy's sections, then those of each check that has options or lists. */
size_t config_sections_n(void);
struct config_section config_section_at(size_t i);

/* Lines of the error report that one run may print; the rest is counted. */
enum { CONFIG_ERRORS_MAX = 100 };

/* ---- memory (config_store.c) ---- */

/* Chunks that live as long as the configuration, or as long as reading it takes. */
struct config_store {
    struct config_chunk *first;
};

/* `n` zeroed octets, aligned for anything; NULL without memory. */
void *config_take(struct config_store *, size_t n);
void config_release(struct config_store *);
size_t config_store_size(const struct config_store *);

/* The whole of a file in malloc'd memory (NUL added), or NULL and errno. `regular`: refuse anything but a file. */
char *config_read_file(const char *path, bool regular, size_t *n);
/* 0 when `path` is a file that can be read, else why not (errno). */
int config_file_trouble(const char *path);

/* ---- reading (config.c) ---- */

/* One section as this file has it. */
struct config_instance {
    struct config_section section;
    struct str name;    /* of a repeated section */
    char *base;         /* the struct its rows point into */
    unsigned line;      /* of its heading; 0: not in the file */
    unsigned *row_line; /* per row: where the key stands; 0: not in the file */
    unsigned errors_n;  /* reported of it: what else is wrong there may follow from these */
};

struct config_reading {
    struct config *config;
    struct config_store store, scratch;
    const char *file;
    FILE *errors;
    unsigned errors_n;
    bool out_of_memory;
    struct config_instance *instance;
    size_t instances_n;

    /* The position in the text. */
    struct str rest;
    unsigned line;
    bool indented;
    bool heading_seen;

    /* The section being read, NULL in an unknown one; and the key whose value is being collected: lines that are
     * indented go on with it, so that it is complete only when something else begins.
     */
    struct config_instance *current;
    const struct option *row; /* NULL: an unknown key, its continuation lines are passed over */
    bool key_open;
    unsigned key_line, value_line;
    char *value;
    size_t value_n, value_size;
};

/* Adds an error to the report: "file:line: [section] key: text". `line` 0, `instance` and `key` NULL are left out. */
void config_complain(struct config_reading *, unsigned line, struct config_instance *, const char *key,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for something odd that is no error. */
void config_warn(struct config_reading *, unsigned line, const struct config_instance *, const char *key,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* "out of memory", once, whatever fails after it. */
void config_complain_memory(struct config_reading *);

/* A section with the defaults of its rows; NULL when there are too many or memory is short (reported). */
struct config_instance *config_add_instance(struct config_reading *, const struct config_section *, struct str name);
/* The instance whose values lie at `base`; for sections that are not repeated, by name. */
struct config_instance *config_instance_at(const struct config_reading *, const void *base);
struct config_instance *config_instance_named(const struct config_reading *, const char *section);

/* ---- values (config_value.c) ---- */

/* Reads `text`, which begins on `line`, as the value of `row`; problems are reported. Lists may hold newlines,
 * which count lines.
 */
void config_value_read(struct config_reading *, struct config_instance *, const struct option *row, struct str text,
                       unsigned line);
/* The value as the ini would say it behind its '=', a blank before each word; nothing when there is none. Lists
 * may fill several lines, each next one indented.
 */
void config_value_print(const struct option *row, const void *at, FILE *);
/* "a number of sessions from 1 to 100000" */
enum { CONFIG_EXPECTS_MAX = 200 };
const char *config_value_expects(const struct option *, char out[CONFIG_EXPECTS_MAX]);
bool config_value_is_list(enum option_type);

/* "1536k", "32M" */
enum { CONFIG_SIZE_MAX = 24 };
const char *config_size_text(uint64_t octets, char out[CONFIG_SIZE_MAX]);

/* Text from the file as a report may show it: printable, cut when long. */
enum { CONFIG_QUOTED_MAX = 80 };
const char *config_quote(char out[CONFIG_QUOTED_MAX], struct str);
#define CONFIG_QUOTED(s) config_quote((char[CONFIG_QUOTED_MAX]){ 0 }, (s))

/* ---- the rest ---- */

/* Fills in what depends on other values and reports contradictions. */
void config_check(struct config_reading *);
void config_check_policy(struct config_reading *); /* config_check_policy.c */
/* Gives a key of a section its value. */
void config_set_key(struct config_reading *, struct config_instance *, const char *key, struct str text);
/* Where the key stands, or else its section. */
unsigned config_line_of(const struct config_instance *, const char *key);
/* How many of `wanted` workers fit limits.memory, at least one. */
uint64_t config_workers_that_fit(const struct config *, uint64_t wanted);

#endif
