/* What streamed bodies taught: signatures that a body contradicted after "dkim=pass" had gone south with its header.
 *
 * Such a message was cut and its sender told to try again (session_results.c); when it does, the policy asks for this memory
 * (ASK_PAST), writes the true result in front, and the message can stay whole. All workers share one memory, since the retry
 * may reach any of them. A message whose entry has made room for others costs its sender one more round and nothing else: what
 * is remembered never decides by itself.
 *
 * The memory is a mapping that the supervisor makes before it forks. An entry is one atomic word, a part of the key's SHA-256
 * and a time, so that nobody needs a lock; of two workers that take the same place at once the later one has it. One lookup in
 * 60 million finds a key that was never remembered, which again costs one round.
 */
#ifndef PROXY_PAST_H
#define PROXY_PAST_H

#include <stdint.h>

#include "../policy/crypto.h"

enum {
    PAST_ENTRIES = 1024,
    PAST_FOR_MS = 24 * 3600 * 1000 /* the usual queue has tried several times by then (RFC 5321 4.5.4.1) */
};

struct past;

/* An empty memory, shared with the processes forked later; NULL when there is none. */
struct past *past_new(void);
void past_free(struct past *);

/* True when `key` was remembered, not forgotten since, and not too long ago. `now`: ms, monotonic, the same clock for all. */
bool past_holds(const struct past *, struct str key, uint64_t now);
/* In a full memory the oldest entry makes room. */
void past_remember(struct past *, struct str key, uint64_t now);
void past_forget(struct past *, struct str key);

#endif
