/* What is remembered: answers by their question, those used longest ago going first when room is short. */
#include <stdlib.h>
#include <sys/random.h>

#include "resolver_parts.h"

enum {
    CHAINS_MIN = 64,
    ALLOCATION = 32 /* octets that an allocation and a place in the table cost beside what was asked for */
};

/* ---- answers ---- */

static size_t octets_of(const struct str *value, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += value[i].n;
    return sum;
}

struct dns_answer *dns_answer_new(enum fact_state state, uint64_t keep, const struct str *value, size_t n)
{
    size_t octets = sizeof(struct dns_answer) + n * sizeof(struct str) + octets_of(value, n);
    struct dns_answer *answer = malloc(octets);
    char *text;

    if (answer == NULL)
        return NULL;
    *answer = (struct dns_answer){ .holders = 1, .state = state, .keep = keep, .octets = octets, .n = n };
    text = (char *)&answer->value[n];
    for (size_t i = 0; i < n; i++) {
        if (value[i].n > 0)
            memcpy(text, value[i].p, value[i].n);
        answer->value[i] = str_from(text, value[i].n);
        text += value[i].n;
    }
    return answer;
}

struct dns_answer *dns_answer_hold(struct dns_answer *answer)
{
    answer->holders++;
    return answer;
}

void dns_answer_drop(struct dns_answer *answer)
{
    if (answer != NULL && --answer->holders == 0)
        free(answer);
}

/* ---- the table ---- */

static uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] = rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] = rotated(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-1-3 (Aumasson and Bernstein): without the secret nobody finds names that fall into one chain. */
static uint64_t hash_of(const uint64_t secret[2], struct question q)
{
    uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575U, secret[1] ^ 0x646f72616e646f6dU, secret[0] ^ 0x6c7967656e657261U,
                      secret[1] ^ 0x7465646279746573U };
    uint64_t last = (uint64_t)q.key.n << 56;
    size_t at = 0;

    for (; q.key.n - at >= 8; at += 8) {
        uint64_t word;

        memcpy(&word, q.key.p + at, 8);
        sip_word(v, word);
    }
    for (unsigned shift = 0; at < q.key.n; at++, shift += 8)
        last |= (uint64_t)(unsigned char)q.key.p[at] << shift;
    sip_word(v, last);
    sip_word(v, (uint64_t)q.kind);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct dns_key **chain_of(const struct dns_table *table, uint64_t hash)
{
    return &table->chain[hash & (table->chains - 1)];
}

bool dns_table_init(struct dns_table *table)
{
    *table = (struct dns_table){ .chain = calloc(CHAINS_MIN, sizeof(struct dns_key *)), .chains = CHAINS_MIN };
    return table->chain != NULL && getrandom(table->secret, sizeof table->secret, 0) == (ssize_t)sizeof table->secret;
}

void dns_table_free(struct dns_table *table)
{
    free(table->chain);
    *table = (struct dns_table){ 0 };
}

struct dns_key *dns_table_find(const struct dns_table *table, struct question q)
{
    uint64_t hash = hash_of(table->secret, q);
    struct dns_key *key = *chain_of(table, hash);

    while (key != NULL && !(key->hash == hash && key->q.kind == q.kind && str_eq(key->q.key, q.key)))
        key = key->next;
    return key;
}

static void link_key(struct dns_table *table, struct dns_key *key)
{
    struct dns_key **chain = chain_of(table, key->hash);

    key->next = *chain;
    *chain = key;
}

/* Without memory for it the chains get longer instead. */
static void grow(struct dns_table *table)
{
    struct dns_table wider = *table;

    wider.chains = 2 * table->chains;
    wider.chain = calloc(wider.chains, sizeof(struct dns_key *));
    if (wider.chain == NULL)
        return;
    for (size_t i = 0; i < table->chains; i++)
        for (struct dns_key *key = table->chain[i], *next; key != NULL; key = next) {
            next = key->next;
            link_key(&wider, key);
        }
    free(table->chain);
    *table = wider;
}

void dns_table_add(struct dns_table *table, struct dns_key *key)
{
    if (table->n >= table->chains)
        grow(table);
    key->hash = hash_of(table->secret, key->q);
    link_key(table, key);
    table->n++;
}

void dns_table_remove(struct dns_table *table, struct dns_key *key)
{
    struct dns_key **place = chain_of(table, key->hash);

    while (*place != key)
        place = &(*place)->next;
    *place = key->next;
    table->n--;
}

/* ---- the cache ---- */

struct dns_cached {
    struct dns_key key; /* first: the table knows it by this */
    TAILQ_ENTRY(dns_cached) place;
    struct dns_answer *answer;
    uint64_t until; /* ms */
    char name[];    /* the key's */
};

static size_t cost_of(const struct dns_cached *cached)
{
    return sizeof *cached + cached->key.q.key.n + cached->answer->octets + (size_t)2 * ALLOCATION;
}

static void forget(struct dns_cache *cache, struct dns_cached *cached)
{
    cache->octets -= cost_of(cached);
    dns_table_remove(&cache->table, &cached->key);
    TAILQ_REMOVE(&cache->by_use, cached, place);
    dns_answer_drop(cached->answer);
    free(cached);
}

bool dns_cache_init(struct dns_cache *cache, size_t size, uint64_t ttl)
{
    *cache = (struct dns_cache){ .size = size, .ttl = ttl };
    TAILQ_INIT(&cache->by_use);
    return dns_table_init(&cache->table);
}

void dns_cache_free(struct dns_cache *cache)
{
    struct dns_cached *cached;

    while (cache->table.chain != NULL && (cached = TAILQ_FIRST(&cache->by_use)) != NULL)
        forget(cache, cached);
    dns_table_free(&cache->table);
}

struct dns_answer *dns_cache_find(struct dns_cache *cache, struct question q, uint64_t now)
{
    struct dns_cached *cached = (struct dns_cached *)dns_table_find(&cache->table, q);

    if (cached == NULL)
        return NULL;
    if (now >= cached->until) {
        forget(cache, cached);
        return NULL;
    }
    TAILQ_REMOVE(&cache->by_use, cached, place);
    TAILQ_INSERT_TAIL(&cache->by_use, cached, place);
    return cached->answer;
}

void dns_cache_put(struct dns_cache *cache, struct question q, struct dns_answer *answer, uint64_t now)
{
    uint64_t keep = answer->keep < cache->ttl ? answer->keep : cache->ttl;
    struct dns_cached *cached = (struct dns_cached *)dns_table_find(&cache->table, q);

    if (cached != NULL)
        forget(cache, cached);
    cached = keep > 0 ? malloc(sizeof *cached + q.key.n) : NULL;
    if (cached == NULL)
        return;
    memcpy(cached->name, q.key.p, q.key.n);
    cached->key.q = (struct question){ q.kind, str_from(cached->name, q.key.n) };
    cached->answer = dns_answer_hold(answer);
    cached->until = now + keep;
    cache->octets += cost_of(cached);
    dns_table_add(&cache->table, &cached->key);
    TAILQ_INSERT_TAIL(&cache->by_use, cached, place);
    while (cache->octets > cache->size)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
        forget(cache, TAILQ_FIRST(&cache->by_use));
}
