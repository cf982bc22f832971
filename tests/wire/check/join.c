/* Who belongs to whom: connections south to sessions, transactions to transactions, log lines to both (ORACLE 0).
 *
 * A connection to the back end is made for one client session (P-6), so connections are joined first, by the token in
 * a MAIL, by the log's two 4-tuples, and last by envelope and time: MAIL goes south between a RCPT north and its
 * answer. Within a session both sides' transactions are in the same order. Nothing is quadratic: what has one name is
 * sorted by time, and a search ends where nothing can have waited any more; behind SCAN_MAX it gives up, and the join
 * is in doubt. */
#include "envelope.h"
#include "lookup.h"
#include "trial.h"

#include <stdlib.h>
#include <string.h>

enum { SCAN_MAX = 512, LOOK_AHEAD = 16 };

static const int64_t log_slack = INT64_C(50000000); /* the log's clock is read once a loop turn, and told in ms */

/* A transaction north, for the lookups. */
struct candidate {
    struct session *session;
    size_t transaction;
};

/* A name of something that happened: a token, an envelope, an end of a connection. `latest_to` is when the last answer to
 * a RCPT came of all that have this name and began no later. */
struct named {
    uint64_t hash;
    int64_t began; /* when it happened, or MAIL came */
    int64_t latest_to;
    size_t what;
};

struct names {
    struct named *named; /* by hash, then by time */
    size_t n;
};

struct join {
    struct trial *t;
    struct lookup by_id;
    struct names by_token, by_envelope; /* of candidates */
    struct names by_client;             /* of sessions */
    struct names by_via;                /* of records */
    struct candidate *candidate;
    size_t candidate_n;
    int64_t *tuple_ends; /* of each connection south: when its 4-tuple was used again */
};

/* ---- small things ---- */

static uint64_t name_hash(const char *text)
{
    return hash_octets(hash_start, slice_of(text));
}

static uint64_t envelope_hash(const struct address *from, const struct address *to)
{
    struct buffer text = { 0 };

    envelope_canonical(from, &text);
    buffer_add(&text, "\n", 1);
    envelope_canonical(to, &text);
    uint64_t hash = hash_octets(hash_start, buffer_slice(&text));
    buffer_free(&text);
    return hash;
}

static uint64_t via_hash(const struct endpoint *via, const struct endpoint *backend)
{
    return hash_endpoint(hash_endpoint(hash_start, via), backend);
}

static const struct command *mail_of(const struct dialogue *d, const struct transaction *x)
{
    return &d->command[x->mail];
}

static int64_t reply_time(const struct command *c, int64_t otherwise)
{
    return c->reply != NULL ? c->reply->place.first_time : otherwise;
}

static bool has_token(const struct address *from, const char *token)
{
    char mine[33];

    envelope_token(from->local, mine);
    return token[0] != '\0' && strcmp(mine, token) == 0;
}

static bool same_path(const struct address *a, const struct address *b)
{
    struct buffer left = { 0 }, right = { 0 };

    envelope_canonical(a, &left);
    envelope_canonical(b, &right);
    bool is_same = slice_equal(buffer_slice(&left), buffer_slice(&right));
    buffer_free(&left);
    buffer_free(&right);
    return is_same;
}

/* ---- what the north wire shows ---- */

static void add_name(struct names *names, struct named named)
{
    names->named = array_grow(names->named, names->n, sizeof *names->named);
    names->named[names->n++] = named;
}

/* When a candidate's MAIL came, and when the answer to its last RCPT was heard. */
static struct named named_candidate(const struct candidate *k, size_t candidate)
{
    const struct dialogue *d = k->session->north;
    const struct transaction *x = &d->transaction[k->transaction];
    struct named named = { 0, mail_of(d, x)->place.first_time, 0, candidate };

    for (size_t i = 0; i < x->rcpt_n; i++) {
        int64_t to = reply_time(&d->command[x->rcpt[i]], d->connection->last_time);
        if (to > named.latest_to)
            named.latest_to = to;
    }
    return named;
}

static void add_named(struct names *names, struct named named, uint64_t hash)
{
    named.hash = hash;
    add_name(names, named);
}

static int by_hash_and_time(const void *a, const void *b)
{
    const struct named *left = a, *right = b;

    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    if (left->began != right->began)
        return left->began < right->began ? -1 : 1;
    return (left->what > right->what) - (left->what < right->what);
}

static void sort_names(struct names *names)
{
    if (names->n > 0)
        qsort(names->named, names->n, sizeof *names->named, by_hash_and_time);
    for (size_t i = 1; i < names->n; i++) {
        struct named *now = &names->named[i], *before = now - 1;
        if (before->hash == now->hash && before->latest_to > now->latest_to)
            now->latest_to = before->latest_to;
    }
}

/* Behind the last one of this name that had begun by then. */
static size_t names_until(const struct names *names, uint64_t hash, int64_t time)
{
    struct named wanted = { .hash = hash, .began = time, .what = SIZE_MAX };
    size_t low = 0, high = names->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_hash_and_time(&names->named[middle], &wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void note_candidate(struct join *j, struct session *s, size_t transaction)
{
    const struct transaction *x = &s->north->transaction[transaction];
    struct candidate k = { s, transaction };
    char token[33];

    j->candidate = array_grow(j->candidate, j->candidate_n, sizeof *j->candidate);
    j->candidate[j->candidate_n] = k;
    envelope_token(x->from.local, token);
    struct named named = named_candidate(&k, j->candidate_n++);
    if (token[0] != '\0')
        add_named(&j->by_token, named, name_hash(token));
    for (size_t i = 0; i < x->rcpt_n; i++)
        add_named(&j->by_envelope, named, envelope_hash(&x->from, &x->to[i]));
}

static void begin_session(struct join *j, struct session *s, const struct dialogue *north)
{
    s->north = north;
    s->pair_n = north->transaction_n;
    s->pair = fresh((s->pair_n + 1) * sizeof *s->pair);
    if (!north->is_readable)
        s->doubt = north->doubt != NULL ? north->doubt : "the client's side cannot be read";
    for (size_t i = 0; i < s->pair_n; i++) {
        s->pair[i].session = s;
        s->pair[i].north = &north->transaction[i];
        note_candidate(j, s, i);
    }
}

static void begin_sessions(struct join *j)
{
    struct trial *t = j->t;

    t->session_n = t->north.flows.n;
    t->session = fresh((t->session_n + 1) * sizeof *t->session);
    for (size_t i = 0; i < t->session_n; i++) {
        begin_session(j, &t->session[i], &t->north.dialogue[i]);
        const struct connection *c = t->session[i].north->connection;
        add_name(&j->by_client, (struct named){ hash_endpoint(hash_start, &c->end[CLIENT]), c->time, 0, i });
    }
    sort_names(&j->by_client);
    sort_names(&j->by_token);
    sort_names(&j->by_envelope);
}

/* ---- what the log says ---- */

static bool is_at_listener(const struct record *r, const struct session *s)
{
    struct endpoint listener;

    return !record_endpoint(r, "address", &listener) || endpoint_equal(&listener, &s->north->connection->end[SERVER]);
}

/* By the client's address and port: the last session from there that had begun by then. */
static struct session *session_of_client(struct join *j, const struct record *r)
{
    struct endpoint client;
    int64_t time = record_time(r);

    if (!record_client(r, &client))
        return NULL;
    uint64_t hash = hash_endpoint(hash_start, &client);
    size_t i = names_until(&j->by_client, hash, time == 0 ? INT64_MAX : time + log_slack);
    for (size_t n = 0; n < SCAN_MAX && i > 0 && j->by_client.named[i - 1].hash == hash; n++, i--) {
        struct session *s = &j->t->session[j->by_client.named[i - 1].what];
        if (endpoint_equal(&s->north->connection->end[CLIENT], &client) && is_at_listener(r, s))
            return s;
    }
    return NULL;
}

static struct session *session_of_id(struct join *j, struct slice id)
{
    size_t entry = id.n > 0 ? lookup_first(&j->by_id, hash_octets(hash_start, id)) : SIZE_MAX;

    return entry == SIZE_MAX ? NULL : &j->t->session[lookup_value(&j->by_id, entry)];
}

static struct session *session_of_record(struct join *j, const struct record *r)
{
    struct session *s = session_of_id(j, record_value(r, "id"));

    return s != NULL ? s : session_of_client(j, r);
}

static void learn_id(struct join *j, const struct record *r)
{
    struct slice id = record_value(r, "id");
    struct session *s = id.n > 0 && session_of_id(j, id) == NULL ? session_of_client(j, r) : NULL;

    if (s != NULL)
        lookup_add(&j->by_id, hash_octets(hash_start, id), (size_t)(s - j->t->session));
}

static void note_via(struct join *j, size_t record)
{
    struct endpoint via, backend;
    const struct record *r = &j->t->records.record[record];

    if (record_endpoint(r, "via", &via) && record_endpoint(r, "backend", &backend))
        add_name(&j->by_via, (struct named){ via_hash(&via, &backend), record_time(r), 0, record });
}

/* Lines of whole connections from one client's address and port. Where there are as many as sessions from there, the first is of the
 * first: the log's clock is too coarse for a port that is used again within milliseconds. */
static void learn_ids(struct join *j, const struct named *line, size_t n)
{
    const struct record *record = j->t->records.record;
    size_t to = names_until(&j->by_client, line->hash, INT64_MAX), from = to;

    while (from > 0 && j->by_client.named[from - 1].hash == line->hash)
        from--;
    for (size_t i = 0; i < n; i++) {
        const struct record *r = &record[line[i].what];
        struct session *s = to - from == n ? &j->t->session[j->by_client.named[from + i].what] : NULL;
        if (s == NULL || !is_at_listener(r, s))
            learn_id(j, r);
        else if (record_value(r, "id").n > 0)
            lookup_add(&j->by_id, hash_octets(hash_start, record_value(r, "id")), (size_t)(s - j->t->session));
    }
}

static void learn_connections(struct join *j)
{
    struct records *log = &j->t->records;
    struct names lines = { 0 };
    struct endpoint client;

    for (size_t i = 0; i < log->n; i++)
        if (record_is(&log->record[i], "connection") && record_client(&log->record[i], &client))
            add_name(&lines, (struct named){ hash_endpoint(hash_start, &client), (int64_t)i, 0, i });
    sort_names(&lines);
    for (size_t i = 0, n; i < lines.n; i += n) {
        for (n = 1; i + n < lines.n && lines.named[i + n].hash == lines.named[i].hash; n++)
            ;
        learn_ids(j, &lines.named[i], n);
    }
    free(lines.named);
}

/* Ids of whole connections first: their lines name the listener, too. */
static void read_log(struct join *j)
{
    struct records *log = &j->t->records;

    learn_connections(j);
    for (size_t i = 0; i < log->n; i++) {
        const struct record *r = &log->record[i];
        bool is_transaction = record_is(r, "transaction");
        if (is_transaction || record_is(r, "refused"))
            learn_id(j, r);
        if (is_transaction)
            note_via(j, i);
    }
    sort_names(&j->by_via);
}

/* MAIL that was refused by policy has a line of its own, but was no transaction on the wire. */
static bool is_of_refused_mail(const struct record *r)
{
    struct slice outcome = record_value(r, "outcome");

    return record_value(r, "reply").p == NULL &&
           (slice_equal(outcome, SLICE("rejected")) || slice_equal(outcome, SLICE("tempfailed")));
}

static bool is_of_transaction(const struct record *r, const struct transaction *x)
{
    struct buffer from = { 0 };
    struct slice said = record_value(r, "from");

    envelope_canonical(&x->from, &from);
    bool is_same = slice_equal(said, buffer_slice(&from));
    buffer_free(&from);
    return is_same;
}

/* A session's lines come in the order of its transactions. `cursor` is the first one without a line yet. */
static void join_record(struct session *s, const struct record *r, size_t *cursor)
{
    for (size_t i = *cursor; i < s->pair_n && i < *cursor + LOOK_AHEAD; i++) {
        if (is_of_transaction(r, s->pair[i].north)) {
            s->pair[i].record = r;
            *cursor = i + 1;
            return;
        }
    }
}

static void join_records(struct join *j)
{
    struct trial *t = j->t;
    size_t *cursor = fresh((t->session_n + 1) * sizeof *cursor);

    for (size_t i = 0; i < t->records.n; i++) {
        struct record *r = &t->records.record[i];
        bool is_connection = record_is(r, "connection"), is_refusal = record_is(r, "refused");
        bool is_of_session = is_connection || is_refusal || record_is(r, "transaction");
        struct session *s = r->session = is_of_session ? session_of_record(j, r) : NULL;
        if (s == NULL)
            continue;
        if (is_connection) {
            s->record = r;
        } else if (is_refusal) {
            s->refusal = array_grow(s->refusal, s->refusal_n, sizeof *s->refusal);
            s->refusal[s->refusal_n++] = r;
        } else if (!is_of_refused_mail(r)) {
            join_record(s, r, &cursor[s - t->session]);
        }
    }
    free(cursor);
}

/* ---- connections south to sessions ---- */

/* A MAIL that went south, and what followed it. */
struct sent_mail {
    struct address from;
    const struct command *command;
    const struct transaction *transaction; /* NULL: it was not accepted */
};

static bool read_mail(const struct dialogue *d, size_t command, struct sent_mail *m)
{
    const struct command *c = &d->command[command];

    if (c->verb != VERB_MAIL)
        return false;
    *m = (struct sent_mail){ .command = c };
    address_read(&m->from, c->argument);
    if (c->transaction < d->transaction_n && d->transaction[c->transaction].mail == command)
        m->transaction = &d->transaction[c->transaction];
    return true;
}

static bool first_mail(const struct dialogue *d, struct sent_mail *m, size_t *at)
{
    for (*at = 0; *at < d->command_n; ++*at)
        if (read_mail(d, *at, m))
            return true;
    return false;
}

/* When the transaction's 4-tuple south was used again; INT64_MAX never. */
static void find_tuple_ends(struct join *j)
{
    const struct flows *f = &j->t->south.flows;
    struct lookup by_tuple = { 0 };

    j->tuple_ends = fresh((f->n + 1) * sizeof *j->tuple_ends);
    for (size_t i = 0; i < f->n; i++) {
        const struct connection *c = &f->connection[i];
        uint64_t hash = via_hash(&c->end[CLIENT], &c->end[SERVER]);
        size_t before = lookup_first(&by_tuple, hash);
        j->tuple_ends[i] = INT64_MAX;
        if (before != SIZE_MAX)
            j->tuple_ends[lookup_value(&by_tuple, before)] = c->time;
        lookup_add(&by_tuple, hash, i);
    }
    lookup_free(&by_tuple);
}

/* The session whose transaction's line names this connection; NULL when none does. */
static struct session *session_by_log(struct join *j, size_t south)
{
    const struct connection *c = j->t->south.dialogue[south].connection;
    struct endpoint via, backend;
    uint64_t hash = via_hash(&c->end[CLIENT], &c->end[SERVER]);
    const struct names *all = &j->by_via;

    if (c->is_refused) /* nothing went over it: the line is of one that has its port again */
        return NULL;
    for (size_t i = names_until(all, hash, c->time - log_slack); i < all->n && all->named[i].hash == hash; i++) {
        const struct record *r = &j->t->records.record[all->named[i].what];
        if (all->named[i].began >= j->tuple_ends[south])
            return NULL;
        if (record_endpoint(r, "via", &via) && record_endpoint(r, "backend", &backend) &&
            endpoint_equal(&via, &c->end[CLIENT]) && endpoint_equal(&backend, &c->end[SERVER]))
            return session_of_record(j, r);
    }
    return NULL;
}

/* MAIL goes south while the client waits for the answer to a RCPT. */
static bool is_within_rcpt(const struct candidate *k, int64_t time)
{
    const struct dialogue *d = k->session->north;
    const struct transaction *x = &d->transaction[k->transaction];
    size_t most = x->rcpt_n < SCAN_MAX ? x->rcpt_n : SCAN_MAX;

    for (size_t i = 0; i < most; i++) {
        const struct command *c = &d->command[x->rcpt[i]];
        if (c->place.first_time <= time && time <= reply_time(c, d->connection->last_time))
            return true;
    }
    return false;
}

/* What a search among transactions north of one name found. */
struct found {
    const struct candidate *within; /* that waited for an answer to RCPT then */
    const struct candidate *latest; /* that had begun by then, whether it waited or not */
    bool is_ambiguous;              /* several sessions waited */
};

/* Looks back from `time`, as long as somebody may have waited. */
static struct found find(const struct join *j, const struct names *names, uint64_t hash, const struct sent_mail *m,
                         bool (*is_it)(const struct address *north, const struct address *south))
{
    int64_t time = m->command->place.first_time;
    struct found f = { 0 };
    size_t i = names_until(names, hash, time);

    for (size_t looked = 0; i > 0 && names->named[i - 1].hash == hash; i--, looked++) {
        const struct named *named = &names->named[i - 1];
        const struct candidate *k = &j->candidate[named->what];
        if (f.latest != NULL && named->latest_to < time)
            break;
        if (looked == SCAN_MAX) {
            f.is_ambiguous = true;
            break;
        }
        if (!is_it(&k->session->north->transaction[k->transaction].from, &m->from))
            continue;
        if (f.latest == NULL)
            f.latest = k;
        if (!is_within_rcpt(k, time))
            continue;
        f.is_ambiguous |= f.within != NULL && f.within->session != k->session;
        if (f.within == NULL)
            f.within = k;
    }
    return f;
}

static bool same_token(const struct address *north, const struct address *south)
{
    char token[33];

    envelope_token(south->local, token);
    return has_token(north, token);
}

static struct found find_by_token(const struct join *j, const struct sent_mail *m)
{
    char token[33];

    envelope_token(m->from.local, token);
    if (token[0] == '\0')
        return (struct found){ 0 };
    return find(j, &j->by_token, name_hash(token), m, same_token);
}

static bool read_first_rcpt(const struct dialogue *d, size_t from, struct address *to)
{
    for (size_t i = from + 1; i < d->command_n && d->command[i].verb != VERB_MAIL; i++)
        if (d->command[i].verb == VERB_RCPT)
            return address_read(to, d->command[i].argument);
    return false;
}

static struct found find_by_envelope(const struct join *j, const struct dialogue *d, const struct sent_mail *m,
                                     size_t at)
{
    struct address to;

    if (!read_first_rcpt(d, at, &to))
        return (struct found){ 0 };
    return find(j, &j->by_envelope, envelope_hash(&m->from, &to), m, same_path);
}

/* Has one of the session's transactions this MAIL's token? A session that cannot be read may have. */
static bool may_have_sent(const struct session *s, const struct sent_mail *m)
{
    char token[33];

    envelope_token(m->from.local, token);
    for (size_t i = 0; i < s->pair_n && token[0] != '\0'; i++)
        if (has_token(&s->pair[i].north->from, token))
            return true;
    return token[0] == '\0' || s->doubt != NULL;
}

static struct session *session_of_found(const struct found *f)
{
    if (f->within != NULL)
        return f->within->session;
    return f->latest != NULL ? f->latest->session : NULL;
}

/* By token first, by log second; when both speak they must agree (L-4). */
static struct session *find_session(struct join *j, size_t south, struct session *by_log, bool *is_unsure)
{
    const struct dialogue *d = &j->t->south.dialogue[south];
    struct sent_mail m;
    size_t at;

    if (!first_mail(d, &m, &at))
        return by_log;
    struct found token = find_by_token(j, &m);
    struct session *s = session_of_found(&token);
    if (s != NULL && by_log != NULL && s != by_log) {
        if (token.is_ambiguous || may_have_sent(by_log, &m))
            return by_log;
        s->breach = by_log->breach =
            "the log joins this connection to the back end to another session than the token does";
    }
    if (s != NULL || by_log != NULL) {
        if (token.is_ambiguous && by_log == NULL)
            s->doubt = "two sessions at once sent this token";
        return s != NULL ? s : by_log;
    }
    struct found envelope = find_by_envelope(j, d, &m, at);
    *is_unsure = envelope.is_ambiguous;
    if (envelope.within == NULL)
        return NULL;
    if (envelope.is_ambiguous)
        envelope.within->session->doubt = "a connection to the back end fits two sessions";
    return envelope.within->session;
}

static bool has_mail(const struct dialogue *d)
{
    for (size_t i = 0; i < d->command_n; i++)
        if (d->command[i].verb == VERB_MAIL)
            return true;
    return false;
}

static void add_dialogue(const struct dialogue ***list, size_t *n, const struct dialogue *d)
{
    *list = array_grow((void *)*list, *n, sizeof **list);
    (*list)[(*n)++] = d;
}

/* TLS or a hole hides what else it carried. */
static bool may_hide_mail(const struct dialogue *d)
{
    return !d->is_readable && !d->connection->is_refused;
}

static void give_away(struct join *j, const struct dialogue *d, struct session *s, bool is_unsure)
{
    struct trial *t = j->t;

    if (s != NULL) {
        add_dialogue(&s->south, &s->south_n, d);
    } else if (!has_mail(d)) {
        add_dialogue(&t->probe, &t->probe_n, d);
    } else if (t->north.is_present && !is_unsure && north_is_clear(t, d->connection->time, d->connection->last_time)) {
        add_dialogue(&t->orphan, &t->orphan_n, d);
    } else {
        add_dialogue(&t->unexplained, &t->unexplained_n, d);
    }
}

/* ---- transactions within a session ---- */

/* How well a transaction north explains a MAIL south. */
static int likeness(const struct pair *p, const struct sent_mail *m)
{
    char token[33];

    envelope_token(m->from.local, token);
    return 4 * has_token(&p->north->from, token) + 2 * same_path(&p->north->from, &m->from) + (p->south == NULL);
}

/* `cursor` is the last transaction that had begun for sure when the MAIL went south: its own 250 was on the wire. One
 * that was pipelined may have begun since. */
static struct pair *best_pair(struct session *s, const struct sent_mail *m, size_t *cursor)
{
    const struct dialogue *d = s->north;
    int64_t time = m->command->place.first_time;
    struct pair *best = NULL;

    while (*cursor + 1 < s->pair_n && reply_time(mail_of(d, s->pair[*cursor + 1].north), INT64_MAX) <= time)
        ++*cursor;
    for (size_t i = *cursor; i < s->pair_n && i < *cursor + LOOK_AHEAD; i++) {
        struct pair *p = &s->pair[i];
        if (mail_of(d, p->north)->place.first_time > time)
            break;
        if (best == NULL || likeness(p, m) > likeness(best, m))
            best = p;
    }
    return best;
}

static void add_stray(struct session *s, const struct transaction *x)
{
    s->stray = array_grow((void *)s->stray, s->stray_n, sizeof *s->stray);
    s->stray[s->stray_n++] = x;
}

/* A transaction south that was undone before its message is no second one: so the quarantine is reached. */
static void join_mail(struct session *s, const struct dialogue *d, const struct sent_mail *m, size_t *cursor,
                      bool is_by_log)
{
    struct pair *p = best_pair(s, m, cursor);
    char token[33];

    if (p == NULL || (p->south != NULL && p->south->has_message)) {
        if (m->transaction != NULL && s->doubt == NULL)
            add_stray(s, m->transaction);
        return;
    }
    envelope_token(m->from.local, token);
    p->south_dialogue = d;
    p->south = m->transaction;
    p->is_joined_by_token = has_token(&p->north->from, token);
    p->is_joined_by_log = is_by_log;
}

static void join_transactions(struct join *j, const bool *is_by_log)
{
    const struct dialogue *first = j->t->south.dialogue;

    for (size_t i = 0; i < j->t->session_n; i++) {
        struct session *s = &j->t->session[i];
        size_t cursor = 0;
        for (size_t k = 0; k < s->south_n; k++) {
            struct sent_mail m;
            for (size_t c = 0; c < s->south[k]->command_n; c++)
                if (read_mail(s->south[k], c, &m))
                    join_mail(s, s->south[k], &m, &cursor, is_by_log[s->south[k] - first]);
        }
    }
}

/* ---- who was alive when ---- */

static void add_life(struct alive *a, const struct connection *c)
{
    int64_t to = c->last_time;

    if (a->n > 0 && a->life[a->n - 1].latest_to > to)
        to = a->life[a->n - 1].latest_to;
    a->life = array_grow(a->life, a->n, sizeof *a->life);
    a->life[a->n++] = (struct life){ c->time, to };
}

/* Nobody knows since when it was there, nor what was missed in front of it. */
static void note_late(struct alive *a, const struct connection *c)
{
    if (!c->has_start && !c->is_refused && c->time > a->late)
        a->late = c->time;
}

static bool was_alive(const struct alive *a, int64_t from, int64_t to)
{
    size_t low = 0, high = a->n; /* the first that began behind `to` */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->life[middle].from <= to)
            low = middle + 1;
        else
            high = middle;
    }
    return from <= a->late || (low > 0 && a->life[low - 1].latest_to >= from);
}

static bool is_within(const struct wire *w, int64_t time)
{
    return w->open_end == 0 || time <= w->open_end;
}

bool south_is_clear(const struct trial *t, int64_t from, int64_t to)
{
    return is_within(&t->south, to) && !was_alive(&t->unread_south, from, to);
}

/* What began before the capture north did may belong to a session that is not in it. */
bool north_is_clear(const struct trial *t, int64_t from, int64_t to)
{
    return t->north.capture.n > 0 && t->north.capture.packet[0].time <= from && is_within(&t->north, to) &&
           !was_alive(&t->unread_north, from, to);
}

bool session_is_sealed(const struct trial *t, const struct session *s)
{
    const struct dialogue *d = s->north;

    return t->keys == NULL && !d->is_readable && d->tls != NULL && !d->tls->is_decrypted &&
           d->connection->doubt == NULL;
}

/* ---- all of it ---- */

static void join_free(struct join *j)
{
    lookup_free(&j->by_id);
    free(j->by_client.named);
    free(j->by_via.named);
    free(j->by_token.named);
    free(j->by_envelope.named);
    free(j->candidate);
    free(j->tuple_ends);
}

void trial_join(struct trial *t)
{
    struct join j = { .t = t };
    bool *is_by_log = fresh((t->south.flows.n + 1) * sizeof *is_by_log);

    t->unread_north.late = t->unread_south.late = INT64_MIN;
    begin_sessions(&j);
    read_log(&j);
    find_tuple_ends(&j);
    for (size_t i = 0; i < t->session_n; i++) {
        note_late(&t->unread_north, t->session[i].north->connection);
        if (!t->session[i].north->is_readable)
            add_life(&t->unread_north, t->session[i].north->connection);
    }
    for (size_t i = 0; i < t->south.flows.n; i++) {
        struct session *by_log = session_by_log(&j, i);
        bool is_unsure = false;
        struct session *s = find_session(&j, i, by_log, &is_unsure);
        is_by_log[i] = by_log != NULL && s == by_log;
        note_late(&t->unread_south, t->south.dialogue[i].connection);
        if (s == NULL && may_hide_mail(&t->south.dialogue[i]))
            add_life(&t->unread_south, t->south.dialogue[i].connection);
        give_away(&j, &t->south.dialogue[i], s, is_unsure);
    }
    join_transactions(&j, is_by_log);
    join_records(&j);
    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north->connection->is_refused && t->session[i].south_n > 0 && t->session[i].doubt == NULL)
            t->session[i].doubt = "only its SYN was captured, and it went on";
    free(is_by_log);
    join_free(&j);
}
