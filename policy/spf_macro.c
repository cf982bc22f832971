#include "spf_macro.h"

enum { NAME_MAX_OCTETS = 253 };

/* One piece of a macro-string (RFC 7208 7.1): a literal octet, or a macro. */
struct token {
    char literal;   /* when `letter` is 0; for "%%" and "%_" what they stand for */
    char letter;    /* of a macro, in lower case */
    bool is_macro;  /* macro-expand: "%{...}", "%%", "%_" or "%-" */
    bool is_escape; /* "%-": a blank as URLs have it */
    bool is_upper;  /* the value is URL-escaped */
    bool is_reversed;
    size_t parts; /* right-hand parts to keep; 0: all */
    struct str delimiters;
};

static bool holds(struct str set, char c)
{
    return str_find(set, c) < set.n;
}

/* ---- reading ---- */

enum { PARTS_ENOUGH = 1024 /* more parts than any value has: larger numbers mean the same */ };

/* transformers = *DIGIT [ "r" ]; a number must not be zero (RFC 7208 7.3). Octets taken; false when it is. */
static bool take_transformers(struct str text, size_t *at, struct token *token)
{
    size_t start = *at;

    for (; *at < text.n && ascii_is_digit(text.p[*at]); ++*at)
        if (token->parts < PARTS_ENOUGH)
            token->parts = token->parts * 10 + (size_t)(text.p[*at] - '0');
    if (*at > start && token->parts == 0)
        return false;
    if (*at < text.n && ascii_lower(text.p[*at]) == 'r') {
        token->is_reversed = true;
        ++*at;
    }
    return true;
}

/* "%{" macro-letter transformers *delimiter "}": its length, or 0. */
static size_t take_macro(struct str text, struct token *token)
{
    size_t at = 2, start;

    if (at >= text.n || !holds(STR("slodiphcrtv"), ascii_lower(text.p[at])))
        return 0;
    token->letter = ascii_lower(text.p[at]);
    token->is_upper = token->letter != text.p[at];
    at++;
    if (!take_transformers(text, &at, token))
        return 0;
    start = at;
    while (at < text.n && holds(STR(".-+,/_="), text.p[at]))
        at++;
    token->delimiters = at > start ? str_from(text.p + start, at - start) : STR(".");
    return at < text.n && text.p[at] == '}' ? at + 1 : 0;
}

/* The token at the front of a text that is not empty: its length, or 0 when it is none. */
static size_t take_token(struct str text, struct token *token)
{
    *token = (struct token){ .literal = text.p[0] };
    if (text.p[0] != '%')
        return 1;
    token->is_macro = true;
    if (text.n < 2)
        return 0;
    switch (text.p[1]) {
    case '%': return 2;
    case '_': token->literal = ' '; return 2;
    case '-': token->is_escape = true; return 2;
    case '{': return take_macro(text, token);
    default: return 0;
    }
}

static bool may_stand(const struct token *token, enum spf_macro_place place)
{
    if (token->letter != 0)
        return place == SPF_IN_EXPLANATION || !holds(STR("crt"), token->letter);
    if (token->is_macro)
        return true;
    return (token->literal > ' ' && token->literal <= '~') || (place == SPF_IN_EXPLANATION && token->literal == ' ');
}

/* Stands for itself wherever it stands: most of any macro-string. */
static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '%';
}

/* Where the literals behind the last macro begin; false when the text is no macro-string. */
static bool read_string(struct str text, enum spf_macro_place place, size_t *tail)
{
    struct token token;
    size_t n;

    *tail = 0;
    for (size_t at = 0; at < text.n; at += n) {
        n = 1;
        if (is_plain(text.p[at]))
            continue;
        n = take_token(str_skip(text, at), &token);
        if (n == 0 || !may_stand(&token, place))
            return false;
        if (token.is_macro)
            *tail = at + n;
    }
    return true;
}

bool spf_macro_string_is_valid(struct str text, enum spf_macro_place place)
{
    size_t tail;

    return read_string(text, place, &tail);
}

/* toplabel: letters, digits and hyphens, none at an end, and not digits alone. */
static bool is_toplabel(struct str label)
{
    bool is_number = true;

    if (label.n == 0 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++) {
        if (!ascii_is_digit(label.p[i]) && !ascii_is_letter(label.p[i]) && label.p[i] != '-')
            return false;
        is_number = is_number && ascii_is_digit(label.p[i]);
    }
    return !is_number;
}

bool spf_domain_spec_is_valid(struct str spec)
{
    struct str end;
    size_t tail, dot;

    if (spec.n == 0 || !read_string(spec, SPF_IN_TERM, &tail))
        return false;
    end = str_skip(spec, tail);
    if (end.n == 0)
        return true;
    if (end.p[end.n - 1] == '.')
        end.n--;
    for (dot = end.n; dot > 0 && end.p[dot - 1] != '.'; dot--)
        ;
    return dot > 0 && is_toplabel(str_skip(end, dot));
}

bool spf_macro_uses(struct str text, char letter)
{
    struct token token;
    size_t n;

    for (text = str_skip(text, str_find(text, '%')); text.n > 0; text = str_skip(text, str_find(text, '%'))) {
        n = take_token(text, &token);
        if (n == 0)
            return false;
        text = str_skip(text, n);
        if (token.letter == letter)
            return true;
    }
    return false;
}

/* ---- expanding ---- */

struct writer {
    char *p;
    size_t n, size;
    bool full;
};

static void put(struct writer *w, char c)
{
    if (w->n < w->size)
        w->p[w->n++] = c;
    else
        w->full = true;
}

/* RFC 3986 2.3: what need not be escaped. */
static bool is_unreserved(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || holds(STR("-._~"), c);
}

static void put_part(struct writer *w, struct str part, bool is_escaped)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];

        if (!is_escaped || is_unreserved(part.p[i])) {
            put(w, part.p[i]);
            continue;
        }
        put(w, '%');
        put(w, hex[c >> 4]);
        put(w, hex[c & 15]);
    }
}

/* The first `parts` parts of a value, or all of it with 0. */
static struct str left_parts(struct str value, struct str delimiters, size_t parts)
{
    for (size_t i = 0; i < value.n; i++)
        if (holds(delimiters, value.p[i]) && parts > 0 && --parts == 0)
            return str_from(value.p, i);
    return value;
}

static struct str right_parts(struct str value, struct str delimiters, size_t parts)
{
    for (size_t i = value.n; i > 0; i--)
        if (holds(delimiters, value.p[i - 1]) && parts > 0 && --parts == 0)
            return str_skip(value, i);
    return value;
}

static void put_forward(struct writer *w, struct str value, const struct token *token)
{
    for (;;) {
        size_t n = 0;

        while (n < value.n && !holds(token->delimiters, value.p[n]))
            n++;
        put_part(w, str_from(value.p, n), token->is_upper);
        if (n == value.n)
            return;
        put(w, '.');
        value = str_skip(value, n + 1);
    }
}

static void put_backward(struct writer *w, struct str value, const struct token *token)
{
    for (;;) {
        size_t start = value.n;

        while (start > 0 && !holds(token->delimiters, value.p[start - 1]))
            start--;
        put_part(w, str_skip(value, start), token->is_upper);
        if (start == 0)
            return;
        put(w, '.');
        value.n = start - 1;
    }
}

/* RFC 7208 7.3: split, reverse, keep the right-hand parts, join with dots. The right-hand parts of the reversed value
 * are the left-hand ones of the value.
 */
static void put_macro(struct writer *w, struct str value, const struct token *token)
{
    if (token->is_reversed)
        put_backward(w, left_parts(value, token->delimiters, token->parts), token);
    else
        put_forward(w, right_parts(value, token->delimiters, token->parts), token);
}

static void put_token(struct writer *w, const struct token *token, const struct spf_macros *macros)
{
    if (token->letter != 0)
        put_macro(w, macros->value[token->letter - 'a'], token);
    else if (token->is_escape)
        put_part(w, STR("%20"), false);
    else
        put(w, token->literal);
}

struct str spf_macro_expand(struct str text, const struct spf_macros *macros, char *out, size_t size)
{
    struct writer w = { .p = out, .size = size };
    struct token token;
    size_t n;

    for (; text.n > 0 && !w.full; text = str_skip(text, n)) {
        n = 1;
        if (is_plain(text.p[0])) {
            put(&w, text.p[0]);
            continue;
        }
        n = take_token(text, &token);
        if (n == 0)
            return str_from(NULL, 0);
        put_token(&w, &token, macros);
    }
    return w.full ? str_from(NULL, 0) : str_from(out, w.n);
}

struct str spf_target_name(struct str spec, const struct spf_macros *macros, char out[PATH_DOMAIN_MAX + 1])
{
    char room[SPF_EXPANSION_MAX];
    struct str name = spf_macro_expand(spec, macros, room, sizeof room);

    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    while (name.n > NAME_MAX_OCTETS) {
        size_t dot = str_find(name, '.');

        if (dot == name.n)
            return str_from(NULL, 0);
        name = str_skip(name, dot + 1);
    }
    return name.n > 0 ? domain_canonical(name, out) : str_from(NULL, 0);
}
