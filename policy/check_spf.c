/* The SPF check (RFC 7208): finds out what the HELO name and the domain of MAIL FROM say about the client.
 *
 * It judges only AT_RCPT and only for operators who want it so (`fail = reject`); otherwise what becomes of a result is
 * for DMARC, or for check_spf_alone.c where DMARC has nothing to say. A HELO name is recorded and never refused for.
 */
#include "spf.h"

#include "check_spf.h"

/* Clients whose mail is not judged: those that may relay through us (RFC 7208 2.5: SPF is for the border), and those
 * whose SPF says nothing, because they forward to us.
 */
static const char *why_not(const struct pass *pass)
{
    if (policy_is_exempt(pass->policy, pass->envelope))
        return "exempt";
    return network_list_holds(&pass->policy->spf.skip, &pass->envelope->client.address) ? "skipped" : NULL;
}

static struct spf_query make_query(const struct pass *pass)
{
    return (struct spf_query){
        .client = pass->envelope->client.address,
        .helo = pass->envelope->helo,
        .receiver = pass->policy->hostname,
        .now = pass->envelope->now,
        .explain = pass->policy->spf.explanation,
    };
}

/* The HELO name as a domain in `room`; empty for an address literal and for what is no name (RFC 7208 2.3). */
static struct str helo_domain(const struct pass *pass, char room[PATH_DOMAIN_MAX + 1])
{
    struct str helo = pass->envelope->helo;

    if (helo.n > 0 && helo.p[helo.n - 1] == '.')
        helo.n--;
    return domain_is_valid(helo) ? domain_canonical(helo, room) : STR("");
}

/* Both names are kept: they go into the results. Without room for them it is our trouble, and no "none". */
static void check_host(struct pass *pass, const char *identity, struct str local, struct str domain,
                       struct spf_result *out)
{
    struct spf_query query = make_query(pass);

    query.sender = arena_printf(pass->arena, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain));
    query.domain = domain.n > 0 ? arena_copy(pass->arena, domain) : STR("");
    if (query.sender.n > 0 && query.domain.p != NULL)
        spf_check_host(pass, &query, out);
    else
        *out = (struct spf_result){ .result = AUTH_TEMPERROR, .reason = STR_INIT("out of memory") };
    out->identity = identity;
}

static void check_helo_identity(struct pass *pass, struct spf_result *out)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str domain = helo_domain(pass, room);

    if (domain.n > 0)
        check_host(pass, "helo", STR("postmaster"), domain, out);
}

/* RFC 7208 2.4: the null reverse-path stands for postmaster at the HELO name. */
static void check_mail_from(struct pass *pass, struct spf_result *out)
{
    const struct path *path = pass->envelope->mail_from;
    char room[PATH_DOMAIN_MAX + 1];

    if (path == NULL)
        return;
    if (path->is_null)
        check_host(pass, "mailfrom", STR("postmaster"), helo_domain(pass, room), out);
    else
        check_host(pass, "mailfrom", path->unquoted, domain_canonical(path->domain, room), out);
}

/* "mailfrom example.org: include:_spf.example.net". Neither is there when a domain has no record. */
static struct str describe(struct pass *pass, const struct spf_result *result)
{
    struct str what = result->reason.n > 0 ? result->reason : result->mechanism;
    bool is_named = result->domain.n > 0;

    return arena_printf(pass->arena, "%s%s%.*s%s%.*s", result->identity, is_named ? " " : "", STR_ARG(result->domain),
                        what.n > 0 ? ": " : "", STR_ARG(what));
}

static void find(struct pass *pass, const struct spf_result *result)
{
    if (result->result != AUTH_ABSENT && result->result != AUTH_PENDING)
        pass_find(pass, &check_spf, auth_result_name(result->result), describe(pass, result));
}

static void run_at_rcpt(struct pass *pass)
{
    struct spf_result *result = &pass->outcome->auth.mail_from;

    /* RFC 5321 4.5.1, ORACLE P-10: the postmaster hears everybody. */
    if (pass->policy->spf.fail != SPF_FAIL_REJECT || path_is_postmaster(pass->envelope->rcpt))
        return;
    check_mail_from(pass, result);
    find(pass, result);
    if (result->result == AUTH_FAIL)
        spf_refuse_fail(pass, &check_spf, result);
    else if (result->result == AUTH_TEMPERROR && pass->policy->spf.temperror == TEMPERROR_TEMPFAIL)
        spf_refuse_temperror(pass, &check_spf, result);
    else if (result->result == AUTH_PERMERROR && pass->policy->spf.permerror_rejects)
        spf_refuse_permerror(pass, &check_spf, result);
}

static void run(struct pass *pass)
{
    struct authentication *auth = &pass->outcome->auth;
    const char *reason = why_not(pass);

    if (!pass->policy->spf.check)
        return;
    if (reason != NULL) {
        if (pass->stage != AT_DATA && (pass->stage != AT_RCPT || pass->policy->spf.fail == SPF_FAIL_REJECT))
            pass_find(pass, &check_spf, reason, STR(""));
        return;
    }
    if (pass->stage == AT_RCPT) {
        run_at_rcpt(pass);
        return;
    }
    check_helo_identity(pass, &auth->helo);
    check_mail_from(pass, &auth->mail_from);
    if (pass->stage == AT_DATA) { /* the answers are here when the headers are */
        pass_look_ahead(pass);
        return;
    }
    find(pass, &auth->helo);
    find(pass, &auth->mail_from);
}

/* ---- refusals, also for check_spf_alone.c ---- */

enum { REPLY_MAX = 200, SHOWN_DOMAIN_MAX = 80 };

/* Text for a reply: what is too long is cut, and without memory there is still a sentence. */
static struct str reply_text(struct str text, const char *otherwise)
{
    if (text.n == 0)
        return str_of(otherwise);
    return str_from(text.p, text.n < REPLY_MAX ? text.n : REPLY_MAX);
}

static struct str shown(struct str domain)
{
    return str_from(domain.p, domain.n < SHOWN_DOMAIN_MAX ? domain.n : SHOWN_DOMAIN_MAX);
}

static struct str why(struct pass *pass, const struct spf_result *result)
{
    struct str what = describe(pass, result);

    return arena_printf(pass->arena, "%s: %.*s", auth_result_name(result->result), STR_ARG(what));
}

/* RFC 7208 6.2: what somebody else wrote is said to be theirs. */
void spf_refuse_fail(struct pass *pass, const struct check *check, const struct spf_result *result)
{
    char client[ADDRESS_TEXT_MAX];
    struct str domain = shown(result->domain), text;

    address_print(&pass->envelope->client.address, client);
    if (result->explanation.n > 0)
        text = arena_printf(pass->arena, "SPF forbids %s; %.*s explained: %.*s", client, STR_ARG(domain),
                            STR_ARG(result->explanation));
    else
        text = arena_printf(pass->arena, "SPF: %.*s does not permit %s to send its mail", STR_ARG(domain), client);
    pass_refuse(pass, check, 550, "5.7.23",
                reply_text(text, "SPF: this domain does not permit this client to send its mail"), why(pass, result));
}

void spf_refuse_temperror(struct pass *pass, const struct check *check, const struct spf_result *result)
{
    struct str domain = shown(result->domain);
    struct str text =
        arena_printf(pass->arena, "SPF: the DNS does not answer for %.*s, try again later", STR_ARG(domain));

    pass_refuse(pass, check, 451, "4.7.24", reply_text(text, "SPF: the DNS does not answer, try again later"),
                why(pass, result));
}

void spf_refuse_permerror(struct pass *pass, const struct check *check, const struct spf_result *result)
{
    struct str domain = shown(result->domain);
    struct str text =
        arena_printf(pass->arena, "SPF: permanent error for %.*s: %.*s", STR_ARG(domain), STR_ARG(result->reason));

    pass_refuse(pass, check, 550, "5.7.24", reply_text(text, "SPF: permanent error in the record of this domain"),
                why(pass, result));
}

/* ---- options ---- */

static const char *const fails[] = {
    [SPF_FAIL_RECORD] = "record", [SPF_FAIL_WITHOUT_DMARC] = "without-dmarc", [SPF_FAIL_REJECT] = "reject", NULL
};
static const char *const temperrors[] = { [TEMPERROR_TEMPFAIL] = "tempfail", [TEMPERROR_RECORD] = "record", NULL };

#define SPF(field) offsetof(struct policy, spf.field)

/* clang-format off */
static const struct option options[] = {
    { .section = "spf", .key = "check", .type = OPTION_BOOL, .offset = SPF(check), .preset = "yes",
      .help = "no: SPF is not asked, and nothing is said about it. Mail that only SPF authenticates then fails DMARC." },
    { .section = "spf", .key = "fail", .type = OPTION_CHOICE, .offset = SPF(fail), .preset = "without-dmarc",
      .choices = fails,
      .help = "When the domain in MAIL FROM says that this client may not send its mail. record: noted, no more. "
              "without-dmarc: the message is refused (550 5.7.23) unless the domain in its From has a DMARC record, which "
              "then decides. reject: every recipient but the postmaster is refused, whatever DMARC would have said; "
              "forwarded mail suffers." },
    { .section = "spf", .key = "temperror", .type = OPTION_CHOICE, .offset = SPF(temperror), .preset = "tempfail",
      .choices = temperrors,
      .help = "When the DNS does not answer for that domain. tempfail: the sender is asked to try again (451 4.7.24), "
              "unless DMARC passed. record: the message goes on." },
    { .section = "spf", .key = "permerror_rejects", .type = OPTION_BOOL, .offset = SPF(permerror_rejects),
      .preset = "no",
      .help = "Treat an SPF record with errors as a fail. Many such records belong to honest senders." },
    { .section = "spf", .key = "explanation", .type = OPTION_BOOL, .offset = SPF(explanation), .preset = "no",
      .help = "On a fail, fetch the explanation that the domain publishes (exp=) and put it into the reply." },
    { .section = "spf", .key = "received_spf", .type = OPTION_BOOL, .offset = SPF(received_spf), .preset = "no",
      .help = "Write a Received-SPF field beside Authentication-Results, for filters that read only that." },
    { .section = "spf", .key = "skip", .type = OPTION_NETWORKS, .offset = SPF(skip),
      .help = "Clients in these networks forward mail to us: our other MX hosts, forwarding services. SPF is not asked "
              "about them, so DMARC has only DKIM to go by; [dmarc] forwarders lets pass what fails then." },
};
/* clang-format on */

const struct check check_spf = {
    .name = "spf",
    .stages = 1u << AT_RCPT | 1u << AT_DATA | 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Which clients may send mail of a domain, as that domain publishes it (RFC 7208). Clients that may relay "
            "are not "
            "asked about.",
};
