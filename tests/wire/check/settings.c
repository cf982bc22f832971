/* Reads postern.ini for the oracle: inih finds keys and values, the rows below say which of them it needs and their
 * documented defaults (postern.ini.5). Keys that nobody here needs are kept as text. */
#include "settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

enum { BAD_INPUT = 65, NO_FILE = 66 };
enum { LINE_MAX_OCTETS = 4096 };

/* A file on its way to settings. */
struct reading {
    struct settings *settings;
    const char *path;
    struct slice text;
    size_t at;     /* in text */
    unsigned line; /* that inih has seen last */
};

/* ---- keys and values ---- */

static char *copy_of(struct slice s)
{
    char *copy = fresh(s.n + 1);

    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

/* inih's reader (as fgets), which counts lines. */
static char *next_line(char *out, int size, void *user)
{
    struct reading *r = user;
    size_t end = slice_find(r->text, SLICE("\n"), r->at);
    struct slice line = slice_part(r->text, r->at, end);

    if (r->at >= r->text.n)
        return NULL;
    r->line++;
    r->at = end + 1;
    if (line.n + 2 > (size_t)size)
        die(BAD_INPUT, "%s:%u: a line longer than %d octets", r->path, r->line, LINE_MAX_OCTETS);
    if (slice_find(line, (struct slice){ (const uint8_t *)"", 1 }, 0) < line.n)
        die(BAD_INPUT, "%s:%u: a NUL in the line", r->path, r->line);
    if (line.n > 0)
        memcpy(out, line.p, line.n);
    memcpy(out + line.n, "\n", 2);
    return out;
}

/* An indented line goes on with the list before it: inih says the same key once more. */
static void continue_value(struct setting *s, const char *more)
{
    struct buffer joined = { 0 };

    buffer_printf(&joined, "%s %s", s->value, more);
    buffer_add(&joined, "", 1);
    free(s->value);
    s->value = (char *)joined.p;
}

static bool is_indented(const struct reading *r)
{
    size_t start = r->at - 1; /* behind this line's end */

    while (start > 0 && r->text.p[start - 1] != '\n')
        start--;
    return r->text.p[start] == ' ' || r->text.p[start] == '\t';
}

static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    struct settings *s = r->settings;
    struct setting *last = s->setting_n > 0 ? &s->setting[s->setting_n - 1] : NULL;

    if (last != NULL && is_indented(r) && strcmp(last->section, section) == 0 && strcmp(last->key, key) == 0) {
        continue_value(last, value);
        return 1;
    }
    s->setting = array_grow(s->setting, s->setting_n, sizeof *s->setting);
    s->setting[s->setting_n++] = (struct setting){ .section = copy_of(slice_of(section)),
                                                   .key = copy_of(slice_of(key)),
                                                   .value = copy_of(slice_of(value)),
                                                   .line = r->line };
    return 1;
}

/* Debian's inih takes at run time what upstream fixes when it is compiled. Comments as postern.ini.5 has them. */
static void read_pairs(struct reading *r)
{
    static char comments[] = "#;";
    int wrong;

    ini_max_line = LINE_MAX_OCTETS + 2;
    ini_use_stack = true;
    ini_allow_multiline = true;
    ini_allow_no_value = false;
    ini_allow_inline_comments = true;
    ini_start_comment_prefixes = comments;
    ini_inline_comment_prefixes = comments;
    wrong = ini_parse_stream(next_line, r, on_pair, r);
    if (wrong != 0)
        die(BAD_INPUT, "%s:%d: no [section], and no key = value", r->path, wrong);
}

static bool read_file(struct buffer *text, const char *path)
{
    FILE *file = fopen(path, "rb");
    char chunk[16384];
    size_t n;
    bool is_good;

    if (file == NULL)
        return false;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(text, chunk, n);
    is_good = !ferror(file);
    fclose(file);
    return is_good;
}

/* ---- values that are one thing ---- */

static void complain(const struct reading *r, const struct setting *s, struct slice value, const char *wanted)
{
    die(BAD_INPUT, "%s:%u: [%s] %s: \"%.*s\" is not %s", r->path, s->line, s->section, s->key, SLICE_ARG(value),
        wanted);
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = { { "", 1 }, { "k", 1U << 10 }, { "M", 1U << 20 }, { "G", 1U << 30 }, { 0 } };
static const struct unit time_units[] = { { "", 1000000000 },
                                          { "s", 1000000000 },
                                          { "ms", 1000000 },
                                          { "m", 60000000000 },
                                          { "h", 3600000000000 },
                                          { "d", 86400000000000 },
                                          { 0 } };

/* Digits, and one of the units. */
static bool read_quantity(struct slice text, const struct unit *units, uint64_t *out)
{
    struct slice unit;
    size_t n = 0;

    *out = 0;
    for (; n < text.n && text.p[n] >= '0' && text.p[n] <= '9'; n++) {
        if (*out > UINT32_MAX)
            return false;
        *out = *out * 10 + (uint64_t)(text.p[n] - '0');
    }
    unit = slice_part(text, n, text.n);
    while (unit.n > 0 && unit.p[0] == ' ')
        unit = slice_part(unit, 1, unit.n);
    for (; n > 0 && units->name != NULL; units++)
        if (slice_equal_nocase(unit, slice_of(units->name)) && *out < INT64_MAX / units->factor) {
            *out *= units->factor;
            return true;
        }
    return false;
}

enum kind { KIND_SIZE, KIND_TIME, KIND_NUMBER, KIND_TEXT };

/* A key that fills one field. */
struct row {
    const char *section, *key;
    const char *preset; /* as documented */
    enum kind kind;
    size_t offset;
    size_t room; /* of a text */
};

#define SIZE_ROW(section, key, preset, field) \
    { \
        section, key, preset, KIND_SIZE, offsetof(struct settings, field), 0 \
    }
#define TIME_ROW(key, preset, field) \
    { \
        "timeouts", key, preset, KIND_TIME, offsetof(struct settings, field), 0 \
    }
#define NUMBER_ROW(section, key, preset, field) \
    { \
        section, key, preset, KIND_NUMBER, offsetof(struct settings, field), 0 \
    }
#define TEXT_ROW(section, key, preset, field) \
    { \
        section, key, preset, KIND_TEXT, offsetof(struct settings, field), sizeof((struct settings *)0)->field \
    }

static const struct row rows[] = {
    TEXT_ROW("server", "hostname", "", hostname),
    TEXT_ROW("backend", "client_info", "none", client_info),
    TEXT_ROW("dmarc", "quarantine_mailbox", "", quarantine_mailbox),
    SIZE_ROW("limits", "message_size", "50M", max_message),
    SIZE_ROW("limits", "hold", "1M", hold),
    SIZE_ROW("limits", "recipients", "1000", max_recipients),
    NUMBER_ROW("limits", "facts", "256", max_facts),
    NUMBER_ROW("limits", "sessions", "300", max_sessions),
    NUMBER_ROW("limits", "stress", "80", stress),
    NUMBER_ROW("framing", "min_data_rate", "500", min_data_rate),
    TIME_ROW("command", "300s", command_timeout),
    TIME_ROW("stress", "10s", stress_timeout),
    TIME_ROW("data_cap", "300s", data_timeout),
    TIME_ROW("tls_handshake", "30s", handshake_timeout),
    TIME_ROW("verdict", "20s", verdict_timeout),
    TIME_ROW("greeting", "60s", greeting_timeout),
    TIME_ROW("connect", "10s", connect_timeout),
    TIME_ROW("south_command", "120s", backend_timeout),
    TIME_ROW("south_end", "580s", backend_end_timeout),
};

static const struct setting *find_setting(const struct settings *s, const char *section, const char *key)
{
    for (size_t i = 0; i < s->setting_n; i++)
        if (strcmp(s->setting[i].section, section) == 0 && strcmp(s->setting[i].key, key) == 0)
            return &s->setting[i];
    return NULL;
}

const char *settings_value(const struct settings *s, const char *section, const char *key)
{
    const struct setting *found = find_setting(s, section, key);

    return found != NULL ? found->value : NULL;
}

static bool store(const struct row *row, struct slice value, char *at)
{
    uint64_t number;

    if (row->kind == KIND_TEXT) {
        if (value.n >= row->room)
            return false;
        memset(at, 0, row->room);
        if (value.n > 0)
            memcpy(at, value.p, value.n);
        return true;
    }
    if (!read_quantity(value, row->kind == KIND_TIME ? time_units : size_units, &number))
        return false;
    if (row->kind == KIND_SIZE)
        memcpy(at, &number, sizeof number);
    else if (row->kind == KIND_TIME)
        memcpy(at, &(int64_t){ (int64_t)number }, sizeof(int64_t));
    else if (number <= UINT32_MAX)
        memcpy(at, &(unsigned){ (unsigned)number }, sizeof(unsigned));
    return row->kind != KIND_NUMBER || number <= UINT32_MAX;
}

static void read_rows(const struct reading *r)
{
    static const char *const wanted[] = { [KIND_SIZE] = "a number of octets",
                                          [KIND_TIME] = "a time",
                                          [KIND_NUMBER] = "a number",
                                          [KIND_TEXT] = "short enough" };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        const struct setting *given = find_setting(r->settings, row->section, row->key);
        struct slice value = slice_of(given != NULL ? given->value : row->preset);

        if (!store(row, value, (char *)r->settings + row->offset) && given != NULL)
            complain(r, given, value, wanted[row->kind]);
    }
}

static bool is_yes(const char *value)
{
    return value != NULL && slice_equal_nocase(slice_of(value), SLICE("yes"));
}

/* ---- lists ---- */

static bool is_between(uint8_t c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r';
}

/* Cuts the next item off a list. */
static bool next_item(struct slice *rest, struct slice *item)
{
    size_t n = 0;

    while (rest->n > 0 && is_between(rest->p[0]))
        *rest = slice_part(*rest, 1, rest->n);
    while (n < rest->n && !is_between(rest->p[n]))
        n++;
    *item = slice_part(*rest, 0, n);
    *rest = slice_part(*rest, n, rest->n);
    return n > 0;
}

static void add_endpoint(struct endpoint **list, size_t *n, struct endpoint endpoint)
{
    *list = array_grow(*list, *n, sizeof **list);
    (*list)[(*n)++] = endpoint;
}

static void add_endpoints(const struct reading *r, const struct setting *s, uint16_t port, struct endpoint **list,
                          size_t *n)
{
    struct slice rest = slice_of(s->value), item;
    struct endpoint endpoint;

    while (next_item(&rest, &item)) {
        if (!endpoint_parse(&endpoint, item))
            complain(r, s, item, "an IP address with a port");
        if (endpoint.port == 0)
            endpoint.port = port;
        add_endpoint(list, n, endpoint);
    }
}

/* "192.0.2.0/24", "2001:db8::/32", or one address. */
static bool read_network(struct slice text, struct network *network)
{
    size_t slash = slice_find(text, SLICE("/"), 0);
    struct slice bits = slice_part(text, slash + 1, text.n);
    char address[INET6_ADDRSTRLEN + 1] = { 0 };
    bool is_v4 = slice_find(text, SLICE(":"), 0) == text.n;
    unsigned max = is_v4 ? 32 : 128;

    *network = (struct network){ .bits = slash == text.n ? max : 0 };
    if (slash >= sizeof address || (slash < text.n && (bits.n == 0 || bits.n > 3)))
        return false;
    memcpy(address, text.p, slash);
    for (size_t i = 0; i < bits.n; i++) {
        if (bits.p[i] < '0' || bits.p[i] > '9')
            return false;
        network->bits = network->bits * 10 + (unsigned)(bits.p[i] - '0');
    }
    if (network->bits > max)
        return false;
    network->bits += 128 - max;
    if (!is_v4)
        return inet_pton(AF_INET6, address, network->base.address) == 1;
    memset(network->base.address + 10, 0xFF, 2);
    return inet_pton(AF_INET, address, network->base.address + 12) == 1;
}

static void add_network(struct network **list, size_t *n, struct network network)
{
    *list = array_grow(*list, *n, sizeof **list);
    (*list)[(*n)++] = network;
}

static void add_networks(const struct reading *r, const struct setting *s, struct network **list, size_t *n)
{
    struct slice rest = slice_of(s->value), item;
    struct network network;

    while (next_item(&rest, &item)) {
        if (!read_network(item, &network))
            complain(r, s, item, "a network");
        add_network(list, n, network);
    }
}

static void read_networks(const struct reading *r, const char *section, const char *key, struct network **list,
                          size_t *n)
{
    const struct setting *s = find_setting(r->settings, section, key);

    if (s != NULL)
        add_networks(r, s, list, n);
}

static void add_domain(struct settings *s, struct slice name)
{
    struct buffer folded = { 0 };

    name_fold(&folded, name);
    buffer_add(&folded, "", 1);
    s->domain = array_grow(s->domain, s->domain_n, sizeof *s->domain);
    s->domain[s->domain_n++] = (char *)folded.p;
}

static void add_domains(struct settings *s, struct slice list)
{
    struct slice item;

    while (next_item(&list, &item))
        add_domain(s, item);
}

/* One name a line, '#' before comments. */
static void add_domain_lines(struct settings *s, struct slice text)
{
    for (size_t at = 0; at < text.n;) {
        size_t end = slice_find(text, SLICE("\n"), at);
        struct slice line = slice_part(text, at, end);

        add_domains(s, slice_part(line, 0, slice_find(line, SLICE("#"), 0)));
        at = end + 1;
    }
}

/* The product takes the path as it is; the oracle may stand elsewhere, and then looks beside the ini. */
static bool read_beside(struct buffer *text, const char *path, const char *ini)
{
    const char *slash = strrchr(ini, '/');
    struct buffer beside = { 0 };
    bool is_read;

    if (path[0] == '/' || slash == NULL)
        return false;
    buffer_printf(&beside, "%.*s/%s", (int)(slash - ini), ini, path);
    buffer_add(&beside, "", 1);
    is_read = read_file(text, (char *)beside.p);
    buffer_free(&beside);
    return is_read;
}

static void read_domains(const struct reading *r)
{
    const struct setting *list = find_setting(r->settings, "relay", "domains");
    const struct setting *file = find_setting(r->settings, "relay", "domains_file");
    struct buffer text = { 0 };

    if (list != NULL)
        add_domains(r->settings, slice_of(list->value));
    if (file == NULL)
        return;
    if (!read_file(&text, file->value) && !read_beside(&text, file->value, r->path))
        die(NO_FILE, "%s:%u: %s: %s", r->path, file->line, file->value, strerror(errno));
    add_domain_lines(r->settings, buffer_slice(&text));
    buffer_free(&text);
}

/* ---- listeners and mail servers ---- */

static bool begins_with(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

static void copy_endpoints(struct endpoint **to, size_t *to_n, const struct endpoint *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_endpoint(to, to_n, from[i]);
}

/* The addresses of one [listen NAME], and what its other keys say of them. */
static void add_listener(const struct reading *r, const struct setting *address)
{
    struct settings *s = r->settings;
    const char *tls = settings_value(s, address->section, "tls");
    size_t before = s->listener_n;

    add_endpoints(r, address, 25, &s->listener, &s->listener_n);
    if (tls != NULL && slice_equal_nocase(slice_of(tls), SLICE("implicit")))
        copy_endpoints(&s->implicit, &s->implicit_n, s->listener + before, s->listener_n - before);
    if (is_yes(settings_value(s, address->section, "require_tls")))
        copy_endpoints(&s->tls_only, &s->tls_only_n, s->listener + before, s->listener_n - before);
}

/* "When there is none: all addresses, port 25" (postern.ini.5). */
static void add_usual_listener(struct settings *s)
{
    struct endpoint any = { .port = 25 };

    add_endpoint(&s->listener, &s->listener_n, any);
    memset(any.address + 10, 0xFF, 2);
    add_endpoint(&s->listener, &s->listener_n, any);
}

static void read_endpoints(const struct reading *r)
{
    struct settings *s = r->settings;

    for (size_t i = 0; i < s->setting_n; i++) {
        const struct setting *given = &s->setting[i];
        bool is_route = strcmp(given->section, "backend") == 0 || begins_with(given->section, "route ");

        if (begins_with(given->section, "listen ") && strcmp(given->key, "address") == 0)
            add_listener(r, given);
        else if (begins_with(given->section, "listen ") && strcmp(given->key, "proxy_from") == 0)
            add_networks(r, given, &s->balancer, &s->balancer_n);
        else if (is_route && strcmp(given->key, "servers") == 0)
            add_endpoints(r, given, 25, &s->backend, &s->backend_n);
        else if (strcmp(given->section, "dns") == 0 && strcmp(given->key, "servers") == 0)
            add_endpoints(r, given, 53, &s->resolver, &s->resolver_n);
    }
    if (s->listener_n == 0)
        add_usual_listener(s);
    s->requires_tls = s->tls_only_n == s->listener_n;
}

static void read_relaying(const struct reading *r)
{
    struct settings *s = r->settings;
    const char *framing = settings_value(s, "framing", "mode"), *quarantine = settings_value(s, "dmarc", "quarantine");

    read_domains(r);
    read_networks(r, "relay", "networks", &s->trusted, &s->trusted_n);
    read_networks(r, "framing", "normalise", &s->normalise, &s->normalise_n);
    if (framing != NULL && slice_equal_nocase(slice_of(framing), SLICE("normalise")))
        add_network(&s->normalise, &s->normalise_n, (struct network){ .bits = 0 });
    /* allow_percent stands for all three of "%, ! or @" in a local part; a route never goes south (A-8). */
    s->may_percent = s->may_bang = is_yes(settings_value(s, "relay", "allow_percent"));
    if (quarantine == NULL || !slice_equal_nocase(slice_of(quarantine), SLICE("redirect")))
        s->quarantine_mailbox[0] = '\0';
}

void settings_read(struct settings *s, const char *path)
{
    struct reading r = { .settings = s, .path = path };
    struct buffer text = { 0 };

    *s = (struct settings){ .is_given = path != NULL };
    if (path != NULL && !read_file(&text, path))
        die(NO_FILE, "%s: %s", path, strerror(errno));
    r.text = buffer_slice(&text);
    if (slice_equal(slice_part(r.text, 0, 3), SLICE("\xEF\xBB\xBF")))
        r.at = 3;
    if (path != NULL)
        read_pairs(&r);
    read_rows(&r);
    read_relaying(&r);
    read_endpoints(&r);
    buffer_free(&text);
}

void settings_free(struct settings *s)
{
    for (size_t i = 0; i < s->setting_n; i++) {
        free(s->setting[i].section);
        free(s->setting[i].key);
        free(s->setting[i].value);
    }
    for (size_t i = 0; i < s->domain_n; i++)
        free(s->domain[i]);
    free(s->setting);
    free(s->domain);
    free(s->trusted);
    free(s->balancer);
    free(s->implicit);
    free(s->tls_only);
    free(s->listener);
    free(s->backend);
    free(s->normalise);
    free(s->resolver);
    *s = (struct settings){ .is_given = false };
}

/* ---- questions ---- */

bool settings_is_local(const struct settings *s, struct slice domain)
{
    struct buffer folded = { 0 };
    bool is_local = false;

    name_fold(&folded, domain);
    for (size_t i = 0; i < s->domain_n && !is_local; i++)
        is_local = name_matches(buffer_slice(&folded), slice_of(s->domain[i]));
    buffer_free(&folded);
    return is_local;
}

static bool network_holds(const struct network *network, const struct endpoint *e)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    uint8_t mask = (uint8_t)(0xFF00U >> rest);

    if (memcmp(network->base.address, e->address, whole) != 0)
        return false;
    return rest == 0 || ((network->base.address[whole] ^ e->address[whole]) & mask) == 0;
}

bool settings_trusts(const struct settings *s, const struct endpoint *client)
{
    for (size_t i = 0; i < s->trusted_n; i++)
        if (network_holds(&s->trusted[i], client))
            return true;
    return false;
}

bool settings_may_announce(const struct settings *s, const struct endpoint *client)
{
    for (size_t i = 0; i < s->balancer_n; i++)
        if (network_holds(&s->balancer[i], client))
            return true;
    return !s->is_given;
}

/* 0.0.0.0 and [::] */
static bool is_any_address(const struct endpoint *e)
{
    static const uint8_t any[16], any_v4[16] = { [10] = 0xFF, [11] = 0xFF };

    return memcmp(e->address, any, sizeof any) == 0 || memcmp(e->address, any_v4, sizeof any_v4) == 0;
}

/* Is `listener` one of `list`? The kernel prefers a listener of just this address before one of all addresses. */
static bool is_listed(const struct settings *s, const struct endpoint *list, size_t n, const struct endpoint *listener)
{
    bool by_port = false, has_own = false;

    for (size_t i = 0; i < n; i++) {
        if (endpoint_equal(&list[i], listener))
            return true;
        by_port = by_port || (list[i].port == listener->port && is_any_address(&list[i]));
    }
    for (size_t i = 0; i < s->listener_n; i++)
        has_own = has_own || endpoint_equal(&s->listener[i], listener);
    return by_port && !has_own;
}

bool settings_is_implicit(const struct settings *s, const struct endpoint *listener)
{
    return is_listed(s, s->implicit, s->implicit_n, listener);
}

bool settings_is_tls_only(const struct settings *s, const struct endpoint *listener)
{
    return is_listed(s, s->tls_only, s->tls_only_n, listener);
}
