/* Capture files, written here octet by octet: link types, IP headers, lengths that lie, and mutants of real
 * captures. */
#include "capture.h"
#include "flow.h"
#include "replay.h"

#include "test.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Writing captures --- */

static void put16(struct buffer *b, unsigned n)
{
    buffer_add(b, (uint8_t[]){ (uint8_t)(n >> 8), (uint8_t)n }, 2);
}

static void put32(struct buffer *b, uint32_t n)
{
    put16(b, n >> 16);
    put16(b, n & 0xffff);
}

static void put_slice(struct buffer *b, struct slice s)
{
    buffer_add(b, s.p, s.n);
}

/* pcap's head in network order: readers tell by the magic number. */
static void put_head(struct buffer *b, uint32_t magic, uint32_t link)
{
    put32(b, magic);
    put32(b, 0x00020004); /* version 2.4 */
    put32(b, 0);
    put32(b, 0);
    put32(b, 65535);
    put32(b, link);
}

static void put_record(struct buffer *b, struct slice frame, size_t wire)
{
    put32(b, 1700000000);
    put32(b, 123456);
    put32(b, (uint32_t)frame.n);
    put32(b, (uint32_t)wire);
    put_slice(b, frame);
}

static void put_tcp(struct buffer *b, const char *payload)
{
    put16(b, 40000);
    put16(b, 25);
    put32(b, 0x01020304);
    put32(b, 0x05060708);
    put16(b, 6u << 12 | 0x18); /* 24 octets of header, PSH and ACK */
    put16(b, 1234);
    put32(b, 0xdead0000); /* a wrong checksum */
    put32(b, 0x01010101); /* options */
    put_slice(b, slice_of(payload));
}

/* IPv4 with `options` octets of options; `total` 0: the right length. */
static void put_ipv4(struct buffer *b, size_t options, unsigned fragment, unsigned total, uint8_t protocol,
                     struct slice inner)
{
    put16(b, (unsigned)(0x4500 + (options / 4) * 0x100));
    put16(b, total ? total : (unsigned)(20 + options + inner.n));
    put16(b, 7);
    put16(b, fragment);
    put16(b, 0x4000u | protocol);
    put16(b, 0);
    put32(b, 0xc0000201);
    put32(b, 0xc6336401);
    for (size_t i = 0; i < options; i++)
        buffer_add(b, "\1", 1);
    put_slice(b, inner);
}

static void put_ipv6(struct buffer *b, uint8_t next, struct slice inner)
{
    put32(b, 0x60000000);
    put16(b, (unsigned)inner.n);
    put16(b, (unsigned)next << 8 | 64);
    put_slice(b, SLICE("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"));
    put_slice(b, SLICE("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"));
    put_slice(b, inner);
}

static void write_file(const char *path, struct slice s)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s.p, 1, s.n, f) != s.n)
        perror(path);
    if (f)
        fclose(f);
}

static const char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/wire_capture_%ld.pcap", (long)getpid());
    return path;
}

/* Reads a capture of one frame, of which the wire had `more` octets that the capture does not have. */
static struct capture read_one(uint32_t link, struct slice frame, size_t more)
{
    struct buffer file = { 0 };
    struct capture c;

    put_head(&file, 0xa1b2c3d4, link);
    put_record(&file, frame, frame.n + more);
    write_file(temporary(), buffer_slice(&file));
    buffer_free(&file);
    capture_read(&c, temporary(), false);
    unlink(temporary());
    return c;
}

static void check_payload(const struct capture *c, const char *want)
{
    CHECK_EQ_INT(c->n, 1);
    if (c->n == 1)
        CHECK_EQ_STR((const char *)c->packet->payload.p, c->packet->payload.n, want);
}

static void check_endpoint(const struct endpoint *e, const char *want)
{
    char text[ENDPOINT_TEXT];

    endpoint_print(e, text);
    CHECK_EQ_STR(text, strlen(text), want);
}

/* --- Link types --- */

static void reads_link_types(void)
{
    const struct {
        const char *name;
        uint32_t link;
        struct slice header;
        bool is_ipv6;
    } rows[] = {
        { "Ethernet", 1, SLICE("DDDDDDSSSSSS\x08\0"), false },
        { "Ethernet, IPv6", 1, SLICE("DDDDDDSSSSSS\x86\xdd"), true },
        { "VLAN", 1, SLICE("DDDDDDSSSSSS\x81\0\0\5\x08\0"), false },
        { "QinQ", 1, SLICE("DDDDDDSSSSSS\x88\xa8\0\5\x81\0\0\6\x86\xdd"), true },
        { "QinQ of old", 1, SLICE("DDDDDDSSSSSS\x91\0\0\5\x81\0\0\6\x08\0"), false },
        { "cooked", 113, SLICE("\0\0\0\1\0\6AAAAAA\0\0\x08\0"), false },
        { "cooked, VLAN", 113, SLICE("\0\0\0\1\0\6AAAAAA\0\0\x81\0\0\5\x08\0"), false },
        { "cooked v2", 276, SLICE("\x86\xdd\0\0\0\0\0\1\0\1\0\6AAAAAA\0\0"), true },
        { "raw, IPv4", 101, SLICE(""), false },
        { "raw, IPv6", 101, SLICE(""), true },
        { "IPv4", 228, SLICE(""), false },
        { "IPv6", 229, SLICE(""), true },
        { "null, little endian", 0, SLICE("\2\0\0\0"), false },
        { "null, big endian", 0, SLICE("\0\0\0\2"), false },
        { "null, IPv6 of macOS", 0, SLICE("\x1e\0\0\0"), true },
        { "loop, IPv6 of OpenBSD", 108, SLICE("\0\0\0\x18"), true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer frame = { 0 }, tcp = { 0 };
        CHECK_ROW(rows[i].name);
        put_slice(&frame, rows[i].header);
        put_tcp(&tcp, "hello");
        if (rows[i].is_ipv6)
            put_ipv6(&frame, 6, buffer_slice(&tcp));
        else
            put_ipv4(&frame, 0, 0, 0, 6, buffer_slice(&tcp));
        struct capture c = read_one(rows[i].link, buffer_slice(&frame), 0);
        check_payload(&c, "hello");
        if (c.n == 1) {
            const char *from = rows[i].is_ipv6 ? "[2001:db8::1]:40000" : "192.0.2.1:40000";
            const char *to = rows[i].is_ipv6 ? "[2001:db8::2]:25" : "198.51.100.1:25";
            check_endpoint(&c.packet->from, from);
            check_endpoint(&c.packet->to, to);
            CHECK_EQ_INT(c.packet->seq, 0x01020304);
            CHECK_EQ_INT(c.packet->ack, 0x05060708);
            CHECK_EQ_INT(c.packet->flags, TCP_ACK);
            CHECK_EQ_INT(c.packet->window, 1234);
            CHECK_EQ_INT(c.packet->frame, 1);
            CHECK(c.packet->is_tcp);
        }
        CHECK_EQ_INT(c.strange + c.cut + c.fragments, 0);
        capture_free(&c);
        buffer_free(&frame);
        buffer_free(&tcp);
    }
}

/* --- IP and TCP headers --- */

/* What is expected of a frame of raw IP. */
struct expected {
    const char *payload; /* NULL: no packet */
    size_t strange, cut, fragments;
};

static void check_frame(struct slice frame, size_t more, struct expected want)
{
    struct capture c = read_one(101, frame, more);

    CHECK_EQ_INT(c.frames, 1);
    if (want.payload)
        check_payload(&c, want.payload);
    else
        CHECK_EQ_INT(c.n, 0);
    CHECK_EQ_INT(c.strange, want.strange);
    CHECK_EQ_INT(c.cut, want.cut);
    CHECK_EQ_INT(c.fragments, want.fragments);
    capture_free(&c);
}

static void reads_ipv4(void)
{
    static const struct {
        const char *name;
        size_t options, padding;
        unsigned fragment, total;
        uint8_t protocol;
        struct expected want;
    } rows[] = {
        { "plain", 0, 0, 0, 0, 6, { "hello", 0, 0, 0 } },
        { "options", 40, 0, 0, 0, 6, { "hello", 0, 0, 0 } },
        { "don't fragment", 0, 0, 0x4000, 0, 6, { "hello", 0, 0, 0 } },
        { "padding of Ethernet", 0, 6, 0, 0, 6, { "hello", 0, 0, 0 } },
        { "first fragment", 0, 0, 0x2000, 0, 6, { NULL, 0, 0, 1 } },
        { "last fragment", 0, 0, 0x0003, 0, 6, { NULL, 0, 0, 1 } },
        { "longer than the frame", 0, 0, 0, 1000, 6, { NULL, 1, 0, 0 } },
        { "shorter than its header", 8, 0, 0, 27, 6, { NULL, 1, 0, 0 } },
        { "no room for TCP", 0, 0, 0, 39, 6, { NULL, 1, 0, 0 } },
        { "no room for TCP's options", 0, 0, 0, 43, 6, { NULL, 1, 0, 0 } },
        { "no payload", 0, 0, 0, 44, 6, { "", 0, 0, 0 } },
        { "ICMP", 0, 0, 0, 0, 1, { NULL, 0, 0, 0 } },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer frame = { 0 }, tcp = { 0 };
        CHECK_ROW(rows[i].name);
        put_tcp(&tcp, "hello");
        put_ipv4(&frame, rows[i].options, rows[i].fragment, rows[i].total, rows[i].protocol, buffer_slice(&tcp));
        buffer_add(&frame, "\0\0\0\0\0\0", rows[i].padding);
        check_frame(buffer_slice(&frame), 0, rows[i].want);
        buffer_free(&frame);
        buffer_free(&tcp);
    }
}

/* A packet of more than 64 kB that was handed to the card whole has no length in its header. */
static void reads_big_tcp(void)
{
    struct buffer frame = { 0 }, tcp = { 0 };

    put_tcp(&tcp, "hello");
    put_ipv4(&frame, 0, 0, 0, 6, buffer_slice(&tcp));
    frame.p[2] = frame.p[3] = 0;
    check_frame(buffer_slice(&frame), 0, (struct expected){ "hello", 0, 0, 0 });
    buffer_free(&frame);
    buffer_free(&tcp);
}

static void reads_ipv6(void)
{
    const struct {
        const char *name;
        uint8_t next;
        struct slice extensions;
        struct expected want;
    } rows[] = {
        { "plain", 6, SLICE(""), { "hello", 0, 0, 0 } },
        { "hop by hop, routing, destination",
          0,
          SLICE("\x2b\0\1\4\0\0\0\0\x3c\0\0\0\0\0\0\0\6\1OOOOOOOOOOOOOO"),
          { "hello", 0, 0, 0 } },
        { "authentication", 51, SLICE("\6\4\0\0SSSSNNNNIIIIIIIIIIII"), { "hello", 0, 0, 0 } },
        { "atomic fragment", 44, SLICE("\6\0\0\0\0\0\0\1"), { "hello", 0, 0, 0 } },
        { "first fragment", 44, SLICE("\6\0\0\1\0\0\0\1"), { NULL, 0, 0, 1 } },
        { "later fragment", 44, SLICE("\6\0\0\x08\0\0\0\1"), { NULL, 0, 0, 1 } },
        { "extension beyond the end", 60, SLICE("\6\xff\0\0\0\0\0\0"), { NULL, 1, 0, 0 } },
        { "encrypted", 50, SLICE("SSSSNNNN"), { NULL, 0, 0, 0 } },
        { "no next header", 59, SLICE(""), { NULL, 0, 0, 0 } },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer frame = { 0 }, inner = { 0 };
        CHECK_ROW(rows[i].name);
        put_slice(&inner, rows[i].extensions);
        put_tcp(&inner, "hello");
        put_ipv6(&frame, rows[i].next, buffer_slice(&inner));
        buffer_add(&frame, "\0\0", 2); /* padding */
        check_frame(buffer_slice(&frame), 0, rows[i].want);
        buffer_free(&frame);
        buffer_free(&inner);
    }
}

static void reads_udp(void)
{
    const struct {
        const char *name;
        struct slice udp;
        struct expected want;
    } rows[] = {
        { "plain", SLICE("\0\x35\x9c\x40\0\x0d\0\0query"), { "query", 0, 0, 0 } },
        { "octets behind it", SLICE("\0\x35\x9c\x40\0\x0b\0\0query"), { "que", 0, 0, 0 } },
        { "too long", SLICE("\0\x35\x9c\x40\0\xff\0\0query"), { NULL, 1, 0, 0 } },
        { "shorter than its header", SLICE("\0\x35\x9c\x40\0\7\0\0query"), { NULL, 1, 0, 0 } },
        { "no header", SLICE("\0\x35"), { NULL, 1, 0, 0 } },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer frame = { 0 };
        CHECK_ROW(rows[i].name);
        put_ipv4(&frame, 0, 0, 0, 17, rows[i].udp);
        check_frame(buffer_slice(&frame), 0, rows[i].want);
        buffer_free(&frame);
    }
}

/* Cut at every octet by the snap length: counted each time, and the payload that is there is there. */
static void counts_what_is_cut(void)
{
    static const char payload[] = "hello";
    struct buffer frame = { 0 }, tcp = { 0 };

    put_tcp(&tcp, payload);
    put_ipv4(&frame, 0, 0, 0, 6, buffer_slice(&tcp));
    for (size_t held = 0; held < frame.n; held++) {
        char row[32];
        snprintf(row, sizeof row, "%zu octets", held);
        CHECK_ROW(row);
        struct capture c = read_one(101, slice_part(buffer_slice(&frame), 0, held), frame.n - held);
        CHECK_EQ_INT(c.cut, 1);
        CHECK_EQ_INT(c.strange, 0);
        CHECK_EQ_INT(c.n, held >= 40);
        if (c.n) {
            CHECK_EQ_INT(c.packet->payload.n, held > 44 ? held - 44 : 0);
            CHECK_EQ_INT(c.packet->payload.n + c.packet->cut, sizeof payload - 1);
        }
        capture_free(&c);
    }
    buffer_free(&frame);
    buffer_free(&tcp);
}

/* --- Files --- */

static void keeps_nanoseconds(void)
{
    static const struct {
        uint32_t magic;
        int64_t want;
    } rows[] = {
        { 0xa1b2c3d4, 1700000000123456000 },
        { 0xa1b23c4d, 1700000000000123456 },
    };

    for (size_t i = 0; i < 2; i++) {
        struct buffer file = { 0 }, frame = { 0 };
        struct capture c;
        put_ipv4(&frame, 0, 0, 0, 17, SLICE("\0\x35\x9c\x40\0\x08\0\0"));
        put_head(&file, rows[i].magic, 101);
        put_record(&file, buffer_slice(&frame), frame.n);
        write_file(temporary(), buffer_slice(&file));
        capture_read(&c, temporary(), false);
        CHECK_EQ_INT(c.n, 1);
        CHECK_EQ_INT(c.packet->time, rows[i].want);
        capture_free(&c);
        buffer_free(&file);
        buffer_free(&frame);
    }
    unlink(temporary());
}

/* What wirereplay would make of these connections. */
static void make_scripts(const struct flows *f)
{
    static const struct mapping mapping = { "helo.example", "local.example", NULL };

    for (size_t i = 0; i < f->n; i++) {
        struct script script;
        struct buffer message = { 0 };
        script_make(&script, f->connection[i].stream, true, &mapping);
        for (size_t k = 0; k < script.item_n; k++)
            if (script.item[k].ends_message)
                script_message(&message, &script, k);
        buffer_free(&message);
        script_free(&script);
    }
}

/* Reads a capture in a child, as that may end the program. Returns its wait status. */
static int status_of_reading(const char *path, bool may_end_early)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct capture c;
        struct flows f;
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        capture_read(&c, path, may_end_early);
        flows_read(&f, &c, 0);
        make_scripts(&f);
        flows_free(&f);
        capture_free(&c);
        _exit(0); /* no look for leaks a thousand times over */
    }
    waitpid(child, &status, 0);
    return status;
}

static void refuses_what_is_no_capture(void)
{
    const struct {
        const char *name;
        struct slice file;
        bool may_end_early;
        int want;
    } rows[] = {
        { "empty", SLICE(""), true, 65 },
        { "no capture", SLICE("220 mail.example ESMTP, and some more text\r\n"), true, 65 },
        { "ends in its head", SLICE("\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0"), true, 65 },
        { "no packets", SLICE("\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x65"), false, 0 },
        { "Bluetooth", SLICE("\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\xbb"), false, 65 },
        { "ends in a record",
          SLICE("\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x65\0\0\0\0\0\0\0\0\0\0\0\1"), false, 65 },
        { "may end in a record",
          SLICE("\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x65\0\0\0\0\0\0\0\0\0\0\0\1"), true, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].name);
        write_file(temporary(), rows[i].file);
        int status = status_of_reading(temporary(), rows[i].may_end_early);
        CHECK(WIFEXITED(status));
        CHECK_EQ_INT(WEXITSTATUS(status), rows[i].want);
    }
    unlink(temporary());
    CHECK_ROW("no file");
    CHECK_EQ_INT(WEXITSTATUS(status_of_reading("/nowhere/at/all.pcap", false)), 66);
}

static void counts_an_early_end(void)
{
    struct buffer file = { 0 }, frame = { 0 };
    struct capture c;

    put_ipv4(&frame, 0, 0, 0, 17, SLICE("\0\x35\x9c\x40\0\x08\0\0"));
    put_head(&file, 0xa1b2c3d4, 101);
    put_record(&file, buffer_slice(&frame), frame.n);
    put_record(&file, buffer_slice(&frame), frame.n);
    write_file(temporary(), slice_part(buffer_slice(&file), 0, file.n - 1));
    capture_read(&c, temporary(), true);
    CHECK_EQ_INT(c.n, 1);
    CHECK_EQ_INT(c.strange, 1);
    capture_free(&c);
    buffer_free(&file);
    buffer_free(&frame);
    unlink(temporary());
}

/* --- Endpoints --- */

static void parses_endpoints(void)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        { "192.0.2.1:25", "192.0.2.1:25" },
        { "192.0.2.1", "192.0.2.1:0" },
        { "[2001:db8::1]:25", "[2001:db8::1]:25" },
        { "[2001:db8::1]", "[2001:db8::1]:0" },
        { "2001:db8::1", "[2001:db8::1]:0" },
        { "::", "[::]:0" },
        { "::ffff:192.0.2.1", "192.0.2.1:0" },
        { "192.0.2.1:65535", "192.0.2.1:65535" },
        { "192.0.2.1:65536", NULL },
        { "192.0.2.1:", NULL },
        { "192.0.2.1:-1", NULL },
        { "192.0.2.1:2x", NULL },
        { "192.0.2:25", NULL },
        { "[2001:db8::1", NULL },
        { "[2001:db8::1]25", NULL },
        { "[2001:db8::1]:", NULL },
        { "mail.example:25", NULL },
        { "", NULL },
        { "2001:0db8:0000:0000:0000:0000:0000:0001:0000:0000:0000", NULL },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint e;
        CHECK_ROW(rows[i].text);
        bool ok = endpoint_parse(&e, slice_of(rows[i].text));
        CHECK_EQ_INT(ok, rows[i].want != NULL);
        if (ok && rows[i].want)
            check_endpoint(&e, rows[i].want);
    }
}

/* --- Real captures, and mutants of them --- */

/* Where captures of others lie: in POSTERN_SHARED, or in ../shared beside the project. */
static void suite_path(char path[600], const char *name)
{
    const char *shared = getenv("POSTERN_SHARED");
    snprintf(path, 600, "%s/suites/pcap/%s", shared ? shared : "../shared", name);
}

/* xorshift: the mutants are the same in each run. */
static uint32_t chance(void)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static struct buffer read_file(const char *path)
{
    struct buffer b = { 0 };
    uint8_t block[4096];
    size_t n;
    FILE *f = fopen(path, "rb");

    while (f && (n = fread(block, 1, sizeof block, f)) > 0)
        buffer_add(&b, block, n);
    if (f)
        fclose(f);
    return b;
}

/* Some octets changed, most of them in headers, and sometimes the end cut off. */
static void mutate(struct buffer *b)
{
    size_t changes = 1 + chance() % 20;

    for (size_t i = 0; i < changes && b->n > 24; i++)
        b->p[24 + chance() % (b->n - 24)] = (uint8_t)(chance() % 3 ? chance() : chance() % 2 * 0xff);
    if (chance() % 4 == 0)
        b->n = chance() % (b->n + 1);
}

/* A mutant may be read or refused with 65; anything else is a crash, or what a sanitizer ends with. */
static bool survives(const struct buffer *original)
{
    struct buffer mutant = { 0 };

    buffer_add(&mutant, original->p, original->n);
    mutate(&mutant);
    write_file(temporary(), buffer_slice(&mutant));
    int status = status_of_reading(temporary(), true);
    bool ok = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 65);
    if (!ok)
        write_file("/tmp/wire_capture_crash.pcap", buffer_slice(&mutant));
    buffer_free(&mutant);
    return ok;
}

static bool is_capture(const char *name)
{
    size_t n = strlen(name);
    return (n > 5 && strcmp(name + n - 5, ".pcap") == 0) || (n > 7 && strcmp(name + n - 7, ".pcapng") == 0);
}

static void survives_mutants(void)
{
    enum { MUTANTS = TEST_LESS(40) }; /* of each file: a process each, some hundreds */
    char path[600];
    suite_path(path, "");
    DIR *folder = opendir(path);
    if (!folder)
        SKIP("no captures in ../shared/suites/pcap");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!is_capture(entry->d_name))
            continue;
        suite_path(path, entry->d_name);
        CHECK_ROW(entry->d_name);
        CHECK_EQ_INT(status_of_reading(path, false), 0);
        struct buffer original = read_file(path);
        for (int i = 0; i < MUTANTS; i++)
            CHECK(survives(&original));
        buffer_free(&original);
    }
    closedir(folder);
    unlink(temporary());
}

/* Real captures. Complete streams were compared with tshark's (follow,tcp,raw) octet by octet when these numbers
 * were written down; where a stream has a hole, tshark goes on behind it and we do not. */
static void reads_real_captures(void)
{
    static const struct {
        const char *name;
        size_t frames, connections, doubtful, octets[2];
    } rows[] = {
        { "nDPI__emotet.pcap", 169, 6, 0, { 17972, 71884 } },
        { "nDPI__smtp-starttls.pcap", 69, 2, 1, { 2018, 6724 } },
        { "nDPI__smtp.pcap", 95, 1, 0, { 16527, 1428 } },
        { "nDPI__smtps.pcapng", 4, 1, 0, { 517, 179 } },
        { "zeek__communityid_ipv6.pcap", 17, 1, 0, { 6, 244 } },
        { "zeek__http_connect-with-smtp.pcap", 30, 1, 0, { 1685, 223 } },
        { "zeek__smtp-attachment-msg.pcap", 17, 1, 1, { 688, 0 } },
        { "zeek__smtp-mail-transactions-invalid.pcap", 76, 1, 0, { 349, 887 } },
        { "zeek__smtp-multi-addr.pcap", 21, 1, 0, { 801, 583 } },
        { "zeek__smtp-one-side-only.pcap", 19, 1, 1, { 18530, 0 } },
        { "zeek__smtp.pcap", 125, 6, 3, { 18678, 4438 } },
        { "zeek__smtp_rfc3030-bdat-0-last.pcap", 26, 1, 0, { 89, 284 } },
        { "zeek__smtp_rfc3030-bdat-example1.pcap", 28, 1, 0, { 176, 285 } },
        { "zeek__smtp_rfc3030-bdat-multipart-chunked.pcap", 184, 1, 0, { 3811, 937 } },
        { "zeek__smtp_rfc3030-bdat-multipart.pcap", 30, 1, 0, { 3552, 287 } },
        { "zeek__smtp_rfc3030-bdat-nonascii.pcap", 22, 1, 0, { 706, 118 } },
        { "zeek__smtp_smtp-bdat-cmd-chunk-size-overflow.pcap", 22, 1, 0, { 109, 261 } },
        { "zeek__smtp_smtp-bdat-cmd-chunk-size-overflow2.pcap", 22, 1, 0, { 110, 261 } },
        { "zeek__smtp_smtp-bdat-cmd-invalid.pcapng", 66, 3, 0, { 269, 783 } },
        { "zeek__smtp_smtp-bdat-cmd-negative-chunk-size.pcap", 22, 1, 0, { 91, 261 } },
        { "zeek__smtp_smtp-bdat-gap.pcap", 40, 1, 1, { 200, 180 } },
        { "zeek__smtp_smtp-bdat-pipeline-8bitmime.pcap", 33, 1, 0, { 13461, 504 } },
        { "zeek__tls_smtp-starttls.pcap", 37, 1, 0, { 823, 4804 } },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[600];
        struct capture c;
        struct flows f;
        suite_path(path, rows[i].name);
        if (access(path, R_OK) != 0)
            SKIP("no captures in ../shared/suites/pcap");
        CHECK_ROW(rows[i].name);
        capture_read(&c, path, false);
        flows_read(&f, &c, 0);
        size_t doubtful = 0, octets[2] = { 0 };
        for (size_t k = 0; k < f.n; k++) {
            doubtful += f.connection[k].doubt != NULL;
            for (enum side side = CLIENT; side <= SERVER; side++)
                octets[side] += f.connection[k].stream[side].octets.n;
        }
        CHECK_EQ_INT(c.frames, rows[i].frames);
        CHECK_EQ_INT(f.n, rows[i].connections);
        CHECK_EQ_INT(doubtful, rows[i].doubtful);
        CHECK_EQ_INT(octets[CLIENT], rows[i].octets[CLIENT]);
        CHECK_EQ_INT(octets[SERVER], rows[i].octets[SERVER]);
        flows_free(&f);
        capture_free(&c);
    }
}

static const struct test_case tests[] = {
    TEST(reads_link_types),    TEST(reads_ipv4),         TEST(reads_big_tcp),       TEST(reads_ipv6),
    TEST(reads_udp),           TEST(counts_what_is_cut), TEST(keeps_nanoseconds),   TEST(refuses_what_is_no_capture),
    TEST(counts_an_early_end), TEST(parses_endpoints),   TEST(reads_real_captures), TEST(survives_mutants),
};
TEST_MAIN(tests)
