/* What the authentication of a message costs, for tests/bench/policy: one message, judged again and again as a session judges
 * it, from connect to the end of its body, with every answer of the DNS at hand as from a warm cache.
 *
 *     policy time postern.ini FACTS MESSAGE [known]     evaluations per second of CPU time, and what was found
 *     policy count postern.ini FACTS MESSAGE [known]    for callgrind: runs measured() and prints the number of evaluations
 *
 * FACTS: answers in the form of facts.h; what is not listed does not exist. MESSAGE: CRLF, no dots stuffed. With `known`
 * all signatures are taken for good: all that is done but their mathematics.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../policy/body_hash.h"
#include "../../policy/header.h"
#include "../../policy/results.h"
#include "../../proxy/config.h"

enum { PIECE = 16384, SCRATCH = 1 << 16, COUNTED = 100, RESULTS = 24576 };

static const double seconds = 0.3;

struct bench {
    const struct config *config;
    struct facts zone;
    struct str header, body;
    struct path mail_from, rcpt;
    struct envelope envelope;
    bool is_known;
    /* of one evaluation */
    struct facts facts;
    struct fact table[FACTS_ROOM_MAX];
    char memory[FACTS_ROOM_BYTES], scratch[SCRATCH], results[RESULTS];
    struct outcome outcome;
    struct str summary;
    size_t sum; /* of results: nothing is optimised away */
};

static void die(const char *why)
{
    fprintf(stderr, "policy: %s\n", why);
    exit(EXIT_FAILURE);
}

/* ---- questions ---- */

static void answer(struct bench *b, struct question q)
{
    const struct fact *fact = facts_find(&b->zone, q);

    if (fact != NULL)
        facts_answer(&b->facts, q, fact->state, fact->value, fact->n);
    else
        facts_answer(&b->facts, q, q.kind == ASK_PAST ? FACT_NODATA : FACT_NXDOMAIN, NULL, 0);
}

static void verify(struct bench *b, const struct signature_job *job)
{
    struct str result = b->is_known ? STR("pass") : str_of(signature_verify(job));

    facts_answer(&b->facts, (struct question){ ASK_SIG, job->name }, FACT_OK, &result, 1);
}

/* Passes until none asks anything more, as session_policy.c makes them. */
static void judge(struct bench *b, enum stage stage, const struct message *message)
{
    struct arena arena;
    size_t asked;

    do {
        arena_init(&arena, b->scratch, sizeof b->scratch);
        policy_evaluate(&b->config->policy, stage, &b->envelope, message, &b->facts, &arena, &b->outcome);
        asked = b->outcome.questions + b->outcome.jobs;
        for (size_t i = 0; i < b->outcome.jobs; i++)
            verify(b, &b->outcome.job[i]);
        for (size_t i = 0; i < b->outcome.questions; i++)
            answer(b, b->outcome.question[i]);
    } while (asked > 0);
    if (!b->outcome.decided || b->outcome.verdict.action != ACTION_ACCEPT)
        die("the message is not accepted");
}

/* ---- a message ---- */

static void print_results(struct bench *b)
{
    struct arena arena;

    arena_init(&arena, b->results, sizeof b->results);
    b->sum += results_fields(&b->config->policy, &b->envelope, &b->outcome, &arena).n;
    b->summary = results_summary(&b->outcome.auth, &arena);
}

static void judge_envelope(struct bench *b)
{
    b->envelope.helo = STR("");
    b->envelope.mail_from = b->envelope.rcpt = NULL;
    b->envelope.rcpt_accepted = 0;
    judge(b, AT_CONNECT, NULL);
    b->envelope.helo = STR("mail.sender.example");
    judge(b, AT_HELO, NULL);
    b->envelope.mail_from = &b->mail_from;
    judge(b, AT_MAIL, NULL);
    b->envelope.rcpt = &b->rcpt;
    judge(b, AT_RCPT, NULL);
    b->envelope.rcpt = NULL;
    b->envelope.rcpt_accepted = 1;
    judge(b, AT_DATA, NULL);
}

static void judge_message(struct bench *b)
{
    struct message message = { .header = b->header, .size = b->header.n };
    struct body_hashes hashes = { .n = 0 };
    const struct policy *policy = &b->config->policy;

    if (policy->dkim.check || policy->arc.check)
        body_hashes_begin(&hashes, b->header, (size_t)policy->dkim.signatures);
    judge(b, AT_HEADERS, &message);
    print_results(b);
    for (struct str rest = b->body; hashes.n > 0 && rest.n > 0; rest = str_skip(rest, rest.n < PIECE ? rest.n : PIECE))
        body_hashes_add(&hashes, str_from(rest.p, rest.n < PIECE ? rest.n : PIECE));
    if (hashes.n > 0)
        body_hashes_end(&hashes, &b->facts);
    message.size = b->header.n + 2 + b->body.n;
    judge(b, AT_END, &message);
    print_results(b);
}

static void evaluate(struct bench *b)
{
    facts_init(&b->facts, b->table, (size_t)b->config->limits.facts, b->memory, sizeof b->memory);
    judge_envelope(b);
    judge_message(b);
}

/* ---- measuring ---- */

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

    do {
        for (size_t i = 0; i < 10; i++)
            evaluate(b);
        n += 10;
        now = cpu_now();
    } while (now - begun < seconds);
    printf("%.1f %.*s\n", (double)n / (now - begun), STR_ARG(b->summary));
}

/* ---- set-up ---- */

static struct str read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long n = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;

    if (text == NULL || fseek(file, 0, SEEK_SET) != 0 || fread(text, 1, (size_t)n, file) != (size_t)n)
        die("a file cannot be read");
    fclose(file);
    return str_from(text, (size_t)n);
}

static void read_zone(struct bench *b, const char *path)
{
    static struct fact table[FACTS_ROOM_MAX];
    static char memory[FACTS_ROOM_BYTES];

    facts_init(&b->zone, table, FACTS_ROOM_MAX, memory, sizeof memory);
    if (facts_load(&b->zone, read_file(path)) != 0)
        die("the facts cannot be read");
}

static void read_message(struct bench *b, const char *path)
{
    struct str text = read_file(path);
    bool complete;
    size_t n = header_length(text, &complete);

    if (!complete)
        die("the message has no body");
    b->header = str_from(text.p, n);
    b->body = str_skip(text, n + 2);
}

static void set_envelope(struct bench *b)
{
    static char from[PATH_ROOM], to[PATH_ROOM];

    path_parse(STR("<a@sender.example>"), PATH_REVERSE, 0, from, &b->mail_from, NULL);
    path_parse(STR("<b@local.example>"), PATH_FORWARD, 0, to, &b->rcpt, NULL);
    address_parse(STR("192.0.2.200"), &b->envelope.client.address);
    b->envelope.is_esmtp = true;
    b->envelope.now = 1795348800;
}

int main(int argc, char **argv)
{
    static struct bench b;
    bool counts = argc > 1 && strcmp(argv[1], "count") == 0;

    if (argc < 5)
        die("how to call it stands in policy.c");
    b.config = config_load(argv[2], stderr);
    if (b.config == NULL)
        die("no configuration");
    read_zone(&b, argv[3]);
    read_message(&b, argv[4]);
    set_envelope(&b);
    b.is_known = argc > 5;
    evaluate(&b);
    if (counts) {
        measured(&b);
        printf("%d %.*s\n", COUNTED, STR_ARG(b.summary));
    } else {
        measure_time(&b);
    }
    return b.sum > 0 || b.summary.n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
