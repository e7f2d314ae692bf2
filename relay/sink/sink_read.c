/* sink_read.c - what a sink is told next: events in order, and a gap where some are left out. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "sink/sink_private.h"

enum {
    FEED_MAX = 512, /* events between two looks at what else there is to do */
    IN_FLIGHT_BYTES = 32 * 1024 * 1024,
};

struct event_place sink_next_place(const struct sink *sink)
{
    if (sink->gap.is_pending)
        return sink->gap.end;
    return sink->has_line ? sink->line_at : event_reader_place(sink->reader);
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

void sink_go_to_cursor(struct sink *sink)
{
    window_clear(&sink->window);
    sink->has_line = false;
    sink->gap.is_pending = sink->cursor.owed.events != 0;
    sink->gap.gap = sink->cursor.owed;
    sink->gap.end = sink->cursor.at;
    event_reader_seek(sink->reader, sink->cursor.at);
    if (sink->gap.is_pending) /* what an earlier run counted is not counted again */
        (void)count_left_out(&sink->counted, &sink->gap.gap);
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

/* The events between where it is and `to` are not told; the record says how many of them the sink
 * would have been told. Where that is none there is no record. */
static void leave_gap(struct sink *sink, struct event_place to, uint64_t wanted, const char *reason)
{
    struct event_place from = sink_next_place(sink);

    if (sink->kind->wants == NULL)
        wanted = to.events - from.events;
    if (sink->gap.is_pending) {
        from.events = sink->gap.gap.from_events;
        wanted = add_wanted(sink->gap.gap.wanted, wanted);
    }
    sink->has_line = false;
    event_reader_seek(sink->reader, to);
    if (to.events == from.events) /* it stood at the end of what is gone */
        return;
    sink->gap.gap = (struct event_gap){
        .from_events = from.events,
        .events = to.events - from.events,
        .wanted = wanted,
        .time_ms = clock_wall_ms(),
        .reason = reason,
    };
    sink->gap.end = to;
    sink->gap.is_pending = true;
    note_gap(sink, &sink->gap.gap);
}

static bool is_wanted(const struct sink *sink, const struct sink_event *event)
{
    return sink->kind->wants == NULL || sink->kind->wants(sink->object, event);
}

struct tally {
    uint64_t events, wanted;
};

/* Counts from where the reader is on: up to `to`, or to the first event since then. 1: it stands
 * before that one; 0; or -errno. */
static int count_to(struct sink *sink, struct event_place to, int64_t since_ms, struct tally *tally)
{
    struct event_line parts;
    struct bytes line;
    int got;

    for (;;) {
        struct event_place at = event_reader_place(sink->reader);

        got = event_reader_next(sink->reader, to, &line);
        if (got <= 0)
            return got;
        if (tally->events % 1024 == 1023 && atomic_load(&sink->is_hurried))
            return -ECANCELED;
        parts = (struct event_line){0};
        bool is_known = event_line_parse(line, &parts);
        if (is_known && parts.time_ms >= since_ms) {
            event_reader_seek(sink->reader, at);
            return 1;
        }
        const struct sink_event event = {.line = line, .parts = &parts};
        tally->events++;
        tally->wanted += is_wanted(sink, &event);
    }
}

/* The number of events before the beginning of a file, where nobody remembers it: all less those
 * that stand from there on. */
static int count_before(struct sink *sink, struct event_place *place)
{
    struct event_place committed = event_bounds_committed(sink->bounds);
    uint64_t count;

    event_reader_seek(sink->reader, *place);
    int error = event_reader_count(sink->reader, committed, &sink->is_hurried, &count);
    if (error == 0)
        place->events = committed.events - count;
    return error;
}

/* A file is gone (removed by hand, or given up and now removed) or does not read. */
static void step_over(struct sink *sink, int why)
{
    struct event_place committed = event_bounds_committed(sink->bounds);
    struct event_place from = event_reader_place(sink->reader);
    struct event_place to = {.number = from.number + 1};
    int error = 0;

    if (why == -ENOENT && event_place_compare(sink->cursor.go, from) > 0) {
        leave_gap(sink, sink->cursor.go, EVENT_GAP_UNKNOWN, "events.sink_budget");
        return;
    }
    if (why == -ENOENT)
        error = event_reader_oldest(sink->reader, from.number, committed, &to.number);
    else if (why != -EBADMSG)
        error = why;
    if (error == 0)
        error = count_before(sink, &to);
    event_reader_seek(sink->reader, from);
    if (error < 0) {
        if (error != -ECANCELED)
            sink_restart(sink, SINK_FILES, strerror(-error), false);
        return;
    }
    leave_gap(sink, to, EVENT_GAP_UNKNOWN, why == -ENOENT ? "file-gone" : "file-damaged");
}

void sink_leave_out(struct sink *sink, uint64_t number)
{
    struct event_place from = sink_next_place(sink), to = {.number = number};
    struct tally tally = {0};

    if (from.number >= number) { /* only what is in flight needs older files */
        sink->cursor.go = from;
        (void)sink_save_cursor(sink);
        return;
    }
    if (sink->has_line || sink->gap.is_pending) /* its place is behind that line */
        event_reader_seek(sink->reader, from);
    sink->has_line = false;
    int error = count_to(sink, to, INT64_MAX, &tally);
    to.events = from.events + tally.events;
    if (error == -ECANCELED)
        return;
    if (error < 0) {
        error = count_before(sink, &to);
        if (error < 0)
            return; /* asked for again */
        tally.wanted = EVENT_GAP_UNKNOWN;
    }
    event_reader_seek(sink->reader, from);
    leave_gap(sink, to, tally.wanted, "events.sink_budget");
    sink->cursor.go = to;
    (void)sink_save_cursor(sink);
}

/* The gap stands in the cursor, so that it is owed over a restart, and grows while it cannot be
 * told. */
void sink_leave_out_older(struct sink *sink, int64_t since_ms, const char *reason)
{
    struct event_place committed = event_bounds_committed(sink->bounds);
    struct event_gap *owed = &sink->cursor.owed;
    struct tally tally = {0};

    sink_pass_answered(sink);
    event_reader_seek(sink->reader, sink->cursor.at);
    int error = count_to(sink, committed, since_ms, &tally);
    struct event_place to = event_reader_place(sink->reader);
    if (error >= 0 && tally.events > 0) {
        to.events = sink->cursor.at.events + tally.events;
        if (owed->events == 0)
            *owed = (struct event_gap){.from_events = sink->cursor.at.events};
        owed->events += tally.events;
        owed->wanted = add_wanted(owed->wanted, tally.wanted);
        owed->time_ms = clock_wall_ms();
        owed->reason = reason;
        note_gap(sink, owed);
        if (owed->wanted == 0)
            *owed = (struct event_gap){0};
        sink->cursor.at = to;
        (void)sink_save_cursor(sink);
    }
    sink_go_to_cursor(sink);
}

/* --- events ----------------------------------------------------------------------------------- */

/* False: no room. */
static bool offer(struct sink *sink, struct bytes line, struct event_place end, int64_t now_ms,
                  bool is_gap)
{
    struct event_line parts = {0};
    struct sink_event event = {.line = line, .parts = &parts};
    struct window_entry entry = {.end = end, .taken_ms = now_ms, .is_gap = is_gap};

    if (event_line_parse(line, &parts))
        entry.time_ms = parts.time_ms;
    if (!is_gap && !is_wanted(sink, &event))
        return window_add_unwanted(&sink->window, &entry);
    if (window_is_full(&sink->window))
        return false;
    entry.len = (uint32_t)line.len;
    event.ticket = window_add(&sink->window, &entry);
    if (sink->kind->take(sink->object, &event))
        return true;
    if (!sink->is_restarting)
        window_take_back(&sink->window);
    return false;
}

static bool offer_gap(struct sink *sink, int64_t now_ms)
{
    const struct window_entry passed = {.end = sink->gap.end, .taken_ms = now_ms};

    if (sink->gap.gap.wanted == 0) {
        sink->gap.is_pending = !window_add_unwanted(&sink->window, &passed);
        return !sink->gap.is_pending;
    }
    buf_clear(&sink->gap.line);
    bool fits = event_gap_json(&sink->gap.gap, &sink->gap.line);
    check(fits);
    struct bytes line = buf_bytes(&sink->gap.line);
    if (!offer(sink, bytes_slice(line, 0, line.len - 1), sink->gap.end, now_ms, true))
        return false;
    sink->gap.is_pending = false;
    return true;
}

/* False: nothing for now. */
static bool read_line(struct sink *sink, struct event_place committed)
{
    if (sink->has_line)
        return true;
    sink->line_at = event_reader_place(sink->reader);
    if (event_place_compare(sink->line_at, committed) > 0) {
        log_error("sink=%s file=%llu offset=%llu what=\"is ahead of the event files, which must be "
                  "others or were cut; goes on behind what they hold\"",
                  LOG_STRING(sink->name), (unsigned long long)sink->line_at.number,
                  (unsigned long long)sink->line_at.offset);
        event_reader_seek(sink->reader, committed);
        return false;
    }
    int got = event_reader_next(sink->reader, committed, &sink->line);
    if (got < 0)
        step_over(sink, got);
    sink->has_line = got == 1;
    return got == 1;
}

bool sink_feed(struct sink *sink)
{
    struct event_place committed = event_bounds_committed(sink->bounds);
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < FEED_MAX; i++) {
        if (sink->cursor.is_paused || sink->is_restarting || sink->window.bytes >= IN_FLIGHT_BYTES)
            return false;
        if (sink->gap.is_pending) {
            if (!offer_gap(sink, now_ms))
                return false;
            continue;
        }
        if (!read_line(sink, committed))
            return sink->gap.is_pending;
        if (!offer(sink, sink->line, event_reader_place(sink->reader), now_ms, false))
            return false;
        sink->has_line = false;
    }
    return true;
}

/* --- another time ----------------------------------------------------------------------------- */

/* The place of the first event since then, from where the reader is on; its events are not set. */
static int find_time(struct sink *sink, int64_t since_ms, struct event_place committed,
                     struct event_place *place_out)
{
    struct event_line parts;
    struct bytes line;
    int got;

    for (;;) {
        struct event_place at = event_reader_place(sink->reader);

        got = event_reader_next(sink->reader, committed, &line);
        if (got <= 0) {
            *place_out = event_reader_place(sink->reader);
            return got;
        }
        if (atomic_load(&sink->is_hurried))
            return -ECANCELED;
        if (!event_line_parse(line, &parts) || parts.time_ms < since_ms)
            continue;
        *place_out = at;
        return 0;
    }
}

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
int sink_seek_time(struct sink *sink, int64_t since_ms, uint64_t *count_out)
{
    struct event_place committed = event_bounds_committed(sink->bounds);
    struct event_place place = {0};
    uint64_t count = 0;

    int error = event_reader_since(sink->reader, since_ms, committed, &place.number);
    if (error == 0) {
        event_reader_seek(sink->reader, place);
        error = find_time(sink, since_ms, committed, &place);
    }
    bool is_back = event_place_compare(place, sink->cursor.at) < 0;
    if (error == 0 && is_back) {
        event_reader_seek(sink->reader, place);
        error = event_reader_count(sink->reader, committed, &sink->is_hurried, &count);
    }
    if (error == 0 && is_back) {
        place.events = committed.events - count;
        sink->cursor.at = place;
        sink->cursor.go = (struct event_place){0};
        sink->cursor.owed = owed_before(sink, place.events);
        sink->counted = (struct sink_left_out){0}; /* it is told them now, or they go once more */
        sink->cursor.time_ms = since_ms < 0 ? 0 : since_ms;
        error = sink_save_cursor(sink);
    }
    *count_out = committed.events - sink->cursor.at.events;
    sink_go_to_cursor(sink);
    return error;
}
