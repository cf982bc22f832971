/* What the authentication methods found out about one message: SPF, DKIM, ARC and DMARC.
 *
 * Part of struct outcome. Each method's check fills in its own part and reads those of the checks before it in the table
 * (policy.c); results.h prints them. Slices point into the envelope, the message, the facts or the pass's arena.
 */
#ifndef POLICY_AUTHENTICATION_H
#define POLICY_AUTHENTICATION_H

#include <stdint.h>

#include "str.h"

/* The result words of RFC 8601 2.7. */
enum auth_result {
    AUTH_ABSENT, /* the method was not run: nothing is said about it */
    AUTH_NONE,
    AUTH_PASS,
    AUTH_FAIL,
    AUTH_SOFTFAIL,
    AUTH_NEUTRAL,
    AUTH_POLICY, /* valid, but not good enough for us: a short key, too many signatures */
    AUTH_TEMPERROR,
    AUTH_PERMERROR,
    AUTH_PENDING, /* an unknown stands in the way; the pass is undecided */
    AUTH_RESULTS
};

const char *auth_result_name(enum auth_result); /* "softfail" */

enum { DKIM_SIGNATURES_MAX = 5, ARC_SETS_MAX = 50 /* RFC 8617 4.2.1 */ };

struct spf_result {
    enum auth_result result;
    const char *identity;   /* "mailfrom" or "helo" */
    struct str domain;      /* checked domain, canonical */
    struct str sender;      /* the whole identity, as %{s}: local@domain */
    struct str mechanism;   /* what decided, as it stands in the record: "include:_spf.example.org", "default" */
    struct str explanation; /* RFC 7208 6.2, printable ASCII; only when asked for */
    struct str reason;      /* for people: why an error is one */
    unsigned lookups;       /* terms that cause DNS queries, of 10 (RFC 7208 4.6.4) */
    unsigned void_lookups;  /* of 2 */
};

struct dkim_result {
    enum auth_result result;
    struct str domain;    /* d=, canonical; as written where it is no domain name */
    struct str selector;  /* s= */
    struct str algorithm; /* a= as written */
    struct str b;         /* first 8 octets of b= (RFC 6008) */
    struct str reason;    /* for people, also in Authentication-Results: "body hash did not verify" */
    unsigned key_bits;    /* of RSA */
    bool is_partial;      /* l= leaves a part of the body unsigned */
    bool is_testing;      /* t=y in the key (RFC 6376 3.6.1) */
    bool is_presumed;     /* the body has not been seen to its end: its hash is taken for right, or as PAST said */
    bool best_is_pass;    /* presumed: whatever PAST said, it will pass when the body's hash is right */
};

struct arc_result {
    enum auth_result result;         /* none, pass, fail, temperror (RFC 8617 5.2) */
    unsigned sets;                   /* highest instance */
    struct str sealer[ARC_SETS_MAX]; /* d= of instance 1.. in order */
    unsigned sealers;
    struct str reason;
    bool is_trusted;      /* pass, and the newest sealer is listed in [arc] trusted_sealers */
    bool said_dmarc_pass; /* trusted, and its ARC-Authentication-Results says dmarc=pass (RFC 8617 7.2.1) */
    struct str trusted;   /* that sealer; while the result is pending or in doubt, the listed one that it is about */
    bool is_presumed;     /* as for DKIM, of the newest message signature */
};

struct dmarc_result {
    enum auth_result result;  /* none, pass, fail, temperror, permerror */
    struct str domain;        /* author domain, canonical */
    struct str policy_domain; /* where the record was found */
    struct str organizational_domain;
    const char *policy;      /* that applies: "none", "quarantine", "reject"; "" without a record */
    const char *disposition; /* what was made of it here: the same words; "" when nothing was */
    const char *aligned;     /* "spf", "dkim", "spf+dkim", "" */
    const char *override; /* "" or why a fail was not acted on: "arc", "forwarder", "list", "monitor", "postmaster" */
    bool is_testing;      /* t=y (RFC 9989) */
    unsigned queries;     /* of the tree walk, of 8 */
    bool best_is_pass;    /* before the body has been seen to its end: whatever PAST said, it may still pass */
    struct str record;    /* as found */
    struct str reason;
};

struct authentication {
    bool is_exempt;    /* an authenticated client or one that may relay: nothing here was asked */
    struct str author; /* the one author domain (RFC 9989 3.2.2), canonical; empty when there is none */
    struct spf_result helo, mail_from;
    struct dkim_result dkim[DKIM_SIGNATURES_MAX];
    size_t dkim_n;
    size_t dkim_ignored; /* signatures beyond the limit */
    struct arc_result arc;
    struct dmarc_result dmarc;
};

#endif
