/* The world around one session: both wires, time and the back-end servers' reputation, in memory.
 *
 * This is a driver in the sense of session.h and follows its "order of work" to the letter: what the worker
 * does with sockets and timers is done here with byte queues and a number. Whoever plays (steps.c, the fuzz
 * target) puts bytes and events in; `sent` of each wire is what the product wrote. The oracle listens to
 * everything.
 */
#ifndef SCENARIO_WORLD_H
#define SCENARIO_WORLD_H

#include "../../proxy/session.h"
#include "bytes.h"
#include "dns.h"
#include "oracle.h"

enum wire_state {
    WIRE_NONE,
    WIRE_ASKED, /* the session wants a connection; nobody has answered yet */
    WIRE_OPEN,
    WIRE_CLOSED, /* by the product, in order */
    WIRE_RESET,  /* by the product */
    WIRE_GONE    /* by the peer */
};

/* One leg, as its peer sees it. */
struct wire {
    enum wire_state state;
    struct bytes in;   /* sent by the peer, not consumed by the session yet */
    bool fin;          /* the peer's FIN comes behind `in` */
    struct bytes sent; /* everything the product wrote; on S over all connections */
    size_t room;       /* octets the peer still takes; SIZE_MAX: it reads */
    bool wants_tls, is_tls;
};

/* What a scenario may say about its set-up. */
struct setting {
    struct bytes ini;     /* "[section] key = value" lines over the base ini */
    const char *listener; /* NULL: the first */
    struct endpoint client, server;
    struct endpoint balancer; /* who spoke PROXY for the client; port 0: nobody */
    struct endpoint own;      /* our end of a connection south */
    enum admission admission;
    struct bytes offers; /* EHLO keywords known of every back end, one a line; empty: nothing is known */
    size_t message_pool; /* 0: what the configuration says */
};

struct world {
    struct setting setting;
    struct oracle_rules rules;
    struct oracle oracle;
    struct session_env *env;
    struct config *config; /* cached, not owned */
    struct servers servers;
    struct session *session; /* NULL: over */
    struct wire north, south;
    struct endpoint target; /* of the last connection asked for */
    unsigned connections;   /* south, so far */
    unsigned sessions;      /* north, so far; not those for which there was no memory */
    struct dns dns;
    struct bytes log;
    bool no_memory;     /* there was none for a session */
    const char *broken; /* the driver's own complaint: a session that never comes to rest */
};

/* True while the product runs: allocations inside are the product's (alloc.c). */
extern int world_in_product;

void world_init(struct world *);
void world_free(struct world *);
/* Reads the configuration and starts the first session. False, with a message in `errors`, when the ini is
 * refused.
 */
bool world_start(struct world *, struct bytes *errors);
/* Another client, once the session before is over. */
void world_new_session(struct world *);
/* The session is done with: whatever its state, everything is closed and freed, and the oracle draws its
 * sum.
 */
void world_end(struct world *);

void world_send(struct world *, struct wire *, struct str bytes);
void world_fin(struct world *, struct wire *); /* north: FIN behind what was sent; south: FIN now */
void world_fail(struct world *, struct wire *, const char *why);
void world_connected(struct world *);
void world_secured(struct world *, struct wire *);
void world_room(struct world *, struct wire *, size_t octets); /* the peer reads so much more; SIZE_MAX: everything */
void world_wait(struct world *, uint64_t ms);
void world_drain(struct world *);
void world_stress(struct world *, bool is_stressed); /* sessions run short, or no longer */
/* An answer to what was asked and found nobody at home; false when it was not asked, or answered already. */
bool world_answer(struct world *, const struct dns_record *);
/* All that is asked about `name` fails; false when nothing is. */
bool world_fail_dns(struct world *, struct str name);

/* Configurations read so far are kept, since scenarios are played many times. */
void world_forget_configs(void);

#endif
