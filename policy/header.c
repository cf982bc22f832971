#include "header.h"

/* ftext of RFC 5322 2.2: printable US-ASCII but the colon. RFC 6532 leaves field names as they were. */
static bool is_name_octet(char c)
{
    return c > ' ' && c <= '~' && c != ':';
}

/* Length of the line at the front with its CRLF, or all of `text` when no CRLF ends it. A bare CR or LF is
 * content.
 */
static size_t line_length(struct str text)
{
    size_t at = 0;

    while (at < text.n) {
        at += str_find(str_skip(text, at), '\n');
        if (at == text.n)
            return text.n;
        at++;
        if (at >= 2 && text.p[at - 2] == '\r')
            return at;
    }
    return text.n;
}

static bool ends_in_crlf(struct str s)
{
    return s.n >= 2 && s.p[s.n - 2] == '\r' && s.p[s.n - 1] == '\n';
}

/* Length of the field at the front: its line and every line after it that begins with a blank. A line of
 * blanks alone is such a line too (obs-FWS, RFC 5322 4.2), not the end of the section.
 */
static size_t field_length(struct str text)
{
    size_t n = line_length(text);

    while (n < text.n && ascii_is_blank(text.p[n]))
        n += line_length(str_skip(text, n));
    return n;
}

enum line_kind {
    LINE_FIELD,
    LINE_OTHER, /* the empty line, or no field for certain */
    LINE_CUT    /* a field name or a CR, and the text ends before one can tell */
};

/* Looks for `name *WSP ":"` at the front (RFC 5322 4.5 allows the blanks); `*colon` is the colon's place. */
static enum line_kind line_kind(struct str text, size_t *name_n, size_t *colon)
{
    size_t at = 0;

    while (at < text.n && is_name_octet(text.p[at]))
        at++;
    *name_n = at;
    if (at > 0)
        while (at < text.n && ascii_is_blank(text.p[at]))
            at++;
    *colon = at;
    if (at == text.n || (text.n == 1 && text.p[0] == '\r'))
        return LINE_CUT;
    return *name_n > 0 && text.p[at] == ':' ? LINE_FIELD : LINE_OTHER;
}

bool header_next(struct str *rest, struct header_field *field)
{
    size_t name_n, colon;

    if (line_kind(*rest, &name_n, &colon) != LINE_FIELD)
        return false;
    field->raw = str_from(rest->p, field_length(*rest));
    field->name = str_from(rest->p, name_n);
    field->value = str_skip(field->raw, colon + 1);
    if (ends_in_crlf(field->value))
        field->value.n -= 2;
    *rest = str_skip(*rest, field->raw.n);
    return true;
}

static bool is_empty_line(struct str text)
{
    return text.n >= 2 && text.p[0] == '\r' && text.p[1] == '\n';
}

bool header_next_anywhere(struct str *rest, struct header_field *field)
{
    while (!header_next(rest, field)) {
        if (rest->n == 0 || is_empty_line(*rest))
            return false;
        *rest = str_skip(*rest, line_length(*rest));
    }
    return true;
}

size_t header_length(struct str text, bool *complete)
{
    size_t at = 0;

    *complete = false;
    while (at < text.n) {
        struct str line = str_skip(text, at);

        *complete = is_empty_line(line);
        line.n = line_length(line);
        if (*complete || !ends_in_crlf(line))
            break;
        at += line.n;
    }
    return at;
}

bool header_is(const struct header_field *field, struct str name)
{
    return str_ieq(field->name, name);
}

/* Length of the folding white space at the front: blanks, and CRLF before a blank. */
static size_t fws_length(struct str s)
{
    size_t at = 0;

    while (at < s.n) {
        if (ascii_is_blank(s.p[at]))
            at++;
        else if (s.n - at > 2 && s.p[at] == '\r' && s.p[at + 1] == '\n' && ascii_is_blank(s.p[at + 2]))
            at += 3;
        else
            break;
    }
    return at;
}

/* Length of the comment at the front, which starts at its "(". A counter, not recursion: nesting costs
 * nothing.
 */
static size_t comment_length(struct str s)
{
    size_t depth = 0;

    for (size_t at = 0; at < s.n; at++) {
        if (s.p[at] == '\\')
            at++;
        else if (s.p[at] == '(')
            depth++;
        else if (s.p[at] == ')' && --depth == 0)
            return at + 1;
    }
    return s.n;
}

struct str header_skip_cfws(struct str value)
{
    if (value.n == 0)
        return value;
    value = str_skip(value, fws_length(value));
    while (value.n > 0 && value.p[0] == '(') {
        value = str_skip(value, comment_length(value));
        value = str_skip(value, fws_length(value));
    }
    return value;
}

/* token of RFC 2045 5.1, with the UTF-8 that RFC 6532 adds. */
static bool is_token_octet(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && memchr("()<>@,;:\\\"/[]?=", c, 15) == NULL;
}

/* Appends one octet to out[*n]; false when it is full. */
static bool put(char *out, size_t size, size_t *n, char c)
{
    if (*n == size)
        return false;
    out[(*n)++] = c;
    return true;
}

static bool read_token(struct str s, char *out, size_t size, size_t *n)
{
    for (size_t at = 0; at < s.n && is_token_octet(s.p[at]); at++)
        if (!put(out, size, n, s.p[at]))
            return false;
    return *n > 0;
}

/* The quoted string at the front, after its opening quote; a fold inside it is unfolded (RFC 5322 3.2.4,
 * 2.2.3).
 */
static bool read_quoted(struct str s, char *out, size_t size, size_t *n)
{
    for (size_t at = 0; at < s.n; at++) {
        if (s.p[at] == '"')
            return *n > 0;
        if (s.n - at >= 2 && s.p[at] == '\r' && s.p[at + 1] == '\n') {
            at++;
            continue;
        }
        if (s.p[at] == '\\' && ++at == s.n)
            return false;
        if (!put(out, size, n, s.p[at]))
            return false;
    }
    return false;
}

bool header_authserv_id(struct str value, char *out, size_t size, size_t *n)
{
    value = header_skip_cfws(value);
    *n = 0;
    if (value.n > 0 && value.p[0] == '"')
        return read_quoted(str_skip(value, 1), out, size, n);
    return read_token(value, out, size, n);
}
