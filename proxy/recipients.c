#include "recipients.h"

/* A value: the second in which it is over (32 bits) below its kind (4 bits), 1 for a mailbox that
 * exists, or 2 and more for the row of the refusal.
 */
enum { SECOND_BITS = 32, KIND_ACCEPTED = 1, KIND_REFUSED = 2, KEY_MAX = 1024 };
#define SECONDS ((UINT64_C(1) << SECOND_BITS) - 1)

static const int codes[] = { 550, 551, 553 };
/* RFC 3463 3.2: no such mailbox; it has moved and left no address; RFC 7505 4.2: its domain takes no mail. */
static const char *const statuses[] = { "5.1.1", "5.1.6", "5.1.10" };

enum { CODES = sizeof codes / sizeof *codes, STATUSES = sizeof statuses / sizeof *statuses };

_Static_assert(KIND_REFUSED + CODES * STATUSES <= 1 << (SHARED_VALUE_BITS - SECOND_BITS), "a kind has 4 bits");

/* ---- replies ---- */

/* 0: nothing that is remembered. */
static uint64_t kind_of(const struct reply *reply)
{
    if (reply->code / 100 == 2)
        return KIND_ACCEPTED;
    for (uint64_t c = 0; c < CODES; c++)
        for (uint64_t s = 0; s < STATUSES; s++)
            if (reply->code == codes[c] && str_eq(reply->enhanced, str_of(statuses[s])))
                return KIND_REFUSED + c * STATUSES + s;
    return 0;
}

bool recipients_is_unknown(const struct reply *reply)
{
    return kind_of(reply) >= KIND_REFUSED;
}

/* ---- the table ---- */

/* "route recipient"; a route's name has no blank. Empty when it does not fit, which no path of a command does. */
static struct str key_of(struct str route, struct str rcpt, char room[KEY_MAX])
{
    if (route.n + 1 + rcpt.n > KEY_MAX)
        return STR("");
    if (route.n > 0)
        memcpy(room, route.p, route.n);
    room[route.n] = ' ';
    if (rcpt.n > 0)
        memcpy(room + route.n + 1, rcpt.p, rcpt.n);
    return str_from(room, route.n + 1 + rcpt.n);
}

struct known_recipient recipients_find(const struct shared_table *table, struct str route, struct str rcpt,
                                       uint64_t now_s)
{
    char room[KEY_MAX];
    struct str key = key_of(route, rcpt, room);
    uint64_t value = key.n > 0 ? shared_table_read(table, key) : 0;
    uint64_t kind = value >> SECOND_BITS;

    if (kind < KIND_ACCEPTED || kind >= KIND_REFUSED + CODES * STATUSES || (value & SECONDS) <= now_s)
        return (struct known_recipient){ .memory = RECIPIENT_NOT_KNOWN, .enhanced = "" };
    if (kind == KIND_ACCEPTED)
        return (struct known_recipient){ .memory = RECIPIENT_ACCEPTED_THERE, .enhanced = "" };
    kind -= KIND_REFUSED;
    return (struct known_recipient){ RECIPIENT_UNKNOWN_THERE, codes[kind / STATUSES], statuses[kind % STATUSES] };
}

struct answer {
    uint64_t value; /* 0: forget */
    uint64_t now;
};

static uint64_t noted(uint64_t value, const void *context)
{
    (void)value;
    return ((const struct answer *)context)->value;
}

static bool is_refusal(uint64_t value)
{
    return value >> SECOND_BITS >= KIND_REFUSED;
}

/* The one that is over soonest, of the refusals or of the others. */
static size_t soonest(const uint64_t value[SHARED_WAYS], bool of_refusals)
{
    size_t at = SHARED_WAYS;

    for (size_t i = 0; i < SHARED_WAYS; i++)
        if (is_refusal(value[i]) == of_refusals && (at == SHARED_WAYS || (value[i] & SECONDS) < (value[at] & SECONDS)))
            at = i;
    return at;
}

/* Each kind has half of the place; one that has less than that takes from the other. */
static size_t victim(const uint64_t value[SHARED_WAYS], uint64_t added, const void *context)
{
    const struct answer *answer = context;
    bool is_new_refusal = is_refusal(added);
    size_t same = 0;

    for (size_t i = 0; i < SHARED_WAYS; i++) {
        if ((value[i] & SECONDS) <= answer->now)
            return i;
        same += is_refusal(value[i]) == is_new_refusal;
    }
    return soonest(value, same >= SHARED_WAYS / 2 ? is_new_refusal : !is_new_refusal);
}

void recipients_answered(struct shared_table *table, const struct recipients_policy *policy, struct str route,
                         struct str rcpt, const struct reply *reply, uint64_t now_s)
{
    char room[KEY_MAX];
    struct str key = key_of(route, rcpt, room);
    uint64_t kind = kind_of(reply), ttl = kind == KIND_ACCEPTED ? policy->positive_ttl : policy->negative_ttl;
    struct answer answer = { .now = now_s };

    if (kind == 0 || key.n == 0)
        return;
    if (ttl > 0)
        answer.value = kind << SECOND_BITS | ((now_s + (ttl + 999) / 1000) & SECONDS);
    shared_table_change(table, key, &(struct shared_change){ noted, victim, &answer });
}
