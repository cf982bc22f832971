/* Canonical bodies said a second time and naively: for test_body_hash.c and fuzz_body_hash.c. */
#ifndef TESTS_BODY_HASH_ORACLE_H
#define TESTS_BODY_HASH_ORACLE_H

#include "policy/body_hash.h"
#include "policy/dkim.h"

enum { BODY_ORACLE_MAX = 1 << 16 };

struct canonical {
    size_t n;
    char p[BODY_ORACLE_MAX + 2];
};

/* One line without its CRLF: RFC 6376 3.4.4 a. */
static inline void canonical_add_line(struct canonical *c, struct str line, bool is_relaxed)
{
    while (is_relaxed && line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    for (size_t i = 0; i < line.n; i++) {
        bool is_wsp = line.p[i] == ' ' || line.p[i] == '\t';
        bool was_wsp = i > 0 && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t');

        if (!is_relaxed || !is_wsp)
            c->p[c->n++] = line.p[i];
        else if (!was_wsp)
            c->p[c->n++] = ' ';
    }
}

/* At most BODY_ORACLE_MAX octets. */
static inline struct str canonical_body(struct canonical *c, struct str body, bool is_relaxed)
{
    c->n = 0;
    while (body.n > 0) {
        size_t n = 0;

        while (n < body.n && !(body.n - n >= 2 && body.p[n] == '\r' && body.p[n + 1] == '\n'))
            n++;
        canonical_add_line(c, str_from(body.p, n), is_relaxed);
        if (n < body.n || n > 0) {
            c->p[c->n++] = '\r';
            c->p[c->n++] = '\n';
        }
        body = str_skip(body, n < body.n ? n + 2 : n);
    }
    while (c->n >= 4 && memcmp(c->p + c->n - 4, "\r\n\r\n", 4) == 0)
        c->n -= 2;
    if (c->n == 2 && memcmp(c->p, "\r\n", 2) == 0)
        c->n = 0;
    if (c->n == 0 && !is_relaxed) {
        memcpy(c->p, "\r\n", 2);
        c->n = 2;
    }
    return str_from(c->p, c->n);
}

/* What the fact of a hash must say: "digest length". */
static inline bool body_hash_is(const struct facts *facts, bool is_relaxed, bool has_limit, uint64_t limit,
                                struct str canonical)
{
    char name[BODY_HASH_NAME_MAX], room[256];
    struct question q = { ASK_BODY, body_hash_name(is_relaxed, has_limit, limit, name) };
    const struct fact *fact = facts_find(facts, q);
    uint8_t digest[SHA256_SIZE];
    struct arena arena;
    struct sha256 sha;

    arena_init(&arena, room, sizeof room);
    sha256_begin(&sha);
    sha256_add(&sha, str_from(canonical.p, has_limit && limit < canonical.n ? (size_t)limit : canonical.n));
    sha256_end(&sha, digest);
    return fact != NULL && fact->state == FACT_OK && fact->n == 2 &&
           str_eq(fact->value[0], base64_print(str_from((const char *)digest, SHA256_SIZE), &arena)) &&
           str_eq(fact->value[1], arena_printf(&arena, "%llu", (unsigned long long)canonical.n));
}

#endif
