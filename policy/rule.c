#include "rule.h"

const char *const rule_modes[] = { "off", "monitor", "score", "reject", NULL };

/* ---- where a client comes from ---- */

static struct str value_of(const struct fact *fact, size_t i)
{
    return i < fact->n && !str_eq(fact->value[i], STR(GEO_UNREAD)) ? fact->value[i] : STR("");
}

static bool is_unread(const struct fact *fact, size_t i)
{
    return fact->state == FACT_OK ? i < fact->n && str_eq(fact->value[i], STR(GEO_UNREAD)) : fact->state != FACT_NODATA;
}

bool pass_origin(struct pass *pass, struct origin *origin)
{
    char text[ADDRESS_TEXT_MAX];
    size_t n = address_print(&pass->envelope->client.address, text);
    const struct fact *fact = pass_ask(pass, ASK_GEO, str_from(text, n));

    *origin = (struct origin){ .state = FACT_UNKNOWN };
    if (fact == NULL)
        return false;
    *origin = (struct origin){ .country = value_of(fact, 0),
                               .continent = value_of(fact, 1),
                               .asn = value_of(fact, 2),
                               .owner = value_of(fact, 3),
                               .no_country = is_unread(fact, 0),
                               .no_asn = is_unread(fact, 2),
                               .state = fact->state };
    return true;
}

/* ---- exceptions ---- */

static bool holds_word(const struct str_list *list, struct str word)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_ieq(list->item[i], word))
            return true;
    return false;
}

/* "AS64500" or "64500" */
static bool holds_asn(const struct str_list *list, struct str asn)
{
    for (size_t i = 0; i < list->n; i++) {
        struct str item = list->item[i];

        if (str_eq(str_istarts(item, STR("AS")) ? str_skip(item, 2) : item, asn))
            return true;
    }
    return false;
}

/* Not known yet is no match yet: then the check is pending, and comes by again. */
static bool fits_origin(struct pass *pass, const struct exception *e)
{
    struct origin origin;

    if (e->countries.n == 0 && e->asns.n == 0)
        return true;
    return pass_origin(pass, &origin) && (e->countries.n == 0 || holds_word(&e->countries, origin.country)) &&
           (e->asns.n == 0 || holds_asn(&e->asns, origin.asn));
}

static bool holds_domain(const struct domain_set *set, const struct path *path)
{
    char room[PATH_DOMAIN_MAX + 1];

    return path != NULL && path->domain.n > 0 && domain_set_holds(set, domain_canonical(path->domain, room));
}

static bool fits(struct pass *pass, const struct exception *e, const struct check *check)
{
    const struct envelope *envelope = pass->envelope;

    return (e->checks.n == 0 || holds_word(&e->checks, str_of(check->name))) &&
           (e->networks.n == 0 || network_list_holds(&e->networks, &envelope->client.address)) &&
           (e->senders.n == 0 || holds_domain(&e->senders, envelope->mail_from)) &&
           (e->recipients.n == 0 || holds_domain(&e->recipients, envelope->rcpt)) && fits_origin(pass, e);
}

struct str pass_exception(struct pass *pass, const struct check *check)
{
    const struct exception *e = pass->policy->exceptions.item;

    for (size_t i = 0; i < pass->policy->exceptions.n; i++)
        if (fits(pass, &e[i], check))
            return e[i].name;
    return STR("");
}

/* ---- what comes of an objection ---- */

/* Who is let through whatever is held against him, or NULL. */
static const char *excuse(const struct pass *pass, const struct objection *o)
{
    if (o->is_load)
        return NULL;
    if (policy_is_exempt(pass->policy, pass->envelope))
        return "exempt";
    return policy_is_for_postmaster(pass->envelope) ? "postmaster" : NULL;
}

static void add_score(struct pass *pass, const struct check *check, int64_t points, const struct objection *o)
{
    struct score_list *scores = &pass->outcome->scores;

    if (scores->n < SCORES_MAX)
        scores->item[scores->n++] = (struct score){ check->name, points, o->reason, o->is_sum };
}

static struct str excepted_by(struct pass *pass, struct str name, struct str reason)
{
    return arena_printf(pass->arena, "%.*s: %.*s", STR_ARG(name), STR_ARG(reason));
}

bool pass_object(struct pass *pass, const struct check *check, const struct rule *rule, const struct objection *o)
{
    const char *excused = excuse(pass, o);
    struct str exception = excused == NULL ? pass_exception(pass, check) : STR("");

    if (pass->pending || rule->mode == RULE_OFF)
        return false;
    if (excused != NULL) {
        pass_find(pass, check, excused, o->reason);
    } else if (exception.n > 0) {
        pass_find(pass, check, "excepted", excepted_by(pass, exception, o->reason));
    } else if (rule->mode == RULE_REJECT) {
        pass_find(pass, check, "refused", o->reason);
        pass_refuse(pass, check, o->code, o->enhanced, o->text, o->reason);
        return true;
    } else {
        bool is_scored = rule->mode == RULE_SCORE;

        pass_find(pass, check, rule_modes[rule->mode], o->reason);
        add_score(pass, check, !is_scored ? 0 : o->points != 0 ? o->points : (int64_t)rule->weight, o);
    }
    return false;
}
