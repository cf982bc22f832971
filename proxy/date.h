/* Dates as people and headers write them, to seconds since the epoch. (trace_date prints them.) */
#ifndef PROXY_DATE_H
#define PROXY_DATE_H

#include <stdint.h>

#include "../policy/str.h"

/* "Sun, 22 Nov 2026 12:00:00 +0100" (RFC 5322 3.3: no weekday or seconds needed, comments allowed, obsolete zones and two-digit
 * years of 4.3, too). False when it is none.
 */
bool date_read_mail(struct str, int64_t *out);

/* Seconds ("1795348800"), an ISO 8601 date ("2026-11-22", "2026-11-22T12:00:00Z", "2026-11-22 12:00:00+01:00"; UTC without a zone),
 * or as above.
 */
bool date_read(struct str, int64_t *out);

#endif
