#include "explain.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "explain_parts.h"

enum { EXIT_ACCEPT = 0, EXIT_REJECT = 1, EXIT_TEMPFAIL = 2 };

void explain_reply(const struct verdict *v, char *out, size_t size)
{
    if (v->code == 0)
        snprintf(out, size, "250");
    else
        snprintf(out, size, "%d %s%s%.*s", v->code, v->enhanced, v->enhanced[0] != '\0' ? " " : "", STR_ARG(v->text));
}

/* Nothing touches the network: what the file does not answer, nobody does. */
static void judge_with_facts(struct explanation *e)
{
    while (judge_run(&e->judge) == JUDGE_ASKS)
        for (size_t i = 0; i < e->judge.facts.n; i++)
            if (e->judge.facts.fact[i].state == FACT_UNKNOWN)
                judge_miss(&e->judge, i);
}

/* Said on stderr, so that the JSON stays what it is. */
static void tell_missing(const struct explanation *e)
{
    const struct judge *j = &e->judge;

    for (size_t i = 0; i < j->facts.n; i++)
        if (j->is_missing[i])
            fprintf(stderr, "postern: no answer for %s %.*s\n", ask_name(j->facts.fact[i].q.kind),
                    STR_ARG(j->facts.fact[i].q.key));
}

/* ---- --save-facts ---- */

/* Answers that came from outside: what was computed here is computed again from the same message. */
static bool is_worth_saving(const struct judge *j, size_t i)
{
    return j->facts.fact[i].state != FACT_UNKNOWN && !j->is_missing[i] && !j->is_computed[i];
}

static bool write_facts(const struct judge *j, FILE *out)
{
    enum { ROOM = 5 * FACTS_ROOM_BYTES + 64 * FACTS_ROOM_MAX }; /* escapes, names */
    struct fact table[FACTS_ROOM_MAX];
    struct facts kept = { .fact = table, .max = FACTS_ROOM_MAX + 1 };
    struct arena arena;
    char *room = malloc(ROOM);
    struct str text;
    bool ok;

    if (room == NULL)
        return false;
    for (size_t i = 0; i < j->facts.n; i++)
        if (is_worth_saving(j, i))
            table[kept.n++] = j->facts.fact[i];
    arena_init(&arena, room, ROOM);
    text = facts_dump(&kept, &arena);
    ok = text.p != NULL && fwrite(text.p, 1, text.n, out) == text.n;
    free(room);
    return ok;
}

static int save_facts(const struct explanation *e)
{
    FILE *out = fopen(e->options->save_facts, "w");
    bool ok = out != NULL && write_facts(&e->judge, out);

    if (out != NULL)
        ok = fclose(out) == 0 && ok;
    if (!ok)
        fprintf(stderr, "postern: cannot write %s: %s\n", e->options->save_facts, strerror(errno));
    return ok ? 0 : EX_CANTCREAT;
}

/* ---- the course of things ---- */

static int status_of(const struct verdict *v)
{
    if (v->action == ACTION_REJECT)
        return EXIT_REJECT;
    return v->action == ACTION_TEMPFAIL ? EXIT_TEMPFAIL : EXIT_ACCEPT;
}

static void begin(struct explanation *e)
{
    const struct judge_input input = {
        .config = e->config,
        .client = e->client,
        .helo = str_of(e->helo),
        .is_esmtp = true,
        .is_tls = e->options->is_tls,
        .is_authenticated = e->options->is_authenticated,
        .is_smtputf8 = e->mail_from.is_utf8,
        .mail_from = &e->mail_from,
        .rcpt = e->rcpt,
        .rcpts = e->options->rcpts,
        .message = e->has_message ? &e->message : NULL,
        .known = e->options->facts != NULL ? &e->known : NULL,
        .geo = e->geo,
        .now = e->now,
    };

    judge_begin(&e->judge, &input);
    for (size_t i = 0; i < input.rcpts; i++)
        e->judge.in.is_smtputf8 = e->judge.in.is_smtputf8 || e->rcpt[i].is_utf8;
}

static int judge_and_tell(struct explanation *e)
{
    int status = 0;

    if (e->options->facts == NULL)
        e->geo = geoip_open(&e->config->policy.geo);
    begin(e);
    if (e->options->facts != NULL) {
        judge_with_facts(e);
    } else if (!explain_judge_live(e)) {
        fprintf(stderr, "postern: no DNS resolver can be had; --facts FILE needs none\n");
        return EX_OSERR;
    }
    if (e->options->json) {
        tell_missing(e);
        explain_print_json(e, stdout);
    } else {
        explain_print_text(e, stdout);
    }
    if (e->options->save_facts != NULL)
        status = save_facts(e);
    return status != 0 ? status : status_of(&e->judge.verdict);
}

int explain_run(const struct explain_options *options, const char *default_config)
{
    struct explanation *e = calloc(1, sizeof *e);
    int status;

    if (e == NULL)
        return EX_OSERR;
    e->options = options;
    status = explain_read(e, default_config);
    if (status == 0)
        status = judge_and_tell(e);
    explain_drop(e);
    free(e);
    return status;
}
