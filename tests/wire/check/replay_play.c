/* Plays a script against a gateway, turn by turn. See replay.h.
 *
 * The gateway may answer otherwise than the recorded server did; the client goes on as if it did not look, except
 * where that would say something else than what was recorded: no message behind a DATA that was refused, no secrets
 * behind a refused AUTH, and no commands into a message or a handshake that the gateway expects and the recording
 * does not have. */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LONGEST_REPLY = 1 << 20 };

struct player {
    const struct script *script;
    struct wire *wire;
    const struct play_options *options;
    struct played *played;
    size_t read;   /* octets of the wire that were replies */
    size_t answer; /* the item that the next reply answers */
    size_t sent;   /* octets of the script */
};

static bool stop(struct player *p, const char *why)
{
    if (!p->played->stopped)
        p->played->stopped = why;
    return false;
}

static int64_t deadline_of(const struct player *p)
{
    return wire_now() + p->options->timeout_ms;
}

/* --- What the gateway says --- */

static void tell(const struct player *p, char direction, struct slice octets)
{
    enum { LONGEST = 200 };
    struct buffer line = { 0 };

    if (!p->options->is_verbose)
        return;
    while (octets.n && (octets.p[octets.n - 1] == '\n' || octets.p[octets.n - 1] == '\r'))
        octets.n--;
    buffer_add_quoted(&line, octets, LONGEST);
    printf("  %c %.*s\n", direction, (int)line.n, (const char *)line.p);
    buffer_free(&line);
}

/* Whether the gateway now expects what the recording does not have. */
static const char *mismatch(const struct player *p, size_t i, int code)
{
    const struct script *s = p->script;
    enum item_kind behind = i + 1 < s->item_n ? s->item[i + 1].kind : ITEM_COMMAND;
    struct slice line = slice_part(buffer_slice(&s->octets), s->item[i].at, s->item[i].end);

    if (s->item[i].kind != ITEM_COMMAND && s->item[i].kind != ITEM_ANSWER)
        return NULL;
    if (code == 354 && behind != ITEM_BODY)
        return "the gateway waits for a message that the recording does not have";
    if (code == 334 && behind != ITEM_ANSWER)
        return "the gateway waits for a line of AUTH that the recording does not have";
    if (code == 220 && line.n >= 8 && slice_equal_nocase(slice_part(line, 0, 8), SLICE("STARTTLS")))
        return "the gateway begins TLS, which the recorded server did not";
    return NULL;
}

/* The next item that was sent and has no reply. */
static bool find_unanswered(struct player *p)
{
    const struct outcome *o = p->played->outcome;

    while (p->answer < p->script->item_n && o[p->answer].is_skipped)
        p->answer++;
    return p->answer < p->script->item_n && o[p->answer].is_sent;
}

static bool hear(struct player *p, int code)
{
    p->played->replies++;
    if (!find_unanswered(p)) {
        p->played->unasked++;
        p->played->last_unasked = code;
        return true;
    }
    size_t i = p->answer++;
    p->played->outcome[i].is_answered = true;
    p->played->outcome[i].code = code;
    const char *why = mismatch(p, i, code);
    return why ? stop(p, why) : true;
}

/* Takes the replies that are complete. */
static bool hear_all(struct player *p)
{
    for (;;) {
        size_t before = p->read;
        int code = reply_next(buffer_slice(&p->wire->in), &p->read);
        if (code < 0)
            return p->wire->in.n - p->read < LONGEST_REPLY || stop(p, "a reply without end");
        tell(p, '<', slice_part(buffer_slice(&p->wire->in), before, p->read));
        if (!hear(p, code))
            return false;
    }
}

/* Until the first `n` items have their replies, as far as they were sent completely. */
static bool await(struct player *p, size_t n)
{
    int64_t deadline = deadline_of(p);

    for (;;) {
        size_t heard = p->played->replies;
        if (!hear_all(p))
            return false;
        if (!find_unanswered(p) || p->answer >= n)
            return true;
        if (p->played->replies > heard)
            deadline = deadline_of(p);
        if (!wire_read(p->wire, deadline))
            return hear_all(p) && stop(p, p->wire->error);
    }
}

/* --- What we say --- */

static void tell_item(const struct player *p, const struct item *item)
{
    struct slice octets = buffer_slice(&p->script->octets);

    switch (item->kind) {
    case ITEM_GREETING: break; /* nobody says it */
    case ITEM_BODY:
        if (p->options->is_verbose)
            printf("  > (a message of %zu octets)\n", item->end - item->at);
        break;
    case ITEM_CHUNK: tell(p, '>', slice_part(octets, item->at, item->payload)); break;
    default: tell(p, '>', slice_part(octets, item->at, item->end));
    }
}

/* Marks what is sent completely now. Only items with an end get an answer. */
static void mark_sent(struct player *p, size_t *item)
{
    const struct script *s = p->script;

    for (; *item < s->item_n && s->item[*item].end <= p->sent; ++*item) {
        struct outcome *o = &p->played->outcome[*item];
        if (o->is_skipped || !s->item[*item].is_complete)
            continue;
        o->is_sent = true;
        tell_item(p, &s->item[*item]);
    }
}

static void rest(int ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

/* Octets from p->sent up to `to`: in one send, or each alone. */
static bool send_up_to(struct player *p, size_t to)
{
    while (p->sent < to) {
        size_t end = p->options->pieces == PIECES_OCTETS ? p->sent + 1 : to;
        struct slice s = slice_part(buffer_slice(&p->script->octets), p->sent, end);
        if (p->options->pause_ms)
            rest(p->options->pause_ms);
        if (!wire_send(p->wire, s, deadline_of(p)))
            return hear_all(p) && stop(p, p->wire->error);
        p->sent = end;
    }
    return true;
}

/* Messages and lines of AUTH are only for those who asked for them. */
static bool needs_go_ahead(const struct player *p, size_t item)
{
    enum item_kind kind = p->script->item[item].kind;
    return (kind == ITEM_BODY && !p->options->is_blind) || kind == ITEM_ANSWER;
}

static bool has_go_ahead(const struct player *p, size_t item)
{
    const struct outcome *before = &p->played->outcome[item - 1]; /* never the first one: kind_behind() */
    return before->code / 100 == 3;
}

/* The octets up to `to`, as far as the gateway wants them. `item` is the first one that is not sent completely. */
static bool say(struct player *p, size_t *item, size_t to)
{
    const struct script *s = p->script;

    while (p->sent < to) {
        size_t end = to;
        if (needs_go_ahead(p, *item)) {
            if (!await(p, *item))
                return false;
            if (!has_go_ahead(p, *item)) {
                p->played->outcome[*item].is_skipped = true;
                p->sent = s->item[*item].end;
                mark_sent(p, item);
                continue;
            }
            end = s->item[*item].end < to ? s->item[*item].end : to;
        } else { /* all commands of a segment in one send */
            size_t next = *item + 1;
            while (next < s->item_n && s->item[next].at < to && !needs_go_ahead(p, next))
                next++;
            if (next < s->item_n && s->item[next].at < to)
                end = s->item[next].at;
        }
        if (!send_up_to(p, end))
            return false;
        mark_sent(p, item);
    }
    return true;
}

/* Where the octets of one send end: at the next cut, or the next one that has to wait. */
static size_t next_cut(const struct player *p, size_t *cut)
{
    const struct script *s = p->script;
    size_t i = *cut + 1;

    while (p->options->pieces == PIECES_WHOLE && i < s->cut_n && s->cut[i].wait_for <= s->cut[*cut].wait_for)
        i++;
    *cut = i;
    return i < s->cut_n ? s->cut[i].at : s->octets.n;
}

/* The octets of a STARTTLS are not sent when TLS is not wanted: there the recording ends for us, with a QUIT of
 * ours. */
static bool is_left_at_starttls(const struct player *p)
{
    return p->script->has_starttls && !p->options->use_tls;
}

static bool say_all(struct player *p)
{
    const struct script *s = p->script;
    size_t item = 0, end = s->octets.n;

    if (is_left_at_starttls(p))
        end = s->item[s->item_n - 1].at;
    mark_sent(p, &item); /* the greeting is nobody's to send */
    for (size_t cut = 0; cut < s->cut_n && p->sent < end;) {
        if (!await(p, s->cut[cut].wait_for))
            return false;
        size_t to = next_cut(p, &cut);
        if (!say(p, &item, to < end ? to : end))
            return false;
    }
    return await(p, s->end_wait_for);
}

/* Reads what the gateway still says, up to its end. */
static void hear_out(struct player *p)
{
    int64_t deadline = deadline_of(p);

    while (hear_all(p) && wire_read(p->wire, deadline))
        ;
    hear_all(p);
}

static bool begin_tls(struct player *p)
{
    const struct outcome *starttls = &p->played->outcome[p->script->item_n - 1];

    if (starttls->code != 220)
        return stop(p, "the gateway does not begin TLS");
    if (!wire_start_tls(p->wire, p->options->server_name, deadline_of(p)))
        return stop(p, p->wire->error);
    if (p->options->is_verbose)
        printf("  = %s\n", wire_tls_name(p->wire));
    return true;
}

/* QUIT of our own, and what the gateway says to it. */
static void leave(struct player *p)
{
    size_t unasked = p->played->unasked;

    tell(p, '>', SLICE("QUIT"));
    if (wire_send(p->wire, SLICE("QUIT\r\n"), deadline_of(p)))
        hear_out(p);
    p->played->unasked = unasked;
}

void script_quit(struct played *played, const struct script *s, struct wire *w, const struct play_options *options)
{
    struct player p = { .script = s, .wire = w, .options = options, .played = played, .answer = s->item_n };

    leave(&p);
}

bool script_play(struct played *played, const struct script *s, struct wire *w, const struct play_options *options)
{
    struct player p = { .script = s, .wire = w, .options = options, .played = played };

    *played = (struct played){ .outcome = fresh((s->item_n + 1) * sizeof *played->outcome) };
    if (!say_all(&p))
        return false;
    if (s->has_starttls && options->use_tls)
        return begin_tls(&p);
    if (s->has_starttls) {
        leave(&p);
        return stop(&p, "the recording begins TLS here");
    }
    if (!s->is_reset) {
        wire_half_close(w);
        hear_out(&p);
    }
    return true;
}

void played_free(struct played *played)
{
    free(played->outcome);
    *played = (struct played){ 0 };
}
