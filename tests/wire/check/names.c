/* See names.h. */
#include "names.h"

enum { LABEL_MAX = 63 };

/* RFC 3492 5 */
enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 128 };

struct label {
    uint32_t c[LABEL_MAX]; /* code points */
    size_t n;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* The code point at `*at`, which goes behind it. Over-long forms and the like come out as other labels, which match
 * nothing. */
static bool next_code_point(struct slice s, size_t *at, uint32_t *out)
{
    uint8_t first = s.p[(*at)++];
    unsigned more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;

    if (first >= 0x80 && (first < 0xC2 || first > 0xF4))
        return false;
    *out = more == 0 ? lower(first) : first & (0x3FU >> more);
    for (; more > 0; more--, ++*at) {
        if (*at == s.n || (s.p[*at] & 0xC0) != 0x80)
            return false;
        *out = *out << 6 | (s.p[*at] & 0x3F);
    }
    return true;
}

static bool decode_label(struct slice text, struct label *label)
{
    label->n = 0;
    for (size_t at = 0; at < text.n; label->n++)
        if (label->n == LABEL_MAX || !next_code_point(text, &at, &label->c[label->n]))
            return false;
    return true;
}

static void add_octet(struct buffer *to, uint32_t c)
{
    uint8_t octet = (uint8_t)c;

    buffer_add(to, &octet, 1);
}

static void add_digit(struct buffer *to, uint32_t digit)
{
    add_octet(to, digit < 26 ? 'a' + digit : '0' + digit - 26);
}

/* RFC 3492 6.1 */
static uint32_t adapt(uint32_t delta, uint32_t points, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
        delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* A number of variable length, RFC 3492 3.3 */
static void add_delta(struct buffer *to, uint32_t q, uint32_t bias)
{
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;

        if (q < t)
            break;
        add_digit(to, t + (q - t) % (BASE - t));
        q = (q - t) / (BASE - t);
    }
    add_digit(to, q);
}

/* The smallest code point of the label that is not below `n`. */
static uint32_t next_larger(const struct label *label, uint32_t n)
{
    uint32_t least = UINT32_MAX;

    for (size_t i = 0; i < label->n; i++)
        if (label->c[i] >= n && label->c[i] < least)
            least = label->c[i];
    return least;
}

/* RFC 3492 6.3. With 63 code points below 0x110000 no sum comes near 2^32. */
static void add_punycode(struct buffer *to, const struct label *label)
{
    uint32_t n = INITIAL_N, delta = 0, bias = INITIAL_BIAS, basic = 0, done;

    for (size_t i = 0; i < label->n; i++)
        if (label->c[i] < INITIAL_N) {
            add_octet(to, label->c[i]);
            basic++;
        }
    if (basic > 0)
        add_octet(to, '-');
    for (done = basic; done < label->n; delta++, n++) {
        uint32_t larger = next_larger(label, n);

        delta += (larger - n) * (done + 1);
        n = larger;
        for (size_t i = 0; i < label->n; i++) {
            delta += label->c[i] < n;
            if (label->c[i] != n)
                continue;
            add_delta(to, delta, bias);
            bias = adapt(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80)
            return false;
    return true;
}

static void fold_label(struct buffer *to, struct slice text)
{
    struct label label;

    if (!is_ascii(text) && decode_label(text, &label)) {
        buffer_add(to, "xn--", 4);
        add_punycode(to, &label);
        return;
    }
    for (size_t i = 0; i < text.n; i++)
        add_octet(to, lower(text.p[i]));
}

void name_fold(struct buffer *to, struct slice domain)
{
    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    for (size_t at = 0; at < domain.n;) {
        size_t end = slice_find(domain, SLICE("."), at);

        fold_label(to, slice_part(domain, at, end));
        if (end < domain.n)
            buffer_add(to, ".", 1);
        at = end + 1;
    }
}

bool name_matches(struct slice name, struct slice pattern)
{
    struct slice below = slice_part(pattern, 1, pattern.n); /* ".x" */

    if (pattern.n < 2 || pattern.p[0] != '*' || pattern.p[1] != '.')
        return name.n > 0 && slice_equal(name, pattern);
    return name.n > below.n && slice_equal(slice_part(name, name.n - below.n, name.n), below);
}
