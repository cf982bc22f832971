/* Received fields, read (RFC 5321 4.4): who gave the message to whom, and when. Every mail server writes them in its own way, so
 * this reader takes what it finds in the common forms, and says so when there are two answers.
 */
#ifndef PROXY_RECEIVED_H
#define PROXY_RECEIVED_H

#include <stdint.h>

#include "../policy/address.h"
#include "../policy/str.h"

/* Slices point into the field's value. Empty: not said. */
struct received {
    struct str from; /* the word after "from" */
    struct str helo; /* what the client called itself: "helo=" or "HELO" in a comment, else `from` */
    struct str by;
    struct address address; /* of the client */
    unsigned addresses;     /* different ones in the from part: 1 when `address` is certain */
    int64_t date;
    bool has_date;
};

/* `value` is what follows the colon, folds included. */
void received_read(struct str value, struct received *);

#endif
