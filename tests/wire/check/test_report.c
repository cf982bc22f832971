/* The three forms of a report: right whatever was on the wire. */
#include "report.h"
#include "stage.h"
#include "test.h"

#include <stdlib.h>

/* ---- a reader of JSON that only says whether it is some (RFC 8259) ---- */

static const char *value(const char *p);

static const char *blank(const char *p)
{
    return p == NULL ? NULL : p + strspn(p, " \t\r\n");
}

static const char *string(const char *p)
{
    if (p == NULL || *p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if (*p < ' ' || *p > '~') /* ours is US-ASCII */
            return NULL;
        if (*p != '\\')
            continue;
        if (*++p != 'u' && strchr("\"\\/bfnrt", *p) == NULL)
            return NULL;
        if (*p == 'u' && strspn(p + 1, "0123456789abcdef") < 4)
            return NULL;
        p += *p == 'u' ? 4 : 0;
    }
    return p + 1;
}

static const char *members(const char *p, char end, bool has_keys)
{
    p = blank(p + 1);
    if (*p == end)
        return p + 1;
    for (;;) {
        if (has_keys) {
            p = blank(string(p));
            if (p == NULL || *p++ != ':')
                return NULL;
        }
        p = blank(value(blank(p)));
        if (p == NULL || (*p != ',' && *p != end))
            return NULL;
        if (*p++ == end)
            return p;
        p = blank(p);
    }
}

static const char *value(const char *p)
{
    static const char *const words[] = { "true", "false", "null" };

    if (p == NULL)
        return NULL;
    if (*p == '"')
        return string(p);
    if (*p == '{' || *p == '[')
        return members(p, *p == '{' ? '}' : ']', *p == '{');
    for (size_t i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    size_t n = strspn(p, "-+.0123456789e");
    return n > 0 ? p + n : NULL;
}

static bool is_json(const char *text)
{
    const char *end = blank(value(blank(text)));

    return end != NULL && *end == '\0';
}

/* ---- a report of a run ---- */

struct made {
    struct stage stage;
    struct verdict verdict[2];
    struct trial_files files;
    struct report report;
    char *text;
    size_t size;
};

#define HELLO "north\n< 220 mx ESMTP\n> EHLO client.example\n< 250 mx\n"

static void make(struct made *m, const char *script)
{
    *m = (struct made){ .files = { .north = "a\"b\\c\x01\xff.pcap", .south = "s\xc3\xa4.pcap" } };
    stage_begin(&m->stage);
    stage_play(&m->stage, script);
    const struct trial *t = stage_trial(&m->stage);
    m->verdict[0] = (struct verdict){ &custody_invariants[0], stage_judge(&m->stage, "A-1") };
    m->verdict[1] = (struct verdict){ &custody_invariants[3], { 0 } };
    m->report = (struct report){ .trial = t, .files = &m->files, .verdict = m->verdict, .verdict_n = 2, .sessions = 1 };
    m->report.start = t->session[0].north->connection->time;
    m->report.violated = m->verdict[0].tally.violated;
    accounting_read(&m->report.accounting, t);
}

static const char *written(struct made *m, void (*write)(const struct report *, FILE *))
{
    FILE *out = open_memstream(&m->text, &m->size);

    write(&m->report, out);
    fclose(out);
    return m->text;
}

static void unmake(struct made *m)
{
    free(m->text);
    tally_free(&m->verdict[0].tally);
    stage_free(&m->stage);
}

#define BROKEN(octets) \
    HELLO "> MAIL FROM:<" octets \
          "@x.example>\n< 250 ok\n> RCPT TO:<b@l.example>\n< 250 ok\n> DATA\n< 354 go\n> .\n< 250 " octets "\n"

static void json_is_json_whatever_came(void)
{
    static const char *const rows[] = {
        BROKEN("plain"),
        BROKEN("quote\" and \\\\ backslash"),
        BROKEN("\x01\x1b[31m\x7f"),
        BROKEN("caf\xc3\xa9 \xf0\x9f\x93\xac"),
        BROKEN("\xff\xc3 \xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf"),
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m;
        make(&m, rows[i]);
        CHECK_ROW(rows[i]);
        CHECK_EQ_INT(m.verdict[0].tally.violated, 1);
        const char *text = written(&m, report_json);
        CHECK(is_json(text));
        CHECK(strstr(text, "\"id\": \"A-1\"") != NULL);
        CHECK(strstr(text, "\"wire\": \"north\", \"frame\": ") != NULL);
        CHECK(strstr(text, "\"file\": \"a\\\"b\\\\c\\u0001\\u00ff.pcap\"") != NULL);
        CHECK(strstr(text, "\"file\": \"s\\u00e4.pcap\"") != NULL);
        unmake(&m);
    }
}

static void junit_tells_failed_from_skipped(void)
{
    struct made m;

    make(&m, BROKEN("<&\x02>"));
    const char *text = written(&m, report_junit);
    CHECK(strstr(text, "tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\"") != NULL);
    CHECK(strstr(text, "&lt;&amp;") != NULL);
    CHECK(strstr(text, "<&") == NULL);
    for (const char *p = text; *p != '\0'; p++)
        CHECK((*p >= ' ' && *p <= '~') || *p == '\n');
    unmake(&m);
}

static void tell(const struct report *r, FILE *out)
{
    report_text(r, out, false, true);
}

static void the_text_has_a_table_and_stories(void)
{
    struct made m;

    make(&m, BROKEN("\x1b[31m"));
    const char *text = written(&m, tell);
    CHECK(strstr(text, "not shown by these captures") != NULL);
    CHECK(strstr(text, "A-1   the client was told 250, but the back end has not accepted the message\n") != NULL);
    CHECK(strstr(text, "session of 192.0.2.1:40000\n") != NULL);
    CHECK(strstr(text, " ->  \"MAIL FROM:<") != NULL);
    CHECK(strstr(text, "1 sessions, 0 messages, 1 violations, 0 inconclusive\n") != NULL);
    CHECK(strchr(text, '\x1b') == NULL); /* nothing from the wire reaches a terminal */
    const char *end = strstr(text, "A-1   the client");
    for (const char *line = text; line != NULL && line < end; line = strchr(line, '\n') + 1)
        CHECK(strcspn(line, "\n") <= 100);
    unmake(&m);
}

static void the_accounts_add_up(void)
{
#define ACCEPTED(last) \
    HELLO "> MAIL FROM:<a@x.example>\n< 250 ok\n> RCPT TO:<b@l.example>\nsouth\n] 220 b\n[ EHLO g\n] 250 b\n" \
          "[ MAIL FROM:<a@x.example>\n] 250 ok\n[ RCPT TO:<b@l.example>\n] 250 ok\n< 250 ok\n> DATA\n< 354 go\n> .\n" \
          "[ DATA\n] 354 go\n[ .\n" last
    struct made m;

    make(&m, ACCEPTED("] 250 ok\n< 250 ok\n") ACCEPTED("client resets\n] 250 ok\n")
                 ACCEPTED("] 250 ok\nback resets\n< 451 lost\n") ACCEPTED("] 250 ok\ngateway resets north\n")
                     ACCEPTED("] 250 ok\n< 554 no\n") ACCEPTED("] 550 no\n< 550 no\n"));
    CHECK_EQ_INT(m.report.accounting.accepted_south, 5);
    CHECK_EQ_INT(m.report.accounting.accepted_north, 1);
    CHECK_EQ_INT(m.report.accounting.client_gone, 1);
    CHECK_EQ_INT(m.report.accounting.answer_lost, 1);
    CHECK_EQ_INT(m.report.accounting.gateway_killed, 1);
    CHECK_EQ_INT(m.report.accounting.unexplained, 1);
    unmake(&m);
}

static const struct test_case tests[] = {
    TEST(json_is_json_whatever_came),
    TEST(junit_tells_failed_from_skipped),
    TEST(the_text_has_a_table_and_stories),
    TEST(the_accounts_add_up),
};
TEST_MAIN(tests)
