/* The attachment check: values of the PARTS fact, and what becomes of them, with the defaults of the ini. */
#include "policy/mime.h"
#include "policy/rule.h"

#include "../../proxy/config.h"
#include "test.h"

static const char ini[] =
    "[server]\nhostname = mx.local.example\n[listen a]\naddress = 192.0.2.1:25\ntls = off\n"
    "[backend]\nservers = 192.0.2.2:25\n[relay]\ndomains = local.example\nnetworks = 10.0.0.0/8\n";

static struct config *config;
static struct outcome outcome;
static char memory[POLICY_ARENA_SIZE];
static char facts_memory[8192];
static struct fact table[4];

static void judge(const struct policy *policy, const char *client, const struct facts *facts)
{
    static const struct check *const checks[] = { &check_attachment };
    struct message message = { .header = STR("") };
    struct envelope envelope = { .rcpt_accepted = 1 };
    struct arena arena;

    CHECK(address_parse(str_of(client), &envelope.client.address));
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(checks, 1, policy, AT_END, &envelope, &message, facts, &arena, &outcome);
    CHECK(outcome.decided);
}

static struct facts facts_of(struct str value, enum fact_state state)
{
    struct facts facts;

    facts_init(&facts, table, 4, facts_memory, sizeof facts_memory);
    facts_give(&facts, (struct question){ ASK_PARTS, MIME_PARTS_KEY }, state, &value, state == FACT_OK);
    return facts;
}

static void judge_value(const struct policy *policy, struct str value)
{
    struct facts facts = facts_of(value, FACT_OK);

    judge(policy, "198.51.100.7", &facts);
}

/* ---- with the default configuration ---- */

enum { PASSES, SCORES, REFUSED };

/* clang-format off */
static const struct row {
    struct str value;
    int what;
    const char *reason;
} rows[] = {
#define ROW(value, what, reason) { STR_INIT(value), what, reason }
    ROW("1 name=x.exe", REFUSED, "1 \"x.exe\": extension exe"),
    ROW("2.1 type=application/pdf name=invoice.pdf.exe", REFUSED, "2.1 \"invoice.pdf.exe\": extension exe"),
    ROW("2 name=a.txt name=b.SCR", REFUSED, "2 \"b.SCR\": extension scr"),
    ROW("1 name=x.exe.", REFUSED, "1 \"x.exe.\": extension exe"),
    ROW("1 name=x.exe%20.%20", REFUSED, "1 \"x.exe . \": extension exe"),
    ROW("1 name=invoice.pdf%20%20%20%20.exe", REFUSED, "1 \"invoice.pdf    .exe\": extension exe"),
    ROW("1 name=x.ex%20e", REFUSED, "1 \"x.ex e\": extension exe"),
    ROW("1 name=x.exe%C2%A0", REFUSED, "1 \"x.exe??\": extension exe"),
    ROW("1 name=x.exe:stream", REFUSED, "1 \"x.exe:stream\": extension exe"),
    ROW("1 name=x.txt:y.exe", REFUSED, "1 \"x.txt:y.exe\": extension exe"),
    ROW("1 name=C:x.exe", REFUSED, "1 \"C:x.exe\": extension exe"),
    ROW("1 name=x.exe%00.txt", REFUSED, "1 \"x.exe?.txt\": extension exe"),
    ROW("1 name=%00x%00.%00e%00x%00e", REFUSED, "1 \"?x?.?e?x?e\": extension exe"),
    ROW("1 name=x%E2%80%AEfdp.exe", REFUSED, "1 \"x???fdp.exe\": extension exe"),
    ROW("1 name=x.e%E2%80%8Bxe", REFUSED, "1 \"x.e???xe\": extension exe"),
    ROW("1 name=x.exe%22", REFUSED, "1 \"x.exe'\": extension exe"),
    ROW("1 name=x.%FFexe", PASSES, ""),
    ROW("1 name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.js", REFUSED,
        "1 \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..aaaaaaaaaaaaaaaaaaaaaaaaaaa.js\": extension js"),
    ROW("1 type=application/x-msdownload name=x", REFUSED, "1 \"x\": type application/x-msdownload"),
    ROW("3 type=message/partial", REFUSED, "3: type message/partial"),
    ROW("1 type=image/png name=x.png content=pe", REFUSED, "1 \"x.png\": content pe"),
    ROW("1 name=x.png content=lnk", REFUSED, "1 \"x.png\": content lnk"),
    ROW("- over=depth", REFUSED, "over the limit of depth"),

    ROW("1 name=x.zip content=zip member=a/b.js", SCORES, "1 \"a/b.js\": an archive holds a listed extension js"),
    ROW("1 name=x.zip content=zip encrypted", SCORES, "1 \"x.zip\": encrypted archive"),
    ROW("1 name=setup.exe.zip", SCORES, "1 \"setup.exe.zip\": extension before the last one exe"),
    ROW("- odd=boundary", SCORES, "malformed boundary"),

    ROW("1 name=x.pdf", PASSES, ""),
    ROW("1 name=exe", PASSES, ""),
    ROW("1 name=x.exex", PASSES, ""),
    ROW("1 name=.", PASSES, ""),
    ROW("1 name=..", PASSES, ""),
    ROW("1 name=", PASSES, ""),
    ROW("1 name=www.example.com.pdf", PASSES, ""),
    ROW("1 name=x.zip content=zip member=word/document.xml", PASSES, ""),
    ROW("1 name=run content=script", PASSES, ""),
    ROW("1 name=x.doc content=ole2", PASSES, ""),
    ROW("1 type=application/octet-stream", PASSES, ""),
    ROW("", PASSES, ""),
    ROW("exe", PASSES, ""),
};
/* clang-format on */

static void check_row(const struct row *row)
{
    const struct score_list *scores = &outcome.scores;

    CHECK_EQ_INT(outcome.verdict.code, row->what == REFUSED ? 550 : 0);
    CHECK_EQ_INT(scores->n, row->what == SCORES);
    if (row->what == REFUSED)
        CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, row->reason);
    if (scores->n > 0) {
        CHECK_EQ_STR(scores->item[0].reason.p, scores->item[0].reason.n, row->reason);
        CHECK_EQ_INT(scores->item[0].points, 3);
    }
}

static void defaults_refuse_programs(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_ROW(rows[i].value.p);
        judge_value(&config->policy, rows[i].value);
        check_row(&rows[i]);
    }
}

static void the_reply_names_the_part(void)
{
    judge_value(&config->policy, STR("2.1 name=invoice.pdf.exe"));
    CHECK_EQ_STR(outcome.verdict.enhanced, strlen(outcome.verdict.enhanced), "5.7.1");
    CHECK_EQ_STR(outcome.verdict.text.p, outcome.verdict.text.n,
                 "Attachment 2.1 \"invoice.pdf.exe\" is not accepted here");
}

/* ---- modes ---- */

static void each_kind_has_its_mode(void)
{
    static const struct {
        struct str value;
        size_t mode; /* of which setting */
    } kinds[] = {
        { STR_INIT("1 name=x.exe"), offsetof(struct attachment_policy, rule.mode) },
        { STR_INIT("1 content=elf"), offsetof(struct attachment_policy, content) },
        { STR_INIT("1 member=x.exe"), offsetof(struct attachment_policy, archived) },
        { STR_INIT("1 encrypted"), offsetof(struct attachment_policy, encrypted) },
        { STR_INIT("1 name=x.exe.zip"), offsetof(struct attachment_policy, double_names) },
        { STR_INIT("- over=parts"), offsetof(struct attachment_policy, limits) },
        { STR_INIT("- odd=name"), offsetof(struct attachment_policy, malformed) },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        CHECK_ROW(kinds[i].value.p);
        for (int mode = RULE_OFF; mode <= RULE_REJECT; mode++) {
            struct policy policy = config->policy;

            memcpy((char *)&policy.attachment + kinds[i].mode, &mode, sizeof mode);
            judge_value(&policy, kinds[i].value);
            CHECK_EQ_INT(outcome.verdict.code, mode == RULE_REJECT ? 550 : 0);
            CHECK_EQ_INT(outcome.scores.n, mode == RULE_SCORE || mode == RULE_MONITOR);
            CHECK_EQ_INT(outcome.scores.n > 0 ? outcome.scores.item[0].points : 0, mode == RULE_SCORE ? 3 : 0);
        }
    }
}

static void exempt_clients_are_not_asked_about(void)
{
    struct facts none;

    facts_init(&none, table, 4, facts_memory, sizeof facts_memory);
    judge(&config->policy, "10.0.0.1", &none);
    CHECK_EQ_INT(outcome.verdict.code, 0);
    CHECK_EQ_INT(outcome.questions, 0);
}

static void what_is_not_known_is_no_pass(void)
{
    static const enum fact_state states[] = { FACT_TEMP, FACT_LIMIT };

    for (size_t i = 0; i < 2; i++) {
        struct facts facts = facts_of(STR(""), states[i]);

        judge(&config->policy, "198.51.100.7", &facts);
        CHECK_EQ_INT(outcome.verdict.code, 451);
    }
}

static void lists_are_the_operators(void)
{
    static const struct str extensions[] = { STR_INIT(".Pdf") },
                            types[] = { STR_INIT("application/*-X"), STR_INIT("*a*b") };
    struct policy policy = config->policy;

    policy.attachment.extensions = (struct str_list){ extensions, 1 };
    policy.attachment.types = (struct str_list){ types, 2 };
    judge_value(&policy, STR("1 name=x.exe"));
    CHECK_EQ_INT(outcome.verdict.code, 0);
    judge_value(&policy, STR("1 name=x.pdf"));
    CHECK_EQ_INT(outcome.verdict.code, 550);
    judge_value(&policy, STR("1 type=application/y-y-x"));
    CHECK_EQ_INT(outcome.verdict.code, 550);
    judge_value(&policy, STR("1 type=application/-x-y"));
    CHECK_EQ_INT(outcome.verdict.code, 0);
    judge_value(&policy, STR("1 type=xaabab"));
    CHECK_EQ_INT(outcome.verdict.code, 550);
}

static const struct test_case tests[] = {
    TEST(defaults_refuse_programs),           TEST(the_reply_names_the_part),     TEST(each_kind_has_its_mode),
    TEST(exempt_clients_are_not_asked_about), TEST(what_is_not_known_is_no_pass), TEST(lists_are_the_operators),
};

int main(void)
{
    int result;

    config = config_parse(STR(ini), "test.ini", stderr);
    if (config == NULL)
        return 1;
    result = test_main(tests, sizeof tests / sizeof *tests);
    config_free(config);
    return result;
}
