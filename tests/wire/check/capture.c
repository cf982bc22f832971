/* Reads a capture file down to its TCP and UDP payloads, layer by layer: link, IP, transport. See capture.h.
 *
 * Each layer gets the slice that the capture holds and the length that the wire had, and hands the rest on.
 * Checksums are not verified: with offloading the sender's card fills them in after the capture has seen the
 * packet, so that half of all good captures are full of wrong ones. What is shorter than its own header says is cut
 * by the snap length, what contradicts itself is strange; both are counted and leave a hole in their stream, which
 * flow.c finds. */
#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_DATA = 65, EXIT_NO_INPUT = 66 };

/* A part of a frame: what the capture holds of it, and how long it was on the wire (never shorter than `held`). */
struct part {
    struct slice held;
    size_t wire;
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static struct part part_after(struct part p, size_t n)
{
    return (struct part){ slice_part(p.held, n, SIZE_MAX), p.wire > n ? p.wire - n : 0 };
}

static struct part part_until(struct part p, size_t n)
{
    return (struct part){ slice_part(p.held, 0, n), p.wire < n ? p.wire : n };
}

/* Whether the capture holds `n` octets of a header; counts why not. */
static bool has_header(struct capture *c, struct part p, size_t n)
{
    if (p.held.n >= n)
        return true;
    if (p.wire > p.held.n && p.wire >= n)
        c->cut++;
    else
        c->strange++;
    return false;
}

/* --- Transport --- */

static void keep(struct capture *c, struct packet *packet, struct part payload)
{
    packet->frame = (uint32_t)c->frames;
    packet->cut = payload.wire - payload.held.n;
    packet->payload.n = payload.held.n; /* and its place when the memory stands still */
    c->cut += packet->cut > 0;
    buffer_add(c->memory, payload.held.p, payload.held.n);
    c->packet = array_grow(c->packet, c->n, sizeof *c->packet);
    c->packet[c->n++] = *packet;
}

static void read_tcp(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 20))
        return;
    const uint8_t *h = p.held.p;
    size_t header = (size_t)(h[12] >> 4) * 4; /* options included: RFC 9293 3.1 */
    if (header < 20 || header > p.wire) {
        c->strange++;
        return;
    }
    packet->is_tcp = true;
    packet->from.port = get16(h);
    packet->to.port = get16(h + 2);
    packet->seq = get32(h + 4);
    packet->ack = get32(h + 8);
    packet->flags = h[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK);
    packet->window = get16(h + 14);
    keep(c, packet, part_after(p, header));
}

static void read_udp(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 8))
        return;
    const uint8_t *h = p.held.p;
    size_t length = get16(h + 4);
    if (length < 8 || length > p.wire) {
        c->strange++;
        return;
    }
    packet->from.port = get16(h);
    packet->to.port = get16(h + 2);
    keep(c, packet, part_after(part_until(p, length), 8));
}

static void read_transport(struct capture *c, struct packet *packet, uint8_t protocol, struct part p)
{
    if (protocol == IPPROTO_TCP)
        read_tcp(c, packet, p);
    else if (protocol == IPPROTO_UDP)
        read_udp(c, packet, p);
}

/* --- IP --- */

/* The packet by its own length: Ethernet pads short frames (60 octets), and the padding is nobody's payload. A
 * length of 0 is what Linux writes when it hands a packet of more than 64 kB to the card (BIG TCP): the frame has
 * it all. */
static bool cut_padding(struct capture *c, struct part *p, size_t length, bool is_unknown)
{
    if (is_unknown)
        return true;
    if (length > p->wire) {
        c->strange++;
        return false;
    }
    *p = part_until(*p, length);
    return true;
}

static void map_ipv4(uint8_t address[16], const uint8_t *p)
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, p, 4);
}

static void read_ipv4(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 20))
        return;
    const uint8_t *h = p.held.p;
    size_t header = (size_t)(h[0] & 15) * 4, total = get16(h + 2);
    if (header < 20 || (total != 0 && total < header) || header > p.wire) {
        c->strange++;
        return;
    }
    if (get16(h + 6) & 0x3fff) { /* more fragments, or not the first: RFC 791 3.1 */
        c->fragments++;
        return;
    }
    map_ipv4(packet->from.address, h + 12);
    map_ipv4(packet->to.address, h + 16);
    if (cut_padding(c, &p, total, total == 0))
        read_transport(c, packet, h[9], part_after(p, header));
}

/* Extension headers that have their length in the second octet (RFC 8200 4; AH counts in fours: RFC 4302 2.2). */
static size_t extension_size(uint8_t type, const uint8_t *h)
{
    switch (type) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case 135: /* mobility */
    case 139: /* host identity */
    case 140: /* shim6 */ return ((size_t)h[1] + 1) * 8;
    case IPPROTO_AH: return ((size_t)h[1] + 2) * 4;
    case IPPROTO_FRAGMENT: return 8;
    default: return 0;
    }
}

static bool is_extension(uint8_t type)
{
    static const uint8_t none[2];

    return extension_size(type, none) > 0;
}

static void read_ipv6(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 40))
        return;
    const uint8_t *h = p.held.p;
    uint8_t type = h[6];
    size_t length = get16(h + 4);
    memcpy(packet->from.address, h + 8, 16);
    memcpy(packet->to.address, h + 24, 16);
    if (!cut_padding(c, &p, 40 + length, length == 0))
        return;
    p = part_after(p, 40);
    while (is_extension(type)) { /* each takes octets away, the packet ends the loop */
        if (!has_header(c, p, 8))
            return;
        h = p.held.p;
        if (type == IPPROTO_FRAGMENT && (get16(h + 2) & 0xfff9)) { /* all but an "atomic" one: RFC 6946 */
            c->fragments++;
            return;
        }
        size_t size = extension_size(type, h);
        if (size > p.wire) {
            c->strange++;
            return;
        }
        type = h[0];
        p = part_after(p, size);
    }
    read_transport(c, packet, type, p);
}

static void read_ip(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 1))
        return;
    switch (p.held.p[0] >> 4) {
    case 4: read_ipv4(c, packet, p); break;
    case 6: read_ipv6(c, packet, p); break;
    default: c->strange++;
    }
}

/* --- Link --- */

enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd };

static bool is_vlan(uint16_t type)
{
    return type == 0x8100 || type == 0x88a8 ||
           type == 0x9100; /* 802.1Q, 802.1ad, and QinQ before there was a standard */
}

/* What lies behind an EtherType, VLAN tags taken off. Other protocols (ARP and its like) are none of our business. */
static void read_typed(struct capture *c, struct packet *packet, uint16_t type, struct part p)
{
    while (is_vlan(type)) {
        if (!has_header(c, p, 4))
            return;
        type = get16(p.held.p + 2);
        p = part_after(p, 4);
    }
    if (type == TYPE_IPV4 || type == TYPE_IPV6)
        read_ip(c, packet, p);
}

/* A link header of fixed size with an EtherType in it. */
static void read_link_typed(struct capture *c, struct packet *packet, struct part p, size_t size, size_t type_at)
{
    if (has_header(c, p, size))
        read_typed(c, packet, get16(p.held.p + type_at), part_after(p, size));
}

/* BSD's loopback says the address family, in the byte order of the machine (NULL) or the network's (LOOP), with the
 * numbers of its system for IPv6. */
static void read_loopback(struct capture *c, struct packet *packet, struct part p)
{
    if (!has_header(c, p, 4))
        return;
    uint32_t family = get32(p.held.p);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    switch (family) {
    case 2:
    case 10:                                              /* Linux */
    case 24:                                              /* NetBSD, OpenBSD */
    case 28:                                              /* FreeBSD */
    case 30: read_ip(c, packet, part_after(p, 4)); break; /* macOS */
    default: break;
    }
}

static void read_frame(struct capture *c, struct packet *packet, int link, struct part p)
{
    switch (link) {
    case DLT_EN10MB: read_link_typed(c, packet, p, 14, 12); break;
    case DLT_LINUX_SLL: read_link_typed(c, packet, p, 16, 14); break;
    case DLT_LINUX_SLL2: read_link_typed(c, packet, p, 20, 0); break;
    case DLT_NULL:
    case DLT_LOOP: read_loopback(c, packet, p); break;
    default: read_ip(c, packet, p);
    }
}

static bool is_known_link(int link)
{
    static const int known[] = { DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_NULL,
                                 DLT_LOOP,   DLT_RAW,       DLT_IPV4,       DLT_IPV6 };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (link == known[i])
            return true;
    return false;
}

/* --- File --- */

/* What a compressed file is to be unpacked with; NULL: it is none that we know. */
static const char *unpacker(const char *path)
{
    static const struct {
        const char *head, *program;
    } rows[] = {
        { "\x1f\x8b", "gunzip" }, { "\xfd\x37zXZ", "unxz" }, { "\x28\xb5\x2f\xfd", "unzstd" }, { "BZh", "bunzip2" }
    };
    FILE *file = fopen(path, "rb");
    char head[8] = { 0 };

    if (!file)
        return NULL;
    size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (n >= strlen(rows[i].head) && memcmp(head, rows[i].head, strlen(rows[i].head)) == 0)
            return rows[i].program;
    return NULL;
}

/* What `tcpdump -w` leaves when it could not begin. */
static bool is_empty(FILE *file)
{
    int first = getc(file);

    return first == EOF ? ferror(file) == 0 : ungetc(first, file) == EOF;
}

static pcap_t *open_capture(const char *path)
{
    char error[PCAP_ERRBUF_SIZE];
    FILE *file = fopen(path, "rb");
    if (!file)
        die(EXIT_NO_INPUT, "%s: %s", path, strerror(errno));
    if (is_empty(file))
        die(EXIT_DATA, "%s: an empty file, not a capture", path);
    pcap_t *pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
    if (!pcap && unpacker(path))
        die(EXIT_DATA, "%s: compressed; %s it first", path, unpacker(path));
    if (!pcap)
        die(EXIT_DATA, "%s: no capture in pcap or pcapng: %s", path, error);
    if (!is_known_link(pcap_datalink(pcap))) {
        const char *name = pcap_datalink_val_to_name(pcap_datalink(pcap));
        die(EXIT_DATA, "%s: packets of link type %s, which is not read here", path, name ? name : "unknown");
    }
    return pcap;
}

/* Nanoseconds (libpcap puts them into tv_usec, as asked). Nonsense in a file must not overflow. */
static int64_t time_of(struct timeval t)
{
    int64_t ns;

    if (__builtin_mul_overflow((int64_t)t.tv_sec, 1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t.tv_usec, &ns))
        return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static void read_frames(struct capture *c, pcap_t *pcap, bool may_end_early)
{
    const uint8_t *octets;
    struct pcap_pkthdr *header;
    int link = pcap_datalink(pcap), got;

    while ((got = pcap_next_ex(pcap, &header, &octets)) == 1) {
        struct packet packet = { .time = time_of(header->ts) };
        struct part p = { { octets, header->caplen }, header->len };
        if (p.wire < p.held.n) /* some writers leave it 0 */
            p.wire = p.held.n;
        c->frames++;
        read_frame(c, &packet, link, p);
    }
    if (got == PCAP_ERROR_BREAK)
        return;
    if (!may_end_early || !strstr(pcap_geterr(pcap), "truncated"))
        die(EXIT_DATA, "%s: %s", c->path, pcap_geterr(pcap));
    c->strange++;
    c->ends_early = true;
}

void capture_read(struct capture *c, const char *path, bool may_end_early)
{
    *c = (struct capture){ .path = path, .memory = fresh(sizeof *c->memory) };
    pcap_t *pcap = open_capture(path);
    read_frames(c, pcap, may_end_early);
    pcap_close(pcap);
    for (size_t i = 0, at = 0; i < c->n; i++) { /* payloads lie one behind the other */
        struct slice *payload = &c->packet[i].payload;
        *payload = slice_part(buffer_slice(c->memory), at, at + payload->n);
        at += payload->n;
    }
}

void capture_free(struct capture *c)
{
    if (c->memory)
        buffer_free(c->memory);
    free(c->memory);
    free(c->packet);
    *c = (struct capture){ 0 };
}

/* --- Endpoints --- */

static bool is_ipv4(const uint8_t address[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

    return memcmp(address, mapped, sizeof mapped) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

const char *endpoint_print(const struct endpoint *e, char *text)
{
    char address[INET6_ADDRSTRLEN];

    if (is_ipv4(e->address))
        inet_ntop(AF_INET, e->address + 12, address, sizeof address);
    else
        inet_ntop(AF_INET6, e->address, address, sizeof address);
    snprintf(text, ENDPOINT_TEXT, is_ipv4(e->address) ? "%s:%u" : "[%s]:%u", address, e->port);
    return text;
}

static bool parse_port(uint16_t *port, struct slice text)
{
    unsigned n = 0;

    if (text.n == 0 || text.n > 5)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(text.p[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= UINT16_MAX;
}

static bool parse_address(uint8_t address[16], struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ipv4[4];

    if (text.n >= sizeof copy || slice_find(text, SLICE("\0"), 0) < text.n)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET6, copy, address) == 1)
        return true;
    if (inet_pton(AF_INET, copy, ipv4) != 1)
        return false;
    map_ipv4(address, ipv4);
    return true;
}

bool endpoint_parse(struct endpoint *e, struct slice text)
{
    struct slice address = text, port = { 0 };
    size_t bracket = slice_find(text, SLICE("]"), 0), colon = slice_find(text, SLICE(":"), 0);
    bool has_port = false;

    *e = (struct endpoint){ 0 };
    if (text.n && text.p[0] == '[') {
        if (bracket == text.n)
            return false;
        address = slice_part(text, 1, bracket);
        has_port = bracket + 1 < text.n;
        if (has_port && text.p[bracket + 1] != ':')
            return false;
        port = slice_part(text, bracket + 2, text.n);
    } else if (colon < text.n && slice_find(text, SLICE(":"), colon + 1) == text.n) { /* one colon: not IPv6 */
        has_port = true;
        address = slice_part(text, 0, colon);
        port = slice_part(text, colon + 1, text.n);
    }
    return parse_address(e->address, address) && (!has_port || parse_port(&e->port, port));
}
