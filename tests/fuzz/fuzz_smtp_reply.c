/* Replies of any back end, cut anywhere: the same events as uncut, and what is printed of them is bounded,
 * clean and has one code (ORACLE F-7, F-8). Input: an octet for the cuts, the stream.
 */
#include "fuzz.h"

#include "../../proxy/smtp_reply.h"

enum { STREAM_MAX = 100000 };

static void require_sound_line(struct str line, bool is_last, const char *code)
{
    REQUIRE(line.n >= 6 && line.n <= REPLY_LINE_MAX && memcmp(line.p, code, 3) == 0);
    REQUIRE(line.p[3] == (is_last ? ' ' : '-'));
    REQUIRE(line.p[line.n - 2] == '\r');
    for (size_t i = 0; i < line.n - 2; i++)
        REQUIRE(line.p[i] >= ' ' && line.p[i] <= '~');
}

static void require_sound(struct str out)
{
    const char *code = out.p;
    unsigned lines = 0;

    REQUIRE(out.n > 0);
    while (out.n > 0) {
        size_t n = str_find(out, '\n') + 1;

        REQUIRE(n <= out.n && ++lines <= REPLY_LINES_MAX);
        require_sound_line(str_from(out.p, n), n == out.n, code);
        out = str_skip(out, n);
    }
}

static void take(struct reply_reader *r)
{
    static char out[REPLY_BYTES_MAX];
    struct reply reply = reply_take(r);

    REQUIRE(reply.code >= 200 && reply.code <= 599 && reply.text.n <= REPLY_TEXT_MAX);
    REQUIRE(reply.enhanced.n == 0 || reply.enhanced.p[0] - '0' == reply.code / 100);
    require_sound(str_from(out, reply_print(&reply, STR("id"), out, sizeof out)));
    require_sound(str_from(out, reply_print(&reply, STR(""), out, REPLY_LINE_MAX)));
}

/* What was read, as a number: positions, codes and sizes of all replies, and where it broke. */
static uint64_t read_replies(struct str in, struct cuts *cuts)
{
    static struct reply_reader r;
    enum reply_event event = REPLY_NONE;
    uint64_t sum = 0;
    size_t at = 0;

    reply_reader_init(&r);
    while (at < in.n && event != REPLY_BROKEN) {
        size_t n = cuts != NULL ? cut_next(cuts, in.n - at) : in.n - at, used;

        event = reply_read(&r, str_from(in.p + at, n), &used);
        REQUIRE(used > 0 && used <= n && (event != REPLY_NONE || used == n));
        at += used;
        if (event == REPLY_READY) {
            take(&r);
            sum = sum * 31 + at + (uint64_t)r.code * r.text_n;
        }
    }
    return sum * 31 + at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in;
    struct cuts cuts;

    if (size < 1 || size > STREAM_MAX)
        return 0;
    cuts.state = data[0];
    in = str_from((const char *)data + 1, size - 1);
    REQUIRE(read_replies(in, &cuts) == read_replies(in, NULL));
    return 0;
}
