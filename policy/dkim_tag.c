/* Tag lists (RFC 6376 3.2), the lists within them, and base64 (2.10).
 *
 *     tag-list = tag-spec *( ";" tag-spec ) [ ";" ]
 *     tag-spec = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
 *
 * Octets above ASCII are taken in values: RFC 8616 5 allows UTF-8 where the header is internationalized, and notes of
 * key records hold what they like.
 */
#include "base64.h"
#include "dkim.h"

static bool is_fws_octet(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `s` without folding white space at its ends; that CR and LF stand only in folds is has_good_octets' business. */
static struct str trim_fws(struct str s)
{
    while (s.n > 0 && is_fws_octet(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_fws_octet(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Length of the white space at the front that may stand in a tag list: a blank, or CRLF and a blank (2.8). */
static size_t fws_unit(struct str s)
{
    if (s.p[0] == ' ' || s.p[0] == '\t')
        return 1;
    return s.n > 2 && s.p[0] == '\r' && s.p[1] == '\n' && (s.p[2] == ' ' || s.p[2] == '\t') ? 3 : 0;
}

/* VALCHAR and FWS alone: no control octet, no bare CR or LF. */
static bool has_good_octets(struct str s)
{
    for (size_t at = 0, n; at < s.n; at += n) {
        unsigned char c = (unsigned char)s.p[at];

        n = c > ' ' && c != 0x7f ? 1 : fws_unit(str_skip(s, at));
        if (n == 0)
            return false;
    }
    return true;
}

static bool is_tag_name(struct str name)
{
    if (name.n == 0 || !ascii_is_letter(name.p[0]))
        return false;
    for (size_t i = 1; i < name.n; i++)
        if (!ascii_is_letter(name.p[i]) && !ascii_is_digit(name.p[i]) && name.p[i] != '_')
            return false;
    return true;
}

bool tag_next(struct str *rest, struct tag *tag)
{
    struct str spec = str_from(rest->p, str_find(*rest, ';'));
    bool is_last = spec.n == rest->n;
    size_t equals = str_find(spec, '=');

    if (!has_good_octets(spec))
        return false;
    if (is_last && trim_fws(spec).n == 0) {
        *rest = str_skip(*rest, rest->n);
        return false;
    }
    tag->name = trim_fws(str_from(spec.p, equals));
    if (equals == spec.n || !is_tag_name(tag->name))
        return false;
    tag->text = str_skip(spec, equals + 1);
    tag->value = trim_fws(tag->text);
    *rest = str_skip(*rest, is_last ? spec.n : spec.n + 1);
    return true;
}

static bool holds_name(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

const char *tags_read(struct str list, const char *const *names, size_t n, struct tag *found)
{
    struct str seen[TAGS_MAX];
    struct tag tag;
    size_t tags = 0;

    for (size_t i = 0; i < n; i++)
        found[i] = (struct tag){ .name = { NULL, 0 } };
    for (; tag_next(&list, &tag); seen[tags++] = tag.name) {
        if (tags == TAGS_MAX)
            return "too many tags";
        if (holds_name(seen, tags, tag.name)) /* 3.2: the entire list is invalid, whatever the tag */
            return "a tag appears twice";
        for (size_t i = 0; i < n; i++)
            if (str_eq(tag.name, str_of(names[i])))
                found[i] = tag;
    }
    return list.n > 0 ? "not a tag list" : NULL;
}

bool colon_list_next(struct str *rest, struct str *item)
{
    size_t n = str_find(*rest, ':');

    if (rest->p == NULL)
        return false;
    *item = trim_fws(str_from(rest->p, n));
    *rest = n < rest->n ? str_skip(*rest, n + 1) : str_from(NULL, 0);
    return true;
}

bool colon_list_holds(struct str list, struct str word)
{
    struct str item;

    while (colon_list_next(&list, &item))
        if (str_ieq(item, word))
            return true;
    return false;
}

/* ---- base64, RFC 4648 4 ---- */

/* What has been read of a base64 text. */
struct base64 {
    size_t sextets, padding;
    uint32_t bits; /* the newest 32 */
};

/* Takes one character; false when it cannot stand here. */
static bool base64_take(struct base64 *b, char c)
{
    unsigned value = base64_value(c);

    if (value != BASE64_NONE && b->padding == 0) {
        b->bits = b->bits << 6 | value;
        b->sextets++;
        return true;
    }
    if (c == '=')
        return ++b->padding <= 2;
    return is_fws_octet(c);
}

/* Whole quanta, and nothing in the bits that padding leaves over (RFC 4648 3.5). */
static bool base64_is_whole(const struct base64 *b)
{
    static const uint32_t stray[] = { 0, 0x3, 0xf };

    return (b->sextets + b->padding) % 4 == 0 && b->sextets % 4 != 1 && (b->bits & stray[b->padding]) == 0;
}

bool base64_size(struct str text, size_t *octets)
{
    struct base64 b = { .sextets = 0 };

    for (size_t i = 0; i < text.n; i++)
        if (!base64_take(&b, text.p[i]))
            return false;
    *octets = b.sextets / 4 * 3 + b.sextets % 4 * 3 / 4;
    return base64_is_whole(&b);
}

/* The whole quanta at the front with nothing between their characters, which is most of any text. Octets read. */
static size_t decode_quanta(struct str text, char *out, size_t *n)
{
    size_t at = 0;

    for (; text.n - at >= 4; at += 4) {
        uint32_t bits = 0;
        unsigned all = 0;

        for (size_t i = 0; i < 4; i++) {
            unsigned value = base64_value(text.p[at + i]);

            all |= value;
            bits = bits << 6 | value;
        }
        if (all >= BASE64_NONE)
            break;
        out[(*n)++] = (char)(bits >> 16 & 0xff);
        out[(*n)++] = (char)(bits >> 8 & 0xff);
        out[(*n)++] = (char)(bits & 0xff);
    }
    return at;
}

/* Of a text that base64_size found good. */
static void base64_decode(struct str text, char *out)
{
    struct base64 b = { .sextets = 0 };
    size_t before = 0, n = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (before % 4 == 0)
            i += decode_quanta(str_skip(text, i), out, &n);
        if (i == text.n)
            return;
        base64_take(&b, text.p[i]);
        if (b.sextets == before)
            continue;
        before = b.sextets;
        if (before % 4 != 1) /* 8 bits are whole after 12, 18 and 24 */
            out[n++] = (char)(b.bits >> (6 - (before + 3) % 4 * 2) & 0xff);
    }
}

struct str base64_read(struct str text, size_t max, struct arena *arena)
{
    size_t n;
    char *out;

    if (!base64_size(text, &n) || n > max)
        return str_from(NULL, 0);
    out = arena_take(arena, n > 0 ? n : 1);
    if (out == NULL)
        return str_from(NULL, 0);
    base64_decode(text, out);
    return str_from(out, n);
}

struct str base64_print(struct str octets, struct arena *arena)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = (octets.n + 2) / 3 * 4;
    char *out = arena_take(arena, n > 0 ? n : 1);

    if (out == NULL)
        return str_from(NULL, 0);
    for (size_t i = 0, at = 0; i < octets.n; i += 3, at += 4) {
        size_t left = octets.n - i;
        uint32_t bits = (uint32_t)(unsigned char)octets.p[i] << 16;

        bits |= left > 1 ? (uint32_t)(unsigned char)octets.p[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)(unsigned char)octets.p[i + 2] : 0;
        out[at] = digits[bits >> 18];
        out[at + 1] = digits[bits >> 12 & 63];
        out[at + 2] = left > 1 ? digits[bits >> 6 & 63] : '=';
        out[at + 3] = left > 2 ? digits[bits & 63] : '=';
    }
    return str_from(out, n);
}
