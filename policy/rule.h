/* How an objection of a check is taken: what the checks of "who may talk to us" have in common.
 *
 * Such a check finds a fact and says what it holds against it (pass_object). What comes of it stands in the rule the operator
 * wrote: nothing (off: the check is not run), a word in the log (monitor), points that add up (score), or a refusal (reject).
 * Before that come those who are never objected to: authenticated clients and [relay] networks, mail for the postmaster
 * (RFC 5321 4.5.1, ORACLE P-10), and whatever an [except NAME] section lets through.
 *
 * Points belong to a transaction: a check that scores speaks AT_MAIL or later. Each check counts once, with the most it has
 * said; check_score.c adds them up.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include "policy.h"

/* What a check holds against a client or a message. */
struct objection {
    int code; /* of a refusal */
    const char *enhanced;
    struct str text;   /* of the reply */
    struct str reason; /* names the fact: "192.0.2.1 is listed by zen.example (127.0.0.2)" */
    int64_t points;    /* when its rule scores; 0: the rule's weight. Negative ones speak for it */
    bool is_load;      /* about how much, not about whom: the postmaster and exempt clients are no exception */
    bool is_sum;       /* points: with those that the check gave in the stages before, in whose place they stand */
};

/* True when a refusal came of it. Nothing while the check is pending: it comes by again. */
bool pass_object(struct pass *, const struct check *, const struct rule *, const struct objection *);

/* The name of the [except] section that speaks for this client, sender and recipient, empty when none does. May ask for GEO:
 * then the check is pending.
 */
struct str pass_exception(struct pass *, const struct check *);

/* The client's country, continent and autonomous system, as GEO has them; empty strings for what is not known. False while
 * it is not known yet (the check is pending then). The strings lie in the facts.
 */
struct origin {
    struct str country;   /* "DE", ISO 3166-1 */
    struct str continent; /* "EU" */
    struct str asn;       /* "64500" */
    struct str owner;     /* of the autonomous system, as the database has it */
    bool no_country;      /* nobody could say: a database cannot be read, or a cap was reached */
    bool no_asn;
    enum fact_state state; /* OK; NODATA: in no database; TEMP, LIMIT: nobody could say anything */
};
bool pass_origin(struct pass *, struct origin *);

/* Rows for a rule at `offset`: mode and weight, with their defaults. */
extern const char *const rule_modes[];
/* NOLINTBEGIN(bugprone-macro-parentheses): a designator takes no parentheses */
/* clang-format off */
#define RULE_ROWS(section_, at, mode_, weight_)                                                                              \
    { .section = section_, .key = "mode", .type = OPTION_CHOICE, .offset = (at) + offsetof(struct rule, mode),               \
      .preset = mode_, .choices = rule_modes,                                                                                \
      .help = "off: not looked at; monitor: told in the log; score: its weight is added to the message's score; reject: "    \
              "refused." },                                                                                                  \
    { .section = section_, .key = "weight", .type = OPTION_NUMBER, .offset = (at) + offsetof(struct rule, weight),           \
      .preset = weight_, .max = 100, .unit = "points", .help = "Added to the score with mode = score." }
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
