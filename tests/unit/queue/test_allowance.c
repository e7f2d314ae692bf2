/* test_allowance.c - buckets, periods, admissions; what threads take together. */
#include "queue/allowance.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "support/unit.h"

static const int64_t NOON = 1795262400000; /* 2026-11-21T12:00:00Z */

static struct allowance_limits limits_of(enum allowance_limit limit, uint32_t max)
{
    struct allowance_limits limits = {0};

    limits.max[limit] = max;
    return limits;
}

static struct allowance *begin(uint32_t tenant)
{
    allowances_forget();
    allowances_begin(0, NOON);
    return allowance_get(tenant, BYTES("shop"), 0);
}

/* Whether one may go at that time. */
static bool may_go(struct allowance *allowance, const struct allowance_limits *limits,
                   int64_t now_ms, int64_t *until_ms)
{
    struct allowance_moment moment = allowance_moment(now_ms);

    return allowance_take(allowance, limits, &moment, 1, until_ms) == ALLOWANCE_LIMIT_COUNT;
}

TEST(periods_are_those_of_the_calendar)
{
    static const struct {
        int64_t wall_s, hour_end_s, day_end_s, month_end_s;
    } rows[] = {
        {0, 3600, 86400, 2678400},                        /* 1970-01-01T00:00:00 */
        {951782399, 951782400, 951782400, 951868800},     /* 2000-02-28T23:59:59 */
        {951868799, 951868800, 951868800, 951868800},     /* 2000-02-29T23:59:59 */
        {1795262400, 1795266000, 1795305600, 1796083200}, /* 2026-11-21T12:00:00 */
        {1798761599, 1798761600, 1798761600, 1798761600}, /* 2026-12-31T23:59:59 */
        {1798761600, 1798765200, 1798848000, 1801440000}, /* 2027-01-01 */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        allowances_begin(5000, rows[i].wall_s * 1000);
        struct allowance_moment moment = allowance_moment(5000);
        int64_t from_s = rows[i].wall_s - 5;

        assert_int_equal(allowance_period_end_ms(&moment, ALLOWANCE_SENT_HOUR) / 1000 + from_s,
                         rows[i].hour_end_s);
        assert_int_equal(allowance_period_end_ms(&moment, ALLOWANCE_ACCEPTED_DAY) / 1000 + from_s,
                         rows[i].day_end_s);
        assert_int_equal(allowance_period_end_ms(&moment, ALLOWANCE_SENT_MONTH) / 1000 + from_s,
                         rows[i].month_end_s);
    }
}

/* Every month of 400 years, against the C library's calendar. */
TEST(months_follow_each_other)
{
    int64_t wall_s = 0;

    for (unsigned i = 0; i < 12 * 400; i++) {
        allowances_begin(0, wall_s * 1000);
        struct allowance_moment moment = allowance_moment(0);
        time_t end =
            (time_t)(wall_s + allowance_period_end_ms(&moment, ALLOWANCE_SENT_MONTH) / 1000);
        struct tm tm;

        assert_non_null(gmtime_r(&end, &tm));
        assert_int_equal(tm.tm_mday, 1);
        assert_int_equal(tm.tm_hour + tm.tm_min + tm.tm_sec, 0);
        assert_int_equal(tm.tm_mon, (int)(i + 1) % 12);
        wall_s = end;
    }
}

TEST(a_bucket_lets_go_what_it_says)
{
    static const uint32_t rates[] = {1, 3, 10, 1000, 50000};

    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct allowance_limits limits = limits_of(ALLOWANCE_PER_SECOND, rates[i]);
        struct allowance *allowance = begin(1);
        uint32_t in_second[12] = {0}, sum = 0;
        int64_t until_ms = 0;

        /* Whoever waits comes again when it is told to, and a little late. */
        for (int64_t now_ms = 100; now_ms < 10100;) {
            if (may_go(allowance, &limits, now_ms, &until_ms)) {
                in_second[now_ms / 1000]++;
                sum++;
            } else {
                assert_true(until_ms > now_ms);
                now_ms = until_ms + 1;
            }
        }
        for (unsigned second = 0; second <= 10; second++)
            assert_true(in_second[second] <= rates[i] + rates[i] / 20 + 1);
        assert_in_range(sum, 10 * rates[i] - 1, 10 * rates[i] + rates[i] / 20 + 1);
    }
    allowances_forget();
}

TEST(an_idle_bucket_saves_nothing_up)
{
    struct allowance_limits limits = limits_of(ALLOWANCE_PER_SECOND, 10);
    struct allowance *allowance = begin(1);
    int64_t until_ms = 0;

    assert_true(may_go(allowance, &limits, 1000, &until_ms));
    assert_true(may_go(allowance, &limits, 3600000, &until_ms));
    assert_false(may_go(allowance, &limits, 3600000, &until_ms));
    assert_in_range(until_ms, 3600001, 3600100);
    allowances_forget();
}

TEST(a_period_is_used_up_and_begins_anew)
{
    struct allowance_limits limits = limits_of(ALLOWANCE_PER_HOUR, 3);
    struct allowance *allowance = begin(1);
    int64_t until_ms = 0;

    for (unsigned i = 0; i < 3; i++)
        assert_true(may_go(allowance, &limits, 1000, &until_ms));
    assert_false(may_go(allowance, &limits, 3599999, &until_ms));
    assert_int_equal(until_ms, 3600000);
    assert_true(may_go(allowance, &limits, 3600000, &until_ms));
    struct allowance_moment moment = allowance_moment(3600000);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_HOUR), 1);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_DAY), 4);
    allowances_forget();
}

/* What a later limit stops was not taken from those before it. */
TEST(what_is_stopped_is_counted_nowhere)
{
    struct allowance_limits limits = limits_of(ALLOWANCE_PER_MONTH, 2);
    struct allowance *allowance = begin(1);
    struct allowance_moment moment = allowance_moment(10);
    int64_t until_ms = 0;

    limits.max[ALLOWANCE_PER_SECOND] = 1000;
    assert_int_equal(allowance_take(allowance, &limits, &moment, 2, &until_ms),
                     ALLOWANCE_LIMIT_COUNT);
    int64_t next_ns = atomic_load(&allowance->next_ns);
    assert_int_equal(allowance_take(allowance, &limits, &moment, 1, &until_ms),
                     ALLOWANCE_PER_MONTH);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_HOUR), 2);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_DAY), 2);
    assert_int_equal(atomic_load(&allowance->next_ns), next_ns);
    allowances_forget();
}

TEST(admissions_wait_up_to_the_backlog_and_are_given_back)
{
    struct allowance_limits limits = limits_of(ALLOWANCE_PER_SECOND, 1);
    struct allowance *allowance = begin(1);

    limits.max[ALLOWANCE_BACKLOG] = 10;
    limits.max[ALLOWANCE_QUOTA_DAY] = 15;
    struct admission first = admission_ask(allowance, &limits, 1, 1000);
    assert_int_equal(first.kind, ADMISSION_LET);
    struct admission second = admission_ask(allowance, &limits, 8, 1000);
    assert_int_equal(second.kind, ADMISSION_WAITS);
    assert_int_equal(second.limit, ALLOWANCE_PER_SECOND);
    assert_int_equal(second.until_ms, 9000);
    struct admission third = admission_ask(allowance, &limits, 3, 1000);
    assert_int_equal(third.kind, ADMISSION_BACKLOG);
    assert_int_equal(third.max, 10);
    /* Behind those that wait, though a second has passed. */
    struct admission fourth = admission_ask(allowance, &limits, 1, 5000);
    assert_int_equal(fourth.kind, ADMISSION_WAITS);
    struct allowance_moment moment = allowance_moment(5000);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_ACCEPTED_DAY), 10);
    struct admission last = admission_ask(allowance, &limits, 1, 5000);
    assert_int_equal(last.kind, ADMISSION_WAITS);
    assert_int_equal(admission_foresee(allowance, &limits, 5000).kind, ADMISSION_BACKLOG);
    admission_give_back(&last);
    admission_give_back(&second);
    admission_give_back(&fourth);
    assert_int_equal(second.kind, ADMISSION_NONE);
    assert_int_equal(atomic_load(&allowance->waiting), 0);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_ACCEPTED_DAY), 1);
    struct admission fifth = admission_ask(allowance, &limits, 15, 6000);
    assert_int_equal(fifth.kind, ADMISSION_QUOTA);
    assert_int_equal(fifth.limit, ALLOWANCE_QUOTA_DAY);
    assert_int_equal(fifth.until_ms, 12 * 3600 * 1000);
    admission_give_back(&first);
    assert_int_equal(admission_ask(allowance, &limits, 1, 6000).kind, ADMISSION_LET);
    allowances_forget();
}

TEST(what_was_known_before_the_start_counts)
{
    struct allowance_limits limits = limits_of(ALLOWANCE_QUOTA_MONTH, 100);
    struct allowance_moment moment;
    uint64_t counts[ALLOWANCE_COUNTS] = {0};

    (void)begin(1);
    moment = allowance_moment(0);
    counts[ALLOWANCE_ACCEPTED_MONTH] = (uint64_t)moment.number[ALLOWANCE_ACCEPTED_MONTH] << 32 | 99;
    counts[ALLOWANCE_ACCEPTED_DAY] =
        (uint64_t)(moment.number[ALLOWANCE_ACCEPTED_DAY] - 1) << 32 | 7;
    counts[ALLOWANCE_SENT_DAY] = (uint64_t)(moment.number[ALLOWANCE_SENT_DAY] + 300) << 32 | 5;
    allowance_remember(BYTES("bank"), counts);
    struct allowance *allowance = allowance_get(2, BYTES("bank"), 0);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_ACCEPTED_MONTH), 99);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_ACCEPTED_DAY), 0);
    /* Of a day to come: the clock was set back. */
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_DAY), 5);
    struct allowance_moment next_day = allowance_moment(24 * 3600 * 1000);
    assert_int_equal(allowance_used(allowance, &next_day, ALLOWANCE_SENT_DAY), 0);
    assert_int_equal(admission_ask(allowance, &limits, 2, 0).kind, ADMISSION_QUOTA);
    assert_int_equal(admission_ask(allowance, &limits, 1, 0).kind, ADMISSION_LET);
    assert_ptr_equal(allowance_get(2, BYTES("bank"), 0), allowance);
    assert_ptr_not_equal(allowance_get(3, BYTES("other"), 0), allowance);
    allowances_forget();
}

/* --- side by side ----------------------------------------------------------------------------- */

enum { THREADS = 4, ASKS = 30000, DAYS_MAX = 50000 };

static _Atomic uint32_t admitted;

static void *ask_often(void *context)
{
    struct allowance *allowance = context;
    struct allowance_limits limits = limits_of(ALLOWANCE_QUOTA_DAY, DAYS_MAX);

    limits.max[ALLOWANCE_PER_HOUR] = DAYS_MAX;
    for (unsigned i = 0; i < ASKS; i++) {
        struct admission admission = admission_ask(allowance, &limits, 1, 0);

        if (admission.kind != ADMISSION_LET)
            continue;
        if (i % 3 == 0)
            admission_give_back(&admission);
        else
            atomic_fetch_add(&admitted, 1);
    }
    return NULL;
}

TEST(threads_take_no_more_than_there_is)
{
    struct allowance *allowance = begin(1);
    pthread_t threads[THREADS];

    atomic_store(&admitted, 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, allowance), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct allowance_moment moment = allowance_moment(0);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_ACCEPTED_DAY), DAYS_MAX);
    assert_int_equal(atomic_load(&admitted), DAYS_MAX);
    assert_int_equal(allowance_used(allowance, &moment, ALLOWANCE_SENT_HOUR), DAYS_MAX);
    allowances_forget();
}
