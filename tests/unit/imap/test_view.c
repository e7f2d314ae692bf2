/* test_view.c - numbers and UIDs of what is selected. */
#include <stdlib.h>

#include "base/random.h"
#include "inbound/imap/view.h"
#include "support/unit.h"

enum { ROUNDS = 300, UIDS = 60, RANGES = 4 };

static void make_view(struct view *view)
{
    uint32_t uid = 0;

    *view = (struct view){.count = random_below(UIDS)};
    view->uids = malloc(UIDS * sizeof(*view->uids));
    assert_non_null(view->uids);
    for (size_t i = 0; i < view->count; i++)
        view->uids[i] = uid += 1 + (random_below(3) == 0 ? (uint32_t)random_below(5) : 0);
}

static void make_set(struct sequence_set *set, uint32_t last)
{
    set->count = random_below(RANGES + 1);
    for (size_t i = 0; i < set->count; i++)
        set->ranges[i] = (struct sequence_range){
            .from = 1 + (uint32_t)random_below(100),
            .to = random_below(4) == 0 ? SEQUENCE_LAST : 1 + (uint32_t)random_below(100),
        };
    sequence_set_resolve(set, last);
}

static bool has(const struct view *view, const struct sequence_set *set, bool is_uid, size_t number)
{
    return number <= view->count &&
           sequence_set_has(set, is_uid ? view->uids[number - 1] : (uint32_t)number);
}

static void check_runs(const struct view *view, const struct sequence_set *set, bool is_uid)
{
    size_t number = 0, count;
    uint32_t next;

    while ((next = view_next_run(view, set, is_uid, (uint32_t)number, &count)) != 0) {
        assert_int_equal(view_next(view, set, is_uid, (uint32_t)number), next);
        while (++number < next)
            assert_false(has(view, set, is_uid, number));
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++)
            assert_true(has(view, set, is_uid, next + i));
        number = next + random_below(count);
    }
    while (++number <= view->count)
        assert_false(has(view, set, is_uid, number));
}

TEST(runs_are_the_numbers_of_the_set_that_follow_each_other)
{
    struct sequence_range ranges[RANGES];

    random_seed(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct sequence_set set = {.ranges = ranges};
        bool is_uid = round % 2 == 0;
        struct view view;

        make_view(&view);
        make_set(&set, is_uid ? view_last_uid(&view) : (uint32_t)view.count);
        check_runs(&view, &set, is_uid);
        free(view.uids);
    }
}
