/* TCP connections out of a capture, put together strictly.
 *
 * An octet is in a stream only if the capture holds it. A hole, a missing start, a retransmission with other octets in it, a cut
 * packet: the connection is then in doubt, and what is judged on it is INCONCLUSIVE from that octet on, never PASS. Every octet
 * knows the frame and the time in which it was first seen. */
#ifndef WIRE_FLOW_H
#define WIRE_FLOW_H

#include "capture.h"

/* Who opened the connection, and who was called. */
enum side { CLIENT, SERVER };

/* Octets from `at` up to the next span's came in one frame. Spans are ordered by `at`, the first is at 0. (For decrypted streams:
 * in the frame that held the last octet of the TLS record.) */
struct span {
    size_t at;
    uint32_t frame;
    int64_t time;
};

/* What one side sent, in order. */
struct stream {
    struct buffer octets;
    struct span *span; /* each is also a segment as it was first sent: wirereplay keeps their edges */
    size_t span_n;
    bool has_hole;      /* octets behind octets.n are missing: the stream ends here for us */
    bool is_ended;      /* FIN, all octets before it are here */
    bool is_reset;      /* RST sent by this side */
    uint32_t end_frame; /* of FIN or RST, whichever was first */
    int64_t end_time;
};

struct connection {
    struct endpoint end[2];  /* by enum side */
    struct stream stream[2]; /* what that side sent */
    uint32_t frame;          /* of the SYN, or of the first packet when it was not captured */
    int64_t time;
    bool has_start;        /* SYN and SYN-ACK are in the capture */
    bool is_refused;       /* SYN answered by RST, or never answered: no stream */
    int64_t accepted_time; /* of the SYN-ACK */
    int64_t last_time;     /* of its last packet */
    size_t packets;
    const char *doubt; /* why the streams cannot be trusted to their ends; NULL: they can */
};

struct flows {
    struct connection *connection; /* by the time of their start */
    size_t n;
};

/* Puts the TCP connections of a capture together. `port` 0: all, else those whose called end has this port. A 4-tuple that is
 * used again after FIN or RST is another connection. `c` must stay as long as nothing else is said: the streams are copies. */
void flows_read(struct flows *f, const struct capture *c, uint16_t port);
void flows_free(struct flows *f);

/* The span that holds octet `at` (the last one when `at` is the length); NULL for an empty stream. */
const struct span *stream_span(const struct stream *s, size_t at);

/* When this side sent FIN or RST; INT64_MAX: neither was seen. */
int64_t stream_end(const struct stream *s);

#endif
