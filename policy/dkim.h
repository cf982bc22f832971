/* The parts that DKIM (RFC 6376) and ARC (RFC 8617) share: tag lists, signature fields, key records, header hashes.
 * check_dkim.c and check_arc.c judge; these files only read and compute.
 */
#ifndef POLICY_DKIM_H
#define POLICY_DKIM_H

#include "arena.h"
#include "crypto.h"
#include "header.h"
#include "policy.h"

/* ---- tag lists, RFC 6376 3.2 (dkim_tag.c) ---- */

struct tag {
    struct str name;
    struct str value; /* without white space at its ends; folds inside are still there */
    struct str text;  /* all between "=" and the ";" or the end */
};

/* Takes the next tag off the front of `*rest`; false at the end. `*rest` has anything left only when what stands there
 * is no tag: the whole list is invalid then.
 */
bool tag_next(struct str *rest, struct tag *);

enum { TAGS_MAX = 64 /* of one list; real ones have a dozen */ };

/* Reads a whole list: found[i] becomes the tag called names[i], its name { NULL, 0 } when there is none. Returns NULL,
 * or what is wrong with the list: it is none, a tag appears twice, or there are more than TAGS_MAX. O(octets).
 */
const char *tags_read(struct str list, const char *const *names, size_t n, struct tag *found);

/* Takes the next item off a list with colons (h=, q=, s=, t=), without white space at its ends. An empty text has one
 * empty item; `*rest` is { NULL, 0 } behind the last one.
 */
bool colon_list_next(struct str *rest, struct str *item);
/* Whether it holds `word`, in any case. */
bool colon_list_holds(struct str list, struct str word);

/* Base64 with white space anywhere (RFC 6376 2.10), strict otherwise: padding, no stray bits. The octets lie in the
 * arena; { NULL, 0 } when it is malformed, or longer than `max` octets.
 */
struct str base64_read(struct str text, size_t max, struct arena *);
/* Whether it is well-formed, and how many octets it stands for. */
bool base64_size(struct str text, size_t *octets);
/* Without line breaks, in the arena. */
struct str base64_print(struct str octets, struct arena *);

/* ---- signature fields (dkim_signature.c) ---- */

enum { HEADER_NAMES_MAX = 1000 /* in h=; real ones have some twenty */ };

enum signature_kind { SIGNATURE_DKIM, SIGNATURE_AMS, SIGNATURE_SEAL };

enum signature_algorithm { ALGORITHM_UNKNOWN, ALGORITHM_RSA_SHA256, ALGORITHM_ED25519_SHA256, ALGORITHM_RSA_SHA1 };

/* Slices point into the field. */
struct dkim_signature {
    enum signature_kind kind;
    struct str algorithm_text;
    enum signature_algorithm algorithm;
    struct str domain, selector; /* as written; both are domain names (RFC 6376 3.5) */
    struct str identity;         /* i= of DKIM, as written; empty: "@" d= */
    struct str header_names;     /* h=, with its folds */
    struct str body_hash;        /* bh=, base64 as written */
    struct str signature;        /* b=, base64 as written */
    struct str b_text;           /* the same place in the field with the white space around it: left out when hashing */
    bool header_relaxed, body_relaxed;
    bool has_limit;
    uint64_t limit; /* l= */
    bool has_time, has_expiry;
    uint64_t time, expiry; /* t=, x= */
    unsigned instance;     /* i= of ARC */
    struct str chain;      /* cv= of a seal */
};

/* Reads one field. NULL when it is well-formed by RFC 6376 3.5, 6.1.1 (RFC 8617 4.1.2, 4.1.3), else why not, for
 * people; what could be read stands in the struct all the same, for the report. Times are not judged here.
 */
const char *dkim_signature_read(const struct header_field *, enum signature_kind, struct dkim_signature *);

/* A domain of such a field for comparing: canonical, in the arena where that is not as it is written already; as written where
 * it is no name. { NULL, 0 } when the arena is full.
 */
struct str dkim_domain(struct str domain, struct arena *);

/* The domain of i=: what follows the last "@"; { NULL, 0 } without one. */
struct str dkim_identity_domain(struct str identity);

/* The key of the PAST question: names this signature whatever message it stands in. The first 64 octets of b= do, folds
 * left out: only a signature that verified is ever remembered, and no two such begin alike. { NULL, 0 } when the arena is
 * full.
 */
struct str dkim_past_key(const struct dkim_signature *, struct arena *);

/* ---- keys (dkim_key.c) ---- */

struct dkim_key {
    bool is_ed25519;
    struct str octets; /* DER, or 32 octets; in the arena */
    unsigned bits;     /* of RSA */
    bool is_testing;   /* t=y */
    bool is_strict;    /* t=s: i= must be in d= itself */
    bool is_unasked;   /* a cap of ours stood in the way: DKIM takes it as permerror, ARC as doubt */
};

/* Asks for the key of a signature and reads it (RFC 6376 3.6.1, 6.1.2; RFC 8301, 8463), sizes and exponent judged:
 * after AUTH_PASS it is fit for use. Otherwise AUTH_PENDING, AUTH_TEMPERROR, AUTH_PERMERROR, AUTH_POLICY (too short or
 * long, an odd exponent) with `*reason` for people.
 */
enum auth_result dkim_key_ask(struct pass *, const struct dkim_signature *, struct dkim_key *, const char **reason);

/* ---- hashing the header (dkim_header.c) ---- */

struct header_hash {
    struct sha256 sha;
    bool is_relaxed;
};

/* RFC 6376 3.4.1, 3.4.2: one field in canonical form, CRLF included. */
void header_hash_add(struct header_hash *, const struct header_field *);
/* The signature field itself: its b= left empty, without the final CRLF (RFC 6376 3.7). */
void header_hash_add_signature(struct header_hash *, const struct header_field *, const struct dkim_signature *);

/* The digest a DKIM-Signature or an ARC-Message-Signature signs: the fields of h= bottom-up (RFC 6376 5.4.2), then
 * itself. O(octets of the header * log names), some 30 KB of stack, whatever the header holds (ATTACKS H06, H08).
 */
void dkim_header_digest(struct str header, const struct header_field *self, const struct dkim_signature *,
                        uint8_t digest[SHA256_SIZE]);

#endif
