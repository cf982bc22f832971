/* Evaluates the signatures of messages, for tests/suites/dkim.py and dkim_random.py.
 *
 *     dkim_run <CASES
 *
 * A case is a line "NOW FACTS MESSAGE" (seconds, octets, octets), then that many octets of facts (facts.h, text form) and of
 * message (CRLF), and a line end. Each gives a line: the results of its signatures with a tab between them, "none" without
 * any: "pass", "pass partial", "fail: body hash did not verify".
 *
 * Each message is played as a session would: headers first, questions answered in rounds (what is not listed does not
 * exist), then the body in pieces, then the end. What was presumed at the headers must be what comes of a right body.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/body_hash.h"
#include "policy/header.h"
#include "policy/policy.h"

enum { PIECE = 1021, MEMORY = 1 << 16 };

static const struct check *const table[] = { &check_dkim };

struct run {
    struct facts facts;
    struct envelope envelope;
    struct message message;
    struct arena arena;
    struct outcome outcome;
};

static void die(const char *why)
{
    fprintf(stderr, "dkim_run: %s\n", why);
    exit(EXIT_FAILURE);
}

static void answer_all(struct run *run)
{
    for (size_t i = 0; i < run->outcome.questions; i++)
        facts_answer(&run->facts, run->outcome.question[i], FACT_NXDOMAIN, NULL, 0);
    for (size_t i = 0; i < run->outcome.jobs; i++) {
        const struct signature_job *job = &run->outcome.job[i];
        struct str result = str_of(signature_verify(job));

        facts_answer(&run->facts, (struct question){ ASK_SIG, job->name }, FACT_OK, &result, 1);
    }
}

static void evaluate(struct run *run, enum stage stage)
{
    static const struct policy policy = { .dkim = { .signatures = DKIM_SIGNATURES_MAX, .min_bits = RSA_BITS_MIN } };
    static char memory[MEMORY];

    for (int round = 0; round < 10; round++) {
        arena_init(&run->arena, memory, sizeof memory);
        policy_evaluate_with(table, 1, &policy, stage, &run->envelope, &run->message, &run->facts, &run->arena,
                             &run->outcome);
        if (run->outcome.decided)
            return;
        answer_all(run);
    }
    die("a message is not decided after ten rounds");
}

static void hash_body(struct run *run, struct str body)
{
    struct body_hashes hashes;

    body_hashes_begin(&hashes, run->message.header, DKIM_SIGNATURES_MAX);
    while (body.n > 0) {
        struct str piece = str_from(body.p, body.n < PIECE ? body.n : PIECE);

        body_hashes_add(&hashes, piece);
        body = str_skip(body, piece.n);
    }
    body_hashes_end(&hashes, &run->facts);
}

static bool same_but_for_body(const struct dkim_result *before, const struct dkim_result *after)
{
    return before->is_presumed ? before->result == AUTH_PASS && after->result != AUTH_PENDING
                               : before->result == after->result;
}

static void print_results(const struct authentication *auth)
{
    for (size_t i = 0; i < auth->dkim_n; i++) {
        const struct dkim_result *r = &auth->dkim[i];

        printf("%s%s%s%s%.*s", i > 0 ? "\t" : "", auth_result_name(r->result), r->is_partial ? " partial" : "",
               r->reason.n > 0 ? ": " : "", STR_ARG(r->reason));
    }
    printf("%s\n", auth->dkim_n == 0 ? "none" : "");
}

static void play(struct run *run, struct str text)
{
    bool complete;
    size_t n = header_length(text, &complete);
    struct str body = complete ? str_skip(text, n + 2) : str_from(NULL, 0);
    struct authentication before;

    run->message = (struct message){ .header = str_from(text.p, complete ? n : text.n), .size = text.n };
    evaluate(run, AT_HEADERS);
    before = run->outcome.auth;
    hash_body(run, body);
    evaluate(run, AT_END);
    for (size_t i = 0; i < before.dkim_n; i++)
        if (!same_but_for_body(&before.dkim[i], &run->outcome.auth.dkim[i]))
            die("the end contradicts the headers");
    print_results(&run->outcome.auth);
}

/* Exactly `n` octets and the line end behind them, which the last case may lack. */
static char *read_octets(size_t n)
{
    char *p = malloc(n + 1);

    if (p == NULL || fread(p, 1, n, stdin) != n)
        die("a case is cut short");
    p[n] = '\0';
    return p;
}

int main(void)
{
    static struct run run;
    long long now;
    size_t facts_n, message_n;

    while (scanf("%lld %zu %zu", &now, &facts_n, &message_n) == 3) {
        static struct fact room[FACTS_ROOM_MAX];
        static char memory[4 * FACTS_ROOM_BYTES];
        char *facts, *message;

        if (getchar() != '\n')
            die("no line end");
        facts = read_octets(facts_n);
        message = read_octets(message_n);
        facts_init(&run.facts, room, FACTS_ROOM_MAX, memory, sizeof memory);
        if (facts_load(&run.facts, str_from(facts, facts_n)) != 0)
            die("facts cannot be read");
        run.envelope = (struct envelope){ .now = now };
        play(&run, str_from(message, message_n));
        free(facts);
        free(message);
    }
    return EXIT_SUCCESS;
}
