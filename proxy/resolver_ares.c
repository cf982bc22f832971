/* The edge to c-ares: queries out, messages in. What a message says is read here, by one rule for all kinds: follow the
 * CNAMEs of the answer section to the name that has the records, and take those of the kind asked for.
 *
 * c-ares draws the query id, matches answers by server, port, id and question, repeats, changes over to the next server
 * and, after a truncated answer, to TCP. (Names it does not send: resolver_raw.c.) Its own cache, hosts file and search
 * list are off. So is mixed case (0x20): the resolvers of small routers give questions back in lower case, and no mail
 * at all would get through them.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "budget.h"
#include "resolver_parts.h"

enum {
    QUERIES_PER_PORT = 1,     /* so that each has a port of its own to be guessed (RFC 5452 9.2) */
    TTL_MAX = (1U << 31) - 1, /* s; above it reads 0 (RFC 2181 8) */
    SERVERS_TEXT = DNS_SERVERS_MAX * ENDPOINT_TEXT_MAX
};

/* ---- memory ---- */

/* What c-ares has, in this process, and what it may have: a message of 64 KB, taken apart, can need 10 MB. One that needs
 * more than its room cannot be read, and its question reads TEMP.
 */
static size_t ares_used, ares_room;

static bool has_room(size_t n)
{
    return ares_used <= ares_room && n <= ares_room - ares_used;
}

static void *counted(void *memory)
{
    if (memory != NULL)
        ares_used += malloc_usable_size(memory);
    return memory;
}

void dns_release(void *memory)
{
    if (memory != NULL)
        ares_used -= malloc_usable_size(memory);
    free(memory);
}

void *dns_take(size_t n)
{
    return has_room(n) ? counted(malloc(n)) : NULL;
}

static void *ares_resize(void *memory, size_t n)
{
    size_t before = memory != NULL ? malloc_usable_size(memory) : 0;
    void *resized = n <= before || has_room(n - before) ? realloc(memory, n > 0 ? n : 1) : NULL;

    if (resized == NULL)
        return NULL;
    ares_used -= before;
    return counted(resized);
}

/* ---- values ---- */

enum added { ADDED, ADDED_TOO_MUCH, ADDED_NOTHING /* malformed */ };

static bool is_repeated(const struct dns_reading *r, struct str value)
{
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(r->value[i], value))
            return true;
    return false;
}

/* Opens the place for a value at `at`, moving those behind it. */
static void insert_value(struct dns_reading *r, size_t at, struct str value, unsigned preference)
{
    memmove(&r->value[at + 1], &r->value[at], (r->n - at) * sizeof r->value[0]);
    memmove(&r->preference[at + 1], &r->preference[at], (r->n - at) * sizeof r->preference[0]);
    r->value[at] = value;
    r->preference[at] = preference;
    r->n++;
}

/* At most DNS_VALUES_MAX compares. A record that stands there twice is one (RFC 2181 5). */
static enum added add_value_at(struct dns_reading *r, size_t at, struct str text, unsigned preference)
{
    struct str value = str_from(r->text + r->octets, text.n);

    if (is_repeated(r, text))
        return ADDED;
    if (r->n == DNS_VALUES_MAX || text.n > sizeof r->text - r->octets)
        return ADDED_TOO_MUCH;
    if (text.n > 0)
        memcpy(r->text + r->octets, text.p, text.n);
    r->octets += text.n;
    insert_value(r, at, value, preference);
    return ADDED;
}

static enum added add_value(struct dns_reading *r, struct str text)
{
    return add_value_at(r, r->n, text, 0);
}

/* RFC 7208 3.3, RFC 6376 3.6.2.2: the strings of one record are one text, joined without blanks. */
static enum added add_txt(struct dns_reading *r, const ares_dns_rr_t *rr)
{
    size_t strings = ares_dns_rr_get_abin_cnt(rr, ARES_RR_TXT_DATA), n = 0;
    char text[FACT_BYTES_MAX];

    for (size_t i = 0; i < strings; i++) {
        size_t length = 0;
        const unsigned char *octets = ares_dns_rr_get_abin(rr, ARES_RR_TXT_DATA, i, &length);

        if (length > sizeof text - n)
            return ADDED_TOO_MUCH;
        if (length > 0)
            memcpy(text + n, octets, length);
        n += length;
    }
    return add_value(r, str_from(text, n));
}

static enum added add_address(struct dns_reading *r, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];

    return add_value(r, str_from(text, address_print(address, text)));
}

static enum added add_a(struct dns_reading *r, const ares_dns_rr_t *rr)
{
    const struct in_addr *in = ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR);
    struct address address = { { [10] = 0xff, 0xff } };

    if (in != NULL)
        memcpy(address.byte + 12, in, 4);
    return in == NULL ? ADDED_NOTHING : add_address(r, &address);
}

static enum added add_aaaa(struct dns_reading *r, const ares_dns_rr_t *rr)
{
    const struct ares_in6_addr *in = ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR);
    struct address address;

    if (in != NULL)
        memcpy(address.byte, in, sizeof address.byte);
    return in == NULL ? ADDED_NOTHING : add_address(r, &address);
}

/* In order of preference, then by name: servers give them in any order, and a verdict that looks at the first ten only
 * (RFC 7208 4.6.4) must not change with it.
 */
static size_t place_of_mx(const struct dns_reading *r, unsigned preference, struct str text)
{
    size_t at = 0;

    while (at < r->n) {
        struct str other = r->value[at];
        size_t common = other.n < text.n ? other.n : text.n;
        int order = r->preference[at] != preference ? (r->preference[at] < preference ? -1 : 1)
                                                    : memcmp(other.p, text.p, common);

        if (order > 0 || (order == 0 && other.n > text.n))
            break;
        at++;
    }
    return at;
}

static enum added add_mx(struct dns_reading *r, const ares_dns_rr_t *rr)
{
    const char *exchange = ares_dns_rr_get_str(rr, ARES_RR_MX_EXCHANGE);
    unsigned preference = ares_dns_rr_get_u16(rr, ARES_RR_MX_PREFERENCE);
    char name[DNS_TEXT_MAX], text[DNS_TEXT_MAX + 8];
    struct str value;
    size_t n;

    if (exchange == NULL || !dns_name_read(exchange, name, &n))
        return ADDED_NOTHING;
    value = str_from(text, (size_t)snprintf(text, 8, "%u ", preference));
    memcpy(text + value.n, name, n);
    value.n += n;
    return add_value_at(r, place_of_mx(r, preference, value), value, preference);
}

static enum added add_ptr(struct dns_reading *r, const ares_dns_rr_t *rr)
{
    const char *target = ares_dns_rr_get_str(rr, ARES_RR_PTR_DNAME);
    char name[DNS_TEXT_MAX];
    size_t n;

    if (target == NULL || !dns_name_read(target, name, &n))
        return ADDED_NOTHING;
    return add_value(r, str_from(name, n));
}

static const struct kind {
    ares_dns_rec_type_t type;
    enum added (*add)(struct dns_reading *, const ares_dns_rr_t *);
} kinds[] = {
    [ASK_TXT] = { ARES_REC_TYPE_TXT, add_txt },    [ASK_A] = { ARES_REC_TYPE_A, add_a },
    [ASK_AAAA] = { ARES_REC_TYPE_AAAA, add_aaaa }, [ASK_MX] = { ARES_REC_TYPE_MX, add_mx },
    [ASK_PTR] = { ARES_REC_TYPE_PTR, add_ptr },
};

bool resolver_is_for(enum ask kind)
{
    return (size_t)kind < sizeof kinds / sizeof kinds[0];
}

/* ---- messages ---- */

/* How long what was read so far may be kept: as long as the record that may be kept least. */
static void limit_keep(struct dns_reading *r, uint64_t ttl)
{
    uint64_t ms = ttl > TTL_MAX ? 0 : ttl * 1000;

    if (ms < r->keep)
        r->keep = ms;
}

static bool is_of(const ares_dns_rr_t *rr, const char *owner, ares_dns_rec_type_t type)
{
    const char *name = ares_dns_rr_get_name(rr);

    return ares_dns_rr_get_type(rr) == type && ares_dns_rr_get_class(rr) == ARES_CLASS_IN && name != NULL &&
           strcasecmp(name, owner) == 0;
}

void dns_read_failure(struct dns_reading *r, enum fact_state state, uint64_t keep)
{
    r->state = state;
    r->keep = keep;
    r->n = 0;
}

static void set_failed(struct dns_reading *r)
{
    dns_read_failure(r, FACT_TEMP, DNS_TEMP_MS);
}

/* Takes the records of `kind` that `owner` has. One that is malformed spoils them all. */
static void take_records(struct dns_reading *r, const ares_dns_record_t *message, const char *owner, enum ask kind)
{
    static const enum fact_state states[] = {
        [ADDED] = FACT_OK, [ADDED_TOO_MUCH] = FACT_LIMIT, [ADDED_NOTHING] = FACT_TEMP
    };
    size_t n = ares_dns_record_rr_cnt(message, ARES_SECTION_ANSWER);

    for (size_t i = 0; i < n && (r->state == FACT_UNKNOWN || r->state == FACT_OK); i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(message, ARES_SECTION_ANSWER, i);

        if (!is_of(rr, owner, kinds[kind].type))
            continue;
        limit_keep(r, ares_dns_rr_get_ttl(rr));
        r->state = states[kinds[kind].add(r, rr)];
    }
}

/* The name that `owner` is an alias of; NULL when it is none. */
static const char *follow(struct dns_reading *r, const ares_dns_record_t *message, const char *owner)
{
    size_t n = ares_dns_record_rr_cnt(message, ARES_SECTION_ANSWER);

    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(message, ARES_SECTION_ANSWER, i);

        if (!is_of(rr, owner, ARES_REC_TYPE_CNAME))
            continue;
        limit_keep(r, ares_dns_rr_get_ttl(rr));
        return ares_dns_rr_get_str(rr, ARES_RR_CNAME_CNAME);
    }
    return NULL;
}

static const ares_dns_rr_t *authority(const ares_dns_record_t *message, ares_dns_rec_type_t type)
{
    size_t n = ares_dns_record_rr_cnt(message, ARES_SECTION_AUTHORITY);

    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(message, ARES_SECTION_AUTHORITY, i);

        if (ares_dns_rr_get_type(rr) == type)
            return rr;
    }
    return NULL;
}

/* RFC 2308 5: negative answers are kept as long as the SOA's TTL and its MINIMUM allow; without a SOA they are not. */
static void set_negative(struct dns_reading *r, const ares_dns_record_t *message, enum fact_state state)
{
    const ares_dns_rr_t *soa = authority(message, ARES_REC_TYPE_SOA);

    r->state = state;
    limit_keep(r, soa != NULL ? ares_dns_rr_get_ttl(soa) : 0);
    limit_keep(r, soa != NULL ? ares_dns_rr_get_u32(soa, ARES_RR_SOA_MINIMUM) : 0);
}

/* D-3 holds for names that an answer leads to as well. */
static void set_target(struct dns_reading *r, const char *name)
{
    if (!dns_name_to_key(name, r->target))
        set_failed(r);
}

/* An answer section without the records asked for. `name` is where its CNAMEs led to; `from`, where they began. */
static void read_lack(struct dns_reading *r, const ares_dns_record_t *message, const char *name, const char *from)
{
    bool has_soa = authority(message, ARES_REC_TYPE_SOA) != NULL;

    if (name != from && !has_soa) /* a chain cut short by whoever gave it */
        set_target(r, name);
    else if (!has_soa && authority(message, ARES_REC_TYPE_NS) != NULL)
        set_failed(r); /* a referral (RFC 2308 2.2): this server does not look names up for others */
    else
        set_negative(r, message, FACT_NODATA);
}

static void read_answer(struct dns_reading *r, const ares_dns_record_t *message, const char *from, enum ask kind)
{
    const char *name = from, *next = NULL;

    for (;;) {
        take_records(r, message, name, kind);
        next = r->state == FACT_UNKNOWN ? follow(r, message, name) : NULL;
        if (next == NULL)
            break;
        name = next;
        if (++r->links > DNS_LINKS_MAX) {
            set_failed(r);
            return;
        }
    }
    if (r->state == FACT_TEMP)
        set_failed(r);
    else if (r->state == FACT_UNKNOWN)
        read_lack(r, message, name, from);
}

/* RFC 6604 3: the code of a chain's answer is that of its last name. */
static void read_nxdomain(struct dns_reading *r, const ares_dns_record_t *message, const char *from)
{
    const char *name = from;

    for (unsigned links = 0; name != NULL && links < DNS_LINKS_MAX; links++)
        name = follow(r, message, name);
    set_negative(r, message, FACT_NXDOMAIN);
}

static bool is_answer(const ares_dns_record_t *message)
{
    unsigned flags = ares_dns_record_get_flags(message);

    return (flags & ARES_FLAG_QR) != 0 && (flags & ARES_FLAG_TC) == 0 &&
           ares_dns_record_get_opcode(message) == ARES_OPCODE_QUERY && ares_dns_record_query_cnt(message) == 1;
}

void dns_read(const ares_dns_record_t *message, enum ask kind, struct dns_reading *r)
{
    ares_dns_rcode_t code = ares_dns_record_get_rcode(message);
    const char *name = NULL;

    r->state = FACT_UNKNOWN;
    r->n = r->octets = 0;
    if (is_answer(message))
        ares_dns_record_query_get(message, 0, &name, NULL, NULL);
    if (name != NULL && code == ARES_RCODE_NOERROR)
        read_answer(r, message, name, kind);
    else if (name != NULL && code == ARES_RCODE_NXDOMAIN)
        read_nxdomain(r, message, name);
    else
        set_failed(r);
}

bool dns_parse(const uint8_t *octets, size_t n, enum ask kind, struct dns_reading *r)
{
    ares_dns_record_t *message = NULL;
    ares_status_t status = ares_dns_parse(octets, n, 0, &message);

    if (status == ARES_SUCCESS)
        dns_read(message, kind, r);
    else
        dns_read_failure(r, FACT_TEMP, 0);
    ares_dns_record_destroy(message);
    return status == ARES_SUCCESS || status == ARES_ENOMEM;
}

unsigned dns_type_of(enum ask kind)
{
    return (unsigned)kinds[kind].type;
}

/* ---- queries ---- */

/* Without a message: which failures are nobody's but ours, and need not be remembered. */
static void read_failure(struct dns_reading *r, ares_status_t status)
{
    set_failed(r);
    if (status == ARES_ENOTFOUND) /* names that c-ares must not ask for: .onion (RFC 7686 2) */
        r->state = FACT_NXDOMAIN;
    if (status == ARES_ENOMEM || status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        r->keep = 0;
}

static void on_answer(void *arg, ares_status_t status, size_t timeouts, const ares_dns_record_t *message)
{
    struct dns_lookup *lookup = arg;
    struct dns_reading reading;

    (void)timeouts;
    reading.links = lookup->links;
    reading.keep = lookup->keep;
    if (message != NULL)
        dns_read(message, lookup->key.q.kind, &reading);
    else
        read_failure(&reading, status);
    dns_came_back(lookup, &reading);
}

void dns_send(ares_channel_t *channel, const char *name, struct dns_lookup *lookup)
{
    ares_query_dnsrec(channel, name, ARES_CLASS_IN, kinds[lookup->key.q.kind].type, on_answer, lookup, NULL);
}

static bool set_servers(ares_channel_t *channel, const struct endpoint_list *servers)
{
    char text[SERVERS_TEXT + 1] = "", one[ENDPOINT_TEXT_MAX];
    size_t n = 0;

    for (size_t i = 0; i < servers->n && i < DNS_SERVERS_MAX; i++) {
        endpoint_print(&servers->item[i], one);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i > 0 ? "," : "", one);
    }
    return n > 0 && ares_set_servers_ports_csv(channel, text) == ARES_SUCCESS;
}

ares_channel_t *dns_open(const struct dns_settings *settings, dns_watch *watch, void *owner)
{
    static char lookups[] = "b", nothing[] = "";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = (int)settings->timeout,
        .maxtimeout = (int)settings->timeout, /* it would double from try to try */
        .tries = (int)settings->tries,
        .lookups = lookups,
        .resolvconf_path = nothing,
        .udp_max_queries = QUERIES_PER_PORT,
        .sock_state_cb = watch,
        .sock_state_cb_data = owner,
    };
    int set = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
              ARES_OPT_RESOLVCONF | ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE |
              ARES_OPT_QUERY_CACHE | ARES_OPT_DOMAINS;
    ares_channel_t *channel = NULL;

    ares_room = BUDGET_DNS_ANSWER + (size_t)settings->in_flight * BUDGET_DNS_QUERY;
    if (ares_library_init_mem(ARES_LIB_INIT_ALL, dns_take, dns_release, ares_resize) != ARES_SUCCESS)
        return NULL;
    if (ares_init_options(&channel, &options, set) == ARES_SUCCESS && set_servers(channel, &settings->servers))
        return channel;
    dns_close(channel);
    return NULL;
}

void dns_close(ares_channel_t *channel)
{
    if (channel != NULL)
        ares_destroy(channel);
    ares_library_cleanup();
}

void dns_process(ares_channel_t *channel, int readable, int writable)
{
    ares_process_fd(channel, readable, writable);
}

uint64_t dns_timeout(const ares_channel_t *channel)
{
    struct timeval room, *left = ares_timeout(channel, NULL, &room);

    return left == NULL ? UINT64_MAX : (uint64_t)left->tv_sec * 1000 + ((uint64_t)left->tv_usec + 999) / 1000;
}
