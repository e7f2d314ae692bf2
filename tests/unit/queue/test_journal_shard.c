/* The journal of what a real shard wrote: over segments, a restart and a crash. */
#include "queue/journal.h"

#include "base/random.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT_SIZE = 1024 * 1024, EVENTS_MAX = 4096, SHARD = 7 };

struct told {
    size_t count;
    uint64_t ids[EVENTS_MAX];
    uint64_t positions[EVENTS_MAX];
    uint32_t seqs[EVENTS_MAX];
    enum event_kind kinds[EVENTS_MAX];
};

static void tell(void *context, const struct event *event)
{
    struct told *told = context;

    assert_true(told->count < EVENTS_MAX);
    assert_int_equal(event->shard, SHARD);
    told->ids[told->count] = event->id.value;
    told->positions[told->count] = event->position;
    told->seqs[told->count] = event->seq;
    told->kinds[told->count++] = event->kind;
}

/* Reads from `position` to all that is durable. */
static void read_from(const struct world *world, uint64_t position, struct told *told)
{
    struct journal_reader *reader;

    told->count = 0;
    assert_int_equal(journal_open(world->directory, SHARD, position, &reader), 0);
    assert_int_equal(journal_read(reader, shard_durable_position(world->shard), tell, told), 0);
    assert_int_equal(journal_damaged(reader), 0);
    journal_close(&reader);
}

/* Accepts messages and gives outcomes to some of what is due; how many events that makes. */
static size_t work(struct world *world, unsigned messages, unsigned seed)
{
    size_t events = 0;

    for (unsigned i = 0; i < messages; i++) {
        unsigned recipients = 1 + (unsigned)random_below(3);
        struct message_id id;

        assert_int_equal(
            world_accept(world, world_message(recipients, random_below(60000), seed + i), &id), 0);
        events += recipients;
        world_turns(world, 2);
        while (world->due_count > 0 && random_below(4) > 0) {
            struct pending *pending = world->due[--world->due_count];
            bool is_deferred = random_below(3) == 0;

            assert_int_equal(world_outcome(world, pending,
                                           is_deferred ? EVENT_DEFERRED : EVENT_DELIVERED,
                                           is_deferred ? clock_wall_ms() + 3600000 : 0),
                             0);
            events++;
        }
    }
    return events;
}

/* Each message's events count from 0, in order; positions never fall. */
static void expect_in_order(const struct told *told)
{
    for (size_t i = 0; i < told->count; i++) {
        uint32_t seq = 0;

        assert_true(i == 0 || told->positions[i] >= told->positions[i - 1]);
        for (size_t before = 0; before < i; before++)
            seq += told->ids[before] == told->ids[i];
        assert_int_equal(told->seqs[i], seq);
    }
}

TEST(journal_tells_a_shards_history_from_any_event_on)
{
    struct world world;
    static struct told all, rest;

    random_seed(21);
    world_init(&world, SEGMENT_SIZE);
    world.sink_count = 1; /* which has passed nothing: no segment goes */
    assert_int_equal(world_open(&world), 0);
    size_t events = work(&world, 60, 1000);
    read_from(&world, 0, &all);
    assert_int_equal(all.count, events);
    expect_in_order(&all);
    assert_true(all.positions[events - 1] >> 32 > all.positions[0] >> 32);

    world_crash(&world);
    assert_int_equal(world_open(&world), 0);
    events += work(&world, 30, 2000);
    world_close(&world);
    assert_int_equal(world_open(&world), 0);
    events += work(&world, 10, 3000);
    read_from(&world, 0, &all);
    assert_int_equal(all.count, events);
    expect_in_order(&all);

    for (size_t from = 0; from < events; from += 7) {
        size_t first = from; /* the events of one record share its position */

        while (first > 0 && all.positions[first - 1] == all.positions[from])
            first--;
        read_from(&world, all.positions[from], &rest);
        assert_int_equal(rest.count, events - first);
        assert_memory_equal(rest.positions, all.positions + first,
                            rest.count * sizeof(rest.positions[0]));
        assert_memory_equal(rest.seqs, all.seqs + first, rest.count * sizeof(rest.seqs[0]));
    }
    world_close(&world);
    world_free(&world);
}

/* Beside the events of the message that they name, and whatever the shard is at. */
TEST(journal_tells_notes_of_a_shard_that_recovers_or_closes)
{
    struct event retried = {.kind = EVENT_RETRIED, .times = {-1, -1, -1, -1, -1, -1}};
    struct event resumed = {.kind = EVENT_RESUMED, .times = {-1, -1, -1, -1, -1, -1}};
    static const enum event_kind kinds[] = {EVENT_ACCEPTED, EVENT_RETRIED, EVENT_DELIVERED,
                                            EVENT_RESUMED};
    struct world world;
    static struct told all;
    struct message_id id;

    world_init(&world, SEGMENT_SIZE);
    world.sink_count = 1;
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(world_accept(&world, world_message(1, 300, 1), &id), 0);
    world_close(&world);

    world.recovers_later = true;
    assert_int_equal(world_open(&world), 0);
    assert_false(shard_is_whole(world.shard));
    retried.id = id;
    assert_true(shard_note(world.shard, &retried));
    for (unsigned i = 0; i < 1000 && !shard_is_whole(world.shard); i++)
        engine_turn(world.engine, 1);
    struct pending *pending = &shard_find(world.shard, id)->pendings[0];
    assert_true(world_wait_due(&world, pending));
    assert_int_equal(world_outcome(&world, pending, EVENT_DELIVERED, 0), 0);
    assert_true(shard_note(world.shard, &resumed));
    world_close(&world); /* before any turn wrote it */

    assert_int_equal(world_open(&world), 0);
    read_from(&world, 0, &all);
    assert_int_equal(all.count, ARRAY_LEN(kinds));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        expect_row(i, all.kinds[i] == kinds[i]);
    assert_int_equal(all.ids[1], id.value);
    assert_int_equal(all.seqs[2], 1); /* the note took none */
    world_close(&world);
    world_free(&world);
}
