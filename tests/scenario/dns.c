#include "dns.h"

#include <stdint.h>
#include <stdlib.h>

void dns_record_free(struct dns_record *r)
{
    free((void *)(uintptr_t)r->q.key.p);
    for (size_t i = 0; i < r->n; i++)
        free((void *)(uintptr_t)r->value[i].p);
    free(r->value);
}

void dns_free(struct dns *dns)
{
    for (size_t i = 0; i < dns->n; i++)
        dns_record_free(&dns->record[i]);
    free(dns->record);
    bytes_free(&dns->asked);
}

static struct str owned(struct str s)
{
    return (struct str){ must_copy(s), s.n };
}

static bool take_word(struct str *text, struct str *word)
{
    size_t n = str_find(*text, ' ');

    *word = str_from(text->p, n);
    *text = str_trim(str_skip(*text, n));
    return word->n > 0;
}

/* In quotes anything but a quote can stand; a word alone needs none. */
static bool take_value(struct str *text, struct str *value)
{
    size_t n;

    if (text->n == 0 || text->p[0] != '"')
        return take_word(text, value);
    *text = str_skip(*text, 1);
    n = str_find(*text, '"');
    if (n == text->n)
        return false;
    *value = str_from(text->p, n);
    *text = str_trim(str_skip(*text, n + 1));
    return true;
}

static bool read_kind(struct str word, enum ask *kind)
{
    for (*kind = ASK_TXT; *kind <= ASK_PTR; ++*kind)
        if (str_eq(word, str_of(ask_name(*kind))))
            return true;
    return false;
}

static bool read_state(struct str text, enum fact_state *state)
{
    static const enum fact_state states[] = { FACT_NODATA, FACT_NXDOMAIN, FACT_TEMP };

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        *state = states[i];
        if (str_eq(text, str_of(fact_state_name(states[i]))))
            return true;
    }
    *state = FACT_OK;
    return false;
}

bool dns_read(struct str text, struct dns_record *r)
{
    struct str name, word;

    *r = (struct dns_record){ .state = FACT_OK };
    if (!take_word(&text, &name) || !take_word(&text, &word) || !read_kind(word, &r->q.kind) || text.n == 0)
        return false;
    r->q.key = owned(name);
    if (read_state(text, &r->state))
        return true;
    while (text.n > 0) {
        if (!take_value(&text, &word)) {
            dns_record_free(r);
            return false;
        }
        r->value = must_grow(r->value, (r->n + 1) * sizeof *r->value);
        r->value[r->n++] = owned(word);
    }
    return true;
}

static void add(struct dns *dns, const struct dns_record *r)
{
    dns->record = must_grow(dns->record, (dns->n + 1) * sizeof *dns->record);
    dns->record[dns->n++] = *r;
}

bool dns_add(struct dns *dns, struct str text)
{
    struct dns_record r;

    if (!dns_read(text, &r))
        return false;
    add(dns, &r);
    return true;
}

void dns_silence(struct dns *dns, struct str name)
{
    const struct dns_record r = { .q.key = owned(name), .is_silent = true };

    add(dns, &r);
}

static bool is_silent(const struct dns *dns, struct str name)
{
    for (size_t i = 0; i < dns->n; i++)
        if (dns->record[i].is_silent && str_eq(dns->record[i].q.key, name))
            return true;
    return false;
}

bool dns_answer(struct dns *dns, struct question q, struct facts *facts)
{
    enum fact_state state = FACT_NXDOMAIN;

    bytes_printf(&dns->asked, "%s %.*s\n", ask_name(q.kind), STR_ARG(q.key));
    if (is_silent(dns, q.key))
        return false;
    for (size_t i = 0; i < dns->n; i++) {
        const struct dns_record *r = &dns->record[i];

        if (r->is_silent || !str_eq(r->q.key, q.key))
            continue;
        state = r->state == FACT_NXDOMAIN ? FACT_NXDOMAIN : FACT_NODATA; /* the name is there, if not this record */
        if (r->q.kind != q.kind)
            continue;
        facts_answer(facts, q, r->state, r->value, r->n);
        return true;
    }
    facts_answer(facts, q, state, NULL, 0);
    return true;
}

bool dns_was_asked(const struct dns *dns, struct str line)
{
    struct str rest = bytes_all(&dns->asked);

    while (rest.n > 0) {
        size_t n = str_find(rest, '\n');

        if (str_glob(str_from(rest.p, n), line))
            return true;
        rest = str_skip(rest, n + 1);
    }
    return false;
}
