#include "servers.h"

#include <stdio.h>
#include <stdlib.h>

bool servers_init(struct servers *servers, const struct config *config)
{
    size_t n = 0;

    for (size_t i = 0; i < config->routes_n; i++)
        n += config->routes[i].servers.n;
    *servers = (struct servers){ .server = calloc(n > 0 ? n : 1, sizeof(struct server)) };
    if (servers->server == NULL)
        return false;
    for (size_t i = 0; i < config->routes_n; i++)
        for (size_t j = 0; j < config->routes[i].servers.n; j++)
            servers->server[servers->n++] = (struct server){
                .route = &config->routes[i],
                .endpoint = &config->routes[i].servers.item[j],
            };
    return true;
}

void servers_free(struct servers *servers)
{
    free(servers->server);
    *servers = (struct servers){ 0 };
}

static struct server *first_of(const struct servers *servers, const struct route *route)
{
    for (size_t i = 0; i < servers->n; i++)
        if (servers->server[i].route == route)
            return &servers->server[i];
    return NULL;
}

struct server *servers_pick(struct servers *servers, const struct route *route, size_t from, bool try_down,
                            size_t *index)
{
    struct server *first = first_of(servers, route);

    for (size_t i = from; first != NULL && i < route->servers.n; i++) {
        if (first[i].is_down && !try_down)
            continue;
        *index = i;
        return &first[i];
    }
    return NULL;
}

struct server *servers_find(struct servers *servers, const struct route *route, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < servers->n; i++)
        if (servers->server[i].route == route && servers->server[i].endpoint == endpoint)
            return &servers->server[i];
    return NULL;
}

bool servers_all_down(const struct servers *servers, const struct route *route)
{
    const struct server *first = first_of(servers, route);

    for (size_t i = 0; first != NULL && i < route->servers.n; i++)
        if (!first[i].is_down)
            return false;
    return true;
}

bool servers_up(struct server *server, const struct backend_caps *caps, uint64_t now, uint64_t probe_ms)
{
    bool changed = server->is_down || !server->caps.known;

    server->caps = *caps;
    server->is_down = false;
    server->failures = 0;
    server->next_probe = now + probe_ms;
    server->why[0] = '\0';
    return changed;
}

/* A server that just went away is often back at once (a restart): the first probes come fast, then at the usual pace. */
static uint64_t probe_pause(unsigned failures, uint64_t probe_ms)
{
    uint64_t pause = 500ULL << (failures < 10 ? failures : 10);

    return pause < probe_ms ? pause : probe_ms;
}

bool servers_down(struct servers *servers, struct server *server, const char *why, uint64_t now, uint64_t probe_ms)
{
    bool changed = !server->is_down;

    server->is_down = true;
    server->failures++;
    server->next_probe = now + probe_pause(server->failures, probe_ms);
    if (server->next_probe < servers->next_probe)
        servers->next_probe = server->next_probe;
    snprintf(server->why, sizeof server->why, "%s", why);
    return changed;
}

/* ---- how long they take ---- */

static uint64_t decayed(const struct pace *pace, uint64_t now)
{
    uint64_t elapsed = now > pace->at ? now - pace->at : 0, halves = elapsed / PACE_HALF_LIFE_MS;
    uint64_t average = halves < 64 ? pace->average >> halves : 0;

    return average - average * (elapsed % PACE_HALF_LIFE_MS) / (2ULL * PACE_HALF_LIFE_MS);
}

void servers_took(struct server *server, enum server_task task, uint64_t ms, bool is_answer, uint64_t now)
{
    enum { SHARE = 8 };
    struct pace *pace = &server->pace[task];
    uint64_t average = decayed(pace, now), counted = ms < PACE_LONGEST_MS ? ms : PACE_LONGEST_MS;

    if (!is_answer && counted < average)
        return;
    *pace = (struct pace){ (average * (SHARE - 1) + counted) / SHARE, now };
}

void servers_wait(struct servers *servers, uint64_t now)
{
    servers->waiting++;
    servers->waiting_since += now;
}

void servers_wait_over(struct servers *servers, uint64_t since)
{
    servers->waiting--;
    servers->waiting_since -= since;
}

void servers_heard(struct servers *servers, uint64_t now)
{
    servers->heard_at = now;
}

/* Servers that have stopped would else be slow only once the waits for them time out. It takes several sessions, and silence: a
 * server may draw out on purpose what it is going to refuse, and goes on with others meanwhile. Waits of more than two minutes say
 * nothing of now: they may be for connections that died with a server that is back.
 */
static uint64_t standstill(const struct servers *servers, uint64_t now)
{
    enum { WAITING_MIN = 4, LONGEST_MS = 120000 };
    uint64_t age, time;

    if (servers->waiting < WAITING_MIN)
        return 0;
    age = now - servers->waiting_since / servers->waiting;
    time = age < now - servers->heard_at ? age : now - servers->heard_at;
    return time <= LONGEST_MS ? time : 0;
}

uint64_t servers_reply_time(const struct servers *servers, uint64_t now)
{
    uint64_t slowest = standstill(servers, now);

    for (size_t i = 0; i < servers->n; i++)
        for (int task = 0; task < TASKS; task++) {
            uint64_t average = decayed(&servers->server[i].pace[task], now);

            if (average > slowest)
                slowest = average;
        }
    return slowest;
}

/* The server of the route that would get a message now. */
static const struct server *serving(const struct servers *servers, const struct route *route)
{
    const struct server *first = first_of(servers, route);

    for (size_t i = 0; first != NULL && i < route->servers.n; i++)
        if (!first[i].is_down)
            return &first[i];
    return first;
}

static uint64_t least(uint64_t a, uint64_t b) /* of limits, where 0 says that there is none */
{
    if (a == 0 || b == 0)
        return a == 0 ? b : a;
    return a < b ? a : b;
}

void servers_common(const struct servers *servers, const struct config *config, struct backend_caps *out)
{
    *out = (struct backend_caps){ .known = true, .bits = ~0U };
    for (size_t i = 0; i < config->routes_n; i++) {
        const struct server *server = serving(servers, &config->routes[i]);

        if (server == NULL)
            continue;
        out->bits &= server->caps.bits;
        out->size = least(out->size, server->caps.size);
        out->rcpt_max = least(out->rcpt_max, server->caps.rcpt_max);
        if (i == 0) /* AUTH is always the default route's business */
            memcpy(out->auth, server->caps.auth, sizeof out->auth);
    }
}
