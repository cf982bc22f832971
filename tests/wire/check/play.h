/* A run out of a few lines of script, for the tests of invariants: both wires with one clock, joined and ready to be judged.
 *
 *     struct play p;
 *     play_begin(&p);
 *     play(&p, "north\n"
 *              "< 220 mx.local.example ESMTP\n"
 *              "> EHLO client.example\n");
 *     struct tally t = play_judge(&p, "A-1");
 *     CHECK_EQ_INT(t.violated, 0);
 *     tally_free(&t);
 *     play_free(&p);
 *
 * Marks as in tests/scenario: "> " the client says, "< " the gateway answers it, "[ " the gateway says to the back end, "] " that answers;
 * CRLF is added, and "\r", "\n", "\0" within a line are these octets. Other lines are:
 *
 *     north, south                      a connection opens (the lines that follow are on the latest of their wire)
 *     north 2, south 1                  go on with an earlier one
 *     client closes, client resets      gateway closes north, gateway resets north
 *     back closes, back resets          gateway closes south, gateway resets south
 *     lost: client                      the capture lacks what this one (client, gateway north, gateway south, back) says from here on
 *     wait 2000                         milliseconds pass
 *     log KEY=VALUE ...                 a line of the log; {client}, {via} and {backend} are the ends of the current connections */
#ifndef WIRE_PLAY_H
#define WIRE_PLAY_H

#include "invariant.h"
#include "weave.h"

enum { PLAY_LEGS = 16, PLAY_LOG = 32 };

struct play_wire {
    struct weave leg[PLAY_LEGS];
    size_t n, current;
};

struct play {
    struct play_wire wire[2]; /* NORTH, SOUTH */
    int64_t clock;
    struct buffer log;
    struct trial trial;
    bool is_joined;
    char config[128]; /* a file to read the settings from; "" the defaults */
};

void play_begin(struct play *p);
/* Goes on with the script; ends the program when a line is none. */
void play(struct play *p, const char *script);
/* Settings of the run: the ini's text. Before the first play_judge(). */
void play_config(struct play *p, const char *ini);
/* Joins the run when that was not done yet. */
const struct trial *play_trial(struct play *p);
/* What an invariant of any family says of the run. */
struct tally play_judge(struct play *p, const char *id);
void play_free(struct play *p);

#endif
