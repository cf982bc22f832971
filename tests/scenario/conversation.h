/* The oracle's reader of one SMTP conversation: commands one way, replies the other (RFC 5321, RFC 3030, RFC
 * 4954).
 *
 * Used for both wires. It pairs each reply with what it answers, follows DATA, BDAT, AUTH and STARTTLS, and
 * tells what it saw through `heard`. It is deliberately simple (whole lines, searches for CRLF) and shares
 * nothing with proxy/.
 */
#ifndef SCENARIO_CONVERSATION_H
#define SCENARIO_CONVERSATION_H

#include <stdint.h>

#include "bytes.h"

/* Something that was asked and has no answer yet. */
enum awaited_kind {
    AWAIT_GREETING,
    AWAIT_HELO,
    AWAIT_STARTTLS,
    AWAIT_XCLIENT,
    AWAIT_AUTH,
    AWAIT_AUTH_LINE,
    AWAIT_MAIL,
    AWAIT_RCPT,
    AWAIT_DATA,
    AWAIT_END,
    AWAIT_BDAT,
    AWAIT_BDAT_LAST,
    AWAIT_RSET,
    AWAIT_QUIT,
    AWAIT_OTHER
};

struct awaited {
    enum awaited_kind kind;
    char *path; /* MAIL, RCPT: what stands between < and >; owned, else NULL */
};

enum reading {
    READ_COMMANDS,
    READ_WAIT, /* the reply under way says how to read on */
    READ_AUTH_LINE,
    READ_BODY,   /* up to CRLF.CRLF */
    READ_CHUNK,  /* BDAT: `chunk` octets */
    READ_NOTHING /* what comes is no conversation: behind QUIT, or a handshake */
};

struct paths {
    char **item;
    size_t n;
};

struct conversation;

/* What the owner hears, in order. `owner` is what it put in. */
struct heard {
    void (*line)(void *owner, enum awaited_kind, struct str line); /* a command line, before its CRLF */
    void (*end)(void *owner);                                      /* a whole message has gone by; it is in `body` */
    void (*reply_line)(void *owner, struct str line);              /* every line of every reply */
    void (*reply)(void *owner, const struct awaited *, int code);  /* a whole reply; NULL: nothing was asked */
    void (*broken)(void *owner, const char *why);                  /* not a reply */
};

struct conversation {
    const struct heard *heard;
    void *owner;
    struct bytes commands, replies; /* not read yet */
    size_t scanned;                 /* of `commands`: no CRLF before here */
    enum reading reading;
    struct awaited *awaited;
    size_t first, n; /* awaited[first..n) */
    uint64_t chunk;
    bool chunk_is_last;
    struct bytes body;    /* the message under way, dots removed */
    struct bytes raw;     /* the same as sent, with its end (DATA only) */
    int code;             /* of the multi-line reply being read; 0: none */
    size_t lines, octets; /* of it so far */
    bool is_broken;       /* replies cannot be read any more */
};

/* Starts over; `greeting`: the first thing awaited is a greeting. */
void conversation_begin(struct conversation *, const struct heard *, void *owner, bool greeting);
void conversation_free(struct conversation *);
void conversation_commands(struct conversation *, struct str);
void conversation_replies(struct conversation *, struct str);
/* The handshake that follows STARTTLS is over: commands again. */
void conversation_secured(struct conversation *);
/* The oldest thing without an answer; NULL: none. */
const struct awaited *conversation_awaits(const struct conversation *);
bool conversation_awaits_any(const struct conversation *, enum awaited_kind);

void paths_add(struct paths *, const char *);
void paths_clear(struct paths *);

#endif
