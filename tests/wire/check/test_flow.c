/* Connections put together from packets that came in order, twice, late, never, or with a lie in them. */
#include "flow.h"

#include "test.h"

#include <stdlib.h>
#include <time.h>

/* A capture made by hand. Sequence numbers count from each side's SYN (0), which starts at `isn`. */
struct wire {
    struct capture c;
    uint32_t isn[2];
    struct endpoint end[2];
};

static struct wire wire_new(void)
{
    struct wire w = { .isn = { 1000, 500000 } };

    endpoint_parse(&w.end[CLIENT], slice_of("192.0.2.1:40000"));
    endpoint_parse(&w.end[SERVER], slice_of("[2001:db8::1]:25"));
    return w;
}

static struct packet *say_octets(struct wire *w, enum side side, int flags, uint32_t seq, uint32_t ack,
                                 struct slice payload)
{
    struct packet p = { .is_tcp = true, .flags = (uint8_t)flags, .payload = payload };

    p.frame = (uint32_t)++w->c.frames;
    p.time = 1000 * (int64_t)p.frame;
    p.from = w->end[side];
    p.to = w->end[!side];
    p.seq = w->isn[side] + seq;
    p.ack = flags & TCP_ACK ? w->isn[!side] + ack : 0;
    w->c.packet = array_grow(w->c.packet, w->c.n, sizeof *w->c.packet);
    w->c.packet[w->c.n] = p;
    return &w->c.packet[w->c.n++];
}

static struct packet *say(struct wire *w, enum side side, int flags, uint32_t seq, uint32_t ack, const char *text)
{
    return say_octets(w, side, flags, seq, ack, slice_of(text));
}

static void shake_hands(struct wire *w)
{
    say(w, CLIENT, TCP_SYN, 0, 0, "");
    say(w, SERVER, TCP_SYN | TCP_ACK, 0, 1, "");
    say(w, CLIENT, TCP_ACK, 1, 1, "");
}

static struct flows read_wire(struct wire *w)
{
    struct flows f;

    flows_read(&f, &w->c, 0);
    return f;
}

static void done(struct wire *w, struct flows *f)
{
    flows_free(f);
    free(w->c.packet);
}

static void check_octets(const struct stream *s, const char *want)
{
    CHECK_EQ_STR((const char *)s->octets.p, s->octets.n, want);
}

static void check_doubt(const struct connection *c, const char *want)
{
    const char *doubt = c->doubt ? c->doubt : "none";
    CHECK_EQ_STR(doubt, strlen(doubt), want);
}

/* "at:frame at:frame ..." of all spans. */
static void check_spans(const struct stream *s, const char *want)
{
    struct buffer b = { 0 };

    for (size_t i = 0; i < s->span_n; i++) {
        buffer_printf(&b, "%s%zu:%u", i ? " " : "", s->span[i].at, s->span[i].frame);
        CHECK_EQ_INT(s->span[i].time, 1000 * (int64_t)s->span[i].frame);
    }
    CHECK_EQ_STR((const char *)b.p, b.n, want);
    buffer_free(&b);
}

static void reads_a_whole_connection(void)
{
    struct wire w = wire_new();

    shake_hands(&w);
    say(&w, SERVER, TCP_ACK, 1, 1, "220 hi\r\n");
    say(&w, CLIENT, TCP_ACK, 1, 9, "QU");
    say(&w, CLIENT, TCP_ACK, 3, 9, "IT\r\n");
    say(&w, SERVER, TCP_ACK | TCP_FIN, 9, 7, "221 bye\r\n");
    say(&w, CLIENT, TCP_ACK | TCP_FIN, 7, 19, "");
    say(&w, SERVER, TCP_ACK, 19, 8, "");
    struct flows f = read_wire(&w);
    CHECK_EQ_INT(f.n, 1);
    struct connection *c = &f.connection[0];
    CHECK(c->has_start && !c->is_refused);
    check_doubt(c, "none");
    CHECK(endpoint_equal(&c->end[CLIENT], &w.end[CLIENT]) && endpoint_equal(&c->end[SERVER], &w.end[SERVER]));
    CHECK_EQ_INT(c->frame, 1);
    CHECK_EQ_INT(c->time, 1000);
    CHECK_EQ_INT(c->accepted_time, 2000);
    CHECK_EQ_INT(c->last_time, 9000);
    CHECK_EQ_INT(c->packets, 9);
    check_octets(&c->stream[CLIENT], "QUIT\r\n");
    check_octets(&c->stream[SERVER], "220 hi\r\n221 bye\r\n");
    check_spans(&c->stream[CLIENT], "0:5 2:6");
    check_spans(&c->stream[SERVER], "0:4 8:7");
    CHECK(c->stream[CLIENT].is_ended && c->stream[SERVER].is_ended);
    CHECK_EQ_INT(c->stream[CLIENT].end_frame, 8);
    CHECK_EQ_INT(c->stream[SERVER].end_frame, 7);
    CHECK_EQ_INT(c->stream[SERVER].end_time, 7000);
    CHECK(!c->stream[CLIENT].has_hole && !c->stream[CLIENT].is_reset);
    CHECK_EQ_INT(stream_span(&c->stream[CLIENT], 1)->frame, 5);
    CHECK_EQ_INT(stream_span(&c->stream[CLIENT], 2)->frame, 6);
    CHECK_EQ_INT(stream_span(&c->stream[CLIENT], 6)->frame, 6);
    done(&w, &f);
}

/* What the client sends behind the handshake, and what becomes of it. Data frames are 4, 5, ... */
static void judges_segments(void)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct {
            uint32_t seq;
            const char *text;
            int flags;
        } sent[6];
        uint32_t acked; /* by the server, at the end; 0: as much as is there */
        const char *octets, *spans, *doubt;
        bool has_hole, is_ended;
    } rows[] = {
        { "retransmission", { { 1, "abc", 0 }, { 1, "abc", 0 }, { 4, "d", 0 } }, 0, "abcd", "0:4 3:6", "none", false,
          false },
        { "longer retransmission", { { 1, "abc", 0 }, { 1, "abcde", 0 } }, 0, "abcde", "0:4 3:5", "none", false,
          false },
        { "out of order", { { 4, "def", 0 }, { 1, "abc", 0 } }, 0, "abcdef", "0:5 3:4", "none", false, false },
        { "the first wins", { { 3, "cd", 0 }, { 1, "abcdef", 0 } }, 0, "abcdef", "0:5 2:4 4:5", "none", false,
          false },
        { "the first stays", { { 1, "abcdef", 0 }, { 3, "cd", 0 } }, 0, "abcdef", "0:4", "none", false, false },
        { "other octets", { { 1, "abc", 0 }, { 1, "abX", 0 } }, 0, "abc", "0:4",
          "the client repeated a segment with other octets in it", false, false },
        { "other octets, overlapping", { { 4, "def", 0 }, { 1, "abcX", 0 } }, 0, "abcdef", "0:5 3:4",
          "the client repeated a segment with other octets in it", false, false },
        { "hole", { { 1, "abc", 0 }, { 5, "e", 0 } }, 0, "abc", "0:4", "octets of the client are missing", true,
          false },
        { "hole in front", { { 2, "bc", 0 } }, 0, "", "", "octets of the client are missing", true, false },
        { "hole before FIN", { { 1, "abc", 0 }, { 5, "", TCP_FIN } }, 0, "abc", "0:4",
          "octets of the client are missing", true, false },
        { "acknowledged but never seen", { { 1, "abc", 0 } }, 9, "abc", "0:4",
          "the server acknowledged octets of the client that the capture does not have", true, false },
        { "nothing seen, all acknowledged", { { 0 } }, 9, "", "",
          "the server acknowledged octets of the client that the capture does not have", true, false },
        { "FIN and its acknowledgement", { { 1, "abc", TCP_FIN } }, 5, "abc", "0:4", "none", false, true },
        { "FIN before its octets", { { 4, "", TCP_FIN }, { 1, "abc", 0 } }, 5, "abc", "0:5", "none", false, true },
        { "octets behind FIN", { { 1, "abc", TCP_FIN }, { 4, "d", 0 } }, 0, "abcd", "0:4 3:5",
          "the client sent octets behind its FIN", false, false },
        { "FIN twice", { { 1, "abc", TCP_FIN }, { 4, "", TCP_FIN } }, 5, "abc", "0:4", "none", false, true },
        { "FIN twice, elsewhere", { { 1, "abc", TCP_FIN }, { 3, "", TCP_FIN } }, 0, "abc", "0:4",
          "the client sent octets behind its FIN", false, true },
        { "keepalive in the SYN's place", { { 0, "?", 0 }, { 1, "abc", 0 } }, 0, "abc", "0:5", "none", false, false },
        { "old octet in front", { { 0, "?abc", 0 } }, 0, "abc", "0:4", "none", false, false },
        { "RST", { { 1, "abc", 0 }, { 4, "reason", TCP_RST } }, 0, "abc", "0:4", "none", false, false },
        { "RST out of place", { { 1, "abc", 0 }, { 4000, "", TCP_RST } }, 0, "abc", "0:4",
          "the client sent an RST with a sequence number out of place", false, false },
        { "goes on after RST", { { 1, "abc", TCP_RST }, { 1, "d", 0 } }, 0, "d", "0:5",
          "the client goes on after its own RST", false, false },
        { "far away", { { 1, "abc", 0 }, { 0x7fffff00, "x", 0 }, { 4, "def", 0 } }, 0, "abcdef", "0:4 3:6",
          "octets of the client are missing", true, false },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wire w = wire_new();
        CHECK_ROW(rows[i].name);
        w.isn[CLIENT] = i % 2 ? 1000 : UINT32_MAX - 2; /* in every second row sequence numbers wrap */
        shake_hands(&w);
        for (size_t k = 0; k < 6 && rows[i].sent[k].text; k++)
            say(&w, CLIENT, TCP_ACK | rows[i].sent[k].flags, rows[i].sent[k].seq, 1, rows[i].sent[k].text);
        if (rows[i].acked)
            say(&w, SERVER, TCP_ACK, 1, rows[i].acked, "");
        struct flows f = read_wire(&w);
        CHECK_EQ_INT(f.n, 1);
        check_octets(&f.connection->stream[CLIENT], rows[i].octets);
        check_spans(&f.connection->stream[CLIENT], rows[i].spans);
        check_doubt(f.connection, rows[i].doubt);
        CHECK_EQ_INT(f.connection->stream[CLIENT].has_hole, rows[i].has_hole);
        CHECK_EQ_INT(f.connection->stream[CLIENT].is_ended, rows[i].is_ended);
        done(&w, &f);
    }
}

/* A keepalive probe repeats the last octet, with anything in it (RFC 1122 4.2.3.6), once it was acknowledged. */
static void knows_a_keepalive(void)
{
    for (int is_acked = 0; is_acked < 2; is_acked++) {
        struct wire w = wire_new();
        shake_hands(&w);
        say(&w, CLIENT, TCP_ACK, 1, 1, "abc");
        if (is_acked)
            say(&w, SERVER, TCP_ACK, 1, 4, "");
        say(&w, CLIENT, TCP_ACK, 3, 1, "?");
        struct flows f = read_wire(&w);
        check_octets(&f.connection->stream[CLIENT], "abc");
        check_doubt(f.connection, is_acked ? "none" : "the client repeated a segment with other octets in it");
        done(&w, &f);
    }
}

static void takes_data_with_syn(void)
{
    struct wire w = wire_new();

    say(&w, CLIENT, TCP_SYN, 0, 0, "EHLO"); /* TCP fast open; sent again, as the server did not take it */
    say(&w, SERVER, TCP_SYN | TCP_ACK, 0, 1, "");
    say(&w, CLIENT, TCP_ACK, 1, 1, "EHLO a");
    struct flows f = read_wire(&w);
    check_octets(&f.connection->stream[CLIENT], "EHLO a");
    check_spans(&f.connection->stream[CLIENT], "0:1 4:3");
    check_doubt(f.connection, "none");
    done(&w, &f);
}

/* A SYN-ACK that never arrived may be followed by one with another number; once octets were sent it is too late for
 * that. */
static void takes_another_syn_ack(void)
{
    for (int is_late = 0; is_late < 2; is_late++) {
        struct wire w = wire_new();
        say(&w, CLIENT, TCP_SYN, 0, 0, "");
        say(&w, SERVER, TCP_SYN | TCP_ACK, 0, 1, "");
        if (is_late)
            say(&w, SERVER, TCP_ACK, 1, 1, "220\r\n");
        w.isn[SERVER] += 12345;
        say(&w, SERVER, TCP_SYN | TCP_ACK, 0, 1, "");
        if (!is_late)
            say(&w, SERVER, TCP_ACK, 1, 1, "220\r\n");
        struct flows f = read_wire(&w);
        CHECK_EQ_INT(f.n, 1);
        CHECK_EQ_INT(f.connection->accepted_time, 2000);
        check_octets(&f.connection->stream[SERVER], "220\r\n");
        check_doubt(f.connection, is_late ? "the server's SYNs do not agree" : "none");
        done(&w, &f);
    }
}

/* A capture of all interfaces sees a packet where it comes in and where it goes out. */
static void takes_every_packet_twice(void)
{
    static const struct {
        enum side side;
        int flags;
        uint32_t seq, ack;
        const char *text;
    } sent[] = {
        { CLIENT, TCP_SYN, 0, 0, "" },           { SERVER, TCP_SYN | TCP_ACK, 0, 1, "" },
        { SERVER, TCP_ACK, 1, 1, "220\r\n" },    { CLIENT, TCP_ACK | TCP_FIN, 1, 6, "QUIT\r\n" },
        { SERVER, TCP_ACK | TCP_FIN, 6, 8, "" }, { SERVER, TCP_RST, 7, 0, "" },
    };
    struct wire w = wire_new();

    for (size_t i = 0; i < 2 * sizeof sent / sizeof *sent; i++)
        say(&w, sent[i / 2].side, sent[i / 2].flags, sent[i / 2].seq, sent[i / 2].ack, sent[i / 2].text);
    struct flows f = read_wire(&w);
    CHECK_EQ_INT(f.n, 1);
    check_doubt(f.connection, "none");
    check_octets(&f.connection->stream[CLIENT], "QUIT\r\n");
    check_octets(&f.connection->stream[SERVER], "220\r\n");
    CHECK(f.connection->stream[SERVER].is_reset);
    done(&w, &f);
}

static void doubts_a_cut_packet(void)
{
    struct wire w = wire_new();

    shake_hands(&w);
    say(&w, CLIENT, TCP_ACK, 1, 1, "abc")->cut = 3;
    say(&w, CLIENT, TCP_ACK, 7, 1, "gh");
    struct flows f = read_wire(&w);
    check_octets(&f.connection->stream[CLIENT], "abc");
    check_doubt(f.connection, "the snap length has cut a packet of the client");
    CHECK(f.connection->stream[CLIENT].has_hole);
    done(&w, &f);
}

static void doubts_a_missing_start(void)
{
    struct wire w = wire_new();

    say(&w, SERVER, TCP_ACK, 100, 50, "250 ok\r\n");
    say(&w, CLIENT, TCP_ACK, 50, 108, "QUIT\r\n");
    struct flows f = read_wire(&w);
    CHECK_EQ_INT(f.n, 1);
    CHECK(endpoint_equal(&f.connection->end[SERVER], &w.end[SERVER])); /* by its lower port */
    CHECK(!f.connection->has_start && !f.connection->is_refused);
    check_doubt(f.connection, "its start was not captured");
    check_octets(&f.connection->stream[CLIENT], "QUIT\r\n");
    check_octets(&f.connection->stream[SERVER], "250 ok\r\n");
    done(&w, &f);
}

/* The SYN-ACK alone, and one side alone, are no start either. */
static void doubts_half_a_start(void)
{
    struct wire w = wire_new();

    say(&w, SERVER, TCP_SYN | TCP_ACK, 0, 1, "");
    say(&w, CLIENT, TCP_ACK, 1, 1, "a");
    struct flows f = read_wire(&w);
    CHECK(endpoint_equal(&f.connection->end[SERVER], &w.end[SERVER]));
    check_doubt(f.connection, "its start was not captured");
    done(&w, &f);

    w = wire_new();
    say(&w, CLIENT, TCP_SYN, 0, 0, "");
    say(&w, CLIENT, TCP_ACK, 1, 1, "");
    say(&w, CLIENT, TCP_ACK, 1, 20, "a");
    f = read_wire(&w);
    CHECK(!f.connection->is_refused);
    check_doubt(f.connection, "its start was not captured");
    check_octets(&f.connection->stream[CLIENT], "a");
    CHECK(f.connection->stream[SERVER].has_hole);
    done(&w, &f);
}

static void tells_refused_from_silent(void)
{
    struct wire w = wire_new();

    say(&w, CLIENT, TCP_SYN, 0, 0, "");
    say(&w, SERVER, TCP_RST | TCP_ACK, 0, 1, "");
    w.end[CLIENT].port++;
    say(&w, CLIENT, TCP_SYN, 0, 0, "");
    say(&w, CLIENT, TCP_SYN, 0, 0, "");
    w.end[CLIENT].port++;
    shake_hands(&w); /* accepted, and then nothing */
    w.end[CLIENT].port++;
    say(&w, CLIENT, TCP_SYN, 0, 0, ""); /* one direction only: who speaks was not refused */
    say(&w, CLIENT, TCP_ACK, 1, 1, "EHLO x");
    struct flows f = read_wire(&w);
    CHECK_EQ_INT(f.n, 4);
    CHECK(!f.connection[3].is_refused);
    check_doubt(&f.connection[3], "its start was not captured");
    f.n = 3;
    CHECK(f.connection[0].is_refused && f.connection[0].stream[SERVER].is_reset);
    CHECK(f.connection[1].is_refused && !f.connection[1].stream[SERVER].is_reset);
    CHECK(!f.connection[2].is_refused && f.connection[2].has_start);
    for (size_t i = 0; i < f.n; i++)
        check_doubt(&f.connection[i], "none");
    f.n = 4;
    done(&w, &f);
}

/* The same ports again: after FIN, after RST, after silence, and in the midst of a connection. */
static void tells_connections_of_a_tuple(void)
{
    struct wire w = wire_new();

    shake_hands(&w);
    say(&w, CLIENT, TCP_ACK | TCP_FIN, 1, 1, "one");
    say(&w, SERVER, TCP_ACK | TCP_FIN, 1, 5, "");
    say(&w, CLIENT, TCP_ACK, 5, 2, "");
    w.isn[CLIENT] += 70000;
    w.isn[SERVER] += 3000000;
    shake_hands(&w);
    say(&w, CLIENT, TCP_ACK, 1, 1, "two");
    say(&w, SERVER, TCP_RST, 1, 0, "");
    w.isn[CLIENT] += 70000;
    say(&w, CLIENT, TCP_SYN, 0, 0, "");
    w.isn[CLIENT] += 70000;
    shake_hands(&w);
    say(&w, CLIENT, TCP_ACK, 1, 1, "four");
    w.isn[CLIENT] += 70000;
    w.isn[SERVER] += 3000000;
    shake_hands(&w);
    say(&w, CLIENT, TCP_ACK, 1, 1, "five");
    struct flows f = read_wire(&w);
    static const char *const texts[] = { "one", "two", "", "four", "five" };
    CHECK_EQ_INT(f.n, 5);
    for (size_t i = 0; i < f.n && i < 5; i++) {
        CHECK_ROW(texts[i]);
        check_octets(&f.connection[i].stream[CLIENT], texts[i]);
        check_doubt(&f.connection[i],
                    i == 3 ? "its addresses and ports are used again, and its end was not captured" : "none");
        CHECK_EQ_INT(f.connection[i].is_refused, i == 2);
    }
    CHECK(f.connection[0].stream[CLIENT].is_ended && f.connection[0].stream[SERVER].is_ended);
    CHECK(f.connection[1].stream[SERVER].is_reset);
    done(&w, &f);
}

static void chooses_by_port(void)
{
    struct wire w = wire_new();

    shake_hands(&w);
    w.end[SERVER].port = 2525;
    shake_hands(&w);
    say(&w, SERVER, TCP_ACK, 1, 1, "220\r\n");
    w.end[SERVER].port = 3000; /* called from port 2525 */
    w.end[CLIENT].port = 2525;
    shake_hands(&w);
    say(&w, SERVER, TCP_ACK, 1, 1, "no\r\n");
    struct flows f;
    flows_read(&f, &w.c, 2525);
    CHECK_EQ_INT(f.n, 1);
    CHECK_EQ_INT(f.connection->end[SERVER].port, 2525);
    check_octets(&f.connection->stream[SERVER], "220\r\n");
    done(&w, &f);
}

static void reads_nothing(void)
{
    struct wire w = wire_new();
    struct stream empty = { 0 };
    struct flows f = read_wire(&w);

    CHECK_EQ_INT(f.n, 0);
    CHECK(stream_span(&empty, 0) == NULL);
    done(&w, &f);
}

/* A stream of 5 GB passes 2^32 once and more: here in steps of 64 kB of the same octets, three quarters of which
 * are cut. */
static void counts_beyond_a_wrap(void)
{
    static uint8_t block[1024];
    struct wire w = wire_new();
    uint32_t seq = 1;

    shake_hands(&w);
    for (size_t i = 0; i < 80000; i++, seq += 65536)
        say_octets(&w, CLIENT, TCP_ACK, seq, 1, (struct slice){ block, sizeof block })->cut = 65536 - sizeof block;
    struct flows f = read_wire(&w);
    CHECK_EQ_INT(f.connection->stream[CLIENT].octets.n, sizeof block);
    CHECK(f.connection->stream[CLIENT].has_hole);
    done(&w, &f);
}

/* Time that hostile captures take: they are made so that an assembler with a list of segments needs n * n steps. A
 * quadratic one would need minutes for these. */
static void stays_fast(void)
{
    enum { N = TEST_LESS(200000) };
    static uint8_t block[64];

    for (int shape = 0; shape < 4; shape++) {
        struct wire w = wire_new();
        shake_hands(&w);
        for (uint32_t i = 0; i < N; i++) {
            uint32_t at = shape == 0 ? N - i : shape == 1 ? 1 + 2 * (N - i) : shape == 2 ? 1 + i % 7 : 1 + i;
            if (shape == 3) { /* as many connections on one 4-tuple */
                w.isn[CLIENT] += 100000;
                say(&w, CLIENT, TCP_SYN, 0, 0, "");
            } else
                say_octets(&w, CLIENT, TCP_ACK, at, 1, (struct slice){ block, sizeof block });
        }
        clock_t start = clock();
        struct flows f = read_wire(&w);
        CHECK((clock() - start) / CLOCKS_PER_SEC < 20);
        CHECK_EQ_INT(f.n, shape == 3 ? N + 1 : 1);
        if (shape == 0)
            CHECK_EQ_INT(f.connection->stream[CLIENT].octets.n, N + sizeof block - 1);
        done(&w, &f);
    }
}

static const struct test_case tests[] = {
    TEST(reads_a_whole_connection),
    TEST(judges_segments),
    TEST(knows_a_keepalive),
    TEST(takes_data_with_syn),
    TEST(takes_another_syn_ack),
    TEST(takes_every_packet_twice),
    TEST(doubts_a_cut_packet),
    TEST(doubts_a_missing_start),
    TEST(doubts_half_a_start),
    TEST(tells_refused_from_silent),
    TEST(tells_connections_of_a_tuple),
    TEST(chooses_by_port),
    TEST(reads_nothing),
    TEST(counts_beyond_a_wrap),
    TEST(stays_fast),
};
TEST_MAIN(tests)
