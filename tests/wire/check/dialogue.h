/* A captured connection as an SMTP conversation: commands, the reply to each, transactions, messages.
 *
 * A reader of its own, sharing no code with proxy/: only CRLF ends a line, only CRLF "." CRLF ends DATA, BDAT counts
 * octets (RFC 5321, 3030). The i-th reply answers the i-th command; what the server's replies decide (354, 220 to
 * STARTTLS) decides how the client's octets are read. Text that nobody asked for, and commands without an answer,
 * are kept as such. */
#ifndef WIRE_DIALOGUE_H
#define WIRE_DIALOGUE_H

#include "flow.h"
#include "tls.h"

enum verb {
    VERB_NONE, /* not a command we know; `line` has it */
    VERB_EHLO,
    VERB_HELO,
    VERB_LHLO,
    VERB_STARTTLS,
    VERB_AUTH,
    VERB_XCLIENT,
    VERB_XFORWARD,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_BDAT,
    VERB_RSET,
    VERB_NOOP,
    VERB_QUIT,
    VERB_VRFY,
    VERB_EXPN,
    VERB_HELP,
    VERB_ETRN,
    VERB_TURN,
    VERB_AUTH_LINE, /* a line of an AUTH exchange, after a 334 */
    VERBS
};

/* Where octets were: frames and times of the first of them, and of when all of them up to the last were there.
 * (Those are the last octet's own, unless segments overtook each other.) */
struct place {
    uint32_t first_frame, last_frame;
    int64_t first_time, last_time;
    bool in_tls;
    size_t at; /* of the first octet in its stream (plain or decrypted) */
};

struct reply {
    int code;            /* 0: no reply by ORACLE F-8 (nobody may act on it); `malformed` says why */
    char enhanced[16];   /* "5.7.1", "" for none */
    struct slice octets; /* all lines with their CRLFs, as sent */
    unsigned lines;
    bool is_early; /* it began before what it answers was there to its end (X15, X16); or that never was */
    /* What is wrong with it by ORACLE F-7 and F-8, NULL nothing. With a code: an octet in the text that is not
     * printable US-ASCII, which readers may take or leave. */
    const char *malformed;
    struct place place;
};

struct command {
    enum verb verb;
    struct slice line;       /* without its end */
    struct slice argument;   /* behind the verb and one blank */
    bool is_complete;        /* its CRLF came */
    bool has_strange_octets; /* bare CR, bare LF, NUL */
    struct place place;
    const struct reply *reply; /* NULL: none came */
    size_t transaction;        /* index it belongs to, SIZE_MAX: none */
    struct place payload;      /* BDAT: of its octets that came; last_frame 0: none did */
    size_t payload_n;          /* BDAT: how many came */
};

/* A path as the oracle reads it itself (ORACLE P-1): the octets between the angle brackets, and the domain by its
 * own rule. */
struct address {
    struct slice path;       /* as sent, without the brackets */
    struct slice local;      /* before the last @ that is not quoted; all of it when there is none */
    struct slice domain;     /* behind it, without a trailing dot; empty */
    struct slice parameters; /* behind the closing bracket, blanks trimmed */
    bool is_valid;           /* brackets match, strict RFC 5321 4.1.2 shape (route allowed) */
    bool has_route, has_quotes;
    unsigned ats; /* @ that are not quoted, less those of the route */
};

struct message {
    struct place place; /* from the first octet behind 354 (or of the first BDAT payload) to the last */
    struct slice raw;   /* as on the wire: dot-stuffed, without the final "." CRLF; for BDAT the payload in one piece */
    /* Less dot-stuffing, up to and with the CRLF before the final dot; BDAT: the payload. It may point into the
     * connection's stream (size 0): read it with buffer_slice(), never write to it. */
    struct buffer body;
    bool by_bdat;
    bool is_ended;    /* CRLF.CRLF came, or BDAT LAST with all its octets */
    struct place end; /* of the five octets of the end (of the last payload octet for BDAT, of the command of BDAT 0) */
    unsigned chunks;  /* BDAT commands */
    const struct reply *reply; /* to the end (to BDAT LAST); NULL none */
};

/* END_NONE: the capture ends before it does, or the server took another MAIL in the middle. */
enum transaction_end { END_NONE, END_MESSAGE, END_RSET, END_HELLO, END_STARTTLS, END_QUIT, END_CLOSE };

/* MAIL that was answered 250, up to its end (ORACLE 0, unit of account). */
struct transaction {
    size_t mail; /* index of the MAIL command */
    struct address from;
    size_t *rcpt;       /* indexes of the RCPT commands */
    struct address *to; /* one for each */
    size_t rcpt_n;
    size_t data;      /* index of DATA or the first BDAT, SIZE_MAX none */
    bool has_message; /* 354 was given, or BDAT payload was taken */
    struct message message;
    enum transaction_end end;
    char token[33];     /* 32 hexadecimal digits in the local part of MAIL FROM, "" none */
    struct place place; /* from MAIL to whatever ended it */
};

struct dialogue {
    const struct connection *connection;
    struct tls_session *tls; /* NULL: none began */
    bool is_implicit_tls;
    size_t starttls;              /* index of the STARTTLS that was answered 220, SIZE_MAX none */
    size_t tls_command;           /* first command read from TLS; SIZE_MAX none */
    const struct reply *greeting; /* NULL: none came */
    struct command *command;
    size_t command_n;
    struct reply **reply; /* all, in order, greeting included */
    size_t reply_n;
    struct reply **unasked; /* replies that answer nothing (421 before closing is not among them) */
    size_t unasked_n;
    const struct reply *farewell; /* the 421 before closing that answers nothing: a timeout, a stop. NULL none */
    struct transaction *transaction;
    size_t transaction_n;
    char token[33];            /* of the EHLO name, "" none */
    bool is_smtp;              /* the server greeted with a reply */
    bool is_readable;          /* no hole, and TLS, if any, was decrypted: silence means silence */
    const char *doubt;         /* why not, NULL */
    struct slice keywords;     /* the lines of the last 250 to EHLO, first line left out, as sent */
    struct slice proxy_header; /* PROXY v1 or v2 in front, as sent; empty */
    struct slice injected;     /* what the client sent in clear between STARTTLS and its 220 (T-2); empty */
};

/* What the caller knows of the wire. */
struct dialogue_hints {
    bool is_implicit_tls; /* TLS from the first octet (a ClientHello before any greeting tells it, too) */
    bool may_have_proxy_header;
    const struct keylog *keys; /* NULL: none */
};

void dialogue_read(struct dialogue *d, const struct connection *c, const struct dialogue_hints *hints);
void dialogue_free(struct dialogue *d);

const char *verb_name(enum verb v);
/* The line as it may be shown to people: of AUTH only the mechanism, of its further lines nothing. Static or the
 * line's memory. */
struct slice command_shown(const struct command *c);
/* "MAIL FROM:" and "RCPT TO:" arguments. False when it is no path at all (is_valid is then false, too). */
bool address_read(struct address *a, struct slice argument);
bool reply_is(const struct reply *r, int class_digit); /* r may be NULL */

#endif
