#include "message.h"

#include <stdlib.h>

#include "../policy/header.h"
#include "smtp_data.h"

enum { HEADER_ROOM_MIN = 4096 };

void message_init(struct message_store *m, struct pool *pool, size_t header_max, bool is_raw)
{
    *m = (struct message_store){
        .pool = pool, .header_max = header_max, .is_raw = is_raw, .at_line_start = true, .last = "\r\n"
    };
}

void message_free(struct message_store *m)
{
    if (m->hashes != NULL)
        pool_release(m->pool, sizeof *m->hashes);
    free(m->hashes);
    if (m->mime != NULL)
        pool_release(m->pool, sizeof *m->mime);
    free(m->mime);
    free(m->header);
    if (m->header_size > 0)
        pool_release(m->pool, m->header_left ? m->header_size : 2 * m->header_size);
    chain_clear(&m->body);
    *m = (struct message_store){ 0 };
}

struct str message_header(const struct message_store *m)
{
    return str_from(m->header, m->header_n);
}

void message_header_leaves(struct message_store *m)
{
    if (m->header_left || m->header_size == 0)
        return;
    m->header_left = true;
    pool_release(m->pool, m->header_size);
}

/* ---- what looks at the body ---- */

void message_hash_body(struct message_store *m, size_t signatures)
{
    m->signatures = signatures;
}

void message_look_at_parts(struct message_store *m, const struct mime_limits *limits)
{
    m->wants_parts = true;
    m->limits = *limits;
}

static void *charged(struct message_store *m, size_t size)
{
    void *memory;

    if (!pool_charge(m->pool, size))
        return NULL;
    memory = malloc(size);
    if (memory == NULL)
        pool_release(m->pool, size);
    return memory;
}

/* Most messages have no signature, or none that can be read: they cost nothing. */
static bool hashes_begin(struct message_store *m)
{
    struct body_hashes begun;

    if (m->signatures == 0)
        return true;
    body_hashes_begin(&begun, message_header(m), m->signatures);
    if (begun.n == 0)
        return true;
    m->hashes = charged(m, sizeof *m->hashes);
    if (m->hashes == NULL)
        return false;
    *m->hashes = begun;
    return true;
}

static bool parts_begin(struct message_store *m)
{
    if (!m->wants_parts)
        return true;
    m->mime = charged(m, sizeof *m->mime);
    if (m->mime == NULL)
        return false;
    mime_begin(m->mime, message_header(m), &m->limits);
    return true;
}

/* RFC 5322 2.1, RFC 6376 3.4: the body begins behind the empty line. */
static void look_at(struct message_store *m, struct str bytes)
{
    size_t n = m->before_body < bytes.n ? m->before_body : bytes.n;

    m->before_body -= n;
    bytes = str_skip(bytes, n);
    if (bytes.n == 0)
        return;
    if (m->hashes != NULL)
        body_hashes_add(m->hashes, bytes);
    if (m->mime != NULL)
        mime_add(m->mime, bytes);
}

bool message_has_answers(const struct message_store *m)
{
    return m->hashes != NULL || m->mime != NULL;
}

void message_answer_body(const struct message_store *m, struct facts *facts)
{
    if (m->hashes != NULL)
        body_hashes_end(m->hashes, facts);
    if (m->mime != NULL)
        mime_end(m->mime, facts);
}

struct body_sink {
    struct message_store *message;
    enum chain_put how;
};

static bool put_body(void *to, struct str run)
{
    struct body_sink *sink = to;

    return chain_put(&sink->message->body, sink->message->pool, run, sink->how);
}

static enum message_add add_body(struct message_store *m, struct str bytes, enum chain_put how)
{
    struct body_sink sink = { m, how };
    bool fitted;

    look_at(m, bytes);
    fitted = m->is_raw ? put_body(&sink, bytes) : data_stuff(bytes, &m->at_line_start, put_body, &sink);
    return fitted ? MESSAGE_OK : MESSAGE_NO_ROOM;
}

/* ---- the header ---- */

/* A header counts twice: once as it is kept, and once for the copy of it that goes south. */
static enum message_add header_grow(struct message_store *m, size_t n)
{
    size_t size = m->header_size > 0 ? m->header_size : HEADER_ROOM_MIN;
    char *header;

    while (size < n)
        size *= 2;
    if (size == m->header_size)
        return MESSAGE_OK;
    if (!pool_charge(m->pool, 2 * (size - m->header_size)))
        return MESSAGE_NO_ROOM;
    header = realloc(m->header, size);
    if (header == NULL) {
        pool_release(m->pool, 2 * (size - m->header_size));
        return MESSAGE_NO_ROOM;
    }
    m->header = header;
    m->header_size = size;
    return MESSAGE_OK;
}

/* The header ends at `n`; what was read behind it is body. */
static enum message_add header_ends(struct message_store *m, size_t n, enum chain_put how)
{
    struct str rest = n < m->header_n ? str_from(m->header + n, m->header_n - n) : STR("");

    m->header_done = true;
    m->header_n = n;
    m->before_body = 2;
    if (!hashes_begin(m) || !parts_begin(m))
        return MESSAGE_NO_ROOM;
    return add_body(m, rest, how);
}

static enum message_add add_header(struct message_store *m, struct str chunk)
{
    bool complete = false;

    if (header_grow(m, m->header_n + chunk.n) != MESSAGE_OK)
        return MESSAGE_NO_ROOM;
    memcpy(m->header + m->header_n, chunk.p, chunk.n);
    m->header_n += chunk.n;
    if (memchr(chunk.p, '\n', chunk.n) != NULL) /* without one no line has ended, however small the pieces come */
        m->scanned += header_length(str_from(m->header + m->scanned, m->header_n - m->scanned), &complete);
    if ((complete ? m->scanned : m->header_n) > m->header_max)
        return MESSAGE_HEADER_TOO_LONG;
    return complete ? header_ends(m, m->scanned, CHAIN_FORCE) : MESSAGE_OK;
}

static void remember_last(struct message_store *m, struct str chunk)
{
    if (chunk.n >= 2) {
        memcpy(m->last, chunk.p + chunk.n - 2, 2);
    } else {
        m->last[0] = m->last[1];
        m->last[1] = chunk.p[0];
    }
}

enum message_add message_add(struct message_store *m, struct str chunk, enum chain_put how)
{
    m->size += chunk.n;
    remember_last(m, chunk);
    return m->header_done ? add_body(m, chunk, how) : add_header(m, chunk);
}

enum message_add message_finish(struct message_store *m)
{
    bool ends_line = m->last[0] == '\r' && m->last[1] == '\n';

    if (!ends_line && !m->is_raw && message_add(m, STR("\r\n"), CHAIN_FORCE) != MESSAGE_OK)
        return MESSAGE_NO_ROOM;
    if (m->header_done)
        return MESSAGE_OK;
    return header_ends(m, m->header_n, CHAIN_FORCE);
}
