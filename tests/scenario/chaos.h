/* Reads a string of octets as a wild story about one session: who sends what, what breaks, how long it
 * takes. For fuzzing: every string is a story, most of the vocabulary is sensible, and a back end that
 * answers as it should is one octet away.
 */
#ifndef SCENARIO_CHAOS_H
#define SCENARIO_CHAOS_H

#include "bytes.h"

/* Plays the story. Returns NULL, or what was violated (static memory). */
const char *chaos_play(struct str story);

#endif
