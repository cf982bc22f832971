/* What streamed bodies taught: signatures that a body contradicted after "dkim=pass" had gone south with its header.
 *
 * Such a message was cut and its sender told to try again (session_data.c); when it does, the policy asks for this memory
 * (ASK_PAST), writes the true result in front, and the message can stay whole. One per worker. A retry that reaches another
 * worker, or comes when its entry has made room for others, costs the sender one more round and nothing else: what is
 * remembered never decides by itself.
 *
 * All zero is an empty memory. Nothing is allocated; keys are kept as SHA-256, so that one entry is as good as any other.
 */
#ifndef PROXY_PAST_H
#define PROXY_PAST_H

#include <stdint.h>

#include "../policy/crypto.h"

enum {
    PAST_ENTRIES = 1024,
    PAST_FOR_MS = 24 * 3600 * 1000 /* the usual queue has tried several times by then (RFC 5321 4.5.4.1) */
};

struct past_entry {
    uint8_t digest[SHA256_SIZE];
    uint64_t until; /* ms; 0: unused */
};

struct past {
    struct past_entry entry[PAST_ENTRIES];
};

/* True when `key` was remembered, not forgotten since, and not too long ago. */
bool past_holds(const struct past *, struct str key, uint64_t now);
/* In a full memory the oldest entry makes room. */
void past_remember(struct past *, struct str key, uint64_t now);
void past_forget(struct past *, struct str key);

#endif
