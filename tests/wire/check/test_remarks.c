/* What is said of the files before anybody believes the table. */
#include "remarks.h"

#include <stdlib.h>
#include <string.h>

#include "stage.h"
#include "test.h"

/* Both legs of a session; the names are of the greeting north and the EHLO south. */
#define SESSION(north, south) \
    "north\n< 220 " north " ESMTP\n> EHLO client.example\n< 250 " north "\n> MAIL FROM:<a@x>\n" \
    "< 250 ok\n> RCPT TO:<b@l.example>\nsouth\n] 220 back.example ESMTP\n[ EHLO " south "\n" \
    "] 250 back.example\n[ MAIL FROM:<a@x>\n] 250 ok\n[ RCPT TO:<b@l.example>\n] 250 ok\n< 250 ok\n"

struct said {
    struct stage stage;
    struct trial *trial;
    struct trial_files files;
    char *text;
    size_t n;
};

static void begin(struct said *s, const char *script)
{
    *s = (struct said){ .files = { "n.pcap", "s.pcap", NULL, NULL, NULL, NULL } };
    stage_begin(&s->stage);
    stage_play(&s->stage, script);
    stage_trial(&s->stage);
    s->trial = &s->stage.trial;
    s->trial->north.capture.path = s->files.north;
    s->trial->south.capture.path = s->files.south;
    s->trial->north.capture.frames = s->trial->south.capture.frames = 10;
}

static bool says(struct said *s, const char *what)
{
    size_t size;
    FILE *out = open_memstream(&s->text, &size);

    s->n = remarks_tell(s->trial, &s->files, out);
    fclose(out);
    bool is_there = strstr(s->text, what) != NULL;
    free(s->text);
    return is_there;
}

static void nothing_of_a_good_run(void)
{
    struct said s;

    begin(&s, SESSION("mx.example", "mx.example"));
    CHECK(!says(&s, "note"));
    CHECK_EQ_INT(s.n, 0);
    stage_free(&s.stage);
}

static void the_wires_in_the_wrong_order(void)
{
    struct said s;

    begin(&s, SESSION("mx.example", "mx.example"));
    struct wire north = s.trial->north;
    s.trial->north = s.trial->south;
    s.trial->south = north;
    CHECK(says(&s, "note: s.pcap looks like the south wire and n.pcap like the north one"));
    s.trial->south = s.trial->north;
    s.trial->north = north;
    stage_free(&s.stage);

    begin(&s, SESSION("mx.example", "other.example")); /* names that tell nothing */
    CHECK(!says(&s, "looks like"));
    stage_free(&s.stage);
}

static void a_connection_on_both_wires(void)
{
    struct said s;

    begin(&s, SESSION("mx.example", "mx.example"));
    struct flows south = s.trial->south.flows;
    s.trial->south.flows = s.trial->north.flows;
    CHECK(says(&s, "n.pcap and s.pcap hold the same connection"));
    s.trial->south.flows = south;
    stage_free(&s.stage);
}

static void what_a_capture_lacks(void)
{
    struct said s;

    begin(&s, SESSION("mx.example", "mx.example"));
    s.trial->north.capture.cut = 3;
    CHECK(says(&s, "n.pcap: the snap length has cut 3 packets"));
    s.trial->north.capture.cut = 0;
    s.trial->south.capture.ends_early = true;
    CHECK(says(&s, "s.pcap: its last packet is cut off"));
    s.trial->south.capture.ends_early = false;
    s.trial->south.capture.fragments = 2;
    CHECK(says(&s, "s.pcap: 2 IP fragments"));
    s.trial->south.capture.fragments = 0;
    s.trial->south.capture.frames = 0;
    CHECK(says(&s, "s.pcap: no packet in it"));
    stage_free(&s.stage);
}

static void files_that_are_something_else(void)
{
    struct said s;

    begin(&s, SESSION("mx.example", "mx.example") "log event=started\n");
    s.files.log = "log";
    CHECK(says(&s, "log: no line of Postern's"));
    s.files.log = NULL;
    s.files.config = "x.ini";
    CHECK(says(&s, "x.ini: neither [backend] servers nor [relay] domains"));
    stage_free(&s.stage);
}

static const struct test_case tests[] = {
    TEST(nothing_of_a_good_run), TEST(the_wires_in_the_wrong_order),  TEST(a_connection_on_both_wires),
    TEST(what_a_capture_lacks),  TEST(files_that_are_something_else),
};
TEST_MAIN(tests)
