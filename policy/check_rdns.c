/* The client's own name: an address that somebody runs a mail server at has a PTR record, and the name has that address
 * ("iprev", RFC 8601 2.7.3; forward-confirmed reverse DNS). Of its names the first ten count, as in RFC 7208 5.5.
 *
 * Asked AT_HELO, not before: nobody is asked about clients that are refused when they connect (ORACLE D-7). Judged
 * AT_RCPT. No answer is no objection (P-8). One PTR and ten address questions at most (D-1).
 */
#include "host.h"
#include "list.h"
#include "rule.h"

enum { RDNS_NAMES_MAX = 10 };

enum iprev { IPREV_PENDING, IPREV_PASS, IPREV_NO_NAME, IPREV_UNCONFIRMED, IPREV_NO_ANSWER };

static bool has_no_answer(const struct fact *fact)
{
    return fact->state == FACT_TEMP || fact->state == FACT_LIMIT;
}

/* All its names are asked about, so that their order means nothing. `*name`: the one that decides, as PTR has it. */
static enum iprev confirm(struct pass *pass, const struct fact *ptr, struct str *name)
{
    enum iprev result = IPREV_UNCONFIRMED;

    *name = ptr->value[0];
    for (size_t i = 0; i < ptr->n && i < RDNS_NAMES_MAX; i++) {
        char room[PATH_DOMAIN_MAX + 1];
        struct str candidate = host_canonical(ptr->value[i], room);
        enum host_finding found = candidate.n > 0 ? host_is_client(pass, candidate) : HOST_NONE;

        if (found == HOST_EXISTS && result != IPREV_PASS) {
            *name = ptr->value[i];
            result = IPREV_PASS;
        }
        if (found == HOST_NO_ANSWER && result != IPREV_PASS)
            result = IPREV_NO_ANSWER;
    }
    return pass->pending ? IPREV_PENDING : result;
}

static enum iprev look_up(struct pass *pass, struct str *name)
{
    char room[HOST_NAME_MAX + 1];
    const struct fact *ptr = pass_ask(pass, ASK_PTR, host_reverse_name(&pass->envelope->client.address, room));

    if (ptr == NULL)
        return IPREV_PENDING;
    if (has_no_answer(ptr))
        return IPREV_NO_ANSWER;
    return ptr->n == 0 ? IPREV_NO_NAME : confirm(pass, ptr, name);
}

static void object(struct pass *pass, const struct rule *rule, struct str reason)
{
    struct objection o = { .code = 550, .enhanced = "5.7.25", .reason = reason }; /* RFC 7372 3.3 */

    if (rule->mode == RULE_OFF)
        return;
    o.text = reason.p != NULL ? reason : STR("Your address has no name that leads back to it");
    pass_object(pass, &check_rdns, rule, &o);
}

static void judge(struct pass *pass, enum iprev result, struct str name)
{
    const struct rdns_policy *policy = &pass->policy->rdns;
    char text[ADDRESS_TEXT_MAX], room[PATH_DOMAIN_MAX + 1];
    struct str shown = host_canonical(name, room);

    address_print(&pass->envelope->client.address, text);
    switch (result) {
    case IPREV_PASS: pass_find(pass, &check_rdns, "pass", name); break;
    case IPREV_NO_ANSWER: pass_find(pass, &check_rdns, "no-answer", STR("no answer for the client's name")); break;
    case IPREV_NO_NAME: object(pass, &policy->rule, arena_printf(pass->arena, "%s has no PTR record", text)); break;
    case IPREV_UNCONFIRMED:
        object(pass, &policy->unconfirmed,
               arena_printf(pass->arena, "PTR of %s is %.*s, which has other addresses or none", text,
                            STR_ARG(shown.n > 0 ? shown : STR("no host name"))));
        break;
    case IPREV_PENDING: break;
    }
}

static void run(struct pass *pass)
{
    const struct rdns_policy *policy = &pass->policy->rdns;
    struct str name = STR("");
    enum iprev result;

    if ((policy->rule.mode == RULE_OFF && policy->unconfirmed.mode == RULE_OFF) ||
        policy_is_exempt(pass->policy, pass->envelope) || !list_asks_about(&pass->envelope->client.address))
        return;
    result = look_up(pass, &name);
    if (pass->stage < AT_RCPT)
        pass_look_ahead(pass);
    else
        judge(pass, result, name);
}

#define RDNS(field) offsetof(struct policy, rdns.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("rdns", RDNS(rule), "score", "3"),
    { .section = "rdns", .key = "unconfirmed", .type = OPTION_CHOICE, .offset = RDNS(unconfirmed.mode), .preset = "score",
      .choices = rule_modes,
      .help = "Clients that have names, of which none has their address. Many a small but honest server is among them." },
    { .section = "rdns", .key = "unconfirmed_weight", .type = OPTION_NUMBER, .offset = RDNS(unconfirmed.weight), .preset = "2",
      .max = 100, .unit = "points", .help = "Added to the score with unconfirmed = score." },
};
/* clang-format on */

const struct check check_rdns = {
    .name = "rdns",
    .stages = 1u << AT_HELO | 1u << AT_MAIL | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Clients whose address has no name (PTR record), or none that leads back to it. mode and weight are for "
            "those without a "
            "name. Of their names the first ten are looked at; no answer is no objection, and nobody is asked about "
            "addresses of "
            "private networks.",
    .rule = RDNS(rule),
};
