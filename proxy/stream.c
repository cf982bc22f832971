/* Streams on libuv.
 *
 * All events come from work(), which runs in callbacks of libuv and, for streams that have something due
 * after a call of their owner, once per loop turn. Whoever calls the owner looks at `closing` before it goes
 * on: the owner may have closed the stream in its event. The memory stays until libuv has let go of the
 * socket.
 *
 * A reader is stopped late: when there is no room for what arrived, not when the owner stops reading; so a
 * stream that goes on in the same turn costs no epoll_ctl.
 */
#include "stream.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "socket_address.h"

enum {
    WIRE_MARK = CHUNK_ROOM / 2, /* TLS output waiting beyond this: no further record is encrypted */
    RECORD_EXTRA = 128,         /* what a record adds to its data, at most */
    WRITE_SLICES = 8,           /* chunks tried at once */
    QUEUE_SLICES = 4,           /* chunks in a waiting write: as many as libuv takes without malloc */
    CLOCK_MS = 500
};

enum phase {
    CONNECTING,
    CLEAR,
    CLEAR_LAST, /* TLS is asked for; what was written before still leaves */
    HANDSHAKE,
    SECURE
};

/* Bytes that lie in a shared room, or in memory of their own once they stay longer than an event. */
struct held {
    struct str s;
    char *own;
};

struct stream {
    uv_tcp_t tcp;
    uv_write_t write;
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } request;
    struct stream_loop *loop;
    stream_listener *listener;
    void *owner;
    struct stream *next, **at; /* in the list of those due, or closing */
    struct tls *tls;
    struct chain *out; /* the owner's; `rest` after its part has ended */
    struct chain rest;
    struct chain *queued_from; /* what the waiting write points into */
    size_t queued;             /* its octets; 0: none waits */
    size_t clear_left;         /* in CLEAR_LAST: octets of `out` that leave in clear */
    struct held input;         /* plaintext not consumed */
    struct held cipher;        /* ciphertext not decrypted */
    uint64_t deadline;
    const char *why;
    enum phase phase;
    bool reading;         /* the owner wants input */
    bool watching;        /* libuv reads */
    bool working;         /* work() is on the stack */
    bool announce;        /* the input has not been announced */
    bool more;            /* TLS may have something without new bytes */
    bool fin;             /* TCP FIN seen */
    bool ended, end_told; /* orderly end of the peer's bytes */
    bool failed, failure_told;
    bool broken; /* the socket is of no use any more */
    bool closing, notified, shut, dead;
};

static void on_alloc(uv_handle_t *, size_t, uv_buf_t *);
static void on_read(uv_stream_t *, ssize_t, const uv_buf_t *);
static void on_written(uv_write_t *, int);
static void close_step(struct stream *);

static uv_stream_t *uv_of(struct stream *s)
{
    return (uv_stream_t *)&s->tcp;
}

/* --- Lists
 * --------------------------------------------------------------------------------------------------------
 */

static void list_add(struct stream **list, struct stream *s)
{
    s->next = *list;
    s->at = list;
    if (s->next != NULL)
        s->next->at = &s->next;
    *list = s;
}

static void list_remove(struct stream *s)
{
    if (s->at == NULL)
        return;
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    s->next = NULL;
    s->at = NULL;
}

static void on_turn(uv_idle_t *);

/* An active idle handle makes libuv not wait, and runs before the next poll. */
static void schedule(struct stream *s)
{
    if (s->at != NULL || s->closing)
        return;
    list_add(&s->loop->due, s);
    uv_idle_start(&s->loop->turn, on_turn);
}

/* --- Held bytes
 * ---------------------------------------------------------------------------------------------------
 */

static void held_drop(struct held *h, size_t n)
{
    h->s = str_skip(h->s, n);
    if (h->s.n > 0)
        return;
    free(h->own);
    *h = (struct held){ 0 };
}

static void held_clear(struct held *h)
{
    held_drop(h, h->s.n);
}

/* Before the shared room is used for another stream. */
static bool held_keep(struct held *h)
{
    if (h->s.n == 0 || h->own != NULL)
        return true;
    h->own = malloc(h->s.n);
    if (h->own == NULL)
        return false;
    memcpy(h->own, h->s.p, h->s.n);
    h->s.p = h->own;
    return true;
}

/* --- Failure
 * ------------------------------------------------------------------------------------------------------
 */

/* Told in the next turn, and input stays until then: this may be within a call of the owner, who may be
 * looking at it.
 */
static void fail(struct stream *s, const char *why)
{
    if (s->failed)
        return;
    s->failed = true;
    s->why = why;
    schedule(s);
}

static void fail_socket(struct stream *s, int error)
{
    s->broken = true;
    fail(s, uv_strerror(error));
}

const char *stream_why(const struct stream *s)
{
    return s->why != NULL ? s->why : "";
}

/* --- Writing
 * ------------------------------------------------------------------------------------------------------
 */

/* Up to `max` buffers with at most `limit` octets of the chain; `*n`: their octets. */
static unsigned gather(const struct chain *chain, uv_buf_t *bufs, size_t max, size_t limit, size_t *n)
{
    struct str slices[WRITE_SLICES];
    size_t have = chain_slices(chain, slices, max);
    unsigned used = 0;

    *n = 0;
    while (used < have && *n < limit) {
        size_t len = slices[used].n < limit - *n ? slices[used].n : limit - *n;
        union {
            const char *in;
            char *out;
        } base = { slices[used].p }; /* uv_buf_t has no const */

        bufs[used++] = (uv_buf_t){ .base = base.out, .len = len };
        *n += len;
    }
    return used;
}

static void queue(struct stream *s, struct chain *chain, size_t limit)
{
    uv_buf_t bufs[QUEUE_SLICES];
    unsigned n = gather(chain, bufs, QUEUE_SLICES, limit, &s->queued);
    int error = uv_write(&s->write, uv_of(s), bufs, n, on_written);

    s->queued_from = chain;
    if (error == 0)
        return;
    s->queued = 0;
    fail_socket(s, error);
}

/* Writes the first `*limit` octets of the chain; what the socket does not take now waits in a write of libuv. */
static void send_chain(struct stream *s, struct chain *chain, size_t *limit)
{
    uv_buf_t bufs[WRITE_SLICES];
    size_t want;

    while (*limit > 0 && !s->broken) {
        unsigned n = gather(chain, bufs, WRITE_SLICES, *limit, &want);
        int sent = uv_try_write(uv_of(s), bufs, n);

        if (sent < 0 && sent != UV_EAGAIN) {
            fail_socket(s, sent);
            return;
        }
        if (sent > 0) {
            chain_drop(chain, (size_t)sent);
            *limit -= (size_t)sent;
        }
        if (sent < 0 || (size_t)sent < want) {
            queue(s, chain, *limit);
            return;
        }
    }
}

static bool can_encrypt(const struct stream *s)
{
    return s->phase == SECURE && s->out != NULL && s->out->n > 0 && !s->broken;
}

/* Encrypts until about one chunk waits: no more, because each connection with a slow peer holds as much. */
static bool encrypt(struct stream *s)
{
    const struct chain *wire = tls_output(s->tls);

    while (can_encrypt(s) && wire->n < WIRE_MARK) {
        struct str plain = chain_front(s->out);
        size_t room = CHUNK_ROOM - RECORD_EXTRA - wire->n, n;

        if (plain.n > room)
            plain.n = room;
        if (tls_write(s->tls, plain, &n) != TLS_OK) {
            s->broken = true;
            fail(s, tls_error(s->tls));
            return false;
        }
        chain_drop(s->out, n);
    }
    return true;
}

static void flush_tls(struct stream *s)
{
    size_t limit;

    do {
        if (!encrypt(s))
            return;
        limit = tls_output(s->tls)->n;
        send_chain(s, tls_output(s->tls), &limit);
    } while (s->queued == 0 && can_encrypt(s));
}

static void flush(struct stream *s)
{
    size_t limit = s->out != NULL ? s->out->n : 0;

    if (s->queued > 0 || s->broken || s->dead)
        return;
    switch (s->phase) {
    case CONNECTING: break;
    case CLEAR: send_chain(s, s->out, &limit); break;
    case CLEAR_LAST: send_chain(s, s->out, &s->clear_left); break;
    case HANDSHAKE:
    case SECURE: flush_tls(s); break;
    }
}

/* --- Events
 * -------------------------------------------------------------------------------------------------------
 */

static void raise_event(struct stream *s, enum stream_event event)
{
    s->listener(s->owner, s, event);
}

/* Announces the input; true when all of it was consumed. */
static bool offer(struct stream *s)
{
    if (!s->reading || !s->announce)
        return false;
    s->announce = false;
    raise_event(s, STREAM_INPUT_READY);
    return s->input.s.n == 0;
}

static bool begin_handshake(struct stream *s)
{
    if (s->clear_left > 0 || s->queued > 0)
        return false;
    if (s->input.s.n > 0) {
        /* RFC 3207 4.2 and CVE-2011-0411: what came in clear is not to be taken for something said inside
         * TLS.
         */
        fail(s, "plaintext behind STARTTLS");
        return false;
    }
    s->phase = HANDSHAKE;
    s->more = true;
    return true;
}

static bool shake_hands(struct stream *s)
{
    enum tls_result result;

    if (!s->more && !s->fin)
        return false;
    s->more = false;
    result = tls_handshake(s->tls, &s->cipher.s);
    held_drop(&s->cipher, 0);
    flush(s);
    if (result == TLS_WANT && s->fin)
        fail(s, "connection closed in the TLS handshake");
    else if (result == TLS_FAILED)
        fail(s, tls_error(s->tls));
    if (result != TLS_OK)
        return false;
    s->phase = SECURE;
    s->more = true;
    raise_event(s, STREAM_SECURED);
    if (!s->closing)
        flush(s);
    return true;
}

/* Decrypts as much as the shared room takes. A failure behind good data shows at the next call. */
static bool decrypt(struct stream *s)
{
    enum tls_result result = TLS_OK;
    size_t n = 0, got;

    while (n < STREAM_INPUT && result == TLS_OK) {
        result = tls_read(s->tls, &s->cipher.s, s->loop->plain + n, STREAM_INPUT - n, &got);
        n += got;
    }
    held_drop(&s->cipher, 0);
    flush(s); /* an alert */
    s->more = result == TLS_OK || (result == TLS_FAILED && n > 0);
    if (result == TLS_CLOSED) {
        s->ended = true;
        held_clear(&s->cipher); /* RFC 8446 6.1: data after a closure alert is ignored */
    } else if (result == TLS_FAILED && n == 0) {
        fail(s, tls_error(s->tls));
    }
    s->input.s = str_from(s->loop->plain, n);
    s->announce = n > 0;
    return true;
}

/* Everything that arrived has been consumed. */
static bool at_end(struct stream *s)
{
    if (s->fin && !s->ended && s->phase == SECURE) {
        fail(s, "truncated: FIN without close_notify");
        return false;
    }
    if (s->fin && s->phase == CLEAR)
        s->ended = true;
    if (s->ended && !s->end_told) {
        s->end_told = true;
        raise_event(s, STREAM_END);
    }
    return false;
}

/* One step of work; true when another may follow. */
static bool work_once(struct stream *s)
{
    switch (s->phase) {
    case CONNECTING: return false;
    case CLEAR_LAST: return begin_handshake(s);
    case HANDSHAKE: return shake_hands(s);
    case CLEAR:
    case SECURE: break;
    }
    if (s->input.s.n > 0)
        return offer(s);
    if (!s->reading)
        return false;
    return s->more ? decrypt(s) : at_end(s);
}

/* What the socket has to offer is wanted. */
static bool wants_bytes(const struct stream *s)
{
    if (s->closing)
        return !s->fin;
    if (s->failed || s->fin || s->ended || s->phase == CONNECTING || s->phase == CLEAR_LAST)
        return false;
    return s->phase == HANDSHAKE || (s->reading && s->input.s.n == 0 && s->cipher.s.n == 0);
}

static void watch(struct stream *s)
{
    if (s->watching || s->dead || !wants_bytes(s))
        return;
    s->watching = uv_read_start(uv_of(s), on_alloc, on_read) == 0;
    if (!s->watching)
        fail(s, "cannot read");
}

static void work(struct stream *s)
{
    bool go_on = true;

    s->working = true;
    while (go_on && !s->closing && !s->failed)
        go_on = work_once(s);
    s->working = false;
    if (s->closing)
        return;
    if (!held_keep(&s->input) || !held_keep(&s->cipher))
        fail(s, "no memory");
    watch(s);
}

static void tell_failure(struct stream *s)
{
    held_clear(&s->input);
    held_clear(&s->cipher);
    if (s->failure_told)
        return;
    s->failure_told = true;
    raise_event(s, STREAM_FAILED);
}

static void on_turn(uv_idle_t *turn)
{
    struct stream_loop *loop = turn->data;
    struct stream *list = loop->due;

    loop->due = NULL;
    if (list != NULL)
        list->at = &list;
    while (list != NULL) {
        struct stream *s = list;

        list_remove(s);
        if (s->failed)
            tell_failure(s);
        else
            work(s);
    }
    if (loop->due == NULL)
        uv_idle_stop(turn);
}

/* --- What libuv calls
 * ---------------------------------------------------------------------------------------------
 */

static void destroy(struct stream *s, bool reset);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *s = handle->data;

    (void)suggested;
    if (wants_bytes(s))
        *buf = uv_buf_init(s->loop->room, sizeof(s->loop->room));
}

static void read_while_closing(struct stream *s, ssize_t n)
{
    if (n > 0)
        return;
    s->fin = true;
    if (n != UV_EOF || s->shut)
        destroy(s, false);
}

static void on_bytes(struct stream *s, size_t n)
{
    struct str bytes = str_from(s->loop->room, n);

    if (s->phase == CLEAR) {
        s->input.s = bytes;
        s->announce = true;
    } else {
        s->cipher.s = bytes;
        s->more = true;
    }
}

static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = uv->data;

    (void)buf;
    if (n == 0)
        return;
    if (n < 0) {
        uv_read_stop(uv);
        s->watching = false;
    }
    if (n == UV_ENOBUFS) /* our own: nothing is wanted now */
        return;
    if (s->closing) {
        read_while_closing(s, n);
        return;
    }
    if (n > 0)
        on_bytes(s, (size_t)n);
    else if (n == UV_EOF)
        s->fin = true;
    else
        fail_socket(s, (int)n);
    work(s);
}

static void on_written(uv_write_t *request, int status)
{
    struct stream *s = request->handle->data;
    size_t n = s->queued;

    s->queued = 0;
    if (s->dead)
        return;
    if (status < 0) {
        fail_socket(s, status);
    } else {
        chain_drop(s->queued_from, n);
        if (s->phase == CLEAR_LAST)
            s->clear_left -= n;
        flush(s);
    }
    if (s->closing) {
        close_step(s);
        return;
    }
    if (!s->failed && (s->phase == CLEAR || s->phase == SECURE))
        raise_event(s, STREAM_WRITTEN);
    work(s);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct stream *s = request->handle->data;

    if (s->dead)
        return;
    if (status < 0) {
        fail_socket(s, status);
        return;
    }
    s->phase = s->tls != NULL ? CLEAR_LAST : CLEAR;
    raise_event(s, STREAM_CONNECTED);
    if (s->closing)
        return;
    flush(s);
    work(s);
}

/* --- The end
 * ------------------------------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    tls_free(s->tls);
    chain_clear(&s->rest);
    s->loop->open--;
    free(s);
}

static void destroy(struct stream *s, bool reset)
{
    if (s->dead)
        return;
    s->dead = true;
    list_remove(s);
    if (s->loop->closing == NULL)
        uv_timer_stop(&s->loop->clock); /* or it would keep a loop that is done for its last half second */
    if (s->shut)
        s->loop->lingering--;
    if (!reset || uv_tcp_close_reset(&s->tcp, on_closed) != 0)
        uv_close((uv_handle_t *)&s->tcp, on_closed);
}

static void on_clock(uv_timer_t *clock)
{
    struct stream_loop *loop = clock->data;
    uint64_t now = uv_now(loop->uv);

    for (struct stream *s = loop->closing, *next; s != NULL; s = next) {
        next = s->next;
        if (s->deadline <= now)
            destroy(s, !s->shut);
    }
    if (loop->closing == NULL)
        uv_timer_stop(clock);
}

/* The owner's part ends: what it wrote and what libuv may still point into belongs to the stream from now on. */
static void detach(struct stream *s)
{
    list_remove(s);
    s->closing = true;
    if (s->out != NULL) {
        chain_move(&s->rest, s->out);
        if (s->queued_from == s->out)
            s->queued_from = &s->rest;
    }
    s->out = &s->rest;
    held_clear(&s->input);
    held_clear(&s->cipher);
}

static void on_shut(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status;
}

/* Everything is written. A socket closed with unread bytes, or sent some later, answers with RST, and the
 * peer may lose our last reply to that: so FIN first, then what comes is read and dropped until the peer's
 * FIN.
 */
static void linger(struct stream *s)
{
    if (s->fin || s->loop->lingering >= STREAM_LINGER_MAX ||
        uv_shutdown(&s->request.shutdown, uv_of(s), on_shut) != 0) {
        destroy(s, false);
        return;
    }
    s->shut = true;
    s->loop->lingering++;
}

static void close_step(struct stream *s)
{
    if (s->dead || s->shut)
        return;
    flush(s);
    if (s->queued == 0 && s->phase == SECURE && !s->notified) {
        s->notified = true;
        tls_close(s->tls);
        flush(s);
    }
    if (s->broken)
        destroy(s, true);
    else if (s->queued == 0)
        linger(s);
    watch(s);
}

void stream_close(struct stream *s)
{
    detach(s);
    if (s->phase == CONNECTING || s->broken) {
        destroy(s, s->broken);
        return;
    }
    if (s->phase == HANDSHAKE || (s->phase == SECURE && s->failed))
        chain_clear(&s->rest); /* none of it may leave in clear (T-1): only an alert may */
    s->deadline = uv_now(s->loop->uv) + STREAM_CLOSE_MS;
    list_add(&s->loop->closing, s);
    if (!uv_is_active((uv_handle_t *)&s->loop->clock))
        uv_timer_start(&s->loop->clock, on_clock, CLOCK_MS, CLOCK_MS);
    close_step(s);
}

void stream_reset(struct stream *s)
{
    detach(s);
    destroy(s, true);
}

/* --- The beginning
 * ------------------------------------------------------------------------------------------------
 */

void stream_loop_init(struct stream_loop *loop, uv_loop_t *uv)
{
    *loop = (struct stream_loop){ .uv = uv };
    uv_idle_init(uv, &loop->turn);
    uv_timer_init(uv, &loop->clock);
    loop->turn.data = loop->clock.data = loop;
}

void stream_loop_close(struct stream_loop *loop)
{
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->clock, NULL);
}

static struct stream *stream_new(struct stream_loop *loop, stream_listener *listener, void *owner)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    uv_tcp_init(loop->uv, &s->tcp);
    s->tcp.data = s;
    uv_tcp_nodelay(&s->tcp, 1); /* libuv applies it to the socket to come */
    s->loop = loop;
    s->listener = listener;
    s->owner = owner;
    s->reading = true;
    loop->open++;
    return s;
}

struct stream *stream_accept(struct stream_loop *loop, uv_tcp_t *server, stream_listener *listener, void *owner,
                             bool *is_lost)
{
    struct stream *s = stream_new(loop, listener, owner);

    *is_lost = false;
    if (s == NULL)
        return NULL;
    if (uv_accept((uv_stream_t *)server, uv_of(s)) != 0) { /* uv_accept has closed it */
        stream_reset(s);
        *is_lost = true;
        return NULL;
    }
    s->phase = CLEAR;
    watch(s);
    return s;
}

static bool is_shortage(int error)
{
    return error == UV_EMFILE || error == UV_ENFILE || error == UV_ENOMEM || error == UV_ENOBUFS;
}

struct stream *stream_connect(struct stream_loop *loop, const struct endpoint *to, stream_listener *listener,
                              void *owner)
{
    struct stream *s = stream_new(loop, listener, owner);
    struct sockaddr_storage address;
    int error;

    if (s == NULL)
        return NULL;
    socket_address(to, &address);
    error = uv_tcp_connect(&s->request.connect, &s->tcp, (struct sockaddr *)&address, on_connected);
    if (is_shortage(error)) {
        stream_reset(s);
        return NULL;
    }
    if (error != 0)
        fail_socket(s, error);
    return s;
}

static bool from_sockaddr(const struct sockaddr_storage *from, struct endpoint *to)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

    *to = (struct endpoint){ .address = { { [10] = 0xff, [11] = 0xff } } };
    if (from->ss_family == AF_INET) {
        memcpy(to->address.byte + 12, &v4->sin_addr, 4);
        to->port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        memcpy(to->address.byte, &v6->sin6_addr, 16);
        to->port = ntohs(v6->sin6_port);
    }
    return from->ss_family == AF_INET || from->ss_family == AF_INET6;
}

bool stream_addresses(const struct stream *s, struct endpoint *peer, struct endpoint *own)
{
    struct sockaddr_storage address;
    int n = sizeof(address);

    if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&address, &n) != 0 || !from_sockaddr(&address, peer))
        return false;
    n = sizeof(address);
    return uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&address, &n) == 0 && from_sockaddr(&address, own);
}

/* --- What the owner calls
 * -----------------------------------------------------------------------------------------
 */

struct str stream_input(const struct stream *s)
{
    return s->input.s;
}

void stream_consume(struct stream *s, size_t n)
{
    held_drop(&s->input, n);
    if (n > 0 && s->input.s.n == 0 && !s->working)
        schedule(s);
}

void stream_read(struct stream *s, bool on)
{
    s->reading = on;
    if (!on)
        return;
    if (s->input.s.n > 0)
        s->announce = true;
    if (s->announce || s->more || !s->watching || ((s->fin || s->ended) && !s->end_told))
        schedule(s);
}

void stream_write(struct stream *s, struct chain *out)
{
    s->out = out;
    if (!s->failed)
        flush(s);
}

bool stream_is_sent(const struct stream *s)
{
    return !s->broken && s->queued == 0 && (s->phase != SECURE || tls_output(s->tls)->n == 0);
}

void stream_start_tls(struct stream *s, struct tls *tls)
{
    s->tls = tls;
    s->clear_left = s->out != NULL ? s->out->n : 0;
    if (s->phase == CLEAR)
        s->phase = CLEAR_LAST;
    flush(s);
    schedule(s);
}

void stream_start_tls_at_once(struct stream *s, struct tls *tls)
{
    s->cipher = s->input;
    s->input = (struct held){ 0 };
    s->announce = false;
    stream_start_tls(s, tls);
}

bool stream_tls_facts(const struct stream *s, struct tls_facts *facts)
{
    if (s->phase != SECURE)
        return false;
    tls_describe(s->tls, facts);
    return true;
}
