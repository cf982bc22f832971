/* The shape of a command line on the south wire (ORACLE P-5): printed by the gateway from parsed values, so exactly
 * one blank where the grammar has one, no other parameters than the known ones, each once (RFC 5321 4.1.2, 1870,
 * 6152, 3030, 6531, 3461, 4954). */
#include <string.h>

#include "relaying.h"
#include "view.h"

enum {
    LINE_MAX = 512,       /* with CRLF, RFC 5321 4.5.3.1.4 */
    LINE_WITH_MAX = 1000, /* with parameters, P-5 */
    AUTH_MAX = 12288      /* RFC 4954 4.5.3 */
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_number(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return s.n >= 1 && s.n <= 20; /* RFC 1870 3 */
}

/* RFC 3461 4: xchar, or "+" and two digits of upper case. */
static bool is_xtext(struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '=')
            return false;
        if (s.p[i] != '+')
            continue;
        if (s.n - i < 3 || s.p[i + 1] == '\0' || s.p[i + 2] == '\0' || strchr(hex, s.p[i + 1]) == NULL ||
            strchr(hex, s.p[i + 2]) == NULL)
            return false;
        i += 2;
    }
    return true;
}

static bool is_base64(struct slice s)
{
    size_t n = s.n;

    if (n == 0 || n % 4 != 0)
        return false;
    while (n > s.n - 2 && s.p[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && s.p[i] != '+' && s.p[i] != '/')
            return false;
    return true;
}

/* A name of letters, digits, hyphens, dots (and underscores, as real names have them), or an address literal. */
static bool is_host(struct slice s)
{
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']') {
        for (size_t i = 1; i + 1 < s.n; i++)
            if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && strchr(".:-", s.p[i]) == NULL)
                return false;
        return true;
    }
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && (s.p[i] == '\0' || strchr("-._", s.p[i]) == NULL))
            return false;
    return s.n > 0 && s.n <= 255 && s.p[0] != '.' && s.p[0] != '-' && s.p[s.n - 1] != '.';
}

/* RFC 3629 4. The length of the character at the front, 0 when it is none. */
static size_t utf8_character(struct slice s)
{
    size_t n = s.p[0] >= 0xf0 ? 4 : s.p[0] >= 0xe0 ? 3 : 2;

    if (s.p[0] < 0xc2 || s.p[0] > 0xf4 || s.n < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
    if ((s.p[0] == 0xe0 && s.p[1] < 0xa0) || (s.p[0] == 0xed && s.p[1] > 0x9f) || (s.p[0] == 0xf0 && s.p[1] < 0x90) ||
        (s.p[0] == 0xf4 && s.p[1] > 0x8f))
        return 0;
    return n;
}

static const char *octets_breach(struct slice line, bool is_utf8)
{
    for (size_t i = 0; i < line.n; i++) {
        size_t n;

        if (line.p[i] >= ' ' && line.p[i] <= '~')
            continue;
        if (line.p[i] < 0x80)
            return "a control character";
        if (!is_utf8)
            return "an octet above 127 without SMTPUTF8";
        n = utf8_character(slice_part(line, i, line.n));
        if (n == 0)
            return "no well-formed UTF-8";
        i += n - 1;
    }
    return NULL;
}

/* ---- parameters ---- */

static bool is_body(struct slice s)
{
    return slice_equal_nocase(s, SLICE("7BIT")) || slice_equal_nocase(s, SLICE("8BITMIME")) ||
           slice_equal_nocase(s, SLICE("BINARYMIME"));
}

static bool is_ret(struct slice s)
{
    return slice_equal_nocase(s, SLICE("FULL")) || slice_equal_nocase(s, SLICE("HDRS"));
}

static bool is_envid(struct slice s)
{
    return s.n > 0 && s.n <= 100 && is_xtext(s); /* RFC 3461 4.4 */
}

static bool is_auth(struct slice s)
{
    return slice_equal(s, SLICE("<>")) || (s.n > 0 && s.n <= 500 && is_xtext(s));
}

static bool is_notify(struct slice s)
{
    static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
    unsigned seen = 0;

    if (slice_equal_nocase(s, SLICE("NEVER")))
        return true;
    for (size_t at = 0, end; at <= s.n; at = end + 1) {
        unsigned bit = 0;

        end = slice_find(s, SLICE(","), at);
        for (unsigned i = 0; i < 3; i++)
            if (slice_equal_nocase(slice_part(s, at, end), slice_of(words[i])))
                bit = 1u << i;
        if (bit == 0 || (seen & bit) != 0)
            return false;
        seen |= bit;
    }
    return true;
}

/* "rfc822;user@example.org" in xtext; with SMTPUTF8 the other type may hold letters of any alphabet (RFC 6533 3), which
 * octets_breach() has looked at. */
static bool is_orcpt(struct slice s)
{
    size_t semicolon = slice_find(s, SLICE(";"), 0);
    struct slice type = slice_part(s, 0, semicolon), address = slice_part(s, semicolon + 1, s.n);

    if (type.n == 0 || address.n == 0 || s.n > 500)
        return false;
    for (size_t i = 0; i < type.n; i++)
        if (!is_letter(type.p[i]) && !is_digit(type.p[i]) && type.p[i] != '-')
            return false;
    return slice_equal_nocase(type, SLICE("utf-8")) || is_xtext(address);
}

static const struct parameter {
    const char *keyword;
    enum verb verb;
    bool (*is_value)(struct slice); /* NULL: it has none */
    size_t adds;                    /* to the longest line, by its own RFC; 0 where P-5's 1000 hold it */
} parameters[] = {
    { "SIZE", VERB_MAIL, is_number, 26 },   { "BODY", VERB_MAIL, is_body, 17 },    { "SMTPUTF8", VERB_MAIL, NULL, 10 },
    { "RET", VERB_MAIL, is_ret, 9 },        { "ENVID", VERB_MAIL, is_envid, 107 }, { "AUTH", VERB_MAIL, is_auth, 506 },
    { "NOTIFY", VERB_RCPT, is_notify, 29 }, { "ORCPT", VERB_RCPT, is_orcpt, 507 },
};

static const struct parameter *parameter_find(enum verb verb, struct slice keyword)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].verb == verb && slice_equal_nocase(keyword, slice_of(parameters[i].keyword)))
            return &parameters[i];
    return NULL;
}

/* Behind the path: each " KEYWORD[=value]", known, once. `*adds` is what they may add to a line of 512. */
static const char *parameters_breach(enum verb verb, struct slice rest, size_t *adds)
{
    unsigned seen = 0;

    while (rest.n > 0) {
        size_t end, equals;
        struct slice word;
        const struct parameter *p;

        if (rest.p[0] != ' ')
            return "no blank before a parameter";
        end = slice_find(rest, SLICE(" "), 1);
        word = slice_part(rest, 1, end);
        equals = slice_find(word, SLICE("="), 0);
        p = parameter_find(verb, slice_part(word, 0, equals));
        if (p == NULL)
            return word.n == 0 ? "a blank too many" : "an unknown parameter";
        if (seen & 1u << (p - parameters))
            return "a parameter twice";
        if ((p->is_value == NULL) != (equals == word.n) ||
            (p->is_value != NULL && !p->is_value(slice_part(word, equals + 1, word.n))))
            return "the value of a parameter is malformed";
        seen |= 1u << (p - parameters);
        *adds += p->adds;
        rest = slice_part(rest, end, rest.n);
    }
    return NULL;
}

/* ---- commands ---- */

/* Would it be a path, if it had a domain? */
static bool is_local_part(const struct address *a)
{
    struct buffer whole = { 0 };
    struct address with_domain;

    if (a->domain.n > 0 || a->ats > 0 || a->path.n == 0)
        return false;
    buffer_printf(&whole, "TO:<%.*s@a.example>", SLICE_ARG(a->path));
    address_read(&with_domain, buffer_slice(&whole));
    buffer_free(&whole);
    return with_domain.is_valid;
}

/* "MAIL FROM:<...>" or "RCPT TO:<...>", and what follows the bracket. */
static const char *path_breach(const struct command *c, struct slice prefix, bool may_lack_domain, size_t *adds)
{
    struct address a;
    size_t front = prefix.n;

    if (!slice_equal_nocase(slice_part(c->line, 0, front), prefix))
        return "no path where it belongs";
    address_read(&a, c->argument);
    if (!a.is_valid && !(may_lack_domain && is_local_part(&a)))
        return "the path is malformed";
    if (c->line.n < front + a.path.n + 1 || c->line.p[front + a.path.n] != '>')
        return "blanks in front of the path";
    if (c->verb == VERB_RCPT && a.path.n == 0)
        return "an empty recipient";
    if (a.path.n > 0 && a.domain.n == 0 && c->verb == VERB_MAIL)
        return "a sender without a domain";
    return parameters_breach(c->verb, slice_part(c->line, front + a.path.n + 1, c->line.n), adds);
}

static const char *hello_breach(const struct command *c, const char *hostname)
{
    struct slice name = slice_part(c->line, 5, c->line.n);

    if (c->line.n < 6 || c->line.p[4] != ' ' || !is_host(name))
        return "EHLO needs one blank and a host name";
    if (hostname[0] != '\0' && !slice_equal_nocase(name, slice_of(hostname)))
        return "the name in EHLO is not the gateway's own"; /* ATTACKS B12 */
    return NULL;
}

static const char *bdat_breach(const struct command *c)
{
    struct slice rest = slice_part(c->line, 5, c->line.n);

    if (rest.n > 5 && slice_equal_nocase(slice_part(rest, rest.n - 5, rest.n), SLICE(" LAST")))
        rest.n -= 5;
    return c->line.n > 5 && c->line.p[4] == ' ' && is_number(rest) ? NULL : "BDAT needs a size, and LAST or nothing";
}

static const char *auth_breach(const struct command *c)
{
    struct slice rest = slice_part(c->line, 5, c->line.n);
    size_t blank = slice_find(rest, SLICE(" "), 0);
    struct slice initial = slice_part(rest, blank + 1, rest.n);

    if (c->line.n < 6 || c->line.p[4] != ' ' || blank == 0 || blank > 20)
        return "AUTH needs a mechanism";
    for (size_t i = 0; i < blank; i++)
        if (!is_letter(rest.p[i]) && !is_digit(rest.p[i]) && strchr("-_", rest.p[i]) == NULL)
            return "AUTH needs a mechanism";
    if (blank < rest.n && !slice_equal(initial, SLICE("=")) && !is_base64(initial))
        return "the initial response is no base64";
    return NULL;
}

static const char *auth_line_breach(const struct command *c)
{
    return c->line.n == 0 || slice_equal(c->line, SLICE("*")) || is_base64(c->line) ? NULL : "no base64";
}

/* "XCLIENT NAME=value ...", values in xtext, [UNAVAILABLE] among them (Postfix XCLIENT_README). */
static const char *xclient_breach(const struct command *c)
{
    for (size_t at = 7, end; at < c->line.n; at = end) {
        struct slice word;
        size_t equals;

        end = slice_find(c->line, SLICE(" "), at + 1);
        word = slice_part(c->line, at + 1, end);
        equals = slice_find(word, SLICE("="), 0);
        if (c->line.p[at] != ' ' || equals == 0 || equals + 1 >= word.n ||
            !is_xtext(slice_part(word, equals + 1, word.n)))
            return "XCLIENT needs NAME=value, one blank between";
    }
    return c->line.n > 8 ? NULL : "XCLIENT without attributes";
}

static const char *shape_breach(const struct command *c, const struct line_rules *rules, size_t *adds)
{
    switch (c->verb) {
    case VERB_EHLO:
    case VERB_HELO: return hello_breach(c, rules->hostname);
    case VERB_MAIL: return path_breach(c, SLICE("MAIL FROM:<"), false, adds);
    case VERB_RCPT: return path_breach(c, SLICE("RCPT TO:<"), rules->may_lack_domain, adds);
    case VERB_BDAT: return bdat_breach(c);
    case VERB_AUTH: return auth_breach(c);
    case VERB_AUTH_LINE: return auth_line_breach(c);
    case VERB_XCLIENT: return xclient_breach(c);
    case VERB_STARTTLS:
    case VERB_DATA:
    case VERB_RSET:
    case VERB_NOOP:
    case VERB_QUIT:
        return slice_equal_nocase(c->line, slice_of(verb_name(c->verb))) ? NULL : "an argument where none belongs";
    default: return "no command of a mail transaction";
    }
}

static size_t longest(const struct command *c, size_t adds)
{
    if (c->verb == VERB_AUTH || c->verb == VERB_AUTH_LINE)
        return AUTH_MAX;
    if (c->verb == VERB_XCLIENT)
        return LINE_WITH_MAX;
    if (adds == 0)
        return LINE_MAX;
    /* The RFCs of the parameters add up to more than P-5's 1000 when AUTH= or ORCPT= is long, and so may a legal
     * line. */
    return LINE_MAX + adds > LINE_WITH_MAX ? LINE_MAX + adds : LINE_WITH_MAX;
}

const char *line_breach(const struct command *c, const struct line_rules *rules)
{
    const char *breach;
    size_t adds = 0;

    if (c->has_strange_octets)
        return "a bare CR, bare LF or NUL";
    breach = octets_breach(c->line, rules->is_utf8 && (c->verb == VERB_MAIL || c->verb == VERB_RCPT));
    if (breach == NULL)
        breach = shape_breach(c, rules, &adds);
    if (breach == NULL && c->line.n + 2 > longest(c, adds))
        breach = "it is too long";
    return breach;
}
