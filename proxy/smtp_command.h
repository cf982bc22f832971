/* SMTP commands: from wire bytes to lines, and from a line to a parsed command (RFC 5321 4.1.1, 4.1.2).
 *
 * Two steps, both without I/O. `line_read` finds command lines in the input however it is cut into segments:
 * only CRLF ends a line, and an over-long line is swallowed in constant memory and reported once.
 * `command_parse` takes one line apart; nothing of the line is ever sent to the back end as it stands,
 * commands are printed again from these values.
 */
#ifndef PROXY_SMTP_COMMAND_H
#define PROXY_SMTP_COMMAND_H

#include <stdint.h>

#include "../policy/path.h"
#include "../policy/str.h"

/* ---- lines ---- */

enum line_event {
    LINE_NONE,     /* input used up, no complete line yet */
    LINE_READY,    /* reader->line holds one line, without its CRLF */
    LINE_TOO_LONG, /* a line above the limit has ended and was dropped: 500 5.5.2 */
    LINE_FLOOD     /* LINE_FLOOD_MAX bytes of one line were read and no end is in sight: close. Sticky */
};

enum { LINE_FLOOD_MAX = 65536 };

/* Keeps the unfinished part of a line between segments. `held` is allocated at the first cut line (capacity
 * `max` + 1 at most, for the CR) and freed by the call after the one that gave the line out, by line_free and
 * when a line gets too long. A session calls line_read until it says LINE_NONE, so that an idle one holds
 * nothing.
 */
struct line_reader {
    char *held;
    size_t held_n;
    size_t held_size;
    size_t max;       /* longest line accepted, octets without CRLF */
    size_t swallowed; /* octets of an over-long line read so far; 0 when none is being swallowed */
    bool saw_cr;      /* the last byte swallowed was CR */
    struct str line;  /* the line found, in `held` or the caller's input; valid until the next call */
    bool no_memory;   /* `held` could not grow and the line is swallowed: the session answers 421 */
};

void line_init(struct line_reader *, size_t max);
/* Drops what is held; the reader may be used again (STARTTLS: nothing read in clear is kept, RFC 3207 4.2).
 */
void line_free(struct line_reader *);

/* Takes bytes from the front of `in` up to the end of the first line; `*used` says how many were consumed. A
 * bare CR or LF does not end a line and stays in it (command_parse refuses it). Never reads past the CRLF it
 * returns. `max` is below LINE_FLOOD_MAX. The events are the same however the stream is cut.
 */
enum line_event line_read(struct line_reader *, struct str in, size_t *used);

/* True while part of a line is held. */
bool line_is_partial(const struct line_reader *);

/* ---- commands ---- */

enum verb {
    VERB_UNKNOWN,
    VERB_HELO,
    VERB_EHLO,
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
    VERB_STARTTLS,
    VERB_AUTH,
    VERB_FOREIGN /* the first word of another protocol (GET, POST, Host: ...): 521 and close (ATTACKS B03).
                  * COMMAND_OK, whatever the rest of the line is like */
};

enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };                        /* RFC 6152, RFC 3030 */
enum dsn_ret { RET_NONE, RET_FULL, RET_HDRS };                                       /* RFC 3461 4.3 */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 }; /* RFC 3461 4.1 */

enum mail_has { HAS_SIZE = 1, HAS_BODY = 2, HAS_SMTPUTF8 = 4, HAS_RET = 8, HAS_ENVID = 16, HAS_AUTH = 32 };
enum rcpt_has { HAS_NOTIFY = 1, HAS_ORCPT = 2 };

/* Slices point into the line; `path` into `room`. */
struct mail_command {
    struct path path;
    unsigned has;  /* enum mail_has */
    uint64_t size; /* octets, RFC 1870 */
    enum body_type body;
    enum dsn_ret ret;
    struct str envid; /* xtext, verified, RFC 3461 4.4 */
    struct str auth;  /* xtext or "<>", verified, RFC 4954 5 */
};

struct rcpt_command {
    struct path path;
    unsigned has; /* enum rcpt_has */
    unsigned notify;
    struct str orcpt; /* "type;xtext", verified, RFC 3461 4.2 */
};

struct bdat_command {
    uint64_t size; /* octets, at most 2^63 - 1 */
    bool last;
};

/* Not to be copied: the path points into `room`. */
struct command {
    enum verb verb;
    struct str argument; /* EHLO, HELO: the name; AUTH: mechanism; VRFY, NOOP...: the rest of the line */
    struct str initial;  /* AUTH: initial response; .p is NULL when absent ("=": empty, RFC 4954 4) */
    union {
        struct mail_command mail;
        struct rcpt_command rcpt;
        struct bdat_command bdat;
    };
    char room[PATH_ROOM];
};

/* What is wrong with a command; each has one reply in command_errors[] (code, enhanced code, text). */
enum command_error {
    COMMAND_OK,
    COMMAND_UNKNOWN,           /* 500 5.5.2 */
    COMMAND_BAD_BYTES,         /* NUL, bare CR or LF, control or (outside paths) non-ASCII bytes: 500 5.5.2 */
    COMMAND_SYNTAX,            /* 501 5.5.4: missing, surplus or malformed argument */
    COMMAND_BAD_HELO,          /* 501 5.5.4: neither a domain nor an address literal */
    COMMAND_BAD_SENDER,        /* 501 5.1.7 */
    COMMAND_BAD_RECIPIENT,     /* 501 5.1.3 */
    COMMAND_NEEDS_UTF8,        /* 553 5.6.7, RFC 6531 3.5 */
    COMMAND_BAD_PARAMETER,     /* 501 5.5.4: known parameter, bad or repeated value */
    COMMAND_UNKNOWN_PARAMETER, /* 555 5.5.4, RFC 5321 4.1.1.11 */
    COMMAND_ERRORS
};

struct command_error_reply {
    int code;
    const char *enhanced;
    const char *text;
};
extern const struct command_error_reply command_errors[COMMAND_ERRORS];

/* Parses `line` (no CRLF). Tolerated, because each has one reading and is not passed on: any case of letters,
 * blanks at the end (RFC 5321 4.1.1), one blank between the colon and the path, several blanks between
 * parameters. `smtputf8` says whether the transaction was opened with SMTPUTF8 (for RCPT; MAIL looks at its
 * own parameters). All parameters Postern implements are accepted here; whether this back end offers them is
 * the session's business. `out->verb` is set even on error, whenever the verb was recognised.
 */
enum command_error command_parse(struct str line, bool smtputf8, struct command *out);

/* No line printed is longer than COMMAND_LINE_MAX: 512 octets and what the parameters add (RFC 5321
 * 4.5.3.1.4; SIZE 26, BODY 16, SMTPUTF8 10, RET and ENVID 116, AUTH 505). Without ENVID and AUTH, and for
 * RCPT without ORCPT, it stays below 512. Each printer writes one command line with CRLF into `out`, returns
 * its length, or 0 when `size` is too small or when the path needs an SMTPUTF8 that is not in `use`. `use`
 * masks the parameters to print (enum mail_has / rcpt_has) to those the back end offers.
 */
enum { COMMAND_LINE_MAX = 1185 };

size_t command_print_mail(const struct mail_command *, unsigned use, char *out, size_t size);
size_t command_print_rcpt(const struct rcpt_command *, unsigned use, char *out, size_t size);

/* RFC 3461 4: xtext = *( xchar / "+" 2HEXDIG ), xchar printable ASCII without blank, "+" and "=", HEXDIG in
 * upper case; what it stands for must be printable ASCII too (4.2, 4.4). Empty is valid here.
 */
bool xtext_is_valid(struct str);
/* RFC 4648 4, not empty, with its padding and nothing else. */
bool base64_is_valid(struct str);
/* Prints `in` as xtext; 0 when it does not fit. */
size_t xtext_print(struct str in, char *out, size_t size);

#endif
