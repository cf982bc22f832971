/* The DMARC check: what becomes of a message, by what the methods before it found, the zone, and the operator's wishes
 * (RFC 9989 4.10.1, 5.3, 5.4; ATTACKS I).
 */
#include "policy/dmarc.h"

#include "test.h"

/* ---- a message, in words: "spf=pass/example.com dkim=fail/example.org,presumed" ---- */

enum { FACTS = 128 };

static char memory[1 << 16], zone_memory[1 << 16], fact_memory[1 << 16];
static struct fact zone_table[FACTS], fact_table[FACTS];
static struct facts zone, facts;
static struct outcome outcome;
static struct arena arena;
static struct policy policy;
static struct envelope envelope;
static struct message message;
static struct path mail_from;
static const char *given_words, *given_author;

static bool take_word(const char **text, char out[160])
{
    size_t n;

    *text += strspn(*text, " ");
    n = strcspn(*text, " ");
    snprintf(out, 160, "%.*s", (int)n, *text);
    *text += n;
    return n > 0;
}

/* "ask" is what a key in the zone says: a result that is not there from the start. */
static enum auth_result given_result(struct pass *pass, const char *word, size_t n)
{
    const struct fact *fact;

    for (int r = 0; r < AUTH_RESULTS; r++)
        if (strlen(auth_result_name((enum auth_result)r)) == n &&
            memcmp(auth_result_name((enum auth_result)r), word, n) == 0)
            return (enum auth_result)r;
    fact = pass_ask(pass, ASK_TXT, str_from(word, n));
    if (fact == NULL)
        return AUTH_PENDING;
    return fact->state == FACT_OK ? AUTH_PASS : fact->state == FACT_TEMP ? AUTH_TEMPERROR : AUTH_FAIL;
}

/* The domain of a word, kept as long as the pass. */
static struct str given_domain(struct pass *pass, const char *word)
{
    return arena_copy(pass->arena, str_from(word, strcspn(word, ",")));
}

static void give_dkim(struct pass *pass, enum auth_result result, const char *rest)
{
    struct authentication *auth = &pass->outcome->auth;

    auth->dkim[auth->dkim_n++] = (struct dkim_result){
        .result = result,
        .domain = given_domain(pass, rest),
        .is_partial = strstr(rest, ",partial") != NULL,
        .is_presumed = strstr(rest, ",presumed") != NULL,
        .best_is_pass = strstr(rest, ",presumed") != NULL,
    };
}

static void give_arc(struct pass *pass, enum auth_result result, const char *rest)
{
    struct arc_result *arc = &pass->outcome->auth.arc;

    arc->result = result;
    arc->sealer[0] = given_domain(pass, rest);
    arc->sealers = arc->sets = 1;
    arc->is_presumed = strstr(rest, ",presumed") != NULL;
    arc->is_trusted = result == AUTH_PASS && domain_set_holds(&pass->policy->arc.trusted_sealers, arc->sealer[0]);
    arc->said_dmarc_pass = arc->is_trusted && strstr(rest, ",said") != NULL;
}

static void give(struct pass *pass)
{
    struct authentication *auth = &pass->outcome->auth;
    const char *text = given_words;
    char word[160];

    auth->author = str_of(given_author);
    while (take_word(&text, word)) {
        const char *value = strchr(word, '=') + 1, *rest = value + strcspn(value, "/");
        enum auth_result result = given_result(pass, value, (size_t)(rest - value));

        rest += rest[0] == '/';
        if (word[0] == 's')
            auth->mail_from = (struct spf_result){ .result = result, .domain = given_domain(pass, rest) };
        else if (word[0] == 'h')
            auth->helo = (struct spf_result){ .result = result, .domain = given_domain(pass, rest) };
        else if (word[0] == 'd')
            give_dkim(pass, result, rest);
        else
            give_arc(pass, result, rest);
    }
}

static const struct check given = { .name = "given", .stages = 1u << AT_HEADERS | 1u << AT_END, .run = give };
static const struct check *const table[] = { &given, &check_dmarc };

/* ---- the operator ---- */

static struct domain_entry listed[] = { { STR_INIT("lists.example"), false } };
static struct domain_entry sealers[] = { { STR_INIT("sealer.example"), false } };
static struct domain_entry off[] = { { STR_INIT("off.example"), true }, { STR_INIT("twice.example"), false } };
static struct domain_entry monitored[] = { { STR_INIT("twice.example"), false },
                                           { STR_INIT("watch.example"), true },
                                           { STR_INIT("thrice.example"), false } };
static struct domain_entry enforced[] = { { STR_INIT("thrice.example"), false },
                                          { STR_INIT("strict.watch.example"), false } };
static struct network forwarder;

static bool says(const char *options, const char *word)
{
    return options != NULL && strstr(options, word) != NULL;
}

static void set_up(const char *options)
{
    policy = (struct policy){
        .arc.trusted_sealers = { sealers, 1 },
        .dmarc = { .mode = says(options, "monitor")    ? DMARC_MONITOR
                           : says(options, "mode-off") ? DMARC_OFF
                                                       : DMARC_ENFORCE,
                   .off_domains = { off, 2 },
                   .monitor_domains = { monitored, 3 },
                   .enforce_domains = { enforced, 2 },
                   .lists = { listed, 1 },
                   .forwarders = { &forwarder, 1 },
                   .temperror = says(options, "record") ? TEMPERROR_RECORD : TEMPERROR_TEMPFAIL,
                   .quarantine = says(options, "q-reject")     ? QUARANTINE_REJECT
                                 : says(options, "q-redirect") ? QUARANTINE_REDIRECT
                                                               : QUARANTINE_TAG },
        .dkim.accept_partial = says(options, "partial"),
    };
    domain_set_sort(&policy.dmarc.monitor_domains);
    domain_set_sort(&policy.dmarc.enforce_domains);
    CHECK(network_parse(STR("192.0.2.0/24"), &forwarder));
    mail_from = (struct path){ .is_null = says(options, "null-path") };
    envelope = (struct envelope){ .mail_from = &mail_from, .only_postmaster = says(options, "postmaster") };
    CHECK(address_parse(says(options, "forwarded") ? STR("192.0.2.1") : STR("198.51.100.1"), &envelope.client.address));
}

/* ---- passes ---- */

static void load(const char *zone_text)
{
    facts_init(&zone, zone_table, FACTS, zone_memory, sizeof zone_memory);
    CHECK_EQ_INT(facts_load(&zone, str_of(zone_text)), 0);
    facts_init(&facts, fact_table, FACTS, fact_memory, sizeof fact_memory);
}

static void evaluate(enum stage stage)
{
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(table, 2, &policy, stage, &envelope, &message, &facts, &arena, &outcome);
    CHECK(!arena.overflowed);
}

static void answer(struct question q)
{
    const struct fact *known = facts_find(&zone, q);

    facts_answer(&facts, q, known != NULL ? known->state : FACT_NXDOMAIN, known != NULL ? known->value : NULL,
                 known != NULL ? known->n : 0);
}

static void settle(enum stage stage)
{
    for (evaluate(stage); !outcome.decided; evaluate(stage)) {
        CHECK(outcome.questions > 0);
        if (outcome.questions == 0)
            return;
        for (size_t i = 0; i < outcome.questions; i++)
            answer(outcome.question[i]);
    }
}

/* "fail/reject by dkim over arc: 550 5.7.26" */
static const char *summary(void)
{
    static char text[200];
    const struct dmarc_result *r = &outcome.auth.dmarc;
    const struct verdict *v = &outcome.verdict;

    snprintf(text, sizeof text, "%s/%s%s%s%s%s: %s%s%s", auth_result_name(r->result), r->policy,
             r->aligned[0] ? " by " : "", r->aligned, r->override[0] ? " over " : "", r->override,
             v->code != 0 ? (v->code == 550 ? "550 " : "451 ") : action_name(v->action), v->enhanced,
             v->code != 0 && strcmp(v->check, "dmarc") != 0 ? " by another check" : "");
    return text;
}

/* ---- the table ---- */

#define TXT(name, text) "TXT _dmarc." name " OK \"v=DMARC1;" text "\"\n"
#define REJECT TXT("example.com", "p=reject")
#define QUARANTINE TXT("example.com", "p=quarantine")

/* clang-format off */
static const struct row {
    const char *why, *zone, *author, *found, *options, *want;
} rows[] = {
    /* pass */
    { "SPF passes for the author domain", REJECT, "example.com", "spf=pass/example.com", NULL, "pass/reject by spf: accept" },
    { "SPF passes below it", REJECT, "example.com", "spf=pass/bounce.example.com", NULL, "pass/reject by spf: accept" },
    { "DKIM passes above it", REJECT, "mail.example.com", "spf=fail/x.example dkim=pass/example.com", NULL,
      "pass/reject by dkim: accept" },
    { "both", REJECT, "example.com", "spf=pass/example.com dkim=pass/m.example.com", NULL, "pass/reject by spf+dkim: accept" },
    { "the third signature", REJECT, "example.com", "dkim=fail/example.com dkim=pass/other.example dkim=pass/example.com", NULL,
      "pass/reject by dkim: accept" },
    { "DKIM waits for its key", REJECT "TXT key OK \"x\"\n", "example.com", "spf=none dkim=key/example.com", NULL,
      "pass/reject by dkim: accept" },
    /* fail */
    { "nothing passes", REJECT, "example.com", "spf=fail/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "nothing was found", REJECT, "example.com", "", NULL, "fail/reject: 550 5.7.26" },
    { "another domain passes", REJECT, "example.com", "spf=pass/evil.example dkim=pass/evil.example", NULL, "fail/reject: 550 5.7.26" },
    { "softfail and neutral are no pass", REJECT, "example.com", "spf=softfail/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "a weak key is no pass", REJECT, "example.com", "dkim=policy/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "an error for good is no pass", REJECT, "example.com", "spf=permerror/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "a part of the body is no pass", REJECT, "example.com", "dkim=pass/example.com,partial", NULL, "fail/reject: 550 5.7.26" },
    { "unless the operator says so", REJECT, "example.com", "dkim=pass/example.com,partial", "partial", "pass/reject by dkim: accept" },
    { "strict SPF", TXT("example.com", "p=reject;aspf=s"), "example.com", "spf=pass/m.example.com", NULL, "fail/reject: 550 5.7.26" },
    { "strict DKIM", TXT("example.com", "p=reject;adkim=s"), "example.com", "dkim=pass/m.example.com", NULL, "fail/reject: 550 5.7.26" },
    { "strict DKIM, relaxed SPF", TXT("example.com", "p=reject;adkim=s"), "example.com", "spf=pass/m.example.com", NULL,
      "pass/reject by spf: accept" },
    /* HELO */
    { "HELO does not stand in for MAIL FROM", REJECT, "example.com", "helo=pass/example.com spf=none/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "nor where MAIL FROM was not looked at", REJECT, "example.com", "helo=pass/example.com", NULL, "fail/reject: 550 5.7.26" },
    { "it does under the null path", REJECT, "example.com", "helo=pass/example.com", "null-path", "pass/reject by spf: accept" },
    /* what the domain asks for */
    { "none", TXT("example.com", "p=none"), "example.com", "spf=fail/example.com", NULL, "fail/none: accept" },
    { "quarantine tags", QUARANTINE, "example.com", "spf=fail/example.com", NULL, "fail/quarantine: quarantine" },
    { "quarantine redirects", QUARANTINE, "example.com", "spf=fail/example.com", "q-redirect", "fail/quarantine: quarantine" },
    { "quarantine rejects", QUARANTINE, "example.com", "spf=fail/example.com", "q-reject", "fail/quarantine: 550 5.7.26" },
    { "a subdomain", REJECT, "mail.example.com", "spf=fail/x.example", NULL, "fail/reject: 550 5.7.26" },
    { "sp for a subdomain", TXT("example.com", "p=reject;sp=none"), "mail.example.com", "", NULL, "fail/none: accept" },
    { "sp not for the domain itself", TXT("example.com", "p=reject;sp=none"), "example.com", "", NULL, "fail/reject: 550 5.7.26" },
    { "sp of a subdomain's own record is not for itself", TXT("m.example.com", "p=none;sp=reject"), "m.example.com", "", NULL,
      "fail/none: accept" },
    { "np for a name that does not exist", TXT("example.com", "p=none;np=reject"), "x.example.com", "", NULL, "fail/reject: 550 5.7.26" },
    { "sp for one without an address", TXT("example.com", "p=none;np=reject") "A x.example.com NODATA\n", "x.example.com", "", NULL,
      "fail/none: accept" },
    { "sp for one with", TXT("example.com", "p=none;np=reject") "A x.example.com OK \"192.0.2.1\"\n", "x.example.com", "", NULL,
      "fail/none: accept" },
    { "who knows whether it exists", TXT("example.com", "p=none;np=reject") "A x.example.com TEMP\n", "x.example.com", "", NULL,
      "temperror/reject: 451 4.7.0" },
    { "and it does not matter", TXT("example.com", "p=reject;np=reject") "A x.example.com TEMP\n", "x.example.com", "", NULL,
      "fail/reject: 550 5.7.26" },
    { "nor for a pass", TXT("example.com", "p=none;np=reject") "A x.example.com TEMP\n", "x.example.com", "dkim=pass/x.example.com", NULL,
      "pass/reject by dkim: accept" },
    { "a public suffix's np", TXT("com", "p=none;sp=none;np=reject;psd=y"), "no.example.com", "", NULL, "fail/reject: 550 5.7.26" },
    { "test mode: reject is quarantine", TXT("example.com", "p=reject;t=y"), "example.com", "", NULL, "fail/reject: quarantine" },
    { "test mode: quarantine is none", TXT("example.com", "p=quarantine;t=y"), "example.com", "", NULL, "fail/quarantine: accept" },
    { "test mode and an operator who rejects", TXT("example.com", "p=reject;t=y"), "example.com", "", "q-reject", "fail/reject: 550 5.7.26" },
    { "pct is history", TXT("example.com", "p=reject;pct=0"), "example.com", "", NULL, "fail/reject: 550 5.7.26" },
    /* no policy */
    { "no record", "", "example.com", "spf=fail/example.com", NULL, "none/: accept" },
    { "no record, and a pass", "", "example.com", "spf=pass/example.com", NULL, "none/: accept" },
    { "two records", "TXT _dmarc.example.com OK \"v=DMARC1;p=reject\" \"v=DMARC1;p=reject\"\n", "example.com", "", NULL, "none/: accept" },
    { "no p", TXT("example.com", "sp=reject"), "example.com", "", NULL, "permerror/: accept" },
    { "no p, but reports", TXT("example.com", "sp=reject;rua=mailto:a@example.com"), "example.com", "", NULL, "fail/none: accept" },
    { "no author", REJECT, "", "spf=pass/example.com", NULL, "none/: accept" },
    /* temporary errors */
    { "no answer for the record", "TXT _dmarc.example.com TEMP\n", "example.com", "", NULL, "temperror/: 451 4.7.0" },
    { "over a cap", "TXT _dmarc.example.com LIMIT\n", "example.com", "", NULL, "temperror/: 451 4.7.0" },
    { "recorded", "TXT _dmarc.example.com TEMP\n", "example.com", "", "record", "temperror/: accept" },
    { "whatever it says, the author domain itself passes", "TXT _dmarc.example.com TEMP\n", "example.com", "spf=pass/example.com", NULL,
      "temperror/: accept" },
    { "below it, that is not sure", "TXT _dmarc.example.com TEMP\n", "example.com", "spf=pass/m.example.com", NULL, "temperror/: 451 4.7.0" },
    { "no answer for the suffix, and nothing to align", REJECT "TXT _dmarc.com TEMP\n", "example.com", "spf=fail/example.com", NULL,
      "fail/reject: 550 5.7.26" },
    { "no answer for the suffix, and something to align", REJECT "TXT _dmarc.com TEMP\n", "example.com", "spf=pass/m.example.com", NULL,
      "temperror/reject: 451 4.7.0" },
    { "the same where nothing is asked for", TXT("example.com", "p=none") "TXT _dmarc.com TEMP\n", "example.com", "spf=pass/m.example.com",
      NULL, "temperror/none: accept" },
    { "SPF of the author domain", REJECT, "example.com", "spf=temperror/example.com dkim=fail/example.com", NULL, "temperror/reject: 451 4.7.24" },
    { "SPF of another domain", REJECT, "example.com", "spf=temperror/evil.example", NULL, "fail/reject: 550 5.7.26" },
    { "SPF, but DKIM passes", REJECT, "example.com", "spf=temperror/example.com dkim=pass/example.com", NULL, "pass/reject by dkim: accept" },
    { "DKIM of the author domain", REJECT, "example.com", "spf=fail/example.com dkim=temperror/example.com", NULL, "temperror/reject: 451 4.7.0" },
    { "DKIM of another domain", REJECT, "example.com", "dkim=temperror/evil.example", NULL, "fail/reject: 550 5.7.26" },
    { "a temporary error before quarantine", QUARANTINE, "example.com", "dkim=temperror/example.com", NULL, "temperror/quarantine: 451 4.7.0" },
    { "in test mode quarantine is nothing to wait for", TXT("example.com", "p=quarantine;t=y"), "example.com", "dkim=temperror/example.com", NULL,
      "temperror/quarantine: accept" },
    /* the operator */
    { "off", REJECT, "example.com", "spf=fail/example.com", "mode-off", "absent/: accept" },
    { "off for the domain", TXT("a.off.example", "p=reject"), "a.off.example", "", NULL, "absent/: accept" },
    { "monitor", REJECT, "example.com", "spf=fail/example.com", "monitor", "fail/reject over monitor: accept" },
    { "monitor, quarantine", QUARANTINE, "example.com", "spf=fail/example.com", "monitor", "fail/quarantine over monitor: accept" },
    { "monitor has nothing to say to none", TXT("example.com", "p=none"), "example.com", "", "monitor", "fail/none: accept" },
    { "monitor does not wait", "TXT _dmarc.example.com TEMP\n", "example.com", "", "monitor", "temperror/: accept" },
    { "monitored domain", TXT("a.watch.example", "p=reject"), "a.watch.example", "", NULL, "fail/reject over monitor: accept" },
    { "enforced before monitored", TXT("strict.watch.example", "p=reject"), "strict.watch.example", "", NULL, "fail/reject: 550 5.7.26" },
    { "monitored before off", TXT("twice.example", "p=reject"), "twice.example", "", NULL, "fail/reject over monitor: accept" },
    { "enforced though off in general", TXT("thrice.example", "p=reject"), "thrice.example", "", "mode-off", "fail/reject: 550 5.7.26" },
    /* overrides */
    { "a forwarder", REJECT, "example.com", "spf=fail/example.com", "forwarded", "fail/reject over forwarder: accept" },
    { "a forwarder, and no answer", "TXT _dmarc.example.com TEMP\n", "example.com", "", "forwarded", "temperror/: accept" },
    { "a mailing list by SPF", REJECT, "example.com", "spf=pass/lists.example dkim=fail/example.com", NULL, "fail/reject over list: accept" },
    { "a mailing list by DKIM", REJECT, "example.com", "spf=fail/x.example dkim=pass/lists.example", NULL, "fail/reject over list: accept" },
    { "who says to be one", REJECT, "example.com", "spf=fail/lists.example dkim=fail/lists.example", NULL, "fail/reject: 550 5.7.26" },
    { "who signs a part of it", REJECT, "example.com", "dkim=pass/lists.example,partial", NULL, "fail/reject: 550 5.7.26" },
    { "below one", REJECT, "example.com", "spf=pass/x.lists.example", NULL, "fail/reject: 550 5.7.26" },
    { "who may be one", REJECT, "example.com", "spf=temperror/lists.example", NULL, "fail/reject: 451 4.7.24" },
    { "who may be one, recorded", REJECT, "example.com", "spf=temperror/lists.example", "record", "fail/reject: accept" },
    { "the postmaster", QUARANTINE, "example.com", "", "postmaster", "fail/quarantine over postmaster: accept" },
    { "a trusted sealer", REJECT, "example.com", "arc=pass/sealer.example,said", NULL, "fail/reject over arc: accept" },
    { "a trusted sealer who saw no pass", REJECT, "example.com", "arc=pass/sealer.example", NULL, "fail/reject: 550 5.7.26" },
    { "a sealer like any other", REJECT, "example.com", "arc=pass/evil.example,said", NULL, "fail/reject: 550 5.7.26" },
    { "a broken chain", REJECT, "example.com", "arc=fail/sealer.example,said", NULL, "fail/reject: 550 5.7.26" },
    { "no answer about a trusted sealer", REJECT, "example.com", "arc=temperror/sealer.example,said", NULL, "fail/reject: 451 4.7.0" },
    { "no answer about another", REJECT, "example.com", "arc=temperror/evil.example,said", NULL, "fail/reject: 550 5.7.26" },
    { "the first reason is named", REJECT, "example.com", "arc=pass/sealer.example,said spf=pass/lists.example", "forwarded monitor",
      "fail/reject over arc: accept" },
    { "a pass needs no reason", REJECT, "example.com", "spf=pass/example.com", "forwarded", "pass/reject by spf: accept" },
    /* AT_HEADERS, what is remembered of a body does not refuse alone */
    { "a signature that was contradicted before", REJECT, "example.com", "dkim=fail/example.com,presumed", NULL, "fail/reject: accept", },
    { "of another domain", REJECT, "example.com", "dkim=fail/evil.example,presumed", NULL, "fail/reject: 550 5.7.26" },
    { "of a mailing list", REJECT, "example.com", "dkim=fail/lists.example,presumed", NULL, "fail/reject: accept" },
    { "one that left a part unsigned", REJECT, "example.com", "dkim=pass/example.com,partial,presumed", NULL, "fail/reject: accept" },
    { "quarantine goes by what is remembered", QUARANTINE, "example.com", "dkim=fail/example.com,presumed", NULL,
      "fail/quarantine: quarantine" },
    { "a chain that was contradicted before", REJECT, "example.com", "arc=fail/sealer.example,presumed", NULL, "fail/reject: accept" },
    { "and of somebody else", REJECT, "example.com", "arc=fail/evil.example,presumed", NULL, "fail/reject: 550 5.7.26" },
    { "a temporary error beside it", REJECT, "example.com", "dkim=fail/example.com,presumed spf=temperror/example.com", NULL,
      "temperror/reject: accept" },
    { "a temporary error of a list beside it", REJECT, "example.com", "dkim=fail/example.com,presumed spf=temperror/lists.example", NULL,
      "fail/reject: accept" },
};
/* clang-format on */

static void start(const struct row *row)
{
    CHECK_ROW(row->why);
    set_up(row->options);
    load(row->zone);
    given_author = row->author;
    given_words = row->found;
}

static void check_reply(void)
{
    struct str text = outcome.verdict.text;

    CHECK(outcome.verdict.code == 0 || (text.n > 0 && text.n <= 200));
    for (size_t i = 0; i < text.n; i++)
        CHECK(text.p[i] >= ' ' && text.p[i] <= '~');
}

/* The methods' results are given: they read the same at both stages. */
static void judges_by_the_table(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int stage = AT_HEADERS; stage <= AT_END; stage++) {
            start(&rows[i]);
            settle((enum stage)stage);
            CHECK_EQ_STR(summary(), strlen(summary()), rows[i].want);
            check_reply();
        }
}

/* ---- order and deadline ---- */

static unsigned random_below(unsigned *state, size_t n)
{
    *state = *state * 1103515245u + 12345u;
    return (unsigned)((*state >> 16) % n);
}

static void answer_one(unsigned *state)
{
    answer(outcome.question[random_below(state, outcome.questions)]);
}

/* Everything that the check says of a message, in one text. */
static const char *whole(void)
{
    static char text[2000];
    const struct dmarc_result *r = &outcome.auth.dmarc;
    const struct finding *f = &outcome.finding[outcome.findings - 1];

    snprintf(text, sizeof text, "%s|%.*s|%.*s|%s|%u|%.*s|%.*s|%.*s|%s %.*s", summary(), STR_ARG(r->policy_domain),
             STR_ARG(r->organizational_domain), r->disposition, r->queries, STR_ARG(r->record), STR_ARG(r->reason),
             STR_ARG(outcome.verdict.text), outcome.findings > 0 ? f->result : "",
             outcome.findings > 0 ? (int)f->detail.n : 0, outcome.findings > 0 ? f->detail.p : "");
    return text;
}

static void any_order_gives_the_same_verdict(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[2000];

        start(&rows[i]);
        settle(AT_END);
        strcpy(want, whole());
        for (unsigned seed = 0; seed < 40; seed++) {
            unsigned state = seed;

            start(&rows[i]);
            for (evaluate(AT_END); !outcome.decided && outcome.questions > 0; evaluate(AT_END))
                answer_one(&state);
            CHECK(outcome.decided);
            CHECK_EQ_STR(whole(), strlen(whole()), want);
        }
    }
}

/* Closed after any number of answers, the pass decides; what is unknown is never a pass, never "none", and never refused
 * for good unless it would be anyway.
 */
static void any_deadline_gives_a_verdict(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum auth_result want;
        int code;

        start(&rows[i]);
        settle(AT_END);
        want = outcome.auth.dmarc.result;
        code = outcome.verdict.code;
        for (unsigned seed = 0; seed < 60; seed++) {
            unsigned state = seed;

            start(&rows[i]);
            evaluate(AT_END);
            for (unsigned n = 0; n < seed % 6 && !outcome.decided && outcome.questions > 0; n++) {
                answer_one(&state);
                evaluate(AT_END);
            }
            facts_close(&facts);
            evaluate(AT_END);
            CHECK(outcome.decided);
            CHECK(outcome.auth.dmarc.result == want || outcome.auth.dmarc.result == AUTH_TEMPERROR);
            CHECK(outcome.verdict.code == code || outcome.verdict.code == 451 || outcome.verdict.code == 0);
            CHECK(code != 550 || outcome.verdict.code != 0 || says(rows[i].options, "record"));
        }
    }
}

/* ---- the rest ---- */

/* While SPF or DKIM is pending the check asks its own questions, and does not judge. */
static void asks_before_others_are_done(void)
{
    set_up(NULL);
    load(REJECT);
    given_author = "mail.example.com";
    given_words = "dkim=key/example.com";
    evaluate(AT_HEADERS);
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.questions, 4); /* the key, and _dmarc. of three names */
    CHECK_EQ_INT(outcome.auth.dmarc.result, AUTH_PENDING);
    for (size_t i = 1; i < 4; i++)
        answer(outcome.question[i]);
    evaluate(AT_HEADERS);
    CHECK(!outcome.decided);
    CHECK_EQ_INT(outcome.questions, 1);
    CHECK_EQ_INT(outcome.auth.dmarc.result, AUTH_PENDING);
}

/* The most that one message can ask (ORACLE D-1): eight for its author, and for each identifier below the same
 * organization what lies between the two. Identifiers elsewhere cost nothing.
 */
static void questions_are_bounded(void)
{
    set_up(NULL);
    load(REJECT);
    given_author = "a.b.c.d.e.f.g.h.i.j.example.com";
    given_words = "spf=pass/0.b.c.d.e.f.g.h.i.s.example.com dkim=pass/1.b.c.d.e.f.g.h.i.t.example.com "
                  "dkim=pass/2.b.c.d.e.f.g.h.i.u.example.com dkim=pass/3.b.c.d.e.f.g.h.i.v.example.com "
                  "dkim=pass/4.b.c.d.e.f.g.h.i.w.example.com dkim=temperror/5.b.c.d.e.f.g.h.i.x.example.com";
    settle(AT_END);
    CHECK_EQ_INT(facts.n, 8 + 6 * 6);
    given_words = "spf=pass/a.b.c.d.evil.example dkim=pass/a.b.c.com dkim=temperror/a.b.c.net";
    load(REJECT);
    settle(AT_END);
    CHECK_EQ_INT(facts.n, 8);
}

static void give_exempt(struct pass *pass)
{
    pass->outcome->auth.is_exempt = true;
    pass->outcome->auth.author = STR("example.com");
}

static void exempt_clients_are_not_judged(void)
{
    static const struct check exempt = { .name = "given", .stages = 1u << AT_END, .run = give_exempt };
    static const struct check *const exempted[] = { &exempt, &check_dmarc };

    set_up(NULL);
    load(REJECT);
    arena_init(&arena, memory, sizeof memory);
    policy_evaluate_with(exempted, 2, &policy, AT_END, &envelope, &message, &facts, &arena, &outcome);
    CHECK(outcome.decided);
    CHECK_EQ_INT(outcome.questions, 0);
    CHECK_EQ_INT(outcome.auth.dmarc.result, AUTH_ABSENT);
    CHECK_EQ_STR(outcome.auth.dmarc.policy, strlen(outcome.auth.dmarc.policy), "");
}

static void replies_name_the_domain_and_what_failed(void)
{
    set_up(NULL);
    load(REJECT);
    given_author = "example.com";
    given_words = "spf=fail/evil.example dkim=pass/evil.example";
    settle(AT_END);
    CHECK_EQ_STR(outcome.verdict.text.p, outcome.verdict.text.n,
                 "DMARC: example.com asks to reject mail that fails; SPF fail, DKIM pass (not aligned)");
    CHECK_EQ_STR(outcome.verdict.reason.p, outcome.verdict.reason.n, "SPF fail, DKIM pass (not aligned)");
}

/* 127 labels, and 253 octets that are no name for a terminal. */
static void long_and_odd_names_make_short_replies(void)
{
    static char name[254];

    for (size_t i = 0; i < 253; i++)
        name[i] = i % 2 == 0 ? '\x1b' : '.';
    set_up(NULL);
    load("* TEMP\n");
    facts_close(&facts);
    given_author = name;
    given_words = "";
    evaluate(AT_END);
    CHECK_EQ_INT(outcome.verdict.code, 451);
    check_reply();
}

/* What the trace says, in full. */
static void findings_read_as_sentences(void)
{
    static const struct {
        const char *says, *zone, *found, *wishes, *detail;
    } sentences[] = {
        { "monitor says what would have happened", REJECT, "spf=fail/example.com", "monitor",
          "example.com: policy reject at example.com; SPF fail, DKIM none; would reject, overridden: monitor" },
        { "a pass by SPF is aligned", REJECT, "spf=pass/example.com", NULL,
          "example.com: policy reject at example.com; SPF pass, DKIM none" },
        { "by DKIM beside an SPF of others", REJECT, "spf=pass/evil.example dkim=pass/example.com", NULL,
          "example.com: policy reject at example.com; SPF pass (not aligned), DKIM pass" },
        { "the aligned signature is the one to tell of", REJECT, "dkim=pass/evil.example dkim=pass/example.com", NULL,
          "example.com: policy reject at example.com; SPF none, DKIM pass" },
        { "nobody aligned", REJECT, "spf=pass/evil.example dkim=fail/example.com dkim=pass/evil.example", NULL,
          "example.com: policy reject at example.com; SPF pass (not aligned), DKIM pass (not aligned)" },
        { "without a record", "TXT _dmarc.example.com NODATA\nTXT _dmarc.com NODATA\n", "spf=pass/example.com", NULL,
          "example.com: no DMARC record" },
        { "without an answer", "TXT _dmarc.example.com TEMP\nTXT _dmarc.com NODATA\n", "spf=none/example.com", NULL,
          "example.com: no answer to the question for the DMARC record" },
    };

    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        struct str detail;

        CHECK_ROW(sentences[i].says);
        set_up(sentences[i].wishes);
        load(sentences[i].zone);
        given_author = "example.com";
        given_words = sentences[i].found;
        settle(AT_END);
        detail = outcome.finding[outcome.findings - 1].detail;
        CHECK_EQ_STR(detail.p, detail.n, sentences[i].detail);
    }
}

static void know_reject(void)
{
    facts_answer(&facts, (struct question){ ASK_TXT, STR("_dmarc.example.com") }, FACT_OK, &STR("v=DMARC1;p=reject"),
                 1);
}

static void judge_as_is(void)
{
    policy_evaluate_with(table, 2, &policy, AT_END, &envelope, &message, &facts, &arena, &outcome);
    CHECK(outcome.decided);
    check_reply();
}

/* Whoever sends may fill our caps: its own domains have as much in the DNS as it likes. That opens no way round the author's
 * policy, not even where the operator lets errors of the DNS pass; and what may not have fitted refuses nothing for good.
 */
static void our_own_limits_are_not_the_senders_to_use(void)
{
    static const char *const wishes[] = { NULL, "record" };

    given_author = "example.com";
    given_words = "spf=pass/evil.example dkim=permerror/example.com";
    for (size_t i = 0; i < 2; i++) {
        CHECK_ROW("the question for the record does not fit");
        set_up(wishes[i]);
        load("");
        facts.limited = true;
        evaluate(AT_END);
        CHECK_EQ_STR(summary(), strlen(summary()), "temperror/: 451 4.7.0");

        CHECK_ROW("the record is there, a key may not have fitted");
        load("");
        know_reject();
        facts.limited = true;
        evaluate(AT_END);
        CHECK_EQ_STR(summary(), strlen(summary()), "temperror/reject: 451 4.7.0");

        CHECK_ROW("no room for questions");
        load("");
        facts_close(&facts);
        arena_init(&arena, memory, sizeof memory);
        CHECK(arena_take(&arena, sizeof memory + 1) == NULL);
        judge_as_is();
        CHECK_EQ_STR(summary(), strlen(summary()), "temperror/: 451 4.7.0");

        CHECK_ROW("no question was put before the time was over");
        load("");
        facts_close(&facts);
        evaluate(AT_END);
        CHECK_EQ_STR(summary(), strlen(summary()), "temperror/: 451 4.7.0");

        CHECK_ROW("what passes, passes");
        given_words = "spf=pass/example.com";
        load("");
        know_reject();
        facts.limited = true;
        evaluate(AT_END);
        CHECK_EQ_STR(summary(), strlen(summary()), "pass/reject by spf: accept");
        given_words = "spf=pass/evil.example dkim=permerror/example.com";
    }
}

/* Without memory nothing passes that would not. */
static void a_full_arena_accepts_nothing(void)
{
    static char little[4096];

    for (size_t size = 0; size < 600; size += 7) {
        set_up(NULL);
        load(REJECT);
        given_author = "example.com";
        given_words = "";
        know_reject();
        facts_close(&facts);
        arena_init(&arena, little, size);
        judge_as_is();
        CHECK_EQ_INT(outcome.verdict.code, 550); /* all that it judges by was there */
    }
}

static const struct test_case tests[] = {
    TEST(judges_by_the_table),
    TEST(any_order_gives_the_same_verdict),
    TEST(any_deadline_gives_a_verdict),
    TEST(asks_before_others_are_done),
    TEST(questions_are_bounded),
    TEST(exempt_clients_are_not_judged),
    TEST(replies_name_the_domain_and_what_failed),
    TEST(long_and_odd_names_make_short_replies),
    TEST(findings_read_as_sentences),
    TEST(our_own_limits_are_not_the_senders_to_use),
    TEST(a_full_arena_accepts_nothing),
};
TEST_MAIN(tests)
