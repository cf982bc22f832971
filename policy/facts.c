#include "facts.h"

#include <stdint.h>

static const char *const ask_names[ASK_KINDS] = {
    [ASK_TXT] = "TXT",     [ASK_A] = "A",       [ASK_AAAA] = "AAAA", [ASK_MX] = "MX",
    [ASK_PTR] = "PTR",     [ASK_GEO] = "GEO",   [ASK_SIG] = "SIG",   [ASK_BODY] = "BODY",
    [ASK_PAST] = "PAST",   [ASK_LIST] = "LIST", [ASK_SEEN] = "SEEN", [ASK_STANDING] = "STANDING",
    [ASK_PARTS] = "PARTS",
};

enum { FACT_STATES = FACT_LIMIT + 1 };

static const char *const state_names[FACT_STATES] = {
    [FACT_UNKNOWN] = "UNKNOWN",   [FACT_OK] = "OK",     [FACT_NODATA] = "NODATA",
    [FACT_NXDOMAIN] = "NXDOMAIN", [FACT_TEMP] = "TEMP", [FACT_LIMIT] = "LIMIT",
};

const char *ask_name(enum ask kind)
{
    return (size_t)kind < ASK_KINDS ? ask_names[kind] : "?";
}

const char *fact_state_name(enum fact_state state)
{
    return (size_t)state < FACT_STATES ? state_names[state] : "?";
}

/* ---- the table ---- */

void facts_init(struct facts *facts, struct fact *table, size_t max, void *memory, size_t size)
{
    *facts = (struct facts){ .fact = table, .max = max };
    arena_init(&facts->arena, memory, size);
}

/* A session has tens of facts, a hundred at worst: comparing kinds and lengths first makes a walk cheap
 * enough.
 */
static size_t find(const struct facts *facts, struct question q)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].q.kind == q.kind && str_eq(facts->fact[i].q.key, q.key))
            return i;
    return facts->n;
}

const struct fact *facts_find(const struct facts *facts, struct question q)
{
    size_t i = find(facts, q);

    return i < facts->n ? &facts->fact[i] : NULL;
}

/* Room for `n` octets; NULL, and the table is full for good, when it does not fit. */
static void *take(struct facts *facts, size_t n)
{
    void *room = arena_take(&facts->arena, n);

    if (room == NULL)
        facts->limited = true;
    return room;
}

static bool copy(struct facts *facts, struct str s, struct str *out)
{
    *out = s.n > 0 ? arena_copy(&facts->arena, s) : STR("");
    if (out->p == NULL)
        facts->limited = true;
    return out->p != NULL;
}

bool facts_are_full(const struct facts *facts)
{
    return facts->limited || facts->n == facts->max;
}

/* A new fact; its key lies in the arena already. NULL over a cap. */
static struct fact *add(struct facts *facts, struct question q)
{
    if (facts_are_full(facts)) {
        facts->limited = true;
        return NULL;
    }
    facts->fact[facts->n] = (struct fact){ .q = q, .state = FACT_UNKNOWN };
    return &facts->fact[facts->n++];
}

/* The fact for `q`, a new one if need be; NULL when it does not fit. */
static struct fact *find_or_add(struct facts *facts, struct question q)
{
    size_t i = find(facts, q);

    if (i < facts->n)
        return &facts->fact[i];
    return copy(facts, q.key, &q.key) ? add(facts, q) : NULL;
}

bool facts_ask(struct facts *facts, struct question q)
{
    return !facts->closed && find(facts, q) == facts->n && find_or_add(facts, q) != NULL;
}

static struct str *take_values(struct facts *facts, size_t n)
{
    if (n > SIZE_MAX / sizeof(struct str)) {
        facts->limited = true;
        return NULL;
    }
    return take(facts, n * sizeof(struct str));
}

static bool set_values(struct facts *facts, struct fact *fact, const struct str *value, size_t n)
{
    struct str *kept = take_values(facts, n);

    if (kept == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!copy(facts, value[i], &kept[i]))
            return false;
    fact->value = kept;
    fact->n = n;
    return true;
}

void facts_answer(struct facts *facts, struct question q, enum fact_state state, const struct str *value, size_t n)
{
    if (!facts->closed)
        facts_give(facts, q, state, value, n);
}

void facts_give(struct facts *facts, struct question q, enum fact_state state, const struct str *value, size_t n)
{
    struct fact *fact;

    if (state == FACT_UNKNOWN)
        return;
    fact = find_or_add(facts, q);
    if (fact == NULL || fact->state != FACT_UNKNOWN)
        return;
    if (state == FACT_OK && n == 0)
        state = FACT_NODATA;
    if (state == FACT_OK && !set_values(facts, fact, value, n))
        state = FACT_LIMIT;
    fact->state = state;
}

void facts_close(struct facts *facts)
{
    facts->closed = true;
    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].state == FACT_UNKNOWN)
            facts->fact[i].state = FACT_TEMP;
}

/* How a question reads that is not in the table. */
static enum fact_state unlisted(const struct facts *facts)
{
    if (facts_are_full(facts))
        return FACT_LIMIT;
    return facts->closed ? FACT_TEMP : FACT_UNKNOWN;
}

enum fact_state facts_state(const struct facts *facts, struct question q)
{
    const struct fact *fact = facts_find(facts, q);

    return fact != NULL ? fact->state : unlisted(facts);
}

/* ---- to text ---- */

/* With `p` NULL it only counts, so that one function both measures and writes. */
struct writer {
    char *p;
    size_t n;
};

static void put(struct writer *w, char c)
{
    if (w->p != NULL)
        w->p[w->n] = c;
    w->n++;
}

static void put_text(struct writer *w, const char *text)
{
    while (*text != '\0')
        put(w, *text++);
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

static void put_quoted(struct writer *w, struct str s)
{
    static const char hex[] = "0123456789abcdef";

    put(w, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (!is_printable(s.p[i])) {
            put_text(w, "\\x");
            put(w, hex[c >> 4]);
            put(w, hex[c & 15]);
            continue;
        }
        if (c == '"' || c == '\\')
            put(w, '\\');
        put(w, s.p[i]);
    }
    put(w, '"');
}

static bool is_bare_octet(char c)
{
    return is_printable(c) && c != ' ' && c != '"' && c != '\\';
}

static void put_word(struct writer *w, struct str s)
{
    size_t bare = 0;

    while (bare < s.n && is_bare_octet(s.p[bare]))
        bare++;
    if (s.n == 0 || bare < s.n) {
        put_quoted(w, s);
        return;
    }
    for (size_t i = 0; i < s.n; i++)
        put(w, s.p[i]);
}

static void put_fact(struct writer *w, const struct fact *fact)
{
    put_text(w, ask_name(fact->q.kind));
    put(w, ' ');
    put_word(w, fact->q.key);
    put(w, ' ');
    put_text(w, fact_state_name(fact->state));
    for (size_t i = 0; i < fact->n; i++) {
        put(w, ' ');
        put_quoted(w, fact->value[i]);
    }
    put(w, '\n');
}

static void put_facts(struct writer *w, const struct facts *facts)
{
    for (size_t i = 0; i < facts->n; i++)
        put_fact(w, &facts->fact[i]);
    if (facts->closed)
        put_text(w, "* TEMP\n");
    if (facts_are_full(facts))
        put_text(w, "* LIMIT\n");
}

struct str facts_dump(const struct facts *facts, struct arena *arena)
{
    struct writer measure = { NULL, 0 }, w = { NULL, 0 };

    put_facts(&measure, facts);
    if (measure.n == 0)
        return STR("");
    w.p = arena_take(arena, measure.n);
    if (w.p == NULL)
        return str_from(NULL, 0);
    put_facts(&w, facts);
    return str_from(w.p, w.n);
}

/* ---- from text ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the octet at the front of a quoted word as it is written; 0 when it is malformed. */
static size_t escape_length(struct str s)
{
    if (s.p[0] != '\\')
        return is_printable(s.p[0]) ? 1 : 0;
    if (s.n >= 2 && (s.p[1] == '"' || s.p[1] == '\\'))
        return 2;
    return s.n >= 4 && s.p[1] == 'x' && hex_digit(s.p[2]) >= 0 && hex_digit(s.p[3]) >= 0 ? 4 : 0;
}

/* Length of the quoted word at the front with both quotes; 0 when it is malformed. */
static size_t quoted_length(struct str s)
{
    size_t at = 1;

    while (at < s.n && s.p[at] != '"') {
        size_t n = escape_length(str_skip(s, at));

        if (n == 0)
            return 0;
        at += n;
    }
    return at < s.n ? at + 1 : 0;
}

/* Cuts the next word off `*rest`, still in quotes if it is quoted. False at the end of the line or when it is
 * malformed: then `*rest` is empty or not.
 */
static bool next_word(struct str *rest, struct str *word)
{
    size_t n = 0;

    while (rest->n > 0 && ascii_is_blank(rest->p[0]))
        *rest = str_skip(*rest, 1);
    if (rest->n > 0 && rest->p[0] == '"')
        n = quoted_length(*rest);
    else
        while (n < rest->n && is_bare_octet(rest->p[n]))
            n++;
    if (n == 0 || (n < rest->n && !ascii_is_blank(rest->p[n])))
        return false;
    *word = str_from(rest->p, n);
    *rest = str_skip(*rest, n);
    return true;
}

/* The octets of a word that next_word has found well formed, copied out of their quotes. */
static bool copy_word(struct facts *facts, struct str word, struct str *out)
{
    size_t n = 0;
    char *room;

    if (word.p[0] != '"')
        return copy(facts, word, out);
    room = take(facts, word.n - 2);
    if (room == NULL)
        return false;
    for (size_t at = 1; at < word.n - 1;) {
        size_t length = escape_length(str_skip(word, at));

        if (length == 4)
            room[n++] = (char)(hex_digit(word.p[at + 2]) * 16 + hex_digit(word.p[at + 3]));
        else
            room[n++] = word.p[at + length - 1];
        at += length;
    }
    *out = str_from(room, n);
    return true;
}

static bool lookup(const char *const *names, size_t n, struct str word, unsigned *out)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_of(names[i]), word)) {
            *out = i;
            return true;
        }
    return false;
}

/* Counts the words of the rest of a line. False when one of them is malformed. */
static bool count_words(struct str rest, size_t *n)
{
    struct str word;

    for (*n = 0; next_word(&rest, &word); (*n)++)
        ;
    return rest.n == 0;
}

static bool load_values(struct facts *facts, struct fact *fact, struct str rest, size_t n)
{
    struct str *value = take_values(facts, n);
    struct str word;

    if (value == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!next_word(&rest, &word) || !copy_word(facts, word, &value[i]))
            return false;
    fact->value = value;
    fact->n = n;
    return true;
}

/* "* TEMP" and "* LIMIT". */
static bool load_unlisted(struct facts *facts, struct str rest)
{
    struct str word, more;

    if (!next_word(&rest, &word) || next_word(&rest, &more) || rest.n > 0)
        return false;
    if (str_eq(word, STR("LIMIT")))
        facts->limited = true;
    else if (str_eq(word, STR("TEMP")))
        facts_close(facts);
    else
        return false;
    return true;
}

/* A line after its kind. An answer may fill in what was only asked so far, but never change what is known. */
static bool load_fact(struct facts *facts, enum ask kind, struct str rest)
{
    struct question q = { .kind = kind };
    struct str key, word;
    struct fact *fact;
    unsigned state;
    size_t n, i;

    if (!next_word(&rest, &key) || !next_word(&rest, &word) || !lookup(state_names, FACT_STATES, word, &state))
        return false;
    if (!count_words(rest, &n) || (state == FACT_OK) != (n > 0) || facts->closed)
        return false;
    if (!copy_word(facts, key, &q.key))
        return false;
    i = find(facts, q);
    fact = i < facts->n ? &facts->fact[i] : add(facts, q);
    if (fact == NULL || fact->state != FACT_UNKNOWN)
        return false;
    if (n > 0 && !load_values(facts, fact, rest, n))
        return false;
    fact->state = (enum fact_state)state;
    return true;
}

static bool load_line(struct facts *facts, struct str line)
{
    struct str word;
    unsigned kind;

    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return true;
    if (!next_word(&line, &word))
        return false;
    if (str_eq(word, STR("*")))
        return load_unlisted(facts, line);
    return lookup(ask_names, ASK_KINDS, word, &kind) && load_fact(facts, (enum ask)kind, line);
}

unsigned facts_load(struct facts *facts, struct str text)
{
    for (unsigned number = 1; text.n > 0; number++) {
        size_t n = str_find(text, '\n');
        struct str line = str_from(text.p, n);

        text = str_skip(text, n < text.n ? n + 1 : n);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (!load_line(facts, line))
            return number;
    }
    return 0;
}
