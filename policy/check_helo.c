/* What clients call themselves in HELO and EHLO (RFC 5321 4.1.1.1): a name of their own that has their address, or the
 * address itself in brackets. Whether it is well-formed at all is the parser's to say.
 *
 * RFC 5321 4.1.4 has nobody refused because the name does not match the address; so that is only told, by default. A
 * client that gives our name as its own is another matter: no mail server does that.
 *
 * Asked AT_HELO, judged AT_RCPT, so that the postmaster and authenticated clients are heard. Two questions at most.
 */
#include "host.h"
#include "rule.h"

/* What is held against a name: its rule, and what follows the name in reply and log. */
struct complaint {
    const struct rule *rule;
    const char *what;
};

static bool is_on(const struct rule *rule)
{
    return rule->mode != RULE_OFF;
}

/* ---- us ---- */

static bool is_our_address(const struct helo_policy *policy, const struct address *address)
{
    for (size_t i = 0; i < policy->own.n; i++)
        if (address_eq(&policy->own.item[i].address, address))
            return true;
    return address_is_loopback(address) || network_list_holds(&policy->addresses, address);
}

/* Names below a wildcard may well be other people's servers that send for us. */
static bool is_our_name(const struct policy *policy, struct str name)
{
    const struct domain_set *domains = &policy->relay.domains;

    for (size_t i = 0; i < domains->n; i++)
        if (!domains->item[i].is_wildcard && str_eq(domains->item[i].name, name))
            return true;
    return str_ieq(policy->hostname, name);
}

/* ---- the name ---- */

/* An address, in brackets as it ought to be or without. */
static struct complaint judge_address(const struct pass *pass, const struct address *address, bool is_literal)
{
    const struct helo_policy *policy = &pass->policy->helo;
    const struct address *client = &pass->envelope->client.address;

    if (is_on(&policy->impostor) && is_our_address(policy, address) && !is_our_address(policy, client))
        return (struct complaint){ &policy->impostor, "is our own address" };
    if (!is_literal)
        return (struct complaint){ &policy->unqualified, "is an address without brackets" };
    if (!address_eq(address, client))
        return (struct complaint){ &policy->literal, "is not the client's address" };
    return (struct complaint){ NULL, "" };
}

/* RFC 5321 2.3.5: a full name, made of letters, digits and hyphens. */
static struct complaint judge_form(const struct pass *pass, struct str name)
{
    const struct helo_policy *policy = &pass->policy->helo;

    if (is_on(&policy->impostor) && is_our_name(pass->policy, name) &&
        !is_our_address(policy, &pass->envelope->client.address))
        return (struct complaint){ &policy->impostor, "is our own name" };
    if (is_on(&policy->unqualified) && str_find(name, '.') == name.n)
        return (struct complaint){ &policy->unqualified, "is not a full name" };
    if (is_on(&policy->unqualified) && str_find(name, '_') < name.n)
        return (struct complaint){ &policy->unqualified, "is no host name" };
    return (struct complaint){ NULL, "" };
}

/* Both questions go out together. */
static struct complaint judge_addresses(struct pass *pass, struct str name)
{
    const struct helo_policy *policy = &pass->policy->helo;
    enum host_finding exists, is_client;

    if (!is_on(&policy->unresolvable) && !is_on(&policy->mismatch))
        return (struct complaint){ NULL, "" };
    is_client = host_is_client(pass, name);
    exists = is_on(&policy->unresolvable) ? host_exists(pass, name) : HOST_EXISTS;
    if (pass->pending || is_client == HOST_EXISTS)
        return (struct complaint){ NULL, "" };
    if (exists == HOST_NONE)
        return (struct complaint){ &policy->unresolvable, "has no address" };
    if (is_on(&policy->mismatch) && is_client == HOST_NONE)
        return (struct complaint){ &policy->mismatch, "does not lead to the client's address" };
    if (pass->stage == AT_RCPT && (exists == HOST_NO_ANSWER || is_client == HOST_NO_ANSWER))
        pass_find(pass, &check_helo, "no-answer", STR("no answer for the name in HELO"));
    return (struct complaint){ NULL, "" };
}

static struct complaint judge_name(struct pass *pass)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str given = pass->envelope->helo, name;
    struct complaint complaint;
    struct address address;

    if (given.p[0] == '[' || address_parse(given, &address)) {
        bool is_literal = given.p[0] == '[';

        if (is_literal && !host_literal(given, &address))
            return (struct complaint){ &pass->policy->helo.literal, "is no address" };
        return judge_address(pass, &address, is_literal);
    }
    name = host_canonical(given, room);
    if (name.n == 0)
        return (struct complaint){ &pass->policy->helo.unqualified, "is no host name" };
    complaint = judge_form(pass, name);
    return complaint.rule != NULL ? complaint : judge_addresses(pass, name);
}

static void object(struct pass *pass, const struct complaint *complaint)
{
    struct objection o = { .code = 550, .enhanced = "5.7.1" };
    struct str given = pass->envelope->helo;

    if (!domain_is_valid(given) && !address_literal_is_valid(given)) /* the parser lets none of these in */
        given = STR("name");
    o.reason = arena_printf(pass->arena, "HELO %.*s %s", STR_ARG(given), complaint->what);
    o.text = o.reason.p != NULL ? o.reason : STR("The name in HELO is not yours");
    pass_object(pass, &check_helo, complaint->rule, &o);
}

static void run(struct pass *pass)
{
    struct complaint complaint;

    if (policy_is_exempt(pass->policy, pass->envelope) || pass->envelope->helo.n == 0)
        return;
    complaint = judge_name(pass);
    if (pass->stage < AT_RCPT)
        pass_look_ahead(pass);
    else if (complaint.rule != NULL && is_on(complaint.rule))
        object(pass, &complaint);
}

#define HELO(field) offsetof(struct policy, helo.field)

/* NOLINTBEGIN(bugprone-macro-parentheses): a designator takes no parentheses */
/* clang-format off */
#define HELO_ROWS(name, mode_, weight_, help_)                                                                               \
    { .section = "helo", .key = #name, .type = OPTION_CHOICE, .offset = HELO(name.mode), .preset = mode_,                    \
      .choices = rule_modes, .help = help_ },                                                                                \
    { .section = "helo", .key = #name "_weight", .type = OPTION_NUMBER, .offset = HELO(name.weight), .preset = weight_,      \
      .max = 100, .unit = "points", .help = "Added to the score with " #name " = score." }

static const struct option options[] = {
    HELO_ROWS(impostor, "reject", "5",
              "The client gives our host name, one of [relay] domains (but no name below a *.), an address of this gateway or one "
              "of a loopback network as its own, and is not on this machine."),
    HELO_ROWS(literal, "score", "3", "An address in brackets that is not the client's."),
    HELO_ROWS(unqualified, "score", "2", "A name without a dot or with an underscore, or an address without brackets."),
    HELO_ROWS(unresolvable, "score", "2", "A name that has no address. No answer is no objection."),
    HELO_ROWS(mismatch, "monitor", "1",
              "A name that has addresses, but not the client's. RFC 5321 4.1.4 asks not to refuse for it, and many honest servers "
              "are among them."),
    { .section = "helo", .key = "addresses", .type = OPTION_NETWORKS, .offset = HELO(addresses), .max = 64,
      .help = "Our own addresses, besides those of the listeners: the public ones, where a router translates them." },
};
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

const struct check check_helo = {
    .name = "helo",
    .stages = 1u << AT_HELO | 1u << AT_MAIL | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "The names clients give themselves in HELO and EHLO. Each key below is a mode: off, monitor (told in the "
            "log), score (its "
            "weight is added to the message's score) or reject.",
    .rule = HELO(impostor),
};
