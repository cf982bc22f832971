/* Values of the ini: one reader and one printer per type. */
#include "config_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../policy/list.h"
#include "../policy/path.h"

enum { PRINT_COLUMNS = 100 };

/* A value being read: where it goes, and which line of it is being looked at. */
struct value {
    struct config_reading *r;
    struct config_instance *instance;
    const struct option *row;
    unsigned line;
    void *at;
};

const char *config_quote(char out[CONFIG_QUOTED_MAX], struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (n + 8 >= CONFIG_QUOTED_MAX) {
            memcpy(out + n, "...", 4);
            return out;
        }
        if (s.p[i] >= ' ' && s.p[i] <= '~')
            out[n++] = s.p[i];
        else
            n += (size_t)snprintf(out + n, 5, "\\x%02x", (unsigned)(unsigned char)s.p[i]);
    }
    out[n] = '\0';
    return out;
}

static bool expected(const struct value *v, struct str text)
{
    char expects[CONFIG_EXPECTS_MAX];

    config_complain(v->r, v->line, v->instance, v->row->key, "\"%s\": expected %s", CONFIG_QUOTED(text),
                    config_value_expects(v->row, expects));
    return false;
}

static void *take(const struct value *v, size_t n)
{
    void *memory = config_take(&v->r->store, n);

    if (memory == NULL)
        config_complain_memory(v->r);
    return memory;
}

/* A copy with a NUL behind it, for the libraries. */
static bool keep(const struct value *v, struct str text, struct str *out)
{
    char *copy = take(v, text.n + 1);

    if (copy == NULL)
        return false;
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    *out = str_from(copy, text.n);
    return true;
}

/* ---- single values ---- */

static bool read_bool(struct value *v, struct str text)
{
    bool yes = str_ieq(text, STR("yes"));

    *(bool *)v->at = yes;
    return yes || str_ieq(text, STR("no")) || expected(v, text);
}

static void print_bool(const struct option *row, const void *at, FILE *out)
{
    (void)row;
    fputs(*(const bool *)at ? " yes" : " no", out);
}

/* A number with the unit behind it, if any; `*unit` is what follows the digits. */
static bool read_quantity(struct str text, unsigned long long *number, struct str *unit)
{
    size_t n = 0;

    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    *unit = str_trim(str_skip(text, n));
    return str_to_u64(str_from(text.p, n), UINT64_MAX, number);
}

struct unit {
    struct str name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    { STR_INIT("G"), 1U << 30 }, { STR_INIT("M"), 1U << 20 }, { STR_INIT("k"), 1U << 10 }, { STR_INIT(""), 1 }
};

static const struct unit time_units[] = { { STR_INIT("d"), 86400000 }, { STR_INIT("h"), 3600000 },
                                          { STR_INIT("m"), 60000 },    { STR_INIT("s"), 1000 },
                                          { STR_INIT(""), 1000 },      { STR_INIT("ms"), 1 } };

static const struct unit no_units[] = { { STR_INIT(""), 1 } };

/* Within the row's range, too. */
static bool read_in_units(struct value *v, struct str text, const struct unit *units, size_t n)
{
    unsigned long long number;
    struct str unit;

    if (!read_quantity(text, &number, &unit))
        return expected(v, text);
    for (size_t i = 0; i < n; i++) {
        if (!str_ieq(units[i].name, unit))
            continue;
        if (number > v->row->max / units[i].factor || number * units[i].factor < v->row->min)
            return expected(v, text);
        *(uint64_t *)v->at = number * units[i].factor;
        return true;
    }
    return expected(v, text);
}

/* In the largest unit that leaves no remainder. Zero has no unit. */
static const char *quantity_text(uint64_t value, const struct unit *units, size_t n, char out[CONFIG_SIZE_MAX])
{
    size_t i = 0;

    while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
        i++;
    snprintf(out, CONFIG_SIZE_MAX, "%" PRIu64 "%.*s", value / units[i].factor, STR_ARG(units[i].name));
    return out;
}

#define UNITS(table) (table), sizeof(table) / sizeof *(table)

static bool read_number(struct value *v, struct str text)
{
    return read_in_units(v, text, UNITS(no_units));
}

static bool read_bytes(struct value *v, struct str text)
{
    return read_in_units(v, text, UNITS(byte_units));
}

static bool read_seconds(struct value *v, struct str text)
{
    return read_in_units(v, text, UNITS(time_units));
}

static const char *time_text(uint64_t ms, char out[CONFIG_SIZE_MAX])
{
    return quantity_text(ms, UNITS(time_units), out);
}

const char *config_size_text(uint64_t octets, char out[CONFIG_SIZE_MAX])
{
    return quantity_text(octets, UNITS(byte_units), out);
}

static void print_number(const struct option *row, const void *at, FILE *out)
{
    (void)row;
    fprintf(out, " %" PRIu64, *(const uint64_t *)at);
}

static void print_bytes(const struct option *row, const void *at, FILE *out)
{
    char text[CONFIG_SIZE_MAX];

    (void)row;
    fprintf(out, " %s", config_size_text(*(const uint64_t *)at, text));
}

static void print_seconds(const struct option *row, const void *at, FILE *out)
{
    char text[CONFIG_SIZE_MAX];

    (void)row;
    fprintf(out, " %s", time_text(*(const uint64_t *)at, text));
}

static bool read_choice(struct value *v, struct str text)
{
    for (int i = 0; v->row->choices[i] != NULL; i++)
        if (str_ieq(str_of(v->row->choices[i]), text)) {
            *(int *)v->at = i;
            return true;
        }
    return expected(v, text);
}

static void print_choice(const struct option *row, const void *at, FILE *out)
{
    fprintf(out, " %s", row->choices[*(const int *)at]);
}

static bool read_text(struct value *v, struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return expected(v, text);
    return keep(v, text, v->at);
}

static void print_text(const struct option *row, const void *at, FILE *out)
{
    const struct str *text = at;

    (void)row;
    if (text->n > 0)
        fprintf(out, " %.*s", STR_ARG(*text));
}

static bool is_domain(struct str name, unsigned flags)
{
    struct address address;

    return domain_check(name, flags) == PATH_OK && !address_parse(name, &address);
}

static bool read_name(struct value *v, struct str text)
{
    return is_domain(text, 0) ? keep(v, text, v->at) : expected(v, text);
}

static bool read_file(struct value *v, struct str text)
{
    struct str *path = v->at;
    int why;

    if (!keep(v, text, path))
        return false;
    why = config_file_trouble(path->p);
    if (why != 0)
        config_complain(v->r, v->line, v->instance, v->row->key, "\"%s\": expected a file that can be read: %s",
                        CONFIG_QUOTED(text), strerror(why));
    return why == 0;
}

/* ---- lists ---- */

static bool is_between(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\n';
}

/* Cuts the next item off a list, counting the lines it comes by. */
static bool next_item(struct value *v, struct str *rest, struct str *item)
{
    size_t n = 0;

    while (rest->n > 0 && is_between(rest->p[0])) {
        v->line += rest->p[0] == '\n';
        *rest = str_skip(*rest, 1);
    }
    while (n < rest->n && !is_between(rest->p[n]))
        n++;
    *item = str_from(rest->p, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

static size_t count_items(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += !is_between(text.p[i]) && (i == 0 || is_between(text.p[i - 1]));
    return n;
}

static bool too_many(const struct value *v, size_t n)
{
    if (v->row->max == 0 || n <= v->row->max)
        return false;
    config_complain(v->r, v->line, v->instance, v->row->key, "%zu items, and %" PRIu64 " are the most", n, v->row->max);
    return true;
}

/* Reads every item with `read_item` into an array of `size` octets each; all bad ones are reported. */
static void *read_items(struct value *v, struct str text, size_t size,
                        bool (*read_item)(struct value *, struct str, void *), size_t *n)
{
    size_t count = count_items(text);
    char *items = NULL;
    struct str item;

    *n = 0;
    if (count == 0)
        expected(v, text);
    else if (!too_many(v, count))
        items = take(v, count * size);
    while (items != NULL && next_item(v, &text, &item))
        if (read_item(v, item, items + *n * size))
            ++*n;
    return items;
}

static bool read_network(struct value *v, struct str item, void *at)
{
    return network_parse(item, at) || expected(v, item);
}

static bool read_networks(struct value *v, struct str text)
{
    struct network_list *list = v->at;

    list->item = read_items(v, text, sizeof *list->item, read_network, &list->n);
    return list->item != NULL;
}

static bool looks_like_host_name(struct str item)
{
    struct str name = str_from(item.p, str_find(item, ':'));
    bool has_letter = false;

    for (size_t i = 0; i < name.n; i++)
        has_letter = has_letter || (ascii_lower(name.p[i]) >= 'a' && ascii_lower(name.p[i]) <= 'z');
    return has_letter && domain_is_valid(name) && str_find(str_skip(item, name.n), ':') == 0;
}

static bool read_endpoint(struct value *v, struct str item, void *at)
{
    struct endpoint *endpoint = at;

    if (endpoint_parse(item, (uint16_t)v->row->min, endpoint) && endpoint->port != 0)
        return true;
    if (!looks_like_host_name(item))
        return expected(v, item);
    config_complain(v->r, v->line, v->instance, v->row->key,
                    "\"%s\": host names are not looked up; expected an IP address, such as 192.0.2.1:25",
                    CONFIG_QUOTED(item));
    return false;
}

static bool read_endpoints(struct value *v, struct str text)
{
    struct endpoint_list *list = v->at;

    list->item = read_items(v, text, sizeof *list->item, read_endpoint, &list->n);
    return list->item != NULL;
}

static bool read_word(struct value *v, struct str item, void *at)
{
    return keep(v, item, at);
}

static bool read_words(struct value *v, struct str text)
{
    struct str_list *list = v->at;

    list->item = read_items(v, text, sizeof *list->item, read_word, &list->n);
    return list->item != NULL;
}

static bool read_list_code(struct value *v, struct str item, void *at)
{
    return list_code_parse(item, at) || expected(v, item);
}

static bool read_list_codes(struct value *v, struct str text)
{
    struct list_codes *codes = v->at;

    codes->item = read_items(v, text, sizeof *codes->item, read_list_code, &codes->n);
    return codes->item != NULL;
}

static bool read_member(struct value *v, struct str item)
{
    for (unsigned i = 0; v->row->choices[i] != NULL; i++)
        if (str_ieq(str_of(v->row->choices[i]), item)) {
            *(unsigned *)v->at |= 1u << i;
            return true;
        }
    return expected(v, item);
}

static bool read_set(struct value *v, struct str text)
{
    struct str item;

    *(unsigned *)v->at = 0;
    if (count_items(text) == 0)
        expected(v, text);
    while (next_item(v, &text, &item))
        read_member(v, item);
    return *(unsigned *)v->at != 0;
}

/* "example.org" or "*.example.org" into `entry`. */
static bool read_pattern(struct value *v, struct str item, struct domain_entry *entry)
{
    char room[PATH_DOMAIN_MAX + 1];

    entry->is_wildcard = str_istarts(item, STR("*."));
    if (entry->is_wildcard)
        item = str_skip(item, 2);
    if (!is_domain(item, PATH_UTF8))
        return false;
    item = domain_canonical(item, room);
    return item.n > 0 && keep(v, item, &entry->name);
}

/* Makes room for `more` entries behind those the set has: a list and a file may fill the same one. */
static bool widen(struct value *v, size_t more)
{
    struct domain_set *set = v->at;
    struct domain_entry *wider = take(v, (set->n + more) * sizeof *wider);

    if (wider == NULL)
        return false;
    if (set->n > 0)
        memcpy(wider, set->item, set->n * sizeof *wider);
    set->item = wider;
    return true;
}

static bool read_domains(struct value *v, struct str text)
{
    struct domain_set *set = v->at;
    size_t count = count_items(text);
    struct str item;

    if (too_many(v, count) || !widen(v, count))
        return false;
    while (next_item(v, &text, &item)) {
        if (read_pattern(v, item, &set->item[set->n]))
            set->n++;
        else
            expected(v, item);
    }
    return true;
}

/* A line of the file without its comment. */
static struct str next_file_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    line.n = str_find(line, '#');
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return str_trim(line);
}

static void read_domain_lines(struct value *v, const char *path, struct str text)
{
    struct domain_set *set = v->at;
    size_t count = 1;

    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    if (!widen(v, count))
        return;
    if (str_istarts(text, STR("\xEF\xBB\xBF")))
        text = str_skip(text, 3);
    for (unsigned line_n = 1; text.n > 0; line_n++) {
        struct str line = next_file_line(&text);

        if (line.n == 0)
            continue;
        if (read_pattern(v, line, &set->item[set->n]))
            set->n++;
        else
            config_complain(v->r, v->line, v->instance, v->row->key,
                            "%s:%u: \"%s\": expected a domain name, or *.example.org", path, line_n,
                            CONFIG_QUOTED(line));
    }
}

static bool read_domain_file(struct value *v, struct str text)
{
    struct str path;
    size_t n;
    char *data;

    if (!keep(v, text, &path))
        return false;
    data = config_read_file(path.p, true, &n);
    if (data == NULL) {
        config_complain(v->r, v->line, v->instance, v->row->key, "\"%s\": expected a file that can be read: %s",
                        CONFIG_QUOTED(text), strerror(errno));
        return false;
    }
    read_domain_lines(v, path.p, str_from(data, n));
    free(data);
    return true;
}

/* One that gets long goes on in an indented line. */
static void print_item(FILE *out, size_t *column, const char *star, struct str text)
{
    size_t n = 1 + strlen(star) + text.n;
    bool fits = *column == 0 || *column + n <= PRINT_COLUMNS;

    fprintf(out, "%s%s%.*s", fits ? " " : "\n    ", star, STR_ARG(text));
    *column = fits ? *column + n : n;
}

static void print_networks(const struct option *row, const void *at, FILE *out)
{
    const struct network_list *list = at;
    size_t column = 0;

    (void)row;
    for (size_t i = 0; i < list->n; i++) {
        const struct network *network = &list->item[i];
        unsigned bits = network->bits - (address_is_v4(&network->address) && network->bits >= 96 ? 96U : 0U);
        char address[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX + 8];

        address_print(&network->address, address);
        print_item(out, &column, "", str_from(text, (size_t)snprintf(text, sizeof text, "%s/%u", address, bits)));
    }
}

static void print_endpoints(const struct option *row, const void *at, FILE *out)
{
    const struct endpoint_list *list = at;
    size_t column = 0;

    (void)row;
    for (size_t i = 0; i < list->n; i++) {
        char text[ENDPOINT_TEXT_MAX];

        print_item(out, &column, "", str_from(text, endpoint_print(&list->item[i], text)));
    }
}

static void print_words(const struct option *row, const void *at, FILE *out)
{
    const struct str_list *list = at;
    size_t column = strlen(row->key) + 2;

    for (size_t i = 0; i < list->n; i++)
        print_item(out, &column, "", list->item[i]);
}

static void print_domains(const struct option *row, const void *at, FILE *out)
{
    const struct domain_set *set = at;
    size_t column = 0;

    (void)row;
    for (size_t i = 0; i < set->n; i++)
        print_item(out, &column, set->item[i].is_wildcard ? "*." : "", set->item[i].name);
}

static void print_list_codes(const struct option *row, const void *at, FILE *out)
{
    const struct list_codes *codes = at;
    size_t column = 0;

    (void)row;
    for (size_t i = 0; i < codes->n; i++) {
        char text[LIST_CODE_TEXT_MAX];

        print_item(out, &column, "", str_from(text, list_code_print(&codes->item[i], text)));
    }
}

static void print_set(const struct option *row, const void *at, FILE *out)
{
    const unsigned *set = at;

    for (unsigned i = 0; row->choices[i] != NULL; i++)
        if (*set & 1u << i)
            fprintf(out, " %s", row->choices[i]);
}

/* The set is printed by the row before; the file's name is not kept. */
static void print_nothing(const struct option *row, const void *at, FILE *out)
{
    (void)row;
    (void)at;
    (void)out;
}

/* ---- all types ---- */

static const struct value_type {
    bool (*read)(struct value *, struct str text);
    void (*print)(const struct option *, const void *at, FILE *);
    size_t size;
    bool is_list;
    bool is_optional; /* "key =" is a value: none */
    const char *expects;
} types[] = {
    [OPTION_BOOL] = { read_bool, print_bool, sizeof(bool), false, false, "yes or no" },
    [OPTION_NUMBER] = { read_number, print_number, sizeof(uint64_t), false, false, NULL },
    [OPTION_BYTES] = { read_bytes, print_bytes, sizeof(uint64_t), false, false, NULL },
    [OPTION_SECONDS] = { read_seconds, print_seconds, sizeof(uint64_t), false, false, NULL },
    [OPTION_CHOICE] = { read_choice, print_choice, sizeof(int), false, false, NULL },
    [OPTION_TEXT] = { read_text, print_text, sizeof(struct str), false, true, "plain ASCII text" },
    [OPTION_NAME] = { read_name, print_text, sizeof(struct str), false, true, "a domain name" },
    [OPTION_FILE] = { read_file, print_text, sizeof(struct str), false, true, "a file that can be read" },
    [OPTION_NETWORKS] = { read_networks, print_networks, sizeof(struct network_list), true, true,
                          "networks such as 192.0.2.0/24 or 2001:db8::/32, host bits zero" },
    [OPTION_DOMAINS] = { read_domains, print_domains, 0, true, true,
                         "domain names, or *.example.org for all names below example.org" },
    [OPTION_DOMAIN_FILE] = { read_domain_file, print_nothing, 0, false, true,
                             "a file with one domain name a line, '#' before comments" },
    [OPTION_ENDPOINTS] = { read_endpoints, print_endpoints, sizeof(struct endpoint_list), true, true,
                           "addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25" },
    [OPTION_WORDS] = { read_words, print_words, sizeof(struct str_list), true, true, "words" },
    [OPTION_SET] = { read_set, print_set, sizeof(unsigned), true, false, NULL },
    [OPTION_LIST_CODES] = { read_list_codes, print_list_codes, sizeof(struct list_codes), true, false,
                            "return codes such as 127.0.0.2 or 127.0.0.4-11:3, never 127.0.0.1 or 127.255.255.0-255" },
};

bool config_value_is_list(enum option_type type)
{
    return types[type].is_list;
}

/* "off, starttls or implicit" */
static void join_choices(const char *const *choices, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; choices[i] != NULL && n < size; i++) {
        const char *before = i == 0 ? "" : choices[i + 1] != NULL ? ", " : " or ";

        n += (size_t)snprintf(out + n, size - n, "%s%s", before, choices[i]);
    }
}

static const char *expects_range(const struct option *row, char out[CONFIG_EXPECTS_MAX])
{
    char min[CONFIG_SIZE_MAX], max[CONFIG_SIZE_MAX];

    if (row->type == OPTION_BYTES)
        snprintf(out, CONFIG_EXPECTS_MAX, "octets from %s to %s (k, M, G: powers of 1024)",
                 config_size_text(row->min, min), config_size_text(row->max, max));
    else if (row->type == OPTION_SECONDS)
        snprintf(out, CONFIG_EXPECTS_MAX, "a time from %s to %s (ms, s, m, h, d)", time_text(row->min, min),
                 time_text(row->max, max));
    else
        snprintf(out, CONFIG_EXPECTS_MAX, "a number%s%s from %" PRIu64 " to %" PRIu64, row->unit != NULL ? " of " : "",
                 row->unit != NULL ? row->unit : "", row->min, row->max);
    return out;
}

const char *config_value_expects(const struct option *row, char out[CONFIG_EXPECTS_MAX])
{
    if (types[row->type].expects != NULL)
        return types[row->type].expects;
    if (row->type != OPTION_CHOICE && row->type != OPTION_SET)
        return expects_range(row, out);
    join_choices(row->choices, out, CONFIG_EXPECTS_MAX);
    return out;
}

void config_value_read(struct config_reading *r, struct config_instance *instance, const struct option *row,
                       struct str text, unsigned line)
{
    struct value v = { .r = r, .instance = instance, .row = row, .line = line, .at = instance->base + row->offset };
    const struct value_type *type = &types[row->type];

    text = str_trim(text);
    if (text.n > 0 && text.p[0] != '#' && text.p[0] != ';') /* "key =#x": with a blank it would be a comment */
        type->read(&v, text);
    else if (text.n > 0 || !type->is_optional || row->required)
        expected(&v, text);
    else
        memset(v.at, 0, type->size);
}

void config_value_print(const struct option *row, const void *at, FILE *out)
{
    types[row->type].print(row, at, out);
}
