/* test_retry.c - back-off, jitter, and the end. */
#include "delivery/outcome/retry.h"

#include "base/random.h"
#include "support/unit.h"

enum { START = 1000000 };

static const struct retry_rule rule = {
    .match = "*", .first_s = 300, .factor = 2, .max_s = 14400, .max_age_s = 259200};

TEST(retry_delay_doubles_to_its_maximum)
{
    static const int64_t delays_s[] = {300, 600, 1200, 2400, 4800, 9600, 14400, 14400};

    for (unsigned i = 0; i < ARRAY_LEN(delays_s); i++)
        expect_row(i, retry_delay_ms(&rule, i + 1) == delays_s[i] * 1000);
    assert_int_equal(retry_delay_ms(&rule, 65535), 14400 * 1000);
}

TEST(retry_delay_does_not_fall_with_a_factor_below_one)
{
    struct retry_rule flat = rule;

    flat.factor = 0.5;
    assert_int_equal(retry_delay_ms(&flat, 10), 300 * 1000);
    flat.factor = 1;
    assert_int_equal(retry_delay_ms(&flat, 65535), 300 * 1000);
}

TEST(retry_next_uses_the_age_in_full)
{
    int64_t end_ms = START + (int64_t)rule.max_age_s * 1000;

    assert_int_equal(retry_next_ms(&rule, 1, START, START), START + 300 * 1000);
    /* The last try is at the end, not after it. */
    assert_int_equal(retry_next_ms(&rule, 30, START, end_ms - 1000), end_ms);
    assert_int_equal(retry_next_ms(&rule, 30, START, end_ms), 0);
    assert_int_equal(retry_next_ms(&rule, 1, START, end_ms + 1), 0);
}

TEST(retry_next_jitters_within_its_percentage)
{
    struct retry_rule jittered = rule;
    int64_t least = INT64_MAX;
    int64_t most = 0;

    random_seed(7);
    jittered.jitter_percent = 20;
    for (unsigned i = 0; i < 2000; i++) {
        int64_t delay_ms = retry_next_ms(&jittered, 1, START, START) - START;

        least = MIN(least, delay_ms);
        most = MAX(most, delay_ms);
    }
    assert_in_range(least, 240000, 245000);
    assert_in_range(most, 355000, 360000);
}

TEST(retry_next_is_never_at_once)
{
    struct retry_rule hot = rule;

    hot.first_s = 0;
    assert_int_equal(retry_next_ms(&hot, 1, START, START), START + 1000);
}

TEST(retry_overdue_leaves_time_for_the_last_try)
{
    static const struct {
        unsigned max_age_s;
        int64_t grace_ms;
    } rows[] = {
        {259200, RETRY_GRACE_MS_MAX}, {6001, RETRY_GRACE_MS_MAX}, {600, 60000}, {50, 5000},
        {1, RETRY_GRACE_MS_MIN},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct retry_rule aged = rule;
        int64_t end_ms = START + (int64_t)rows[i].max_age_s * 1000;

        aged.max_age_s = rows[i].max_age_s;
        expect_row(i, !retry_is_overdue(&aged, START, end_ms));
        expect_row(i, !retry_is_overdue(&aged, START, end_ms + rows[i].grace_ms));
        expect_row(i, retry_is_overdue(&aged, START, end_ms + rows[i].grace_ms + 1));
    }
}

TEST(retry_delay_max_bounds_every_delay)
{
    struct retry_rule jittered = rule;
    int64_t most = 0;

    random_seed(7);
    jittered.jitter_percent = 20;
    for (unsigned i = 0; i < 2000; i++)
        most = MAX(most, retry_next_ms(&jittered, 9, START, START) - START);
    assert_int_equal(retry_delay_max_ms(&jittered), 17280 * 1000);
    assert_in_range(most, 17200 * 1000, 17280 * 1000);
    jittered.max_s = 0;
    assert_int_equal(retry_delay_max_ms(&jittered), 1000);
}
