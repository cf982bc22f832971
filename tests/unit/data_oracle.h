/* What the data decoder must do, said a second time and naively: for test_smtp_data.c and fuzz_smtp_data.c.
 *
 * `data_model` reads a whole stream at once, in steps that each copy the message. `data_is_framed` is ORACLE
 * F-1 and F-2 on the bytes that would go to the back end, the rewrites of lenient parsers included.
 */
#ifndef TESTS_DATA_ORACLE_H
#define TESTS_DATA_ORACLE_H

#include "../../policy/utf8.h"
#include "../../proxy/smtp_data.h"

enum { ORACLE_MAX = 8192 };

struct bytes {
    size_t n;
    char p[ORACLE_MAX];
};

static inline void bytes_add(struct bytes *to, struct str s)
{
    if (s.n > 0 && s.n <= sizeof to->p - to->n) {
        memcpy(to->p + to->n, s.p, s.n);
        to->n += s.n;
    }
}

static inline struct str bytes_str(const struct bytes *b)
{
    return str_from(b->p, b->n);
}

static inline bool starts(struct str s, struct str with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* ---- characters ---- */

enum token { TOKEN_OTHER, TOKEN_DOT, TOKEN_CRLF, TOKEN_LENIENT };

/* The next character and its length: UTF-8 where it is well-formed (RFC 3629), else one octet. */
static inline enum token next_token(struct str s, size_t *n)
{
    uint32_t c;
    size_t utf8_n = utf8_decode(s, &c);

    *n = utf8_n > 0 ? utf8_n : 1;
    if (utf8_n == 0)
        c = (unsigned char)s.p[0];
    if (starts(s, STR("\r\n"))) {
        *n = 2;
        return TOKEN_CRLF;
    }
    if (c == '.')
        return TOKEN_DOT;
    if (c == '\v' || c == '\f' || c == 0x1a || c == 0x85 || (utf8_n == 3 && (c == 0x2028 || c == 0x2029)))
        return TOKEN_LENIENT;
    return TOKEN_OTHER;
}

/* ---- the model ---- */

struct data_result {
    struct bytes body;
    enum data_fault fault;
    size_t fault_offset;
    bool is_ended;
    size_t used; /* of the input, when ended */
};

/* The octets before the end of data: everything up to the first CRLF "." CRLF, seen as if a CRLF came before
 * it all.
 */
static inline struct str model_content(struct str in, struct data_result *out)
{
    for (size_t i = 0; i < in.n; i++) {
        bool is_line_start = i == 0 || (i >= 2 && starts(str_skip(in, i - 2), STR("\r\n")));

        if (is_line_start && starts(str_skip(in, i), STR(".\r\n"))) {
            out->is_ended = true;
            out->used = i + 3;
            return str_from(in.p, i);
        }
    }
    return in;
}

static inline void model_unstuff(struct str in, struct bytes *out)
{
    for (size_t i = 0; i < in.n; i++) {
        bool is_line_start = i == 0 || (i >= 2 && starts(str_skip(in, i - 2), STR("\r\n")));

        if (!is_line_start || in.p[i] != '.')
            bytes_add(out, str_from(in.p + i, 1));
    }
}

/* Bare CR, bare LF and NUL: the first ends the body, or each is mended. */
static inline void model_clean(struct str in, bool normalise, struct data_result *out)
{
    size_t n = 1;

    for (size_t i = 0; i < in.n; i += n) {
        struct str rest = str_skip(in, i);
        enum data_fault fault = rest.p[0] == '\r'   ? DATA_BARE_CR
                                : rest.p[0] == '\n' ? DATA_BARE_LF
                                : rest.p[0] == '\0' ? DATA_NUL
                                                    : DATA_CLEAN;

        n = starts(rest, STR("\r\n")) ? 2 : 1;
        if (n == 2 || fault == DATA_CLEAN) {
            bytes_add(&out->body, str_from(rest.p, n));
        } else if (!normalise) {
            out->fault = fault;
            out->fault_offset = out->body.n;
            return;
        } else if (fault != DATA_NUL) {
            bytes_add(&out->body, STR("\r\n"));
        }
    }
}

/* A dot alone between two line ends, one of them lenient, cuts the body before the octet that completes it.
 */
static inline void model_lone_dots(struct data_result *out, bool ends_in_crlf)
{
    enum token before = TOKEN_CRLF, last = TOKEN_CRLF;
    size_t n;

    for (size_t i = 0; i < out->body.n || (i == out->body.n && ends_in_crlf); i += n) {
        enum token token = TOKEN_CRLF;

        n = 1;
        if (i < out->body.n)
            token = next_token(str_skip(bytes_str(&out->body), i), &n);
        if (last == TOKEN_DOT && (token == TOKEN_LENIENT ? before >= TOKEN_CRLF : before == TOKEN_LENIENT) &&
            token >= TOKEN_CRLF) {
            out->fault = DATA_LONE_DOT;
            out->fault_offset = out->body.n = token == TOKEN_CRLF ? i : i + n - 1;
            return;
        }
        before = last;
        last = token;
    }
}

/* `in` is a whole stream: of DATA, or the joined chunks of BDAT. `out` starts as zeros. */
static inline void data_model(struct str in, bool is_bdat, bool normalise, struct data_result *out)
{
    static struct bytes unstuffed;
    struct str content = is_bdat ? in : model_content(in, out);

    unstuffed.n = 0;
    if (is_bdat)
        bytes_add(&unstuffed, content);
    else
        model_unstuff(content, &unstuffed);
    /* What is still open is not judged: a dot or CR that the next octet would explain. */
    model_clean(bytes_str(&unstuffed), normalise, out);
    model_lone_dots(out, is_bdat && out->fault == DATA_CLEAN);
}

/* ---- ORACLE F-1 and F-2 ---- */

static inline size_t count(struct str s, struct str what)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += starts(str_skip(s, i), what);
    return n;
}

static inline void rewrite_leniently(struct str in, struct bytes *out)
{
    size_t n;

    out->n = 0;
    for (; in.n > 0; in = str_skip(in, n)) {
        enum token token = next_token(in, &n);

        bytes_add(out, token == TOKEN_LENIENT ? STR("\r\n") : str_from(in.p, n));
    }
}

/* `stream` is what the back end would read after its 354, the CRLF of the DATA command in front and the end
 * included.
 */
static inline bool data_is_framed(struct str stream)
{
    static struct bytes rewritten;
    struct str end = STR("\r\n.\r\n");
    size_t lines = count(stream, STR("\r\n"));

    if (count(stream, STR("\r")) != lines || count(stream, STR("\n")) != lines)
        return false; /* F-1 */
    if (count(stream, STR("\0")) != 0)
        return false; /* F-1 */
    if (count(stream, end) != 1 || stream.n < end.n || !starts(str_skip(stream, stream.n - end.n), end))
        return false; /* F-2: one end, at the end */
    if (count(stream, STR("\r\n.")) != count(stream, STR("\r\n..")) + 1)
        return false; /* F-2: every other dot line is stuffed */
    rewrite_leniently(stream, &rewritten);
    return count(bytes_str(&rewritten), end) == 1;
}

#endif
