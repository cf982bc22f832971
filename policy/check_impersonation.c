/* Display names of people whom others write under: "Erika Mustermann <x1@mail.example>". Most programs show the name alone, and
 * DMARC has nothing to say about it (RFC 9989 2.4). And names that are an address of ours, in front of another one.
 */
#include "display_name.h"
#include "header.h"
#include "mailbox.h"
#include "person_name.h"
#include "rule.h"

enum { MAILBOXES_MAX = 8 /* of From that are looked at: what the first ones say is shown */ };

/* One mailbox of From. A few kilobytes, in the pass's arena. */
struct shown {
    struct person_name name[2]; /* by enum person_case */
    struct person_name person;  /* one spelling of the person it is compared with */
    char room[DISPLAY_NAME_MAX];
    char domain_room[PATH_DOMAIN_MAX + 1], other_room[PATH_DOMAIN_MAX + 1];
    struct str text; /* the display name, decoded */
    struct str local;
    struct str domain; /* canonical; empty when it is none */
};

static struct str canonical(struct str domain, char room[PATH_DOMAIN_MAX + 1])
{
    if (domain.n == 0 || domain.n > PATH_DOMAIN_MAX || domain.p[0] == '[')
        return STR("");
    return domain_canonical(domain, room);
}

static void read_mailbox(struct shown *shown, const struct mailbox *mailbox)
{
    shown->text = display_name_read(mailbox_name(mailbox), shown->room);
    shown->local = mailbox->local;
    shown->domain = canonical(mailbox->domain, shown->domain_room);
    for (int as = PERSON_AS_WRITTEN; as <= PERSON_SMALL; as++) {
        person_name_init(&shown->name[as], (enum person_case)as);
        person_name_add(&shown->name[as], shown->text);
    }
}

/* ---- the people listed ---- */

/* "erika@example.net" is that address, "example.net" or "@example.net" any at this domain or below it. */
static bool is_address(struct shown *shown, struct str listed)
{
    size_t at = str_find(listed, '@');
    bool is_whole = at > 0 && at < listed.n;
    struct str domain = canonical(at < listed.n ? str_skip(listed, at + 1) : listed, shown->other_room);

    if (is_whole)
        return str_eq(domain, shown->domain) && str_ieq(str_from(listed.p, at), shown->local);
    return domain_is_within(shown->domain, domain);
}

static bool may_write_from(struct shown *shown, const struct person *person)
{
    for (size_t i = 0; i < person->addresses.n; i++)
        if (is_address(shown, person->addresses.item[i]))
            return true;
    return false;
}

static bool is_spelled(struct shown *shown, const struct str_list *words)
{
    for (int as = PERSON_AS_WRITTEN; as <= PERSON_SMALL; as++) {
        person_name_init(&shown->person, (enum person_case)as);
        for (size_t i = 0; i < words->n; i++)
            person_name_add(&shown->person, words->item[i]);
        if (person_name_is(&shown->name[as], &shown->person))
            return true;
    }
    return false;
}

/* Whose name it is, of those who may not write from there; NULL: nobody's. */
static const struct person *find_person(struct pass *pass, struct shown *shown)
{
    const struct section_list *persons = &pass->policy->impersonation.persons;
    const struct person *person = persons->item;

    for (size_t i = 0; i < persons->n; i++)
        if ((is_spelled(shown, &person[i].spelled) || is_spelled(shown, &person[i].also)) &&
            !may_write_from(shown, &person[i]))
            return &person[i];
    return NULL;
}

/* ---- addresses in display names ---- */

static bool is_name_octet(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '.' || (unsigned char)c >= 0x80;
}

/* The domain of the first address within the name, canonical; empty when there is none. */
static struct str named_domain(struct shown *shown)
{
    for (struct str s = shown->text; s.n > 0; s = str_skip(s, 1)) {
        size_t n = 0;
        struct str domain;

        if (s.p[0] != '@')
            continue;
        while (n + 1 < s.n && is_name_octet(s.p[n + 1]))
            n++;
        while (n > 0 && s.p[n] == '.') /* of the sentence */
            n--;
        domain = canonical(str_from(s.p + 1, n), shown->other_room);
        if (str_find(domain, '.') < domain.n)
            return domain;
    }
    return STR("");
}

/* ---- judging ---- */

static bool object(struct pass *pass, struct str text, struct str reason)
{
    struct objection objection = {
        .code = 550,
        .enhanced = "5.7.1",
        .text = text,
        .reason = reason,
    };

    return pass_object(pass, &check_impersonation, &pass->policy->impersonation.rule, &objection);
}

static bool judge_person(struct pass *pass, struct shown *shown)
{
    const struct person *person = find_person(pass, shown);

    if (person == NULL)
        return false;
    object(pass, STR("Display name is that of somebody with another address"),
           arena_printf(pass->arena, "name of %.*s at %.*s", STR_ARG(person->name), STR_ARG(shown->domain)));
    return true;
}

/* What is no address of ours is told only: senders of newsletters and forms put theirs there. */
static bool judge_address(struct pass *pass, struct shown *shown)
{
    struct str other = named_domain(shown);
    struct str reason;

    if (other.n == 0 || domain_is_within(shown->domain, other) || domain_is_within(other, shown->domain))
        return false;
    reason = arena_printf(pass->arena, "address at %.*s named, at %.*s", STR_ARG(other), STR_ARG(shown->domain));
    if (!domain_set_holds(&pass->policy->relay.domains, other)) {
        pass_find(pass, &check_impersonation, "other-address", reason);
        return false;
    }
    object(pass, STR("Display name holds an address of another domain"), reason);
    return true;
}

/* True when something was held against it. */
static bool judge_field(struct pass *pass, struct shown *shown, struct str value)
{
    struct mailbox_list list;
    struct mailbox mailbox;

    mailbox_list_init(&list, value);
    for (int i = 0; i < MAILBOXES_MAX && mailbox_next(&list, &mailbox); i++) {
        read_mailbox(shown, &mailbox);
        if (shown->text.n == 0 || domain_set_holds(&pass->policy->relay.domains, shown->domain))
            continue;
        if (judge_person(pass, shown) || judge_address(pass, shown))
            return true;
    }
    return false;
}

static void run(struct pass *pass)
{
    struct header_field field;
    struct shown *shown;

    if (pass->policy->impersonation.rule.mode == RULE_OFF || policy_is_exempt(pass->policy, pass->envelope))
        return;
    shown = arena_take(pass->arena, sizeof *shown);
    if (shown == NULL) {
        pass_find(pass, &check_impersonation, "limit", STR("out of memory"));
        return;
    }
    for (struct str rest = pass->message->header; header_next(&rest, &field);)
        if (header_is(&field, STR("From")) && judge_field(pass, shown, field.value))
            return;
}

#define PERSON(field) offsetof(struct person, field)

/* clang-format off */
static const struct option person_rows[] = {
    { .section = "person", .key = "spelled", .type = OPTION_WORDS, .offset = PERSON(spelled), .max = 16, .required = true,
      .help = "The name as mail programs show it, in UTF-8: Erika Mustermann. The order of the words, case, marks and punctuation "
              "do not matter, nor do other words beside two or more." },
    { .section = "person", .key = "also", .type = OPTION_WORDS, .offset = PERSON(also), .max = 16,
      .help = "Another spelling: E. Mustermann. For more of them there may be more sections." },
    { .section = "person", .key = "addresses", .type = OPTION_WORDS, .offset = PERSON(addresses), .max = 64,
      .help = "Where this person writes from besides the local domains: addresses (erika@example.net) or domains (example.net, "
              "with those below it), mailing lists and services that write in people's names among them." },
};

static const struct repeated lists[] = {
    { "person", "erika", person_rows, sizeof person_rows / sizeof *person_rows, offsetof(struct policy, impersonation.persons),
      sizeof(struct person), 500, "Somebody whose name impostors use: the managing director, the payroll office." },
};

static const struct option options[] = {
    RULE_ROWS("impersonation", offsetof(struct policy, impersonation.rule), "score", "5"),
};
/* clang-format on */

const struct check check_impersonation = {
    .name = "impersonation",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Display names in From that are those of people of yours (see [person NAME]) and come from another address, or that "
            "are themselves an address of a local domain. Encoded words are decoded; case, marks and letters that look alike "
            "in other scripts make no difference. The reason names the person.",
    .rule = offsetof(struct policy, impersonation.rule),
    .lists = lists,
    .lists_n = sizeof lists / sizeof *lists,
};
