/* Two lines: a domain of theirs and one of ours; the rest is a display name and that of a person, with a line end between.
 *
 * A name resembles neither itself nor what is below it; letters that look alike do so both ways, as do endings and typing errors
 * between names of equal rank; the words of a person are found in whatever holds them.
 */
#include "fuzz.h"
#include "policy/display_name.h"
#include "policy/lookalike.h"
#include "policy/path.h"
#include "policy/person_name.h"

static const struct str words[] = { STR_INIT("login"), STR_INIT("support"), STR_INIT("24") };
static const struct lookalike_terms terms = { { words, 3 }, 3 };

static struct str next_line(struct str *rest)
{
    struct str line = str_from(rest->p, str_find(*rest, '\n'));

    *rest = str_skip(*rest, line.n < rest->n ? line.n + 1 : line.n);
    return line;
}

static void require_inside(const struct lookalike_name *name)
{
    REQUIRE(name->letters <= LOOKALIKE_LETTERS_MAX && name->characters <= PUNYCODE_MAX);
    REQUIRE(name->main_at + name->main_letters <= name->letters);
    REQUIRE(name->main.p >= name->text.p && name->main.p + name->main.n <= name->text.p + name->text.n);
    REQUIRE(name->main.n + name->ending.n <= name->text.n);
}

static bool is_mutual(enum resemblance kind)
{
    return kind == LOOKALIKE_NONE || kind == LOOKALIKE_LETTERS || kind == LOOKALIKE_ENDING || kind == LOOKALIKE_TYPING;
}

static void compare_domains(struct str first, struct str second)
{
    static struct lookalike_name a, b;
    char a_room[PATH_DOMAIN_MAX + 1], b_room[PATH_DOMAIN_MAX + 1];
    enum resemblance there, back;

    first = domain_canonical(first, a_room);
    second = domain_canonical(second, b_room);
    if (first.n == 0 || second.n == 0)
        return;
    lookalike_read(first, &a);
    lookalike_read(second, &b);
    require_inside(&a);
    require_inside(&b);
    REQUIRE(lookalike_compare(&a, &a, &terms) == LOOKALIKE_NONE);
    there = lookalike_compare(&a, &b, &terms);
    back = lookalike_compare(&b, &a, &terms);
    REQUIRE(there < LOOKALIKE_KINDS && back < LOOKALIKE_KINDS);
    if (a.characters > LOOKALIKE_SHORT + 1 && b.characters > LOOKALIKE_SHORT + 1 && is_mutual(there) && is_mutual(back))
        REQUIRE(there == back);
}

static void require_found(struct str shown, enum person_case as)
{
    static struct person_name name, person, more;

    person_name_init(&name, as);
    person_name_add(&name, shown);
    REQUIRE(name.words <= PERSON_WORDS_MAX && name.letters <= PERSON_LETTERS_MAX);
    for (size_t i = 0; i < name.words; i++)
        REQUIRE(name.end[i] > (i > 0 ? name.end[i - 1] : 0) && name.end[i] <= name.letters);
    person = name;
    REQUIRE(person_name_is(&name, &person) == (name.words > 0));
    if (name.words < 2 || name.words == PERSON_WORDS_MAX || name.letters > PERSON_LETTERS_MAX - 8)
        return;
    person_name_init(&more, as);
    person_name_add(&more, STR("x"));
    person_name_add(&more, shown);
    REQUIRE(person_name_is(&more, &person));
}

static void compare_names(struct str raw)
{
    char room[DISPLAY_NAME_MAX];
    struct str shown = display_name_read(raw, room);

    REQUIRE(shown.n <= DISPLAY_NAME_MAX);
    require_found(shown, PERSON_AS_WRITTEN);
    require_found(shown, PERSON_SMALL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { size > 0 ? (const char *)data : "", size };
    struct str theirs = next_line(&rest), ours = next_line(&rest);

    compare_domains(theirs, ours);
    compare_names(next_line(&rest));
    compare_names(rest);
    return 0;
}
