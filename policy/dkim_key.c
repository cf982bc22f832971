/* Key records (RFC 6376 3.6.1, 6.1.2; RFC 8301 3.2; RFC 8463 4): the TXT record at selector._domainkey.domain. */
#include "dkim.h"
#include "path.h"

enum { TAG_V, TAG_H, TAG_K, TAG_P, TAG_S, TAG_T, TAGS };

static const char *const tag_names[TAGS] = {
    [TAG_V] = "v", [TAG_H] = "h", [TAG_K] = "k", [TAG_P] = "p", [TAG_S] = "s", [TAG_T] = "t",
};

enum { KEY_OCTETS_MAX = 4096 /* of p=, to be told how long it is */ };

static enum auth_result refuse(enum auth_result result, const char *why, const char **reason)
{
    *reason = why;
    return result;
}

static bool has(const struct tag *tag)
{
    return tag->name.p != NULL;
}

/* ---- one record ---- */

/* 3.6.1: v= is DKIM1 and comes first, if it comes at all. */
static bool is_version_good(struct str record, const struct tag *version)
{
    struct tag first;

    return !has(version) ||
           (str_eq(version->value, STR("DKIM1")) && tag_next(&record, &first) && first.name.p == version->name.p);
}

/* What a record says before its key is looked at; NULL when it may be used for this signature. */
static const char *judge_record(struct str record, const struct tag *tag, bool is_ed25519)
{
    struct str type = has(&tag[TAG_K]) ? tag[TAG_K].value : STR("rsa");

    if (!is_version_good(record, &tag[TAG_V]))
        return "key record is not of DKIM1";
    if (!has(&tag[TAG_P]))
        return "key record has no key";
    if (!str_eq(type, is_ed25519 ? STR("ed25519") : STR("rsa")))
        return "key is not of the signature's type";
    if (has(&tag[TAG_H]) && !colon_list_holds(tag[TAG_H].value, STR("sha256")))
        return "key is not for SHA-256";
    if (has(&tag[TAG_S]) && !colon_list_holds(tag[TAG_S].value, STR("*")) &&
        !colon_list_holds(tag[TAG_S].value, STR("email")))
        return "key is not for mail";
    return tag[TAG_P].value.n == 0 ? "key is revoked" : NULL;
}

/* RFC 8463 4: the 32 octets as they are. */
static enum auth_result judge_ed25519(const struct dkim_key *key, const char **reason)
{
    return key->octets.n == ED25519_KEY ? AUTH_PASS : refuse(AUTH_PERMERROR, "key is not an Ed25519 key", reason);
}

/* Before any mathematics (ATTACKS H03, H04). RFC 8301 3.2: shorter ones are never valid, and up to 4096 bits must be
 * taken. An even exponent belongs to no RSA key.
 */
static enum auth_result judge_rsa(struct dkim_key *key, uint64_t min_bits, const char **reason)
{
    struct rsa_key rsa;

    if (!rsa_key_read(key->octets, &rsa))
        return refuse(AUTH_PERMERROR, "key is not an RSA key", reason);
    key->bits = rsa.bits;
    if (rsa.bits < RSA_BITS_MIN || rsa.bits < min_bits)
        return refuse(AUTH_POLICY, "key is too short", reason);
    if (rsa.bits > RSA_BITS_MAX || key->octets.n > RSA_DER_MAX)
        return refuse(AUTH_POLICY, "key is too long", reason);
    if (rsa.exponent < 3 || rsa.exponent % 2 == 0)
        return refuse(AUTH_POLICY, "key has an unusual exponent", reason);
    return AUTH_PASS;
}

static const char *why_no_octets(struct str text)
{
    size_t octets;

    return base64_size(text, &octets) ? "the key is beyond our limits" : "key is not base64";
}

static enum auth_result read_record(struct pass *pass, struct str record, struct dkim_key *key, const char **reason)
{
    bool is_ed25519 = key->is_ed25519;
    struct tag tag[TAGS];
    const char *why = tags_read(record, tag_names, TAGS, tag);

    *key = (struct dkim_key){ .is_ed25519 = is_ed25519 };
    if (why != NULL)
        return refuse(AUTH_PERMERROR, "key record is malformed", reason);
    why = judge_record(record, tag, is_ed25519);
    if (why != NULL)
        return refuse(AUTH_PERMERROR, why, reason);
    key->is_testing = colon_list_holds(tag[TAG_T].value, STR("y"));
    key->is_strict = colon_list_holds(tag[TAG_T].value, STR("s"));
    key->octets = base64_read(tag[TAG_P].value, KEY_OCTETS_MAX, pass->arena);
    if (key->octets.p == NULL)
        return refuse(AUTH_PERMERROR, why_no_octets(tag[TAG_P].value), reason);
    return is_ed25519 ? judge_ed25519(key, reason) : judge_rsa(key, pass->policy->dkim.min_bits, reason);
}

/* ---- the answer ---- */

/* Several records are undefined (RFC 6376 3.6.2.2), and 6.1.2 lets the verifier choose. DNS shuffles them, so the choice
 * must not hang on their order: one of them that is fit is taken, and two that are fit are none.
 */
static enum auth_result read_records(struct pass *pass, const struct fact *fact, struct dkim_key *key,
                                     const char **reason)
{
    struct dkim_key candidate = { .is_ed25519 = key->is_ed25519 };
    enum auth_result result;
    size_t fit = 0;

    if (fact->n == 1)
        return read_record(pass, fact->value[0], key, reason);
    for (size_t i = 0; i < fact->n; i++) {
        size_t used = pass->arena->used;

        result = read_record(pass, fact->value[i], &candidate, reason);
        if (result != AUTH_PASS)
            pass->arena->used = used;
        else if (fit++ == 0)
            *key = candidate;
    }
    if (fit == 1)
        return AUTH_PASS;
    return refuse(AUTH_PERMERROR, fit == 0 ? "several key records, none fit for use" : "several key records", reason);
}

/* "selector._domainkey.domain" (3.6.2.1), in canonical form; empty when that is longer than a name may be. */
static struct str key_name(const struct dkim_signature *s, char out[PATH_DOMAIN_MAX + 1])
{
    char room[2 * PATH_DOMAIN_MAX + 16];
    struct str parts[] = { s->selector, STR("._domainkey."), s->domain };
    size_t n = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].n > sizeof room - n)
            return str_from(NULL, 0);
        memcpy(room + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    return domain_canonical(str_from(room, n), out);
}

enum auth_result dkim_key_ask(struct pass *pass, const struct dkim_signature *s, struct dkim_key *key,
                              const char **reason)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str name = key_name(s, room);
    const struct fact *fact;

    *key = (struct dkim_key){ .is_ed25519 = s->algorithm == ALGORITHM_ED25519_SHA256 };
    if (name.n == 0)
        return refuse(AUTH_PERMERROR, "the key's name is too long", reason);
    fact = pass_ask(pass, ASK_TXT, name);
    if (fact == NULL)
        return AUTH_PENDING;
    switch (fact->state) {
    case FACT_OK: return read_records(pass, fact, key, reason);
    case FACT_NODATA:
    case FACT_NXDOMAIN: return refuse(AUTH_PERMERROR, "no key", reason);
    case FACT_LIMIT: key->is_unasked = true; return refuse(AUTH_PERMERROR, "the key is beyond our limits", reason);
    case FACT_TEMP:
    case FACT_UNKNOWN: break;
    }
    return refuse(AUTH_TEMPERROR, "no answer to the query for the key", reason);
}
