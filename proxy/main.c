/* The command line: one row per sub-command. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "check.h"
#include "explain.h"
#include "replay.h"
#include "server.h"
#include "sink.h"

#define DEFAULT_CONFIG "/etc/postern/postern.ini"

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv, const struct subcommand *);
    const char *help;  /* one line */
    const char *usage; /* printed by --help and after wrong use */
};

static int help(const struct subcommand *self)
{
    printf("%s\n\n%s", self->help, self->usage);
    return EXIT_SUCCESS;
}

static int wrong_use(const struct subcommand *self)
{
    fprintf(stderr, "Try 'postern %s --help'.\n", self->name);
    return EX_USAGE;
}

/* getopt_long has said what it did not understand; words that are no options are left for us. */
static bool has_words_left(int argc, char **argv)
{
    if (optind < argc)
        fprintf(stderr, "postern: '%s' means nothing here\n", argv[optind]);
    return optind < argc;
}

/* ---- run ---- */

static bool can_export_keys(void)
{
#ifdef POSTERN_KEYLOG
    return true;
#else
    fprintf(stderr, "postern: this build exports no keys\n");
    return false;
#endif
}

static int run(int argc, char **argv, const struct subcommand *self)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "keylog", required_argument, NULL, 'k' },
        { "record", required_argument, NULL, 'r' }, { "record-file", required_argument, NULL, 'f' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    struct server_options wish = { .config = DEFAULT_CONFIG };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'h')
            return help(self);
        if (c == 'c')
            wish.config = optarg;
        else if (c == 'k' && can_export_keys())
            wish.keylog = optarg;
        else if (c == 'r')
            wish.record = optarg;
        else if (c == 'f')
            wish.record_file = optarg;
        else
            return wrong_use(self);
    }
    return has_words_left(argc, argv) ? wrong_use(self) : server_run(&wish);
}

/* ---- check ---- */

static int check(int argc, char **argv, const struct subcommand *self)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "defaults", no_argument, NULL, 'd' },
        { "manual", no_argument, NULL, 'm' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *config = DEFAULT_CONFIG;
    int c, what = 'c';

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == '?')
            return wrong_use(self);
        if (c == 'c')
            config = optarg;
        what = c;
    }
    if (what != 'h' && has_words_left(argc, argv))
        return wrong_use(self);
    if (what == 'h')
        return help(self);
    if (what == 'c')
        return check_file(config);
    if (what == 'd')
        check_print_defaults();
    else
        check_print_manual();
    return EXIT_SUCCESS;
}

/* ---- explain ---- */

/* Where an option's word goes; NULL: it takes none of these. */
static const char **explain_place(struct explain_options *wish, int c)
{
    switch (c) {
    case 'c': return &wish->config;
    case 'i': return &wish->ip;
    case 'H': return &wish->helo;
    case 'f': return &wish->mail_from;
    case 'F': return &wish->facts;
    case 'S': return &wish->save_facts;
    case 'n': return &wish->now;
    default: return NULL;
    }
}

static bool explain_option(struct explain_options *wish, int c)
{
    const char **place = explain_place(wish, c);

    if (place != NULL)
        *place = optarg;
    else if (c == 'r' && wish->rcpts < EXPLAIN_RCPTS_MAX)
        wish->rcpt[wish->rcpts++] = optarg;
    else if (c == 't')
        wish->is_tls = true;
    else if (c == 'a')
        wish->is_authenticated = true;
    else if (c == 'j')
        wish->json = true;
    else
        return false;
    return true;
}

static int explain(int argc, char **argv, const struct subcommand *self)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "ip", required_argument, NULL, 'i' },
        { "helo", required_argument, NULL, 'H' },
        { "mail-from", required_argument, NULL, 'f' },
        { "rcpt", required_argument, NULL, 'r' },
        { "facts", required_argument, NULL, 'F' },
        { "save-facts", required_argument, NULL, 'S' },
        { "now", required_argument, NULL, 'n' },
        { "tls", no_argument, NULL, 't' },
        { "authenticated", no_argument, NULL, 'a' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct explain_options wish = { .config = NULL };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'h')
            return help(self);
        if (!explain_option(&wish, c))
            return wrong_use(self);
    }
    if (optind < argc)
        wish.message = argv[optind++];
    return has_words_left(argc, argv) ? wrong_use(self) : explain_run(&wish, DEFAULT_CONFIG);
}

/* ---- replay ---- */

static int replay(int argc, char **argv, const struct subcommand *self)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "all", no_argument, NULL, 'a' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct replay_options wish = { .config = DEFAULT_CONFIG };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'h')
            return help(self);
        if (c == 'c')
            wish.config = optarg;
        else if (c == 'a')
            wish.all = true;
        else if (c == 'j')
            wish.json = true;
        else
            return wrong_use(self);
    }
    if (optind == argc) {
        fprintf(stderr, "postern: replay needs a file of records\n");
        return wrong_use(self);
    }
    wish.records = argv[optind++];
    return has_words_left(argc, argv) ? wrong_use(self) : replay_run(&wish);
}

/* ---- sink ---- */

static int sink(int argc, char **argv, const struct subcommand *self)
{
    static const struct option options[] = {
        { "listen", required_argument, NULL, 'l' },
        { "dir", required_argument, NULL, 'd' },
        { "refuse-rcpt", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct sink_options wish = { .listen = "127.0.0.1:2525" };
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return help(self);
        if (c == 'l')
            wish.listen = optarg;
        else if (c == 'd')
            wish.dir = optarg;
        else if (c == 'r' && wish.refused_n < SINK_REFUSED_MAX)
            wish.refused[wish.refused_n++] = optarg;
        else
            return wrong_use(self);
    }
    return has_words_left(argc, argv) ? wrong_use(self) : sink_run(&wish);
}

/* ---- all ---- */

static const struct subcommand subcommands[] = {
    { "run", run, "Serve.",
      "Usage: postern run [-c FILE] [--record N] [--record-file FILE]\n\n"
      "  -c, --config FILE       the configuration; " DEFAULT_CONFIG " by default\n"
      "      --record N          keep the last N transactions of each worker in memory, for 'postern replay'\n"
      "      --record-file FILE  where SIGUSR2 writes them; both go before [record] of the configuration\n"
#ifdef POSTERN_KEYLOG
      "      --keylog FILE       write TLS secrets for reading captures (test builds only)\n"
#endif
      "\nSIGHUP reads the configuration again, SIGTERM lets sessions finish and stops, a second one stops at once.\n"
      "SIGUSR2 writes the recorded transactions.\n" },
    { "check", check, "Check a configuration: print what is in force, and prove that it fits its memory.",
      "Usage: postern check [-c FILE] [--defaults | --manual]\n\n"
      "  -c, --config FILE   the configuration; " DEFAULT_CONFIG " by default\n"
      "      --defaults      print a configuration with all keys, their defaults and what they mean\n"
      "      --manual        print the same as the body of the manual postern.ini(5)\n\n"
      "Exit status: 0 when it is good, 78 when not.\n" },
    { "explain", explain, "Judge one message as the gateway would, and tell why.",
      "Usage: postern explain [OPTION]... [MESSAGE]\n\n"
      "MESSAGE is a file, or - for standard input; without one the envelope alone is judged.\n\n"
      "  -c, --config FILE      the configuration; " DEFAULT_CONFIG ", or the presets where there is none\n"
      "      --ip ADDRESS       the client's address, and what it says in HELO and MAIL. What is left out is read "
      "from\n"
      "      --helo NAME        the newest Received field and from Return-Path of the message, when they are clear.\n"
      "      --mail-from ADDRESS\n"
      "      --rcpt ADDRESS     a recipient, may be repeated; without any: one that the relay rules let in\n"
      "      --tls              the client uses TLS\n"
      "      --authenticated    the client has logged in\n"
      "      --facts FILE       answers, one a line: TXT example.org OK \"v=spf1 -all\"; the network is not asked\n"
      "      --save-facts FILE  write the answers that were used, for --facts\n"
      "      --now TIME         seconds since 1970, 2026-11-22T12:00:00Z or a date as in a header; the present by "
      "default\n"
      "      --json             one JSON object\n\n"
      "Exit status: 0 accept or quarantine, 1 reject, 2 tempfail, 64 wrong use, 65 bad input, 78 bad "
      "configuration.\n" },
    { "replay", replay, "Judge recorded messages again, and tell which verdicts would change.",
      "Usage: postern replay [-c FILE] [--all] [--json] RECORDS\n\n"
      "RECORDS is what 'postern run --record' wrote, or - for standard input.\n\n"
      "  -c, --config FILE   the configuration to try; " DEFAULT_CONFIG " by default\n"
      "      --all           list also what stays as it was\n"
      "      --json          one JSON object a line\n\n"
      "Exit status: 0 nothing changes, 1 something does, 64 wrong use, 65 bad records, 78 bad configuration.\n" },
    { "sink", sink, "A tiny mail server for trials: takes every message and tells of it.",
      "Usage: postern sink [--listen ADDRESS:PORT] [--dir DIR] [--refuse-rcpt ADDRESS]...\n\n"
      "      --listen ADDRESS:PORT  127.0.0.1:2525 by default\n"
      "      --dir DIR              write message N to DIR/N.eml and its envelope to DIR/N.env\n"
      "      --refuse-rcpt ADDRESS  answer 550 to this recipient\n" },
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static void print_overview(FILE *out)
{
    fprintf(out, "Postern, an SMTP security gateway.\n\nUsage: postern COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %-7s %s\n", subcommands[i].name, subcommands[i].help);
    fprintf(out, "\n'postern COMMAND --help' tells more. 'postern --version' prints the version.\n");
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--version") == 0) {
        printf("postern " POSTERN_VERSION "\n");
        return EXIT_SUCCESS;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_overview(stdout);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(word, subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1, &subcommands[i]);
    if (argc > 1)
        fprintf(stderr, "postern: there is no command '%s'\n\n", word);
    print_overview(stderr);
    return EX_USAGE;
}
