/* Exactly one author domain (ORACLE P-8, ATTACKS E). DMARC judges a message by the domain in its From, and has nothing to judge
 * where that cannot be told for certain: RFC 9989 11.5 leaves it to the receiver to see the threat in that. Here such a message
 * is refused, so that what is delivered has one reading, the one that was authenticated. From is never rewritten.
 *
 * 5.6.0: the header section or From is malformed or has two readings. 5.7.26: it is well formed, but there is no single domain
 * to authenticate.
 */
#include "author.h"
#include "policy.h"

static const struct judgement {
    const char *result;
    const char *enhanced;
    const char *text;
} judgements[AUTHOR_FAULTS] = {
    [AUTHOR_CERTAIN] = { "one", "", "" },
    [AUTHOR_LINE_END] = { "false-line-end", "5.6.0", "Header section has a line end other than CRLF" },
    [AUTHOR_NO_FIELD] = { "no-field", "5.6.0", "Header section has a line that is no header field (RFC 5322 2.2)" },
    [AUTHOR_REPEATED] = { "repeated", "5.6.0", "Header field must not be repeated (RFC 5322 3.6)" },
    [AUTHOR_BLANK] = { "blank", "5.6.0", "From has blanks before its colon" },
    [AUTHOR_MALFORMED] = { "malformed", "5.6.0", "From is malformed or ambiguous (RFC 5322 3.6.2)" },
    [AUTHOR_BAD_DOMAIN] = { "bad-domain", "5.6.0", "From holds an invalid domain name" },
    [AUTHOR_MISSING] = { "missing", "5.7.26", "Message has no From, so its author cannot be authenticated" },
    [AUTHOR_UNNAMED] = { "no-domain", "5.7.26", "From names no domain, so its author cannot be authenticated" },
    [AUTHOR_LITERAL] = { "literal", "5.7.26", "From holds an address literal, which cannot be authenticated" },
    [AUTHOR_SEVERAL] = { "several", "5.7.26",
                         "From names several domains, which cannot be authenticated as one author" },
};

/* "repeated: Subject" */
static struct str explain(struct pass *pass, const struct author *author)
{
    const char *result = judgements[author->fault].result;

    if (author->fault == AUTHOR_CERTAIN)
        return arena_printf(pass->arena, "%s: %.*s", result, STR_ARG(author->domain));
    if (author->detail[0] != '\0')
        return arena_printf(pass->arena, "%s: %s", result, author->detail);
    return str_of(result);
}

/* "Header field must not be repeated (RFC 5322 3.6): Subject" */
static struct str reply(struct pass *pass, const struct author *author)
{
    struct str text = str_of(judgements[author->fault].text);

    if (author->detail[0] != '\0') {
        struct str detailed = arena_printf(pass->arena, "%.*s: %s", STR_ARG(text), author->detail);

        if (detailed.p != NULL)
            return detailed;
    }
    return text;
}

static void refuse(struct pass *pass, const struct author *author, struct str reason)
{
    pass_refuse(pass, &check_author, 550, judgements[author->fault].enhanced, reply(pass, author), reason);
}

static void run(struct pass *pass)
{
    struct authentication *auth = &pass->outcome->auth;
    char *room = arena_take(pass->arena, PATH_DOMAIN_MAX + 1);
    struct author author;
    struct str reason;

    auth->is_exempt = policy_is_exempt(pass->policy, pass->envelope);
    if (room == NULL) { /* without an author DMARC would judge nothing */
        if (!auth->is_exempt)
            pass_refuse(pass, &check_author, 451, "4.3.0", STR("Out of memory, try again"), STR("limit"));
        return;
    }
    author_read(pass->message->header, room, &author);
    auth->author = author.domain;
    reason = explain(pass, &author);
    pass_find(pass, &check_author, judgements[author.fault].result, reason);
    if (pass->policy->author.strict && !auth->is_exempt && author.fault != AUTHOR_CERTAIN)
        refuse(pass, &author, reason);
}

#define AUTHOR(field) offsetof(struct policy, author.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "author", .key = "strict", .type = OPTION_BOOL, .offset = AUTHOR(strict), .preset = "yes",
      .help = "Refuse messages that name no author domain or several, and those whose header section or From one program reads "
              "otherwise than another. Dangerous to turn off: such a message then counts as one without an author domain, "
              "which DMARC does not judge, and the recipient's program may show any domain it likes." },
};
/* clang-format on */

const struct check check_author = {
    .name = "author",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Who wrote a message: the one domain in its From field, which DMARC goes by. Mail of authenticated clients "
            "and of "
            "those in [relay] networks is not judged.",
};
