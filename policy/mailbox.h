/* Mailboxes of an address field: the mailbox-list, address-list and group of RFC 5322 3.4, with the groups RFC 6854 allows in
 * From and the UTF-8 of RFC 6532.
 *
 * A reader for judging, not for repairing. It takes what senders really write as long as all readers make the same of it
 * (dots in display names, odd dots in local parts, blanks in brackets, obsolete empty list members), and refuses what is read
 * as one address here and as another one there (ATTACKS E): routes, comments and blanks within an address, addresses in
 * comments, a quoted local part that looks like an address, RFC 2047 words where none may stand. It never changes a byte.
 *
 *     struct mailbox_list list;
 *     struct mailbox mailbox;
 *     for (mailbox_list_init(&list, field.value); mailbox_next(&list, &mailbox); )
 *         ... mailbox.domain ...
 *     if (list.error != MAILBOX_OK) -> the field as a whole is no address list
 *
 * One walk over the octets, no memory of its own. A domain is given as written: whether it is a name is domain_check()'s
 * question.
 */
#ifndef POLICY_MAILBOX_H
#define POLICY_MAILBOX_H

#include "str.h"

enum {
    /* Words, addresses and comments of one field; Postfix stops at as many (ATTACKS J07). */
    MAILBOX_TOKENS_MAX = 10240
};

enum mailbox_error {
    MAILBOX_OK,
    MAILBOX_CONTROL,    /* a control character, a bare CR or LF, or a character that ends a line for some */
    MAILBOX_NOT_UTF8,   /* what is not UTF-8 is in a charset nobody knows; in some of them "@" is half a letter */
    MAILBOX_BLANK_LINE, /* a folded line of blanks alone: the end of the header section for some */
    MAILBOX_HIDING,     /* an encoded word that holds NUL, CR or LF, or an address in brackets or a list */
    MAILBOX_COMMENT,    /* a comment without end, with an address in it, or within an address */
    MAILBOX_QUOTED,   /* a quoted string without end, one that is a local part and looks like an address, or one that is
                         * folded (or beside a folded comment) where an address stands in quotes */
    MAILBOX_WORD,     /* an encoded word within an address (RFC 2047 5) */
    MAILBOX_ROUTE,    /* <@a,@b:user@c> */
    MAILBOX_GROUP,    /* a group without end, in a group, or named like an address; an end without a group */
    MAILBOX_SYNTAX,   /* anything else */
    MAILBOX_TOO_LONG, /* more than MAILBOX_TOKENS_MAX */
    MAILBOX_ERRORS
};

struct mailbox {
    struct str local;  /* as written, quotes included; empty for <> and for a display name alone */
    struct str domain; /* as written; "[...]" for a literal; empty when there is none */
    struct str text;   /* all of it, display name and comments included */
};

struct mailbox_list {
    struct str rest;
    const char *start; /* of the member being read */
    size_t tokens;
    bool is_in_group;
    bool has_fold;           /* within a comment or quoted string */
    bool has_quoted_address; /* an "@" within a quoted string */
    bool is_named;           /* the mailbox before was a bare address, and one in brackets follows: <a@b> after a@b */
    enum mailbox_error error;
};

void mailbox_list_init(struct mailbox_list *, struct str value);

/* The next mailbox of the list or of a group in it. False at the end, and for good after an error.
 *
 * "a@b <a@b>", which is common and wrong, comes as two mailboxes: where their domains are one, it has one reading.
 */
bool mailbox_next(struct mailbox_list *, struct mailbox *);

/* The display name as written: what stands before the address, or, where nothing does, the comment behind it ("a@b (Name)"), as
 * mail programs show it. With quotes, folds and encoded words: display_name.h reads those.
 */
struct str mailbox_name(const struct mailbox *);

const char *mailbox_error_name(enum mailbox_error); /* for people: "a comment with an address in it" */

#endif
