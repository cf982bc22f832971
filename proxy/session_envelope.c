#include <stdio.h>
#include <stdlib.h>

#include "session_state.h"

/* ---- the transaction ---- */

/* Whether the back end is in the middle of something that RSET cannot undo: message bytes, or replies still due. */
static bool must_cut(const struct session *s)
{
    return s->backend->asked_n > 0 || s->backend->state != BACKEND_READY;
}

static void transaction_free(struct session *s)
{
    memory_settle(s);
    rates_bytes(s);
    record_forget(s);
    message_free(&s->tx->message);
    findings_free(s);
    free(s->tx);
    s->tx = NULL;
    facts_drop(s);
}

void transaction_end(struct session *s)
{
    if (s->backend != NULL && s->tx->mail_sent) {
        if (must_cut(s))
            south_drop(s, LEG_RESET);
        else if (s->wait != WAIT_NOTHING) /* a session that leaves says QUIT, which does as well */
            backend_reset(s->backend, s->env->now);
    }
    transaction_free(s);
}

static const char *outcome_of_drop(const struct transaction *tx)
{
    if (tx->flow == FLOW_ENDED)
        return "unknown";
    return tx->recipients == 0 && tx->refused_recipients > 0 ? "no recipients" : "aborted";
}

/* X19, A-6: the back end never sees the end of data of a transaction that is dropped here. */
void transaction_drop(struct session *s)
{
    if (s->tx == NULL)
        return;
    log_transaction(s, outcome_of_drop(s->tx), NULL, NULL);
    transaction_end(s);
}

void doom(struct session *s, int code, const char *enhanced, const char *text, const char *check, const char *reason)
{
    struct doom *d = &s->tx->doom;

    if (d->is_set)
        return;
    *d = (struct doom){ .is_set = true, .code = code, .check = check };
    snprintf(d->enhanced, sizeof d->enhanced, "%s", enhanced);
    snprintf(d->text, sizeof d->text, "%s", text);
    snprintf(d->reason, sizeof d->reason, "%s", reason);
    /* What went south of it must never be completed. */
    if (s->backend != NULL && (s->tx->flow == FLOW_ASKED || s->tx->flow == FLOW_OPEN))
        south_drop(s, LEG_RESET);
    s->tx->flow = FLOW_CUT;
    chain_clear(&s->tx->message.body);
}

void doom_with(struct session *s, const struct reply *reply)
{
    char enhanced[12], text[sizeof s->tx->doom.text];

    snprintf(enhanced, sizeof enhanced, "%.*s", (int)(reply->enhanced.n < 11 ? reply->enhanced.n : 11),
             reply->enhanced.n > 0 ? reply->enhanced.p : "");
    snprintf(text, sizeof text, "%.*s", (int)(reply->text.n < sizeof text ? reply->text.n : sizeof text - 1),
             reply->text.p);
    doom(s, reply->code, enhanced, text, "backend", "refused by the back end");
}

struct reply doom_reply(const struct transaction *tx)
{
    return (struct reply){ tx->doom.code, str_of(tx->doom.enhanced), str_of(tx->doom.text) };
}

/* ---- MAIL ---- */

/* Parameters that were not in the EHLO answer are not parameters of this session (RFC 5321 4.1.1.11). */
static bool mail_uses_only(const struct mail_command *mail, unsigned offered)
{
    if (mail->has != 0 && offered == 0)
        return false;
    if ((mail->has & HAS_SMTPUTF8) && !(offered & CAP_SMTPUTF8))
        return false;
    if ((mail->has & (HAS_RET | HAS_ENVID)) && !(offered & CAP_DSN))
        return false;
    if ((mail->has & HAS_AUTH) && !(offered & CAP_AUTH))
        return false;
    if (mail->body == BODY_BINARYMIME)
        return (offered & CAP_BINARYMIME) != 0;
    return mail->body != BODY_8BITMIME || (offered & CAP_8BITMIME) != 0;
}

static struct transaction *transaction_new(struct session *s, struct str line)
{
    struct transaction *tx = calloc(1, sizeof *tx);

    if (tx == NULL)
        return NULL;
    memcpy(tx->mail_line, line.p, line.n);
    command_parse(str_from(tx->mail_line, line.n), false, &tx->mail); /* again, into memory that lasts */
    tx->number = ++s->transactions;
    tx->begun_at = s->env->now;
    return tx;
}

void do_mail(struct session *s, struct command *c, struct str line)
{
    const struct limits *limits = &s->env->config->limits;

    if (s->tx != NULL) {
        refuse(s, 503, "5.5.1", "Nested MAIL command", "sequence", STR("MAIL in a transaction"));
    } else if (!mail_uses_only(&c->mail, s->offered)) {
        refuse(s, 555, "5.5.4", "MAIL parameter not offered here", "syntax", line);
    } else if (c->mail.size > s->size_offered) { /* RFC 1870 6.1 */
        refuse(s, 552, "5.3.4", "Message too big", "limits.message_size", STR("declared SIZE above the limit"));
    } else if (s->transactions >= limits->transactions) {
        leave_with(s, "4.7.0", "Too many messages in one session", "transactions limit");
    } else if ((s->tx = transaction_new(s, line)) == NULL) {
        refuse(s, 452, "4.3.1", "Out of memory, try again", "memory", STR("out of memory"));
    } else {
        rates_attempt(s, AT_MAIL);
        judge(s, AT_MAIL);
    }
}

void mail_judged(struct session *s, const struct verdict *v)
{
    await_client(s, WAIT_COMMAND);
    if (verdict_refuses(v)) {
        refuse_verdict(s, v);
        if (s->tx != NULL) {
            doom(s, v->code, v->enhanced, "", v->check, "refused at MAIL");
            log_transaction(s, v->action == ACTION_REJECT ? "rejected" : "tempfailed", NULL, NULL);
            transaction_end(s);
        }
        return;
    }
    say(s, 250, "2.1.0", "Sender OK");
}

/* ---- RCPT ---- */

static bool is_over_recipient_limit(const struct session *s)
{
    uint64_t limit = s->env->config->limits.recipients;
    uint64_t theirs = s->backend != NULL ? s->backend->caps.rcpt_max : 0;

    return s->tx->recipients >= (theirs != 0 && theirs < limit ? theirs : limit);
}

/* RFC 5321 4.5.3.1.10: the sender keeps what was accepted and comes back with the rest; so this does not count as
 * an error, but a client that only goes on and on is cut.
 */
static void refuse_for_later(struct session *s, const struct reply *reply, bool *is_said, const char *check,
                             struct str reason)
{
    enum { PATIENCE = 10 };

    if (!*is_said) /* one line tells it all, however many follow */
        log_refusal(s, reply, check, reason);
    *is_said = true;
    say_reply(s, reply);
    if (++s->tx->refused_recipients > PATIENCE * s->env->config->limits.recipients)
        leave_with(s, "4.7.0", "Too many recipients", "too many recipients");
}

static void refuse_too_many(struct session *s)
{
    const struct reply reply = { 452, STR("4.5.3"), STR("Too many recipients") };

    refuse_for_later(s, &reply, &s->tx->is_full, "limits.recipients", STR("too many recipients"));
}

void do_rcpt(struct session *s, struct command *c, struct str line)
{
    struct transaction *tx = s->tx;

    if (tx == NULL || tx->receiving) {
        refuse(s, 503, "5.5.1", "Need MAIL before RCPT", "sequence", STR("RCPT without MAIL"));
    } else if (c->rcpt.has != 0 && !(s->offered & CAP_DSN)) {
        refuse(s, 555, "5.5.4", "RCPT parameter not offered here", "syntax", line);
    } else if (is_over_recipient_limit(s)) {
        refuse_too_many(s);
    } else {
        memcpy(tx->rcpt_line, line.p, line.n);
        command_parse(str_from(tx->rcpt_line, line.n), (tx->mail.mail.has & HAS_SMTPUTF8) != 0, &tx->rcpt);
        rates_attempt(s, AT_RCPT);
        judge(s, AT_RCPT);
    }
}

const struct route *route_for(const struct session *s, const struct path *path)
{
    char room[PATH_DOMAIN_MAX + 1];
    const struct config *config = s->env->config;

    if (s->is_authenticated) /* what the back end allows to this user holds at that back end only */
        return &config->routes[0];
    return config_route(config, path->domain.n > 0 ? domain_canonical(path->domain, room) : STR(""));
}

void rcpt_failed(struct session *s)
{
    struct reply reply = doom_reply(s->tx);

    s->pending = PENDING_NONE;
    await_client(s, WAIT_COMMAND);
    s->tx->refused_recipients++;
    refuse_reply(s, &reply, s->tx->doom.check, str_of(s->tx->doom.reason));
}

/* The sender comes back with this recipient in a transaction of its own. */
static void refuse_other_route(struct session *s)
{
    const struct reply reply = { 452, STR("4.5.3"), STR("Recipient goes to another server, send separately") };

    refuse_for_later(s, &reply, &s->tx->is_divided, "route", STR("one mail server per transaction"));
}

/* So it is with what comes too fast; another configuration would not judge it either (its counts are not recorded). */
static void refuse_too_fast(struct session *s, const struct verdict *v)
{
    const struct reply reply = { v->code, str_of(v->enhanced), v->text };

    record_recipient(s, RECORD_RCPT_ELSEWHERE);
    refuse_for_later(s, &reply, &s->tx->is_slowed, v->check, v->reason);
}

/* One that is refused as the back end did before is none of the policy's: another configuration would not let it in. */
static void note_refused_recipient(struct session *s, const struct verdict *v)
{
    if (strcmp(v->check, "recipients") == 0) {
        s->tx->unknown_recipients++;
        rates_recipient_unknown(s);
        record_recipient(s, RECORD_RCPT_ELSEWHERE);
        return;
    }
    s->tx->rcpt_verdict = (struct verdict){ v->action, v->code, v->enhanced, STR(""), v->check, STR("") };
    record_recipient(s, RECORD_RCPT_REFUSED);
}

void rcpt_judged(struct session *s, const struct verdict *v)
{
    struct transaction *tx = s->tx;
    const struct route *route;

    await_client(s, WAIT_COMMAND);
    if (verdict_refuses(v) && strcmp(v->check, "rates") == 0) {
        refuse_too_fast(s, v);
        return;
    }
    if (verdict_refuses(v)) {
        tx->refused_recipients++;
        note_refused_recipient(s, v);
        refuse_verdict(s, v);
        return;
    }
    route = route_for(s, &tx->rcpt.rcpt.path);
    if (tx->doom.is_set) {
        rcpt_failed(s);
    } else if (tx->route != NULL && tx->route != route) { /* one back end per transaction */
        refuse_other_route(s);
    } else {
        tx->route = route;
        s->pending = PENDING_RCPT;
        south_asked(s);
        await_client(s, WAIT_BACKEND);
        south_wait(s);
        if (s->backend == NULL || s->route != route || !backend_is_open(s->backend))
            south_open(s, route, 0);
        else if (backend_takes(s->backend))
            rcpt_continue(s);
    }
}

static unsigned caps_used(const struct transaction *tx)
{
    const struct mail_command *mail = &tx->mail.mail;
    unsigned used = 0;

    if (mail->has & HAS_SMTPUTF8)
        used |= CAP_SMTPUTF8;
    if ((mail->has & (HAS_RET | HAS_ENVID)) || tx->rcpt.rcpt.has != 0)
        used |= CAP_DSN;
    if (mail->body == BODY_8BITMIME)
        used |= CAP_8BITMIME;
    if (mail->body == BODY_BINARYMIME)
        used |= CAP_BINARYMIME;
    return used;
}

/* parameters go on only as far as this back end offers them. SIZE and AUTH are advice and may be left out. */
unsigned mail_parameters(const struct session *s)
{
    unsigned use = HAS_SMTPUTF8 | HAS_RET | HAS_ENVID;

    if (s->backend->caps.bits & CAP_SIZE)
        use |= HAS_SIZE;
    if ((s->backend->caps.bits & CAP_8BITMIME) || s->tx->mail.mail.body == BODY_BINARYMIME) /* caps_used has looked */
        use |= HAS_BODY;
    if (s->is_authenticated)
        use |= HAS_AUTH;
    return use;
}

void rcpt_send(struct session *s)
{
    backend_rcpt(s->backend, &s->tx->rcpt.rcpt, HAS_NOTIFY | HAS_ORCPT, s->env->now);
}

void rcpt_continue(struct session *s)
{
    struct transaction *tx = s->tx;

    south_asked(s);
    if (caps_used(tx) & ~s->backend->caps.bits) {
        doom(s, 451, "4.3.0", "The mail server changed what it offers, try again", "backend",
             "this back end does not offer what EHLO promised");
        rcpt_failed(s);
    } else if (tx->mail_sent) {
        rcpt_send(s);
    } else {
        tx->mail_sent = true;
        backend_mail(s->backend, &tx->mail.mail, mail_parameters(s), s->env->now);
        if (s->backend->caps.bits & CAP_PIPELINING)
            rcpt_send(s);
    }
}

/* RFC 5321 4.5.1; of a local domain, or of none. */
static bool is_postmaster(const struct session *s, const struct path *path)
{
    char room[PATH_DOMAIN_MAX + 1];

    return path_is_postmaster(path) && (path->domain.n == 0 || domain_set_holds(&s->env->config->policy.relay.domains,
                                                                                domain_canonical(path->domain, room)));
}

static void remember_recipient(struct session *s)
{
    struct transaction *tx = s->tx;
    struct str text = tx->rcpt.rcpt.path.text;

    if (!is_postmaster(s, &tx->rcpt.rcpt.path))
        tx->has_others = true;
    if (tx->recipients++ > 0)
        return;
    memcpy(tx->first_rcpt, text.p, text.n);
    tx->first_rcpt_n = text.n;
}

void rcpt_answered(struct session *s, const struct reply *reply)
{
    struct reply accepted = *reply;

    if (s->tx->doom.is_set) { /* MAIL was refused, and this RCPT was pipelined behind it */
        rcpt_failed(s);
        return;
    }
    s->pending = PENDING_NONE;
    await_client(s, WAIT_COMMAND);
    if (reply->code / 100 == 2) /* what it refuses it may draw out on purpose */
        south_took(s, TASK_COMMAND, true);
    memory_recipient_answered(s, reply);
    if (reply->code / 100 == 2) {
        remember_recipient(s);
        record_recipient(s, RECORD_RCPT_ACCEPTED);
        accepted.code = 250;
        say_reply(s, &accepted);
    } else {
        s->tx->refused_recipients++;
        record_recipient(s, RECORD_RCPT_ELSEWHERE);
        refuse_reply(s, reply, "backend", STR("refused by the back end"));
    }
}
