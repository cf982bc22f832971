/* Tests of proxy/smtp_line.c: command lines out of a stream (RFC 5321 2.3.8: only CRLF ends a line;
 * 4.5.3.1.4; ATTACKS A and B05). Each sample is read whole, cut at every pair of offsets, and octet by octet.
 */
#include "../../proxy/smtp_command.h"

#include <stdlib.h>

#include "test.h"

enum { LINE_MAX_HERE = 8, EVENTS_SIZE = 256 };

/* What line_read said about a stream, as text: "<line>" for a line, "long", "flood". */
struct events {
    char text[EVENTS_SIZE];
    size_t n;
};

static void note(struct events *to, struct str s)
{
    if (s.n > 0 && s.n <= sizeof to->text - to->n) {
        memcpy(to->text + to->n, s.p, s.n);
        to->n += s.n;
    }
}

static void note_event(struct events *to, enum line_event event, struct str line)
{
    if (event == LINE_READY) {
        note(to, STR("<"));
        note(to, line);
        note(to, STR(">"));
    }
    if (event == LINE_TOO_LONG)
        note(to, STR("long"));
    if (event == LINE_FLOOD)
        note(to, STR("flood"));
}

/* Each segment is given in memory of its own, which is gone afterwards, as a network buffer is. */
static void read_segment(struct line_reader *r, struct str segment, struct events *to)
{
    char *copy = malloc(segment.n + 1);
    enum line_event event = LINE_READY;
    struct str in;

    CHECK(copy != NULL);
    if (copy == NULL)
        return;
    memcpy(copy, segment.p, segment.n);
    in = str_from(copy, segment.n);
    while (event != LINE_NONE && event != LINE_FLOOD) {
        size_t used = 0;

        event = line_read(r, in, &used);
        note_event(to, event, r->line);
        CHECK(used <= in.n);
        CHECK(event != LINE_NONE || used == in.n);
        in = str_skip(in, used);
    }
    free(copy);
}

struct sample {
    const char *sentence, *in, *events;
    bool is_partial; /* a part of a line is held at the end */
};

static const struct sample samples[] = {
    { "CRLF ends a line", "NOOP\r\n", "<NOOP>", false },
    { "two lines are two", "NOOP\r\nQUIT\r\n", "<NOOP><QUIT>", false },
    { "an empty line is a line", "\r\n\r\n", "<><>", false },
    { "a line without its end is held", "NOOP\r\nQU", "<NOOP>", true },
    { "a CR may be the first half of the end", "NOOP\r", "", true },
    { "a bare LF is part of the line", "A\nB\r\n", "<A\nB>", false },
    { "a bare CR is part of the line", "A\rB\r\n", "<A\rB>", false },
    { "CR CR LF is a bare CR and the end", "A\r\r\n", "<A\r>", false },
    { "LF CR is no end", "A\n\rB\r\n", "<A\n\rB>", false },
    { "a line of the greatest length", "12345678\r\n", "<12345678>", false },
    { "a line one octet above it is dropped", "123456789\r\n", "long", false },
    { "a CR counts when it is not the end's", "1234567\rA\r\n", "long", false },
    { "a CR as the last octet allowed", "1234567\r\r\n", "<1234567\r>", false },
    { "a CR as one octet too many", "12345678\r\r\n", "long", false },
    { "an over-long line is reported once, at its end", "1234567890123456789\r\nNOOP\r\n", "long<NOOP>", false },
    { "a bare LF does not end it", "12345678901\nQUIT\n\r\nNOOP\r\n", "long<NOOP>", false },
    { "an over-long line that goes on", "12345678901", "", true },
};

static struct events read_cut(const struct sample *s, const size_t *cuts, size_t n)
{
    struct events events = { .n = 0 };
    struct line_reader r;
    size_t from = 0, size = strlen(s->in);

    line_init(&r, LINE_MAX_HERE);
    for (size_t i = 0; i <= n; i++) {
        size_t to = i < n ? cuts[i] : size;

        read_segment(&r, str_from(s->in + from, to - from), &events);
        from = to;
    }
    CHECK_EQ_INT(line_is_partial(&r), s->is_partial);
    CHECK(r.held_size <= LINE_MAX_HERE + 1);
    CHECK(s->is_partial || r.held == NULL);
    line_free(&r);
    CHECK(!line_is_partial(&r));
    return events;
}

static void reads_samples_however_cut(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        size_t every[64], n = strlen(s->in);
        struct events e;

        CHECK_ROW(s->sentence);
        for (size_t j = 0; j <= n; j++) {
            for (size_t k = j; k <= n; k++) {
                e = read_cut(s, (size_t[]){ j, k }, 2);
                CHECK_EQ_STR(e.text, e.n, s->events);
            }
            every[j] = j;
        }
        e = read_cut(s, every, n);
        CHECK_EQ_STR(e.text, e.n, s->events);
    }
}

static void nul_is_part_of_the_line(void)
{
    struct line_reader r;
    size_t used;

    line_init(&r, 512);
    CHECK_EQ_INT(line_read(&r, STR("NO\0OP\r\nQUIT\r\n"), &used), LINE_READY);
    CHECK(str_eq(r.line, STR("NO\0OP")));
    CHECK_EQ_INT(used, 7);
    line_free(&r);
}

static void a_line_in_one_segment_is_not_copied(void)
{
    struct str in = STR("NOOP\r\n");
    struct line_reader r;
    size_t used;

    line_init(&r, 512);
    CHECK_EQ_INT(line_read(&r, in, &used), LINE_READY);
    CHECK(r.line.p == in.p);
    CHECK(r.held == NULL);
    line_free(&r);
}

/* RFC 3207 4.2: what was read in clear is gone after STARTTLS. */
static void freeing_forgets_the_part_held(void)
{
    struct line_reader r;
    size_t used;

    line_init(&r, 512);
    line_read(&r, STR("RCPT"), &used);
    line_free(&r);
    CHECK_EQ_INT(line_read(&r, STR(" TO\r\n"), &used), LINE_READY);
    CHECK_EQ_STR(r.line.p, r.line.n, " TO");
    line_free(&r);
}

/* Reads a line of `n` octets and CRLF in segments of `step`; the last event, and how much was taken. */
static enum line_event read_long(size_t n, size_t step, size_t *taken)
{
    static char in[2 * LINE_FLOOD_MAX];
    enum line_event event = LINE_NONE;
    struct line_reader r;
    size_t used;

    memset(in, 'x', n);
    memcpy(in + n, "\r\n", 2);
    line_init(&r, 512);
    for (*taken = 0; event == LINE_NONE && *taken < n + 2; *taken += used) {
        size_t left = n + 2 - *taken;

        event = line_read(&r, str_from(in + *taken, left < step ? left : step), &used);
        CHECK(r.held_size <= 513);
    }
    line_free(&r);
    return event;
}

/* ATTACKS B05: a flood is cut off in constant memory, at the same octet whatever the segments. */
static void a_line_without_end_is_a_flood(void)
{
    static const size_t steps[] = { 1, 7, 1460, 65535, 65536, 65537, 2 * LINE_FLOOD_MAX };
    size_t taken;

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        CHECK_EQ_INT(read_long(LINE_FLOOD_MAX - 2, steps[i], &taken), LINE_TOO_LONG);
        CHECK_EQ_INT(taken, LINE_FLOOD_MAX);
        CHECK_EQ_INT(read_long(LINE_FLOOD_MAX - 1, steps[i], &taken), LINE_FLOOD);
        CHECK_EQ_INT(taken, LINE_FLOOD_MAX);
        CHECK_EQ_INT(read_long(LINE_FLOOD_MAX + 1000, steps[i], &taken), LINE_FLOOD);
        CHECK_EQ_INT(taken, LINE_FLOOD_MAX);
    }
}

static void a_flood_stays_one(void)
{
    static char in[LINE_FLOOD_MAX];
    struct line_reader r;
    size_t used;

    line_init(&r, 512);
    memset(in, 'x', sizeof in);
    CHECK_EQ_INT(line_read(&r, str_from(in, sizeof in), &used), LINE_FLOOD);
    CHECK_EQ_INT(line_read(&r, STR("\r\nNOOP\r\n"), &used), LINE_FLOOD);
    CHECK_EQ_INT(used, 0);
    line_free(&r);
    CHECK_EQ_INT(line_read(&r, STR("NOOP\r\n"), &used), LINE_READY);
}

static const struct test_case tests[] = {
    TEST(reads_samples_however_cut),     TEST(nul_is_part_of_the_line),       TEST(a_line_in_one_segment_is_not_copied),
    TEST(freeing_forgets_the_part_held), TEST(a_line_without_end_is_a_flood), TEST(a_flood_stays_one),
};
TEST_MAIN(tests)
