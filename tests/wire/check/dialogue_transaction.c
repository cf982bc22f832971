/* Transactions, the unit of account (ORACLE 0): from a MAIL that was answered 250 to the reply to the end of its
 * message, or to what dropped it. */
#include <stdlib.h>
#include <string.h>

#include "dialogue_parts.h"

static struct transaction *open_transaction(struct reading *r)
{
    return r->open != SIZE_MAX ? &r->d->transaction[r->open] : NULL;
}

struct message *open_message(struct reading *r)
{
    struct transaction *t = open_transaction(r);

    return t != NULL ? &t->message : NULL;
}

/* ---- tokens ---- */

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

void find_token(char token[33], struct slice s)
{
    size_t run = 0;

    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && is_hex(s.p[i])) {
            run++;
            continue;
        }
        if (run == 32) {
            memcpy(token, s.p + i - 32, 32);
            token[32] = '\0';
            return;
        }
        run = 0;
    }
}

/* ---- commands ---- */

static void end_with(struct reading *r, enum transaction_end end, const struct place *place)
{
    struct transaction *t = open_transaction(r);

    if (t == NULL)
        return;
    t->end = end;
    if (place != NULL)
        place_join(&t->place, place);
    r->open = SIZE_MAX;
}

static void begin(struct reading *r, size_t mail)
{
    struct dialogue *d = r->d;
    const struct command *c = &d->command[mail];
    struct transaction t = { .mail = mail, .data = SIZE_MAX, .place = c->place };

    address_read(&t.from, c->argument);
    find_token(t.token, t.from.local);
    d->transaction = array_grow(d->transaction, d->transaction_n, sizeof t);
    r->open = d->transaction_n++;
    d->transaction[r->open] = t;
}

static void add_recipient(struct transaction *t, size_t i, const struct command *c)
{
    t->rcpt = array_grow(t->rcpt, t->rcpt_n, sizeof *t->rcpt);
    t->to = array_grow(t->to, t->rcpt_n, sizeof *t->to);
    t->rcpt[t->rcpt_n] = i;
    address_read(&t->to[t->rcpt_n++], c->argument);
}

/* What a command that was not refused makes of a transaction. A command that was never answered may have had its
 * effect. */
static enum transaction_end end_by(const struct command *c)
{
    bool is_done = c->reply == NULL || reply_is(c->reply, 2);

    switch (c->verb) {
    case VERB_RSET: return is_done ? END_RSET : END_NONE;
    case VERB_EHLO:
    case VERB_HELO:
    case VERB_LHLO:
    case VERB_XCLIENT: return is_done ? END_HELLO : END_NONE;
    case VERB_STARTTLS: return reply_is(c->reply, 2) ? END_STARTTLS : END_NONE;
    case VERB_QUIT: return is_done ? END_QUIT : END_NONE;
    default: return END_NONE;
    }
}

static void account_in_transaction(struct reading *r, size_t i)
{
    struct command *c = &r->d->command[i];
    struct transaction *t = &r->d->transaction[r->open];
    enum transaction_end end = c->is_complete ? end_by(c) : END_NONE;

    c->transaction = r->open;
    place_join(&t->place, &c->place);
    if (c->reply != NULL)
        place_join(&t->place, &c->reply->place);
    if (!c->is_complete)
        return;
    if (c->verb == VERB_RCPT)
        add_recipient(t, i, c);
    else if (c->verb == VERB_DATA) {
        t->data = i;
        t->has_message = c->reply != NULL && c->reply->code == 354;
    } else if (end != END_NONE)
        end_with(r, end, NULL);
}

void account_command(struct reading *r, size_t i)
{
    const struct command *c = &r->d->command[i];

    if (c->verb == VERB_MAIL && c->is_complete && reply_is(c->reply, 2)) {
        if (r->open != SIZE_MAX)
            end_with(r, END_NONE, NULL);
        begin(r, i);
    }
    if (r->open != SIZE_MAX)
        account_in_transaction(r, i);
}

void account_message(struct reading *r)
{
    struct transaction *t = open_transaction(r);

    if (t == NULL)
        return;
    place_join(&t->place, &t->message.place);
    if (t->message.is_ended && t->message.reply != NULL)
        end_with(r, END_MESSAGE, &t->message.reply->place);
}

void account_close(struct reading *r, bool is_closed)
{
    const struct connection *c = r->d->connection;
    struct transaction *t = open_transaction(r);

    if (t == NULL)
        return;
    if (is_closed) {
        for (enum side side = CLIENT; side <= SERVER; side++)
            if (c->stream[side].end_frame > t->place.last_frame)
                t->place.last_frame = c->stream[side].end_frame;
        t->place.last_time = c->last_time > t->place.last_time ? c->last_time : t->place.last_time;
    }
    end_with(r, is_closed ? END_CLOSE : END_NONE, NULL);
}
