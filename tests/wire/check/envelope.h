/* Paths of an envelope in the one canonical form in which they may go south (ORACLE A-8), and the tokens in them. */
#ifndef WIRE_ENVELOPE_H
#define WIRE_ENVELOPE_H

#include "dialogue.h"

/* Adds the canonical form: no source route, a quoted local part only where it needs its quotes, no dot at the domain's
 * end; all else byte for byte. "<>" adds nothing. */
void envelope_canonical(const struct address *a, struct buffer *out);
/* Writes the first 32 hexadecimal digits in a row to `token`; "" when there are none. */
void envelope_token(struct slice text, char token[33]);
/* Takes the next parameter ("SIZE=100") off the front of `*rest`; false at the end. */
bool envelope_parameter(struct slice *rest, struct slice *parameter);
/* What stands before its "=". */
struct slice parameter_name(struct slice parameter);

#endif
