/* Facts: answers to questions, so that policy can ask without waiting (DESIGN 2).
 *
 * A check looks up what it needs. A known fact is `const` and set once. An unknown one is noted as a question; the pass
 * reads on where it can, ends undecided, and is run again from the top when the proxy has answered. At the deadline
 * facts_close() makes every unknown read FACT_TEMP, and one more pass decides.
 *
 * All memory is the arena given to facts_init; over a cap (facts, answer bytes) an unknown reads FACT_LIMIT for good, so
 * that a pass always ends and the same input gives the same verdict.
 */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "arena.h"
#include "str.h"

enum ask {
    ASK_TXT, ASK_A, ASK_AAAA, ASK_MX, ASK_PTR, /* key: a canonical domain name (PTR: the reverse name); DNS */
    ASK_GEO,                                   /* key: an address; values: country, continent, ASN */
    ASK_RATE,                                  /* key: bucket and subject; value: units used */
    ASK_SIG,                                   /* key: names a signature of this message; value: result */
    ASK_KINDS
};

enum fact_state {
    FACT_UNKNOWN,  /* asked, not answered yet */
    FACT_OK,       /* has values */
    FACT_NODATA,   /* the name exists, no such record */
    FACT_NXDOMAIN,
    FACT_TEMP,     /* no answer: timeout, SERVFAIL, or the deadline */
    FACT_LIMIT     /* not asked: a cap was reached */
};

struct question {
    enum ask kind;
    struct str key;
};

struct fact {
    struct question q;
    enum fact_state state;
    size_t n;
    const struct str *value;
};

struct facts {
    struct arena arena;
    struct fact *fact;
    size_t n;
    size_t max;
    bool closed;
};

/* `max` facts at most; texts live in `memory`. */
void facts_init(struct facts *, struct fact *table, size_t max, void *memory, size_t size);

/* The fact for `q`, or NULL when it was never asked or answered. */
const struct fact *facts_find(const struct facts *, struct question q);

/* Notes that `q` was asked (FACT_UNKNOWN). Called by the proxy for each question of an outcome before it starts the
 * lookup, so that nothing is looked up twice; false when it is known already or a cap was reached (then it reads LIMIT).
 */
bool facts_ask(struct facts *, struct question q);

/* Sets the answer, once: a second answer to the same question is ignored. Copies the values. */
void facts_answer(struct facts *, struct question q, enum fact_state, const struct str *value, size_t n);

/* The deadline: every unknown, now and later, reads FACT_TEMP. */
void facts_close(struct facts *);

/* How `q` reads for a pass: FACT_UNKNOWN, or the final state (closed and caps considered). */
enum fact_state facts_state(const struct facts *, struct question q);

/* Text form, one answer a line: "TXT example.org OK \"v=spf1 -all\"", for explain, replay, tests and fuzzing.
 * facts_dump appends to the arena and returns the slice; facts_load reads such lines ('#' comments) and returns 0, or the
 * number of the first line it could not read.
 */
struct str facts_dump(const struct facts *, struct arena *);
unsigned facts_load(struct facts *, struct str text);

#endif
