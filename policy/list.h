/* Lists of the DNS (RFC 5782): the names they are asked for, and what their answers mean. Which of them objects to whom is
 * check_lists.c; whether a list works is proxy/list_states.h.
 */
#ifndef POLICY_LIST_H
#define POLICY_LIST_H

#include "policy.h"

enum {
    LIST_NAME_MAX = 253,          /* octets of a name asked for */
    LIST_ZONE_MAX = 253 - 32 * 2, /* so that every address fits in front of it */
    LIST_CODE_TEXT_MAX = 32       /* longest text of a code with its NUL */
};

/* "127.0.0.2", "127.0.0.4-11", "127.0.2-20.3:4": one number or a range for each of the last three octets, and points (1 to
 * 100) in place of the list's. False when it is none of these, or holds an address that is never a listing.
 */
bool list_code_parse(struct str, struct list_code *);
size_t list_code_print(const struct list_code *, char out[LIST_CODE_TEXT_MAX]);

/* Whether an address is worth a question: not one of a network of one's own, nor of this machine. */
bool list_asks_about(const struct address *);

/* The name that stands for an address (RFC 5782 2.1, 2.4) or for a canonical domain (3) in the list: octets in lower case. Its
 * length, 0 when it would be longer than a name can be. IPv4-mapped addresses are written as IPv4 unless `as_v6`.
 */
size_t list_address_name(const struct address *, bool as_v6, struct str zone, char out[LIST_NAME_MAX + 1]);
size_t list_domain_name(struct str domain, struct str zone, char out[LIST_NAME_MAX + 1]);

/* What one address of an answer means. */
enum list_word {
    LIST_SAYS_NOTHING, /* a code that the operator did not name */
    LIST_SAYS_LISTED,
    LIST_SAYS_ALARM /* never a listing: 127.255.255.0/24 and 127.0.0.1 tell of refused questions, and what is not in
                     * 127.0.0.0/8 was put there by somebody else (RFC 5782 2.1, RFC 6471 3.4) */
};

/* What the proxy logs once in a while: units of an effect ASK_LIST, whose key is the list's name, or that, a blank and the address. */
enum list_trouble { LIST_ALARMED = 1, LIST_SILENT };

/* `*points` is set for LIST_SAYS_LISTED. */
enum list_word list_read(const struct list_policy *, struct str text, uint64_t *points);
bool list_is_alarm(struct str address);

/* ---- the self-test (RFC 5782 5) ---- */

/* Questions of a test, by number: entries that must be there, and entries that must not. */
enum { LIST_TESTS = 6 };

/* The name that test `i` asks for; 0 when this list has no such test. */
size_t list_test_name(const struct list_policy *, unsigned i, char out[LIST_NAME_MAX + 1]);
/* What it asks about, and whether that must be listed. */
const char *list_test_subject(unsigned i, bool *is_listed);

#endif
