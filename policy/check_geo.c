/* Where clients come from: [origin NAME] sections let in countries, continents and autonomous systems, or keep them out, for a
 * listener or a recipient domain or for all. The databases are the proxy's (proxy/geoip.h); here their answer is the fact GEO.
 */
#include "rule.h"

static bool holds_country(struct str word, const struct origin *origin)
{
    return str_ieq(word, origin->country);
}

static bool holds_continent(struct str word, const struct origin *origin)
{
    return str_istarts(word, STR("continent:")) && str_ieq(str_skip(word, 10), origin->continent);
}

static bool holds_asn(struct str word, const struct origin *origin)
{
    return str_istarts(word, STR("AS")) && str_eq(str_skip(word, 2), origin->asn);
}

/* "DE", "continent:EU", "AS64500"; what is not known is in no list. */
static bool names(const struct str_list *list, const struct origin *origin)
{
    for (size_t i = 0; i < list->n; i++)
        if ((origin->country.n > 0 && holds_country(list->item[i], origin)) ||
            (origin->continent.n > 0 && holds_continent(list->item[i], origin)) ||
            (origin->asn.n > 0 && holds_asn(list->item[i], origin)))
            return true;
    return false;
}

static bool is_at_listener(const struct origin_rule *rule, struct str listener)
{
    for (size_t i = 0; i < rule->listeners.n; i++)
        if (str_eq(rule->listeners.item[i], listener))
            return true;
    return rule->listeners.n == 0;
}

static bool is_for_recipient(const struct origin_rule *rule, const struct path *rcpt)
{
    char room[PATH_DOMAIN_MAX + 1];

    return rule->recipients.n == 0 || (rcpt != NULL && rcpt->domain.n > 0 &&
                                       domain_set_holds(&rule->recipients, domain_canonical(rcpt->domain, room)));
}

static bool applies(const struct pass *pass, const struct origin_rule *rule)
{
    const struct envelope *e = pass->envelope;

    return rule->rule.mode != RULE_OFF && is_at_listener(rule, e->listener) &&
           (pass->stage == AT_CONNECT || is_for_recipient(rule, e->rcpt)); /* whom mail is for will turn out */
}

/* "192.0.2.1 (DE, EU, AS64500 Example)"; what is not known is left out. */
static struct str client_text(struct pass *pass, const struct origin *o)
{
    char text[ADDRESS_TEXT_MAX];
    struct str known;

    address_print(&pass->envelope->client.address, text);
    if (o->state != FACT_OK)
        return arena_printf(pass->arena, "%s (%s)", text,
                            o->state == FACT_NODATA ? "in no database" : "no database to look into");
    known = arena_printf(pass->arena, "%.*s%s%.*s%s%.*s%s%.*s", STR_ARG(o->country),
                         o->country.n > 0 && o->continent.n > 0 ? ", " : "", STR_ARG(o->continent),
                         o->asn.n > 0 ? (o->country.n + o->continent.n > 0 ? ", AS" : "AS") : "", STR_ARG(o->asn),
                         o->asn.n > 0 && o->owner.n > 0 ? " " : "", STR_ARG(o->owner));
    return arena_printf(pass->arena, "%s (%.*s)", text, STR_ARG(known));
}

static bool is_system(struct str place)
{
    return place.n > 2 && str_istarts(place, STR("AS"));
}

/* Whether a database is missing that could have told whether the client is in the list. */
static bool lacks(const struct str_list *list, const struct origin *origin)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_system(list->item[i]) ? origin->no_asn : origin->no_country)
            return true;
    return false;
}

/* Nobody is kept out because a database is broken: that is for `missing` to say. */
static bool is_unwelcome(const struct origin_rule *rule, const struct origin *origin)
{
    if (names(&rule->deny, origin))
        return true;
    return rule->allow.n > 0 && !lacks(&rule->allow, origin) && !names(&rule->allow, origin);
}

static bool is_undecided(const struct origin_rule *rule, const struct origin *origin)
{
    return lacks(&rule->deny, origin) || (lacks(&rule->allow, origin) && !names(&rule->allow, origin));
}

/* At RCPT. A cap that was reached (LIMIT) is the sender's doing, and lets nobody in. */
static bool is_put_off(const struct pass *pass, const struct origin_rule *rule, const struct origin *origin)
{
    return pass->stage != AT_CONNECT && is_undecided(rule, origin) &&
           (pass->policy->geo.missing == GEO_TEMPFAIL || origin->state == FACT_LIMIT);
}

static void judge(struct pass *pass, const struct origin_rule *rule, const struct origin *origin)
{
    struct str client = client_text(pass, origin);
    struct objection o = {
        .code = pass->stage == AT_CONNECT ? 554 : 550, /* RFC 5321 3.1 */
        .enhanced = "5.7.1",
        .text = arena_printf(pass->arena, "Mail from your network is not accepted here: %.*s", STR_ARG(client)),
        .reason = arena_printf(pass->arena, "%.*s: %.*s", STR_ARG(rule->name), STR_ARG(client)),
    };

    if (is_unwelcome(rule, origin)) {
        pass_object(pass, &check_geo, &rule->rule, &o);
    } else if (is_put_off(pass, rule, origin)) {
        o.code = 451;
        o.enhanced = "4.3.0";
        o.text = STR("It cannot be found out where you are, try again later");
        pass_object(pass, &check_geo, &rule->rule, &o);
    }
}

static bool is_heard_now(const struct pass *pass, const struct origin_rule *rule)
{
    return pass->stage != AT_CONNECT || (rule->early && rule->rule.mode == RULE_REJECT);
}

/* The first rule that applies to a client and a recipient judges them, so that an exception for one domain stands above the
 * rule for the others. When a client connects nobody knows for whom its mail is: a rule that may turn out to be the first keeps
 * those behind it from refusing early.
 */
static void run(struct pass *pass)
{
    const struct origin_rule *rules = pass->policy->geo.rules.item;
    struct origin origin;
    size_t i = 0;

    if (policy_is_exempt(pass->policy, pass->envelope))
        return;
    while (i < pass->policy->geo.rules.n && !applies(pass, &rules[i]))
        i++;
    if (i == pass->policy->geo.rules.n || !is_heard_now(pass, &rules[i]) || !pass_origin(pass, &origin))
        return;
    judge(pass, &rules[i], &origin);
}

#define GEO(field) offsetof(struct policy, geo.field)
#define AT(field) offsetof(struct origin_rule, field)

static const char *const missing[] = { "accept", "tempfail", NULL };

/* clang-format off */
static const struct option options[] = {
    { .section = "geo", .key = "country_database", .type = OPTION_TEXT, .offset = GEO(country_database),
      .help = "A country database in MaxMind's format (.mmdb): GeoLite2-Country, DB-IP, ip-location-db. Where it names no continent, "
              "that of the country counts. The user of the workers "
              "must be able to read it, and its folder should hold nothing else: they keep it open. Replace it at any time by "
              "renaming a new file over it; never write into it. A symbolic link must be a relative one." },
    { .section = "geo", .key = "asn_database", .type = OPTION_TEXT, .offset = GEO(asn_database),
      .help = "The same for autonomous systems (networks of one owner)." },
    { .section = "geo", .key = "refresh", .type = OPTION_SECONDS, .offset = GEO(refresh), .preset = "60s", .min = 1000,
      .max = 86400000, .help = "How often is looked whether a database was replaced." },
    { .section = "geo", .key = "missing", .type = OPTION_CHOICE, .offset = GEO(missing), .preset = "accept", .choices = missing,
      .help = "What becomes of clients while a database that an [origin] section needs cannot be read." },
};

static const struct option rule_rows[] = {
    { .section = "origin", .key = "deny", .type = OPTION_WORDS, .offset = AT(deny),
      .help = "Clients from here are objected to: countries (DE), continents (continent:EU), autonomous systems (AS64500)." },
    { .section = "origin", .key = "allow", .type = OPTION_WORDS, .offset = AT(allow),
      .help = "Clients from anywhere else are objected to, and those in no database." },
    { .section = "origin", .key = "listeners", .type = OPTION_WORDS, .offset = AT(listeners),
      .help = "For clients of these [listen NAME] sections; all, when left out." },
    { .section = "origin", .key = "recipients", .type = OPTION_DOMAINS, .offset = AT(recipients),
      .help = "For mail to these domains; all, when left out." },
    RULE_ROWS("origin", AT(rule), "reject", "4"),
    { .section = "origin", .key = "early", .type = OPTION_BOOL, .offset = AT(early), .preset = "no",
      .help = "Refuse as soon as a client connects, before it can authenticate or name a recipient: cheaper, but the postmaster "
              "does not hear such clients, and the log has no sender. Only with mode = reject and without recipients, and where "
              "no other section that could judge the client stands before this one." },
};

static const struct repeated lists[] = {
    { "origin", "office", rule_rows, sizeof rule_rows / sizeof *rule_rows, offsetof(struct policy, geo.rules),
      sizeof(struct origin_rule), 32,
      "Where clients may come from. The first section that fits listener and recipient judges." },
};
/* clang-format on */

const struct check check_geo = {
    .name = "geo",
    .stages = 1u << AT_CONNECT | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Databases that tell where an address is.",
    .lists = lists,
    .lists_n = sizeof lists / sizeof *lists,
};
