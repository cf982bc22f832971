/* The supervisor's copy of the record of senders on disk, [standing] checkpoint: read at the start, written once a day and at a
 * stop in order, while the supervisor still has the rights it was started with. Nothing hangs on it: what cannot be read or
 * written later is told in the log, and mail goes on.
 */
#ifndef PROXY_CHECKPOINT_H
#define PROXY_CHECKPOINT_H

#include <stdio.h>

#include "log.h"
#include "standing.h"

enum { CHECKPOINT_EVERY_MS = 24 * 3600 * 1000 };

/* Reads the file, if one is wanted and there. False when the place where it is written to is no such place (a line in `errors`
 * says why): the operator's mistake, found at the start.
 */
bool checkpoint_begin(struct standing *, const struct standing_policy *, struct log *, FILE *errors);

/* Writes the file, if one is wanted. */
void checkpoint_write(const struct standing *, const struct standing_policy *, struct log *);

#endif
