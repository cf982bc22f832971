/* A set of domain names, with wildcards for subdomains; made once, then only read. */
#ifndef POLICY_DOMAIN_SET_H
#define POLICY_DOMAIN_SET_H

#include "str.h"

/* "example.org" holds itself; "*.example.org" holds every name below it, at any depth, but not itself. */
struct domain_entry {
    struct str name;  /* canonical (domain_canonical); without the "*." */
    bool is_wildcard;
};

/* `item` is sorted by domain_set_sort. The memory belongs to whoever built the set. */
struct domain_set {
    struct domain_entry *item;
    size_t n;
};

/* Sorts and drops repeated entries, in place. */
void domain_set_sort(struct domain_set *);

/* `name` must be canonical. O(labels * log n). */
bool domain_set_holds(const struct domain_set *, struct str name);

#endif
