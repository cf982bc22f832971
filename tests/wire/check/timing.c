/* ORACLE 5, time: how long the gateway waits, for whom, and that it does not hang up on those who are at work.
 *
 * Clocks are those of the captures, taken on the gateway's host or next to it; a limit is kept when it is kept to a
 * second, or to 2 % of a long one. A wait begins where the gateway's clock begins: behind its own last reply, or behind
 * a command that the back end has got. A wait that was still on when the capture ended is judged by what was seen of
 * it.
 *
 * Not judged here, because no capture shows it: blocks of a message that the back end does not take (Z-3, 180 s: a
 * window that stays shut looks the same whoever gave up; tests/scenario/timeouts.txt), the SPF limits of 10 lookups and
 * 2 void ones and the DMARC walk of Z-7 (a query does not say which check it is for; tests/unit/test_spf.c,
 * test_dmarc.c), and the deadlines within one BDAT chunk. */
#include "view.h"

#include <stdlib.h>

static const int64_t second = INT64_C(1000000000);
static const int64_t never = INT64_MAX;
static int64_t tolerated = INT64_C(1000000000); /* of every upper limit: how late is not yet too late */

/* What no configuration may go beyond (Z-3, Z-4, Z-5). */
static const int64_t most_reply = INT64_C(300000000000), most_data = INT64_C(120000000000);
static const int64_t most_end = INT64_C(590000000000), most_greeting = INT64_C(5000000000);

enum { PERCENTILE_FROM = 100 /* sessions: below, p99 says nothing */ };

/* ---- small things ---- */

void timing_tolerate(int64_t ns)
{
    tolerated = ns;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static int64_t slack(int64_t limit)
{
    return greater(tolerated, limit / 50);
}

static bool is_too_long(int64_t time, int64_t limit)
{
    return time > limit + slack(limit);
}

static bool is_too_short(int64_t time, int64_t limit)
{
    return time < limit - greater(second, limit / 50);
}

static int64_t end_of_capture(const struct wire *w)
{
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < w->flows.n; i++)
        last = greater(last, w->flows.connection[i].last_time);
    return last;
}

/* When nothing more could come of a wait, whoever ended it. */
static int64_t end_of_all(const struct connection *c, int64_t capture_end)
{
    return lesser(lesser(stream_end(&c->stream[CLIENT]), stream_end(&c->stream[SERVER])),
                  greater(capture_end, c->last_time));
}

/* Connections of clients that were open at some moment from `from` to `until`. */
static size_t open_between(const struct trial *t, int64_t from, int64_t until)
{
    int64_t end = end_of_capture(&t->north);
    size_t n = 0;

    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d != NULL && d->connection->accepted_time <= until && end_of_all(d->connection, end) >= from)
            n++;
    }
    return n;
}

/* The least time a client may have been given that was told at `now` that it is up: a shorter one where the captures show that
 * sessions ran short. The gateway looks once in a while, and so may be late with it.
 */
static int64_t least_patience(const struct trial *t, int64_t now)
{
    const struct settings *set = &t->settings;
    size_t open = set->stress > 0 ? open_between(t, now - 2 * second, now) : 0;
    bool ran_short = set->stress > 0 && open * 100 >= (size_t)set->stress * set->max_sessions;

    return ran_short ? lesser(set->command_timeout, set->stress_timeout) : set->command_timeout;
}

/* True when silence means silence. Where not, that is said once; what TLS without keys hides is not looked at. */
static bool is_clear(struct tally *y, const struct dialogue *d)
{
    if (d->is_readable)
        return true;
    if (!view_is_hidden(d))
        unsure(y, d->doubt != NULL ? d->doubt : "the conversation cannot be read to its end");
    return false;
}

static bool answers_something(const struct dialogue *d, const struct reply *r)
{
    for (size_t i = 0; i < d->command_n; i++)
        if (d->command[i].reply == r && d->command[i].is_complete)
            return true;
    for (size_t i = 0; i < d->transaction_n; i++)
        if (d->transaction[i].message.reply == r && d->transaction[i].message.is_ended)
            return true;
    return r == d->greeting;
}

/* 421 4.4.2 as the last word, not in answer to anything: the client's time was up. */
static const struct reply *timeout_of(const struct dialogue *d)
{
    const struct reply *last = d->reply_n > 0 ? d->reply[d->reply_n - 1] : NULL;

    if (last == NULL || last->code != 421 || !slice_equal(slice_of(last->enhanced), SLICE("4.4.2")))
        return NULL;
    return answers_something(d, last) ? NULL : last;
}

static const struct transaction *transaction_of(const struct dialogue *d, const struct command *c)
{
    return c->transaction < d->transaction_n ? &d->transaction[c->transaction] : NULL;
}

static bool opens_message(const struct command *c)
{
    return c->verb == VERB_DATA && c->reply != NULL && c->reply->code == 354;
}

/* ---- Z-1, Z-2: waiting for the client ---- */

/* The gateway has answered everything and waits for a command. */
struct wait {
    int64_t from;
    const struct reply *behind; /* its last word */
    const struct command *next; /* NULL: not an octet of one came */
    bool is_over;               /* the whole command came, at `until` */
    int64_t until;
};

/* Where the clock starts behind command `c`; never: there is no wait for a command behind it. */
static int64_t clock_behind(const struct dialogue *d, const struct command *c, const struct reply **reply)
{
    const struct transaction *x = transaction_of(d, c);

    *reply = c->reply;
    if (c->reply == NULL || c->reply->code == 421 || c->verb == VERB_QUIT)
        return never;
    if (c->verb == VERB_STARTTLS && c->reply->code == 220)
        return d->tls != NULL && d->tls->is_established && d->tls->is_decrypted ? d->tls->established_time : never;
    if (!opens_message(c))
        return c->reply->place.last_time;
    *reply = x != NULL && x->has_message && x->message.is_ended ? x->message.reply : NULL;
    return *reply != NULL && (*reply)->code != 421 ? (*reply)->place.last_time : never;
}

/* The wait for command `i` of the dialogue (one behind the last: for what never came). */
static bool wait_for(const struct dialogue *d, size_t i, struct wait *w)
{
    *w = (struct wait){ .from = never };
    if (i > 0)
        w->from = clock_behind(d, &d->command[i - 1], &w->behind);
    else if (d->greeting != NULL && d->greeting->code == 220)
        *w = (struct wait){ .from = d->greeting->place.last_time, .behind = d->greeting };
    if (w->from == never)
        return false;
    w->next = i < d->command_n ? &d->command[i] : NULL;
    w->is_over = w->next != NULL && w->next->is_complete;
    w->until = w->is_over ? w->next->place.last_time : never;
    return w->until > w->from; /* else it was there already: pipelining */
}

/* A request that comes in pieces is Z-2's, silence Z-1's. */
static bool is_in_pieces(const struct wait *w, int64_t until)
{
    return w->next != NULL && w->next->place.first_time + second < until;
}

static void tell_wait(struct tally *y, const struct session *s, const struct wait *w, const struct reply *last,
                      const char *what, int64_t took, int64_t limit)
{
    struct violation *v = violated(y, s, "%s %.1f s after the gateway's last reply; the limit is %.1f s", what,
                                   seconds(took), seconds(limit));

    show_reply(v, NORTH, w->behind, "the clock starts");
    show_command(v, NORTH, w->next, "what came of the next command");
    show_reply(v, NORTH, last, "the end");
}

/* The wait that no complete command ended. */
static void judge_last_wait(const struct trial *t, struct tally *y, const struct session *s, const struct wait *w,
                            int64_t gone)
{
    const struct dialogue *d = s->north;
    const struct reply *last = timeout_of(d);
    int64_t limit = t->settings.command_timeout;
    int64_t took = (last != NULL ? last->place.first_time : gone) - w->from;
    bool is_ours = stream_end(&d->connection->stream[SERVER]) == gone;

    if (is_too_long(took, limit))
        tell_wait(y, s, w, last, "still waiting", took, limit);
    else if (last != NULL && is_too_short(took, limit) && is_too_short(took, least_patience(t, last->place.first_time)))
        tell_wait(y, s, w, last, "timed out", took, limit);
    else if (last == NULL && is_ours && !is_too_short(took, limit) && d->reply[d->reply_n - 1]->code != 421)
        tell_wait(y, s, w, last, "closed without 421 4.4.2", took, limit);
    else
        held(y);
}

static void judge_waits_of(const struct trial *t, struct tally *y, const struct session *s, bool in_pieces,
                           int64_t capture_end)
{
    const struct dialogue *d = s->north;
    int64_t limit = t->settings.command_timeout, gone = end_of_all(d->connection, capture_end);
    const struct reply *last = timeout_of(d);
    struct wait w;

    for (size_t i = 0; i <= d->command_n; i++) {
        if (!wait_for(d, i, &w))
            continue;
        int64_t until = w.is_over ? w.until : last != NULL ? last->place.first_time : gone;
        if (is_in_pieces(&w, until) != in_pieces)
            continue;
        if (!w.is_over && is_clear(y, d))
            judge_last_wait(t, y, s, &w, gone);
        else if (w.is_over && is_too_long(until - w.from, limit))
            tell_wait(y, s, &w, NULL, "a command was still taken", until - w.from, limit);
        else if (w.is_over)
            held(y);
        if (!w.is_over)
            return;
    }
}

static void judge_waits(const struct trial *t, struct tally *y, bool in_pieces)
{
    int64_t end = end_of_capture(&t->north);

    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north != NULL)
            judge_waits_of(t, y, &t->session[i], in_pieces, end);
}

static void judge_idle(const struct trial *t, struct tally *y)
{
    judge_waits(t, y, false);
}

/* ---- Z-2, Z-8: the time a message has ---- */

/* Each octet buys its time at min_data_rate, and nobody saves up more than data_cap. */
struct pace {
    int64_t deadline; /* of what was seen last */
    int64_t late;     /* the worst: how long behind its deadline something still came */
};

static const struct stream *octets_of(const struct dialogue *d, const struct place *p)
{
    return p->in_tls && d->tls != NULL ? &d->tls->plain[CLIENT] : &d->connection->stream[CLIENT];
}

static struct pace pace_of(const struct settings *set, const struct dialogue *d, const struct transaction *x)
{
    const struct message *m = &x->message;
    const struct stream *s = octets_of(d, &m->place);
    const struct reply *go = d->command[x->data].reply;
    struct pace pace = { .deadline = go->place.last_time + set->command_timeout, .late = 0 };
    size_t at = m->place.at, end = m->is_ended ? m->end.at : s->octets.n;
    const struct span *span = at < end ? stream_span(s, at) : NULL;

    while (span != NULL && at < end) {
        bool is_last = span + 1 == s->span + s->span_n;
        size_t next = is_last || span[1].at > end ? end : span[1].at;
        pace.late = greater(pace.late, span->time - pace.deadline);
        pace.deadline += (int64_t)((uint64_t)(next - at) * (uint64_t)second / set->min_data_rate);
        pace.deadline = lesser(pace.deadline, span->time + set->data_timeout);
        at = next;
        span = is_last ? NULL : span + 1;
    }
    return pace;
}

static bool has_pace(const struct trial *t, const struct dialogue *d, const struct transaction *x)
{
    return x->has_message && !x->message.by_bdat && x->data < d->command_n && opens_message(&d->command[x->data]) &&
           t->settings.min_data_rate > 0;
}

/* While a message streams, the gateway reads as fast as the back end takes it, and the client's time rests. */
static bool is_streamed(const struct pair *p)
{
    const struct message *north = &p->north->message;

    if (p->south == NULL || !p->south->has_message)
        return false;
    return !north->is_ended || p->south->message.place.first_time < north->end.last_time;
}

static void judge_message_time(const struct trial *t, struct tally *y, const struct pair *p, const struct reply *last,
                               int64_t gone)
{
    const struct dialogue *d = p->session->north;
    const struct message *m = &p->north->message;
    struct pace pace = pace_of(&t->settings, d, p->north);
    int64_t late = pace.late;

    if (!m->is_ended && !is_clear(y, d))
        return;
    if (!m->is_ended)
        late = greater(late, (last != NULL ? last->place.first_time : gone) - pace.deadline);
    late -= t->settings.verdict_timeout; /* a rest for the answers that its header waits for */
    if (late <= slack(t->settings.command_timeout)) {
        held(y);
    } else if (is_streamed(p) || !t->south.is_present) {
        unsure(y, "the message may have waited for the back end");
    } else {
        struct violation *v =
            violated(y, p->session, "a message was waited for %.1f s behind its deadline", seconds(late));
        show_command(v, NORTH, &d->command[p->north->data], NULL);
        show_octets(v, NORTH, true, &m->place, m->raw, "at less than min_data_rate");
        if (!m->is_ended)
            show_reply(v, NORTH, last, "the end");
    }
}

static void judge_requests(const struct trial *t, struct tally *y)
{
    int64_t end = end_of_capture(&t->north);

    judge_waits(t, y, true);
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        const struct reply *last = s->pair_n > 0 ? timeout_of(s->north) : NULL;
        for (size_t k = 0; k < s->pair_n; k++)
            if (has_pace(t, s->north, s->pair[k].north))
                judge_message_time(t, y, &s->pair[k], last, end_of_all(s->north->connection, end));
    }
}

/* The message under way at the end, NULL none. */
static const struct transaction *open_message(const struct dialogue *d)
{
    const struct transaction *x = d->transaction_n > 0 ? &d->transaction[d->transaction_n - 1] : NULL;

    return x != NULL && x->has_message && !x->message.is_ended ? x : NULL;
}

/* The last time the client gave a whole command, or the gateway answered one. */
static int64_t last_activity(const struct dialogue *d, int64_t before)
{
    int64_t last = d->connection->accepted_time;

    for (size_t i = d->command_n; i > 0; i--) {
        const struct command *c = &d->command[i - 1];
        if (c->is_complete && c->place.last_time < before)
            last = greater(last, c->place.last_time);
        if (c->reply != NULL && c->reply->place.last_time < before)
            return greater(last, c->reply->place.last_time);
    }
    return last;
}

/* How much time the client still had when it was told that its time is up; negative: none. */
static int64_t cut_short(const struct trial *t, const struct dialogue *d, const struct reply *last)
{
    const struct transaction *x = open_message(d);
    int64_t limit = t->settings.command_timeout, now = last->place.first_time;

    if (x == NULL && is_too_short(now - last_activity(d, now), limit))
        limit = least_patience(t, now);
    if (x != NULL && has_pace(t, d, x))
        return pace_of(&t->settings, d, x).deadline - now;
    if (x != NULL)
        limit = lesser(limit, t->settings.data_timeout);
    if (x == NULL && is_too_short(now - d->connection->accepted_time, limit))
        return 0; /* it never was active for long: Z-1 */
    return last_activity(d, now) + limit - now;
}

static void judge_active(const struct trial *t, struct tally *y)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        if (s->north == NULL || s->north->command_n == 0 || !is_clear(y, s->north))
            continue;
        const struct reply *last = timeout_of(s->north);
        int64_t left = last != NULL ? cut_short(t, s->north, last) : 0;
        if (left <= slack(t->settings.command_timeout)) {
            held(y);
            continue;
        }
        struct violation *v =
            violated(y, s, "an active session was timed out %.1f s before its time was up", seconds(left));
        show_command(v, NORTH, &s->north->command[s->north->command_n - 1], "the client's last command");
        show_reply(v, NORTH, last, NULL);
    }
}

/* ---- Z-3: waiting for the back end ---- */

/* What the gateway waits for, and for how long at most; 0: not judged. */
static int64_t limit_of(const struct settings *set, const struct command *c)
{
    switch (c->verb) {
    case VERB_EHLO:
    case VERB_HELO:
    case VERB_LHLO: return lesser(most_reply, greater(set->greeting_timeout, set->backend_timeout));
    case VERB_DATA: return most_data;
    case VERB_BDAT: return 0; /* its octets come first: judged by the end of the message */
    default: return lesser(most_reply, set->backend_timeout);
    }
}

struct south {
    const struct dialogue *dialogue;
    int64_t gone; /* nothing more could come */
};

/* `from` up to `reply`, or as long as it was waited for. */
static void judge_south_wait(struct tally *y, const struct south *s, int64_t from, const struct reply *reply,
                             int64_t limit, const struct command *c, const char *what)
{
    const struct dialogue *d = s->dialogue;
    int64_t given_up = stream_end(&d->connection->stream[CLIENT]);

    if (reply == NULL && !is_clear(y, d))
        return;
    int64_t until = reply != NULL ? lesser(reply->place.last_time, given_up) : s->gone;
    if (!is_too_long(until - from, limit)) {
        held(y);
        return;
    }
    struct violation *v = violated(y, NULL, "the back end was waited for %.1f s, for %s; the limit is %.1f s",
                                   seconds(until - from), what, seconds(limit));
    show_command(v, SOUTH, c, NULL);
    show_reply(v, SOUTH, reply, "its reply");
}

static void judge_connect(const struct trial *t, struct tally *y, const struct south *s)
{
    const struct connection *c = s->dialogue->connection;
    int64_t limit = t->settings.connect_timeout, took = (c->is_refused ? c->last_time : c->accepted_time) - c->time;

    if (!is_too_long(took, limit))
        held(y);
    else
        violated(y, NULL, "a connection to the back end was tried for %.1f s from frame %u on; the limit is %.1f s",
                 seconds(took), (unsigned)c->frame, seconds(limit));
}

static void judge_commands_south(const struct trial *t, struct tally *y, const struct south *s)
{
    const struct dialogue *d = s->dialogue;
    int64_t before = d->greeting != NULL ? d->greeting->place.last_time : INT64_MIN;

    for (size_t i = 0; i < d->command_n; i++) {
        const struct command *c = &d->command[i];
        const struct transaction *x = transaction_of(d, c);
        int64_t limit = limit_of(&t->settings, c);

        if (c->is_complete && limit > 0)
            judge_south_wait(y, s, greater(before, c->place.last_time), c->reply, limit, c, verb_name(c->verb));
        if (c->reply == NULL)
            return; /* the rest waits behind it */
        before = greater(before, c->reply->place.last_time);
        if ((opens_message(c) || c->verb == VERB_BDAT) && x != NULL && x->data == i && x->message.is_ended) {
            limit = lesser(most_end, t->settings.backend_end_timeout);
            judge_south_wait(y, s, greater(before, x->message.end.last_time), x->message.reply, limit, c,
                             "its answer to the end of the message");
            if (x->message.reply != NULL)
                before = greater(before, x->message.reply->place.last_time);
        }
    }
}

static void judge_south(const struct trial *t, struct tally *y)
{
    int64_t end = end_of_capture(&t->south);

    for (size_t i = 0; i < t->south.flows.n; i++) {
        const struct dialogue *d = &t->south.dialogue[i];
        const struct south s = { d, end_of_all(d->connection, end) };

        if (!d->connection->has_start && !d->connection->is_refused) {
            is_clear(y, d);
            continue;
        }
        judge_connect(t, y, &s);
        if (d->connection->is_refused)
            continue;
        if (!d->is_implicit_tls)
            judge_south_wait(y, &s, d->connection->accepted_time, d->greeting,
                             lesser(most_reply, t->settings.greeting_timeout), NULL, "its greeting");
        judge_commands_south(t, y, &s);
    }
}

/* ---- Z-4: the answer comes while the client is there ---- */

static void judge_budget_of(struct tally *y, const struct pair *p, int64_t gone)
{
    const struct dialogue *d = p->session->north;
    const struct message *m = &p->north->message;
    int64_t took = (m->reply != NULL ? m->reply->place.last_time : gone) - m->end.last_time;

    if (m->reply == NULL && !is_clear(y, d))
        return;
    if (took <= most_end + tolerated) {
        held(y);
        return;
    }
    struct violation *v =
        violated(y, p->session, "%s %.1f s after the end of the message; the client gives up after 600 s",
                 m->reply != NULL ? "the reply came" : "no reply came", seconds(took));
    show_octets(v, NORTH, true, &m->end, SLICE("\r\n.\r\n"), "the end of the message");
    show_reply(v, NORTH, m->reply, NULL);
}

static void judge_budget(const struct trial *t, struct tally *y)
{
    int64_t end = end_of_capture(&t->north);

    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        for (size_t k = 0; k < s->pair_n; k++)
            if (s->pair[k].north->has_message && s->pair[k].north->message.is_ended)
                judge_budget_of(y, &s->pair[k], end_of_all(s->north->connection, end));
    }
}

/* ---- Z-5: the greeting ---- */

/* When the gateway could speak; never: it could not, or it cannot be seen. */
static int64_t greetable_from(const struct dialogue *d)
{
    const struct connection *c = d->connection;

    if (!c->has_start || c->is_refused)
        return never;
    if (!d->is_implicit_tls)
        return c->accepted_time;
    return d->tls != NULL && d->tls->is_decrypted && d->tls->is_established ? d->tls->established_time : never;
}

static int by_length(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void judge_percentile(struct tally *y, int64_t *took, size_t n)
{
    if (n < PERCENTILE_FROM)
        return;
    qsort(took, n, sizeof *took, by_length);
    int64_t p99 = took[n - 1 - n / 100];
    if (p99 <= tolerated)
        held(y);
    else
        violated(y, NULL, "one greeting of a hundred took longer than %.2f s, of %zu sessions; the limit is %.0f s",
                 seconds(p99), n, seconds(tolerated));
}

/* Behind a balancer the gateway waits for a PROXY header before it speaks: its time is not ours. */
static void judge_greeting_of(struct tally *y, const struct session *s, int64_t took)
{
    if (s->north->greeting == NULL && !is_clear(y, s->north))
        return;
    if (took <= most_greeting + tolerated || s->north->proxy_header.n > 0)
        held(y);
    else
        show_reply(violated(y, s, "%s %.1f s after the connection was accepted; the limit is 5 s",
                            s->north->greeting != NULL ? "the greeting came" : "no greeting", seconds(took)),
                   NORTH, s->north->greeting, NULL);
}

static void judge_greeting(const struct trial *t, struct tally *y)
{
    int64_t *took = fresh(t->session_n * sizeof *took), end = end_of_capture(&t->north);
    size_t n = 0;

    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        int64_t from = s->north != NULL ? greetable_from(s->north) : never;

        if (from == never)
            continue;
        int64_t gone = end_of_all(s->north->connection, end);
        const struct reply *greeting = s->north->greeting;
        int64_t this = (greeting != NULL ? greeting->place.first_time : gone) - from;
        judge_greeting_of(y, s, this);
        if (greeting != NULL && s->north->proxy_header.n == 0)
            took[n++] = this;
    }
    judge_percentile(y, took, n);
    free(took);
}

/* ---- Z-6: the handshake ---- */

static int64_t handshake_from(const struct dialogue *d)
{
    if (d->is_implicit_tls)
        return d->connection->has_start ? d->connection->accepted_time : never;
    if (d->starttls >= d->command_n || d->command[d->starttls].reply == NULL)
        return never;
    return d->command[d->starttls].reply->place.last_time;
}

/* Done, or given up with an alert. */
static int64_t handshake_until(const struct dialogue *d, int64_t gone)
{
    int64_t until = gone;

    if (d->tls == NULL)
        return until;
    if (d->tls->is_established)
        until = lesser(until, d->tls->established_time);
    for (size_t i = 0; i < d->tls->alert_n; i++)
        if (d->tls->alert[i].by == SERVER)
            until = lesser(until, d->tls->alert[i].time);
    return until;
}

static void judge_handshake(const struct trial *t, struct tally *y)
{
    int64_t limit = t->settings.handshake_timeout, end = end_of_capture(&t->north);

    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        int64_t from = s->north != NULL ? handshake_from(s->north) : never;

        if (from == never)
            continue;
        const struct connection *c = s->north->connection;
        int64_t took = handshake_until(s->north, end_of_all(c, end)) - from;
        if (c->doubt != NULL && is_too_long(took, limit))
            unsure(y, c->doubt);
        else if (is_too_long(took, limit))
            violated(y, s,
                     "half a handshake was waited for %.1f s, on the connection that begins in frame %u; the limit is "
                     "%.1f s",
                     seconds(took), (unsigned)c->frame, seconds(limit));
        else
            held(y);
    }
}

/* ---- Z-7: the policy's time ---- */

/* A time in which the gateway waited for the client's good: for the back end, or with a request in hand. */
struct stretch {
    int64_t from, to;
};

struct stretches {
    struct stretch *stretch;
    size_t n;
};

static void add_stretch(struct stretches *a, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    a->stretch = array_grow(a->stretch, a->n, sizeof *a->stretch);
    a->stretch[a->n++] = (struct stretch){ from, to };
}

static int by_start(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

/* Puts those together that touch. */
static void merge(struct stretches *a)
{
    size_t n = 0;

    if (a->n == 0)
        return;
    qsort(a->stretch, a->n, sizeof *a->stretch, by_start);
    for (size_t i = 1; i < a->n; i++)
        if (a->stretch[i].from <= a->stretch[n].to)
            a->stretch[n].to = greater(a->stretch[n].to, a->stretch[i].to);
        else
            a->stretch[++n] = a->stretch[i];
    a->n = n + 1;
}

static int64_t reply_time(const struct reply *r, int64_t otherwise)
{
    return r != NULL ? r->place.last_time : otherwise;
}

/* While the back end had something to answer, or to take; all of the time when it cannot be read. */
static void add_south(struct stretches *a, const struct dialogue *d)
{
    const struct connection *c = d->connection;
    int64_t gone = lesser(lesser(stream_end(&c->stream[CLIENT]), stream_end(&c->stream[SERVER])), c->last_time);

    add_stretch(a, c->time, d->is_readable ? reply_time(d->greeting, gone) : gone);
    for (size_t i = 0; i < d->command_n; i++)
        add_stretch(a, d->command[i].place.first_time, reply_time(d->command[i].reply, gone));
    for (size_t i = 0; i < d->transaction_n; i++)
        if (d->transaction[i].has_message)
            add_stretch(a, d->transaction[i].message.place.first_time,
                        reply_time(d->transaction[i].message.reply, gone));
}

/* Connections that came to nothing are joined to no session, but somebody may have waited for them. Nobody says when
 * the last of several SYNs was given up. */
static struct stretches idle_south(const struct trial *t)
{
    struct stretches a = { 0 };

    for (size_t i = 0; i < t->south.flows.n; i++) {
        const struct dialogue *d = &t->south.dialogue[i];
        const struct connection *c = d->connection;
        int64_t more = c->is_refused && !c->stream[SERVER].is_reset ? t->settings.connect_timeout + tolerated : 0;
        if (d->transaction_n == 0)
            add_stretch(&a, c->time, greater(c->last_time, c->time + more));
    }
    merge(&a);
    return a;
}

/* The first stretch that ends behind `time`. */
static size_t first_behind(const struct stretches *a, int64_t time)
{
    size_t low = 0, high = a->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->stretch[middle].to <= time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What of the waits is not in `others`. */
static int64_t own_time(const struct stretches *waits, const struct stretches *others)
{
    int64_t own = 0;

    for (size_t i = 0; i < waits->n; i++) {
        struct stretch wait = waits->stretch[i];
        own += wait.to - wait.from;
        for (size_t k = first_behind(others, wait.from); k < others->n && others->stretch[k].from < wait.to; k++)
            own -= lesser(others->stretch[k].to, wait.to) - greater(others->stretch[k].from, wait.from);
    }
    return own;
}

/* The client's requests of one transaction, each until its answer. Pipelined ones overlap. */
static void add_requests(struct stretches *a, const struct dialogue *d, const struct transaction *x)
{
    size_t this = d->command[x->mail].transaction;
    size_t end = this < d->transaction_n - 1 ? d->transaction[this + 1].mail : d->command_n;

    for (size_t i = x->mail; i < end && i < d->command_n; i++) {
        const struct command *c = &d->command[i];
        if (c->transaction == this && c->is_complete && c->reply != NULL && c->verb != VERB_BDAT)
            add_stretch(a, c->place.last_time, c->reply->place.first_time);
    }
    if (x->has_message && x->message.is_ended && x->message.reply != NULL)
        add_stretch(a, x->message.end.last_time, x->message.reply->place.first_time);
    merge(a);
}

/* What the gateway may have waited for: the session's own connections south, and all that came to nothing. */
struct south_time {
    struct stretches own, idle;
    bool is_hidden;
};

static void judge_policy_of(const struct trial *t, struct tally *y, const struct pair *p,
                            const struct south_time *south)
{
    const struct session *s = p->session;
    struct stretches requests = { 0 };
    int64_t limit = t->settings.verdict_timeout;

    add_requests(&requests, s->north, p->north);
    int64_t spent = own_time(&requests, &south->own), least = spent;
    if (is_too_long(
            spent,
            limit)) /* idle ones may overlap the session's: then this is less than it was, which is only a doubt */
        least -= own_time(&requests, &(struct stretches){ 0 }) - own_time(&requests, &south->idle);
    free(requests.stretch);
    if (!is_too_long(spent, limit)) {
        held(y);
    } else if (!t->south.is_present || s->doubt != NULL || t->orphan_n > 0 || t->unexplained_n > 0 ||
               south->is_hidden || !is_too_long(least, limit)) {
        unsure(y, "the back end may have had a part in the time that a transaction took");
    } else {
        struct violation *v =
            violated(y, s, "the policy held a client up for %.1f s in one transaction; the limit is %.1f s",
                     seconds(spent), seconds(limit));
        show_command(v, NORTH, &s->north->command[p->north->mail], NULL);
        show_reply(v, NORTH, p->north->message.reply, NULL);
    }
}

static void judge_policy(const struct trial *t, struct tally *y)
{
    struct south_time south = { .idle = idle_south(t) };

    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        south.own = (struct stretches){ 0 };
        south.is_hidden = false;
        for (size_t k = 0; s->pair_n > 0 && k < s->south_n; k++) {
            add_south(&south.own, s->south[k]);
            south.is_hidden = south.is_hidden || !s->south[k]->is_readable;
        }
        merge(&south.own);
        for (size_t k = 0; k < s->pair_n; k++)
            judge_policy_of(t, y, &s->pair[k], &south);
        free(south.own.stretch);
    }
    free(south.idle.stretch);
}

/* ---- */

const struct invariant timing_invariants[] = {
    { .id = "Z-1",
      .name = "an idle client is told 421 4.4.2 at its timeout, never earlier",
      .judge = judge_idle,
      .needs_north = true },
    { .id = "Z-2",
      .name = "a request has one deadline, however slowly it comes",
      .judge = judge_requests,
      .needs_north = true },
    { .id = "Z-3", .name = "the back end is waited for within bounds", .judge = judge_south, .needs_south = true },
    { .id = "Z-4", .name = "a message is answered within 590 s", .judge = judge_budget, .needs_north = true },
    { .id = "Z-5",
      .name = "the greeting comes within 1 s for 99 of 100, and within 5 s",
      .judge = judge_greeting,
      .needs_north = true },
    { .id = "Z-6", .name = "a TLS handshake is over in time", .judge = judge_handshake, .needs_north = true },
    { .id = "Z-7",
      .name = "the policy's questions hold a transaction up for no longer than allowed",
      .judge = judge_policy,
      .needs_north = true },
    { .id = "Z-8", .name = "an active session is not timed out", .judge = judge_active, .needs_north = true },
    { .id = NULL },
};
