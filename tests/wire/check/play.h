/* Both wires of a gateway out of a script, for tests of invariants: no capture file, but the real reader of
 * dialogues.
 *
 *     N> MAIL FROM:<a@x.example>     the client says a line (CRLF is added) in a packet of its own
 *     N< 250 2.1.0 OK                the gateway answers
 *     S> DATA                        the gateway says it to the back end
 *     N+ QUIT                        one more line in the packet before
 *     N} text                        no CRLF is added ("{" for the server)
 *
 * Wires: N and M are clients', S and R are the back end's for N, T for M; P is a probe, O an orphan. In a text \r \n
 * \t \0 and \xHH are octets, \{998a} is 998 times "a". Each packet comes 1 ms after the one before; a connection is
 * opened half a millisecond before its first packet. */
#ifndef WIRE_PLAY_H
#define WIRE_PLAY_H

#include <stdlib.h>
#include <unistd.h>

#include "invariant.h"

#include "test.h"

enum { PLAY_WIRES = 7 };

struct play {
    struct trial t;
    struct connection connection[PLAY_WIRES];
    struct dialogue dialogue[PLAY_WIRES];
    const struct dialogue *south[PLAY_WIRES][2], *lone[2]; /* of each session; probes and orphans */
    struct session session[2];
    struct tls_session hidden;
    struct tally tally;
    uint32_t frame;
};

enum verdict { NOTHING, HELD, UNSURE, VIOLATED };

static const char play_wires[] = "NMSRTPO";

static inline int64_t play_time(uint32_t frame)
{
    return 1000000 * (int64_t)frame;
}

static inline void play_add(struct play *p, char wire, char direction, const void *octets, size_t n)
{
    struct connection *c = &p->connection[strchr(play_wires, wire) - play_wires];
    enum side side = direction == '<' || direction == '{' ? SERVER : CLIENT;
    struct stream *s = &c->stream[side];

    if (direction != '+')
        p->frame++;
    if (c->packets++ == 0) {
        c->time = play_time(p->frame) - 500000;
        c->frame = p->frame;
        c->has_start = true;
    }
    c->last_time = play_time(p->frame);
    if (direction != '+') {
        s->span = array_grow(s->span, s->span_n, sizeof *s->span);
        s->span[s->span_n++] = (struct span){ s->octets.n, p->frame, play_time(p->frame) };
    }
    buffer_add(&s->octets, octets, n);
}

static inline void play_text(struct buffer *out, const char *p, const char *end)
{
    for (; p < end; p++) {
        const char *found = *p == '\\' && p + 1 < end ? strchr("r\rn\nt\t0", p[1]) : NULL;
        char octet = *p;

        if (*p == '\\' && p + 3 < end && p[1] == 'x') {
            octet = (char)strtol((char[]){ p[2], p[3], '\0' }, NULL, 16);
            p += 3;
        } else if (*p == '\\' && p + 3 < end && p[1] == '{') {
            char *last;

            for (long n = strtol(p + 2, &last, 10); n > 1; n--)
                buffer_add(out, last, 1);
            octet = *last;
            p = last + 1;
        } else if (found != NULL) {
            octet = p[1] == '0' ? '\0' : found[1];
            p++;
        }
        buffer_add(out, &octet, 1);
    }
}

static inline void play_line(struct play *p, const char *line, const char *end)
{
    struct buffer text = { 0 };

    play_text(&text, line + (end - line > 2 ? 3 : 2), end);
    if (line[1] != '}' && line[1] != '{')
        buffer_add(&text, "\r\n", 2);
    play_add(p, line[0], line[1], text.p, text.n);
    buffer_free(&text);
}

static inline void play_settings(struct play *p, const char *ini)
{
    char path[] = "/tmp/wirecheck-play-XXXXXX";
    int fd = ini != NULL ? mkstemp(path) : -1;

    if (fd >= 0) {
        CHECK(write(fd, ini, strlen(ini)) == (ssize_t)strlen(ini));
        close(fd);
    }
    settings_read(&p->t.settings, fd >= 0 ? path : NULL);
    if (fd >= 0)
        unlink(path);
}

/* A transaction north and the first one south with the same sender that nobody has. */
static inline void play_pairs(struct session *s)
{
    size_t used[2] = { 0 };

    for (size_t i = 0; i < s->north->transaction_n; i++) {
        struct pair pair = { .session = s, .north = &s->north->transaction[i] };

        for (size_t k = 0; k < s->south_n && pair.south == NULL; k++) {
            if (used[k] >= s->south[k]->transaction_n)
                continue;
            if (!slice_equal(s->south[k]->transaction[used[k]].from.path, pair.north->from.path))
                continue;
            pair.south_dialogue = s->south[k];
            pair.south = &s->south[k]->transaction[used[k]++];
        }
        s->pair = array_grow(s->pair, s->pair_n, sizeof *s->pair);
        s->pair[s->pair_n++] = pair;
    }
}

static inline void play_read(struct play *p, size_t i)
{
    struct connection *c = &p->connection[i];
    struct dialogue_hints hints = { .may_have_proxy_header = true };

    for (int side = CLIENT; side <= SERVER; side++) {
        c->stream[side].is_ended = true;
        c->stream[side].end_frame = ++p->frame;
        c->stream[side].end_time = play_time(p->frame);
    }
    if (c->end[CLIENT].port == 0)
        endpoint_parse(&c->end[CLIENT], slice_of("203.0.113.9:40000"));
    dialogue_read(&p->dialogue[i], c, &hints);
}

static inline void play_join(struct play *p)
{
    static const char of[2][2] = { { 'S', 'R' }, { 'T', 'T' } };

    for (size_t i = 0; i < 2; i++) {
        struct session *s = &p->session[p->t.session_n];

        if (p->connection[i].packets == 0)
            continue;
        *s = (struct session){ .north = &p->dialogue[i], .south = p->south[i] };
        for (size_t k = 0; k < 2 - i; k++) {
            size_t w = (size_t)(strchr(play_wires, of[i][k]) - play_wires);

            if (p->connection[w].packets > 0)
                s->south[s->south_n++] = &p->dialogue[w];
        }
        play_pairs(s);
        p->t.session_n++;
    }
    p->t.session = p->session;
    p->lone[0] = &p->dialogue[5];
    p->lone[1] = &p->dialogue[6];
    p->t.probe = &p->lone[0];
    p->t.probe_n = p->connection[5].packets > 0;
    p->t.orphan = &p->lone[1];
    p->t.orphan_n = p->connection[6].packets > 0;
    p->t.north.is_present = p->connection[0].packets > 0;
    p->t.south.is_present = true;
}

/* Plays lines that end in '\n'. `ini` NULL: no configuration. */
static inline void play_start(struct play *p, const char *script, const char *ini)
{
    memset(p, 0, sizeof *p);
    p->frame = 10;
    play_settings(p, ini);
    while (*script != '\0') {
        const char *end = strchr(script, '\n');

        play_line(p, script, end);
        script = end + 1;
    }
}

static inline void play_ready(struct play *p)
{
    for (size_t i = 0; i < PLAY_WIRES; i++)
        if (p->connection[i].packets > 0)
            play_read(p, i);
    play_join(p);
}

/* What this invariant says of it. */
static inline enum verdict play_judge(struct play *p, const struct invariant *family, const char *id)
{
    while (family->id != NULL && strcmp(family->id, id) != 0)
        family++;
    CHECK(family->id != NULL);
    family->judge(&p->t, &p->tally);
    return p->tally.violated > 0       ? VIOLATED
           : p->tally.inconclusive > 0 ? UNSURE
           : p->tally.checked > 0      ? HELD
                                       : NOTHING;
}

static inline void play_end(struct play *p)
{
    for (size_t i = 0; i < p->tally.violation_n; i++) {
        free(p->tally.violation[i].what);
        free(p->tally.violation[i].evidence);
    }
    free(p->tally.violation);
    free(p->tally.doubt);
    for (size_t i = 0; i < p->t.session_n; i++)
        free(p->session[i].pair);
    for (size_t i = 0; i < PLAY_WIRES; i++) {
        if (p->connection[i].packets > 0)
            dialogue_free(&p->dialogue[i]);
        for (int side = CLIENT; side <= SERVER; side++) {
            buffer_free(&p->connection[i].stream[side].octets);
            free(p->connection[i].stream[side].span);
        }
    }
    settings_free(&p->t.settings);
}

/* A row of a table test. */
struct play_row {
    const char *name, *id;
    enum verdict want;
    const char *ini, *script;
};

static inline void play_rows(const struct play_row *row, size_t n, const struct invariant *family)
{
    static const char *const names[] = { "NOTHING", "HELD", "UNSURE", "VIOLATED" };

    for (size_t i = 0; i < n; i++) {
        struct play p;
        enum verdict got;

        CHECK_ROW(row[i].name);
        play_start(&p, row[i].script, row[i].ini);
        play_ready(&p);
        got = play_judge(&p, family, row[i].id);
        CHECK_EQ_STR(names[got], strlen(names[got]), names[row[i].want]);
        if (got == VIOLATED)
            CHECK(p.tally.violation_n == 0 || p.tally.violation[0].evidence_n > 0);
        play_end(&p);
    }
}

#define PLAY_ROWS(rows, family) play_rows(rows, sizeof(rows) / sizeof *(rows), family)

#endif
