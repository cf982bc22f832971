/* The data decoder on any stream, cut anywhere: the same as the naive model, and never a second end of data
 * for the back end (ORACLE F-1, F-2). Input: an octet for the mode, an octet for the cuts, the stream.
 */
#include "fuzz.h"

#include "../unit/data_oracle.h"

enum { STREAM_MAX = 2000 };

static void read_in_pieces(struct data_decoder *d, struct str in, struct cuts cuts, struct data_result *out)
{
    while (in.n > 0 && !out->is_ended) {
        struct str piece = str_from(in.p, cut_next(&cuts, in.n));

        while (piece.n > 0 && !out->is_ended) {
            size_t used;
            enum data_event event = data_read(d, piece, &used);

            REQUIRE(used <= piece.n && (event != DATA_NEED || used == piece.n));
            if (event == DATA_CHUNK) {
                REQUIRE(d->chunk.n > 0);
                bytes_add(&out->body, d->chunk);
            }
            out->is_ended = event == DATA_END;
            out->used += used;
            in = str_skip(in, used);
            piece = str_skip(piece, used);
        }
    }
    if (d->is_bdat)
        data_finish(d);
    out->fault = d->fault;
    out->fault_offset = (size_t)d->fault_offset;
}

static bool put_bytes(void *to, struct str run)
{
    bytes_add(to, run);
    return true;
}

static void require_one_end(struct str body, struct cuts cuts)
{
    static struct bytes stream;
    bool at_line_start = true;

    stream.n = 0;
    bytes_add(&stream, STR("\r\n"));
    while (body.n > 0) {
        size_t n = cut_next(&cuts, body.n);

        REQUIRE(data_stuff(str_from(body.p, n), &at_line_start, put_bytes, &stream));
        body = str_skip(body, n);
    }
    bytes_add(&stream, at_line_start ? STR(".\r\n") : STR("\r\n.\r\n"));
    REQUIRE(data_is_framed(bytes_str(&stream)));
}

/* Closes the stream, so that the model, which knows no "not yet", can judge it whole. */
static void close_stream(struct bytes *stream, bool is_bdat)
{
    if (!is_bdat)
        bytes_add(stream, STR("\r\n.\r\n"));
    while (is_bdat && stream->n > 0 && stream->p[stream->n - 1] == '\r')
        stream->n--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bytes stream;
    static struct data_result read, model;
    struct data_decoder d;
    bool is_bdat, normalise;

    if (size < 2 || size > STREAM_MAX)
        return 0;
    is_bdat = data[0] & 1;
    normalise = data[0] & 2;
    stream.n = 0;
    bytes_add(&stream, str_from((const char *)data + 2, size - 2));
    close_stream(&stream, is_bdat);
    read = model = (struct data_result){ .used = 0 };
    data_init(&d, is_bdat, false, normalise);
    read_in_pieces(&d, bytes_str(&stream), (struct cuts){ data[1] }, &read);
    data_model(bytes_str(&stream), is_bdat, normalise, &model);
    REQUIRE(read.fault == model.fault);
    REQUIRE(read.fault == DATA_CLEAN || read.fault_offset == model.fault_offset);
    REQUIRE(read.is_ended == model.is_ended && (!read.is_ended || read.used == model.used));
    REQUIRE(str_eq(bytes_str(&read.body), bytes_str(&model.body)));
    if (read.fault == DATA_CLEAN)
        require_one_end(bytes_str(&read.body), (struct cuts){ data[1] });
    return 0;
}
