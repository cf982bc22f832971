/* Macros of SPF (RFC 7208 7): "%{ir}.%{v}._spf.%{d2}".
 *
 * Texts come from the DNS and values from the wire, so everything here is bounded: a target name is at most 253 octets,
 * and what would expand to more than SPF_EXPANSION_MAX before it is cut to that is no name at all.
 */
#ifndef POLICY_SPF_MACRO_H
#define POLICY_SPF_MACRO_H

#include "path.h"

enum { SPF_EXPANSION_MAX = 4096 /* octets of an expanded domain-spec before it is cut; our limit */ };

/* What the letters stand for: value[letter - 'a']. The values are the caller's; an empty one expands to nothing. */
struct spf_macros {
    struct str value['z' - 'a' + 1];
};

/* Where a macro-string stands: c, r and t are for explanations only, and so is the blank (RFC 7208 7.1, 7.2). */
enum spf_macro_place { SPF_IN_TERM, SPF_IN_EXPLANATION };

bool spf_macro_string_is_valid(struct str text, enum spf_macro_place);

/* domain-spec: a macro-string that ends in a macro or in "." toplabel (RFC 7208 7.1). */
bool spf_domain_spec_is_valid(struct str spec);

/* True when a valid text holds the macro `letter` (given in lower case, found in both). */
bool spf_macro_uses(struct str text, char letter);

/* A valid text with its macros replaced, in `out`; { NULL, 0 } when it is longer than `size`. */
struct str spf_macro_expand(struct str text, const struct spf_macros *, char *out, size_t size);

/* The name that a valid domain-spec stands for: expanded, cut from the left at a label while it is over 253 octets
 * (RFC 7208 7.3), canonical (domain_canonical; U-labels as A-labels, RFC 8616 4). { NULL, 0 } when that is no name for
 * the DNS: an empty label, a label over 63 octets, a control character (RFC 7208 4.8).
 */
struct str spf_target_name(struct str spec, const struct spf_macros *, char out[PATH_DOMAIN_MAX + 1]);

#endif
