/* modules: client line */
/* threads: one */
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

#include <stdlib.h>

#include "base/log.h"
#include "delivery/line/constraint.h"
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/unit.h"

enum { TRIES = 1000, MANY = 4 * TRIES };

/* What waits at a throttled site; more of it by bench/fairness, which takes its time. */
static unsigned waiting(void)
{
    const char *text = getenv("FAIR_WAITING");

    return text == NULL ? MANY : (unsigned)strtoul(text, NULL, 10);
}

static double messages_per_s; /* 0: no limit, and one connection at a time; else one an engine */

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
    world->egress.messages_per_connection = UINT32_MAX;
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
    while (toy_slot(world->engine) != 's')
        slots++;
    return slots;
}

TEST(message_of_another_tenant_takes_the_next_slot_of_the_site)
{
    struct world world;
    struct engine *engine = begin(&world);

    for (unsigned i = waiting(); i > 0; i--)
        submit(&world, "many", MAIL_NORMAL);
    assert_int_equal(toy_slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(slots_for_one(&world, MAIL_NORMAL), 1);
        assert_int_equal(toy_slot(engine), 'm');
    }
    end(engine, &world);
}

TEST(higher_class_on_another_engine_takes_the_next_slot_of_the_site)
{
    struct world worlds[2];
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = waiting(); i > 0; i--)
        submit(&worlds[0], "many", MAIL_BULK);
    assert_int_equal(toy_slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(slots_for_one(&worlds[1], MAIL_HIGH), 1);
        assert_int_equal(toy_slot(engine), 'm'); /* its connection gives way when it has nothing */
        assert_int_equal(toy_slot(engine), 'm');
    }
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* Two engines; the first one's tenant has much, and has begun. */
static struct engine *begin_two(struct world worlds[static 2], unsigned many)
{
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = 0; i < many; i++)
        submit(&worlds[0], "many", MAIL_NORMAL);
    if (many > 0)
        assert_int_equal(toy_slot(engine), 'm');
    return engine;
}

static void end_two(struct engine *engine, struct world worlds[static 2])
{
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

TEST(message_of_another_tenant_on_another_engine_takes_the_next_slot)
{
    struct world worlds[2];
    struct engine *engine = begin_two(worlds, waiting());

    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(slots_for_one(&worlds[1], MAIL_NORMAL), 1);
        assert_int_equal(toy_slot(engine), 'm');
    }
    end_two(engine, worlds);
}

/* Who sends one message after another, each alone in line, has no more than the other. */
TEST(tenant_that_always_comes_anew_on_another_engine_has_its_share)
{
    struct world worlds[2];
    struct engine *engine = begin_two(worlds, waiting());
    unsigned small = 0;

    submit(&worlds[1], "small", MAIL_NORMAL);
    for (unsigned i = 0; i < TRIES; i++)
        if (toy_slot(engine) == 's') {
            small++;
            submit(&worlds[1], "small", MAIL_NORMAL);
        }
    assert_in_range(small, TRIES / 2 - 10, TRIES / 2 + 10);
    end_two(engine, worlds);
}

TEST(connection_does_not_give_way_to_its_own_site)
{
    struct world worlds[2];
    struct engine *engine = begin_two(worlds, 10);

    submit(&worlds[1], "bulk", MAIL_BULK); /* in line, and no reason to end */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(toy_slot(engine), 'm');
    submit(&worlds[0], "small", MAIL_NORMAL);
    assert_int_equal(toy_slot(engine), 's');
    assert_int_equal(toy_slot(engine), 'm'); /* its own site is in line as one that is new */
    assert_int_equal(toy_carrier_of(list_first(&toy_carriers))->messages, 6);
    end_two(engine, worlds);
}

/* Of two that have much nobody is interrupted: a connection carries its hundred messages. */
TEST(connection_of_one_of_two_tenants_with_much_goes_on)
{
    struct world worlds[2];
    struct engine *engine = begin_two(worlds, MANY);
    unsigned changes = 0, small = 0;
    char last = 'm';

    for (unsigned i = 0; i < MANY / 2; i++)
        submit(&worlds[1], "small", MAIL_NORMAL);
    for (unsigned i = 0; i < MANY / 2; i++) {
        char tenant = toy_slot(engine);

        changes += tenant != last;
        small += tenant == 's';
        last = tenant;
    }
    assert_in_range(small, MANY / 4 - 60, MANY / 4 + 60);
    assert_in_range(changes, MANY / 2 / 100 - 2, MANY / 2 / 100 + 2);
    end_two(engine, worlds);
}

/* --- weights ---------------------------------------------------------------------------------- */

enum { WEIGHTED = 3, WARM = 700 };

static unsigned slots;

/* On which engines each tenant has mail, a bit each; of weight 1, 2 and 4. */
static void expect_weights(const unsigned engines[static WEIGHTED], bool is_by_rate)
{
    static const char *const names[WEIGHTED] = {"a", "b", "c"};
    unsigned got[WEIGHTED] = {0};
    struct world worlds[2];

    slots = is_by_rate ? 1400 : 14000;
    messages_per_s = is_by_rate ? 1 : 0;
    struct engine *engine = begin_two(worlds, 0);

    messages_per_s = 0;
    for (unsigned i = 0; i < WEIGHTED; i++)
        for (unsigned at = 0; at < 2; at++) {
            tenant_weigh(worlds[at].flows, bytes_of(names[i]), 1U << i);
            if ((engines[i] & 1U << at) == 0)
                continue;
            for (unsigned j = 0; j < ((WARM + slots) << i) / 6; j++)
                submit(&worlds[at], names[i], MAIL_NORMAL);
        }
    for (unsigned i = 0; i < WARM + slots; i++) {
        char tenant = toy_slot(engine);

        if (tenant == 0) {
            fake_advance_ms(engine, 1000);
            tenant = toy_slot(engine);
        }
        assert_in_range(tenant, 'a', 'c');
        got[tenant - 'a'] += i >= WARM;
    }
    for (unsigned i = 0; i < WEIGHTED; i++)
        assert_in_range(got[i] * 100, (slots / 7 << i) * 95, (slots / 7 << i) * 105);
    end_two(engine, worlds);
}

static const unsigned arrangements[][WEIGHTED] = {
    {3, 3, 3},            /* all on both */
    {1, 2, 2},            /* one on an engine of its own */
    {2, 1, 2}, {3, 1, 2}, /* one on both */
    {3, 2, 3},            /* two on both: of the third one the other engine knows nothing */
    {3, 1, 1},
};

TEST(tenants_have_their_shares_of_the_slots_on_whatever_engines)
{
    for (size_t i = 0; i < ARRAY_LEN(arrangements); i++)
        expect_weights(arrangements[i], false);
}

TEST(tenants_have_their_shares_of_the_rate_on_whatever_engines)
{
    for (size_t i = 0; i < ARRAY_LEN(arrangements); i++)
        expect_weights(arrangements[i], true);
}

TEST(site_that_waits_with_bulk_goes_ahead_once_high_comes_to_it)
{
    struct world worlds[2];
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    for (unsigned i = 0; i < 10; i++)
        submit(&worlds[0], "many", MAIL_NORMAL);
    assert_int_equal(toy_slot(engine), 'm');
    submit(&worlds[1], "bulk", MAIL_BULK);
    assert_int_equal(toy_slot(engine), 'm'); /* it is in line, behind */
    submit(&worlds[1], "small", MAIL_HIGH);
    assert_int_equal(toy_slot(engine), 's');
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* A second later. Nothing goes before. */
static char next_second(struct engine *engine)
{
    assert_int_equal(toy_slot(engine), 0);
    fake_advance_ms(engine, 1000);
    return toy_slot(engine);
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
    assert_int_equal(toy_slot(engine), 'm');
    for (unsigned i = 0; i < 10; i++) {
        submit(&worlds[1], "small", MAIL_HIGH);
        assert_int_equal(next_second(engine), 's');
        assert_int_equal(next_second(engine), 'm'); /* who was put off has the time after it */
    }
    /* The other engine is in line with bulk of its own when high mail comes to it, and has no
     * connection that would ask for it. */
    submit(&worlds[1], "bulk", MAIL_BULK);
    assert_int_equal(toy_slot(engine), 0);
    list_for_each(node, &toy_carriers)
        if (toy_carrier_of(node)->world == &worlds[1])
            toy_carrier_end(toy_carrier_of(node));
    submit(&worlds[1], "small", MAIL_HIGH);
    assert_int_equal(next_second(engine), 's');
    worlds[1].egresses = NULL;
    assert_true(world_free(&worlds[1]));
    end(engine, &worlds[0]);
}

/* Before the one whose time was taken already. */
TEST(other_tenant_on_another_engine_takes_the_next_share_of_the_rate)
{
    struct world worlds[2];

    messages_per_s = 1;
    struct engine *engine = begin(&worlds[0]);

    start(&worlds[1], engine, worlds[0].egresses);
    messages_per_s = 0;
    for (unsigned i = waiting(); i > 0; i--)
        submit(&worlds[0], "many", MAIL_NORMAL);
    assert_int_equal(toy_slot(engine), 'm');
    for (unsigned i = 0; i < TRIES; i++) {
        submit(&worlds[1], "small", MAIL_NORMAL);
        assert_int_equal(next_second(engine), 's');
        assert_int_equal(next_second(engine), 'm');
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
    assert_int_equal(toy_slot(engine), 'm');
    mail.class = MAIL_BULK;
    struct message_id bulk = world_submit(&world, &mail);

    for (unsigned i = 0; i < 4; i++)
        engine_turn(engine, 0);
    struct site *site = container_of(list_first(&world.delivery->all_sites), struct site, in_all);

    site_enter(site, SITE_SERVING);
    expect_constraint(&world, bulk, "behind-higher-class",
                      "normal mail of its tenant goes before bulk");
    assert_int_equal(toy_slot(engine), 'm');
    assert_int_equal(toy_slot(engine), 'm');
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
