/* A run out of a few lines of script, for the tests of invariants: both wires with one clock, joined and ready to be
 * judged.
 *
 *     struct stage p;
 *     stage_begin(&p);
 *     stage_play(&p, "north\n"
 *              "< 220 mx.local.example ESMTP\n"
 *              "> EHLO client.example\n");
 *     struct tally t = stage_judge(&p, "A-1");
 *     CHECK_EQ_INT(t.violated, 0);
 *     tally_free(&t);
 *     stage_free(&p);
 *
 * Marks as in tests/scenario: "> " the client says, "< " the gateway answers it, "[ " the gateway says to the back end,
 * "] " that answers; CRLF is added, and "\r", "\n", "\0" within a line are these octets. Other lines are:
 *
 *     north, south                      a connection opens (the lines that follow are on the latest of their wire)
 *     north 2, south 1                  go on with an earlier one
 *     client closes, client resets      gateway closes north, gateway resets north
 *     back closes, back resets          gateway closes south, gateway resets south
 *     lost: client                      the capture lacks what client, gateway north, gateway south, back say further
 *     wait 2000                         milliseconds pass
 *     log KEY=VALUE ...                 a line of the log; {client}, {via}, {backend}: ends of the current legs */
#ifndef WIRE_STAGE_H
#define WIRE_STAGE_H

#include "invariant.h"
#include "weave.h"

enum { STAGE_LEGS = 16 };

struct stage_wire {
    struct weave leg[STAGE_LEGS];
    size_t n, current;
};

struct stage {
    struct stage_wire wire[2]; /* NORTH, SOUTH */
    int64_t clock;
    struct buffer log;
    struct trial trial;
    bool is_joined;
    char config[128]; /* a file to read the settings from; "" the defaults */
};

void stage_begin(struct stage *p);
/* Goes on with the script; ends the program when a line is none. */
void stage_play(struct stage *p, const char *script);
/* Settings of the run: the ini's text. Before the first stage_judge(). */
void stage_config(struct stage *p, const char *ini);
/* Joins the run when that was not done yet. */
const struct trial *stage_trial(struct stage *p);
/* What an invariant of any family says of the run. */
struct tally stage_judge(struct stage *p, const char *id);
void stage_free(struct stage *p);

#endif
