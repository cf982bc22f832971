/* What the files of the dialogue reader share. dialogue.c leads; each other file knows one thing about SMTP. */
#ifndef WIRE_DIALOGUE_PARTS_H
#define WIRE_DIALOGUE_PARTS_H

#include "dialogue.h"

/* How far a stream's spans were looked at. */
struct progress {
    size_t span;               /* the next one */
    const struct span *latest; /* the one of the latest frame so far */
};

/* A dialogue being read. */
struct reading {
    struct dialogue *d;
    const struct stream *stream[2]; /* plain or decrypted */
    size_t at[2];                   /* how far each was read */
    struct progress progress[2];
    bool in_tls;
    bool is_over; /* 421 was said: nothing is answered any more */
    bool is_lost; /* what follows in the client's stream cannot be told: it hangs on a reply that the capture lacks */
    bool in_auth; /* 334 was said: the next line is AUTH's */
    struct reply *next; /* read, not yet taken */
    size_t open;        /* index of the transaction that is open, SIZE_MAX */
};

/* The place of the next CRLF at or after `from`; s.n for none. (slice_find() would do, but under the address
 * sanitizer memmem() looks at the whole rest each time.) */
size_t find_crlf(struct slice s, size_t from);
struct slice rest_of(const struct reading *r, enum side side);
/* Octets [from, to) of the stream that is being read; `to` must never go back. An empty part has the place of the
 * octet before. */
struct place place_of(struct reading *r, enum side side, size_t from, size_t to);
void place_join(struct place *to, const struct place *more);

/* The dialogue cannot be believed to its end; the first reason stays. */
void doubt(struct dialogue *d, const char *why);
/* Did somebody close it, as far as the capture goes? */
bool is_closed(const struct connection *c);

/* ---- dialogue_reply.c ---- */

/* The reply to what ended at `asked` (`is_whole`: it did end). NULL: none came, or it was a farewell. */
const struct reply *take_answer(struct reading *r, const struct place *asked, bool is_whole);
/* The reply that take_answer() will look at. */
struct reply *peek_reply(struct reading *r);
/* The greeting: answers nothing. */
const struct reply *take_greeting(struct reading *r);
/* All replies that are left answer nothing. */
void take_rest(struct reading *r);
/* Does the text begin as a reply does? */
bool looks_like_reply(struct slice s);

/* ---- dialogue_command.c ---- */

/* Reads the next line of the client as a command, without its reply. Returns its index. */
size_t take_command(struct reading *r);

/* ---- dialogue_data.c ---- */

/* Reads a message behind 354, with the reply to its end. `m` may be of no transaction: it is then freed by the
 * caller. */
void take_data(struct reading *r, struct message *m);
/* The size of a BDAT command; false: RFC 3030 2 has no such line, and no payload follows. */
bool bdat_read(const struct command *c, uint64_t *size, bool *is_last);
/* Takes the octets of a chunk into c->payload. True: all of them came. */
bool take_payload(struct reading *r, struct command *c, uint64_t size);
/* Puts a chunk that was taken to the message. */
void add_chunk(struct reading *r, struct message *m, const struct command *c, bool is_last, bool is_whole);
void message_free(struct message *m);

/* ---- dialogue_transaction.c ---- */

/* Keeps the account of what command `i` and its reply did to transactions. */
void account_command(struct reading *r, size_t i);
/* The message of the open transaction. NULL: none is open. */
struct message *open_message(struct reading *r);
/* The end of its message was answered, or never will be. */
void account_message(struct reading *r);
/* The connection is over. */
void account_close(struct reading *r, bool is_closed);
/* 32 hexadecimal digits that stand alone in `s`; "" for none. */
void find_token(char token[33], struct slice s);

#endif
