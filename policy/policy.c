#include "policy.h"

/* The order of judgement: of two checks that would refuse, the one further up gives the reply. */
const struct check *const policy_checks[] = {
    &check_rates,     &check_brownout,      &check_relay,      &check_recipients, &check_door,     &check_geo,
    &check_helo,      &check_sender,        &check_rdns,       &check_author,     &check_spf,      &check_dkim,
    &check_arc,       &check_dmarc,         &check_spf_alone,  &check_lists,      &check_standing, &check_greylist,
    &check_lookalike, &check_impersonation, &check_attachment, &check_score,      &check_except,
};
const size_t policy_checks_n = sizeof policy_checks / sizeof *policy_checks;

static const char *const stage_names[STAGES] = {
    [AT_CONNECT] = "connect", [AT_HELO] = "helo",       [AT_MAIL] = "mail", [AT_RCPT] = "rcpt",
    [AT_DATA] = "data",       [AT_HEADERS] = "headers", [AT_END] = "end",
};

enum { ACTIONS = ACTION_REJECT + 1 };

static const char *const action_names[ACTIONS] = {
    [ACTION_ACCEPT] = "accept",
    [ACTION_QUARANTINE] = "quarantine",
    [ACTION_TEMPFAIL] = "tempfail",
    [ACTION_REJECT] = "reject",
};

const char *stage_name(enum stage stage)
{
    return (size_t)stage < STAGES ? stage_names[stage] : "?";
}

const char *action_name(enum action action)
{
    return (size_t)action < ACTIONS ? action_names[action] : "?";
}

bool verdict_refuses(const struct verdict *v)
{
    return v->action == ACTION_TEMPFAIL || v->action == ACTION_REJECT;
}

/* ---- one pass ---- */

static void set_verdict(struct outcome *outcome, enum action action, int code, const char *enhanced, struct str text)
{
    outcome->verdict = (struct verdict){
        .action = action, .code = code, .enhanced = enhanced, .text = text, .check = "", .reason = STR_INIT("")
    };
}

/* The arrays stay as they are: only their first n elements mean anything. */
static void outcome_clear(struct outcome *outcome)
{
    outcome->decided = false;
    outcome->questions = outcome->findings = outcome->effects = outcome->jobs = 0;
    outcome->scores.n = 0;
    outcome->auth = (struct authentication){ 0 };
    set_verdict(outcome, ACTION_ACCEPT, 0, "", STR(""));
}

/* Runs the checks of this stage up to the first certain refusal. True when none of those before it is
 * pending.
 */
static bool run_checks(const struct check *const *table, size_t n, struct pass *pass)
{
    bool complete = true;

    for (size_t i = 0; i < n && !pass->refused; i++) {
        if (!(table[i]->stages & 1u << pass->stage))
            continue;
        pass->pending = false;
        table[i]->run(pass);
        if (pass->pending && !pass->refused)
            complete = false;
    }
    return complete;
}

void policy_evaluate_with(const struct check *const *table, size_t n, const struct policy *policy, enum stage stage,
                          const struct envelope *envelope, const struct message *message, const struct facts *facts,
                          struct arena *arena, struct outcome *outcome)
{
    struct pass pass = {
        .policy = policy,
        .stage = stage,
        .envelope = envelope,
        .message = message,
        .facts = facts,
        .arena = arena,
        .outcome = outcome,
    };

    outcome_clear(outcome);
    outcome->decided = run_checks(table, n, &pass);
    if (!outcome->decided) {
        set_verdict(outcome, ACTION_TEMPFAIL, 451, "4.3.0", STR("Not decided yet"));
        outcome->effects = 0;
    } else if (pass.refused) { /* what was looked ahead for, or asked on behind the refusal, is of no use */
        outcome->questions = outcome->jobs = 0;
    }
}

void policy_evaluate(const struct policy *policy, enum stage stage, const struct envelope *envelope,
                     const struct message *message, const struct facts *facts, struct arena *arena,
                     struct outcome *outcome)
{
    policy_evaluate_with(policy_checks, policy_checks_n, policy, stage, envelope, message, facts, arena, outcome);
}

/* ---- what a check may do ---- */

static bool keep_key(struct pass *pass, struct str *key)
{
    struct str kept = key->n > 0 ? arena_copy(pass->arena, *key) : STR("");

    *key = kept;
    return kept.p != NULL;
}

/* What does not fit is not lost: this pass is undecided anyway, and asks again when it comes round. */
static void note_question(struct pass *pass, struct question q)
{
    struct outcome *outcome = pass->outcome;

    for (size_t i = 0; i < outcome->questions; i++)
        if (outcome->question[i].kind == q.kind && str_eq(outcome->question[i].key, q.key))
            return;
    if (outcome->questions < OUTCOME_QUESTIONS_MAX && keep_key(pass, &q.key))
        outcome->question[outcome->questions++] = q;
}

const struct fact *pass_ask(struct pass *pass, enum ask kind, struct str key)
{
    static const struct fact temp = { .state = FACT_TEMP }, limit = { .state = FACT_LIMIT };
    struct question q = { kind, key };
    const struct fact *fact = pass->facts != NULL ? facts_find(pass->facts, q) : NULL;
    enum fact_state state;

    if (fact != NULL && fact->state != FACT_UNKNOWN)
        return fact;
    state = fact != NULL ? FACT_UNKNOWN : pass->facts != NULL ? facts_state(pass->facts, q) : FACT_TEMP;
    if (state != FACT_UNKNOWN) {
        pass->starved = pass->starved || kind <= ASK_PTR;
        return state == FACT_LIMIT ? &limit : &temp;
    }
    pass->pending = true;
    if (fact == NULL)
        note_question(pass, q);
    return NULL;
}

const struct fact *pass_verify(struct pass *pass, struct str key, struct signature_job **job)
{
    struct outcome *outcome = pass->outcome;
    size_t questions = outcome->questions;
    const struct fact *fact = pass_ask(pass, ASK_SIG, key);

    *job = NULL;
    if (fact != NULL || outcome->questions == questions)
        return fact;
    outcome->questions--; /* it goes out as a job */
    if (outcome->jobs < OUTCOME_JOBS_MAX) {
        *job = &outcome->job[outcome->jobs++];
        **job = (struct signature_job){ .name = outcome->question[outcome->questions].key };
    }
    return NULL;
}

void pass_look_ahead(struct pass *pass)
{
    pass->pending = false;
}

void pass_find(struct pass *pass, const struct check *check, const char *result, struct str detail)
{
    struct outcome *outcome = pass->outcome;

    if (outcome->findings < OUTCOME_FINDINGS_MAX)
        outcome->finding[outcome->findings++] = (struct finding){ check->name, result, detail };
}

void pass_effect(struct pass *pass, enum ask kind, struct str key, uint64_t units)
{
    struct outcome *outcome = pass->outcome;

    if (outcome->effects < OUTCOME_EFFECTS_MAX && keep_key(pass, &key))
        outcome->effect[outcome->effects++] = (struct effect){ kind, key, units };
}

void pass_refuse(struct pass *pass, const struct check *check, int code, const char *enhanced, struct str text,
                 struct str reason)
{
    if (pass->pending || pass->refused)
        return;
    pass->refused = true;
    set_verdict(pass->outcome, code < 500 ? ACTION_TEMPFAIL : ACTION_REJECT, code, enhanced, text);
    pass->outcome->verdict.check = check->name;
    pass->outcome->verdict.reason = reason;
}

void pass_quarantine(struct pass *pass, const struct check *check, struct str reason)
{
    struct verdict *verdict = &pass->outcome->verdict;

    if (pass->pending || pass->refused || verdict->action != ACTION_ACCEPT)
        return;
    *verdict = (struct verdict){
        .action = ACTION_QUARANTINE, .enhanced = "", .text = STR_INIT(""), .check = check->name, .reason = reason
    };
}

bool pass_is_short(const struct pass *pass)
{
    return pass->arena->overflowed || pass->facts == NULL || facts_are_full(pass->facts);
}

bool policy_is_exempt(const struct policy *policy, const struct envelope *envelope)
{
    return envelope->is_authenticated || network_list_holds(&policy->relay.networks, &envelope->client.address);
}

bool policy_is_for_postmaster(const struct envelope *envelope)
{
    return envelope->rcpt != NULL ? path_is_postmaster(envelope->rcpt) : envelope->only_postmaster;
}
