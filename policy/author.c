#include "author.h"

#include "header.h"
#include "mailbox.h"
#include "utf8.h"

/* ---- the header section ---- */

/* Fields that stand once (RFC 5322 3.6, RFC 2045) and that a reader is shown, answers to, or whose value decides what is shown:
 * of two, one program takes the first, another the last, and a signature may cover only one of them. Bcc, In-Reply-To,
 * References and MIME-Version are left out: they decide nothing, and programs in use do repeat them.
 */
static const struct {
    struct str name;
    const char *detail;
} singletons[] = {
    { STR_INIT("From"), "From" },
    { STR_INIT("Sender"), "Sender" },
    { STR_INIT("Reply-To"), "Reply-To" },
    { STR_INIT("To"), "To" },
    { STR_INIT("Cc"), "Cc" },
    { STR_INIT("Subject"), "Subject" },
    { STR_INIT("Date"), "Date" },
    { STR_INIT("Message-ID"), "Message-ID" },
    { STR_INIT("Content-Type"), "Content-Type" },
    { STR_INIT("Content-Transfer-Encoding"), "Content-Transfer-Encoding" },
};

enum { SINGLETONS = sizeof singletons / sizeof *singletons, FROM = 0 };

/* What one walk over the fields finds. */
struct fields {
    struct header_field from; /* the last one */
    unsigned froms;
    unsigned seen; /* a bit for each singleton */
    const char *repeated;
    bool has_other_lines;
};

static void count_field(struct fields *fields, const struct header_field *field)
{
    for (unsigned i = 0; i < SINGLETONS; i++) {
        if (!header_is(field, singletons[i].name))
            continue;
        if (fields->seen & 1u << i && fields->repeated == NULL)
            fields->repeated = singletons[i].detail;
        fields->seen |= 1u << i;
        if (i == FROM) {
            fields->from = *field;
            fields->froms++;
        }
    }
}

/* Every field, wherever a line that is none stands between them. */
static void walk(struct str header, struct fields *fields)
{
    struct header_field field;
    const char *behind = header.p; /* the field before */
    struct str rest = header;

    *fields = (struct fields){ .froms = 0 };
    while (header_next_anywhere(&rest, &field)) {
        if (field.raw.p != behind)
            fields->has_other_lines = true;
        count_field(fields, &field);
        behind = rest.p;
    }
    if (rest.p != behind)
        fields->has_other_lines = true;
}

/* Length of what ends a line in some program's eyes, at the front of `s`: what str.splitlines of Python breaks at, for one.
 * 0x85 is NEL in ISO 8859-1, and with 0xC2 before it in UTF-8; behind another octet of UTF-8 it is a part of a letter.
 */
static size_t foreign_line_end(struct str s, unsigned char before)
{
    unsigned char c = (unsigned char)s.p[0];

    if (c == 0x0B || c == 0x0C || (c >= 0x1C && c <= 0x1E) || (c == 0x85 && (before < 0x80 || before == 0xC2)))
        return 1;
    if (s.n >= 3 && c == 0xE2 && memcmp(s.p, "\xE2\x80\xA8", 2) == 0 && (s.p[2] == '\xA8' || s.p[2] == '\xA9'))
        return 3;
    return 0;
}

/* Length of what ends a line in nobody's eyes, at the front of `s`. */
static size_t plain_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && (unsigned char)s.p[n] >= 0x20 && (unsigned char)s.p[n] < 0x80)
        n++;
    return n;
}

static bool is_from(struct str s)
{
    struct str name = singletons[FROM].name;

    if (!str_istarts(s, name))
        return false;
    s = str_skip(s, name.n);
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    return s.n > 0 && s.p[0] == ':';
}

/* A CR, LF or NUL that is no part of a CRLF (the session lets one in with BINARYMIME only), or a From behind what ends a line for
 * others alone. Those are left alone elsewhere: legacy charsets use their octets in a Subject.
 */
static bool has_false_line_end(struct str s)
{
    unsigned char c, before = 0;

    for (; s.n > 0; before = c) {
        size_t n = plain_length(s);

        if (n > 0)
            before = (unsigned char)s.p[n - 1];
        s = str_skip(s, n);
        if (s.n == 0)
            break;
        c = (unsigned char)s.p[0];
        n = foreign_line_end(s, before);
        if (c == '\0' || c == '\n' || (c == '\r' && (s.n < 2 || s.p[1] != '\n')))
            return true;
        if (n > 0 && is_from(str_skip(s, n)))
            return true;
        s = str_skip(s, c == '\r' ? 2 : 1);
    }
    return false;
}

/* True when blanks stand between the name and the colon. Only of From is that refused: Python's email package, for one, skips
 * such a line or takes it for the end of the section. Of other fields it is obsolete and harmless: whoever ends the section
 * there sees fewer fields, and no From that we did not see.
 */
static bool has_blank_before_colon(const struct header_field *field)
{
    return field->name.n > 0 && field->name.p[field->name.n] != ':';
}

/* ---- From ---- */

/* A letter that a U-label does not hold in this form (RFC 5891 4.2.1, RFC 5892 2.2: a label is in Unicode's NFKC and lower
 * case). Who shows, compares or looks up such a name maps it first (UTS 46), and has then another name than the one we asked
 * the DNS for. domain_canonical() maps nothing. Here are the capitals and the marks that join the letter before them of the
 * scripts in which domains are registered; a rarer one still equals no other name.
 */
static bool is_unmapped(uint32_t c)
{
    static const struct {
        uint16_t first, last, step;
    } rows[] = {
        { 0x0100, 0x0136, 2 }, { 0x0139, 0x0147, 2 }, { 0x014A, 0x0176, 2 }, { 0x0178, 0x0179, 1 },
        { 0x017B, 0x017D, 2 }, { 0x0300, 0x036F, 1 }, { 0x0370, 0x0372, 2 }, { 0x0376, 0x0376, 1 },
        { 0x0386, 0x038F, 1 }, { 0x0391, 0x03AB, 1 }, { 0x0400, 0x042F, 1 }, { 0x0460, 0x0480, 2 },
        { 0x048A, 0x04BE, 2 }, { 0x04C0, 0x04CD, 1 }, { 0x04D0, 0x052E, 2 }, { 0x0531, 0x0556, 1 },
        { 0x10A0, 0x10C5, 1 }, { 0x1E00, 0x1E94, 2 }, { 0x1E9E, 0x1EFE, 2 }, { 0x1F08, 0x1F0F, 1 },
        { 0x1100, 0x11FF, 1 }, { 0x3099, 0x309A, 1 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (c >= rows[i].first && c <= rows[i].last && (c - rows[i].first) % rows[i].step == 0)
            return true;
    return false;
}

static bool is_mapped(struct str domain)
{
    while (domain.n > 0) {
        uint32_t c;
        size_t n = utf8_decode(domain, &c);

        if (n == 0 || is_unmapped(c))
            return false;
        domain = str_skip(domain, n);
    }
    return true;
}

/* RFC 9989 5.3.1: U-labels become A-labels. A dot at the end is no part of a domain in RFC 5322, but changes no name. */
static enum author_fault read_domain(struct str domain, char room[PATH_DOMAIN_MAX + 1], struct str *canonical)
{
    if (domain.n == 0)
        return AUTHOR_UNNAMED;
    if (domain.p[0] == '[')
        return AUTHOR_LITERAL;
    if (domain.p[domain.n - 1] == '.')
        domain.n--;
    if (domain.n > PATH_DOMAIN_MAX || domain_check(domain, PATH_UTF8) != PATH_OK || !is_mapped(domain))
        return AUTHOR_BAD_DOMAIN;
    *canonical = domain_canonical(domain, room);
    return canonical->n > 0 ? AUTHOR_CERTAIN : AUTHOR_BAD_DOMAIN;
}

/* One more mailbox. The first domain stays in `room`; each other one must be the same. */
static enum author_fault add_mailbox(struct author *author, const struct mailbox *mailbox,
                                     char room[PATH_DOMAIN_MAX + 1])
{
    char other_room[PATH_DOMAIN_MAX + 1];
    bool is_first = author->domain.n == 0;
    struct str domain;
    enum author_fault fault = read_domain(mailbox->domain, is_first ? room : other_room, &domain);

    if (fault != AUTHOR_CERTAIN)
        return fault;
    if (is_first)
        author->domain = domain;
    return str_eq(domain, author->domain) ? AUTHOR_CERTAIN : AUTHOR_SEVERAL;
}

/* The first fault in the list is told; one of syntax, wherever it is, before any other. */
static void read_from(struct author *author, struct str value, char room[PATH_DOMAIN_MAX + 1])
{
    struct mailbox_list list;
    struct mailbox mailbox;

    mailbox_list_init(&list, value);
    while (mailbox_next(&list, &mailbox)) {
        enum author_fault fault = add_mailbox(author, &mailbox, room);

        if (author->fault == AUTHOR_CERTAIN)
            author->fault = fault;
    }
    if (list.error != MAILBOX_OK) {
        author->fault = AUTHOR_MALFORMED;
        author->detail = mailbox_error_name(list.error);
    } else if (author->fault == AUTHOR_CERTAIN && author->domain.n == 0) {
        author->fault = AUTHOR_UNNAMED;
    }
    if (author->fault != AUTHOR_CERTAIN)
        author->domain = STR("");
}

/* ---- both ---- */

static void set_fault(struct author *author, enum author_fault fault, const char *detail)
{
    author->fault = fault;
    author->detail = detail;
}

void author_read(struct str header, char room[PATH_DOMAIN_MAX + 1], struct author *author)
{
    struct fields fields;

    *author = (struct author){ .fault = AUTHOR_CERTAIN, .domain = STR_INIT(""), .detail = "" };
    walk(header, &fields);
    if (fields.froms == 0)
        author->fault = AUTHOR_MISSING;
    else if (fields.froms == 1)
        read_from(author, fields.from.value, room);

    if (has_false_line_end(header))
        set_fault(author, AUTHOR_LINE_END, "");
    else if (fields.has_other_lines)
        set_fault(author, AUTHOR_NO_FIELD, "");
    else if (fields.repeated != NULL)
        set_fault(author, AUTHOR_REPEATED, fields.repeated);
    else if (fields.froms == 1 && has_blank_before_colon(&fields.from))
        set_fault(author, AUTHOR_BLANK, "");
}
