/* Ask and replay (DESIGN 2): passes over the facts until the policy has decided or answers have to be awaited.
 *
 * What can be known at once is answered between two passes: signatures are verified, the worker's memory is looked into.
 * The rest is handed to the driver (session_next_question). A stage that waits for answers holds the client up, and all
 * such waits of a transaction together last timeouts.verdict at most; questions that a check only looks ahead with
 * (pass_look_ahead) hold nobody up.
 */
#include "session_state.h"

#define NEVER UINT64_MAX

/* Passes for answers while others are still to come. A pass over a header of 256 KB takes up to 5 ms, and a sender decides how
 * many answers there are and when they come: with this and limits.passes a message costs at most half a second (ORACLE R-4).
 * Ordinary mail has some ten answers, which come in a few turns of the loop.
 */
enum { EARLY_PASSES_MAX = 32 };

/* What is found from here on changes neither the front of the message nor, where that is another mailbox, its way. */
static bool is_settled(const struct session *s)
{
    bool is_on_its_way = s->env->config->policy.dmarc.quarantine == QUARANTINE_REDIRECT && s->tx->flow != FLOW_HELD;

    return s->tx->front_sent || is_on_its_way;
}

static void envelope_fill(const struct session *s, enum stage stage, struct envelope *e)
{
    const struct transaction *tx = s->tx;

    *e = (struct envelope){
        .client = s->peer.client,
        .helo = str_from(s->helo, s->helo_n),
        .is_esmtp = s->is_esmtp,
        .is_tls = s->is_tls,
        .is_authenticated = s->is_authenticated,
        .now = s->env->unix_ms / 1000,
        .listener = s->peer.listener->name,
        .talked_early = str_of(s->talked_early != NULL ? s->talked_early : ""),
        .pipelined = s->pipelined,
        .usage = s->usage,
    };
    if (tx == NULL)
        return;
    e->scores = &tx->scores.list;
    e->front_sent = is_settled(s);
    e->is_smtputf8 = (tx->mail.mail.has & HAS_SMTPUTF8) != 0;
    e->mail_from = &tx->mail.mail.path;
    e->rcpt = stage == AT_RCPT ? &tx->rcpt.rcpt.path : NULL;
    if (e->rcpt != NULL)
        e->known_recipient = memory_of_recipient(s, route_for(s, e->rcpt), e->rcpt);
    e->rcpt_accepted = (size_t)tx->recipients;
    e->only_postmaster = tx->recipients > 0 && !tx->has_others;
    e->declared_size = tx->mail.mail.size;
}

/* How the mail server does, where that is judged: who comes anew, and who begins another message. */
static void load_fill(const struct session *s, enum stage stage, struct envelope *e)
{
    const struct brownout_policy *brownout = &s->env->config->policy.brownout;

    if (brownout->rule.mode == RULE_OFF || (stage != AT_CONNECT && stage != AT_MAIL))
        return;
    e->reply_ms = servers_reply_time(s->env->servers, s->env->now);
    if (e->reply_ms >= brownout->slow)
        e->standing = standing_of(s->env->standing, &e->client.address, (uint64_t)e->now);
}

/* `facts` may be NULL: unknowns read TEMP. */
static void evaluate(struct session *s, enum stage stage, const struct facts *facts, struct judgement *j)
{
    const struct message *message = NULL;

    envelope_fill(s, stage, &j->envelope);
    load_fill(s, stage, &j->envelope);
    if (stage >= AT_HEADERS) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): facts of a stage with a message end with its transaction
        j->message = (struct message){ message_header(&s->tx->message), s->tx->message.size };
        message = &j->message;
    }
    arena_init(&j->arena, s->env->scratch, sizeof s->env->scratch);
    policy_evaluate(&s->env->config->policy, stage, &j->envelope, message, facts, &j->arena, &j->outcome);
}

/* ---- questions ---- */

static void answer(struct facts *facts, enum ask kind, struct str key, const char *value)
{
    const struct str text = str_of(value);

    facts_answer(facts, (struct question){ kind, key }, text.n > 0 ? FACT_OK : FACT_NODATA, &text, text.n > 0);
}

/* Want of memory is no word against a signature: nobody may refuse a message for it (ORACLE X14). */
static void verify_signatures(struct facts *facts, const struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->jobs; i++) {
        const struct signature_job *job = &outcome->job[i];
        const char *result = signature_verify(job);

        if (result != NULL)
            answer(facts, ASK_SIG, job->name, result);
        else
            facts_answer(facts, (struct question){ ASK_SIG, job->name }, FACT_TEMP, NULL, 0);
    }
}

/* True when it is answered: from memory, or because there is nobody to ask. */
static bool answer_at_once(struct session *s, struct facts *facts, const struct question *q)
{
    switch (q->kind) {
    case ASK_PAST:
        answer(facts, ASK_PAST, q->key, past_holds(s->env->past, q->key, s->env->now) ? "fail" : "");
        return true;
    case ASK_TXT:
    case ASK_A:
    case ASK_AAAA:
    case ASK_MX:
    case ASK_PTR: return false;
    case ASK_LIST: lists_answer_broken(s, facts, *q); return true;
    case ASK_SEEN:
    case ASK_STANDING: memory_answer(s, facts, q); return true;
    case ASK_GEO: geo_answer(facts, q, s->env->geo); return true;
    case ASK_SIG:
    case ASK_PARTS:
    case ASK_BODY:
    case ASK_KINDS: break;
    }
    facts_answer(facts, *q, FACT_TEMP, NULL, 0);
    return true;
}

/* Notes what the outcome asks, and answers what can be answered now. True when another pass may know more. */
static bool ask(struct session *s, enum stage stage, const struct outcome *outcome)
{
    const struct facts_room *before;
    struct facts *facts;
    bool answered = outcome->jobs > 0;

    if (outcome->jobs + outcome->questions == 0)
        return false;
    before = s->facts;
    facts = facts_room(s, stage);
    if (facts == NULL)
        return false;
    if (++s->facts->passes > s->env->config->limits.passes) {
        facts->limited = true; /* from here on what is not in the table reads LIMIT, so nothing is asked any more */
        return true;
    }
    verify_signatures(facts, outcome);
    for (size_t i = 0; i < outcome->questions; i++) {
        if (answer_at_once(s, facts, &outcome->question[i]))
            answered = true;
        else if (facts_ask(facts, outcome->question[i]))
            s->wants.ask = true;
    }
    return answered || (before != NULL && s->facts != before); /* the outcome may point into a room that is gone */
}

/* Passes until none of them learns anything that need not be waited for. Each of them but the last has put facts into the
 * table or closed it, so they come to an end.
 */
static void evaluate_and_ask(struct session *s, enum stage stage, struct judgement *j)
{
    const struct facts nothing_known = { .max = 1 };

    do
        evaluate(s, stage, s->facts != NULL ? &s->facts->facts : &nothing_known, j);
    while (ask(s, stage, &j->outcome));
}

static bool has_unknowns(const struct session *s)
{
    for (size_t i = 0; s->facts != NULL && i < s->facts->facts.n; i++)
        if (s->facts->facts.fact[i].state == FACT_UNKNOWN)
            return true;
    return false;
}

/* As above; but with nothing in flight (no memory, or every cap is reached) it decides with what is known. */
static void decide_if_possible(struct session *s, enum stage stage, struct judgement *j)
{
    evaluate_and_ask(s, stage, j);
    if (j->outcome.decided || has_unknowns(s))
        return;
    if (s->facts != NULL)
        facts_close(&s->facts->facts);
    evaluate(s, stage, session_facts(s), j);
}

/* The other checks had their say AT_CONNECT before the greeting. Undecided is no refusal. */
bool early_talker_is_refused(struct session *s, struct judgement *j)
{
    static const struct check *const door[] = { &check_door };
    const struct facts nothing_known = { .max = 1 };

    envelope_fill(s, AT_CONNECT, &j->envelope);
    do {
        arena_init(&j->arena, s->env->scratch, sizeof s->env->scratch);
        policy_evaluate_with(door, 1, &s->env->config->policy, AT_CONNECT, &j->envelope, NULL,
                             s->facts != NULL ? &s->facts->facts : &nothing_known, &j->arena, &j->outcome);
    } while (ask(s, AT_CONNECT, &j->outcome));
    return j->outcome.decided && verdict_refuses(&j->outcome.verdict);
}

void body_ended(struct session *s)
{
    struct facts *facts = message_has_answers(&s->tx->message) ? facts_room(s, AT_END) : NULL;

    if (facts != NULL)
        message_answer_body(&s->tx->message, facts);
}

/* ---- verdicts ---- */

static void connect_judged(struct session *s, const struct verdict *v)
{
    if (verdict_refuses(v)) {
        refuse_verdict(s, v);
        leave(s, "refused at connect");
        return;
    }
    session_greet(s);
}

/* What is held against a client before it has a transaction is told at once; in one, it goes along to its end. What a refused
 * recipient is charged with goes with it; a message is refused for all its points. */
static void note_scores(struct session *s, enum stage stage, const struct outcome *outcome)
{
    if (s->tx != NULL && (stage >= AT_HEADERS || !verdict_refuses(&outcome->verdict)))
        scores_keep(&s->tx->scores, &outcome->scores);
    for (size_t i = 0; s->tx == NULL && i < outcome->scores.n; i++)
        log_noted(s, &outcome->scores.item[i]);
}

static void decided(struct session *s, enum stage stage, const struct verdict *v)
{
    static void (*const go_on[STAGES])(struct session *, const struct verdict *) = {
        [AT_CONNECT] = connect_judged, [AT_HELO] = helo_judged,       [AT_MAIL] = mail_judged, [AT_RCPT] = rcpt_judged,
        [AT_DATA] = data_judged,       [AT_HEADERS] = headers_judged, [AT_END] = end_judged,
    };

    go_on[stage](s, v);
}

/* ---- waiting ---- */

/* Headers are judged while the body still comes in; every other stage is waited for. */
static void await_answers(struct session *s, enum stage stage)
{
    if (stage == AT_HEADERS && !s->tx->received) {
        s->tx->headers_pending = true;
    } else {
        s->wait = WAIT_VERDICT;
        s->stage = stage;
    }
}

/* Nobody waits for the headers' verdict while the body comes in; but it stops coming when it would have to be streamed. */
static bool holds_up(const struct session *s)
{
    return s->wait == WAIT_VERDICT || (s->tx != NULL && s->tx->headers_pending && !data_may_read(s));
}

void policy_clock(struct session *s)
{
    struct facts_room *room = s->facts;

    if (room == NULL)
        return;
    if (holds_up(s) && room->wait_since == NEVER) {
        room->wait_since = s->env->now;
    } else if (!holds_up(s) && room->wait_since != NEVER) {
        room->waited += s->env->now - room->wait_since;
        room->wait_since = NEVER;
    }
}

/* All waits of a transaction together may last so long. */
static uint64_t verdict_deadline(const struct session *s)
{
    const struct facts_room *room = s->facts;
    uint64_t most = s->env->config->timeouts.verdict;

    return room->wait_since + (room->waited < most ? most - room->waited : 0);
}

uint64_t policy_deadline(const struct session *s)
{
    const struct facts_room *room = s->facts;
    uint64_t deadline, most;

    if (room == NULL || room->wait_since == NEVER)
        return NEVER;
    deadline = verdict_deadline(s);
    most = lists_patience(s, &room->facts);
    return most < deadline - room->wait_since ? room->wait_since + most : deadline;
}

void judge(struct session *s, enum stage stage)
{
    struct judgement j;

    decide_if_possible(s, stage, &j);
    if (!j.outcome.decided && has_unknowns(s)) {
        await_answers(s, stage);
        return;
    }
    if (s->facts != NULL) {
        s->facts->looks_ahead = true;
        s->facts->ahead = stage;
    }
    if (stage >= AT_HEADERS) {
        findings_note(s, stage, &j);
        memory_note(s, stage, &j.outcome);
    }
    note_scores(s, stage, &j.outcome);
    lists_note(s, &j.outcome);
    decided(s, stage, &j.outcome.verdict);
}

/* Answers came that nobody waits for: the checks ask on about them, and their verdict was given already. */
static void look_ahead(struct session *s)
{
    struct judgement j;

    evaluate_and_ask(s, s->facts->ahead, &j);
}

static bool is_worth_a_pass(struct session *s)
{
    return !has_unknowns(s) || s->facts->early++ < EARLY_PASSES_MAX;
}

void policy_answered(struct session *s)
{
    bool is_doomed = s->tx != NULL && s->tx->doom.is_set;

    if (!is_worth_a_pass(s))
        return;
    if (s->wait == WAIT_VERDICT)
        judge(s, s->stage);
    else if (s->tx != NULL && s->tx->headers_pending)
        judge(s, AT_HEADERS);
    else if (s->facts != NULL && s->facts->looks_ahead && !is_doomed)
        look_ahead(s);
}

void policy_expired(struct session *s)
{
    if (s->facts != NULL && s->env->now < verdict_deadline(s))
        lists_expire(s, &s->facts->facts, s->env->now - s->facts->wait_since);
    else if (s->facts != NULL)
        facts_close(&s->facts->facts);
    policy_answered(s);
}
