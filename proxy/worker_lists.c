/* Self-tests of block lists: whichever worker finds one due asks its questions and tells all what came of it (list_states.h). The
 * resolver knows these questions by an asker that no connection has.
 */
#include "worker_parts.h"

enum { LOOK_MS = 60 * 1000 /* how often a worker looks for tests that others have left */ };

static const struct list_policy *list_at(const struct worker *w, size_t i)
{
    return (const struct list_policy *)w->config->policy.list.item + i;
}

static void end_test(struct worker *w, size_t i)
{
    const struct list_policy *list = list_at(w, i);
    const struct list_test *test = &w->list_test[i];
    enum list_change change = list_test_end(w->env.lists, list, test, w->env.now);

    if (change == LIST_AS_BEFORE)
        return;
    log_begin(w->env.log, change == LIST_SWITCHED_OFF ? LOG_WARN : LOG_INFO, "list");
    log_str(w->env.log, "list", list->name);
    log_text(w->env.log, "self_test", change == LIST_SWITCHED_OFF ? "failed" : "passed");
    log_text(w->env.log, "why", change == LIST_SWITCHED_OFF ? test->why : "it works again");
    log_end(w->env.log);
}

static void answered(struct worker *w, size_t i, unsigned question, const struct resolver_answer *answer)
{
    if (list_test_answer(&w->list_test[i], question, answer->state, answer->value, answer->n))
        end_test(w, i);
}

/* Two lists may have the same zone, and ask the same. */
void lists_answered(struct worker *w, const struct resolver_answer *answer)
{
    char name[LIST_NAME_MAX + 1];

    for (size_t i = 0; i < w->config->policy.list.n; i++)
        for (unsigned k = 0; k < LIST_TESTS; k++)
            if ((w->list_test[i].open & 1u << k) &&
                str_eq(str_from(name, list_test_name(list_at(w, i), k, name)), answer->question.key))
                answered(w, i, k, answer);
}

/* What cannot be asked for want of memory reads TEMP. */
static void ask(struct worker *w, size_t i)
{
    const struct resolver_answer none = { .state = FACT_TEMP };
    unsigned questions = w->list_test[i].open;
    char name[LIST_NAME_MAX + 1];

    for (unsigned k = 0; k < LIST_TESTS; k++) {
        size_t n = questions & 1u << k ? list_test_name(list_at(w, i), k, name) : 0;

        if (n > 0 && !resolver_ask(w->resolver, LISTS_ASKER, (struct question){ ASK_A, str_from(name, n) }))
            answered(w, i, k, &none);
    }
}

static void on_look(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    worker_clock(w);
    for (size_t i = 0; i < w->config->policy.list.n; i++)
        if (w->list_test[i].open == 0 && list_test_due(w->env.lists, list_at(w, i)) <= w->env.now &&
            list_test_take(w->env.lists, list_at(w, i), w->env.now, &w->list_test[i]))
            ask(w, i);
    lookups_collect(w);
}

void lists_open(struct worker *w)
{
    if (w->resolver != NULL && w->config->policy.list.n > 0 && w->config->policy.lists.rule.mode != RULE_OFF)
        uv_timer_start(&w->next_list_test, on_look, 0, LOOK_MS);
}
