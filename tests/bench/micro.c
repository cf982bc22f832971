/* The hot paths, one at a time, for counting their instructions: tests/bench/micro runs this under callgrind, which counts
 * what happens within measured() alone.
 *
 *     micro list                  the cases
 *     micro CASE postern.ini      runs it; prints the number of units and what a unit is
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../policy/mime.h"
#include "../../proxy/session.h"
#include "../../proxy/smtp_command.h"
#include "../../proxy/smtp_data.h"
#include "../../proxy/smtp_reply.h"

enum { BODY = 1 << 20, PIECE = 16384, COMMANDS = 2000, REPLIES = 500, SESSIONS = 100, PER_SESSION = 10, LINE = 80 };

struct run {
    const char *ini;
    size_t units;
    struct str text; /* of a message body, or its end */
    size_t sum;      /* of results: nothing is optimised away */
};

static void die(const char *why)
{
    fprintf(stderr, "micro: %s\n", why);
    exit(EXIT_FAILURE);
}

/* Lines of 78 octets, every `dots`-th beginning with a dot (0: none), and the end of data. */
static struct str body_text(size_t octets, size_t dots)
{
    size_t lines = octets / LINE, n = lines * LINE;
    char *text = malloc(n + 3);

    if (text == NULL)
        die("out of memory");
    memset(text, 'x', n);
    for (size_t i = 0; i < lines; i++) {
        memcpy(text + i * LINE + LINE - 2, "\r\n", 2);
        if (dots > 0 && i % dots == 0)
            memcpy(text + i * LINE, "..", 2);
    }
    memcpy(text + n, ".\r\n", 3);
    return str_from(text, n + 3);
}

/* ---- the DATA stream ---- */

static void plain_body(struct run *run)
{
    run->text = body_text(BODY, 0);
}

static void dotted_body(struct run *run)
{
    run->text = body_text(BODY, 2);
}

static void read_piece(struct data_decoder *decoder, struct str in, struct run *run)
{
    while (in.n > 0) {
        size_t used;
        enum data_event event = data_read(decoder, in, &used);

        in = str_skip(in, used);
        run->sum += decoder->chunk.n;
        if (event == DATA_END)
            return;
    }
}

static void read_data(struct run *run)
{
    struct data_decoder decoder;
    struct str rest = run->text;

    data_init(&decoder, false, false, false);
    while (rest.n > 0) {
        struct str piece = str_from(rest.p, rest.n < PIECE ? rest.n : PIECE);

        read_piece(&decoder, piece, run);
        rest = str_skip(rest, piece.n);
    }
    run->units = run->text.n;
}

static bool count_run(void *to, struct str part)
{
    struct run *run = to;

    run->sum += part.n;
    return true;
}

static void stuff_data(struct run *run)
{
    struct str rest = run->text;
    bool at_line_start = true;

    while (rest.n > 0) {
        struct str piece = str_from(rest.p, rest.n < PIECE ? rest.n : PIECE);

        data_stuff(piece, &at_line_start, count_run, run);
        rest = str_skip(rest, piece.n);
    }
    run->units = run->text.n;
}

/* ---- the parts of a body ---- */

static void parts_in(struct run *run, const char *fields, const char *line)
{
    size_t front = strlen(fields), n = 10 * BODY;
    char *text = malloc(front + n);

    if (text == NULL)
        die("out of memory");
    memcpy(text, fields, front);
    for (size_t i = 0; i < n; i++)
        text[front + i] = line[i % strlen(line)];
    run->text = str_from(text, front + n);
}

static void base64_part(struct run *run)
{
    parts_in(run, "--b\r\nContent-Type: image/jpeg; name=a.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n",
             "VGhpcyBpcyBhIHBpY3R1cmUgb2YgYSBzdHJlYW0gYW5kIGEgYm9hdC4gVGhpcyBpcyBhIHBpY3R1\r\n");
}

static void text_part(struct run *run)
{
    parts_in(run, "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
             "Die s\xc3\xbc\xc3\x9f"
             "en Fr\xc3\xb6sche\r\nund\r\n\r\nbei den sieben Bergen, bei den sieben Zwergen; -- und so\r\n");
}

/* Every line is a candidate for each of two boundaries. */
static void dashed_part(struct run *run)
{
    parts_in(run, "--b\r\nContent-Type: multipart/mixed; boundary=\"----=_Part_1\"\r\n\r\n------=_Part_1\r\n\r\n",
             "------=_Part_2, which is none of the open ones\r\n");
}

static void walk_parts(struct run *run)
{
    static const struct mime_limits limits = { 100, 1000 };
    static struct mime mime;
    struct str rest = run->text;

    mime_begin(&mime, STR("Content-Type: multipart/mixed; boundary=b\r\n"), &limits);
    while (rest.n > 0) {
        struct str piece = str_from(rest.p, rest.n < PIECE ? rest.n : PIECE);

        mime_add(&mime, piece);
        rest = str_skip(rest, piece.n);
    }
    run->sum += mime.report_n + mime.told + 1;
    run->units = run->text.n;
}

/* ---- command lines and replies ---- */

static void parse_commands(struct run *run)
{
    static const struct str lines[] = {
        STR_INIT("EHLO mail.sender.example"),
        STR_INIT("MAIL FROM:<some.body@sender.example> SIZE=4096 BODY=8BITMIME"),
        STR_INIT("RCPT TO:<some.one@local.example>"),
        STR_INIT("DATA"),
    };
    struct command command;

    for (size_t i = 0; i < COMMANDS; i++)
        run->sum += command_parse(lines[i % 4], false, &command);
    run->units = COMMANDS;
}

static void read_replies(struct run *run)
{
    static const char text[] = "250-back.local.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n";
    struct reply_reader reader;

    reply_reader_init(&reader);
    for (size_t i = 0; i < REPLIES; i++) {
        size_t used;

        if (reply_read(&reader, STR(text), &used) != REPLY_READY)
            die("a reply was not read");
        run->sum += reply_take(&reader).text.n;
    }
    run->units = REPLIES;
}

/* ---- counting ---- */

enum { COUNTS = 10000, KEYS = 1000 };

/* Each key ten times: entries are made, found and added to. */
static void count_rates(struct run *run)
{
    struct rates *rates = rates_new(1 << 20);

    if (rates == NULL)
        die("no memory to count in");
    for (unsigned i = 0; i < COUNTS; i++) {
        unsigned key = i % KEYS;

        run->sum += rates_add(rates, str_from((const char *)&key, sizeof key), 60000, 1, 1000000 + i);
    }
    rates_free(rates);
    run->units = COUNTS;
}

/* ---- a session in memory, both wires ---- */

struct wires {
    struct session_env *env;
    struct session *session;
    size_t north_octets, south_octets; /* written */
};

static void write_leg(struct leg *leg, size_t *octets)
{
    *octets += leg->out.n;
    chain_clear(&leg->out);
}

/* Order of work in session.h; sockets take everything at once. */
static void carry_out(struct wires *w)
{
    struct session_wants *wants = session_wants(w->session);

    for (;;) {
        if (wants->south.end != LEG_OPEN) {
            chain_clear(&wants->south.out);
            wants->south.end = LEG_OPEN;
        } else if (wants->open_south) {
            wants->open_south = false;
            session_south_connected(w->session, NULL);
        } else if (wants->south.out.n > 0) {
            write_leg(&wants->south, &w->south_octets);
            session_south_written(w->session);
        } else if (wants->north.out.n > 0) {
            write_leg(&wants->north, &w->north_octets);
            session_north_written(w->session, true);
        } else {
            return;
        }
    }
}

static void north(struct wires *w, struct str in)
{
    while (in.n > 0) {
        size_t used = session_north_input(w->session, in);

        carry_out(w);
        if (used == 0)
            die("the session does not take what the client says");
        in = str_skip(in, used);
    }
}

static void south(struct wires *w, const char *line)
{
    if (session_south_input(w->session, str_of(line)) != strlen(line))
        die("the session does not take what the server says");
    carry_out(w);
}

static void play_message(struct wires *w, struct str message, bool is_first)
{
    north(w, STR("MAIL FROM:<some.body@sender.example>\r\n"));
    north(w, STR("RCPT TO:<some.one@local.example>\r\n"));
    if (is_first) {
        south(w, "220 back.local.example ESMTP\r\n");
        south(w, "250-back.local.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10240000\r\n");
    }
    south(w, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    north(w, STR("DATA\r\n"));
    north(w, STR("From: some.body@sender.example\r\nTo: some.one@local.example\r\nSubject: a message\r\n\r\n"));
    north(w, message);
    south(w, "354 go on\r\n");
    south(w, "250 2.0.0 taken\r\n");
}

static void play_session(struct wires *w, struct str message, size_t messages)
{
    static const struct listener listener = { .name = STR_INIT("smtp"), .tls = LISTEN_TLS_OFF };
    struct session_peer peer = { .listener = &listener, .id = "0123456789abc", .admission = ADMIT };

    address_parse(STR("192.0.2.1"), &peer.client.address);
    address_parse(STR("192.0.2.2"), &peer.server.address);
    w->session = session_new(w->env, &peer);
    if (w->session == NULL)
        die("out of memory");
    carry_out(w);
    north(w, STR("EHLO mail.sender.example\r\n"));
    for (size_t i = 0; i < messages; i++)
        play_message(w, message, i == 0);
    north(w, STR("QUIT\r\n"));
    south(w, "221 bye\r\n");
    if (!session_is_over(w->session))
        die("the session does not end");
    session_free(w->session);
    log_clear(w->env->log);
}

static struct session_env *new_env(const char *ini)
{
    static struct servers servers;
    struct session_env *env = calloc(1, sizeof *env);
    struct config *config = config_load(ini, stderr);

    if (env == NULL || config == NULL || !servers_init(&servers, config))
        die("no configuration");
    env->config = config;
    env->servers = &servers;
    env->past = past_new();
    env->log = log_new(LOG_LOGFMT, LOG_TO_STDERR, LOG_INFO, -1);
    env->now = 1000000;
    env->unix_ms = INT64_C(1795348800000);
    pool_init(&env->messages, (size_t)config->limits.message_memory);
    pool_init(&env->control, 1 << 20);
    if (env->log == NULL || env->past == NULL)
        die("out of memory");
    log_set_time(env->log, env->unix_ms);
    return env;
}

static void small_message(struct run *run)
{
    run->text = body_text(4000, 0);
}

static void play_sessions(struct run *run, size_t messages)
{
    struct wires w = { .env = new_env(run->ini) };
    size_t sessions = SESSIONS / messages;

    for (size_t i = 0; i < sessions; i++)
        play_session(&w, run->text, messages);
    if (w.env->accepted != sessions * messages)
        die("not all messages were accepted");
    run->sum += w.north_octets + w.south_octets;
    run->units = sessions * messages;
}

static void one_each(struct run *run)
{
    play_sessions(run, 1);
}

static void ten_each(struct run *run)
{
    play_sessions(run, PER_SESSION);
}

/* ---- the cases ---- */

static void nothing_to_prepare(struct run *run)
{
    (void)run;
}

static const struct {
    const char *name, *unit;
    void (*prepare)(struct run *);
    void (*run)(struct run *);
} cases[] = {
    { "data_read, plain lines", "octet", plain_body, read_data },
    { "data_read, every other line with a dot", "octet", dotted_body, read_data },
    { "data_stuff, plain lines", "octet", plain_body, stuff_data },
    { "data_stuff, every other line with a dot", "octet", dotted_body, stuff_data },
    { "mime_add, base64 in lines of 76", "octet", base64_part, walk_parts },
    { "mime_add, 8-bit text in short lines", "octet", text_part, walk_parts },
    { "mime_add, lines that begin as boundaries", "octet", dashed_part, walk_parts },
    { "command_parse", "command", nothing_to_prepare, parse_commands },
    { "reply_read and reply_take, four lines", "reply", nothing_to_prepare, read_replies },
    { "rates_add", "event", nothing_to_prepare, count_rates },
    { "session, 4 KB message of its own", "message", small_message, one_each },
    { "session, 4 KB message, ten in a session", "message", small_message, ten_each },
};

enum { CASES = sizeof cases / sizeof cases[0] };

void measured(void (*what)(struct run *), struct run *);

/* Callgrind begins to count here and ends on return (--toggle-collect=measured). */
__attribute__((noinline)) void measured(void (*what)(struct run *), struct run *run)
{
    what(run);
    run->sum++;
}

static int list(void)
{
    for (size_t i = 0; i < CASES; i++)
        printf("%zu %s\n", i, cases[i].name);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct run run = { 0 };
    size_t i = argc == 3 ? strtoul(argv[1], NULL, 10) : CASES;

    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    if (i >= CASES)
        die("no such case");
    run.ini = argv[2];
    cases[i].prepare(&run);
    measured(cases[i].run, &run);
    printf("%zu %s\n", run.units, cases[i].unit);
    return run.sum > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
