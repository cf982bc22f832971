/* How much lately, by key: one table of sliding windows for all workers together.
 *
 *     sum = rates_add(rates, key, 60000, 1, now);   -> the units of the last minute, this one included
 *
 * The window is cut into eight slots, and what counts is the slot of now and the eight before it: that is a window at least, and
 * a ninth of it more at most, so that no window of that length, wherever it begins, has had more than the sum told. First is
 * added, then compared: of two workers that add at once, at least one is told of both.
 *
 * The memory is a mapping that the supervisor makes before it forks, of a fixed size. An entry is a word with its key's tag
 * and until when it counts, and nine words with a slot's number and count each; every change is one compare-and-swap of one word.
 * So nobody needs a lock, and a worker that is killed at any instant leaves nothing behind but a count that is too high by
 * what it had added. A key may stand in one of eight places picked by its hash, which is keyed with a random seed: nobody
 * outside can choose keys that collide. A key that two workers entered at once stands there twice, and both are counted.
 *
 * In full places the entry that is over first makes room, and its counts are lost: of keys with one window the one that was used
 * least recently, and before those with an hour those with a minute. So a flood of connections from ever new addresses, which costs
 * nothing, does not wipe out what was counted for longer. Who can come with more keys of one window than there are entries (IPv6,
 * where /64s are cheap) can still push out others' counts and its own: the limit is then too generous, nobody is refused for it. So
 * networks are worth a limit of their own: a /48 is one key.
 *
 * Slots of an entry's former key look like slots of some other time to its new key, as their numbers are shifted by the tag:
 * nothing has to be cleared, and nothing that the new key counted can be lost to clearing. Once in 200,000 evictions an old count
 * happens to fit into the new key's window, and is counted with it until it is over.
 */
#ifndef PROXY_RATES_H
#define PROXY_RATES_H

#include <stdint.h>

#include "../policy/str.h"

enum { RATES_SLOTS = 8 /* of a window */, RATES_WAYS = 8, RATES_ENTRY = 8 * (RATES_SLOTS + 2) /* octets */ };

/* Counts end there. */
#define RATES_COUNT_MAX ((UINT64_C(1) << 40) - 1)

struct rates;

/* An empty table in `octets` of shared memory, a head of one line and the entries; NULL when there is no memory, or too little
 * for eight entries. The functions below take NULL for a table that counts nothing.
 */
struct rates *rates_new(uint64_t octets);
void rates_free(struct rates *);

/* How many keys can be counted at once. */
uint64_t rates_entries(const struct rates *);

/* Adds `units` and tells the sum of the window then. `window` and `now`: ms; a key has the same window always. `now` is
 * the clock that all workers share (monotonic); one that lags behind the others' by less than a window counts right.
 */
uint64_t rates_add(struct rates *, struct str key, uint64_t window, uint64_t units, uint64_t now);
/* The sum alone. */
uint64_t rates_read(const struct rates *, struct str key, uint64_t window, uint64_t now);

/* 64 bits that stand for a secret within this table: without the seed nobody finds out whose they are. */
uint64_t rates_hash(const struct rates *, struct str secret);

#endif
