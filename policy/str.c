#include "str.h"

bool str_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_istarts(a, b);
}

bool str_istarts(struct str s, struct str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i]))
            return false;
    return true;
}

bool str_iends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_istarts(str_skip(s, s.n - suffix.n), suffix);
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

    return at != NULL ? (size_t)(at - s.p) : s.n;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && ascii_is_blank(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && ascii_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_separator(char c)
{
    return ascii_is_blank(c) || c == ',';
}

bool str_word(struct str *rest, struct str *word)
{
    size_t n = 0;

    while (rest->n > 0 && is_separator(rest->p[0]))
        *rest = str_skip(*rest, 1);
    while (n < rest->n && !is_separator(rest->p[n]))
        n++;
    *word = str_from(rest->p, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

bool str_to_u64(struct str s, unsigned long long max, unsigned long long *out)
{
    const unsigned long long tenth = max / 10;
    unsigned long long value = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

        if (digit > 9 || value > tenth || (value == tenth && digit > max % 10))
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return s.n > 0;
}

/* By octet, from "+" to "z": keys and signatures are hundreds of characters, read in each pass. */
unsigned base64_value(char c)
{
    /* clang-format off */
    static const unsigned char of['z' - '+' + 1] = {
        62, 64, 64, 64, 63, /* + to / */
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, /* 0 to 9 */
        64, 64, 64, 64, 64, 64, 64, /* : to @ */
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, /* A to Z */
        64, 64, 64, 64, 64, 64, /* [ to ` */
        26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, /* a to z */
    };
    /* clang-format on */
    unsigned at = (unsigned)(unsigned char)c - '+';

    return at < sizeof of ? of[at] : BASE64_NONE;
}
