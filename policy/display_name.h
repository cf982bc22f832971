/* Display names (RFC 5322 3.4, RFC 2047), as a reader of mail is shown them.
 *
 *     char room[DISPLAY_NAME_MAX];
 *     struct str text = display_name_read(mailbox.name, room);   // "=?utf-8?q?M=C3=BCller=2C_J?=" -> "M\u00FCller, J"
 *
 * The result is for comparing, never for showing: quotes are gone, comments stand for themselves, and encoded words are decoded
 * wherever they stand, since mail programs do so, too, although RFC 2047 5 forbids it within quotes.
 */
#ifndef POLICY_DISPLAY_NAME_H
#define POLICY_DISPLAY_NAME_H

#include "str.h"

enum { DISPLAY_NAME_MAX = 1024 /* octets of UTF-8; longer names are cut: no window shows as much */ };

/* UTF-8, but for encoded words that claim to be and are not. Charsets known: US-ASCII, UTF-8, ISO 8859-1, -5, -7, -15, Windows
 * 1251 and 1252, KOI8-R. Of others the octets above 0x7F become U+FFFD.
 */
struct str display_name_read(struct str raw, char room[DISPLAY_NAME_MAX]);

#endif
