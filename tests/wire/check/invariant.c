/* What an invariant's function says of the things it looks at, kept for the reports.
 *
 * A run over 200,000 sessions may be wrong 200,000 times in the same way: all are counted, the first VIOLATIONS_KEPT are told
 * with their evidence, and those behind are written into one spare violation that nobody reads. */
#include "invariant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct violation spare; /* the one behind the last that is kept */

void held(struct tally *t)
{
    t->checked++;
}

void unsure(struct tally *t, const char *why)
{
    t->inconclusive++; /* what is in doubt was not checked */
    if (t->doubt == NULL) {
        size_t size = strlen(why) + 1;
        t->doubt = fresh(size);
        memcpy(t->doubt, why, size);
    }
}

static void violation_free(struct violation *v)
{
    free(v->what);
    free(v->evidence);
    *v = (struct violation){ 0 };
}

/* Room for one more; the spare one when enough are kept. */
static struct violation *next_violation(struct tally *t)
{
    if (t->violation_n == VIOLATIONS_KEPT) {
        violation_free(&spare);
        return &spare;
    }
    t->violation = array_grow(t->violation, t->violation_n, sizeof *t->violation);
    struct violation *v = &t->violation[t->violation_n++];
    *v = (struct violation){ 0 };
    return v;
}

static char *print(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static char *print(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    size_t size = n > 0 ? (size_t)n + 1 : 1;
    char *text = fresh(size);
    if (n > 0)
        vsnprintf(text, size, format, again);
    va_end(again);
    return text;
}

struct violation *violated(struct tally *t, const struct session *s, const char *format, ...)
{
    t->checked++;
    t->violated++;
    struct violation *v = next_violation(t);
    v->session = s;
    va_list arguments;
    va_start(arguments, format);
    v->what = print(format, arguments);
    va_end(arguments);
    return v;
}

void tally_free(struct tally *t)
{
    for (size_t i = 0; i < t->violation_n; i++)
        violation_free(&t->violation[i]);
    free(t->violation);
    free(t->doubt);
    violation_free(&spare);
    *t = (struct tally){ 0 };
}

static void add(struct violation *v, struct evidence e)
{
    v->evidence = array_grow(v->evidence, v->evidence_n, sizeof *v->evidence);
    v->evidence[v->evidence_n++] = e;
}

void show_octets(struct violation *v, enum wire_name w, bool to_server, const struct place *p, struct slice octets,
                 const char *note)
{
    add(v, (struct evidence){ w, p->first_frame, p->first_time, to_server, octets, note });
}

/* What is not there (a reply that never came) is shown by showing nothing: callers need not ask first. */
void show_command(struct violation *v, enum wire_name w, const struct command *c, const char *note)
{
    if (c != NULL)
        show_octets(v, w, true, &c->place, c->line, note);
}

void show_reply(struct violation *v, enum wire_name w, const struct reply *r, const char *note)
{
    if (r != NULL)
        show_octets(v, w, false, &r->place, r->octets, note);
}

void show_record(struct violation *v, const struct record *r, const char *note)
{
    if (r != NULL)
        add(v, (struct evidence){ LOG, (uint32_t)r->line, record_time(r), false, r->text, note });
}

/* A packet knows no client: servers are called at the smaller port. */
void show_packet(struct violation *v, enum wire_name w, const struct packet *p, const char *note)
{
    if (p != NULL)
        add(v, (struct evidence){ w, p->frame, p->time, p->to.port <= p->from.port, p->payload, note });
}
