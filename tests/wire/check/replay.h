/* Playing the client of a recorded SMTP session again: what wirereplay is made of.
 *
 * A script is what the recorded client sent, cut where its segments began, and what it knew when it sent each.
 * Playing waits for as many replies as the client had then. It reads SMTP by itself: commands, DATA, BDAT, AUTH
 * lines, as the recorded replies decide (a DATA that was answered 354 is followed by a message). */
#ifndef WIRE_REPLAY_H
#define WIRE_REPLAY_H

#include "tls.h"

/* What is answered by one reply. */
enum item_kind {
    ITEM_GREETING, /* answered before anything is sent; no octets */
    ITEM_COMMAND,
    ITEM_STARTTLS, /* one that was answered 220: the script ends behind it */
    ITEM_BODY,     /* what follows the 354, with the final dot */
    ITEM_ANSWER,   /* a line that follows a 334 */
    ITEM_CHUNK,    /* a BDAT line and its octets */
};

struct item {
    enum item_kind kind;
    size_t at, end;    /* in the script's octets */
    size_t payload;    /* of a chunk: where its octets begin */
    bool is_complete;  /* else the recording ends within it, and nobody answers */
    bool ends_message; /* a whole body, or BDAT LAST */
    int recorded;      /* the code of the recorded reply, 0 none */
    uint32_t frame;    /* in which that reply ended */
};

/* The octets up to the next cut's were one segment. */
struct cut {
    size_t at;
    size_t wait_for; /* so many items were answered when the client sent it */
};

struct script {
    struct buffer octets;
    struct item *item;
    size_t item_n;
    struct cut *cut;
    size_t cut_n;
    size_t end_wait_for; /* items answered when the client ended the connection (all that ever were if it did not) */
    bool is_reset;       /* it ended by RST */
    bool has_starttls;   /* the last item is one */
};

/* What is changed in command lines, never in messages. NULL: nothing. */
struct mapping {
    const char *helo;   /* the name in EHLO and HELO */
    const char *domain; /* the domain of RCPT */
    const char *to;     /* the whole address of RCPT */
};

/* Writes the script of a conversation: `stream` by enum side. Behind a TLS handshake there is no greeting, nor a PROXY
 * header; else one is left out. */
void script_make(struct script *s, const struct stream stream[2], bool has_greeting, const struct mapping *mapping);
void script_free(struct script *s);

/* The message that this item ends (ends_message): without dot-stuffing, with line ends as recorded; BDAT: all its
 * chunks. */
void script_message(struct buffer *message, const struct script *s, size_t item);

/* What a captured connection has to be played. */
struct recording {
    struct script part[2]; /* up to STARTTLS, and behind it if a key log opens it */
    size_t part_n;
    bool is_implicit_tls; /* part 0 was said in TLS from the first octet on, and decrypted */
    size_t proxy_header;  /* octets of it that are left out */
    const char *why_not;  /* it cannot be played, in a few words; NULL: it can */
    const char *sealed;   /* why what is behind STARTTLS cannot be read; NULL: it can, or there is no such thing */
};

/* `keys` may be NULL. */
void recording_make(struct recording *r, const struct connection *c, const struct keylog *keys,
                    const struct mapping *mapping);
void recording_free(struct recording *r);

/* The next reply in `s` from `*at` on, which moves behind it: its code, 0 for one that is malformed, -1 when it is
 * not complete. */
int reply_next(struct slice s, size_t *at);

/* --- The wire to the gateway: a socket, later TLS on it --- */

struct wire {
    int fd;
    void *tls;
    struct buffer in;  /* all that came */
    bool is_closed;    /* by the gateway */
    const char *error; /* why something failed, NULL nothing did */
    char text[160];    /* where `error` may point */
};

int64_t wire_now(void); /* milliseconds */
bool wire_connect(struct wire *w, const char *host, const char *port, int64_t deadline);
/* Sends all of it, and reads what comes meanwhile. */
bool wire_send(struct wire *w, struct slice s, int64_t deadline);
/* Waits for octets. False: none came in time, or the gateway closed. */
bool wire_read(struct wire *w, int64_t deadline);
/* A real TLS handshake; certificates are not verified. What was in `in` before it is dropped. */
bool wire_start_tls(struct wire *w, const char *server_name, int64_t deadline);
const char *wire_tls_name(const struct wire *w); /* "TLSv1.3 TLS1-3-AES-256-GCM-SHA384" */
void wire_half_close(struct wire *w);
void wire_close(struct wire *w, bool by_reset);

/* --- Playing --- */

enum pieces { PIECES_RECORDED, PIECES_OCTETS, PIECES_WHOLE };

struct play_options {
    enum pieces pieces;
    bool is_blind; /* sends a message though DATA was refused */
    bool use_tls;  /* at a STARTTLS of the recording, else QUIT there */
    bool is_verbose;
    int timeout_ms, pause_ms;
    const char *server_name;
};

/* What became of one item. */
struct outcome {
    bool is_sent, is_skipped;
    int code; /* 0: no reply, or one that is malformed */
    bool is_answered;
};

struct played {
    struct outcome *outcome; /* one for each item of the script */
    size_t replies;
    size_t unasked; /* replies that answer nothing */
    int last_unasked;
    const char *stopped; /* why it ended early; NULL: played to its end. May point into the wire's text */
};

/* Plays the script; behind a STARTTLS the wire has TLS then, for a script that goes on there, or script_quit().
 * False when it ended early: played->stopped says why. */
bool script_play(struct played *played, const struct script *s, struct wire *w, const struct play_options *options);
/* Says QUIT, which is not in the script. */
void script_quit(struct played *played, const struct script *s, struct wire *w, const struct play_options *options);
void played_free(struct played *played);

#endif
