/* See stage.h. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t millisecond = 1000000;

void stage_begin(struct stage *p)
{
    *p = (struct stage){ 0 };
}

/* ---- a leg, with the clock of the whole run ---- */

static struct weave *current(struct stage *p, enum wire_name w)
{
    struct stage_wire *wire = &p->wire[w];

    if (wire->n == 0)
        die(70, "stage: no connection on this wire yet");
    wire->leg[wire->current].time = p->clock;
    return &wire->leg[wire->current];
}

static void open_leg(struct stage *p, enum wire_name w)
{
    struct stage_wire *wire = &p->wire[w];

    if (wire->n == STAGE_LEGS)
        die(70, "stage: too many connections");
    struct weave *leg = &wire->leg[wire->n];
    weave_begin(leg);
    int64_t took = leg->time - leg->connection.time + millisecond;
    if (p->clock == 0)
        p->clock = leg->connection.time - millisecond;
    leg->connection.time = p->clock + millisecond;
    leg->connection.accepted_time = leg->connection.last_time = leg->time = p->clock + took;
    leg->connection.end[CLIENT].port = (uint16_t)((w == NORTH ? 40000 : 50000) + wire->n);
    leg->connection.end[CLIENT].address[15] = w == NORTH ? 1 : 25;
    leg->connection.end[SERVER].address[15] = w == NORTH ? 25 : 99;
    p->clock = leg->time;
    wire->current = wire->n++;
}

static void say(struct stage *p, enum wire_name w, enum side by, const char *text)
{
    struct buffer octets = { 0 };
    struct weave *leg = current(p, w);

    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '\\' && strchr("rn0", text[1]) != NULL && text[1] != '\0') {
            text++;
            c = (char)(*text == 'r' ? '\r' : *text == 'n' ? '\n' : '\0');
        }
        buffer_add(&octets, &c, 1);
    }
    buffer_add(&octets, "\r\n", 2);
    weave_octets(leg, by, octets.p, octets.n);
    p->clock = leg->time;
    buffer_free(&octets);
}

/* ---- the script ---- */

static void add_named(struct stage *p, const char *name, struct buffer *out)
{
    char text[ENDPOINT_TEXT];
    const struct connection *north = &current(p, NORTH)->connection;

    if (strncmp(name, "{client}", 8) == 0)
        buffer_printf(out, "%s", endpoint_print(&north->end[CLIENT], text));
    else if (strncmp(name, "{via}", 5) == 0)
        buffer_printf(out, "%s", endpoint_print(&current(p, SOUTH)->connection.end[CLIENT], text));
    else if (strncmp(name, "{backend}", 9) == 0)
        buffer_printf(out, "%s", endpoint_print(&current(p, SOUTH)->connection.end[SERVER], text));
    else
        die(70, "stage: %s", name);
}

static void write_log(struct stage *p, const char *text)
{
    time_t seconds = (time_t)(p->clock / 1000000000);
    char time[40];
    struct tm tm;

    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    buffer_printf(&p->log, "time=%s.%03dZ ", time, (int)(p->clock / millisecond % 1000));
    for (; *text != '\0'; text++) {
        if (*text == '{') {
            add_named(p, text, &p->log);
            text = strchr(text, '}');
        } else {
            buffer_add(&p->log, text, 1);
        }
    }
    buffer_add(&p->log, "\n", 1);
}

static bool end_leg(struct stage *p, const char *line)
{
    static const struct {
        const char *line;
        enum wire_name wire;
        enum side by;
        void (*end)(struct weave *, enum side);
    } rows[] = {
        { "client closes", NORTH, CLIENT, weave_close },
        { "client resets", NORTH, CLIENT, weave_reset },
        { "gateway closes north", NORTH, SERVER, weave_close },
        { "gateway resets north", NORTH, SERVER, weave_reset },
        { "back closes", SOUTH, SERVER, weave_close },
        { "back resets", SOUTH, SERVER, weave_reset },
        { "gateway closes south", SOUTH, CLIENT, weave_close },
        { "gateway resets south", SOUTH, CLIENT, weave_reset },
        { "lost: client", NORTH, CLIENT, weave_lose },
        { "lost: gateway north", NORTH, SERVER, weave_lose },
        { "lost: back", SOUTH, SERVER, weave_lose },
        { "lost: gateway south", SOUTH, CLIENT, weave_lose },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(line, rows[i].line) != 0)
            continue;
        struct weave *leg = current(p, rows[i].wire);
        rows[i].end(leg, rows[i].by);
        p->clock = leg->time;
        return true;
    }
    return false;
}

static bool choose_leg(struct stage *p, const char *line)
{
    static const char *const names[] = { [NORTH] = "north", [SOUTH] = "south" };

    for (enum wire_name w = NORTH; w <= SOUTH; w++) {
        if (strncmp(line, names[w], 5) != 0)
            continue;
        if (line[5] == '\0')
            open_leg(p, w);
        else
            p->wire[w].current = (size_t)atoi(line + 5) - 1;
        return true;
    }
    return false;
}

static void do_line(struct stage *p, const char *line)
{
    if (line[0] == '>' || line[0] == '<')
        say(p, NORTH, line[0] == '>' ? CLIENT : SERVER, line[1] == ' ' ? line + 2 : line + 1);
    else if (line[0] == '[' || line[0] == ']')
        say(p, SOUTH, line[0] == '[' ? CLIENT : SERVER, line[1] == ' ' ? line + 2 : line + 1);
    else if (strncmp(line, "wait ", 5) == 0)
        p->clock += atoi(line + 5) * millisecond;
    else if (strncmp(line, "log ", 4) == 0)
        write_log(p, line + 4);
    else if (!end_leg(p, line) && !choose_leg(p, line))
        die(70, "stage: what is \"%s\"?", line);
}

void stage_play(struct stage *p, const char *script)
{
    while (*script != '\0') {
        size_t n = strcspn(script, "\n");
        char *line = fresh(n + 1);
        memcpy(line, script, n);
        do_line(p, line);
        free(line);
        script += n + (script[n] == '\n');
    }
}

/* ---- a trial of it ---- */

/* Writes a file of the test's own; `path` gets its name. */
static void write_file(const char *text, size_t n, char path[128])
{
    snprintf(path, 128, "%s/wire-stage-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    int file = mkstemp(path);

    if (file < 0 || write(file, text, n) != (ssize_t)n || close(file) != 0)
        die(70, "stage: cannot write %s", path);
}

void stage_config(struct stage *p, const char *ini)
{
    write_file(ini, strlen(ini), p->config);
}

static void read_settings(struct stage *p)
{
    settings_read(&p->trial.settings, p->config[0] != '\0' ? p->config : NULL);
    if (p->config[0] != '\0')
        unlink(p->config);
}

static void read_log(struct stage *p)
{
    char path[128];

    if (p->log.n == 0)
        return;
    write_file((const char *)p->log.p, p->log.n, path);
    records_read(&p->trial.records, path);
    unlink(path);
    p->trial.has_log = true;
}

/* The connections go over to the wire, which frees them. */
static void give_wire(struct stage_wire *from, struct wire *to)
{
    struct dialogue_hints hints = { .may_have_proxy_header = true };

    to->is_present = from->n > 0;
    to->flows.connection = fresh((from->n + 1) * sizeof *to->flows.connection);
    to->flows.n = from->n;
    to->dialogue = fresh((from->n + 1) * sizeof *to->dialogue);
    for (size_t i = 0; i < from->n; i++) {
        to->flows.connection[i] = from->leg[i].connection;
        dialogue_read(&to->dialogue[i], &to->flows.connection[i], &hints);
    }
    to->capture.packet = fresh(sizeof *to->capture.packet);
    to->capture.n = from->n > 0;
    if (from->n > 0)
        to->capture.packet[0].time = to->flows.connection[0].time;
    from->n = 0;
}

const struct trial *stage_trial(struct stage *p)
{
    if (p->is_joined)
        return &p->trial;
    p->is_joined = true;
    read_settings(p);
    read_log(p);
    give_wire(&p->wire[NORTH], &p->trial.north);
    give_wire(&p->wire[SOUTH], &p->trial.south);
    trial_join(&p->trial);
    return &p->trial;
}

struct tally stage_judge(struct stage *p, const char *id)
{
    static const struct invariant *const families[] = {
        custody_invariants, relaying_invariants, framing_invariants,  encryption_invariants,
        timing_invariants,  logging_invariants,  question_invariants,
    };
    struct tally tally = { 0 };

    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (const struct invariant *i = families[f]; i->id != NULL; i++) {
            if (strcmp(i->id, id) != 0)
                continue;
            i->judge(stage_trial(p), &tally);
            return tally;
        }
    }
    die(70, "stage: no invariant %s", id);
}

void stage_free(struct stage *p)
{
    for (enum wire_name w = NORTH; w <= SOUTH; w++)
        for (size_t i = 0; i < p->wire[w].n; i++)
            weave_free(&p->wire[w].leg[i]);
    buffer_free(&p->log);
    if (p->is_joined)
        trial_free(&p->trial);
    *p = (struct stage){ 0 };
}
