/* modules: client line */
/* test_outcomes.c - the rules that a reload gives on, and when there is room for all who wait. */
#include "delivery/outcome/outcomes.h"

#include <errno.h>

#include "base/log.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { ROOM = 10 };

static void start(struct world *world)
{
    struct engine_settings settings = {0};

    world_init(world, engine_create(&settings), NULL);
    world->port = 1; /* nobody listens there */
    assert_true(world_mx(world, BYTES("gone.example nxdomain")));
    world_start(world);
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    assert_true(world_free(world));
    engine_destroy(&engine);
}

TEST(a_reload_gives_its_retry_rules_to_the_outcomes)
{
    struct world world;
    struct delivery_settings again;
    struct retry_rule rule = {
        .match = "*", .first_s = 77, .factor = 2, .max_s = 14400, .max_age_s = 259200};

    start(&world);
    assert_int_equal(outcomes_retry_rule(world.delivery->outcomes, BYTES("gone.example"))->first_s,
                     300);
    again = world.settings;
    again.retries = &rule;
    delivery_configure(world.delivery, &again);
    assert_int_equal(outcomes_retry_rule(world.delivery->outcomes, BYTES("gone.example"))->first_s,
                     77);
    end(&world);
}

TEST(there_is_ample_room_only_up_to_half_of_it)
{
    struct world world;

    start(&world);
    struct outcomes *outcomes = world.delivery->outcomes;

    world.outcome_room = 0;
    assert_false(outcomes_have_ample_room(outcomes));
    world.outcome_room = ROOM;
    assert_true(outcomes_have_ample_room(outcomes));
    outcomes_count_in(outcomes, ROOM / 2);
    assert_true(outcomes_have_ample_room(outcomes));
    outcomes_count_in(outcomes, 1);
    assert_false(outcomes_have_ample_room(outcomes));
    assert_true(outcomes_may_begin(outcomes)); /* for one, but not for all */
    outcomes_count_out(outcomes, ROOM / 2 + 1);
    assert_true(outcomes_have_ample_room(outcomes));
    end(&world);
}

/* What cannot be loaded settles nothing that would wake those who found no room: half of it free
 * does, and not the next look a second later, since this clock stands still. */
TEST(bounces_beyond_what_may_be_loaded_at_once_go_on_in_the_same_moment)
{
    struct world world;
    struct world_message mail = {.from = "", .to = "a@gone.example", .content = "x"};

    start(&world);
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world.load_error = EAGAIN;
    world.load_errors_stay = true;
    for (unsigned i = 0; i < 2 * CLEARINGS_FULL; i++)
        world_submit(&world, &mail);
    for (unsigned i = 0; i < 200; i++)
        engine_turn(world.engine, 0);
    assert_false(delivery_is_starved(world.delivery)); /* all were tried, and put off */
    end(&world);
}
