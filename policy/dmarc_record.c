#include "dmarc.h"

/* RFC 9989 4.8, as ABNF: dmarc-record = dmarc-version *(dmarc-sep dmarc-tag) [dmarc-sep]. */

struct dmarc_tag {
    struct str name, value;
};

/* A tag without "=" or value has an empty one, which no word equals. */
static struct dmarc_tag split(struct str part)
{
    size_t equals = str_find(part, '=');
    struct dmarc_tag tag = { .name = str_trim(str_from(part.p, equals)), .value = STR_INIT("") };

    if (equals < part.n)
        tag.value = str_trim(str_skip(part, equals + 1));
    return tag;
}

/* Takes what stands before the next ";" off the front; false at the end. */
static bool next_tag(struct str *rest, struct dmarc_tag *tag)
{
    size_t n = str_find(*rest, ';');

    if (rest->n == 0)
        return false;
    *tag = split(str_from(rest->p, n));
    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return true;
}

/* ---- words: index of the word among `words`, or -1 ---- */

static int word_index(struct str value, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (str_ieq(value, str_of(words[i])))
            return i;
    return -1;
}

static const char *const request_words[] = { "", "none", "quarantine", "reject" };

const char *dmarc_request_name(enum dmarc_request request)
{
    return request_words[request];
}

/* The first word, of UNSTATED, is empty: an empty value is none of the others. */
static enum dmarc_request read_request(struct str value)
{
    int i = word_index(value, request_words, 4);

    return i > 0 ? (enum dmarc_request)i : DMARC_UNSTATED;
}

static enum dmarc_psd read_psd(struct str value)
{
    static const char *const words[] = { "u", "y", "n" };
    int i = word_index(value, words, 3);

    return i > 0 ? (enum dmarc_psd)i : DMARC_PSD_UNKNOWN;
}

/* ---- reporting URIs ---- */

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* The characters of RFC 3986 2; "!" would have to be encoded (RFC 9989 4.8), and begins an obsolete size here. */
static bool is_uri_octet(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || is_one_of(c, "-._~:/?#[]@$&'()*+;=%");
}

static bool is_uri(struct str text)
{
    size_t colon = str_find(text, ':'), end = str_find(text, '!');

    if (colon == 0 || colon + 1 >= end || !ascii_is_letter(text.p[0]))
        return false;
    for (size_t i = 1; i < colon; i++)
        if (!ascii_is_letter(text.p[i]) && !ascii_is_digit(text.p[i]) && !is_one_of(text.p[i], "+-."))
            return false;
    for (size_t i = colon; i < end; i++)
        if (!is_uri_octet(text.p[i]))
            return false;
    return true;
}

static bool holds_uri(struct str list)
{
    while (list.n > 0) {
        size_t n = str_find(list, ',');

        if (is_uri(str_trim(str_from(list.p, n))))
            return true;
        list = str_skip(list, n < list.n ? n + 1 : n);
    }
    return false;
}

/* ---- the whole ---- */

enum name { TAG_P, TAG_SP, TAG_NP, TAG_PSD, TAG_ADKIM, TAG_ASPF, TAG_T, TAG_RUA, TAGS };

static const char *const names[TAGS] = { "p", "sp", "np", "psd", "adkim", "aspf", "t", "rua" };

static void take(struct dmarc_record *record, enum name name, struct str value)
{
    switch (name) {
    case TAG_P: record->p = read_request(value); break;
    case TAG_SP: record->sp = read_request(value); break;
    case TAG_NP: record->np = read_request(value); break;
    case TAG_PSD: record->psd = read_psd(value); break;
    case TAG_ADKIM: record->strict_dkim = str_ieq(value, STR("s")); break;
    case TAG_ASPF: record->strict_spf = str_ieq(value, STR("s")); break;
    case TAG_T: record->is_testing = str_ieq(value, STR("y")); break;
    case TAG_RUA: record->has_uri = holds_uri(value); break;
    case TAGS: break;
    }
}

/* Blanks may stand round "=" and ";", but nothing before "v" (4.7: the first tag; 4.8: no white space there). */
static bool is_version(struct str text, const struct dmarc_tag *tag)
{
    return ascii_lower(text.p[0]) == 'v' && tag->name.n == 1 && str_eq(tag->value, STR("DMARC1"));
}

bool dmarc_record_read(struct str text, struct dmarc_record *record)
{
    bool seen[TAGS] = { false };
    struct str rest = text;
    struct dmarc_tag tag;

    *record = (struct dmarc_record){ 0 };
    if (!next_tag(&rest, &tag) || !is_version(text, &tag))
        return false;
    while (next_tag(&rest, &tag)) {
        int i = word_index(tag.name, names, TAGS);

        if (i < 0 || seen[i])
            continue;
        seen[i] = true;
        take(record, (enum name)i, tag.value);
    }
    record->is_broken = record->p == DMARC_UNSTATED || (seen[TAG_SP] && record->sp == DMARC_UNSTATED) ||
                        (seen[TAG_NP] && record->np == DMARC_UNSTATED);
    return true;
}

enum dmarc_request dmarc_record_request(const struct dmarc_record *record, bool is_subdomain, bool exists)
{
    if (record->is_broken)
        return record->has_uri ? DMARC_NONE : DMARC_UNSTATED;
    if (is_subdomain && !exists && record->np != DMARC_UNSTATED)
        return record->np;
    return is_subdomain && record->sp != DMARC_UNSTATED ? record->sp : record->p;
}
