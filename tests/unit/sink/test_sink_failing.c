#include "sink/sink_failing.h"

#include "support/unit.h"

enum { HOUR = 3600 * 1000, SETTLE = 600 * 1000 };

static const int64_t wall = 1795489800123;

static int64_t more(struct sink_failing *failing, int64_t now_ms, int64_t wall_ms)
{
    return sink_failing_more(failing, (struct clocks){.now_ms = now_ms, .wall_ms = wall_ms},
                             SETTLE);
}

/* What the cursor file keeps. */
static struct sink_failing restarted(const struct sink_failing *failing)
{
    return (struct sink_failing){.since_ms = failing->since_ms, .for_ms = failing->for_ms};
}

TEST(sink_failing_within_a_run_goes_by_the_monotonic_clock)
{
    struct sink_failing failing = {0};

    assert_int_equal(more(&failing, 1000, wall), 0);
    assert_int_equal(failing.since_ms, wall);
    assert_int_equal(more(&failing, 1000 + HOUR, wall + 100LL * HOUR), HOUR);
    assert_int_equal(more(&failing, 1000 + 2 * HOUR, wall - 100LL * HOUR), 2 * HOUR);
}

TEST(sink_failing_goes_on_over_a_restart)
{
    struct sink_failing failing = {0};

    (void)more(&failing, 1000, wall);
    (void)more(&failing, 1000 + HOUR, wall + HOUR);
    failing = restarted(&failing);
    /* Three hours later by the wall clock, on which nothing is built yet. */
    assert_int_equal(more(&failing, 500, wall + 4LL * HOUR), HOUR);
    assert_int_equal(more(&failing, 500 + SETTLE / 2, wall + 4LL * HOUR + SETTLE / 2),
                     HOUR + SETTLE / 2);
    assert_int_equal(more(&failing, 500 + SETTLE, wall + 4LL * HOUR + SETTLE), 4 * HOUR + SETTLE);
    /* Set from now on as anybody likes. */
    assert_int_equal(more(&failing, 500 + 2 * SETTLE, wall), 4 * HOUR + 2 * SETTLE);
}

TEST(sink_failing_with_a_clock_set_back_is_what_runs_measured)
{
    struct sink_failing failing = {0};

    (void)more(&failing, 1000, wall);
    (void)more(&failing, 1000 + HOUR, wall + HOUR);
    failing = restarted(&failing);
    (void)more(&failing, 500, wall - 50LL * HOUR);
    assert_int_equal(more(&failing, 500 + HOUR, wall - 49LL * HOUR), 2 * HOUR);
    failing = restarted(&failing);
    (void)more(&failing, 900, wall - 48LL * HOUR);
    assert_int_equal(more(&failing, 900 + HOUR, wall - 47LL * HOUR), 3 * HOUR);
}

TEST(sink_failing_is_not_fooled_by_a_start_with_a_clock_ahead)
{
    struct sink_failing failing = {0};

    (void)more(&failing, 1000, wall);
    failing = restarted(&failing);
    (void)more(&failing, 500, wall + 1000LL * HOUR);
    assert_int_equal(more(&failing, 500 + SETTLE, wall + HOUR + SETTLE), HOUR + SETTLE);
}
