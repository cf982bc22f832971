/* The account for people. Octets from outside reach the terminal only as printable ASCII; all others are shown as \xNN. */
#include <inttypes.h>

#include "../policy/header.h"
#include "explain_parts.h"
#include "received.h"
#include "trace.h"

enum { SHORT = 100, LONG = 300 /* octets of a value before it is cut */ };

static void put_safe(FILE *out, struct str s, size_t most)
{
    size_t n = s.n < most ? s.n : most;

    for (size_t i = 0; i < n; i++) {
        if (s.p[i] >= ' ' && s.p[i] <= '~' && s.p[i] != '\\')
            putc(s.p[i], out);
        else
            fprintf(out, "\\x%02x", (unsigned char)s.p[i]);
    }
    if (s.n > n)
        fprintf(out, "... (%zu octets)", s.n);
}

static void put_title(FILE *out, const char *title)
{
    fprintf(out, "\n%s\n", title);
}

static void put_label(FILE *out, const char *label)
{
    fprintf(out, "  %-11s ", label);
}

static void put_reason(FILE *out, const char *before, struct str reason)
{
    if (reason.n == 0)
        return;
    fputs(before, out);
    put_safe(out, reason, LONG);
}

/* ---- head ---- */

static void put_head(const struct explanation *e, FILE *out)
{
    char date[32];

    trace_date(e->now, date);
    fprintf(out, "Postern " POSTERN_VERSION ": what would become of %s\n",
            e->options->message == NULL ? "an envelope without a message" : "this message");
    put_label(out, "settings");
    if (e->config_name == NULL)
        fprintf(out, "the presets: no --config, and no configuration in its usual place\n");
    else
        fprintf(out, "%s\n", e->config_name);
    put_label(out, "at");
    fprintf(out, "%s%s\n", date, e->options->now == NULL ? " (now)" : "");
    put_label(out, "answers");
    if (e->options->facts != NULL)
        fprintf(out, "from %s alone, none from the network\n", e->options->facts);
    else
        fprintf(out, "from the DNS%s\n", e->is_late ? "; the time for a verdict ran out" : "");
}

/* ---- the journey ---- */

enum { HOPS_SHOWN = 50 };

static void put_delay(FILE *out, const struct received *r, int64_t *last, bool *has_last)
{
    int64_t delay = *has_last && r->has_date ? r->date - *last : 0;

    if (*has_last && r->has_date && delay != 0)
        fprintf(out, "  %s%" PRId64 " s", delay > 0 ? "+" : "", delay);
    if (r->has_date) {
        *last = r->date;
        *has_last = true;
    }
}

static void put_hop(FILE *out, const struct received *r, size_t number, int64_t *last, bool *has_last)
{
    char date[32] = "(no date)", address[ADDRESS_TEXT_MAX];

    if (r->has_date)
        trace_date(r->date, date);
    fprintf(out, "  %2zu  %s", number, date);
    put_delay(out, r, last, has_last);
    fprintf(out, "\n      ");
    if (r->from.n > 0) {
        fprintf(out, "from ");
        put_safe(out, r->from, SHORT);
    }
    if (r->addresses == 1 && address_print(&r->address, address) > 0)
        fprintf(out, " [%s]", address);
    fprintf(out, "%sby ", r->from.n > 0 ? " " : "");
    put_safe(out, r->by.n > 0 ? r->by : STR("(not said)"), SHORT);
    fprintf(out, "\n");
}

static size_t collect_hops(struct str header, struct received hop[HOPS_SHOWN])
{
    struct header_field field;
    size_t n = 0;

    while (header_next(&header, &field))
        if (header_is(&field, STR("Received")) && n++ < HOPS_SHOWN)
            received_read(field.value, &hop[n - 1]);
    return n;
}

/* From the oldest, which stands last, to the newest. What comes before the first server of ours, anybody may have invented. */
static void put_journey(const struct explanation *e, FILE *out)
{
    struct received hop[HOPS_SHOWN];
    size_t n = collect_hops(e->message.header, hop);
    bool has_last = false;
    int64_t last = 0;

    put_title(out, "Journey, as the message's Received fields tell it, oldest first");
    if (n > HOPS_SHOWN)
        fprintf(out, "  (%zu older ones are left out)\n", n - HOPS_SHOWN);
    if (n == 0)
        fprintf(out, "  none\n");
    for (size_t i = n < HOPS_SHOWN ? n : HOPS_SHOWN; i-- > 0;)
        put_hop(out, &hop[i], n - i, &last, &has_last);
}

/* ---- the envelope ---- */

static void put_source(FILE *out, const char *source)
{
    if (source != NULL)
        fprintf(out, "  (from the %s)", source);
    fprintf(out, "\n");
}

static void put_recipients(const struct explanation *e, FILE *out)
{
    char reply[1024];

    if (e->options->rcpts == 0) {
        put_label(out, "RCPT TO");
        fprintf(out, "none given: one that the relay rules let in\n");
    }
    for (size_t i = 0; i < e->judge.steps; i++) {
        const struct judge_step *step = e->judge.step[i];

        if (step->rcpt == NULL || e->options->rcpts == 0)
            continue;
        explain_reply(&step->outcome.verdict, reply, sizeof reply);
        put_label(out, "RCPT TO");
        fprintf(out, "<");
        put_safe(out, step->rcpt->text, LONG);
        fprintf(out, ">: %s\n", reply);
    }
}

static void put_envelope(const struct explanation *e, FILE *out)
{
    char address[ADDRESS_TEXT_MAX];

    put_title(out, "Envelope");
    address_print(&e->client.address, address);
    put_label(out, "client");
    fprintf(out, "%s%s%s", address, e->options->is_tls ? ", TLS" : "",
            e->options->is_authenticated ? ", authenticated" : "");
    put_source(out, e->ip_from);
    put_label(out, "HELO");
    put_safe(out, str_of(e->helo), SHORT);
    put_source(out, e->helo_from);
    put_label(out, "MAIL FROM");
    fprintf(out, "<");
    put_safe(out, e->mail_from.text, LONG);
    fprintf(out, ">");
    put_source(out, e->mail_from_from);
    put_recipients(e, out);
}

/* ---- identities ---- */

static bool was_run(enum auth_result result)
{
    return result != AUTH_ABSENT;
}

static void put_spf(FILE *out, const char *label, const struct spf_result *spf)
{
    put_label(out, label);
    if (!was_run(spf->result)) {
        fprintf(out, "SPF was not asked\n");
        return;
    }
    put_safe(out, spf->domain, SHORT);
    fprintf(out, "%sSPF %s", spf->domain.n > 0 ? ": " : "", auth_result_name(spf->result));
    put_reason(out, ", decided by ", spf->mechanism);
    fprintf(out, "; lookups %u of 10, void %u of 2", spf->lookups, spf->void_lookups);
    put_reason(out, "\n              ", spf->reason);
    put_reason(out, "\n              the domain explains: ", spf->explanation);
    fprintf(out, "\n");
}

static void put_signature(FILE *out, const struct dkim_result *dkim, size_t number)
{
    char label[32];

    snprintf(label, sizeof label, "DKIM %zu", number);
    put_label(out, label);
    put_safe(out, dkim->domain, SHORT);
    fprintf(out, ", selector ");
    put_safe(out, dkim->selector, SHORT);
    fprintf(out, ", ");
    put_safe(out, dkim->algorithm, SHORT);
    if (dkim->key_bits > 0)
        fprintf(out, " with %u bits", dkim->key_bits);
    fprintf(out, ": %s", auth_result_name(dkim->result));
    put_reason(out, ", ", dkim->reason);
    fprintf(out, "%s%s%s\n", dkim->is_partial ? "; a part of the body is not signed (l=)" : "",
            dkim->is_testing ? "; the key is for testing (t=y)" : "",
            dkim->is_presumed ? "; the body was not looked at" : "");
}

static void put_signatures(FILE *out, const struct authentication *auth)
{
    for (size_t i = 0; i < auth->dkim_n; i++)
        put_signature(out, &auth->dkim[i], i + 1);
    if (auth->dkim_n == 0) {
        put_label(out, "DKIM");
        fprintf(out, "no signature was looked at\n");
    }
    if (auth->dkim_ignored > 0) {
        put_label(out, "");
        fprintf(out, "%zu more signatures than are verified\n", auth->dkim_ignored);
    }
}

static void put_arc(FILE *out, const struct arc_result *arc)
{
    put_label(out, "ARC");
    if (!was_run(arc->result) || (arc->sets == 0 && arc->result == AUTH_NONE)) {
        fprintf(out, "no chain\n");
        return;
    }
    fprintf(out, "%s, %u sets", auth_result_name(arc->result), arc->sets);
    for (unsigned i = 0; i < arc->sealers; i++) {
        fprintf(out, "%s", i == 0 ? ", sealed by " : ", ");
        put_safe(out, arc->sealer[i], SHORT);
    }
    fprintf(out, "%s", arc->is_trusted ? "; the newest sealer is trusted" : "");
    fprintf(out, "%s", arc->said_dmarc_pass ? " and saw dmarc=pass" : "");
    put_reason(out, "; ", arc->reason);
    fprintf(out, "\n");
}

static bool is_said(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void put_dmarc_policy(FILE *out, const struct dmarc_result *dmarc)
{
    if (dmarc->record.n > 0) {
        put_label(out, "");
        fprintf(out, "record at ");
        put_safe(out, dmarc->policy_domain, SHORT);
        fprintf(out, ": \"");
        put_safe(out, dmarc->record, LONG);
        fprintf(out, "\"\n");
    }
    if (dmarc->organizational_domain.n > 0) {
        put_label(out, "");
        fprintf(out, "organizational domain ");
        put_safe(out, dmarc->organizational_domain, SHORT);
        fprintf(out, ", %u of 8 queries\n", dmarc->queries);
    }
    if (!is_said(dmarc->policy))
        return;
    put_label(out, "");
    fprintf(out, "policy that applies: %s%s", dmarc->policy, dmarc->is_testing ? " (testing, t=y)" : "");
    if (is_said(dmarc->disposition))
        fprintf(out, "; made of it here: %s", dmarc->disposition);
    if (is_said(dmarc->override))
        fprintf(out, "; not acted on, because of: %s", dmarc->override);
    fprintf(out, "\n");
}

static void put_dmarc(FILE *out, const struct dmarc_result *dmarc)
{
    put_label(out, "DMARC");
    if (!was_run(dmarc->result)) {
        fprintf(out, "was not asked\n");
        return;
    }
    put_safe(out, dmarc->domain, SHORT);
    fprintf(out, "%s%s", dmarc->domain.n > 0 ? ": " : "", auth_result_name(dmarc->result));
    if (is_said(dmarc->aligned))
        fprintf(out, ", aligned by %s", dmarc->aligned);
    put_reason(out, "; ", dmarc->reason);
    fprintf(out, "\n");
    put_dmarc_policy(out, dmarc);
}

static void put_identities(const struct explanation *e, const struct authentication *auth, FILE *out)
{
    put_title(out, "Identities");
    if (auth->is_exempt) {
        fprintf(out, "  not asked for: this client sends outgoing mail\n");
        return;
    }
    put_spf(out, "HELO", &auth->helo);
    put_spf(out, "MAIL FROM", &auth->mail_from);
    if (!e->has_message)
        return;
    put_signatures(out, auth);
    put_arc(out, &auth->arc);
    put_label(out, "author");
    put_safe(out, auth->author.n > 0 ? auth->author : STR("no single author domain was found"), SHORT);
    fprintf(out, "\n");
    put_dmarc(out, &auth->dmarc);
}

/* ---- records, checks, limits ---- */

static void put_fact(FILE *out, const struct judge *j, size_t i)
{
    const struct fact *fact = &j->facts.fact[i];

    fprintf(out, "  %-5s ", ask_name(fact->q.kind));
    put_safe(out, fact->q.key, SHORT);
    if (fact->state == FACT_UNKNOWN)
        fprintf(out, "  asked ahead, and not needed");
    else if (fact->state != FACT_OK)
        fprintf(out, "  %s", fact_state_name(fact->state));
    fprintf(out, "%s", j->is_missing[i] ? ": MISSING, nothing answers this" : "");
    fprintf(out, "%s\n", j->is_computed[i] ? "  (from the message itself)" : "");
    for (size_t k = 0; k < fact->n; k++) {
        fprintf(out, "          \"");
        put_safe(out, fact->value[k], LONG);
        fprintf(out, "\"\n");
    }
}

static void put_facts(const struct judge *j, FILE *out)
{
    put_title(out, "Records consulted");
    if (j->facts.n == 0)
        fprintf(out, "  none\n");
    for (size_t i = 0; i < j->facts.n; i++)
        put_fact(out, j, i);
}

static void put_checks(const struct judge *j, FILE *out)
{
    const struct judge_step *step;
    const struct finding *finding;
    size_t at = 0;

    put_title(out, "Checks");
    while (judge_next_finding(j, &at, &step, &finding)) {
        put_label(out, finding->check);
        put_safe(out, str_of(finding->result), SHORT);
        put_reason(out, "  ", finding->detail);
        fprintf(out, "\n");
    }
    if (at == 0)
        fprintf(out, "  none had anything to say\n");
}

static void put_limit(FILE *out, const char *what, uint64_t used, uint64_t limit)
{
    fprintf(out, "  %-26s %10" PRIu64 " of %" PRIu64 "\n", what, used, limit);
}

static void put_limits(const struct explanation *e, const struct authentication *auth, FILE *out)
{
    const struct judge *j = &e->judge;
    const struct config *config = e->config;

    put_title(out, "Limits used");
    put_limit(out, "questions", j->facts.n, j->facts.max);
    put_limit(out, "octets of answers", j->facts.arena.used, j->facts.arena.size);
    if (e->has_message) {
        put_limit(out, "octets of the message", e->message.size, config->limits.message_size);
        put_limit(out, "octets of its header", e->message.header.n, config->limits.header_size);
        put_limit(out, "Received fields", trace_hops(e->message.header), config->limits.hops);
        put_limit(out, "DKIM signatures", auth->dkim_n + auth->dkim_ignored, config->policy.dkim.signatures);
    }
    if (j->facts.limited)
        fprintf(out, "  a limit was reached: what was not answered then reads LIMIT\n");
}

/* ---- the verdict ---- */

static void put_verdict(const struct judge *j, FILE *out)
{
    static const char *const words[] = {
        [ACTION_ACCEPT] = "ACCEPT",
        [ACTION_QUARANTINE] = "QUARANTINE",
        [ACTION_TEMPFAIL] = "TEMPFAIL",
        [ACTION_REJECT] = "REJECT",
    };
    char reply[1024];

    put_title(out, "Verdict");
    explain_reply(&j->verdict, reply, sizeof reply);
    fprintf(out, "  %s  %s\n", words[j->verdict.action],
            j->verdict.code != 0 ? reply : "(the mail server's own reply)");
    if (j->decider == NULL) {
        fprintf(out, "  no rule objected\n");
        return;
    }
    fprintf(out, "  decided by  %s, at the stage \"%s\"\n", j->verdict.check, stage_name(j->decider->stage));
    put_reason(out, "  because     ", j->verdict.reason);
    if (j->verdict.reason.n > 0)
        fprintf(out, "\n");
}

void explain_print_text(const struct explanation *e, FILE *out)
{
    const struct authentication *auth = judge_authentication(&e->judge), nothing = { 0 };

    if (auth == NULL)
        auth = &nothing;
    put_head(e, out);
    if (e->has_message)
        put_journey(e, out);
    put_envelope(e, out);
    put_identities(e, auth, out);
    put_checks(&e->judge, out);
    put_facts(&e->judge, out);
    put_limits(e, auth, out);
    put_verdict(&e->judge, out);
}
