/* ORACLE 8, the log: it is checked against the wires, not believed.
 *
 * One record for each connection and each transaction, its outcome the one that the client saw; nothing in it that
 * could forge a line or speak to a terminal; nothing of a message's body, no password; and its 4-tuples those of the
 * captures.
 *
 * A log begins and ends at other times than a capture, its last lines die with a process that is killed, and lines that
 * the sink did not take are counted in it (log_dropped): what is missing for such a reason is INCONCLUSIVE. L-5 (a full
 * disk stops no mail) takes a full disk: tests/unit/test_log.c, tests/e2e/test_logs.py. */
#include "logging_parts.h"
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINE_MOST = 8192, /* L-2 */
    SCAN_MAX = 512    /* things of one name that are looked at */
};

static const int64_t lag = INT64_C(1000000000); /* a line is there at last */
static const int64_t never = INT64_MAX;

/* ---- what the log is ---- */

struct log {
    const struct trial *trial;
    struct lookup by_id; /* records, of sessions and transactions */
    int64_t end;         /* the time of its last record; INT64_MIN: it tells none */
    bool has_dropped;    /* it says that lines are missing */
    bool is_of_this;     /* some record names a client of the capture */
    struct death *death; /* by `to` */
    size_t death_n;
};

/* A process of the gateway was killed between two lines of the log. */
struct death {
    int64_t from, to; /* `from` may be that of a later one, too: once sorted, the least from here on */
};

static uint64_t hash_id(struct slice id)
{
    return hash_octets(hash_start, id);
}

static int compare_deaths(const void *a, const void *b)
{
    const struct death *x = a, *y = b;

    return (x->to > y->to) - (x->to < y->to);
}

/* A worker's is told by its supervisor; a supervisor that begins to serve and had not ended before was killed itself. (So it
 * looks when it takes over a new configuration, too: its workers of before finish, and say so in the log.) */
static void read_deaths(struct log *l)
{
    const struct records *all = &l->trial->records;
    const struct slice died = SLICE(" died of signal ");
    bool is_serving = false;
    int64_t before = 0;

    for (size_t i = 0; i < all->n; i++) {
        const struct record *r = &all->record[i];
        struct slice text = record_value(r, "text");
        bool is_begin = record_is(r, "serving");
        int64_t time = r->broken == NULL ? record_time(r) : 0;
        if ((is_begin && is_serving) || (record_is(r, "worker") && slice_find(text, died, 0) < text.n)) {
            l->death = array_grow(l->death, l->death_n, sizeof *l->death);
            l->death[l->death_n++] = (struct death){ is_begin ? before : time, time };
        }
        is_serving = is_begin || (is_serving && !record_is(r, "stopped"));
        before = time != 0 ? time : before;
    }
    if (l->death_n > 0)
        qsort(l->death, l->death_n, sizeof *l->death, compare_deaths);
    for (size_t i = l->death_n; i-- > 1;)
        if (l->death[i].from < l->death[i - 1].from)
            l->death[i - 1].from = l->death[i].from;
}

/* Whether a process died while the connection stood, or soon after: what it had to say of it may have died with it. */
static bool had_death(const struct log *l, const struct connection *c)
{
    size_t low = 0, high = l->death_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->death[middle].to < c->time)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->death_n && l->death[low].from <= c->last_time + lag;
}

static void read_log(struct log *l, const struct trial *t)
{
    *l = (struct log){ .trial = t, .end = INT64_MIN };
    for (size_t i = 0; i < t->records.n; i++) {
        const struct record *r = &t->records.record[i];
        struct slice id = record_value(r, "id");
        int64_t time = r->broken == NULL ? record_time(r) : 0;
        if (time > l->end)
            l->end = time;
        l->has_dropped = l->has_dropped || record_is(r, "log_dropped");
        if (id.n > 0)
            lookup_add(&l->by_id, hash_id(id), i);
    }
    read_deaths(l);
}

static void forget_log(struct log *l)
{
    free(l->death);
    lookup_free(&l->by_id);
}

/* ---- why a line may be missing ---- */

/* The gateway has hung up, or must have noticed that the client has. */
static bool is_over(const struct connection *c)
{
    return stream_end(&c->stream[SERVER]) != never || c->stream[CLIENT].is_reset;
}

/* Ended by the gateway's side with no last word: so it looks when its process is killed. */
static bool died(const struct dialogue *d)
{
    const struct reply *last = d->reply_n > 0 ? d->reply[d->reply_n - 1] : NULL;
    const struct connection *c = d->connection;
    bool was_first =
        stream_end(&c->stream[SERVER]) != never && stream_end(&c->stream[SERVER]) <= stream_end(&c->stream[CLIENT]);

    return was_first && (last == NULL || (last->code != 221 && last->code != 421));
}

/* The client has its last word, but the back end's answer to our QUIT, with which the session ends, never came. */
static bool died_taking_leave(const struct session *s)
{
    for (size_t i = 0; i < s->south_n; i++) {
        const struct dialogue *d = s->south[i];
        const struct command *last = d->command_n > 0 ? &d->command[d->command_n - 1] : NULL;
        int64_t ours = stream_end(&d->connection->stream[CLIENT]);

        if (last != NULL && last->reply == NULL && ours != never && ours <= stream_end(&d->connection->stream[SERVER]))
            return true;
    }
    return false;
}

static const char *why_missing(const struct log *l, const struct session *s)
{
    if (l->has_dropped)
        return "the log says that lines of it are missing";
    if (!l->is_of_this)
        return "no line of the log is of a client in this capture";
    if (l->end != INT64_MIN && l->end + lag < s->north->connection->last_time)
        return "the log ends before the connection does";
    if (died(s->north) || died_taking_leave(s))
        return "a connection ended without a last word, as if the gateway's process had been killed";
    if (had_death(l, s->north->connection))
        return "the log says that a process of the gateway was killed at that time";
    return NULL;
}

/* What a killed process would have told: the wire and the log agree on why it is missing. */
static bool is_explained(const struct log *l, const struct session *s)
{
    return (died(s->north) || died_taking_leave(s)) && had_death(l, s->north->connection);
}

/* ---- L-1: one line for each ---- */

static void judge_connection(struct tally *y, const struct log *l, const struct session *s, size_t lines,
                             const struct record *last)
{
    const struct connection *c = s->north->connection;
    const char *why = why_missing(l, s);
    char client[ENDPOINT_TEXT];

    if (lines == 1) {
        held(y);
    } else if (lines > 1) {
        struct violation *v = violated(y, s, "%zu lines for the connection of %s, not one", lines,
                                       endpoint_print(&c->end[CLIENT], client));
        show_record(v, s->record, "the one that was joined");
        show_record(v, last != s->record ? last : NULL, "another");
    } else if (is_explained(l, s)) {
        return;
    } else if (why != NULL || !c->has_start || (s->north->greeting == NULL && s->north->tls == NULL)) {
        unsure(y, why != NULL ? why : "a connection that never became a session");
    } else {
        violated(y, s, "no line for the connection of %s, which begins in frame %u",
                 endpoint_print(&c->end[CLIENT], client), (unsigned)c->frame);
    }
}

struct lines {
    size_t n;
    const struct record *last;
};

static void judge_connections(struct tally *y, struct log *l)
{
    const struct trial *t = l->trial;
    struct lines *lines = fresh(t->session_n * sizeof *lines);

    for (size_t i = 0; i < t->records.n; i++) {
        const struct record *r = &t->records.record[i];
        if (r->session == NULL || !record_is(r, "connection"))
            continue;
        struct lines *of = &lines[r->session - t->session];
        *of = (struct lines){ of->n + 1, r };
        l->is_of_this = true;
    }
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        if (s->north != NULL && !s->north->connection->is_refused && (is_over(s->north->connection) || lines[i].n > 1))
            judge_connection(y, l, s, lines[i].n, lines[i].last);
    }
    free(lines);
}

static bool is_accepted(const struct record *r)
{
    struct slice outcome = record_value(r, "outcome"), word = SLICE("accepted");

    return slice_equal(slice_part(outcome, 0, word.n), word) && (outcome.n == word.n || outcome.p[word.n] == ',');
}

static bool is_undeliverable(const struct record *r)
{
    return is_accepted(r) && record_value(r, "outcome").n > sizeof "accepted" - 1;
}

static void tell_transaction(struct tally *y, const struct pair *p, const char *what)
{
    const struct dialogue *d = p->session->north;
    struct violation *v = violated(y, p->session, "%s", what);

    show_command(v, NORTH, &d->command[p->north->mail], NULL);
    show_reply(v, NORTH, p->north->message.reply, "what the client heard");
    show_record(v, p->record, NULL);
}

static bool was_taken(const struct pair *p)
{
    return p->south->has_message && p->south->message.is_ended && reply_is(p->south->message.reply, 2);
}

/* count(log accepted) == count(N 250), one by one. */
static void judge_outcome(struct tally *y, const struct pair *p)
{
    const struct message *m = &p->north->message;
    const struct connection *c = p->session->north->connection;
    bool was_told = p->north->has_message && m->is_ended && reply_is(m->reply, 2);
    bool was_gone = stream_end(&c->stream[CLIENT]) != never;

    if (record_value(p->record, "outcome").n == 0)
        tell_transaction(y, p, "a transaction's line without an outcome");
    else if (was_told && !is_accepted(p->record))
        tell_transaction(y, p, "the client heard 250, and the log says otherwise");
    else if (was_told || !is_accepted(p->record))
        held(y);
    else if (m->reply == NULL && p->session->doubt != NULL)
        unsure(y, p->session->doubt);
    else if (m->reply == NULL && !was_gone && stream_end(&c->stream[SERVER]) == never)
        unsure(y, "the capture ends before the client's answer");
    else if (m->reply != NULL || (!was_gone && !is_undeliverable(p->record)))
        tell_transaction(y, p, "the log says accepted, and the client did not hear 250");
    else if (p->south != NULL && !was_taken(p) && p->south_dialogue->is_readable)
        tell_transaction(y, p, "the log says accepted, and the back end has not accepted it");
    else
        held(y); /* X1: it was gone */
}

/* Which lines belong to a transaction of the wire. */
static bool *joined_lines(const struct trial *t)
{
    bool *is_joined = fresh(t->records.n);

    for (size_t i = 0; i < t->session_n; i++)
        for (size_t k = 0; k < t->session[i].pair_n; k++)
            if (t->session[i].pair[k].record != NULL)
                is_joined[t->session[i].pair[k].record - t->records.record] = true;
    return is_joined;
}

struct slice session_id(const struct session *s)
{
    struct slice id = s->record != NULL ? record_value(s->record, "id") : (struct slice){ NULL, 0 };

    for (size_t i = 0; id.n == 0 && i < s->pair_n; i++)
        if (s->pair[i].record != NULL)
            id = record_value(s->pair[i].record, "id");
    return id;
}

/* A line of the session's that was joined to nothing: it may be the one that is missed. */
static bool has_spare(const struct log *l, const struct session *s, const bool *is_joined)
{
    struct slice id = session_id(s);

    for (size_t e = lookup_first(&l->by_id, hash_id(id)); id.n > 0 && e != SIZE_MAX; e = lookup_next(&l->by_id, e)) {
        size_t i = lookup_value(&l->by_id, e);
        const struct record *r = &l->trial->records.record[i];
        if (!is_joined[i] && record_is(r, "transaction") && slice_equal(record_value(r, "id"), id))
            return true;
    }
    return false;
}

static void judge_transactions(struct tally *y, const struct log *l, const struct session *s, const bool *is_joined)
{
    const char *why = s->doubt != NULL ? s->doubt : why_missing(l, s);
    bool was_looked_for = false;

    for (size_t k = 0; k < s->pair_n; k++) {
        const struct pair *p = &s->pair[k];
        if (p->record == NULL && why == NULL && !was_looked_for && has_spare(l, s, is_joined))
            why = "a line of the log that fits no transaction";
        was_looked_for = was_looked_for || p->record == NULL;
        if (p->record != NULL)
            judge_outcome(y, p);
        else if (is_explained(l, s))
            continue;
        else if (why != NULL)
            unsure(y, why);
        else if (p->north->end != END_NONE && is_over(s->north->connection))
            tell_transaction(y, p, "no line for a transaction");
    }
}

static const char *event_of(const struct record *r)
{
    return record_is(r, "transaction") ? "transaction" : record_is(r, "connection") ? "connection" : NULL;
}

/* An earlier line of the same event, session and number. */
static const struct record *same_before(const struct log *l, const struct lookup *seen, const struct record *r,
                                        uint64_t hash)
{
    size_t entry = lookup_first(seen, hash);

    for (size_t n = 0; entry != SIZE_MAX && n < SCAN_MAX; n++, entry = lookup_next(seen, entry)) {
        const struct record *other = &l->trial->records.record[lookup_value(seen, entry)];
        if (event_of(other) == event_of(r) && slice_equal(record_value(other, "id"), record_value(r, "id")) &&
            slice_equal(record_value(other, "tx"), record_value(r, "tx")))
            return other;
    }
    return NULL;
}

/* Ids of sessions are drawn from 64 bits: two lines with the same one, and the same number, are of the same thing. */
static void judge_numbers(struct tally *y, const struct log *l)
{
    const struct records *all = &l->trial->records;
    struct lookup seen = { 0 };

    for (size_t i = 0; i < all->n; i++) {
        const struct record *r = &all->record[i];
        struct slice id = record_value(r, "id"), tx = record_value(r, "tx");
        if (event_of(r) == NULL || id.n == 0)
            continue;
        uint64_t hash = hash_octets(hash_octets(hash_id(id), SLICE(" ")), tx);
        const struct record *other = same_before(l, &seen, r, hash);
        lookup_add(&seen, hash, i);
        if (other == NULL)
            continue;
        struct violation *v =
            violated(y, NULL, "two lines for %s %.*s of session %.*s", event_of(r), SLICE_ARG(tx), SLICE_ARG(id));
        show_record(v, other, NULL);
        show_record(v, r, NULL);
    }
    lookup_free(&seen);
}

/* Accepted, says the log, of something that is no transaction on the wire. */
static void judge_invented(struct tally *y, const struct log *l, const bool *is_joined)
{
    const struct trial *t = l->trial;

    for (size_t i = 0; i < t->records.n; i++) {
        const struct record *r = &t->records.record[i];
        if (is_joined[i] || !record_is(r, "transaction") || !is_accepted(r))
            continue;
        const struct session *s = r->session;
        if (s == NULL)
            continue; /* of a client before this capture, or on another wire */
        const struct connection *c = s->north->connection;
        if (s->doubt != NULL)
            unsure(y, s->doubt);
        else if (stream_end(&c->stream[CLIENT]) == never && stream_end(&c->stream[SERVER]) == never)
            unsure(y, "the capture ends before the connection does");
        else
            show_record(violated(y, s, "the log says accepted, of no transaction on the wire"), r, NULL);
    }
}

static void judge_lines(const struct trial *t, struct tally *y)
{
    bool *is_joined = joined_lines(t);
    struct log l;

    read_log(&l, t);
    judge_connections(y, &l);
    for (size_t i = 0; i < t->session_n; i++)
        judge_transactions(y, &l, &t->session[i], is_joined);
    judge_numbers(y, &l);
    judge_invented(y, &l, is_joined);
    free(is_joined);
    forget_log(&l);
}

/* ---- L-2: nothing raw ---- */

/* How many octets of well-formed UTF-8 (RFC 3629 4) begin here, 0 when there are none; the character in `*c`. */
static size_t utf8(struct slice s, uint32_t *c)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s.p[0] < 0x80 ? 1 : s.p[0] >> 5 == 6 ? 2 : s.p[0] >> 4 == 14 ? 3 : s.p[0] >> 3 == 30 ? 4 : 0;

    if (n == 0 || n > s.n)
        return 0;
    *c = n == 1 ? s.p[0] : s.p[0] & (0xFFU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (s.p[i] >> 6 != 2)
            return 0;
        *c = *c << 6 | (s.p[i] & 0x3F);
    }
    return *c < least[n] || *c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000) ? 0 : n;
}

/* What may not stand in a line; NULL nothing. */
static const char *raw_octet(struct slice s)
{
    uint32_t c = 0;

    for (size_t at = 0; at < s.n;) {
        size_t n = utf8(slice_part(s, at, s.n), &c);
        if (n == 0)
            return "octets that are no UTF-8";
        if (c < 0x20 || c == 0x7F)
            return "a control character";
        if ((c >= 0x80 && c < 0xA0) || c == 0x2028 || c == 0x2029)
            return "a control character of C1, or a line end of Unicode";
        at += n;
    }
    return NULL;
}

/* A line that began as one of Postern's. */
static bool looks_like_ours(struct slice text)
{
    return slice_find(text, SLICE("time="), 0) < text.n || slice_find(text, SLICE("event"), 0) < text.n;
}

/* What the gateway says of its ini before there is a log: "FILE:LINE: [section] key: warning: ...", in its own words alone. */
static bool is_warning(struct slice line)
{
    size_t place = slice_find(line, SLICE(": ["), 0), word = slice_find(line, SLICE(": warning: "), place);

    return place > 0 && line.p[place - 1] >= '0' && line.p[place - 1] <= '9' && word < line.n;
}

/* What it says, to standard error as well, when it could not start: another one still has the port. */
static bool is_refused_start(struct slice line)
{
    return slice_find(line, SLICE("cannot listen on "), 0) == 0 && slice_find(line, SLICE(": "), 0) < line.n;
}

static void judge_text(const struct trial *t, struct tally *y)
{
    for (size_t i = 0; i < t->records.n; i++) {
        const struct record *r = &t->records.record[i];
        const char *raw = raw_octet(r->text);
        bool is_last = i + 1 == t->records.n;

        if (raw != NULL && (r->broken == NULL || looks_like_ours(r->text) || is_refused_start(r->text)))
            show_record(violated(y, NULL, "line %zu of the log holds %s", r->line, raw), r, NULL);
        else if (r->text.n > LINE_MOST)
            show_record(violated(y, NULL, "line %zu of the log has %zu octets; the limit is 8 kB", r->line, r->text.n),
                        r, NULL);
        else if (r->broken == NULL || is_warning(r->text) || is_refused_start(r->text))
            held(y);
        else if (!is_last) /* the last one may be on its way */
            unsure(y, "a line that is not Postern's, or one that was broken");
    }
}

/* ---- L-4: the log's 4-tuples are the wire's ---- */

static bool names(const struct record *r, const char *key, const struct endpoint *e)
{
    struct endpoint said;

    return !record_endpoint(r, key, &said) || endpoint_equal(&said, e);
}

/* What the line says otherwise than the wire; NULL nothing. */
static const char *contradiction(const struct pair *p)
{
    const struct connection *north = p->session->north->connection;
    const struct connection *south = p->south_dialogue != NULL ? p->south_dialogue->connection : NULL;
    bool is_announced = p->session->north->proxy_header.n > 0;

    if (!is_announced && !names(p->record, "client", &north->end[CLIENT]))
        return "a transaction's line names another client";
    if (south != NULL && !names(p->record, "backend", &south->end[SERVER]))
        return "a transaction's line names another back end than the one that got its message";
    if (south != NULL && !names(p->record, "via", &south->end[CLIENT]))
        return "a transaction's line names another connection to the back end than the one with its token";
    return NULL;
}

/* What the client heard of its message: of one in chunks the first refusal, whatever follows it is out of place (RFC 3030 2). */
static const struct reply *answer_to(const struct pair *p)
{
    const struct dialogue *d = p->session->north;
    size_t transaction = (size_t)(p->north - d->transaction);

    if (!p->north->message.by_bdat)
        return p->north->message.reply;
    for (size_t i = p->north->data; i < d->command_n && d->command[i].transaction == transaction; i++)
        if (d->command[i].verb == VERB_BDAT && d->command[i].reply != NULL && !reply_is(d->command[i].reply, 2))
            return d->command[i].reply;
    return p->north->message.reply;
}

/* The code in its reply= is the one on the wire. */
static bool has_same_code(const struct pair *p)
{
    const struct message *m = &p->north->message;
    const struct reply *heard = p->north->has_message && m->is_ended ? answer_to(p) : NULL;
    struct slice reply = record_value(p->record, "reply");

    if (heard == NULL || heard->code < 200 || reply.n < 3)
        return true;
    return (reply.p[0] - '0') * 100 + (reply.p[1] - '0') * 10 + (reply.p[2] - '0') == heard->code;
}

static void judge_join(struct tally *y, const struct pair *p)
{
    const char *wrong = contradiction(p);

    if (wrong == NULL && !has_same_code(p))
        wrong = "a transaction's line has another reply than the client heard";
    if (wrong == NULL) {
        held(y);
        return;
    }
    struct violation *v = violated(y, p->session, "%s", wrong);
    show_command(v, NORTH, &p->session->north->command[p->north->mail], NULL);
    if (p->south != NULL && p->south_dialogue != NULL)
        show_command(v, SOUTH, &p->south_dialogue->command[p->south->mail], NULL);
    show_record(v, p->record, NULL);
}

static void judge_joins(const struct trial *t, struct tally *y)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->breach != NULL) {
            struct violation *v = violated(y, s, "%s", s->breach);
            for (size_t k = 0; k < s->pair_n; k++) {
                show_command(v, NORTH, &s->north->command[s->pair[k].north->mail], NULL);
                show_record(v, s->pair[k].record, NULL);
            }
            continue;
        }
        if (s->record != NULL && s->north->proxy_header.n == 0 &&
            !names(s->record, "client", &s->north->connection->end[CLIENT]))
            show_record(violated(y, s, "a connection's line names another client"), s->record, NULL);
        for (size_t k = 0; k < s->pair_n; k++) {
            if (s->pair[k].record != NULL && s->doubt == NULL)
                judge_join(y, &s->pair[k]);
            else if (s->pair[k].record != NULL)
                unsure(y, s->doubt);
        }
    }
}

/* ---- */

const struct invariant logging_invariants[] = {
    { .id = "L-1",
      .name = "one line for each connection and transaction, with what the client heard",
      .judge = judge_lines,
      .needs_north = true,
      .needs_log = true },
    { .id = "L-2", .name = "no line holds raw octets, or more than 8 kB", .judge = judge_text, .needs_log = true },
    { .id = "L-3",
      .name = "nothing of a message's body, and no password, is in the log",
      .judge = judge_privacy,
      .needs_north = true,
      .needs_log = true },
    { .id = "L-4",
      .name = "the log and the token name the same connections",
      .judge = judge_joins,
      .needs_north = true,
      .needs_log = true },
    { .id = NULL },
};
