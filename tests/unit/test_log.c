/* Log lines: what a wire sent never reaches a terminal or a parser raw, and a stuck sink costs lines, not mail. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "test.h"

enum { NOW_S = 1795348800 }; /* 2026-11-22T12:00:00Z */

static struct log *new_log(enum log_format format, enum log_target target, int fd)
{
    struct log *log = log_new(format, target, LOG_INFO, fd);

    log_set_time(log, NOW_S * INT64_C(1000) + 123);
    return log;
}

static void check_lines(struct log *log, const char *want)
{
    struct str lines = log_peek(log);

    CHECK_EQ_STR(lines.p, lines.n, want);
    log_clear(log);
}

static void write_transaction(struct log *log)
{
    struct endpoint client = { .port = 25 };

    address_parse(STR("2001:db8::1"), &client.address);
    log_begin(log, LOG_INFO, "transaction");
    log_text(log, "id", "4kx9");
    log_num(log, "rcpt", -3);
    log_endpoint(log, "client", &client);
    log_str(log, "reply", STR("250 2.0.0 Ok"));
    log_text(log, "none", "");
    log_end(log);
}

static void writes_logfmt(void)
{
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, -1);

    write_transaction(log);
    check_lines(log,
                "time=2026-11-22T12:00:00.123Z level=info event=transaction id=4kx9 rcpt=-3 client=[2001:db8::1]:25 "
                "reply=\"250 2.0.0 Ok\" none=\"\"\n");
    log_free(log);
}

static void writes_json(void)
{
    struct log *log = new_log(LOG_JSON, LOG_TO_STDERR, -1);

    write_transaction(log);
    check_lines(log,
                "{\"time\":\"2026-11-22T12:00:00.123Z\",\"level\":\"info\",\"event\":\"transaction\",\"id\":\"4kx9\","
                "\"rcpt\":-3,\"client\":\"[2001:db8::1]:25\",\"reply\":\"250 2.0.0 Ok\",\"none\":\"\"}\n");
    log_free(log);
}

static void writes_numbers(void)
{
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, -1);

    log_begin(log, LOG_INFO, "numbers");
    log_num(log, "none", 0);
    log_num(log, "ten", 10);
    log_num(log, "most", INT64_MAX);
    log_num(log, "least", INT64_MIN);
    log_end(log);
    check_lines(log, "time=2026-11-22T12:00:00.123Z level=info event=numbers none=0 ten=10 most=9223372036854775807 "
                     "least=-9223372036854775808\n");
    log_free(log);
}

static void tells_the_time_of_each_line(void)
{
    static const struct {
        int64_t after;
        const char *want;
    } rows[] = {
        { 0, "time=2026-11-22T12:00:00.000Z level=info event=tick\n" },
        { 999, "time=2026-11-22T12:00:00.999Z level=info event=tick\n" },
        { 1000, "time=2026-11-22T12:00:01.000Z level=info event=tick\n" },
        { 43200007, "time=2026-11-23T00:00:00.007Z level=info event=tick\n" },
        { 59, "time=2026-11-22T12:00:00.059Z level=info event=tick\n" },
        { -NOW_S * INT64_C(1000), "time=1970-01-01T00:00:00.000Z level=info event=tick\n" },
    };
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, -1);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        log_set_time(log, NOW_S * INT64_C(1000) + rows[i].after);
        log_begin(log, LOG_INFO, "tick");
        log_end(log);
        check_lines(log, rows[i].want);
    }
    log_free(log);
}

/* ORACLE L-2, ATTACKS M03: no control, no C1, no non-ASCII; and nothing that ends the value or begins another key. */
static void escapes_wire_bytes(void)
{
    static const struct {
        const char *value, *logfmt, *json;
    } rows[] = {
        { "plain", "plain", "\"plain\"" },
        { "two words", "\"two words\"", "\"two words\"" },
        { "a=b", "\"a=b\"", "\"a=b\"" },
        { "say \"hi\"", "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\"" },
        { "x\r\nlevel=error", "\"x\\\\x0d\\\\x0alevel=error\"", "\"x\\\\x0d\\\\x0alevel=error\"" },
        { "\x1b[2J", "\"\\\\x1b[2J\"", "\"\\\\x1b[2J\"" },
        { "caf\xC3\xA9\xC2\x85", "\"caf\\\\xc3\\\\xa9\\\\xc2\\\\x85\"", "\"caf\\\\xc3\\\\xa9\\\\xc2\\\\x85\"" },
        { "\\x0d", "\"\\\\x5cx0d\"", "\"\\\\x5cx0d\"" },
        { "\x7F\t", "\"\\\\x7f\\\\x09\"", "\"\\\\x7f\\\\x09\"" },
    };
    char want[200];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (enum log_format format = LOG_LOGFMT; format <= LOG_JSON; format++) {
            struct log *log = new_log(format, LOG_TO_STDERR, -1);

            CHECK_ROW(rows[i].value);
            log_begin(log, LOG_WARN, "e");
            log_text(log, "k", rows[i].value);
            log_end(log);
            snprintf(want, sizeof want,
                     format == LOG_JSON
                         ? "{\"time\":\"2026-11-22T12:00:00.123Z\",\"level\":\"warn\",\"event\":\"e\",\"k\":%s}\n"
                         : "time=2026-11-22T12:00:00.123Z level=warn event=e k=%s\n",
                     format == LOG_JSON ? rows[i].json : rows[i].logfmt);
            check_lines(log, want);
            log_free(log);
        }
}

static void escapes_nul(void)
{
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, -1);

    log_begin(log, LOG_ERROR, "e");
    log_str(log, "k", str_from("a\0b", 3));
    log_end(log);
    check_lines(log, "time=2026-11-22T12:00:00.123Z level=error event=e k=\"a\\\\x00b\"\n");
    log_free(log);
}

/* Whatever comes in, a line keeps its bound, its end and, cut, its "...". */
static void bounds_lines(void)
{
    char octets[5000];

    for (int fill = 0; fill < 3; fill++)
        for (size_t n = 0; n <= sizeof octets; n += 61)
            for (enum log_format format = LOG_LOGFMT; format <= LOG_JSON; format++) {
                struct log *log = new_log(format, LOG_TO_STDERR, -1);
                struct str line;

                memset(octets, fill == 0 ? 'x' : fill == 1 ? '"' : '\n', sizeof octets);
                log_begin(log, LOG_INFO, "e");
                for (int i = 0; i < 6; i++)
                    log_str(log, "k", str_from(octets, n));
                log_end(log);
                line = log_peek(log);
                CHECK(line.n <= LOG_LINE_MAX && str_find(line, '\n') == line.n - 1);
                CHECK(format == LOG_LOGFMT || str_iends(line, STR("}\n")));
                CHECK_EQ_INT(n >= 1200, memmem(line.p, line.n, "...", 3) != NULL && n >= 1200);
                CHECK_EQ_INT(n >= 1200, memmem(line.p, line.n, "truncated", 9) != NULL && n >= 1200);
                log_free(log);
            }
}

static void keeps_to_its_threshold(void)
{
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, -1);

    log_begin(log, LOG_DEBUG, "e");
    log_text(log, "k", "v");
    log_end(log);
    log_num(log, "late", 1); /* belongs to no line */
    log_end(log);
    check_lines(log, "");
    CHECK(log_enabled(log, LOG_WARN) && !log_enabled(log, LOG_DEBUG));
    log_say(log, LOG_WARN, "start", "%s on %d", "ready", 25);
    check_lines(log, "time=2026-11-22T12:00:00.123Z level=warn event=start text=\"ready on 25\"\n");
    log_free(log);
}

/* ---- sinks ---- */

static void write_lines(struct log *log, unsigned n)
{
    char value[200];

    memset(value, 'x', sizeof value);
    for (unsigned i = 0; i < n; i++) {
        log_begin(log, LOG_INFO, "e");
        log_str(log, "k", str_from(value, sizeof value));
        log_end(log);
    }
}

/* Reads what is there and counts lines; every one must be whole. */
static unsigned read_lines(int fd, uint64_t *dropped)
{
    static char text[1 << 20];
    unsigned lines = 0;
    size_t n = 0;
    ssize_t got;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while ((got = read(fd, text + n, sizeof text - n - 1)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    CHECK(n == 0 || text[n - 1] == '\n');
    for (char *p = text; *p != '\0'; p = strchr(p, '\n') + 1) {
        const char *told = memmem(p, strcspn(p, "\n"), "event=log_dropped lines=", 24);

        CHECK(strncmp(p, "time=", 5) == 0);
        *dropped += told != NULL ? strtoul(told + 24, NULL, 10) : 0;
        lines += told == NULL;
    }
    return lines;
}

/* ORACLE L-5. Each line arrives or is counted, and the reader is told once. */
static void stuck_sink(int fds[2])
{
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, fds[1]);
    uint64_t told = 0;
    unsigned written = 0, arrived = 0;

    for (; log_dropped(log) < 100; written += 10) {
        write_lines(log, 10);
        log_flush(log);
    }
    CHECK(!log_flush(log));
    for (int i = 0; i < 50; i++) {
        arrived += read_lines(fds[0], &told);
        log_flush(log);
    }
    CHECK(log_flush(log));
    CHECK_EQ_INT(told, log_dropped(log));
    CHECK_EQ_INT(arrived + told, written);
    log_free(log);
    close(fds[0]);
    close(fds[1]);
}

static void pipe_drops_and_tells(void)
{
    int fds[2];

    CHECK(pipe(fds) == 0);
    stuck_sink(fds);
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    stuck_sink(fds);
}

static void socket_drops_and_tells(void)
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    stuck_sink(fds);
}

static void gone_reader_costs_lines_only(void)
{
    int fds[2];
    struct log *log;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    close(fds[0]);
    log = new_log(LOG_LOGFMT, LOG_TO_STDERR, fds[1]);
    write_lines(log, 1000);
    CHECK(!log_flush(log));
    CHECK(log_dropped(log) > 0);
    log_free(log);
    close(fds[1]);
}

static void writes_files(void)
{
    char path[] = "/tmp/postern-log-XXXXXX";
    int fd = mkstemp(path);
    struct log *log = new_log(LOG_LOGFMT, LOG_TO_STDERR, fd);
    uint64_t told = 0;

    write_lines(log, 200);
    CHECK(log_flush(log));
    CHECK_EQ_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQ_INT(read_lines(fd, &told), 200);
    log_free(log);
    close(fd);
    unlink(path);
}

/* One datagram a line: facility mail, severity, time, tag; no newline. */
static void speaks_syslog(void)
{
    char text[500], want[200];
    struct log *log;
    int fds[2];
    ssize_t n;

    setenv("TZ", "UTC", 1);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    log = new_log(LOG_LOGFMT, LOG_TO_SYSLOG, fds[1]);
    log_say(log, LOG_INFO, "start", "one");
    log_say(log, LOG_ERROR, "trouble", "two");
    CHECK(log_flush(log));
    n = recv(fds[0], text, sizeof text, MSG_DONTWAIT);
    snprintf(want, sizeof want,
             "<22>Nov 22 12:00:00 postern[%ld]: time=2026-11-22T12:00:00.123Z level=info event=start text=one",
             (long)getpid());
    CHECK_EQ_STR(text, n > 0 ? (size_t)n : 0, want);
    n = recv(fds[0], text, sizeof text, MSG_DONTWAIT);
    CHECK(n > 4 && memcmp(text, "<19>", 4) == 0);
    CHECK(recv(fds[0], text, sizeof text, MSG_DONTWAIT) < 0);
    log_free(log);
    close(fds[0]);
    close(fds[1]);
}

static void opens_stderr_apart(void)
{
    int fd = log_open_sink(LOG_TO_STDERR), before = fcntl(STDERR_FILENO, F_GETFL);

    CHECK(fd > STDERR_FILENO);
    CHECK_EQ_INT(fcntl(STDERR_FILENO, F_GETFL), before);
    close(fd);
}

static const struct test_case tests[] = {
    TEST(writes_logfmt),
    TEST(writes_json),
    TEST(writes_numbers),
    TEST(tells_the_time_of_each_line),
    TEST(escapes_wire_bytes),
    TEST(escapes_nul),
    TEST(bounds_lines),
    TEST(keeps_to_its_threshold),
    TEST(pipe_drops_and_tells),
    TEST(socket_drops_and_tells),
    TEST(gone_reader_costs_lines_only),
    TEST(writes_files),
    TEST(speaks_syslog),
    TEST(opens_stderr_apart),
};
TEST_MAIN(tests)
