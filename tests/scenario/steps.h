/* Plays one scenario: each step is a row of a table, word -> function (README.md has the language). */
#ifndef SCENARIO_STEPS_H
#define SCENARIO_STEPS_H

#include "script.h"
#include "world.h"

/* How what the peers send is cut into segments, and what happens at a cut. */
enum cut {
    CUT_NOTHING,    /* as the script says */
    CUT_EVERYWHERE, /* one octet at a time */
    CUT_ONCE,       /* at `cut_at`, counted over all that is sent */
    /* From the cut on expectations do not count any more: */
    CUT_RESET,   /* whoever sends is reset in the middle of it */
    CUT_CLOSE,   /* it closes */
    CUT_SILENCE, /* everybody falls silent; the session must end by itself */
    CUT_DRAIN    /* Postern is told to stop */
};

/* One run of one scenario. */
struct play {
    const struct scenario *scenario;
    enum cut cut;
    size_t cut_at;
    bool no_memory; /* allocations fail: expectations do not count */
    bool tells;     /* keeps a transcript for a failure's report */
    /* while it runs */
    bool blind; /* expectations do not count (any more); the oracle does */
    struct world world;
    struct bytes segment; /* sends of one leg in a row, together one segment */
    struct wire *to;
    size_t at;             /* the step being played */
    size_t n_seen, s_seen; /* octets of `sent` that were expected */
    size_t n_told, s_told; /* of `sent` already in the transcript */
    struct bytes reply;    /* the last reply taken by "<*" */
    size_t others_hold;    /* of the message pool */
    bool started;
    bool whole;        /* the script's segments mean something: no cuts */
    bool south_varies; /* S need not be the same in every run */
    size_t octets;     /* sent by the peers so far */
    struct bytes transcript;
    struct bytes failure; /* empty: passed */
};

/* A step taken apart, for who plays scenarios elsewhere (expand.c): its word, whether it is a setting, and what stands
 * behind the word; of steps that send or expect octets (`>`, `>>`, `<<` and their like) the octets themselves. False when it
 * is no step.
 */
bool step_read(const char *text, const char **word, bool *is_setting, struct bytes *rest);

/* Plays it to its end. Afterwards `failure`, `octets` and the world can be looked at; then play_free. */
void play_run(struct play *);
void play_free(struct play *);

#endif
