#include "encoded_word.h"

#include <stdint.h>

/* The first "=?" of `s` and what follows it; empty when there is none. */
static struct str find_start(struct str s)
{
    for (; s.n >= 2; s = str_skip(s, 1))
        if (s.p[0] == '=' && s.p[1] == '?')
            return s;
    return str_from(s.p, 0);
}

bool encoded_word_is_in(struct str s)
{
    s = find_start(s);
    for (size_t i = 3; i < s.n; i++)
        if (s.p[i - 1] == '?' && s.p[i] == '=')
            return true;
    return false;
}

static bool hides(uint32_t octet)
{
    return octet == '\0' || octet == '\r' || octet == '\n';
}

static unsigned hex_value(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* RFC 2047 4.2; what is no code stands for itself. */
static bool q_hides(struct str text)
{
    for (size_t i = 0; i + 2 < text.n; i++) {
        unsigned high = hex_value(text.p[i + 1]), low = hex_value(text.p[i + 2]);

        if (text.p[i] == '=' && high < 16 && low < 16 && hides(high << 4 | low))
            return true;
    }
    return false;
}

static unsigned base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* RFC 2045 6.8: octets that are not of the alphabet are passed over. */
static bool b_hides(struct str text)
{
    uint32_t bits = 0;
    unsigned n = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned value = base64_value(text.p[i]);

        if (value == 64)
            continue;
        bits = (bits << 6 | value) & 0xFFFF;
        n += 6;
        if (n >= 8 && hides(bits >> (n -= 8) & 0xFF))
            return true;
    }
    return false;
}

/* Cuts `*part` off the front of `*rest`, up to a "?", which goes too. */
static bool take_part(struct str *rest, struct str *part)
{
    *part = str_from(rest->p, str_find(*rest, '?'));
    if (part->n == rest->n)
        return false;
    *rest = str_skip(*rest, part->n + 1);
    return true;
}

/* A part that is no word ends at its next "?", and the search goes on behind its first: no octet is seen more often than four
 * times.
 */
bool encoded_words_hide(struct str s)
{
    for (s = find_start(s); s.n > 0; s = find_start(str_skip(s, 1))) {
        struct str rest = str_skip(s, 2), charset, encoding, text;

        if (!take_part(&rest, &charset) || !take_part(&rest, &encoding) || !take_part(&rest, &text))
            return false; /* and no later one has as many */
        if (encoding.n == 1 && ascii_lower(encoding.p[0]) == 'q' && q_hides(text))
            return true;
        if (encoding.n == 1 && ascii_lower(encoding.p[0]) == 'b' && b_hides(text))
            return true;
    }
    return false;
}
