/* Hashes of a body while it flows by: for each distinct (canonicalisation, l=) that the signatures of its header name
 * (RFC 6376 3.4.3, 3.4.4, 3.4.5), so that the body passes memory once. Each of the two canonical forms is made and hashed
 * once, however many hashes are taken of it: five signatures with five l= cost as much as one.
 *
 *     struct body_hashes hashes;
 *     body_hashes_begin(&hashes, header, signatures);   when the header section is complete
 *     body_hashes_add(&hashes, octets);                 after the empty line, unstuffed, in pieces of any size
 *     body_hashes_end(&hashes, &facts);                 answers the BODY questions
 */
#ifndef POLICY_BODY_HASH_H
#define POLICY_BODY_HASH_H

#include "authentication.h"
#include "crypto.h"
#include "facts.h"

enum { BODY_HASHES_MAX = DKIM_SIGNATURES_MAX + 1 /* and the newest ARC-Message-Signature */ };

/* One canonical form of the body, and its hash so far; see body_hash.c. */
struct body_canon {
    bool is_wanted;
    bool is_hashing;     /* some hash has not been taken yet */
    bool blank;          /* relaxed: white space waits to become one SP, unless the line ends */
    bool cr;             /* a CR waits for its LF */
    uint64_t line_ends;  /* waiting: they count only when something follows (3.4.3) */
    uint64_t length;     /* octets so far, those waiting left out */
    uint64_t next_limit; /* the length at which the next hash is taken */
    struct sha256 sha;
    size_t staged_n;
    char staged[256]; /* on its way into the hash */
};

/* The hash of the first `limit` octets of a canonical body: the form's own, stopped there. */
struct body_hash {
    bool is_relaxed;
    bool has_limit, is_taken;
    uint64_t limit; /* l=; UINT64_MAX without one */
    uint8_t digest[SHA256_SIZE];
};

struct body_hashes {
    struct body_canon canon[2]; /* simple, relaxed: by is_relaxed */
    struct body_hash hash[BODY_HASHES_MAX];
    size_t n;
};

/* Reads which hashes the first `signatures` DKIM-Signature fields and the newest ARC-Message-Signature of `header` need;
 * nothing is kept of it. Fields that dkim_signature_read refuses need none. n == 0: there is nothing to add.
 */
void body_hashes_begin(struct body_hashes *, struct str header, size_t signatures);
void body_hashes_add(struct body_hashes *, struct str octets);
void body_hashes_end(struct body_hashes *, struct facts *);

enum { BODY_HASH_NAME_MAX = 32 };

/* The key of the BODY question: "relaxed", "simple 100". */
struct str body_hash_name(bool is_relaxed, bool has_limit, uint64_t limit, char out[BODY_HASH_NAME_MAX]);

#endif
