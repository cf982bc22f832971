/* Finding things by a hash of what they are called: many values may have one name. Newest first. */
#ifndef WIRE_LOOKUP_H
#define WIRE_LOOKUP_H

#include "capture.h"

struct lookup_entry {
    uint64_t hash;
    size_t value;
    size_t next; /* entry, SIZE_MAX none */
};

struct lookup {
    struct lookup_entry *entry;
    size_t n;
    size_t *bucket; /* newest entry */
    size_t buckets; /* a power of two */
};

void lookup_add(struct lookup *l, uint64_t hash, size_t value);
/* The newest entry with this hash, and the one before an entry; SIZE_MAX: none. */
size_t lookup_first(const struct lookup *l, uint64_t hash);
size_t lookup_next(const struct lookup *l, size_t entry);
size_t lookup_value(const struct lookup *l, size_t entry);
void lookup_free(struct lookup *l);

/* Hashes; start with hash_start, and go on with what came out for names of several parts. */
extern const uint64_t hash_start;
uint64_t hash_octets(uint64_t hash, struct slice s);
uint64_t hash_endpoint(uint64_t hash, const struct endpoint *e);

#endif
