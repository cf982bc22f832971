#include "spf_record.h"

#include "spf_macro.h"

static const char VERSION[] = "v=spf1";

bool spf_record_is(struct str text)
{
    size_t n = sizeof VERSION - 1;

    return str_istarts(text, str_of(VERSION)) && (text.n == n || text.p[n] == ' ');
}

/* ---- prefix lengths ---- */

/* Cuts a prefix length behind `slashes` slashes off the end of `*text`, when one stands there. False when it is none
 * that is allowed: too long, or with a leading zero (RFC 7208 5.6).
 */
static bool cut_bits(struct str *text, size_t slashes, unsigned max, unsigned *bits)
{
    size_t at = text->n;
    struct str digits;
    unsigned long long value;

    while (at > 0 && ascii_is_digit(text->p[at - 1]))
        at--;
    if (at == text->n || at < slashes)
        return true;
    for (size_t i = 1; i <= slashes; i++)
        if (text->p[at - i] != '/')
            return true;
    digits = str_skip(*text, at);
    if ((digits.n > 1 && digits.p[0] == '0') || !str_to_u64(digits, max, &value))
        return false;
    *bits = (unsigned)value;
    text->n = at - slashes;
    return true;
}

/* [ ip4-cidr-length ] [ "/" ip6-cidr-length ] */
static bool cut_dual_bits(struct str *text, struct spf_term *term)
{
    return cut_bits(text, 2, 128, &term->bits6) && cut_bits(text, 1, 32, &term->bits4);
}

/* ---- arguments ---- */

/* What may follow the name of a term. */
enum argument {
    NOTHING,
    DOMAIN_SPEC,
    OPTIONAL_DOMAIN_SPEC,
    OPTIONAL_DOMAIN_SPEC_AND_BITS,
    NETWORK4,
    NETWORK6,
    MACRO_STRING
};

static bool read_spec(struct str argument, bool is_optional, struct spf_term *term)
{
    if (argument.n == 0)
        return is_optional;
    if (argument.p[0] != ':')
        return false;
    term->spec = str_skip(argument, 1);
    return spf_domain_spec_is_valid(term->spec);
}

/* The host's bits may be set: only the prefix is compared (RFC 7208 5.6). */
static bool read_network(struct str argument, bool is_v6, struct spf_term *term)
{
    if (argument.n == 0 || argument.p[0] != ':')
        return false;
    argument = str_skip(argument, 1);
    if (!cut_bits(&argument, 1, is_v6 ? 128 : 32, is_v6 ? &term->bits6 : &term->bits4))
        return false;
    return (str_find(argument, ':') < argument.n) == is_v6 && address_parse(argument, &term->address);
}

static bool read_argument(struct str argument, enum argument form, struct spf_term *term)
{
    switch (form) {
    case NOTHING: return argument.n == 0;
    case DOMAIN_SPEC: return read_spec(argument, false, term);
    case OPTIONAL_DOMAIN_SPEC: return read_spec(argument, true, term);
    case OPTIONAL_DOMAIN_SPEC_AND_BITS: return cut_dual_bits(&argument, term) && read_spec(argument, true, term);
    case NETWORK4: return read_network(argument, false, term);
    case NETWORK6: return read_network(argument, true, term);
    default: return false;
    }
}

/* ---- terms ---- */

static const struct {
    struct str name;
    enum spf_term_kind kind;
    enum argument form;
} mechanisms[] = {
    { STR_INIT("all"), SPF_ALL, NOTHING },
    { STR_INIT("include"), SPF_INCLUDE, DOMAIN_SPEC },
    { STR_INIT("a"), SPF_A, OPTIONAL_DOMAIN_SPEC_AND_BITS },
    { STR_INIT("mx"), SPF_MX, OPTIONAL_DOMAIN_SPEC_AND_BITS },
    { STR_INIT("ptr"), SPF_PTR, OPTIONAL_DOMAIN_SPEC },
    { STR_INIT("ip4"), SPF_IP4, NETWORK4 },
    { STR_INIT("ip6"), SPF_IP6, NETWORK6 },
    { STR_INIT("exists"), SPF_EXISTS, DOMAIN_SPEC },
};

static bool take_qualifier(struct str *text, enum auth_result *qualifier)
{
    static const struct {
        char sign;
        enum auth_result result;
    } signs[] = {
        { '+', AUTH_PASS },
        { '-', AUTH_FAIL },
        { '~', AUTH_SOFTFAIL },
        { '?', AUTH_NEUTRAL },
    };

    *qualifier = AUTH_PASS;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (text->n > 0 && text->p[0] == signs[i].sign) {
            *qualifier = signs[i].result;
            *text = str_skip(*text, 1);
            return true;
        }
    return false;
}

/* name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ): its length. Names of mechanisms are shorter, not wider. */
static size_t name_length(struct str text)
{
    size_t n = 0;

    while (n < text.n) {
        char c = ascii_lower(text.p[n]);

        if (!(c >= 'a' && c <= 'z') && (n == 0 || (!ascii_is_digit(c) && c != '-' && c != '_' && c != '.')))
            break;
        n++;
    }
    return n;
}

static bool read_mechanism(struct str name, struct str argument, struct spf_term *term)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (str_ieq(name, mechanisms[i].name)) {
            term->kind = mechanisms[i].kind;
            return read_argument(argument, mechanisms[i].form, term);
        }
    return false;
}

/* A known name is never taken for an unknown modifier, whatever its value (RFC 7208 12: "where name is not any known
 * modifier").
 */
static bool read_modifier(struct str name, struct str value, struct spf_term *term)
{
    term->kind = str_ieq(name, STR("redirect")) ? SPF_REDIRECT : str_ieq(name, STR("exp")) ? SPF_EXP : SPF_MODIFIER;
    if (term->kind == SPF_MODIFIER)
        return spf_macro_string_is_valid(value, SPF_IN_TERM);
    term->spec = value;
    return spf_domain_spec_is_valid(value);
}

static bool read_term(struct str text, struct spf_term *term)
{
    bool is_qualified;
    size_t n;

    *term = (struct spf_term){ .text = text, .bits4 = 32, .bits6 = 128 };
    is_qualified = take_qualifier(&text, &term->qualifier);
    n = name_length(text);
    if (n > 0 && n < text.n && text.p[n] == '=' && !is_qualified)
        return read_modifier(str_from(text.p, n), str_skip(text, n + 1), term);
    return read_mechanism(str_from(text.p, n), str_skip(text, n), term);
}

enum spf_reading spf_term_next(struct str *rest, struct spf_term *term)
{
    size_t n;

    while (rest->n > 0 && rest->p[0] == ' ')
        *rest = str_skip(*rest, 1);
    if (rest->n == 0)
        return SPF_END;
    n = str_find(*rest, ' ');
    if (!read_term(str_from(rest->p, n), term))
        return SPF_SYNTAX;
    *rest = str_skip(*rest, n);
    return SPF_TERM;
}

/* RFC 7208 6: redirect and exp must not appear more than once. */
static bool note_modifier(struct str spec, struct str *kept)
{
    bool is_first = kept->n == 0;

    *kept = spec;
    return is_first;
}

static bool note_term(const struct spf_term *term, struct spf_record *record)
{
    switch (term->kind) {
    case SPF_ALL: record->has_all = true; return true;
    case SPF_REDIRECT: return note_modifier(term->spec, &record->redirect);
    case SPF_EXP: return note_modifier(term->spec, &record->exp);
    default: return true;
    }
}

bool spf_record_parse(struct str text, struct spf_record *record, struct str *bad)
{
    enum spf_reading reading;
    struct spf_term term;
    struct str rest = str_skip(text, sizeof VERSION - 1);

    *record = (struct spf_record){ .terms = rest };
    while ((reading = spf_term_next(&rest, &term)) == SPF_TERM)
        if (!note_term(&term, record)) {
            reading = SPF_SYNTAX;
            break;
        }
    *bad = reading == SPF_SYNTAX ? term.text : STR("");
    return reading == SPF_END;
}
