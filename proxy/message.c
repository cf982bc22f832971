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
    free(m->header);
    if (m->header_size > 0)
        pool_release(m->pool, m->header_size);
    chain_clear(&m->body);
    *m = (struct message_store){ 0 };
}

struct str message_header(const struct message_store *m)
{
    return str_from(m->header, m->header_n);
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
    bool fitted = m->is_raw ? put_body(&sink, bytes) : data_stuff(bytes, &m->at_line_start, put_body, &sink);

    return fitted ? MESSAGE_OK : MESSAGE_NO_ROOM;
}

static enum message_add header_grow(struct message_store *m, size_t n)
{
    size_t size = m->header_size > 0 ? m->header_size : HEADER_ROOM_MIN;
    char *header;

    while (size < n)
        size *= 2;
    if (size == m->header_size)
        return MESSAGE_OK;
    if (!pool_charge(m->pool, size - m->header_size))
        return MESSAGE_NO_ROOM;
    header = realloc(m->header, size);
    if (header == NULL) {
        pool_release(m->pool, size - m->header_size);
        return MESSAGE_NO_ROOM;
    }
    m->header = header;
    m->header_size = size;
    return MESSAGE_OK;
}

/* The header ends at `n`; what was read behind it is body. */
static enum message_add header_ends(struct message_store *m, size_t n, enum chain_put how)
{
    struct str rest = str_from(m->header + n, m->header_n - n);

    m->header_done = true;
    m->header_n = n;
    return add_body(m, rest, how);
}

static enum message_add add_header(struct message_store *m, struct str chunk, enum chain_put how)
{
    bool has_line_end = memchr(chunk.p, '\n', chunk.n) != NULL;
    bool complete = false;
    struct str rest;
    size_t n;

    if (header_grow(m, m->header_n + chunk.n) != MESSAGE_OK)
        return MESSAGE_NO_ROOM;
    memcpy(m->header + m->header_n, chunk.p, chunk.n);
    m->header_n += chunk.n;
    if (has_line_end) { /* without one there is nothing new to judge, however small the pieces come */
        rest = str_from(m->header + m->scanned, m->header_n - m->scanned);
        n = header_length(rest, &complete);
        if (m->scanned + n > m->header_max)
            return MESSAGE_HEADER_TOO_LONG;
        if (complete)
            return header_ends(m, m->scanned + n, how);
        m->scanned = (size_t)((char *)memrchr(m->header, '\n', m->header_n) - m->header) + 1;
    }
    return m->header_n > m->header_max ? MESSAGE_HEADER_TOO_LONG : MESSAGE_OK;
}

static void remember_last(struct message_store *m, struct str chunk)
{
    if (chunk.n >= 2)
        memcpy(m->last, chunk.p + chunk.n - 2, 2);
    else
        m->last[0] = m->last[1], m->last[1] = chunk.p[0];
}

enum message_add message_add(struct message_store *m, struct str chunk, enum chain_put how)
{
    m->size += chunk.n;
    remember_last(m, chunk);
    return m->header_done ? add_body(m, chunk, how) : add_header(m, chunk, how);
}

enum message_add message_finish(struct message_store *m)
{
    bool ends_line = m->last[0] == '\r' && m->last[1] == '\n';
    bool complete;
    struct str rest;
    size_t n;

    if (!ends_line && !m->is_raw && message_add(m, STR("\r\n"), CHAIN_FORCE) != MESSAGE_OK)
        return MESSAGE_NO_ROOM;
    if (m->header_done)
        return MESSAGE_OK;
    rest = str_from(m->header + m->scanned, m->header_n - m->scanned);
    n = rest.n > 0 ? header_length(rest, &complete) : 0;
    return header_ends(m, m->scanned + n, CHAIN_FORCE);
}
