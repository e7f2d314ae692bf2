/* sink_gap.c - what is left out for a sink, and the places that follow from it. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "sink/sink_private.h"

struct event_place sink_next_place(const struct sink *sink)
{
    return sink->reader != NULL ? sink->reader->place : sink->next;
}

struct event_place sink_told_place(const struct sink *sink)
{
    if (sink->gap.is_pending)
        return sink->gap.at;
    return sink->skip.is_on ? sink->skip.at : sink_next_place(sink);
}

void sink_pass_answered(struct sink *sink)
{
    uint64_t gaps = sink->window.gaps;
    size_t passed = window_pass(&sink->window, &sink->cursor.time_ms);
    const struct window_entry *oldest = window_oldest(&sink->window);

    sink->cursor.at = oldest != NULL ? oldest->at : sink_told_place(sink);
    if (sink->reading == SINK_AT_HEAD && oldest == NULL && sink->reader->time_ms != 0)
        sink->cursor.time_ms = sink->reader->time_ms;
    if (event_place_compare(sink->cursor.go, sink->cursor.at) <= 0)
        sink->cursor.go = (struct event_place){0};
    if (sink->window.gaps != gaps)
        sink->cursor.owed = (struct event_gap){0};
    if (passed == 0)
        return;
    sink_has_room(sink);
    sink_save_soon(sink);
}

/* --- gaps ------------------------------------------------------------------------------------- */

static uint64_t add_wanted(uint64_t a, uint64_t b)
{
    return a == EVENT_GAP_UNKNOWN || b == EVENT_GAP_UNKNOWN ? EVENT_GAP_UNKNOWN : a + b;
}

/* How many of a gap's events were not counted as left out yet. A sink that fails makes the same gap
 * again, or a wider one, until it can be told. */
static uint64_t count_left_out(struct sink_left_out *counted, const struct event_gap *gap)
{
    uint64_t from = gap->from_events, to = from + gap->events, outside = gap->events;

    if (from >= counted->to || to <= counted->from)
        *counted = (struct sink_left_out){.from = from, .to = from};
    if (counted->to > counted->from)
        outside = counted->from - MIN(from, counted->from) + MAX(to, counted->to) - counted->to;
    counted->from = MIN(from, counted->from);
    counted->to = MAX(to, counted->to);
    if (gap->wanted != EVENT_GAP_UNKNOWN)
        outside = MIN(outside, gap->wanted - MIN(gap->wanted, counted->events));
    counted->events += outside;
    return outside;
}

/* Log and metric count what the record says: what the sink would have been told. Where nobody knows
 * that any more they count all that is gone. */
static void note_gap(struct sink *sink, const struct event_gap *gap)
{
    uint64_t more = count_left_out(&sink->counted, gap);

    if (more == 0)
        return;
    sink->gaps += sink->counted.events == more;
    sink->gap_events += more;
    log_error("sink=%s events=%llu rule=%s what=\"left out; the sink is told so in a gap record\"",
              LOG_STRING(sink->name), (unsigned long long)more, LOG_STRING(gap->reason));
}

/* The record says how many of the events the sink would have been told. Where that is none there is
 * no record. One that could not be told yet grows. */
void sink_leave_gap(struct sink *sink, struct event_place to, uint64_t wanted, const char *reason)
{
    struct event_place from = sink_told_place(sink);
    uint64_t from_events = from.events;

    check(sink->reader == NULL);
    if (sink->gap.is_pending) {
        from_events = sink->gap.gap.from_events;
        wanted = add_wanted(sink->gap.gap.wanted, wanted);
    }
    if (sink->kind->wants == NULL)
        wanted = to.events - from_events;
    sink->next = to;
    if (to.events == from_events) /* it stood at the end of what is gone */
        return;
    sink->gap.gap = (struct event_gap){
        .from_events = from_events,
        .events = to.events - from_events,
        .wanted = wanted,
        .time_ms = clock_wall_ms(),
        .reason = reason,
    };
    sink->gap.at = from;
    sink->gap.is_pending = true;
    note_gap(sink, &sink->gap.gap);
    if (wanted == 0)
        sink->gap.is_pending = false;
}

/* --- what is counted and not told ------------------------------------------------------------- */

static void begin_skip(struct sink *sink)
{
    sink->skip.is_on = true;
    sink->skip.at = sink->next;
    sink->skip.wanted = 0;
}

void sink_go_to_cursor(struct sink *sink)
{
    check(sink->reader == NULL);
    window_clear(&sink->window);
    sink->next = sink->cursor.at;
    sink->gap.is_pending = sink->cursor.owed.events != 0;
    sink->gap.gap = sink->cursor.owed;
    sink->gap.at = sink->cursor.at;
    if (sink->gap.is_pending) /* what an earlier run counted is not counted again */
        (void)count_left_out(&sink->counted, &sink->gap.gap);
    if (sink->skip.is_on)
        begin_skip(sink);
}

void sink_skip_to_file(struct sink *sink, uint64_t number)
{
    check(sink->reader == NULL);
    if (sink->skip.is_on) {
        if (sink->skip.to_number != 0)
            sink->skip.to_number = MAX(sink->skip.to_number, number);
        return; /* else it is asked for again */
    }
    if (sink->next.number >= number) { /* only what is in flight needs older files */
        sink->cursor.go = sink->next;
        sink_save_now(sink);
        return;
    }
    sink->skip = (struct sink_skip){.to_number = number, .reason = "events.sink_budget"};
    begin_skip(sink);
}

void sink_skip_to_time(struct sink *sink, int64_t since_ms, const char *reason)
{
    if (sink->skip.is_on && sink->skip.to_number == 0) {
        sink->skip.to_ms = MAX(sink->skip.to_ms, since_ms);
        return;
    }
    sink->skip = (struct sink_skip){.to_ms = since_ms, .reason = reason};
    begin_skip(sink);
}

/* The gap stands in the cursor, so that it is owed over a restart, and grows while it cannot be
 * told. */
static void owe(struct sink *sink, struct event_place to)
{
    struct event_gap *owed = &sink->cursor.owed;
    uint64_t events = to.events - sink->cursor.at.events;
    uint64_t wanted = sink->kind->wants == NULL ? events : sink->skip.wanted;

    if (events == 0)
        return;
    if (owed->events == 0)
        *owed = (struct event_gap){.from_events = sink->cursor.at.events};
    owed->events += events;
    owed->wanted = add_wanted(owed->wanted, wanted);
    owed->time_ms = clock_wall_ms();
    owed->reason = sink->skip.reason;
    note_gap(sink, owed);
    if (owed->wanted == 0)
        *owed = (struct event_gap){0};
    sink->cursor.at = to;
    sink_save_now(sink);
}

void sink_end_skip(struct sink *sink, struct event_place to)
{
    const struct sink_skip skip = sink->skip;

    check(sink->reader == NULL);
    if (skip.to_number == 0) {
        owe(sink, to);
        sink->skip.is_on = false;
        sink_go_to_cursor(sink);
        return;
    }
    sink_leave_gap(sink, to, skip.wanted, skip.reason);
    sink->skip.is_on = false;
    sink->cursor.go = to;
    sink_save_now(sink);
}

/* --- another time ----------------------------------------------------------------------------- */

/* What is left of the gap that is owed when everything from there on is told. */
static struct event_gap owed_before(const struct sink *sink, uint64_t events)
{
    struct event_gap owed = sink->cursor.owed;

    if (owed.events == 0 || events <= owed.from_events)
        return (struct event_gap){0};
    owed.events = events - owed.from_events;
    owed.wanted = sink->kind->wants == NULL ? owed.events : EVENT_GAP_UNKNOWN;
    return owed;
}

/* What it was not told yet is not stepped over: then it stays where it is. */
void sink_go_back(struct sink *sink, struct sink_order *order)
{
    struct event_place committed = event_bounds_committed(sink->host->bounds);

    sink_pass_answered(sink);
    if (event_place_compare(order->place, sink->cursor.at) < 0) {
        sink->cursor.at = order->place;
        sink->cursor.go = (struct event_place){0};
        sink->cursor.owed = owed_before(sink, order->place.events);
        sink->counted = (struct sink_left_out){0}; /* it is told them now, or they go once more */
        sink->cursor.time_ms = MAX(order->since_ms, (int64_t)0);
    }
    order->count = committed.events - sink->cursor.at.events;
    sink->skip.is_on = false;
    sink_go_to_cursor(sink);
    sink_save_now(sink);
}
