#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const fates[] = {
    [RECORD_RCPT_ACCEPTED] = "accepted", [RECORD_RCPT_REFUSED] = "refused", [RECORD_RCPT_ELSEWHERE] = "elsewhere"
};

enum { FATES = sizeof fates / sizeof fates[0] };

/* ---- the ring ---- */

/* Records lie one behind the other; one that does not fit before the end of the memory begins at its front. */
struct place {
    size_t at, n;
};

struct record_ring {
    char *memory;
    size_t size;
    struct place *place; /* `max` of them, the oldest at `first` */
    size_t max, first, kept;
    uint64_t too_large;
};

struct record_ring *record_ring_new(size_t transactions, size_t octets)
{
    struct record_ring *ring = calloc(1, sizeof *ring);
    size_t table;

    if (ring == NULL)
        return NULL;
    ring->max = transactions < octets / 4 / sizeof(struct place) ? transactions : octets / 4 / sizeof(struct place);
    table = ring->max * sizeof(struct place);
    ring->size = octets - table;
    ring->place = malloc(table);
    ring->memory = malloc(ring->size);
    if (ring->max > 0 && ring->place != NULL && ring->memory != NULL)
        return ring;
    record_ring_free(ring);
    return NULL;
}

void record_ring_free(struct record_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->place);
    free(ring->memory);
    free(ring);
}

static const struct place *place_at(const struct record_ring *ring, size_t i)
{
    return &ring->place[(ring->first + i) % ring->max];
}

static void forget_oldest(struct record_ring *ring)
{
    ring->first = (ring->first + 1) % ring->max;
    ring->kept--;
}

/* The largest piece in which the next record can stand now. */
static struct place free_piece(const struct record_ring *ring)
{
    const struct place *oldest, *newest;
    size_t end;

    if (ring->kept == 0)
        return (struct place){ 0, ring->size };
    oldest = place_at(ring, 0);
    newest = place_at(ring, ring->kept - 1);
    end = newest->at + newest->n;
    if (newest->at < oldest->at)
        return (struct place){ end, oldest->at - end };
    if (ring->size - end >= oldest->at)
        return (struct place){ end, ring->size - end };
    return (struct place){ 0, oldest->at };
}

/* A piece of `n` octets; the oldest records go until there is one. */
static bool make_room(struct record_ring *ring, size_t n, struct place *piece)
{
    if (n > ring->size)
        return false;
    if (ring->kept == ring->max)
        forget_oldest(ring);
    for (;;) {
        *piece = free_piece(ring);
        if (piece->n >= n)
            return true;
        forget_oldest(ring);
    }
}

/* ---- to text ---- */

/* The room was measured: what is written here fits. */
struct writer {
    char *p;
    size_t n, size;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(w->p + w->n, w->size - w->n, format, arguments);
    va_end(arguments);
    w->n += n > 0 ? (size_t)n : 0;
}

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void put_quoted(struct writer *w, const char *before, struct str s, const char *after)
{
    put(w, "%s\"", before);
    for (size_t i = 0; i < s.n; i++)
        put(w, is_plain(s.p[i]) ? "%c" : "\\x%02x", (unsigned char)s.p[i]);
    put(w, "\"%s", after);
}

static void put_facts(struct writer *w, const struct facts *facts)
{
    enum { BEFORE = 64 /* the line in front, whose number is known afterwards */ };
    struct arena arena;
    struct str text = { NULL, 0 };

    if (facts != NULL && w->size - w->n > BEFORE) {
        arena_init(&arena, w->p + w->n + BEFORE, w->size - w->n - BEFORE);
        text = facts_dump(facts, &arena);
    }
    put(w, "facts %zu\n", text.n);
    if (text.n > 0)
        memmove(w->p + w->n, text.p, text.n);
    w->n += text.n;
}

static void put_header(struct writer *w, const struct record_entry *e)
{
    if (!e->has_header) {
        put(w, "header none\n");
        return;
    }
    put(w, "header %zu\n", e->header.n);
    if (e->header.n > 0)
        memcpy(w->p + w->n, e->header.p, e->header.n);
    w->n += e->header.n;
    put(w, "\n");
}

static size_t rcpts_kept(const struct record_entry *e)
{
    return e->rcpts < RECORD_RCPTS_MAX ? e->rcpts : RECORD_RCPTS_MAX;
}

static void put_entry(struct writer *w, const struct record_entry *e)
{
    char client[ENDPOINT_TEXT_MAX];

    endpoint_print(&e->client, client);
    put(w, "record 1\n");
    put_quoted(w, "id ", e->id, "");
    put(w, " %u\ntime %" PRId64 "\nclient %s\n", e->number, e->time, client);
    put_quoted(w, "helo ", e->helo, "\n");
    put(w, "flags%s%s%s%s%s%s\n", e->is_esmtp ? " esmtp" : "", e->is_tls ? " tls" : "",
        e->is_authenticated ? " authenticated" : "", e->is_smtputf8 ? " smtputf8" : "", e->talked_early ? " early" : "",
        e->pipelined ? " pipelined" : "");
    put_quoted(w, "from ", e->mail_from, "\n");
    for (size_t i = 0; i < rcpts_kept(e); i++) {
        put(w, "rcpt %s ", fates[e->rcpt[i].fate]);
        put_quoted(w, "", e->rcpt[i].text, "\n");
    }
    put(w, "rcpts %zu\nsize %" PRIu64 "\nverdict %s %d ", e->rcpts_all, e->size, action_name(e->verdict.action),
        e->verdict.code);
    put_quoted(w, "", e->verdict.enhanced != NULL ? str_of(e->verdict.enhanced) : STR(""), " ");
    put_quoted(w, "", e->verdict.check != NULL ? str_of(e->verdict.check) : STR(""), "\n");
    put_facts(w, e->facts);
    put_header(w, e);
    put(w, "end\n");
}

/* Octets a quoted word can need. */
static size_t quoted_most(size_t n)
{
    return 4 * n + 4;
}

static size_t facts_most(const struct facts *facts)
{
    size_t most = 128;

    for (size_t i = 0; facts != NULL && i < facts->n; i++) {
        const struct fact *fact = &facts->fact[i];

        most += 32 + quoted_most(fact->q.key.n);
        for (size_t k = 0; k < fact->n; k++)
            most += quoted_most(fact->value[k].n);
    }
    return most;
}

static size_t entry_most(const struct record_entry *e)
{
    enum { WORDS = 768 /* keys, numbers, client, flags, enhanced, check */ };
    size_t most = WORDS + quoted_most(e->id.n) + quoted_most(e->helo.n) + quoted_most(e->mail_from.n);

    for (size_t i = 0; i < rcpts_kept(e); i++)
        most += 32 + quoted_most(e->rcpt[i].text.n);
    return most + facts_most(e->facts) + (e->has_header ? e->header.n : 0);
}

void record_add(struct record_ring *ring, const struct record_entry *e)
{
    struct place piece;
    struct writer w;

    if (ring == NULL)
        return;
    if (!make_room(ring, entry_most(e), &piece)) {
        ring->too_large++;
        return;
    }
    w = (struct writer){ ring->memory + piece.at, 0, piece.n };
    put_entry(&w, e);
    ring->place[(ring->first + ring->kept++) % ring->max] = (struct place){ piece.at, w.n };
}

struct record_counts record_ring_counts(const struct record_ring *ring)
{
    struct record_counts counts = { 0 };

    if (ring == NULL)
        return counts;
    counts.kept = ring->kept;
    counts.too_large = ring->too_large;
    for (size_t i = 0; i < ring->kept; i++)
        counts.octets += place_at(ring, i)->n;
    return counts;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);

        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            p += written;
            n -= (size_t)written;
        }
    }
    return true;
}

bool record_dump(const struct record_ring *ring, int fd, size_t *n)
{
    for (*n = 0; ring != NULL && *n < ring->kept; ++*n) {
        const struct place *place = place_at(ring, *n);

        if (!write_all(fd, ring->memory + place->at, place->n))
            return false;
    }
    return true;
}

/* ---- from text ---- */

struct reader {
    struct str *rest;
    size_t *line;   /* number of the line that `rest` begins with */
    struct str now; /* what is left of the line being read */
};

/* Takes the next line, which begins with `key` and a blank (or is `key` alone). */
static bool next_line(struct reader *r, const char *key)
{
    size_t n = str_find(*r->rest, '\n');
    struct str word = str_of(key), line = str_from(r->rest->p, n);

    if (n == r->rest->n || n < word.n || memcmp(line.p, word.p, word.n) != 0)
        return false;
    line = str_skip(line, word.n);
    if (line.n > 0 && line.p[0] != ' ')
        return false;
    r->now = line.n > 0 ? str_skip(line, 1) : line;
    *r->rest = str_skip(*r->rest, n + 1);
    ++*r->line;
    return true;
}

/* The next bare word of the line. */
static struct str next_word(struct reader *r)
{
    size_t n = str_find(r->now, ' ');
    struct str word = str_from(r->now.p, n);

    r->now = str_skip(r->now, n < r->now.n ? n + 1 : n);
    return word;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One octet of a quoted word; 0 when it is none. */
static size_t read_octet(struct str s, char *out)
{
    int high, low;

    *out = s.p[0];
    if (is_plain(s.p[0]))
        return 1;
    if (s.n < 4 || s.p[0] != '\\' || s.p[1] != 'x')
        return 0;
    high = hex_value(s.p[2]);
    low = hex_value(s.p[3]);
    *out = (char)(high * 16 + low);
    return high >= 0 && low >= 0 ? 4 : 0;
}

/* The next word, in quotes, its octets copied to `room`. What follows it is a blank, which is taken, or the end of the line. */
static bool next_quoted(struct reader *r, char *room, size_t size, struct str *out)
{
    struct str s = r->now;
    size_t n = 0, used;

    if (s.n == 0 || s.p[0] != '"')
        return false;
    for (s = str_skip(s, 1); s.n > 0 && s.p[0] != '"'; s = str_skip(s, used)) {
        char octet;

        used = read_octet(s, &octet);
        if (used == 0 || n == size)
            return false;
        room[n++] = octet;
    }
    if (s.n == 0 || (s.n > 1 && s.p[1] != ' '))
        return false;
    r->now = str_skip(s, s.n > 1 ? 2 : 1);
    *out = str_from(room, n);
    return true;
}

static bool next_number(struct reader *r, unsigned long long max, unsigned long long *out)
{
    return str_to_u64(next_word(r), max, out);
}

static bool read_path(struct reader *r, enum path_kind kind, char room[PATH_ROOM], struct path *path)
{
    char text[PATH_ROOM], in[PATH_ROOM + 2];
    struct str word;
    size_t used;

    if (!next_quoted(r, text, sizeof text, &word) || r->now.n > 0)
        return false;
    in[0] = '<';
    memcpy(in + 1, word.p, word.n);
    in[1 + word.n] = '>';
    return path_parse(str_from(in, word.n + 2), kind, PATH_UTF8, room, path, &used) == PATH_OK && used == word.n + 2;
}

static bool read_id(struct reader *r, struct record *record)
{
    unsigned long long number;

    if (!next_line(r, "id") || !next_quoted(r, record->id_room, sizeof record->id_room, &record->id) ||
        !next_number(r, UINT32_MAX, &number))
        return false;
    record->number = (unsigned)number;
    return r->now.n == 0;
}

static bool read_client(struct reader *r, struct record *record)
{
    unsigned long long seconds;

    if (!next_line(r, "time") || !next_number(r, INT64_MAX, &seconds) || r->now.n > 0)
        return false;
    record->time = (int64_t)seconds;
    if (!next_line(r, "client") || !endpoint_parse(r->now, 0, &record->client))
        return false;
    return next_line(r, "helo") && next_quoted(r, record->helo_room, sizeof record->helo_room, &record->helo) &&
           r->now.n == 0;
}

static bool read_flags(struct reader *r, struct record *record)
{
    const struct {
        struct str name;
        bool *at;
    } flags[] = { { STR("esmtp"), &record->is_esmtp },
                  { STR("tls"), &record->is_tls },
                  { STR("authenticated"), &record->is_authenticated },
                  { STR("smtputf8"), &record->is_smtputf8 },
                  { STR("early"), &record->talked_early },
                  { STR("pipelined"), &record->pipelined } };

    if (!next_line(r, "flags"))
        return false;
    while (r->now.n > 0) {
        struct str word = next_word(r);
        size_t i = 0;

        while (i < sizeof flags / sizeof flags[0] && !str_eq(word, flags[i].name))
            i++;
        if (i == sizeof flags / sizeof flags[0] || *flags[i].at)
            return false;
        *flags[i].at = true;
    }
    return true;
}

static bool read_rcpt(struct reader *r, struct record *record)
{
    struct str word = next_word(r);
    size_t n = record->rcpts, fate = 0;

    while (fate < FATES && !str_eq(word, str_of(fates[fate])))
        fate++;
    if (fate == FATES || n == RECORD_RCPTS_MAX)
        return false;
    record->fate[n] = (enum record_rcpt_fate)fate;
    record->rcpts++;
    return read_path(r, PATH_FORWARD, record->rcpt_room[n], &record->rcpt[n]);
}

static bool read_paths(struct reader *r, struct record *record)
{
    unsigned long long all;

    if (!next_line(r, "from") || !read_path(r, PATH_REVERSE, record->mail_from_room, &record->mail_from))
        return false;
    while (next_line(r, "rcpt"))
        if (!read_rcpt(r, record))
            return false;
    if (!next_line(r, "rcpts") || !next_number(r, UINT32_MAX, &all) || all < record->rcpts || r->now.n > 0)
        return false;
    record->rcpts_all = (size_t)all;
    return true;
}

static bool read_action(struct str word, enum action *out)
{
    for (int i = ACTION_ACCEPT; i <= ACTION_REJECT; i++)
        if (str_eq(word, str_of(action_name((enum action)i)))) {
            *out = (enum action)i;
            return true;
        }
    return false;
}

static bool read_verdict(struct reader *r, struct record *record)
{
    unsigned long long size, code;
    char *room = record->check_room;

    if (!next_line(r, "size") || !next_number(r, INT64_MAX, &size) || r->now.n > 0)
        return false;
    record->size = size;
    if (!next_line(r, "verdict") || !read_action(next_word(r), &record->action) || !next_number(r, 599, &code))
        return false;
    record->code = (int)code;
    if (!next_quoted(r, room, 12, &record->enhanced))
        return false;
    return next_quoted(r, room + 12, sizeof record->check_room - 12, &record->check) && r->now.n == 0;
}

/* So many octets of `rest`, which may hold lines. */
static bool take_octets(struct reader *r, unsigned long long n, struct str *out)
{
    if (n > r->rest->n)
        return false;
    *out = str_from(r->rest->p, (size_t)n);
    *r->rest = str_skip(*r->rest, (size_t)n);
    for (size_t i = 0; i < out->n; i++)
        *r->line += out->p[i] == '\n';
    return true;
}

static bool read_facts(struct reader *r, struct record *record)
{
    unsigned long long n;

    return next_line(r, "facts") && next_number(r, SIZE_MAX / 2, &n) && r->now.n == 0 &&
           take_octets(r, n, &record->facts) && (n == 0 || record->facts.p[n - 1] == '\n');
}

static bool read_header(struct reader *r, struct record *record)
{
    unsigned long long n;

    if (!next_line(r, "header"))
        return false;
    record->has_header = !str_eq(r->now, STR("none"));
    if (!record->has_header)
        return true;
    return next_number(r, SIZE_MAX / 2, &n) && r->now.n == 0 && take_octets(r, n, &record->header) && next_line(r, "");
}

const char *record_read(struct str *rest, size_t *line, struct record *record)
{
    struct reader r = { .rest = rest, .line = line };
    static const struct {
        bool (*read)(struct reader *, struct record *);
        const char *trouble;
    } parts[] = {
        { read_id, "not an id" },
        { read_client, "not a time, client or helo" },
        { read_flags, "not flags" },
        { read_paths, "not an address" },
        { read_verdict, "not a size or verdict" },
        { read_facts, "not facts, or not as many as said" },
        { read_header, "not a header, or not as long as said" },
    };

    *record = (struct record){ 0 };
    if (!next_line(&r, "record") || !str_eq(r.now, STR("1")))
        return "not the beginning of a record this version can read";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!parts[i].read(&r, record))
            return parts[i].trouble;
    if (!next_line(&r, "end") || r.now.n > 0)
        return "not the end of a record";
    return NULL;
}
