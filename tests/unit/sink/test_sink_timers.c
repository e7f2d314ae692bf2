/* test_sink_timers.c - what is due first comes first, whatever was set, moved and taken off. */
/* threads: one */
#include "sink/sink_timers.h"

#include "base/bytes.h"
#include "base/random.h"
#include "support/unit.h"

TEST(timers_come_in_the_order_in_which_they_are_due)
{
    struct sink_timer timers[3] = {0};
    struct sink_timers heap = {0};

    assert_true(sink_timers_next(&heap) == INT64_MAX);
    assert_null(sink_timers_pop(&heap, INT64_MAX - 1));
    sink_timer_set(&heap, &timers[0], 30);
    sink_timer_set(&heap, &timers[1], 10);
    sink_timer_set(&heap, &timers[2], 20);
    assert_int_equal(sink_timers_next(&heap), 10);
    assert_null(sink_timers_pop(&heap, 9));
    sink_timer_set(&heap, &timers[0], 5);
    sink_timer_set(&heap, &timers[1], INT64_MAX);
    assert_ptr_equal(sink_timers_pop(&heap, 20), &timers[0]);
    assert_ptr_equal(sink_timers_pop(&heap, 20), &timers[2]);
    assert_null(sink_timers_pop(&heap, 20));
    sink_timer_set(&heap, &timers[1], 7);
    assert_int_equal(sink_timers_next(&heap), 7);
    sink_timers_free(&heap);
}

TEST(timers_keep_their_order_through_any_changes)
{
    enum { COUNT = 300, CHANGES = 20000 };
    struct sink_timer timers[COUNT] = {0};
    struct sink_timers heap = {0};

    for (size_t i = 0; i < CHANGES; i++) {
        struct sink_timer *timer = &timers[random_u64() % COUNT];
        uint64_t what = random_u64() % 4;

        sink_timer_set(&heap, timer, what == 0 ? INT64_MAX : (int64_t)(random_u64() % 1000));
        if (what == 1)
            (void)sink_timers_pop(&heap, sink_timers_next(&heap));
        size_t set = 0;
        int64_t first_ms = INT64_MAX;
        for (size_t k = 0; k < COUNT; k++) {
            if (timers[k].at == 0)
                continue;
            set++;
            first_ms = MIN(first_ms, timers[k].due_ms);
        }
        assert_int_equal(set, heap.count);
        assert_int_equal(sink_timers_next(&heap), first_ms);
    }
    int64_t last_ms = 0;
    struct sink_timer *timer;
    while ((timer = sink_timers_pop(&heap, 1000)) != NULL) {
        assert_true(timer->due_ms >= last_ms);
        last_ms = timer->due_ms;
    }
    assert_int_equal(heap.count, 0);
    sink_timers_free(&heap);
}
