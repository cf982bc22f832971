/* Block lists and welcome lists of the DNS: of clients (DNSBL, DNSWL) and of domains in HELO, MAIL FROM and From (RHSBL); RFC
 * 5782, RFC 6471.
 *
 * What lists say is added up, each list once with the most it has said, and weighed against a threshold, as in Postfix'
 * postscreen. They are asked as soon as there is something to ask about, while nobody waits, and judged at RCPT, so that the
 * postmaster and authenticated clients are heard; the author's domain, by itself, with the header.
 *
 * Only an address that the operator has named is a listing. No answer is none, nor is what a list says to those whose questions
 * it does not take, nor what a resolver puts in the place of answers (list.h); nor is anything that a list says while it
 * fails its self-test (RFC 5782 5).
 *
 * Questions of a session (ORACLE D-1): one a list for the client, and 1 + `parents` a list for each of the three domains; what
 * is above limits.facts reads LIMIT, which is no listing.
 */
#include "list.h"
#include "rule.h"

/* Who is asked about, and what lists said of them. */
struct asking {
    struct pass *pass;
    const struct fact *broken;           /* names of lists that are not to be asked; NULL: none */
    struct str subject[LIST_IDENTITIES]; /* empty: nobody to ask about */
    int64_t sum;                         /* of all that is known */
    int64_t least, most;                 /* what it may come to, by the answers that were worth waiting for */
    struct str silent;                   /* the list that has not given one */
    struct heard {
        const struct list_policy *list;
        uint64_t points; /* 0: nothing */
        enum list_of of;
        struct str subject, address;
        struct str alarm, other; /* addresses that are no listing */
        bool is_silent;
    } worst, best; /* of the block lists, of the welcome lists: the one with the most points */
    unsigned blocks;
};

static const char *const identity_names[LIST_IDENTITIES] = {
    [LIST_CLIENT] = "client", [LIST_HELO] = "HELO", [LIST_MAIL_FROM] = "MAIL FROM", [LIST_FROM] = "From"
};

/* ---- who ---- */

/* Names of one label and addresses are in no list of domains. */
static struct str domain_subject(struct str domain, char room[PATH_DOMAIN_MAX + 1])
{
    struct str name = domain_canonical(domain, room);
    struct address address;

    return domain_is_valid(name) && str_find(name, '.') < name.n && !address_parse(name, &address) ? name : STR("");
}

struct rooms {
    char client[ADDRESS_TEXT_MAX];
    char domain[LIST_IDENTITIES][PATH_DOMAIN_MAX + 1];
};

static void find_subjects(struct asking *a, struct rooms *rooms)
{
    const struct envelope *envelope = a->pass->envelope;

    if (a->pass->stage >= AT_HEADERS) {
        a->subject[LIST_FROM] = domain_subject(a->pass->outcome->auth.author, rooms->domain[LIST_FROM]);
        return;
    }
    if (list_asks_about(&envelope->client.address))
        a->subject[LIST_CLIENT] = str_from(rooms->client, address_print(&envelope->client.address, rooms->client));
    a->subject[LIST_HELO] = domain_subject(envelope->helo, rooms->domain[LIST_HELO]);
    if (envelope->mail_from != NULL)
        a->subject[LIST_MAIL_FROM] = domain_subject(envelope->mail_from->domain, rooms->domain[LIST_MAIL_FROM]);
}

/* ---- one list ---- */

static bool is_asked(const struct asking *a, const struct list_policy *list, enum list_of of)
{
    bool is_v4 = address_is_v4(&a->pass->envelope->client.address);

    return (list->of & 1u << of) && a->subject[of].n > 0 &&
           (of != LIST_CLIENT || (list->addresses & 1u << (is_v4 ? LIST_IPV4 : LIST_IPV6)));
}

static void hear(struct asking *a, struct heard *h, enum list_of of, struct str subject, struct str name)
{
    const struct fact *fact = name.n > 0 ? pass_ask(a->pass, ASK_A, name) : NULL;
    uint64_t points;

    if (fact == NULL)
        return;
    h->is_silent = h->is_silent || fact->state == FACT_TEMP || fact->state == FACT_LIMIT;
    for (size_t i = 0; i < fact->n; i++) {
        enum list_word word = list_read(h->list, fact->value[i], &points);

        if (word == LIST_SAYS_ALARM) {
            h->alarm = fact->value[i];
        } else if (word == LIST_SAYS_NOTHING) {
            h->other = fact->value[i];
        } else if (points > h->points) {
            h->points = points;
            h->of = of;
            h->subject = subject;
            h->address = fact->value[i];
        }
    }
}

static void hear_client(struct asking *a, struct heard *h)
{
    const struct address *client = &a->pass->envelope->client.address;
    char room[LIST_NAME_MAX + 1];

    hear(a, h, LIST_CLIENT, a->subject[LIST_CLIENT],
         str_from(room, list_address_name(client, false, h->list->zone, room)));
}

/* The name itself, and so many above it; those of one label belong to nobody. */
static void hear_domain(struct asking *a, struct heard *h, enum list_of of)
{
    struct str domain = a->subject[of];
    char room[LIST_NAME_MAX + 1];

    for (uint64_t i = 0; i <= h->list->parents && str_find(domain, '.') < domain.n; i++) {
        hear(a, h, of, domain, str_from(room, list_domain_name(domain, h->list->zone, room)));
        domain = str_skip(domain, str_find(domain, '.') + 1);
    }
}

static void hear_list(struct asking *a, struct heard *h)
{
    for (enum list_of of = LIST_CLIENT; of < LIST_IDENTITIES; of++) {
        if (!is_asked(a, h->list, of))
            continue;
        if (of == LIST_CLIENT)
            hear_client(a, h);
        else
            hear_domain(a, h, of);
    }
}

/* ---- all of them ---- */

static void find_trouble(struct asking *a, const struct heard *h)
{
    struct arena *arena = a->pass->arena;
    struct str name = h->list->name;

    if (h->alarm.n > 0) {
        struct str key = arena_printf(arena, "%.*s %.*s", STR_ARG(name), STR_ARG(h->alarm));

        pass_find(a->pass, &check_lists, "alarm",
                  arena_printf(arena, "%.*s answered %.*s, which is no listing", STR_ARG(name), STR_ARG(h->alarm)));
        pass_effect(a->pass, ASK_LIST, key, LIST_ALARMED);
    }
    if (h->other.n > 0)
        pass_find(
            a->pass, &check_lists, "other-code",
            arena_printf(arena, "%.*s answered %.*s, which is not among its codes", STR_ARG(name), STR_ARG(h->other)));
    if (h->is_silent) {
        pass_find(a->pass, &check_lists, "no-answer", arena_printf(arena, "no answer from %.*s", STR_ARG(name)));
        pass_effect(a->pass, ASK_LIST, name, LIST_SILENT);
    }
}

/* "client 192.0.2.1 is listed by zen.example (127.0.0.2)" */
static struct str describe(struct asking *a, const struct heard *h)
{
    if (h->list == NULL)
        return STR("nothing");
    return arena_printf(a->pass->arena, "%s %.*s is %s %.*s (%.*s)", identity_names[h->of], STR_ARG(h->subject),
                        h->list->kind == LIST_WELCOME ? "welcome to" : "listed by", STR_ARG(h->list->name),
                        STR_ARG(h->address));
}

/* The most that an answer could have said. */
static uint64_t points_possible(const struct list_policy *list)
{
    uint64_t most = 0;

    for (size_t i = 0; i < list->codes.n; i++) {
        uint64_t points = list->codes.item[i].points > 0 ? list->codes.item[i].points : list->points;

        most = points > most ? points : most;
    }
    return most;
}

static void add_doubt(struct asking *a, const struct heard *h)
{
    int64_t more = (int64_t)points_possible(h->list) - (int64_t)h->points;

    if (!h->is_silent || h->list->temperror != TEMPERROR_TEMPFAIL || more <= 0)
        return;
    a->silent = h->list->name;
    if (h->list->kind == LIST_WELCOME)
        a->least -= more;
    else
        a->most += more;
}

static void add(struct asking *a, const struct heard *h)
{
    bool is_welcome = h->list->kind == LIST_WELCOME;
    struct heard *first = is_welcome ? &a->best : &a->worst;
    int64_t points = is_welcome ? -(int64_t)h->points : (int64_t)h->points;

    find_trouble(a, h);
    add_doubt(a, h);
    if (h->points == 0)
        return;
    pass_find(a->pass, &check_lists, is_welcome ? "welcome" : "listed", describe(a, h));
    a->sum += points;
    a->least += points;
    a->most += points;
    a->blocks += !is_welcome;
    if (h->points > first->points)
        *first = *h;
}

static bool is_broken(const struct asking *a, const struct list_policy *list)
{
    for (size_t i = 0; a->broken != NULL && i < a->broken->n; i++)
        if (str_eq(a->broken->value[i], list->name))
            return true;
    return false;
}

static void ask_lists(struct asking *a)
{
    const struct section_list *lists = &a->pass->policy->list;

    for (size_t i = 0; i < lists->n; i++) {
        struct heard h = { .list = (const struct list_policy *)lists->item + i };

        if (is_broken(a, h.list)) {
            pass_find(a->pass, &check_lists, "broken", h.list->name);
            continue;
        }
        hear_list(a, &h);
        add(a, &h);
    }
}

/* ---- what comes of it ---- */

static struct str reply_text(struct asking *a)
{
    static const char *const words[LIST_IDENTITIES] = { [LIST_CLIENT] = "Client",
                                                        [LIST_HELO] = "HELO name",
                                                        [LIST_MAIL_FROM] = "Sender domain",
                                                        [LIST_FROM] = "Author domain" };
    const struct heard *h = &a->worst;
    struct str more = h->list != NULL ? h->list->reply : STR("");
    struct str text = STR("");

    if (h->list != NULL)
        text = arena_printf(a->pass->arena, "%s %.*s is listed by %.*s%s%.*s", words[h->of], STR_ARG(h->subject),
                            STR_ARG(h->list->name), more.n > 0 ? "; " : "", STR_ARG(more));
    return text.n > 0 ? text : STR("Listed by a block list");
}

/* The worst of it, and what all came to. */
static struct str reason(struct asking *a)
{
    struct str first = describe(a, a->worst.points > 0 ? &a->worst : &a->best);
    unsigned others = a->blocks > 1 ? a->blocks - 1 : 0;
    struct str text = others > 0 ? arena_printf(a->pass->arena, "%.*s and by %u more", STR_ARG(first), others) : first;

    return arena_printf(a->pass->arena, "%.*s: %s%llu points of %llu", STR_ARG(text), a->sum < 0 ? "-" : "",
                        (unsigned long long)(a->sum < 0 ? -a->sum : a->sum),
                        (unsigned long long)a->pass->policy->lists.threshold);
}

/* What this check has counted in the stages before. */
static int64_t points_before(const struct pass *pass)
{
    const struct score_list *before = pass->envelope->scores;

    for (size_t i = 0; before != NULL && i < before->n; i++)
        if (strcmp(before->item[i].check, check_lists.name) == 0)
            return before->item[i].points;
    return 0;
}

/* What was said AT_HEADERS is among the points before AT_END. */
static void score(struct asking *a)
{
    struct objection o = { .points = a->sum };

    if (a->sum == 0 || a->pass->stage == AT_END)
        return;
    if (a->pass->stage >= AT_HEADERS) {
        o.points += points_before(a->pass);
        o.is_sum = true;
    }
    o.reason = reason(a);
    pass_object(a->pass, &check_lists, &a->pass->policy->lists.rule, &o);
}

static void refuse(struct asking *a)
{
    struct objection o = { .code = a->pass->stage == AT_CONNECT ? 554 : 550, .enhanced = "5.7.1" };

    o.text = reply_text(a);
    o.reason = reason(a);
    pass_object(a->pass, &check_lists, &a->pass->policy->lists.rule, &o);
}

static void defer(struct asking *a)
{
    struct objection o = { .code = 451, .enhanced = "4.7.1" };

    o.reason = arena_printf(a->pass->arena, "no answer from %.*s", STR_ARG(a->silent));
    o.text = arena_printf(a->pass->arena, "No answer from %.*s, try again", STR_ARG(a->silent));
    if (o.text.p == NULL)
        o.text = STR("No answer from a list, try again");
    pass_object(a->pass, &check_lists, &a->pass->policy->lists.rule, &o);
}

static void judge(struct asking *a)
{
    const struct lists_policy *policy = &a->pass->policy->lists;
    int64_t threshold = (int64_t)policy->threshold;

    if (policy->rule.mode == RULE_SCORE)
        score(a);
    else if (a->least >= threshold)
        refuse(a);
    else if (a->most >= threshold)
        defer(a);
}

/* ---- the run ---- */

static bool has_work(const struct asking *a)
{
    const struct section_list *lists = &a->pass->policy->list;

    for (size_t i = 0; i < lists->n; i++)
        for (enum list_of of = LIST_CLIENT; of < LIST_IDENTITIES; of++)
            if (is_asked(a, (const struct list_policy *)lists->item + i, of))
                return true;
    return false;
}

static bool is_judged(const struct pass *pass)
{
    const struct lists_policy *policy = &pass->policy->lists;

    if (pass->stage == AT_CONNECT)
        return policy->early && policy->rule.mode == RULE_REJECT;
    return pass->stage >= AT_RCPT;
}

/* What the header was given points for is among those of the stages before when the message ends. */
static bool is_on(const struct pass *pass)
{
    int mode = pass->policy->lists.rule.mode;

    return mode != RULE_OFF && pass->policy->list.n > 0 && !(mode == RULE_SCORE && pass->stage == AT_END);
}

static void run(struct pass *pass)
{
    struct asking a = { .pass = pass };
    struct rooms rooms;

    if (!is_on(pass) || policy_is_exempt(pass->policy, pass->envelope))
        return;
    find_subjects(&a, &rooms);
    if (!has_work(&a))
        return;
    a.broken = pass_ask(pass, ASK_LIST, STR("broken"));
    if (a.broken != NULL)
        ask_lists(&a);
    if (!is_judged(pass))
        pass_look_ahead(pass);
    else if (!pass->pending)
        judge(&a);
}

#define LISTS(field) offsetof(struct policy, lists.field)
#define LIST(field) offsetof(struct list_policy, field)

static const char *const identities[] = { "client", "helo", "mail_from", "from", NULL };
static const char *const families[] = { "ipv4", "ipv6", NULL };
static const char *const kinds[] = { "block", "welcome", NULL };
static const char *const temperrors[] = { "tempfail", "accept", NULL };

/* clang-format off */
static const struct option options[] = {
    { .section = "lists", .key = "mode", .type = OPTION_CHOICE, .offset = LISTS(rule.mode), .preset = "reject",
      .choices = rule_modes,
      .help = "off: no list is asked. monitor: who would be refused is told in the log. score: the sum of points goes into the "
              "message's score, whatever the threshold. reject: refused from the threshold on." },
    { .section = "lists", .key = "threshold", .type = OPTION_NUMBER, .offset = LISTS(threshold), .preset = "5", .min = 1,
      .max = 1000, .unit = "points",
      .help = "What block lists say of client, HELO and MAIL FROM, less what welcome lists say, is refused from here on. The author's "
              "domain is weighed by itself." },
    { .section = "lists", .key = "early", .type = OPTION_BOOL, .offset = LISTS(early), .preset = "no",
      .help = "With mode = reject, refuse listed clients before the greeting, which waits for the answers. Then mail of theirs to the "
              "postmaster is not heard, nor can they authenticate." },
};

static const struct option rows[] = {
    { .section = "list", .key = "zone", .type = OPTION_NAME, .offset = LIST(zone),
      .help = "The domain that is asked. When left out it is the NAME of the section, which is what clients and the log are "
              "told: a zone with a key of your own in it stays secret." },
    { .section = "list", .key = "of", .type = OPTION_SET, .offset = LIST(of), .preset = "client", .choices = identities,
      .help = "What it is asked about: the client's address, or the domain of HELO, of MAIL FROM, or of From." },
    { .section = "list", .key = "codes", .type = OPTION_LIST_CODES, .offset = LIST(codes), .required = true, .max = 32,
      .help = "The addresses in its answers that are listings, such as 127.0.0.2-11 or 127.0.2-20.3, each with points of its "
              "own behind a colon if need be. All others are none." },
    { .section = "list", .key = "kind", .type = OPTION_CHOICE, .offset = LIST(kind), .preset = "block", .choices = kinds,
      .help = "block: its points speak against a client. welcome: they are taken off." },
    { .section = "list", .key = "points", .type = OPTION_NUMBER, .offset = LIST(points), .preset = "5", .min = 1, .max = 100,
      .unit = "points", .help = "What a listing weighs. A list counts once, with the most it has said." },
    { .section = "list", .key = "parents", .type = OPTION_NUMBER, .offset = LIST(parents), .preset = "1", .max = 4, .unit = "names",
      .help = "How many names above a domain are asked about, too: with 1, example.org for mail.example.org." },
    { .section = "list", .key = "addresses", .type = OPTION_SET, .offset = LIST(addresses), .preset = "ipv4", .choices = families,
      .help = "The clients it is asked about, when it is about clients: not every list has any for ipv6." },
    { .section = "list", .key = "timeout", .type = OPTION_SECONDS, .offset = LIST(timeout), .preset = "3s", .min = 100, .max = 30000,
      .help = "The longest that a session waits for its answers. [timeouts] verdict ends it in any case." },
    { .section = "list", .key = "temperror", .type = OPTION_CHOICE, .offset = LIST(temperror), .preset = "accept",
      .choices = temperrors,
      .help = "When it gives no answer: accept takes that for no listing. tempfail, with mode = reject, answers 451 where the "
              "answer could have made a difference." },
    { .section = "list", .key = "self_test", .type = OPTION_BOOL, .offset = LIST(self_test), .preset = "yes",
      .help = "Ask it at the start and daily for the entries that every list must have and must not have (RFC 5782 5: 127.0.0.2 and "
              "127.0.0.1; for domains test and invalid). While it fails it is not used, and tested hourly." },
    { .section = "list", .key = "reply", .type = OPTION_TEXT, .offset = LIST(reply),
      .help = "What a client that is refused is told besides, such as where to have itself delisted." },
};

static const struct repeated lists[] = {
    { "list", "zen.example.org", rows, sizeof rows / sizeof *rows, offsetof(struct policy, list), sizeof(struct list_policy),
      LISTS_MAX,
      "A list of the DNS (DNSBL, DNSWL, RHSBL). Nobody is asked unless you say so: most lists have terms of use, and do not answer "
      "questions that come by way of large public resolvers." },
};
/* clang-format on */

const struct check check_lists = {
    .name = "lists",
    .stages = 1u << AT_CONNECT | 1u << AT_HELO | 1u << AT_MAIL | 1u << AT_RCPT | 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Clients and domains that lists of the DNS warn of, or vouch for. Each list is a section [list NAME].",
    .rule = offsetof(struct policy, lists.rule),
    .lists = lists,
    .lists_n = sizeof lists / sizeof *lists,
};
