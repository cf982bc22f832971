/* Prints scenarios for other players: tables, definitions and repeats filled in, octets as they go over the wire. */
#ifndef SCENARIO_EXPAND_H
#define SCENARIO_EXPAND_H

#include "script.h"

/* One line of JSON on stdout:
 *
 *     {"title":"...","file":"...","line":7,"settings":[[8,"config:","[limits] hold = 0"]...],"steps":[[9,">","NOOP\r\n"]...]}
 *
 * Each setting and step is [line, word, rest]; every octet is the character of its number, so that latin-1 gives the octets
 * back. False, with a message on stderr, when a step means nothing.
 */
bool expand_print(const struct scenario *);

#endif
