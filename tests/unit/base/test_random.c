/* test_random.c - the generator. */
#include "support/unit.h"

#include <pthread.h>

#include "base/check.h"
#include "base/random.h"

TEST(same_seed_gives_the_same_numbers)
{
    uint64_t first[8];

    random_seed(42);
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        first[i] = random_u64();
    random_seed(42);
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        expect_row(i, random_u64() == first[i]);
    random_seed(43);
    assert_true(random_u64() != first[0]);
}

TEST(seed_zero_is_as_good_as_another)
{
    random_seed(0);
    assert_true((random_u64() | random_u64()) != 0);
}

static void *draw(void *context)
{
    *(uint64_t *)context = random_u64();
    return NULL;
}

TEST(unseeded_threads_draw_different_numbers)
{
    uint64_t drawn[2] = {0, 0};

    for (size_t i = 0; i < 2; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, draw, &drawn[i]), 0);
        pthread_join(thread, NULL);
    }
    assert_true(drawn[0] != drawn[1]);
}

TEST(below_stays_below_and_reaches_every_value)
{
    unsigned seen[7] = {0};

    random_seed(1);
    for (int i = 0; i < 7000; i++)
        seen[random_below(7)]++;
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        expect_row(i, seen[i] > 800 && seen[i] < 1200);
    assert_int_equal(random_below(1), 0);
    for (int i = 0; i < 1000; i++)
        expect_row(i, random_below((1ull << 63) + 1) <= 1ull << 63);
    (void)random_below(UINT64_MAX);
}

TEST(jitter_stays_within_percent_and_uses_all_of_it)
{
    int64_t least = INT64_MAX;
    int64_t most = INT64_MIN;

    random_seed(2);
    for (int i = 0; i < 10000; i++) {
        int64_t value = random_jitter(1000, 20);

        least = MIN(least, value);
        most = MAX(most, value);
    }
    assert_int_equal(least, 800);
    assert_int_equal(most, 1200);
}

TEST(jitter_of_small_negative_and_huge_values)
{
    assert_int_equal(random_jitter(0, 100), 0);
    assert_int_equal(random_jitter(3, 20), 3); /* 20 % of it is less than one */
    assert_int_equal(random_jitter(1000, 0), 1000);
    for (int i = 0; i < 1000; i++) {
        int64_t value = random_jitter(-1000, 10);
        int64_t huge = random_jitter(INT64_MAX / 2, 100);

        expect_row(i, value >= -1100 && value <= -900);
        expect_row(i, huge >= 0);
    }
}
