/* Authenticated Received Chains (RFC 8617): the sets of a header, their structure, and what the newest sealer said.
 * Nothing here asks or judges; check_arc.c does.
 *
 *     struct arc_chain chain;
 *     struct arc_fault fault;
 *     if (!arc_collect(message->header, &chain, &fault) || !arc_structure(&chain, &fault))
 *         -> fail, arc_fault_print(&fault, arena)
 *     chain.sets == 0 -> none
 *     chain.set[1..sets] -> what is to be verified
 */
#ifndef POLICY_ARC_H
#define POLICY_ARC_H

#include "dkim.h"

/* The fields of a set, in the order in which a seal signs them (RFC 8617 5.1.1). */
enum arc_part { ARC_RESULTS, ARC_MESSAGE_SIGNATURE, ARC_SEAL, ARC_PARTS };

struct arc_set {
    struct header_field field[ARC_PARTS]; /* raw.p is NULL where the set has none */
    struct dkim_signature seal;           /* read by arc_structure */
};

/* Slices point into the header. */
struct arc_chain {
    unsigned sets; /* highest instance, "N" in RFC 8617 5.2 */
    struct arc_set set[ARC_SETS_MAX + 1];
};

/* Why a chain is broken; `instance` is 0 when it is unknown. */
struct arc_fault {
    enum arc_part part;
    unsigned instance;
    const char *why;
};

/* Whether a field of ARC stands in the header at all; most messages have none, and a chain is 18 KB to clear. */
bool arc_is_there(struct str header);

/* RFC 8617 5.2 step 1. False when an ARC field tells no instance of 1..50, or two of a kind tell the same: the search ends
 * there, so a header costs at most 150 fields of reading, however many it has.
 */
bool arc_collect(struct str header, struct arc_chain *, struct arc_fault *);

/* Steps 2 and 3, for a chain of one set at least. Reads the seals that are there. */
bool arc_structure(struct arc_chain *, struct arc_fault *);

/* "ARC-Seal i=2: ..."; in the arena. */
struct str arc_fault_print(const struct arc_fault *, struct arena *);

/* Digests of the seals of a sound chain, asked for in increasing order: each field is hashed once for all of them. */
struct arc_hash {
    struct header_hash before; /* the sets below `next`, seals and all */
    unsigned next;
};

void arc_hash_begin(struct arc_hash *);
/* What the seal of `instance` signs: all sets up to its own, its b= empty (RFC 8617 5.1.1). `instance` >= next. */
void arc_hash_seal(struct arc_hash *, const struct arc_chain *, unsigned instance, uint8_t digest[SHA256_SIZE]);

/* Whether the value of an ARC-Authentication-Results says that DMARC passed (RFC 8601 2.2): one dmarc result, which is
 * "pass", in a field that can be read in one way only. When it names the author domain it was about (header.from), that
 * stands in `*from` as written, else `*from` is empty.
 */
bool arc_said_dmarc_pass(struct str results, struct str *from);

#endif
