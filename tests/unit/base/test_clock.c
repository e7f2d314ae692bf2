/* test_clock.c - clocks and dates. */
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"

TEST(monotonic_never_goes_back)
{
    int64_t before = clock_monotonic_us();

    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_monotonic_us();

        assert_true(now >= before);
        before = now;
    }
    assert_true(before / 1000 - clock_monotonic_ms() <= 1);
}

TEST(coarse_is_monotonic_some_ms_ago)
{
    for (int i = 0; i < 1000; i++) {
        int64_t coarse = clock_monotonic_coarse_ms(), now = clock_monotonic_ms();

        assert_true(coarse <= now);
        assert_true(coarse >= now - 1000); /* a busy machine may stop us in between */
    }
}

TEST(wall_agrees_with_time)
{
    assert_true(llabs((long long)(clock_wall_ms() / 1000 - (int64_t)time(NULL))) <= 2);
    assert_true(llabs((long long)(clock_wall_us() / 1000 - clock_wall_ms())) <= 2000);
}

static const struct {
    int64_t wall_ms;
    const char *rfc5322;
    const char *rfc3339;
} dates[] = {
    {0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"},
    {-1, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59.999Z"},
    {951782400000, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000Z"},
    {1709251199999, "Thu, 29 Feb 2024 23:59:59 +0000", "2024-02-29T23:59:59.999Z"},
    {1795489800123, "Tue, 24 Nov 2026 03:10:00 +0000", "2026-11-24T03:10:00.123Z"},
    {4107542400000, "Mon, 1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000Z"},
    {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59.999Z"},
    {INT64_MIN, "Mon, 1 Jan 0001 00:00:00 +0000", "0001-01-01T00:00:00.000Z"},
};

TEST(format_at_leap_days_before_1970_and_at_the_limits)
{
    char text[CLOCK_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        size_t len = clock_format_rfc5322(dates[i].wall_ms, text);

        expect_row(i, len == strlen(dates[i].rfc5322));
        assert_string_equal(text, dates[i].rfc5322);
        clock_format_rfc3339(dates[i].wall_ms, text);
        assert_string_equal(text, dates[i].rfc3339);
    }
}

TEST(format_agrees_with_gmtime_on_random_times)
{
    char text[CLOCK_TEXT_MAX];
    char expected[CLOCK_TEXT_MAX];

    random_seed(5);
    for (int i = 0; i < 20000; i++) {
        time_t seconds = (time_t)random_below(200000000000) - 30000000000; /* from 1019 */
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%a, %-d %b %Y %H:%M:%S +0000", &tm);
        clock_format_rfc5322((int64_t)seconds * 1000, text);
        assert_string_equal(text, expected);
    }
}

TEST(parse_takes_back_what_format_wrote)
{
    char text[CLOCK_TEXT_MAX];

    random_seed(6);
    for (int i = 0; i < 20000; i++) {
        int64_t wall_ms = (int64_t)random_below(250000000000000);
        int64_t parsed = -1;
        size_t len = clock_format_rfc3339(wall_ms, text);

        expect_row(i, clock_parse_rfc3339(bytes_range(text, len), &parsed));
        expect_row(i, parsed == wall_ms);
    }
}

TEST(parse_rfc3339_accepts_and_rejects)
{
    static const struct {
        const char *text;
        bool valid;
        int64_t wall_ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"1970-01-01t00:00:00z", true, 0},
        {"1970-01-01T01:00:00+01:00", true, 0},
        {"1969-12-31T18:30:00-05:30", true, 0},
        {"1970-01-01T00:00:00.5Z", true, 500},
        {"1970-01-01T00:00:00.1239999Z", true, 123},
        {"1990-12-31T23:59:60Z", true, 662688000000}, /* a leap second */
        {"2024-02-29T00:00:00Z", true, 1709164800000},
        {"2023-02-29T00:00:00Z", false, 0},
        {"1900-02-29T00:00:00Z", false, 0},
        {"2024-04-31T00:00:00Z", false, 0},
        {"2024-13-01T00:00:00Z", false, 0},
        {"2024-00-01T00:00:00Z", false, 0},
        {"2024-01-00T00:00:00Z", false, 0},
        {"2024-01-01T24:00:00Z", false, 0},
        {"2024-01-01T00:60:00Z", false, 0},
        {"2024-01-01T00:00:61Z", false, 0},
        {"2024-01-01T00:00:00.Z", false, 0},
        {"2024-01-01T00:00:00", false, 0},
        {"2024-01-01T00:00:00+0100", false, 0},
        {"2024-01-01T00:00:00+24:00", false, 0},
        {"2024-01-01T00:00:00Z ", false, 0},
        {"2024-01-01 00:00:00Z", false, 0},
        {"24-01-01T00:00:00Z", false, 0},
        {"", false, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t wall_ms = 0;

        expect_row(i, clock_parse_rfc3339(bytes_of(rows[i].text), &wall_ms) == rows[i].valid);
        expect_row(i, wall_ms == rows[i].wall_ms);
    }
}
