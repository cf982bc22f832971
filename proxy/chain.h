/* Chains of fixed-size chunks, and the pools whose budgets they count against.
 *
 * A chain is a byte queue: put at the tail, taken from the front, moved whole or chunk by chunk to another chain
 * without copying. Message bytes, and everything on its way to a socket, live in chains; so the sum of all pools
 * bounds what a worker can hold. A put that does not fit the pool's budget fails as a whole and changes nothing.
 */
#ifndef PROXY_CHAIN_H
#define PROXY_CHAIN_H

#include <stdint.h>

#include "../policy/str.h"

enum { CHUNK_SIZE = 8192, CHUNK_ROOM = CHUNK_SIZE - 24 };

struct pool;

struct chunk {
    struct chunk *next;
    struct pool *pool;
    uint32_t start, end; /* the bytes in use: data[start..end) */
    char data[];
};

/* A budget and a free list. One per worker and purpose; not shared between threads or processes. */
struct pool {
    size_t limit; /* octets, whole chunks counted */
    size_t used;
    struct chunk *free;
    size_t free_n;
    size_t peak;
};

struct chain {
    struct chunk *head;
    struct chunk *tail;
    size_t n; /* octets */
};

void pool_init(struct pool *, size_t limit);
/* Frees the spare chunks: at the end of the pool, or when it has rested and may be used again. */
void pool_free(struct pool *);
/* True when `n` more octets would fit the budget, put into a chain whose tail is full. */
bool pool_fits(const struct pool *, size_t n);
/* Counts memory against the budget that is not made of chunks (a header buffer); false, and nothing counted, when
 * it is over.
 */
bool pool_charge(struct pool *, size_t n);
void pool_release(struct pool *, size_t n);

enum chain_put {
    CHAIN_BUDGET,
    CHAIN_FORCE /* even over the budget: for replies and the last step of a stream; the caller bounds it */
};

/* Copies `s` to the tail. False when the budget (or memory) does not allow it. */
bool chain_put(struct chain *, struct pool *, struct str s, enum chain_put);
/* The bytes of the first chunk; { NULL, 0 } when empty. */
struct str chain_front(const struct chain *);
/* Fills `out` with up to `max` slices from the front; returns how many. They stay valid until dropped. */
size_t chain_slices(const struct chain *, struct str *out, size_t max);
/* Removes `n` octets (n <= chain->n) from the front. */
void chain_drop(struct chain *, size_t n);
/* Appends all of `from` to `to`; `from` is empty then. No copy. */
void chain_move(struct chain *to, struct chain *from);
/* Moves whole chunks from the front of `from` until at least `n` octets went or it is empty. */
void chain_move_some(struct chain *to, struct chain *from, size_t n);
void chain_clear(struct chain *);

#endif
