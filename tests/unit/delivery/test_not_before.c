/* modules: client line */
/* test_not_before.c - delivery and a message that must not be tried yet: named, and young. */
#include "delivery/line/constraint.h"
#include "delivery/line/destination.h"
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/engine_fake.h"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { HOLD_MS = 3 * 24 * 3600 * 1000 };

TEST(message_with_a_not_before_says_so_and_does_not_age_before)
{
    struct engine_settings settings = {0};
    struct world world;
    struct world_message message = {.from = "", .to = "a@there.example", .content = "x"};
    struct constraint c;

    world_init(&world, engine_create(&settings), NULL);
    world.port = 1; /* nobody listens there */
    world_start(&world);
    struct message_id soon = world_submit(&world, &message);
    world.hold_ms = HOLD_MS;
    struct message_id later = world_submit(&world, &message);
    const struct pending *held = world_pending(&world, later, 0);
    int64_t not_before_ms = engine_now_ms(world.engine) + HOLD_MS;

    constraint_of_pending(world.delivery, held, NULL, &c);
    assert_string_equal(c.name, "not-before");
    assert_string_equal(c.rule, "not-before of the message");
    assert_in_range(c.until_ms, delivery_wall_ms(world.delivery, not_before_ms),
                    delivery_wall_ms(world.delivery, not_before_ms) + 1000);
    constraint_of_pending(world.delivery, world_pending(&world, soon, 0), NULL, &c);
    assert_string_not_equal(c.name, "not-before");
    int64_t ends_ms = destination_end_ms(world.delivery, held);
    int64_t other_ms = destination_end_ms(world.delivery, world_pending(&world, soon, 0));
    assert_in_range(ends_ms - other_ms, HOLD_MS, HOLD_MS + 2000);
    assert_false(destination_is_overdue(world.delivery, held));
    fake_advance_ms(world.engine, HOLD_MS + 1000);
    engine_turn(world.engine, 0);
    assert_false(destination_is_overdue(world.delivery, held));
    constraint_of_pending(world.delivery, held, NULL, &c);
    assert_string_not_equal(c.name, "not-before");
    struct engine *engine = world.engine;

    assert_true(world_free(&world));
    engine_destroy(&engine);
}
