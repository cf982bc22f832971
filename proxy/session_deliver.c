#include <stdio.h>

#include "session_state.h"
#include "trace.h"

enum { BDAT_PIECE = 32768 };

bool stream_is_full(const struct session *s)
{
    return s->tx->flow == FLOW_REDIRECT || s->tx->flow == FLOW_ASKED ||
           s->tx->message.body.n + s->wants.south.out.n > STREAM_WINDOW;
}

static uint64_t time_to_answer(const struct session *s)
{
    uint64_t spent = s->env->now - s->tx->received_at;
    uint64_t left = spent < ANSWER_WITHIN_MS ? ANSWER_WITHIN_MS - spent : 0;
    uint64_t most = s->env->config->timeouts.south_end;

    return left < most ? left : most;
}

/* "for" of the Received field (RFC 5321 4.4). */
static struct str only_recipient(const struct session *s)
{
    const struct transaction *tx = s->tx;

    if (tx->is_redirected)
        return s->env->config->policy.dmarc.quarantine_mailbox;
    return str_from(tx->first_rcpt, tx->recipients == 1 ? tx->first_rcpt_n : 0);
}

static struct trace trace_of(const struct session *s, char *id, size_t size)
{
    const struct transaction *tx = s->tx;
    int n = snprintf(id, size, "%s.%u", s->peer.id, tx->number);

    return (struct trace){
        .hostname = s->env->config->hostname,
        .helo = str_from(s->helo, s->helo_n),
        .client = s->peer.client,
        .is_esmtp = s->is_esmtp,
        .is_utf8 = (tx->mail.mail.has & HAS_SMTPUTF8) != 0,
        .is_authenticated = s->is_authenticated,
        .tls = s->is_tls ? &s->tls : NULL,
        .id = str_from(id, (size_t)n),
        .only_recipient = only_recipient(s),
        .now = s->env->unix_ms / 1000,
    };
}

/* Our trace fields and the header section, in front of everything else of the message (F-5). */
static bool put_front(struct session *s, struct chain *out)
{
    struct transaction *tx = s->tx;
    char id[SESSION_ID_MAX + 16], received[TRACE_MAX];
    struct trace trace;
    size_t n;

    if (tx->front_sent)
        return true;
    tx->front_sent = true;
    trace = trace_of(s, id, sizeof id);
    n = trace_received(&trace, received);
    message_header_leaves(&tx->message);
    return chain_put(out, &s->env->messages, str_from(received, n), CHAIN_FORCE) &&
           chain_put(out, &s->env->messages, findings_fields(tx), CHAIN_FORCE) &&
           trace_put_header(message_header(&tx->message), s->env->config->authserv_id, tx->message.is_raw, out,
                            &s->env->messages, &tx->removed_results);
}

/* Half a message must not be ended by mistake: without memory for its front the connection is cut. */
static void out_of_memory(struct session *s)
{
    doom(s, 451, "4.3.0", "Out of memory, try again", "memory", "out of memory");
    if (s->tx->received)
        finish_refused(s);
}

static void continue_data(struct session *s)
{
    struct transaction *tx = s->tx;
    struct chain *out = &s->wants.south.out;

    if (!put_front(s, out)) {
        out_of_memory(s);
        return;
    }
    if (tx->accepted) {
        chain_move(out, &tx->message.body);
        tx->flow = FLOW_ENDED; /* only here, after the verdict */
        south_asked(s);
        backend_end(s->backend, time_to_answer(s), s->env->now);
        return;
    }
    if (out->n < STREAM_WINDOW)
        chain_move_some(out, &tx->message.body, STREAM_WINDOW - out->n);
    if (s->backend->deadline == UINT64_MAX) /* time for the block runs from when there is one */
        backend_progress(s->backend, s->env->now);
}

/* RFC 3030: one chunk under way at a time; LAST is the end of data and goes only with the verdict. */
static void continue_bdat(struct session *s)
{
    struct transaction *tx = s->tx;
    struct chain piece = { 0 };

    if (tx->bdat_under_way ||
        (!tx->accepted && tx->message.body.n < BDAT_PIECE && pool_fits(&s->env->messages, BDAT_PIECE)))
        return;
    if (!put_front(s, &piece)) {
        chain_clear(&piece);
        out_of_memory(s);
        return;
    }
    chain_move(&piece, &tx->message.body);
    if (tx->accepted)
        south_asked(s);
    if (tx->accepted)
        tx->flow = FLOW_ENDED;
    tx->bdat_under_way = true;
    backend_bdat(s->backend, piece.n, tx->accepted,
                 tx->accepted ? time_to_answer(s) : s->env->config->timeouts.south_block, s->env->now);
    if (s->backend->state == BACKEND_BROKEN) /* without its command the chunk would run as commands */
        chain_clear(&piece);
    chain_move(&s->wants.south.out, &piece);
}

void deliver_continue(struct session *s)
{
    if (s->tx == NULL || s->tx->flow != FLOW_OPEN)
        return;
    if (s->tx->message.is_raw)
        continue_bdat(s);
    else
        continue_data(s);
}

/* The transaction at the back end has its recipients: on with the message. */
static void data_begin(struct session *s)
{
    struct transaction *tx = s->tx;

    if (tx->message.is_raw) {
        tx->flow = FLOW_OPEN;
        deliver_continue(s);
    } else {
        tx->flow = FLOW_ASKED;
        backend_data(s->backend, s->env->now);
    }
}

/* ---- into quarantine ---- */

/* How its sender wants to hear of a delivery (RFC 3461) is nothing for a message that goes elsewhere. */
static void redirect_mail(struct session *s)
{
    backend_mail(s->backend, &s->tx->mail.mail, mail_parameters(s) & ~(unsigned)(HAS_RET | HAS_ENVID), s->env->now);
}

/* The place of the recipients' commands is free: no further one can come (P-13). */
static void redirect_rcpt(struct session *s)
{
    struct transaction *tx = s->tx;
    int n = snprintf(tx->rcpt_line, sizeof tx->rcpt_line, "RCPT TO:<%.*s>",
                     STR_ARG(s->env->config->policy.dmarc.quarantine_mailbox));

    command_parse(str_from(tx->rcpt_line, (size_t)n), false, &tx->rcpt); /* the configuration was read with the same */
    rcpt_send(s);
}

/* The recipients were accepted before the message was judged. The transaction that holds them is undone and made anew for
 * the quarantine mailbox alone.
 */
static void redirect_begin(struct session *s)
{
    s->tx->flow = FLOW_REDIRECT;
    s->tx->is_redirected = true;
    backend_reset(s->backend, s->env->now);
    if (s->backend->caps.bits & CAP_PIPELINING) { /* RFC 2920 3.1 */
        redirect_mail(s);
        redirect_rcpt(s);
    }
}

static void redirect_refused(struct session *s)
{
    s->tx->flow = FLOW_CUT; /* in order: nothing has to be undone but the transaction */
    doom(s, 451, "4.3.0", "The quarantine is not available, try again", "dmarc.quarantine_mailbox",
         "refused by the back end");
    if (s->tx->received)
        finish_refused(s);
}

void redirect_answered(struct session *s)
{
    enum backend_ask asked = s->backend->replied_to;
    bool is_pipelined = (s->backend->caps.bits & CAP_PIPELINING) != 0;

    if (s->tx->flow != FLOW_REDIRECT) /* doomed meanwhile */
        return;
    if (s->backend->reply.code / 100 != 2) {
        redirect_refused(s);
    } else if (asked == ASKED_RCPT) {
        data_begin(s);
        deliver_continue(s);
    } else if (!is_pipelined && asked == ASKED_RSET) {
        redirect_mail(s);
    } else if (!is_pipelined && asked == ASKED_MAIL) {
        redirect_rcpt(s);
    }
}

/* ---- beginning and end ---- */

void stream_begin(struct session *s)
{
    struct transaction *tx = s->tx;

    if (tx->flow != FLOW_HELD || tx->doom.is_set)
        return;
    if (tx->to_quarantine)
        redirect_begin(s);
    else
        data_begin(s);
}

void deliver(struct session *s)
{
    south_wait(s);
    stream_begin(s);
    deliver_continue(s);
}

static void finished(struct session *s)
{
    transaction_end(s);
    if (s->wait != WAIT_NOTHING)
        await_client(s, WAIT_COMMAND);
}

void delivered(struct session *s, const struct reply *south)
{
    struct session_env *env = s->env;
    struct reply north = *south;

    memory_delivered(s, south);
    if (south->code / 100 == 2) {
        south_took(s, TASK_END, true);
        north.code = 250;
        env->accepted++;
        s->accepted++;
        s->junk = 0;
        say_reply(s, &north);
        s->accept_unsent = !s->north_gone;
        log_transaction(s, s->north_gone ? "accepted, reply undeliverable" : "accepted", &north, south);
    } else {
        rates_refused(s, south->code, "backend");
        say_reply(s, &north);
        log_transaction(s, south->code / 100 == 4 ? "tempfailed" : "rejected", &north, south);
    }
    finished(s);
}

void finish_refused(struct session *s)
{
    struct reply reply = doom_reply(s->tx);
    bool is_permanent = reply.code / 100 == 5;

    if (is_permanent)
        s->env->refused++;
    else
        s->env->tempfailed++;
    s->errors++;
    rates_refused(s, reply.code, s->tx->doom.check);
    say_reply(s, &reply);
    log_transaction(s, is_permanent ? "rejected" : "tempfailed", &reply, NULL);
    finished(s);
}
