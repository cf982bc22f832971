#include <stdio.h>

#include "session_state.h"

enum { REPLY_ROOM = 8192 };

struct str session_id(const struct session *s)
{
    return str_of(s->peer.id);
}

/* A reply that cannot be printed for want of memory must not leave the client waiting or guessing: the connection is reset,
 * which every client takes for "try again". The session itself goes on until its event is over (settle), and a message whose
 * end was read is finished (X1): callers still need their transaction.
 */
static void put_octets(struct session *s, struct str octets)
{
    if (s->north_gone || s->wants.north.end != LEG_OPEN ||
        (octets.n > 0 && chain_put(&s->wants.north.out, &s->env->control, octets, CHAIN_FORCE)))
        return;
    s->north_gone = true;
    s->wants.north.end = LEG_RESET;
    snprintf(s->end_reason, sizeof s->end_reason, "out of memory");
}

static void put_reply(struct session *s, const struct reply *reply)
{
    char out[REPLY_ROOM];
    struct str id = reply->code >= 400 ? session_id(s) : STR("");

    greeting_complete(s); /* a greeting that has begun has an end, whatever comes behind it */
    if (!s->north_gone && s->wants.north.end == LEG_OPEN)
        put_octets(s, str_from(out, reply_print(reply, id, out, sizeof out)));
}

void say_line(struct session *s, const char *line)
{
    char out[GREETING_MAX + 2];
    int n = snprintf(out, sizeof out, "%s\r\n", line);

    put_octets(s, str_from(out, (size_t)n < sizeof out ? (size_t)n : 0));
}

void say(struct session *s, int code, const char *enhanced, const char *text)
{
    put_reply(s, &(struct reply){ code, str_of(enhanced), str_of(text) });
}

/* RFC 2034 4: with ENHANCEDSTATUSCODES every 2xx, 4xx and 5xx has one; a back end that gave none gets the general one. */
void say_reply(struct session *s, const struct reply *reply)
{
    static const char *const general[] = { "2.0.0", "", "4.0.0", "5.0.0" };
    struct reply r = *reply;

    if (r.enhanced.n == 0 && r.code >= 200 && r.code < 600)
        r.enhanced = str_of(general[r.code / 100 - 2]);
    put_reply(s, &r);
}

static void log_names(struct session *s)
{
    const struct transaction *tx = s->tx;

    log_str(s->env->log, "id", session_id(s));
    if (tx != NULL)
        log_num(s->env->log, "tx", tx->number);
    log_endpoint(s->env->log, "client", &s->peer.client);
    log_str(s->env->log, "helo", str_from(s->helo, s->helo_n));
    if (tx != NULL)
        log_str(s->env->log, "from", tx->mail.mail.path.text);
}

static void log_reply(struct session *s, const char *key, const struct reply *reply)
{
    char text[600];
    struct str line = str_from(reply->text.p, str_find(reply->text, '\n'));
    int n = snprintf(text, sizeof text, "%d %.*s%s%.*s", reply->code, STR_ARG(reply->enhanced),
                     reply->enhanced.n > 0 ? " " : "", (int)(line.n < 500 ? line.n : 500), line.p);

    log_str(s->env->log, key, str_from(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

void log_refusal(struct session *s, const struct reply *reply, const char *check, struct str reason)
{
    struct log *log = s->env->log;

    log_begin(log, LOG_INFO, "refused");
    log_names(s);
    if (s->tx != NULL && s->tx->rcpt.verb == VERB_RCPT)
        log_str(log, "to", s->tx->rcpt.rcpt.path.text);
    log_reply(s, "reply", reply);
    log_text(log, "check", check);
    log_str(log, "reason", reason);
    log_end(log);
}

void log_noted(struct session *s, const struct score *score)
{
    struct log *log = s->env->log;

    log_begin(log, LOG_INFO, "noted");
    log_names(s);
    log_text(log, "check", score->check);
    log_str(log, "reason", score->reason);
    log_end(log);
}

void refuse_reply(struct session *s, const struct reply *reply, const char *check, struct str reason)
{
    log_refusal(s, reply, check, reason);
    rates_refused(s, reply->code, check);
    say_reply(s, reply);
    if (++s->errors > errors_allowed(s))
        leave_with(s, "4.7.0", "Too many errors", "too many errors");
    else
        tarpit(s);
}

void refuse(struct session *s, int code, const char *enhanced, const char *text, const char *check, struct str reason)
{
    refuse_reply(s, &(struct reply){ code, str_of(enhanced), str_of(text) }, check, reason);
}

void refuse_verdict(struct session *s, const struct verdict *v)
{
    refuse_reply(s, &(struct reply){ v->code, str_of(v->enhanced), v->text }, v->check, v->reason);
}

void leave(struct session *s, const char *reason)
{
    if (s->wait == WAIT_NOTHING)
        return;
    tarpit_release(s);
    greeting_complete(s);
    south_wait_over(s);
    s->wait = WAIT_NOTHING;
    if (s->end_reason[0] == '\0')
        snprintf(s->end_reason, sizeof s->end_reason, "%s", reason);
    if (s->wants.north.end == LEG_OPEN)
        s->wants.north.end = LEG_CLOSE;
    transaction_drop(s);
    facts_drop(s);
    south_quit(s);
}

/* RFC 5321 3.8: 421 says that the server closes, and that nothing is wrong with the mail. */
void leave_with(struct session *s, const char *enhanced, const char *text, const char *reason)
{
    if (s->wait == WAIT_NOTHING)
        return;
    say(s, 421, enhanced, text);
    leave(s, reason);
}

static const char *protocol_name(const struct session *s)
{
    if (!s->is_esmtp)
        return "SMTP";
    return s->is_tls ? (s->is_authenticated ? "ESMTPSA" : "ESMTPS") : "ESMTP";
}

/* With `client` and `address` these name both connections of a session, so that a capture can be joined to it (L-4). */
void log_south(struct session *s)
{
    if (s->south_server == NULL)
        return;
    log_endpoint(s->env->log, "backend", s->south_server);
    if (s->south_own.port != 0)
        log_endpoint(s->env->log, "via", &s->south_own);
}

/* A connection that was lost had this transaction, too: where its outcome is unknown, that is where to look. */
static void log_backend(struct session *s, const struct reply *south)
{
    if (s->backend != NULL || s->tx->mail_sent)
        log_south(s);
    if (south != NULL)
        log_reply(s, "backend_reply", south);
}

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && address_eq(&a->address, &b->address);
}

/* Who spoke for the client (PROXY protocol), and where it was reached. */
static void log_north(struct session *s)
{
    struct log *log = s->env->log;

    if (!is_same_endpoint(&s->peer.peer, &s->peer.client))
        log_endpoint(log, "peer", &s->peer.peer);
    log_str(log, "listener", s->peer.listener->name);
    log_endpoint(log, "address", &s->peer.address);
}

void log_transaction(struct session *s, const char *outcome, const struct reply *north, const struct reply *south)
{
    struct log *log = s->env->log;
    const struct transaction *tx = s->tx;

    record_transaction(s);
    log_begin(log, LOG_INFO, "transaction");
    log_names(s);
    log_str(log, "to", str_from(tx->first_rcpt, tx->first_rcpt_n));
    log_num(log, "recipients", (int64_t)tx->recipients);
    log_num(log, "size", (int64_t)tx->message.size);
    log_text(log, "protocol", protocol_name(s));
    if (s->is_tls)
        log_text(log, "tls", s->tls.version);
    log_text(log, "outcome", outcome);
    if (north != NULL)
        log_reply(s, "reply", north);
    if (tx->doom.is_set) {
        log_text(log, "check", tx->doom.check);
        log_text(log, "reason", tx->doom.reason);
    }
    findings_log(s);
    scores_log(&tx->scores, log);
    log_backend(s, south);
    if (tx->removed_results > 0)
        log_num(log, "forged_results_removed", tx->removed_results);
    log_num(log, "ms", (int64_t)(s->env->now - tx->begun_at));
    log_end(log);
}

void log_connection(struct session *s)
{
    struct log *log = s->env->log;

    log_begin(log, LOG_INFO, "connection");
    log_str(log, "id", session_id(s));
    log_endpoint(log, "client", &s->peer.client);
    log_north(s);
    log_str(log, "helo", str_from(s->helo, s->helo_n));
    if (s->is_tls) {
        log_text(log, "tls", s->tls.version);
        log_text(log, "cipher", s->tls.cipher);
    }
    log_num(log, "transactions", s->transactions);
    log_num(log, "accepted", s->accepted);
    log_num(log, "errors", s->errors);
    if (s->talked_early != NULL)
        log_text(log, "talked_early", s->talked_early);
    if (s->tarpit_ms > 0)
        log_num(log, "tarpit_ms", (int64_t)s->tarpit_ms);
    log_text(log, "end", s->end_reason[0] != '\0' ? s->end_reason : "dropped");
    log_num(log, "ms", (int64_t)(s->env->now - s->begun_at));
    log_end(log);
}
