/* What the back ends have said about recipients, in a table of its own for all workers together.
 *
 * The back end's own answer to RCPT is the truth; this is what it was a short while ago. A refusal is remembered only when it
 * says beyond doubt that there is no such mailbox, whoever sends and whatever the session (550, 551 or 553 with 5.1.1, 5.1.6 or
 * 5.1.10 of RFC 3463): never a 4xx, never one about policy (5.7.x), space or size (5.2.x, 5.3.x), never one without a status
 * code. Positive entries tell that a mailbox exists, and nothing else hangs on them.
 *
 * In a full table entries that are over make room first, then the oldest of the kind that has the larger part of the place: a
 * flood of invented recipients pushes out its own. Time is seconds of any clock that all workers share.
 */
#ifndef PROXY_RECIPIENTS_H
#define PROXY_RECIPIENTS_H

#include "../policy/policy.h"
#include "shared_table.h"
#include "smtp_reply.h"

/* `route`: where it goes, by its name; `rcpt`: as it is sent there, its case included. */
struct known_recipient recipients_find(const struct shared_table *, struct str route, struct str rcpt, uint64_t now_s);
/* What came for an answer; one that says nothing for sure changes nothing. */
void recipients_answered(struct shared_table *, const struct recipients_policy *, struct str route, struct str rcpt,
                         const struct reply *, uint64_t now_s);

/* True for a refusal that says that there is no such mailbox. */
bool recipients_is_unknown(const struct reply *);

#endif
