/* One pass, octet by octet. Line ends are CRLF, and for the lenient reading a lone CR, a lone LF, CRCRLF, NUL, VT,
 * FF, SUB (0x1a), NEL (0x85), and U+0085, U+2028, U+2029 in UTF-8. Each is read as the shortest piece: CR CR LF is a
 * lone CR and CRLF, which leaves the same lines with content between them.
 *
 * A well-formed UTF-8 character is a letter: 0x85 counts only where it is no part of one. A text in Latin-1 or
 * Windows-1252 has none, or has NEL (an ellipsis) as a single octet, and that is a line end for a parser that
 * believes in C1 controls; so "...text" 0x85 "." CRLF holds a second end, though it is legal 8BITMIME, and the
 * gateway must refuse it. The real end in the raw stream follows a CRLF; a body line of one dot is sent as two and
 * never found here, whatever stands around it. */
#include "ends.h"

/* The length of the line end at `at`, 0 for none. */
static size_t end_at(struct slice s, size_t at)
{
    const uint8_t *p = s.p + at;
    size_t left = s.n - at;

    switch (*p) {
    case '\r': return left > 1 && p[1] == '\n' ? 2 : 1;
    case '\n':
    case '\0':
    case '\v':
    case '\f':
    case 0x1a:
    case 0x85: return 1;
    case 0xc2: return left > 1 && p[1] == 0x85 ? 2 : 0;
    case 0xe2: return left > 2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9) ? 3 : 0;
    default: return 0;
    }
}

/* RFC 3629 4: the length of the character at `at`; 1 for an octet that begins none. */
static size_t letter_at(struct slice s, size_t at)
{
    const uint8_t *p = s.p + at;
    size_t n = *p < 0xc2 || *p > 0xf4 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

    if (n == 1 || s.n - at < n)
        return 1;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 1;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 1;
    return n;
}

/* A line that begins with one dot alone, in the strict reading; `at` is the dot. */
static bool is_unstuffed(struct slice raw, size_t at, bool is_ended)
{
    if (at + 1 == raw.n)
        return is_ended;
    if (raw.p[at + 1] == '\r' && at + 2 == raw.n)
        return is_ended;
    return raw.p[at + 1] != '.';
}

/* A line of one dot in the lenient reading. An unfinished CR may become a CRLF, and the dot then the real end. */
static bool is_lone(struct slice raw, size_t at, bool is_ended)
{
    if (at + 1 == raw.n)
        return false;
    if (raw.p[at + 1] == '\r' && at + 2 == raw.n)
        return is_ended;
    return end_at(raw, at + 1) > 0;
}

struct ends ends_read(struct slice raw, bool is_ended)
{
    struct ends e = { SIZE_MAX, SIZE_MAX, 0 };
    bool is_start = true, is_strict_start = true;

    for (size_t at = 0, n; at < raw.n; at += n) {
        size_t end = end_at(raw, at);

        if (raw.p[at] == '.' && is_strict_start && e.unstuffed == SIZE_MAX && is_unstuffed(raw, at, is_ended))
            e.unstuffed = at;
        if (raw.p[at] == '.' && is_start && is_lone(raw, at, is_ended)) {
            e.lone = e.lone == SIZE_MAX ? at : e.lone;
            e.lone_n++;
        }
        n = end > 0 ? end : letter_at(raw, at);
        is_start = end > 0;
        is_strict_start = end == 2 && raw.p[at] == '\r';
    }
    return e;
}
