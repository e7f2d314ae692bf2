/* link: real engine */
/* A shard on io_uring, O_DIRECT and a pool for segments. */
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 2 * 1024 * 1024, MESSAGES = 2000 };

static unsigned results[MESSAGES];
static unsigned done_count;

struct accepting_one {
    struct commit commit;
    unsigned number;
};

static void on_accepted(struct commit *commit, int result)
{
    struct accepting_one *one = container_of(commit, struct accepting_one, commit);

    assert_int_equal(result, 0);
    results[one->number]++;
    done_count++;
}

TEST(burst_is_accepted_delivered_and_recovered)
{
    struct world w;
    struct accepting_one *ones = calloc(MESSAGES, sizeof(*ones));
    struct message_id *ids = calloc(MESSAGES, sizeof(*ids));

    world_init(&w, SEGMENT);
    w.with_blocking = true;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct message *message = world_message(1, 3000 + i, i);

        ones[i] = (struct accepting_one){{.message = message, .done = on_accepted}, i};
        shard_commit(w.shard, &ones[i].commit);
        ids[i] = message->id;
        message_release(&message);
        if (i % 50 == 0)
            engine_turn(w.engine, 0);
    }
    for (unsigned i = 0; i < 20000 && done_count < MESSAGES; i++)
        engine_turn(w.engine, 1);
    assert_int_equal(done_count, MESSAGES);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(results[i], 1);
    for (unsigned i = 0; i < MESSAGES; i += 3) {
        struct pending *pending = &shard_find(w.shard, ids[i])->pendings[0];

        assert_true(world_wait_due(&w, pending));
        assert_int_equal(world_outcome(&w, pending, EVENT_DELIVERED, 0), 0);
    }
    world_check_invariant(&w);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, MESSAGES - (MESSAGES + 2) / 3);
    assert_int_equal(w.recovery.damaged_records, 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct stub *stub = shard_find(w.shard, ids[i]);
        struct message *message;

        assert_int_equal(stub == NULL, i % 3 == 0);
        if (stub == NULL || i % 5 != 0)
            continue;
        assert_int_equal(world_load(&w, stub, false, &message), 0);
        assert_int_equal(message->content.memory.len, 3000 + i);
        assert_true(world_is_content(i, message->content.memory));
        message_release(&message);
    }
    world_close(&w);
    world_free(&w);
    free(ones);
    free(ids);
}

TEST(large_contents_pass_the_real_disk)
{
    static const size_t sizes[] = {1, 100000, CONTENT_CHUNK_MAX + 1, 1500000, 4000000};
    struct world w;
    struct message_id ids[ARRAY_LEN(sizes)];

    world_init(&w, SEGMENT);
    w.with_blocking = true;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct message *message = world_envelope(2, i);

        assert_int_equal(world_write_content(&w, message, i, sizes[i]), 0);
        assert_int_equal(world_accept(&w, message, &ids[i]), 0);
    }
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct message *message;

        assert_int_equal(world_load(&w, shard_find(w.shard, ids[i]), false, &message), 0);
        assert_int_equal(world_verify_content(&w, message, i), sizes[i]);
        message_release(&message);
    }
    world_close(&w);
    world_free(&w);
}
