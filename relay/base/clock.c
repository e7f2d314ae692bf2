/* clock.c - reading the clocks, writing and reading dates. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/text_format.h"

enum {
    DAY_S = 86400,
    YEAR_DIGITS = 4,
};

/* Dates are written with four digits of year; what lies outside is clipped. */
static const int64_t wall_ms_min = -62135596800000; /* 0001-01-01 */
static const int64_t wall_ms_max = 253402300799999; /* 9999-12-31 */

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    int error = clock_gettime(id, &now);

    check(error == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

struct timespec clock_monotonic_after(int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_coarse_ms(void)
{
    return read_us(CLOCK_MONOTONIC_COARSE) / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

struct clocks clocks_read(void)
{
    return (struct clocks){.now_ms = clock_monotonic_ms(), .wall_ms = clock_wall_ms()};
}

struct clock_watch clock_watch_begin(struct clocks clocks)
{
    return (struct clock_watch){.offset_ms = clocks.wall_ms - clocks.now_ms};
}

int64_t clock_watch_look(struct clock_watch *watch, struct clocks clocks)
{
    int64_t offset_ms = clocks.wall_ms - clocks.now_ms;
    int64_t step_ms = offset_ms - watch->offset_ms;

    if (step_ms > -CLOCK_STEP_MS && step_ms < CLOCK_STEP_MS)
        return 0;
    watch->offset_ms = offset_ms;
    return step_ms;
}

struct date {
    int year, month, day; /* month and day from 1 */
    int weekday;          /* 0 is Sunday */
    int hour, minute, second, ms;
};

/*
 * Days since 1970 to a date and back, by counting eras of 400 years that begin in March, so that
 * the leap day comes last. Not gmtime_r(): it takes a lock that all threads share.
 */
static void date_from_days(int64_t days, struct date *date)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    date->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (int)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(year_of_era + era * 400 + (date->month <= 2));
    date->weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static struct date date_of(int64_t wall_ms)
{
    struct date date;

    wall_ms = MIN(MAX(wall_ms, wall_ms_min), wall_ms_max);
    int64_t days = wall_ms / (DAY_S * 1000) - (wall_ms % (DAY_S * 1000) < 0);
    int64_t ms = wall_ms - days * (DAY_S * 1000);

    date_from_days(days, &date);
    date.ms = (int)(ms % 1000);
    date.second = (int)(ms / 1000 % 60);
    date.minute = (int)(ms / 60000 % 60);
    date.hour = (int)(ms / 3600000);
    return date;
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

size_t clock_format_rfc5322(int64_t wall_ms, char out[static CLOCK_TEXT_MAX])
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    struct date date = date_of(wall_ms);
    size_t len = text_put(out, CLOCK_TEXT_MAX, "%.*s, %d %.*s %04u %02u:%02u:%02u +0000", 3,
                          weekdays + 3 * date.weekday, date.day, 3, months + 3 * (date.month - 1),
                          (unsigned)date.year, (unsigned)date.hour, (unsigned)date.minute,
                          (unsigned)date.second);

    check(len > 0 && len < CLOCK_TEXT_MAX);
    return len;
}

size_t clock_format_rfc3339(int64_t wall_ms, char out[static CLOCK_TEXT_MAX])
{
    struct date date = date_of(wall_ms);
    size_t len =
        text_put(out, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)date.year,
                 (unsigned)date.month, (unsigned)date.day, (unsigned)date.hour,
                 (unsigned)date.minute, (unsigned)date.second, (unsigned)date.ms);

    check(len > 0 && len < CLOCK_TEXT_MAX);
    return len;
}

static void put_two(char *at, int number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
}

size_t clock_format_rfc9051(int64_t wall_s, char out[static CLOCK_TEXT_MAX])
{
    static const char shape[] = "00-Jan-0000 00:00:00 +0000";
    struct date date = date_of(MIN(MAX(wall_s, wall_ms_min / 1000), wall_ms_max / 1000) * 1000);

    memcpy(out, shape, sizeof(shape));
    put_two(out, date.day);
    memcpy(out + 3, months + 3 * (date.month - 1), 3);
    put_two(out + 7, date.year / 100);
    put_two(out + 9, date.year % 100);
    put_two(out + 12, date.hour);
    put_two(out + 15, date.minute);
    put_two(out + 18, date.second);
    return sizeof(shape) - 1;
}

/* Takes exactly `digits` digits whose value lies in min..max. */
static bool take_number(struct bytes *input, size_t digits, int min, int max, int *value_out)
{
    int value = 0;

    if (input->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (!byte_is_digit(input->ptr[i]))
            return false;
        value = value * 10 + (input->ptr[i] - '0');
    }
    if (value < min || value > max)
        return false;
    *input = bytes_slice(*input, digits, input->len);
    *value_out = value;
    return true;
}

/* Digits after the point; those beyond milliseconds are read and dropped. */
static bool take_fraction(struct bytes *input, int *ms_out)
{
    int ms = 0;
    int weight = 100;
    size_t taken = 0;

    for (; taken < input->len && byte_is_digit(input->ptr[taken]); taken++) {
        ms += (input->ptr[taken] - '0') * weight;
        weight /= 10;
    }
    *input = bytes_slice(*input, taken, input->len);
    *ms_out = ms;
    return taken > 0;
}

static bool take_offset(struct bytes *input, int *minutes_out)
{
    int hours;
    int minutes;

    if (bytes_take_nocase(input, BYTES("Z"))) {
        *minutes_out = 0;
        return true;
    }
    bool is_west = input->len > 0 && input->ptr[0] == '-';

    if (!bytes_take_nocase(input, is_west ? BYTES("-") : BYTES("+")) ||
        !take_number(input, 2, 0, 23, &hours) || !bytes_take_nocase(input, BYTES(":")) ||
        !take_number(input, 2, 0, 59, &minutes))
        return false;
    *minutes_out = (hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

static int days_in_month(int year, int month)
{
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (month == 2)
        return is_leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

bool clock_parse_rfc3339(struct bytes text, int64_t *wall_ms_out)
{
    struct date date;
    int offset;

    if (!take_number(&text, YEAR_DIGITS, 1, 9999, &date.year) ||
        !bytes_take_nocase(&text, BYTES("-")) || !take_number(&text, 2, 1, 12, &date.month) ||
        !bytes_take_nocase(&text, BYTES("-")) ||
        !take_number(&text, 2, 1, days_in_month(date.year, date.month), &date.day) ||
        !bytes_take_nocase(&text, BYTES("T")) || !take_number(&text, 2, 0, 23, &date.hour) ||
        !bytes_take_nocase(&text, BYTES(":")) || !take_number(&text, 2, 0, 59, &date.minute) ||
        !bytes_take_nocase(&text, BYTES(":")) || !take_number(&text, 2, 0, 60, &date.second))
        return false;
    date.ms = 0;
    if (bytes_take_nocase(&text, BYTES(".")) && !take_fraction(&text, &date.ms))
        return false;
    if (!take_offset(&text, &offset) || text.len != 0)
        return false;
    int64_t days = days_from_date(date.year, date.month, date.day);
    int64_t minutes = date.hour * 60 + date.minute - offset;

    /* A leap second (60) becomes the first of the next minute, as the kernel's clock has none. */
    *wall_ms_out = ((days * 1440 + minutes) * 60 + date.second) * 1000 + date.ms;
    return true;
}
