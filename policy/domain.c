/* Domain names as mail writes them: the Domain of RFC 5321 4.1.2 and the U-labels of RFC 5890 that RFC 6531
 * adds.
 *
 * One loop cuts a name into labels; each label is checked by the same rules whether the caller wants a yes or
 * no, an error for a reply, or the canonical form.
 */
#include "address.h"
#include "path.h"
#include "utf8.h"

enum {
    LABEL_MAX = 63,       /* octets, RFC 1035 2.3.4 */
    DNS_NAME_MAX = 253,   /* octets of text: 255 on the wire less two length octets, RFC 1035 2.3.4 */
    ACE_PREFIX_LENGTH = 4 /* "xn--" */
};

/* Characters no U-label holds (RFC 5892, DISALLOWED), of which some software nevertheless makes something
 * else: dots (U+3002, U+FF0E, U+FF61), ASCII letters (U+FF21 ...), nothing at all (U+00AD, U+200B, U+FE0F),
 * or the end of a line (U+0085, U+2028). A name with two readings is no name here. This is not the whole of
 * RFC 5892: a label that passes may still be one that no registry would take, and then it equals no other
 * name.
 */
static const struct {
    uint32_t first, last;
} DISALLOWED[] = {
    /* clang-format off */
    { 0x80, 0xB6 },        /* C1 controls, Latin-1 signs, soft hyphen; U+00B7 is CONTEXTO */
    { 0xB8, 0xDE },        /* Latin-1 signs and capital letters */
    { 0xF7, 0xF7 },        /* division sign */
    { 0x130, 0x130 },      /* ASCII in disguise (by NFKC), as are the rows without a word */
    { 0x132, 0x133 },
    { 0x13F, 0x140 },
    { 0x149, 0x149 },
    { 0x17F, 0x17F },      /* long s */
    { 0x1C4, 0x1CC },
    { 0x1F1, 0x1F3 },
    { 0x2B0, 0x2B8 },
    { 0x2D8, 0x2E4 },
    { 0x34F, 0x34F },      /* combining grapheme joiner */
    { 0x37E, 0x37E },      /* Greek question mark, which is a semicolon */
    { 0x61C, 0x61C },      /* Arabic letter mark */
    { 0x115F, 0x1160 },    /* invisible Hangul fillers */
    { 0x1680, 0x1680 },    /* Ogham space */
    { 0x180B, 0x180F },    /* Mongolian variation selectors and vowel separator */
    { 0x1D2C, 0x1D2E },
    { 0x1D30, 0x1D3A },
    { 0x1D3C, 0x1D4D },
    { 0x1D4F, 0x1D6A },
    { 0x1D9B, 0x1DBF },
    { 0x1E9A, 0x1E9A },
    { 0x2000, 0x200B },    /* blanks */
    { 0x200E, 0x214D },    /* marks, line ends, punctuation, letterlike; U+200C and U+200D are CONTEXTJ */
    { 0x2150, 0x2183 },    /* number forms but U+214E and U+2184, which are letters */
    { 0x2185, 0x2BFF },    /* arrows, mathematics, technical, enclosed letters, box drawing, pictures */
    { 0x2C7C, 0x2C7D },
    { 0x2E00, 0x2E2E },    /* punctuation */
    { 0x2E30, 0x3004 },    /* punctuation, radicals, the ideographic blank and full stop */
    { 0x3008, 0x3029 },    /* brackets and signs */
    { 0x3164, 0x3164 },    /* invisible Hangul filler */
    { 0x3200, 0x33FF },    /* enclosed and squared letters */
    { 0xA7F2, 0xA7F4 },
    { 0xD800, 0xFA0D },    /* surrogates, private use, compatibility ideographs (U+FA0E is none) */
    { 0xFB00, 0xFB1D },    /* ligatures */
    { 0xFD3E, 0xFDFF },    /* brackets, noncharacters, ligatures */
    { 0xFE00, 0xFE1F },    /* variation selectors, vertical forms */
    { 0xFE30, 0xFE72 },    /* vertical and small forms, small full stop among them */
    { 0xFE74, 0xFFFF },    /* half and full width forms, byte order mark, specials */
    { 0x107A5, 0x107A5 },
    { 0x1D400, 0x1D7FF },  /* mathematical letters and digits */
    { 0x1F000, 0x1FAFF },  /* pictures, enclosed letters */
    { 0x1FBF0, 0x1FBF9 },  /* segmented digits */
    { 0xE0000, 0x10FFFF }, /* tags, variation selectors, private use */
    /* clang-format on */
};

static bool is_disallowed(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof DISALLOWED / sizeof DISALLOWED[0]; i++)
        if (code_point >= DISALLOWED[i].first && code_point <= DISALLOWED[i].last)
            return true;
    return false;
}

static bool is_let_dig(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Cuts the next label and its dot off the front of `*rest`; the caller knows that a label is to come. `*more`
 * tells whether a dot followed, that is, whether another label must.
 */
static struct str next_label(struct str *rest, bool *more)
{
    struct str label = str_from(rest->p, str_find(*rest, '.'));

    *more = label.n < rest->n;
    *rest = str_skip(*rest, *more ? label.n + 1 : label.n);
    return label;
}

/* ---- Punycode, RFC 3492 ---- */

/* Section 5: the parameters. */
enum { PUNY_BASE = 36, PUNY_TMIN = 1, PUNY_TMAX = 26, PUNY_SKEW = 38, PUNY_DAMP = 700, PUNY_BIAS = 72, PUNY_N = 0x80 };

/* A label under construction; `full` says that it did not fit, which ends as "label over 63". */
struct label_out {
    char text[LABEL_MAX];
    size_t n;
    bool full;
};

static void label_put(struct label_out *out, char c)
{
    if (out->n < LABEL_MAX)
        out->text[out->n++] = c;
    else
        out->full = true;
}

/* RFC 3492 6.1 */
static uint32_t puny_adapt(uint32_t delta, uint32_t points, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / PUNY_DAMP : delta / 2;
    delta += delta / points;
    for (; delta > ((PUNY_BASE - PUNY_TMIN) * PUNY_TMAX) / 2; k += PUNY_BASE)
        delta /= PUNY_BASE - PUNY_TMIN;
    return k + (PUNY_BASE - PUNY_TMIN + 1) * delta / (delta + PUNY_SKEW);
}

/* One delta as a generalized variable-length integer, RFC 3492 3.3. */
static void puny_put(struct label_out *out, uint32_t delta, uint32_t bias)
{
    static const char DIGITS[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    for (uint32_t k = PUNY_BASE;; k += PUNY_BASE) {
        uint32_t t = k <= bias ? PUNY_TMIN : k >= bias + PUNY_TMAX ? PUNY_TMAX : k - bias;

        if (delta < t)
            break;
        label_put(out, DIGITS[t + (delta - t) % (PUNY_BASE - t)]);
        delta = (delta - t) / (PUNY_BASE - t);
    }
    label_put(out, DIGITS[delta]);
}

static uint32_t smallest_from(const uint32_t *points, size_t n, uint32_t at_least)
{
    uint32_t smallest = UINT32_MAX;

    for (size_t i = 0; i < n; i++)
        if (points[i] >= at_least && points[i] < smallest)
            smallest = points[i];
    return smallest;
}

static size_t put_basic_points(struct label_out *out, const uint32_t *points, size_t n)
{
    size_t basic = 0;

    for (size_t i = 0; i < n; i++)
        if (points[i] < PUNY_N) {
            label_put(out, (char)points[i]);
            basic++;
        }
    if (basic > 0)
        label_put(out, '-');
    return basic;
}

/* RFC 3492 6.3. At most 63 points below 0x110000: delta stays below 2^27, so the overflow checks of the RFC's
 * sample have nothing to find.
 */
static void puny_encode(struct label_out *out, const uint32_t *points, size_t n)
{
    size_t basic = put_basic_points(out, points, n);
    uint32_t delta = 0, bias = PUNY_BIAS, next = PUNY_N;

    for (size_t done = basic; done < n; delta++, next++) {
        uint32_t smallest = smallest_from(points, n, next);

        delta += (smallest - next) * (uint32_t)(done + 1);
        next = smallest;
        for (size_t i = 0; i < n; i++) {
            if (points[i] < next)
                delta++;
            if (points[i] != next)
                continue;
            puny_put(out, delta, bias);
            bias = puny_adapt(delta, (uint32_t)done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
}

/* ---- labels ---- */

/* The code points of a U-label, ASCII letters in lower case; false when it is not UTF-8 or holds what no
 * label holds.
 */
static bool decode_label(struct str label, uint32_t points[LABEL_MAX], size_t *n, bool *too_long)
{
    *n = 0;
    *too_long = false;
    while (label.n > 0) {
        uint32_t point;
        size_t length = utf8_decode(label, &point);

        if (length == 0 || point < 0x20 || point == 0x7F || is_disallowed(point))
            return false;
        if (*n < LABEL_MAX)
            points[(*n)++] = point < 0x80 ? (uint32_t)ascii_lower((char)point) : point;
        else
            *too_long = true;
        label = str_skip(label, length);
    }
    return true;
}

/* RFC 5891 4.2.3.1: hyphens in the third and fourth place mark an A-label, which has no U-label inside. */
static bool looks_like_ace(const uint32_t *points, size_t n)
{
    return n >= ACE_PREFIX_LENGTH && points[2] == '-' && points[3] == '-';
}

static enum path_error encode_u_label(struct str label, struct label_out *out)
{
    uint32_t points[LABEL_MAX];
    size_t n;
    bool too_long;

    if (!decode_label(label, points, &n, &too_long) || looks_like_ace(points, n))
        return PATH_BAD_DOMAIN;
    if (too_long)
        return PATH_DOMAIN_TOO_LONG;
    for (size_t i = 0; i < ACE_PREFIX_LENGTH; i++)
        label_put(out, "xn--"[i]);
    puny_encode(out, points, n);
    return out->full ? PATH_DOMAIN_TOO_LONG : PATH_OK;
}

/* An ASCII label in lower case. DNS itself takes any octet (RFC 2181 11); controls are refused because no
 * name that a message, a record or a log carries has them.
 */
static enum path_error lower_label(struct str label, struct label_out *out)
{
    for (size_t i = 0; i < label.n; i++) {
        if ((unsigned char)label.p[i] < 0x20 || label.p[i] == 0x7F)
            return PATH_BAD_DOMAIN;
        label_put(out, ascii_lower(label.p[i]));
    }
    return out->full ? PATH_DOMAIN_TOO_LONG : PATH_OK;
}

static enum path_error canonical_label(struct str label, struct label_out *out)
{
    out->n = 0;
    out->full = false;
    if (label.n == 0)
        return PATH_BAD_DOMAIN;
    return str_is_ascii(label) ? lower_label(label, out) : encode_u_label(label, out);
}

/* RFC 5321 4.1.2: sub-domain = Let-dig [Ldh-str], and Ldh-str ends in Let-dig; RFC 6531 3.3 adds U-label. The
 * underscore is not in the RFC: names such as _dmarc.example and my_host.example are in the DNS and in use.
 */
static bool is_sub_domain(struct str label)
{
    if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++) {
        unsigned char c = (unsigned char)label.p[i];

        if (c < 0x80 && !is_let_dig(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

static enum path_error check_label(struct str label)
{
    struct label_out scratch;

    return is_sub_domain(label) ? canonical_label(label, &scratch) : PATH_BAD_DOMAIN;
}

/* ---- names ---- */

enum path_error domain_check(struct str domain, unsigned flags)
{
    struct str rest = domain;
    enum path_error worst = PATH_OK;
    bool more = true;

    while (more) {
        enum path_error error = check_label(next_label(&rest, &more));

        if (error == PATH_BAD_DOMAIN)
            return error;
        if (error != PATH_OK)
            worst = error;
    }
    if (worst != PATH_OK || domain.n > PATH_DOMAIN_MAX)
        return PATH_DOMAIN_TOO_LONG;
    return str_is_ascii(domain) || (flags & PATH_UTF8) != 0 ? PATH_OK : PATH_NEEDS_UTF8;
}

bool domain_is_valid(struct str domain)
{
    return domain_check(domain, 0) == PATH_OK;
}

struct str domain_canonical(struct str domain, char out[PATH_DOMAIN_MAX + 1])
{
    struct label_out label;
    size_t n = 0;
    bool more = true;

    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    while (more) {
        if (canonical_label(next_label(&domain, &more), &label) != PATH_OK)
            return str_from(NULL, 0);
        if (n + label.n + more > DNS_NAME_MAX)
            return str_from(NULL, 0);
        memcpy(out + n, label.text, label.n);
        n += label.n;
        if (more)
            out[n++] = '.';
    }
    out[n] = '\0';
    return str_from(out, n);
}

bool domain_is_within(struct str name, struct str domain)
{
    if (domain.n == 0 || name.n < domain.n || !str_eq(str_skip(name, name.n - domain.n), domain))
        return false;
    return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

/* RFC 5321 4.1.3. No tag but IPv6 was ever registered, so General-address-literal is not taken; nor are the
 * leading zeros that Snum allows ("[010.0.0.1]"), because half the world reads them as octal.
 */
bool address_literal_is_valid(struct str literal)
{
    struct str tag = STR("IPv6:");
    struct address address;
    struct str inside;

    if (literal.n < 2 || literal.p[0] != '[' || literal.p[literal.n - 1] != ']')
        return false;
    inside = str_from(literal.p + 1, literal.n - 2);
    if (str_istarts(inside, tag)) {
        inside = str_skip(inside, tag.n);
        return str_find(inside, ':') < inside.n && address_parse(inside, &address);
    }
    return str_find(inside, ':') == inside.n && address_parse(inside, &address);
}
