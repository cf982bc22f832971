/* Three steps, so that no step needs to undo another: split() walks the bytes once and finds the parts,
 * check() holds the parts against their limits, print() writes the canonical form into the caller's room.
 */
#include "path.h"

#include "utf8.h"

/* What split() found: slices of the input, quotes and backslashes still in them. */
struct parts {
    struct str local;
    struct str domain; /* trailing dot dropped */
    struct str route;  /* "@a,@b" */
    bool is_null;
    bool is_quoted;
    bool has_domain; /* an "@" followed the local part */
    bool is_utf8;    /* somewhere between the brackets */
};

/* ---- the cursor: bytes not yet read ---- */

static bool at(struct str rest, char c)
{
    return rest.n > 0 && rest.p[0] == c;
}

static bool take(struct str *rest, char c)
{
    if (!at(*rest, c))
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

/* Takes one UTF8-non-ascii (RFC 6531 3.3), with or without SMTPUTF8: whether it is allowed is asked at the
 * end, so that "needs SMTPUTF8" is said only of what is else a path.
 */
static bool take_utf8(struct str *rest, struct parts *parts)
{
    uint32_t code_point;
    size_t length = utf8_decode(*rest, &code_point);

    if (length < 2 || utf8_is_hidden(code_point))
        return false;
    *rest = str_skip(*rest, length);
    parts->is_utf8 = true;
    return true;
}

/* ---- split: RFC 5321 4.1.2 ---- */

static bool is_atext(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Atom = 1*atext */
static bool take_atom(struct str *rest, struct parts *parts)
{
    size_t before = rest->n;

    while (rest->n > 0)
        if (is_atext(rest->p[0]))
            *rest = str_skip(*rest, 1);
        else if (!take_utf8(rest, parts))
            break;
    return rest->n < before;
}

/* Dot-string = Atom *("." Atom) */
static bool take_dot_string(struct str *rest, struct parts *parts)
{
    do {
        if (!take_atom(rest, parts))
            return false;
    } while (take(rest, '.'));
    return true;
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7F;
}

/* QcontentSMTP = qtextSMTP / quoted-pairSMTP: printable ASCII either way, so no NUL, CR or LF hides behind a
 * "\".
 */
static bool take_qcontent(struct str *rest, struct parts *parts)
{
    if (take(rest, '\\')) {
        if (rest->n == 0 || !is_printable(rest->p[0]))
            return false;
    } else if (!is_printable(rest->p[0])) {
        return take_utf8(rest, parts);
    }
    *rest = str_skip(*rest, 1);
    return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool take_quoted_string(struct str *rest, struct parts *parts)
{
    parts->is_quoted = take(rest, '"');
    while (rest->n > 0) {
        if (take(rest, '"'))
            return true;
        if (!take_qcontent(rest, parts))
            return false;
    }
    return false;
}

static bool take_local(struct str *rest, struct parts *parts)
{
    struct str start = *rest;
    bool ok = at(start, '"') ? take_quoted_string(rest, parts) : take_dot_string(rest, parts);

    parts->local = str_from(start.p, start.n - rest->n);
    return ok;
}

/* RFC 5321 appendix C and RFC 1035 have no dot at the end of a name; the DNS has, and some clients send it.
 */
static struct str without_trailing_dot(struct str domain)
{
    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    return domain;
}

/* The characters that mean something in a path, and so can never be a mere misspelling of a domain. */
static bool is_special(char c)
{
    return !is_printable(c) || strchr(" \"(),:;<>@[\\]", c) != NULL;
}

/* Takes what stands where a Domain should; domain_check() judges it later. */
static bool take_domain_text(struct str *rest, struct parts *parts, struct str *domain)
{
    struct str start = *rest;

    while (rest->n > 0) {
        if ((unsigned char)rest->p[0] < 0x80) {
            if (is_special(rest->p[0]))
                break;
            *rest = str_skip(*rest, 1);
        } else if (!take_utf8(rest, parts)) {
            return false;
        }
    }
    *domain = str_from(start.p, start.n - rest->n);
    return true;
}

/* address-literal = "[" 1*dcontent "]" */
static bool take_literal_text(struct str *rest, struct str *literal)
{
    struct str start = *rest;

    *rest = str_skip(*rest, 1);
    while (rest->n > 0 && rest->p[0] > 0x20 && rest->p[0] < 0x7F && strchr("[\\]", rest->p[0]) == NULL)
        *rest = str_skip(*rest, 1);
    if (!take(rest, ']'))
        return false;
    *literal = str_from(start.p, start.n - rest->n);
    return true;
}

static bool take_domain(struct str *rest, struct parts *parts)
{
    if (at(*rest, '['))
        return take_literal_text(rest, &parts->domain);
    if (!take_domain_text(rest, parts, &parts->domain))
        return false;
    parts->domain = without_trailing_dot(parts->domain);
    return true;
}

/* A-d-l ":" = At-domain *( "," At-domain ) ":". Accepted and dropped: RFC 5321 4.1.1.3, appendix C. */
static bool take_route(struct str *rest, struct parts *parts)
{
    struct str start = *rest;
    struct str hop;

    do {
        if (!take(rest, '@') || !take_domain_text(rest, parts, &hop))
            return false;
    } while (take(rest, ','));
    parts->route = str_from(start.p, start.n - rest->n);
    return take(rest, ':');
}

/* True when `*rest` started with a path, good or bad in its parts; it then starts behind the ">". */
static bool split(struct str *rest, struct parts *parts)
{
    if (!take(rest, '<'))
        return false;
    if (take(rest, '>')) {
        parts->is_null = true;
        return true;
    }
    if (at(*rest, '@') && !take_route(rest, parts))
        return false;
    if (!take_local(rest, parts))
        return false;
    if (take(rest, '>'))
        return true;
    parts->has_domain = take(rest, '@');
    return parts->has_domain && take_domain(rest, parts) && take(rest, '>');
}

/* ---- check ---- */

static enum path_error check_route(struct str route)
{
    struct str hop;
    enum path_error error = PATH_OK;

    while (error == PATH_OK && str_word(&route, &hop))
        error = domain_check(without_trailing_dot(str_skip(hop, 1)), PATH_UTF8);
    return error;
}

static enum path_error check_domain(const struct parts *parts, enum path_kind kind)
{
    if (!parts->has_domain) /* as a recipient it is for the relay check to judge: <postmaster>, allow_unqualified */
        return kind == PATH_FORWARD ? PATH_OK : PATH_NO_DOMAIN;
    if (at(parts->domain, '['))
        return address_literal_is_valid(parts->domain) ? PATH_OK : PATH_BAD_DOMAIN;
    return domain_check(parts->domain, PATH_UTF8);
}

static enum path_error check(const struct parts *parts, enum path_kind kind, unsigned flags)
{
    enum path_error error;

    if (parts->is_null)
        return kind == PATH_FORWARD ? PATH_NULL : PATH_OK;
    if (parts->local.n > PATH_LOCAL_MAX)
        return PATH_LOCAL_TOO_LONG;
    error = check_route(parts->route);
    if (error == PATH_OK)
        error = check_domain(parts, kind);
    if (error == PATH_OK && parts->is_utf8 && (flags & PATH_UTF8) == 0)
        error = PATH_NEEDS_UTF8;
    return error;
}

/* ---- print ---- */

/* Where print() writes. What check() let through fits PATH_ROOM: at most 64 octets of local part twice
 * (printed and unquoted), one "@" and 255 octets of domain; the canonical local part is never longer than the
 * one sent.
 */
struct pen {
    char *p;
    size_t n;
};

static void put(struct pen *pen, char c)
{
    pen->p[pen->n++] = c;
}

static struct str put_str(struct pen *pen, struct str s)
{
    struct str written = str_from(pen->p + pen->n, s.n);

    if (s.n > 0)
        memcpy(pen->p + pen->n, s.p, s.n);
    pen->n += s.n;
    return written;
}

static struct str put_unquoted(struct pen *pen, struct str quoted)
{
    size_t start = pen->n;

    for (size_t i = 1; i + 1 < quoted.n; i++) {
        if (quoted.p[i] == '\\')
            i++;
        put(pen, quoted.p[i]);
    }
    return str_from(pen->p + start, pen->n - start);
}

/* Only DQUOTE and "\" need the backslash (qtextSMTP, RFC 5321 4.1.2). */
static struct str put_quoted(struct pen *pen, struct str unquoted)
{
    size_t start = pen->n;

    put(pen, '"');
    for (size_t i = 0; i < unquoted.n; i++) {
        if (unquoted.p[i] == '"' || unquoted.p[i] == '\\')
            put(pen, '\\');
        put(pen, unquoted.p[i]);
    }
    put(pen, '"');
    return str_from(pen->p + start, pen->n - start);
}

static bool is_dot_string(struct str s)
{
    struct parts ignored;

    return take_dot_string(&s, &ignored) && s.n == 0;
}

/* "Quoted only where it needs to be": RFC 5321 4.1.2 and 4.1.1.3 want every spelling treated as one mailbox,
 * and only the shortest is one that no legacy parser behind us reads in its own way.
 */
static void print_local(struct pen *pen, const struct parts *parts, struct path *path)
{
    if (!parts->is_quoted) {
        path->local = put_str(pen, parts->local);
        path->unquoted = path->local;
        return;
    }
    path->unquoted = put_unquoted(pen, parts->local);
    pen->p += pen->n;
    pen->n = 0;
    if (is_dot_string(path->unquoted))
        path->local = put_str(pen, path->unquoted);
    else
        path->local = put_quoted(pen, path->unquoted);
}

static void print(const struct parts *parts, char room[PATH_ROOM], struct path *path)
{
    struct pen pen = { room, 0 };

    path->text = path->local = path->unquoted = path->domain = str_from(room, 0);
    path->is_null = parts->is_null;
    path->had_route = parts->route.n > 0;
    if (parts->is_null)
        return;
    print_local(&pen, parts, path);
    if (parts->has_domain) {
        put(&pen, '@');
        path->domain = put_str(&pen, parts->domain);
        path->is_literal = at(parts->domain, '[');
    }
    path->text = str_from(pen.p, pen.n);
    /* asked of the text, not of what was sent: a dropped route takes its need of SMTPUTF8 with it */
    path->is_utf8 = !str_is_ascii(path->text);
}

enum path_error path_parse(struct str in, enum path_kind kind, unsigned flags, char room[PATH_ROOM], struct path *path,
                           size_t *used)
{
    struct parts parts = { .is_null = false };
    struct str rest = in;
    enum path_error error;

    *path = (struct path){ .is_null = false };
    error = split(&rest, &parts) ? check(&parts, kind, flags) : PATH_SYNTAX;
    if (error != PATH_OK)
        return error;
    if (used != NULL)
        *used = in.n - rest.n;
    print(&parts, room, path);
    return PATH_OK;
}

bool path_is_postmaster(const struct path *path)
{
    return path != NULL && str_ieq(path->unquoted, STR("postmaster"));
}
