/* An SPF record taken apart (RFC 7208 4.5, 4.6, 5, 6 and 12). A reader over the text: nothing is stored.
 *
 *     if (spf_record_parse(text, &record))          all of it is well-formed
 *         for (struct str rest = record.terms; spf_term_next(&rest, &term) == SPF_TERM; ) ...
 */
#ifndef POLICY_SPF_RECORD_H
#define POLICY_SPF_RECORD_H

#include "address.h"
#include "authentication.h"

enum spf_term_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_MODIFIER /* an unknown one: without effect (RFC 7208 6) */
};

struct spf_term {
    enum spf_term_kind kind;
    enum auth_result qualifier; /* of a mechanism: what a match means (RFC 7208 4.6.2) */
    struct str text;            /* as it stands in the record */
    struct str spec;            /* domain-spec, not expanded; empty: <domain> itself */
    struct address address;     /* ip4, ip6 */
    unsigned bits4, bits6;      /* prefix lengths: of a and mx both, of ip4 and ip6 the one that fits */
};

struct spf_record {
    struct str terms;         /* behind the version */
    struct str redirect, exp; /* domain-spec; empty when absent */
    bool has_all;
};

enum spf_reading { SPF_TERM, SPF_END, SPF_SYNTAX };

/* True for a record whose version is v=spf1 (RFC 7208 4.5): the rest may be anything. */
bool spf_record_is(struct str text);

/* Takes the next term off the front of `*rest`. After SPF_SYNTAX `term->text` is the term that is none. */
enum spf_reading spf_term_next(struct str *rest, struct spf_term *term);

/* Reads a whole record, so that an error anywhere in it is found first (RFC 7208 4.6). False on one; `*bad` is the
 * term.
 */
bool spf_record_parse(struct str text, struct spf_record *, struct str *bad);

#endif
