#include "dmarc.h"

enum {
    DNS_NAME_MAX = 253, /* RFC 1035 2.3.4, in text */
    LABELS_KEPT = 7     /* of a longer name, after its first question (RFC 9989 4.10 step 4) */
};

/* ---- names ---- */

/* The last `n` labels of a name; the whole name when it has no more. */
static struct str last_labels(struct str name, size_t n)
{
    size_t at = name.n;

    while (at > 0) {
        if (name.p[at - 1] == '.' && --n == 0)
            break;
        at--;
    }
    return str_skip(name, at);
}

/* Without its first label; empty when that was all. */
static struct str parent(struct str name)
{
    size_t n = str_find(name, '.');

    return str_skip(name, n < name.n ? n + 1 : n);
}

/* The name one label longer than `above` on the way down to `domain`, which lies below it. */
static struct str one_below(struct str domain, struct str above)
{
    size_t at = domain.n - above.n - 1;

    while (at > 0 && domain.p[at - 1] != '.')
        at--;
    return str_skip(domain, at);
}

size_t dmarc_shared_labels(struct str a, struct str b)
{
    size_t shared = 0, i = 0;

    while (i < a.n && i < b.n && a.p[a.n - 1 - i] == b.p[b.n - 1 - i]) {
        if (a.p[a.n - 1 - i] == '.')
            shared++;
        i++;
    }
    return shared + (i > 0 && (i == a.n || a.p[a.n - 1 - i] == '.') && (i == b.n || b.p[b.n - 1 - i] == '.'));
}

/* ---- one question ---- */

/* RFC 9989 4.10 step 2: what is no DMARC record does not count, and several are none. */
static void read_answer(struct dmarc_step *step, const struct fact *fact)
{
    struct dmarc_record record;

    for (size_t i = 0; i < fact->n; i++) {
        if (!dmarc_record_read(fact->value[i], &record))
            continue;
        if (step->answer == DMARC_RECORD) {
            step->answer = DMARC_NO_RECORD;
            return;
        }
        step->answer = DMARC_RECORD;
        step->text = fact->value[i];
        step->record = record;
    }
}

static void ask_step(struct pass *pass, struct str name, struct dmarc_step *step)
{
    struct str prefix = STR("_dmarc.");
    char key[PATH_DOMAIN_MAX + 1];
    const struct fact *fact;

    *step = (struct dmarc_step){ .name = name };
    if (prefix.n + name.n > DNS_NAME_MAX)
        return; /* nothing can stand there */
    memcpy(key, prefix.p, prefix.n);
    memcpy(key + prefix.n, name.p, name.n);
    fact = pass_ask(pass, ASK_TXT, str_from(key, prefix.n + name.n));
    if (fact == NULL)
        step->answer = DMARC_PENDING;
    else if (fact->state == FACT_TEMP || fact->state == FACT_LIMIT)
        step->answer = DMARC_UNSURE;
    else
        read_answer(step, fact);
}

/* ---- the walk ---- */

static bool has_psd(const struct dmarc_step *step, enum dmarc_psd psd)
{
    return step->answer == DMARC_RECORD && step->record.psd == psd;
}

static const struct dmarc_step *last_step(const struct dmarc_walk *walk)
{
    return &walk->step[walk->n - 1];
}

/* RFC 9989 4.10.2, rules 1 to 3. A record with psd=y or psd=n is always the last one, as the walk ends there. */
static struct str organizational(const struct dmarc_walk *walk)
{
    const struct dmarc_step *last = last_step(walk);
    struct str found = walk->domain;

    if (has_psd(last, DMARC_PSD_YES) && walk->n > 1)
        return one_below(walk->domain, last->name);
    for (size_t i = 0; i < walk->n; i++)
        if (walk->step[i].answer == DMARC_RECORD)
            found = walk->step[i].name;
    return found;
}

/* An unknown anywhere may turn out to be the end of the walk, and a temporary error may hide one. */
static enum dmarc_answer walk_state(const struct dmarc_walk *walk)
{
    for (size_t i = 0; i < walk->n; i++)
        if (walk->step[i].answer == DMARC_PENDING)
            return DMARC_PENDING;
    return last_step(walk)->answer == DMARC_UNSURE ? DMARC_UNSURE : DMARC_RECORD;
}

void dmarc_walk(struct pass *pass, struct str domain, struct dmarc_walk *walk)
{
    struct str name = domain;

    walk->domain = domain;
    walk->n = 0;
    while (walk->n < DMARC_QUERIES_MAX) {
        struct dmarc_step *step = &walk->step[walk->n++];

        ask_step(pass, name, step);
        if (has_psd(step, DMARC_PSD_YES) || has_psd(step, DMARC_PSD_NO) || step->answer == DMARC_UNSURE)
            break;
        name = parent(last_labels(name, LABELS_KEPT + 1)); /* one label less, and at most seven */
        if (name.n == 0)
            break;
    }
    walk->state = walk_state(walk);
    walk->organizational = walk->state == DMARC_RECORD ? organizational(walk) : STR("");
}

/* RFC 9989 4.10.1: the author domain's own record, its organizational domain's, its public suffix's. */
const struct dmarc_step *dmarc_walk_policy(const struct dmarc_walk *walk, enum dmarc_answer *answer)
{
    const struct dmarc_step *last = last_step(walk);

    *answer = walk->step[0].answer;
    if (*answer == DMARC_RECORD)
        return &walk->step[0];
    if (*answer == DMARC_NO_RECORD)
        *answer = walk->state;
    if (*answer != DMARC_RECORD)
        return NULL;
    for (size_t i = 0; i < walk->n; i++)
        if (walk->step[i].answer == DMARC_RECORD && str_eq(walk->step[i].name, walk->organizational))
            return &walk->step[i];
    if (has_psd(last, DMARC_PSD_YES))
        return last;
    *answer = DMARC_NO_RECORD;
    return NULL;
}

/* ---- alignment ---- */

enum dmarc_answer dmarc_aligned(struct pass *pass, const struct dmarc_walk *author, bool is_strict,
                                struct str identifier)
{
    struct dmarc_walk walk;

    if (str_eq(author->domain, identifier))
        return DMARC_RECORD;
    if (is_strict || dmarc_shared_labels(author->domain, identifier) == 0)
        return DMARC_NO_RECORD;
    if (author->state != DMARC_RECORD)
        return author->state;
    if (!domain_is_within(identifier, author->organizational))
        return DMARC_NO_RECORD;
    dmarc_walk(pass, identifier, &walk);
    if (walk.state != DMARC_RECORD)
        return walk.state;
    return str_eq(walk.organizational, author->organizational) ? DMARC_RECORD : DMARC_NO_RECORD;
}
