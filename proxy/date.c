#include "date.h"

#include "../policy/header.h"

struct date {
    int year, month, day, hour, minute, second;
    int zone; /* minutes east */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Cuts a number of `least` to `most` digits off the front; -1 when there is none. */
static int take_number(struct str *s, size_t least, size_t most)
{
    size_t n = 0;
    int value = 0;

    while (n < s->n && n < most && is_digit(s->p[n]))
        value = value * 10 + (s->p[n++] - '0');
    if (n < least || (n < s->n && n == most && is_digit(s->p[n])))
        return -1;
    *s = str_skip(*s, n);
    return value;
}

static bool take(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
    static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since the epoch of a civil date, counted in years that begin on 1 March so that leap days come last. */
static int64_t day_number(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool date_seconds(const struct date *d, int64_t *out)
{
    if (d->year < 1900 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1)
        return false;
    if (d->day > days_in(d->year, d->month) || d->hour > 23 || d->minute > 59 || d->second > 60)
        return false;
    if (d->hour < 0 || d->minute < 0 || d->second < 0)
        return false;
    *out = ((day_number(d->year, d->month, d->day) * 24 + d->hour) * 60 + d->minute - d->zone) * 60 + d->second;
    return true;
}

/* "+0100" or "+01:00"; the sign has been seen. */
static bool take_offset(struct str *s, int sign, int *zone)
{
    int hours = s->n > 2 && s->p[2] == ':' ? take_number(s, 2, 2) : -1, minutes;

    if (hours >= 0) {
        take(s, ':');
        minutes = take_number(s, 2, 2);
    } else {
        int both = take_number(s, 4, 4);

        hours = both / 100;
        minutes = both < 0 ? -1 : both % 100;
    }
    *zone = sign * (hours * 60 + minutes);
    return minutes >= 0 && minutes < 60 && hours <= 24;
}

/* "12:00" or "12:00:00" */
static bool take_time(struct str *s, struct date *d)
{
    d->hour = take_number(s, 1, 2);
    if (d->hour < 0 || !take(s, ':'))
        return false;
    d->minute = take_number(s, 2, 2);
    d->second = take(s, ':') ? take_number(s, 2, 2) : 0;
    return d->minute >= 0 && d->second >= 0;
}

/* ---- RFC 5322 3.3, 4.3 ---- */

static struct str take_word(struct str *s)
{
    size_t n = 0;
    struct str word;

    while (n < s->n && ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z')))
        n++;
    word = str_from(s->p, n);
    *s = header_skip_cfws(str_skip(*s, n));
    return word;
}

static int month_of(struct str word)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++)
        if (str_ieq(word, str_from(months + 3 * i, 3)))
            return i + 1;
    return 0;
}

static int year_of(int year, size_t digits)
{
    if (digits == 2)
        return year < 50 ? 2000 + year : 1900 + year;
    return digits == 3 ? 1900 + year : year;
}

/* Names of zones; those that nobody knows mean -0000 (RFC 5322 4.3). */
static int zone_of(struct str word)
{
    static const struct {
        struct str name;
        int minutes;
    } zones[] = { { STR_INIT("EST"), -300 }, { STR_INIT("EDT"), -240 }, { STR_INIT("CST"), -360 },
                  { STR_INIT("CDT"), -300 }, { STR_INIT("MST"), -420 }, { STR_INIT("MDT"), -360 },
                  { STR_INIT("PST"), -480 }, { STR_INIT("PDT"), -420 } };

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (str_ieq(word, zones[i].name))
            return zones[i].minutes;
    return 0;
}

static bool take_mail_zone(struct str *s, int *zone)
{
    *zone = 0;
    if (take(s, '+'))
        return take_offset(s, 1, zone);
    if (take(s, '-'))
        return take_offset(s, -1, zone);
    *zone = zone_of(take_word(s));
    return true;
}

static int take_year(struct str *s)
{
    size_t before = s->n;
    int year = take_number(s, 2, 4);

    return year < 0 ? -1 : year_of(year, before - s->n);
}

bool date_read_mail(struct str s, int64_t *out)
{
    struct date d = { 0 };

    s = header_skip_cfws(s);
    if (take_word(&s).n > 0) {
        take(&s, ',');
        s = header_skip_cfws(s);
    }
    d.day = take_number(&s, 1, 2);
    s = header_skip_cfws(s);
    d.month = month_of(take_word(&s));
    d.year = take_year(&s);
    s = header_skip_cfws(s);
    if (!take_time(&s, &d))
        return false;
    s = header_skip_cfws(s);
    if (!take_mail_zone(&s, &d.zone))
        return false;
    s = header_skip_cfws(s);
    return s.n == 0 && date_seconds(&d, out);
}

/* ---- ISO 8601, and seconds ---- */

static bool date_read_iso(struct str s, int64_t *out)
{
    struct date d = { .year = take_number(&s, 4, 4) };
    bool ok = take(&s, '-');

    d.month = take_number(&s, 2, 2);
    ok = ok && take(&s, '-');
    d.day = take_number(&s, 2, 2);
    if (!ok)
        return false;
    if (s.n > 0 && !((take(&s, 'T') || take(&s, ' ')) && take_time(&s, &d)))
        return false;
    if (take(&s, '+'))
        ok = take_offset(&s, 1, &d.zone);
    else if (take(&s, '-'))
        ok = take_offset(&s, -1, &d.zone);
    else
        take(&s, 'Z');
    return ok && s.n == 0 && date_seconds(&d, out);
}

bool date_read(struct str s, int64_t *out)
{
    unsigned long long seconds;

    s = str_trim(s);
    if (str_to_u64(s, 253402300799ULL /* the end of 9999 */, &seconds)) {
        *out = (int64_t)seconds;
        return true;
    }
    return date_read_iso(s, out) || date_read_mail(s, out);
}
