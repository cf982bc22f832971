/* The last transactions, remembered in memory so that a new configuration can be tried on them (`postern replay`).
 *
 * Each worker has a ring of records in one piece of memory of fixed size. A record is what a verdict depends on: envelope, header
 * section and facts, never the body; and the verdict that was given. It is kept as the text that will be written, so that
 * writing copies nothing and adding allocates nothing.
 *
 *     record_add(ring, &entry)        a transaction has its verdict
 *     record_dump(ring, fd, &n)       SIGUSR2: append all of them to the file that the supervisor opened at the start
 *     record_read(&rest, &record)     the file again, in `postern replay`
 *
 * The text, one record after the other; words are quoted as in facts.h, and the two long parts carry their length:
 *
 *     record 1
 *     id "4KQ2T7XJ3WZ5M" 1
 *     time 1795348800
 *     client 198.51.100.7:40112
 *     helo "mail.example.net"
 *     flags esmtp tls                      also: authenticated smtputf8 early pipelined
 *     from "a@example.net"                 "" for the null path
 *     rcpt accepted "v@local.example"      or refused (by the policy), or elsewhere (refused by the mail server or a limit)
 *     rcpts 1                              of all, also beyond RECORD_RCPTS_MAX
 *     size 2311
 *     verdict reject 550 "5.7.26" "dmarc"  or: accept 0 "" ""
 *     facts 120                            then so many octets, lines of facts_dump
 *     header 800                           then so many octets and a line end; "header none": it was never received
 *     end
 */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "../policy/policy.h"

enum {
    RECORD_RCPTS_MAX = 10,
    RECORD_TRANSACTIONS_MAX = 100000, /* a ring can be told to keep */
    RECORD_ID_MAX = 32,
    RECORD_CHECK_MAX = 40
};

enum record_rcpt_fate { RECORD_RCPT_ACCEPTED, RECORD_RCPT_REFUSED, RECORD_RCPT_ELSEWHERE };

struct record_rcpt {
    struct str text; /* canonical, as path.text */
    enum record_rcpt_fate fate;
};

/* Of `run`, while the transaction is still there. Nothing is kept of what the slices point to. */
struct record_entry {
    struct str id;
    unsigned number; /* of the transaction in its session */
    int64_t time;    /* seconds since the epoch, as the policy saw it at the last stage */
    struct endpoint client;
    struct str helo;
    bool is_esmtp, is_tls, is_authenticated, is_smtputf8;
    bool talked_early, pipelined;
    struct str mail_from; /* canonical, empty for <> */
    const struct record_rcpt *rcpt;
    size_t rcpts;     /* in `rcpt`; those beyond RECORD_RCPTS_MAX are not kept */
    size_t rcpts_all; /* that were judged */
    uint64_t size;    /* octets of the message; 0 when none came */
    bool has_header;
    struct str header;
    const struct facts *facts; /* NULL: nothing was asked */
    struct verdict verdict;
};

struct record_ring;

/* NULL without memory. `octets` is all it will ever need. */
struct record_ring *record_ring_new(size_t transactions, size_t octets);
void record_ring_free(struct record_ring *);

/* Does nothing when `ring` is NULL. The oldest records make room; one that is larger than the ring is not kept, and counted. */
void record_add(struct record_ring *, const struct record_entry *);

struct record_counts {
    size_t kept, octets;
    uint64_t too_large;
};
struct record_counts record_ring_counts(const struct record_ring *);

/* Appends all records, the oldest first, each with one write. False and errno when the file does not take them; `*n` were written
 * whole. The ring keeps them.
 */
bool record_dump(const struct record_ring *, int fd, size_t *n);

/* ---- reading ---- */

/* Slices point into the text or, where a word had escapes, into `room`. */
struct record {
    struct str id;
    unsigned number;
    int64_t time;
    struct endpoint client;
    struct str helo;
    bool is_esmtp, is_tls, is_authenticated, is_smtputf8;
    bool talked_early, pipelined;
    struct path mail_from;
    struct path rcpt[RECORD_RCPTS_MAX];
    enum record_rcpt_fate fate[RECORD_RCPTS_MAX];
    size_t rcpts, rcpts_all;
    uint64_t size;
    enum action action;
    int code;
    struct str enhanced;
    struct str check;
    struct str facts; /* text */
    bool has_header;
    struct str header;
    char helo_room[512];
    char check_room[RECORD_CHECK_MAX];
    char id_room[RECORD_ID_MAX];
    char mail_from_room[PATH_ROOM];
    char rcpt_room[RECORD_RCPTS_MAX][PATH_ROOM];
};

/* Takes the next record off the front of `*rest`, whose first line is number `*line`. NULL when it is there, else what is wrong in
 * line `*line`. Not to be called at the end (rest->n == 0). Strict: every line in its place.
 */
const char *record_read(struct str *rest, size_t *line, struct record *);

#endif
