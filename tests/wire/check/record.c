/* Postern's log, read back.
 *
 * A value is undone in two steps: first what logfmt and JSON do to a text (\" and \\, in JSON \u and its like), then
 * what Postern does to octets that are not printable, \xNN. It prints the backslash itself as \x5c, so the way back
 * is unique. What a line's octets were before that is in record.text, by which L-2 is judged. */
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_FILE = 66 };

/* A line on its way to a record. */
struct reading {
    struct records *records;
    struct record *record;
    struct slice rest; /* of the line */
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_key_octet(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool next_is(const struct reading *r, uint8_t c)
{
    return r->rest.n > 0 && r->rest.p[0] == c;
}

static void skip(struct reading *r, size_t n)
{
    r->rest = slice_part(r->rest, n, r->rest.n);
}

static bool take(struct reading *r, uint8_t c)
{
    if (!next_is(r, c))
        return false;
    skip(r, 1);
    return true;
}

static void add_field(struct reading *r, struct slice key, struct slice value)
{
    struct record *record = r->record;

    record->field = array_grow(record->field, record->n, sizeof *record->field);
    record->field[record->n++] = (struct field){ key, value };
}

/* ---- values ---- */

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The number in the first `n` octets, all hexadecimal digits; -1: it is none. */
static long hex_number(struct slice s, size_t n)
{
    long value = 0;

    for (size_t i = 0; i < n; i++) {
        int digit = i < s.n ? hex_value(s.p[i]) : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void add_octet(struct buffer *to, long octet)
{
    uint8_t c = (uint8_t)octet;

    buffer_add(to, &c, 1);
}

static void add_utf8(struct buffer *to, long c)
{
    if (c < 0x80) {
        add_octet(to, c);
        return;
    }
    if (c < 0x800) {
        add_octet(to, 0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            add_octet(to, 0xE0 | c >> 12);
        } else {
            add_octet(to, 0xF0 | c >> 18);
            add_octet(to, 0x80 | (c >> 12 & 0x3F));
        }
        add_octet(to, 0x80 | (c >> 6 & 0x3F));
    }
    add_octet(to, 0x80 | (c & 0x3F));
}

/* JSON's \uXXXX, two of them for what is beyond the first plane (RFC 8259 7). `s` is behind the u; the octets used,
 * 0: none. */
static size_t add_unicode(struct buffer *to, struct slice s)
{
    long high = hex_number(s, 4), low = -1;

    if (high < 0)
        return 0;
    if (high >= 0xD800 && high < 0xDC00 && s.n >= 10 && s.p[4] == '\\' && s.p[5] == 'u')
        low = hex_number(slice_part(s, 6, s.n), 4);
    if (low >= 0xDC00 && low < 0xE000) {
        add_utf8(to, 0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00));
        return 10;
    }
    add_utf8(to, high);
    return 4;
}

/* One escape of logfmt or JSON; `s` is behind the backslash. The octets used, 0: it is none. */
static size_t add_escape(struct buffer *to, struct slice s)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t"; /* letter, its octet */
    size_t used;

    if (s.n == 0)
        return 0;
    if (s.p[0] == 'u') {
        used = add_unicode(to, slice_part(s, 1, s.n));
        return used > 0 ? used + 1 : 0;
    }
    for (const char *l = letters; *l != '\0'; l += 2)
        if (s.p[0] == (uint8_t)l[0]) {
            add_octet(to, l[1]);
            return 1;
        }
    return 0;
}

/* \xNN back to the octet, in place. Returns the length. */
static size_t undo_octets(uint8_t *p, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct slice digits = { p + i + 2, i + 4 <= n ? 2 : 0 };
        long octet = p[i] == '\\' && digits.n == 2 && p[i + 1] == 'x' ? hex_number(digits, 2) : -1;

        p[kept++] = octet >= 0 ? (uint8_t)octet : p[i];
        i += octet >= 0 ? 3 : 0;
    }
    return kept;
}

/* A text between quotes, without them; the opening one has been read. The memory was made large enough for all
 * values at the start, so that it does not move. */
static bool take_quoted(struct reading *r, struct slice *value)
{
    struct buffer *memory = &r->records->memory;
    size_t start = memory->n, n = 0;

    while (n < r->rest.n && r->rest.p[n] != '"' && r->rest.p[n] != '\\')
        n++;
    *value = slice_part(r->rest, 0, n);
    skip(r, n);
    if (take(r, '"')) /* the usual case: nothing is escaped */
        return true;
    buffer_add(memory, value->p, value->n);
    while (r->rest.n > 0 && r->rest.p[0] != '"') {
        size_t used = 1;

        if (r->rest.p[0] != '\\')
            buffer_add(memory, r->rest.p, 1);
        else if ((used = 1 + add_escape(memory, slice_part(r->rest, 1, r->rest.n))) == 1)
            return false;
        skip(r, used);
    }
    memory->n = start + undo_octets(memory->p + start, memory->n - start);
    *value = (struct slice){ memory->p + start, memory->n - start };
    return take(r, '"');
}

/* ---- lines ---- */

/* key=value key="value" ...; NULL, or what is wrong. */
static const char *read_logfmt(struct reading *r)
{
    do {
        struct slice key, value;
        size_t n = 0;

        while (n < r->rest.n && is_key_octet(r->rest.p[n]))
            n++;
        key = slice_part(r->rest, 0, n);
        skip(r, n);
        if (n == 0 || !take(r, '='))
            return "a word that is no key=value";
        if (take(r, '"')) {
            if (!take_quoted(r, &value))
                return "a quoted value that does not end, or an escape that nobody knows";
        } else {
            value = slice_part(r->rest, 0, slice_find(r->rest, SLICE(" "), 0));
            skip(r, value.n);
        }
        add_field(r, key, value);
    } while (take(r, ' '));
    return r->rest.n == 0 ? NULL : "text behind a quoted value";
}

/* A number, true, false or null. */
static struct slice take_bare(struct reading *r)
{
    size_t n = 0;

    while (n < r->rest.n && (is_key_octet(r->rest.p[n]) || r->rest.p[n] == '+'))
        n++;
    skip(r, n);
    return (struct slice){ r->rest.p - n, n };
}

static void skip_blanks(struct reading *r)
{
    while (next_is(r, ' ') || next_is(r, '\t'))
        skip(r, 1);
}

/* "key": value */
static const char *read_member(struct reading *r)
{
    struct slice key, value;

    skip_blanks(r);
    if (!take(r, '"') || !take_quoted(r, &key))
        return "no key where one must be";
    skip_blanks(r);
    if (!take(r, ':'))
        return "a key without a value";
    skip_blanks(r);
    if (take(r, '"')) {
        if (!take_quoted(r, &value))
            return "a text that does not end, or an escape that nobody knows";
    } else {
        value = take_bare(r);
        if (value.n == 0)
            return "a value of another kind than text, number, true, false and null";
    }
    add_field(r, key, value);
    skip_blanks(r);
    return NULL;
}

/* One flat object. */
static const char *read_json(struct reading *r)
{
    const char *broken;

    do {
        broken = read_member(r);
        if (broken != NULL)
            return broken;
    } while (take(r, ','));
    return take(r, '}') && r->rest.n == 0 ? NULL : "no end of the object where it must be";
}

/* What syslog writes in front ("... postern[12]: ", RFC 3164 4.1.3). */
static void skip_syslog_head(struct reading *r)
{
    struct slice tag = SLICE("postern["), end = SLICE("]: ");
    size_t at = slice_find(r->rest, tag, 0);
    size_t equals = slice_find(r->rest, SLICE("="), 0), brace = slice_find(r->rest, SLICE("{"), 0);
    size_t n = slice_find(r->rest, end, at);

    if (at < equals && at < brace && n < equals && n < brace)
        skip(r, n + end.n);
}

static void read_line(struct records *records, struct slice line, size_t number, bool is_whole)
{
    struct record record = { .line = number, .text = line };
    struct reading r = { records, &record, line };

    skip_syslog_head(&r);
    record.broken = take(&r, '{') ? read_json(&r) : read_logfmt(&r);
    if (record.broken == NULL && !is_whole)
        record.broken = "the file ends within the line";
    records->record = array_grow(records->record, records->n, sizeof record);
    records->record[records->n++] = record;
}

/* ---- files ---- */

static void read_file(struct buffer *text, const char *path)
{
    FILE *file = fopen(path, "rb");
    char chunk[65536];
    size_t n;

    if (file == NULL)
        die(NO_FILE, "%s: %s", path, strerror(errno));
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(text, chunk, n);
    if (ferror(file))
        die(NO_FILE, "%s: %s", path, strerror(errno));
    fclose(file);
}

void records_read(struct records *r, const char *path)
{
    struct slice text;
    size_t line = 0;

    *r = (struct records){ .record = NULL };
    read_file(&r->text, path);
    text = buffer_slice(&r->text);
    r->memory = (struct buffer){ fresh(text.n), 0, text.n }; /* no value is longer than what it was written as */
    for (size_t at = 0; at < text.n;) {
        size_t end = slice_find(text, SLICE("\n"), at);

        read_line(r, slice_part(text, at, end), ++line, end < text.n);
        at = end + 1;
    }
}

void records_free(struct records *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->record[i].field);
    free(r->record);
    buffer_free(&r->text);
    buffer_free(&r->memory);
    *r = (struct records){ .record = NULL };
}

struct slice record_value(const struct record *r, const char *key)
{
    struct slice name = slice_of(key);

    for (size_t i = 0; i < r->n; i++)
        if (slice_equal(r->field[i].key, name))
            return r->field[i].value;
    return (struct slice){ NULL, 0 };
}

bool record_is(const struct record *r, const char *event)
{
    return r->broken == NULL && slice_equal(record_value(r, "event"), slice_of(event));
}
