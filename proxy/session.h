/* The north wire and the custody of a message: one client session as a state machine without I/O.
 *
 * Events go in through the functions below; what is to be done stands in `session_wants` afterwards, and the worker (or a
 * test) carries it out: write `out`, open, start TLS, close, read or not, wake me at `deadline`. The session owns the south
 * machine (backend.h) and calls the policy; it never sees a socket, a clock or DNS, so both wires, time and answers can be
 * scripted in memory (tests/scenario).
 *
 * The one promise (ORACLE A): 250 north only after 250 south for the same bytes; every doubt is 4xx.
 *
 * Order of work after each event, for whoever drives it:
 *     1. carry out the end of the south leg (then set it back to LEG_OPEN: a session may open another one), then open_south,
 *        then write out both legs, then start_tls of a leg whose `out` is empty, then the end of the north leg
 *     2. offer unconsumed input again (a leg with read == false is not offered any), until nothing is consumed; each offer
 *        is an event, also one that consumed nothing: back to 1
 *     3. arm one timer for `deadline`
 *     4. when session_is_over(): close what is open and session_free
 */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "backend.h"
#include "config.h"
#include "geoip.h"
#include "greylist.h"
#include "list_states.h"
#include "log.h"
#include "past.h"
#include "rates.h"
#include "recipients.h"
#include "record.h"
#include "servers.h"
#include "standing.h"
#include "tls_facts.h"

enum { SESSION_ID_MAX = 16 };

struct counts;

/* What the sessions of one worker share. The driver sets the two clocks before every event. */
struct session_env {
    const struct config *config;
    struct log *log;
    struct servers *servers;
    struct record_ring *records;            /* NULL: nothing is recorded */
    struct pool messages;                   /* message bytes, over all sessions of the worker */
    struct pool control;                    /* replies and command lines */
    uint64_t now;                           /* monotonic, ms */
    int64_t unix_ms;                        /* wall clock */
    char scratch[POLICY_ARENA_SIZE];        /* arena of one policy pass */
    struct geoip *geo;                      /* NULL: no database is configured */
    struct past *past;                      /* shared by all workers */
    struct list_states *lists;              /* the same */
    struct standing *standing;              /* the same; NULL: nothing is known of senders */
    struct shared_table *greylist;          /* the same */
    struct shared_table *recipients;        /* the same */
    struct rates *rates;                    /* the same; NULL: nothing is counted */
    struct counts *counts;                  /* the same; NULL: there is no tarpit */
    unsigned row;                           /* of `counts` */
    bool is_stressed;                       /* sessions run short: [limits] stress */
    uint64_t accepted, refused, tempfailed; /* transactions, for tests and statistics */
};

enum admission { ADMIT, ADMIT_TOO_MANY, ADMIT_TOO_MANY_FROM_ADDRESS, ADMIT_DRAINING };

struct session_peer {
    const struct listener *listener;
    struct endpoint client; /* after the PROXY protocol */
    struct endpoint server; /* the address it connected to, by the same word */
    /* The two ends of the connection itself, for the log: behind a load balancer its address and one of ours. */
    struct endpoint peer, address;
    char id[SESSION_ID_MAX]; /* NUL-terminated */
    enum admission admission;
};

enum leg_end {
    LEG_OPEN,
    LEG_CLOSE /* write `out`, then close in order */,
    LEG_RESET /* drop `out`, reset the connection */
};

struct leg {
    struct chain out;
    bool read;      /* offer input */
    bool is_held;   /* leave `out` unwritten for now (north alone; `end` is LEG_OPEN then) */
    bool start_tls; /* one-shot: begin the handshake once `out` is written; the driver clears it */
    enum leg_end end;
};

struct session_wants {
    struct leg north, south;
    bool open_south; /* one-shot: connect to `target` of `route`; the driver clears it */
    const struct endpoint *target;
    const struct route *route;
    bool ask;          /* one-shot: session_next_question() has questions; the driver clears it */
    uint64_t deadline; /* ms; UINT64_MAX: none */
};

struct session;

/* A new session; it wants its greeting sent (or the TLS handshake on an implicit-TLS listener). NULL without memory. */
struct session *session_new(struct session_env *, const struct session_peer *);
void session_free(struct session *);
struct session_wants *session_wants(struct session *);
bool session_is_over(const struct session *);

/* North. `session_north_input` returns how many bytes it consumed; the rest is offered again later. */
size_t session_north_input(struct session *, struct str in);
void session_north_end(struct session *);                   /* FIN: no more input behind what was offered */
void session_north_gone(struct session *, const char *why); /* reset, write error, TLS failure */
void session_north_secured(struct session *, const struct tls_facts *);
/* `out` got shorter; `is_sent`: what left it is with the kernel, and does not wait in TLS or for the socket. */
void session_north_written(struct session *, bool is_sent);

/* South. */
/* `own` is our end of the connection, for the log; NULL when it is not known. */
void session_south_connected(struct session *, const struct endpoint *own);
void session_south_secured(struct session *);
void session_south_failed(struct session *, const char *why); /* connect, TLS, read or write error, FIN */
void session_south_short(struct session *, const char *why);  /* not opened, for want of something of ours */
size_t session_south_input(struct session *, struct str in);
void session_south_written(struct session *);

/* Time and the rest. */
void session_tick(struct session *);           /* now >= deadline */
void session_answered(struct session *);       /* facts changed, or were closed */
void session_drain(struct session *);          /* SIGTERM: finish what is under way, then 421 */
void session_stressed(struct session *);       /* `is_stressed` of the environment has changed */
struct facts *session_facts(struct session *); /* for answering; NULL when nothing is asked, or no longer */
/* Hands out each question once; what it names lasts as long as the facts. */
bool session_next_question(struct session *, struct question *);

const char *session_state_name(const struct session *);

#endif
