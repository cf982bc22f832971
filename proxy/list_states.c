#include "list_states.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "../policy/crypto.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be free of locks");

/* All times in ms; 0: never, or at once. */
struct entry {
    _Atomic uint64_t id; /* 0: unused */
    _Atomic uint64_t due;
    _Atomic uint64_t broken; /* 0 or 1 */
    _Atomic uint64_t tell_at[LIST_SILENT + 1];
};

struct list_states {
    struct entry entry[LIST_STATES_MAX];
};

struct list_states *list_states_new(void)
{
    void *p = mmap(NULL, sizeof(struct list_states), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void list_states_free(struct list_states *states)
{
    if (states != NULL)
        munmap(states, sizeof *states);
}

/* ---- entries ---- */

/* Of the names that its tests ask for, or of its zone when there are none. */
static uint64_t id_of(const struct list_policy *list)
{
    char name[LIST_NAME_MAX + 1];
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;
    uint64_t id;

    sha256_begin(&sha);
    sha256_add(&sha, list->zone);
    for (unsigned i = 0; i < LIST_TESTS; i++)
        sha256_add(&sha, str_from(name, list_test_name(list, i, name)));
    sha256_end(&sha, digest);
    memcpy(&id, digest, sizeof id);
    return id | 1;
}

static const struct entry *find(const struct list_states *states, uint64_t id)
{
    for (size_t i = 0; i < LIST_STATES_MAX; i++)
        if (atomic_load(&states->entry[i].id) == id)
            return &states->entry[i];
    return NULL;
}

static struct entry *oldest(struct list_states *states)
{
    struct entry *oldest = &states->entry[0];

    for (size_t i = 1; i < LIST_STATES_MAX; i++)
        if (atomic_load(&states->entry[i].due) < atomic_load(&oldest->due))
            oldest = &states->entry[i];
    return oldest;
}

/* Its entry, a new one if need be. Of several workers that begin one at once all end up with the same. */
static struct entry *claim(struct list_states *states, uint64_t id)
{
    struct entry *e;

    for (size_t i = 0; i < LIST_STATES_MAX; i++) {
        uint64_t held = 0;

        e = &states->entry[i];
        if (atomic_compare_exchange_strong(&e->id, &held, id) || held == id)
            return e;
    }
    e = oldest(states);
    atomic_store(&e->id, id);
    atomic_store(&e->due, 0);
    atomic_store(&e->broken, 0);
    for (size_t i = 0; i <= LIST_SILENT; i++)
        atomic_store(&e->tell_at[i], 0);
    return e;
}

bool list_states_have_broken(const struct list_states *states)
{
    for (size_t i = 0; i < LIST_STATES_MAX; i++)
        if (atomic_load_explicit(&states->entry[i].broken, memory_order_relaxed) != 0)
            return true;
    return false;
}

bool list_is_broken(const struct list_states *states, const struct list_policy *list)
{
    const struct entry *e = find(states, id_of(list));

    return e != NULL && atomic_load(&e->broken) != 0;
}

/* ---- a test ---- */

/* The questions that this list is tested with. */
static unsigned questions_of(const struct list_policy *list)
{
    char name[LIST_NAME_MAX + 1];
    unsigned questions = 0;

    for (unsigned i = 0; i < LIST_TESTS; i++)
        if (list_test_name(list, i, name) > 0)
            questions |= 1u << i;
    return questions;
}

uint64_t list_test_due(const struct list_states *states, const struct list_policy *list)
{
    const struct entry *e;

    if (questions_of(list) == 0)
        return UINT64_MAX;
    e = find(states, id_of(list));
    return e != NULL ? atomic_load(&e->due) : 0;
}

bool list_test_take(struct list_states *states, const struct list_policy *list, uint64_t now, struct list_test *test)
{
    unsigned questions = questions_of(list);
    struct entry *e;
    uint64_t due;

    *test = (struct list_test){ .open = questions };
    if (questions == 0)
        return false;
    e = claim(states, id_of(list));
    due = atomic_load(&e->due);
    return due <= now && atomic_compare_exchange_strong(&e->due, &due, now + LIST_TEST_MS);
}

static void blame(struct list_test *test, const char *what, struct str which)
{
    if (test->why[0] == '\0')
        snprintf(test->why, sizeof test->why, "%s %.*s", what, (int)(which.n < 40 ? which.n : 40), which.p);
}

bool list_test_answer(struct list_test *test, unsigned i, enum fact_state state, const struct str *value, size_t n)
{
    bool is_listed, has_listing = false;
    struct str subject = str_of(list_test_subject(i, &is_listed));

    if (!(test->open & 1u << i))
        return false;
    test->open &= ~(1u << i);
    if (state == FACT_TEMP || state == FACT_LIMIT || state == FACT_UNKNOWN) {
        test->unanswered |= 1u << i;
        return test->open == 0;
    }
    for (size_t k = 0; state == FACT_OK && k < n; k++) {
        if (list_is_alarm(value[k]))
            blame(test, "it answers", value[k]);
        else
            has_listing = true;
    }
    if (has_listing != is_listed)
        blame(test, is_listed ? "it does not list" : "it lists", subject);
    return test->open == 0;
}

enum list_change list_test_end(struct list_states *states, const struct list_policy *list, const struct list_test *test,
                               uint64_t now)
{
    struct entry *e = claim(states, id_of(list));
    uint64_t is_broken = test->why[0] != '\0', was_broken;

    if (!is_broken && test->unanswered != 0) {
        atomic_store(&e->due, now + LIST_AGAIN_MS);
        return LIST_AS_BEFORE;
    }
    was_broken = atomic_exchange(&e->broken, is_broken);
    atomic_store(&e->due, now + (is_broken ? LIST_BROKEN_MS : LIST_DAILY_MS));
    if (is_broken == was_broken)
        return LIST_AS_BEFORE;
    return is_broken ? LIST_SWITCHED_OFF : LIST_SWITCHED_ON;
}

/* ---- the log ---- */

bool list_may_be_told(struct list_states *states, const struct list_policy *list, enum list_trouble trouble,
                      uint64_t now)
{
    struct entry *e = claim(states, id_of(list));
    uint64_t tell_at = atomic_load(&e->tell_at[trouble]);

    return tell_at <= now && atomic_compare_exchange_strong(&e->tell_at[trouble], &tell_at, now + LIST_DAILY_MS);
}
