/* Paths of the envelope: Reverse-path and Forward-path of RFC 5321 4.1.2, with the UTF-8 of RFC 6531 3.3.
 *
 * This is the only parser of envelope addresses in Postern. What it accepts it also takes apart and prints
 * again, so the relay check, SPF, DMARC, the log and the back end all see one reading of the same bytes
 * (ATTACKS D and E). What has two readings is an error here.
 *
 *     char room[PATH_ROOM];
 *     struct path path;
 *     enum path_error e = path_parse(STR("<John.Doe@Example.org.>"), PATH_FORWARD, 0, room, &path);
 *     path.text  ->  John.Doe@Example.org
 */
#ifndef POLICY_PATH_H
#define POLICY_PATH_H

#include "str.h"

enum {
    PATH_LOCAL_MAX = 64,   /* octets, RFC 5321 4.5.3.1.1 */
    PATH_DOMAIN_MAX = 255, /* octets, RFC 5321 4.5.3.1.2 */
    /* the canonical text, and the unquoted local part when it differs */
    PATH_ROOM = 2 * PATH_LOCAL_MAX + 2 + 1 + PATH_DOMAIN_MAX + 8
};

enum path_kind {
    PATH_REVERSE, /* MAIL FROM: "<>" is the null reverse-path */
    PATH_FORWARD  /* RCPT TO: "<>" is an error, "<postmaster>" has no domain (RFC 5321 4.1.1.3),
                   and any other name without one is left to the relay check */
};

enum { PATH_UTF8 = 1 /* SMTPUTF8 was given on MAIL: non-ASCII allowed in local part and domain */ };

enum path_error {
    PATH_OK,
    PATH_SYNTAX,          /* not a path: brackets, blanks, comments, controls, a second @, bad UTF-8 ... */
    PATH_NO_DOMAIN,       /* a local part alone as a reverse-path */
    PATH_LOCAL_TOO_LONG,  /* over 64 octets as sent, quotes and backslashes included */
    PATH_DOMAIN_TOO_LONG, /* domain over 255 octets without its trailing dot, or an A-label over 63 */
    PATH_BAD_DOMAIN,      /* not a Domain or address-literal */
    PATH_NEEDS_UTF8,      /* non-ASCII without SMTPUTF8 (RFC 6531 3.5), and nothing else wrong: 553 5.6.7 */
    PATH_NULL             /* "<>" as a forward-path */
};

/* The parsed path. Slices point into the caller's `room`, empty ones too; all is zero after an error. */
struct path {
    struct str text;     /* canonical: local@domain without brackets; empty for the null reverse-path */
    struct str local;    /* as in text: quoted only where it needs to be (RFC 5321 4.1.2) */
    struct str domain;   /* as sent, no trailing dot; "[...]" for a literal; empty for <>, <postmaster> */
    struct str unquoted; /* the local part's real octets (quotes and backslashes removed) */
    bool is_null;
    bool is_literal; /* domain is an address-literal */
    bool had_route;  /* a source route was given and dropped (RFC 5321 4.1.1.3, appendix C) */
    bool is_utf8;    /* some octet of `text` is not ASCII */
};

/* Parses the path at the front of `in`, which starts at its "<". `room` holds PATH_ROOM bytes and must
 * outlive `path`. `flags` is 0 or PATH_UTF8. On success `*used` (if not NULL) is the number of bytes of `in`
 * consumed, up to and with ">"; what follows (a blank and parameters, the end, or garbage) is the caller's to
 * judge.
 */
enum path_error path_parse(struct str in, enum path_kind kind, unsigned flags, char room[PATH_ROOM], struct path *path,
                           size_t *used);

/* Whom everybody may write to, at whatever domain (RFC 5321 4.5.1). False for no path. */
bool path_is_postmaster(const struct path *);

/* A domain in the form names are compared in: lower case, no trailing dot, U-labels as A-labels (RFC 5890,
 * RFC 3492; no mapping is applied: a label that is not in its normal form simply equals nothing). Writes at
 * most PATH_DOMAIN_MAX bytes and a NUL to `out`; { NULL, 0 } when the name is no domain name: an empty label,
 * a label over 63, a name over 253 (the DNS ends there, RFC 5321 only at 255), a control character, not
 * UTF-8, or a character that no U-label holds. Other characters pass: whether it is a name for mail is
 * domain_is_valid's question.
 */
struct str domain_canonical(struct str domain, char out[PATH_DOMAIN_MAX + 1]);

/* Whether a canonical name is `domain` or lies below it. */
bool domain_is_within(struct str name, struct str domain);

/* Why a name is no Domain (RFC 5321 4.1.2; underscores tolerated as real names have them): PATH_OK,
 * PATH_BAD_DOMAIN, PATH_DOMAIN_TOO_LONG or PATH_NEEDS_UTF8. U-labels (RFC 6531 3.3) are taken with PATH_UTF8.
 * No trailing dot.
 */
enum path_error domain_check(struct str domain, unsigned flags);

/* True for a Domain in ASCII, no trailing dot. */
bool domain_is_valid(struct str domain);

/* True for an address-literal "[192.0.2.1]" or "[IPv6:...]" (RFC 5321 4.1.3). */
bool address_literal_is_valid(struct str literal);

#endif
