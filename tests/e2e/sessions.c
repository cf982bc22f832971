/* Plays many SMTP sessions of several kinds, one after the other in each of some processes, and checks the code of each
 * reply.
 *
 *     sessions ADDRESS PORT SESSIONS PROCESSES
 *
 * Exit status 1 when an answer was not the one expected. Clients come from 127.1.0.1 on, an address per process, so that
 * the ports of one address never run out.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 6, BIG_OCTETS = 200000, PATIENCE_S = 30 };

struct step {
    const char *send;
    const char *codes; /* of the replies to wait for */
};

/* A kind of session. `big`: a long message body is sent behind the third step. `cut`: it ends in a reset. */
struct kind {
    unsigned weight;
    struct step step[STEPS];
    bool big, cut;
};

#define EHLO "EHLO client.example\r\n"
#define ENVELOPE "MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n"
#define MESSAGE "Subject: x\r\n\r\n..\r\nhello\r\n.\r\n"
#define QUIT "QUIT\r\n", "221"
/* As the scenarios have it: made up, with a key made up (tests/scenario/authentication.txt). */
#define SIGNED \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=sender.example; s=k1; h=from:to:subject;" \
    " bh=kmjWRdQb+kpvA4ZSXI9Gm/RUAw0QJguOg7YOVst7P7Q=;" \
    " b=mK6u6AZStSBdNjKBBcnjbtFABdFZoYGlKlzkIJ+FbC+s9hcZR7N1mfPG3mrHdzWq/Q6/M1eA0Bxd3MFCdT8eCw==\r\n" \
    "From: Alice <alice@sender.example>\r\nTo: bob@local.example\r\nSubject: signed\r\n\r\nHi Bob.\r\n.\r\n"

/* clang-format off */
static const struct kind kinds[] = {
    { 8,
      { { "", "220" }, { EHLO, "250" }, { ENVELOPE "DATA\r\n", "250 250 354" }, { MESSAGE, "250" }, { QUIT } },
      0,
      0 },
    { 2,
      { { "", "220" },
        { EHLO, "250" },
        { ENVELOPE "DATA\r\n", "250 250 354" },
        { MESSAGE ENVELOPE "DATA\r\n", "250 250 250 354" },
        { MESSAGE "QUIT\r\n", "250 221" } },
      0,
      0 },
    { 4,
      { { "", "220" },
        { EHLO, "250" },
        { ENVELOPE "DATA\r\n", "250 250 354" },
        { SIGNED ENVELOPE "DATA\r\n", "250 250 250 354" },
        { SIGNED, "250" },
        { QUIT } },
      0,
      0 },
    { 1,
      { { "", "220" }, { EHLO, "250" }, { ENVELOPE "BDAT 14 LAST\r\nSubject: x\r\n\r\n", "250 250 250" }, { QUIT } },
      0,
      0 },
    { 1,
      { { "", "220" }, { EHLO, "250" }, { ENVELOPE "DATA\r\n", "250 250 354" }, { ".\r\n", "250" }, { QUIT } },
      true,
      0 },
    { 2,
      { { "", "220" },
        { EHLO, "250" },
        { "MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@other.example>\r\n", "250 550" },
        { QUIT } },
      0,
      0 },
    { 1,
      { { "", "220" },
        { EHLO, "250" },
        { ENVELOPE "DATA\r\n", "250 250 354" },
        { "bare\nline feed\r\n.\r\n", "550" },
        { QUIT } },
      0,
      0 },
    { 1,
      { { "", "220" }, { EHLO, "250" }, { ENVELOPE "RSET\r\n", "250 250 250" }, { "VRFY x\r\n", "252" }, { QUIT } },
      0,
      0 },
    { 1,
      { { "", "220" }, { EHLO, "250" }, { ENVELOPE "DATA\r\n", "250 250 354" }, { "Subject: cut\r\n\r\n", "" } },
      0,
      true },
    { 1, { { "", "220" }, { EHLO, "250" }, { ENVELOPE "DATA\r\n", "250 250 354" } }, true, true },
    { 1, { { "", "220" }, { EHLO, "250" }, { "STARTTLS\r\n", "220" }, { "no client hello\r\n", "" } }, 0, true },
    { 1, { { "", "220" } }, 0, true },
};
/* clang-format on */

enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct client {
    int fd;
    size_t n;
    char in[4096];
};

static char big[BIG_OCTETS + 1];

static void make_big(void)
{
    for (size_t i = 0; i < BIG_OCTETS; i += 80)
        snprintf(big + i, 81, "%078zu\r\n", i);
}

static bool connect_to(struct client *c, const struct sockaddr_in *to, unsigned process)
{
    const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001 + process) };
    const struct timeval patience = { PATIENCE_S, 0 };
    int on = 1;

    c->n = 0;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    return c->fd >= 0 && setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
           bind(c->fd, (const struct sockaddr *)&from, sizeof from) == 0 &&
           connect(c->fd, (const struct sockaddr *)to, sizeof *to) == 0;
}

static bool send_all(const struct client *c, const char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        ssize_t sent = send(c->fd, text, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        text += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Takes one line off the input, without its end; false when the connection has ended. */
static bool read_line(struct client *c, char line[600])
{
    char *end;
    ssize_t n;

    while ((end = memchr(c->in, '\n', c->n)) == NULL) {
        n = c->n < sizeof c->in ? recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0) : 0;
        if (n <= 0)
            return false;
        c->n += (size_t)n;
    }
    snprintf(line, 600, "%.*s", (int)(end - c->in), c->in);
    c->n -= (size_t)(end + 1 - c->in);
    memmove(c->in, end + 1, c->n);
    return true;
}

static bool expect(struct client *c, const char *code)
{
    char line[600];

    do {
        if (!read_line(c, line)) {
            fprintf(stderr, "sessions: no answer where %.3s was due\n", code);
            return false;
        }
    } while (line[3] == '-');
    if (strncmp(line, code, 3) == 0)
        return true;
    fprintf(stderr, "sessions: %.3s was due, but it said: %s\n", code, line);
    return false;
}

static bool expect_all(struct client *c, const char *codes)
{
    for (; *codes != '\0'; codes += codes[3] == ' ' ? 4 : 3)
        if (!expect(c, codes))
            return false;
    return true;
}

static bool play_steps(struct client *c, const struct kind *kind)
{
    for (size_t i = 0; i < STEPS && kind->step[i].send != NULL; i++) {
        const struct step *step = &kind->step[i];

        if (!send_all(c, step->send) || !expect_all(c, step->codes))
            return false;
        if (kind->big && i == 2 && !send_all(c, big))
            return false;
    }
    return true;
}

static bool play(const struct kind *kind, const struct sockaddr_in *to, unsigned process)
{
    const struct linger reset = { 1, 0 };
    struct client c;
    bool ok = connect_to(&c, to, process) && play_steps(&c, kind);

    if (kind->cut)
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!ok)
        perror("sessions");
    close(c.fd);
    return ok;
}

static const struct kind *kind_of(unsigned number)
{
    unsigned all = 0, i = 0;

    for (unsigned k = 0; k < KINDS; k++)
        all += kinds[k].weight;
    for (number %= all; number >= kinds[i].weight; i++)
        number -= kinds[i].weight;
    return &kinds[i];
}

static int play_many(const struct sockaddr_in *to, unsigned process, unsigned sessions)
{
    for (unsigned i = 0; i < sessions; i++)
        if (!play(kind_of(i), to, process))
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}

static int wait_for_all(unsigned processes)
{
    int result = EXIT_SUCCESS, status;

    while (processes-- > 0)
        if (wait(&status) < 0 || status != 0)
            result = EXIT_FAILURE;
    return result;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    unsigned sessions, processes;

    if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: sessions ADDRESS PORT SESSIONS PROCESSES\n");
        return EXIT_FAILURE;
    }
    to.sin_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
    sessions = (unsigned)strtoul(argv[3], NULL, 10);
    processes = (unsigned)strtoul(argv[4], NULL, 10);
    make_big();
    for (unsigned process = 0; process < processes; process++)
        if (fork() == 0)
            exit(play_many(&to, process, sessions / processes));
    return wait_for_all(processes);
}
