/* A stream cut into TLS records (RFC 8446 5.1, RFC 5246 6.2). */
#ifndef WIRE_TLS_RECORDS_H
#define WIRE_TLS_RECORDS_H

#include "flow.h"

enum tls_content { CONTENT_CHANGE_CIPHER = 20, CONTENT_ALERT = 21, CONTENT_HANDSHAKE = 22, CONTENT_DATA = 23 };

enum {
    TLS_RECORD_HEADER = 5,
    TLS_FRAGMENT_MAX = 1 << 14,
    TLS_BODY_MAX_13 = TLS_FRAGMENT_MAX + 256, /* RFC 8446 5.2 */
    TLS_BODY_MAX_12 = TLS_FRAGMENT_MAX + 2048 /* RFC 5246 6.2.3 */
};

struct tls_record {
    uint8_t type;
    struct slice header, body;
    uint32_t frame; /* of its last octet */
    int64_t time;
};

struct tls_reader {
    const struct stream *stream;
    size_t at;          /* of the next record */
    size_t span;        /* index; only grows: all records of a stream are found in linear time */
    size_t body_max;    /* TLS_BODY_MAX_12 until the version is known */
    const char *breach; /* what is at `at` is no TLS record */
};

void tls_reader_start(struct tls_reader *r, const struct stream *s, size_t at);
/* The next whole record. False at the end of the stream, in the middle of its last record, and at a breach. */
bool tls_reader_next(struct tls_reader *r, struct tls_record *record);

#endif
