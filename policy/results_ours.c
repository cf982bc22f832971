/* Which of the sender's fields would pass for ours. A field is ours in the eyes of the most lenient reader there is behind us:
 * one that takes the authserv-id as RFC 8601 2.2 has it, or one that drops comments, blanks and quotes wherever they are.
 */
#include "path.h"
#include "results.h"

enum { ID_MAX = 256 /* no authserv-id is longer than a domain name: RFC 8601 2.5 */ };

/* Case, a dot at the end and U-labels make no other name (RFC 8616 4). */
static bool is_same_name(struct str a, struct str b)
{
    char room_a[PATH_DOMAIN_MAX + 1], room_b[PATH_DOMAIN_MAX + 1];
    struct str canonical_a = domain_canonical(a, room_a), canonical_b = domain_canonical(b, room_b);

    return str_ieq(a, b) || (canonical_a.n > 0 && str_eq(canonical_a, canonical_b));
}

/* True for what a comment, a blank, a fold or a quote is made of, which stands at the front of `*rest`; it goes. */
static bool drop_filling(struct str *rest)
{
    struct str behind = header_skip_cfws(*rest);

    if (behind.n == rest->n && rest->p[0] != '"' && rest->p[0] != '\\' && rest->p[0] > ' ')
        return false;
    *rest = behind.n < rest->n ? behind : str_skip(*rest, 1);
    return true;
}

/* What stands before the first ";", less everything that fills. False when it is longer than `out`. */
static bool squeeze(struct str value, char out[ID_MAX], size_t *n)
{
    *n = 0;
    while (value.n > 0 && value.p[0] != ';') {
        if (drop_filling(&value))
            continue;
        if (*n == ID_MAX)
            return false;
        out[(*n)++] = value.p[0];
        value = str_skip(value, 1);
    }
    return true;
}

/* "gw.local.example 1" names the version behind the authserv-id (RFC 8601 2.2). */
static struct str without_version(struct str squeezed, struct str authserv_id)
{
    struct str version;

    if (squeezed.n < authserv_id.n)
        return squeezed;
    version = str_skip(squeezed, authserv_id.n);
    while (version.n > 0 && ascii_is_digit(version.p[0]))
        version = str_skip(version, 1);
    return version.n == 0 ? str_from(squeezed.p, authserv_id.n) : squeezed;
}

/* One that cannot be read may be read as ours by somebody. */
static bool has_our_id(struct str value, struct str authserv_id)
{
    char id[ID_MAX];
    size_t n;

    if (!header_authserv_id(value, id, sizeof id, &n) || is_same_name(str_from(id, n), authserv_id))
        return true;
    return squeeze(value, id, &n) && is_same_name(without_version(str_from(id, n), authserv_id), authserv_id);
}

bool results_is_ours(const struct header_field *field, struct str authserv_id)
{
    if (header_is(field, STR("Received-SPF")) || str_istarts(field->name, STR("X-Postern-")))
        return true;
    return header_is(field, STR("Authentication-Results")) && has_our_id(field->value, authserv_id);
}
