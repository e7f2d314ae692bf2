/* test_budget.c - what mail takes of memory, over threads. */
#include "support/unit.h"

#include <pthread.h>

#include "base/budget.h"

enum { THREADS = 4, ROUNDS = 1000, STEP = 1000 };

static void *add_much(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++)
        budget_add(STEP);
    return NULL;
}

TEST(own_changes_are_seen_at_once)
{
    int64_t before = budget_used();

    budget_add(100);
    assert_int_equal(budget_used(), before + 100);
    budget_add(10 * BUDGET_SLACK);
    assert_int_equal(budget_used(), before + 100 + 10 * BUDGET_SLACK);
    budget_add(-100 - 10 * BUDGET_SLACK);
    assert_int_equal(budget_used(), before);
}

TEST(changes_of_other_threads_are_seen_but_for_the_slack)
{
    pthread_t threads[THREADS];
    int64_t before = budget_used();
    int64_t all = (int64_t)THREADS * ROUNDS * STEP;

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_much, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(budget_used() - before, all - THREADS * BUDGET_SLACK, all);
}
