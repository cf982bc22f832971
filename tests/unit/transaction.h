/* A transaction in small, for tests of the whole policy: the stages one after the other, with facts that come in as the
 * test likes, in any order, or not at all.
 *
 *     transaction_start(t, &policy, &envelope, rcpt, header);
 *     while ((event = transaction_run(t)) != TRANSACTION_DONE)
 *         TRANSACTION_ASKS: answer one or more of t->facts that are FACT_UNKNOWN, or facts_close() them
 *         TRANSACTION_BODY: answer the BODY questions; the body has ended
 *     t->outcome[AT_RCPT], t->outcome[AT_HEADERS], t->outcome[AT_END]
 *
 * It goes on behind a refusal: another recipient may have been accepted, and a message that its header was refused for
 * is looked at to its end for the report (judge.h).
 */
#ifndef TESTS_TRANSACTION_H
#define TESTS_TRANSACTION_H

#include "policy/results.h"

enum transaction_event { TRANSACTION_ASKS, TRANSACTION_BODY, TRANSACTION_DONE };

enum {
    TRANSACTION_ROOM = 65536,     /* SCRATCH_SIZE of the session */
    TRANSACTION_PASSES_MAX = 1024 /* more are a loop */
};

struct transaction {
    const struct policy *policy;
    struct envelope envelope;
    const struct path *rcpt;
    struct message message;
    enum stage stage;
    bool body_has_ended;
    bool is_stuck; /* a pass was undecided though the table was closed, or there was no end of passes */
    unsigned passes;
    struct facts facts;
    struct fact table[FACTS_ROOM_MAX];
    char memory[FACTS_ROOM_BYTES];
    struct outcome outcome[STAGES];
    char room[STAGES][TRANSACTION_ROOM];
};

static inline void transaction_start(struct transaction *t, const struct policy *policy,
                                     const struct envelope *envelope, const struct path *rcpt, struct str header)
{
    t->policy = policy;
    t->envelope = *envelope;
    t->rcpt = rcpt;
    t->message = (struct message){ .header = header, .size = header.n };
    t->stage = AT_CONNECT;
    t->body_has_ended = t->is_stuck = false;
    t->passes = 0;
    facts_init(&t->facts, t->table, FACTS_ROOM_MAX, t->memory, sizeof t->memory);
}

static inline bool transaction_waits(const struct transaction *t)
{
    for (size_t i = 0; i < t->facts.n; i++)
        if (t->facts.fact[i].state == FACT_UNKNOWN)
            return true;
    return false;
}

static inline void transaction_evaluate(struct transaction *t, enum stage stage, struct outcome *outcome, char *room)
{
    struct envelope envelope = t->envelope;
    struct arena arena;

    envelope.rcpt = stage == AT_RCPT ? t->rcpt : NULL;
    envelope.rcpt_accepted = stage > AT_RCPT;
    envelope.only_postmaster = stage > AT_RCPT && t->envelope.only_postmaster;
    arena_init(&arena, room, TRANSACTION_ROOM);
    policy_evaluate(t->policy, stage, &envelope, stage >= AT_HEADERS ? &t->message : NULL, &t->facts, &arena, outcome);
}

static inline void transaction_ask(struct transaction *t, const struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->jobs; i++)
        facts_ask(&t->facts, (struct question){ ASK_SIG, outcome->job[i].name });
    for (size_t i = 0; i < outcome->questions; i++)
        facts_ask(&t->facts, outcome->question[i]);
}

/* One stage; true when it is decided. */
static inline bool transaction_decide(struct transaction *t)
{
    struct outcome *outcome = &t->outcome[t->stage];

    for (;;) {
        bool was_closed = t->facts.closed;

        t->is_stuck = t->is_stuck || ++t->passes > TRANSACTION_PASSES_MAX;
        transaction_evaluate(t, t->stage, outcome, t->room[t->stage]);
        transaction_ask(t, outcome);
        if (outcome->decided || t->is_stuck)
            return true;
        if (transaction_waits(t))
            return false;
        t->is_stuck = was_closed;
        facts_close(&t->facts); /* nobody to wait for (policy.h) */
    }
}

static inline enum transaction_event transaction_run(struct transaction *t)
{
    for (; t->stage < STAGES; t->stage++) {
        if (t->stage == AT_END && !t->body_has_ended) {
            t->body_has_ended = true;
            return TRANSACTION_BODY;
        }
        if (!transaction_decide(t))
            return TRANSACTION_ASKS;
    }
    return TRANSACTION_DONE;
}

static inline bool is_refusal(const struct verdict *v)
{
    return v->action == ACTION_REJECT || v->action == ACTION_TEMPFAIL;
}

/* ---- do two outcomes say the same? NULL, or what they differ in ---- */

static inline bool same_words(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static inline const char *verdicts_differ(const struct verdict *a, const struct verdict *b)
{
    if (a->action != b->action || a->code != b->code || !same_words(a->enhanced, b->enhanced))
        return "verdict";
    if (!str_eq(a->text, b->text))
        return "reply text";
    return same_words(a->check, b->check) && str_eq(a->reason, b->reason) ? NULL : "reason of the verdict";
}

static inline bool same_spf(const struct spf_result *a, const struct spf_result *b)
{
    return a->result == b->result && same_words(a->identity, b->identity) && str_eq(a->domain, b->domain) &&
           str_eq(a->sender, b->sender) && str_eq(a->mechanism, b->mechanism) &&
           str_eq(a->explanation, b->explanation) && str_eq(a->reason, b->reason) && a->lookups == b->lookups &&
           a->void_lookups == b->void_lookups;
}

static inline bool same_signature(const struct dkim_result *a, const struct dkim_result *b)
{
    return a->result == b->result && str_eq(a->domain, b->domain) && str_eq(a->selector, b->selector) &&
           str_eq(a->algorithm, b->algorithm) && str_eq(a->b, b->b) && str_eq(a->reason, b->reason) &&
           a->key_bits == b->key_bits && a->is_partial == b->is_partial && a->is_testing == b->is_testing &&
           a->is_presumed == b->is_presumed && a->best_is_pass == b->best_is_pass;
}

static inline bool same_dkim(const struct authentication *a, const struct authentication *b)
{
    if (a->dkim_n != b->dkim_n || a->dkim_ignored != b->dkim_ignored)
        return false;
    for (size_t i = 0; i < a->dkim_n; i++)
        if (!same_signature(&a->dkim[i], &b->dkim[i]))
            return false;
    return true;
}

static inline bool same_arc(const struct arc_result *a, const struct arc_result *b)
{
    if (a->result != b->result || a->sets != b->sets || a->sealers != b->sealers || !str_eq(a->reason, b->reason))
        return false;
    for (unsigned i = 0; i < a->sealers; i++)
        if (!str_eq(a->sealer[i], b->sealer[i]))
            return false;
    return a->is_trusted == b->is_trusted && a->said_dmarc_pass == b->said_dmarc_pass &&
           a->is_presumed == b->is_presumed && str_eq(a->trusted, b->trusted);
}

static inline bool same_dmarc(const struct dmarc_result *a, const struct dmarc_result *b)
{
    return a->result == b->result && str_eq(a->domain, b->domain) && str_eq(a->policy_domain, b->policy_domain) &&
           str_eq(a->organizational_domain, b->organizational_domain) && same_words(a->policy, b->policy) &&
           same_words(a->disposition, b->disposition) && same_words(a->aligned, b->aligned) &&
           same_words(a->override, b->override) && a->is_testing == b->is_testing && a->queries == b->queries &&
           str_eq(a->record, b->record) && str_eq(a->reason, b->reason);
}

static inline const char *results_differ(const struct authentication *a, const struct authentication *b)
{
    if (a->is_exempt != b->is_exempt || !str_eq(a->author, b->author))
        return "author";
    if (!same_spf(&a->mail_from, &b->mail_from) || !same_spf(&a->helo, &b->helo))
        return "spf";
    if (!same_dkim(a, b))
        return "dkim";
    if (!same_arc(&a->arc, &b->arc))
        return "arc";
    return same_dmarc(&a->dmarc, &b->dmarc) ? NULL : "dmarc";
}

/* The trace and the effects. */
static inline const char *notes_differ(const struct outcome *a, const struct outcome *b)
{
    if (a->findings != b->findings || a->effects != b->effects)
        return "number of findings or effects";
    for (size_t i = 0; i < a->findings; i++)
        if (!same_words(a->finding[i].check, b->finding[i].check) ||
            !same_words(a->finding[i].result, b->finding[i].result) ||
            !str_eq(a->finding[i].detail, b->finding[i].detail))
            return "finding";
    for (size_t i = 0; i < a->effects; i++)
        if (a->effect[i].kind != b->effect[i].kind || !str_eq(a->effect[i].key, b->effect[i].key) ||
            a->effect[i].units != b->effect[i].units)
            return "effect";
    return NULL;
}

static inline const char *outcomes_differ(const struct outcome *a, const struct outcome *b)
{
    const char *what = a->decided == b->decided ? verdicts_differ(&a->verdict, &b->verdict) : "decided";

    if (what == NULL)
        what = results_differ(&a->auth, &b->auth);
    return what != NULL ? what : notes_differ(a, b);
}

/* Both ran to their end. What is looked ahead for AT_DATA is as far as it happens to be. */
static inline const char *transactions_differ(const struct transaction *a, const struct transaction *b)
{
    const char *what = NULL;

    for (enum stage stage = AT_CONNECT; stage < STAGES && what == NULL; stage++)
        what = stage == AT_DATA ? verdicts_differ(&a->outcome[stage].verdict, &b->outcome[stage].verdict)
                                : outcomes_differ(&a->outcome[stage], &b->outcome[stage]);
    return what;
}

/* ---- is one better for the sender than the other? ---- */

static inline bool was_refused(const struct transaction *t)
{
    return is_refusal(&t->outcome[AT_RCPT].verdict) || is_refusal(&t->outcome[AT_HEADERS].verdict) ||
           is_refusal(&t->outcome[AT_END].verdict);
}

static inline bool passed_only_in(enum auth_result a, enum auth_result b)
{
    return a == AUTH_PASS && b != AUTH_PASS;
}

/* Does `late`, to which answers were missing, claim what `whole` does not? NULL, or what. */
static inline const char *result_is_better(const struct authentication *late, const struct authentication *whole)
{
    if (passed_only_in(late->mail_from.result, whole->mail_from.result) ||
        passed_only_in(late->helo.result, whole->helo.result))
        return "spf";
    for (size_t i = 0; i < late->dkim_n; i++)
        if (passed_only_in(late->dkim[i].result, whole->dkim[i].result))
            return "dkim";
    if (passed_only_in(late->arc.result, whole->arc.result) ||
        (late->arc.said_dmarc_pass && !whole->arc.said_dmarc_pass))
        return "arc";
    return passed_only_in(late->dmarc.result, whole->dmarc.result) ? "dmarc" : NULL;
}

/* The same of the verdict. With `temperror = record` the operator has asked for it to be better. */
static inline const char *verdict_is_better(const struct transaction *late, const struct transaction *whole)
{
    if (was_refused(late))
        return NULL;
    if (was_refused(whole))
        return "not refused";
    return whole->outcome[AT_END].verdict.action == ACTION_QUARANTINE &&
                   late->outcome[AT_END].verdict.action == ACTION_ACCEPT
               ? "no quarantine"
               : NULL;
}

#endif
