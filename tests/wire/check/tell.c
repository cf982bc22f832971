/* See tell.h. */
#include "tell.h"

static void tell_reply(struct buffer *b, const struct reply *r)
{
    if (r == NULL)
        buffer_printf(b, "-");
    else
        buffer_printf(b, "%d%s", r->code, r->is_early ? "!" : "");
}

static void tell_commands(struct buffer *b, const struct dialogue *d)
{
    for (size_t i = 0; i < d->command_n; i++) {
        const struct command *c = &d->command[i];

        buffer_printf(b, "%s%s%s%s ", i > 0 ? ", " : "; ", i == d->tls_command ? "in TLS " : "", verb_name(c->verb),
                      c->is_complete ? "" : "~");
        tell_reply(b, c->reply);
        if (c->verb == VERB_BDAT)
            buffer_printf(b, " of %zu", c->payload_n);
    }
}

static void tell_transaction(struct buffer *b, const struct dialogue *d, const struct transaction *t)
{
    static const char *const ends[] = { "open", "message", "RSET", "hello", "STARTTLS", "QUIT", "close" };
    const struct message *m = &t->message;

    buffer_printf(b, "; <%.*s> to", SLICE_ARG(t->from.path));
    for (size_t i = 0; i < t->rcpt_n; i++) {
        buffer_printf(b, " <%.*s> ", SLICE_ARG(t->to[i].path));
        tell_reply(b, d->command[t->rcpt[i]].reply);
    }
    if (t->has_message) {
        buffer_printf(b, ": ");
        buffer_add_quoted(b, buffer_slice(&m->body), 200);
        buffer_printf(b, "%s ", m->is_ended ? "" : "...");
        tell_reply(b, m->reply);
    }
    buffer_printf(b, " (%s)", ends[t->end]);
}

void dialogue_tell(struct buffer *b, const struct dialogue *d)
{
    tell_reply(b, d->greeting);
    tell_commands(b, d);
    if (d->tls_command != SIZE_MAX && d->tls_command >= d->command_n)
        buffer_printf(b, "; in TLS a command that is not there"); /* never */
    for (size_t i = 0; i < d->transaction_n; i++)
        tell_transaction(b, d, &d->transaction[i]);
    for (size_t i = 0; i < d->unasked_n; i++)
        buffer_printf(b, "; unasked %d", d->unasked[i]->code);
    if (d->farewell != NULL)
        buffer_printf(b, "; farewell %d", d->farewell->code);
    if (d->injected.n > 0)
        buffer_printf(b, "; injected %zu", d->injected.n);
    if (d->is_implicit_tls)
        buffer_printf(b, "; implicit TLS");
    if (!d->is_smtp)
        buffer_printf(b, "; no SMTP");
    if (!d->is_readable)
        buffer_printf(b, "; in doubt");
}
