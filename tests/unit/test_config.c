/* The ini: what is an error and how it is told, what the defaults are, and that what is printed is what is in force. */
#include <stdlib.h>
#include <unistd.h>

#include "budget.h"
#include "config.h"
#include "config_parts.h"
#include "nearest.h"
#include "test.h"

/* Nine lines that are enough. [relay] is the last section, so that a row can go on with it. */
/* clang-format off */
#define BASE                                      \
    "[server]\nhostname = mx.example.org\n"       \
    "[listen smtp]\naddress = 127.0.0.1:2525\ntls = off\n" \
    "[backend]\nservers = 127.0.0.1:26\n"         \
    "[relay]\ndomains = example.org *.example.net\n"

/* The same without [server] and [relay]. */
#define MIDDLE "[listen smtp]\naddress = 127.0.0.1:2525\ntls = off\n[backend]\nservers = 127.0.0.1:26\n"
/* clang-format on */

static struct config *parse(struct str text, char **report)
{
    size_t n;
    FILE *errors = open_memstream(report, &n);
    struct config *config = config_parse(text, "f", errors);

    fclose(errors);
    return config;
}

/* A configuration that must be good; the test fails with its report when it is not. */
static struct config *parse_good(const char *text)
{
    char *report;
    struct config *config = parse(str_of(text), &report);

    CHECK_EQ_STR(report, strlen(report), "");
    CHECK(config != NULL);
    free(report);
    return config;
}

static char *print(const struct config *config)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    config_print(config, out);
    fclose(out);
    return text;
}

/* ---- errors ---- */

struct error_row {
    const char *label;
    const char *text;
    const char *report;
};

/* clang-format off */
static const struct error_row error_rows[] = {
    { "good", BASE, "" },
    { "unknown section", BASE "[limit]\nx = 1\n", "f:10: unknown section \"limit\"; did you mean \"limits\"?\n" },
    { "nothing like any section", BASE "[frobnicate]\n", "f:10: unknown section \"frobnicate\"; 'postern check --defaults' lists them\n" },
    { "unknown key", BASE "domain = x\n", "f:10: [relay]: unknown key \"domain\"; did you mean \"domains\"?\n" },
    { "swapped letters", BASE "[limits]\nmemroy = 1M\n", "f:11: [limits]: unknown key \"memroy\"; did you mean \"memory\"?\n" },
    { "key before any section", "x = 1\n" BASE, "f:1: \"x\": a key before the first [section]\n" },
    { "no value", BASE "[limits]\nsessions\n", "f:11: [limits]: \"sessions\": expected key = value\n" },
    { "all of them", BASE "[limits]\nfoo\nsessions = 0\n[log]\nto = printer\n",
      "f:11: [limits]: \"foo\": expected key = value\n"
      "f:12: [limits] sessions: \"0\": expected a number of sessions from 1 to 100000\n"
      "f:14: [log] to: \"printer\": expected stderr or syslog\n" },
    { "key twice", BASE "domains = example.com\n", "f:10: [relay] domains: this key is here twice, first in line 9\n" },
    { "section twice", BASE "[log]\n[log]\n", "f:11: [log]: this section is here twice, first in line 10\n" },
    { "listener twice", BASE "[listen smtp]\n", "f:10: [listen smtp]: this section is here twice, first in line 3\n" },
    { "heading without end", BASE "[log\n", "f:10: \"[log\": expected ']' at the end of the section's name\n" },
    { "heading with rubbish", BASE "[log] x\n", "f:10: \"x\": unexpected after the section's name\n" },
    { "name where none is", BASE "[log main]\n", "f:10: [log] takes no name\n" },
    { "no name where one is", BASE "[certificate]\n",
      "f:10: \"\": expected a name of letters, digits, '-', '_', '.', as in [certificate main]\n" },
    { "route is no domain", BASE "[route a..b]\nservers = 127.0.0.1\n",
      "f:10: \"a..b\": expected a domain name or *.domain, as in [route example.org]\n" },
    { "control character", BASE "[log]\nto = std\x1b[2Jerr\n", "f:11: a control character in the line: to = std\\x1b[2Jerr\n" },
    { "number", BASE "[limits]\nhops = many\n",
      "f:11: [limits] hops: \"many\": expected a number of Received fields from 10 to 1000\n" },
    { "number above its range", BASE "[limits]\nrecipients = 99999999999999999999999\n",
      "f:11: [limits] recipients: \"99999999999999999999999\": expected a number of recipients from 100 to 50000\n" },
    { "too few recipients", BASE "[limits]\nrecipients = 99\n",
      "f:11: [limits] recipients: \"99\": expected a number of recipients from 100 to 50000\n" },
    { "octets that overflow", BASE "[limits]\nmemory = 18446744073709551615G\n",
      "f:11: [limits] memory: \"18446744073709551615G\": expected octets from 16M to 1024G (k, M, G: powers of 1024)\n" },
    { "unit", BASE "[timeouts]\ncommand = 3 weeks\n",
      "f:11: [timeouts] command: \"3 weeks\": expected a time from 1s to 1h (ms, s, m, h, d)\n" },
    { "beyond what a client waits", BASE "[timeouts]\nsouth_end = 10m\n",
      "f:11: [timeouts] south_end: \"10m\": expected a time from 1s to 590s (ms, s, m, h, d)\n" },
    { "bool", BASE "allow_percent = maybe\n", "f:10: [relay] allow_percent: \"maybe\": expected yes or no\n" },
    { "empty where a value must be", BASE "allow_percent =\n", "f:10: [relay] allow_percent: \"\": expected yes or no\n" },
    { "host bits", BASE "networks = 10.0.0.1/8, ::1\n",
      "f:10: [relay] networks: \"10.0.0.1/8\": expected networks such as 192.0.2.0/24 or 2001:db8::/32, host bits zero\n" },
    { "bad items by their lines", BASE "networks = 10.0.0.0/8\n  x\n\n# well\n  ::1 y\n",
      "f:11: [relay] networks: \"x\": expected networks such as 192.0.2.0/24 or 2001:db8::/32, host bits zero\n"
      "f:14: [relay] networks: \"y\": expected networks such as 192.0.2.0/24 or 2001:db8::/32, host bits zero\n" },
    { "address for a domain", "[server]\nhostname = mx.example.org\n" MIDDLE "[relay]\ndomains = 10.0.0.1\n",
      "f:9: [relay] domains: \"10.0.0.1\": expected domain names, or *.example.org for all names below example.org\n" },
    { "listener without port", BASE "[listen two]\naddress = 127.0.0.1\ntls = off\n",
      "f:11: [listen two] address: \"127.0.0.1\": expected addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25\n" },
    { "host name for a server", BASE "[route example.org]\nservers = mail.example.org:25\n",
      "f:11: [route example.org] servers: \"mail.example.org:25\": host names are not looked up; expected an IP address, such as "
      "192.0.2.1:25\n" },
    { "too many servers", BASE "[route example.org]\nservers = [::1] ::1 ::1 ::1 ::1 ::1 ::1 ::1 ::1\n",
      "f:11: [route example.org] servers: 9 items, and 8 are the most\n" },
    { "commas alone", BASE "[route example.org]\nservers = ,\n",
      "f:11: [route example.org] servers: \",\": expected addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25\n" },
    { "indented key", BASE "[log]\nto = stderr\n  level = info\n",
      "f:12: [log] to: an indented line goes on with the value before, and this is no list; keys begin in the first column\n" },
    { "indented first key", BASE "[log]\n  to = stderr\n",
      "f:11: \"to = stderr\": an indented line, but no value before it to go on with; keys begin in the first column\n" },
    { "file that is not there", BASE "[certificate a]\nchain = /nonexistent/a\nkey = /dev/null\n",
      "f:11: [certificate a] chain: \"/nonexistent/a\": expected a file that can be read: No such file or directory\n"
      "f:12: [certificate a] key: \"/dev/null\": expected a file that can be read: Invalid argument\n" },
    { "a rate by what is not known", BASE "[rate a]\ncount = connections\nper = user\n[rate b]\nper = asn\n",
      "f:12: [rate a] per: connections have neither sender nor user; expected address, network, site or asn\n"
      "f:14: [rate b] per: asn needs [geo] asn_database\n" },
    { "rates out of range", BASE "[rates]\nmemory = 1k\n[rate a]\nlimit = 0\nwindow = 999ms\n",
      "f:11: [rates] memory: \"1k\": expected octets from 64k to 1G (k, M, G: powers of 1024)\n"
      "f:13: [rate a] limit: \"0\": expected a number of units from 1 to 1000000000000\n"
      "f:14: [rate a] window: \"999ms\": expected a time from 1s to 1d (ms, s, m, h, d)\n" },
    { "slower than very slow", BASE "[brownout]\nslow = 41s\n",
      "f:10: [brownout] very_slow: must not be below slow\n" },
    { "required keys", "[server]\nhostname = mx.example.org\n[certificate a]\n[relay]\ndomains = example.org\n",
      "f: [backend] servers: missing; expected addresses with ports, such as 192.0.2.1:25 or [2001:db8::1]:25\n"
      "f:3: [certificate a] chain: missing; expected a file that can be read\n"
      "f:3: [certificate a] key: missing; expected a file that can be read\n" },
    { "default listener needs a certificate",
      "[server]\nhostname = mx.example.org\n[backend]\nservers = 127.0.0.1\n[relay]\ndomains = example.org\n",
      "f: [listen smtp] tls: needs a certificate: add a section [certificate NAME] with chain and key, or set tls = off\n" },
    { "open to nobody", "[server]\nhostname = mx.example.org\n" MIDDLE,
      "f: [relay] domains: missing, and neither networks nor a listener with auth = yes: nothing would ever be accepted\n" },
    { "TLS required and off", BASE "[listen two]\naddress = [::1]:26\ntls = off\nrequire_tls = yes\nauth = yes\n",
      "f:13: [listen two] require_tls: yes contradicts tls = off\n"
      "f:14: [listen two] auth: yes contradicts tls = off: passwords are taken in encrypted sessions alone\n" },
    { "address twice", BASE "[listen two]\naddress = [::1]:26 127.0.0.1:2525\ntls = off\n",
      "f:11: [listen two] address: 127.0.0.1:2525 is listened on twice\n" },
    { "mechanisms that cannot work", BASE "[auth]\nmechanisms = PLAIN external SCRAM-SHA-256-PLUS X+Y\n",
      "f:11: [auth] mechanisms: \"external\": not across a gateway: it would log in Postern itself, not the client\n"
      "f:11: [auth] mechanisms: \"SCRAM-SHA-256-PLUS\": not across a gateway: it binds the password to the TLS channel, and "
      "there are two\n"
      "f:11: [auth] mechanisms: \"X+Y\": expected a SASL mechanism such as PLAIN\n" },
    { "fingerprint", BASE "[route example.org]\nservers = [::1]\ntls = required\ntls_fingerprint = AB:CD\n",
      "f:13: [route example.org] tls_fingerprint: \"AB:CD\": expected the SHA-256 of a certificate, 64 hexadecimal digits\n" },
    { "name without authority", BASE "[route example.org]\nservers = [::1]\ntls_name = mail.example.org\n",
      "f:12: [route example.org] tls_name: needs tls_ca: without one the name in a certificate proves nothing\n" },
    { "hold above the share",
      "[server]\nhostname = mx.example.org\nworkers = 2\n" MIDDLE
      "[relay]\ndomains = example.org\n[limits]\nmessage_memory = 4M\nhold = 3M\n",
      "f:13: [limits] hold: 3M is more than a worker's share of message_memory, 2048k with 2 workers\n" },
    { "redirect to nobody", BASE "[dmarc]\nquarantine = redirect\n",
      "f:11: [dmarc] quarantine: redirect needs quarantine_mailbox\n" },
    { "redirect to no address", BASE "[dmarc]\nquarantine = redirect\nquarantine_mailbox = quarantine\n",
      "f:12: [dmarc] quarantine_mailbox: \"quarantine\": expected an address such as quarantine@example.org\n" },
    { "mailbox without redirect", BASE "[dmarc]\nquarantine_mailbox = quarantine@example.org\n",
      "f:11: [dmarc] quarantine_mailbox: warning: gets nothing without quarantine = redirect\n" },
    { "DMARC without what it goes by", BASE "[spf]\ncheck = no\n[dkim]\ncheck = no\n",
      "f:11: [spf] check: warning: no, while [dmarc] refuses mail: also what only SPF authenticates\n"
      "f:13: [dkim] check: warning: no, while [dmarc] refuses mail: also what only DKIM authenticates\n" },
    { "for some domains, too", BASE "[dkim]\ncheck = no\n[dmarc]\nmode = off\nenforce_domains = example.com\n",
      "f:11: [dkim] check: warning: no, while [dmarc] refuses mail: also what only DKIM authenticates\n" },
    { "but not when it only watches", BASE "[spf]\ncheck = no\n[dmarc]\nmode = monitor\n", "" },
    { "trust in chains that are not read", BASE "[arc]\ncheck = no\ntrusted_sealers = example.com\n",
      "f:12: [arc] trusted_sealers: warning: nobody is trusted with check = no\n" },
    { "server unknown to relay", BASE "[route example.com]\nservers = [::1]\n",
      "f:11: [route example.com] servers: warning: [relay] domains does not hold this domain, so no mail comes this way\n" },
    { "encrypted to whom", BASE "[route a.example.net]\nservers = [::1]\ntls = required\n",
      "f:12: [route a.example.net] tls: warning: encrypted, but to whom is not checked: set tls_ca or tls_fingerprint\n" },
};
/* clang-format on */

static void tells_errors(void)
{
    for (size_t i = 0; i < sizeof error_rows / sizeof *error_rows; i++) {
        const struct error_row *row = &error_rows[i];
        char *report;
        struct config *config = parse(str_of(row->text), &report);
        bool is_good = row->report[0] == '\0' || strstr(row->report, "warning: ") != NULL;

        CHECK_ROW(row->label);
        CHECK_EQ_STR(report, strlen(report), row->report);
        CHECK_EQ_INT(config != NULL, is_good);
        config_free(config);
        free(report);
    }
}

static void refuses_nul(void)
{
    static const char text[] = BASE "[log]\nto = stderr\0 x\n";
    char *report;

    CHECK(parse(str_from(text, sizeof text - 1), &report) == NULL);
    CHECK_EQ_STR(report, strlen(report), "f:11: a control character in the line: to = stderr\\x00 x\n");
    free(report);
}

/* inih cuts at 200 octets by default, and we at 4096 (ATTACKS M02). */
static void long_lines_are_whole_or_errors(void)
{
    for (size_t n = 4094; n <= 4098; n++) {
        char text[8192] = BASE "[log]\nto = ";
        size_t start = strlen(text) - 5;
        char *report;
        struct config *config;

        memset(text + start + 5, ' ', n);
        strcpy(text + start + n - 6, "stderr\n");
        config = parse(str_of(text), &report);
        CHECK_EQ_INT(config != NULL, n <= CONFIG_LINE_MAX);
        CHECK_EQ_INT(strstr(report, "octets, and 4096 is the most") != NULL, n > CONFIG_LINE_MAX);
        config_free(config);
        free(report);
    }
}

static void caps_its_report(void)
{
    char *text, *report;
    size_t n, lines = 0;
    FILE *out = open_memstream(&text, &n);

    fputs(BASE "[limits]\n", out);
    for (int i = 0; i < 1000000; i++)
        fputs("x = 1\n", out);
    fclose(out);
    CHECK(parse(str_from(text, n), &report) == NULL);
    for (const char *p = report; *p != '\0'; p++)
        lines += *p == '\n';
    CHECK_EQ_INT(lines, CONFIG_ERRORS_MAX + 1);
    CHECK(strstr(report, "f: 999900 more errors\n") != NULL);
    free(report);
    free(text);
}

/* ---- values ---- */

static void has_sane_defaults(void)
{
    struct config *config = parse_good(BASE);

    if (config == NULL)
        return;
    CHECK_EQ_STR(config->hostname.p, config->hostname.n, "mx.example.org");
    CHECK_EQ_STR(config->authserv_id.p, config->authserv_id.n, "mx.example.org");
    CHECK(config->workers >= 1);
    CHECK_EQ_INT(config->limits.message_size, 50 << 20);
    CHECK_EQ_INT(config->limits.recipients, 1000);
    CHECK_EQ_INT(config->timeouts.command, 300000);
    CHECK_EQ_INT(config->timeouts.south_end, 580000);
    CHECK_EQ_INT(config->framing, FRAMING_REJECT);
    CHECK_EQ_INT(config->auth_mechanisms.n, 2);
    CHECK_EQ_INT(config->log_level, LOG_INFO);
    CHECK_EQ_INT(config->routes[0].tls, SOUTH_TLS_OPPORTUNISTIC);
    CHECK_EQ_INT(config->routes[0].servers.item[0].port, 26);
    config_free(config);
}

/* Ours are in force until the operator has his own, or wants none. */
static void rates_are_built_in(void)
{
    static const struct {
        const char *about, *ini;
        size_t n;
        const char *first;
    } inis[] = {
        { "none", BASE, 12, "connections" },
        { "his own", BASE "[rate mails]\nlimit = 7\n", 1, "mails" },
        { "not wanted", BASE "[rates]\nbuiltin = no\n", 0, "" },
    };

    for (size_t i = 0; i < sizeof inis / sizeof *inis; i++) {
        struct config *config = parse_good(inis[i].ini);
        const struct rate *rates;

        CHECK_ROW(inis[i].about);
        if (config == NULL)
            return;
        rates = config->policy.rates.list.item;
        CHECK_EQ_INT(config->policy.rates.list.n, inis[i].n);
        if (inis[i].n > 0)
            CHECK_EQ_STR(rates[0].name.p, rates[0].name.n, inis[i].first);
        if (inis[i].n == 12) {
            CHECK_EQ_INT(rates[9].count, RATE_UNKNOWN_RECIPIENTS);
            CHECK_EQ_INT(rates[9].per, RATE_ADDRESS);
            CHECK_EQ_INT(rates[9].limit, 30);
            CHECK_EQ_INT(rates[9].window, 3600000);
            CHECK_EQ_INT(rates[9].rule.mode, RULE_REJECT);
            CHECK_EQ_INT(rates[11].per, RATE_SITE);
        }
        config_free(config);
    }
}

static void reads_bom_crlf_and_comments(void)
{
    struct config *config =
        parse_good("\xEF\xBB\xBF# one\r\n[server] ; two\r\nhostname = mx.example.org # three\r\n"
                   "\r\n[listen smtp]\r\naddress = 127.0.0.1:1,[::1]:2\r\n  \t127.0.0.2:3 ; four\r\n"
                   "tls = OFF\r\n[backend]\r\nservers = [::1]\r\n[relay]\r\ndomains =\r\n  "
                   "Example.ORG\r\n\r\n# five\r\n  caf\xC3\xA9.example");

    if (config == NULL)
        return;
    CHECK_EQ_STR(config->hostname.p, config->hostname.n, "mx.example.org");
    CHECK_EQ_INT(config->listeners[0].address.n, 3);
    CHECK_EQ_INT(config->listeners[0].address.item[2].port, 3);
    CHECK_EQ_INT(config->routes[0].servers.item[0].port, 25);
    CHECK(domain_set_holds(&config->policy.relay.domains, STR("example.org")));
    CHECK(domain_set_holds(&config->policy.relay.domains, STR("xn--caf-dma.example")));
    config_free(config);
}

static void reads_units(void)
{
    struct config *config = parse_good(BASE "[limits]\nhold = 512K\nmessage_size = 100000\nmemory = 1 G\n"
                                            "[timeouts]\ncommand = 5m\nconnect = 1500ms\nwait = 60\n"
                                            "[framing]\nmode = normalise\n");

    if (config == NULL)
        return;
    CHECK_EQ_INT(config->limits.hold, 512 << 10);
    CHECK_EQ_INT(config->limits.message_size, 100000);
    CHECK_EQ_INT(config->limits.memory, 1 << 30);
    CHECK_EQ_INT(config->timeouts.command, 300000);
    CHECK_EQ_INT(config->timeouts.connect, 1500);
    CHECK_EQ_INT(config->timeouts.wait, 60000);
    CHECK_EQ_INT(config->framing, FRAMING_NORMALISE);
    config_free(config);
}

static void folds_fingerprints(void)
{
    struct config *config = parse_good(
        BASE "[route example.org]\nservers = [::1]\ntls = required\ntls_fingerprint = "
             "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89\n");

    if (config == NULL)
        return;
    CHECK_EQ_STR(config->routes[1].tls_fingerprint.p, config->routes[1].tls_fingerprint.n,
                 "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789");
    config_free(config);
}

static void finds_routes(void)
{
    struct config *config =
        parse_good(BASE "networks = ::1\n[route *.example.net]\nservers = [::1]\n[route *.b.example.net]\n"
                        "servers = [::1]\n[route a.b.Example.NET]\nservers = [::1]\n");
    static const struct {
        const char *domain;
        size_t route;
    } rows[] = { { "example.net", 0 },     { "x.example.net", 1 },   { "x.y.example.net", 1 }, { "b.example.net", 1 },
                 { "x.b.example.net", 2 }, { "a.b.example.net", 3 }, { "xexample.net", 0 },    { "", 0 } };

    for (size_t i = 0; config != NULL && i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].domain);
        CHECK_EQ_INT(config_route(config, str_of(rows[i].domain)) - config->routes, rows[i].route);
    }
    config_free(config);
}

/* ---- files ---- */

static void write_file(char path[], const char *text)
{
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void reads_domain_files(void)
{
    char path[] = "/tmp/postern-domains-XXXXXX", bad[] = "/tmp/postern-domains-XXXXXX", text[512], *report, want[512];
    struct config *config;

    write_file(path, "\xEF\xBB\xBF"
                     "a.example\r\n# none\n\n *.b.example # some\nexample.org");
    snprintf(text, sizeof text, BASE "domains_file = %s\n", path);
    config = parse_good(text);
    if (config != NULL) {
        CHECK_EQ_INT(config->policy.relay.domains.n, 4);
        CHECK(domain_set_holds(&config->policy.relay.domains, STR("a.example")));
        CHECK(domain_set_holds(&config->policy.relay.domains, STR("x.b.example")));
        CHECK(domain_set_holds(&config->policy.relay.domains, STR("x.example.net")));
    }
    config_free(config);

    write_file(bad, "a.example\nb example\n");
    snprintf(text, sizeof text, BASE "domains_file = %s\n", bad);
    CHECK(parse(str_of(text), &report) == NULL);
    snprintf(want, sizeof want,
             "f:10: [relay] domains_file: %s:2: \"b example\": expected a domain name, or *.example.org\n", bad);
    CHECK_EQ_STR(report, strlen(report), want);
    free(report);
    unlink(path);
    unlink(bad);
}

static void loads_files(void)
{
    char path[] = "/tmp/postern-ini-XXXXXX", *report;
    size_t n;
    FILE *errors = open_memstream(&report, &n);
    struct config *config;

    write_file(path, BASE);
    config = config_load(path, errors);
    CHECK(config != NULL);
    config_free(config);
    unlink(path);
    CHECK(config_load("/nonexistent/x.ini", errors) == NULL);
    CHECK(config_load("/tmp", errors) == NULL);
    fclose(errors);
    CHECK_EQ_STR(report, n, "/nonexistent/x.ini: No such file or directory\n/tmp: Is a directory\n");
    free(report);
}

/* ---- rows and printing ---- */

static void check_option_row(const struct option *row)
{
    bool has_range = row->type == OPTION_NUMBER || row->type == OPTION_BYTES || row->type == OPTION_SECONDS;

    CHECK_ROW(row->key);
    CHECK(row->help != NULL && strlen(row->help) > 10 && row->help[strlen(row->help) - 1] == '.');
    CHECK(strspn(row->key, "abcdefghijklmnopqrstuvwxyz_") == strlen(row->key));
    CHECK(!has_range || (row->preset != NULL && row->min < row->max));
    CHECK((row->type != OPTION_CHOICE && row->type != OPTION_SET) || (row->preset != NULL && row->choices != NULL));
    CHECK(row->type != OPTION_BOOL || row->preset != NULL);
    CHECK(row->preset == NULL || !row->required);
}

/* That defaults are within their range shows in BASE being good: they are read like any value. */
static void rows_are_complete(void)
{
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        CHECK(section.help != NULL);
        for (size_t k = 0; k < section.rows_n; k++)
            check_option_row(&section.rows[k]);
    }
}

static void prints_what_it_reads(void)
{
    struct config *config =
        parse_good(BASE "networks = 10.0.0.0/8 192.0.2.1 2001:db8::/32 ::/0 0.0.0.0/0\n"
                        "[route *.example.net]\nservers = [::1]:2525 127.0.0.1\nclient_info = proxy-v2\n"
                        "[timeouts]\nconnect = 1500ms\ncommand = 90s\n[limits]\nhold = 0\nmessage_size = 100001\n"
                        "[auth]\nmechanisms = plain\n[log]\nformat = json\n");
    if (config != NULL) {
        char *first = print(config);
        struct config *again = parse_good(first);
        char *second = again != NULL ? print(again) : strdup("");

        CHECK_EQ_STR(second, strlen(second), first);
        CHECK(strstr(first, "networks = 10.0.0.0/8 192.0.2.1/32 2001:db8::/32 ::/0 0.0.0.0/0\n") != NULL);
        CHECK(strstr(first, "connect = 1500ms\ngreeting = 1m\n") != NULL);
        CHECK(strstr(first, "[route *.example.net]\nservers = [::1]:2525 127.0.0.1:25\n") != NULL);
        free(first);
        free(second);
        config_free(again);
    }
    config_free(config);
}

static void long_lists_are_printed_in_lines(void)
{
    char text[8192] = BASE "  ";
    struct config *config;
    char *printed;

    for (int i = 0; i < 300; i++)
        sprintf(text + strlen(text), "d%d.example%s", i, i % 100 == 99 ? "\n  " : " ");
    config = parse_good(text);
    if (config == NULL)
        return;
    CHECK_EQ_INT(config->policy.relay.domains.n, 302);
    printed = print(config);
    for (const char *p = printed; *p != '\0'; p = strchr(p, '\n') + 1)
        CHECK(strcspn(p, "\n") <= 120);
    config_free(config);
    config = parse_good(printed);
    CHECK(config != NULL && config->policy.relay.domains.n == 302);
    free(printed);
    config_free(config);
}

/* The sample names every key, commented, and says what it needs. */
static void sample_is_a_configuration(void)
{
    char *text, *report;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    config_print_defaults(out);
    fclose(out);
    CHECK(parse(str_from(text, n), &report) == NULL);
    CHECK(strstr(report, "f:") == report && strstr(report, "[backend] servers: missing") != NULL);
    CHECK(strstr(report, "unknown") == NULL && strstr(report, "expected key") == NULL);
    for (size_t i = 0; i < config_sections_n(); i++) {
        struct config_section section = config_section_at(i);

        for (size_t k = 0; k < section.rows_n; k++) {
            char line[64];

            snprintf(line, sizeof line, "\n#%s =", section.rows[k].key);
            CHECK_ROW(line + 1);
            CHECK(strstr(text, line) != NULL);
        }
    }
    free(text);
    free(report);
}

static void manual_is_the_committed_one(void)
{
    char *text, *page;
    size_t n, page_n = 0;
    FILE *out = open_memstream(&text, &n);

    config_print_manual(out);
    fclose(out);
    page = config_read_file("proxy/man/postern.ini.5", true, &page_n);
    CHECK(page != NULL && page_n == n && memcmp(page, text, n) == 0); /* else: postern check --manual > that file */
    free(page);
    free(text);
}

/* ---- what is judged ---- */

static char *print_checks(const char *ini)
{
    struct config *config = parse_good(ini);
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    config_print_checks(config, out);
    fclose(out);
    config_free(config);
    return text;
}

/* A check's own lines, its name's first; the caller frees. */
static char *lines_of(const char *text, const char *name)
{
    char line[64], *from, *to;
    size_t n = (size_t)snprintf(line, sizeof line, "\n#   %s", name);

    while ((from = strstr(text, line)) != NULL && from[n] != ' ' && from[n] != '\n')
        text = from + 1;
    if (from == NULL)
        return NULL;
    to = strchr(from + 1, '\n');
    while (to != NULL && strncmp(to + 1, "#     ", 6) == 0)
        to = strchr(to + 1, '\n');
    return to != NULL ? strndup(from + 1, (size_t)(to - from)) : strdup(from + 1);
}

/* A row is told with its default, but for what is no mode and no bound: lists and texts. */
static void row_is_told(const struct option *row, const char *lines)
{
    char setting[256];

    if (row->preset == NULL || (row->type != OPTION_BOOL && row->type != OPTION_CHOICE && row->type != OPTION_NUMBER))
        return;
    snprintf(setting, sizeof setting, " %s = %s", row->key, row->preset);
    CHECK_ROW(row->key);
    CHECK(strstr(lines, setting) != NULL);
}

static void every_check_is_told(void)
{
    char *text = print_checks(BASE);

    for (size_t i = 0; i < policy_checks_n; i++) {
        const struct check *check = policy_checks[i];
        char *lines = lines_of(text, check->name);

        CHECK_ROW(check->name);
        CHECK(lines != NULL);
        for (int stage = 0; stage < STAGES; stage++)
            if (check->stages & 1u << stage)
                CHECK(strstr(lines, stage_name((enum stage)stage)) != NULL);
        for (size_t k = 0; k < check->options_n; k++)
            row_is_told(&check->options[k], lines);
        for (size_t k = 0; k < check->lists_n; k++) /* rates bring their own */
            CHECK(strstr(lines, strcmp(check->name, "rates") == 0 ? "[rate harvest]" : " NAME] none\n") != NULL);
        free(lines);
    }
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        CHECK(strlen(line) <= 140 && line[0] == '#');
    free(text);
}

static void checks_are_told_as_they_are_set(void)
{
    /* clang-format off */
    static const char *const wanted =
        "#   lists           connect helo mail rcpt headers end  mode = score, threshold = 5 points, early = no\n"
        "#                   [list zen.example]                  of = client helo, kind = block, points = 7 points, "
        "parents = 1 names,\n"
        "#                                                       addresses = ipv4 ipv6, timeout = 3s, temperror = accept, "
        "self_test = yes\n";
    /* clang-format on */
    char *text = print_checks(BASE "[lists]\nmode = score\n[list zen.example]\ncodes = 127.0.0.2\nof = helo client\n"
                                   "points = 7\naddresses = ipv4 ipv6\n");
    char *lines = lines_of(text, "lists");

    CHECK_EQ_STR(lines, strlen(lines), wanted);
    free(lines);
    free(text);
}

/* ---- memory ---- */

/* What all workers share. */
static uint64_t shared_tables(const struct policy *policy)
{
    return policy->standing.memory + policy->greylist.memory + policy->recipients.memory + policy->rates.memory;
}

static uint64_t worst_case(const struct config *config, bool tls)
{
    struct config_store store = { config->memory };
    uint64_t session = BUDGET_SESSION + BUDGET_INPUT + config->dns.in_flight_session * BUDGET_QUESTION +
                       2 * config->workers * BUDGET_ADDRESS_ENTRY + (tls ? BUDGET_TLS : 0);

    uint64_t dns = config->dns.cache_size + config->dns.in_flight * BUDGET_DNS_QUERY + BUDGET_DNS_ANSWER;

    return BUDGET_SUPERVISOR + 2 * config->workers * (BUDGET_WORKER + dns) + 2 * config->limits.message_memory +
           config->limits.sessions * session + 2 * config_store_size(&store) + shared_tables(&config->policy);
}

static void proves_memory_at_the_bound(void)
{
    struct config *config = parse_good(BASE);
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (config != NULL) {
        config->limits.memory = worst_case(config, true);
        CHECK(config_prove_memory(config, out));
        config->limits.memory--;
        CHECK(!config_prove_memory(config, out));
        config->routes[0].tls = SOUTH_TLS_OFF;
        config->limits.memory = worst_case(config, false);
        CHECK(config_prove_memory(config, out));
        config->limits.memory--;
        CHECK(!config_prove_memory(config, out));
    }
    fclose(out);
    CHECK(strstr(text, "# does not fit: raise [limits] memory to ") != NULL);
    CHECK(strstr(text, "or lower [limits] sessions to 299\n") != NULL);
    free(text);
    config_free(config);
}

/* One per processor, but never more than fit. */
static void workers_fit_memory(void)
{
    struct config *config = parse_good(BASE);

    if (config == NULL)
        return;
    config->workers = 3;
    config->limits.memory = worst_case(config, true);
    CHECK_EQ_INT(config_workers_that_fit(config, 64), 3);
    CHECK_EQ_INT(config_workers_that_fit(config, 2), 2);
    config->limits.memory = 0;
    CHECK_EQ_INT(config_workers_that_fit(config, 64), 1);
    config_free(config);
}

/* ---- names ---- */

static void finds_the_nearest_name(void)
{
    static const char *const names[] = { "sessions", "sessions_per_address", "memory", "hold", "to" };
    static const struct {
        const char *wrong, *nearest;
    } rows[] = { { "sesions", "sessions" },
                 { "session", "sessions" },
                 { "Memory", "memory" },
                 { "hlod", "hold" },
                 { "ot", "to" },
                 { "xyz", NULL },
                 { "", NULL },
                 { "frobnicate", NULL },
                 { "sessions_per_adress", "sessions_per_address" } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *nearest = nearest_name(str_of(rows[i].wrong), names, sizeof names / sizeof *names);

        CHECK_ROW(rows[i].wrong);
        CHECK(nearest == NULL ? rows[i].nearest == NULL
                              : rows[i].nearest != NULL && strcmp(nearest, rows[i].nearest) == 0);
    }
}

static const struct test_case tests[] = {
    TEST(tells_errors),
    TEST(refuses_nul),
    TEST(long_lines_are_whole_or_errors),
    TEST(caps_its_report),
    TEST(has_sane_defaults),
    TEST(rates_are_built_in),
    TEST(reads_bom_crlf_and_comments),
    TEST(reads_units),
    TEST(folds_fingerprints),
    TEST(finds_routes),
    TEST(reads_domain_files),
    TEST(loads_files),
    TEST(rows_are_complete),
    TEST(prints_what_it_reads),
    TEST(long_lists_are_printed_in_lines),
    TEST(sample_is_a_configuration),
    TEST(manual_is_the_committed_one),
    TEST(every_check_is_told),
    TEST(checks_are_told_as_they_are_set),
    TEST(proves_memory_at_the_bound),
    TEST(workers_fit_memory),
    TEST(finds_the_nearest_name),
};
TEST_MAIN(tests)
