/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef POLICY_UTF8_H
#define POLICY_UTF8_H

#include <stdint.h>

#include "str.h"

/* Takes the first character of `s`; returns its length in octets (1 to 4), or 0 when `s` is empty or does not
 * start with a well-formed character.
 */
size_t utf8_decode(struct str s, uint32_t *code_point);

/* True when the whole of `s` is well-formed; so is the empty slice. */
bool utf8_is_valid(struct str s);

/* True for characters outside ASCII that end a line, turn the direction of the text or vanish on the screen. RFC 6531 3.3
 * would allow them in addresses; a log, a terminal or a back end may read them as something else (ATTACKS A).
 */
bool utf8_is_hidden(uint32_t code_point);

#endif
