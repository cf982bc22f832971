/* DNS messages from text, for tests: what a server could say, a record a line.
 *
 *     struct dns_message m;
 *     dns_message_begin(&m, 0x1234, 0x8180, "example.org", 16);
 *     dns_message_add(&m, "example.org TXT 300 v=spf1 -all\n"
 *                         "; \n"                                   the authority section begins
 *                         "example.org SOA 3600 60");
 *
 * TXT data is the rest of the line, "|" between the strings of a record; MX data "10 mx.example.org"; SOA data its MINIMUM;
 * other types, as numbers, have hexadecimal data. Names are written without compression.
 */
#ifndef TESTS_DNS_MESSAGE_H
#define TESTS_DNS_MESSAGE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dns_message {
    uint8_t octet[65535];
    size_t n;
    unsigned section; /* 0: answer, 1: authority, 2: additional */
};

static inline void dns_put(struct dns_message *m, const void *p, size_t n)
{
    if (n > sizeof m->octet - m->n)
        abort();
    if (n > 0)
        memcpy(m->octet + m->n, p, n);
    m->n += n;
}

static inline void dns_put16(struct dns_message *m, unsigned v)
{
    uint8_t octet[2] = { (uint8_t)(v >> 8), (uint8_t)v };

    dns_put(m, octet, 2);
}

static inline void dns_put32(struct dns_message *m, unsigned long v)
{
    dns_put16(m, (unsigned)(v >> 16 & 0xffff));
    dns_put16(m, (unsigned)(v & 0xffff));
}

static inline void dns_put_name(struct dns_message *m, const char *name, size_t n)
{
    while (n > 0) {
        const char *dot = memchr(name, '.', n);
        size_t label = dot != NULL ? (size_t)(dot - name) : n;
        uint8_t length = (uint8_t)label;

        if (label > 0) {
            dns_put(m, &length, 1);
            dns_put(m, name, label);
        }
        label += dot != NULL;
        name += label;
        n -= label;
    }
    dns_put(m, "", 1);
}

static inline void dns_message_begin(struct dns_message *m, unsigned id, unsigned flags, const char *name,
                                     unsigned type)
{
    m->n = 0;
    m->section = 0;
    dns_put16(m, id);
    dns_put16(m, flags);
    dns_put16(m, 1);
    dns_put(m, "\0\0\0\0\0\0", 6);
    dns_put_name(m, name, strlen(name));
    dns_put16(m, type);
    dns_put16(m, 1);
}

static inline void dns_count_record(struct dns_message *m)
{
    uint8_t *at = m->octet + 6 + 2 * m->section;
    unsigned n = ((unsigned)at[0] << 8 | at[1]) + 1;

    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
}

static inline void dns_put_strings(struct dns_message *m, const char *p, size_t n)
{
    for (;;) {
        const char *bar = memchr(p, '|', n);
        size_t length = bar != NULL ? (size_t)(bar - p) : n;
        uint8_t octet = (uint8_t)length;

        if (length > 255)
            abort();
        dns_put(m, &octet, 1);
        dns_put(m, p, length);
        if (bar == NULL)
            return;
        p += length + 1;
        n -= length + 1;
    }
}

static inline void dns_put_hex(struct dns_message *m, const char *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        char digits[3] = { p[i], p[i + 1], '\0' };
        uint8_t octet = (uint8_t)strtoul(digits, NULL, 16);

        dns_put(m, &octet, 1);
    }
}

static inline unsigned dns_type(const char *word)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = { { "A", 1 },    { "NS", 2 },  { "CNAME", 5 }, { "SOA", 6 },
                  { "PTR", 12 }, { "MX", 15 }, { "TXT", 16 },  { "AAAA", 28 } };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, word) == 0)
            return types[i].type;
    return (unsigned)strtoul(word, NULL, 10);
}

static inline void dns_put_data(struct dns_message *m, unsigned type, const char *data, size_t n)
{
    char text[256];
    uint8_t address[16];
    char *rest = text;

    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), data);
    switch (type) {
    case 1:
    case 28:
        if (inet_pton(type == 1 ? AF_INET : AF_INET6, text, address) != 1)
            abort();
        dns_put(m, address, type == 1 ? 4 : 16);
        break;
    case 15:
        dns_put16(m, (unsigned)strtoul(text, &rest, 10));
        dns_put_name(m, rest + 1, strlen(rest + 1));
        break;
    case 6:
        dns_put(m, "\0\0", 2);
        for (int i = 0; i < 4; i++)
            dns_put32(m, 1);
        dns_put32(m, strtoul(text, NULL, 10));
        break;
    case 16: dns_put_strings(m, data, n); break;
    case 2:
    case 5:
    case 12: dns_put_name(m, data, n); break;
    default: dns_put_hex(m, data, n);
    }
}

static inline void dns_add_line(struct dns_message *m, const char *line, size_t n)
{
    char owner[300], word[32];
    unsigned long ttl;
    unsigned type;
    int used = 0;
    size_t length_at;
    char copy[1024];

    if (n >= sizeof copy)
        abort();
    memcpy(copy, line, n);
    copy[n] = '\0';
    if (sscanf(copy, "%299s %31s %lu %n", owner, word, &ttl, &used) != 3 || used == 0)
        abort();
    type = dns_type(word);
    dns_put_name(m, owner, strlen(owner));
    dns_put16(m, type);
    dns_put16(m, 1);
    dns_put32(m, ttl);
    length_at = m->n;
    dns_put16(m, 0);
    dns_put_data(m, type, copy + used, n - (size_t)used);
    m->octet[length_at] = (uint8_t)((m->n - length_at - 2) >> 8);
    m->octet[length_at + 1] = (uint8_t)(m->n - length_at - 2);
    dns_count_record(m);
}

static inline void dns_message_add(struct dns_message *m, const char *lines)
{
    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n");

        if (*lines == ';')
            m->section++;
        else if (n > 0)
            dns_add_line(m, lines, n);
        lines += n + (lines[n] == '\n');
    }
}

#endif
