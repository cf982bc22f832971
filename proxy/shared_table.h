/* A table shared by all workers, for what is worth remembering and not worth a disk: keys of any kind, 36 bits about each.
 *
 * The memory is a mapping that the supervisor makes before it forks, and its size is fixed. An entry is one atomic word (28
 * bits of the key's hash, then the value), so nobody needs a lock, and a worker that is killed at any instant leaves every
 * entry whole. A key may stand in one of eight places, picked by the other bits of its hash; in a full place the caller says
 * which entry makes room. The hash is keyed with a seed of the table's own: nobody outside can choose keys that collide. One
 * lookup in 33 million finds another key's entry, so what is remembered never decides by itself.
 *
 * Of two workers that add the same key at once both may succeed, each in a place of its own: then one of them ages unused.
 */
#ifndef PROXY_SHARED_TABLE_H
#define PROXY_SHARED_TABLE_H

#include <stdint.h>

#include "../policy/str.h"

enum { SHARED_WAYS = 8, SHARED_VALUE_BITS = 36, SHARED_SEED = 16 /* octets */ };
#define SHARED_VALUE ((UINT64_C(1) << SHARED_VALUE_BITS) - 1)

struct shared_table;

/* An empty table in `octets` of shared memory, a head of one line and the entries; NULL when there is no memory, or too little
 * for one place. All functions take NULL for a table that remembers nothing.
 */
struct shared_table *shared_table_new(uint64_t octets);
void shared_table_free(struct shared_table *);

/* The value of `key`; 0: it is not there. */
uint64_t shared_table_read(const struct shared_table *, struct str key);

/* How an entry changes. Both may be called several times, when others change it, too: they have no side effects. */
struct shared_change {
    /* The value after `value`, which is 0 for a new entry. 0: it is forgotten, or never made. */
    uint64_t (*next)(uint64_t value, const void *context);
    /* Which of the entries makes room for `added`; all of them are in use. */
    size_t (*victim)(const uint64_t value[SHARED_WAYS], uint64_t added, const void *context);
    const void *context;
};
void shared_table_change(struct shared_table *, struct str key, const struct shared_change *);

void shared_table_clear(struct shared_table *);

/* The raw table, for a copy on disk: its seed (without which the words mean nothing) and its words, 0 for unused ones. */
size_t shared_table_words(const struct shared_table *);
uint64_t shared_table_word(const struct shared_table *, size_t i);
void shared_table_put_word(struct shared_table *, size_t i, uint64_t word);
void shared_table_seed(const struct shared_table *, uint8_t out[SHARED_SEED]);
void shared_table_set_seed(struct shared_table *, const uint8_t seed[SHARED_SEED]);

#endif
