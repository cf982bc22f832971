/* What the policy found about a message: kept from the verdict until the message has gone, since it stands in front of the
 * message and in the log.
 *
 * A streamed message has its results written before its body was seen, with body hashes taken for right (DESIGN 4). When the
 * end of the body contradicts what went south, the transaction is dropped, the client is told to try again, and the worker
 * remembers what to write then (past.h).
 */
#include <stdlib.h>

#include "../policy/results.h"
#include "session_state.h"
#include "trace.h"

enum { FINDINGS_ROOM = 24576 /* results of ten methods with names of 255 octets each */, REASON_MAX = 256 };

_Static_assert(FINDINGS_ROOM + TRACE_MAX <= RESERVE_CHUNKS * CHUNK_ROOM,
               "the fields in front fit what a stream may have");

void findings_free(struct session *s)
{
    struct findings *f = &s->tx->findings;

    if (f->text != NULL)
        pool_release(&s->env->messages, f->fields_n + f->summary_n + f->reason_n);
    free(f->text);
    *f = (struct findings){ 0 };
}

struct str findings_fields(const struct transaction *tx)
{
    return str_from(tx->findings.text, tx->findings.fields_n);
}

static struct str summary_of(const struct findings *f)
{
    return f->text != NULL ? str_from(f->text + f->fields_n, f->summary_n) : STR("");
}

static struct str reason_of(const struct findings *f)
{
    return f->text != NULL ? str_from(f->text + f->fields_n + f->summary_n, f->reason_n) : STR("");
}

static void put(char **at, struct str text)
{
    if (text.n > 0)
        memcpy(*at, text.p, text.n);
    *at += text.n;
}

/* The texts in place of those before; false without memory. */
static bool keep(struct session *s, struct str fields, struct str summary, struct str reason)
{
    struct findings *f = &s->tx->findings;
    size_t n = fields.n + summary.n + reason.n;
    char *at;

    findings_free(s);
    if (n == 0)
        return true;
    if (!pool_charge(&s->env->messages, n))
        return false;
    f->text = malloc(n);
    if (f->text == NULL) {
        pool_release(&s->env->messages, n);
        return false;
    }
    f->fields_n = fields.n;
    f->summary_n = summary.n;
    f->reason_n = reason.n;
    at = f->text;
    put(&at, fields);
    put(&at, summary);
    put(&at, reason);
    return true;
}

static bool goes_to_quarantine(const struct session *s, const struct verdict *v)
{
    return v->action == ACTION_QUARANTINE && s->env->config->policy.dmarc.quarantine == QUARANTINE_REDIRECT;
}

/* What went south cannot be taken back: the front of the message, or where it goes. */
static bool contradicts(const struct session *s, const struct verdict *v, struct str fields)
{
    const struct transaction *tx = s->tx;

    return (tx->flow != FLOW_HELD && goes_to_quarantine(s, v) != tx->to_quarantine) ||
           (tx->front_sent && !str_eq(findings_fields(tx), fields));
}

/* Only here: what a message taught that was held is known again when it comes again. */
static void remember(struct session *s, const struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->effects; i++) {
        const struct effect *e = &outcome->effect[i];

        if (e->kind == ASK_PAST && e->units > 0)
            past_remember(s->env->past, e->key, s->env->now);
        else if (e->kind == ASK_PAST)
            past_forget(s->env->past, e->key);
    }
}

void findings_note(struct session *s, enum stage stage, const struct judgement *j)
{
    struct transaction *tx = s->tx;
    const struct policy *policy = &s->env->config->policy;
    const struct verdict *v = &j->outcome.verdict;
    char room[FINDINGS_ROOM];
    struct arena arena;
    struct str fields = STR(""), summary;
    bool is_accepted = !verdict_refuses(v);

    arena_init(&arena, room, sizeof room); /* not the pass's: a hostile header may have filled that */
    if (is_accepted)
        fields = results_fields(policy, &j->envelope, &j->outcome, &arena);
    summary = j->outcome.auth.is_exempt ? STR("") : results_summary(&j->outcome.auth, &arena);
    if (is_accepted && stage == AT_END && contradicts(s, v, fields)) {
        remember(s, &j->outcome);
        doom(s, 451, "4.7.0", "Message changed its authentication result, try again", "stream",
             "results written before the end of the body were not true");
        fields = STR("");
    }
    if (!keep(s, fields, summary, str_from(v->reason.p, v->reason.n < REASON_MAX ? v->reason.n : REASON_MAX)) ||
        (is_accepted && fields.p == NULL))
        doom(s, 452, "4.3.1", "Out of message memory, try again", "limits.message_memory", "no memory for results");
    tx->findings.action = v->action;
    tx->findings.check = v->check;
    if (tx->flow == FLOW_HELD)
        tx->to_quarantine = goes_to_quarantine(s, v);
}

/* "spf=pass" becomes a key and a value of the line. */
static void log_summary(struct log *log, struct str rest)
{
    char key[16];

    while (rest.n > 0) {
        struct str word = str_from(rest.p, str_find(rest, ' '));
        size_t n = str_find(word, '=');

        rest = str_skip(rest, word.n < rest.n ? word.n + 1 : word.n);
        if (n == word.n || n >= sizeof key)
            continue;
        memcpy(key, word.p, n);
        key[n] = '\0';
        log_str(log, key, str_skip(word, n + 1));
    }
}

void findings_log(struct session *s)
{
    const struct findings *f = &s->tx->findings;
    struct log *log = s->env->log;

    if (f->action == ACTION_QUARANTINE && !s->tx->doom.is_set) {
        log_text(log, "verdict", action_name(f->action));
        log_text(log, "check", f->check);
        log_str(log, "reason", reason_of(f));
    }
    if (s->tx->is_redirected)
        log_str(log, "redirected_to", s->env->config->policy.dmarc.quarantine_mailbox);
    log_summary(log, summary_of(f));
}
