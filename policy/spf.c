#include "spf.h"

#include "spf_macro.h"
#include "spf_record.h"

/* An include goes one frame up; each is a term of the ten, so the stack ends there. */
enum { FRAMES = SPF_LOOKUPS_MAX + 1, NAME_ROOM = PATH_DOMAIN_MAX + 1, DOTTED_MAX = 64, NUMBER_MAX = 24 };

/* One check_host() in progress: that of the domain itself, or of an include. A redirect goes on in its frame. */
struct frame {
    struct str domain; /* <domain> */
    char room[NAME_ROOM];
    struct spf_record record;
    struct str rest;      /* terms not read yet */
    struct spf_term term; /* being evaluated */
    bool is_redirected;
};

struct run {
    struct pass *pass;
    const struct spf_query *query;
    struct spf_result *out;
    struct frame frame[FRAMES];
    size_t depth;
    struct spf_macros macros;
    bool is_v4;
    bool has_unknown; /* nothing found from here on is more than a guess */
    bool has_hidden;  /* one of an included record: which terms come behind it depends on its answer */
    bool is_guess;    /* this term began behind such a one */
    bool is_void;     /* a lookup of this term came back empty */
    enum auth_result result;
    char dotted[DOTTED_MAX];     /* %{i} */
    char text[ADDRESS_TEXT_MAX]; /* %{c} */
    char now[NUMBER_MAX];        /* %{t} */
    char validated[NAME_ROOM];   /* %{p} */
};

/* What became of one term. */
enum match { NO_MATCH, MATCH, TEMPERROR, PERMERROR };

static void explain_error(struct run *run, struct str reason)
{
    if (run->out->reason.n == 0)
        run->out->reason = reason;
}

/* The run of this domain has come to its result; always true, for "return finish(...)". */
static bool finish(struct run *run, enum auth_result result)
{
    run->result = result;
    return true;
}

/* ---- the client's address as text ---- */

static size_t print_dotted_v4(const struct address *client, char *out)
{
    return address_print(client, out);
}

/* RFC 7208 7.3: 32 nibbles with dots, for %{ir}. */
static size_t print_dotted_v6(const struct address *client, char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < sizeof client->byte; i++) {
        out[n++] = hex[client->byte[i] >> 4];
        out[n++] = '.';
        out[n++] = hex[client->byte[i] & 15];
        out[n++] = '.';
    }
    return n - 1;
}

static struct str print_number(int64_t number, char out[NUMBER_MAX])
{
    unsigned long long value = number > 0 ? (unsigned long long)number : 0;
    size_t at = NUMBER_MAX;

    do {
        out[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return str_from(out + at, NUMBER_MAX - at);
}

/* RFC 7208 4.3: a sender without a local part is the postmaster. */
static void set_sender(struct spf_macros *macros, struct str sender)
{
    size_t at = sender.n;

    while (at > 0 && sender.p[at - 1] != '@')
        at--;
    macros->value['o' - 'a'] = str_skip(sender, at);
    macros->value['l' - 'a'] = at > 1 ? str_from(sender.p, at - 1) : STR("postmaster");
    macros->value['s' - 'a'] = sender;
}

static void set_macros(struct run *run)
{
    const struct spf_query *query = run->query;
    struct spf_macros *macros = &run->macros;
    size_t n = run->is_v4 ? print_dotted_v4(&query->client, run->dotted) : print_dotted_v6(&query->client, run->dotted);

    set_sender(macros, query->sender);
    macros->value['i' - 'a'] = str_from(run->dotted, n);
    macros->value['c' - 'a'] = str_from(run->text, address_print(&query->client, run->text));
    macros->value['v' - 'a'] = run->is_v4 ? STR("in-addr") : STR("ip6");
    macros->value['h' - 'a'] = query->helo;
    macros->value['r' - 'a'] = query->receiver.n > 0 ? query->receiver : STR("unknown");
    macros->value['t' - 'a'] = print_number(query->now, run->now);
}

/* ---- lookups ---- */

enum answer { UNKNOWN, ANSWER, EMPTY, FAILED, OVER_CAP };

/* In the record of the domain itself a match ends the run, so a term behind an unknown is one of the ten or not needed
 * at all. In an included record it may lead on to other terms of the record above; whoever publishes both could make us
 * ask for many by answering in the right order. So behind such an unknown only the first few questions are asked ahead;
 * those of terms that are needed are at most 111 (ORACLE D-1).
 */
static bool may_ask(const struct run *run, struct question q)
{
    const struct pass *pass = run->pass;

    if (!run->is_guess || pass->facts == NULL || facts_find(pass->facts, q) != NULL)
        return true;
    return pass->facts->n + pass->outcome->questions < SPF_ASKED_AHEAD_MAX;
}

/* An unknown is noted here, once for all: what follows is read, but decides nothing. */
static enum answer look_up(struct run *run, enum ask kind, struct str name, const struct fact **fact)
{
    *fact = may_ask(run, (struct question){ kind, name }) ? pass_ask(run->pass, kind, name) : NULL;
    if (*fact == NULL) {
        run->has_unknown = true;
        run->has_hidden = run->has_hidden || run->depth > 0;
        return UNKNOWN;
    }
    switch ((*fact)->state) {
    case FACT_OK: return ANSWER;
    case FACT_NODATA:
    case FACT_NXDOMAIN: return EMPTY;
    case FACT_LIMIT: return OVER_CAP;
    default: return FAILED;
    }
}

/* RFC 7208 5: an error of the DNS ends the evaluation; a cap of ours is one of the record, which wants too much. */
static enum match no_answer(struct run *run, enum answer answer, enum ask kind, struct str name)
{
    switch (answer) {
    case EMPTY: run->is_void = true; return NO_MATCH;
    case FAILED:
        explain_error(run, arena_printf(run->pass->arena, "no answer for %s %.*s", ask_name(kind), STR_ARG(name)));
        return TEMPERROR;
    case OVER_CAP:
        explain_error(run,
                      arena_printf(run->pass->arena, "too many lookups at %s %.*s", ask_name(kind), STR_ARG(name)));
        return PERMERROR;
    default: return NO_MATCH;
    }
}

static enum ask address_kind(const struct run *run)
{
    return run->is_v4 ? ASK_A : ASK_AAAA;
}

static bool prefix_equals(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8, left = bits % 8;

    if (memcmp(a->byte, b->byte, whole) != 0)
        return false;
    return left == 0 || ((a->byte[whole] ^ b->byte[whole]) & (0xFF << (8 - left)) & 0xFF) == 0;
}

/* `bits` as the record has them; an IPv4 address lies behind 96 bits of its mapped form. */
static bool is_client(const struct run *run, const struct address *address, unsigned bits)
{
    return prefix_equals(&run->query->client, address, run->is_v4 ? bits + 96 : bits);
}

static bool holds_client(const struct run *run, const struct fact *fact, unsigned bits)
{
    struct address address;

    for (size_t i = 0; i < fact->n; i++)
        if (address_parse(fact->value[i], &address) && is_client(run, &address, bits))
            return true;
    return false;
}

/* RFC 7208 5: one address lookup of the client's kind. */
static enum match match_host(struct run *run, struct str name, unsigned bits)
{
    const struct fact *fact;
    enum answer answer = look_up(run, address_kind(run), name, &fact);

    if (answer == ANSWER)
        return holds_client(run, fact, bits) ? MATCH : NO_MATCH;
    return no_answer(run, answer, address_kind(run), name);
}

/* ---- the validated names of the client, RFC 7208 5.5 ---- */

/* How well a name serves as %{p} of `domain` (RFC 7208 7.3): itself, one below it, any other. */
enum kinship { SAME, BELOW, STRANGER, KINSHIPS };

static enum kinship kinship(struct str name, struct str domain)
{
    return !domain_is_within(name, domain) ? STRANGER : name.n == domain.n ? SAME : BELOW;
}

/* An error of the DNS means that this name is not validated, and no void is counted for it: its owner is the client's,
 * not the record's.
 */
static bool is_validated(struct run *run, struct str name)
{
    const struct fact *fact;

    return look_up(run, address_kind(run), name, &fact) == ANSWER && holds_client(run, fact, run->is_v4 ? 32 : 128);
}

/* The first validated name of this kinship; empty when there is none (so far). */
static struct str validated_name(struct run *run, const struct fact *ptr, struct str domain, enum kinship wanted,
                                 char room[NAME_ROOM])
{
    for (size_t i = 0; i < ptr->n && i < SPF_PTR_MAX; i++) {
        struct str name = domain_canonical(ptr->value[i], room);

        if (name.n > 0 && kinship(name, domain) == wanted && is_validated(run, name))
            return name;
    }
    return STR("");
}

/* PTR records of the client, or NULL; an error of the DNS is as none (RFC 7208 5.5), but a cap is not. */
static const struct fact *look_up_ptr(struct run *run, bool *is_over_cap)
{
    char room[DOTTED_MAX + 16];
    struct str name = spf_macro_expand(STR("%{ir}.%{v}.arpa"), &run->macros, room, sizeof room);
    const struct fact *fact;
    enum answer answer = look_up(run, ASK_PTR, name, &fact);

    *is_over_cap = answer == OVER_CAP;
    if (*is_over_cap)
        no_answer(run, answer, ASK_PTR, name);
    run->is_void = run->is_void || answer == EMPTY;
    return answer == ANSWER ? fact : NULL;
}

/* %{p}. False over a cap. */
static bool set_validated(struct run *run, struct str domain)
{
    struct str *p = &run->macros.value['p' - 'a'];
    bool is_over_cap;
    const struct fact *ptr = look_up_ptr(run, &is_over_cap);

    *p = STR("");
    for (enum kinship wanted = SAME; ptr != NULL && p->n == 0 && wanted < KINSHIPS; wanted++)
        *p = validated_name(run, ptr, domain, wanted, run->validated);
    if (p->n == 0)
        *p = STR("unknown");
    return !is_over_cap;
}

/* ---- target names ---- */

/* RFC 7208 4.6.4: false when one more is one too many. */
static bool count_lookup(struct run *run)
{
    if (++run->out->lookups <= SPF_LOOKUPS_MAX)
        return true;
    run->out->lookups = SPF_LOOKUPS_MAX;
    explain_error(run, arena_printf(run->pass->arena, "more than %d terms with lookups", SPF_LOOKUPS_MAX));
    return false;
}

/* RFC 8616 4: whether a spec names the sender in letters that no domain name has. */
static bool names_no_ascii_sender(const struct run *run, struct str spec)
{
    return !str_is_ascii(run->macros.value['l' - 'a']) && (spf_macro_uses(spec, 's') || spf_macro_uses(spec, 'l'));
}

/* The target name of `spec` (empty: the domain itself) in `out`. MATCH when there is one; without one NO_MATCH;
 * PERMERROR over a limit. `p` may ask.
 */
static enum match target_name(struct run *run, struct str spec, char room[NAME_ROOM], struct str *out)
{
    struct frame *frame = &run->frame[run->depth];

    *out = frame->domain;
    if (spec.n == 0)
        return MATCH;
    run->macros.value['d' - 'a'] = frame->domain;
    if (spf_macro_uses(spec, 'p') && (!count_lookup(run) || !set_validated(run, frame->domain)))
        return PERMERROR;
    *out = names_no_ascii_sender(run, spec) ? str_from(NULL, 0) : spf_target_name(spec, &run->macros, room);
    return out->n > 0 ? MATCH : NO_MATCH;
}

/* ---- mechanisms, RFC 7208 5 ---- */

static unsigned bits_of(const struct run *run, const struct spf_term *term)
{
    return run->is_v4 ? term->bits4 : term->bits6;
}

static enum match match_exists(struct run *run, struct str name)
{
    const struct fact *fact;
    enum answer answer = look_up(run, ASK_A, name, &fact); /* A for IPv6 clients too (RFC 7208 5.7) */

    return answer == ANSWER ? MATCH : no_answer(run, answer, ASK_A, name);
}

/* "10 mx.example.org" -> mx.example.org; empty for the null MX (RFC 7505) and for what is no name. */
static struct str mx_host(struct str value, char room[NAME_ROOM])
{
    size_t blank = str_find(value, ' ');

    return blank < value.n ? domain_canonical(str_skip(value, blank + 1), room) : str_from(NULL, 0);
}

static enum match match_mx(struct run *run, struct str name, unsigned bits)
{
    char room[NAME_ROOM];
    const struct fact *fact;
    enum answer answer = look_up(run, ASK_MX, name, &fact);
    enum match all = NO_MATCH;

    if (answer != ANSWER)
        return no_answer(run, answer, ASK_MX, name);
    if (fact->n > SPF_MX_MAX) {
        explain_error(run, arena_printf(run->pass->arena, "more than %d MX names of %.*s", SPF_MX_MAX, STR_ARG(name)));
        return PERMERROR;
    }
    for (size_t i = 0; i < fact->n; i++) {
        struct str host = mx_host(fact->value[i], room);
        enum match one = host.n > 0 ? match_host(run, host, bits) : NO_MATCH;

        if (one == MATCH)
            return MATCH;
        all = one > all ? one : all;
    }
    return all;
}

static enum match match_ptr(struct run *run, struct str name)
{
    char room[NAME_ROOM];
    bool is_over_cap;
    const struct fact *ptr = look_up_ptr(run, &is_over_cap);

    if (is_over_cap)
        return PERMERROR;
    for (enum kinship wanted = SAME; ptr != NULL && wanted < STRANGER; wanted++)
        if (validated_name(run, ptr, name, wanted, room).n > 0)
            return MATCH;
    return NO_MATCH;
}

static bool needs_lookup(enum spf_term_kind kind)
{
    switch (kind) {
    case SPF_INCLUDE:
    case SPF_A:
    case SPF_MX:
    case SPF_PTR:
    case SPF_EXISTS: return true;
    default: return false;
    }
}

static enum match match_lookup(struct run *run, const struct spf_term *term)
{
    char room[NAME_ROOM];
    struct str name;
    enum match target = target_name(run, term->spec, room, &name);

    if (target != MATCH)
        return target;
    switch (term->kind) {
    case SPF_A: return match_host(run, name, bits_of(run, term));
    case SPF_MX: return match_mx(run, name, bits_of(run, term));
    case SPF_PTR: return match_ptr(run, name);
    default: return match_exists(run, name);
    }
}

/* RFC 7208 4.6.4: of a term that did not match. */
static enum match count_void(struct run *run)
{
    if (!run->is_void)
        return NO_MATCH;
    if (++run->out->void_lookups <= SPF_VOID_LOOKUPS_MAX)
        return NO_MATCH;
    explain_error(run, arena_printf(run->pass->arena, "more than %d void lookups", SPF_VOID_LOOKUPS_MAX));
    return PERMERROR;
}

static enum match match_term(struct run *run, const struct spf_term *term)
{
    enum match match;

    switch (term->kind) {
    case SPF_ALL: return MATCH;
    case SPF_IP4: return run->is_v4 && is_client(run, &term->address, term->bits4) ? MATCH : NO_MATCH;
    case SPF_IP6: return !run->is_v4 && is_client(run, &term->address, term->bits6) ? MATCH : NO_MATCH;
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_MODIFIER: return NO_MATCH; /* read before, or without effect */
    default: break;
    }
    run->is_void = false;
    match = match_lookup(run, term);
    return match == NO_MATCH ? count_void(run) : match;
}

/* ---- records ---- */

/* RFC 7208 4.3. Single labels are none, and neither is what a mail domain cannot be ("[192.0.2.1]"); names made by a
 * record are as free as the DNS.
 */
static bool is_checkable(const struct run *run, struct str domain)
{
    if (str_find(domain, '.') == domain.n)
        return false;
    return run->depth > 0 || run->frame[0].is_redirected || (domain_is_valid(domain) && domain.n <= 253);
}

/* RFC 7208 4.5: the one record of version 1. */
static size_t select_record(const struct fact *fact, struct str *record)
{
    size_t n = 0;

    for (size_t i = 0; i < fact->n; i++)
        if (spf_record_is(fact->value[i])) {
            *record = fact->value[i];
            n++;
        }
    return n;
}

static struct str printable(struct run *run, struct str text)
{
    enum { SHOWN = 64 };
    char shown[SHOWN];
    size_t n = 0;

    for (; n < text.n && n < SHOWN; n++)
        shown[n] = text.p[n] >= ' ' && text.p[n] <= '~' ? text.p[n] : '?';
    return arena_copy(run->pass->arena, str_from(shown, n));
}

static bool read_record(struct run *run, struct frame *frame, struct str text)
{
    struct str bad;

    if (!spf_record_parse(text, &frame->record, &bad)) {
        bad = printable(run, bad);
        explain_error(run, arena_printf(run->pass->arena, "syntax error in the record of %.*s: %.*s",
                                        STR_ARG(frame->domain), STR_ARG(bad)));
        return finish(run, AUTH_PERMERROR);
    }
    frame->rest = frame->record.terms;
    return false;
}

/* RFC 7208 4.4 to 4.6: fetches and reads the record of the frame's domain. True when that is the result already. */
static bool open_record(struct run *run)
{
    struct frame *frame = &run->frame[run->depth];
    const struct fact *fact;
    struct str text;
    size_t n;

    frame->record = (struct spf_record){ 0 };
    frame->rest = STR("");
    if (!is_checkable(run, frame->domain))
        return finish(run, AUTH_NONE);
    switch (look_up(run, ASK_TXT, frame->domain, &fact)) {
    case UNKNOWN: return finish(run, AUTH_PENDING);
    case EMPTY: return finish(run, AUTH_NONE);
    case FAILED: no_answer(run, FAILED, ASK_TXT, frame->domain); return finish(run, AUTH_TEMPERROR);
    case OVER_CAP: no_answer(run, OVER_CAP, ASK_TXT, frame->domain); return finish(run, AUTH_PERMERROR);
    default: break;
    }
    n = select_record(fact, &text);
    if (n == 0)
        return finish(run, AUTH_NONE);
    if (n > 1) {
        explain_error(run, arena_printf(run->pass->arena, "%.*s has %u records", STR_ARG(frame->domain), (unsigned)n));
        return finish(run, AUTH_PERMERROR);
    }
    return read_record(run, frame, text);
}

/* RFC 7208 5.2, 6.1: an included or redirected domain must have a record. */
static bool finish_without_record(struct run *run, struct str spec)
{
    spec = printable(run, spec);
    explain_error(run, arena_printf(run->pass->arena, "no SPF record at %.*s", STR_ARG(spec)));
    return finish(run, AUTH_PERMERROR);
}

static void push(struct run *run, struct str name)
{
    struct frame *frame = &run->frame[++run->depth];

    memcpy(frame->room, name.p, name.n);
    frame->domain = str_from(frame->room, name.n);
    frame->is_redirected = false;
}

static bool match_found(struct run *run)
{
    struct frame *frame = &run->frame[run->depth];

    if (run->depth == 0)
        run->out->mechanism = frame->term.text;
    return finish(run, frame->term.qualifier);
}

/* Begins an include; leave() ends it. */
static bool enter(struct run *run, const struct spf_term *term)
{
    char room[NAME_ROOM];
    struct str name;

    switch (target_name(run, term->spec, room, &name)) {
    case MATCH: break;
    case PERMERROR: return finish(run, AUTH_PERMERROR);
    default:
        if (names_no_ascii_sender(run, term->spec))
            return false;
        return finish_without_record(run, term->spec);
    }
    push(run, name);
    return open_record(run);
}

/* The included domain came to a result: what it means to the record that included it (RFC 7208 5.2). */
static bool leave(struct run *run)
{
    run->depth--;
    switch (run->result) {
    case AUTH_PASS: return match_found(run);
    case AUTH_FAIL:
    case AUTH_SOFTFAIL:
    case AUTH_NEUTRAL:
    case AUTH_PENDING: return false;
    case AUTH_NONE: return finish_without_record(run, run->frame[run->depth].term.spec);
    default: return true;
    }
}

/* RFC 7208 6.1: the same frame goes on with another domain. */
static bool redirect(struct run *run, struct frame *frame)
{
    struct str spec = frame->record.redirect, name;
    char room[NAME_ROOM];
    enum match target;

    if (!count_lookup(run))
        return finish(run, AUTH_PERMERROR);
    target = target_name(run, spec, room, &name);
    if (target == PERMERROR)
        return finish(run, AUTH_PERMERROR);
    if (target != MATCH)
        return finish_without_record(run, spec);
    memcpy(frame->room, name.p, name.n);
    frame->domain = str_from(frame->room, name.n);
    frame->is_redirected = true;
    if (!open_record(run))
        return false;
    return run->result == AUTH_NONE ? finish_without_record(run, spec) : true;
}

/* RFC 7208 4.7: no term matched. */
static bool end_of_record(struct run *run, struct frame *frame)
{
    if (frame->record.redirect.n > 0 && !frame->record.has_all)
        return redirect(run, frame);
    if (run->depth == 0)
        run->out->mechanism = STR("default");
    return finish(run, AUTH_NEUTRAL);
}

/* Evaluates the next term of the record on top. True when its domain has come to a result. */
static bool next_term(struct run *run)
{
    struct frame *frame = &run->frame[run->depth];

    run->is_guess = run->has_hidden;
    if (spf_term_next(&frame->rest, &frame->term) != SPF_TERM)
        return end_of_record(run, frame);
    if (needs_lookup(frame->term.kind) && !count_lookup(run))
        return finish(run, AUTH_PERMERROR);
    if (frame->term.kind == SPF_INCLUDE)
        return enter(run, &frame->term);
    switch (match_term(run, &frame->term)) {
    case MATCH: return match_found(run);
    case TEMPERROR: return finish(run, AUTH_TEMPERROR);
    case PERMERROR: return finish(run, AUTH_PERMERROR);
    default: return false;
    }
}

/* ---- explanation, RFC 7208 6.2 ---- */

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

/* Whatever is wrong with it, an explanation that is not there is no error. Its lookups are not counted. */
static void explain(struct run *run)
{
    struct frame *frame = &run->frame[0];
    struct spf_macros *macros = &run->macros;
    char room[NAME_ROOM], text[SPF_EXPLANATION_MAX];
    const struct fact *fact;
    struct str name;

    macros->value['d' - 'a'] = frame->domain;
    if (spf_macro_uses(frame->record.exp, 'p') && !set_validated(run, frame->domain))
        return;
    name = spf_target_name(frame->record.exp, macros, room);
    if (name.n == 0 || look_up(run, ASK_TXT, name, &fact) != ANSWER || fact->n != 1)
        return;
    if (!spf_macro_string_is_valid(fact->value[0], SPF_IN_EXPLANATION))
        return;
    if (spf_macro_uses(fact->value[0], 'p') && !set_validated(run, frame->domain))
        return;
    name = spf_macro_expand(fact->value[0], macros, text, sizeof text);
    if (name.n > 0 && is_printable(name))
        run->out->explanation = arena_copy(run->pass->arena, name);
}

void spf_check_host(struct pass *pass, const struct spf_query *query, struct spf_result *out)
{
    struct run run = { .pass = pass, .query = query, .out = out, .is_v4 = address_is_v4(&query->client) };
    bool is_done;

    *out = (struct spf_result){ .domain = query->domain, .sender = query->sender };
    set_macros(&run);
    run.frame[0].domain = query->domain;
    is_done = open_record(&run);
    for (;;) {
        if (!is_done)
            is_done = next_term(&run);
        else if (run.depth > 0)
            is_done = leave(&run);
        else
            break;
    }
    if (run.result == AUTH_FAIL && query->explain && run.frame[0].record.exp.n > 0 && !run.has_unknown)
        explain(&run);
    out->result = run.has_unknown ? AUTH_PENDING : run.result;
    if (out->result != AUTH_TEMPERROR && out->result != AUTH_PERMERROR)
        out->reason = STR(""); /* one MX host did not answer, another matched */
}
