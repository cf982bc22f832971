/* A stream: one TCP connection, plain or TLS, on a libuv loop. It hides sockets, TLS, partial writes and buffers, and tells
 * its owner plain events through one function. It never calls the owner from within a call the owner made.
 *
 * Flow control is by memory: input the owner does not consume stays here (at most STREAM_INPUT octets), and nothing more
 * is read meanwhile. Output is taken from the owner's chain, which this file drains and nobody else.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <uv.h>

#include "chain.h"
#include "tls.h"

enum { STREAM_INPUT = 16384 /* octets read ahead at most, plaintext */ };

enum stream_event {
    STREAM_CONNECTED,  /* stream_connect succeeded */
    STREAM_INPUT_READY,/* there is input: stream_input() */
    STREAM_SECURED,    /* TLS handshake done */
    STREAM_WRITTEN,    /* some of `out` was written */
    STREAM_END,        /* FIN (with close_notify when TLS) and all input consumed */
    STREAM_FAILED,     /* connect, TLS, read or write error: stream_why(); nothing more comes */
    STREAM_CLOSED      /* last event after stream_close/stream_reset: the memory may go */
};

struct stream;
typedef void stream_listener(void *owner, struct stream *, enum stream_event);

/* Plaintext scratch space shared by all streams of a loop: what is read lands here and is offered at once. */
struct stream_loop {
    uv_loop_t *uv;
    char room[STREAM_INPUT];
    size_t open;                 /* streams whose STREAM_CLOSED is still to come */
};

/* An accepted connection from `server` (TCP_NODELAY set), or a new one. NULL without memory or descriptors. */
struct stream *stream_accept(struct stream_loop *, uv_tcp_t *server, stream_listener *, void *owner);
struct stream *stream_connect(struct stream_loop *, const struct endpoint *, stream_listener *, void *owner);
bool stream_addresses(const struct stream *, struct endpoint *peer, struct endpoint *own);

/* The input not consumed yet, and its consumption. Valid inside the event function and between events. */
struct str stream_input(const struct stream *);
void stream_consume(struct stream *, size_t n);
/* Reading on or off. Off also means: unread bytes stay in the kernel, and a FIN is not seen. */
void stream_read(struct stream *, bool on);
/* Writes from `out` as much as goes; the rest follows by itself, with STREAM_WRITTEN events. `out` must outlive the stream. */
void stream_write(struct stream *, struct chain *out);
/* Begins TLS once everything written so far has left. Plaintext input not consumed by then ends the stream (T-2, T-8). */
void stream_start_tls(struct stream *, struct tls *);
void stream_close(struct stream *);  /* writes what is left (bounded: 5 s), close_notify, FIN */
void stream_reset(struct stream *);  /* RST, drops everything */
const char *stream_why(const struct stream *);
bool stream_tls_facts(const struct stream *, struct tls_facts *);

#endif
