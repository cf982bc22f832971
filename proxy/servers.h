/* What a worker knows of the back-end servers: what they offer, and whether they are up.
 *
 * EHLO north is answered before a back end is connected, so what it may show is learnt beforehand (probes) and from each
 * session (DESIGN 4). A server that failed is left alone until its next probe; when a route has none left, clients are
 * told 421 at once instead of waiting (N06).
 */
#ifndef PROXY_SERVERS_H
#define PROXY_SERVERS_H

#include "backend.h"

enum { SERVER_WHY_MAX = 80 };

/* What a server takes its time for: to be ready (connect, greeting, TLS, EHLO); MAIL and RCPT; the end of data. */
enum server_task { TASK_OPEN, TASK_COMMAND, TASK_END, TASKS };

/* A moving average: each answer counts an eighth, and no answer at all halves it in a minute. Of one answer no more than a
 * minute counts, so that it takes several slow ones to make a server slow.
 */
struct pace {
    uint64_t average, at; /* ms */
};

enum { PACE_LONGEST_MS = 60000, PACE_HALF_LIFE_MS = 60000 };

struct server {
    const struct route *route;
    const struct endpoint *endpoint;
    struct backend_caps caps;
    bool is_down;
    unsigned failures;   /* in a row */
    uint64_t next_probe; /* ms */
    struct pace pace[TASKS];
    char why[SERVER_WHY_MAX]; /* of the last failure */
};

struct servers {
    struct server *server; /* all servers of all routes, routes in config order */
    size_t n;
    uint64_t next_probe; /* ms: no server is due before. Moves forward when one goes down, to be looked at soon */
    /* Sessions that wait for an answer to RCPT or to a message, and when a server last did what it was asked. */
    uint64_t waiting, waiting_since /* sum */, heard_at; /* ms */
};

/* False without memory. */
bool servers_init(struct servers *, const struct config *);
void servers_free(struct servers *);

/* The first server of `route` at or behind position `from` (0: the first) that is not down; when `try_down`, the first at
 * all. NULL when none is left. `*index` gets its position among the route's servers.
 */
struct server *servers_pick(struct servers *, const struct route *, size_t from, bool try_down, size_t *index);
struct server *servers_find(struct servers *, const struct route *, const struct endpoint *);
bool servers_all_down(const struct servers *, const struct route *);

/* Reports. Return true when the state changed (worth a log line). `probe_ms` is timeouts.probe. */
bool servers_up(struct server *, const struct backend_caps *, uint64_t now, uint64_t probe_ms);
bool servers_down(struct servers *, struct server *, const char *why, uint64_t now, uint64_t probe_ms);

/* It took `ms` to answer. `is_answer` false: so long there was none; that never makes it faster. */
void servers_took(struct server *, enum server_task, uint64_t ms, bool is_answer, uint64_t now);
/* A session waits, and does not any more. */
void servers_wait(struct servers *, uint64_t now);
void servers_wait_over(struct servers *, uint64_t since);
/* A server did what a session asked it for. */
void servers_heard(struct servers *, uint64_t now);
/* ms: the slowest task of the slowest server; one route's trouble is all clients': their sessions are what runs short. While four
 * or more sessions wait and nobody is heard, how long they have done so, if that is more (two minutes at most).
 */
uint64_t servers_reply_time(const struct servers *, uint64_t now);

/* What every server that may get a message offers: the intersection over all routes, one server a route (the first that is
 * up); unknown servers offer nothing.
 */
void servers_common(const struct servers *, const struct config *, struct backend_caps *out);

#endif
