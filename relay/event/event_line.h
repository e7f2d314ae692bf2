/*
 * event_line.h - what a line of the event files begins with, read without parsing all of it.
 *
 * Events are written by event_json() with their keys in one order, gaps by event_gap_json() with
 * the same ones in front. Pure functions; any thread.
 */
#pragma once

#include "base/bytes.h"

struct event_line {
    struct bytes event_id, kind; /* never empty */
    struct bytes id;             /* of the message; empty: null */
    struct bytes tenant;         /* as it stands in JSON, without quotes; empty: null */
    int64_t time_ms;             /* wall */
};

/* False for what neither of them writes. Slices point into `line`. */
must_use bool event_line_parse(struct bytes line, struct event_line *out);
