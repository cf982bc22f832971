/* DMARC's reading: line 1 is an author domain, line 2 an identifier, the rest recorded facts; and the whole input is tried
 * as a record. A walk is at most eight questions, an organizational domain is an end of the name, alignment is what the
 * two walks say in full, and a closed table leaves nothing pending.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/dmarc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FACTS = 64, MEMORY = 1 << 15 };

static void must(bool claim)
{
    if (!claim)
        abort();
}

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

static bool is_end_of(struct str end, struct str name)
{
    return end.n <= name.n && str_eq(end, str_skip(name, name.n - end.n)) &&
           (end.n == name.n || name.p[name.n - end.n - 1] == '.');
}

static void check_record(struct str text)
{
    struct dmarc_record record;

    if (!dmarc_record_read(text, &record))
        return;
    must(text.n >= 8 && (text.p[0] == 'v' || text.p[0] == 'V'));
    must(record.p != DMARC_UNSTATED || record.is_broken);
    for (int i = 0; i < 4; i++) {
        enum dmarc_request request = dmarc_record_request(&record, (i & 1) != 0, (i & 2) != 0);

        must((request == DMARC_UNSTATED) == (record.is_broken && !record.has_uri));
        must(!record.is_broken || request <= DMARC_NONE);
    }
}

static void check_walk(const struct dmarc_walk *walk, bool is_closed)
{
    enum dmarc_answer answer;
    const struct dmarc_step *step = dmarc_walk_policy(walk, &answer);

    must(walk->n >= 1 && walk->n <= DMARC_QUERIES_MAX);
    must(!is_closed || (walk->state != DMARC_PENDING && answer != DMARC_PENDING));
    for (size_t i = 0; i < walk->n; i++)
        must(is_end_of(walk->step[i].name, walk->domain) && (i == 0) == str_eq(walk->step[i].name, walk->domain));
    must((step != NULL) == (answer == DMARC_RECORD));
    if (walk->state != DMARC_RECORD)
        return;
    must(walk->organizational.n > 0 && is_end_of(walk->organizational, walk->domain));
    must(answer == DMARC_RECORD || answer == DMARC_NO_RECORD);
}

static void check_alignment(struct pass *pass, const struct dmarc_walk *a, const struct dmarc_walk *b)
{
    enum dmarc_answer relaxed = dmarc_aligned(pass, a, false, b->domain),
                      strict = dmarc_aligned(pass, a, true, b->domain);
    bool same = str_eq(a->domain, b->domain);

    must(strict == (same ? DMARC_RECORD : DMARC_NO_RECORD));
    must(!same || relaxed == DMARC_RECORD);
    if (a->state == DMARC_RECORD && b->state == DMARC_RECORD)
        must(relaxed == (str_eq(a->organizational, b->organizational) ? DMARC_RECORD : DMARC_NO_RECORD));
    must(dmarc_shared_labels(a->domain, b->domain) == dmarc_shared_labels(b->domain, a->domain));
}

static void check_walks(struct str author, struct str identifier, const struct facts *facts)
{
    static char memory[MEMORY];
    static struct outcome outcome;
    struct arena arena;
    struct pass pass = { .facts = facts, .arena = &arena, .outcome = &outcome };
    struct dmarc_walk a, b;

    arena_init(&arena, memory, sizeof memory);
    outcome.questions = 0;
    dmarc_walk(&pass, author, &a);
    must(outcome.questions <= DMARC_QUERIES_MAX);
    dmarc_walk(&pass, identifier, &b);
    check_walk(&a, facts->closed);
    check_walk(&b, facts->closed);
    check_alignment(&pass, &a, &b);
    check_alignment(&pass, &b, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    static struct fact table[FACTS];
    static char memory[MEMORY];
    struct str text = { size > 0 ? (const char *)data : nothing, size }, rest = text, first, second;
    char author_room[PATH_DOMAIN_MAX + 1], identifier_room[PATH_DOMAIN_MAX + 1];
    struct facts facts;

    check_record(text);
    first = domain_canonical(take_line(&rest), author_room);
    second = domain_canonical(take_line(&rest), identifier_room);
    check_record(rest);
    if (first.n == 0 || second.n == 0)
        return 0;
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    facts_load(&facts, rest);
    check_walks(first, second, &facts);
    facts_close(&facts);
    check_walks(first, second, &facts);
    return 0;
}
