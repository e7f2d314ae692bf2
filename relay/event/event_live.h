/*
 * event_live.h - follows the event files: what `ringpost events --follow` shows.
 *
 * It reads up to what is committed, so that nothing comes twice when a crash cuts the files.
 * Readers need nothing of the program but its files, so any number of them costs it nothing, and
 * none can slow it: who is so slow that the retention removes a file before it was read misses its
 * events, and is told how many.
 *
 * Thread: one at a time; blocks.
 */
#pragma once

#include "event/event_filter.h"
#include "event/event_gap.h"

struct event_live;

enum event_live_got {
    EVENT_LIVE_NOTHING, /* for now */
    EVENT_LIVE_EVENT,
    EVENT_LIVE_GAP, /* see event_live_gap() */
};

/* From the oldest file that may hold something since filter->since_ms. The filter's strings must
 * outlive it. 0 or -errno: no such directory, no right to read it. */
must_use int event_live_open(const char *directory, const struct event_filter *filter,
                             struct event_live **live_out);
void event_live_close(struct event_live **live);
/* An event_live_got; the line, without its line feed, is valid until the next call. Or -errno. */
must_use int event_live_next(struct event_live *live, struct bytes *line_out);
/* What was missed last, whatever the filter. */
struct event_gap event_live_gap(const struct event_live *live);
