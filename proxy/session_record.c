/* What `postern replay` will want to know of a transaction (record.h). Without a ring nothing is kept and nothing costs. */
#include <stdlib.h>

#include "record.h"
#include "session_state.h"

/* The recipients of a transaction as they were judged; charged to the pool of messages. */
struct recorded {
    struct record_rcpt rcpt[RECORD_RCPTS_MAX];
    char text[RECORD_RCPTS_MAX][PATH_ROOM];
    size_t n, all;
};

static struct recorded *recorded(struct session *s)
{
    struct transaction *tx = s->tx;
    struct pool *pool = &s->env->messages;

    if (tx->recorded != NULL || s->env->records == NULL || !pool_charge(pool, sizeof *tx->recorded))
        return tx->recorded;
    tx->recorded = calloc(1, sizeof *tx->recorded);
    if (tx->recorded == NULL)
        pool_release(pool, sizeof *tx->recorded);
    return tx->recorded;
}

void record_recipient(struct session *s, enum record_rcpt_fate fate)
{
    struct recorded *r = recorded(s);
    struct str text = s->tx->rcpt.rcpt.path.text;

    if (r == NULL)
        return;
    r->all++;
    if (r->n == RECORD_RCPTS_MAX)
        return;
    memcpy(r->text[r->n], text.p, text.n);
    r->rcpt[r->n] = (struct record_rcpt){ str_from(r->text[r->n], text.n), fate };
    r->n++;
}

void record_forget(struct session *s)
{
    if (s->tx->recorded != NULL)
        pool_release(&s->env->messages, sizeof *s->tx->recorded);
    free(s->tx->recorded);
    s->tx->recorded = NULL;
}

/* The last word: a doom, or what the policy said AT_END. A transaction that ended before either has none: then it is the refusal
 * of its recipients, or there is nothing to record.
 */
static bool verdict_of(const struct transaction *tx, struct verdict *v)
{
    const struct doom *d = &tx->doom;

    if (d->is_set && (strcmp(d->check, "rates") == 0 || strcmp(d->check, "brownout") == 0))
        return false; /* how much there was is not recorded */
    if (d->is_set)
        *v = (struct verdict){ .action = d->code < 500 ? ACTION_TEMPFAIL : ACTION_REJECT,
                               .code = d->code,
                               .enhanced = d->enhanced,
                               .check = d->check };
    else if (tx->accepted)
        *v = (struct verdict){ .action = tx->findings.action, .enhanced = "", .check = tx->findings.check };
    else
        *v = tx->rcpt_verdict;
    return d->is_set || tx->accepted || (tx->recipients == 0 && tx->rcpt_verdict.code != 0);
}

void record_transaction(struct session *s)
{
    const struct transaction *tx = s->tx;
    const struct mail_command *mail = &tx->mail.mail;
    struct record_entry e = {
        .id = session_id(s),
        .number = tx->number,
        .time = s->env->unix_ms / 1000,
        .client = s->peer.client,
        .helo = str_from(s->helo, s->helo_n),
        .is_esmtp = s->is_esmtp,
        .is_tls = s->is_tls,
        .is_authenticated = s->is_authenticated,
        .is_smtputf8 = (mail->has & HAS_SMTPUTF8) != 0,
        .talked_early = s->talked_early != NULL,
        .pipelined = s->pipelined,
        .mail_from = mail->path.text,
        .has_header = tx->message.header_done,
        .size = tx->message.size,
        .facts = session_facts(s),
    };

    if (s->env->records == NULL || !verdict_of(tx, &e.verdict))
        return;
    if (e.has_header)
        e.header = message_header(&tx->message);
    if (tx->recorded != NULL) {
        e.rcpt = tx->recorded->rcpt;
        e.rcpts = tx->recorded->n;
        e.rcpts_all = tx->recorded->all;
    }
    record_add(s->env->records, &e);
}
