/* One session of `postern sink`, without sockets: bytes in, replies out, messages handed over. */
#ifndef PROXY_SINK_SESSION_H
#define PROXY_SINK_SESSION_H

#include <stdio.h>

#include "sink.h"
#include "smtp_command.h"
#include "smtp_data.h"

enum { GUEST_OUT = 16384, GUEST_REPLY = 1024 /* room for the longest reply */, GUEST_MESSAGE_MAX = 256 << 20 };

/* Text that grows. */
struct text {
    char *p;
    size_t n, size;
};

enum guest_phase { GUEST_COMMANDS, GUEST_DATA, GUEST_BDAT, GUEST_LEAVING };

struct guest {
    const struct sink_options *options;
    unsigned *messages; /* taken so far, by all guests */
    enum guest_phase phase;
    struct line_reader lines;
    struct data_decoder data;
    bool has_sender, is_utf8, in_bdat;
    bool is_spoilt; /* this message cannot be kept: too large, or no memory */
    size_t recipients;
    uint64_t bdat_left; /* octets of the chunk still to come */
    bool bdat_last, bdat_refused;
    struct text envelope; /* MAIL and RCPT lines, as the other wire would print them */
    struct text who;      /* "from <a> to <b>, <c>" */
    struct text message;
    char out[GUEST_OUT];
    size_t out_n;
};

void guest_init(struct guest *, const struct sink_options *, unsigned *messages);
void guest_free(struct guest *);
/* Consumes from the front of `in`; 0 when `out` must be sent first, or the session is over. */
size_t guest_feed(struct guest *, struct str in);

#endif
