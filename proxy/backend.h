/* The south wire: one SMTP client session with one mail server, as a state machine without I/O.
 *
 *     connect -> [PROXY header] -> greeting -> EHLO -> [STARTTLS -> TLS -> EHLO] -> [XCLIENT -> greeting -> EHLO] -> READY
 *     READY -> MAIL, RCPT.. -> DATA -> body -> end of data -> READY -> ... -> QUIT
 *
 * The owner (session_south.c, or the prober) calls a function for each thing that happens; what it means for the
 * owner comes back as an event. Bytes to send are in `out`. The machine trusts nothing: a reply nobody asked for,
 * a malformed or oversized one, plaintext behind the 220 of STARTTLS all end it (X15, X16, T-8, N01). It never
 * decides what the client hears; it only says what happened.
 */
#ifndef PROXY_BACKEND_H
#define PROXY_BACKEND_H

#include "chain.h"
#include "config.h"
#include "smtp_command.h"
#include "smtp_reply.h"

enum backend_cap {
    CAP_PIPELINING = 1,
    CAP_8BITMIME = 2,
    CAP_SMTPUTF8 = 4,
    CAP_DSN = 8,
    CAP_SIZE = 16,
    CAP_CHUNKING = 32,
    CAP_BINARYMIME = 64,
    CAP_STARTTLS = 128,
    CAP_XCLIENT = 256,
    CAP_AUTH = 512,
    CAP_ENHANCED = 1024
};

enum { XCLIENT_ADDR = 1, XCLIENT_PORT = 2, XCLIENT_NAME = 4, XCLIENT_HELO = 8, XCLIENT_PROTO = 16, XCLIENT_LOGIN = 32 };

enum { BACKEND_AUTH_MAX = 160 };

/* What a back end said in its last EHLO (after its TLS, where it has one). */
struct backend_caps {
    bool known;
    unsigned bits;               /* enum backend_cap */
    uint64_t size;               /* of SIZE; 0: no fixed limit */
    uint64_t rcpt_max;           /* LIMITS RCPTMAX (RFC 9422); 0: not said */
    unsigned xclient;            /* attributes offered */
    char auth[BACKEND_AUTH_MAX]; /* mechanisms, upper case, separated by one blank */
};

/* The real client, for PROXY and XCLIENT. */
struct backend_client {
    struct endpoint client, server;
    struct str helo;
    bool is_esmtp;
};

enum backend_state {
    BACKEND_CLOSED,
    BACKEND_CONNECTING,
    BACKEND_GREETING,
    BACKEND_EHLO,
    BACKEND_HELO,
    BACKEND_STARTTLS,
    BACKEND_TLS,
    BACKEND_XCLIENT,
    BACKEND_READY,
    BACKEND_BODY /* between 354 and the end of data */,
    BACKEND_QUITTING,
    BACKEND_BROKEN /* out of memory while printing a command: reported by the next event, which is due at once */
};

/* Commands under way, oldest first. */
enum backend_ask { ASKED_RSET, ASKED_MAIL, ASKED_RCPT, ASKED_DATA, ASKED_BDAT, ASKED_END, ASKED_AUTH, ASKED_QUIT };
enum { BACKEND_ASKED_MAX = 8 };

enum backend_event {
    BACKEND_IDLE,     /* nothing new */
    BACKEND_OPENED,   /* READY for the first time */
    BACKEND_UNUSABLE, /* could not be opened: `why`; the next server may be tried */
    BACKEND_REPLIED,  /* `reply` answers `replied_to` */
    BACKEND_LOST      /* an open session ended: `why`; whatever was under way has no answer */
};

struct backend {
    enum backend_state state;
    const struct route *route;
    const struct endpoint *server;
    const struct config *config;
    const struct backend_client *client; /* NULL for a probe */
    struct chain *out;                   /* the owner's; to be written to the server */
    struct pool *pool;                   /* for command lines */
    struct backend_caps caps;
    enum backend_ask asked[BACKEND_ASKED_MAX];
    unsigned asked_n;
    uint64_t deadline; /* ms; UINT64_MAX: none */
    bool connected;    /* TCP is; what goes wrong from here on may be meant for this client */
    bool tls_done, xclient_done;
    bool start_tls;      /* one-shot for the owner: begin the handshake, `out` is empty */
    bool in_transaction; /* MAIL was given and its transaction has not ended: backend_reset is due */
    bool excess;         /* bytes stood behind the last reply due: the next event is a loss (X16) */
    /* the last event: */
    enum backend_ask replied_to;
    struct reply reply; /* points into `reader` */
    const char *why;    /* "connection refused", "backend desync", ... for the log */
    bool was_reply;     /* UNUSABLE or LOST because of a reply; it is in `reply` */
    struct reply_reader reader;
};

/* Starts over towards `server`; the owner connects. */
void backend_open(struct backend *, const struct config *, const struct route *, const struct endpoint *server,
                  const struct backend_client *, struct chain *out, struct pool *, uint64_t now);

/* What happened on the connection. After UNUSABLE or LOST the state is CLOSED and the owner drops the connection. */
enum backend_event backend_connected(struct backend *, uint64_t now);
enum backend_event backend_secured(struct backend *, uint64_t now);   /* TLS handshake done, peer verified */
enum backend_event backend_failed(struct backend *, const char *why); /* connect, TLS or read error, EOF */
enum backend_event backend_expired(struct backend *, uint64_t now);   /* now >= deadline */
/* Consumes one reply at most; call again until everything is used. */
enum backend_event backend_input(struct backend *, struct str in, size_t *used, uint64_t now);
/* Body bytes were queued or written: the block timer starts again, or rests while nothing waits in `out`. */
void backend_progress(struct backend *, uint64_t now);

/* Commands; allowed in READY (END: in BODY). Several may be under way when CAP_PIPELINING; otherwise one at a time
 * (backend_takes).
 */
/* `use` masks the parameters that are passed on (enum mail_has, rcpt_has). */
void backend_mail(struct backend *, const struct mail_command *, unsigned use, uint64_t now);
void backend_rcpt(struct backend *, const struct rcpt_command *, unsigned use, uint64_t now);
void backend_data(struct backend *, uint64_t now);
/* The end of data: the body is in `out` already, ending in CRLF. `timeout_ms` bounds the wait for the answer. */
void backend_end(struct backend *, uint64_t timeout_ms, uint64_t now);
/* "BDAT n [LAST]"; the owner puts exactly n octets into `out` behind it. */
void backend_bdat(struct backend *, uint64_t n, bool last, uint64_t timeout_ms, uint64_t now);
/* An AUTH command line or a response line, without CRLF, already checked by the session. */
void backend_auth(struct backend *, struct str line, uint64_t now);
void backend_reset(struct backend *, uint64_t now); /* RSET now, if a transaction is open */
void backend_quit(struct backend *, uint64_t now);

bool backend_is_open(const struct backend *); /* READY or BODY */
bool backend_takes(const struct backend *);   /* a command can be given now */
/* Reads an EHLO answer (text lines as in reply.text) into `caps`. */
void backend_caps_read(struct str text, struct backend_caps *caps);

#endif
