#include "address.h"

enum { GROUPS = 8, V4_BITS = 96 /* the length of ::ffff:0:0, before the 32 bits of an IPv4 address */ };

static const uint8_t V4_PREFIX[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };

bool address_is_v4(const struct address *address)
{
    return memcmp(address->byte, V4_PREFIX, sizeof V4_PREFIX) == 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

bool address_is_loopback(const struct address *address)
{
    static const struct address ONE = { { [15] = 1 } };

    return address_is_v4(address) ? address->byte[12] == 127 : address_eq(address, &ONE);
}

/* ---- reading ---- */

/* Decimal without leading zeros: "010" is eight to inet_aton and ten to others. */
static bool read_decimal(struct str s, unsigned max, unsigned *out)
{
    unsigned long long value;

    if ((s.n > 1 && s.p[0] == '0') || !str_to_u64(s, max, &value))
        return false;
    *out = (unsigned)value;
    return true;
}

/* Octets of the decimal number at the front, up to 255 and without leading zeros; 0 when it is none. */
static size_t read_octet(struct str s, uint8_t *out)
{
    unsigned value = 0;
    size_t n = 0;

    for (; n < s.n && n < 3 && s.p[n] >= '0' && s.p[n] <= '9'; n++)
        value = value * 10 + (unsigned)(s.p[n] - '0');
    *out = (uint8_t)value;
    return value > 255 || (n > 1 && s.p[0] == '0') ? 0 : n;
}

/* One walk: SPF records are lists of these. */
static bool read_v4(struct str s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        size_t n;

        if (i > 0 && (s.n == 0 || s.p[0] != '.'))
            return false;
        s = i > 0 ? str_skip(s, 1) : s;
        n = read_octet(s, &out[i]);
        if (n == 0)
            return false;
        s = str_skip(s, n);
    }
    return s.n == 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The groups read so far; `gap` is where "::" stood. */
struct groups {
    uint8_t byte[16];
    size_t n;   /* bytes read */
    size_t gap; /* bytes before "::" */
    bool has_gap;
};

/* 1*4HEXDIG */
static bool read_group(struct str group, struct groups *groups)
{
    unsigned value = 0;

    if (group.n == 0 || group.n > 4 || groups->n + 2 > sizeof groups->byte)
        return false;
    for (size_t i = 0; i < group.n; i++) {
        int digit = hex_digit(group.p[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    groups->byte[groups->n++] = (uint8_t)(value >> 8);
    groups->byte[groups->n++] = (uint8_t)value;
    return true;
}

/* An IPv4 address may stand for the last two groups (RFC 4291 2.2, form 3). */
static bool read_v4_tail(struct str s, struct groups *groups)
{
    if (groups->n + 4 > sizeof groups->byte || !read_v4(s, groups->byte + groups->n))
        return false;
    groups->n += 4;
    return true;
}

static bool read_gap(struct str *s, struct groups *groups)
{
    if (groups->has_gap)
        return false;
    groups->has_gap = true;
    groups->gap = groups->n;
    *s = str_skip(*s, 2);
    return true;
}

/* Groups with ":" between them and at most one "::"; `s` is not empty. */
static bool read_groups(struct str s, struct groups *groups)
{
    if (str_istarts(s, STR("::")) && !read_gap(&s, groups))
        return false;
    while (s.n > 0) {
        size_t n = str_find(s, ':');

        if (n == s.n && str_find(s, '.') < n)
            return read_v4_tail(s, groups);
        if (!read_group(str_from(s.p, n), groups))
            return false;
        s = str_skip(s, n);
        if (str_istarts(s, STR("::"))) {
            if (!read_gap(&s, groups))
                return false;
        } else if (s.n > 0) {
            s = str_skip(s, 1);
            if (s.n == 0)
                return false;
        }
    }
    return true;
}

/* "::" stands for one group of zeros or more (RFC 4291 2.2), never for none. */
static bool read_v6(struct str s, struct address *out)
{
    struct groups groups = { .n = 0 };
    size_t after;

    if (!read_groups(s, &groups) || groups.has_gap == (groups.n == sizeof out->byte))
        return false;
    after = groups.n - groups.gap;
    memset(out->byte, 0, sizeof out->byte);
    memcpy(out->byte, groups.byte, groups.gap);
    memcpy(out->byte + sizeof out->byte - after, groups.byte + groups.gap, after);
    return true;
}

bool address_parse(struct str s, struct address *out)
{
    uint8_t v4[4];

    if (s.n >= ADDRESS_TEXT_MAX)
        return false;
    if (str_find(s, ':') < s.n)
        return read_v6(s, out);
    if (!read_v4(s, v4))
        return false;
    memcpy(out->byte, V4_PREFIX, sizeof V4_PREFIX);
    memcpy(out->byte + sizeof V4_PREFIX, v4, sizeof v4);
    return true;
}

/* ---- printing ---- */

/* No leading zeros; base 10 or 16, in lower case (RFC 5952 4.1, 4.3). */
static char *put_number(char *p, unsigned value, unsigned base)
{
    unsigned place = 1;

    while (value / place >= base)
        place *= base;
    for (; place > 0; place /= base)
        *p++ = "0123456789abcdef"[value / place % base];
    return p;
}

static char *put_v4(char *p, const uint8_t byte[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *p++ = '.';
        p = put_number(p, byte[i], 10);
    }
    return p;
}

static unsigned group_of(const struct address *address, int i)
{
    return (unsigned)address->byte[2 * i] << 8 | address->byte[2 * i + 1];
}

static int zeros_from(const struct address *address, int i)
{
    int n = 0;

    while (i + n < GROUPS && group_of(address, i + n) == 0)
        n++;
    return n;
}

/* RFC 5952 4.2: "::" replaces the longest run of zero groups, the first of equals, and never a single group.
 */
static int longest_zeros(const struct address *address, int *length)
{
    int best = GROUPS;

    *length = 1;
    for (int i = 0; i < GROUPS; i++) {
        int n = zeros_from(address, i);

        if (n > *length) {
            *length = n;
            best = i;
        }
    }
    return best;
}

static char *put_v6(char *p, const struct address *address)
{
    int length;
    int gap = longest_zeros(address, &length);

    for (int i = 0; i < GROUPS; i++) {
        if (i == gap) {
            *p++ = ':';
            *p++ = ':';
            i += length - 1;
            continue;
        }
        if (i > 0 && p[-1] != ':')
            *p++ = ':';
        p = put_number(p, group_of(address, i), 16);
    }
    return p;
}

size_t address_print(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    char *end = address_is_v4(address) ? put_v4(out, address->byte + sizeof V4_PREFIX) : put_v6(out, address);

    *end = '\0';
    return (size_t)(end - out);
}

/* ---- endpoints and networks ---- */

/* Cuts the address off the front of `*rest`, which keeps "" or ":port". Brackets belong to IPv6, and only to
 * it.
 */
static bool take_endpoint_address(struct str *rest, struct address *out)
{
    bool in_brackets = rest->n > 0 && rest->p[0] == '[';
    size_t n = str_find(*rest, in_brackets ? ']' : ':');
    struct str text = str_from(rest->p, n);

    if (in_brackets) {
        if (n == rest->n)
            return false;
        text = str_from(rest->p + 1, n - 1);
        n++;
    }
    *rest = str_skip(*rest, n);
    return (str_find(text, ':') < text.n) == in_brackets && address_parse(text, out);
}

bool endpoint_parse(struct str s, uint16_t default_port, struct endpoint *out)
{
    unsigned port = default_port;

    if (!take_endpoint_address(&s, &out->address))
        return false;
    if (s.n > 0) {
        if (s.p[0] != ':' || !read_decimal(str_skip(s, 1), UINT16_MAX, &port))
            return false;
    } else if (default_port == 0) {
        return false;
    }
    out->port = (uint16_t)port;
    return true;
}

size_t endpoint_print(const struct endpoint *endpoint, char out[ENDPOINT_TEXT_MAX])
{
    bool in_brackets = !address_is_v4(&endpoint->address);
    char *p = out;

    if (in_brackets)
        *p++ = '[';
    p += address_print(&endpoint->address, p);
    if (in_brackets)
        *p++ = ']';
    *p++ = ':';
    p = put_number(p, endpoint->port, 10);
    *p = '\0';
    return (size_t)(p - out);
}

/* The part of byte `i` that a prefix of `bits` covers. */
static uint8_t mask_at(unsigned bits, unsigned i)
{
    if (bits >= 8 * (i + 1))
        return 0xFF;
    return (uint8_t)(bits <= 8 * i ? 0 : 0xFFU << (8 * (i + 1) - bits));
}

static bool host_bits_are_zero(const struct network *network)
{
    for (unsigned i = 0; i < sizeof network->address.byte; i++)
        if ((network->address.byte[i] & ~mask_at(network->bits, i)) != 0)
            return false;
    return true;
}

bool network_parse(struct str s, struct network *out)
{
    size_t slash = str_find(s, '/');
    struct str address = str_from(s.p, slash);
    unsigned skipped = str_find(address, ':') < address.n ? 0 : V4_BITS;
    unsigned bits = 128 - skipped;

    if (!address_parse(address, &out->address))
        return false;
    if (slash < s.n && !read_decimal(str_skip(s, slash + 1), bits, &bits))
        return false;
    out->bits = (uint8_t)(bits + skipped);
    return host_bits_are_zero(out);
}

size_t address_print_network(const struct address *address, unsigned v4_bits, unsigned v6_bits,
                             char out[NETWORK_TEXT_MAX])
{
    bool is_v4 = address_is_v4(address);
    unsigned bits = is_v4 ? v4_bits : v6_bits, skipped = is_v4 ? V4_BITS : 0;
    struct address network = *address;
    char *end;

    for (unsigned i = 0; i < sizeof network.byte; i++)
        network.byte[i] &= mask_at((uint8_t)(bits + skipped), i);
    end = out + address_print(&network, out);
    if (bits + skipped < 8 * sizeof network.byte) {
        *end++ = '/';
        end = put_number(end, bits, 10);
    }
    *end = '\0';
    return (size_t)(end - out);
}

/* "::/0" means every IPv6 address to whoever writes it, and ip6: never matches an IPv4 client (RFC 7208 5.6);
 * that our IPv4 addresses live inside ::/0 is our own affair.
 */
bool network_holds(const struct network *network, const struct address *address)
{
    if (address_is_v4(address) && network->bits < V4_BITS)
        return false;
    for (unsigned i = 0; i < sizeof address->byte; i++)
        if (((network->address.byte[i] ^ address->byte[i]) & mask_at(network->bits, i)) != 0)
            return false;
    return true;
}
