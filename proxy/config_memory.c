/* The memory proof: what the limits of the ini can cost at worst, from the figures of budget.h. */
#include "config_parts.h"

#include <inttypes.h>

#include "budget.h"

enum { ITEMS = 19 };

struct item {
    const char *what;
    uint64_t n, each;
    bool is_per_session;
};

static bool has_north_tls(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_n; i++)
        if (config->listeners[i].tls != LISTEN_TLS_OFF)
            return true;
    return false;
}

static bool has_south_tls(const struct config *config)
{
    for (size_t i = 0; i < config->routes_n; i++)
        if (config->routes[i].tls != SOUTH_TLS_OFF)
            return true;
    return false;
}

static uint64_t recorded(const struct config *config)
{
    return config->record.transactions > 0 ? config->record.memory : 0;
}

/* What it remembers is held within its size; a query is counted whole, and only one answer is being read. */
static uint64_t dns_of_worker(const struct config *config)
{
    return config->dns.cache_size + config->dns.in_flight * BUDGET_DNS_QUERY + BUDGET_DNS_ANSWER;
}

/* A reload runs new workers beside old ones that finish their sessions. Sessions are counted once, since their limit holds
 * for both together (counts.h); each generation has its own memory for messages.
 */
static void list_items(const struct config *config, uint64_t workers, struct item item[ITEMS])
{
    struct config_store store = { config->memory };
    uint64_t sessions = config->limits.sessions;
    const struct item items[ITEMS] = {
        { "supervisor", 1, BUDGET_SUPERVISOR, false },
        { "workers", workers, BUDGET_WORKER, false },
        { "old workers during a reload", workers, BUDGET_WORKER, false },
        { "sessions, both legs", sessions, BUDGET_SESSION + BUDGET_INPUT, true },
        { "TLS with clients", sessions, has_north_tls(config) ? BUDGET_TLS : 0, true },
        { "TLS with mail servers", sessions, has_south_tls(config) ? BUDGET_TLS : 0, true },
        { "client addresses, per worker", sessions, 2 * workers * BUDGET_ADDRESS_ENTRY, true },
        { "messages held for their verdict", 1, config->limits.message_memory, false },
        { "the same of old workers", 1, config->limits.message_memory, false },
        { "recorded transactions", 1, recorded(config), false },
        { "the same of old workers", 1, recorded(config), false },
        { "questions of sessions", sessions, config->dns.in_flight_session * BUDGET_QUESTION, true },
        { "DNS, per worker", workers, dns_of_worker(config), false },
        { "the same of old workers", workers, dns_of_worker(config), false },
        { "standing of senders", 1, config->policy.standing.memory, false },
        { "greylist", 1, config->policy.greylist.memory, false },
        { "recipients", 1, config->policy.recipients.memory, false },
        { "counts of rates", 1, config->policy.rates.memory, false },
        { "configuration, old and new", 2, config_store_size(&store), false },
    };

    memcpy(item, items, sizeof items);
}

static uint64_t sum_of(const struct item item[ITEMS])
{
    uint64_t sum = 0;

    for (size_t i = 0; i < ITEMS; i++)
        sum += item[i].n * item[i].each;
    return sum;
}

uint64_t config_workers_that_fit(const struct config *config, uint64_t wanted)
{
    struct item item[ITEMS];

    for (; wanted > 1; wanted--) {
        list_items(config, wanted, item);
        if (sum_of(item) <= config->limits.memory)
            break;
    }
    return wanted;
}

static uint64_t kilo(uint64_t octets)
{
    return (octets + 1023) >> 10;
}

/* What would make it fit: more memory, or fewer sessions. */
static void print_advice(const struct config *config, const struct item item[ITEMS], FILE *out)
{
    uint64_t sum = sum_of(item), sessions = config->limits.sessions, per_session = 0;

    for (size_t i = 0; i < ITEMS; i++)
        if (item[i].is_per_session)
            per_session += item[i].each;
    fprintf(out, "# does not fit: raise [limits] memory to %" PRIu64 "M", (sum + (1 << 20) - 1) >> 20);
    if (sum - sessions * per_session < config->limits.memory)
        fprintf(out, " or lower [limits] sessions to %" PRIu64,
                (config->limits.memory - (sum - sessions * per_session)) / per_session);
    fputc('\n', out);
}

bool config_prove_memory(const struct config *config, FILE *out)
{
    struct item item[ITEMS];
    uint64_t sum;
    bool fits;

    list_items(config, config->workers, item);
    sum = sum_of(item);
    fits = sum <= config->limits.memory;
    fprintf(out, "# memory at worst\n");
    for (size_t i = 0; i < ITEMS; i++)
        fprintf(out, "#   %-32s %6" PRIu64 " x %12" PRIu64 " = %9" PRIu64 "k\n", item[i].what, item[i].n, item[i].each,
                kilo(item[i].n * item[i].each));
    fprintf(out, "#   %-32s %21s = %9" PRIu64 "k of %" PRIu64 "k\n", "sum", "", kilo(sum), kilo(config->limits.memory));
    if (!fits)
        print_advice(config, item, out);
    return fits;
}
