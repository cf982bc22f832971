/* Punycode (RFC 3492), the way back: what an A-label stands for. domain.c has the way there. */
#ifndef POLICY_PUNYCODE_H
#define POLICY_PUNYCODE_H

#include <stdint.h>

#include "str.h"

enum { PUNYCODE_MAX = 63 /* characters: a label has as many octets (RFC 1035 2.3.4), and none stands for two */ };

/* `text` is what follows "xn--". False when it is no Punycode: a character that is none of its digits, a number without an end,
 * one past U+10FFFF or a surrogate, or more than PUNYCODE_MAX characters.
 */
bool punycode_decode(struct str text, uint32_t out[PUNYCODE_MAX], size_t *n);

#endif
