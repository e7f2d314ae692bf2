/* sink_offer.c - an event that was read, or a gap, for one sink. */
#include "base/clock.h"
#include "sink/sink_private.h"

enum { IN_FLIGHT_BYTES = 32 * 1024 * 1024 };

bool sink_is_wanted(const struct sink *sink, const struct sink_event *event)
{
    return sink->kind->wants == NULL || sink->kind->wants(sink->object, event);
}

static bool take(struct sink *sink, struct sink_event *event, const struct window_entry *entry)
{
    sink->is_full = window_is_full(&sink->window) || sink->window.bytes >= IN_FLIGHT_BYTES;
    if (sink->is_full)
        return false;
    event->ticket = window_add(&sink->window, entry);
    sink_touch(sink);
    if (sink->kind->take(sink->object, event))
        return true;
    sink->is_full = true;
    if (!sink->is_restarting)
        window_take_back(&sink->window);
    return false;
}

static bool is_skipped(const struct sink *sink, const struct sink_event *event,
                       struct event_place at)
{
    if (sink->skip.to_number != 0)
        return at.number < sink->skip.to_number;
    return event->parts->event_id.len == 0 || event->parts->time_ms < sink->skip.to_ms;
}

bool sink_offer(struct sink *sink, const struct sink_event *event, struct event_place at)
{
    if (sink->skip.is_on) {
        if (!is_skipped(sink, event, at))
            return false;
        if (sink->skip.wanted != EVENT_GAP_UNKNOWN)
            sink->skip.wanted += sink_is_wanted(sink, event);
        return true;
    }
    if (!sink_is_wanted(sink, event))
        return true;
    struct sink_event offered = *event;
    const struct window_entry entry = {.at = at,
                                       .time_ms = event->parts->time_ms,
                                       .taken_ms = clock_monotonic_ms(),
                                       .len = (uint32_t)event->line.len};
    return take(sink, &offered, &entry);
}

bool sink_offer_gap(struct sink *sink)
{
    struct buf *json = &sink->host->gap_line;
    struct event_line parts = {0};

    buf_clear(json);
    bool fits = event_gap_json(&sink->gap.gap, json);
    check(fits);
    struct bytes line = bytes_slice(buf_bytes(json), 0, buf_len(json) - 1);
    bool is_known = event_line_parse(line, &parts);
    check(is_known);
    const struct window_entry entry = {.at = sink->gap.at,
                                       .time_ms = parts.time_ms,
                                       .taken_ms = clock_monotonic_ms(),
                                       .len = (uint32_t)line.len,
                                       .is_gap = true};
    struct sink_event event = {.line = line, .parts = &parts};
    if (!take(sink, &event, &entry))
        return false;
    sink->gap.is_pending = false;
    return true;
}
