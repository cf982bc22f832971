/* The record of senders: how many good and bad messages lately, by key (policy/standing.h), for all workers together.
 *
 * Counts end at 255 (from there on both are halved, so that their ratio stays) and are halved with every half-life. In a full
 * table the sender with the fewest messages makes room: a flood of new names pushes out its own, not those that are known.
 * Time is seconds since the epoch; a clock that goes back makes nothing older.
 */
#ifndef PROXY_STANDING_H
#define PROXY_STANDING_H

#include "../policy/standing.h"

enum { STANDING_COUNT_MAX = 255 };

struct standing;

/* Empty, shared with the processes forked later; NULL without memory. All functions take NULL for nothing known. */
struct standing *standing_new(const struct standing_policy *);
void standing_free(struct standing *);
/* Other thresholds and half-life, for this process and those it forks from now on. */
void standing_set(struct standing *, const struct standing_policy *);

void standing_note(struct standing *, struct str key, bool is_good, uint64_t now_s);
struct standing_counts standing_read(const struct standing *, struct str key, uint64_t now_s);

/* Of a client by its address alone, as it is known at connect. */
enum client_standing standing_of(const struct standing *, const struct address *, uint64_t now_s);
bool standing_is_good(const struct standing *, const struct address *, uint64_t now_s);

/* ---- the copy on disk ----
 *
 * "POSTERN-STANDING" and a version, the number of words, when it was written, the seed, the words (all little-endian), and the
 * SHA-256 of everything before it. Without the seed the words are noise; with it somebody could fill places on purpose, so the
 * file is for its owner alone.
 */

/* Its octets, and with them what is written at a time. */
uint64_t standing_file_size(const struct standing_policy *);

/* Writes it to `path`: first to a new file beside it, which takes its place when it is safe on disk. NULL, or what failed
 * (errno says why).
 */
const char *standing_save(const struct standing *, const char *path, uint64_t now_s);

/* Takes over what `octets` hold. NULL, or what is wrong with them: then nothing is changed. */
const char *standing_take(struct standing *, struct str octets);

/* The same of a file. A file that is not there is no error: `*is_missing`. */
const char *standing_load(struct standing *, const char *path, bool *is_missing);

#endif
