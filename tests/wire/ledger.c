/* A back end for fault campaigns: it takes every message and enters it into a book, a file mapped into memory, before it
 * answers. The book survives the ledger's own kill -9 (the pages are the kernel's), so what it once entered is committed.
 *
 *   ledger --fd N --book FILE [--before US] [--after US] [--lose PPM] [--late PPM] [--late-ms MS] [--seed N]
 *
 * N is a listening socket that was handed down. --before and --after: the longest pause, drawn at random, from the end of
 * a message to its entry and from there to the answer; they are what a real server's disk would be. Of a million messages
 * --lose are entered and never answered (the connection is closed: X2 of ORACLE 6), and --late are answered only after
 * --late-ms (X3). To show that the accounts notice it, --forget are answered and not entered, --double entered twice.
 *
 * The book is a head and entries of one size, little-endian as the machine is; parts/book.py reads it. A message is
 * known by its first line "Message-ID: <TOKEN.TRY@...": 32 hexadecimal digits and a number. What stands before that line
 * are the gateway's own fields; the sum is over all that follows, dots unstuffed.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum {
    TOKEN = 32,
    PEERS_MAX = 1024,
    READ_MIN = 16384,
    MESSAGE_MAX = 16 << 20,
    NS_PER_US = 1000,
    NS_PER_MS = 1000000,
};

enum fate { FATE_ANSWER, FATE_LOSE, FATE_LATE, FATE_FORGET, FATE_DOUBLE };

/* ---- the book ---- */

struct entry {
    char token[TOKEN];
    uint32_t try;
    uint32_t sum; /* CRC-32 of the client's part */
    uint64_t size;
    uint64_t time_ns; /* CLOCK_MONOTONIC, as Python's time.monotonic_ns() */
    uint32_t fate;
    uint32_t answered; /* its answer was handed to the kernel, or nobody took it: ms behind time_ns, and 1; 0 never */
};

struct book {
    char magic[8];
    _Atomic uint64_t count; /* entries that stand; one beyond is being written */
    uint64_t room;
    uint64_t strangers; /* messages without a token */
    uint64_t sessions;
    uint64_t unused[3];
    struct entry entry[];
};

static struct book *book;

static bool book_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat stat;
    void *map;

    if (fd < 0 || fstat(fd, &stat) != 0 || (size_t)stat.st_size < sizeof *book)
        return false;
    map = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return false;
    book = map;
    book->room = ((uint64_t)stat.st_size - sizeof *book) / sizeof *book->entry;
    memcpy(book->magic, "PLEDGER1", sizeof book->magic);
    return true;
}

/* The count goes up last: a ledger killed before that has not committed. */
static struct entry *book_enter(const struct entry *entry)
{
    static struct entry forgotten;
    uint64_t at = atomic_load(&book->count);

    if (entry->fate == FATE_FORGET)
        return &forgotten;
    if (at >= book->room)
        return NULL;
    book->entry[at] = *entry;
    atomic_store(&book->count, at + 1);
    return &book->entry[at];
}

/* ---- small things ---- */

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below) /* xorshift64* (Vigna 2016) */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return below > 0 ? (random_state * 2685821657736338717ULL >> 16) % below : 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t crc_table[256];

static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xedb88320U : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc(const char *p, size_t n)
{
    uint32_t c = UINT32_MAX;

    for (size_t i = 0; i < n; i++)
        c = crc_table[(c ^ (unsigned char)p[i]) & 255] ^ c >> 8;
    return c ^ UINT32_MAX;
}

/* ---- a peer ---- */

enum stage { STAGE_NONE, STAGE_ENTER, STAGE_ANSWER };

struct peer {
    int fd; /* -1: a free place */
    char *in;
    size_t n, room;
    size_t looked; /* of the message: no end of data begins before here */
    bool in_data;
    enum stage stage; /* what is due at `due`; nothing is read meanwhile */
    uint64_t due;
    struct entry entry;
    struct entry *entered;
};

static struct peer peer[PEERS_MAX];
static uint64_t before_us, after_us, late_ms = 1500;
static uint64_t ppm[FATE_DOUBLE + 1];

static void hang_up(struct peer *p)
{
    close(p->fd);
    free(p->in);
    *p = (struct peer){ .fd = -1 };
}

/* Answers are short: a peer that lets even these fill its window is dropped. */
static bool say(struct peer *p, const char *text)
{
    size_t n = strlen(text);

    return send(p->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* ---- messages ---- */

static size_t unstuff(char *p, size_t n)
{
    size_t out = 0;
    bool at_start = true;

    for (size_t i = 0; i < n; i++) {
        if (!(at_start && p[i] == '.'))
            p[out++] = p[i];
        at_start = p[i] == '\n';
    }
    return out;
}

static const char *client_part(const char *p, size_t n)
{
    static const char mark[] = "\nMessage-ID: <";
    size_t mark_n = sizeof mark - 1;
    const char *found;

    if (n >= mark_n - 1 && memcmp(p, mark + 1, mark_n - 1) == 0)
        return p;
    found = memmem(p, n, mark, mark_n);
    return found != NULL ? found + 1 : NULL;
}

static bool read_name(struct entry *entry, const char *p, size_t n)
{
    size_t at = strlen("Message-ID: <");
    unsigned long try = 0;

    if (n < at + TOKEN + 3 || p[at + TOKEN] != '.')
        return false;
    memcpy(entry->token, p + at, TOKEN);
    for (at += TOKEN + 1; at < n && p[at] >= '0' && p[at] <= '9' && try < 1000000; at++)
        try = try * 10 + (unsigned long)(p[at] - '0');
    entry->try = (uint32_t)try;
    return at < n && p[at] == '@';
}

static enum fate draw_fate(void)
{
    uint64_t dice = draw(1000000);

    for (enum fate fate = FATE_LOSE; fate <= FATE_DOUBLE; fate++) {
        if (dice < ppm[fate])
            return fate;
        dice -= ppm[fate];
    }
    return FATE_ANSWER;
}

/* The message is the first n octets of the input; the octets of its end follow. */
static void take_message(struct peer *p, size_t n, uint64_t now)
{
    size_t whole = unstuff(p->in, n);
    const char *part = client_part(p->in, whole);

    p->entry = (struct entry){ .fate = draw_fate() };
    if (part == NULL || !read_name(&p->entry, part, whole - (size_t)(part - p->in)))
        memset(p->entry.token, '?', TOKEN);
    else {
        p->entry.size = whole - (size_t)(part - p->in);
        p->entry.sum = crc(part, (size_t)p->entry.size);
    }
    p->in_data = false;
    p->stage = STAGE_ENTER;
    p->due = now + draw(before_us + 1) * NS_PER_US;
}

static void consume(struct peer *p, size_t n)
{
    p->n -= n;
    memmove(p->in, p->in + n, p->n);
    p->looked = 0;
}

/* False: more is needed. An end of data right behind the 354 has no CRLF in front of it. */
static bool look_for_end(struct peer *p, uint64_t now)
{
    static const char end[] = "\r\n.\r\n";
    const char *found;
    size_t n;

    if (p->n >= 3 && memcmp(p->in, ".\r\n", 3) == 0) {
        take_message(p, 0, now);
        consume(p, 3);
        return true;
    }
    found = p->n > p->looked ? memmem(p->in + p->looked, p->n - p->looked, end, 5) : NULL;
    if (found == NULL) {
        p->looked = p->n > 4 ? p->n - 4 : 0;
        return false;
    }
    n = (size_t)(found - p->in) + 2;
    {
        size_t rest = p->n - n - 3; /* unstuffing moves octets within the message only */

        take_message(p, n, now);
        memmove(p->in, p->in + p->n - rest, rest);
        p->n = rest;
        p->looked = 0;
    }
    return true;
}

/* What is due after a pause: the entry, then the answer. */
static bool go_on(struct peer *p, uint64_t now)
{
    if (p->stage == STAGE_ENTER) {
        p->entry.time_ns = now;
        if (p->entry.token[0] == '?')
            book->strangers++;
        p->entered = book_enter(&p->entry);
        if (p->entry.fate == FATE_DOUBLE)
            book_enter(&p->entry);
        if (p->entered == NULL)
            return false;
        p->stage = STAGE_ANSWER;
        p->due = p->entry.fate == FATE_LATE ? now + late_ms * 1000 * NS_PER_US : now + draw(after_us + 1) * NS_PER_US;
        return true;
    }
    p->stage = STAGE_NONE;
    if (p->entry.fate == FATE_LOSE)
        return false;
    p->entered->answered = (uint32_t)((now_ns() - p->entry.time_ns) / NS_PER_MS) + 1;
    return say(p, "250 2.0.0 entered\r\n");
}

/* ---- commands ---- */

struct command {
    const char *verb;
    const char *answer;
};

static const struct command commands[] = {
    { "EHLO", "250-ledger.local.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 "
              "ENHANCEDSTATUSCODES\r\n" },
    { "HELO", "250 ledger.local.example\r\n" },
    { "MAIL", "250 2.1.0 ok\r\n" },
    { "RCPT", "250 2.1.5 ok\r\n" },
    { "DATA", "354 go on\r\n" },
    { "RSET", "250 2.0.0 ok\r\n" },
    { "NOOP", "250 2.0.0 ok\r\n" },
    { "QUIT", "221 2.0.0 bye\r\n" },
};

static bool obey(struct peer *p, const char *line, size_t n)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (n >= 4 && strncasecmp(line, commands[i].verb, 4) == 0) {
            p->in_data = line[0] == 'D';
            return say(p, commands[i].answer) && line[0] != 'Q';
        }
    return say(p, "502 5.5.1 what?\r\n");
}

/* Works off what is there; false: the peer goes. */
static bool work(struct peer *p, uint64_t now)
{
    while (p->n > 0 && p->stage == STAGE_NONE) {
        const char *end;
        size_t n;

        if (p->in_data) {
            if (!look_for_end(p, now))
                return true;
            continue;
        }
        end = memchr(p->in, '\n', p->n);
        if (end == NULL)
            return true;
        n = (size_t)(end - p->in) + 1;
        if (!obey(p, p->in, n))
            return false;
        consume(p, n);
    }
    return true;
}

static bool read_more(struct peer *p)
{
    ssize_t n;

    if (p->room - p->n < READ_MIN) {
        size_t room = 2 * p->room + READ_MIN;
        char *in = room <= MESSAGE_MAX ? realloc(p->in, room) : NULL;

        if (in == NULL)
            return false;
        p->in = in;
        p->room = room;
    }
    n = recv(p->fd, p->in + p->n, p->room - p->n, 0);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    p->n += (size_t)n;
    return true;
}

/* ---- the loop ---- */

static void greet_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

    if (fd < 0)
        return;
    book->sessions++;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (peer[i].fd < 0) {
            peer[i].fd = fd;
            if (!say(&peer[i], "220 ledger.local.example ESMTP\r\n"))
                hang_up(&peer[i]);
            return;
        }
    close(fd);
}

static void serve_peer(struct peer *p, short events, uint64_t now)
{
    bool good = true;

    if (events != 0)
        good = read_more(p);
    if (good && p->stage != STAGE_NONE && p->due <= now)
        good = go_on(p, now);
    if (!good || !work(p, now))
        hang_up(p);
}

static void serve(int listener)
{
    struct pollfd poll[PEERS_MAX + 1];
    struct peer *of[PEERS_MAX + 1];

    for (;;) {
        uint64_t now = now_ns(), next = now + 1000000000;
        struct timespec wait;
        nfds_t n = 1;

        poll[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
        for (size_t i = 0; i < PEERS_MAX; i++)
            if (peer[i].fd >= 0) {
                if (peer[i].stage != STAGE_NONE && peer[i].due < next)
                    next = peer[i].due > now ? peer[i].due : now;
                of[n] = &peer[i];
                poll[n++] = (struct pollfd){ .fd = peer[i].stage == STAGE_NONE ? peer[i].fd : -1, .events = POLLIN };
            }
        wait = (struct timespec){ (time_t)((next - now) / 1000000000), (long)((next - now) % 1000000000) };
        if (ppoll(poll, n, &wait, NULL) < 0 && errno != EINTR)
            return;
        now = now_ns();
        for (nfds_t i = 1; i < n; i++)
            /* A peer that is gone is still entered, for its message was complete: nobody looks at it in a pause. */
            serve_peer(of[i], poll[i].revents, now);
        if (poll[0].revents != 0)
            greet_one(listener);
    }
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "fd", required_argument, NULL, 'f' },
        { "book", required_argument, NULL, 'b' },
        { "before", required_argument, NULL, 'B' },
        { "after", required_argument, NULL, 'A' },
        { "lose", required_argument, NULL, 'l' },
        { "late", required_argument, NULL, 'L' },
        { "late-ms", required_argument, NULL, 'm' },
        { "seed", required_argument, NULL, 's' },
        { "forget", required_argument, NULL, 'F' },
        { "double", required_argument, NULL, 'D' },
        { NULL, 0, NULL, 0 },
    };
    int listener = -1, option;
    bool opened = false;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'f': listener = (int)number(optarg); break;
        case 'b': opened = book_open(optarg); break;
        case 'B': before_us = number(optarg); break;
        case 'A': after_us = number(optarg); break;
        case 'l': ppm[FATE_LOSE] = number(optarg); break;
        case 'F': ppm[FATE_FORGET] = number(optarg); break;
        case 'D': ppm[FATE_DOUBLE] = number(optarg); break;
        case 'L': ppm[FATE_LATE] = number(optarg); break;
        case 'm': late_ms = number(optarg); break;
        case 's': random_state = number(optarg) * 2 + 1; break;
        default: return 2;
        }
    }
    if (!opened || listener < 0) {
        fprintf(stderr, "ledger: needs --book and --fd\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
    crc_init();
    for (size_t i = 0; i < PEERS_MAX; i++)
        peer[i].fd = -1;
    serve(listener);
    return 1;
}
