/* wirereplay's socket: poll() and deadlines around send and recv, and mbedTLS on the same two. See replay.h. */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t wire_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool fail(struct wire *w, const char *why)
{
    if (!w->error)
        w->error = why;
    return false;
}

static bool fail_with_errno(struct wire *w, const char *what)
{
    snprintf(w->text, sizeof w->text, "%s: %s", what, strerror(errno));
    return fail(w, w->text);
}

/* Waits for one of these events; 0 at the deadline. */
static short wait_for(const struct wire *w, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd p = { .fd = w->fd, .events = events };
        int64_t left = deadline - wire_now();
        if (left <= 0)
            return 0;
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return p.revents;
        if (n < 0 && errno != EINTR)
            return POLLERR;
    }
}

/* --- Connecting --- */

static bool try_address(struct wire *w, const struct addrinfo *a, int64_t deadline)
{
    int yes = 1, error = 0;
    socklen_t size = sizeof error;

    w->fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (w->fd < 0)
        return fail_with_errno(w, "socket");
    if (connect(w->fd, a->ai_addr, a->ai_addrlen) != 0) {
        if (errno != EINPROGRESS)
            return fail_with_errno(w, "connect");
        if (!wait_for(w, POLLOUT, deadline))
            return fail(w, "connect: no answer in time");
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        errno = error;
        if (error)
            return fail_with_errno(w, "connect");
    }
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* one segment for each send */
    return true;
}

bool wire_connect(struct wire *w, const char *host, const char *port, int64_t deadline)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    bool ok = false;

    *w = (struct wire){ .fd = -1 };
    int error = getaddrinfo(host, port, &hints, &list);
    if (error)
        return fail(w, gai_strerror(error));
    for (struct addrinfo *a = list; a && !ok; a = a->ai_next) {
        w->error = NULL;
        ok = try_address(w, a, deadline);
        if (!ok && w->fd >= 0) {
            close(w->fd);
            w->fd = -1;
        }
    }
    freeaddrinfo(list);
    return ok;
}

/* --- Octets, without TLS --- */

/* What recv() has, now. False when the gateway closed. */
static bool take(struct wire *w)
{
    uint8_t block[16384];
    ssize_t n = recv(w->fd, block, sizeof block, MSG_DONTWAIT);

    if (n > 0)
        buffer_add(&w->in, block, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        w->is_closed = true;
        return fail(w, n == 0 ? "the gateway closed the connection" : "the gateway reset the connection");
    }
    return true;
}

static bool send_plain(struct wire *w, struct slice s, int64_t deadline)
{
    while (s.n) {
        short events = wait_for(w, (short)(POLLOUT | (w->is_closed ? 0 : POLLIN)), deadline);
        if (!events)
            return fail(w, "the gateway takes no more octets");
        if (events & POLLIN)
            take(w); /* a gateway that has closed its side may still read */
        ssize_t n = send(w->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            w->is_closed = true;
            return fail(w, "the gateway reset the connection");
        }
        if (n > 0)
            s = slice_part(s, (size_t)n, s.n);
    }
    return true;
}

/* --- TLS --- */

struct tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    char name[128];
};

static int tls_send(void *context, const unsigned char *p, size_t n)
{
    struct wire *w = context;
    ssize_t sent = send(w->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    return (int)sent;
}

static int tls_receive(void *context, unsigned char *p, size_t n)
{
    struct wire *w = context;
    ssize_t got = recv(w->fd, p, n, MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    return (int)got;
}

static bool fail_in_tls(struct wire *w, const char *what, int error)
{
    char words[100];

    mbedtls_strerror(error, words, sizeof words);
    snprintf(w->text, sizeof w->text, "%s: %s", what, words);
    return fail(w, w->text);
}

/* After mbedTLS asked for it: waits for the socket. False when `error` is final. */
static bool tls_may_go_on(struct wire *w, int error, const char *what, int64_t deadline)
{
    switch (error) {
    case MBEDTLS_ERR_SSL_WANT_READ: return wait_for(w, POLLIN, deadline) || fail(w, "TLS: no answer in time");
    case MBEDTLS_ERR_SSL_WANT_WRITE: return wait_for(w, POLLOUT, deadline) || fail(w, "TLS: no answer in time");
    case MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET: return true;
    case 0:
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY: w->is_closed = true; return fail(w, "the gateway closed the connection");
    default: w->is_closed = true; return fail_in_tls(w, what, error);
    }
}

static struct tls *new_tls(void)
{
    struct tls *tls = fresh(sizeof *tls);

    mbedtls_ssl_init(&tls->ssl);
    mbedtls_ssl_config_init(&tls->config);
    mbedtls_entropy_init(&tls->entropy);
    mbedtls_ctr_drbg_init(&tls->random);
    return tls;
}

static void free_tls(struct tls *tls)
{
    mbedtls_ssl_free(&tls->ssl);
    mbedtls_ssl_config_free(&tls->config);
    mbedtls_ctr_drbg_free(&tls->random);
    mbedtls_entropy_free(&tls->entropy);
    free(tls);
}

/* A client that takes any certificate: whom it talks to is what the user typed. */
static int set_tls_up(struct tls *tls, struct wire *w, const char *server_name)
{
    int error = psa_crypto_init() == PSA_SUCCESS ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;

    if (!error)
        error = mbedtls_ctr_drbg_seed(&tls->random, mbedtls_entropy_func, &tls->entropy, NULL, 0);
    if (!error)
        error = mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    if (error)
        return error;
    mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&tls->config, mbedtls_ctr_drbg_random, &tls->random);
    error = mbedtls_ssl_setup(&tls->ssl, &tls->config);
    if (!error)
        error = mbedtls_ssl_set_hostname(&tls->ssl, server_name);
    mbedtls_ssl_set_bio(&tls->ssl, w, tls_send, tls_receive, NULL);
    return error;
}

bool wire_start_tls(struct wire *w, const char *server_name, int64_t deadline)
{
    struct tls *tls = new_tls();
    int error = set_tls_up(tls, w, server_name);

    w->tls = tls;
    if (error)
        return fail_in_tls(w, "TLS", error);
    buffer_free(&w->in); /* what came before TLS is not believed behind it (ORACLE T-8) */
    while ((error = mbedtls_ssl_handshake(&tls->ssl)) != 0)
        if (!tls_may_go_on(w, error, "TLS handshake", deadline))
            return false;
    snprintf(tls->name, sizeof tls->name, "%s %s", mbedtls_ssl_get_version(&tls->ssl),
             mbedtls_ssl_get_ciphersuite(&tls->ssl));
    return true;
}

const char *wire_tls_name(const struct wire *w)
{
    const struct tls *tls = w->tls;
    return tls ? tls->name : "";
}

static bool send_tls(struct wire *w, struct slice s, int64_t deadline)
{
    struct tls *tls = w->tls;

    while (s.n) {
        int n = mbedtls_ssl_write(&tls->ssl, s.p, s.n);
        if (n > 0)
            s = slice_part(s, (size_t)n, s.n);
        else if (!tls_may_go_on(w, n, "TLS", deadline))
            return false;
    }
    return true;
}

static bool read_tls(struct wire *w, int64_t deadline)
{
    struct tls *tls = w->tls;
    uint8_t block[16384];

    for (;;) {
        int n = mbedtls_ssl_read(&tls->ssl, block, sizeof block);
        if (n > 0) {
            buffer_add(&w->in, block, (size_t)n);
            return true;
        }
        if (!tls_may_go_on(w, n, "TLS", deadline))
            return false;
    }
}

/* --- Both --- */

bool wire_send(struct wire *w, struct slice s, int64_t deadline)
{
    return w->tls ? send_tls(w, s, deadline) : send_plain(w, s, deadline);
}

bool wire_read(struct wire *w, int64_t deadline)
{
    if (w->is_closed)
        return false;
    if (w->tls)
        return read_tls(w, deadline);
    size_t before = w->in.n;
    while (w->in.n == before) {
        if (!wait_for(w, POLLIN, deadline))
            return fail(w, "no answer in time");
        if (!take(w))
            return false;
    }
    return true;
}

void wire_half_close(struct wire *w)
{
    struct tls *tls = w->tls;

    if (tls)
        mbedtls_ssl_close_notify(&tls->ssl);
    shutdown(w->fd, SHUT_WR);
}

void wire_close(struct wire *w, bool by_reset)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (w->tls)
        free_tls(w->tls);
    if (w->fd >= 0) {
        if (by_reset)
            setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(w->fd);
    }
    buffer_free(&w->in);
    *w = (struct wire){ .fd = -1 };
}
