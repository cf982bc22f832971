/* Recordings with TLS in them: what a key log opens becomes a script, what it does not is said so. */
#include "replay.h"

#include "test.h"
#include "tls_talk.h"

static const struct mapping nothing;

/* One conversation's spans go behind another's, in later frames. */
static void append(struct connection *to, const struct connection *from)
{
    uint32_t frames = 0;

    for (enum side s = CLIENT; s <= SERVER; s++)
        if (to->stream[s].span_n > 0 && to->stream[s].span[to->stream[s].span_n - 1].frame > frames)
            frames = to->stream[s].span[to->stream[s].span_n - 1].frame;
    for (enum side s = CLIENT; s <= SERVER; s++)
        for (size_t i = 0; i < from->stream[s].span_n; i++) {
            const struct stream *f = &from->stream[s];
            size_t end = i + 1 < f->span_n ? f->span[i + 1].at : f->octets.n;
            stream_append(&to->stream[s], slice_part(buffer_slice(&f->octets), f->span[i].at, end),
                          frames + f->span[i].frame);
        }
}

/* In clear up to STARTTLS, unless it is implicit; then a handshake and a session in it, cut at random. */
static void record(struct connection *c, struct keylog **keys, uint16_t version, bool is_implicit)
{
    static const char *const before[] = { "220 hi\r\n", "EHLO a\r\n", "250 STARTTLS\r\n", "STARTTLS\r\n",
                                          "220 go\r\n" };
    struct talk t;
    struct connection tls;

    *c = (struct connection){ .has_start = true };
    for (uint32_t i = 0; i < 5 && !is_implicit; i++)
        stream_append(&c->stream[i % 2 ? CLIENT : SERVER], slice_of(before[i]), i + 1);
    talk_start(&t, &(struct talk_plan){ .version = version });
    CHECK(talk_handshake(&t));
    if (is_implicit)
        talk_say(&t, SERVER, "220 hi\r\n");
    talk_say(&t, CLIENT, "EHLO b\r\n");
    talk_say(&t, SERVER, "250 b\r\n");
    (void)talk_listen(&t, CLIENT);
    talk_say(&t, CLIENT, "MAIL FROM:<>\r\nRCPT TO:<u@old>\r\nDATA\r\n");
    talk_say(&t, SERVER, "250 a\r\n250 b\r\n354 c\r\n");
    talk_say(&t, CLIENT, "a\r\n..b\r\n.\r\n");
    talk_say(&t, SERVER, "250 d\r\n");
    talk_close(&t, CLIENT);
    talk_capture(&t, &tls, 7, 100);
    append(c, &tls);
    *keys = keylog_of(buffer_slice(&t.keylog));
    connection_clear(&tls);
    talk_end(&t);
}

static void check_script(const struct script *s, size_t items, const char *octets)
{
    CHECK_EQ_INT(s->item_n, items);
    CHECK_EQ_STR((const char *)s->octets.p, s->octets.n, octets);
}

#define SAID "EHLO b\r\nMAIL FROM:<>\r\nRCPT TO:<u@new>\r\nDATA\r\na\r\n..b\r\n.\r\n"

static void check_message(const struct script *s)
{
    const struct item *last = &s->item[s->item_n - 1];
    struct buffer message = { 0 };

    CHECK(last->ends_message);
    CHECK_EQ_INT(last->recorded, 250);
    script_message(&message, s, s->item_n - 1);
    CHECK_EQ_STR((const char *)message.p, message.n, "a\r\n.b\r\n");
    buffer_free(&message);
}

/* The turns wait for what they waited for. */
static void check_waits(const struct script *s, size_t greeting)
{
    CHECK_EQ_INT(s->cut[0].wait_for, greeting);
    CHECK_EQ_INT(s->cut[s->cut_n - 1].wait_for, greeting + 4);
    CHECK_EQ_INT(s->end_wait_for, greeting + 5);
}

static void goes_on_behind_starttls(void)
{
    static const uint16_t versions[] = { 0x0303, 0x0304 };
    struct mapping mapping = { .domain = "new" };

    for (size_t i = 0; i < 2; i++) {
        struct connection c;
        struct keylog *keys;
        struct recording r;
        CHECK_ROW(tls_version_name(versions[i]));
        record(&c, &keys, versions[i], false);
        recording_make(&r, &c, keys, &mapping);
        CHECK(r.why_not == NULL && r.sealed == NULL && !r.is_implicit_tls);
        CHECK_EQ_INT(r.part_n, 2);
        if (r.part_n == 2) {
            check_script(&r.part[0], 3, "EHLO a\r\nSTARTTLS\r\n");
            CHECK(r.part[0].has_starttls && !r.part[1].has_starttls);
            check_script(&r.part[1], 5, SAID);
            check_message(&r.part[1]);
            check_waits(&r.part[1], 0);
        }
        recording_free(&r);
        recording_make(&r, &c, NULL, &nothing); /* nobody has the keys */
        CHECK_EQ_INT(r.part_n, 1);
        CHECK(r.why_not == NULL && r.sealed != NULL);
        recording_free(&r);
        keylog_free(keys);
        connection_clear(&c);
    }
}

static void opens_implicit_tls(void)
{
    struct mapping mapping = { .domain = "new" };
    struct connection c;
    struct keylog *keys;
    struct recording r;

    record(&c, &keys, 0x0304, true);
    recording_make(&r, &c, keys, &mapping);
    CHECK(r.why_not == NULL && r.is_implicit_tls);
    CHECK_EQ_INT(r.part_n, 1);
    if (r.part_n == 1) {
        check_script(&r.part[0], 6, SAID);
        check_message(&r.part[0]);
        check_waits(&r.part[0], 1);
    }
    recording_free(&r);
    recording_make(&r, &c, NULL, &nothing);
    CHECK_EQ_STR(r.why_not, strlen(r.why_not), "TLS from the first octet");
    CHECK_EQ_INT(r.part_n, 0);
    recording_free(&r);
    keylog_free(keys);
    connection_clear(&c);
}

static const struct test_case tests[] = { TEST(goes_on_behind_starttls), TEST(opens_implicit_tls) };
TEST_MAIN(tests)
