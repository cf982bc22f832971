/* DNS messages as they are on the wire (RFC 1035 4), as far as the oracle looks into them: the question, whether an
 * answer is one, and for how long it holds. */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include "bytes.h"

enum dns_type { DNS_PTR = 12 };

struct dns_message {
    uint16_t id;
    bool is_answer, is_truncated;
    unsigned rcode;    /* 0 NOERROR, 3 NXDOMAIN */
    struct slice name; /* of the question, as on the wire, with the octet of the root; p NULL: it could not be read */
    uint16_t type;     /* of the question */
    const char *fault; /* what is wrong with the question (D-3); NULL nothing */
    bool is_usable;    /* an answer that can be believed: records of the type asked for, or a denial with its SOA */
    uint32_t ttl;      /* s, of a usable one: the least of its records' */
};

/* False when it is too short to be a DNS message. */
bool dns_read(struct dns_message *m, struct slice octets);
/* Two names on the wire; letters are the same in both cases (RFC 4343). */
bool dns_same_name(struct slice a, struct slice b);
uint64_t dns_hash(uint64_t hash, struct slice name, uint16_t type);
/* "example.org", what is no letter, digit, hyphen or underscore as \NNN (RFC 4343 2.1). */
void dns_print(struct slice name, struct buffer *out);

#endif
