/* Scenario scripts: text files of scenarios, expanded into plain steps (the language is described in
 * README.md).
 *
 * Here live the parts of the language that are not about mail: comments, `define`/`use`, `repeat` and
 * `table`. What a step means is steps.c's business.
 */
#ifndef SCENARIO_SCRIPT_H
#define SCENARIO_SCRIPT_H

#include "bytes.h"

struct step {
    const char *file;
    int line;
    char *text; /* trimmed, macros and {names} filled in */
};

struct scenario {
    char *title;
    const char *file;
    int line;
    struct step *step;
    size_t steps;
};

struct script {
    struct scenario *scenario;
    size_t n;
    struct define *define;
    size_t defines;
    char **file; /* names, for the steps */
    size_t files;
    struct line_of_script *line; /* owned text of all files */
    size_t lines;
};

/* Adds the scenarios and definitions of a file. False, with a message on stderr, when it cannot be read or
 * understood.
 */
bool script_load(struct script *, const char *path);
void script_free(struct script *);

#endif
