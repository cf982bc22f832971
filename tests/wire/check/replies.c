/* ORACLE 2 and 10, replies: code and enhanced code agree and are in the table, or came from the back end (P-7); a DNS
 * without an answer refuses nothing for good (P-8); the postmaster can be written to (P-10).
 *
 * That the same input is answered the same again (the first half of P-7) is not judged: two clients that send the
 * same seldom have the same DNS and the same moment, and a capture shows neither. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relaying.h"
#include "view.h"

/* ---- the table of ORACLE 10 ---- */

/* The codes of ORACLE 10, and of README "Reading the log" (marked). Between blanks; "-" is a reply without enhanced
 * code (RFC 2034 4: 3xx have none). */
static const struct {
    int code;
    const char *enhanced;
} table[] = {
    { 214, " 2.0.0 " },
    { 220, " 2.0.0 " },
    { 221, " 2.0.0 " },
    { 235, " 2.7.0 " },
    { 250, " 2.0.0 2.1.0 2.1.5 2.6.0 " },
    { 252, " 2.0.0 2.1.5 2.5.0 2.5.2 " },
    { 334, " - " },
    { 354, " - " },
    { 421, " 4.3.0 4.3.2 4.4.2 4.7.0 " },                          /* README: 4.3.2 brown-out, 4.7.0 rates */
    { 450, " 4.7.1 " },                                            /* README: rates */
    { 451, " 4.3.0 4.3.2 4.4.1 4.4.2 4.4.3 4.7.0 4.7.1 4.7.24 " }, /* README: 4.3.x, 4.4.3, 4.7.0 */
    { 452, " 4.3.1 4.5.3 " },
    { 454, " 4.3.0 4.7.0 " }, /* out of memory at AUTH, RFC 4954 6 */
    { 500, " 5.5.2 " },
    { 501, " 5.1.3 5.1.7 5.5.4 " },
    { 502, " 5.5.1 " },
    { 503, " 5.5.1 " },
    { 504, " 5.5.4 " }, /* RFC 4954 4 */
    { 521, " 5.5.1 " }, /* ATTACKS B03 */
    { 530, " 5.7.0 " },
    { 550, " 5.1.1 5.1.8 5.5.2 5.6.0 5.7.1 5.7.20 5.7.21 5.7.22 5.7.23 5.7.24 5.7.25 5.7.26 5.7.27 5.7.29 " },
    /* README: 5.6.0; RFC 3463 3.2: 5.1.8 */
    { 552, " 5.3.4 " },
    { 553, " 5.1.3 5.1.7 5.6.7 " },       /* RFC 6531 3.5 */
    { 554, " 5.4.6 5.5.0 5.5.1 5.7.1 " }, /* README: 5.4.6 */
    { 555, " 5.5.4 " },
    { 556, " 5.1.10 " },
};

bool replies_table_holds(int code, const char *enhanced, bool is_hello)
{
    char wanted[24];

    if (enhanced[0] == '\0' && is_hello && (code == 220 || code == 250))
        return true; /* RFC 2034 4: not in the greeting and not in the answer to EHLO and HELO */
    snprintf(wanted, sizeof wanted, " %s ", enhanced[0] == '\0' ? "-" : enhanced);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return strstr(table[i].enhanced, wanted) != NULL;
    return false;
}

/* ---- P-7 ---- */

/* Codes that a session's back end has given, sorted; made when the first reply is in no table. */
struct codes {
    bool is_made, may_hide;
    char (*text)[24];
    size_t n;
};

static int compare_codes(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void code_add(struct codes *c, int code, const char *enhanced)
{
    c->text = array_grow(c->text, c->n, sizeof *c->text);
    snprintf(c->text[c->n++], sizeof *c->text, "%d %s", code, enhanced);
}

static void codes_add(struct codes *c, const struct dialogue *d)
{
    c->may_hide |= view_is_hidden(d) || view_cloud(d) != NULL;
    for (size_t k = 0; k < d->reply_n; k++) {
        const struct reply *r = d->reply[k];
        bool fits = r->enhanced[0] - '0' == r->code / 100;

        code_add(c, reply_is(r, 2) ? 250 : r->code, fits ? r->enhanced : "");
    }
}

static void codes_sort(struct codes *c)
{
    if (c->n > 0)
        qsort(c->text, c->n, sizeof *c->text, compare_codes);
}

static void codes_make(struct codes *c, const struct session *s)
{
    c->is_made = true;
    c->may_hide = s->doubt != NULL;
    for (size_t i = 0; i < s->south_n; i++)
        codes_add(c, s->south[i]);
    codes_sort(c);
}

static bool codes_hold(const struct codes *c, int code, const char *enhanced)
{
    char wanted[24];

    snprintf(wanted, sizeof wanted, "%d %s", code, enhanced);
    return c->n > 0 && bsearch(wanted, c->text, c->n, sizeof *c->text, compare_codes) != NULL;
}

/* Passed on from the back end: its code (every 2xx becomes 250, but AUTH's 235), its enhanced code or, where it gave
 * none, the general one. An enhanced code that contradicts its reply is dropped on the way. */
static bool is_passed_on(const struct codes *c, const struct reply *r)
{
    int code = reply_is(r, 2) ? 250 : r->code;
    char general[8];

    if (codes_hold(c, code, r->enhanced))
        return true;
    snprintf(general, sizeof general, "%d.0.0", r->code / 100 % 10);
    return strcmp(r->enhanced, general) == 0 && codes_hold(c, code, "");
}

/* What back ends said on connections that no session explains: any client's reply may have come from there. */
static void codes_of_nobody(struct codes *c, const struct trial *t)
{
    struct south_end *end;
    size_t n = view_south(t, &end);

    c->is_made = true;
    for (size_t i = 0; i < n; i++)
        if (end[i].session == NULL)
            codes_add(c, end[i].dialogue);
    free(end);
    codes_sort(c);
}

static bool is_nobodys(const struct trial *t, struct codes *nobody, const struct reply *r)
{
    if (!nobody->is_made)
        codes_of_nobody(nobody, t);
    return nobody->may_hide || is_passed_on(nobody, r);
}

/* Said by a back end in answer to a login, on a connection of nobody's that was alive when the client was answered. */
static bool is_of_login(const struct trial *t, const struct reply *r)
{
    for (size_t i = 0; i < t->probe_n; i++) {
        const struct dialogue *d = t->probe[i];

        if (d->connection->time > r->place.first_time)
            break; /* they are in the order of time */
        for (size_t k = 0; k < d->command_n; k++) {
            const struct reply *said = d->command[k].reply;

            if ((d->command[k].verb == VERB_AUTH || d->command[k].verb == VERB_AUTH_LINE) && said != NULL &&
                said->code == r->code && strcmp(said->enhanced, r->enhanced) == 0 &&
                said->place.last_time < r->place.first_time && d->connection->last_time >= said->place.last_time)
                return true;
        }
    }
    return false;
}

static void judge_reply(const struct trial *t, const struct session *s, const struct reply *r, bool is_hello,
                        struct codes *codes, struct codes *nobody, struct tally *tally)
{
    struct violation *v;

    if (r == NULL || r->code == 0)
        return;
    if (r->enhanced[0] != '\0' && r->enhanced[0] - '0' != r->code / 100) {
        v = violated(tally, s, "%d has the enhanced code %s of another class", r->code, r->enhanced);
        show_reply(v, NORTH, r, "class digits differ");
        return;
    }
    if (replies_table_holds(r->code, r->enhanced, is_hello)) {
        held(tally);
        return;
    }
    if (!codes->is_made)
        codes_make(codes, s);
    if (is_passed_on(codes, r) || is_of_login(t, r)) {
        held(tally);
    } else if (!t->south.is_present || codes->may_hide || is_nobodys(t, nobody, r)) {
        unsure(tally, "a reply that is in no table of the gateway's, and may be the back end's");
    } else {
        v = violated(tally, s, "%d %s is no reply of the gateway's, and the back end did not give it", r->code,
                     r->enhanced[0] != '\0' ? r->enhanced : "without an enhanced code");
        show_reply(v, NORTH, r, "not in the table of ORACLE 10");
    }
}

static void judge_session_replies(const struct trial *t, const struct session *s, struct codes *nobody,
                                  struct tally *tally)
{
    const struct dialogue *d = s->north;
    struct codes codes = { 0 };

    judge_reply(t, s, d->greeting, true, &codes, nobody, tally);
    judge_reply(t, s, d->farewell, false, &codes, nobody, tally);
    for (size_t i = 0; i < d->command_n; i++)
        judge_reply(t, s, d->command[i].reply, d->command[i].verb == VERB_EHLO || d->command[i].verb == VERB_HELO,
                    &codes, nobody, tally);
    for (size_t i = 0; i < d->transaction_n; i++)
        if (!d->transaction[i].message.by_bdat && d->transaction[i].has_message) /* BDAT's is its command's */
            judge_reply(t, s, d->transaction[i].message.reply, false, &codes, nobody, tally);
    free(codes.text);
}

void judge_replies(const struct trial *t, struct tally *tally)
{
    struct codes nobody = { 0 };

    for (size_t i = 0; i < t->session_n; i++)
        if (t->session[i].north != NULL && t->session[i].north->is_smtp) {
            judge_session_replies(t, &t->session[i], &nobody, tally);
            view_close(tally, t->session[i].north);
        }
    free(nobody.text);
}

/* ---- P-8 ---- */

/* "check=dmarc ... dmarc=temperror/example.org": the check that decided found nothing out. */
static bool is_undecided(const struct record *r)
{
    struct slice check = record_value(r, "check");

    for (size_t i = 0; i < r->n && check.n > 0; i++)
        if (slice_equal(r->field[i].key, check))
            return slice_equal(slice_part(r->field[i].value, 0, 9), SLICE("temperror"));
    return false;
}

void judge_temporary(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        for (size_t k = 0; k < t->session[i].pair_n; k++) {
            const struct pair *p = &t->session[i].pair[k];
            const struct reply *r = p->north->message.reply;
            struct violation *v;

            if (p->record == NULL || !is_undecided(p->record) || !p->north->has_message || r == NULL)
                continue;
            if (!reply_is(r, 5)) {
                held(tally);
                continue;
            }
            v = violated(tally, &t->session[i], "a temporary error of the DNS was answered with %d %s", r->code,
                         r->enhanced);
            show_reply(v, NORTH, r, "refused for good");
            show_record(v, p->record, "the check that decided found nothing out");
        }
    }
}

/* ---- P-10 ---- */

static bool is_postmaster(const struct settings *s, const struct address *a)
{
    if (!slice_equal_nocase(a->local, SLICE("postmaster")) || a->has_route)
        return false;
    return a->domain.n == 0 || (s->is_given && settings_is_local(s, a->domain));
}

/* x.7.1 and x.7.20 on: what block lists, SPF, DKIM and DMARC refuse with (RFC 7372). Not x.7.0 (TLS required, too
 * many). */
static bool is_about_sender(const struct reply *r)
{
    return (reply_is(r, 4) || reply_is(r, 5)) && strncmp(r->enhanced + 1, ".7.", 3) == 0 &&
           (strcmp(r->enhanced + 4, "1") == 0 || atoi(r->enhanced + 4) >= 20);
}

/* How much somebody sends is no matter of whom to: a rate refuses recipients with 450 4.7.1, the postmaster among them. Its log
 * line stands for all of a transaction.
 */
static bool is_by_rate(const struct session *s, const struct reply *r)
{
    for (size_t i = 0; r->code == 450 && i < s->refusal_n; i++)
        if (slice_equal(record_value(s->refusal[i], "check"), SLICE("rates")))
            return true;
    return false;
}

static void judge_recipient(const struct trial *t, const struct session *s, const struct command *c,
                            struct codes *codes, struct tally *tally)
{
    struct violation *v;

    if (!is_about_sender(c->reply) || is_by_rate(s, c->reply)) {
        held(tally);
        return;
    }
    if (!codes->is_made)
        codes_make(codes, s);
    if (is_passed_on(codes, c->reply)) {
        held(tally);
    } else if (!t->south.is_present || codes->may_hide) {
        unsure(tally, "the postmaster was refused, perhaps by the back end");
    } else {
        v = violated(tally, s, "the postmaster was refused with %d %s", c->reply->code, c->reply->enhanced);
        show_command(v, NORTH, c, "RFC 5321 4.5.1");
        show_reply(v, NORTH, c->reply, NULL);
    }
}

static bool is_for_postmaster_alone(const struct trial *t, const struct dialogue *d, const struct transaction *x)
{
    bool is_any = false;

    for (size_t i = 0; i < x->rcpt_n; i++) {
        if (!reply_is(d->command[x->rcpt[i]].reply, 2))
            continue;
        if (!is_postmaster(&t->settings, &x->to[i]))
            return false;
        is_any = true;
    }
    return is_any;
}

/* A message to the postmaster alone: the log tells which check refused it. 5.7.26 is also said of a From that is
 * missing. */
static void judge_message(const struct trial *t, const struct session *s, const struct pair *p, struct codes *codes,
                          struct tally *tally)
{
    const struct reply *r = p->north->message.reply;
    struct slice check = p->record != NULL ? record_value(p->record, "check") : (struct slice){ 0 };
    bool is_named = slice_equal(check, SLICE("spf")) || slice_equal(check, SLICE("dmarc"));
    struct violation *v;

    if (!is_about_sender(r) || (check.n > 0 && !is_named)) {
        held(tally);
        return;
    }
    if (!codes->is_made)
        codes_make(codes, s);
    if (is_passed_on(codes, r)) {
        held(tally);
    } else if (!t->south.is_present || codes->may_hide ||
               (!is_named && strcmp(r->enhanced + 1, ".7.23") != 0 && strcmp(r->enhanced + 1, ".7.24") != 0)) {
        unsure(tally, "a message to the postmaster was refused, and nothing tells by which check");
    } else {
        v = violated(tally, s, "a message to the postmaster alone was refused with %d %s", r->code, r->enhanced);
        show_octets(v, NORTH, true, &p->north->message.end, SLICE("\r\n.\r\n"), "the end of the message");
        show_reply(v, NORTH, r, "RFC 5321 4.5.1");
        if (p->record != NULL)
            show_record(v, p->record, NULL);
    }
}

void judge_postmaster(const struct trial *t, struct tally *tally)
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct session *s = &t->session[i];
        struct codes codes = { 0 };
        struct address a;

        for (size_t k = 0; s->north != NULL && k < s->north->command_n; k++) {
            const struct command *c = &s->north->command[k];

            if (c->verb != VERB_RCPT || c->reply == NULL || c->transaction == SIZE_MAX)
                continue;
            address_read(&a, c->argument);
            if (is_postmaster(&t->settings, &a))
                judge_recipient(t, s, c, &codes, tally);
        }
        for (size_t k = 0; s->north != NULL && k < s->pair_n; k++)
            if (s->pair[k].north->has_message && s->pair[k].north->message.reply != NULL &&
                is_for_postmaster_alone(t, s->north, s->pair[k].north))
                judge_message(t, s, &s->pair[k], &codes, tally);
        free(codes.text);
    }
}
