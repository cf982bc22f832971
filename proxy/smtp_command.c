/* From a line to a command: see smtp_command.h. A verb is a row of `verbs`, its parser a small function. */
#include "smtp_command.h"

#include "smtp_param.h"

enum { MECHANISM_MAX = 20 }; /* RFC 4422 3.1 */

const struct command_error_reply command_errors[COMMAND_ERRORS] = {
    [COMMAND_OK] = { 250, "2.0.0", "OK" },
    [COMMAND_UNKNOWN] = { 500, "5.5.2", "Command not recognised" },
    [COMMAND_BAD_BYTES] = { 500, "5.5.2", "Control or non-ASCII characters in command" },
    [COMMAND_SYNTAX] = { 501, "5.5.4", "Syntax error in command or arguments" },
    [COMMAND_BAD_HELO] = { 501, "5.5.4", "Domain name or address literal expected" },
    [COMMAND_BAD_SENDER] = { 501, "5.1.7", "Bad sender address syntax" },
    [COMMAND_BAD_RECIPIENT] = { 501, "5.1.3", "Bad recipient address syntax" },
    [COMMAND_NEEDS_UTF8] = { 553, "5.6.7", "Non-ASCII address without SMTPUTF8" },
    [COMMAND_BAD_PARAMETER] = { 501, "5.5.4", "Bad or repeated parameter" },
    [COMMAND_UNKNOWN_PARAMETER] = { 555, "5.5.4", "Parameter not recognised" },
};

/* ---- arguments ---- */

static enum command_error parse_nothing(struct str argument, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    (void)out;
    return argument.n == 0 ? COMMAND_OK : COMMAND_SYNTAX;
}

static enum command_error parse_optional(struct str argument, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    out->argument = argument;
    return COMMAND_OK;
}

static enum command_error parse_required(struct str argument, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    out->argument = argument;
    return argument.n > 0 ? COMMAND_OK : COMMAND_SYNTAX;
}

/* RFC 5321 4.1.1.1: Domain or address-literal, nothing behind it. A trailing dot, which some senders put behind their full
 * name, is dropped: it says nothing else.
 */
static enum command_error parse_helo(struct str argument, bool smtputf8, struct command *out)
{
    (void)smtputf8;
    if (argument.n == 0)
        return COMMAND_SYNTAX;
    if (argument.n > 1 && argument.p[argument.n - 1] == '.')
        argument.n--;
    if (!domain_is_valid(argument) && !address_literal_is_valid(argument))
        return COMMAND_BAD_HELO;
    out->argument = argument;
    return COMMAND_OK;
}

/* Takes "FROM:" or "TO:" off the front, with the one blank that many clients put behind the colon, against
 * RFC 5321 3.3.
 */
static bool skip_label(struct str *rest, struct str label)
{
    if (!str_istarts(*rest, label))
        return false;
    *rest = str_skip(*rest, label.n);
    if (rest->n > 0 && rest->p[0] == ' ')
        *rest = str_skip(*rest, 1);
    return rest->n > 0 && rest->p[0] == '<';
}

/* The path is read as UTF-8 first: whether it may be is known only when SMTPUTF8 has been seen, behind it. */
static enum command_error parse_mail(struct str rest, bool smtputf8, struct command *out)
{
    enum command_error e;
    size_t n;

    (void)smtputf8;
    if (!skip_label(&rest, STR("FROM:")))
        return COMMAND_SYNTAX;
    if (path_parse(rest, PATH_REVERSE, PATH_UTF8, out->room, &out->mail.path, &n) != PATH_OK)
        return COMMAND_BAD_SENDER;
    e = params_parse(str_skip(rest, n), false, out);
    if (e == COMMAND_OK && out->mail.path.is_utf8 && (out->mail.has & HAS_SMTPUTF8) == 0)
        e = COMMAND_NEEDS_UTF8;
    return e;
}

static enum command_error parse_rcpt(struct str rest, bool smtputf8, struct command *out)
{
    enum command_error e;
    size_t n;

    if (!skip_label(&rest, STR("TO:")))
        return COMMAND_SYNTAX;
    if (path_parse(rest, PATH_FORWARD, PATH_UTF8, out->room, &out->rcpt.path, &n) != PATH_OK)
        return COMMAND_BAD_RECIPIENT;
    e = params_parse(str_skip(rest, n), smtputf8, out);
    if (e == COMMAND_OK && out->rcpt.path.is_utf8 && !smtputf8)
        e = COMMAND_NEEDS_UTF8;
    return e;
}

/* RFC 3030 2: BDAT SP chunk-size [SP "LAST"]. Digits only: what "1e3" or "+5" or " 5" means to two readers
 * are two different places where the next command starts.
 */
static enum command_error parse_bdat(struct str argument, bool smtputf8, struct command *out)
{
    size_t n = str_find(argument, ' ');
    unsigned long long size;

    (void)smtputf8;
    if (!str_to_u64(str_from(argument.p, n), INT64_MAX, &size))
        return COMMAND_SYNTAX;
    out->bdat.size = size;
    out->bdat.last = n < argument.n;
    if (out->bdat.last && !str_ieq(str_skip(argument, n + 1), STR("LAST")))
        return COMMAND_SYNTAX;
    return COMMAND_OK;
}

/* RFC 4422 3.1: 1*20 of upper-case letters, digits, "-" and "_"; clients in the field write lower case too.
 */
static bool mechanism_is_valid(struct str s)
{
    static const struct str marks = STR_INIT("0123456789-_");

    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);

        if ((c < 'a' || c > 'z') && str_find(marks, c) == marks.n)
            return false;
    }
    return s.n > 0 && s.n <= MECHANISM_MAX;
}

/* RFC 4954 4: AUTH SP mechanism [SP initial-response] */
static enum command_error parse_auth(struct str argument, bool smtputf8, struct command *out)
{
    size_t n = str_find(argument, ' ');

    (void)smtputf8;
    out->argument = str_from(argument.p, n);
    if (!mechanism_is_valid(out->argument))
        return COMMAND_SYNTAX;
    if (n == argument.n)
        return COMMAND_OK;
    out->initial = str_skip(argument, n + 1);
    if (str_eq(out->initial, STR("=")))
        out->initial.n = 0;
    else if (!base64_is_valid(out->initial))
        return COMMAND_SYNTAX;
    return COMMAND_OK;
}

/* ---- verbs ---- */

struct verb_row {
    struct str name;
    enum verb verb;
    bool may_be_utf8; /* non-ASCII is the argument's own affair */
    enum command_error (*parse)(struct str argument, bool smtputf8, struct command *out);
};

static const struct verb_row verbs[] = {
    { STR_INIT("RCPT"), VERB_RCPT, true, parse_rcpt }, /* the two most frequent first */
    { STR_INIT("MAIL"), VERB_MAIL, true, parse_mail },
    { STR_INIT("EHLO"), VERB_EHLO, false, parse_helo },
    { STR_INIT("HELO"), VERB_HELO, false, parse_helo },
    { STR_INIT("DATA"), VERB_DATA, false, parse_nothing },
    { STR_INIT("BDAT"), VERB_BDAT, false, parse_bdat },
    { STR_INIT("RSET"), VERB_RSET, false, parse_nothing },
    { STR_INIT("NOOP"), VERB_NOOP, false, parse_optional },
    { STR_INIT("QUIT"), VERB_QUIT, false, parse_nothing },
    { STR_INIT("VRFY"), VERB_VRFY, false, parse_required },
    { STR_INIT("EXPN"), VERB_EXPN, false, parse_required },
    { STR_INIT("HELP"), VERB_HELP, false, parse_optional },
    { STR_INIT("ETRN"), VERB_ETRN, false, parse_required }, /* RFC 1985 */
    { STR_INIT("TURN"), VERB_TURN, false, parse_nothing },  /* RFC 821; RFC 5321 F.1: not to be implemented */
    { STR_INIT("STARTTLS"), VERB_STARTTLS, false, parse_nothing },
    { STR_INIT("AUTH"), VERB_AUTH, false, parse_auth },
};

static const struct verb_row *find_verb(struct str name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (str_ieq(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

/* ---- other protocols ---- */

/* First words of requests (HTTP, SIP, RTSP) that a browser or a confused client can be made to send to port 25, and of a
 * PROXY header from somebody who is not to send one.
 */
static const struct str foreign_words[] = {
    STR_INIT("GET"),      STR_INIT("POST"),     STR_INIT("PUT"),      STR_INIT("HEAD"),      STR_INIT("CONNECT"),
    STR_INIT("OPTIONS"),  STR_INIT("DELETE"),   STR_INIT("TRACE"),    STR_INIT("PATCH"),     STR_INIT("PRI"),
    STR_INIT("INVITE"),   STR_INIT("REGISTER"), STR_INIT("DESCRIBE"), STR_INIT("SUBSCRIBE"), STR_INIT("NOTIFY"),
    STR_INIT("PROPFIND"), STR_INIT("ANNOUNCE"), STR_INIT("PROXY"),
};

/* Header fields of such a request, and the banner of SSH. */
static const struct str foreign_starts[] = {
    STR_INIT("Host:"),
    STR_INIT("User-Agent:"),
    STR_INIT("Accept:"),
    STR_INIT("Accept-Language:"),
    STR_INIT("Accept-Encoding:"),
    STR_INIT("Connection:"),
    STR_INIT("Content-Type:"),
    STR_INIT("Content-Length:"),
    STR_INIT("Cookie:"),
    STR_INIT("Origin:"),
    STR_INIT("Referer:"),
    STR_INIT("Via:"),
    STR_INIT("HTTP/"),
    STR_INIT("SSH-"),
};

static bool is_foreign(struct str line, struct str word)
{
    for (size_t i = 0; i < sizeof foreign_words / sizeof *foreign_words; i++)
        if (str_ieq(word, foreign_words[i]))
            return true;
    for (size_t i = 0; i < sizeof foreign_starts / sizeof *foreign_starts; i++)
        if (str_istarts(line, foreign_starts[i]))
            return true;
    return false;
}

/* ---- lines ---- */

static bool has_bad_bytes(struct str line, bool may_be_utf8)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];

        if (c < ' ' || c == 0x7f || (c > 0x7f && !may_be_utf8))
            return true;
    }
    return false;
}

/* RFC 5321 4.1.1: "receivers SHOULD tolerate trailing white space". */
static struct str without_trailing_blanks(struct str line)
{
    while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    return line;
}

enum command_error command_parse(struct str line, bool smtputf8, struct command *out)
{
    const struct verb_row *row;
    struct str word;

    *out = (struct command){ .verb = VERB_UNKNOWN };
    line = without_trailing_blanks(line);
    word = str_from(line.p, str_find(line, ' '));
    row = find_verb(word);
    if (row == NULL && is_foreign(line, word)) {
        out->verb = VERB_FOREIGN; /* whatever else the line holds, the answer is the same */
        return COMMAND_OK;
    }
    if (row != NULL)
        out->verb = row->verb;
    if (has_bad_bytes(line, row != NULL && row->may_be_utf8))
        return COMMAND_BAD_BYTES;
    if (row == NULL)
        return COMMAND_UNKNOWN;
    return row->parse(str_skip(line, word.n < line.n ? word.n + 1 : word.n), smtputf8, out);
}
