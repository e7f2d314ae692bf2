/* test_not_before.c - nothing is tried before its time, whatever happens meanwhile. */
#include "base/budget.h"
#include "support/engine_fake.h"
#include "unit/queue/shard_world.h"

enum { SEGMENT = 256 * 1024, HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

static struct stub *accept_for(struct world *w, unsigned recipients, int64_t ahead_ms,
                               struct message_id *id_out)
{
    struct message *message = world_message(recipients, 100, 1);

    message->not_before_ms = engine_wall_ms(w->engine) + ahead_ms;
    assert_int_equal(world_accept(w, message, id_out), 0);
    struct stub *stub = shard_find(w->shard, *id_out);
    assert_non_null(stub);
    return stub;
}

static bool is_due_after(struct world *w, int64_t ms)
{
    fake_advance_ms(w->engine, ms);
    world_turns(w, 5);
    return w->due_count > 0;
}

static int64_t age_ms(const struct world *w, const struct stub *stub)
{
    int64_t now_ms = engine_now_ms(w->engine);

    return now_ms - stub_age_from_ms(stub, now_ms);
}

static struct stub *restart(struct world *w, struct message_id id, bool is_crash)
{
    if (is_crash)
        world_crash(w);
    else
        world_close(w);
    assert_int_equal(world_open(w), 0);
    struct stub *stub = shard_find(w->shard, id);
    assert_non_null(stub);
    return stub;
}

TEST(not_before_is_honoured_to_the_second)
{
    struct world w;
    struct message_id id;
    struct shard_status status;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = accept_for(&w, 3, HOUR_MS + 1, &id);
    assert_true(stub_has_not_before(stub));
    shard_status(w.shard, &status);
    assert_int_equal(status.scheduled, 3);
    assert_int_equal(status.resident_messages, 0); /* it need not be in memory so long */
    assert_false(is_due_after(&w, HOUR_MS - 10));
    assert_true(is_due_after(&w, 1200));
    assert_int_equal(w.due_count, 3);
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}

TEST(not_before_that_is_past_is_none)
{
    static const int64_t ahead_ms[] = {0, -1, -HOUR_MS};
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < ARRAY_LEN(ahead_ms); i++) {
        struct stub *stub = accept_for(&w, 1, ahead_ms[i], &id);

        expect_row(i, !stub_has_not_before(stub));
        expect_row(i, world_wait_due(&w, &stub->pendings[0]));
    }
    world_close(&w);
    world_free(&w);
}

TEST(retry_does_not_hasten_it_but_cancel_takes_it)
{
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = accept_for(&w, 2, HOUR_MS, &id);
    assert_false(shard_retry_now(w.shard, &stub->pendings[0]));
    assert_false(is_due_after(&w, 1000));
    assert_true(shard_take(w.shard, &stub->pendings[0]));
    assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_CANCELLED, 0), 0);
    assert_true(is_due_after(&w, HOUR_MS));
    assert_int_equal(w.due_count, 1);
    /* Given back until an hour later; the time before which it must not be is over. */
    shard_postpone(w.shard, w.due[0], engine_now_ms(w.engine) + HOUR_MS);
    w.due_count = 0;
    assert_true(shard_retry_now(w.shard, &stub->pendings[1]));
    assert_true(is_due_after(&w, 10));
    world_close(&w);
    world_free(&w);
}

TEST(age_begins_when_it_may_be_tried)
{
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = accept_for(&w, 1, DAY_MS, &id);
    assert_in_range(-age_ms(&w, stub), DAY_MS - 2000, DAY_MS + 1000);
    fake_advance_ms(w.engine, DAY_MS + 5000);
    world_turns(&w, 1);
    assert_in_range(age_ms(&w, stub), 3000, 6000);
    int64_t now_ms = engine_now_ms(w.engine);
    assert_true(now_ms - stub_accepted_ms(stub, now_ms) >= DAY_MS);
    world_close(&w);
    world_free(&w);
}

/* The fake clock begins at one time always: a restart sets it back by what went by before. */
TEST(not_before_stands_over_restarts)
{
    for (unsigned crashes = 0; crashes < 2; crashes++) {
        struct world w;
        struct message_id id;

        world_init_in_memory(&w, SEGMENT);
        assert_int_equal(world_open(&w), 0);
        (void)accept_for(&w, 2, HOUR_MS, &id);
        for (unsigned i = 0; i < 5; i++) {
            struct stub *stub = restart(&w, id, crashes == 1);

            expect_row(i, stub_has_not_before(stub));
            expect_row(i, !shard_retry_now(w.shard, &stub->pendings[0]));
            expect_row(i, !is_due_after(&w, 10));
        }
        assert_false(is_due_after(&w, HOUR_MS - 2000));
        assert_true(is_due_after(&w, 6000)); /* a second later with each restart, at most */
        assert_int_equal(w.due_count, 2);
        world_close(&w);
        world_free(&w);
    }
}

TEST(clock_that_was_set_back_holds_no_longer_than_was_asked)
{
    for (unsigned crashes = 0; crashes < 2; crashes++) {
        struct world w;
        struct message_id id;

        world_init_in_memory(&w, SEGMENT);
        assert_int_equal(world_open(&w), 0);
        fake_advance_ms(w.engine, 100LL * DAY_MS);
        world_turns(&w, 1);
        (void)accept_for(&w, 1, HOUR_MS, &id);
        (void)restart(&w, id, crashes == 1); /* a hundred days before */
        assert_false(is_due_after(&w, HOUR_MS - 2000));
        assert_true(is_due_after(&w, 5000));
        world_close(&w);
        world_free(&w);
    }
}

TEST(clock_that_is_set_while_it_waits_changes_nothing)
{
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    (void)accept_for(&w, 1, HOUR_MS, &id);
    fake_step_wall_ms(w.engine, 50LL * DAY_MS);
    assert_false(is_due_after(&w, HOUR_MS - 2000));
    assert_true(is_due_after(&w, 3000));
    world_close(&w);
    world_free(&w);
}

TEST(not_before_in_a_time_that_nobody_sees_is_kept)
{
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = accept_for(&w, 1, INT64_MAX / 2, &id);
    assert_int_equal(stub->pendings[0].state, PENDING_SCHEDULED);
    stub = restart(&w, id, false);
    assert_false(is_due_after(&w, 1000LL * DAY_MS));
    stub = restart(&w, id, true);
    assert_false(is_due_after(&w, 1000LL * DAY_MS));
    assert_int_equal(stub->pendings[0].state, PENDING_SCHEDULED);
    world_close(&w);
    world_free(&w);
}

/* What is delivered before and behind it fills segments until it is moved. */
TEST(moved_copy_keeps_not_before_class_tenant_and_tail)
{
    struct world w;
    struct message_id id, other;
    struct message *expected = world_message(2, 100, 1);
    struct message *loaded;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = accept_for(&w, 2, DAY_MS, &id);
    expected->not_before_ms = engine_wall_ms(w.engine) + DAY_MS;
    for (unsigned i = 0; i < 60 && !stub->is_moved; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 60000, 2), &other), 0);
        struct pending *pending = &shard_find(w.shard, other)->pendings[0];
        assert_true(world_wait_due(&w, pending));
        assert_int_equal(world_outcome(&w, pending, EVENT_DELIVERED, 0), 0);
        fake_advance_ms(w.engine, 300);
        world_turns(&w, 20);
    }
    assert_true(stub->is_moved);
    for (unsigned crashes = 0; crashes < 2; crashes++) {
        stub = restart(&w, id, crashes == 1);
        assert_true(stub_has_not_before(stub));
        assert_int_equal(world_load(&w, stub, false, &loaded), 0);
        /* The time of the first engine and this one's are hours apart at most. */
        expected->not_before_ms = loaded->not_before_ms;
        assert_true(world_envelope_equal(loaded, expected));
        assert_true(loaded->tail.len > 0);
        message_release(&loaded);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(stub->pendings[i].flow->class, expected->class);
            assert_true(bytes_equal(flow_tenant(stub->pendings[i].flow), expected->tenant));
        }
        assert_false(is_due_after(&w, DAY_MS - 60000));
    }
    message_release(&expected);
    world_close(&w);
    world_free(&w);
}

TEST(stub_without_not_before_is_as_small_as_ever)
{
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    int64_t before = budget_used();
    assert_int_equal(world_accept(&w, world_message(1, 100, 1), &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    assert_true(world_wait_due(&w, &stub->pendings[0]));
    assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_DEFERRED,
                                   engine_wall_ms(w.engine) + DAY_MS),
                     0);
    assert_in_range(budget_used() - before, 80, 92);
    world_close(&w);
    world_free(&w);
}
