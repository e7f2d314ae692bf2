/* test_wheel.c - the timer wheel against a table and against a plain reference. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "io/wheel.h"
#include "support/unit.h"

static void fire(struct timeout *timeout)
{
    (void)timeout;
}

static struct timeout *take(struct wheel *wheel, int64_t now_ms)
{
    unsigned work = UINT32_MAX;

    return wheel_take(wheel, now_ms, &work);
}

TEST(timeout_fires_at_its_time_on_every_level)
{
    static const int64_t delays[] = {
        0,
        1,
        63,
        64,
        65,
        4095,
        4096,
        4097,
        262143,
        262144,
        262145,
        16777215,
        16777216,
        16777217,
        1073741823,
        1073741824,
        68719476735,
        68719476736,
        4000000000000,
    };
    static const int64_t starts[] = {0, 1, 63, 64, 4095, 1000000, 16777215, 1073741823};

    for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
        for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
            struct wheel *wheel = malloc(sizeof(*wheel));
            int64_t at_ms = starts[s] + delays[i];
            struct timeout timeout;

            wheel_init(wheel, starts[s]);
            timeout_init(&timeout, fire);
            wheel_arm(wheel, &timeout, at_ms);
            expect_row(i, wheel_next_ms(wheel) <= at_ms);
            if (delays[i] > 0)
                expect_row(i, take(wheel, at_ms - 1) == NULL);
            expect_row(i, take(wheel, at_ms) == &timeout);
            expect_row(i, take(wheel, at_ms) == NULL);
            expect_row(i, wheel_next_ms(wheel) == INT64_MAX);
            free(wheel);
        }
    }
}

/* Who sleeps until the next is not woken on the way to it. */
TEST(few_timeouts_are_due_when_the_wheel_says)
{
    static const int64_t delays[] = {300, 250, 290};
    struct wheel *wheel = malloc(sizeof(*wheel));
    struct timeout timeouts[ARRAY_LEN(delays)];

    wheel_init(wheel, 1000000);
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        timeout_init(&timeouts[i], fire);
        wheel_arm(wheel, &timeouts[i], 1000000 + delays[i]);
    }
    assert_int_equal(wheel_next_ms(wheel), 1000250);
    assert_ptr_equal(take(wheel, 1000250), &timeouts[1]);
    assert_int_equal(wheel_next_ms(wheel), 1000290);
    assert_ptr_equal(take(wheel, 1000400), &timeouts[2]);
    assert_ptr_equal(take(wheel, 1000400), &timeouts[0]);
    free(wheel);
}

TEST(timeout_beyond_the_top_level_stays_armed)
{
    struct wheel *wheel = malloc(sizeof(*wheel));
    struct timeout timeout;

    wheel_init(wheel, 5);
    timeout_init(&timeout, fire);
    wheel_arm(wheel, &timeout, INT64_MAX);
    assert_null(take(wheel, 1000000000000));
    assert_true(wheel_next_ms(wheel) > 1000000000000);
    wheel_disarm(&timeout);
    wheel_disarm(&timeout);
    assert_true(wheel_next_ms(wheel) == INT64_MAX);
    free(wheel);
}

TEST(work_of_one_call_is_bounded)
{
    enum { COUNT = 1000 };

    struct wheel *wheel = malloc(sizeof(*wheel));
    struct timeout *timeouts = calloc(COUNT, sizeof(*timeouts));
    unsigned fired = 0, calls = 0;

    wheel_init(wheel, 100);
    for (unsigned i = 0; i < COUNT; i++) {
        timeout_init(&timeouts[i], fire);
        wheel_arm(wheel, &timeouts[i], 300100); /* all in one coarse slot */
    }
    while (fired < COUNT) {
        unsigned work = 10;

        while (wheel_take(wheel, 400000, &work) != NULL)
            fired++;
        assert_true(fired == COUNT || work == 0);
        assert_true(fired == COUNT || wheel_next_ms(wheel) <= 400000);
        calls++;
        assert_true(calls < COUNT);
    }
    assert_true(calls >= COUNT / 10 * 2);
    free(timeouts);
    free(wheel);
}

/* Random arming, re-arming, cancelling and advancing against an array of due times. */
TEST(wheel_agrees_with_a_sorted_reference)
{
    enum { COUNT = 200, STEPS = 20000 };

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct wheel *wheel = malloc(sizeof(*wheel));
        struct timeout timeouts[COUNT];
        int64_t at_ms[COUNT], now_ms = (int64_t)seed * 777777; /* at_ms -1: not armed */

        random_seed(seed);
        wheel_init(wheel, now_ms);
        for (unsigned i = 0; i < COUNT; i++) {
            timeout_init(&timeouts[i], fire);
            at_ms[i] = -1;
        }
        for (unsigned step = 0; step < STEPS; step++) {
            unsigned i = (unsigned)random_below(COUNT);
            int64_t last_ms = 0, next_ms = INT64_MAX;
            struct timeout *due;

            switch (random_below(8)) {
            case 0:
                wheel_disarm(&timeouts[i]);
                at_ms[i] = -1;
                break;
            case 1: /* a big step now and then, small ones mostly */
                now_ms += (int64_t)random_below((uint64_t)1 << random_below(20));
                break;
            case 2:
                now_ms += (int64_t)random_below(3);
                break;
            default:
                at_ms[i] = now_ms + (int64_t)random_below((uint64_t)1 << random_below(24));
                wheel_arm(wheel, &timeouts[i], at_ms[i]);
                break;
            }
            while ((due = take(wheel, now_ms)) != NULL) {
                size_t which = (size_t)(due - timeouts);

                assert_true(at_ms[which] >= 0);
                assert_true(at_ms[which] <= now_ms);
                assert_true(at_ms[which] >= last_ms); /* in order */
                last_ms = at_ms[which];
                at_ms[which] = -1;
            }
            for (unsigned k = 0; k < COUNT; k++) {
                assert_true(at_ms[k] == -1 || at_ms[k] > now_ms); /* none was forgotten */
                if (at_ms[k] >= 0)
                    next_ms = MIN(next_ms, at_ms[k]);
            }
            assert_true(wheel_next_ms(wheel) <= next_ms);
            assert_true(wheel_next_ms(wheel) > now_ms);
        }
        free(wheel);
    }
}
