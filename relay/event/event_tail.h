/*
 * event_tail.h - reads the event files in order: what `ringpost events` shows.
 *
 * Needs nothing of the daemon but its files. Any thread, one at a time; blocks.
 */
#pragma once

#include "base/buf.h"
#include "event/event_filter.h"

struct event_tail;

/* Starts at the oldest file that may hold something since filter->since_ms; with from_end behind
 * what there is now (following without a past). The filter's strings must outlive the tail. 0 or
 * -errno: no such directory, no right to read it. */
must_use int event_tail_open(const char *directory, const struct event_filter *filter,
                             bool from_end, struct event_tail **tail_out);
void event_tail_close(struct event_tail **tail);
/* The next event that passes the filter: 1 and its line without the line feed, valid until the next
 * call; 0: that was all for now, call again to follow across rotations; -errno: a file that does
 * not read, the next call goes on behind it. A half-written last line is waited for; lines that are
 * no JSON are skipped. */
must_use int event_tail_next(struct event_tail *tail, struct bytes *line_out);
