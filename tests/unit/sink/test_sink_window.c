#include "sink/sink_window.h"

#include "support/unit.h"

static struct window_entry entry(uint64_t offset)
{
    return (struct window_entry){.end = {.number = 1, .offset = offset}, .len = 10};
}

TEST(window_passes_only_what_has_no_open_event_before_it)
{
    struct sink_window window;
    uint64_t tickets[4];

    window_init(&window, 4);
    for (uint64_t i = 0; i < 4; i++) {
        struct window_entry e = entry(i + 1);
        tickets[i] = window_add(&window, &e);
    }
    assert_true(window_is_full(&window));
    assert_true(window_answer(&window, tickets[2]));
    assert_true(window_answer(&window, tickets[1]));
    assert_null(window_pass(&window));
    assert_int_equal(window_oldest(&window)->end.offset, 1);
    assert_true(window_answer(&window, tickets[0]));
    assert_int_equal(window_pass(&window)->end.offset, 3);
    assert_int_equal(window_oldest(&window)->end.offset, 4);
    assert_int_equal(window.bytes, 10);
    assert_false(window_is_full(&window));
    window_free(&window);
}

TEST(window_knows_no_ticket_twice)
{
    struct window_entry e = entry(1);
    struct sink_window window;

    window_init(&window, 2);
    uint64_t ticket = window_add(&window, &e);
    assert_true(window_answer(&window, ticket));
    assert_false(window_answer(&window, ticket));
    assert_non_null(window_pass(&window));
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

TEST(window_holds_what_is_not_wanted_in_one_entry)
{
    struct window_entry first = entry(1), second = entry(2), third = entry(3), fourth = entry(4);
    struct sink_window window;

    window_init(&window, 2);
    uint64_t ticket = window_add(&window, &first);
    assert_true(window_add_unwanted(&window, &second));
    assert_true(window_add_unwanted(&window, &third)); /* takes no more room */
    assert_true(window_is_full(&window));
    assert_null(window_pass(&window));
    assert_true(window_answer(&window, ticket));
    assert_int_equal(window_pass(&window)->end.offset, 3);
    assert_int_equal(window.told, 1);
    assert_true(window_is_empty(&window));
    window_add(&window, &first);
    window_add(&window, &second);
    assert_false(window_add_unwanted(&window, &fourth));
    window_free(&window);
}
