/* The family P in its parts: the judges of each file, rows of relaying_invariants[] in relaying.c. */
#ifndef WIRE_RELAYING_H
#define WIRE_RELAYING_H

#include "invariant.h"

/* commands.c */
void judge_verbs(const struct trial *, struct tally *);      /* P-4 */
void judge_lines(const struct trial *, struct tally *);      /* P-5 */
void judge_keywords(const struct trial *, struct tally *);   /* P-11 */
void judge_pipelining(const struct trial *, struct tally *); /* P-12 */
void judge_state(const struct trial *, struct tally *);      /* P-13 */

/* replies.c */
void judge_replies(const struct trial *, struct tally *);    /* P-7 */
void judge_temporary(const struct trial *, struct tally *);  /* P-8 */
void judge_postmaster(const struct trial *, struct tally *); /* P-10 */

/* rates.c */
void judge_rates(const struct trial *, struct tally *); /* P-9 */

/* What the shape of a line depends on. */
struct line_rules {
    bool is_utf8;         /* the transaction was opened with SMTPUTF8 */
    bool may_lack_domain; /* recipients ([relay] allow_unqualified); <postmaster> always may */
    const char *hostname; /* our own name in EHLO, "" unknown */
};

/* The shape of one command line south (P-5), the line without its CRLF. NULL: right; else what is wrong. */
const char *line_breach(const struct command *c, const struct line_rules *rules);

/* Does the table of ORACLE 10 hold this pair? `enhanced` is "" for none; `is_hello`: the reply to EHLO, HELO or the
 * connection. */
bool replies_table_holds(int code, const char *enhanced, bool is_hello);

#endif
