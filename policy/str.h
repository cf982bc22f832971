/* Slices: a pointer and a length into memory that somebody else owns.
 *
 * Everything that came from a wire is a `struct str`: it may hold any byte, NUL included, and is not terminated.
 * NUL-terminated strings exist only at the edges (libraries, literals). A slice never owns; the buffer it points into
 * must outlive it, and the header that hands one out says which buffer that is.
 */
#ifndef POLICY_STR_H
#define POLICY_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* A slice of a string literal, usable in initialisers: STR_INIT("x"), and as an expression: STR("x"). */
/* clang-format off */
#define STR_INIT(lit) { (lit), sizeof(lit) - 1 }
/* clang-format on */
#define STR(lit) ((struct str)STR_INIT(lit))

/* For printf-like functions: printf("%.*s", STR_ARG(s)). Callers bound s.n well below INT_MAX. */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *cstring)
{
    return (struct str){ cstring, strlen(cstring) };
}

static inline struct str str_from(const char *p, size_t n)
{
    return (struct str){ p, n };
}

/* The rest of `s` after its first `n` bytes; n <= s.n. C11 6.5.6 leaves NULL + 0
 * undefined, and an empty slice may be NULL.
 */
static inline struct str str_skip(struct str s, size_t n)
{
    return (struct str){ n > 0 ? s.p + n : s.p, s.n - n };
}

/* ASCII only, whatever the locale: protocol keywords and DNS names know no other letters. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

/* WSP of RFC 5234 B.1. */
static inline bool ascii_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Octets below 0x80 alone. */
bool str_is_ascii(struct str s);

/* Equal but for the case of ASCII letters. */
bool str_ieq(struct str a, struct str b);
bool str_istarts(struct str s, struct str prefix);
bool str_iends(struct str s, struct str suffix);

/* Position of the first `c` in s, or s.n. */
size_t str_find(struct str s, char c);

/* `s` without leading and trailing blanks (SP, HT). */
struct str str_trim(struct str s);

/* Cuts the next word off the front of `*rest`: words are separated by any run of SP, HT, ',' ; false when none is
 * left.
 */
bool str_word(struct str *rest, struct str *word);

/* Decimal digits only, the whole slice, no sign; false when empty, not digits, or above `max`. */
bool str_to_u64(struct str s, unsigned long long max, unsigned long long *out);

#endif
