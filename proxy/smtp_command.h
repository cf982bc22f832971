/* SMTP commands: from wire bytes to lines, and from a line to a parsed command (RFC 5321 4.1.1, 4.1.2).
 *
 * Two steps, both without I/O. `line_read` finds command lines in the input however it is cut into segments: only CRLF
 * ends a line, and an over-long line is swallowed in constant memory and reported once. `command_parse` takes one line
 * apart; nothing of the line is ever sent to the back end as it stands, commands are printed again from these values.
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
    LINE_FLOOD     /* LINE_FLOOD_MAX bytes of one line were swallowed and no end is in sight: close */
};

enum { LINE_FLOOD_MAX = 65536 };

/* Keeps the unfinished part of a line between segments. `held` is allocated at the first cut line (capacity `max` at
 * most) and freed by line_reset/line_free, so that an idle session holds nothing.
 */
struct line_reader {
    char *held;
    size_t held_n;
    size_t held_size;
    size_t max;       /* longest line accepted, octets without CRLF */
    size_t swallowed; /* octets of an over-long line seen so far; 0 when none is being swallowed */
    bool saw_cr;      /* the last byte swallowed was CR */
    struct str line;  /* the line found; points into `held` or the caller's input; valid until the next call */
    bool no_memory;   /* `held` could not grow: the session answers 421 */
};

void line_init(struct line_reader *, size_t max);
void line_free(struct line_reader *);

/* Takes bytes from the front of `in` up to the end of the first line; `*used` says how many were consumed.
 * A bare CR or LF does not end a line and stays in it (command_parse refuses it). Never reads past the CRLF it returns.
 */
enum line_event line_read(struct line_reader *, struct str in, size_t *used);

/* True while part of a line is held. */
bool line_is_partial(const struct line_reader *);

/* ---- commands ---- */

enum verb {
    VERB_UNKNOWN,
    VERB_HELO, VERB_EHLO, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_BDAT, VERB_RSET, VERB_NOOP, VERB_QUIT, VERB_VRFY,
    VERB_EXPN, VERB_HELP, VERB_ETRN, VERB_TURN, VERB_STARTTLS, VERB_AUTH,
    VERB_FOREIGN /* the first word of another protocol (GET, POST, CONNECT, Host: ...): 521 and close (ATTACKS B03) */
};

enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };   /* RFC 6152, RFC 3030 */
enum dsn_ret { RET_NONE, RET_FULL, RET_HDRS };                  /* RFC 3461 4.3 */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 }; /* RFC 3461 4.1 */

enum mail_has { HAS_SIZE = 1, HAS_BODY = 2, HAS_SMTPUTF8 = 4, HAS_RET = 8, HAS_ENVID = 16, HAS_AUTH = 32 };
enum rcpt_has { HAS_NOTIFY = 1, HAS_ORCPT = 2 };

/* Slices point into the line; `path` into `room`. */
struct mail_command {
    struct path path;
    unsigned has;           /* enum mail_has */
    uint64_t size;          /* octets, RFC 1870 */
    enum body_type body;
    enum dsn_ret ret;
    struct str envid;       /* xtext, verified, RFC 3461 4.4 */
    struct str auth;        /* xtext or "<>", verified, RFC 4954 5 */
};

struct rcpt_command {
    struct path path;
    unsigned has;           /* enum rcpt_has */
    unsigned notify;
    struct str orcpt;       /* "type;xtext", verified, RFC 3461 4.2 */
};

struct bdat_command {
    uint64_t size;          /* octets, at most 2^63 - 1 */
    bool last;
};

struct command {
    enum verb verb;
    struct str argument;    /* EHLO/HELO: the name; AUTH: mechanism; VRFY, EXPN, NOOP...: the rest of the line */
    struct str initial;     /* AUTH: initial response; .p == NULL when absent ("=" is the empty one, RFC 4954 4) */
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
    COMMAND_UNKNOWN,        /* 500 5.5.2 */
    COMMAND_BAD_BYTES,      /* NUL, bare CR or LF, control or (outside paths) non-ASCII bytes: 500 5.5.2 */
    COMMAND_SYNTAX,         /* 501 5.5.4: missing, surplus or malformed argument */
    COMMAND_BAD_HELO,       /* 501 5.5.4: neither a domain nor an address literal */
    COMMAND_BAD_SENDER,     /* 501 5.1.7 */
    COMMAND_BAD_RECIPIENT,  /* 501 5.1.3 */
    COMMAND_NEEDS_UTF8,     /* 553 5.6.7, RFC 6531 3.5 */
    COMMAND_BAD_PARAMETER,  /* 501 5.5.4: known parameter, bad or repeated value */
    COMMAND_UNKNOWN_PARAMETER, /* 555 5.5.4, RFC 5321 4.1.1.11 */
    COMMAND_ERRORS
};

struct command_error_reply {
    int code;
    const char *enhanced;
    const char *text;
};
extern const struct command_error_reply command_errors[COMMAND_ERRORS];

/* Parses `line` (no CRLF). `smtputf8` says whether the transaction was opened with SMTPUTF8 (for RCPT; MAIL looks at its
 * own parameters). All parameters Postern implements are accepted here; whether this back end offers them is the
 * session's business. `out->verb` is set even on error, whenever the verb was recognised.
 */
enum command_error command_parse(struct str line, bool smtputf8, struct command *out);

/* Largest byte count a verb may come to the back end with is checked by the printers (512 octets plus what the
 * parameters add, RFC 5321 4.5.3.1.4). Each prints one command line with CRLF into `out`, returns its length, or 0 when
 * `size` is too small. `use` masks the parameters to print (enum mail_has / rcpt_has) to those the back end offers.
 */
size_t command_print_mail(const struct mail_command *, unsigned use, char *out, size_t size);
size_t command_print_rcpt(const struct rcpt_command *, unsigned use, char *out, size_t size);

/* RFC 3461 4: xtext = *( xchar / "+" 2HEXDIG ), printable ASCII without "+" and "=". */
bool xtext_is_valid(struct str);
/* Prints `in` as xtext; 0 when it does not fit. */
size_t xtext_print(struct str in, char *out, size_t size);

#endif
