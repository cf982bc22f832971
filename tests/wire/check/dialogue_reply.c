/* The server's replies (RFC 5321 4.2), and which of them answers what.
 *
 * Replies answer in order. One that began before what it answers had ended is early: the server is out of step, or
 * hostile. A 421 may come at any time (RFC 5321 3.8): when it is early it answers nothing, and is the farewell. */
#include <stdlib.h>
#include <string.h>

#include "dialogue_parts.h"

/* ORACLE F-7, F-8. They keep a reply below F-8's 64 KiB. */
enum { LINE_MAX_OCTETS = 512, LINES_MAX = 100 };

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The code of a line "DDD", "DDD text", "DDD-text"; 0: it is none. */
static int code_of(struct slice line)
{
    if (line.n < 3 || !is_digit(line.p[0]) || !is_digit(line.p[1]) || !is_digit(line.p[2]))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

bool looks_like_reply(struct slice s)
{
    struct slice head = slice_part(s, 0, 4);

    if (head.n > 3 && head.p[3] == '\r')
        head.n = 3;
    return head.n > 0 && head.p[0] >= '2' && head.p[0] <= '5' && code_of(head) != 0;
}

/* What makes the line one that two readers would read otherwise, or that nobody has to read (ORACLE F-8, A-3). */
static const char *fault_of(const struct reply *reply, struct slice line, int code)
{
    if (code == 0)
        return "a line that does not begin with a code";
    if (line.p[0] < '2' || line.p[0] > '5')
        return "a code of no known class";
    if (reply->lines > 1 && code != reply->code)
        return "codes that differ within a reply";
    if (line.n + 2 > LINE_MAX_OCTETS)
        return "a line longer than 512 octets";
    if (reply->lines > LINES_MAX)
        return "more than 100 lines";
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] == '\0' || line.p[i] == '\r' || line.p[i] == '\n')
            return "a bare CR, a bare LF or a NUL";
    return NULL;
}

static bool is_printable(struct slice line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ' || line.p[i] > '~')
            return false;
    return true;
}

/* RFC 2034 4: class "." 1*3DIGIT "." 1*3DIGIT behind the code and a blank. */
static void find_enhanced(struct reply *reply, struct slice line)
{
    struct slice text = slice_part(line, 4, line.n);
    size_t n = 0, digits = 0;
    unsigned dots = 0;

    for (; n < text.n && (is_digit(text.p[n]) || (text.p[n] == '.' && digits > 0 && dots < 2)); n++) {
        dots += text.p[n] == '.';
        digits = text.p[n] == '.' ? 0 : digits + 1;
        if (digits > 3)
            return;
    }
    if (dots != 2 || digits == 0 || (n < text.n && text.p[n] != ' ') || text.p[1] != '.')
        return;
    if (strchr("245", text.p[0]) != NULL && n < sizeof reply->enhanced)
        memcpy(reply->enhanced, text.p, n);
}

/* Keeps the first fault; with a grave one nobody may act on the reply. */
static void find_fault(struct reply *reply, const char *fault, bool is_grave, bool *is_broken)
{
    if (fault == NULL || *is_broken || (reply->malformed != NULL && !is_grave))
        return;
    reply->malformed = fault;
    *is_broken = is_grave;
}

/* Adds a line, without its CRLF. */
static void add_line(struct reply *reply, struct slice line, bool *is_broken)
{
    int code = code_of(line);

    reply->lines++;
    find_fault(reply, fault_of(reply, line, code), true, is_broken);
    if (!is_printable(line))
        find_fault(reply, "an octet that is not printable US-ASCII", false, is_broken);
    if (reply->lines > 1)
        return;
    reply->code = code;
    if (code != 0)
        find_enhanced(reply, line);
}

static bool is_last_line(struct slice line, const struct reply *reply)
{
    /* Behind "250-" the reply goes on, whatever the next line is; a line without a code alone ends itself. */
    return code_of(line) != 0 ? line.n == 3 || line.p[3] == ' ' : reply->lines == 1;
}

/* More may have come than the capture holds. */
static bool may_go_on(const struct reading *r)
{
    return r->stream[SERVER]->has_hole || !is_closed(r->d->connection);
}

/* Reads the next reply. NULL: nothing is left, or nothing that the capture holds to its end. */
static struct reply *read_reply(struct reading *r)
{
    struct slice all = buffer_slice(&r->stream[SERVER]->octets);
    size_t start = r->at[SERVER], at = start;
    bool is_broken = false, is_whole = false;
    struct reply *reply;

    if (start >= all.n)
        return NULL;
    reply = fresh(sizeof *reply);
    while (!is_whole && at < all.n) {
        size_t end = find_crlf(all, at);
        struct slice line = slice_part(all, at, end);

        add_line(reply, line, &is_broken);
        at = end < all.n ? end + 2 : all.n;
        is_whole = end < all.n && is_last_line(line, reply);
    }
    r->at[SERVER] = at;
    if (!is_whole && may_go_on(r)) {
        doubt(r->d, "the capture ends within a reply");
        free(reply);
        return NULL;
    }
    if (!is_whole)
        find_fault(reply, "it ends in the middle", true, &is_broken);
    if (is_broken)
        reply->code = 0;
    reply->octets = slice_part(all, start, at);
    reply->place = place_of(r, SERVER, start, at);
    return reply;
}

struct reply *peek_reply(struct reading *r)
{
    struct dialogue *d = r->d;

    if (r->next != NULL)
        return r->next;
    r->next = read_reply(r);
    if (r->next == NULL)
        return NULL;
    d->reply = array_grow(d->reply, d->reply_n, sizeof(struct reply *));
    d->reply[d->reply_n++] = r->next;
    return r->next;
}

const struct reply *take_greeting(struct reading *r)
{
    const struct reply *reply = peek_reply(r);

    r->next = NULL;
    r->is_over = reply != NULL && reply->code == 421;
    return reply;
}

const struct reply *take_answer(struct reading *r, const struct place *asked, bool is_whole)
{
    struct reply *reply = r->is_over ? NULL : peek_reply(r);
    bool is_early;

    if (reply == NULL) {
        r->is_lost = r->stream[SERVER]->has_hole;
        return NULL;
    }
    if (!is_whole && r->stream[CLIENT]->has_hole)
        return NULL;
    is_early =
        !is_whole || (reply->place.first_frame < asked->last_frame && reply->place.first_time < asked->last_time);
    /* both: a card with several queues may hand packets over in another order than their times' */
    r->next = NULL;
    if (reply->code == 421)
        r->is_over = true;
    if (reply->code == 421 && is_early) {
        r->d->farewell = reply;
        return NULL;
    }
    reply->is_early = is_early;
    return reply;
}

void take_rest(struct reading *r)
{
    struct dialogue *d = r->d;
    struct reply *reply;

    while ((reply = peek_reply(r)) != NULL) {
        r->next = NULL;
        if (r->stream[CLIENT]->has_hole || r->is_lost)
            continue; /* who knows what it answers */
        if (reply->code == 421 && !r->is_over) {
            d->farewell = reply;
            r->is_over = true;
            continue;
        }
        d->unasked = array_grow(d->unasked, d->unasked_n, sizeof(struct reply *));
        d->unasked[d->unasked_n++] = reply;
    }
}

bool reply_is(const struct reply *r, int class_digit)
{
    return r != NULL && r->code / 100 == class_digit;
}
