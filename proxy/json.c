#include "json.h"

#include <inttypes.h>

#include "../policy/utf8.h"

static void put_escape(FILE *out, uint32_t c)
{
    fprintf(out, "\\u%04x", (unsigned)c);
}

/* DEL and C1 controls are escaped, too: somebody will look at this in a terminal. */
static void put_string(FILE *out, struct str s)
{
    uint32_t c;

    putc('"', out);
    while (s.n > 0) {
        size_t n = utf8_decode(s, &c);

        if (n == 0)
            put_escape(out, 0xfffd);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            put_escape(out, c);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", (int)c);
        else
            fwrite(s.p, 1, n, out);
        s = str_skip(s, n > 0 ? n : 1);
    }
    putc('"', out);
}

static void put_key(struct json *j, const char *key)
{
    if (j->needs_comma)
        fputs(", ", j->out);
    j->needs_comma = true;
    if (key == NULL)
        return;
    put_string(j->out, str_of(key));
    fputs(": ", j->out);
}

void json_begin(struct json *j, const char *key, char bracket)
{
    put_key(j, key);
    putc(bracket, j->out);
    j->needs_comma = false;
}

void json_end(struct json *j, char bracket)
{
    putc(bracket, j->out);
    j->needs_comma = true;
}

void json_str(struct json *j, const char *key, struct str s)
{
    put_key(j, key);
    put_string(j->out, s);
}

void json_text(struct json *j, const char *key, const char *text)
{
    json_str(j, key, str_of(text));
}

void json_num(struct json *j, const char *key, uint64_t n)
{
    put_key(j, key);
    fprintf(j->out, "%" PRIu64, n);
}
