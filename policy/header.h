/* Header fields (RFC 5322 2.2, 3.6): a reader over a header section held in memory. It never changes a byte.
 *
 * Only CRLF ends a line; a bare CR or LF is content like any other octet. A line that begins with SP or HT
 * continues the field before it, even when nothing else is in it (obs-FWS, RFC 5322 4.2); as the very first
 * line it is no field.
 *
 *     struct header_field field;
 *     for (struct str rest = message->header; header_next(&rest, &field); )
 *         if (header_is(&field, STR("From"))) ...
 */
#ifndef POLICY_HEADER_H
#define POLICY_HEADER_H

#include "str.h"

struct header_field {
    struct str raw;   /* name, colon, value, folds and the final CRLF (which the end of the text may have cut off) */
    struct str name;  /* without blanks before the colon (obsolete syntax, RFC 5322 4.5) */
    struct str value; /* after the colon, folds included, without the final CRLF */
};

/* Takes the next field off the front of `*rest`. False at the end of the header section: the empty line, a
 * line that is no field (no colon, or an illegal octet in the name), or the end of the text. `*rest` then
 * starts at that line.
 */
bool header_next(struct str *rest, struct header_field *);

/* As header_next, but passes over lines that are no field, up to the empty line. For what must be found in a header
 * section whatever a reader makes of such lines: some end the section there, others go on behind them.
 */
bool header_next_anywhere(struct str *rest, struct header_field *);

/* Where the header section ends: the offset of its empty line (RFC 5322 2.1), `*complete` set. Without one, the offset
 * of the last line when that has no end yet, else the length of the text: the search may be taken up again from there.
 */
size_t header_length(struct str text, bool *complete);

bool header_is(const struct header_field *, struct str name);

/* Skips comments and folding white space (CFWS, RFC 5322 3.2.2; nested, quoted pairs). Returns what follows;
 * the whole rest is empty when a comment does not end.
 */
struct str header_skip_cfws(struct str value);

/* The authserv-id of an Authentication-Results value (RFC 8601 2.2): a token or quoted string after optional
 * CFWS, unquoted and unfolded into `out` (at most `size` bytes, `*n` of them written). False when there is
 * none, or none that is whole: an unending comment or quoted string, or more than `size` bytes. Somebody else
 * may read such a field otherwise.
 */
bool header_authserv_id(struct str value, char *out, size_t size, size_t *n);

#endif
