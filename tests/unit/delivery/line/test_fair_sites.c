/* modules: client line */
/*
 * test_fair_sites.c - a site with one connection at a time, of one engine and of two: who is next.
 *
 * Connections are toys (unit/delivery/toy_carriers.h). A slot is one message.
 */
/* The world in which delivery lives is included: one source file a test. */
#include "support/chat.c"
#include "support/engine_fake.h"
#include "unit/delivery/toy_carriers.c"
#include "unit/delivery/world.c"

#include "base/log.h"
#include "delivery/line/constraint.h"
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/unit.h"

enum { TRIES = 1000, TURNS_MAX = 20, MANY = 4 * TRIES };

static unsigned messages_per_connection = UINT32_MAX;
static double messages_per_s; /* 0: no limit, and one connection at a time; else one an engine */

/* One slot: whose message it was; 0: nothing goes any more. */
static char slot(struct engine *engine)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        list_for_each(node, &toy_carriers) {
            char tenant = toy_carrier_step(toy_carrier_of(node));

            if (tenant != 0)
                return tenant;
        }
        engine_turn(engine, 0);
    }
    return 0;
}

static void submit(struct world *world, const char *tenant, enum mail_class class)
{
    struct world_message mail = {
        .from = "", .to = "r@a.example", .content = "x", .tenant = tenant, .class = class};

    world_submit(world, &mail);
    for (unsigned i = 0; i < 4; i++)
        engine_turn(world->engine, 0);
}

static void start(struct world *world, struct engine *engine, struct egress_table *egresses)
{
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    world_init(world, engine, NULL);
    world->egress.connections = messages_per_s > 0 ? 2 : 1;
    world->egress.messages_per_s = messages_per_s;
    world->egress.idle_s = 3600;
    world->egress.messages_per_connection = messages_per_connection;
    world->egresses = egresses;
    world_start(world);
    toy_carriers_use(world);
}

static struct engine *begin(struct world *world)
{
    struct engine *engine = toy_engine_create();

    start(world, engine, NULL);
    return engine;
}

static void end(struct engine *engine, struct world *world)
{
    assert_true(world_free(world));
    toy_engine_destroy(&engine);
}

/* Slots until a message of `world`'s that is submitted now is gone. */
static unsigned slots_for_one(struct world *world, enum mail_class class)
{
    unsigned slots = 1;

    submit(world, "small", class);
    while (slot(world->engine) != 's')
        slots++;
    return slots;
}

TEST(message_of_another_tenant_takes_the_next_slot_of_the_site)
{
    struct world world;
    struct engine *engine = begin(&world);

    for (unsigned i = 0; i < MANY; i++)
        submit(&world, "many", MAIL_NORMAL);
    assert_int_equal(slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(slots_for_one(&world, MAIL_NORMAL), 1);
        assert_int_equal(slot(engine), 'm');
    }
    end(engine, &world);
}

TEST(higher_class_on_another_engine_takes_the_next_slot_of_the_site)
{
    struct world worlds[2];
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = 0; i < MANY; i++)
        submit(&worlds[0], "many", MAIL_BULK);
    assert_int_equal(slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(slots_for_one(&worlds[1], MAIL_HIGH), 1);
        assert_int_equal(slot(engine), 'm'); /* its connection gives way when it has nothing */
        assert_int_equal(slot(engine), 'm');
    }
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

static void expect_slots_at_most(unsigned slots_max)
{
    enum { FEW = 30 };
    struct world worlds[2];
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = 0; i < MANY; i++)
        submit(&worlds[0], "many", MAIL_NORMAL);
    assert_int_equal(slot(engine), 'm');
    for (unsigned i = 0; i < FEW; i++) {
        assert_in_range(slots_for_one(&worlds[1], MAIL_NORMAL), 1, slots_max);
        assert_int_equal(slot(engine), 'm');
        assert_int_equal(slot(engine), 'm');
    }
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* Of one class nobody is interrupted: the slot is free when the connection gives way, after a
 * hundred messages or as many as it carries, and it is not its own site's again. */
TEST(other_tenant_on_another_engine_takes_the_next_slot_that_comes_free)
{
    expect_slots_at_most(100 + 1);
    messages_per_connection = 20;
    expect_slots_at_most(20 + 1);
    messages_per_connection = UINT32_MAX;
}

TEST(site_that_waits_with_bulk_goes_ahead_once_high_comes_to_it)
{
    struct world worlds[2];
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = 0; i < 10; i++)
        submit(&worlds[0], "many", MAIL_NORMAL);
    assert_int_equal(slot(engine), 'm');
    submit(&worlds[1], "bulk", MAIL_BULK);
    assert_int_equal(slot(engine), 'm'); /* it is in line, behind */
    submit(&worlds[1], "small", MAIL_HIGH);
    assert_int_equal(slot(engine), 's');
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* A second later. Nothing goes before. */
static char next_second(struct engine *engine)
{
    assert_int_equal(slot(engine), 0);
    fake_advance_ms(engine, 1000);
    return slot(engine);
}

TEST(higher_class_on_another_engine_takes_the_next_share_of_the_rate)
{
    struct world worlds[2];

    messages_per_s = 1;
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    messages_per_s = 0;
    for (unsigned i = 0; i < 40; i++)
        submit(&worlds[0], "many", MAIL_BULK);
    assert_int_equal(slot(engine), 'm');
    for (unsigned i = 0; i < 10; i++) {
        submit(&worlds[1], "small", MAIL_HIGH);
        assert_int_equal(next_second(engine), 's');
        assert_int_equal(next_second(engine), 'm'); /* who was put off has the time after it */
    }
    /* The other engine is in line with bulk of its own when high mail comes to it, and has no
     * connection that would ask for it. */
    submit(&worlds[1], "bulk", MAIL_BULK);
    assert_int_equal(slot(engine), 0);
    list_for_each(node, &toy_carriers)
        if (toy_carrier_of(node)->world == &worlds[1])
            toy_carrier_end(toy_carrier_of(node));
    submit(&worlds[1], "small", MAIL_HIGH);
    assert_int_equal(next_second(engine), 's');
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* Behind the one whose time was taken already, however much waits there. */
TEST(other_tenant_on_another_engine_takes_the_next_free_share_of_the_rate)
{
    struct world worlds[2];

    messages_per_s = 1;
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    messages_per_s = 0;
    for (unsigned i = 0; i < MANY; i++)
        submit(&worlds[0], "many", MAIL_NORMAL);
    assert_int_equal(slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        submit(&worlds[1], "small", MAIL_NORMAL);
        if (next_second(engine) != 's')
            assert_int_equal(next_second(engine), 's');
    }
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

static void expect_constraint(struct world *world, struct message_id id, const char *name,
                              const char *detail)
{
    struct constraint constraint;

    constraint_of_pending(world->delivery, world_pending(world, id, 0), NULL, &constraint);
    assert_string_equal(constraint.name, name);
    assert_string_equal(constraint.detail, detail);
}

TEST(explain_says_who_goes_before)
{
    struct world_message mail = {.from = "", .to = "r@a.example", .content = "x", .tenant = "many"};
    struct world world;
    struct engine *engine = begin(&world);

    for (unsigned i = 0; i < 3; i++)
        submit(&world, "many", MAIL_NORMAL);
    assert_int_equal(slot(engine), 'm');
    mail.class = MAIL_BULK;
    struct message_id bulk = world_submit(&world, &mail);

    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
    struct site *site = container_of(list_first(&world.delivery->all_sites), struct site, in_all);

    site_enter(site, SITE_SERVING);
    expect_constraint(&world, bulk, "behind-higher-class",
                      "normal mail of its tenant goes before bulk");
    assert_int_equal(slot(engine), 'm');
    assert_int_equal(slot(engine), 'm');
    site_enter(site, SITE_SERVING);
    expect_constraint(&world, bulk, "connections-busy", "");
    tenant_weigh(world.flows, BYTES("small"), 4);
    submit(&world, "small", MAIL_NORMAL);
    site_enter(site, SITE_SERVING);
    expect_constraint(&world, bulk, "behind-other-tenants", "its tenant has 1 of 5 turns");
    site_enter(site, SITE_LIMITED);
    expect_constraint(&world, bulk, "connection-limit", "its tenant has 1 of 5 turns");
    end(engine, &world);
}
