#include "sink/sink_window.h"

#include "support/unit.h"

static struct window_entry entry(uint64_t offset)
{
    return (struct window_entry){.at = {.number = 1, .offset = offset},
                                 .time_ms = (int64_t)offset,
                                 .len = 10};
}

TEST(window_passes_only_what_has_no_open_event_before_it)
{
    struct sink_window window;
    uint64_t tickets[4];
    int64_t time_ms = 0;

    window_init(&window, 4);
    for (uint64_t i = 0; i < 4; i++) {
        struct window_entry e = entry(i + 1);
        tickets[i] = window_add(&window, &e);
    }
    assert_true(window_is_full(&window));
    assert_true(window_answer(&window, tickets[2]));
    assert_true(window_answer(&window, tickets[1]));
    assert_int_equal(window_pass(&window, &time_ms), 0);
    assert_int_equal(time_ms, 0);
    assert_int_equal(window_oldest(&window)->at.offset, 1);
    assert_true(window_answer(&window, tickets[0]));
    assert_int_equal(window_pass(&window, &time_ms), 3);
    assert_int_equal(time_ms, 3);
    assert_int_equal(window_oldest(&window)->at.offset, 4);
    assert_int_equal(window.bytes, 10);
    assert_false(window_is_full(&window));
    window_free(&window);
}

TEST(window_knows_no_ticket_twice)
{
    struct window_entry e = entry(1);
    struct sink_window window;
    int64_t time_ms = 0;

    window_init(&window, 2);
    uint64_t ticket = window_add(&window, &e);
    assert_true(window_answer(&window, ticket));
    assert_false(window_answer(&window, ticket));
    assert_int_equal(window_pass(&window, &time_ms), 1);
    assert_false(window_answer(&window, ticket));
    ticket = window_add(&window, &e);
    assert_false(window_answer(&window, ticket + 1));
    window_clear(&window);
    assert_false(window_answer(&window, ticket));
    assert_true(window_is_empty(&window) && window.bytes == 0);
    ticket = window_add(&window, &e);
    window_take_back(&window);
    assert_true(window_is_empty(&window) && window.bytes == 0);
    window_free(&window);
}

/* Tickets mean the same in a ring that grew, wherever it began. */
TEST(window_grows_to_its_most_and_gives_its_memory_back)
{
    enum { MAX_ENTRIES = 1000 };
    struct sink_window window;
    int64_t time_ms = 0;

    window_init(&window, MAX_ENTRIES);
    assert_null(window.entries);
    for (size_t round = 0; round < 3; round++) {
        uint64_t first = window.next;

        for (uint64_t i = 0; !window_is_full(&window); i++) {
            struct window_entry e = entry(i + 1);
            assert_int_equal(window_add(&window, &e), first + i);
        }
        assert_int_equal(window.next - first, MAX_ENTRIES);
        assert_int_equal(window.capacity, MAX_ENTRIES);
        for (uint64_t i = 0; i < MAX_ENTRIES; i++) {
            assert_int_equal(window_oldest(&window)->at.offset, i + 1);
            assert_true(window_answer(&window, first + i));
            assert_int_equal(window_pass(&window, &time_ms), 1);
        }
        assert_null(window.entries);
        struct window_entry odd = entry(1); /* so that the next round begins elsewhere */
        assert_true(window_answer(&window, window_add(&window, &odd)));
        assert_int_equal(window_pass(&window, &time_ms), 1);
    }
    window_free(&window);
}
