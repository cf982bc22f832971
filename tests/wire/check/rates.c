/* ORACLE P-9: in any window no more is accepted of one client than its [rate NAME] section says, and the excess is refused for
 * now, never for good.
 *
 * Judged are connections, messages and recipients, counted by address, network or sender's domain: what else a section may
 * count by (autonomous systems, users) stands on no wire. What the gateway had counted before the capture began is not known,
 * which excuses nothing: it may only accept less. A window is taken 2 % shorter than the ini has it, since the moment at which
 * the gateway looked lies somewhat behind the octets on the wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relaying.h"
#include "view.h"

enum { UNTIL_DAY = 86400 };
#define SECOND INT64_C(1000000000)

enum unit { CONNECTIONS, MESSAGES, RECIPIENTS, UNITS };
enum subject { ADDRESS, NETWORK, SENDER, SUBJECTS };

static const char *const units[UNITS] = { "connections", "messages", "recipients" };
static const char *const subjects[SUBJECTS] = { "address", "network", "sender" };

struct rate {
    const char *section;
    enum unit unit;
    enum subject subject;
    size_t limit;
    int64_t window; /* ns */
};

/* ---- the sections ---- */

static int index_of(const char *const *words, int n, const char *word)
{
    int i = 0;

    while (i < n && (word == NULL || strcmp(words[i], word) != 0))
        i++;
    return i;
}

static int64_t time_of(const char *text)
{
    char *unit;
    unsigned long long n = strtoull(text, &unit, 10);
    static const struct {
        const char *name;
        int64_t ns;
    } rows[] = { { "", SECOND },       { "s", SECOND },        { "ms", SECOND / 1000 },
                 { "m", 60 * SECOND }, { "h", 3600 * SECOND }, { "d", 86400 * SECOND } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(unit, rows[i].name) == 0 && n <= UNTIL_DAY * 1000ULL)
            return (int64_t)n * rows[i].ns;
    return 0;
}

/* False for what is not refused, or stands on no wire. */
static bool read_rate(const struct settings *s, const char *section, struct rate *rate)
{
    const char *mode = settings_value(s, section, "mode"), *limit = settings_value(s, section, "limit"),
               *window = settings_value(s, section, "window");
    int unit = index_of(units, UNITS, settings_value(s, section, "count"));
    int subject = index_of(subjects, SUBJECTS, settings_value(s, section, "per"));

    if (unit == UNITS || subject == SUBJECTS || limit == NULL || (mode != NULL && strcmp(mode, "reject") != 0))
        return false;
    *rate = (struct rate){ section, (enum unit)unit, (enum subject)subject, (size_t)strtoull(limit, NULL, 10),
                           window != NULL ? time_of(window) : 60 * SECOND };
    rate->window -= rate->window / 50;
    return rate->limit > 0 && rate->window > 0;
}

/* Sections stand in one piece: a name that differs from the one before begins another. */
static size_t read_rates(const struct settings *s, struct rate **out)
{
    const char *before = "";
    size_t n = 0;

    *out = NULL;
    for (size_t i = 0; i < s->setting_n; i++) {
        const char *section = s->setting[i].section;

        if (strncmp(section, "rate ", 5) != 0 || strcmp(section, before) == 0)
            continue;
        before = section;
        *out = array_grow(*out, n, sizeof **out);
        n += read_rate(s, section, &(*out)[n]);
    }
    return n;
}

/* Whether the ini lets somebody through whom these captures do not tell apart. */
static bool has_exceptions(const struct settings *s)
{
    for (size_t i = 0; i < s->setting_n; i++)
        if (strncmp(s->setting[i].section, "except ", 7) == 0)
            return true;
    return false;
}

/* ---- what was accepted ---- */

struct accepted {
    char subject[256];
    int64_t time;
    const struct session *session;
    const struct command *command; /* NULL: the connection */
};

struct list {
    struct accepted *item;
    size_t n;
};

static void name_network(const struct endpoint *client, unsigned octets, char out[256])
{
    for (unsigned i = 0; i < octets; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", client->address[i]);
}

static bool is_v4(const struct endpoint *e)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    return memcmp(e->address, mapped, sizeof mapped) == 0;
}

/* Empty for the null sender, who is nobody's. */
static void name_sender(const struct command *c, char out[256])
{
    struct address a;
    size_t n;

    address_read(&a, c->argument);
    n = a.domain.n < 255 ? a.domain.n : 255;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(a.domain.p[i] >= 'A' && a.domain.p[i] <= 'Z' ? a.domain.p[i] + 32 : a.domain.p[i]);
    out[n] = '\0';
}

/* The MAIL of the transaction a command belongs to; the command itself when it is one. */
static const struct command *mail_of(const struct dialogue *d, const struct command *c)
{
    if (c->verb == VERB_MAIL)
        return c;
    return c->transaction < d->transaction_n ? &d->command[d->transaction[c->transaction].mail] : NULL;
}

static void accept(struct list *list, const struct rate *rate, const struct session *s, const struct endpoint *client,
                   const struct command *c, int64_t time)
{
    struct accepted *a;
    const struct command *mail = c != NULL ? mail_of(s->north, c) : NULL;
    char sender[256] = "";

    if (rate->subject == SENDER && mail != NULL)
        name_sender(mail, sender);
    if (rate->subject == SENDER && sender[0] == '\0')
        return;
    list->item = array_grow(list->item, list->n, sizeof *list->item);
    a = &list->item[list->n++];
    *a = (struct accepted){ .time = time, .session = s, .command = c };
    if (rate->subject == SENDER)
        memcpy(a->subject, sender, sizeof sender);
    else if (rate->subject == ADDRESS)
        name_network(client, 16, a->subject);
    else /* an IPv4 /24, an IPv6 /64 */
        name_network(client, is_v4(client) ? 15 : 8, a->subject);
}

static bool counts(const struct rate *rate, const struct command *c)
{
    return c->verb == (rate->unit == MESSAGES ? VERB_MAIL : VERB_RCPT) && reply_is(c->reply, 2);
}

static bool has_logged_in(const struct dialogue *d)
{
    for (size_t i = 0; i < d->command_n; i++)
        if (d->command[i].reply != NULL && d->command[i].reply->code == 235)
            return true;
    return false;
}

/* Clients that may relay are not counted, and those who log in are not counted by where they are. */
static void collect(const struct trial *t, const struct rate *rate, const struct session *s, struct list *list)
{
    const struct dialogue *d = s->north;
    struct endpoint client;

    if (d == NULL || s->doubt != NULL || !view_client(d, &client) || settings_trusts(&t->settings, &client) ||
        has_logged_in(d))
        return;
    if (rate->unit == CONNECTIONS && d->greeting != NULL && d->greeting->code == 220)
        accept(list, rate, s, &client, NULL, d->greeting->place.first_time);
    for (size_t i = 0; rate->unit != CONNECTIONS && i < d->command_n; i++)
        if (counts(rate, &d->command[i]))
            accept(list, rate, s, &client, &d->command[i], d->command[i].place.last_time);
}

static int compare(const void *a, const void *b)
{
    const struct accepted *x = a, *y = b;
    int order = strcmp(x->subject, y->subject);

    return order != 0 ? order : (x->time > y->time) - (x->time < y->time);
}

static void complain(const struct rate *rate, const struct accepted *a, struct tally *tally)
{
    struct violation *v =
        violated(tally, a->session, "more than %zu %s of one %s were accepted within the window of [%s]", rate->limit,
                 units[rate->unit], subjects[rate->subject], rate->section);

    if (a->command != NULL)
        show_command(v, NORTH, a->command, "one too many");
    else
        show_reply(v, NORTH, a->session->north->greeting, "one too many");
}

static void judge_rate(const struct trial *t, const struct rate *rate, struct tally *tally)
{
    struct list list = { 0 };
    bool is_excused = has_exceptions(&t->settings);

    for (size_t i = 0; i < t->session_n; i++)
        collect(t, rate, &t->session[i], &list);
    if (list.n > 0)
        qsort(list.item, list.n, sizeof *list.item, compare);
    for (size_t i = 0; i < list.n; i++) {
        const struct accepted *first = i >= rate->limit ? &list.item[i - rate->limit] : NULL;

        if (first == NULL || strcmp(first->subject, list.item[i].subject) != 0 ||
            list.item[i].time - first->time >= rate->window)
            held(tally);
        else if (is_excused)
            unsure(tally, "more than a rate allows, and an exception that may be this client's");
        else
            complain(rate, &list.item[i], tally);
    }
    free(list.item);
}

/* The log names what a rate refused: for now only. */
static void judge_excess(const struct session *s, struct tally *tally)
{
    for (size_t i = 0; i < s->refusal_n; i++) {
        struct slice reply = record_value(s->refusal[i], "reply");

        if (!slice_equal(record_value(s->refusal[i], "check"), slice_of("rates")) || reply.n == 0)
            continue;
        if (reply.p[0] == '4')
            held(tally);
        else
            violated(tally, s, "the excess of a rate was refused for good: %.*s", SLICE_ARG(reply));
    }
}

void judge_rates(const struct trial *t, struct tally *tally)
{
    struct rate *rate;
    size_t n = read_rates(&t->settings, &rate);

    for (size_t i = 0; i < n; i++)
        judge_rate(t, &rate[i], tally);
    free(rate);
    for (size_t i = 0; i < t->session_n; i++)
        judge_excess(&t->session[i], tally);
}
