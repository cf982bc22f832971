/* Connections out of text, for tests: as flow.h would have put them together from a capture.
 *
 *     struct weave w;
 *     weave_begin(&w);
 *     weave_say(&w, SERVER, "220 mx ESMTP\r\n");
 *     weave_say(&w, CLIENT, "EHLO client.example\r\n");
 *     weave_close(&w, CLIENT);
 *     ... w.connection ...
 *     weave_free(&w);
 *
 * Each turn comes a millisecond after the one before, in a frame of its own, or in several of `segment` octets. */
#ifndef WIRE_WEAVE_H
#define WIRE_WEAVE_H

#include "flow.h"

struct weave {
    struct connection connection;
    size_t segment; /* octets to a frame; 0: a turn is one frame */
    uint32_t frame; /* of the last packet */
    int64_t time;
};

/* From 192.0.2.1:40000 to 192.0.2.25:25, handshake done. */
void weave_begin(struct weave *w);
void weave_say(struct weave *w, enum side by, const char *text);
void weave_octets(struct weave *w, enum side by, const void *p, size_t n);
/* Nothing happens for so many nanoseconds. */
void weave_wait(struct weave *w, int64_t ns);
void weave_close(struct weave *w, enum side by);
void weave_reset(struct weave *w, enum side by);
/* The capture lacks what this side says from here on. */
void weave_lose(struct weave *w, enum side by);
void weave_free(struct weave *w);

#endif
