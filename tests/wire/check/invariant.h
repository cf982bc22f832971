/* The invariants of ORACLE.md that captures can show, each a row and a function.
 *
 * A function looks at the trial and reports each thing it looked at once: held(), violated() or unsure(). What the captures do
 * not show (no log given, TLS without keys) is not looked at, and an invariant that looked at nothing says so in the table. */
#ifndef WIRE_INVARIANT_H
#define WIRE_INVARIANT_H

#include "trial.h"

enum wire_name { NORTH, SOUTH, EAST, LOG };

/* An event in a violation's story, for the report's sequence diagram. */
struct evidence {
    enum wire_name wire;
    uint32_t frame; /* 0: none (LOG: the line) */
    int64_t time;
    bool to_server;      /* direction on the wire */
    struct slice octets; /* shown quoted, cut to 200 */
    const char *note;    /* static words, or NULL */
};

struct violation {
    char *what;                    /* one sentence: what was expected, what was there */
    const struct session *session; /* NULL: of none */
    struct evidence *evidence;
    size_t evidence_n;
};

struct tally {
    size_t checked, violated, inconclusive;
    struct violation *violation; /* the first VIOLATIONS_KEPT of them */
    size_t violation_n;
    char *doubt; /* why the first inconclusive one was */
};

enum { VIOLATIONS_KEPT = 50 };

struct invariant {
    const char *id;   /* "A-1" */
    const char *name; /* one line, as in ORACLE.md but shorter */
    void (*judge)(const struct trial *, struct tally *);
    bool needs_south, needs_north, needs_log, needs_east, needs_config;
};

/* All of them, by family (custody.c, relaying.c, framing.c, encryption.c, timing.c, logging.c, questions.c); NULL id ends. */
extern const struct invariant custody_invariants[], relaying_invariants[], framing_invariants[],
    encryption_invariants[], timing_invariants[], logging_invariants[], question_invariants[];

/* A time limit counts as kept when it is kept to so many ns (a second, unless told). Before the judgement. */
void timing_tolerate(int64_t ns);

void held(struct tally *t);
void tally_free(struct tally *t);
void unsure(struct tally *t, const char *why);
/* The violation stays valid until the next call. Add evidence to it with the functions below. */
struct violation *violated(struct tally *t, const struct session *s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void show_command(struct violation *v, enum wire_name w, const struct command *c, const char *note);
void show_reply(struct violation *v, enum wire_name w, const struct reply *r, const char *note);
void show_octets(struct violation *v, enum wire_name w, bool to_server, const struct place *p, struct slice octets,
                 const char *note);
void show_record(struct violation *v, const struct record *r, const char *note);
void show_packet(struct violation *v, enum wire_name w, const struct packet *p, const char *note);

#endif
