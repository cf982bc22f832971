#include "steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../proxy/counts.h"

enum { SHOWN_LINE = 150, BULK = 65536, BULK_EDGE = 4096, BULK_PIECE = 4093 };

static void fail(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct play *p, const char *format, ...)
{
    const struct step *step = &p->scenario->step[p->at < p->scenario->steps ? p->at : p->scenario->steps - 1];
    char *text = NULL;
    va_list args;

    if (p->blind || p->failure.n > 0)
        return;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    bytes_printf(&p->failure, "%s:%d: %s\n    %s", step->file, step->line, step->text, text);
    free(text);
}

/* ---- transcript ---- */

static void tell_line(struct play *p, const char *mark, struct str line)
{
    bytes_printf(&p->transcript, "    %8.3f %s ", (double)(p->world.env->now - 1000000) / 1000, mark);
    bytes_put_escaped(&p->transcript, str_from(line.p, line.n < SHOWN_LINE ? line.n : SHOWN_LINE));
    bytes_put(&p->transcript, line.n > SHOWN_LINE ? STR("...\n") : STR("\n"));
}

static void tell_lines(struct play *p, const char *mark, struct str text)
{
    while (text.n > 0) {
        size_t n = str_search(text, STR("\r\n"));

        if (n < text.n)
            tell_line(p, mark, str_from(text.p, n));
        else
            tell_line(p, mark, text); /* unfinished */
        text = str_skip(text, n < text.n ? n + 2 : n);
    }
}

static void tell_sent(struct play *p)
{
    if (!p->tells)
        return;
    tell_lines(p, "<", str_skip(bytes_all(&p->world.north.sent), p->n_told));
    tell_lines(p, "[", str_skip(bytes_all(&p->world.south.sent), p->s_told));
    p->n_told = bytes_all(&p->world.north.sent).n;
    p->s_told = bytes_all(&p->world.south.sent).n;
}

static void tell_event(struct play *p, const char *text)
{
    if (p->tells)
        tell_line(p, "*", str_of(text));
}

/* ---- text of the script ---- */

static bool hex_digit(char c, unsigned *value)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, ascii_lower(c));

    if (at == NULL)
        return false;
    *value = (unsigned)(at - digits);
    return true;
}

/* One C escape behind a backslash; returns how many characters it takes, 0 when it is none. */
static size_t unescape(struct str s, struct bytes *out)
{
    static const char names[] = "rnt0\\\"", values[] = "\r\n\t\0\\\"";
    const char *name = s.n == 0 || s.p[0] == '\0' ? NULL : strchr(names, s.p[0]);
    unsigned high, low;

    if (name != NULL) {
        bytes_put(out, str_from(values + (name - names), 1));
        return 1;
    }
    if (s.n < 3 || s.p[0] != 'x' || !hex_digit(s.p[1], &high) || !hex_digit(s.p[2], &low))
        return 0;
    bytes_put(out, str_from((const char[]){ (char)(high << 4 | low) }, 1));
    return 3;
}

/* A quoted string at the front of `*text`. */
static bool take_quoted(struct str *text, struct bytes *out)
{
    size_t i = 1;

    if (text->n == 0 || text->p[0] != '"')
        return false;
    while (i < text->n && text->p[i] != '"') {
        size_t n = 1;

        if (text->p[i] == '\\') {
            n = unescape(str_skip(*text, i + 1), out);
            i++;
            if (n == 0)
                return false;
        } else {
            bytes_put(out, str_from(text->p + i, 1));
        }
        i += n;
    }
    if (i >= text->n)
        return false;
    *text = str_trim(str_skip(*text, i + 1));
    return true;
}

static bool take_number(struct str *text, unsigned long long *n)
{
    size_t blank = str_find(*text, ' ');

    if (!str_to_u64(str_from(text->p, blank), 1000000000, n))
        return false;
    *text = str_trim(str_skip(*text, blank));
    return true;
}

/* "a" "b", repeat 3 "c" ... */
static bool take_raw(struct str text, struct bytes *out)
{
    while (text.n > 0) {
        struct bytes one = { 0 };
        unsigned long long times = 1;
        bool ok;

        if (str_istarts(text, STR("repeat "))) {
            text = str_trim(str_skip(text, 7));
            if (!take_number(&text, &times))
                return false;
        }
        ok = take_quoted(&text, &one);
        for (unsigned long long i = 0; ok && i < times; i++)
            bytes_put(out, bytes_all(&one));
        bytes_free(&one);
        if (!ok)
            return false;
    }
    return true;
}

static bool take_duration(struct str text, uint64_t *ms)
{
    unsigned long long n;

    if (text.n > 2 && text.p[text.n - 2] == 'm' && str_to_u64(str_from(text.p, text.n - 2), 1000000000, &n)) {
        *ms = n;
        return true;
    }
    if (text.n < 2 || text.p[text.n - 1] != 's' || !str_to_u64(str_from(text.p, text.n - 1), 1000000, &n))
        return false;
    *ms = n * 1000;
    return true;
}

/* ---- what was sent and not expected yet ---- */

static struct str unseen(const struct play *p, const struct wire *wire)
{
    return str_skip(bytes_all(&wire->sent), wire == &p->world.north ? p->n_seen : p->s_seen);
}

static void see(struct play *p, const struct wire *wire, size_t n)
{
    if (wire == &p->world.north)
        p->n_seen += n;
    else
        p->s_seen += n;
}

static const char *name_of(const struct play *p, const struct wire *wire)
{
    return wire == &p->world.north ? "north" : "south";
}

/* What `wire` sent must have been expected by now. */
static void need_all_seen(struct play *p, const struct wire *wire)
{
    struct str rest = unseen(p, wire);
    struct bytes shown = { 0 };

    if (rest.n == 0 || p->blind)
        return;
    bytes_put_escaped(&shown, str_from(rest.p, rest.n < SHOWN_LINE ? rest.n : SHOWN_LINE));
    fail(p, "before this, %s got what no step expects: \"%.*s\"", name_of(p, wire), STR_ARG(bytes_all(&shown)));
    bytes_free(&shown);
}

static void need_silence(struct play *p)
{
    need_all_seen(p, &p->world.north);
    need_all_seen(p, &p->world.south);
}

/* ---- sending ---- */

static void send_bytes(struct play *p, struct wire *to, struct str bytes)
{
    world_send(&p->world, to, bytes);
    tell_sent(p);
}

/* One octet at a time; the inside of a bulk of octets in larger pieces that fit no buffer size. */
static void send_in_octets(struct play *p, struct wire *to, struct str bytes)
{
    bool bulk = bytes.n > BULK;
    size_t i = 0;

    while (i < bytes.n) {
        bool inside = bulk && i > BULK_EDGE && i + BULK_EDGE + BULK_PIECE < bytes.n;
        size_t n = inside ? BULK_PIECE : 1;

        world_send(&p->world, to, str_from(bytes.p + i, n));
        i += n;
    }
    tell_sent(p);
}

/* What strikes at a cut. Afterwards only the oracle judges. */
static void strike(struct play *p)
{
    struct world *w = &p->world;

    if (p->cut == CUT_RESET)
        world_fail(w, p->to, "connection reset");
    else if (p->cut == CUT_CLOSE && p->to->state == WIRE_OPEN)
        world_fin(w, p->to);
    else if (p->cut == CUT_SILENCE)
        world_wait(w, 2 * 3600 * 1000);
    else if (p->cut == CUT_DRAIN)
        world_drain(w);
    if (p->cut == CUT_SILENCE && w->session != NULL)
        fail(p, "two hours of silence, and the session still waits in state %s", session_state_name(w->session));
    p->blind = p->blind || p->cut != CUT_ONCE;
}

/* Sends what has been gathered, cut as this run wants it. */
static void flush(struct play *p)
{
    struct str all = bytes_all(&p->segment);
    size_t before = p->octets;

    if (p->to == NULL)
        return;
    if (p->tells)
        tell_lines(p, p->to == &p->world.north ? ">" : "]", all);
    p->octets += all.n;
    if (p->cut == CUT_EVERYWHERE) {
        send_in_octets(p, p->to, all);
    } else if (p->cut != CUT_NOTHING && p->cut_at > before && p->cut_at < p->octets) {
        send_bytes(p, p->to, str_from(all.p, p->cut_at - before));
        strike(p);
        send_bytes(p, p->to, str_skip(all, p->cut_at - before));
    } else {
        send_bytes(p, p->to, all);
    }
    p->to = NULL;
    bytes_clear(&p->segment);
}

static void gather(struct play *p, struct wire *to, struct str bytes)
{
    if (p->to != to) {
        flush(p);
        need_silence(p);
    }
    if (to->state != WIRE_OPEN && !p->blind)
        fail(p, "%s is not open", name_of(p, to));
    p->to = to;
    bytes_put(&p->segment, bytes);
}

static void send_line(struct play *p, struct wire *to, struct str text)
{
    gather(p, to, text);
    gather(p, to, STR("\r\n"));
}

static void send_raw(struct play *p, struct wire *to, struct str text)
{
    struct bytes raw = { 0 };

    if (take_raw(text, &raw))
        gather(p, to, bytes_all(&raw));
    else
        fail(p, "not a string: %.*s", STR_ARG(text));
    bytes_free(&raw);
}

/* ---- expecting ---- */

static void fail_with_got(struct play *p, const struct wire *wire, struct str want, const char *what)
{
    struct str got = unseen(p, wire);
    struct bytes shown = { 0 };

    if (p->blind)
        return;
    bytes_put_escaped(&shown, str_from(got.p, got.n < SHOWN_LINE ? got.n : SHOWN_LINE));
    fail(p, "expected %s \"%.*s\", %s got \"%.*s\"", what, STR_ARG(want), name_of(p, wire), STR_ARG(bytes_all(&shown)));
    bytes_free(&shown);
}

static bool peek_line(const struct play *p, const struct wire *wire, struct str *line)
{
    struct str rest = unseen(p, wire);
    size_t n = str_search(rest, STR("\r\n"));

    *line = str_from(rest.p, n);
    return n < rest.n;
}

static void expect_line(struct play *p, struct wire *wire, struct str pattern)
{
    struct str line;

    if (!peek_line(p, wire, &line) || !str_glob(line, pattern)) {
        fail_with_got(p, wire, pattern, "the line");
        return;
    }
    see(p, wire, line.n + 2);
}

static void expect_raw(struct play *p, struct wire *wire, struct str text)
{
    struct bytes raw = { 0 };
    struct str want, got = unseen(p, wire);

    if (!take_raw(text, &raw))
        fail(p, "not a string: %.*s", STR_ARG(text));
    want = bytes_all(&raw);
    if (got.n < want.n || !str_eq(str_from(got.p, want.n), want))
        fail_with_got(p, wire, text, "the octets");
    else
        see(p, wire, want.n);
    bytes_free(&raw);
}

/* "<* 250": a whole reply of several lines, kept for "reply has". */
static void expect_reply(struct play *p, struct wire *wire, struct str code)
{
    struct str line;
    bool more = true;

    bytes_clear(&p->reply);
    while (more) {
        if (!peek_line(p, wire, &line) || line.n < 4 || !str_eq(str_from(line.p, 3), code)) {
            fail_with_got(p, wire, code, "a reply");
            return;
        }
        more = line.p[3] == '-';
        bytes_put(&p->reply, str_skip(line, 4));
        bytes_put(&p->reply, STR("\n"));
        see(p, wire, line.n + 2);
    }
}

/* "[* Received: *": a header field with its continuation lines, as one line without their CRLFs. */
static void expect_field(struct play *p, struct wire *wire, struct str pattern)
{
    struct bytes field = { 0 };
    struct str rest = unseen(p, wire), line;
    size_t n = 0;

    do {
        line = str_skip(rest, n);
        line.n = str_search(line, STR("\r\n"));
        bytes_put(&field, line);
        n += line.n + 2;
    } while (n < rest.n && (rest.p[n] == ' ' || rest.p[n] == '\t'));
    if (n > rest.n || !str_glob(bytes_all(&field), pattern))
        fail_with_got(p, wire, pattern, "the field");
    else
        see(p, wire, n);
    bytes_free(&field);
}

static bool has_line(struct str text, struct str pattern, size_t *count)
{
    *count = 0;
    while (text.n > 0) {
        size_t n = str_find(text, '\n');

        *count += str_glob(str_from(text.p, n), pattern);
        text = str_skip(text, n < text.n ? n + 1 : n);
    }
    return *count > 0;
}

static void reply_has(struct play *p, struct str pattern)
{
    size_t n;

    if (!has_line(bytes_all(&p->reply), pattern, &n))
        fail(p, "the reply has no such line:\n%.*s", STR_ARG(bytes_all(&p->reply)));
}

static void reply_lacks(struct play *p, struct str pattern)
{
    size_t n;

    if (has_line(bytes_all(&p->reply), pattern, &n))
        fail(p, "the reply has such a line:\n%.*s", STR_ARG(bytes_all(&p->reply)));
}

static void count_log(struct play *p, struct str pattern, size_t *count)
{
    struct bytes anywhere = { 0 };

    bytes_printf(&anywhere, "*%.*s*", STR_ARG(pattern));
    has_line(bytes_all(&p->world.log), bytes_all(&anywhere), count);
    bytes_free(&anywhere);
}

static void log_has(struct play *p, struct str pattern)
{
    size_t count;

    count_log(p, pattern, &count);
    if (count == 0)
        fail(p, "the log has no such line:\n%.*s", STR_ARG(bytes_all(&p->world.log)));
}

static void log_lacks(struct play *p, struct str pattern)
{
    size_t count;

    count_log(p, pattern, &count);
    if (count > 0)
        fail(p, "the log has such a line:\n%.*s", STR_ARG(bytes_all(&p->world.log)));
}

/* "log counts 2 PATTERN" */
static void log_counts(struct play *p, struct str text)
{
    unsigned long long want = 0;
    size_t count;

    if (!take_number(&text, &want))
        fail(p, "`log counts` wants a number");
    count_log(p, text, &count);
    if (count != want)
        fail(p, "the log has %zu such lines:\n%.*s", count, STR_ARG(bytes_all(&p->world.log)));
}

/* ---- events ---- */

static void opens_backend(struct play *p, struct str address)
{
    struct endpoint want;
    char text[ENDPOINT_TEXT_MAX];

    if (p->world.south.state != WIRE_ASKED) {
        fail(p, "no connection to a back end is wanted");
        return;
    }
    endpoint_print(&p->world.target, text);
    if (address.n > 0 && (!endpoint_parse(address, 25, &want) || want.port != p->world.target.port ||
                          !address_eq(&want.address, &p->world.target.address)))
        fail(p, "the connection wanted goes to %s", text);
}

static void south_connects(struct play *p, struct str rest)
{
    (void)rest;
    if (p->world.south.state != WIRE_ASKED)
        fail(p, "no connection to a back end is wanted");
    world_connected(&p->world);
}

static void south_refuses(struct play *p, struct str rest)
{
    (void)rest;
    if (p->world.south.state != WIRE_ASKED)
        fail(p, "no connection to a back end is wanted");
    world_fail(&p->world, &p->world.south, "connection refused");
}

static void need_open(struct play *p, const struct wire *wire)
{
    if (wire->state != WIRE_OPEN)
        fail(p, "%s is not open", name_of(p, wire));
}

static void wire_closes(struct play *p, struct wire *wire, struct str rest)
{
    (void)rest;
    need_open(p, wire);
    world_fin(&p->world, wire);
}

static void wire_resets(struct play *p, struct wire *wire, struct str rest)
{
    (void)rest;
    need_open(p, wire);
    world_fail(&p->world, wire, "connection reset");
}

static void wire_stalls(struct play *p, struct wire *wire, struct str rest)
{
    (void)rest;
    world_room(&p->world, wire, 0);
}

static void wire_takes(struct play *p, struct wire *wire, struct str text)
{
    unsigned long long n = 0;

    if (!take_number(&text, &n))
        fail(p, "how many octets?");
    world_room(&p->world, wire, (size_t)n);
}

static void wire_resumes(struct play *p, struct wire *wire, struct str rest)
{
    (void)rest;
    world_room(&p->world, wire, SIZE_MAX);
}

static void tls_ends(struct play *p, struct wire *wire, struct str how)
{
    if (!wire->wants_tls) {
        fail(p, "no handshake is wanted %s", name_of(p, wire));
        return;
    }
    if (str_eq(how, STR("ok")))
        world_secured(&p->world, wire);
    else if (str_eq(how, STR("fails")))
        world_fail(&p->world, wire, "TLS handshake failed");
    else
        fail(p, "ok or fails?");
}

static void wait_for(struct play *p, struct str text)
{
    uint64_t ms = 0;

    if (!take_duration(text, &ms))
        fail(p, "how long?");
    world_wait(&p->world, ms);
}

static void drain(struct play *p, struct str rest)
{
    (void)rest;
    world_drain(&p->world);
}

static void new_session(struct play *p, struct str rest)
{
    (void)rest;
    if (p->world.session != NULL)
        fail(p, "the session before is not over");
    world_new_session(&p->world);
}

/* Other sessions of the worker take message memory, or (0) give it back. */
static void others_hold(struct play *p, struct str text)
{
    struct pool *pool = &p->world.env->messages;
    unsigned long long n = 0;

    if (!take_number(&text, &n))
        fail(p, "how many octets?");
    pool->used = pool->used - p->others_hold + (size_t)n;
    p->others_hold = (size_t)n;
}

static void sessions_run_short(struct play *p, struct str rest)
{
    (void)rest;
    world_stress(&p->world, true);
}

static void sessions_are_plenty(struct play *p, struct str rest)
{
    (void)rest;
    world_stress(&p->world, false);
}

/* Of another worker. */
static void others_in_the_tarpit(struct play *p, struct str text)
{
    struct counts *counts = p->world.env->counts;
    unsigned long long n = 0;

    if (counts == NULL || !take_number(&text, &n))
        fail(p, "how many, in which tarpit?");
    else
        counts_clear(counts, 1);
    for (; counts != NULL && n > 0; n--)
        counts_hold(counts, 1, UINT64_MAX);
}

static void pause_here(struct play *p, struct str rest)
{
    (void)p;
    (void)rest;
}

/* ---- DNS ---- */

/* "NAME TYPE VALUES" */
static void dns_answers(struct play *p, struct str text)
{
    struct dns_record r;

    if (!zone_read(text, &r)) {
        fail(p, "NAME TYPE \"value\"...?");
        return;
    }
    if (!world_answer(&p->world, &r))
        fail(p, "nobody waits for this answer");
    dns_record_free(&r);
}

static void dns_fails(struct play *p, struct str name)
{
    if (!world_fail_dns(&p->world, name))
        fail(p, "nothing is asked about this name");
}

/* "TXT NAME", or "nothing" */
static void dns_asked(struct play *p, struct str what)
{
    struct str asked = bytes_all(&p->world.dns.asked);

    if (str_eq(what, STR("nothing")) ? asked.n > 0 : !dns_was_asked(&p->world.dns, what))
        fail(p, "asked was:\n%.*s", STR_ARG(asked));
}

static void dns_not_asked(struct play *p, struct str what)
{
    if (dns_was_asked(&p->world.dns, what))
        fail(p, "asked was:\n%.*s", STR_ARG(bytes_all(&p->world.dns.asked)));
}

/* ---- states ---- */

static void wire_is(struct play *p, struct wire *wire, struct str what)
{
    static const char *const names[] = {
        [WIRE_NONE] = "unused",   [WIRE_ASKED] = "asked for", [WIRE_OPEN] = "open",
        [WIRE_CLOSED] = "closed", [WIRE_RESET] = "reset",     [WIRE_GONE] = "gone",
    };
    bool read;

    if (str_eq(what, STR("read")) || str_eq(what, STR("not read"))) {
        if (p->world.session == NULL) {
            fail(p, "the session is over");
            return;
        }
        read = wire == &p->world.north ? session_wants(p->world.session)->north.read
                                       : session_wants(p->world.session)->south.read;
        if (read != (what.p[0] == 'r'))
            fail(p, "%s is %s", name_of(p, wire), read ? "read" : "not read");
        return;
    }
    if (!str_eq(what, str_of(names[wire->state])))
        fail(p, "%s is %s", name_of(p, wire), names[wire->state]);
}

static void session_is_over_now(struct play *p, struct str rest)
{
    (void)rest;
    if (p->world.session != NULL)
        fail(p, "it is in state %s", session_state_name(p->world.session));
}

static void nothing_on(struct play *p, struct wire *wire, struct str rest)
{
    (void)rest;
    need_all_seen(p, wire);
}

static void nothing(struct play *p, struct str rest)
{
    (void)rest;
    need_silence(p);
}

/* How much went south before a connection was cut depends on segments and is nobody's business. */
static void whatever_south(struct play *p, struct str rest)
{
    (void)rest;
    see(p, &p->world.south, unseen(p, &p->world.south).n);
    p->south_varies = true;
}

static void whatever_north(struct play *p, struct str rest)
{
    (void)rest;
    see(p, &p->world.north, unseen(p, &p->world.north).n);
}

static void no_backend(struct play *p, struct str rest)
{
    (void)rest;
    if (p->world.connections > 0)
        fail(p, "a back end was connected %u times", p->world.connections);
}

/* ---- settings ---- */

static void set_config(struct play *p, struct str text)
{
    bytes_printf(&p->world.setting.ini, "%.*s\n", STR_ARG(text));
}

static void set_client(struct play *p, struct str text)
{
    if (!endpoint_parse(text, 40000, &p->world.setting.client))
        fail(p, "not an address");
}

static void set_balancer(struct play *p, struct str text)
{
    if (!endpoint_parse(text, 40001, &p->world.setting.balancer))
        fail(p, "not an address");
}

static void set_listener(struct play *p, struct str text)
{
    free((void *)(uintptr_t)p->world.setting.listener);
    p->world.setting.listener = must_copy(text);
}

static void set_admission(struct play *p, struct str text)
{
    static const char *const names[] = {
        [ADMIT] = "yes",
        [ADMIT_TOO_MANY] = "too many",
        [ADMIT_TOO_MANY_FROM_ADDRESS] = "too many from address",
        [ADMIT_DRAINING] = "draining",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(text, str_of(names[i])))
            p->world.setting.admission = (enum admission)i;
}

/* "PIPELINING, SIZE 1000": what probes have learnt; "nothing": they have not answered. */
static void set_offers(struct play *p, struct str text)
{
    bytes_clear(&p->world.setting.offers);
    if (str_eq(text, STR("unknown")))
        return;
    bytes_put(&p->world.setting.offers, STR("mx.local.example"));
    while (text.n > 0) {
        size_t n = str_find(text, ',');
        struct str keyword = str_trim(str_from(text.p, n));

        bytes_printf(&p->world.setting.offers, "\n%.*s", STR_ARG(keyword));
        text = str_skip(text, n < text.n ? n + 1 : n);
    }
}

static void set_domains(struct play *p, struct str text)
{
    snprintf(p->world.rules.domains, sizeof p->world.rules.domains, "%.*s", STR_ARG(text));
    bytes_printf(&p->world.setting.ini, "[relay] domains = %.*s\n", STR_ARG(text));
}

static void set_authserv_id(struct play *p, struct str text)
{
    snprintf(p->world.rules.authserv_id, sizeof p->world.rules.authserv_id, "%.*s", STR_ARG(text));
    bytes_printf(&p->world.setting.ini, "[server] authserv_id = %.*s\n", STR_ARG(text));
}

/* "may relay", "may percent", "normalises", "quarantine MAILBOX", "segments matter" */
static void set_rule(struct play *p, struct str text)
{
    if (str_eq(text, STR("may relay")))
        p->world.rules.may_relay = true;
    else if (str_eq(text, STR("may percent")))
        p->world.rules.may_percent = true;
    else if (str_eq(text, STR("normalises")))
        p->world.rules.normalises = true;
    else if (str_istarts(text, STR("quarantine ")))
        snprintf(p->world.rules.quarantine, sizeof p->world.rules.quarantine, "%.*s", STR_ARG(str_skip(text, 11)));
    else if (str_eq(text, STR("segments matter")))
        p->whole = true;
    else
        fail(p, "no such rule");
}

static void set_zone(struct play *p, struct str text)
{
    if (!dns_add(&p->world.dns, text))
        fail(p, "NAME TYPE \"value\"...?");
}

/* "silent NAME" */
static void set_dns(struct play *p, struct str text)
{
    if (str_istarts(text, STR("silent ")))
        dns_silence(&p->world.dns, str_trim(str_skip(text, 7)));
    else
        fail(p, "silent NAME?");
}

static void set_message_pool(struct play *p, struct str text)
{
    unsigned long long n = 0;

    if (!take_number(&text, &n))
        fail(p, "how many octets?");
    p->world.setting.message_pool = (size_t)n;
}

/* Processes, many clients and records of TLS are of real machines (tests/wire/play). */
static void only_on_wires(struct play *p, struct str rest)
{
    (void)rest;
    fail(p, "only on real wires: tests/wire/play");
}

/* ---- the table ---- */

static struct wire *north(struct play *p)
{
    return &p->world.north;
}

static struct wire *south(struct play *p)
{
    return &p->world.south;
}

enum row_kind {
    SETTING, /* before the session begins */
    SEND,    /* gathered with its neighbours into one segment */
    EVENT,   /* first everything sent so far must have been expected */
    LOOK     /* changes nothing */
};

/* A row's word is followed by a blank or the end of the step; the first that fits is taken. */
static const struct row {
    const char *word;
    enum row_kind kind;
    void (*plain)(struct play *, struct str rest);
    struct wire *(*leg)(struct play *);
    void (*on_leg)(struct play *, struct wire *, struct str rest);
} rows[] = {
    { "config:", SETTING, set_config, NULL, NULL },
    { "client:", SETTING, set_client, NULL, NULL },
    { "balancer:", SETTING, set_balancer, NULL, NULL },
    { "listener:", SETTING, set_listener, NULL, NULL },
    { "admission:", SETTING, set_admission, NULL, NULL },
    { "back end offers:", SETTING, set_offers, NULL, NULL },
    { "domains:", SETTING, set_domains, NULL, NULL },
    { "authserv-id:", SETTING, set_authserv_id, NULL, NULL },
    { "rule:", SETTING, set_rule, NULL, NULL },
    { "message pool:", SETTING, set_message_pool, NULL, NULL },
    { "zone:", SETTING, set_zone, NULL, NULL },
    { "dns:", SETTING, set_dns, NULL, NULL },
    { ">", SEND, NULL, north, send_line },
    { ">>", SEND, NULL, north, send_raw },
    { ">>>", SEND, NULL, north, send_raw },
    { "]", SEND, NULL, south, send_line },
    { "]]", SEND, NULL, south, send_raw },
    { "<", LOOK, NULL, north, expect_line },
    { "<*", LOOK, NULL, north, expect_reply },
    { "<<", LOOK, NULL, north, expect_raw },
    { "[", LOOK, NULL, south, expect_line },
    { "[*", LOOK, NULL, south, expect_field },
    { "[[", LOOK, NULL, south, expect_raw },
    { "reply has", LOOK, reply_has, NULL, NULL },
    { "reply lacks", LOOK, reply_lacks, NULL, NULL },
    { "log has", LOOK, log_has, NULL, NULL },
    { "log lacks", LOOK, log_lacks, NULL, NULL },
    { "log counts", LOOK, log_counts, NULL, NULL },
    { "= opens backend", LOOK, opens_backend, NULL, NULL },
    { "south connects", EVENT, south_connects, NULL, NULL },
    { "south refuses", EVENT, south_refuses, NULL, NULL },
    { "north closes", EVENT, NULL, north, wire_closes },
    { "south closes", EVENT, NULL, south, wire_closes },
    { "north resets", EVENT, NULL, north, wire_resets },
    { "south resets", EVENT, NULL, south, wire_resets },
    { "north stalls", EVENT, NULL, north, wire_stalls },
    { "south stalls", EVENT, NULL, south, wire_stalls },
    { "north takes", EVENT, NULL, north, wire_takes },
    { "south takes", EVENT, NULL, south, wire_takes },
    { "north resumes", EVENT, NULL, north, wire_resumes },
    { "south resumes", EVENT, NULL, south, wire_resumes },
    { "tls north", EVENT, NULL, north, tls_ends },
    { "tls south", EVENT, NULL, south, tls_ends },
    { "wait", EVENT, wait_for, NULL, NULL },
    { "pause", EVENT, pause_here, NULL, NULL },
    { "drain", EVENT, drain, NULL, NULL },
    { "sessions run short", EVENT, sessions_run_short, NULL, NULL },
    { "sessions are plenty", EVENT, sessions_are_plenty, NULL, NULL },
    { "others in the tarpit", EVENT, others_in_the_tarpit, NULL, NULL },
    { "new session", EVENT, new_session, NULL, NULL },
    { "others hold", EVENT, others_hold, NULL, NULL },
    { "dns answers", EVENT, dns_answers, NULL, NULL },
    { "dns fails", EVENT, dns_fails, NULL, NULL },
    { "dns falls silent", EVENT, only_on_wires, NULL, NULL },
    { "dns goes away", EVENT, only_on_wires, NULL, NULL },
    { "worker is killed", EVENT, only_on_wires, NULL, NULL },
    { "others connect", EVENT, only_on_wires, NULL, NULL },
    { "others reset", EVENT, only_on_wires, NULL, NULL },
    { "others close", EVENT, only_on_wires, NULL, NULL },
    { "tls floods", EVENT, only_on_wires, NULL, NULL },
    { "dns asked", LOOK, dns_asked, NULL, NULL },
    { "dns not asked", LOOK, dns_not_asked, NULL, NULL },
    { "north is", LOOK, NULL, north, wire_is },
    { "south is", LOOK, NULL, south, wire_is },
    { "session is over", LOOK, session_is_over_now, NULL, NULL },
    { "whatever south", LOOK, whatever_south, NULL, NULL },
    { "whatever north", LOOK, whatever_north, NULL, NULL },
    { "nothing north", LOOK, NULL, north, nothing_on },
    { "nothing south", LOOK, NULL, south, nothing_on },
    { "nothing", LOOK, nothing, NULL, NULL },
    { "no back end", LOOK, no_backend, NULL, NULL },
};

static const struct row *find_row(const char *text, struct str *rest)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].word);

        if (strncmp(text, rows[i].word, n) == 0 && (text[n] == ' ' || text[n] == '\0')) {
            *rest = str_trim(str_of(text + n));
            return &rows[i];
        }
    }
    return NULL;
}

bool step_read(const char *text, const char **word, bool *is_setting, struct bytes *rest)
{
    struct str behind;
    const struct row *row = find_row(text, &behind);

    if (row == NULL)
        return false;
    *word = row->word;
    *is_setting = row->kind == SETTING;
    bytes_clear(rest);
    if (row->on_leg == send_raw || row->on_leg == expect_raw)
        return take_raw(behind, rest);
    bytes_put(rest, behind);
    if (row->on_leg == send_line)
        bytes_put(rest, STR("\r\n"));
    return true;
}

/* ---- playing ---- */

static void start(struct play *p)
{
    struct bytes errors = { 0 };

    p->started = true;
    if (!world_start(&p->world, &errors))
        fail(p, "the configuration is refused: %.*s", STR_ARG(bytes_all(&errors)));
    bytes_free(&errors);
    tell_sent(p);
}

static void play_step(struct play *p, const struct step *step)
{
    struct str rest;
    const struct row *row = find_row(step->text, &rest);

    if (row == NULL) {
        fail(p, "no such step");
        return;
    }
    if (row->kind != SETTING && !p->started)
        start(p);
    if (p->failure.n > 0 || (row->kind != SETTING && p->world.config == NULL))
        return;
    if (row->kind == LOOK || row->kind == EVENT)
        flush(p);
    if (row->kind == EVENT && row->on_leg != wire_closes && row->on_leg != wire_resets)
        need_silence(p);
    if (row->kind == EVENT)
        tell_event(p, step->text);
    if (row->plain != NULL)
        row->plain(p, rest);
    else
        row->on_leg(p, row->leg(p), rest);
    tell_sent(p);
}

/* The watchers that are there in every run. */
static void look_for_violations(struct play *p)
{
    const char *broken = oracle_broken(&p->world.oracle);
    bool was_blind = p->blind;

    p->blind = false;
    if (broken != NULL)
        fail(p, "ORACLE %s", broken);
    if (p->world.broken != NULL)
        fail(p, "%s", p->world.broken);
    p->blind = was_blind;
}

static size_t log_lines(struct play *p, const char *pattern)
{
    size_t count;

    count_log(p, str_of(pattern), &count);
    return count;
}

/* L-1 and L-2: a last line for every connection, no message accepted without one, and printable ASCII only.
 */
static void judge_log(struct play *p)
{
    struct world *w = &p->world;
    struct str log = bytes_all(&w->log);
    size_t accepted = log_lines(p, "outcome=accepted ") + log_lines(p, "outcome=\"accepted, ");
    size_t connections = log_lines(p, "event=connection ");

    for (size_t i = 0; i < log.n; i++)
        if ((log.p[i] < ' ' && log.p[i] != '\n') || log.p[i] > '~')
            fail(p, "L-2: octet %02x in the log", (unsigned char)log.p[i]);
    if (connections != w->sessions)
        fail(p, "L-1: %zu last lines of %u connections", connections, w->sessions);
    if (accepted < w->oracle.accepted || accepted > w->oracle.s_accepted)
        fail(p, "L-1: %zu accepted in the log, %u north, %u south", accepted, w->oracle.accepted, w->oracle.s_accepted);
}

/* After the last step: the session is freed, and nothing of it may be left in the pools. */
static void finish(struct play *p)
{
    struct world *w = &p->world;

    flush(p);
    need_silence(p);
    look_for_violations(p);
    world_end(w);
    look_for_violations(p);
    p->blind = false;
    judge_log(p);
    if (p->failure.n == 0 && (w->env->messages.used > 0 || w->env->control.used > 0))
        fail(p, "R-3: %zu octets of messages and %zu of control are left behind", w->env->messages.used,
             w->env->control.used);
}

static void set_defaults(struct play *p)
{
    set_offers(p, STR("PIPELINING, SIZE 20000000, 8BITMIME, SMTPUTF8, DSN, ENHANCEDSTATUSCODES"));
}

void play_run(struct play *p)
{
    world_init(&p->world);
    p->blind = p->world.rules.memory_fails = p->no_memory;
    set_defaults(p);
    for (p->at = 0; p->at < p->scenario->steps && p->failure.n == 0; p->at++) {
        play_step(p, &p->scenario->step[p->at]);
        look_for_violations(p);
    }
    if (p->failure.n == 0 && p->world.config != NULL)
        finish(p);
}

void play_free(struct play *p)
{
    free((void *)(uintptr_t)p->world.setting.listener);
    world_free(&p->world);
    bytes_free(&p->segment);
    bytes_free(&p->reply);
    bytes_free(&p->transcript);
    bytes_free(&p->failure);
}
