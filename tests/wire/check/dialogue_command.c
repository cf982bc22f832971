/* The client's command lines (RFC 5321 4.1.1). Only CRLF ends one, however long it gets; nothing is copied. */
#include "dialogue_parts.h"

static const char *const names[VERBS] = {
    [VERB_NONE] = "?",          [VERB_EHLO] = "EHLO",         [VERB_HELO] = "HELO",
    [VERB_LHLO] = "LHLO",       [VERB_STARTTLS] = "STARTTLS", [VERB_AUTH] = "AUTH",
    [VERB_XCLIENT] = "XCLIENT", [VERB_XFORWARD] = "XFORWARD", [VERB_MAIL] = "MAIL",
    [VERB_RCPT] = "RCPT",       [VERB_DATA] = "DATA",         [VERB_BDAT] = "BDAT",
    [VERB_RSET] = "RSET",       [VERB_NOOP] = "NOOP",         [VERB_QUIT] = "QUIT",
    [VERB_VRFY] = "VRFY",       [VERB_EXPN] = "EXPN",         [VERB_HELP] = "HELP",
    [VERB_ETRN] = "ETRN",       [VERB_TURN] = "TURN",         [VERB_AUTH_LINE] = "(AUTH)",
};

const char *verb_name(enum verb v)
{
    return names[v];
}

/* Where the verb ends: at a blank, or with the line. No verb is longer than eight letters. */
static size_t verb_length(struct slice line)
{
    size_t n = 0;

    while (n < line.n && n < 16 && line.p[n] != ' ' && line.p[n] != '\t')
        n++;
    return n;
}

static enum verb find_verb(struct slice word)
{
    for (enum verb v = VERB_EHLO; v < VERB_AUTH_LINE; v++)
        if (slice_equal_nocase(word, slice_of(names[v])))
            return v;
    return VERB_NONE;
}

/* A CR in front of what has not come yet may still become a CRLF. */
static bool is_strange(struct slice line, bool is_complete)
{
    for (size_t i = 0; i < line.n; i++) {
        bool may_end = line.p[i] == '\r' && !is_complete && i + 1 == line.n;

        if (line.p[i] == '\0' || line.p[i] == '\n' || (line.p[i] == '\r' && !may_end))
            return true;
    }
    return false;
}

size_t take_command(struct reading *r)
{
    struct slice all = buffer_slice(&r->stream[CLIENT]->octets);
    size_t start = r->at[CLIENT], end = find_crlf(all, start), verb_n;
    struct dialogue *d = r->d;
    struct command c = { .line = slice_part(all, start, end), .is_complete = end < all.n, .transaction = SIZE_MAX };

    verb_n = verb_length(c.line);
    c.verb = r->in_auth ? VERB_AUTH_LINE : find_verb(slice_part(c.line, 0, verb_n));
    c.argument = r->in_auth ? c.line : slice_part(c.line, verb_n + 1, c.line.n);
    c.has_strange_octets = is_strange(c.line, c.is_complete);
    r->at[CLIENT] = c.is_complete ? end + 2 : all.n;
    c.place = place_of(r, CLIENT, start, r->at[CLIENT]);
    d->command = array_grow(d->command, d->command_n, sizeof c);
    d->command[d->command_n] = c;
    return d->command_n++;
}

struct slice command_shown(const struct command *c)
{
    if (c->verb == VERB_AUTH_LINE)
        return SLICE("(a line of AUTH)");
    if (c->verb == VERB_AUTH) /* an initial response may follow the mechanism, RFC 4954 4 */
        return slice_part(c->line, 0, slice_find(c->line, SLICE(" "), 5));
    return c->line;
}
