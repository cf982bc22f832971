/* Plays ARC chains from standard input, for the scripts beside it. For each case comes
 *
 *     NOW ORDERS ZONE MESSAGE\n     seconds since the epoch, how many orders of answers, two sizes in octets
 *     ...                           ZONE octets: facts as facts_load reads them; any other name does not exist
 *     ...                           MESSAGE octets, CRLF lines
 *
 * and one line goes out: the result, "trusted" or "-", "dmarc" or "-", the reason, the number of questions that went to the
 * DNS. Each case is played as a session plays it, headers first, then the end; once with all answers of a
 * round together, then ORDERS times with one answer at a time, drawn at random. "orders differ" is the
 * result when these do not agree.
 *
 * Arguments are the trusted sealers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/body_hash.h"
#include "policy/header.h"
#include "policy/policy.h"

enum { ZONE_FACTS = 512, ZONE_BYTES = 1 << 20, MEMORY = 1 << 20, INPUT_MAX = 1 << 24, SEALERS_MAX = 16 };

struct input {
    int64_t now;
    struct facts zone;
    struct message message;
    struct str body;
};

struct result {
    char text[600];
    unsigned questions; /* more or less of them, as answers come */
};

static struct {
    struct policy policy;
    struct domain_entry sealers[SEALERS_MAX];
    struct fact zone_table[ZONE_FACTS], table[FACTS_ROOM_MAX];
    char zone_memory[ZONE_BYTES], fact_memory[FACTS_ROOM_BYTES], memory[MEMORY];
    struct facts facts;
    const char *verified[FACTS_ROOM_MAX]; /* of the SIG questions in the table */
    struct outcome outcome;
    unsigned random, questions;
} run;

/* ---- one session ---- */

static size_t draw(size_t n)
{
    run.random = run.random * 1664525 + 1013904223;
    return (run.random >> 8) % n;
}

static void answer(const struct input *input, size_t i)
{
    const struct fact *fact = &run.facts.fact[i];
    struct str verified;
    const struct fact *found;

    if (fact->q.kind == ASK_SIG) {
        verified = str_of(run.verified[i]);
        facts_answer(&run.facts, fact->q, FACT_OK, &verified, 1);
        return;
    }
    run.questions += fact->q.kind == ASK_TXT;
    found = facts_find(&input->zone, fact->q);
    if (found != NULL)
        facts_answer(&run.facts, fact->q, found->state, found->value, found->n);
    else
        facts_answer(&run.facts, fact->q, FACT_NXDOMAIN, NULL, 0);
}

/* Notes what the outcome wants to know. */
static void ask_all(void)
{
    struct outcome *outcome = &run.outcome;

    for (size_t i = 0; i < outcome->questions; i++)
        facts_ask(&run.facts, outcome->question[i]);
    for (size_t i = 0; i < outcome->jobs; i++)
        if (facts_ask(&run.facts, (struct question){ ASK_SIG, outcome->job[i].name }))
            run.verified[run.facts.n - 1] = signature_verify(&outcome->job[i]);
}

/* Answers one open question, or all; false when there is none. Nobody answers a BODY question. */
static bool answer_some(const struct input *input, bool all)
{
    size_t open[FACTS_ROOM_MAX], n = 0;

    for (size_t i = 0; i < run.facts.n; i++)
        if (run.facts.fact[i].state == FACT_UNKNOWN && run.facts.fact[i].q.kind != ASK_BODY)
            open[n++] = i;
    if (n > 0 && !all)
        answer(input, open[draw(n)]);
    for (size_t i = 0; i < n && all; i++)
        answer(input, open[i]);
    return n > 0;
}

static void decide(const struct input *input, enum stage stage, bool all)
{
    static const struct check *const table[] = { &check_arc };
    struct envelope envelope = { .helo = STR("client.example"), .is_esmtp = true, .now = input->now };
    struct arena arena;

    for (;;) {
        arena_init(&arena, run.memory, sizeof run.memory);
        policy_evaluate_with(table, 1, &run.policy, stage, &envelope, &input->message, &run.facts, &arena,
                             &run.outcome);
        if (run.outcome.decided)
            return;
        ask_all();
        if (!answer_some(input, all))
            facts_close(&run.facts);
    }
}

static void give_body(const struct input *input)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, input->message.header, (size_t)run.policy.dkim.signatures);
    for (struct str rest = input->body; rest.n > 0;) {
        size_t n = draw(rest.n) + 1;

        body_hashes_add(&hashes, str_from(rest.p, n));
        rest = str_skip(rest, n);
    }
    body_hashes_end(&hashes, &run.facts);
}

static void play(const struct input *input, unsigned order, struct result *result)
{
    const struct arc_result *arc = &run.outcome.auth.arc;

    run.random = order;
    run.questions = 0;
    facts_init(&run.facts, run.table, FACTS_ROOM_MAX, run.fact_memory, sizeof run.fact_memory);
    decide(input, AT_HEADERS, order == 0);
    give_body(input);
    decide(input, AT_END, order == 0);
    result->questions = run.questions;
    snprintf(result->text, sizeof result->text, "%s\t%s\t%s\t%.*s", auth_result_name(arc->result),
             arc->is_trusted ? "trusted" : "-", arc->said_dmarc_pass ? "dmarc" : "-", STR_ARG(arc->reason));
}

static void play_all(const struct input *input, unsigned orders)
{
    static struct result first, other;

    play(input, 0, &first);
    for (unsigned order = 1; order <= orders; order++) {
        play(input, order, &other);
        if (strcmp(first.text, other.text) != 0) {
            printf("orders differ\t%s\t%s\n", first.text, other.text);
            return;
        }
    }
    printf("%s\t%u\n", first.text, first.questions);
}

/* ---- cases ---- */

static void die(const char *why)
{
    fprintf(stderr, "arc_run: %s\n", why);
    exit(2);
}

static struct str read_octets(size_t n)
{
    char *p = malloc(n + 1);

    if (p == NULL || fread(p, 1, n, stdin) != n)
        die("the input ends within a case");
    return str_from(p, n);
}

static void load_zone(struct facts *zone, struct str text)
{
    unsigned line;

    facts_init(zone, run.zone_table, ZONE_FACTS, run.zone_memory, sizeof run.zone_memory);
    line = facts_load(zone, text);
    if (line != 0) {
        fprintf(stderr, "zone line %u\n", line);
        die("a zone cannot be read");
    }
}

static void split_message(struct str text, struct input *input)
{
    bool complete;
    size_t n = header_length(text, &complete);

    input->message = (struct message){ .header = str_from(text.p, n), .size = text.n };
    input->body = complete ? str_skip(text, n + 2) : str_skip(text, text.n);
}

static bool next_case(void)
{
    long long now;
    unsigned orders;
    size_t zone_n, message_n;
    struct str zone, message;
    struct input input;

    if (scanf("%lld %u %zu %zu", &now, &orders, &zone_n, &message_n) != 4)
        return false;
    if (getchar() != '\n' || zone_n > INPUT_MAX || message_n > INPUT_MAX)
        die("a case begins with four numbers");
    zone = read_octets(zone_n);
    message = read_octets(message_n);
    input.now = now;
    load_zone(&input.zone, zone);
    split_message(message, &input);
    play_all(&input, orders);
    free((char *)(uintptr_t)zone.p);
    free((char *)(uintptr_t)message.p);
    return true;
}

int main(int argc, char **argv)
{
    run.policy.dkim.signatures = DKIM_SIGNATURES_MAX;
    run.policy.dkim.min_bits = 1024;
    run.policy.arc.trusted_sealers = (struct domain_set){ run.sealers, 0 };
    for (int i = 1; i < argc && i <= SEALERS_MAX; i++)
        run.sealers[run.policy.arc.trusted_sealers.n++] = (struct domain_entry){ str_of(argv[i]), false };
    domain_set_sort(&run.policy.arc.trusted_sealers);
    while (next_case())
        continue;
    if (!feof(stdin))
        die("a case begins with four numbers");
    return 0;
}
