/* Two steps: look_over() walks the value once for what must not be anywhere in it, so that mailbox_next() can take every CR,
 * LF and octet above 0x7F for what it seems to be.
 */
#include "mailbox.h"

#include "encoded_word.h"
#include "utf8.h"

static const char *const error_names[MAILBOX_ERRORS] = {
    [MAILBOX_OK] = "well-formed",
    [MAILBOX_CONTROL] = "a control character",
    [MAILBOX_NOT_UTF8] = "octets that are not UTF-8",
    [MAILBOX_BLANK_LINE] = "a folded line of blanks alone",
    [MAILBOX_HIDING] = "an encoded word that hides an address, a line end or a NUL",
    [MAILBOX_COMMENT] = "a comment that does not end, or is mixed with an address",
    [MAILBOX_QUOTED] = "a quoted string that does not end, or looks like an address",
    [MAILBOX_WORD] = "an encoded word in an address",
    [MAILBOX_ROUTE] = "a source route",
    [MAILBOX_GROUP] = "a group without an end or a proper beginning",
    [MAILBOX_SYNTAX] = "not an address list",
    [MAILBOX_TOO_LONG] = "too many words",
};

const char *mailbox_error_name(enum mailbox_error error)
{
    return (size_t)error < MAILBOX_ERRORS ? error_names[error] : "?";
}

static bool fail(struct mailbox_list *list, enum mailbox_error error)
{
    if (list->error == MAILBOX_OK)
        list->error = error;
    return false;
}

/* ---- what must not be anywhere ---- */

/* Length of the fold at the front: CRLF and a blank (RFC 5322 2.2.3); 0 when there is none. */
static size_t fold_length(struct str s)
{
    return s.n >= 3 && s.p[0] == '\r' && s.p[1] == '\n' && ascii_is_blank(s.p[2]) ? 3 : 0;
}

/* True when the line at the front, behind the blank that folds it, has nothing but blanks. */
static bool is_blank_line(struct str s)
{
    while (s.n > 0 && ascii_is_blank(s.p[0]))
        s = str_skip(s, 1);
    return s.n == 0 || s.p[0] == '\r';
}

/* C1 controls, and the separators that Unicode calls ends of lines. The rest of what hides may stand in a display name. */
static bool is_line_end(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9F) || c == 0x2028 || c == 0x2029;
}

static enum mailbox_error look_over(struct str s)
{
    while (s.n > 0) {
        uint32_t c;
        size_t n = fold_length(s);

        if (n > 0 && is_blank_line(str_skip(s, n)))
            return MAILBOX_BLANK_LINE;
        if (n == 0) {
            n = utf8_decode(s, &c);
            if (n == 0)
                return MAILBOX_NOT_UTF8;
            if ((c < 0x20 && c != '\t') || c == 0x7F || is_line_end(c))
                return MAILBOX_CONTROL;
        }
        s = str_skip(s, n);
    }
    return MAILBOX_OK;
}

void mailbox_list_init(struct mailbox_list *list, struct str value)
{
    *list = (struct mailbox_list){ .rest = value, .error = look_over(value) };
    if (list->error == MAILBOX_OK && encoded_words_mislead(value))
        list->error = MAILBOX_HIDING;
}

/* ---- tokens ---- */

static bool at(const struct mailbox_list *list, char c)
{
    return list->rest.n > 0 && list->rest.p[0] == c;
}

static void skip(struct mailbox_list *list, size_t n)
{
    list->rest = str_skip(list->rest, n);
}

static bool take(struct mailbox_list *list, char c)
{
    if (!at(list, c))
        return false;
    skip(list, 1);
    return true;
}

static bool count_token(struct mailbox_list *list)
{
    return ++list->tokens <= MAILBOX_TOKENS_MAX || fail(list, MAILBOX_TOO_LONG);
}

/* look_over() has left no CR or LF that is not part of a fold. */
static void skip_blanks(struct mailbox_list *list)
{
    while (at(list, ' ') || at(list, '\t') || at(list, '\r') || at(list, '\n'))
        skip(list, 1);
}

/* Notes what a comment or quoted string is made of. Python's older reader, for one, ends both at a CR: behind a fold it takes the
 * inside of quotes for the outside, and finds the addresses there.
 */
static bool note_text(struct mailbox_list *list, struct str text)
{
    list->has_fold = list->has_fold || str_find(text, '\r') < text.n;
    list->has_quoted_address = list->has_quoted_address || str_find(text, '@') < text.n;
    return !(list->has_fold && list->has_quoted_address) || fail(list, MAILBOX_QUOTED);
}

/* comment, RFC 5322 3.2.2. One that holds an address is an address to whoever does not know comments. */
static bool skip_comment(struct mailbox_list *list)
{
    struct str start = list->rest;
    size_t depth = 0;

    if (!count_token(list))
        return false;
    while (list->rest.n > 0) {
        char c = list->rest.p[0];

        skip(list, 1);
        if (c == '@' || c == '<' || c == '>')
            return fail(list, MAILBOX_COMMENT);
        if (c == '\\' && (list->rest.n == 0 || at(list, '@') || at(list, '<') || at(list, '>')))
            return fail(list, MAILBOX_COMMENT);
        if (c == '\\')
            skip(list, 1);
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            return note_text(list, str_from(start.p, start.n - list->rest.n));
    }
    return fail(list, MAILBOX_COMMENT);
}

static bool skip_cfws(struct mailbox_list *list)
{
    skip_blanks(list);
    while (at(list, '(')) {
        if (!skip_comment(list))
            return false;
        skip_blanks(list);
    }
    return true;
}

/* quoted-string, RFC 5322 3.2.4; `text` is it with its quotes. */
static bool take_quoted(struct mailbox_list *list, struct str *text)
{
    struct str start = list->rest;

    if (!count_token(list))
        return false;
    skip(list, 1);
    while (list->rest.n > 0) {
        char c = list->rest.p[0];

        skip(list, 1);
        if (c == '"') {
            *text = str_from(start.p, start.n - list->rest.n);
            return note_text(list, *text);
        }
        if (c == '\\' && list->rest.n > 0)
            skip(list, 1);
    }
    return fail(list, MAILBOX_QUOTED);
}

/* Anything that a word is made of: what is left are blanks and the specials of RFC 5322 3.2.3. The dot is one of them, and
 * stands in local parts, domains and (obs-phrase) display names.
 */
static bool is_word_octet(char c)
{
    return (unsigned char)c > ' ' && memchr("()<>[]:;@\\,\"", c, 12) == NULL;
}

/* Words without quotes: dot-atom, more or less. Empty when none stands here. */
static struct str take_plain(struct mailbox_list *list)
{
    struct str start = list->rest;

    while (list->rest.n > 0 && is_word_octet(list->rest.p[0]))
        skip(list, 1);
    return str_from(start.p, start.n - list->rest.n);
}

static bool holds_hidden(struct str s)
{
    while (s.n > 0) {
        uint32_t c;
        size_t n = utf8_decode(s, &c);

        if (n == 0 || utf8_is_hidden(c))
            return true;
        s = str_skip(s, n);
    }
    return false;
}

/* ---- addr-spec ---- */

/* Fullwidth and small forms of the characters an address is cut at: "@", "<", ">", the comma and the dots. */
static bool holds_lookalike(struct str s)
{
    static const uint32_t lookalikes[] = { 0xFF20, 0xFE6B, 0xFF1C, 0xFF1E, 0xFE64, 0xFE65, 0xFF0C,
                                           0xFE50, 0xFF0E, 0xFE52, 0x3002, 0xFF61, 0x2024 };

    while (s.n > 0) {
        uint32_t c;
        size_t n = utf8_decode(s, &c);

        for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++)
            if (c == lookalikes[i])
                return true;
        s = str_skip(s, n > 0 ? n : 1);
    }
    return false;
}

/* A quoted local part may hold anything (RFC 5322 3.4.1). What would cut an address is read as its end by whoever looks for
 * "@" or ">" only, and blanks from a fold are counted differently.
 */
static bool quoted_local_is_plain(struct str quoted)
{
    static const char cuts[] = "()<>[]:;@\\,\r\n\t";

    for (size_t i = 1; i + 1 < quoted.n; i++)
        if (quoted.p[i] == '"' || memchr(cuts, quoted.p[i], sizeof cuts - 1) != NULL)
            return false;
    return quoted.n > 2;
}

static bool check_local(struct mailbox_list *list, struct str local)
{
    if (encoded_word_is_in(local))
        return fail(list, MAILBOX_WORD);
    if (local.p[0] == '"' && !quoted_local_is_plain(local))
        return fail(list, MAILBOX_QUOTED);
    return (!holds_hidden(local) && !holds_lookalike(local)) || fail(list, MAILBOX_SYNTAX);
}

/* domain-literal, RFC 5322 3.4.1, without blanks and quoted pairs. */
static bool take_literal(struct mailbox_list *list, struct str *literal)
{
    struct str start = list->rest;

    skip(list, 1);
    while (list->rest.n > 0 && (is_word_octet(list->rest.p[0]) || at(list, ':')))
        skip(list, 1);
    if (!take(list, ']'))
        return fail(list, MAILBOX_SYNTAX);
    *literal = str_from(start.p, start.n - list->rest.n);
    return true;
}

static bool take_domain(struct mailbox_list *list, struct str *domain)
{
    if (at(list, '['))
        return take_literal(list, domain);
    *domain = take_plain(list);
    if (domain->n == 0)
        return fail(list, at(list, '(') ? MAILBOX_COMMENT : MAILBOX_SYNTAX);
    return (!encoded_word_is_in(*domain)) || fail(list, MAILBOX_WORD);
}

/* The local part at the front; empty when none stands here. */
static bool take_local(struct mailbox_list *list, struct str *local)
{
    *local = take_plain(list);
    return local->n > 0 || !at(list, '"') || take_quoted(list, local);
}

/* The rest of an address whose local part has been read: "@" and what follows it. */
static bool take_at_domain(struct mailbox_list *list, struct str local, struct mailbox *mailbox)
{
    skip(list, 1);
    mailbox->local = local;
    return local.n > 0 ? check_local(list, local) && take_domain(list, &mailbox->domain) : fail(list, MAILBOX_SYNTAX);
}

/* The end of a member: nothing but CFWS up to the next separator. */
static bool end_member(struct mailbox_list *list)
{
    return skip_cfws(list) && (list->rest.n == 0 || at(list, ',') || at(list, ';') || fail(list, MAILBOX_SYNTAX));
}

/* angle-addr: blanks within the brackets are tolerated (CFWS, 3.4), comments are not. <> and <user> have no domain. */
static bool take_angle(struct mailbox_list *list, struct mailbox *mailbox)
{
    struct str local;

    skip(list, 1);
    skip_blanks(list);
    if (!count_token(list))
        return false;
    if (at(list, '@'))
        return fail(list, MAILBOX_ROUTE);
    if (!take_local(list, &local))
        return false;
    if (at(list, '@')) {
        if (!take_at_domain(list, local, mailbox))
            return false;
    } else {
        mailbox->local = local;
    }
    skip_blanks(list);
    if (!take(list, '>'))
        return fail(list, at(list, '(') ? MAILBOX_COMMENT : MAILBOX_SYNTAX);
    list->is_named = false;
    return end_member(list);
}

/* ---- members ---- */

/* "a@b" at the front, as a whole member or (is_named) where a display name should be. Not when no "@" follows the first word:
 * the list is then where it was.
 */
static bool take_bare(struct mailbox_list *list, struct mailbox *mailbox)
{
    struct mailbox_list before = *list;
    struct str local;

    if (!take_local(list, &local))
        return false;
    if (local.n == 0 || !at(list, '@')) {
        *list = before;
        return false;
    }
    if (!count_token(list) || !take_at_domain(list, local, mailbox) || !skip_cfws(list))
        return false;
    list->is_named = at(list, '<');
    return list->is_named || end_member(list);
}

/* The words of a display name (phrase and obs-phrase, RFC 5322 4.1). Brackets are no part of it, but senders write "[List] Name"
 * and no address begins there. Some readers, Python's among them, end the member at the bracket and take what stood before for
 * an address, less its quotes and decoded: so plain words alone may stand beside them.
 */
static bool skip_phrase(struct mailbox_list *list)
{
    bool has_bracket = false, has_more = false;
    struct str word;

    while (skip_cfws(list)) {
        if (at(list, '"')) {
            has_more = true;
            if (!take_quoted(list, &word))
                return false;
        } else if (take(list, '[') || take(list, ']')) {
            has_bracket = true;
        } else {
            word = take_plain(list);
            if (word.n == 0)
                return !(has_bracket && has_more) || fail(list, MAILBOX_SYNTAX);
            has_more = has_more || str_find(word, '?') < word.n; /* an encoded word, or the beginning of one */
            if (!count_token(list))
                return false;
        }
    }
    return false;
}

enum member { MEMBER_MAILBOX, MEMBER_GROUP, MEMBER_BAD };

/* A group may be named anything (RFC 5322 3.4), but one that bears an address for a name is not what it is for. */
static enum member begin_group(struct mailbox_list *list, struct str name)
{
    if (list->is_in_group || str_find(name, '@') < name.n) {
        fail(list, MAILBOX_GROUP);
        return MEMBER_BAD;
    }
    skip(list, 1);
    list->is_in_group = true;
    return MEMBER_GROUP;
}

/* What stands before the next separator; a group is only begun. */
static enum member take_member(struct mailbox_list *list, struct mailbox *mailbox)
{
    struct str start = list->rest;
    bool ok;

    if (at(list, '<'))
        return take_angle(list, mailbox) ? MEMBER_MAILBOX : MEMBER_BAD;
    if (take_bare(list, mailbox))
        return MEMBER_MAILBOX;
    if (list->error != MAILBOX_OK || !skip_phrase(list))
        return MEMBER_BAD;
    if (at(list, ':') && list->rest.n < start.n)
        return begin_group(list, str_from(start.p, start.n - list->rest.n));
    ok = at(list, '<') ? take_angle(list, mailbox) : list->rest.n < start.n && end_member(list);
    if (!ok)
        fail(list, MAILBOX_SYNTAX);
    return ok ? MEMBER_MAILBOX : MEMBER_BAD;
}

/* Goes to the next member: over CFWS, commas (obs-mbox-list allows empty members), and the end of a group. */
static bool find_member(struct mailbox_list *list)
{
    while (skip_cfws(list)) {
        if (list->rest.n == 0)
            return list->is_in_group && fail(list, MAILBOX_GROUP);
        if (at(list, ';')) {
            if (!list->is_in_group)
                return fail(list, MAILBOX_GROUP);
            skip(list, 1);
            list->is_in_group = false;
            if (!skip_cfws(list))
                return false;
            if (list->rest.n > 0 && !at(list, ','))
                return fail(list, MAILBOX_GROUP);
        } else if (!take(list, ',')) {
            return true;
        }
        if (!count_token(list))
            return false;
    }
    return false;
}

bool mailbox_next(struct mailbox_list *list, struct mailbox *mailbox)
{
    enum member member = MEMBER_GROUP;

    *mailbox = (struct mailbox){ .local = STR_INIT(""), .domain = STR_INIT("") };
    if (list->error != MAILBOX_OK)
        return false;
    if (list->is_named)
        member = take_angle(list, mailbox) ? MEMBER_MAILBOX : MEMBER_BAD;
    while (member == MEMBER_GROUP && find_member(list)) {
        list->start = list->rest.p;
        member = take_member(list, mailbox);
    }
    if (member != MEMBER_MAILBOX)
        return false;
    mailbox->text = str_from(list->start, (size_t)(list->rest.p - list->start));
    return true;
}

/* ---- display names ---- */

static bool is_beside(char c, char bracket)
{
    return c == bracket || ascii_is_blank(c) || c == '\r' || c == '\n';
}

struct str mailbox_name(const struct mailbox *mailbox)
{
    struct str text = mailbox->text, before = text;

    if (mailbox->domain.n == 0)
        return text;
    before.n = (size_t)(mailbox->local.p - text.p);
    while (before.n > 0 && is_beside(before.p[before.n - 1], '<'))
        before.n--;
    if (before.n > 0)
        return before;
    text = str_skip(text, (size_t)(mailbox->domain.p + mailbox->domain.n - text.p));
    while (text.n > 0 && is_beside(text.p[0], '>'))
        text = str_skip(text, 1);
    return text;
}
