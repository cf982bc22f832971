/* Greylisting (RFC 6647): whoever comes for the first time is asked to come again. Mail servers do, most of what sends spam
 * does not.
 *
 * What counts as the same sender is what is proved about him: the domain that DKIM or SPF vouches for, so that a large sender
 * may come back from another address (RFC 6647 5 has that as its main trouble), else the client's network. Never asked are
 * senders that pass DMARC, who have a name to lose, and those with a good record. So it is decided when the header is there,
 * and again at the end, should the body belie a signature.
 *
 * A bounce has no sender of its own: SPF looks at the HELO name then (RFC 7208 2.4), else it is the client's network as well.
 */
#include "rule.h"
#include "standing.h"

enum { V4_BITS = 24, V6_BITS = 64 };

/* What the proxy remembers of a sender. */
struct seen {
    bool is_known;
    bool has_passed;
    uint64_t seconds; /* since it came first; since it came last, when it has passed */
};

static struct str key_of(struct pass *pass, const struct sender *sender)
{
    char text[NETWORK_TEXT_MAX];

    if (sender->domain.n > 0)
        return sender->domain;
    return arena_copy(pass->arena,
                      str_from(text, address_print_network(&pass->envelope->client.address, V4_BITS, V6_BITS, text)));
}

static bool ask_seen(struct pass *pass, struct str key, struct seen *seen)
{
    const struct fact *fact = pass_ask(pass, ASK_SEEN, key);
    unsigned long long seconds = 0;

    *seen = (struct seen){ .is_known = false };
    if (fact == NULL)
        return false;
    if (fact->state == FACT_OK && fact->n > 0 && str_to_u64(fact->value[0], UINT32_MAX, &seconds))
        *seen = (struct seen){ true, fact->n > 1 && str_eq(fact->value[1], STR("passed")), seconds };
    return fact->state == FACT_OK || fact->state == FACT_NODATA; /* a memory that fails keeps nobody out */
}

/* Those for whom a second attempt would tell nothing new. */
static bool is_trusted(struct pass *pass, const struct sender *sender)
{
    struct standing_counts counts;

    return sender->is_aligned || !pass_standing(pass, sender->key, &counts) ||
           standing_judge(&pass->policy->standing, counts) == STANDING_GOOD;
}

static bool is_let_in(const struct greylist_policy *policy, const struct seen *seen)
{
    if (seen->has_passed)
        return seen->seconds * 1000 < policy->lifetime;
    return seen->is_known && seen->seconds * 1000 >= policy->delay && seen->seconds * 1000 < policy->window;
}

static bool is_waiting(const struct greylist_policy *policy, const struct seen *seen)
{
    return seen->is_known && !seen->has_passed && seen->seconds * 1000 < policy->delay;
}

static struct str explain(struct pass *pass, struct str key, const struct seen *seen, bool waits)
{
    if (waits)
        return arena_printf(pass->arena, "%.*s came first %llu s ago, too early to come again", STR_ARG(key),
                            (unsigned long long)seen->seconds);
    return arena_printf(pass->arena, "%.*s comes for the first time", STR_ARG(key));
}

static void judge(struct pass *pass, const struct greylist_policy *policy, struct str key, const struct seen *seen)
{
    bool waits = is_waiting(policy, seen);
    const struct objection objection = { 451,
                                         "4.7.1",
                                         STR_INIT("First mail from this sender, please try again later"),
                                         explain(pass, key, seen, waits),
                                         0,
                                         false,
                                         false };

    if (is_let_in(policy, seen)) {
        if (pass->stage == AT_END)
            pass_effect(pass, ASK_SEEN, key, GREYLIST_PASSED);
        return;
    }
    if (!waits)
        pass_effect(pass, ASK_SEEN, key, GREYLIST_CAME);
    pass_object(pass, &check_greylist, &policy->rule, &objection);
}

static void run(struct pass *pass)
{
    const struct greylist_policy *policy = &pass->policy->greylist;
    struct sender sender;
    struct seen seen;
    struct str key;

    if (policy->rule.mode == RULE_OFF || policy_is_exempt(pass->policy, pass->envelope) ||
        pass->envelope->only_postmaster || !pass_sender(pass, &sender) || is_trusted(pass, &sender))
        return;
    key = key_of(pass, &sender);
    if (key.n > 0 && ask_seen(pass, key, &seen))
        judge(pass, policy, key, &seen);
}

#define GREYLIST(field) offsetof(struct policy, greylist.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("greylist", GREYLIST(rule), "off", "3"),
    { .section = "greylist", .key = "delay", .type = OPTION_SECONDS, .offset = GREYLIST(delay), .preset = "5m", .min = 1000,
      .max = 3600000, .help = "Who comes again earlier than this is asked to wait again." },
    { .section = "greylist", .key = "window", .type = OPTION_SECONDS, .offset = GREYLIST(window), .preset = "2d",
      .min = 7200000, .max = 864000000, .help = "Who comes again later than this comes for the first time." },
    { .section = "greylist", .key = "lifetime", .type = OPTION_SECONDS, .offset = GREYLIST(lifetime), .preset = "36d",
      .min = 86400000, .max = 31536000000, .help = "Who came again in time is known until so long after the last message." },
    { .section = "greylist", .key = "memory", .type = OPTION_BYTES, .offset = GREYLIST(memory), .preset = "256k", .min = 4096,
      .max = 67108864,
      .help = "For all workers together; 8 octets for each sender. When it is full, those who have not come again make room first, "
              "the oldest of them before others. It changes with a restart only, which forgets everybody." },
};
/* clang-format on */

const struct check check_greylist = {
    .name = "greylist",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help =
        "Mail from a sender who was never heard of is answered 451 once; mail servers try again, most senders of spam "
        "do "
        "not. A sender is the domain that DKIM or SPF vouches for, or else the client's network (/24, IPv6 /64). Mail "
        "that "
        "passes DMARC and senders with a good record ([standing]) are never asked to come again. It costs a delay, and "
        "first messages that are waited for, such as the confirmation of a new account, may be among them: hence off.",
    .rule = offsetof(struct policy, greylist.rule),
};
