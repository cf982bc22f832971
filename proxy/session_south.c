#include <stdlib.h>

#include "session_state.h"

static void log_server(struct session *s, enum log_level level, const char *event, const struct server *server)
{
    log_begin(s->env->log, level, event);
    log_str(s->env->log, "id", session_id(s));
    log_endpoint(s->env->log, "backend", server->endpoint);
    if (server->is_down)
        log_text(s->env->log, "reason", server->why);
    log_end(s->env->log);
}

static struct backend *backend_room(struct session *s)
{
    if (s->backend == NULL)
        s->backend = malloc(sizeof *s->backend);
    return s->backend;
}

static const char *no_server_reason(const struct session *s)
{
    return s->backend != NULL && s->backend->why != NULL && s->backend->why[0] != '\0' ? s->backend->why
                                                                                       : "every back end is down";
}

/* Nothing left to try: 451, never a 5xx for our side's trouble (X7). */
static void cannot_open(struct session *s, const char *why)
{
    if (s->pending == PENDING_AUTH) {
        auth_failed(s);
    } else if (s->tx != NULL) {
        doom(s, 451, "4.4.1", "The mail server is not available, try again", "backend", why);
        rcpt_failed(s);
    }
}

/* One thing at a time is timed: a client waits for one answer. */
void south_asked(struct session *s)
{
    s->south_since = s->env->now;
}

void south_took(struct session *s, enum server_task task, bool is_answer)
{
    struct server *server = servers_find(s->env->servers, s->route, s->south_server);

    if (server != NULL)
        servers_took(server, task, s->env->now - s->south_since, is_answer, s->env->now);
    if (is_answer && task != TASK_OPEN)
        servers_heard(s->env->servers, s->env->now);
}

void south_wait(struct session *s)
{
    if (s->waits)
        return;
    s->waits = true;
    s->waits_since = s->env->now;
    servers_wait(s->env->servers, s->waits_since);
}

void south_wait_over(struct session *s)
{
    if (s->waits)
        servers_wait_over(s->env->servers, s->waits_since);
    s->waits = false;
}

/* Connects to the next server of the route. A server known to be down is tried only when all of them are. */
void south_open(struct session *s, const struct route *route, size_t from)
{
    bool all_down = servers_all_down(s->env->servers, route);
    struct server *server = servers_pick(s->env->servers, route, from, all_down, &s->server_index);
    const char *why = no_server_reason(s);

    if (s->backend != NULL)
        south_drop(s, backend_is_open(s->backend) ? LEG_CLOSE : LEG_RESET);
    if (server == NULL) {
        cannot_open(s, why);
        return;
    }
    if (backend_room(s) == NULL) {
        cannot_open(s, "out of memory");
        return;
    }
    s->route = route;
    s->south_server = server->endpoint;
    s->south_own = (struct endpoint){ 0 };
    s->client_facts =
        (struct backend_client){ s->peer.client, s->peer.server, str_from(s->helo, s->helo_n), s->is_esmtp };
    backend_open(s->backend, s->env->config, route, server->endpoint, &s->client_facts, &s->wants.south.out,
                 &s->env->control, s->env->now);
    south_asked(s);
    s->wants.open_south = true;
    s->wants.route = route;
    s->wants.target = server->endpoint;
}

void south_drop(struct session *s, enum leg_end how)
{
    if (s->backend == NULL)
        return;
    if (s->is_authenticated) /* a new connection is not: the back end would refuse for good what is ours to repair */
        s->draining = true;
    if (how == LEG_CLOSE && s->backend->state == BACKEND_READY && s->backend->asked_n == 0)
        chain_put(&s->wants.south.out, &s->env->control, STR("QUIT\r\n"), CHAIN_FORCE);
    if (how == LEG_RESET)
        chain_clear(&s->wants.south.out);
    s->wants.south.end = how;
    s->wants.south.start_tls = false;
    s->wants.open_south = false;
    free(s->backend);
    s->backend = NULL;
}

/* Orderly: the answer to QUIT is waited for, so that the back end closes first. */
void south_quit(struct session *s)
{
    if (s->backend == NULL)
        return;
    if (s->backend->state == BACKEND_READY && s->backend->asked_n == 0)
        backend_quit(s->backend, s->env->now);
    else if (s->backend->state != BACKEND_QUITTING)
        south_drop(s, LEG_RESET);
}

/* The back end is ready: on with the command that waits for it. */
static void go_on(struct session *s)
{
    if (s->pending == PENDING_AUTH)
        auth_continue(s);
    else if (s->pending == PENDING_RCPT)
        rcpt_continue(s);
}

static void on_opened(struct session *s)
{
    struct server *server = servers_find(s->env->servers, s->route, s->backend->server);

    south_took(s, TASK_OPEN, true);
    if (servers_up(server, &s->backend->caps, s->env->now, s->env->config->timeouts.probe))
        log_server(s, LOG_INFO, "backend_up", server);
    go_on(s);
}

/* A server that answers, but not as it should, is up; one client's refusal must not close the door to all others. One that
 * is told who the client is may hang up on this one without a word: whether it is down then is for the probes to say.
 */
static bool is_about_client(const struct backend *b)
{
    return b->was_reply || (b->connected && b->route->client_info != CLIENT_INFO_NONE);
}

static void on_unusable(struct session *s)
{
    struct server *server = servers_find(s->env->servers, s->route, s->backend->server);
    const struct route *route = s->route;

    south_took(s, TASK_OPEN, false);
    if (!is_about_client(s->backend) &&
        servers_down(s->env->servers, server, s->backend->why, s->env->now, s->env->config->timeouts.probe))
        log_server(s, LOG_WARN, "backend_down", server);
    if (s->pending == PENDING_NONE)
        south_drop(s, LEG_RESET);
    else if (s->env->now >= s->wait_deadline)
        south_open(s, route, route->servers.n); /* the client's patience is used up: no further server */
    else
        south_open(s, route, s->server_index + 1);
}

/* No server is to blame, and none would do better. */
void south_short(struct session *s)
{
    const struct route *route = s->route;

    if (s->pending == PENDING_NONE)
        south_drop(s, LEG_RESET);
    else
        south_open(s, route, route->servers.n);
}

/* X2, X3: the end of data went south, its answer did not come. The message may or may not exist: the client tries again. */
static void outcome_unknown(struct session *s, const char *why)
{
    struct reply reply = { 451, STR("4.4.2"), STR("Lost the mail server while it had the message, try again") };

    doom(s, 451, "4.4.2", "", "backend", why);
    say_reply(s, &reply);
    log_transaction(s, "unknown", &reply, NULL);
    transaction_end(s);
    await_client(s, WAIT_COMMAND);
}

static void lost_in_transaction(struct session *s, const char *why, bool was_421)
{
    doom(s, 451, was_421 ? "4.3.2" : "4.4.2", "Lost the mail server, try again", "backend", why);
    if (s->pending == PENDING_RCPT)
        rcpt_failed(s);
    else if (s->wait == WAIT_END ||
             (s->wait == WAIT_VERDICT && s->tx->received)) /* the verdict can change nothing more */
        finish_refused(s);
}

static void on_lost(struct session *s)
{
    struct transaction *tx = s->tx;
    const char *why = s->backend->why;
    bool was_421 = s->backend->was_reply && s->backend->reply.code == 421;
    bool is_ended = tx != NULL && tx->flow == FLOW_ENDED;

    log_begin(s->env->log, tx != NULL && tx->mail_sent ? LOG_WARN : LOG_DEBUG, "backend_lost");
    log_str(s->env->log, "id", session_id(s));
    log_south(s);
    log_text(s->env->log, "reason", why);
    log_end(s->env->log);
    if (is_ended || s->pending == PENDING_RCPT)
        south_took(s, is_ended ? TASK_END : TASK_COMMAND, false);
    south_drop(s, LEG_RESET);
    if (is_ended)
        outcome_unknown(s, why);
    else if (s->pending == PENDING_AUTH)
        auth_failed(s);
    else if (tx != NULL && tx->mail_sent)
        lost_in_transaction(s, why, was_421);
    else if (s->pending == PENDING_RCPT) /* it closed an idle session; nothing of this transaction was there yet */
        south_open(s, s->route, 0);
}

static void on_mail_reply(struct session *s)
{
    if (s->tx == NULL)
        return;
    if (s->backend->reply.code / 100 == 2) {
        if (!(s->backend->caps.bits & CAP_PIPELINING))
            rcpt_send(s);
        return;
    }
    doom_with(s, &s->backend->reply);
    if (s->backend->asked_n == 0)
        rcpt_failed(s);
}

static void on_data_reply(struct session *s)
{
    if (s->backend->reply.code == 354) {
        s->tx->flow = FLOW_OPEN;
        deliver_continue(s);
        return;
    }
    s->tx->flow = FLOW_CUT; /* X5: refused in order, the connection can stay */
    doom_with(s, &s->backend->reply);
    if (s->tx->received)
        finish_refused(s);
}

static void on_bdat_reply(struct session *s)
{
    s->tx->bdat_under_way = false;
    if (s->backend->reply.code / 100 == 2) {
        deliver_continue(s);
        return;
    }
    s->tx->flow = FLOW_CUT;
    doom_with(s, &s->backend->reply);
    if (s->tx->received)
        finish_refused(s);
}

static void on_replied(struct session *s)
{
    enum backend_ask asked = s->backend->replied_to;

    if ((asked == ASKED_RSET || asked == ASKED_MAIL || asked == ASKED_RCPT) && s->tx != NULL && s->tx->is_redirected) {
        redirect_answered(s);
        return;
    }
    switch (s->backend->replied_to) {
    case ASKED_MAIL: on_mail_reply(s); break;
    case ASKED_RCPT: rcpt_answered(s, &s->backend->reply); break;
    case ASKED_DATA: on_data_reply(s); break;
    case ASKED_BDAT: on_bdat_reply(s); break;
    case ASKED_END: delivered(s, &s->backend->reply); break;
    case ASKED_AUTH: auth_answered(s, &s->backend->reply); break;
    case ASKED_RSET: /* what waited for it goes on; with PIPELINING it is under way already */
        if (s->backend->asked_n == 0)
            go_on(s);
        break;
    case ASKED_QUIT: break;
    }
}

void on_south(struct session *s, enum backend_event event)
{
    switch (event) {
    case BACKEND_IDLE: break;
    case BACKEND_OPENED: on_opened(s); break;
    case BACKEND_UNUSABLE: on_unusable(s); break;
    case BACKEND_REPLIED: on_replied(s); break;
    case BACKEND_LOST: on_lost(s); break;
    }
    if (s->backend != NULL && s->backend->start_tls) {
        s->backend->start_tls = false;
        s->wants.south.start_tls = true;
    }
}
