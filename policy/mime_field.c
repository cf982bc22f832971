/* What the fields of a part say (RFC 2045 5, RFC 2183, RFC 2231). There is one syntax and there are many readers, so a
 * parameter is read in every way that some of them do:
 *
 * - strictly: a quoted string with its quoted pairs, or a token up to a blank or a comment
 * - loosely: all up to the next ";" that stands in no quotes, quotes left out
 * - with encoded words decoded where RFC 2047 5 has none
 * - percent-decoded, and put together from its segments in the order of their numbers (RFC 2231 3, 4)
 *
 * and each parameter as often as it is given, with comments read as such and as text.
 */
#include "base64.h"
#include "mime_parts.h"

enum { READING_MAX = 2048, SEGMENTS_MAX = 32, TYPE_MAX = 96 };

/* One reading. A long one loses its middle: what it begins and ends with counts. */
struct reading {
    size_t n;
    char text[READING_MAX];
};

static void put(struct reading *r, char c)
{
    if (r->n == READING_MAX) {
        memmove(r->text + READING_MAX / 2, r->text + 3 * READING_MAX / 4, READING_MAX / 4);
        r->n = 3 * READING_MAX / 4;
    }
    r->text[r->n++] = c;
}

static struct str text_of(const struct reading *r)
{
    return str_from(r->text, r->n);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static unsigned hex_value(char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* ---- readings of a value ---- */

static void read_strict(struct str value, struct reading *r)
{
    bool is_quoted = value.n > 0 && value.p[0] == '"';

    for (size_t i = is_quoted; i < value.n; i++) {
        char c = value.p[i];

        if (is_quoted ? c == '"' : is_space(c) || c == '(')
            return;
        if (is_quoted && c == '\\' && i + 1 < value.n)
            c = value.p[++i];
        if (c != '\r' && c != '\n')
            put(r, c);
    }
}

static void read_loose(struct str value, struct reading *r)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '"' && value.p[i] != '\r' && value.p[i] != '\n')
            put(r, value.p[i]);
}

/* `escape` and two digits are an octet. */
static void put_decoded(struct reading *r, struct str s, char escape)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned high = i + 2 < s.n ? hex_value(s.p[i + 1]) : 16, low = i + 2 < s.n ? hex_value(s.p[i + 2]) : 16;
        bool is_code = s.p[i] == escape && high < 16 && low < 16;

        put(r, is_code ? (char)(high << 4 | low) : escape == '=' && s.p[i] == '_' ? ' ' : s.p[i]);
        i += is_code ? 2 : 0;
    }
}

static void put_base64(struct reading *r, struct str s)
{
    uint32_t bits = 0;
    unsigned n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (base64_value(s.p[i]) == BASE64_NONE)
            continue;
        bits = bits << 6 | base64_value(s.p[i]);
        n += 6;
        if (n >= 8)
            put(r, (char)(bits >> (n -= 8) & 0xFF));
    }
}

/* Takes an encoded word off the front of `*s`: "=?charset?B?text?=" (RFC 2047 2). Blanks within it are let pass. */
static bool take_word(struct str *s, struct reading *r)
{
    struct str rest = *s, text;
    char encoding;

    if (rest.n < 2 || rest.p[0] != '=' || rest.p[1] != '?')
        return false;
    rest = str_skip(rest, 2);
    rest = str_skip(rest, str_find(rest, '?'));
    if (rest.n < 3 || rest.p[2] != '?')
        return false;
    encoding = ascii_lower(rest.p[1]);
    rest = str_skip(rest, 3);
    text = str_from(rest.p, str_find(rest, '?'));
    if ((encoding != 'b' && encoding != 'q') || rest.n < text.n + 2 || rest.p[text.n + 1] != '=')
        return false;
    if (encoding == 'b')
        put_base64(r, text);
    else
        put_decoded(r, text, '=');
    *s = str_skip(rest, text.n + 2);
    return true;
}

/* Blanks between two of them go (RFC 2047 6.2). False when there is none. A sender who writes "=?" without end has each
 * searched for its "?": so only the first few are.
 */
static bool read_words(struct str s, struct reading *r)
{
    bool found = false, is_behind = false;
    unsigned tries = 64;

    while (s.n > 0) {
        struct str next = is_behind ? trim(s) : s;

        if (s.p[0] == '=' || (is_behind && next.n > 0 && next.p[0] == '=')) {
            if (tries > 0 && tries-- > 0 && take_word(&next, r)) {
                s = next;
                found = is_behind = true;
                continue;
            }
        }
        is_behind = false;
        put(r, s.p[0]);
        s = str_skip(s, 1);
    }
    return found;
}

/* ---- what a reading is for ---- */

enum purpose { FOR_NAME, FOR_BOUNDARY };

static void add_boundary(struct mime *m, struct str text)
{
    struct mime_entity *e = &m->entity;
    uint64_t hash = MIME_HASH_SEED;

    while (text.n > 0 && is_space(text.p[text.n - 1]))
        text.n--;
    for (size_t i = 0; i < text.n; i++)
        hash = mime_hash(hash, text.p[i]);
    for (unsigned i = 0; i < e->boundaries; i++)
        if (e->boundary[i].hash == hash && e->boundary[i].length == text.n)
            return;
    if (text.n == 0)
        return;
    if (e->boundaries == MIME_BOUNDARIES_MAX) {
        mime_note(m, MIME_ODD_BOUNDARY);
        return;
    }
    e->boundary[e->boundaries].hash = hash;
    e->boundary[e->boundaries++].length = (uint32_t)text.n;
}

/* A boundary is compared as it stands: none is shortened, since it would not be found again. */
static void use(struct mime *m, enum purpose purpose, struct str text)
{
    struct reading words;

    if (purpose == FOR_BOUNDARY) {
        add_boundary(m, text);
        return;
    }
    text = trim(text);
    mime_tell_name(m, "name=", text);
    words.n = 0;
    if (read_words(text, &words))
        mime_tell_name(m, "name=", trim(text_of(&words)));
}

/* The long boundary: hashed as it is read, in both ways, without a copy. */
static void use_value(struct mime *m, enum purpose purpose, struct str value)
{
    struct reading r;

    if (purpose == FOR_NAME && !mime_has_words(m))
        return;
    if (purpose == FOR_BOUNDARY && value.n > READING_MAX) {
        if (value.p[0] == '"') {
            value = str_skip(value, 1);
            value.n = str_find(value, '"');
        }
        add_boundary(m, value);
        return;
    }
    r.n = 0;
    read_strict(value, &r);
    use(m, purpose, text_of(&r));
    r.n = 0;
    read_loose(value, &r);
    use(m, purpose, text_of(&r));
}

/* ---- parameters ---- */

/* "name*1*=value" */
struct parameter {
    struct str name;
    struct str value;
    bool is_extended; /* percent-encoded */
    bool is_segment;
    unsigned long long number;
};

/* Where a quoted string that begins at `i` ends, or s.n. */
static size_t quote_end(struct str s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '"'; i++)
        i += s.p[i] == '\\';
    return i < s.n ? i : s.n;
}

static size_t comment_end(struct str s, size_t i)
{
    int depth = 0;

    for (; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i;
    }
    return s.n;
}

/* What is left of a list of parameters, and how it is read. */
struct list {
    struct str rest;
    bool has_comments;
    bool has_quotes; /* until one had no end: such are text like any other, and looked for once */
};

/* Cuts off what stands before the next ";". */
static struct str take_piece(struct mime *m, struct list *list)
{
    struct str rest = list->rest;
    size_t i;

    for (i = 0; i < rest.n && rest.p[i] != ';'; i++) {
        if (rest.p[i] == '"' && list->has_quotes) {
            size_t end = quote_end(rest, i);

            list->has_quotes = end < rest.n;
            i = list->has_quotes ? end : i;
            if (!list->has_quotes)
                mime_note(m, MIME_ODD_QUOTES);
        } else if (rest.p[i] == '(' && list->has_comments) {
            size_t end = comment_end(rest, i);

            list->has_comments = end < rest.n;
            i = list->has_comments ? end : i;
        }
    }
    list->rest = i < rest.n ? str_skip(rest, i + 1) : str_from(rest.p, 0);
    return str_from(rest.p, i);
}

static struct str skip_comments(struct str s)
{
    size_t end;

    s = trim(s);
    while (s.n > 0 && s.p[0] == '(') {
        end = comment_end(s, 0);
        s = trim(str_skip(s, end < s.n ? end + 1 : s.n));
    }
    return s;
}

/* The last word before "=": without a ";" the type stands there, too. */
static bool read_parameter(struct str piece, bool has_comments, struct parameter *p)
{
    size_t equals = str_find(piece, '='), at;
    struct str name = trim(str_from(piece.p, equals));
    struct str star;

    if (equals == piece.n)
        return false;
    if (has_comments) {
        name = skip_comments(name);
        name = trim(str_from(name.p, str_find(name, '(')));
    }
    for (at = name.n; at > 0 && !is_space(name.p[at - 1]) && name.p[at - 1] != ')'; at--)
        ;
    name = str_skip(name, at);
    *p = (struct parameter){ .value = trim(str_skip(piece, equals + 1)) };
    if (has_comments)
        p->value = skip_comments(p->value);
    star = str_skip(name, str_find(name, '*'));
    p->name = str_from(name.p, name.n - star.n);
    if (star.n == 0)
        return true;
    star = str_skip(star, 1);
    p->is_extended = star.n == 0 || star.p[star.n - 1] == '*';
    if (star.n > 0 && p->is_extended)
        star.n--;
    p->is_segment = star.n > 0;
    return !p->is_segment || str_to_u64(star, 1u << 20, &p->number);
}

/* RFC 2231 4: charset'language'text; some writers leave the front out. */
static struct str skip_charset(struct str s)
{
    struct str rest = str_skip(s, str_find(s, '\''));
    size_t second;

    if (rest.n == 0)
        return s;
    rest = str_skip(rest, 1);
    second = str_find(rest, '\'');
    return second < rest.n ? str_skip(rest, second + 1) : s;
}

static void put_segment(const struct parameter *p, struct reading *r)
{
    struct reading text;
    bool is_first = !p->is_segment || p->number == 0;

    text.n = 0;
    read_strict(p->value, &text);
    if (p->is_extended)
        put_decoded(r, is_first ? skip_charset(text_of(&text)) : text_of(&text), '%');
    else
        for (size_t i = 0; i < text.n; i++)
            put(r, text.text[i]);
}

/* Segments, by number. False when one number is given twice: of those the first, or the last, is taken. */
static bool use_segments(struct mime *m, enum purpose purpose, const struct parameter *segment, size_t n, bool last)
{
    struct reading r;
    size_t used = 0, number = 0;
    const struct parameter *found;

    r.n = 0;
    do {
        found = NULL;
        for (size_t i = 0; i < n; i++) {
            if (segment[i].number != number)
                continue;
            used++;
            if (found == NULL || last)
                found = &segment[i];
        }
        if (found != NULL)
            put_segment(found, &r);
    } while (found != NULL && number++ < n);
    use(m, purpose, text_of(&r));
    return used <= number;
}

/* All parameters called `name`. */
static void read_parameters(struct mime *m, struct str value, struct str name, enum purpose purpose, bool has_comments)
{
    struct list list = { value, has_comments, true };
    struct parameter segment[SEGMENTS_MAX], p;
    size_t n = 0;

    while (list.rest.n > 0) {
        struct reading r;

        if (!read_parameter(take_piece(m, &list), has_comments, &p) || !str_ieq(p.name, name))
            continue;
        if (!p.is_segment && p.is_extended) {
            r.n = 0;
            put_segment(&p, &r);
            use(m, purpose, text_of(&r));
        } else if (!p.is_segment) {
            use_value(m, purpose, p.value);
        } else if (n < SEGMENTS_MAX) {
            segment[n++] = p;
        } else {
            mime_note(m, MIME_OVER_FIELD);
        }
    }
    if (n > 0 && !use_segments(m, purpose, segment, n, false))
        use_segments(m, purpose, segment, n, true);
}

static void read_both_ways(struct mime *m, struct str value, struct str name, enum purpose purpose)
{
    read_parameters(m, value, name, purpose, true);
    if (str_find(value, '(') < value.n)
        read_parameters(m, value, name, purpose, false);
}

static void read_names(struct mime *m, struct str value)
{
    read_both_ways(m, value, STR("name"), FOR_NAME);
    read_both_ways(m, value, STR("filename"), FOR_NAME);
}

/* ---- the fields ---- */

/* "text/plain", in lower case, without comments and blanks. */
static void read_type(struct str value, struct reading *r)
{
    for (size_t i = 0; i < value.n && value.p[i] != ';' && r->n < TYPE_MAX; i++) {
        if (value.p[i] == '(')
            i = comment_end(value, i);
        else if (!is_space(value.p[i]))
            put(r, ascii_lower(value.p[i]));
    }
}

static bool is_ordinary_text(struct str type)
{
    return str_eq(type, STR("text/plain")) || str_eq(type, STR("text/html")) || str_eq(type, STR("text"));
}

static void content_type(struct mime *m, struct str value)
{
    struct mime_entity *e = &m->entity;
    struct reading r = { .n = 0 };
    struct str type;

    read_type(value, &r);
    type = text_of(&r);
    e->has_type = true;
    e->is_text = e->is_text || type.n == 0 || str_istarts(type, STR("text"));
    if (str_istarts(type, STR("multipart/"))) {
        e->is_multipart = true;
        e->is_digest = e->is_digest || str_eq(type, STR("multipart/digest"));
        read_both_ways(m, value, STR("boundary"), FOR_BOUNDARY);
    } else if (str_eq(type, STR("message/rfc822")) || str_eq(type, STR("message/global")) ||
               str_eq(type, STR("message/news"))) {
        e->is_message = m->record_is_worth = true;
    } else if (type.n > 0 && !is_ordinary_text(type)) {
        m->record_is_worth = true;
    }
    if (type.n > 0)
        mime_tell(m, "type=", type);
    read_names(m, value);
}

static enum mime_encoding encoding_of(struct str value)
{
    value = skip_comments(value);
    if (value.n > 0 && value.p[0] == '"')
        value = str_skip(value, 1);
    if (str_istarts(value, STR("base64")))
        return MIME_BASE64;
    if (str_istarts(value, STR("quoted-printable")))
        return MIME_QUOTED;
    return str_istarts(value, STR("7bit")) || str_istarts(value, STR("8bit")) || str_istarts(value, STR("binary"))
               ? MIME_RAW
               : MIME_UNKNOWN;
}

/* Of several, one that is not plain: whoever goes by another sees nothing but letters. */
static void content_encoding(struct mime *m, struct str value)
{
    struct mime_entity *e = &m->entity;
    enum mime_encoding encoding = encoding_of(value);

    if (e->has_encoding && e->encoding != encoding)
        mime_note(m, MIME_ODD_ENCODING);
    if (!e->has_encoding || e->encoding == MIME_RAW || e->encoding == MIME_UNKNOWN)
        e->encoding = encoding;
    e->has_encoding = true;
}

bool mime_field(struct mime *m, struct str name, struct str value)
{
    static const struct {
        struct str name;
        void (*read)(struct mime *, struct str value);
    } fields[] = {
        { STR_INIT("Content-Type"), content_type },
        { STR_INIT("Content-Disposition"), read_names },
        { STR_INIT("Content-Transfer-Encoding"), content_encoding },
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!str_ieq(name, fields[i].name))
            continue;
        if (++m->entity.fields > MIME_FIELDS_MAX)
            mime_note(m, MIME_OVER_FIELD);
        else
            fields[i].read(m, value);
        return true;
    }
    return false;
}
