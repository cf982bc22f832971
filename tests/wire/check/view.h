/* How the invariants of relaying and framing look at a trial: every connection south with the session it was made
 * for, what of it can be believed, and where an octet was.
 *
 * What was seen is there, whatever else is missing: a hole in a capture never excuses a breach in front of it. What
 * was not seen proves nothing: view_cloud() says why, and the caller reports it as unsure once for the connection.
 * TLS without keys is neither: what it hides is not looked at. */
#ifndef WIRE_VIEW_H
#define WIRE_VIEW_H

#include "invariant.h"

/* A connection to the back end. `session` is NULL for probes and for connections that no session explains. */
struct south_end {
    const struct dialogue *dialogue;
    const struct session *session;
    bool is_orphan; /* it has a MAIL that no session explains */
};

/* All of them, in an array to free(). */
size_t view_south(const struct trial *t, struct south_end **out);

/* TLS began and could not be read. */
bool view_is_hidden(const struct dialogue *d);
/* Why silence on this connection means nothing, NULL when it does; hidden TLS alone is no reason. */
const char *view_cloud(const struct dialogue *d);
/* The end of a judgement on one connection: unsure() when there is a cloud over it. */
void view_close(struct tally *t, const struct dialogue *d);

/* The client's own address: of the PROXY header in front when there is one, else of the connection. False: the header
 * says nothing about it. */
bool view_client(const struct dialogue *north, struct endpoint *client);

/* A PROXY header that came behind the greeting: gateways that expect one wait for it, so it was a command. */
bool view_is_disowned(const struct dialogue *north);

/* The place of `n` octets from `offset` of what lies at `whole` in the stream of `side`. */
struct place view_place(const struct dialogue *d, enum side side, const struct place *whole, size_t offset, size_t n);

/* A reply that refuses for reasons of its own: 5xx, or 4xx with x.7.z. Trouble (4.3, 4.4, 4.5) and 421 are none. */
bool view_is_verdict(const struct reply *r);

/* Does this code answer this verb (RFC 5321 4.3.2, 4954, 3030, 3207)? Every 4xx and 5xx answers any. */
bool view_answers(enum verb v, int code);

/* The value of a parameter of MAIL or RCPT ("SIZE", "BODY"); .p NULL when it is not there. */
struct slice view_parameter(const struct address *a, const char *keyword);

/* "user@example.org" in one form for all its spellings: no quotes, no route, no trailing dot, the domain in lower
 * case. */
void view_mailbox(const struct address *a, struct buffer *out);

/* A dialogue's message has the first octet of a bare CR, bare LF or NUL here; s.n when there is none. `is_ended`:
 * nothing follows, so that a CR at the end is bare. */
size_t view_bare(struct slice s, bool is_ended);

/* The length of the block of fields in front that a gateway may have put there: Received, Authentication-Results,
 * Received-SPF, ARC-*, X-Postern-* (ORACLE 0), with their folded lines. */
size_t view_block(struct slice body);

#endif
