/* The author domain: the one domain in From (RFC 9989 3.2.2, 5.3.1), or why there is none.
 *
 * This is the only reader of From in Postern. DMARC, alignment, Authentication-Results and the log use what it says, and what it
 * cannot say for certain is refused by check_author (ATTACKS E: a message that one program reads as from one domain and
 * another as from another). Two sorts of faults:
 *
 * - Of the header section: whatever lets readers disagree on where fields begin and end, and fields that RFC 5322 3.6 allows
 *   once but stand there twice. The author domain may be known all the same.
 * - Of From: more than one, none, no address list, or no single domain in it. Then the author domain is empty.
 *
 * Sender, Resent-From and Reply-To name no author (RFC 5322 3.6.2).
 *
 *     char room[PATH_DOMAIN_MAX + 1];
 *     struct author author;
 *     author_read(message->header, room, &author);
 *     author.domain, author.fault, author.detail
 */
#ifndef POLICY_AUTHOR_H
#define POLICY_AUTHOR_H

#include "path.h"
#include "str.h"

/* In order of precedence. */
enum author_fault {
    AUTHOR_CERTAIN, /* one author domain, and nothing else in the way */

    AUTHOR_LINE_END, /* a bare CR or LF, a NUL, or another character that ends a line for some, before "From:" */
    AUTHOR_NO_FIELD, /* a line that is no field: some end the header section there, some skip it */
    AUTHOR_REPEATED, /* a field that may stand once */
    AUTHOR_BLANK,    /* "From :" (obsolete, RFC 5322 4.5): no field to some */

    AUTHOR_MALFORMED,  /* From is no address list, or one with two readings */
    AUTHOR_BAD_DOMAIN, /* what follows "@" is no domain name */
    AUTHOR_MISSING,    /* no From */
    AUTHOR_UNNAMED,    /* From names nobody, or somebody without a domain: empty, "undisclosed:;", <>, <user> */
    AUTHOR_LITERAL,    /* user@[192.0.2.1]: no name that anybody could authenticate */
    AUTHOR_SEVERAL,    /* more than one domain */
    AUTHOR_FAULTS
};

struct author {
    enum author_fault fault;
    struct str domain;  /* canonical, in the caller's room; empty unless From says one */
    const char *detail; /* a constant: which field, or what is wrong with From; "" when the fault says it all */
};

void author_read(struct str header, char room[PATH_DOMAIN_MAX + 1], struct author *);

#endif
