/* ORACLE 1, A-10: no message is accepted more often than it was sent. Counted by token where clients send some, and by
 * session always: on a live gateway nobody sends tokens. */
#include "custody_parts.h"
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

/* One token: how often a client tried, how often the back end accepted. */
struct token {
    const char *text;
    const struct session *session; /* that tried last */
    size_t attempts, accepted;
    const struct reply *last; /* acceptance */
};

struct tokens {
    struct lookup by_name;
    struct token *token;
    size_t n;
};

static struct token *token_of(struct tokens *all, const char *text)
{
    uint64_t hash = hash_octets(hash_start, slice_of(text));

    for (size_t e = lookup_first(&all->by_name, hash); all->token != NULL && e != SIZE_MAX;
         e = lookup_next(&all->by_name, e))
        if (strcmp(all->token[lookup_value(&all->by_name, e)].text, text) == 0)
            return &all->token[lookup_value(&all->by_name, e)];
    all->token = array_grow(all->token, all->n, sizeof *all->token);
    all->token[all->n] = (struct token){ .text = text };
    lookup_add(&all->by_name, hash, all->n);
    return &all->token[all->n++];
}

static void count_tokens(const struct trial *t, struct tokens *all)
{
    for (size_t i = 0; i < t->session_n; i++) {
        for (size_t k = 0; k < t->session[i].pair_n; k++) {
            const struct transaction *x = t->session[i].pair[k].north;
            struct token *token = x->token[0] != '\0' ? token_of(all, x->token) : NULL;
            if (token == NULL)
                continue;
            token->attempts++;
            token->session = &t->session[i];
        }
    }
    for (size_t i = 0; i < t->south.flows.n; i++) {
        const struct dialogue *d = &t->south.dialogue[i];
        for (size_t k = 0; k < d->transaction_n; k++) {
            const struct transaction *x = &d->transaction[k];
            if (x->token[0] == '\0' || !is_accepted(x))
                continue;
            struct token *token = token_of(all, x->token);
            token->accepted++;
            token->last = x->message.reply;
        }
    }
}

static void judge_token(const struct trial *t, const struct token *token, struct tally *tally)
{
    if (token->attempts == 0) /* A-9 asks where it comes from */
        return;
    if (token->accepted <= token->attempts) {
        held(tally);
    } else if (t->unread_north.n > 0) {
        unsure(tally, "attempts may be in sessions that cannot be read");
    } else {
        struct violation *v = violated(tally, token->session, "token %s: accepted %zu times, sent %zu times",
                                       token->text, token->accepted, token->attempts);
        show_reply(v, SOUTH, token->last, "the last acceptance");
    }
}

/* On a live gateway nobody sends tokens: then no session has more ends of data south than north. */
enum { SHOWN_MAX = 12 };

static void judge_ends(const struct session *s, struct tally *tally)
{
    size_t north = 0, south = 0;

    for (size_t i = 0; i < s->pair_n; i++)
        north += is_ended(s->pair[i].north);
    for (size_t i = 0; i < s->south_n; i++)
        for (size_t k = 0; k < s->south[i]->transaction_n; k++)
            south += is_ended(&s->south[i]->transaction[k]);
    if (north + south == 0)
        return;
    if (south <= north) {
        held(tally);
        return;
    }
    struct violation *v = violated(tally, s, "%zu ends of data to the back end for %zu from the client", south, north);
    for (size_t i = 0; i < s->south_n; i++)
        for (size_t k = 0; k < s->south[i]->transaction_n && v->evidence_n < SHOWN_MAX; k++)
            if (is_ended(&s->south[i]->transaction[k]))
                show_invented(v, s->south[i], &s->south[i]->transaction[k]);
}

void judge_repeats(const struct trial *t, struct tally *tally)
{
    struct tokens all = { 0 };

    count_tokens(t, &all);
    for (size_t i = 0; i < all.n; i++)
        judge_token(t, &all.token[i], tally);
    lookup_free(&all.by_name);
    free(all.token);
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        if (session_is_sealed(t, s) || s->north->connection->is_refused)
            continue;
        if (s->doubt != NULL)
            unsure(tally, s->doubt);
        else
            judge_ends(s, tally);
    }
}
