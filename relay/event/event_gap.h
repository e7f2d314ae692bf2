/*
 * event_gap.h - the record that tells a reader of events how many it does not get.
 *
 * It stands where they would have stood. It is no event: it has no seq and names no message, and
 * its event_id is the same whenever this gap is told (docs/events.md, "Gaps").
 */
#pragma once

#include "base/buf.h"

struct event_gap {
    uint64_t from_events; /* of event_place: before the first that is left out */
    uint64_t events;      /* how many */
    uint64_t wanted;      /* of those that the reader gets; EVENT_GAP_UNKNOWN: told as null */
    int64_t time_ms;      /* wall */
    const char *reason;   /* "events.sink_budget": which rule, or what happened */
};
enum { EVENT_GAP_JSON_MAX = 512 };
#define EVENT_GAP_UNKNOWN UINT64_MAX

/* One JSON object and a line feed; false (nothing appended) without room for EVENT_GAP_JSON_MAX. */
must_use bool event_gap_json(const struct event_gap *gap, struct buf *out);
