/* Lists of the DNS: codes, names, what answers mean, and what the check makes of them (ATTACKS L03, RFC 5782, RFC 6471). */
#include "policy/list.h"
#include "policy/rule.h"
#include "proxy/config.h"

#include <stdlib.h>

#include "test.h"

/* ---- codes ---- */

/* clang-format off */
static const struct code_row {
    const char *text;
    const char *printed; /* NULL: refused */
} code_rows[] = {
    { "127.0.0.2", "127.0.0.2" },
    { "127.0.0.2-11", "127.0.0.2-11" },
    { "127.0.0.2-3", "127.0.0.2-3" },
    { "127.0.2-20.0-3", "127.0.2-20.0-3" },
    { "127.0-254.0-255.2", "127.0-254.0-255.2" },
    { "127.0.0.4:1", "127.0.0.4:1" },
    { "127.0.0.10-11:100", "127.0.0.10-11:100" },
    { "127.0.0.255", "127.0.0.255" },
    { "127.255.254.0-255", "127.255.254.0-255" },
    { "127.0.0.0", "127.0.0.0" },

    { "", NULL }, { "127", NULL }, { "127.0.0", NULL }, { "127.0.0.", NULL }, { "127.0.0.2.", NULL }, { "127.0.0.2.3", NULL },
    { "127.0.0.256", NULL }, { "127.0.0.02", NULL }, { "127.0.0.2-", NULL }, { "127.0.0.-2", NULL }, { "127.0.0.2-2", NULL },
    { "127.0.0.11-2", NULL }, { "127.0.0.2-256", NULL }, { "127.0.0.2-3-4", NULL }, { "127.0.0.*", NULL }, { "127.0.0.0x2", NULL },
    { "127.0.0.2:", NULL }, { "127.0.0.2:0", NULL }, { "127.0.0.2:101", NULL }, { "127.0.0.2:1:2", NULL }, { "127.0.0.2:-1", NULL },
    { " 127.0.0.2", NULL }, { "127.0.0.2 ", NULL }, { "127.0.0.2/24", NULL }, { "::1", NULL },
    { "126.0.0.2", NULL }, { "128.0.0.2", NULL }, { "0.0.0.0", NULL }, { "126-128.0.0.2", NULL }, { "127-128.0.0.2", NULL },
    { "127.0.0.1", NULL }, { "127.0.0.0-2", NULL }, { "127.0.0-1.0-5", NULL }, { "127.0-9.0-9.1", NULL }, /* 127.0.0.1 */
    { "127.255.255.254", NULL }, { "127.255.255.0-255", NULL }, { "127.255.254-255.2", NULL }, { "127.0-255.0-255.2", NULL },
};
/* clang-format on */

static void reads_codes(void)
{
    for (size_t i = 0; i < sizeof code_rows / sizeof *code_rows; i++) {
        const struct code_row *row = &code_rows[i];
        char out[LIST_CODE_TEXT_MAX];
        struct list_code code;
        bool ok = list_code_parse(str_of(row->text), &code);

        CHECK_ROW(row->text);
        CHECK_EQ_INT(ok, row->printed != NULL);
        if (ok && row->printed != NULL)
            CHECK_EQ_STR(out, list_code_print(&code, out), row->printed);
    }
}

/* ---- addresses of answers ---- */

/* clang-format off */
static const struct answer_row {
    const char *address;
    enum list_word word;
    uint64_t points;
} answer_rows[] = {
    { "127.0.0.2", LIST_SAYS_LISTED, 5 }, { "127.0.0.11", LIST_SAYS_LISTED, 5 }, { "127.0.0.4", LIST_SAYS_LISTED, 9 },
    { "127.0.0.12", LIST_SAYS_NOTHING, 0 }, { "127.0.1.2", LIST_SAYS_NOTHING, 0 }, { "127.1.0.2", LIST_SAYS_NOTHING, 0 },
    { "127.0.0.0", LIST_SAYS_NOTHING, 0 }, { "127.0.0.255", LIST_SAYS_NOTHING, 0 }, { "127.255.254.254", LIST_SAYS_NOTHING, 0 },
    { "127.0.0.1", LIST_SAYS_ALARM, 0 },
    { "127.255.255.0", LIST_SAYS_ALARM, 0 }, { "127.255.255.252", LIST_SAYS_ALARM, 0 }, { "127.255.255.254", LIST_SAYS_ALARM, 0 },
    { "127.255.255.255", LIST_SAYS_ALARM, 0 },
    { "0.0.0.0", LIST_SAYS_ALARM, 0 }, { "126.0.0.2", LIST_SAYS_ALARM, 0 }, { "128.0.0.2", LIST_SAYS_ALARM, 0 },
    { "198.51.100.80", LIST_SAYS_ALARM, 0 }, { "10.0.0.2", LIST_SAYS_ALARM, 0 },
    { "2001:db8::2", LIST_SAYS_ALARM, 0 }, { "::1", LIST_SAYS_ALARM, 0 }, { "", LIST_SAYS_ALARM, 0 },
};
/* clang-format on */

static void reads_answers(void)
{
    struct list_code codes[2];
    const struct list_policy list = { .codes = { codes, 2 }, .points = 5 };

    CHECK(list_code_parse(STR("127.0.0.2-11"), &codes[0]) && list_code_parse(STR("127.0.0.4:9"), &codes[1]));
    for (size_t i = 0; i < sizeof answer_rows / sizeof *answer_rows; i++) {
        const struct answer_row *row = &answer_rows[i];
        uint64_t points = 0;

        CHECK_ROW(row->address);
        CHECK_EQ_INT(list_read(&list, str_of(row->address), &points), row->word);
        CHECK_EQ_INT(points, row->points);
        CHECK_EQ_INT(list_is_alarm(str_of(row->address)), row->word == LIST_SAYS_ALARM);
    }
}

/* ---- names ---- */

static void check_name(const char *address, bool as_v6, const char *name)
{
    char out[LIST_NAME_MAX + 1];
    struct address a;

    CHECK_ROW(address);
    CHECK(address_parse(str_of(address), &a));
    CHECK_EQ_STR(out, list_address_name(&a, as_v6, STR("z.example"), out), name);
}

static void writes_names(void)
{
    check_name("192.0.2.99", false, "99.2.0.192.z.example");
    check_name("::ffff:192.0.2.99", false, "99.2.0.192.z.example");
    check_name("255.255.255.255", false, "255.255.255.255.z.example");
    check_name("2001:db8:1:2:3:4:567:89ab", false,
               "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.z.example"); /* RFC 5782 2.4 */
    check_name("::ffff:127.0.0.2", true, "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.z.example");
}

static struct str filled(char *room, size_t n)
{
    for (size_t i = 0; i < n; i++)
        room[i] = i % 50 == 49 ? '.' : 'a';
    room[n - 1] = 'a';
    return str_from(room, n);
}

static void names_end_at_their_bound(void)
{
    char out[LIST_NAME_MAX + 1], zone[LIST_NAME_MAX + 1], domain[LIST_NAME_MAX + 1];
    struct address address;

    CHECK(address_parse(STR("2001:db8::1"), &address));
    CHECK_EQ_INT(list_address_name(&address, false, filled(zone, LIST_ZONE_MAX), out), LIST_NAME_MAX);
    CHECK_EQ_INT(list_address_name(&address, false, filled(zone, LIST_ZONE_MAX + 1), out), 0);
    CHECK_EQ_INT(list_domain_name(filled(domain, 243), STR("z.example"), out), 253);
    CHECK_EQ_INT(list_domain_name(filled(domain, 244), STR("z.example"), out), 0);
    CHECK_EQ_INT(list_domain_name(filled(domain, 253), STR("z.example"), out), 0);
    CHECK_EQ_INT(list_domain_name(STR(""), STR("z.example"), out), 0);
}

static void asks_about_public_addresses_only(void)
{
    static const char *const no[] = { "0.0.0.0",     "10.255.255.255", "100.64.0.1",     "100.127.255.255", "127.0.0.1",
                                      "169.254.1.1", "172.16.0.1",     "172.31.255.255", "192.168.0.1",     "::",
                                      "::1",         "fe80::1",        "febf:ffff::1",   "fc00::1",         "fdff::1" };
    static const char *const yes[] = { "1.1.1.1",     "9.255.255.255", "11.0.0.0",   "100.63.255.255", "100.128.0.0",
                                       "128.0.0.1",   "169.253.0.1",   "172.15.0.1", "172.32.0.1",     "192.167.0.1",
                                       "192.169.0.1", "::2",           "fec0::1",    "fbff::1",        "2001:db8::1" };
    struct address address;

    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        CHECK_ROW(no[i]);
        CHECK(address_parse(str_of(no[i]), &address) && !list_asks_about(&address));
    }
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        CHECK_ROW(yes[i]);
        CHECK(address_parse(str_of(yes[i]), &address) && list_asks_about(&address));
    }
}

/* ---- the check: an operator, a client, and what lists say ---- */

#define BASE \
    "[server]\nhostname = mx.example.org\n" \
    "[backend]\nservers = 192.0.2.1\ntls = off\n" \
    "[listen a]\naddress = 127.0.0.1:25\ntls = off\n" \
    "[relay]\ndomains = local.example\nnetworks = 198.51.100.0/24\n"

/* Two block lists of clients, one of domains, and a welcome list. */
#define LISTS \
    "[list one.example]\ncodes = 127.0.0.2-3\npoints = 3\n" \
    "[list two.example]\ncodes = 127.0.0.2 127.0.0.10:1 127.0.0.11:9\npoints = 2\n" \
    "[list dbl.example]\nof = helo mail_from from\ncodes = 127.0.1.2\nparents = 0\npoints = 4\n" \
    "[list dnswl.example]\nkind = welcome\ncodes = 127.0.1-9.1-3\npoints = 3\n"

static struct config *config;
static struct outcome outcome;
static struct envelope envelope;
static struct path mail_from, rcpt;
static char from_room[PATH_ROOM], rcpt_room[PATH_ROOM], memory[POLICY_ARENA_SIZE], fact_memory[FACTS_ROOM_BYTES];
static struct fact fact_table[FACTS_ROOM_MAX];
static struct facts facts;

static const struct check *const table[] = { &check_author, &check_lists, &check_score };

static void operator_says(const char *ini)
{
    char text[8192];
    int n = snprintf(text, sizeof text, "%s%s", BASE, ini);

    config_free(config);
    config = config_parse(str_from(text, (size_t)n), "test", stderr);
    CHECK(config != NULL);
}

static void client_is(const char *address)
{
    size_t used;

    envelope = (struct envelope){ .helo = STR_INIT("helo.example"), .mail_from = &mail_from, .rcpt = &rcpt };
    CHECK(address_parse(str_of(address), &envelope.client.address));
    CHECK(path_parse(STR("<a@sender.example>"), PATH_REVERSE, 0, from_room, &mail_from, &used) == PATH_OK);
    CHECK(path_parse(STR("<b@local.example>"), PATH_FORWARD, 0, rcpt_room, &rcpt, &used) == PATH_OK);
}

static void evaluate(enum stage stage)
{
    struct message message = { STR("From: a@author.example\r\n\r\n"), 100 };
    struct arena arena;

    envelope.rcpt = stage == AT_RCPT ? &rcpt : NULL;
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 3, &config->policy, stage, &envelope, stage >= AT_HEADERS ? &message : NULL, &facts,
                         &arena, &outcome);
}

/* Until it is decided, whatever it asks beyond `known` (facts_load) does not exist. `one`: one answer a pass, the last first. */
static const struct verdict *judge(enum stage stage, const char *known, bool one)
{
    facts_init(&facts, fact_table, FACTS_ROOM_MAX, fact_memory, sizeof fact_memory);
    CHECK_EQ_INT(facts_load(&facts, str_of(known)), 0);
    for (evaluate(stage); !outcome.decided; evaluate(stage)) {
        size_t n = outcome.questions;

        if (n == 0)
            facts_close(&facts);
        for (size_t i = n; i > (one && n > 0 ? n - 1 : 0); i--)
            facts_answer(&facts, outcome.question[i - 1], FACT_NXDOMAIN, NULL, 0);
    }
    return &outcome.verdict;
}

static bool has_finding(const char *result, const char *detail)
{
    for (size_t i = 0; i < outcome.findings; i++)
        if (strcmp(outcome.finding[i].check, "lists") == 0 && strcmp(outcome.finding[i].result, result) == 0 &&
            str_eq(outcome.finding[i].detail, str_of(detail)))
            return true;
    return false;
}

#define ONE "A 9.113.0.203.one.example "
#define TWO "A 9.113.0.203.two.example "
#define WELCOME "A 9.113.0.203.dnswl.example "
#define HELO "A helo.example.dbl.example "
#define FROM "A sender.example.dbl.example "

/* clang-format off */
static const struct sum_row {
    const char *label, *known;
    int code;           /* with threshold = 5 */
    const char *reason; /* of a refusal */
} sum_rows[] = {
    { "nobody", "", 0, "" },
    { "threshold less one: 3", ONE "OK 127.0.0.2\n", 0, "" },
    { "3 + 1 is one less", ONE "OK 127.0.0.2\n" TWO "OK 127.0.0.10\n", 0, "" },
    { "3 + 2 reaches it", ONE "OK 127.0.0.2\n" TWO "OK 127.0.0.2\n", 550,
      "client 203.0.113.9 is listed by one.example (127.0.0.2) and by 1 more: 5 points of 5" },
    { "a code with points of its own", TWO "OK 127.0.0.11\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5" },
    { "several addresses: the most of them, once", TWO "OK 127.0.0.10 127.0.0.2\n", 0, "" },
    { "several addresses, whatever their order", TWO "OK 127.0.0.11 127.0.0.2\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5" },
    { "a list counts once for two names", HELO "OK 127.0.1.2\n" FROM "OK 127.0.1.2\n", 0, "" },
    { "client and domain", ONE "OK 127.0.0.3\n" HELO "OK 127.0.1.2\n", 550,
      "HELO helo.example is listed by dbl.example (127.0.1.2) and by 1 more: 7 points of 5" },
    { "MAIL FROM", ONE "OK 127.0.0.3\n" FROM "OK 127.0.1.2\n", 550,
      "MAIL FROM sender.example is listed by dbl.example (127.0.1.2) and by 1 more: 7 points of 5" },
    { "welcome: 9 - 3 is enough", TWO "OK 127.0.0.11\n" WELCOME "OK 127.0.5.2\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 6 points of 5" },
    { "welcome: 7 - 3 is not", ONE "OK 127.0.0.3\n" HELO "OK 127.0.1.2\n" WELCOME "OK 127.0.9.3\n", 0, "" },
    { "an alarm beside a listing", TWO "OK 127.0.0.11 127.255.255.254\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5" },
    { "alarms alone", ONE "OK 127.255.255.254 127.0.0.1\n" TWO "OK 0.0.0.0 198.51.100.1\n", 0, "" },
    { "an alarm of a welcome list takes nothing off", TWO "OK 127.0.0.11\n" WELCOME "OK 127.0.0.1\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5" },
    { "no answers", ONE "TEMP\n" TWO "TEMP\n" HELO "TEMP\n" WELCOME "TEMP\n", 0, "" },
    { "caps", "* LIMIT\n", 0, "" },
    { "the deadline", "* TEMP\n", 0, "" },
    { "no data", ONE "NODATA\n" TWO "NODATA\n", 0, "" },
    { "broken", "LIST broken OK two.example\n" TWO "OK 127.0.0.11\n", 0, "" },
    { "another is broken", "LIST broken OK one.example three.example\n" TWO "OK 127.0.0.11\n", 550,
      "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5" },
};
/* clang-format on */

static void adds_up(void)
{
    operator_says(LISTS);
    client_is("203.0.113.9");
    for (size_t i = 0; i < 2 * (sizeof sum_rows / sizeof *sum_rows); i++) {
        const struct sum_row *row = &sum_rows[i / 2];

        CHECK_ROW(row->label);
        CHECK_EQ_INT(judge(AT_RCPT, row->known, i % 2 != 0)->code, row->code);
        CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, row->reason);
    }
}

static void tells_what_is_no_listing(void)
{
    operator_says(LISTS);
    client_is("203.0.113.9");
    judge(AT_RCPT, ONE "OK 127.255.255.254\n" TWO "OK 127.0.0.77\n" HELO "TEMP\n", false);
    CHECK(has_finding("alarm", "one.example answered 127.255.255.254, which is no listing"));
    CHECK(has_finding("other-code", "two.example answered 127.0.0.77, which is not among its codes"));
    CHECK(has_finding("no-answer", "no answer from dbl.example"));
    CHECK_EQ_INT(outcome.effects, 2);
    CHECK(outcome.effect[0].kind == ASK_LIST && outcome.effect[0].units == LIST_ALARMED);
    CHECK_EQ_STR(outcome.effect[0].key.p, outcome.effect[0].key.n, "one.example 127.255.255.254");
    CHECK(outcome.effect[1].kind == ASK_LIST && outcome.effect[1].units == LIST_SILENT);
    CHECK_EQ_STR(outcome.effect[1].key.p, outcome.effect[1].key.n, "dbl.example");
    judge(AT_RCPT, "LIST broken OK one.example\n", false);
    CHECK(has_finding("broken", "one.example"));
}

/* ---- who is asked, and when ---- */

static bool was_asked(enum ask kind, const char *key)
{
    return facts_find(&facts, (struct question){ kind, str_of(key) }) != NULL;
}

/* One turn: what the stage asks, answered as nothing. Returns whether it was decided without waiting. */
static bool look(enum stage stage)
{
    bool decided;

    evaluate(stage);
    decided = outcome.decided;
    for (size_t i = 0; i < outcome.questions; i++)
        facts_answer(&facts, outcome.question[i], FACT_NXDOMAIN, NULL, 0);
    return decided;
}

static void asks_early_and_judges_late(void)
{
    operator_says(LISTS);
    client_is("203.0.113.9");
    envelope.mail_from = NULL;
    envelope.helo = STR("");
    facts_init(&facts, fact_table, FACTS_ROOM_MAX, fact_memory, sizeof fact_memory);
    CHECK(look(AT_CONNECT));
    CHECK_EQ_INT(facts.n, 1); /* which lists are broken, before they are asked */
    CHECK(look(AT_CONNECT));
    CHECK_EQ_INT(facts.n, 4);
    CHECK(was_asked(ASK_A, "9.113.0.203.one.example") && was_asked(ASK_A, "9.113.0.203.dnswl.example"));
    envelope.helo = STR("Helo.Example");
    CHECK(look(AT_HELO));
    CHECK_EQ_INT(facts.n, 5);
    CHECK(was_asked(ASK_A, "helo.example.dbl.example"));
    envelope.mail_from = &mail_from;
    CHECK(look(AT_MAIL));
    CHECK_EQ_INT(facts.n, 6);
    CHECK(look(AT_RCPT));
    CHECK_EQ_INT(facts.n, 6);
    CHECK(!look(AT_HEADERS) && look(AT_HEADERS));
    CHECK_EQ_INT(facts.n, 7);
    CHECK(was_asked(ASK_A, "author.example.dbl.example"));
}

static void check_nothing_asked(const char *label)
{
    static const enum stage stages[] = { AT_CONNECT, AT_HELO, AT_MAIL, AT_RCPT, AT_HEADERS };

    CHECK_ROW(label);
    facts_init(&facts, fact_table, FACTS_ROOM_MAX, fact_memory, sizeof fact_memory);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        evaluate(stages[i]);
        CHECK(outcome.decided);
        CHECK_EQ_INT(outcome.questions, 0);
    }
}

static void asks_nothing_in_vain(void)
{
    operator_says("");
    client_is("203.0.113.9");
    check_nothing_asked("no lists");
    operator_says("[lists]\nmode = off\n" LISTS);
    check_nothing_asked("off");
    operator_says(LISTS);
    client_is("198.51.100.9");
    check_nothing_asked("[relay] networks");
    client_is("203.0.113.9");
    envelope.is_authenticated = true;
    check_nothing_asked("authenticated");
    operator_says("[list one.example]\ncodes = 127.0.0.2\n");
    client_is("192.168.1.1");
    check_nothing_asked("an address of one's own");
    client_is("2001:db8::1");
    check_nothing_asked("IPv6, and no list that has any");
}

static void welcomes_and_hears(void)
{
    size_t used;

    operator_says(LISTS "[except friends]\nnetworks = 203.0.113.0/28\nchecks = lists\n");
    client_is("203.0.113.9");
    CHECK_EQ_INT(judge(AT_RCPT, TWO "OK 127.0.0.11\n", false)->code, 0);
    CHECK(has_finding("excepted", "friends: client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5"));
    operator_says(LISTS);
    CHECK(path_parse(STR("<postmaster>"), PATH_FORWARD, 0, rcpt_room, &rcpt, &used) == PATH_OK);
    CHECK_EQ_INT(judge(AT_RCPT, TWO "OK 127.0.0.11\n", false)->code, 0);
    CHECK(has_finding("postmaster", "client 203.0.113.9 is listed by two.example (127.0.0.11): 9 points of 5"));
}

static void early_refuses_at_connect(void)
{
    operator_says("[lists]\nearly = yes\n" LISTS);
    client_is("203.0.113.9");
    CHECK_EQ_INT(judge(AT_CONNECT, TWO "OK 127.0.0.11\n", false)->code, 554);
    CHECK_EQ_INT(judge(AT_CONNECT, ONE "OK 127.0.0.2\n", false)->code, 0);
    operator_says("[lists]\nearly = yes\nmode = score\n" LISTS); /* points belong to a transaction */
    CHECK_EQ_INT(judge(AT_CONNECT, TWO "OK 127.0.0.11\n", false)->code, 0);
    CHECK_EQ_INT(outcome.scores.n, 0);
    operator_says(LISTS);
    CHECK_EQ_INT(judge(AT_CONNECT, TWO "OK 127.0.0.11\n", false)->code, 0);
}

/* ---- modes ---- */

static int64_t points(void)
{
    CHECK_EQ_INT(outcome.scores.n, 1);
    return outcome.scores.n == 1 ? outcome.scores.item[0].points : -99;
}

static void scores_the_sum(void)
{
    struct score_list before = { .item = { { .check = "lists", .points = 3 } }, .n = 1 };

    operator_says("[lists]\nmode = score\n" LISTS);
    client_is("203.0.113.9");
    CHECK_EQ_INT(judge(AT_RCPT, ONE "OK 127.0.0.2\n" TWO "OK 127.0.0.10\n", false)->code, 0);
    CHECK_EQ_INT(points(), 4);
    judge(AT_RCPT, WELCOME "OK 127.0.5.1\n", false);
    CHECK_EQ_INT(points(), -3);
    CHECK_EQ_STR(outcome.scores.item[0].reason.p, outcome.scores.item[0].reason.n,
                 "client 203.0.113.9 is welcome to dnswl.example (127.0.5.1): -3 points of 5");
    judge(AT_RCPT, ONE "OK 127.0.0.2\n" WELCOME "OK 127.0.5.1\n", false);
    CHECK_EQ_INT(outcome.scores.n, 0);
    envelope.scores = &before;
    judge(AT_HEADERS, "A author.example.dbl.example OK 127.0.1.2\n", false);
    CHECK_EQ_INT(points(), 7);
    envelope.scores = NULL;
    operator_says("[lists]\nmode = monitor\n" LISTS);
    CHECK_EQ_INT(judge(AT_RCPT, TWO "OK 127.0.0.11\n", false)->code, 0);
    CHECK_EQ_INT(points(), 0);
    judge(AT_RCPT, ONE "OK 127.0.0.2\n", false);
    CHECK_EQ_INT(outcome.scores.n, 0);
}

/* ---- temporary errors ---- */

/* clang-format off */
static const struct sum_row doubt_rows[] = {
    { "no answer that could have reached it", ONE "TEMP\n", 451, "no answer from one.example" },
    { "no room for the question", "* LIMIT\n", 451, "no answer from dnswl.example" },
    { "one that could not", TWO "TEMP\n", 0, "" },
    { "one that could have, with the other", TWO "TEMP\n" HELO "OK 127.0.1.2\n", 451, "no answer from two.example" },
    { "listed anyway", ONE "OK 127.0.0.2\n" TWO "TEMP\n", 550, "client 203.0.113.9 is listed by one.example (127.0.0.2): 6 points of 5" },
    { "welcome might have helped", ONE "OK 127.0.0.2\n" WELCOME "TEMP\n", 451, "no answer from dnswl.example" },
    { "welcome would not have helped", ONE "OK 127.0.0.2\n" HELO "OK 127.0.1.2\n" WELCOME "TEMP\n", 550,
      "client 203.0.113.9 is listed by one.example (127.0.0.2) and by 1 more: 10 points of 5" },
};
/* clang-format on */

static void doubt_is_deferred_where_it_matters(void)
{
    operator_says("[list one.example]\ncodes = 127.0.0.2\npoints = 6\ntemperror = tempfail\n"
                  "[list two.example]\ncodes = 127.0.0.2 127.0.0.3:1\npoints = 2\ntemperror = tempfail\n"
                  "[list dbl.example]\nof = helo\ncodes = 127.0.1.2\npoints = 4\n"
                  "[list dnswl.example]\nkind = welcome\ncodes = 127.0.1-9.1-3\npoints = 3\ntemperror = tempfail\n");
    client_is("203.0.113.9");
    for (size_t i = 0; i < sizeof doubt_rows / sizeof *doubt_rows; i++) {
        CHECK_ROW(doubt_rows[i].label);
        CHECK_EQ_INT(judge(AT_RCPT, doubt_rows[i].known, false)->code, doubt_rows[i].code);
        CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, doubt_rows[i].reason);
    }
}

/* ---- bounds ---- */

/* D-1: a question a list for the client, 1 + parents a list for each domain. */
static void asks_so_many_questions(void)
{
    char ini[4096];
    size_t n = 0;

    for (unsigned i = 0; i < LISTS_MAX; i++)
        n += (size_t)snprintf(ini + n, sizeof ini - n,
                              "[list l%u.example]\nof = client helo mail_from\ncodes = 127.0.0.2\nparents = 4\n", i);
    operator_says(ini);
    client_is("203.0.113.9");
    envelope.helo = STR("a.b.c.d.e.f.example");
    judge(AT_RCPT, "", false);
    CHECK_EQ_INT(facts.n, 1 + LISTS_MAX * (1 + 5 + 1));
    CHECK(was_asked(ASK_A, "e.f.example.l31.example") && !was_asked(ASK_A, "f.example.l31.example"));
}

static void a_full_arena_is_no_crash(void)
{
    struct arena arena;
    bool refused = false;

    operator_says(LISTS);
    client_is("203.0.113.9");
    judge(AT_RCPT, TWO "OK 127.0.0.11\n", false);
    for (size_t size = 0; size < 2048; size += 8) {
        arena_init(&arena, memory, size);
        policy_evaluate_with(table, 3, &config->policy, AT_RCPT, &envelope, NULL, &facts, &arena, &outcome);
        refused = refused || outcome.verdict.code == 550;
        CHECK(outcome.verdict.code == 550 || outcome.verdict.code == 451);
    }
    CHECK(refused);
}

/* ---- the ini ---- */

/* clang-format off */
static const struct error_row {
    const char *ini, *report;
} error_rows[] = {
    { "[list zen.example]\n", "f:12: [list zen.example] codes: missing; expected return codes such as 127.0.0.2 or 127.0.0.4-11:3, never 127.0.0.1 or 127.255.255.0-255\n" },
    { "[list zen.example]\ncodes = 127.0.0.2\n  127.0.0.300\n", "f:14: [list zen.example] codes: \"127.0.0.300\": expected return codes such as 127.0.0.2 or 127.0.0.4-11:3, never 127.0.0.1 or 127.255.255.0-255\n" },
    { "[list zen.example]\ncodes = 127.255.255.254\n", "f:13: [list zen.example] codes: \"127.255.255.254\": expected return codes such as 127.0.0.2 or 127.0.0.4-11:3, never 127.0.0.1 or 127.255.255.0-255\n" },
    { "[list zen]\ncodes = 127.0.0.2\n", "f:12: [list zen] zone: missing, and the section's name \"zen\" is no domain name\n" },
    { "[list zen]\ncodes = 127.0.0.2\nzone = example\n", "f:14: [list zen] zone: \"example\": expected a domain name of two labels or more\n" },
    { "[list a.example]\ncodes = 127.0.0.2\nof = client rcpt\n",
      "f:14: [list a.example] of: \"rcpt\": expected client, helo, mail_from or from\n" },
    { "[list a.example]\ncodes = 127.0.0.2\nof =\n", "f:14: [list a.example] of: \"\": expected client, helo, mail_from or from\n" },
    { "[list a.example]\ncodes = 127.0.0.2\naddresses = ipv5\n", "f:14: [list a.example] addresses: \"ipv5\": expected ipv4 or ipv6\n" },
    { "[list a.example]\ncodes = 127.0.0.2\ntimeout = 99ms\n",
      "f:14: [list a.example] timeout: \"99ms\": expected a time from 100ms to 30s (ms, s, m, h, d)\n" },
    { "[list a.example]\ncodes = 127.0.0.2\npoints = 101\n",
      "f:14: [list a.example] points: \"101\": expected a number of points from 1 to 100\n" },
    { "[lists]\nthreshold = 0\n", "f:13: [lists] threshold: \"0\": expected a number of points from 1 to 1000\n" },
};
/* clang-format on */

static void tells_errors(void)
{
    for (size_t i = 0; i < sizeof error_rows / sizeof *error_rows; i++) {
        char text[2048], *report;
        size_t size;
        FILE *errors = open_memstream(&report, &size);
        int n = snprintf(text, sizeof text, "%s%s", BASE, error_rows[i].ini);
        struct config *bad = config_parse(str_from(text, (size_t)n), "f", errors);

        fclose(errors);
        CHECK_ROW(error_rows[i].ini);
        CHECK(bad == NULL);
        CHECK_EQ_STR(report, size, error_rows[i].report);
        free(report);
        config_free(bad);
    }
}

static void takes_as_many_lists_as_it_says(void)
{
    char ini[4096];
    size_t n = (size_t)snprintf(ini, sizeof ini, "%s", BASE);
    char *report;
    size_t size;

    for (unsigned i = 0; i <= LISTS_MAX; i++) {
        FILE *errors = open_memstream(&report, &size);
        struct config *c;

        n += (size_t)snprintf(ini + n, sizeof ini - n, "[list l%u.example]\ncodes = 127.0.0.2\n", i);
        c = config_parse(str_from(ini, n), "f", errors);
        fclose(errors);
        CHECK_EQ_INT(c != NULL, i < LISTS_MAX);
        free(report);
        config_free(c);
    }
}

static void zones_are_canonical(void)
{
    const struct list_policy *list;

    operator_says("[list Zen.Example]\ncodes = 127.0.0.2\n[list key]\nzone = ABC.Zen.Example\ncodes = 127.0.0.2\nof = "
                  "from helo\n");
    list = config->policy.list.item;
    CHECK_EQ_STR(list[0].zone.p, list[0].zone.n, "zen.example");
    CHECK_EQ_STR(list[1].zone.p, list[1].zone.n, "abc.zen.example");
    CHECK_EQ_INT(list[0].of, 1u << LIST_CLIENT);
    CHECK_EQ_INT(list[1].of, 1u << LIST_FROM | 1u << LIST_HELO);
    CHECK_EQ_INT(list[1].timeout, 3000);
}

static void end(void)
{
    config_free(config);
    config = NULL;
}

static const struct test_case tests[] = {
    TEST(reads_codes),
    TEST(reads_answers),
    TEST(writes_names),
    TEST(names_end_at_their_bound),
    TEST(asks_about_public_addresses_only),
    TEST(adds_up),
    TEST(tells_what_is_no_listing),
    TEST(asks_early_and_judges_late),
    TEST(asks_nothing_in_vain),
    TEST(welcomes_and_hears),
    TEST(early_refuses_at_connect),
    TEST(scores_the_sum),
    TEST(doubt_is_deferred_where_it_matters),
    TEST(asks_so_many_questions),
    TEST(a_full_arena_is_no_crash),
    TEST(tells_errors),
    TEST(takes_as_many_lists_as_it_says),
    TEST(zones_are_canonical),
    TEST(end),
};
TEST_MAIN(tests)
