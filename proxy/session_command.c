#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol.h"
#include "session_state.h"

enum { EHLO_ROOM = 2048 };

void count_junk(struct session *s)
{
    if (++s->junk > junk_allowed(s))
        leave_with(s, "4.7.0", "Too many commands without mail", "too many junk commands");
}

/* ---- greeting ---- */

/* Every back end is known to be down: better to say so at once than to let the client wait for it (N06). */
static bool nowhere_to_go(const struct session *s)
{
    const struct config *config = s->env->config;

    for (size_t i = 0; i < config->routes_n; i++)
        if (!servers_all_down(s->env->servers, &config->routes[i]))
            return false;
    return true;
}

void session_greet(struct session *s)
{
    static const char *const full[] = {
        [ADMIT_TOO_MANY] = "Too many connections, try again later",
        [ADMIT_TOO_MANY_FROM_ADDRESS] = "Too many connections from your address",
        [ADMIT_DRAINING] = "Service shutting down, try again",
    };

    if (s->peer.admission != ADMIT) {
        bool is_drain = s->peer.admission == ADMIT_DRAINING;

        leave_with(s, is_drain ? "4.3.2" : "4.7.0", full[s->peer.admission], full[s->peer.admission]);
        return;
    }
    if (nowhere_to_go(s)) {
        leave_with(s, "4.3.2", "The mail server behind this gateway is not available, try again", "back end down");
        return;
    }
    greeting_begin(s);
}

/* ---- EHLO and HELO ---- */

static unsigned offers(const struct session *s, const struct backend_caps *common)
{
    unsigned bits = common->bits & (CAP_8BITMIME | CAP_SMTPUTF8 | CAP_DSN | CAP_BINARYMIME);
    char mechanisms[BACKEND_AUTH_MAX];

    bits |= CAP_PIPELINING | CAP_SIZE | CAP_CHUNKING | CAP_ENHANCED;
    if (s->peer.listener->tls == LISTEN_TLS_STARTTLS && !s->is_tls)
        bits |= CAP_STARTTLS;
    if (s->peer.listener->auth && s->is_tls && (common->bits & CAP_AUTH) != 0 && /* never in clear, RFC 4954 4 */
        auth_mechanisms(s, common, mechanisms, sizeof mechanisms) > 0)
        bits |= CAP_AUTH;
    return bits;
}

static uint64_t least_limit(uint64_t ours, uint64_t theirs)
{
    return theirs != 0 && theirs < ours ? theirs : ours;
}

static size_t add(char *out, size_t n, const char *format, ...) __attribute__((format(printf, 3, 4)));

static size_t add(char *out, size_t n, const char *format, ...)
{
    va_list args;
    int added;

    va_start(args, format);
    added = vsnprintf(out + n, EHLO_ROOM - n, format, args);
    va_end(args);
    return n + (size_t)added < EHLO_ROOM ? n + (size_t)added : EHLO_ROOM - 1;
}

static size_t print_offers(struct session *s, const struct backend_caps *common, char *out, size_t n)
{
    static const struct {
        unsigned bit;
        const char *line;
    } rows[] = {
        { CAP_PIPELINING, "\nPIPELINING" }, { CAP_8BITMIME, "\n8BITMIME" },
        { CAP_SMTPUTF8, "\nSMTPUTF8" },     { CAP_DSN, "\nDSN" },
        { CAP_CHUNKING, "\nCHUNKING" },     { CAP_BINARYMIME, "\nBINARYMIME" },
        { CAP_STARTTLS, "\nSTARTTLS" },     { CAP_ENHANCED, "\nENHANCEDSTATUSCODES" },
    };
    const struct limits *limits = &s->env->config->limits;
    char mechanisms[BACKEND_AUTH_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (s->offered & rows[i].bit)
            n = add(out, n, "%s", rows[i].line);
    s->size_offered = least_limit(limits->message_size, common->size);
    n = add(out, n, "\nSIZE %llu", (unsigned long long)s->size_offered);
    if (s->offered & CAP_AUTH) {
        auth_mechanisms(s, common, mechanisms, sizeof mechanisms);
        n = add(out, n, "\nAUTH %s", mechanisms);
    }
    return add(out, n, "\nLIMITS MAILMAX=%llu RCPTMAX=%llu", (unsigned long long)limits->transactions,
               (unsigned long long)least_limit(limits->recipients, common->rcpt_max)); /* RFC 9422 */
}

void helo_judged(struct session *s, const struct verdict *v)
{
    struct backend_caps common;
    char text[EHLO_ROOM];
    size_t n;

    await_client(s, WAIT_COMMAND);
    if (verdict_refuses(v)) {
        s->helo_n = 0;
        refuse_verdict(s, v);
        return;
    }
    n = add(text, 0, "%.*s", STR_ARG(s->env->config->hostname));
    if (s->is_esmtp) {
        servers_common(s->env->servers, s->env->config, &common);
        s->offered = offers(s, &common);
        if (s->offered & CAP_AUTH) /* RFC 4954 4.5.3: its lines are longer than other commands */
            s->lines.max = AUTH_LINE_MAX;
        print_offers(s, &common, text, n);
    }
    say(s, 250, "", text);
}

static void do_hello(struct session *s, struct command *c, struct str line)
{
    char *helo;

    (void)line;
    if (s->helo_n > 0)
        count_junk(s);
    if (s->wait == WAIT_NOTHING)
        return;
    transaction_drop(s); /* RFC 5321 4.1.4: EHLO clears as RSET does; its log line names the old HELO */
    if (s->helo != NULL) /* what many names have filled has no room left for who sends */
        facts_drop(s);
    helo = realloc(s->helo, c->argument.n + 1);
    if (helo == NULL) {
        leave_with(s, "4.3.2", "Out of memory, try again", "out of memory");
        return;
    }
    memcpy(helo, c->argument.p, c->argument.n);
    s->helo = helo;
    s->helo_n = c->argument.n;
    s->client_facts.helo = str_from(helo, s->helo_n);
    s->is_esmtp = c->verb == VERB_EHLO;
    s->offered = 0;
    judge(s, AT_HELO);
}

/* ---- small ones ---- */

static void do_starttls(struct session *s, struct command *c, struct str line)
{
    (void)c;
    (void)line;
    if (s->is_tls) {
        refuse(s, 503, "5.5.1", "TLS is active already", "tls", STR("second STARTTLS"));
    } else if (!(s->offered & CAP_STARTTLS)) {
        refuse(s, 502, "5.5.1", "STARTTLS is not offered here", "tls", STR("STARTTLS not offered"));
    } else if (s->tx != NULL) {
        refuse(s, 503, "5.5.1", "STARTTLS is not allowed in a mail transaction", "tls", STR("STARTTLS in transaction"));
    } else {
        say(s, 220, "2.0.0", "Ready to start TLS");
        await_client(s, WAIT_TLS);
        s->wants.north.start_tls = true;
    }
}

static void do_quit(struct session *s, struct command *c, struct str line)
{
    (void)c;
    (void)line;
    say(s, 221, "2.0.0", "Bye");
    leave(s, "quit");
}

static void do_noop(struct session *s, struct command *c, struct str line)
{
    (void)c;
    (void)line;
    say(s, 250, "2.0.0", "OK");
    count_junk(s);
}

static void do_rset(struct session *s, struct command *c, struct str line)
{
    transaction_drop(s);
    do_noop(s, c, line);
}

static void do_vrfy(struct session *s, struct command *c, struct str line)
{
    (void)c;
    (void)line;
    say(s, 252, "2.0.0", "Cannot verify, but will take mail for local recipients"); /* RFC 5321 3.5.3 */
    count_junk(s);
}

/* As much of a line as the log needs. */
static struct str start_of(struct str line, size_t max)
{
    return str_from(line.p, line.n < max ? line.n : max);
}

static void do_unwanted(struct session *s, struct command *c, struct str line)
{
    (void)c;
    refuse(s, 502, "5.5.1", "Command not implemented", "command", start_of(line, 40));
    count_junk(s);
}

static void do_foreign(struct session *s, struct command *c, struct str line)
{
    char reason[60];
    int n = snprintf(reason, sizeof reason, "%s: %.*s", protocol_guess(line), STR_ARG(start_of(line, 40)));

    (void)c;
    refuse(s, 521, "5.5.1", "This is an SMTP server", "protocol", str_from(reason, (size_t)n));
    leave(s, "another protocol");
}

/* ---- the table ---- */

enum {
    NEEDS_HELO = 1, /* 503 before EHLO or HELO, RFC 5321 4.1.4 */
    ENDS_GROUP = 2, /* nothing may be pipelined behind it, RFC 2920 3.1; RFC 3207 4 */
    IN_CLEAR = 4,   /* allowed before STARTTLS although the listener requires TLS, RFC 3207 4 */
    MAY_GO_ON = 8   /* behind it come commands, whatever its answer is: what was pipelined can be read as what it is */
};

static const struct row {
    unsigned flags;
    void (*run)(struct session *, struct command *, struct str line);
} rows[] = {
    [VERB_HELO] = { ENDS_GROUP | IN_CLEAR | MAY_GO_ON, do_hello },
    [VERB_EHLO] = { ENDS_GROUP | IN_CLEAR | MAY_GO_ON, do_hello },
    [VERB_MAIL] = { NEEDS_HELO, do_mail },
    [VERB_RCPT] = { NEEDS_HELO, do_rcpt },
    [VERB_DATA] = { NEEDS_HELO | ENDS_GROUP, do_data },
    [VERB_BDAT] = { 0, do_bdat }, /* judges by itself: its octets follow whatever the answer is */
    [VERB_RSET] = { IN_CLEAR, do_rset },
    [VERB_NOOP] = { ENDS_GROUP | IN_CLEAR | MAY_GO_ON, do_noop },
    [VERB_QUIT] = { ENDS_GROUP | IN_CLEAR, do_quit },
    [VERB_VRFY] = { ENDS_GROUP | MAY_GO_ON, do_vrfy },
    [VERB_EXPN] = { ENDS_GROUP | MAY_GO_ON, do_unwanted },
    [VERB_HELP] = { 0, do_unwanted },
    [VERB_ETRN] = { 0, do_unwanted },
    [VERB_TURN] = { ENDS_GROUP, do_unwanted },
    [VERB_STARTTLS] = { ENDS_GROUP | IN_CLEAR, do_starttls },
    [VERB_AUTH] = { NEEDS_HELO | ENDS_GROUP, do_auth },
    [VERB_FOREIGN] = { IN_CLEAR, do_foreign },
};

/* RFC 2920 3.1 (commands that end a group), ATTACKS B02: what stands behind was sent without knowing the answer. */
static void refuse_synchronisation(struct session *s)
{
    refuse(s, 554, "5.5.0", "Improper use of SMTP command pipelining", "pipelining",
           STR("input behind a command that ends a group"));
    leave(s, "improper pipelining");
}

/* True when the rule lets it be. */
static bool tolerates_pipelining(struct session *s, unsigned flags)
{
    if (!(flags & MAY_GO_ON) || s->env->config->policy.door.pipelining.mode == RULE_REJECT)
        return false;
    if (!s->pipelined && s->env->config->policy.door.pipelining.mode != RULE_OFF) {
        log_begin(s->env->log, LOG_INFO, "pipelining");
        log_str(s->env->log, "id", session_id(s));
        log_endpoint(s->env->log, "client", &s->peer.client);
        log_end(s->env->log);
        s->pipelined = true;
    }
    return true;
}

/* What the log shows of a command that cannot be read. A password is one also where its base64 is broken (L-3). */
static struct str shown(enum verb verb, struct str line)
{
    if (verb == VERB_AUTH)
        return STR("AUTH, malformed");
    return start_of(line, 200);
}

static void refuse_parse_error(struct session *s, enum command_error error, enum verb verb, struct str line)
{
    const struct command_error_reply *reply = &command_errors[error];
    bool is_private = line.n > 0 && ascii_lower(line.p[0]) == 'x'; /* XCLIENT, XFORWARD...: known, never from outside */

    if (error == COMMAND_UNKNOWN && is_private)
        refuse(s, 502, "5.5.1", "Command not implemented", "command", start_of(line, 40));
    else
        refuse(s, reply->code, reply->enhanced, reply->text, "syntax", shown(verb, line));
    if (error == COMMAND_UNKNOWN)
        count_junk(s);
}

static bool is_in_clear(const struct session *s)
{
    return s->peer.listener->require_tls && !s->is_tls;
}

/* Reasons to refuse that are the same for all commands; true when one applied. */
static bool refuse_out_of_place(struct session *s, const struct command *c, bool more_follows)
{
    unsigned flags = rows[c->verb].flags;

    if ((flags & ENDS_GROUP) && more_follows && c->verb != VERB_QUIT && !tolerates_pipelining(s, flags)) {
        refuse_synchronisation(s);
    } else if (is_in_clear(s) && !(flags & IN_CLEAR) && c->verb != VERB_BDAT) {
        refuse(s, 530, "5.7.0", "Must issue a STARTTLS command first", "require_tls", STR("command in clear"));
    } else if ((flags & NEEDS_HELO) && s->helo_n == 0) {
        refuse(s, 503, "5.5.1", "Send EHLO first", "sequence", STR("no EHLO"));
    } else {
        return false;
    }
    return true;
}

static bool is_too_long(const struct session *s, const struct command *c, struct str line)
{
    return line.n > s->env->config->limits.command_line && c->verb != VERB_AUTH;
}

void on_command_line(struct session *s, struct str line, bool more_follows)
{
    struct command c;
    enum command_error error = command_parse(line, s->tx != NULL && (s->tx->mail.mail.has & HAS_SMTPUTF8), &c);

    await_client(s, WAIT_COMMAND);
    if (is_too_long(s, &c, line)) {
        refuse(s, 500, "5.5.2", "Line too long", "limits.command_line", STR("command line too long"));
    } else if (error != COMMAND_OK && str_istarts(line, STR("BDAT"))) {
        refuse_parse_error(s, error, c.verb, line); /* without its size the octets that follow would run as commands */
        leave(s, "malformed BDAT");
    } else if (error != COMMAND_OK) {
        refuse_parse_error(s, error, c.verb, line);
    } else if (!refuse_out_of_place(s, &c, more_follows)) {
        rows[c.verb].run(s, &c, line);
    }
}
