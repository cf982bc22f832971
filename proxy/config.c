/* Reads the ini. inih splits lines into keys and values; what it does not tell, or cuts, is dealt with in the
 * reader that feeds it: over-long lines, NUL, section headings (inih keeps 49 octets of a name, and says nothing
 * of an empty section), and which lines are indented, that is, go on with the value before. So inih sees nothing
 * but lines of keys and values.
 */
#include "config_parts.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../policy/path.h"
#include "nearest.h"

enum {
    NAME_MAX_ = 64, /* octets of NAME in [listen NAME] */
    KEYS_MAX = 64   /* names offered as suggestions */
};

/* ---- the report ---- */

static void print_place(struct config_reading *r, unsigned line, const struct config_instance *instance,
                        const char *key)
{
    fprintf(r->errors, "%s:", r->file);
    if (line > 0)
        fprintf(r->errors, "%u:", line);
    if (instance != NULL)
        fprintf(r->errors, " [%s%s%.*s]%s%s:", instance->section.name, instance->name.n > 0 ? " " : "",
                STR_ARG(instance->name), key != NULL ? " " : "", key != NULL ? key : "");
    fputc(' ', r->errors);
}

void config_complain(struct config_reading *r, unsigned line, struct config_instance *instance, const char *key,
                     const char *format, ...)
{
    va_list args;

    if (instance != NULL)
        instance->errors_n++;
    if (r->errors_n++ >= CONFIG_ERRORS_MAX)
        return;
    print_place(r, line, instance, key);
    va_start(args, format);
    vfprintf(r->errors, format, args);
    va_end(args);
    fputc('\n', r->errors);
}

void config_warn(struct config_reading *r, unsigned line, const struct config_instance *instance, const char *key,
                 const char *format, ...)
{
    va_list args;

    print_place(r, line, instance, key);
    fputs("warning: ", r->errors);
    va_start(args, format);
    vfprintf(r->errors, format, args);
    va_end(args);
    fputc('\n', r->errors);
}

void config_complain_memory(struct config_reading *r)
{
    if (!r->out_of_memory)
        config_complain(r, 0, NULL, NULL, "out of memory");
    r->out_of_memory = true;
}

/* ---- sections ---- */

/* One more item of a list, whose room is made with the first; NULL when it is full or memory is short. */
static char *list_item(struct config_reading *r, const struct repeated *list)
{
    struct section_list *items = (struct section_list *)(void *)((char *)&r->config->policy + list->offset);

    if (items->item == NULL)
        items->item = config_take(&r->store, list->max * list->item_size);
    if (items->item == NULL)
        config_complain_memory(r);
    if (items->item == NULL || items->n == list->max)
        return NULL;
    return (char *)items->item + list->item_size * items->n++;
}

static char *place_base(struct config_reading *r, const struct config_section *section)
{
    struct config *config = r->config;

    switch (section->place) {
    case PLACE_CONFIG: return (char *)config;
    case PLACE_POLICY: return (char *)&config->policy;
    case PLACE_BACKEND: return (char *)&config->routes[0];
    case PLACE_LISTENER:
        return config->listeners_n < CONFIG_LISTENERS_MAX ? (char *)&config->listeners[config->listeners_n++] : NULL;
    case PLACE_CERTIFICATE:
        return config->certificates_n < CONFIG_CERTIFICATES_MAX
                   ? (char *)&config->certificates[config->certificates_n++]
                   : NULL;
    case PLACE_ROUTE: return config->routes_n < CONFIG_ROUTES_MAX ? (char *)&config->routes[config->routes_n++] : NULL;
    case PLACE_LIST: return list_item(r, section->list);
    }
    return NULL;
}

static void set_name(struct config_instance *instance, struct str name)
{
    instance->name = name;
    if (instance->section.place == PLACE_LISTENER)
        ((struct listener *)(void *)instance->base)->name = name;
    else if (instance->section.place == PLACE_CERTIFICATE)
        ((struct certificate *)(void *)instance->base)->name = name;
    else if (instance->section.place == PLACE_LIST)
        *(struct str *)(void *)instance->base = name; /* its first member */
}

static struct str keep_text(struct config_reading *r, struct str text)
{
    char *copy = config_take(&r->store, text.n + 1);

    if (copy == NULL) {
        config_complain_memory(r);
        return str_from("", 0);
    }
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    return str_from(copy, text.n);
}

struct config_instance *config_add_instance(struct config_reading *r, const struct config_section *section,
                                            struct str name)
{
    struct config_instance *instance = &r->instance[r->instances_n];
    char *base = place_base(r, section);

    if (base == NULL) {
        config_complain(r, r->line, NULL, NULL, "too many [%s] sections", section->name);
        return NULL;
    }
    *instance = (struct config_instance){ .section = *section, .base = base };
    instance->row_line = config_take(&r->scratch, (section->rows_n + 1) * sizeof *instance->row_line);
    if (instance->row_line == NULL) {
        config_complain_memory(r);
        return NULL;
    }
    r->instances_n++;
    set_name(instance, keep_text(r, name));
    for (size_t i = 0; i < section->rows_n; i++)
        if (section->rows[i].preset != NULL)
            config_value_read(r, instance, &section->rows[i], str_of(section->rows[i].preset), 0);
    return instance;
}

struct config_instance *config_instance_at(const struct config_reading *r, const void *base)
{
    for (size_t i = 0; i < r->instances_n; i++)
        if (r->instance[i].base == base)
            return &r->instance[i];
    return NULL;
}

static struct config_instance *find_instance(const struct config_reading *r, const char *section, struct str name)
{
    for (size_t i = 0; i < r->instances_n; i++)
        if (strcmp(r->instance[i].section.name, section) == 0 && str_eq(r->instance[i].name, name))
            return &r->instance[i];
    return NULL;
}

struct config_instance *config_instance_named(const struct config_reading *r, const char *section)
{
    return find_instance(r, section, STR(""));
}

static bool find_section(struct str name, struct config_section *out)
{
    for (size_t i = 0; i < config_sections_n(); i++) {
        *out = config_section_at(i);
        if (str_eq(str_of(out->name), name))
            return true;
    }
    return false;
}

static void complain_unknown(struct config_reading *r, struct config_instance *instance, const char *what,
                             struct str wrong, const char *const *names, size_t n)
{
    const char *nearest = nearest_name(wrong, names, n);

    if (nearest != NULL)
        config_complain(r, r->line, instance, NULL, "unknown %s \"%s\"; did you mean \"%s\"?", what,
                        CONFIG_QUOTED(wrong), nearest);
    else
        config_complain(r, r->line, instance, NULL, "unknown %s \"%s\"; 'postern check --defaults' lists them", what,
                        CONFIG_QUOTED(wrong));
}

static void complain_section(struct config_reading *r, struct str wrong)
{
    const char *names[KEYS_MAX];
    size_t n = 0;

    while (n < config_sections_n() && n < KEYS_MAX) {
        names[n] = config_section_at(n).name;
        n++;
    }
    complain_unknown(r, NULL, "section", wrong, names, n);
}

static bool is_plain_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = ascii_lower(name.p[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return name.n > 0 && name.n <= NAME_MAX_;
}

/* "example.org" or "*.example.org"; `room` takes the canonical form. */
static bool read_route_name(struct str *name, char room[2 + PATH_DOMAIN_MAX + 1])
{
    size_t star = str_istarts(*name, STR("*.")) ? 2 : 0;
    struct str domain;

    if (domain_check(str_skip(*name, star), PATH_UTF8) != PATH_OK)
        return false;
    domain = domain_canonical(str_skip(*name, star), room + star);
    memcpy(room, "*.", star);
    *name = str_from(room, star + domain.n);
    return domain.n > 0;
}

/* Is `name` what this section wants behind its word? Canonical afterwards. */
static bool check_name(struct config_reading *r, const struct config_section *section, struct str *name,
                       char room[2 + PATH_DOMAIN_MAX + 1])
{
    if (section->sample == NULL) {
        if (name->n > 0)
            config_complain(r, r->line, NULL, NULL, "[%s] takes no name", section->name);
        return name->n == 0;
    }
    if (section->place == PLACE_ROUTE ? read_route_name(name, room) : is_plain_name(*name))
        return true;
    config_complain(r, r->line, NULL, NULL, "\"%s\": expected %s, as in [%s %s]", CONFIG_QUOTED(*name),
                    section->place == PLACE_ROUTE ? "a domain name or *.domain"
                                                  : "a name of letters, digits, '-', '_', '.'",
                    section->name, section->sample);
    return false;
}

static void set_route_name(struct config_instance *instance)
{
    struct route *route = (struct route *)(void *)instance->base;

    route->is_wildcard = str_istarts(instance->name, STR("*."));
    route->name = str_skip(instance->name, route->is_wildcard ? 2 : 0);
}

/* The section of a heading's inside: "limits", "listen smtp". */
static void open_section(struct config_reading *r, struct str heading)
{
    char room[2 + PATH_DOMAIN_MAX + 1];
    struct config_section section;
    struct config_instance *instance;
    struct str word, name;

    name = str_trim(heading);
    str_word(&name, &word);
    name = str_trim(name);
    r->current = NULL;
    if (!find_section(word, &section)) {
        complain_section(r, word);
        return;
    }
    if (!check_name(r, &section, &name, room))
        return;
    instance = find_instance(r, section.name, name);
    if (instance != NULL && instance->line != 0)
        config_complain(r, r->line, instance, NULL, "this section is here twice, first in line %u", instance->line);
    if (instance == NULL)
        instance = config_add_instance(r, &section, name);
    if (instance == NULL)
        return;
    if (section.place == PLACE_ROUTE)
        set_route_name(instance);
    if (instance->line == 0)
        instance->line = r->line;
    r->current = instance;
}

/* ---- keys and values ---- */

/* The value is complete: something else begins. */
static void settle(struct config_reading *r)
{
    if (r->row != NULL)
        config_value_read(r, r->current, r->row, str_from(r->value, r->value_n), r->key_line);
    r->row = NULL;
    r->key_open = false;
    r->value_n = 0;
}

static void append_value(struct config_reading *r, const char *text, size_t n)
{
    if (r->value_n + n + 1 > r->value_size) {
        size_t size = 2 * (r->value_n + n + 1);
        char *grown = realloc(r->value, size);

        if (grown == NULL) {
            config_complain_memory(r);
            return;
        }
        r->value = grown;
        r->value_size = size;
    }
    memcpy(r->value + r->value_n, text, n);
    r->value_n += n;
    r->value[r->value_n] = '\0';
}

static void complain_key(struct config_reading *r, struct str wrong)
{
    const struct config_section *section = &r->current->section;
    const char *names[KEYS_MAX];
    size_t n = 0;

    for (; n < section->rows_n && n < KEYS_MAX; n++)
        names[n] = section->rows[n].key;
    complain_unknown(r, r->current, "key", wrong, names, n);
}

static const struct option *find_row(struct config_reading *r, struct str key)
{
    const struct config_section *section = &r->current->section;

    for (size_t i = 0; i < section->rows_n; i++) {
        unsigned *line = &r->current->row_line[i];

        if (!str_eq(str_of(section->rows[i].key), key))
            continue;
        if (*line != 0) {
            config_complain(r, r->line, r->current, section->rows[i].key, "this key is here twice, first in line %u",
                            *line);
            return NULL;
        }
        *line = r->line;
        return &section->rows[i];
    }
    complain_key(r, key);
    return NULL;
}

static void begin_key(struct config_reading *r, struct str key, const char *value)
{
    settle(r);
    r->key_open = true;
    r->key_line = r->value_line = r->line;
    if (value == NULL) {
        config_complain(r, r->line, r->current, NULL, "\"%s\": expected key = value", CONFIG_QUOTED(key));
        return;
    }
    if (r->current != NULL)
        r->row = find_row(r, key);
    else if (!r->heading_seen)
        config_complain(r, r->line, NULL, NULL, "\"%s\": a key before the first [section]", CONFIG_QUOTED(key));
    if (r->row != NULL)
        append_value(r, value, strlen(value));
}

/* An indented line goes on with a list. Newlines are put back in, so that a bad item can be found by its line. */
static void continue_value(struct config_reading *r, const char *text)
{
    if (r->row == NULL)
        return;
    if (!config_value_is_list(r->row->type)) {
        config_complain(
            r, r->line, r->current, r->row->key,
            "an indented line goes on with the value before, and this is no list; keys begin in the first column");
        r->row = NULL;
        return;
    }
    for (; r->value_line < r->line; r->value_line++)
        append_value(r, "\n", 1);
    append_value(r, text, strlen(text));
}

/* inih's handler. `value` is NULL for a line without '='. */
static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    struct config_reading *r = user;

    (void)section;
    if (r->indented && value != NULL)
        continue_value(r, value);
    else
        begin_key(r, str_of(key), value);
    return 1;
}

/* ---- lines ---- */

static struct str cut_line(struct config_reading *r)
{
    size_t n = str_find(r->rest, '\n');
    struct str line = str_from(r->rest.p, n);

    r->rest = str_skip(r->rest, n < r->rest.n ? n + 1 : n);
    r->line++;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* NUL would end the line for inih, and other controls have no business in an ini. */
static bool has_control(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7F)
            return true;
    return false;
}

static void read_heading(struct config_reading *r, struct str line)
{
    size_t end = str_find(line, ']');
    struct str after;

    settle(r);
    r->current = NULL;
    r->heading_seen = true;
    if (end == line.n) {
        config_complain(r, r->line, NULL, NULL, "\"%s\": expected ']' at the end of the section's name",
                        CONFIG_QUOTED(line));
        return;
    }
    after = str_trim(str_skip(line, end + 1));
    if (after.n > 0 && after.p[0] != '#' && after.p[0] != ';')
        config_complain(r, r->line, NULL, NULL, "\"%s\": unexpected after the section's name", CONFIG_QUOTED(after));
    open_section(r, str_from(line.p + 1, end - 1));
}

/* Can inih have this line? Bad ones are reported and passed over. Takes note of headings and indentation. */
static bool admit_line(struct config_reading *r, struct str line)
{
    struct str text = str_trim(line);

    if (line.n > CONFIG_LINE_MAX) {
        config_complain(r, r->line, NULL, NULL,
                        "this line has %zu octets, and %d is the most; long lists go on in indented lines", line.n,
                        CONFIG_LINE_MAX);
        return false;
    }
    if (has_control(line)) {
        config_complain(r, r->line, NULL, NULL, "a control character in the line: %s", CONFIG_QUOTED(text));
        return false;
    }
    if (text.n == 0 || text.p[0] == '#' || text.p[0] == ';')
        return false;
    r->indented = text.p != line.p;
    if (r->indented && !r->key_open) {
        config_complain(r, r->line, NULL, NULL,
                        "\"%s\": an indented line, but no value before it to go on with; keys begin in "
                        "the first column",
                        CONFIG_QUOTED(text));
        return false;
    }
    if (line.p[0] != '[')
        return true;
    read_heading(r, line);
    return false;
}

/* inih's reader: the next line it is to see. The newline shows it that the line is whole. */
static char *next_line(char *out, int size, void *user)
{
    struct config_reading *r = user;

    while (r->rest.n > 0) {
        struct str line = cut_line(r);

        if (!admit_line(r, line) || line.n + 2 > (size_t)size)
            continue;
        memcpy(out, line.p, line.n);
        memcpy(out + line.n, "\n", 2);
        return out;
    }
    return NULL;
}

/* Debian's inih takes at run time what upstream fixes when it is compiled: 200 octets to a line among them. */
static void set_up_inih(void)
{
    static char comments[] = "#;";

    ini_max_line = CONFIG_LINE_MAX + 2;
    ini_use_stack = true;
    ini_allow_multiline = true;
    ini_allow_no_value = true;
    ini_allow_inline_comments = true;
    ini_start_comment_prefixes = comments;
    ini_inline_comment_prefixes = comments;
}

static void read_text(struct config_reading *r, struct str text)
{
    if (str_istarts(text, STR("\xEF\xBB\xBF")))
        text = str_skip(text, 3);
    r->rest = text;
    set_up_inih();
    ini_parse_stream(next_line, r, on_pair, r);
    settle(r);
    r->line = 0;
}

/* ---- the whole ---- */

/* As many sections as there can be. */
static size_t instances_max(void)
{
    size_t n = CONFIG_LISTENERS_MAX + CONFIG_ROUTES_MAX + CONFIG_CERTIFICATES_MAX;

    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        n += section.list != NULL ? section.list->max : 1;
    }
    return n;
}

static bool begin(struct config_reading *r, struct str name)
{
    struct config *config = config_take(&r->store, sizeof *config);

    if (config == NULL)
        return false;
    r->config = config;
    config->path = keep_text(r, name);
    config->listeners = config_take(&r->store, CONFIG_LISTENERS_MAX * sizeof *config->listeners);
    config->certificates = config_take(&r->store, CONFIG_CERTIFICATES_MAX * sizeof *config->certificates);
    config->routes = config_take(&r->store, CONFIG_ROUTES_MAX * sizeof *config->routes);
    config->routes_n = 1;
    r->instance = config_take(&r->scratch, instances_max() * sizeof *r->instance);
    return config->listeners != NULL && config->certificates != NULL && config->routes != NULL && r->instance != NULL;
}

/* Sections that are not repeated are always there, with their defaults. */
static void add_single_sections(struct config_reading *r)
{
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        if (section.sample == NULL)
            config_add_instance(r, &section, STR(""));
    }
}

static struct config *finish(struct config_reading *r)
{
    struct config *config = r->config;

    if (r->errors_n > CONFIG_ERRORS_MAX)
        fprintf(r->errors, "%s: %u more errors\n", r->file, r->errors_n - CONFIG_ERRORS_MAX);
    free(r->value);
    config_release(&r->scratch);
    if (r->errors_n > 0) {
        config_release(&r->store);
        return NULL;
    }
    config->memory = r->store.first; /* the checks may have added to it */
    return config;
}

struct config *config_parse(struct str text, const char *name, FILE *errors)
{
    struct config_reading r = { .file = name, .errors = errors };

    if (!begin(&r, str_of(name))) {
        config_complain_memory(&r);
        return finish(&r);
    }
    add_single_sections(&r);
    if (!r.out_of_memory) {
        read_text(&r, text);
        config_check(&r);
    }
    return finish(&r);
}

void config_free(struct config *config)
{
    struct config_store store = { config != NULL ? config->memory : NULL };

    config_release(&store); /* the configuration itself lies in there, too */
}

struct config *config_load(const char *path, FILE *errors)
{
    struct config *config;
    size_t n;
    char *text = config_read_file(path, false, &n);

    if (text == NULL) {
        fprintf(errors, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    config = config_parse(str_from(text, n), strcmp(path, "-") == 0 ? "standard input" : path, errors);
    free(text);
    return config;
}

/* ---- lookups ---- */

static bool route_matches(const struct route *route, struct str domain)
{
    struct str name = route->name;

    if (!route->is_wildcard)
        return str_eq(name, domain);
    return domain.n > name.n + 1 && domain.p[domain.n - name.n - 1] == '.' &&
           str_eq(str_skip(domain, domain.n - name.n), name);
}

const struct route *config_route(const struct config *config, struct str domain)
{
    const struct route *best = &config->routes[0];

    for (size_t i = 1; i < config->routes_n; i++) {
        const struct route *route = &config->routes[i];

        if (!route_matches(route, domain))
            continue;
        if (!route->is_wildcard)
            return route;
        if (route->name.n > best->name.n)
            best = route;
    }
    return best;
}
