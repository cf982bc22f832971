#include "dns.h"

#include "lookup.h"

enum {
    HEAD = 12,       /* octets */
    NAME_MOST = 255, /* on the wire, lengths and root counted (RFC 1035 2.3.4) */
    LABEL_MOST = 63,
    SOA = 6,
    NXDOMAIN = 3,
    RECORDS_MOST = 1000 /* looked at; a message of 64 kB holds not many more */
};

/* A message on its way to what it says. */
struct reading {
    struct slice s;
    size_t at;
    bool is_short; /* it ended before it should */
};

static unsigned take(struct reading *r, size_t octets)
{
    unsigned value = 0;

    if (octets > r->s.n - r->at) {
        r->is_short = true;
        r->at = r->s.n;
        return 0;
    }
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | r->s.p[r->at++];
    return value;
}

static void skip(struct reading *r, size_t octets)
{
    if (octets > r->s.n - r->at)
        r->is_short = true;
    r->at = r->is_short ? r->s.n : r->at + octets;
}

/* The question's name; NULL, or what is wrong with it. Names in questions are never compressed: nothing is in front of
 * them. */
static const char *read_name(struct reading *r, struct slice *name)
{
    size_t start = r->at;
    unsigned length;

    while ((length = take(r, 1)) != 0) {
        if (length > LABEL_MOST)
            return "a label of more than 63 octets, or a pointer";
        for (unsigned i = 0; i < length; i++)
            if (take(r, 1) == 0 && !r->is_short)
                return "a NUL in a label";
        if (r->at - start >= NAME_MOST)
            return "a name of more than 253 octets";
    }
    if (r->is_short)
        return "a name that does not end";
    *name = slice_part(r->s, start, r->at);
    return name->n > 1 ? NULL : "the name of the root";
}

/* Over a name that may be compressed (RFC 1035 4.1.4). */
static void skip_name(struct reading *r)
{
    unsigned length;

    while ((length = take(r, 1)) != 0) {
        if (length >= 0xC0) {
            skip(r, 1);
            return;
        }
        skip(r, length);
    }
}

struct found {
    bool has_answer, has_soa;
    uint32_t ttl;
};

static void note_ttl(struct found *f, uint32_t ttl)
{
    f->ttl = ttl < f->ttl ? ttl : f->ttl;
}

/* RFC 2308 5: a denial holds as long as the SOA and its last number say. */
static void read_record(struct reading *r, struct found *f, unsigned asked, bool is_authority)
{
    skip_name(r);
    unsigned type = take(r, 2);
    skip(r, 2);
    uint32_t ttl = take(r, 4);
    size_t length = take(r, 2), end = r->at + length;
    bool is_soa = is_authority && type == SOA && length >= 20;

    if (r->is_short || end > r->s.n) {
        r->is_short = true;
        return;
    }
    if (!is_authority || is_soa)
        note_ttl(f, ttl);
    f->has_answer = f->has_answer || (!is_authority && type == asked);
    f->has_soa = f->has_soa || is_soa;
    if (is_soa) {
        r->at = end - 4;
        note_ttl(f, take(r, 4));
    }
    r->at = end;
}

static void read_answer(struct reading *r, struct dns_message *m, unsigned answers, unsigned authorities)
{
    struct found f = { .ttl = UINT32_MAX };

    for (unsigned i = 0; i < answers + authorities && i < RECORDS_MOST && !r->is_short; i++)
        read_record(r, &f, m->type, i >= answers);
    if (r->is_short || m->is_truncated || (m->rcode != 0 && m->rcode != NXDOMAIN))
        return;
    m->is_usable = m->rcode == 0 && f.has_answer ? true : !f.has_answer && f.has_soa;
    m->ttl = m->is_usable ? f.ttl : 0;
}

bool dns_read(struct dns_message *m, struct slice octets)
{
    struct reading r = { .s = octets };

    *m = (struct dns_message){ .id = 0 };
    if (octets.n < HEAD)
        return false;
    m->id = (uint16_t)take(&r, 2);
    unsigned flags = take(&r, 2), questions = take(&r, 2), answers = take(&r, 2), authorities = take(&r, 2);
    skip(&r, 2);
    m->is_answer = (flags & 0x8000) != 0;
    m->is_truncated = (flags & 0x0200) != 0;
    m->rcode = flags & 15;
    if (questions != 1) {
        m->fault = "not one question";
        return true;
    }
    m->fault = read_name(&r, &m->name);
    m->type = (uint16_t)take(&r, 2);
    skip(&r, 2);
    if (m->fault == NULL && r.is_short)
        m->fault = "a question that does not end";
    if (m->is_answer && m->fault == NULL)
        read_answer(&r, m, answers, authorities);
    return true;
}

/* Lengths are below the letters, so whole names can be folded. */
bool dns_same_name(struct slice a, struct slice b)
{
    return slice_equal_nocase(a, b);
}

uint64_t dns_hash(uint64_t hash, struct slice name, uint16_t type)
{
    uint8_t folded[NAME_MOST + 2];
    size_t n = 0;

    for (; n < name.n && n < NAME_MOST; n++)
        folded[n] = name.p[n] >= 'A' && name.p[n] <= 'Z' ? (uint8_t)(name.p[n] | 0x20) : name.p[n];
    folded[n++] = (uint8_t)(type >> 8);
    folded[n++] = (uint8_t)type;
    return hash_octets(hash, (struct slice){ folded, n });
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

void dns_print(struct slice name, struct buffer *out)
{
    for (size_t at = 0; at < name.n && name.p[at] != 0;) {
        size_t end = at + 1 + name.p[at];
        if (at > 0)
            buffer_add(out, ".", 1);
        for (at++; at < end && at < name.n; at++)
            buffer_printf(out, is_plain(name.p[at]) ? "%c" : "\\%03u", name.p[at]);
    }
}
