/* The report for a program. Valid JSON in US-ASCII whatever was on the wire: evidence is quoted like C first, and
 * octets that are no UTF-8 become the characters of the same number. */
#include "report.h"

#include <inttypes.h>

/* The character at the front, and how many octets it has; an octet that begins none stands for itself. */
static uint32_t next_character(struct slice s, size_t *n)
{
    static const struct {
        uint8_t from, to;
        uint32_t bits, least;
        size_t length;
    } rows[] = { { 0xc2, 0xdf, 0x1f, 0x80, 2 }, { 0xe0, 0xef, 0x0f, 0x800, 3 }, { 0xf0, 0xf4, 0x07, 0x10000, 4 } };

    *n = 1;
    for (size_t i = 0; i < 3; i++) {
        if (s.p[0] < rows[i].from || s.p[0] > rows[i].to || s.n < rows[i].length)
            continue;
        uint32_t c = s.p[0] & rows[i].bits;
        for (size_t k = 1; k < rows[i].length; k++) {
            if ((s.p[k] & 0xc0) != 0x80)
                return s.p[0];
            c = c << 6 | (s.p[k] & 0x3f);
        }
        if (c < rows[i].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return s.p[0];
        *n = rows[i].length;
        return c;
    }
    return s.p[0];
}

static void put_character(uint32_t c, FILE *out)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", (int)c);
    else if (c >= ' ' && c <= '~')
        putc((int)c, out);
    else if (c < 0x10000)
        fprintf(out, "\\u%04" PRIx32, c);
    else
        fprintf(out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void put_slice(struct slice s, FILE *out)
{
    size_t n;

    putc('"', out);
    for (; s.n > 0; s = slice_part(s, n, s.n))
        put_character(next_character(s, &n), out);
    putc('"', out);
}

static void put_string(const char *text, FILE *out)
{
    if (text == NULL)
        fputs("null", out);
    else
        put_slice(slice_of(text), out);
}

/* Key and text, with what stands in front of them. */
static void put_member(const char *before, const char *key, const char *text, FILE *out)
{
    fprintf(out, "%s\"%s\": ", before, key);
    put_string(text, out);
}

static void put_capture(const char *before, const char *key, const char *path, const struct capture *c, FILE *out)
{
    if (path == NULL) {
        fprintf(out, "%s\"%s\": null", before, key);
        return;
    }
    fprintf(out, "%s\"%s\": {", before, key);
    put_member("", "file", path, out);
    fprintf(out, ", \"packets\": %zu, \"cut\": %zu, \"fragments\": %zu, \"strange\": %zu}", c->frames, c->cut,
            c->fragments, c->strange);
}

static void put_run(const struct report *r, FILE *out)
{
    const struct trial_files *f = r->files;
    const struct accounting *a = &r->accounting;

    fputs("  \"run\": {\n", out);
    put_capture("    ", "north", f->north, &r->trial->north.capture, out);
    put_capture(",\n    ", "south", f->south, &r->trial->south.capture, out);
    put_capture(",\n    ", "east", f->east, &r->trial->east, out);
    put_member(",\n    ", "log", f->log, out);
    put_member(", ", "keylog", f->keylog, out);
    put_member(", ", "config", f->config, out);
    fprintf(out, ",\n    \"packets\": %zu, \"sessions\": %zu, \"messages\": %zu,\n", r->packets, r->sessions,
            r->messages);
    fprintf(out, "    \"start\": %.6f, \"seconds\": %.6f,\n", (double)r->start / 1e9,
            (double)(r->end - r->start) / 1e9);
    fprintf(out, "    \"violated\": %zu, \"inconclusive\": %zu, \"void\": %s,\n", r->violated, r->inconclusive,
            r->is_void ? "true" : "false");
    fprintf(out,
            "    \"accounting\": {\"accepted_south\": %zu, \"accepted_north\": %zu, \"X1\": %zu, \"X2_X3\": %zu, "
            "\"X11\": %zu, "
            "\"unexplained\": %zu}\n  },\n",
            a->accepted_south, a->accepted_north, a->client_gone, a->answer_lost, a->gateway_killed, a->unexplained);
}

static void put_verdict(const struct verdict *v, FILE *out)
{
    put_member("    {", "id", v->invariant->id, out);
    put_member(", ", "name", v->invariant->name, out);
    fprintf(out, ", \"checked\": %zu, \"violated\": %zu, \"inconclusive\": %zu", v->tally.checked, v->tally.violated,
            v->tally.inconclusive);
    put_member(", ", "doubt", v->tally.doubt, out);
    putc('}', out);
}

static void put_event(const struct report *r, const struct evidence *e, FILE *out)
{
    struct buffer text = { 0 };

    report_octets(e->octets, &text);
    put_member("        {", "wire", wire_name(e->wire), out);
    fprintf(out, ", \"frame\": %u, \"time\": %.9f, \"to_server\": %s, \"text\": ", e->frame, report_seconds(r, e->time),
            e->to_server ? "true" : "false");
    put_slice(buffer_slice(&text), out);
    put_member(", ", "note", e->note, out);
    putc('}', out);
    buffer_free(&text);
}

static void put_session(const struct session *s, FILE *out)
{
    char text[SESSION_TEXT], client[ENDPOINT_TEXT];

    put_member("      ", "session", report_session(s, text), out);
    put_member(", ", "client", s != NULL ? endpoint_print(&s->north->connection->end[CLIENT], client) : NULL, out);
    put_member(", ", "token", s != NULL && s->north->token[0] != '\0' ? s->north->token : NULL, out);
}

static void put_violation(const struct report *r, const struct verdict *v, const struct violation *found, FILE *out)
{
    put_member("    {", "id", v->invariant->id, out);
    put_member(", ", "what", found->what, out);
    fputs(",\n", out);
    put_session(found->session, out);
    fputs(",\n      \"evidence\": [", out);
    for (size_t i = 0; i < found->evidence_n; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        put_event(r, &found->evidence[i], out);
    }
    fputs("]}", out);
}

void report_json(const struct report *r, FILE *out)
{
    bool is_first = true;

    fputs("{\n", out);
    put_run(r, out);
    fputs("  \"invariants\": [\n", out);
    for (size_t i = 0; i < r->verdict_n; i++) {
        put_verdict(&r->verdict[i], out);
        fputs(i + 1 < r->verdict_n ? ",\n" : "\n", out);
    }
    fputs("  ],\n  \"violations\": [", out);
    for (size_t i = 0; i < r->verdict_n; i++) {
        for (size_t k = 0; k < r->verdict[i].tally.violation_n; k++) {
            fputs(is_first ? "\n" : ",\n", out);
            put_violation(r, &r->verdict[i], &r->verdict[i].tally.violation[k], out);
            is_first = false;
        }
    }
    fputs("]\n}\n", out);
}
