/* Whether the block lists of the DNS work: their self-tests (RFC 5782 5), and what was said of them in the log.
 *
 * A list that has died, was sold, or does not take our questions mostly answers everything or nothing (RFC 6471 3.4). So each is asked
 * for entries that it must have and must not have, at the start and daily; while it fails it is not used, and tested hourly. Of
 * all workers the first to find a test due takes it: what comes of it is shared. Answers that do not come say nothing, and
 * leave a list as it was.
 *
 * The memory is a mapping that the supervisor makes before it forks. An entry is a few atomic words, found by a hash of the list's
 * zone and tests, so that a reload may change the lists; nobody needs a lock. A worker that is killed in the middle of a test
 * leaves it to the next one after LIST_TEST_MS. `now`: ms, monotonic, the same clock for all.
 */
#ifndef PROXY_LIST_STATES_H
#define PROXY_LIST_STATES_H

#include "../policy/list.h"

enum {
    LIST_STATES_MAX = 4 * LISTS_MAX, /* entries: lists of old configurations are the first to make room */
    LIST_TEST_MS = 2 * 60 * 1000,    /* longer than any question takes */
    LIST_AGAIN_MS = 5 * 60 * 1000,   /* when there was no answer */
    LIST_BROKEN_MS = 60 * 60 * 1000,
    LIST_DAILY_MS = 24 * 60 * 60 * 1000
};

struct list_states;

/* Nothing is tested yet: every list is in use. NULL without memory. */
struct list_states *list_states_new(void);
void list_states_free(struct list_states *);

/* Whether any list is broken, maybe one of an old configuration: mostly none is, and this costs less to know. */
bool list_states_have_broken(const struct list_states *);
bool list_is_broken(const struct list_states *, const struct list_policy *);

/* ---- a test ---- */

/* One under way: which questions are open, and what the answers were so far. */
struct list_test {
    unsigned open;       /* 1u << test */
    unsigned unanswered; /* those that ended without an answer */
    char why[64];        /* the first reason to call it broken; "" */
};

enum list_change { LIST_AS_BEFORE, LIST_SWITCHED_OFF, LIST_SWITCHED_ON };

/* When the next test is due; UINT64_MAX for a list that is not tested. */
uint64_t list_test_due(const struct list_states *, const struct list_policy *);
/* True when it is, and this caller is to do it: `test` says which questions (list_test_name). */
bool list_test_take(struct list_states *, const struct list_policy *, uint64_t now, struct list_test *);
/* The answer to question `i`; true when that was the last open one. */
bool list_test_answer(struct list_test *, unsigned i, enum fact_state, const struct str *value, size_t n);
/* Ends a test without open questions. */
enum list_change list_test_end(struct list_states *, const struct list_policy *, const struct list_test *,
                               uint64_t now);

/* ---- the log ---- */

/* True once a day for each list and trouble. */
bool list_may_be_told(struct list_states *, const struct list_policy *, enum list_trouble, uint64_t now);

#endif
