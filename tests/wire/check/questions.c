/* ORACLE 9, the DNS wire: how much is asked, whom, in which words, and for whom.
 *
 * A query does not say for which session it is asked. What belongs to a session is known only while no other one is
 * there, so caps are counted over sessions that overlap, and a question is called a second one only when a single
 * session was there for both. What the captures leave open is not looked at.
 *
 * Not judged here, because no capture of the gateway's side shows it: that answers with a wrong id, port or name are
 * passed over (the second half of D-2; tests/unit/test_resolver.c sends such), that a name is escaped and never cut
 * (D-3; test_spf_macro.c), and the length of CNAME chains (D-6: the resolver follows them). */
#include "dns.h"
#include "invariant.h"
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

enum {
    DNS_PORT = 53,
    SCAN_MAX = 512, /* things of one name that are looked at */
    IDS_FROM = 16,  /* questions: below, chance explains everything */
    SPREAD_FROM = 64,
    PORTS_LEAST = 8
};

static const int64_t second = INT64_C(1000000000);
static const int64_t tick =
    INT64_C(20000); /* between two wires of one host: what happens at once may not show in order */
static const int64_t prompt = INT64_C(100000000);  /* an answer within the least [dns] timeout was not too late */
static const int64_t retry = INT64_C(60000000000); /* the same again within this may be another try */
static const int64_t never = INT64_MAX;

/* ---- queries and answers ---- */

struct query {
    int64_t time;
    struct endpoint from, to;
    struct dns_message message;
    const struct packet *packet; /* NULL: by TCP */
    uint32_t frame;
    bool is_tcp, is_cut;
    size_t before;    /* the last query with the same question; SIZE_MAX none */
    int64_t answered; /* never */
    struct dns_message answer;
};

struct tcp_talk {
    struct endpoint to;
    int64_t time;
    size_t queries; /* that could be read */
};

struct questions {
    const struct trial *trial;
    struct query *query; /* in the order of time */
    size_t n;
    struct tcp_talk *talk;
    size_t talk_n;
    struct flows flows;
    struct lookup by_question; /* all, the latest first */
    struct lookup by_asker;    /* while they are read */
};

static bool is_resolver(const struct settings *set, const struct endpoint *e)
{
    for (size_t i = 0; i < set->resolver_n; i++)
        if (endpoint_equal(&set->resolver[i], e))
            return true;
    return false;
}

static bool is_server(const struct trial *t, const struct endpoint *e)
{
    return e->port == DNS_PORT || is_resolver(&t->settings, e);
}

static uint64_t asker_hash(const struct endpoint *client, const struct endpoint *server, uint16_t id)
{
    uint8_t octets[2] = { (uint8_t)(id >> 8), (uint8_t)id };

    return hash_octets(hash_endpoint(hash_endpoint(hash_start, client), server), (struct slice){ octets, 2 });
}

static void add_query(struct questions *q, const struct query *query)
{
    q->query = array_grow(q->query, q->n, sizeof *q->query);
    q->query[q->n] = *query;
    lookup_add(&q->by_asker, asker_hash(&query->from, &query->to, query->message.id), q->n);
    q->n++;
}

/* The first answer that fits counts: id, ends and question are the query's (RFC 5452 9.1). */
static void add_answer(struct questions *q, const struct endpoint *client, const struct endpoint *server,
                       const struct dns_message *m, int64_t time)
{
    size_t entry = lookup_first(&q->by_asker, asker_hash(client, server, m->id));

    for (size_t n = 0; q->query != NULL && entry != SIZE_MAX && n < SCAN_MAX;
         n++, entry = lookup_next(&q->by_asker, entry)) {
        struct query *query = &q->query[lookup_value(&q->by_asker, entry)];
        bool fits = endpoint_equal(&query->from, client) && endpoint_equal(&query->to, server) &&
                    query->message.id == m->id && query->message.type == m->type &&
                    dns_same_name(query->message.name, m->name);
        if (!fits || query->time > time)
            continue;
        if (query->answered == never) {
            query->answered = time;
            query->answer = *m;
        }
        return;
    }
}

static void read_packet(struct questions *q, const struct packet *p)
{
    struct query query = { .time = p->time, .from = p->from, .to = p->to, .packet = p, .frame = p->frame };

    query.is_cut = p->cut > 0;
    query.answered = never;
    if (p->is_tcp || (!is_server(q->trial, &p->to) && !is_server(q->trial, &p->from)))
        return;
    if (!dns_read(&query.message, p->payload) && !query.is_cut)
        return;
    if (query.message.is_answer)
        add_answer(q, &p->to, &p->from, &query.message, p->time);
    else if (is_server(q->trial, &p->to))
        add_query(q, &query);
}

/* A message by TCP has its length in front (RFC 1035 4.2.2); false: the next one is not all there. */
static bool next_message(const struct stream *s, size_t *at, struct slice *message, const struct span **span)
{
    const uint8_t *p = s->octets.p;
    size_t length;

    if (s->octets.n - *at < 2)
        return false;
    length = (size_t)p[*at] << 8 | p[*at + 1];
    if (s->octets.n - *at - 2 < length)
        return false;
    *message = (struct slice){ p + *at + 2, length };
    *at += 2 + length;
    *span = stream_span(s, *at - 1);
    return true;
}

static void read_connection(struct questions *q, const struct connection *c)
{
    struct tcp_talk talk = { .to = c->end[SERVER], .time = c->time };
    struct slice octets;
    const struct span *span;

    for (size_t at = 0; next_message(&c->stream[CLIENT], &at, &octets, &span);) {
        struct query query = { .time = span->time, .from = c->end[CLIENT], .to = c->end[SERVER], .frame = span->frame };
        query.is_tcp = true;
        query.answered = never;
        if (dns_read(&query.message, octets) && !query.message.is_answer) {
            add_query(q, &query);
            talk.queries++;
        }
    }
    for (size_t at = 0; next_message(&c->stream[SERVER], &at, &octets, &span);) {
        struct dns_message m;
        if (dns_read(&m, octets) && m.is_answer)
            add_answer(q, &c->end[CLIENT], &c->end[SERVER], &m, span->time);
    }
    q->talk = array_grow(q->talk, q->talk_n, sizeof *q->talk);
    q->talk[q->talk_n++] = talk;
}

static int by_time(const void *a, const void *b)
{
    const struct query *x = a, *y = b;

    if (x->time != y->time)
        return (x->time > y->time) - (x->time < y->time);
    return (x->frame > y->frame) - (x->frame < y->frame);
}

/* The latest query with this question among those in the table; SIZE_MAX none. */
static size_t find_question(const struct questions *q, const struct dns_message *m)
{
    size_t entry = lookup_first(&q->by_question, dns_hash(hash_start, m->name, m->type));

    for (size_t n = 0; entry != SIZE_MAX && n < SCAN_MAX; n++, entry = lookup_next(&q->by_question, entry)) {
        const struct query *other = &q->query[lookup_value(&q->by_question, entry)];
        if (other->message.type == m->type && dns_same_name(other->message.name, m->name))
            return lookup_value(&q->by_question, entry);
    }
    return SIZE_MAX;
}

static void link_questions(struct questions *q)
{
    qsort(q->query, q->n, sizeof *q->query, by_time);
    for (size_t i = 0; i < q->n; i++) {
        const struct dns_message *m = &q->query[i].message;
        q->query[i].before = SIZE_MAX;
        if (m->name.p == NULL)
            continue;
        q->query[i].before = find_question(q, m);
        lookup_add(&q->by_question, dns_hash(hash_start, m->name, m->type), i);
    }
}

static void questions_read(struct questions *q, const struct trial *t)
{
    *q = (struct questions){ .trial = t };
    for (size_t i = 0; i < t->east.n; i++)
        read_packet(q, &t->east.packet[i]);
    flows_read(&q->flows, &t->east, 0);
    for (size_t i = 0; i < q->flows.n; i++)
        if (is_server(t, &q->flows.connection[i].end[SERVER]))
            read_connection(q, &q->flows.connection[i]);
    if (q->n > 0)
        link_questions(q);
}

static void questions_free(struct questions *q)
{
    flows_free(&q->flows);
    lookup_free(&q->by_question);
    lookup_free(&q->by_asker);
    free(q->query);
    free(q->talk);
}

/* Not another try of one that is under way. */
static bool is_first(const struct questions *q, const struct query *query)
{
    return query->before == SIZE_MAX || query->time - q->query[query->before].time > retry;
}

static void show_query(struct violation *v, const struct query *query, const char *note)
{
    struct place p = {
        .first_frame = query->frame, .last_frame = query->frame, .first_time = query->time, .last_time = query->time
    };

    if (query->packet != NULL)
        show_packet(v, EAST, query->packet, note);
    else
        show_octets(v, EAST, true, &p, query->message.name, note);
}

/* "TXT" and the like are for people; numbers do for what a gateway has no use for. */
static const char *type_name(uint16_t type)
{
    switch (type) {
    case 1: return "A";
    case 5: return "CNAME";
    case DNS_PTR: return "PTR";
    case 15: return "MX";
    case 16: return "TXT";
    case 28: return "AAAA";
    default: return "records of another type";
    }
}

static struct violation *tell(struct tally *y, const struct session *s, const struct query *query, const char *what)
{
    struct buffer name = { 0 };
    struct violation *v;

    dns_print(query->message.name, &name);
    v = violated(y, s, "%s: %s of %.*s", what, type_name(query->message.type), SLICE_ARG(buffer_slice(&name)));
    buffer_free(&name);
    show_query(v, query, NULL);
    return v;
}

/* ---- who was there ---- */

struct visit {
    int64_t from, to;
    size_t session;
};

/* How many sessions there were at a time, and which when it was one: counts and sums of those that had begun, and of
 * those that were over. */
struct presence {
    struct visit *visit; /* by `from` */
    size_t n;
    struct mark {
        int64_t time;
        size_t sum; /* of the session numbers up to here */
    } * begun, *over;
};

static int by_beginning(const void *a, const void *b)
{
    const struct visit *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static int by_mark(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;

    return (x->time > y->time) - (x->time < y->time);
}

static struct mark *marks_of(const struct presence *p, bool of_ends)
{
    struct mark *mark = fresh(p->n * sizeof *mark);

    for (size_t i = 0; i < p->n; i++)
        mark[i] = (struct mark){ of_ends ? p->visit[i].to : p->visit[i].from, p->visit[i].session };
    if (p->n > 0)
        qsort(mark, p->n, sizeof *mark, by_mark);
    for (size_t i = 1; i < p->n; i++)
        mark[i].sum += mark[i - 1].sum;
    return mark;
}

/* A connection without a beginning or an end in the capture was there before it, or after it. */
static struct visit visit_of(const struct trial *t, size_t session)
{
    const struct connection *c = t->session[session].north->connection;
    bool is_over = c->stream[SERVER].is_ended || c->stream[SERVER].is_reset || c->stream[CLIENT].is_reset;

    return (struct visit){ c->has_start ? c->time - tick : INT64_MIN, is_over ? c->last_time + tick : never, session };
}

static void presence_begin(struct presence *p, const struct trial *t)
{
    *p = (struct presence){ .visit = fresh(t->session_n * sizeof *p->visit) };
    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north != NULL && !t->session[i].north->connection->is_refused)
            p->visit[p->n++] = visit_of(t, i);
    if (p->n > 0)
        qsort(p->visit, p->n, sizeof *p->visit, by_beginning);
    p->begun = marks_of(p, false);
    p->over = marks_of(p, true);
}

static void presence_end(struct presence *p)
{
    free(p->visit);
    free(p->begun);
    free(p->over);
}

/* How many marks are before `time` (or at it). */
static size_t count(const struct mark *mark, size_t n, int64_t time, bool at_it)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mark[middle].time < time || (at_it && mark[middle].time == time))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many sessions were there; `*one` is the only one's number, else SIZE_MAX. */
static size_t present(const struct presence *p, int64_t time, size_t *one)
{
    size_t begun = count(p->begun, p->n, time, true), over = count(p->over, p->n, time, false);
    size_t sum = (begun > 0 ? p->begun[begun - 1].sum : 0) - (over > 0 ? p->over[over - 1].sum : 0);

    *one = begun - over == 1 ? sum : SIZE_MAX;
    return begun - over;
}

/* ---- D-1: how many ---- */

/* Sessions that overlap, one after the other. */
struct crowd {
    int64_t from, to;
    size_t sessions, first; /* a session of it */
    uint64_t transactions;
    bool is_clear;
};

/* Each MAIL begins anew, also one that is refused; so does TLS. */
static void join_crowd(struct crowd *c, const struct trial *t, const struct visit *visit)
{
    const struct dialogue *d = t->session[visit->session].north;
    uint64_t mails = 0;

    for (size_t i = 0; i < d->command_n; i++)
        mails += d->command[i].verb == VERB_MAIL;
    c->transactions += (mails > 0 ? mails : 1) + (d->starttls != SIZE_MAX);
    c->sessions++;
    c->to = visit->to > c->to ? visit->to : c->to;
    c->is_clear = c->is_clear && d->is_readable;
}

/* Questions of this crowd, from query `*at` on: those that it had not asked before. */
static size_t count_questions(const struct questions *q, const struct crowd *c, size_t *at, const struct query **last)
{
    size_t n = 0;

    while (*at < q->n && q->query[*at].time < c->from)
        ++*at;
    for (; *at < q->n && q->query[*at].time <= c->to; ++*at) {
        const struct query *query = &q->query[*at];
        if (query->before != SIZE_MAX && q->query[query->before].time >= c->from)
            continue;
        *last = query;
        n++;
    }
    return n;
}

static void judge_crowd(struct tally *y, const struct questions *q, const struct crowd *c, size_t *at)
{
    const struct trial *t = q->trial;
    const struct query *last = NULL;
    uint64_t n = count_questions(q, c, at, &last), most = c->transactions * t->settings.max_facts;

    if (n <= most) {
        held(y);
    } else if (!c->is_clear) {
        unsure(y, "a session whose transactions cannot be counted asked more than one may");
    } else {
        struct violation *v =
            violated(y, c->sessions == 1 ? &t->session[c->first] : NULL,
                     "%llu questions for %llu transactions of %zu sessions; the cap is %u each", (unsigned long long)n,
                     (unsigned long long)c->transactions, c->sessions, t->settings.max_facts);
        show_query(v, last, "the last one");
    }
}

static void judge_number(const struct trial *t, struct tally *y)
{
    struct questions q;
    struct presence p;
    size_t at = 0;

    questions_read(&q, t);
    presence_begin(&p, t);
    for (size_t i = 0; i < p.n;) {
        struct crowd c = { p.visit[i].from, p.visit[i].to, 0, p.visit[i].session, 0, true };
        for (; i < p.n && p.visit[i].from <= c.to; i++)
            join_crowd(&c, t, &p.visit[i]);
        judge_crowd(y, &q, &c, &at);
    }
    presence_end(&p);
    questions_free(&q);
}

/* ---- D-2: whom, and how well hidden ---- */

static void judge_servers(struct tally *y, const struct questions *q)
{
    const struct settings *set = &q->trial->settings;
    char server[ENDPOINT_TEXT];

    for (size_t i = 0; i < q->n && set->resolver_n > 0; i++) {
        if (is_resolver(set, &q->query[i].to)) {
            held(y);
            continue;
        }
        show_query(
            violated(y, NULL, "%s is asked, which is no configured resolver", endpoint_print(&q->query[i].to, server)),
            &q->query[i], NULL);
    }
}

/* What an attacker has to guess, over the first tries by UDP. */
struct guess {
    uint8_t seen_ids[8192], seen_ports[8192];
    size_t n, ids, ports, steps; /* different ones; of ids, by one up */
    uint16_t last_id;
    const struct query *last;
};

static bool is_new(uint8_t seen[8192], uint16_t number)
{
    uint8_t bit = (uint8_t)(1U << (number & 7));
    bool is = (seen[number >> 3] & bit) == 0;

    seen[number >> 3] |= bit;
    return is;
}

static bool is_step(uint16_t from, uint16_t to)
{
    uint16_t by = (uint16_t)(to - from);

    return by <= 1 || by == 256; /* 256: counted in the other order of octets */
}

static void guess_more(struct guess *g, const struct query *query)
{
    uint16_t id = query->message.id;

    g->ids += is_new(g->seen_ids, id);
    g->ports += is_new(g->seen_ports, query->from.port);
    g->steps += g->n > 0 && is_step(g->last_id, id);
    g->last_id = id;
    g->last = query;
    g->n++;
}

/* Of n numbers out of 65536, at least this many are different ones, or chance is out of the question: half of n, and of
 * all that there are. */
static bool is_spread(size_t different, size_t n)
{
    return different >= n / 2 || different >= 16384;
}

static void judge_guess(struct tally *y, const struct guess *g)
{
    const char *what = NULL;

    if (g->n < IDS_FROM)
        return;
    if (g->steps >= IDS_FROM / 2 && g->steps >= g->n / 4)
        what = "the ids of queries count up";
    else if (g->n >= SPREAD_FROM && !is_spread(g->ids, g->n))
        what = "the ids of queries are few";
    else if (g->ports == 1 || (g->n >= SPREAD_FROM && g->ports < PORTS_LEAST))
        what = "queries are sent from the same ports";
    if (what == NULL)
        held(y);
    else
        show_query(violated(y, NULL, "%s: %zu ids (%zu by one up), %zu ports, of %zu queries", what, g->ids, g->steps,
                            g->ports, g->n),
                   g->last, "the last of them");
}

static void judge_askers(const struct trial *t, struct tally *y)
{
    struct guess *g = fresh(sizeof *g);
    struct questions q;

    questions_read(&q, t);
    judge_servers(y, &q);
    for (size_t i = 0; i < q.n; i++)
        if (!q.query[i].is_tcp && !q.query[i].is_cut && is_first(&q, &q.query[i]))
            guess_more(g, &q.query[i]);
    judge_guess(y, g);
    questions_free(&q);
    free(g);
}

/* ---- D-3: names that are names ---- */

static void judge_names(const struct trial *t, struct tally *y)
{
    struct questions q;

    questions_read(&q, t);
    for (size_t i = 0; i < q.n; i++) {
        if (q.query[i].is_cut)
            unsure(y, "the snap length has cut a query");
        else if (q.query[i].message.fault != NULL)
            show_query(violated(y, NULL, "a query for what is no name: %s", q.query[i].message.fault), &q.query[i],
                       NULL);
        else
            held(y);
    }
    questions_free(&q);
}

/* ---- D-4: once in a session ---- */

/* The answer was there in time to be kept, and still holds. */
static bool is_known(const struct query *before, int64_t time)
{
    return before->answered < time && before->answered - before->time < prompt && before->answer.is_usable &&
           time - before->answered + second < (int64_t)before->answer.ttl * second;
}

/* An operator may have bounded the memory for answers: then it forgets sooner than their TTL says. */
static bool may_forget(const struct settings *set)
{
    return settings_value(set, "dns", "cache_size") != NULL || settings_value(set, "dns", "cache_ttl") != NULL;
}

static void judge_once(const struct trial *t, struct tally *y)
{
    struct questions q;
    struct presence p;

    if (may_forget(&t->settings))
        return;
    questions_read(&q, t);
    presence_begin(&p, t);
    for (size_t i = 0; i < q.n; i++) {
        const struct query *query = &q.query[i], *before = query->before != SIZE_MAX ? &q.query[query->before] : NULL;
        size_t now = SIZE_MAX, then = SIZE_MAX;
        if (query->message.name.p == NULL || present(&p, query->time, &now) != 1)
            continue;
        if (before == NULL || !is_known(before, query->time) || present(&p, before->time, &then) != 1 || then != now) {
            held(y);
            continue;
        }
        show_query(tell(y, &t->session[now], query, "a question that this session had an answer to is asked again"),
                   before, "the first time");
    }
    presence_end(&p);
    questions_free(&q);
}

/* ---- D-5: what did not fit is fetched ---- */

/* A connection to the query's server, soon after its answer, on which nothing could be asked. */
static bool is_tried(const struct questions *q, const struct query *query)
{
    size_t low = 0, high = q->talk_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (q->talk[middle].time <= query->answered)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t n = 0; n < SCAN_MAX && low < q->talk_n && q->talk[low].time < query->answered + 10 * second; n++, low++)
        if (q->talk[low].queries == 0 && endpoint_equal(&q->talk[low].to, &query->to))
            return true;
    return false;
}

/* After the answer: the question by TCP, or a connection to that server that came to nothing. */
static bool is_fetched(const struct questions *q, const struct query *query)
{
    size_t entry = lookup_first(&q->by_question, dns_hash(hash_start, query->message.name, query->message.type));

    for (size_t n = 0; entry != SIZE_MAX && n < SCAN_MAX; n++, entry = lookup_next(&q->by_question, entry)) {
        const struct query *other = &q->query[lookup_value(&q->by_question, entry)];
        bool is_same =
            other->message.type == query->message.type && dns_same_name(other->message.name, query->message.name);
        bool is_other_answer = other != query && other->answered < query->answered && other->answer.is_usable;
        if (is_same && ((other->is_tcp && other->time > query->answered) || is_other_answer))
            return true;
    }
    return is_tried(q, query);
}

/* The only session there went on to an answer, so it did not wait for more. */
static const struct session *who_went_on(const struct trial *t, const struct presence *p, int64_t time)
{
    size_t one;

    if (present(p, time, &one) != 1)
        return NULL;
    for (size_t i = t->session[one].pair_n; i > 0; i--) {
        const struct reply *r = t->session[one].pair[i - 1].north->message.reply;
        if (r != NULL)
            return r->place.first_time > time ? &t->session[one] : NULL;
    }
    return NULL;
}

static int64_t end_of(const struct trial *t)
{
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < t->east.n; i++)
        last = t->east.packet[i].time > last ? t->east.packet[i].time : last;
    return last;
}

static void judge_truncated(const struct trial *t, struct tally *y)
{
    int64_t end = end_of(t);
    struct questions q;
    struct presence p;

    questions_read(&q, t);
    presence_begin(&p, t);
    for (size_t i = 0; i < q.n; i++) {
        const struct query *query = &q.query[i];
        if (query->is_tcp || query->answered == never || !query->answer.is_truncated)
            continue;
        const struct session *s = who_went_on(t, &p, query->answered);
        if (is_fetched(&q, query))
            held(y);
        else if (s != NULL || end > query->answered + second)
            tell(y, s, query, "a truncated answer is not fetched by TCP");
        else
            unsure(y, "the capture ends behind a truncated answer");
    }
    presence_end(&p);
    questions_free(&q);
}

/* ---- D-7: nobody asks for those who were turned away ---- */

/* "7.100.51.198" on the wire: labels, no root. Returns its length. */
static size_t reversed(const struct endpoint *client, uint8_t out[128])
{
    static const uint8_t v4[12] = { [10] = 0xFF, [11] = 0xFF };
    static const char digits[] = "0123456789abcdef";
    struct buffer b = { 0 };
    bool is_v4 = memcmp(client->address, v4, sizeof v4) == 0;

    for (size_t i = 16; i > (is_v4 ? 12 : 0); i--) {
        unsigned octet = client->address[i - 1];
        if (is_v4)
            buffer_printf(&b, "%c%u", octet > 99 ? 3 : octet > 9 ? 2 : 1, octet);
        else
            buffer_printf(&b, "\001%c\001%c", digits[octet & 15], digits[octet >> 4]);
    }
    size_t n = b.n < 128 ? b.n : 128;
    memcpy(out, b.p, n);
    buffer_free(&b);
    return n;
}

/* A DNSBL has the client's address in front, and a zone of its own behind it (RFC 5782). */
static bool is_dnsbl(const struct query *query, const struct endpoint *client)
{
    uint8_t name[128];
    struct slice front = { name, reversed(client, name) };

    return query->message.type != DNS_PTR && slice_equal_nocase(slice_part(query->message.name, 0, front.n), front);
}

/* The first query at or behind `time`. */
static size_t query_from(const struct questions *q, int64_t time)
{
    size_t low = 0, high = q->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (q->query[middle].time < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void judge_refused(struct tally *y, const struct questions *q, const struct presence *p,
                          const struct visit *visit)
{
    const struct session *s = &q->trial->session[visit->session];
    const struct connection *c = s->north->connection;
    size_t one;

    for (size_t i = query_from(q, c->time); i < q->n && q->query[i].time <= visit->to; i++) {
        if (present(p, q->query[i].time, &one) != 1)
            return; /* it may be another's */
        if (one != visit->session || !is_first(q, &q->query[i]) || is_dnsbl(&q->query[i], &c->end[CLIENT]))
            continue;
        show_reply(tell(y, s, &q->query[i], "a question for a client that was refused at once"), NORTH,
                   s->north->greeting, "the refusal");
        return;
    }
    held(y);
}

static void judge_doors(const struct trial *t, struct tally *y)
{
    struct questions q;
    struct presence p;

    questions_read(&q, t);
    presence_begin(&p, t);
    for (size_t i = 0; i < p.n; i++) {
        const struct reply *greeting = t->session[p.visit[i].session].north->greeting;
        if (greeting != NULL && greeting->code >= 400)
            judge_refused(y, &q, &p, &p.visit[i]);
    }
    presence_end(&p);
    questions_free(&q);
}

/* ---- */

const struct invariant question_invariants[] = {
    { .id = "D-1",
      .name = "no more questions than the cap, for each transaction",
      .judge = judge_number,
      .needs_north = true,
      .needs_east = true },
    { .id = "D-2",
      .name = "only configured resolvers are asked, by ids and ports that nobody can guess",
      .judge = judge_askers,
      .needs_east = true },
    { .id = "D-3", .name = "every name asked for is one", .judge = judge_names, .needs_east = true },
    { .id = "D-4",
      .name = "a question that was answered is not asked again in the session",
      .judge = judge_once,
      .needs_north = true,
      .needs_east = true },
    { .id = "D-5", .name = "a truncated answer is fetched by TCP", .judge = judge_truncated, .needs_east = true },
    { .id = "D-7",
      .name = "nothing is asked for a client that was refused at once",
      .judge = judge_doors,
      .needs_north = true,
      .needs_east = true },
    { .id = NULL },
};
