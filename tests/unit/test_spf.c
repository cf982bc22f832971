/* check_host(): ATTACKS G row by row, and what the published suite does not hold. A row is a zone, a client, a sender
 * and what comes of them; what a zone does not list does not exist.
 */
#include "policy/spf.h"

#include "test.h"

enum { FACTS = 512, ZONE = 1 << 18 };

static struct fact zone_table[FACTS], table[FACTS];
static char zone_memory[ZONE], memory[ZONE], arena_memory[1 << 16];
static struct facts zone, facts;
static struct outcome outcome;
static struct spf_result result;
static bool is_pending;
static size_t asked, rounds;

static void load_zone(const char *text)
{
    facts_init(&zone, zone_table, FACTS, zone_memory, sizeof zone_memory);
    CHECK_EQ_INT(facts_load(&zone, str_of(text)), 0);
}

static struct spf_query make_query(const char *client, const char *sender)
{
    struct spf_query query = { .helo = STR("mx.client.example"), .receiver = STR("gw.example"), .now = 1700000000 };
    struct str s = str_of(sender);

    CHECK(address_parse(str_of(client), &query.client));
    query.sender = s;
    query.domain = str_skip(s, str_find(s, '@') < s.n ? str_find(s, '@') + 1 : 0);
    return query;
}

static void evaluate(const struct spf_query *query)
{
    static const struct policy policy;
    static const struct envelope envelope;
    static struct arena arena;
    struct pass pass = {
        .policy = &policy, .envelope = &envelope, .facts = &facts, .arena = &arena, .outcome = &outcome
    };

    arena_init(&arena, arena_memory, sizeof arena_memory);
    outcome.questions = 0;
    spf_check_host(&pass, query, &result);
    is_pending = pass.pending;
    CHECK_EQ_INT(is_pending, result.result == AUTH_PENDING);
}

static bool exists(struct str name)
{
    for (size_t i = 0; i < zone.n; i++)
        if (str_eq(zone.fact[i].q.key, name))
            return true;
    return false;
}

static void answer_all(void)
{
    for (size_t i = 0; i < outcome.questions; i++) {
        struct question q = outcome.question[i];
        const struct fact *fact = facts_find(&zone, q);

        if (fact != NULL)
            facts_answer(&facts, q, fact->state, fact->value, fact->n);
        else
            facts_answer(&facts, q, exists(q.key) ? FACT_NODATA : FACT_NXDOMAIN, NULL, 0);
    }
}

static void run_query(const struct spf_query *query)
{
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    for (rounds = 0, evaluate(query); is_pending && rounds < 100; evaluate(query), rounds++)
        answer_all();
    asked = facts.n;
}

static void run(const char *zone_text, const char *client, const char *sender)
{
    struct spf_query query = make_query(client, sender);

    query.explain = true;
    load_zone(zone_text);
    run_query(&query);
}

/* clang-format off */
#define RECORD(name, record) "TXT " name " OK \"" record "\"\n"

static const struct row {
    const char *says, *zone, *client, *sender;
    enum auth_result result;
    unsigned lookups, voids;
} rows[] = {
    { "an include chain of 11 is one too long (G01)",
      RECORD("d0.example", "v=spf1 include:d1.example") RECORD("d1.example", "v=spf1 include:d2.example")
      RECORD("d2.example", "v=spf1 include:d3.example") RECORD("d3.example", "v=spf1 include:d4.example")
      RECORD("d4.example", "v=spf1 include:d5.example") RECORD("d5.example", "v=spf1 include:d6.example")
      RECORD("d6.example", "v=spf1 include:d7.example") RECORD("d7.example", "v=spf1 include:d8.example")
      RECORD("d8.example", "v=spf1 include:d9.example") RECORD("d9.example", "v=spf1 include:d10.example")
      RECORD("d10.example", "v=spf1 include:d11.example") RECORD("d11.example", "v=spf1 +all"),
      "192.0.2.1", "a@d0.example", AUTH_PERMERROR, 10, 0 },
    { "one of 10 is not (G01)",
      RECORD("d1.example", "v=spf1 include:d2.example")
      RECORD("d2.example", "v=spf1 include:d3.example") RECORD("d3.example", "v=spf1 include:d4.example")
      RECORD("d4.example", "v=spf1 include:d5.example") RECORD("d5.example", "v=spf1 include:d6.example")
      RECORD("d6.example", "v=spf1 include:d7.example") RECORD("d7.example", "v=spf1 include:d8.example")
      RECORD("d8.example", "v=spf1 include:d9.example") RECORD("d9.example", "v=spf1 include:d10.example")
      RECORD("d10.example", "v=spf1 include:d11.example") RECORD("d11.example", "v=spf1 +all"),
      "192.0.2.1", "a@d1.example", AUTH_PASS, 10, 0 },
    { "an include of itself ends (G02)", RECORD("x.example", "v=spf1 include:x.example -all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 10, 0 },
    { "so do two of each other (G02)",
      RECORD("x.example", "v=spf1 include:y.example -all") RECORD("y.example", "v=spf1 include:x.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 10, 0 },
    { "11 MX names are too many, whichever matches (G03)",
      RECORD("x.example", "v=spf1 mx -all")
      "MX x.example OK \"1 a.x.example\" \"2 b.x.example\" \"3 a.x.example\" \"4 a.x.example\" \"5 a.x.example\" "
      "\"6 a.x.example\" \"7 a.x.example\" \"8 a.x.example\" \"9 a.x.example\" \"10 a.x.example\" \"11 a.x.example\"\n"
      "A a.x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 1, 0 },
    { "three void lookups are one too many (G04)",
      RECORD("x.example", "v=spf1 a:n1.example a:n2.example exists:n3.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 3, 3 },
    { "two are not (G04)", RECORD("x.example", "v=spf1 a:n1.example mx:n2.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PASS, 2, 2 },
    { "void lookups are counted across includes (G04)",
      RECORD("x.example", "v=spf1 a:n1.example include:y.example exists:n4.example +all")
      RECORD("y.example", "v=spf1 mx:n2.example -all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 4, 3 },
    { "an mx whose hosts have no address is one void term", RECORD("x.example", "v=spf1 mx mx mx:y.example +all")
      "MX x.example OK \"1 n1.example\" \"2 n2.example\" \"3 n3.example\"\nMX y.example OK \"1 b.y.example\"\n"
      "A b.y.example OK 192.0.2.9\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 3, 2 },
    { "a client of IPv6 is not asked for more than terms", RECORD("x.example", "v=spf1 mx +all")
      "MX x.example OK \"1 a.x.example\" \"2 b.x.example\" \"3 c.x.example\"\n"
      "A a.x.example OK 192.0.2.1\nA b.x.example OK 192.0.2.2\nA c.x.example OK 192.0.2.3\n",
      "2001:db8::1", "a@x.example", AUTH_PASS, 1, 1 },
    { "macros name what is asked (G05)", RECORD("x.example", "v=spf1 exists:%{i}.%{l}.%{o}.x -all")
      "A 192.0.2.1.user.x.example.x OK 127.0.0.2\n",
      "192.0.2.1", "user@x.example", AUTH_PASS, 1, 0 },
    { "upper case escapes, and the name is lower case (G05)", RECORD("x.example", "v=spf1 exists:%{S}.z.%{d} -all")
      "A a%2bb%40x.example.z.x.example OK 127.0.0.2\n",
      "192.0.2.1", "A+b@x.example", AUTH_PASS, 1, 0 },
    { "%{l1r-} and %{d1000000000} (G05)", RECORD("x.example", "v=spf1 exists:%{l1r-}.%{d1000000000} -all")
      "A bad.x.example OK 127.0.0.2\n",
      "192.0.2.1", "bad-strong@x.example", AUTH_PASS, 1, 0 },
    { "%{d4294967295r} and %{ir.=+/_,-} (G05)",
      RECORD("x.example", "v=spf1 exists:%{d4294967295r}.%{ir.=+/_,-}.%%%_%- -all")
      "A \"example.x.1.2.0.192.% %20\" OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 1, 0 },
    { "an unending macro is an error (G05)", RECORD("x.example", "v=spf1 +all exists:%{d"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "an unknown macro is an error (G05)", RECORD("x.example", "v=spf1 exists:%{x}.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "a local part of '=' is escaped to no name: a label over 63 (G06)",
      RECORD("x.example", "v=spf1 exists:%{L}.%{d} ~all"), "192.0.2.1",
      "================================================================@x.example", AUTH_SOFTFAIL, 1, 0 },
    { "high bytes match nothing (G06, RFC 8616 4)",
      RECORD("x.example", "v=spf1 exists:%{L}.%{d} a:%{s} include:%{l}.example ?all"), "192.0.2.1",
      "\xff\xfe\xc3\xbc@x.example", AUTH_NEUTRAL, 3, 0 },
    { "a redirect that names such a sender has no target", RECORD("x.example", "v=spf1 redirect=%{l}.example"),
      "192.0.2.1", "\xc3\xbc@x.example", AUTH_PERMERROR, 1, 0 },
    { "two records are an error (G08)", "TXT x.example OK \"v=spf1 -all\" \"v=spf1 +all\"\n",
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "other TXT records are none of ours (G08)", "TXT x.example OK \"v=spf10\" \"\\xff\" \"\" \"v=spf1 +all\"\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 0, 0 },
    { "an answer over our cap is an error of the record (G08)", "TXT x.example LIMIT\n",
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "ip4:/33 (G09)", RECORD("x.example", "v=spf1 +all ip4:192.0.2.1/33"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "ip6:/129 (G09)", RECORD("x.example", "v=spf1 +all ip6:2001:db8::/129"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "ip4:999 (G09)", RECORD("x.example", "v=spf1 +all ip4:999"), "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "a// (G09)", RECORD("x.example", "v=spf1 +all a//"), "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "mx:/24//64 (G09)", RECORD("x.example", "v=spf1 +all mx:/24//64"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 0, 0 },
    { "redirect is nothing beside all (G10)",
      RECORD("x.example", "v=spf1 redirect=y.example ?all") RECORD("y.example", "v=spf1 -all"),
      "192.0.2.1", "a@x.example", AUTH_NEUTRAL, 0, 0 },
    { "not even before it matches (G10)", RECORD("x.example", "v=spf1 redirect=x.example -all"),
      "192.0.2.1", "a@x.example", AUTH_FAIL, 0, 0 },
    { "a redirect loop ends (G10)",
      RECORD("x.example", "v=spf1 redirect=y.example") RECORD("y.example", "v=spf1 redirect=x.example"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 10, 0 },

    { "PTR names are validated", RECORD("x.example", "v=spf1 ptr -all")
      "PTR 1.2.0.192.in-addr.arpa OK mail.x.example\nA mail.x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 1, 0 },
    { "and not believed", RECORD("x.example", "v=spf1 ptr -all")
      "PTR 1.2.0.192.in-addr.arpa OK mail.x.example\nA mail.x.example OK 192.0.2.2\n",
      "192.0.2.1", "a@x.example", AUTH_FAIL, 1, 0 },
    { "a name that ends alike is no sub-domain", RECORD("x.example", "v=spf1 ptr -all")
      "PTR 1.2.0.192.in-addr.arpa OK bad-x.example\nA bad-x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_FAIL, 1, 0 },
    { "ptr of IPv6", RECORD("x.example", "v=spf1 ptr:X.example -all")
      "PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa OK x.example\n"
      "AAAA x.example OK 2001:db8::1\n",
      "2001:db8::1", "a@x.example", AUTH_PASS, 1, 0 },
    { "no PTR record is a void lookup", RECORD("x.example", "v=spf1 ptr a:n1.example a:n2.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 3, 3 },
    { "names behind it without an address are none", RECORD("x.example", "v=spf1 ptr a:n1.example a:n2.example +all")
      "PTR 1.2.0.192.in-addr.arpa OK n3.x.example\n", "192.0.2.1", "a@x.example", AUTH_PASS, 3, 2 },
    { "an error at PTR is no match", RECORD("x.example", "v=spf1 ptr -all") "PTR 1.2.0.192.in-addr.arpa TEMP\n",
      "192.0.2.1", "a@x.example", AUTH_FAIL, 1, 0 },
    { "an error at one name goes on to the next", RECORD("x.example", "v=spf1 ptr -all")
      "PTR 1.2.0.192.in-addr.arpa OK a.x.example b.x.example\nA a.x.example TEMP\nA b.x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 1, 0 },
    { "%{p} is a name below the domain rather than a stranger", RECORD("x.example", "v=spf1 exists:%{p}.z.example -all")
      "PTR 1.2.0.192.in-addr.arpa OK other.example b.x.example\nA other.example OK 192.0.2.1\n"
      "A b.x.example OK 192.0.2.1\nA b.x.example.z.example OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 2, 0 },
    { "%{p} is the domain itself rather than one below", RECORD("x.example", "v=spf1 exists:%{p}.z.example -all")
      "PTR 1.2.0.192.in-addr.arpa OK b.x.example x.example\nA x.example OK 192.0.2.1\nA b.x.example OK 192.0.2.1\n"
      "A x.example.z.example OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 2, 0 },
    { "%{p} is unknown", RECORD("x.example", "v=spf1 exists:%{p}.z.example -all")
      "PTR 1.2.0.192.in-addr.arpa TEMP\nA unknown.z.example OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 2, 0 },
    { "%{p} counts as a term", RECORD("x.example", "v=spf1 exists:%{p}.a.x.example exists:%{p}.b.x.example "
      "exists:%{p}.c.x.example exists:%{p}.d.x.example exists:%{p}.e.x.example exists:%{p}.f.x.example +all")
      "PTR 1.2.0.192.in-addr.arpa OK other.example\n"
      "AAAA unknown.a.x.example OK ::1\n",
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 6, 3 },

    { "exists asks for A, also of a client of IPv6", RECORD("x.example", "v=spf1 exists:y.example -all")
      "A y.example OK 127.0.0.2\n", "2001:db8::1", "a@x.example", AUTH_PASS, 1, 0 },
    { "%{ir}.%{v} of IPv6", RECORD("x.example", "v=spf1 exists:%{ir}.%{v}.x.example -all")
      "A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.x.example OK 127.0.0.2\n",
      "2001:db8::1", "a@x.example", AUTH_PASS, 1, 0 },
    { "a mapped client is one of IPv4", RECORD("x.example", "v=spf1 ip6:::ffff:192.0.2.1 ip6:::/0 -ip4:192.0.2.0/24 +all"),
      "::ffff:192.0.2.1", "a@x.example", AUTH_FAIL, 0, 0 },
    { "a client of IPv6 is in no IPv4 network", RECORD("x.example", "v=spf1 ip4:0.0.0.0/0 ip6:2001:db8:8000::/33 ?all"),
      "2001:db8::1", "a@x.example", AUTH_NEUTRAL, 0, 0 },
    { "prefixes end within an octet", RECORD("x.example", "v=spf1 ip6:2001:db8:7fff::/33 -all"),
      "2001:db8::1", "a@x.example", AUTH_PASS, 0, 0 },
    { "dual lengths", RECORD("x.example", "v=spf1 mx/24//32 -all")
      "MX x.example OK \"1 a.x.example\"\nAAAA a.x.example OK 2001:db8:ffff::1\n",
      "2001:db8::1", "a@x.example", AUTH_PASS, 1, 0 },
    { "a null MX is no host", RECORD("x.example", "v=spf1 mx ~all") "MX x.example OK \"0 .\"\n",
      "192.0.2.1", "a@x.example", AUTH_SOFTFAIL, 1, 0 },
    { "no MX means no implicit MX", RECORD("x.example", "v=spf1 mx ~all") "A x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_SOFTFAIL, 1, 1 },
    { "any MX host that matches decides", RECORD("x.example", "v=spf1 mx -all")
      "MX x.example OK \"1 a.x.example\" \"2 b.x.example\"\nA a.x.example TEMP\nA b.x.example OK 192.0.2.1\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 1, 0 },
    { "else one without an answer does", RECORD("x.example", "v=spf1 mx -all")
      "MX x.example OK \"1 a.x.example\" \"2 b.x.example\"\nA a.x.example TEMP\nA b.x.example OK 192.0.2.2\n",
      "192.0.2.1", "a@x.example", AUTH_TEMPERROR, 1, 0 },
    { "an error behind a match is never met", RECORD("x.example", "v=spf1 ip4:192.0.2.1 a:t.example -all")
      "A t.example TEMP\n", "192.0.2.1", "a@x.example", AUTH_PASS, 0, 0 },
    { "an include of nothing is an error", RECORD("x.example", "v=spf1 include:n.example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 1, 0 },
    { "so is one of no name", RECORD("x.example", "v=spf1 include:a..example +all"),
      "192.0.2.1", "a@x.example", AUTH_PERMERROR, 1, 0 },
    { "but a of no name does not match", RECORD("x.example", "v=spf1 a:a..example ?all"),
      "192.0.2.1", "a@x.example", AUTH_NEUTRAL, 1, 0 },
    { "a qualifier counts for the record that includes",
      RECORD("x.example", "v=spf1 ~include:y.example -all") RECORD("y.example", "v=spf1 ip4:192.0.2.1 -all"),
      "192.0.2.1", "a@x.example", AUTH_SOFTFAIL, 1, 0 },
    { "a redirect within an include belongs to it",
      RECORD("x.example", "v=spf1 include:y.example ~all") RECORD("y.example", "v=spf1 redirect=z.example")
      RECORD("z.example", "v=spf1 exists:%{d}.q.example -all") "A z.example.q.example OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 3, 0 },
    { "behind an include <domain> is what it was",
      RECORD("x.example", "v=spf1 include:y.example exists:%{d}.q.example -all") RECORD("y.example", "v=spf1 -all")
      "A x.example.q.example OK 127.0.0.2\n",
      "192.0.2.1", "a@x.example", AUTH_PASS, 2, 0 },
    { "a single label is none", RECORD("example", "v=spf1 -all"), "192.0.2.1", "a@example", AUTH_NONE, 0, 0 },
    { "a literal is none", RECORD("[192.0.2.1]", "v=spf1 -all"), "192.0.2.1", "a@[192.0.2.1]", AUTH_NONE, 0, 0 },
    { "no domain is none", "", "192.0.2.1", "a@", AUTH_NONE, 0, 0 },
    { "no local part is the postmaster", RECORD("x.example", "v=spf1 exists:%{l}.x.example -all")
      "A postmaster.x.example OK 127.0.0.2\n", "192.0.2.1", "@x.example", AUTH_PASS, 1, 0 },
    { "a record that says nothing is neutral", RECORD("x.example", "v=spf1"),
      "192.0.2.1", "a@x.example", AUTH_NEUTRAL, 0, 0 },
};
/* clang-format on */

static void each_record_has_one_result(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].says);
        run(rows[i].zone, rows[i].client, rows[i].sender);
        CHECK_EQ_STR(auth_result_name(result.result), strlen(auth_result_name(result.result)),
                     auth_result_name(rows[i].result));
        CHECK_EQ_INT(result.lookups, rows[i].lookups);
        CHECK_EQ_INT(result.void_lookups, rows[i].voids);
        CHECK_EQ_INT(result.reason.n > 0, result.result == AUTH_PERMERROR || result.result == AUTH_TEMPERROR);
        CHECK(rounds <= 13);
    }
}

/* ---- built by hand ---- */

static char text[1 << 17];
static struct arena text_arena;

static void begin_text(void)
{
    arena_init(&text_arena, text, sizeof text - 1);
    memset(text, 0, sizeof text);
}

/* ATTACKS G03, G13: the worst legal record asks 1 + 10 + 100 questions, in three rounds; not one more is ever asked. */
static void ten_mx_of_ten_hosts_are_111_questions(void)
{
    begin_text();
    arena_printf(&text_arena, "TXT x.example OK \"v=spf1");
    for (unsigned i = 0; i < 12; i++)
        arena_printf(&text_arena, " mx:m%u.example", i);
    arena_printf(&text_arena, " -all\"\n");
    for (unsigned i = 0; i < 12; i++) {
        arena_printf(&text_arena, "MX m%u.example OK", i);
        for (unsigned j = 0; j < 10; j++)
            arena_printf(&text_arena, " \"%u h%u.m%u.example\"", j, j, i);
        arena_printf(&text_arena, "\n");
        for (unsigned j = 0; j < 10; j++)
            arena_printf(&text_arena, "A h%u.m%u.example OK 198.51.100.1\n", j, i);
    }
    run(text, "192.0.2.1", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_PERMERROR);
    CHECK_EQ_INT(asked, 111);
    CHECK(rounds <= 4); /* 64 questions fit into an outcome */
}

static void answer_but(const char *hidden)
{
    for (size_t i = 0; i < outcome.questions; i++) {
        struct question q = outcome.question[i];
        const struct fact *fact = facts_find(&zone, q);

        if (fact != NULL && !str_istarts(q.key, str_of(hidden)))
            facts_answer(&facts, q, fact->state, fact->value, fact->n);
        else
            facts_ask(&facts, q);
    }
}

/* ATTACKS G13: each include holds a term whose answer is held back, eight mx of ten hosts behind it; once those are
 * asked for, the answer comes, matches, and the next include's turn has come.
 */
static void who_answers_in_a_clever_order_gains_little(void)
{
    struct spf_query query = make_query("192.0.2.1", "a@x.example");

    begin_text();
    arena_printf(&text_arena, "TXT x.example OK \"v=spf1 include:i0.example include:i1.example include:i2.example "
                              "include:i3.example include:i4.example -all\"\n");
    for (unsigned i = 0; i < 5; i++) {
        arena_printf(&text_arena, "A last%u.example OK 192.0.2.1\nTXT i%u.example OK \"v=spf1 -a:last%u.example", i, i,
                     i);
        for (unsigned j = 0; j < 8; j++)
            arena_printf(&text_arena, " mx:m%u%u.example", i, j);
        arena_printf(&text_arena, " -all\"\n");
        for (unsigned j = 0; j < 8; j++) {
            arena_printf(&text_arena, "MX m%u%u.example OK", i, j);
            for (unsigned k = 0; k < 10; k++)
                arena_printf(&text_arena, " \"1 h%u.m%u%u.example\"", k, i, j);
            arena_printf(&text_arena, "\n");
        }
    }
    load_zone(text);
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    for (evaluate(&query); is_pending; evaluate(&query)) {
        if (outcome.questions > 0) {
            answer_but("last");
            continue;
        }
        for (size_t i = 0; i < facts.n; i++) /* only what was held back is open */
            if (facts.fact[i].state == FACT_UNKNOWN) {
                struct question q = facts.fact[i].q;
                struct str client = STR("192.0.2.1");

                facts_answer(&facts, q, str_istarts(q.key, STR("last")) ? FACT_OK : FACT_NXDOMAIN, &client, 1);
            }
    }
    CHECK_EQ_INT(result.result, AUTH_FAIL);
    CHECK(facts.n <= 111 + SPF_ASKED_AHEAD_MAX);
    CHECK(facts.n <= 11 + SPF_ASKED_AHEAD_MAX); /* here nothing behind a "last" is needed */
}

/* ATTACKS G12 */
static void of_a_thousand_ptr_names_ten_are_looked_at(void)
{
    begin_text();
    arena_printf(&text_arena, "TXT x.example OK \"v=spf1 ptr ~all\"\nPTR 1.2.0.192.in-addr.arpa OK");
    for (unsigned i = 1; i <= 1000; i++)
        arena_printf(&text_arena, " h%u.x.example", i);
    arena_printf(&text_arena, "\nA h10.x.example OK 192.0.2.1\n");
    run(text, "192.0.2.1", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_PASS);
    CHECK_EQ_INT(asked, 12);
    memcpy(strstr(text, "A h10.x"), "A h11.x", 7);
    run(text, "192.0.2.1", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_SOFTFAIL);
    CHECK_EQ_INT(asked, 12);
}

/* ATTACKS G08: a record as long as a fact may be, each term read twice and no more. */
static void a_long_record_is_read(void)
{
    begin_text();
    arena_printf(&text_arena, "TXT x.example OK \"v=spf1");
    for (unsigned i = 0; i < 4000; i++)
        arena_printf(&text_arena, " ip4:10.0.0.1");
    arena_printf(&text_arena, " ip4:192.0.2.1 -all\"\n");
    run(text, "192.0.2.1", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_PASS);
    run(text, "192.0.2.2", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_FAIL);
}

/* ATTACKS G11: at the deadline what is not there reads TEMP, and one pass decides. */
static void late_answers_are_a_temperror(void)
{
    struct spf_query query = make_query("192.0.2.1", "a@x.example");

    load_zone(RECORD("x.example", "v=spf1 a mx include:y.example -all"));
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    evaluate(&query);
    CHECK(is_pending);
    answer_all();
    evaluate(&query);
    CHECK_EQ_INT(outcome.questions, 3); /* those of one record go out together */
    facts_close(&facts);
    evaluate(&query);
    CHECK_EQ_INT(result.result, AUTH_TEMPERROR);
    CHECK_EQ_STR(result.reason.p, result.reason.n, "no answer for A x.example");
}

/* "A result reached past an unknown is pending", even when it looks certain. */
static void nothing_is_decided_past_an_unknown(void)
{
    struct spf_query query = make_query("192.0.2.1", "a@x.example");

    load_zone(RECORD("x.example", "v=spf1 -a:y.example ip4:192.0.2.1 -all"));
    facts_init(&facts, table, FACTS, memory, sizeof memory);
    evaluate(&query);
    answer_all();
    evaluate(&query);
    CHECK(is_pending);
    CHECK_EQ_INT(result.result, AUTH_PENDING);
    CHECK_EQ_INT(outcome.questions, 1);
    answer_all();
    evaluate(&query);
    CHECK_EQ_INT(result.result, AUTH_PASS);
    CHECK_EQ_STR(result.mechanism.p, result.mechanism.n, "ip4:192.0.2.1");
}

/* ---- explanations ---- */

#define FAIL_WITH(explanation) RECORD("x.example", "v=spf1 -all exp=e.%{d}") "TXT e.x.example " explanation "\n"

/* clang-format off */
static const struct {
    const char *says, *zone, *want;
} explanations[] = {
    { "macros, c r t among them", FAIL_WITH("OK \"%{i} %{c} %{r} %{t} of %{d}: http://%{d}/?s=%{S}\""),
      "192.0.2.1 192.0.2.1 gw.example 1700000000 of x.example: http://x.example/?s=a%40x.example" },
    { "the strings of two records", FAIL_WITH("OK \"one\" \"two\""), "" },
    { "none", FAIL_WITH("NXDOMAIN"), "" },
    { "no answer", FAIL_WITH("TEMP"), "" },
    { "over our cap", FAIL_WITH("LIMIT"), "" },
    { "a line end (G07)", FAIL_WITH("OK \"one\\x0d\\x0atwo\""), "" },
    { "8 bits (G07)", FAIL_WITH("OK \"\\xc3\\xbc\""), "" },
    { "a broken macro (G07)", FAIL_WITH("OK \"%{x}\""), "" },
    { "a percent sign alone", FAIL_WITH("OK \"100%\""), "" },
    { "%{p} without names", FAIL_WITH("OK \"%{p}\""), "unknown" },
    { "its lookups do not count",
      RECORD("x.example", "v=spf1 a:n1.example a:n2.example -all exp=n3.example"), "" },
    { "only of the record that fails",
      RECORD("x.example", "v=spf1 include:y.example -all") RECORD("y.example", "v=spf1 -all exp=e.y.example")
      "TXT e.y.example OK \"no\"\n", "" },
    { "of the record it was redirected to",
      RECORD("x.example", "v=spf1 redirect=y.example exp=e.x.example") RECORD("y.example", "v=spf1 -all exp=e.%{d}")
      "TXT e.y.example OK \"%{d} for %{o}\"\nTXT e.x.example OK no\n", "y.example for x.example" },
    { "of the record whose include failed it",
      RECORD("x.example", "v=spf1 -include:y.example exp=e.x.example") RECORD("y.example", "v=spf1 +all exp=e.y.example")
      "TXT e.x.example OK \"%{d}\"\nTXT e.y.example OK no\n", "x.example" },
};
/* clang-format on */

static void an_explanation_is_whole_or_none(void)
{
    for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++) {
        CHECK_ROW(explanations[i].says);
        run(explanations[i].zone, "192.0.2.1", "a@x.example");
        CHECK_EQ_INT(result.result, AUTH_FAIL);
        CHECK_EQ_STR(result.explanation.p, result.explanation.n, explanations[i].want);
    }
}

/* ATTACKS G07: 64 kB. And by default nobody asks. */
static void a_huge_explanation_is_none(void)
{
    struct spf_query query = make_query("192.0.2.1", "a@x.example");

    begin_text();
    arena_printf(&text_arena, "TXT x.example OK \"v=spf1 -all exp=e.x.example\"\nTXT e.x.example OK \"");
    for (unsigned i = 0; i < 6000; i++)
        arena_printf(&text_arena, "%%{S}%%{L}x");
    arena_printf(&text_arena, "\"\n");
    run(text, "192.0.2.1", "a@x.example");
    CHECK_EQ_INT(result.result, AUTH_FAIL);
    CHECK_EQ_INT(result.explanation.n, 0);
    run_query(&query);
    CHECK_EQ_INT(result.result, AUTH_FAIL);
    CHECK_EQ_INT(asked, 1);
}

/* clang-format off */
static const struct test_case tests[] = {
    TEST(each_record_has_one_result),
    TEST(ten_mx_of_ten_hosts_are_111_questions),
    TEST(who_answers_in_a_clever_order_gains_little),
    TEST(of_a_thousand_ptr_names_ten_are_looked_at),
    TEST(a_long_record_is_read),
    TEST(late_answers_are_a_temperror),
    TEST(nothing_is_decided_past_an_unknown),
    TEST(an_explanation_is_whole_or_none),
    TEST(a_huge_explanation_is_none),
};
/* clang-format on */
TEST_MAIN(tests)
