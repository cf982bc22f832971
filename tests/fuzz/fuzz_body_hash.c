/* Body hashes: two octets of l=, one that says how to cut, then the body; against the naive reading of
 * body_hash_oracle.h.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/body_hash_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELD \
    "DKIM-Signature: v=1;a=rsa-sha256;d=a.example;s=x;h=from;b=Zm9v;" \
    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;c=simple/"

static void must(bool claim)
{
    if (!claim)
        abort();
}

static struct str make_header(unsigned limit, struct arena *arena)
{
    return arena_printf(arena,
                        FIELD "simple\r\n" FIELD "relaxed\r\n" FIELD "simple;l=%u\r\n" FIELD "relaxed;l=%u\r\n" FIELD
                              "relaxed;l=%u\r\n",
                        limit, limit, limit / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct canonical room;
    static char memory[4096], facts_memory[4096];
    static struct fact table[8];
    struct body_hashes hashes;
    struct facts facts;
    struct arena arena;
    struct str body, rest;
    unsigned limit;

    if (size < 3 || size - 3 > BODY_ORACLE_MAX / 2)
        return 0;
    limit = (unsigned)(data[0] << 8 | data[1]);
    body = rest = str_from((const char *)data + 3, size - 3);
    arena_init(&arena, memory, sizeof memory);
    body_hashes_begin(&hashes, make_header(limit, &arena), 5);
    must(hashes.n == (limit / 2 == limit ? 4 : 5));
    for (size_t n = data[2]; rest.n > 0; n = 1 + n * 7 % 251) {
        struct str piece = str_from(rest.p, n < rest.n && data[2] > 0 ? n : rest.n);

        body_hashes_add(&hashes, piece);
        rest = str_skip(rest, piece.n);
    }
    facts_init(&facts, table, 8, facts_memory, sizeof facts_memory);
    body_hashes_end(&hashes, &facts);
    for (int form = 0; form < 2; form++) {
        struct str canonical = canonical_body(&room, body, form == 1);

        must(body_hash_is(&facts, form == 1, false, 0, canonical));
        must(body_hash_is(&facts, form == 1, true, limit, canonical));
    }
    must(body_hash_is(&facts, true, true, limit / 2, canonical_body(&room, body, true)));
    return 0;
}
