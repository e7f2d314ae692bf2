/* modules: client line */
/* test_status.c - counts of delivery_status(), and the look for mail that nothing would wake. */
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/engine_fake.h"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum {
    SITES = 200,
    SLICE = 10000,            /* looks of one second */
    MANY = SLICE + SLICE / 2, /* a round of two slices */
    ROUND_S = 10,
    DAY_S = 24 * 3600,
};

static void turns(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        engine_turn(world->engine, 0);
}

static void pass_seconds(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fake_advance_ms(world->engine, 1000);
        turns(world, 1);
    }
}

static struct delivery_status status_of(const struct world *world)
{
    struct delivery_status status;

    delivery_status(world->delivery, &status);
    return status;
}

static void start(struct world *world)
{
    struct engine_settings settings = {0};

    world_init(world, engine_create(&settings), NULL);
    world->port = 1; /* nobody listens there */
    world_start(world);
}

static void submit_to_domains(struct world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char to[64];
        struct world_message message = {.from = "", .to = to, .content = "x"};

        snprintf(to, sizeof(to), "a@d%u.example", i);
        world_submit(world, &message);
    }
}

/* SITES of them, of which none takes a connection. */
static void let_sites_rest(struct world *world)
{
    submit_to_domains(world, SITES);
    for (unsigned i = 0; i < 5000 && status_of(world).resting_sites < SITES; i++)
        turns(world, 1);
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    world_answer_lookups(world);
    assert_true(world_free(world));
    engine_destroy(&engine);
}

TEST(sites_that_rest_are_counted_until_their_rest_is_over)
{
    struct delivery_status status;
    struct world world;

    start(&world);
    let_sites_rest(&world);
    world_status(&world, &status);
    assert_int_equal(status.resting_sites, SITES);
    assert_int_equal(status.sites, SITES);

    struct site *site = container_of(list_first(&world.delivery->all_sites), struct site, in_all);

    site_wake(site);
    world_status(&world, &status);
    assert_int_equal(status.resting_sites, SITES - 1);
    site_wake(site); /* nothing is left to end */
    assert_int_equal(status_of(&world).resting_sites, SITES - 1);

    fake_advance_ms(world.engine, (int64_t)DAY_S * 1000);
    engine_turn(world.engine, 0); /* before anybody has been tried again */
    world_status(&world, &status);
    assert_int_equal(status.resting_sites, 0);
    end(&world);
}

TEST(sites_that_go_while_they_rest_are_not_counted)
{
    struct delivery_status status;
    struct world world;

    start(&world);
    let_sites_rest(&world);
    turns(&world, 100); /* what waited has been told */
    while (!list_is_empty(&world.delivery->all_destinations)) {
        struct destination *d =
            container_of(list_first(&world.delivery->all_destinations), struct destination, in_all);

        destination_free(&d);
    }
    world_status(&world, &status);
    assert_int_equal(status.sites, 0);
    assert_int_equal(status.resting_sites, 0);
    end(&world);
}

TEST(mail_of_a_destination_that_nothing_wakes_is_found_in_slices)
{
    struct world world;

    start(&world);
    world.lookups_wait = true;
    submit_to_domains(&world, MANY);
    turns(&world, 100);
    struct destination *lost =
        container_of(world.delivery->all_destinations.head.prev, struct destination, in_all);

    assert_true(list_is_linked(&lost->in_starved));
    list_remove(&lost->in_starved);
    assert_true(destination_is_unheld(lost));
    pass_seconds(&world, ROUND_S);
    assert_int_equal(status_of(&world).unheld, 0); /* it is not in the first slice */
    pass_seconds(&world, 1);
    assert_int_equal(status_of(&world).unheld, 1);
    assert_false(destination_is_unheld(lost));
    pass_seconds(&world, ROUND_S - 2);
    assert_int_equal(status_of(&world).unheld, 1); /* as of the last round */
    pass_seconds(&world, 2);
    assert_int_equal(status_of(&world).unheld, 0);
    end(&world);
}

TEST(mail_of_a_site_that_nothing_wakes_is_found)
{
    struct world world;

    start(&world);
    let_sites_rest(&world);
    turns(&world, 100); /* what waited has been told */
    struct site *site = container_of(world.delivery->all_sites.head.prev, struct site, in_all);

    assert_int_equal(site->waiting_count, 0);
    assert_false(site_is_unheld(site));
    site->waiting_count = 2; /* which are in no list */
    assert_true(site_is_unheld(site));
    pass_seconds(&world, ROUND_S);
    assert_int_equal(status_of(&world).unheld, 2);
    assert_false(site_is_unheld(site));
    site->waiting_count = 0;
    pass_seconds(&world, 2 * ROUND_S);
    assert_int_equal(status_of(&world).unheld, 0);
    end(&world);
}
