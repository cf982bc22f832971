#include "trace.h"

#include <stdio.h>

#include "../policy/header.h"
#include "../policy/path.h"
#include "../policy/results.h"
#include "smtp_data.h"

/* Days to a civil date (proleptic Gregorian): eras of 400 years that begin on 1 March, so that leap days come last. */
static void civil_date(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

size_t trace_date(int64_t unix_seconds, char out[32])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* the epoch was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t day_number = unix_seconds / 86400;
    int second = (int)(unix_seconds % 86400);
    int year, month, day, n;

    if (second < 0) {
        second += 86400;
        day_number--;
    }
    civil_date(day_number, &year, &month, &day);
    n = snprintf(out, 32, "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + 3 * (((day_number % 7) + 7) % 7),
                 day % 100, months + 3 * (month - 1), year % 10000, second / 3600 % 100, second / 60 % 60, second % 60);
    return n < 32 ? (size_t)n : 31;
}

/* RFC 3848, and RFC 6531 4.3 for the UTF8 forms. TLS without ESMTP has no type of its own. */
static const char *with_type(const struct trace *t)
{
    static const char *const types[2][2][2] = {
        { { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
        { { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
    };

    if (!t->is_esmtp)
        return "SMTP";
    return types[t->is_utf8][t->tls != NULL][t->is_authenticated];
}

size_t trace_received(const struct trace *t, char out[TRACE_MAX])
{
    char address[ADDRESS_TEXT_MAX], date[32], tls[160] = "", recipient[PATH_ROOM + 16] = "";

    address_print(&t->client.address, address);
    trace_date(t->now, date);
    if (t->tls != NULL)
        snprintf(tls, sizeof tls, "\r\n\t(version=%.20s cipher=%.80s)", t->tls->version, t->tls->cipher);
    if (t->only_recipient.n > 0)
        snprintf(recipient, sizeof recipient, "\r\n\tfor <%.*s>", STR_ARG(t->only_recipient));
    return (size_t)snprintf(
        out, TRACE_MAX, "Received: from %.*s ([%s%s])\r\n\tby %.*s (Postern) with %s%s\r\n\tid %.*s%s;\r\n\t%s\r\n",
        (int)(t->helo.n < 300 ? t->helo.n : 300), t->helo.p, address_is_v4(&t->client.address) ? "" : "IPv6:", address,
        STR_ARG(t->hostname), with_type(t), tls, STR_ARG(t->id), recipient, date);
}

unsigned trace_hops(struct str header)
{
    struct header_field field;
    unsigned hops = 0;

    while (header_next_anywhere(&header, &field))
        hops += header_is(&field, STR("Received"));
    return hops;
}

struct header_sink {
    struct chain *out;
    struct pool *pool;
};

static bool put_run(void *to, struct str run)
{
    struct header_sink *sink = to;

    return chain_put(sink->out, sink->pool, run, CHAIN_FORCE);
}

static bool put_text(struct header_sink *sink, struct str text, bool is_raw)
{
    bool at_line_start = true;

    return is_raw ? put_run(sink, text) : data_stuff(text, &at_line_start, put_run, sink);
}

bool trace_put_header(struct str header, struct str authserv_id, bool is_raw, struct chain *out, struct pool *pool,
                      unsigned *removed)
{
    struct header_sink sink = { out, pool };
    const char *kept = header.p; /* from here on nothing has been put yet */
    struct str rest = header;
    struct header_field field;

    *removed = 0;
    while (header_next_anywhere(&rest, &field)) {
        if (!results_is_ours(&field, authserv_id))
            continue;
        ++*removed;
        if (!put_text(&sink, str_from(kept, (size_t)(field.raw.p - kept)), is_raw))
            return false;
        kept = rest.p;
    }
    return put_text(&sink, str_from(kept, header.n - (size_t)(kept - header.p)), is_raw);
}
