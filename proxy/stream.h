/* A stream: one TCP connection, plain or TLS, on a libuv loop. It hides sockets, TLS, partial writes and
 * buffers, and tells its owner plain events through one function. It never calls the owner from within a call
 * the owner made.
 *
 * Flow control is by memory: input the owner does not consume stays here (at most STREAM_INPUT octets, and as
 * much ciphertext), and nothing more is read meanwhile. So an unfinished line is consumed too, into the
 * owner's own buffer. Output is taken from the owner's chain, which this file drains and nobody else.
 *
 * Writing to a socket the peer has reset raises SIGPIPE: the process ignores it.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <uv.h>

#include "chain.h"
#include "tls.h"

enum {
    STREAM_INPUT = 16384,   /* octets read ahead at most, plaintext */
    STREAM_CLOSE_MS = 5000, /* from stream_close to the end of the socket */
    STREAM_LINGER_MAX = 512 /* closed streams of a loop that wait for the peer's FIN */
};

enum stream_event {
    STREAM_CONNECTED,   /* stream_connect succeeded */
    STREAM_INPUT_READY, /* there is input: stream_input() */
    STREAM_SECURED,     /* TLS handshake done */
    STREAM_WRITTEN,     /* some of `out` was written after it had to wait */
    STREAM_END,         /* FIN (with close_notify when TLS) and all input consumed; writing still works */
    STREAM_FAILED       /* connect, TLS, read or write error: stream_why(); the last event; stream_close is due */
};

struct stream;
typedef void stream_listener(void *owner, struct stream *, enum stream_event);

/* What the streams of a loop share: room that is read and decrypted into and offered at once, and the lists
 * of streams that have something due (once per loop turn) or are closing.
 */
struct stream_loop {
    uv_loop_t *uv;
    size_t open; /* streams whose socket is still open, the closing ones included */
    struct stream *due;
    struct stream *closing;
    size_t lingering;
    uv_idle_t turn;
    uv_timer_t clock;
    char room[STREAM_INPUT];  /* as read */
    char plain[STREAM_INPUT]; /* as decrypted */
};

void stream_loop_init(struct stream_loop *, uv_loop_t *);
/* Once `open` is 0; one more turn of the loop ends it. */
void stream_loop_close(struct stream_loop *);

/* An accepted connection from `server` (TCP_NODELAY set), or a new one. NULL without memory or descriptors; `*is_lost` tells that
 * the connection is closed then, else it waits for the next call.
 */
struct stream *stream_accept(struct stream_loop *loop, uv_tcp_t *server, stream_listener *listener, void *owner,
                             bool *is_lost);
struct stream *stream_connect(struct stream_loop *, const struct endpoint *, stream_listener *, void *owner);
bool stream_addresses(const struct stream *, struct endpoint *peer, struct endpoint *own);

/* The input not consumed yet, and its consumption. Valid inside the event function and between events. */
struct str stream_input(const struct stream *);
void stream_consume(struct stream *, size_t n);
/* Reading on (as at first) or off. Off also means: unread bytes stay in the kernel, and a FIN is not seen.
 * On, with input waiting here, raises STREAM_INPUT_READY again; otherwise each octet is announced once.
 */
void stream_read(struct stream *, bool on);
/* Writes from `out` as much as goes; the rest follows by itself, with STREAM_WRITTEN events. What leaves at
 * once raises nothing: `out` is empty then. One chain per stream; it must outlive the stream's last call.
 */
void stream_write(struct stream *, struct chain *out);
/* Everything that was taken from `out` is with the kernel: nothing waits here, encrypted or not, and nothing has failed. */
bool stream_is_sent(const struct stream *);
/* Begins TLS once everything written so far has left; the stream frees `tls`. What is written later waits for
 * the end of the handshake: nothing but TLS records leaves any more (T-1). Plaintext input not consumed when
 * this event is over ends the stream (T-2, T-8); what still is in the kernel is read as TLS, whatever it is.
 */
void stream_start_tls(struct stream *, struct tls *);
/* The same where TLS is spoken from the start and only a PROXY header came before: input not consumed is TLS
 * already.
 */
void stream_start_tls_at_once(struct stream *, struct tls *);
/* The end of the owner's part: no event comes any more, what is left of `out` moves to the stream, which
 * frees itself. stream_close writes that, then close_notify and FIN, and waits for the peer's FIN, so that no
 * RST overtakes the last reply; all that within STREAM_CLOSE_MS. stream_reset drops it and sends RST.
 */
void stream_close(struct stream *);
void stream_reset(struct stream *);
/* Stays true as long as the event it is asked in, stream_close or not. */
const char *stream_why(const struct stream *);
bool stream_tls_facts(const struct stream *, struct tls_facts *);

#endif
