/* Canonical bodies, streamed.
 *
 * What the canonical form leaves alone goes into the hash as a slice of the input, many lines at a time. What it may
 * have to change waits in the state until it is known: line ends (the body may be over), white space and a CR (the
 * line may be over). They go out in this order before the next octet of content: line ends, one SP, CR.
 *
 * Only CRLF ends a line. A bare CR or LF, should one come, is content.
 */
#include "body_hash.h"

#include "dkim.h"

/* ---- into the hashes ---- */

static void flush(struct body_canon *canon)
{
    sha256_add(&canon->sha, str_from(canon->staged, canon->staged_n));
    canon->staged_n = 0;
}

/* Long pieces go into the hash as they lie, short ones are gathered first: a call costs as much as hashing some
 * octets.
 */
static void feed(struct body_canon *canon, struct str octets)
{
    if (octets.n > sizeof canon->staged - canon->staged_n)
        flush(canon);
    if (octets.n > sizeof canon->staged / 2) {
        flush(canon);
        sha256_add(&canon->sha, octets);
    } else if (octets.n > 0) {
        memcpy(canon->staged + canon->staged_n, octets.p, octets.n);
        canon->staged_n += octets.n;
    }
}

/* Takes the hashes whose limit is reached, and finds the next. */
static void take_hashes(struct body_hashes *b, bool is_relaxed)
{
    struct body_canon *canon = &b->canon[is_relaxed];

    flush(canon);
    canon->is_hashing = false;
    canon->next_limit = UINT64_MAX;
    for (size_t i = 0; i < b->n; i++) {
        struct body_hash *hash = &b->hash[i];
        struct sha256 sha = canon->sha;

        if (hash->is_relaxed != is_relaxed || hash->is_taken)
            continue;
        hash->is_taken = hash->limit == canon->length;
        if (hash->is_taken)
            sha256_end(&sha, hash->digest);
        else
            canon->is_hashing = true;
        if (!hash->is_taken && hash->limit < canon->next_limit)
            canon->next_limit = hash->limit;
    }
}

/* Appends to the canonical body. */
static void emit(struct body_hashes *b, bool is_relaxed, struct str octets)
{
    struct body_canon *canon = &b->canon[is_relaxed];

    while (octets.n >= canon->next_limit - canon->length && canon->is_hashing) {
        struct str before = str_from(octets.p, (size_t)(canon->next_limit - canon->length));

        feed(canon, before);
        canon->length += before.n;
        octets = str_skip(octets, before.n);
        take_hashes(b, is_relaxed);
    }
    if (canon->is_hashing)
        feed(canon, octets);
    canon->length += octets.n;
}

static void emit_line_ends(struct body_hashes *b, bool is_relaxed)
{
    static const char many[] =
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
    const uint64_t most = (sizeof many - 1) / 2;
    uint64_t *waiting = &b->canon[is_relaxed].line_ends;

    while (*waiting > 0) {
        uint64_t n = *waiting < most ? *waiting : most;

        emit(b, is_relaxed, str_from(many, (size_t)n * 2));
        *waiting -= n;
    }
}

/* Something follows: what waited counts. */
static void emit_waiting(struct body_hashes *b, bool is_relaxed)
{
    struct body_canon *canon = &b->canon[is_relaxed];

    emit_line_ends(b, is_relaxed);
    if (canon->blank)
        emit(b, is_relaxed, STR(" "));
    if (canon->cr)
        emit(b, is_relaxed, STR("\r"));
    canon->blank = canon->cr = false;
}

/* ---- canonical forms ---- */

static bool is_line_octet(char c)
{
    return c == '\r' || c == '\n';
}

/* An octet that may be part of a line end. */
static void take_line_octet(struct body_hashes *b, bool is_relaxed, char c)
{
    struct body_canon *canon = &b->canon[is_relaxed];

    if (c == '\n' && canon->cr) {
        canon->cr = canon->blank = false;
        canon->line_ends++;
    } else if (c == '\r') {
        if (canon->cr)
            emit_waiting(b, is_relaxed);
        canon->cr = true;
    } else {
        emit_waiting(b, is_relaxed);
        emit(b, is_relaxed, STR("\n"));
    }
}

static size_t without_line_octets(struct str s)
{
    while (s.n > 0 && is_line_octet(s.p[s.n - 1]))
        s.n--;
    return s.n;
}

/* 3.4.3: the body as it is, but for the empty lines at its end. So all before the last octet that is no CR or LF goes
 * out in one piece.
 */
static void add_simple(struct body_hashes *b, struct str in)
{
    size_t n;

    if (b->canon[false].cr && in.n > 0 && in.p[0] == '\n') {
        take_line_octet(b, false, '\n');
        in = str_skip(in, 1);
    }
    n = without_line_octets(in);
    if (n > 0) {
        emit_waiting(b, false);
        emit(b, false, str_from(in.p, n));
    }
    for (; n < in.n; n++)
        take_line_octet(b, false, in.p[n]);
}

/* Whether the relaxed form may change something here: a HT, or a SP before a SP, a HT or the end of the line. */
static bool is_changed(char c, char next)
{
    return c == '\t' || (c == ' ' && (unsigned char)next <= ' ');
}

enum { SHORT = 16, BLOCK = 32 };

/* Whether is_changed anywhere in the block (whose last octet has a next one, too). Without branches, so that compilers
 * make vector instructions of it: 1.2 instructions an octet.
 */
static bool is_block_changed(const char *p)
{
    unsigned char changed = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        unsigned char c = (unsigned char)p[i], next = (unsigned char)p[i + 1];

        changed |= (unsigned char)((c == '\t') | ((c == ' ') & (next <= ' ')));
    }
    return changed != 0;
}

/* Where is_changed first, from `n` on, or `end`. */
static size_t find_changed(struct str s, size_t n, size_t end)
{
    while (n < end && !is_changed(s.p[n], n + 1 < s.n ? s.p[n + 1] : ' '))
        n++;
    return n;
}

/* Length of the piece at the front that the relaxed form leaves as it is, up to an octet of content. `s` begins with
 * one.
 */
static size_t unchanged_length(struct str s)
{
    size_t n = find_changed(s, 0, s.n < SHORT ? s.n : SHORT);

    if (n == SHORT) { /* blocks are for long pieces: in indented text the next change is near */
        while (s.n - n > BLOCK && !is_block_changed(s.p + n))
            n += BLOCK;
        n = find_changed(s, n, s.n);
    }
    while (is_line_octet(s.p[n - 1]) || ascii_is_blank(s.p[n - 1]))
        n--;
    return n;
}

/* 3.4.4: white space becomes one SP, and nothing at the end of a line; empty lines at the end are left out. Linear:
 * what unchanged_length looked at and gave back is all white space and line ends, which the next turns take one by
 * one.
 */
static void add_relaxed(struct body_hashes *b, struct str in)
{
    struct body_canon *canon = &b->canon[true];

    while (in.n > 0) {
        size_t n = 1;

        if (is_line_octet(in.p[0])) {
            take_line_octet(b, true, in.p[0]);
        } else if (ascii_is_blank(in.p[0])) {
            if (canon->cr)
                emit_waiting(b, true);
            canon->blank = true;
        } else {
            n = unchanged_length(in);
            emit_waiting(b, true);
            emit(b, true, str_from(in.p, n));
        }
        in = str_skip(in, n);
    }
}

/* The end: a CR that waited was content; one line end is left of those that waited, and added where there was none. The
 * simple form of an empty body is CRLF, the relaxed form is empty (3.4.3, 3.4.4).
 */
static void end_form(struct body_hashes *b, bool is_relaxed)
{
    struct body_canon *canon = &b->canon[is_relaxed];

    if (canon->cr)
        emit_waiting(b, is_relaxed);
    if (!is_relaxed || canon->length > 0)
        emit(b, is_relaxed, STR("\r\n"));
}

/* ---- which hashes ---- */

static void want(struct body_hashes *b, const struct dkim_signature *s)
{
    struct body_hash hash = { .is_relaxed = s->body_relaxed,
                              .has_limit = s->has_limit,
                              .limit = s->has_limit ? s->limit : UINT64_MAX };

    for (size_t i = 0; i < b->n; i++)
        if (b->hash[i].is_relaxed == hash.is_relaxed && b->hash[i].has_limit == hash.has_limit &&
            b->hash[i].limit == hash.limit)
            return;
    if (b->n < BODY_HASHES_MAX)
        b->hash[b->n++] = hash;
    b->canon[hash.is_relaxed].is_wanted = true;
}

static void find_signatures(struct body_hashes *b, struct str header, size_t signatures)
{
    struct dkim_signature newest = { .instance = 0 }, s;
    struct header_field field;
    size_t seen = 0;

    while (header_next_anywhere(&header, &field)) {
        if (header_is(&field, STR("DKIM-Signature")) && seen < signatures) {
            seen++;
            if (dkim_signature_read(&field, SIGNATURE_DKIM, &s) == NULL && s.algorithm != ALGORITHM_RSA_SHA1)
                want(b, &s);
        } else if (header_is(&field, STR("ARC-Message-Signature"))) {
            if (dkim_signature_read(&field, SIGNATURE_AMS, &s) == NULL && s.instance > newest.instance)
                newest = s;
        }
    }
    if (newest.instance > 0)
        want(b, &newest);
}

void body_hashes_begin(struct body_hashes *b, struct str header, size_t signatures)
{
    *b = (struct body_hashes){ .n = 0 };
    find_signatures(b, header, signatures < DKIM_SIGNATURES_MAX ? signatures : DKIM_SIGNATURES_MAX);
    for (int form = 0; form < 2; form++) {
        sha256_begin(&b->canon[form].sha);
        take_hashes(b, form == 1);
    }
}

void body_hashes_add(struct body_hashes *b, struct str octets)
{
    if (b->canon[false].is_wanted)
        add_simple(b, octets);
    if (b->canon[true].is_wanted)
        add_relaxed(b, octets);
}

/* ---- the answers ---- */

struct str body_hash_name(bool is_relaxed, bool has_limit, uint64_t limit, char out[BODY_HASH_NAME_MAX])
{
    struct arena arena;
    const char *form = is_relaxed ? "relaxed" : "simple";

    arena_init(&arena, out, BODY_HASH_NAME_MAX);
    return has_limit ? arena_printf(&arena, "%s %llu", form, (unsigned long long)limit)
                     : arena_printf(&arena, "%s", form);
}

static void answer(const struct body_hash *hash, uint64_t length, struct facts *facts)
{
    char name[BODY_HASH_NAME_MAX], room[128];
    struct str value[2];
    struct arena arena;

    arena_init(&arena, room, sizeof room);
    value[0] = base64_print(str_from((const char *)hash->digest, SHA256_SIZE), &arena);
    value[1] = arena_printf(&arena, "%llu", (unsigned long long)length);
    facts_give(facts,
               (struct question){ ASK_BODY, body_hash_name(hash->is_relaxed, hash->has_limit, hash->limit, name) },
               FACT_OK, value, 2);
}

void body_hashes_end(struct body_hashes *b, struct facts *facts)
{
    for (int form = 0; form < 2; form++)
        if (b->canon[form].is_wanted)
            end_form(b, form == 1);
    flush(&b->canon[false]);
    flush(&b->canon[true]);
    for (size_t i = 0; i < b->n; i++) {
        struct body_canon *canon = &b->canon[b->hash[i].is_relaxed];
        struct sha256 sha = canon->sha;

        if (!b->hash[i].is_taken) /* of the whole body, or l= is longer than it */
            sha256_end(&sha, b->hash[i].digest);
        answer(&b->hash[i], canon->length, facts);
    }
}
