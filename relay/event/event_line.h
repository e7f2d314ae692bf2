/*
 * event_line.h - what a line of the event files begins with, read without parsing all of it.
 *
 * Events are written by event_json() with their keys in one order, gaps by event_gap_json() with
 * the same ones in front. The one place that takes them apart: event_head.h gives their meaning to
 * who counts. Pure functions; any thread.
 */
#pragma once

#include "base/bytes.h"

/* Texts are as they stand in JSON, without quotes; ptr NULL: null. */
struct event_line {
    uint64_t schema;
    bool has_seq;
    uint64_t seq; /* where has_seq */
    struct bytes event_id, kind;
    struct bytes id; /* of the message */
    struct bytes recipient, tenant;
    struct bytes time;
    int64_t time_ms; /* wall; event_line_parse() */
};

/* False for what neither of them writes, as far as the keys go: the time may be any text, or null,
 * and the rest of the line anything. Slices point into `line`. */
must_use bool event_line_split(struct bytes line, struct event_line *out);
/* With the time, and neither event_id nor kind empty. */
must_use bool event_line_parse(struct bytes line, struct event_line *out);
