/* The policy as a whole, every check on: a transaction from the input, through all stages.
 *
 * Line 1: the client's address. Line 2: the MAIL path. Line 3: the RCPT path. Line 4: the HELO name. Line 5: letters
 * for the session and the operator's wishes (read_option). Then lines of facts up to an empty line; the rest is the
 * header section. A fact is given only when it is asked for; what has none is answered from its name alone, so that every question of a
 * transaction has one answer, whenever it is asked.
 *
 * What must hold, whatever is in it:
 * - each stage is decided, the same way twice, and by a reply that can be sent (ORACLE P-7, F-7);
 * - answers in any order and any grouping give the same verdicts, results and trace (DESIGN 2);
 * - with the table closed at any moment everything is decided at once, and nothing better for the sender comes out;
 * - no pass without what a pass is made of, and no refusal for good with a doubt in it;
 * - what is refused by its header alone would be refused at its end, whatever the body;
 * - no relaying, and no judgement of mail that goes out;
 * - the fields that are written are fields.
 */
#include "../unit/transaction.h"
#include "fuzz.h"
#include "policy/body_hash.h"
#include "policy/dkim.h"

enum { KNOWN_MAX = 256, KNOWN_ROOM = 1 << 17, FIELDS_ROOM = 24576 /* of session_results.c */ };

/* ---- the operator, the sender ---- */

static struct domain_entry domain[] = { { STR_INIT("local.example"), false } };
static struct domain_entry sealers[] = { { STR_INIT("example.net"), true }, { STR_INIT("s2.example"), false } };
static struct domain_entry enforced[] = { { STR_INIT("example.com"), true } };
static struct domain_entry monitored[] = { { STR_INIT("example.com"), false } };
static struct domain_entry lists[] = { { STR_INIT("lists.example"), false } };
static struct network relay, forwarders;
static const struct list_code code = { .low = { 127, 0, 0, 2 }, .high = { 127, 0, 0, 2 } };
static struct list_policy dns_lists[] = {
    { .name = STR_INIT("block"),
      .zone = STR_INIT("block.example"),
      .of = 15,
      .codes = { &code, 1 },
      .points = 5,
      .parents = 1,
      .addresses = 3,
      .temperror = TEMPERROR_TEMPFAIL,
      .self_test = true },
    { .name = STR_INIT("welcome"),
      .zone = STR_INIT("welcome.example"),
      .of = 15,
      .codes = { &code, 1 },
      .kind = LIST_WELCOME,
      .points = 3,
      .addresses = 3,
      .temperror = TEMPERROR_TEMPFAIL },
};

/* What becomes of the body, and of signatures without a fact of their own. */
enum body { BODY_EMPTY, BODY_FIRST, BODY_LAST, BODY_OTHER };

static struct input {
    struct policy policy;
    struct envelope envelope;
    struct path from, to;
    char from_room[PATH_ROOM], to_room[PATH_ROOM];
    struct str header;
    struct facts known;
    bool forgeries;     /* signatures do not verify */
    bool is_remembered; /* PAST says fail */
    enum body body;
    uint32_t seed;
} in;

/* What hangs on an answer of the DNS is scored, or has a temporary error for it: want of one must never be better. */
static void judge_names(struct policy *p)
{
    p->helo = (struct helo_policy){ .impostor = { RULE_REJECT, 0 },
                                    .literal = { RULE_REJECT, 0 },
                                    .unqualified = { RULE_REJECT, 0 },
                                    .unresolvable = { RULE_SCORE, 2 },
                                    .mismatch = { RULE_MONITOR, 0 } };
    p->sender = (struct sender_policy){ .exists = { RULE_REJECT, 0 },
                                        .null_mx = { RULE_REJECT, 0 },
                                        .bounces = { RULE_REJECT, 0 },
                                        .temperror = SENDER_TEMPFAIL };
}

static void read_option(char letter)
{
    struct policy *p = &in.policy;

    switch (letter) {
    case 'a': in.envelope.is_authenticated = true; break;
    case 'p': in.envelope.only_postmaster = true; break;
    case 'u': in.envelope.is_smtputf8 = true; break;
    case 'c': p->spf.fail = SPF_FAIL_RECORD; break;
    case 'r': p->spf.fail = SPF_FAIL_REJECT; break;
    case 't': p->spf.temperror = TEMPERROR_RECORD; break;
    case 'e': p->spf.permerror_rejects = true; break;
    case 'x': p->spf.explanation = true; break;
    case 's': p->spf.received_spf = true; break;
    case '1': p->dkim.signatures = 1; break;
    case '2': p->dkim.min_bits = 2048; break;
    case 'l': p->dkim.accept_partial = true; break;
    case 'm': p->dmarc.mode = DMARC_MONITOR; break;
    case 'o': p->dmarc.mode = DMARC_OFF; break;
    case 'M': p->dmarc.monitor_domains = (struct domain_set){ monitored, 1 }; break;
    case 'E': p->dmarc.enforce_domains = (struct domain_set){ enforced, 1 }; break;
    case 'T': p->dmarc.temperror = TEMPERROR_RECORD; break;
    case 'q': p->dmarc.quarantine = QUARANTINE_REDIRECT; break;
    case 'Q': p->dmarc.quarantine = QUARANTINE_REJECT; break;
    case 'A': p->author.strict = false; break;
    case 'S': p->spf.check = false; break;
    case 'D': p->dkim.check = false; break;
    case 'C': p->arc.check = false; break;
    case 'L': p->list = (struct section_list){ dns_lists, 2 }; break;
    case 'N': judge_names(p); break;
    case 'R': p->rdns = (struct rdns_policy){ { RULE_SCORE, 3 }, { RULE_SCORE, 2 } }; break;
    case 'Y': p->lists.early = true; break;
    case 'F': in.forgeries = true; break;
    case 'P': in.is_remembered = true; break;
    case 'f': in.body = BODY_FIRST; break;
    case 'z': in.body = BODY_LAST; break;
    case 'w': in.body = BODY_OTHER; break;
    default: break;
    }
}

static void set_up(struct str letters)
{
    in.policy = (struct policy){
        .hostname = STR_INIT("gw.local.example"),
        .authserv_id = STR_INIT("gw.local.example"),
        .relay = { .domains = { domain, 1 }, .networks = { &relay, 1 } },
        .author.strict = true,
        .spf = { .check = true, .fail = SPF_FAIL_WITHOUT_DMARC },
        .dkim = { .check = true, .signatures = DKIM_SIGNATURES_MAX, .min_bits = 1024 },
        .arc = { .check = true, .trusted_sealers = { sealers, 2 } },
        .dmarc = { .mode = DMARC_ENFORCE,
                   .quarantine_mailbox = STR_INIT("q@local.example"),
                   .forwarders = { &forwarders, 1 },
                   .lists = { lists, 1 } },
        .lists = { .rule.mode = RULE_REJECT, .threshold = 5 },
    };
    in.forgeries = in.is_remembered = false;
    in.body = BODY_EMPTY;
    network_parse(STR("10.0.0.0/8"), &relay);
    network_parse(STR("203.0.113.0/24"), &forwarders);
    for (size_t i = 0; i < letters.n; i++)
        read_option(letters.p[i]);
}

/* ---- the input ---- */

static struct str take_line(struct str *rest)
{
    size_t n = str_find(*rest, '\n');
    struct str line = str_from(rest->p, n);

    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return line;
}

/* The lines up to an empty one, which is dropped. */
static struct str take_block(struct str *rest)
{
    struct str block = { rest->p, 0 }, line;

    while (rest->n > 0) {
        line = take_line(rest);
        if (line.n == 0)
            break;
        block.n = (size_t)(line.p + line.n - block.p);
    }
    return block;
}

static uint32_t hash(uint32_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619;
    return h;
}

static bool read_input(struct str rest)
{
    static struct fact table[KNOWN_MAX];
    static char memory[KNOWN_ROOM];
    struct str whole = rest, client = take_line(&rest), from = take_line(&rest), to = take_line(&rest);
    struct str helo = take_line(&rest);
    bool complete;

    in.envelope = (struct envelope){ .helo = helo, .is_esmtp = true, .now = 1700000000 };
    in.seed = hash(2166136261, whole);
    set_up(take_line(&rest));
    if (!address_parse(client, &in.envelope.client.address) || helo.n > 255)
        return false;
    if (path_parse(from, PATH_REVERSE, PATH_UTF8, in.from_room, &in.from, NULL) != PATH_OK)
        return false;
    if (path_parse(to, PATH_FORWARD, PATH_UTF8, in.to_room, &in.to, NULL) != PATH_OK)
        return false;
    in.envelope.mail_from = &in.from;
    facts_init(&in.known, table, KNOWN_MAX, memory, sizeof memory);
    facts_load(&in.known, take_block(&rest));
    in.header = rest;
    in.header.n = header_length(rest, &complete);
    return true;
}

/* ---- answers ---- */

#define RSA_1024 \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/" \
    "byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/" \
    "K4w3QIDAQAB"

static bool contains(struct str s, struct str what)
{
    for (size_t i = 0; i + what.n <= s.n; i++)
        if (memcmp(s.p + i, what.p, what.n) == 0)
            return true;
    return false;
}

static struct str text_for(struct str name, uint32_t h)
{
    if (str_istarts(name, STR("_dmarc.")))
        return h & 8 ? STR("v=DMARC1; p=reject; np=none") : STR("v=DMARC1; p=quarantine; psd=n");
    if (contains(name, STR("._domainkey.")))
        return h & 8 ? STR("p=" RSA_1024) : STR("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    return h & 8 ? STR("v=spf1 a mx include:x.example ptr -all")
                 : STR("v=spf1 ip4:192.0.2.0/24 ?exists:%{l}.x.example ~all");
}

/* A question to the DNS that no fact answers. */
static void answer_from_name(struct facts *facts, struct question q)
{
    static const enum fact_state states[] = { FACT_NXDOMAIN, FACT_NXDOMAIN, FACT_NODATA, FACT_TEMP };
    uint32_t h = hash(2166136261 + (uint32_t)q.kind, q.key) >> 4;
    struct str value = STR("192.0.2.1");

    if (h % 8 < 4) {
        facts_answer(facts, q, states[h % 4], NULL, 0);
        return;
    }
    if (q.kind == ASK_TXT)
        value = text_for(q.key, h);
    else if (q.kind == ASK_MX)
        value = STR("10 mx.x.example");
    else if (q.kind == ASK_PTR)
        value = STR("mail.x.example");
    else if (q.kind == ASK_A &&
             (domain_is_within(q.key, STR("block.example")) || domain_is_within(q.key, STR("welcome.example"))))
        value = STR("127.0.0.2");
    else if (q.kind == ASK_AAAA)
        value = STR("2001:db8::1");
    facts_answer(facts, q, FACT_OK, &value, 1);
}

static void answer(struct facts *facts, struct question q)
{
    const struct fact *known = facts_find(&in.known, q);
    struct str word = in.forgeries || q.kind == ASK_PAST ? STR("fail") : STR("pass");

    REQUIRE(q.kind != ASK_BODY && q.kind != ASK_GEO && q.kind != ASK_SEEN && q.key.n > 0);
    if (known != NULL && known->state != FACT_UNKNOWN)
        facts_answer(facts, q, known->state, known->value, known->n);
    else if (q.kind == ASK_SIG)
        facts_answer(facts, q, FACT_OK, &word, 1);
    else if (q.kind == ASK_LIST)
        facts_answer(facts, q, FACT_NODATA, NULL, 0);
    else if (q.kind == ASK_PAST)
        facts_answer(facts, q, in.is_remembered ? FACT_OK : FACT_NODATA, &word, in.is_remembered);
    else if (in.known.limited || in.known.closed) /* "* LIMIT", "* TEMP" */
        facts_answer(facts, q, in.known.limited ? FACT_LIMIT : FACT_TEMP, NULL, 0);
    else
        answer_from_name(facts, q);
}

/* The bh= of a signature over the canonical body `key`, the first or the last of those in the header. */
static struct str wanted_hash(struct str key, bool is_last)
{
    struct str rest = in.header, found = STR("");
    struct header_field field;

    while (header_next_anywhere(&rest, &field)) {
        bool is_dkim = header_is(&field, STR("DKIM-Signature"));
        struct dkim_signature s;
        char room[BODY_HASH_NAME_MAX];

        if (!is_dkim && !header_is(&field, STR("ARC-Message-Signature")))
            continue;
        if (dkim_signature_read(&field, is_dkim ? SIGNATURE_DKIM : SIGNATURE_AMS, &s) != NULL ||
            !str_eq(body_hash_name(s.body_relaxed, s.has_limit, s.limit, room), key))
            continue;
        found = s.body_hash;
        if (!is_last)
            break;
    }
    return found;
}

/* What the session hashes, and no more: a check that asks for another body would get no answer. It is given after the
 * deadline, too (session_policy.c).
 */
static void give_bodies(struct facts *facts, enum body body)
{
    bool was_closed = facts->closed;
    struct body_hashes hashes;

    facts->closed = false;
    body_hashes_begin(&hashes, in.header, (size_t)in.policy.dkim.signatures);
    REQUIRE(hashes.n <= BODY_HASHES_MAX);
    for (size_t i = 0; i < hashes.n; i++) {
        const struct body_hash *hash = &hashes.hash[i];
        char room[BODY_HASH_NAME_MAX];
        struct question q = { ASK_BODY, body_hash_name(hash->is_relaxed, hash->has_limit, hash->limit, room) };
        const struct fact *known = body == BODY_EMPTY ? facts_find(&in.known, q) : NULL;
        struct str value[2] = { STR("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), STR("0") };

        if (body == BODY_FIRST || body == BODY_LAST)
            value[0] = wanted_hash(q.key, body == BODY_LAST);
        if (body != BODY_EMPTY && hash->has_limit) /* just as long as is signed */
            value[1] = str_skip(q.key, str_find(q.key, ' ') + 1);
        if (body == BODY_OTHER)
            value[0] = STR("2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        if (known != NULL)
            facts_answer(facts, q, known->state, known->value, known->n);
        else
            facts_answer(facts, q, FACT_OK, value, 2);
    }
    facts->closed = was_closed;
}

/* ---- playing it ---- */

/* How the answers come: all that are open, or some; and after which one nobody waits any more. */
struct order {
    bool all_at_once;
    uint32_t seed;
    unsigned deadline; /* answers, UINT_MAX: never */
};

#define NEVER (~0u)

static size_t open_questions(const struct facts *facts, size_t open[FACTS_ROOM_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].state == FACT_UNKNOWN)
            open[n++] = i;
    return n;
}

static void answer_open(struct facts *facts, struct order *order)
{
    size_t open[FACTS_ROOM_MAX], n = open_questions(facts, open);
    size_t some = n;

    REQUIRE(n > 0);
    if (!order->all_at_once) {
        order->seed = order->seed * 1664525 + 1013904223;
        some = 1 + (order->seed >> 8) % n; /* few passes, many orders */
    }
    for (size_t i = 0; i < some && n > 0 && order->deadline > 0; i++) {
        size_t pick = order->all_at_once ? 0 : (order->seed >> 12) % n;

        answer(facts, facts->fact[open[pick]].q);
        open[pick] = open[--n];
        order->deadline -= order->deadline != NEVER;
    }
    if (order->deadline == 0)
        facts_close(facts);
}

static unsigned play(struct transaction *t, struct order order, enum body body)
{
    enum transaction_event event;
    unsigned answers = 0;

    transaction_start(t, &in.policy, &in.envelope, &in.to, in.header);
    if (order.deadline == 0)
        facts_close(&t->facts);
    while ((event = transaction_run(t)) != TRANSACTION_DONE) {
        if (event == TRANSACTION_BODY) {
            give_bodies(&t->facts, body);
            continue;
        }
        REQUIRE(!t->facts.closed); /* at the deadline everything is decided at once */
        answer_open(&t->facts, &order);
        answers++;
    }
    REQUIRE(!t->is_stuck);
    return answers;
}

/* ---- one outcome ---- */

/* Class digits agree and the text is one printable line (ORACLE P-7, F-7). */
static void require_reply(const struct verdict *verdict)
{
    bool is_temporary = verdict->code >= 400 && verdict->code <= 499;

    if (verdict->code == 0) {
        REQUIRE(verdict->action == ACTION_ACCEPT || verdict->action == ACTION_QUARANTINE);
        return;
    }
    REQUIRE(is_temporary || (verdict->code >= 500 && verdict->code <= 599));
    REQUIRE(verdict->action == (is_temporary ? ACTION_TEMPFAIL : ACTION_REJECT));
    REQUIRE(verdict->enhanced[0] == (is_temporary ? '4' : '5') && verdict->text.n > 0 && verdict->text.n <= 400);
    for (size_t i = 0; i < verdict->text.n; i++)
        REQUIRE(verdict->text.p[i] >= ' ' && verdict->text.p[i] <= '~');
}

/* ORACLE P-1 and P-2, read off the printed path alone: what stands after its last "@", and no second route before it.
 */
static void require_local(struct str path)
{
    struct str local = STR("@local.example");

    if (str_find(path, '@') == path.n) {
        REQUIRE(str_ieq(path, STR("postmaster")));
        return;
    }
    REQUIRE(str_iends(path, local));
    path.n -= local.n;
    REQUIRE(str_find(path, '@') == path.n && str_find(path, '%') == path.n && str_find(path, '!') == path.n);
}

static bool is_outgoing(void)
{
    return in.envelope.is_authenticated || network_holds(&relay, &in.envelope.client.address);
}

static bool is_by(const struct verdict *v, const char *check)
{
    return is_refusal(v) && strcmp(v->check, check) == 0;
}

/* ---- what a pass is made of ---- */

static const struct fact *fact_ok(const struct facts *facts, enum ask kind, struct str key)
{
    const struct fact *fact = facts_find(facts, (struct question){ kind, key });

    return fact != NULL && fact->state == FACT_OK ? fact : NULL;
}

static bool has_record(const struct facts *facts, struct str name, struct str begins)
{
    const struct fact *fact = fact_ok(facts, ASK_TXT, name);

    for (size_t i = 0; fact != NULL && i < fact->n; i++)
        if (str_istarts(fact->value[i], begins))
            return true;
    return false;
}

static bool has_dmarc(const struct facts *facts, struct str name)
{
    char room[PATH_DOMAIN_MAX + 16] = "_dmarc.";

    memcpy(room + 7, name.p, name.n);
    return has_record(facts, str_from(room, 7 + name.n), STR("v"));
}

static bool parent(struct str *name)
{
    size_t n = str_find(*name, '.');

    *name = str_skip(*name, n < name->n ? n + 1 : n);
    return name->n > 0;
}

static bool has_dmarc_above(const struct facts *facts, struct str name)
{
    do
        if (has_dmarc(facts, name))
            return true;
    while (parent(&name));
    return false;
}

static bool is_end_of(struct str end, struct str name)
{
    return end.n <= name.n && str_eq(end, str_skip(name, name.n - end.n)) &&
           (end.n == name.n || name.p[name.n - end.n - 1] == '.');
}

/* Relaxed alignment in the widest sense: one name, or a common end of both that publishes something itself or below a
 * suffix that does (psd=y).
 */
static bool may_align(const struct facts *facts, struct str author, struct str id)
{
    struct str end = author, above;

    if (str_eq(author, id))
        return true;
    do {
        above = end;
        if (is_end_of(end, id) && (has_dmarc(facts, end) || (parent(&above) && has_dmarc(facts, above))))
            return true;
    } while (parent(&end));
    return false;
}

static bool spf_stands(const struct facts *facts, const struct spf_result *spf)
{
    return spf->result == AUTH_PASS && has_record(facts, spf->domain, STR("v=spf1"));
}

static size_t count_fields(struct str header, struct str name)
{
    struct header_field field;
    size_t n = 0;

    while (header_next_anywhere(&header, &field))
        n += header_is(&field, name);
    return n;
}

static bool is_verified(const struct facts *facts, const char *kind, size_t instance)
{
    const struct fact *fact;
    struct arena arena;
    char room[64];

    arena_init(&arena, room, sizeof room);
    fact = fact_ok(facts, ASK_SIG, arena_printf(&arena, "%s %u", kind, (unsigned)instance));
    return fact != NULL && str_eq(fact->value[0], STR("pass"));
}

static void require_founded(const struct transaction *t, const struct authentication *auth)
{
    const struct facts *facts = &t->facts;
    bool aligned = false;

    REQUIRE(auth->mail_from.result != AUTH_PASS || spf_stands(facts, &auth->mail_from));
    REQUIRE(auth->helo.result != AUTH_PASS || spf_stands(facts, &auth->helo));
    REQUIRE(auth->dkim_n + auth->dkim_ignored <= count_fields(in.header, STR("DKIM-Signature")));
    if (auth->mail_from.result == AUTH_PASS)
        aligned = may_align(facts, auth->author, auth->mail_from.domain);
    if (auth->helo.result == AUTH_PASS && in.from.is_null)
        aligned = aligned || may_align(facts, auth->author, auth->helo.domain);
    for (size_t i = 0; i < auth->dkim_n; i++) {
        const struct dkim_result *dkim = &auth->dkim[i];

        if (dkim->result != AUTH_PASS)
            continue;
        REQUIRE(is_verified(facts, "dkim", i + 1));
        if (!dkim->is_partial || in.policy.dkim.accept_partial)
            aligned = aligned || may_align(facts, auth->author, dkim->domain);
    }
    for (unsigned i = 1; auth->arc.result == AUTH_PASS && i <= auth->arc.sets; i++)
        REQUIRE(is_verified(facts, "as", i));
    REQUIRE(auth->arc.result != AUTH_PASS || is_verified(facts, "ams", auth->arc.sets));
    REQUIRE(auth->dmarc.result != AUTH_PASS || (aligned && has_dmarc_above(facts, auth->author)));
}

/* The author's own domain has authenticated the message. */
static bool is_authors_own(const struct authentication *auth)
{
    if (auth->mail_from.result == AUTH_PASS && str_eq(auth->mail_from.domain, auth->author))
        return true;
    for (size_t i = 0; i < auth->dkim_n; i++)
        if (auth->dkim[i].result == AUTH_PASS && !auth->dkim[i].is_partial &&
            str_eq(auth->dkim[i].domain, auth->author))
            return true;
    return false;
}

static void require_fair(const struct outcome *outcome)
{
    const struct verdict *v = &outcome->verdict;
    const struct authentication *auth = &outcome->auth;

    if (is_outgoing()) {
        REQUIRE(!is_refusal(v) && v->action == ACTION_ACCEPT && auth->is_exempt && auth->dkim_n == 0);
        REQUIRE(auth->mail_from.result == AUTH_ABSENT && auth->dmarc.result == AUTH_ABSENT);
    }
    if (in.envelope.only_postmaster)
        REQUIRE(!is_by(v, "dmarc") && !is_by(v, "spf_alone"));
    if (is_by(v, "dmarc")) {
        REQUIRE(v->code != 550 || (auth->dmarc.result == AUTH_FAIL && auth->dmarc.policy[0] != '\0'));
        REQUIRE(!is_authors_own(auth));
        REQUIRE(in.policy.dmarc.mode == DMARC_ENFORCE || in.policy.dmarc.enforce_domains.n > 0);
    }
    if (is_by(v, "spf_alone") && v->code == 550)
        REQUIRE(auth->mail_from.result == AUTH_FAIL || auth->mail_from.result == AUTH_PERMERROR);
    if (v->action == ACTION_QUARANTINE)
        REQUIRE(auth->dmarc.result == AUTH_FAIL && !is_authors_own(auth));
}

/* ---- the fields ---- */

static void require_lines(struct str fields)
{
    size_t column = 0;

    for (size_t i = 0; i < fields.n; i++) {
        unsigned char c = (unsigned char)fields.p[i];

        if (c == '\r') {
            REQUIRE(i + 1 < fields.n && fields.p[i + 1] == '\n' && column > 0);
            column = 0;
            i++;
            continue;
        }
        REQUIRE(c >= ' ' && c != 0x7f && (c < 0x80 || in.envelope.is_smtputf8));
        REQUIRE(++column <= 998);
    }
    REQUIRE(column == 0);
}

/* They read back as the fields that only we may write. */
static struct str require_fields(const struct outcome *outcome, char room[FIELDS_ROOM])
{
    struct envelope envelope = in.envelope;
    struct header_field field;
    struct arena arena;
    struct str fields, rest;

    arena_init(&arena, room, FIELDS_ROOM);
    fields = rest = results_fields(&in.policy, &envelope, outcome, &arena);
    REQUIRE(fields.p != NULL);
    require_lines(fields);
    while (header_next(&rest, &field))
        REQUIRE(results_is_ours(&field, in.policy.authserv_id) && field.value.n > 0);
    REQUIRE(rest.n == 0);
    REQUIRE(results_summary(&outcome->auth, &arena).p != NULL);
    return fields;
}

/* ---- a whole transaction ---- */

static void require_sense(const struct transaction *t)
{
    for (enum stage stage = AT_CONNECT; stage < STAGES; stage++) {
        const struct outcome *outcome = &t->outcome[stage];

        REQUIRE(outcome->decided);
        require_reply(&outcome->verdict);
    }
    if (!is_refusal(&t->outcome[AT_RCPT].verdict) && !is_outgoing())
        require_local(in.to.text);
    for (enum stage stage = AT_HEADERS; stage <= AT_END; stage++) {
        require_founded(t, &t->outcome[stage].auth);
        require_fair(&t->outcome[stage]);
    }
}

static void require_same_again(struct transaction *t)
{
    static struct outcome again;
    static char room[TRANSACTION_ROOM];

    transaction_evaluate(t, AT_END, &again, room);
    REQUIRE(outcomes_differ(&t->outcome[AT_END], &again) == NULL);
}

/* RFC 7208 5.5 lets "ptr" not match when the DNS does not answer, whatever comes behind it in the record. */
static bool has_reverse_names(const struct facts *facts)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->fact[i].q.kind == ASK_PTR)
            return true;
    return false;
}

static bool defers_doubt(void)
{
    return in.policy.spf.temperror == TEMPERROR_TEMPFAIL && in.policy.dmarc.temperror == TEMPERROR_TEMPFAIL;
}

static void require_no_better(const struct transaction *late, const struct transaction *whole)
{
    if (late->facts.limited || whole->facts.limited || has_reverse_names(&whole->facts))
        return;
    REQUIRE(result_is_better(&late->outcome[AT_END].auth, &whole->outcome[AT_END].auth) == NULL);
    if (defers_doubt())
        REQUIRE(verdict_is_better(late, whole) == NULL);
}

/* In the best case: where two signatures want two hashes of one body, that of the first or that of the last. */
static void require_refused_whatever_the_body(void)
{
    static struct transaction best;
    struct body_hashes hashes;

    body_hashes_begin(&hashes, in.header, (size_t)in.policy.dkim.signatures);
    for (int body = hashes.n > 0 ? BODY_FIRST : BODY_OTHER; body <= BODY_LAST; body++) {
        play(&best, (struct order){ true, 0, NEVER }, (enum body)body);
        REQUIRE(is_refusal(&best.outcome[AT_END].verdict));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    static struct transaction whole, other, late;
    static char room[2][FIELDS_ROOM];
    struct str fields;
    unsigned answers;

    if (!read_input(str_from(size > 0 ? (const char *)data : nothing, size)))
        return 0;
    answers = play(&whole, (struct order){ true, 0, NEVER }, in.body);
    require_sense(&whole);
    require_same_again(&whole);
    fields = require_fields(&whole.outcome[AT_END], room[0]);

    play(&other, (struct order){ false, in.seed, NEVER }, in.body);
    if (!whole.facts.limited && !other.facts.limited) {
        REQUIRE(transactions_differ(&whole, &other) == NULL);
        REQUIRE(str_eq(fields, require_fields(&other.outcome[AT_END], room[1])));
    }
    play(&late, (struct order){ false, in.seed, answers > 0 ? in.seed % (2 * answers) : 0 }, in.body);
    require_sense(&late);
    require_fields(&late.outcome[AT_END], room[1]);
    require_no_better(&late, &whole);
    if (is_refusal(&whole.outcome[AT_HEADERS].verdict) && !whole.facts.limited)
        require_refused_whatever_the_body();
    return 0;
}
