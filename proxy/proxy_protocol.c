/* A header may come in any number of pieces. It is parsed from its first byte each time: at 536 bytes that
 * costs less than a state would, and a piece can then never be read in two ways.
 */
#include "proxy_protocol.h"

enum {
    V1_MAX = 107,     /* "the worst case" of section 2.1, CRLF included */
    V2_FIXED = 16,    /* signature, version and command, family, length */
    V2_INET = 12,     /* two IPv4 addresses and two ports */
    V2_INET6 = 36,    /* two IPv6 addresses and two ports */
    V2_LOCAL = 0x20,  /* version 2, command LOCAL */
    V2_PROXY = 0x21,  /* version 2, command PROXY */
    V2_UNSPEC = 0x00, /* families, with their transport in the low half */
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21
};

static const struct str V1_SIGNATURE = STR_INIT("PROXY ");
static const struct str V2_SIGNATURE = STR_INIT("\r\n\r\n\0\r\nQUIT\n");

/* What one header says; copied out only when all of it was good. */
struct header {
    struct endpoint source;
    struct endpoint target;
};

static bool is_prefix(struct str prefix, struct str s)
{
    return prefix.n <= s.n && str_eq(prefix, str_from(s.p, prefix.n));
}

/* ---- version 1: one line of text (section 2.1) ---- */

/* Cuts the text up to the next single SP, or the rest. */
static struct str next_field(struct str *line)
{
    size_t n = str_find(*line, ' ');
    struct str field = str_from(line->p, n);

    *line = str_skip(*line, n < line->n ? n + 1 : n);
    return field;
}

/* "TCP4" goes with dotted quads and "TCP6" with colons, whatever address_parse() would take. */
static bool read_v1_address(struct str field, bool is_v6, struct address *address)
{
    return (str_find(field, ':') < field.n) == is_v6 && address_parse(field, address);
}

static bool read_v1_port(struct str field, uint16_t *port)
{
    unsigned long long value;

    if ((field.n > 1 && field.p[0] == '0') || !str_to_u64(field, UINT16_MAX, &value))
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool read_v1_endpoints(struct str line, bool is_v6, struct header *header)
{
    struct str source = next_field(&line);
    struct str target = next_field(&line);
    struct str source_port = next_field(&line);

    /* the last field is all that is left, so a fifth one makes it a bad port */
    return read_v1_address(source, is_v6, &header->source.address) &&
           read_v1_address(target, is_v6, &header->target.address) && read_v1_port(source_port, &header->source.port) &&
           read_v1_port(line, &header->target.port);
}

/* `line` is what stands between "PROXY " and CRLF. */
static enum proxy_event read_v1(struct str line, struct header *header)
{
    struct str family = next_field(&line);

    if (str_eq(family, STR("UNKNOWN")))
        return PROXY_LOCAL;
    if (!str_eq(family, STR("TCP4")) && !str_eq(family, STR("TCP6")))
        return PROXY_INVALID;
    return read_v1_endpoints(line, family.p[3] == '6', header) ? PROXY_READY : PROXY_INVALID;
}

static enum proxy_event parse_v1(struct str in, size_t *used, struct header *header)
{
    struct str seen = str_from(in.p, in.n < V1_MAX ? in.n : V1_MAX);
    size_t cr = str_find(seen, '\r');

    if (str_find(str_from(seen.p, cr), '\n') < cr)
        return PROXY_INVALID;
    if (cr + 1 < seen.n && seen.p[cr + 1] == '\n') {
        *used = cr + 2;
        return read_v1(str_from(seen.p + V1_SIGNATURE.n, cr - V1_SIGNATURE.n), header);
    }
    return cr + 1 < seen.n || seen.n == V1_MAX ? PROXY_INVALID : PROXY_NEED;
}

/* ---- version 2: binary (section 2.2) ---- */

static unsigned read_u16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* The bytes of addresses that a family needs; 0 for UNSPEC, and for UDP and unix sockets, which carry no
 * SMTP, -1.
 */
static int v2_needs(unsigned char family)
{
    switch (family) {
    case V2_UNSPEC: return 0;
    case V2_TCP4: return V2_INET;
    case V2_TCP6: return V2_INET6;
    default: return -1;
    }
}

/* The first 16 bytes, as far as they are there, so that junk is answered at its first byte. */
static bool v2_start_is_valid(struct str in)
{
    unsigned char command = in.n > 12 ? (unsigned char)in.p[12] : V2_PROXY;
    unsigned char family = in.n > 13 ? (unsigned char)in.p[13] : V2_TCP4;

    if (command == V2_LOCAL)
        return in.n < V2_FIXED || read_u16(in.p + 14) <= PROXY_HEADER_MAX - V2_FIXED;
    if (command != V2_PROXY || v2_needs(family) < 0)
        return false;
    if (in.n > 14 && (unsigned char)in.p[14] > (PROXY_HEADER_MAX - V2_FIXED) >> 8)
        return false;
    return in.n < V2_FIXED ||
           ((int)read_u16(in.p + 14) >= v2_needs(family) && read_u16(in.p + 14) <= PROXY_HEADER_MAX - V2_FIXED);
}

static void read_v2_inet(const char *p, struct header *header)
{
    static const struct address MAPPED = { { [10] = 0xFF, [11] = 0xFF } };

    header->source.address = MAPPED;
    header->target.address = MAPPED;
    memcpy(header->source.address.byte + 12, p, 4);
    memcpy(header->target.address.byte + 12, p + 4, 4);
    header->source.port = (uint16_t)read_u16(p + 8);
    header->target.port = (uint16_t)read_u16(p + 10);
}

static void read_v2_inet6(const char *p, struct header *header)
{
    memcpy(header->source.address.byte, p, 16);
    memcpy(header->target.address.byte, p + 16, 16);
    header->source.port = (uint16_t)read_u16(p + 32);
    header->target.port = (uint16_t)read_u16(p + 34);
}

/* What follows the addresses (TLVs, section 2.2) is stepped over. A PROXY command of family UNSPEC may be
 * taken with the connection's own addresses or refused, at the receiver's choice; we take it, as we take
 * UNKNOWN.
 */
static enum proxy_event parse_v2(struct str in, size_t *used, struct header *header)
{
    size_t length;

    if (!v2_start_is_valid(in))
        return PROXY_INVALID;
    if (in.n < V2_FIXED)
        return PROXY_NEED;
    length = V2_FIXED + read_u16(in.p + 14);
    if (in.n < length)
        return PROXY_NEED;
    *used = length;
    if (in.p[12] == V2_LOCAL || in.p[13] == V2_UNSPEC)
        return PROXY_LOCAL;
    if (in.p[13] == V2_TCP4)
        read_v2_inet(in.p + V2_FIXED, header);
    else
        read_v2_inet6(in.p + V2_FIXED, header);
    return PROXY_READY;
}

static enum proxy_event parse(struct str in, size_t *used, struct header *header)
{
    if (is_prefix(V1_SIGNATURE, in))
        return parse_v1(in, used, header);
    if (is_prefix(V2_SIGNATURE, in))
        return parse_v2(in, used, header);
    return is_prefix(in, V1_SIGNATURE) || is_prefix(in, V2_SIGNATURE) ? PROXY_NEED : PROXY_INVALID;
}

enum proxy_event proxy_header_parse(struct str in, size_t *used, struct endpoint *source, struct endpoint *target)
{
    struct header header;
    size_t consumed = 0;
    enum proxy_event event = parse(in, &consumed, &header);

    if (event == PROXY_READY) {
        *source = header.source;
        *target = header.target;
    }
    if (event == PROXY_READY || event == PROXY_LOCAL)
        *used = consumed;
    return event;
}

/* ---- printing ---- */

static char *put(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_u16(char *p, unsigned value)
{
    p[0] = (char)(value >> 8);
    p[1] = (char)value;
    return p + 2;
}

static char *put_port(char *p, unsigned port)
{
    unsigned place = 1;

    while (port / place >= 10)
        place *= 10;
    for (; place > 0; place /= 10)
        *p++ = (char)('0' + port / place % 10);
    return p;
}

static char *put_v1_address(char *p, const struct address *address, bool is_v6)
{
    if (is_v6 && address_is_v4(address))
        p = put(p, STR("::ffff:"));
    p += address_print(address, p);
    *p = ' ';
    return p + 1;
}

static char *put_v1(char *p, const struct header *header, bool is_v6)
{
    p = put(p, is_v6 ? STR("PROXY TCP6 ") : STR("PROXY TCP4 "));
    p = put_v1_address(p, &header->source.address, is_v6);
    p = put_v1_address(p, &header->target.address, is_v6);
    p = put_port(p, header->source.port);
    *p++ = ' ';
    p = put_port(p, header->target.port);
    return put(p, STR("\r\n"));
}

static char *put_v2_address(char *p, const struct address *address, bool is_v6)
{
    const char *byte = (const char *)address->byte;

    return put(p, is_v6 ? str_from(byte, 16) : str_from(byte + 12, 4));
}

static char *put_v2(char *p, const struct header *header, bool is_v6)
{
    p = put(p, V2_SIGNATURE);
    *p++ = V2_PROXY;
    *p++ = is_v6 ? V2_TCP6 : V2_TCP4;
    p = put_u16(p, is_v6 ? V2_INET6 : V2_INET);
    p = put_v2_address(p, &header->source.address, is_v6);
    p = put_v2_address(p, &header->target.address, is_v6);
    p = put_u16(p, header->source.port);
    return put_u16(p, header->target.port);
}

size_t proxy_header_print(int version, const struct endpoint *source, const struct endpoint *target,
                          char out[PROXY_HEADER_MAX])
{
    struct header header = { *source, *target };
    bool is_v6 = !address_is_v4(&source->address) || !address_is_v4(&target->address);
    char *end = version == 1 ? put_v1(out, &header, is_v6) : put_v2(out, &header, is_v6);

    return (size_t)(end - out);
}
