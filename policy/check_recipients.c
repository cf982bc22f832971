/* Recipients that the mail server behind us has called unknown a short while ago: they are answered as it did, and no
 * connection is made for them. Who exists is for the mail server alone to say, so nobody is ever accepted from memory.
 */
#include "rule.h"

static struct str explain(struct pass *pass, const struct known_recipient *known)
{
    return arena_printf(pass->arena, "%.*s: remembered, the mail server said %d %s",
                        STR_ARG(pass->envelope->rcpt->text), known->code, known->enhanced);
}

static void run(struct pass *pass)
{
    const struct recipients_policy *policy = &pass->policy->recipients;
    const struct known_recipient *known = &pass->envelope->known_recipient;
    struct objection objection;

    if (policy->rule.mode == RULE_OFF || known->memory != RECIPIENT_UNKNOWN_THERE || pass->envelope->rcpt == NULL)
        return;
    objection =
        (struct objection){ known->code, known->enhanced, STR("No such mailbox here"), explain(pass, known), 0, false,
                            false };
    pass_object(pass, &check_recipients, &policy->rule, &objection);
}

#define RECIPIENTS(field) offsetof(struct policy, recipients.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("recipients", RECIPIENTS(rule), "reject", "3"),
    { .section = "recipients", .key = "positive_ttl", .type = OPTION_SECONDS, .offset = RECIPIENTS(positive_ttl), .preset = "1h",
      .max = 86400000,
      .help = "How long a mailbox that the mail server has accepted counts as one that exists. It is asked again for each message "
              "all the same. 0: not remembered." },
    { .section = "recipients", .key = "negative_ttl", .type = OPTION_SECONDS, .offset = RECIPIENTS(negative_ttl), .preset = "10m",
      .max = 86400000,
      .help = "How long a mailbox that the mail server has called unknown is refused without asking it again. So long a new mailbox "
              "may have to wait for its first mail; SIGHUP forgets them all. 0: not remembered." },
    { .section = "recipients", .key = "memory", .type = OPTION_BYTES, .offset = RECIPIENTS(memory), .preset = "128k", .min = 4096,
      .max = 67108864,
      .help = "For all workers together; 8 octets for each recipient. Mailboxes that exist and those that do not make room for "
              "their own kind first. It changes with a restart only." },
};
/* clang-format on */

const struct check check_recipients = {
    .name = "recipients",
    .stages = 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "What the mail server said about recipients, remembered for a short while, so that mail for mailboxes that "
            "do not "
            "exist costs no connection to it. Only a refusal that says so beyond doubt is remembered: 550, 551 or 553 "
            "with the "
            "status code 5.1.1, 5.1.6 or 5.1.10 (RFC 3463), never one for authenticated clients, and never that of the "
            "postmaster.",
    .rule = offsetof(struct policy, recipients.rule),
};
