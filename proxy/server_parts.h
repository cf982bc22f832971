/* What server.c (signals, reload, certificates) and server_workers.c (the processes) share. Nobody else includes this. */
#ifndef PROXY_SERVER_PARTS_H
#define PROXY_SERVER_PARTS_H

#include <sys/types.h>

#include "counts.h"
#include "greylist.h"
#include "list_states.h"
#include "log.h"
#include "notify.h"
#include "past.h"
#include "ports.h"
#include "rates.h"
#include "recipients.h"
#include "setup.h"
#include "standing.h"

enum { SERVER_WORKERS_MAX = 64 /* as in the ini */ };

/* A worker process. Its index in the table is its row of the counts. */
struct process {
    pid_t pid;     /* 0: the row is free */
    unsigned slot; /* which socket of each port it accepts from */
    unsigned generation;
    int ready_fd; /* until it accepts connections, or ends; -1 after that */
    bool is_ready;
    bool is_told; /* to retire or to drain */
    bool is_draining;
    uint64_t started; /* ms */
};

struct supervisor {
    const char *path; /* of the ini */
    struct record_wish record;
    int record_fd; /* -1: there is no file */
    struct setup setup;
    unsigned counted_as[CONFIG_LISTENERS_MAX];
    struct counts *counts;
    struct past *past;
    struct list_states *lists;
    struct standing *standing;
    struct shared_table *greylist;
    struct shared_table *recipients;
    struct rates *rates;
    uint64_t checkpoint_at; /* ms, of the record of senders */
    struct ports ports;
    struct ports gone; /* ports the last reload dropped, until its workers have taken over */
    int empty_root;
    int log_fd;
    struct log *log;
    struct notify notify;
    unsigned workers;    /* fixed at the start */
    unsigned generation; /* of the workers that take new sessions */
    struct process process[COUNTS_ROWS];
    uint64_t start_at[SERVER_WORKERS_MAX]; /* ms, when a slot's worker is started again; UINT64_MAX: it runs */
    uint64_t check_files_at;               /* ms */
    uint64_t watchdog_at;
    int64_t warned_on; /* day of the last warning about a certificate's end */
    uint64_t kill_at;  /* ms, when workers that do not stop are killed */
    bool reload_waits; /* for rows: too many old workers still have sessions */
    bool is_stopping, is_taking_over;
};

uint64_t server_now(void); /* monotonic, ms */

/* server_workers.c */
bool workers_have_room(const struct supervisor *); /* for one more generation */
void workers_start_all(struct supervisor *);       /* of the current generation */
void workers_start_due(struct supervisor *, uint64_t now);
void workers_reap(struct supervisor *);
void workers_poll(struct supervisor *, int timeout_ms); /* waits for signals and for workers getting ready */
bool workers_are_ready(const struct supervisor *);      /* all of the current generation accept connections */
void workers_retire(struct supervisor *);               /* the generations before this one */
void workers_drain_oldest(struct supervisor *);
void workers_stop(struct supervisor *, bool now); /* drain all; or, those that drain already, end at once */
void workers_dump(const struct supervisor *);     /* what they have recorded */
void workers_kill(const struct supervisor *);
bool workers_are_left(const struct supervisor *);

#endif
