/* ORACLE 2, commands: which verbs and lines reach the back end (P-4, P-5), what the client is offered (P-11), how its
 * commands are answered (P-12), and that no transaction outlives its end (P-13). */
#include <stdlib.h>
#include <string.h>

#include "relaying.h"
#include "view.h"

/* ---- P-4 ---- */

enum login { NOT_LOOKED, ASKED_FOR, NOT_ASKED_FOR, NOBODY_KNOWS };

/* Did this connection's client ask to log in? */
static enum login login_of(const struct session *s)
{
    if (s == NULL || s->north == NULL || s->doubt != NULL)
        return NOBODY_KNOWS;
    for (size_t i = 0; i < s->north->command_n; i++)
        if (s->north->command[i].verb == VERB_AUTH)
            return ASKED_FOR;
    return view_is_hidden(s->north) || view_cloud(s->north) != NULL ? NOBODY_KNOWS : NOT_ASKED_FOR;
}

/* A login with no mail behind it leaves a connection that no envelope joins: did some client ask for one at this moment? */
static bool was_asked_at(const struct trial *t, int64_t time)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d == NULL || d->connection->time > time || d->connection->last_time < time)
            continue;
        for (size_t k = 0; k < d->command_n; k++)
            if ((d->command[k].verb == VERB_AUTH || d->command[k].verb == VERB_AUTH_LINE) &&
                d->command[k].place.first_time < time &&
                (d->command[k].reply == NULL || d->command[k].reply->place.last_time > time))
                return true;
    }
    return false;
}

/* Why this verb may not be there: NULL it may, "" nobody can tell. `login` is found out once for a connection. */
static const char *verb_breach(const struct trial *t, const struct south_end *end, const struct command *c,
                               enum login *login)
{
    switch (c->verb) {
    case VERB_EHLO:
    case VERB_HELO:
    case VERB_STARTTLS:
    case VERB_MAIL:
    case VERB_RCPT:
    case VERB_DATA:
    case VERB_BDAT:
    case VERB_RSET:
    case VERB_NOOP:
    case VERB_QUIT: return NULL;
    case VERB_XCLIENT:
        if (!t->settings.is_given)
            return "";
        return strcmp(t->settings.client_info, "xclient") == 0 ? NULL : "XCLIENT is not configured";
    case VERB_AUTH:
    case VERB_AUTH_LINE:
        if (*login == NOT_LOOKED)
            *login = login_of(end->session);
        if (*login == NOBODY_KNOWS)
            return end->session == NULL && was_asked_at(t, c->place.first_time) ? NULL : "";
        return *login == ASKED_FOR ? NULL : "the client did not ask to log in";
    default: return "a mail gateway has no use for it there";
    }
}

void judge_verbs(const struct trial *t, struct tally *tally)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        enum login login = NOT_LOOKED;

        for (size_t k = 0; k < end[i].dialogue->command_n; k++) {
            const struct command *c = &end[i].dialogue->command[k];
            const char *breach = c->is_complete ? verb_breach(t, &end[i], c, &login) : NULL;

            if (breach == NULL)
                held(tally);
            else if (*breach == '\0')
                unsure(tally, "XCLIENT or AUTH at the back end, and nothing tells whether it belongs there");
            else
                show_command(violated(tally, end[i].session, "%s went to the back end", verb_name(c->verb)), SOUTH, c,
                             breach);
        }
        view_close(tally, end[i].dialogue);
    }
    free(end);
}

/* ---- P-5 ---- */

void judge_lines(const struct trial *t, struct tally *tally)
{
    const char *unqualified = settings_value(&t->settings, "relay", "allow_unqualified");
    struct line_rules rules = {
        .may_lack_domain = !t->settings.is_given || (unqualified != NULL && strcmp(unqualified, "no") != 0),
        .hostname = t->settings.is_given ? t->settings.hostname : "",
    };
    struct south_end *end;
    size_t n = view_south(t, &end);

    for (size_t i = 0; i < n; i++) {
        rules.is_utf8 = false;
        for (size_t k = 0; k < end[i].dialogue->command_n; k++) {
            const struct command *c = &end[i].dialogue->command[k];
            const char *breach;
            struct address a;

            if (!c->is_complete) /* cut off with the connection: nobody acts on it */
                continue;
            if (c->verb == VERB_MAIL) {
                address_read(&a, c->argument);
                rules.is_utf8 = view_parameter(&a, "SMTPUTF8").p != NULL;
            }
            breach = line_breach(c, &rules);
            if (breach == NULL)
                held(tally);
            else
                show_command(
                    violated(tally, end[i].session, "a command to the back end is not of the strict shape: %s", breach),
                    SOUTH, c, breach);
        }
        view_close(tally, end[i].dialogue);
    }
    free(end);
}

/* ---- P-11: what EHLO offers ---- */

enum {
    KEYWORD_8BITMIME,
    KEYWORD_SMTPUTF8,
    KEYWORD_DSN,
    KEYWORD_BINARYMIME,
    KEYWORD_AUTH,
    OF_BACKEND,
    KEYWORD_SIZE = OF_BACKEND,
    KEYWORD_PIPELINING,
    KEYWORD_CHUNKING,
    KEYWORD_ENHANCED,
    KEYWORD_LIMITS,
    KEYWORD_STARTTLS,
    KEYWORDS
};

static const struct {
    const uint8_t *p;
    size_t n;
} keyword_names[KEYWORDS] = {
#define NAME(text) \
    { \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
    [KEYWORD_8BITMIME] = NAME("8BITMIME"),
    [KEYWORD_SMTPUTF8] = NAME("SMTPUTF8"),
    [KEYWORD_DSN] = NAME("DSN"),
    [KEYWORD_BINARYMIME] = NAME("BINARYMIME"),
    [KEYWORD_AUTH] = NAME("AUTH"),
    [KEYWORD_SIZE] = NAME("SIZE"),
    [KEYWORD_PIPELINING] = NAME("PIPELINING"),
    [KEYWORD_CHUNKING] = NAME("CHUNKING"),
    [KEYWORD_ENHANCED] = NAME("ENHANCEDSTATUSCODES"),
    [KEYWORD_LIMITS] = NAME("LIMITS"),
    [KEYWORD_STARTTLS] = NAME("STARTTLS"),
#undef NAME
};

/* One answer to EHLO, taken apart. */
struct offer {
    unsigned bits;        /* 1 << KEYWORD_* */
    uint64_t size;        /* 0: no limit given */
    struct slice strange; /* the first line with another keyword; .p NULL none */
};

static uint64_t number(struct slice s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            break;
        if (n > (UINT64_MAX - 9) / 10)
            return UINT64_MAX;
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    return n;
}

static void offer_line(struct offer *o, struct slice line)
{
    size_t blank = slice_find(line, SLICE(" "), 0);
    struct slice word = slice_part(line, 0, blank);

    for (size_t i = 0; i < KEYWORDS; i++) {
        if (!slice_equal_nocase(word, (struct slice){ keyword_names[i].p, keyword_names[i].n }))
            continue;
        o->bits |= 1u << i;
        if (i == KEYWORD_SIZE)
            o->size = number(slice_part(line, blank + 1, line.n));
        return;
    }
    if (o->strange.p == NULL)
        o->strange = word;
}

static struct offer offer_read(const struct reply *r)
{
    struct offer o = { 0 };
    bool is_first = true; /* its own name and greeting, RFC 5321 4.1.1.1 */

    for (size_t at = 0, end; at < r->octets.n; at = end + 2) {
        end = slice_find(r->octets, SLICE("\r\n"), at);
        if (!is_first && end > at + 4)
            offer_line(&o, slice_part(r->octets, at + 4, end));
        is_first = false;
    }
    return o;
}

/* What back ends have offered until some moment. */
struct backends {
    unsigned ever;    /* by any of them */
    unsigned later;   /* the whole capture long */
    size_t answers;   /* EHLO answers until then */
    uint64_t largest; /* SIZE; UINT64_MAX: one named none */
    bool may_hide;    /* some of it is in TLS or was not captured */
};

struct answer {
    int64_t time;
    struct offer offer;
};

static int compare_answers(const void *a, const void *b)
{
    int64_t x = ((const struct answer *)a)->time, y = ((const struct answer *)b)->time;

    return (x > y) - (x < y);
}

static bool is_offer(const struct command *c)
{
    return c->verb == VERB_EHLO && c->reply != NULL && c->reply->code == 250;
}

/* What a server that was never heard may offer, nobody knows. */
static bool has_answered(const struct endpoint *server, const struct south_end *end, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!endpoint_equal(server, &end[i].dialogue->connection->end[SERVER]))
            continue;
        for (size_t k = 0; k < end[i].dialogue->command_n; k++)
            if (is_offer(&end[i].dialogue->command[k]))
                return true;
    }
    return false;
}

/* Is one of several configured servers silent all the time? With a single one, or where addresses are translated,
 * those that were heard are all there are. */
static bool is_one_silent(const struct settings *s, const struct south_end *end, size_t n)
{
    size_t heard = 0;

    for (size_t i = 0; i < s->backend_n; i++)
        heard += has_answered(&s->backend[i], end, n);
    return heard > 0 && heard < s->backend_n;
}

static void add_answers(const struct dialogue *d, struct answer **all, size_t *n)
{
    for (size_t i = 0; i < d->command_n; i++) {
        if (!is_offer(&d->command[i]))
            continue;
        *all = array_grow(*all, *n, sizeof **all);
        (*all)[(*n)++] = (struct answer){ d->command[i].reply->place.last_time, offer_read(d->command[i].reply) };
    }
}

/* All answers to EHLO at back ends, in the order of time. */
static size_t answers_south(const struct trial *t, struct answer **all, struct backends *b)
{
    struct south_end *end;
    size_t ends = view_south(t, &end), n = 0;

    *all = NULL;
    for (size_t i = 0; i < ends; i++) {
        add_answers(end[i].dialogue, all, &n);
        if (view_is_hidden(end[i].dialogue) || view_cloud(end[i].dialogue) != NULL)
            b->may_hide = true;
    }
    b->may_hide |= is_one_silent(&t->settings, end, ends);
    free(end);
    if (n > 0)
        qsort(*all, n, sizeof **all, compare_answers);
    for (size_t i = 0; i < n; i++)
        b->later |= (*all)[i].offer.bits;
    return n;
}

static void learn(struct backends *b, const struct offer *o)
{
    uint64_t size = o->size == 0 ? UINT64_MAX : o->size; /* no SIZE, and SIZE 0 (RFC 1870 4): no limit named */

    b->ever |= o->bits;
    b->largest = b->answers == 0 || size > b->largest ? size : b->largest;
    b->answers++;
}

static const char *offer_breach(const struct trial *t, const struct command *c, const struct offer *o,
                                const struct backends *b)
{
    if (o->strange.p != NULL)
        return "a keyword that the gateway does not implement";
    if ((o->bits & 1u << KEYWORD_AUTH) != 0 && !c->reply->place.in_tls)
        return "AUTH in clear";
    if ((o->bits & 1u << KEYWORD_SIZE) != 0 && t->settings.is_given && t->settings.max_message > 0 &&
        (o->size == 0 || o->size > t->settings.max_message))
        return "SIZE above the configured limit";
    if (b->answers == 0 || b->may_hide)
        return NULL;
    if (o->bits & ((1u << OF_BACKEND) - 1) & ~b->later)
        return "a keyword that no back end offers";
    if ((o->bits & 1u << KEYWORD_SIZE) != 0 && (o->size == 0 ? UINT64_MAX : o->size) > b->largest)
        return "SIZE above the back ends'";
    return NULL;
}

/* What is offered that depends on the back end, and the capture does not show where from. */
static bool is_offer_unsure(const struct offer *o, const struct backends *b)
{
    if (b->may_hide && b->answers > 0 && (o->bits & 1u << KEYWORD_SIZE) != 0 && o->size > b->largest)
        return true;
    return (o->bits & ((1u << OF_BACKEND) - 1) & ~b->ever) != 0;
}

static void judge_offer(const struct trial *t, const struct session *s, const struct command *c,
                        const struct backends *b, struct tally *tally)
{
    struct offer o = offer_read(c->reply);
    const char *breach = offer_breach(t, c, &o, b);
    struct violation *v;

    if (breach == NULL && t->south.is_present && is_offer_unsure(&o, b)) { /* alone, this wire shows the rest */
        unsure(tally, b->answers == 0 ? "no back end's EHLO was captured before this one"
                                      : "a keyword that no back end was seen to offer before");
    } else if (breach == NULL) {
        held(tally);
    } else {
        v = violated(tally, s, "the answer to EHLO offers what it must not: %s", breach);
        show_command(v, NORTH, c, NULL);
        show_reply(v, NORTH, c->reply, breach);
    }
}

struct offered {
    const struct session *session;
    const struct command *command;
};

static int compare_offered(const void *a, const void *b)
{
    int64_t x = ((const struct offered *)a)->command->reply->place.first_time;
    int64_t y = ((const struct offered *)b)->command->reply->place.first_time;

    return (x > y) - (x < y);
}

static size_t offers_north(const struct trial *t, struct offered **all)
{
    size_t n = 0;

    *all = NULL;
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        for (size_t k = 0; d != NULL && k < d->command_n; k++) {
            if (!is_offer(&d->command[k]))
                continue;
            *all = array_grow(*all, n, sizeof **all);
            (*all)[n++] = (struct offered){ &t->session[i], &d->command[k] };
        }
    }
    if (n > 0)
        qsort(*all, n, sizeof **all, compare_offered);
    return n;
}

/* Both wires' answers in the order of time, so that each client's is compared with what was known by then. Workers
 * learn from probes of their own, at moments of their own: a keyword passes when any back end has ever offered it
 * before. */
void judge_keywords(const struct trial *t, struct tally *tally)
{
    struct backends b = { 0 };
    struct answer *answer;
    struct offered *offered;
    size_t answers = answers_south(t, &answer, &b), n = offers_north(t, &offered), known = 0;

    for (size_t i = 0; i < n; i++) {
        for (; known < answers && answer[known].time <= offered[i].command->reply->place.first_time; known++)
            learn(&b, &answer[known].offer);
        judge_offer(t, offered[i].session, offered[i].command, &b, tally);
    }
    free(answer);
    free(offered);
}

/* ---- P-12 ---- */

/* Commands that must be the last of a group (RFC 2920 3.1), less STARTTLS, which T-2 judges, and QUIT, behind which
 * nothing is answered whatever came with it. */
static bool ends_group(enum verb v)
{
    static const bool ends[VERBS] = {
        [VERB_EHLO] = true, [VERB_HELO] = true, [VERB_DATA] = true, [VERB_VRFY] = true,
        [VERB_EXPN] = true, [VERB_TURN] = true, [VERB_NOOP] = true,
    };

    return ends[v];
}

/* One read takes what one segment brought when the server waits with an empty buffer, and the segment is small. */
static bool came_with(const struct dialogue *d, size_t i, const struct place *next)
{
    enum { ONE_READ = 1400 };
    const struct command *c = &d->command[i];
    size_t first = i;

    if (c->place.in_tls || next->first_frame != c->place.first_frame || next->last_frame != c->place.first_frame)
        return false;
    while (first > 0 && i - first < ONE_READ && d->command[first - 1].place.last_frame == c->place.first_frame)
        first--;
    if (i - first >= ONE_READ || next->at - d->command[first].place.at > ONE_READ)
        return false;
    return first == 0 ||
           (d->command[first - 1].reply != NULL && d->command[first - 1].reply->place.last_time <= c->place.first_time);
}

/* The octets behind DATA in its own segment, taken for the message. */
static const struct transaction *early_message(const struct dialogue *d, size_t i)
{
    size_t x = d->command[i].transaction;

    if (x >= d->transaction_n || d->transaction[x].data != i || !d->transaction[x].has_message ||
        (d->transaction[x].message.raw.n == 0 && !d->transaction[x].message.is_ended))
        return NULL;
    return &d->transaction[x];
}

/* The operator's word ([door] pipelining): what is tolerated behind other commands never is behind DATA. */
static bool tolerates_pipelining(const struct trial *t)
{
    const char *mode = settings_value(&t->settings, "door", "pipelining");

    return mode != NULL && strcmp(mode, "reject") != 0;
}

static void judge_group(const struct trial *t, const struct session *s, size_t i, struct tally *tally)
{
    const struct dialogue *d = s->north;
    const struct command *c = &d->command[i], *next = i + 1 < d->command_n ? c + 1 : NULL;
    const struct transaction *x = c->verb == VERB_DATA ? early_message(d, i) : NULL;
    struct violation *v;

    if (!ends_group(c->verb) || c->reply == NULL || c->reply->code >= 400)
        return;
    if (x != NULL && came_with(d, i,
                               &(struct place){ .first_frame = x->message.place.first_frame,
                                                .last_frame = x->message.place.first_frame,
                                                .at = x->message.place.at })) {
        v = violated(tally, s, "a message that was sent in one segment with DATA was taken");
    } else if (x == NULL && c->verb != VERB_DATA && !tolerates_pipelining(t) && next != NULL && next->is_complete &&
               next->reply != NULL && next->reply->code < 400 && came_with(d, i, &next->place)) {
        v = violated(tally, s, "%s was processed behind %s in one segment", verb_name(next->verb), verb_name(c->verb));
    } else {
        return;
    }
    show_command(v, NORTH, c, "the last command of its group");
    show_reply(v, NORTH, c->reply, "accepted");
    if (x != NULL)
        show_octets(v, NORTH, true, &x->message.place, slice_part(x->message.raw, 0, 80), "came with it");
    else
        show_command(v, NORTH, next, "came with it");
}

/* Said before the command was there to its end? A BDAT that is refused need not wait for its octets, and what can be no command (a PROXY
 * header or TLS where none is expected) is refused at its first octet. */
static bool is_before_its_time(const struct command *c)
{
    bool is_refused = c->reply->code >= 400 && (c->verb == VERB_BDAT || c->has_strange_octets);

    return c->reply->is_early && !is_refused;
}

static void judge_answer(const struct session *s, const struct command *c, struct tally *tally)
{
    struct violation *v;

    if (c->reply == NULL || !c->is_complete || c->reply->code == 0) /* a malformed reply is F-7's */
        return;
    if (is_before_its_time(c)) {
        v = violated(tally, s, "%s was answered before it was there", verb_name(c->verb));
    } else if (!view_answers(c->verb, c->reply->code)) {
        v = violated(tally, s, "%d does not answer %s: the replies have lost their order", c->reply->code,
                     verb_name(c->verb));
    } else {
        held(tally);
        return;
    }
    show_command(v, NORTH, c, NULL);
    show_reply(v, NORTH, c->reply, "paired with it");
}

static void judge_unasked(const struct session *s, struct tally *tally)
{
    for (size_t i = 0; i < s->north->unasked_n; i++)
        show_reply(violated(tally, s, "a reply to nothing"), NORTH, s->north->unasked[i], "nobody asked");
}

/* The answer to a message is 250, or a refusal. */
static void judge_end(const struct session *s, const struct transaction *x, struct tally *tally)
{
    const struct reply *r = x->message.reply;
    struct violation *v;

    if (!x->has_message || !x->message.is_ended || r == NULL || r->code == 0)
        return;
    if (r->code == 250 || (r->code >= 400 && r->code < 600)) {
        held(tally);
        return;
    }
    v = violated(tally, s, "%d does not answer the end of a message", r->code);
    show_octets(v, NORTH, true, &x->message.end, SLICE("\r\n.\r\n"), "the end");
    show_reply(v, NORTH, r, "paired with it");
}

void judge_pipelining(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];

        if (s->north == NULL || !s->north->is_smtp)
            continue;
        if (view_is_disowned(s->north)) {
            unsure(tally, "a PROXY header behind the greeting was no header, but a command");
            continue;
        }
        for (size_t k = 0; k < s->north->command_n; k++) {
            judge_answer(s, &s->north->command[k], tally);
            judge_group(t, s, k, tally);
        }
        for (size_t k = 0; k < s->north->transaction_n; k++)
            judge_end(s, &s->north->transaction[k], tally);
        judge_unasked(s, tally);
        view_close(tally, s->north);
    }
}

/* ---- P-13 ---- */

/* What the server may know of a transaction. */
enum knowledge { NOTHING, SENDER, RECIPIENT, ANYTHING /* after a refusal that says nothing about it */ };

static bool clears(const struct command *c)
{
    int code = c->reply->code;

    switch (c->verb) {
    case VERB_RSET:
    case VERB_EHLO:
    case VERB_HELO:
    case VERB_STARTTLS: return code < 400;
    case VERB_DATA: return code == 354; /* whatever the answer to its end was */
    case VERB_BDAT: {
        struct slice a = c->argument;

        return code >= 400 || (a.n >= 5 && slice_equal_nocase(slice_part(a, a.n - 5, a.n), SLICE(" LAST")));
    }
    default: return false;
    }
}

static enum knowledge next_knowledge(enum knowledge k, const struct command *c)
{
    if (clears(c))
        return NOTHING;
    if (c->verb == VERB_MAIL && c->reply->code == 250)
        return SENDER;
    if (c->verb == VERB_RCPT && c->reply->code < 300)
        return RECIPIENT;
    if (c->verb == VERB_DATA && c->reply->code != 503 && k != NOTHING)
        return ANYTHING;
    return k;
}

static const char *state_breach(enum knowledge k, const struct command *c)
{
    bool is_taken = c->reply->code >= 200 && c->reply->code < 400;

    if (!is_taken || (k != NOTHING && k != SENDER))
        return NULL;
    if (c->verb == VERB_RCPT && k == NOTHING)
        return "RCPT was accepted without a new MAIL";
    if (c->verb == VERB_DATA || c->verb == VERB_BDAT)
        return k == NOTHING ? "a message was taken without a new MAIL" : "a message was taken without a recipient";
    return NULL;
}

static void judge_session_state(const struct session *s, struct tally *tally)
{
    const struct command *cleared = NULL; /* what ended the last transaction */
    enum knowledge k = NOTHING;

    for (size_t i = 0; i < s->north->command_n; i++) {
        const struct command *c = &s->north->command[i];
        const char *breach;
        struct violation *v;

        if (c->reply == NULL)
            continue;
        breach = state_breach(k, c);
        if (breach != NULL) {
            v = violated(tally, s, "%s", breach);
            if (cleared != NULL)
                show_command(v, NORTH, cleared, "ended the last transaction");
            show_command(v, NORTH, c, NULL);
            show_reply(v, NORTH, c->reply, "accepted");
        } else if ((c->verb == VERB_RCPT || c->verb == VERB_DATA || c->verb == VERB_BDAT) && k != ANYTHING) {
            held(tally);
        }
        k = next_knowledge(k, c);
        if (k == NOTHING)
            cleared = clears(c) ? c : cleared;
    }
}

void judge_state(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        if (t->session[i].north == NULL)
            continue;
        judge_session_state(&t->session[i], tally);
        view_close(tally, t->session[i].north);
    }
}
