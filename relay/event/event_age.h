/*
 * event_age.h - how old closed event files are, whatever was done to the wall clock.
 *
 * Their names tell the wall time at which they were closed. What was closed since the start is as
 * old as the monotonic clock says: when the wall clock is set, the step is remembered with the
 * number of the file that was open, and taken off the age of those before it. Of what the start
 * found nobody knows which clock was right: it is as old as the younger of both readings, and for a
 * while after the start it has no age at all, because a machine's clock is often set right then.
 *
 * Private to relay/event. Thread: the publisher's.
 */
#pragma once

#include "base/clock.h"
#include "event/event_archive.h"

enum {
    EVENT_AGE_STEPS_MAX = 16, /* beyond them the two oldest become one */
    EVENT_AGE_WAIT_MS = 10 * 60 * 1000,
};

struct event_age {
    struct clock_watch watch;
    int64_t started_ms;    /* monotonic */
    uint64_t first_number; /* that was not closed yet at the start */
    size_t step_count;
    struct {
        uint64_t number; /* that was open when the clock was set */
        int64_t step_ms;
    } steps[EVENT_AGE_STEPS_MAX];
};

struct event_age event_age_begin(struct clocks clocks, uint64_t open_number);
/* To be called before a file is closed, too, so that no step falls between its number and time. */
void event_age_look(struct event_age *age, struct clocks clocks, uint64_t open_number);
/* Of a file that was closed; it may be below 0. */
int64_t event_age_ms(const struct event_age *age, const struct event_archive *archive,
                     struct clocks clocks);
