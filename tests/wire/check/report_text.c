/* The report for a person: a table, the story of each violation, one closing line. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

enum { QUOTED_MAX = 200, NAME_WIDTH = 60 };

const char *wire_name(enum wire_name w)
{
    static const char *const names[] = { [NORTH] = "north", [SOUTH] = "south", [EAST] = "east", [LOG] = "log" };

    return names[w];
}

bool verdict_is_shown(const struct verdict *v)
{
    return v->tally.checked + v->tally.inconclusive > 0;
}

double report_seconds(const struct report *r, int64_t time)
{
    return time == 0 ? 0 : (double)(time - r->start) / 1e9;
}

static struct slice id_of(const struct session *s)
{
    const struct record *r = s->record;

    for (size_t i = 0; r == NULL && i < s->pair_n; i++)
        r = s->pair[i].record;
    if (r == NULL && s->refusal_n > 0)
        r = s->refusal[0];
    return r != NULL ? record_value(r, "id") : SLICE("");
}

const char *report_session(const struct session *s, char text[SESSION_TEXT])
{
    char client[ENDPOINT_TEXT];
    struct buffer id = { 0 };

    text[0] = '\0';
    if (s == NULL)
        return text;
    report_octets(id_of(s), &id);
    endpoint_print(&s->north->connection->end[CLIENT], client);
    if (id.n > 0)
        snprintf(text, SESSION_TEXT, "%s (id %.*s)", client, (int)(id.n < 100 ? id.n : 100), (const char *)id.p);
    else
        snprintf(text, SESSION_TEXT, "%s", client);
    buffer_free(&id);
    return text;
}

void report_octets(struct slice octets, struct buffer *out)
{
    struct buffer quoted = { 0 };
    size_t n = octets.n;
    bool ends_line = n > 2 && octets.p[0] != '\r' && octets.p[n - 2] == '\r' && octets.p[n - 1] == '\n';
    struct slice shown = slice_part(octets, 0, ends_line ? n - 2 : n);

    buffer_add_quoted(&quoted, slice_part(shown, 0, QUOTED_MAX), QUOTED_MAX);
    buffer_add(out, quoted.p + 1, quoted.n - 2); /* less the quotes around it */
    if (shown.n > QUOTED_MAX)
        buffer_add(out, "...", 3);
    buffer_free(&quoted);
}

/* How much of a name goes on one line: up to the last blank that fits. */
static size_t line_length(const char *name)
{
    size_t n = strlen(name);

    if (n <= NAME_WIDTH)
        return n;
    for (n = NAME_WIDTH; n > 1 && name[n] != ' ';)
        n--;
    return n > 1 ? n : NAME_WIDTH;
}

/* The rest of a name that did not fit, below its first line. */
static void put_rest(const char *name, FILE *out)
{
    while (*name == ' ')
        name++;
    while (*name != '\0') {
        size_t n = line_length(name);
        fprintf(out, "%-5s   %.*s\n", "", (int)n, name);
        for (name += n; *name == ' ';)
            name++;
    }
}

static void put_table(const struct report *r, FILE *out)
{
    fprintf(out, "%-5s %-*s %9s %9s %12s\n", "", NAME_WIDTH, "", "checked", "violated", "inconclusive");
    for (size_t i = 0; i < r->verdict_n; i++) {
        const struct verdict *v = &r->verdict[i];
        size_t n = line_length(v->invariant->name);
        fprintf(out, "%-5s %-*.*s ", v->invariant->id, NAME_WIDTH, (int)n, v->invariant->name);
        if (verdict_is_shown(v))
            fprintf(out, "%9zu %9zu %12zu\n", v->tally.checked, v->tally.violated, v->tally.inconclusive);
        else
            fprintf(out, "%32s\n", "not shown by these captures");
        put_rest(v->invariant->name + n, out);
    }
    putc('\n', out);
}

static void put_doubts(const struct report *r, FILE *out)
{
    size_t told = 0;

    for (size_t i = 0; i < r->verdict_n; i++)
        if (r->verdict[i].tally.doubt != NULL && ++told)
            fprintf(out, "%-5s inconclusive %zu times, first because: %s\n", r->verdict[i].invariant->id,
                    r->verdict[i].tally.inconclusive, r->verdict[i].tally.doubt);
    if (told > 0)
        putc('\n', out);
}

static void put_event(const struct report *r, const struct evidence *e, FILE *out)
{
    struct buffer text = { 0 };

    report_octets(e->octets, &text);
    fprintf(out, "      %-5s %s %-7u %+12.6f s  %s  ", wire_name(e->wire), e->wire == LOG ? "line " : "frame", e->frame,
            report_seconds(r, e->time),
            e->wire == LOG ? "  "
            : e->to_server ? "->"
                           : "<-");
    if (text.n > 0)
        fprintf(out, "\"%.*s\"", (int)text.n, (const char *)text.p);
    if (e->note != NULL)
        fprintf(out, "%s[%s]", text.n > 0 ? "  " : "", e->note);
    putc('\n', out);
    buffer_free(&text);
}

static void put_violations(const struct report *r, const struct verdict *v, FILE *out)
{
    char session[SESSION_TEXT];

    for (size_t i = 0; i < v->tally.violation_n; i++) {
        const struct violation *found = &v->tally.violation[i];
        report_session(found->session, session);
        fprintf(out, "%-5s %s\n", v->invariant->id, found->what);
        if (session[0] != '\0')
            fprintf(out, "      session of %s\n", session);
        for (size_t k = 0; k < found->evidence_n; k++)
            put_event(r, &found->evidence[k], out);
        putc('\n', out);
    }
    if (v->tally.violated > v->tally.violation_n)
        fprintf(out, "%-5s and %zu more\n\n", v->invariant->id, v->tally.violated - v->tally.violation_n);
}

static void put_capture(const struct capture *c, const char *name, FILE *out)
{
    if (c->path == NULL)
        return;
    fprintf(out, "%-6s %s: %zu packets", name, c->path, c->frames);
    if (c->cut + c->fragments + c->strange > 0)
        fprintf(out, " (%zu cut, %zu fragments, %zu strange)", c->cut, c->fragments, c->strange);
    putc('\n', out);
}

static void put_accounting(const struct accounting *a, FILE *out)
{
    fprintf(out,
            "accepted south %zu = 250 north %zu + client gone (X1) %zu + answer lost (X2, X3) %zu + gateway killed "
            "(X11) %zu",
            a->accepted_south, a->accepted_north, a->client_gone, a->answer_lost, a->gateway_killed);
    if (a->unexplained > 0)
        fprintf(out, " + unexplained %zu", a->unexplained);
    fputs("\n", out);
}

/* Why the run proves nothing: the invariant that is most in doubt, or none that could be checked. */
static void put_void(const struct report *r, FILE *out)
{
    if (r->inconclusive == 0) {
        fputs("void: nothing in these captures could be checked\n", out);
        return;
    }
    for (size_t i = 0; i < r->verdict_n; i++)
        if (r->verdict[i].tally.inconclusive == r->most_inconclusive) {
            fprintf(out, "void: %s is in doubt %zu times in %zu sessions, too often for a verdict on this run\n",
                    r->verdict[i].invariant->id, r->most_inconclusive, r->sessions);
            return;
        }
}

void report_text(const struct report *r, FILE *out, bool is_quiet, bool has_accounting)
{
    if (!is_quiet) {
        put_capture(&r->trial->north.capture, "north", out);
        put_capture(&r->trial->south.capture, "south", out);
        put_capture(&r->trial->east, "east", out);
        putc('\n', out);
        put_table(r, out);
        put_doubts(r, out);
    }
    for (size_t i = 0; i < r->verdict_n; i++)
        put_violations(r, &r->verdict[i], out);
    if (has_accounting)
        put_accounting(&r->accounting, out);
    if (r->is_void)
        put_void(r, out);
    fprintf(out, "%zu sessions, %zu messages, %zu violations, %zu inconclusive\n", r->sessions, r->messages,
            r->violated, r->inconclusive);
}
