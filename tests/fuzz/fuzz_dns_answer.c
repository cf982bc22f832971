/* DNS messages as a hostile server sends them, read for each kind of question: whatever c-ares takes for a message gives a
 * state and values within the bounds, values that are their own canonical form, and the same again when read again.
 */
#include <ares.h>

#include "fuzz.h"
#include "proxy/resolver_parts.h"

static struct dns_reading first, second;

static void read_message(const ares_dns_record_t *message, enum ask kind, struct dns_reading *r)
{
    r->links = 0;
    r->keep = UINT64_MAX;
    dns_read(message, kind, r);
}

static void require_address(struct str value, bool v4)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    REQUIRE(address_parse(value, &address));
    REQUIRE(str_eq(value, str_from(text, address_print(&address, text))));
    REQUIRE(!v4 || address_is_v4(&address));
}

static void require_name(struct str value)
{
    REQUIRE(value.n > 0 && value.n < DNS_TEXT_MAX);
    for (size_t i = 0; i < value.n; i++)
        REQUIRE(value.p[i] != '\0' && ascii_lower(value.p[i]) == value.p[i]);
}

static void require_mx(const struct dns_reading *r, size_t i)
{
    size_t blank = str_find(r->value[i], ' ');
    unsigned long long preference;

    REQUIRE(str_to_u64(str_from(r->value[i].p, blank), 65535, &preference) && preference == r->preference[i]);
    REQUIRE(i == 0 || r->preference[i - 1] <= r->preference[i]);
    require_name(str_skip(r->value[i], blank + 1));
}

static void require_value(const struct dns_reading *r, enum ask kind, size_t i)
{
    for (size_t k = 0; k < i; k++)
        REQUIRE(!str_eq(r->value[i], r->value[k]));
    if (kind == ASK_A || kind == ASK_AAAA)
        require_address(r->value[i], kind == ASK_A);
    else if (kind == ASK_MX)
        require_mx(r, i);
    else if (kind == ASK_PTR)
        require_name(r->value[i]);
}

static void require_bounds(const struct dns_reading *r)
{
    REQUIRE(r->n <= DNS_VALUES_MAX && r->octets <= FACT_BYTES_MAX && r->links <= DNS_LINKS_MAX + 1U);
    REQUIRE(r->state != FACT_OK || r->n > 0);
    REQUIRE(r->state == FACT_UNKNOWN || r->state == FACT_NODATA || r->state == FACT_NXDOMAIN || r->state == FACT_TEMP ||
            r->state == FACT_OK || r->state == FACT_LIMIT);
    REQUIRE(r->state != FACT_UNKNOWN || (r->links > 0 && strlen(r->target) < sizeof r->target));
    REQUIRE(r->keep <= (uint64_t)INT32_MAX * 1000);
}

static void require_same(void)
{
    REQUIRE(first.state == second.state && first.n == second.n && first.keep == second.keep);
    for (size_t i = 0; i < first.n; i++)
        REQUIRE(str_eq(first.value[i], second.value[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ares_dns_record_t *message = NULL;

    if (ares_dns_parse(data, size, 0, &message) != ARES_SUCCESS)
        return 0;
    for (unsigned kind = ASK_TXT; kind <= ASK_PTR; kind++) {
        read_message(message, (enum ask)kind, &first);
        require_bounds(&first);
        for (size_t i = 0; i < first.n && first.state == FACT_OK; i++)
            require_value(&first, (enum ask)kind, i);
        read_message(message, (enum ask)kind, &second);
        require_same();
    }
    ares_dns_record_destroy(message);
    return 0;
}
