/* Messages as they are on the wire: DATA with its dots (RFC 5321 4.5.2), BDAT with its counts (RFC 3030).
 *
 * A body that needs no change points into the stream, so that a campaign's capture is not in memory twice. */
#include <stdlib.h>

#include "dialogue_parts.h"

void message_free(struct message *m)
{
    if (m->body.size > 0)
        free(m->body.p);
    m->body = (struct buffer){ 0 };
}

/* Adds octets [from, to) of the client's stream: by reference as long as that is possible. */
static void add_body(const struct reading *r, struct message *m, size_t from, size_t to)
{
    struct buffer body = { 0 };

    if (from == to)
        return;
    if (m->body.n == 0 && m->body.size == 0) {
        m->body = (struct buffer){ r->stream[CLIENT]->octets.p + from, to - from, 0 };
        return;
    }
    if (m->body.size == 0) {
        buffer_add(&body, m->body.p, m->body.n);
        m->body = body;
    }
    buffer_add(&m->body, r->stream[CLIENT]->octets.p + from, to - from);
}

/* ---- DATA ---- */

/* The next CRLF "." at or after `from`; s.n for none. */
static size_t find_dot_line(struct slice s, size_t from)
{
    while ((from = find_crlf(s, from)) < s.n) {
        if (from + 2 < s.n && s.p[from + 2] == '.')
            return from;
        from += 2;
    }
    return s.n;
}

void take_data(struct reading *r, struct message *m)
{
    struct slice all = buffer_slice(&r->stream[CLIENT]->octets);
    size_t start = r->at[CLIENT], copied = start, dot;
    /* The CRLF of the DATA line itself counts as the one before the dot (RFC 5321 4.1.1.4). */
    size_t at = start - 2;

    while ((dot = find_dot_line(all, at)) < all.n) {
        m->is_ended = slice_equal(slice_part(all, dot + 3, dot + 5), SLICE("\r\n"));
        add_body(r, m, copied, dot + 2);
        at = copied = dot + 3;
        if (m->is_ended)
            break;
    }
    if (!m->is_ended)
        add_body(r, m, copied, all.n);
    r->at[CLIENT] = m->is_ended ? dot + 5 : all.n;
    m->raw = slice_part(all, start, m->is_ended ? dot + 2 : all.n);
    m->place = place_of(r, CLIENT, start, r->at[CLIENT]);
    if (m->is_ended)
        m->end = place_of(r, CLIENT, dot, dot + 5);
    m->reply = take_answer(r, m->is_ended ? &m->end : &m->place, m->is_ended);
}

/* ---- BDAT ---- */

static struct slice cut_word(struct slice *rest)
{
    size_t n = slice_find(*rest, SLICE(" "), 0);
    struct slice word = slice_part(*rest, 0, n);

    *rest = slice_part(*rest, n + 1, rest->n);
    return word;
}

bool bdat_read(const struct command *c, uint64_t *size, bool *is_last)
{
    struct slice rest = c->argument, digits = cut_word(&rest), last = cut_word(&rest);

    *size = 0;
    for (size_t i = 0; i < digits.n; i++) {
        unsigned digit = digits.p[i] - (unsigned)'0';

        if (digit > 9 || *size > (UINT64_MAX - digit) / 10)
            return false;
        *size = *size * 10 + digit;
    }
    *is_last = slice_equal_nocase(last, SLICE("LAST"));
    return digits.n > 0 && rest.n == 0 && (*is_last || last.n == 0);
}

bool take_payload(struct reading *r, struct command *c, uint64_t size)
{
    size_t start = r->at[CLIENT], left = r->stream[CLIENT]->octets.n - start;

    c->payload_n = size < left ? (size_t)size : left;
    if (c->payload_n > 0)
        c->payload = place_of(r, CLIENT, start, start + c->payload_n);
    else
        c->payload.at = start;
    r->at[CLIENT] += c->payload_n;
    return c->payload_n == size;
}

void add_chunk(struct reading *r, struct message *m, const struct command *c, bool is_last, bool is_whole)
{
    size_t from = c->payload.at, to = from + c->payload_n;
    const struct place *place = c->payload_n > 0 ? &c->payload : &c->place;

    if (m->chunks++ == 0)
        m->place = *place;
    else
        place_join(&m->place, place);
    m->by_bdat = true;
    add_body(r, m, from, to);
    m->raw = buffer_slice(&m->body);
    if (!is_last)
        return;
    m->is_ended = is_whole;
    m->end = c->payload_n > 0 ? place_of(r, CLIENT, to - 1, to) : c->place;
    m->reply = c->reply;
}
