/* What the files of the worker share: worker.c (loop, signals, retreat), worker_accept.c (ports, admission),
 * worker_session.c (carries out what a session wants), worker_resolver.c (gets answers for it) and worker_probe.c (back-end
 * probes). Nobody else includes this.
 */
#ifndef PROXY_WORKER_PARTS_H
#define PROXY_WORKER_PARTS_H

#include <sys/queue.h>
#include <uv.h>

#include "resolver.h"
#include "session.h"
#include "stream.h"
#include "worker.h"

enum {
    SESSION_IDS = 64,    /* random numbers fetched at once */
    SOCKET_CHAINS = 64,  /* of the resolver, by descriptor */
    NUMBER_CHAINS = 1024 /* of the connections, by number */
};

enum worker_state { WORKER_STARTING, WORKER_SERVING, WORKER_RETIRING, WORKER_DRAINING, WORKER_ENDING };

/* A port being listened on. */
struct door {
    struct worker *worker;
    const struct worker_port *port;
    uv_tcp_t tcp;
    bool has_waiting; /* a connection could not be taken for want of descriptors or memory */
};

struct dns_socket;

struct worker {
    const struct worker_start *start;
    const struct config *config;
    enum worker_state state;
    struct session_env env;
    struct stream_loop streams;
    struct servers servers;
    struct door *door;
    struct connection *connections; /* all, in a list */
    size_t open;                    /* of them */
    size_t open_peak;               /* most at once since memory was given back */
    unsigned uncounted;             /* of them: refused ones, and those whose PROXY header is awaited */
    struct probe **probe;           /* one per server: the look under way, or NULL */
    size_t probes_out;
    struct resolver *resolver; /* NULL: every question reads TEMP */
    struct dns_socket *dns_socket[SOCKET_CHAINS];
    struct connection *by_number[NUMBER_CHAINS];
    uint64_t last_number;
    TAILQ_HEAD(connections_answered, connection) answered; /* their sessions go on before the loop waits again */
    uint64_t stress_at;                                    /* ms, when to look again whether sessions run short */
    uint64_t session_id[SESSION_IDS];
    unsigned session_ids; /* of them left */
    uv_loop_t loop;
    uv_prepare_t before_poll;
    uv_signal_t on_term, on_retire, on_dump;
    uv_timer_t open_doors; /* latest moment to begin accepting */
    uv_timer_t retry_accept, retry_log;
    uv_timer_t next_probe;
    uint64_t probe_at; /* ms, when it goes off; UINT64_MAX: not running */
    uv_timer_t dns_due;
    uv_timer_t next_list_test;
    struct list_test list_test[LISTS_MAX]; /* of the configuration's lists: those under way */
    uv_timer_t drain_end;
    uv_timer_t give_back;
    uv_timer_t next_look; /* at whether sessions run short */
};

/* A client's connection: its two streams and its session. */
struct connection {
    struct worker *worker;
    struct connection *next, **link;
    struct stream *north, *south;  /* NULL: not open, or left to finish by itself */
    bool north_reads, south_reads; /* as last told to the stream */
    char south_why[80];            /* what the session was told of its last south failure; it may keep the pointer */
    struct session *session;       /* NULL while the PROXY header is awaited */
    struct session_peer peer;
    const struct worker_port *port;
    bool is_counted;
    struct counted counted;
    uint64_t header_deadline;          /* ms, for the PROXY header */
    struct header_start *header_start; /* of it, when it comes in pieces; else NULL */
    uv_timer_t timer;
    uint64_t timer_at;   /* ms, when it goes off; UINT64_MAX: not running */
    uint64_t looked_for; /* the deadline for which the sockets were looked at once more */
    uint64_t number;     /* what the resolver knows it by */
    struct connection *same_chain;
    size_t asked;     /* its questions that the resolver has, also those of transactions that are over */
    bool is_answered; /* in the worker's list */
    TAILQ_ENTRY(connection) place_answered;
};

/* worker.c */
void worker_clock(struct worker *);           /* reads the loop's time; before every event given to a session */
void worker_serve(struct worker *);           /* opens the doors, unless they are or the worker is leaving */
void worker_check_end(struct worker *);       /* ends the loop when a leaving worker has nothing left to do */
void worker_counts_one_more(struct worker *); /* connection; and one less */
void worker_counts_one_less(struct worker *);
struct tls_client *worker_tls_client(const struct worker *, const struct route *);

/* worker_accept.c */
bool doors_open(struct worker *);
void doors_close(struct worker *);
void doors_retry(struct worker *);           /* descriptors or memory may be free again */
void connection_header(struct connection *); /* some of the PROXY header arrived */
void connection_late(struct connection *);   /* it did not arrive in time */
void connection_uncount(struct connection *);
void connection_uncount_address(struct connection *);

/* worker_session.c */
void connection_event(void *owner, struct stream *, enum stream_event);
struct connection *connection_new(struct worker *, const struct worker_port *);
void connection_arm(struct connection *, uint64_t deadline);
void connection_begin(struct connection *, enum admission);
void connection_end(struct connection *);
void connection_remove(struct connection *);   /* one whose stream never came to be */
void connection_answered(struct connection *); /* some of its questions were */
void connections_drain(struct worker *);
void connections_stressed(struct worker *); /* sessions run short, or no longer */
void connections_end(struct worker *);

/* worker_resolver.c */
void lookups_open(struct worker *);
void lookups_close(struct worker *);
void lookups_go_on(
    struct worker *); /* once a turn: the sessions whose questions were answered, and the next deadline */
void lookups_admit(struct connection *);
void lookups_forget(struct connection *);
bool lookups_ask(struct connection *); /* what its session needs to know; true when some of it was known at once */

void lookups_collect(struct worker *); /* answers that the resolver has */

/* worker_lists.c */
enum { LISTS_ASKER = 0 /* to the resolver; connections begin at 1 */ };
void lists_open(struct worker *);
void lists_answered(struct worker *, const struct resolver_answer *);

/* worker_probe.c */
bool probes_init(struct worker *);
void probes_look(struct worker *); /* at the servers whose time has come; and sets the timer for the next */
void probes_arm(struct worker *);  /* sets it again where a server has become due sooner */
void probes_stop(struct worker *);

#endif
