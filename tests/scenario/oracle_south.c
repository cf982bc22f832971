/* What the oracle demands of the bytes that go south: commands (P-1, P-2, P-4, P-5, A-8) and bodies (A-2,
 * F-1, F-2).
 */
#include "oracle.h"

#include <ctype.h>
#include <stdlib.h>

enum { LINE_PLAIN = 510, LINE_WITH_PARAMETERS = 1000, HEADER_NAME = 80 };

/* ---- commands ---- */

/* " KEYWORD=value" parameters of MAIL and RCPT, and what the back end must have offered for each. */
static const struct {
    const char *parameter, *keyword;
} parameters[] = {
    { "SIZE", "SIZE" }, { "BODY", "8BITMIME" }, { "SMTPUTF8", "SMTPUTF8" }, { "RET", "DSN" },
    { "ENVID", "DSN" }, { "NOTIFY", "DSN" },    { "ORCPT", "DSN" },         { "AUTH", "AUTH" },
};

static bool is_offered(const struct oracle *o, const char *keyword)
{
    struct bytes word = { 0 };
    bool found;

    bytes_printf(&word, " %s ", keyword);
    bytes_put(&word, str_from("", 1));
    found = strstr(o->s_offers, word.p) != NULL;
    bytes_free(&word);
    return found;
}

static void judge_parameter(struct oracle *o, struct str parameter)
{
    struct str name = str_from(parameter.p, str_find(parameter, '='));

    if (str_eq(parameter, STR("BODY=BINARYMIME"))) {
        if (!is_offered(o, "BINARYMIME"))
            oracle_object(o, "A-8: BODY=BINARYMIME south, not offered");
        return;
    }
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (!str_eq(name, str_of(parameters[i].parameter)))
            continue;
        if (!is_offered(o, parameters[i].keyword))
            oracle_object(o, "A-8: parameter %s south, but %s was not offered", parameters[i].parameter,
                          parameters[i].keyword);
        if (str_eq(name, STR("SMTPUTF8")))
            o->s_utf8 = true;
        return;
    }
    oracle_object(o, "A-8: unknown parameter %.*s south", STR_ARG(name));
}

/* "VERB:<path>[ parameter]..." with single blanks. */
static void judge_envelope(struct oracle *o, struct str line, struct str start)
{
    struct str rest;
    size_t end = line.n;

    if (line.n < start.n || memcmp(line.p, start.p, start.n) != 0) {
        oracle_object(o, "P-5: %.*s", STR_ARG(line));
        return;
    }
    while (end > 0 && line.p[end - 1] != '>')
        end--;
    rest = str_skip(line, end);
    while (rest.n > 0) {
        size_t n;

        if (rest.p[0] != ' ' || rest.n == 1 || rest.p[1] == ' ') {
            oracle_object(o, "P-5: parameters are not separated by one blank: %.*s", STR_ARG(line));
            return;
        }
        rest = str_skip(rest, 1);
        n = str_find(rest, ' ');
        judge_parameter(o, str_from(rest.p, n));
        rest = str_skip(rest, n);
    }
}

/* P-4: what may be said to a back end at all. */
static void judge_verb(struct oracle *o, enum awaited_kind kind, struct str line)
{
    switch (kind) {
    case AWAIT_MAIL:
        o->s_utf8 = false;
        judge_envelope(o, line, STR("MAIL FROM:<"));
        break;
    case AWAIT_RCPT: judge_envelope(o, line, STR("RCPT TO:<")); break;
    case AWAIT_DATA:
    case AWAIT_RSET:
    case AWAIT_QUIT:
    case AWAIT_STARTTLS:
        if (!str_eq(line, STR("DATA")) && !str_eq(line, STR("RSET")) && !str_eq(line, STR("QUIT")) &&
            !str_eq(line, STR("STARTTLS")))
            oracle_object(o, "P-5: %.*s", STR_ARG(line));
        break;
    case AWAIT_OTHER:
        if (!str_eq(line, STR("NOOP")))
            oracle_object(o, "P-4: the back end was told \"%.*s\"", STR_ARG(line));
        break;
    default: break;
    }
}

void oracle_judge_command(struct oracle *o, enum awaited_kind kind, struct str line)
{
    bool with_parameters = kind == AWAIT_MAIL || kind == AWAIT_RCPT || kind == AWAIT_XCLIENT;
    size_t max = with_parameters ? LINE_WITH_PARAMETERS : LINE_PLAIN;

    if (kind == AWAIT_AUTH || kind == AWAIT_AUTH_LINE)
        max = 12288; /* RFC 4954 4 */
    if (line.n > max)
        oracle_object(o, "P-5: a command of %zu octets south", line.n);
    judge_verb(o, kind, line);
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];

        if (c < ' ' || c == 127 || (c > 126 && !o->s_utf8))
            oracle_object(o, "P-5: octet %02x in a command south", c);
    }
}

/* ---- recipients ---- */

static size_t last_at(struct str path)
{
    size_t at = path.n;
    bool quoted = false;

    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\\' && quoted)
            i++;
        else if (path.p[i] == '"')
            quoted = !quoted;
        else if (path.p[i] == '@' && !quoted)
            at = i;
    }
    return at;
}

static bool is_local(const struct oracle *o, struct str domain)
{
    const char *list = o->rules->domains;

    if (domain.n > 0 && domain.p[domain.n - 1] == '.')
        domain.n--;
    while (*list != '\0') {
        size_t n = strcspn(list, " ");

        if (str_ieq(str_from(list, n), domain))
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

void oracle_judge_recipient(struct oracle *o, struct str path)
{
    size_t at = last_at(path);
    struct str local = str_from(path.p, at);

    if (path.n > 0 && path.p[0] == '@')
        oracle_object(o, "P-2: a source route south: %.*s", STR_ARG(path));
    for (size_t i = 0; i < local.n && !o->rules->may_percent; i++)
        if (strchr("@%!", local.p[i]) != NULL)
            oracle_object(o, "P-2: \"%c\" in the local part south: %.*s", local.p[i], STR_ARG(path));
    if (o->rules->quarantine[0] != '\0' && str_eq(path, str_of(o->rules->quarantine)))
        return;
    if (o->rules->may_relay || (at == path.n && str_ieq(path, STR("postmaster"))))
        return;
    if (at == path.n || !is_local(o, str_skip(path, at + 1)))
        oracle_object(o, "P-1: recipient %.*s south is not local", STR_ARG(path));
}

/* ---- bodies ---- */

/* Octets at s.p[i] that some parser takes for a line end; 0: none (F-2). A 0x85 within a UTF-8 character is
 * not one.
 */
static size_t lenient_end(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    unsigned char before = i > 0 ? (unsigned char)s.p[i - 1] : 0;
    struct str rest = str_skip(s, i);

    if (rest.n >= 3 && memcmp(rest.p, "\r\r\n", 3) == 0)
        return 3;
    if (rest.n >= 2 && memcmp(rest.p, "\r\n", 2) == 0)
        return 2;
    if (rest.n >= 2 && memcmp(rest.p, "\xc2\x85", 2) == 0)
        return 2;
    if (c == '\r' || c == '\n' || c == '\0' || c == 0x0b || c == 0x0c || c == 0x1a)
        return 1;
    return c == 0x85 && before < 0x80 ? 1 : 0;
}

/* How often a lenient parser would see an end of data in `raw`. */
static size_t lenient_ends(struct str raw)
{
    bool at_line = true, dot = false;
    size_t ends = 0;

    for (size_t i = 0; i < raw.n;) {
        size_t n = lenient_end(raw, i);

        ends += n > 0 && dot;
        dot = n == 0 && at_line && raw.p[i] == '.';
        at_line = n > 0;
        i += n > 0 ? n : 1;
    }
    return ends;
}

static void judge_framing(struct oracle *o)
{
    struct str raw = bytes_all(&o->s.raw);

    if (raw.n == 0)
        return;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '\0')
            oracle_object(o, "F-1: NUL in the data south");
        else if (raw.p[i] == '\n' && (i == 0 || raw.p[i - 1] != '\r'))
            oracle_object(o, "F-1: bare LF in the data south");
        else if (raw.p[i] == '\r' && (i + 1 == raw.n || raw.p[i + 1] != '\n'))
            oracle_object(o, "F-1: bare CR in the data south");
    }
    if (lenient_ends(raw) != 1)
        oracle_object(o, "F-2: a lenient parser sees %zu ends of data", lenient_ends(raw));
}

/* Length of the header field (with its continuation lines) at the front of `s`. */
static size_t field_length(struct str s)
{
    size_t n = 0;

    do {
        size_t line = str_search(str_skip(s, n), STR("\r\n"));

        n = n + line + 2 < s.n ? n + line + 2 : s.n;
    } while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'));
    return n;
}

/* header fields the proxy may add in front. */
static bool may_add(struct str s)
{
    static const char *const names[] = { "Received:", "Authentication-Results:", "Received-SPF:", "ARC-",
                                         "X-Postern-" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_istarts(s, str_of(names[i])))
            return true;
    return false;
}

/* Results of somebody whose name stands there plainly, and is not ours. */
static bool is_of_another(struct str field, struct str id)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t n = 0;

    field = str_trim(str_skip(field, sizeof "Authentication-Results:" - 1));
    while (n < field.n && strchr(letters, ascii_lower(field.p[n])) != NULL && field.p[n] != '\0')
        n++;
    if (n == 0 || n == field.n || field.p[n] != ';')
        return false;
    n -= field.p[n - 1] == '.';
    return !str_ieq(str_from(field.p, n), id);
}

/* header fields the proxy may leave out where they claim to be its own. Which of them it must is for the scripts to say.
 */
static bool may_leave_out(const struct oracle *o, struct str field)
{
    if (str_istarts(field, STR("Authentication-Results:")))
        return !is_of_another(field, str_of(o->rules->authserv_id));
    return str_istarts(field, STR("Authentication-Results")) || str_istarts(field, STR("Received-SPF")) ||
           str_istarts(field, STR("X-Postern-"));
}

/* F-3: bare CR and bare LF each become CRLF, NUL goes. */
static void normalise(struct str in, struct bytes *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];

        if (c == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
            i++;
        if (c == '\r' || c == '\n')
            bytes_put(out, STR("\r\n"));
        else if (c != '\0')
            bytes_put(out, str_from(&c, 1));
    }
}

static bool starts_with(struct str s, struct str front)
{
    return s.n >= front.n && memcmp(s.p, front.p, front.n) == 0;
}

/* `south` is `in`, less fields that may be left out; a CRLF may close what BDAT left open. Lines that are no field end no header
 * section, but the empty line does.
 */
static bool is_same_text(const struct oracle *o, struct str south, struct str in)
{
    while (in.n > 0 && !str_istarts(in, STR("\r\n"))) {
        struct str field = str_from(in.p, field_length(in));

        if (starts_with(south, field))
            south = str_skip(south, field.n);
        else if (!may_leave_out(o, field))
            break;
        in = str_skip(in, field.n);
    }
    return str_eq(south, in) ||
           (south.n == in.n + 2 && (in.n == 0 || starts_with(south, in)) && memcmp(south.p + in.n, "\r\n", 2) == 0);
}

/* The same, below a block of added header fields. */
static bool is_same_message(const struct oracle *o, struct str south, struct str in)
{
    size_t added = 0;

    while (added < south.n) {
        struct str rest = str_skip(south, added);

        if (is_same_text(o, rest, in))
            return true;
        if (!may_add(rest))
            return false;
        added += field_length(rest);
    }
    return in.n == 0;
}

void oracle_judge_body(struct oracle *o)
{
    struct bytes normal = { 0 };
    struct str north = bytes_all(&o->n.body);

    judge_framing(o);
    if (o->rules->normalises) {
        normalise(north, &normal);
        north = bytes_all(&normal);
    }
    if (!is_same_message(o, bytes_all(&o->s.body), north) && !o->rules->north_stalls)
        oracle_object(o, "A-2: the message south is not the one that came in");
    bytes_free(&normal);
}
