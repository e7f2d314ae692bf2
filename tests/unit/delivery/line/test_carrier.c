/* modules: client line */
/* test_carrier.c - when a connection ends though it could go on; what its mail brings along. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/toy_carriers.c"
#include "unit/delivery/world.c"

#include "base/log.h"
#include "delivery/line/destination.h"
#include "delivery/line/egress_state.h"
#include "delivery/line/state.h"
#include "support/unit.h"

static void turns(struct world *world)
{
    for (unsigned i = 0; i < 10; i++)
        engine_turn(world->engine, 0);
}

static void start(struct world *world, struct engine *engine, struct egress_table *egresses)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world_init(world, engine, NULL);
    world->egress.connections = 1;
    world->egress.idle_s = 3600;
    world->egress.messages_per_connection = UINT32_MAX;
    world->egresses = egresses;
    world_start(world);
    toy_carriers_use(world);
}

static void submit(struct world *world)
{
    struct world_message mail = {.from = "", .to = "r@a.example", .content = "x", .tenant = "t"};

    world_submit(world, &mail);
    turns(world);
}

static struct toy_carrier *first_carrier(void)
{
    struct list_node *node = list_first(&toy_carriers);

    assert_non_null(node);
    return toy_carrier_of(node);
}

static void end(struct engine *engine, struct world *world)
{
    assert_true(world_free(world));
    toy_engine_destroy(&engine);
}

TEST(connection_of_a_source_that_was_taken_away_ends_and_the_next_is_of_another)
{
    struct world world;
    struct engine *engine = toy_engine_create();
    struct source other[1];
    struct delivery_settings again;

    start(&world, engine, NULL);
    submit(&world);
    submit(&world);
    struct toy_carrier *toy = first_carrier();

    assert_int_equal(toy_carrier_step(toy), 't');
    again = world.settings;
    other[0] = world.sources[0];
    other[0].name = "other";
    assert_true(address_parse(BYTES("127.0.0.9"), 0, &other[0].address4));
    other[0].has_address4 = true;
    again.sources = other;
    again.source_count = 1;
    delivery_configure(world.delivery, &again);
    assert_true(toy->is_leaving);
    toy->is_leaving = false; /* it is in a message, and asks for the next */
    assert_int_equal(toy_carrier_step(toy), 0);
    turns(&world);
    assert_int_equal(world_unfinished(&world), 1);
    assert_string_equal(first_carrier()->carrier.egress->source->name, "other");
    assert_int_equal(toy_carrier_step(first_carrier()), 't');
    turns(&world);
    assert_int_equal(world_unfinished(&world), 0);
    end(engine, &world);
}

/* It is not asked. */
TEST(idle_connection_ends_at_once_for_the_site_of_another_engine_that_waits_for_its_slot)
{
    struct world worlds[2];
    struct engine *engine = toy_engine_create();

    start(&worlds[0], engine, NULL);
    start(&worlds[1], engine, worlds[0].egresses);
    submit(&worlds[0]);
    struct toy_carrier *toy = first_carrier();

    assert_int_equal(toy_carrier_step(toy), 't');
    assert_int_equal(toy_carrier_step(toy), 0);
    assert_true(carrier_is_idle(&toy->carrier));
    assert_false(carrier_idle_is_over(&toy->carrier, 0));
    assert_false(carrier_idle_is_over(&toy->carrier, 3600 * 1000 - 1));
    assert_true(carrier_idle_is_over(&toy->carrier, 3600 * 1000));
    submit(&worlds[1]);
    assert_ptr_equal(first_carrier()->world, &worlds[1]);
    assert_int_equal(toy_carrier_step(first_carrier()), 't');
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* Mail of its own that waits for another connection is not somebody else's. */
TEST(idle_connection_stays_for_mail_of_its_own_site)
{
    struct world world;
    struct engine *engine = toy_engine_create();

    start(&world, engine, NULL);
    submit(&world);
    struct toy_carrier *toy = first_carrier();

    assert_int_equal(toy_carrier_step(toy), 't');
    assert_int_equal(toy_carrier_step(toy), 0);
    submit(&world);
    assert_false(carrier_idle_is_over(&toy->carrier, 0));
    assert_int_equal(toy_carrier_step(toy), 't');
    end(engine, &world);
}

TEST(message_brings_the_time_that_its_domains_lookup_took)
{
    struct world world;
    struct engine *engine = toy_engine_create();

    start(&world, engine, NULL);
    world.lookups_wait = true;
    submit(&world);
    fake_advance_ms(engine, 120);
    world_answer_lookups(&world);
    turns(&world);
    assert_int_equal(toy_carrier_step(first_carrier()), 't');
    assert_int_equal(first_carrier()->lookup_ms, 120);
    end(engine, &world);
}

/* Where thousands of sites wait for a slot, one that took mail lately is not the last of them. */
TEST(site_that_took_mail_lately_waits_in_front)
{
    struct world world;
    struct engine *engine = toy_engine_create();

    start(&world, engine, NULL);
    submit(&world);
    struct toy_carrier *toy = first_carrier();
    struct site_egress *egress = toy->carrier.egress;

    assert_false(egress->waiter.is_urgent);
    assert_int_equal(toy_carrier_step(toy), 't');
    submit(&world);
    toy_carrier_end(toy);
    turns(&world);
    assert_true(egress->waiter.is_urgent);
    end(engine, &world);
}
