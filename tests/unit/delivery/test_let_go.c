/* modules: client line */
/* test_let_go.c - which of those that wait keep their messages in memory: what is tried soon. */
#include "delivery/line/site.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { COUNT = 1000, SOON = 256, RATE = 10 };

static void submit(struct world *world, unsigned count)
{
    struct world_message mail = {.from = "", .to = "a@far.example", .content = "x"};

    for (unsigned i = 0; i < count; i++)
        world_submit(world, &mail);
    for (unsigned i = 0; i < 10; i++)
        engine_turn(world->engine, 0);
}

static void start(struct world *world)
{
    struct engine_settings settings = {0};

    world_init(world, engine_create(&settings), NULL);
    world->port = 1; /* nobody listens there */
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    world_answer_lookups(world);
    assert_true(world_free(world));
    engine_destroy(&engine);
}

TEST(waiting_for_a_lookup_all_but_the_first_let_go)
{
    struct world world;

    start(&world);
    world.lookups_wait = true;
    world_start(&world);
    submit(&world, SOON);
    assert_int_equal(world.let_go_count, 0);
    submit(&world, COUNT);
    assert_int_equal(world.let_go_count, COUNT);
    end(&world);
}

TEST(behind_a_rate_all_but_what_two_seconds_take_let_go)
{
    struct world world;

    start(&world);
    world.egress.messages_per_s = RATE;
    world_start(&world);
    submit(&world, 1); /* finds the site */
    world.let_go_count = 0;
    submit(&world, COUNT);
    assert_int_equal(world.let_go_count, COUNT - 2 * RATE);
    end(&world);
}

TEST(a_site_that_takes_mail_lets_nothing_go)
{
    struct world world;

    start(&world);
    world_start(&world);
    submit(&world, 1);
    struct site *site = container_of(list_first(&world.delivery->all_sites), struct site, in_all);
    world.let_go_count = 0;
    submit(&world, COUNT); /* it has taken nothing yet */
    assert_int_equal(world.let_go_count, COUNT - SOON);
    world.let_go_count = 0;
    site->took_ms = engine_now_ms(world.engine);
    submit(&world, COUNT);
    assert_int_equal(world.let_go_count, 0);
    end(&world);
}

TEST(suspended_mail_lets_go)
{
    struct suspension rule = {.domain = "far.example"};
    struct world world;

    start(&world);
    world_start(&world);
    delivery_suspend(world.delivery, 1, &rule);
    submit(&world, 5);
    assert_int_equal(world.let_go_count, 5);
    end(&world);
}
