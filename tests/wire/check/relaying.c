/* ORACLE 2, policy and relay: who may send to whom, and what of a refused session may reach the back end (P-1, P-2,
 * P-3, P-6).
 *
 * Recipients are judged as they stand on the south wire, by the oracle's own parser: what the gateway believed it had
 * sent does not matter, only what the back end reads. P-8 is judged as far as the log names the temporary error. */
#include "relaying.h"

#include <stdlib.h>
#include <string.h>

#include "view.h"

/* ---- who may relay ---- */

enum leave { MAY_NOT, MAY, UNKNOWN };

/* AUTH answered 235 before this moment (the gateway relays AUTH and believes the back end's yes). */
static bool has_logged_in(const struct dialogue *north, int64_t before)
{
    for (size_t i = 0; i < north->command_n; i++) {
        const struct command *c = &north->command[i];

        if ((c->verb == VERB_AUTH || c->verb == VERB_AUTH_LINE) && c->reply != NULL && c->reply->code == 235)
            return c->reply->place.first_time <= before;
    }
    return false;
}

static enum leave may_relay(const struct trial *t, const struct session *s, int64_t when)
{
    struct endpoint client;

    if (s == NULL || s->north == NULL || s->doubt != NULL)
        return UNKNOWN;
    if (!view_client(s->north, &client))
        return UNKNOWN;
    if (settings_trusts(&t->settings, &client) || has_logged_in(s->north, when))
        return MAY;
    return view_is_hidden(s->north) || view_cloud(s->north) != NULL ? UNKNOWN : MAY_NOT;
}

/* ---- P-1 ---- */

static void judge_domain(const struct trial *t, const struct south_end *end, const struct command *c,
                         struct tally *tally)
{
    struct address a;
    enum leave leave;
    struct violation *v;

    address_read(&a, c->argument);
    if (a.domain.n == 0 ||
        settings_is_local(&t->settings, a.domain)) { /* <postmaster>: no domain but the back end's own */
        held(tally);
        return;
    }
    leave = may_relay(t, end->session, c->place.first_time);
    if (leave == MAY) {
        held(tally);
    } else if (leave == UNKNOWN) {
        unsure(tally, "a recipient elsewhere, and nothing tells whether this client may relay");
    } else {
        v = violated(tally, end->session,
                     "a recipient outside the local domains went to the back end for a client that "
                     "is neither trusted nor logged in");
        show_command(v, SOUTH, c, "the domain is in no list");
        if (c->reply != NULL)
            show_reply(v, SOUTH, c->reply, NULL);
    }
}

/* ---- P-2 ---- */

/* What an old server reads as a way to another host. NULL: nothing, or allowed by the configuration. */
static const char *rerouting(const struct settings *s, const struct address *a)
{
    static const struct {
        const char *octet, *what;
    } rows[] = {
        { "%", "% in the local part" },
        { "!", "! in the local part" },
        { "@", "@ in the local part" },
    };
    const bool allowed[] = { s->may_percent, s->may_bang, s->may_percent };

    if (a->has_route)
        return s->may_route ? NULL : "a source route";
    if (a->ats > 1)
        return "a second @ that is not quoted";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!allowed[i] && slice_find(a->local, slice_of(rows[i].octet), 0) < a->local.n)
            return rows[i].what;
    return NULL;
}

static void judge_route(const struct trial *t, const struct south_end *end, const struct command *c,
                        struct tally *tally)
{
    struct address a;
    const char *what;

    address_read(&a, c->argument);
    what = rerouting(&t->settings, &a);
    if (what == NULL)
        held(tally);
    else if (!t->settings.is_given)
        unsure(tally, "a recipient that may lead elsewhere, and no configuration that tells whether it is allowed");
    else
        show_command(violated(tally, end->session, "a recipient with %s went to the back end", what), SOUTH, c,
                     "an old server may send this on");
}

/* ---- recipients, each once ---- */

typedef void judge_recipient(const struct trial *, const struct south_end *, const struct command *, struct tally *);

static void each_recipient(const struct trial *t, struct tally *tally, judge_recipient *judge)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < end[i].dialogue->command_n; k++) {
            const struct command *c = &end[i].dialogue->command[k];

            if (c->verb == VERB_RCPT && c->is_complete)
                judge(t, &end[i], c, tally);
        }
        view_close(tally, end[i].dialogue);
    }
    free(end);
}

static void judge_local_domains(const struct trial *t, struct tally *tally)
{
    each_recipient(t, tally, judge_domain);
}

static void judge_routes(const struct trial *t, struct tally *tally)
{
    each_recipient(t, tally, judge_route);
}

/* ---- P-3: what was said of an address, on both wires ---- */

struct mention {
    char *text; /* "RCPT user@domain", in one form for all spellings */
    const struct command *command;
    enum wire_name wire;
};

struct mentions {
    struct mention *mention;
    size_t n;
};

static void mention(struct mentions *m, enum wire_name wire, const struct command *c)
{
    struct buffer text = { 0 };
    struct address a;

    address_read(&a, c->argument);
    buffer_add(&text, c->verb == VERB_MAIL ? "M" : "R", 1);
    view_mailbox(&a, &text);
    buffer_add(&text, "", 1);
    m->mention = array_grow(m->mention, m->n, sizeof *m->mention);
    m->mention[m->n++] = (struct mention){ (char *)text.p, c, wire };
}

static void mention_all(struct mentions *m, enum wire_name wire, const struct dialogue *d)
{
    for (size_t i = 0; i < d->command_n; i++)
        if ((d->command[i].verb == VERB_MAIL || d->command[i].verb == VERB_RCPT) && d->command[i].is_complete)
            mention(m, wire, &d->command[i]);
}

static int compare_mentions(const void *a, const void *b)
{
    return strcmp(((const struct mention *)a)->text, ((const struct mention *)b)->text);
}

static void mentions_free(struct mentions *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->mention[i].text);
    free(m->mention);
}

/* All mentions of one address: refused north, and never accepted there, it must not be at the back end. A RCPT that
 * the back end itself refused was sent to be asked (that is how it is told apart); MAIL is never asked. */
static void judge_address(const struct session *s, const struct mention *m, size_t n, struct tally *tally)
{
    const struct command *refused = NULL, *passed = NULL;
    bool is_accepted = false, is_open = false;
    struct violation *v;

    for (size_t i = 0; i < n; i++) {
        const struct command *c = m[i].command;

        if (m[i].wire == NORTH && reply_is(c->reply, 2))
            is_accepted = true;
        else if (m[i].wire == NORTH && c->reply == NULL)
            is_open = true;
        else if (m[i].wire == NORTH && view_is_verdict(c->reply))
            refused = c;
        else if (m[i].wire == SOUTH && (c->verb == VERB_MAIL || reply_is(c->reply, 2)))
            passed = c;
    }
    if (refused == NULL || is_accepted || is_open)
        return;
    if (passed == NULL) {
        held(tally);
        return;
    }
    v = violated(tally, s, "%s was refused by the gateway with %d %s, and went to the back end",
                 verb_name(refused->verb), refused->reply->code, refused->reply->enhanced);
    show_command(v, NORTH, refused, "refused");
    show_reply(v, NORTH, refused->reply, NULL);
    show_command(v, SOUTH, passed, "but the back end has it");
}

static void judge_refused_addresses(const struct session *s, struct tally *tally)
{
    struct mentions m = { 0 };

    mention_all(&m, NORTH, s->north);
    for (size_t i = 0; i < s->south_n; i++)
        mention_all(&m, SOUTH, s->south[i]);
    if (m.n > 0)
        qsort(m.mention, m.n, sizeof *m.mention, compare_mentions);
    for (size_t from = 0, to; from < m.n; from = to) {
        for (to = from + 1; to < m.n && strcmp(m.mention[from].text, m.mention[to].text) == 0; to++)
            ;
        judge_address(s, m.mention + from, to - from, tally);
    }
    mentions_free(&m);
}

/* ---- P-3: what may open a connection ---- */

static bool has_verb(const struct dialogue *d, enum verb v)
{
    for (size_t i = 0; i < d->command_n; i++)
        if (d->command[i].verb == v)
            return true;
    return false;
}

/* A recipient of an open transaction, or AUTH: the two commands that the back end has to be asked about. */
static bool may_open(const struct command *c)
{
    return c->is_complete &&
           ((c->verb == VERB_RCPT && c->transaction != SIZE_MAX) || c->verb == VERB_AUTH || c->verb == VERB_AUTH_LINE);
}

/* What a connection to the back end shows of the questions that may have opened it. */
struct asked {
    int64_t time; /* of the SYN */
    bool recipient, login, may_be_either;
};

static struct asked asked_on(const struct dialogue *south)
{
    return (struct asked){
        .time = south->connection->time,
        .recipient = has_verb(south, VERB_RCPT),
        .login = has_verb(south, VERB_AUTH),
        .may_be_either = view_is_hidden(south) || view_cloud(south) != NULL,
    };
}

/* Was this command under way when the connection was opened, or accepted before? A refusal by the gateway itself
 * opens none; one that came from the back end shows there as a command of the same kind. */
static bool opens(const struct command *c, const struct asked *a)
{
    bool is_open = c->reply == NULL || c->reply->place.first_time >= a->time;

    if (!view_is_verdict(c->reply))
        return is_open || c->reply->code < 400;
    if (!is_open || a->may_be_either)
        return is_open;
    return c->verb == VERB_RCPT ? a->recipient
                                : a->login || c->reply->code / 100 == 4; /* 454 4.7.0: no answer from there */
}

/* Commands that had come at this moment: they are in the order of time. */
static size_t commands_until(const struct dialogue *north, int64_t time)
{
    size_t from = 0, to = north->command_n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (north->command[middle].place.last_time <= time)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* When the first command was accepted that may open a connection; INT64_MAX: none was. */
static int64_t first_acceptance(const struct dialogue *north)
{
    for (size_t i = 0; i < north->command_n; i++)
        if (may_open(&north->command[i]) && north->command[i].reply != NULL && north->command[i].reply->code < 400)
            return north->command[i].place.last_time;
    return INT64_MAX;
}

static bool is_opened_rightly(const struct dialogue *north, int64_t accepted, const struct dialogue *south)
{
    struct asked asked;

    if (accepted <= south->connection->time)
        return true;
    asked = asked_on(south);
    for (size_t i = commands_until(north, asked.time); i-- > 0;) {
        const struct command *c = &north->command[i];

        if (may_open(c) && opens(c, &asked))
            return true;
        if (c->reply != NULL && c->reply->place.first_time < asked.time)
            return false; /* and so were all before it */
    }
    return false;
}

/* The first thing the client was told no to. */
static const struct reply *first_refusal(const struct dialogue *north)
{
    for (size_t i = 0; i < north->reply_n; i++)
        if (north->reply[i]->code >= 400)
            return north->reply[i];
    return NULL;
}

static void judge_opening(const struct session *s, int64_t accepted, const struct dialogue *south, struct tally *tally)
{
    const struct connection *c = south->connection;
    struct packet syn = { .frame = c->frame,
                          .time = c->time,
                          .from = c->end[CLIENT],
                          .to = c->end[SERVER],
                          .is_tcp = true,
                          .flags = TCP_SYN };
    const struct reply *refusal = first_refusal(s->north);
    struct violation *v;

    if (is_opened_rightly(s->north, accepted, south)) {
        held(tally);
        return;
    }
    if (!c->has_start && !c->is_refused) {
        unsure(tally, "the start of the connection to the back end was not captured");
        return;
    }
    v = violated(tally, s, "a connection to the back end was opened before the gateway had accepted any recipient");
    if (refusal != NULL)
        show_reply(v, NORTH, refusal, "the client was refused");
    show_packet(v, SOUTH, &syn, "the connection");
}

/* Nothing was accepted and nothing went south: that is looked at, too. */
static void judge_silence(const struct session *s, struct tally *tally)
{
    if (s->south_n == 0 && first_refusal(s->north) != NULL)
        held(tally);
}

static void judge_refused_sessions(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        int64_t accepted;

        if (s->north == NULL || view_is_hidden(s->north))
            continue;
        if (s->doubt != NULL || view_cloud(s->north) != NULL) {
            unsure(tally, s->doubt != NULL ? s->doubt : view_cloud(s->north));
            continue;
        }
        accepted = first_acceptance(s->north);
        for (size_t k = 0; k < s->south_n; k++)
            judge_opening(s, accepted, s->south[k], tally);
        judge_silence(s, tally);
        judge_refused_addresses(s, tally);
    }
}

/* ---- P-6 ---- */

static size_t count_accepted_mail(const struct dialogue *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->command_n; i++)
        n += d->command[i].verb == VERB_MAIL && reply_is(d->command[i].reply, 2);
    return n;
}

/* A MAIL whose answer is missing (the client is gone) may have been accepted. */
static size_t count_open_mail(const struct dialogue *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->command_n; i++)
        n += d->command[i].verb == VERB_MAIL && d->command[i].reply == NULL;
    return n;
}

/* A message that is quarantined at the end gets a transaction of its own, in place of the first ([dmarc] quarantine =
 * redirect): RSET, MAIL, and one RCPT for the quarantine, unless the back end would not have it so far. */
static bool is_redirected(const struct trial *t, const struct dialogue *d, size_t i)
{
    struct slice quarantine = slice_of(t->settings.quarantine_mailbox);
    struct buffer mailbox = { 0 };
    struct address a;
    bool same;

    if (quarantine.n == 0 || d->command[i].verb != VERB_MAIL || i == 0 || d->command[i - 1].verb != VERB_RSET)
        return false;
    if (i + 1 == d->command_n || d->command[i + 1].verb != VERB_RCPT)
        return true;
    address_read(&a, d->command[i + 1].argument);
    view_mailbox(&a, &mailbox);
    same = slice_equal_nocase(buffer_slice(&mailbox), quarantine);
    buffer_free(&mailbox);
    return same;
}

static const struct command *last_mail(const struct session *s)
{
    const struct command *last = NULL;

    for (size_t i = 0; i < s->south_n; i++)
        for (size_t k = 0; k < s->south[i]->command_n; k++)
            if (s->south[i]->command[k].verb == VERB_MAIL)
                last = &s->south[i]->command[k];
    return last;
}

static void judge_count(const struct trial *t, const struct session *s, struct tally *tally)
{
    size_t north = count_accepted_mail(s->north), open = count_open_mail(s->north), south = 0, redirected = 0;
    struct violation *v;

    for (size_t i = 0; i < s->south_n; i++) {
        for (size_t k = 0; k < s->south[i]->command_n; k++) {
            south += s->south[i]->command[k].verb == VERB_MAIL && s->south[i]->command[k].is_complete;
            redirected += is_redirected(t, s->south[i], k);
        }
    }
    if (redirected > north) /* one for each message at most */
        redirected = north;
    if (south <= north + redirected) {
        held(tally);
    } else if (south <= north + redirected + open) {
        unsure(tally, "the answer to MAIL is not in the capture");
    } else if (!t->settings.is_given && south <= 2 * north) {
        unsure(tally,
               "a second transaction, and no configuration that tells whether mail is redirected into quarantine");
    } else {
        v = violated(tally, s, "%zu MAIL went to the back end for %zu that were accepted from the client", south,
                     north);
        show_command(v, SOUTH, last_mail(s), "one too many");
    }
}

struct owner {
    const struct dialogue *south;
    const struct session *session;
};

static int compare_owners(const void *a, const void *b)
{
    const struct dialogue *x = ((const struct owner *)a)->south, *y = ((const struct owner *)b)->south;

    return (x > y) - (x < y);
}

/* No pooling: a connection to the back end carries the transactions of one client's session. */
static void judge_owners(const struct trial *t, struct tally *tally)
{
    struct owner *owner = NULL;
    size_t n = 0;

    for (size_t i = 0; i < t->session_n; i++) {
        for (size_t k = 0; k < t->session[i].south_n && t->session[i].doubt == NULL; k++) {
            owner = array_grow(owner, n, sizeof *owner);
            owner[n++] = (struct owner){ t->session[i].south[k], &t->session[i] };
        }
    }
    if (n > 0)
        qsort(owner, n, sizeof *owner, compare_owners);
    for (size_t i = 1; i < n; i++) {
        if (owner[i].south != owner[i - 1].south || owner[i].session == owner[i - 1].session)
            continue;
        show_command(violated(tally, owner[i].session, "one connection to the back end served two clients' sessions"),
                     SOUTH, &owner[i].south->command[0], "shared");
    }
    free(owner);
}

/* Can every client's session be read, from the first packet to the last? Then a MAIL of nobody's was invented. */
static bool is_north_complete(const struct trial *t)
{
    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north == NULL || !t->session[i].north->is_readable || t->session[i].doubt != NULL)
            return false;
    return true;
}

static void judge_orphan(const struct trial *t, const struct dialogue *d, struct tally *tally)
{
    if (!is_north_complete(t) || !d->connection->has_start) {
        unsure(tally, "a transaction at the back end of which the wire to the clients shows nothing");
        return;
    }
    for (size_t i = 0; i < d->command_n; i++) {
        if (d->command[i].verb == VERB_MAIL) {
            show_command(violated(tally, NULL, "a transaction at the back end that no client began"), SOUTH,
                         &d->command[i], "nobody's");
            return;
        }
    }
}

static void judge_counts(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL || s->south_n == 0 || view_is_hidden(s->north))
            continue;
        if (s->doubt != NULL || view_cloud(s->north) != NULL)
            unsure(tally, s->doubt != NULL ? s->doubt : view_cloud(s->north));
        else
            judge_count(t, s, tally);
    }
    judge_owners(t, tally);
    for (size_t i = 0; i < t->orphan_n; i++)
        judge_orphan(t, t->orphan[i], tally);
}

/* clang-format off */
const struct invariant relaying_invariants[] = {
    { .id = "P-1", .name = "recipients go to the back end only for local domains or clients that may relay",
      .judge = judge_local_domains, .needs_south = true, .needs_config = true },
    { .id = "P-2", .name = "no recipient that an old server may send on to another host",
      .judge = judge_routes, .needs_south = true },
    { .id = "P-3", .name = "nothing of a refused client, sender or recipient goes to the back end",
      .judge = judge_refused_sessions, .needs_north = true, .needs_south = true },
    { .id = "P-4", .name = "only the verbs of a mail transaction go to the back end",
      .judge = judge_verbs, .needs_south = true },
    { .id = "P-5", .name = "every command to the back end has the strict shape",
      .judge = judge_lines, .needs_south = true },
    { .id = "P-6", .name = "transactions at the back end are not more than the clients', and never shared",
      .judge = judge_counts, .needs_north = true, .needs_south = true },
    { .id = "P-7", .name = "reply codes and enhanced codes agree and are known",
      .judge = judge_replies, .needs_north = true },
    { .id = "P-8", .name = "a DNS without an answer refuses nothing for good",
      .judge = judge_temporary, .needs_north = true, .needs_log = true },
    { .id = "P-9", .name = "no more is accepted of a client in any window than its rate allows",
      .judge = judge_rates, .needs_north = true, .needs_config = true },
    { .id = "P-10", .name = "mail to the postmaster is not refused by a policy about its sender",
      .judge = judge_postmaster, .needs_north = true },
    { .id = "P-11", .name = "the client is offered what is implemented here and at the back end, AUTH never in clear",
      .judge = judge_keywords, .needs_north = true },
    { .id = "P-12", .name = "one reply to each command, in order, and nothing behind a command that ends a group",
      .judge = judge_pipelining, .needs_north = true },
    { .id = "P-13", .name = "nothing of a transaction is left behind its end",
      .judge = judge_state, .needs_north = true },
    { .id = NULL },
};
/* clang-format on */
