/*
 * sink_failing.h - for how long a sink has failed, over restarts.
 *
 * Within a run the monotonic clock measures it. Between runs only the wall clock can, and a start
 * may have a wrong one that is set right soon: how long it was is asked of it once the failures of
 * this run have lasted for `settle_ms`, until when only what earlier runs measured counts. A wall
 * clock that was set back makes it no less than that.
 *
 * Private to relay/sink. Pure.
 */
#pragma once

#include "base/clock.h"

struct sink_failing {
    /* in the cursor */
    int64_t since_ms; /* wall, of the first failure; 0: it does not fail */
    int64_t for_ms;   /* at the last failure */
    /* of this run */
    int64_t began_ms;  /* monotonic, of its first failure; 0: none yet */
    int64_t before_ms; /* what earlier runs come to */
    bool is_settled;
};

/* It failed: for how long it does by now. */
int64_t sink_failing_more(struct sink_failing *failing, struct clocks now, int64_t settle_ms);
