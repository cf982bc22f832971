/* What the checks in front of DATA cost, for tests/bench/door_policy: one session judged again and again, from connect to its
 * recipient, with every answer at hand. Lists and SPF are answered as nothing, GEO by the databases.
 *
 *     bench-door-policy time postern.ini [known]     microseconds of CPU time a session
 *     bench-door-policy count postern.ini [known]    for callgrind: runs measured() and prints the number of sessions
 *
 * With `known` the session begins with all answers in its facts, so that each stage is one pass; without, they are given when
 * they are asked for, as from a warm cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../proxy/config.h"
#include "../../proxy/geoip.h"

enum { COUNTED = 100, BATCH = 100 };

static const double seconds = 1.0;

struct bench {
    const struct config *config;
    struct geoip *geo;
    bool is_known;
    struct path mail_from, rcpt;
    struct envelope envelope;
    struct facts facts;
    struct fact table[FACTS_ROOM_MAX];
    char memory[FACTS_ROOM_BYTES], scratch[POLICY_ARENA_SIZE];
    struct outcome outcome;
    size_t passes, questions; /* of all sessions */
};

static void die(const char *why)
{
    fprintf(stderr, "bench-door-policy: %s\n", why);
    exit(EXIT_FAILURE);
}

/* An honest sender's DNS: everything else does not exist. */
static const struct {
    enum ask kind;
    struct str name, value;
} zone[] = {
    { ASK_MX, STR_INIT("sender.example"), STR_INIT("10 mail.sender.example") },
    { ASK_A, STR_INIT("mail.sender.example"), STR_INIT("203.0.113.9") },
    { ASK_PTR, STR_INIT("9.113.0.203.in-addr.arpa"), STR_INIT("mail.sender.example") },
};

static void answer(struct bench *b, const struct question *q)
{
    if (q->kind == ASK_GEO) {
        geo_answer(&b->facts, q, b->geo);
        return;
    }
    for (size_t i = 0; i < sizeof zone / sizeof *zone; i++)
        if (q->kind == zone[i].kind && str_eq(q->key, zone[i].name))
            facts_answer(&b->facts, *q, FACT_OK, &zone[i].value, 1);
    facts_answer(&b->facts, *q, q->kind <= ASK_PTR ? FACT_NXDOMAIN : FACT_NODATA, NULL, 0);
}

static void judge(struct bench *b, enum stage stage)
{
    struct arena arena;

    do {
        arena_init(&arena, b->scratch, sizeof b->scratch);
        policy_evaluate(&b->config->policy, stage, &b->envelope, NULL, &b->facts, &arena, &b->outcome);
        for (size_t i = 0; i < b->outcome.questions; i++)
            answer(b, &b->outcome.question[i]);
        b->passes++;
        b->questions += b->outcome.questions;
    } while (b->outcome.questions > 0);
    if (!b->outcome.decided || verdict_refuses(&b->outcome.verdict))
        die("the session is refused");
}

static void evaluate(struct bench *b)
{
    if (!b->is_known)
        facts_init(&b->facts, b->table, (size_t)b->config->limits.facts, b->memory, sizeof b->memory);
    b->envelope.helo = STR("");
    b->envelope.mail_from = b->envelope.rcpt = NULL;
    judge(b, AT_CONNECT);
    b->envelope.helo = STR("mail.sender.example");
    judge(b, AT_HELO);
    b->envelope.mail_from = &b->mail_from;
    judge(b, AT_MAIL);
    b->envelope.rcpt = &b->rcpt;
    judge(b, AT_RCPT);
}

void measured(struct bench *b);

/* Callgrind begins to count here and ends on return (--toggle-collect=measured). */
__attribute__((noinline)) void measured(struct bench *b)
{
    for (size_t i = 0; i < COUNTED; i++)
        evaluate(b);
}

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure_time(struct bench *b)
{
    double begun = cpu_now(), now;
    size_t n = 0;

    b->passes = b->questions = 0;
    do {
        for (size_t i = 0; i < BATCH; i++)
            evaluate(b);
        n += BATCH;
        now = cpu_now();
    } while (now - begun < seconds);
    printf("%.2f us a session, %zu passes, %zu questions\n", (now - begun) * 1e6 / (double)n, b->passes / n,
           b->questions / n);
}

static void set_envelope(struct bench *b)
{
    static char from[PATH_ROOM], to[PATH_ROOM];

    path_parse(STR("<a@sender.example>"), PATH_REVERSE, 0, from, &b->mail_from, NULL);
    path_parse(STR("<b@local.example>"), PATH_FORWARD, 0, to, &b->rcpt, NULL);
    address_parse(STR("203.0.113.9"), &b->envelope.client.address);
    b->envelope.is_esmtp = true;
    b->envelope.now = 1795348800;
    b->envelope.listener = STR("smtp");
}

int main(int argc, char **argv)
{
    static struct bench b;

    b.config = argc > 2 ? config_load(argv[2], stderr) : NULL;
    if (b.config == NULL)
        die("how to call it stands in door_policy.c");
    b.geo = geoip_open(&b.config->policy.geo);
    set_envelope(&b);
    evaluate(&b);
    b.is_known = argc > 3;
    if (strcmp(argv[1], "count") == 0) {
        measured(&b);
        printf("%d\n", COUNTED);
    } else {
        measure_time(&b);
    }
    geoip_free(b.geo);
    return EXIT_SUCCESS;
}
