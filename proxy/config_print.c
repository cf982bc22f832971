/* The rows in three forms: a sample to start from, the configuration in force, and the manual. */
#include "config_parts.h"

enum { COMMENT_COLUMNS = 100 };

/* ---- the sample ---- */

/* Text as comment lines, broken at blanks. */
static void print_comment(const char *text, FILE *out)
{
    struct str rest = str_of(text);

    while (rest.n > 0) {
        size_t n = rest.n;

        if (n > COMMENT_COLUMNS) {
            n = COMMENT_COLUMNS;
            while (n > 0 && rest.p[n] != ' ')
                n--;
        }
        fprintf(out, "# %.*s\n", (int)n, rest.p);
        rest = str_trim(str_skip(rest, n));
    }
}

static void print_sample_row(const struct option *row, FILE *out)
{
    char expects[CONFIG_EXPECTS_MAX];

    fputc('\n', out);
    print_comment(row->help, out);
    fprintf(out, "# %s: %s\n", row->required ? "Required" : "Takes", config_value_expects(row, expects));
    fprintf(out, "#%s =%s%s\n", row->key, row->preset != NULL ? " " : "", row->preset != NULL ? row->preset : "");
}

void config_print_defaults(FILE *out)
{
    fputs("# Postern's configuration: every section and key, with its default. Keys begin in the first column; an "
          "indented\n"
          "# line goes on with the list before it. See postern.ini(5). The least that works:\n"
          "#\n"
          "#     [server]\n"
          "#     hostname = mx.example.org\n"
          "#     [certificate main]\n"
          "#     chain = /etc/postern/chain.pem\n"
          "#     key = /etc/postern/key.pem\n"
          "#     [backend]\n"
          "#     servers = 192.0.2.1:25\n"
          "#     [relay]\n"
          "#     domains = example.org\n",
          out);
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        fputs("\n\n", out);
        if (section.help != NULL)
            print_comment(section.help, out);
        if (section.sample != NULL)
            fprintf(out, "#[%s %s]\n", section.name, section.sample);
        else
            fprintf(out, "[%s]\n", section.name);
        for (size_t k = 0; k < section.rows_n; k++)
            print_sample_row(&section.rows[k], out);
    }
}

/* ---- what is in force ---- */

static void print_values(const struct config_section *section, const char *base, FILE *out)
{
    for (size_t i = 0; i < section->rows_n; i++) {
        const struct option *row = &section->rows[i];

        if (row->type == OPTION_DOMAIN_FILE)
            continue; /* its names are in the list before it */
        fprintf(out, "%s =", row->key);
        config_value_print(row, base + row->offset, out);
        fputc('\n', out);
    }
}

static void print_single(const struct config *config, const struct config_section *section, FILE *out)
{
    const char *base = section->place == PLACE_POLICY    ? (const char *)&config->policy
                       : section->place == PLACE_BACKEND ? (const char *)&config->routes[0]
                                                         : (const char *)config;

    fprintf(out, "[%s]\n", section->name);
    print_values(section, base, out);
    fputc('\n', out);
}

static void print_named(const struct config_section *section, const char *star, struct str name, const void *base,
                        FILE *out)
{
    fprintf(out, "[%s %s%.*s]\n", section->name, star, STR_ARG(name));
    print_values(section, base, out);
    fputc('\n', out);
}

static void print_list(const struct config *config, const struct config_section *section, FILE *out)
{
    const struct section_list *items =
        (const struct section_list *)(const void *)((const char *)&config->policy + section->list->offset);

    for (size_t i = 0; i < items->n; i++) {
        const char *item = (const char *)items->item + section->list->item_size * i;

        print_named(section, "", *(const struct str *)(const void *)item, item, out);
    }
}

static void print_section(const struct config *config, const struct config_section *section, FILE *out)
{
    if (section->sample == NULL)
        print_single(config, section, out);
    for (size_t i = 0; section->place == PLACE_LISTENER && i < config->listeners_n; i++)
        print_named(section, "", config->listeners[i].name, &config->listeners[i], out);
    for (size_t i = 0; section->place == PLACE_CERTIFICATE && i < config->certificates_n; i++)
        print_named(section, "", config->certificates[i].name, &config->certificates[i], out);
    if (section->place == PLACE_LIST)
        print_list(config, section, out);
    for (size_t i = 1; section->place == PLACE_ROUTE && i < config->routes_n; i++)
        print_named(section, config->routes[i].is_wildcard ? "*." : "", config->routes[i].name, &config->routes[i],
                    out);
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        print_section(config, &section, out);
    }
}

/* ---- postern.ini(5) ---- */

/* roff takes a leading '.' or '\'' for a request, '\' for an escape, and a plain '-' for a hyphen. */
static void print_roff(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void print_manual_row(const struct option *row, FILE *out)
{
    char expects[CONFIG_EXPECTS_MAX];

    fprintf(out, ".TP\n\\fB%s\\fR", row->key);
    if (row->preset != NULL) {
        fputs(" = \\fI", out);
        print_roff(row->preset, out);
        fputs("\\fR", out);
    } else if (row->required) {
        fputs(" (required)", out);
    }
    fputc('\n', out);
    print_roff(row->help, out);
    fputs("\n.br\nTakes ", out);
    print_roff(config_value_expects(row, expects), out);
    fputs(".\n", out);
}

static void print_manual_section(const struct config_section *section, FILE *out)
{
    fprintf(out, ".SS [%s%s]\n", section->name, section->sample != NULL ? " NAME" : "");
    if (section->help != NULL) {
        print_roff(section->help, out);
        fputc('\n', out);
    }
    for (size_t i = 0; i < section->rows_n; i++)
        print_manual_row(&section->rows[i], out);
}

static const char manual_head[] =
    ".\\\" Made by config_print_manual() from the rows of the program: change those, not this page.\n"
    ".TH POSTERN.INI 5 \"\" \"Postern\" \"File formats\"\n"
    ".SH NAME\n"
    "postern.ini \\- configuration of the Postern mail gateway\n"
    ".SH DESCRIPTION\n"
    "Sections in brackets, and keys with values below them. Keys begin in the first column. \"#\" and \";\" begin a "
    "comment, "
    "at the start of a line or after a blank. List items are separated by blanks or commas, and an indented line goes "
    "on with "
    "the list before it. A line has 4096 octets at most. Each section and each key may stand once; sections with a "
    "NAME may be "
    "repeated with other names.\n"
    ".PP\n"
    "Sizes are octets, or with k, M, G powers of 1024 of them. Times are seconds, or have a unit: ms, s, m, h, d.\n"
    ".PP\n"
    "An unknown section or key, a value out of range, a file that cannot be read and a contradiction are errors. All "
    "of them "
    "are told, with file and line, and nothing starts or changes.\n"
    ".SH SECTIONS\n"
    "Behind each key stands its default, if it has one.\n";

static const char manual_tail[] = ".SH EXAMPLES\n"
                                  "The least that works:\n"
                                  ".PP\n"
                                  ".nf\n"
                                  "[server]\n"
                                  "hostname = mx.example.org\n"
                                  "[certificate main]\n"
                                  "chain = /etc/postern/chain.pem\n"
                                  "key = /etc/postern/key.pem\n"
                                  "[backend]\n"
                                  "servers = 192.0.2.1:25\n"
                                  "[relay]\n"
                                  "domains = example.org *.example.org\n"
                                  ".fi\n"
                                  ".PP\n"
                                  "Submission beside it, for clients that log in:\n"
                                  ".PP\n"
                                  ".nf\n"
                                  "[listen smtp]\n"
                                  "address = 0.0.0.0:25 [::]:25\n"
                                  "[listen submissions]\n"
                                  "address = 0.0.0.0:465 [::]:465\n"
                                  "tls = implicit\n"
                                  "auth = yes\n"
                                  ".fi\n"
                                  ".SH SEE ALSO\n"
                                  ".BR postern (8)\n";

void config_print_manual(FILE *out)
{
    fputs(manual_head, out);
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        print_manual_section(&section, out);
    }
    fputs(manual_tail, out);
}
