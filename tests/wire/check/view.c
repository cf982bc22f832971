#include "view.h"

#include <stdlib.h>
#include <string.h>

/* ---- connections ---- */

size_t view_south(const struct trial *t, struct south_end **out)
{
    struct south_end *all = NULL;
    size_t n = 0;

    for (size_t i = 0; i < t->session_n; i++) {
        for (size_t k = 0; k < t->session[i].south_n; k++) {
            all = array_grow(all, n, sizeof *all);
            all[n++] = (struct south_end){ t->session[i].south[k], &t->session[i], false };
        }
    }
    for (size_t i = 0; i < t->probe_n; i++) {
        all = array_grow(all, n, sizeof *all);
        all[n++] = (struct south_end){ t->probe[i], NULL, false };
    }
    for (size_t i = 0; i < t->orphan_n; i++) {
        all = array_grow(all, n, sizeof *all);
        all[n++] = (struct south_end){ t->orphan[i], NULL, true };
    }
    for (size_t i = 0; i < t->unexplained_n; i++) { /* with no wire north this is all of them */
        all = array_grow(all, n, sizeof *all);
        all[n++] = (struct south_end){ t->unexplained[i], NULL, false };
    }
    *out = all;
    return n;
}

bool view_is_hidden(const struct dialogue *d)
{
    return d->tls != NULL && !d->tls->is_decrypted;
}

const char *view_cloud(const struct dialogue *d)
{
    if (d->connection != NULL && d->connection->doubt != NULL)
        return d->connection->doubt;
    return view_is_hidden(d) || d->is_readable ? NULL : d->doubt;
}

void view_close(struct tally *t, const struct dialogue *d)
{
    const char *cloud = view_cloud(d);

    if (cloud != NULL)
        unsure(t, cloud);
}

/* ---- the client ---- */

static struct slice next_word(struct slice *rest)
{
    size_t end = slice_find(*rest, SLICE(" "), 0);
    struct slice word = slice_part(*rest, 0, end);

    *rest = slice_part(*rest, end + 1, rest->n);
    return word;
}

static bool client_of_version_1(struct slice header, struct endpoint *client)
{
    struct slice rest = slice_part(header, 0, slice_find(header, SLICE("\r\n"), 0)), protocol, source;

    next_word(&rest); /* PROXY */
    protocol = next_word(&rest);
    source = next_word(&rest);
    if (!slice_equal(protocol, SLICE("TCP4")) && !slice_equal(protocol, SLICE("TCP6")))
        return false;
    if (slice_equal(protocol, SLICE("TCP6"))) { /* endpoint_parse() takes an address with colons in brackets, too */
        struct buffer text = { 0 };
        bool ok;

        buffer_printf(&text, "[%.*s]:0", SLICE_ARG(source));
        ok = endpoint_parse(client, buffer_slice(&text));
        buffer_free(&text);
        return ok;
    }
    return endpoint_parse(client, source);
}

/* 12 octets of signature, version and command, family, length; then addresses (proxy-protocol.txt 2.2). */
static bool client_of_version_2(struct slice header, struct endpoint *client)
{
    enum { FRONT = 16, LOCAL = 0x20, TCP4 = 0x11, TCP6 = 0x21 };

    if (header.n < FRONT || header.p[12] == LOCAL)
        return false;
    *client = (struct endpoint){ .port = 0 };
    if (header.p[13] == TCP4 && header.n >= FRONT + 12) {
        client->address[10] = client->address[11] = 0xff;
        memcpy(client->address + 12, header.p + FRONT, 4);
    } else if (header.p[13] == TCP6 && header.n >= FRONT + 36) {
        memcpy(client->address, header.p + FRONT, 16);
    } else {
        return false;
    }
    return true;
}

bool view_is_disowned(const struct dialogue *north)
{
    const struct span *header = stream_span(&north->connection->stream[CLIENT], 0);

    return north->proxy_header.n > 0 && north->greeting != NULL && header != NULL &&
           north->greeting->place.first_frame < header->frame;
}

bool view_client(const struct dialogue *north, struct endpoint *client)
{
    struct slice header = north->proxy_header;

    if (header.n == 0 || view_is_disowned(north)) {
        *client = north->connection->end[CLIENT];
        return true;
    }
    return header.p[0] == 'P' ? client_of_version_1(header, client) : client_of_version_2(header, client);
}

/* ---- places ---- */

struct place view_place(const struct dialogue *d, enum side side, const struct place *whole, size_t offset, size_t n)
{
    const struct stream *stream = whole->in_tls && d->tls != NULL ? &d->tls->plain[side] : &d->connection->stream[side];
    const struct span *first = stream_span(stream, whole->at + offset);
    const struct span *last = stream_span(stream, whole->at + offset + (n > 0 ? n - 1 : 0));
    struct place p = *whole;

    p.at = whole->at + offset;
    if (first != NULL) {
        p.first_frame = first->frame;
        p.first_time = first->time;
    }
    if (last != NULL) {
        p.last_frame = last->frame;
        p.last_time = last->time;
    }
    return p;
}

/* ---- replies ---- */

bool view_is_verdict(const struct reply *r)
{
    if (r == NULL || r->code == 421)
        return false;
    return reply_is(r, 5) || (reply_is(r, 4) && strncmp(r->enhanced, "4.7.", 4) == 0);
}

bool view_answers(enum verb v, int code)
{
    enum { MOST = 6 };
    static const short positive[VERBS][MOST] = {
        [VERB_EHLO] = { 250 },           [VERB_HELO] = { 250 },           [VERB_STARTTLS] = { 220 },
        [VERB_AUTH] = { 235, 334 },      [VERB_AUTH_LINE] = { 235, 334 }, [VERB_MAIL] = { 250 },
        [VERB_RCPT] = { 250, 251, 252 }, [VERB_DATA] = { 354 },           [VERB_BDAT] = { 250 },
        [VERB_RSET] = { 250 },           [VERB_NOOP] = { 250 },           [VERB_QUIT] = { 221 },
        [VERB_VRFY] = { 250, 251, 252 }, [VERB_EXPN] = { 250, 252 },      [VERB_HELP] = { 211, 214 },
    };

    if (code >= 400 && code < 600)
        return true;
    for (size_t i = 0; i < MOST && code != 0; i++)
        if (positive[v][i] == code)
            return true;
    return v == VERB_NONE && code == 221; /* ATTACKS B03: another protocol is seen out */
}

/* ---- addresses ---- */

struct slice view_parameter(const struct address *a, const char *keyword)
{
    struct slice rest = a->parameters, wanted = slice_of(keyword);

    while (rest.n > 0) {
        struct slice word = next_word(&rest);
        size_t equals = slice_find(word, SLICE("="), 0);

        if (slice_equal_nocase(slice_part(word, 0, equals), wanted))
            return (struct slice){ word.p + (equals < word.n ? equals + 1 : word.n),
                                   equals < word.n ? word.n - equals - 1 : 0 };
    }
    return (struct slice){ 0 };
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* A route ends at its colon: "@a,@b:user" (RFC 5321 4.1.2). No @ of a route is quoted. */
static struct slice without_route(const struct address *a)
{
    size_t colon = slice_find(a->local, SLICE(":"), 0);

    if (!a->has_route || a->local.n == 0 || a->local.p[0] != '@' || colon == a->local.n)
        return a->local;
    return slice_part(a->local, colon + 1, a->local.n);
}

void view_mailbox(const struct address *a, struct buffer *out)
{
    struct slice local = without_route(a);
    bool is_quoted = false;

    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"') {
            is_quoted = !is_quoted;
            continue;
        }
        if (local.p[i] == '\\' && is_quoted && i + 1 < local.n)
            i++;
        buffer_add(out, local.p + i, 1);
    }
    buffer_add(out, "@", 1);
    for (size_t i = 0; i < a->domain.n; i++) {
        uint8_t c = lower(a->domain.p[i]);

        buffer_add(out, &c, 1);
    }
}

/* ---- messages ---- */

size_t view_bare(struct slice s, bool is_ended)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] > '\r')
            continue;
        if (s.p[i] == '\0' || s.p[i] == '\n')
            return i;
        if (s.p[i] != '\r')
            continue;
        if (i + 1 == s.n)
            return is_ended ? i : s.n;
        if (s.p[i + 1] != '\n')
            return i;
        i++;
    }
    return s.n;
}

/* A line that starts one of the fields a gateway may add. */
static bool is_of_block(struct slice line)
{
    static const struct {
        struct slice name;
        bool is_prefix;
    } rows[] = {
        { { (const uint8_t *)"received", 8 }, false },
        { { (const uint8_t *)"authentication-results", 22 }, false },
        { { (const uint8_t *)"received-spf", 12 }, false },
        { { (const uint8_t *)"arc-", 4 }, true },
        { { (const uint8_t *)"x-postern-", 10 }, true },
    };
    struct slice name = slice_part(line, 0, slice_find(line, SLICE(":"), 0));

    if (name.n == line.n)
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].is_prefix && slice_equal_nocase(slice_part(name, 0, rows[i].name.n), rows[i].name))
            return true;
        if (!rows[i].is_prefix && slice_equal_nocase(name, rows[i].name))
            return true;
    }
    return false;
}

size_t view_block(struct slice body)
{
    size_t at = 0;

    while (at < body.n) {
        size_t end = slice_find(body, SLICE("\r\n"), at);
        bool is_folded = at > 0 && (body.p[at] == ' ' || body.p[at] == '\t');

        if (end == body.n || (!is_folded && !is_of_block(slice_part(body, at, end))))
            break;
        at = end + 2;
    }
    return at;
}
