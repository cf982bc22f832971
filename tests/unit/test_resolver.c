/* The resolver against a server of the test's own, on loopback in the same process: who gets an answer, what is asked how
 * often, and what is kept for how long. The cache's time is the test's; c-ares has the real one, in tenths of seconds.
 */
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dns_message.h"
#include "proxy/resolver_parts.h"
#include "test.h"

enum { SOCKETS = 256, QUERIES = 1024, ANSWERS = 1024, LONG_MS = 5000 };

/* What the server says about a name: lines as in dns_message.h. */
enum manner {
    SAY,           /* the lines */
    SILENT,        /* nothing */
    TRUNCATE,      /* TC over UDP, the lines over TCP */
    TRUNCATE_ONLY, /* TC over UDP, nothing over TCP */
    FORGE,         /* wrong id, wrong question; then the lines */
    LOWER,         /* the question in lower case */
    HUGE,          /* TC over UDP; over TCP 64 KB that would take 10 MB to read */
    CHAIN          /* every name is an alias of another, whose records are left out */
};

struct zone_row {
    const char *name; /* "*": any other */
    unsigned flags;
    const char *lines;
    enum manner manner;
};

struct seen {
    char name[256]; /* lower case */
    unsigned type, id, port;
    bool by_tcp;
};

struct answer {
    uint64_t asker;
    enum fact_state state;
    char key[256], text[512];
};

static struct {
    const struct zone_row *zone;
    struct endpoint server;
    int udp, tcp, connection;
    struct seen seen[QUERIES];
    size_t seen_n;
    bool holds; /* does not answer until told to; what came waits in the socket */

    struct endpoint servers[DNS_SERVERS_MAX];
    struct dns_settings settings;
    uint64_t now, skipped; /* ms */
    struct resolver *resolver;
    struct pollfd watched[SOCKETS];
    nfds_t watched_n;
    struct answer answer[ANSWERS];
    size_t answers;
} rig;

/* ---- the server ---- */

static const struct zone_row *row_of(const char *name)
{
    const struct zone_row *row = rig.zone;

    while (row->name != NULL && strcmp(row->name, name) != 0 && strcmp(row->name, "*") != 0)
        row++;
    return row->name != NULL ? row : NULL;
}

static size_t read_question(const uint8_t *p, struct seen *seen)
{
    size_t at = 12, n = 0;

    while (p[at] != 0) {
        for (size_t i = 1; i <= p[at]; i++)
            seen->name[n++] = ascii_lower((char)p[at + i]);
        seen->name[n++] = '.';
        at += 1U + p[at];
    }
    seen->name[n > 0 ? n - 1 : 0] = '\0';
    seen->type = (unsigned)p[at + 1] << 8 | p[at + 2];
    seen->id = (unsigned)p[0] << 8 | p[1];
    return at + 5;
}

/* Records that are few octets to send and many to write down: names of 250 octets, each escaped. */
static void compose_huge(struct dns_message *m)
{
    static const char head[] = "\0\2\0\1\0\0\0\1\0\2";
    uint8_t label[64], pointer[2] = { (uint8_t)(0xc0 | m->n >> 8), (uint8_t)m->n };
    unsigned n = 0;

    memset(label, 1, sizeof label);
    for (int i = 0; i < 4; i++) {
        label[0] = i < 3 ? 63 : 57;
        dns_put(m, label, 1U + label[0]);
    }
    dns_put(m, "", 1);
    do {
        if (n++ > 0)
            dns_put(m, pointer, 2);
        dns_put(m, head, sizeof head - 1);
        dns_put(m, pointer, 2);
    } while (m->n + 14 <= sizeof m->octet);
    m->octet[6] = (uint8_t)(n >> 8);
    m->octet[7] = (uint8_t)n;
}

/* The message for a row, with the question as it was asked. */
static void compose(struct dns_message *m, const uint8_t *query, size_t question_end, const struct zone_row *row,
                    const struct seen *seen)
{
    char chain[600];

    dns_message_begin(m, seen->id, row->flags != 0 ? row->flags : 0x8180, seen->name, seen->type);
    if (row->manner != LOWER)
        memcpy(m->octet + 12, query + 12, question_end - 12);
    if (row->manner == HUGE) {
        compose_huge(m);
        return;
    }
    if (row->manner == CHAIN) {
        snprintf(chain, sizeof chain, "%s CNAME 60 x%s", seen->name, seen->name);
        dns_message_add(m, chain);
        return;
    }
    dns_message_add(m, row->lines);
}

static void send_udp(const struct dns_message *m, const struct sockaddr_in *to)
{
    sendto(rig.udp, m->octet, m->n, 0, (const struct sockaddr *)(const void *)to, sizeof *to);
}

static void forge(struct dns_message *m, const struct sockaddr_in *to)
{
    struct dns_message lie = *m;

    dns_message_add(&lie, "e.example A 60 203.0.113.66");
    lie.octet[1] ^= 1; /* the id */
    send_udp(&lie, to);
    lie.octet[1] ^= 1;
    lie.octet[13] = lie.octet[13] == 'q' ? 'r' : 'q'; /* the question's name */
    send_udp(&lie, to);
}

static void serve_udp(void)
{
    static struct dns_message m;
    uint8_t query[4096];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t n = recvfrom(rig.udp, query, sizeof query, MSG_DONTWAIT, (struct sockaddr *)(void *)&from, &size);
    struct seen *seen = &rig.seen[rig.seen_n % QUERIES];
    const struct zone_row *row;
    size_t end;

    if (n < 17)
        return;
    rig.seen_n++;
    end = read_question(query, seen);
    seen->port = ntohs(from.sin_port);
    seen->by_tcp = false;
    row = row_of(seen->name);
    if (row == NULL || row->manner == SILENT)
        return;
    compose(&m, query, end, row, seen);
    if (row->manner == FORGE)
        forge(&m, &from);
    if (row->manner == TRUNCATE || row->manner == TRUNCATE_ONLY || row->manner == HUGE) {
        m.octet[2] |= 2;
        m.octet[7] = 0;
        m.n = end;
    }
    send_udp(&m, &from);
}

static void serve_tcp(void)
{
    static struct dns_message m;
    uint8_t query[4096], length[2];
    ssize_t n = recv(rig.connection, query, sizeof query, MSG_DONTWAIT);
    struct seen *seen = &rig.seen[rig.seen_n % QUERIES];
    const struct zone_row *row;
    size_t end;

    if (n < 19) {
        close(rig.connection);
        rig.connection = -1;
        return;
    }
    rig.seen_n++;
    end = read_question(query + 2, seen);
    seen->by_tcp = true;
    row = row_of(seen->name);
    if (row == NULL || row->manner == TRUNCATE_ONLY)
        return;
    compose(&m, query + 2, end, row, seen);
    length[0] = (uint8_t)(m.n >> 8);
    length[1] = (uint8_t)m.n;
    if (send(rig.connection, length, 2, MSG_NOSIGNAL) == 2)
        send(rig.connection, m.octet, m.n, MSG_NOSIGNAL);
}

static void serve_all(void)
{
    struct pollfd fd[3] = { { rig.udp, POLLIN, 0 }, { rig.tcp, POLLIN, 0 }, { rig.connection, POLLIN, 0 } };

    if (rig.holds)
        return;
    poll(fd, 3, 0);
    while (fd[0].revents & POLLIN) {
        serve_udp();
        fd[0].revents = 0;
        poll(fd, 1, 0);
    }
    if (fd[1].revents & POLLIN && rig.connection < 0)
        rig.connection = accept(rig.tcp, NULL, NULL);
    if (fd[2].revents & POLLIN)
        serve_tcp();
}

/* The same free port for both; false when the one that UDP was given is taken for TCP, by whoever else runs here. */
static bool bind_both(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof at;

    rig.udp = socket(AF_INET, SOCK_DGRAM, 0);
    rig.tcp = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(rig.udp, (struct sockaddr *)(void *)&at, size) != 0 ||
        getsockname(rig.udp, (struct sockaddr *)(void *)&at, &size) != 0)
        abort();
    rig.server = (struct endpoint){ { { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, ntohs(at.sin_port) };
    return bind(rig.tcp, (struct sockaddr *)(void *)&at, size) == 0;
}

static void open_server(void)
{
    rig.connection = -1;
    for (int tries = 1; !bind_both(); tries++) {
        if (tries == 20)
            abort();
        close(rig.udp);
        close(rig.tcp);
    }
    if (listen(rig.tcp, 8) != 0)
        abort();
}

/* ---- the driver ---- */

static void on_watch(void *owner, int fd, bool readable, bool writable)
{
    nfds_t i = 0;
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));

    (void)owner;
    while (i < rig.watched_n && rig.watched[i].fd != fd)
        i++;
    if (i == SOCKETS)
        abort();
    if (events == 0 && i == rig.watched_n)
        return;
    if (events == 0) {
        rig.watched[i] = rig.watched[--rig.watched_n];
        return;
    }
    rig.watched[i] = (struct pollfd){ fd, events, 0 };
    rig.watched_n += i == rig.watched_n;
}

static uint64_t real_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_clock(void)
{
    rig.now = real_now() + rig.skipped;
}

static void take_answers(void)
{
    struct resolver_answer a;

    while (resolver_next(rig.resolver, &a)) {
        struct answer *out = &rig.answer[rig.answers++ % ANSWERS];
        size_t n = (size_t)snprintf(out->text, sizeof out->text, "%s", fact_state_name(a.state));

        out->asker = a.asker;
        out->state = a.state;
        snprintf(out->key, sizeof out->key, "%.*s", STR_ARG(a.question.key));
        for (size_t i = 0; i < a.n && n < sizeof out->text; i++)
            n += (size_t)snprintf(out->text + n, sizeof out->text - n, " %.*s", STR_ARG(a.value[i]));
    }
}

static void turn(void)
{
    struct pollfd fd[SOCKETS];
    nfds_t n = rig.watched_n;
    uint64_t deadline;

    serve_all();
    memcpy(fd, rig.watched, n * sizeof fd[0]);
    poll(fd, n, 1);
    set_clock();
    for (nfds_t i = 0; i < n; i++)
        if (fd[i].revents != 0)
            resolver_ready(rig.resolver, fd[i].fd, (fd[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0,
                           (fd[i].revents & POLLOUT) != 0);
    deadline = resolver_deadline(rig.resolver);
    if (rig.now >= deadline)
        resolver_tick(rig.resolver);
    take_answers();
}

/* Until `n` answers have come in all; gives up after a while. */
static void await(size_t n)
{
    uint64_t end = real_now() + LONG_MS;

    while (rig.answers < n && real_now() < end)
        turn();
    CHECK_EQ_INT(rig.answers, n);
}

static void turns(unsigned ms)
{
    uint64_t end = real_now() + ms;

    while (real_now() < end)
        turn();
}

static void begin(const struct zone_row *zone)
{
    memset(&rig, 0, sizeof rig);
    rig.zone = zone;
    open_server();
    rig.servers[0] = rig.server;
    rig.settings = (struct dns_settings){ .servers = { rig.servers, 1 },
                                          .timeout = 1000,
                                          .tries = 2,
                                          .in_flight = 64,
                                          .in_flight_session = 16,
                                          .cache_size = 1 << 20,
                                          .cache_ttl = 3600000 };
    set_clock();
}

static void start(void)
{
    rig.resolver = resolver_new(&rig.settings, &rig.now, on_watch, NULL);
    CHECK(rig.resolver != NULL);
}

static void end(void)
{
    resolver_free(rig.resolver);
    CHECK_EQ_INT(rig.watched_n, 0);
    close(rig.udp);
    close(rig.tcp);
    if (rig.connection >= 0)
        close(rig.connection);
}

static void ask(uint64_t asker, enum ask kind, const char *key)
{
    set_clock();
    CHECK(resolver_ask(rig.resolver, asker, (struct question){ kind, str_of(key) }));
    take_answers();
}

static void skip_ms(uint64_t ms)
{
    rig.skipped += ms;
    set_clock();
}

#define LAST (rig.answer[(rig.answers - 1) % ANSWERS])
#define CHECK_ANSWER(want) CHECK_EQ_STR(LAST.text, strlen(LAST.text), want)

/* ---- tests ---- */

static const struct zone_row zone[] = {
    { "e.example", 0, "e.example A 60 192.0.2.1", SAY },
    { "zero.example", 0, "zero.example A 0 192.0.2.1", SAY },
    { "old.example", 0, "old.example A 4000000000 192.0.2.1", SAY },
    { "week.example", 0, "week.example A 604800 192.0.2.1", SAY },
    { "none.example", 0x8183, ";\nexample SOA 600 30", SAY },
    { "bare.example", 0x8183, "", SAY },
    { "broken.example", 0x8182, "", SAY },
    { "silent.example", 0, "", SILENT },
    { "alias.example", 0, "alias.example CNAME 60 e.example", SAY },
    { "chain.example", 0, "", CHAIN },
    { "xchain.example", 0, "", CHAIN },
    { "xxchain.example", 0, "", CHAIN },
    { "xxxchain.example", 0, "", CHAIN },
    { "xxxxchain.example", 0, "", CHAIN },
    { "xxxxxchain.example", 0, "", CHAIN },
    { "xxxxxxchain.example", 0, "", CHAIN },
    { "xxxxxxxchain.example", 0, "", CHAIN },
    { "xxxxxxxxchain.example", 0, "", CHAIN },
    { "xxxxxxxxxchain.example", 0, "", CHAIN },
    { "big.example", 0, "big.example A 60 192.0.2.9", TRUNCATE },
    { "huge.example", 0, "", HUGE },
    { "stuck.example", 0, "", TRUNCATE_ONLY },
    { "forged.example", 0, "forged.example A 60 192.0.2.1", FORGE },
    { "lower.example", 0, "lower.example A 60 192.0.2.1", LOWER },
    { "mixed.example", 0, "mixed.example MX 60 10 mx.example", SAY },
    { "*", 0, "x.example A 60 192.0.2.1\n;\nexample SOA 60 60", SAY },
    { NULL, 0, NULL, SAY },
};

static void an_answer_is_kept_for_its_ttl(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "e.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.1");
    CHECK_EQ_INT(LAST.asker, 1);
    ask(2, ASK_A, "e.example"); /* at once */
    CHECK_EQ_INT(rig.answers, 2);
    CHECK_ANSWER("OK 192.0.2.1");
    CHECK_EQ_INT(LAST.asker, 2);
    skip_ms(59000);
    ask(3, ASK_A, "e.example");
    CHECK_EQ_INT(rig.answers, 3);
    CHECK_EQ_INT(rig.seen_n, 1);
    skip_ms(1100);
    ask(4, ASK_A, "e.example");
    await(4);
    CHECK_EQ_INT(rig.seen_n, 2);
    CHECK_EQ_INT(resolver_counts(rig.resolver).hits, 2);
    end();
}

static void kinds_and_names_are_kept_apart(void)
{
    begin(zone);
    start();
    ask(1, ASK_MX, "mixed.example");
    await(1);
    CHECK_ANSWER("OK 10 mx.example");
    ask(1, ASK_TXT, "mixed.example");
    await(2);
    CHECK_ANSWER("NODATA");
    CHECK_EQ_INT(rig.seen_n, 2);
    end();
}

static const struct {
    const char *name, *want;
    uint64_t keep_ms; /* 0: not */
} kept[] = {
    { "e.example", "OK 192.0.2.1", 60000 },      { "zero.example", "OK 192.0.2.1", 0 },
    { "old.example", "OK 192.0.2.1", 0 },        /* RFC 2181 8 */
    { "week.example", "OK 192.0.2.1", 3600000 }, /* cache_ttl */
    { "none.example", "NXDOMAIN", 30000 },       /* the SOA's MINIMUM, RFC 2308 5 */
    { "bare.example", "NXDOMAIN", 0 },           { "broken.example", "TEMP", DNS_TEMP_MS },
};

static void how_long_answers_are_kept(void)
{
    begin(zone);
    start();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        size_t before = rig.answers, queries;

        CHECK_ROW(kept[i].name);
        ask(1, ASK_A, kept[i].name);
        await(before + 1);
        CHECK_ANSWER(kept[i].want);
        queries = rig.seen_n;
        if (kept[i].keep_ms > 0) {
            skip_ms(kept[i].keep_ms - 500);
            ask(1, ASK_A, kept[i].name);
            CHECK_EQ_INT(rig.answers, before + 2);
            CHECK_EQ_INT(rig.seen_n, queries);
            skip_ms(500);
        }
        before = rig.answers;
        ask(1, ASK_A, kept[i].name);
        await(before + 1);
        CHECK(rig.seen_n > queries);
    }
    end();
}

static void without_a_cache_nothing_is_kept(void)
{
    begin(zone);
    rig.settings.cache_size = 0;
    start();
    for (size_t i = 1; i <= 3; i++) {
        ask(1, ASK_A, "e.example");
        await(i);
    }
    CHECK_EQ_INT(rig.seen_n, 3);
    end();
}

static void the_cache_keeps_to_its_size(void)
{
    char name[64];

    begin(zone);
    rig.settings.cache_size = 4096;
    start();
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        ask(1, ASK_A, name);
        await(i + 1);
        CHECK(resolver_counts(rig.resolver).cached_octets <= 4096);
    }
    CHECK(resolver_counts(rig.resolver).cached_octets > 2048);
    CHECK_EQ_INT(rig.seen_n, 100);
    ask(1, ASK_A, "n99.example"); /* the latest is there, the first is not */
    CHECK_EQ_INT(rig.answers, 101);
    ask(1, ASK_A, "n0.example");
    await(102);
    CHECK_EQ_INT(rig.seen_n, 101);
    end();
}

static void equal_questions_are_one_query(void)
{
    begin(zone);
    start();
    for (uint64_t asker = 1; asker <= 50; asker++)
        ask(asker, ASK_A, "e.example");
    await(50);
    CHECK_EQ_INT(rig.seen_n, 1);
    for (size_t i = 0; i < 50; i++) { /* each has been told, once, in the order they asked */
        CHECK_EQ_INT(rig.answer[i].asker, i + 1);
        CHECK_EQ_INT(rig.answer[i].state, FACT_OK);
    }
    CHECK_EQ_INT(resolver_counts(rig.resolver).shared, 49);
    end();
}

static void those_who_left_are_told_nothing(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "e.example");
    ask(2, ASK_A, "e.example");
    ask(1, ASK_A, "zero.example");
    ask(1025, ASK_A, "week.example"); /* in the same chain as 1 */
    resolver_forget(rig.resolver, 1);
    await(2);
    turns(30);
    CHECK_EQ_INT(rig.answers, 2);
    CHECK_EQ_INT(rig.answer[0].asker + rig.answer[1].asker, 1027);
    CHECK_EQ_INT(resolver_counts(rig.resolver).in_flight, 0);
    end();
}

static void no_more_are_under_way_than_allowed(void)
{
    char name[64];

    begin(zone);
    rig.settings.in_flight = 3;
    rig.holds = true;
    start();
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        ask(i, ASK_A, name);
    }
    CHECK_EQ_INT(resolver_counts(rig.resolver).in_flight, 3);
    CHECK_EQ_INT(resolver_counts(rig.resolver).waiting, 7);
    for (uint64_t asker = 4; asker < 8; asker++) /* they hang up: nobody asks for them any more */
        resolver_forget(rig.resolver, asker);
    CHECK_EQ_INT(resolver_counts(rig.resolver).waiting, 3);
    ask(77, ASK_A, "n9.example"); /* shares one that waits for its turn */
    CHECK_EQ_INT(resolver_counts(rig.resolver).waiting, 3);
    rig.holds = false;
    await(7);
    CHECK_EQ_INT(rig.seen_n, 6);
    CHECK_EQ_STR(rig.seen[3].name, strlen(rig.seen[3].name), "n3.example"); /* first come, first served */
    end();
}

static void no_answer_reads_temp_in_time(void)
{
    uint64_t began, took;

    begin(zone);
    rig.settings.timeout = 100;
    start();
    began = real_now();
    ask(1, ASK_A, "silent.example");
    await(1);
    took = real_now() - began;
    CHECK_ANSWER("TEMP");
    CHECK(took >= 100 && took < 1000);
    CHECK_EQ_INT(rig.seen_n, 2);     /* tries */
    ask(1, ASK_A, "silent.example"); /* remembered for a moment */
    CHECK_EQ_INT(rig.answers, 2);
    end();
}

static void a_closed_port_reads_temp_at_once(void)
{
    begin(zone);
    close(rig.udp);
    rig.udp = -1;
    start();
    ask(1, ASK_A, "e.example");
    await(1);
    CHECK_ANSWER("TEMP");
    end();
}

static void the_next_server_is_asked(void)
{
    begin(zone);
    rig.servers[1] = rig.servers[0];
    rig.servers[0].port = 1; /* nobody is there */
    rig.settings.servers.n = 2;
    start();
    ask(1, ASK_A, "e.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.1");
    end();
}

static void truncated_answers_are_fetched_by_tcp(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "big.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.9");
    CHECK_EQ_INT(rig.seen_n, 2);
    CHECK(rig.seen[1].by_tcp);
    end();
}

/* Its memory is bounded, and what comes next is not the worse for it. */
static void an_answer_that_takes_too_much_reads_temp(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "huge.example");
    await(1);
    CHECK_ANSWER("TEMP");
    ask(1, ASK_A, "big.example");
    await(2);
    CHECK_ANSWER("OK 192.0.2.9");
    end();
}

/* The bound holds for all that a question leads to, and c-ares may keep what it has. */
static void what_goes_on_too_long_is_given_up(void)
{
    begin(zone);
    rig.settings.timeout = 150;
    rig.settings.tries = 1;
    start();
    ask(1, ASK_A, "stuck.example");
    ask(2, ASK_A, "stuck.example");
    await(2);
    CHECK_ANSWER("TEMP");
    turns(400);
    CHECK_EQ_INT(resolver_counts(rig.resolver).in_flight, 0);
    CHECK_EQ_INT(rig.answers, 2);
    end();
}

static void late_answers_find_nobody(void)
{
    begin(zone);
    rig.settings.timeout = 100;
    rig.settings.tries = 1;
    rig.settings.cache_size = 0;
    rig.holds = true;
    start();
    ask(1, ASK_A, "e.example");
    await(1);
    CHECK_ANSWER("TEMP");
    rig.holds = false;
    turns(50);
    CHECK_EQ_INT(rig.answers, 1);
    ask(1, ASK_A, "e.example");
    await(2);
    CHECK_ANSWER("OK 192.0.2.1");
    end();
}

static void time_that_jumps_gives_up_what_is_under_way(void)
{
    begin(zone);
    rig.holds = true;
    start();
    ask(1, ASK_A, "e.example");
    skip_ms(3600000);
    resolver_tick(rig.resolver);
    take_answers();
    CHECK_EQ_INT(rig.answers, 1);
    CHECK_ANSWER("TEMP");
    CHECK_EQ_INT(resolver_counts(rig.resolver).in_flight, 1);
    rig.holds = false;
    turns(50); /* it comes back to nobody */
    CHECK_EQ_INT(resolver_counts(rig.resolver).in_flight, 0);
    CHECK_EQ_INT(rig.answers, 1);
    end();
}

static void a_target_left_out_is_asked_for(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "alias.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.1");
    CHECK_EQ_INT(rig.seen_n, 2);
    CHECK_EQ_STR(LAST.key, strlen(LAST.key), "alias.example");
    end();
}

static void a_chain_without_end_is_left(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "chain.example");
    await(1);
    CHECK_ANSWER("TEMP");
    CHECK_EQ_INT(rig.seen_n, DNS_LINKS_MAX + 1);
    end();
}

static void forgeries_are_passed_over(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "forged.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.1");
    CHECK_EQ_INT(rig.seen_n, 1);
    end();
}

/* D-2: neither the id nor the port can be told from those before. */
static void ids_and_ports_are_drawn(void)
{
    unsigned same_port = 0, next_id = 0;
    char name[64];

    begin(zone);
    rig.holds = true;
    start();
    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        ask(i, ASK_A, name);
    }
    rig.holds = false;
    await(60);
    for (size_t i = 0; i < rig.seen_n; i++)
        for (size_t k = 0; k < i; k++) {
            same_port += rig.seen[i].port == rig.seen[k].port;
            next_id += rig.seen[i].id == rig.seen[k].id + 1 || rig.seen[i].id == rig.seen[k].id;
        }
    CHECK_EQ_INT(same_port, 0);
    CHECK(next_id < 10);
    end();
}

static void names_that_are_none_are_not_asked_for(void)
{
    static const char *const bad[] = {
        "", ".", "a..b", ".a", "a.", "a.b.", "0123456789012345678901234567890123456789012345678901234567890123.example"
    };
    char name[300];

    begin(zone);
    start();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ROW(bad[i]);
        ask(1, ASK_TXT, bad[i]);
        CHECK_EQ_INT(rig.answers, i + 1);
        CHECK_ANSWER("NXDOMAIN");
    }
    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    name[254] = '\0';
    ask(1, ASK_TXT, name);
    CHECK_ANSWER("NXDOMAIN");
    CHECK(resolver_ask(rig.resolver, 1, (struct question){ ASK_TXT, STR("a\0b.example") }));
    take_answers();
    CHECK_ANSWER("NXDOMAIN");
    CHECK_EQ_INT(rig.seen_n, 0);
    end();
}

static void names_of_all_lengths_are_asked_for_as_they_are(void)
{
    static const char *const odd[] = {
        "_dmarc.x.example", "1/2.example", "*.example",
        "-a.example",       "a",           "012345678901234567890123456789012345678901234567890123456789012.example"
    };
    char name[300];

    begin(zone);
    start();
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        CHECK_ROW(odd[i]);
        ask(1, ASK_TXT, odd[i]);
        await(i + 1);
        CHECK_ANSWER("NODATA");
        CHECK_EQ_STR(rig.seen[i].name, strlen(rig.seen[i].name), odd[i]);
        CHECK_EQ_STR(LAST.key, strlen(LAST.key), odd[i]);
    }
    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    name[253] = '\0';
    ask(1, ASK_TXT, name);
    await(rig.answers + 1);
    CHECK_ANSWER("NODATA");
    CHECK_EQ_STR(rig.seen[rig.seen_n - 1].name, 253, name);
    end();
}

/* c-ares does not ask for them, so nobody knows: never "no such name". */
static void odd_names_read_temp(void)
{
    static const char *const odd[] = { "a b.example",       "\xff\x80.example", "\\.example", "\\046.example",
                                       "\"(;)@$\".example", "%{l}.example",     "a+b.example" };

    begin(zone);
    start();
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        CHECK_ROW(odd[i]);
        ask(1, ASK_TXT, odd[i]);
        CHECK_EQ_INT(rig.answers, i + 1);
        CHECK_ANSWER("TEMP");
    }
    CHECK_EQ_INT(rig.seen_n, 0);
    end();
}

static void onion_names_are_not_asked_for(void)
{
    begin(zone);
    start();
    ask(1, ASK_A, "abc.onion"); /* RFC 7686 2 */
    await(1);
    CHECK_ANSWER("NXDOMAIN");
    CHECK_EQ_INT(rig.seen_n, 0);
    end();
}

/* A server that does not give the question back as it was sent. */
static void a_question_in_another_case(void)
{
    begin(zone);
    rig.settings.timeout = 100;
    start();
    ask(1, ASK_A, "lower.example");
    await(1);
    CHECK_ANSWER("OK 192.0.2.1");
    end();
}

static void it_ends_in_the_middle_of_things(void)
{
    char name[64];

    begin(zone);
    rig.holds = true;
    rig.settings.in_flight = 20;
    start();
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "n%u.example", i / 2);
        ask(i, i % 4 == 0 ? ASK_A : ASK_TXT, name);
    }
    ask(1, ASK_A, ""); /* an answer nobody takes */
    end();
}

static void without_servers_there_is_none(void)
{
    struct dns_settings settings = { .timeout = 1000, .tries = 1, .in_flight = 1 };
    uint64_t now = 0;

    CHECK(resolver_new(&settings, &now, on_watch, NULL) == NULL);
}

static const struct test_case tests[] = {
    TEST(an_answer_is_kept_for_its_ttl),
    TEST(kinds_and_names_are_kept_apart),
    TEST(how_long_answers_are_kept),
    TEST(without_a_cache_nothing_is_kept),
    TEST(the_cache_keeps_to_its_size),
    TEST(equal_questions_are_one_query),
    TEST(those_who_left_are_told_nothing),
    TEST(no_more_are_under_way_than_allowed),
    TEST(no_answer_reads_temp_in_time),
    TEST(a_closed_port_reads_temp_at_once),
    TEST(the_next_server_is_asked),
    TEST(truncated_answers_are_fetched_by_tcp),
    TEST(an_answer_that_takes_too_much_reads_temp),
    TEST(what_goes_on_too_long_is_given_up),
    TEST(late_answers_find_nobody),
    TEST(time_that_jumps_gives_up_what_is_under_way),
    TEST(a_target_left_out_is_asked_for),
    TEST(a_chain_without_end_is_left),
    TEST(forgeries_are_passed_over),
    TEST(ids_and_ports_are_drawn),
    TEST(names_that_are_none_are_not_asked_for),
    TEST(names_of_all_lengths_are_asked_for_as_they_are),
    TEST(odd_names_read_temp),
    TEST(onion_names_are_not_asked_for),
    TEST(a_question_in_another_case),
    TEST(it_ends_in_the_middle_of_things),
    TEST(without_servers_there_is_none),
};

TEST_MAIN(tests)
