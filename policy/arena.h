/* A fixed region handed in by the caller, given out from the front and dropped whole.
 *
 * policy/ never calls malloc: whoever asks for a judgement brings the memory, so its bound is visible at the call.
 * A full arena answers NULL (or an empty slice), which a check reports as "limit", never as a pass.
 */
#ifndef POLICY_ARENA_H
#define POLICY_ARENA_H

#include "str.h"

struct arena {
    char *base;
    size_t used;
    size_t size;
    bool overflowed; /* some request since the last reset did not fit */
};

void arena_init(struct arena *, void *memory, size_t size);
void arena_reset(struct arena *);

/* `n` zeroed bytes aligned for any type, or NULL when they do not fit. */
void *arena_take(struct arena *, size_t n);

/* A copy of `s` in the arena; { NULL, 0 } when it does not fit. */
struct str arena_copy(struct arena *, struct str s);

/* printf into the arena, for %s %.*s %d %u %llu %% alone; { NULL, 0 } when it does not fit or is none of these. */
struct str arena_printf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
