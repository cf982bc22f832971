/* From what was recorded to what is to be played: items, cuts, and other names in some command lines. See replay.h. */
#include "replay.h"

#include "proxy_header.h"

#include <stdlib.h>
#include <string.h>

/* --- Replies --- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The code of a reply's line; 0 when it has none. */
static int line_code(struct slice line)
{
    if (line.n < 3 || !is_digit(line.p[0]) || !is_digit(line.p[1]) || !is_digit(line.p[2]))
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

int reply_next(struct slice s, size_t *at)
{
    for (size_t from = *at;;) {
        size_t lf = slice_find(s, SLICE("\n"), from);
        if (lf == s.n)
            return -1;
        struct slice line = slice_part(s, from, lf);
        from = lf + 1;
        if (line_code(line) && line.n > 3 && line.p[3] == '-')
            continue;
        *at = from;
        return line_code(line);
    }
}

/* Recorded replies: their codes, and the frames with which they could be read (a segment that came late holds up
 * what is behind it), so that the frames ascend. */
struct replies {
    struct recorded {
        int code;
        uint32_t frame;
    } * reply;
    size_t n;
};

static void read_replies(struct replies *r, const struct stream *server)
{
    size_t at = 0, span = 0;
    uint32_t frame = 0;
    int code;

    while ((code = reply_next(buffer_slice(&server->octets), &at)) >= 0) {
        for (; span < server->span_n && server->span[span].at < at; span++)
            if (server->span[span].frame > frame)
                frame = server->span[span].frame;
        r->reply = array_grow(r->reply, r->n, sizeof *r->reply);
        r->reply[r->n++] = (struct recorded){ code, frame };
    }
}

/* --- Items --- */

static bool has_verb(struct slice line, const char *verb)
{
    struct slice v = slice_of(verb);
    return line.n >= v.n && slice_equal_nocase(slice_part(line, 0, v.n), v) &&
           (line.n == v.n || line.p[v.n] == ' ' || line.p[v.n] == '\r' || line.p[v.n] == '\n');
}

/* "BDAT 123 [LAST]": false when it has no number, which then has no octets behind it either. */
static bool read_bdat(struct slice line, size_t *size, bool *is_last)
{
    size_t i = 5;

    if (!has_verb(line, "BDAT") || i >= line.n || !is_digit(line.p[i]))
        return false;
    for (*size = 0; i < line.n && is_digit(line.p[i]); i++)
        if (__builtin_mul_overflow(*size, 10, size) || __builtin_add_overflow(*size, line.p[i] - '0', size))
            *size = SIZE_MAX / 16; /* more than any stream has */
    while (i < line.n && line.p[i] == ' ')
        i++;
    *is_last = has_verb(slice_part(line, i, line.n), "LAST");
    return true;
}

/* A message behind 354: up to the first line that is a dot. */
static void read_body(struct item *item, struct slice client)
{
    if (slice_equal(slice_part(client, item->at, item->at + 3), SLICE(".\r\n"))) {
        item->end = item->at + 3;
        item->is_complete = true;
    } else {
        size_t dot = slice_find(client, SLICE("\r\n.\r\n"), item->at);
        item->is_complete = dot < client.n;
        item->end = item->is_complete ? dot + 5 : client.n;
    }
    item->ends_message = item->is_complete;
}

static void read_line(struct item *item, struct slice client)
{
    size_t lf = slice_find(client, SLICE("\n"), item->at), size;

    item->is_complete = lf < client.n;
    item->end = item->payload = item->is_complete ? lf + 1 : client.n;
    if (item->kind != ITEM_COMMAND || !item->is_complete)
        return;
    bool is_last;
    if (!read_bdat(slice_part(client, item->at, item->end), &size, &is_last))
        return;
    bool has_octets = size <= client.n - item->end;
    if (!has_octets && item->recorded / 100 == 5)
        return; /* a number too large, which was refused at once: commands follow */
    item->kind = ITEM_CHUNK;
    item->is_complete = has_octets;
    item->end = has_octets ? item->end + size : client.n;
    item->ends_message = has_octets && is_last;
}

/* What comes behind an item, as its recorded reply decides. */
static enum item_kind kind_behind(const struct item *item, struct slice client)
{
    struct slice line = slice_part(client, item->at, item->end);

    if (item->kind == ITEM_COMMAND && item->recorded == 354 && has_verb(line, "DATA"))
        return ITEM_BODY;
    if ((item->kind == ITEM_COMMAND || item->kind == ITEM_ANSWER) && item->recorded == 334)
        return ITEM_ANSWER;
    return ITEM_COMMAND;
}

static struct item *add_item(struct script *s, enum item_kind kind, size_t at, const struct replies *replies)
{
    s->item = array_grow(s->item, s->item_n, sizeof *s->item);
    struct item *item = &s->item[s->item_n];
    *item = (struct item){ .kind = kind, .at = at, .end = at };
    if (s->item_n < replies->n) { /* the first reply answers the first item, and so on */
        item->recorded = replies->reply[s->item_n].code;
        item->frame = replies->reply[s->item_n].frame;
    }
    s->item_n++;
    return item;
}

static void read_items(struct script *s, struct slice client, size_t from, const struct replies *replies,
                       bool has_greeting)
{
    enum item_kind kind = ITEM_COMMAND;

    if (has_greeting)
        add_item(s, ITEM_GREETING, from, replies)->is_complete = true;
    for (size_t at = from; at < client.n && !s->has_starttls;) {
        struct item *item = add_item(s, kind, at, replies);
        if (kind == ITEM_BODY)
            read_body(item, client);
        else
            read_line(item, client);
        at = item->end;
        kind = kind_behind(item, client);
        if (item->kind == ITEM_COMMAND && item->recorded == 220 &&
            has_verb(slice_part(client, item->at, item->end), "STARTTLS")) {
            item->kind = ITEM_STARTTLS;
            s->has_starttls = true;
        }
    }
}

/* --- Other names in command lines --- */

/* Octets [at, at + old_n) of the recording become new_n others, which begin at new_at. */
struct edit {
    size_t at, old_n, new_at;
    const char *text;
};

struct edits {
    struct edit *edit;
    size_t n;
};

/* Behind the last @ of a path that is not quoted; its end when there is none. */
static size_t domain_of_path(struct slice path)
{
    bool is_quoted = false;
    size_t domain = path.n;

    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\\' && is_quoted)
            i++;
        else if (path.p[i] == '"')
            is_quoted = !is_quoted;
        else if (path.p[i] == '@' && !is_quoted)
            domain = i + 1;
    }
    return domain;
}

/* Where a path ends: at the > that is not quoted, or the first blank when there are no brackets. */
static size_t end_of_path(struct slice line, size_t at, bool has_brackets)
{
    bool is_quoted = false;

    for (; at < line.n && line.p[at] != '\r' && line.p[at] != '\n'; at++) {
        if (line.p[at] == '\\' && is_quoted)
            at++;
        else if (line.p[at] == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && line.p[at] == (has_brackets ? '>' : ' '))
            break;
    }
    return at < line.n ? at : line.n;
}

/* The part of a RCPT line that is changed. */
static bool edit_rcpt(struct slice line, const struct mapping *m, struct edit *edit)
{
    size_t from = sizeof "RCPT TO:" - 1;

    if (line.n < from || !slice_equal_nocase(slice_part(line, 0, from), SLICE("RCPT TO:")))
        return false;
    while (from < line.n && line.p[from] == ' ')
        from++;
    bool has_brackets = from < line.n && line.p[from] == '<';
    from += has_brackets;
    size_t to = end_of_path(line, from, has_brackets);
    if (m->to) {
        *edit = (struct edit){ .at = from, .old_n = to - from, .text = m->to };
        return true;
    }
    size_t domain = from + domain_of_path(slice_part(line, from, to));
    *edit = (struct edit){ .at = domain, .old_n = to - domain, .text = m->domain };
    return m->domain && domain < to;
}

static bool edit_helo(struct slice line, const struct mapping *m, struct edit *edit)
{
    size_t from = 5, to = line.n;

    if (!m->helo || line.n < from || !(has_verb(line, "EHLO") || has_verb(line, "HELO")) || line.p[4] != ' ')
        return false;
    while (to > from && (line.p[to - 1] == '\n' || line.p[to - 1] == '\r'))
        to--;
    *edit = (struct edit){ .at = from, .old_n = to - from, .text = m->helo };
    return true;
}

static void add_edit(struct edits *edits, struct edit edit)
{
    edits->edit = array_grow(edits->edit, edits->n, sizeof *edits->edit);
    edits->edit[edits->n++] = edit;
}

/* The first `left_out` octets become none: a PROXY header. */
static void find_edits(struct edits *edits, const struct script *s, struct slice client, size_t left_out,
                       const struct mapping *m)
{
    size_t longer = 0 - left_out; /* modulo SIZE_MAX + 1: lines may become shorter, too */

    if (left_out)
        add_edit(edits, (struct edit){ .old_n = left_out, .text = "" });
    for (size_t i = 0; i < s->item_n; i++) {
        struct slice line = slice_part(client, s->item[i].at, s->item[i].end);
        struct edit edit;
        if (s->item[i].kind != ITEM_COMMAND || !(edit_helo(line, m, &edit) || edit_rcpt(line, m, &edit)))
            continue;
        edit.at += s->item[i].at;
        edit.new_at = edit.at + longer;
        longer += strlen(edit.text) - edit.old_n;
        add_edit(edits, edit);
    }
}

/* Where an octet of the recording is in the script. One within an edit stays as far behind its start as its text
 * goes. */
static size_t moved(const struct edits *edits, size_t at)
{
    size_t low = 0, high = edits->n; /* the edits before `low` begin before `at` */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (edits->edit[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return at;
    const struct edit *e = &edits->edit[low - 1];
    size_t text_n = strlen(e->text), behind = at - e->at;
    if (behind >= e->old_n)
        return e->new_at + text_n + (behind - e->old_n);
    return e->new_at + (behind < text_n ? behind : text_n);
}

static void write_octets(struct buffer *octets, const struct edits *edits, struct slice client)
{
    size_t at = 0;

    for (size_t i = 0; i < edits->n; i++) {
        const struct edit *e = &edits->edit[i];
        buffer_add(octets, client.p + at, e->at - at);
        buffer_add(octets, e->text, strlen(e->text));
        at = e->at + e->old_n;
    }
    if (at < client.n)
        buffer_add(octets, client.p + at, client.n - at);
}

/* --- Cuts --- */

/* How many items were answered before this frame: replies come in order, so that they are the first ones. */
static size_t answered_before(const struct script *s, uint32_t frame)
{
    size_t low = 0, high = s->item_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->item[middle].frame != 0 && s->item[middle].frame < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_cuts(struct script *s, const struct edits *edits, const struct stream *client)
{
    for (size_t i = 0; i < client->span_n; i++) {
        struct cut cut = { moved(edits, client->span[i].at), answered_before(s, client->span[i].frame) };
        if (cut.at >= s->octets.n) /* TLS */
            break;
        if (s->cut_n && s->cut[s->cut_n - 1].at == cut.at) {
            s->cut[s->cut_n - 1] = cut; /* nothing is left of the one before */
            continue;
        }
        s->cut = array_grow(s->cut, s->cut_n, sizeof *s->cut);
        s->cut[s->cut_n++] = cut;
    }
}

void script_make(struct script *s, const struct stream stream[2], bool has_greeting, const struct mapping *mapping)
{
    struct replies replies = { 0 };
    struct edits edits = { 0 };
    struct slice client = buffer_slice(&stream[CLIENT].octets);

    *s = (struct script){ 0 };
    read_replies(&replies, &stream[SERVER]);
    size_t left_out = has_greeting ? proxy_header_length(client) : 0;
    read_items(s, client, left_out, &replies, has_greeting);
    find_edits(&edits, s, client, left_out, mapping);
    size_t end = s->item_n ? s->item[s->item_n - 1].end : left_out; /* TLS comes behind it */
    write_octets(&s->octets, &edits, slice_part(client, 0, end));
    for (size_t i = 0; i < s->item_n; i++) {
        struct item *item = &s->item[i];
        item->at = moved(&edits, item->at);
        item->payload = moved(&edits, item->payload);
        item->end = moved(&edits, item->end);
    }
    add_cuts(s, &edits, &stream[CLIENT]);
    bool has_end = stream[CLIENT].end_frame != 0 && !s->has_starttls;
    s->end_wait_for = answered_before(s, has_end ? stream[CLIENT].end_frame : UINT32_MAX);
    s->is_reset = stream[CLIENT].is_reset && !stream[CLIENT].is_ended && !s->has_starttls;
    free(replies.reply);
    free(edits.edit);
}

/* The octets between 354 and the final dot, less the first dot of each line that has one (RFC 5321 4.5.2). */
static void add_unstuffed(struct buffer *message, struct slice body)
{
    struct slice text = slice_part(body, 0, body.n - 3); /* ".\r\n" */

    for (size_t at = 0; at < text.n;) {
        size_t crlf = slice_find(text, SLICE("\r\n"), at), end = crlf < text.n ? crlf + 2 : text.n;
        at += text.p[at] == '.';
        buffer_add(message, text.p + at, end - at);
        at = end;
    }
}

void script_message(struct buffer *message, const struct script *s, size_t item)
{
    struct slice octets = buffer_slice(&s->octets);
    size_t first = item;

    if (s->item[item].kind == ITEM_BODY) {
        add_unstuffed(message, slice_part(octets, s->item[item].at, s->item[item].end));
        return;
    }
    while (first > 0 && s->item[first - 1].kind == ITEM_CHUNK && !s->item[first - 1].ends_message)
        first--;
    for (; first <= item; first++)
        buffer_add(message, octets.p + s->item[first].payload, s->item[first].end - s->item[first].payload);
}

void script_free(struct script *s)
{
    buffer_free(&s->octets);
    free(s->item);
    free(s->cut);
    *s = (struct script){ 0 };
}
