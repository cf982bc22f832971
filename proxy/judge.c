#include "judge.h"

#include <stdlib.h>

#include "../policy/header.h"

/* ---- the message ---- */

/* A LF alone ends a line of a file; on the wire it is written CRLF. */
static size_t put_wire_form(struct str octets, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < octets.n; i++) {
        if (octets.p[i] == '\n' && (i == 0 || octets.p[i - 1] != '\r'))
            out[n++] = '\r';
        out[n++] = octets.p[i];
    }
    return n;
}

/* As BDAT would bring it: no dots to unstuff. Chunks are never longer than what was read, so they move to the front in place;
 * in normalise mode a bare CR grows by one octet, hence two buffers.
 */
static size_t decode(struct str wire, bool normalise, char *out, enum data_fault *fault)
{
    struct data_decoder decoder;
    size_t n = 0, used;

    data_init(&decoder, true, false, normalise);
    while (wire.n > 0) {
        enum data_event event = data_read(&decoder, wire, &used);

        wire = str_skip(wire, used);
        if (event != DATA_CHUNK)
            continue;
        memcpy(out + n, decoder.chunk.p, decoder.chunk.n);
        n += decoder.chunk.n;
    }
    data_finish(&decoder);
    *fault = decoder.fault;
    if (n < 2 || out[n - 2] != '\r' || out[n - 1] != '\n') { /* message_finish */
        memcpy(out + n, "\r\n", 2);
        n += 2;
    }
    return n;
}

bool judge_message_read(struct judge_message *m, struct str octets, bool normalise)
{
    size_t room = 2 * octets.n + 4, n;
    char *wire = malloc(room);
    enum data_fault fault;

    *m = (struct judge_message){ .memory = malloc(2 * room), .has_body = true };
    if (wire == NULL || m->memory == NULL) {
        free(wire);
        judge_message_free(m);
        return false;
    }
    n = decode(str_from(wire, put_wire_form(octets, wire)), normalise, m->memory, &fault);
    free(wire);
    m->fault = message_rule_of_fault(fault);
    m->size = n;
    m->front = str_from(m->memory, 1);
    m->header = str_from(m->memory, n);
    m->header.n = header_length(m->header, &m->is_complete);
    m->body = str_skip(str_from(m->memory, n), m->header.n + (m->is_complete ? 2 : 0));
    return true;
}

void judge_message_free(struct judge_message *m)
{
    free(m->memory);
    *m = (struct judge_message){ 0 };
}

/* ---- answers ---- */

static size_t count_lines(struct str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

/* A word of the text costs a slice, its octets and their alignment; it has one octet and a blank at least. */
unsigned judge_known_read(struct facts *facts, struct str text, void **memory, bool *fits)
{
    size_t lines = count_lines(text) + 1, octets = 32 * text.n + 4096;
    char *room = malloc(lines * sizeof(struct fact) + octets);

    *memory = room;
    *fits = room != NULL;
    if (room == NULL)
        return 0;
    facts_init(facts, *memory, lines, room + lines * sizeof(struct fact), octets);
    return facts_load(facts, text);
}

static void give_known(struct judge *j, struct question q, enum fact_state state, const struct fact *fact)
{
    facts_answer(&j->facts, q, state, fact != NULL ? fact->value : NULL, fact != NULL ? fact->n : 0);
}

/* From what is known already. A recording says for its unlisted questions when a cap was reached; that its time had run out
 * says nothing about a question that nobody had yet (replay.c looks at that).
 */
static bool answer_known(struct judge *j, struct question q)
{
    const struct fact *fact = j->in.known != NULL ? facts_find(j->in.known, q) : NULL;

    if (fact != NULL && fact->state != FACT_UNKNOWN)
        give_known(j, q, fact->state, fact);
    else if (fact == NULL && j->in.known != NULL && j->in.known->limited)
        give_known(j, q, FACT_LIMIT, NULL);
    else
        return false;
    return true;
}

static void mark_computed(struct judge *j, struct question q)
{
    for (size_t i = 0; i < j->facts.n; i++)
        if (j->facts.fact[i].q.kind == q.kind && str_eq(j->facts.fact[i].q.key, q.key))
            j->is_computed[i] = true;
}

static void do_job(struct judge *j, const struct signature_job *job)
{
    const struct question q = { ASK_SIG, job->name };
    const char *result;
    struct str word;

    if (answer_known(j, q))
        return;
    result = signature_verify(job);
    j->signatures++;
    if (result != NULL) {
        word = str_of(result);
        facts_answer(&j->facts, q, FACT_OK, &word, 1);
    } else
        facts_answer(&j->facts, q, FACT_TEMP, NULL, 0);
    mark_computed(j, q);
}

/* Of what only a running proxy remembers, which is nothing here. Whether a sender had come before a greylist that is tried on
 * records nobody knows, and it is not guessed.
 */
static bool is_nothing_here(const struct judge *j, enum ask kind)
{
    return kind == ASK_PAST || kind == ASK_LIST || kind == ASK_STANDING || (kind == ASK_SEEN && j->in.known == NULL);
}

static bool is_for_databases(const struct judge *j, enum ask kind)
{
    return kind == ASK_GEO && (j->in.geo != NULL || !geoip_is_configured(&j->policy.geo));
}

static void ask(struct judge *j, struct question q)
{
    if (answer_known(j, q))
        return;
    if (is_for_databases(j, q.kind))
        geo_answer(&j->facts, &q, j->in.geo);
    else if (is_nothing_here(j, q.kind))
        facts_answer(&j->facts, q, FACT_NODATA, NULL, 0);
    else
        facts_ask(&j->facts, q);
}

/* limits.passes, as in the session: over it, what is not in the table reads LIMIT. */
static void answer_outcome(struct judge *j, const struct outcome *outcome)
{
    if (outcome->jobs + outcome->questions > 0 && ++j->asking_passes > j->in.config->limits.passes)
        j->facts.limited = true;
    if (j->facts.limited)
        return;
    for (size_t i = 0; i < outcome->jobs; i++)
        do_job(j, &outcome->job[i]);
    for (size_t i = 0; i < outcome->questions; i++)
        ask(j, outcome->question[i]);
}

static size_t count_answers(const struct judge *j)
{
    size_t n = 0;

    for (size_t i = 0; i < j->facts.n; i++)
        n += j->facts.fact[i].state != FACT_UNKNOWN;
    return n;
}

static void give_parts(struct judge *j)
{
    const struct attachment_policy *a = &j->policy.attachment;
    const struct mime_limits limits = { a->depth, a->parts };
    struct mime mime;

    if (a->rule.mode == RULE_OFF)
        return;
    mime_begin(&mime, j->in.message->header, &limits);
    mime_add(&mime, j->in.message->body);
    mime_end(&mime, &j->facts);
}

/* The body has ended: its hashes and its parts are facts now. */
static void give_body(struct judge *j)
{
    const struct judge_message *m = j->in.message;
    const struct facts *known = j->in.known;
    struct body_hashes hashes;
    size_t before;

    for (size_t i = 0; known != NULL && i < known->n; i++)
        if ((known->fact[i].q.kind == ASK_BODY || known->fact[i].q.kind == ASK_PARTS) &&
            known->fact[i].state != FACT_UNKNOWN)
            facts_give(&j->facts, known->fact[i].q, known->fact[i].state, known->fact[i].value, known->fact[i].n);
    before = j->facts.n;
    if (m->has_body) {
        body_hashes_begin(&hashes, m->header, (size_t)j->policy.dkim.signatures);
        body_hashes_add(&hashes, m->body);
        body_hashes_end(&hashes, &j->facts);
        give_parts(j);
    }
    for (size_t i = before; i < j->facts.n; i++)
        j->is_computed[i] = true;
}

void judge_miss(struct judge *j, size_t i)
{
    facts_answer(&j->facts, j->facts.fact[i].q, FACT_TEMP, NULL, 0);
    j->is_missing[i] = true;
}

/* ---- one stage ---- */

static void envelope_fill(const struct judge *j, const struct judge_step *step, struct envelope *e)
{
    const struct judge_input *in = &j->in;

    *e = (struct envelope){ .client = in->client, .is_tls = in->is_tls, .now = in->now };
    if (step->stage < AT_HELO)
        return;
    e->helo = in->helo;
    e->is_esmtp = in->is_esmtp;
    if (step->stage < AT_MAIL)
        return;
    e->is_authenticated = in->is_authenticated;
    e->is_smtputf8 = in->is_smtputf8;
    e->talked_early = in->talked_early ? STR("recorded") : STR("");
    e->pipelined = in->pipelined;
    e->mail_from = in->mail_from;
    e->rcpt = step->rcpt;
    e->scores = &j->scores.list;
    e->rcpt_accepted = j->accepted;
    e->only_postmaster = j->accepted > 0 && j->only_postmaster;
}

static void evaluate(struct judge *j, struct judge_step *step)
{
    struct envelope envelope;
    struct message message;
    struct arena arena;

    envelope_fill(j, step, &envelope);
    if (step->stage >= AT_HEADERS)
        message = (struct message){ j->in.message->header, j->in.message->size };
    arena_init(&arena, step->scratch, POLICY_ARENA_SIZE);
    step->passes++;
    policy_evaluate(&j->policy, step->stage, &envelope, step->stage >= AT_HEADERS ? &message : NULL, &j->facts, &arena,
                    &step->outcome);
}

/* Passes until the stage is decided; JUDGE_ASKS when somebody else has to answer first: what is known is used up before that,
 * since it may be enough, as it was for the session whose record this is. A pass that nobody can help is followed by one in
 * which every unknown reads TEMP, as in the session.
 */
static enum judge_state decide(struct judge *j, struct judge_step *step)
{
    for (;;) {
        size_t answers = count_answers(j);

        evaluate(j, step);
        answer_outcome(j, &step->outcome);
        if (step->outcome.decided) {
            if (step->stage >= AT_HEADERS || (step->stage >= AT_MAIL && !verdict_refuses(&step->outcome.verdict)))
                scores_keep(&j->scores, &step->outcome.scores);
            return JUDGE_DONE;
        }
        if (count_answers(j) > answers)
            continue;
        if (answers < j->facts.n)
            return JUDGE_ASKS;
        if (j->facts.closed) /* cannot be: then the 451 of an undecided outcome stands */
            return JUDGE_DONE;
        facts_close(&j->facts);
    }
}

static struct judge_step *step_add(struct judge *j, enum stage stage, const struct path *rcpt)
{
    struct judge_step **grown = realloc(j->step, (j->steps + 1) * sizeof(struct judge_step *));
    struct judge_step *step = NULL;

    if (grown != NULL) {
        j->step = grown;
        step = calloc(1, sizeof *step);
    }
    if (step != NULL)
        step->scratch = malloc(POLICY_ARENA_SIZE);
    if (step == NULL || step->scratch == NULL) {
        free(step);
        return NULL;
    }
    step->stage = stage;
    step->rcpt = rcpt;
    j->step[j->steps++] = step;
    return step;
}

static void end_with(struct judge *j, const struct verdict *verdict, const struct judge_step *decider)
{
    j->verdict = *verdict;
    j->decider = decider;
    j->is_done = true;
}

static void end_without_memory(struct judge *j)
{
    const struct verdict v = { ACTION_TEMPFAIL, 451, "4.3.0", STR("Out of memory, try again"), "memory", STR("") };

    j->out_of_memory = true;
    end_with(j, &v, NULL);
}

/* ---- the order of things ---- */

/* A refusal by a rule that comes before the checks, as a step of its own. */
static bool refused_by_rule(struct judge *j, enum stage stage, enum message_rule rule)
{
    const struct message_refusal *r = &message_refusals[rule];
    struct judge_step *step;

    if (rule == RULE_NONE)
        return false;
    step = step_add(j, stage, NULL);
    if (step == NULL) {
        end_without_memory(j);
        return true;
    }
    step->rule = rule;
    step->outcome.decided = true;
    step->outcome.verdict =
        (struct verdict){ ACTION_REJECT, r->code, r->enhanced, str_of(r->text), r->check, str_of(r->reason) };
    if (j->steps > 1) /* what was found before stands */
        step->outcome.auth = j->step[j->steps - 2]->outcome.auth;
    end_with(j, &step->outcome.verdict, step);
    return true;
}

/* What stands before AT_HEADERS: a header that never ends well, or one that no check has to see. */
static bool header_is_refused(struct judge *j)
{
    const struct judge_message *m = j->in.message;
    enum message_rule rule = message_rule_of_header(j->in.config, m->front, m->header);

    if (m->header.n > j->in.config->limits.header_size)
        rule = RULE_HEADER_SIZE;
    else if (m->fault != RULE_NONE && !m->is_complete)
        rule = m->fault;
    return refused_by_rule(j, AT_HEADERS, rule);
}

static bool body_is_refused(struct judge *j)
{
    const struct judge_message *m = j->in.message;

    if (!j->is_settled &&
        refused_by_rule(j, AT_END, m->size > j->in.config->limits.message_size ? RULE_MESSAGE_SIZE : m->fault))
        return true;
    give_body(j);
    return false;
}

static void recipient_judged(struct judge *j, const struct judge_step *step)
{
    const struct path *path = &j->in.rcpt[j->rcpt - 1];

    if (verdict_refuses(&step->outcome.verdict)) {
        if (j->rcpt == j->in.rcpts && j->accepted == 0) {
            const struct judge_step *first = step;

            for (size_t i = j->steps; i-- > 0;) /* the first recipient's refusal speaks for all */
                if (j->step[i]->stage == AT_RCPT)
                    first = j->step[i];
            end_with(j, &first->outcome.verdict, first);
        }
        return;
    }
    j->only_postmaster = j->only_postmaster && path_is_postmaster(path);
    j->accepted++;
}

static void step_decided(struct judge *j, const struct judge_step *step)
{
    const struct verdict *v = &step->outcome.verdict;

    if (j->is_settled) {
        j->is_done = true;
        return;
    }
    if (step->stage == AT_RCPT)
        recipient_judged(j, step);
    else if (verdict_refuses(v))
        end_with(j, v, step);
    if (j->is_done && step->stage == AT_HEADERS && j->in.message->has_body) {
        j->is_settled = true;
        j->is_done = false;
    }
    if (!j->is_done && (step->stage == AT_END || (step->stage == AT_DATA && j->in.message == NULL)))
        end_with(j, v, v->action == ACTION_QUARANTINE ? step : NULL);
}

/* The next step, or NULL when a rule has ended it. */
static struct judge_step *step_next(struct judge *j)
{
    enum stage stage = j->stage;
    const struct path *rcpt = NULL;
    struct judge_step *step;

    if (stage == AT_HEADERS && header_is_refused(j))
        return NULL;
    if (stage == AT_END && body_is_refused(j))
        return NULL;
    if (stage == AT_RCPT)
        rcpt = &j->in.rcpt[j->rcpt++];
    if (stage != AT_RCPT || j->rcpt == j->in.rcpts)
        j->stage = (enum stage)(stage + 1);
    step = step_add(j, stage, rcpt);
    if (step == NULL)
        end_without_memory(j);
    return step;
}

/* A recipient without a domain, in a copy of the policy that takes such: whatever the local domains are, relaying is no
 * question then.
 */
static void assume_recipient(struct judge *j)
{
    path_parse(STR("<recipient>"), PATH_FORWARD, 0, j->assumed_room, &j->assumed_rcpt, NULL);
    j->policy.relay.allow_unqualified = true;
    j->in.rcpt = &j->assumed_rcpt;
    j->in.rcpts = 1;
}

void judge_begin(struct judge *j, const struct judge_input *in)
{
    *j = (struct judge){ .in = *in, .policy = in->config->policy, .only_postmaster = true };
    facts_init(&j->facts, j->table, (size_t)in->config->limits.facts, j->memory, sizeof j->memory);
    if (in->rcpts == 0)
        assume_recipient(j);
}

enum judge_state judge_run(struct judge *j)
{
    while (!j->is_done) {
        struct judge_step *step = j->is_deciding ? j->step[j->steps - 1] : step_next(j);

        if (step == NULL)
            continue;
        j->is_deciding = decide(j, step) == JUDGE_ASKS;
        if (j->is_deciding)
            return JUDGE_ASKS;
        step_decided(j, step);
    }
    return JUDGE_DONE;
}

void judge_end(struct judge *j)
{
    for (size_t i = 0; i < j->steps; i++) {
        free(j->step[i]->scratch);
        free(j->step[i]);
    }
    free(j->step);
    j->step = NULL;
    j->steps = 0;
}

/* ---- what was found ---- */

const struct authentication *judge_authentication(const struct judge *j)
{
    return j->steps > 0 ? &j->step[j->steps - 1]->outcome.auth : NULL;
}

static bool has_finding(const struct judge_step *step, const char *check)
{
    for (size_t i = 0; i < step->outcome.findings; i++)
        if (strcmp(step->outcome.finding[i].check, check) == 0)
            return true;
    return false;
}

static bool is_told_later(const struct judge *j, size_t step, const char *check)
{
    for (size_t i = step + 1; i < j->steps; i++)
        if (j->step[i]->stage != j->step[step]->stage && has_finding(j->step[i], check))
            return true;
    return false;
}

/* That the recipient we made up is one is no finding. */
static bool is_about_assumed(const struct judge *j, const struct judge_step *step, const char *check)
{
    return step->rcpt == &j->assumed_rcpt && strcmp(check, check_relay.name) == 0;
}

/* `*at` counts all findings of all steps. */
bool judge_next_finding(const struct judge *j, size_t *at, const struct judge_step **step,
                        const struct finding **finding)
{
    size_t skip = *at;

    for (size_t i = 0; i < j->steps; i++) {
        const struct outcome *o = &j->step[i]->outcome;

        for (; skip < o->findings; skip++) {
            ++*at;
            if (is_told_later(j, i, o->finding[skip].check) || is_about_assumed(j, j->step[i], o->finding[skip].check))
                continue;
            *step = j->step[i];
            *finding = &o->finding[skip];
            return true;
        }
        skip -= o->findings;
    }
    return false;
}
