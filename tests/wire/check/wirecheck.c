/* wirecheck: judges a mail gateway by captures of its wires (ORACLE.md). */
#include "remarks.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef POSTERN_VERSION
#    define POSTERN_VERSION "development"
#endif

enum { STATUS_GOOD, STATUS_VIOLATED, STATUS_VOID, STATUS_USAGE = 64, STATUS_OUTPUT = 74 };

static const struct invariant *const families[] = {
    custody_invariants, relaying_invariants, framing_invariants,  encryption_invariants,
    timing_invariants,  logging_invariants,  question_invariants,
};

enum { FAMILIES = sizeof families / sizeof families[0] };

static const char help[] =
    "usage: wirecheck [OPTIONS] NORTH.pcap SOUTH.pcap [EAST.pcap]\n"
    "       wirecheck [OPTIONS] --config FILE BOTH.pcap\n"
    "\n"
    "Judges an SMTP gateway by captures of its wires: north is the side of the clients, south that of the\n"
    "mail server behind it, east that of the DNS. Prints what held, and of what did not the packets.\n"
    "All captures need one clock: what came first is told by their times, also between the wires.\n"
    "\n"
    "  NORTH or SOUTH may be \"-\": then the other wire is judged alone.\n"
    "  One capture may hold both wires (a gateway with one interface, tcpdump -i any): given once, or as NORTH and\n"
    "  as SOUTH. --config is needed then: connections to its listeners are north, to its back ends south.\n"
    "  (A listener on all addresses: to its port on any host that is no back end.) Packets may be there twice.\n"
    "  --no-south               there is no SOUTH.pcap among the arguments\n"
    "  --log FILE               the gateway's log (logfmt or JSON): joins sessions, and is judged itself\n"
    "  --keylog FILE            TLS secrets of the clients' sessions (SSLKEYLOGFILE); without them what TLS hides\n"
    "                           is not looked at\n"
    "  --config FILE            the gateway's postern.ini: its domains, limits and times\n"
    "  --json FILE              the report for programs (\"-\": standard output, instead of the text)\n"
    "  --junit FILE             the report for CI servers\n"
    "  --only ID,...            these invariants (A-1) or families (A) only\n"
    "  --quiet                  no table, only violations and the sum\n"
    "  --accounting             the accounts of custody: what the back end accepted, what clients were told\n"
    "  --max-inconclusive N     one invariant may be in doubt for N per mille of the sessions (1); above that, or "
    "when\n"
    "                           there was nothing to check, the run is void\n"
    "  --slack SECONDS          a time limit counts as kept when it is kept to so many seconds (1): for machines that\n"
    "                           do much else meanwhile\n"
    "  --list                   the invariants, and what each needs\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 no violation, 1 violations, 2 void, 64 usage, 65 no capture, 66 no such file.\n";

struct options {
    struct trial_files files;
    const char *json, *junit, *only;
    bool is_quiet, has_no_south, has_accounting;
    double most_inconclusive; /* per mille */
    const char *argument[3];
    size_t argument_n;
};

/* ---- the command line ---- */

static void list_invariants(void)
{
    for (size_t f = 0; f < FAMILIES; f++)
        for (const struct invariant *i = families[f]; i->id != NULL; i++)
            printf("%-5s %s\n%-8sneeds%s%s%s%s%s\n", i->id, i->name, "", i->needs_north ? " NORTH" : "",
                   i->needs_south ? " SOUTH" : "", i->needs_east ? " EAST" : "", i->needs_log ? " --log" : "",
                   i->needs_config ? " --config" : "");
}

/* "A-1" is named by itself and by "A"; `list` is words with commas between them. */
static bool is_named(const char *list, const char *id)
{
    struct slice rest = slice_of(list), whole = slice_of(id);
    struct slice family = slice_part(whole, 0, slice_find(whole, SLICE("-"), 0));

    while (rest.n > 0) {
        size_t n = slice_find(rest, SLICE(","), 0);
        struct slice word = slice_part(rest, 0, n);
        if (slice_equal_nocase(word, whole) || slice_equal_nocase(word, family))
            return true;
        rest = slice_part(rest, n + 1, rest.n);
    }
    return false;
}

static bool names_something(struct slice word)
{
    char list[64];

    snprintf(list, sizeof list, "%.*s", (int)(word.n < sizeof list ? word.n : sizeof list - 1), (const char *)word.p);
    for (size_t f = 0; f < FAMILIES; f++)
        for (const struct invariant *i = families[f]; i->id != NULL; i++)
            if (is_named(list, i->id))
                return true;
    return false;
}

static void check_only(const char *only)
{
    for (struct slice rest = slice_of(only); rest.n > 0;) {
        size_t n = slice_find(rest, SLICE(","), 0);
        if (!names_something(slice_part(rest, 0, n)))
            die(STATUS_USAGE, "--only: no invariant is called \"%.*s\"; see --list", (int)n, (const char *)rest.p);
        rest = slice_part(rest, n + 1, rest.n);
    }
}

static double read_per_mille(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= 1000))
        die(STATUS_USAGE, "--max-inconclusive: not a number per mille: %s", text);
    return value;
}

static void read_slack(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= 3600))
        die(STATUS_USAGE, "--slack: not a number of seconds: %s", text);
    timing_tolerate((int64_t)(value * 1e9));
}

/* Options with a value; NULL when `name` is none of them. */
static const char **place_of_value(struct options *o, const char *name, const char **per_mille, const char **slack)
{
    const struct {
        const char *name;
        const char **place;
    } rows[] = {
        { "--log", &o->files.log },
        { "--keylog", &o->files.keylog },
        { "--config", &o->files.config },
        { "--json", &o->json },
        { "--junit", &o->junit },
        { "--only", &o->only },
        { "--max-inconclusive", per_mille },
        { "--slack", slack },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].place;
    return NULL;
}

static void read_flag(struct options *o, const char *name)
{
    if (strcmp(name, "--help") == 0) {
        fputs(help, stdout);
        exit(STATUS_GOOD);
    }
    if (strcmp(name, "--version") == 0) {
        puts("wirecheck " POSTERN_VERSION);
        exit(STATUS_GOOD);
    }
    if (strcmp(name, "--list") == 0) {
        list_invariants();
        exit(STATUS_GOOD);
    }
    if (strcmp(name, "--quiet") == 0)
        o->is_quiet = true;
    else if (strcmp(name, "--no-south") == 0)
        o->has_no_south = true;
    else if (strcmp(name, "--accounting") == 0)
        o->has_accounting = true;
    else
        die(STATUS_USAGE, "no such option: %s; see --help", name);
}

static void read_words(struct options *o, int argc, char **argv)
{
    const char *per_mille = NULL, *slack = NULL;

    for (int i = 1; i < argc; i++) {
        const char **place = place_of_value(o, argv[i], &per_mille, &slack);
        if (place != NULL && ++i == argc)
            die(STATUS_USAGE, "%s needs a value; see --help", argv[i - 1]);
        if (place != NULL)
            *place = argv[i];
        else if (argv[i][0] == '-' && argv[i][1] != '\0')
            read_flag(o, argv[i]);
        else if (o->argument_n == 3)
            die(STATUS_USAGE, "too many files; see --help");
        else
            o->argument[o->argument_n++] = argv[i];
    }
    if (slack != NULL)
        read_slack(slack);
    o->most_inconclusive = per_mille != NULL ? read_per_mille(per_mille) : 1;
}

static const char *unless_dash(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0 ? NULL : path;
}

static void read_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){ 0 };
    read_words(o, argc, argv);
    if (o->argument_n == 1 && o->files.config != NULL && !o->has_no_south)
        o->argument[o->argument_n++] = o->argument[0]; /* both wires are in it */
    size_t east = o->has_no_south ? 1 : 2;
    o->files.north = unless_dash(o->argument[0]);
    o->files.south = o->has_no_south ? NULL : unless_dash(o->argument[1]);
    o->files.east = unless_dash(o->argument[east]);
    if (o->argument_n < east || o->argument_n > east + 1)
        die(STATUS_USAGE, "which captures? usage: wirecheck [OPTIONS] NORTH.pcap SOUTH.pcap [EAST.pcap]; see --help");
    if (o->files.north == NULL && o->files.south == NULL && o->files.east == NULL)
        die(STATUS_USAGE, "no capture to judge; see --help");
    if (o->only != NULL)
        check_only(o->only);
}

/* ---- the judgement ---- */

static bool is_possible(const struct invariant *i, const struct trial *t)
{
    return (!i->needs_north || t->north.is_present) && (!i->needs_south || t->south.is_present) &&
           (!i->needs_east || t->has_east) && (!i->needs_log || t->has_log) &&
           (!i->needs_config || t->settings.is_given);
}

/* A story is told in the order in which it happened; what has no time comes last. There are few events, mostly in
 * order. */
static void sort_story(struct violation *v)
{
    for (size_t i = 1; i < v->evidence_n; i++) {
        struct evidence e = v->evidence[i];
        size_t k = i;
        for (; k > 0 && e.time != 0 && (v->evidence[k - 1].time > e.time || v->evidence[k - 1].time == 0); k--)
            v->evidence[k] = v->evidence[k - 1];
        v->evidence[k] = e;
    }
}

static void judge(struct report *r, const char *only)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        for (const struct invariant *i = families[f]; i->id != NULL; i++) {
            if (only != NULL && !is_named(only, i->id))
                continue;
            r->verdict = array_grow(r->verdict, r->verdict_n, sizeof *r->verdict);
            struct verdict *v = &r->verdict[r->verdict_n++];
            *v = (struct verdict){ .invariant = i };
            if (is_possible(i, r->trial))
                i->judge(r->trial, &v->tally);
            for (size_t k = 0; k < v->tally.violation_n; k++)
                sort_story(&v->tally.violation[k]);
        }
    }
}

static void note_capture(struct report *r, const struct capture *c)
{
    r->packets += c->frames;
    for (size_t i = 0; i < c->n; i++) {
        if (r->start == 0 || c->packet[i].time < r->start)
            r->start = c->packet[i].time;
        if (c->packet[i].time > r->end)
            r->end = c->packet[i].time;
    }
}

static size_t messages_of(const struct wire *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->flows.n; i++)
        for (size_t k = 0; k < w->dialogue[i].transaction_n; k++)
            n += w->dialogue[i].transaction[k].has_message && w->dialogue[i].transaction[k].message.is_ended;
    return n;
}

/* With no north wire, a session is a connection to the back end. */
static void sum_up(struct report *r, double most_inconclusive)
{
    const struct trial *t = r->trial;
    const struct wire *counted = t->north.is_present ? &t->north : &t->south;
    size_t checked = 0;

    note_capture(r, &t->north.capture);
    if (!t->has_one_capture)
        note_capture(r, &t->south.capture);
    note_capture(r, &t->east);
    r->sessions = counted->flows.n;
    r->messages = messages_of(counted);
    for (size_t i = 0; i < r->verdict_n; i++) {
        const struct tally *tally = &r->verdict[i].tally;
        checked += tally->checked;
        r->violated += tally->violated;
        r->inconclusive += tally->inconclusive;
        if (tally->inconclusive > r->most_inconclusive)
            r->most_inconclusive = tally->inconclusive;
    }
    r->is_void =
        checked + r->inconclusive == 0 || (double)r->most_inconclusive * 1000 > most_inconclusive * (double)r->sessions;
    accounting_read(&r->accounting, t);
}

/* ---- what is told ---- */

static void write_report(const struct report *r, const char *path, void (*write)(const struct report *, FILE *))
{
    bool is_stdout = strcmp(path, "-") == 0;
    FILE *out = is_stdout ? stdout : fopen(path, "w");

    if (out == NULL)
        die(STATUS_OUTPUT, "%s: %s", path, strerror(errno));
    write(r, out);
    if (fflush(out) != 0 || ferror(out) || (!is_stdout && fclose(out) != 0))
        die(STATUS_OUTPUT, "%s: %s", path, strerror(errno));
}

static void tell(const struct report *r, const struct options *o)
{
    bool is_stdout_taken =
        (o->json != NULL && strcmp(o->json, "-") == 0) || (o->junit != NULL && strcmp(o->junit, "-") == 0);

    if (!is_stdout_taken)
        report_text(r, stdout, o->is_quiet, o->has_accounting);
    if (o->json != NULL)
        write_report(r, o->json, report_json);
    if (o->junit != NULL)
        write_report(r, o->junit, report_junit);
}

int main(int argc, char **argv)
{
    struct options options;
    struct trial trial;

    read_options(&options, argc, argv);
    trial_read(&trial, &options.files);
    struct report report = { .trial = &trial, .files = &options.files };
    judge(&report, options.only);
    sum_up(&report, options.most_inconclusive);
    fflush(stdout);
    remarks_tell(&trial, &options.files, stderr);
    tell(&report, &options);
    int status = report.violated > 0 ? STATUS_VIOLATED : report.is_void ? STATUS_VOID : STATUS_GOOD;
    for (size_t i = 0; i < report.verdict_n; i++)
        tally_free(&report.verdict[i].tally);
    free(report.verdict);
    trial_free(&trial);
    return status;
}
