/* Signature fields: DKIM-Signature (RFC 6376 3.5, 6.1.1) and the two of ARC that are made like it (RFC 8617 4.1.2,
 * 4.1.3).
 *
 * RFC 6376 6.1.1 wants them validated meticulously: a field that two readers could take for two things is no
 * signature.
 */
#include "base64.h"
#include "dkim.h"
#include "path.h"

enum { TAG_A, TAG_B, TAG_BH, TAG_C, TAG_CV, TAG_D, TAG_H, TAG_I, TAG_L, TAG_Q, TAG_S, TAG_T, TAG_V, TAG_X, TAGS };

static const char *const tag_names[TAGS] = {
    [TAG_A] = "a", [TAG_B] = "b", [TAG_BH] = "bh", [TAG_C] = "c", [TAG_CV] = "cv", [TAG_D] = "d", [TAG_H] = "h",
    [TAG_I] = "i", [TAG_L] = "l", [TAG_Q] = "q",   [TAG_S] = "s", [TAG_T] = "t",   [TAG_V] = "v", [TAG_X] = "x",
};

static const char *const missing[TAGS] = {
    [TAG_A] = "a= is missing", [TAG_B] = "b= is missing",   [TAG_BH] = "bh= is missing",
    [TAG_D] = "d= is missing", [TAG_H] = "h= is missing",   [TAG_I] = "i= is missing",
    [TAG_S] = "s= is missing", [TAG_CV] = "cv= is missing", [TAG_V] = "v= is missing",
};

#define BIT(tag) (1u << (tag))

/* Which tags each kind must have. */
static const unsigned required[] = {
    [SIGNATURE_DKIM] = BIT(TAG_V) | BIT(TAG_A) | BIT(TAG_B) | BIT(TAG_BH) | BIT(TAG_D) | BIT(TAG_H) | BIT(TAG_S),
    [SIGNATURE_AMS] = BIT(TAG_I) | BIT(TAG_A) | BIT(TAG_B) | BIT(TAG_BH) | BIT(TAG_D) | BIT(TAG_H) | BIT(TAG_S),
    [SIGNATURE_SEAL] = BIT(TAG_I) | BIT(TAG_A) | BIT(TAG_B) | BIT(TAG_D) | BIT(TAG_S) | BIT(TAG_CV),
};

/* A field being read: its tags, and what they say. */
struct reader {
    const struct tag *tag;
    struct dkim_signature *signature;
};

static bool has(const struct reader *r, int tag)
{
    return r->tag[tag].name.p != NULL;
}

static bool is_dkim(const struct reader *r)
{
    return r->signature->kind == SIGNATURE_DKIM;
}

/* ---- each tag; NULL or what is wrong with it ---- */

static const char *read_required(const struct reader *r)
{
    for (int tag = 0; tag < TAGS; tag++)
        if ((required[r->signature->kind] & BIT(tag)) != 0 && !has(r, tag))
            return missing[tag];
    return NULL;
}

/* ARC has no version: RFC 8617 4.1.2 has one ignored. */
static const char *read_version(const struct reader *r)
{
    return is_dkim(r) && !str_eq(r->tag[TAG_V].value, STR("1")) ? "v= is not 1" : NULL;
}

/* Values are case-sensitive unless their tag says otherwise (RFC 6376 3.2), and a= does not. */
static const char *read_algorithm(const struct reader *r)
{
    static const struct {
        struct str text;
        enum signature_algorithm algorithm;
    } algorithms[] = {
        { STR_INIT("rsa-sha256"), ALGORITHM_RSA_SHA256 },
        { STR_INIT("ed25519-sha256"), ALGORITHM_ED25519_SHA256 },
        { STR_INIT("rsa-sha1"), ALGORITHM_RSA_SHA1 },
    };

    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (str_eq(r->signature->algorithm_text, algorithms[i].text))
            r->signature->algorithm = algorithms[i].algorithm;
    return r->signature->algorithm == ALGORITHM_UNKNOWN ? "a= is not an algorithm we know" : NULL;
}

/* domain-name has at least two labels (RFC 6376 3.5), so that no top-level domain signs for all of its own (6.1.1);
 * U-labels as RFC 8616 5 allows.
 */
static const char *read_domain(const struct reader *r)
{
    struct str domain = r->signature->domain;

    return domain_check(domain, PATH_UTF8) == PATH_OK && str_find(domain, '.') < domain.n ? NULL
                                                                                          : "d= is not a domain name";
}

static const char *read_selector(const struct reader *r)
{
    return domain_check(r->signature->selector, PATH_UTF8) == PATH_OK ? NULL : "s= is not a selector";
}

/* The domain of i= is d= or lies under it (RFC 6376 3.5), whichever of A- and U-labels they are written in. */
static bool is_under(struct str domain, struct str parent)
{
    char a_room[PATH_DOMAIN_MAX + 1], b_room[PATH_DOMAIN_MAX + 1];

    return domain_is_within(domain_canonical(domain, a_room), domain_canonical(parent, b_room));
}

struct str dkim_domain(struct str domain, struct arena *arena)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str canonical = domain_canonical(domain, room);

    return canonical.n == 0 || str_eq(canonical, domain) ? domain : arena_copy(arena, canonical);
}

struct str dkim_identity_domain(struct str identity)
{
    size_t at = identity.n;

    while (at > 0 && identity.p[at - 1] != '@')
        at--;
    return at > 0 ? str_skip(identity, at) : str_from(NULL, 0);
}

static const char *read_identity(const struct reader *r)
{
    struct str domain = dkim_identity_domain(r->signature->identity);

    if (!is_dkim(r) || !has(r, TAG_I))
        return NULL;
    if (domain_check(domain, PATH_UTF8) != PATH_OK)
        return "i= is not an identity";
    return is_under(domain, r->signature->domain) ? NULL : "i= is not within d=";
}

/* RFC 8617 4.2.1: 1 to 50, without leading zeros by its ABNF. */
static const char *read_instance(const struct reader *r)
{
    struct str value = r->tag[TAG_I].value;
    unsigned long long instance;

    if (is_dkim(r))
        return NULL;
    if (!str_to_u64(value, ARC_SETS_MAX, &instance) || value.p[0] == '0')
        return "i= is not an instance from 1 to 50";
    r->signature->instance = (unsigned)instance;
    return NULL;
}

static const char *read_chain(const struct reader *r)
{
    static const struct str states[] = { STR_INIT("none"), STR_INIT("pass"), STR_INIT("fail") };

    if (r->signature->kind != SIGNATURE_SEAL)
        return NULL;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (str_eq(r->signature->chain, states[i]))
            return NULL;
    return "cv= is not none, pass or fail";
}

/* field-name of RFC 5322 2.2; the colon separates and the semicolon ends. */
static bool is_field_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
    return name.n > 0;
}

/* RFC 6376 3.5, 5.4: at least the From field; RFC 8617 4.1.2 means the same by "same syntax and semantics". A seal has
 * none (RFC 8617 4.1.3).
 */
static const char *read_header_names(const struct reader *r)
{
    struct str rest = r->signature->header_names, name;
    bool has_from = false;
    size_t n = 0;

    if (r->signature->kind == SIGNATURE_SEAL)
        return has(r, TAG_H) ? "h= in a seal" : NULL;
    for (; colon_list_next(&rest, &name); n++) {
        if (!is_field_name(name))
            return "h= is not a list of header fields";
        if (n == HEADER_NAMES_MAX)
            return "h= names too many header fields";
        has_from = has_from || str_ieq(name, STR("from"));
    }
    return has_from ? NULL : "h= lacks from";
}

/* The SHA-1 of an rsa-sha1 signature is looked at by nobody. */
static const char *read_body_hash(const struct reader *r)
{
    size_t octets;

    if (r->signature->kind == SIGNATURE_SEAL || r->signature->algorithm == ALGORITHM_RSA_SHA1)
        return NULL;
    return base64_size(r->signature->body_hash, &octets) && octets == SHA256_SIZE ? NULL : "bh= is not a SHA-256 hash";
}

static const char *read_signature(const struct reader *r)
{
    size_t octets;

    return base64_size(r->signature->signature, &octets) && octets > 0 ? NULL : "b= is not base64";
}

static bool read_form(struct str word, bool *is_relaxed)
{
    *is_relaxed = str_eq(word, STR("relaxed"));
    return *is_relaxed || str_eq(word, STR("simple"));
}

/* RFC 6376 3.5: "simple/simple" without one, and simple for the body where only the header's is given. Seals are
 * relaxed (RFC 8617 4.1.3).
 */
static const char *read_canonicalization(const struct reader *r)
{
    struct str value = r->tag[TAG_C].value, header = str_from(value.p, str_find(value, '/'));
    struct dkim_signature *s = r->signature;

    if (s->kind == SIGNATURE_SEAL)
        s->header_relaxed = true;
    if (s->kind == SIGNATURE_SEAL || !has(r, TAG_C))
        return NULL;
    if (!read_form(header, &s->header_relaxed))
        return "c= is not a canonicalization";
    if (header.n < value.n && !read_form(str_skip(value, header.n + 1), &s->body_relaxed))
        return "c= is not a canonicalization";
    return NULL;
}

/* RFC 6376 3.5: up to 76 digits. What 64 bits do not hold is longer than any body. */
static const char *read_limit(const struct reader *r)
{
    struct str value = r->tag[TAG_L].value;
    unsigned long long limit = UINT64_MAX;
    size_t digits = 0;

    if (r->signature->kind == SIGNATURE_SEAL || !has(r, TAG_L))
        return NULL;
    while (digits < value.n && ascii_is_digit(value.p[digits]))
        digits++;
    if (value.n == 0 || digits < value.n || digits > 76)
        return "l= is not a length";
    if (!str_to_u64(value, UINT64_MAX, &limit))
        limit = UINT64_MAX;
    r->signature->has_limit = true;
    r->signature->limit = limit;
    return NULL;
}

/* RFC 6376 3.5: methods that are not known are ignored; one must be left. */
static const char *read_query(const struct reader *r)
{
    return has(r, TAG_Q) && !colon_list_holds(r->tag[TAG_Q].value, STR("dns/txt")) ? "q= lacks dns/txt" : NULL;
}

/* RFC 6376 3.5: 1*12DIGIT */
static bool read_seconds(struct str value, uint64_t *seconds)
{
    unsigned long long number;

    if (value.n > 12 || !str_to_u64(value, UINT64_MAX, &number))
        return false;
    *seconds = number;
    return true;
}

static const char *read_times(const struct reader *r)
{
    struct dkim_signature *s = r->signature;

    s->has_time = has(r, TAG_T);
    s->has_expiry = has(r, TAG_X) && s->kind != SIGNATURE_SEAL;
    if (s->has_time && !read_seconds(r->tag[TAG_T].value, &s->time))
        return "t= is not a time";
    if (s->has_expiry && !read_seconds(r->tag[TAG_X].value, &s->expiry))
        return "x= is not a time";
    return s->has_time && s->has_expiry && s->expiry <= s->time ? "x= is not later than t=" : NULL;
}

/* ---- the field ---- */

static const char *judge(const struct reader *r)
{
    static const char *(*const readers[])(const struct reader *) = {
        read_required,  read_version,          read_algorithm, read_domain,       read_selector,
        read_identity,  read_instance,         read_chain,     read_header_names, read_body_hash,
        read_signature, read_canonicalization, read_limit,     read_query,        read_times,
    };
    const char *why = NULL;

    for (size_t i = 0; i < sizeof readers / sizeof *readers && why == NULL; i++)
        why = readers[i](r);
    return why;
}

const char *dkim_signature_read(const struct header_field *field, enum signature_kind kind, struct dkim_signature *out)
{
    struct tag tag[TAGS];
    const char *why = tags_read(field->value, tag_names, TAGS, tag);

    *out = (struct dkim_signature){
        .kind = kind,
        .algorithm_text = tag[TAG_A].value,
        .domain = tag[TAG_D].value,
        .selector = tag[TAG_S].value,
        .identity = kind == SIGNATURE_DKIM ? tag[TAG_I].value : str_from(NULL, 0),
        .header_names = tag[TAG_H].value,
        .body_hash = tag[TAG_BH].value,
        .signature = tag[TAG_B].value,
        .b_text = tag[TAG_B].text,
        .chain = tag[TAG_CV].value,
    };
    return why != NULL ? why : judge(&(struct reader){ tag, out });
}

struct str dkim_past_key(const struct dkim_signature *s, struct arena *arena)
{
    char key[64];
    size_t n = 0;

    for (size_t i = 0; i < s->signature.n && n < sizeof key; i++)
        if (base64_value(s->signature.p[i]) != BASE64_NONE)
            key[n++] = s->signature.p[i];
    return arena_copy(arena, str_from(key, n));
}
