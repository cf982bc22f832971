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
#include "facts.h"
#include "option.h"
#include "path.h"

enum stage { AT_CONNECT, AT_HELO, AT_MAIL, AT_RCPT, AT_DATA, AT_HEADERS, AT_END, STAGES };

/* The operator's wishes, immutable once loaded. One struct per check, filled through the check's option rows.
 */
struct relay_policy {
    struct domain_set domains;    /* local domains: RCPT to these is ours to accept */
    struct network_list networks; /* clients that may relay anywhere */
    bool allow_unqualified;       /* <user> without a domain (postmaster is always allowed) */
    bool allow_percent;           /* '%', '!' or a quoted '@' in local parts (P-2) */
};

struct policy {
    struct relay_policy relay;
};

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
    uint64_t declared_size;       /* SIZE=, 0 when absent */
    int64_t now;                  /* seconds since the epoch */
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
enum { OUTCOME_QUESTIONS_MAX = 64, OUTCOME_FINDINGS_MAX = 64, OUTCOME_EFFECTS_MAX = 16 };

struct outcome {
    bool decided;
    struct verdict verdict;
    struct question question[OUTCOME_QUESTIONS_MAX]; /* each once, and none that facts_ask() was told already */
    size_t questions;
    struct finding finding[OUTCOME_FINDINGS_MAX];
    size_t findings;
    struct effect effect[OUTCOME_EFFECTS_MAX];
    size_t effects;
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
};

struct check {
    const char *name; /* log and explain name; also the ini section of its options */
    unsigned stages;  /* bit mask: 1u << AT_RCPT ... */
    void (*run)(struct pass *);
    const struct option *options; /* offsets into struct policy */
    size_t options_n;
    const char *help; /* what the section is about, for the manual; NULL without options */
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

/* A line of the trace. `detail` lies in the arena, the envelope, the facts or a constant. */
void pass_find(struct pass *, const struct check *, const char *result, struct str detail);

/* Something for the proxy to do once when this pass decides. */
void pass_effect(struct pass *, enum ask, struct str key, uint64_t units);

/* A refusal: 4xx for now, 5xx for good. The first one in table order stands: the table is the order of
 * judgement, so that the verdict never depends on the order in which answers came. One that is reached past
 * an unknown counts for nothing: the check will come by again when the unknown is known.
 */
void pass_refuse(struct pass *, const struct check *, int code, const char *enhanced, const char *text,
                 struct str reason);

const char *stage_name(enum stage);
const char *action_name(enum action);

/* The checks, in the order of policy_checks[]. */
extern const struct check check_relay;

#endif
