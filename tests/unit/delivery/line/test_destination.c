/* modules: client line */
/* test_destination.c - mail that waits in line and becomes too old there. */
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/engine_fake.h"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum {
    LOOKS = 10000, /* of one second, at the ages of what waits */
    MAX_AGE_S = 3600,
};

/* More than one second's looks wait for a lookup; the sweep stopped before the last two. */
static struct destination *stop_in_the_middle(struct world *world)
{
    struct engine_settings settings = {0};
    struct world_message mail = {.from = "", .to = "a@far.example", .content = "x"};

    world_init(world, engine_create(&settings), NULL);
    world->retry.max_age_s = MAX_AGE_S;
    world_start(world);
    world->lookups_wait = true;
    for (unsigned i = 0; i < LOOKS + 2; i++)
        world_submit(world, &mail);
    for (unsigned i = 0; i < 10; i++)
        engine_turn(world->engine, 0);
    struct line *line =
        container_of(list_first(&world->delivery->waiting_lines), struct line, in_waiting);
    struct destination *d = flow_domain(line->flow)->destination;

    assert_ptr_equal(line, &d->lines.own);
    assert_int_equal(d->lines.count, LOOKS + 2);
    destinations_expire_waiting(world->delivery);
    assert_int_equal(d->lines.count, LOOKS + 2); /* none is old yet */
    assert_ptr_equal(world->delivery->look, d->lines.own.waiting.head.prev->prev);
    return d;
}

static struct pending *pending_at(struct list_node *node)
{
    return container_of(node, struct pending, link);
}

static void end(struct world *world)
{
    struct engine *engine = world->engine;

    world_answer_lookups(world);
    assert_true(world_free(world));
    engine_destroy(&engine);
}

TEST(sweep_goes_on_behind_the_one_that_was_taken_from_under_it)
{
    struct world world;
    struct destination *d = stop_in_the_middle(&world);
    struct list_node *last = d->lines.own.waiting.head.prev;
    struct pending *taken = pending_at(world.delivery->look);

    destination_remove(d, taken);
    assert_ptr_equal(world.delivery->look, last);
    fake_advance_ms(world.engine, 2LL * MAX_AGE_S * 1000);
    destinations_expire_waiting(world.delivery);
    assert_int_equal(d->lines.count, LOOKS); /* the last one was found too old, from there */
    destination_add(d, taken, false);
    end(&world);
}

TEST(sweep_is_at_the_end_where_the_last_one_was_taken_from_under_it)
{
    struct world world;
    struct destination *d = stop_in_the_middle(&world);
    struct pending *taken[2];

    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = pending_at(world.delivery->look);
        destination_remove(d, taken[i]);
    }
    assert_ptr_equal(world.delivery->look, &d->lines.own.waiting.head);
    fake_advance_ms(world.engine, 2LL * MAX_AGE_S * 1000);
    destinations_expire_waiting(world.delivery);
    assert_in_range(d->lines.count, 0, LOOKS - 1); /* from the front again */
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++)
        destination_add(d, taken[i], false);
    end(&world);
}

TEST(sweep_begins_anew_where_the_line_went_from_under_it)
{
    static struct pending *taken[LOOKS + 2];
    struct world world;
    struct destination *d = stop_in_the_middle(&world);
    size_t count = 0;

    while (world.delivery->look != &d->lines.own.waiting.head) {
        taken[count] = pending_at(world.delivery->look);
        destination_remove(d, taken[count++]);
    }
    while (count < ARRAY_LEN(taken)) {
        assert_ptr_equal(world.delivery->look, &d->lines.own.waiting.head);
        taken[count] = pending_at(list_first(&d->lines.own.waiting));
        destination_remove(d, taken[count++]);
    }
    assert_null(world.delivery->look);
    destinations_expire_waiting(world.delivery); /* there is none */
    for (size_t i = 0; i < count; i++)
        destination_add(d, taken[i], false);
    destinations_expire_waiting(world.delivery);
    assert_int_equal(d->lines.count, LOOKS + 2);
    assert_ptr_equal(world.delivery->look, d->lines.own.waiting.head.prev->prev);
    end(&world);
}
