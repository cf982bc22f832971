#include "list.h"

/* ---- return codes ---- */

/* A number up to `max` at the front of `*rest`, without leading zeros. */
static bool take_number(struct str *rest, unsigned max, uint8_t *out)
{
    unsigned value = 0;
    size_t n = 0;

    for (; n < rest->n && n < 3 && ascii_is_digit(rest->p[n]); n++)
        value = value * 10 + (unsigned)(rest->p[n] - '0');
    if (n == 0 || value > max || (n > 1 && rest->p[0] == '0'))
        return false;
    *out = (uint8_t)value;
    *rest = str_skip(*rest, n);
    return true;
}

static bool take(struct str *rest, char c)
{
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

/* "2" or "2-11" */
static bool take_range(struct str *rest, uint8_t *low, uint8_t *high)
{
    if (!take_number(rest, 255, low))
        return false;
    *high = *low;
    return !take(rest, '-') || (take_number(rest, 255, high) && *low < *high);
}

static bool holds(const struct list_code *code, const uint8_t octet[4])
{
    for (size_t i = 0; i < 4; i++)
        if (octet[i] < code->low[i] || octet[i] > code->high[i])
            return false;
    return true;
}

static bool holds_alarm(const struct list_code *code)
{
    static const uint8_t loopback[4] = { 127, 0, 0, 1 };

    return holds(code, loopback) || (code->high[1] == 255 && code->high[2] == 255);
}

bool list_code_parse(struct str text, struct list_code *code)
{
    *code = (struct list_code){ .points = 0 };
    for (size_t i = 0; i < 4; i++)
        if ((i > 0 && !take(&text, '.')) || !take_range(&text, &code->low[i], &code->high[i]))
            return false;
    if (take(&text, ':') && (!take_number(&text, 100, &code->points) || code->points == 0))
        return false;
    return text.n == 0 && code->low[0] == 127 && code->high[0] == 127 && !holds_alarm(code);
}

static size_t put_number(char *out, unsigned value)
{
    size_t n = value >= 100 ? 3 : value >= 10 ? 2 : 1;

    for (size_t i = n; i > 0; i--, value /= 10)
        out[i - 1] = (char)('0' + value % 10);
    return n;
}

static size_t put_range(char *out, uint8_t low, uint8_t high)
{
    size_t n = put_number(out, low);

    if (low == high)
        return n;
    out[n++] = '-';
    return n + put_number(out + n, high);
}

size_t list_code_print(const struct list_code *code, char out[LIST_CODE_TEXT_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            out[n++] = '.';
        n += put_range(out + n, code->low[i], code->high[i]);
    }
    if (code->points > 0) {
        out[n++] = ':';
        n += put_number(out + n, code->points);
    }
    out[n] = '\0';
    return n;
}

/* ---- answers ---- */

static bool is_alarm(const struct address *address)
{
    const uint8_t *octet = address->byte + 12;

    return !address_is_v4(address) || octet[0] != 127 || (octet[1] == 255 && octet[2] == 255) ||
           (octet[1] == 0 && octet[2] == 0 && octet[3] == 1);
}

bool list_is_alarm(struct str text)
{
    struct address address;

    return !address_parse(text, &address) || is_alarm(&address);
}

enum list_word list_read(const struct list_policy *list, struct str text, uint64_t *points)
{
    enum list_word word = LIST_SAYS_NOTHING;
    struct address address;

    if (!address_parse(text, &address) || is_alarm(&address))
        return LIST_SAYS_ALARM;
    *points = 0;
    for (size_t i = 0; i < list->codes.n; i++) {
        const struct list_code *code = &list->codes.item[i];
        uint64_t its = code->points > 0 ? code->points : list->points;

        if (!holds(code, address.byte + 12))
            continue;
        word = LIST_SAYS_LISTED;
        *points = its > *points ? its : *points;
    }
    return word;
}

/* ---- names ---- */

/* Addresses that mean somebody else in every network, or nobody (RFC 6890). */
bool list_asks_about(const struct address *address)
{
    static const struct own {
        uint8_t bits, byte[16];
    } owns[] = {
        { 96 + 8, { [10] = 255, [11] = 255, [12] = 0 } },
        { 96 + 8, { [10] = 255, [11] = 255, [12] = 10 } },
        { 96 + 10, { [10] = 255, [11] = 255, [12] = 100, [13] = 64 } },
        { 96 + 8, { [10] = 255, [11] = 255, [12] = 127 } },
        { 96 + 16, { [10] = 255, [11] = 255, [12] = 169, [13] = 254 } },
        { 96 + 12, { [10] = 255, [11] = 255, [12] = 172, [13] = 16 } },
        { 96 + 16, { [10] = 255, [11] = 255, [12] = 192, [13] = 168 } },
        { 127, { 0 } }, /* :: and ::1 */
        { 7, { 0xfc } },
        { 10, { 0xfe, 0x80 } },
    };

    for (size_t i = 0; i < sizeof owns / sizeof *owns; i++) {
        struct network network = { .bits = owns[i].bits };

        memcpy(network.address.byte, owns[i].byte, sizeof owns[i].byte);
        if (network_holds(&network, address))
            return false;
    }
    return true;
}

static size_t put_zone(char *out, size_t n, struct str zone)
{
    if (zone.n == 0 || n + zone.n > LIST_NAME_MAX)
        return 0;
    memcpy(out + n, zone.p, zone.n);
    out[n + zone.n] = '\0';
    return n + zone.n;
}

size_t list_address_name(const struct address *address, bool as_v6, struct str zone, char out[LIST_NAME_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    if (address_is_v4(address) && !as_v6) {
        for (size_t i = 16; i > 12; i--) {
            n += put_number(out + n, address->byte[i - 1]);
            out[n++] = '.';
        }
        return put_zone(out, n, zone);
    }
    for (size_t i = 16; i > 0; i--) {
        out[n++] = digits[address->byte[i - 1] & 15];
        out[n++] = '.';
        out[n++] = digits[address->byte[i - 1] >> 4];
        out[n++] = '.';
    }
    return put_zone(out, n, zone);
}

size_t list_domain_name(struct str domain, struct str zone, char out[LIST_NAME_MAX + 1])
{
    if (domain.n == 0 || domain.n >= LIST_NAME_MAX)
        return 0;
    memcpy(out, domain.p, domain.n);
    out[domain.n] = '.';
    return put_zone(out, domain.n + 1, zone);
}

/* ---- the self-test ---- */

enum test_kind { TEST_IPV4, TEST_IPV6, TEST_DOMAIN };

/* RFC 5782 5: "::FFFF:7F00:2" is written as IPv6, and TEST and INVALID are names of RFC 2606. */
static const struct list_test_row {
    enum test_kind kind;
    bool is_listed;
    const char *subject;
} tests[LIST_TESTS] = {
    { TEST_IPV4, true, "127.0.0.2" },      { TEST_IPV4, false, "127.0.0.1" }, { TEST_IPV6, true, "::ffff:7f00:2" },
    { TEST_IPV6, false, "::ffff:7f00:1" }, { TEST_DOMAIN, true, "test" },     { TEST_DOMAIN, false, "invalid" },
};

static bool is_tested(const struct list_policy *list, enum test_kind kind)
{
    bool is_of_client = (list->of & 1u << LIST_CLIENT) != 0;

    switch (kind) {
    case TEST_IPV4: return is_of_client && (list->addresses & 1u << LIST_IPV4);
    case TEST_IPV6: return is_of_client && (list->addresses & 1u << LIST_IPV6);
    case TEST_DOMAIN: break;
    }
    return (list->of & ~(1u << LIST_CLIENT)) != 0;
}

size_t list_test_name(const struct list_policy *list, unsigned i, char out[LIST_NAME_MAX + 1])
{
    struct address address;

    if (!list->self_test || !is_tested(list, tests[i].kind))
        return 0;
    if (tests[i].kind == TEST_DOMAIN)
        return list_domain_name(str_of(tests[i].subject), list->zone, out);
    return address_parse(str_of(tests[i].subject), &address)
               ? list_address_name(&address, tests[i].kind == TEST_IPV6, list->zone, out)
               : 0;
}

const char *list_test_subject(unsigned i, bool *is_listed)
{
    *is_listed = tests[i].is_listed;
    return tests[i].subject;
}
