/* Domains registered to be taken for one of ours: in MAIL FROM (before DATA), in From and in Reply-To. DMARC has nothing against
 * them (RFC 9989 2.4): they are what they say, only not who the reader thinks.
 */
#include "header.h"
#include "lookalike.h"
#include "mailbox.h"
#include "rule.h"

enum {
    PROTECTED_MAX = 500, /* domains that each sender is compared with */
    REPLY_TO_MAX = 8     /* mailboxes of Reply-To that are looked at */
};

/* What is to be compared: a few kilobytes, in the pass's arena. */
struct work {
    struct lookalike_name theirs, ours;
    char room[PATH_DOMAIN_MAX + 1];
};

/* The local domains, when none are listed: not those of a hosting service, with whom anybody may have things in common. */
static const struct domain_set *protected_domains(const struct policy *policy)
{
    static const struct domain_set none = { NULL, 0 };
    const struct domain_set *set =
        policy->lookalike.protected.n > 0 ? &policy->lookalike.protected : &policy->relay.domains;

    return set->n <= PROTECTED_MAX ? set : &none;
}

static bool is_within_any(const struct domain_set *set, struct str name)
{
    for (size_t i = 0; i < set->n; i++)
        if (domain_is_within(name, set->item[i].name))
            return true;
    return false;
}

/* Ours, below one of ours, or known to the operator. */
static bool is_known(const struct policy *policy, struct str domain)
{
    return domain_set_holds(&policy->relay.domains, domain) || domain_set_holds(&policy->lookalike.allow, domain) ||
           is_within_any(protected_domains(policy), domain);
}

/* A wildcard is no name. */
static enum resemblance compare_all(const struct policy *policy, struct work *work, struct str *ours)
{
    const struct domain_set *set = protected_domains(policy);
    struct lookalike_terms terms = { policy->lookalike.words, policy->lookalike.min_length };

    for (size_t i = 0; i < set->n; i++) {
        enum resemblance kind;

        if (set->item[i].is_wildcard)
            continue;
        lookalike_read(set->item[i].name, &work->ours);
        kind = lookalike_compare(&work->theirs, &work->ours, &terms);
        if (kind != LOOKALIKE_NONE) {
            *ours = set->item[i].name;
            return kind;
        }
    }
    return LOOKALIKE_NONE;
}

/* "From domain examp1e.org resembles example.org", and for the log "(letters)". */
static bool object(struct pass *pass, const char *where, struct str theirs, struct str ours, enum resemblance kind)
{
    struct str text = arena_printf(pass->arena, "%s domain %.*s resembles %.*s", where, STR_ARG(theirs), STR_ARG(ours));
    struct objection objection = {
        .code = 550,
        .enhanced = "5.7.1",
        .text = text.p != NULL ? text : STR("Sender's domain resembles another one"),
        .reason = arena_printf(pass->arena, "%.*s (%s)", STR_ARG(text), resemblance_name(kind)),
    };

    return pass_object(pass, &check_lookalike, &pass->policy->lookalike.rule, &objection);
}

/* `domain` is canonical. True when an objection was made: one a pass is enough. */
static bool judge(struct pass *pass, struct work *work, const char *where, struct str domain)
{
    struct str ours = STR("");
    enum resemblance kind;

    if (domain.n == 0 || is_known(pass->policy, domain))
        return false;
    lookalike_read(domain, &work->theirs);
    kind = compare_all(pass->policy, work, &ours);
    if (kind == LOOKALIKE_NONE)
        return false;
    object(pass, where, domain, ours, kind);
    return true;
}

static struct str canonical(struct work *work, struct str domain)
{
    if (domain.n == 0 || domain.n > PATH_DOMAIN_MAX || domain.p[0] == '[')
        return STR("");
    return domain_canonical(domain, work->room);
}

/* Where an answer would go: genuine mail of a stranger that asks for one at a look-alike is rarer than the trick. */
static void judge_reply_to(struct pass *pass, struct work *work)
{
    struct header_field field;
    struct mailbox_list list;
    struct mailbox mailbox;

    for (struct str rest = pass->message->header; header_next(&rest, &field);) {
        if (!header_is(&field, STR("Reply-To")))
            continue;
        mailbox_list_init(&list, field.value);
        for (int i = 0; i < REPLY_TO_MAX && mailbox_next(&list, &mailbox); i++)
            if (judge(pass, work, "Reply-To", canonical(work, mailbox.domain)))
                return;
    }
}

static void run(struct pass *pass)
{
    const struct envelope *envelope = pass->envelope;
    struct work *work;

    if (pass->policy->lookalike.rule.mode == RULE_OFF || policy_is_exempt(pass->policy, envelope) ||
        protected_domains(pass->policy)->n == 0)
        return;
    work = arena_take(pass->arena, sizeof *work);
    if (work == NULL) {
        pass_find(pass, &check_lookalike, "limit", STR("out of memory"));
    } else if (pass->stage == AT_RCPT) {
        if (envelope->mail_from != NULL && !envelope->mail_from->is_literal)
            judge(pass, work, "MAIL FROM", canonical(work, envelope->mail_from->domain));
    } else if (!judge(pass, work, "From", pass->outcome->auth.author)) {
        judge_reply_to(pass, work);
    }
}

#define AT(field) offsetof(struct policy, lookalike.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("lookalike", AT(rule), "score", "5"),
    { .section = "lookalike", .key = "protected", .type = OPTION_DOMAINS, .offset = AT(protected), .max = PROTECTED_MAX,
      .help = "Domains that others may not resemble: yours, and those your people trust. Names below them are theirs, too. When "
              "left out, the local domains ([relay] domains) if they are no more than 500." },
    { .section = "lookalike", .key = "allow", .type = OPTION_DOMAINS, .offset = AT(allow),
      .help = "Domains that resemble a protected one and are welcome: partners, and your own in other countries. "
              "*.example.net stands for the names below example.net." },
    { .section = "lookalike", .key = "words", .type = OPTION_WORDS, .offset = AT(words), .max = 200,
      .preset = "account accounts alert alerts auth bank billing care cloud corp customer group help helpdesk hr id info "
                "invoice login mail my office online pay payment payments payroll portal secure security service services "
                "signin sso support team update vendor verify vpn web webmail 24 365",
      .help = "Words that attackers add to a name: example-login.com, examplelogin.com." },
    { .section = "lookalike", .key = "min_length", .type = OPTION_NUMBER, .offset = AT(min_length), .preset = "6", .min = 3,
      .max = 63, .unit = "characters",
      .help = "Shorter names (what is registered: \"example\" of example.org) resemble too many others by accident. Of them only "
              "letters that look alike, the listed words behind or before a hyphen, and the whole name in front of another count." },
};
/* clang-format on */

const struct check check_lookalike = {
    .name = "lookalike",
    .stages = 1u << AT_RCPT | 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Domains that look like yours. Compared are the domains of MAIL FROM, From and Reply-To: letters that look alike "
            "in any script, one typing error, added words, another top-level domain, or your name in front of theirs. The "
            "reason names the domain that is resembled.",
    .rule = offsetof(struct policy, lookalike.rule),
};
