/* test_turn_budget.c - what a turn may spend. */
#include "io/turn_budget.h"

#include <unistd.h>

#include "support/engine_fake.h"
#include "support/unit.h"

static struct engine *start(void)
{
    struct engine_settings settings = {.ring_entries = 8, .buffer_count = 2, .buffer_size = 64};
    struct engine *engine;

    fake_seed(1);
    engine = engine_create(&settings);
    assert_non_null(engine);
    return engine;
}

/* A piece of work that takes all there is. */
static void work(struct engine *engine)
{
    usleep(TURN_BUDGET_US + 500);
    turn_budget_end(engine);
}

TEST(turn_whose_time_is_used_up_refuses_and_the_next_one_does_not)
{
    struct engine *engine = start();

    assert_true(turn_budget_begin(engine, false));
    work(engine);
    assert_false(turn_budget_begin(engine, false));
    assert_false(turn_budget_begin(engine, true));
    engine_turn(engine, 0);
    assert_true(turn_budget_begin(engine, true));
    turn_budget_end(engine);
    engine_destroy(&engine);
}

TEST(time_adds_up_over_pieces)
{
    struct engine *engine = start();
    unsigned pieces = 0;

    while (turn_budget_begin(engine, false)) {
        usleep(TURN_BUDGET_US / 4);
        turn_budget_end(engine);
        pieces++;
    }
    assert_in_range(pieces, 1, 4);
    engine_destroy(&engine);
}

TEST(who_comes_anew_does_not_overtake_who_waits)
{
    struct engine *engine = start();

    assert_true(turn_budget_begin(engine, false));
    work(engine);
    assert_false(turn_budget_begin(engine, false)); /* the first to wait */
    engine_turn(engine, 0);
    assert_false(turn_budget_begin(engine, false)); /* comes anew */
    assert_true(turn_budget_begin(engine, true));   /* the first */
    turn_budget_end(engine);
    assert_true(turn_budget_begin(engine, true)); /* and the second, behind it */
    turn_budget_end(engine);
    engine_turn(engine, 0);
    engine_turn(engine, 0);
    assert_true(turn_budget_begin(engine, false)); /* nobody waits any more */
    turn_budget_end(engine);
    engine_destroy(&engine);
}

TEST(who_has_another_way_takes_nobodys_place_and_waits_for_nobody)
{
    struct engine *engine = start();

    assert_true(turn_budget_try(engine));
    work(engine);
    assert_false(turn_budget_try(engine));
    assert_true(!turn_budget_begin(engine, false)); /* now somebody waits */
    engine_turn(engine, 0);
    assert_false(turn_budget_try(engine));
    assert_true(turn_budget_begin(engine, true));
    turn_budget_end(engine);
    engine_turn(engine, 0);
    assert_true(turn_budget_try(engine));
    work(engine);
    engine_turn(engine, 0); /* whoever tried in vain did not wait */
    assert_true(turn_budget_begin(engine, false));
    turn_budget_end(engine);
    engine_destroy(&engine);
}
