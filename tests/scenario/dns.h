/* The DNS of a scenario: a zone that is answered from at once, and names that stay silent until a step says otherwise. */
#ifndef SCENARIO_DNS_H
#define SCENARIO_DNS_H

#include "../../policy/facts.h"
#include "bytes.h"

struct dns_record {
    struct question q; /* text owned */
    enum fact_state state;
    struct str *value; /* owned */
    size_t n;
    bool is_silent; /* the whole name; kind and values mean nothing */
};

struct dns {
    struct dns_record *record;
    size_t n;
    struct bytes asked; /* "TXT example.org", a line each */
};

void dns_free(struct dns *);
/* `NAME TYPE "value" "value"...`, or a state in place of the values: NODATA, NXDOMAIN, TEMP. False when it is neither. */
bool zone_read(struct str text, struct dns_record *);
void dns_record_free(struct dns_record *);
bool dns_add(struct dns *, struct str text);
void dns_silence(struct dns *, struct str name);
/* What the zone says to `q`: everything else does not exist. False when the name is silent. Notes that it was asked. */
bool dns_answer(struct dns *, struct question q, struct facts *);
bool dns_was_asked(const struct dns *, struct str line);

#endif
