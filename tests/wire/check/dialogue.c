/* Reads a connection as an SMTP conversation: see dialogue.h. This file decides where SMTP begins (behind a PROXY
 * header, in TLS), and what a reply means for how the client's next octets are read. */
#include "dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "dialogue_parts.h"
#include "proxy_header.h"

/* ---- octets and places ---- */

size_t find_crlf(struct slice s, size_t from)
{
    size_t start = from;

    while (from < s.n) {
        const uint8_t *lf = memchr(s.p + from, '\n', s.n - from);

        if (lf == NULL)
            break;
        from = (size_t)(lf - s.p) + 1;
        if (from >= start + 2 && lf[-1] == '\r')
            return from - 2;
    }
    return s.n;
}

struct slice rest_of(const struct reading *r, enum side side)
{
    struct slice all = buffer_slice(&r->stream[side]->octets);

    return slice_part(all, r->at[side], all.n);
}

/* The frame with which all octets up to `to` were there. That is the last octet's own unless segments overtook each
 * other. Calls come with places that never go back, so that all of them together walk the spans once. */
static const struct span *complete(struct reading *r, enum side side, size_t to)
{
    const struct stream *s = r->stream[side];
    struct progress *p = &r->progress[side];

    for (; p->span < s->span_n && (s->span[p->span].at < to || p->span == 0); p->span++)
        if (p->latest == NULL || s->span[p->span].frame > p->latest->frame)
            p->latest = &s->span[p->span];
    return p->latest;
}

struct place place_of(struct reading *r, enum side side, size_t from, size_t to)
{
    const struct span *first = stream_span(r->stream[side], to > from || from == 0 ? from : from - 1);
    const struct span *last = complete(r, side, to);
    struct place p = { .in_tls = r->in_tls, .at = from };

    if (first == NULL || last == NULL)
        return p;
    p.first_frame = first->frame;
    p.first_time = first->time;
    p.last_frame = last->frame;
    p.last_time = last->time;
    return p;
}

void place_join(struct place *to, const struct place *more)
{
    if (more->last_frame > to->last_frame) {
        to->last_frame = more->last_frame;
        to->last_time = more->last_time;
    }
}

void doubt(struct dialogue *d, const char *why)
{
    d->is_readable = false;
    if (d->doubt == NULL)
        d->doubt = why;
}

/* ---- a turn: a command, its reply, and what that reply makes of the next octets ---- */

static bool announces_chunking(const struct dialogue *d)
{
    struct slice rest = d->keywords;

    for (size_t at = 0; at < rest.n;) {
        size_t end = find_crlf(rest, at);

        if (slice_equal_nocase(slice_part(rest, at + 4, end), SLICE("CHUNKING")))
            return true;
        at = end + 2;
    }
    return false;
}

/* RFC 3030 3: the octets follow whatever the answer is. But a server that neither offers BDAT nor knows it reads on
 * in commands. */
static bool has_payload(struct reading *r)
{
    const struct reply *reply = r->is_over ? NULL : peek_reply(r);

    return reply == NULL || (reply->code != 500 && reply->code != 502) || announces_chunking(r->d);
}

static void read_bdat(struct reading *r, struct command *c)
{
    bool is_last, is_whole = true, is_taken;
    size_t i = (size_t)(c - r->d->command);
    uint64_t size;

    is_taken = bdat_read(c, &size, &is_last) && has_payload(r);
    if (is_taken)
        is_whole = take_payload(r, c, size);
    c->reply = take_answer(r, c->payload_n > 0 ? &c->payload : &c->place, is_whole);
    account_command(r, i);
    if (!is_taken || r->open == SIZE_MAX)
        return;
    if (r->d->transaction[r->open].data == SIZE_MAX)
        r->d->transaction[r->open].data = i;
    r->d->transaction[r->open].has_message = true;
    add_chunk(r, open_message(r), c, is_last, is_whole);
    account_message(r);
}

/* A server may say 354 where there is no transaction: what follows is data all the same. */
static void read_message(struct reading *r)
{
    struct message stray = { .chunks = 0 };
    struct message *m = open_message(r);

    if (m != NULL) {
        take_data(r, m);
        account_message(r);
        return;
    }
    take_data(r, &stray);
    message_free(&stray);
}

/* "250-mx.example\r\n250-SIZE 100\r\n250 DSN\r\n" less its first line. */
static struct slice lines_behind_first(struct slice octets)
{
    return slice_part(octets, find_crlf(octets, 0) + 2, octets.n);
}

static void greet(struct dialogue *d, const struct command *c)
{
    find_token(d->token, c->argument);
    if (c->reply != NULL && reply_is(c->reply, 2))
        d->keywords = lines_behind_first(c->reply->octets);
}

static void act_on(struct reading *r, size_t i)
{
    struct dialogue *d = r->d;
    const struct command *c = &d->command[i];
    int code = c->reply != NULL ? c->reply->code : 0;

    r->in_auth = (c->verb == VERB_AUTH || c->verb == VERB_AUTH_LINE) && code == 334;
    if (c->verb == VERB_EHLO || c->verb == VERB_HELO || c->verb == VERB_LHLO)
        greet(d, c);
    else if (c->verb == VERB_DATA && code == 354)
        read_message(r);
    else if (c->verb == VERB_STARTTLS && code == 220 && !r->in_tls)
        d->starttls = i;
}

static void read_turn(struct reading *r)
{
    size_t i = take_command(r);
    struct command *c = &r->d->command[i];

    if (c->verb == VERB_BDAT && c->is_complete) {
        read_bdat(r, c);
        return;
    }
    c->reply = take_answer(r, &c->place, c->is_complete);
    account_command(r, i);
    if (c->is_complete)
        act_on(r, i);
}

/* Until the streams end, or become TLS (then true). */
static bool read_turns(struct reading *r)
{
    bool was_starttls = r->d->starttls != SIZE_MAX;

    while (!r->is_lost && rest_of(r, CLIENT).n > 0) {
        read_turn(r);
        if (!was_starttls && r->d->starttls != SIZE_MAX)
            return true;
    }
    take_rest(r);
    return false;
}

/* ---- where SMTP begins ---- */

static bool is_tls_record(struct slice s)
{
    return s.n > 0 && s.p[0] >= 0x14 && s.p[0] <= 0x17 && (s.n < 2 || s.p[1] == 3);
}

static void skip_proxy_header(struct reading *r)
{
    struct slice s = rest_of(r, CLIENT);

    r->d->proxy_header = slice_part(s, 0, proxy_header_length(s));
    r->at[CLIENT] += r->d->proxy_header.n;
}

static bool begins_with_tls(const struct reading *r, bool is_told)
{
    struct slice client = rest_of(r, CLIENT), server = rest_of(r, SERVER);

    if (server.n > 0 && !is_tls_record(server))
        return false;
    return is_told || (is_tls_record(client) && client.p[0] == 0x16);
}

/* Reads TLS from here on. False: what it hides cannot be read. */
static bool enter_tls(struct reading *r, const struct keylog *keys)
{
    struct dialogue *d = r->d;
    struct tls_session *tls = fresh(sizeof *tls);

    tls_read(tls, d->connection, r->at, keys);
    d->tls = tls;
    if (!tls->is_decrypted) {
        if (rest_of(r, CLIENT).n > 0 || rest_of(r, SERVER).n > 0)
            doubt(d, tls->why_not != NULL ? tls->why_not : "TLS that was not decrypted");
        return false;
    }
    for (enum side side = CLIENT; side <= SERVER; side++) {
        r->stream[side] = &tls->plain[side];
        r->at[side] = 0;
        r->progress[side] = (struct progress){ .span = 0 };
        if (tls->plain[side].has_hole)
            doubt(d, "a hole in the decrypted stream");
    }
    r->in_tls = true;
    d->tls_command = d->command_n;
    return true;
}

/* Octets of the client that came before the server's go-ahead and are no TLS: injected commands (CVE-2011-0411 and
 * its like). */
static void skip_injected(struct reading *r)
{
    const struct place *go = &r->d->command[r->d->starttls].reply->place;
    const struct stream *s = r->stream[CLIENT];
    size_t start = r->at[CLIENT], at = start;

    if (is_tls_record(rest_of(r, CLIENT)))
        return;
    while (at < s->octets.n) {
        const struct span *span = stream_span(s, at), *next = span + 1;

        if (span->frame >= go->first_frame)
            break;
        at = next < s->span + s->span_n ? next->at : s->octets.n;
    }
    r->d->injected = slice_part(buffer_slice(&s->octets), start, at);
    r->at[CLIENT] = at;
}

static void read_clear(struct reading *r, const struct dialogue_hints *hints)
{
    bool is_tls = read_turns(r);

    if (!is_tls)
        return;
    skip_injected(r);
    if (enter_tls(r, hints->keys))
        read_turns(r);
}

static void read_smtp(struct reading *r, const struct dialogue_hints *hints)
{
    struct dialogue *d = r->d;

    d->is_smtp = looks_like_reply(rest_of(r, SERVER));
    d->greeting = take_greeting(r);
    if (d->is_smtp)
        read_clear(r, hints);
}

bool is_closed(const struct connection *c)
{
    return c->stream[CLIENT].is_ended || c->stream[CLIENT].is_reset || c->stream[SERVER].is_ended ||
           c->stream[SERVER].is_reset;
}

static void doubt_connection(struct dialogue *d, const struct connection *c)
{
    if (c->doubt != NULL)
        doubt(d, c->doubt);
    else if (c->stream[CLIENT].has_hole || c->stream[SERVER].has_hole)
        doubt(d, "octets are missing in the capture");
}

void dialogue_read(struct dialogue *d, const struct connection *c, const struct dialogue_hints *hints)
{
    struct reading r = { .d = d, .stream = { &c->stream[CLIENT], &c->stream[SERVER] }, .open = SIZE_MAX };

    *d = (struct dialogue){ .connection = c, .starttls = SIZE_MAX, .tls_command = SIZE_MAX, .is_readable = true };
    doubt_connection(d, c);
    if (!c->has_start && !c->is_refused) /* from the middle on, a message looks like commands and TLS like replies */
        return;
    if (hints->may_have_proxy_header)
        skip_proxy_header(&r);
    d->is_implicit_tls = begins_with_tls(&r, hints->is_implicit_tls);
    if (!d->is_implicit_tls || enter_tls(&r, hints->keys))
        read_smtp(&r, hints);
    if (d->tls_command == d->command_n)
        d->tls_command = SIZE_MAX;
    account_close(&r, is_closed(c) || r.is_over);
}

static void transaction_free(struct transaction *t)
{
    free(t->rcpt);
    free(t->to);
    message_free(&t->message);
}

void dialogue_free(struct dialogue *d)
{
    for (size_t i = 0; i < d->reply_n; i++)
        free(d->reply[i]);
    for (size_t i = 0; i < d->transaction_n; i++)
        transaction_free(&d->transaction[i]);
    if (d->tls != NULL)
        tls_free(d->tls);
    free(d->tls);
    free(d->reply);
    free(d->unasked);
    free(d->command);
    free(d->transaction);
    *d = (struct dialogue){ .connection = NULL };
}
