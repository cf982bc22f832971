/* Block lists of the DNS, as sessions see them: which of them fail their self-test, how long each is waited for, and what is said of
 * them in the log.
 */
#include "session_state.h"

static const struct list_policy *list_at(const struct session *s, size_t i)
{
    return (const struct list_policy *)s->env->config->policy.list.item + i;
}

static size_t lists_n(const struct session *s)
{
    return s->env->config->policy.list.n;
}

void lists_answer_broken(struct session *s, struct facts *facts, struct question q)
{
    struct str broken[LISTS_MAX];
    size_t n = 0, most = list_states_have_broken(s->env->lists) ? lists_n(s) : 0;

    for (size_t i = 0; i < most && n < LISTS_MAX; i++)
        if (list_at(s, i)->self_test && list_is_broken(s->env->lists, list_at(s, i)))
            broken[n++] = list_at(s, i)->name;
    facts_answer(facts, q, n > 0 ? FACT_OK : FACT_NODATA, broken, n);
}

/* ---- how long they are waited for ---- */

/* How long a session waits for the answer: the most that a list in whose zone it lies has; UINT64_MAX when there is none. */
static uint64_t patience(const struct session *s, struct question q)
{
    uint64_t most = 0;

    for (size_t i = 0; q.kind == ASK_A && i < lists_n(s); i++) {
        const struct list_policy *list = list_at(s, i);

        if (domain_is_within(q.key, list->zone) && list->timeout > most)
            most = list->timeout;
    }
    return most > 0 ? most : UINT64_MAX;
}

uint64_t lists_patience(const struct session *s, const struct facts *facts)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; lists_n(s) > 0 && i < facts->n; i++) {
        uint64_t its = facts->fact[i].state == FACT_UNKNOWN ? patience(s, facts->fact[i].q) : UINT64_MAX;

        least = its < least ? its : least;
    }
    return least;
}

void lists_expire(struct session *s, struct facts *facts, uint64_t waited)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].state == FACT_UNKNOWN && patience(s, facts->fact[i].q) <= waited)
            facts_answer(facts, facts->fact[i].q, FACT_TEMP, NULL, 0);
}

/* ---- the log ---- */

static void tell(struct session *s, const struct list_policy *list, enum list_trouble trouble, struct str answer)
{
    static const char *const why[] = {
        [LIST_ALARMED] = "its answer is no listing", [LIST_SILENT] = "no answer, which is no listing"
    };
    struct log *log = s->env->log;

    if (!list_may_be_told(s->env->lists, list, trouble, s->env->now))
        return;
    log_begin(log, LOG_WARN, "list");
    log_str(log, "list", list->name);
    if (answer.n > 0)
        log_str(log, "answer", answer);
    log_text(log, "why", why[trouble]);
    log_str(log, "id", session_id(s));
    log_end(log);
}

void lists_note(struct session *s, const struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->effects; i++) {
        const struct effect *e = &outcome->effect[i];
        size_t n = str_find(e->key, ' ');

        for (size_t k = 0; e->kind == ASK_LIST && k < lists_n(s); k++)
            if (str_eq(list_at(s, k)->name, str_from(e->key.p, n)))
                tell(s, list_at(s, k), (enum list_trouble)e->units, str_skip(e->key, n < e->key.n ? n + 1 : n));
    }
}
