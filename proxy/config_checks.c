/* What is judged, as `postern check` tells it: each check with its stages, its modes and its bounds, in the order of judgement,
 * in lines that an ini takes for comments. All of it comes from the checks' rows.
 */
#include "config_parts.h"

#include <stdlib.h>

/* "#   name  stages  settings": where each column begins, and where lines are folded. */
enum { NAME_COLUMN = 4, STAGE_COLUMN = 20, ROW_COLUMN = 56, LAST_COLUMN = 136 };

/* A line being written, and where its end is. */
struct line {
    FILE *out;
    size_t column;
};

static void put(struct line *line, const char *text)
{
    fputs(text, line->out);
    line->column += strlen(text);
}

/* At least one blank, so that what is too long for its column stays apart from the next. */
static void go_to(struct line *line, size_t column)
{
    size_t n = line->column < column ? column - line->column : 1;

    fprintf(line->out, "%*s", (int)n, "");
    line->column += n;
}

static void fold(struct line *line)
{
    fputs("\n#", line->out);
    line->column = 1;
}

static bool is_mode(const struct option *row)
{
    return row->type == OPTION_CHOICE || row->type == OPTION_BOOL || row->type == OPTION_SET;
}

static bool is_bound(const struct option *row)
{
    return row->type == OPTION_NUMBER || row->type == OPTION_BYTES || row->type == OPTION_SECONDS;
}

/* "weight = 3 points", malloc'd; NULL without memory. */
static char *row_text(const struct option *row, const char *base)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (out == NULL)
        return NULL;
    fprintf(out, "%s =", row->key);
    config_value_print(row, base + row->offset, out);
    if (row->type == OPTION_NUMBER && row->unit != NULL)
        fprintf(out, " %s", row->unit);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* "mode = reject, weight = 3 points", folded, and the line's end. */
static void print_rows(struct line *line, const struct option *rows, size_t n, const char *base)
{
    const char *separator = "";

    for (size_t i = 0; i < n; i++) {
        char *text = is_mode(&rows[i]) || is_bound(&rows[i]) ? row_text(&rows[i], base) : NULL;

        if (text == NULL)
            continue;
        put(line, separator);
        if (separator[0] != '\0' && line->column + 2 + strlen(text) > LAST_COLUMN)
            fold(line);
        go_to(line, ROW_COLUMN);
        put(line, text);
        free(text);
        separator = ",";
    }
    fputc('\n', line->out);
}

static void print_stages(struct line *line, unsigned stages)
{
    for (int stage = 0; stage < STAGES; stage++)
        if (stages & 1u << stage) {
            go_to(line, STAGE_COLUMN);
            put(line, stage_name((enum stage)stage));
        }
}

/* "[list zen.example]" */
static void print_heading(struct line *line, const char *section, struct str name)
{
    char quoted[CONFIG_QUOTED_MAX];

    put(line, "#");
    go_to(line, STAGE_COLUMN);
    put(line, "[");
    put(line, section);
    put(line, " ");
    put(line, config_quote(quoted, name));
    put(line, "]");
}

static void print_items(const struct config *config, const struct repeated *list, FILE *out)
{
    const struct section_list *items =
        (const struct section_list *)(const void *)((const char *)&config->policy + list->offset);

    for (size_t i = 0; i < items->n; i++) {
        const char *item = (const char *)items->item + list->item_size * i;
        struct line line = { .out = out };

        print_heading(&line, list->section, *(const struct str *)(const void *)item);
        print_rows(&line, list->rows, list->rows_n, item);
    }
    if (items->n == 0) {
        struct line line = { .out = out };

        print_heading(&line, list->section, STR("NAME"));
        fputs(" none\n", out);
    }
}

void config_print_checks(const struct config *config, FILE *out)
{
    fputs("# checks, in the order of judgement: name, when, modes and bounds\n", out);
    for (size_t i = 0; i < policy_checks_n; i++) {
        const struct check *check = policy_checks[i];
        struct line line = { .out = out };

        put(&line, "#");
        go_to(&line, NAME_COLUMN);
        put(&line, check->name);
        print_stages(&line, check->stages);
        print_rows(&line, check->options, check->options_n, (const char *)&config->policy);
        for (size_t k = 0; k < check->lists_n; k++)
            print_items(config, &check->lists[k], out);
    }
}
