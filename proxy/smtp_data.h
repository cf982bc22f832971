/* The DATA stream: where a message ends, and which bytes belong to it (RFC 5321 4.1.1.4, 4.5.2; ORACLE F-1 to
 * F-6).
 *
 * Only CRLF ends a line and only CRLF "." CRLF ends the data, however the stream is cut. The decoder hands
 * out the body in slices of the input (dots unstuffed), one pass, no copy. BDAT payloads (RFC 3030) pass the
 * same checks through the same decoder, without dots and without an end of data.
 *
 * Never let through: bare CR, bare LF, NUL. In reject mode they set `fault`, the rest is read and dropped,
 * and the one answer (550 5.5.2) follows the real end of data (F-3, F-4). In normalise mode bare CR and bare
 * LF each become CRLF and NUL is dropped: that is the one documented normal form. In both modes a dot that
 * stands alone between two bytes or characters which some lenient parser takes for line ends (VT, FF, SUB,
 * NEL, U+2028, U+2029 - at least one of them, the other may be CRLF) is a fault: after such a parser's
 * rewrite it would be a second end of data (F-2). A byte 0x85 within a well-formed UTF-8 character is a part
 * of that character, not NEL.
 */
#ifndef PROXY_SMTP_DATA_H
#define PROXY_SMTP_DATA_H

#include <stdint.h>

#include "../policy/str.h"

enum data_fault {
    DATA_CLEAN,
    DATA_BARE_CR,
    DATA_BARE_LF,
    DATA_NUL,
    DATA_LONE_DOT /* a dot between lenient line ends */
};

enum data_event {
    DATA_NEED,  /* input used up */
    DATA_CHUNK, /* `chunk` holds body bytes (never empty); call again with the rest */
    DATA_END    /* the end of data was read; bytes after it are not consumed */
};

struct data_decoder {
    bool binary;  /* BINARYMIME: no checks at all, any byte is body (RFC 3030 3) */
    bool is_bdat; /* no dot-stuffing, no end of data: the caller counts octets and calls data_finish() */
    bool normalise;
    bool was_mended; /* normalise mode changed something: said in the log */
    unsigned char state;
    enum data_fault fault;
    uint64_t fault_offset; /* octet of the body at which it was found: all octets before it were handed out */
    uint64_t recent;       /* the last eight octets of the body, the latest in the low byte */
    uint64_t bytes;        /* body octets handed out so far */
    bool line_start;       /* the next body octet starts a line (after CRLF or at the beginning) */
    /* the last DATA_CHUNK: */
    struct str chunk;         /* body bytes, in the input or in a constant for bytes the decoder adds */
    bool chunk_at_line_start; /* chunk.p[0] is the first octet of a line */
};

void data_init(struct data_decoder *, bool is_bdat, bool binary, bool normalise);

/* Consumes from the front of `in`; `*used` says how many bytes. After a fault (in either mode) no more chunks
 * come, only DATA_NEED and DATA_END. The body, the fault, its offset and the end are the same however the
 * stream is cut; the cuts between chunks are not.
 */
enum data_event data_read(struct data_decoder *, struct str in, size_t *used);

/* The last BDAT octet has been given to data_read: a trailing CR is bare (in normalise mode it is dropped,
 * and the CRLF the caller adds is its normal form); a body not ending in CRLF is left so, see `line_start`
 * (the caller decides: text going out by DATA needs a CRLF, and the lone dot is judged as if it stood there).
 */
void data_finish(struct data_decoder *);

const char *data_fault_name(enum data_fault);

/* ---- the other direction ---- */

/* Re-frames clean body bytes for DATA: writes `in` with a dot doubled at each line start. `in` may be cut
 * anywhere; `*at_line_start` carries the position over calls (true before the first byte). Calls `put` for
 * each run of bytes that can go out as it is; false from `put` stops and is returned.
 */
bool data_stuff(struct str in, bool *at_line_start, bool (*put)(void *to, struct str run), void *to);

#endif
