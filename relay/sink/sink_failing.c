/* sink_failing.c - adds up what this run and those before it measured. */
#include "sink/sink_failing.h"

int64_t sink_failing_more(struct sink_failing *failing, struct clocks now, int64_t settle_ms)
{
    if (failing->since_ms == 0)
        *failing = (struct sink_failing){.since_ms = now.wall_ms,
                                         .began_ms = now.now_ms,
                                         .is_settled = true};
    if (failing->began_ms == 0) {
        failing->began_ms = now.now_ms;
        failing->before_ms = failing->for_ms;
    }
    int64_t run_ms = now.now_ms - failing->began_ms;

    if (!failing->is_settled && run_ms >= settle_ms) {
        failing->before_ms = MAX(failing->before_ms, now.wall_ms - failing->since_ms - run_ms);
        failing->is_settled = true;
    }
    failing->for_ms = failing->before_ms + run_ms;
    return failing->for_ms;
}
