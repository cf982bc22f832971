/* Queries of our own, for the names that c-ares does not send: it takes every question for one about a host, and
 * refuses octets other than letters, digits, - _ / * and dots, in whatever form it is handed them. SPF macros make such
 * names of honest senders, "bounces+1=a=b.example" and the like (RFC 7208 7), and RFC 2181 11 allows them.
 *
 * It does what c-ares does, and no more. Each try has a socket, a port and an id of its own (RFC 5452 9.2): one server,
 * `timeout` long, then the next server, `tries` times around. A truncated answer is fetched from the same server by TCP
 * (RFC 7766); a server that does not know EDNS is asked without it (RFC 6891 6.2.2). What is not the answer is passed
 * over (RFC 5452 9.1).
 *
 * A socket is watched from its opening to its closing. Every step of a query is given the same time, so they stand in
 * the order in which they are due.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver_parts.h"
#include "socket_address.h"

enum {
    CHAINS = 64,         /* a power of two: with the 1000 queries that may be out, 16 to a chain */
    DATAGRAM_MAX = 4096, /* of an answer; what is larger, though we said 1232, is fetched by TCP */
    DATAGRAMS = 16,      /* looked at in a row: whoever floods a socket does not keep the loop */
    FORMERR = 1,
    SERVFAIL = 2,
    NOTIMP = 4,
    REFUSED = 5
};

struct raw_query {
    TAILQ_ENTRY(raw_query) place; /* of `queries` */
    LIST_ENTRY(raw_query) of_chain;
    struct dns_raw *raw;
    struct dns_lookup *lookup;
    uint64_t due;   /* ms, the end of this step */
    uint64_t tries; /* begun, at all servers */
    size_t first;   /* the server that the first of them went to */
    int fd;         /* -1: none */
    bool is_tcp;
    bool is_sent; /* the whole query */
    bool without_opt;
    bool was_asked; /* some server */
    size_t moved;   /* octets of the query sent, then of the answer read, by TCP; their length is among them */
    uint8_t length[DNS_LENGTH];
    uint8_t *answer; /* by TCP, once its length is known */
    struct dns_query query;
    char name[DNS_NAME_MAX + 1];
};

struct dns_raw {
    const struct dns_settings *settings;
    const uint64_t *now;
    dns_watch *watch;
    void *owner;
    TAILQ_HEAD(raw_queries, raw_query) queries;    /* as they are due */
    LIST_HEAD(raw_chain, raw_query) chain[CHAINS]; /* by socket */
    size_t first;   /* the server to begin with: another than the first while that one does not answer */
    uint64_t until; /* ms */
};

/* ---- sockets ---- */

static struct raw_chain *chain_of(struct dns_raw *raw, int fd)
{
    return &raw->chain[(unsigned)fd & (CHAINS - 1)];
}

static struct raw_query *find(struct dns_raw *raw, int fd)
{
    struct raw_query *q;

    LIST_FOREACH(q, chain_of(raw, fd), of_chain)
    if (q->fd == fd)
        return q;
    return NULL;
}

static void leave_socket(struct raw_query *q)
{
    if (q->fd < 0)
        return;
    q->raw->watch(q->raw->owner, q->fd, 0, 0);
    LIST_REMOVE(q, of_chain);
    close(q->fd);
    q->fd = -1;
    dns_release(q->answer);
    q->answer = NULL;
}

static size_t server_of(const struct raw_query *q)
{
    return (q->first + (size_t)(q->tries - 1)) % q->raw->settings->servers.n;
}

/* The kernel draws the port. Connected, the socket hears its server alone, and that nobody listens there. */
static bool connect_socket(struct raw_query *q)
{
    struct sockaddr_storage address;
    socklen_t n = socket_address(&q->raw->settings->servers.item[server_of(q)], &address);
    int type = q->is_tcp ? SOCK_STREAM : SOCK_DGRAM;

    q->fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (q->fd < 0)
        return false;
    LIST_INSERT_HEAD(chain_of(q->raw, q->fd), q, of_chain);
    return connect(q->fd, (const struct sockaddr *)&address, n) == 0 || errno == EINPROGRESS;
}

static bool write_query(struct raw_query *q)
{
    uint16_t id;

    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        return false;
    dns_query_write(&q->query, q->name, dns_type_of(q->lookup->key.q.kind), id, !q->without_opt);
    return true;
}

static bool send_datagram(struct raw_query *q)
{
    ssize_t n = send(q->fd, q->query.octet + DNS_LENGTH, q->query.n, MSG_NOSIGNAL);

    q->is_sent = n == (ssize_t)q->query.n;
    return q->is_sent;
}

/* A new socket to the server whose turn it is. */
static bool ask_server(struct raw_query *q, bool is_tcp)
{
    struct dns_raw *raw = q->raw;

    leave_socket(q);
    q->is_tcp = is_tcp;
    q->is_sent = false;
    q->moved = 0;
    q->due = *raw->now + raw->settings->timeout;
    TAILQ_REMOVE(&raw->queries, q, place);
    TAILQ_INSERT_TAIL(&raw->queries, q, place);
    if (!write_query(q) || !connect_socket(q) || (!is_tcp && !send_datagram(q)))
        return false;
    raw->watch(raw->owner, q->fd, !is_tcp, is_tcp);
    q->was_asked = true;
    return true;
}

/* ---- the end of a query, or of a try ---- */

static void finish(struct raw_query *q, const struct dns_reading *reading)
{
    struct dns_lookup *lookup = q->lookup;

    leave_socket(q);
    TAILQ_REMOVE(&q->raw->queries, q, place);
    free(q);
    dns_came_back(lookup, reading);
}

static void finish_failed(struct raw_query *q, uint64_t keep)
{
    struct dns_reading reading;

    dns_read_failure(&reading, FACT_TEMP, keep);
    finish(q, &reading);
}

/* At the next server that can be reached; without any the query has failed. If none was asked the trouble is ours. */
static void try_next(struct raw_query *q)
{
    const struct dns_settings *settings = q->raw->settings;

    while (q->tries < settings->tries * settings->servers.n) {
        q->tries++;
        if (ask_server(q, false))
            return;
    }
    finish_failed(q, q->was_asked ? DNS_TEMP_MS : 0);
}

static void ask_again(struct raw_query *q, bool is_tcp)
{
    if (!ask_server(q, is_tcp))
        try_next(q);
}

/* Queries of the next seconds begin at the server that answered, rather than wait for one before it that does not. */
static void prefer(struct raw_query *q)
{
    struct dns_raw *raw = q->raw;

    if (server_of(q) == raw->first)
        return;
    raw->first = server_of(q);
    raw->until = *raw->now + DNS_TEMP_MS;
}

/* ---- answers ---- */

static bool is_refusal(unsigned code)
{
    return code == FORMERR || code == SERVFAIL || code == NOTIMP || code == REFUSED;
}

static void read_answer(struct raw_query *q, const uint8_t *answer, size_t n)
{
    struct dns_reading reading;

    reading.links = q->lookup->links;
    reading.keep = q->lookup->keep;
    if (is_refusal(dns_answer_code(answer)) || !dns_parse(answer, n, q->lookup->key.q.kind, &reading)) {
        try_next(q);
        return;
    }
    prefer(q);
    finish(q, &reading);
}

/* A message that is the answer; `is_cut` when it was longer than what could be taken of it. */
static void on_answer(struct raw_query *q, const uint8_t *answer, size_t n, bool is_cut)
{
    if (!q->is_tcp && (is_cut || dns_answer_is_truncated(answer))) {
        ask_again(q, true);
    } else if (dns_answer_code(answer) == FORMERR && !q->without_opt) {
        q->without_opt = true;
        ask_again(q, q->is_tcp);
    } else {
        read_answer(q, answer, n);
    }
}

static bool is_for_later(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void hear_datagrams(struct raw_query *q)
{
    uint8_t octet[DATAGRAM_MAX];

    for (int i = 0; i < DATAGRAMS; i++) {
        ssize_t n = recv(q->fd, octet, sizeof octet, MSG_TRUNC);
        bool is_cut = n > DATAGRAM_MAX;
        size_t length = is_cut ? sizeof octet : (size_t)n;

        if (is_for_later(n))
            return;
        if (n < 0) { /* nobody listens there */
            try_next(q);
            return;
        }
        if (dns_query_is_answered(&q->query, octet, length)) {
            on_answer(q, octet, length, is_cut);
            return;
        }
    }
}

/* ---- TCP: each message behind its length (RFC 1035 4.2.2) ---- */

static void send_rest(struct raw_query *q)
{
    size_t whole = DNS_LENGTH + q->query.n;
    ssize_t n = send(q->fd, q->query.octet + q->moved, whole - q->moved, MSG_NOSIGNAL);

    if (is_for_later(n))
        return;
    if (n < 0) {
        try_next(q);
        return;
    }
    q->moved += (size_t)n;
    if (q->moved < whole)
        return;
    q->is_sent = true;
    q->moved = 0;
    q->raw->watch(q->raw->owner, q->fd, 1, 0);
}

static size_t answer_length(const struct raw_query *q)
{
    return (size_t)q->length[0] << 8 | q->length[1];
}

/* Some octets more, 64 KB and its length at most in all. Not above 0: as recv() has it. */
static ssize_t hear_some(struct raw_query *q)
{
    uint8_t *to = q->length + q->moved;
    size_t room = DNS_LENGTH - q->moved;
    ssize_t n;

    if (q->moved >= DNS_LENGTH) {
        to = q->answer + (q->moved - DNS_LENGTH);
        room = DNS_LENGTH + answer_length(q) - q->moved;
    }
    n = recv(q->fd, to, room, 0);
    if (n > 0)
        q->moved += (size_t)n;
    return n;
}

/* Between the length and what it measures. False when that is too short for an answer, or there is no memory for it. */
static bool make_room(struct raw_query *q)
{
    if (q->moved != DNS_LENGTH || q->answer != NULL)
        return true;
    if (answer_length(q) < q->query.question_end)
        return false;
    q->answer = dns_take(answer_length(q));
    return q->answer != NULL;
}

static void hear_stream(struct raw_query *q)
{
    size_t n;

    do {
        ssize_t some = hear_some(q);

        if (is_for_later(some))
            return;
        if (some <= 0 || !make_room(q)) {
            try_next(q);
            return;
        }
        n = answer_length(q);
    } while (q->moved < DNS_LENGTH || q->moved < DNS_LENGTH + n);
    if (dns_query_is_answered(&q->query, q->answer, n))
        on_answer(q, q->answer, n, false);
    else
        try_next(q);
}

/* ---- the resolver's side ---- */

struct dns_raw *raw_open(const struct dns_settings *settings, const uint64_t *now, dns_watch *watch, void *owner)
{
    struct dns_raw *raw = calloc(1, sizeof *raw);

    if (raw == NULL)
        return NULL;
    raw->settings = settings;
    raw->now = now;
    raw->watch = watch;
    raw->owner = owner;
    TAILQ_INIT(&raw->queries);
    for (size_t i = 0; i < CHAINS; i++)
        LIST_INIT(&raw->chain[i]);
    return raw;
}

void raw_close(struct dns_raw *raw)
{
    struct raw_query *q;

    if (raw == NULL)
        return;
    while ((q = TAILQ_FIRST(&raw->queries)) != NULL)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
        finish_failed(q, 0);
    free(raw);
}

/* RFC 7686 2: such a name must not be asked for. */
static bool is_onion(const char *name)
{
    return str_iends(str_of(name), STR(".onion"));
}

void raw_send(struct dns_raw *raw, const char *name, struct dns_lookup *lookup)
{
    struct raw_query *q = is_onion(name) ? NULL : calloc(1, sizeof *q);
    struct dns_reading reading;

    if (q == NULL) {
        dns_read_failure(&reading, is_onion(name) ? FACT_NXDOMAIN : FACT_TEMP, 0);
        dns_came_back(lookup, &reading);
        return;
    }
    if (*raw->now >= raw->until)
        raw->first = 0;
    q->raw = raw;
    q->lookup = lookup;
    q->first = raw->first;
    q->fd = -1;
    memcpy(q->name, name, strlen(name));
    TAILQ_INSERT_TAIL(&raw->queries, q, place);
    try_next(q);
}

static void on_ready(struct raw_query *q)
{
    if (!q->is_sent)
        send_rest(q);
    else if (q->is_tcp)
        hear_stream(q);
    else
        hear_datagrams(q);
}

void raw_process(struct dns_raw *raw, int readable, int writable)
{
    int fd = readable >= 0 ? readable : writable;
    struct raw_query *q = fd >= 0 ? find(raw, fd) : NULL;

    if (q != NULL)
        on_ready(q);
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list
    while ((q = TAILQ_FIRST(&raw->queries)) != NULL && q->due <= *raw->now)
        try_next(q);
}

uint64_t raw_timeout(const struct dns_raw *raw)
{
    const struct raw_query *q = TAILQ_FIRST(&raw->queries);

    if (q == NULL)
        return UINT64_MAX;
    return q->due > *raw->now ? q->due - *raw->now : 0;
}
