/* Received fields and dates from anybody: slices stay within the field, dates come back as they are printed. */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/date.h"
#include "proxy/received.h"
#include "proxy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool claim)
{
    if (!claim)
        abort();
}

static void must_lie_within(struct str part, struct str whole)
{
    must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = str_from((const char *)data, size);
    struct received r;
    char text[32];
    int64_t seconds, again;

    received_read(value, &r);
    must_lie_within(r.from, value);
    must_lie_within(r.helo, value);
    must_lie_within(r.by, value);
    if (date_read(value, &seconds)) {
        size_t n = trace_date(seconds, text);

        must(date_read_mail(str_from(text, n), &again) && again == seconds);
    }
    return 0;
}
