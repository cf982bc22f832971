/* How TLS ends: failed handshakes, closes and truncation with clients (ORACLE T-7), and all of TLS with the back end
 * (T-8). */
#include <stdlib.h>
#include <string.h>

#include "encryption.h"
#include "tls_records.h"
#include "view.h"

enum { ALERT_FATAL = 2, SMTP_PORT = 25 };

static void nothing_wrong(const struct dialogue *d, struct tally *tally)
{
    if (view_cloud(d) != NULL)
        unsure(tally, view_cloud(d));
    else
        held(tally);
}

/* ---- T-7: a failed handshake ---- */

static int64_t time_of_start(const struct dialogue *d)
{
    const struct span *span = stream_span(&d->connection->stream[CLIENT], d->tls->start[CLIENT]);

    if (d->starttls != SIZE_MAX)
        return d->command[d->starttls].reply->place.first_time;
    return span != NULL ? span->time : d->connection->time;
}

/* From the go-ahead to the end of the handshake no connection to the back end is opened; none ever, when it fails. */
static void judge_failed(const struct session *s, struct tally *tally)
{
    const struct tls_session *tls = s->north->tls;
    int64_t from = time_of_start(s->north), to = tls->is_established ? tls->established_time : INT64_MAX;
    bool is_wrong = false;

    for (size_t i = 0; i < s->south_n; i++) {
        const struct connection *c = s->south[i]->connection;

        if (c->time < from || c->time >= to)
            continue;
        if (view_cloud(s->north) != NULL || s->doubt != NULL)
            break; /* the handshake may have ended where octets are missing */
        struct violation *v = violated(tally, s, "a connection to the back end was opened without TLS with the client");
        show_hellos(v, NORTH, s->north);
        show_wire(v, SOUTH, s->south[i], SERVER, 0, "the back end was called");
        is_wrong = true;
    }
    if (!is_wrong && s->doubt != NULL)
        unsure(tally, s->doubt);
    else if (!is_wrong)
        nothing_wrong(s->north, tally);
}

/* ---- T-7: a failed handshake, and a connection that nobody claims ---- */

/* The times of clients' connections and of those to the back end that may be for a client, each sorted. */
struct moments {
    int64_t *begin, *end; /* of clients' */
    size_t n;
    const struct dialogue **lone;
    size_t lone_n;
};

/* The gateway's own probes say EHLO and QUIT. Who greeted, was answered, and neither asks for TLS nor quits was to
 * carry mail. */
static bool is_for_client(const struct dialogue *d)
{
    const struct stream *server = &d->connection->stream[SERVER];

    return d->command_n == 1 && d->command[0].verb == VERB_EHLO && reply_is(d->command[0].reply, 2) &&
           !server->is_ended && !server->is_reset && view_cloud(d) == NULL;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int by_connection_time(const void *a, const void *b)
{
    const struct dialogue *const *x = a, *const *y = b;

    return by_time(&(*x)->connection->time, &(*y)->connection->time);
}

static void moments_read(struct moments *m, const struct trial *t)
{
    *m = (struct moments){ .begin = fresh((t->session_n + 1) * sizeof *m->begin) };
    m->end = fresh((t->session_n + 1) * sizeof *m->end);
    m->lone = fresh((t->probe_n + 1) * sizeof *m->lone);
    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north != NULL) {
            m->begin[m->n] = t->session[i].north->connection->time;
            m->end[m->n++] = t->session[i].north->connection->last_time;
        }
    for (size_t i = 0; i < t->probe_n; i++)
        if (is_for_client(t->probe[i]))
            m->lone[m->lone_n++] = t->probe[i];
    qsort(m->begin, m->n, sizeof *m->begin, by_time);
    qsort(m->end, m->n, sizeof *m->end, by_time);
    qsort(m->lone, m->lone_n, sizeof *m->lone, by_connection_time);
}

static void moments_free(struct moments *m)
{
    free(m->begin);
    free(m->end);
    free(m->lone);
}

/* How many are before `when`, or at it. */
static size_t count_until(const int64_t *times, size_t n, int64_t when)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;

        if (times[middle] <= when)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/* The first connection that nobody claims at or after `from`; NULL: none before `to`, or other clients were there,
 * too. */
static const struct dialogue *lone_between(const struct moments *m, int64_t from, int64_t to)
{
    size_t low = 0, high = m->lone_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (m->lone[middle]->connection->time < from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == m->lone_n || m->lone[low]->connection->time > to)
        return NULL;
    int64_t when = m->lone[low]->connection->time;
    size_t clients = count_until(m->begin, m->n, when) - count_until(m->end, m->n, when - 1);
    return clients == 1 ? m->lone[low] : NULL;
}

static void judge_lone(const struct session *s, const struct moments *m, struct tally *tally)
{
    const struct dialogue *d = s->north;

    if (d->tls->is_established || view_cloud(d) != NULL || s->doubt != NULL)
        return;
    const struct dialogue *lone = lone_between(m, time_of_start(d), d->connection->last_time);
    if (lone == NULL)
        return;
    struct violation *v =
        violated(tally, s, "a connection to the back end was opened while the only client had no TLS");
    show_hellos(v, NORTH, d);
    show_command(v, SOUTH, &lone->command[0], "no probe: nothing follows");
}

/* ---- T-7: the end of a session ---- */

static bool has_fatal_alert(const struct tls_session *s)
{
    for (size_t i = 0; i < s->alert_n; i++)
        if (s->alert[i].level == ALERT_FATAL && s->alert[i].description != 0)
            return true;
    return false;
}

/* QUIT was answered, the gateway said goodbye by itself, or the client ended TLS: what follows is an orderly close. */
static bool is_orderly(const struct dialogue *d)
{
    if (d->tls->has_close_notify[CLIENT] || (d->farewell != NULL && d->farewell->place.in_tls))
        return true;
    for (size_t i = d->tls_command; i < d->command_n; i++) {
        const struct reply *r = d->command[i].reply;

        if (r != NULL && (r->code == 421 || (d->command[i].verb == VERB_QUIT && r->code == 221)))
            return true;
    }
    return false;
}

static void judge_close(const struct session *s, struct tally *tally)
{
    const struct dialogue *d = s->north;
    const struct stream *stream = d->connection->stream;

    if (!d->tls->is_established || !d->tls->is_decrypted || !is_orderly(d) || has_fatal_alert(d->tls))
        return;
    if (!stream[SERVER].is_ended || stream[CLIENT].is_reset || stream[SERVER].is_reset ||
        d->tls->breach[SERVER] != NULL)
        return; /* a client that is gone is told nothing */
    if (d->tls->has_close_notify[SERVER]) {
        held(tally);
        return;
    }
    struct violation *v = violated(tally, s, "the gateway closed an orderly session without close_notify");
    struct place end = { .first_frame = stream[SERVER].end_frame, .first_time = stream[SERVER].end_time };
    show_reply(v, NORTH, d->reply_n > 0 ? d->reply[d->reply_n - 1] : NULL, "its last words");
    show_octets(v, NORTH, false, &end, SLICE(""), "FIN");
}

/* A-6 within TLS: what was cut off must not be ended towards the back end. */
static void judge_truncation(const struct pair *p, struct tally *tally)
{
    const struct message *north = &p->north->message;

    if (!p->north->has_message || north->is_ended || !north->place.in_tls)
        return;
    if (view_cloud(p->session->north) != NULL) {
        unsure(tally, view_cloud(p->session->north));
        return;
    }
    if (p->south == NULL || !p->south->message.is_ended) {
        held(tally);
        return;
    }
    struct violation *v =
        violated(tally, p->session, "a message that was cut off in TLS was ended towards the back end");
    show_octets(v, NORTH, true, &north->place, north->raw, "cut off");
    show_octets(v, SOUTH, true, &p->south->message.end, SLICE("\r\n.\r\n"), "ended all the same");
}

void judge_failures_and_ends(const struct trial *t, struct tally *tally)
{
    struct moments moments;

    moments_read(&moments, t);
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL || s->north->tls == NULL)
            continue;
        if (!session_is_sealed(t, s)) /* else nobody knows which connections are its own */
            judge_failed(s, tally);
        judge_lone(s, &moments, tally);
        judge_close(s, tally);
        for (size_t k = 0; k < s->pair_n; k++)
            judge_truncation(&s->pair[k], tally);
    }
    moments_free(&moments);
}

/* ---- T-8: what stands in clear behind the back end's go-ahead ---- */

/* Did the gateway send protected records? */
static bool goes_on(const struct dialogue *d)
{
    struct tls_reader reader;
    struct tls_record record;

    tls_reader_start(&reader, &d->connection->stream[CLIENT], d->tls->start[CLIENT]);
    while (tls_reader_next(&reader, &record))
        if (record.type == CONTENT_DATA)
            return true;
    return false;
}

/* Who drops such octets and goes on looks the same as who takes them for replies. Postern ends the session, and is
 * held to that. */
static void judge_response_injection(const struct south_end *end, struct tally *tally)
{
    const struct dialogue *d = end->dialogue;
    const struct command *starttls = &d->command[d->starttls];
    bool is_injected = d->tls->breach[SERVER] != NULL && d->tls->breach_at[SERVER] == d->tls->start[SERVER];

    if (!is_injected || !goes_on(d)) {
        nothing_wrong(d, tally);
        return;
    }
    struct violation *v = violated(
        tally, end->session, "the gateway went on in TLS though the back end had spoken in clear behind its go-ahead");
    show_command(v, SOUTH, starttls, NULL);
    show_reply(v, SOUTH, starttls->reply, "the go-ahead");
    show_wire(v, SOUTH, d, SERVER, d->tls->breach_at[SERVER], "in clear behind it");
}

/* ---- T-8: required TLS ---- */

static struct slice trimmed(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_part(s, 1, s.n);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool names_server(const char *servers, const struct endpoint *e)
{
    struct slice rest = slice_of(servers);

    while (rest.n > 0) {
        struct slice word = slice_part(rest, 0, slice_find(rest, SLICE(","), 0));
        struct endpoint server;

        rest = slice_part(rest, word.n + 1, rest.n);
        if (!endpoint_parse(&server, trimmed(word)))
            continue;
        if (server.port == 0)
            server.port = SMTP_PORT;
        if (endpoint_equal(&server, e))
            return true;
    }
    return false;
}

/* The value of `key` that stands last in a section; NULL for none. */
static const char *last_value(const struct settings *s, const char *section, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < s->setting_n; i++)
        if (strcmp(s->setting[i].section, section) == 0 && strcmp(s->setting[i].key, key) == 0)
            value = s->setting[i].value;
    return value;
}

/* Every section that names this server says tls = required. */
static bool requires_tls(const struct settings *s, const struct endpoint *server)
{
    size_t named = 0, required = 0;

    for (size_t i = 0; i < s->setting_n; i++) {
        const struct setting *given = &s->setting[i];
        bool is_route = strcmp(given->section, "backend") == 0 || strncmp(given->section, "route ", 6) == 0;

        if (!is_route || strcmp(given->key, "servers") != 0 || !names_server(given->value, server))
            continue;
        const char *tls = last_value(s, given->section, "tls");
        named++;
        required += tls != NULL && slice_equal_nocase(slice_of(tls), SLICE("required"));
    }
    return named > 0 && named == required;
}

/* Nothing of a client's goes to such a server in clear. */
static bool is_of_client(const struct command *c)
{
    return c->verb == VERB_MAIL || c->verb == VERB_RCPT || c->verb == VERB_DATA || c->verb == VERB_BDAT ||
           c->verb == VERB_AUTH || c->verb == VERB_XCLIENT || c->verb == VERB_XFORWARD;
}

static void judge_fallback(const struct south_end *end, struct tally *tally)
{
    const struct dialogue *d = end->dialogue;

    for (size_t i = 0; i < d->command_n; i++) {
        const struct command *c = &d->command[i];

        if (!is_of_client(c) || c->place.in_tls)
            continue;
        struct violation *v = violated(tally, end->session, "a back end for which TLS is required was told %s in clear",
                                       verb_name(c->verb));
        show_octets(v, SOUTH, true, &c->place, command_shown(c), "in clear");
        return;
    }
    nothing_wrong(d, tally);
}

void judge_tls_south(const struct trial *t, struct tally *tally)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        const struct dialogue *d = end[i].dialogue;

        if (d->starttls != SIZE_MAX && d->tls != NULL)
            judge_response_injection(&end[i], tally);
        if (requires_tls(&t->settings, &d->connection->end[SERVER]))
            judge_fallback(&end[i], tally);
    }
    free(end);
}
