/* Streams over loopback sockets and a real libuv loop. The far end is a stream too, or a bare non-blocking
 * socket where the test needs to see or to spoil what TCP carries. Every wait ends after WAIT_MS at the
 * latest.
 */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "../../proxy/stream.h"
#include "certificates.h"

enum { WAIT_MS = 60000, SMALL_CHAIN = 65536 };

/* One end: a stream, what it was told, and a chain with a budget. */
struct end {
    struct stream *stream;
    struct chain out;
    char in[1 << 16]; /* consumed input, unless `discard` */
    size_t in_n;
    unsigned connected, ready, secured, written, ended, failed;
    char why[100];
    bool discard, echo, ignore; /* what happens to input */
    size_t to_send, sent;       /* kept coming by pump() */
    size_t most_queued;
    struct tls *starttls; /* begun when a line "STARTTLS" came */
    bool close_at_end;
};

static uv_loop_t uv;
static struct stream_loop loop;
static uv_tcp_t listener;
static uv_timer_t tick; /* so that no wait is for ever */
static struct pool pool;
static struct end server, client;
static bool calling; /* a test is inside a call of stream.h */
static struct tls_server *tls_server;
static struct tls_client *tls_client;

/* --- Ends
 * ---------------------------------------------------------------------------------------------------------
 */

static void fill(struct end *e)
{
    char block[4096];

    memset(block, 'x', sizeof(block));
    while (e->sent < e->to_send && e->out.n + sizeof(block) <= SMALL_CHAIN) {
        CHECK(chain_put(&e->out, &pool, str_from(block, sizeof(block)), CHAIN_FORCE));
        e->sent += sizeof(block);
    }
    if (e->out.n > e->most_queued)
        e->most_queued = e->out.n;
}

/* As long as it leaves at once; then at each STREAM_WRITTEN. */
static void pump(struct end *e)
{
    do {
        fill(e);
        stream_write(e->stream, &e->out);
    } while (e->sent < e->to_send && e->out.n == 0);
}

static void send_text(struct end *e, const char *text)
{
    CHECK(chain_put(&e->out, &pool, str_of(text), CHAIN_FORCE));
    stream_write(e->stream, &e->out);
}

static void close_end(struct end *e)
{
    stream_close(e->stream);
    e->stream = NULL;
    CHECK_EQ_INT(e->out.n, 0);
}

static void take_starttls(struct end *e, struct str input)
{
    static const char command[] = "STARTTLS\r\n";

    if (input.n < sizeof(command) - 1 || memcmp(input.p, command, sizeof(command) - 1) != 0)
        return;
    stream_consume(e->stream, sizeof(command) - 1);
    send_text(e, "220 go\r\n");
    stream_start_tls(e->stream, e->starttls);
    e->starttls = NULL;
}

static void take_input(struct end *e)
{
    struct str input = stream_input(e->stream);

    CHECK(input.n > 0);
    if (e->starttls != NULL) {
        take_starttls(e, input);
        return;
    }
    if (e->ignore)
        return;
    if (e->echo) {
        CHECK(chain_put(&e->out, &pool, input, CHAIN_FORCE));
        stream_write(e->stream, &e->out);
    }
    if (!e->discard) {
        CHECK(input.n <= sizeof(e->in) - e->in_n);
        memcpy(e->in + e->in_n, input.p, input.n);
    }
    e->in_n += input.n;
    stream_consume(e->stream, input.n);
}

static void on_event(void *owner, struct stream *stream, enum stream_event event)
{
    struct end *e = owner;

    CHECK(!calling);
    CHECK(stream == e->stream);
    CHECK_EQ_INT(e->failed, 0);
    switch (event) {
    case STREAM_CONNECTED: e->connected++; break;
    case STREAM_SECURED: e->secured++; break;
    case STREAM_INPUT_READY:
        e->ready++;
        take_input(e);
        break;
    case STREAM_WRITTEN:
        e->written++;
        if (e->to_send > 0)
            pump(e);
        break;
    case STREAM_END:
        e->ended++;
        if (e->close_at_end)
            close_end(e);
        break;
    case STREAM_FAILED:
        e->failed++;
        snprintf(e->why, sizeof(e->why), "%s", stream_why(stream));
        break;
    }
}

static void on_connection(uv_stream_t *from, int status)
{
    bool is_lost = true;
    struct stream *accepted = stream_accept(&loop, (uv_tcp_t *)from, on_event, &server, &is_lost);

    CHECK_EQ_INT(status, 0);
    CHECK(accepted != NULL && !is_lost);
    if (server.stream != NULL)
        stream_reset(accepted); /* these tests have one connection each */
    else
        server.stream = accepted;
}

/* --- The loop
 * -----------------------------------------------------------------------------------------------------
 */

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static void start(void)
{
    struct sockaddr_in any;

    signal(SIGPIPE, SIG_IGN);
    memset(&server, 0, sizeof(server));
    memset(&client, 0, sizeof(client));
    pool_init(&pool, 1 << 24);
    uv_loop_init(&uv);
    stream_loop_init(&loop, &uv);
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_timer_init(&uv, &tick);
    uv_timer_start(&tick, wake, 20, 20);
    uv_tcp_init(&uv, &listener);
    uv_tcp_bind(&listener, (struct sockaddr *)&any, 0);
    CHECK_EQ_INT(uv_listen((uv_stream_t *)&listener, 16, on_connection), 0);
}

static uint16_t port_of_listener(void)
{
    struct sockaddr_in own;
    int n = sizeof(own);

    uv_tcp_getsockname(&listener, (struct sockaddr *)&own, &n);
    return ntohs(own.sin_port);
}

static struct endpoint here(uint16_t port)
{
    return (struct endpoint){ { { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, port };
}

/* Runs the loop until `*what` is at least `least`. */
static void run_until_(const unsigned *what, unsigned least, const char *text)
{
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;

    while (*what < least && uv_hrtime() < end)
        uv_run(&uv, UV_RUN_ONCE);
    if (*what < least)
        test_check(false, __FILE__, __LINE__, text);
}
#define run_until(what, least) run_until_(&(what), (least), #what " never came\n")

static void run_until_bytes(const size_t *n, size_t least)
{
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;

    while (*n < least && uv_hrtime() < end)
        uv_run(&uv, UV_RUN_NOWAIT);
    CHECK_EQ_INT(*n, least);
}

static void run_a_while(void)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&uv, UV_RUN_NOWAIT);
        poll(NULL, 0, 1);
    }
}

/* Everything is closed and freed, or the test fails. */
static void stop(void)
{
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;

    if (server.stream != NULL)
        close_end(&server);
    if (client.stream != NULL)
        close_end(&client);
    while (loop.open > 0 && uv_hrtime() < end)
        uv_run(&uv, UV_RUN_ONCE);
    CHECK_EQ_INT(loop.open, 0);
    uv_close((uv_handle_t *)&listener, NULL);
    uv_close((uv_handle_t *)&tick, NULL);
    stream_loop_close(&loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_EQ_INT(uv_loop_close(&uv), 0);
    CHECK_EQ_INT(pool.used, 0);
    pool_free(&pool);
}

static void connect_client(void)
{
    struct endpoint to = here(port_of_listener());

    calling = true;
    client.stream = stream_connect(&loop, &to, on_event, &client);
    calling = false;
    CHECK(client.stream != NULL);
    run_until(client.connected, 1);
    for (int i = 0; i < 500 && server.stream == NULL; i++)
        uv_run(&uv, UV_RUN_ONCE);
}

/* --- Bare sockets
 * -------------------------------------------------------------------------------------------------
 */

static int bare_connect(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port_of_listener()),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ_INT(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 500 && server.stream == NULL; i++)
        uv_run(&uv, UV_RUN_ONCE);
    return fd;
}

static void bare_send(int fd, const void *p, size_t n)
{
    CHECK_EQ_INT(send(fd, p, n, MSG_NOSIGNAL), (long long)n);
}

/* Reads until `want` octets are there, the peer's FIN (0), or an error (-1); returns the last result of
 * recv().
 */
static ssize_t bare_read(int fd, char *room, size_t want, size_t *n)
{
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;
    ssize_t got = -1;

    *n = 0;
    while (*n < want && uv_hrtime() < end) {
        uv_run(&uv, UV_RUN_NOWAIT);
        got = recv(fd, room + *n, want - *n, 0);
        if (got > 0)
            *n += (size_t)got;
        else if (got == 0 || errno != EAGAIN)
            return got;
    }
    return got;
}

static void check_bare_reads(int fd, const char *text)
{
    char room[1000];
    size_t n;

    bare_read(fd, room, strlen(text), &n);
    CHECK_EQ_STR(room, n, text);
}

static void check_bare_fin(int fd)
{
    char room[100];
    size_t n;

    CHECK_EQ_INT(bare_read(fd, room, sizeof(room), &n), 0);
    CHECK_EQ_INT(n, 0);
}

/* --- TLS
 * ----------------------------------------------------------------------------------------------------------
 */

static void make_tls(void)
{
    struct certificate section = { .name = STR("mx") };
    struct config config = { .certificates = &section, .certificates_n = 1 };
    struct route route = { .tls = SOUTH_TLS_REQUIRED };
    const struct cert *cert;
    char error[200] = "";

    if (tls_server != NULL)
        return;
    cert = cert_make(&(struct cert_spec){ "mx.example.org", { NULL }, CERT_P256, NULL, NULL });
    section.chain = str_of(cert->chain);
    section.key = str_of(cert->key);
    tls_server = tls_server_new(&config, error, sizeof(error));
    tls_client = tls_client_new(&config, &route, error, sizeof(error));
    CHECK_EQ_STR(error, strlen(error), "");
}

static void secure_both(void)
{
    make_tls();
    connect_client();
    calling = true;
    stream_start_tls(server.stream, tls_accept(tls_server));
    stream_start_tls(client.stream, tls_connect(tls_client));
    calling = false;
    run_until(client.secured, 1);
    run_until(server.secured, 1);
}

/* --- Tests: plain
 * -------------------------------------------------------------------------------------------------
 */

static void echoes(void)
{
    struct endpoint peer, own;

    start();
    connect_client();
    server.echo = true;
    send_text(&client, "hello");
    run_until(client.ready, 1);
    CHECK_EQ_STR(client.in, client.in_n, "hello");
    CHECK(stream_addresses(server.stream, &peer, &own));
    CHECK(address_is_loopback(&peer.address) && address_is_v4(&own.address));
    CHECK_EQ_INT(own.port, port_of_listener());
    CHECK_EQ_INT(client.written, 0); /* nothing had to wait */
    stop();
}

static void tells_of_a_refused_connection(void)
{
    struct endpoint to;

    start();
    to = here(port_of_listener());
    uv_close((uv_handle_t *)&listener, NULL);
    run_a_while();
    client.stream = stream_connect(&loop, &to, on_event, &client);
    run_until(client.failed, 1);
    CHECK_EQ_STR(client.why, strlen(client.why), "connection refused");
    CHECK_EQ_INT(client.connected, 0);
    uv_tcp_init(&uv, &listener);
    stop();
}

static void closes_while_connecting(void)
{
    struct endpoint to;

    start();
    to = here(port_of_listener());
    client.stream = stream_connect(&loop, &to, on_event, &client);
    close_end(&client);
    run_a_while();
    client.stream = stream_connect(&loop, &to, on_event, &client);
    stream_reset(client.stream);
    client.stream = NULL;
    run_a_while();
    CHECK_EQ_INT(client.connected + client.failed, 0);
    stop();
}

static void waits_for_a_slow_reader(void)
{
    static char room[4096];
    size_t total = 20u << 20, n = 0, got;
    int fd;

    start();
    fd = bare_connect();
    server.to_send = total;
    pump(&server);
    run_a_while();
    CHECK(server.sent < total);
    while (n < total && bare_read(fd, room, sizeof(room), &got) > 0)
        n += got;
    CHECK_EQ_INT(n, total);
    CHECK(server.written > 0);
    CHECK(server.most_queued <= SMALL_CHAIN);
    CHECK_EQ_INT(server.out.n, 0);
    close(fd);
    stop();
}

static void keeps_unconsumed_input(void)
{
    char room[STREAM_INPUT];
    int fd;

    start();
    fd = bare_connect();
    server.ignore = true;
    bare_send(fd, "first", 5);
    run_until(server.ready, 1);
    CHECK_EQ_STR(stream_input(server.stream).p, stream_input(server.stream).n, "first");
    bare_send(fd, "second", 6);
    run_a_while();
    CHECK_EQ_INT(server.ready, 1);
    CHECK_EQ_STR(stream_input(server.stream).p, stream_input(server.stream).n, "first");
    calling = true;
    stream_consume(server.stream, 2);
    stream_read(server.stream, true); /* asks for another event */
    calling = false;
    run_until(server.ready, 2);
    CHECK_EQ_STR(stream_input(server.stream).p, stream_input(server.stream).n, "rst");
    server.ignore = false;
    calling = true;
    stream_consume(server.stream, 3);
    calling = false;
    run_until(server.ready, 3);
    CHECK_EQ_STR(server.in, server.in_n, "second");

    server.ignore = true;
    memset(room, 'y', sizeof(room));
    for (int i = 0; i < 4; i++)
        bare_send(fd, room, sizeof(room));
    run_a_while();
    CHECK_EQ_INT(stream_input(server.stream).n, STREAM_INPUT);
    close(fd);
    stop();
}

static void stops_reading_when_told(void)
{
    int fd;

    start();
    fd = bare_connect();
    stream_read(server.stream, false);
    bare_send(fd, "late", 4);
    shutdown(fd, SHUT_WR);
    run_a_while();
    CHECK_EQ_INT(server.ready + server.ended, 0);
    CHECK_EQ_INT(stream_input(server.stream).n, 0);
    calling = true;
    stream_read(server.stream, true);
    calling = false;
    run_until(server.ended, 1);
    CHECK_EQ_STR(server.in, server.in_n, "late");
    close(fd);
    stop();
}

static void writes_after_the_peers_fin(void)
{
    int fd;

    start();
    fd = bare_connect();
    bare_send(fd, "QUIT\r\n", 6);
    shutdown(fd, SHUT_WR);
    run_until(server.ended, 1);
    CHECK_EQ_STR(server.in, server.in_n, "QUIT\r\n");
    send_text(&server, "221 bye\r\n");
    check_bare_reads(fd, "221 bye\r\n");
    close_end(&server);
    check_bare_fin(fd);
    CHECK_EQ_INT(server.ended, 1);
    close(fd);
    stop();
}

static void holds_the_end_until_input_is_consumed(void)
{
    int fd;

    start();
    fd = bare_connect();
    server.ignore = true;
    bare_send(fd, "last", 4);
    shutdown(fd, SHUT_WR);
    run_until(server.ready, 1);
    run_a_while();
    CHECK_EQ_INT(server.ended, 0);
    stream_consume(server.stream, 4);
    run_until(server.ended, 1);
    close(fd);
    stop();
}

static void writes_the_rest_after_close(void)
{
    static char room[1 << 20];
    size_t n;
    int fd;

    start();
    fd = bare_connect();
    memset(room, 'z', sizeof(room));
    for (int i = 0; i < 8; i++)
        CHECK(chain_put(&server.out, &pool, str_from(room, sizeof(room)), CHAIN_BUDGET));
    stream_write(server.stream, &server.out);
    CHECK(server.out.n > 0);
    close_end(&server);
    for (int i = 0; i < 8; i++) {
        bare_read(fd, room, sizeof(room), &n);
        CHECK_EQ_INT(n, sizeof(room));
    }
    check_bare_fin(fd);
    CHECK_EQ_INT(server.written + server.failed, 0);
    close(fd);
    stop();
}

/* Bytes the session never read must not turn its last reply into a reset. */
static void delivers_the_last_reply_despite_unread_input(void)
{
    int fd;

    start();
    fd = bare_connect();
    stream_read(server.stream, false);
    bare_send(fd, "MAIL FROM:<a@b>\r\nRCPT", 21);
    run_a_while();
    send_text(&server, "421 go away\r\n");
    close_end(&server);
    run_a_while();
    bare_send(fd, " TO:<c@d>\r\n", 11);
    run_a_while();
    check_bare_reads(fd, "421 go away\r\n");
    check_bare_fin(fd);
    CHECK_EQ_INT(loop.open, 1);
    close(fd);
    run_a_while();
    CHECK_EQ_INT(loop.open, 0);
    stop();
}

static void ends_a_close_that_nobody_answers(void)
{
    uint64_t began;
    int fd;

    start();
    fd = bare_connect();
    server.to_send = 1u << 23;
    pump(&server);
    run_a_while();
    began = uv_hrtime();
    close_end(&server);
    while (loop.open > 0 && uv_hrtime() - began < (uint64_t)WAIT_MS * 1000000)
        uv_run(&uv, UV_RUN_ONCE);
    CHECK_EQ_INT(loop.open, 0);
    CHECK((uv_hrtime() - began) / 1000000 <= STREAM_CLOSE_MS + 1500);
    close(fd);
    stop();
}

static void resets(void)
{
    char room[10];
    size_t n;
    int fd;

    start();
    fd = bare_connect();
    send_text(&server, "");
    stream_reset(server.stream);
    server.stream = NULL;
    CHECK_EQ_INT(bare_read(fd, room, sizeof(room), &n), -1);
    CHECK_EQ_INT(errno, ECONNRESET);
    close(fd);
    stop();
}

static void reset_drops_what_waits(void)
{
    int fd;

    start();
    fd = bare_connect();
    server.to_send = 1u << 23;
    pump(&server);
    CHECK(server.out.n > 0);
    stream_reset(server.stream);
    server.stream = NULL;
    CHECK_EQ_INT(server.out.n, 0);
    run_a_while();
    CHECK_EQ_INT(pool.used, 0);
    close(fd);
    stop();
}

static void tells_of_a_reset(void)
{
    struct linger hard = { 1, 0 };
    int fd;

    start();
    fd = bare_connect();
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    run_until(server.failed, 1);
    CHECK_EQ_STR(server.why, strlen(server.why), "connection reset by peer");
    stop();
}

static void tells_of_a_failed_write(void)
{
    struct linger hard = { 1, 0 };
    int fd;

    start();
    fd = bare_connect();
    stream_read(server.stream, false);
    run_a_while();
    server.to_send = 1u << 23;
    pump(&server);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    run_until(server.failed, 1);
    CHECK(server.why[0] != '\0');
    calling = true;
    stream_write(server.stream, &server.out);
    calling = false;
    stop();
}

static void may_be_closed_in_any_event(void)
{
    int fd;

    start();
    fd = bare_connect();
    server.close_at_end = true;
    bare_send(fd, "x", 1);
    shutdown(fd, SHUT_WR);
    run_until(server.ended, 1);
    check_bare_fin(fd);
    close(fd);
    stop();
}

/* --- Tests: TLS
 * ---------------------------------------------------------------------------------------------------
 */

static void echoes_in_tls(void)
{
    struct tls_facts facts;

    start();
    secure_both();
    CHECK(stream_tls_facts(server.stream, &facts));
    CHECK_EQ_STR(facts.version, strlen(facts.version), "TLS1_3");
    server.echo = true;
    send_text(&client, "hello");
    run_until(client.ready, 1);
    CHECK_EQ_STR(client.in, client.in_n, "hello");
    close_end(&client);
    run_until(server.ended, 1);
    CHECK_EQ_INT(server.failed, 0);
    stop();
}

static void carries_20_mb_in_tls(void)
{
    size_t total = 20u << 20;

    start();
    secure_both();
    client.discard = true;
    stream_read(client.stream, false);
    server.to_send = total;
    pump(&server);
    run_a_while();
    CHECK(server.sent < total);
    for (int i = 0; i < 200; i++) { /* a reader that stutters */
        stream_read(client.stream, i & 1);
        uv_run(&uv, UV_RUN_NOWAIT);
    }
    stream_read(client.stream, true);
    run_until_bytes(&client.in_n, total);
    CHECK(server.most_queued <= SMALL_CHAIN);
    stop();
}

static void keeps_unconsumed_input_in_tls(void)
{
    size_t n, total = 1u << 18;

    start();
    secure_both();
    client.ignore = client.discard = true;
    server.to_send = total;
    pump(&server);
    for (n = 0; n < total;) {
        struct str input = stream_input(client.stream);
        size_t part = input.n < 5000 ? input.n : 5000;

        CHECK(input.n <= STREAM_INPUT);
        n += part;
        stream_consume(client.stream, part);
        for (int i = 0; i < 100 && stream_input(client.stream).n == 0; i++)
            uv_run(&uv, UV_RUN_NOWAIT);
        if (stream_input(client.stream).n == 0)
            break;
    }
    CHECK_EQ_INT(n, total);
    stop();
}

static void writes_the_rest_after_close_in_tls(void)
{
    static char block[1 << 18];

    start();
    secure_both();
    client.discard = true;
    stream_read(client.stream, false);
    memset(block, 'z', sizeof(block));
    for (int i = 0; i < 32; i++)
        CHECK(chain_put(&server.out, &pool, str_from(block, sizeof(block)), CHAIN_BUDGET));
    stream_write(server.stream, &server.out);
    CHECK(server.out.n > 0);
    close_end(&server);
    stream_read(client.stream, true);
    run_until(client.ended, 1);
    CHECK_EQ_INT(client.in_n, 32 * sizeof(block));
    stop();
}

static void starts_tls_in_the_middle(void)
{
    start();
    make_tls();
    connect_client();
    server.starttls = tls_accept(tls_server);
    send_text(&client, "STARTTLS\r\n");
    run_until(client.ready, 1);
    CHECK_EQ_STR(client.in, client.in_n, "220 go\r\n");
    client.in_n = 0;
    stream_start_tls(client.stream, tls_connect(tls_client));
    send_text(&client, "EHLO x\r\n"); /* waits for the handshake */
    run_until(server.secured, 1);
    run_until(server.ready, 2);
    CHECK_EQ_STR(server.in, server.in_n, "EHLO x\r\n");
    stop();
}

/* T-1: after the go-ahead nothing but TLS records. */
static void check_only_records(int fd, bool any)
{
    char room[4096];
    size_t n, at = 0;

    CHECK_EQ_INT(bare_read(fd, room, sizeof(room), &n), 0);
    CHECK(n > 0 || !any);
    while (n - at >= 5) {
        CHECK(room[at] >= 0x14 && room[at] <= 0x17 && room[at + 1] == 3);
        at += 5 + (size_t)((unsigned char)room[at + 3] << 8 | (unsigned char)room[at + 4]);
        if (at > n)
            break;
    }
    CHECK_EQ_INT(at, n);
}

/* T-2, the same segment. */
static void refuses_plaintext_behind_starttls(void)
{
    int fd;

    start();
    make_tls();
    fd = bare_connect();
    server.starttls = tls_accept(tls_server);
    bare_send(fd, "STARTTLS\r\nEHLO evil\r\n", 21);
    run_until(server.failed, 1);
    CHECK_EQ_STR(server.why, strlen(server.why), "plaintext behind STARTTLS");
    CHECK_EQ_INT(server.ready, 1);
    send_text(&server, "500 in clear\r\n");
    close_end(&server);
    check_bare_reads(fd, "220 go\r\n");
    check_only_records(fd, false);
    close(fd);
    stop();
}

/* T-2, another segment: read as TLS, and answered by an alert. */
static void reads_later_plaintext_as_tls(void)
{
    int fd;

    start();
    make_tls();
    fd = bare_connect();
    server.starttls = tls_accept(tls_server);
    bare_send(fd, "STARTTLS\r\n", 10);
    check_bare_reads(fd, "220 go\r\n");
    bare_send(fd, "EHLO evil\r\n", 11);
    run_until(server.failed, 1);
    CHECK_EQ_INT(server.ready, 1);
    send_text(&server, "500 in clear\r\n");
    close_end(&server);
    check_only_records(fd, true);
    close(fd);
    stop();
}

/* A TLS client on a bare socket, as far as the end of its handshake. */
static void bare_go_on(int fd, struct tls *t)
{
    enum tls_result result = TLS_WANT;
    char room[4096];

    for (int i = 0; i < 10000 && result == TLS_WANT; i++) {
        ssize_t n = recv(fd, room, sizeof(room), 0);
        struct str bytes = str_from(room, n > 0 ? (size_t)n : 0);

        result = tls_handshake(t, &bytes);
        while (tls_output(t)->n > 0) {
            struct str front = chain_front(tls_output(t));

            bare_send(fd, front.p, front.n);
            chain_drop(tls_output(t), front.n);
        }
        uv_run(&uv, UV_RUN_NOWAIT);
    }
    CHECK_EQ_INT(result, TLS_OK);
}

/* Implicit TLS behind a PROXY header: what came in one segment with the header is ciphertext. */
static void takes_early_ciphertext(void)
{
    struct tls *t;
    struct str hello, nothing = { NULL, 0 };
    char room[4096] = "PROXY\r\n";
    int fd;

    start();
    make_tls();
    fd = bare_connect();
    server.ignore = true;
    t = tls_connect(tls_client);
    CHECK_EQ_INT(tls_handshake(t, &nothing), TLS_WANT);
    hello = chain_front(tls_output(t));
    memcpy(room + 7, hello.p, hello.n);
    bare_send(fd, room, 7 + hello.n);
    chain_drop(tls_output(t), hello.n);
    run_until(server.ready, 1);
    stream_consume(server.stream, 7);
    calling = true;
    stream_start_tls_at_once(server.stream, tls_accept(tls_server));
    calling = false;
    bare_go_on(fd, t);
    run_until(server.secured, 1);
    CHECK_EQ_INT(server.ready, 1);
    tls_free(t);
    close(fd);
    stop();
}

/* T-7. */
static void tells_truncation_from_an_end(void)
{
    for (int polite = 0; polite < 2; polite++) {
        struct tls *t;
        size_t n;
        int fd;

        start();
        make_tls();
        fd = bare_connect();
        stream_start_tls(server.stream, tls_accept(tls_server));
        t = tls_connect(tls_client);
        bare_go_on(fd, t);
        CHECK_EQ_INT(tls_write(t, STR("DATA"), &n), TLS_OK);
        if (polite)
            tls_close(t);
        while (tls_output(t)->n > 0) {
            struct str front = chain_front(tls_output(t));

            bare_send(fd, front.p, front.n);
            chain_drop(tls_output(t), front.n);
        }
        shutdown(fd, SHUT_WR);
        if (polite)
            run_until(server.ended, 1);
        else
            run_until(server.failed, 1);
        CHECK_EQ_STR(server.in, server.in_n, "DATA");
        CHECK_EQ_STR(server.why, strlen(server.why), polite ? "" : "truncated: FIN without close_notify");
        tls_free(t);
        close(fd);
        stop();
    }
}

static void tells_of_a_fin_in_the_handshake(void)
{
    int fd;

    start();
    make_tls();
    fd = bare_connect();
    stream_start_tls(server.stream, tls_accept(tls_server));
    bare_send(fd, "\x16\x03\x01", 3);
    shutdown(fd, SHUT_WR);
    run_until(server.failed, 1);
    CHECK_EQ_STR(server.why, strlen(server.why), "connection closed in the TLS handshake");
    close(fd);
    stop();
}

static void frees_tls(void)
{
    tls_server_free(tls_server);
    tls_client_free(tls_client);
}

static const struct test_case tests[] = {
    TEST(echoes),
    TEST(tells_of_a_refused_connection),
    TEST(closes_while_connecting),
    TEST(waits_for_a_slow_reader),
    TEST(keeps_unconsumed_input),
    TEST(stops_reading_when_told),
    TEST(writes_after_the_peers_fin),
    TEST(holds_the_end_until_input_is_consumed),
    TEST(writes_the_rest_after_close),
    TEST(delivers_the_last_reply_despite_unread_input),
    TEST(ends_a_close_that_nobody_answers),
    TEST(resets),
    TEST(reset_drops_what_waits),
    TEST(tells_of_a_reset),
    TEST(tells_of_a_failed_write),
    TEST(may_be_closed_in_any_event),
    TEST(echoes_in_tls),
    TEST(carries_20_mb_in_tls),
    TEST(keeps_unconsumed_input_in_tls),
    TEST(writes_the_rest_after_close_in_tls),
    TEST(starts_tls_in_the_middle),
    TEST(refuses_plaintext_behind_starttls),
    TEST(reads_later_plaintext_as_tls),
    TEST(takes_early_ciphertext),
    TEST(tells_truncation_from_an_end),
    TEST(tells_of_a_fin_in_the_handshake),
    TEST(frees_tls),
};
TEST_MAIN(tests)
