/* What a run of wirecheck found, and the three forms in which it is told: for a person, for a program, for a CI
 * server. */
#ifndef WIRE_REPORT_H
#define WIRE_REPORT_H

#include "invariant.h"

#include <stdio.h>

/* An invariant and what it found. */
struct verdict {
    const struct invariant *invariant;
    struct tally tally;
};

/* The identity of ORACLE 6: what the back end accepted is what clients were told, and answers that were lost. */
struct accounting {
    size_t accepted_south;
    size_t accepted_north;
    size_t client_gone;    /* X1 */
    size_t answer_lost;    /* X2, X3 */
    size_t gateway_killed; /* X11 */
    size_t unexplained;
};

struct report {
    const struct trial *trial;
    const struct trial_files *files;
    struct verdict *verdict;
    size_t verdict_n;
    struct accounting accounting;
    int64_t start, end; /* of all captures, ns since 1970 */
    size_t packets, sessions, messages;
    size_t violated, inconclusive;
    size_t most_inconclusive; /* of one invariant */
    bool is_void;             /* too much of it is in doubt */
};

/* Room for what report_session() writes. */
enum { SESSION_TEXT = 400 };

/* In custody.c. */
void accounting_read(struct accounting *a, const struct trial *t);

const char *wire_name(enum wire_name w);
/* Did it look at anything at all? */
bool verdict_is_shown(const struct verdict *v);
/* Seconds since the run began. */
double report_seconds(const struct report *r, int64_t time);
/* "198.51.100.7:40001 (id s1)". Returns `text`. */
const char *report_session(const struct session *s, char text[SESSION_TEXT]);
/* The octets of an event between no quotes: printable US-ASCII, the rest as C escapes, less the last line end. */
void report_octets(struct slice octets, struct buffer *out);

void report_text(const struct report *r, FILE *out, bool is_quiet, bool has_accounting);
void report_json(const struct report *r, FILE *out);
void report_junit(const struct report *r, FILE *out);

#endif
