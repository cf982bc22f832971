/* Judges senders by what they resemble, for tests/suites/lookalike.py.
 *
 *     lookalike_run domains OURS... <NAMES     each line of NAMES is a domain: "KIND OURS" of the first of ours that it resembles,
 *                                              or "none"
 *     lookalike_run persons NAME... <FROMS     each line is the value of a From: the first NAME it is written under, or "none"
 *
 * With the words and the length that the check has for defaults.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/display_name.h"
#include "policy/lookalike.h"
#include "policy/mailbox.h"
#include "policy/path.h"
#include "policy/person_name.h"
#include "policy/policy.h"

enum { LINE_MAX_OCTETS = 65536, WORDS_MAX = 200 };

static void die(const char *why)
{
    fprintf(stderr, "lookalike_run: %s\n", why);
    exit(EXIT_FAILURE);
}

static const struct option *option(const char *key)
{
    for (size_t i = 0; i < check_lookalike.options_n; i++)
        if (strcmp(check_lookalike.options[i].key, key) == 0)
            return &check_lookalike.options[i];
    die("no such option");
    return NULL;
}

static struct lookalike_terms default_terms(void)
{
    static struct str words[WORDS_MAX];
    struct str rest = str_of(option("words")->preset);
    unsigned long long min_length = 0;
    size_t n = 0;

    while (n < WORDS_MAX && str_word(&rest, &words[n]))
        n++;
    if (!str_to_u64(str_of(option("min_length")->preset), 63, &min_length))
        die("no length");
    return (struct lookalike_terms){ { words, n }, min_length };
}

static bool next_line(char *line, struct str *text)
{
    if (fgets(line, LINE_MAX_OCTETS, stdin) == NULL)
        return false;
    *text = str_from(line, strcspn(line, "\n"));
    return true;
}

static void judge_domain(struct str text, char **ours, int n, const struct lookalike_terms *terms)
{
    static struct lookalike_name a, b;
    char room[PATH_DOMAIN_MAX + 1];
    struct str name = domain_canonical(text, room);

    if (name.n == 0)
        die("a line that is no domain");
    lookalike_read(name, &a);
    for (int i = 0; i < n; i++) {
        enum resemblance kind;

        lookalike_read(str_of(ours[i]), &b);
        kind = lookalike_compare(&a, &b, terms);
        if (kind != LOOKALIKE_NONE && !domain_is_within(name, str_of(ours[i]))) {
            printf("%s %s\n", resemblance_name(kind), ours[i]);
            return;
        }
    }
    printf("none\n");
}

static bool is_person(struct str shown, struct str person)
{
    for (int as = PERSON_AS_WRITTEN; as <= PERSON_SMALL; as++) {
        static struct person_name a, b;

        person_name_init(&a, (enum person_case)as);
        person_name_add(&a, shown);
        person_name_init(&b, (enum person_case)as);
        person_name_add(&b, person);
        if (person_name_is(&a, &b))
            return true;
    }
    return false;
}

static void judge_from(struct str value, char **persons, int n)
{
    char room[DISPLAY_NAME_MAX];
    struct mailbox_list list;
    struct mailbox mailbox;

    mailbox_list_init(&list, value);
    while (mailbox_next(&list, &mailbox)) {
        struct str shown = display_name_read(mailbox_name(&mailbox), room);

        for (int i = 0; i < n; i++)
            if (is_person(shown, str_of(persons[i]))) {
                printf("%s\n", persons[i]);
                return;
            }
    }
    printf("none\n");
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_OCTETS];
    struct lookalike_terms terms = default_terms();
    struct str text;

    if (argc < 2 || (strcmp(argv[1], "domains") != 0 && strcmp(argv[1], "persons") != 0))
        die("domains or persons");
    while (next_line(line, &text)) {
        if (argv[1][0] == 'd')
            judge_domain(text, argv + 2, argc - 2, &terms);
        else
            judge_from(text, argv + 2, argc - 2);
    }
    return EXIT_SUCCESS;
}
