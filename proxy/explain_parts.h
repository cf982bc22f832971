/* What the files of `postern explain` share:
 *
 *     explain.c        the course of things: read, judge, tell
 *     explain_input.c  configuration, message, facts and envelope; what was not given is read from the message
 *     explain_dns.c    answers from the DNS
 *     explain_text.c   the account for people
 *     explain_json.c   the same as one JSON object (DESIGN 8)
 */
#ifndef PROXY_EXPLAIN_PARTS_H
#define PROXY_EXPLAIN_PARTS_H

#include <stdio.h>

#include "explain.h"
#include "judge.h"

enum { EXPLAIN_HELO_MAX = 256 };

struct explanation {
    const struct explain_options *options;
    struct config *config;
    const char *config_name;
    char *octets; /* of the message's file */
    size_t octets_n;
    struct judge_message message;
    bool has_message;
    struct facts known; /* of --facts */
    void *known_memory;
    struct geoip *geo; /* without --facts */
    struct endpoint client;
    char helo[EXPLAIN_HELO_MAX];
    struct path mail_from;
    char mail_from_room[PATH_ROOM];
    struct path rcpt[EXPLAIN_RCPTS_MAX];
    char rcpt_room[EXPLAIN_RCPTS_MAX][PATH_ROOM];
    int64_t now;
    const char *ip_from, *helo_from, *mail_from_from; /* where they were found when not given; else NULL */
    struct judge judge;
    bool is_late; /* timeouts.verdict went by while answers were awaited */
};

/* explain_input.c: all return 0 or the exit status, with a line on stderr. */
int explain_read(struct explanation *, const char *default_config);
void explain_drop(struct explanation *);
/* The path of `text`, in brackets or without; false when it is none. */
bool explain_read_path(const char *text, enum path_kind, char room[PATH_ROOM], struct path *);

/* explain_dns.c: judges, and gets answers until it is done or the time is over. False when there is no resolver. */
bool explain_judge_live(struct explanation *);

void explain_print_text(const struct explanation *, FILE *);
void explain_print_json(const struct explanation *, FILE *);
/* "550 5.7.26 text"; "250" for what is accepted, since the mail server words that reply. */
void explain_reply(const struct verdict *, char *out, size_t size);

#endif
