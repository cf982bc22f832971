/* All that is judged together: captures, log and configuration of one run, joined into sessions.
 *
 * Sessions are joined by log line (both 4-tuples) and by token (128 bits in hexadecimal in EHLO and MAIL FROM, ORACLE
 * 0); when both are there they must agree (L-4). With neither, on a capture of a live gateway, envelopes that are the
 * same and overlap in time join; a south connection that fits two sessions is in doubt. */
#ifndef WIRE_TRIAL_H
#define WIRE_TRIAL_H

#include "dialogue.h"
#include "record.h"
#include "settings.h"

struct session;

/* A north transaction and the south one that carried it. */
struct pair {
    struct session *session;
    const struct transaction *north;
    const struct dialogue *south_dialogue; /* NULL: never reached the back end */
    const struct transaction *south;
    const struct record *record; /* event=transaction, NULL without a log or line */
    bool is_joined_by_token, is_joined_by_log;
};

struct session {
    const struct dialogue *north;
    const struct dialogue **south; /* connections to the back end that were made for it */
    size_t south_n;
    struct pair *pair; /* one for each north transaction */
    size_t pair_n;
    const struct transaction **stray; /* transactions south that no transaction north explains */
    size_t stray_n;
    const struct record *record;   /* event=connection */
    const struct record **refusal; /* event=refused */
    size_t refusal_n;
    const char *doubt;  /* NULL: it can be judged */
    const char *breach; /* joins that disagree, for L-4 */
};

struct wire {
    struct capture capture;
    struct flows flows;
    struct dialogue *dialogue; /* one for each connection */
    int64_t open_end; /* the capture stops here, with connections open, before the other wire's; 0: no sign of it */
    bool is_present;
};

/* When some connections were alive, in one look: ends behind each other, with the latest end so far. */
struct alive {
    struct life {
        int64_t from, latest_to;
    } * life;
    size_t n;
    int64_t late; /* the last of those whose start was not captured was seen first at this time; INT64_MIN: none */
};

struct trial {
    struct wire north, south;
    bool has_one_capture; /* both wires were captured in one: south's is north's */
    struct capture east;
    bool has_east;
    struct records records; /* the log; empty when none was given */
    bool has_log;
    struct settings settings; /* of the gateway */
    struct keylog *keys;      /* NULL: none */
    struct session *session;
    size_t session_n;
    const struct dialogue **probe; /* south connections that carry no transaction and belong to nobody: EHLO, QUIT */
    size_t probe_n;
    const struct dialogue **orphan; /* south connections with a MAIL that no session explains */
    size_t orphan_n;
    const struct dialogue **unexplained; /* such connections that a session may explain which cannot be read */
    size_t unexplained_n;
    struct alive unread_north; /* sessions that are in doubt or in TLS without keys */
    struct alive unread_south; /* connections to the back end that belong to nobody and cannot be read */
};

struct trial_files {
    const char *north, *south, *east, *log, *keylog, *config; /* NULL: not given */
};

/* Is it one of these ends, or at the port of one that is any address? */
bool endpoint_is_among(const struct endpoint *list, size_t n, const struct endpoint *called);

/* Reads and joins everything. Ends the program when a file cannot be read. When `north` and `south` are one file, who
 * is called tells the wires apart: listeners north, back ends south. */
void trial_read(struct trial *t, const struct trial_files *files);
void trial_free(struct trial *t);
/* Joins what trial_read() has read. */
void trial_join(struct trial *t);

/* Is it TLS, from somewhere on, that no key was given for? What such a session says is not looked at. */
bool session_is_sealed(const struct trial *t, const struct session *s);
/* Can every connection to the back end be read that belongs to nobody and was alive then? Only then does it mean
 * something that nothing was found there. */
bool south_is_clear(const struct trial *t, int64_t from, int64_t to);
/* Can every session be read that was alive then? */
bool north_is_clear(const struct trial *t, int64_t from, int64_t to);
/* The ns since 1970 of its time= field; 0 when it has none. */
int64_t record_time(const struct record *r);
/* A field that is an address and port. */
bool record_endpoint(const struct record *r, const char *key, struct endpoint *e);
/* Who was at the other end of the wire: the balancer, where one announced the client. */
bool record_client(const struct record *r, struct endpoint *e);

#endif
