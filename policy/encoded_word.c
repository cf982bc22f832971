#include "encoded_word.h"
#include "base64.h"

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

/* What decoded octets can do to a reader that decodes first. */
enum { ENDS_TEXT = 1, AT_SIGN = 2, CUTS_LIST = 4 };

static unsigned effect_of(uint32_t octet)
{
    switch (octet) {
    case '\0':
    case '\r':
    case '\n': return ENDS_TEXT;
    case '@': return AT_SIGN;
    case '<':
    case '>':
    case ',':
    case ';': return CUTS_LIST;
    default: return 0;
    }
}

static unsigned hex_value(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* RFC 2047 4.2; what is no code stands for itself. */
static unsigned q_effects(struct str text)
{
    unsigned effects = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned high = i + 2 < text.n ? hex_value(text.p[i + 1]) : 16;
        unsigned low = i + 2 < text.n ? hex_value(text.p[i + 2]) : 16;
        bool is_code = text.p[i] == '=' && high < 16 && low < 16;

        effects |= effect_of(is_code ? high << 4 | low : (unsigned char)text.p[i]);
        i += is_code ? 2 : 0;
    }
    return effects;
}

/* RFC 2045 6.8: octets that are not of the alphabet are passed over. */
static unsigned b_effects(struct str text)
{
    uint32_t bits = 0;
    unsigned n = 0, effects = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned value = base64_value(text.p[i]);

        if (value == BASE64_NONE)
            continue;
        bits = (bits << 6 | value) & 0xFFFF;
        n += 6;
        if (n >= 8)
            effects |= effect_of(bits >> (n -= 8) & 0xFF);
    }
    return effects;
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

static unsigned effects_of(struct str encoding, struct str text)
{
    char c = encoding.n == 1 ? ascii_lower(encoding.p[0]) : '\0';

    return c == 'q' ? q_effects(text) : c == 'b' ? b_effects(text) : 0;
}

/* A part that is no word ends at its next "?", and the search goes on behind its first: no octet is seen more often than four
 * times.
 */
bool encoded_words_mislead(struct str s)
{
    unsigned effects = 0;

    for (s = find_start(s); s.n > 0; s = find_start(str_skip(s, 1))) {
        struct str rest = str_skip(s, 2), charset, encoding, text;

        if (!take_part(&rest, &charset) || !take_part(&rest, &encoding) || !take_part(&rest, &text))
            break; /* and no later one has as many */
        effects |= effects_of(encoding, text);
    }
    return (effects & ENDS_TEXT) != 0 || ((effects & AT_SIGN) != 0 && (effects & CUTS_LIST) != 0);
}
