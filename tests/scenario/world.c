#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../proxy/counts.h"

enum { OFFER_MAX = 16384, RESTLESS = 200000 };

int world_in_product;

#define IN_PRODUCT(call) (world_in_product++, (call), (void)world_in_product--)

/* ---- configurations ---- */

static struct cached {
    struct cached *next;
    char *text;
    struct config *config;
} * configs;

/* Values every scenario starts from; a setting of the same section and key takes the place of one. */
static const struct base_value {
    const char *section, *key, *value;
} base[] = {
    { "server", "hostname", "gw.local.example" },
    { "listen mx", "address", "192.0.2.25:25" },
    { "listen mx", "tls", "off" },
    { "backend", "servers", "10.0.0.1:25" },
    { "relay", "domains", "local.example" },
    /* Authentication is silent where a scenario does not speak of it ("use authentication"). */
    { "author", "strict", "no" },
    { "spf", "check", "no" },
    { "dkim", "check", "no" },
    { "arc", "check", "no" },
    { "dmarc", "mode", "off" },
    /* What is remembered from one session to the next ("use standing", "use recipients"). */
    { "standing", "mode", "off" },
    { "recipients", "mode", "off" },
    { "lookalike", "mode", "off" },
    { "impersonation", "mode", "off" },
    { "attachment", "mode", "off" }, /* "use attachment" */
    /* "use names" */
    { "rdns", "mode", "off" },
    { "rdns", "unconfirmed", "off" },
    { "helo", "impostor", "off" },
    { "helo", "literal", "off" },
    { "helo", "unqualified", "off" },
    { "helo", "unresolvable", "off" },
    { "helo", "mismatch", "off" },
    { "sender", "exists", "off" },
    { "sender", "null_mx", "off" },
    { "sender", "bounces", "off" },
    /* "use door", "use tarpit" */
    { "door", "pause", "0" },
    { "tarpit", "sessions", "0" },
    { "brownout", "mode", "off" }, /* "use brownout" */
    { "rates", "builtin", "no" },  /* scenarios have [rate] sections of their own */
};

/* Takes "[section] key = value" apart. */
static bool cut_setting(struct str line, struct str *section, struct str *key, struct str *value)
{
    size_t close = str_find(line, ']'), equals = str_find(line, '=');

    if (line.n == 0 || line.p[0] != '[' || close == line.n || equals == line.n || close > equals)
        return false;
    *section = str_from(line.p + 1, close - 1);
    *key = str_trim(str_from(line.p + close + 1, equals - close - 1));
    *value = str_trim(str_skip(line, equals + 1));
    return true;
}

/* Whether one of the `settings` is for this key. */
static bool is_set(struct str settings, struct str section, struct str key)
{
    while (settings.n > 0) {
        size_t n = str_find(settings, '\n');
        struct str in, name, value;

        if (cut_setting(str_from(settings.p, n), &in, &name, &value) && str_eq(in, section) && str_eq(name, key))
            return true;
        settings = str_skip(settings, n < settings.n ? n + 1 : n);
    }
    return false;
}

/* The ini puts each section's keys together: one pass a section, in order of first mention. The last setting
 * of a key counts.
 */
static void print_section(struct bytes *out, struct str section, struct str settings)
{
    struct str rest = settings;

    bytes_printf(out, "[%.*s]\n", STR_ARG(section));
    for (size_t i = 0; i < sizeof base / sizeof *base; i++)
        if (str_eq(section, str_of(base[i].section)) && !is_set(settings, section, str_of(base[i].key)))
            bytes_printf(out, "%s = %s\n", base[i].key, base[i].value);
    while (rest.n > 0) {
        size_t n = str_find(rest, '\n');
        struct str line = str_from(rest.p, n), name, key, value;

        rest = str_skip(rest, n < rest.n ? n + 1 : n);
        if (cut_setting(line, &name, &key, &value) && str_eq(name, section) && !is_set(rest, section, key))
            bytes_printf(out, "%.*s = %.*s\n", STR_ARG(key), STR_ARG(value));
    }
}

static bool is_listed(const struct bytes *ini, struct str section)
{
    struct bytes head = { 0 };
    bool found;

    bytes_printf(&head, "[%.*s]\n", STR_ARG(section));
    found = str_search(bytes_all(ini), bytes_all(&head)) < bytes_all(ini).n;
    bytes_free(&head);
    return found;
}

static void print_ini(struct bytes *ini, struct str settings)
{
    struct str rest = settings;

    for (size_t i = 0; i < sizeof base / sizeof *base; i++)
        if (!is_listed(ini, str_of(base[i].section)))
            print_section(ini, str_of(base[i].section), settings);
    while (rest.n > 0) {
        size_t n = str_find(rest, '\n');
        struct str section, key, value;

        if (cut_setting(str_from(rest.p, n), &section, &key, &value) && !is_listed(ini, section))
            print_section(ini, section, settings);
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
    }
}

static struct config *parse_config(struct str text, struct bytes *errors)
{
    char *said = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&said, &n);
    struct config *config;

    if (f == NULL)
        abort();
    config = config_parse(text, "scenario.ini", f);
    fclose(f);
    bytes_put(errors, str_from(said, n));
    free(said);
    return config;
}

static struct config *find_config(struct str settings, struct bytes *errors)
{
    struct bytes ini = { 0 };
    struct cached *c;

    print_ini(&ini, settings);
    for (c = configs; c != NULL; c = c->next)
        if (str_eq(str_of(c->text), bytes_all(&ini)))
            break;
    if (c == NULL) {
        struct config *config = parse_config(bytes_all(&ini), errors);

        if (config != NULL) {
            c = must_grow(NULL, sizeof *c);
            *c = (struct cached){ configs, must_copy(bytes_all(&ini)), config };
            configs = c;
        }
    }
    bytes_free(&ini);
    return c == NULL ? NULL : c->config;
}

void world_forget_configs(void)
{
    while (configs != NULL) {
        struct cached *c = configs;

        configs = c->next;
        config_free(c->config);
        free(c->text);
        free(c);
    }
}

/* ---- carrying out what the session wants ---- */

static void collect_log(struct world *w)
{
    bytes_put(&w->log, log_peek(w->env->log));
    log_clear(w->env->log);
}

static void open_south(struct world *w, struct session_wants *wants)
{
    wants->open_south = false;
    w->target = *wants->target;
    w->south.state = WIRE_ASKED;
    w->south.wants_tls = w->south.is_tls = w->south.fin = false;
    w->south.room = SIZE_MAX;
    bytes_clear(&w->south.in);
    w->connections++;
    oracle_south_open(&w->oracle);
}

/* Writes what the peer takes; true when anything was. */
static bool write_leg(struct world *w, struct wire *wire, struct leg *leg)
{
    bool wrote = false;

    /* T-1: behind the go-ahead nothing goes out in clear. */
    while (wire->state == WIRE_OPEN && !wire->wants_tls && leg->end != LEG_RESET && !leg->is_held && leg->out.n > 0 &&
           wire->room > 0) {
        struct str front = chain_front(&leg->out);
        size_t n = front.n < wire->room ? front.n : wire->room;

        bytes_put(&wire->sent, str_from(front.p, n));
        if (wire == &w->north)
            oracle_north_out(&w->oracle, str_from(front.p, n));
        else
            oracle_south_out(&w->oracle, str_from(front.p, n));
        chain_drop(&leg->out, n);
        if (wire->room != SIZE_MAX)
            wire->room -= n;
        wrote = true;
    }
    return wrote;
}

static bool write_and_tell(struct world *w, struct wire *wire, struct leg *leg)
{
    if (!write_leg(w, wire, leg))
        return false;
    if (wire == &w->north)
        IN_PRODUCT(session_north_written(w->session, true));
    else
        IN_PRODUCT(session_south_written(w->session));
    return true;
}

/* The connection is lost; the session learns it. */
static void lose(struct world *w, struct wire *wire, const char *why)
{
    wire->state = WIRE_GONE;
    wire->fin = wire->wants_tls = false;
    bytes_clear(&wire->in);
    if (wire == &w->north) {
        oracle_north_gone(&w->oracle);
        char *own = strdup(why); /* good for this event only, as stream_why() is */

        if (own == NULL)
            abort();
        IN_PRODUCT(session_north_gone(w->session, own));
        free(own);
    } else {
        oracle_south_end(&w->oracle);
        IN_PRODUCT(session_south_failed(w->session, why));
    }
}

/* Plaintext that nobody consumed before the handshake ends the connection (T-2, T-8). */
static bool start_tls(struct world *w, struct wire *wire, struct leg *leg)
{
    if (!leg->start_tls || leg->out.n > 0 || wire->state != WIRE_OPEN)
        return false;
    leg->start_tls = false;
    wire->wants_tls = true;
    if (wire->in.n == wire->in.start)
        return false;
    lose(w, wire, "plaintext before TLS");
    return true;
}

/* What is left to write goes with an orderly close. */
static void end_leg(struct world *w, struct wire *wire, struct leg *leg)
{
    if (wire->state == WIRE_OPEN || wire->state == WIRE_ASKED) {
        if (leg->end == LEG_CLOSE)
            write_leg(w, wire, leg);
        if (wire == &w->south)
            oracle_south_end(&w->oracle);
        else if (wire->wants_tls) /* a handshake that fails has no last word */
            oracle_north_gone(&w->oracle);
        wire->state = leg->end == LEG_RESET ? WIRE_RESET : WIRE_CLOSED;
        wire->wants_tls = false;
        bytes_clear(&wire->in);
    }
    chain_clear(&leg->out);
}

/* Step 1 of the order of work; an end of the south leg belongs to the old connection, so it comes first.
 * True when there may be more to do.
 */
static bool carry_out(struct world *w)
{
    struct session_wants *wants = session_wants(w->session);
    bool more = false;

    if (wants->south.end != LEG_OPEN) {
        end_leg(w, &w->south, &wants->south);
        wants->south.end = LEG_OPEN;
    }
    if (wants->open_south)
        open_south(w, wants);
    more |= write_and_tell(w, &w->north, &wants->north);
    more |= start_tls(w, &w->north, &wants->north);
    more |= write_and_tell(w, &w->south, &wants->south);
    more |= start_tls(w, &w->south, &wants->south);
    if (wants->north.end != LEG_OPEN)
        end_leg(w, &w->north, &wants->north);
    return more || wants->open_south || wants->south.end != LEG_OPEN;
}

/* ---- questions ---- */

/* The zone answers at once, and all that it knows in one event. */
static bool answer_questions(struct world *w)
{
    struct session_wants *wants = session_wants(w->session);
    struct question q;
    bool answered = false;

    if (!wants->ask)
        return false;
    wants->ask = false;
    while (session_next_question(w->session, &q))
        answered |= dns_answer(&w->dns, q, session_facts(w->session));
    if (answered)
        IN_PRODUCT(session_answered(w->session));
    return answered;
}

/* ---- offering input ---- */

static bool is_offered(const struct wire *wire, const struct leg *leg)
{
    return wire->state == WIRE_OPEN && leg->read && leg->end == LEG_OPEN && !wire->wants_tls;
}

static struct str input_of(const struct wire *wire)
{
    struct str in = bytes_all(&wire->in);

    return str_from(in.p, in.n < OFFER_MAX ? in.n : OFFER_MAX);
}

/* The bytes are handed over in a block of their own size, so that the sanitizer sees a read past their end.
 */
static size_t offer_to(struct world *w, bool north, struct str in)
{
    char *copy = must_grow(NULL, in.n);
    struct str exact = { copy, in.n };
    size_t used = 0;

    memcpy(copy, in.p, in.n);
    /* Spare chunks may all be in use by other sessions of a worker: every reply and command may fail for memory. */
    pool_free(&w->env->messages);
    pool_free(&w->env->control);
    if (north)
        IN_PRODUCT(used = session_north_input(w->session, exact));
    else
        IN_PRODUCT(used = session_south_input(w->session, exact));
    if (used > in.n) {
        w->broken = "the session consumed more than it was offered";
        used = in.n;
    }
    if (north)
        oracle_north_in(&w->oracle, str_from(in.p, used));
    else
        oracle_south_in(&w->oracle, str_from(in.p, used));
    free(copy);
    return used;
}

static bool offer_north(struct world *w)
{
    struct leg *leg = &session_wants(w->session)->north;
    size_t used;

    if (!is_offered(&w->north, leg))
        return false;
    if (input_of(&w->north).n == 0) {
        if (!w->north.fin)
            return false;
        w->north.fin = false;
        oracle_north_gone(&w->oracle);
        IN_PRODUCT(session_north_end(w->session));
        return true;
    }
    used = offer_to(w, true, input_of(&w->north));
    bytes_drop(&w->north.in, used);
    return used > 0;
}

static bool offer_south(struct world *w)
{
    size_t used;

    if (!is_offered(&w->south, &session_wants(w->session)->south))
        return false;
    if (input_of(&w->south).n == 0) {
        if (!w->south.fin)
            return false;
        lose(w, &w->south, "connection closed by the back end");
        return true;
    }
    used = offer_to(w, false, input_of(&w->south));
    bytes_drop(&w->south.in, used);
    return used > 0;
}

static void free_session(struct world *w)
{
    if (w->north.state == WIRE_OPEN)
        w->north.state = WIRE_CLOSED;
    if (w->south.state == WIRE_OPEN || w->south.state == WIRE_ASKED) {
        w->south.state = WIRE_CLOSED;
        oracle_south_end(&w->oracle);
    }
    IN_PRODUCT(session_free(w->session));
    w->session = NULL;
    oracle_north_end(&w->oracle);
}

/* An offer may change what is wanted without consuming anything. */
static bool has_output(const struct world *w)
{
    const struct session_wants *wants = session_wants(w->session);

    return (wants->north.out.n > 0 && !wants->north.is_held && w->north.state == WIRE_OPEN && w->north.room > 0 &&
            !w->north.wants_tls) ||
           (wants->south.out.n > 0 && w->south.state == WIRE_OPEN && w->south.room > 0 && !w->south.wants_tls) ||
           wants->open_south || wants->south.end != LEG_OPEN || wants->ask;
}

/* Comes to rest after an event: session.h, "order of work". */
static void settle(struct world *w)
{
    int turns = 0;
    bool more;

    if (w->session == NULL)
        return;
    do {
        more = carry_out(w);
        more |= answer_questions(w);
        collect_log(w);
        more |= offer_south(w) || offer_north(w); /* what an offer made due goes out before the next one */
        more |= has_output(w);
        if (++turns > RESTLESS)
            w->broken = "the session never comes to rest";
    } while (w->broken == NULL && more);
    if (session_is_over(w->session)) {
        free_session(w);
        collect_log(w);
    }
}

/* ---- time ---- */

static void set_time(struct world *w, uint64_t now)
{
    w->env->unix_ms += (int64_t)(now - w->env->now);
    w->env->now = now;
    log_set_time(w->env->log, w->env->unix_ms);
}

void world_wait(struct world *w, uint64_t ms)
{
    uint64_t end = w->env->now + ms;
    int turns = 0;

    while (w->session != NULL && session_wants(w->session)->deadline <= end) {
        uint64_t deadline = session_wants(w->session)->deadline;

        if (++turns > RESTLESS) {
            w->broken = "the session sets its alarm for ever";
            return;
        }
        set_time(w, deadline > w->env->now ? deadline : w->env->now);
        IN_PRODUCT(session_tick(w->session));
        settle(w);
    }
    set_time(w, end);
}

/* ---- events ---- */

void world_send(struct world *w, struct wire *wire, struct str bytes)
{
    if (wire->state != WIRE_OPEN || w->session == NULL)
        return;
    bytes_put(&wire->in, bytes);
    settle(w);
}

void world_fin(struct world *w, struct wire *wire)
{
    if (wire->wants_tls) {
        world_fail(w, wire, "closed in the TLS handshake");
        return;
    }
    wire->fin = true;
    settle(w);
}

void world_fail(struct world *w, struct wire *wire, const char *why)
{
    if (w->session == NULL || (wire->state != WIRE_OPEN && wire->state != WIRE_ASKED))
        return;
    lose(w, wire, why);
    settle(w);
}

void world_connected(struct world *w)
{
    if (w->session == NULL || w->south.state != WIRE_ASKED)
        return;
    w->south.state = WIRE_OPEN;
    IN_PRODUCT(session_south_connected(w->session, &w->setting.own));
    settle(w);
}

void world_secured(struct world *w, struct wire *wire)
{
    static const struct tls_facts facts = { "TLS1_3", "TLS_AES_256_GCM_SHA384" };

    if (w->session == NULL || wire->state != WIRE_OPEN || !wire->wants_tls)
        return;
    wire->wants_tls = false;
    wire->is_tls = true;
    if (wire == &w->north) {
        oracle_north_tls(&w->oracle);
        IN_PRODUCT(session_north_secured(w->session, &facts));
    } else {
        oracle_south_tls(&w->oracle);
        IN_PRODUCT(session_south_secured(w->session));
    }
    settle(w);
}

void world_room(struct world *w, struct wire *wire, size_t octets)
{
    wire->room = octets;
    if (wire == &w->north && octets != SIZE_MAX)
        w->rules.north_stalls = true;
    settle(w);
}

void world_drain(struct world *w)
{
    if (w->session == NULL)
        return;
    IN_PRODUCT(session_drain(w->session));
    settle(w);
}

void world_stress(struct world *w, bool is_stressed)
{
    w->env->is_stressed = is_stressed;
    if (w->session == NULL)
        return;
    IN_PRODUCT(session_stressed(w->session));
    settle(w);
}

static bool is_awaited(struct world *w, struct question q)
{
    const struct fact *fact = NULL;

    if (w->session != NULL && session_facts(w->session) != NULL)
        fact = facts_find(session_facts(w->session), q);
    return fact != NULL && fact->state == FACT_UNKNOWN;
}

bool world_answer(struct world *w, const struct dns_record *r)
{
    if (!is_awaited(w, r->q))
        return false;
    facts_answer(session_facts(w->session), r->q, r->state, r->value, r->n);
    IN_PRODUCT(session_answered(w->session));
    settle(w);
    return true;
}

bool world_fail_dns(struct world *w, struct str name)
{
    bool any = false;

    for (enum ask kind = ASK_TXT; kind <= ASK_PTR; kind++) {
        struct question q = { kind, name };

        if (!is_awaited(w, q))
            continue;
        facts_answer(session_facts(w->session), q, FACT_TEMP, NULL, 0);
        any = true;
    }
    if (any) {
        IN_PRODUCT(session_answered(w->session));
        settle(w);
    }
    return any;
}

/* ---- beginning and end ---- */

void world_init(struct world *w)
{
    *w = (struct world){ .setting = { .admission = ADMIT } };
    w->env = must_grow(NULL, sizeof *w->env);
    memset(w->env, 0, sizeof *w->env);
    endpoint_parse(STR("203.0.113.9:40000"), 0, &w->setting.client);
    endpoint_parse(STR("192.0.2.25:25"), 0, &w->setting.server);
    endpoint_parse(STR("10.0.0.1:33000"), 0, &w->setting.own);
    snprintf(w->rules.domains, sizeof w->rules.domains, "local.example");
    snprintf(w->rules.authserv_id, sizeof w->rules.authserv_id, "gw.local.example");
}

void world_free(struct world *w)
{
    world_end(w);
    servers_free(&w->servers);
    pool_free(&w->env->messages);
    pool_free(&w->env->control);
    if (w->env->log != NULL)
        log_free(w->env->log);
    past_free(w->env->past);
    list_states_free(w->env->lists);
    standing_free(w->env->standing);
    shared_table_free(w->env->greylist);
    shared_table_free(w->env->recipients);
    rates_free(w->env->rates);
    counts_free(w->env->counts);
    geoip_free(w->env->geo);
    free(w->env);
    bytes_free(&w->setting.ini);
    bytes_free(&w->setting.offers);
    bytes_free(&w->north.in);
    bytes_free(&w->north.sent);
    bytes_free(&w->south.in);
    bytes_free(&w->south.sent);
    bytes_free(&w->log);
    dns_free(&w->dns);
    oracle_free(&w->oracle);
}

static const struct listener *find_listener(const struct world *w)
{
    for (size_t i = 0; i < w->config->listeners_n; i++)
        if (w->setting.listener != NULL && str_eq(w->config->listeners[i].name, str_of(w->setting.listener)))
            return &w->config->listeners[i];
    return &w->config->listeners[0];
}

/* What probes would have learnt of every server. */
static void teach_servers(struct world *w)
{
    struct backend_caps caps = { 0 };

    if (bytes_all(&w->setting.offers).n == 0)
        return;
    backend_caps_read(bytes_all(&w->setting.offers), &caps);
    caps.known = true;
    for (size_t i = 0; i < w->servers.n; i++)
        servers_up(&w->servers.server[i], &caps, w->env->now, w->config->timeouts.probe);
}

static bool open_databases(struct world *w)
{
    if (!geoip_is_configured(&w->config->policy.geo))
        return true;
    w->env->geo = geoip_new(&w->config->policy.geo);
    if (w->env->geo != NULL)
        geoip_begin(w->env->geo, w->env->log, w->env->now);
    return w->env->geo != NULL;
}

bool world_start(struct world *w, struct bytes *errors)
{
    size_t messages;

    w->config = find_config(bytes_all(&w->setting.ini), errors);
    if (w->config == NULL)
        return false;
    w->env->config = w->config;
    w->env->log = log_new(LOG_LOGFMT, LOG_TO_STDERR, LOG_INFO, -1);
    w->env->servers = &w->servers;
    w->env->past = past_new();
    w->env->lists = list_states_new();
    w->env->standing = standing_new(&w->config->policy.standing);
    w->env->greylist = shared_table_new(w->config->policy.greylist.memory);
    w->env->recipients = shared_table_new(w->config->policy.recipients.memory);
    w->env->rates = rates_new(w->config->policy.rates.memory);
    w->env->counts = w->config->tarpit.sessions > 0 ? counts_new(1) : NULL;
    messages = w->setting.message_pool > 0 ? w->setting.message_pool : (size_t)w->config->limits.message_memory;
    pool_init(&w->env->messages, messages);
    pool_init(&w->env->control, 1 << 20);
    w->env->now = 1000000;
    w->env->unix_ms = INT64_C(1795348800000); /* 2026-11-22 12:00:00 UTC */
    log_set_time(w->env->log, w->env->unix_ms);
    if (w->env->log == NULL || w->env->past == NULL || w->env->lists == NULL || !servers_init(&w->servers, w->config))
        abort();
    if (!open_databases(w))
        abort();
    teach_servers(w);
    oracle_init(&w->oracle, &w->rules);
    world_new_session(w);
    return true;
}

static void forget_wire(struct wire *wire)
{
    wire->state = WIRE_NONE;
    wire->fin = wire->wants_tls = wire->is_tls = false;
    wire->room = SIZE_MAX;
    bytes_clear(&wire->in);
}

void world_new_session(struct world *w)
{
    struct session_peer peer = { .listener = find_listener(w),
                                 .client = w->setting.client,
                                 .server = w->setting.server,
                                 .peer = w->setting.client,
                                 .address = w->setting.server,
                                 .admission = w->setting.admission };

    world_end(w);
    if (w->setting.balancer.port != 0)
        peer.peer = w->setting.balancer;
    snprintf(peer.id, sizeof peer.id, "S%u", ++w->sessions);
    forget_wire(&w->north);
    forget_wire(&w->south);
    w->north.state = WIRE_OPEN;
    oracle_north_open(&w->oracle);
    IN_PRODUCT(w->session = session_new(w->env, &peer));
    if (w->session == NULL) {
        w->sessions--;
        w->no_memory = true;
    }
    settle(w);
}

void world_end(struct world *w)
{
    if (w->session == NULL)
        return;
    oracle_north_gone(&w->oracle); /* no last word is owed: it is the world that ends */
    free_session(w);
    collect_log(w);
}
