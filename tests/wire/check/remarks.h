/* What a person who runs wirecheck should be told about the files that were given, before believing the table: an empty
 * capture, wires in the wrong order, a key log without keys. Nothing of it is a verdict. */
#ifndef WIRE_REMARKS_H
#define WIRE_REMARKS_H

#include "trial.h"

#include <stdio.h>

/* A line "wirecheck: note: ..." for each. Returns how many. */
size_t remarks_tell(const struct trial *t, const struct trial_files *files, FILE *out);

#endif
