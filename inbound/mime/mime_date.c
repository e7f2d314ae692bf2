/* mime_date.c - days, times and zones in the order senders have them. */
#include "inbound/mime/mime_date.h"

enum { DATE_MAX = 1024 }; /* bytes of a field that are looked at */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == '-';
}

/* White space, commas and comments; with "-" between day, month and year (obsolete forms). */
static void skip_blank(struct bytes *rest, bool with_dash)
{
    size_t depth = 0;

    while (rest->len > 0) {
        uint8_t c = rest->ptr[0];

        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (depth == 0 && (!is_blank(c) || (c == '-' && !with_dash)))
            break;
        *rest = bytes_slice(*rest, 1, rest->len);
    }
}

/* Digits, how many of them. */
static size_t take_number(struct bytes *rest, uint64_t *out)
{
    size_t before = rest->len;

    if (!bytes_take_u64(rest, out))
        return 0;
    return before - rest->len;
}

static struct bytes take_letters(struct bytes *rest)
{
    size_t len = 0;

    while (len < rest->len && byte_is_alpha(rest->ptr[len]))
        len++;
    struct bytes word = bytes_slice(*rest, 0, len);

    *rest = bytes_slice(*rest, len, rest->len);
    return word;
}

static bool take_month(struct bytes *rest, unsigned *month_out)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    struct bytes word = take_letters(rest);

    for (unsigned i = 0; i < 12 && word.len >= 3; i++)
        if (bytes_equal_nocase(bytes_slice(word, 0, 3), bytes_range(names + (size_t)3 * i, 3))) {
            *month_out = i + 1;
            return true;
        }
    return false;
}

/* RFC 5322 section 4.3: of two digits from 50 on and of three it is the last century's. */
static bool take_year(struct bytes *rest, int64_t *year_out)
{
    uint64_t year;
    size_t digits = take_number(rest, &year);

    if (digits < 2 || digits > 4)
        return false;
    if (digits == 2)
        year += year < 50 ? 2000 : 1900;
    else if (digits == 3)
        year += 1900;
    *year_out = (int64_t)year;
    return true;
}

/* "hh:mm[:ss]"; false: there is none, and nothing is taken. */
static bool take_time(struct bytes *rest, int64_t *seconds_out)
{
    struct bytes at = *rest;
    uint64_t part[3] = {0};

    for (size_t i = 0; i < 3; i++) {
        if (take_number(&at, &part[i]) == 0)
            return false;
        if (at.len == 0 || (at.ptr[0] != ':' && at.ptr[0] != '.') || i == 2) {
            if (i == 0)
                return false;
            break;
        }
        at = bytes_slice(at, 1, at.len);
    }
    if (part[0] > 24 || part[1] > 59 || part[2] > 60)
        return false;
    *rest = at;
    *seconds_out = (int64_t)(part[0] * 3600 + part[1] * 60 + part[2]);
    return true;
}

/* "+hhmm", or a name of RFC 5322 section 4.3; 0 for what is none. */
static int32_t take_zone(struct bytes *rest)
{
    static const struct {
        char name[4];
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    uint64_t number;
    struct bytes word;

    if (rest->len > 0 && (rest->ptr[0] == '+' || rest->ptr[0] == '-')) {
        int sign = rest->ptr[0] == '-' ? -1 : 1;

        *rest = bytes_slice(*rest, 1, rest->len);
        if (take_number(rest, &number) != 4 || number % 100 > 59)
            return 0;
        return sign * (int32_t)(number / 100 * 3600 + number % 100 * 60);
    }
    word = take_letters(rest);
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        if (bytes_equal_nocase(word, bytes_of(zones[i].name)))
            return zones[i].hours * 3600;
    return 0;
}

/* Days since 1970 of the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t era, year_of_era, day_of_year;

    year -= month <= 2; /* years that begin in March */
    era = year / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool is_day(int64_t year, unsigned month, uint64_t day)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return day >= 1 && day <= lengths[month - 1] + (uint64_t)(month == 2 && is_leap);
}

struct reading {
    struct bytes rest;
    uint64_t day;
    unsigned month;
    bool has_year;
    int64_t year, seconds;
    int32_t zone;
};

/* A day of the week, then "28 Nov 2026", or as asctime() has it "Nov 28". */
static bool read_day(struct reading *r)
{
    skip_blank(&r->rest, true);
    if (r->rest.len > 0 && byte_is_alpha(r->rest.ptr[0])) {
        take_letters(&r->rest);
        if (r->rest.len > 0 && r->rest.ptr[0] == '.')
            r->rest = bytes_slice(r->rest, 1, r->rest.len);
        skip_blank(&r->rest, true);
    }
    if (r->rest.len > 0 && byte_is_alpha(r->rest.ptr[0])) {
        if (!take_month(&r->rest, &r->month))
            return false;
        skip_blank(&r->rest, true);
        return take_number(&r->rest, &r->day) > 0;
    }
    if (take_number(&r->rest, &r->day) == 0)
        return false;
    skip_blank(&r->rest, true);
    if (!take_month(&r->rest, &r->month))
        return false;
    skip_blank(&r->rest, true);
    r->has_year = take_year(&r->rest, &r->year);
    return r->has_year;
}

/* Time and zone, which may be missing; behind them asctime() has the year. */
static bool read_time(struct reading *r)
{
    skip_blank(&r->rest, false);
    if (take_time(&r->rest, &r->seconds)) {
        skip_blank(&r->rest, false);
        if (r->has_year)
            r->zone = take_zone(&r->rest);
    }
    return r->has_year || take_year(&r->rest, &r->year);
}

bool mime_date_read(struct bytes value, struct mime_date *out)
{
    struct reading r = {.rest = bytes_slice(value, 0, DATE_MAX)};

    if (!read_day(&r) || !read_time(&r) || !is_day(r.year, r.month, r.day))
        return false;
    out->zone_s = r.zone;
    out->unix_s = days_of(r.year, r.month, (unsigned)r.day) * 86400 + r.seconds - r.zone;
    return true;
}
