/* Facts from text: whatever loads is dumped to text that loads to the same facts and dumps to the same text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FACTS = 64, MEMORY = 1 << 16 };

struct table {
    struct fact fact[FACTS];
    char memory[MEMORY], text[4 * MEMORY];
    struct facts facts;
};

static void must(bool claim)
{
    if (!claim)
        abort();
}

static unsigned load(struct table *table, struct str text)
{
    facts_init(&table->facts, table->fact, FACTS, table->memory, MEMORY);
    return facts_load(&table->facts, text);
}

static struct str dump(struct table *table)
{
    struct arena arena;
    struct str text;

    arena_init(&arena, table->text, sizeof table->text);
    text = facts_dump(&table->facts, &arena);
    must(text.p != NULL);
    return text;
}

static void must_equal(const struct fact *a, const struct fact *b)
{
    must(a->q.kind == b->q.kind && str_eq(a->q.key, b->q.key) && a->state == b->state && a->n == b->n);
    must((a->state == FACT_OK) == (a->n > 0));
    for (size_t i = 0; i < a->n; i++)
        must(str_eq(a->value[i], b->value[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct table first, second;
    struct str text, again;

    if (size > MEMORY / 16 || load(&first, str_from((const char *)data, size)) != 0)
        return 0;
    text = dump(&first);
    must(load(&second, text) == 0);
    must(first.facts.n == second.facts.n && first.facts.closed == second.facts.closed);
    for (size_t i = 0; i < first.facts.n; i++)
        must_equal(&first.fact[i], &second.fact[i]);
    again = dump(&second);
    must(str_eq(text, again));
    return 0;
}
