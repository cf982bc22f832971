/* See envelope.h. The rules are ORACLE A-8's and RFC 5321 4.1.2's; the product has its own reading of them. */
#include "envelope.h"

#include <string.h>

/* Behind "@a,@b:" (RFC 5321 4.1.1.3, appendix C). */
static struct slice without_route(struct slice path)
{
    if (path.n == 0 || path.p[0] != '@')
        return path;
    size_t colon = slice_find(path, SLICE(":"), 0);
    return slice_part(path, colon < path.n ? colon + 1 : 0, path.n);
}

/* Where the quoted string at the front ends: behind its closing quote; 0 when there is none. */
static size_t quoted_length(struct slice s)
{
    if (s.n == 0 || s.p[0] != '"')
        return 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static bool is_atext(uint8_t c)
{
    if (c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return true;
    return c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

static bool is_dot_string(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_inner_dot = s.p[i] == '.' && i > 0 && i + 1 < s.n && s.p[i - 1] != '.';
        if (!is_inner_dot && !is_atext(s.p[i]))
            return false;
    }
    return s.n > 0;
}

static void unquote(struct slice quoted, struct buffer *out)
{
    for (size_t i = 1; i + 1 < quoted.n; i++) {
        if (quoted.p[i] == '\\')
            i++;
        buffer_add(out, &quoted.p[i], 1);
    }
}

/* Only the quote and the backslash need one. */
static void quote(struct slice text, struct buffer *out)
{
    buffer_add(out, "\"", 1);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            buffer_add(out, "\\", 1);
        buffer_add(out, &text.p[i], 1);
    }
    buffer_add(out, "\"", 1);
}

static void put_quoted_local(struct slice quoted, struct buffer *out)
{
    struct buffer text = { 0 };
    unquote(quoted, &text);
    if (is_dot_string(buffer_slice(&text)))
        buffer_add(out, text.p, text.n);
    else
        quote(buffer_slice(&text), out);
    buffer_free(&text);
}

void envelope_canonical(const struct address *a, struct buffer *out)
{
    struct slice path = without_route(a->path);
    size_t quoted = quoted_length(path);
    bool is_whole = quoted > 0 && (quoted == path.n || path.p[quoted] == '@');
    struct slice rest = path;

    if (is_whole) {
        put_quoted_local(slice_part(path, 0, quoted), out);
        rest = slice_part(path, quoted, path.n);
    }
    if (slice_find(rest, SLICE("@"), 0) < rest.n && rest.p[rest.n - 1] == '.')
        rest.n--;
    buffer_add(out, rest.p, rest.n);
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void envelope_token(struct slice text, char token[33])
{
    size_t run = 0;

    token[0] = '\0';
    for (size_t i = 0; i < text.n; i++) {
        run = is_hex(text.p[i]) ? run + 1 : 0;
        if (run == 32) {
            memcpy(token, text.p + i - 31, 32);
            token[32] = '\0';
            return;
        }
    }
}

bool envelope_parameter(struct slice *rest, struct slice *parameter)
{
    size_t from = 0, to;

    while (from < rest->n && rest->p[from] == ' ')
        from++;
    to = slice_find(*rest, SLICE(" "), from);
    *parameter = slice_part(*rest, from, to);
    *rest = slice_part(*rest, to, rest->n);
    return parameter->n > 0;
}

struct slice parameter_name(struct slice parameter)
{
    return slice_part(parameter, 0, slice_find(parameter, SLICE("="), 0));
}
