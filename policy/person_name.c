#include "person_name.h"

#include "utf8.h"

void person_name_init(struct person_name *name, enum person_case as)
{
    name->as = as;
    name->letters = name->words = 0;
}

/* ---- reading ---- */

/* "O'Brien" and "OBrien" are one word. */
static bool is_apostrophe(uint32_t c)
{
    return c == '\'' || c == '`' || c == 0xB4 || c == 0x2018 || c == 0x2019 || c == 0x2BC;
}

/* Between words: what is no letter or digit in ASCII, and the blanks and punctuation of Unicode's first planes. */
static bool is_between(uint32_t c)
{
    if (c < 0x80)
        return !ascii_is_letter((char)c) && !ascii_is_digit((char)c);
    return (c <= 0xBF && c != 0xAA && c != 0xB5 && c != 0xBA) || c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x200A) ||
           (c >= 0x2010 && c <= 0x2029) || (c >= 0x202F && c <= 0x205F) || (c >= 0x3000 && c <= 0x3004) ||
           (c >= 0x3008 && c <= 0x3020) || c == 0x30FB;
}

static size_t last_end(const struct person_name *name)
{
    return name->words > 0 ? name->end[name->words - 1] : 0;
}

/* Ends the word being read, if one is. */
static void end_word(struct person_name *name)
{
    if (name->letters == last_end(name))
        return;
    if (name->words < PERSON_WORDS_MAX)
        name->end[name->words++] = name->letters;
    else
        name->letters = last_end(name);
}

static void add_letter(struct person_name *name, uint32_t c)
{
    if (is_between(c))
        end_word(name);
    else if (name->letters < PERSON_LETTERS_MAX)
        name->letter[name->letters++] = c;
}

static void add_character(struct person_name *name, uint32_t c)
{
    uint32_t out[SKELETON_MAX];
    size_t n;

    if (is_apostrophe(c))
        return;
    if (is_between(c)) {
        end_word(name);
        return;
    }
    n = skeleton_of(name->as == PERSON_SMALL ? case_fold(c) : c, out);
    for (size_t i = 0; i < n; i++)
        add_letter(name, out[i]);
}

void person_name_add(struct person_name *name, struct str text)
{
    while (text.n > 0) {
        uint32_t c;
        size_t n = utf8_decode(text, &c);

        if (n == 0)
            end_word(name);
        else
            add_character(name, c);
        text = str_skip(text, n > 0 ? n : 1);
    }
    end_word(name);
}

/* ---- comparing ---- */

static bool same(const uint32_t *a, size_t a_n, const uint32_t *b, size_t b_n)
{
    return a_n == b_n && (a_n == 0 || memcmp(a, b, a_n * sizeof *a) == 0);
}

static bool same_word(const struct person_name *a, size_t i, const struct person_name *b, size_t k)
{
    size_t a_at = i > 0 ? a->end[i - 1] : 0, b_at = k > 0 ? b->end[k - 1] : 0;

    return same(a->letter + a_at, a->end[i] - a_at, b->letter + b_at, b->end[k] - b_at);
}

/* Each word of the person is another one of those shown. */
static bool holds_words(const struct person_name *shown, const struct person_name *person)
{
    bool used[PERSON_WORDS_MAX] = { false };

    for (size_t i = 0; i < person->words; i++) {
        size_t k = 0;

        while (k < shown->words && (used[k] || !same_word(shown, k, person, i)))
            k++;
        if (k == shown->words)
            return false;
        used[k] = true;
    }
    return true;
}

bool person_name_is(const struct person_name *shown, const struct person_name *person)
{
    if (person->words == 0 || shown->words == 0)
        return false;
    return same(shown->letter, shown->letters, person->letter, person->letters) ||
           (person->words > 1 && holds_words(shown, person));
}
