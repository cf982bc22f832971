/* Header fields (RFC 5322 2.2, 3.6): a reader over a header section held in memory. It never changes a byte. */
#ifndef POLICY_HEADER_H
#define POLICY_HEADER_H

#include "str.h"

struct header_field {
    struct str raw;   /* name, colon, value, folds and the final CRLF */
    struct str name;  /* without blanks before the colon (obsolete syntax, RFC 5322 4.5) */
    struct str value; /* after the colon, folds included, without the final CRLF */
};

/* Takes the next field off the front of `*rest`. False at the end of the header section: the empty line, a line that is no
 * field (no colon, or an illegal octet in the name), or the end of the text. `*rest` then starts at that line.
 */
bool header_next(struct str *rest, struct header_field *);

/* How many octets of `text` belong to the header section proper: up to the empty line (excluded), or up to the first
 * line that is no field. `*complete` is false when the section may still go on behind the text's end.
 */
size_t header_length(struct str text, bool *complete);

bool header_is(const struct header_field *, struct str name);

/* Skips comments and folding white space (CFWS, RFC 5322 3.2.2; nested, quoted pairs). Returns what follows; the whole rest
 * is empty when a comment does not end.
 */
struct str header_skip_cfws(struct str value);

/* The authserv-id of an Authentication-Results value (RFC 8601 2.2): a token or quoted string after optional CFWS, unquoted
 * into `out` (at most `size` bytes). False when there is none.
 */
bool header_authserv_id(struct str value, char *out, size_t size, size_t *n);

#endif
