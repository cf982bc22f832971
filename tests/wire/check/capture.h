/* A capture file as a list of TCP and UDP packets.
 *
 * Reads what libpcap reads (pcap and pcapng; Ethernet with VLAN tags, Linux cooked v1 and v2, raw IP, BSD loopback), IPv4 and IPv6
 * with extension headers. Whatever cannot be understood is counted, never skipped in silence: a fragment, a bad header length, a
 * packet cut by the snap length. The whole file is kept in memory, payloads point into it. */
#ifndef WIRE_CAPTURE_H
#define WIRE_CAPTURE_H

#include "bytes.h"

struct endpoint {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

enum { ENDPOINT_TEXT = 64 };

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

struct packet {
    uint32_t frame; /* from 1, the number that tshark and tcpdump -# print */
    int64_t time;   /* ns since 1970 */
    struct endpoint from, to;
    bool is_tcp;   /* else UDP */
    uint8_t flags; /* TCP_* */
    uint32_t seq, ack;
    uint16_t window; /* as sent, unscaled */
    struct slice payload;
    size_t cut; /* octets of the payload that the capture does not hold */
};

struct capture {
    const char *path;
    struct packet *packet; /* in the order of the file */
    size_t n;
    size_t frames;         /* all of them */
    size_t cut;            /* packets that the snap length has cut */
    size_t fragments;      /* IP fragments, which nobody puts together here */
    size_t strange;        /* headers that make no sense */
    bool ends_early;       /* in the middle of its last record, which is strange */
    struct buffer *memory; /* owns the payloads */
};

/* Reads `path`. Ends the program with one line when it is no capture or ends in the middle of a record
 * (`may_end_early`: an unfinished last record is what a killed tcpdump leaves; it is then cut off and counted as strange). */
void capture_read(struct capture *c, const char *path, bool may_end_early);
void capture_free(struct capture *c);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/* "192.0.2.1:25" or "[2001:db8::1]:25"; `text` holds ENDPOINT_TEXT octets. Returns it. */
const char *endpoint_print(const struct endpoint *e, char *text);
/* Reads the same two forms, and the address alone (port 0). */
bool endpoint_parse(struct endpoint *e, struct slice text);

#endif
