/* event_gap.c - a gap as one line of JSON. */
#include "event/event_gap.h"

#include <stdio.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/json_text.h"

bool event_gap_json(const struct event_gap *gap, struct buf *out)
{
    char time[CLOCK_TEXT_MAX], wanted[24] = "null";

    if (buf_room(out) < EVENT_GAP_JSON_MAX)
        return false;
    if (gap->wanted != EVENT_GAP_UNKNOWN)
        snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)gap->wanted);
    clock_format_rfc3339(gap->time_ms, time);
    return buf_printf(out,
                      "{\"schema\":%d,\"event_id\":\"%04x-gap-%016llx-%llu\",\"seq\":null,"
                      "\"kind\":\"gap\",\"id\":null,\"recipient\":null,\"tenant\":null,"
                      "\"time\":\"%s\",\"events\":%s,\"rule\":\"%s\"}\n",
                      EVENT_SCHEMA, event_node(), (unsigned long long)gap->from_events,
                      (unsigned long long)gap->events, time, wanted, gap->reason);
}
