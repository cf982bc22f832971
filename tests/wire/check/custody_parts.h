/* What the invariants of custody share: the pairs they look at, and how their stories are told. */
#ifndef WIRE_CUSTODY_PARTS_H
#define WIRE_CUSTODY_PARTS_H

#include "invariant.h"

/* Judges one pair of transactions: held() or violated(), or nothing when it does not show what is asked. Returns why
 * it cannot be judged, NULL otherwise. */
typedef const char *pair_judge(const struct trial *t, const struct pair *p, struct tally *tally);

/* Asks about every pair. What is in doubt is reported once for each session; TLS without keys is not looked at. */
void each_pair(const struct trial *t, struct tally *tally, pair_judge *judge);

/* Why nothing can be concluded from what the south wire does not show of this transaction; NULL: it can. */
const char *south_doubt(const struct trial *t, const struct pair *p);

/* The ends of data and their answers on both wires, as far as they are there. */
void show_ending(struct violation *v, const struct pair *p);

const struct reply *reply_north(const struct pair *p); /* to the end of data; NULL none */
bool is_accepted(const struct transaction *x);         /* the end of data was answered 2xx; `x` may be NULL */

/* The end of its data has come. */
bool is_ended(const struct transaction *x);
/* A transaction south that nothing north explains. */
void show_invented(struct violation *v, const struct dialogue *d, const struct transaction *x);

/* In custody_message.c, custody_envelope.c and custody_repeats.c. */
void judge_message(const struct trial *t, struct tally *tally);
void judge_recipients(const struct trial *t, struct tally *tally);
void judge_mail(const struct trial *t, struct tally *tally);
void judge_repeats(const struct trial *t, struct tally *tally);

#endif
