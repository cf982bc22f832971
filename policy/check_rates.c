/* Rates: how many connections, messages and recipients somebody may have in a time, and what he may bring upon himself in
 * refusals and unknown recipients. The counting is the proxy's (proxy/rates.h, session_rates.c); here it is compared.
 *
 * Connections, messages and recipients are counted as attempts: added first, compared then, so that of many at once no more get
 * through than are allowed. What is only known afterwards is counted when it happens, and whoever has used it up is refused
 * before the next. Every refusal is for now (4xx): a rate says how much, and nothing about whose it is or what it is. For the same
 * reason mail for the postmaster is no exception.
 */
#include "check_rates.h"
#include "rule.h"

/* A trouble-maker is not greeted, and what he asks for in sessions he has already is put off as well. Brakes on unknown
 * recipients and on refusals hold there, too.
 */
static const unsigned stages[RATE_COUNTS] = {
    [RATE_CONNECTIONS] = 1u << AT_CONNECT,
    [RATE_MESSAGES] = 1u << AT_MAIL,
    [RATE_RECIPIENTS] = 1u << AT_RCPT,
    [RATE_REFUSALS] = 1u << AT_CONNECT | 1u << AT_MAIL,
    [RATE_UNKNOWN_RECIPIENTS] = 1u << AT_CONNECT | 1u << AT_RCPT,
    [RATE_BYTES] = 1u << AT_CONNECT | 1u << AT_MAIL,
};

bool rate_is_judged(enum rate_count count, enum stage stage)
{
    return (stages[count] & 1u << stage) != 0;
}

bool rate_is_attempt(enum rate_count count)
{
    return count == RATE_CONNECTIONS || count == RATE_MESSAGES || count == RATE_RECIPIENTS;
}

void rate_network_bits(enum rate_per per, unsigned *v4_bits, unsigned *v6_bits)
{
    *v4_bits = per == RATE_ADDRESS ? 32 : 24;
    *v6_bits = per == RATE_ADDRESS ? 128 : per == RATE_NETWORK ? 64 : 48;
}

static const char *const counts[] = { "connections",        "messages", "recipients", "refusals",
                                      "unknown_recipients", "bytes",    NULL };
static const char *const nouns[] = {
    "connections", "messages", "recipients", "refusals", "unknown recipients", "octets"
};
static const char *const pers[] = { "address", "network", "site", "asn", "sender", "user", NULL };

/* ---- words ---- */

/* "192.0.2.1", "2001:db8::/64", "AS64500", "example.org". Users are not named (ORACLE L-3). Empty while it is not known. */
static struct str subject_text(struct pass *pass, enum rate_per per)
{
    const struct envelope *envelope = pass->envelope;
    char text[NETWORK_TEXT_MAX];
    struct origin origin;
    unsigned v4, v6;

    switch (per) {
    case RATE_USER: return STR("this user");
    case RATE_SENDER: return envelope->mail_from != NULL ? envelope->mail_from->domain : STR("");
    case RATE_ASN:
        return pass_origin(pass, &origin) ? arena_printf(pass->arena, "AS%.*s", STR_ARG(origin.asn)) : STR("");
    case RATE_ADDRESS:
    case RATE_NETWORK:
    case RATE_SITE: break;
    }
    rate_network_bits(per, &v4, &v6);
    address_print_network(&envelope->client.address, v4, v6, text);
    return arena_printf(pass->arena, "%s", text);
}

/* "60s", "2h"; the largest unit that leaves no rest */
static struct str window_text(struct pass *pass, uint64_t ms)
{
    static const struct {
        unsigned ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 1000, "s" } };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ms % units[i].ms == 0)
            return arena_printf(pass->arena, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
    return arena_printf(pass->arena, "%llums", (unsigned long long)ms);
}

static struct str reason_text(struct pass *pass, const struct rate *rate, uint64_t used)
{
    struct str subject = subject_text(pass, (enum rate_per)rate->per), window = window_text(pass, rate->window);

    return arena_printf(pass->arena, "%.*s: %llu %s of %.*s in %.*s, %llu allowed", STR_ARG(rate->name),
                        (unsigned long long)used, nouns[rate->count], STR_ARG(subject), STR_ARG(window),
                        (unsigned long long)rate->limit);
}

/* ---- judgement ---- */

/* RFC 5321 3.8, 4.3.2; RFC 3463 X.7.0, X.7.1. */
static struct objection objection_at(struct pass *pass, const struct rate *rate, uint64_t used)
{
    struct objection o = { .is_load = true, .reason = reason_text(pass, rate, used) };

    if (pass->stage == AT_CONNECT) {
        o.code = 421;
        o.enhanced = "4.7.0";
        o.text = arena_printf(pass->arena, "Too many %s from you lately, try again later", nouns[rate->count]);
    } else {
        o.code = pass->stage == AT_MAIL ? 451 : 450;
        o.enhanced = "4.7.1";
        o.text = arena_printf(pass->arena, "Too many %s lately, try again later", nouns[rate->count]);
    }
    return o;
}

/* Points belong to transactions: what a connection scores is held against each message that comes by it. */
static bool is_due(const struct pass *pass, const struct rate *rate)
{
    if (rate->rule.mode == RULE_SCORE && rate->count == RATE_CONNECTIONS)
        return pass->stage == AT_MAIL;
    return rate_is_judged((enum rate_count)rate->count, pass->stage) &&
           (rate->rule.mode != RULE_SCORE || pass->stage != AT_CONNECT);
}

static bool is_used_up(const struct rate *rate, uint64_t used)
{
    if (used == RATE_NOT_KNOWN)
        return false;
    return rate_is_attempt((enum rate_count)rate->count) ? used > rate->limit : used >= rate->limit;
}

static void run(struct pass *pass)
{
    const struct rate *rates = pass->policy->rates.list.item;
    const uint64_t *usage = pass->envelope->usage;

    for (size_t i = 0; usage != NULL && i < pass->policy->rates.list.n; i++) {
        struct objection o;

        if (rates[i].rule.mode == RULE_OFF || !is_due(pass, &rates[i]) || !is_used_up(&rates[i], usage[i]))
            continue;
        o = objection_at(pass, &rates[i], usage[i]);
        pass_object(pass, &check_rates, &rates[i].rule, &o);
    }
}

#define RATES(field) offsetof(struct policy, rates.field)
#define AT(field) offsetof(struct rate, field)

/* clang-format off */
static const struct option options[] = {
    { .section = "rates", .key = "memory", .type = OPTION_BYTES, .offset = RATES(memory), .preset = "1M", .min = 65536,
      .max = 1073741824, .help = "For counting, shared by all workers: 80 octets for each key (a client and a section), of which "
      "the one used least recently makes room. Changes with a restart only." },
    { .section = "rates", .key = "builtin", .type = OPTION_BOOL, .offset = RATES(builtin), .preset = "yes",
      .help = "When there is no [rate] section, these are in force, per address, network and site: connections 120, 300 and 600 in "
              "60s; messages 120, 360 and 720 in 60s; recipients 600, 1800 and 3600 in 60s; unknown recipients 30, 90 and 180 in 1h. "
              "A large mail provider stays far below them; a bot, or a try-out of names, does not." },
};

static const struct option rate_rows[] = {
    { .section = "rate", .key = "count", .type = OPTION_CHOICE, .offset = AT(count), .preset = "messages", .choices = counts,
      .help = "Attempts: connections (refused 421 before the greeting), messages (MAIL, 451), recipients (RCPT, 450). Afterwards, and "
              "before the next: refusals (5xx by a check or the mail server; 421 or 451), unknown_recipients (the mail server does "
              "not know them; 421 or 450, and the mail server is not asked), bytes (octets of messages; 421 or 451)." },
    { .section = "rate", .key = "per", .type = OPTION_CHOICE, .offset = AT(per), .preset = "address", .choices = pers,
      .help = "address; network: an IPv4 /24 or IPv6 /64; site: an IPv4 /24 or IPv6 /48; asn: needs [geo] asn_database; sender: the "
              "domain of MAIL FROM; user: who has logged in by AUTH PLAIN or LOGIN. Who has logged in counts as a user only. Clients "
              "of [relay] networks are not counted." },
    { .section = "rate", .key = "limit", .type = OPTION_NUMBER, .offset = AT(limit), .preset = "120", .min = 1,
      .max = 1000000000000, .unit = "units",
      .help = "So many are allowed within any time of this length; no sender, and not the postmaster, is an exception." },
    { .section = "rate", .key = "window", .type = OPTION_SECONDS, .offset = AT(window), .preset = "60s", .min = 1000,
      .max = 86400000, .help = "The length of time." },
    RULE_ROWS("rate", AT(rule), "reject", "3"),
};

static const struct repeated lists[] = {
    { "rate", "mails", rate_rows, sizeof rate_rows / sizeof *rate_rows, offsetof(struct policy, rates.list), sizeof(struct rate),
      RATES_MAX, "How much is allowed in a time, of what and of whom." },
};
/* clang-format on */

const struct check check_rates = {
    .name = "rates",
    .stages = 1u << AT_CONNECT | 1u << AT_MAIL | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "How much somebody may have in a time. Whoever wants more is asked to come later.",
    .lists = lists,
    .lists_n = sizeof lists / sizeof *lists,
};
