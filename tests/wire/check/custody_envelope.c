/* the envelope south is the one that the client was told is accepted. */
#include "custody_parts.h"
#include "envelope.h"

#include <stdlib.h>
#include <string.h>

/* ---- A-7 ---- */

/* The recipients that were answered 2xx before the message began; `at` is the place of DATA among the commands. */
struct recipients {
    size_t *index; /* into the transaction's rcpt */
    size_t n;
};

static struct recipients accepted_recipients(const struct dialogue *d, const struct transaction *x)
{
    struct recipients all = { 0 };

    for (size_t i = 0; i < x->rcpt_n; i++) {
        if (x->data != SIZE_MAX && x->rcpt[i] > x->data)
            break;
        if (!reply_is(d->command[x->rcpt[i]].reply, 2))
            continue;
        all.index = array_grow(all.index, all.n, sizeof *all.index);
        all.index[all.n++] = i;
    }
    return all;
}

/* The canonical form of what the client said is what must have been said on. */
static bool is_carried(const struct address *north, const struct address *south)
{
    struct buffer canonical = { 0 };

    envelope_canonical(north, &canonical);
    bool is_same = slice_equal(buffer_slice(&canonical), south->path);
    buffer_free(&canonical);
    return is_same;
}

enum redirect { TO_RECIPIENTS, TO_QUARANTINE, PERHAPS_TO_QUARANTINE };

/* Quarantined mail may go to a mailbox of its own ([dmarc] quarantine = redirect). Without the configuration our own
 * verdict in front of the message is a hint, no more. */
static enum redirect redirect_of(const struct trial *t, const struct pair *p, const struct recipients *south)
{
    const struct settings *settings = &t->settings;
    const char *quarantine = settings_value(settings, "dmarc", "quarantine");
    struct slice mailbox = slice_of(settings->quarantine_mailbox), body = buffer_slice(&p->south->message.body);

    if (south->n != 1)
        return TO_RECIPIENTS;
    if (settings->is_given)
        return quarantine != NULL && strcmp(quarantine, "redirect") == 0 && mailbox.n > 0 &&
                       slice_equal(p->south->to[south->index[0]].path, mailbox)
                   ? TO_QUARANTINE
                   : TO_RECIPIENTS;
    if (p->record != NULL && slice_equal(record_value(p->record, "redirected_to"), p->south->to[south->index[0]].path))
        return TO_QUARANTINE;
    return slice_find(slice_part(body, 0, 4096), SLICE("X-Postern-Verdict: quarantine"), 0) <
                   slice_part(body, 0, 4096).n
               ? PERHAPS_TO_QUARANTINE
               : TO_RECIPIENTS;
}

static void show_recipients(struct violation *v, enum wire_name w, const struct dialogue *d,
                            const struct transaction *x, size_t from)
{
    enum { MOST = 6 };

    for (size_t i = from; i < x->rcpt_n && i < from + MOST; i++) {
        show_command(v, w, &d->command[x->rcpt[i]], NULL);
        show_reply(v, w, d->command[x->rcpt[i]].reply, NULL);
    }
}

static const char *compare_recipients(const struct trial *t, const struct pair *p, const struct recipients *north,
                                      const struct recipients *south, struct tally *tally)
{
    size_t i = 0;

    while (i < north->n && i < south->n && is_carried(&p->north->to[north->index[i]], &p->south->to[south->index[i]]))
        i++;
    if (i == north->n && i == south->n) {
        held(tally);
        return NULL;
    }
    enum redirect redirect = redirect_of(t, p, south);
    if (redirect == PERHAPS_TO_QUARANTINE)
        return "the recipient may be the quarantine's";
    if (redirect == TO_QUARANTINE) {
        held(tally);
        return NULL;
    }
    struct violation *v =
        violated(tally, p->session,
                 "recipients differ when the message begins: %zu accepted north, %zu south, from number %zu on",
                 north->n, south->n, i + 1);
    show_recipients(v, NORTH, p->session->north, p->north, i < north->n ? north->index[i] : 0);
    show_recipients(v, SOUTH, p->south_dialogue, p->south, i < south->n ? south->index[i] : 0);
    show_command(v, SOUTH, &p->south_dialogue->command[p->south->data], "the message begins");
    return NULL;
}

/* With no recipient there is no message: 503, or 554 5.5.1 (RFC 5321 3.3). */
static void judge_no_recipients(const struct pair *p, struct tally *tally)
{
    const struct command *data = &p->session->north->command[p->north->data];

    if (data->reply == NULL)
        return;
    if (data->reply->code == 503 || data->reply->code == 554 || data->reply->code == 421 || data->reply->code == 530) {
        held(tally);
        return;
    }
    struct violation *v =
        violated(tally, p->session, "no recipient was accepted, but the message was answered %d", data->reply->code);
    show_recipients(v, NORTH, p->session->north, p->north, 0);
    show_command(v, NORTH, data, NULL);
    show_reply(v, NORTH, data->reply, NULL);
}

static const char *judge_pair_recipients(const struct trial *t, const struct pair *p, struct tally *tally)
{
    bool has_message_south = p->south != NULL && p->south->data != SIZE_MAX;
    bool has_message_north = p->north->data != SIZE_MAX;
    const char *doubt = has_message_south || has_message_north ? south_doubt(t, p) : NULL;

    if (doubt != NULL)
        return doubt;
    struct recipients north = accepted_recipients(p->session->north, p->north), south = { 0 };
    if (has_message_south) {
        south = accepted_recipients(p->south_dialogue, p->south);
        doubt = compare_recipients(t, p, &north, &south, tally);
    } else if (has_message_north && north.n == 0) {
        judge_no_recipients(p, tally);
    }
    free(north.index);
    free(south.index);
    return doubt;
}

void judge_recipients(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_pair_recipients);
}

/* ---- A-8 ---- */

static bool is_offered(const struct dialogue *d, struct slice keyword)
{
    struct slice rest = d->keywords;

    while (rest.n > 0) {
        size_t end = slice_find(rest, SLICE("\r\n"), 0);
        struct slice line = slice_part(rest, 4, end);
        if (end >= 4 && slice_equal_nocase(slice_part(line, 0, slice_find(line, SLICE(" "), 0)), keyword))
            return true;
        rest = slice_part(rest, end + 2, rest.n);
    }
    return false;
}

/* Which keyword of EHLO a parameter belongs to. */
static struct slice keyword_of(struct slice parameter)
{
    static const struct {
        const char *name, *keyword;
    } rows[] = {
        { "RET", "DSN" }, { "ENVID", "DSN" }, { "NOTIFY", "DSN" }, { "ORCPT", "DSN" }, { "BODY", "8BITMIME" },
    };
    struct slice name = parameter_name(parameter);

    if (slice_equal_nocase(parameter, SLICE("BODY=BINARYMIME")))
        return SLICE("BINARYMIME");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_equal_nocase(name, slice_of(rows[i].name)))
            return slice_of(rows[i].keyword);
    return name;
}

/* "SIZE=0100" is printed again as "SIZE=100". */
static bool is_same_parameter(struct slice a, struct slice b)
{
    struct slice name = parameter_name(a);

    if (slice_equal_nocase(a, b))
        return true;
    if (!slice_equal_nocase(name, SLICE("SIZE")) || !slice_equal_nocase(parameter_name(b), name))
        return false;
    for (a = slice_part(a, 5, a.n); a.n > 1 && a.p[0] == '0'; a = slice_part(a, 1, a.n))
        ;
    for (b = slice_part(b, 5, b.n); b.n > 1 && b.p[0] == '0'; b = slice_part(b, 1, b.n))
        ;
    return slice_equal(a, b);
}

static bool was_given(const struct address *north, struct slice parameter)
{
    struct slice rest = north->parameters, theirs;

    while (envelope_parameter(&rest, &theirs))
        if (is_same_parameter(theirs, parameter))
            return true;
    return false;
}

/* What is wrong with the parameters south; NULL nothing. */
static const char *wrong_parameter(const struct dialogue *d, const struct address *north, const struct address *south,
                                   struct slice *parameter)
{
    struct slice rest = south->parameters;

    while (envelope_parameter(&rest, parameter)) {
        if (!was_given(north, *parameter))
            return "the client gave no such parameter";
        if (!is_offered(d, keyword_of(*parameter)))
            return "the back end does not offer this parameter";
    }
    return NULL;
}

static struct violation *blame(const struct pair *p, struct tally *tally, const struct command *north,
                               const struct command *south, const char *what, struct slice parameter)
{
    struct buffer text = { 0 };

    if (parameter.n > 0)
        buffer_add_quoted(&text, parameter, 80);
    struct violation *v = violated(tally, p->session, "%s%s%.*s", what, parameter.n > 0 ? ": " : "", (int)text.n,
                                   text.n > 0 ? (const char *)text.p : "");
    buffer_free(&text);
    show_command(v, NORTH, north, "the client");
    show_command(v, SOUTH, south, "the gateway");
    return v;
}

/* The first RCPT south with a parameter that should not be there. */
static bool blame_recipient(const struct pair *p, struct tally *tally)
{
    for (size_t i = 0, k = 0; i < p->south->rcpt_n; i++) {
        struct slice parameter;
        while (k < p->north->rcpt_n && !is_carried(&p->north->to[k], &p->south->to[i]))
            k++;
        if (k == p->north->rcpt_n)
            return false; /* another recipient: A-7 */
        const char *what = wrong_parameter(p->south_dialogue, &p->north->to[k], &p->south->to[i], &parameter);
        if (what != NULL) {
            blame(p, tally, &p->session->north->command[p->north->rcpt[k]],
                  &p->south_dialogue->command[p->south->rcpt[i]], what, parameter);
            return true;
        }
        k++;
    }
    return false;
}

static const char *judge_sender(const struct trial *t, const struct pair *p, struct tally *tally)
{
    if (p->south == NULL)
        return NULL;
    const char *doubt = south_doubt(t, p);
    if (doubt != NULL)
        return doubt;
    const struct command *north = &p->session->north->command[p->north->mail];
    const struct command *south = &p->south_dialogue->command[p->south->mail];
    struct slice parameter = { 0 };
    const char *what = wrong_parameter(p->south_dialogue, &p->north->from, &p->south->from, &parameter);
    if (!is_carried(&p->north->from, &p->south->from))
        blame(p, tally, north, south, "another sender went to the back end than the client's in its canonical form",
              SLICE(""));
    else if (what != NULL)
        blame(p, tally, north, south, what, parameter);
    else if (!blame_recipient(p, tally))
        held(tally);
    return NULL;
}

void judge_mail(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_sender);
}
