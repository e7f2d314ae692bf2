/* A shard's life on the fake engine. */
#include "shard_world.h"
#include "support/engine_fake.h"

enum { SEGMENT = 1024 * 1024 };

TEST(accept_is_handed_out_due_and_resident)
{
    struct world w;
    struct message_id id;
    struct message *message;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 0);
    assert_int_equal(world_accept(&w, world_message(1, 4000, 1), &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    assert_non_null(stub);
    assert_true(world_wait_due(&w, &stub->pendings[0]));
    assert_int_equal(stub->pendings[0].state, PENDING_READY);
    assert_non_null(stub->message);
    assert_int_equal(world_load(&w, stub, false, &message), 0);
    assert_ptr_equal(message, stub->message);
    message_release(&message);
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}

TEST(accepted_message_survives_reopening_and_crash)
{
    for (unsigned crash = 0; crash < 2; crash++) {
        struct world w;
        struct message_id ids[20];
        struct message *message;

        world_init(&w, SEGMENT);
        assert_int_equal(world_open(&w), 0);
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(world_accept(&w, world_message(1 + i % 4, i * 700, i), &ids[i]), 0);
        if (crash)
            world_crash(&w);
        else
            world_close(&w);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.messages, 20);
        assert_int_equal(w.recovery.damaged_records, 0);
        for (unsigned i = 0; i < 20; i++) {
            struct stub *stub = shard_find(w.shard, ids[i]);
            struct message *expected = world_message(1 + i % 4, i * 700, i);

            assert_non_null(stub);
            assert_int_equal(stub->recipient_count, 1 + i % 4);
            assert_int_equal(stub->next_seq, 1 + i % 4);
            assert_true(world_wait_due(&w, &stub->pendings[0]));
            assert_int_equal(world_load(&w, stub, false, &message), 0);
            assert_true(world_envelope_equal(message, expected));
            assert_int_equal(message->content.memory.len, i * 700);
            assert_true(world_is_content(i, message->content.memory));
            message_release(&message);
            message_release(&expected);
        }
        world_check_invariant(&w);
        world_close(&w);
        world_free(&w);
    }
}

TEST(outcomes_survive_and_finished_messages_do_not_come_back)
{
    struct world w;
    struct message_id ids[3];

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_accept(&w, world_message(2, 3000, i), &ids[i]), 0);
    int64_t later_ms = engine_wall_ms(w.engine) + 3600 * 1000;
    for (unsigned i = 0; i < 3; i++) {
        struct stub *stub = shard_find(w.shard, ids[i]);

        assert_true(world_wait_due(&w, &stub->pendings[0]));
        assert_true(world_wait_due(&w, &stub->pendings[1]));
        assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_DELIVERED, 0), 0);
        assert_int_equal(world_outcome(&w, &stub->pendings[1],
                                       i == 0 ? EVENT_BOUNCED : EVENT_DEFERRED, later_ms),
                         0);
        if (i == 1)
            assert_int_equal(world_outcome(&w, &stub->pendings[1], EVENT_DELAYED, 0), 0);
    }
    assert_null(shard_find(w.shard, ids[0]));
    world_check_invariant(&w);
    for (unsigned round = 0; round < 3; round++) {
        if (round == 1)
            world_crash(&w);
        else
            world_close(&w);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.messages, 2);
        assert_int_equal(w.recovery.recipients, 2);
        assert_null(shard_find(w.shard, ids[0]));
        struct stub *stub = shard_find(w.shard, ids[1]);
        assert_non_null(stub);
        assert_int_equal(stub->live_count, 1);
        assert_int_equal(stub->next_seq, 5);
        assert_int_equal(stub->pendings[0].state, PENDING_FINAL);
        assert_int_equal(stub->pendings[1].state, PENDING_SCHEDULED);
        assert_int_equal(stub->pendings[1].attempts, 1);
        assert_int_equal(stub->pendings[1].flags, PENDING_DELAY_TOLD);
        world_turns(&w, 20);
        assert_int_equal(w.due_count, 0);
        int64_t due_wall_ms = (int64_t)stub->pendings[1].due_s * 1000 + engine_wall_ms(w.engine) -
                              engine_now_ms(w.engine);
        assert_in_range(due_wall_ms + 2000 - later_ms, 0, 4000);
        world_check_invariant(&w);
    }
    fake_advance_ms(w.engine, 3601 * 1000);
    assert_true(world_wait_due(&w, &shard_find(w.shard, ids[1])->pendings[1]));
    assert_true(world_wait_due(&w, &shard_find(w.shard, ids[2])->pendings[1]));
    world_close(&w);
    world_free(&w);
}
