/* The door: a greeting that is drawn out, who speaks meanwhile, and the tarpit.
 *
 * The pause. "220-name ESMTP Postern" goes out at once and "220 name ESMTP Postern" after [door] pause. All that a client
 * sends before that line makes it an early talker: no client can know yet that it may speak (RFC 5321 3.1). What it said is
 * only named, for the log. When the rule refuses it, the last line of the greeting goes out and 554 behind it, as the answer
 * to a first command: both replies are whole, and no reply has two codes (RFC 5321 4.2.1). Else its octets wait in the
 * kernel until the pause is over and are read then.
 *
 * The tarpit. A refused client may be made to wait for its reply: nothing is written and nothing is read until then, and what
 * the session waits for stays as it is. The places are counted over all workers (counts.h). When sessions run short there
 * is no tarpit, and whoever stands in it is let go.
 */
#include <stdio.h>

#include "counts.h"
#include "protocol.h"
#include "session_state.h"

/* ---- whom ---- */

bool is_known_good(const struct session *s)
{
    const struct policy *policy = &s->env->config->policy;
    const struct address *client = &s->peer.client.address;

    return s->is_authenticated || network_list_holds(&policy->relay.networks, client) ||
           network_list_holds(&policy->door.networks, client) ||
           standing_is_good(s->env->standing, client, (uint64_t)(s->env->unix_ms / 1000));
}

/* Limits are strict for those of whom nothing good is known. */
static bool is_stressed(const struct session *s)
{
    return s->env->is_stressed && s->accepted == 0 && !is_known_good(s);
}

static uint64_t limit(const struct session *s, uint64_t usual, uint64_t under_stress)
{
    return is_stressed(s) && under_stress < usual ? under_stress : usual;
}

uint64_t errors_allowed(const struct session *s)
{
    return limit(s, s->env->config->limits.errors, s->env->config->limits.stress_errors);
}

uint64_t junk_allowed(const struct session *s)
{
    return limit(s, s->env->config->limits.junk, s->env->config->limits.stress_junk);
}

uint64_t command_patience(const struct session *s)
{
    return limit(s, s->env->config->timeouts.command, s->env->config->timeouts.stress);
}

uint64_t handshake_patience(const struct session *s)
{
    return limit(s, s->env->config->timeouts.tls_handshake, s->env->config->timeouts.stress);
}

/* ---- the greeting ---- */

static bool is_listed(const struct str_list *names, struct str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (str_eq(names->item[i], name))
            return true;
    return false;
}

static bool listener_pauses(const struct door_policy *door, const struct listener *listener)
{
    if (door->listeners.n > 0)
        return is_listed(&door->listeners, listener->name);
    return listener->tls != LISTEN_TLS_IMPLICIT && !listener->auth;
}

static bool is_paused(const struct session *s)
{
    const struct door_policy *door = &s->env->config->policy.door;

    return door->rule.mode != RULE_OFF && door->pause > 0 && listener_pauses(door, s->peer.listener) &&
           !is_known_good(s);
}

static void print_greeting(const struct session *s, const char *before, char text[GREETING_MAX])
{
    snprintf(text, GREETING_MAX, "%s%.*s ESMTP Postern", before, STR_ARG(s->env->config->hostname));
}

void greeting_complete(struct session *s)
{
    char text[GREETING_MAX];

    if (!s->is_greeting)
        return;
    s->is_greeting = false;
    print_greeting(s, "", text);
    say(s, 220, "", text);
}

void greeting_begin(struct session *s)
{
    char text[GREETING_MAX];

    s->is_greeting = true;
    if (is_paused(s)) {
        print_greeting(s, "220-", text);
        say_line(s, text);
        await_client(s, WAIT_GREETING);
    } else {
        greeting_over(s);
    }
}

void greeting_over(struct session *s)
{
    greeting_complete(s);
    if (s->wait != WAIT_NOTHING)
        await_client(s, WAIT_COMMAND);
}

/* Its first octets; later ones say nothing more. */
static void log_early_talker(struct session *s)
{
    struct log *log = s->env->log;

    log_begin(log, LOG_INFO, "early_talker");
    log_str(log, "id", session_id(s));
    log_endpoint(log, "client", &s->peer.client);
    log_str(log, "listener", s->peer.listener->name);
    log_text(log, "spoke", s->talked_early);
    log_num(log, "ms", (int64_t)(s->env->now + s->env->config->policy.door.pause - s->wait_deadline));
    log_end(log);
}

size_t greeting_input(struct session *s, struct str in)
{
    struct judgement j;

    if (s->talked_early != NULL)
        return 0;
    s->talked_early = protocol_guess(in);
    log_early_talker(s);
    if (!early_talker_is_refused(s, &j))
        return 0;
    greeting_complete(s);
    refuse_verdict(s, &j.outcome.verdict);
    leave(s, "spoke before the greeting was complete");
    return in.n;
}

/* ---- the tarpit ---- */

/* Which of its refusals this is, counted from the first that is made to wait for; 0: it is not. */
static uint64_t turns_of(const struct session *s)
{
    uint64_t errors = s->errors, after = s->env->config->tarpit.after;

    if (s->talked_early != NULL || s->pipelined)
        return errors;
    return errors > after ? errors - after : 0;
}

static bool may_be_held(const struct session *s)
{
    return s->wait != WAIT_NOTHING && !s->wants.north.is_held && !s->draining && !s->north_gone && !s->accept_unsent &&
           !s->env->is_stressed && s->accepted == 0 && s->env->counts != NULL && !is_known_good(s);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void tarpit(struct session *s)
{
    const struct tarpit_settings *t = &s->env->config->tarpit;
    uint64_t turns = turns_of(s);

    if (t->sessions == 0 || turns == 0 || !may_be_held(s) || !counts_hold(s->env->counts, s->env->row, t->sessions))
        return;
    s->wants.north.is_held = true;
    s->held_since = s->env->now;
    s->held_until = s->env->now + earlier(earlier(t->delay * turns, t->longest), s->env->config->timeouts.command);
}

void tarpit_release(struct session *s)
{
    if (!s->wants.north.is_held)
        return;
    s->wants.north.is_held = false;
    s->tarpit_ms += s->env->now - s->held_since;
    s->held_until = UINT64_MAX;
    counts_unhold(s->env->counts, s->env->row);
}
