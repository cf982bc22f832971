/* What no single key can tell, of the checks who may talk to us: words of lists, and sections that say nothing. */
#include "config_parts.h"

#include <limits.h>

#include "nearest.h"

#include "../policy/continent.h"
#include "../policy/list.h"

enum { NAMES_MAX = 64 };

/* ---- words ---- */

static bool is_country(struct str word)
{
    return word.n == 2 && ascii_is_letter(word.p[0]) && ascii_is_letter(word.p[1]);
}

/* "64500" or "AS64500" (RFC 5396), below 2^32; AS0 is nobody's (RFC 7607) */
static bool is_asn(struct str word)
{
    uint64_t number = 0;

    if (str_istarts(word, STR("AS")))
        word = str_skip(word, 2);
    for (size_t i = 0; i < word.n && word.n <= 10; i++) {
        if (!ascii_is_digit(word.p[i]))
            return false;
        number = number * 10 + (uint64_t)(word.p[i] - '0');
    }
    return word.n > 0 && word.n <= 10 && word.p[0] != '0' && number <= UINT32_MAX;
}

static void check_words(struct config_reading *r, struct config_instance *instance, const char *key,
                        const struct str_list *words, bool is_right(struct str), const char *expected)
{
    for (size_t i = 0; i < words->n; i++)
        if (!is_right(words->item[i]))
            config_complain(r, config_line_of(instance, key), instance, key, "\"%s\": expected %s",
                            CONFIG_QUOTED(words->item[i]), expected);
}

/* Databases may know codes that we do not; but UK is no country, and GB is. */
static void warn_of_countries(struct config_reading *r, struct config_instance *instance, const char *key,
                              const struct str_list *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (is_country(words->item[i]) && continent_of(words->item[i]).n == 0)
            config_warn(r, config_line_of(instance, key), instance, key, "\"%s\" is no country of ISO 3166",
                        CONFIG_QUOTED(words->item[i]));
}

static void check_check_name(struct config_reading *r, struct config_instance *instance, struct str word)
{
    const char *names[NAMES_MAX], *nearest;
    size_t n = 0;

    for (; n < policy_checks_n && n < NAMES_MAX; n++) {
        names[n] = policy_checks[n]->name;
        if (str_eq(str_of(names[n]), word))
            return;
    }
    nearest = nearest_name(word, names, n);
    config_complain(r, config_line_of(instance, "checks"), instance, "checks", "unknown check \"%s\"%s%s%s",
                    CONFIG_QUOTED(word), nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "\"?" : "");
}

/* ---- [except NAME] ---- */

/* It never holds then, and mail is refused that the operator believes to be let through. */
static void warn_without_database(struct config_reading *r, struct config_instance *instance, const char *key,
                                  bool used, const char *database, struct str path)
{
    if (used && path.n == 0)
        config_warn(r, config_line_of(instance, key), instance, key, "never holds without [geo] %s", database);
}

static void check_exception(struct config_reading *r, const struct exception *e)
{
    struct config_instance *instance = config_instance_at(r, e);
    const struct geo_policy *geo = &r->config->policy.geo;

    for (size_t i = 0; i < e->checks.n; i++)
        check_check_name(r, instance, e->checks.item[i]);
    check_words(r, instance, "countries", &e->countries, is_country, "two letters, such as DE");
    warn_of_countries(r, instance, "countries", &e->countries);
    check_words(r, instance, "asns", &e->asns, is_asn, "the number of an autonomous system, such as AS64500");
    warn_without_database(r, instance, "countries", e->countries.n > 0, "country_database", geo->country_database);
    warn_without_database(r, instance, "asns", e->asns.n > 0, "asn_database", geo->asn_database);
    if (instance->errors_n == 0 && e->networks.n + e->countries.n + e->asns.n + e->senders.n + e->recipients.n == 0)
        config_complain(r, instance->line, instance, NULL,
                        "names nobody; expected networks, countries, asns, senders or recipients");
}

/* ---- [geo] and [origin NAME] ---- */

/* Whoever replaces a database must be free to do so while nothing runs: a file that is not there is told, and no error. */
static void check_database(struct config_reading *r, const char *key, struct str path)
{
    struct config_instance *geo = config_instance_named(r, "geo");
    char name[PATH_MAX];
    int trouble;

    if (path.n == 0)
        return;
    snprintf(name, sizeof name, "%.*s", STR_ARG(path));
    trouble = config_file_trouble(name);
    if (trouble != 0)
        config_warn(r, config_line_of(geo, key), geo, key, "%s: %s", name, strerror(trouble));
}

static bool is_place(struct str word)
{
    if (str_istarts(word, STR("continent:")))
        return continent_is_known(str_skip(word, 10));
    return is_country(word) || (str_istarts(word, STR("AS")) && is_asn(word));
}

/* What a section asks for needs a database that knows it. */
static void check_places(struct config_reading *r, struct config_instance *instance, const char *key,
                         const struct str_list *places)
{
    const struct geo_policy *geo = &r->config->policy.geo;

    check_words(r, instance, key, places, is_place, "DE, continent:EU or AS64500");
    warn_of_countries(r, instance, key, places);
    for (size_t i = 0; i < places->n && instance->errors_n == 0; i++) {
        bool is_system = places->item[i].n > 2 && !str_istarts(places->item[i], STR("continent:"));

        if ((is_system ? geo->asn_database : geo->country_database).n == 0)
            config_complain(r, config_line_of(instance, key), instance, key, "\"%s\" needs [geo] %s",
                            CONFIG_QUOTED(places->item[i]), is_system ? "asn_database" : "country_database");
    }
}

static void check_listeners(struct config_reading *r, struct config_instance *instance, const struct str_list *names)
{
    const struct config *config = r->config;

    for (size_t i = 0; i < names->n; i++) {
        size_t k = 0;

        while (k < config->listeners_n && !str_eq(config->listeners[k].name, names->item[i]))
            k++;
        if (k == config->listeners_n)
            config_complain(r, config_line_of(instance, "listeners"), instance, "listeners", "there is no [listen %s]",
                            CONFIG_QUOTED(names->item[i]));
    }
}

static void check_origin(struct config_reading *r, const struct origin_rule *rule)
{
    struct config_instance *instance = config_instance_at(r, rule);

    check_places(r, instance, "deny", &rule->deny);
    check_places(r, instance, "allow", &rule->allow);
    check_listeners(r, instance, &rule->listeners);
    if (instance->errors_n == 0 && rule->deny.n + rule->allow.n == 0)
        config_complain(r, instance->line, instance, NULL, "names no place; expected deny or allow");
    if (rule->early && (rule->rule.mode != RULE_REJECT || rule->recipients.n > 0))
        config_complain(r, config_line_of(instance, "early"), instance, "early",
                        "needs mode = reject and no recipients: nothing else is known when a client connects");
}

static void check_geo_sections(struct config_reading *r)
{
    const struct geo_policy *geo = &r->config->policy.geo;
    const struct origin_rule *rules = geo->rules.item;

    check_database(r, "country_database", geo->country_database);
    check_database(r, "asn_database", geo->asn_database);
    for (size_t i = 0; i < geo->rules.n; i++)
        check_origin(r, &rules[i]);
}

/* ---- [list NAME] ---- */

/* The zone in the form of names, by default the section's name. */
static void settle_zone(struct config_reading *r, struct config_instance *instance, struct list_policy *list)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str zone = domain_canonical(list->zone.n > 0 ? list->zone : list->name, room);
    char *kept;

    if (!domain_is_valid(zone) || str_find(zone, '.') == zone.n) {
        config_complain(r, config_line_of(instance, "zone"), instance, "zone",
                        list->zone.n > 0 ? "\"%s\": expected a domain name of two labels or more"
                                         : "missing, and the section's name \"%s\" is no domain name",
                        CONFIG_QUOTED(list->zone.n > 0 ? list->zone : list->name));
        return;
    }
    if (zone.n > LIST_ZONE_MAX) {
        config_complain(r, config_line_of(instance, "zone"), instance, "zone",
                        "%zu octets, and %d are the most: an address has to fit in front of it", zone.n, LIST_ZONE_MAX);
        return;
    }
    kept = config_take(&r->store, zone.n + 1);
    if (kept == NULL) {
        config_complain_memory(r);
        return;
    }
    memcpy(kept, zone.p, zone.n);
    list->zone = str_from(kept, zone.n);
}

static void check_list(struct config_reading *r, struct list_policy *list)
{
    struct config_instance *instance = config_instance_at(r, list);

    if (instance->errors_n == 0)
        settle_zone(r, instance, list);
}

/* ---- [helo] and [sender] ---- */

/* What clients must not call themselves. */
static void settle_own_addresses(struct config_reading *r)
{
    const struct config *config = r->config;
    struct endpoint *own;
    size_t n = 0;

    for (size_t i = 0; i < config->listeners_n; i++)
        n += config->listeners[i].address.n;
    own = n > 0 ? config_take(&r->store, n * sizeof *own) : NULL;
    if (own == NULL) {
        if (n > 0)
            config_complain_memory(r);
        return;
    }
    r->config->policy.helo.own = (struct endpoint_list){ own, n };
    for (size_t i = 0; i < config->listeners_n; i++)
        for (size_t k = 0; k < config->listeners[i].address.n; k++)
            *own++ = config->listeners[i].address.item[k];
}

static bool is_receiver(struct str word)
{
    size_t at = str_find(word, '@');
    struct str domain = at < word.n ? str_skip(word, at + 1) : word;

    return at > 0 && domain.n <= PATH_DOMAIN_MAX && domain_check(domain, PATH_UTF8) == PATH_OK;
}

/* ---- [rates] and [rate NAME] ---- */

/* In force where the operator has none. Why these: a large provider's server opens some ten connections a minute to a small
 * board, and a mailing list of 600 members goes out in a minute; who tries out names is stopped after 30 in an hour, which is more
 * typing errors than a company makes. An IPv6 client has a /64 of addresses to change between, and often a /48 of those (ATTACKS K11):
 * whatever an address may not have too much of, its network and site may not either. Three addresses' worth and more for a network:
 * providers send from several servers of one.
 */
static const struct {
    const char *name, *count, *per, *limit, *window;
} builtin_rates[] = {
    { "connections", "connections", "address", "120", "60s" },
    { "connections-network", "connections", "network", "300", "60s" },
    { "connections-site", "connections", "site", "600", "60s" },
    { "messages", "messages", "address", "120", "60s" },
    { "messages-network", "messages", "network", "360", "60s" },
    { "messages-site", "messages", "site", "720", "60s" },
    { "recipients", "recipients", "address", "600", "60s" },
    { "recipients-network", "recipients", "network", "1800", "60s" },
    { "recipients-site", "recipients", "site", "3600", "60s" },
    { "harvest", "unknown_recipients", "address", "30", "1h" },
    { "harvest-network", "unknown_recipients", "network", "90", "1h" },
    { "harvest-site", "unknown_recipients", "site", "180", "1h" },
};

static void add_builtin_rates(struct config_reading *r)
{
    struct config_section section;
    size_t at = 0;

    while (strcmp((section = config_section_at(at)).name, "rate") != 0)
        at++;
    for (size_t i = 0; i < sizeof builtin_rates / sizeof *builtin_rates; i++) {
        struct config_instance *instance = config_add_instance(r, &section, str_of(builtin_rates[i].name));

        if (instance == NULL)
            return;
        config_set_key(r, instance, "count", str_of(builtin_rates[i].count));
        config_set_key(r, instance, "per", str_of(builtin_rates[i].per));
        config_set_key(r, instance, "limit", str_of(builtin_rates[i].limit));
        config_set_key(r, instance, "window", str_of(builtin_rates[i].window));
    }
}

static void check_rate(struct config_reading *r, const struct rate *rate)
{
    struct config_instance *instance = config_instance_at(r, rate);

    if (instance == NULL || instance->errors_n > 0)
        return;
    if (rate->per == RATE_ASN && r->config->policy.geo.asn_database.n == 0)
        config_complain(r, config_line_of(instance, "per"), instance, "per", "asn needs [geo] asn_database");
    if (rate->count == RATE_CONNECTIONS && (rate->per == RATE_SENDER || rate->per == RATE_USER))
        config_complain(r, config_line_of(instance, "per"), instance, "per",
                        "connections have neither sender nor user; expected address, network, site or asn");
}

static void check_rates_sections(struct config_reading *r)
{
    const struct rates_policy *rates = &r->config->policy.rates;

    if (rates->list.n == 0 && rates->builtin)
        add_builtin_rates(r);
    for (size_t i = 0; i < rates->list.n; i++)
        check_rate(r, (const struct rate *)rates->list.item + i);
}

static void check_brownout_section(struct config_reading *r)
{
    const struct brownout_policy *brownout = &r->config->policy.brownout;
    struct config_instance *instance = config_instance_named(r, "brownout");

    if (instance->errors_n == 0 && brownout->very_slow < brownout->slow)
        config_complain(r, config_line_of(instance, "very_slow"), instance, "very_slow", "must not be below slow");
}

void config_check_policy(struct config_reading *r)
{
    const struct policy *policy = &r->config->policy;
    const struct exception *exceptions = policy->exceptions.item;

    for (size_t i = 0; i < policy->exceptions.n; i++)
        check_exception(r, &exceptions[i]);
    check_geo_sections(r);
    settle_own_addresses(r);
    check_words(r, config_instance_named(r, "sender"), "receive_only", &policy->sender.receive_only, is_receiver,
                "an address or a domain, such as sales@example.org");
    check_rates_sections(r);
    check_brownout_section(r);
    for (size_t i = 0; i < policy->list.n; i++)
        check_list(r, (struct list_policy *)policy->list.item + i);
}
