#include "host.h"

#include "list.h"

struct str host_reverse_name(const struct address *address, char room[HOST_NAME_MAX + 1])
{
    struct str zone = address_is_v4(address) ? STR("in-addr.arpa") : STR("ip6.arpa");

    return str_from(room, list_address_name(address, false, zone, room));
}

struct str host_canonical(struct str domain, char room[PATH_DOMAIN_MAX + 1])
{
    struct str name = domain_canonical(domain, room);

    return name.n > 0 && domain_is_valid(name) ? name : STR("");
}

bool host_literal(struct str text, struct address *address)
{
    if (text.n < 2 || text.p[0] != '[' || text.p[text.n - 1] != ']')
        return false;
    text = str_from(text.p + 1, text.n - 2);
    return address_parse(str_istarts(text, STR("IPv6:")) ? str_skip(text, 5) : text, address);
}

static bool has_answer(const struct fact *fact)
{
    return fact->state != FACT_TEMP && fact->state != FACT_LIMIT;
}

static bool holds(const struct fact *fact, const struct address *wanted)
{
    struct address address;

    for (size_t i = 0; i < fact->n; i++)
        if (address_parse(fact->value[i], &address) && address_eq(&address, wanted))
            return true;
    return false;
}

/* 0.0.0.0, :: and loopback are where nobody else's mail can go. */
static bool holds_any(const struct fact *fact)
{
    static const struct address none = { { 0 } }, none_v4 = { { [10] = 255, [11] = 255 } };
    struct address address;

    for (size_t i = 0; i < fact->n; i++)
        if (address_parse(fact->value[i], &address) && !address_is_loopback(&address) && !address_eq(&address, &none) &&
            !address_eq(&address, &none_v4))
            return true;
    return false;
}

enum host_finding host_exists(struct pass *pass, struct str name)
{
    const struct fact *a = pass_ask(pass, ASK_A, name), *aaaa = pass_ask(pass, ASK_AAAA, name);

    if (a == NULL || aaaa == NULL)
        return HOST_PENDING;
    if (holds_any(a) || holds_any(aaaa))
        return HOST_EXISTS;
    return has_answer(a) && has_answer(aaaa) ? HOST_NONE : HOST_NO_ANSWER;
}

enum host_finding host_is_client(struct pass *pass, struct str name)
{
    const struct address *client = &pass->envelope->client.address;
    const struct fact *fact = pass_ask(pass, address_is_v4(client) ? ASK_A : ASK_AAAA, name);

    if (fact == NULL)
        return HOST_PENDING;
    if (!has_answer(fact))
        return HOST_NO_ANSWER;
    return holds(fact, client) ? HOST_EXISTS : HOST_NONE;
}
