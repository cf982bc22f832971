#include "session.h"

#include <stdio.h>
#include <stdlib.h>

#include "budget.h"
#include "protocol.h"
#include "session_state.h"

#define NEVER UINT64_MAX

static void connected(struct session *s)
{
    rates_attempt(s, AT_CONNECT);
    judge(s, AT_CONNECT);
}

static void begin(struct session *s)
{
    if (s->peer.admission == ADMIT)
        connected(s);
    else
        session_greet(s); /* says 421 */
}

static void settle(struct session *s);

/* What `postern check` counts for a session: its structs, a command line of AUTH, replies and commands not yet
 * written, what a stream may have over the budget; and connection and streams, which the worker adds.
 */
enum { OUTPUT_CHUNKS = 4, CONNECTION = 4096 };
_Static_assert(sizeof(struct session) + sizeof(struct transaction) + sizeof(struct backend) + AUTH_LINE_MAX +
                       (OUTPUT_CHUNKS + RESERVE_CHUNKS) * CHUNK_SIZE + CONNECTION <=
                   BUDGET_SESSION,
               "BUDGET_SESSION covers a session at its worst");

struct session *session_new(struct session_env *env, const struct session_peer *peer)
{
    struct session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->env = env;
    s->peer = *peer;
    s->begun_at = env->now;
    s->wants.deadline = NEVER;
    s->held_until = NEVER;
    line_init(&s->lines, (size_t)env->config->limits.command_line);
    if (peer->listener->tls == LISTEN_TLS_IMPLICIT) {
        await_client(s, WAIT_TLS);
        s->wants.north.start_tls = true;
    } else {
        begin(s);
    }
    settle(s);
    return s;
}

void session_free(struct session *s)
{
    if (s->wait != WAIT_NOTHING)
        leave(s, "shut down");
    log_connection(s);
    south_drop(s, LEG_RESET);
    facts_drop(s);
    line_free(&s->lines);
    chain_clear(&s->wants.north.out);
    chain_clear(&s->wants.south.out);
    free(s->auth_line);
    free(s->helo);
    free(s);
}

struct session_wants *session_wants(struct session *s)
{
    return &s->wants;
}

bool session_is_over(const struct session *s)
{
    return s->wait == WAIT_NOTHING && s->backend == NULL;
}

const char *session_state_name(const struct session *s)
{
    static const char *const names[] = {
        [WAIT_COMMAND] = "command",   [WAIT_TLS] = "tls",         [WAIT_AUTH] = "auth",
        [WAIT_DATA] = "data",         [WAIT_BDAT] = "bdat",       [WAIT_VERDICT] = "verdict",
        [WAIT_GREETING] = "greeting", [WAIT_BACKEND] = "backend", [WAIT_END] = "end-of-data",
        [WAIT_NOTHING] = "closing",
    };

    return names[s->wait];
}

/* ---- what is wanted next ---- */

static uint64_t patience(const struct session *s, enum wait wait)
{
    const struct timeouts *t = &s->env->config->timeouts;

    switch (wait) {
    case WAIT_TLS: return handshake_patience(s);
    case WAIT_GREETING: return s->env->config->policy.door.pause;
    case WAIT_COMMAND: return command_patience(s);
    case WAIT_BACKEND: return t->wait;
    case WAIT_END: return ANSWER_WITHIN_MS;
    case WAIT_AUTH:
    case WAIT_DATA:
    case WAIT_BDAT:
    case WAIT_VERDICT:
    case WAIT_NOTHING: break;
    }
    return t->command;
}

void await_client(struct session *s, enum wait wait)
{
    south_wait_over(s);
    s->wait = wait;
    s->paused_at = 0;
    s->wait_since = s->env->now;
    s->wait_deadline = s->wait_since + patience(s, wait);
}

static bool waits_for_client(const struct session *s)
{
    return s->wait == WAIT_COMMAND || s->wait == WAIT_AUTH || s->wait == WAIT_DATA || s->wait == WAIT_BDAT;
}

/* So does the pause in a greeting, though it is the client who waits then. */
static bool hears_client(const struct session *s)
{
    return waits_for_client(s) || s->wait == WAIT_GREETING;
}

/* Whether the client's bytes have somewhere to go now; when not, they wait in its own kernel. */
static bool may_read(const struct session *s)
{
    if (s->north_gone || s->wants.north.end != LEG_OPEN || s->wants.north.out.n > OUT_HIGH)
        return false;
    if (s->wants.north.is_held)
        return false;
    if (s->wait == WAIT_GREETING) /* what a tolerated early talker says is read in its time */
        return s->talked_early == NULL;
    if (s->draining && s->wait == WAIT_COMMAND) /* 421 is due, also to a command that came with what led to it */
        return false;
    if (s->wait == WAIT_DATA || s->wait == WAIT_BDAT)
        return data_may_read(s);
    return waits_for_client(s);
}

/* The client's time rests while we are the ones who do not read. */
static void run_or_rest_clock(struct session *s)
{
    if (!waits_for_client(s))
        return;
    if (!s->wants.north.read && s->paused_at == 0) {
        s->paused_at = s->env->now;
    } else if (s->wants.north.read && s->paused_at != 0) {
        s->wait_since += s->env->now - s->paused_at;
        s->wait_deadline += s->env->now - s->paused_at;
        s->paused_at = 0;
    }
}

/* A client that does not read our replies has the same time for it as for a command. */
static uint64_t north_deadline(const struct session *s)
{
    if (s->wait == WAIT_NOTHING || s->wait == WAIT_VERDICT)
        return NEVER;
    if (s->paused_at != 0 && s->wants.north.out.n <= OUT_HIGH)
        return NEVER;
    return s->wait_deadline;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void settle(struct session *s)
{
    if (s->draining && (s->wait == WAIT_COMMAND || s->wait == WAIT_GREETING))
        leave_with(s, "4.3.2", "Service shutting down, try again", "drained");
    if ((hears_client(s) && s->north_ended && may_read(s)) ||
        ((hears_client(s) || s->wait == WAIT_TLS) && s->north_gone))
        leave(s, "closed by client");
    if (s->backend != NULL && s->backend->state == BACKEND_CLOSED)
        south_drop(s, LEG_CLOSE);
    s->wants.north.read = may_read(s) && !s->north_ended;
    s->wants.south.read = s->backend != NULL;
    run_or_rest_clock(s);
    policy_clock(s);
    s->wants.deadline = north_deadline(s);
    s->wants.deadline = earlier(s->wants.deadline, s->held_until);
    s->wants.deadline = earlier(s->wants.deadline, policy_deadline(s));
    if (s->backend != NULL)
        s->wants.deadline = earlier(s->wants.deadline, s->backend->deadline);
}

/* ---- north ---- */

/* Bytes of another protocol, a TLS hello above all, never grow into a command line (ATTACKS B04). */
static bool is_no_smtp(const struct session *s, struct str in)
{
    unsigned char c = (unsigned char)in.p[0];

    return !line_is_partial(&s->lines) && s->lines.swallowed == 0 && (c >= 0x80 || (c < ' ' && c != '\r' && c != '\n'));
}

static void on_line(struct session *s, enum line_event event, bool more_follows)
{
    if (event == LINE_READY && s->wait == WAIT_AUTH) {
        on_auth_line(s, s->lines.line);
    } else if (event == LINE_READY) {
        on_command_line(s, s->lines.line, more_follows);
    } else if (event == LINE_TOO_LONG && s->wait == WAIT_AUTH) {
        on_auth_line(s, STR("*")); /* RFC 4954 4: cancels the exchange at the back end, whose refusal is the answer */
    } else if (event == LINE_TOO_LONG) {
        refuse(s, 500, "5.5.2", "Line too long", "limits.command_line", STR("command line too long"));
    } else if (event == LINE_FLOOD) {
        refuse(s, 500, "5.5.2", "Line too long", "limits.command_line", STR("endless command line"));
        leave(s, "endless command line");
    }
}

static size_t read_line(struct session *s, struct str in)
{
    size_t used = 0;
    enum line_event event;

    if (s->wait == WAIT_COMMAND && is_no_smtp(s, in)) {
        char reason[40];
        int n = snprintf(reason, sizeof reason, "not SMTP: %s", protocol_guess(in));

        refuse(s, 500, "5.5.2", "This is an SMTP server", "protocol", str_from(reason, (size_t)n));
        leave(s, "not SMTP");
        return in.n;
    }
    event = line_read(&s->lines, in, &used);
    if (s->lines.no_memory) {
        leave_with(s, "4.3.2", "Out of memory, try again", "out of memory");
        return in.n;
    }
    on_line(s, event, used < in.n);
    return used;
}

static size_t take_input(struct session *s, struct str in)
{
    if (s->wait == WAIT_DATA || s->wait == WAIT_BDAT)
        return data_input(s, in);
    return s->wait == WAIT_GREETING ? greeting_input(s, in) : read_line(s, in);
}

size_t session_north_input(struct session *s, struct str in)
{
    size_t total = 0;
    size_t used = 1;

    while (total < in.n && used > 0 && may_read(s)) {
        struct str rest = str_skip(in, total);

        used = take_input(s, rest);
        total += used;
    }
    if (total < in.n) /* what a stream holds must leave before it may read on: other sessions may have taken the room */
        deliver_continue(s);
    settle(s);
    return s->wait == WAIT_NOTHING ? in.n : total; /* a leaving session reads no more, but the wire must empty */
}

void session_north_end(struct session *s)
{
    s->north_ended = true;
    if (s->wait == WAIT_TLS)
        leave(s, "closed in TLS handshake");
    settle(s);
}

/* X1: a transaction whose end of data was read is finished, whoever is left to hear of it. */
void session_north_gone(struct session *s, const char *why)
{
    s->north_gone = true;
    s->wants.north.end = LEG_RESET;
    chain_clear(&s->wants.north.out);
    if (s->accept_unsent) {
        log_begin(s->env->log, LOG_WARN, "accepted, reply undeliverable");
        log_str(s->env->log, "id", session_id(s));
        log_num(s->env->log, "tx", s->transactions);
        log_text(s->env->log, "reason", why);
        log_end(s->env->log);
        s->accept_unsent = false;
    }
    if (s->wait != WAIT_END && !(s->tx != NULL && s->tx->received && s->wait == WAIT_VERDICT))
        leave(s, why);
    settle(s);
}

/* RFC 3207 4.2: nothing learnt in clear remains; the client has to say EHLO again. */
void session_north_secured(struct session *s, const struct tls_facts *tls)
{
    bool was_implicit = s->peer.listener->tls == LISTEN_TLS_IMPLICIT;

    s->is_tls = true;
    s->tls = *tls;
    s->is_esmtp = false;
    s->offered = 0;
    s->helo_n = 0;
    line_free(&s->lines);
    line_init(&s->lines, (size_t)s->env->config->limits.command_line);
    transaction_drop(s);
    facts_drop(s);
    south_quit(s);
    await_client(s, WAIT_COMMAND);
    if (was_implicit)
        begin(s);
    settle(s);
}

void session_north_written(struct session *s, bool is_sent)
{
    if (is_sent && s->wants.north.out.n == 0)
        s->accept_unsent = false;
    settle(s);
}

/* ---- south ---- */

void session_south_connected(struct session *s, const struct endpoint *own)
{
    if (own != NULL)
        s->south_own = *own;
    if (s->backend != NULL)
        on_south(s, backend_connected(s->backend, s->env->now));
    settle(s);
}

void session_south_secured(struct session *s)
{
    if (s->backend != NULL)
        on_south(s, backend_secured(s->backend, s->env->now));
    settle(s);
}

void session_south_failed(struct session *s, const char *why)
{
    if (s->backend != NULL)
        on_south(s, backend_failed(s->backend, why));
    settle(s);
}

void session_south_short(struct session *s, const char *why)
{
    if (s->backend != NULL) {
        backend_failed(s->backend, why);
        south_short(s);
    }
    settle(s);
}

size_t session_south_input(struct session *s, struct str in)
{
    size_t total = 0;

    /* What stands behind the loss of a connection belongs to nobody, least of all to the next one. */
    while (total < in.n && s->backend != NULL && s->wants.south.end == LEG_OPEN && !s->wants.open_south) {
        size_t used;
        enum backend_event event = backend_input(s->backend, str_skip(in, total), &used, s->env->now);

        total += used;
        on_south(s, event);
    }
    settle(s);
    return in.n;
}

void session_south_written(struct session *s)
{
    if (s->backend != NULL) {
        backend_progress(s->backend, s->env->now);
        deliver_continue(s);
    }
    settle(s);
}

/* ---- time and the rest ---- */

static void wait_expired(struct session *s)
{
    switch (s->wait) {
    case WAIT_TLS: session_north_gone(s, "TLS handshake timed out"); break;
    case WAIT_GREETING: greeting_over(s); break;
    case WAIT_COMMAND:
    case WAIT_AUTH:
    case WAIT_DATA:
    case WAIT_BDAT: leave_with(s, "4.4.2", "Timeout, closing connection", "client timed out"); break;
    case WAIT_BACKEND: on_south(s, backend_failed(s->backend, "back end too slow")); break;
    case WAIT_END: on_south(s, backend_failed(s->backend, "no answer to the end of data in time")); break;
    case WAIT_VERDICT:
    case WAIT_NOTHING: break;
    }
}

void session_tick(struct session *s)
{
    uint64_t now = s->env->now;

    if (s->backend != NULL && now >= s->backend->deadline)
        on_south(s, backend_expired(s->backend, now));
    if (now >= s->held_until)
        tarpit_release(s);
    if (now >= policy_deadline(s))
        policy_expired(s);
    if (now >= north_deadline(s))
        wait_expired(s);
    settle(s);
}

void session_answered(struct session *s)
{
    policy_answered(s);
    settle(s);
}

/* A client that has been silent for longer than is allowed now is due at once. */
void session_stressed(struct session *s)
{
    if (s->env->is_stressed)
        tarpit_release(s);
    if (s->wait == WAIT_COMMAND || s->wait == WAIT_TLS)
        s->wait_deadline = s->wait_since + patience(s, s->wait);
    settle(s);
}

void session_drain(struct session *s)
{
    s->draining = true;
    if (s->wait == WAIT_TLS)
        leave(s, "drained");
    settle(s);
}
