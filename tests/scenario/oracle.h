/* The oracle: what must hold on the two wires whatever happens, judged by readers of its own.
 *
 * It is told every byte in the order of events (what the session consumed, what it wrote) and keeps its own,
 * deliberately simple reading of both conversations; nothing of the parsers in proxy/ and policy/ is used.
 * The first violation is kept in `broken`, with the id of ORACLE.md. Built in, P-1 to P-6,
 * P-12, P-13, F-1, F-2, F-7.
 */
#ifndef SCENARIO_ORACLE_H
#define SCENARIO_ORACLE_H

#include "conversation.h"

/* What the scenario's configuration allows. */
struct oracle_rules {
    char domains[512];     /* local domains, separated by blanks, lower case */
    char authserv_id[128]; /* whose Authentication-Results are removed */
    char quarantine[256];  /* a mailbox that may take the place of all recipients; empty: none */
    bool may_relay;        /* P-1 does not apply */
    bool may_percent;      /* P-2 does not apply */
    bool normalises;       /* bare CR and LF become CRLF, NUL goes (F-3) */
    bool memory_fails;     /* a reply may be missing, a 250 from the back end may be answered by 4xx */
    bool north_stalls;     /* N is written late: what needs the order of N and S is not judged */
};

struct oracle {
    struct oracle_rules *rules;
    char broken[700];
    /* north */
    struct conversation n;
    bool n_gone;   /* by the client's doing */
    bool n_parted; /* 421, or a last word nobody asked for: nothing may follow */
    int n_last;    /* code of the last reply */
    bool mail_is_open;
    char *mail_path;
    struct paths rcpt; /* accepted in this transaction */
    bool end_seen;     /* the whole message has come; its answer has not been given */
    unsigned mails;    /* accepted */
    /* south */
    struct conversation s;
    bool s_open;
    bool s_mad;    /* the back end broke the protocol */
    bool s_odd;    /* its answer to the end of data holds bytes that some call broken */
    bool s_begins; /* a PROXY header may come first */
    bool s_utf8;
    bool s_mail_is_open;
    struct paths s_rcpt;
    char s_offers[4096]; /* keywords of the last EHLO reply, each between blanks */
    struct bytes s_preamble;
    unsigned s_mails, connections;
    /* one transaction's custody */
    unsigned ends_sent; /* S ends of data */
    int end_reply;      /* S reply to it; 0: none */
    unsigned accepted, s_accepted;
};

void oracle_init(struct oracle *, struct oracle_rules *);
void oracle_free(struct oracle *);
const char *oracle_broken(const struct oracle *); /* NULL: all is well */

void oracle_north_open(struct oracle *);
void oracle_north_in(struct oracle *, struct str); /* consumed by the session */
void oracle_north_out(struct oracle *, struct str);
void oracle_north_tls(struct oracle *);
void oracle_north_gone(struct oracle *);
void oracle_north_end(struct oracle *); /* the session is over */

void oracle_south_open(struct oracle *); /* asked for */
void oracle_south_in(struct oracle *, struct str);
void oracle_south_out(struct oracle *, struct str);
void oracle_south_tls(struct oracle *);
void oracle_south_end(struct oracle *);

/* ---- between the oracle's files ---- */

/* Keeps the first violation. */
void oracle_object(struct oracle *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Judges the body just sent south against the one that came in (A-2, F-1, F-2). */
void oracle_judge_body(struct oracle *);
/* P-4, P-5 for one command line south; P-1 and P-2 for a path. */
void oracle_judge_command(struct oracle *, enum awaited_kind, struct str line);
void oracle_judge_recipient(struct oracle *, struct str path);

#endif
