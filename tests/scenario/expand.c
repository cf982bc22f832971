#include "expand.h"

#include <stdio.h>

#include "steps.h"

static void print_string(struct str s)
{
    putchar('"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* The steps that are settings, or those that are none. */
static bool print_steps(const struct scenario *scenario, bool settings)
{
    struct bytes rest = { 0 };
    bool ok = true;
    const char *comma = "";

    for (size_t i = 0; ok && i < scenario->steps; i++) {
        const struct step *step = &scenario->step[i];
        const char *word = NULL;
        bool is_setting = false;

        ok = step_read(step->text, &word, &is_setting, &rest);
        if (!ok)
            fprintf(stderr, "%s:%d: no such step: %s\n", step->file, step->line, step->text);
        if (!ok || is_setting != settings)
            continue;
        printf("%s[%d,\"%s\",", comma, step->line, word);
        print_string(bytes_all(&rest));
        putchar(']');
        comma = ",";
    }
    bytes_free(&rest);
    return ok;
}

bool expand_print(const struct scenario *scenario)
{
    bool ok;

    printf("{\"title\":");
    print_string(str_of(scenario->title));
    printf(",\"file\":");
    print_string(str_of(scenario->file));
    printf(",\"line\":%d,\"settings\":[", scenario->line);
    ok = print_steps(scenario, true);
    printf("],\"steps\":[");
    ok = ok && print_steps(scenario, false);
    printf("]}\n");
    return ok;
}
