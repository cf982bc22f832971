#include "standing.h"

#include "rule.h"

enum { GOOD_FOR_EACH_BAD = 10 };

enum client_standing standing_judge(const struct standing_policy *policy, struct standing_counts counts)
{
    if (counts.bad >= policy->bad_from && counts.bad > counts.good)
        return STANDING_BAD;
    if (counts.good >= policy->good_from && counts.good >= GOOD_FOR_EACH_BAD * counts.bad)
        return STANDING_GOOD;
    return STANDING_UNKNOWN;
}

struct str standing_client_key(const struct address *address, char out[NETWORK_TEXT_MAX])
{
    return str_from(out, address_print_network(address, 32, 64, out));
}

/* ---- whose mail it is ---- */

/* Relaxed as in RFC 9989 4.4, without a question for the organizational domain: one lies within the other. */
static bool is_near(struct str domain, struct str author)
{
    return author.n > 0 && (domain_is_within(domain, author) || domain_is_within(author, domain));
}

static bool is_pending(const struct authentication *auth)
{
    for (size_t i = 0; i < auth->dkim_n; i++)
        if (auth->dkim[i].result == AUTH_PENDING)
            return true;
    return auth->dmarc.result == AUTH_PENDING || auth->mail_from.result == AUTH_PENDING;
}

static struct str signer(const struct authentication *auth)
{
    struct str first = STR("");

    for (size_t i = 0; i < auth->dkim_n; i++) {
        const struct dkim_result *dkim = &auth->dkim[i];

        if (dkim->result != AUTH_PASS || dkim->is_testing)
            continue;
        if (is_near(dkim->domain, auth->author))
            return dkim->domain;
        if (first.n == 0)
            first = dkim->domain;
    }
    return first;
}

bool sender_domain(const struct authentication *auth, struct str *domain, bool *is_aligned)
{
    *is_aligned = auth->dmarc.result == AUTH_PASS;
    *domain = *is_aligned ? auth->dmarc.domain : signer(auth);
    if (domain->n == 0 && auth->mail_from.result == AUTH_PASS)
        *domain = auth->mail_from.domain;
    return !is_pending(auth);
}

static struct str domain_key(struct pass *pass, struct str domain, const struct origin *origin)
{
    struct str asn = origin->asn.n > 0 ? origin->asn : STR("-");

    return arena_printf(pass->arena, "%.*s %.*s", STR_ARG(domain), STR_ARG(asn));
}

bool pass_sender(struct pass *pass, struct sender *sender)
{
    char text[NETWORK_TEXT_MAX];
    struct origin origin;

    *sender = (struct sender){ .key = STR_INIT("") };
    if (!sender_domain(&pass->outcome->auth, &sender->domain, &sender->is_aligned))
        return false;
    if (sender->domain.n == 0) {
        sender->key = arena_copy(pass->arena, standing_client_key(&pass->envelope->client.address, text));
    } else {
        if (!pass_origin(pass, &origin))
            return false;
        sender->key = domain_key(pass, sender->domain, &origin);
    }
    return sender->key.n > 0;
}

/* ---- the record ---- */

static uint64_t count_of(const struct fact *fact, size_t i)
{
    unsigned long long n = 0;

    return fact->state == FACT_OK && i < fact->n && str_to_u64(fact->value[i], UINT32_MAX, &n) ? n : 0;
}

bool pass_standing(struct pass *pass, struct str key, struct standing_counts *counts)
{
    const struct fact *fact = pass_ask(pass, ASK_STANDING, key);

    *counts = (struct standing_counts){ 0 };
    if (fact == NULL)
        return false;
    *counts = (struct standing_counts){ count_of(fact, 0), count_of(fact, 1) };
    return true;
}
