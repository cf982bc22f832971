/* Encoded words (RFC 2047), as far as they can mislead: Postern never decodes one for anybody to read. */
#ifndef POLICY_ENCODED_WORD_H
#define POLICY_ENCODED_WORD_H

#include "str.h"

/* True when an encoded word stands in `s`, or what some reader takes for one: "=?", and "?=" behind it. */
bool encoded_word_is_in(struct str s);

/* True when the encoded words in `s` hold a NUL, CR or LF, or an "@" and something to cut it out with ("<", ">", comma or
 * semicolon). Whoever decodes before taking a list of addresses apart, or takes decoded text for a C string, reads another list
 * than we do. An "@" alone is a display name that looks like an address, which is common and deceives no parser.
 */
bool encoded_words_mislead(struct str s);

#endif
