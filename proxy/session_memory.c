/* What the workers remember together, asked and told by the session: senders' records, greylisting, recipients.
 *
 * A transaction counts once, when it is over: as good when the back end took its message, unless that was quarantined or
 * suspicious; as bad when the message was refused
 * for what it is (by a check, or by the back end at its end), when all recipients were refused by checks, or when too many of
 * them do not exist. What is too large, too long, or ours to mend counts for nothing. Authenticated clients and those that may
 * relay have no record: they are not who sends.
 */
#include <stdio.h>

#include "../policy/score.h"
#include "session_state.h"

enum { UNKNOWN_RECIPIENTS_BORNE = 3 /* typing errors */ };

static uint64_t seconds(const struct session *s)
{
    return (uint64_t)(s->env->unix_ms / 1000);
}

static bool is_exempt(const struct session *s)
{
    const struct envelope who = { .client = s->peer.client, .is_authenticated = s->is_authenticated };

    return policy_is_exempt(&s->env->config->policy, &who);
}

/* ---- facts ---- */

static struct str print_number(char room[24], uint64_t n)
{
    return str_from(room, (size_t)snprintf(room, 24, "%llu", (unsigned long long)n));
}

static void answer_standing(const struct session *s, struct facts *facts, struct question q)
{
    struct standing_counts counts = standing_read(s->env->standing, q.key, seconds(s));
    char good[24], bad[24];
    const struct str values[] = { print_number(good, counts.good), print_number(bad, counts.bad) };

    if (counts.good + counts.bad > 0)
        facts_answer(facts, q, FACT_OK, values, 2);
    else
        facts_answer(facts, q, FACT_NODATA, NULL, 0);
}

static void answer_seen(const struct session *s, struct facts *facts, struct question q)
{
    char room[24];
    uint64_t since;
    bool has_passed;
    struct str values[2];

    if (s->env->greylist == NULL) {
        facts_answer(facts, q, FACT_TEMP, NULL, 0);
    } else if (!greylist_seen(s->env->greylist, q.key, seconds(s), &has_passed, &since)) {
        facts_answer(facts, q, FACT_NODATA, NULL, 0);
    } else {
        values[0] = print_number(room, since);
        values[1] = STR("passed");
        facts_answer(facts, q, FACT_OK, values, has_passed ? 2 : 1);
    }
}

void memory_answer(const struct session *s, struct facts *facts, const struct question *q)
{
    if (q->kind == ASK_STANDING)
        answer_standing(s, facts, *q);
    else
        answer_seen(s, facts, *q);
}

/* ---- effects ---- */

void memory_note(struct session *s, enum stage stage, const struct outcome *outcome)
{
    struct transaction *tx = s->tx;

    if (stage == AT_END)
        tx->standing_key_n = 0;
    for (size_t i = 0; i < outcome->effects; i++) {
        const struct effect *e = &outcome->effect[i];

        if (e->kind == ASK_SEEN && e->units == GREYLIST_PASSED)
            greylist_passed(s->env->greylist, e->key, seconds(s));
        else if (e->kind == ASK_SEEN)
            greylist_came(s->env->greylist, e->key, seconds(s));
        else if (e->kind == ASK_STANDING && e->key.n <= sizeof tx->standing_key) {
            memcpy(tx->standing_key, e->key.p, e->key.n);
            tx->standing_key_n = e->key.n;
        }
    }
}

/* ---- the end of a transaction ---- */

/* A record must not feed on itself: what was refused for it, or would not have been without it, adds nothing to it. */
static bool is_standings_own(const struct transaction *tx, const char *check)
{
    if (strcmp(check, "standing") == 0)
        return true;
    for (size_t i = 0; strcmp(check, "score") == 0 && i < tx->scores.list.n; i++)
        if (strcmp(tx->scores.list.item[i].check, "standing") == 0 && tx->scores.list.item[i].points > 0)
            return true;
    return false;
}

bool is_check(const char *name)
{
    for (size_t i = 0; i < policy_checks_n; i++)
        if (strcmp(policy_checks[i]->name, name) == 0)
            return true;
    return false;
}

static bool is_blamed(const struct transaction *tx, int code, const char *check)
{
    return code / 100 == 5 && is_check(check) && !is_standings_own(tx, check);
}

/* 5.2.x and 5.3.x are about the mailbox and the mail system (RFC 3463 3.3, 3.4), 552 about space. */
static bool is_about_message(const struct reply *reply)
{
    return reply->code / 100 == 5 && reply->code != 552 && !str_istarts(reply->enhanced, STR("5.2.")) &&
           !str_istarts(reply->enhanced, STR("5.3."));
}

/* What goes on its way with a mark against it is no recommendation. */
static bool is_marked(const struct session *s)
{
    uint64_t tag = s->env->config->policy.score.tag;

    return s->tx->findings.action == ACTION_QUARANTINE || (tag > 0 && score_total(&s->tx->scores.list) >= (int64_t)tag);
}

void memory_delivered(struct session *s, const struct reply *south)
{
    if (south->code / 100 == 2)
        s->tx->fate = is_marked(s) ? FATE_OPEN : FATE_GOOD;
    else if (is_about_message(south))
        s->tx->fate = FATE_BAD;
}

static enum fate fate_of(const struct transaction *tx)
{
    const struct verdict *v = &tx->rcpt_verdict;

    if (tx->doom.is_set)
        return is_blamed(tx, tx->doom.code, tx->doom.check) ? FATE_BAD : FATE_OPEN;
    if (tx->fate == FATE_GOOD && tx->unknown_recipients > UNKNOWN_RECIPIENTS_BORNE)
        return FATE_OPEN; /* neither praise nor blame */
    if (tx->fate != FATE_OPEN || tx->recipients > 0)
        return tx->fate;
    if (tx->unknown_recipients > UNKNOWN_RECIPIENTS_BORNE)
        return FATE_BAD;
    return v->check != NULL && is_blamed(tx, v->code, v->check) ? FATE_BAD : FATE_OPEN;
}

void memory_settle(struct session *s)
{
    const struct transaction *tx = s->tx;
    enum fate fate = fate_of(tx);
    char room[NETWORK_TEXT_MAX];

    if (fate == FATE_OPEN || is_exempt(s))
        return;
    standing_note(s->env->standing, standing_client_key(&s->peer.client.address, room), fate == FATE_GOOD, seconds(s));
    if (tx->standing_key_n > 0)
        standing_note(s->env->standing, str_from(tx->standing_key, tx->standing_key_n), fate == FATE_GOOD, seconds(s));
}

/* ---- recipients ---- */

/* What a back end allows to an authenticated user holds for nobody else, and the other way round. */
static bool is_remembered(const struct session *s, const struct path *rcpt)
{
    return !s->is_authenticated && !path_is_postmaster(rcpt);
}

struct known_recipient memory_of_recipient(const struct session *s, const struct route *route, const struct path *rcpt)
{
    if (!is_remembered(s, rcpt))
        return (struct known_recipient){ .memory = RECIPIENT_NOT_KNOWN, .enhanced = "" };
    return recipients_find(s->env->recipients, route->name, rcpt->text, s->env->now / 1000);
}

void memory_recipient_answered(struct session *s, const struct reply *reply)
{
    const struct path *rcpt = &s->tx->rcpt.rcpt.path;

    if (recipients_is_unknown(reply)) {
        s->tx->unknown_recipients++;
        rates_recipient_unknown(s);
    }
    if (is_remembered(s, rcpt))
        recipients_answered(s->env->recipients, &s->env->config->policy.recipients, s->tx->route->name, rcpt->text,
                            reply, s->env->now / 1000);
}
