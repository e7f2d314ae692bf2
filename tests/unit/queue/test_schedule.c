/* The wheel against a plain array, over random adds, removals and jumps in time. */
#include "queue/schedule.h"

#include <stdlib.h>

#include "base/random.h"
#include "support/unit.h"

enum { NEAR_MS = 63, FAR_MS = 1000 };

static void pending_init(struct pending *pending)
{
    *pending = (struct pending){.state = PENDING_SCHEDULED};
    list_node_init(&pending->link);
}

/* Pops with the bounded slices a loop would take; NULL only when nothing is due any more. */
static struct pending *pop_all(struct schedule *schedule, int64_t now_ms)
{
    struct pending *pending;

    while ((pending = schedule_pop(schedule, now_ms)) == NULL)
        if (schedule_next_ms(schedule) > now_ms)
            return NULL;
    return pending;
}

TEST(schedule_empty_has_nothing_and_no_next)
{
    struct schedule *schedule = schedule_create(123456);

    assert_null(schedule_pop(schedule, 123456));
    assert_null(schedule_pop(schedule, 123456 + 86400000LL * 4000));
    assert_int_equal(schedule_next_ms(schedule), INT64_MAX);
    assert_int_equal(schedule_count(schedule), 0);
    schedule_free(&schedule);
    assert_null(schedule);
}

TEST(schedule_hands_out_at_once_what_is_past)
{
    struct schedule *schedule = schedule_create(5000);
    struct pending pendings[3];

    for (size_t i = 0; i < 3; i++)
        pending_init(&pendings[i]);
    assert_null(schedule_pop(schedule, 5000));
    schedule_add(schedule, &pendings[0], 0);
    schedule_add(schedule, &pendings[1], -7);
    schedule_add(schedule, &pendings[2], 4000);
    assert_true(schedule_next_ms(schedule) <= 5000);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(schedule_pop(schedule, 5000), &pendings[i]);
    assert_null(schedule_pop(schedule, 5000));
    schedule_free(&schedule);
}

TEST(schedule_keeps_short_postponements_to_a_sixteenth_of_a_second)
{
    struct schedule *schedule = schedule_create(16000);
    struct pending pending;

    for (int64_t ms = 1; ms < 15000; ms += 37) {
        pending_init(&pending);
        schedule_add(schedule, &pending, 16000 + ms);
        int64_t next_ms = schedule_next_ms(schedule);
        assert_in_range(next_ms, 16000 + ms, 16000 + ms + NEAR_MS);
        assert_int_equal(pending.due_s, (16000 + ms + 999) / 1000);
        schedule_remove(schedule, &pending);
        assert_int_equal(schedule_next_ms(schedule), INT64_MAX);
    }
    schedule_free(&schedule);
}

TEST(schedule_never_due_stays_and_can_be_removed)
{
    struct schedule *schedule = schedule_create(0);
    struct pending pending;

    pending_init(&pending);
    schedule_add(schedule, &pending, INT64_MAX);
    assert_int_equal(pending.due_s, UINT32_MAX);
    for (int64_t year = 1; year < 100; year++)
        assert_null(pop_all(schedule, year * 365 * 86400000));
    assert_int_equal(schedule_count(schedule), 1);
    schedule_remove(schedule, &pending);
    assert_int_equal(schedule_next_ms(schedule), INT64_MAX);
    schedule_free(&schedule);
}

struct expected {
    struct pending pending;
    int64_t due_ms;
    bool is_in;
};

static int64_t random_delay_ms(void)
{
    /* The last is beyond the wheel; all of a run together stays within due_s. */
    static const int64_t spans_ms[] = {100,      1000,       16000,      300000,
                                       14400000, 1036800000, 5184000000, 3652LL * 86400000};

    return (int64_t)random_below((uint64_t)spans_ms[random_below(8)]);
}

/* Everything handed out is due; everything due since FAR_MS was handed out. */
static size_t take_due(struct schedule *schedule, struct expected *all, size_t count,
                       int64_t now_ms)
{
    struct pending *pending;
    size_t taken = 0;

    while ((pending = pop_all(schedule, now_ms)) != NULL) {
        struct expected *expected = container_of(pending, struct expected, pending);

        assert_true(expected->is_in);
        assert_true(expected->due_ms <= now_ms);
        assert_false(list_is_linked(&pending->link));
        expected->is_in = false;
        taken++;
    }
    for (size_t i = 0; i < count; i++)
        assert_true(!all[i].is_in || all[i].due_ms > now_ms - FAR_MS);
    assert_true(schedule_next_ms(schedule) > now_ms);
    return taken;
}

static void run_random(uint64_t seed)
{
    enum { COUNT = 150, STEPS = 400 };
    random_seed(seed);
    int64_t now_ms = (int64_t)random_below(40000000);
    struct schedule *schedule = schedule_create(now_ms);
    struct expected *all = calloc(COUNT, sizeof(*all));
    size_t in = 0;

    assert_non_null(all);
    for (size_t i = 0; i < COUNT; i++)
        pending_init(&all[i].pending);
    for (size_t step = 0; step < STEPS; step++) {
        struct expected *one = &all[random_below(COUNT)];

        if (random_below(4) == 0) {
            now_ms += random_delay_ms();
            in -= take_due(schedule, all, COUNT, now_ms);
        } else if (one->is_in) {
            schedule_remove(schedule, &one->pending);
            one->is_in = false;
            in--;
        } else {
            one->due_ms = now_ms + random_delay_ms() - 50;
            schedule_add(schedule, &one->pending, one->due_ms);
            one->is_in = true;
            in++;
        }
        assert_int_equal(schedule_count(schedule), in);
    }
    now_ms += 11LL * 86400000 * 366;
    in -= take_due(schedule, all, COUNT, now_ms);
    assert_int_equal(in, 0);
    assert_int_equal(schedule_next_ms(schedule), INT64_MAX);
    free(all);
    schedule_free(&schedule);
}

TEST(schedule_agrees_with_an_array_over_random_steps)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        run_random(seed);
}

/* Stepping in small turns visits every round of every level. */
TEST(schedule_is_punctual_in_small_steps)
{
    enum { COUNT = 2000 };
    struct expected *all = calloc(COUNT, sizeof(*all));
    int64_t now_ms = 4095000;
    struct schedule *schedule = schedule_create(now_ms);
    size_t taken = 0;

    assert_non_null(all);
    random_seed(7);
    for (size_t i = 0; i < COUNT; i++) {
        pending_init(&all[i].pending);
        all[i].due_ms = now_ms + 1 + (int64_t)random_below(9000000);
        all[i].is_in = true;
        schedule_add(schedule, &all[i].pending, all[i].due_ms);
    }
    while (taken < COUNT) {
        int64_t next_ms = schedule_next_ms(schedule);

        assert_true(next_ms > now_ms && next_ms < INT64_MAX);
        now_ms = next_ms; /* asleep until then: waking then is enough */
        taken += take_due(schedule, all, COUNT, now_ms);
    }
    assert_true(now_ms <= 4095000 + 9000000 + FAR_MS);
    free(all);
    schedule_free(&schedule);
}

TEST(schedule_moves_a_million_of_one_second_in_bounded_calls)
{
    enum { COUNT = 1000000 };
    struct pending *pendings = calloc(COUNT, sizeof(*pendings));
    struct schedule *schedule = schedule_create(0);
    size_t empty_calls = 0;
    size_t taken = 0;

    assert_non_null(pendings);
    for (size_t i = 0; i < COUNT; i++) {
        pending_init(&pendings[i]);
        schedule_add(schedule, &pendings[i], 7200000);
    }
    assert_null(schedule_pop(schedule, 7199999 - 70000));
    while (taken < COUNT) {
        if (schedule_pop(schedule, 7200000) != NULL) {
            taken++;
            continue;
        }
        assert_true(schedule_next_ms(schedule) <= 7200000);
        empty_calls++;
    }
    /* Two levels down, SCHEDULE_MOVES_MAX a call, and a few for the seams. */
    assert_in_range(empty_calls, COUNT / SCHEDULE_MOVES_MAX, 3 * COUNT / SCHEDULE_MOVES_MAX + 8);
    assert_int_equal(schedule_next_ms(schedule), INT64_MAX);
    free(pendings);
    schedule_free(&schedule);
}

/* While a slot is being moved in slices, what is in it can be removed and new ones come in. */
TEST(schedule_removes_and_adds_while_a_slot_is_being_moved)
{
    enum { COUNT = 3 * SCHEDULE_MOVES_MAX };
    struct pending *pendings = calloc(COUNT + 1, sizeof(*pendings));
    struct schedule *schedule = schedule_create(0);
    size_t taken = 0;

    assert_non_null(pendings);
    for (size_t i = 0; i <= COUNT; i++)
        pending_init(&pendings[i]);
    for (size_t i = 0; i < COUNT; i++)
        schedule_add(schedule, &pendings[i], 300000);
    assert_null(schedule_pop(schedule, 300000));
    for (size_t i = 0; i < COUNT; i += 2)
        schedule_remove(schedule, &pendings[i]);
    schedule_add(schedule, &pendings[COUNT], 300000);
    assert_int_equal(schedule_count(schedule), COUNT / 2 + 1);
    while (pop_all(schedule, 300000) != NULL)
        taken++;
    assert_int_equal(taken, COUNT / 2 + 1);
    free(pendings);
    schedule_free(&schedule);
}

/* Mail that was just accepted leaves although a backlog is due, and the backlog leaves as well. */
TEST(schedule_hands_out_new_ones_in_turn_with_what_is_due)
{
    enum { COUNT = 1000, NEW = 10 };
    struct pending *pendings = calloc(COUNT + NEW, sizeof(*pendings));
    struct schedule *schedule = schedule_create(0);
    unsigned taken_new = 0;

    assert_non_null(pendings);
    for (size_t i = 0; i < COUNT + NEW; i++) {
        pending_init(&pendings[i]);
        if (i < COUNT)
            schedule_add(schedule, &pendings[i], 0);
        else
            schedule_add_new(schedule, &pendings[i]);
    }
    for (unsigned i = 0; i < 2 * NEW; i++)
        taken_new += schedule_pop(schedule, 1000) >= &pendings[COUNT];
    assert_int_equal(taken_new, NEW);
    schedule_add_new(schedule, &pendings[COUNT]);
    schedule_remove(schedule, &pendings[COUNT]);
    assert_int_equal(schedule_count(schedule), COUNT - NEW);
    for (unsigned i = 0; i < COUNT - NEW; i++)
        assert_non_null(schedule_pop(schedule, 1000));
    assert_null(schedule_pop(schedule, 1000));
    schedule_add_new(schedule, &pendings[COUNT]);
    assert_true(schedule_next_ms(schedule) <= 1000);
    assert_ptr_equal(schedule_pop(schedule, 1000), &pendings[COUNT]);
    free(pendings);
    schedule_free(&schedule);
}
