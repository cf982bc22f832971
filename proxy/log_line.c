#include "log_line.h"

/* Kept free for the end of the line: ,"truncated":true}\n */
enum { END_ROOM = 24 };

static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '"' && c != '=' && c != '\\';
}

/* logfmt writes a value without quotes where nothing in it could end the value or be read as another key. */
static bool needs_quotes(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (!is_plain(value.p[i]))
            return true;
    return value.n == 0;
}

/* The printed form of one octet; its length. */
static size_t escape_octet(char out[8], char c)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char octet = (unsigned char)c;
    size_t n = 0;

    if (c == '"')
        out[n++] = '\\';
    if (c >= ' ' && c <= '~' && c != '\\') {
        out[n++] = c;
        return n;
    }
    memcpy(out, "\\\\x", 3);
    out[3] = hex[octet >> 4];
    out[4] = hex[octet & 15];
    return 5;
}

/* Escapes into `out` until it is full; a value that does not fit ends in "...". */
static size_t escape(char *out, size_t max, struct str value)
{
    size_t n = 0;

    for (size_t i = 0; i < value.n; i++) {
        char octet[8];
        size_t tail = i + 1 < value.n ? 3 : 0, len;

        if ((value.p[i] == ' ' || is_plain(value.p[i])) && n + 1 + tail <= max) {
            out[n++] = value.p[i];
            continue;
        }
        len = escape_octet(octet, value.p[i]);
        if (n + len + tail > max) {
            memcpy(out + n, "...", 3);
            return n + 3;
        }
        memcpy(out + n, octet, len);
        n += len;
    }
    return n;
}

static void append(struct log_line *line, const char *text, size_t n)
{
    memcpy(line->text + line->n, text, n);
    line->n += n;
}

/* Appends key and printed value; all of it or nothing. */
static void append_field(struct log_line *line, const char *key, const char *value, size_t n, bool quoted)
{
    size_t key_n = strlen(key);
    bool json = line->format == LOG_JSON;

    if (line->n + key_n + n + 6 > LOG_LINE_MAX - END_ROOM) {
        line->cut = true;
        return;
    }
    if (json)
        append(line, line->n == 1 ? "\"" : ",\"", line->n == 1 ? 1 : 2);
    else if (line->n > 0)
        append(line, " ", 1);
    append(line, key, key_n);
    append(line, json ? "\":" : "=", json ? 2 : 1);
    if (quoted)
        append(line, "\"", 1);
    append(line, value, n);
    if (quoted)
        append(line, "\"", 1);
}

void log_line_begin(struct log_line *line, enum log_format format)
{
    line->format = format;
    line->n = 0;
    line->cut = false;
    if (format == LOG_JSON)
        append(line, "{", 1);
}

void log_line_str(struct log_line *line, const char *key, struct str value)
{
    char text[LOG_VALUE_MAX];
    bool quoted = line->format == LOG_JSON || needs_quotes(value);

    if (!quoted && value.n <= sizeof text) /* the usual case: nothing in it is escaped */
        append_field(line, key, value.p, value.n, false);
    else
        append_field(line, key, text, escape(text, sizeof text, value), quoted);
}

void log_line_num(struct log_line *line, const char *key, int64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    append_field(line, key, at, (size_t)(text + sizeof text - at), false);
}

struct str log_line_end(struct log_line *line)
{
    bool json = line->format == LOG_JSON;

    if (line->cut && json)
        append(line, ",\"truncated\":true", 17);
    else if (line->cut)
        append(line, " truncated=true", 15);
    if (json)
        append(line, "}", 1);
    append(line, "\n", 1);
    return str_from(line->text, line->n);
}
