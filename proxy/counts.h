/* How many sessions are open: in total, per listener and per client address, over all workers of all generations.
 *
 * The supervisor makes one shared mapping before it forks. Each worker process owns one row of it and writes nothing else;
 * a question is answered by adding up the rows. So no lock is held by anybody, a crashed worker leaves no lock and no
 * stray count behind (the supervisor clears its row), and two workers can never both let in the last session:
 * each counts itself first, then looks at the sum, and steps back when that is too much.
 *
 * Those in the tarpit are counted in the same way.
 *
 * The size is fixed. An address (IPv4 /32, IPv6 /64) that finds no place in its row is not counted and its limit does not hold
 * for that session; the limits of listener and total always hold.
 */
#ifndef PROXY_COUNTS_H
#define PROXY_COUNTS_H

#include <stdint.h>

#include "../policy/address.h"
#include "session.h"

enum {
    COUNTS_ROWS = 160,    /* worker processes at once, those finishing their sessions after a reload included */
    COUNTS_LISTENERS = 64 /* names remembered over reloads */
};

struct counts;

/* A session's place in the counts; the caller keeps it and gives it back. */
struct counted {
    unsigned listener;
    uint32_t place; /* of the address in the row, or UINT32_MAX: not counted */
};

struct counts_limits {
    uint64_t sessions, listener, address; /* 0: no limit */
};

/* The mapping, with room for `sessions` addresses a row. NULL without memory. */
struct counts *counts_new(uint64_t sessions);
void counts_free(struct counts *);

/* The numbers under which the listeners of a configuration are counted: the same name keeps its number over reloads.
 * `n` is at most COUNTS_LISTENERS. For the supervisor, before it forks.
 */
void counts_listeners(struct counts *, const struct str *name, size_t n, unsigned *number);

/* Forgets all that the row's worker had counted. For the supervisor, once that worker is gone. */
void counts_clear(struct counts *, unsigned row);

/* Counts one more session in, or says why not; on ADMIT `*counted` is to be given to counts_leave later. */
enum admission counts_enter(struct counts *, unsigned row, unsigned listener, const struct address *,
                            const struct counts_limits *, struct counted *counted);
void counts_leave(struct counts *, unsigned row, struct counted *);
/* The client has left in order, and only the back end's good-bye is awaited: its address may have another session. */
void counts_leave_address(struct counts *, unsigned row, struct counted *);

/* One more session stands in the tarpit, unless `limit` of them do. For counts_unhold later. */
bool counts_hold(struct counts *, unsigned row, uint64_t limit);
void counts_unhold(struct counts *, unsigned row);

/* Sums over all rows. */
uint64_t counts_total(const struct counts *);
uint64_t counts_of_address(const struct counts *, const struct address *);

#endif
