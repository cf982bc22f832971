/* See smtp_data.h.
 *
 * Two layers, in one pass. The framing looks at the raw stream: where a line ends, which dot is stuffing,
 * where the data end; it is a handful of states, each named after what was read last. The body layer looks at
 * what is handed out, and knows only the last eight octets of it (`recent`): enough to see that a dot stands
 * alone between two line ends, because UTF-8 can be read backwards. So the text between two line ends costs
 * nothing but the search for the next odd octet.
 */
#include "smtp_data.h"

#include <assert.h>

/* The framing, by what the raw stream ended with. A CR is held (known, not handed out) until the next octet
 * tells what it is; a dot at a line start is never body, so nothing is held for it.
 */
enum state {
    IN_LINE,
    LINE_START, /* CRLF, or nothing: the data may start with the "." that ends them, RFC 5321 4.1.1.4 */
    AFTER_CR,
    AFTER_DOT,    /* LINE_START "." */
    AFTER_DOT_CR, /* LINE_START "." CR */
    STATES
};

enum { CRLF16 = 0x0d0a };

static const struct str crlf = STR_INIT("\r\n");

/* ---- the search for octets worth a look ---- */

/* CR and LF; NUL; the single-octet line ends of lenient parsers (VT, FF, SUB, NEL); and the last octets of
 * U+2028 and U+2029 in UTF-8. U+0085 ends in 0x85 there too.
 */
static const bool is_odd[256] = {
    [0x00] = true, ['\n'] = true, ['\v'] = true, ['\f'] = true, ['\r'] = true,
    [0x1a] = true, [0x85] = true, [0xa8] = true, [0xa9] = true,
};

#define EACH_OCTET(x) (UINT64_C(0x0101010101010101) * (x))

static inline uint64_t load_word(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* A top bit is set in the result when an octet of the word is below 0x20 or above 0x7f. (The borrow of an
 * octet below 0x20 may set bits above it, but then the answer is "yes" already.)
 */
static inline uint64_t not_text(uint64_t word)
{
    return ((word - EACH_OCTET(0x20)) | word) & EACH_OCTET(0x80);
}

/* Nonzero when an octet of the word is below `limit` (at most 0x80), by the same subtraction. */
static inline uint64_t has_below(uint64_t word, uint64_t limit)
{
    return (word - EACH_OCTET(limit)) & ~word & EACH_OCTET(0x80);
}

/* Zero when none of the word's octets is odd: for text in UTF-8 or other 8-bit characters. */
static inline uint64_t may_be_odd(uint64_t word)
{
    uint64_t nel = word ^ EACH_OCTET(0x85);
    uint64_t separator = (word ^ EACH_OCTET(0xa8)) & ~EACH_OCTET(0x01); /* 0xa8 and 0xa9 */

    return has_below(word, 0x20) | has_below(nel, 1) | has_below(separator, 1);
}

static const char *skip_text(const char *p, const char *end)
{
    while (end - p >= 16 && (not_text(load_word(p)) | not_text(load_word(p + 8))) == 0)
        p += 16;
    return end - p >= 8 && not_text(load_word(p)) == 0 ? p + 8 : p;
}

static const char *skip_wide_text(const char *p, const char *end)
{
    while (end - p >= 8 && may_be_odd(load_word(p)) == 0)
        p += 8;
    return p;
}

/* The first odd octet at or after p. Where the text in ASCII ends, it is most often the CR, so octets are
 * looked at one by one; when eight of them were none, the text is 8-bit.
 */
static const char *find_odd(const char *p, const char *end)
{
    for (;;) {
        const char *stop;

        p = skip_text(p, end);
        for (stop = end - p > 8 ? p + 8 : end; p < stop; p++)
            if (is_odd[(unsigned char)*p])
                return p;
        if (p == end)
            return p;
        p = skip_wide_text(p, end);
    }
}

/* ---- the dot that stands alone ---- */

static inline bool is_continuation(uint64_t octet)
{
    return (octet & 0xc0) == 0x80;
}

/* True when the last octet of `recent`, 0x85, ends a well-formed UTF-8 character (RFC 3629 4) that is not
 * U+0085.
 */
static bool is_inside_character(uint64_t recent)
{
    unsigned b1 = recent >> 8 & 0xff, b2 = recent >> 16 & 0xff, b3 = recent >> 24 & 0xff;

    if (b1 >= 0xc3 && b1 <= 0xdf)
        return true;
    if (!is_continuation(b1))
        return false;
    if (b2 >= 0xe0 && b2 <= 0xef) /* no overlong form, no surrogate */
        return (b2 != 0xe0 || b1 >= 0xa0) && (b2 != 0xed || b1 <= 0x9f);
    if (!is_continuation(b2) || b3 < 0xf0 || b3 > 0xf4)
        return false;
    return (b3 != 0xf0 || b2 >= 0x90) && (b3 != 0xf4 || b2 <= 0x8f);
}

/* The length in octets of the lenient line end that `recent` ends with, 0 if it ends with none. */
static unsigned lenient_end(uint64_t recent)
{
    switch (recent & 0xff) {
    case '\v':
    case '\f':
    case 0x1a: return 1;
    case 0x85:
        if ((recent >> 8 & 0xff) == 0xc2)
            return 2;
        return is_inside_character(recent) ? 0 : 1;
    case 0xa8:
    case 0xa9: return (recent >> 8 & 0xffff) == 0xe280 ? 3 : 0;
    default: return 0;
    }
}

/* `before` are the octets in front of a line end. With CRLF on both sides the dot is an ordinary stuffed
 * line.
 */
static bool is_lone_dot(uint64_t before, bool end_is_lenient)
{
    if ((before & 0xff) != '.')
        return false;
    before >>= 8;
    return lenient_end(before) > 0 || (end_is_lenient && (before & 0xffff) == CRLF16);
}

/* True when `c` behind `before` completes a lenient line end, and a lone dot with it. */
static bool makes_lone_dot(uint64_t before, unsigned char c)
{
    uint64_t recent = before << 8 | c;
    unsigned n = lenient_end(recent);

    return n > 0 && is_lone_dot(recent >> 8 * n, true);
}

/* The last eight body octets before `p`, when [run, p) follows what was handed out so far. */
static uint64_t recent_at(const struct data_decoder *d, const char *run, const char *p)
{
    uint64_t recent = d->recent;

    for (const char *q = p - run > 8 ? p - 8 : run; q < p; q++)
        recent = recent << 8 | (unsigned char)*q;
    return recent;
}

/* ---- what comes out ---- */

void data_init(struct data_decoder *d, bool is_bdat, bool binary, bool normalise)
{
    assert(is_bdat || !binary); /* RFC 3030 3: BINARYMIME cannot be sent with DATA */
    *d = (struct data_decoder){
        .is_bdat = is_bdat,
        .binary = binary,
        .normalise = normalise,
        .state = is_bdat ? IN_LINE : LINE_START,
        .recent = CRLF16,
        .line_start = true,
    };
}

static enum data_event emit(struct data_decoder *d, struct str run)
{
    if (d->fault != DATA_CLEAN || run.n == 0)
        return DATA_NEED;
    d->chunk = run;
    d->chunk_at_line_start = d->line_start;
    d->bytes += run.n;
    d->recent = recent_at(d, run.p, run.p + run.n);
    d->line_start = (d->recent & 0xffff) == CRLF16;
    return DATA_CHUNK;
}

/* The first fault is the one that counts; from then on emit() gives nothing. */
static enum data_event blame(struct data_decoder *d, enum data_fault fault)
{
    if (d->fault == DATA_CLEAN) {
        d->fault = fault;
        d->fault_offset = d->bytes;
    }
    return DATA_NEED;
}

static enum data_event end_line(struct data_decoder *d)
{
    if (is_lone_dot(d->recent, false))
        return blame(d, DATA_LONE_DOT);
    return emit(d, crlf);
}

/* A bare CR or LF: CRLF in normalise mode. The framing is not told: this is a line end of the body, not of
 * the stream, so that a dot behind it is neither stuffing nor the end.
 */
static enum data_event mend(struct data_decoder *d, enum data_fault fault)
{
    if (!d->normalise)
        return blame(d, fault);
    d->was_mended = true;
    return end_line(d);
}

static enum data_event drop_nul(struct data_decoder *d)
{
    if (!d->normalise)
        return blame(d, DATA_NUL);
    d->was_mended = true;
    return DATA_NEED;
}

/* ---- the framing ---- */

/* True when the CR at p is part of a CRLF that needs no closer look. */
static bool is_plain_crlf(const struct data_decoder *d, const char *run, const char *p, const char *end)
{
    if (end - p < 2 || p[1] != '\n')
        return false;
    if (p > run && p[-1] != '.')
        return true;
    return !is_lone_dot(recent_at(d, run, p), false);
}

/* True when the octet at p must not be handed out as it is, or not without a closer look. U+2028 and U+2029,
 * the longest lenient line ends, have two octets between the dot and the one at p.
 */
static bool is_stop(const struct data_decoder *d, const char *run, const char *p)
{
    if (*p == '\n' || *p == '\0')
        return true;
    if (p - run >= 3 && p[-1] != '.' && p[-2] != '.' && p[-3] != '.')
        return false;
    return makes_lone_dot(recent_at(d, run, p), (unsigned char)*p);
}

/* Where the run of body octets that starts at `run` and can be handed out as it is ends: at the input's end,
 * behind the CRLF in front of a dot, or before an octet that take_odd() must look at.
 */
static const char *find_run_end(const struct data_decoder *d, const char *run, const char *end)
{
    const char *p = run;

    while ((p = find_odd(p, end)) < end) {
        if (*p == '\r') {
            if (!is_plain_crlf(d, run, p, end))
                return p;
            p += 2;
            if (p < end && *p == '.' && !d->is_bdat)
                return p;
        } else if (is_stop(d, run, p)) {
            return p;
        } else {
            p++;
        }
    }
    return p;
}

/* The octet that stopped a run. */
static enum data_event take_odd(struct data_decoder *d, char c)
{
    switch (c) {
    case '\r': d->state = AFTER_CR; return DATA_NEED;
    case '\n': return mend(d, DATA_BARE_LF);
    case '\0': return drop_nul(d);
    default: return blame(d, DATA_LONE_DOT);
    }
}

static enum data_event read_in_line(struct data_decoder *d, struct str in, size_t *at)
{
    const char *run = in.p + *at, *end = in.p + in.n;
    const char *stop = find_run_end(d, run, end);

    if (stop == run) {
        ++*at;
        return take_odd(d, *run);
    }
    *at += (size_t)(stop - run);
    if (stop[-1] == '\n' && !d->is_bdat) /* a run has no LF but in CRLF */
        d->state = LINE_START;
    return emit(d, str_from(run, (size_t)(stop - run)));
}

static enum data_event read_line_start(struct data_decoder *d, struct str in, size_t *at)
{
    d->state = in.p[*at] == '.' ? AFTER_DOT : IN_LINE;
    *at += d->state == AFTER_DOT;
    return DATA_NEED;
}

/* RFC 5321 4.5.2: with anything behind it but CRLF, a dot at the line's start is deleted. */
static enum data_event read_after_dot(struct data_decoder *d, struct str in, size_t *at)
{
    d->state = in.p[*at] == '\r' ? AFTER_DOT_CR : IN_LINE;
    *at += d->state == AFTER_DOT_CR;
    return DATA_NEED;
}

static enum data_event read_after_dot_cr(struct data_decoder *d, struct str in, size_t *at)
{
    if (in.p[*at] != '\n') {
        d->state = AFTER_CR;
        return DATA_NEED;
    }
    ++*at;
    d->state = LINE_START;
    return DATA_END;
}

static enum data_event read_after_cr(struct data_decoder *d, struct str in, size_t *at)
{
    if (in.p[*at] != '\n') {
        d->state = IN_LINE;
        return mend(d, DATA_BARE_CR);
    }
    ++*at;
    d->state = d->is_bdat ? IN_LINE : LINE_START;
    return end_line(d);
}

typedef enum data_event reader(struct data_decoder *, struct str, size_t *);

static reader *const readers[STATES] = {
    [IN_LINE] = read_in_line,     [LINE_START] = read_line_start,     [AFTER_CR] = read_after_cr,
    [AFTER_DOT] = read_after_dot, [AFTER_DOT_CR] = read_after_dot_cr,
};

enum data_event data_read(struct data_decoder *d, struct str in, size_t *used)
{
    enum data_event event = DATA_NEED;
    size_t at = 0;

    if (d->binary) {
        *used = in.n;
        return emit(d, in);
    }
    while (at < in.n && event == DATA_NEED)
        event = readers[d->state](d, in, &at);
    *used = at;
    return event;
}

void data_finish(struct data_decoder *d)
{
    if (d->binary)
        return;
    if (d->state == AFTER_CR) {
        d->state = IN_LINE;
        if (d->normalise)
            d->was_mended = true;
        else
            blame(d, DATA_BARE_CR);
    }
    /* Whoever sends this body on by DATA puts a CRLF behind it. */
    if (is_lone_dot(d->recent, false))
        blame(d, DATA_LONE_DOT);
}

const char *data_fault_name(enum data_fault fault)
{
    static const char *const names[] = {
        [DATA_CLEAN] = "clean", [DATA_BARE_CR] = "bare_cr",   [DATA_BARE_LF] = "bare_lf",
        [DATA_NUL] = "nul",     [DATA_LONE_DOT] = "lone_dot",
    };

    return names[fault];
}

/* ---- the other direction ---- */

/* The first dot that starts a line at or after `from`, or in.n. A clean body has LF in CRLF only, so LF is
 * the mark, and a body may be cut anywhere, even within its CRLFs.
 */
static size_t find_dot_line(struct str in, size_t from)
{
    while (from < in.n) {
        from += str_find(str_skip(in, from), '\n') + 1;
        if (from < in.n && in.p[from] == '.')
            return from;
    }
    return in.n;
}

bool data_stuff(struct str in, bool *at_line_start, bool (*put)(void *to, struct str run), void *to)
{
    size_t run = 0;
    size_t dot = in.n > 0 && *at_line_start && in.p[0] == '.' ? 0 : find_dot_line(in, 0);

    for (; dot < in.n; dot = find_dot_line(in, dot)) {
        if (!put(to, str_from(in.p + run, dot + 1 - run)))
            return false;
        run = dot; /* the dot goes out a second time, in front of the next run */
    }
    if (in.n == 0)
        return true;
    *at_line_start = in.p[in.n - 1] == '\n';
    return put(to, str_skip(in, run));
}
