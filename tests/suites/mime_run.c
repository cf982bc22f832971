/* The parts of messages, and what becomes of them with the default configuration, for tests/suites/mime.py.
 *
 *     mime_run INI FILE...
 *
 * For each file a line "file NAME", a line "part VALUE" for each value of the PARTS fact, and a line "verdict ACTION CHECK
 * REASON", where no name exists in the DNS. Each message is walked whole and octet by octet; a difference ends the run.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/judge.h"

enum { FILE_MAX = 1 << 24 };

struct walked {
    struct mime mime;
    struct facts facts;
    struct fact table[4];
    char memory[16384];
};

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "mime_run: %s: %s\n", name, what);
    exit(1);
}

static struct str read_file(const char *name)
{
    static char octets[FILE_MAX];
    FILE *file = fopen(name, "rb");
    size_t n = file != NULL ? fread(octets, 1, sizeof octets, file) : sizeof octets;

    if (n == sizeof octets)
        fail("cannot be read, or is too long", name);
    fclose(file);
    return str_from(octets, n);
}

static const struct fact *walk(struct walked *w, const struct judge_message *m, size_t piece)
{
    const struct mime_limits limits = { 100, 1000 };
    struct str rest = m->body;

    facts_init(&w->facts, w->table, 4, w->memory, sizeof w->memory);
    mime_begin(&w->mime, m->header, &limits);
    while (rest.n > 0) {
        struct str next = str_from(rest.p, piece < rest.n ? piece : rest.n);

        mime_add(&w->mime, next);
        rest = str_skip(rest, next.n);
    }
    mime_end(&w->mime, &w->facts);
    return facts_find(&w->facts, (struct question){ ASK_PARTS, MIME_PARTS_KEY });
}

static void tell_parts(const char *name, const struct judge_message *m)
{
    static struct walked whole, cut;
    const struct fact *a = walk(&whole, m, FILE_MAX), *b = walk(&cut, m, 1);

    if (a == NULL || b == NULL || a->n != b->n)
        fail("cut, it has other parts", name);
    for (size_t i = 0; i < a->n; i++) {
        if (!str_eq(a->value[i], b->value[i]))
            fail("cut, a part is told otherwise", name);
        printf("part %.*s\n", STR_ARG(a->value[i]));
    }
}

/* The sender can be answered; nothing else exists in the DNS. */
static void answer(struct facts *facts, struct question q)
{
    const struct str mx = STR("10 mail.sender.example");
    bool is_sender = q.kind == ASK_MX && str_eq(q.key, STR("sender.example"));

    facts_answer(facts, q, is_sender ? FACT_OK : FACT_NXDOMAIN, &mx, is_sender);
}

static void tell_verdict(const struct config *config, const struct judge_message *m)
{
    static struct judge judge;
    static char room[PATH_ROOM];
    struct path from;
    struct judge_input input = {
        .config = config, .helo = STR("client.example"), .is_esmtp = true, .message = m, .now = 1750000000
    };

    input.mail_from = &from;
    path_parse(STR("<alice@sender.example>"), PATH_REVERSE, 0, room, &from, NULL);
    address_parse(STR("203.0.113.9"), &input.client.address);
    judge_begin(&judge, &input);
    while (judge_run(&judge) == JUDGE_ASKS)
        for (size_t i = 0; i < judge.facts.n; i++)
            if (judge.facts.fact[i].state == FACT_UNKNOWN)
                answer(&judge.facts, judge.facts.fact[i].q);
    printf("verdict %s %s %.*s\n", action_name(judge.verdict.action), judge.verdict.check,
           STR_ARG(judge.verdict.reason));
    judge_end(&judge);
}

int main(int argc, char **argv)
{
    struct config *config = argc > 1 ? config_load(argv[1], stderr) : NULL;

    if (config == NULL)
        return 1;
    for (int i = 2; i < argc; i++) {
        struct judge_message m;

        if (!judge_message_read(&m, read_file(argv[i]), false))
            fail("out of memory", argv[i]);
        printf("file %s\n", argv[i]);
        tell_parts(argv[i], &m);
        tell_verdict(config, &m);
        judge_message_free(&m);
    }
    config_free(config);
    return 0;
}
