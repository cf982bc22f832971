/* What the gateway agrees to in a handshake (ORACLE T-5), and that no session is taken up again (T-6). */
#include "encryption.h"
#include "view.h"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304, ALERT_FATAL = 2, ALERT_NO_RENEGOTIATION = 100 };

/* Postern's own lists; they have no setting. RFC 9325 4.2 */
static const uint16_t suites_13[] = { 0x1302, 0x1303, 0x1301, 0 };
static const uint16_t suites_12[] = { 0xC02C, 0xCCA9, 0xC02B, 0xC030, 0xCCA8, 0xC02F, 0 };
static const uint16_t groups[] = { 0x001D, 0x0017, 0x0018, 0 };

static bool is_listed(const uint16_t *list, uint16_t number)
{
    for (; *list != 0; list++)
        if (*list == number)
            return true;
    return false;
}

/* In TLS 1.2 the group comes in a later message than the suite, and a session taken up again has none. */
static bool has_wrong_group(const struct tls_session *s)
{
    if (s->group == 0)
        return !s->is_resumed && (s->version == TLS_1_3 || s->is_established);
    return !is_listed(groups, s->group);
}

/* Extensions of TLS 1.2 that a server sends when it was asked (RFC 7627 5.1, RFC 5746 3.6). */
static const char *missing_extension(const struct tls_session *s)
{
    if (s->version != TLS_1_2)
        return NULL;
    if (s->offers_ems && !s->has_ems)
        return "no extended master secret";
    if (s->offers_renegotiation_info && !s->has_renegotiation_info)
        return "no indication of secure renegotiation";
    return NULL;
}

static const char *wrong_hello(const struct tls_session *s)
{
    if (s->version != TLS_1_2 && s->version != TLS_1_3)
        return "neither TLS 1.2 nor 1.3";
    if (!is_listed(s->version == TLS_1_3 ? suites_13 : suites_12, s->suite))
        return "a suite that is not in the list";
    if (has_wrong_group(s))
        return "a group that is not in the list";
    if (s->compression != 0)
        return "compression";
    if (s->offers_early_data)
        return "early data";
    return missing_extension(s);
}

static unsigned refusals(const struct tls_session *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s->alert_n; i++)
        n += s->alert[i].by == SERVER && s->alert[i].description == ALERT_NO_RENEGOTIATION;
    return n;
}

static bool is_over(const struct dialogue *d)
{
    const struct stream *server = &d->connection->stream[SERVER];

    for (size_t i = 0; i < d->tls->alert_n; i++)
        if (d->tls->alert[i].by == SERVER && d->tls->alert[i].level == ALERT_FATAL)
            return true;
    return server->is_ended || server->is_reset;
}

/* A client may ask for a renegotiation once and is told no; asked again, the gateway ends the session. */
static const char *wrong_renegotiation(const struct tls_session *s)
{
    if (s->hello_requests > 0)
        return "the gateway asked for a renegotiation";
    if (s->is_renegotiated)
        return "it was renegotiated";
    if (refusals(s) > 1)
        return "a second renegotiation was refused instead of ending the session";
    return NULL;
}

/* The capture may end in front of what came of it. */
static bool is_refusal_missing(const struct dialogue *d)
{
    unsigned asked = d->tls->renegotiations;

    return asked > 0 && !is_over(d) && (asked > 1 || refusals(d->tls) == 0);
}

static void judge_one_hello(const struct session *s, struct tally *tally)
{
    const struct tls_session *tls = s->north->tls;
    const char *wrong = wrong_hello(tls);

    if (wrong == NULL)
        wrong = wrong_renegotiation(tls);
    if (wrong != NULL)
        show_hellos(violated(tally, s, "a session of %s, %s, %s: %s", tls_version_name(tls->version),
                             tls_suite_name(tls->suite), tls_group_name(tls->group), wrong),
                    NORTH, s->north);
    else if (is_refusal_missing(s->north))
        unsure(tally, "a renegotiation was asked for, and the capture ends before an answer");
    else if (view_cloud(s->north) != NULL)
        unsure(tally, view_cloud(s->north));
    else
        held(tally);
}

/* Calls `judge` for every session in which the gateway answered a ClientHello. */
static void each_hello(const struct trial *t, struct tally *tally, void judge(const struct session *, struct tally *))
{
    for (size_t i = 0; i < t->session_n; i++) {
        const struct dialogue *d = t->session[i].north;

        if (d != NULL && d->tls != NULL && d->tls->has_server_hello)
            judge(&t->session[i], tally);
    }
}

void judge_hello(const struct trial *t, struct tally *tally)
{
    each_hello(t, tally, judge_one_hello);
}

/* ---- T-6 ---- */

/* Postern issues no tickets. In TLS 1.3 they are hidden without keys; that one was used is not. */
static void judge_one_resumption(const struct session *s, struct tally *tally)
{
    const struct tls_session *tls = s->north->tls;

    if (tls->tickets > 0)
        show_hellos(violated(tally, s, "the gateway issued %u session tickets", tls->tickets), NORTH, s->north);
    else if (tls->is_resumed)
        show_hellos(violated(tally, s, "the gateway took up an earlier session"), NORTH, s->north);
    else if (view_cloud(s->north) != NULL)
        unsure(tally, view_cloud(s->north));
    else
        held(tally);
}

void judge_resumption(const struct trial *t, struct tally *tally)
{
    each_hello(t, tally, judge_one_resumption);
}
