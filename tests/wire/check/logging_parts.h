/* What the invariants of the log share. */
#ifndef WIRE_LOGGING_PARTS_H
#define WIRE_LOGGING_PARTS_H

#include "invariant.h"

/* The id that the log has for this session; n 0: none is known. */
struct slice session_id(const struct session *s);

/* L-3, in logging_private.c. */
void judge_privacy(const struct trial *t, struct tally *tally);

#endif
