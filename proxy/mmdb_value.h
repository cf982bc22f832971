/* Values in files of MaxMind's database format 2.0 (maxmind.github.io/MaxMind-DB): what libmaxminddb's own functions for them do
 * not promise is a bound. They skip what is not asked for by recursion, and follow pointers as often as a file says so, so that
 * few octets of a stranger's file are enough to exhaust the stack or to keep a worker busy for hours. Here every search ends
 * after MMDB_ITEMS_MAX items.
 */
#ifndef PROXY_MMDB_VALUE_H
#define PROXY_MMDB_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "../policy/str.h"

enum {
    MMDB_ITEMS_MAX = 4096,          /* looked at in one search; records have a few hundred */
    MMDB_METADATA_MAX = 128 * 1024, /* octets at the end of a file in which its metadata begin */
    MMDB_METADATA_ITEMS_MAX = 1024
};

enum mmdb_type { MMDB_POINTER = 1, MMDB_STRING = 2, MMDB_UINT32 = 6, MMDB_MAP = 7, MMDB_ARRAY = 11, MMDB_BOOLEAN = 14 };

struct mmdb_value {
    unsigned type;   /* enum mmdb_type, or another one that nobody asks for */
    uint64_t size;   /* octets; of maps: pairs, of arrays: items; of a pointer: where it leads */
    size_t at;       /* of the octets, or of the first item in it */
    size_t next;     /* what stands behind it; of maps and arrays: the first item */
    struct str text; /* MMDB_STRING: lies in the section */
    uint32_t number; /* MMDB_UINT32 */
};

/* The value that a path of keys leads to, from the record at `at` of a data section. False when there is none, when it cannot
 * be read, or is too far away.
 */
bool mmdb_find(struct str section, size_t at, const char *const *path, struct mmdb_value *);

/* Whether the metadata of a file, of which `tail` are the last octets (all, or MMDB_METADATA_MAX), can be read by
 * libmaxminddb's MMDB_open with little effort. NULL, or why not.
 */
const char *mmdb_metadata_trouble(struct str tail);

#endif
