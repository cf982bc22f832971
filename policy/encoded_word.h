/* Encoded words (RFC 2047), as far as they can mislead: Postern never decodes one for anybody to read. */
#ifndef POLICY_ENCODED_WORD_H
#define POLICY_ENCODED_WORD_H

#include "str.h"

/* True when an encoded word stands in `s`, or what some reader takes for one: "=?", and "?=" behind it. */
bool encoded_word_is_in(struct str s);

/* True when an encoded word in `s` holds a NUL, CR or LF. Whoever decodes before taking a field apart, or takes a decoded
 * text for a C string, reads another field than we do.
 */
bool encoded_words_hide(struct str s);

#endif
