/* JSON as it is written: objects and lists that know where their commas go, and text that is valid whatever octets it came from
 * (RFC 8259 7: controls escaped; what is no UTF-8 becomes U+FFFD).
 */
#ifndef PROXY_JSON_H
#define PROXY_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "../policy/str.h"

struct json {
    FILE *out;
    bool needs_comma;
};

/* `key` is NULL in lists and for the outermost value. */
void json_begin(struct json *, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json *, char bracket);
void json_str(struct json *, const char *key, struct str);
void json_text(struct json *, const char *key, const char *);
void json_num(struct json *, const char *key, uint64_t);

#endif
