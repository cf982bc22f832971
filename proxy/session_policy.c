#include <stdlib.h>

#include "session_state.h"

enum { FACTS_MAX = 256, FACTS_BYTES = 32768 };

/* Made when the first question is asked, so that sessions refused by local facts alone cost nothing. */
struct facts_room {
    struct facts facts;
    struct fact table[FACTS_MAX];
    char memory[FACTS_BYTES];
};

void facts_drop(struct session *s)
{
    free(s->facts);
    s->facts = NULL;
    s->wants.ask = false;
}

struct facts *session_facts(struct session *s)
{
    return s->facts != NULL ? &s->facts->facts : NULL;
}

static struct facts *facts_room(struct session *s)
{
    if (s->facts == NULL) {
        s->facts = malloc(sizeof *s->facts);
        if (s->facts == NULL)
            return NULL;
        facts_init(&s->facts->facts, s->facts->table, FACTS_MAX, s->facts->memory, sizeof s->facts->memory);
    }
    return &s->facts->facts;
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
    };
    if (tx == NULL)
        return;
    e->is_smtputf8 = (tx->mail.mail.has & HAS_SMTPUTF8) != 0;
    e->mail_from = &tx->mail.mail.path;
    e->rcpt = stage == AT_RCPT ? &tx->rcpt.rcpt.path : NULL;
    e->rcpt_accepted = (size_t)tx->recipients;
    e->declared_size = tx->mail.mail.size;
}

static void evaluate(struct session *s, enum stage stage, const struct facts *facts, struct outcome *outcome)
{
    struct envelope envelope;
    struct message message = { { NULL, 0 }, 0 };
    struct arena arena;

    envelope_fill(s, stage, &envelope);
    if (stage >= AT_HEADERS)
        message = (struct message){ message_header(&s->tx->message), s->tx->message.size };
    arena_init(&arena, s->env->scratch, sizeof s->env->scratch);
    policy_evaluate(&s->env->config->policy, stage, &envelope, stage >= AT_HEADERS ? &message : NULL, facts, &arena,
                    outcome);
}

static void connect_judged(struct session *s, const struct verdict *v)
{
    if (v->action == ACTION_TEMPFAIL || v->action == ACTION_REJECT) {
        refuse_verdict(s, v);
        leave(s, "refused at connect");
        return;
    }
    session_greet(s);
}

static void decided(struct session *s, enum stage stage, const struct verdict *v)
{
    static void (*const go_on[STAGES])(struct session *, const struct verdict *) = {
        [AT_CONNECT] = connect_judged, [AT_HELO] = helo_judged,       [AT_MAIL] = mail_judged, [AT_RCPT] = rcpt_judged,
        [AT_DATA] = data_judged,       [AT_HEADERS] = headers_judged, [AT_END] = end_judged,
    };

    go_on[stage](s, v);
}

/* Headers are judged while the body still comes in; every other stage is waited for. */
static void await_answers(struct session *s, enum stage stage)
{
    if (stage == AT_HEADERS && !s->tx->received) {
        s->tx->headers_pending = true;
    } else {
        s->wait = WAIT_VERDICT;
        s->stage = stage;
    }
    if (!s->wants.ask)
        s->verdict_deadline = s->env->now + s->env->config->timeouts.verdict;
    s->wants.ask = true;
}

/* Notes the questions; false when there is nothing to wait for (no memory, or every cap is reached). */
static bool ask_all(struct session *s, const struct outcome *outcome)
{
    struct facts *facts = facts_room(s);
    bool is_waiting = false;

    for (size_t i = 0; facts != NULL && i < outcome->questions; i++)
        facts_ask(facts, outcome->question[i]);
    for (size_t i = 0; facts != NULL && i < facts->n; i++)
        is_waiting = is_waiting || facts->fact[i].state == FACT_UNKNOWN;
    return is_waiting;
}

void judge(struct session *s, enum stage stage)
{
    struct outcome outcome;
    struct facts closed = { .closed = true };

    evaluate(s, stage, session_facts(s), &outcome);
    if (!outcome.decided && ask_all(s, &outcome)) {
        await_answers(s, stage);
        return;
    }
    if (!outcome.decided) { /* one more pass, in which every unknown reads TEMP */
        if (s->facts != NULL)
            facts_close(&s->facts->facts);
        evaluate(s, stage, s->facts != NULL ? &s->facts->facts : &closed, &outcome);
    }
    decided(s, stage, &outcome.verdict);
}

void policy_answered(struct session *s)
{
    if (s->wait == WAIT_VERDICT)
        judge(s, s->stage);
    else if (s->tx != NULL && s->tx->headers_pending)
        judge(s, AT_HEADERS);
}

void policy_expired(struct session *s)
{
    if (s->facts != NULL)
        facts_close(&s->facts->facts);
    policy_answered(s);
}
