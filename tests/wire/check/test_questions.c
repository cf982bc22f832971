/* Each invariant of the DNS wire on runs that keep it, that break it, and that leave it in doubt. */
#include "dns.h"
#include "stage.h"
#include "test.h"

#include <stdlib.h>

enum { TXT = 16, PTR = 12, USABLE = 0x8180, TRUNCATED = 0x8380, SERVFAIL = 0x8182 };

#define OPEN "north\n< 220 mx.local.example ESMTP\n> EHLO client.example\n< 250 mx.local.example\n"
#define MAIL "> MAIL FROM:<a@sender.example>\n< 250 2.1.0 Ok\n"
#define CLOSE "> QUIT\n< 221 2.0.0 Bye\ngateway closes north\nclient closes\n"
#define INI "[dns]\nservers = 192.0.2.53\n"

struct run {
    struct stage stage;
    struct capture east;
    struct buffer *payload[1024];
};

static struct endpoint end(uint8_t last, uint16_t port)
{
    return (struct endpoint){ { [10] = 0xFF, [11] = 0xFF, [12] = 192, [13] = 0, [14] = 2, [15] = last }, port };
}

static void begin(struct run *r, const char *script)
{
    *r = (struct run){ .east = { .n = 0 } };
    stage_begin(&r->stage);
    stage_config(&r->stage, INI);
    stage_play(&r->stage, script);
}

static struct packet *add(struct run *r, struct endpoint from, struct endpoint to, struct buffer payload)
{
    size_t i = r->east.n++;

    r->payload[i] = fresh(sizeof payload);
    *r->payload[i] = payload;
    r->east.packet = array_grow(r->east.packet, i, sizeof *r->east.packet);
    r->stage.clock += 100000;
    r->east.packet[i] = (struct packet){
        .frame = (uint32_t)i + 1, .time = r->stage.clock, .from = from, .to = to, .payload = buffer_slice(r->payload[i])
    };
    return &r->east.packet[i];
}

/* A DNS message: flags 0 is a query. One TXT record that holds for `ttl` seconds is in each good answer. */
static struct buffer message(unsigned id, unsigned flags, const char *name, unsigned type, uint32_t ttl)
{
    struct buffer b = { 0 };
    bool has_record = flags == USABLE;
    uint8_t head[12] = { (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(flags >> 8), (uint8_t)flags, 0, 1, 0, has_record };

    buffer_add(&b, head, sizeof head);
    while (*name != '\0') {
        size_t n = strcspn(name, ".");
        buffer_printf(&b, "%c", (int)n);
        buffer_add(&b, name, n);
        name += n + (name[n] == '.');
    }
    uint8_t question[5] = { 0, 0, (uint8_t)type, 0, 1 };
    buffer_add(&b, question, sizeof question);
    uint8_t record[14] = { 0xC0,
                           12,
                           0,
                           (uint8_t)type,
                           0,
                           1,
                           (uint8_t)(ttl >> 24),
                           (uint8_t)(ttl >> 16),
                           (uint8_t)(ttl >> 8),
                           (uint8_t)ttl,
                           0,
                           2,
                           1,
                           'x' };
    if (has_record)
        buffer_add(&b, record, sizeof record);
    return b;
}

static void ask_of(struct run *r, uint8_t server, unsigned id, const char *name, unsigned type)
{
    add(r, end(30, (uint16_t)(20000 + id)), end(server, 53), message(id, 0x0100, name, type, 0));
}

static void ask(struct run *r, unsigned id, const char *name)
{
    ask_of(r, 53, id, name, TXT);
}

static void tell(struct run *r, unsigned id, unsigned flags, const char *name, uint32_t ttl)
{
    add(r, end(53, 53), end(30, (uint16_t)(20000 + id)), message(id, flags, name, TXT, ttl));
}

/* The question by TCP, from port 1. */
static void ask_by_tcp(struct run *r, unsigned id, const char *name)
{
    struct buffer asked = message(id, 0x0100, name, TXT, 0), framed = { 0 };
    struct packet *p;

    buffer_printf(&framed, "%c%c", 0, (int)asked.n);
    buffer_add(&framed, asked.p, asked.n);
    buffer_free(&asked);
    for (int i = 0; i < 3; i++) {
        bool is_ours = i != 1;
        struct buffer payload = i == 2 ? framed : (struct buffer){ 0 };
        p = add(r, is_ours ? end(30, 1) : end(53, 53), is_ours ? end(53, 53) : end(30, 1), payload);
        p->is_tcp = true;
        p->flags = i == 0 ? TCP_SYN : i == 1 ? TCP_SYN | TCP_ACK : TCP_ACK;
        p->seq = i == 0 ? 100 : i == 1 ? 500 : 101;
        p->ack = i == 0 ? 0 : i == 1 ? 101 : 501;
        p->window = 1000;
    }
}

static void check(struct run *r, const char *id, size_t violated, size_t inconclusive)
{
    struct trial *t = (struct trial *)(uintptr_t)stage_trial(&r->stage);

    t->east = r->east; /* freed with the trial, but for the payloads */
    t->has_east = true;
    struct tally y = stage_judge(&r->stage, id);
    CHECK_EQ_INT(y.violated, violated);
    CHECK_EQ_INT(y.inconclusive, inconclusive);
    CHECK(violated == 0 || y.violation[0].evidence_n > 0);
    tally_free(&y);
    for (size_t i = 0; i < r->east.n; i++) {
        buffer_free(r->payload[i]);
        free(r->payload[i]);
    }
    free(r->east.packet);
    t->east = (struct capture){ .n = 0 };
    stage_free(&r->stage);
}

static void number_of_questions(void)
{
    static const struct {
        const char *label, *before, *after;
        int questions;
        size_t violated, inconclusive;
    } rows[] = {
        { "as many as allowed", OPEN MAIL, CLOSE, 256, 0, 0 },
        { "one more", OPEN MAIL, CLOSE, 257, 1, 0 },
        { "two transactions", OPEN MAIL "> RSET\n< 250 Ok\n" MAIL, CLOSE, 300, 0, 0 },
        { "two sessions at once", OPEN MAIL OPEN MAIL, CLOSE "north 1\n" CLOSE, 300, 0, 0 },
        { "a session that cannot be read", OPEN MAIL, "lost: client\n> RSET\n< 250 Ok\n" CLOSE, 300, 0, 1 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r;
        char name[40];
        CHECK_ROW(rows[i].label);
        begin(&r, rows[i].before);
        for (int k = 0; k < rows[i].questions; k++) {
            snprintf(name, sizeof name, "q%d.example", k);
            ask(&r, (unsigned)(k * 7919) % 40000, name);
        }
        ask(&r, 1, "Q0.example"); /* again: the same question, in other letters */
        stage_play(&r.stage, rows[i].after);
        check(&r, "D-1", rows[i].violated, rows[i].inconclusive);
    }
}

static void servers_and_ids(void)
{
    struct run r;
    char name[40];

    begin(&r, OPEN CLOSE);
    ask(&r, 5, "a.example");
    ask_of(&r, 53, 99, "b.example", TXT);
    check(&r, "D-2", 0, 0);
    begin(&r, OPEN CLOSE);
    ask_of(&r, 99, 5, "a.example", TXT);
    check(&r, "D-2", 1, 0);
    for (unsigned step = 1; step <= 7919; step += 7918) {
        CHECK_ROW(step == 1 ? "ids that count up" : "ids at random");
        begin(&r, OPEN CLOSE);
        for (unsigned k = 0; k < 200; k++) {
            snprintf(name, sizeof name, "q%u.example", k);
            ask(&r, 100 + k * step % 40000, name);
        }
        check(&r, "D-2", step == 1, 0);
    }
    CHECK_ROW("one port");
    begin(&r, OPEN CLOSE);
    for (unsigned k = 0; k < 40; k++) {
        snprintf(name, sizeof name, "q%u.example", k);
        add(&r, end(30, 5353), end(53, 53), message(k * 7919 % 65521, 0x0100, name, TXT, 0));
    }
    check(&r, "D-2", 1, 0);
}

static void names(void)
{
    static const uint8_t head[12] = { 1, 2, 1, 0, 0, 1 }, tail[5] = { 0, 0, 16, 0, 1 };
    static const struct {
        const char *label;
        uint8_t length, letter;
        int labels;
        size_t violated;
    } rows[] = {
        { "the longest label", 63, 'x', 1, 0 },
        { "a longer one", 64, 'x', 1, 1 },
        { "a NUL", 3, 0, 1, 1 },
        { "the longest name", 62, 'x', 4, 0 },
        { "a longer name", 50, 'x', 5, 1 },
        { "the root", 0, 'x', 0, 1 },
        { "a blank", 5, ' ', 2, 0 },
        { "a pointer", 0xC0, 'x', 1, 1 },
    };
    struct run r;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b = { 0 };
        CHECK_ROW(rows[i].label);
        begin(&r, OPEN CLOSE);
        buffer_add(&b, head, sizeof head);
        for (int k = 0; k < rows[i].labels; k++) {
            buffer_add(&b, &rows[i].length, 1);
            for (int n = 0; n < (rows[i].length & 63) + (rows[i].length == 64); n++)
                buffer_add(&b, &rows[i].letter, 1);
        }
        buffer_add(&b, tail, sizeof tail);
        add(&r, end(30, 7), end(53, 53), b);
        check(&r, "D-3", rows[i].violated, 0);
    }
    CHECK_ROW("cut");
    begin(&r, OPEN CLOSE);
    ask(&r, 5, "a.example");
    r.east.packet[0].cut = 10;
    check(&r, "D-3", 0, 1);
}

static void same_question(void)
{
    static const struct {
        const char *label, *between;
        unsigned flags;
        uint32_t ttl;
        size_t violated;
    } rows[] = {
        { "answered before", "", USABLE, 300, 1 },
        { "its time is over", "wait 400000\n", USABLE, 300, 0 },
        { "a failure", "", SERVFAIL, 0, 0 },
        { "another session", CLOSE OPEN, USABLE, 300, 0 },
        { "another session at once", OPEN, USABLE, 300, 0 },
        { "not to be kept", "", USABLE, 0, 0 },
        { "nothing that helps", "", 0x8183, 0, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r;
        CHECK_ROW(rows[i].label);
        begin(&r, OPEN MAIL);
        ask(&r, 5, "a.example");
        tell(&r, 5, rows[i].flags, "a.example", rows[i].ttl);
        stage_play(&r.stage, "wait 500\n");
        stage_play(&r.stage, rows[i].between);
        stage_play(&r.stage, "wait 500\n");
        ask(&r, 77, "a.example");
        stage_play(&r.stage, CLOSE);
        check(&r, "D-4", rows[i].violated, 0);
    }
}

static void truncated_answers(void)
{
    static const struct {
        const char *label, *after;
        bool is_fetched, goes_on;
        size_t violated, inconclusive;
    } rows[] = {
        { "fetched", "", true, false, 0, 0 },
        { "believed", "> DATA\n< 354 Go\n> a\n> .\n< 250 stored\n", false, false, 1, 0 },
        { "forgotten", "", false, true, 1, 0 },
        { "the capture ends", "", false, false, 0, 1 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r;
        CHECK_ROW(rows[i].label);
        begin(&r, OPEN MAIL "> RCPT TO:<b@local.example>\n< 250 Ok\n");
        ask(&r, 5, "a.example");
        tell(&r, 5, TRUNCATED, "a.example", 0);
        if (rows[i].is_fetched)
            ask_by_tcp(&r, 9, "a.example");
        stage_play(&r.stage, rows[i].after);
        if (rows[i].goes_on) {
            stage_play(&r.stage, "wait 3000\n");
            ask(&r, 6, "b.example");
        }
        check(&r, "D-5", rows[i].violated, rows[i].inconclusive);
    }
}

static void clients_turned_away(void)
{
    static const struct {
        const char *label, *before, *asked;
        unsigned type;
        size_t violated;
    } rows[] = {
        { "nothing is asked", "north\n< 421 4.7.0 Too many\n", NULL, 0, 0 },
        { "its name is", "north\n< 421 4.7.0 Too many\n", "1.2.0.192.in-addr.arpa", PTR, 1 },
        { "a list is", "north\n< 554 5.7.1 No\n", "1.2.0.192.list.example", 1, 0 },
        { "for another one, it may be", OPEN MAIL "north\n< 421 4.7.0 Too many\n", "a.example", TXT, 0 },
        { "a client that is let in", "north\n< 220 mx\n", "1.2.0.192.in-addr.arpa", PTR, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r;
        CHECK_ROW(rows[i].label);
        begin(&r, rows[i].before);
        if (rows[i].asked != NULL)
            ask_of(&r, 53, 5, rows[i].asked, rows[i].type);
        stage_play(&r.stage, "gateway closes north\nclient closes\n");
        check(&r, "D-7", rows[i].violated, 0);
    }
}

/* Whatever the octets are, reading them ends and stays within them. */
static void hostile_messages(void)
{
    struct buffer good = message(7, USABLE, "a.example", TXT, 300);
    struct dns_message m;

    for (size_t n = 0; n <= good.n; n++) {
        uint8_t *copy = fresh(n);
        memcpy(copy, good.p, n);
        dns_read(&m, (struct slice){ copy, n });
        CHECK(!m.is_usable || n == good.n);
        for (size_t i = 0; i < n; i++) {
            uint8_t was = copy[i];
            copy[i] = (uint8_t)(was ^ 0xFF);
            dns_read(&m, (struct slice){ copy, n });
            copy[i] = was;
        }
        free(copy);
    }
    buffer_free(&good);
}

static const struct test_case tests[] = {
    TEST(number_of_questions), TEST(servers_and_ids),  TEST(names), TEST(same_question), TEST(truncated_answers),
    TEST(clients_turned_away), TEST(hostile_messages),
};

TEST_MAIN(tests)
