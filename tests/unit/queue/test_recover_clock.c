/* What a start makes of times when the wall clock was set: a fake engine begins at one time always,
 * so moving the clock before a restart is moving it back during the restart. */
#include "support/engine_fake.h"
#include "unit/queue/shard_world.h"

enum { SEGMENT = 256 * 1024, DAY_MS = 24 * 3600 * 1000 };

static void start(struct world *w)
{
    world_init_in_memory(w, SEGMENT);
    assert_int_equal(world_open(w), 0);
}

static void end(struct world *w)
{
    world_close(w);
    world_free(w);
}

static struct stub *accept_one(struct world *w, struct message_id *id_out)
{
    assert_int_equal(world_accept(w, world_message(1, 100, 1), id_out), 0);
    struct stub *stub = shard_find(w->shard, *id_out);

    assert_non_null(stub);
    assert_true(world_wait_due(w, &stub->pendings[0]));
    return stub;
}

static void defer(struct world *w, struct stub *stub, int64_t delay_ms)
{
    assert_int_equal(world_outcome(w, &stub->pendings[0], EVENT_DEFERRED,
                                   engine_wall_ms(w->engine) + delay_ms),
                     0);
}

static struct stub *restart(struct world *w, struct message_id id)
{
    world_crash(w);
    assert_int_equal(world_open(w), 0);
    struct stub *stub = shard_find(w->shard, id);

    assert_non_null(stub);
    return stub;
}

static int64_t age_ms(const struct world *w, const struct stub *stub)
{
    int64_t now_ms = engine_now_ms(w->engine);

    return now_ms - stub_accepted_ms(stub, now_ms);
}

static bool is_due_after(struct world *w, int64_t ms)
{
    fake_advance_ms(w->engine, ms);
    world_turns(w, 3);
    return w->due_count > 0;
}

TEST(mail_is_due_by_its_retry_rule_where_the_clock_was_set_back)
{
    struct world w;
    struct message_id id;

    start(&w);
    struct stub *stub = accept_one(&w, &id);

    fake_advance_ms(w.engine, 10LL * DAY_MS);
    world_turns(&w, 1);
    defer(&w, stub, 15000);
    w.delay_max_ms = 20000;
    (void)restart(&w, id);
    assert_false(is_due_after(&w, 19000));
    assert_true(is_due_after(&w, 2000));
    end(&w);
}

TEST(mail_is_due_as_it_was_told_where_nobody_set_the_clock)
{
    struct world w;
    struct message_id id;

    start(&w);
    defer(&w, accept_one(&w, &id), 15000);
    w.delay_max_ms = 20000;
    (void)restart(&w, id);
    assert_false(is_due_after(&w, 14000));
    assert_true(is_due_after(&w, 2000));
    end(&w);
}

TEST(mail_that_a_start_finds_is_untried_until_it_was_deferred)
{
    struct world w;
    struct message_id id;

    start(&w);
    fake_step_wall_ms(w.engine, -4LL * DAY_MS);
    world_turns(&w, 1);
    struct stub *stub = accept_one(&w, &id);

    assert_int_equal(stub->pendings[0].flags & PENDING_UNTRIED, 0);
    stub = restart(&w, id);
    assert_in_range(age_ms(&w, stub), 4LL * DAY_MS - 2000, 4LL * DAY_MS + 2000);
    assert_int_equal(stub->pendings[0].flags & PENDING_UNTRIED, PENDING_UNTRIED);
    assert_true(world_wait_due(&w, &stub->pendings[0]));
    assert_int_equal(stub->pendings[0].flags & PENDING_UNTRIED, PENDING_UNTRIED);
    defer(&w, stub, 1000);
    assert_int_equal(stub->pendings[0].flags & PENDING_UNTRIED, 0);
    end(&w);
}

TEST(mail_of_the_future_ages_from_the_start_on)
{
    struct world w;
    struct message_id id;

    start(&w);
    fake_step_wall_ms(w.engine, 4LL * DAY_MS);
    world_turns(&w, 1);
    (void)accept_one(&w, &id);
    struct stub *stub = restart(&w, id);

    assert_in_range(age_ms(&w, stub), 0, 2000);
    fake_advance_ms(w.engine, 100000);
    world_turns(&w, 1);
    assert_in_range(age_ms(&w, stub), 100000, 102000);
    end(&w);
}

TEST(mail_ages_by_the_monotonic_clock)
{
    static const int64_t steps_ms[] = {4LL * DAY_MS, -9LL * DAY_MS, 40000LL * DAY_MS};
    struct world w;
    struct message_id id;

    start(&w);
    struct stub *stub = accept_one(&w, &id);

    for (unsigned i = 0; i < ARRAY_LEN(steps_ms); i++) {
        fake_step_wall_ms(w.engine, steps_ms[i]);
        fake_advance_ms(w.engine, 100000);
        world_turns(&w, 1);
        int64_t age = age_ms(&w, stub);

        expect_row(i, age >= (i + 1) * 100000 && age <= (i + 1) * 100000 + 2000);
    }
    end(&w);
}

/* What a start finds is as old as it was, if the clock is left alone from then on: the footer of
 * its segment tells its time of acceptance in the time that the clock shows when it is written. */
TEST(footer_keeps_the_age_over_a_clock_that_was_set)
{
    struct world w;
    struct message_id id, other;

    start(&w);
    struct stub *stub = accept_one(&w, &id);
    uint32_t sequence = stub->sequence;

    fake_step_wall_ms(w.engine, -4LL * DAY_MS);
    world_turns(&w, 1);
    do
        assert_int_equal(world_accept(&w, world_message(1, 60000, 2), &other), 0);
    while (shard_find(w.shard, other)->sequence == sequence);
    world_turns(&w, 20);
    stub = restart(&w, id); /* the clock goes forward by four days again */
    assert_in_range(age_ms(&w, stub), 4LL * DAY_MS - 2000, 4LL * DAY_MS + 2000);
    end(&w);
}
