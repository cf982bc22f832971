/* A dialogue in one line, for tests and their readers:
 *
 *     220; EHLO 250, MAIL 250, RCPT 250, DATA 354, QUIT 221; <a@x> to <b@y> 250: "hi\r\n" 250 (message)
 *
 * greeting; commands with their replies ("-" none, "!" early, "~" a line without end); transactions with their ends;
 * what answers nothing. Frames and times are left out, so that it is the same however TCP cut the octets. */
#ifndef WIRE_TELL_H
#define WIRE_TELL_H

#include "dialogue.h"

void dialogue_tell(struct buffer *b, const struct dialogue *d);

#endif
