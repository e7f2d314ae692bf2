/* threads: one */
/* A shard's life on the fake engine. */
#include "support/engine_fake.h"
#include "tests/unit/queue/shard_world.h"

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
    assert_non_null(stub_message(stub));
    assert_int_equal(world_load(&w, stub, false, &message), 0);
    assert_ptr_equal(message, stub_message(stub));
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
        assert_int_equal(stub->pendings[1].flags, PENDING_DELAY_TOLD | PENDING_UNTRIED);
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

static struct pending *due_pending(struct world *w, struct message_id id, unsigned number)
{
    struct pending *pending = &shard_find(w->shard, id)->pendings[number];

    assert_true(world_wait_due(w, pending));
    return pending;
}

static void verify_large(struct world *w, struct message_id id, unsigned seed, size_t size)
{
    struct stub *stub = shard_find(w->shard, id);
    struct message *message;

    assert_non_null(stub);
    assert_int_equal(world_load(w, stub, false, &message), 0);
    assert_int_equal(message->content.size, size);
    assert_int_equal(world_verify_content(w, message, seed), size);
    message_release(&message);
}

TEST(contents_of_all_sizes_are_read_back)
{
    static const size_t sizes[] = {0,
                                   1,
                                   4096,
                                   CONTENT_CHUNK_MAX - 1,
                                   CONTENT_CHUNK_MAX,
                                   CONTENT_CHUNK_MAX + 1,
                                   3 * CONTENT_CHUNK_MAX,
                                   5 * CONTENT_CHUNK_MAX + 77};
    struct world w;
    struct message_id ids[ARRAY_LEN(sizes)][2];

    world_init(&w, 2 * SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct message *message = world_envelope(1, i);

        assert_int_equal(world_accept(&w, world_message(1, sizes[i], i), &ids[i][0]), 0);
        if (sizes[i] > 0)
            assert_int_equal(world_write_content(&w, message, i, sizes[i]), 0);
        assert_int_equal(world_accept(&w, message, &ids[i][1]), 0);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
            for (unsigned n = 0; n < 2; n++)
                verify_large(&w, ids[i][n], i, sizes[i]);
        if (round == 0) {
            world_crash(&w);
            assert_int_equal(world_open(&w), 0);
        }
    }
    world_close(&w);
    world_free(&w);
}

/* Its chunks stand in three segments; while the client is slow the space is not given away. */
TEST(slow_upload_keeps_its_space_and_an_abandoned_one_gives_it_back)
{
    enum { SIZE = 2 * 1024 * 1024 + 5 };
    struct world w;
    struct message *message = world_envelope(1, 8);
    struct message *abandoned = world_envelope(1, 9);
    struct message_id id, other;
    struct shard_status status;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_write_content(&w, message, 8, SIZE), 0);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 20000, i), &other), 0);
        assert_int_equal(world_outcome(&w, due_pending(&w, other, 0), EVENT_DELIVERED, 0), 0);
    }
    assert_int_equal(world_accept(&w, message, &id), 0);
    verify_large(&w, id, 8, SIZE);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    verify_large(&w, id, 8, SIZE);
    assert_int_equal(world_outcome(&w, due_pending(&w, id, 0), EVENT_DELIVERED, 0), 0);
    assert_int_equal(world_write_content(&w, abandoned, 9, SIZE), 0);
    message_release(&abandoned);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 20000, i), &other), 0);
        assert_int_equal(world_outcome(&w, due_pending(&w, other, 0), EVENT_DELIVERED, 0), 0);
    }
    shard_status(w.shard, &status);
    assert_true(status.segments <= 2);
    world_close(&w);
    world_free(&w);
}

TEST(message_with_many_recipients)
{
    enum { RECIPIENTS = 3000 };
    struct world w;
    struct message_id id;

    world_init(&w, 4 * SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(RECIPIENTS, 5000, 1), &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    /* At most a thousand are handed out in one turn. */
    size_t before = w.due_count;
    engine_turn(w.engine, 0);
    assert_true(w.due_count - before <= 1000);
    for (unsigned i = 0; i < 10; i++)
        engine_turn(w.engine, 0);
    assert_int_equal(w.due_count, RECIPIENTS);
    struct outcome *outcomes = calloc(RECIPIENTS, sizeof(*outcomes));
    for (unsigned i = 0; i < RECIPIENTS; i++)
        outcomes[i] =
            world_outcome_of(&stub->pendings[i], i % 3 == 0 ? EVENT_DEFERRED : EVENT_DELIVERED,
                             i % 3 == 0 ? engine_wall_ms(w.engine) + 100000 : 0);
    struct world_commit commit = {
        .commit = {.outcomes = outcomes, .outcome_count = RECIPIENTS, .done = world_on_commit}};
    shard_commit(w.shard, &commit.commit);
    free(outcomes);
    assert_true(world_until(&w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    assert_int_equal(stub->live_count, RECIPIENTS / 3);
    world_check_invariant(&w);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.recipients, RECIPIENTS / 3);
    verify_large(&w, id, 1, 5000);
    world_close(&w);
    world_free(&w);
}

TEST(limits_are_answers)
{
    struct world w;
    struct message_id id;

    world_init(&w, SEGMENT);
    w.settings.memory_max = 1;
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &id), -ENOMEM);
    world_close(&w);
    w.settings.memory_max = 0;
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(20000, 10, 1), &id), -EMSGSIZE);
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &id), 0);
    world_close(&w);
    world_free(&w);
}

TEST(adopted_shard_delivers_but_accepts_only_its_own_notices)
{
    struct world w;
    struct message_id id, refused;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &id), 0);
    world_close(&w);
    w.is_adopted = true;
    assert_int_equal(world_open(&w), 0);
    assert_true(shard_is_adopted(w.shard));
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &refused), -ESHUTDOWN);
    struct outcome outcome = world_outcome_of(due_pending(&w, id, 0), EVENT_BOUNCED, 0);
    struct message *dsn = world_message(1, 300, 7); /* is_dsn */
    assert_true(dsn->is_dsn);
    struct world_commit commit = {.commit = {.message = dsn,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w.shard, &commit.commit);
    assert_true(world_until(&w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    assert_null(shard_find(w.shard, id));
    assert_int_equal(world_outcome(&w, due_pending(&w, dsn->id, 0), EVENT_DELIVERED, 0), 0);
    message_release(&dsn);
    world_close(&w);
    world_free(&w);
}

TEST(resident_cap_is_kept_and_what_is_over_it_is_read_back)
{
    struct world w;
    struct message_id ids[10];
    struct shard_status status;

    world_init(&w, SEGMENT);
    w.settings.resident_max = 30000;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 8000, i), &ids[i]), 0);
        shard_status(w.shard, &status);
        assert_true(status.resident_bytes <= 30000);
    }
    assert_null(stub_message(shard_find(w.shard, ids[9])));
    for (unsigned i = 0; i < 10; i++)
        verify_large(&w, ids[i], i, 8000);
    /* Deferred ones leave memory. */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(world_outcome(&w, due_pending(&w, ids[i], 0), EVENT_DEFERRED,
                                       engine_wall_ms(w.engine) + 60000),
                         0);
    shard_status(w.shard, &status);
    assert_int_equal(status.resident_bytes, 0);
    assert_int_equal(status.resident_messages, 0);
    world_close(&w);
    world_free(&w);
}

/* A rest, a rate, a suspension: content of what waits is on disk, and need not be in memory. */
TEST(what_will_not_be_tried_soon_leaves_memory)
{
    struct world w;
    struct message_id id;
    struct shard_status status;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(2, 8000, 0), &id), 0);
    struct pending *first = due_pending(&w, id, 0);
    struct pending *second = due_pending(&w, id, 1);
    struct stub *stub = pending_stub(first);
    assert_non_null(stub_message(stub));
    shard_postpone(w.shard, first, engine_now_ms(w.engine) + 1000);
    shard_let_go(w.shard, second);
    assert_non_null(stub_message(stub)); /* the first is tried in a second */
    world_turns(&w, 3);
    fake_advance_ms(w.engine, 1000);
    assert_true(world_wait_due(&w, first));
    shard_postpone(w.shard, first, engine_now_ms(w.engine) + 3000);
    assert_null(stub_message(stub));
    shard_status(w.shard, &status);
    assert_int_equal(status.resident_bytes, 0);
    verify_large(&w, id, 0, 8000); /* read back for one who wants it, and not kept */
    assert_null(stub_message(stub));
    fake_advance_ms(w.engine, 4000);
    assert_true(world_wait_due(&w, first));
    verify_large(&w, id, 0, 8000); /* and kept for one that is tried now */
    assert_non_null(stub_message(stub));
    assert_int_equal(world_outcome(&w, second, EVENT_DEFERRED, engine_wall_ms(w.engine) + 60000),
                     0);
    assert_non_null(stub_message(stub));
    assert_int_equal(world_outcome(&w, first, EVENT_DEFERRED, engine_wall_ms(w.engine) + 60000), 0);
    assert_null(stub_message(stub));
    world_close(&w);
    world_free(&w);
}

/* An arena takes more than what was used of it: the cap is for what the process needs. */
TEST(resident_bytes_are_what_arenas_took)
{
    struct world w;
    struct message_id id;
    struct shard_status status;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    struct message *message = world_message(3, 3000, 0);
    size_t memory = message_memory(message);
    assert_true(memory > sizeof(*message) + message->arena.used);
    assert_int_equal(memory, sizeof(*message) + message->arena.held);
    assert_int_equal(world_accept(&w, message, &id), 0);
    shard_status(w.shard, &status);
    assert_int_equal(status.resident_bytes, memory);
    world_close(&w);
    world_free(&w);
}

/* What is in memory only to save a read must not have new mail refused. */
TEST(resident_messages_leave_memory_to_new_ones)
{
    enum { COUNT = 100, SIZE = 8000, MEMORY = 200000 };
    struct world w;
    struct message_id ids[COUNT];
    struct shard_status status;

    world_init(&w, SEGMENT);
    w.settings.memory_max = MEMORY;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(world_accept(&w, world_message(1, SIZE, i), &ids[i]), 0);
    shard_status(w.shard, &status);
    assert_in_range(status.resident_bytes, SIZE, MEMORY / 4 * 3);
    for (unsigned i = 0; i < COUNT; i++)
        verify_large(&w, ids[i], i, SIZE);
    world_close(&w);
    world_free(&w);
}

TEST(loads_of_one_message_share_a_read)
{
    struct world w;
    struct message_id id;
    struct world_load loads[4] = {0};

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(4, 3000, 2), &id), 0);
    world_close(&w);
    assert_int_equal(world_open(&w), 0);
    struct stub *stub = shard_find(w.shard, id);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(world_wait_due(&w, &stub->pendings[i]));
        loads[i].load = (struct load){.stub = stub, .done = world_on_load};
    }
    unsigned before = fake_count(w.engine, FAKE_READ);
    for (unsigned i = 0; i < 4; i++)
        shard_load(w.shard, &loads[i].load);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(world_until(&w, &loads[i].is_done));
        assert_ptr_equal(loads[i].message, loads[0].message);
    }
    assert_int_equal(fake_count(w.engine, FAKE_READ) - before, 1);
    for (unsigned i = 0; i < 4; i++)
        message_release(&loads[i].message);
    world_close(&w);
    world_free(&w);
}

TEST(operator_takes_retries_and_walks)
{
    struct world w;
    struct message_id ids[600];
    uint64_t cursor = 0;

    world_init(&w, 4 * SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(world_accept(&w, world_message(1, 100, i), &ids[i]), 0);
    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(world_outcome(&w, due_pending(&w, ids[i], 0), EVENT_DEFERRED,
                                       engine_wall_ms(w.engine) + 3600000),
                         0);
    struct pending *pending = &shard_find(w.shard, ids[3])->pendings[0];
    assert_true(shard_retry_now(w.shard, pending));
    assert_true(world_wait_due(&w, pending));
    assert_false(shard_retry_now(w.shard, pending));
    assert_false(shard_take(w.shard, pending));
    shard_postpone(w.shard, pending, engine_now_ms(w.engine) + 5000);
    world_turns(&w, 5);
    assert_int_equal(w.due_count, 0);
    fake_advance_ms(w.engine, 6000);
    assert_true(world_wait_due(&w, pending));
    pending = &shard_find(w.shard, ids[4])->pendings[0];
    assert_true(shard_take(w.shard, pending));
    assert_int_equal(world_outcome(&w, pending, EVENT_CANCELLED, 0), 0);
    assert_null(shard_find(w.shard, ids[4]));
    size_t seen = 0;
    while (shard_walk(w.shard, &cursor, 7, world_count_stub, &seen))
        ;
    assert_int_equal(seen, 599);
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}

TEST(sinks_hold_segments_back)
{
    struct world w;
    struct message_id id;
    struct shard_status status;

    world_init(&w, SEGMENT);
    w.sink_count = 2;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 20000, i), &id), 0);
        assert_int_equal(world_outcome(&w, due_pending(&w, id, 0), EVENT_DELIVERED, 0), 0);
    }
    shard_status(w.shard, &status);
    assert_int_equal(status.messages, 0);
    uint64_t held = status.segments;
    assert_true(held > 5);
    shard_sink_passed(w.shard, 0, shard_durable_position(w.shard));
    world_turns(&w, 50);
    shard_status(w.shard, &status);
    assert_int_equal(status.segments, held);
    shard_sink_passed(w.shard, 1, shard_durable_position(w.shard));
    world_turns(&w, 50);
    shard_status(w.shard, &status);
    assert_int_equal(status.segments, 1);
    world_close(&w);
    world_free(&w);
}

TEST(stepped_wall_clock_moves_no_due_time)
{
    struct world w;
    struct message_id id;

    world_init(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 100, 1), &id), 0);
    struct pending *pending = due_pending(&w, id, 0);
    assert_int_equal(world_outcome(&w, pending, EVENT_DEFERRED, engine_wall_ms(w.engine) + 100000),
                     0);
    fake_step_wall_ms(w.engine, 24 * 3600 * 1000);
    world_turns(&w, 10);
    assert_int_equal(w.due_count, 0);
    fake_step_wall_ms(w.engine, -48 * 3600 * 1000);
    fake_advance_ms(w.engine, 102000);
    assert_true(world_wait_due(&w, pending));
    world_close(&w);
    world_free(&w);
}
