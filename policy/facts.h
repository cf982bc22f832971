/* Facts: answers to questions, so that policy can ask without waiting (DESIGN 2).
 *
 * A check looks up what it needs. A known fact is `const` and set once. An unknown one is noted as a
 * question; the pass reads on where it can, ends undecided, and is run again from the top when the proxy has
 * answered. At the deadline facts_close() makes every unknown read FACT_TEMP, and one more pass decides.
 *
 * All memory is the arena given to facts_init. The caps are its size and the number of facts. From the first
 * question or answer that does not fit, whatever is not in the table reads FACT_LIMIT for good, also after
 * facts_close(): a session asks a bounded number of questions, and every pass after that is the same pass.
 *
 *     policy_evaluate(..., &outcome);
 *     for each question of an undecided outcome: if (facts_ask(&facts, q)) start the lookup of q;
 *     on an answer: facts_answer(&facts, q, state, values, n), evaluate again
 *     nothing in flight and still undecided, or the deadline: facts_close(&facts), evaluate again; this pass decides
 */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "arena.h"
#include "str.h"

/* Keys are compared octet by octet, so whoever makes one brings it into its one form first. Values are text:
 * the joined strings of one TXT record; an address as address_print writes it; "10 mx.example.org"; a
 * canonical domain name (PTR).
 */
enum ask {
    ASK_TXT, /* these five are DNS; key: a canonical domain name */
    ASK_A,
    ASK_AAAA,
    ASK_MX,
    ASK_PTR, /* key: the reverse name */
    ASK_GEO, /* key: an address; values: country "DE", continent "EU", AS number "64500", its owner; "" for each unknown, and
              * GEO_UNREAD for a country or number whose database cannot be read */
    ASK_SIG,  /* key: names a signature of this message, "dkim 1"; value: "pass" or "fail" */
    ASK_BODY, /* key: body_hash_name(), "relaxed" or "simple 100"; values: SHA-256 in base64, octets of the whole
               * canonical body. Given with the end of the message, never looked up. */
    ASK_PAST, /* key: dkim_past_key(); value: "fail" when a body that was streamed under this signature contradicted it */
    ASK_LIST, /* key: "broken"; values: names of the lists whose self-test fails (RFC 5782 5). One fact for all of them,
               * mostly an empty one. */
    ASK_SEEN, /* key: of the greylist; values: seconds since it was seen first, or last and "passed" */
    ASK_STANDING, /* key: "example.org 64500", who sent and from where; values: how many good and bad messages lately */
    ASK_PARTS, /* key: "parts"; values: one for each named part (mime.h). Given with the end of the message, never looked up */
    ASK_KINDS
};

#define GEO_UNREAD "?"

enum fact_state {
    FACT_UNKNOWN, /* asked, not answered yet */
    FACT_OK,      /* has values */
    FACT_NODATA,  /* the name exists, no such record */
    FACT_NXDOMAIN,
    FACT_TEMP, /* no answer: timeout, SERVFAIL, or the deadline */
    FACT_LIMIT /* not asked: a cap was reached */
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

/* The room of one transaction: the same wherever verdicts must agree (run, explain, replay). */
enum { FACTS_ROOM_MAX = 256, FACTS_ROOM_BYTES = 32768, FACT_BYTES_MAX = 8192 /* of one answer; more reads LIMIT */ };

struct facts {
    struct arena arena;
    struct fact *fact;
    size_t n;
    size_t max;
    bool closed;
    bool limited; /* some question or answer did not fit */
};

/* `max` facts at most; texts live in `memory`. */
void facts_init(struct facts *, struct fact *table, size_t max, void *memory, size_t size);

/* The fact for `q`, or NULL when it was never asked or answered. */
const struct fact *facts_find(const struct facts *, struct question q);

/* Notes that `q` was asked (FACT_UNKNOWN). Called by the proxy for each question of an outcome before it
 * starts the lookup, so that nothing is looked up twice; false when it is known already or a cap was reached
 * (then it reads LIMIT).
 */
bool facts_ask(struct facts *, struct question q);

/* Sets the answer, once: a second answer to the same question is ignored, and so is one after facts_close().
 * Copies the values. OK without values is stored as NODATA; values that do not fit make it LIMIT;
 * FACT_UNKNOWN is no answer.
 */
void facts_answer(struct facts *, struct question q, enum fact_state, const struct str *value, size_t n);

/* The same for what the caller finds out by itself, so that nobody has to wait: the deadline does not matter. */
void facts_give(struct facts *, struct question q, enum fact_state, const struct str *value, size_t n);

/* The deadline: every unknown, now and later, reads FACT_TEMP. */
void facts_close(struct facts *);

/* How `q` reads for a pass: FACT_UNKNOWN, or the final state (closed and caps considered). */
enum fact_state facts_state(const struct facts *, struct question q);

/* True from the moment on that some question or answer did not fit, or none more would. */
bool facts_are_full(const struct facts *);

const char *ask_name(enum ask);               /* "TXT" */
const char *fact_state_name(enum fact_state); /* "NXDOMAIN" */

/* Text form, one answer a line: TXT example.org OK "v=spf1 -all" "a second record", for explain, replay,
 * tests and fuzzing. Words are bare when they are plain printable ASCII, else quoted: in quotes stand
 * printable ASCII, \" \\ and \xNN. States other than OK have no values. Lines "* TEMP" and "* LIMIT" say how
 * every question reads that is not listed: the table was closed, a cap was reached (which comes first). Lines
 * end in LF or CRLF; empty lines and lines that begin with '#' are skipped.
 *
 * facts_dump appends to the arena and returns the slice ({ NULL, 0 } when it does not fit). facts_load adds
 * such lines to the table and returns 0, or the number of the first line that it could not read, that
 * contradicts the table by answering a question twice, or that does not fit.
 */
struct str facts_dump(const struct facts *, struct arena *);
unsigned facts_load(struct facts *, struct str text);

#endif
