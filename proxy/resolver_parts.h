/* What the files of the resolver share; everybody else includes resolver.h.
 *
 *     resolver.c          who waits for what; how much is under way
 *     resolver_cache.c    what is remembered, and the table it is found in
 *     resolver_ares.c     c-ares: sending, and reading what came
 *     resolver_raw.c      the same for names that c-ares does not send
 *     resolver_query.c    the octets of those queries
 *     resolver_name.c     names on their way to and from the wire
 *     resolver_servers.c  /etc/resolv.conf
 */
#ifndef PROXY_RESOLVER_PARTS_H
#define PROXY_RESOLVER_PARTS_H

#include <sys/queue.h>

#include "resolver.h"

enum {
    DNS_VALUES_MAX = 100, /* of one answer; more reads LIMIT, as more than FACT_BYTES_MAX octets do */
    DNS_LINKS_MAX = 8,    /* CNAMEs from the name asked for to the one that has the records (D-6) */
    DNS_TEMP_MS = 5000    /* how long a failure is remembered (RFC 2308 7: 5 minutes at most) */
};

/* ---- names (resolver_name.c) ---- */

enum {
    DNS_NAME_MAX = 253,        /* octets of a key (RFC 1035 2.3.4 less the first length and the root) */
    DNS_TEXT_MAX = 4 * 255 + 1 /* a name with each octet escaped, and its NUL */
};

enum dns_name {
    DNS_NAME_OK,
    DNS_NAME_BAD, /* no name: an empty label, one over 63 octets, over 253 octets in all, a NUL */
    DNS_NAME_ODD  /* a name, but with octets that c-ares does not send: others than A-Z a-z 0-9 - _ / * */
};

/* A key with its NUL, as it is sent; out is not touched when it is no name. No label of a key has a dot within: keys
 * are text, and whoever makes one of octets from the wire, as SPF macros do, splits them at their dots.
 */
enum dns_name dns_name_write(struct str key, char out[DNS_NAME_MAX + 1]);
/* A name as c-ares gives it ("\(", "\228") in the form facts have: its octets in lower case, no trailing dot, "." for the
 * root. What would be misread, a dot within a label or a NUL, is written \DDD. False when it is no name, or too long for one.
 */
bool dns_name_read(const char *name, char out[DNS_TEXT_MAX], size_t *n);
/* The same as a key that can be asked for; false when it is none: what is written \DDD would be another name. */
bool dns_name_to_key(const char *name, char out[DNS_NAME_MAX + 1]);

/* ---- answers ---- */

/* One answer, shared by those who get it now and the cache; freed when the last one has let go. */
struct dns_answer {
    unsigned holders;
    enum fact_state state;
    uint64_t keep; /* ms; 0: for those who wait for it alone */
    size_t octets; /* of memory */
    size_t n;
    struct str value[];
};

/* A copy of the values, held once; NULL without memory. */
struct dns_answer *dns_answer_new(enum fact_state, uint64_t keep, const struct str *value, size_t n);
struct dns_answer *dns_answer_hold(struct dns_answer *);
void dns_answer_drop(struct dns_answer *); /* NULL is fine */

/* ---- table and cache (resolver_cache.c) ---- */

/* The head of what is found by its question. */
struct dns_key {
    struct dns_key *next;
    uint64_t hash;
    struct question q;
};

/* Chains that grow in number with what is in them. The hash has a secret, so that nobody can aim names at one chain. */
struct dns_table {
    struct dns_key **chain;
    size_t chains, n; /* a power of two; keys in them */
    uint64_t secret[2];
};

bool dns_table_init(struct dns_table *);
void dns_table_free(struct dns_table *); /* not what is in it */
struct dns_key *dns_table_find(const struct dns_table *, struct question);
void dns_table_add(struct dns_table *, struct dns_key *); /* one whose question is not there yet */
void dns_table_remove(struct dns_table *, struct dns_key *);

struct dns_cached;

struct dns_cache {
    struct dns_table table;
    TAILQ_HEAD(dns_cached_list, dns_cached) by_use; /* the one used last at the end */
    size_t octets, size;
    uint64_t ttl; /* ms, the longest */
};

bool dns_cache_init(struct dns_cache *, size_t size, uint64_t ttl);
void dns_cache_free(struct dns_cache *);
/* NULL when there is none, or its time is over. The cache's own: hold it to keep it. */
struct dns_answer *dns_cache_find(struct dns_cache *, struct question, uint64_t now);
void dns_cache_put(struct dns_cache *, struct question, struct dns_answer *, uint64_t now);

/* ---- what a message says (resolver_ares.c) ---- */

struct ares_dns_record;

/* What a message says about a question. */
struct dns_reading {
    enum fact_state state; /* FACT_UNKNOWN: the records of `target` must be asked for */
    uint64_t keep;         /* ms, the least that a record allows; 0: not to be kept */
    unsigned links;        /* CNAMEs followed */
    size_t n, octets;
    struct str value[DNS_VALUES_MAX];
    unsigned preference[DNS_VALUES_MAX]; /* MX */
    char text[FACT_BYTES_MAX];
    char target[DNS_NAME_MAX + 1];
};

/* Reads the message for a question of `kind`. `links` and `keep` are those of the messages before, 0 and UINT64_MAX at first. */
void dns_read(const struct ares_dns_record *, enum ask kind, struct dns_reading *);
/* The same from its octets. False when they are malformed; a failure when there is no room to take them apart. */
bool dns_parse(const uint8_t *message, size_t n, enum ask kind, struct dns_reading *);
/* Without a message. */
void dns_read_failure(struct dns_reading *, enum fact_state, uint64_t keep);
unsigned dns_type_of(enum ask kind); /* its number on the wire */

/* Memory of the room that messages are read in (BUDGET_DNS_ANSWER); NULL when it is full. */
void *dns_take(size_t);
void dns_release(void *); /* NULL is fine */

/* ---- two ways to the wire, with the same five functions ----
 *
 * What is sent comes back in dns_came_back(), maybe at once. `watch` is told what each socket waits for: reading,
 * writing; neither before it closes. Both pass over sockets that are not theirs.
 */

typedef void dns_watch(void *owner, int fd, int readable, int writable);

struct dns_lookup;

/* c-ares (resolver_ares.c): names that are DNS_NAME_OK. */
struct ares_channeldata;

/* NULL without memory or servers. */
struct ares_channeldata *dns_open(const struct dns_settings *, dns_watch *, void *owner);
void dns_close(struct ares_channeldata *); /* every lookup sent comes back with a failure */
void dns_send(struct ares_channeldata *, const char *name, struct dns_lookup *);
void dns_process(struct ares_channeldata *, int readable, int writable); /* -1: none; times out what is due */
uint64_t dns_timeout(const struct ares_channeldata *);                   /* ms from now; UINT64_MAX: none */

/* Our own (resolver_raw.c): those that are DNS_NAME_ODD. Opened after c-ares, in whose memory it counts, closed before. */
struct dns_raw;

struct dns_raw *raw_open(const struct dns_settings *, const uint64_t *now, dns_watch *, void *owner);
void raw_close(struct dns_raw *); /* NULL is fine */
void raw_send(struct dns_raw *, const char *name, struct dns_lookup *);
void raw_process(struct dns_raw *, int readable, int writable);
uint64_t raw_timeout(const struct dns_raw *);

/* ---- octets of our own queries (resolver_query.c) ---- */

enum {
    DNS_LENGTH = 2,     /* octets in front of a message, by TCP */
    DNS_UDP_MAX = 1232, /* of an answer, as we say: it is not fragmented on any path of today */
    DNS_QUERY_MAX = 12 + 255 + 4 + 11
};

struct dns_query {
    uint8_t octet[DNS_LENGTH + DNS_QUERY_MAX]; /* the length of the message, and the message */
    size_t n, question_end;                    /* of the message; of its header and question */
};

void dns_query_write(struct dns_query *, const char *name, unsigned type, unsigned id, bool has_opt);
/* Whether a message is the answer: by its id, and its question, octet by octet but for the case of letters. */
bool dns_query_is_answered(const struct dns_query *, const uint8_t *message, size_t n);
/* Of an answer. */
bool dns_answer_is_truncated(const uint8_t *answer);
unsigned dns_answer_code(const uint8_t *answer); /* RFC 1035 4.1.1 */

/* ---- lookups (resolver.c) ---- */

/* Each state is a list, and a lookup is in one. */
enum lookup_state {
    LOOKUP_QUEUED,   /* for its turn */
    LOOKUP_SENT,     /* on one of the ways */
    LOOKUP_GIVEN_UP, /* there still, but those who waited were told that it failed */
    LOOKUP_BACK,     /* from there, not looked at yet */
    LOOKUP_ANSWERED, /* those who wait are to be told */
    LOOKUP_STATES
};

struct request;

/* A question under way, or answered for those who wait for it. */
struct dns_lookup {
    struct dns_key key; /* first: the table knows it by this, while it is queued or sent */
    struct resolver *resolver;
    enum lookup_state state;
    bool is_listed;   /* in the table */
    bool is_out;      /* on its way */
    bool is_given_up; /* while it was */
    TAILQ_ENTRY(dns_lookup) place;
    TAILQ_HEAD(dns_requests, request) requests; /* those who wait */
    uint64_t deadline;                          /* ms, once sent: the end of all tries, whatever they lead to */
    unsigned links;                             /* CNAMEs followed */
    uint64_t keep;                              /* ms, as they allow */
    char *target;                               /* of the last of them, when its records must be asked for */
    struct dns_answer *answer;
    char name[]; /* the key's */
};

/* What a way has to say, called from within it: nothing is sent or told from here. */
void dns_came_back(struct dns_lookup *, const struct dns_reading *);

#endif
