/* The report for a CI server: a test case for each invariant; what the captures do not show is skipped. */
#include "report.h"

/* Text is ours, or was quoted like C; an octet that is neither becomes a question mark (XML 1.0 2.2 has no room for
 * controls). */
static void put_escaped(struct slice s, FILE *out)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        default: putc((s.p[i] >= ' ' && s.p[i] <= '~') || s.p[i] == '\n' ? s.p[i] : '?', out); break;
        }
    }
}

static void put_text(const char *text, FILE *out)
{
    put_escaped(slice_of(text), out);
}

static void put_event(const struct report *r, const struct evidence *e, FILE *out)
{
    struct buffer text = { 0 };

    report_octets(e->octets, &text);
    fprintf(out, "  %s %u %.6f %s ", wire_name(e->wire), e->frame, report_seconds(r, e->time),
            e->to_server ? "to server:" : "from server:");
    put_escaped(buffer_slice(&text), out);
    if (e->note != NULL) {
        fputs(" [", out);
        put_text(e->note, out);
        putc(']', out);
    }
    putc('\n', out);
    buffer_free(&text);
}

static void put_failure(const struct report *r, const struct tally *t, FILE *out)
{
    char session[SESSION_TEXT];

    fprintf(out, "    <failure message=\"violated %zu times\">", t->violated);
    for (size_t i = 0; i < t->violation_n; i++) {
        put_text(t->violation[i].what, out);
        fputs(" ", out);
        put_text(report_session(t->violation[i].session, session), out);
        putc('\n', out);
        for (size_t k = 0; k < t->violation[i].evidence_n; k++)
            put_event(r, &t->violation[i].evidence[k], out);
    }
    fputs("</failure>\n", out);
}

static void put_case(const struct report *r, const struct verdict *v, FILE *out)
{
    fprintf(out, "  <testcase classname=\"wirecheck.%.1s\" name=\"%s ", v->invariant->id, v->invariant->id);
    put_text(v->invariant->name, out);
    fputs("\">\n", out);
    if (v->tally.violated > 0)
        put_failure(r, &v->tally, out);
    else if (!verdict_is_shown(v))
        fputs("    <skipped message=\"not shown by these captures\"/>\n", out);
    fprintf(out, "    <system-out>checked %zu, violated %zu, inconclusive %zu", v->tally.checked, v->tally.violated,
            v->tally.inconclusive);
    if (v->tally.doubt != NULL) {
        fputs(": ", out);
        put_text(v->tally.doubt, out);
    }
    fputs("</system-out>\n  </testcase>\n", out);
}

void report_junit(const struct report *r, FILE *out)
{
    size_t failed = 0, skipped = 0;

    for (size_t i = 0; i < r->verdict_n; i++) {
        failed += r->verdict[i].tally.violated > 0;
        skipped += !verdict_is_shown(&r->verdict[i]);
    }
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"wirecheck\" tests=\"%zu\" failures=\"%zu\" "
            "errors=\"%d\" skipped=\"%zu\" time=\"%.3f\">\n",
            r->verdict_n, failed, 0, skipped, (double)(r->end - r->start) / 1e9);
    if (r->is_void)
        fputs("  <!-- void: too much of this run is in doubt for a verdict -->\n", out);
    for (size_t i = 0; i < r->verdict_n; i++)
        put_case(r, &r->verdict[i], out);
    fputs("</testsuite>\n", out);
}
