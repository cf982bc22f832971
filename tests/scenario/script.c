#include "script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* One line of a file, comment and outer blanks removed; empty ones are not kept. */
struct line_of_script {
    const char *file;
    int number;
    char *text;
};

/* A named run of lines: of steps for `use`, of rows for `table`. */
struct define {
    const char *name;
    size_t first, end;
};

enum { CELLS_MAX = 10, DEPTH_MAX = 20 };

/* What {names} stand for while lines are expanded: a row of a table, the arguments of a `use`, the count of
 * a `repeat`.
 */
struct values {
    const struct values *outer;
    struct str name[CELLS_MAX], value[CELLS_MAX];
    size_t n;
};

static bool complain(const struct line_of_script *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool complain(const struct line_of_script *line, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: ", line->file, line->number);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    return false;
}

/* ---- lines ---- */

/* A comment starts with '#' at the front, or with "  # " behind something. */
static struct str without_comment(struct str text)
{
    text = str_trim(text);
    if (text.n > 0 && text.p[0] == '#')
        return STR("");
    text.n = str_search(text, STR("  # "));
    return str_trim(text);
}

static void add_line(struct script *script, const char *file, int number, struct str text)
{
    text = without_comment(text);
    if (text.n == 0)
        return;
    script->line = must_grow(script->line, (script->lines + 1) * sizeof *script->line);
    script->line[script->lines++] = (struct line_of_script){ file, number, must_copy(text) };
}

static bool read_lines(struct script *script, const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;
    ssize_t n;
    int number = 0;
    char *name;

    if (f == NULL) {
        perror(path);
        return false;
    }
    name = must_copy(str_of(path));
    script->file = must_grow(script->file, (script->files + 1) * sizeof *script->file);
    script->file[script->files++] = name;
    while ((n = getline(&text, &size, f)) >= 0) {
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        add_line(script, name, ++number, str_from(text, (size_t)n));
    }
    free(text);
    fclose(f);
    return true;
}

/* ---- words and {names} ---- */

/* The rest of the line behind `word` and a blank (or nothing); false when it starts otherwise. */
static bool starts_with(const char *text, const char *word, struct str *rest)
{
    size_t n = strlen(word);

    if (strncmp(text, word, n) != 0 || (text[n] != ' ' && text[n] != '\0'))
        return false;
    *rest = str_trim(str_of(text + n));
    return true;
}

/* Cuts "a | b | c" into trimmed cells. */
static size_t cut_cells(struct str text, struct str cell[CELLS_MAX])
{
    size_t n = 0;

    while (n < CELLS_MAX) {
        size_t bar = str_search(text, STR(" |"));

        cell[n++] = str_trim(str_from(text.p, bar));
        if (bar == text.n)
            break;
        text = str_skip(text, bar + 2);
    }
    return n;
}

static const struct str *find_value(const struct values *values, struct str name)
{
    for (; values != NULL; values = values->outer)
        for (size_t i = 0; i < values->n; i++)
            if (str_eq(values->name[i], name))
                return &values->value[i];
    return NULL;
}

/* A copy of `text` with each known {name} replaced; unknown braces stay. */
static char *fill_in(struct str text, const struct values *values)
{
    struct bytes out = { 0 };
    char *copy;

    while (text.n > 0) {
        size_t open = str_find(text, '{');
        struct str rest = str_skip(text, open);
        size_t close = str_find(rest, '}');
        const struct str *value = close < rest.n ? find_value(values, str_from(rest.p + 1, close - 1)) : NULL;

        bytes_put(&out, str_from(text.p, open));
        if (value != NULL)
            bytes_put(&out, *value);
        else if (rest.n > 0)
            bytes_put(&out, str_from(rest.p, 1));
        text = str_skip(text, open + (value != NULL ? close + 1 : rest.n > 0));
    }
    copy = must_copy(str_trim(bytes_all(&out)));
    bytes_free(&out);
    return copy;
}

/* ---- blocks ---- */

static const struct define *find_define(const struct script *script, struct str name)
{
    for (size_t i = 0; i < script->defines; i++)
        if (str_eq(str_of(script->define[i].name), name))
            return &script->define[i];
    return NULL;
}

/* A table opens a block unless it names a definition. */
static bool opens_block(const struct script *script, const char *text)
{
    struct str rest;

    if (starts_with(text, "table:", &rest))
        return find_define(script, rest) == NULL;
    return starts_with(text, "define", &rest) || starts_with(text, "repeat", &rest);
}

/* The line of the `end` that closes the block opened at `i`; `end` when there is none. */
static size_t block_end(const struct script *script, size_t i, size_t end)
{
    int depth = 0;

    for (; i < end; i++) {
        if (opens_block(script, script->line[i].text))
            depth++;
        else if (strcmp(script->line[i].text, "end") == 0 && --depth == 0)
            return i;
    }
    return end;
}

static bool add_define(struct script *script, size_t at, struct str name, size_t *next)
{
    size_t end = block_end(script, at, script->lines);

    if (end == script->lines)
        return complain(&script->line[at], "`define` without `end`");
    if (find_define(script, name) != NULL)
        return complain(&script->line[at], "defined twice");
    script->define = must_grow(script->define, (script->defines + 1) * sizeof *script->define);
    script->define[script->defines++] = (struct define){ name.p, at + 1, end };
    *next = end + 1;
    return true;
}

/* ---- expansion ---- */

static void add_step(struct scenario *scenario, const struct line_of_script *line, char *text)
{
    scenario->step = must_grow(scenario->step, (scenario->steps + 1) * sizeof *scenario->step);
    scenario->step[scenario->steps++] = (struct step){ line->file, line->number, text };
}

static bool expand(const struct script *, size_t first, size_t end, const struct values *, struct scenario *,
                   int depth);

/* "use NAME a | b": the lines of NAME with {1}, {2} ... NAME may come from a table itself. */
static bool expand_use(const struct script *script, const struct line_of_script *line, struct str rest,
                       const struct values *outer, struct scenario *scenario, int depth)
{
    static const char *const digits[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9" };
    char *filled = fill_in(rest, outer);
    size_t name_n = str_find(str_of(filled), ' ');
    const struct define *define = find_define(script, str_from(filled, name_n));
    struct str arguments = str_trim(str_skip(str_of(filled), name_n));
    struct values values = { .outer = outer };
    bool ok = define != NULL && depth <= DEPTH_MAX;

    if (!ok)
        complain(line, "no definition to use: %s", filled);
    values.n = arguments.n == 0 ? 0 : cut_cells(arguments, values.value);
    for (size_t i = 0; i < values.n && i < 9; i++)
        values.name[i] = str_of(digits[i]);
    ok = ok && expand(script, define->first, define->end, &values, scenario, depth + 1);
    free(filled);
    return ok;
}

/* "repeat N" ... "end": the lines N times, {n} counting from 1. */
static bool expand_repeat(const struct script *script, size_t first, size_t end, struct str times,
                          const struct values *outer, struct scenario *scenario, int depth)
{
    unsigned long long n = 0;

    if (!str_to_u64(times, 1000000, &n) || depth > DEPTH_MAX)
        return complain(&script->line[first], "`repeat` wants a number");
    for (unsigned long long i = 1; i <= n; i++) {
        char count[24];
        struct values values = { .outer = outer, .name = { STR("n") }, .n = 1 };

        snprintf(count, sizeof count, "%llu", i);
        values.value[0] = str_of(count);
        if (!expand(script, first + 1, end, &values, scenario, depth + 1))
            return false;
    }
    return true;
}

static bool expand(const struct script *script, size_t first, size_t end, const struct values *values,
                   struct scenario *scenario, int depth)
{
    for (size_t i = first; i < end; i++) {
        const struct line_of_script *line = &script->line[i];
        struct str rest;

        if (starts_with(line->text, "use", &rest)) {
            if (!expand_use(script, line, rest, values, scenario, depth))
                return false;
        } else if (starts_with(line->text, "repeat", &rest)) {
            size_t close = block_end(script, i, end);

            if (close == end || !expand_repeat(script, i, close, rest, values, scenario, depth))
                return complain(line, "in this block");
            i = close;
        } else {
            add_step(scenario, line, fill_in(str_of(line->text), values));
        }
    }
    return true;
}

/* ---- scenarios and their tables ---- */

static struct scenario *new_scenario(struct script *script, const struct line_of_script *line, char *title)
{
    script->scenario = must_grow(script->scenario, (script->n + 1) * sizeof *script->scenario);
    script->scenario[script->n] = (struct scenario){ .title = title, .file = line->file, .line = line->number };
    return &script->scenario[script->n++];
}

struct table {
    struct str name[CELLS_MAX];
    size_t names;
    size_t first, end; /* rows */
    size_t at, behind; /* its own lines in the scenario */
};

/* "table: a | b" rows "end", or "table: NAME" of a definition whose first line names the columns. */
static bool find_table(const struct script *script, size_t at, size_t end, struct table *table)
{
    const struct line_of_script *line = &script->line[at];
    const struct define *define;
    struct str rest;

    if (!starts_with(line->text, "table:", &rest))
        return complain(line, "not a table");
    define = find_define(script, rest);
    if (define != NULL) {
        table->names = cut_cells(str_of(script->line[define->first].text), table->name);
        table->first = define->first + 1;
        table->end = define->end;
        table->at = at;
        table->behind = at + 1;
        return true;
    }
    table->names = cut_cells(rest, table->name);
    table->first = at + 1;
    table->end = block_end(script, at, end);
    table->at = at;
    table->behind = table->end + 1;
    return table->end < end || complain(line, "table without `end`");
}

/* One scenario from the lines behind `at`, those of its table left out. A title that names no column gets
 * the first cell.
 */
static bool add_scenario(struct script *script, struct str title, size_t at, size_t end, const struct table *table,
                         const struct values *row)
{
    struct bytes name = { 0 };
    struct scenario *scenario;
    char *filled = fill_in(title, row);

    bytes_put(&name, str_of(filled));
    if (row != NULL && str_eq(bytes_all(&name), title))
        bytes_printf(&name, ": %.*s", STR_ARG(row->value[0]));
    free(filled);
    scenario = new_scenario(script, &script->line[at], must_copy(bytes_all(&name)));
    bytes_free(&name);
    if (table == NULL)
        return expand(script, at + 1, end, row, scenario, 0);
    return expand(script, at + 1, table->at, row, scenario, 0) && expand(script, table->behind, end, row, scenario, 0);
}

static bool add_rows(struct script *script, struct str title, size_t at, size_t end, const struct table *table)
{
    for (size_t i = table->first; i < table->end; i++) {
        struct values row = { .n = table->names };

        memcpy(row.name, table->name, sizeof row.name);
        if (cut_cells(str_of(script->line[i].text), row.value) != table->names)
            return complain(&script->line[i], "the row has not as many cells as the table has names");
        if (!add_scenario(script, title, at, end, table, &row))
            return false;
    }
    return true;
}

static bool is_scenario(const char *text)
{
    struct str rest;

    return starts_with(text, "scenario:", &rest);
}

static bool take_scenario(struct script *script, size_t at, struct str title, size_t *next)
{
    struct table table = { 0 };
    struct str rest;
    size_t end = at + 1, table_at = 0;

    while (end < script->lines && !is_scenario(script->line[end].text) &&
           !starts_with(script->line[end].text, "define", &rest)) {
        if (table_at == 0 && starts_with(script->line[end].text, "table:", &rest))
            table_at = end;
        end++;
    }
    *next = end;
    if (table_at == 0)
        return add_scenario(script, title, at, end, NULL, NULL);
    return find_table(script, table_at, end, &table) && add_rows(script, title, at, end, &table);
}

bool script_load(struct script *script, const char *path)
{
    size_t i = script->lines;
    struct str rest;

    if (!read_lines(script, path))
        return false;
    while (i < script->lines) {
        const struct line_of_script *line = &script->line[i];
        bool ok = starts_with(line->text, "define", &rest)      ? add_define(script, i, rest, &i)
                  : starts_with(line->text, "scenario:", &rest) ? take_scenario(script, i, rest, &i)
                                                                : complain(line, "outside of a scenario");

        if (!ok)
            return false;
    }
    return true;
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < script->n; i++) {
        for (size_t j = 0; j < script->scenario[i].steps; j++)
            free(script->scenario[i].step[j].text);
        free(script->scenario[i].step);
        free(script->scenario[i].title);
    }
    for (size_t i = 0; i < script->lines; i++)
        free(script->line[i].text);
    for (size_t i = 0; i < script->files; i++)
        free(script->file[i]);
    free(script->scenario);
    free(script->define);
    free(script->line);
    free(script->file);
}
