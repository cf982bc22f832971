/* Postern's log, read back: both formats, their escapes, and lines that are not Postern's. */
#include "record.h"

#include <stdlib.h>
#include <unistd.h>

#include "test.h"

/* Reads `text` as a log file. */
static void read_octets(struct records *r, const char *text, size_t n)
{
    char path[] = "/tmp/test_record.XXXXXX";
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
    records_read(r, path);
    unlink(path);
}

static void read_text(struct records *r, const char *text)
{
    read_octets(r, text, strlen(text));
}

static void check_value(const struct record *r, const char *key, const char *want)
{
    struct slice value = record_value(r, key);

    CHECK_EQ_STR((const char *)value.p, value.n, want);
}

static void reads_both_formats_alike(void)
{
    static const char *const lines[] = {
        "time=2026-11-22T12:00:00.123Z level=info event=transaction id=a1 tx=1 from=\"\" to=bob@x "
        "reply=\"250 2.0.0 OK\" reason=\"said \\\"no\\\"\" helo=\"a\\\\x5cb\\\\x0a\\\\xc3\\\\xbc\" size=240\n",
        "{\"time\":\"2026-11-22T12:00:00.123Z\",\"level\":\"info\",\"event\":\"transaction\",\"id\":\"a1\",\"tx\":1,"
        "\"from\":\"\",\"to\":\"bob@x\",\"reply\":\"250 2.0.0 OK\",\"reason\":\"said \\\"no\\\"\","
        "\"helo\":\"a\\\\x5cb\\\\x0a\\\\xc3\\\\xbc\",\"size\":240}\n",
        "<22>Nov 22 12:00:00 postern[7]: time=2026-11-22T12:00:00.123Z event=transaction id=a1 tx=1 from=\"\" to=bob@x "
        "reply=\"250 2.0.0 OK\" reason=\"said \\\"no\\\"\" helo=\"a\\\\x5cb\\\\x0a\\\\xc3\\\\xbc\" size=240\n",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct records r;

        CHECK_ROW(lines[i]);
        read_text(&r, lines[i]);
        CHECK_EQ_INT(r.n, 1);
        CHECK(r.record[0].broken == NULL);
        CHECK_EQ_STR((const char *)r.record[0].text.p, r.record[0].text.n + 1, lines[i]);
        CHECK(record_is(&r.record[0], "transaction"));
        CHECK(!record_is(&r.record[0], "connection"));
        check_value(&r.record[0], "time", "2026-11-22T12:00:00.123Z");
        check_value(&r.record[0], "tx", "1");
        check_value(&r.record[0], "to", "bob@x");
        check_value(&r.record[0], "reply", "250 2.0.0 OK");
        check_value(&r.record[0], "reason", "said \"no\"");
        check_value(&r.record[0], "helo", "a\\b\n\xC3\xBC");
        check_value(&r.record[0], "size", "240");
        CHECK(record_value(&r.record[0], "from").p != NULL);
        CHECK_EQ_INT(record_value(&r.record[0], "from").n, 0);
        CHECK(record_value(&r.record[0], "absent").p == NULL);
        records_free(&r);
    }
}

static void undoes_each_escape_once(void)
{
    static const struct {
        const char *line, *value;
    } rows[] = {
        { "a=\"\\\\x5cx41\"\n", "\\x41" },
        { "a=\"\\\\x4\"\n", "\\x4" },
        { "a=\"\\\\xZZ\"\n", "\\xZZ" },
        { "a=\"\\\\\"\n", "\\" },
        { "{\"a\":\"\\u0041\\t\\/\"}\n", "A\t/" },
        { "{\"a\":\"\\u00fc\\u20ac\"}\n", "\xC3\xBC\xE2\x82\xAC" },
        { "{\"a\":\"\\ud83d\\ude00\"}\n", "\xF0\x9F\x98\x80" },
        { "{ \"a\" : true , \"b\" : -1.5e+3 }\n", "true" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct records r;

        CHECK_ROW(rows[i].line);
        read_text(&r, rows[i].line);
        CHECK(r.n == 1 && r.record[0].broken == NULL);
        check_value(&r.record[0], "a", rows[i].value);
        records_free(&r);
    }
}

static void keeps_lines_of_others_as_broken(void)
{
    static const char *const lines[] = {
        "==12==ERROR: AddressSanitizer: heap-use-after-free\n",
        "\n",
        "a=1 \n",
        "a=1  b=2\n",
        "a=\"1\"b=2\n",
        "a=\"1\n",
        "a=\"\\q\"\n",
        "=1\n",
        "a=1",
        "{}\n",
        "{\"a\":}\n",
        "{\"a\":[1]}\n",
        "{\"a\":1} \n",
        "{\"a\":1,}\n",
        "{\"a\":\"\\u12\"}\n",
        "{\"a\" 1}\n",
        "{\"a\":\"1\n",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct records r;

        CHECK_ROW(lines[i]);
        read_text(&r, lines[i]);
        CHECK_EQ_INT(r.n, 1);
        CHECK(r.record[0].broken != NULL);
        CHECK(!record_is(&r.record[0], "1"));
        records_free(&r);
    }
}

static void counts_lines(void)
{
    struct records r;

    read_text(&r, "event=a\nnot ours\nevent=b\n");
    CHECK_EQ_INT(r.n, 3);
    CHECK_EQ_INT(r.record[2].line, 3);
    CHECK(record_is(&r.record[2], "b"));
    records_free(&r);
    read_text(&r, "");
    CHECK_EQ_INT(r.n, 0);
    records_free(&r);
}

/* Whatever octets a file holds: no overrun (the sanitizers look on), and each line is one record. */
static void survives_any_octets(void)
{
    static const char seed[] = "time=1 event=\"a\\\\x0a\\\"\" b=\n{\"a\":\"\\u00fc\\ud83d\\ude00\\\\x41\",\"b\":12}\n"
                               "<22>Nov postern[1]: event=x y=\"\"\n";
    unsigned random = 1;

    for (int i = 0; i < TEST_LESS(3000); i++) {
        char text[sizeof seed];
        struct records r;
        size_t lines = 0;

        memcpy(text, seed, sizeof seed);
        for (int k = 0; k < 3; k++) {
            random = random * 1103515245 + 12345;
            text[(random >> 16) % (sizeof seed - 1)] = "\\\"{}=u\nx\0,"[(random >> 8) % 10];
        }
        for (size_t k = 0; k < sizeof seed - 1; k++)
            lines += text[k] == '\n';
        lines += text[sizeof seed - 2] != '\n';
        read_octets(&r, text, sizeof seed - 1);
        CHECK_EQ_INT(r.n, lines);
        records_free(&r);
    }
}

static const struct test_case tests[] = { TEST(reads_both_formats_alike), TEST(undoes_each_escape_once),
                                          TEST(keeps_lines_of_others_as_broken), TEST(counts_lines),
                                          TEST(survives_any_octets) };
TEST_MAIN(tests)
