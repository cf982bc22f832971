/* Senders that no answer can reach, and bounces that are none.
 *
 * A domain in MAIL FROM needs an MX record, or an address (RFC 5321 5.1); one whose only MX is "." says itself that it
 * takes no mail (RFC 7505), so it sends none either. Reports of failure go to the one sender of a message (RFC 5321
 * 6.1), and never to an address that sends nothing.
 *
 * Asked AT_MAIL, judged AT_RCPT: MX, then A and AAAA where there is none. Three questions at most.
 */
#include "host.h"
#include "rule.h"

/* ---- the domain ---- */

enum reach { REACH_PENDING, REACH_OK, REACH_NO_DOMAIN, REACH_NO_RECORD, REACH_NULL_MX, REACH_NO_ANSWER };

/* RFC 7505 3: it stands alone. */
static bool is_null_mx(const struct fact *mx)
{
    size_t at = mx->n == 1 ? str_find(mx->value[0], ' ') : 0;

    return mx->n == 1 && at < mx->value[0].n && str_eq(str_skip(mx->value[0], at + 1), STR("."));
}

static enum reach reach_by_address(struct pass *pass, struct str domain)
{
    switch (host_exists(pass, domain)) {
    case HOST_EXISTS: return REACH_OK;
    case HOST_NONE: return REACH_NO_RECORD;
    case HOST_NO_ANSWER: return REACH_NO_ANSWER;
    case HOST_PENDING: break;
    }
    return REACH_PENDING;
}

static enum reach reach(struct pass *pass, struct str domain)
{
    const struct fact *mx;

    if (domain.n == 0)
        return REACH_NO_DOMAIN;
    mx = pass_ask(pass, ASK_MX, domain);
    if (mx == NULL)
        return REACH_PENDING;
    switch (mx->state) {
    case FACT_OK: return is_null_mx(mx) ? REACH_NULL_MX : REACH_OK;
    case FACT_NXDOMAIN: return REACH_NO_DOMAIN;
    case FACT_NODATA: return pass->policy->sender.exists.mode != RULE_OFF ? reach_by_address(pass, domain) : REACH_OK;
    default: return REACH_NO_ANSWER;
    }
}

struct wording {
    int code;
    const char *enhanced;
    const char *what; /* follows the domain */
};

static void object_to_domain(struct pass *pass, const struct rule *rule, struct str domain, const struct wording *words)
{
    struct objection o = { .code = words->code, .enhanced = words->enhanced };

    if (rule->mode == RULE_OFF)
        return;
    if (domain.n == 0)
        domain = STR("in MAIL FROM");
    o.reason = arena_printf(pass->arena, "sender domain %.*s %s", STR_ARG(domain), words->what);
    o.text = arena_printf(pass->arena, "Sender domain %.*s %s", STR_ARG(domain), words->what);
    if (o.text.p == NULL)
        o.text = STR("Your sender address cannot be answered");
    pass_object(pass, &check_sender, rule, &o);
}

/* A temporary refusal only where the operator wants it, and would refuse the sender for good otherwise (ORACLE P-8). */
static void judge_silence(struct pass *pass, struct str domain)
{
    static const struct wording silent = { 451, "4.4.3", "cannot be looked up now, try again later" };
    const struct sender_policy *policy = &pass->policy->sender;

    if (policy->temperror == SENDER_TEMPFAIL && policy->exists.mode == RULE_REJECT)
        object_to_domain(pass, &policy->exists, domain, &silent);
    else
        pass_find(pass, &check_sender, "no-answer", STR("no answer for the sender's domain"));
}

static void judge_domain(struct pass *pass, struct str domain, enum reach result)
{
    static const struct wording none = { 550, "5.1.8", "does not exist" },
                                no_record = { 550, "5.1.8", "has no MX, A or AAAA record" },
                                null_mx = { 550, "5.7.27", "takes no mail (null MX)" }; /* RFC 7505 4.2 */
    const struct sender_policy *policy = &pass->policy->sender;

    switch (result) {
    case REACH_NO_DOMAIN: object_to_domain(pass, &policy->exists, domain, &none); break;
    case REACH_NO_RECORD: object_to_domain(pass, &policy->exists, domain, &no_record); break;
    case REACH_NULL_MX: object_to_domain(pass, &policy->null_mx, domain, &null_mx); break;
    case REACH_NO_ANSWER: judge_silence(pass, domain); break;
    case REACH_OK:
    case REACH_PENDING: break;
    }
}

/* Our own domains are there, whatever the DNS inside knows of them. */
static void check_domain(struct pass *pass, const struct path *from)
{
    const struct sender_policy *policy = &pass->policy->sender;
    char room[PATH_DOMAIN_MAX + 1];
    struct str domain;
    enum reach result;

    if (policy->exists.mode == RULE_OFF && policy->null_mx.mode == RULE_OFF)
        return;
    if (from->is_literal) {
        pass_find(pass, &check_sender, "literal", from->domain);
        return;
    }
    domain = host_canonical(from->domain, room);
    if (domain.n > 0 && domain_set_holds(&pass->policy->relay.domains, domain))
        return;
    result = reach(pass, domain);
    if (pass->stage < AT_RCPT)
        pass_look_ahead(pass);
    else
        judge_domain(pass, domain, result);
}

/* ---- the null sender ---- */

/* "sales@example.org", or "example.org" for everybody there. Local parts are compared without case, as elsewhere. */
static bool is_named(struct str listed, const struct path *rcpt, struct str domain)
{
    char room[PATH_DOMAIN_MAX + 1];
    size_t at = str_find(listed, '@');
    bool is_whole = at < listed.n;

    return str_eq(domain_canonical(is_whole ? str_skip(listed, at + 1) : listed, room), domain) &&
           (!is_whole || str_ieq(str_from(listed.p, at), rcpt->unquoted));
}

static bool sends_nothing(const struct str_list *listed, const struct path *rcpt)
{
    char room[PATH_DOMAIN_MAX + 1];
    struct str domain = domain_canonical(rcpt->domain, room);

    for (size_t i = 0; i < listed->n && domain.n > 0; i++)
        if (is_named(listed->item[i], rcpt, domain))
            return true;
    return false;
}

static void check_bounce(struct pass *pass, const struct envelope *envelope)
{
    const struct sender_policy *policy = &pass->policy->sender;
    struct objection o = { .code = 550, .enhanced = "5.7.1" };

    if (policy->bounces.mode == RULE_OFF || envelope->rcpt == NULL)
        return;
    if (sends_nothing(&policy->receive_only, envelope->rcpt)) {
        o.text = STR("This address sends no mail, so nothing of it can bounce");
        o.reason = arena_printf(pass->arena, "bounce to %.*s, which sends nothing", STR_ARG(envelope->rcpt->text));
        pass_object(pass, &check_sender, &policy->bounces, &o);
    } else if (envelope->rcpt_accepted > 0) {
        o.text = STR("Mail from the null sender has one recipient");
        o.reason = STR("null sender with more than one recipient");
        pass_object(pass, &check_sender, &policy->bounces, &o);
    }
}

static void run(struct pass *pass)
{
    const struct envelope *envelope = pass->envelope;

    if (policy_is_exempt(pass->policy, envelope) || envelope->mail_from == NULL)
        return;
    if (envelope->mail_from->is_null)
        check_bounce(pass, envelope);
    else
        check_domain(pass, envelope->mail_from);
}

#define SENDER(field) offsetof(struct policy, sender.field)

static const char *const temperrors[] = { "accept", "tempfail", NULL };

/* clang-format off */
static const struct option options[] = {
    { .section = "sender", .key = "exists", .type = OPTION_CHOICE, .offset = SENDER(exists.mode), .preset = "reject",
      .choices = rule_modes,
      .help = "The domain of MAIL FROM does not exist, or has no MX record and no address (RFC 5321 5.1): off, monitor, score, "
              "reject (550 5.1.8). Local domains are not looked up." },
    { .section = "sender", .key = "exists_weight", .type = OPTION_NUMBER, .offset = SENDER(exists.weight), .preset = "4",
      .max = 100, .unit = "points", .help = "Added to the score with exists = score." },
    { .section = "sender", .key = "null_mx", .type = OPTION_CHOICE, .offset = SENDER(null_mx.mode), .preset = "reject",
      .choices = rule_modes,
      .help = "The domain of MAIL FROM says by a null MX record that it takes no mail (RFC 7505): as above, 550 5.7.27." },
    { .section = "sender", .key = "null_mx_weight", .type = OPTION_NUMBER, .offset = SENDER(null_mx.weight), .preset = "4",
      .max = 100, .unit = "points", .help = "Added to the score with null_mx = score." },
    { .section = "sender", .key = "temperror", .type = OPTION_CHOICE, .offset = SENDER(temperror), .preset = "accept",
      .choices = temperrors,
      .help = "When the DNS does not answer: accept lets the other checks decide. tempfail, with exists = reject, answers 451 "
              "4.4.3." },
    { .section = "sender", .key = "bounces", .type = OPTION_CHOICE, .offset = SENDER(bounces.mode), .preset = "reject",
      .choices = rule_modes,
      .help = "Mail from the null sender, MAIL FROM:<>: a recipient behind the first one, or one that is in receive_only, is "
              "objected to (550 5.7.1)." },
    { .section = "sender", .key = "bounces_weight", .type = OPTION_NUMBER, .offset = SENDER(bounces.weight), .preset = "3",
      .max = 100, .unit = "points", .help = "Added to the score with bounces = score." },
    { .section = "sender", .key = "receive_only", .type = OPTION_WORDS, .offset = SENDER(receive_only), .max = 256,
      .help = "Recipients that never send mail, so that none can come back: addresses (sales@example.org) or domains "
              "(example.org)." },
};
/* clang-format on */

const struct check check_sender = {
    .name = "sender",
    .stages = 1u << AT_MAIL | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Senders that cannot be answered, and mail from the null sender that is no answer.",
    .rule = SENDER(exists),
};
