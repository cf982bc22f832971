/* What no single key can tell: defaults that follow from other values, and values that contradict each other. */
#include "config_parts.h"

#include <inttypes.h>
#include <sched.h>
#include <unistd.h>

#include "../policy/path.h"

enum { FINGERPRINT_DIGITS = 64, WORKERS_MAX = 64 };

unsigned config_line_of(const struct config_instance *instance, const char *key)
{
    for (size_t i = 0; i < instance->section.rows_n; i++)
        if (strcmp(instance->section.rows[i].key, key) == 0 && instance->row_line[i] != 0)
            return instance->row_line[i];
    return instance->line;
}

#define COMPLAIN(r, instance, key, ...) \
    config_complain((r), config_line_of((instance), (key)), (instance), (key), __VA_ARGS__)
#define WARN(r, instance, key, ...) config_warn((r), config_line_of((instance), (key)), (instance), (key), __VA_ARGS__)

static void check_required(struct config_reading *r, struct config_instance *instance)
{
    char expects[CONFIG_EXPECTS_MAX];

    for (size_t i = 0; i < instance->section.rows_n; i++) {
        const struct option *row = &instance->section.rows[i];

        if (row->required && instance->row_line[i] == 0)
            COMPLAIN(r, instance, row->key, "missing; expected %s", config_value_expects(row, expects));
    }
}

static void sort_domains(struct config_instance *instance)
{
    for (size_t i = 0; i < instance->section.rows_n; i++)
        if (instance->section.rows[i].type == OPTION_DOMAINS)
            domain_set_sort((struct domain_set *)(void *)(instance->base + instance->section.rows[i].offset));
}

/* ---- [server] ---- */

/* The system's name serves when others could look it up: a full one, with a dot. */
static void default_hostname(struct config_reading *r, struct config_instance *server)
{
    char name[256] = "";
    struct str text;
    char *kept;

    if (gethostname(name, sizeof name - 1) != 0)
        name[0] = '\0';
    text = str_of(name);
    if (str_find(text, '.') == text.n || !domain_is_valid(text)) {
        COMPLAIN(r, server, "hostname",
                 "missing, and the system's name \"%s\" is not a full one; expected a domain name",
                 CONFIG_QUOTED(text));
        return;
    }
    kept = config_take(&r->store, text.n + 1);
    if (kept == NULL) {
        config_complain_memory(r);
        return;
    }
    memcpy(kept, name, text.n);
    r->config->hostname = str_from(kept, text.n);
}

static void check_server(struct config_reading *r)
{
    struct config_instance *server = config_instance_named(r, "server");

    if (server->errors_n > 0)
        return;
    if (r->config->hostname.n == 0)
        default_hostname(r, server);
    if (r->config->authserv_id.n == 0)
        r->config->authserv_id = r->config->hostname;
    r->config->policy.hostname = r->config->hostname;
    r->config->policy.authserv_id = r->config->authserv_id;
}

/* Containers may use fewer processors than there are. */
static uint64_t processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (uint64_t)n;
}

static void settle_workers(struct config *config)
{
    if (config->workers == 0)
        config->workers = config_workers_that_fit(config, processors());
}

/* ---- listeners ---- */

void config_set_key(struct config_reading *r, struct config_instance *instance, const char *key, struct str text)
{
    for (size_t i = 0; i < instance->section.rows_n; i++)
        if (strcmp(instance->section.rows[i].key, key) == 0)
            config_value_read(r, instance, &instance->section.rows[i], text, 0);
}

static void add_default_listener(struct config_reading *r)
{
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);
        struct config_instance *instance = NULL;

        if (section.place == PLACE_LISTENER)
            instance = config_add_instance(r, &section, STR("smtp"));
        if (instance != NULL)
            config_set_key(r, instance, "address", STR("0.0.0.0:25 [::]:25"));
    }
}

static bool shares_address(const struct listener *a, const struct listener *b, struct endpoint *shared)
{
    for (size_t i = 0; i < a->address.n; i++)
        for (size_t k = a == b ? i + 1 : 0; k < b->address.n; k++) {
            *shared = a->address.item[i];
            if (shared->port == b->address.item[k].port && address_eq(&shared->address, &b->address.item[k].address))
                return true;
        }
    return false;
}

static void check_addresses(struct config_reading *r, struct config_instance *instance, const struct listener *listener)
{
    char text[ENDPOINT_TEXT_MAX];
    struct endpoint shared;

    for (const struct listener *other = r->config->listeners; other <= listener; other++)
        if (shares_address(listener, other, &shared)) {
            endpoint_print(&shared, text);
            COMPLAIN(r, instance, "address", "%s is listened on twice", text);
        }
}

static void check_listener(struct config_reading *r, const struct listener *listener)
{
    struct config_instance *instance = config_instance_at(r, listener);

    if (instance->errors_n > 0)
        return;
    check_addresses(r, instance, listener);
    if (listener->tls == LISTEN_TLS_OFF && listener->require_tls)
        COMPLAIN(r, instance, "require_tls", "yes contradicts tls = off");
    if (listener->tls == LISTEN_TLS_OFF && listener->auth)
        COMPLAIN(r, instance, "auth", "yes contradicts tls = off: passwords are taken in encrypted sessions alone");
    if (listener->tls != LISTEN_TLS_OFF && r->config->certificates_n == 0)
        COMPLAIN(r, instance, "tls",
                 "needs a certificate: add a section [certificate NAME] with chain and key, or set tls = off");
    if (listener->sessions > r->config->limits.sessions)
        WARN(r, instance, "sessions", "[limits] sessions ends at %" PRIu64 " already", r->config->limits.sessions);
}

static bool any_auth(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_n; i++)
        if (config->listeners[i].auth)
            return true;
    return false;
}

/* ---- [auth] ---- */

/* RFC 4422 3.1: 1 to 20 upper-case letters, digits, '-', '_'. */
static bool is_mechanism(struct str word)
{
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return word.n > 0 && word.n <= 20;
}

static const char *mechanism_trouble(struct str word)
{
    if (!is_mechanism(word))
        return "expected a SASL mechanism such as PLAIN";
    if (str_eq(word, STR("EXTERNAL")))
        return "not across a gateway: it would log in Postern itself, not the client";
    if (str_iends(word, STR("-PLUS")))
        return "not across a gateway: it binds the password to the TLS channel, and there are two";
    return NULL;
}

/* A copy in upper case, which is how mechanisms are written. */
static struct str upper(struct config_reading *r, struct str word)
{
    char *p = config_take(&r->store, word.n + 1);

    if (p == NULL) {
        config_complain_memory(r);
        return word;
    }
    for (size_t i = 0; i < word.n; i++)
        p[i] = (char)(word.p[i] >= 'a' && word.p[i] <= 'z' ? word.p[i] - 'a' + 'A' : word.p[i]);
    return str_from(p, word.n);
}

static void check_auth(struct config_reading *r)
{
    struct config_instance *auth = config_instance_named(r, "auth");
    struct str_list *list = &r->config->auth_mechanisms;
    struct str *words = config_take(&r->store, (list->n + 1) * sizeof *words);

    if (words == NULL) {
        config_complain_memory(r);
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        const char *trouble;

        words[i] = upper(r, list->item[i]);
        trouble = mechanism_trouble(words[i]);
        if (trouble != NULL)
            COMPLAIN(r, auth, "mechanisms", "\"%s\": %s", CONFIG_QUOTED(list->item[i]), trouble);
    }
    list->item = words;
    if (list->n == 0 && auth->errors_n == 0 && any_auth(r->config))
        COMPLAIN(r, auth, "mechanisms", "none, but a listener has auth = yes");
}

/* ---- back ends ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1;
}

/* "AB:CD:..." or "abcd..." as 64 lower-case digits; the copy in `out` has room for them. */
static bool read_fingerprint(struct str text, char out[FINGERPRINT_DIGITS + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ':' && n > 0 && n % 2 == 0 && i + 1 < text.n)
            continue;
        if (hex_value(text.p[i]) < 0 || n == FINGERPRINT_DIGITS)
            return false;
        out[n++] = ascii_lower(text.p[i]);
    }
    out[n] = '\0';
    return n == FINGERPRINT_DIGITS;
}

static void check_fingerprint(struct config_reading *r, struct config_instance *instance, struct route *route)
{
    char *digits;

    if (route->tls_fingerprint.n == 0)
        return;
    digits = config_take(&r->store, FINGERPRINT_DIGITS + 1);
    if (digits == NULL)
        config_complain_memory(r);
    else if (!read_fingerprint(route->tls_fingerprint, digits))
        COMPLAIN(r, instance, "tls_fingerprint", "\"%s\": expected the SHA-256 of a certificate, 64 hexadecimal digits",
                 CONFIG_QUOTED(route->tls_fingerprint));
    else
        route->tls_fingerprint = str_from(digits, FINGERPRINT_DIGITS);
}

static void check_route_tls(struct config_reading *r, struct config_instance *instance, const struct route *route)
{
    bool verifies = route->tls_ca.n > 0 || route->tls_fingerprint.n > 0;

    if (verifies && route->tls != SOUTH_TLS_REQUIRED)
        COMPLAIN(r, instance, route->tls_ca.n > 0 ? "tls_ca" : "tls_fingerprint",
                 "needs tls = required: otherwise a server that fails the check gets the mail in clear");
    if (route->tls_name.n > 0 && route->tls_ca.n == 0)
        COMPLAIN(r, instance, "tls_name", "needs tls_ca: without one the name in a certificate proves nothing");
    if (route->tls == SOUTH_TLS_REQUIRED && !verifies)
        WARN(r, instance, "tls", "encrypted, but to whom is not checked: set tls_ca or tls_fingerprint");
}

static bool is_local_only(const struct endpoint_list *servers)
{
    for (size_t i = 0; i < servers->n; i++)
        if (!address_is_loopback(&servers->item[i].address))
            return false;
    return true;
}

/* Mail that nobody may send needs no route. Whoever may relay may use any. */
static void check_route_domain(struct config_reading *r, struct config_instance *instance, const struct route *route)
{
    const struct relay_policy *relay = &r->config->policy.relay;
    char below[PATH_DOMAIN_MAX + 8];
    int n = snprintf(below, sizeof below, "%s%.*s", route->is_wildcard ? "x." : "", STR_ARG(route->name));

    if (route->name.n == 0 || relay->networks.n > 0 || any_auth(r->config))
        return;
    if (!domain_set_holds(&relay->domains, str_from(below, (size_t)n)))
        WARN(r, instance, "servers", "[relay] domains does not hold this domain, so no mail comes this way");
}

static void check_route(struct config_reading *r, struct route *route)
{
    struct config_instance *instance = config_instance_at(r, route);

    if (instance->errors_n > 0)
        return;
    check_fingerprint(r, instance, route);
    check_route_tls(r, instance, route);
    if (route->tls == SOUTH_TLS_OFF && any_auth(r->config) && !is_local_only(&route->servers))
        WARN(r, instance, "tls", "off sends the passwords of clients over the network in clear");
    check_route_domain(r, instance, route);
}

/* ---- [relay], [limits] ---- */

static void check_relay_section(struct config_reading *r)
{
    struct config_instance *relay = config_instance_named(r, "relay");
    const struct relay_policy *policy = &r->config->policy.relay;

    if (relay->errors_n == 0 && policy->domains.n == 0 && policy->networks.n == 0 && !any_auth(r->config))
        COMPLAIN(r, relay, "domains",
                 "missing, and neither networks nor a listener with auth = yes: nothing would ever be "
                 "accepted");
}

/* ---- [spf], [dkim], [arc], [dmarc] ---- */

/* An address as RCPT TO takes it, without the angle brackets. */
static bool is_mailbox(struct str text)
{
    char in[PATH_ROOM], room[PATH_ROOM];
    int n = snprintf(in, sizeof in, "<%.*s>", STR_ARG(text));
    struct path path;
    size_t used;

    return n > 0 && (size_t)n < sizeof in &&
           path_parse(str_from(in, (size_t)n), PATH_FORWARD, 0, room, &path, &used) == PATH_OK && used == (size_t)n &&
           path.domain.n > 0;
}

static bool enforces_dmarc(const struct dmarc_policy *dmarc)
{
    return dmarc->mode == DMARC_ENFORCE || dmarc->enforce_domains.n > 0;
}

/* DMARC goes by what the others find. */
static void check_methods(struct config_reading *r)
{
    static const char without[] = "no, while [dmarc] refuses mail: also what only %s authenticates";
    const struct policy *policy = &r->config->policy;

    if (enforces_dmarc(&policy->dmarc) && !policy->spf.check)
        WARN(r, config_instance_named(r, "spf"), "check", without, "SPF");
    if (enforces_dmarc(&policy->dmarc) && !policy->dkim.check)
        WARN(r, config_instance_named(r, "dkim"), "check", without, "DKIM");
    if (!policy->arc.check && policy->arc.trusted_sealers.n > 0)
        WARN(r, config_instance_named(r, "arc"), "trusted_sealers", "nobody is trusted with check = no");
}

static void check_dmarc_section(struct config_reading *r)
{
    struct config_instance *dmarc = config_instance_named(r, "dmarc");
    const struct dmarc_policy *policy = &r->config->policy.dmarc;

    if (dmarc->errors_n > 0)
        return;
    if (policy->quarantine == QUARANTINE_REDIRECT && policy->quarantine_mailbox.n == 0)
        COMPLAIN(r, dmarc, "quarantine", "redirect needs quarantine_mailbox");
    if (policy->quarantine != QUARANTINE_REDIRECT && policy->quarantine_mailbox.n > 0)
        WARN(r, dmarc, "quarantine_mailbox", "gets nothing without quarantine = redirect");
    if (policy->quarantine_mailbox.n > 0 && !is_mailbox(policy->quarantine_mailbox))
        COMPLAIN(r, dmarc, "quarantine_mailbox", "\"%s\": expected an address such as quarantine@example.org",
                 CONFIG_QUOTED(policy->quarantine_mailbox));
}

/* `times` over: a header is held once as it came and once as it goes south (message.h). */
static void check_share(struct config_reading *r, struct config_instance *limits, const char *key, uint64_t value,
                        unsigned times)
{
    uint64_t share = r->config->limits.message_memory / r->config->workers / times;
    char text[CONFIG_SIZE_MAX];

    if (value > share)
        COMPLAIN(r, limits, key,
                 "%s is more than a worker's share of message_memory, %" PRIu64 "k with %" PRIu64 " workers",
                 config_size_text(value, text), share >> 10, r->config->workers);
}

static void check_limits(struct config_reading *r)
{
    struct config_instance *limits = config_instance_named(r, "limits");

    if (limits->errors_n > 0)
        return;
    check_share(r, limits, "hold", r->config->limits.hold, 1);
    check_share(r, limits, "header_size", r->config->limits.header_size, 2);
}

/* ---- [record] ---- */

static void check_record(struct config_reading *r)
{
    struct config_instance *record = config_instance_named(r, "record");

    if (record->errors_n == 0 && r->config->record.transactions > 0 && r->config->record.file.n == 0)
        COMPLAIN(r, record, "file", "missing: what is recorded could not be had");
}

/* ---- [dns] ---- */

static void check_dns(struct config_reading *r)
{
    struct config_instance *dns = config_instance_named(r, "dns");
    const struct dns_settings *settings = &r->config->dns;
    uint64_t servers = settings->servers.n > 0 ? settings->servers.n : 1;

    if (dns->errors_n == 0 && settings->timeout * settings->tries * servers > r->config->timeouts.verdict)
        WARN(r, dns, "timeout", "with all tries at all servers it is longer than [timeouts] verdict");
}

/* A name that no listener has would leave its clients without a pause. */
static void check_door_section(struct config_reading *r)
{
    struct config_instance *door = config_instance_named(r, "door");
    const struct str_list *names = &r->config->policy.door.listeners;

    for (size_t i = 0; i < names->n; i++) {
        bool is_known = false;

        for (size_t k = 0; k < r->config->listeners_n; k++)
            is_known = is_known || str_eq(names->item[i], r->config->listeners[k].name);
        if (!is_known)
            COMPLAIN(r, door, "listeners", "there is no listener \"%s\"", CONFIG_QUOTED(names->item[i]));
    }
}

void config_check(struct config_reading *r)
{
    struct config *config = r->config;

    for (size_t i = 0; i < r->instances_n; i++) {
        check_required(r, &r->instance[i]);
        sort_domains(&r->instance[i]);
    }
    if (config->listeners_n == 0)
        add_default_listener(r);
    if (r->out_of_memory)
        return;
    check_server(r);
    for (size_t i = 0; i < config->listeners_n; i++)
        check_listener(r, &config->listeners[i]);
    check_auth(r);
    for (size_t i = 0; i < config->routes_n; i++)
        check_route(r, &config->routes[i]);
    check_relay_section(r);
    check_methods(r);
    check_dmarc_section(r);
    check_record(r);
    check_dns(r);
    config_check_policy(r);
    check_door_section(r);
    config->memory = r->store.first; /* counted when workers are fitted in */
    settle_workers(config);
    check_limits(r);
}
