/* A header section. Whatever is in it: what is read as certain is one domain name, the same again in canonical form; no reader
 * of our own, more naive ones, finds another domain in the fields that look like From to it (ATTACKS E).
 */
#include "fuzz.h"
#include "policy/author.h"
#include "policy/header.h"
#include "policy/mailbox.h"
#include "policy/results.h"
#include "policy/utf8.h"

static void require_inside(struct str part, struct str whole)
{
    REQUIRE(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void read_list(struct str value)
{
    struct mailbox_list list;
    struct mailbox mailbox;
    size_t n = 0;

    mailbox_list_init(&list, value);
    for (; mailbox_next(&list, &mailbox); n++) {
        require_inside(mailbox.local, value);
        require_inside(mailbox.domain, value);
        REQUIRE(mailbox.domain.n == 0 || mailbox.local.n > 0);
        REQUIRE(utf8_is_valid(mailbox.local) && utf8_is_valid(mailbox.domain));
    }
    REQUIRE(n <= MAILBOX_TOKENS_MAX);
    REQUIRE(list.error != MAILBOX_OK || list.rest.n == 0);
    REQUIRE(!mailbox_next(&list, &mailbox));
}

/* ---- other readers ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Ends a line at every CR, LF, VT and FF; takes a blank for a continuation. Length of the line with its end. */
static size_t naive_line(struct str s)
{
    size_t n = 0;

    while (n < s.n && memchr("\r\n\v\f", s.p[n], 4) == NULL)
        n++;
    while (n < s.n && memchr("\r\n\v\f", s.p[n], 4) != NULL)
        n++;
    return n;
}

/* The value when the line is "From" *WSP ":" in any case. */
static bool naive_from(struct str line, struct str *value)
{
    struct str rest = line;

    if (!str_istarts(rest, STR("From")))
        return false;
    rest = str_skip(rest, 4);
    while (rest.n > 0 && is_blank(rest.p[0]))
        rest = str_skip(rest, 1);
    *value = rest.n > 0 ? str_skip(rest, 1) : rest;
    return rest.n > 0 && rest.p[0] == ':';
}

/* Every "@name" outside of quotes and parentheses, letters as they come, is the author's domain. This reader knows no more. */
static void require_domains(struct str value, struct str author)
{
    bool is_quoted = false;
    size_t depth = 0;

    for (size_t i = 0; i < value.n; i++) {
        char room[PATH_DOMAIN_MAX + 1], c = value.p[i];
        struct str name = str_skip(value, i + 1);
        size_t n = 0;

        if (c == '\\') {
            i++;
        } else if (c == '"' && depth == 0) {
            is_quoted = !is_quoted;
        } else if (!is_quoted && (c == '(' || (c == ')' && depth > 0))) {
            depth = c == '(' ? depth + 1 : depth - 1;
        } else if (c == '@' && !is_quoted) { /* in a comment, too */
            while (n < name.n && (unsigned char)name.p[n] > ' ' && memchr("<>()\",;:", name.p[n], 8) == NULL)
                n++;
            REQUIRE(str_eq(domain_canonical(str_from(name.p, n), room), author));
        }
    }
}

static void require_naive_readers_agree(struct str header, struct str author)
{
    size_t froms = 0;

    for (struct str rest = header; rest.n > 0;) {
        size_t n = naive_line(rest);
        struct str value;

        while (n < rest.n && is_blank(rest.p[n]))
            n += naive_line(str_skip(rest, n));
        if (naive_from(str_from(rest.p, n), &value)) {
            froms++;
            require_domains(value, author);
        }
        rest = str_skip(rest, n);
    }
    REQUIRE(froms == 1);
}

static void read_fields(struct str header)
{
    struct header_field field;

    while (header_next_anywhere(&header, &field)) {
        results_is_ours(&field, STR("gw.local.example"));
        if (header_is(&field, STR("From")))
            read_list(field.value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str text = { size > 0 ? (const char *)data : nothing, size };
    char room[PATH_DOMAIN_MAX + 1], again[PATH_DOMAIN_MAX + 1];
    struct author author;
    bool complete;

    read_list(text);
    text.n = header_length(text, &complete);
    author_read(text, room, &author);
    REQUIRE(author.fault < AUTHOR_FAULTS && author.detail != NULL);
    if (author.domain.n > 0) {
        REQUIRE(domain_is_valid(author.domain));
        REQUIRE(str_eq(domain_canonical(author.domain, again), author.domain));
    }
    if (author.fault == AUTHOR_CERTAIN) {
        REQUIRE(author.domain.n > 0);
        require_naive_readers_agree(text, author.domain);
    }
    read_fields(text);
    return 0;
}
