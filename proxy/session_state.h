/* The inside of a session, shared by the session_*.c files and seen by nobody else.
 *
 * - session.c: life, events from the driver, what is wanted next, time
 * - session_door.c: the greeting, who speaks before it is over, the tarpit
 * - session_command.c: the command table and the commands without a transaction
 * - session_envelope.c: MAIL, RCPT, RSET, and opening the back end
 * - session_data.c: DATA and BDAT, receiving the message
 * - session_deliver.c: streaming, quarantine and handing over: everything that puts message bytes south
 * - session_auth.c: AUTH, relayed line by line
 * - session_south.c: what the back end's events mean for the client
 * - session_facts.c: where what was found out is kept
 * - session_policy.c: asking the policy and going on with its verdict
 * - session_rates.c: counting for the rates
 * - session_memory.c: what all workers remember of senders and recipients
 * - session_results.c: what it found, for the front of the message and for the log
 * - session_reply.c: replies and log lines
 *
 * A session waits for exactly one thing at a time, and that wait is its state. The transaction is a struct of its
 * own, made at MAIL and freed whole, so that nothing of it survives a reset (P-13).
 */
#ifndef PROXY_SESSION_STATE_H
#define PROXY_SESSION_STATE_H

#include "message.h"
#include "scores.h"
#include "session.h"
#include "smtp_data.h"

enum wait {
    WAIT_COMMAND,  /* a command line */
    WAIT_GREETING, /* the pause in the greeting; who speaks in it is an early talker */
    WAIT_TLS,      /* the handshake with the client */
    WAIT_AUTH,     /* a line of the AUTH exchange */
    WAIT_DATA,     /* more of a DATA stream */
    WAIT_BDAT,     /* more of a BDAT chunk */
    WAIT_VERDICT,  /* answers for the policy; `stage` */
    WAIT_BACKEND,  /* the back end, for the command in `pending` */
    WAIT_END,      /* the back end's answer to the end of data, or what has to come before it */
    WAIT_NOTHING   /* closing */
};

/* What the next line of an AUTH exchange says about who it is. */
enum auth_names {
    AUTH_NAMES_NOBODY,
    AUTH_NAMES_SECOND, /* the second of its parts (PLAIN) */
    AUTH_NAMES_LINE    /* all of it (LOGIN) */
};

enum pending { PENDING_NONE, PENDING_RCPT, PENDING_AUTH };

enum { AUTH_LINE_MAX = 12288 /* RFC 4954 4 */ };

/* How a message leaves: held until its verdict, or streamed under back-pressure with only its end withheld (DESIGN
 * 4).
 */
enum flow {
    FLOW_HELD,
    FLOW_REDIRECT, /* the recipients are being replaced by the quarantine mailbox */
    FLOW_ASKED,    /* DATA was sent, 354 is awaited */
    FLOW_OPEN,     /* body bytes may go south (BINARYMIME: by BDAT) */
    FLOW_ENDED,    /* the end of data went south */
    FLOW_CUT       /* nothing more goes south: doomed */
};

/* A reply kept for later: it stands for every answer this transaction still gives (X4, X5, F-3). */
struct doom {
    bool is_set;
    int code;
    char enhanced[12];
    char text[REPLY_TEXT_MAX / 4];
    const char *check; /* what decided, for the log */
    char reason[160];
};

/* What the policy found, as it stands in front of the message and in the log. The text is charged to the message pool. */
struct findings {
    char *text; /* trace fields, then the summary, then the reason */
    size_t fields_n, summary_n, reason_n;
    enum action action;
    const char *check; /* that had something to say against it; "" */
};

/* What a message says about its sender, once it is over. */
enum fate { FATE_OPEN, FATE_GOOD, FATE_BAD };

struct transaction {
    unsigned number;
    struct command mail; /* slices point into mail_line and mail.room */
    char mail_line[CONFIG_COMMAND_LINE_MAX];
    struct command rcpt; /* the recipient being judged or asked for */
    char rcpt_line[CONFIG_COMMAND_LINE_MAX];
    char first_rcpt[PATH_ROOM];
    size_t first_rcpt_n;
    uint64_t recipients; /* accepted by the back end */
    uint64_t refused_recipients;
    uint64_t unknown_recipients; /* of the refused ones: those that the back end does not know */
    bool has_others;             /* a recipient that is not the postmaster was accepted */
    bool is_slowed;              /* a recipient above a rate was refused */
    bool is_full;                /* a recipient above the limit was refused */
    bool is_divided;             /* a recipient of another route was refused */
    const struct route *route;
    bool mail_sent;     /* MAIL is under way or accepted at the back end */
    bool used_bdat;     /* the message comes by BDAT */
    uint64_t bdat_left; /* octets of the current chunk still to come */
    bool bdat_last;
    bool receiving; /* DATA or BDAT has begun: `message` and `decoder` are in use */
    bool received;  /* its end was read */
    bool headers_judged, headers_pending;
    bool accepted; /* the final verdict */
    struct data_decoder decoder;
    struct message_store message;
    enum flow flow;
    struct findings findings;
    struct scores scores; /* what checks hold against it, from MAIL on */
    bool to_quarantine;   /* all of it goes to the quarantine mailbox instead */
    bool is_redirected;   /* the back end has been told so */
    bool front_sent;      /* trace fields and header section went south */
    bool bdat_under_way;  /* a BDAT south waits for its answer */
    uint64_t wire_bytes;  /* octets read from the client for this message */
    uint64_t received_at; /* ms, of the end of data */
    uint64_t begun_at;    /* ms */
    struct doom doom;
    unsigned removed_results;
    enum fate fate;
    char standing_key[PATH_DOMAIN_MAX + 16]; /* who vouches for the message; session_memory.c */
    size_t standing_key_n;
    struct recorded *recorded;   /* recipients, while a ring is there; session_record.c */
    struct verdict rcpt_verdict; /* the policy's last refusal of a recipient; its text and reason are not kept */
};

/* Made when the first question is asked, so that sessions refused by local facts alone cost nothing; charged to the pool of
 * messages, which bounds all of them together. Before MAIL a session has a small one: there are many that never get further.
 */
struct facts_room {
    struct facts facts;
    size_t size; /* of all this */
    bool is_small;
    size_t handed_out;   /* of the facts: the driver has seen those before */
    uint64_t passes;     /* that asked something */
    unsigned early;      /* with answers still to come */
    uint64_t wait_since; /* ms; UINT64_MAX: nobody waits */
    uint64_t waited;     /* ms, in the waits before */
    bool looks_ahead;
    enum stage ahead;    /* the stage that was decided last: what comes in goes to its checks, to ask on */
    struct fact table[]; /* facts.max of them, then the memory for their texts */
};

struct session {
    struct session_env *env;
    struct session_peer peer;
    struct session_wants wants;
    enum wait wait;
    enum stage stage; /* of WAIT_VERDICT */
    enum pending pending;
    struct line_reader lines;
    struct transaction *tx;
    struct backend *backend; /* while a connection south exists or is being made */
    struct backend_client client_facts;
    const struct route *route; /* of the connection south */
    size_t server_index;       /* its place among the route's servers */
    /* Both ends of the last connection south, for the log: they outlast `backend`. NULL, port 0: there is none. */
    const struct endpoint *south_server;
    struct endpoint south_own;
    uint64_t south_since; /* ms, when what the back end is to answer was begun */
    bool waits;           /* for its answer to RCPT or to a message */
    uint64_t waits_since; /* ms */
    struct facts_room *facts;
    uint64_t wait_since;    /* ms, when `wait` for the client began; later where its time rested */
    uint64_t wait_deadline; /* ms, of `wait` */
    uint64_t paused_at;     /* ms; the client's time rests while we do not read; 0: it runs */
    uint64_t begun_at;
    char *helo; /* NULL before HELO/EHLO */
    size_t helo_n;
    bool is_esmtp;
    bool is_tls, is_authenticated;
    bool north_ended; /* FIN seen */
    bool north_gone;  /* cannot be written to any more */
    bool draining;
    uint64_t swallow_left; /* BDAT octets still to come that belong to no message; then `swallow` is answered */
    const struct command_error_reply *swallow;
    bool accept_unsent; /* the 250 of a message has not been written out yet (X1) */
    char *auth_line;    /* an AUTH command waiting for the back end */
    size_t auth_line_n;
    enum auth_names auth_names;
    uint64_t user;             /* keyed hash of who logs in, or has done so; 0: not known */
    uint64_t usage[RATES_MAX]; /* of the policy's envelope */
    struct tls_facts tls;
    unsigned offered;      /* enum backend_cap shown in the last EHLO */
    uint64_t size_offered; /* SIZE in it */
    unsigned errors, junk, transactions, accepted;
    bool is_greeting;                           /* the greeting's last line is still to come */
    const char *talked_early;                   /* what came before that line (protocol_guess); NULL: nothing */
    bool pipelined;                             /* out of place, and tolerated */
    uint64_t held_since, held_until, tarpit_ms; /* ms; held_until: UINT64_MAX while it is not held */
    char end_reason[100];                       /* a copy: what a stream says of its failure goes with the stream */
};

/* RFC 5321 4.5.3.2.6: the client waits 10 minutes for the answer to its end of data. An answer of the back end
 * that comes later than this would find it gone, and the message would come twice (Z-4).
 */
enum { ANSWER_WITHIN_MS = 590 * 1000 };

/* What may stay unwritten before no further command is read, and what a stream keeps between its two wires. */
enum { OUT_HIGH = 4096, STREAM_WINDOW = 65536 };

/* That a stream may have over the budget of messages: one input, so that it comes to its end, or the fields in its front. */
enum { RESERVE_CHUNKS = 4 };

/* ---- session_reply.c ---- */

/* "DDD E.E.E text" to the client; refusals (4xx, 5xx) carry the session id. */
void say(struct session *, int code, const char *enhanced, const char *text);
void say_reply(struct session *, const struct reply *);
/* A refused command: reply, log line, and a count against limits.errors. `check` names what decided. */
void refuse(struct session *, int code, const char *enhanced, const char *text, const char *check, struct str reason);
void refuse_reply(struct session *, const struct reply *, const char *check, struct str reason);
void refuse_verdict(struct session *, const struct verdict *);
/* Closes the session in order after what was said. */
void leave(struct session *, const char *reason);
/* 421 and close. */
void leave_with(struct session *, const char *enhanced, const char *text, const char *reason);
void log_refusal(struct session *, const struct reply *, const char *check, struct str reason);
void log_transaction(struct session *, const char *outcome, const struct reply *north, const struct reply *south);
void log_connection(struct session *);
/* What a check holds against a client that has no transaction yet. */
void log_noted(struct session *, const struct score *);
/* backend= and via=: the last connection south, also when it is gone. */
void log_south(struct session *);

/* One line of a reply, as it is, without its end. */
void say_line(struct session *, const char *line);

/* ---- session.c ---- */
/* Waits for the client: a command line, a line of AUTH, or message bytes. The time it has starts now. */
void await_client(struct session *, enum wait);

/* ---- session_door.c ---- */
enum { GREETING_MAX = 300 };
/* Of [relay] or [door] networks, authenticated, or a good sender by its record. */
bool is_known_good(const struct session *);
void greeting_begin(struct session *);
void greeting_over(struct session *);     /* the pause is */
void greeting_complete(struct session *); /* says the last line, if that is still to come */
size_t greeting_input(struct session *, struct str in);
/* limits.errors and the like, or what they are under stress. */
uint64_t errors_allowed(const struct session *);
uint64_t junk_allowed(const struct session *);
uint64_t command_patience(const struct session *);   /* ms */
uint64_t handshake_patience(const struct session *); /* ms */
/* After a refusal: perhaps its reply has to wait. */
void tarpit(struct session *);
void tarpit_release(struct session *);

/* ---- session_command.c ---- */
void session_greet(struct session *);
void helo_judged(struct session *, const struct verdict *);
void on_command_line(struct session *, struct str line, bool more_follows);
void count_junk(struct session *);
struct str session_id(const struct session *);

/* ---- session_envelope.c ---- */
void do_mail(struct session *, struct command *, struct str line);
void do_rcpt(struct session *, struct command *, struct str line);
void mail_judged(struct session *, const struct verdict *);
void rcpt_judged(struct session *, const struct verdict *);
/* Frees the transaction; at the back end it is reset or, in mid-body, cut. */
void transaction_drop(struct session *);
void transaction_end(struct session *); /* after its final answer: nothing is left to undo at the back end */
/* The last word of a transaction that will fail: kept, and given where an answer is due. The first one stands. */
void doom(struct session *, int code, const char *enhanced, const char *text, const char *check, const char *reason);
void doom_with(struct session *, const struct reply *);
void doom_verdict(struct session *, const struct verdict *);
struct reply doom_reply(const struct transaction *);
void rcpt_answered(struct session *, const struct reply *);
const struct route *route_for(const struct session *, const struct path *path);
void rcpt_continue(struct session *);             /* the back end is open: MAIL if due, and RCPT */
unsigned mail_parameters(const struct session *); /* of MAIL at the back end: enum mail_has */
void rcpt_send(struct session *);                 /* RCPT alone: MAIL is accepted or under way */
void rcpt_failed(struct session *);               /* the transaction is doomed; answer the pending RCPT */

/* ---- session_record.c ---- */
void record_recipient(struct session *, enum record_rcpt_fate); /* the one of the last RCPT */
void record_transaction(struct session *);
void record_forget(struct session *);

/* ---- session_south.c ---- */
void south_open(struct session *, const struct route *, size_t from);
void south_drop(struct session *, enum leg_end);
void south_quit(struct session *);
void on_south(struct session *, enum backend_event);
/* The back end was asked for something; it answered, or (`is_answer` false) did not. */
void south_asked(struct session *);
void south_took(struct session *, enum server_task, bool is_answer);
/* The client waits for an answer of the back end; whatever came of it, not any more. */
void south_wait(struct session *);
void south_wait_over(struct session *);
void south_short(struct session *); /* the connection failed for want of something of our own */

/* ---- session_data.c ---- */
void do_data(struct session *, struct command *, struct str line);
void do_bdat(struct session *, struct command *, struct str line);
size_t data_input(struct session *, struct str in);
bool data_may_read(const struct session *);
void data_judged(struct session *, const struct verdict *);
void headers_judged(struct session *, const struct verdict *);
void end_judged(struct session *, const struct verdict *);

/* ---- session_deliver.c ---- */
void stream_begin(struct session *);     /* the message outgrew `hold`, its headers are accepted */
void deliver(struct session *);          /* the verdict is accept and the end was received */
void deliver_continue(struct session *); /* 354, a BDAT answer, or room in `out` */
void delivered(struct session *, const struct reply *south);
void redirect_answered(struct session *); /* RSET, MAIL or RCPT of a redirect, by the back end */
void finish_refused(struct session *);    /* the end was received and the transaction is doomed */
bool stream_is_full(const struct session *);

/* ---- session_auth.c ---- */
void do_auth(struct session *, struct command *, struct str line);
void on_auth_line(struct session *, struct str line);
void auth_continue(struct session *);
void auth_answered(struct session *, const struct reply *);
void auth_failed(struct session *);
/* The mechanisms offered: configured, and offered by this back end. Returns the length. */
size_t auth_mechanisms(const struct session *, const struct backend_caps *, char *out, size_t size);

/* ---- session_facts.c ---- */
/* Made or enlarged as the stage needs it. NULL when there is no memory for questions: everything unknown reads TEMP then. */
struct facts *facts_room(struct session *, enum stage);
void facts_drop(struct session *);

/* ---- session_policy.c ---- */
/* Asks the policy, and goes on with its verdict in X_judged(), at once or when the answers it needs are there. */
void judge(struct session *, enum stage);
void policy_answered(struct session *);
void policy_expired(struct session *); /* what is still unknown reads TEMP now */
/* After each event: the time for answers runs while somebody waits for them. */
void policy_clock(struct session *);
/* ms; UINT64_MAX while nobody waits for a verdict. */
uint64_t policy_deadline(const struct session *);
/* The end of the message was read: what its body hashes to is known. */
void body_ended(struct session *);

/* One pass: what went in lasts as long as what came out. */
struct judgement {
    struct envelope envelope;
    struct message message;
    struct arena arena;
    struct outcome outcome;
};

/* ---- session_lists.c ---- */
/* The names of the lists that fail their self-test. */
void lists_answer_broken(struct session *, struct facts *, struct question);
/* ms that a wait for what is unknown may last before some list is given up; UINT64_MAX: no list is waited for. */
uint64_t lists_patience(const struct session *, const struct facts *);
/* What lists have not answered within `waited` reads TEMP. */
void lists_expire(struct session *, struct facts *, uint64_t waited);
void lists_note(struct session *, const struct outcome *); /* in the log, each day once */

/* ---- session_rates.c ---- */

/* Before the policy is asked AT_CONNECT, AT_MAIL or AT_RCPT: counts it, once. */
void rates_attempt(struct session *, enum stage);
/* A reply that a check or the back end caused; only 5xx count. */
void rates_refused(const struct session *, int code, const char *check);
void rates_recipient_unknown(const struct session *);
void rates_bytes(const struct session *); /* of the transaction, at its end */
/* AUTH was given; `initial` may be empty. */
void user_begin(struct session *, struct str mechanism, struct str initial);
void user_line(struct session *, struct str line); /* of its exchange */

/* ---- session_memory.c ---- */

/* Answers STANDING and SEEN. */
void memory_answer(const struct session *, struct facts *, const struct question *);
/* What a deciding pass AT_HEADERS or AT_END wants to be remembered. */
void memory_note(struct session *, enum stage, const struct outcome *);
bool is_check(const char *name); /* of the policy */
void memory_delivered(struct session *, const struct reply *south);
void memory_settle(struct session *); /* the transaction is over */
struct known_recipient memory_of_recipient(const struct session *, const struct route *, const struct path *rcpt);
void memory_recipient_answered(struct session *, const struct reply *);
/* Asks the door alone, while the greeting goes on. */
bool early_talker_is_refused(struct session *, struct judgement *);

/* ---- session_results.c ---- */

/* Keeps what a deciding pass AT_HEADERS or AT_END found. The message may be doomed afterwards: for want of memory, or
 * because something else went south in front of it already.
 */
void findings_note(struct session *, enum stage, const struct judgement *);
void findings_free(struct session *);
struct str findings_fields(const struct transaction *);
void findings_log(struct session *);

#endif
