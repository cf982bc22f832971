/* What is judged, as `postern check` tells it: each check with its stages, its modes and its bounds, in the order of judgement,
 * in lines that an ini takes for comments. All of it comes from the checks' rows.
 */
#include "config_parts.h"

enum { NAME_COLUMNS = 16, STAGE_COLUMNS = 24 };

static bool is_mode(const struct option *row)
{
    return row->type == OPTION_CHOICE || row->type == OPTION_BOOL;
}

static bool is_bound(const struct option *row)
{
    return row->type == OPTION_NUMBER || row->type == OPTION_BYTES || row->type == OPTION_SECONDS;
}

/* " mode = reject, weight = 3 points" */
static void print_rows(const struct option *rows, size_t n, const char *base, FILE *out)
{
    const char *separator = "";

    for (size_t i = 0; i < n; i++) {
        if (!is_mode(&rows[i]) && !is_bound(&rows[i]))
            continue;
        fprintf(out, "%s %s =", separator, rows[i].key);
        config_value_print(&rows[i], base + rows[i].offset, out);
        if (rows[i].type == OPTION_NUMBER && rows[i].unit != NULL)
            fprintf(out, " %s", rows[i].unit);
        separator = ",";
    }
    fputc('\n', out);
}

static void print_stages(const struct check *check, FILE *out)
{
    int column = 0;

    for (int stage = 0; stage < STAGES; stage++)
        if (check->stages & 1u << stage)
            column += fprintf(out, "%s%s", column > 0 ? " " : "", stage_name((enum stage)stage));
    fprintf(out, "%*s", column < STAGE_COLUMNS ? STAGE_COLUMNS - column : 1, "");
}

static void print_items(const struct config *config, const struct repeated *list, FILE *out)
{
    const struct section_list *items =
        (const struct section_list *)(const void *)((const char *)&config->policy + list->offset);

    for (size_t i = 0; i < items->n; i++) {
        const char *item = (const char *)items->item + list->item_size * i;
        const struct str *name = (const struct str *)(const void *)item;

        fprintf(out, "#   %*s[%s %.*s]", NAME_COLUMNS, "", list->section, STR_ARG(*name));
        print_rows(list->rows, list->rows_n, item, out);
    }
    if (items->n == 0)
        fprintf(out, "#   %*s[%s NAME] none\n", NAME_COLUMNS, "", list->section);
}

void config_print_checks(const struct config *config, FILE *out)
{
    fputs("# checks, in the order of judgement: name, when, modes and bounds\n", out);
    for (size_t i = 0; i < policy_checks_n; i++) {
        const struct check *check = policy_checks[i];

        fprintf(out, "#   %-*s", NAME_COLUMNS, check->name);
        print_stages(check, out);
        print_rows(check->options, check->options_n, (const char *)&config->policy, out);
        for (size_t k = 0; k < check->lists_n; k++)
            print_items(config, &check->lists[k], out);
    }
}
