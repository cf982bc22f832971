#include "lookalike.h"

static const char *const names[LOOKALIKE_KINDS] = {
    [LOOKALIKE_NONE] = "none",     [LOOKALIKE_LETTERS] = "letters", [LOOKALIKE_ENDING] = "ending",
    [LOOKALIKE_TYPING] = "typing", [LOOKALIKE_WORDS] = "words",     [LOOKALIKE_PREFIX] = "prefix",
};

const char *resemblance_name(enum resemblance kind)
{
    return (size_t)kind < LOOKALIKE_KINDS ? names[kind] : "?";
}

/* ---- reading a name ---- */

/* Below a country's top level these are registries, too, and the name before them is the one somebody chose. */
static bool is_category(struct str label)
{
    static const struct str categories[] = {
        STR_INIT("ac"),   STR_INIT("co"),  STR_INIT("com"), STR_INIT("edu"), STR_INIT("go"),  STR_INIT("gob"),
        STR_INIT("gouv"), STR_INIT("gov"), STR_INIT("gv"),  STR_INIT("ltd"), STR_INIT("mil"), STR_INIT("ne"),
        STR_INIT("net"),  STR_INIT("nom"), STR_INIT("or"),  STR_INIT("org"), STR_INIT("plc"), STR_INIT("sch"),
    };

    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        if (str_eq(categories[i], label))
            return true;
    return false;
}

/* Where the label before `end` begins; `end` is the length of the text or the offset of a dot. */
static size_t label_start(struct str text, size_t end)
{
    while (end > 0 && text.p[end - 1] != '.')
        end--;
    return end;
}

static void find_main(struct str text, struct str *main, struct str *ending)
{
    size_t top = label_start(text, text.n), end = text.n, start = top;

    *ending = str_from(text.p, 0);
    if (top > 0) {
        end = top - 1;
        start = label_start(text, end);
        if (text.n - top == 2 && start > 0 && is_category(str_from(text.p + start, end - start))) {
            end = start - 1;
            start = label_start(text, end);
        }
        *ending = str_skip(text, end + 1);
    }
    *main = str_from(text.p + start, end - start);
}

/* The characters of a label; those of an A-label are the ones it stands for, if it stands for any. */
static size_t read_characters(struct str label, uint32_t out[PUNYCODE_MAX])
{
    size_t n;

    if (str_istarts(label, STR("xn--")) && punycode_decode(str_skip(label, 4), out, &n))
        return n;
    for (n = 0; n < label.n && n < PUNYCODE_MAX; n++)
        out[n] = (unsigned char)label.p[n];
    return n;
}

static void add_letter(struct lookalike_name *name, uint32_t c)
{
    if (name->letters < LOOKALIKE_LETTERS_MAX)
        name->letter[name->letters++] = c;
}

static void add_skeletons(struct lookalike_name *name, const uint32_t *character, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t out[SKELETON_MAX];
        size_t letters = skeleton_of(character[i], out);

        for (size_t k = 0; k < letters; k++)
            add_letter(name, out[k]);
    }
}

void lookalike_read(struct str text, struct lookalike_name *out)
{
    uint32_t character[PUNYCODE_MAX];

    out->text = text;
    out->letters = out->main_at = out->main_letters = out->characters = 0;
    find_main(text, &out->main, &out->ending);
    for (size_t at = 0; at <= text.n; at++) {
        struct str label = str_from(text.p + at, str_find(str_skip(text, at), '.'));
        size_t before = out->letters, n = read_characters(label, character);

        add_skeletons(out, character, n);
        if (label.p == out->main.p) {
            out->main_at = before;
            out->main_letters = out->letters - before;
            out->characters = n;
            memcpy(out->character, character, n * sizeof *character);
        }
        at += label.n;
        if (at < text.n)
            add_letter(out, '.');
    }
}

/* ---- letters ---- */

/* Some of the characters of a name. */
struct run {
    const uint32_t *p;
    size_t n;
};

static struct run run_from(const uint32_t *p, size_t n)
{
    return (struct run){ p, n };
}

static struct run main_of(const struct lookalike_name *name)
{
    return run_from(name->letter + name->main_at, name->main_letters);
}

static bool same(struct run a, struct run b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n * sizeof *a.p) == 0);
}

static struct run skip(struct run run, size_t n)
{
    return run_from(run.p + n, run.n - n);
}

/* ---- typing ---- */

/* One insertion, deletion, substitution or transposition of neighbours (Damerau), and not none. */
static bool is_one_edit(struct run a, struct run b)
{
    while (a.n > 0 && b.n > 0 && a.p[0] == b.p[0]) {
        a = skip(a, 1);
        b = skip(b, 1);
    }
    if (a.n > b.n)
        return a.n == b.n + 1 && same(skip(a, 1), b);
    if (b.n > a.n)
        return b.n == a.n + 1 && same(a, skip(b, 1));
    if (a.n == 0)
        return false;
    if (same(skip(a, 1), skip(b, 1)))
        return true;
    return a.n >= 2 && a.p[0] == b.p[1] && a.p[1] == b.p[0] && same(skip(a, 2), skip(b, 2));
}

/* By the characters, and by their skeletons: an m left out is one edit, and two letters of the skeleton. */
static bool is_typing(const struct lookalike_name *theirs, const struct lookalike_name *ours)
{
    return is_one_edit(run_from(theirs->character, theirs->characters),
                       run_from(ours->character, ours->characters)) ||
           is_one_edit(main_of(theirs), main_of(ours));
}

/* ---- words ---- */

/* Whether `run` is `word`, by its skeleton. */
static bool is_word(struct run run, struct str word)
{
    for (size_t i = 0; i < word.n; i++) {
        uint32_t out[SKELETON_MAX];
        size_t n = skeleton_of((unsigned char)word.p[i], out);

        if (run.n < n || !same(run_from(run.p, n), run_from(out, n)))
            return false;
        run = skip(run, n);
    }
    return run.n == 0;
}

static bool is_listed(struct run run, const struct str_list *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (is_word(run, words->item[i]))
            return true;
    return false;
}

/* "login", "-secure-login": words of the list with hyphens between, before and behind. */
static bool are_listed(struct run run, const struct str_list *words)
{
    while (run.n > 0) {
        size_t n = 0;

        while (n < run.n && run.p[n] != '-')
            n++;
        if (n > 0 && !is_listed(run_from(run.p, n), words))
            return false;
        run = skip(run, n < run.n ? n + 1 : n);
    }
    return true;
}

/* Our main label within theirs, with something before or behind it: set off by hyphens, or nothing but words of the list. */
static bool has_words(const struct lookalike_name *theirs, const struct lookalike_name *ours,
                      const struct lookalike_terms *terms)
{
    struct run whole = main_of(theirs), part = main_of(ours);
    bool is_long = ours->characters >= terms->min_length;

    for (size_t at = 0; at + part.n <= whole.n; at++) {
        struct run before = run_from(whole.p, at), behind = skip(whole, at + part.n);
        bool is_apart = (at == 0 || before.p[at - 1] == '-') && (behind.n == 0 || behind.p[0] == '-');

        if (before.n + behind.n == 0 || !same(run_from(whole.p + at, part.n), part) || (!is_apart && !is_long))
            continue;
        if ((is_apart && is_long) || (are_listed(before, &terms->words) && are_listed(behind, &terms->words)))
            return true;
    }
    return false;
}

/* ---- our whole name within theirs ---- */

static bool is_border(uint32_t c)
{
    return c == '.' || c == '-';
}

/* `ours` at the front of `theirs`, where its dots may be hyphens. */
static bool begins_with(struct run theirs, struct run ours)
{
    if (theirs.n < ours.n)
        return false;
    for (size_t i = 0; i < ours.n; i++)
        if (theirs.p[i] != ours.p[i] && !(ours.p[i] == '.' && theirs.p[i] == '-'))
            return false;
    return true;
}

static bool has_prefix(const struct lookalike_name *theirs, const struct lookalike_name *ours)
{
    struct run whole = run_from(theirs->letter, theirs->letters), part = run_from(ours->letter, ours->letters);

    if (part.n == 0 || ours->ending.n == 0)
        return false;
    for (size_t at = 0; at + part.n < whole.n; at++) {
        bool is_start = at == 0 || is_border(whole.p[at - 1]);

        if (is_start && is_border(whole.p[at + part.n]) && begins_with(skip(whole, at), part))
            return true;
    }
    return false;
}

/* ---- all of it ---- */

enum resemblance lookalike_compare(const struct lookalike_name *theirs, const struct lookalike_name *ours,
                                   const struct lookalike_terms *terms)
{
    bool is_long = ours->characters >= terms->min_length;
    bool same_main = str_eq(theirs->main, ours->main), same_ending = str_eq(theirs->ending, ours->ending);

    if (ours->characters < LOOKALIKE_SHORT || ours->main_letters == 0 || (same_main && same_ending))
        return LOOKALIKE_NONE;
    if (same(main_of(theirs), main_of(ours)) && (is_long || (!same_main && same_ending)))
        return same_main ? LOOKALIKE_ENDING : LOOKALIKE_LETTERS;
    if (has_words(theirs, ours, terms))
        return LOOKALIKE_WORDS;
    if (has_prefix(theirs, ours))
        return LOOKALIKE_PREFIX;
    return is_long && is_typing(theirs, ours) ? LOOKALIKE_TYPING : LOOKALIKE_NONE;
}
