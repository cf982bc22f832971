/* The room for facts of a session: small before MAIL, where most clients that mean no good stay, and large from then on. */
#include <stdlib.h>

#include "session_state.h"

/* What can be known of a client and its HELO name: lists, names, addresses. When it is not enough, the room grows. */
enum { DOOR_FACTS = 40, DOOR_BYTES = 4096 };

void facts_drop(struct session *s)
{
    if (s->facts != NULL)
        pool_release(&s->env->messages, s->facts->size);
    free(s->facts);
    s->facts = NULL;
    s->wants.ask = false;
}

struct facts *session_facts(struct session *s)
{
    return s->facts != NULL ? &s->facts->facts : NULL;
}

bool session_next_question(struct session *s, struct question *q)
{
    struct facts_room *room = s->facts;

    while (room != NULL && room->handed_out < room->facts.n) {
        const struct fact *fact = &room->facts.fact[room->handed_out++];

        *q = fact->q;
        if (fact->state == FACT_UNKNOWN)
            return true;
    }
    return false;
}

static struct facts_room *room_new(struct session *s, size_t facts, size_t bytes)
{
    struct pool *pool = &s->env->messages;
    size_t size = sizeof(struct facts_room) + facts * sizeof(struct fact) + bytes;
    struct facts_room *room;

    if (!pool_charge(pool, size))
        return NULL;
    room = malloc(size);
    if (room == NULL) {
        pool_release(pool, size);
        return NULL;
    }
    *room = (struct facts_room){ .size = size, .wait_since = UINT64_MAX };
    facts_init(&room->facts, room->table, facts, room->table + facts, bytes);
    return room;
}

/* A LIMIT of the small room is none of the large one: such a question is asked again. */
static void move_facts(struct facts_room *from, struct facts_room *to)
{
    size_t handed_out = 0;

    for (size_t i = 0; i < from->facts.n; i++) {
        const struct fact *fact = &from->facts.fact[i];

        if (fact->state == FACT_UNKNOWN)
            facts_ask(&to->facts, fact->q);
        else if (fact->state != FACT_LIMIT)
            facts_give(&to->facts, fact->q, fact->state, fact->value, fact->n);
        if (i < from->handed_out)
            handed_out = to->facts.n;
    }
    to->handed_out = handed_out;
    to->facts.closed = from->facts.closed;
}

/* The small room's facts move into a large one; without memory for that it stays as it is. */
static void room_grow(struct session *s)
{
    struct facts_room *small = s->facts, *large = room_new(s, (size_t)s->env->config->limits.facts, FACTS_ROOM_BYTES);

    if (large == NULL)
        return;
    large->passes = small->passes;
    large->early = small->early;
    large->waited = small->waited;
    large->wait_since = small->wait_since;
    large->looks_ahead = small->looks_ahead;
    large->ahead = small->ahead;
    move_facts(small, large);
    pool_release(&s->env->messages, small->size);
    free(small);
    s->facts = large;
}

static bool is_too_small(const struct facts_room *room, enum stage stage)
{
    return room->is_small && (stage >= AT_MAIL || facts_are_full(&room->facts) || room->facts.n > DOOR_FACTS / 2 ||
                              room->facts.arena.used > DOOR_BYTES / 2);
}

struct facts *facts_room(struct session *s, enum stage stage)
{
    size_t max = (size_t)s->env->config->limits.facts;

    if (s->facts != NULL && is_too_small(s->facts, stage))
        room_grow(s);
    if (s->facts == NULL && stage < AT_MAIL && max > DOOR_FACTS) {
        s->facts = room_new(s, DOOR_FACTS, DOOR_BYTES);
        if (s->facts != NULL)
            s->facts->is_small = true;
    } else if (s->facts == NULL) {
        s->facts = room_new(s, max, FACTS_ROOM_BYTES);
    }
    return s->facts != NULL ? &s->facts->facts : NULL;
}
