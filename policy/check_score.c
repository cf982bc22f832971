/* The score: what single objections are too weak for, their sum may decide. It comes last in the table. */
#include "score.h"

/* The points so far: those of the stages before and of this pass, each check once. */
void score_sum(const struct score_list *before, const struct score_list *now, struct score_list *sum)
{
    *sum = before != NULL ? *before : (struct score_list){ 0 };
    for (size_t i = 0; i < now->n; i++)
        score_add(sum, &now->item[i]);
}

static int64_t size_of(int64_t points)
{
    return points < 0 ? -points : points;
}

void score_add(struct score_list *list, const struct score *score)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->item[i].check, score->check) == 0) {
            if (score->is_sum || size_of(score->points) > size_of(list->item[i].points))
                list->item[i] = *score;
            return;
        }
    if (list->n < SCORES_MAX)
        list->item[list->n++] = *score;
}

int64_t score_total(const struct score_list *list)
{
    int64_t total = 0;

    for (size_t i = 0; i < list->n; i++)
        total += list->item[i].points;
    return total;
}

struct str score_parts(const struct score_list *list, struct arena *arena)
{
    size_t before = arena->used;

    for (size_t i = 0; i < list->n; i++)
        if (list->item[i].points != 0)
            arena_printf(arena, "%s%s:%s%llu", arena->used > before ? "," : "", list->item[i].check,
                         list->item[i].points < 0 ? "-" : "", (unsigned long long)size_of(list->item[i].points));
    return arena->used > before ? str_from(arena->base + before, arena->used - before) : STR("");
}

static bool reaches(int64_t total, uint64_t threshold)
{
    return threshold > 0 && total >= (int64_t)threshold;
}

/* "12 points of 10: dnsbl:8,rdns:4" */
static struct str explain(struct pass *pass, const struct score_list *sum, int64_t total, uint64_t threshold)
{
    return arena_printf(pass->arena, "%llu points of %llu: %.*s", (unsigned long long)total,
                        (unsigned long long)threshold, STR_ARG(score_parts(sum, pass->arena)));
}

/* What counts for marking a message, in number and in words: all of it, or what was known while it could still be marked. */
static const struct score_list *mark_of(const struct envelope *envelope, const struct score_list *sum)
{
    static const struct score_list none = { .n = 0 };

    if (!envelope->front_sent)
        return sum;
    return envelope->scores != NULL ? envelope->scores : &none;
}

static void mark(struct pass *pass, const struct score_list *points)
{
    uint64_t threshold = pass->policy->score.quarantine;
    int64_t total = score_total(points);

    if (reaches(total, threshold))
        pass_quarantine(pass, &check_score, explain(pass, points, total, threshold));
}

/* A recipient is refused as soon as the points suffice; what a message is marked with is settled when all of it is known. */
static void run(struct pass *pass)
{
    const struct score_policy *policy = &pass->policy->score;
    struct score_list *sum = arena_take(pass->arena, sizeof *sum);
    int64_t total;

    if (sum == NULL || policy_is_exempt(pass->policy, pass->envelope) || policy_is_for_postmaster(pass->envelope))
        return;
    score_sum(pass->envelope->scores, &pass->outcome->scores, sum);
    total = score_total(sum);
    if (total != 0)
        pass_find(pass, &check_score, reaches(total, policy->tag) ? "tag" : "low", score_parts(sum, pass->arena));
    if (reaches(total, policy->reject))
        pass_refuse(pass, &check_score, 550, "5.7.1", STR("Message looks like spam: too many points against it"),
                    explain(pass, sum, total, policy->reject));
    else if (pass->stage >= AT_HEADERS)
        mark(pass, mark_of(pass->envelope, sum));
}

#define SCORE(field) offsetof(struct policy, score.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "score", .key = "tag", .type = OPTION_NUMBER, .offset = SCORE(tag), .preset = "5", .max = 1000, .unit = "points",
      .help = "From here on X-Postern-Verdict says \"suspicious\". 0: never." },
    { .section = "score", .key = "quarantine", .type = OPTION_NUMBER, .offset = SCORE(quarantine), .preset = "0", .max = 1000,
      .unit = "points", .help = "From here on the message is quarantined, as [dmarc] quarantine says how. 0: never." },
    { .section = "score", .key = "reject", .type = OPTION_NUMBER, .offset = SCORE(reject), .preset = "10", .max = 1000,
      .unit = "points", .help = "From here on recipients or messages are refused. 0: never." },
};
/* clang-format on */

const struct check check_score = {
    .name = "score",
    .stages = 1u << AT_RCPT | 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "The sum of the points that checks with mode = score add to a message. Every check counts once, with the "
            "most it had "
            "to say. The sum and its parts stand in the log and in X-Postern-Verdict.",
};
