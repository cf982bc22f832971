/* what the back end got is what the client sent, behind one block of our own fields.
 *
 * Read from the end: the body must be the same octets; the header's fields are then matched backwards, so that what
 * the client itself had on top (Received, other gateways' results) is told from what was put in front of it. Fields
 * that pass for our own verdict must be gone (RFC 8601 5), and nothing else may be. */
#include "custody_parts.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 120 };

/* ---- what should arrive ---- */

/* The one documented normal form (F-3): a bare CR or LF becomes CRLF, NUL goes. */
static void normalise(struct slice s, struct buffer *out)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_crlf = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
        if (s.p[i] == '\r' || s.p[i] == '\n')
            buffer_add(out, "\r\n", 2);
        else if (s.p[i] != '\0')
            buffer_add(out, &s.p[i], 1);
        i += is_crlf;
    }
}

static bool has_parameter(const struct address *a, struct slice parameter)
{
    struct slice rest = a->parameters;

    for (size_t at = slice_find(rest, SLICE(" "), 0); rest.n > 0; at = slice_find(rest, SLICE(" "), 0)) {
        if (slice_equal_nocase(slice_part(rest, 0, at), parameter))
            return true;
        rest = slice_part(rest, at + 1, rest.n);
    }
    return false;
}

static bool is_binary(const struct transaction *x)
{
    return x->message.by_bdat && has_parameter(&x->from, SLICE("BODY=BINARYMIME"));
}

/* Text that goes on by DATA must end in CRLF, which BDAT does not ask for. */
static void end_last_line(const struct transaction *x, struct buffer *out)
{
    bool ends_line = out->n >= 2 && out->p[out->n - 2] == '\r' && out->p[out->n - 1] == '\n';

    if (x->message.by_bdat && !is_binary(x) && out->n > 0 && !ends_line)
        buffer_add(out, "\r\n", 2);
}

static bool network_holds(const struct network *net, const struct endpoint *e)
{
    for (unsigned bit = 0; bit < net->bits && bit < 128; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
        if ((net->base.address[bit / 8] & mask) != (e->address[bit / 8] & mask))
            return false;
    }
    return true;
}

enum normal { EXACT, NORMALISED, EITHER };

/* How the gateway was told to treat this client's framing; without its configuration both are right. */
static enum normal normal_of(const struct trial *t, const struct pair *p)
{
    const struct settings *settings = &t->settings;

    if (is_binary(p->north))
        return EXACT;
    if (!settings->is_given || p->session->north->proxy_header.n > 0)
        return EITHER;
    for (size_t i = 0; i < settings->normalise_n; i++)
        if (network_holds(&settings->normalise[i], &p->session->north->connection->end[CLIENT]))
            return NORMALISED;
    const char *mode = settings_value(settings, "framing", "mode");
    return mode != NULL && strcmp(mode, "normalise") == 0 ? NORMALISED : EXACT;
}

/* ---- fields ---- */

struct fields {
    struct slice *field;
    size_t n;
};

/* Lines with the folded ones behind them; an octet of a header section is in exactly one. */
static struct fields fields_of(struct slice header)
{
    struct fields all = { 0 };
    size_t from = 0;

    while (from < header.n) {
        size_t to = slice_find(header, SLICE("\r\n"), from);
        to = to < header.n ? to + 2 : header.n;
        while (to < header.n && (header.p[to] == ' ' || header.p[to] == '\t')) {
            size_t end = slice_find(header, SLICE("\r\n"), to);
            to = end < header.n ? end + 2 : header.n;
        }
        all.field = array_grow(all.field, all.n, sizeof *all.field);
        all.field[all.n++] = slice_part(header, from, to);
        from = to;
    }
    return all;
}

/* Less blanks before the colon (RFC 5322 4.5); empty when the line is no field. */
static struct slice field_name(struct slice field)
{
    size_t n = slice_find(field, SLICE(":"), 0);

    if (n == field.n)
        return slice_part(field, 0, 0);
    while (n > 0 && (field.p[n - 1] == ' ' || field.p[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        if (field.p[i] < 33 || field.p[i] > 126)
            return slice_part(field, 0, 0);
    return slice_part(field, 0, n);
}

static struct slice field_value(struct slice field)
{
    return slice_part(field, slice_find(field, SLICE(":"), 0) + 1, field.n);
}

static bool is_named(struct slice field, const char *name)
{
    return slice_equal_nocase(field_name(field), slice_of(name));
}

static bool is_named_like(struct slice field, const char *start)
{
    return slice_equal_nocase(slice_part(field_name(field), 0, strlen(start)), slice_of(start));
}

/* Where the header section ends: at its empty line. */
static size_t header_length(struct slice s)
{
    if (slice_equal(slice_part(s, 0, 2), SLICE("\r\n")))
        return 0;
    size_t at = slice_find(s, SLICE("\r\n\r\n"), 0);
    return at < s.n ? at + 2 : s.n;
}

/* ---- fields that pass for ours ---- */

/* The name under which the gateway writes results, and whether somebody told us. */
struct identity {
    struct slice name;
    bool is_known;
};

static struct identity identity_of(const struct trial *t, const struct session *s)
{
    const char *id = settings_value(&t->settings, "server", "authserv_id");
    const struct reply *greeting = s->north->greeting;

    if (id != NULL)
        return (struct identity){ slice_of(id), true };
    if (t->settings.hostname[0] != '\0')
        return (struct identity){ slice_of(t->settings.hostname), t->settings.is_given };
    if (greeting == NULL || greeting->octets.n < 5)
        return (struct identity){ SLICE(""), false };
    struct slice words = slice_part(greeting->octets, 4, greeting->octets.n);
    return (struct identity){ slice_part(words, 0, slice_find(words, SLICE(" "), 0)), false };
}

enum claim { OF_OTHERS, OURS, MAY_BE_OURS };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_id_octet(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' ||
           c == '_';
}

/* Whose results an Authentication-Results field claims to hold. Read only where there is one way to read it: a plain
 * name, perhaps a version, then ";". With comments, quotes or the like somebody may read our name. */
static enum claim claim_of_results(struct slice field, const struct identity *id)
{
    struct slice v = field_value(field);
    size_t from = 0, to, end;

    while (from < v.n && is_blank(v.p[from]))
        from++;
    for (to = from; to < v.n && is_id_octet(v.p[to]); to++)
        ;
    for (end = to; end < v.n && (is_blank(v.p[end]) || (v.p[end] >= '0' && v.p[end] <= '9')); end++)
        ;
    struct slice name = slice_part(v, from, to);
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    bool is_plain = name.n > 0 && (end == v.n || v.p[end] == ';');
    if (!is_plain)
        return MAY_BE_OURS;
    if (slice_equal_nocase(name, id->name))
        return OURS;
    return slice_equal_nocase(slice_part(name, 0, id->name.n), id->name) ? MAY_BE_OURS : OF_OTHERS;
}

static enum claim claim_of(struct slice field, const struct identity *id)
{
    if (is_named(field, "Received-SPF") || is_named_like(field, "X-Postern-"))
        return OURS;
    return is_named(field, "Authentication-Results") ? claim_of_results(field, id) : OF_OTHERS;
}

/* ORACLE 0: what the gateway may put in front. */
static bool is_allowed_in_front(struct slice field)
{
    return is_named(field, "Received") || is_named(field, "Authentication-Results") ||
           is_named(field, "Received-SPF") || is_named_like(field, "ARC-") || is_named_like(field, "X-Postern-");
}

/* ---- the comparison ---- */

struct comparison {
    const char *what;          /* is wrong; NULL nothing */
    const char *doubt;         /* why it cannot be said; NULL */
    struct slice north, south; /* from the place on where they differ */
};

/* An octet string of the sender's that was normalised is none of the wire's: it is looked for there again (same_in). */
static void differ(struct comparison *c, const char *what, struct slice north, struct slice south)
{
    c->what = what;
    c->north = slice_part(north, 0, SHOWN);
    c->south = slice_part(south, 0, SHOWN);
}

/* The same octets in what stays when the comparison is over; without them nothing. */
static struct slice same_in(struct slice whole, struct slice part)
{
    size_t at = slice_find(whole, part, 0);

    return at < whole.n ? slice_part(whole, at, at + part.n) : SLICE("");
}

/* In our block each verdict stands once; a second one came from the client. */
static bool holds_forgery(struct slice forged, const struct slice *block, size_t n)
{
    bool is_there = false;
    size_t of_name = 0;

    for (size_t i = 0; i < n; i++) {
        is_there |= slice_equal(block[i], forged);
        of_name += slice_equal_nocase(field_name(block[i]), field_name(forged));
    }
    return is_there && of_name > 1;
}

static void compare_block(struct comparison *c, const struct fields *north, const struct slice *block, size_t n,
                          const struct identity *id)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_allowed_in_front(block[i])) {
            differ(c, "a field in front is none that the gateway may add", SLICE(""), block[i]);
            return;
        }
    }
    for (size_t i = 0; i < north->n && n < 64;
         i++) { /* a block of ours is short; a longer one was refused above, or is odd */
        if (claim_of(north->field[i], id) == OURS && holds_forgery(north->field[i], block, n)) {
            differ(c, "a field of the client's that passes for the gateway's went through", north->field[i],
                   north->field[i]);
            return;
        }
    }
}

static void compare_headers(struct comparison *c, const struct fields *north, const struct fields *south,
                            const struct identity *id)
{
    size_t i = north->n, k = south->n;

    for (; i > 0; i--) {
        struct slice field = north->field[i - 1];
        enum claim claim = claim_of(field, id);
        if (claim == OURS)
            continue;
        if (k > 0 && slice_equal(south->field[k - 1], field)) {
            k--;
        } else if (claim == OF_OTHERS) {
            bool may_be_unknown = !id->is_known && is_named(field, "Authentication-Results");
            if (may_be_unknown) {
                c->doubt = "results were removed, and nobody says which name is the gateway's";
                continue;
            }
            differ(c, "a field of the client's is missing, changed or out of place", field,
                   k > 0 ? south->field[k - 1] : SLICE(""));
            return;
        }
    }
    compare_block(c, north, south->field, k, id);
}

static size_t first_difference(struct slice a, struct slice b)
{
    size_t i = 0;

    while (i < a.n && i < b.n && a.p[i] == b.p[i])
        i++;
    return i;
}

static struct comparison compare(struct slice north, struct slice south, const struct identity *id)
{
    struct comparison c = { 0 };
    size_t header = header_length(north);
    struct slice body = slice_part(north, header, north.n);

    if (south.n < body.n || !slice_equal(slice_part(south, south.n - body.n, south.n), body)) {
        struct slice theirs = slice_part(south, header_length(south), south.n);
        size_t at = first_difference(body, theirs), from = at > 16 ? at - 16 : 0;
        differ(&c, body.n == theirs.n ? "the body was changed" : "the body is longer or shorter",
               slice_part(body, from, body.n), slice_part(theirs, from, theirs.n));
        return c;
    }
    struct fields ours = fields_of(slice_part(north, 0, header));
    struct fields theirs = fields_of(slice_part(south, 0, south.n - body.n));
    compare_headers(&c, &ours, &theirs, id);
    free(ours.field);
    free(theirs.field);
    return c;
}

/* A binary header section may have line ends that are none, and what is a field there is a matter of reading. */
static bool has_bare(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r')) ||
            (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')))
            return true;
    return false;
}

static struct comparison compare_pair(const struct trial *t, const struct pair *p, struct buffer *expected)
{
    struct slice sent = buffer_slice(&p->north->message.body), arrived = buffer_slice(&p->south->message.body);
    struct identity id = identity_of(t, p->session);
    enum normal normal = normal_of(t, p);
    struct comparison c = { .what = "" };

    if (normal != NORMALISED) {
        buffer_add(expected, sent.p, sent.n);
        end_last_line(p->north, expected);
        c = compare(buffer_slice(expected), arrived, &id);
    }
    if (c.what != NULL && normal != EXACT) {
        expected->n = 0;
        normalise(sent, expected);
        end_last_line(p->north, expected);
        c = compare(buffer_slice(expected), arrived, &id);
    }
    if (c.what != NULL && is_binary(p->north) && has_bare(slice_part(sent, 0, header_length(sent))))
        c = (struct comparison){ .doubt = "a binary header section with bare line ends" };
    return c;
}

/* `part` of the message, at its frame when it is a part of what was on the wire (and not of what it should have
 * become). */
static void show_part(struct violation *v, enum wire_name w, const struct dialogue *d, const struct transaction *x,
                      struct slice part, const char *note)
{
    const struct message *m = &x->message;
    const struct stream *stream =
        m->place.in_tls && d->tls != NULL ? &d->tls->plain[CLIENT] : &d->connection->stream[CLIENT];
    struct place place = m->place;
    size_t at = slice_find(m->raw, slice_part(part, 0, 40), 0);
    const struct span *span = at < m->raw.n && !m->by_bdat ? stream_span(stream, m->place.at + at) : NULL;

    if (span != NULL) {
        place.first_frame = span->frame;
        place.first_time = span->time;
    }
    show_octets(v, w, true, &place, part, note);
}

/* Only what arrived whole can be compared; what went on the way is A-3's and A-6's. */
static const char *judge_pair(const struct trial *t, const struct pair *p, struct tally *tally)
{
    struct buffer expected = { 0 };

    bool has_arrived = p->south != NULL && p->south->has_message && p->south->message.is_ended;

    if (!p->north->has_message || !p->north->message.is_ended || (!has_arrived && !reply_is(reply_north(p), 2)))
        return NULL;
    const char *doubt = south_doubt(t, p);
    if (doubt != NULL || !has_arrived) /* A-1 asks where an accepted message is */
        return doubt;
    struct comparison c = compare_pair(t, p, &expected);
    if (c.what != NULL) {
        struct violation *v = violated(tally, p->session, "the message arrived otherwise than it was sent: %s", c.what);
        show_command(v, NORTH, &p->session->north->command[p->north->mail], NULL);
        show_part(v, NORTH, p->session->north, p->north, same_in(buffer_slice(&p->north->message.body), c.north),
                  "the client sent");
        show_command(v, SOUTH, &p->south_dialogue->command[p->south->mail], NULL);
        show_part(v, SOUTH, p->south_dialogue, p->south, c.south, "the back end got");
        show_reply(v, NORTH, p->north->message.reply, NULL);
    } else if (c.doubt == NULL) {
        held(tally);
    }
    buffer_free(&expected);
    return c.what == NULL ? c.doubt : NULL;
}

void judge_message(const struct trial *t, struct tally *tally)
{
    each_pair(t, tally, judge_pair);
}
