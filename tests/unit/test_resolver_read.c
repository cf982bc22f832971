/* What a DNS message says about a question: chains, failures, limits, and for how long it may be kept. */
#include <ares.h>

#include "dns_message.h"
#include "proxy/resolver_parts.h"
#include "test.h"

enum { ANSWER = 0x8180, NO_NAME = 0x8183, SERVER_FAILED = 0x8182 };

static const unsigned types[] = { [ASK_TXT] = 16, [ASK_A] = 1, [ASK_AAAA] = 28, [ASK_MX] = 15, [ASK_PTR] = 12 };

static struct dns_reading reading;

static bool read_octets(const uint8_t *octets, size_t n, enum ask kind)
{
    ares_dns_record_t *record = NULL;

    if (ares_dns_parse(octets, n, 0, &record) != ARES_SUCCESS)
        return false;
    reading.links = 0;
    reading.keep = UINT64_MAX;
    dns_read(record, kind, &reading);
    ares_dns_record_destroy(record);
    return true;
}

static void read_lines(enum ask kind, const char *name, unsigned flags, const char *lines)
{
    static struct dns_message m;

    dns_message_begin(&m, 7, flags, name, types[kind]);
    dns_message_add(&m, lines);
    CHECK(read_octets(m.octet, m.n, kind));
}

/* "OK 192.0.2.1, 192.0.2.2" */
static void print_reading(char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", fact_state_name(reading.state));

    for (size_t i = 0; i < reading.n && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%.*s", i == 0 ? " " : ", ", STR_ARG(reading.value[i]));
}

static const struct row {
    const char *label;
    enum ask kind;
    const char *name;
    unsigned flags;
    const char *lines, *want;
    uint64_t keep_s;
} rows[] = {
    { "strings of a record are joined", ASK_TXT, "e.example", ANSWER, "e.example TXT 60 v=spf1 |a -all",
      "OK v=spf1 a -all", 60 },
    { "records are values, in their order", ASK_TXT, "e.example", ANSWER, "e.example TXT 60 b\ne.example TXT 50 a",
      "OK b, a", 50 },
    { "an empty string is a value", ASK_TXT, "e.example", ANSWER, "e.example TXT 60 ", "OK ", 60 },
    { "a record that stands there twice is one", ASK_TXT, "e.example", ANSWER, "e.example TXT 60 a\ne.example TXT 60 a",
      "OK a", 60 },
    { "addresses", ASK_A, "e.example", ANSWER, "e.example A 9 192.0.2.1\ne.example A 8 192.0.2.2",
      "OK 192.0.2.1, 192.0.2.2", 8 },
    { "IPv6 as RFC 5952 writes it", ASK_AAAA, "e.example", ANSWER, "e.example AAAA 9 2001:DB8:0::1", "OK 2001:db8::1",
      9 },
    { "mail exchangers by preference, then name, in lower case", ASK_MX, "e.example", ANSWER,
      "e.example MX 9 20 z.example\ne.example MX 9 5 M.example\ne.example MX 9 20 a.example",
      "OK 5 m.example, 20 a.example, 20 z.example", 9 },
    { "preferences are numbers", ASK_MX, "e.example", ANSWER,
      "e.example MX 9 100 a.example\ne.example MX 9 20 b.example", "OK 20 b.example, 100 a.example", 9 },
    { "no mail here (RFC 7505)", ASK_MX, "e.example", ANSWER, "e.example MX 9 0 .", "OK 0 .", 9 },
    { "names of addresses", ASK_PTR, "1.2.0.192.in-addr.arpa", ANSWER, "1.2.0.192.in-addr.arpa PTR 9 Host.Example",
      "OK host.example", 9 },
    { "odd octets of a name are themselves", ASK_PTR, "e.example", ANSWER, "e.example PTR 9 a\xe4@(b.example",
      "OK a\xe4@(b.example", 9 },
    { "the owner's case does not count", ASK_A, "E.example", ANSWER, "e.EXAMPLE A 9 192.0.2.1", "OK 192.0.2.1", 9 },
    { "other owners do not count", ASK_A, "e.example", ANSWER, "f.example A 9 192.0.2.1\n;\ne.example SOA 60 30",
      "NODATA", 30 },
    { "other types do not count", ASK_A, "e.example", ANSWER, "e.example TXT 9 x\n;\ne.example SOA 60 30", "NODATA",
      30 },
    { "additional records do not count", ASK_A, "e.example", ANSWER,
      ";\ne.example SOA 60 30\n;\ne.example A 60 192.0.2.1", "NODATA", 30 },
    { "an alias", ASK_A, "w.example", ANSWER, "w.example CNAME 5 e.example\ne.example A 9 192.0.2.1", "OK 192.0.2.1",
      5 },
    { "the order of a chain does not count", ASK_A, "w.example", ANSWER,
      "e.example A 9 192.0.2.1\nv.example CNAME 7 e.example\nw.example CNAME 8 v.example", "OK 192.0.2.1", 7 },
    { "8 links", ASK_A, "a.example", ANSWER,
      "a.example CNAME 9 b.example\nb.example CNAME 9 c.example\nc.example CNAME 9 d.example\nd.example CNAME 9 "
      "e.example\n"
      "e.example CNAME 9 f.example\nf.example CNAME 9 g.example\ng.example CNAME 9 h.example\nh.example CNAME 9 "
      "i.example\n"
      "i.example A 9 192.0.2.1",
      "OK 192.0.2.1", 9 },
    { "9 links are too many (D-6)", ASK_A, "a.example", ANSWER,
      "a.example CNAME 9 b.example\nb.example CNAME 9 c.example\nc.example CNAME 9 d.example\nd.example CNAME 9 "
      "e.example\n"
      "e.example CNAME 9 f.example\nf.example CNAME 9 g.example\ng.example CNAME 9 h.example\nh.example CNAME 9 "
      "i.example\n"
      "i.example CNAME 9 j.example\nj.example A 9 192.0.2.1",
      "TEMP", 5 },
    { "a loop", ASK_A, "a.example", ANSWER, "a.example CNAME 9 b.example\nb.example CNAME 9 a.example", "TEMP", 5 },
    { "an alias of itself", ASK_A, "a.example", ANSWER, "a.example CNAME 9 a.example", "TEMP", 5 },
    { "an alias for a name without the type", ASK_A, "w.example", ANSWER,
      "w.example CNAME 5 e.example\n;\nexample SOA 60 30", "NODATA", 5 },
    { "an alias for no name", ASK_A, "w.example", NO_NAME, "w.example CNAME 5 e.example\n;\nexample SOA 60 30",
      "NXDOMAIN", 5 },
    { "an alias whose target is left out is asked on for", ASK_A, "w.example", ANSWER, "w.example CNAME 5 E.example",
      "UNKNOWN", 5 },
    { "no name, as long as the SOA says (RFC 2308 5)", ASK_A, "e.example", NO_NAME, ";\nexample SOA 60 3600",
      "NXDOMAIN", 60 },
    { "no name, without a SOA", ASK_A, "e.example", NO_NAME, "", "NXDOMAIN", 0 },
    { "no name, whatever else it says", ASK_A, "e.example", NO_NAME, "e.example A 9 192.0.2.1", "NXDOMAIN", 0 },
    { "no data, without a SOA", ASK_A, "e.example", ANSWER, "", "NODATA", 0 },
    { "a referral is no answer", ASK_A, "e.example", ANSWER, ";\nexample NS 60 ns.example", "TEMP", 5 },
    { "SERVFAIL", ASK_A, "e.example", SERVER_FAILED, "", "TEMP", 5 },
    { "SERVFAIL with records", ASK_A, "e.example", SERVER_FAILED, "e.example A 9 192.0.2.1", "TEMP", 5 },
    { "FORMERR", ASK_A, "e.example", 0x8181, "", "TEMP", 5 },
    { "REFUSED", ASK_A, "e.example", 0x8185, "", "TEMP", 5 },
    { "a code nobody knows", ASK_A, "e.example", 0x818d, "", "TEMP", 5 },
    { "a question is no answer", ASK_A, "e.example", 0x0180, "e.example A 9 192.0.2.1", "TEMP", 5 },
    { "another operation is no answer", ASK_A, "e.example", 0x9180, "e.example A 9 192.0.2.1", "TEMP", 5 },
    { "half an answer is none", ASK_A, "e.example", 0x8380, "e.example A 9 192.0.2.1", "TEMP", 5 },
    { "TTL 0", ASK_A, "e.example", ANSWER, "e.example A 0 192.0.2.1", "OK 192.0.2.1", 0 },
    { "the largest TTL", ASK_A, "e.example", ANSWER, "e.example A 2147483647 192.0.2.1", "OK 192.0.2.1", 2147483647 },
    { "a TTL from 2^31 on is 0 (RFC 2181 8)", ASK_A, "e.example", ANSWER, "e.example A 2147483648 192.0.2.1",
      "OK 192.0.2.1", 0 },
    { "all ones", ASK_A, "e.example", ANSWER, "e.example A 4294967295 192.0.2.1", "OK 192.0.2.1", 0 },
    { "a SOA with TTL 2^31", ASK_A, "e.example", ANSWER, ";\nexample SOA 2147483648 60", "NODATA", 0 },
};

static void messages_are_read(void)
{
    char text[512];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].label);
        read_lines(rows[i].kind, rows[i].name, rows[i].flags, rows[i].lines);
        print_reading(text, sizeof text);
        CHECK_EQ_STR(text, strlen(text), rows[i].want);
        CHECK_EQ_INT(reading.keep, rows[i].keep_s * 1000);
    }
}

static void the_target_that_is_asked_on_for(void)
{
    read_lines(ASK_A, "w.example", ANSWER, "w.example CNAME 5 v.example\nv.example CNAME 5 E.example");
    CHECK_EQ_INT(reading.state, FACT_UNKNOWN);
    CHECK_EQ_INT(reading.links, 2);
    CHECK_EQ_STR(reading.target, strlen(reading.target), "e.example");
    read_lines(ASK_A, "w.example", ANSWER, "w.example CNAME 5 E(\\\xff.example");
    CHECK_EQ_INT(reading.state, FACT_UNKNOWN);
    CHECK_EQ_STR(reading.target, strlen(reading.target), "e(\\\xff.example");
}

static void links_of_several_messages_are_one_chain(void)
{
    static struct dns_message m;
    ares_dns_record_t *record = NULL;

    dns_message_begin(&m, 7, ANSWER, "w.example", 1);
    dns_message_add(&m, "w.example CNAME 60 v.example\nv.example A 60 192.0.2.1");
    CHECK_EQ_INT(ares_dns_parse(m.octet, m.n, 0, &record), ARES_SUCCESS);
    reading.keep = 7000;
    reading.links = DNS_LINKS_MAX - 1;
    dns_read(record, ASK_A, &reading);
    CHECK_EQ_INT(reading.state, FACT_OK);
    CHECK_EQ_INT(reading.keep, 7000); /* the first alias may not be kept longer */
    reading.links = DNS_LINKS_MAX;
    dns_read(record, ASK_A, &reading);
    CHECK_EQ_INT(reading.state, FACT_TEMP);
    ares_dns_record_destroy(record);
}

static void read_many(enum ask kind, unsigned n)
{
    static struct dns_message m;
    char line[128];

    dns_message_begin(&m, 7, ANSWER, "e.example", types[kind]);
    for (unsigned i = 0; i < n; i++) {
        if (kind == ASK_A)
            snprintf(line, sizeof line, "e.example A 60 192.0.%u.%u", i >> 8, i & 255);
        else
            snprintf(line, sizeof line, "e.example MX 60 10 mx%u.example", i);
        dns_message_add(&m, line);
    }
    CHECK(read_octets(m.octet, m.n, kind));
}

static void too_many_records_read_limit(void)
{
    read_many(ASK_A, DNS_VALUES_MAX);
    CHECK_EQ_INT(reading.state, FACT_OK);
    CHECK_EQ_INT(reading.n, DNS_VALUES_MAX);
    read_many(ASK_A, DNS_VALUES_MAX + 1);
    CHECK_EQ_INT(reading.state, FACT_LIMIT);
    read_many(ASK_MX, 1000);
    CHECK_EQ_INT(reading.state, FACT_LIMIT);
    CHECK_EQ_INT(reading.keep, 60000);
}

/* Records of `size` octets each, n of them, and one of `rest`. */
static void read_octets_of_txt(size_t n, size_t size, size_t rest)
{
    static struct dns_message m;
    char line[300] = "e.example TXT 60 ";
    size_t head = strlen(line);

    dns_message_begin(&m, 7, ANSWER, "e.example", 16);
    for (size_t i = 0; i <= n; i++) {
        size_t length = i < n ? size : rest;

        memset(line + head, 'a' + (int)i % 26, length);
        line[head] = (char)('A' + (int)i / 26); /* no two alike */
        line[head + length] = '\0';
        dns_message_add(&m, line);
    }
    CHECK(read_octets(m.octet, m.n, ASK_TXT));
}

static void too_many_octets_read_limit(void)
{
    read_octets_of_txt(FACT_BYTES_MAX / 128 - 1, 128, 128);
    CHECK_EQ_INT(reading.state, FACT_OK);
    CHECK_EQ_INT(reading.octets, FACT_BYTES_MAX);
    read_octets_of_txt(FACT_BYTES_MAX / 128 - 1, 128, 129);
    CHECK_EQ_INT(reading.state, FACT_LIMIT);
}

/* One TXT record of 65,000 octets, and what else 64 KB can hold. */
static void answers_of_64_kilobytes(void)
{
    static struct dns_message m;
    size_t length_at;
    static const uint8_t string[256] = { 255, 'x' };

    dns_message_begin(&m, 7, ANSWER, "e.example", 16);
    dns_put(&m, "\xc0\x0c\0\x10\0\1\0\0\0\1", 10);
    length_at = m.n;
    dns_put16(&m, 0);
    while (m.n + sizeof string <= sizeof m.octet)
        dns_put(&m, string, sizeof string);
    m.octet[length_at] = (uint8_t)((m.n - length_at - 2) >> 8);
    m.octet[length_at + 1] = (uint8_t)(m.n - length_at - 2);
    dns_count_record(&m);
    CHECK(read_octets(m.octet, m.n, ASK_TXT));
    CHECK_EQ_INT(reading.state, FACT_LIMIT);

    dns_message_begin(&m, 7, ANSWER, "e.example", 16);
    while (m.n + 13 <= sizeof m.octet) { /* empty strings, all the same record */
        dns_put(&m, "\xc0\x0c\0\x10\0\1\0\0\0\1\0\1\0", 13);
        dns_count_record(&m);
    }
    CHECK(read_octets(m.octet, m.n, ASK_TXT));
    CHECK_EQ_INT(reading.state, FACT_OK);
    CHECK_EQ_INT(reading.n, 1);
}

/* Cut anywhere it is no message; with an octet changed it is one or not, but never more than it may be. */
static void damaged_messages(void)
{
    static const char *const lines[] = {
        [ASK_TXT] = "w.example CNAME 9 e.example\ne.example TXT 60 v=spf1 |-all\n;\nexample SOA 60 30",
        [ASK_A] = "w.example CNAME 9 e.example\ne.example A 60 192.0.2.1\n;\nexample NS 60 ns.example",
        [ASK_AAAA] = "w.example AAAA 9 2001:db8::1\n;\n;\nw.example TXT 9 x",
        [ASK_MX] = "w.example MX 9 10 a.example\nw.example MX 9 0 .",
        [ASK_PTR] = "w.example PTR 9 a.example\nw.example 46 9 0001020304050607",
    };
    static struct dns_message m;

    for (unsigned kind = ASK_TXT; kind <= ASK_PTR; kind++) {
        dns_message_begin(&m, 7, ANSWER, "w.example", types[kind]);
        dns_message_add(&m, lines[kind]);
        for (size_t n = 0; n < m.n; n++) {
            uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a sanitizer sees an octet too many */

            if (exact == NULL)
                abort();
            memcpy(exact, m.octet, n);
            CHECK(!read_octets(exact, n, (enum ask)kind));
            free(exact);
        }
        for (size_t at = 0; at < m.n; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                m.octet[at] ^= (uint8_t)(1U << bit);
                if (read_octets(m.octet, m.n, (enum ask)kind))
                    CHECK(reading.n <= DNS_VALUES_MAX && reading.octets <= FACT_BYTES_MAX);
                m.octet[at] ^= (uint8_t)(1U << bit);
            }
    }
}

/* MX, A, AAAA, PTR, CNAME and SOA data of 0 to 20 octets: refused, or read within them. */
static void short_data(void)
{
    static const char *const kinds[] = { "1", "2", "5", "6", "12", "15", "16", "28", "52" };
    static struct dns_message m;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int n = 0; n <= 20; n++) {
            char line[128];
            unsigned type = (unsigned)strtoul(kinds[i], NULL, 10);

            dns_message_begin(&m, 7, ANSWER, "w.example", type);
            snprintf(line, sizeof line, "w.example 65280 9 %.*s", 2 * n, "0101010101010101010101010101010101010101");
            dns_message_add(&m, line);
            m.octet[12 + 11 + 4 + 11] = 0;
            m.octet[12 + 11 + 4 + 12] = (uint8_t)type;
            for (unsigned kind = ASK_TXT; kind <= ASK_PTR; kind++)
                if (read_octets(m.octet, m.n, (enum ask)kind))
                    CHECK(reading.n <= 1 && reading.octets <= 64);
        }
}

static const struct test_case tests[] = {
    TEST(messages_are_read),
    TEST(the_target_that_is_asked_on_for),
    TEST(links_of_several_messages_are_one_chain),
    TEST(too_many_records_read_limit),
    TEST(too_many_octets_read_limit),
    TEST(answers_of_64_kilobytes),
    TEST(damaged_messages),
    TEST(short_data),
};

TEST_MAIN(tests)
