/* The paths of MAIL and RCPT by the oracle's own rule (ORACLE P-1, P-2, RFC 5321 4.1.2).
 *
 * Two readings of one path: the parts are found as the most careless mail server would find them (the last @ that is
 * not quoted cuts the domain off), and is_valid says whether the strict grammar has such a path at all. */
#include "dialogue.h"

#include <arpa/inet.h>
#include <string.h>

/* What has not been read yet. */
struct rest {
    const uint8_t *p;
    size_t n;
};

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool next_is(const struct rest *r, uint8_t c)
{
    return r->n > 0 && r->p[0] == c;
}

static void skip(struct rest *r, size_t n)
{
    r->p += n;
    r->n -= n;
}

static bool take(struct rest *r, uint8_t c)
{
    if (!next_is(r, c))
        return false;
    skip(r, 1);
    return true;
}

static bool is_continuation(const struct rest *r, size_t at)
{
    return at < r->n && (r->p[at] & 0xC0) == 0x80;
}

/* The length of a well-formed UTF-8 character that is not US-ASCII (RFC 3629 4, RFC 6531 3.3); 0: none is here. */
static size_t utf8_length(const struct rest *r)
{
    uint8_t first = r->n > 0 ? r->p[0] : 0, second = r->n > 1 ? r->p[1] : 0;
    size_t n = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;

    if (first < 0xC2 || first > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (!is_continuation(r, i))
            return 0;
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
        return 0;
    return n;
}

static bool take_utf8(struct rest *r)
{
    size_t n = utf8_length(r);

    skip(r, n);
    return n > 0;
}

static bool take_atext(struct rest *r)
{
    if (r->n == 0)
        return false;
    if (!is_letter_or_digit(r->p[0]) && (r->p[0] == '\0' || strchr("!#$%&'*+-/=?^_`{|}~", r->p[0]) == NULL))
        return take_utf8(r);
    skip(r, 1);
    return true;
}

/* Dot-string = Atom *("." Atom) */
static bool take_dot_string(struct rest *r)
{
    do {
        if (!take_atext(r))
            return false;
        while (take_atext(r))
            ;
    } while (take(r, '.'));
    return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool take_quoted_string(struct rest *r)
{
    if (!take(r, '"'))
        return false;
    while (r->n > 0 && r->p[0] != '"') {
        bool has_backslash = take(r, '\\');

        if (r->n == 0 || (!has_backslash && r->p[0] >= 0x80 && !utf8_length(r)))
            return false;
        if (!has_backslash && r->p[0] >= 0x80)
            take_utf8(r);
        else if (r->p[0] >= ' ' && r->p[0] <= '~')
            skip(r, 1);
        else
            return false;
    }
    return take(r, '"');
}

/* sub-domain = Let-dig [Ldh-str], or a U-label (RFC 6531 3.3) */
static bool take_label(struct rest *r)
{
    bool ends_in_hyphen = true;
    size_t n = r->n;

    while (r->n > 0) {
        bool is_hyphen = r->p[0] == '-';

        if (is_hyphen ? r->n == n : !is_letter_or_digit(r->p[0]) && utf8_length(r) == 0)
            break;
        ends_in_hyphen = is_hyphen;
        if (is_hyphen || is_letter_or_digit(r->p[0]))
            skip(r, 1);
        else
            take_utf8(r);
    }
    return r->n < n && !ends_in_hyphen;
}

static bool take_domain(struct rest *r)
{
    do {
        if (!take_label(r))
            return false;
    } while (take(r, '.'));
    return true;
}

static bool is_ip(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN + 1] = { 0 };
    unsigned char address[16];

    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    return inet_pton(family, copy, address) == 1;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent; IPv6 is the one tag that was ever registered. */
static bool is_literal(struct slice inside)
{
    size_t colon = slice_find(inside, SLICE(":"), 0);
    struct slice tag = slice_part(inside, 0, colon), content = slice_part(inside, colon + 1, inside.n);
    struct rest rest = { tag.p, tag.n };

    if (colon == inside.n)
        return is_ip(AF_INET, inside);
    if (slice_equal_nocase(tag, SLICE("IPv6")))
        return is_ip(AF_INET6, content);
    for (size_t i = 0; i < content.n; i++)
        if (content.p[i] < '!' || content.p[i] > '~' || strchr("[\\]", content.p[i]) != NULL)
            return false;
    return content.n > 0 && take_label(&rest) && rest.n == 0;
}

static bool take_literal(struct rest *r)
{
    struct slice all = { r->p, r->n };
    size_t end = slice_find(all, SLICE("]"), 0);

    if (!next_is(r, '[') || end == all.n || !is_literal(slice_part(all, 1, end)))
        return false;
    skip(r, end + 1);
    return true;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static bool is_mailbox(struct slice mailbox)
{
    struct rest r = { mailbox.p, mailbox.n };

    if (!(next_is(&r, '"') ? take_quoted_string(&r) : take_dot_string(&r)) || !take(&r, '@'))
        return false;
    return (next_is(&r, '[') ? take_literal(&r) : take_domain(&r)) && r.n == 0;
}

/* A-d-l = At-domain *( "," At-domain ) */
static bool is_route(struct slice route)
{
    struct rest r = { route.p, route.n };

    do {
        if (!take(&r, '@') || !take_domain(&r))
            return false;
    } while (take(&r, ','));
    return r.n == 0;
}

/* ---- where the parts are ---- */

/* Calls of this walk over octets outside of quotes: is octet `*at` one? Goes behind it. A quote that never ends
 * quotes nothing: a server that is blind for it sees what is behind. */
static bool step(struct slice s, size_t *at, bool *is_quoted)
{
    bool was_quoted = *is_quoted;
    uint8_t c = s.p[*at];

    if (c == '"')
        *is_quoted = !was_quoted;
    *at += was_quoted && c == '\\' ? 2 : 1;
    return !was_quoted && c != '"';
}

static bool quotes_end(struct slice s)
{
    bool is_quoted = false;

    for (size_t at = 0; at < s.n;)
        step(s, &at, &is_quoted);
    return !is_quoted;
}

/* The first `c` outside of quotes; s.n for none. */
static size_t find_unquoted(struct slice s, uint8_t c)
{
    bool is_quoted = false;

    for (size_t at = 0; at < s.n;) {
        size_t here = at;

        if (step(s, &at, &is_quoted) && s.p[here] == c)
            return here;
    }
    return s.n;
}

/* The last @ that is not quoted, and how many there are. */
static size_t find_last_at(struct slice s, unsigned *count)
{
    bool is_quoted = false, minds_quotes = quotes_end(s);
    size_t last = s.n;

    *count = 0;
    for (size_t at = 0; at < s.n;) {
        size_t here = at;

        if ((step(s, &at, &is_quoted) || !minds_quotes) && s.p[here] == '@') {
            last = here;
            ++*count;
        }
        if (!minds_quotes)
            at = here + 1;
    }
    return last;
}

static struct slice trim(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_part(s, 1, s.n);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* The path and what is behind it: up to the bracket that closes it, or up to a blank when none opened it. */
static bool cut_path(struct slice text, struct address *a)
{
    bool has_bracket = text.n > 0 && text.p[0] == '<';
    struct slice inside = slice_part(text, has_bracket, text.n);
    size_t end = find_unquoted(inside, has_bracket ? '>' : ' ');

    if (has_bracket && end == inside.n)
        end = slice_find(inside, SLICE(">"), 0);
    a->path = slice_part(inside, 0, end);
    a->parameters = trim(slice_part(inside, end + has_bracket, inside.n));
    return has_bracket && end < inside.n && (end + 1 == inside.n || inside.p[end + 1] == ' ');
}

static bool is_postmaster(struct slice mailbox)
{
    return slice_equal_nocase(mailbox, SLICE("postmaster"));
}

/* Cuts the mailbox into local part and domain. */
static void cut_mailbox(struct slice mailbox, struct address *a)
{
    size_t at = find_last_at(mailbox, &a->ats);

    a->local = slice_part(mailbox, 0, at);
    a->domain = slice_part(mailbox, at + 1, mailbox.n);
    if (a->domain.n > 0 && a->domain.p[a->domain.n - 1] == '.')
        a->domain.n--;
    a->has_quotes = slice_find(a->local, SLICE("\""), 0) < a->local.n;
}

bool address_read(struct address *a, struct slice argument)
{
    bool is_sender = slice_equal_nocase(slice_part(argument, 0, 5), SLICE("FROM:"));
    bool is_recipient = slice_equal_nocase(slice_part(argument, 0, 3), SLICE("TO:"));
    struct slice mailbox, route = { NULL, 0 };
    bool has_brackets;
    size_t colon;

    *a = (struct address){ .path = { NULL, 0 } };
    if (!is_sender && !is_recipient)
        return false;
    has_brackets = cut_path(trim(slice_part(argument, is_sender ? 5 : 3, argument.n)), a);
    mailbox = a->path;
    colon = find_unquoted(mailbox, ':');
    a->has_route = mailbox.n > 0 && mailbox.p[0] == '@' && colon < mailbox.n;
    if (a->has_route) {
        route = slice_part(mailbox, 0, colon);
        mailbox = slice_part(mailbox, colon + 1, mailbox.n);
    }
    cut_mailbox(mailbox, a);
    a->is_valid = has_brackets && (a->has_route ? is_route(route) && is_mailbox(mailbox)
                                                : is_mailbox(mailbox) || (is_sender && mailbox.n == 0) ||
                                                      (is_recipient && is_postmaster(mailbox)));
    return a->path.n > 0 || has_brackets;
}
