/* Puts TCP connections together. See flow.h.
 *
 * In three passes, none of which a hostile capture can make slow:
 * 1. Each packet finds its connection in a hash table (keyed by chance, so that nobody can write a capture that
 *    fills one bucket). Sequence numbers become offsets into what that side sent; SYN, FIN, RST and the highest ACK
 *    are noted.
 * 2. The segments of a side, sorted by offset, are swept from the left: each octet belongs to the segment that came
 *    first in the file. The sweep ends at the first octet that no segment has: O(n log n), whatever overlaps.
 * 3. Each segment is compared with the stream: a retransmission must say the same. O(octets captured).
 *
 * What a real host would have taken from overlapping segments depends on the host; so the oracle does not choose,
 * it doubts. TCP checksums are not looked at (capture.c says why): a damaged segment that the receiver dropped
 * looks like one with other octets than its retransmission, and that is doubt, too. */
#include "flow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A packet's payload as a place in a side's stream: [at, at + payload), of which cut octets follow. */
struct segment {
    int64_t at; /* may be before 0: from before the capture's start */
    size_t packet;
};

/* What one side sent, while it is being gathered. Offsets count from the octet behind the SYN. */
struct half {
    bool has_base, has_syn, has_fin;
    uint32_t base;   /* sequence number of offset 0 */
    int64_t highest; /* behind the last octet seen, cut ones included */
    int64_t acked;   /* what the other side has acknowledged */
    int64_t fin_at;
    struct segment *segment;
    size_t segment_n;
    size_t packets;
};

enum { NOBODY = -1 };

struct assembly {
    struct connection c;
    struct half half[2];
    bool is_over;     /* FIN or RST was seen: a new SYN is a new connection */
    bool is_replaced; /* its 4-tuple belongs to another one now */
    uint64_t hash;
    ptrdiff_t next; /* in its bucket */
};

struct table {
    struct assembly *assembly;
    size_t n;
    ptrdiff_t *bucket; /* heads, NOBODY for none */
    size_t buckets;    /* a power of two */
    uint64_t key[2];
};

/* --- Doubts: the first one is kept, in words that say which side's octets it is about --- */

enum doubt {
    DOUBT_START,
    DOUBT_REUSED,
    DOUBT_SYN,
    DOUBT_AFTER_RST,
    DOUBT_RST,
    DOUBT_FIN,
    DOUBT_ACK,
    DOUBT_CUT,
    DOUBT_HOLE,
    DOUBT_OTHER
};

static void doubt(struct connection *c, enum doubt why, enum side side)
{
    static const char *const words[][2] = {
        [DOUBT_START] = { "its start was not captured", "its start was not captured" },
        [DOUBT_REUSED] = { "its addresses and ports are used again, and its end was not captured",
                           "its addresses and ports are used again, and its end was not captured" },
        [DOUBT_SYN] = { "the client's SYNs do not agree", "the server's SYNs do not agree" },
        [DOUBT_AFTER_RST] = { "the client goes on after its own RST", "the server goes on after its own RST" },
        [DOUBT_RST] = { "the client sent an RST with a sequence number out of place",
                        "the server sent an RST with a sequence number out of place" },
        [DOUBT_FIN] = { "the client sent octets behind its FIN", "the server sent octets behind its FIN" },
        [DOUBT_ACK] = { "the server acknowledged octets of the client that the capture does not have",
                        "the client acknowledged octets of the server that the capture does not have" },
        [DOUBT_CUT] = { "the snap length has cut a packet of the client",
                        "the snap length has cut a packet of the server" },
        [DOUBT_HOLE] = { "octets of the client are missing", "octets of the server are missing" },
        [DOUBT_OTHER] = { "the client repeated a segment with other octets in it",
                          "the server repeated a segment with other octets in it" },
    };

    if (!c->doubt)
        c->doubt = words[why][side];
}

/* --- The table of connections --- */

/* MurmurHash's end: each bit of the number reaches each bit of the result. */
static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

static uint64_t hash_endpoint(const struct table *t, const struct endpoint *e)
{
    uint64_t half[2];

    memcpy(half, e->address, sizeof half);
    return mix(mix(mix(half[0] ^ t->key[0]) ^ half[1]) ^ t->key[1] ^ e->port);
}

/* The same for both directions. */
static uint64_t hash_packet(const struct table *t, const struct packet *p)
{
    return hash_endpoint(t, &p->from) + hash_endpoint(t, &p->to);
}

static void put_into_bucket(struct table *t, size_t i)
{
    ptrdiff_t *head = &t->bucket[t->assembly[i].hash & (t->buckets - 1)];
    t->assembly[i].next = *head;
    *head = (ptrdiff_t)i;
}

static void grow_table(struct table *t)
{
    free(t->bucket);
    t->buckets = t->buckets ? t->buckets * 2 : 1024;
    t->bucket = fresh(t->buckets * sizeof *t->bucket);
    for (size_t i = 0; i < t->buckets; i++)
        t->bucket[i] = NOBODY;
    for (size_t i = 0; i < t->n; i++)
        if (!t->assembly[i].is_replaced)
            put_into_bucket(t, i);
}

/* Where the table has the number of this packet's connection; the end of its bucket when there is none. */
static ptrdiff_t *find(struct table *t, const struct packet *p, uint64_t hash)
{
    ptrdiff_t *link = &t->bucket[hash & (t->buckets - 1)];
    for (; *link != NOBODY; link = &t->assembly[*link].next) {
        const struct endpoint *end = t->assembly[*link].c.end;
        if ((endpoint_equal(&end[0], &p->from) && endpoint_equal(&end[1], &p->to)) ||
            (endpoint_equal(&end[1], &p->from) && endpoint_equal(&end[0], &p->to)))
            break;
    }
    return link;
}

/* --- Pass 1: packets to connections --- */

static bool is_syn(const struct packet *p)
{
    return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

static bool is_syn_ack(const struct packet *p)
{
    return (p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK);
}

/* Who calls whom: a SYN tells. Without one, the port that was asked for is the called one, else the lower one. */
static enum side sender_of_first(const struct packet *p, uint16_t port)
{
    if (is_syn(p))
        return CLIENT;
    if (is_syn_ack(p))
        return SERVER;
    if (port != 0 && (p->from.port == port) != (p->to.port == port))
        return p->from.port == port ? SERVER : CLIENT;
    return p->from.port < p->to.port ? SERVER : CLIENT;
}

static struct assembly *new_assembly(struct table *t, const struct packet *p, uint64_t hash, enum side sender)
{
    t->assembly = array_grow(t->assembly, t->n, sizeof *t->assembly);
    struct assembly *a = &t->assembly[t->n++];
    *a = (struct assembly){ .hash = hash, .next = NOBODY };
    a->c.end[sender] = p->from;
    a->c.end[!sender] = p->to;
    a->c.frame = p->frame;
    a->c.time = a->c.last_time = p->time;
    return a;
}

static enum side side_of(const struct connection *c, const struct packet *p)
{
    return endpoint_equal(&c->end[CLIENT], &p->from) ? CLIENT : SERVER;
}

/* Whether this SYN opens another connection than the one that has its 4-tuple. The same SYN once more does not, and
 * neither does a SYN-ACK that answers the SYN we have. */
static bool opens_another(struct assembly *a, const struct packet *p)
{
    const struct half *h = &a->half[side_of(&a->c, p)], *other = &a->half[!side_of(&a->c, p)];

    if (is_syn(p))
        return h->has_base ? h->base != p->seq + 1 : !other->has_syn || a->is_over;
    return is_syn_ack(p) && a->is_over && h->has_base && h->base != p->seq + 1;
}

/* The 4-tuple's place in the table goes to the new connection; the old one moves to the end. */
static struct assembly *replace(struct table *t, size_t place, const struct packet *p)
{
    struct assembly *fresh_one = new_assembly(t, p, t->assembly[place].hash, sender_of_first(p, 0));
    struct assembly *old = &t->assembly[place], swapped = *old;

    fresh_one->next = old->next;
    *old = *fresh_one;
    *fresh_one = swapped;
    fresh_one->is_replaced = true;
    if (!swapped.is_over && swapped.half[SERVER].packets > 0)
        doubt(&fresh_one->c, DOUBT_REUSED, CLIENT);
    return old;
}

static struct assembly *connection_of(struct table *t, const struct packet *p, uint16_t port)
{
    uint64_t hash = hash_packet(t, p);

    if (t->n >= t->buckets)
        grow_table(t);
    ptrdiff_t found = *find(t, p, hash);
    if (found == NOBODY) {
        struct assembly *a = new_assembly(t, p, hash, sender_of_first(p, port));
        put_into_bucket(t, t->n - 1);
        return a;
    }
    struct assembly *old = &t->assembly[found];
    return opens_another(old, p) ? replace(t, (size_t)found, p) : old;
}

/* The offset of a sequence number: of all that it may mean, the one nearest to the highest octet seen (they wrap at
 * 2^32). */
static int64_t offset_of(const struct half *h, uint32_t seq)
{
    return h->highest + (int32_t)(seq - (h->base + (uint32_t)h->highest));
}

static void set_base(struct half *h, uint32_t seq)
{
    h->has_base = true;
    h->base = seq;
    h->highest = h->acked = 0;
}

static void note_syn(struct assembly *a, enum side side, const struct packet *p)
{
    struct half *h = &a->half[side];
    bool is_open =
        h->segment_n == 0 && !h->has_fin && h->acked <= 0; /* another SYN-ACK may replace the one that was lost */

    if (!h->has_base || (is_open && h->base != p->seq + 1))
        set_base(h, p->seq + 1);
    if (h->base != p->seq + 1) {
        doubt(&a->c, DOUBT_SYN, side);
        return;
    }
    if (!h->has_syn && side == SERVER)
        a->c.accepted_time = p->time;
    h->has_syn = true;
}

static void note_ack(struct half *acked, uint32_t ack)
{
    if (!acked->has_base)
        set_base(acked, ack);
    int64_t at = offset_of(acked, ack);
    if (at > acked->acked)
        acked->acked = at;
}

static void note_end(struct assembly *a, enum side side, const struct packet *p)
{
    struct stream *s = &a->c.stream[side];

    a->is_over = true;
    if (s->end_frame == 0) {
        s->end_frame = p->frame;
        s->end_time = p->time;
    }
}

/* An RST out of the window is one that the receiver drops (RFC 5961 3); where the window was is more than we know. */
static void note_rst(struct assembly *a, enum side side, const struct packet *p)
{
    struct half *h = &a->half[side];

    if (h->has_base) {
        int64_t at = offset_of(h, p->seq);
        if (at < -1 || at > h->highest + 1) {
            doubt(&a->c, DOUBT_RST, side);
            return;
        }
    }
    a->c.stream[side].is_reset = true;
    note_end(a, side, p);
}

static void note_payload(struct assembly *a, enum side side, const struct packet *p, int64_t at, size_t index)
{
    struct half *h = &a->half[side];
    size_t n = p->payload.n + p->cut;
    int64_t end = at + (int64_t)n;

    if (end <= 0 && h->has_syn) /* a keepalive probe's octet in the place of the SYN, or something long gone */
        return;
    if (n == 1 && end == h->highest &&
        end <= h->acked) /* a keepalive probe: its octet may be anything (RFC 1122 4.2.3.6) */
        return;
    if (h->has_fin && end > h->fin_at)
        doubt(&a->c, DOUBT_FIN, side);
    if (a->c.stream[side].is_reset && end > h->highest)
        doubt(&a->c, DOUBT_AFTER_RST, side);
    if (p->cut)
        doubt(&a->c, DOUBT_CUT, side);
    h->segment = array_grow(h->segment, h->segment_n, sizeof *h->segment);
    h->segment[h->segment_n++] = (struct segment){ .at = at, .packet = index };
    if (end > h->highest)
        h->highest = end;
}

static void note_fin(struct assembly *a, enum side side, const struct packet *p, int64_t at)
{
    struct half *h = &a->half[side];

    if (at < h->highest || (h->has_fin && at != h->fin_at))
        doubt(&a->c, DOUBT_FIN, side);
    if (at > h->highest)
        h->highest = at;
    if (!h->has_fin) {
        h->has_fin = true;
        h->fin_at = at;
    }
    note_end(a, side, p);
}

static void note_packet(struct assembly *a, const struct packet *p, size_t index)
{
    enum side side = side_of(&a->c, p);
    struct half *h = &a->half[side];

    a->c.packets++;
    h->packets++;
    if (p->time > a->c.last_time)
        a->c.last_time = p->time;
    if (p->flags & TCP_RST) { /* its ACK means nothing, its payload is a remark (RFC 9293 3.5.2) */
        note_rst(a, side, p);
        return;
    }
    if (p->flags & TCP_SYN)
        note_syn(a, side, p);
    if (p->flags & TCP_ACK)
        note_ack(&a->half[!side], p->ack);
    uint32_t seq = p->seq + (p->flags & TCP_SYN ? 1 : 0);
    if (!h->has_base)
        set_base(h, seq);
    int64_t at = offset_of(h, seq);
    if (p->payload.n + p->cut > 0)
        note_payload(a, side, p, at, index);
    if (p->flags & TCP_FIN)
        note_fin(a, side, p, at + (int64_t)(p->payload.n + p->cut));
}

static void sort_packets_out(struct table *t, const struct capture *c, uint16_t port)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct packet *p = &c->packet[i];
        if (!p->is_tcp || (port != 0 && p->from.port != port && p->to.port != port))
            continue;
        struct assembly *a = connection_of(t, p, port);
        if (port == 0 || a->c.end[SERVER].port == port)
            note_packet(a, p, i);
    }
}

/* --- Pass 2: segments to a stream --- */

static int by_place(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->packet < y->packet ? -1 : x->packet > y->packet;
}

static void sort_segments(struct half *h)
{
    for (size_t i = 1; i < h->segment_n; i++)
        if (by_place(&h->segment[i - 1], &h->segment[i]) > 0) {
            qsort(h->segment, h->segment_n, sizeof *h->segment, by_place);
            return;
        }
}

/* The segments that begin at or before the sweep's place: a heap with the one on top that came first. */
struct heap {
    const struct segment **segment;
    size_t n;
};

static void heap_swap(struct heap *heap, size_t i, size_t j)
{
    const struct segment *s = heap->segment[i];
    heap->segment[i] = heap->segment[j];
    heap->segment[j] = s;
}

static bool heap_is_before(const struct heap *heap, size_t i, size_t j)
{
    return heap->segment[i]->packet < heap->segment[j]->packet;
}

static void heap_push(struct heap *heap, const struct segment *s)
{
    size_t i = heap->n;

    heap->segment = array_grow(heap->segment, heap->n, sizeof(const struct segment *));
    heap->segment[heap->n++] = s;
    for (; i > 0 && heap_is_before(heap, i, (i - 1) / 2); i = (i - 1) / 2)
        heap_swap(heap, i, (i - 1) / 2);
}

static void heap_pop(struct heap *heap)
{
    heap_swap(heap, 0, --heap->n);
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap->n; child++)
            if (heap_is_before(heap, child, least))
                least = child;
        if (least == i)
            return;
        heap_swap(heap, i, least);
        i = least;
    }
}

static int64_t segment_end(const struct capture *c, const struct segment *s)
{
    return s->at + (int64_t)c->packet[s->packet].payload.n;
}

/* Octets from the stream's end up to `to` are this segment's. */
static void stream_add(struct stream *s, const struct capture *c, const struct segment *from, int64_t to)
{
    const struct packet *p = &c->packet[from->packet];
    size_t at = s->octets.n, offset = (size_t)((int64_t)at - from->at);

    buffer_add(&s->octets, p->payload.p + offset, (size_t)to - at);
    if (s->span_n && s->span[s->span_n - 1].frame == p->frame)
        return; /* the sweep stopped on the way for a segment that came later */
    s->span = array_grow(s->span, s->span_n, sizeof *s->span);
    s->span[s->span_n++] = (struct span){ .at = at, .frame = p->frame, .time = p->time };
}

static void sweep(struct stream *s, const struct half *h, const struct capture *c)
{
    struct heap heap = { 0 };

    for (size_t next = 0;;) {
        int64_t at = (int64_t)s->octets.n;
        for (; next < h->segment_n && h->segment[next].at <= at; next++)
            heap_push(&heap, &h->segment[next]);
        while (heap.n && segment_end(c, heap.segment[0]) <= at)
            heap_pop(&heap);
        if (!heap.n)
            break; /* the end, or a hole */
        int64_t to = segment_end(c, heap.segment[0]);
        if (next < h->segment_n && h->segment[next].at < to)
            to = h->segment[next].at;
        stream_add(s, c, heap.segment[0], to);
    }
    free(heap.segment);
}

/* --- Pass 3: does every segment say the same? --- */

static bool agrees(const struct stream *s, const struct capture *c, const struct segment *segment)
{
    int64_t from = segment->at < 0 ? 0 : segment->at, to = segment_end(c, segment);

    if (to > (int64_t)s->octets.n)
        to = (int64_t)s->octets.n;
    if (from >= to)
        return true;
    const uint8_t *octets = c->packet[segment->packet].payload.p + (from - segment->at);
    return memcmp(octets, s->octets.p + from, (size_t)(to - from)) == 0;
}

/* Gives back the room that growing has left over: with hundreds of thousands of streams it is a gigabyte. */
static void trim(struct buffer *b)
{
    uint8_t *p = b->n ? realloc(b->p, b->n) : NULL;

    if (p) {
        b->p = p;
        b->size = b->n;
    }
}

static void finish_stream(struct connection *c, enum side side, struct half *h, const struct capture *capture)
{
    struct stream *s = &c->stream[side];

    sort_segments(h);
    sweep(s, h, capture);
    trim(&s->octets);
    for (size_t i = 0; i < h->segment_n; i++)
        if (!agrees(s, capture, &h->segment[i]))
            doubt(c, DOUBT_OTHER, side);
    int64_t n = (int64_t)s->octets.n;
    bool is_acked_beyond = h->acked > n + (h->has_fin && h->fin_at == n);
    s->has_hole = n < h->highest || is_acked_beyond;
    if (n < h->highest)
        doubt(c, DOUBT_HOLE, side);
    else if (is_acked_beyond)
        doubt(c, DOUBT_ACK, side);
    s->is_ended = h->has_fin && !s->has_hole && n == h->fin_at;
}

static void finish(struct assembly *a, const struct capture *capture)
{
    const struct half *client = &a->half[CLIENT], *server = &a->half[SERVER];
    struct connection *c = &a->c;

    c->has_start = client->has_syn && server->has_syn;
    c->is_refused = client->has_syn && !server->has_syn && !server->segment_n && !client->segment_n &&
                    (c->stream[SERVER].is_reset || !server->has_base); /* with data, the answer to the SYN was missed */
    if (!c->is_refused) {
        if (!c->has_start) {
            c->doubt = NULL; /* before all others */
            doubt(c, DOUBT_START, CLIENT);
        }
        for (enum side side = CLIENT; side <= SERVER; side++)
            finish_stream(c, side, &a->half[side], capture);
    }
    free(a->half[CLIENT].segment);
    free(a->half[SERVER].segment);
}

/* --- All of it --- */

static int by_start(const void *a, const void *b)
{
    const struct connection *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

void flows_read(struct flows *f, const struct capture *c, uint16_t port)
{
    struct table t = { 0 };

    *f = (struct flows){ 0 };
    if (getrandom(t.key, sizeof t.key, 0) != (ssize_t)sizeof t.key)
        die(70, "no random numbers");
    sort_packets_out(&t, c, port);
    for (size_t i = 0; i < t.n; i++) {
        if (port != 0 && t.assembly[i].c.end[SERVER].port != port)
            continue; /* nothing was gathered for it */
        finish(&t.assembly[i], c);
        f->connection = array_grow(f->connection, f->n, sizeof *f->connection);
        f->connection[f->n++] = t.assembly[i].c;
    }
    if (f->n)
        qsort(f->connection, f->n, sizeof *f->connection, by_start);
    free(t.assembly);
    free(t.bucket);
}

void flows_free(struct flows *f)
{
    for (size_t i = 0; i < f->n; i++)
        for (enum side side = CLIENT; side <= SERVER; side++) {
            buffer_free(&f->connection[i].stream[side].octets);
            free(f->connection[i].stream[side].span);
        }
    free(f->connection);
    *f = (struct flows){ 0 };
}

const struct span *stream_span(const struct stream *s, size_t at)
{
    size_t low = 0, high = s->span_n; /* the last span with span.at <= at: the first one is at 0 */

    if (!s->span_n)
        return NULL;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->span[middle].at <= at)
            low = middle;
        else
            high = middle;
    }
    return &s->span[low];
}

int64_t stream_end(const struct stream *s)
{
    return s->is_ended || s->is_reset ? s->end_time : INT64_MAX;
}
