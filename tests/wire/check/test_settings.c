/* postern.ini as the oracle reads it. */
#include "settings.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static const int64_t second = 1000000000;

static char *write_file(const char *text, char path[32])
{
    int fd;

    memcpy(path, "/tmp/test_settings.XXXXXX", 26);
    fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void read_text(struct settings *s, const char *text)
{
    char path[32];

    settings_read(s, write_file(text, path));
    unlink(path);
}

static struct endpoint endpoint(const char *text)
{
    struct endpoint e;

    CHECK(endpoint_parse(&e, slice_of(text)));
    return e;
}

static void knows_the_documented_defaults(void)
{
    struct settings s;
    struct endpoint port_25 = endpoint("192.0.2.1:25");

    settings_read(&s, NULL);
    CHECK(!s.is_given && !s.requires_tls && !s.may_route && !s.may_percent && !s.may_bang);
    CHECK_EQ_INT(s.max_message, 50 << 20);
    CHECK_EQ_INT(s.hold, 1 << 20);
    CHECK_EQ_INT(s.max_recipients, 1000);
    CHECK_EQ_INT(s.max_facts, 256);
    CHECK_EQ_INT(s.max_sessions, 300);
    CHECK_EQ_INT(s.stress, 80);
    CHECK_EQ_INT(s.stress_timeout, 10 * second);
    CHECK_EQ_INT(s.min_data_rate, 500);
    CHECK_EQ_INT(s.command_timeout, 300 * second);
    CHECK_EQ_INT(s.data_timeout, 300 * second);
    CHECK_EQ_INT(s.handshake_timeout, 30 * second);
    CHECK_EQ_INT(s.verdict_timeout, 20 * second);
    CHECK_EQ_INT(s.greeting_timeout, 60 * second);
    CHECK_EQ_INT(s.connect_timeout, 10 * second);
    CHECK_EQ_INT(s.backend_timeout, 120 * second);
    CHECK_EQ_INT(s.backend_end_timeout, 580 * second);
    CHECK_EQ_STR(s.client_info, strlen(s.client_info), "none");
    CHECK_EQ_INT(s.listener_n, 2);
    CHECK(!settings_is_local(&s, SLICE("example.org")));
    CHECK(!settings_trusts(&s, &port_25));
    CHECK(!settings_is_implicit(&s, &port_25));
    CHECK(settings_value(&s, "server", "hostname") == NULL);
    settings_free(&s);
}

static const char full[] = "\xEF\xBB\xBF# a gateway\n"
                           "[server]\n"
                           "hostname = mx.example.org ; its name\n"
                           "[listen smtp]\n"
                           "address = 0.0.0.0:25 [::]:25\n"
                           "[listen submissions]\n"
                           "address = 0.0.0.0:465\n"
                           "tls = implicit\n"
                           "require_tls = yes\n"
                           "[listen other]\n"
                           "address = 192.0.2.9:465\n"
                           "[backend]\n"
                           "servers = 192.0.2.1, 192.0.2.2:2525\n"
                           "    [2001:db8::1]:26\n"
                           "client_info = proxy-v2\n"
                           "[route *.lists.example]\n"
                           "servers = 192.0.2.3\n"
                           "[relay]\n"
                           "domains = Example.org *.example.org\n"
                           "\tb\xC3\xBC"
                           "cher.example\n"
                           "networks = 10.0.0.0/9 2001:db8:1::/48 127.0.0.1\n"
                           "allow_percent = yes\n"
                           "[framing]\n"
                           "mode = normalise\n"
                           "min_data_rate = 10\n"
                           "[limits]\n"
                           "message_size = 20 M\n"
                           "hold=0\n"
                           "facts = 64\n"
                           "[timeouts]\n"
                           "command = 5m\n"
                           "verdict = 1500ms\n"
                           "south_end = 60\n"
                           "[dns]\n"
                           "servers = 127.0.0.1 127.0.0.2:5353\n"
                           "[dmarc]\n"
                           "quarantine = redirect\n"
                           "quarantine_mailbox = q@example.org\r\n";

static void reads_a_whole_file(void)
{
    struct settings s;

    read_text(&s, full);
    CHECK(s.is_given);
    CHECK_EQ_STR(s.hostname, strlen(s.hostname), "mx.example.org");
    CHECK_EQ_STR(s.client_info, strlen(s.client_info), "proxy-v2");
    CHECK_EQ_STR(s.quarantine_mailbox, strlen(s.quarantine_mailbox), "q@example.org");
    CHECK_EQ_INT(s.listener_n, 4);
    CHECK_EQ_INT(s.backend_n, 4);
    CHECK_EQ_INT(s.backend[0].port, 25);
    CHECK_EQ_INT(s.backend[1].port, 2525);
    CHECK_EQ_INT(s.backend[2].port, 26);
    CHECK_EQ_INT(s.resolver_n, 2);
    CHECK_EQ_INT(s.resolver[0].port, 53);
    CHECK_EQ_INT(s.max_message, 20 << 20);
    CHECK_EQ_INT(s.hold, 0);
    CHECK_EQ_INT(s.max_facts, 64);
    CHECK_EQ_INT(s.min_data_rate, 10);
    CHECK_EQ_INT(s.command_timeout, 300 * second);
    CHECK_EQ_INT(s.verdict_timeout, 3 * second / 2);
    CHECK_EQ_INT(s.backend_end_timeout, 60 * second);
    CHECK_EQ_INT(s.normalise_n, 1);
    CHECK_EQ_INT(s.normalise[0].bits, 0);
    CHECK(s.may_percent && s.may_bang && !s.may_route && !s.requires_tls);
    CHECK(strcmp(settings_value(&s, "listen other", "address"), "192.0.2.9:465") == 0);
    CHECK(settings_value(&s, "listen other", "tls") == NULL);
    settings_free(&s);
}

static void knows_local_domains(void)
{
    static const struct {
        const char *domain;
        bool is_local;
    } rows[] = {
        { "example.org", true },
        { "EXAMPLE.org.", true },
        { "a.b.example.org", true },
        { "example.com", false },
        { "badexample.org", false },
        { "", false },
        { ".", false },
        { "xn--bcher-kva.example", true },
        { "B\xC3\xBC"
          "cher.example",
          true },
        { "a.xn--bcher-kva.example", false },
    };
    struct settings s;

    read_text(&s, full);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].domain);
        CHECK_EQ_INT(settings_is_local(&s, slice_of(rows[i].domain)), rows[i].is_local);
    }
    settings_free(&s);
}

static void knows_clients_and_listeners(void)
{
    static const struct {
        const char *endpoint;
        bool is_trusted, is_implicit;
    } rows[] = {
        { "10.127.255.255:1", true, false },    { "10.128.0.0:1", false, false },
        { "127.0.0.1:465", true, true },        { "[2001:db8:1:ffff::1]:465", true, true },
        { "[2001:db8:2::1]:25", false, false }, { "192.0.2.9:465", false, false },
        { "192.0.2.8:465", false, true },       { "192.0.2.8:25", false, false },
    };
    struct settings s;

    read_text(&s, full);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint e = endpoint(rows[i].endpoint);

        CHECK_ROW(rows[i].endpoint);
        CHECK_EQ_INT(settings_trusts(&s, &e), rows[i].is_trusted);
        CHECK_EQ_INT(settings_is_implicit(&s, &e), rows[i].is_implicit);
        CHECK_EQ_INT(settings_is_tls_only(&s, &e), rows[i].is_implicit);
    }
    settings_free(&s);
}

static void reads_domains_from_a_file(void)
{
    char names[32], ini[128];
    struct settings s;

    write_file("# ours\nfile.example # and more\r\n\n*.file.example", names);
    snprintf(ini, sizeof ini, "[relay]\ndomains_file = %s\n", strrchr(names, '/') + 1); /* beside the ini */
    read_text(&s, ini);
    CHECK(settings_is_local(&s, SLICE("file.example")));
    CHECK(settings_is_local(&s, SLICE("a.file.example")));
    CHECK(!settings_is_local(&s, SLICE("more")));
    settings_free(&s);
    unlink(names);
}

/* The mailbox is of no use without quarantine = redirect. */
static void redirects_only_when_told(void)
{
    struct settings s;

    read_text(&s, "[dmarc]\nquarantine_mailbox = q@x\n");
    CHECK_EQ_INT(s.quarantine_mailbox[0], 0);
    settings_free(&s);
}

static int exit_status_of(const char *text)
{
    char path[32];
    int status = 0;
    pid_t child;

    write_file(text, path);
    child = fork();
    if (child == 0) {
        struct settings s;

        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        settings_read(&s, path);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    unlink(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ends_with_what_it_cannot_read(void)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        { "[limits]\nhold = 1M\n", 0 },
        { "[limits]\nhold\n", 65 },
        { "[limits\nhold = 1\n", 65 },
        { "[limits]\nhold = lots\n", 65 },
        { "[limits]\nhold = 99999999999999999999\n", 65 },
        { "[limits]\nfacts = 9999999999\n", 65 },
        { "[timeouts]\ncommand = 5 parsecs\n", 65 },
        { "[backend]\nservers = mail.example.org\n", 65 },
        { "[relay]\nnetworks = 10.0.0.0/33\n", 65 },
        { "[relay]\nnetworks = 10.0.0.0/\n", 65 },
        { "[relay]\nnetworks = 10.0.0/8\n", 65 },
        { "[relay]\ndomains_file = /nonexistent/domains\n", 66 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].text);
        CHECK_EQ_INT(exit_status_of(rows[i].text), rows[i].status);
    }
}

static const struct test_case tests[] = { TEST(knows_the_documented_defaults), TEST(reads_a_whole_file),
                                          TEST(knows_local_domains),           TEST(knows_clients_and_listeners),
                                          TEST(reads_domains_from_a_file),     TEST(redirects_only_when_told),
                                          TEST(ends_with_what_it_cannot_read) };
TEST_MAIN(tests)
