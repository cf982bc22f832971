/* Counting for the rates ([rate NAME], policy/check_rates.c): whose it is, and when it counts.
 *
 * An attempt (connection, MAIL, RCPT) is added once, when it comes and before it is judged, however many passes its judgement
 * takes. Refusals, unknown recipients and octets are added when they happen, and read at the next attempt: what is under way at
 * other back-end connections at that moment may go over the limit by itself.
 *
 * Who has logged in is counted as a user and not by where he is. The name he logged in with is turned into a keyed hash at once,
 * and nothing else is kept of it; the back end's 235 makes it count. Of PLAIN (RFC 4616) that is the authentication identity,
 * of LOGIN the first line; other mechanisms have no user here.
 */
#include "../policy/base64.h"
#include "../policy/check_rates.h"
#include "session_state.h"

/* ---- whose ---- */

/* A key: section, count, per, window, subject. Longer identities are no user. */
enum { SUBJECT_MAX = PATH_DOMAIN_MAX + 1, KEY_MAX = 64 + 12 + SUBJECT_MAX, IDENTITY_MAX = 1024 };

static size_t network_subject(const struct address *client, enum rate_per per, char out[SUBJECT_MAX])
{
    unsigned v4, v6;
    size_t n;

    rate_network_bits(per, &v4, &v6);
    n = (address_is_v4(client) ? 96 + v4 : v6) / 8;
    memcpy(out, client->byte, n);
    return n;
}

static size_t asn_subject(const struct session *s, char out[SUBJECT_MAX])
{
    struct geoip_origin origin;
    size_t n;

    if (s->env->geo == NULL || geoip_lookup(s->env->geo, &s->peer.client.address, &origin) != GEOIP_FOUND)
        return 0;
    n = strlen(origin.asn);
    memcpy(out, origin.asn, n);
    return n;
}

/* The null sender has no domain: reports of all the world's servers are nobody's. */
static size_t sender_subject(const struct session *s, char out[SUBJECT_MAX])
{
    struct str domain = s->tx != NULL ? s->tx->mail.mail.path.domain : STR("");

    return domain.n > 0 ? domain_canonical(domain, out).n : 0;
}

static size_t user_subject(const struct session *s, char out[SUBJECT_MAX])
{
    if (!s->is_authenticated || s->user == 0)
        return 0;
    memcpy(out, &s->user, sizeof s->user);
    return sizeof s->user;
}

/* Its octets; 0: this section does not count this client, or not now. */
static size_t subject_of(const struct session *s, const struct rate *rate, char out[SUBJECT_MAX])
{
    if (rate->rule.mode == RULE_OFF || (s->is_authenticated && rate->per != RATE_USER) ||
        network_list_holds(&s->env->config->policy.relay.networks, &s->peer.client.address))
        return 0;
    switch ((enum rate_per)rate->per) {
    case RATE_ADDRESS:
    case RATE_NETWORK:
    case RATE_SITE: return network_subject(&s->peer.client.address, (enum rate_per)rate->per, out);
    case RATE_ASN: return asn_subject(s, out);
    case RATE_SENDER: return sender_subject(s, out);
    case RATE_USER: return user_subject(s, out);
    }
    return 0;
}

/* What makes two counts one: the section's name and all that its numbers depend on, so that a reload that changes these begins
 * anew, and one that moves sections about does not.
 */
static struct str key_of(const struct session *s, const struct rate *rate, char key[KEY_MAX])
{
    char subject[SUBJECT_MAX];
    size_t n = subject_of(s, rate, subject), at = rate->name.n;

    if (n == 0)
        return STR("");
    memcpy(key, rate->name.p, at);
    key[at++] = '\0';
    key[at++] = (char)rate->count;
    key[at++] = (char)rate->per;
    memcpy(key + at, &rate->window, sizeof rate->window);
    at += sizeof rate->window;
    memcpy(key + at, subject, n);
    return str_from(key, at + n);
}

/* ---- counting ---- */

static const struct rates_policy *settings(const struct session *s)
{
    return &s->env->config->policy.rates;
}

/* What this section says about an event of `stage`, which is counted first where it is an attempt. */
static uint64_t usage_of(const struct session *s, const struct rate *rate, enum stage stage)
{
    char room[KEY_MAX];
    struct str key;

    if (!rate_is_judged((enum rate_count)rate->count, stage))
        return RATE_NOT_KNOWN;
    key = key_of(s, rate, room);
    if (key.n == 0)
        return RATE_NOT_KNOWN;
    if (rate_is_attempt((enum rate_count)rate->count))
        return rates_add(s->env->rates, key, rate->window, 1, s->env->now);
    return rates_read(s->env->rates, key, rate->window, s->env->now);
}

void rates_attempt(struct session *s, enum stage stage)
{
    const struct rate *rate = settings(s)->list.item;

    for (size_t i = 0; i < settings(s)->list.n; i++)
        if (stage == AT_CONNECT || rate[i].count != RATE_CONNECTIONS || s->is_authenticated)
            s->usage[i] = usage_of(s, &rate[i], stage); /* that of connections is known to all later stages */
}

static void happened(const struct session *s, enum rate_count count, uint64_t units)
{
    const struct rate *rate = settings(s)->list.item;

    for (size_t i = 0; i < settings(s)->list.n; i++) {
        char room[KEY_MAX];
        struct str key = rate[i].count == (int)count ? key_of(s, &rate[i], room) : STR("");

        if (key.n > 0)
            rates_add(s->env->rates, key, rate[i].window, units, s->env->now);
    }
}

void rates_refused(const struct session *s, int code, const char *check)
{
    if (code / 100 == 5 && (strcmp(check, "backend") == 0 || is_check(check)))
        happened(s, RATE_REFUSALS, 1);
}

void rates_recipient_unknown(const struct session *s)
{
    happened(s, RATE_UNKNOWN_RECIPIENTS, 1);
}

void rates_bytes(const struct session *s)
{
    if (s->tx->wire_bytes > 0)
        happened(s, RATE_BYTES, s->tx->wire_bytes);
}

/* ---- users ---- */

/* How many octets `text` stands for, or 0 when it is no base64, or longer than the room. */
static size_t decode(struct str text, char out[IDENTITY_MAX])
{
    unsigned bits = 0, group = 0;
    size_t n = 0;

    for (size_t i = 0; i < text.n && text.p[i] != '='; i++) {
        unsigned value = base64_value(text.p[i]);

        if (value == BASE64_NONE || n == IDENTITY_MAX)
            return 0;
        group = (group << 6 | value) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(group >> bits & 0xff);
        }
    }
    return n;
}

/* RFC 4616 2: authzid NUL authcid NUL passwd */
static struct str identity_of(enum auth_names names, struct str message)
{
    size_t first = str_find(message, '\0');
    struct str rest;

    if (names == AUTH_NAMES_LINE || first == message.n)
        return names == AUTH_NAMES_LINE ? message : STR("");
    rest = str_skip(message, first + 1);
    return str_from(rest.p, str_find(rest, '\0'));
}

static void keep_user(struct session *s, struct str line)
{
    char room[IDENTITY_MAX];
    struct str identity = identity_of(s->auth_names, str_from(room, decode(line, room)));

    for (size_t i = 0; i < identity.n; i++) /* one mailbox, however it is spelled */
        room[(size_t)(identity.p - room) + i] = ascii_lower(identity.p[i]);
    s->user = identity.n > 0 ? rates_hash(s->env->rates, identity) : 0;
    s->auth_names = AUTH_NAMES_NOBODY;
    explicit_bzero(room, sizeof room); /* ORACLE L-3 */
}

void user_begin(struct session *s, struct str mechanism, struct str initial)
{
    s->user = 0;
    s->auth_names = str_ieq(mechanism, STR("PLAIN"))   ? AUTH_NAMES_SECOND
                    : str_ieq(mechanism, STR("LOGIN")) ? AUTH_NAMES_LINE
                                                       : AUTH_NAMES_NOBODY;
    if (initial.n > 0)
        user_line(s, initial);
}

void user_line(struct session *s, struct str line)
{
    if (s->auth_names != AUTH_NAMES_NOBODY)
        keep_user(s, line);
}
