/* The fields written about a message, read back by a reader that knows RFC 8601, RFC 7208 9.1 and RFC 5322 but not the
 * printer: whatever strangers put into addresses, signatures and names, it must find exactly the results and values that
 * went in, no more and no fewer.
 *
 * The input is cut at each 0x1e into values; the first says which results there are.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policy/arc.h"
#include "policy/results.h"
#include "policy/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1 << 16, WORDS = 256, TEXT = 1 << 16, PAIR_MAX = 64 + 1 + 255 };

static void must(bool claim)
{
    if (!claim)
        abort();
}

/* ---- the reader: lines ---- */

static char text[TEXT]; /* unfolded */
static size_t text_n;

/* RFC 5322 2.2: lines end in CRLF, are no longer than 998 octets, and a continuation has something in it. */
static void read_lines(struct str s, bool is_utf8)
{
    size_t column = 0, visible = 0;

    text_n = 0;
    must(s.n < TEXT && utf8_is_valid(s));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '\r') {
            must(i + 1 < s.n && s.p[i + 1] == '\n' && visible > 0 && column <= 998);
            column = visible = 0;
            if (i + 2 == s.n || s.p[i + 2] != ' ')
                text[text_n++] = '\n';
            i++; /* the blanks of a fold stay */
            continue;
        }
        must(c >= ' ' && c != 0x7f && (c < 0x80 || is_utf8));
        must(c != 0xc2 || (unsigned char)s.p[i + 1] >= 0xa0); /* C1 */
        must(c != 0xe2 || memcmp(s.p + i, "\xe2\x80\xa8", 3) != 0);
        column++;
        visible += c != ' ';
        text[text_n++] = (char)c;
    }
    must(column == 0);
}

/* ---- the reader: words ---- */

static const char *at; /* in `text` */

struct word {
    char key[32];
    char value[1200];
    size_t n;
};

static struct word word[WORDS], wanted[WORDS];
static size_t words, wants;

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5322 3.2.2, comments nest. */
static void skip_cfws(void)
{
    unsigned depth = 0;

    for (; *at == ' ' || *at == '(' || depth > 0; at++) {
        must(*at != '\n' && *at != '\0');
        if (*at == '\\')
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')')
            depth--;
    }
}

static bool takes(char c)
{
    if (*at != c)
        return false;
    at++;
    return true;
}

static void take_char(struct word *w, char c)
{
    must(w->n < sizeof w->value);
    w->value[w->n++] = c;
}

static void take_quoted(struct word *w)
{
    must(takes('"'));
    while (*at != '"') {
        must(*at != '\n' && *at != '\0');
        if (*at == '\\')
            at++;
        must(*at != '\n' && *at != '\0');
        take_char(w, *at++);
    }
    at++;
}

/* Atoms of `others` and letters and digits. */
static void take_atom(struct word *w, const char *others)
{
    size_t before = w->n;

    while (is_alnum(*at) || is_in(*at, others))
        take_char(w, *at++);
    must(w->n > before);
}

#define TOKEN "!#$%&'*+-.^_`{|}~"
#define ATEXT "!#$%&'*+-/=?^_`{|}~"

/* RFC 8601 2.2: value, or [[local-part] "@"] domain-name. The "=" that ends a key stands before it. */
static void take_pvalue(struct word *w)
{
    const char *start = at;

    w->n = 0;
    if (*at == '"')
        take_quoted(w);
    else
        take_atom(w, ATEXT ".");
    if (*at != '@') {
        for (const char *c = start; *start != '"' && c < at; c++)
            must(is_alnum(*c) || is_in(*c, TOKEN));
        return;
    }
    must(*start == '"' || (*start != '.' && at[-1] != '.'));
    take_char(w, *at++);
    take_atom(w, "-.");
}

/* dot-atom or quoted-string (RFC 7208 9.1). */
static void take_dot_atom(struct word *w)
{
    w->n = 0;
    if (*at == '"') {
        take_quoted(w);
        return;
    }
    must(*at != '.');
    take_atom(w, ATEXT ".");
    must(at[-1] != '.');
}

static struct word *new_word(void)
{
    must(words < WORDS);
    word[words].n = 0;
    return &word[words++];
}

/* "key=" or "ptype.property=" */
static struct word *take_key(void)
{
    struct word *w = new_word();
    size_t n = 0;

    while (is_alnum(*at) || *at == '-' || *at == '.') {
        must(n < sizeof w->key - 1);
        w->key[n++] = *at++;
    }
    w->key[n] = '\0';
    must(n > 0 && takes('='));
    return w;
}

static void take_name(const char *name)
{
    must(strncmp(at, name, strlen(name)) == 0);
    at += strlen(name);
}

static void take_authentication_results(void)
{
    take_name("Authentication-Results:");
    skip_cfws();
    take_pvalue(new_word());
    memcpy(word[words - 1].key, "id", 3);
    for (skip_cfws(); takes(';'); skip_cfws()) {
        skip_cfws();
        if (strncmp(at, "none\n", 5) == 0) {
            at += 4;
            break;
        }
        for (; *at != ';' && *at != '\n'; skip_cfws())
            take_pvalue(take_key());
    }
    must(takes('\n'));
}

static void take_received_spf(void)
{
    struct word *w;

    take_name("Received-SPF:");
    skip_cfws();
    w = new_word();
    memcpy(w->key, "received-spf", 13);
    take_atom(w, "");
    must(*at == ' ');
    do {
        skip_cfws();
        take_dot_atom(take_key());
    } while (takes(';'));
    must(takes('\n'));
}

static void take_verdict(void)
{
    struct word *w;

    take_name("X-Postern-Verdict:");
    skip_cfws();
    w = new_word();
    memcpy(w->key, "verdict", 8);
    take_atom(w, "");
    for (skip_cfws(); takes(';'); skip_cfws()) {
        skip_cfws();
        take_pvalue(take_key());
    }
    must(takes('\n'));
}

/* ---- what must be found ---- */

/* What is longer than `max` octets ends in "...". */
static void want_cut(const char *key, struct str value, size_t max)
{
    struct word *w = &wanted[wants++];
    size_t n = value.n <= max ? value.n : max;

    must(wants < WORDS);
    memcpy(w->key, key, strlen(key) + 1);
    memcpy(w->value, n > 0 ? value.p : "", n);
    if (n < value.n)
        memcpy(w->value + n, "...", 3);
    w->n = n < value.n ? n + 3 : n;
}

static void want(const char *key, struct str value)
{
    want_cut(key, value, 255);
}

static void want_if_any(const char *key, struct str value)
{
    if (value.n > 0)
        want(key, value);
}

static void want_address(const char *key, struct str local, struct str domain)
{
    char whole[64 + 1 + 255];
    size_t n = local.n < 64 ? local.n : 64, d = domain.n < 255 ? domain.n : 255;

    if (domain.n == 0)
        return;
    if (n == 0) {
        want(key, str_from(domain.p, d));
        return;
    }
    memcpy(whole, local.p, n);
    whole[n] = '@';
    memcpy(whole + n + 1, domain.p, d);
    want_cut(key, str_from(whole, n + 1 + d), sizeof whole);
}

/* The same octets, or "?" for one that is no printable ASCII. */
static void must_match(const struct word *got, const struct word *w, bool is_utf8)
{
    must(strcmp(got->key, w->key) == 0 && got->n == w->n);
    for (size_t i = 0; i < w->n; i++) {
        unsigned char c = (unsigned char)w->value[i];
        bool is_plain = c >= ' ' && c <= '~';

        must(got->value[i] == (is_plain ? (char)c : '?') || (is_utf8 && c >= 0x80 && got->value[i] == (char)c));
    }
}

/* ---- a message from the input ---- */

static struct str take_value(struct str *rest)
{
    size_t n = str_find(*rest, '\x1e');
    struct str value = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return value;
}

static struct policy policy;
static struct envelope envelope;
static struct outcome outcome;
static struct path mail_from;

static bool is_error(enum auth_result result)
{
    return result == AUTH_TEMPERROR || result == AUTH_PERMERROR;
}

static bool is_known(enum auth_result result)
{
    return result != AUTH_ABSENT && result != AUTH_PENDING;
}

static enum auth_result result_at(struct str flags, size_t i)
{
    return i < flags.n ? (enum auth_result)((unsigned char)flags.p[i] % AUTH_RESULTS) : AUTH_NONE;
}

/* Fills in the message, and says what a reader must find. */
static void make(struct str input)
{
    struct str flags = take_value(&input), local = take_value(&input), domain = take_value(&input);
    struct authentication *auth = &outcome.auth;
    bool is_quarantined = flags.n > 6 && (flags.p[6] & 1);

    policy = (struct policy){ .hostname = STR_INIT("mx.example"), .authserv_id = STR_INIT("mx.example") };
    policy.dkim.check = true;
    policy.spf.received_spf = flags.n > 5 && (flags.p[5] & 1);
    mail_from = (struct path){ .unquoted = local, .text = local };
    envelope = (struct envelope){ .mail_from = &mail_from, .is_smtputf8 = flags.n > 4 && (flags.p[4] & 1) };
    envelope.helo = take_value(&input);
    *auth = (struct authentication){ 0 };
    auth->mail_from = (struct spf_result){ .result = result_at(flags, 0), .identity = "mailfrom", .domain = domain };
    auth->mail_from.mechanism = take_value(&input);
    auth->mail_from.reason = take_value(&input);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX && input.n > 0 && i < result_at(flags, 1); i++) {
        auth->dkim[i] = (struct dkim_result){ .result = result_at(flags, 2), .domain = take_value(&input) };
        auth->dkim[i].selector = take_value(&input);
        auth->dkim[i].algorithm = take_value(&input);
        auth->dkim[i].b = take_value(&input);
        auth->dkim[i].reason = take_value(&input);
        auth->dkim_n++;
    }
    auth->arc = (struct arc_result){ .result = result_at(flags, 7), .sets = 7, .reason = take_value(&input) };
    auth->dmarc =
        (struct dmarc_result){ .result = result_at(flags, 3), .domain = take_value(&input), .policy = "reject" };
    auth->dmarc.reason = take_value(&input);
    outcome.verdict =
        (struct verdict){ .action = is_quarantined ? ACTION_QUARANTINE : ACTION_ACCEPT, .check = "dmarc" };
    outcome.verdict.reason = take_value(&input);
}

static void want_result(const char *method, enum auth_result result)
{
    want(method, str_of(auth_result_name(result)));
}

static void want_dkim(void)
{
    const struct authentication *auth = &outcome.auth;

    for (size_t i = 0; i < auth->dkim_n; i++) {
        const struct dkim_result *dkim = &auth->dkim[i];

        if (!is_known(dkim->result))
            continue;
        want_result("dkim", dkim->result);
        want_if_any("reason", dkim->reason);
        want_if_any("header.d", dkim->domain);
        want_if_any("header.s", dkim->selector);
        want_if_any("header.a", dkim->algorithm);
        want_if_any("header.b", dkim->b);
    }
    if (auth->dkim_n == 0 && (is_known(auth->mail_from.result) || is_known(auth->dmarc.result)))
        want_result("dkim", AUTH_NONE);
}

static void want_authentication_results(void)
{
    const struct authentication *auth = &outcome.auth;

    want("id", STR("mx.example"));
    if (is_known(auth->mail_from.result)) {
        want_result("spf", auth->mail_from.result);
        if (is_error(auth->mail_from.result))
            want_if_any("reason", auth->mail_from.reason);
        want_address("smtp.mailfrom", mail_from.unquoted, auth->mail_from.domain);
    }
    want_dkim();
    if (is_known(auth->arc.result) && auth->arc.result != AUTH_NONE) {
        want_result("arc", auth->arc.result);
        want_if_any("reason", auth->arc.reason);
        want("smtp.remote-ip", STR("::"));
    }
    if (is_known(auth->dmarc.result)) {
        want_result("dmarc", auth->dmarc.result);
        if (is_error(auth->dmarc.result))
            want_if_any("reason", auth->dmarc.reason);
        want_if_any("header.from", auth->dmarc.domain);
        want("policy.dmarc", STR("reject"));
    }
}

static void want_received_spf(void)
{
    const struct spf_result *spf = &outcome.auth.mail_from;

    want_result("received-spf", spf->result);
    want("receiver", STR("mx.example"));
    want("identity", STR("mailfrom"));
    want("client-ip", STR("::"));
    want_cut("envelope-from", mail_from.text, PAIR_MAX);
    if (spf->mechanism.n > 0)
        want_cut("mechanism", spf->mechanism, PAIR_MAX);
    if (is_error(spf->result) && spf->reason.n > 0)
        want_cut("problem", spf->reason, PAIR_MAX);
    want_cut("helo", envelope.helo, PAIR_MAX);
}

static void want_verdict(void)
{
    enum auth_result dmarc = outcome.auth.dmarc.result;

    want("verdict", STR("quarantine"));
    want("check", STR("dmarc"));
    if (is_known(dmarc))
        want_result("dmarc", dmarc);
    want_if_any("reason", outcome.verdict.reason);
}

static void check_fields(struct str fields)
{
    words = wants = 0;
    read_lines(fields, envelope.is_smtputf8);
    text[text_n] = '\0';
    at = text;
    if (strncmp(at, "Auth", 4) == 0) {
        take_authentication_results();
        want_authentication_results();
    }
    if (policy.spf.received_spf && is_known(outcome.auth.mail_from.result)) {
        take_received_spf();
        want_received_spf();
    }
    if (outcome.verdict.action == ACTION_QUARANTINE) {
        take_verdict();
        want_verdict();
    }
    must(at == text + text_n && words == wants);
    for (size_t i = 0; i < words; i++)
        must_match(&word[i], &wanted[i], envelope.is_smtputf8);
}

/* Our own readers: they are ours to remove, and a sealer who put this text into its ARC-Authentication-Results would be
 * read as saying what we found, whatever strangers have put into it.
 */
static void read_as_ours(struct str fields)
{
    static char memory[MEMORY + 16];
    struct header_field field;
    struct str from, value;
    struct arena arena;

    while (header_next(&fields, &field)) {
        must(results_is_ours(&field, STR("mx.example")));
        if (!header_is(&field, STR("Authentication-Results")))
            continue;
        arena_init(&arena, memory, sizeof memory);
        value = arena_printf(&arena, "i=1;%.*s", STR_ARG(field.value));
        must(arc_said_dmarc_pass(value, &from) == (outcome.auth.dmarc.result == AUTH_PASS));
    }
    must(fields.n == 0);
}

static void check_summary(struct str line)
{
    for (size_t i = 0; i < line.n; i++)
        must(is_alnum(line.p[i]) || is_in(line.p[i], " =/,%._-+"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    static char memory[MEMORY];
    struct arena arena;
    struct str fields;

    make(str_from(size > 0 ? (const char *)data : nothing, size));
    arena_init(&arena, memory, sizeof memory);
    fields = results_fields(&policy, &envelope, &outcome, &arena);
    must(fields.p != NULL);
    check_fields(fields);
    read_as_ours(fields);
    check_summary(results_summary(&outcome.auth, &arena));
    return 0;
}
