/* Slices, buffers and arrays at their edges. */
#include "bytes.h"

#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void compares(void)
{
    CHECK(slice_equal(SLICE("abc"), slice_of("abc")));
    CHECK(!slice_equal(SLICE("abc"), SLICE("abC")));
    CHECK(!slice_equal(SLICE("abc"), SLICE("ab")));
    CHECK(slice_equal((struct slice){ 0 }, SLICE("")));
    CHECK(slice_equal_nocase(SLICE("EHLO [a-z]@"), SLICE("ehlo [A-Z]@")));
    CHECK(!slice_equal_nocase(SLICE("@"), SLICE("`")));       /* 0x40 and 0x60: no letters */
    CHECK(!slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4"))); /* no letters of US-ASCII */
    CHECK(!slice_equal_nocase(SLICE("a"), SLICE("ab")));
}

static void finds(void)
{
    struct slice s = SLICE("a\r\n.\r\nb\r\n.\r\n");

    CHECK_EQ_INT(slice_find(s, SLICE("\r\n.\r\n"), 0), 1);
    CHECK_EQ_INT(slice_find(s, SLICE("\r\n.\r\n"), 1), 1);
    CHECK_EQ_INT(slice_find(s, SLICE("\r\n.\r\n"), 2), 7);
    CHECK_EQ_INT(slice_find(s, SLICE("\r\n.\r\n"), 8), s.n);
    CHECK_EQ_INT(slice_find(s, SLICE("x"), 0), s.n);
    CHECK_EQ_INT(slice_find(s, SLICE(""), 3), 3);
    CHECK_EQ_INT(slice_find(s, SLICE(""), 99), s.n);
    CHECK_EQ_INT(slice_find(s, SLICE("a"), SIZE_MAX), s.n);
    CHECK_EQ_INT(slice_find((struct slice){ 0 }, SLICE("a"), 0), 0);
    CHECK_EQ_INT(slice_find(SLICE("a\0b"), SLICE("\0b"), 0), 1);
}

static void cuts(void)
{
    struct slice s = SLICE("hello"), part = slice_part(s, 1, 3);

    CHECK_EQ_STR((const char *)part.p, part.n, "el");
    part = slice_part(s, 3, 99);
    CHECK_EQ_STR((const char *)part.p, part.n, "lo");
    CHECK_EQ_INT(slice_part(s, 9, 99).n, 0);
    CHECK_EQ_INT(slice_part(s, 3, 1).n, 0);
    CHECK_EQ_INT(slice_part((struct slice){ 0 }, 0, 1).n, 0);
}

static void buffers_grow(void)
{
    struct buffer b = { 0 };

    buffer_add(&b, NULL, 0);
    CHECK(b.p == NULL);
    for (int i = 0; i < 10000; i++)
        buffer_printf(&b, "%d,", i % 10);
    CHECK_EQ_INT(b.n, 20000);
    buffer_add(&b, "\0end", 4);
    CHECK(slice_equal(slice_part(buffer_slice(&b), 19998, SIZE_MAX), SLICE("9,\0end")));
    buffer_free(&b);
    CHECK(b.p == NULL && b.n == 0 && b.size == 0);
}

static void arrays_grow(void)
{
    uint64_t *array = NULL;
    size_t n = 0;

    for (; n < 5000; n++) {
        array = array_grow(array, n, sizeof *array);
        array[n] = n;
    }
    for (size_t i = 0; i < n; i++)
        if (array[i] != i)
            CHECK_EQ_INT(array[i], i);
    free(array);

    uint8_t *zeros = fresh(100);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ_INT(zeros[i], 0);
    free(zeros);
}

static void quotes(void)
{
    const struct {
        struct slice octets;
        size_t max;
        const char *want;
    } rows[] = {
        { SLICE(""), 10, "\"\"" },
        { SLICE("MAIL\r\n"), 10, "\"MAIL\\r\\n\"" },
        { SLICE("a\"\\\t\0\x7f\xff"), 10, "\"a\\\"\\\\\\t\\x00\\x7f\\xff\"" },
        { SLICE("abcdef"), 3, "\"abc\"..." },
        { SLICE("abc"), 3, "\"abc\"" },
        { SLICE("abc"), 0, "\"\"..." },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer b = { 0 };
        CHECK_ROW(rows[i].want);
        buffer_add_quoted(&b, rows[i].octets, rows[i].max);
        CHECK_EQ_STR((const char *)b.p, b.n, rows[i].want);
        buffer_free(&b);
    }
}

/* die() in a child: what it says, and its status. */
static void dies_with_a_status(void)
{
    int pipes[2], status = 0;
    char text[100] = "";

    if (pipe(pipes) != 0)
        SKIP("no pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        die(65, "%s: no capture", "a.pcap");
    }
    close(pipes[1]);
    FILE *said = fdopen(pipes[0], "r");
    size_t n = said ? fread(text, 1, sizeof text, said) : 0;
    if (said)
        fclose(said);
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK_EQ_INT(WEXITSTATUS(status), 65);
    CHECK_EQ_STR(text, n, "wirecheck: a.pcap: no capture\n");
}

static const struct test_case tests[] = {
    TEST(compares),           TEST(finds), TEST(cuts), TEST(buffers_grow), TEST(arrays_grow), TEST(quotes),
    TEST(dies_with_a_status),
};
TEST_MAIN(tests)
