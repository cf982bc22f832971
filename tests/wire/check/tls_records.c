/* TLS records, and the first octet that belongs to none (ORACLE T-1). See tls_records.h. */
#include "tls_records.h"

void tls_reader_start(struct tls_reader *r, const struct stream *s, size_t at)
{
    *r = (struct tls_reader){ .stream = s, .body_max = TLS_BODY_MAX_12 };
    r->at = at < s->octets.n ? at : s->octets.n;
}

/* What is wrong with a header of which the first `header.n` octets are there: a wrong one is known before it is
 * complete. */
static const char *header_breach(struct slice header, size_t body_max)
{
    if (header.n > 0 && (header.p[0] < CONTENT_CHANGE_CIPHER || header.p[0] > CONTENT_DATA))
        return "no TLS content type";
    if (header.n > 1 && header.p[1] != 3)
        return "no TLS version";
    if (header.n > 2 && header.p[2] > 0x0f)
        return "no TLS version";
    if (header.n == TLS_RECORD_HEADER && ((size_t)header.p[3] << 8 | header.p[4]) > body_max)
        return "a record longer than TLS has";
    return NULL;
}

/* The span that holds the octet before `end`. */
static void find_place(struct tls_reader *r, size_t end, struct tls_record *record)
{
    const struct stream *s = r->stream;

    if (s->span_n == 0)
        return;
    while (r->span + 1 < s->span_n && s->span[r->span + 1].at < end)
        r->span++;
    record->frame = s->span[r->span].frame;
    record->time = s->span[r->span].time;
}

bool tls_reader_next(struct tls_reader *r, struct tls_record *record)
{
    struct slice octets = buffer_slice(&r->stream->octets);
    struct slice header = slice_part(octets, r->at, r->at + TLS_RECORD_HEADER);

    if (r->breach == NULL)
        r->breach = header_breach(header, r->body_max);
    if (r->breach != NULL || header.n < TLS_RECORD_HEADER)
        return false;
    size_t body_n = (size_t)header.p[3] << 8 | header.p[4];
    size_t body_at = r->at + TLS_RECORD_HEADER;
    if (body_n > octets.n - body_at)
        return false;
    *record = (struct tls_record){ .type = header.p[0], .header = header };
    record->body = slice_part(octets, body_at, body_at + body_n);
    r->at = body_at + body_n;
    find_place(r, r->at, record);
    return true;
}
