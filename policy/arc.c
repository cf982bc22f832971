/* Reading chains. The three fields of a set are found by name and instance alone; where in the header they stand means
 * nothing (RFC 8617 4.2.1), so nobody gains by moving them.
 *
 * The results that a sealer tells of are free text until a trusted key has signed them, and even then others had a hand
 * in it: addresses, names, comments. So that text is read by its grammar or not at all.
 */
#include "arc.h"

/* clang-format off */
static const struct str names[ARC_PARTS] = {
    [ARC_RESULTS] = STR_INIT("ARC-Authentication-Results"),
    [ARC_MESSAGE_SIGNATURE] = STR_INIT("ARC-Message-Signature"),
    [ARC_SEAL] = STR_INIT("ARC-Seal"),
};
/* clang-format on */

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Keyword of RFC 5321 4.1.2, and "_", which names of vendors' own methods have. */
static bool is_keyword_octet(char c)
{
    return ascii_is_digit(c) || ascii_is_letter(c) || c == '-' || c == '_';
}

/* Takes `c` off the front, with CFWS before and after it. */
static bool take(struct str *rest, char c)
{
    struct str s = header_skip_cfws(*rest);

    if (s.n == 0 || s.p[0] != c)
        return false;
    *rest = header_skip_cfws(str_skip(s, 1));
    return true;
}

static struct str take_keyword(struct str *rest)
{
    struct str word = { rest->p, 0 };

    while (word.n < rest->n && is_keyword_octet(rest->p[word.n]))
        word.n++;
    *rest = str_skip(*rest, word.n);
    return word;
}

static struct str take_digits(struct str *rest)
{
    struct str word = { rest->p, 0 };

    while (word.n < rest->n && ascii_is_digit(rest->p[word.n]))
        word.n++;
    *rest = str_skip(*rest, word.n);
    return word;
}

/* ---- instances, RFC 8617 3.9, 4.2.1 ---- */

/* position: 1 to 50; 0 when it is none. Without leading zeros, so that each instance has one spelling. */
static unsigned position(struct str text)
{
    unsigned long long n;

    return str_to_u64(text, ARC_SETS_MAX, &n) && text.p[0] != '0' ? (unsigned)n : 0;
}

/* Takes "i=1;" off the front of an ARC-Authentication-Results. */
static unsigned take_instance(struct str *rest)
{
    struct str digits;

    if (!take(rest, 'i') || !take(rest, '='))
        return 0;
    digits = take_digits(rest);
    return take(rest, ';') ? position(digits) : 0;
}

/* The i= of a tag list, wherever it stands: the grammar has it in front, many sealers do not. `*why` is set when the list
 * is none.
 */
static unsigned tag_instance(struct str list, const char **why)
{
    static const char *const name[] = { "i" };
    struct tag i;

    *why = tags_read(list, name, 1, &i);
    return *why == NULL && i.name.p != NULL ? position(i.value) : 0;
}

/* ---- sets ---- */

static enum arc_part part_of(const struct header_field *field)
{
    enum arc_part part = ARC_RESULTS;

    while (part < ARC_PARTS && !header_is(field, names[part]))
        part++;
    return part;
}

static bool set_fault(struct arc_fault *fault, enum arc_part part, unsigned instance, const char *why)
{
    *fault = (struct arc_fault){ part, instance, why };
    return false;
}

static bool add_field(struct arc_chain *chain, enum arc_part part, const struct header_field *field,
                      struct arc_fault *fault)
{
    struct str value = field->value;
    const char *why = NULL;
    unsigned instance = part == ARC_RESULTS ? take_instance(&value) : tag_instance(value, &why);
    struct header_field *place = &chain->set[instance].field[part];

    if (instance == 0)
        return set_fault(fault, part, 0, why != NULL ? why : "no instance from 1 to 50 (i=)");
    if (place->raw.p != NULL)
        return set_fault(fault, part, instance, "is there twice");
    *place = *field;
    if (instance > chain->sets)
        chain->sets = instance;
    return true;
}

bool arc_is_there(struct str header)
{
    struct header_field field;

    while (header_next_anywhere(&header, &field))
        if (part_of(&field) < ARC_PARTS)
            return true;
    return false;
}

bool arc_collect(struct str header, struct arc_chain *chain, struct arc_fault *fault)
{
    struct header_field field;

    *chain = (struct arc_chain){ 0 };
    while (header_next_anywhere(&header, &field)) {
        enum arc_part part = part_of(&field);

        if (part < ARC_PARTS && !add_field(chain, part, &field, fault))
            return false;
    }
    return true;
}

/* RFC 8617 5.2 step 3 A and B: each of the sets 1..N is whole. */
static bool are_sets_whole(const struct arc_chain *chain, struct arc_fault *fault)
{
    for (unsigned i = 1; i <= chain->sets; i++)
        for (enum arc_part part = ARC_RESULTS; part < ARC_PARTS; part++)
            if (chain->set[i].field[part].raw.p == NULL)
                return set_fault(fault, part, i, "is missing");
    return true;
}

/* Step 3 C: what each seal says of the chain below it. Values are case-sensitive (RFC 6376 3.2). */
static bool is_seal_right(struct arc_chain *chain, unsigned instance, struct arc_fault *fault)
{
    struct arc_set *set = &chain->set[instance];
    const char *why = dkim_signature_read(&set->field[ARC_SEAL], SIGNATURE_SEAL, &set->seal);

    if (why != NULL)
        return set_fault(fault, ARC_SEAL, instance, why);
    if (set->seal.algorithm == ALGORITHM_RSA_SHA1) /* RFC 8301 3.1 */
        return set_fault(fault, ARC_SEAL, instance, "is signed with rsa-sha1");
    if (instance == 1 && !str_eq(set->seal.chain, STR("none")))
        return set_fault(fault, ARC_SEAL, instance, "the first seal must say cv=none");
    if (instance > 1 && !str_eq(set->seal.chain, STR("pass")))
        return set_fault(fault, ARC_SEAL, instance, "must say cv=pass");
    return true;
}

/* Step 2: the newest sealer found the chain broken already. */
static bool is_given_up(struct arc_chain *chain, struct arc_fault *fault)
{
    struct arc_set *newest = &chain->set[chain->sets];

    if (newest->field[ARC_SEAL].raw.p == NULL)
        return false;
    dkim_signature_read(&newest->field[ARC_SEAL], SIGNATURE_SEAL, &newest->seal);
    if (!str_eq(newest->seal.chain, STR("fail")))
        return false;
    set_fault(fault, ARC_SEAL, chain->sets, "says that the chain was broken before (cv=fail)");
    return true;
}

bool arc_structure(struct arc_chain *chain, struct arc_fault *fault)
{
    if (is_given_up(chain, fault) || !are_sets_whole(chain, fault))
        return false;
    for (unsigned i = 1; i <= chain->sets; i++)
        if (!is_seal_right(chain, i, fault))
            return false;
    return true;
}

struct str arc_fault_print(const struct arc_fault *fault, struct arena *arena)
{
    struct str name = names[fault->part];

    if (fault->instance == 0)
        return arena_printf(arena, "%.*s: %s", STR_ARG(name), fault->why);
    return arena_printf(arena, "%.*s i=%u: %s", STR_ARG(name), fault->instance, fault->why);
}

/* ---- what a seal signs ---- */

void arc_hash_begin(struct arc_hash *hash)
{
    hash->before.is_relaxed = true; /* the only one, RFC 8617 4.1.3 */
    sha256_begin(&hash->before.sha);
    hash->next = 1;
}

void arc_hash_seal(struct arc_hash *hash, const struct arc_chain *chain, unsigned instance, uint8_t digest[SHA256_SIZE])
{
    const struct arc_set *set = &chain->set[instance];
    struct header_hash whole;

    for (; hash->next < instance; hash->next++)
        for (enum arc_part part = ARC_RESULTS; part < ARC_PARTS; part++)
            header_hash_add(&hash->before, &chain->set[hash->next].field[part]);
    whole = hash->before;
    header_hash_add(&whole, &set->field[ARC_RESULTS]);
    header_hash_add(&whole, &set->field[ARC_MESSAGE_SIGNATURE]);
    header_hash_add_signature(&whole, &set->field[ARC_SEAL], &set->seal);
    sha256_end(&whole.sha, digest);
}

/* ---- what a sealer said, RFC 8601 2.2 ---- */

/* Where a reader stands in a text that has comments and quoted strings (RFC 5322 3.2.2, 3.2.4). */
struct lexer {
    size_t depth; /* of comments */
    bool is_quoted, is_escaped;
    bool is_bad;
};

static void lexer_step(struct lexer *lexer, char c)
{
    if (lexer->is_escaped)
        lexer->is_escaped = false;
    else if (c == '\\' && (lexer->depth > 0 || lexer->is_quoted))
        lexer->is_escaped = true;
    else if (c == '"' && lexer->depth == 0)
        lexer->is_quoted = !lexer->is_quoted;
    else if (c == '(' && !lexer->is_quoted)
        lexer->depth++;
    else if (c == ')' && !lexer->is_quoted && lexer->depth > 0)
        lexer->depth--;
    else if (((unsigned char)c < ' ' && !is_blank(c)) || c == 0x7f ||
             (lexer->depth == 0 && !lexer->is_quoted && (c == ')' || c == '\\')))
        lexer->is_bad = true;
}

static bool lexer_is_plain(const struct lexer *lexer)
{
    return lexer->depth == 0 && !lexer->is_quoted && !lexer->is_escaped;
}

/* Cuts what stands before the next ";" outside comments and quotes off the front; that ";" goes, too. False at the end,
 * and where the text cannot be read: `*is_clean` tells which.
 */
static bool take_part(struct str *rest, struct str *part, bool *is_clean)
{
    struct lexer lexer = { 0 };
    size_t n = 0;

    for (; n < rest->n && !(rest->p[n] == ';' && lexer_is_plain(&lexer)); n++)
        lexer_step(&lexer, rest->p[n]);
    *part = str_from(rest->p, n);
    *is_clean = !lexer.is_bad && lexer_is_plain(&lexer);
    if (rest->n == 0 || !*is_clean)
        return false;
    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return true;
}

/* A word ends here: nothing follows, white space or a comment. */
static bool is_word_end(struct str rest)
{
    return rest.n == 0 || is_blank(rest.p[0]) || rest.p[0] == '(';
}

/* methodspec: method ["/" version] "=" result. */
static bool take_method(struct str *rest, struct str *method, struct str *result)
{
    *rest = header_skip_cfws(*rest);
    *method = take_keyword(rest);
    if (take(rest, '/') && take_digits(rest).n == 0)
        return false;
    if (method->n == 0 || !take(rest, '='))
        return false;
    *result = take_keyword(rest);
    return result->n > 0 && is_word_end(*rest);
}

/* A value at the front: a quoted string, or what has no blank, with quoted strings in it ("a b"@example.org). */
static struct str take_value(struct str *rest)
{
    struct str value = { rest->p, 0 };
    struct lexer lexer = { 0 };

    for (; value.n < rest->n && !(lexer_is_plain(&lexer) && is_word_end(str_skip(*rest, value.n))); value.n++)
        lexer_step(&lexer, rest->p[value.n]);
    *rest = str_skip(*rest, value.n);
    return value;
}

/* One "name=value" behind a result: reasonspec, propspec ("header.from=..."), or what some sealers write between them
 * ("action=none"). `name` is that behind ptype, `ptype` is empty when there is none.
 */
static bool take_property(struct str *rest, struct str *ptype, struct str *name, struct str *value)
{
    *ptype = str_from(NULL, 0);
    *name = take_keyword(rest);
    if (take(rest, '.')) {
        *ptype = *name;
        *name = take_keyword(rest);
    }
    if (name->n == 0 || !take(rest, '='))
        return false;
    *value = take_value(rest);
    *rest = header_skip_cfws(*rest);
    return value->n > 0;
}

/* Reads what stands behind "dmarc=pass". False when it cannot be read, or tells of two author domains. */
static bool read_properties(struct str rest, struct str *from)
{
    struct str ptype, name, value;
    unsigned seen = 0;

    rest = header_skip_cfws(rest);
    while (rest.n > 0) {
        if (!take_property(&rest, &ptype, &name, &value))
            return false;
        if (str_ieq(ptype, STR("header")) && str_ieq(name, STR("from"))) {
            *from = value;
            seen++;
        }
    }
    return seen <= 1;
}

/* authserv-id [CFWS version]. Whose name it is means nothing here: the seal tells who speaks. One with a "=" is a result to
 * somebody who does not miss the authserv-id.
 */
static bool is_authserv_id(struct str part)
{
    struct str rest = header_skip_cfws(part), id = take_value(&rest);

    if (id.n == 0 || str_find(id, '=') < id.n)
        return false;
    rest = header_skip_cfws(rest);
    take_digits(&rest);
    return header_skip_cfws(rest).n == 0;
}

bool arc_said_dmarc_pass(struct str results, struct str *from)
{
    struct str part, method, result;
    unsigned passes = 0, others = 0;
    bool is_clean;

    *from = str_from(NULL, 0);
    if (take_instance(&results) == 0 || !take_part(&results, &part, &is_clean) || !is_authserv_id(part))
        return false;
    while (take_part(&results, &part, &is_clean)) {
        if (results.n == 0 && header_skip_cfws(part).n == 0)
            break; /* a last ";", which many write */
        if (!take_method(&part, &method, &result))
            return false;
        if (!str_ieq(method, STR("dmarc")))
            continue;
        if (str_ieq(result, STR("pass")) && read_properties(part, from))
            passes++;
        else
            others++;
    }
    return is_clean && passes == 1 && others == 0;
}
