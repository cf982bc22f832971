/* wirereplay: plays the clients of recorded SMTP sessions against a gateway.
 *
 * Finds the sessions of a capture, makes a script of each (replay_recording.c, replay_script.c), plays it
 * (replay_play.c) and tells what became of it: a line for each session, or JSON. */
#include "replay.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_PLAYED = 0, EXIT_USAGE = 64, EXIT_NOTHING = 65, EXIT_CANNOT_SAVE = 73, EXIT_UNREACHABLE = 69 };

static const char help[] =
    "Usage: wirereplay [options] FILE.pcap HOST:PORT\n"
    "\n"
    "Plays the client's side of the SMTP sessions in a capture against a gateway, one after the other. What the\n"
    "client sent is sent again, in the recorded segments, once the gateway has given as many replies as the client\n"
    "had seen when it sent it. Sessions with gaps, of one side only, or of other protocols (the client says\n"
    "neither EHLO, HELO nor MAIL) are not played. A PROXY header in front of one is left out.\n"
    "\n"
    "Which sessions\n"
    "  --port N           only connections to this port\n"
    "  --session N        only the N-th connection (of those to --port)\n"
    "  --list             say what would be played, and play nothing (HOST:PORT may be left out)\n"
    "\n"
    "What is sent\n"
    "  --map-helo NAME    another name in EHLO and HELO\n"
    "  --map-domain NAME  another domain in RCPT TO\n"
    "  --map-to ADDRESS   another address in RCPT TO\n"
    "  --one-octet        each octet in a segment of its own\n"
    "  --whole            each turn in one piece\n"
    "  --pause MS         rest before each segment\n"
    "  --blind            send the message even if the gateway refused DATA\n"
    "  --tls              take STARTTLS where the recording does, then QUIT, unless --keylog opens what it says\n"
    "                     in TLS: then that is played, in TLS of our own (without --tls: QUIT instead of STARTTLS)\n"
    "  --implicit-tls     all in TLS from the first octet on, as a listener on port 465 wants it\n"
    "  --keylog FILE      TLS secrets of the recording (SSLKEYLOGFILE), for what it says behind STARTTLS, and for\n"
    "                     sessions in TLS from the first octet on\n"
    "  --server-name NAME the name asked for in TLS (default: HOST)\n"
    "  --timeout SECONDS  the longest wait for a reply (default 30)\n"
    "\n"
    "What is told\n"
    "  --verbose          every command and reply\n"
    "  --json             one JSON document instead of lines\n"
    "  --save DIR         write the messages that were sent, as a back end should get them, to DIR/SESSION-N.eml\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 played, 64 wrong usage, 65 no capture or nothing in it to play, 66 no such file,\n"
    "69 the gateway cannot be reached, 73 cannot write to --save DIR.\n";

struct options {
    const char *file, *host, *port, *save, *keylog;
    char host_text[256];
    unsigned called_port, session;
    bool is_json, is_list, is_implicit_tls;
    struct mapping mapping;
    struct play_options play;
};

static void usage(const char *why, const char *what)
{
    die(EXIT_USAGE, "%s%s%s (--help tells more)", why, what ? ": " : "", what ? what : "");
}

static unsigned number(const char *text, unsigned least, unsigned most)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || *end || end == text || text[0] == '-' || n < least || n > most)
        usage("not a number that fits", text);
    return (unsigned)n;
}

/* A line's end in an option would be a command of its own. */
static const char *one_line(const char *text)
{
    if (strpbrk(text, "\r\n"))
        usage("more than one line", text);
    return text;
}

/* "host:25", "192.0.2.1:25", "[2001:db8::1]:25" */
static void read_gateway(struct options *o, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;

    if (n == 0 || n >= sizeof o->host_text)
        usage("not HOST:PORT", text);
    if (text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    memcpy(o->host_text, text, n);
    o->host = o->host_text;
    o->port = colon + 1;
    number(o->port, 1, 65535);
}

enum {
    PORT = 1,
    SESSION,
    LIST,
    HELO,
    DOMAIN,
    TO,
    ONE_OCTET,
    WHOLE,
    PAUSE,
    BLIND,
    TLS,
    IMPLICIT,
    KEYLOG,
    NAME,
    TIMEOUT,
    VERBOSE,
    JSON,
    SAVE,
    HELP
};

static const struct option rows[] = {
    { "port", required_argument, NULL, PORT },
    { "session", required_argument, NULL, SESSION },
    { "list", no_argument, NULL, LIST },
    { "map-helo", required_argument, NULL, HELO },
    { "map-domain", required_argument, NULL, DOMAIN },
    { "map-to", required_argument, NULL, TO },
    { "one-octet", no_argument, NULL, ONE_OCTET },
    { "whole", no_argument, NULL, WHOLE },
    { "pause", required_argument, NULL, PAUSE },
    { "blind", no_argument, NULL, BLIND },
    { "tls", no_argument, NULL, TLS },
    { "implicit-tls", no_argument, NULL, IMPLICIT },
    { "keylog", required_argument, NULL, KEYLOG },
    { "server-name", required_argument, NULL, NAME },
    { "timeout", required_argument, NULL, TIMEOUT },
    { "verbose", no_argument, NULL, VERBOSE },
    { "json", no_argument, NULL, JSON },
    { "save", required_argument, NULL, SAVE },
    { "help", no_argument, NULL, HELP },
    { 0 },
};

static void read_option(struct options *o, int option)
{
    switch (option) {
    case PORT: o->called_port = number(optarg, 1, 65535); break;
    case SESSION: o->session = number(optarg, 1, UINT32_MAX); break;
    case LIST: o->is_list = true; break;
    case HELO: o->mapping.helo = one_line(optarg); break;
    case DOMAIN: o->mapping.domain = one_line(optarg); break;
    case TO: o->mapping.to = one_line(optarg); break;
    case ONE_OCTET: o->play.pieces = PIECES_OCTETS; break;
    case WHOLE: o->play.pieces = PIECES_WHOLE; break;
    case PAUSE: o->play.pause_ms = (int)number(optarg, 0, 600000); break;
    case BLIND: o->play.is_blind = true; break;
    case TLS: o->play.use_tls = true; break;
    case IMPLICIT: o->is_implicit_tls = true; break;
    case KEYLOG: o->keylog = optarg; break;
    case NAME: o->play.server_name = optarg; break;
    case TIMEOUT: o->play.timeout_ms = (int)number(optarg, 1, 3600) * 1000; break;
    case VERBOSE: o->play.is_verbose = true; break;
    case JSON: o->is_json = true; break;
    case SAVE: o->save = optarg; break;
    case HELP: fputs(help, stdout); exit(0);
    default: exit(EXIT_USAGE); /* getopt has said why */
    }
}

static void read_options(struct options *o, int argc, char **argv)
{
    int option;

    *o = (struct options){ .play.timeout_ms = 30000 };
    while ((option = getopt_long(argc, argv, "", rows, NULL)) != -1)
        read_option(o, option);
    if (argc - optind != 2 && !(o->is_list && argc - optind == 1))
        usage("FILE.pcap and HOST:PORT are needed", NULL);
    o->file = argv[optind];
    if (argc - optind == 2)
        read_gateway(o, argv[optind + 1]);
    if (o->is_json && o->play.is_verbose)
        usage("--json and --verbose exclude each other", NULL);
    if (o->is_implicit_tls && o->play.use_tls)
        usage("--tls and --implicit-tls exclude each other", NULL);
    if (!o->play.server_name)
        o->play.server_name = o->host;
}

/* --- What is told --- */

static void add_json_text(struct buffer *b, const char *text)
{
    buffer_add(b, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_printf(b, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
            buffer_printf(b, "\\u%04x", (unsigned char)*text);
        else
            buffer_add(b, text, 1);
    }
    buffer_add(b, "\"", 1);
}

static void add_json_or_null(struct buffer *b, const char *text)
{
    if (text)
        add_json_text(b, text);
    else
        buffer_printf(b, "null");
}

/* A session of the capture while it is told of. */
struct session {
    size_t number;
    const struct connection *c;
    const char *tls;
    struct recording recording;
    struct played played[2]; /* a part's each */
    size_t played_n;
};

/* An end of a message in one of the parts. */
struct ending {
    const struct item *item;
    const struct outcome *outcome;
    bool is_at_data; /* the DATA before it decides: it was refused, and no message followed */
};

static size_t count_recorded(const struct session *s)
{
    size_t n = 0;

    for (size_t part = 0; part < s->recording.part_n; part++)
        for (size_t i = 0; i < s->recording.part[part].item_n; i++)
            n += s->recording.part[part].item[i].frame != 0;
    return n;
}

static size_t count_octets(const struct session *s, size_t *cuts)
{
    size_t n = 0;

    *cuts = 0;
    for (size_t part = 0; part < s->recording.part_n; part++) {
        n += s->recording.part[part].octets.n;
        *cuts += s->recording.part[part].cut_n;
    }
    return n;
}

/* The next end of a message from part and item `at` on, which move behind it. */
static bool next_ending(const struct session *s, size_t at[2], struct ending *e)
{
    for (; at[0] < s->played_n; at[0]++, at[1] = 0)
        while (at[1] < s->recording.part[at[0]].item_n) {
            size_t i = at[1]++;
            const struct outcome *outcome = &s->played[at[0]].outcome[i];
            if (!s->recording.part[at[0]].item[i].ends_message)
                continue;
            e->is_at_data = outcome->is_skipped;
            e->item = &s->recording.part[at[0]].item[i - e->is_at_data]; /* a body is never the first item */
            e->outcome = outcome - e->is_at_data;
            return true;
        }
    return false;
}

static size_t count_accepted(const struct session *s)
{
    size_t at[2] = { 0, 0 }, n = 0;
    struct ending e;

    while (next_ending(s, at, &e))
        n += !e.is_at_data && e.outcome->code / 100 == 2;
    return n;
}

static struct played sum_of(const struct session *s)
{
    struct played sum = { 0 };

    for (size_t part = 0; part < s->played_n; part++) {
        const struct played *p = &s->played[part];
        sum.replies += p->replies;
        sum.unasked += p->unasked;
        if (p->unasked)
            sum.last_unasked = p->last_unasked;
        if (p->stopped)
            sum.stopped = p->stopped;
    }
    return sum;
}

static void tell_end(const struct ending *e)
{
    printf("; %s ", e->is_at_data ? "DATA" : "end of data");
    if (e->outcome->is_answered)
        printf("%03d", e->outcome->code);
    else
        printf(e->outcome->is_sent ? "not answered" : "not reached");
    printf(" (%03d recorded)", e->item->recorded);
}

static void tell_recording(const struct session *s)
{
    const struct recording *r = &s->recording;
    size_t cuts, octets = count_octets(s, &cuts);

    printf("%zu octets in %zu segments, %zu replies", octets, cuts, count_recorded(s));
    if (r->is_implicit_tls)
        printf("; in TLS from the first octet");
    if (r->part_n == 2)
        printf("; goes on in TLS");
    if (r->sealed)
        printf("; behind STARTTLS it cannot be read: %s", r->sealed);
}

static void tell_played(const struct session *s)
{
    struct played sum = sum_of(s);
    size_t at[2] = { 0, 0 };
    struct ending e;

    printf("%zu replies (%zu recorded)", sum.replies, count_recorded(s));
    if (sum.unasked)
        printf(", %zu of them unasked (%03d)", sum.unasked, sum.last_unasked);
    while (next_ending(s, at, &e))
        tell_end(&e);
    printf("; accepted messages: %zu", count_accepted(s));
    if (s->tls)
        printf("; %s", s->tls);
    if (sum.stopped)
        printf("; ended early: %s", sum.stopped);
}

static void tell_session(const struct session *s)
{
    char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

    printf("session %zu: %s to %s, frame %u: ", s->number, endpoint_print(&s->c->end[CLIENT], client),
           endpoint_print(&s->c->end[SERVER], server), s->c->frame);
    if (s->recording.why_not)
        printf("not played: %s", s->recording.why_not);
    else if (s->played_n)
        tell_played(s);
    else
        tell_recording(s);
    if (s->recording.part_n && s->recording.proxy_header)
        printf("; a PROXY header of %zu octets is left out", s->recording.proxy_header);
    printf("\n");
}

static void add_json_messages(struct buffer *b, const struct session *s)
{
    const char *comma = "";
    size_t at[2] = { 0, 0 };
    struct ending e;

    buffer_printf(b, ", \"messages\": [");
    while (next_ending(s, at, &e)) {
        buffer_printf(b, "%s{\"at\": \"%s\", \"sent\": %s, \"code\": ", comma, e.is_at_data ? "data" : "end",
                      !e.is_at_data && e.outcome->is_sent ? "true" : "false");
        buffer_printf(b, e.outcome->is_answered ? "%d" : "null", e.outcome->code);
        buffer_printf(b, ", \"recorded\": %d}", e.item->recorded);
        comma = ", ";
    }
    buffer_printf(b, "]");
}

static void add_json_codes(struct buffer *b, const struct session *s)
{
    const char *comma = "";

    buffer_printf(b, ", \"codes\": [");
    for (size_t part = 0; part < s->played_n; part++)
        for (size_t i = 0; i < s->recording.part[part].item_n; i++)
            if (s->played[part].outcome[i].is_answered) {
                buffer_printf(b, "%s%d", comma, s->played[part].outcome[i].code);
                comma = ", ";
            }
    buffer_printf(b, "]");
}

static void add_json_recording(struct buffer *b, const struct session *s)
{
    const struct recording *r = &s->recording;
    size_t cuts;

    buffer_printf(b, ", \"octets\": %zu, \"recorded_replies\": %zu, \"proxy_header\": %zu, \"recorded_tls\": ",
                  count_octets(s, &cuts), count_recorded(s), r->proxy_header);
    add_json_or_null(b, r->is_implicit_tls ? "implicit" : r->part[0].has_starttls ? "starttls" : NULL);
    buffer_printf(b, ", \"sealed\": ");
    add_json_or_null(b, r->sealed);
}

static void add_json_played(struct buffer *b, const struct session *s)
{
    struct played sum = sum_of(s);

    buffer_printf(b, ", \"replies\": %zu, \"unasked\": %zu, \"last_unasked\": %d, \"accepted\": %zu, \"tls\": ",
                  sum.replies, sum.unasked, sum.last_unasked, count_accepted(s));
    add_json_or_null(b, s->tls);
    buffer_printf(b, ", \"ended_early\": ");
    add_json_or_null(b, sum.stopped);
    add_json_codes(b, s);
    add_json_messages(b, s);
}

static void add_json_session(struct buffer *b, const struct session *s)
{
    char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

    buffer_printf(
        b, "  {\"session\": %zu, \"client\": \"%s\", \"server\": \"%s\", \"frame\": %u, \"not_played\": ", s->number,
        endpoint_print(&s->c->end[CLIENT], client), endpoint_print(&s->c->end[SERVER], server), s->c->frame);
    add_json_or_null(b, s->recording.why_not);
    if (s->recording.part_n)
        add_json_recording(b, s);
    if (s->played_n)
        add_json_played(b, s);
    buffer_printf(b, "}");
}

/* --- Saving --- */

static void save_octets(const char *path, struct slice s)
{
    FILE *f = fopen(path, "wb");

    if (!f || (s.n && fwrite(s.p, 1, s.n, f) != s.n) || fclose(f) != 0)
        die(EXIT_CANNOT_SAVE, "%s: %s", path, strerror(errno));
}

/* The messages whose end was sent, numbered from 1. */
static void save_messages(const char *folder, const struct session *s)
{
    size_t at[2] = { 0, 0 }, n = 0;
    struct ending e;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        die(EXIT_CANNOT_SAVE, "%s: %s", folder, strerror(errno));
    while (next_ending(s, at, &e)) {
        struct buffer path = { 0 }, message = { 0 };
        if (e.is_at_data || !e.outcome->is_sent)
            continue;
        buffer_printf(&path, "%s/%zu-%zu.eml", folder, s->number, ++n);
        script_message(&message, &s->recording.part[at[0]], at[1] - 1);
        save_octets((const char *)path.p, buffer_slice(&message)); /* printf ended it with a NUL */
        buffer_free(&path);
        buffer_free(&message);
    }
}

/* --- Sessions --- */

struct account {
    size_t played;
    struct buffer json;
};

static void tell_or_add(struct account *a, const struct options *o, const struct session *s)
{
    if (!o->is_json) {
        tell_session(s);
        return;
    }
    buffer_printf(&a->json, a->json.n ? ",\n" : "");
    add_json_session(&a->json, s);
}

/* The next part of the recording. False when it ended early. */
static bool play_part(struct session *s, struct wire *w, const struct play_options *options)
{
    size_t part = s->played_n++;

    return script_play(&s->played[part], &s->recording.part[part], w, options);
}

/* Behind STARTTLS. */
static void go_on_in_tls(struct session *s, struct wire *w, const struct options *o)
{
    struct play_options options = o->play;

    options.use_tls = false; /* we have it */
    if (s->recording.part_n == 2) {
        play_part(s, w, &options);
        return;
    }
    script_quit(&s->played[0], &s->recording.part[0], w, &options);
    s->played[0].stopped = o->keylog ? "the key log does not open what the recording says in TLS"
                                     : "what the recording says in TLS cannot be read";
}

static void play_all(struct session *s, struct wire *w, const struct options *o)
{
    if (o->is_implicit_tls && !wire_start_tls(w, o->play.server_name, wire_now() + o->play.timeout_ms)) {
        s->played[0] = (struct played){ .outcome = fresh((s->recording.part[0].item_n + 1) * sizeof(struct outcome)),
                                        .stopped = w->error };
        s->played_n = 1;
        return;
    }
    if (play_part(s, w, &o->play) && s->recording.part[0].has_starttls)
        go_on_in_tls(s, w, o);
}

static void play(struct account *a, const struct options *o, struct session *s)
{
    struct wire w;

    if (!wire_connect(&w, o->host, o->port, wire_now() + o->play.timeout_ms))
        die(EXIT_UNREACHABLE, "%s:%s: %s", o->host, o->port, w.error);
    if (o->play.is_verbose)
        printf("session %zu\n", s->number);
    play_all(s, &w, o);
    s->tls = w.tls ? wire_tls_name(&w) : NULL;
    if (o->save)
        save_messages(o->save, s);
    tell_or_add(a, o, s);
    wire_close(&w, s->recording.part[s->played_n - 1].is_reset);
    for (size_t part = 0; part < s->played_n; part++)
        played_free(&s->played[part]);
    a->played++;
}

static void handle(struct account *a, const struct options *o, const struct connection *c, size_t number_of,
                   const struct keylog *keys)
{
    struct session s = { .number = number_of, .c = c };

    recording_make(&s.recording, c, keys, &o->mapping);
    if (s.recording.why_not || o->is_list)
        tell_or_add(a, o, &s);
    else
        play(a, o, &s);
    a->played += o->is_list && !s.recording.why_not;
    recording_free(&s.recording);
}

int main(int argc, char **argv)
{
    struct options o;
    struct capture c;
    struct flows f;
    struct account a = { 0 };

    die_name = "wirereplay";
    read_options(&o, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct keylog *keys = o.keylog ? keylog_read(o.keylog) : NULL;
    capture_read(&c, o.file, true);
    flows_read(&f, &c, (uint16_t)o.called_port);
    for (size_t i = 0; i < f.n; i++)
        if (o.session == 0 || o.session == i + 1)
            handle(&a, &o, &f.connection[i], i + 1, keys);
    if (o.is_json)
        printf("{\"played\": %zu, \"sessions\": [\n%.*s\n]}\n", a.played, SLICE_ARG(a.json));
    if (!a.played)
        fprintf(stderr, "wirereplay: %s: nothing to play\n", o.file);
    buffer_free(&a.json);
    flows_free(&f);
    capture_free(&c);
    keylog_free(keys);
    return a.played ? EXIT_PLAYED : EXIT_NOTHING;
}
