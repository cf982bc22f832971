/* The fields of results.h. One printer serves all three: it gathers an unbreakable word, then puts it on this line or
 * the next. Whatever came from a wire passes put_plain or put_quoted, which know two kinds of octets: those that may
 * stand there, and "?".
 */
#include "results.h"

#include "score.h"

#include "dmarc.h"
#include "utf8.h"

enum {
    LINE_WANTED = 76,            /* columns: below 78 with the ";" that may follow a word (RFC 5322 2.1.1) */
    VALUE_MAX = PATH_DOMAIN_MAX, /* octets of one value: no name is longer */
    LOCAL_SHOWN_MAX = PATH_LOCAL_MAX,
    ADDRESS_MAX = LOCAL_SHOWN_MAX + 1 + VALUE_MAX,
    /* every octet escaped, quotes, "...", and the key before it: a line with one of them is shorter than 998 */
    WORD_MAX = 2 * ADDRESS_MAX + 64
};

struct printer {
    struct arena *arena;
    bool is_utf8; /* the message may hold UTF-8 (RFC 6532) */
    bool failed;
    size_t column;
    char word[WORD_MAX];
    size_t n;
};

/* ---- octets ---- */

static void put(struct printer *p, struct str s)
{
    struct str kept = s.n > 0 ? arena_copy(p->arena, s) : s;

    p->failed = p->failed || (s.n > 0 && kept.p == NULL);
    p->column += s.n;
}

static void add(struct printer *p, struct str s)
{
    if (s.n > WORD_MAX - p->n) { /* values are cut before, so that this is our own mistake */
        p->failed = true;
        return;
    }
    memcpy(p->word + p->n, s.n > 0 ? s.p : "", s.n);
    p->n += s.n;
}

static void add_text(struct printer *p, const char *text)
{
    add(p, str_of(text));
}

/* On to a new line; it begins with white space (RFC 5322 2.2.3). */
static void fold(struct printer *p)
{
    put(p, STR("\r\n        "));
    p->column = 8;
}

/* Puts the word that was gathered behind a blank or a fold. */
static void end_word(struct printer *p)
{
    if (p->column > 8 && p->column + 1 + p->n > LINE_WANTED)
        fold(p);
    else if (p->column > 8)
        put(p, STR(" "));
    put(p, str_from(p->word, p->n));
    p->n = 0;
}

static void put_word(struct printer *p, const char *text)
{
    add_text(p, text);
    end_word(p);
}

/* ---- what may stand where ---- */

static bool is_alnum(char c)
{
    char lower = ascii_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

static bool consists_of(struct str s, const char *others)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || strchr(others, s.p[i]) == NULL))
            return false;
    return s.n > 0;
}

/* RFC 2045 5.1: printable ASCII without tspecials. */
static bool is_token(struct str s)
{
    return consists_of(s, "!#$%&'*+-.^_`{|}~");
}

/* RFC 5322 3.2.3: atoms with single dots between. */
static bool is_dot_atom(struct str s)
{
    if (!consists_of(s, "!#$%&'*+-/=?^_`{|}~.") || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] == '.' && s.p[i - 1] == '.')
            return false;
    return true;
}

/* RFC 6376 3.5: sub-domains as in RFC 5321, one at least. */
static bool is_domain_name(struct str s)
{
    return is_dot_atom(s) && consists_of(s, "-.") && domain_is_valid(s);
}

/* Line and paragraph separators and the C1 controls end lines or worse for somebody. */
static bool is_fit_character(uint32_t c)
{
    return c > 0x9f && c != 0x2028 && c != 0x2029;
}

/* Length of what may stand at the front of `s` as it is, 0 when it must be replaced. */
static size_t fit_length(const struct printer *p, struct str s)
{
    uint32_t c;
    size_t n;

    if ((unsigned char)s.p[0] < 0x80)
        return s.p[0] >= ' ' && s.p[0] <= '~' ? 1 : 0;
    n = p->is_utf8 ? utf8_decode(s, &c) : 0;
    return n > 0 && is_fit_character(c) ? n : 0;
}

/* Each octet that may not stand there becomes "?", quotes and backslashes get a backslash; what is too long ends in "...". */
static void add_quoted(struct printer *p, struct str s, size_t max)
{
    bool is_cut = s.n > max;

    if (is_cut)
        s.n = max;
    add_text(p, "\"");
    while (s.n > 0) {
        size_t n = fit_length(p, s);

        if (s.p[0] == '"' || s.p[0] == '\\')
            add_text(p, "\\");
        add(p, n > 0 ? str_from(s.p, n) : STR("?"));
        s = str_skip(s, n > 0 ? n : 1);
    }
    add_text(p, is_cut ? "...\"" : "\"");
}

/* A value of RFC 8601 2.2: a token where it is one, else a quoted string. */
static void add_value(struct printer *p, struct str s)
{
    if (s.n <= VALUE_MAX && is_token(s))
        add(p, s);
    else
        add_quoted(p, s, VALUE_MAX);
}

/* A pvalue that is an address: [local-part "@"] domain-name; where the parts are none, the whole as a quoted string. */
static void add_address(struct printer *p, struct str local, struct str domain)
{
    char whole[ADDRESS_MAX];
    size_t n = 0;

    local.n = local.n < LOCAL_SHOWN_MAX ? local.n : LOCAL_SHOWN_MAX;
    domain.n = domain.n < VALUE_MAX ? domain.n : VALUE_MAX;
    if (local.n == 0) {
        add_value(p, domain);
    } else if (is_domain_name(domain)) {
        if (is_dot_atom(local))
            add(p, local);
        else
            add_quoted(p, local, LOCAL_SHOWN_MAX);
        add_text(p, "@");
        add(p, domain);
    } else {
        memcpy(whole, local.p, local.n);
        n = local.n;
        whole[n++] = '@';
        if (domain.n > 0)
            memcpy(whole + n, domain.p, domain.n);
        add_quoted(p, str_from(whole, n + domain.n), ADDRESS_MAX);
    }
}

/* ---- Authentication-Results (RFC 8601) ---- */

struct report {
    struct printer *p;
    const struct policy *policy;
    const struct envelope *envelope;
    const struct outcome *outcome;
    const struct authentication *auth;
    bool has_result; /* of Authentication-Results: something was written behind the authserv-id */
};

static bool is_known(enum auth_result result)
{
    return result != AUTH_ABSENT && result != AUTH_PENDING;
}

static void begin_field(struct printer *p, const char *name)
{
    p->column = 0;
    put(p, str_of(name));
}

static void end_field(struct printer *p)
{
    put(p, STR("\r\n"));
}

/* "; method=result" on a line of its own. */
static void begin_result(struct report *r, const char *method, enum auth_result result)
{
    put(r->p, STR(";"));
    fold(r->p);
    add_text(r->p, method);
    add_text(r->p, "=");
    add_text(r->p, auth_result_name(result));
    end_word(r->p);
    r->has_result = true;
}

static void put_property(struct report *r, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    add_text(r->p, name);
    add_text(r->p, "=");
    add_value(r->p, value);
    end_word(r->p);
}

static bool is_helo(const struct spf_result *spf)
{
    return spf->identity != NULL && strcmp(spf->identity, "helo") == 0;
}

/* What stands before the last "@"; empty without one. */
static struct str local_part(struct str sender)
{
    size_t n = sender.n;

    while (n > 0 && sender.p[n - 1] != '@')
        n--;
    return str_from(sender.p, n > 0 ? n - 1 : 0);
}

/* The local part's own octets when the envelope has them: quoting is this printer's business. */
static struct str sender_local(const struct report *r, const struct spf_result *spf)
{
    const struct path *path = r->envelope->mail_from;

    return path != NULL && !path->is_null ? path->unquoted : local_part(spf->sender);
}

static void put_spf(struct report *r, const struct spf_result *spf)
{
    bool is_error = spf->result == AUTH_TEMPERROR || spf->result == AUTH_PERMERROR;

    if (!is_known(spf->result))
        return;
    begin_result(r, "spf", spf->result);
    if (is_error)
        put_property(r, "reason", spf->reason);
    if (is_helo(spf)) {
        put_property(r, "smtp.helo", spf->domain);
        return;
    }
    if (spf->domain.n == 0)
        return;
    add_text(r->p, "smtp.mailfrom=");
    add_address(r->p, sender_local(r, spf), spf->domain);
    end_word(r->p);
}

static void put_dkim(struct report *r, const struct dkim_result *dkim)
{
    if (!is_known(dkim->result))
        return;
    begin_result(r, "dkim", dkim->result);
    put_property(r, "reason", dkim->reason);
    put_property(r, "header.d", dkim->domain);
    put_property(r, "header.s", dkim->selector);
    put_property(r, "header.a", dkim->algorithm);
    put_property(r, "header.b", dkim->b); /* RFC 6008: which one of several is meant */
}

/* "3" and so on in a word of its own. */
static void add_number(struct printer *p, unsigned long long n)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    add(p, str_from(digits + at, sizeof digits - at));
}

static void put_dkim_ignored(struct report *r)
{
    begin_result(r, "dkim", AUTH_POLICY);
    add_text(r->p, "reason=\"signatures beyond the limit: ");
    add_number(r->p, r->auth->dkim_ignored);
    add_text(r->p, "\"");
    end_word(r->p);
}

/* Without a signature the method still ran when its neighbours did, unless it is switched off. */
static void put_dkims(struct report *r)
{
    const struct authentication *auth = r->auth;
    bool has_run = is_known(auth->mail_from.result) || is_known(auth->helo.result) || is_known(auth->dmarc.result);

    for (size_t i = 0; i < auth->dkim_n; i++)
        put_dkim(r, &auth->dkim[i]);
    if (auth->dkim_ignored > 0)
        put_dkim_ignored(r);
    else if (auth->dkim_n == 0 && has_run && r->policy->dkim.check)
        begin_result(r, "dkim", AUTH_NONE);
}

static void put_client(struct report *r, const char *name)
{
    char text[ADDRESS_TEXT_MAX];
    size_t n = address_print(&r->envelope->client.address, text);

    put_property(r, name, str_from(text, n));
}

/* RFC 8617 4.1 names the set, 6.1 wants the client's address. Most mail has no chain, and nothing is said then. */
static void put_arc(struct report *r)
{
    const struct arc_result *arc = &r->auth->arc;

    if (!is_known(arc->result) || arc->result == AUTH_NONE)
        return;
    begin_result(r, "arc", arc->result);
    add_text(r->p, "(i=");
    add_number(r->p, arc->sets);
    add_text(r->p, ")");
    end_word(r->p);
    put_property(r, "reason", arc->reason);
    put_client(r, "smtp.remote-ip");
}

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void put_dmarc(struct report *r)
{
    const struct dmarc_result *dmarc = &r->auth->dmarc;

    if (!is_known(dmarc->result))
        return;
    begin_result(r, "dmarc", dmarc->result);
    if (has_text(dmarc->override)) {
        add_text(r->p, "reason=\"overridden: ");
        add_text(r->p, dmarc->override);
        add_text(r->p, "\"");
        end_word(r->p);
    } else if (dmarc->result == AUTH_TEMPERROR || dmarc->result == AUTH_PERMERROR) {
        put_property(r, "reason", dmarc->reason);
    }
    put_property(r, "header.from", dmarc->domain);
    if (has_text(dmarc->policy))
        put_property(r, "policy.dmarc", str_of(dmarc_applied_policy(dmarc)));
}

static void put_authentication_results(struct report *r)
{
    begin_field(r->p, "Authentication-Results:");
    add_value(r->p, r->policy->authserv_id);
    end_word(r->p);
    put_spf(r, &r->auth->mail_from);
    if (!is_helo(&r->auth->mail_from))
        put_spf(r, &r->auth->helo);
    put_dkims(r);
    put_arc(r);
    put_dmarc(r);
    if (!r->has_result)
        put(r->p, STR("; none"));
    end_field(r->p);
}

/* ---- Received-SPF (RFC 7208 9.1) ---- */

/* For people; nothing of it comes from a wire. */
static const char *const spf_comments[AUTH_RESULTS] = {
    [AUTH_NONE] = "the domain has no SPF record",
    [AUTH_PASS] = "the domain designates the client as permitted sender",
    [AUTH_FAIL] = "the domain does not designate the client as permitted sender",
    [AUTH_SOFTFAIL] = "the domain does not designate the client as permitted sender, and is in transition",
    [AUTH_NEUTRAL] = "the domain says nothing about the client",
    [AUTH_TEMPERROR] = "temporary error",
    [AUTH_PERMERROR] = "the record of the domain cannot be interpreted",
};

static void put_comment(struct printer *p, const char *text)
{
    struct str rest = str_of(text);
    const char *before = "(";

    while (rest.n > 0) {
        size_t n = str_find(rest, ' ');

        add_text(p, before);
        add(p, str_from(rest.p, n));
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
        if (rest.n == 0)
            add_text(p, ")");
        end_word(p);
        before = "";
    }
}

/* key=dot-atom or key="quoted string". */
static void put_pair(struct printer *p, const char *key, struct str value, bool is_last)
{
    add_text(p, key);
    add_text(p, "=");
    if (value.n <= VALUE_MAX && is_dot_atom(value))
        add(p, value);
    else
        add_quoted(p, value, ADDRESS_MAX);
    if (!is_last)
        add_text(p, ";");
    end_word(p);
}

static struct str envelope_from(const struct report *r)
{
    const struct path *path = r->envelope->mail_from;

    return path == NULL || path->is_null ? STR("<>") : path->text;
}

static void put_received_spf(struct report *r)
{
    const struct spf_result *spf = is_known(r->auth->mail_from.result) ? &r->auth->mail_from : &r->auth->helo;
    char client[ADDRESS_TEXT_MAX];
    const char *comment;

    if (!r->policy->spf.received_spf || !is_known(spf->result))
        return;
    comment = spf_comments[spf->result];
    begin_field(r->p, "Received-SPF:");
    put_word(r->p, auth_result_name(spf->result));
    if (comment != NULL)
        put_comment(r->p, comment);
    put_pair(r->p, "receiver", r->policy->hostname, false);
    put_pair(r->p, "identity", str_of(is_helo(spf) ? "helo" : "mailfrom"), false);
    put_pair(r->p, "client-ip", str_from(client, address_print(&r->envelope->client.address, client)), false);
    put_pair(r->p, "envelope-from", envelope_from(r), false);
    if (spf->mechanism.n > 0)
        put_pair(r->p, "mechanism", spf->mechanism, false);
    if (spf->reason.n > 0 && (spf->result == AUTH_TEMPERROR || spf->result == AUTH_PERMERROR))
        put_pair(r->p, "problem", spf->reason, false);
    put_pair(r->p, "helo", r->envelope->helo, true);
    end_field(r->p);
}

/* ---- X-Postern-Verdict ---- */

/* "; key=value" of a value that is not empty. */
static void put_part(struct printer *p, const char *key, struct str value)
{
    if (value.n == 0)
        return;
    put(p, STR(";"));
    add_text(p, key);
    add_text(p, "=");
    add_value(p, value);
    end_word(p);
}

/* What the message may be told of its points: once its front is south, no more than stood in there. */
static void shown_scores(const struct report *r, struct score_list *sum)
{
    static const struct score_list none = { .n = 0 };

    score_sum(r->envelope->scores, r->envelope->front_sent ? &none : &r->outcome->scores, sum);
}

static void put_number(struct report *r, const char *key, int64_t value)
{
    char text[24];
    struct arena arena;

    arena_init(&arena, text, sizeof text);
    put_part(r->p, key,
             arena_printf(&arena, "%s%llu", value < 0 ? "-" : "", (unsigned long long)(value < 0 ? -value : value)));
}

static void put_scores(struct report *r, const struct score_list *sum, struct str parts)
{
    if (parts.n == 0)
        return;
    put_number(r, "score", score_total(sum));
    put_part(r->p, "points", parts);
}

static const char *verdict_word(const struct report *r, int64_t total)
{
    uint64_t tag = r->policy->score.tag;

    if (r->outcome->verdict.action == ACTION_QUARANTINE)
        return "quarantine";
    return tag > 0 && total >= (int64_t)tag ? "suspicious" : "accept";
}

static void put_verdict(struct report *r)
{
    const struct verdict *verdict = &r->outcome->verdict;
    const struct dmarc_result *dmarc = &r->auth->dmarc;
    bool is_quarantined = verdict->action == ACTION_QUARANTINE, is_overridden = has_text(dmarc->override);
    char room[SCORE_PARTS_MAX];
    struct score_list sum;
    struct arena arena;
    struct str parts;

    shown_scores(r, &sum);
    arena_init(&arena, room, sizeof room);
    parts = score_parts(&sum, &arena);
    if (!is_quarantined && !is_overridden && parts.n == 0)
        return;
    begin_field(r->p, "X-Postern-Verdict:");
    put_word(r->p, verdict_word(r, score_total(&sum)));
    put_scores(r, &sum, parts);
    if (is_quarantined || is_overridden)
        put_part(r->p, "check", str_of(is_quarantined ? verdict->check : "dmarc"));
    put_part(r->p, "dmarc", str_of(is_known(dmarc->result) ? auth_result_name(dmarc->result) : ""));
    if (is_overridden) {
        put_part(r->p, "would", str_of(dmarc_consequence(&r->policy->dmarc, dmarc)));
        put_part(r->p, "override", str_of(dmarc->override));
    }
    if (is_quarantined || is_overridden)
        put_part(r->p, "reason", is_quarantined ? verdict->reason : dmarc->reason);
    end_field(r->p);
}

/* ---- all of them ---- */

static bool any_method_ran(const struct authentication *auth)
{
    return is_known(auth->mail_from.result) || is_known(auth->helo.result) || is_known(auth->arc.result) ||
           is_known(auth->dmarc.result) || auth->dkim_n > 0 || auth->dkim_ignored > 0;
}

struct str results_fields(const struct policy *policy, const struct envelope *envelope, const struct outcome *outcome,
                          struct arena *arena)
{
    struct printer printer = { .arena = arena, .is_utf8 = envelope->is_smtputf8 };
    struct report report = { &printer, policy, envelope, outcome, &outcome->auth, false };
    size_t before = arena->used;

    if (any_method_ran(&outcome->auth))
        put_authentication_results(&report);
    put_received_spf(&report);
    put_verdict(&report);
    if (printer.failed) {
        arena->used = before;
        return str_from(NULL, 0);
    }
    return arena->used > before ? str_from(arena->base + before, arena->used - before) : STR("");
}

/* ---- the log ---- */

enum { NAME_LOGGED_MAX = 100 /* octets of a name, before escapes */ };

static bool is_logged_as_is(char c)
{
    return is_alnum(c) || c == '.' || c == '-' || c == '_';
}

/* Names as they are, other octets as %NN, so that words stay words; the log would escape a backslash once more. */
static void log_name(struct printer *p, struct str name)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < name.n && i < NAME_LOGGED_MAX; i++) {
        unsigned char c = (unsigned char)name.p[i];
        char escape[3] = { '%', hex[c >> 4], hex[c & 15] };

        put(p, is_logged_as_is(name.p[i]) ? str_from(name.p + i, 1) : str_from(escape, sizeof escape));
    }
    if (name.n > NAME_LOGGED_MAX)
        put(p, STR("..."));
}

static void log_key(struct printer *p, const char *key)
{
    if (p->column > 0)
        put(p, STR(" "));
    put(p, str_of(key));
    put(p, STR("="));
}

static void log_result(struct printer *p, enum auth_result result, struct str name)
{
    put(p, str_of(auth_result_name(result)));
    if (name.n == 0)
        return;
    put(p, STR("/"));
    log_name(p, name);
}

static void log_method(struct printer *p, const char *key, enum auth_result result, struct str name)
{
    if (result == AUTH_ABSENT)
        return;
    log_key(p, key);
    log_result(p, result, name);
}

static void log_dkim(struct printer *p, const struct authentication *auth)
{
    if (auth->dkim_n == 0 && p->column == 0 && auth->dmarc.result == AUTH_ABSENT)
        return;
    log_key(p, "dkim");
    if (auth->dkim_n == 0)
        put(p, STR("none"));
    for (size_t i = 0; i < auth->dkim_n; i++) {
        if (i > 0)
            put(p, STR(","));
        log_result(p, auth->dkim[i].result, auth->dkim[i].domain);
    }
}

static void log_word(struct printer *p, const char *key, const char *word)
{
    if (!has_text(word))
        return;
    log_key(p, key);
    put(p, str_of(word));
}

struct str results_summary(const struct authentication *auth, struct arena *arena)
{
    struct printer printer = { .arena = arena };
    size_t before = arena->used;

    log_method(&printer, "spf", auth->mail_from.result, auth->mail_from.domain);
    log_method(&printer, "helo_spf", auth->helo.result, STR(""));
    log_dkim(&printer, auth);
    log_method(&printer, "arc", auth->arc.result, auth->arc.is_trusted ? auth->arc.trusted : STR(""));
    log_method(&printer, "dmarc", auth->dmarc.result, auth->dmarc.domain);
    log_word(&printer, "policy", auth->dmarc.policy);
    log_word(&printer, "disposition", auth->dmarc.disposition);
    log_word(&printer, "aligned", auth->dmarc.aligned);
    log_word(&printer, "override", auth->dmarc.override);
    if (printer.failed) {
        arena->used = before;
        return str_from(NULL, 0);
    }
    return arena->used > before ? str_from(arena->base + before, arena->used - before) : STR("");
}
