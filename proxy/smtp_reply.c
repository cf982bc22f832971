/* See smtp_reply.h. */
#include "smtp_reply.h"

#include <assert.h>

/* ---- printing ---- */

/* A line being written: `n` counts what would have been written, so that "too long" is judged once, at the
 * end.
 */
struct line_printer {
    char *out;
    size_t size;
    size_t n;
};

static void put_byte(struct line_printer *to, char c)
{
    if (to->n < to->size)
        to->out[to->n] = c;
    to->n++;
}

static void put(struct line_printer *to, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        put_byte(to, s.p[i]);
}

/* F-7: nothing but printable ASCII; what else the text holds (controls, 8-bit) must not reach a terminal or a
 * log.
 */
static void put_clean(struct line_printer *to, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        put_byte(to, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
}

static void put_code(struct line_printer *to, int code)
{
    put_byte(to, (char)('0' + code / 100 % 10));
    put_byte(to, (char)('0' + code / 10 % 10));
    put_byte(to, (char)('0' + code % 10));
}

/* Prints one line as if it were the last; 0 when it does not fit. The text gives way to the bound, the id
 * does not: it is what joins the reply to the log.
 */
static size_t print_line(const struct reply *r, struct str text, struct str id, char *out, size_t size)
{
    struct line_printer to = { out, size, 0 };
    size_t room = REPLY_LINE_MAX - 2 - (id.n > 0 ? id.n + 3 : 0);

    put_code(&to, r->code);
    put_byte(&to, ' '); /* even in front of nothing, RFC 5321 4.2.1 */
    put_clean(&to, r->enhanced);
    if (r->enhanced.n > 0 && text.n > 0)
        put_byte(&to, ' ');
    if (text.n > room - to.n)
        text.n = room - to.n;
    put_clean(&to, text);
    if (id.n > 0) {
        put(&to, STR(" ("));
        put_clean(&to, id);
        put(&to, STR(")"));
    }
    put(&to, STR("\r\n"));
    return to.n <= size ? to.n : 0;
}

static struct str cut_line(struct str *text)
{
    size_t n = str_find(*text, '\n');
    struct str line = str_from(text->p, n);

    *text = str_skip(*text, n < text->n ? n + 1 : n);
    return line;
}

size_t reply_print(const struct reply *r, struct str id, char *out, size_t size)
{
    struct str rest = r->text;
    size_t length = 0, last = 0;

    assert(r->code >= 200 && r->code <= 599 && r->enhanced.n <= 16 && id.n <= 128);
    for (int i = 1; i <= REPLY_LINES_MAX && (i == 1 || rest.n > 0); i++) {
        struct str line = cut_line(&rest);
        bool is_last = rest.n == 0 || i == REPLY_LINES_MAX;
        size_t n = print_line(r, line, is_last ? id : STR(""), out + length, size - length);

        if (n == 0)
            break;
        if (length > 0)
            out[last + 3] = '-';
        last = length;
        length += n;
    }
    return length;
}

/* ---- reading ---- */

enum state { READING, WHOLE, TAKEN, BROKEN };

void reply_reader_init(struct reply_reader *r)
{
    r->code = 0;
    r->bytes = 0;
    r->lines = 0;
    r->line_n = 0;
    r->text_n = 0;
    r->text_is_full = false;
    r->state = READING;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The code at the front of the line without CRLF, 0 when there is none. RFC 5321 4.2: the first digit is 2 to
 * 5. A line is "ddd", "ddd text" or "ddd-text".
 */
static int line_code(struct str line)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !is_digit(line.p[1]) || !is_digit(line.p[2]))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

/* Keeps whole lines only: of an EHLO keyword cut in two ("SIZE 1000" of "SIZE 10000000") the half would be a
 * lie.
 */
static void keep_text(struct reply_reader *r, struct str text)
{
    bool is_first = r->lines == 1;

    if (r->text_is_full || text.n + !is_first > sizeof r->text - r->text_n) {
        r->text_is_full = true;
        return;
    }
    if (!is_first)
        r->text[r->text_n++] = '\n';
    if (text.n > 0)
        memcpy(r->text + r->text_n, text.p, text.n);
    r->text_n += text.n;
}

/* Takes the line in r->line, which ends in CRLF. */
static enum reply_event take_line(struct reply_reader *r)
{
    struct str line = str_from(r->line, r->line_n - 2);
    int code = line_code(line);

    r->line_n = 0;
    r->lines++;
    if (code == 0 || (r->code != 0 && code != r->code) || r->lines > REPLY_LINES_MAX)
        return REPLY_BROKEN;
    r->code = code;
    keep_text(r, line.n > 4 ? str_skip(line, 4) : STR(""));
    return line.n > 3 && line.p[3] == '-' ? REPLY_NONE : REPLY_READY;
}

static enum reply_event take_byte(struct reply_reader *r, char c)
{
    bool after_cr = r->line_n > 0 && r->line[r->line_n - 1] == '\r';

    /* Only CRLF ends a line: a bare CR or LF, like NUL, makes a reply that two readers would read as two. */
    if (c == '\0' || after_cr != (c == '\n') || r->line_n == sizeof r->line || ++r->bytes > REPLY_BYTES_MAX)
        return REPLY_BROKEN;
    r->line[r->line_n++] = c;
    return c == '\n' ? take_line(r) : REPLY_NONE;
}

enum reply_event reply_read(struct reply_reader *r, struct str in, size_t *used)
{
    enum reply_event event = r->state == BROKEN ? REPLY_BROKEN : REPLY_NONE;
    size_t at = 0;

    if (r->state == WHOLE || r->state == TAKEN)
        reply_reader_init(r);
    while (event == REPLY_NONE && at < in.n)
        event = take_byte(r, in.p[at++]);
    if (event == REPLY_READY)
        r->state = WHOLE;
    else if (event == REPLY_BROKEN)
        r->state = BROKEN;
    *used = at;
    return event;
}

/* ---- enhanced codes ---- */

/* The length of 1*3DIGIT at the front of `s`, 0 when there are none or more. */
static size_t number_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n <= 3 ? n : 0;
}

/* RFC 2034 4: class "." subject "." detail, with a blank or nothing behind it; its length, 0 when the line
 * has none.
 */
static size_t status_length(struct str line)
{
    size_t at = 2, n;

    if (line.n < 5 || line.p[1] != '.' || (line.p[0] != '2' && line.p[0] != '4' && line.p[0] != '5'))
        return 0;
    n = number_length(str_skip(line, at));
    at += n;
    if (n == 0 || at == line.n || line.p[at] != '.')
        return 0;
    at++;
    n = number_length(str_skip(line, at));
    at += n;
    return n > 0 && (at == line.n || line.p[at] == ' ') ? at : 0;
}

/* Keeps the first status code of the right class, in r->line, which holds nothing else between two replies. A
 * code of another class than the reply's is a contradiction and is dropped, so that it cannot travel north
 * (P-7).
 */
static void keep_status(struct reply_reader *r, struct str status)
{
    if (r->line_n == 0 && status.n > 0 && status.p[0] - '0' == r->code / 100) {
        memcpy(r->line, status.p, status.n);
        r->line_n = status.n;
    }
}

struct reply reply_take(struct reply_reader *r)
{
    struct str rest = str_from(r->text, r->text_n);
    size_t kept = 0;

    assert(r->state == WHOLE || r->state == TAKEN);
    while (r->state == WHOLE && rest.n > 0) {
        size_t line_n = str_find(rest, '\n');
        struct str line = str_from(rest.p, line_n < rest.n ? line_n + 1 : line_n); /* with its '\n' */
        size_t n = status_length(str_from(rest.p, line_n));

        keep_status(r, str_from(line.p, n));
        rest = str_skip(rest, line.n);
        n += n > 0 && n < line_n; /* and its blank */
        memmove(r->text + kept, line.p + n, line.n - n);
        kept += line.n - n;
    }
    if (r->state == WHOLE)
        r->text_n = kept;
    r->state = TAKEN;
    return (struct reply){
        .code = r->code,
        .enhanced = str_from(r->line, r->line_n),
        .text = str_from(r->text, r->text_n),
    };
}
