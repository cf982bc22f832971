/* The relay check: mail to local domains comes in, mail to other domains only from clients that may relay
 * (ORACLE P-1).
 *
 * Above that stand the forms of recipient that an old mail server reads as "send this on to somebody else"
 * (P-2): source routes, the percent hack, UUCP paths, and the same in quotes. They are refused to everybody,
 * since a trusted client that has been broken into is how an open relay is found today; only the operator's
 * word lets them pass.
 */
#include "policy.h"

enum recipient {
    TO_NOBODY,      /* no recipient, or the null path: not a mailbox (RFC 5321 4.1.1.3) */
    TO_ROUTE,       /* <@a,@b:user@c> */
    TO_REROUTED,    /* user%b@a, b!user@a, "user@b"@a */
    TO_POSTMASTER,  /* <postmaster> (RFC 5321 4.5.1, P-10) */
    TO_UNQUALIFIED, /* <user> */
    TO_LITERAL,     /* user@[192.0.2.1] */
    TO_LOCAL,
    TO_ELSEWHERE
};

/* What each kind of recipient comes to. `code` 0: welcome from anybody. */
struct judgement {
    const char *result;
    int code;
    const char *enhanced;
    const char *text;
};

/* clang-format off */
static const struct judgement judgements[] = {
    [TO_NOBODY] = { "no-recipient", 553, "5.1.3", "Recipient address is empty" },
    [TO_ROUTE] = { "source-route", 550, "5.7.1", "Source routes are not accepted" },
    [TO_REROUTED] = { "rerouted", 550, "5.7.1", "Recipient address holds a route to another host" },
    [TO_POSTMASTER] = { "postmaster", 0, "", "" },
    [TO_UNQUALIFIED] = { "unqualified", 553, "5.1.3", "Recipient address needs a domain" },
    [TO_LITERAL] = { "address-literal", 550, "5.7.1", "Relaying denied to an address literal" },
    [TO_LOCAL] = { "local", 0, "", "" },
    [TO_ELSEWHERE] = { "not-local", 550, "5.7.1", "Relaying denied" },
};
/* clang-format on */

static bool holds_any(struct str s, const char *set)
{
    for (; *set != '\0'; set++)
        if (str_find(s, *set) < s.n)
            return true;
    return false;
}

static bool is_local(const struct relay_policy *relay, struct str domain)
{
    char room[PATH_DOMAIN_MAX + 1];

    return domain_set_holds(&relay->domains, domain_canonical(domain, room));
}

/* The first row that fits; the order matters: no domain, local or not, excuses a route. */
static enum recipient recipient_kind(const struct relay_policy *relay, const struct path *path)
{
    if (path == NULL || path->is_null)
        return TO_NOBODY;
    if (path->had_route)
        return TO_ROUTE;
    if (!relay->allow_percent && holds_any(path->unquoted, "%!@"))
        return TO_REROUTED;
    if (path->domain.n == 0)
        return path_is_postmaster(path) ? TO_POSTMASTER : TO_UNQUALIFIED;
    if (path->is_literal)
        return TO_LITERAL;
    return is_local(relay, path->domain) ? TO_LOCAL : TO_ELSEWHERE;
}

/* Why a recipient that would be refused is let through after all, or NULL. */
static const char *permit(const struct relay_policy *relay, const struct envelope *envelope, enum recipient kind)
{
    if (kind == TO_UNQUALIFIED)
        return relay->allow_unqualified ? "unqualified-allowed" : NULL;
    if (kind != TO_LITERAL && kind != TO_ELSEWHERE)
        return NULL;
    if (envelope->is_authenticated)
        return "authenticated";
    return network_list_holds(&relay->networks, &envelope->client.address) ? "relay-client" : NULL;
}

/* "not-local: other.example": the rule, and the domain or, when there is none, the address it was applied to.
 */
static struct str explain(struct pass *pass, const char *rule, const struct path *path)
{
    struct str what = path == NULL ? STR("") : path->domain.n > 0 ? path->domain : path->text;

    return arena_printf(pass->arena, "%s: %.*s", rule, STR_ARG(what));
}

static void run(struct pass *pass)
{
    const struct relay_policy *relay = &pass->policy->relay;
    const struct path *path = pass->envelope->rcpt;
    enum recipient kind = recipient_kind(relay, path);
    const struct judgement *judgement = &judgements[kind];
    const char *permitted = judgement->code != 0 ? permit(relay, pass->envelope, kind) : NULL;
    const char *result = permitted != NULL ? permitted : judgement->result;
    struct str reason = explain(pass, result, path);

    pass_find(pass, &check_relay, result, reason);
    if (judgement->code != 0 && permitted == NULL)
        pass_refuse(pass, &check_relay, judgement->code, judgement->enhanced, str_of(judgement->text), reason);
}

#define RELAY(field) offsetof(struct policy, relay.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "relay", .key = "domains", .type = OPTION_DOMAINS, .offset = RELAY(domains),
      .help = "The local domains: mail to them is accepted from anybody. *.example.org stands for every name below "
              "example.org, but not for example.org itself." },
    { .section = "relay", .key = "domains_file", .type = OPTION_DOMAIN_FILE, .offset = RELAY(domains),
      .help = "A file with more local domains, one a line." },
    { .section = "relay", .key = "networks", .type = OPTION_NETWORKS, .offset = RELAY(networks),
      .help = "Clients in these networks may send mail to any domain, as authenticated ones may." },
    { .section = "relay", .key = "allow_unqualified", .type = OPTION_BOOL, .offset = RELAY(allow_unqualified),
      .preset = "no",
      .help = "Accept recipients without a domain. <postmaster> is always accepted." },
    { .section = "relay", .key = "allow_percent", .type = OPTION_BOOL, .offset = RELAY(allow_percent), .preset = "no",
      .help = "Accept recipients whose local part holds %, ! or @. Many mail servers read those as a route to another "
              "host, which makes them open relays behind your back." },
};
/* clang-format on */

const struct check check_relay = {
    .name = "relay",
    .stages = 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Who may send mail to whom. Anybody may send to the local domains; only listed networks and authenticated "
            "clients may send elsewhere.",
};
