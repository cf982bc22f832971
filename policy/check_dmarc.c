/* The DMARC check (RFC 9989): does the author's domain stand behind this message, and if not, what did its owner ask for?
 *
 * It reads what SPF, DKIM and ARC found before it in the table, finds the policy of the author domain, compares domains,
 * and judges. Three values run through it: YES, NO, and MAYBE, which a temporary error (or a cap) leaves behind. A
 * MAYBE is never a pass and never a refusal for good; it is a 451 where a refusal could hang on it, else nothing but a
 * word in the results.
 *
 * AT_HEADERS the body is still to come: DKIM and ARC take its hash for right, or for wrong when they remember that it
 * was. What they say then is written down, but a refusal must also hold in the best case, where every such hash turns
 * out right. AT_END there is no difference.
 *
 * Our own caps are another doubt. A sender can fill them (with huge records of its own, say), so that the record of the
 * author domain cannot be asked for any more: what such a message fails by is put off, whatever the operator wants done
 * about errors of the DNS.
 */
#include "dmarc.h"

enum certainty { NO, MAYBE, YES };

static enum certainty least(enum certainty a, enum certainty b)
{
    return a < b ? a : b;
}

static enum certainty most(enum certainty a, enum certainty b)
{
    return a > b ? a : b;
}

/* A claim as the results have it, and as it may turn out to be. */
struct claim {
    enum certainty now, best;
};

static struct claim both(enum certainty certainty)
{
    return (struct claim){ certainty, certainty };
}

static struct claim claim_or(struct claim a, struct claim b)
{
    return (struct claim){ most(a.now, b.now), most(a.best, b.best) };
}

static struct claim claim_and(struct claim a, struct claim b)
{
    return (struct claim){ least(a.now, b.now), least(a.best, b.best) };
}

/* A domain that SPF or DKIM may have authenticated (RFC 9989 4.3). */
struct identifier {
    struct str domain;
    const struct dkim_result *dkim; /* NULL: of SPF */
    struct claim authentic, aligned;
};

struct judging {
    struct pass *pass;
    const struct dmarc_policy *wish; /* the operator's */
    const struct authentication *auth;
    struct dmarc_result *result;
    enum dmarc_mode mode;
    struct dmarc_walk walk; /* of the author domain */
    enum dmarc_answer answer;
    const struct dmarc_record *record; /* with answer RECORD */
    struct identifier identifier[1 + DKIM_SIGNATURES_MAX];
    size_t n;
    struct claim passes;
    bool is_request_known; /* which of sp and np applies */
};

/* ---- what the methods found ---- */

/* RFC 9989 3.2.4: the MAIL FROM identity; the HELO name stands in for it only under the null reverse-path. */
static const struct spf_result *spf_identity(const struct judging *j)
{
    const struct path *path = j->pass->envelope->mail_from;
    const struct authentication *auth = j->auth;

    if (path != NULL && path->is_null && auth->mail_from.result == AUTH_ABSENT)
        return &auth->helo;
    return &auth->mail_from;
}

static enum certainty certainty_of(enum auth_result result)
{
    return result == AUTH_PASS ? YES : result == AUTH_TEMPERROR ? MAYBE : NO;
}

/* RFC 9989 leaves l= alone; a signature that others may append to is no reason to let a message pass, unless the
 * operator says so.
 */
static struct claim dkim_claim(const struct judging *j, const struct dkim_result *dkim)
{
    bool is_usable = !dkim->is_partial || j->pass->policy->dkim.accept_partial;
    struct claim claim = both(is_usable ? certainty_of(dkim->result) : NO);

    if (dkim->best_is_pass || (dkim->is_presumed && dkim->result == AUTH_PASS))
        claim.best = YES;
    return claim;
}

static void add_identifier(struct judging *j, struct str domain, const struct dkim_result *dkim, struct claim authentic)
{
    if (authentic.best > NO && domain.n > 0)
        j->identifier[j->n++] = (struct identifier){ domain, dkim, authentic, both(NO) };
}

static void gather(struct judging *j)
{
    const struct spf_result *spf = spf_identity(j);

    add_identifier(j, spf->domain, NULL, both(certainty_of(spf->result)));
    for (size_t i = 0; i < j->auth->dkim_n; i++)
        add_identifier(j, j->auth->dkim[i].domain, &j->auth->dkim[i], dkim_claim(j, &j->auth->dkim[i]));
}

static bool is_waiting(const struct judging *j)
{
    for (size_t i = 0; i < j->auth->dkim_n; i++)
        if (j->auth->dkim[i].result == AUTH_PENDING)
            return true;
    return spf_identity(j)->result == AUTH_PENDING || j->auth->arc.result == AUTH_PENDING;
}

/* ---- the policy ---- */

/* RFC 9989 3.2.13: a domain does not exist when its name reads NXDOMAIN, whatever the type of the question. */
static enum certainty author_exists(struct judging *j)
{
    const struct fact *fact = pass_ask(j->pass, ASK_A, j->walk.domain);

    if (fact == NULL || fact->state == FACT_TEMP || fact->state == FACT_LIMIT)
        return MAYBE;
    return fact->state == FACT_NXDOMAIN ? NO : YES;
}

/* Whether the author domain exists is asked only where it makes a difference. In doubt the stricter one of both is
 * kept, and is_request_known says that it may be the other.
 */
static enum dmarc_request request_of(struct judging *j, bool is_subdomain)
{
    enum dmarc_request existing = dmarc_record_request(j->record, is_subdomain, true);
    enum dmarc_request missing = dmarc_record_request(j->record, is_subdomain, false);
    enum certainty exists = existing != missing ? author_exists(j) : YES;

    j->is_request_known = exists != MAYBE;
    if (exists == MAYBE)
        return existing > missing ? existing : missing;
    return exists == YES ? existing : missing;
}

static void find_policy(struct judging *j)
{
    const struct dmarc_step *step;

    dmarc_walk(j->pass, j->auth->author, &j->walk);
    step = dmarc_walk_policy(&j->walk, &j->answer);
    j->result->queries = (unsigned)j->walk.n;
    j->result->organizational_domain = j->walk.organizational;
    if (step == NULL)
        return;
    j->record = &step->record;
    j->result->policy_domain = step->name;
    j->result->record = step->text;
    j->result->is_testing = step->record.is_testing;
    j->result->policy = dmarc_request_name(request_of(j, !str_eq(step->name, j->walk.domain)));
}

/* ---- alignment ---- */

static enum certainty certainty_of_answer(enum dmarc_answer answer)
{
    return answer == DMARC_RECORD ? YES : answer == DMARC_NO_RECORD ? NO : MAYBE;
}

/* Without the record nobody knows how strict its owner is: only the author domain itself is beyond doubt. */
static enum certainty alignment_unread(const struct judging *j, const struct identifier *id)
{
    if (str_eq(id->domain, j->walk.domain))
        return YES;
    return dmarc_shared_labels(id->domain, j->walk.domain) > 0 ? MAYBE : NO;
}

static enum certainty alignment(struct judging *j, const struct identifier *id)
{
    enum dmarc_answer answer;

    if (j->record == NULL)
        return alignment_unread(j, id);
    answer =
        dmarc_aligned(j->pass, &j->walk, id->dkim == NULL ? j->record->strict_spf : j->record->strict_dkim, id->domain);
    return certainty_of_answer(answer);
}

/* All of them are walked, also behind one that aligns: what is written about a message must not depend on which
 * answer came first.
 */
static void align(struct judging *j)
{
    for (size_t i = 0; i < j->n; i++) {
        struct identifier *id = &j->identifier[i];

        id->aligned = claim_and(id->authentic, both(alignment(j, id)));
        j->passes = claim_or(j->passes, id->aligned);
    }
}

static bool is_aligned(const struct judging *j, bool is_spf)
{
    for (size_t i = 0; i < j->n; i++)
        if ((j->identifier[i].dkim == NULL) == is_spf && j->identifier[i].aligned.now == YES)
            return true;
    return false;
}

static const char *aligned_names(const struct judging *j)
{
    bool spf = is_aligned(j, true), dkim = is_aligned(j, false);

    return spf && dkim ? "spf+dkim" : spf ? "spf" : dkim ? "dkim" : "";
}

/* ---- the result ---- */

static enum auth_result result_of(const struct judging *j, enum certainty passes)
{
    enum dmarc_request request;

    if (j->answer == DMARC_UNSURE)
        return AUTH_TEMPERROR;
    if (j->record == NULL)
        return AUTH_NONE;
    request = dmarc_record_request(j->record, false, true);
    if (request == DMARC_UNSTATED) /* RFC 9989 4.10.1: no DMARC processing; 9: "permerror", an incorrect record */
        return AUTH_PERMERROR;
    if (passes == YES)
        return AUTH_PASS;
    if (passes == MAYBE || !j->is_request_known)
        return AUTH_TEMPERROR;
    return pass_is_short(j->pass) ? AUTH_TEMPERROR : AUTH_FAIL; /* what would have passed may not have fitted */
}

/* ---- overrides ---- */

static struct claim is_from_list(const struct judging *j)
{
    struct claim claim = both(NO);

    for (size_t i = 0; i < j->n; i++)
        if (domain_set_holds(&j->wish->lists, j->identifier[i].domain))
            claim = claim_or(claim, j->identifier[i].authentic);
    return claim;
}

/* RFC 8617 7.2.1: a chain that a trusted sealer closed, and which says that the message passed before. */
static struct claim is_vouched_for(const struct judging *j)
{
    const struct arc_result *arc = &j->auth->arc;
    const struct domain_set *trusted = &j->pass->policy->arc.trusted_sealers;
    struct claim claim = both(arc->is_trusted && arc->said_dmarc_pass ? YES : NO);

    if (claim.now == YES || arc->sealers == 0 || !domain_set_holds(trusted, arc->sealer[arc->sealers - 1]))
        return claim;
    if (arc->result == AUTH_TEMPERROR)
        claim = both(MAYBE);
    if (arc->is_presumed && arc->result != AUTH_PASS)
        claim.best = YES;
    return claim;
}

/* Why a fail is not acted on, in this order; the first certain one is named. "" and a claim that may still come true
 * when there is none.
 */
static const char *find_override(const struct judging *j, struct claim *claim)
{
    const struct envelope *envelope = j->pass->envelope;
    bool forwards = network_list_holds(&j->wish->forwarders, &envelope->client.address);
    const struct {
        const char *name;
        struct claim claim;
    } rows[] = {
        { "arc", is_vouched_for(j) },
        { "forwarder", both(forwards ? YES : NO) },
        { "list", is_from_list(j) },
        { "postmaster", both(envelope->only_postmaster ? YES : NO) }, /* RFC 5321 4.5.1, ORACLE P-10 */
        { "monitor", both(j->mode == DMARC_MONITOR ? YES : NO) },
    };

    *claim = both(NO);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *claim = claim_or(*claim, rows[i].claim);
        if (rows[i].claim.now == YES)
            return rows[i].name;
    }
    return "";
}

/* ---- words ---- */

enum { NAME_SHOWN_MAX = 80 /* of a domain in a reply or reason */ };

/* A domain for a text: printable ASCII, its end if it is long. */
static struct str shown(struct judging *j, struct str name)
{
    bool is_long = name.n > NAME_SHOWN_MAX;
    struct str end = is_long ? str_skip(name, name.n - NAME_SHOWN_MAX) : name;
    char text[NAME_SHOWN_MAX];

    for (size_t i = 0; i < end.n; i++)
        text[i] = end.p[i] > ' ' && end.p[i] <= '~' ? end.p[i] : '?';
    return arena_printf(j->pass->arena, "%s%.*s", is_long ? "..." : "", (int)end.n, text);
}

static const char *word_of(enum auth_result result)
{
    return result == AUTH_ABSENT ? "none" : auth_result_name(result);
}

/* How far the domain of SPF (NULL) or of a signature is known to be the author's. */
static enum certainty certainty_aligned(const struct judging *j, const struct dkim_result *dkim)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->identifier[i].dkim == dkim)
            return j->identifier[i].aligned.now;
    return NO;
}

/* The signature that came nearest: the first aligned one, else the first pass, else the first of all. */
static const struct dkim_result *telling_signature(const struct judging *j)
{
    const struct authentication *auth = j->auth;
    const struct dkim_result *pass = NULL;

    for (size_t i = 0; i < auth->dkim_n; i++) {
        if (auth->dkim[i].result != AUTH_PASS)
            continue;
        if (certainty_aligned(j, &auth->dkim[i]) == YES)
            return &auth->dkim[i];
        pass = pass != NULL ? pass : &auth->dkim[i];
    }
    return pass != NULL || auth->dkim_n == 0 ? pass : &auth->dkim[0];
}

static const char *unaligned(const struct judging *j, enum auth_result result, const struct dkim_result *dkim)
{
    static const char *const words[] = { [NO] = " (not aligned)", [MAYBE] = " (alignment unknown)", [YES] = "" };

    return result == AUTH_PASS ? words[certainty_aligned(j, dkim)] : "";
}

/* "SPF fail, DKIM pass (not aligned)" */
static struct str found(struct judging *j)
{
    const struct dkim_result *dkim = telling_signature(j);
    enum auth_result spf = spf_identity(j)->result, signature = dkim != NULL ? dkim->result : AUTH_NONE;
    bool is_partial = dkim != NULL && signature == AUTH_PASS && dkim->is_partial;

    return arena_printf(j->pass->arena, "SPF %s%s, DKIM %s%s", word_of(spf), unaligned(j, spf, NULL),
                        word_of(signature), is_partial ? " (of a part of the body)" : unaligned(j, signature, dkim));
}

/* ---- what becomes of it ---- */

const char *dmarc_applied_policy(const struct dmarc_result *result)
{
    static const char *const steps[] = { "none", "quarantine", "reject" };
    size_t i = 0;

    if (result->policy == NULL || result->policy[0] == '\0')
        return "";
    while (i < 2 && strcmp(steps[i], result->policy) != 0)
        i++;
    return steps[i > 0 && result->is_testing ? i - 1 : i]; /* RFC 9989 4.7: t=y, one level below */
}

const char *dmarc_consequence(const struct dmarc_policy *wish, const struct dmarc_result *result)
{
    const char *policy = dmarc_applied_policy(result);

    return strcmp(policy, "quarantine") == 0 && wish->quarantine == QUARANTINE_REJECT ? "reject" : policy;
}

static void refuse(struct judging *j)
{
    struct str author = shown(j, j->auth->author);
    struct str text = arena_printf(j->pass->arena, "DMARC: %.*s asks to %s mail that fails; %.*s", STR_ARG(author),
                                   j->result->policy, STR_ARG(j->result->reason));

    if (text.p == NULL)
        text = STR("DMARC: refused at the wish of the author's domain");
    j->result->disposition = "reject";
    pass_refuse(j->pass, &check_dmarc, 550, "5.7.26", text, j->result->reason); /* RFC 7372 3.3 */
}

/* RFC 7372 3.2 has a code for the temporary errors of SPF; for the others X.7.0 of RFC 3463 says "security". */
static void defer(struct judging *j)
{
    bool is_spf = j->record != NULL && j->is_request_known && spf_identity(j)->result == AUTH_TEMPERROR;
    struct str author = shown(j, j->auth->author);
    struct str text = arena_printf(j->pass->arena, "DMARC: temporary error while checking mail of %.*s; %.*s",
                                   STR_ARG(author), STR_ARG(j->result->reason));

    if (text.p == NULL)
        text = STR("DMARC: temporary error");
    pass_refuse(j->pass, &check_dmarc, 451, is_spf ? "4.7.24" : "4.7.0", text, j->result->reason);
}

/* Also when a question was never put, since memory or time had run out before: nobody has failed to answer it. */
static bool is_doubt_deferred(const struct judging *j)
{
    return j->wish->temperror == TEMPERROR_TEMPFAIL || pass_is_short(j->pass) || j->pass->starved;
}

/* The result is a fail, and an unwelcome one. */
static void act_on_fail(struct judging *j, const char *consequence, struct claim override)
{
    if (override.now == MAYBE) {
        if (is_doubt_deferred(j) && j->passes.best == NO && override.best != YES)
            defer(j);
        return;
    }
    if (strcmp(consequence, "quarantine") == 0) {
        j->result->disposition = "quarantine";
        pass_quarantine(j->pass, &check_dmarc, j->result->reason);
        return;
    }
    if (j->passes.best == NO && override.best == NO)
        refuse(j);
}

/* A temporary error matters when the message could be found to fail, and then would not go through. */
static void act_on_temperror(struct judging *j, const char *consequence, struct claim override)
{
    bool harmless = j->passes.best == YES || override.best == YES || strcmp(consequence, "none") == 0;

    if (is_doubt_deferred(j) && !harmless)
        defer(j);
}

static void act(struct judging *j)
{
    struct dmarc_result *result = j->result;
    const char *consequence = dmarc_consequence(j->wish, result);
    struct claim claim;
    const char *override = find_override(j, &claim);

    if (result->result == AUTH_FAIL) {
        result->disposition = "none";
        if (strcmp(consequence, "none") == 0)
            return;
        result->override = override;
        if (claim.now != YES)
            act_on_fail(j, consequence, claim);
    } else if (result->result == AUTH_TEMPERROR) {
        act_on_temperror(j, consequence, claim);
    }
}

/* ---- the run ---- */

static enum dmarc_mode mode_for(const struct dmarc_policy *wish, struct str author)
{
    if (domain_set_holds(&wish->enforce_domains, author))
        return DMARC_ENFORCE;
    if (domain_set_holds(&wish->monitor_domains, author))
        return DMARC_MONITOR;
    return domain_set_holds(&wish->off_domains, author) ? DMARC_OFF : (enum dmarc_mode)wish->mode;
}

/* "policy reject at example.org in test mode; ", where there is one. */
static struct str describe_policy(struct judging *j)
{
    const struct dmarc_result *r = j->result;
    struct str place = shown(j, r->policy_domain);

    if (r->policy[0] == '\0')
        return STR("");
    return arena_printf(j->pass->arena, "policy %s at %.*s%s; ", r->policy, STR_ARG(place),
                        r->is_testing ? " in test mode" : "");
}

/* "example.org: policy reject at example.org; SPF fail, DKIM none; would reject, overridden: monitor" */
static void describe(struct judging *j)
{
    const struct dmarc_result *r = j->result;
    struct str domain = shown(j, r->domain), policy = describe_policy(j);
    struct str reason = r->result == AUTH_PENDING ? STR("waiting for answers") : r->reason;
    bool is_overridden = r->override[0] != '\0';
    struct str detail =
        arena_printf(j->pass->arena, "%.*s: %.*s%.*s%s%s%s%s", STR_ARG(domain), STR_ARG(policy), STR_ARG(reason),
                     is_overridden ? "; would " : "", is_overridden ? dmarc_consequence(j->wish, r) : "",
                     is_overridden ? ", overridden: " : "", r->override);

    pass_find(j->pass, &check_dmarc, auth_result_name(r->result), detail.p != NULL ? detail : STR("(no room)"));
}

/* The policy and the results are there. */
static void judge(struct judging *j)
{
    struct dmarc_result *result = j->result;

    gather(j);
    align(j);
    if (j->pass->pending) {
        result->result = AUTH_PENDING;
        return;
    }
    result->result = result_of(j, j->passes.now);
    result->best_is_pass = result_of(j, j->passes.best) == AUTH_PASS;
    result->reason = j->answer == DMARC_UNSURE ? STR("no answer to the question for the DMARC record") : found(j);
    if (result->reason.p == NULL)
        result->reason = STR("");
    if (result->result == AUTH_NONE)
        result->reason = STR("no DMARC record");
    else if (result->result == AUTH_PERMERROR)
        result->reason = STR("the DMARC record has no valid policy");
    else if (j->record != NULL)
        result->aligned = aligned_names(j);
    act(j);
}

static void examine(struct judging *j)
{
    find_policy(j);
    /* What lies beyond the record of the author domain may turn out not to be needed. Yet it is waited for: the questions
     * go out together, and what is said about a message must not depend on when it came.
     */
    if (j->pass->pending || is_waiting(j))
        j->result->result = AUTH_PENDING;
    else
        judge(j);
    describe(j);
}

static void run(struct pass *pass)
{
    struct authentication *auth = &pass->outcome->auth;
    struct judging j = { .pass = pass, .wish = &pass->policy->dmarc, .auth = auth, .result = &auth->dmarc };

    auth->dmarc = (struct dmarc_result){ .domain = auth->author,
                                         .policy_domain = STR_INIT(""),
                                         .organizational_domain = STR_INIT(""),
                                         .policy = "",
                                         .disposition = "",
                                         .aligned = "",
                                         .override = "",
                                         .record = STR_INIT(""),
                                         .reason = STR_INIT("") };
    if (auth->is_exempt)
        return;
    j.is_request_known = true;
    j.mode = mode_for(j.wish, auth->author);
    if (j.mode == DMARC_OFF) {
        pass_find(pass, &check_dmarc, "off", auth->author);
    } else if (auth->author.n == 0) { /* RFC 9989 5.3.1; [author] strict refuses such a message */
        auth->dmarc.result = AUTH_NONE;
        auth->dmarc.reason = STR("no author domain");
        pass_find(pass, &check_dmarc, "none", auth->dmarc.reason);
    } else {
        examine(&j);
    }
}

#define DMARC(field) offsetof(struct policy, dmarc.field)

static const char *const modes[] = { "off", "monitor", "enforce", NULL };
static const char *const quarantines[] = { "tag", "redirect", "reject", NULL };
static const char *const temperrors[] = { "tempfail", "record", NULL };

/* clang-format off */
static const struct option options[] = {
    { .section = "dmarc", .key = "mode", .type = OPTION_CHOICE, .offset = DMARC(mode), .preset = "enforce",
      .choices = modes,
      .help = "What is done with mail that fails, whose author domain is not listed below. enforce: what that domain asks "
              "for, refuse (550 5.7.26) or quarantine. monitor: accept it, and tell in the message and the log what would "
              "have happened (override=monitor). off: DMARC is not even asked." },
    { .section = "dmarc", .key = "enforce_domains", .type = OPTION_DOMAINS, .offset = DMARC(enforce_domains),
      .help = "Author domains (of the From field) for which mode is enforce. An author domain in several of these lists "
              "is enforced before it is monitored, and monitored before it is off." },
    { .section = "dmarc", .key = "monitor_domains", .type = OPTION_DOMAINS, .offset = DMARC(monitor_domains),
      .help = "Author domains for which mode is monitor." },
    { .section = "dmarc", .key = "off_domains", .type = OPTION_DOMAINS, .offset = DMARC(off_domains),
      .help = "Author domains for which mode is off." },
    { .section = "dmarc", .key = "quarantine", .type = OPTION_CHOICE, .offset = DMARC(quarantine), .preset = "tag",
      .choices = quarantines,
      .help = "Mail that fails and whose author domain asks for quarantine: tag delivers it with the field "
              "X-Postern-Verdict: quarantine, for the mail server to sort by; redirect sends it to quarantine_mailbox "
              "instead of its recipients; reject refuses it." },
    { .section = "dmarc", .key = "quarantine_mailbox", .type = OPTION_TEXT, .offset = DMARC(quarantine_mailbox),
      .help = "The address that gets quarantined mail; needed for quarantine = redirect." },
    { .section = "dmarc", .key = "temperror", .type = OPTION_CHOICE, .offset = DMARC(temperror), .preset = "tempfail",
      .choices = temperrors,
      .help = "When DNS gives no answer and mail might have to be refused: tempfail answers 451, so that the sender "
              "tries again; record accepts it and writes temperror into the results. Dangerous: whoever finds a selector "
              "of the author's domain that does not answer gets in under its name. Mail that runs into our own limits "
              "and does not pass gets 451 all the same: its sender may have wanted that." },
    { .section = "dmarc", .key = "forwarders", .type = OPTION_NETWORKS, .offset = DMARC(forwarders),
      .help = "Clients in these networks forward mail for our users: what they bring and fails is accepted all the same "
              "(override=forwarder)." },
    { .section = "dmarc", .key = "lists", .type = OPTION_DOMAINS, .offset = DMARC(lists),
      .help = "Domains of mailing lists: mail that fails is accepted when SPF (MAIL FROM) or DKIM shows that it came "
              "from one of them (override=list)." },
};
/* clang-format on */

const struct check check_dmarc = {
    .name = "dmarc",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help =
        "Whether the author's domain stands behind a message, and what its owner asks for if not (RFC 9989). Reports "
        "are not sent.",
};
