/* turn_budget.c - the time that a turn spent on costly computing. */
#include "io/turn_budget.h"

#include "base/clock.h"
#include "io/loop.h"

static struct turn_spent *spent_of(struct engine *engine)
{
    return &((struct loop *)(void *)engine)->spent; /* struct engine begins with its loop */
}

bool turn_budget_begin(struct engine *engine, bool has_waited)
{
    struct turn_spent *spent = spent_of(engine);

    if (spent->us >= TURN_BUDGET_US || (!has_waited && (spent->has_line || spent->was_refused))) {
        spent->was_refused = true;
        return false;
    }
    /* The engine's own clock stands still during a turn. */
    spent->began_us = clock_monotonic_us();
    return true;
}

bool turn_budget_try(struct engine *engine)
{
    struct turn_spent *spent = spent_of(engine);

    if (spent->us >= TURN_BUDGET_US || spent->has_line || spent->was_refused)
        return false;
    spent->began_us = clock_monotonic_us();
    return true;
}

int64_t turn_budget_end(struct engine *engine)
{
    struct turn_spent *spent = spent_of(engine);
    int64_t us = clock_monotonic_us() - spent->began_us;

    spent->us += us;
    return us;
}
