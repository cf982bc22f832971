#include <stdio.h>
#include <stdlib.h>

#include "session_state.h"

static bool has_word(struct str list, struct str wanted)
{
    struct str word;

    while (str_word(&list, &word))
        if (str_ieq(word, wanted))
            return true;
    return false;
}

size_t auth_mechanisms(const struct session *s, const struct backend_caps *caps, char *out, size_t size)
{
    const struct str_list *allowed = &s->env->config->auth_mechanisms;
    size_t n = 0;

    for (size_t i = 0; i < allowed->n; i++) {
        struct str name = allowed->item[i];

        if (!has_word(str_of(caps->auth), name) || n + name.n + 2 > size)
            continue;
        if (n > 0)
            out[n++] = ' ';
        memcpy(out + n, name.p, name.n);
        n += name.n;
    }
    out[n] = '\0';
    return n;
}

/* Secrets do not stay in memory longer than their exchange. */
static void forget(struct session *s)
{
    if (s->auth_line != NULL)
        explicit_bzero(s->auth_line, s->auth_line_n);
    free(s->auth_line);
    s->auth_line = NULL;
    s->auth_line_n = 0;
}

/* The command as it will go south: printed again from what was parsed. */
static bool keep_command(struct session *s, const struct command *c)
{
    struct str initial =
        c->initial.p != NULL && c->initial.n == 0 ? STR("=") : c->initial; /* RFC 4954 4: the empty one */
    size_t size = c->argument.n + initial.n + sizeof "AUTH  ";
    int n;

    s->auth_line = malloc(size);
    if (s->auth_line == NULL)
        return false;
    n = snprintf(s->auth_line, size, "AUTH %.*s%s%.*s", STR_ARG(c->argument), initial.n > 0 ? " " : "",
                 STR_ARG(initial));
    s->auth_line_n = (size_t)n;
    return true;
}

static bool is_allowed(const struct session *s, struct str mechanism)
{
    const struct str_list *allowed = &s->env->config->auth_mechanisms;

    for (size_t i = 0; i < allowed->n; i++)
        if (str_ieq(allowed->item[i], mechanism))
            return true;
    return false;
}

void do_auth(struct session *s, struct command *c, struct str line)
{
    const struct route *route = &s->env->config->routes[0];

    (void)line;
    if (!(s->offered & CAP_AUTH)) {
        refuse(s, 503, "5.5.1", "AUTH is not offered here", "auth", STR("AUTH not offered"));
    } else if (s->is_authenticated || s->tx != NULL) { /* RFC 4954 4 */
        refuse(s, 503, "5.5.1", "AUTH is not allowed now", "auth", STR("AUTH out of sequence"));
    } else if (!is_allowed(s, c->argument)) {
        refuse(s, 504, "5.5.4", "Unrecognized authentication type", "auth", STR("mechanism not allowed"));
    } else if (!keep_command(s, c)) {
        refuse(s, 454, "4.3.0", "Out of memory, try again", "memory", STR("out of memory"));
    } else {
        user_begin(s, c->argument, c->initial);
        s->pending = PENDING_AUTH;
        await_client(s, WAIT_BACKEND);
        if (s->backend == NULL || s->route != route || !backend_is_open(s->backend))
            south_open(s, route, 0);
        else if (s->backend->asked_n == 0)
            auth_continue(s);
    }
}

void auth_failed(struct session *s)
{
    forget(s);
    s->pending = PENDING_NONE;
    await_client(s, WAIT_COMMAND);
    refuse(s, 454, "4.7.0", "Temporary authentication failure", "backend", STR("no answer from the back end"));
}

/* The back end is open: its own list counts now, not the one EHLO was made from. */
void auth_continue(struct session *s)
{
    struct str mechanism = str_skip(str_from(s->auth_line, s->auth_line_n), 4);

    mechanism = str_trim(mechanism);
    mechanism.n = str_find(mechanism, ' ');
    if (!has_word(str_of(s->backend->caps.auth), mechanism)) {
        auth_failed(s);
        return;
    }
    backend_auth(s->backend, str_from(s->auth_line, s->auth_line_n), s->env->now);
    forget(s);
}

/* RFC 4954 4: a line of base64, or "*" to cancel. What is neither is cancelled for the client, so that the back
 * end hears nothing that was not checked. When the back end was lost meanwhile this line still belongs to the
 * exchange: it is no command, and nothing for the log.
 */
void on_auth_line(struct session *s, struct str line)
{
    if (s->backend == NULL) {
        auth_failed(s);
        return;
    }
    if (line.n > 0 && !base64_is_valid(line))
        line = STR("*");
    user_line(s, line);
    s->pending = PENDING_AUTH;
    await_client(s, WAIT_BACKEND);
    backend_auth(s->backend, line, s->env->now);
}

static void authenticated(struct session *s, const struct reply *reply)
{
    s->is_authenticated = true;
    s->lines.max = (size_t)s->env->config->limits.command_line;
    say_reply(s, reply);
    log_begin(s->env->log, LOG_INFO, "authenticated");
    log_str(s->env->log, "id", session_id(s));
    log_endpoint(s->env->log, "client", &s->peer.client);
    log_south(s);
    log_end(s->env->log);
}

void auth_answered(struct session *s, const struct reply *reply)
{
    s->pending = PENDING_NONE;
    if (reply->code == 334) {
        await_client(s, WAIT_AUTH);
        say_reply(s, reply);
        return;
    }
    await_client(s, WAIT_COMMAND);
    if (reply->code == 235)
        authenticated(s, reply);
    else
        refuse_reply(s, reply, "backend", STR("authentication refused by the back end"));
}
