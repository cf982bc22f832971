/* The policy: one pure function from what is known to what is to be done (DESIGN 1 to 3).
 *
 *     policy_evaluate(policy, AT_RCPT, &envelope, NULL, &facts, &arena, &outcome);
 *     if (!outcome.decided)  -> get answers for outcome.question[0..n), facts_answer() them, evaluate again
 *     else                   -> outcome.verdict
 *
 * No I/O, no clock, no randomness, no globals, no callbacks, no malloc: the arena is the caller's, and
 * everything in the outcome points into it, into the facts or into constants. The same function serves the
 * proxy, explain, replay, tests and fuzzers. A pass has no side effect: what should happen once (a debit, a
 * memory) is listed in the outcome's effects.
 *
 * A new check is one file policy/check_x.c (its option rows and its run) and one row in policy_checks[].
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "address.h"
#include "arena.h"
#include "authentication.h"
#include "facts.h"
#include "option.h"
#include "path.h"
#include "signature.h"

enum stage { AT_CONNECT, AT_HELO, AT_MAIL, AT_RCPT, AT_DATA, AT_HEADERS, AT_END, STAGES };

/* The operator's wishes, immutable once loaded. One struct per check, filled through the check's option rows.
 */
struct relay_policy {
    struct domain_set domains;    /* local domains: RCPT to these is ours to accept */
    struct network_list networks; /* clients that may relay anywhere */
    bool allow_unqualified;       /* <user> without a domain (postmaster is always allowed) */
    bool allow_percent;           /* '%', '!' or a quoted '@' in local parts (P-2) */
};

/* What becomes of a temporary error of an authentication method that a refusal could hang on (ORACLE P-8). */
enum on_temperror { TEMPERROR_TEMPFAIL, TEMPERROR_RECORD };

/* SPF "fail" where it stands alone. RFC 7208 8.4 leaves it to the receiver; RFC 9989 advises against deciding before
 * DMARC was asked.
 */
enum on_spf_fail {
    SPF_FAIL_RECORD,        /* never refuse for it alone */
    SPF_FAIL_WITHOUT_DMARC, /* refuse unless the author domain has a DMARC record, which then decides */
    SPF_FAIL_REJECT         /* refuse at RCPT */
};

struct spf_policy {
    bool check;    /* no: the method is not run, and nothing is said about it */
    int fail;      /* enum on_spf_fail */
    int temperror; /* enum on_temperror */
    bool permerror_rejects;
    bool explanation;         /* fetch exp= (RFC 7208 6.2) and put it into the reply */
    bool received_spf;        /* write Received-SPF (RFC 7208 9.1) beside Authentication-Results */
    struct network_list skip; /* clients whose SPF says nothing: our own forwarders and secondary MXs */
};

struct dkim_policy {
    bool check;          /* no: the method is not run, and nothing is said about it */
    uint64_t signatures; /* verified per message, at most DKIM_SIGNATURES_MAX */
    uint64_t min_bits;   /* of an RSA key, RFC 8301 3.2 */
    bool accept_partial; /* l= shorter than the body counts for DMARC */
};

struct arc_policy {
    bool check; /* no: the method is not run, and nothing is said about it */
    struct domain_set trusted_sealers;
};

enum dmarc_mode { DMARC_OFF, DMARC_MONITOR, DMARC_ENFORCE };
enum on_quarantine { QUARANTINE_TAG, QUARANTINE_REDIRECT, QUARANTINE_REJECT };

struct dmarc_policy {
    int mode;                                                        /* enum dmarc_mode, for domains not listed below */
    struct domain_set off_domains, monitor_domains, enforce_domains; /* author domains */
    int quarantine;                                                  /* enum on_quarantine */
    struct str quarantine_mailbox;                                   /* for QUARANTINE_REDIRECT */
    int temperror;                                                   /* enum on_temperror */
    struct network_list forwarders; /* clients that forward for our users: a fail is overridden */
    struct domain_set lists;        /* mailing lists: the same for mail that one of these domains authenticates */
};

struct author_policy {
    bool strict; /* refuse what has no author domain, several, or an ambiguous one (ATTACKS E) */
};

/* How an objection is taken (rule.h). */
enum rule_mode { RULE_OFF, RULE_MONITOR, RULE_SCORE, RULE_REJECT };

struct rule {
    int mode; /* enum rule_mode */
    uint64_t weight;
};

/* Sections that may be repeated: [except NAME]. Each item is a struct whose first member is its name. */
struct section_list {
    void *item;
    size_t n;
};

/* [except NAME]: all that is given must hold. */
struct exception {
    struct str name;
    struct str_list checks; /* empty: every check that knows exceptions */
    struct network_list networks;
    struct str_list countries;    /* "DE" */
    struct str_list asns;         /* "64500" or "AS64500" */
    struct domain_set senders;    /* of MAIL FROM; known from AT_MAIL on */
    struct domain_set recipients; /* of RCPT; known AT_RCPT, and later when it holds for all of them */
};

/* Domains that look like ours. */
struct lookalike_policy {
    struct rule rule;
    struct domain_set protected, allow;
    struct str_list words; /* that attackers add to a name */
    uint64_t min_length;   /* characters */
};

/* [person NAME]: somebody whose name others write under. */
struct person {
    struct str name;           /* of the section */
    struct str_list spelled;   /* the words of the display name, in UTF-8 */
    struct str_list also;      /* another spelling of it */
    struct str_list addresses; /* "erika@example.net" or "example.net", besides the local domains */
};

struct impersonation_policy {
    struct rule rule;
    struct section_list persons; /* struct person */
};

/* Parts of messages. Modes are enum rule_mode. */
struct attachment_policy {
    struct rule rule; /* for listed extensions and types */
    struct str_list extensions, types;
    int content, archived, encrypted, double_names, limits, malformed;
    uint64_t depth, parts;
};

/* Who does not wait to be greeted, or for answers. */
struct door_policy {
    struct rule rule;             /* early talkers */
    uint64_t pause;               /* ms, in front of the greeting's last line */
    struct network_list networks; /* known to be good */
    struct str_list listeners;    /* that have the pause; empty: those in clear without AUTH */
    struct rule pipelining;
};

struct rdns_policy {
    struct rule rule;        /* clients without a name */
    struct rule unconfirmed; /* whose name has other addresses */
};

struct helo_policy {
    struct rule impostor; /* gives our name, or our address, as its own */
    struct rule literal;  /* an address that is not the client's */
    struct rule unqualified;
    struct rule unresolvable;
    struct rule mismatch;
    struct network_list addresses; /* ours, besides `own` */
    struct endpoint_list own;      /* those of the listeners */
};

enum on_sender_temperror { SENDER_ACCEPT, SENDER_TEMPFAIL };

struct sender_policy {
    struct rule exists;  /* domains that cannot be answered */
    struct rule null_mx; /* that say so themselves */
    struct rule bounces;
    int temperror;                /* enum on_sender_temperror */
    struct str_list receive_only; /* "sales@example.org", "example.org": they send nothing that could bounce */
};

/* What is counted, and whose. */
enum rate_count {
    RATE_CONNECTIONS,
    RATE_MESSAGES,
    RATE_RECIPIENTS,
    RATE_REFUSALS,
    RATE_UNKNOWN_RECIPIENTS,
    RATE_BYTES,
    RATE_COUNTS
};
enum rate_per { RATE_ADDRESS, RATE_NETWORK, RATE_SITE, RATE_ASN, RATE_SENDER, RATE_USER };
enum { RATES_MAX = 32 };
#define RATE_NOT_KNOWN UINT64_MAX

/* [rate NAME] */
struct rate {
    struct str name;
    int count, per; /* enum rate_count, rate_per */
    uint64_t limit;
    uint64_t window; /* ms */
    struct rule rule;
};

struct rates_policy {
    uint64_t memory;
    bool builtin;             /* without sections of his own the operator gets ours */
    struct section_list list; /* struct rate */
};

enum geo_missing { GEO_ACCEPT, GEO_TEMPFAIL };

/* [origin NAME] */
struct origin_rule {
    struct str name;
    struct str_list allow, deny; /* "DE", "continent:EU", "AS64500" */
    struct str_list listeners;
    struct domain_set recipients;
    struct rule rule;
    bool early; /* judged AT_CONNECT */
};

struct geo_policy {
    struct str country_database, asn_database; /* paths; empty: none */
    uint64_t refresh;                          /* ms */
    int missing;                               /* enum geo_missing */
    struct section_list rules;                 /* struct origin_rule */
};

struct score_policy {
    uint64_t tag, quarantine, reject; /* points; 0: never */
};

/* What lists are asked about; bits of list_policy.of. */
enum list_of { LIST_CLIENT, LIST_HELO, LIST_MAIL_FROM, LIST_FROM, LIST_IDENTITIES };
enum list_addresses { LIST_IPV4, LIST_IPV6 };
enum list_kind { LIST_BLOCK, LIST_WELCOME };
enum { LISTS_MAX = 32 };

/* [list NAME] */
struct list_policy {
    struct str name; /* what clients and the log are told: a zone may hold a key */
    struct str zone; /* canonical */
    unsigned of;     /* 1u << LIST_CLIENT ... */
    struct list_codes codes;
    int kind; /* enum list_kind */
    uint64_t points;
    uint64_t parents;   /* names above a domain that are asked about, too */
    unsigned addresses; /* 1u << LIST_IPV4, LIST_IPV6: of clients */
    uint64_t timeout;   /* ms that a session waits for it */
    int temperror;      /* enum on_temperror */
    bool self_test;
    struct str reply; /* more for the client, such as a URL */
};

struct lists_policy {
    struct rule rule;
    uint64_t threshold; /* points from which a client is refused */
    bool early;         /* before the greeting */
};

/* [standing]; times in ms */
struct standing_policy {
    struct rule rule;
    uint64_t credit, good_from, bad_from;
    uint64_t half_life;
    uint64_t memory;
    struct str checkpoint; /* a file; empty: none */
};

enum client_standing { STANDING_UNKNOWN, STANDING_GOOD, STANDING_BAD };

/* Reply times of the mail server, in ms, from which it counts as slow. */
struct brownout_policy {
    struct rule rule;
    uint64_t slow, very_slow;
};

struct greylist_policy {
    struct rule rule;
    uint64_t delay, window, lifetime;
    uint64_t memory;
};

struct recipients_policy {
    struct rule rule;
    uint64_t positive_ttl, negative_ttl;
    uint64_t memory;
};

struct policy {
    struct str hostname;    /* of the gateway: %{r} of SPF macros, "receiver" */
    struct str authserv_id; /* RFC 8601 2.5 */
    struct relay_policy relay;
    struct author_policy author;
    struct spf_policy spf;
    struct dkim_policy dkim;
    struct arc_policy arc;
    struct dmarc_policy dmarc;
    struct section_list exceptions; /* struct exception */
    struct standing_policy standing;
    struct greylist_policy greylist;
    struct rates_policy rates;
    struct brownout_policy brownout;
    struct recipients_policy recipients;
    struct lookalike_policy lookalike;
    struct impersonation_policy impersonation;
    struct door_policy door;
    struct geo_policy geo;
    struct rdns_policy rdns;
    struct helo_policy helo;
    struct sender_policy sender;
    struct score_policy score;
    struct lists_policy lists;
    struct section_list list; /* struct list_policy */
    struct attachment_policy attachment;
};

/* Points of one check. */
struct score {
    const char *check;
    int64_t points; /* 0: told only (monitor) */
    struct str reason;
    bool is_sum; /* with what the check said before: it takes its place, more or less */
};

enum { SCORES_MAX = 24 /* of a transaction: one per check */ };

struct score_list {
    struct score item[SCORES_MAX];
    size_t n;
};

/* What the mail server said about a recipient the last time (proxy/recipients.h). */
enum recipient_memory { RECIPIENT_NOT_KNOWN, RECIPIENT_ACCEPTED_THERE, RECIPIENT_UNKNOWN_THERE };

struct known_recipient {
    enum recipient_memory memory;
    int code;             /* of RECIPIENT_UNKNOWN_THERE: 550 */
    const char *enhanced; /* "5.1.1" */
};

/* Units of an effect ASK_SEEN: the sender came for the first time, or was let in. */
enum { GREYLIST_CAME, GREYLIST_PASSED };

/* What the session knows at this stage. Fields of later stages are zero. */
struct envelope {
    struct endpoint client;
    struct str helo; /* as given; empty before HELO */
    bool is_esmtp;
    bool is_tls;
    bool is_authenticated; /* the back end said 235 in this session */
    bool is_smtputf8;
    const struct path *mail_from; /* NULL before MAIL */
    const struct path *rcpt;      /* the recipient judged AT_RCPT, else NULL */
    size_t rcpt_accepted;         /* recipients accepted so far in this transaction */
    bool only_postmaster;         /* each of them is the postmaster, who hears everybody (RFC 5321 4.5.1, P-10) */
    uint64_t declared_size;       /* SIZE=, 0 when absent */
    int64_t now;                  /* seconds since the epoch */
    struct str listener;          /* its name in the ini */

    struct str talked_early; /* what came before the greeting was complete ("SMTP", "TLS"); empty: nothing */
    bool pipelined;          /* commands came behind one whose answer has to be awaited */

    struct known_recipient known_recipient; /* of `rcpt` */

    /* What each [rate] section has counted within its window, this event included; RATE_NOT_KNOWN where it counts nothing of
     * this client, or not at this stage. NULL: nothing is counted.
     */
    const uint64_t *usage;

    uint64_t reply_ms;             /* that the mail server takes lately; 0: not known, or not asked at this stage */
    enum client_standing standing; /* of the client by its address; looked up while the mail server is slow */

    const struct score_list *scores; /* of this transaction's stages before; NULL: none */
    /* Trace fields went south, or recipients are settled: what is found from here on cannot be written into the message, nor
     * quarantine it.
     */
    bool front_sent;
};

struct message {
    struct str header; /* the header section as received (CRLF lines), from AT_HEADERS on */
    uint64_t size;     /* octets of the message so far; final AT_END */
};

enum action { ACTION_ACCEPT, ACTION_QUARANTINE, ACTION_TEMPFAIL, ACTION_REJECT };

/* A refusal carries its reply; code 0 and "" for accept. `check` and `reason` are for the log: which check,
 * which fact, which rule. While an outcome is undecided its verdict is a 451, so that nobody can read an
 * accept out of it by mistake.
 */
struct verdict {
    enum action action;
    int code;
    const char *enhanced; /* "5.7.1" */
    struct str text;      /* reply text, printable ASCII, one line */
    const char *check;    /* name of the deciding check; "" when none objected */
    struct str reason;
};

/* One line of the trace: what a check found, whether it decided or not. */
struct finding {
    const char *check;
    const char *result;
    struct str detail;
};

/* Something the proxy does once, after the deciding pass. */
struct effect {
    enum ask kind;
    struct str key;
    uint64_t units;
};

/* How much one pass can hand out. A question that does not fit waits for a later pass: the ones before it are
 * in the facts by then. Findings and effects that do not fit are dropped.
 */
enum { OUTCOME_QUESTIONS_MAX = 64, OUTCOME_FINDINGS_MAX = 96, OUTCOME_EFFECTS_MAX = 16, OUTCOME_JOBS_MAX = 64 };

/* A decided outcome may have questions, too: of checks that look ahead (pass_look_ahead). They are worth asking now,
 * and nobody waits for them. A refusal has none.
 */
struct outcome {
    bool decided;
    struct verdict verdict;
    struct authentication auth; /* what the methods found so far; all of it, once an outcome AT_END is decided */
    struct signature_job
        job[OUTCOME_JOBS_MAX]; /* signatures to verify: signature_verify() each, answer, evaluate again */
    size_t jobs;
    struct question question[OUTCOME_QUESTIONS_MAX]; /* each once, and none that facts_ask() was told already; no SIG */
    size_t questions;
    struct finding finding[OUTCOME_FINDINGS_MAX];
    size_t findings;
    struct effect effect[OUTCOME_EFFECTS_MAX];
    size_t effects;
    struct score_list scores; /* of this stage, by this pass; the caller keeps them for the stages behind it */
};

/* `message` is NULL before AT_HEADERS. `facts` may be NULL when no check at this stage asks (unknowns then
 * read TEMP).
 *
 * Checks run in the order of the table. A pass in which a check met an unknown ends undecided; the checks
 * behind it still run, so that all questions of a pass go out together. The first refusal that no unknown
 * came before, in its own check, ends the pass; it decides when no check before it is pending. When a pass is
 * undecided and none of its questions could be asked, with none in flight, facts_close() and one more pass
 * decide.
 */
void policy_evaluate(const struct policy *, enum stage, const struct envelope *, const struct message *,
                     const struct facts *, struct arena *, struct outcome *);

enum { POLICY_ARENA_SIZE = 65536 }; /* of one evaluation, begun anew for each */

/* ---- for checks ---- */

/* One evaluation in progress; a check reads through it and writes only its outcome. */
struct pass {
    const struct policy *policy;
    enum stage stage;
    const struct envelope *envelope;
    const struct message *message;
    const struct facts *facts;
    struct arena *arena;
    struct outcome *outcome;
    bool pending; /* this check met an unknown */
    bool refused; /* a check has refused, and nothing behind it can change that */
    bool starved; /* a question for the DNS that was never put reads TEMP or LIMIT */
};

struct check {
    const char *name; /* log and explain name; also the ini section of its options */
    unsigned stages;  /* bit mask: 1u << AT_RCPT ... */
    void (*run)(struct pass *);
    const struct option *options; /* offsets into struct policy */
    size_t options_n;
    const char *help;             /* what the section is about, for the manual; NULL without options */
    size_t rule;                  /* offset of its struct rule in struct policy; 0: it has none */
    const struct repeated *lists; /* sections of its own that may be repeated */
    size_t lists_n;
};

/* Sections [NAME WORD] of which there may be several. */
struct repeated {
    const char *section;
    const char *sample;        /* a WORD for the manual */
    const struct option *rows; /* offsets into one item */
    size_t rows_n;
    size_t offset; /* of the struct section_list in struct policy */
    size_t item_size;
    size_t max; /* items */
    const char *help;
};

extern const struct check *const policy_checks[];
extern const size_t policy_checks_n;

/* For tests and for policy_evaluate: the same with another table of checks. */
void policy_evaluate_with(const struct check *const *table, size_t n, const struct policy *, enum stage,
                          const struct envelope *, const struct message *, const struct facts *, struct arena *,
                          struct outcome *);

/* The fact, or NULL with the question noted and pass->pending set. States other than OK come back as facts
 * without values; one that stands for an unlisted question (TEMP, LIMIT) has no key either. The key is copied
 * where it has to be kept.
 */
const struct fact *pass_ask(struct pass *, enum ask, struct str key);

/* The result of a signature check: "pass" or "fail" of the SIG fact `key` (which names the signature within this message:
 * "dkim 1", "as 2"), or what state it has. NULL when it is not known: then pending is set, and when nobody was asked
 * yet *job is room in the outcome to be filled in (else it is NULL). Only then is there work to do, so the digest of the
 * header is computed once.
 */
const struct fact *pass_verify(struct pass *, struct str key, struct signature_job **job);

/* Called at the end of a check's run: what it asked is asked, but this stage does not wait for it. */
void pass_look_ahead(struct pass *);

/* A line of the trace. `detail` lies in the arena, the envelope, the facts or a constant. */
void pass_find(struct pass *, const struct check *, const char *result, struct str detail);

/* Something for the proxy to do once when this pass decides. */
void pass_effect(struct pass *, enum ask, struct str key, uint64_t units);

/* A refusal: 4xx for now, 5xx for good. The first one in table order stands: the table is the order of
 * judgement, so that the verdict never depends on the order in which answers came. One that is reached past
 * an unknown counts for nothing: the check will come by again when the unknown is known.
 */
void pass_refuse(struct pass *, const struct check *, int code, const char *enhanced, struct str text,
                 struct str reason);

/* Accepts, but as suspicious; a refusal by any check goes before it. Nothing when this check is pending. */
void pass_quarantine(struct pass *, const struct check *, struct str reason);

/* Whether a cap of ours (facts, rounds, memory) may have kept something from this pass. A sender can fill them on purpose, so
 * what it leads to is no ordinary temporary error.
 */
bool pass_is_short(const struct pass *);

/* Mail that goes out, of an authenticated client or one that may relay: no authentication check judges it. */
bool policy_is_exempt(const struct policy *, const struct envelope *);

/* Whether this recipient, or each one of the message, is the postmaster (RFC 5321 4.5.1, ORACLE P-10). */
bool policy_is_for_postmaster(const struct envelope *);

const char *stage_name(enum stage);
const char *action_name(enum action);
bool verdict_refuses(const struct verdict *); /* for now or for good */

/* The checks, in the order of policy_checks[]. */
extern const struct check check_rates;    /* how much, how fast */
extern const struct check check_brownout; /* when the mail server is slow */
extern const struct check check_geo;      /* where clients come from */
extern const struct check check_door;
extern const struct check check_helo;   /* the name it gives */
extern const struct check check_sender; /* domains that no answer reaches, and bounces */
extern const struct check check_rdns;   /* the client's own name */
extern const struct check check_relay;
extern const struct check check_author;
extern const struct check check_spf;        /* finds out; refuses at RCPT when `fail = reject` */
extern const struct check check_dkim;       /* finds out */
extern const struct check check_arc;        /* finds out */
extern const struct check check_dmarc;      /* finds out, and judges */
extern const struct check check_spf_alone;  /* judges what SPF found where DMARC did not */
extern const struct check check_lists;      /* block lists and welcome lists of the DNS */
extern const struct check check_recipients; /* what the mail server said about them lately */
extern const struct check check_greylist;   /* first mail of a sender */
extern const struct check check_standing;   /* what a sender's mail was like before */
extern const struct check check_score;      /* adds up what others found */
extern const struct check check_except;     /* the exceptions to all that have a rule */
extern const struct check check_lookalike;
extern const struct check check_impersonation;
extern const struct check check_attachment;

#endif
