/* threads: one */
/* Space comes back, and what that costs is bounded. */
#include <errno.h>

#include "base/metric.h"
#include "queue/segment.h"
#include "queue/shard_private.h"
#include "support/engine_fake.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 256 * 1024, SEGMENTS_FLOOR = 5, CONTENT = 3000 };

static struct pending *due_pending(struct world *w, struct message_id id)
{
    struct pending *pending = &shard_find(w->shard, id)->pendings[0];

    assert_true(world_wait_due(w, pending));
    return pending;
}

/* Accepts a burst in one turn, as a busy relay does; one in `keep_each` is deferred for days, the
 * others are delivered. */
static void burst(struct world *w, unsigned first, unsigned keep_each, struct message_id *kept,
                  size_t *kept_count)
{
    enum { BURST = 20 };
    struct world_commit commits[BURST];
    struct message *messages[BURST];

    for (unsigned i = 0; i < BURST; i++) {
        messages[i] = world_message(1, CONTENT, first + i);
        world_start_accept(w, &commits[i], messages[i]);
    }
    for (unsigned i = 0; i < BURST; i++) {
        assert_true(world_until(w, &commits[i].is_done));
        assert_int_equal(commits[i].result, 0);
    }
    for (unsigned i = 0; i < BURST; i++) {
        bool is_kept = (first + i) % keep_each == 0;
        struct pending *pending = due_pending(w, messages[i]->id);
        struct outcome outcome =
            world_outcome_of(pending, is_kept ? EVENT_DEFERRED : EVENT_DELIVERED,
                             is_kept ? engine_wall_ms(w->engine) + 100000000 : 0);

        if (is_kept)
            kept[(*kept_count)++] = messages[i]->id;
        commits[i] = (struct world_commit){
            .commit = {.outcomes = &outcome, .outcome_count = 1, .done = world_on_commit}};
        shard_commit(w->shard, &commits[i].commit);
        message_release(&messages[i]);
    }
    for (unsigned i = 0; i < BURST; i++)
        assert_true(world_until(w, &commits[i].is_done));
}

static void run(unsigned count, unsigned keep_each)
{
    struct world w;
    struct shard_status status;
    struct message_id *kept = calloc(count, sizeof(*kept));
    size_t kept_count = 0;
    uint64_t used_max = 0;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    int64_t flushed = metric_sum(METRIC_SPOOL_FLUSHED_BYTES);
    int64_t moved = metric_sum(METRIC_SPOOL_COMPACTED_BYTES);
    for (unsigned i = 0; i < count; i += 20) {
        burst(&w, i, keep_each, kept, &kept_count);
        shard_status(w.shard, &status);
        used_max = MAX(used_max, status.bytes_used);
        /* Twice what lives, a floor of segments, and one round's slack. */
        expect_row(i, status.bytes_used <= 2 * status.bytes_live + SEGMENTS_FLOOR * SEGMENT);
    }
    fake_advance_ms(w.engine, 1000);
    world_turns(&w, 300);
    flushed = metric_sum(METRIC_SPOOL_FLUSHED_BYTES) - flushed;
    moved = metric_sum(METRIC_SPOOL_COMPACTED_BYTES) - moved;
    shard_status(w.shard, &status);
    print_message("kept 1 of %u: live %ju used %ju (max %ju) written %jd moved %jd\n", keep_each,
                  (uintmax_t)status.bytes_live, (uintmax_t)status.bytes_used, (uintmax_t)used_max,
                  (intmax_t)flushed, (intmax_t)moved);
    assert_true(moved <= flushed - moved);
    assert_int_equal(status.messages, kept_count);
    /* All of them are still what they were, before and after a crash. */
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < kept_count; i += 7) {
            struct stub *stub = shard_find(w.shard, kept[i]);
            struct message *message;

            assert_non_null(stub);
            assert_int_equal(stub->pendings[0].attempts, 1);
            assert_int_equal(stub->next_seq, 2);
            assert_int_equal(world_load(&w, stub, false, &message), 0);
            assert_int_equal(message->content.memory.len, CONTENT);
            assert_true(world_is_content((unsigned)i * keep_each, message->content.memory));
            message_release(&message);
        }
        if (round == 0) {
            world_crash(&w);
            assert_int_equal(world_open(&w), 0);
            assert_int_equal(w.recovery.messages, kept_count);
        }
    }
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
    free(kept);
}

TEST(one_in_a_hundred_that_stays_holds_little_space)
{
    run(4000, 100);
}

TEST(one_in_ten_that_stays)
{
    run(3000, 10);
}

TEST(one_in_two_that_stays)
{
    run(1600, 2);
}

TEST(what_all_stays_is_not_moved_about)
{
    run(800, 1);
}

/* A large message at the oldest end, its content over several segments, moves as well. */
/* A copy carries each recipient's state as well: what is taken must leave room for that, or its
 * segment and all behind it stay as long as it lives. */
TEST(largest_message_that_is_taken_can_be_moved)
{
    struct world w;
    struct shard_status status;
    struct message_id id;
    struct message_id none[1];
    size_t none_count = 0;
    unsigned recipients = 6000;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    while (world_accept(&w, world_message(recipients, 10, 1), &id) == -EMSGSIZE)
        recipients -= 10;
    assert_in_range(recipients, 1000, 5990);
    for (unsigned first = 1; first < 1000; first += 20)
        burst(&w, first, 100000, none, &none_count);
    fake_advance_ms(w.engine, 1000);
    world_turns(&w, 300);
    shard_status(w.shard, &status);
    assert_int_equal(status.messages, 1);
    assert_true(status.bytes_used <= 2 * status.bytes_live + SEGMENTS_FLOOR * SEGMENT);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.recipients, recipients);
    world_close(&w);
    world_free(&w);
}

TEST(large_message_is_moved_piece_by_piece)
{
    enum { SIZE = 5 * CONTENT_CHUNK_MAX + 99 };
    struct world w;
    struct message *message = world_envelope(3, 4);
    struct message_id id, other;
    struct shard_status status;
    struct message *loaded;

    world_init_in_memory(&w, 2 * SEGMENT);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_write_content(&w, message, 4, SIZE), 0);
    assert_int_equal(world_accept(&w, message, &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    uint32_t first = stub->sequence - stub->reach;
    assert_true(stub->reach > 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(world_wait_due(&w, &stub->pendings[i]));
    assert_int_equal(world_outcome(&w, &stub->pendings[1], EVENT_DELIVERED, 0), 0);
    assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_DEFERRED,
                                   engine_wall_ms(w.engine) + 100000000),
                     0);
    for (unsigned i = 0; i < 400; i++) {
        assert_int_equal(world_accept(&w, world_message(1, 12000, i), &other), 0);
        assert_int_equal(world_outcome(&w, due_pending(&w, other), EVENT_DELIVERED, 0), 0);
    }
    assert_true(stub->sequence - stub->reach > first);
    shard_status(w.shard, &status);
    assert_true(status.bytes_used <= 2 * status.bytes_live + SEGMENTS_FLOOR * 2 * SEGMENT);
    for (unsigned round = 0; round < 2; round++) {
        stub = shard_find(w.shard, id);
        assert_int_equal(stub->live_count, 2);
        assert_int_equal(stub->next_seq, 5);
        assert_int_equal(stub->pendings[0].attempts, 1);
        assert_int_equal(stub->pendings[1].state, PENDING_FINAL);
        assert_int_equal(world_load(&w, stub, false, &loaded), 0);
        assert_int_equal(world_verify_content(&w, loaded, 4), SIZE);
        message_release(&loaded);
        if (round == 0) {
            world_crash(&w);
            assert_int_equal(world_open(&w), 0);
        }
    }
    world_close(&w);
    world_free(&w);
}

/* Pieces of a message whose client takes its time, with traffic that is delivered between them. */
struct dripping {
    struct message *message;
    unsigned seed;
    size_t size;
};

static void drip_piece(struct world *w, struct dripping *d)
{
    enum { PIECE = 30000 };
    struct world_write write = {.write = {.message = d->message, .done = world_on_written}};
    struct content *content = &d->message->content;
    uint8_t bytes[PIECE];

    for (size_t i = 0; i < PIECE; i++)
        bytes[i] = world_content_byte(d->seed, d->size + i);
    shard_write_content(w->shard, &write.write, (struct bytes){bytes, PIECE});
    assert_true(world_until(w, &write.is_done));
    assert_int_equal(write.result, 0);
    content->extents[content->extent_count++] = write.write.extent;
    content->size += PIECE;
    d->size += PIECE;
}

static void deliver_some(struct world *w, unsigned count)
{
    struct message_id id;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(world_accept(w, world_message(1, 12000, i), &id), 0);
        assert_int_equal(world_outcome(w, due_pending(w, id), EVENT_DELIVERED, 0), 0);
    }
}

/* A full spool with a piece of a message that still arrives in front, and all the rest delivered.
 * Returns how many segments are left after a while. */
static unsigned left_of_full(struct world *w, struct space *space, struct dripping *drip)
{
    enum { COUNT = 120 };
    static struct message_id ids[COUNT];
    struct shard_status status;
    struct message_id id;

    world_init_in_memory(w, SEGMENT);
    w->space = space;
    assert_int_equal(world_open(w), 0);
    drip->message->content.extents = arena_alloc(&drip->message->arena, sizeof(struct extent));
    assert_non_null(drip->message->content.extents);
    drip_piece(w, drip);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(world_accept(w, world_message(1, 12000, i), &ids[i]), 0);
    atomic_store(&space->is_low, true);
    assert_int_equal(world_accept(w, world_message(1, 100, 1), &id), -ENOSPC);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(world_outcome(w, due_pending(w, ids[i]), EVENT_DELIVERED, 0), 0);
    for (unsigned i = 0; i < 30; i++) {
        fake_advance_ms(w->engine, 1100);
        world_turns(w, 50);
    }
    shard_status(w->shard, &status);
    assert_true(shard_outcome_room(w->shard) > 0);
    return (unsigned)status.segments;
}

TEST(what_still_arrives_is_moved_on_a_full_disk)
{
    struct space space = {0};
    struct world w;
    struct dripping drip = {world_envelope(1, 4), 4, 0};
    struct message_id id;
    struct message *loaded;

    assert_in_range(left_of_full(&w, &space, &drip), 1, SEGMENTS_FLOOR);
    atomic_store(&space.is_low, false);
    world_turns(&w, 100);
    assert_int_equal(world_accept(&w, drip.message, &id), 0);
    assert_int_equal(world_load(&w, shard_find(w.shard, id), false, &loaded), 0);
    assert_int_equal(world_verify_content(&w, loaded, 4), drip.size);
    message_release(&loaded);
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}

TEST(what_still_arrives_holds_nothing_behind_it)
{
    enum { PIECES = 6 };
    struct world w;
    struct dripping drips[2] = {{world_envelope(1, 4), 4, 0}, {world_envelope(1, 5), 5, 0}};
    struct shard_status status;
    struct message_id id;
    struct message *loaded;

    world_init_in_memory(&w, SEGMENT);
    assert_int_equal(world_open(&w), 0);
    for (size_t i = 0; i < ARRAY_LEN(drips); i++) {
        drips[i].message->content.extents =
            arena_alloc(&drips[i].message->arena, PIECES * sizeof(struct extent));
        assert_non_null(drips[i].message->content.extents);
    }
    for (unsigned piece = 0; piece < PIECES; piece++) {
        for (size_t i = 0; i < ARRAY_LEN(drips); i++)
            drip_piece(&w, &drips[i]);
        deliver_some(&w, 120); /* six segments and more */
        fake_advance_ms(w.engine, 1000);
        world_turns(&w, 100);
        shard_status(w.shard, &status);
        expect_row(piece, status.segments <= SEGMENTS_FLOOR);
    }
    /* One ends well, the other client goes away. */
    message_release(&drips[1].message);
    assert_int_equal(world_accept(&w, drips[0].message, &id), 0);
    struct stub *stub = shard_find(w.shard, id);
    assert_true(world_wait_due(&w, &stub->pendings[0]));
    assert_int_equal(world_outcome(&w, &stub->pendings[0], EVENT_DEFERRED,
                                   engine_wall_ms(w.engine) + 100000000),
                     0);
    for (unsigned round = 0; round < 3; round++) {
        stub = shard_find(w.shard, id);
        assert_non_null(stub);
        assert_int_equal(world_load(&w, stub, false, &loaded), 0);
        assert_int_equal(world_verify_content(&w, loaded, 4), drips[0].size);
        message_release(&loaded);
        if (round == 0) { /* what was moved is found by a scan, and by a footer */
            world_crash(&w);
            assert_int_equal(world_open(&w), 0);
            deliver_some(&w, 120);
        } else if (round == 1) {
            world_close(&w);
            assert_int_equal(world_open(&w), 0);
        }
    }
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}
