/* The ring of records and its text: what goes in comes out, and the oldest make room. */
#include "../../proxy/record.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

enum { RING = 4096, TEXT = 1 << 20 };

static struct fact table[8];
static char memory[4096];
static struct facts facts;

static struct record_rcpt rcpt[12];

static struct record_entry plain_entry(void)
{
    struct record_entry e = {
        .id = STR("4KQ2T7XJ3WZ5M"),
        .number = 1,
        .time = 1795348800,
        .helo = STR("mail.example.net"),
        .is_esmtp = true,
        .mail_from = STR("a@example.net"),
        .rcpt = rcpt,
        .rcpts = 1,
        .rcpts_all = 1,
        .size = 300,
        .has_header = true,
        .header = STR("From: a@example.net\r\nSubject: hi\r\n"),
        .verdict = { .action = ACTION_REJECT, .code = 550, .enhanced = "5.7.26", .check = "dmarc" },
    };

    for (size_t i = 0; i < 12; i++)
        rcpt[i] = (struct record_rcpt){ STR("v@local.example"), RECORD_RCPT_ACCEPTED };
    CHECK(endpoint_parse(STR("192.0.2.1:40112"), 0, &e.client));
    return e;
}

/* All of a ring, as it is written to a file. */
static struct str dumped(const struct record_ring *ring, char room[TEXT])
{
    int fd = memfd_create("records", 0);
    size_t n = 0;
    ssize_t got;

    CHECK(fd >= 0 && record_dump(ring, fd, &n));
    CHECK_EQ_INT(n, record_ring_counts(ring).kept);
    got = pread(fd, room, TEXT, 0);
    close(fd);
    return str_from(room, got > 0 ? (size_t)got : 0);
}

static const char *read_one(struct str text, struct record *record)
{
    size_t line = 1;

    return text.n > 0 ? record_read(&text, &line, record) : "nothing there";
}

static char text_room[TEXT];
static struct record record;

static void what_goes_in_comes_out(void)
{
    struct record_ring *ring = record_ring_new(10, RING);
    struct record_entry e = plain_entry();
    struct str value = STR("v=spf1 \"quoted\" \\ \x01 -all");

    facts_init(&facts, table, 8, memory, sizeof memory);
    facts_answer(&facts, (struct question){ ASK_TXT, STR("example.net") }, FACT_OK, &value, 1);
    e.facts = &facts;
    e.is_tls = e.is_smtputf8 = e.talked_early = e.pipelined = true;
    rcpt[0].fate = RECORD_RCPT_REFUSED;
    rcpt[0].text = STR("\xc3\xbc@local.example");
    e.helo = STR("a \"b\\\x7f");
    record_add(ring, &e);
    CHECK(read_one(dumped(ring, text_room), &record) == NULL);
    CHECK_EQ_STR(record.id.p, record.id.n, "4KQ2T7XJ3WZ5M");
    CHECK_EQ_INT(record.time, 1795348800);
    CHECK_EQ_INT(record.client.port, 40112);
    CHECK(record.is_esmtp && record.is_tls && record.is_smtputf8 && !record.is_authenticated);
    CHECK(record.talked_early && record.pipelined);
    CHECK_EQ_STR(record.helo.p, record.helo.n, "a \"b\\\x7f");
    CHECK_EQ_STR(record.mail_from.text.p, record.mail_from.text.n, "a@example.net");
    CHECK_EQ_STR(record.rcpt[0].text.p, record.rcpt[0].text.n, "\xc3\xbc@local.example");
    CHECK_EQ_INT(record.fate[0], RECORD_RCPT_REFUSED);
    CHECK_EQ_INT(record.size, 300);
    CHECK(record.action == ACTION_REJECT && record.code == 550);
    CHECK_EQ_STR(record.enhanced.p, record.enhanced.n, "5.7.26");
    CHECK_EQ_STR(record.check.p, record.check.n, "dmarc");
    CHECK_EQ_STR(record.facts.p, record.facts.n, "TXT example.net OK \"v=spf1 \\\"quoted\\\" \\\\ \\x01 -all\"\n");
    CHECK_EQ_STR(record.header.p, record.header.n, "From: a@example.net\r\nSubject: hi\r\n");
    record_ring_free(ring);
}

static void a_header_may_hold_anything(void)
{
    struct record_ring *ring = record_ring_new(10, RING);
    struct record_entry e = plain_entry();

    e.header = str_from("end\nrecord 1\n\0\xff\r\n", 17);
    record_add(ring, &e);
    record_add(ring, &e);
    CHECK(read_one(dumped(ring, text_room), &record) == NULL);
    CHECK(str_eq(record.header, e.header));
    record_ring_free(ring);
}

static void a_message_that_never_came_has_no_header(void)
{
    struct record_ring *ring = record_ring_new(10, RING);
    struct record_entry e = plain_entry();

    e.has_header = false;
    e.mail_from = STR("");
    e.rcpts = e.rcpts_all = 0;
    record_add(ring, &e);
    CHECK(read_one(dumped(ring, text_room), &record) == NULL);
    CHECK(!record.has_header && record.mail_from.is_null && record.rcpts == 0);
    record_ring_free(ring);
}

static void recipients_beyond_ten_are_counted_alone(void)
{
    struct record_ring *ring = record_ring_new(10, RING);
    struct record_entry e = plain_entry();

    e.rcpts = 12;
    e.rcpts_all = 40;
    record_add(ring, &e);
    CHECK(read_one(dumped(ring, text_room), &record) == NULL);
    CHECK_EQ_INT(record.rcpts, 10);
    CHECK_EQ_INT(record.rcpts_all, 40);
    record_ring_free(ring);
}

/* The numbers of the records in a ring, which must be `n` up to `last` without a gap. */
static void check_numbers(const struct record_ring *ring, unsigned last)
{
    struct str rest = dumped(ring, text_room);
    size_t n = record_ring_counts(ring).kept, line = 1;

    for (unsigned number = last - (unsigned)n + 1; number <= last; number++) {
        CHECK(rest.n > 0 && record_read(&rest, &line, &record) == NULL);
        CHECK_EQ_INT(record.number, number);
    }
    CHECK_EQ_INT(rest.n, 0);
}

static void the_oldest_make_room_for_the_newest(void)
{
    static char header[RING];
    struct record_ring *ring = record_ring_new(5, RING);
    struct record_entry e = plain_entry();

    memset(header, 'x', sizeof header);
    for (unsigned number = 1; number <= 500; number++) {
        e.number = number;
        e.header = str_from(header, number * 37 % 1500); /* so that records end everywhere in the memory */
        record_add(ring, &e);
        CHECK(record_ring_counts(ring).kept >= 1 && record_ring_counts(ring).kept <= 5);
        CHECK(record_ring_counts(ring).octets <= RING);
        check_numbers(ring, number);
    }
    record_ring_free(ring);
}

static void one_that_is_too_large_is_counted_and_harms_none(void)
{
    static char header[RING];
    struct record_ring *ring = record_ring_new(5, RING);
    struct record_entry e = plain_entry();

    record_add(ring, &e);
    memset(header, 'x', sizeof header);
    e.header = str_from(header, sizeof header);
    record_add(ring, &e);
    CHECK_EQ_INT(record_ring_counts(ring).kept, 1);
    CHECK_EQ_INT(record_ring_counts(ring).too_large, 1);
    record_ring_free(ring);
}

static void without_a_ring_nothing_happens(void)
{
    struct record_entry e = plain_entry();

    record_add(NULL, &e);
    CHECK_EQ_INT(record_ring_counts(NULL).kept, 0);
    record_ring_free(NULL);
}

/* Every way to cut a record short, and every line that is left out, is told. */
static void damage_is_told(void)
{
    struct record_ring *ring = record_ring_new(5, RING);
    struct record_entry e = plain_entry();
    struct str whole;
    char cut[4096];

    record_add(ring, &e);
    whole = dumped(ring, text_room);
    for (size_t n = 1; n < whole.n; n++)
        CHECK(read_one(str_from(whole.p, n), &record) != NULL);
    for (size_t at = 0; at < whole.n;) {
        size_t n = str_find(str_skip(whole, at), '\n') + 1;

        memcpy(cut, whole.p, at);
        memcpy(cut + at, whole.p + at + n, whole.n - at - n);
        if (memcmp(whole.p + at, "rcpt ", 5) != 0) /* there may be none */
            CHECK(read_one(str_from(cut, whole.n - n), &record) != NULL);
        at += n;
    }
    record_ring_free(ring);
}

static const struct test_case tests[] = {
    TEST(what_goes_in_comes_out),
    TEST(a_header_may_hold_anything),
    TEST(a_message_that_never_came_has_no_header),
    TEST(recipients_beyond_ten_are_counted_alone),
    TEST(the_oldest_make_room_for_the_newest),
    TEST(one_that_is_too_large_is_counted_and_harms_none),
    TEST(without_a_ring_nothing_happens),
    TEST(damage_is_told),
};

TEST_MAIN(tests)
