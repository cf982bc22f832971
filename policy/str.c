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
