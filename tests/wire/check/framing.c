/* ORACLE 3, framing: what stands between 354 and CRLF.CRLF on the south wire (F-1, F-2, F-5, F-6, F-9), what became
 * of messages that are not framed strictly (F-3, F-4), and the lines of replies on both wires (F-7, F-8).
 *
 * Messages that go by BDAT have no framing inside: their octets are counted, and F-1, F-2 and F-6 do not speak of
 * them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ends.h"
#include "invariant.h"
#include "view.h"

/* ---- every message south, each once ---- */

typedef void judge_message(const struct trial *, const struct south_end *, const struct transaction *, struct tally *);

static void each_message(const struct trial *t, struct tally *tally, judge_message *judge)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < end[i].dialogue->transaction_n; k++)
            if (end[i].dialogue->transaction[k].has_message)
                judge(t, &end[i], &end[i].dialogue->transaction[k], tally);
        view_close(tally, end[i].dialogue);
    }
    free(end);
}

/* The octets around one that is wrong, as evidence. */
static void show_around(struct violation *v, enum wire_name w, const struct dialogue *d, const struct message *m,
                        size_t at, const char *note)
{
    enum { AROUND = 40 };
    size_t from = at > AROUND ? at - AROUND : 0;
    struct slice octets = slice_part(m->raw, from, at + AROUND);
    struct place p = view_place(d, CLIENT, &m->place, m->by_bdat ? 0 : from, m->by_bdat ? 0 : octets.n);

    show_octets(v, w, true, &p, octets, note);
}

/* ---- F-1, F-2 ---- */

static void judge_bare(const struct trial *t, const struct south_end *end, const struct transaction *x,
                       struct tally *tally)
{
    const struct message *m = &x->message;
    size_t at = view_bare(m->raw, m->is_ended);
    struct violation *v;

    (void)t;
    if (m->by_bdat)
        return;
    if (at == m->raw.n) {
        held(tally);
        return;
    }
    v = violated(tally, end->session, "%s went to the back end in a message, at octet %zu",
                 m->raw.p[at] == '\0'   ? "NUL"
                 : m->raw.p[at] == '\n' ? "a bare LF"
                                        : "a bare CR",
                 at);
    show_around(v, SOUTH, end->dialogue, m, at, "in the message's octets");
}

static void judge_bare_octets(const struct trial *t, struct tally *tally)
{
    each_message(t, tally, judge_bare);
}

static void judge_end(const struct trial *t, const struct south_end *end, const struct transaction *x,
                      struct tally *tally)
{
    const struct message *m = &x->message;
    struct ends e = ends_read(m->raw, m->is_ended);
    struct violation *v;

    (void)t;
    if (m->by_bdat)
        return;
    if (e.unstuffed != SIZE_MAX) {
        v = violated(tally, end->session, "a line that begins with a dot was not doubled, at octet %zu", e.unstuffed);
        show_around(v, SOUTH, end->dialogue, m, e.unstuffed, "RFC 5321 4.5.2");
    } else if (e.lone_n > 0) {
        v = violated(tally, end->session, "a lenient parser sees %zu more end%s of the message, the first at octet %zu",
                     e.lone_n, e.lone_n == 1 ? "" : "s", e.lone);
        show_around(v, SOUTH, end->dialogue, m, e.lone, "a dot between what some parsers take for line ends");
    } else {
        held(tally);
    }
}

static void judge_ends(const struct trial *t, struct tally *tally)
{
    each_message(t, tally, judge_end);
}

/* ---- messages north, with what became of them ---- */

static bool is_binary(const struct transaction *x)
{
    return slice_equal_nocase(view_parameter(&x->from, "BODY"), SLICE("BINARYMIME"));
}

/* Are this client's messages repaired instead of refused ([framing])? */
static bool is_normalised(const struct trial *t, const struct dialogue *north)
{
    struct endpoint client;

    if (!view_client(north, &client))
        return false;
    for (size_t i = 0; i < t->settings.normalise_n; i++) {
        const struct network *net = &t->settings.normalise[i];
        unsigned whole = net->bits / 8, rest = net->bits % 8;
        uint8_t mask = (uint8_t)(0xff00u >> rest);

        if (memcmp(net->base.address, client.address, whole) == 0 &&
            (rest == 0 || ((net->base.address[whole] ^ client.address[whole]) & mask) == 0))
            return true;
    }
    return false;
}

typedef void judge_pair(const struct trial *, const struct pair *, struct tally *);

/* Every message north that came to its end; those of sessions in doubt are not judged. */
static void each_pair(const struct trial *t, struct tally *tally, judge_pair *judge)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL)
            continue;
        if (s->doubt != NULL && s->pair_n > 0)
            unsure(tally, s->doubt);
        for (size_t k = 0; k < s->pair_n && s->doubt == NULL; k++)
            if (s->pair[k].north->has_message)
                judge(t, &s->pair[k], tally);
        view_close(tally, s->north);
    }
}

/* ---- F-3 ---- */

static void judge_unclean(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct message *n = &p->north->message, *s = p->south != NULL ? &p->south->message : NULL;
    const struct dialogue *north = p->session->north;
    size_t at = view_bare(n->raw, n->is_ended), south_at;
    bool is_raw_south, is_taken = reply_is(n->reply, 2);
    struct violation *v;

    if (at == n->raw.n || !n->is_ended || n->reply == NULL || is_binary(p->north))
        return;
    south_at = s != NULL && !s->by_bdat ? view_bare(s->raw, s->is_ended) : 0;
    is_raw_south = s != NULL && !s->by_bdat && south_at < s->raw.n;
    if (is_raw_south && s->is_ended) {
        v = violated(tally, p->session, "bare CR, bare LF or NUL of a client's message went through");
    } else if (is_normalised(t, north)) {
        held(tally);
        return;
    } else if (!is_taken && (s == NULL || !s->is_ended)) {
        held(tally);
        return;
    } else if (!t->settings.is_given) {
        unsure(
            tally,
            "a message with bare CR, bare LF or NUL was taken, and no configuration tells whether it may be repaired");
        return;
    } else {
        v = violated(tally, p->session,
                     is_taken ? "a message with bare CR, bare LF or NUL was accepted"
                              : "a message with bare CR, bare LF or NUL was ended at the back end");
    }
    show_around(v, NORTH, north, n, at, "not CRLF");
    show_reply(v, NORTH, n->reply, NULL);
    if (is_raw_south)
        show_around(v, SOUTH, p->south_dialogue, s, south_at, "the same on the other side");
    else if (s != NULL && s->is_ended)
        show_octets(v, SOUTH, true, &s->end, SLICE("\r\n.\r\n"), "ended");
}

static void judge_unclean_messages(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_unclean);
}

/* ---- F-4 ---- */

/* The first command behind the message; NULL none. */
static const struct command *command_behind(const struct dialogue *d, const struct transaction *x)
{
    size_t next = x->data == SIZE_MAX ? d->command_n : x->data + 1;

    return next < d->command_n ? &d->command[next] : NULL;
}

static size_t count_mail(const struct dialogue *d, bool accepted_only)
{
    size_t n = 0;

    for (size_t i = 0; i < d->command_n; i++)
        n += d->command[i].verb == VERB_MAIL && d->command[i].is_complete &&
             (!accepted_only || d->command[i].reply == NULL || reply_is(d->command[i].reply, 2));
    return n;
}

/* More MAIL south than the client's: twice as many are explained by the quarantine's second transaction each. */
static bool has_executed(const struct trial *t, const struct session *s)
{
    size_t north = count_mail(s->north, true), south = 0;

    for (size_t i = 0; i < s->south_n; i++)
        south += count_mail(s->south[i], false);
    return south > (t->settings.quarantine_mailbox[0] != '\0' ? 2 : 1) * north;
}

static bool has_fake_end(const struct transaction *x)
{
    return x->has_message && !x->message.by_bdat && x->message.is_ended && ends_read(x->message.raw, true).lone_n > 0;
}

static const char *fake_end_breach(const struct dialogue *d, const struct transaction *x)
{
    const struct command *behind = command_behind(d, x);
    const struct reply *r = x->message.reply;

    if (r != NULL && r->place.first_time < x->message.end.last_time)
        return "a message was answered before its end";
    if (d->unasked_n > 0)
        return "more replies than one to a message with a false end";
    if (r != NULL && r->code != 0 && r->code != 250 && r->code < 400)
        return "a message with a false end has the answer of something else";
    if (behind != NULL && behind->is_complete && behind->reply != NULL && behind->reply->code != 0 &&
        !view_answers(behind->verb, behind->reply->code))
        return "more replies than one to a message with a false end";
    return NULL;
}

static void judge_fake_end(const struct trial *t, const struct session *s, bool executed, const struct transaction *x,
                           struct tally *tally)
{
    const char *breach = fake_end_breach(s->north, x);
    struct violation *v;

    (void)t;
    if (breach == NULL && executed)
        breach = "commands behind a false end went to the back end";
    if (breach == NULL) {
        held(tally);
        return;
    }
    v = violated(tally, s, "%s", breach);
    show_around(v, NORTH, s->north, &x->message, ends_read(x->message.raw, true).lone, "the false end");
    show_octets(v, NORTH, true, &x->message.end, SLICE("\r\n.\r\n"), "the real end");
    if (x->message.reply != NULL)
        show_reply(v, NORTH, x->message.reply, "the first answer");
    if (s->north->unasked_n > 0)
        show_reply(v, NORTH, s->north->unasked[0], "one more");
}

static void judge_fake_ends(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        bool is_counted = false, executed = false;

        if (s->north == NULL)
            continue;
        for (size_t k = 0; k < s->north->transaction_n; k++) {
            if (!has_fake_end(&s->north->transaction[k]))
                continue;
            if (!is_counted)
                executed = s->doubt == NULL && view_cloud(s->north) == NULL && has_executed(t, s);
            is_counted = true;
            judge_fake_end(t, s, executed, &s->north->transaction[k], tally);
        }
        view_close(tally, s->north);
    }
}

/* ---- F-5 ---- */

/* Octets until which a field's name must have ended. */
enum { NAME_ROOM = 64 };

static void judge_front(const struct trial *t, const struct south_end *end, const struct transaction *x,
                        struct tally *tally)
{
    struct slice body = buffer_slice(&x->message.body);
    struct violation *v;

    (void)t;
    if (view_block(body) > 0) {
        held(tally);
        return;
    }
    if (!x->message.is_ended &&
        slice_find(slice_part(body, 0, NAME_ROOM), SLICE("\r\n"), 0) == slice_part(body, 0, NAME_ROOM).n)
        return; /* cut off in its first line */
    v = violated(tally, end->session, "the message at the back end does not begin with the gateway's own fields");
    show_around(v, SOUTH, end->dialogue, &x->message, 0, "the first octets");
}

/* A first line that begins with a blank would become a part of the field in front of it. */
static void judge_fold(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct message *n = &p->north->message, *s = p->south != NULL ? &p->south->message : NULL;
    struct slice body = buffer_slice(&n->body), first, south;
    size_t at;
    struct violation *v;

    (void)t;
    if (body.n == 0 || (body.p[0] != ' ' && body.p[0] != '\t') || !n->is_ended)
        return;
    if (s == NULL || !s->is_ended) {
        held(tally);
        return;
    }
    first = slice_part(body, 0, slice_find(body, SLICE("\r\n"), 0));
    south = buffer_slice(&s->body);
    at = slice_find(south, first, 0);
    if (at < south.n && at >= 4 && memcmp(south.p + at - 4, "\r\n\r\n", 4) == 0) {
        held(tally);
        return;
    }
    v = violated(tally, p->session,
                 "a message that begins with a continuation line was joined to the gateway's fields");
    show_around(v, NORTH, p->session->north, n, 0, "the client's first line");
    show_around(v, SOUTH, p->south_dialogue, s, 0, "and the block in front of it");
}

/* Is this one block of whole fields? In front of a first line that begins with a blank it may end in an empty line
 * (F-5). */
static bool is_block(struct slice block, struct slice north)
{
    bool may_be_separated = north.p[0] == ' ' || north.p[0] == '\t';

    if (may_be_separated && block.n > 4 && memcmp(block.p + block.n - 4, "\r\n\r\n", 4) == 0)
        block.n -= 2;
    return view_block(block) == block.n;
}

/* Where the client's message follows unchanged, all in front of it is the gateway's: whole lines, and of the allowed
 * fields. */
static void judge_block(const struct trial *t, const struct pair *p, struct tally *tally)
{
    struct slice north = buffer_slice(&p->north->message.body), south, block;
    struct violation *v;

    judge_fold(t, p, tally);
    if (p->south == NULL || !p->south->has_message || !p->south->message.is_ended || !p->north->message.is_ended)
        return;
    south = buffer_slice(&p->south->message.body);
    if (north.n == 0 || south.n < north.n || memcmp(south.p + south.n - north.n, north.p, north.n) != 0)
        return; /* changed: A-2 tells whether it may be */
    block = slice_part(south, 0, south.n - north.n);
    if (is_block(block, north)) {
        held(tally);
        return;
    }
    v = violated(tally, p->session,
                 "what stands in front of the client's message is not one block of the gateway's fields");
    show_around(v, SOUTH, p->south_dialogue, &p->south->message, 0, "the front");
}

static void judge_fronts(const struct trial *t, struct tally *tally)
{
    each_message(t, tally, judge_front);
    each_pair(t, tally, judge_block);
}

/* ---- F-6 ---- */

enum { TEXT_LINE_MAX = 998 }; /* RFC 5321 4.5.3.1.6, without CRLF */

struct line_lengths {
    size_t longest, at; /* of the first of the longest */
    size_t long_n;      /* lines above the limit */
};

static struct line_lengths measure(struct slice body)
{
    struct line_lengths l = { 0 };

    for (size_t at = 0, end; at < body.n; at = end + 2) {
        end = slice_find(body, SLICE("\r\n"), at);
        if (end - at > l.longest) {
            l.longest = end - at;
            l.at = at;
        }
        l.long_n += end - at > TEXT_LINE_MAX;
    }
    return l;
}

static void judge_length(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct message *n = &p->north->message, *s = p->south != NULL ? &p->south->message : NULL;
    struct line_lengths north, south;
    struct violation *v;

    (void)t;
    if (s == NULL || s->by_bdat || !p->south->has_message || !s->is_ended || view_bare(n->raw, n->is_ended) < n->raw.n)
        return; /* not passed on, or lines that were repaired */
    north = measure(buffer_slice(&n->body));
    south = measure(buffer_slice(&s->body));
    if (north.longest <= TEXT_LINE_MAX ? south.longest <= TEXT_LINE_MAX
                                       : south.longest >= north.longest && south.long_n >= north.long_n) {
        held(tally);
        return;
    }
    if (north.longest > TEXT_LINE_MAX && s->body.n < n->body.n) {
        unsure(tally, "a long line is not there, and something was taken out of the message");
        return;
    }
    v = north.longest <= TEXT_LINE_MAX
            ? violated(tally, p->session, "a line of %zu octets at the back end, where the client's longest had %zu",
                       south.longest, north.longest)
            : violated(tally, p->session, "a line of %zu octets was split: the longest at the back end has %zu",
                       north.longest, south.longest);
    show_around(v, NORTH, p->session->north, n, north.at, "the client's longest line");
    show_around(v, SOUTH, p->south_dialogue, s, south.at, "the longest at the back end");
}

static void judge_lengths(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_length);
}

/* ---- F-7 ---- */

/* A listener that speaks TLS at once answers in TLS what is none: T judges that. */
static bool begins_with_tls(const struct reply *r)
{
    return r->octets.n > 2 && (r->octets.p[0] == 0x15 || r->octets.p[0] == 0x16) && r->octets.p[1] == 3;
}

static bool is_reset(const struct connection *c)
{
    return c->stream[CLIENT].is_reset || c->stream[SERVER].is_reset;
}

static void judge_reply_lines(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d == NULL || (d->reply_n > 0 && begins_with_tls(d->reply[0])))
            continue;
        for (size_t k = 0; k < d->reply_n; k++) {
            if (d->reply[k]->malformed == NULL && d->reply[k]->code != 0)
                held(tally);
            else if (begins_with_tls(d->reply[k]) && view_cloud(d) != NULL)
                break; /* STARTTLS is among what the capture missed */
            else if (k + 1 == d->reply_n && is_reset(d->connection))
                break; /* what was on its way when the connection was reset */
            else
                show_reply(violated(tally, &t->session[i], "a reply to the client is malformed: %s",
                                    d->reply[k]->malformed != NULL ? d->reply[k]->malformed : "no reply code"),
                           NORTH, d->reply[k], d->reply[k]->malformed);
        }
        view_close(tally, d);
    }
}

/* ---- F-8 ---- */

/* What makes a back end's reply none: no code, codes that differ, a long line, too many of them (the dialogue's
 * reader says which). Octets that are not printable do not: the text is cleaned on its way north. */
static const char *reply_breach(const struct reply *r)
{
    if (r->code != 0)
        return NULL;
    return r->malformed != NULL ? r->malformed : "no reply code";
}

static const struct command *command_after(const struct dialogue *d, const struct reply *r)
{
    size_t from = 0, to = d->command_n;

    while (from < to) { /* commands are in the order of time */
        size_t middle = from + (to - from) / 2;

        if (d->command[middle].place.first_time > r->place.last_time)
            to = middle;
        else
            from = middle + 1;
    }
    return from < d->command_n ? &d->command[from] : NULL;
}

/* Behind such a reply nothing more is said on this connection. */
static void judge_broken_reply(const struct session *s, const struct dialogue *d, const struct reply *r,
                               const char *what, struct tally *tally)
{
    const struct command *after = command_after(d, r);
    struct violation *v;

    if (after == NULL || after->verb == VERB_QUIT) {
        held(tally);
        return;
    }
    v = violated(tally, s, "the gateway went on after a back end's broken reply: %s", what);
    show_reply(v, SOUTH, r, what);
    show_command(v, SOUTH, after, "and went on");
}

/* A message whose end was answered so is not accepted north. */
static void judge_broken_end(const struct pair *p, struct tally *tally)
{
    const struct reply *south = p->south != NULL ? p->south->message.reply : NULL, *north = p->north->message.reply;
    const char *what = south != NULL ? reply_breach(south) : NULL;
    struct violation *v;

    if (what == NULL || north == NULL)
        return;
    if (reply_is(north, 4)) {
        held(tally);
        return;
    }
    v = violated(tally, p->session, "a back end's broken reply to a message (%s) became %d", what, north->code);
    show_reply(v, SOUTH, south, what);
    show_reply(v, NORTH, north, "A-3: 451");
}

static void judge_back_end_replies(const struct trial *t, struct tally *tally)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        const struct dialogue *d = end[i].dialogue;

        for (size_t k = 0; k < d->reply_n; k++) {
            const char *what = reply_breach(d->reply[k]);

            if (what != NULL)
                judge_broken_reply(end[i].session, d, d->reply[k], what, tally);
        }
        view_close(tally, d);
    }
    free(end);
    for (size_t i = 0; i < t->session_n; i++)
        for (size_t k = 0; k < t->session[i].pair_n && t->session[i].doubt == NULL; k++)
            judge_broken_end(&t->session[i].pair[k], tally);
}

/* ---- F-9 ---- */

/* Our own fields are at most so long. */
enum { BLOCK_MAX = 65536 };

static void judge_south_size(const struct trial *t, const struct south_end *end, const struct transaction *x,
                             struct tally *tally)
{
    struct slice body = buffer_slice(&x->message.body);
    uint64_t limit = t->settings.max_message;
    size_t block = view_block(slice_part(body, 0, BLOCK_MAX));
    struct violation *v;

    if (limit == 0)
        return;
    if (body.n - block <= limit) {
        held(tally);
    } else if (!t->settings.is_given) {
        unsure(tally, "a message above the documented default, and no configuration");
    } else {
        v = violated(tally, end->session, "%zu octets of a message went to the back end, the limit is %llu",
                     body.n - block, (unsigned long long)limit);
        show_command(v, SOUTH, &end->dialogue->command[x->data], "the message");
    }
}

/* North: what is above the limit is not accepted, and not read for ever. Behind the limit the gateway reads on to
 * find the real end, and the kernel's buffers take more; what is far above both was read without bound. */
static void judge_north_size(const struct trial *t, const struct pair *p, struct tally *tally)
{
    enum { KERNEL = 16 << 20 };
    const struct message *m = &p->north->message;
    uint64_t limit = t->settings.max_message;
    struct violation *v;

    if (limit == 0 || !t->settings.is_given)
        return;
    if (m->is_ended && m->body.n > limit && reply_is(m->reply, 2))
        v = violated(tally, p->session, "a message of %zu octets was accepted, the limit is %llu", m->body.n,
                     (unsigned long long)limit);
    else if (m->raw.n / 4 > limit && m->raw.n - 4 * limit > KERNEL)
        v = violated(tally, p->session, "%zu octets of a message were read, the limit is %llu", m->raw.n,
                     (unsigned long long)limit);
    else {
        held(tally);
        return;
    }
    show_command(v, NORTH, &p->session->north->command[p->north->data], "the message");
    if (m->reply != NULL)
        show_reply(v, NORTH, m->reply, NULL);
}

static void judge_sizes(const struct trial *t, struct tally *tally)
{
    each_message(t, tally, judge_south_size);
    each_pair(t, tally, judge_north_size);
}

/* clang-format off */
const struct invariant framing_invariants[] = {
    { .id = "F-1", .name = "no bare CR, bare LF or NUL in a message to the back end",
      .judge = judge_bare_octets, .needs_south = true },
    { .id = "F-2", .name = "a message to the back end has one end, for lenient parsers too",
      .judge = judge_ends, .needs_south = true },
    { .id = "F-3", .name = "a message with bare CR, bare LF or NUL is refused, or repaired where that is configured",
      .judge = judge_unclean_messages, .needs_north = true, .needs_south = true },
    { .id = "F-4", .name = "a message with a false end has one reply, after its real end",
      .judge = judge_fake_ends, .needs_north = true },
    { .id = "F-5", .name = "the gateway's fields are one block in front of the client's first octet",
      .judge = judge_fronts, .needs_south = true },
    { .id = "F-6", .name = "lines are not split, and none becomes longer than 998 octets",
      .judge = judge_lengths, .needs_north = true, .needs_south = true },
    { .id = "F-7", .name = "every reply to the client is well-formed",
      .judge = judge_reply_lines, .needs_north = true },
    { .id = "F-8", .name = "a broken reply of the back end is its failure, never passed on",
      .judge = judge_back_end_replies, .needs_south = true },
    { .id = "F-9", .name = "messages above the limit are neither accepted nor passed on",
      .judge = judge_sizes, .needs_south = true },
    { .id = NULL },
};
/* clang-format on */
