/* The octets of a query of our own, and which message is its answer: RFC 1035 4.1 with the OPT record of RFC 6891 6.1.
 * No sockets here, and no more of an answer is read than what says whose it is.
 */
#include "resolver_parts.h"

enum {
    HEADER = 12,
    FLAGS_AT = 2,
    QR = 0x80, /* of the octet at FLAGS_AT, as are OPCODE and TC */
    OPCODE = 0x78,
    TC = 0x02,
    RD = 0x01,
    RCODE = 0x0f, /* of the octet behind it */
    QDCOUNT_AT = 4,
    ARCOUNT_AT = 10,
    CLASS_IN = 1,
    TYPE_OPT = 41
};

static uint8_t *put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

/* RFC 1035 3.1: each label behind its length, the root at the end. */
static uint8_t *put_name(uint8_t *p, const char *name)
{
    struct str rest = str_of(name);

    while (rest.n > 0) {
        size_t label = str_find(rest, '.');

        *p++ = (uint8_t)label;
        memcpy(p, rest.p, label);
        p += label;
        rest = str_skip(rest, label < rest.n ? label + 1 : label);
    }
    *p++ = 0;
    return p;
}

/* RFC 6891 6.1.2: owned by the root; the class is the room for an answer. No extended code, version 0, no options. */
static uint8_t *put_opt(uint8_t *p)
{
    *p++ = 0;
    p = put16(p, TYPE_OPT);
    p = put16(p, DNS_UDP_MAX);
    memset(p, 0, 6);
    return p + 6;
}

void dns_query_write(struct dns_query *query, const char *name, unsigned type, unsigned id, bool has_opt)
{
    uint8_t *message = query->octet + DNS_LENGTH, *p;

    memset(message, 0, HEADER);
    put16(message, id);
    message[FLAGS_AT] = RD;
    put16(message + QDCOUNT_AT, 1);
    put16(message + ARCOUNT_AT, has_opt);
    p = put_name(message + HEADER, name);
    p = put16(p, type);
    p = put16(p, CLASS_IN);
    query->question_end = (size_t)(p - message);
    if (has_opt)
        p = put_opt(p);
    query->n = (size_t)(p - message);
    put16(query->octet, (unsigned)query->n);
}

/* Letters of either case are equal (RFC 1035 2.3.3), every other octet itself alone. The lengths of labels, and types
 * and classes of ours, are no letters: 63 at most.
 */
static bool is_same_question(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ascii_lower((char)a[i]) != ascii_lower((char)b[i]))
            return false;
    return true;
}

bool dns_query_is_answered(const struct dns_query *query, const uint8_t *p, size_t n)
{
    const uint8_t *own = query->octet + DNS_LENGTH;

    return n >= query->question_end && memcmp(p, own, 2) == 0 && (p[FLAGS_AT] & (QR | OPCODE)) == QR &&
           memcmp(p + QDCOUNT_AT, own + QDCOUNT_AT, 2) == 0 &&
           is_same_question(p + HEADER, own + HEADER, query->question_end - HEADER);
}

bool dns_answer_is_truncated(const uint8_t *answer)
{
    return (answer[FLAGS_AT] & TC) != 0;
}

unsigned dns_answer_code(const uint8_t *answer)
{
    return answer[FLAGS_AT + 1] & RCODE;
}
