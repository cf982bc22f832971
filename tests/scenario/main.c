/* Plays scenario scripts against the session machine: both wires, time and servers in memory, no ports, no
 * sleeps.
 *
 *     scenarios [--only TEXT] [--no-cuts] [--no-oom] [--thorough] [--trace] [--brief] [FILE...]
 *     scenarios --expand [--only TEXT] [FILE...]     prints them as JSON, for players on real wires (expand.h)
 *
 * Run in the project's folder; without FILE it plays every script in tests/scenario. Every scenario is
 * played as written; then with all input one octet at a time, and cut in two at each single octet (bounded):
 * the wires must be the same. Then with something striking at such a cut: the sender is reset or closes, all
 * fall silent, Postern is told to stop. Then once for each allocation of the product with that one failing,
 * and with all from there on failing. Whatever is said in these, nothing crashes, leaks or hangs, and the
 * oracle stays content.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"
#include "expand.h"
#include "steps.h"

#define FOLDER "tests/scenario"

enum {
    RUNS_MAX = 250,                   /* per scenario and kind; longer ones are cut at every n-th octet */
    STRIKES = 10,                     /* the same for what strikes; --thorough: RUNS_MAX */
    OCTETS_MAX = 1000000,             /* played per scenario in cut runs: large messages are cut more rarely */
    OOM_OCTETS_MAX = 20 * OCTETS_MAX, /* the same for allocations that fail */
    TRANSCRIPT_LINES = 24
};

static struct {
    const char *only;
    bool no_cuts, no_oom, thorough, trace, brief, expand;
} options;

/* The last lines of the transcript. */
static void print_tail(struct str text)
{
    size_t from = text.n, lines = 0;

    while (from > 0 && lines <= TRANSCRIPT_LINES)
        lines += text.p[--from] == '\n';
    if (from > 0)
        from++;
    printf("%.*s", STR_ARG(str_skip(text, from)));
}

/* Plays a failed run again, keeping the transcript. */
static void report(const struct play *failed, const char *how)
{
    struct play again = { .scenario = failed->scenario,
                          .cut = failed->cut,
                          .cut_at = failed->cut_at,
                          .no_memory = failed->no_memory,
                          .tells = true };

    printf("FAILED: %s%s\n%.*s\n", failed->scenario->title, how, STR_ARG(bytes_all(&failed->failure)));
    if (options.brief)
        return;
    play_run(&again);
    print_tail(bytes_all(&again.transcript));
    play_free(&again);
}

static bool same_wires(struct play *a, struct play *b)
{
    return str_eq(bytes_all(&a->world.north.sent), bytes_all(&b->world.north.sent)) &&
           (a->south_varies || str_eq(bytes_all(&a->world.south.sent), bytes_all(&b->world.south.sent)));
}

/* One run with other segments than `as_written`, or with something striking at octet `at`. */
static bool play_cut(struct play *as_written, enum cut cut, size_t at)
{
    static const char *const how[] = {
        [CUT_EVERYWHERE] = "one octet at a time", [CUT_ONCE] = "cut",
        [CUT_RESET] = "the sender is reset",      [CUT_CLOSE] = "the sender closes",
        [CUT_SILENCE] = "all fall silent",        [CUT_DRAIN] = "drain",
    };
    struct play p = { .scenario = as_written->scenario, .cut = cut, .cut_at = at };
    char text[80];
    bool ok;

    play_run(&p);
    if (p.failure.n == 0 && cut <= CUT_ONCE && !same_wires(as_written, &p))
        bytes_printf(&p.failure, "%s:%d: the wires differ from the run as written", p.scenario->file, p.scenario->line);
    ok = p.failure.n == 0;
    snprintf(text, sizeof text, at > 0 ? " [%s at octet %zu]" : " [%s]", how[cut], at);
    if (!ok)
        report(&p, text);
    play_free(&p);
    return ok;
}

/* Every `step`-th octet, so that at most `runs` are tried, and fewer of a large message. */
static bool play_cuts(struct play *as_written, enum cut cut, size_t runs)
{
    size_t octets = as_written->octets;
    size_t step = octets / runs + octets / 1000 * octets / (OCTETS_MAX / 1000) + 1;

    for (size_t at = 1; at < octets; at += step)
        if (!play_cut(as_written, cut, at))
            return false;
    return true;
}

static bool play_strikes(struct play *as_written)
{
    size_t runs = options.thorough ? RUNS_MAX : STRIKES;

    return play_cuts(as_written, CUT_RESET, runs) && play_cuts(as_written, CUT_CLOSE, runs) &&
           play_cuts(as_written, CUT_SILENCE, runs) && play_cuts(as_written, CUT_DRAIN, runs);
}

static bool play_without_memory(const struct scenario *scenario, size_t k, bool all_after)
{
    struct play p = { .scenario = scenario, .no_memory = true };
    char how[64];
    bool ok;

    alloc_fail_at(k, all_after);
    play_run(&p);
    ok = p.failure.n == 0;
    snprintf(how, sizeof how, " [allocation %zu%s fails]", k, all_after ? " and later" : "");
    if (!ok) {
        alloc_fail_at(k, all_after);
        report(&p, how);
    }
    alloc_fail_at(0, false);
    play_free(&p);
    return ok;
}

static bool play_oom(const struct scenario *scenario, size_t allocations, size_t octets)
{
    size_t step = allocations / RUNS_MAX + allocations * (octets / 1000) / (OOM_OCTETS_MAX / 1000) + 1;

    for (size_t k = 1; k <= allocations; k += step)
        if (!play_without_memory(scenario, k, false) || !play_without_memory(scenario, k, true))
            return false;
    return true;
}

static bool play_scenario(const struct scenario *scenario)
{
    struct play p = { .scenario = scenario, .tells = options.trace };
    size_t allocations;
    bool ok;

    alloc_fail_at(0, false);
    play_run(&p);
    allocations = alloc_count();
    ok = p.failure.n == 0;
    if (options.trace)
        printf("--- %s\n%.*s%.*s    %zu allocations\n", scenario->title, STR_ARG(bytes_all(&p.transcript)),
               STR_ARG(bytes_all(&p.world.log)), allocations);
    if (!ok)
        report(&p, "");
    else if (!options.no_cuts && !p.whole)
        ok = play_cut(&p, CUT_EVERYWHERE, 0) && play_cuts(&p, CUT_ONCE, RUNS_MAX);
    if (ok && !options.no_cuts)
        ok = play_strikes(&p);
    if (ok && !options.no_oom)
        ok = play_oom(scenario, allocations, p.octets);
    play_free(&p);
    return ok;
}

static bool is_wanted(const struct scenario *scenario)
{
    return options.only == NULL || strstr(scenario->title, options.only) != NULL;
}

static int expand_all(const struct script *script)
{
    for (size_t i = 0; i < script->n; i++)
        if (is_wanted(&script->scenario[i]) && !expand_print(&script->scenario[i]))
            return 1;
    return 0;
}

static int play_all(const struct script *script)
{
    int passed = 0, failed = 0, skipped = 0;

    for (size_t i = 0; i < script->n; i++) {
        const struct scenario *scenario = &script->scenario[i];

        if (!is_wanted(scenario))
            skipped++;
        else if (play_scenario(scenario))
            passed++;
        else
            failed++;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

/* The options in front; returns the index of the first file, or 0 when one is unknown. */
static int read_options(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            options.only = argv[++i];
        else if (strcmp(argv[i], "--no-cuts") == 0)
            options.no_cuts = true;
        else if (strcmp(argv[i], "--no-oom") == 0)
            options.no_oom = true;
        else if (strcmp(argv[i], "--trace") == 0)
            options.trace = true;
        else if (strcmp(argv[i], "--thorough") == 0)
            options.thorough = true;
        else if (strcmp(argv[i], "--brief") == 0)
            options.brief = true;
        else if (strcmp(argv[i], "--expand") == 0)
            options.expand = true;
        else
            return 0;
    }
    return i;
}

static int is_script(const struct dirent *entry)
{
    struct str name = str_of(entry->d_name);

    return str_iends(name, STR(".txt")) && !str_eq(name, STR("words.txt"));
}

static bool load_folder(struct script *script)
{
    struct dirent **entry = NULL;
    int n = scandir(FOLDER, &entry, is_script, alphasort);
    bool ok = n >= 0;

    for (int i = 0; i < n; i++) {
        char path[300];

        snprintf(path, sizeof path, "%s/%.250s", FOLDER, entry[i]->d_name);
        ok = ok && script_load(script, path);
        free(entry[i]);
    }
    free(entry);
    return ok;
}

/* The files named, or all there are; the common words first. */
static bool load_all(struct script *script, char **file, int n)
{
    if (!script_load(script, FOLDER "/words.txt"))
        return false;
    if (n == 0)
        return load_folder(script);
    for (int i = 0; i < n; i++)
        if (!script_load(script, file[i]))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct script script = { 0 };
    int first = read_options(argc, argv);
    int status = 2;

    if (first == 0) {
        fprintf(
            stderr,
            "usage: %s [--only TEXT] [--no-cuts] [--no-oom] [--thorough] [--trace] [--brief] [--expand] [FILE...]\n",
            argv[0]);
        return 2;
    }
    if (load_all(&script, argv + first, argc - first))
        status = options.expand ? expand_all(&script) : play_all(&script);
    script_free(&script);
    world_forget_configs();
    return status;
}
