/* The policy as a whole: an envelope and recorded facts from the input, one fixed configuration.
 *
 * Line 1: the client's address. Line 2: MAIL path. Line 3: RCPT path. Then lines of facts up to an empty
 * line; the rest is the header section. Every stage must give the same outcome twice, a decided one once the
 * table is closed, a reply that can be sent, and never an accept of a recipient that an independent reading
 * finds outside the local domain.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FACTS = 64, MEMORY = 1 << 15 };

static void must(bool claim)
{
    if (!claim)
        abort();
}

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

/* The lines up to an empty one, which is dropped. */
static struct str take_block(struct str *rest)
{
    struct str block = { rest->p, 0 }, line;

    while (rest->n > 0) {
        line = take_line(rest);
        if (line.n == 0)
            break;
        block.n = (size_t)(line.p + line.n - block.p);
    }
    return block;
}

static void must_be_same(const struct outcome *a, const struct outcome *b)
{
    must(a->decided == b->decided && a->verdict.action == b->verdict.action && a->verdict.code == b->verdict.code);
    must(str_eq(a->verdict.reason, b->verdict.reason) && str_eq(a->verdict.text, b->verdict.text));
    must(a->questions == b->questions && a->findings == b->findings && a->effects == b->effects);
    for (size_t i = 0; i < a->questions; i++)
        must(a->question[i].kind == b->question[i].kind && str_eq(a->question[i].key, b->question[i].key));
    for (size_t i = 0; i < a->findings; i++)
        must(a->finding[i].check == b->finding[i].check && str_eq(a->finding[i].detail, b->finding[i].detail));
}

/* Class digits agree and the text is one printable line (ORACLE P-7, F-7). */
static void must_be_reply(const struct verdict *verdict)
{
    bool is_temporary = verdict->code >= 400 && verdict->code <= 499;

    if (verdict->code == 0) {
        must(verdict->action == ACTION_ACCEPT || verdict->action == ACTION_QUARANTINE);
        return;
    }
    must(is_temporary || (verdict->code >= 500 && verdict->code <= 599));
    must(verdict->action == (is_temporary ? ACTION_TEMPFAIL : ACTION_REJECT));
    must(verdict->enhanced[0] == (is_temporary ? '4' : '5') && verdict->text.n > 0);
    for (size_t i = 0; i < verdict->text.n; i++)
        must(verdict->text.p[i] >= ' ' && verdict->text.p[i] <= '~');
}

/* ORACLE P-1 and P-2, read off the printed path alone: what stands after its last "@", and no second route
 * before it.
 */
static void must_be_local(struct str path)
{
    struct str local = STR("@local.example");

    if (str_find(path, '@') == path.n) {
        must(str_ieq(path, STR("postmaster")));
        return;
    }
    must(str_iends(path, local));
    path.n -= local.n;
    must(str_find(path, '@') == path.n && str_find(path, '%') == path.n && str_find(path, '!') == path.n);
}

static void evaluate_twice(const struct policy *policy, enum stage stage, const struct envelope *envelope,
                           const struct message *message, const struct facts *facts, struct outcome *outcome)
{
    static char memory[2][MEMORY];
    static struct outcome second;
    struct arena arena[2];

    for (int i = 0; i < 2; i++) {
        arena_init(&arena[i], memory[i], MEMORY);
        policy_evaluate(policy, stage, envelope, message, facts, &arena[i], i == 0 ? outcome : &second);
    }
    must_be_same(outcome, &second);
    must_be_reply(&outcome->verdict);
}

static void evaluate_all(const struct envelope *envelope, const struct message *message, const struct facts *facts,
                         bool must_decide)
{
    static struct domain_entry domain[] = { { STR_INIT("local.example"), false } };
    static const struct network network = { { { [10] = 0xff, [11] = 0xff, [12] = 10 } }, 104 };
    static struct outcome outcome;
    struct policy policy = { .relay = { .domains = { domain, 1 }, .networks = { &network, 1 } } };

    for (enum stage stage = AT_CONNECT; stage < STAGES; stage++) {
        struct envelope now = *envelope;

        now.rcpt = stage == AT_RCPT ? envelope->rcpt : NULL;
        if (stage == AT_RCPT && now.rcpt == NULL)
            continue;
        evaluate_twice(&policy, stage, &now, stage >= AT_HEADERS ? message : NULL, facts, &outcome);
        must(outcome.decided || !must_decide);
        if (stage == AT_RCPT && outcome.decided && outcome.verdict.code == 0 &&
            !network_holds(&network, &envelope->client.address))
            must_be_local(now.rcpt->text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    static struct fact table[FACTS];
    static char memory[MEMORY];
    struct str rest = { size > 0 ? (const char *)data : nothing, size };
    struct str client = take_line(&rest), mail_from = take_line(&rest), rcpt = take_line(&rest);
    struct envelope envelope = { .helo = STR("client.example"), .is_esmtp = true, .now = 1700000000 };
    char from_room[PATH_ROOM], to_room[PATH_ROOM];
    struct path from, to;
    struct facts facts;
    struct message message;

    if (!address_parse(client, &envelope.client.address))
        return 0;
    if (path_parse(mail_from, PATH_REVERSE, PATH_UTF8, from_room, &from, NULL) == PATH_OK)
        envelope.mail_from = &from;
    if (path_parse(rcpt, PATH_FORWARD, PATH_UTF8, to_room, &to, NULL) == PATH_OK)
        envelope.rcpt = &to;
    facts_init(&facts, table, FACTS, memory, MEMORY);
    facts_load(&facts, take_block(&rest));
    message = (struct message){ .header = rest, .size = rest.n };
    evaluate_all(&envelope, &message, &facts, false);
    facts_close(&facts);
    evaluate_all(&envelope, &message, &facts, true);
    return 0;
}
