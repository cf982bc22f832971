/* The parts of a message while its body flows by (RFC 2045 to 2047, 2183, 2231): where each stands, what it calls itself and
 * what its first octets are. It only looks: nothing is unpacked, kept or changed.
 *
 *     struct mime mime;
 *     mime_begin(&mime, header, &limits);   when the header section is complete
 *     mime_add(&mime, octets);              after the empty line, unstuffed, in pieces of any size
 *     mime_end(&mime, &facts);              answers the PARTS question
 *
 * Mail programs disagree on broken MIME, so every reading counts: all names that any of them could take from duplicate
 * fields and parameters, RFC 2231 segments, encoded words in quotes, unclosed quotes and comments are told; a line that begins with
 * any boundary still open begins a part, also behind the closing one; LF alone ends a line.
 *
 * The answer has a value for each part worth telling (mime_part_read), at most MIME_TOLD_MAX and MIME_REPORT_MAX octets in all:
 *
 *     2.1 type=application/zip name=invoice.zip content=zip member=invoice.exe encrypted
 *     2.2 type=text/plain name=a%20b.txt
 *     - over=depth odd=header
 *
 * The path counts as IMAP does (RFC 9051 6.4.5). Unnamed text and unnamed multiparts are left out. Of more than MIME_ALIKE
 * parts those are left out, too, whose like (all but the path and the front of the name) was told already. The last value,
 * without a path, says which bounds were passed and what was found broken (mime_oddities).
 *
 * What the first MIME_WINDOW octets of a part, decoded from base64 or quoted-printable, are recognised as:
 *   pe (MZ with a PE header, or MZ and NULs), elf, macho, lnk, chm          programs
 *   script (#!), ole2, 7z                                                  told only; 7z says at its end whether it is encrypted
 *   zip     encrypted by bit 0 or 6 of an entry or its method 99 (AE-x); members: names of entries whose headers lie in the window
 *   rar     encrypted: headers (RAR 4 and 5) or the first file (RAR 4)
 */
#ifndef POLICY_MIME_H
#define POLICY_MIME_H

#include <stdint.h>

#include "facts.h"

enum {
    MIME_DEPTH_MAX = 100,   /* of containers within each other */
    MIME_FIELD_MAX = 12288, /* octets of a field of a part; of a longer one its middle is passed over */
    MIME_FIELDS_MAX = 8,    /* fields of one part that are read */
    MIME_WORDS_MAX = 64,    /* words of one value, repetitions counted */
    MIME_WINDOW = 4096,     /* decoded octets at the front of a part */
    MIME_REPORT_MAX = 7168, /* octets of the answer */
    MIME_RECORD_MAX = 1536, /* of one value */
    MIME_TOLD_MAX = 128,    /* values */
    MIME_ALIKE = 32
};

struct mime_limits {
    uint64_t depth; /* up to MIME_DEPTH_MAX */
    uint64_t parts; /* entities of all kinds */
};

/* What a value without a path says, as bits: bounds passed, and what is broken. */
enum mime_oddity {
    MIME_OVER_DEPTH,   /* over=depth */
    MIME_OVER_PARTS,   /* over=parts */
    MIME_OVER_FIELD,   /* over=field: a field too long, or too many of them */
    MIME_OVER_REPORT,  /* over=report: more to tell than fits */
    MIME_ODD_HEADER,   /* odd=header: a line in a part's header that is no field */
    MIME_ODD_BOUNDARY, /* odd=boundary: a line that only begins as a boundary, or a multipart without one */
    MIME_ODD_ENCODING, /* odd=encoding: a multipart or message in base64 or the like (RFC 2045 6.4), or two encodings */
    MIME_ODD_QUOTES,   /* odd=quotes: a quoted string without an end */
    MIME_ODD_NAME,     /* odd=name: a name with NUL or a character that turns or hides text */
    MIME_ODDITIES
};

extern const char *const mime_oddities[MIME_ODDITIES]; /* "over=depth" */

/* A container that is open: a multipart by one of its boundaries, or a message within the message. */
struct mime_level {
    uint64_t hash;   /* of the boundary */
    uint32_t length; /* of the boundary in octets; 0: a message */
    uint32_t children;
    uint32_t number; /* in the path; 0: not named there */
    uint8_t group;   /* first of the levels that are boundaries of the same multipart */
    bool is_digest;  /* parts are messages by default (RFC 2046 5.1.5) */
};

enum mime_encoding { MIME_RAW, MIME_BASE64, MIME_QUOTED, MIME_UNKNOWN };

enum { MIME_BOUNDARIES_MAX = 4 /* that one field can be read to name */ };

/* The part at hand. */
struct mime_entity {
    struct {
        uint64_t hash;
        uint32_t length;
    } boundary[MIME_BOUNDARIES_MAX];
    unsigned boundaries;
    unsigned fields;
    uint32_t number;
    enum mime_encoding encoding;
    bool has_type, has_encoding;
    bool is_text, is_multipart, is_message, is_digest;
    bool is_default_message; /* without Content-Type it is one */
};

enum mime_line { LINE_START, LINE_PLAIN, LINE_DASHES, LINE_BEGIN };

/* 27 KB, without pointers into anything. */
struct mime {
    struct mime_limits limits;
    uint64_t entities;
    unsigned odd; /* bits of enum mime_oddity */

    struct mime_level level[MIME_DEPTH_MAX];
    uint8_t by_length[MIME_DEPTH_MAX]; /* levels with a boundary, shortest first */
    size_t levels, boundaries;

    enum { MIME_HEADER, MIME_BODY, MIME_NOTHING /* preamble, epilogue */, MIME_STOPPED } state;
    struct mime_entity entity;

    /* the line at hand */
    enum mime_line line;
    uint64_t line_octets; /* in a header */
    char line_first;      /* its first octet */
    uint64_t looked;      /* octets compared with the boundaries */
    uint64_t hash;        /* of what follows "--" */
    size_t cursor;        /* in by_length */
    int match, innermost; /* of the levels that the line begins with, the longest and the innermost; -1: none */
    int tail;             /* what follows the match: enum tail of mime.c */

    char field[MIME_FIELD_MAX]; /* of a header; in a text, a line that may begin a uuencoded file */
    size_t field_n;
    bool field_is_cut;

    bool window_is_open;
    uint32_t bits; /* base64: waiting; quoted-printable: the code read so far */
    unsigned bits_n;
    size_t window_n;
    char window[MIME_WINDOW];

    bool record_is_open, record_is_worth, record_is_cut;
    size_t record_at; /* where it begins in the report */
    unsigned record_words;
    uint64_t alike; /* hash of it without path and front of names */
    uint64_t told_alike[MIME_TOLD_MAX];
    uint16_t told_end[MIME_TOLD_MAX];
    size_t told;
    size_t report_n;
    char report[MIME_REPORT_MAX];
};

/* `header` is the message's own header section; nothing is kept of it but what it says. */
void mime_begin(struct mime *, struct str header, const struct mime_limits *);
void mime_add(struct mime *, struct str octets);
void mime_end(struct mime *, struct facts *);

/* The key of the question. */
#define MIME_PARTS_KEY STR("parts")

/* One word of a value: its key, empty for the path, and what it says, decoded into `room` (MIME_RECORD_MAX octets at most,
 * never longer than the word).
 */
struct mime_word {
    struct str key, value;
};
bool mime_word_next(struct str *rest, struct mime_word *, char *room);

#endif
