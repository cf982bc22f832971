/* ORACLE 4, TLS with clients: what STARTTLS does to a session (T-1 to T-4), and the family's table.
 *
 * TLS without keys hides what is said in it, not that it is TLS: records, hellos and alerts in clear are judged all
 * the same, and what would need keys is not looked at. */
#include "encryption.h"

#include <string.h>

#include "view.h"

enum { SHOWN = 200 };

/* ---- evidence and doubt ---- */

void show_wire(struct violation *v, enum wire_name w, const struct dialogue *d, enum side side, size_t at,
               const char *note)
{
    const struct stream *s = &d->connection->stream[side];
    const struct span *span = stream_span(s, at);
    struct place p = { .at = at };

    if (span != NULL) {
        p.first_frame = p.last_frame = span->frame;
        p.first_time = p.last_time = span->time;
    }
    show_octets(v, w, side == CLIENT, &p, slice_part(buffer_slice(&s->octets), at, at + SHOWN), note);
}

void show_hellos(struct violation *v, enum wire_name w, const struct dialogue *d)
{
    show_wire(v, w, d, CLIENT, d->tls->start[CLIENT], "TLS begins");
    if (d->tls->start[SERVER] < d->connection->stream[SERVER].octets.n)
        show_wire(v, w, d, SERVER, d->tls->start[SERVER], "the server's first record");
}

/* Nothing wrong was seen on this connection, as far as the capture goes. */
static void nothing_wrong(const struct dialogue *d, struct tally *tally)
{
    if (view_cloud(d) != NULL)
        unsure(tally, view_cloud(d));
    else
        held(tally);
}

static const struct command *starttls_of(const struct dialogue *d)
{
    return d->starttls != SIZE_MAX ? &d->command[d->starttls] : NULL;
}

static void show_starttls(struct violation *v, const struct dialogue *d)
{
    const struct command *c = starttls_of(d);

    if (c == NULL)
        return; /* implicit */
    show_command(v, NORTH, c, NULL);
    show_reply(v, NORTH, c->reply, "the go-ahead");
}

/* ---- T-1 ---- */

static void judge_records(const struct session *s, struct tally *tally)
{
    const struct dialogue *d = s->north;
    const char *breach = d->tls->breach[SERVER];

    if (breach == NULL) {
        nothing_wrong(d, tally);
        return;
    }
    struct violation *v = violated(tally, s, "where only TLS records may follow, the gateway sent %s", breach);
    show_starttls(v, d);
    show_wire(v, NORTH, d, SERVER, d->tls->breach_at[SERVER], "no TLS record");
}

/* A listener with tls = implicit says nothing in clear, whatever the client begins with. */
static void judge_implicit(const struct trial *t, const struct session *s, struct tally *tally)
{
    const struct dialogue *d = s->north;

    if (d->greeting != NULL && settings_is_implicit(&t->settings, &d->connection->end[SERVER]))
        show_reply(violated(tally, s, "a listener for TLS alone spoke in clear"), NORTH, d->greeting, "in clear");
}

static void judge_only_records(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL)
            continue;
        if (s->north->tls != NULL)
            judge_records(s, tally);
        else
            judge_implicit(t, s, tally);
    }
}

/* ---- T-2 ---- */

/* A reply in TLS that nothing in TLS asked for. */
static const struct reply *answer_to_injected(const struct dialogue *d)
{
    if (d->tls_command < d->command_n) {
        const struct reply *first = d->command[d->tls_command].reply;

        if (first != NULL && first->is_early)
            return first;
    }
    for (size_t i = 0; i < d->unasked_n; i++)
        if (d->unasked[i]->place.in_tls)
            return d->unasked[i];
    return NULL;
}

/* Octets between STARTTLS and its go-ahead are dropped, or end the session. (Who refuses STARTTLS because of them
 * gives no go-ahead.) */
static void judge_injected(const struct session *s, struct tally *tally)
{
    const struct dialogue *d = s->north;
    const struct reply *answer = answer_to_injected(d);

    if (answer == NULL && s->stray_n == 0) {
        if (!view_is_hidden(d))
            nothing_wrong(d, tally);
        return;
    }
    struct violation *v =
        violated(tally, s, "what the client said in clear behind STARTTLS was taken as if it were TLS");
    show_starttls(v, d);
    show_wire(v, NORTH, d, CLIENT, d->tls->start[CLIENT] - d->injected.n, "said in clear, before the go-ahead");
    show_reply(v, NORTH, answer, "in TLS, where nothing asked for it");
    if (s->stray_n > 0)
        show_octets(v, SOUTH, true, &s->stray[0]->place, s->stray[0]->from.path, "a sender whom nobody named in TLS");
}

static void judge_injections(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d == NULL || starttls_of(d) == NULL || d->tls == NULL)
            continue;
        if (d->injected.n > 0)
            judge_injected(&t->session[i], tally);
        else
            nothing_wrong(d, tally);
    }
}

/* ---- T-3 ---- */

static bool is_hello(const struct command *c)
{
    return c->verb == VERB_EHLO || c->verb == VERB_HELO;
}

static bool is_mail(const struct command *c)
{
    return c->verb == VERB_MAIL || c->verb == VERB_RCPT || c->verb == VERB_DATA || c->verb == VERB_BDAT ||
           c->verb == VERB_AUTH;
}

static bool is_taken(const struct reply *r)
{
    return reply_is(r, 2) || reply_is(r, 3);
}

/* Is STARTTLS a keyword of this reply to EHLO? Its first line is a name. */
static bool offers_starttls(const struct reply *r)
{
    struct slice octets = r->octets;
    size_t at = slice_find(octets, SLICE("\r\n"), 0) + 2;

    while (at < octets.n) {
        size_t end = slice_find(octets, SLICE("\r\n"), at);
        struct slice line = slice_part(octets, at + 4, end);

        if (slice_equal_nocase(slice_part(line, 0, slice_find(line, SLICE(" "), 0)), SLICE("STARTTLS")))
            return true;
        at = end + 2;
    }
    return false;
}

/* What is wrong with this command and its reply in TLS; `is_greeted`: EHLO or HELO was answered 2xx there. */
static const char *stale_state(const struct command *c, bool is_greeted)
{
    if (c->verb == VERB_STARTTLS && reply_is(c->reply, 2))
        return "a second STARTTLS was taken";
    if (is_mail(c) && !is_greeted && is_taken(c->reply))
        return "a command was taken before EHLO: something is known from before the handshake";
    if (c->verb == VERB_EHLO && reply_is(c->reply, 2) && offers_starttls(c->reply))
        return "STARTTLS is offered within TLS";
    return NULL;
}

/* Each command and its reply are looked at by `wrong_with`, which hears whether EHLO or HELO was answered 2xx before
 * it. */
static void judge_commands(const struct session *s, struct tally *tally, size_t from, size_t to,
                           const char *wrong_with(const struct command *, bool))
{
    const struct dialogue *d = s->north;
    bool is_greeted = false, is_wrong = false;

    for (size_t i = from; i < d->command_n && i < to; i++) {
        const struct command *c = &d->command[i];
        const char *wrong = wrong_with(c, is_greeted);

        if (wrong != NULL) {
            struct violation *v = violated(tally, s, "%s", wrong);
            show_octets(v, NORTH, true, &c->place, command_shown(c), c->place.in_tls ? "in TLS" : "in clear");
            show_reply(v, NORTH, c->reply, NULL);
            is_wrong = true;
        }
        is_greeted = is_greeted || (is_hello(c) && reply_is(c->reply, 2));
    }
    if (!is_wrong)
        nothing_wrong(d, tally);
}

static void judge_resets(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d != NULL && d->tls != NULL && d->tls->is_decrypted && d->tls_command < d->command_n)
            judge_commands(&t->session[i], tally, d->tls_command, SIZE_MAX, stale_state);
    }
}

/* ---- T-4 ---- */

/* RFC 3207 4: in clear all but NOOP, EHLO, STARTTLS and QUIT is refused. A line that is no sound MAIL, or comes
 * before EHLO, may be refused for that. */
static const char *slip_in_clear(const struct command *c, bool is_greeted)
{
    struct address a;

    if (!is_mail(c) || c->reply == NULL)
        return NULL;
    if (is_taken(c->reply))
        return "a command was taken in clear where TLS is required";
    if (c->verb != VERB_MAIL || !is_greeted || c->has_strange_octets || c->reply->code == 421)
        return NULL;
    if (!address_read(&a, c->argument) || !a.is_valid)
        return NULL;
    if (c->reply->code != 530 || strcmp(c->reply->enhanced, "5.7.0") != 0)
        return "MAIL in clear where TLS is required was not answered 530 5.7.0";
    return NULL;
}

/* Nothing goes to the back end before there is TLS with the client. From the handshake on it is T-7's. */
static void judge_no_south(const struct session *s, struct tally *tally)
{
    const struct dialogue *d = s->north;
    const struct command *starttls = starttls_of(d);
    int64_t until = starttls != NULL && starttls->reply != NULL ? starttls->reply->place.first_time : INT64_MAX;

    if (d->is_implicit_tls || (starttls == NULL && view_cloud(d) != NULL)) /* STARTTLS may be what the capture missed */
        return;
    for (size_t i = 0; i < s->south_n; i++)
        if (s->south[i]->connection->time < until)
            show_wire(violated(tally, s, "a connection to the back end was opened for a client in clear"), SOUTH,
                      s->south[i], SERVER, 0, "the back end was called");
}

static void judge_required(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL || !settings_is_tls_only(&t->settings, &s->north->connection->end[SERVER]))
            continue;
        judge_commands(s, tally, 0, s->north->tls_command, slip_in_clear);
        judge_no_south(s, tally);
    }
}

/* ---- the table ---- */

const struct invariant encryption_invariants[] = {
    { .id = "T-1", .name = "only TLS records after the go-ahead", .judge = judge_only_records, .needs_north = true },
    { .id = "T-2",
      .name = "clear text behind STARTTLS is never taken",
      .judge = judge_injections,
      .needs_north = true },
    { .id = "T-3", .name = "nothing is known from before the handshake", .judge = judge_resets, .needs_north = true },
    { .id = "T-4",
      .name = "nothing is taken in clear where TLS is required",
      .judge = judge_required,
      .needs_north = true,
      .needs_config = true },
    { .id = "T-5", .name = "versions, suites, groups, no renegotiation", .judge = judge_hello, .needs_north = true },
    { .id = "T-6", .name = "no tickets, no resumption", .judge = judge_resumption, .needs_north = true },
    { .id = "T-7",
      .name = "failed or truncated TLS sends nothing on; close_notify",
      .judge = judge_failures_and_ends,
      .needs_north = true },
    { .id = "T-8", .name = "TLS with the back end is kept and clean", .judge = judge_tls_south, .needs_south = true },
    { .id = NULL },
};
