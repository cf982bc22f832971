/* Brown-out: a mail server that gets slow is spared, in the order of what senders were like before.
 *
 *                     slow             very slow
 *     bad             greeting, MAIL   greeting, MAIL
 *     unknown         greeting         greeting, MAIL
 *     good, or ours   -                greeting
 *
 * Who is refused at the greeting has nothing under way; sessions that good senders have already go on even when it is very
 * slow, and every transaction that has begun comes to its end. Ours are clients who may relay and who have logged in. The standing is
 * that of the client's address: it is all that is known so early. Refusals are for now (RFC 5321 3.8, RFC 3463 X.3.2), and the
 * postmaster waits like everybody.
 */
#include "rule.h"

static bool is_very_slow(const struct pass *pass)
{
    return pass->envelope->reply_ms >= pass->policy->brownout.very_slow;
}

static enum client_standing standing_here(const struct pass *pass)
{
    return policy_is_exempt(pass->policy, pass->envelope) ? STANDING_GOOD : pass->envelope->standing;
}

static bool has_to_wait(const struct pass *pass, enum client_standing standing)
{
    if (pass->stage == AT_CONNECT)
        return is_very_slow(pass) || standing != STANDING_GOOD;
    return standing == STANDING_BAD || (is_very_slow(pass) && standing != STANDING_GOOD);
}

static void run(struct pass *pass)
{
    static const char *const words[] = {
        [STANDING_UNKNOWN] = "unknown", [STANDING_GOOD] = "good", [STANDING_BAD] = "bad"
    };
    const struct brownout_policy *brownout = &pass->policy->brownout;
    uint64_t ms = pass->envelope->reply_ms;
    enum client_standing standing = standing_here(pass);
    struct objection o = { .code = pass->stage == AT_CONNECT ? 421 : 451,
                           .enhanced = "4.3.2",
                           .text = STR_INIT("The mail server is busy, try again later"),
                           .is_load = true };

    if (brownout->rule.mode == RULE_OFF || ms < brownout->slow || !has_to_wait(pass, standing) ||
        (pass->stage == AT_CONNECT && brownout->rule.mode == RULE_SCORE)) /* there is nothing to score yet */
        return;
    o.reason = arena_printf(pass->arena, "the mail server takes %llu ms to answer, which is %s; standing %s",
                            (unsigned long long)ms, is_very_slow(pass) ? "very slow" : "slow", words[standing]);
    pass_object(pass, &check_brownout, &brownout->rule, &o);
}

#define BROWNOUT(field) offsetof(struct policy, brownout.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("brownout", BROWNOUT(rule), "reject", "2"),
    { .section = "brownout", .key = "slow", .type = OPTION_SECONDS, .offset = BROWNOUT(slow), .preset = "15s", .min = 100,
      .max = 50000, .help = "What the mail server takes to answer, on average of its last answers (for a connection, a recipient, or a "
      "message; the slowest of these; answers that refuse do not count), or has taken while several sessions wait and nobody is "
      "answered, from which it is slow: new connections are refused with 421 but those of good standing, and "
      "further messages of senders of bad standing with 451." },
    { .section = "brownout", .key = "very_slow", .type = OPTION_SECONDS, .offset = BROWNOUT(very_slow), .preset = "40s",
      .min = 100, .max = 55000, .help = "From here on no new connection is taken, and only senders of good standing may begin further "
      "messages. Whatever has begun comes to its end." },
};
/* clang-format on */

const struct check check_brownout = {
    .name = "brownout",
    .stages = 1u << AT_CONNECT | 1u << AT_MAIL,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "A mail server that gets slow is spared, and good senders feel it last. Each worker has its own measure.",
    .rule = BROWNOUT(rule),
};
