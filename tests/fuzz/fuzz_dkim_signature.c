/* Signature fields, and the check over a header section that has them.
 *
 * The input is a header section. Whatever a field says, what was read of it lies within it, and a field that is well-formed
 * keeps the promises of dkim.h. The check over it (keys that exist, signatures that verify) must decide, the same way
 * twice, and never refuse.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/body_hash.h"
#include "policy/dkim.h"
#include "policy/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim)
{
    if (!claim)
        abort();
}

static void must_lie_within(struct str part, struct str whole)
{
    must(part.p == NULL || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void must_be_good(const struct dkim_signature *s)
{
    size_t octets;

    must(domain_check(s->domain, PATH_UTF8) == PATH_OK && domain_check(s->selector, PATH_UTF8) == PATH_OK);
    must(base64_size(s->signature, &octets) && octets > 0);
    must(s->algorithm != ALGORITHM_UNKNOWN);
    if (s->kind == SIGNATURE_SEAL)
        return;
    must(colon_list_holds(s->header_names, STR("from")));
    must(s->algorithm == ALGORITHM_RSA_SHA1 || (base64_size(s->body_hash, &octets) && octets == SHA256_SIZE));
    must(!s->has_time || !s->has_expiry || s->time < s->expiry);
}

static void read_field(struct str header, const struct header_field *field, enum signature_kind kind)
{
    struct dkim_signature s;
    const char *why = dkim_signature_read(field, kind, &s);
    const struct str parts[] = { s.algorithm_text, s.domain,    s.selector, s.identity, s.header_names,
                                 s.body_hash,      s.signature, s.b_text,   s.chain };
    uint8_t digest[2][SHA256_SIZE];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        must_lie_within(parts[i], field->value);
    must(kind == SIGNATURE_DKIM || s.instance <= ARC_SETS_MAX);
    if (why != NULL)
        return;
    must_be_good(&s);
    for (int i = 0; i < 2; i++)
        dkim_header_digest(header, field, &s, digest[i]);
    must(memcmp(digest[0], digest[1], SHA256_SIZE) == 0);
}

static void evaluate(struct str header)
{
    static const struct check *const table[] = { &check_dkim };
    static const struct policy policy = { .dkim = { .signatures = 5, .min_bits = 1024 } };
    static struct fact room[64];
    static char facts_memory[16384], memory[32768];
    static struct outcome outcome;
    struct envelope envelope = { .now = 1600000000 };
    struct message message = { header, header.n };
    struct str key = STR("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), pass = STR("pass");
    struct body_hashes hashes;
    struct facts facts;
    struct arena arena;

    facts_init(&facts, room, 64, facts_memory, sizeof facts_memory);
    body_hashes_begin(&hashes, header, 5);
    body_hashes_add(&hashes, STR("Hi.\r\n"));
    body_hashes_end(&hashes, &facts);
    for (int round = 0; round < 8; round++) {
        arena_init(&arena, memory, sizeof memory);
        policy_evaluate_with(table, 1, &policy, round < 4 ? AT_HEADERS : AT_END, &envelope, &message, &facts, &arena,
                             &outcome);
        must(outcome.questions <= 10 && outcome.jobs <= 5);
        for (size_t i = 0; i < outcome.questions; i++)
            facts_answer(&facts, outcome.question[i], outcome.question[i].kind == ASK_TXT ? FACT_OK : FACT_NODATA, &key,
                         1);
        for (size_t i = 0; i < outcome.jobs; i++)
            facts_answer(&facts, (struct question){ ASK_SIG, outcome.job[i].name }, FACT_OK, &pass, 1);
    }
    must(outcome.decided && outcome.verdict.action == ACTION_ACCEPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str header = { size > 0 ? (const char *)data : nothing, size };
    struct header_field field;

    for (struct str rest = header; header_next(&rest, &field);) {
        read_field(header, &field, SIGNATURE_DKIM);
        read_field(header, &field, SIGNATURE_AMS);
        read_field(header, &field, SIGNATURE_SEAL);
    }
    evaluate(header);
    return 0;
}
