#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "input.h"
#include "json.h"
#include "judge.h"
#include "record.h"
#include "trace.h"

enum { EXIT_SAME = 0, EXIT_CHANGED = 1 };

/* What came of a record. */
enum finding_kind {
    IS_SAME,
    IS_CHANGED,
    IS_UNTOLD, /* an answer that the new configuration asks for was not recorded */
    IS_FOREIGN /* decided by what is not in the record: the mail server, memory, framing */
};

static const char *const kind_names[] = {
    [IS_SAME] = "same", [IS_CHANGED] = "changed", [IS_UNTOLD] = "not recorded", [IS_FOREIGN] = "decided elsewhere"
};

enum { KINDS = sizeof kind_names / sizeof kind_names[0] };

struct replay {
    const struct replay_options *options;
    struct config *config;
    struct geoip *geo; /* for records without an answer */
    struct record record;
    struct judge_message message;
    struct path rcpt[RECORD_RCPTS_MAX]; /* those that the policy judged */
    size_t rcpt_at[RECORD_RCPTS_MAX];   /* which of the record's */
    size_t rcpts;
    struct facts known;
    struct judge judge;
    enum finding_kind kind;
    size_t missing;
    uint64_t total[KINDS];
};

/* ---- judging ---- */

static void gather_recipients(struct replay *r)
{
    r->rcpts = 0;
    for (size_t i = 0; i < r->record.rcpts; i++) {
        if (r->record.fate[i] == RECORD_RCPT_ELSEWHERE)
            continue;
        r->rcpt_at[r->rcpts] = i;
        r->rcpt[r->rcpts++] = r->record.rcpt[i];
    }
}

static void judge_record(struct replay *r)
{
    const struct record *record = &r->record;
    struct judge_input input = {
        .config = r->config,
        .client = record->client,
        .helo = record->helo,
        .is_esmtp = record->is_esmtp,
        .is_tls = record->is_tls,
        .is_authenticated = record->is_authenticated,
        .is_smtputf8 = record->is_smtputf8,
        .talked_early = record->talked_early,
        .pipelined = record->pipelined,
        .mail_from = &record->mail_from,
        .rcpt = r->rcpt,
        .known = &r->known,
        .geo = r->geo,
        .now = record->time,
    };

    gather_recipients(r);
    input.rcpts = r->rcpts;
    r->message = (struct judge_message){
        .header = record->header,
        .front = str_from(record->header.p, record->header.n > 0),
        .is_complete = true,
        .size = record->size,
    };
    if (record->has_header)
        input.message = &r->message;
    judge_begin(&r->judge, &input);
    r->missing = 0;
    while (judge_run(&r->judge) == JUDGE_ASKS)
        for (size_t i = 0; i < r->judge.facts.n; i++)
            if (r->judge.facts.fact[i].state == FACT_UNKNOWN) {
                judge_miss(&r->judge, i);
                r->missing++;
            }
}

/* ---- comparing ---- */

static bool is_check(struct str name)
{
    for (size_t i = 0; i < policy_checks_n; i++)
        if (str_eq(name, str_of(policy_checks[i]->name)))
            return true;
    return name.n == 0;
}

/* True when what decided then can be judged from the record. Of framing only the first line is there. */
static bool is_ours(const struct replay *r)
{
    const struct record *record = &r->record;

    for (int rule = RULE_MESSAGE_SIZE; rule < MESSAGE_RULES; rule++)
        if (rule != RULE_FOLD_FIRST && str_eq(record->check, str_of(message_refusals[rule].check)))
            return true;
    if (str_eq(record->check, str_of(message_refusals[RULE_FOLD_FIRST].check)))
        return record->header.n > 0 && (record->header.p[0] == ' ' || record->header.p[0] == '\t');
    return is_check(record->check);
}

/* The step in which recipient `i` was judged, or NULL: the new configuration did not come that far. */
static const struct judge_step *step_of_rcpt(const struct replay *r, size_t i)
{
    for (size_t k = 0; k < r->judge.steps; k++)
        if (r->judge.step[k]->rcpt == &r->rcpt[i])
            return r->judge.step[k];
    return NULL;
}

static bool fate_is_refused(const struct replay *r, size_t i)
{
    return r->record.fate[r->rcpt_at[i]] == RECORD_RCPT_REFUSED;
}

static bool rcpt_changes(const struct replay *r, size_t i)
{
    const struct judge_step *step = step_of_rcpt(r, i);

    return step != NULL && verdict_refuses(&step->outcome.verdict) != fate_is_refused(r, i);
}

static bool any_rcpt_changes(const struct replay *r)
{
    for (size_t i = 0; i < r->rcpts; i++)
        if (rcpt_changes(r, i))
            return true;
    return false;
}

/* Every recipient was refused then, and is now: each for itself, so there is no one verdict to compare. */
static bool ended_at_rcpt(const struct replay *r)
{
    const struct judge_step *decider = r->judge.decider;

    return !r->record.has_header && r->rcpts > 0 && decider != NULL && decider->stage == AT_RCPT;
}

static bool verdict_changes(const struct replay *r)
{
    const struct verdict *v = &r->judge.verdict;

    return !ended_at_rcpt(r) && (v->action != r->record.action || v->code != r->record.code);
}

/* A recording whose time had run out answers what it does not list, too: TEMP. That is good for the same verdict; a different one
 * may come from a question that nobody had asked then.
 */
static enum finding_kind compare(const struct replay *r)
{
    bool changes = verdict_changes(r) || any_rcpt_changes(r);

    if (!is_ours(r))
        return IS_FOREIGN;
    if (r->missing > 0 && (changes || !r->known.closed))
        return IS_UNTOLD;
    return changes ? IS_CHANGED : IS_SAME;
}

/* ---- telling: text ---- */

static void put_safe(struct str s)
{
    for (size_t i = 0; i < s.n && i < 300; i++)
        printf(s.p[i] >= ' ' && s.p[i] <= '~' && s.p[i] != '\\' ? "%c" : "\\x%02x", (unsigned char)s.p[i]);
}

static void put_old(const struct record *record)
{
    printf("%s", action_name(record->action));
    if (record->code != 0) {
        printf(" %d ", record->code);
        put_safe(record->enhanced);
    }
    if (record->check.n > 0) {
        printf(" (");
        put_safe(record->check);
        printf(")");
    }
}

static void put_new(const struct verdict *v)
{
    printf("%s", action_name(v->action));
    if (v->code != 0)
        printf(" %d %s", v->code, v->enhanced);
    if (v->check[0] == '\0')
        return;
    printf(" (%s%s", v->check, v->reason.n > 0 ? ": " : "");
    put_safe(v->reason);
    printf(")");
}

static void put_rcpt_changes(const struct replay *r)
{
    for (size_t i = 0; i < r->rcpts; i++) {
        if (!rcpt_changes(r, i))
            continue;
        printf("    recipient <");
        put_safe(r->rcpt[i].text);
        printf(">: %s -> ", fate_is_refused(r, i) ? "refused" : "accepted");
        put_new(&step_of_rcpt(r, i)->outcome.verdict);
        printf("\n");
    }
}

static void put_missing(const struct replay *r)
{
    const struct judge *j = &r->judge;

    for (size_t i = 0; i < j->facts.n; i++) {
        if (!j->is_missing[i])
            continue;
        printf("    not recorded: %s ", ask_name(j->facts.fact[i].q.kind));
        put_safe(j->facts.fact[i].q.key);
        printf("\n");
    }
}

static struct str author_of(const struct replay *r)
{
    const struct authentication *auth = judge_authentication(&r->judge);

    return auth != NULL ? auth->author : STR("");
}

static void tell_text(const struct replay *r)
{
    const struct record *record = &r->record;
    char date[32], client[ENDPOINT_TEXT_MAX];

    trace_date(record->time, date);
    endpoint_print(&record->client, client);
    put_safe(record->id);
    printf(".%u  %s  %s  from <", record->number, date, client);
    put_safe(record->mail_from.text);
    printf(">");
    if (author_of(r).n > 0) {
        printf("  author ");
        put_safe(author_of(r));
    }
    printf("\n    %s: ", kind_names[r->kind]);
    put_old(record);
    if (verdict_changes(r)) {
        printf(" -> ");
        put_new(&r->judge.verdict);
        if (!record->has_header && !verdict_refuses(&r->judge.verdict))
            printf(", as far as the envelope goes: the message was never received");
    }
    printf("\n");
    put_rcpt_changes(r);
    put_missing(r);
}

/* ---- telling: JSON ---- */

static void put_json_verdict(struct json *j, const char *key, enum action action, int code, struct str check)
{
    json_begin(j, key, '{');
    json_text(j, "verdict", action_name(action));
    json_num(j, "code", (uint64_t)code);
    json_str(j, "check", check);
    json_end(j, '}');
}

static void put_json_recipients(struct json *j, const struct replay *r)
{
    json_begin(j, "recipients", '[');
    for (size_t i = 0; i < r->rcpts; i++) {
        const struct judge_step *step = step_of_rcpt(r, i);

        if (step == NULL)
            continue;
        json_begin(j, NULL, '{');
        json_str(j, "address", r->rcpt[i].text);
        json_text(j, "old", fate_is_refused(r, i) ? "refused" : "accepted");
        json_text(j, "new", verdict_refuses(&step->outcome.verdict) ? "refused" : "accepted");
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void put_json_missing(struct json *j, const struct replay *r)
{
    json_begin(j, "not_recorded", '[');
    for (size_t i = 0; i < r->judge.facts.n; i++) {
        if (!r->judge.is_missing[i])
            continue;
        json_begin(j, NULL, '{');
        json_text(j, "type", ask_name(r->judge.facts.fact[i].q.kind));
        json_str(j, "name", r->judge.facts.fact[i].q.key);
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void tell_json(const struct replay *r)
{
    const struct record *record = &r->record;
    const struct verdict *v = &r->judge.verdict;
    struct json j = { .out = stdout };
    char client[ENDPOINT_TEXT_MAX];

    endpoint_print(&record->client, client);
    json_begin(&j, NULL, '{');
    json_str(&j, "id", record->id);
    json_num(&j, "transaction", record->number);
    json_num(&j, "time", (uint64_t)record->time);
    json_text(&j, "client", client);
    json_str(&j, "from", record->mail_from.text);
    json_str(&j, "author", author_of(r));
    json_text(&j, "result", kind_names[r->kind]);
    put_json_verdict(&j, "old", record->action, record->code, record->check);
    put_json_verdict(&j, "new", v->action, v->code, str_of(v->check));
    json_str(&j, "reason", v->reason);
    put_json_recipients(&j, r);
    put_json_missing(&j, r);
    json_end(&j, '}');
    printf("\n");
}

static void tell_total(const struct replay *r)
{
    uint64_t all = 0;

    for (size_t i = 0; i < KINDS; i++)
        all += r->total[i];
    printf("%" PRIu64 " records: %" PRIu64 " change, %" PRIu64 " stay as they were, %" PRIu64
           " cannot be told for want of an answer, %" PRIu64 " were decided elsewhere\n",
           all, r->total[IS_CHANGED], r->total[IS_SAME], r->total[IS_UNTOLD], r->total[IS_FOREIGN]);
}

/* ---- the course of things ---- */

static bool is_worth_telling(const struct replay *r)
{
    return r->options->all || r->kind == IS_CHANGED || r->kind == IS_UNTOLD;
}

static int replay_one(struct replay *r, size_t facts_line)
{
    void *memory;
    bool fits;
    unsigned line = judge_known_read(&r->known, r->record.facts, &memory, &fits);

    if (!fits || line != 0) {
        free(memory);
        if (!fits)
            fprintf(stderr, "postern: out of memory\n");
        else
            fprintf(stderr, "postern: %s:%zu: not an answer\n", r->options->records, facts_line + line - 1);
        return fits ? EX_DATAERR : EX_OSERR;
    }
    judge_record(r);
    r->kind = compare(r);
    r->total[r->kind]++;
    if (is_worth_telling(r) && r->options->json)
        tell_json(r);
    else if (is_worth_telling(r))
        tell_text(r);
    judge_end(&r->judge);
    free(memory);
    return 0;
}

static size_t lines_of(const char *from, const char *to)
{
    size_t n = 0;

    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

static int replay_all(struct replay *r, struct str text)
{
    size_t line = 1;
    int status = 0;

    while (text.n > 0 && status == 0) {
        const char *begin = text.p;
        size_t first = line;
        const char *trouble = record_read(&text, &line, &r->record);

        if (trouble != NULL) {
            fprintf(stderr, "postern: %s:%zu: %s\n", r->options->records, line, trouble);
            return EX_DATAERR;
        }
        status = replay_one(r, r->record.facts.n > 0 ? first + lines_of(begin, r->record.facts.p) : first);
    }
    if (status != 0)
        return status;
    if (!r->options->json)
        tell_total(r);
    return r->total[IS_CHANGED] > 0 ? EXIT_CHANGED : EXIT_SAME;
}

int replay_run(const struct replay_options *options)
{
    struct replay *r = calloc(1, sizeof *r);
    char *octets = NULL;
    int status = EX_CONFIG;
    size_t n;

    if (r == NULL)
        return EX_OSERR;
    r->options = options;
    r->config = config_load(options->config, stderr);
    if (r->config != NULL) {
        r->geo = geoip_open(&r->config->policy.geo);
        octets = input_read(options->records, &n);
        if (octets == NULL)
            fprintf(stderr, "postern: %s: %s\n", options->records, strerror(errno));
        status = octets != NULL ? replay_all(r, str_from(octets, n)) : EX_DATAERR;
    }
    free(octets);
    geoip_free(r->geo);
    config_free(r->config);
    free(r);
    return status;
}
