#include "conversation.h"

#include <stdlib.h>

enum { REPLY_LINES = 100, REPLY_OCTETS = 65536, REPLY_LINE = 512 };

/* ---- what is awaited ---- */

static void await(struct conversation *c, enum awaited_kind kind, char *path)
{
    c->awaited = must_grow(c->awaited, (c->n + 1) * sizeof *c->awaited);
    c->awaited[c->n++] = (struct awaited){ kind, path };
}

const struct awaited *conversation_awaits(const struct conversation *c)
{
    return c->first < c->n ? &c->awaited[c->first] : NULL;
}

bool conversation_awaits_any(const struct conversation *c, enum awaited_kind kind)
{
    for (size_t i = c->first; i < c->n; i++)
        if (c->awaited[i].kind == kind)
            return true;
    return false;
}

static void forget_awaited(struct conversation *c)
{
    for (size_t i = c->first; i < c->n; i++)
        free(c->awaited[i].path);
    c->first = c->n = 0;
}

void paths_add(struct paths *paths, const char *path)
{
    paths->item = must_grow(paths->item, (paths->n + 1) * sizeof *paths->item);
    paths->item[paths->n++] = must_copy(str_of(path));
}

void paths_clear(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->item[i]);
    free(paths->item);
    *paths = (struct paths){ 0 };
}

/* ---- begin and end ---- */

void conversation_begin(struct conversation *c, const struct heard *heard, void *owner, bool greeting)
{
    conversation_free(c);
    c->heard = heard;
    c->owner = owner;
    if (greeting)
        await(c, AWAIT_GREETING, NULL);
}

void conversation_free(struct conversation *c)
{
    forget_awaited(c);
    free(c->awaited);
    bytes_free(&c->commands);
    bytes_free(&c->replies);
    bytes_free(&c->body);
    bytes_free(&c->raw);
    *c = (struct conversation){ 0 };
}

void conversation_secured(struct conversation *c)
{
    bytes_clear(&c->commands);
    bytes_clear(&c->replies);
    c->scanned = 0;
    c->reading = READ_COMMANDS;
}

/* ---- commands ---- */

/* Takes the next whole line, without its CRLF, out of `commands`; false when there is none. It stays valid
 * until more is read.
 */
static bool next_line(struct conversation *c, struct str *line)
{
    struct str in = bytes_all(&c->commands);
    size_t from = c->scanned < in.n ? c->scanned : in.n;
    size_t at = from + str_search(str_skip(in, from), STR("\r\n"));

    if (at >= in.n) {
        c->scanned = in.n > 0 ? in.n - 1 : 0;
        return false;
    }
    *line = str_from(in.p, at);
    bytes_drop(&c->commands, at + 2);
    c->scanned = 0;
    return true;
}

static enum awaited_kind kind_of(struct str line)
{
    static const struct {
        const char *word;
        enum awaited_kind kind;
    } verbs[] = {
        { "EHLO ", AWAIT_HELO },    { "HELO ", AWAIT_HELO },       { "MAIL FROM:", AWAIT_MAIL },
        { "RCPT TO:", AWAIT_RCPT }, { "DATA", AWAIT_DATA },        { "BDAT ", AWAIT_BDAT },
        { "RSET", AWAIT_RSET },     { "QUIT", AWAIT_QUIT },        { "STARTTLS", AWAIT_STARTTLS },
        { "AUTH ", AWAIT_AUTH },    { "XCLIENT ", AWAIT_XCLIENT },
    };

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (str_istarts(line, str_of(verbs[i].word)))
            return verbs[i].kind;
    return AWAIT_OTHER;
}

/* What stands between "<" and the ">" outside of quotes. */
static char *path_of(struct str line)
{
    size_t from = str_find(line, '<');
    bool quoted = false;

    for (size_t i = from + 1; i < line.n; i++) {
        if (line.p[i] == '\\' && quoted)
            i++;
        else if (line.p[i] == '"')
            quoted = !quoted;
        else if (line.p[i] == '>' && !quoted)
            return must_copy(str_from(line.p + from + 1, i - from - 1));
    }
    return must_copy(line);
}

/* "BDAT n [LAST]"; false when it is not that. */
static bool read_bdat(struct conversation *c, struct str line)
{
    struct str rest = str_trim(str_skip(line, 4)), size;
    size_t blank = str_find(rest, ' ');
    unsigned long long n;

    size = str_from(rest.p, blank);
    rest = str_trim(str_skip(rest, blank));
    if (!str_to_u64(size, INT64_MAX, &n) || (rest.n > 0 && !str_ieq(rest, STR("LAST"))))
        return false;
    c->chunk = n;
    c->chunk_is_last = rest.n > 0;
    return true;
}

static void take_command(struct conversation *c, struct str line)
{
    enum awaited_kind kind = kind_of(line);

    if (kind == AWAIT_BDAT && !read_bdat(c, line))
        kind = AWAIT_OTHER;
    else if (kind == AWAIT_BDAT && c->chunk_is_last)
        kind = AWAIT_BDAT_LAST;
    if (kind == AWAIT_BDAT || kind == AWAIT_BDAT_LAST)
        c->reading = READ_CHUNK;
    else if (kind == AWAIT_DATA || kind == AWAIT_STARTTLS || kind == AWAIT_AUTH || kind == AWAIT_XCLIENT)
        c->reading = READ_WAIT;
    else if (kind == AWAIT_QUIT && line.n == 4)
        c->reading = READ_NOTHING;
    await(c, kind, kind == AWAIT_MAIL || kind == AWAIT_RCPT ? path_of(line) : NULL);
    c->heard->line(c->owner, kind, line);
}

static void take_body_line(struct conversation *c, struct str line)
{
    bytes_put(&c->raw, line);
    bytes_put(&c->raw, STR("\r\n"));
    if (str_eq(line, STR("."))) {
        c->reading = READ_COMMANDS;
        await(c, AWAIT_END, NULL);
        c->heard->end(c->owner);
        return;
    }
    bytes_put(&c->body, line.n > 0 && line.p[0] == '.' ? str_skip(line, 1) : line);
    bytes_put(&c->body, STR("\r\n"));
}

static bool take_chunk(struct conversation *c)
{
    struct str in = bytes_all(&c->commands);

    if (in.n > c->chunk)
        in.n = (size_t)c->chunk;
    bytes_put(&c->body, in);
    bytes_drop(&c->commands, in.n);
    c->chunk -= in.n;
    c->scanned = 0;
    if (c->chunk > 0)
        return false;
    c->reading = READ_COMMANDS;
    if (c->chunk_is_last)
        c->heard->end(c->owner);
    return true;
}

/* One command, line or chunk; false when nothing more can be read for now. */
static bool take_one(struct conversation *c)
{
    struct str line;

    if (c->reading == READ_NOTHING)
        bytes_clear(&c->commands);
    if (c->reading == READ_NOTHING || c->reading == READ_WAIT)
        return false;
    if (c->reading == READ_CHUNK)
        return take_chunk(c);
    if (!next_line(c, &line))
        return false;
    if (c->reading == READ_BODY) {
        take_body_line(c, line);
    } else if (c->reading == READ_AUTH_LINE) {
        c->reading = READ_WAIT;
        await(c, AWAIT_AUTH_LINE, NULL);
        c->heard->line(c->owner, AWAIT_AUTH_LINE, line);
    } else {
        take_command(c, line);
    }
    return true;
}

void conversation_commands(struct conversation *c, struct str in)
{
    bytes_put(&c->commands, in);
    while (take_one(c))
        continue;
}

/* ---- replies ---- */

static bool is_reply_line(struct str line)
{
    if (line.n < 3 || line.n > REPLY_LINE - 2 || memchr(line.p, '\0', line.n) != NULL)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (line.p[i] < '0' || line.p[i] > '9')
            return false;
    return line.p[0] >= '2' && line.p[0] <= '5' && (line.n == 3 || line.p[3] == ' ' || line.p[3] == '-');
}

static int code_of(struct str line)
{
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

/* How to read on once the command that blocked is answered. */
static void read_on(struct conversation *c, enum awaited_kind kind, int code)
{
    if (c->reading != READ_WAIT || c->first < c->n)
        return;
    if (kind == AWAIT_DATA && code == 354) {
        c->reading = READ_BODY;
        bytes_clear(&c->raw);
    } else if ((kind == AWAIT_AUTH || kind == AWAIT_AUTH_LINE) && code == 334) {
        c->reading = READ_AUTH_LINE;
    } else if (kind == AWAIT_STARTTLS && code == 220) {
        c->reading = READ_NOTHING;
    } else {
        c->reading = READ_COMMANDS;
    }
}

static void take_reply(struct conversation *c, int code)
{
    struct awaited answered;

    c->code = 0;
    c->lines = c->octets = 0;
    if (c->first == c->n) {
        c->heard->reply(c->owner, NULL, code);
        return;
    }
    answered = c->awaited[c->first++];
    if (c->first == c->n)
        c->first = c->n = 0;
    c->heard->reply(c->owner, &answered, code);
    free(answered.path);
    read_on(c, answered.kind, code);
    conversation_commands(c, STR(""));
}

static const char *take_reply_line(struct conversation *c, struct str line)
{
    if (!is_reply_line(line))
        return "not a reply line";
    if (c->code != 0 && code_of(line) != c->code)
        return "the code changes within a reply";
    c->code = code_of(line);
    c->octets += line.n + 2;
    if (++c->lines > REPLY_LINES || c->octets > REPLY_OCTETS)
        return "reply too long";
    c->heard->reply_line(c->owner, line);
    if (line.n == 3 || line.p[3] == ' ')
        take_reply(c, c->code);
    return NULL;
}

void conversation_replies(struct conversation *c, struct str in)
{
    const char *why = NULL;

    bytes_put(&c->replies, in);
    while (!c->is_broken && why == NULL) {
        struct str all = bytes_all(&c->replies);
        size_t at = str_search(all, STR("\r\n"));

        if (at == all.n) {
            why = all.n > REPLY_LINE ? "reply line too long" : NULL;
            break;
        }
        bytes_drop(&c->replies, at + 2);
        why = take_reply_line(c, str_from(all.p, at));
    }
    if (why == NULL)
        return;
    c->is_broken = true;
    c->heard->broken(c->owner, why);
}
