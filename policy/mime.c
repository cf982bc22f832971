/* Lines, boundaries and levels.
 *
 * A body is read line by line. Most lines are passed over to their end. One that begins with "--" is hashed octet by octet and
 * compared with the boundaries that are open, shortest first, so that a line costs one comparison with each of them at
 * most, however long they are and wherever the pieces are cut.
 *
 * The levels are a stack. A boundary line takes off what was opened within it, and never its own level: what follows a closing
 * boundary is the epilogue for one reader and another part for the next.
 */
#include "mime.h"

#include "header.h"
#include "mime_parts.h"

/* What a line has behind a boundary. */
enum tail { TAIL_NONE, TAIL_BLANKS, TAIL_DASH, TAIL_CLOSES, TAIL_OTHER };

/* ---- levels ---- */

static bool is_in_multipart(const struct mime *m)
{
    return m->levels > 0 && m->level[m->levels - 1].length > 0;
}

/* After levels were put on or taken off. */
static void sort_boundaries(struct mime *m)
{
    m->boundaries = 0;
    for (size_t i = 0; i < m->levels; i++) {
        size_t at = m->boundaries;

        if (m->level[i].length == 0)
            continue;
        for (; at > 0 && m->level[m->by_length[at - 1]].length > m->level[i].length; at--)
            m->by_length[at] = m->by_length[at - 1];
        m->by_length[at] = (uint8_t)i;
        m->boundaries++;
    }
}

/* False when there is no room for `n` more. */
static bool has_depth(struct mime *m, size_t n)
{
    if (m->levels + n <= m->limits.depth && m->levels + n <= MIME_DEPTH_MAX)
        return true;
    mime_note(m, MIME_OVER_DEPTH);
    return false;
}

/* All boundaries that somebody may go by are open at once. A multipart that is a whole message has no number of its own. */
static bool open_multipart(struct mime *m)
{
    const struct mime_entity *e = &m->entity;
    uint32_t number = is_in_multipart(m) ? e->number : 0;
    size_t group = m->levels;

    if (!has_depth(m, e->boundaries))
        return false;
    for (unsigned i = 0; i < e->boundaries; i++)
        m->level[m->levels++] = (struct mime_level){ .hash = e->boundary[i].hash,
                                                     .length = e->boundary[i].length,
                                                     .number = i == 0 ? number : 0,
                                                     .group = (uint8_t)group,
                                                     .is_digest = e->is_digest };
    sort_boundaries(m);
    return true;
}

static bool open_message(struct mime *m)
{
    size_t group = m->levels;

    if (!has_depth(m, 1))
        return false;
    m->level[m->levels++] = (struct mime_level){ .number = m->entity.number, .group = (uint8_t)group };
    return true;
}

/* ---- parts ---- */

static void part_begin(struct mime *m)
{
    struct mime_level *parent = m->levels > 0 ? &m->level[m->level[m->levels - 1].group] : NULL;

    if (m->entities == m->limits.parts) {
        mime_note(m, MIME_OVER_PARTS);
        m->state = MIME_STOPPED;
        return;
    }
    m->entities++;
    m->entity = (struct mime_entity){ .number = 1 };
    if (parent != NULL && is_in_multipart(m)) {
        m->entity.number = ++parent->children;
        m->entity.is_default_message = parent->is_digest;
    }
    m->field_n = 0;
    m->field_is_cut = false;
    m->state = MIME_HEADER;
    mime_record_open(m);
}

static void part_end(struct mime *m)
{
    mime_window_close(m);
    if (m->record_is_open)
        mime_record_close(m);
}

/* RFC 2045 6.4: containers are 7bit, 8bit or binary. Quoted-printable leaves most of a header as it is. */
static void header_end(struct mime *m)
{
    struct mime_entity *e = &m->entity;
    bool is_opened = false;

    e->is_message = e->is_message || (!e->has_type && e->is_default_message);
    if ((e->is_multipart || e->is_message) && e->encoding != MIME_RAW)
        mime_note(m, MIME_ODD_ENCODING);
    if (e->is_multipart && e->boundaries == 0)
        mime_note(m, MIME_ODD_BOUNDARY);
    if (e->is_message && e->encoding == MIME_BASE64)
        e->is_message = false;
    m->state = MIME_BODY;
    if (e->is_multipart && e->boundaries > 0 && open_multipart(m)) {
        is_opened = true;
        m->state = MIME_NOTHING;
    }
    if (e->is_message && open_message(m)) {
        part_end(m);
        part_begin(m);
    } else if (is_opened) {
        part_end(m);
    } else {
        mime_window_open(m);
    }
}

/* ---- fields ---- */

static void field_end(struct mime *m)
{
    struct str field = str_from(m->field, m->field_n), rest = field;
    struct header_field read;

    if (field.n == 0)
        return;
    if (!header_next(&rest, &read))
        mime_note(m, MIME_ODD_HEADER);
    else if (mime_field(m, read.name, read.value) && m->field_is_cut)
        mime_note(m, MIME_OVER_FIELD);
    m->field_n = 0;
    m->field_is_cut = false;
}

/* What no longer fits takes the place of the middle, so that the end is there. */
static void field_add(struct mime *m, struct str octets)
{
    while (octets.n > 0) {
        size_t room = MIME_FIELD_MAX - m->field_n, n = octets.n < room ? octets.n : room;

        if (room == 0) {
            memmove(m->field + MIME_FIELD_MAX / 2, m->field + 3 * MIME_FIELD_MAX / 4, MIME_FIELD_MAX / 4);
            m->field_n = 3 * MIME_FIELD_MAX / 4;
            m->field_is_cut = true;
            continue;
        }
        memcpy(m->field + m->field_n, octets.p, n);
        m->field_n += n;
        octets = str_skip(octets, n);
    }
}

/* ---- boundary lines ---- */

static void take_tail(struct mime *m, char c)
{
    if (c == '\r' || c == '\n')
        return;
    if (m->tail == TAIL_NONE && c == '-')
        m->tail = TAIL_DASH;
    else if (m->tail == TAIL_DASH && c == '-')
        m->tail = TAIL_CLOSES;
    else if (ascii_is_blank(c) && (m->tail == TAIL_NONE || m->tail == TAIL_BLANKS))
        m->tail = TAIL_BLANKS;
    else if (!ascii_is_blank(c) || m->tail != TAIL_CLOSES)
        m->tail = TAIL_OTHER;
}

static void compare(struct mime *m, uint64_t length)
{
    for (; m->cursor < m->boundaries; m->cursor++) {
        int at = m->by_length[m->cursor];

        if (m->level[at].length > length)
            return;
        if (m->level[at].hash != m->hash)
            continue;
        m->match = at; /* of one length the innermost comes last */
        m->innermost = at > m->innermost ? at : m->innermost;
        m->tail = TAIL_NONE;
    }
}

static void look_at(struct mime *m, char c)
{
    if (m->looked++ < 2) {
        if (c != '-')
            m->line = LINE_PLAIN;
        return;
    }
    if (m->match >= 0)
        take_tail(m, c);
    m->hash = mime_hash(m->hash, c);
    compare(m, m->looked - 2);
    if (m->cursor == m->boundaries && (m->match < 0 || m->tail == TAIL_OTHER))
        m->line = LINE_PLAIN;
}

/* RFC 2046 5.1.1 compares with the beginning of the line; many readers want nothing but blanks behind it. */
static void boundary_found(struct mime *m)
{
    size_t levels = (size_t)m->match + 1;
    uint8_t group = m->level[m->match].group;

    if (m->tail == TAIL_OTHER || m->tail == TAIL_DASH || m->level[m->innermost].group != group)
        mime_note(m, MIME_ODD_BOUNDARY);
    m->field_n = 0;
    part_end(m);
    while (levels < m->levels && m->level[levels].group == group)
        levels++;
    m->levels = levels;
    sort_boundaries(m);
    if (m->tail == TAIL_CLOSES)
        m->state = MIME_NOTHING;
    else
        part_begin(m);
}

/* ---- uuencoded files in a text ---- */

/* "begin 644 name" */
static void begin_found(struct mime *m)
{
    struct str line = str_from(m->field, m->field_n), word, mode;

    if (!str_word(&line, &word) || !str_word(&line, &mode) || mode.n < 3 || mode.n > 4)
        return;
    for (size_t i = 0; i < mode.n; i++)
        if (mode.p[i] < '0' || mode.p[i] > '7')
            return;
    while (line.n > 0 && (unsigned char)line.p[line.n - 1] <= ' ')
        line.n--;
    line = str_trim(line);
    if (line.n > 0)
        mime_tell(m, "content=", STR("uuencode"));
    mime_tell_name(m, "name=", line);
    if (m->field_is_cut)
        mime_note(m, MIME_OVER_FIELD);
}

static void gather_begin(struct mime *m, struct str piece)
{
    static const char begin[] = "begin ";
    size_t n;

    field_add(m, piece);
    n = m->field_n < sizeof begin - 1 ? m->field_n : sizeof begin - 1;
    if (memcmp(m->field, begin, n) != 0) {
        m->line = LINE_PLAIN;
        m->field_n = 0;
    }
}

/* ---- lines ---- */

static void line_begin(struct mime *m, char c)
{
    m->line = LINE_PLAIN;
    m->match = m->innermost = -1;
    if (c == '-' && m->boundaries > 0) {
        m->line = LINE_DASHES;
        m->looked = m->cursor = 0;
        m->hash = MIME_HASH_SEED;
        m->tail = TAIL_NONE;
    } else if (c == 'b' && m->state == MIME_BODY && m->entity.encoding != MIME_BASE64) {
        m->line = LINE_BEGIN;
        m->field_n = 0;
        m->field_is_cut = false;
    }
    if (m->state != MIME_HEADER)
        return;
    if (!ascii_is_blank(c))
        field_end(m);
    m->line_first = c;
    m->line_octets = 0;
}

static void line_end(struct mime *m)
{
    bool is_begin = m->line == LINE_BEGIN;

    m->line = LINE_START;
    if (m->match >= 0) {
        boundary_found(m);
    } else if (is_begin) {
        begin_found(m);
    } else if (m->state == MIME_HEADER && m->line_octets <= 2 && (m->line_octets == 1 || m->line_first == '\r')) {
        m->field_n = 0;
        header_end(m);
    }
}

static void take_piece(struct mime *m, struct str piece)
{
    if (m->line == LINE_START)
        line_begin(m, piece.p[0]);
    for (size_t i = 0; i < piece.n && m->line == LINE_DASHES; i++)
        look_at(m, piece.p[i]);
    if (m->line == LINE_BEGIN)
        gather_begin(m, piece);
    if (m->state == MIME_HEADER) {
        m->line_octets += piece.n;
        field_add(m, piece);
    } else if (m->window_is_open) {
        mime_window_add(m, piece);
    }
}

void mime_add(struct mime *m, struct str octets)
{
    while (octets.n > 0 && m->state != MIME_STOPPED) {
        const char *end = memchr(octets.p, '\n', octets.n);
        size_t n = end != NULL ? (size_t)(end - octets.p) + 1 : octets.n;

        take_piece(m, str_from(octets.p, n));
        if (end != NULL)
            line_end(m);
        octets = str_skip(octets, n);
    }
}

void mime_begin(struct mime *m, struct str header, const struct mime_limits *limits)
{
    struct header_field field;

    *m = (struct mime){ .limits = *limits, .match = -1 };
    part_begin(m);
    while (header_next_anywhere(&header, &field))
        mime_field(m, field.name, field.value);
    if (m->state == MIME_HEADER)
        header_end(m);
}

/* A line without an end is one. */
void mime_end(struct mime *m, struct facts *facts)
{
    if (m->line != LINE_START && m->state != MIME_STOPPED)
        line_end(m);
    if (m->state == MIME_HEADER)
        field_end(m);
    part_end(m);
    mime_report(m, facts);
}
