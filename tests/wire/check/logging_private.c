/* ORACLE 8, L-3: no line of a message's body and no password stands in the log.
 *
 * Each line of each body is looked for in the lines of its own session, and in those that name none: every place of
 * these is entered into a table by its first WINDOW octets, so that all is done in one pass over both. */
#include "logging_parts.h"
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

enum {
    SCAN_MAX = 512,     /* things of one name that are looked at */
    WINDOW = 24,        /* octets of a body's line that are something of it */
    SECRET_LEAST = 6,   /* octets of a password that do not stand in a log by chance */
    PIECE_MOST = 64,    /* of a line that is compared */
    DECODED_MOST = 1024 /* octets of an AUTH response */
};

/* ---- the log as a table of places ---- */

/* Places where something of the log begins, by what is there: WINDOW octets. */
struct windows {
    struct slice *at; /* open addressing; n 0: free */
    size_t size, n;   /* size is a power of two */
};

/* FNV-1a: 24 octets, nothing that a stranger gains from collisions but SCAN_MAX comparisons each. */
static uint64_t hash_window(const uint8_t *p)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < WINDOW; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static void windows_begin(struct windows *w, size_t places)
{
    *w = (struct windows){ .size = 64 };
    while (w->size < 2 * places)
        w->size *= 2;
    w->at = fresh(w->size * sizeof *w->at);
}

static bool begins_alike(struct slice a, struct slice b)
{
    return slice_equal(slice_part(a, 0, PIECE_MOST), slice_part(b, 0, PIECE_MOST));
}

/* Lines of one session say much the same: once is enough. */
static void windows_add(struct windows *w, struct slice text)
{
    for (size_t i = 0; i + WINDOW <= text.n && w->n < w->size / 4 * 3; i++) {
        struct slice here = { text.p + i, text.n - i };
        size_t place = hash_window(here.p) & (w->size - 1);
        for (size_t n = 0; n < SCAN_MAX && w->at[place].n > 0 && !begins_alike(w->at[place], here); n++)
            place = (place + 1) & (w->size - 1);
        if (w->at[place].n > 0)
            continue;
        w->at[place] = here;
        w->n++;
    }
}

/* Does `line`, or its first PIECE_MOST octets, stand in the log? */
static bool windows_hold(const struct windows *w, struct slice line)
{
    size_t place = hash_window(line.p) & (w->size - 1);
    size_t most = line.n < PIECE_MOST ? line.n : PIECE_MOST;

    for (size_t n = 0; n < SCAN_MAX && w->at[place].n > 0; n++, place = (place + 1) & (w->size - 1))
        if (w->at[place].n >= most && memcmp(w->at[place].p, line.p, most) == 0)
            return true;
    return false;
}

/* The log's lines of one session. */
struct own_lines {
    const struct record **record;
    size_t n;
    size_t octets;
};

static void add_own(struct own_lines *o, const struct record *r)
{
    o->record = array_grow(o->record, o->n, sizeof *o->record);
    o->record[o->n++] = r;
    o->octets += r->text.n;
}

static void find_own(struct own_lines *o, const struct trial *t, const struct lookup *by_id, struct slice id)
{
    if (id.n == 0)
        return;
    for (size_t e = lookup_first(by_id, hash_octets(hash_start, id)); e != SIZE_MAX; e = lookup_next(by_id, e)) {
        const struct record *r = &t->records.record[lookup_value(by_id, e)];
        if (slice_equal(record_value(r, "id"), id))
            add_own(o, r);
    }
}

/* What the session itself said in commands and heard in replies is the log's business. */
static bool is_of_envelope(const struct dialogue *d, struct slice text)
{
    for (size_t i = 0; i < d->command_n; i++) {
        const struct command *c = &d->command[i];
        bool is_secret = c->verb == VERB_AUTH || c->verb == VERB_AUTH_LINE;
        if (!is_secret && slice_find(c->line, text, 0) < c->line.n)
            return true;
    }
    for (size_t i = 0; i < d->reply_n; i++)
        if (slice_find(d->reply[i]->octets, text, 0) < d->reply[i]->octets.n)
            return true;
    return false;
}

static struct slice trimmed(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_part(s, 1, s.n);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

/* The record that has it in a value, or, unread, in its text. */
static const struct record *record_with(const struct own_lines *o, struct slice text)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct record *r = o->record[i];
        if (slice_find(r->text, text, 0) < r->text.n)
            return r;
        for (size_t k = 0; k < r->n; k++)
            if (slice_find(r->field[k].value, text, 0) < r->field[k].value.n)
                return r;
    }
    return NULL;
}

/* Where the lines of messages are looked for. */
struct search {
    struct own_lines lines;
    struct windows windows;
};

/* Only values with escapes are not in the text as they are. */
static void search_begin(struct search *search)
{
    windows_begin(&search->windows, search->lines.octets);
    for (size_t i = 0; i < search->lines.n; i++) {
        const struct record *r = search->lines.record[i];
        windows_add(&search->windows, r->text);
        for (size_t k = 0; k < r->n; k++)
            if (slice_find(r->text, r->field[k].value, 0) == r->text.n)
                windows_add(&search->windows, r->field[k].value);
    }
}

static void search_end(struct search *search)
{
    free(search->lines.record);
    free(search->windows.at);
}

/* True when a line of the message stands in the log; told once for each message. */
static bool leaks(struct tally *y, const struct session *s, const struct message *m, const struct search *search)
{
    struct slice body = buffer_slice(&m->body);

    for (size_t at = 0; at < body.n;) {
        size_t end = slice_find(body, SLICE("\n"), at);
        struct slice line = trimmed(slice_part(body, at, end));
        at = end + 1;
        if (line.n < WINDOW || !windows_hold(&search->windows, line))
            continue;
        struct slice piece = slice_part(line, 0, PIECE_MOST);
        if (is_of_envelope(s->north, piece))
            continue;
        struct violation *v = violated(y, s, "a line of a message stands in the log");
        show_octets(v, NORTH, true, &m->place, piece, "of the body");
        show_record(v, record_with(&search->lines, piece), NULL);
        return true;
    }
    return false;
}

static void judge_bodies(struct tally *y, const struct session *s, const struct search *own,
                         const struct search *nobodys)
{
    for (size_t i = 0; i < s->pair_n; i++) {
        const struct message *m = &s->pair[i].north->message;
        if (!s->pair[i].north->has_message || leaks(y, s, m, own) || leaks(y, s, m, nobodys))
            continue;
        if (own->lines.n > 0) /* else its lines are not known */
            held(y);
    }
}

/* RFC 4648 4; what is no base64 reads as nothing. */
static size_t decode(struct slice s, uint8_t out[DECODED_MOST])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n && n < DECODED_MOST; i++) {
        const char *digit = s.p[i] != '\0' ? strchr(digits, s.p[i]) : NULL;
        if (digit == NULL)
            return 0;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    return n;
}

/* The password: behind the last NUL of PLAIN (RFC 4616), the whole of what LOGIN was asked for. */
static struct slice password_in(const uint8_t *p, size_t n)
{
    size_t start = n;

    while (start > 0 && p[start - 1] != '\0')
        start--;
    return (struct slice){ p + start, n - start };
}

static bool tells_secret(struct tally *y, const struct session *s, const struct search *in, const struct command *c,
                         struct slice secret)
{
    const struct record *r = secret.n >= SECRET_LEAST ? record_with(&in->lines, secret) : NULL;

    if (r == NULL || is_of_envelope(s->north, secret))
        return false;
    struct violation *v = violated(y, s, "something of an AUTH exchange stands in the log");
    show_octets(v, NORTH, true, &c->place, SLICE("(not repeated here)"), NULL);
    show_record(v, r, NULL);
    return true;
}

/* The client's last response, which holds the password; n 0: none. A name alone (LOGIN's first) may be logged. */
static struct slice response_of(const struct command *c)
{
    bool goes_on = c->reply != NULL && c->reply->code == 334;

    if (goes_on || (c->verb != VERB_AUTH && c->verb != VERB_AUTH_LINE))
        return (struct slice){ NULL, 0 };
    if (c->verb == VERB_AUTH_LINE)
        return c->line;
    return slice_part(c->argument, slice_find(c->argument, SLICE(" "), 0) + 1, c->argument.n);
}

static void judge_secrets(struct tally *y, const struct session *s, const struct search *in)
{
    uint8_t decoded[DECODED_MOST];

    for (size_t i = 0; i < s->north->command_n; i++) {
        const struct command *c = &s->north->command[i];
        struct slice response = response_of(c), password = password_in(decoded, decode(response, decoded));
        if (response.n > 0 && !tells_secret(y, s, in, c, response) && !tells_secret(y, s, in, c, password))
            held(y);
    }
}

/* Lines that say nothing of a session (a sanitizer's, a broken one) are anybody's. */
static void find_nobodys(struct own_lines *lines, const struct records *all)
{
    for (size_t i = 0; i < all->n && lines->n < SCAN_MAX; i++)
        if (record_value(&all->record[i], "id").n == 0)
            add_own(lines, &all->record[i]);
}

/* The lines of the log by the id that they name. */
static struct lookup lines_by_id(const struct records *all)
{
    struct lookup by_id = { 0 };

    for (size_t i = 0; i < all->n; i++) {
        struct slice id = record_value(&all->record[i], "id");
        if (id.n > 0)
            lookup_add(&by_id, hash_octets(hash_start, id), i);
    }
    return by_id;
}

void judge_privacy(const struct trial *t, struct tally *y)
{
    struct search nobodys = { .lines = { 0 } };
    struct lookup by_id = lines_by_id(&t->records);

    find_nobodys(&nobodys.lines, &t->records);
    search_begin(&nobodys);
    for (size_t i = 0; i < t->session_n; i++) {
        struct search own = { .lines = { 0 } };
        find_own(&own.lines, t, &by_id, session_id(&t->session[i]));
        search_begin(&own);
        judge_bodies(y, &t->session[i], &own, &nobodys);
        judge_secrets(y, &t->session[i], &own);
        search_end(&own);
    }
    search_end(&nobodys);
    lookup_free(&by_id);
}
