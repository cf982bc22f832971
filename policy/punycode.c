#include "punycode.h"

/* RFC 3492 5 */
enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 0x80 };

/* RFC 3492 5: letters of either case are 0 to 25, digits 26 to 35. */
static uint32_t digit_value(char c)
{
    c = ascii_lower(c);
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a');
    return ascii_is_digit(c) ? (uint32_t)(c - '0') + 26 : BASE;
}

/* RFC 3492 6.1 */
static uint32_t adapt(uint32_t delta, uint32_t points, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > ((BASE - TMIN) * TMAX) / 2; k += BASE)
        delta /= BASE - TMIN;
    return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

/* One generalized variable-length integer off the front of `*text`, added to `*i` (RFC 3492 3.3, 6.4: no overflow). */
static bool take_delta(struct str *text, uint32_t bias, uint32_t *i)
{
    uint64_t sum = *i, weight = 1;

    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
        uint32_t digit = text->n > 0 ? digit_value(text->p[0]) : BASE;

        if (digit >= BASE)
            return false;
        *text = str_skip(*text, 1);
        sum += digit * weight;
        if (sum > UINT32_MAX)
            return false;
        if (digit < t)
            break;
        weight *= BASE - t;
        if (weight > UINT32_MAX)
            return false;
    }
    *i = (uint32_t)sum;
    return true;
}

/* Up to the last hyphen, which is not there when there is none of them. */
static bool take_basic(struct str *text, uint32_t out[PUNYCODE_MAX], size_t *n)
{
    size_t basic = text->n;

    while (basic > 0 && text->p[basic - 1] != '-')
        basic--;
    *n = 0;
    if (basic == 0)
        return true;
    if (basic - 1 > PUNYCODE_MAX)
        return false;
    for (size_t i = 0; i + 1 < basic; i++) {
        if ((unsigned char)text->p[i] >= INITIAL_N)
            return false;
        out[(*n)++] = (unsigned char)ascii_lower(text->p[i]);
    }
    *text = str_skip(*text, basic);
    return true;
}

static bool is_character(uint32_t c)
{
    return c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

/* RFC 3492 6.2 */
bool punycode_decode(struct str text, uint32_t out[PUNYCODE_MAX], size_t *n)
{
    uint32_t next = INITIAL_N, i = 0, bias = INITIAL_BIAS;

    if (!take_basic(&text, out, n))
        return false;
    while (text.n > 0) {
        uint32_t before = i, points = (uint32_t)*n + 1;

        if (points > PUNYCODE_MAX || !take_delta(&text, bias, &i))
            return false;
        bias = adapt(i - before, points, before == 0);
        if (i / points > UINT32_MAX - next)
            return false;
        next += i / points;
        i %= points;
        if (!is_character(next))
            return false;
        memmove(&out[i + 1], &out[i], (*n - i) * sizeof *out);
        out[i++] = next;
        ++*n;
    }
    return true;
}
