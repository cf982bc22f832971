/* SMTP replies: printed north, parsed south (RFC 5321 4.2; RFC 2034 and 3463 for enhanced codes; ORACLE F-7,
 * F-8).
 *
 * North every reply is made here: "DDD[- ]text CRLF", printable ASCII, at most 512 octets a line and 100
 * lines, one code. South every reply of the back end is read here under the same bounds; what breaks them is
 * a failure of the back end. The text of a back end's reply can travel north, but only through reply_print,
 * which cleans it.
 */
#ifndef PROXY_SMTP_REPLY_H
#define PROXY_SMTP_REPLY_H

#include "../policy/str.h"

enum {
    REPLY_LINE_MAX = 512, /* octets with CRLF, RFC 5321 4.5.3.1.5 */
    REPLY_LINES_MAX = 100,
    REPLY_BYTES_MAX = 65536, /* a whole reply */
    REPLY_TEXT_MAX = 4096    /* kept of a back end's reply: whole lines, the rest is read and dropped */
};

/* A reply in parts. `code` is 200 to 599. `text` is lines separated by '\n'. `enhanced` is "5.7.1" or empty
 * (greeting, EHLO, 3xx).
 */
struct reply {
    int code;
    struct str enhanced;
    struct str text;
};

/* Prints `r` with CRLFs into `out` (at least one line, always whole lines): every byte that is not printable
 * ASCII becomes '?', lines are cut at REPLY_LINE_MAX, lines beyond REPLY_LINES_MAX are dropped. The enhanced
 * code leads each line. `id` (may be empty, at most 128 bytes) is added to the last line as " (id)"; a reply
 * whose last lines did not fit into `size` goes without. Returns the length, or 0 when not even one line
 * fits.
 */
size_t reply_print(const struct reply *r, struct str id, char *out, size_t size);

enum reply_event {
    REPLY_NONE,  /* input used up */
    REPLY_READY, /* one whole reply is in the reader */
    REPLY_BROKEN /* not a reply, or over a bound: the back end cannot be trusted any more (A-3, F-8, N01) */
};

/* Reads replies incrementally. No allocation; about 5 KB, one per open back-end connection. */
struct reply_reader {
    int code;     /* of the reply being read; 0 before its first line */
    size_t bytes; /* of this reply so far */
    unsigned lines;
    size_t line_n; /* octets of the current line so far */
    char line[REPLY_LINE_MAX];
    char text[REPLY_TEXT_MAX]; /* the lines' texts joined by '\n', enhanced code included */
    size_t text_n;
    bool text_is_full; /* a line did not fit: none after it is kept */
    unsigned char state;
};

void reply_reader_init(struct reply_reader *);

/* Consumes from the front of `in` up to the end of one reply; bytes behind it are left (a second reply in the
 * same segment is a desynchronised back end unless commands were pipelined). Strict: three digits, the first
 * 2 to 5, then SP, '-' or CRLF; only CRLF ends a line, and no bare CR or LF is in one; the same code on every
 * line; NUL never. Broken stays broken until reply_reader_init.
 */
enum reply_event reply_read(struct reply_reader *, struct str in, size_t *used);

/* The reply read, after REPLY_READY. An enhanced code is split off the text of every line (RFC 2034 4); the
 * first whose class fits the code is `enhanced`, others contradict the reply or it and are dropped. Slices
 * point into the reader and are valid until the next reply_read.
 */
struct reply reply_take(struct reply_reader *);

#endif
