/* Where a message could end in the eyes of parsers that take more than CRLF for a line end (ORACLE F-2). */
#ifndef WIRE_ENDS_H
#define WIRE_ENDS_H

#include "bytes.h"

/* What one pass over a dot-stuffed DATA stream found. An offset of SIZE_MAX means: none. */
struct ends {
    size_t unstuffed; /* the first line that begins with a dot and is not doubled */
    size_t lone;      /* the first dot that stands alone between two line ends of whatever kind */
    size_t lone_n;    /* all of them; the real end is not among them */
};

/* `raw` is the stream from behind the 354 up to the CRLF in front of the final dot, or, when `is_ended` is false, as
 * far as it came: a dot at its very end may then still become "..". The stream begins at a line start. */
struct ends ends_read(struct slice raw, bool is_ended);

#endif
