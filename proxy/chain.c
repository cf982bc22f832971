#include "chain.h"

#include <stdlib.h>

_Static_assert(sizeof(struct chunk) <= CHUNK_SIZE - CHUNK_ROOM, "a chunk and its data fit CHUNK_SIZE");

enum { POOL_SPARE = 32 /* chunks kept for the next message instead of going back to malloc */ };

void pool_init(struct pool *pool, size_t limit)
{
    *pool = (struct pool){ .limit = limit };
}

void pool_free(struct pool *pool)
{
    while (pool->free != NULL) {
        struct chunk *next = pool->free->next;

        free(pool->free);
        pool->free = next;
    }
    pool->free_n = 0;
}

static size_t chunks_for(size_t n)
{
    return (n + CHUNK_ROOM - 1) / CHUNK_ROOM;
}

bool pool_fits(const struct pool *pool, size_t n)
{
    return pool->used <= pool->limit && chunks_for(n) <= (pool->limit - pool->used) / CHUNK_SIZE;
}

bool pool_charge(struct pool *pool, size_t n)
{
    if (pool->used > pool->limit || n > pool->limit - pool->used)
        return false;
    pool->used += n;
    if (pool->used > pool->peak)
        pool->peak = pool->used;
    return true;
}

void pool_release(struct pool *pool, size_t n)
{
    pool->used -= n;
}

static struct chunk *chunk_new(struct pool *pool)
{
    struct chunk *chunk = pool->free;

    if (chunk != NULL) {
        pool->free = chunk->next;
        pool->free_n--;
    } else {
        chunk = malloc(CHUNK_SIZE);
        if (chunk == NULL)
            return NULL;
    }
    chunk->next = NULL;
    chunk->pool = pool;
    chunk->start = chunk->end = 0;
    pool->used += CHUNK_SIZE;
    if (pool->used > pool->peak)
        pool->peak = pool->used;
    return chunk;
}

static void chunk_free(struct chunk *chunk)
{
    struct pool *pool = chunk->pool;

    pool->used -= CHUNK_SIZE;
    if (pool->free_n >= POOL_SPARE) {
        free(chunk);
        return;
    }
    chunk->next = pool->free;
    pool->free = chunk;
    pool->free_n++;
}

static size_t tail_room(const struct chain *chain)
{
    return chain->tail != NULL ? CHUNK_ROOM - chain->tail->end : 0;
}

/* A list of empty chunks with room for `n` octets, or NULL: taken before anything is copied, so a put never half
 * happens.
 */
static struct chunk *chunks_reserve(struct pool *pool, size_t n)
{
    struct chunk *list = NULL;

    for (size_t i = chunks_for(n); i > 0; i--) {
        struct chunk *chunk = chunk_new(pool);

        if (chunk == NULL) {
            while (list != NULL) {
                chunk = list->next;
                chunk_free(list);
                list = chunk;
            }
            return NULL;
        }
        chunk->next = list;
        list = chunk;
    }
    return list;
}

static void chunk_fill(struct chunk *chunk, struct str *s)
{
    size_t n = CHUNK_ROOM - chunk->end < s->n ? CHUNK_ROOM - chunk->end : s->n;

    memcpy(chunk->data + chunk->end, s->p, n);
    chunk->end += (uint32_t)n;
    *s = str_skip(*s, n);
}

static void chain_append(struct chain *chain, struct chunk *chunk)
{
    if (chain->tail != NULL)
        chain->tail->next = chunk;
    else
        chain->head = chunk;
    chain->tail = chunk;
}

bool chain_put(struct chain *chain, struct pool *pool, struct str s, enum chain_put how)
{
    size_t room = tail_room(chain);
    size_t beyond = s.n > room ? s.n - room : 0;
    struct chunk *list = NULL;

    if (s.n == 0)
        return true;
    if (beyond > 0) {
        if (how == CHAIN_BUDGET && !pool_fits(pool, beyond))
            return false;
        list = chunks_reserve(pool, beyond);
        if (list == NULL)
            return false;
    }
    chain->n += s.n;
    if (room > 0)
        chunk_fill(chain->tail, &s);
    while (list != NULL) {
        struct chunk *next = list->next;

        list->next = NULL;
        chunk_fill(list, &s);
        chain_append(chain, list);
        list = next;
    }
    return true;
}

static struct str chunk_bytes(const struct chunk *chunk)
{
    return str_from(chunk->data + chunk->start, chunk->end - chunk->start);
}

struct str chain_front(const struct chain *chain)
{
    return chain->head != NULL ? chunk_bytes(chain->head) : (struct str){ NULL, 0 };
}

size_t chain_slices(const struct chain *chain, struct str *out, size_t max)
{
    size_t n = 0;

    for (const struct chunk *chunk = chain->head; chunk != NULL && n < max; chunk = chunk->next)
        out[n++] = chunk_bytes(chunk);
    return n;
}

static struct chunk *chain_pop(struct chain *chain)
{
    struct chunk *chunk = chain->head;

    chain->head = chunk->next;
    if (chain->head == NULL)
        chain->tail = NULL;
    chunk->next = NULL;
    chain->n -= chunk->end - chunk->start;
    return chunk;
}

void chain_drop(struct chain *chain, size_t n)
{
    while (n > 0) {
        size_t have = chain->head->end - chain->head->start;

        if (n < have) {
            chain->head->start += (uint32_t)n;
            chain->n -= n;
            return;
        }
        n -= have;
        chunk_free(chain_pop(chain));
    }
}

void chain_move(struct chain *to, struct chain *from)
{
    if (from->head == NULL)
        return;
    chain_append(to, from->head);
    to->tail = from->tail;
    to->n += from->n;
    *from = (struct chain){ 0 };
}

void chain_move_some(struct chain *to, struct chain *from, size_t n)
{
    size_t moved = 0;

    while (from->head != NULL && moved < n) {
        struct chunk *chunk = chain_pop(from);

        moved += chunk->end - chunk->start;
        to->n += chunk->end - chunk->start;
        chain_append(to, chunk);
    }
}

void chain_clear(struct chain *chain)
{
    while (chain->head != NULL)
        chunk_free(chain_pop(chain));
}
