#include "scores.h"

#include <stdio.h>

#include "../policy/score.h"

static size_t find(const struct score_list *list, const char *check)
{
    size_t i = 0;

    while (i < list->n && strcmp(list->item[i].check, check) != 0)
        i++;
    return i;
}

static struct str keep_reason(struct scores *scores, size_t i, struct str reason)
{
    size_t n = reason.n < SCORE_REASON_MAX ? reason.n : SCORE_REASON_MAX;

    if (n > 0)
        memmove(scores->reason[i], reason.p, n);
    return str_from(scores->reason[i], n);
}

/* score_add decides which of two stands; what it took is copied. */
void scores_keep(struct scores *scores, const struct score_list *found)
{
    for (size_t k = 0; k < found->n; k++) {
        size_t i = find(&scores->list, found->item[k].check);

        score_add(&scores->list, &found->item[k]);
        if (i < scores->list.n)
            scores->list.item[i].reason = keep_reason(scores, i, scores->list.item[i].reason);
    }
}

enum { NOTED_MAX = 1024 };

/* "check: reason; check: reason", as much of it as a line should hold. */
static struct str noted(const struct score_list *list, char out[NOTED_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        int added = snprintf(out + n, NOTED_MAX - n, "%s%s: %.*s", n > 0 ? "; " : "", list->item[i].check,
                             STR_ARG(list->item[i].reason));

        if (added < 0 || (size_t)added >= NOTED_MAX - n)
            break;
        n += (size_t)added;
    }
    return str_from(out, n);
}

void scores_log(const struct scores *scores, struct log *log)
{
    char room[NOTED_MAX], total[24];
    struct arena arena;
    struct str parts;

    if (scores->list.n == 0)
        return;
    arena_init(&arena, room, sizeof room);
    parts = score_parts(&scores->list, &arena);
    if (parts.n > 0) {
        int n = snprintf(total, sizeof total, "%lld", (long long)score_total(&scores->list));

        log_str(log, "score", str_from(total, (size_t)n));
        log_str(log, "points", parts);
    }
    log_str(log, "noted", noted(&scores->list, room));
}
