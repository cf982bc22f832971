/* Names on their way to the wire and back. c-ares gives them as text with escapes (RFC 1035 5.1); facts have a name's
 * octets with dots between its labels.
 */
#include "resolver_parts.h"

enum { LABEL_MAX = 63 /* octets, RFC 1035 2.3.4 */ };

/* RFC 1035 2.3.4, RFC 2181 11: any octet may stand in a label; a NUL ends names on their way to libraries, so it may not. */
static bool is_name(struct str key)
{
    size_t label = 0;

    if (key.n == 0 || key.n > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == '\0' || (key.p[i] == '.' && label == 0))
            return false;
        label = key.p[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0;
}

/* c-ares refuses questions about others, escaped or not (resolver_raw.c). */
static bool is_plain(char c)
{
    char lower = ascii_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '/' ||
           c == '*';
}

enum dns_name dns_name_write(struct str key, char out[DNS_NAME_MAX + 1])
{
    if (!is_name(key))
        return DNS_NAME_BAD;
    memcpy(out, key.p, key.n);
    out[key.n] = '\0';
    for (size_t i = 0; i < key.n; i++)
        if (!is_plain(key.p[i]))
            return DNS_NAME_ODD;
    return DNS_NAME_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The octet at the front of `*name`, which moves on; `*is_escaped` tells whether it was written with a backslash. */
static bool next_octet(const char **name, unsigned char *octet, bool *is_escaped)
{
    const char *p = *name;
    int value;

    *is_escaped = p[0] == '\\';
    if (!*is_escaped) {
        *octet = (unsigned char)p[0];
        *name = p + 1;
        return true;
    }
    if (!is_digit(p[1])) {
        *octet = (unsigned char)p[1];
        *name = p + 2;
        return p[1] != '\0';
    }
    if (!is_digit(p[2]) || !is_digit(p[3]))
        return false;
    value = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
    *octet = (unsigned char)value;
    *name = p + 4;
    return value <= 255;
}

/* `*is_key`: nothing had to be written otherwise. */
static bool read_name(const char *name, char out[DNS_TEXT_MAX], size_t *n, bool *is_key)
{
    unsigned char octet;
    bool is_escaped;

    *n = 0;
    *is_key = true;
    for (size_t octets = 0; *name != '\0'; octets++) {
        if (octets > DNS_NAME_MAX || !next_octet(&name, &octet, &is_escaped))
            return false;
        if (is_escaped && (octet == '.' || octet == '\0')) {
            memcpy(out + *n, octet == '.' ? "\\046" : "\\000", 4);
            *n += 4;
            *is_key = false;
        } else if (octet != '.' || *name != '\0') { /* no trailing dot */
            out[(*n)++] = ascii_lower((char)octet);
        }
    }
    if (*n == 0)
        out[(*n)++] = '.';
    out[*n] = '\0';
    return true;
}

bool dns_name_read(const char *name, char out[DNS_TEXT_MAX], size_t *n)
{
    bool is_key;

    return read_name(name, out, n, &is_key);
}

bool dns_name_to_key(const char *name, char out[DNS_NAME_MAX + 1])
{
    char text[DNS_TEXT_MAX];
    size_t n;
    bool is_key;

    return read_name(name, text, &n, &is_key) && is_key && dns_name_write(str_from(text, n), out) != DNS_NAME_BAD;
}
