/* Every section and key of the ini but those of the policy's checks, which bring their own. */
#include "config_parts.h"

#include "../policy/path.h"
#include "record.h"

#define CONFIG(field) offsetof(struct config, field)
#define LISTENER(field) offsetof(struct listener, field)
#define ROUTE(field) offsetof(struct route, field)
#define CERTIFICATE(field) offsetof(struct certificate, field)
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* NOLINTBEGIN(bugprone-macro-parentheses): a designator takes no parentheses */
/* clang-format off */
/* Short forms for the many rows of one kind. Times are given in seconds. */
#define NUMBER(section_, key_, field, preset_, min_, max_, unit_, help_)                                        \
    { .section = section_, .key = key_, .type = OPTION_NUMBER, .offset = CONFIG(field), .preset = preset_,      \
      .min = min_, .max = max_, .unit = unit_, .help = help_ }
#define BYTES(key_, field, preset_, min_, max_, help_)                                                          \
    { .section = "limits", .key = key_, .type = OPTION_BYTES, .offset = CONFIG(field), .preset = preset_,       \
      .min = min_, .max = max_, .help = help_ }
#define SECONDS(key_, preset_, min_, max_, help_)                                                               \
    { .section = "timeouts", .key = #key_, .type = OPTION_SECONDS, .offset = CONFIG(timeouts.key_),             \
      .preset = preset_, .min = (min_) * 1000ULL, .max = (max_) * 1000ULL, .help = help_ }
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

#define KILO (1ULL << 10)
#define MEGA (1ULL << 20)
#define GIGA (1ULL << 30)

static const char *const listen_tls[] = { "off", "starttls", "implicit", NULL };
static const char *const south_tls[] = { "off", "opportunistic", "required", NULL };
static const char *const client_info[] = { "none", "xclient", "proxy-v1", "proxy-v2", NULL };
static const char *const tls_versions[] = { "1.2", "1.3", NULL };
static const char *const framing_modes[] = { "reject", "normalise", NULL };
static const char *const log_formats[] = { "logfmt", "json", NULL };
static const char *const log_targets[] = { "stderr", "syslog", NULL };
static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };

/* clang-format off */
static const struct option server_rows[] = {
    { .section = "server", .key = "hostname", .type = OPTION_NAME, .offset = CONFIG(hostname),
      .help = "The name in the greeting, in EHLO to the mail server and in Received fields. When left out, the "
              "system's host name, if that is a full one with a dot." },
    { .section = "server", .key = "authserv_id", .type = OPTION_NAME, .offset = CONFIG(authserv_id),
      .help = "The name under which results are written into Authentication-Results fields (RFC 8601); fields from "
              "outside that claim it are removed. When left out, the hostname." },
    NUMBER("server", "workers", workers, "0", 0, 64, "processes",
           "Processes that share the work. 0: one per processor, as long as they fit [limits] memory."),
    { .section = "server", .key = "user", .type = OPTION_TEXT, .offset = CONFIG(user), .preset = "nobody",
      .help = "The user the workers become once the ports are bound, when started as root. Best one of its own." },
};

static const struct option listen_rows[] = {
    { .section = "listen", .key = "address", .type = OPTION_ENDPOINTS, .offset = LISTENER(address), .required = true,
      .max = 16, .help = "Addresses with ports to listen on." },
    { .section = "listen", .key = "tls", .type = OPTION_CHOICE, .offset = LISTENER(tls), .preset = "starttls",
      .choices = listen_tls,
      .help = "starttls offers it in clear sessions (port 25, 587); implicit begins with the handshake (port 465)." },
    { .section = "listen", .key = "require_tls", .type = OPTION_BOOL, .offset = LISTENER(require_tls), .preset = "no",
      .help = "Answer MAIL in clear sessions with 530. Not for port 25 of a public mail exchanger (RFC 3207 4)." },
    { .section = "listen", .key = "auth", .type = OPTION_BOOL, .offset = LISTENER(auth), .preset = "no",
      .help = "Offer AUTH once the session is encrypted. The mail server checks the password, and its yes allows "
              "relaying in that session." },
    { .section = "listen", .key = "proxy_from", .type = OPTION_NETWORKS, .offset = LISTENER(proxy_from),
      .help = "Load balancers in front of Postern: clients from here must speak the PROXY protocol (v1 or v2) "
              "first, and nobody else may." },
    { .section = "listen", .key = "sessions", .type = OPTION_NUMBER, .offset = LISTENER(sessions), .preset = "0",
      .max = 100000, .unit = "sessions", .help = "At once on this listener. 0: only [limits] sessions counts." },
};

static const struct option route_rows[] = {
    { .section = "backend", .key = "servers", .type = OPTION_ENDPOINTS, .offset = ROUTE(servers), .required = true,
      .min = 25, .max = CONFIG_SERVERS_MAX,
      .help = "The mail servers behind Postern, the preferred one first. IP addresses; the port may be left out "
              "when it is 25." },
    { .section = "backend", .key = "tls", .type = OPTION_CHOICE, .offset = ROUTE(tls), .preset = "opportunistic",
      .choices = south_tls,
      .help = "opportunistic encrypts when the server offers STARTTLS and does not ask who it is; required "
              "sends nothing in clear." },
    { .section = "backend", .key = "tls_ca", .type = OPTION_FILE, .offset = ROUTE(tls_ca),
      .help = "PEM file of the authorities that may have signed the server's certificate. Needs tls = required." },
    { .section = "backend", .key = "tls_name", .type = OPTION_NAME, .offset = ROUTE(tls_name),
      .help = "The name that must stand in the server's certificate; it is sent as SNI, too. Needs tls_ca." },
    { .section = "backend", .key = "tls_fingerprint", .type = OPTION_TEXT, .offset = ROUTE(tls_fingerprint),
      .help = "SHA-256 of the server's certificate, 64 hexadecimal digits, colons allowed: this certificate and no "
              "other. Needs tls = required." },
    { .section = "backend", .key = "client_info", .type = OPTION_CHOICE, .offset = ROUTE(client_info), .preset = "none",
      .choices = client_info,
      .help = "How the server learns the client's address: Postfix's XCLIENT, a PROXY protocol header, or not "
              "at all. It must be set to trust Postern with it." },
};

static const struct option certificate_rows[] = {
    { .section = "certificate", .key = "chain", .type = OPTION_FILE, .offset = CERTIFICATE(chain), .required = true,
      .help = "PEM file: the certificate, then those that lead to its authority." },
    { .section = "certificate", .key = "key", .type = OPTION_FILE, .offset = CERTIFICATE(key), .required = true,
      .help = "PEM file: its private key." },
};

static const struct option tls_rows[] = {
    { .section = "tls", .key = "min_version", .type = OPTION_CHOICE, .offset = CONFIG(tls_min), .preset = "1.2",
      .choices = tls_versions, .help = "The oldest TLS version, on both sides." },
};

static const struct option framing_rows[] = {
    { .section = "framing", .key = "mode", .type = OPTION_CHOICE, .offset = CONFIG(framing), .preset = "reject",
      .choices = framing_modes,
      .help = "What becomes of a bare CR, a bare LF or a NUL, with which messages are smuggled: reject refuses the "
              "message, normalise repairs it." },
    { .section = "framing", .key = "normalise", .type = OPTION_NETWORKS, .offset = CONFIG(normalise),
      .help = "Clients whose messages are repaired whatever mode says: devices that cannot do better." },
    NUMBER("framing", "min_data_rate", min_data_rate, "500", 1, 1000000, "octets per second",
           "A client that sends its message more slowly than this is cut off."),
};

static const struct option auth_rows[] = {
    { .section = "auth", .key = "mechanisms", .type = OPTION_WORDS, .offset = CONFIG(auth_mechanisms),
      .preset = "PLAIN LOGIN", .max = 16,
      .help = "SASL mechanisms that may be offered; shown are those which the mail server has, too. EXTERNAL and the "
              "-PLUS forms cannot work across a gateway." },
};

static const struct option limits_rows[] = {
    NUMBER("limits", "sessions", limits.sessions, "300", 1, 100000, "sessions",
           "Clients at once, over all workers. More are answered 421."),
    NUMBER("limits", "sessions_per_address", limits.sessions_per_address, "20", 1, 100000, "sessions",
           "At once from one client address."),
    BYTES("memory", limits.memory, "160M", 16 * MEGA, 1024 * GIGA,
          "What all processes together may need at worst; 'postern check' proves that the other limits keep to it."),
    BYTES("message_memory", limits.message_memory, "24M", MEGA, 1024 * GIGA,
          "The part of memory for messages that wait for their verdict, shared evenly by the workers."),
    BYTES("message_size", limits.message_size, "50M", 64 * KILO, 4 * GIGA,
          "The largest message, announced as SIZE. The mail server's own limit counts, too."),
    BYTES("header_size", limits.header_size, "256k", 16 * KILO, 16 * MEGA,
          "The largest header section of a message."),
    BYTES("hold", limits.hold, "1M", 0, 256 * MEGA,
          "Messages up to this size wait in memory for their verdict. Larger ones flow on to the mail server at "
          "once, and only their end is held back."),
    NUMBER("limits", "recipients", limits.recipients, "1000", 100, 50000, "recipients",
           "Per transaction; more are answered 452. RFC 5321 4.5.3.1.8 asks for 100 at least."),
    NUMBER("limits", "transactions", limits.transactions, "1000", 1, 1000000, "transactions", "Per session."),
    NUMBER("limits", "hops", limits.hops, "100", 10, 1000, "Received fields",
           "A message with more is in a loop and refused (RFC 5321 6.3)."),
    NUMBER("limits", "command_line", limits.command_line, "2048", 1024, CONFIG_COMMAND_LINE_MAX, "octets",
           "The longest command line. Lines of an AUTH exchange may always have the 12288 octets of RFC 4954 4."),
    NUMBER("limits", "errors", limits.errors, "20", 1, 10000, "commands",
           "Refused commands after which a session is closed."),
    NUMBER("limits", "junk", limits.junk, "100", 1, 10000, "commands",
           "Commands that lead nowhere (NOOP, RSET, VRFY and the like) after which a session is closed."),
    NUMBER("limits", "stress", limits.stress, "80", 0, 100, "per cent of sessions",
           "In use: from there on stress_errors, stress_junk and [timeouts] stress hold for clients that are not known to "
           "be good and have sent no message yet, so that places are left for others. 0: never."),
    NUMBER("limits", "stress_errors", limits.stress_errors, "1", 1, 10000, "commands", "In place of errors."),
    NUMBER("limits", "stress_junk", limits.stress_junk, "1", 1, 10000, "commands", "In place of junk."),
    NUMBER("limits", "facts", limits.facts, "256", 64, FACTS_ROOM_MAX, "answers",
           "Of the DNS and the like, kept for one message. What is asked beyond counts as a limit that the sender "
           "exceeded."),
    NUMBER("limits", "passes", limits.passes, "64", 8, 1000, "rounds",
           "Of questions for one message, each about the answers of those before. What is asked beyond counts as a "
           "limit that the sender exceeded."),
};

static const struct option timeouts_rows[] = {
    SECONDS(command, "300s", 1, 3600,
            "Longest wait for the next complete command. RFC 5321 4.5.3.2.7 asks for 5 minutes at least."),
    SECONDS(stress, "10s", 1, 3600, "In place of command and tls_handshake, while [limits] stress holds."),
    SECONDS(tls_handshake, "30s", 1, 300, "Longest TLS handshake, on either side."),
    SECONDS(data_cap, "300s", 1, 3600,
            "While a message comes in its deadline moves on at min_data_rate, but is never further ahead than this."),
    SECONDS(connect, "10s", 1, 30, "For a connection to the mail server."),
    SECONDS(greeting, "60s", 1, 300, "For the mail server's greeting and its answer to EHLO."),
    SECONDS(south_command, "120s", 1, 300, "For the mail server's answer to MAIL, RCPT and the like."),
    SECONDS(south_data_start, "120s", 1, 120, "For the mail server's 354 after DATA."),
    SECONDS(south_block, "180s", 1, 180, "For the mail server to take the next piece of a message."),
    SECONDS(south_end, "580s", 1, 590,
            "For the mail server's answer to the end of a message. A client gives up after 600 seconds, and what is "
            "accepted after that arrives twice."),
    SECONDS(wait, "290s", 1, 295, "Longest a client waits for the answer to any other command."),
    SECONDS(verdict, "20s", 1, 120,
            "Longest a client waits for answers (DNS and the like), all of a message taken together, before it is "
            "judged without. RFC 7208 4.6.4 asks for 20 seconds at least."),
    SECONDS(drain, "30s", 0, 3600, "Longest a stop waits for sessions to end."),
    SECONDS(probe, "30s", 1, 3600, "Between two looks at whether a mail server is well."),
};

static const struct option tarpit_rows[] = {
    NUMBER("tarpit", "sessions", tarpit.sessions, "20", 0, 100000, "sessions",
           "Held at once, over all workers; they count in [limits] sessions. A client for whom there is no place is "
           "answered at once. 0: no tarpit."),
    { .section = "tarpit", .key = "delay", .type = OPTION_SECONDS, .offset = CONFIG(tarpit.delay), .preset = "5s",
      .min = 100, .max = 300000, .help = "The first delay. The second is twice as long, the third three times, and so on." },
    { .section = "tarpit", .key = "longest", .type = OPTION_SECONDS, .offset = CONFIG(tarpit.longest), .preset = "30s",
      .min = 100, .max = 300000, .help = "The longest delay; [timeouts] command is one, too." },
    NUMBER("tarpit", "after", tarpit.after, "5", 0, 10000, "refusals",
           "Answered at once. Clients that spoke too early and were let in are delayed from the first on."),
};

static const struct option dns_rows[] = {
    { .section = "dns", .key = "servers", .type = OPTION_ENDPOINTS, .offset = CONFIG(dns.servers), .min = 53,
      .max = DNS_SERVERS_MAX,
      .help = "The resolvers to ask, the preferred one first; one on this machine is best. They must do the whole "
              "search (recursion). IP addresses; the port may be left out when it is 53. When left out, those of "
              "/etc/resolv.conf." },
    { .section = "dns", .key = "timeout", .type = OPTION_SECONDS, .offset = CONFIG(dns.timeout), .preset = "2s",
      .min = 100, .max = 10000, .help = "Longest wait for one answer, before the next try or the next server." },
    NUMBER("dns", "tries", dns.tries, "2", 1, 5, "tries", "How often each server is asked one question."),
    NUMBER("dns", "in_flight", dns.in_flight, "64", 1, 1000, "queries",
           "At once, of one worker. What is above waits its turn."),
    NUMBER("dns", "in_flight_session", dns.in_flight_session, "16", 1, 256, "queries", "At once, of one session."),
    { .section = "dns", .key = "cache_size", .type = OPTION_BYTES, .offset = CONFIG(dns.cache_size), .preset = "512k",
      .max = GIGA, .help = "The memory for answers, of each worker. 0: none are kept." },
    { .section = "dns", .key = "cache_ttl", .type = OPTION_SECONDS, .offset = CONFIG(dns.cache_ttl), .preset = "1h",
      .max = 86400000, .help = "The longest an answer is kept; mostly it says itself that it is for less." },
};

static const struct option log_rows[] = {
    { .section = "log", .key = "format", .type = OPTION_CHOICE, .offset = CONFIG(log_format), .preset = "logfmt",
      .choices = log_formats, .help = "logfmt is key=value; json is one object a line." },
    { .section = "log", .key = "to", .type = OPTION_CHOICE, .offset = CONFIG(log_target), .preset = "stderr",
      .choices = log_targets, .help = "syslog means /dev/log, facility mail." },
    { .section = "log", .key = "level", .type = OPTION_CHOICE, .offset = CONFIG(log_level), .preset = "info",
      .choices = log_levels, .help = "The least urgent lines that are written. debug shows every line of both "
                                     "wires." },
};

static const struct option record_rows[] = {
    NUMBER("record", "transactions", record.transactions, "0", 0, RECORD_TRANSACTIONS_MAX, "transactions",
           "The last ones that each worker remembers: envelope, header section, answers and verdict, never the body. 0: "
           "none."),
    { .section = "record", .key = "memory", .type = OPTION_BYTES, .offset = CONFIG(record.memory), .preset = "4M",
      .min = 256 * KILO, .max = GIGA,
      .help = "For that, shared evenly by the workers. When it is full the oldest transactions are forgotten." },
    { .section = "record", .key = "file", .type = OPTION_TEXT, .offset = CONFIG(record.file),
      .help = "The file to which SIGUSR2 appends them. It is opened at the start, before root is given up, for its owner "
              "alone; nothing is written to it without that signal. It changes with a restart only." },
};

static const struct config_section sections[] = {
    { "server", PLACE_CONFIG, NULL, server_rows, COUNT(server_rows), "The gateway itself.", NULL },
    { "listen", PLACE_LISTENER, "smtp", listen_rows, COUNT(listen_rows),
      "Where clients connect; one section for each kind of access. When there is none: all addresses, port 25, "
      "tls = starttls. TLS needs a [certificate NAME].", NULL },
    { "certificate", PLACE_CERTIFICATE, "main", certificate_rows, COUNT(certificate_rows),
      "A certificate shown to clients. Several may be given: for different names (SNI), or RSA beside ECDSA. "
      "The first is shown to clients that name no name.", NULL },
    { "tls", PLACE_CONFIG, NULL, tls_rows, COUNT(tls_rows), "TLS on all connections.", NULL },
    { "backend", PLACE_BACKEND, NULL, route_rows, COUNT(route_rows), "The mail server behind the gateway.", NULL },
    { "route", PLACE_ROUTE, "example.org", route_rows, COUNT(route_rows),
      "A mail server of its own for the recipients of one domain, or of every name below it: [route "
      "*.example.org]. The exact name goes before wildcards, the longest wildcard before shorter ones.", NULL },
    { "framing", PLACE_CONFIG, NULL, framing_rows, COUNT(framing_rows), "How messages must be written on the wire.", NULL },
    { "auth", PLACE_CONFIG, NULL, auth_rows, COUNT(auth_rows), "Authentication, on listeners with auth = yes.", NULL },
    { "limits", PLACE_CONFIG, NULL, limits_rows, COUNT(limits_rows), "How much is too much.", NULL },
    { "tarpit", PLACE_CONFIG, NULL, tarpit_rows, COUNT(tarpit_rows),
      "Refused clients wait for their replies. Never those that are known to be good, are authenticated or have sent a "
      "message in this session; nobody under [limits] stress.", NULL },
    { "timeouts", PLACE_CONFIG, NULL, timeouts_rows, COUNT(timeouts_rows), "How long is too long.", NULL },
    { "dns", PLACE_CONFIG, NULL, dns_rows, COUNT(dns_rows), "Looking up what senders publish about themselves.", NULL },
    { "log", PLACE_CONFIG, NULL, log_rows, COUNT(log_rows), "One line per connection and one per transaction.", NULL },
    { "record", PLACE_CONFIG, NULL, record_rows, COUNT(record_rows),
      "Transactions kept in memory, on which 'postern replay' can try another configuration.", NULL },
};
/* clang-format on */

static size_t sections_of(const struct check *check)
{
    return (check->options_n > 0) + check->lists_n;
}

size_t config_sections_n(void)
{
    size_t n = COUNT(sections);

    for (size_t i = 0; i < policy_checks_n; i++)
        n += sections_of(policy_checks[i]);
    return n;
}

/* Its own section first, then those that may be repeated. */
static struct config_section section_of_check(const struct check *check, size_t i)
{
    const struct repeated *list;

    if (check->options_n > 0 && i == 0)
        return (struct config_section){ check->name,      PLACE_POLICY, NULL, check->options,
                                        check->options_n, check->help,  NULL };
    list = &check->lists[i - (check->options_n > 0)];
    return (
        struct config_section){ list->section, PLACE_LIST, list->sample, list->rows, list->rows_n, list->help, list };
}

struct config_section config_section_at(size_t i)
{
    if (i < COUNT(sections))
        return sections[i];
    i -= COUNT(sections);
    for (size_t k = 0; k < policy_checks_n; k++) {
        size_t n = sections_of(policy_checks[k]);

        if (i < n)
            return section_of_check(policy_checks[k], i);
        i -= n;
    }
    return (struct config_section){ .name = "" }; /* i is not below config_sections_n() */
}
