/* See lookup.h. Chained buckets that double; hashes are compared whole, what they are made of is for the caller. */
#include "lookup.h"

#include <stdlib.h>

enum { BUCKETS_MIN = 64 };

const uint64_t hash_start = UINT64_C(0xcbf29ce484222325);

static void rehash(struct lookup *l, size_t buckets)
{
    free(l->bucket);
    l->bucket = fresh(buckets * sizeof *l->bucket);
    l->buckets = buckets;
    for (size_t i = 0; i < buckets; i++)
        l->bucket[i] = SIZE_MAX;
    for (size_t i = 0; i < l->n; i++) {
        size_t *head = &l->bucket[l->entry[i].hash & (buckets - 1)];
        l->entry[i].next = *head;
        *head = i;
    }
}

void lookup_add(struct lookup *l, uint64_t hash, size_t value)
{
    if (l->n == l->buckets)
        rehash(l, l->buckets > 0 ? 2 * l->buckets : BUCKETS_MIN);
    size_t *head = &l->bucket[hash & (l->buckets - 1)];
    l->entry = array_grow(l->entry, l->n, sizeof *l->entry);
    l->entry[l->n] = (struct lookup_entry){ hash, value, *head };
    *head = l->n++;
}

static size_t same_hash(const struct lookup *l, size_t entry, uint64_t hash)
{
    while (entry != SIZE_MAX && l->entry[entry].hash != hash)
        entry = l->entry[entry].next;
    return entry;
}

size_t lookup_first(const struct lookup *l, uint64_t hash)
{
    return l->buckets > 0 ? same_hash(l, l->bucket[hash & (l->buckets - 1)], hash) : SIZE_MAX;
}

size_t lookup_next(const struct lookup *l, size_t entry)
{
    return same_hash(l, l->entry[entry].next, l->entry[entry].hash);
}

size_t lookup_value(const struct lookup *l, size_t entry)
{
    return l->entry[entry].value;
}

void lookup_free(struct lookup *l)
{
    free(l->entry);
    free(l->bucket);
    *l = (struct lookup){ 0 };
}

/* FNV-1a, with the high bits brought down to where the bucket is taken from. */
uint64_t hash_octets(uint64_t hash, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ s.p[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15) + s.n;
}

uint64_t hash_endpoint(uint64_t hash, const struct endpoint *e)
{
    uint8_t port[2] = { (uint8_t)(e->port >> 8), (uint8_t)e->port };

    hash = hash_octets(hash, (struct slice){ e->address, sizeof e->address });
    return hash_octets(hash, (struct slice){ port, sizeof port });
}
