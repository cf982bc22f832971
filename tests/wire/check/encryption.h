/* What the judges of ORACLE 4 share: encryption.c (STARTTLS, T-1 to T-4), encryption_hello.c (T-5, T-6),
 * encryption_ends.c (T-7, T-8). */
#ifndef WIRE_ENCRYPTION_H
#define WIRE_ENCRYPTION_H

#include "invariant.h"

/* The octets of `side` from `at` on, in the stream as captured, for show_octets(): at most 200. */
void show_wire(struct violation *v, enum wire_name w, const struct dialogue *d, enum side side, size_t at,
               const char *note);
/* Shows where TLS began: the first record of either side. */
void show_hellos(struct violation *v, enum wire_name w, const struct dialogue *d);

void judge_hello(const struct trial *t, struct tally *tally);
void judge_resumption(const struct trial *t, struct tally *tally);
void judge_failures_and_ends(const struct trial *t, struct tally *tally);
void judge_tls_south(const struct trial *t, struct tally *tally);

#endif
