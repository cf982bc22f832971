/* Standing: what a sender's mail was like before speaks for or against the next one.
 *
 * Who a sender is has to be proved first: the domain that DMARC, DKIM or SPF vouches for, together with the network it comes
 * from, so that one customer of a large provider does not answer for another network's. Mail that nothing vouches for is
 * judged by its client's address. The record is the proxy's; what happens to this message is added when it is over.
 */
#include "rule.h"
#include "standing.h"

/* "example.org 64500: 3 good, 12 bad messages lately" */
static struct str explain(struct pass *pass, const struct sender *sender, struct standing_counts counts)
{
    return arena_printf(pass->arena, "%.*s: %llu good, %llu bad messages lately", STR_ARG(sender->key),
                        (unsigned long long)counts.good, (unsigned long long)counts.bad);
}

/* With reject there is nothing that a good record could do. */
static void speak_for(struct pass *pass, const struct standing_policy *policy, struct str reason)
{
    const struct objection praise = { .reason = reason, .points = -(int64_t)policy->credit };

    if (policy->rule.mode == RULE_SCORE && policy->credit > 0)
        pass_object(pass, &check_standing, &policy->rule, &praise);
    else
        pass_find(pass, &check_standing, "good", reason);
}

static void speak_against(struct pass *pass, const struct standing_policy *policy, struct str reason)
{
    const struct objection objection = { 550,    "5.7.1", STR_INIT("Mail of this sender was refused too often lately"),
                                         reason, 0,       false,
                                         false };

    pass_object(pass, &check_standing, &policy->rule, &objection);
}

static void run(struct pass *pass)
{
    const struct standing_policy *policy = &pass->policy->standing;
    struct standing_counts counts;
    struct sender sender;

    if (policy->rule.mode == RULE_OFF || policy_is_exempt(pass->policy, pass->envelope) ||
        !pass_sender(pass, &sender) || !pass_standing(pass, sender.key, &counts))
        return;
    /* Before its end a body may still belie the signature over it: its signer does not answer for that. */
    if (pass->stage == AT_END && sender.domain.n > 0)
        pass_effect(pass, ASK_STANDING, sender.key, 0);
    switch (standing_judge(policy, counts)) {
    case STANDING_GOOD: speak_for(pass, policy, explain(pass, &sender, counts)); break;
    case STANDING_BAD: speak_against(pass, policy, explain(pass, &sender, counts)); break;
    case STANDING_UNKNOWN: break;
    }
}

#define STANDING(field) offsetof(struct policy, standing.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("standing", STANDING(rule), "score", "3"),
    { .section = "standing", .key = "credit", .type = OPTION_NUMBER, .offset = STANDING(credit), .preset = "2", .max = 100,
      .unit = "points", .help = "Taken off the score of a sender with a good record, with mode = score." },
    { .section = "standing", .key = "good_from", .type = OPTION_NUMBER, .offset = STANDING(good_from), .preset = "10", .min = 1,
      .max = 200, .unit = "messages",
      .help = "A sender has a good record from so many good messages on, when there are ten of them for each bad one." },
    { .section = "standing", .key = "bad_from", .type = OPTION_NUMBER, .offset = STANDING(bad_from), .preset = "5", .min = 1,
      .max = 200, .unit = "messages",
      .help = "A sender has a bad record from so many bad messages on, when they are more than the good ones." },
    { .section = "standing", .key = "half_life", .type = OPTION_SECONDS, .offset = STANDING(half_life), .preset = "30d",
      .min = 3600000, .max = 31536000000, .help = "After this time a message counts half, rounded down, and so on. In whole hours." },
    { .section = "standing", .key = "memory", .type = OPTION_BYTES, .offset = STANDING(memory), .preset = "256k", .min = 4096,
      .max = 67108864,
      .help = "For all workers together; 8 octets for each sender. When it is full, those with the fewest messages make room. It "
              "changes with a restart only." },
    { .section = "standing", .key = "checkpoint", .type = OPTION_TEXT, .offset = STANDING(checkpoint),
      .help = "A file that keeps the record over a restart, readable for its owner alone. It is written once a day and at a stop "
              "in order, as large as memory and a few octets each time, in a directory that the user who starts Postern may "
              "write to; in between, and without it, nothing is written to any disk. A file of another size of memory is not "
              "read." },
};
/* clang-format on */

const struct check check_standing = {
    .name = "standing",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "The record of senders, in memory: how many messages of an authenticated domain from one network (AS "
            "number), or of "
            "a client address where nothing is authenticated, were accepted lately, and how many were refused for what "
            "they "
            "are. Of clients that ask for many mailboxes that do not exist, that counts, too. The record of addresses "
            "is kept "
            "with mode = off as well.",
    .rule = offsetof(struct policy, standing.rule),
};
