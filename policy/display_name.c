#include "display_name.h"

#include <stdint.h>

#include "base64.h"

enum { UNKNOWN = 0xFFFD };

struct out {
    char *text;
    size_t n;
};

static void put_octet(struct out *out, uint32_t octet)
{
    if (out->n < DISPLAY_NAME_MAX)
        out->text[out->n++] = (char)octet;
}

/* Below U+10000, as the charsets here. */
static void put_character(struct out *out, uint32_t c)
{
    if (c < 0x80) {
        put_octet(out, c);
    } else if (c < 0x800) {
        put_octet(out, 0xC0 | c >> 6);
        put_octet(out, 0x80 | (c & 0x3F));
    } else {
        put_octet(out, 0xE0 | c >> 12);
        put_octet(out, 0x80 | (c >> 6 & 0x3F));
        put_octet(out, 0x80 | (c & 0x3F));
    }
}

/* ---- charsets: what an octet from 0x80 on stands for; letters alone, the rest is UNKNOWN ---- */

static uint32_t latin1(uint32_t octet)
{
    return octet >= 0xA0 ? octet : UNKNOWN;
}

static uint32_t windows1252(uint32_t octet)
{
    switch (octet) {
    case 0x8A: return 0x160;
    case 0x8C: return 0x152;
    case 0x8E: return 0x17D;
    case 0x91:
    case 0x92: return '\'';
    case 0x9A: return 0x161;
    case 0x9C: return 0x153;
    case 0x9E: return 0x17E;
    case 0x9F: return 0x178;
    default: return latin1(octet);
    }
}

static uint32_t latin9(uint32_t octet)
{
    static const struct {
        uint32_t octet, c;
    } rows[] = {
        { 0xA6, 0x160 }, { 0xA8, 0x161 }, { 0xB4, 0x17D }, { 0xB8, 0x17E },
        { 0xBC, 0x152 }, { 0xBD, 0x153 }, { 0xBE, 0x178 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].octet == octet)
            return rows[i].c;
    return latin1(octet);
}

static uint32_t cyrillic(uint32_t octet)
{
    return octet > 0xA0 && octet != 0xAD && octet != 0xF0 && octet != 0xFD ? octet + 0x360 : UNKNOWN;
}

static uint32_t greek(uint32_t octet)
{
    return octet >= 0xB6 && octet != 0xB7 && octet != 0xBB && octet != 0xBD ? octet + 0x2D0 : UNKNOWN;
}

static uint32_t windows1251(uint32_t octet)
{
    if (octet >= 0xC0)
        return octet + 0x350;
    switch (octet) {
    case 0xA8: return 0x401;
    case 0xB8: return 0x451;
    case 0xAA: return 0x404;
    case 0xBA: return 0x454;
    case 0xAF: return 0x407;
    case 0xBF: return 0x457;
    case 0xA3: return 0x408;
    case 0xBC: return 0x458;
    case 0xBD: return 0x405;
    case 0xBE: return 0x455;
    case 0xB2: return 0x406;
    case 0xB3: return 0x456;
    default: return UNKNOWN;
    }
}

/* RFC 1489: Cyrillic letters in the places of the Latin ones they sound like. */
static uint32_t koi8r(uint32_t octet)
{
    static const unsigned char order[32] = { 30, 0,  1,  22, 4,  5,  20, 3,  21, 8,  9,  10, 11, 12, 13, 14,
                                             15, 31, 16, 17, 18, 19, 6,  2,  28, 27, 7,  24, 29, 25, 23, 26 };

    if (octet == 0xA3 || octet == 0xB3)
        return octet == 0xA3 ? 0x451 : 0x401;
    if (octet < 0xC0)
        return UNKNOWN;
    return (octet < 0xE0 ? 0x430 : 0x410) + (uint32_t)order[octet & 0x1F];
}

static const struct charset {
    struct str name;
    uint32_t (*decode)(uint32_t octet); /* NULL: octets as they are */
} charsets[] = {
    { STR_INIT("utf-8"), NULL },
    { STR_INIT("utf8"), NULL },
    { STR_INIT("us-ascii"), NULL }, /* some say so of UTF-8 */
    { STR_INIT("iso-8859-1"), windows1252 }, /* as browsers and mail programs read it */
    { STR_INIT("latin1"), windows1252 },
    { STR_INIT("windows-1252"), windows1252 },
    { STR_INIT("cp1252"), windows1252 },
    { STR_INIT("iso-8859-15"), latin9 },
    { STR_INIT("iso-8859-5"), cyrillic },
    { STR_INIT("iso-8859-7"), greek },
    { STR_INIT("windows-1251"), windows1251 },
    { STR_INIT("cp1251"), windows1251 },
    { STR_INIT("koi8-r"), koi8r },
};

static uint32_t unknown(uint32_t octet)
{
    (void)octet;
    return UNKNOWN;
}

/* RFC 2231 5: a language may follow the charset, behind a "*". */
static const struct charset *find_charset(struct str name)
{
    static const struct charset other = { STR_INIT(""), unknown };

    name.n = str_find(name, '*');
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
        if (str_ieq(charsets[i].name, name))
            return &charsets[i];
    return &other;
}

/* ---- encoded words ---- */

static void put_decoded(struct out *out, const struct charset *charset, uint32_t octet)
{
    if (octet < 0x80 || charset->decode == NULL)
        put_octet(out, octet);
    else
        put_character(out, charset->decode(octet));
}

static unsigned hex_value(char c)
{
    c = ascii_lower(c);
    if (ascii_is_digit(c))
        return (unsigned)(c - '0');
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* RFC 2047 4.2; what is no code stands for itself. */
static void decode_q(struct out *out, const struct charset *charset, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned high = i + 2 < text.n ? hex_value(text.p[i + 1]) : 16;
        unsigned low = i + 2 < text.n ? hex_value(text.p[i + 2]) : 16;

        if (text.p[i] == '=' && high < 16 && low < 16) {
            put_decoded(out, charset, high << 4 | low);
            i += 2;
        } else {
            put_decoded(out, charset, text.p[i] == '_' ? ' ' : (unsigned char)text.p[i]);
        }
    }
}

/* RFC 2045 6.8: octets that are not of the alphabet are passed over. */
static void decode_b(struct out *out, const struct charset *charset, struct str text)
{
    uint32_t bits = 0;
    unsigned n = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned value = base64_value(text.p[i]);

        if (value == BASE64_NONE)
            continue;
        bits = (bits << 6 | value) & 0xFFFF;
        n += 6;
        if (n >= 8)
            put_decoded(out, charset, bits >> (n -= 8) & 0xFF);
    }
}

/* Cuts what stands before the next "?" off the front of `*rest`, and the "?". */
static bool take_part(struct str *rest, struct str *part)
{
    *part = str_from(rest->p, str_find(*rest, '?'));
    if (part->n == rest->n)
        return false;
    *rest = str_skip(*rest, part->n + 1);
    return true;
}

/* An encoded word at the front of `*rest`, decoded. False when none stands there: then nothing has changed. */
static bool take_word(struct str *rest, struct out *out)
{
    struct str s = *rest, charset, encoding, text;
    char how;

    if (!str_istarts(s, STR("=?")))
        return false;
    s = str_skip(s, 2);
    if (!take_part(&s, &charset) || !take_part(&s, &encoding) || encoding.n != 1 || !take_part(&s, &text) || s.n == 0 ||
        s.p[0] != '=')
        return false;
    how = ascii_lower(encoding.p[0]);
    if (how != 'q' && how != 'b')
        return false;
    if (how == 'q')
        decode_q(out, find_charset(charset), text);
    else
        decode_b(out, find_charset(charset), text);
    *rest = str_skip(s, 1);
    return true;
}

static size_t blanks_at(struct str s)
{
    size_t n = 0;

    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '\r' || s.p[n] == '\n'))
        n++;
    return n;
}

/* Blanks between encoded words are not shown (RFC 2047 6.2): they may stand in the middle of a word, even of a letter. */
static void pass_blanks_between(struct str *rest)
{
    size_t n = blanks_at(*rest);
    struct out nowhere = { NULL, DISPLAY_NAME_MAX };
    struct str behind = str_skip(*rest, n);

    if (n > 0 && take_word(&behind, &nowhere))
        *rest = str_skip(*rest, n);
}

/* Where no word begins at "=?", the search goes on behind it; a word that is none is looked over once for each "=?" in it. */
struct str display_name_read(struct str raw, char room[DISPLAY_NAME_MAX])
{
    struct out out = { room, 0 };

    while (raw.n > 0 && out.n < DISPLAY_NAME_MAX) {
        char c = raw.p[0];

        if (c == '=' && take_word(&raw, &out)) {
            pass_blanks_between(&raw);
            continue;
        }
        raw = str_skip(raw, 1);
        if (c == '\\' && raw.n > 0) { /* a quoted pair */
            c = raw.p[0];
            raw = str_skip(raw, 1);
        }
        if (c != '"')
            put_octet(&out, (unsigned char)c);
    }
    return str_from(room, out.n);
}
