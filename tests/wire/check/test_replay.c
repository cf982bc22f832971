/* Scripts made of conversations, and played against a server that says what it is told to. */
#include "replay.h"

#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Conversations: each line is a segment in a frame of its own --- */

struct said {
    enum side side;
    const char *text;
};

enum { LONGEST_TALK = 24 };

static void add_segment(struct stream *s, const char *text, uint32_t frame)
{
    s->span = array_grow(s->span, s->span_n, sizeof *s->span);
    s->span[s->span_n++] = (struct span){ .at = s->octets.n, .frame = frame, .time = 1000 * (int64_t)frame };
    buffer_add(&s->octets, text, strlen(text));
}

static void free_streams(struct stream stream[2])
{
    for (int side = 0; side < 2; side++) {
        buffer_free(&stream[side].octets);
        free(stream[side].span);
    }
}

static const struct mapping nothing;

static void make(struct script *s, const struct said *said, const struct mapping *mapping)
{
    struct stream stream[2] = { 0 };

    for (uint32_t i = 0; i < LONGEST_TALK && said[i].text; i++)
        add_segment(&stream[said[i].side], said[i].text, i + 1);
    script_make(s, stream, true, mapping ? mapping : &nothing);
    free_streams(stream);
}

/* "kind at-end" of all items, a "!" behind those that are not complete, a "." behind the end of a message, then "|
 * at<wait" of all cuts. */
static void check_script(const struct script *s, const char *want)
{
    static const char kinds[] = { [ITEM_GREETING] = 'g', [ITEM_COMMAND] = 'c', [ITEM_STARTTLS] = 's',
                                  [ITEM_BODY] = 'b',     [ITEM_ANSWER] = 'a',  [ITEM_CHUNK] = 'k' };
    struct buffer b = { 0 };

    for (size_t i = 0; i < s->item_n; i++) {
        const struct item *item = &s->item[i];
        buffer_printf(&b, "%c%zu-%zu%s%s ", kinds[item->kind], item->at, item->end, item->is_complete ? "" : "!",
                      item->ends_message ? "." : "");
    }
    buffer_printf(&b, "|");
    for (size_t i = 0; i < s->cut_n; i++)
        buffer_printf(&b, " %zu<%zu", s->cut[i].at, s->cut[i].wait_for);
    CHECK_EQ_STR((const char *)b.p, b.n, want);
    buffer_free(&b);
}

static void makes_scripts(void)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct said said[LONGEST_TALK];
        const char *want;
    } rows[] = {
        { "turn by turn", { { SERVER, "220 hi\r\n" }, { CLIENT, "HELO a\r\n" }, { SERVER, "250 a\r\n" },
          { CLIENT, "QUIT\r\n" }, { SERVER, "221 b\r\n" } }, "g0-0 c0-8 c8-14 | 0<1 8<2" },
        { "pipelined, replies in pieces", { { SERVER, "220-hi\r\n22" }, { SERVER, "0 there\r\n" },
          { CLIENT, "EHLO a\r\nMA" }, { CLIENT, "IL\r\nRCPT\r\n" }, { SERVER, "250-a\r\n250 b\r\n250 c\r\n" },
          { SERVER, "250 d\r\n" }, { CLIENT, "QUIT\r\n" } }, "g0-0 c0-8 c8-14 c14-20 c20-26 | 0<1 10<1 20<4" },
        { "speaks too early", { { CLIENT, "HELO a\r\n" }, { SERVER, "220 hi\r\n" }, { SERVER, "250 a\r\n" } },
          "g0-0 c0-8 | 0<0" },
        { "a message", { { SERVER, "220 hi\r\n" }, { CLIENT, "DATA\r\n" }, { SERVER, "354 go\r\n" },
          { CLIENT, "a\r\n..\r\n" }, { CLIENT, "b\r\n.\r\nQUIT\r\n" }, { SERVER, "250 ok\r\n221 bye\r\n" } },
          "g0-0 c0-6 b6-19. c19-25 | 0<1 6<2 13<2" },
        { "an empty message", { { SERVER, "220 hi\r\n" }, { CLIENT, "DATA\r\n" }, { SERVER, "354 go\r\n" },
          { CLIENT, ".\r\n" } }, "g0-0 c0-6 b6-9. | 0<1 6<2" },
        { "a message without end", { { SERVER, "220 hi\r\n" }, { CLIENT, "DATA\r\n" }, { SERVER, "354 go\r\n" },
          { CLIENT, "a\r\n.\n\n.\r\n" } }, "g0-0 c0-6 b6-15! | 0<1 6<2" },
        { "DATA refused", { { SERVER, "220 hi\r\n" }, { CLIENT, "DATA\r\n" }, { SERVER, "503 no\r\n" },
          { CLIENT, "RSET\r\n" } }, "g0-0 c0-6 c6-12 | 0<1 6<2" },
        { "AUTH", { { SERVER, "220 hi\r\n" }, { CLIENT, "AUTH LOGIN\r\n" }, { SERVER, "334 a\r\n" },
          { CLIENT, "DATA\r\n" }, { SERVER, "334 b\r\n" }, { CLIENT, "Yg==\r\n" }, { SERVER, "235 c\r\n" },
          { CLIENT, "QUIT\r\n" } }, "g0-0 c0-12 a12-18 a18-24 c24-30 | 0<1 12<2 18<3 24<4" },
        { "BDAT, with what looks like commands", { { SERVER, "220 hi\r\n" },
          { CLIENT, "BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nBDAT 2 last\r\n\n\nRSET\r\n" } },
          "g0-0 k0-14 k14-27. k27-42. c42-48 | 0<1" },
        { "BDAT without its octets", { { SERVER, "220 hi\r\n" }, { CLIENT, "BDAT 7\r\nQUIT\r\n" } },
          "g0-0 k0-14! | 0<1" },
        { "BDAT too large, refused", { { SERVER, "220 hi\r\n" }, { CLIENT, "BDAT 99999999999999999999999\r\n" },
          { SERVER, "501 no\r\n" }, { CLIENT, "QUIT\r\n" } }, "g0-0 c0-30 c30-36 | 0<1 30<2" },
        { "BDAT too large", { { SERVER, "220 hi\r\n" }, { CLIENT, "BDAT 18446744073709551617 LAST\r\na" } },
          "g0-0 k0-33! | 0<1" },
        { "BDAT without a number", { { SERVER, "220 hi\r\n" }, { CLIENT, "BDAT -1\r\nBDAT\r\nBDATA 3\r\n" } },
          "g0-0 c0-9 c9-15 c15-24 | 0<1" },
        { "STARTTLS", { { SERVER, "220 hi\r\n" }, { CLIENT, "STARTTLS\r\n" }, { SERVER, "220 go\r\n" },
          { CLIENT, "\026\003\001\n\n" } }, "g0-0 s0-10 | 0<1" },
        { "STARTTLS refused", { { SERVER, "220 hi\r\n" }, { CLIENT, "STARTTLS\r\n" }, { SERVER, "454 no\r\n" },
          { CLIENT, "QUIT\r\n" } }, "g0-0 c0-10 c10-16 | 0<1 10<2" },
        { "a line without end", { { SERVER, "220 hi\r\n" }, { CLIENT, "QU" } }, "g0-0 c0-2! | 0<1" },
        { "nothing", { { SERVER, "220 hi\r\n" } }, "g0-0 |" },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        CHECK_ROW(rows[i].name);
        make(&s, rows[i].said, NULL);
        check_script(&s, rows[i].want);
        script_free(&s);
    }
}

/* --- Mapping --- */

static void maps_command_lines(void)
{
    static const struct {
        const char *line, *helo, *domain, *to, *want;
    } rows[] = {
        { "EHLO mail.example\r\n", "a", NULL, NULL, "EHLO a\r\n" },
        { "helo x\r\n", "longer.example", NULL, NULL, "helo longer.example\r\n" },
        { "EHLO \r\n", "a", NULL, NULL, "EHLO a\r\n" },
        { "EHLO\r\n", "a", NULL, NULL, "EHLO\r\n" },
        { "EHLOX y\r\n", "a", NULL, NULL, "EHLOX y\r\n" },
        { "RCPT TO:<u@old.example>\r\n", NULL, "new", NULL, "RCPT TO:<u@new>\r\n" },
        { "rcpt to: <u@o> NOTIFY=NEVER\r\n", NULL, "new", NULL, "rcpt to: <u@new> NOTIFY=NEVER\r\n" },
        { "RCPT TO:u@old ORCPT=rfc822;u@old\r\n", NULL, "new", NULL, "RCPT TO:u@new ORCPT=rfc822;u@old\r\n" },
        { "RCPT TO:<\"a@b>\\\"@c\"@old>\r\n", NULL, "new", NULL, "RCPT TO:<\"a@b>\\\"@c\"@new>\r\n" },
        { "RCPT TO:<@r.example:u@old>\r\n", NULL, "new", NULL, "RCPT TO:<@r.example:u@new>\r\n" },
        { "RCPT TO:<postmaster>\r\n", NULL, "new", NULL, "RCPT TO:<postmaster>\r\n" },
        { "RCPT TO:<postmaster>\r\n", NULL, NULL, "u@new", "RCPT TO:<u@new>\r\n" },
        { "RCPT TO:<u@old> A=B\r\n", NULL, "x", "u@new", "RCPT TO:<u@new> A=B\r\n" },
        { "RCPT TO:<u@old\r\n", NULL, "new", NULL, "RCPT TO:<u@new\r\n" },
        { "RCPT TO:<\"u\\\r\n", NULL, "new", NULL, "RCPT TO:<\"u\\\r\n" },
        { "MAIL FROM:<u@old>\r\n", "a", "new", "u@new", "MAIL FROM:<u@old>\r\n" },
        { "RCPT FROM:<u@old>\r\n", "a", "new", "u@new", "RCPT FROM:<u@old>\r\n" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script s;
        struct mapping mapping = { rows[i].helo, rows[i].domain, rows[i].to };
        CHECK_ROW(rows[i].line);
        make(&s, (struct said[LONGEST_TALK]){ { SERVER, "220 hi\r\n" }, { CLIENT, rows[i].line } }, &mapping);
        CHECK_EQ_STR((const char *)s.octets.p, s.octets.n, rows[i].want);
        script_free(&s);
    }
}

/* Segments keep their edges beside what became longer or shorter, and messages say what they said. */
static void moves_cuts_with_the_mapping(void)
{
    static const struct said said[LONGEST_TALK] = {
        { SERVER, "220 hi\r\n" },
        { CLIENT, "EH" },
        { CLIENT, "LO very.long.na" },
        { CLIENT, "me.example" },
        { CLIENT, "\r\nRCPT TO:<u@o" },
        { CLIENT, "ld>\r\nRCPT TO:<v@old>\r\nDA" },
        { CLIENT, "TA\r\n" },
        { SERVER, "250 a\r\n250 b\r\n250 c\r\n354 d\r\n" },
        { CLIENT, "RCPT TO:<u@old>\r\nEHLO x\r\n" },
        { CLIENT, ".\r\n" },
        { CLIENT, "BDAT 17\r\nRCPT TO:<u@old>\r\n" },
    };
    struct mapping mapping = { "ab", "new.example", NULL };
    struct script s;
    struct buffer b = { 0 };

    make(&s, said, &mapping);
    for (size_t i = 0; i < s.cut_n; i++) {
        size_t end = i + 1 < s.cut_n ? s.cut[i + 1].at : s.octets.n;
        buffer_printf(&b, "%.*s|", (int)(end - s.cut[i].at), (const char *)s.octets.p + s.cut[i].at);
    }
    CHECK_EQ_STR((const char *)b.p, b.n,
                 "EH|LO ab|\r\nRCPT TO:<u@n|ew.example>\r\nRCPT TO:<v@new.example>\r\nDA|TA\r\n|RCPT "
                 "TO:<u@old>\r\nEHLO x\r\n|.\r\n|"
                 "BDAT 17\r\nRCPT TO:<u@old>\r\n|");
    CHECK_EQ_INT(s.item_n, 7);
    CHECK_EQ_INT(s.item[6].end, s.octets.n);
    CHECK_EQ_INT(s.item[6].payload, s.octets.n - 17);
    CHECK_EQ_INT(s.item[5].kind, ITEM_BODY);
    buffer_free(&b);
    script_free(&s);
}

/* A load balancer's header is no part of what the client said: in a segment of its own, or with a command behind it. */
static void leaves_proxy_headers_out(void)
{
    static const struct {
        const char *name;
        struct said said[LONGEST_TALK];
        const char *want;
    } rows[] = {
        { "v1",
          { { CLIENT, "PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n" }, { SERVER, "220 hi\r\n" }, { CLIENT, "HELO a\r\n" } },
          "g0-0 c0-9 | 0<1" },
        { "v1 with a command",
          { { CLIENT, "PROXY UNKNOWN\r\nHELO a\r\n" }, { SERVER, "220 hi\r\n250 a\r\n" }, { CLIENT, "QUIT\r\n" } },
          "g0-0 c0-9 c9-15 | 0<0 9<2" },
        { "v1 alone", { { CLIENT, "PROXY UNKNOWN\r\n" }, { SERVER, "220 hi\r\n" } }, "g0-0 |" },
        { "none behind a command",
          { { SERVER, "220 hi\r\n" }, { CLIENT, "HELO a\r\nPROXY UNKNOWN\r\n" } },
          "g0-0 c0-9 c9-24 | 0<1" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mapping mapping = { "ab", NULL, NULL };
        struct script s;
        CHECK_ROW(rows[i].name);
        make(&s, rows[i].said, &mapping);
        check_script(&s, rows[i].want);
        script_free(&s);
    }
}

/* Version 2 is binary: its length is in octets 14 and 15. */
static void leaves_binary_proxy_headers_out(void)
{
    static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\x19";
    struct stream stream[2] = { 0 };
    struct script s;

    add_segment(&stream[CLIENT], "", 1);
    buffer_add(&stream[CLIENT].octets, header, sizeof header - 1);
    add_segment(&stream[SERVER], "220 hi\r\n", 2);
    add_segment(&stream[CLIENT], "HELO a\r\n", 3);
    script_make(&s, stream, true, &nothing);
    check_script(&s, "g0-0 c0-8 | 0<1");
    CHECK_EQ_STR((const char *)s.octets.p, s.octets.n, "HELO a\r\n");
    script_free(&s);
    free_streams(stream);
}

static void saves_messages(void)
{
    static const struct said said[LONGEST_TALK] = {
        { SERVER, "220 hi\r\n" },
        { CLIENT, "DATA\r\n" },
        { SERVER, "354 go\r\n" },
        { CLIENT, "..a\r\n.\n..b\r\n.c\r\n...\r\n\r\n.\r\n" },
        { CLIENT, "DATA\r\n" },
        { SERVER, "250 a\r\n354 go\r\n" },
        { CLIENT, ".\r\nBDAT 3\r\n.\r\nBDAT 2 LAST\r\n\r\nBDAT 1 LAST\r\nx" },
    };
    static const char *const want[] = { ".a\r\n\n..b\r\nc\r\n..\r\n\r\n", "", ".\r\n\r\n", "x" };
    struct script s;
    size_t n = 0;

    make(&s, said, NULL);
    for (size_t i = 0; i < s.item_n; i++) {
        struct buffer message = { 0 };
        if (!s.item[i].ends_message)
            continue;
        script_message(&message, &s, i);
        CHECK(n < 4);
        if (n < 4)
            CHECK_EQ_STR((const char *)message.p, message.n, want[n]);
        n++;
        buffer_free(&message);
    }
    CHECK_EQ_INT(n, 4);
    script_free(&s);
}

/* --- What cannot be played --- */

#define NO_CLIENT "no SMTP: the client says neither EHLO, HELO nor MAIL"

static void says_why_not(void)
{
    /* clang-format off */
    static const struct {
        const char *client, *server, *doubt, *want;
        bool is_refused;
    } rows[] = {
        { "HELO a\r\nQUIT\r\n", "220 hi\r\n", NULL, "can be played", false },
        { "ehlo\r\n", "421 later\r\n", NULL, "can be played", false },
        { "NOOP\r\nMAIL FROM:<>\r\n", "220-hi\r\n220 there\r\n", NULL, "can be played", false },
        { "PROXY UNKNOWN\r\nMAIL", "220 hi\r\n", NULL, "can be played", false },
        { "USER mail\r\nPASS helo\r\nLIST\r\nMAILX\r\nQUIT\r\n", "220 FTP\r\n331 a\r\n230 b\r\n", NULL, NO_CLIENT,
          false },
        { "QUIT\r\n", "220 hi\r\n", NULL, NO_CLIENT, false },
        { "", "220 hi\r\n", NULL, NO_CLIENT, false },
        { "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\026\003\001", "", "its start was not captured",
          "one side only: no octet of the server was captured", false },
        { "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\026\003\001", "\026\003\003", NULL, "TLS from the first octet", false },
        { "QUIT\r\n", "220 hi\r\n", "octets of the client are missing", "octets of the client are missing", false },
        { "QUIT\r\n", "", "its start was not captured", "one side only: no octet of the server was captured", false },
        { "", "", NULL, "the connection was refused", true },
        { "", "", NULL, "nothing was said", false },
        { "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n", NULL, "no SMTP: the server does not begin with a reply",
          false },
        { "", "220 hi", NULL, "no SMTP: the server does not begin with a reply", false },
        { "\026\003\001", "\026\003\003", NULL, "TLS from the first octet", false },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct connection c = { .doubt = rows[i].doubt, .is_refused = rows[i].is_refused };
        CHECK_ROW(rows[i].want);
        add_segment(&c.stream[CLIENT], rows[i].client, 2);
        add_segment(&c.stream[SERVER], rows[i].server, 1);
        struct recording r;
        recording_make(&r, &c, NULL, &nothing);
        const char *why = r.why_not ? r.why_not : "can be played";
        CHECK_EQ_STR(why, strlen(why), rows[i].want);
        recording_free(&r);
        free_streams(c.stream);
    }
}

static void reads_replies(void)
{
    struct slice s = SLICE("220-a\r\n220-b\r\n220 c\r\n250\r\nnonsense\r\n354 go\n25");
    static const int codes[] = { 220, 250, 0, 354, -1, -1 };
    size_t at = 0;

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        CHECK_EQ_INT(reply_next(s, &at), codes[i]);
    CHECK_EQ_INT(at, s.n - 2);
}

/* --- Playing --- */

/* What the server does: once it has `octets` in all, it says `reply`; NULL ends the list, "" closes the connection. */
struct answer {
    size_t octets;
    const char *reply;
};

enum { LONGEST_ANSWERS = 12 };

/* Serves one connection, and writes to `out` all that it heard, with "[reply]" where it said something. */
static void serve(int listener, int out, const struct answer *answers)
{
    char block[4096];
    size_t heard = 0, next = 0;
    int s = accept(listener, NULL, NULL);

    for (;;) {
        for (; answers[next].reply && heard >= answers[next].octets; next++) {
            const char *reply = answers[next].reply;
            dprintf(out, "[%.3s]", reply);
            if (!*reply || write(s, reply, strlen(reply)) < 0)
                _exit(0);
        }
        ssize_t n = read(s, block, answers[next].reply ? 1 : sizeof block); /* no octet more than this answer needs */
        if (n <= 0)
            _exit(0);
        heard += (size_t)n;
        if (write(out, block, (size_t)n) != n)
            _exit(1);
    }
}

struct server {
    pid_t pid;
    int heard;
    char port[8];
};

static struct server start_server(const struct answer *answers)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    struct server server = { 0 };
    int pipes[2], listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 1) != 0 || pipe(pipes) != 0)
        perror("server");
    getsockname(listener, (struct sockaddr *)&a, &size);
    snprintf(server.port, sizeof server.port, "%u", ntohs(a.sin_port));
    server.pid = fork();
    if (server.pid == 0)
        serve(listener, pipes[1], answers);
    close(listener);
    close(pipes[1]);
    server.heard = pipes[0];
    return server;
}

static struct buffer end_server(struct server *server)
{
    struct buffer b = { 0 };
    char block[4096];
    ssize_t n;

    while ((n = read(server->heard, block, sizeof block)) > 0)
        buffer_add(&b, block, (size_t)n);
    close(server->heard);
    waitpid(server->pid, NULL, 0);
    return b;
}

/* A session with a message and something behind it. Octets: HELO 8, DATA 14, message 20, QUIT 26. */
static const struct said with_message[LONGEST_TALK] = {
    { SERVER, "220 hi\r\n" }, { CLIENT, "HELO a\r\n" },  { SERVER, "250 a\r\n" }, { CLIENT, "DATA\r\n" },
    { SERVER, "354 go\r\n" }, { CLIENT, "a\r\n" },       { CLIENT, ".\r\n" },     { SERVER, "250 ok\r\n" },
    { CLIENT, "QUIT\r\n" },   { SERVER, "221 bye\r\n" },
};
static const struct said data_refused[LONGEST_TALK] = {
    { SERVER, "220 hi\r\n" }, { CLIENT, "DATA\r\n" },    { SERVER, "503 no\r\n" },
    { CLIENT, "QUIT\r\n" },   { SERVER, "221 bye\r\n" },
};
static const struct said with_auth[LONGEST_TALK] = {
    { SERVER, "220 hi\r\n" }, { CLIENT, "AUTH X\r\n" }, { SERVER, "334 \r\n" },    { CLIENT, "secret\r\n" },
    { SERVER, "235 ok\r\n" }, { CLIENT, "QUIT\r\n" },   { SERVER, "221 bye\r\n" },
};
static const struct said with_tls[LONGEST_TALK] = {
    { SERVER, "220 hi\r\n" },   { CLIENT, "EHLO a\r\n" }, { SERVER, "250 a\r\n" },
    { CLIENT, "STARTTLS\r\n" }, { SERVER, "220 go\r\n" }, { CLIENT, "\026\003" },
};

static void plays(void)
{
    /* clang-format off */
    static const struct {
        const char *name;
        const struct said *said;
        enum pieces pieces;
        bool is_blind;
        struct answer answers[LONGEST_ANSWERS];
        const char *heard, *stopped;
        size_t replies, unasked;
    } rows[] = {
        { "as recorded", with_message, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "250 a\r\n" },
          { 14, "354 go\r\n" }, { 20, "250 ok\r\n" }, { 26, "221 bye\r\n" } },
          "[220]HELO a\r\n[250]DATA\r\n[354]a\r\n.\r\n[250]QUIT\r\n[221]", "no", 5, 0 },
        { "octet by octet", with_message, PIECES_OCTETS, false, { { 0, "220-hi\r\n220 there\r\n" },
          { 8, "250 a\r\n" }, { 14, "354 go\r\n" }, { 20, "250 ok\r\n" }, { 26, "221 bye\r\n" } },
          "[220]HELO a\r\n[250]DATA\r\n[354]a\r\n.\r\n[250]QUIT\r\n[221]", "no", 5, 0 },
        { "refuses all", with_message, PIECES_WHOLE, false, { { 0, "220 hi\r\n" }, { 8, "550 no\r\n" },
          { 14, "503 no\r\n" }, { 20, "221 bye\r\n" } }, "[220]HELO a\r\n[550]DATA\r\n[503]QUIT\r\n[221]", "no", 4,
          0 },
        { "refuses DATA, blind", with_message, PIECES_RECORDED, true, { { 0, "220 hi\r\n" }, { 8, "250 a\r\n" },
          { 14, "503 no\r\n" }, { 17, "500 a\r\n" }, { 20, "500 .\r\n" }, { 26, "221 bye\r\n" } },
          "[220]HELO a\r\n[250]DATA\r\n[503]a\r\n[500].\r\n[500]QUIT\r\n[221]", "no", 6, 1 },
        { "closes", with_message, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "421 later\r\n" }, { 8, "" } },
          "[220]HELO a\r\n[421][]", "closed or reset", 2, 0 },
        { "says nothing", with_message, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "250-never\r\n" } },
          "[220]HELO a\r\n[250]", "no answer in time", 1, 0 },
        { "waits for a message", data_refused, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 6, "354 go\r\n" } },
          "[220]DATA\r\n[354]", "the gateway waits for a message that the recording does not have", 2, 0 },
        { "wants no secret", with_auth, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "504 no\r\n" },
          { 14, "221 bye\r\n" } }, "[220]AUTH X\r\n[504]QUIT\r\n[221]", "no", 3, 0 },
        { "wants a secret", with_auth, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "334 \r\n" },
          { 16, "535 no\r\n" }, { 22, "221 bye\r\n" } }, "[220]AUTH X\r\n[334]secret\r\n[535]QUIT\r\n[221]", "no", 4,
          0 },
        { "TLS in the recording", with_tls, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "250 a\r\n" },
          { 14, "221 bye\r\n" } }, "[220]EHLO a\r\n[250]QUIT\r\n[221]", "the recording begins TLS here", 3, 0 },
        { "says more than asked", with_message, PIECES_RECORDED, false, { { 0, "220 hi\r\n" }, { 8, "250 a\r\n" },
          { 14, "354 go\r\n" }, { 20, "250 ok\r\n" }, { 26, "221 bye\r\n" }, { 26, "250 twice\r\n" } },
          "[220]HELO a\r\n[250]DATA\r\n[354]a\r\n.\r\n[250]QUIT\r\n[221][250]", "no", 6, 1 },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct play_options options = {
            .pieces = rows[i].pieces, .is_blind = rows[i].is_blind, .timeout_ms = 1000, .server_name = "a"
        };
        struct script s;
        struct wire w;
        struct played played;
        CHECK_ROW(rows[i].name);
        struct server server = start_server(rows[i].answers);
        make(&s, rows[i].said, NULL);
        CHECK(wire_connect(&w, "127.0.0.1", server.port, wire_now() + 5000));
        script_play(&played, &s, &w, &options);
        const char *stopped = played.stopped ? played.stopped : "no";
        if (strcmp(stopped, "the gateway closed the connection") == 0 ||
            strcmp(stopped, "the gateway reset the connection") == 0)
            stopped = "closed or reset"; /* as our next octets come before its FIN or after it */
        CHECK_EQ_STR(stopped, strlen(stopped), rows[i].stopped);
        CHECK_EQ_INT(played.replies, rows[i].replies);
        CHECK_EQ_INT(played.unasked, rows[i].unasked);
        played_free(&played);
        wire_close(&w, false);
        struct buffer heard = end_server(&server);
        CHECK_EQ_STR((const char *)heard.p, heard.n, rows[i].heard);
        buffer_free(&heard);
        script_free(&s);
    }
}

static void reaches_nobody(void)
{
    struct wire w;

    CHECK(!wire_connect(&w, "127.0.0.1", "1", wire_now() + 2000));
    CHECK(w.error != NULL);
}

static const struct test_case tests[] = {
    TEST(makes_scripts),
    TEST(maps_command_lines),
    TEST(moves_cuts_with_the_mapping),
    TEST(leaves_proxy_headers_out),
    TEST(leaves_binary_proxy_headers_out),
    TEST(saves_messages),
    TEST(says_why_not),
    TEST(reads_replies),
    TEST(plays),
    TEST(reaches_nobody),
};
TEST_MAIN(tests)
