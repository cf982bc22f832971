/* One message on its way through: the header section in one piece, the body in a chain, ready to go out.
 *
 * The header is kept as it came, because it is judged and because fields are left out of it. The body is kept in
 * the form in which it will leave (dots stuffed for DATA, plain for BDAT), so that sending it is moving chunks.
 * The body's hashes for DKIM are computed while it goes by, and its parts looked at. All of it counts against the pool of the worker.
 */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include "../policy/body_hash.h"
#include "../policy/mime.h"
#include "chain.h"

enum message_add { MESSAGE_OK, MESSAGE_NO_ROOM, MESSAGE_HEADER_TOO_LONG };

struct message_store {
    struct pool *pool;
    size_t header_max; /* octets */
    bool is_raw;       /* for BDAT: no stuffing */
    char *header;      /* the header section, then (until it is complete) whatever follows */
    size_t header_n;
    size_t header_size; /* allocated; charged twice until it leaves */
    bool header_left;   /* the memory kept for its copy was given back */
    size_t scanned;     /* start of the first line not judged yet */
    bool header_done;
    bool at_line_start; /* of the next body octet */
    struct chain body;
    size_t signatures;          /* whose body hashes are wanted */
    struct body_hashes *hashes; /* NULL: none is */
    struct mime_limits limits;  /* of the parts to be looked at */
    bool wants_parts;
    struct mime *mime;  /* NULL: they are not */
    size_t before_body; /* octets of the empty line that are still to come */
    uint64_t size;      /* octets of the message, unstuffed */
    char last[2];       /* its last two octets */
};

void message_init(struct message_store *, struct pool *, size_t header_max, bool is_raw);
void message_free(struct message_store *);

/* Before the first octet: the body will be hashed as it comes, as the first `signatures` of its header want it. */
void message_hash_body(struct message_store *, size_t signatures);
/* Before the first octet, too: its parts will be looked at. */
void message_look_at_parts(struct message_store *, const struct mime_limits *);
/* After message_finish: answers the BODY and PARTS questions, if it has_answers. */
bool message_has_answers(const struct message_store *);
void message_answer_body(const struct message_store *, struct facts *);

/* Adds body bytes as the decoder hands them out. `force`: even over the pool's budget (a stream's last reserve). */
enum message_add message_add(struct message_store *, struct str chunk, enum chain_put how);
/* The end of data: what was taken for a header that goes on is complete now. Ends the last line if the sender did
 * not (BDAT).
 */
enum message_add message_finish(struct message_store *);

/* The header is about to be copied to the back end's chain: the memory kept for that copy is given back to the
 * pool.
 */
void message_header_leaves(struct message_store *);

/* The header section, valid once header_done; the empty line after it belongs to the body. */
struct str message_header(const struct message_store *);

#endif
