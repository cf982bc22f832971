/* ORACLE 1, custody: no mail lost, none invented. What is said at the end of data on one wire must be true on the
 * other.
 *
 * A-11 (nothing survives on a disk) is not on any wire: tests/e2e/test_processes.py shows that the gateway can write
 * nowhere. A-12 (killed at any point) is holding on the captures of a kill campaign. */
#include "custody_parts.h"
#include "envelope.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is looked at ---- */

void each_pair(const struct trial *t, struct tally *tally, pair_judge *judge)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        const char *doubt = s->doubt;
        if (session_is_sealed(t, s) || s->north->connection->is_refused)
            continue;
        for (size_t k = 0; doubt == NULL && k < s->pair_n; k++)
            doubt = judge(t, &s->pair[k], tally);
        if (doubt != NULL)
            unsure(tally, doubt);
    }
}

const char *south_doubt(const struct trial *t, const struct pair *p)
{
    const struct session *s = p->session;

    for (size_t i = 0; i < s->south_n; i++)
        if (!s->south[i]->is_readable)
            return s->south[i]->doubt != NULL ? s->south[i]->doubt : "the back end's side cannot be read";
    if (p->south == NULL && !south_is_clear(t, p->north->place.first_time, p->north->place.last_time))
        return "a connection to the back end that cannot be read may have carried it";
    return NULL;
}

const struct reply *reply_north(const struct pair *p)
{
    return p->north->has_message && p->north->message.is_ended ? p->north->message.reply : NULL;
}

bool is_accepted(const struct transaction *x)
{
    return x != NULL && x->has_message && x->message.is_ended && reply_is(x->message.reply, 2);
}

bool is_ended(const struct transaction *x)
{
    return x != NULL && x->has_message && x->message.is_ended;
}

static void show_end(struct violation *v, enum wire_name w, const struct message *m)
{
    if (m->by_bdat)
        show_octets(v, w, true, &m->end, SLICE("(last octet of BDAT LAST)"), "end of data");
    else
        show_octets(v, w, true, &m->end, SLICE("\r\n.\r\n"), "end of data");
}

void show_ending(struct violation *v, const struct pair *p)
{
    show_command(v, NORTH, &p->session->north->command[p->north->mail], NULL);
    if (is_ended(p->north)) {
        show_end(v, NORTH, &p->north->message);
        show_reply(v, NORTH, p->north->message.reply, NULL);
    }
    if (p->south != NULL)
        show_command(v, SOUTH, &p->south_dialogue->command[p->south->mail], NULL);
    if (is_ended(p->south)) {
        show_end(v, SOUTH, &p->south->message);
        show_reply(v, SOUTH, p->south->message.reply, NULL);
    }
    show_record(v, p->record, NULL);
}

/* ---- what became of the message south ---- */

enum fate {
    NEVER_ENDED, /* no end of data went south */
    ACCEPTED,
    DEFERRED, /* 4xx */
    REFUSED,  /* 5xx */
    UNKNOWN   /* ORACLE A-3, "anything else": no answer, one that is none, one that came before the end (X15) */
};

static enum fate fate_of(const struct pair *p)
{
    static const enum fate by_class[10] = {
        UNKNOWN, UNKNOWN, ACCEPTED, UNKNOWN, DEFERRED, REFUSED, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
    };

    if (!is_ended(p->south))
        return NEVER_ENDED;
    const struct reply *r = p->south->message.reply;
    if (r == NULL || r->code < 100 || r->code > 599 || r->place.first_time < p->south->message.end.last_time)
        return UNKNOWN;
    return by_class[r->code / 100];
}

/* The gateway need not have had the back end's answer when it gave its own: late (X3), lost with a reset (X2), or one
 * of several, or so malformed that a reader must not believe it (X16, F-8). */
static bool may_be_lost(const struct pair *p, const struct reply *north)
{
    const struct reply *r = p->south->message.reply;
    const struct stream *by_server = &p->south_dialogue->connection->stream[SERVER];
    const struct stream *by_gateway = &p->south_dialogue->connection->stream[CLIENT];
    bool has_given_up = (by_gateway->is_ended || by_gateway->is_reset) && by_gateway->end_time <= r->place.last_time;
    bool is_cut = by_server->is_reset && by_server->end_time <= north->place.first_time;

    return r->place.last_time >= north->place.first_time || has_given_up || is_cut || r->malformed != NULL ||
           p->south_dialogue->unasked_n > 0;
}

static bool is_temporary_failure(const struct reply *r)
{
    return r->code == 451 || r->code == 421;
}

/* ---- A-1 ---- */

static const struct transaction *second_delivery(const struct pair *p)
{
    const struct session *s = p->session;

    for (size_t i = 0; i < s->stray_n; i++)
        if (is_accepted(s->stray[i]) && strcmp(s->stray[i]->token, p->north->token) == 0)
            return s->stray[i];
    return NULL;
}

static const char *judge_accepted(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct reply *north = reply_north(p);

    if (!reply_is(north, 2))
        return NULL;
    const char *doubt = south_doubt(t, p);
    const struct transaction *second = second_delivery(p);
    if (doubt != NULL)
        return doubt;
    if (fate_of(p) != ACCEPTED) {
        show_ending(violated(tally, p->session, "the client was told %d, but the back end has not accepted the message",
                             north->code),
                    p);
    } else if (p->south->message.reply->place.last_time > north->place.first_time) {
        show_ending(violated(tally, p->session, "the client was told %d before the back end had said it", north->code),
                    p);
    } else if (p->south->message.reply->place.last_time == north->place.first_time) {
        return "both answers have the same time";
    } else if (second != NULL) {
        struct violation *v = violated(tally, p->session, "the back end accepted the message more than once");
        show_ending(v, p);
        show_reply(v, SOUTH, second->message.reply, "accepted again");
    } else {
        held(tally);
    }
    return NULL;
}

static void judge_a1(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_accepted);
}

/* ---- A-3 ---- */

/* Did the back end go while it was to take the message (X4)? Whoever closes first ended it. */
static bool was_lost_in_data(const struct pair *p, const struct reply *north)
{
    if (p->south == NULL || !p->south->has_message || is_ended(p->south))
        return false;
    const struct stream *by_server = &p->south_dialogue->connection->stream[SERVER];
    const struct stream *by_gateway = &p->south_dialogue->connection->stream[CLIENT];
    bool went = by_server->is_ended || by_server->is_reset;
    bool first = (!by_gateway->is_ended && !by_gateway->is_reset) || by_server->end_time < by_gateway->end_time;
    return went && first && by_server->end_time < north->place.first_time;
}

/* The back end's answer to DATA, when it took no data (X5). */
static const struct reply *refusal_of_data(const struct pair *p)
{
    if (p->south == NULL || p->south->data == SIZE_MAX || p->south->has_message)
        return NULL;
    const struct reply *r = p->south_dialogue->command[p->south->data].reply;
    return reply_is(r, 4) || reply_is(r, 5) ? r : NULL;
}

/* What should have been said north, NULL when what was said is right. */
static const char *wrong_answer(const struct pair *p, const struct reply *north)
{
    const struct reply *refusal = refusal_of_data(p);

    switch (fate_of(p)) {
    case ACCEPTED:
        if (reply_is(north, 2) || (is_temporary_failure(north) && may_be_lost(p, north)))
            return NULL;
        return "2xx";
    case DEFERRED:
        if (reply_is(north, 4))
            return NULL;
        return "4xx";
    case REFUSED:
        if (reply_is(north, 5) || (is_temporary_failure(north) && may_be_lost(p, north)))
            return NULL;
        return "5xx";
    case UNKNOWN: return is_temporary_failure(north) ? NULL : "451 or 421";
    case NEVER_ENDED: break;
    }
    if (was_lost_in_data(p, north))
        return is_temporary_failure(north) ? NULL : "451 or 421";
    if (refusal != NULL && reply_is(refusal, 4) && refusal->place.last_time < north->place.first_time)
        return reply_is(north, 4) ? NULL : "4xx";
    return reply_is(north, 2) ? "4xx or 5xx" : NULL;
}

static const char *judge_answer(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct reply *north = reply_north(p);

    if (north == NULL) /* A-9 asks why */
        return NULL;
    const char *doubt = south_doubt(t, p), *right = doubt == NULL ? wrong_answer(p, north) : NULL;
    if (doubt != NULL)
        return doubt;
    if (right == NULL) {
        held(tally);
        return NULL;
    }
    struct violation *v = violated(
        tally, p->session, "the message was answered %d, by what the back end did it should be %s", north->code, right);
    show_ending(v, p);
    show_reply(v, SOUTH, refusal_of_data(p), "the back end refuses DATA");
    return NULL;
}

static void judge_a3(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_answer);
}

/* ---- A-4 ---- */

/* The refusal is the gateway's own unless the back end's answer says the same, or its answer was lost (451, 421). */
static bool is_own_refusal(const struct pair *p, const struct reply *north)
{
    switch (fate_of(p)) {
    case ACCEPTED: return !is_temporary_failure(north) || !may_be_lost(p, north);
    case DEFERRED: return !reply_is(north, 4);
    case REFUSED: return !reply_is(north, 5) && !(is_temporary_failure(north) && may_be_lost(p, north));
    case UNKNOWN: return !is_temporary_failure(north);
    case NEVER_ENDED: break;
    }
    return true;
}

static const char *judge_refused(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct reply *north = reply_north(p);

    if (!reply_is(north, 4) && !reply_is(north, 5))
        return NULL;
    if (!is_own_refusal(p, north))
        return NULL; /* the back end's refusal is A-3's */
    const char *doubt = south_doubt(t, p);
    if (doubt != NULL)
        return doubt;
    if (!is_ended(p->south))
        held(tally);
    else
        show_ending(violated(tally, p->session,
                             "the gateway refused the message with %d, but sent its end to the back end", north->code),
                    p);
    return NULL;
}

static void judge_a4(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_refused);
}

/* ---- A-5, A-6 ---- */

static const char *judge_order(const struct trial *t, const struct pair *p, struct tally *tally)
{
    if (!is_ended(p->north) || !is_ended(p->south))
        return NULL;
    const char *doubt = south_doubt(t, p);
    if (doubt != NULL)
        return doubt;
    if (p->south->message.end.last_time > p->north->message.end.last_time)
        held(tally);
    else if (p->south->message.end.last_time == p->north->message.end.last_time)
        return "both ends of data have the same time";
    else
        show_ending(violated(tally, p->session, "the end of data went to the back end before the client had sent it"),
                    p);
    return NULL;
}

static void judge_a5(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_order);
}

static bool client_has_gone(const struct dialogue *north)
{
    const struct stream *s = &north->connection->stream[CLIENT];

    return s->is_ended || s->is_reset;
}

static const char *judge_unfinished(const struct trial *t, const struct pair *p, struct tally *tally)
{
    const struct dialogue *north = p->session->north;

    if (is_ended(p->north) || p->south == NULL)
        return NULL;
    const char *doubt = south_doubt(t, p);
    if (doubt != NULL)
        return doubt;
    if (!is_ended(p->south)) {
        held(tally);
        return NULL;
    }
    if (p->north->end == END_NONE && !client_has_gone(north))
        return "the capture ends in the client's message";
    struct violation *v =
        violated(tally, p->session, "the client never sent the end of its message, but the back end got one");
    show_ending(v, p);
    struct place gone = { .first_frame = north->connection->stream[CLIENT].end_frame,
                          .first_time = north->connection->stream[CLIENT].end_time };
    if (client_has_gone(north))
        show_octets(v, NORTH, true, &gone, SLICE(""), "the client goes");
    return NULL;
}

static void judge_a6(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_unfinished);
}

/* ---- A-9 ---- */

/* How an acceptance that the client did not hear of came about (ORACLE 6). */
enum loss { EXPLAINED_NOT, CLIENT_GONE, ANSWER_LOST, GATEWAY_KILLED, CAPTURE_ENDS };

static enum loss why_unheard(const struct pair *p)
{
    const struct reply *north = reply_north(p);
    const struct stream *by_client = &p->session->north->connection->stream[CLIENT];
    const struct stream *by_gateway = &p->session->north->connection->stream[SERVER];

    if (north != NULL)
        return is_temporary_failure(north) && may_be_lost(p, north) ? ANSWER_LOST : EXPLAINED_NOT;
    if (by_client->is_reset) /* also when the gateway's own end was told before: nobody hears what follows */
        return CLIENT_GONE;
    if (by_gateway->is_ended ||
        by_gateway->is_reset) /* X17: to a half-closed client it would have answered, so it died */
        return GATEWAY_KILLED;
    return by_client->is_ended ? CLIENT_GONE : CAPTURE_ENDS;
}

static bool outcome_is(const struct record *r, const char *word)
{
    struct slice outcome = record_value(r, "outcome");

    return slice_equal(slice_part(outcome, 0, strlen(word)), slice_of(word));
}

/* X1 is "accepted" (with or without ", reply undeliverable": the write may have been done) or, told by a session that
 * ended, "unknown". X2 and X3 are "unknown". A killed process writes nothing, and its last lines may be lost (X11). */
static bool is_logged(const struct pair *p, enum loss loss)
{
    if (loss == GATEWAY_KILLED)
        return true;
    if (p->record == NULL)
        return false;
    return outcome_is(p->record, "unknown") || (loss == CLIENT_GONE && outcome_is(p->record, "accepted"));
}

static const char *account(const struct trial *t, const struct pair *p, struct tally *tally)
{
    if (!is_accepted(p->south))
        return NULL;
    enum loss loss = why_unheard(p);
    if (reply_is(reply_north(p), 2)) {
        held(tally);
    } else if (!is_ended(p->north)) {
        return NULL; /* */
    } else if (loss == CAPTURE_ENDS) {
        return "the capture ends before the client's answer";
    } else if (loss == EXPLAINED_NOT) {
        show_ending(violated(tally, p->session,
                             "the back end accepted the message, the client was told otherwise, and neither end "
                             "explains it (X1, X2, X3, X11)"),
                    p);
    } else if (t->has_log && !is_logged(p, loss)) {
        show_ending(violated(tally, p->session, "a lost answer is not logged as such (%s)",
                             loss == CLIENT_GONE ? "X1: accepted, reply undeliverable" : "X2, X3: unknown"),
                    p);
    } else {
        held(tally);
    }
    return NULL;
}

static const struct dialogue *dialogue_of(const struct session *s, const struct transaction *x)
{
    for (size_t i = 0; i < s->south_n; i++)
        if (x >= s->south[i]->transaction && x < s->south[i]->transaction + s->south[i]->transaction_n)
            return s->south[i];
    return NULL;
}

void show_invented(struct violation *v, const struct dialogue *d, const struct transaction *x)
{
    if (d != NULL)
        show_command(v, SOUTH, &d->command[x->mail], NULL);
    show_end(v, SOUTH, &x->message);
    show_reply(v, SOUTH, x->message.reply, NULL);
}

static void account_for_strays(const struct session *s, struct tally *tally)
{
    for (size_t i = 0; i < s->stray_n; i++)
        if (is_accepted(s->stray[i]) && s->doubt != NULL)
            unsure(tally, s->doubt);
        else if (is_accepted(s->stray[i]))
            show_invented(violated(tally, s, "the back end accepted a message that this session did not send"),
                          dialogue_of(s, s->stray[i]), s->stray[i]);
}

static size_t accepted_of(const struct dialogue *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->transaction_n; i++)
        n += is_accepted(&d->transaction[i]);
    return n;
}

static void account_for_orphan(const struct dialogue *d, struct tally *tally)
{
    for (size_t i = 0; i < d->transaction_n; i++)
        if (is_accepted(&d->transaction[i]))
            show_invented(violated(tally, NULL, "the back end accepted a message that no session sent"), d,
                          &d->transaction[i]);
}

static bool has_sealed(const struct trial *t)
{
    for (size_t i = 0; i < t->session_n; i++)
        if (session_is_sealed(t, &t->session[i]))
            return true;
    return false;
}

/* S_accepted = N_250 + X1 + X2 + X3 + X11: every acceptance on the south wire is one of these. */
static void judge_a9(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, account);
    for (size_t i = 0; i < t->session_n; i++)
        account_for_strays(&t->session[i], tally);
    for (size_t i = 0; i < t->orphan_n; i++)
        account_for_orphan(t->orphan[i], tally);
    if (has_sealed(t)) /* what belongs to sessions that nobody has keys for is not looked at */
        return;
    for (size_t i = 0; i < t->unexplained_n; i++)
        if (accepted_of(t->unexplained[i]) > 0)
            unsure(tally, "a session that cannot be read may have sent it");
}

/* clang-format off */
#define PAIRS .needs_north = true, .needs_south = true
const struct invariant custody_invariants[] = {
    { .id = "A-1", .name = "250 to the client only after exactly one 2xx of the back end", .judge = judge_a1, PAIRS },
    { .id = "A-2", .name = "the message arrives as it was sent, behind our own fields", .judge = judge_message, PAIRS },
    { .id = "A-3", .name = "the back end's answer decides the client's, trouble is 451", .judge = judge_a3, PAIRS },
    { .id = "A-4", .name = "what the gateway refuses never ends at the back end", .judge = judge_a4, PAIRS },
    { .id = "A-5", .name = "the end of data goes south only after it came from the client", .judge = judge_a5, PAIRS },
    { .id = "A-6", .name = "a message that the client broke off never ends at the back end", .judge = judge_a6, PAIRS },
    { .id = "A-7", .name = "recipients south are those accepted north, in order", .judge = judge_recipients, PAIRS },
    { .id = "A-8", .name = "sender south is the canonical one north, parameters a subset", .judge = judge_mail, PAIRS },
    { .id = "A-9", .name = "accepted south = 250 north + lost answers, each logged", .judge = judge_a9, PAIRS },
    { .id = "A-10", .name = "no message is accepted more often than it was sent", .judge = judge_repeats, PAIRS },
    { .id = NULL },
};
/* clang-format on */

/* ---- the accounts ---- */

static void add_to_account(struct accounting *a, const struct pair *p)
{
    bool is_north = reply_is(reply_north(p), 2);

    a->accepted_north += is_north;
    if (!is_accepted(p->south))
        return;
    a->accepted_south++;
    if (is_north)
        return;
    switch (why_unheard(p)) {
    case CLIENT_GONE: a->client_gone++; break;
    case ANSWER_LOST: a->answer_lost++; break;
    case GATEWAY_KILLED: a->gateway_killed++; break;
    case EXPLAINED_NOT:
    case CAPTURE_ENDS: a->unexplained++; break;
    }
}

void accounting_read(struct accounting *a, const struct trial *t)
{
    size_t others = 0;

    *a = (struct accounting){ 0 };
    for (size_t i = 0; i < t->session_n; i++) {
        for (size_t k = 0; k < t->session[i].pair_n; k++)
            add_to_account(a, &t->session[i].pair[k]);
        for (size_t k = 0; k < t->session[i].stray_n; k++)
            others += is_accepted(t->session[i].stray[k]);
    }
    for (size_t i = 0; i < t->orphan_n; i++)
        others += accepted_of(t->orphan[i]);
    for (size_t i = 0; i < t->unexplained_n; i++)
        others += accepted_of(t->unexplained[i]);
    a->accepted_south += others;
    a->unexplained += others;
}
