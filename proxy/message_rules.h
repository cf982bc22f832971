/* What is refused of a message before any check of the policy looks at it: framing, size, hops. A table of replies, shared by
 * the session and by judge.h, so that `run`, `explain` and `replay` say the same.
 */
#ifndef PROXY_MESSAGE_RULES_H
#define PROXY_MESSAGE_RULES_H

#include "config.h"
#include "smtp_data.h"

enum message_rule {
    RULE_NONE,
    RULE_BARE_CR,
    RULE_BARE_LF,
    RULE_NUL,
    RULE_LONE_DOT,
    RULE_MESSAGE_SIZE,
    RULE_HEADER_SIZE,
    RULE_FOLD_FIRST,
    RULE_HOPS,
    MESSAGE_RULES
};

struct message_refusal {
    int code;
    const char *enhanced, *text;
    const char *check, *reason; /* for the log */
};

extern const struct message_refusal message_refusals[MESSAGE_RULES]; /* all is zero for RULE_NONE */

enum message_rule message_rule_of_fault(enum data_fault);

/* Whether messages of this client are repaired rather than refused for their framing. */
bool message_is_normalised(const struct config *, const struct address *client);

/* RULE_FOLD_FIRST: `front` is the beginning of the message (F-5); RULE_HOPS (RFC 5321 6.3). */
enum message_rule message_rule_of_header(const struct config *, struct str front, struct str header);

#endif
