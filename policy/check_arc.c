/* The ARC check: what became of a message on its way here, and who vouches for it (RFC 8617 5.2).
 *
 * It finds out and never refuses: a chain proves who handled a message, not that it is good (9.3, 9.4). Only when the
 * operator trusts the newest sealer, and that sealer says that the message passed DMARC when it came in, may the DMARC
 * check take its word (7.2.1). To everybody else a chain makes no difference.
 *
 * What a chain may cost. Nobody is asked before its structure is right (9.2). Then the newest message signature and seal
 * are verified; for each seal that holds, two more keys are asked for, so that those who write chains of other people's
 * names get few questions out of us, and an honest chain of 50 sets needs six rounds. The first of them that does not hold, in
 * the order of RFC 8617, decides, whatever order the answers come in.
 *
 * Departures from 5.2.1 (every error is "fail"): a key that we could not get, or were not allowed to ask for by our own
 * caps, is "temperror". Nothing is sealed here, so that doubt lives only as long as this transaction.
 */
#include "arc.h"
#include "body_hash.h"

enum { CLOCK_SKEW = 300 /* seconds, as for DKIM */ };

/* One signature of the chain and what came of it. */
struct link {
    const struct dkim_signature *signature;
    struct str name;           /* "ams 3", "as 2": the SIG question */
    struct signature_job *job; /* its digest is still to be computed; else NULL */
    const char *why;           /* for people, when it does not hold */
};

static enum auth_result doubt(struct link *link, const char *why)
{
    link->why = why;
    return AUTH_TEMPERROR;
}

static enum auth_result broken(struct link *link, const char *why)
{
    link->why = why;
    return AUTH_FAIL;
}

/* ---- facts ---- */

static bool said(const struct fact *fact, struct str word)
{
    return fact != NULL && fact->state == FACT_OK && str_eq(fact->value[0], word);
}

/* What is known already, without asking. */
static bool is_known(const struct pass *pass, enum ask kind, struct str key, struct str word)
{
    return pass->facts != NULL && said(facts_find(pass->facts, (struct question){ kind, key }), word);
}

/* ---- signatures ---- */

/* What DKIM calls permerror and policy is "fail" for a chain, but for our own limits. */
static enum auth_result ask_key(struct pass *pass, struct link *link, struct dkim_key *key)
{
    enum auth_result result = dkim_key_ask(pass, link->signature, key, &link->why);

    if (result == AUTH_PASS || result == AUTH_PENDING || result == AUTH_TEMPERROR)
        return result;
    return key->is_unasked || pass->arena->overflowed ? AUTH_TEMPERROR : AUTH_FAIL;
}

/* Whether `link` holds. When it is to be found out, link->job waits for its digest.
 *
 * RFC 8617 4.1.2 and 4.1.3 take the algorithms from DKIM, so those that DKIM has learnt since (RFC 8463) and lost (RFC 8301
 * 3.1) are learnt and lost here.
 */
static enum auth_result verify(struct pass *pass, struct link *link)
{
    const struct dkim_signature *signature = link->signature;
    const struct fact *fact;
    struct dkim_key key;
    enum auth_result result;
    struct str octets;

    if (link->name.p == NULL)
        return doubt(link, "no memory");
    if (is_known(pass, ASK_SIG, link->name, STR("pass"))) /* so its key was fit, and need not be read again */
        return AUTH_PASS;
    result = ask_key(pass, link, &key);
    if (result != AUTH_PASS)
        return result;
    octets = base64_read(signature->signature, RSA_SIGNATURE_MAX, pass->arena);
    if (octets.p == NULL)
        return pass->arena->overflowed ? doubt(link, "no memory") : broken(link, "signature is too long");
    fact = pass_verify(pass, link->name, &link->job);
    if (fact == NULL) {
        if (link->job != NULL) {
            link->job->is_ed25519 = key.is_ed25519;
            link->job->key = key.octets;
            link->job->signature = octets;
        }
        return AUTH_PENDING;
    }
    if (fact->state != FACT_OK)
        return doubt(link, "signature was not verified");
    return str_eq(fact->value[0], STR("pass")) ? AUTH_PASS : broken(link, "signature did not verify");
}

/* ---- the newest message signature, RFC 8617 5.2 step 4 ---- */

/* What a streamed body contradicted is remembered for the next time, as for DKIM, and forgotten when it was wrong. Only of a
 * signature that is right: nobody else can have something remembered about it.
 */
static void note_past(struct pass *pass, const struct link *ams, bool contradicted)
{
    struct str key = dkim_past_key(ams->signature, pass->arena);

    if (key.n > 0 && is_known(pass, ASK_SIG, ams->name, STR("pass")) &&
        (contradicted || is_known(pass, ASK_PAST, key, STR("fail"))))
        pass_effect(pass, ASK_PAST, key, contradicted);
}

/* AT_END: the hash of the body (RFC 6376 6.1.3). */
static enum auth_result compare_body(struct pass *pass, struct link *ams)
{
    const struct dkim_signature *signature = ams->signature;
    char room[BODY_HASH_NAME_MAX];
    struct str key = body_hash_name(signature->body_relaxed, signature->has_limit, signature->limit, room);
    const struct fact *fact = pass_ask(pass, ASK_BODY, key);
    unsigned long long length;
    struct str got, wanted;
    bool is_right;

    if (fact == NULL)
        return AUTH_PENDING;
    if (fact->state != FACT_OK || fact->n != 2 || !str_to_u64(fact->value[1], UINT64_MAX, &length))
        return doubt(ams, "the body was not hashed");
    got = base64_read(fact->value[0], SHA256_SIZE, pass->arena);
    wanted = base64_read(signature->body_hash, SHA256_SIZE, pass->arena);
    if (got.p == NULL || wanted.p == NULL)
        return doubt(ams, "no memory");
    is_right = str_eq(got, wanted) && !(signature->has_limit && signature->limit > length);
    note_past(pass, ams, !is_right);
    if (is_right)
        return AUTH_PASS;
    return broken(ams, str_eq(got, wanted) ? "l= is longer than the body" : "body hash did not verify");
}

/* What the field itself tells, times as for DKIM; NULL when it may hold. */
static const char *judge_field(const struct pass *pass, const struct dkim_signature *ams)
{
    uint64_t now = pass->envelope->now > 0 ? (uint64_t)pass->envelope->now : 0;

    if (colon_list_holds(ams->header_names, STR("arc-seal"))) /* RFC 8617 4.1.2 */
        return "h= names ARC-Seal";
    if (ams->algorithm == ALGORITHM_RSA_SHA1) /* RFC 8301 3.1 */
        return "is signed with rsa-sha1";
    if (ams->has_expiry && ams->expiry + CLOCK_SKEW < now)
        return "has expired";
    if (ams->has_time && ams->time > now + CLOCK_SKEW)
        return "is from the future";
    return NULL;
}

/* A body that is wrong costs no question. While it is unknown nothing is certain, and still the key is asked for. */
static enum auth_result judge_message(struct pass *pass, const struct header_field *field, struct link *ams)
{
    enum auth_result body = pass->stage == AT_END ? compare_body(pass, ams) : AUTH_PASS, result;

    if (body != AUTH_PASS && body != AUTH_PENDING)
        return body;
    result = verify(pass, ams);
    if (ams->job != NULL)
        dkim_header_digest(pass->message->header, field, ams->signature, ams->job->digest);
    return body == AUTH_PASS ? result : body;
}

/* ---- all signatures ---- */

/* One walk over a sound chain; `result` is that of the first link that does not hold, `fault` tells which. */
struct walk {
    struct pass *pass;
    const struct arc_chain *chain;
    struct dkim_signature message_signature;
    struct link ams, seal[ARC_SETS_MAX + 1];
    enum auth_result result;
    struct arc_fault fault;
};

static void walk_note(struct walk *walk, enum auth_result result, enum arc_part part, unsigned instance,
                      const struct link *link)
{
    if (walk->result != AUTH_PASS)
        return;
    walk->result = result;
    walk->fault = (struct arc_fault){ part, instance, link->why };
}

static void walk_message(struct walk *walk)
{
    struct pass *pass = walk->pass;
    unsigned newest = walk->chain->sets;
    const struct header_field *field = &walk->chain->set[newest].field[ARC_MESSAGE_SIGNATURE];
    const char *why = dkim_signature_read(field, SIGNATURE_AMS, &walk->message_signature);
    struct link *ams = &walk->ams;
    enum auth_result result;

    ams->signature = &walk->message_signature;
    ams->name = arena_printf(pass->arena, "ams %u", newest);
    if (why == NULL)
        why = judge_field(pass, ams->signature);
    if (why != NULL)
        result = broken(ams, why);
    else
        result = judge_message(pass, field, ams);
    walk_note(walk, result, ARC_MESSAGE_SIGNATURE, newest, ams);
}

/* Computes the digests that jobs wait for, oldest first. */
static void hash_seals(struct walk *walk)
{
    struct arc_hash hash;

    arc_hash_begin(&hash);
    for (unsigned i = 1; i <= walk->chain->sets; i++)
        if (walk->seal[i].job != NULL)
            arc_hash_seal(&hash, walk->chain, i, walk->seal[i].job->digest);
}

/* RFC 8617 5.2 step 6. Two more beyond each that holds; the newest alone until the message signature does. */
static void walk_seals(struct walk *walk)
{
    unsigned newest = walk->chain->sets, ahead = 0;

    for (unsigned i = newest; i >= 1 && newest - i <= ahead; i--) {
        struct link *seal = &walk->seal[i];
        enum auth_result result;

        seal->signature = &walk->chain->set[i].seal;
        seal->name = arena_printf(walk->pass->arena, "as %u", i);
        result = verify(walk->pass, seal);
        walk_note(walk, result, ARC_SEAL, i, seal);
        if (walk->result == AUTH_PASS)
            ahead += 2;
        else if (walk->result != AUTH_PENDING)
            break;
    }
    hash_seals(walk);
}

/* AT_HEADERS, when all else holds: the body is taken for right, unless it was wrong the last time. What is remembered
 * is waited for also where a seal does not hold, so that AT_END it is known whether to forget it, whatever came first.
 */
static void presume_body(struct walk *walk)
{
    struct pass *pass = walk->pass;
    struct str key = dkim_past_key(walk->ams.signature, pass->arena);
    const struct fact *fact = key.n > 0 ? pass_ask(pass, ASK_PAST, key) : NULL;

    if (fact == NULL && key.n > 0)
        walk->result = AUTH_PENDING;
    if (walk->result != AUTH_PASS)
        return;
    pass->outcome->auth.arc.is_presumed = true;
    if (said(fact, STR("fail")))
        walk_note(walk, broken(&walk->ams, "body hash did not verify"), ARC_MESSAGE_SIGNATURE, walk->chain->sets,
                  &walk->ams);
}

/* Steps 4 to 6. */
static void walk_chain(struct walk *walk)
{
    walk->result = AUTH_PASS;
    walk_message(walk);
    if (walk->result != AUTH_PASS && walk->result != AUTH_PENDING)
        return;
    walk_seals(walk);
    if (walk->pass->stage != AT_END)
        presume_body(walk);
}

/* ---- the result ---- */

static void conclude(struct pass *pass, enum auth_result result, struct str reason)
{
    struct arc_result *arc = &pass->outcome->auth.arc;

    arc->result = result;
    arc->reason = reason;
    pass_find(pass, &check_arc, auth_result_name(result), reason);
}

/* For people: nothing that is no plain name. */
static struct str shown(struct str name)
{
    return domain_is_valid(name) ? name : STR("(no name)");
}

enum { NAMED_SEALERS = 8 /* in the trace, which is for people */ };

/* "3 sets, sealed by c.example, b.example, a.example", the newest first. */
static void report_sets(struct pass *pass, const struct arc_chain *chain)
{
    struct arc_result *arc = &pass->outcome->auth.arc;
    struct str text = arena_printf(pass->arena, "%u set%s, sealed by", chain->sets, chain->sets == 1 ? "" : "s");
    unsigned last = chain->sets > NAMED_SEALERS ? chain->sets - NAMED_SEALERS : 0;

    arc->sealers = chain->sets;
    for (unsigned i = 0; i < chain->sets; i++)
        arc->sealer[i] = dkim_domain(chain->set[i + 1].seal.domain, pass->arena);
    for (unsigned i = chain->sets; i > last; i--)
        text = arena_printf(pass->arena, "%.*s%s%.*s", STR_ARG(text), i == chain->sets ? " " : ", ",
                            STR_ARG(shown(arc->sealer[i - 1])));
    if (last > 0)
        text = arena_printf(pass->arena, "%.*s and %u more", STR_ARG(text), last);
    pass_find(pass, &check_arc, "sets", text);
}

/* RFC 8601 2.7.1, RFC 7489 11.4: header.from of a dmarc result is the author domain. What passed for another one says
 * nothing about this message.
 */
static bool is_author(const struct pass *pass, struct str from)
{
    struct str author = pass->outcome->auth.author;
    size_t at = str_find(from, '@');
    char room[PATH_DOMAIN_MAX + 1];

    if (from.n == 0)
        return true;
    from = domain_canonical(at < from.n ? str_skip(from, at + 1) : from, room);
    return from.n > 0 && str_eq(from, author);
}

/* RFC 8617 7.2.1: whether the newest sealer is one whose word we take, and what it said. An l= that leaves room for more
 * body makes its word about this body worth nothing, unless the operator takes such signatures.
 */
static void judge_trust(struct walk *walk)
{
    struct pass *pass = walk->pass;
    const struct policy *policy = pass->policy;
    struct arc_result *arc = &pass->outcome->auth.arc;
    struct str sealer = arc->sealer[arc->sealers - 1], from;

    if (!domain_set_holds(&policy->arc.trusted_sealers, sealer)) {
        pass_find(pass, &check_arc, "unlisted", shown(sealer));
    } else if (walk->message_signature.has_limit && !policy->dkim.accept_partial) {
        pass_find(pass, &check_arc, "partial", STR("l= leaves a part of the body unsigned"));
    } else {
        arc->trusted = sealer;
        arc->is_trusted = walk->result == AUTH_PASS;
        arc->said_dmarc_pass = arc->is_trusted &&
                               arc_said_dmarc_pass(walk->chain->set[arc->sets].field[ARC_RESULTS].value, &from) &&
                               is_author(pass, from);
        pass_find(pass, &check_arc, arc->said_dmarc_pass ? "trusted, dmarc=pass" : "trusted", sealer);
    }
}

static void judge_chain(struct pass *pass, const struct arc_chain *chain)
{
    struct walk walk = { .pass = pass, .chain = chain };

    walk_chain(&walk);
    if (walk.result == AUTH_PASS)
        conclude(pass, walk.result, STR(""));
    else if (walk.result == AUTH_PENDING)
        conclude(pass, walk.result, STR("waiting for keys"));
    else
        conclude(pass, walk.result, arc_fault_print(&walk.fault, pass->arena));
    if (walk.result != AUTH_FAIL || pass->outcome->auth.arc.is_presumed)
        judge_trust(&walk);
}

static void judge_fields(struct pass *pass)
{
    struct arc_chain chain;
    struct arc_fault fault;
    bool is_sound = arc_collect(pass->message->header, &chain, &fault);

    pass->outcome->auth.arc.sets = chain.sets;
    if (!is_sound || !arc_structure(&chain, &fault)) {
        conclude(pass, AUTH_FAIL, arc_fault_print(&fault, pass->arena));
        return;
    }
    report_sets(pass, &chain);
    judge_chain(pass, &chain);
}

static void run(struct pass *pass)
{
    if (pass->outcome->auth.is_exempt || !pass->policy->arc.check || pass->message == NULL)
        return;
    if (arc_is_there(pass->message->header))
        judge_fields(pass);
    else
        conclude(pass, AUTH_NONE, STR(""));
}

#define ARC(field) offsetof(struct policy, arc.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "arc", .key = "check", .type = OPTION_BOOL, .offset = ARC(check), .preset = "yes",
      .help = "no: chains are not verified, and nothing is said about them." },
    { .section = "arc", .key = "trusted_sealers", .type = OPTION_DOMAINS, .offset = ARC(trusted_sealers),
      .help = "Forwarders and mailing lists whose word is taken: when the newest seal of a valid chain is of one of these "
              "domains and says that the message passed DMARC there, a DMARC fail here is not acted on (override=arc). "
              "*.example.org stands for every name below example.org, but not for example.org itself." },
};
/* clang-format on */

const struct check check_arc = {
    .name = "arc",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help =
        "Authenticated Received Chains (RFC 8617): what forwarders found out about a message before they changed it. "
        "Chains are always verified and reported; only listed sealers make a difference, and only for DMARC.",
};
