/* The DKIM check: what each signature of the message comes to (RFC 6376 6.1), for DMARC and for the trace fields. It
 * never refuses: RFC 6376 6.3 has a message with broken signatures taken as one without.
 *
 * AT_HEADERS the keys are asked and the signatures verified while the body still comes in. The body's hash is taken
 * for right, unless a body that was streamed under the same signature has contradicted it before (PAST). AT_END the
 * body is there to compare, and what contradicts is noted for the next time.
 */
#include "body_hash.h"
#include "dkim.h"
#include "policy.h"

enum { CLOCK_SKEW = 300 /* seconds, between the signer and us */, B_SHOWN = 8 /* RFC 6008 4 */ };

/* ---- one signature ---- */

struct judgement {
    struct pass *pass;
    unsigned number; /* the N-th DKIM-Signature field from the top, from 1 */
    const struct header_field *field;
    struct dkim_signature signature;
    struct dkim_key key;
    struct dkim_result *result;
};

static void conclude(struct judgement *j, enum auth_result result, const char *reason)
{
    j->result->result = result;
    j->result->reason = str_of(reason);
}

/* The state of a fact that has no values, for a thing that we wanted to know. */
static void conclude_unknown(struct judgement *j, enum fact_state state, const char *temporary)
{
    if (state == FACT_LIMIT)
        conclude(j, AUTH_PERMERROR, "beyond our limits");
    else
        conclude(j, AUTH_TEMPERROR, temporary);
}

/* RFC 6008 4: the first characters of b= tell signatures apart; folds are none. */
static struct str first_of_b(struct str b, struct arena *arena)
{
    char shown[B_SHOWN];
    size_t n = 0;

    for (size_t i = 0; i < b.n && n < B_SHOWN; i++)
        if (b.p[i] > ' ' && b.p[i] <= '~')
            shown[n++] = b.p[i];
    return arena_copy(arena, str_from(shown, n));
}

static struct str canonical_or_written(struct str domain, struct arena *arena)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str canonical = domain_canonical(domain, room);

    return canonical.n > 0 ? arena_copy(arena, canonical) : domain;
}

/* What the field says of itself, as far as it could be read. */
static void describe(struct judgement *j)
{
    const struct dkim_signature *s = &j->signature;
    struct arena *arena = j->pass->arena;

    *j->result = (struct dkim_result){
        .result = AUTH_PENDING,
        .domain = canonical_or_written(s->domain, arena),
        .selector = s->selector,
        .identity = s->identity.n > 0 ? s->identity : arena_printf(arena, "@%.*s", STR_ARG(s->domain)),
        .algorithm = s->algorithm_text,
        .b = first_of_b(s->signature, arena),
    };
}

/* What the field alone decides. x= in the past and t= in the future are left to the verifier (RFC 6376 3.5): the first
 * is a failed test, the second a thing that we do not accept.
 */
static bool judge_field(struct judgement *j, const char *malformed)
{
    const struct dkim_signature *s = &j->signature;
    uint64_t now = j->pass->envelope->now > 0 ? (uint64_t)j->pass->envelope->now : 0;

    if (malformed != NULL)
        conclude(j, AUTH_PERMERROR, malformed);
    else if (s->algorithm == ALGORITHM_RSA_SHA1)
        conclude(j, AUTH_FAIL, "rsa-sha1 is not valid any more"); /* RFC 8301 3.1 */
    else if (s->has_expiry && s->expiry + CLOCK_SKEW < now)
        conclude(j, AUTH_FAIL, "signature has expired");
    else if (s->has_time && s->time > now + CLOCK_SKEW)
        conclude(j, AUTH_POLICY, "signature is from the future");
    else
        return true;
    return false;
}

/* t=s of the key: the domain of i= is d= itself (RFC 6376 3.6.1). */
static bool is_identity_exact(const struct dkim_signature *s)
{
    char a[PATH_DOMAIN_MAX + 1], b[PATH_DOMAIN_MAX + 1];

    return s->identity.n == 0 ||
           str_eq(domain_canonical(dkim_identity_domain(s->identity), a), domain_canonical(s->domain, b));
}

static bool judge_key(struct judgement *j)
{
    const char *reason = "";
    enum auth_result result = dkim_key_ask(j->pass, &j->signature, &j->key, &reason);

    j->result->key_bits = j->key.bits;
    j->result->is_testing = j->key.is_testing;
    if (result != AUTH_PASS)
        conclude(j, result, reason);
    else if (j->key.is_strict && !is_identity_exact(&j->signature))
        conclude(j, AUTH_PERMERROR, "i= is below d=, which the key does not allow");
    else
        return true;
    return false;
}

static void fill_job(struct judgement *j, struct signature_job *job, struct str signature)
{
    job->is_ed25519 = j->key.is_ed25519;
    job->key = j->key.octets;
    job->signature = signature;
    dkim_header_digest(j->pass->message->header, j->field, &j->signature, job->digest);
}

/* b= is longer than any key of ours makes it, or there is no room. */
static void conclude_no_octets(struct judgement *j)
{
    size_t octets = 0;

    if (base64_size(j->signature.signature, &octets) && octets > RSA_SIGNATURE_MAX)
        conclude(j, AUTH_FAIL, "signature did not verify");
    else
        conclude(j, AUTH_PERMERROR, "beyond our limits");
}

static void ask_ahead(struct judgement *j);

/* The mathematics over the header, which somebody else does. */
static bool judge_signature(struct judgement *j)
{
    struct pass *pass = j->pass;
    struct str signature = base64_read(j->signature.signature, RSA_SIGNATURE_MAX, pass->arena);
    struct str name = arena_printf(pass->arena, "dkim %u", j->number);
    struct signature_job *job = NULL;
    const struct fact *fact;

    if (name.p == NULL || signature.p == NULL) {
        conclude_no_octets(j);
        return false;
    }
    fact = pass_verify(pass, name, &job);
    if (job != NULL)
        fill_job(j, job, signature);
    if (fact == NULL) {
        ask_ahead(j);
        return false;
    }
    if (fact->state == FACT_OK && str_eq(fact->value[0], STR("pass")))
        return true;
    if (fact->state == FACT_OK)
        conclude(j, AUTH_FAIL, "signature did not verify");
    else
        conclude_unknown(j, fact->state, "signature was not verified in time");
    return false;
}

/* ---- the body ---- */

static bool said_fail(const struct fact *fact)
{
    return fact != NULL && fact->state == FACT_OK && str_eq(fact->value[0], STR("fail"));
}

/* What a streamed body may contradict: the body hash, and that l= covers the whole body. Each has its own memory. */
struct past {
    struct str hash, whole; /* keys; the second is empty without l= */
};

static struct past past_keys(struct judgement *j)
{
    struct past past = { .hash = dkim_past_key(&j->signature, j->pass->arena), .whole = { NULL, 0 } };

    if (j->signature.has_limit)
        past.whole = arena_printf(j->pass->arena, "%.*s whole", STR_ARG(past.hash));
    return past;
}

static bool ask_past(struct judgement *j, struct str key, bool *contradicted)
{
    const struct fact *fact = key.n > 0 ? pass_ask(j->pass, ASK_PAST, key) : NULL;

    *contradicted = said_fail(fact);
    return fact != NULL || key.n == 0;
}

/* While the mathematics is under way: what presume_body will want to know, so that no pass is for that alone. */
static void ask_ahead(struct judgement *j)
{
    struct past past = past_keys(j);
    bool contradicted;

    if (j->pass->stage == AT_END)
        return;
    ask_past(j, past.hash, &contradicted);
    ask_past(j, past.whole, &contradicted);
}

/* AT_HEADERS. Without an answer, or without a memory, the body is taken for right. */
static void presume_body(struct judgement *j)
{
    struct past past = past_keys(j);
    bool hash_failed, was_partial;
    bool is_known = ask_past(j, past.hash, &hash_failed);

    if (!ask_past(j, past.whole, &was_partial) || !is_known)
        return;
    j->result->is_presumed = j->result->best_is_pass = true;
    j->result->is_partial = was_partial;
    if (hash_failed)
        conclude(j, AUTH_FAIL, "body hash did not verify");
    else
        conclude(j, AUTH_PASS, "");
}

/* Says what to remember, or to forget when a memory turned out wrong. Whether the body was streamed is known to the
 * session.
 */
static void note_past(struct judgement *j, struct str key, bool contradicted)
{
    struct question q = { ASK_PAST, key };
    const struct fact *fact = j->pass->facts != NULL && key.n > 0 ? facts_find(j->pass->facts, q) : NULL;

    if (key.n > 0 && (contradicted || said_fail(fact)))
        pass_effect(j->pass, ASK_PAST, key, contradicted);
}

static bool is_same_hash(struct str a, struct str b)
{
    char room[2][SHA256_SIZE + 32];
    struct arena arena[2];

    arena_init(&arena[0], room[0], sizeof room[0]);
    arena_init(&arena[1], room[1], sizeof room[1]);
    a = base64_read(a, SHA256_SIZE, &arena[0]);
    b = base64_read(b, SHA256_SIZE, &arena[1]);
    return a.n == SHA256_SIZE && str_eq(a, b);
}

/* AT_END. RFC 6376 3.5: l= beyond the body is an error (ATTACKS H01). */
static void compare_body(struct judgement *j)
{
    const struct dkim_signature *s = &j->signature;
    char room[BODY_HASH_NAME_MAX];
    struct str name = body_hash_name(s->body_relaxed, s->has_limit, s->limit, room);
    const struct fact *fact = pass_ask(j->pass, ASK_BODY, name);
    struct past past = past_keys(j);
    unsigned long long length;
    bool is_right;

    if (fact == NULL)
        return;
    if (fact->state != FACT_OK || fact->n != 2 || !str_to_u64(fact->value[1], UINT64_MAX, &length)) {
        conclude_unknown(j, fact->state, "body hash is not known");
        return;
    }
    is_right = is_same_hash(fact->value[0], s->body_hash) && !(s->has_limit && s->limit > length);
    j->result->is_partial = is_right && s->has_limit && s->limit < length;
    if (s->has_limit && s->limit > length)
        conclude(j, AUTH_PERMERROR, "l= is longer than the body");
    else if (is_right)
        conclude(j, AUTH_PASS, "");
    else
        conclude(j, AUTH_FAIL, "body hash did not verify");
    note_past(j, past.hash, !is_right);
    note_past(j, past.whole, j->result->is_partial);
}

static void judge(struct judgement *j)
{
    const char *malformed = dkim_signature_read(j->field, SIGNATURE_DKIM, &j->signature);

    describe(j);
    if (!judge_field(j, malformed) || !judge_key(j) || !judge_signature(j))
        return;
    if (j->pass->stage == AT_END)
        compare_body(j);
    else
        presume_body(j);
}

/* ---- for people ---- */

/* "signature 1 by example.org, selector s1, 2048 bits: body hash did not verify". Only names that have been found to be
 * names are shown.
 */
static struct str explain(const struct judgement *j)
{
    const struct dkim_result *r = j->result;
    struct arena *arena = j->pass->arena;
    struct str who = STR(""), bits = STR("");
    char room[PATH_DOMAIN_MAX + 1];
    struct str selector = domain_canonical(r->selector, room);
    const char *notes = r->is_partial ? ", which leaves a part of the body unsigned" : "";

    if (domain_is_valid(r->domain) && domain_is_valid(selector))
        who = arena_printf(arena, " by %.*s, selector %.*s", STR_ARG(r->domain), STR_ARG(selector));
    if (r->key_bits > 0)
        bits = arena_printf(arena, ", %u bits", r->key_bits);
    return arena_printf(arena, "signature %u%.*s%.*s%s%s%.*s%s%s", j->number, STR_ARG(who), STR_ARG(bits),
                        r->is_testing ? ", key in test mode" : "", r->reason.n > 0 ? ": " : "", STR_ARG(r->reason),
                        notes, r->is_presumed ? " (body still to come)" : "");
}

static void find_others(struct pass *pass, const struct authentication *auth)
{
    if (auth->dkim_ignored > 0)
        pass_find(pass, &check_dkim, "policy",
                  arena_printf(pass->arena, "%llu more signatures were not looked at",
                               (unsigned long long)auth->dkim_ignored));
    else if (auth->dkim_n == 0)
        pass_find(pass, &check_dkim, "none", STR("message is not signed"));
}

static void run(struct pass *pass)
{
    struct authentication *auth = &pass->outcome->auth;
    uint64_t most =
        pass->policy->dkim.signatures < DKIM_SIGNATURES_MAX ? pass->policy->dkim.signatures : DKIM_SIGNATURES_MAX;
    struct str rest = pass->message->header;
    struct header_field field;

    if (auth->is_exempt || !pass->policy->dkim.check)
        return;
    while (header_next_anywhere(&rest, &field)) {
        struct judgement j = { .pass = pass, .field = &field };

        if (!header_is(&field, STR("DKIM-Signature")))
            continue;
        if (auth->dkim_n == most) {
            auth->dkim_ignored++;
            continue;
        }
        j.result = &auth->dkim[auth->dkim_n++];
        j.number = (unsigned)auth->dkim_n;
        judge(&j);
        pass_find(pass, &check_dkim, auth_result_name(j.result->result), explain(&j));
    }
    find_others(pass, auth);
}

#define DKIM(field) offsetof(struct policy, dkim.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "dkim", .key = "check", .type = OPTION_BOOL, .offset = DKIM(check), .preset = "yes",
      .help = "no: signatures are not verified, and nothing is said about them. Mail that only DKIM authenticates then "
              "fails DMARC." },
    { .section = "dkim", .key = "signatures", .type = OPTION_NUMBER, .offset = DKIM(signatures), .preset = "5",
      .min = 1, .max = DKIM_SIGNATURES_MAX, .unit = "signatures",
      .help = "How many signatures of a message are verified, from the top; each costs a DNS query. The others count "
              "as not there." },
    { .section = "dkim", .key = "min_bits", .type = OPTION_NUMBER, .offset = DKIM(min_bits), .preset = "1024",
      .min = RSA_BITS_MIN, .max = RSA_BITS_MAX, .unit = "bits",
      .help = "The shortest RSA key that is accepted. RFC 8301 forbids less than 1024 and advises signers to use "
              "2048." },
    { .section = "dkim", .key = "accept_partial", .type = OPTION_BOOL, .offset = DKIM(accept_partial), .preset = "no",
      .help = "Let DMARC take a signature that leaves the end of the body unsigned (l=). Anybody may have written that "
              "end." },
};
/* clang-format on */

const struct check check_dkim = {
    .name = "dkim",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help =
        "Signatures of the domains a message passed through (RFC 6376). What they come to is written into the message "
        "and handed to DMARC; nothing is refused for it here.",
};
