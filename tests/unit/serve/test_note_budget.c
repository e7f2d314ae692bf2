/* test_note_budget.c - so many in a window, and again in the next one. */
#include "support/unit.h"

#include "serve/note_budget.h"

static unsigned take(struct note_budget *budget, unsigned tries, int64_t now_ms)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tries; i++)
        count += note_budget_take(budget, now_ms);
    return count;
}

TEST(no_more_than_its_count_in_a_window)
{
    struct note_budget budget = {.count_max = 20, .window_ms = 60000};

    assert_int_equal(take(&budget, 15, 1000000), 15);
    assert_int_equal(take(&budget, 15, 1059999), 5);
    assert_int_equal(take(&budget, 15, 1060000), 15);
    assert_int_equal(take(&budget, 100, 1060000), 5);
}
