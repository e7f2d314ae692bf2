/* threads: one */
/* A disk that fails, is full, writes in part. */
#include "base/metric.h"
#include "queue/shard_private.h"
#include "support/disk_fault.h"
#include "support/engine_fake.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 256 * 1024 };

static void start(struct world *w)
{
    memset(&disk_faults, 0, sizeof(disk_faults));
    world_init_in_memory(w, SEGMENT);
    assert_int_equal(world_open(w), 0);
    /* Nothing is being prepared while a fault is set. */
    for (unsigned i = 0; i < 20; i++)
        engine_turn(w->engine, 1);
}

/* No more segments can be made; accepts are refused from here on. */
static void fill_disk(struct world *w)
{
    struct message_id id;
    int result;

    disk_faults.files_max = disk_faults.files;
    do
        result = world_accept(w, world_message(1, 9000, 1), &id);
    while (result == 0);
    assert_int_equal(result, -ENOSPC);
}

static struct pending *due_pending(struct world *w, struct message_id id, unsigned number)
{
    struct pending *pending = &shard_find(w->shard, id)->pendings[number];

    assert_true(world_wait_due(w, pending));
    return pending;
}

static bool is_good(struct world *w, struct message_id id, unsigned seed)
{
    struct stub *stub = shard_find(w->shard, id);
    struct message *message;

    if (stub == NULL || world_load(w, stub, false, &message) < 0)
        return false;
    bool same = world_is_content(seed, message->content.memory);
    message_release(&message);
    return same;
}

TEST(failed_write_fails_accepts_and_closes_the_segment)
{
    struct world w;
    struct message_id ids[3];

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 900, 0), &ids[0]), 0);
    uint64_t position = shard_durable_position(w.shard);
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO);
    assert_int_equal(world_accept(&w, world_message(1, 900, 1), &ids[1]), -EIO);
    assert_null(shard_find(w.shard, ids[1]));
    assert_int_equal(world_accept(&w, world_message(1, 900, 2), &ids[2]), 0);
    assert_true(position_sequence(shard_durable_position(w.shard)) > position_sequence(position));
    assert_true(is_good(&w, ids[0], 0));
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 2);
    assert_int_equal(w.recovery.damaged_records, 0);
    assert_true(is_good(&w, ids[0], 0));
    assert_true(is_good(&w, ids[2], 2));
    world_close(&w);
    world_free(&w);
}

TEST(outcome_and_its_notice_stand_though_writes_fail)
{
    struct world w;
    struct message_id id;

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 900, 0), &id), 0);
    struct outcome outcome = world_outcome_of(due_pending(&w, id, 0), EVENT_BOUNCED, 0);
    struct message *dsn = world_message(1, 300, 5);
    struct world_commit commit = {.commit = {.message = dsn,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w.shard, &commit.commit);
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO);
    while (fake_count(w.engine, FAKE_WRITE_DURABLE) < 2)
        engine_turn(w.engine, 1);
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO); /* the next segment as well */
    assert_true(world_until(&w, &commit.is_done));
    assert_int_equal(commit.result, 0);
    assert_null(shard_find(w.shard, id));
    assert_true(is_good(&w, dsn->id, 5));
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 1);
    assert_null(shard_find(w.shard, id));
    assert_true(is_good(&w, dsn->id, 5));
    assert_int_equal(shard_find(w.shard, dsn->id)->next_seq, 1);
    message_release(&dsn);
    world_close(&w);
    world_free(&w);
}

TEST(many_messages_of_a_commit_stand_or_fall_together)
{
    enum { MORE = 5 };
    struct message *messages[1 + MORE];
    struct message_id id;
    struct world w;

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 900, 0), &id), 0);
    struct outcome outcome = world_outcome_of(due_pending(&w, id, 0), EVENT_BOUNCED, 0);

    for (unsigned i = 0; i <= MORE; i++)
        messages[i] = world_message(1, 300 + i, 5 + i);
    struct world_commit commit = {.commit = {.message = messages[0],
                                             .more = messages + 1,
                                             .more_count = MORE,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    struct message *beside = world_message(1, 500, 40);
    struct world_commit other = {.commit = {.message = beside, .done = world_on_commit}};

    /* Staged behind one that is dropped when the write fails, and ahead of another. */
    struct message *before = world_message(1, 500, 41);
    struct world_commit first = {.commit = {.message = before, .done = world_on_commit}};
    shard_commit(w.shard, &first.commit);
    shard_commit(w.shard, &commit.commit);
    shard_commit(w.shard, &other.commit);
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO);
    assert_true(world_until(&w, &commit.is_done));
    assert_true(world_until(&w, &first.is_done));
    assert_true(world_until(&w, &other.is_done));
    assert_int_equal(first.result, -EIO);
    assert_int_equal(commit.result, 0);
    assert_int_equal(other.result, -EIO);
    assert_null(shard_find(w.shard, id));
    for (unsigned i = 0; i <= MORE; i++)
        expect_row(i, is_good(&w, messages[i]->id, 5 + i));
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, 1 + MORE);
    for (unsigned i = 0; i <= MORE; i++) {
        expect_row(i, is_good(&w, messages[i]->id, 5 + i));
        message_release(&messages[i]);
    }
    message_release(&before);
    message_release(&beside);
    world_close(&w);
    world_free(&w);
}

TEST(short_writes_are_finished)
{
    static const size_t lens[] = {1, 511, 512, 4095, 4096, 4097, 8192, 12000};

    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct world w;
        struct message_id id;

        start(&w);
        fake_shorten(w.engine, FAKE_WRITE_DURABLE, 1, lens[i]);
        assert_int_equal(world_accept(&w, world_message(1, 15000, 3), &id), 0);
        world_crash(&w);
        assert_int_equal(world_open(&w), 0);
        expect_row(i, w.recovery.damaged_records == 0);
        expect_row(i, is_good(&w, id, 3));
        fake_shorten(w.engine, FAKE_READ, 1, lens[i]);
        struct stub *stub = shard_find(w.shard, id);
        assert_true(world_wait_due(&w, &stub->pendings[0]));
        expect_row(i, is_good(&w, id, 3));
        world_close(&w);
        world_free(&w);
    }
}

TEST(content_lost_with_a_failed_write_fails_its_accept)
{
    struct world w;
    struct message *message = world_envelope(1, 4);
    struct message_id id;
    uint8_t *bytes = malloc(2000);

    start(&w);
    world_content(4, bytes, 2000);
    struct world_write write = {.write = {.message = message, .done = world_on_written}};
    shard_write_content(w.shard, &write.write, (struct bytes){bytes, 2000});
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO);
    assert_true(world_until(&w, &write.is_done));
    assert_int_equal(write.result, 0);
    message->content.size = 2000;
    message->content.extent_count = 1;
    message->content.extents = &write.write.extent;
    assert_int_equal(world_accept(&w, message, &id), -EIO);
    free(bytes);
    world_close(&w);
    world_free(&w);
}

/* The mark that says a message was made of it goes down with what that message had written; it can
 * be made again, and the recipient ends as any. */
TEST(mark_is_lost_with_the_content_of_its_message)
{
    struct world w;
    struct message *message = world_envelope(1, 4);
    struct message_id id;
    uint8_t *bytes = malloc(2000);

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 900, 0), &id), 0);
    struct pending *pending = due_pending(&w, id, 0);
    struct stub *stub = pending_stub(pending);
    uint32_t seq = stub->next_seq;

    world_content(4, bytes, 2000);
    struct world_write write = {.write = {.message = message, .done = world_on_written}};
    shard_write_content(w.shard, &write.write, (struct bytes){bytes, 2000});
    fake_fail(w.engine, FAKE_WRITE_DURABLE, 1, EIO);
    assert_true(world_until(&w, &write.is_done));
    message->content.size = 2000;
    message->content.extent_count = 1;
    message->content.extents = &write.write.extent;
    struct outcome outcome = world_outcome_of(pending, EVENT_FORWARDED, 0);
    struct world_commit commit = {.commit = {.message = message,
                                             .outcomes = &outcome,
                                             .outcome_count = 1,
                                             .done = world_on_commit}};
    shard_commit(w.shard, &commit.commit);
    assert_true(world_until(&w, &commit.is_done));
    assert_int_equal(commit.result, -EIO);
    assert_false(pending->is_forwarded);
    assert_int_equal(stub->staged, 0);
    assert_int_equal(stub->next_seq, seq);
    assert_int_equal(world_outcome(&w, pending, EVENT_FORWARDED, 0), 0);
    assert_true(pending->is_forwarded);
    assert_int_equal(world_outcome(&w, pending, EVENT_DELIVERED, 0), 0);
    assert_null(shard_find(w.shard, id));
    message_release(&message);
    free(bytes);
    world_close(&w);
    world_free(&w);
}

TEST(full_disk_refuses_accepts_keeps_outcomes_and_recovers)
{
    struct world w;
    enum { MAX = 400 };
    static struct message_id ids[MAX];
    struct message_id id;
    struct shard_status status;
    unsigned count = 0;
    int result;

    start(&w);
    disk_faults.files_max = disk_faults.files + 2;
    for (;;) {
        assert_true(count < MAX);
        result = world_accept(&w, world_message(1, 6000, count), &ids[count]);
        if (result < 0)
            break;
        count++;
    }
    assert_int_equal(result, -ENOSPC);
    assert_true(count > 30);
    shard_status(w.shard, &status);
    assert_true(status.is_full);
    assert_int_equal(world_accept(&w, world_message(1, 10, 1), &id), -ENOSPC);
    /* A restart on the full disk changes nothing. */
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(w.recovery.messages, count);
    for (unsigned i = 0; i < count; i++) {
        assert_true(is_good(&w, ids[i], i));
        assert_int_equal(world_outcome(&w, due_pending(&w, ids[i], 0), EVENT_DELIVERED, 0), 0);
    }
    world_check_invariant(&w);
    fake_advance_ms(w.engine, 2000);
    world_turns(&w, 30);
    shard_status(w.shard, &status);
    assert_int_equal(status.messages, 0);
    assert_false(status.is_full);
    assert_int_equal(world_accept(&w, world_message(1, 6000, 9), &id), 0);
    world_close(&w);
    world_free(&w);
}

/* Refusals that peers cause without end must not cost an operator the record of a command. */
TEST(full_disk_keeps_room_for_notes_that_no_peer_can_cause)
{
    struct event rejected = {.kind = EVENT_REJECTED, .reply_text = BYTES("no")};
    struct event damaged = {.kind = EVENT_DAMAGED, .reply_text = BYTES("yes")};
    struct world w;
    unsigned count = 0;

    start(&w);
    fill_disk(&w);
    while (count < 1000000 && shard_note(w.shard, &rejected))
        count++;
    /* Written or waiting, they take a part of what is kept for outcomes, and an end. */
    assert_true(count < 1000000);
    for (unsigned i = 0; i < 100; i++)
        expect_row(i, shard_note(w.shard, &damaged));
    assert_false(shard_note(w.shard, &rejected));
    disk_faults.files_max = 0;
    fake_advance_ms(w.engine, 1100);
    world_turns(&w, 200);
    assert_true(shard_note(w.shard, &rejected));
    world_close(&w);
    world_free(&w);
}

/* What is kept for outcomes is not anybody's who drips: of what still arrives no more than a
 * quarter of it is moved, the rest stays until its client ends or has to. */
TEST(full_disk_moves_only_so_much_of_what_still_arrives)
{
    enum { PIECES = 7, PIECE = 30000, MESSAGES = 60 };
    static uint8_t zeros[PIECE];
    static struct message_id ids[MESSAGES];
    struct world w;
    struct message *drip = world_envelope(1, 4);
    struct shard_status before, after;
    unsigned count = 0;

    start(&w);
    drip->content.extents = arena_alloc(&drip->arena, PIECES * sizeof(struct extent));
    for (unsigned i = 0; i < PIECES; i++) {
        struct world_write write = {.write = {.message = drip, .done = world_on_written}};

        shard_write_content(w.shard, &write.write, (struct bytes){zeros, PIECE});
        assert_true(world_until(&w, &write.is_done));
        assert_int_equal(write.result, 0);
        drip->content.extents[drip->content.extent_count++] = write.write.extent;
        drip->content.size += PIECE;
    }
    disk_faults.files_max = disk_faults.files + 2;
    while (count < MESSAGES && world_accept(&w, world_message(1, 12000, count), &ids[count]) == 0)
        count++;
    assert_in_range(count, 20, MESSAGES - 1);
    shard_status(w.shard, &before);
    assert_true(before.is_full);
    uint64_t moved = (uint64_t)metric_sum(METRIC_SPOOL_COMPACTED_BYTES);

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(world_outcome(&w, due_pending(&w, ids[i], 0), EVENT_DELIVERED, 0), 0);
    for (unsigned i = 0; i < 20; i++) {
        fake_advance_ms(w.engine, 1100);
        world_turns(&w, 50);
    }
    moved = (uint64_t)metric_sum(METRIC_SPOOL_COMPACTED_BYTES) - moved;
    shard_status(w.shard, &after);
    assert_in_range(moved, PIECE, SEGMENT / 4 + 2 * PIECE);
    assert_true(shard_outcome_room(w.shard) > 0);
    assert_true(after.is_full);
    message_release(&drip);
    for (unsigned i = 0; i < 20; i++) {
        fake_advance_ms(w.engine, 1100);
        world_turns(&w, 50);
    }
    shard_status(w.shard, &after);
    assert_false(after.is_full);
    world_check_invariant(&w);
    world_close(&w);
    world_free(&w);
}

/* Outcomes that wait for space may be as many as there are recipients: each turn must cost what is
 * new in it, not what waits. Whatever copies those that wait puts them to another place. */
TEST(outcomes_that_wait_for_space_are_not_copied_each_turn)
{
    enum { RECIPIENTS = 2500, COMMITS = 25, EACH = RECIPIENTS / COMMITS };
    static struct world_commit commits[COMMITS];
    static struct outcome outcomes[EACH];
    struct world w;
    struct message_id id;
    const void *place = NULL;
    unsigned waiting = 0;

    start(&w);
    assert_int_equal(world_accept(&w, world_message(RECIPIENTS, 10, 1), &id), 0);
    (void)due_pending(&w, id, RECIPIENTS - 1);
    fill_disk(&w);
    struct stub *stub = shard_find(w.shard, id);
    for (unsigned i = 0; i + 1 < COMMITS; i++) { /* one is left: the segment stays */
        for (unsigned k = 0; k < EACH; k++)
            outcomes[k] = world_outcome_of(&stub->pendings[i * EACH + k], EVENT_DELIVERED, 0);
        commits[i].commit = (struct commit){
            .outcomes = outcomes,
            .outcome_count = EACH,
            .done = world_on_commit,
        };
        shard_commit(w.shard, &commits[i].commit);
        world_turns(&w, 5);
        if (commits[i].is_done)
            continue;
        if (++waiting > 1)
            assert_ptr_equal(w.shard->filling.batches, place);
        place = w.shard->filling.batches;
    }
    assert_true(waiting > 5);
    disk_faults.files_max = 0;
    fake_advance_ms(w.engine, 1100);
    for (unsigned i = 0; i + 1 < COMMITS; i++) {
        assert_true(world_until(&w, &commits[i].is_done));
        assert_int_equal(commits[i].result, 0);
    }
    world_close(&w);
    world_free(&w);
}

/* --- room that is known before it is needed --------------------------------------------------- */

/* As many outcomes as there was said to be room for are durable on a disk without a block, though
 * no sink takes an event, so that no segment dies. Long texts do not change that. */
TEST(outcomes_that_had_room_stand_on_a_full_disk)
{
    static struct outcome outcome;
    enum { RECIPIENTS = 1000 };
    char text[1400];
    struct world w;
    struct message_id id;

    memset(text, 'x', sizeof(text));
    memset(&disk_faults, 0, sizeof(disk_faults));
    world_init_in_memory(&w, SEGMENT);
    w.sink_count = 1;
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 20);
    assert_int_equal(world_accept(&w, world_message(RECIPIENTS, 10, 1), &id), 0);
    (void)due_pending(&w, id, RECIPIENTS - 1);
    world_turns(&w, 20);
    size_t room = shard_outcome_room(w.shard);
    assert_in_range(room, SEGMENT / OUTCOME_ROOM / 2, SEGMENT / OUTCOME_ROOM);
    fill_disk(&w);
    assert_true(shard_is_full(w.shard));
    assert_true(shard_outcome_room(w.shard) >= room);
    for (unsigned i = 0; i < room; i++) {
        struct world_commit commit = {
            .commit = {.outcomes = &outcome, .outcome_count = 1, .done = world_on_commit}};

        outcome = world_outcome_of(&shard_find(w.shard, id)->pendings[i], EVENT_DELIVERED, 0);
        outcome.event.reply_text = bytes_range(text, sizeof(text));
        shard_commit(w.shard, &commit.commit);
        expect_row(i, world_until(&w, &commit.is_done));
        expect_row(i, commit.result == 0);
    }
    assert_true(shard_outcome_room(w.shard) < room);
    world_crash(&w);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(shard_find(w.shard, id)->live_count, RECIPIENTS - room);
    world_close(&w);
    world_free(&w);
}

/* Refusals may be had for nothing by anybody. */
TEST(notes_of_peers_leave_the_room_of_outcomes)
{
    struct event rejected = {.kind = EVENT_REJECTED, .reply_text = BYTES("no")};
    struct world w;

    memset(&disk_faults, 0, sizeof(disk_faults));
    world_init_in_memory(&w, SEGMENT);
    w.sink_count = 1; /* which passes nothing */
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 20);
    fill_disk(&w);
    for (unsigned i = 0; i < 20000; i++) {
        (void)!shard_note(w.shard, &rejected);
        world_turns(&w, 1);
    }
    assert_in_range(shard_outcome_room(w.shard), SEGMENT / 2 / OUTCOME_ROOM, SEGMENT);
    world_close(&w);
    world_free(&w);
}

TEST(low_space_refuses_accepts_gives_spares_back_and_lets_outcomes_go_on)
{
    struct world w;
    struct space space = {0};
    struct shard_status status;
    struct message_id id, other;

    memset(&disk_faults, 0, sizeof(disk_faults));
    world_init_in_memory(&w, SEGMENT);
    w.settings.spare_segments = 4;
    w.space = &space;
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    assert_int_equal(world_accept(&w, world_message(1, 9000, 1), &id), 0);
    world_turns(&w, 40);
    shard_status(w.shard, &status);
    assert_int_equal(status.spare_segments, 5);
    unsigned files = disk_faults.files;
    atomic_store(&space.is_low, true);
    world_turns(&w, 40);
    shard_status(w.shard, &status);
    assert_true(status.is_full);
    assert_int_equal(status.spare_segments, 2);
    assert_int_equal(disk_faults.files, files - 3);
    assert_int_equal(world_accept(&w, world_message(1, 10, 2), &other), -ENOSPC);
    assert_int_equal(world_outcome(&w, due_pending(&w, id, 0), EVENT_DELIVERED, 0), 0);
    atomic_store(&space.is_low, false);
    assert_int_equal(world_accept(&w, world_message(1, 9000, 3), &id), 0);
    world_turns(&w, 40);
    shard_status(w.shard, &status);
    assert_int_equal(status.spare_segments, 5);
    world_crash(&w); /* numbers that were given out again */
    assert_int_equal(world_open(&w), 0);
    assert_true(is_good(&w, id, 3));
    assert_int_equal(w.recovery.damaged_records, 0);
    /* No events, no attempts. */
    world_turns(&w, 40);
    assert_true(shard_outcome_room(w.shard) > 0);
    atomic_store(&space.events_are_full, true);
    assert_int_equal(shard_outcome_room(w.shard), 0);
    world_close(&w);
    world_free(&w);
}

/* Nothing is waited for any more: the sink takes nothing, every segment is full of outcomes. */
TEST(break_off_lets_go_of_what_waits_for_the_disk)
{
    enum { RECIPIENTS = 400 };
    static struct world_commit commits[RECIPIENTS];
    static struct outcome outcomes[RECIPIENTS];
    struct world_commit accept = {.commit = {.done = world_on_commit}};
    struct world w;
    struct message_id id;
    unsigned count = 0;

    memset(&disk_faults, 0, sizeof(disk_faults));
    world_init_in_memory(&w, SEGMENT);
    w.sink_count = 1;
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 20);
    assert_int_equal(world_accept(&w, world_message(RECIPIENTS, 10, 1), &id), 0);
    (void)due_pending(&w, id, RECIPIENTS - 1);
    fill_disk(&w);
    do {
        outcomes[count] =
            world_outcome_of(&shard_find(w.shard, id)->pendings[count], EVENT_DELIVERED, 0);
        commits[count].commit = (struct commit){.outcomes = &outcomes[count],
                                                .outcome_count = 1,
                                                .done = world_on_commit};
        shard_commit(w.shard, &commits[count].commit);
        world_turns(&w, 10);
    } while (commits[count++].is_done && count < RECIPIENTS);
    struct world_commit *waiting = &commits[count - 1];
    assert_false(waiting->is_done);
    assert_int_equal(shard_outcome_room(w.shard), 0);

    shard_break_off(w.shard);
    assert_true(world_until(&w, &waiting->is_done));
    assert_int_equal(waiting->result, -ESHUTDOWN);
    accept.commit.message = world_message(1, 10, 1);
    shard_commit(w.shard, &accept.commit);
    assert_true(world_until(&w, &accept.is_done));
    assert_int_equal(accept.result, -ESHUTDOWN);
    message_release(&accept.commit.message);
    world_close(&w);
    assert_int_equal(world_open(&w), 0); /* and that recipient is tried again */
    assert_int_equal(shard_find(w.shard, id)->live_count, RECIPIENTS - count + 1);
    world_close(&w);
    world_free(&w);
}

TEST(space_that_returns_is_noticed)
{
    struct world w;
    struct message_id id;
    struct shard_status status;

    start(&w);
    fill_disk(&w);
    disk_faults.files_max = 0;
    fake_advance_ms(w.engine, 1100);
    world_turns(&w, 30);
    shard_status(w.shard, &status);
    assert_false(status.is_full);
    assert_int_equal(world_accept(&w, world_message(1, 9000, 1), &id), 0);
    world_close(&w);
    world_free(&w);
}

/* Every call of every kind fails once, somewhere in a life of accepting, delivering and recycling:
 * nothing accepted is lost, and the shard goes on. */
TEST(any_one_failing_call_loses_nothing)
{
    static const int errors[] = {EIO, ENOSPC};

    for (unsigned call = CALL_OPEN; call < DISK_CALLS; call++) {
        for (unsigned nth = 1; nth <= 8; nth++) {
            struct world w;
            struct message_id held;
            unsigned refused = 0;

            start(&w);
            assert_int_equal(world_accept(&w, world_message(1, 3000, 77), &held), 0);
            disk_faults.nth[call] = nth;
            disk_faults.error[call] = errors[nth % 2];
            for (unsigned i = 0; i < 120; i++) {
                struct message_id id;
                int result = world_accept(&w, world_message(1, 9000, i), &id);

                if (i % 10 == 9) {
                    fake_advance_ms(w.engine, 1100);
                    world_turns(&w, 5);
                }
                if (result < 0) {
                    refused++;
                    continue;
                }
                if (i < 115)
                    assert_int_equal(world_outcome(&w, due_pending(&w, id, 0), EVENT_DELIVERED, 0),
                                     0);
            }
            expect_row(call * 100 + nth, refused < 40);
            expect_row(call * 100 + nth, is_good(&w, held, 77));
            struct shard_status before;
            shard_status(w.shard, &before);
            disk_faults.nth[call] = 0;
            world_crash(&w);
            assert_int_equal(world_open(&w), 0);
            expect_row(call * 100 + nth, w.recovery.messages == before.messages);
            expect_row(call * 100 + nth, w.recovery.damaged_records == 0);
            expect_row(call * 100 + nth, is_good(&w, held, 77));
            world_close(&w);
            world_free(&w);
        }
    }
}

/* The same of the writes and reads through the engine. */
TEST(any_one_failing_write_or_read_loses_nothing)
{
    for (unsigned nth = 1; nth <= 60; nth++) {
        struct world w;
        struct message_id ids[20];
        int results[20];

        start(&w);
        fake_fail(w.engine, nth % 3 == 0 ? FAKE_READ : FAKE_WRITE_DURABLE, nth, EIO);
        for (unsigned i = 0; i < 20; i++) {
            results[i] = world_accept(&w, world_message(2, 9000, i), &ids[i]);
            assert_true(results[i] == 0 || results[i] == -EIO);
            if (results[i] == 0)
                assert_int_equal(world_outcome(&w, due_pending(&w, ids[i], 1), EVENT_DELIVERED, 0),
                                 0);
        }
        world_crash(&w);
        assert_int_equal(world_open(&w), 0);
        expect_row(nth, w.recovery.damaged_records == 0);
        for (unsigned i = 0; i < 20; i++) {
            struct stub *stub = shard_find(w.shard, ids[i]);

            expect_row(nth, (stub != NULL) == (results[i] == 0));
            expect_row(nth, stub == NULL || stub->live_count == 1);
            expect_row(nth, stub == NULL || is_good(&w, ids[i], i));
        }
        world_close(&w);
        world_free(&w);
    }
}

/* A sector that cannot be read at the start costs what stands in it, not the start. */
TEST(any_one_failing_read_at_the_start_is_survived)
{
    enum { MESSAGES = 5 };

    for (unsigned nth = 1; nth <= 14; nth++) {
        struct world w;
        struct message_id ids[MESSAGES];
        unsigned lost = 0;

        start(&w);
        for (unsigned i = 0; i < MESSAGES; i++)
            assert_int_equal(world_accept(&w, world_message(1, 3000, i), &ids[i]), 0);
        world_crash(&w);
        disk_faults.nth[CALL_READ] = nth;
        disk_faults.error[CALL_READ] = EIO;
        assert_int_equal(world_open(&w), 0);
        disk_faults.nth[CALL_READ] = 0;
        for (unsigned i = 0; i < MESSAGES; i++)
            lost += !is_good(&w, ids[i], i);
        expect_row(nth, lost == 0);
        expect_row(nth, w.recovery.damaged_records == 0);
        world_close(&w);
        world_free(&w);
    }
}

/* A piece of a message being moved goes down with a failed write: the copy must not name it. */
TEST(failed_write_of_a_moved_piece_loses_no_content)
{
    enum { SIZE = 5 * CONTENT_CHUNK_MAX };
    int64_t moved = metric_sum(METRIC_SPOOL_COMPACTED_MESSAGES);

    for (unsigned nth = 30; nth <= 60; nth++) {
        struct world w;
        struct message *large = world_envelope(1, 77);
        struct message *loaded;
        struct message_id held, id;

        start(&w);
        assert_int_equal(world_write_content(&w, large, 77, SIZE), 0);
        assert_int_equal(world_accept(&w, large, &held), 0);
        fake_fail(w.engine, FAKE_WRITE_DURABLE, nth, EIO);
        for (unsigned i = 0; i < 110; i++) {
            if (world_accept(&w, world_message(1, 30000, i), &id) == 0)
                assert_int_equal(world_outcome(&w, due_pending(&w, id, 0), EVENT_DELIVERED, 0), 0);
            if (i % 8 == 0)
                fake_advance_ms(w.engine, 300);
        }
        world_crash(&w);
        assert_int_equal(world_open(&w), 0);
        assert_int_equal(w.recovery.damaged_records, 0);
        assert_int_equal(world_load(&w, shard_find(w.shard, held), false, &loaded), 0);
        expect_row(nth, world_verify_content(&w, loaded, 77) == SIZE);
        message_release(&loaded);
        world_close(&w);
        world_free(&w);
    }
    assert_true(metric_sum(METRIC_SPOOL_COMPACTED_MESSAGES) > moved);
}

/* A file whose size is not known is not one that is too short. */
TEST(failing_size_at_the_start_removes_nothing)
{
    struct world w;
    struct message_id id;

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 3000, 1), &id), 0);
    world_crash(&w);
    disk_faults.nth[CALL_SIZE] = 1;
    disk_faults.error[CALL_SIZE] = EIO;
    assert_int_equal(world_open(&w), -EIO);
    assert_int_equal(world_open(&w), 0);
    assert_true(is_good(&w, id, 1));
    world_close(&w);
    world_free(&w);
}

TEST(half_made_file_that_cannot_be_removed_is_told)
{
    struct world w;
    struct message_id id;
    char path[SPOOL_PATH_MAX];

    start(&w);
    assert_int_equal(world_accept(&w, world_message(1, 3000, 1), &id), 0);
    world_crash(&w);
    world_segment_path(&w, 9, path, sizeof(path));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    disk_faults.nth[CALL_UNLINK] = 1;
    disk_faults.error[CALL_UNLINK] = EROFS;
    assert_int_equal(world_open(&w), -EROFS);
    assert_non_null(strstr(w.why, "segment 9: is half made and cannot be removed: Read-only"));
    assert_int_equal(world_open(&w), 0);
    assert_true(is_good(&w, id, 1));
    world_close(&w);
    world_free(&w);
}
