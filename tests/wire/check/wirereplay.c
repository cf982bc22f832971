/* wirereplay: plays the clients of recorded SMTP sessions against a gateway.
 *
 * Finds the sessions of a capture, makes a script of each (replay_script.c), plays it (replay_play.c) and tells
 * what became of it: a line for each session, or JSON. */
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
    "had seen when it sent it. Sessions with gaps, of one side only, or of other protocols are not played.\n"
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
    "  --tls              take STARTTLS, then QUIT: what the recording says in TLS cannot be read\n"
    "                     (without --tls: QUIT instead of STARTTLS)\n"
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
    const char *file, *host, *port, *save;
    char host_text[256];
    unsigned called_port, session;
    bool is_json, is_list;
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

/* A session of the capture while it is told of. `played` is NULL when it was not. */
struct session {
    size_t number;
    const struct connection *c;
    const char *why_not, *tls;
    const struct script *script;
    const struct played *played;
};

static size_t count_recorded(const struct script *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->item_n; i++)
        n += s->item[i].frame != 0;
    return n;
}

/* The item that decides what is said of a message: its end, or the DATA that was refused. */
static size_t deciding_item(const struct session *s, size_t end)
{
    return s->played->outcome[end].is_skipped ? end - 1 : end;
}

static size_t count_accepted(const struct session *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->script->item_n; i++)
        n += s->script->item[i].ends_message && s->played->outcome[i].code / 100 == 2;
    return n;
}

static void tell_end(const struct session *s, size_t end)
{
    size_t i = deciding_item(s, end);
    const struct outcome *o = &s->played->outcome[i];

    printf("; %s ", i == end ? "end of data" : "DATA");
    if (o->is_answered)
        printf("%03d", o->code);
    else
        printf(o->is_sent ? "not answered" : "not reached");
    printf(" (%03d recorded)", s->script->item[i].recorded);
}

static void tell_session(const struct session *s)
{
    char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

    printf("session %zu: %s to %s, frame %u: ", s->number, endpoint_print(&s->c->end[CLIENT], client),
           endpoint_print(&s->c->end[SERVER], server), s->c->frame);
    if (s->why_not)
        printf("not played: %s\n", s->why_not);
    else if (!s->played)
        printf("%zu octets in %zu segments, %zu replies\n", s->script->octets.n, s->script->cut_n,
               count_recorded(s->script));
    if (!s->played)
        return;
    printf("%zu replies (%zu recorded)", s->played->replies, count_recorded(s->script));
    if (s->played->unasked)
        printf(", %zu of them unasked (%03d)", s->played->unasked, s->played->last_unasked);
    for (size_t i = 0; i < s->script->item_n; i++)
        if (s->script->item[i].ends_message)
            tell_end(s, i);
    printf("; accepted messages: %zu", count_accepted(s));
    if (s->tls)
        printf("; %s", s->tls);
    if (s->played->stopped)
        printf("; ended early: %s", s->played->stopped);
    printf("\n");
}

static void add_json_messages(struct buffer *b, const struct session *s)
{
    const char *comma = "";

    buffer_printf(b, ", \"messages\": [");
    for (size_t end = 0; end < s->script->item_n; end++) {
        if (!s->script->item[end].ends_message)
            continue;
        size_t i = deciding_item(s, end);
        const struct outcome *o = &s->played->outcome[i];
        buffer_printf(b, "%s{\"at\": \"%s\", \"sent\": %s, \"code\": ", comma, i == end ? "end" : "data",
                      s->played->outcome[end].is_sent ? "true" : "false");
        buffer_printf(b, o->is_answered ? "%d" : "null", o->code);
        buffer_printf(b, ", \"recorded\": %d}", s->script->item[i].recorded);
        comma = ", ";
    }
    buffer_printf(b, "]");
}

static void add_json_codes(struct buffer *b, const struct session *s)
{
    const char *comma = "";

    buffer_printf(b, ", \"codes\": [");
    for (size_t i = 0; i < s->script->item_n; i++)
        if (s->played->outcome[i].is_answered) {
            buffer_printf(b, "%s%d", comma, s->played->outcome[i].code);
            comma = ", ";
        }
    buffer_printf(b, "]");
}

static void add_json_session(struct buffer *b, const struct session *s)
{
    char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

    buffer_printf(
        b, "  {\"session\": %zu, \"client\": \"%s\", \"server\": \"%s\", \"frame\": %u, \"not_played\": ", s->number,
        endpoint_print(&s->c->end[CLIENT], client), endpoint_print(&s->c->end[SERVER], server), s->c->frame);
    add_json_or_null(b, s->why_not);
    if (s->script)
        buffer_printf(b, ", \"octets\": %zu, \"recorded_replies\": %zu", s->script->octets.n,
                      count_recorded(s->script));
    if (s->played) {
        buffer_printf(b, ", \"replies\": %zu, \"unasked\": %zu, \"accepted\": %zu, \"tls\": ", s->played->replies,
                      s->played->unasked, count_accepted(s));
        add_json_or_null(b, s->tls);
        buffer_printf(b, ", \"ended_early\": ");
        add_json_or_null(b, s->played->stopped);
        add_json_codes(b, s);
        add_json_messages(b, s);
    }
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
    size_t n = 0;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        die(EXIT_CANNOT_SAVE, "%s: %s", folder, strerror(errno));
    for (size_t i = 0; i < s->script->item_n; i++) {
        struct buffer path = { 0 }, message = { 0 };
        if (!s->script->item[i].ends_message || !s->played->outcome[i].is_sent)
            continue;
        buffer_printf(&path, "%s/%zu-%zu.eml", folder, s->number, ++n);
        script_message(&message, s->script, i);
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

static void play(struct account *a, const struct options *o, struct session *s)
{
    struct wire w;
    struct played played;

    if (!wire_connect(&w, o->host, o->port, wire_now() + o->play.timeout_ms))
        die(EXIT_UNREACHABLE, "%s:%s: %s", o->host, o->port, w.error);
    if (o->play.is_verbose)
        printf("session %zu\n", s->number);
    if (script_play(&played, s->script, &w, &o->play) && s->script->has_starttls) {
        script_quit(&played, s->script, &w, &o->play);
        played.stopped = "what the recording says in TLS cannot be read";
    }
    s->tls = w.tls ? wire_tls_name(&w) : NULL;
    s->played = &played;
    if (o->save)
        save_messages(o->save, s);
    tell_or_add(a, o, s);
    wire_close(&w, s->script->is_reset);
    played_free(&played);
    s->played = NULL;
    s->tls = NULL;
    a->played++;
}

static void handle(struct account *a, const struct options *o, const struct connection *c, size_t number_of)
{
    struct session s = { .number = number_of, .c = c, .why_not = script_why_not(c) };
    struct script script = { 0 };

    if (!s.why_not) {
        script_make(&script, c->stream, true, &o->mapping);
        s.script = &script;
    }
    if (s.why_not || o->is_list)
        tell_or_add(a, o, &s);
    else
        play(a, o, &s);
    a->played += o->is_list && !s.why_not;
    script_free(&script);
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
    capture_read(&c, o.file, true);
    flows_read(&f, &c, (uint16_t)o.called_port);
    for (size_t i = 0; i < f.n; i++)
        if (o.session == 0 || o.session == i + 1)
            handle(&a, &o, &f.connection[i], i + 1);
    if (o.is_json)
        printf("{\"played\": %zu, \"sessions\": [\n%.*s\n]}\n", a.played, SLICE_ARG(a.json));
    if (!a.played)
        fprintf(stderr, "wirereplay: %s: nothing to play\n", o.file);
    buffer_free(&a.json);
    flows_free(&f);
    capture_free(&c);
    return a.played ? EXIT_PLAYED : EXIT_NOTHING;
}
