/* One message judged outside a session, as a session would judge it: for `postern explain` and `postern replay`.
 *
 * The stages follow each other as in session_policy.c and session_data.c: connect, HELO, MAIL, each RCPT, DATA, the header
 * section, the end. The first refusal ends it; a refused recipient is left out, and when none remains that is the end. A message refused by its header is looked at to its end all
 * the same, when its body is there: what was presumed of it (dkim_result.is_presumed) is known then. The verdict stays.
 * No I/O: where answers are missing, the caller gets them.
 *
 *     judge_begin(&judge, &input)
 *     while (judge_run(&judge) == JUDGE_ASKS)
 *         answer facts in judge->facts that are FACT_UNKNOWN (facts_answer or judge_miss), or facts_close() them
 *     judge->verdict, judge->step[0..steps)
 *     judge_end(&judge)
 *
 * What `known` has an answer for is never asked nor computed. Beyond that signatures are verified, bodies are hashed and their
 * parts looked at here, databases are asked where a client is, and what a running proxy remembers (PAST of streamed bodies, SEEN and STANDING of senders) is nothing: a
 * greylist says here what it says to a stranger, unless there are answers known and this is not among them.
 */
#ifndef PROXY_JUDGE_H
#define PROXY_JUDGE_H

#include "../policy/body_hash.h"
#include "../policy/mime.h"
#include "config.h"
#include "geoip.h"
#include "message_rules.h"
#include "scores.h"

/* A message as judged. From text: judge_message_read. */
struct judge_message {
    struct str header; /* CRLF lines, without the empty line */
    struct str front;  /* the beginning of the message, one octet or none */
    struct str body;   /* behind the empty line */
    bool has_body;     /* false: only what the facts say about it is known */
    bool is_complete;  /* the header section ended before a fault did */
    enum message_rule fault;
    uint64_t size;
    char *memory;
};

/* Reads a message from a file's octets: a LF alone ends a line there, CRLF too. From then on the octets pass the decoder of the
 * session, with its faults. False without memory.
 */
bool judge_message_read(struct judge_message *, struct str octets, bool normalise);
void judge_message_free(struct judge_message *);

/* Answers from text (facts.h), with all the room the text can need. `*memory` is to be freed. 0, or the number of the line that
 * could not be read; false in `*fits` without memory.
 */
unsigned judge_known_read(struct facts *, struct str text, void **memory, bool *fits);

/* All of it outlives the judgement. */
struct judge_input {
    const struct config *config;
    struct endpoint client;
    struct str helo;
    bool is_esmtp, is_tls, is_authenticated, is_smtputf8;
    bool talked_early, pipelined;
    const struct path *mail_from;
    const struct path *rcpt;
    size_t rcpts;                        /* 0: one recipient that the relay rules let in */
    const struct judge_message *message; /* NULL: the envelope alone */
    const struct facts *known;           /* answers that are there already; may be NULL */
    struct geoip *geo;                   /* answers GEO; NULL: nobody does, where databases are configured */
    int64_t now;
};

/* A stage, decided; everything in the outcome lives as long as the judgement. */
struct judge_step {
    enum stage stage;
    const struct path *rcpt; /* AT_RCPT */
    enum message_rule rule;  /* what refused instead of the policy, or RULE_NONE */
    unsigned passes;
    char *scratch;
    struct outcome outcome;
};

enum judge_state { JUDGE_DONE, JUDGE_ASKS };

struct judge {
    struct judge_input in;
    struct policy policy; /* the config's; with a recipient of ours when none is given */
    struct facts facts;
    struct fact table[FACTS_ROOM_MAX];
    char memory[FACTS_ROOM_BYTES];
    bool is_missing[FACTS_ROOM_MAX]; /* nobody knew the answer: of facts.fact[i] */
    bool is_computed[FACTS_ROOM_MAX];
    struct judge_step **step; /* in order; the last one is the last that was judged */
    size_t steps;
    struct path assumed_rcpt;
    char assumed_room[PATH_ROOM];
    enum stage stage; /* next */
    size_t rcpt;      /* next */
    size_t accepted;  /* recipients */
    bool only_postmaster;
    struct scores scores; /* of the stages so far */
    bool is_deciding;     /* the last step is under way */
    bool is_settled;      /* refused by its header; AT_END follows for the report alone */
    bool is_done;
    bool out_of_memory; /* the verdict is a 451 then */
    struct verdict verdict;
    const struct judge_step *decider; /* NULL: nothing objected */
    unsigned signatures;              /* verified here */
    uint64_t asking_passes;
};

void judge_begin(struct judge *, const struct judge_input *);
enum judge_state judge_run(struct judge *);
void judge_end(struct judge *);

/* Answers fact `i` with TEMP and notes that nobody knew it. */
void judge_miss(struct judge *, size_t i);

/* What the methods found: as of the last stage. NULL before any. */
const struct authentication *judge_authentication(const struct judge *);

/* The findings worth telling: of each check those of its last stage, of RCPT for each recipient. Returns false at the end;
 * `*at` begins as 0.
 */
bool judge_next_finding(const struct judge *, size_t *at, const struct judge_step **, const struct finding **);

#endif
