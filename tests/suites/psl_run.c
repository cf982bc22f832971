/* Organizational domains by the tree walk of RFC 9989 4.10.2, for tests/suites/psl.py.
 *
 * Standard input is a list of cases: a line with a domain, lines of facts (facts_load), an empty line. A name that is
 * not among the facts does not exist. For each case a line comes back: the organizational domain, or "?" for what is no
 * domain name, a tab, and how many questions were asked.
 */
#include <stdio.h>

#include "policy/dmarc.h"

enum { INPUT = 1 << 23, FACTS = 64, MEMORY = 1 << 16 };

static char input[INPUT];

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

/* The lines up to an empty one, which is dropped. */
static struct str take_block(struct str *rest)
{
    struct str block = { rest->p, 0 }, line;

    while (rest->n > 0) {
        line = take_line(rest);
        if (line.n == 0)
            break;
        block.n = (size_t)(line.p + line.n - block.p);
    }
    return block;
}

static bool walk(struct str domain, struct str zone)
{
    static struct fact table[FACTS];
    static char fact_memory[MEMORY], memory[MEMORY];
    static struct outcome outcome;
    struct arena arena;
    struct facts facts;
    struct pass pass = { .facts = &facts, .arena = &arena, .outcome = &outcome };
    struct dmarc_walk walk;

    facts_init(&facts, table, FACTS, fact_memory, sizeof fact_memory);
    if (facts_load(&facts, zone) != 0)
        return false;
    do {
        arena_init(&arena, memory, sizeof memory);
        outcome.questions = 0;
        dmarc_walk(&pass, domain, &walk);
        for (size_t i = 0; i < outcome.questions; i++)
            facts_answer(&facts, outcome.question[i], FACT_NXDOMAIN, NULL, 0);
    } while (outcome.questions > 0);
    printf("%.*s\t%zu\n", STR_ARG(walk.organizational), walk.n);
    return walk.state == DMARC_RECORD;
}

int main(void)
{
    struct str rest = { input, fread(input, 1, sizeof input, stdin) };
    char room[PATH_DOMAIN_MAX + 1];

    if (rest.n == sizeof input)
        return 1;
    while (rest.n > 0) {
        struct str domain = domain_canonical(take_line(&rest), room), zone = take_block(&rest);

        if (domain.n == 0)
            printf("?\t0\n");
        else if (!walk(domain, zone))
            return 1;
    }
    return 0;
}
