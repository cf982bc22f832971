/* The object of DESIGN 8. Keys, words and order are a promise to programs. */
#include "explain_parts.h"
#include "json.h"

/* The words of RFC 8601; a method that was not run, or did not get to its end, has found none. */
static const char *word(enum auth_result result)
{
    return result == AUTH_ABSENT || result == AUTH_PENDING ? "none" : auth_result_name(result);
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

static void put_spf(struct json *j, const char *key, const struct spf_result *spf)
{
    json_begin(j, key, '{');
    json_text(j, "result", word(spf->result));
    json_text(j, "identity", text_of(spf->identity));
    json_str(j, "domain", spf->domain);
    json_str(j, "explanation", spf->explanation);
    json_num(j, "lookups", spf->lookups);
    json_num(j, "void_lookups", spf->void_lookups);
    json_end(j, '}');
}

static void put_dkim(struct json *j, const struct authentication *auth)
{
    json_begin(j, "dkim", '[');
    for (size_t i = 0; i < auth->dkim_n; i++) {
        json_begin(j, NULL, '{');
        json_str(j, "domain", auth->dkim[i].domain);
        json_str(j, "selector", auth->dkim[i].selector);
        json_str(j, "algorithm", auth->dkim[i].algorithm);
        json_text(j, "result", word(auth->dkim[i].result));
        json_str(j, "reason", auth->dkim[i].reason);
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void put_arc(struct json *j, const struct arc_result *arc)
{
    json_begin(j, "arc", '{');
    json_text(j, "result", word(arc->result));
    json_begin(j, "sealers", '[');
    for (unsigned i = 0; i < arc->sealers; i++)
        json_str(j, NULL, arc->sealer[i]);
    json_end(j, ']');
    json_str(j, "reason", arc->reason);
    json_end(j, '}');
}

static void put_dmarc(struct json *j, const struct dmarc_result *dmarc)
{
    json_begin(j, "dmarc", '{');
    json_text(j, "result", word(dmarc->result));
    json_str(j, "domain", dmarc->domain);
    json_str(j, "policy_domain", dmarc->policy_domain);
    json_str(j, "organizational_domain", dmarc->organizational_domain);
    json_text(j, "policy", text_of(dmarc->policy));
    json_text(j, "aligned", text_of(dmarc->aligned));
    json_end(j, '}');
}

static void put_check(struct json *j, const char *name, const char *result, struct str detail)
{
    json_begin(j, NULL, '{');
    json_text(j, "name", name);
    json_text(j, "result", result);
    json_str(j, "detail", detail);
    json_end(j, '}');
}

/* A rule of the session has no finding; it is told by what it refused. */
static void put_checks(struct json *j, const struct judge *judge)
{
    const struct judge_step *step;
    const struct finding *finding;
    size_t at = 0;

    json_begin(j, "checks", '[');
    while (judge_next_finding(judge, &at, &step, &finding))
        put_check(j, finding->check, finding->result, finding->detail);
    if (judge->decider != NULL && judge->decider->rule != RULE_NONE)
        put_check(j, judge->verdict.check, action_name(judge->verdict.action), judge->verdict.reason);
    json_end(j, ']');
}

/* Questions that nobody waited for in the end are no facts. */
static void put_facts(struct json *j, const struct facts *facts)
{
    json_begin(j, "facts", '[');
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->fact[i];

        if (fact->state == FACT_UNKNOWN)
            continue;
        json_begin(j, NULL, '{');
        json_text(j, "type", ask_name(fact->q.kind));
        json_str(j, "name", fact->q.key);
        json_text(j, "state", fact_state_name(fact->state));
        json_begin(j, "values", '[');
        for (size_t k = 0; k < fact->n; k++)
            json_str(j, NULL, fact->value[k]);
        json_end(j, ']');
        json_end(j, '}');
    }
    json_end(j, ']');
}

void explain_print_json(const struct explanation *e, FILE *out)
{
    const struct authentication *auth = judge_authentication(&e->judge), nothing = { 0 };
    struct json j = { .out = out };
    char reply[1024];

    if (auth == NULL)
        auth = &nothing;
    explain_reply(&e->judge.verdict, reply, sizeof reply);
    json_begin(&j, NULL, '{');
    json_text(&j, "verdict", action_name(e->judge.verdict.action));
    json_text(&j, "reply", reply);
    put_spf(&j, "spf", &auth->mail_from);
    put_spf(&j, "helo_spf", &auth->helo);
    put_dkim(&j, auth);
    put_arc(&j, &auth->arc);
    put_dmarc(&j, &auth->dmarc);
    put_checks(&j, &e->judge);
    put_facts(&j, &e->judge.facts);
    json_end(&j, '}');
    fputs("\n", out);
}
