/* What is told of the parts. Values are written where they stay, one at a time; one that turns out not worth telling is taken
 * back.
 */
#include "mime_parts.h"
#include "utf8.h"

enum { VALUE_MAX = 120, LAST_VALUE = 192 /* octets kept for the value without a path */ };

const char *const mime_oddities[MIME_ODDITIES] = {
    [MIME_OVER_DEPTH] = "over=depth",     [MIME_OVER_PARTS] = "over=parts", [MIME_OVER_FIELD] = "over=field",
    [MIME_OVER_REPORT] = "over=report",   [MIME_ODD_HEADER] = "odd=header", [MIME_ODD_BOUNDARY] = "odd=boundary",
    [MIME_ODD_ENCODING] = "odd=encoding", [MIME_ODD_QUOTES] = "odd=quotes", [MIME_ODD_NAME] = "odd=name",
};

/* ---- writing ---- */

static void put(struct mime *m, char c)
{
    if (m->report_n - m->record_at >= MIME_RECORD_MAX || m->report_n >= MIME_REPORT_MAX - LAST_VALUE)
        m->record_is_cut = true;
    else
        m->report[m->report_n++] = c;
}

static void put_text(struct mime *m, const char *text)
{
    for (; *text != '\0'; text++)
        put(m, *text);
}

static void put_number(struct mime *m, uint32_t number)
{
    char digits[10];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (n > 0)
        put(m, digits[--n]);
}

/* Blanks and commas separate words (str_word). */
static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '%' && c != ',' && c != '"' && c != '\\';
}

static void put_encoded(struct mime *m, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (is_plain(s.p[i])) {
            put(m, s.p[i]);
            continue;
        }
        put(m, '%');
        put(m, hex[c >> 4]);
        put(m, hex[c & 15]);
    }
}

/* ---- records ---- */

void mime_record_open(struct mime *m)
{
    m->record_is_open = true;
    m->record_is_worth = m->record_is_cut = false;
    m->record_words = 0;
    m->record_at = m->report_n;
    m->alike = MIME_HASH_SEED;
    for (size_t i = 0; i < m->levels; i++) {
        if (m->level[i].number == 0)
            continue;
        put_number(m, m->level[i].number);
        put(m, '.');
    }
    put_number(m, m->entity.number);
}

/* Whether the last word, which begins at `at` with its blank, stands before that, too. */
static bool is_repeated(const struct mime *m, size_t at)
{
    struct str word = str_from(m->report + at, m->report_n - at);

    for (size_t i = m->record_at; i + word.n <= at; i++)
        if (memcmp(m->report + i, word.p, word.n) == 0 && (i + word.n == at || m->report[i + word.n] == ' '))
            return true;
    return false;
}

static void put_value(struct mime *m, struct str value)
{
    if (value.n <= VALUE_MAX) {
        put_encoded(m, value);
        return;
    }
    put_encoded(m, str_from(value.p, VALUE_MAX / 2));
    put_text(m, "..");
    put_encoded(m, str_skip(value, value.n - VALUE_MAX / 2));
}

/* Each costs a search for its like, so there is an end to them. */
bool mime_has_words(struct mime *m)
{
    if (m->record_words < MIME_WORDS_MAX)
        return true;
    mime_note(m, MIME_OVER_REPORT);
    return false;
}

/* A word that does not fit is left out whole. */
static bool tell(struct mime *m, const char *key, struct str value)
{
    size_t at = m->report_n;
    bool was_cut = m->record_is_cut;

    if (!m->record_is_open || !mime_has_words(m))
        return false;
    m->record_words++;
    m->record_is_cut = false;
    put(m, ' ');
    put_text(m, key);
    put_value(m, value);
    if (m->record_is_cut || is_repeated(m, at)) {
        m->report_n = at;
        m->record_is_cut = was_cut || m->record_is_cut;
        return false;
    }
    m->record_is_cut = was_cut;
    return true;
}

static void hash_text(struct mime *m, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        m->alike = mime_hash(m->alike, ascii_lower(s.p[i]));
    m->alike = mime_hash(m->alike, ' ');
}

void mime_tell(struct mime *m, const char *key, struct str value)
{
    if (!tell(m, key, value))
        return;
    hash_text(m, str_of(key));
    hash_text(m, value);
}

/* The last two, with their dots; nothing longer than extensions are. */
static struct str extensions(struct str name)
{
    size_t at = name.n;
    int dots = 0;

    for (size_t i = name.n; i > 0 && dots < 2 && name.n - i < 64; i--) {
        if (name.p[i - 1] != '.')
            continue;
        at = i - 1;
        dots++;
    }
    return str_skip(name, at);
}

/* NUL ends the text for some readers; the others turn it round, or hide a part of it. */
static bool is_misleading(struct str name)
{
    while (name.n > 0) {
        uint32_t c;
        size_t n = utf8_decode(name, &c);

        if (n > 0 && (c == 0 || utf8_is_hidden(c)))
            return true;
        name = str_skip(name, n > 0 ? n : 1);
    }
    return false;
}

void mime_tell_name(struct mime *m, const char *key, struct str name)
{
    if (name.n == 0)
        return;
    if (is_misleading(name))
        mime_note(m, MIME_ODD_NAME);
    m->record_is_worth = true;
    if (!tell(m, key, name))
        return;
    hash_text(m, str_of(key));
    hash_text(m, extensions(name));
}

static bool has_alike(const struct mime *m)
{
    for (size_t i = 0; i < m->told; i++)
        if (m->told_alike[i] == m->alike)
            return true;
    return false;
}

void mime_record_close(struct mime *m)
{
    bool is_kept = m->record_is_open && m->record_is_worth && (m->told < MIME_ALIKE || !has_alike(m));

    m->record_is_open = false;
    if (!is_kept) {
        m->report_n = m->record_at;
        return;
    }
    if (m->record_is_cut || m->told == MIME_TOLD_MAX - 1) {
        mime_note(m, MIME_OVER_REPORT);
        if (m->told == MIME_TOLD_MAX - 1 || m->report_n >= MIME_REPORT_MAX - LAST_VALUE) {
            m->report_n = m->record_at;
            return;
        }
    }
    m->told_alike[m->told] = m->alike;
    m->told_end[m->told++] = (uint16_t)m->report_n;
}

/* ---- the answer ---- */

/* LAST_VALUE octets were kept for it. */
static struct str put_oddities(struct mime *m)
{
    char *text = m->report + m->report_n;
    size_t n = 0;

    text[n++] = '-';
    for (unsigned i = 0; i < MIME_ODDITIES; i++) {
        struct str word = str_of(mime_oddities[i]);

        if ((m->odd & 1u << i) == 0)
            continue;
        text[n++] = ' ';
        memcpy(text + n, word.p, word.n);
        n += word.n;
    }
    return str_from(text, n);
}

void mime_report(struct mime *m, struct facts *facts)
{
    struct str value[MIME_TOLD_MAX];
    size_t n = m->told;

    for (size_t i = 0, at = 0; i < n; at = m->told_end[i++])
        value[i] = str_from(m->report + at, m->told_end[i] - at);
    if (m->odd != 0)
        value[n++] = put_oddities(m);
    facts_give(facts, (struct question){ ASK_PARTS, MIME_PARTS_KEY }, n > 0 ? FACT_OK : FACT_NODATA, value, n);
}

/* ---- reading it again ---- */

static unsigned hex_value(char c)
{
    return ascii_is_digit(c) ? (unsigned)(c - '0') : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

static size_t decode(struct str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned high = i + 2 < s.n ? hex_value(s.p[i + 1]) : 16, low = i + 2 < s.n ? hex_value(s.p[i + 2]) : 16;
        bool is_code = s.p[i] == '%' && high < 16 && low < 16;

        out[n++] = is_code ? (char)(high << 4 | low) : s.p[i];
        i += is_code ? 2 : 0;
    }
    return n;
}

bool mime_word_next(struct str *rest, struct mime_word *word, char *room)
{
    struct str text;
    size_t equals;

    if (!str_word(rest, &text))
        return false;
    equals = str_find(text, '=');
    word->key = equals < text.n ? str_from(text.p, equals) : str_from(text.p, 0);
    text = equals < text.n ? str_skip(text, equals + 1) : text;
    text.n = text.n < MIME_RECORD_MAX ? text.n : MIME_RECORD_MAX; /* of a record that somebody else wrote */
    word->value = str_from(room, decode(text, room));
    return true;
}
