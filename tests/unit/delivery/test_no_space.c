/* modules: client line */
/* threads: one */
/* test_no_space.c - outcomes that cannot be written: delivery waits, with a bounded number. */
#include "delivery/line/constraint.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/engine_fake.h"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { MESSAGES = 30000, MORE = 2000, BOUND = 12000, TURNS = 400 };

static void turns(struct world *world)
{
    for (unsigned i = 0; i < TURNS; i++)
        engine_turn(world->engine, 0);
}

static struct delivery_status status_of(struct world *world)
{
    struct delivery_status status;

    world_status(world, &status);
    return status;
}

TEST(delivery_waits_while_outcomes_cannot_be_written)
{
    struct engine_settings settings = {0};
    struct world world;
    struct world_message gone = {.from = "", .to = "a@gone.example", .content = "x"};
    struct world_message other = {.from = "", .to = "a@there.example", .content = "x"};

    world_init(&world, engine_create(&settings), NULL);
    world.port = 1; /* nobody listens there */
    assert_true(world_mx(&world, BYTES("gone.example nxdomain")));
    world_start(&world);
    world.has_no_space = true;
    for (unsigned i = 0; i < MESSAGES; i++)
        world_submit(&world, &gone);
    turns(&world);
    assert_in_range(status_of(&world).committing, 1000, BOUND);
    /* Each that comes lets its domain be looked at again. */
    for (unsigned i = 0; i < MORE; i++) {
        world_submit(&world, &gone);
        engine_turn(world.engine, 0);
        engine_turn(world.engine, 0);
    }
    assert_in_range(status_of(&world).committing, SETTLEMENTS_FULL, BOUND);
    /* Nor is anything new tried. */
    struct message_id id = world_submit(&world, &other);

    turns(&world);
    assert_int_equal(status_of(&world).connections, 0);
    assert_int_equal(status_of(&world).unheld, 0);
    assert_int_equal(world_pending(&world, id, 0)->state, PENDING_READY);
    struct constraint constraint;

    constraint_of_pending(world.delivery, world_pending(&world, id, 0), NULL, &constraint);
    assert_string_equal(constraint.name, "outcomes-unwritten");
    assert_int_equal(world_unfinished(&world), MESSAGES + MORE + 1);
    world.has_no_space = false;
    for (unsigned i = 0; i < 100 && world_unfinished(&world) > 1; i++)
        turns(&world);
    assert_int_equal(world_unfinished(&world), 1);
    for (unsigned i = 0; i < 100 && world_pending(&world, id, 0)->attempts == 0; i++)
        turns(&world);
    assert_int_equal(world_pending(&world, id, 0)->attempts, 1);
    struct engine *engine = world.engine;

    assert_true(world_free(&world));
    engine_destroy(&engine);
}

/* Recipients that no attempt may be begun for wait, and go on by themselves. */
TEST(delivery_begins_no_more_attempts_than_their_outcomes_have_room)
{
    enum { ROOM = 3, COUNT = 40 };
    struct engine_settings settings = {0};
    struct world world;
    struct world_message gone = {.from = "", .to = "a@gone.example", .content = "x"};
    struct message_id last = {0};

    world_init(&world, engine_create(&settings), NULL);
    world.port = 1;
    assert_true(world_mx(&world, BYTES("gone.example nxdomain")));
    world_start(&world);
    world.outcome_room = 0;
    for (unsigned i = 0; i < COUNT; i++)
        last = world_submit(&world, &gone);
    turns(&world);
    assert_int_equal(status_of(&world).in_attempt + status_of(&world).committing, 0);
    assert_int_equal(status_of(&world).unheld, 0);
    assert_int_equal(world_pending(&world, last, 0)->state, PENDING_READY);
    /* As many as there is room for are settled, one after the other while nothing is durable. */
    world.has_no_space = true;
    world.outcome_room = ROOM;
    fake_advance_ms(world.engine, 2 * TICK_MS);
    turns(&world);
    assert_in_range(status_of(&world).committing, 1, ROOM);
    assert_int_equal(world_unfinished(&world), COUNT);
    world.has_no_space = false;
    for (unsigned i = 0; i < COUNT && world_unfinished(&world) > 0; i++)
        turns(&world);
    assert_int_equal(world_unfinished(&world), 0);
    struct engine *engine = world.engine;

    assert_true(world_free(&world));
    engine_destroy(&engine);
}

/* Those of long messages are bounded in number and in length while they wait for the disk. */
TEST(notifications_that_cannot_be_written_take_a_bounded_room)
{
    enum { COUNT = 3000, LONG = 40 * 1024, EACH = 4096, SLACK = 4 * 1024 * 1024 };
    static char content[LONG + 32] = "Subject: long\r\n\r\n";
    struct engine_settings settings = {0};
    struct world world;
    struct world_message gone = {.from = "sender@here.example",
                                 .to = "a@gone.example",
                                 .content = content};

    for (size_t i = strlen(content); i < LONG; i++)
        content[i] = i % 70 == 0 ? '\n' : i % 70 == 69 ? '\r' : 'x';
    world_init(&world, engine_create(&settings), NULL);
    world.port = 1;
    world.settings.dsn_size_max = 100 * 1024;
    world.settings.notice_wait_s = 0;
    assert_true(world_mx(&world, BYTES("gone.example nxdomain")));
    world_start(&world);
    struct outcomes *outcomes = world.delivery->outcomes;

    /* A spool with room returns all of it. */
    world.has_no_space = true;
    world_submit(&world, &gone);
    turns(&world);
    assert_in_range(outcomes_notices(outcomes), LONG, 2 * LONG);
    world.has_no_space = false;
    turns(&world);
    assert_int_equal(outcomes_notices(outcomes), 0);
    /* One that is full a kilobyte. */
    world.has_no_space = true;
    world.is_full = true;
    world_submit(&world, &gone);
    turns(&world);
    assert_in_range(outcomes_notices(outcomes), 512, EACH);
    assert_true(outcomes_may_begin(outcomes));
    assert_false(outcomes_are_many(outcomes));
    world.is_full = false;
    for (unsigned i = 0; i < COUNT; i++)
        world_submit(&world, &gone);
    for (unsigned i = 0; i < 10; i++)
        turns(&world);
    assert_in_range(outcomes_notices(outcomes), NOTICES_FULL, NOTICES_FULL + SLACK);
    assert_false(outcomes_may_begin(outcomes));
    assert_true(outcomes_are_many(outcomes));
    assert_false(outcomes_have_ample_room(outcomes));
    world.has_no_space = false;
    for (unsigned i = 0; i < 100 && world_unfinished(&world) > 0; i++)
        turns(&world);
    assert_int_equal(world_unfinished(&world), 0);
    assert_int_equal(outcomes_notices(outcomes), 0);
    struct engine *engine = world.engine;

    assert_true(world_free(&world));
    engine_destroy(&engine);
}
